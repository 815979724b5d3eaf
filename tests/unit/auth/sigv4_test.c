#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "auth/sigv4.h"
#include "base/memory.h"
#include "raw_request.h"

#define KEY    SLICE("AKIDEXAMPLE")
#define SECRET SLICE("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
enum { NOW = 1706702400 }; /* 2024-01-31T12:00:00Z */

/* ---- a signed request to spoil ---- */

/* "METHOD TARGET HTTP/1.1\nHost: x\n<extra><signature>\n\n<body>", signed by our own signer at `when`. */
static void sign(struct buffer *out, const char *method_target, const char *extra, const char *body, int64_t when)
{
    AUTO(buffer)
    struct buffer plain = BUFFER_EMPTY, lines = BUFFER_EMPTY;
    buffer_appendf(&plain, "%s HTTP/1.1\nHost: localhost:4566\n%s\n%s", method_target, extra, body);
    struct raw_request raw;
    assert_true(raw_request_parse(buffer_slice(&plain), &raw));
    struct error err = { 0 };
    if (sigv4_sign(&raw.request, slice_of(body), KEY, SECRET, SLICE_EMPTY, SLICE("us-east-1"), SLICE("lambda"),
                   when, &lines, &err) != OK)
        fail_msg("%s", err.message);
    buffer_appendf(out, "%s HTTP/1.1\nHost: localhost:4566\n%s", method_target, extra);
    for (size_t i = 0; i < lines.len; i++)
        if (lines.at[i] != '\r')
            buffer_append_byte(out, lines.at[i]);
    buffer_appendf(out, "\n%s", body);
}

static enum outcome verify_at(struct slice text, int64_t now, struct error *err)
{
    struct raw_request raw;
    assert_true(raw_request_parse(text, &raw));
    struct sigv4_claim claim;
    char hash[65];
    sha256_hex(raw.body, hash);
    enum outcome outcome = sigv4_read(&raw.request, now, &claim, err);
    if (outcome == OK)
        outcome = sigv4_check(&raw.request, &claim, SECRET, slice_of(hash), claim.presigned, true, NULL, err);
    sigv4_claim_drop(&claim);
    return outcome;
}

static void must_pass(struct slice text, int64_t now)
{
    struct error err = { 0 };
    if (verify_at(text, now, &err) != OK)
        fail_msg("%s: %s\n%.*s", err.code, err.message, SLICE_PRINT(text));
}

static void must_fail(struct slice text, int64_t now, const char *code, const char *message)
{
    struct error err = { 0 };
    if (verify_at(text, now, &err) == OK)
        fail_msg("accepted: %.*s", SLICE_PRINT(text));
    assert_string_equal(err.code, code);
    if (strstr(err.message, message) == NULL)
        fail_msg("said \"%s\", not \"%s\"", err.message, message);
    assert_true(err.hint[0] != '\0');
}

static void replace(struct buffer *text, const char *from, const char *to)
{
    const char *all = buffer_text(text), *at = strstr(all, from);
    if (at == NULL)
        fail_msg("\"%s\" is not in %s", from, all);
    struct buffer out = BUFFER_EMPTY;
    buffer_append(&out, all, (size_t)(at - all));
    buffer_append_text(&out, to);
    buffer_append_text(&out, at + strlen(from));
    buffer_drop(text);
    *text = out;
}

/* ---- our signer and verifier agree, on all that clients send ---- */

static void what_we_sign_we_accept(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "GET /2015-03-31/functions/",
        "GET /2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Ah/configuration",
        "GET /a?b=1&a=2&a=1&empty&x=%20+y&%7Etilde=~",
        "POST /2015-03-31/functions/h/invocations?Qualifier=%24LATEST",
        "DELETE /x//y/",
    };
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        AUTO(buffer)
        struct buffer text = BUFFER_EMPTY;
        sign(&text, targets[i], "X-Amz-Log-Type:   Tail  \nContent-Type: application/json\n", "{\"a\":1}", NOW);
        must_pass(buffer_slice(&text), NOW);
    }
}

static void a_signed_request_is_good_for_five_minutes_either_way(void **state)
{
    (void)state;
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    sign(&text, "GET /", "", "", NOW);
    must_pass(buffer_slice(&text), NOW + 300);
    must_pass(buffer_slice(&text), NOW - 300);
    must_fail(
        buffer_slice(&text), NOW + 301, "InvalidSignatureException",
        "Signature expired: 20240131T120000Z is now earlier than 20240131T120001Z (20240131T120501Z - 5 min.)");
    must_fail(buffer_slice(&text), NOW - 301, "InvalidSignatureException",
              "Signature not yet current: 20240131T120000Z is still later than 20240131T115959Z (20240131T115459Z "
              "+ 5 min.)");
}

static void another_body_is_refused(void **state)
{
    (void)state;
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    sign(&text, "POST /", "", "{\"a\":1}", NOW);
    replace(&text, "{\"a\":1}", "{\"a\":2}");
    must_fail(buffer_slice(&text), NOW, "XAmzContentSHA256Mismatch", "does not match what was computed");
}

static void a_wrong_signature_is_refused_with_AWSs_text(void **state)
{
    (void)state;
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    sign(&text, "GET /?a=1", "", "", NOW);
    replace(&text, "?a=1", "?a=2");
    must_fail(buffer_slice(&text), NOW, "InvalidSignatureException",
              "The request signature we calculated does not match the signature you provided. Check your AWS "
              "Secret Access "
              "Key and signing method. Consult the service documentation for details.");
}

/* ---- what must be signed ---- */

static void a_header_of_AWS_added_on_the_way_is_refused(void **state)
{
    (void)state;
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    sign(&text, "GET /", "", "", NOW);
    replace(&text, "Host:", "X-Amz-Invocation-Type: DryRun\nHost:");
    must_fail(buffer_slice(&text), NOW, "InvalidSignatureException",
              "headers present in the request which were not signed");
}

static void other_headers_need_not_be_signed(void **state)
{
    (void)state;
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    sign(&text, "GET /", "", "", NOW);
    replace(&text, "Host:", "User-Agent: x\nX-Amzn-Trace-Id: Root=1\nAccept: */*\nHost:");
    must_pass(buffer_slice(&text), NOW);
}

static void an_unsigned_host_is_refused(void **state)
{
    (void)state;
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    sign(&text, "GET /", "", "", NOW);
    replace(&text, "SignedHeaders=host;", "SignedHeaders=");
    must_fail(buffer_slice(&text), NOW, "InvalidSignatureException",
              "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
}

static void a_signed_header_that_was_lost_is_refused(void **state)
{
    (void)state;
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    sign(&text, "GET /", "Content-Type: a/b\n", "", NOW);
    replace(&text, "Content-Type: a/b\n", "");
    must_fail(buffer_slice(&text), NOW, "InvalidSignatureException", "does not match the signature");
}

static void signed_headers_must_be_a_sorted_list_of_lower_case_names(void **state)
{
    (void)state;
    static const char *const lists[] = { "x-amz-date;host;x-amz-content-sha256",
                                         "host;host;x-amz-date",
                                         ";host",
                                         "host;;x-amz-date",
                                         "host;x-amz-date;",
                                         "Host;x-amz-date",
                                         "host;x amz" };
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        AUTO(buffer)
        struct buffer text = BUFFER_EMPTY;
        sign(&text, "GET /", "", "", NOW);
        replace(&text, "host;x-amz-content-sha256;x-amz-date", lists[i]);
        must_fail(buffer_slice(&text), NOW, "IncompleteSignatureException", "SignedHeaders must");
    }
}

static void headers_that_decide_something_are_refused_twice(void **state)
{
    (void)state;
    static const char *const twice[] = { "X-Amz-Date: 20240131T120000Z\n", "Host: other\n",
                                         "X-Amz-Content-Sha256: x\n", "Authorization: AWS4-HMAC-SHA256 x\n" };
    for (size_t i = 0; i < sizeof(twice) / sizeof(twice[0]); i++) {
        AUTO(buffer)
        struct buffer text = BUFFER_EMPTY;
        sign(&text, "GET /", "", "", NOW);
        char with[128];
        (void)snprintf(with, sizeof(with), "%sHost:", twice[i]);
        replace(&text, "Host:", with);
        must_fail(buffer_slice(&text), NOW, "IncompleteSignatureException",
                  i == 3 ? "Only one auth" : "more than one");
    }
}

/* ---- the Authorization header ---- */

static void without_authentication_AWS_says_missing_token(void **state)
{
    (void)state;
    must_fail(SLICE("GET / HTTP/1.1\nHost: x\n\n"), NOW, "MissingAuthenticationTokenException",
              "Missing Authentication Token");
}

static void what_is_missing_in_the_header_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *header, *message;
    } cases[] = {
        { "AWS4-HMAC-SHA256",
          "Authorization header requires 'Credential' parameter. Authorization header requires "
          "'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. "
          "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header." },
        { "AWS4-HMAC-SHA256 SignedHeaders=host, Signature=x", "requires 'Credential' parameter" },
        { "AWS4-HMAC-SHA256 Credential=a/20240131/r/s/aws4_request, Signature=x",
          "requires 'SignedHeaders' parameter" },
        { "Bearer abc", "not a valid key=value pair (missing equal-sign) in Authorization header" },
        { "AWS AKID:sig", "Only AWS4-HMAC-SHA256 is supported" },
        { "AWS4-HMAC-SHA256X Credential=a", "Only AWS4-HMAC-SHA256 is supported" },
        { "AWS4-HMAC-SHA256 nonsense", "'nonsense' not a valid key=value pair" },
        { "AWS4-HMAC-SHA256 Credential=a, Credential=b", "more than once" },
        { "AWS4-HMAC-SHA256 Other=a", "must not contain 'Other'" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(buffer)
        struct buffer text = BUFFER_EMPTY;
        buffer_appendf(&text, "GET / HTTP/1.1\nHost: x\nAuthorization: %s\n\n", cases[i].header);
        must_fail(buffer_slice(&text), NOW, "IncompleteSignatureException", cases[i].message);
    }
}

static void a_credential_that_is_none_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *scope, *code, *message;
    } cases[] = {
        { "AKIDEXAMPLE/20240131/us-east-1/lambda", "IncompleteSignatureException",
          "exactly 5 slash-delimited elements" },
        { "AKIDEXAMPLE/20240131/us-east-1/lambda/x/y", "IncompleteSignatureException",
          "exactly 5 slash-delimited" },
        { "AKIDEXAMPLE/20240131/us-east-1/lambda/aws5_request", "InvalidSignatureException", "valid terminator" },
        { "AKIDEXAMPLE/20240130/us-east-1/lambda/aws4_request", "InvalidSignatureException",
          "'20240130' != '20240131', from '20240131T120000Z'" },
        { "AKIDEXAMPLE/20240131//lambda/aws4_request", "InvalidSignatureException", "valid region" },
        { "AKIDEXAMPLE/20240131/us-east-1//aws4_request", "InvalidSignatureException", "correct service" },
        { "/20240131/us-east-1/lambda/aws4_request", "UnrecognizedClientException", "security token" },
        { "A\"B/20240131/us-east-1/lambda/aws4_request", "UnrecognizedClientException", "security token" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(buffer)
        struct buffer text = BUFFER_EMPTY;
        sign(&text, "GET /", "", "", NOW);
        replace(&text, "AKIDEXAMPLE/20240131/us-east-1/lambda/aws4_request", cases[i].scope);
        must_fail(buffer_slice(&text), NOW, cases[i].code, cases[i].message);
    }
}

static void another_scope_than_the_signed_one_is_refused(void **state)
{
    (void)state;
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    sign(&text, "GET /", "", "", NOW);
    replace(&text, "/lambda/", "/sts/");
    must_fail(buffer_slice(&text), NOW, "InvalidSignatureException", "does not match the signature");
}

static void a_date_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const dates[] = { "2024-01-31T12:00:00Z",
                                         "20240131T120000",
                                         "20240231T120000Z",
                                         "20240131T250000Z",
                                         "99999999T999999Z",
                                         "-2240131T120000Z",
                                         "x" };
    for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        AUTO(buffer)
        struct buffer text = BUFFER_EMPTY;
        sign(&text, "GET /", "", "", NOW);
        replace(&text, "20240131T120000Z", dates[i]);
        must_fail(buffer_slice(&text), NOW, "IncompleteSignatureException",
                  "Date must be in ISO-8601 'basic format'");
    }
}

static void a_strangers_bytes_do_not_reach_the_message(void **state)
{
    (void)state;
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    buffer_append_text(&text, "GET / HTTP/1.1\nHost: x\nAuthorization: AWS4-HMAC-SHA256 ");
    for (int i = 0; i < 5000; i++)
        buffer_append_byte(&text, (char)(i % 2 ? 0x1b : 0xff));
    buffer_append_text(&text, "\n\n");
    struct error err = { 0 };
    assert_int_equal(verify_at(buffer_slice(&text), NOW, &err), FAILED);
    for (const char *at = err.message; *at != '\0'; at++)
        assert_true(*at >= 0x20 && *at < 0x7f);
}

static void the_old_Date_header_serves_too(void **state)
{
    (void)state;
    /* signed by botocore 1.29 with a Date header of the caller's */
    must_fail(SLICE("GET / HTTP/1.1\nHost: x\nDate: Wed, 31 Jan 2024 12:00:00 GMT\nAuthorization: AWS4-HMAC-SHA256 "
                    "Credential=AKIDEXAMPLE/20240131/us-east-1/lambda/aws4_request, SignedHeaders=date;host, "
                    "Signature=0000000000000000000000000000000000000000000000000000000000000000\n\n"),
              NOW, "InvalidSignatureException", "does not match the signature"); /* so the date was understood */
    must_fail(SLICE("GET / HTTP/1.1\nHost: x\nDate: Wed, 31 Jan 2024 12:00:00 CET\nAuthorization: AWS4-HMAC-SHA256 "
                    "Credential=AKIDEXAMPLE/20240131/us-east-1/lambda/aws4_request, SignedHeaders=date;host, "
                    "Signature=00\n\n"),
              NOW, "IncompleteSignatureException", "Date must be");
}

/* ---- the query ---- */

static void parameters_are_sorted_by_name_before_value(void **state)
{
    (void)state;
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    sign(&text, "GET /?a-b=1&a=2&a=1", "", "", NOW);
    replace(&text, "?a-b=1&a=2&a=1", "?a=1&a=2&a-b=1");
    must_pass(buffer_slice(&text), NOW);
}

static void the_same_bytes_in_another_encoding_are_the_same_query(void **state)
{
    (void)state;
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    sign(&text, "GET /?name=a%20b~", "", "", NOW);
    replace(&text, "?name=a%20b~", "?n%61me=a+b%7e");
    must_pass(buffer_slice(&text), NOW);
}

static void a_query_with_a_broken_escape_is_refused(void **state)
{
    (void)state;
    static const char *const broken[] = { "?a=%", "?a=%2", "?a=%zz", "?%=1" };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        AUTO(buffer)
        struct buffer text = BUFFER_EMPTY;
        sign(&text, "GET /", "", "", NOW);
        char target[32];
        (void)snprintf(target, sizeof(target), "GET /%s", broken[i]);
        replace(&text, "GET /", target);
        must_fail(buffer_slice(&text), NOW, "MalformedQueryString", "syntax error");
    }
}

static void too_many_parameters_are_refused(void **state)
{
    (void)state;
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    sign(&text, "GET /?", "", "", NOW);
    struct buffer target = BUFFER_EMPTY;
    buffer_append_text(&target, "GET /?");
    for (int i = 0; i <= SIGV4_QUERY_PARAMETERS_MAX; i++)
        buffer_append_text(&target, "a=&");
    replace(&text, "GET /?", buffer_text(&target));
    buffer_drop(&target);
    must_fail(buffer_slice(&text), NOW, "MalformedQueryString", "more than 256 parameters");
}

#define PRESIGNED                                                                                                  \
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20240131%2Fus-east-1%2Flambda%2Faws4_request" \
    "&X-Amz-Date=20240131T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host"
#define ZEROES "0000000000000000000000000000000000000000000000000000000000000000"

static void presigned_at(const char *query, int64_t now, const char *code, const char *message)
{
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    buffer_appendf(&text, "GET /?%s HTTP/1.1\nHost: x\n\n", query);
    must_fail(buffer_slice(&text), now, code, message);
}

static void a_presigned_request_lives_as_long_as_it_says(void **state)
{
    (void)state;
    const char *query = PRESIGNED "&X-Amz-Signature=" ZEROES;
    presigned_at(query, NOW + 60, "InvalidSignatureException", "does not match the signature"); /* so: in time */
    presigned_at(
        query, NOW + 61, "InvalidSignatureException",
        "Signature expired: 20240131T120000Z is now earlier than 20240131T120001Z (20240131T120101Z - 1 min.)");
    presigned_at(query, NOW - 301, "InvalidSignatureException", "Signature not yet current");
}

static void what_is_wrong_in_a_presigned_query_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *query, *message;
    } cases[] = {
        { "X-Amz-Algorithm=AWS4-HMAC-SHA256", "AWS query-string parameters must include 'X-Amz-Credential'. " },
        { "X-Amz-Signature=00", "Re-examine the query-string parameters." },
        { PRESIGNED "&X-Amz-Signature=" ZEROES "&X-Amz-Signature=" ZEROES, "must not be given more than once" },
        { PRESIGNED "&X-Amz-Signature=" ZEROES "&X%2DAmz-Date=20240131T120000Z",
          "must not be given more than once" },
        { PRESIGNED "&X-Amz-Signature=" ZEROES "&X-Amz-Security-Token=a&X-Amz-Security-Token=b", "more than once" },
        { PRESIGNED "&X-Amz-Signature=" ZEROES "&X-Amz-Expires=1", "more than once" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        presigned_at(cases[i].query, NOW, "IncompleteSignatureException", cases[i].message);
}

static void a_presigned_request_lives_a_week_at_most(void **state)
{
    (void)state;
    static const char *const expires[] = { "604801", "-1", "1e3", "99999999999999999999", "" };
    for (size_t i = 0; i < sizeof(expires) / sizeof(expires[0]); i++) {
        AUTO(buffer)
        struct buffer text = BUFFER_EMPTY;
        buffer_appendf(&text, "GET /?%s&X-Amz-Signature=%s HTTP/1.1\nHost: x\n\n", PRESIGNED, ZEROES);
        char with[64];
        (void)snprintf(with, sizeof(with), "X-Amz-Expires=%s&", expires[i]);
        replace(&text, "X-Amz-Expires=60&", with);
        must_fail(buffer_slice(&text), NOW, "IncompleteSignatureException", "X-Amz-Expires must be");
    }
}

static void both_ways_of_signing_at_once_are_refused(void **state)
{
    (void)state;
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    sign(&text, "GET /?" PRESIGNED "&X-Amz-Signature=" ZEROES, "", "", NOW);
    must_fail(buffer_slice(&text), NOW, "IncompleteSignatureException", "Only one auth mechanism allowed");
}

/* ---- payload hashes ---- */

static enum outcome check_payload(const char *claimed, bool unsigned_ok, const char *service, bool presigned)
{
    struct sigv4_claim claim = { .presigned = presigned,
                                 .payload_hash = slice_of(claimed),
                                 .service = slice_of(service),
                                 .signature = SLICE(ZEROES),
                                 .signed_headers = SLICE("host"),
                                 .date = SLICE("20240131"),
                                 .region = SLICE("r"),
                                 .time_s = NOW };
    struct sigv4_header host = { SLICE("Host"), SLICE("x") };
    struct sigv4_request request = { SLICE("GET"), SLICE("/"), SLICE_EMPTY, &host, 1 };
    char hash[65];
    sha256_hex(SLICE("body"), hash);
    struct error err = { 0 };
    assert_int_equal(sigv4_check(&request, &claim, SECRET, slice_of(hash), unsigned_ok, true, NULL, &err), FAILED);
    return strcmp(err.code, "XAmzContentSHA256Mismatch") == 0 ? FAILED : OK;
}

static void an_unsigned_payload_is_for_those_who_allow_it(void **state)
{
    (void)state;
    assert_int_equal(check_payload("UNSIGNED-PAYLOAD", false, "lambda", false), FAILED);
    assert_int_equal(check_payload("UNSIGNED-PAYLOAD", true, "s3", false), OK);
    assert_int_equal(check_payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", true, "s3", false), FAILED);
    assert_int_equal(check_payload(ZEROES, true, "s3", false), FAILED);
    assert_int_equal(check_payload("", false, "lambda", false),
                     OK); /* then the body's own hash is what was signed */
}

/* ---- the cache ---- */

static void a_small_cache_forgets_the_key_used_longest_ago(void **state)
{
    (void)state;
    struct sigv4_cache *cache = sigv4_cache_new(2);
    static const char *const regions[] = { "eu-1", "eu-2", "eu-1", "eu-3", "eu-1", "eu-2", "eu-3" };
    for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
        struct sigv4_header headers[] = { { SLICE("host"), SLICE("x") }, { SLICE_EMPTY, SLICE_EMPTY } };
        struct sigv4_request request = { SLICE("GET"), SLICE("/"), SLICE_EMPTY, headers, 1 };
        AUTO(buffer)
        struct buffer lines = BUFFER_EMPTY, text = BUFFER_EMPTY;
        struct error err = { 0 };
        assert_int_equal(sigv4_sign(&request, SLICE_EMPTY, KEY, SECRET, SLICE_EMPTY, slice_of(regions[i]),
                                    SLICE("sts"), NOW, &lines, &err),
                         OK);
        buffer_appendf(&text, "GET / HTTP/1.1\nHost: x\n%.*s\n", SLICE_PRINT(buffer_slice(&lines)));
        for (size_t k = 0; k < text.len; k++)
            text.at[k] = text.at[k] == '\r' ? ' ' : text.at[k];
        struct raw_request raw;
        assert_true(raw_request_parse(buffer_slice(&text), &raw));
        struct sigv4_claim claim;
        char hash[65];
        sha256_hex(SLICE_EMPTY, hash);
        assert_int_equal(sigv4_read(&raw.request, NOW, &claim, &err), OK);
        assert_int_equal(sigv4_check(&raw.request, &claim, SECRET, slice_of(hash), false, true, cache, &err), OK);
        assert_int_equal(
            sigv4_check(&raw.request, &claim, SLICE("another secret"), slice_of(hash), false, true, cache, &err),
            FAILED);
        sigv4_claim_drop(&claim);
    }
    sigv4_cache_free(cache);
    sigv4_cache_free(NULL);
}

static void a_request_without_a_host_cannot_be_signed(void **state)
{
    (void)state;
    struct sigv4_request request = { SLICE("GET"), SLICE("/"), SLICE_EMPTY, NULL, 0 };
    AUTO(buffer)
    struct buffer out = BUFFER_EMPTY;
    struct error err = { 0 };
    assert_int_equal(
        sigv4_sign(&request, SLICE_EMPTY, KEY, SECRET, SLICE_EMPTY, SLICE("r"), SLICE("s"), NOW, &out, &err),
        FAILED);
    assert_int_equal(out.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_we_sign_we_accept),
        cmocka_unit_test(a_signed_request_is_good_for_five_minutes_either_way),
        cmocka_unit_test(another_body_is_refused),
        cmocka_unit_test(a_wrong_signature_is_refused_with_AWSs_text),
        cmocka_unit_test(a_header_of_AWS_added_on_the_way_is_refused),
        cmocka_unit_test(other_headers_need_not_be_signed),
        cmocka_unit_test(an_unsigned_host_is_refused),
        cmocka_unit_test(a_signed_header_that_was_lost_is_refused),
        cmocka_unit_test(signed_headers_must_be_a_sorted_list_of_lower_case_names),
        cmocka_unit_test(headers_that_decide_something_are_refused_twice),
        cmocka_unit_test(without_authentication_AWS_says_missing_token),
        cmocka_unit_test(what_is_missing_in_the_header_is_named),
        cmocka_unit_test(a_credential_that_is_none_is_refused),
        cmocka_unit_test(another_scope_than_the_signed_one_is_refused),
        cmocka_unit_test(a_date_that_is_none_is_refused),
        cmocka_unit_test(a_strangers_bytes_do_not_reach_the_message),
        cmocka_unit_test(the_old_Date_header_serves_too),
        cmocka_unit_test(parameters_are_sorted_by_name_before_value),
        cmocka_unit_test(the_same_bytes_in_another_encoding_are_the_same_query),
        cmocka_unit_test(a_query_with_a_broken_escape_is_refused),
        cmocka_unit_test(too_many_parameters_are_refused),
        cmocka_unit_test(a_presigned_request_lives_as_long_as_it_says),
        cmocka_unit_test(what_is_wrong_in_a_presigned_query_is_named),
        cmocka_unit_test(a_presigned_request_lives_a_week_at_most),
        cmocka_unit_test(both_ways_of_signing_at_once_are_refused),
        cmocka_unit_test(an_unsigned_payload_is_for_those_who_allow_it),
        cmocka_unit_test(a_small_cache_forgets_the_key_used_longest_ago),
        cmocka_unit_test(a_request_without_a_host_cannot_be_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
