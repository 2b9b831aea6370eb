/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate for both ends of the bench's TLS: it signs itself, so it is
 * its own CA, and names the loopback address and the peer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tools/bench.h"

#define DAY_S (24L * 60 * 60)

static bool
fill_in(X509 *x, EVP_PKEY *key)
{
	static const unsigned char name[] = BENCH_NS_NAME;
	X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL,
	    NID_subject_alt_name, "IP:127.0.0.1,DNS:" BENCH_NS_NAME);
	X509_NAME *subject = X509_get_subject_name(x);
	bool ok;

	ok = names != NULL && X509_set_version(x, X509_VERSION_3) == 1 &&
	    ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(x), -DAY_S) != NULL &&
	    X509_gmtime_adj(X509_getm_notAfter(x), DAY_S) != NULL &&
	    X509_NAME_add_entry_by_txt(
		subject, "CN", MBSTRING_ASC, name, -1, -1, 0) == 1 &&
	    X509_set_issuer_name(x, subject) == 1 &&
	    X509_set_pubkey(x, key) == 1 && X509_add_ext(x, names, -1) == 1 &&
	    X509_sign(x, key, EVP_sha256()) > 0;
	X509_EXTENSION_free(names);
	return ok;
}

enum jy_err
bench_cert_make(const char *path, struct errctx *ec)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	enum jy_err err = JY_OK;

	if (f == NULL) {
		err =
		    err_set(ec, JY_EIO, "write %s: %s", path, strerror(errno));
	} else if (key == NULL || x == NULL || !fill_in(x, key) ||
	    PEM_write_X509(f, x) != 1 ||
	    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) != 1) {
		err = err_set(ec, JY_ECONFIG, "make a certificate: OpenSSL: %s",
		    ERR_reason_error_string(ERR_peek_last_error()));
	}
	if (f != NULL && fclose(f) != 0 && err == JY_OK) {
		err =
		    err_set(ec, JY_EIO, "write %s: %s", path, strerror(errno));
	}
	X509_free(x);
	EVP_PKEY_free(key);
	return err;
}
