/* auth/sigv4_canon: the canonical request and the arithmetic of a signature; for sigv4.c and sigv4_sign.c alone.
 * The idea: nothing is built in memory. The canonical request is streamed into SHA-256 through a small block on the stack,
 * names and values are decoded and encoded again byte by byte as they go, and sorting compares those bytes as they would be.
 * So a verification allocates nothing and its memory does not depend on what was sent. */
#pragma once

#include <openssl/evp.h>

#include "auth/sigv4.h"

enum {
    SHA256_BYTES = 32,
    SHA256_HEX_BYTES = 64,
    SIGV4_TIME_BYTES = 17, /* "20240131T120000Z", NUL */
};

/* OpenSSL's algorithms, fetched once: a fetch costs more than the hash of a whole request. */
struct sigv4_tools {
    EVP_MD *sha256;
    EVP_MD_CTX *digest; /* reused from request to request */
    EVP_MAC *hmac;
    EVP_MAC_CTX *mac; /* HMAC-SHA-256 with no key yet */
};
MUST_CHECK bool sigv4_tools_init(struct sigv4_tools *tools);
void sigv4_tools_done(struct sigv4_tools *tools);

/* SHA-256 of the canonical request, in hex. `signed_headers` is "host;x-amz-date": lower case, sorted, each one sent. */
MUST_CHECK bool sigv4_canonical_hash(struct sigv4_tools *tools, const struct sigv4_request *request,
                                     struct slice signed_headers, struct slice payload_hash, bool normalize_path,
                                     char out[SHA256_HEX_BYTES]);

struct sigv4_scope {
    struct slice date, region, service;
};
/* HMAC(HMAC(HMAC(HMAC("AWS4" + secret, date), region), service), "aws4_request") */
MUST_CHECK bool sigv4_signing_key(struct sigv4_tools *tools, struct slice secret, const struct sigv4_scope *scope,
                                  unsigned char out[SHA256_BYTES]);
/* HMAC of the string to sign under the key that `mac` holds, in hex. */
MUST_CHECK bool sigv4_signature(EVP_MAC_CTX *mac, int64_t time_s, const struct sigv4_scope *scope,
                                const char canonical_hash[SHA256_HEX_BYTES], char out[SHA256_HEX_BYTES]);

void sigv4_time_text(int64_t time_s, char out[SIGV4_TIME_BYTES]);

/* One name=value of a query, undecoded. Empty pieces ("a&&b") are none. False at the end. */
MUST_CHECK bool sigv4_next_parameter(struct slice *rest, struct slice *name, struct slice *value);
bool sigv4_percent_ok(struct slice text); /* each '%' stands before two hex digits */

/* The header of that name in lower case, compared without case; counts how often it was sent. */
size_t sigv4_header_find(const struct sigv4_request *request, struct slice name, struct slice *first);
bool sigv4_signed_contains(struct slice signed_headers, struct slice name); /* without case */

/* InvalidSignatureException, "The request signature we calculated does not match ...". */
enum outcome sigv4_mismatch(struct error *err);
