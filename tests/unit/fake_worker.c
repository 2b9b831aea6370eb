/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A joinery-worker without token and store, for the tests of joineryd: it
 * speaks the corridor and misbehaves when told to.
 *
 * Environment: FAKE_STARTS names a file that gets one line a start,
 * FAKE_EXIT a file with an exit status to end with before Hello (if it
 * exists), FAKE_MUTE set: never say Hello, FAKE_BRIEF set: die after Hello,
 * FAKE_ANSWER_URL: where answers to home_ns should go instead.
 *
 * Requests: ping and join are answered (a join counts, and its session key
 * ID tells the process).  PeerGet with one of the names of commands[] makes
 * it do that, and so does home_ns with such a name as DevEUI, filled up with
 * NULs; with any other, NetID 0000xy tells who asked: 1 a certificate, 2 an
 * Authorization, 4 a proxy for "ns1", 8 Backend Interfaces.  What is watched
 * gets a TraceEvent.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "proto/corridor.pb-c.h"
#include "proto/counters.h"
#include "proto/frame.h"
#include "proto/joinery.pb-c.h"
#include "src/worker/status.h"

static struct counters *counters;
static uint64_t held[256]; /* seqs kept back by "hold" */
static uint64_t held_ids[256];
static size_t n_held;
static const Joinery__Corridor__Envelope *current;

static void
send_frame(const uint8_t *message, size_t len)
{
	uint8_t head[FRAME_HEAD_LEN];

	frame_head_put(head, len);
	if (frame_write_all(WORKER_FD_CORRIDOR, head, sizeof(head), NULL) !=
		JY_OK ||
	    frame_write_all(WORKER_FD_CORRIDOR, message, len, NULL) != JY_OK) {
		exit(1);
	}
}

static void
send_reply(Joinery__Corridor__Reply *reply)
{
	static uint8_t buf[FRAME_CORRIDOR_MAX];
	size_t len = joinery__corridor__reply__get_packed_size(reply);

	jy_assert(len <= sizeof(buf));
	(void)joinery__corridor__reply__pack(reply, buf);
	send_frame(buf, len);
}

static void
add_event(Joinery__Corridor__Reply *reply)
{
	static uint8_t buf[256];
	static char peer[] = "fake";
	Joinery__V1__TraceEvent event = JOINERY__V1__TRACE_EVENT__INIT;

	event.peer = peer;
	event.request_id = current->request_id;
	event.has_join_nonce = 1;
	event.join_nonce = 7;
	reply->has_trace = 1;
	reply->trace.data = buf;
	reply->trace.len = joinery__v1__trace_event__pack(&event, buf);
}

static void
send_response(uint64_t seq, uint64_t id, Joinery__V1__Response *response)
{
	static uint8_t buf[FRAME_CORRIDOR_MAX];
	Joinery__Corridor__Reply reply = JOINERY__CORRIDOR__REPLY__INIT;
	Joinery__Corridor__AnswerTo to = JOINERY__CORRIDOR__ANSWER_TO__INIT;
	static char peer[] = "fake";

	to.url = getenv("FAKE_ANSWER_URL");
	to.peer = peer;
	response->has_id = 1;
	response->id = id;
	reply.seq = seq;
	reply.has_response = 1;
	reply.response.data = buf;
	reply.response.len = joinery__v1__response__pack(response, buf);
	if (current->has_trace && current->trace && current->seq == seq) {
		add_event(&reply);
	}
	if (current->backend_interfaces && to.url != NULL) {
		reply.answer_to = &to;
	}
	send_reply(&reply);
}

static void
send_ping(uint64_t seq, uint64_t id)
{
	Joinery__V1__Response response = JOINERY__V1__RESPONSE__INIT;
	Joinery__V1__PingAnswer ping = JOINERY__V1__PING_ANSWER__INIT;

	response.result_case = JOINERY__V1__RESPONSE__RESULT_PING;
	response.ping = &ping;
	send_response(seq, id, &response);
}

static void
send_join(uint64_t seq, uint64_t id)
{
	Joinery__V1__Response response = JOINERY__V1__RESPONSE__INIT;
	Joinery__V1__JoinAnswer join = JOINERY__V1__JOIN_ANSWER__INIT;
	char pid[16];

	counters_add(counters->joins_accepted, 1);
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	join.has_session_key_id = 1;
	join.session_key_id.data = (uint8_t *)pid;
	join.session_key_id.len = strlen(pid);
	response.result_case = JOINERY__V1__RESPONSE__RESULT_JOIN;
	response.join = &join;
	send_response(seq, id, &response);
}

static void
send_home(const Joinery__Corridor__Envelope *e, uint64_t id)
{
	const Joinery__Corridor__Credential *cred = e->credential;
	Joinery__V1__Response response = JOINERY__V1__RESPONSE__INIT;
	Joinery__V1__HomeNsAnswer home = JOINERY__V1__HOME_NS_ANSWER__INIT;

	home.has_net_id = 1;
	home.net_id = (cred->has_cert_fingerprint ? 1U : 0U) |
	    (cred->has_authorization_hash ? 2U : 0U) |
	    (cred->proxied_peer != NULL &&
			strcmp(cred->proxied_peer, "ns1") == 0
		    ? 4U
		    : 0U) |
	    (e->backend_interfaces ? 8U : 0U);
	response.result_case = JOINERY__V1__RESPONSE__RESULT_HOME_NS;
	response.home_ns = &home;
	send_response(e->seq, id, &response);
}

static void
send_peer(uint64_t seq, uint64_t id, Joinery__V1__Peer *peer)
{
	Joinery__V1__Response response = JOINERY__V1__RESPONSE__INIT;
	Joinery__V1__PeerGetAnswer get = JOINERY__V1__PEER_GET_ANSWER__INIT;

	response.result_case = JOINERY__V1__RESPONSE__RESULT_PEER_GET;
	response.peer_get = &get;
	get.peer = peer;
	send_response(seq, id, &response);
}

/* ---- what it does when told to ---- */

static void
do_die(const Joinery__Corridor__Envelope *e, uint64_t id)
{
	(void)e;
	(void)id;
	(void)raise(SIGKILL);
}

static void
do_hang(const Joinery__Corridor__Envelope *e, uint64_t id)
{
	(void)e;
	(void)id;
	for (;;) {
		(void)pause();
	}
}

/* Take 20 ms for a ping. */
static void
do_slow(const Joinery__Corridor__Envelope *e, uint64_t id)
{
	static const struct timespec pause = { .tv_nsec = 20000000 };

	(void)nanosleep(&pause, NULL);
	send_ping(e->seq, id);
}

static void
do_hold(const Joinery__Corridor__Envelope *e, uint64_t id)
{
	jy_assert(n_held < ARRAY_LEN(held));
	held[n_held] = e->seq;
	held_ids[n_held++] = id;
}

/* Answer all that is held, the last one first, then this. */
static void
do_release(const Joinery__Corridor__Envelope *e, uint64_t id)
{
	while (n_held > 0) {
		n_held--;
		send_ping(held[n_held], held_ids[n_held]);
	}
	send_ping(e->seq, id);
}

/* Tell who asked. */
static void
do_who(const Joinery__Corridor__Envelope *e, uint64_t id)
{
	const Joinery__Corridor__Credential *cred = e->credential;
	Joinery__V1__Peer peer = JOINERY__V1__PEER__INIT;

	peer.has_uid = cred->has_uid;
	peer.uid = cred->uid;
	peer.has_cert_fingerprint = cred->has_cert_fingerprint;
	peer.cert_fingerprint = cred->cert_fingerprint;
	peer.n_as_ids = cred->n_cert_sans;
	peer.as_ids = cred->cert_sans;
	peer.name = e->request_id;
	send_peer(e->seq, id, &peer);
}

/* Tell the pid, and as NetIDs the descriptors that are open. */
static void
do_fds(const Joinery__Corridor__Envelope *e, uint64_t id)
{
	Joinery__V1__Peer peer = JOINERY__V1__PEER__INIT;
	uint32_t fds[64];
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;

	jy_assert(dir != NULL);
	peer.has_uid = 1;
	peer.uid = (uint32_t)getpid();
	peer.net_ids = fds;
	while (
	    (entry = readdir(dir)) != NULL && peer.n_net_ids < ARRAY_LEN(fds)) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && fd != dirfd(dir)) {
			fds[peer.n_net_ids++] = (uint32_t)fd;
		}
	}
	(void)closedir(dir);
	send_peer(e->seq, id, &peer);
}

/* Give back the configuration it was started with. */
static void
do_conf(const Joinery__Corridor__Envelope *e, uint64_t id)
{
	static char text[32768];
	Joinery__V1__Peer peer = JOINERY__V1__PEER__INIT;
	ssize_t n = pread(WORKER_FD_CONF, text, sizeof(text) - 1, 0);

	jy_assert(n > 0 && write(WORKER_FD_CONF, "x", 1) < 0);
	peer.name = text;
	send_peer(e->seq, id, &peer);
}

static void
do_large(const Joinery__Corridor__Envelope *e, uint64_t id)
{
	static char text[60001];
	Joinery__V1__Peer peer = JOINERY__V1__PEER__INIT;

	memset(text, 'x', sizeof(text) - 1);
	peer.name = text;
	send_peer(e->seq, id, &peer);
}

static void
do_junk(const Joinery__Corridor__Envelope *e, uint64_t id)
{
	static const uint8_t junk[] = { 0xff, 0xff, 0xff };

	(void)e;
	(void)id;
	send_frame(junk, sizeof(junk));
}

static void
do_stray(const Joinery__Corridor__Envelope *e, uint64_t id)
{
	send_ping(e->seq + (1U << 24), id);
}

static void
do_empty(const Joinery__Corridor__Envelope *e, uint64_t id)
{
	Joinery__Corridor__Reply reply = JOINERY__CORRIDOR__REPLY__INIT;

	(void)id;
	reply.seq = e->seq;
	send_reply(&reply);
}

static const struct {
	const char *name;
	void (*run)(const Joinery__Corridor__Envelope *e, uint64_t id);
} commands[] = {
	{ "die", do_die },
	{ "hang", do_hang },
	{ "slow", do_slow },
	{ "hold", do_hold },
	{ "release", do_release },
	{ "who", do_who },
	{ "fds", do_fds },
	{ "conf", do_conf },
	{ "large", do_large },
	{ "junk", do_junk },
	{ "stray", do_stray },
	{ "empty", do_empty },
};

/* Whether there was such a command. */
static bool
obey(const Joinery__Corridor__Envelope *e, uint64_t id, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(name, commands[i].name) == 0) {
			commands[i].run(e, id);
			return true;
		}
	}
	return false;
}

static void
answer_home(const Joinery__Corridor__Envelope *e, uint64_t id,
    const ProtobufCBinaryData *dev_eui)
{
	char name[9] = "";

	jy_assert(dev_eui->len == sizeof(name) - 1);
	memcpy(name, dev_eui->data, dev_eui->len);
	if (!obey(e, id, name)) {
		send_home(e, id);
	}
}

static void
answer(const Joinery__Corridor__Envelope *e)
{
	Joinery__V1__Request *r =
	    joinery__v1__request__unpack(NULL, e->request.len, e->request.data);

	jy_assert(r != NULL && e->credential != NULL);
	if (r->call_case == JOINERY__V1__REQUEST__CALL_JOIN) {
		send_join(e->seq, r->id);
	} else if (r->call_case == JOINERY__V1__REQUEST__CALL_HOME_NS) {
		answer_home(e, r->id, &r->home_ns->dev_eui);
	} else if (r->call_case == JOINERY__V1__REQUEST__CALL_PEER_GET) {
		(void)obey(e, r->id, r->peer_get->name);
	} else {
		send_ping(e->seq, r->id);
	}
	joinery__v1__request__free_unpacked(r, NULL);
}

static void
note_start(void)
{
	const char *path = getenv("FAKE_STARTS");
	FILE *f = path != NULL ? fopen(path, "a") : NULL;

	if (f != NULL) {
		(void)fprintf(f, "%d\n", (int)getpid());
		(void)fclose(f);
	}
}

static void
exit_if_told(void)
{
	const char *path = getenv("FAKE_EXIT");
	FILE *f = path != NULL ? fopen(path, "r") : NULL;
	int status;

	if (f != NULL && fscanf(f, "%d", &status) == 1) {
		(void)fprintf(stderr, "fake worker: exit %d\n", status);
		_exit(status);
	}
}

static void
say_hello(void)
{
	static char token[] = "fake (0001)";
	Joinery__Corridor__Reply reply = JOINERY__CORRIDOR__REPLY__INIT;
	Joinery__Corridor__Hello hello = JOINERY__CORRIDOR__HELLO__INIT;

	hello.token = token;
	reply.hello = &hello;
	send_reply(&reply);
}

int
main(void)
{
	struct frame_stream *in =
	    frame_stream_new(WORKER_FD_CORRIDOR, FRAME_CORRIDOR_MAX);
	const uint8_t *frame;
	size_t len;

	note_start();
	exit_if_told();
	counters = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE,
	    MAP_SHARED, WORKER_FD_COUNTERS, 0);
	jy_assert(counters != MAP_FAILED);
	if (getenv("FAKE_MUTE") == NULL) {
		say_hello();
	}
	if (getenv("FAKE_BRIEF") != NULL) {
		(void)raise(SIGKILL);
	}
	while (frame_stream_next(in, &frame, &len, NULL) == JY_OK) {
		Joinery__Corridor__Envelope *e =
		    joinery__corridor__envelope__unpack(NULL, len, frame);

		jy_assert(e != NULL);
		counters_add(counters->requests, 1);
		current = e;
		answer(e);
		joinery__corridor__envelope__free_unpacked(e, NULL);
	}
	frame_stream_free(in);
	return WORKER_DRAINED;
}
