/* Fuzzes auth/sigv4. Input: a request as text, "METHOD TARGET HTTP/1.1", header lines, an empty line, a body.
 * Properties: a claim that is read keeps what sigv4_read promises; what one secret signs another did not; and whatever
 * request there is, what our signer signs our verifier accepts, unless it refuses the request's very form. */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/auth/raw_request.h"
#include "base/memory.h"

enum { SUITE_TIME = 1440938160 }; /* 2015-08-30T12:36:00Z, when the corpus was signed */

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void demand(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "violated: %s\n", what);
    abort();
}

static void read_and_check(const struct raw_request *raw, const char hash[65], struct sigv4_cache *cache)
{
    struct slice secret = SLICE("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    struct sigv4_claim claim;
    struct error err = { 0 };
    if (sigv4_read(&raw->request, SUITE_TIME, &claim, &err) == OK) {
        demand(claim.signature.len == 64, "a signature has 64 digits");
        demand(claim.access_key.len > 0 && claim.service.len > 0 && claim.region.len > 0,
               "a scope has no empty part");
        demand(claim.time_s <= SUITE_TIME + SIGV4_SKEW_S_MAX, "no request comes from the future");
        demand(claim.presigned || claim.time_s >= SUITE_TIME - SIGV4_SKEW_S_MAX,
               "no request is older than the skew");
        demand(claim.security_token.len <= SIGV4_TOKEN_BYTES_MAX, "a token is bounded");
        enum outcome cached = sigv4_check(&raw->request, &claim, secret, slice_of(hash), false, true, cache, &err);
        enum outcome fresh = sigv4_check(&raw->request, &claim, secret, slice_of(hash), false, true, NULL, &err);
        demand(cached == fresh, "a cached key decides as a fresh one");
        if (fresh == OK)
            demand(sigv4_check(&raw->request, &claim, SLICE("another"), slice_of(hash), false, true, cache, &err) !=
                       OK,
                   "another secret made another signature");
    } else {
        demand(err.code[0] != '\0' && err.message[0] != '\0' && err.hint[0] != '\0', "a refusal says why");
    }
    sigv4_claim_drop(&claim);
}

/* The same method, target and body with headers of ours. */
static void sign_and_check(const struct raw_request *raw, const char hash[65])
{
    struct slice secret = SLICE("secret");
    struct sigv4_header headers[8] = { { SLICE("Host"), SLICE("a") }, { SLICE("X-Amz-Other"), SLICE(" b  c ") } };
    struct sigv4_request request = raw->request;
    request.headers = headers;
    request.header_count = 2;
    AUTO(buffer)
    struct buffer lines = BUFFER_EMPTY;
    struct error err = { 0 };
    if (sigv4_sign(&request, raw->body, SLICE("AKID"), secret, SLICE("token"), SLICE("us-east-1"), SLICE("lambda"),
                   SUITE_TIME, &lines, &err) != OK)
        return;
    struct slice rest = buffer_slice(&lines);
    while (rest.len > 0) {
        struct slice value = slice_split(&rest, '\n');
        value = slice_sub(value, 0, value.len - 1);
        headers[request.header_count].name = slice_split(&value, ':');
        headers[request.header_count++].value = slice_trim(value);
    }
    struct sigv4_claim claim;
    if (sigv4_read(&request, SUITE_TIME, &claim, &err) == OK)
        demand(sigv4_check(&request, &claim, secret, slice_of(hash), false, true, NULL, &err) == OK,
               "what we sign we accept");
    sigv4_claim_drop(&claim);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct raw_request raw;
    if (size > 20000 || !raw_request_parse(slice_from(data, size), &raw))
        return 0;
    struct sigv4_cache *cache = sigv4_cache_new(2);
    char hash[65];
    sha256_hex(raw.body, hash);
    read_and_check(&raw, hash, cache);
    sign_and_check(&raw, hash);
    sigv4_cache_free(cache);
    return 0;
}
