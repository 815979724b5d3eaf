/* gateway/url_answer: what a function returned, as an HTTP answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/memory.h"
#include "gateway/url_answer.h"

/* "200|name: value|...|body" */
static void assert_answer(const char *payload, const char *expected)
{
    AUTO(url_answer)
    struct url_answer answer = { 0 };
    struct error err = { 0 };
    struct buffer text = BUFFER_EMPTY;
    if (url_answer_read(slice_of(payload), &answer, &err) != OK)
        fail_msg("%s: %s", payload, err.message);
    buffer_appendf(&text, "%d|", answer.status);
    for (size_t i = 0; i < answer.field_count; i++)
        buffer_appendf(&text, "%s: %.*s|", answer.fields[i].name, SLICE_PRINT(answer.fields[i].value));
    buffer_append_slice(&text, buffer_slice(&answer.body));
    assert_string_equal(buffer_text(&text), expected);
    buffer_drop(&text);
}

static void assert_malformed(const char *payload)
{
    AUTO(url_answer)
    struct url_answer answer = { 0 };
    struct error err = { 0 };
    if (url_answer_read(slice_of(payload), &answer, &err) == OK)
        fail_msg("%s was taken", payload);
    assert_int_equal(err.kind, ERROR_INVALID);
}

#define JSON "200|Content-Type: application/json|"

/* LocalStack's recordings of AWS, test_lambda_url_invocation. */
static void without_a_statusCode_the_whole_value_is_the_body(void **state)
{
    (void)state;
    assert_answer("{\"hello\": \"world\"}", JSON "{\"hello\":\"world\"}");
    assert_answer("[\"hello\", 3, true]", JSON "[\"hello\",3,true]");
    assert_answer("\"hello\"", JSON "hello");
    assert_answer("\"\\u00e9\\n\"", JSON "\xC3\xA9\n");
    assert_answer("3", JSON "3");
    assert_answer("3.1", JSON "3.1");
    assert_answer("true", JSON "true");
    assert_answer("null", JSON "null");
    assert_answer("12345678901234567890.10", JSON "12345678901234567890.10");
    assert_answer("{\"headers\":{\"a\":\"b\"},\"body\":\"x\"}", JSON "{\"headers\":{\"a\":\"b\"},\"body\":\"x\"}");
}

static void with_a_statusCode_its_members_are_the_answer(void **state)
{
    (void)state;
    assert_answer("{\"statusCode\":200,\"body\":\"body123\"}", JSON "body123");
    assert_answer("{\"statusCode\":\"418\",\"body\":\"i'm a teapot\"}",
                  "418|Content-Type: application/json|i'm a teapot");
    assert_answer("{\"statusCode\":204}", "204|Content-Type: application/json|");
    assert_answer("{\"statusCode\":200,\"body\":null,\"headers\":null,\"cookies\":null}", JSON);
    assert_answer(
        "{\"statusCode\":201,\"headers\":{\"content-type\":\"text/plain\",\"My-Header\":\" Custom Value \"},"
        "\"body\":\"{ \\\"m\\\": 1 }\",\"cookies\":[\"a=1; Secure\",\"b=2\"],\"isBase64Encoded\":false}",
        "201|content-type: text/plain|My-Header: Custom Value|Set-Cookie: a=1; Secure|Set-Cookie: b=2|"
        "{ \"m\": 1 }");
    assert_answer("{\"statusCode\":200,\"headers\":{\"n\":1.50,\"t\":true,\"gone\":null}}",
                  "200|n: 1.50|t: true|Content-Type: application/json|");
    assert_answer("{\"statusCode\":200,\"body\":{\"a\": [1, 2]}}", JSON "{\"a\":[1,2]}");
    assert_answer("{\"statusCode\":200,\"body\":7}", JSON "7");
}

static void base64_is_decoded_where_it_is_promised(void **state)
{
    (void)state;
    assert_answer("{\"statusCode\":200,\"body\":\"aGk=\",\"isBase64Encoded\":true}", JSON "hi");
    assert_answer("{\"statusCode\":200,\"body\":\"aGk=\"}", JSON "aGk=");
    assert_malformed("{\"statusCode\":200,\"body\":\"a b\",\"isBase64Encoded\":true}");
}

static void no_function_names_a_length_or_ends_a_connection(void **state)
{
    (void)state;
    assert_answer(
        "{\"statusCode\":200,\"headers\":{\"Content-Length\":\"9\",\"transfer-encoding\":\"chunked\","
        "\"CONNECTION\":\"close\",\"Keep-Alive\":\"1\",\"Upgrade\":\"h2c\",\"Trailer\":\"x\",\"TE\":\"x\","
        "\"Proxy-Connection\":\"x\",\"Date\":\"x\",\"x-amzn-RequestId\":\"forged\",\"ok\":\"1\"}}",
        "200|ok: 1|Content-Type: application/json|");
    assert_answer("{\"statusCode\":200,\"headers\":{\"Content-Type\":\"a/b\",\"content-type\":\"c/d\"}}",
                  "200|Content-Type: a/b|");
}

static void no_function_breaks_an_answer_apart(void **state)
{
    (void)state;
    assert_malformed("{\"statusCode\":200,\"headers\":{\"a\":\"b\\r\\nSet-Cookie: x\"}}");
    assert_malformed("{\"statusCode\":200,\"headers\":{\"a\":\"b\\nc\"}}");
    assert_malformed("{\"statusCode\":200,\"headers\":{\"a\":\"b\\u0000c\"}}");
    assert_malformed("{\"statusCode\":200,\"headers\":{\"a\\r\\nb\":\"c\"}}");
    assert_malformed("{\"statusCode\":200,\"headers\":{\"a: b\":\"c\"}}");
    assert_malformed("{\"statusCode\":200,\"headers\":{\"a\\u0000\":\"c\"}}");
    assert_malformed("{\"statusCode\":200,\"headers\":{\"\":\"c\"}}");
    assert_malformed("{\"statusCode\":200,\"cookies\":[\"a=1\\r\\nX: y\"]}");
}

static void what_has_another_shape_is_malformed(void **state)
{
    static const char *const statuses[] = { "0",    "-1",      "100",      "199",
                                            "600",  "1000",    "200.5",    "99999999999999999999",
                                            "\"\"", "\"abc\"", "\" 200\"", "null",
                                            "{}",   "[]",      "true" };
    char text[64];
    (void)state;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        (void)snprintf(text, sizeof(text), "{\"statusCode\":%s}", statuses[i]);
        assert_malformed(text);
    }
    assert_malformed("");
    assert_malformed("nonsense");
    assert_malformed("{\"statusCode\":200,\"headers\":[]}");
    assert_malformed("{\"statusCode\":200,\"headers\":{\"a\":[\"b\"]}}");
    assert_malformed("{\"statusCode\":200,\"cookies\":\"a=1\"}");
    assert_malformed("{\"statusCode\":200,\"cookies\":[1]}");
}

static void a_thousand_fields_are_enough(void **state)
{
    struct buffer text = BUFFER_EMPTY;
    (void)state;
    buffer_append_text(&text, "{\"statusCode\":200,\"cookies\":[\"a\"");
    for (int i = 0; i < URL_ANSWER_FIELDS_MAX; i++)
        buffer_append_text(&text, ",\"a\"");
    buffer_append_text(&text, "]}");
    assert_malformed(buffer_text(&text));
    buffer_drop(&text);
}

static void depth_is_no_way_to_the_end_of_our_stack(void **state)
{
    enum { DEPTH = 100000 };
    struct buffer text = BUFFER_EMPTY;
    AUTO(url_answer)
    struct url_answer answer = { 0 };
    (void)state;
    for (int i = 0; i < DEPTH; i++)
        buffer_append_byte(&text, '[');
    for (int i = 0; i < DEPTH; i++)
        buffer_append_byte(&text, ']');
    assert_int_equal(url_answer_read(buffer_slice(&text), &answer, NULL), OK);
    assert_int_equal(answer.body.len, 2 * DEPTH);
    buffer_drop(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_statusCode_the_whole_value_is_the_body),
        cmocka_unit_test(with_a_statusCode_its_members_are_the_answer),
        cmocka_unit_test(base64_is_decoded_where_it_is_promised),
        cmocka_unit_test(no_function_names_a_length_or_ends_a_connection),
        cmocka_unit_test(no_function_breaks_an_answer_apart),
        cmocka_unit_test(what_has_another_shape_is_malformed),
        cmocka_unit_test(a_thousand_fields_are_enough),
        cmocka_unit_test(depth_is_no_way_to_the_end_of_our_stack),
    };
    return cmocka_run_group_tests_name("gateway/url_answer", tests, NULL, NULL);
}
