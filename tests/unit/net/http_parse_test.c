/* What is a request and what is not. Each stream is sent whole, and again one byte at a time: the answers are the same. */
#include "world.h"

#include "base/memory.h"

#define HOST      "Host: a\r\n"
#define LAST      "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
#define LAST_SEEN "[GET|/last|/last||Host=a|Connection=close|none -1]"

struct row {
    const char *stream;
    const char *expected; /* somewhere in the answers; for refusals the beginning of the only one */
};

static struct slice stream_of(const char *text, char **owned)
{
    /* "\\0" stands for NUL, so that rows are plain strings. */
    struct buffer b = BUFFER_EMPTY;
    for (const char *at = text; *at; at++) {
        bool nul = at[0] == '\\' && at[1] == '0';
        buffer_append_byte(&b, nul ? '\0' : *at);
        at += nul;
    }
    *owned = b.at;
    return buffer_slice(&b);
}

static void each_is_accepted(struct world *world, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (int bytewise = 0; bytewise < 2; bytewise++) {
            AUTO(buffer)
            struct buffer stream = BUFFER_EMPTY;
            buffer_append_text(&stream, rows[i].stream);
            buffer_append_text(&stream, LAST);
            AUTO(text)
            char *answers = talk(world, buffer_slice(&stream), bytewise);
            if (!strstr(answers, rows[i].expected) || !strstr(answers, LAST_SEEN))
                fail_msg("row %zu (%s): \"%s\" is not answered with \"%s\" and the last one, but: %s", i,
                         bytewise ? "bytewise" : "whole", rows[i].stream, rows[i].expected, answers);
        }
    }
}

static void each_is_refused(struct world *world, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (int bytewise = 0; bytewise < 2; bytewise++) {
            AUTO(text)
            char *owned = NULL;
            AUTO(buffer)
            struct buffer status = BUFFER_EMPTY;
            size_t requests = world->requests;
            AUTO(text)
            char *answers = talk(world, stream_of(rows[i].stream, &owned), bytewise);
            buffer_appendf(&status, "HTTP/1.1 %s", rows[i].expected);
            if (strncmp(answers, buffer_text(&status), status.len) != 0 ||
                !strstr(answers, "Connection: close\r\n") || strstr(answers + 1, "\nHTTP/1.1 "))
                fail_msg("row %zu (%s): \"%s\" is not refused with %s, but: %s", i, bytewise ? "bytewise" : "whole",
                         rows[i].stream, rows[i].expected, answers);
            if (world->requests != requests)
                fail_msg("row %zu: \"%s\" reached the handler", i, rows[i].stream);
        }
    }
}

static void well_formed_requests_reach_the_handler(void **state)
{
    static const struct row rows[] = {
        { "GET / HTTP/1.1\r\n" HOST "\r\n", "[GET|/|/||Host=a|none -1]" },
        { "\r\nGET / HTTP/1.1\r\n" HOST "\r\n", "[GET|/|/||Host=a|none -1]" },
        { "GET /a%20b?c=d?e HTTP/1.1\r\n" HOST "\r\n", "[GET|/a%20b?c=d?e|/a%20b|c=d?e|Host=a|none -1]" },
        { "GET /? HTTP/1.1\r\n" HOST "\r\n", "[GET|/?|/||Host=a|none -1]" },
        { "GET //x/../y;z=1 HTTP/1.1\r\n" HOST "\r\n", "[GET|//x/../y;z=1|//x/../y;z=1||Host=a|none -1]" },
        { "GET /?a[]={b}|c^`d HTTP/1.1\r\n" HOST "\r\n", "|a[]={b}|c^`d|Host=a" },
        { "DELETE /f HTTP/1.1\r\nhOST:\t a.example:4566 \t\r\nX:\r\nY: 1 2\t3\r\n\r\n",
          "[DELETE|/f|/f||hOST=a.example:4566|X=|Y=1 2\t3|none -1]" },
        { "GET / HTTP/1.1\r\n" HOST "X: \xc3\xa4\r\n\r\n", "|X=\xc3\xa4|" },
        { "GET / HTTP/1.1\r\n" HOST "A: 1\r\nA: 2\r\n\r\n", "|A=1|A=2|" },
        { "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "Host=[::1]:80" },
        { "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "[GET|/|/||Connection=keep-alive|none -1]" },
        { "GET http://a/x?y HTTP/1.1\r\n" HOST "\r\n", "[GET|/x?y|/x|y|Host=a|none -1]" },
        { "GET HTTP://A:80?y HTTP/1.1\r\n" HOST "\r\n", "[GET|/?y|/|y|Host=a|none -1]" },
        { "GET http://a HTTP/1.1\r\nHost: a:80\r\n\r\n", "[GET|/|/||Host=a:80|none -1]" },
        { "GET / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", "Upgrade=h2c|none -1]" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "none 0]" },
        { "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", "\r\n\r\nhelloHTTP/1.1 200" },
        { "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 005\r\n\r\nhello", "\r\n\r\nhelloHTTP/1.1 200" },
        { "POST /echo HTTP/1.1\r\n" HOST
          "Transfer-Encoding: Chunked\r\n\r\n2\r\nhe\r\n03;a=b;c=\"d e\"\r\nllo\r\n0\r\n\r\n",
          "\r\n\r\nhelloHTTP/1.1 200" },
        { "POST /echo HTTP/1.1\r\n" HOST
          "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nHost: b\r\nX: y\r\n\r\n",
          "\r\n\r\nhelloHTTP/1.1 200" },
        { "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          "Content-Length: 0\r\n\r\n" },
        /* A body that the handler does not read, all there: dropped, not taken for the next request. */
        { "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n\r\n", "HTTP/1.1 200 OK" },
    };
    each_is_accepted(*state, rows, sizeof rows / sizeof rows[0]);
}

static void malformed_request_lines_are_refused(void **state)
{
    static const struct row rows[] = {
        { "GET  / HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "GET /  HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "GET\t/ HTTP/1.1\r\n" HOST "\r\n", "400" },
        { " GET / HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "GET / HTTP/1.1 \r\n" HOST "\r\n", "400" },
        { "GET / HTTP/1.1\n" HOST "\r\n", "400" },
        { "GET / HTTP/1.1\r" HOST "\r\n", "400" },
        { "\nGET / HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "\r\rGET / HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "GET /a\\0b HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "GET /a\x01 HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "GET /a\x7f HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "GET /?\xff HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "GET /a#b HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "GET /a\\b HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "GET /\"<> HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "GET a HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "GET HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "OPTIONS / RTSP/1.0\r\n\r\n", "400" },
        { "SOURCE / ICE/1.0\r\n\r\n", "400" },
        { "GET http://b/ HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "GET http:///x HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "GET http://u@a/x HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "GET https://a/x HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "GET ftp://a/x HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "GET /\r\n", "505" },
        { "GET / \r\n", "400" },
        { "GET / HTTP/2.0\r\n" HOST "\r\n", "505" },
        { "GET / HTTP/0.9\r\n" HOST "\r\n", "505" },
        { "GET / HTTP/1.2\r\n" HOST "\r\n", "505" },
        { "GET / HTTP/9.9\r\n" HOST "\r\n", "505" },
        { "GET / http/1.1\r\n" HOST "\r\n", "400" },
        { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505" },
        { "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "501" },
        { "FOO / HTTP/1.1\r\n" HOST "\r\n", "501" },
        { "GETX / HTTP/1.1\r\n" HOST "\r\n", "501" },
        { "get / HTTP/1.1\r\n" HOST "\r\n", "501" },
        { "\x16\x03\x01\x02\\0\x01\\0\x01\xfc\x03\x03", "400" }, /* TLS */
        { "\x80\x2e\x01", "400" },
        { "\\0", "400" },
    };
    each_is_refused(*state, rows, sizeof rows / sizeof rows[0]);
}

static void malformed_fields_are_refused(void **state)
{
    static const struct row rows[] = {
        { "GET / HTTP/1.1\r\nX: 1\r\n\r\n", "400" }, /* no Host */
        { "GET / HTTP/1.1\r\n" HOST HOST "\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST "host: b\r\n\r\n", "400" },
        { "GET / HTTP/1.0\r\n" HOST HOST "\r\n", "400" },
        { "GET / HTTP/1.1\r\nHost:\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST "X : 1\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST " X: 1\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\n X: 1\r\n" HOST "\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST ": 1\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST "X\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST "X(: 1\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST "X\xc3: 1\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST "X\\0: 1\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST "X: 1\r\n 2\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST "X: 1\r\n\t2\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST "X:\r\n 2\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST "X: 1\rY: 2\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST "X: 1\nY: 2\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST "X: 1\r\n\nY", "400" },
        { "GET / HTTP/1.1\r\n" HOST "X: 1\r\n\r\r", "400" },
        { "GET / HTTP/1.1\r\n" HOST "X: a\\0b\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST "X: a\x01\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST "X: a\x1b[0m\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST "X: a\x7f\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Expect: 200-ok\r\n\r\n", "417" },
        { "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue, x\r\n\r\n", "417" },
    };
    each_is_refused(*state, rows, sizeof rows / sizeof rows[0]);
}

static void ambiguous_framing_is_refused(void **state)
{
    static const struct row rows[] = {
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\nx", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\nx", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\nx", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\nx", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 1 1\r\n\r\nx", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\nx", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\nx", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551615\r\n\r\nx", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775808\r\n\r\nx", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, gzip\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \"chunked\"\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", "501" },
        { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \vchunked\r\n\r\n", "400" },
        { "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400" },
    };
    each_is_refused(*state, rows, sizeof rows / sizeof rows[0]);
}

#define CHUNKED "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"

static void malformed_chunks_are_refused_and_the_handler_is_told(void **state)
{
    static const char *streams[] = {
        CHUNKED "g\r\n",
        CHUNKED "\r\n",
        CHUNKED "-1\r\nx\r\n0\r\n\r\n",
        CHUNKED "+1\r\nx\r\n0\r\n\r\n",
        CHUNKED "0x1\r\nx\r\n0\r\n\r\n",
        CHUNKED " 1\r\nx\r\n0\r\n\r\n",
        CHUNKED "1 \r\nx\r\n0\r\n\r\n",
        CHUNKED "1\nx\r\n0\r\n\r\n",
        CHUNKED "1\r\nx\n0\r\n\r\n",
        CHUNKED "1\r\nxy\r\n0\r\n\r\n",
        CHUNKED "1\rx\r\n0\r\n\r\n",
        CHUNKED "10000000000000000\r\nx",
        CHUNKED "1;\r\nx\r\n0\r\n\r\n",
        CHUNKED "1;a=\x01\r\nx\r\n0\r\n\r\n",
        CHUNKED "1;a\nb\r\nx\r\n0\r\n\r\n",
        CHUNKED "1\r\nx\r\n0\r\nBad Trailer: x\r\n\r\n",
        CHUNKED "1\r\nx\r\n0\r\nX: y\r\n z\r\n\r\n",
        CHUNKED "1\r\nx\r\n0\r\nX: y\n\r\n",
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        for (int bytewise = 0; bytewise < 2; bytewise++) {
            world->body_error = ERROR_NONE;
            AUTO(text)
            char *answers = talk(world, slice_of(streams[i]), bytewise);
            if (strncmp(answers, "HTTP/1.1 400", 12) != 0 || strstr(answers + 1, "\nHTTP/1.1") ||
                world->body_error != ERROR_UNAVAILABLE)
                fail_msg("row %zu (%d): \"%s\" is answered: %s", i, bytewise, streams[i], answers);
        }
    }
}

static void append_repeated(struct buffer *out, const char *text, size_t times)
{
    while (times--)
        buffer_append_text(out, text);
}

static void expect_begins(struct world *world, struct buffer *stream, const char *expected)
{
    AUTO(text)
    char *answers = talk(world, buffer_slice(stream), false);
    if (strncmp(answers, expected, strlen(expected)) != 0)
        fail_msg("expected %s, got: %.200s", expected, answers);
    buffer_reset(stream);
}

static void heads_are_bounded_in_each_dimension_and_pass_up_to_the_bound(void **state)
{
    struct world *world = *state;
    AUTO(buffer)
    struct buffer s = BUFFER_EMPTY;

    for (int over = 0; over < 2; over++) { /* the target */
        buffer_append_text(&s, "GET /");
        append_repeated(&s, "x", HTTP_TARGET_BYTES_MAX - 1 + (size_t)over);
        buffer_append_text(&s, " HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
        expect_begins(world, &s, over ? "HTTP/1.1 414" : "HTTP/1.1 200");
    }
    for (int over = 0; over < 2; over++) { /* the fields */
        buffer_append_text(&s, "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n");
        append_repeated(&s, "X: y\r\n", HTTP_HEADERS_MAX - 2 + (size_t)over);
        buffer_append_text(&s, "\r\n");
        expect_begins(world, &s, over ? "HTTP/1.1 431" : "HTTP/1.1 200");
    }
    for (int over = 0; over < 2; over++) { /* all of it */
        buffer_append_text(&s, "GET / HTTP/1.1\r\n" HOST "Connection: close\r\nX: ");
        append_repeated(&s, "x", HTTP_HEAD_BYTES_MAX - s.len - 4 + (size_t)over);
        buffer_append_text(&s, "\r\n\r\n");
        expect_begins(world, &s, over ? "HTTP/1.1 431" : "HTTP/1.1 200");
    }
    append_repeated(&s, "GET / HTTP/1.1\r\n" HOST "\r\n", 3000); /* the bound is a head's, not a connection's */
    buffer_append_text(&s, LAST);
    expect_begins(world, &s, "HTTP/1.1 200");
    assert_true(world->requests > 3000);
}

static void what_a_chunked_body_costs_beside_its_bytes_is_bounded(void **state)
{
    struct world *world = *state;
    AUTO(buffer)
    struct buffer s = BUFFER_EMPTY;
    for (int over = 0; over < 2; over++) {
        buffer_append_text(&s, "POST /echo HTTP/1.1\r\n" HOST
                               "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n1;a=");
        append_repeated(&s, "x", HTTP_CHUNK_EXTENSION_BYTES_MAX - 1 + (size_t)over);
        buffer_append_text(&s, "\r\nx\r\n0\r\n\r\n");
        expect_begins(world, &s, over ? "HTTP/1.1 400" : "HTTP/1.1 200");
    }
    for (int over = 0; over < 2; over++) {
        buffer_append_text(&s, "POST /echo HTTP/1.1\r\n" HOST
                               "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX:");
        append_repeated(&s, "x", over ? HTTP_TRAILER_BYTES_MAX : HTTP_TRAILER_BYTES_MAX / 2);
        buffer_append_text(&s, "\r\n\r\n");
        expect_begins(world, &s, over ? "HTTP/1.1 400" : "HTTP/1.1 200");
    }
    for (int over = 0; over < 2; over++) {
        buffer_append_text(&s, "POST /echo HTTP/1.1\r\n" HOST
                               "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
        append_repeated(&s, "0", over ? 2 * HTTP_CHUNK_OVERHEAD_BYTES_MAX : 100);
        buffer_append_text(&s, "1\r\nx\r\n0\r\n\r\n");
        expect_begins(world, &s, over ? "HTTP/1.1 400" : "HTTP/1.1 200");
    }
    buffer_append_text(&s,
                       "POST /echo HTTP/1.1\r\n" HOST "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
    append_repeated(&s, "1\r\nx\r\n", 20000); /* small chunks are no crime */
    buffer_append_text(&s, "0\r\n\r\n");
    expect_begins(world, &s, "HTTP/1.1 200");
    assert_int_equal(world->body_bytes, 1 + 1 + 1 + 20000);
}

static void a_refused_HEAD_has_no_body(void **state)
{
    AUTO(text)
    char *answers = talk(*state, SLICE("HEAD / HTTP/1.1\r\n\r\n"), false);
    assert_non_null(strstr(answers, "HTTP/1.1 400 Bad Request\r\n"));
    assert_string_equal(strstr(answers, "\r\n\r\n"), "\r\n\r\n");
}

static void names_and_values_of_strangers_can_be_checked(void **state)
{
    (void)state;
    assert_true(http_name_ok(SLICE("X-Amz-Date")));
    assert_true(http_name_ok(SLICE("!#$%&'*+-.^_`|~09azAZ")));
    assert_false(http_name_ok(SLICE("")));
    assert_false(http_name_ok(SLICE("a b")));
    assert_false(http_name_ok(SLICE("a:")));
    assert_false(http_name_ok(SLICE("a\0")));
    assert_false(http_name_ok(SLICE("\xc3")));
    assert_true(http_value_ok(SLICE("")));
    assert_true(http_value_ok(SLICE("a\t\xc3\xa4")));
    assert_false(http_value_ok(SLICE("a\r\nSet-Cookie: b")));
    assert_false(http_value_ok(SLICE("a\nb")));
    assert_false(http_value_ok(SLICE("a\0b")));
    assert_false(http_value_ok(SLICE("\x7f")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(well_formed_requests_reach_the_handler, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(malformed_request_lines_are_refused, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(malformed_fields_are_refused, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(ambiguous_framing_is_refused, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(malformed_chunks_are_refused_and_the_handler_is_told, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(heads_are_bounded_in_each_dimension_and_pass_up_to_the_bound, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(what_a_chunked_body_costs_beside_its_bytes_is_bounded, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(a_refused_HEAD_has_no_body, world_setup, world_teardown),
        cmocka_unit_test(names_and_values_of_strangers_can_be_checked),
    };
    return cmocka_run_group_tests_name("net/http_parse", tests, NULL, NULL);
}
