#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""joineryd as a process, with fake workers behind it.

Runs in the build directory.  The few octets of protobuf needed are put
together here, so that the tests do not share a codec with what they test.
"""
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import time
import unittest

JOINERYD = os.path.abspath("joineryd")
WORKER = os.path.abspath("tests/unit/fake_worker")
PING, JOIN, STATUS, PEER_GET = 2, 3, 16, 30
ERROR, R_STATUS, R_PEER_GET = 2, 17, 27
MALFORMED, UNKNOWN_CALL, FRAME_TOO_LARGE, NOT_ALLOWED = 1, 2, 3, 6
TOKEN_UNAVAILABLE, BUSY, TIMEOUT, INTERNAL = 68, 71, 72, 73


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def parse(data):
    """A message as {number: [values]}."""
    fields, at = {}, 0

    def take():
        nonlocal at
        n = shift = 0
        while True:
            octet = data[at]
            at += 1
            n |= (octet & 127) << shift
            shift += 7
            if octet < 128:
                return n
    while at < len(data):
        key = take()
        value = take()
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        fields.setdefault(key >> 3, []).append(value)
    return fields


def request(ident, call, body=b""):
    return field(1, ident) + field(call, body)


def command(ident, name):
    return request(ident, PEER_GET, field(1, name))


def join(ident, dev_eui):
    phy = b"\0" * 9 + dev_eui[::-1] + b"\0" * 6
    return request(ident, JOIN, field(1, phy))


class Answer:
    def __init__(self, data):
        fields = parse(data)
        self.id = fields.get(1, [None])[0]
        (self.kind,) = [n for n in fields if n != 1]
        self.body = parse(fields[self.kind][0])
        self.code = self.body[1][0] if self.kind == ERROR else None

    def text(self):
        return self.body[2][0].decode()


class Client:
    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(10)

    def send(self, *messages):
        self.sock.sendall(b"".join(
            struct.pack(">I", len(m)) + m for m in messages))

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def receive(self):
        return Answer(self.exactly(struct.unpack(">I", self.exactly(4))[0]))

    def call(self, message):
        self.send(message)
        return self.receive()

    def closed(self, within):
        """Whether the server closes within so many seconds."""
        self.sock.settimeout(within)
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False

    def close(self):
        self.sock.close()


def option(value):
    """A value as joinery.conf has it."""
    if isinstance(value, list):
        return "{%s}" % ", ".join(option(v) for v in value)
    return value if isinstance(value, int) else "'%s'" % value


class Daemon:
    def __init__(self, folder, env, **options):
        self.folder = folder
        self.socket = folder + "/sock"
        self.log = folder + "/log"
        self.starts = folder + "/starts"
        self.exit_file = folder + "/exit"
        values = {"socket": self.socket, "token-uri": "pkcs11:token=t",
                  "worker-program": WORKER, "workers": 1,
                  "log-level": "debug"}
        values.update({k.replace("_", "-"): v for k, v in options.items()})
        with open(folder + "/conf", "w") as f:
            for name, value in values.items():
                f.write("%s = %s\n" % (name, option(value)))
        env = dict(os.environ, FAKE_STARTS=self.starts,
                   FAKE_EXIT=self.exit_file, **env)
        env.pop("JOURNAL_STREAM", None)
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [JOINERYD, "-c", folder + "/conf"], env=env, stderr=log)

    def connect(self):
        deadline = time.time() + 10
        while True:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(self.socket)
                return Client(sock)
            except OSError:
                sock.close()
                if time.time() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.02)

    def pids(self):
        try:
            with open(self.starts) as f:
                return [int(line) for line in f]
        except FileNotFoundError:
            return []

    def text(self):
        with open(self.log) as f:
            return f.read()

    def stop(self):
        self.process.terminate()
        return self.process.wait(20)


def until(condition, within=10):
    deadline = time.time() + within
    while not condition():
        if time.time() > deadline:
            return False
        time.sleep(0.02)
    return True


class Case(unittest.TestCase):
    def setUp(self):
        self.tmp = tempfile.TemporaryDirectory(prefix="joinery")
        self.daemon = None

    def start(self, env=None, ready=True, **options):
        self.daemon = Daemon(self.tmp.name, env or {}, **options)
        if not ready:
            return None
        client = self.daemon.connect()
        self.assertTrue(until(lambda: client.call(
            request(1, PING)).kind != ERROR), self.daemon.text())
        return client

    def tearDown(self):
        try:
            if self.daemon and self.daemon.process.poll() is None:
                self.assertEqual(self.daemon.stop(), 0, self.daemon.text())
                self.assertFalse(os.path.exists(self.daemon.socket))
            if self.daemon:
                text = self.daemon.text()
                self.assertNotIn("Sanitizer", text)
                self.assertNotIn("assert", text)
        finally:
            if self.daemon and self.daemon.process.poll() is None:
                self.daemon.process.kill()
                self.daemon.process.wait()
            self.tmp.cleanup()


class Frames(Case):
    def test_many_out_of_order(self):
        c = self.start()
        ids = list(range(1, 101))
        c.send(*[command(i, "hold") for i in ids], command(500, "release"))
        got = [c.receive().id for _ in range(101)]
        self.assertEqual(got, ids[::-1] + [500])

    def test_octet_by_octet(self):
        c = self.start()
        message = request(7, PING)
        for octet in struct.pack(">I", len(message)) + message:
            c.sock.sendall(bytes([octet]))
            time.sleep(0.005)
        self.assertEqual(c.receive().id, 7)

    def test_oversize(self):
        c = self.start()
        c.sock.sendall(struct.pack(">I", 65537) + b"x" * 1000)
        answer = c.receive()
        self.assertEqual(answer.code, FRAME_TOO_LARGE)
        self.assertEqual(len(answer.body[3][0]), 24)
        self.assertTrue(c.closed(5))

    def test_largest(self):
        c = self.start()
        body = field(100, b"x" * 65520)
        message = request(3, PING) + body
        message += b"\xf8\x07\x00" * ((65536 - len(message)) // 3)
        self.assertGreater(len(message), 65530)
        self.assertEqual(c.call(message).id, 3)

    def test_zero(self):
        c = self.start()
        c.sock.sendall(b"\0\0\0\0")
        self.assertEqual(c.receive().code, MALFORMED)
        self.assertTrue(c.closed(5))

    def test_truncated(self):
        c = self.start()
        c.send(request(4, PING))
        c.sock.sendall(b"\0\0\0\x09abc")
        c.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(c.receive().id, 4)
        self.assertTrue(c.closed(5))
        self.assertTrue(until(lambda: "ended in a frame" in
                              self.daemon.text()))

    def test_half_close_gets_answers(self):
        c = self.start()
        c.send(command(1, "hold"), command(2, "release"))
        c.sock.shutdown(socket.SHUT_WR)
        self.assertEqual([c.receive().id, c.receive().id], [1, 2])
        self.assertTrue(c.closed(5))

    def test_garbage_and_unknown(self):
        c = self.start()
        answer = c.call(b"\xff\xff\xff")
        self.assertEqual((answer.code, answer.id), (MALFORMED, None))
        answer = c.call(field(1, 9) + field(99, b"new call"))
        self.assertEqual((answer.code, answer.id), (UNKNOWN_CALL, 9))
        self.assertIn(answer.body[3][0].decode(), self.daemon.text())
        self.assertEqual(c.call(request(10, PING)).id, 10)

    def test_slow_frame(self):
        c = self.start(frame_timeout=1, idle_timeout=60)
        idle = self.daemon.connect()
        c.sock.sendall(b"\0\0")
        self.assertTrue(c.closed(4))
        self.assertIn("frame-timeout", self.daemon.text())
        self.assertEqual(idle.call(request(1, PING)).id, 1)

    def test_idle(self):
        c = self.start(idle_timeout=1)
        self.assertFalse(c.closed(0.3))
        self.assertTrue(c.closed(4))
        self.assertIn("idle-timeout", self.daemon.text())

    def test_waiting_is_not_idle(self):
        c = self.start(idle_timeout=1)
        c.send(command(1, "hold"))
        time.sleep(2.5)
        c.send(command(2, "release"))
        self.assertEqual([c.receive().id, c.receive().id], [1, 2])

    def test_max_in_flight_is_back_pressure(self):
        c = self.start(max_in_flight=3)
        helper = self.daemon.connect()
        c.send(*[command(i, "hold") for i in range(1, 6)])
        time.sleep(0.2)
        self.assertEqual(helper.call(command(9, "release")).id, 9)
        self.assertEqual([c.receive().id for _ in range(3)], [3, 2, 1])
        time.sleep(0.2)
        self.assertEqual(helper.call(command(9, "release")).id, 9)
        self.assertEqual([c.receive().id for _ in range(2)], [5, 4])

    def test_max_connections(self):
        c = self.start(max_connections=2)
        second = self.daemon.connect()
        self.assertEqual(second.call(request(1, PING)).id, 1)
        self.assertTrue(self.daemon.connect().closed(5))
        self.assertIn("raise max-connections", self.daemon.text())
        second.close()
        self.assertEqual(c.call(request(2, PING)).id, 2)

        def again():
            try:
                return self.daemon.connect().call(request(1, PING)).id == 1
            except (EOFError, OSError):
                return False
        self.assertTrue(until(again))

    def test_peer_that_does_not_read(self):
        c = self.start(frame_timeout=1, max_in_flight=4096)
        c.sock.settimeout(0.5)
        try:
            for i in range(1, 100000):
                c.send(command(i, "large"))
        except OSError:
            pass
        self.assertTrue(until(lambda: "does not read its answers" in
                              self.daemon.text()))
        other = self.daemon.connect()
        self.assertEqual(other.call(request(1, PING)).id, 1)

    def test_gone_while_in_flight(self):
        c = self.start()
        gone = self.daemon.connect()
        gone.send(*[command(i, "hold") for i in range(50)])
        time.sleep(0.2)
        gone.close()
        time.sleep(0.2)
        self.assertEqual(c.call(command(1, "release")).id, 1)
        self.assertEqual(c.call(request(2, PING)).id, 2)


class Peers(Case):
    def test_uid_and_descriptors(self):
        c = self.start(workers=2)
        peer = parse(c.call(command(1, "who")).body[1][0])
        self.assertEqual(peer[7], [os.getuid()])
        self.assertNotIn(6, peer)
        self.assertEqual(len(peer[1][0]), 24)
        fds = parse(c.call(command(2, "fds")).body[1][0])
        self.assertEqual(sorted(fds[3]), [0, 1, 2, 3, 4, 5])

    def test_effective_configuration(self):
        c = self.start(sessions=7, store="/with space")
        got = parse(c.call(command(1, "conf")).body[1][0])[1][0].decode()
        self.assertIn("sessions = 7\n", got)
        printed = subprocess.run(
            [JOINERYD, "-T", "-c", self.tmp.name + "/conf"],
            check=True, capture_output=True, text=True).stdout
        self.assertEqual(got, printed)

    def test_socket_mode(self):
        self.start(socket_mode=0o600)
        self.assertEqual(os.stat(self.daemon.socket).st_mode & 0o777, 0o600)

    def test_status(self):
        c = self.start(workers=2)
        self.assertTrue(until(lambda: len(self.daemon.pids()) == 2))
        answer = c.call(request(3, STATUS))
        self.assertEqual((answer.kind, answer.id), (R_STATUS, 3))
        self.assertEqual(answer.body[2], [self.daemon.process.pid])
        self.assertEqual(answer.body[5], [b"fake (0001)"])
        self.assertNotIn(7, answer.body)
        workers = [parse(w) for w in answer.body[9]]
        self.assertEqual([w[1][0] for w in workers], [0, 1])
        self.assertEqual(sorted(w[2][0] for w in workers),
                         sorted(self.daemon.pids()))
        self.assertGreater(workers[0][5][0], 100000)
        counters = {parse(x)[1][0]: parse(x)[2][0] for x in workers[0][7]}
        self.assertIn(b"step_commit_us", counters)
        self.assertGreater(len(answer.body[10]), 5)

    @unittest.skipIf(os.getuid() != 0, "needs root to be somebody else")
    def test_status_not_allowed(self):
        self.start(socket_mode=0o666)
        os.chmod(self.tmp.name, 0o755)
        code = ("import socket,sys\n"
                "s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1])\n"
                "s.sendall(bytes.fromhex(sys.argv[2]))\n"
                "sys.stdout.buffer.write(s.recv(4096))\n")
        message = request(3, STATUS)
        out = subprocess.run(
            ["/usr/bin/python3", "-c", code, self.daemon.socket,
             (struct.pack(">I", len(message)) + message).hex()],
            user=65534, check=True, capture_output=True, cwd="/").stdout
        self.assertEqual(Answer(out[4:]).code, NOT_ALLOWED)

    def test_stale_socket(self):
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(self.tmp.name + "/sock")
        stale.close()
        c = self.start()
        self.assertEqual(c.call(request(2, PING)).id, 2)
        second = subprocess.run(
            [JOINERYD, "-c", self.tmp.name + "/conf"],
            capture_output=True, text=True)
        self.assertNotEqual(second.returncode, 0)
        self.assertIn("another server listens", second.stderr)
        self.assertEqual(c.call(request(3, PING)).id, 3)

    def test_not_a_socket(self):
        with open(self.tmp.name + "/sock", "w") as f:
            f.write("precious")
        self.start(ready=False)
        self.assertNotEqual(self.daemon.process.wait(10), 0)
        self.assertIn("not a socket", self.daemon.text())
        self.assertTrue(os.path.exists(self.tmp.name + "/sock"))


class Workers(Case):
    def test_same_device_same_worker(self):
        c = self.start(workers=4)
        self.assertTrue(until(lambda: len(self.daemon.pids()) == 4))
        self.assertTrue(until(
            lambda: self.daemon.text().count("a worker is ready") == 4))
        seen = {}
        for _ in range(3):
            for i in range(40):
                eui = struct.pack(">Q", 0x70B3D57ED0000000 + i)
                pid = c.call(join(i, eui)).body[2][0]
                self.assertEqual(seen.setdefault(eui, pid), pid)
        self.assertEqual(len(set(seen.values())), 4)

    def test_killed_in_flight(self):
        c = self.start()
        c.send(command(1, "hold"), command(2, "hold"), command(3, "die"))
        answers = [c.receive() for _ in range(3)]
        self.assertEqual([a.code for a in answers], [TIMEOUT] * 3)
        self.assertEqual(sorted(a.id for a in answers), [1, 2, 3])
        self.assertIn("outcome unknown", answers[0].text())
        self.assertTrue(until(
            lambda: c.call(request(4, PING)).kind != ERROR))
        self.assertEqual(len(self.daemon.pids()), 2)

    def test_answers_before_death_arrive(self):
        c = self.start()
        c.send(*[request(i, PING) for i in range(1, 51)], command(99, "die"))
        answers = [c.receive() for _ in range(51)]
        self.assertEqual([a.id for a in answers if a.kind != ERROR],
                         list(range(1, 51)))
        self.assertEqual(answers[-1].code, TIMEOUT)

    def test_crash_back_off(self):
        c = self.start()
        times = []
        for _ in range(4):
            times.append(time.time())
            self.assertEqual(c.call(command(3, "die")).code, TIMEOUT)
            self.assertTrue(until(
                lambda: c.call(request(4, PING)).kind != ERROR))
        gaps = [b - a for a, b in zip(times, times[1:])]
        self.assertLess(gaps[0], 1)
        self.assertGreater(gaps[1], 0.09)
        self.assertGreater(gaps[2], 0.19)

    def test_unavailable_backs_off(self):
        with open(self.tmp.name + "/exit", "w") as f:
            f.write("69")
        self.start(ready=False)
        c = self.daemon.connect()
        time.sleep(1.1)
        self.assertEqual(c.call(request(1, PING)).code, TOKEN_UNAVAILABLE)
        starts = len(self.daemon.pids())
        self.assertGreaterEqual(starts, 3)  # after 0, 0.1, 0.3, 0.7 s
        self.assertLessEqual(starts, 5)
        os.unlink(self.daemon.exit_file)
        self.assertTrue(until(
            lambda: c.call(request(1, PING)).kind != ERROR))

    def test_pin_latch(self):
        with open(self.tmp.name + "/exit", "w") as f:
            f.write("77")
        self.start(ready=False, workers=4)
        c = self.daemon.connect()
        time.sleep(1)
        answer = c.call(request(1, PING))
        self.assertEqual(answer.code, TOKEN_UNAVAILABLE)
        self.assertIn("PIN", answer.text())
        self.assertEqual(len(self.daemon.pids()), 1)
        self.assertIn(b"PIN", c.call(request(1, STATUS)).body[7][0])
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertTrue(until(lambda: len(self.daemon.pids()) == 2))
        time.sleep(0.5)
        self.assertEqual(len(self.daemon.pids()), 2)
        os.unlink(self.daemon.exit_file)
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertTrue(until(
            lambda: c.call(request(1, PING)).kind != ERROR))
        self.assertTrue(until(lambda: len(self.daemon.pids()) == 6))

    def test_pin_changed_meanwhile(self):
        c = self.start(workers=4)
        self.assertTrue(until(
            lambda: self.daemon.text().count("a worker is ready") == 4))
        with open(self.daemon.exit_file, "w") as f:
            f.write("77")
        for pid in self.daemon.pids()[:3]:
            os.kill(pid, signal.SIGKILL)
        self.assertTrue(until(lambda: len(self.daemon.pids()) == 5))
        time.sleep(0.5)
        self.assertEqual(len(self.daemon.pids()), 5)
        self.assertNotEqual(c.call(request(1, PING)).kind, ERROR)
        self.assertIn(b"PIN", c.call(request(1, STATUS)).body[7][0])
        os.unlink(self.daemon.exit_file)
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertTrue(until(lambda: len(self.daemon.pids()) == 8))

    def test_one_starts_at_a_time(self):
        self.start(workers=4)
        self.assertTrue(until(
            lambda: self.daemon.text().count("a worker is ready") == 4))
        lines = [line for line in self.daemon.text().splitlines()
                 if "started a worker" in line or "a worker is ready" in line]
        self.assertEqual(["ready" in line for line in lines],
                         [False, True] * 4)

    def test_first_alone(self):
        self.start(ready=False, env={"FAKE_MUTE": "1"}, workers=4,
                   worker_deadline=100)
        c = self.daemon.connect()
        time.sleep(0.5)
        self.assertEqual(len(self.daemon.pids()), 1)
        self.assertEqual(c.call(request(1, PING)).code, TOKEN_UNAVAILABLE)

    def test_never_ready(self):
        self.start(ready=False, env={"FAKE_MUTE": "1"},
                   worker_start_timeout=1)
        self.assertTrue(until(lambda: len(self.daemon.pids()) >= 2))
        self.assertIn("worker-start-timeout", self.daemon.text())

    def test_unfit_token_ends_start(self):
        for status, text in ((65, "lacks a mechanism"),
                             (78, "configuration")):
            with open(self.tmp.name + "/exit", "w") as f:
                f.write(str(status))
            self.start(ready=False)
            self.assertEqual(self.daemon.process.wait(10), status)
            self.assertIn(text, self.daemon.text())
            self.assertFalse(os.path.exists(self.daemon.socket))

    def test_no_status_ends_service(self):
        """Once a worker was ready: the others serve, the one is retried."""
        for status in (65, 69, 78):
            c = self.start(workers=2)
            self.assertTrue(until(
                lambda: self.daemon.text().count("a worker is ready") == 2))
            with open(self.daemon.exit_file, "w") as f:
                f.write(str(status))
            self.assertEqual(c.call(command(1, "die")).code, TIMEOUT)
            self.assertTrue(until(lambda: len(self.daemon.pids()) >= 5))
            for i in range(20):
                self.assertIsNone(c.call(join(i, bytes([i] * 8))).code)
            self.assertNotIn("stopping", self.daemon.text())
            os.unlink(self.daemon.exit_file)
            self.assertTrue(until(
                lambda: self.daemon.text().count("a worker is ready") == 3))
            self.assertEqual(self.daemon.stop(), 0)
            os.unlink(self.daemon.starts)

    def test_no_status_ends_the_last_worker(self):
        """The same when no worker is left meanwhile."""
        for status in (65, 78):
            c = self.start()
            with open(self.daemon.exit_file, "w") as f:
                f.write(str(status))
            self.assertEqual(c.call(command(1, "die")).code, TIMEOUT)
            self.assertTrue(until(lambda: len(self.daemon.pids()) >= 3))
            self.assertEqual(c.call(request(2, PING)).code, TOKEN_UNAVAILABLE)
            os.unlink(self.daemon.exit_file)
            self.assertTrue(until(
                lambda: c.call(request(1, PING)).kind != ERROR))
            self.assertEqual(self.daemon.stop(), 0)
            os.unlink(self.daemon.starts)

    def test_deadline(self):
        c = self.start(worker_deadline=300)
        began = time.time()
        self.assertEqual(c.call(command(1, "hang")).code, TIMEOUT)
        self.assertLess(time.time() - began, 2)
        self.assertGreater(time.time() - began, 0.29)
        self.assertIn("worker-deadline", self.daemon.text())
        self.assertTrue(until(
            lambda: c.call(request(1, PING)).kind != ERROR))

    def counter(self, client, name):
        """A counter of the front."""
        counters = [parse(x) for x in client.call(
            request(1, STATUS)).body[10]]
        return {c[1][0].decode(): c[2][0] for c in counters}[name]

    def test_overload_kills_nobody(self):
        c = self.start(worker_deadline=300)
        c.send(*[command(i, "slow") for i in range(60)])  # 1.2 s of work
        answers = [c.receive() for _ in range(60)]
        self.assertEqual(sorted(a.id for a in answers), list(range(60)))
        late = [a for a in answers if a.kind == ERROR]
        self.assertEqual({a.code for a in late}, {TIMEOUT})
        self.assertGreater(len(late), 20)
        self.assertLess(len(late), 55)
        self.assertIn("outcome unknown", late[0].text())
        self.assertTrue(until(
            lambda: c.call(request(99, PING)).kind != ERROR))
        self.assertEqual(self.counter(c, "timed_out"),
                         self.counter(c, "dropped"))
        self.assertEqual(self.counter(c, "worker_kills"), 0)
        self.assertEqual(len(self.daemon.pids()), 1)

    def test_one_request_stuck(self):
        c = self.start(worker_deadline=300)
        c.send(command(1, "hold"))
        timeout = None
        for i in range(6):  # less than three deadlines
            c.send(request(2, PING))
            time.sleep(0.1)
            answer = c.receive()
            if answer.id == 1:
                timeout, answer = answer, c.receive()
            self.assertEqual(answer.id, 2)
        self.assertEqual(timeout.code, TIMEOUT)
        self.assertEqual(c.call(command(3, "release")).id, 3)
        self.assertEqual(c.call(request(4, PING)).id, 4)
        self.assertEqual(self.counter(c, "dropped"), 1)
        self.assertEqual(len(self.daemon.pids()), 1)

    def test_one_request_stuck_for_good(self):
        """The worker answers the others, but one of its threads hangs."""
        c = self.start(worker_deadline=200)
        stuck = self.daemon.connect()
        stuck.send(command(1, "hold"))
        began = time.time()
        self.assertTrue(until(
            lambda: c.call(request(2, PING)) and
            "stuck" in self.daemon.text()))
        self.assertGreater(time.time() - began, 0.59)
        self.assertLess(time.time() - began, 2)
        self.assertEqual(stuck.receive().code, TIMEOUT)
        self.assertTrue(until(
            lambda: c.call(request(2, PING)).kind != ERROR))
        self.assertEqual(self.counter(c, "worker_kills"), 1)
        self.assertEqual(self.counter(c, "timed_out"), 1)
        self.assertEqual(len(self.daemon.pids()), 2)

    def test_late_requests_of_dead_worker(self):
        c = self.start(worker_deadline=200)
        c.send(command(1, "hold"))
        for _ in range(3):
            self.assertEqual(c.call(command(2, "slow")).id, 2)
            time.sleep(0.1)
        self.assertEqual(c.receive().code, TIMEOUT)
        self.assertEqual(c.call(command(3, "die")).code, TIMEOUT)
        self.assertTrue(until(
            lambda: c.call(request(4, PING)).kind != ERROR))
        self.assertEqual(self.counter(c, "lost"), 1)

    def test_other_worker_takes_over(self):
        c = self.start(workers=2)
        self.assertTrue(until(
            lambda: self.daemon.text().count("a worker is ready") == 2))
        with open(self.daemon.exit_file, "w") as f:
            f.write("69")
        self.assertEqual(c.call(command(1, "die")).code, TIMEOUT)
        for i in range(20):
            self.assertIsNone(c.call(join(i, bytes([i] * 8))).code)
        os.unlink(self.daemon.exit_file)

    def test_replacement_loses_nothing(self):
        c = self.start(worker_max_joins=200)
        sent = got = 0
        pids = set()
        while len(pids) < 4 and sent < 100000:
            c.send(*[join(sent + i, bytes([i] * 8)) for i in range(20)])
            sent += 20
            for _ in range(20):
                answer = c.receive()
                self.assertIsNone(answer.code)
                pids.add(answer.body[2][0])
                got += 1
        self.assertEqual(got, sent)
        self.assertGreaterEqual(len(pids), 4)
        self.assertNotIn("killed", self.daemon.text())

    def test_busy(self):
        c = self.start(worker_queue=5)
        c.send(*[command(i, "hold") for i in range(1, 9)])
        busy = [c.receive() for _ in range(3)]
        self.assertEqual([(a.id, a.code) for a in busy],
                         [(6, BUSY), (7, BUSY), (8, BUSY)])

    def test_worker_that_lies(self):
        for name in ("junk", "stray"):
            with self.subTest(name):
                c = self.start()
                self.assertEqual(c.call(command(1, name)).code, TIMEOUT)
                self.assertTrue(until(
                    lambda: c.call(request(2, PING)).kind != ERROR))
                self.assertEqual(self.daemon.stop(), 0)

    def test_empty_reply(self):
        c = self.start()
        self.assertEqual(c.call(command(1, "empty")).code, INTERNAL)
        self.assertEqual(c.call(request(2, PING)).id, 2)

    def test_term_drains(self):
        c = self.start()
        c.send(*[request(i, PING) for i in range(1, 101)])
        self.assertEqual(c.receive().id, 1)
        self.daemon.process.terminate()
        try:
            for i in range(2, 101):
                self.assertEqual(c.receive().id, i)
        except EOFError:
            self.fail("answers lost")
        self.assertTrue(c.closed(5))
        self.assertEqual(self.daemon.process.wait(10), 0)
        self.assertNotIn("killed", self.daemon.text())

    def test_term_is_bounded(self):
        c = self.start(worker_deadline=200)
        c.send(command(1, "hang"))
        time.sleep(0.05)
        began = time.time()
        self.assertEqual(self.daemon.stop(), 0)
        self.assertLess(time.time() - began, 4)
        self.assertEqual(c.receive().code, TIMEOUT)

    def test_no_worker_program(self):
        self.start(ready=False, worker_program="/nonexistent/worker")
        self.assertEqual(self.daemon.process.wait(10), 78)
        self.assertIn("worker-program", self.daemon.text())


CA_CONF = """
[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical, CA:true
[server]
subjectAltName = DNS:localhost
[client]
subjectAltName = DNS:ns.example.org,URI:urn:joinery:ns,email:a@b.c
extendedKeyUsage = clientAuth
"""


def openssl(folder, *args):
    subprocess.run(["openssl", *args], cwd=folder, check=True,
                   capture_output=True)


def make_certificates(folder):
    with open(folder + "/x.conf", "w") as f:
        f.write(CA_CONF)
    for ca in ("ca", "other-ca"):
        openssl(folder, "req", "-x509", "-config", "x.conf", "-extensions",
                "ca", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-keyout", ca + ".key", "-out", ca + ".pem",
                "-subj", "/CN=" + ca, "-days", "2")
    for name, ca, kind in (("server", "ca", "server"),
                           ("server2", "ca", "server"),
                           ("client", "ca", "client"),
                           ("stranger", "other-ca", "client")):
        openssl(folder, "req", "-x509", "-config", "x.conf", "-extensions",
                kind, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-keyout", name + ".key", "-out", name + ".pem",
                "-subj", "/CN=" + name, "-days", "2",
                "-CA", ca + ".pem", "-CAkey", ca + ".key")


class Tls(Case):
    @classmethod
    def setUpClass(cls):
        cls.certs = tempfile.TemporaryDirectory(prefix="joinery")
        cls.dir = cls.certs.name
        make_certificates(cls.dir)

    @classmethod
    def tearDownClass(cls):
        cls.certs.cleanup()

    def start_tls(self, folder=None, **options):
        folder = folder or self.dir
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        return self.start(
            tls_listen="127.0.0.1:%d" % self.port,
            tls_certificate=folder + "/server.pem",
            tls_key=folder + "/server.key",
            tls_client_ca=folder + "/ca.pem", **options)

    def context(self, cert):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.dir + "/ca.pem")
        if cert:
            context.load_cert_chain(self.dir + "/%s.pem" % cert,
                                    self.dir + "/%s.key" % cert)
        return context

    def tls(self, context):
        sock = socket.create_connection(("127.0.0.1", self.port), 10)
        return Client(context.wrap_socket(sock, server_hostname="localhost"))

    def refused(self, context):
        try:
            self.tls(context).call(request(1, PING))
        except (ssl.SSLError, OSError, EOFError):
            return True
        return False

    def test_credential(self):
        self.start_tls()
        c = self.tls(self.context("client"))
        self.assertEqual(c.sock.version(), "TLSv1.3")
        peer = parse(c.call(command(1, "who")).body[1][0])
        with open(self.dir + "/client.pem") as f:
            der = ssl.PEM_cert_to_DER_cert(f.read())
        import hashlib
        self.assertEqual(peer[6], [hashlib.sha256(der).digest()])
        self.assertEqual(peer[4], [b"ns.example.org", b"urn:joinery:ns"])
        self.assertNotIn(7, peer)
        self.assertEqual(c.call(request(2, STATUS)).code, NOT_ALLOWED)
        c.close()

    def test_tls12_and_back_pressure(self):
        self.start_tls(max_in_flight=4)
        context = self.context("client")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        c = self.tls(context)
        self.assertEqual(c.sock.version(), "TLSv1.2")
        c.send(*[request(i, PING) for i in range(2000)])
        self.assertEqual([c.receive().id for _ in range(2000)],
                         list(range(2000)))
        self.assertEqual(c.call(command(1, "large")).kind, R_PEER_GET)
        c.close()

    def test_refusals(self):
        self.start_tls()
        self.assertTrue(self.refused(self.context(None)))
        self.assertTrue(self.refused(self.context("stranger")))
        old = self.context("client")
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        self.assertTrue(self.refused(old))
        self.assertTrue(until(lambda: self.daemon.text().count(
            "TLS handshake failed") == 3), self.daemon.text())
        self.assertFalse(self.refused(self.context("client")))

    def test_refusal_is_told(self):
        """Also with TLS 1.3, where a client asks before it is refused."""
        self.start_tls()
        for cert, alert in ((None, "CERTIFICATE_REQUIRED"),
                            ("stranger", "UNKNOWN_CA")):
            c = self.tls(self.context(cert))
            with self.assertRaises(ssl.SSLError) as raised:
                c.send(*[request(i, PING) for i in range(1000)])
                time.sleep(0.2)
                c.receive()
            self.assertIn(alert, str(raised.exception))
            c.close()

    def test_oversize_is_told(self):
        self.start_tls()
        c = self.tls(self.context("client"))
        c.sock.sendall(struct.pack(">I", 65537) + b"x" * 300000)
        time.sleep(0.2)
        self.assertEqual(c.receive().code, FRAME_TOO_LARGE)
        self.assertTrue(c.closed(5))

    def test_half_close(self):
        self.start_tls()
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            context = self.context("client")
            context.maximum_version = version
            into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(into, out, server_hostname="localhost")
            sock = socket.create_connection(("127.0.0.1", self.port), 10)

            def run(step):
                while True:
                    try:
                        return step()
                    except ssl.SSLWantReadError:
                        sock.sendall(out.read())
                        data = sock.recv(65536)
                        self.assertTrue(data, "closed without close_notify")
                        into.write(data)
            run(tls.do_handshake)
            message = command(7, "slow")
            tls.write(struct.pack(">I", len(message)) + message)
            self.assertRaises(ssl.SSLWantReadError, tls.unwrap)
            data = run(lambda: tls.read(1000))
            self.assertEqual(Answer(data[4:]).id, 7)
            self.assertRaises(ssl.SSLZeroReturnError,
                              run, lambda: tls.read(1000))
            sock.close()

    def test_reload(self):
        for name in "server.pem", "server.key", "ca.pem":
            shutil.copy(self.dir + "/" + name, self.tmp.name)
        self.start_tls(folder=self.tmp.name)
        context = self.context("client")
        before = self.tls(context)
        old = before.sock.getpeercert(True)

        def hangup(line):
            n = self.daemon.text().count(line)
            self.daemon.process.send_signal(signal.SIGHUP)
            self.assertTrue(until(
                lambda: self.daemon.text().count(line) > n))
        with open(self.tmp.name + "/server.key", "w") as f:
            f.write("no key")
        hangup("kept the old files of TLS")
        self.assertIn("server.key", self.daemon.text())
        c = self.tls(context)
        self.assertEqual(c.sock.getpeercert(True), old)
        c.close()
        for end in "pem", "key":
            shutil.copy(self.dir + "/server2." + end,
                        self.tmp.name + "/server." + end)
        hangup("reading the files of TLS")
        c = self.tls(context)
        self.assertNotEqual(c.sock.getpeercert(True), old)
        self.assertEqual(c.call(request(1, PING)).id, 1)
        self.assertEqual(before.call(request(2, PING)).id, 2)
        c.close()
        before.close()

    def test_slow_handshake(self):
        self.start_tls(frame_timeout=1)
        sock = socket.create_connection(("127.0.0.1", self.port), 10)
        self.assertTrue(Client(sock).closed(4))

    def test_not_tls(self):
        self.start_tls()
        sock = socket.create_connection(("127.0.0.1", self.port), 10)
        c = Client(sock)
        c.send(request(1, PING))
        self.assertRaises((EOFError, OSError, ValueError, KeyError,
                           struct.error), lambda: c.closed(5) and c.receive())

    def test_wrong_file(self):
        with open(self.tmp.name + "/conf", "w") as f:
            f.write("token-uri = 'pkcs11:token=t'\nworker-program = '%s'\n"
                    "tls-listen = '127.0.0.1:1'\ntls-certificate = '%s'\n"
                    "tls-key = '%s'\ntls-client-ca = '%s'\n" % (
                        WORKER, self.dir + "/server.pem",
                        self.dir + "/client.key", self.dir + "/ca.pem"))
        got = subprocess.run([JOINERYD, "-t", "-c", self.tmp.name + "/conf"],
                             capture_output=True, text=True)
        self.assertEqual(got.returncode, 78)
        self.assertIn("tls-key", got.stderr)


class CommandLine(unittest.TestCase):
    def run_it(self, *args):
        return subprocess.run([JOINERYD, *args], capture_output=True,
                              text=True)

    def test_options(self):
        self.assertIn("joineryd ", self.run_it("-V").stdout)
        self.assertEqual(self.run_it("-x").returncode, 1)
        self.assertEqual(self.run_it("stray").returncode, 1)
        got = self.run_it("-t", "-c", "/nonexistent/joinery.conf")
        self.assertEqual(got.returncode, 78)
        self.assertIn("/nonexistent/joinery.conf", got.stderr)

    def test_pin_source(self):
        uri = "pkcs11:token=t?module-path=/m&pin-source="
        cases = (("fd:3", 78), ("prompt:", 78), ("FD%3A3", 78),
                 ("file:/fd:3", 0), ("credential:fd", 0))
        with tempfile.TemporaryDirectory(prefix="joinery") as folder:
            for source, status in cases:
                with open(folder + "/conf", "w") as f:
                    f.write("token-uri = '%s'\nworker-program = '%s'\n"
                            "socket = '%s/sock'\n" % (
                                uri + source, WORKER, folder))
                got = self.run_it("-t", "-c", folder + "/conf")
                self.assertEqual(got.returncode, status, source)
                if status == 0:
                    continue
                self.assertIn("file: or credential:", got.stderr)
                got = self.run_it("-c", folder + "/conf")
                self.assertEqual(got.returncode, status, source)
                self.assertFalse(os.path.exists(folder + "/sock"))

    def test_closed_standard_descriptors(self):
        got = subprocess.run(
            ["sh", "-c", 'exec "$1" -c /nonexistent <&- 2>&-', "sh",
             JOINERYD])
        self.assertEqual(got.returncode, 78)

    def test_links_no_token_and_no_store(self):
        libraries = subprocess.run(["ldd", JOINERYD], check=True,
                                   capture_output=True, text=True).stdout
        self.assertIn("libssl", libraries)
        self.assertNotIn("p11-kit", libraries)
        self.assertNotIn("lmdb", libraries)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
