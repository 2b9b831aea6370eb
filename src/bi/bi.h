/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LoRaWAN Backend Interfaces (TS002) messages to calls of the framed protocol
 * and their results back, as a Join Server sees them.  Pure: octets in, octets
 * out; no socket, no clock, no store.
 *
 * Liberal in what it takes (hexadecimal digits of either case, one 0x, unknown
 * members, each spelling of MACVersion), exact in what it gives (no null, no
 * escapes inside hexadecimal strings, lower-case digits).
 */
#ifndef JY_BI_BI_H
#define JY_BI_BI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/joinery.pb-c.h"
#include "src/base/err.h"

#define BI_BODY_MAX 32768U /* octets of a message that is looked at */
#define BI_ID_MAX 128U     /* SenderID, ReceiverID */
#define BI_TYPE_MAX 32U    /* MessageType */
#define BI_TOKEN_MAX 256U  /* digits of SenderToken, ReceiverToken */
#define BI_PHY_MAX 64U     /* more can be no join-request */

enum bi_version {
	BI_1_0, /* also how errors are named before a version is known */
	BI_1_1
};

/* How a message was read. */
enum bi_reading {
	BI_CALL,    /* it asks for something: bi_request.call */
	BI_REFUSED, /* an answer can be addressed, bi_write_refusal */
	BI_NOTICE,  /* ErrorNotif: log it, never answer */
	BI_GARBAGE  /* no answer can be addressed: bi_write_garbage */
};

/* Result codes, named by version in bi_result.def. */
enum bi_result {
#define X(id, name_1_0, name_1_1, description) BI_RESULT_##id,
#include "src/bi/bi_result.def"
#undef X
	BI_RESULT_COUNT
};

/* A message as read; call points into the struct, so it must not move. */
struct bi_request {
	enum bi_version version;
	uint32_t transaction_id;
	char message_type[BI_TYPE_MAX + 1]; /* "JoinReq" */
	char sender_id[BI_ID_MAX + 1];      /* as they were written */
	char receiver_id[BI_ID_MAX + 1];
	char sender_token[BI_TOKEN_MAX + 1]; /* "": absent */
	char receiver_token[BI_TOKEN_MAX + 1];
	char sender_ns_id[17]; /* 1.1 only; "": absent */
	char receiver_ns_id[17];
	char dev_eui[17];
	enum bi_result refused; /* if BI_REFUSED */

	Joinery__V1__Request call; /* if BI_CALL; without id */
	Joinery__V1__Sender sender;
	Joinery__V1__JoinRequest join; /* JoinReq and RejoinReq */
	Joinery__V1__AppSKeyRequest app_s_key;
	Joinery__V1__HomeNsRequest home_ns;
	uint8_t phy[BI_PHY_MAX];
	uint8_t cf_list[16];
	uint8_t dev_eui_be[8];
	uint8_t join_eui_be[8];
	uint8_t ns_id_be[8];
	uint8_t session_key_id[16];
};

/*
 * Read a message of len octets, more than BI_BODY_MAX are refused unread.
 * With BI_REFUSED and BI_GARBAGE ec says what was wrong with which member;
 * with BI_NOTICE what was notified.
 */
enum bi_reading bi_read(const void *body, size_t len, struct bi_request *out,
    struct errctx *ec) JY_CHECK;

/*
 * How an error is answered; of_call: in answer to a message that was read as
 * BI_CALL.  The name under a version is a static string.
 */
enum bi_result bi_result_of(Joinery__V1__ErrorCode code);
enum bi_result bi_result_of_call(
    const struct bi_request *q, Joinery__V1__ErrorCode code);
const char *bi_result_name(enum bi_result result, enum bi_version version);

/*
 * The Ans to a request, as text of *len octets that the caller gives to
 * bi_free; NULL when memory is short.  bi_write_answer takes what the call
 * answered: the one that belongs to it, or an Error; anything else becomes
 * Other.  request_id is what the log shows; it goes into the Description of
 * refusals.  bi_write_garbage makes a Result alone.
 */
char *bi_write_answer(const struct bi_request *q,
    const Joinery__V1__Response *response, const char *request_id, size_t *len);
char *bi_write_refusal(const struct bi_request *q, enum bi_result result,
    const char *request_id, size_t *len);
char *bi_write_garbage(
    enum bi_version version, const char *request_id, size_t *len);

/* Wipe and free; there may be keys in it. */
void bi_free(char *text, size_t len);

#endif
