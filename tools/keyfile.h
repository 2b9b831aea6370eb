/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of a sealed key file, joinery-keyfile(5): read into structs and
 * written from them.  Pure: no file, no key and no cryptography here.  Wrapped
 * keys pass through as they are; the MAC is the caller's to check, over the
 * octets that keyfile_end says, before anything of the file is used.
 *
 * There is one way to write a file: what the reader accepts, the writer writes
 * again octet by octet, except that words of a device line may stand in
 * another order.
 */
#ifndef JY_TOOLS_KEYFILE_H
#define JY_TOOLS_KEYFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"
#include "src/base/hex.h"
#include "src/lorawan/version.h"
#include "src/store/rows.h"

#define KEYFILE_LINE_MAX 2048 /* octets of a line, its LF included */
#define KEYFILE_FINGERPRINT_LEN 32
#define KEYFILE_TRANSPORT_MAX 512
#define KEYFILE_WRAPPED_LEN 24
#define KEYFILE_MAC_LEN 16

struct keyfile_header {
	uint8_t import_key[KEYFILE_FINGERPRINT_LEN];
	uint8_t transport_key[KEYFILE_TRANSPORT_MAX]; /* sealed */
	size_t transport_key_len;
};

struct keyfile_key {
	bool present;
	uint8_t wrapped[KEYFILE_WRAPPED_LEN];
	uint8_t check_value[STORE_KCV_LEN];
};

enum keyfile_v10_root {
	KEYFILE_V10_ROOT_ABSENT,
	KEYFILE_V10_ROOT_NWK,
	KEYFILE_V10_ROOT_APP,
	KEYFILE_V10_ROOT_DEFAULT
};

/* A device line; what it does not say is absent, "" or 0 here. */
struct keyfile_device {
	struct eui64 join_eui;
	struct eui64 dev_eui;
	enum lw_version mac_version; /* LW_VERSION_NONE: as the NS says */
	struct keyfile_key nwk;      /* one of these two at least */
	struct keyfile_key app;
	uint32_t net_ids[STORE_NET_IDS_MAX];
	size_t net_id_count;
	char as_id[STORE_AS_ID_MAX + 1]; /* texts are UTF-8, decoded */
	char ns_kek[STORE_LABEL_MAX + 1];
	char as_kek[STORE_LABEL_MAX + 1];
	char app_name[STORE_LABEL_MAX + 1];
	char device_name[STORE_LABEL_MAX + 1];
	enum keyfile_v10_root v10_root;
	bool has_resets_join_nonces;
	bool resets_join_nonces;
	bool has_join_nonce;
	uint32_t join_nonce; /* the last one used */
	bool has_dev_nonce;
	uint16_t dev_nonce; /* the highest one used */
};

struct keyfile_end {
	uint64_t devices;
	uint8_t mac[KEYFILE_MAC_LEN];
	/*
	 * The MAC is over every line before this one, LFs included, and so many
	 * octets of this one.
	 */
	size_t covered;
};

/* ---- reading ---- */

/* What a line was. */
enum keyfile_line {
	KEYFILE_HEADER,     /* one of the first lines, more to come */
	KEYFILE_HEADER_END, /* the last of them: the header is complete */
	KEYFILE_DEVICE,
	KEYFILE_END
};

struct keyfile_reader {
	unsigned state;   /* of keyfile_read, not for callers */
	uint64_t line;    /* the number of the last line read, from 1 */
	uint64_t devices; /* device lines so far, wrong ones included */
	struct keyfile_header header; /* complete since KEYFILE_HEADER_END */
	struct keyfile_end end;       /* complete since KEYFILE_END */
};

void keyfile_reader_init(struct keyfile_reader *r);

/*
 * Read the next line, of len octets without its LF; *device is written where
 * *kind is KEYFILE_DEVICE.  JY_EINVAL for anything else than a line of the
 * format that may stand here; the detail begins with "line N: " and never
 * shows a digit of a key.
 *
 * After a wrong device line, one that begins with "device ", reading may go
 * on with the next, so that all wrong ones can be told; after any other
 * failure every further line fails, too.  That the last line was KEYFILE_END,
 * with its LF, and nothing came after it, is for the caller to see:
 * keyfile_read_done says it.
 */
enum jy_err keyfile_read(struct keyfile_reader *r, const char *line, size_t len,
    enum keyfile_line *kind, struct keyfile_device *device,
    struct errctx *ec) JY_CHECK;

/* At the end of the file: JY_EINVAL when its end line is missing. */
enum jy_err keyfile_read_done(
    const struct keyfile_reader *r, struct errctx *ec) JY_CHECK;

/* ---- writing: lines with their LF, NUL-terminated ---- */

#define KEYFILE_HEADER_LEN 2048 /* room for all lines of a header */

/* All lines of a header; returns their length. */
size_t keyfile_write_header(
    const struct keyfile_header *header, char out[KEYFILE_HEADER_LEN]);

/*
 * A device line.  JY_EINVAL, out untouched, for a struct that the reader
 * would never give: no key, a text that is not UTF-8 or has a control
 * character, a number out of range.
 */
enum jy_err keyfile_write_device(const struct keyfile_device *device,
    char out[KEYFILE_LINE_MAX], size_t *len, struct errctx *ec) JY_CHECK;

/*
 * The end line up to and including the blank before the MAC, which is what
 * the MAC is over; and the MAC itself with its LF.
 */
size_t keyfile_write_end(uint64_t devices, char out[KEYFILE_LINE_MAX]);
size_t keyfile_write_mac(
    const uint8_t mac[KEYFILE_MAC_LEN], char out[KEYFILE_LINE_MAX]);

/* ---- texts ---- */

/* True for UTF-8 without control characters, of 1 to max octets. */
bool keyfile_text_ok(const char *text, size_t max) JY_CHECK;

/* True for an octet that stands for itself; any other one becomes %XX. */
bool keyfile_plain(char c) JY_CHECK;

#endif
