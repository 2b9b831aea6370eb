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
