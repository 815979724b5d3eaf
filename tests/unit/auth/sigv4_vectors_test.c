/* AWS's own test suite: each request is accepted, and no longer so when any byte of it is another one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <fcntl.h>
#include <cmocka.h>

#include "auth/sigv4.h"
#include "base/fd.h"
#include "json/json.h"
#include "raw_request.h"

#define SECRET SLICE("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
enum { SIGNED_AT = 1440938160 }; /* 2015-08-30T12:36:00Z */

static enum outcome verify(struct slice text, bool normalize, struct sigv4_cache *cache, struct error *err)
{
    struct raw_request raw;
    if (!raw_request_parse(text, &raw))
        return error_set(err, ERROR_INVALID, "", "no HTTP");
    struct sigv4_claim claim;
    char hash[65];
    sha256_hex(raw.body, hash);
    enum outcome outcome = sigv4_read(&raw.request, SIGNED_AT, &claim, err);
    if (outcome == OK && !slice_is(claim.access_key, "AKIDEXAMPLE"))
        outcome = error_set(err, ERROR_DENIED, "", "another key");
    if (outcome == OK)
        outcome = sigv4_check(&raw.request, &claim, SECRET, slice_of(hash), false, normalize, cache, err);
    sigv4_claim_drop(&claim);
    return outcome;
}

struct suite {
    struct buffer text;
    yyjson_doc *doc;
    struct sigv4_cache *cache;
};

static int load(void **state)
{
    struct suite *suite = memory_new(sizeof(*suite));
    struct error err = { 0 };
    if (file_read(AT_FDCWD, VECTORS, 1 << 20, &suite->text, &err) != OK ||
        json_parse(buffer_slice(&suite->text), &suite->doc, &err) != OK)
        fail_msg("%s", err.message);
    suite->cache = sigv4_cache_new(4);
    *state = suite;
    return 0;
}

static int unload(void **state)
{
    struct suite *suite = *state;
    sigv4_cache_free(suite->cache);
    json_doc_drop(&suite->doc);
    buffer_drop(&suite->text);
    free(suite);
    return 0;
}

/* The suite's request whose token is added behind the signature, in the query: what was signed is the URL without it. */
static void remove_token(struct buffer *text)
{
    const char *all = buffer_text(text);
    const char *from = strstr(all, "&X-Amz-Security-Token="), *to = strstr(all, "&X-Amz-Signature=");
    assert_true(from != NULL && to > from);
    memmove((char *)(uintptr_t)from, to, text->len - (size_t)(to - all));
    text->len -= (size_t)(to - from);
}

typedef void vector_fn(struct suite *suite, const char *name, struct slice text, bool normalize, bool loose_token);

static void each_vector(struct suite *suite, vector_fn *fn)
{
    size_t index, max;
    yyjson_val *vector;
    yyjson_arr_foreach(yyjson_doc_get_root(suite->doc), index, max, vector)
    {
        const char *name = yyjson_get_str(yyjson_obj_get(vector, "name"));
        bool normalize = yyjson_get_bool(yyjson_obj_get(vector, "normalize"));
        bool loose = yyjson_get_bool(yyjson_obj_get(vector, "omit_session_token"));
        fn(suite, name, json_slice(yyjson_obj_get(vector, "header")), normalize, loose);
        struct buffer query = BUFFER_EMPTY;
        buffer_append_slice(&query, json_slice(yyjson_obj_get(vector, "query")));
        if (loose)
            remove_token(&query);
        fn(suite, name, buffer_slice(&query), normalize, false);
        buffer_drop(&query);
    }
    assert_int_equal(max, 38);
}

static void accept(struct suite *suite, const char *name, struct slice text, bool normalize, bool loose_token)
{
    (void)loose_token;
    for (int round = 0; round < 2; round++) { /* the second time with the cached signing key */
        struct error err = { 0 };
        if (verify(text, normalize, suite->cache, &err) != OK)
            fail_msg("%s: %s\n%.*s", name, err.message, SLICE_PRINT(text));
    }
    struct error err = { 0 };
    if (verify(text, normalize, NULL, &err) != OK)
        fail_msg("%s without a cache: %s", name, err.message);
}

static void every_request_of_the_suite_is_accepted(void **state)
{
    each_vector(*state, accept);
}

/* Is byte `at` in a line that no signature covers? */
static bool unsigned_line(struct slice text, size_t at, bool loose_token)
{
    size_t from = at;
    while (from > 0 && text.at[from - 1] != '\n')
        from--;
    struct slice line = slice_sub(text, from, text.len);
    return loose_token && slice_starts(line, SLICE("X-Amz-Security-Token:"));
}

static void refuse_mutants(struct suite *suite, const char *name, struct slice text, bool normalize,
                           bool loose_token)
{
    char *copy = slice_dup(text);
    size_t first_line = 0;
    assert_true(slice_find(text, '\n', &first_line));
    for (size_t i = 0; i < text.len; i++) {
        if (i > first_line - 9 && i <= first_line)
            continue; /* "HTTP/1.1" */
        if (i <= first_line && normalize && strncmp(name, "get-relative", 12) == 0)
            continue; /* "/a/.." and "/b/.." are the same path, that is the point of them */
        if (unsigned_line(text, i, loose_token) || slice_is(slice_sub(text, i, text.len), "\n"))
            continue;
        for (int bit = 1; bit < 8; bit += 6) { /* not the lowest: '/' would become '.' and be normalised away */
            copy[i] = (char)(text.at[i] ^ (1 << bit));
            struct error err = { 0 };
            if (verify(slice_from(copy, text.len), normalize, suite->cache, &err) == OK)
                fail_msg("%s: accepted with byte %zu changed:\n%s", name, i, copy);
            assert_true(err.message[0] != '\0');
        }
        copy[i] = text.at[i];
    }
    free(copy);
}

static void a_request_with_any_byte_changed_is_refused(void **state)
{
    each_vector(*state, refuse_mutants);
}

static void refuse_another_secret(struct suite *suite, const char *name, struct slice text, bool normalize,
                                  bool loose)
{
    (void)suite;
    (void)loose;
    struct raw_request raw;
    assert_true(raw_request_parse(text, &raw));
    struct sigv4_claim claim;
    struct error err = { 0 };
    char hash[65];
    sha256_hex(raw.body, hash);
    assert_int_equal(sigv4_read(&raw.request, SIGNED_AT, &claim, &err), OK);
    if (sigv4_check(&raw.request, &claim, SLICE("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEX"), slice_of(hash), false,
                    normalize, suite->cache, &err) == OK)
        fail_msg("%s: accepted", name);
    assert_string_equal(err.code, "InvalidSignatureException");
    sigv4_claim_drop(&claim);
}

static void another_secret_is_refused(void **state)
{
    each_vector(*state, refuse_another_secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_of_the_suite_is_accepted),
        cmocka_unit_test(a_request_with_any_byte_changed_is_refused),
        cmocka_unit_test(another_secret_is_refused),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
