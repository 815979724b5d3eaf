/* auth/sigv4: AWS Signature Version 4, verifying and making. Pure functions: no clock, no keys, no loop of their own.
 * Callers: services (verifies each request), cli (signs its own). Thread: any.
 * Source: AWS "Signature Version 4 signing process", "Authenticating requests (query parameters)"; the published
 *         aws-sig-v4-test-suite are our test vectors. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

enum {
    SIGV4_SKEW_S_MAX = 5 * 60,           /* AWS: a request is good for 5 minutes either way */
    SIGV4_EXPIRES_S_MAX = 7 * 24 * 3600, /* presigned: X-Amz-Expires at most */
    SIGV4_SIGNED_HEADERS_MAX = 64,
    SIGV4_TOKEN_BYTES_MAX = 4096,
    SIGV4_QUERY_PARAMETERS_MAX = 256, /* ours: a query is sorted in one array on the stack */
    SIGV4_SCOPE_NAME_BYTES_MAX = 64,  /* region, service */
    SIGV4_ACCESS_KEY_BYTES_MAX = 128, /* AWS IAM: AccessKeyId */
    SIGV4_SECRET_BYTES_MAX = 128,
    SIGV4_CACHE_ENTRIES = 256, /* signing keys kept: one a (key, day, region, service) */
};

struct sigv4_header {
    struct slice name, value;
};

/* A request as it came, borrowed. */
struct sigv4_request {
    struct slice method;
    struct slice path;  /* undecoded, before '?' */
    struct slice query; /* undecoded, behind '?' */
    const struct sigv4_header *headers;
    size_t header_count;
};

/* What the request claims; slices borrow from the request (or from `storage`). */
struct sigv4_claim {
    bool presigned;
    struct slice access_key; /* "AKIA..." */
    struct slice date;       /* "20240131" of the scope */
    struct slice region, service;
    struct slice signed_headers; /* "host;x-amz-date" */
    struct slice signature;      /* 64 hex digits */
    struct slice security_token; /* empty when none */
    struct slice payload_hash;   /* x-amz-content-sha256 or empty: then the body's own hash counts */
    int64_t time_s;              /* X-Amz-Date or Date */
    int64_t expires_s;           /* presigned only */
    struct buffer storage;       /* decoded query values; drop with sigv4_claim_drop */
};
void sigv4_claim_drop(struct sigv4_claim *claim);

/* Reads the claim and checks everything that needs neither key nor body: form, one authentication method only, host and
 * all x-amz-* headers signed (but X-Amz-Security-Token, which some clients add after signing: it is checked against the
 * key; content-type need not be signed), scope date = request date, skew, expiry.
 *   now_s   Unix time
 *   out     to be dropped also on failure: it then holds what could be read, `service` above all, which decides the form of the answer
 *   err     ERROR_DENIED or ERROR_INVALID with AWS's code in its JSON spelling, messages as AWS words them:
 *           MissingAuthenticationTokenException, IncompleteSignatureException, InvalidSignatureException (also "Signature
 *           expired: ..."), MalformedQueryString. services/ renames the codes by protocol family where AWS does. */
MUST_CHECK enum outcome sigv4_read(const struct sigv4_request *request, int64_t now_s, struct sigv4_claim *out,
                                   struct error *err);

/* Recomputes the signature.
 *   secret            the secret access key, borrowed
 *   body_sha256_hex   64 hex digits of the body that was really received; when the claim names a payload hash other than
 *                     UNSIGNED-PAYLOAD the two must agree (else XAmzContentSHA256Mismatch). UNSIGNED-PAYLOAD is accepted only when
 *                     `unsigned_payload_ok` (S3; presigned). A presigned s3 request without the parameter counts as UNSIGNED-PAYLOAD.
 *   normalize_path    true for every service but s3: the canonical path is encoded twice and normalised
 *   cache             signing keys by (secret, date, region, service); NULL allowed
 *   err               InvalidSignatureException with AWS's text, the canonical string NOT included. Compare is constant-time. */
struct sigv4_cache; /* bounded, the least recently used goes first; wiped when freed. One thread at a time. */
struct sigv4_cache *sigv4_cache_new(size_t entries);
void sigv4_cache_free(struct sigv4_cache *cache);
MUST_CHECK enum outcome sigv4_check(const struct sigv4_request *request, const struct sigv4_claim *claim,
                                    struct slice secret, struct slice body_sha256_hex, bool unsigned_payload_ok,
                                    bool normalize_path, struct sigv4_cache *cache, struct error *err);

void sha256_hex(struct slice bytes, char out[65]);
void sha256_raw(struct slice bytes, unsigned char out[32]);
/* The same of a large body while it comes in, so that no turn of the loop hashes all of it. */
struct sha256_stream;
struct sha256_stream *sha256_stream_new(void); /* owned: sha256_stream_free */
void sha256_stream_add(struct sha256_stream *stream, struct slice bytes);
void sha256_stream_hex(struct sha256_stream *stream,
                       char out[65]); /* of all that was added; the end of the stream */
void sha256_stream_free(struct sha256_stream *stream);

/* Signs: appends the header fields to add ("Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256")
 * to `out` as "Name: value\r\n" lines. request->headers must name host; host, content-type and x-amz-* are signed. */
MUST_CHECK enum outcome sigv4_sign(const struct sigv4_request *request, struct slice body, struct slice access_key,
                                   struct slice secret, struct slice token, struct slice region,
                                   struct slice service, int64_t now_s, struct buffer *out, struct error *err);
