/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between messages of the framed protocol and rows.  Readers check lengths
 * and ranges and say which field was wrong; writers take memory from an arena.
 */
#ifndef JY_WORKER_CONVERT_H
#define JY_WORKER_CONVERT_H

#include "proto/joinery.pb-c.h"
#include "src/base/arena.h"
#include "src/join/access.h"
#include "src/join/session.h"

/* Octets of an exact length; a missing field is an error too. */
enum jy_err convert_octets(const char *field, protobuf_c_boolean has,
    const ProtobufCBinaryData *in, uint8_t *out, size_t len,
    struct errctx *ec) JY_CHECK;

/*
 * A text into a row's field of cap octets (NUL included): UTF-8 without
 * control characters, so that every file can hold it, and not too long.  NULL
 * leaves the field as it is.
 */
enum jy_err convert_text(const char *field, const char *in, char *out,
    size_t cap, struct errctx *ec) JY_CHECK;

/* A name that must be there, into a row's field. */
enum jy_err convert_name(const char *field, const char *in,
    char out[STORE_LABEL_MAX + 1], struct errctx *ec) JY_CHECK;

/*
 * Likewise what is only looked for: a store that was written before texts had
 * to be UTF-8 may hold others, which must be found to be deleted.
 */
enum jy_err convert_known_text(const char *field, const char *in, char *out,
    size_t cap, struct errctx *ec) JY_CHECK;
enum jy_err convert_known_name(const char *field, const char *in,
    char out[STORE_LABEL_MAX + 1], struct errctx *ec) JY_CHECK;

/* The store says only that it found nothing; people want to know what. */
enum jy_err convert_absent(const char *what, const char *name, enum jy_err err,
    struct errctx *ec) JY_CHECK;

/* An EUI that may be missing: *out is NULL then, else in the arena. */
enum jy_err convert_eui(const char *field, protobuf_c_boolean has,
    const ProtobufCBinaryData *in, struct arena *arena,
    const struct eui64 **out, struct errctx *ec) JY_CHECK;

/* Whom a request speaks for; in may be NULL.  out borrows in. */
enum jy_err convert_sender(const Joinery__V1__Sender *in, struct sender *out,
    struct errctx *ec) JY_CHECK;

enum jy_err convert_device_id(const Joinery__V1__DeviceId *in,
    struct device_id *out, struct errctx *ec) JY_CHECK;

enum jy_err convert_mac_version(Joinery__V1__MacVersion in,
    enum lw_version *out, struct errctx *ec) JY_CHECK;

/* Add NetIDs to a row's list, each once. */
enum jy_err convert_net_ids(const uint32_t *in, size_t n, uint32_t *list,
    uint8_t *count, struct errctx *ec) JY_CHECK;

/* out borrows in. */
enum jy_err convert_sealed(const char *field, const Joinery__V1__SealedKey *in,
    struct hsm_sealed *out, struct errctx *ec) JY_CHECK;

/* A new message in the arena, ready for its fields. */
void *convert_new(struct arena *arena, const ProtobufCMessageDescriptor *type);

/* Octets into a bytes field. */
void convert_binary(struct arena *arena, const void *p, size_t len,
    protobuf_c_boolean *has, ProtobufCBinaryData *out);

Joinery__V1__DeviceId *convert_to_device_id(
    struct arena *arena, const struct device_id *id);
Joinery__V1__Session *convert_to_session(
    struct arena *arena, const struct session_row *row);

Joinery__V1__Session **convert_to_sessions(
    struct arena *arena, const struct session_row *rows, size_t n);

/* NULL when the envelope is empty. */
Joinery__V1__KeyEnvelope *convert_to_envelope(
    struct arena *arena, const struct key_envelope *in);

/* NULL for an empty text. */
char *convert_to_text(struct arena *arena, const char *text);

#endif
