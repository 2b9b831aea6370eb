/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where error codes become codes of the framed protocol. */
#include "proto/errcode.h"

Joinery__V1__ErrorCode
errcode_of(enum jy_err err)
{
	switch (err) {
	case JY_EINVAL:
		return JOINERY__V1__ERROR_CODE__MALFORMED_REQUEST;
	case JY_ECALL:
		return JOINERY__V1__ERROR_CODE__UNKNOWN_CALL;
	case JY_EFRAMESIZE:
		return JOINERY__V1__ERROR_CODE__FRAME_SIZE;
	case JY_EPEER:
		return JOINERY__V1__ERROR_CODE__PEER_UNKNOWN;
	case JY_EACCESS:
		return JOINERY__V1__ERROR_CODE__NOT_ALLOWED;
	case JY_EDEVICE:
		return JOINERY__V1__ERROR_CODE__UNKNOWN_DEVICE;
	case JY_ESESSION:
		return JOINERY__V1__ERROR_CODE__UNKNOWN_SESSION;
	case JY_EMIC:
		return JOINERY__V1__ERROR_CODE__MIC_FAILED;
	case JY_EREPLAY:
		return JOINERY__V1__ERROR_CODE__DEV_NONCE_REPLAYED;
	case JY_EJOINEUI:
		return JOINERY__V1__ERROR_CODE__JOIN_EUI_NOT_SERVED;
	case JY_ERJCOUNT:
		return JOINERY__V1__ERROR_CODE__RJ_COUNT_REPLAYED;
	case JY_EROAMING:
		return JOINERY__V1__ERROR_CODE__NO_ROAMING_AGREEMENT;
	case JY_EOPTNEG:
		return JOINERY__V1__ERROR_CODE__OPTNEG_MISMATCH;
	case JY_ENOTFOUND:
		return JOINERY__V1__ERROR_CODE__NOT_FOUND;
	case JY_EEXIST:
		return JOINERY__V1__ERROR_CODE__ALREADY_EXISTS;
	case JY_EINUSE:
		return JOINERY__V1__ERROR_CODE__IN_USE;
	case JY_EKCV:
		return JOINERY__V1__ERROR_CODE__KEY_CHECK_FAILED;
	case JY_EEXHAUSTED:
		return JOINERY__V1__ERROR_CODE__JOIN_NONCE_EXHAUSTED;
	case JY_EROOTKEY:
		return JOINERY__V1__ERROR_CODE__NO_ROOT_KEY;
	case JY_EKEK:
		return JOINERY__V1__ERROR_CODE__KEK_MISSING;
	case JY_ERELEASED:
		return JOINERY__V1__ERROR_CODE__DEVICE_RELEASED;
	case JY_EFORGED:
		return JOINERY__V1__ERROR_CODE__ROOT_KEY_FORGED;
	case JY_ECONFLICT:
		return JOINERY__V1__ERROR_CODE__CONFLICT;
	case JY_EIO:
		return JOINERY__V1__ERROR_CODE__STORE_UNAVAILABLE;
	case JY_EFULL:
		return JOINERY__V1__ERROR_CODE__STORE_FULL;
	case JY_ECORRUPT:
		return JOINERY__V1__ERROR_CODE__STORE_CORRUPT;
	case JY_ETOKEN:
	case JY_EPIN:
	case JY_EMECH:
	case JY_EPOLICY:
		return JOINERY__V1__ERROR_CODE__TOKEN_UNAVAILABLE;
	case JY_ETOKENREQ:
		return JOINERY__V1__ERROR_CODE__TOKEN_REFUSED;
	case JY_ENOKEY:
		return JOINERY__V1__ERROR_CODE__TOKEN_KEY_MISSING;
	case JY_ELIMIT:
		return JOINERY__V1__ERROR_CODE__TOKEN_FULL;
	case JY_EBUSY:
		return JOINERY__V1__ERROR_CODE__BUSY;
	case JY_ETIMEOUT:
		return JOINERY__V1__ERROR_CODE__TIMEOUT;
	case JY_OK:
	case JY_ECONFIG:
	case JY_ENOMEM:
	case JY_ERR_COUNT:
		break;
	}
	return JOINERY__V1__ERROR_CODE__INTERNAL;
}

const char *
errcode_name(Joinery__V1__ErrorCode code)
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(
	    &joinery__v1__error_code__descriptor, (int)code);

	return v != NULL ? v->name : "ERROR_UNKNOWN";
}

#define CODE(id) JOINERY__V1__ERROR_CODE__##id

static const struct {
	Joinery__V1__ErrorCode code;
	const char *hint;
} errcode_hints[] = {
	{ CODE(MALFORMED_REQUEST), "mend the peer: see PROTOCOL.md" },
	{ CODE(UNKNOWN_CALL), "the peer is newer than this server" },
	{ CODE(FRAME_SIZE), "the peer sends what is no join-request" },
	{ CODE(PEER_UNKNOWN), "register it: joineryctl peer set" },
	{ CODE(NOT_ALLOWED),
	    "see roles, NetIDs and AS-IDs of peer and device: joineryctl peer "
	    "get, device get" },
	{ CODE(UNKNOWN_DEVICE), "register it: joineryctl device set" },
	{ CODE(UNKNOWN_SESSION), "it is over, or beyond session-keep" },
	{ CODE(MIC_FAILED), "compare the device's root key with the one set" },
	{ CODE(DEV_NONCE_REPLAYED),
	    "if the device lost its counter: joineryctl nonces reset" },
	{ CODE(OPTNEG_MISMATCH),
	    "align the MAC versions of Network Server and device" },
	{ CODE(KEY_CHECK_FAILED), "seal the key again" },
	{ CODE(JOIN_EUI_NOT_SERVED), "see join-euis in joinery.conf" },
	{ CODE(RJ_COUNT_REPLAYED),
	    "if the device lost its counter: joineryctl nonces reset" },
	{ CODE(NO_ROAMING_AGREEMENT),
	    "see roaming of device and application: joineryctl device get, app "
	    "get" },
	{ CODE(JOIN_NONCE_EXHAUSTED), "the device needs another JoinEUI" },
	{ CODE(NO_ROOT_KEY), "import it: joineryctl device set" },
	{ CODE(KEK_MISSING),
	    "joineryctl kek import, then name it in peer or device" },
	{ CODE(DEVICE_RELEASED),
	    "delete it here, or take it back: joineryctl device set --released "
	    "no" },
	{ CODE(ROOT_KEY_FORGED),
	    "somebody changed the database, or half of it was restored; import "
	    "the key again" },
	{ CODE(CONFLICT), "ask again" },
	{ CODE(STORE_UNAVAILABLE), "look at the disk of the store" },
	{ CODE(STORE_FULL), "make room, or raise store-max-size" },
	{ CODE(STORE_CORRUPT), "delete the row that is named, or restore it" },
	{ CODE(TOKEN_UNAVAILABLE),
	    "see that the token is there; the log says what is wrong" },
	{ CODE(TOKEN_REFUSED), "joineryctl doctor shows what the token can" },
	{ CODE(TOKEN_KEY_MISSING),
	    "import the key again, or restore the "
	    "token" },
	{ CODE(TOKEN_FULL),
	    "raise resident-max, or keep root keys outside (custody)" },
	{ CODE(BUSY), "more workers, or a faster token" },
};

const char *
errcode_hint(Joinery__V1__ErrorCode code)
{
	for (size_t i = 0; i < ARRAY_LEN(errcode_hints); i++) {
		if (errcode_hints[i].code == code) {
			return errcode_hints[i].hint;
		}
	}
	return "see the reason";
}
