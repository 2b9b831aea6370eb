/* SPDX-License-Identifier: Apache-2.0 */
/* RSA public keys, private to hsm/: as DER, as session objects, in use. */
#ifndef JY_HSM_RSA_H
#define JY_HSM_RSA_H

#include <p11-kit/pkcs11.h>

#include "hsm/hsm.h"

#define RSA_MODULUS_MIN 256 /* octets */

/* Numbers without leading zeros. */
struct rsa_public {
	uint8_t modulus[HSM_RSA_MAX];
	size_t modulus_len;
	uint8_t exponent[8];
	size_t exponent_len;
};

/* SubjectPublicKeyInfo (DER); false if it has no room. */
bool rsa_encode(
    const struct rsa_public *key, uint8_t der[HSM_PUBLIC_KEY_MAX], size_t *len);
/*
 * And back: RSA of 2048 to 4096 bits, encoded as rsa_encode does and in no
 * other way.
 */
enum jy_err rsa_decode(const uint8_t *der, size_t len, struct rsa_public *out,
    struct errctx *ec) JY_CHECK;

/* A session object that wraps, or one that encrypts. */
CK_RV rsa_make(struct hsm *hsm, const struct rsa_public *key, bool wrap,
    CK_OBJECT_HANDLE *out);

/* RSA-OAEP to the newest import key; *out_len is the room before. */
CK_RV rsa_encrypt(struct hsm *hsm, const uint8_t *data, size_t len,
    uint8_t *out, CK_ULONG *out_len);

/* RSA-OAEP of an extractable key. */
CK_RV rsa_wrap(struct hsm *hsm, const struct rsa_public *rsa,
    CK_OBJECT_HANDLE key, uint8_t out[HSM_RSA_MAX], size_t *out_len);

#endif
