/* What a verification costs: `meson test --benchmark auth/sigv4`. Prints, asserts nothing. */
#include <stdio.h>
#include <stdlib.h>

#include "auth/sigv4.h"
#include "base/clock.h"
#include "raw_request.h"

enum { ROUNDS = 200000, NOW = 1706702400 };

int main(void)
{
    struct slice secret = SLICE("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                 body = SLICE("{\"name\":\"hello\",\"n\":1}");
    struct sigv4_header headers[] = {
        { SLICE("Host"), SLICE("127.0.0.1:4566") },
        { SLICE("X-Amz-Invocation-Type"), SLICE("RequestResponse") },
        { SLICE("Content-Type"), SLICE("application/json") },
    };
    struct sigv4_request request = { SLICE("POST"), SLICE("/2015-03-31/functions/hello/invocations"), SLICE_EMPTY,
                                     headers, 3 };
    struct buffer lines = BUFFER_EMPTY, text = BUFFER_EMPTY;
    struct error err = { 0 };
    if (sigv4_sign(&request, body, SLICE("AKIAEXAMPLEEXAMPLE00"), secret, SLICE_EMPTY, SLICE("us-east-1"),
                   SLICE("lambda"), NOW, &lines, &err) != OK)
        return 1;
    buffer_append_text(&text,
                       "POST /2015-03-31/functions/hello/invocations HTTP/1.1\n"
                       "Host: 127.0.0.1:4566\nX-Amz-Invocation-Type: RequestResponse\n"
                       "User-Agent: aws-cli/2.9.19 Python/3.11.2\nAccept-Encoding: identity\nContent-Length: 22\n"
                       "Content-Type: application/json\n");
    for (size_t i = 0; i < lines.len; i++)
        if (lines.at[i] != '\r')
            buffer_append_byte(&text, lines.at[i]);
    struct raw_request raw;
    if (!raw_request_parse(buffer_slice(&text), &raw))
        return 1;
    struct sigv4_cache *cache = sigv4_cache_new(0);
    char hash[65];
    uint64_t start = clock_mono_us();
    for (int i = 0; i < ROUNDS; i++)
        sha256_hex(body, hash);
    uint64_t hashed = clock_mono_us();
    for (int i = 0; i < ROUNDS; i++) {
        struct sigv4_claim claim;
        if (sigv4_read(&raw.request, NOW, &claim, &err) != OK)
            return 1;
        sigv4_claim_drop(&claim);
    }
    uint64_t was_read = clock_mono_us();
    for (int i = 0; i < ROUNDS; i++) {
        struct sigv4_claim claim;
        if (sigv4_read(&raw.request, NOW, &claim, &err) != OK ||
            sigv4_check(&raw.request, &claim, secret, slice_of(hash), false, true, cache, &err) != OK) {
            (void)fprintf(stderr, "%s\n", err.message);
            return 1;
        }
        sigv4_claim_drop(&claim);
    }
    uint64_t checked = clock_mono_us();
    printf("body hash %.2f us, read %.2f us, read and check %.2f us\n", (double)(hashed - start) / ROUNDS,
           (double)(was_read - hashed) / ROUNDS, (double)(checked - was_read) / ROUNDS);
    sigv4_cache_free(cache);
    buffer_drop(&lines);
    buffer_drop(&text);
    return 0;
}
