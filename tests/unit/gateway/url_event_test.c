/* gateway/url_event: the event of a function URL's call, to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/url_event.h"
#include "json/json.h"

#define H(name, value)                                                                                             \
    {                                                                                                              \
        SLICE(name), SLICE(value)                                                                                  \
    }

static struct url_event plain(void)
{
    return (struct url_event){
        .id = SLICE("<url-id>"),
        .domain = SLICE("<url-id>.lambda-url.us-west-2.on.aws"),
        .method = SLICE("GET"),
        .path = SLICE("/"),
        .query = SLICE_EMPTY,
        .source_ip = SLICE("123.123.123.123"),
        .port = SLICE("443"),
        .proto = SLICE("https"),
        .trace = SLICE("Root=1-62ecd163-5f302e550dcde3b12402207d"),
        .request_id = SLICE("id"),
        .time_ms = 1583348638390,
    };
}

static void assert_event(const struct url_event *event, const char *expected)
{
    struct buffer out = BUFFER_EMPTY;
    url_event_write(event, &out);
    assert_string_equal(buffer_text(&out), expected);
    assert_true(json_is_valid(buffer_slice(&out)));
    buffer_drop(&out);
}

/* Asserts that the event has this piece, and is JSON. */
static void assert_has(const struct url_event *event, const char *piece)
{
    struct buffer out = BUFFER_EMPTY;
    url_event_write(event, &out);
    assert_true(json_is_valid(buffer_slice(&out)));
    if (strstr(buffer_text(&out), piece) == NULL)
        fail_msg("\"%s\" is not in %s", piece, buffer_text(&out));
    buffer_drop(&out);
}

static void assert_lacks(const struct url_event *event, const char *piece)
{
    struct buffer out = BUFFER_EMPTY;
    url_event_write(event, &out);
    assert_null(strstr(buffer_text(&out), piece));
    buffer_drop(&out);
}

#define FORWARDED                                                                                                  \
    "\"x-amzn-trace-id\":\"Root=1-62ecd163-5f302e550dcde3b12402207d\",\"x-forwarded-for\":\"123.123.123.123\","    \
    "\"x-forwarded-port\":\"443\",\"x-forwarded-proto\":\"https\""

/* AWS Lambda developer guide, "Request payload format": its example, with its own time (which is not that of its timeEpoch) made one, and the
 * header fields that AWS adds to what the client sent. */
static void a_signed_call_is_the_example_of_the_guide(void **state)
{
    static const struct http_header headers[] = {
        H("Header1", "value1"),          H("header2", "value1"),          H("HEADER2", "value2"),
        H("Cookie", "cookie1; cookie2"), H("Content-Type", "text/plain"), H("User-Agent", "agent"),
    };
    static const struct url_caller caller = { SLICE("AKIA..."), SLICE("111122223333"),
                                              SLICE("arn:aws:iam::111122223333:user/example-user"),
                                              SLICE("AIDA...") };
    struct url_event event = plain();
    (void)state;
    event.method = SLICE("POST");
    event.path = SLICE("/my/path");
    event.query = SLICE("parameter1=value1&parameter1=value2&parameter2=value");
    event.headers = headers;
    event.header_count = sizeof(headers) / sizeof(headers[0]);
    event.caller = &caller;
    event.body = SLICE("Hello from client!");
    assert_event(
        &event, "{\"version\":\"2.0\",\"routeKey\":\"$default\",\"rawPath\":\"/my/path\","
                "\"rawQueryString\":\"parameter1=value1&parameter1=value2&parameter2=value\","
                "\"cookies\":[\"cookie1\",\"cookie2\"],"
                "\"headers\":{\"header1\":\"value1\",\"header2\":\"value1,value2\",\"content-type\":\"text/plain\","
                "\"user-agent\":\"agent\"," FORWARDED "},"
                "\"queryStringParameters\":{\"parameter1\":\"value1,value2\",\"parameter2\":\"value\"},"
                "\"requestContext\":{\"accountId\":\"111122223333\",\"apiId\":\"<url-id>\",\"authentication\":null,"
                "\"authorizer\":{\"iam\":{\"accessKey\":\"AKIA...\",\"accountId\":\"111122223333\",\"callerId\":"
                "\"AIDA...\","
                "\"cognitoIdentity\":null,\"principalOrgId\":null,"
                "\"userArn\":\"arn:aws:iam::111122223333:user/example-user\",\"userId\":\"AIDA...\"}},"
                "\"domainName\":\"<url-id>.lambda-url.us-west-2.on.aws\",\"domainPrefix\":\"<url-id>\","
                "\"http\":{\"method\":\"POST\",\"path\":\"/my/path\",\"protocol\":\"HTTP/1.1\","
                "\"sourceIp\":\"123.123.123.123\",\"userAgent\":\"agent\"},"
                "\"requestId\":\"id\",\"routeKey\":\"$default\",\"stage\":\"$default\","
                "\"time\":\"04/Mar/2020:19:03:58 +0000\",\"timeEpoch\":1583348638390},"
                "\"body\":\"Hello from "
                "client!\",\"pathParameters\":null,\"isBase64Encoded\":false,\"stageVariables\":null}");
}

/* As events recorded from public function URLs are. */
static void a_public_call_leaves_out_what_it_has_not(void **state)
{
    static const struct http_header headers[] = { H("host", "<url-id>.lambda-url.us-west-2.on.aws"),
                                                  H("accept", "*/*") };
    struct url_event event = plain();
    (void)state;
    event.headers = headers;
    event.header_count = 2;
    assert_event(&event,
                 "{\"version\":\"2.0\",\"routeKey\":\"$default\",\"rawPath\":\"/\",\"rawQueryString\":\"\","
                 "\"headers\":{\"host\":\"<url-id>.lambda-url.us-west-2.on.aws\",\"accept\":\"*/*\"," FORWARDED "},"
                 "\"requestContext\":{\"accountId\":\"anonymous\",\"apiId\":\"<url-id>\","
                 "\"domainName\":\"<url-id>.lambda-url.us-west-2.on.aws\",\"domainPrefix\":\"<url-id>\","
                 "\"http\":{\"method\":\"GET\",\"path\":\"/\",\"protocol\":\"HTTP/1.1\","
                 "\"sourceIp\":\"123.123.123.123\",\"userAgent\":\"\"},"
                 "\"requestId\":\"id\",\"routeKey\":\"$default\",\"stage\":\"$default\","
                 "\"time\":\"04/Mar/2020:19:03:58 +0000\",\"timeEpoch\":1583348638390},\"isBase64Encoded\":false}");
}

static void what_the_client_claims_about_its_way_is_replaced(void **state)
{
    static const struct http_header headers[] = {
        H("X-Forwarded-For", "6.6.6.6"),     H("x-forwarded-proto", "gopher"), H("X-FORWARDED-PORT", "1"),
        H("X-Amzn-Trace-Id", "Root=forged"), H("Connection", "close"),         H("Transfer-Encoding", "chunked"),
    };
    struct url_event event = plain();
    (void)state;
    event.headers = headers;
    event.header_count = 6;
    assert_has(&event, "\"headers\":{" FORWARDED "}");
}

static void cookies_of_several_fields_are_one_list(void **state)
{
    static const struct http_header headers[] = { H("Cookie", "a=1;; b=\"x, y\" ; "), H("X", "1"),
                                                  H("cookie", "c") };
    static const struct http_header none[] = { H("Cookie", " ; ") };
    struct url_event event = plain();
    (void)state;
    event.headers = headers;
    event.header_count = 3;
    assert_has(&event, ",\"cookies\":[\"a=1\",\"b=\\\"x, y\\\"\",\"c\"],");
    assert_lacks(&event, "\"cookie\"");
    event.headers = none;
    event.header_count = 1;
    assert_lacks(&event, "cookies");
}

static void assert_query(const char *query, const char *parameters)
{
    struct url_event event = plain();
    event.query = slice_of(query);
    if (parameters == NULL)
        assert_lacks(&event, "queryStringParameters");
    else
        assert_has(&event, parameters);
}

static void queries_are_decoded_joined_and_kept_raw(void **state)
{
    struct url_event event = plain();
    (void)state;
    assert_query("", NULL);
    assert_query("&&", NULL);
    assert_query("a", "\"queryStringParameters\":{\"a\":\"\"}");
    assert_query("a=1&b=2&a=3&&a=", "\"queryStringParameters\":{\"a\":\"1,3,\",\"b\":\"2\"}");
    assert_query("q=query&multi=foo&multi=%2Fbar",
                 "\"queryStringParameters\":{\"q\":\"query\",\"multi\":\"foo,/bar\"}");
    assert_query("a+b=c+d&a%20b=%C3%A9", "\"queryStringParameters\":{\"a b\":\"c d,\xC3\xA9\"}");
    assert_query("a=%zz&b=%", "\"queryStringParameters\":{\"a\":\"%zz\",\"b\":\"%\"}");
    assert_query("a=b=c", "\"queryStringParameters\":{\"a\":\"b=c\"}");
    assert_query("=x", "\"queryStringParameters\":{\"\":\"x\"}");
    assert_query("a=%ff%00", "\"queryStringParameters\":{\"a\":\"\xEF\xBF\xBD\\u0000\"}");
    event.query = SLICE("a=%zz&b=%2F");
    assert_has(&event, "\"rawQueryString\":\"a=%zz&b=%2F\"");
}

static void strange_paths_stay_as_they_were_sent(void **state)
{
    struct url_event event = plain();
    (void)state;
    event.path = SLICE("//a/%2e%2E/%2F/../b;c=1/\"");
    assert_has(&event, "\"rawPath\":\"//a/%2e%2E/%2F/../b;c=1/\\\"\"");
    assert_has(&event, "\"path\":\"//a/%2e%2E/%2F/../b;c=1/\\\"\"");
}

static void a_field_that_is_no_utf8_is_latin1(void **state)
{
    static const struct http_header headers[] = { H("a", "caf\xE9"), H("b", "caf\xC3\xA9"), H("c", "\x80\xFF") };
    struct url_event event = plain();
    (void)state;
    event.headers = headers;
    event.header_count = 3;
    assert_has(&event, "\"a\":\"caf\xC3\xA9\",\"b\":\"caf\xC3\xA9\",\"c\":\"\xC2\x80\xC3\xBF\"");
}

static void assert_body(const char *content_type, struct slice body, const char *piece)
{
    struct http_header headers[] = { { SLICE("content-type"), slice_of(content_type) } };
    struct url_event event = plain();
    event.headers = headers;
    event.header_count = content_type != NULL ? 1 : 0;
    event.body = body;
    assert_has(&event, piece);
}

static void bodies_of_text_are_text_and_all_others_base64(void **state)
{
    static const char *const text[] = { "text/plain",       "TEXT/html; charset=utf-8",
                                        "application/json", "application/json; charset=utf-8",
                                        "application/xml",  "application/javascript" };
    static const char *const binary[] = { "application/octet-stream",
                                          "application/x-www-form-urlencoded",
                                          "image/svg+xml",
                                          "multipart/form-data; boundary=text/plain",
                                          "",
                                          NULL };
    (void)state;
    for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++)
        assert_body(text[i], SLICE("a\"b"), ",\"body\":\"a\\\"b\",\"isBase64Encoded\":false}");
    for (size_t i = 0; i < sizeof(binary) / sizeof(binary[0]); i++)
        assert_body(binary[i], SLICE("a\"b"), ",\"body\":\"YSJi\",\"isBase64Encoded\":true}");
}

static void a_text_that_is_no_utf8_is_base64(void **state)
{
    (void)state;
    assert_body("text/plain", SLICE("\xFF\xFE"), ",\"body\":\"//4=\",\"isBase64Encoded\":true}");
    assert_body("text/plain", SLICE("\xED\xA0\x80"), ",\"isBase64Encoded\":true}"); /* a surrogate */
    assert_body("text/plain", SLICE("\xF0\x9F\x98\x80\0x"), ",\"body\":\"\xF0\x9F\x98\x80\\u0000x\"");
    assert_body("text/plain", SLICE("\xC3"), ",\"body\":\"ww==\"");
}

static void thousands_of_parameters_take_no_time_that_grows_with_their_square(void **state)
{
    struct buffer query = BUFFER_EMPTY, out = BUFFER_EMPTY;
    struct url_event event = plain();
    (void)state;
    while (query.len + 2 < HTTP_TARGET_BYTES_MAX)
        buffer_append_text(&query, "a&");
    event.query = buffer_slice(&query);
    url_event_write(&event, &out);
    assert_true(json_is_valid(buffer_slice(&out)));
    buffer_drop(&query);
    buffer_drop(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signed_call_is_the_example_of_the_guide),
        cmocka_unit_test(a_public_call_leaves_out_what_it_has_not),
        cmocka_unit_test(what_the_client_claims_about_its_way_is_replaced),
        cmocka_unit_test(cookies_of_several_fields_are_one_list),
        cmocka_unit_test(queries_are_decoded_joined_and_kept_raw),
        cmocka_unit_test(strange_paths_stay_as_they_were_sent),
        cmocka_unit_test(a_field_that_is_no_utf8_is_latin1),
        cmocka_unit_test(bodies_of_text_are_text_and_all_others_base64),
        cmocka_unit_test(a_text_that_is_no_utf8_is_base64),
        cmocka_unit_test(thousands_of_parameters_take_no_time_that_grows_with_their_square),
    };
    return cmocka_run_group_tests_name("gateway/url_event", tests, NULL, NULL);
}
