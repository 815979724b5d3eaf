/* Writing answers. One answer is one write wherever its size allows. Idea and invariants: http_private.h. */
#include "net/http_private.h"

#include <assert.h>
#include <stdio.h>
#include <strings.h>

enum {
    JOINED_BYTES_MAX = 8 * 1024, /* a body up to this is copied behind its head: cheaper than a second iovec */
    NUMBER_BYTES = 24,
};

/* RFC 9110 15 and the registry; others go out without a phrase (RFC 9112 4: it may be empty). */
static const struct {
    int status;
    const char *phrase;
} phrases[] = {
    { 200, "OK" },
    { 201, "Created" },
    { 202, "Accepted" },
    { 203, "Non-Authoritative Information" },
    { 204, "No Content" },
    { 205, "Reset Content" },
    { 206, "Partial Content" },
    { 300, "Multiple Choices" },
    { 301, "Moved Permanently" },
    { 302, "Found" },
    { 303, "See Other" },
    { 304, "Not Modified" },
    { 307, "Temporary Redirect" },
    { 308, "Permanent Redirect" },
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 402, "Payment Required" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 406, "Not Acceptable" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 410, "Gone" },
    { 411, "Length Required" },
    { 412, "Precondition Failed" },
    { 413, "Content Too Large" },
    { 414, "URI Too Long" },
    { 415, "Unsupported Media Type" },
    { 416, "Range Not Satisfiable" },
    { 417, "Expectation Failed" },
    { 418, "I'm a teapot" },
    { 421, "Misdirected Request" },
    { 422, "Unprocessable Content" },
    { 424, "Failed Dependency" },
    { 425, "Too Early" },
    { 426, "Upgrade Required" },
    { 428, "Precondition Required" },
    { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 451, "Unavailable For Legal Reasons" },
    { 500, "Internal Server Error" },
    { 501, "Not Implemented" },
    { 502, "Bad Gateway" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
    { 505, "HTTP Version Not Supported" },
    { 507, "Insufficient Storage" },
};

static const char *phrase_of(int status)
{
    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "";
}

/* ---- fields ---- */

/* These say how the bytes are framed: a second opinion about it is how answers get smuggled. */
static bool is_ours(const char *name)
{
    return strcasecmp(name, "content-length") == 0 || strcasecmp(name, "transfer-encoding") == 0 ||
           strcasecmp(name, "connection") == 0 || strcasecmp(name, "date") == 0;
}

void http_add_header(struct http_exchange *x, const char *name, struct slice value)
{
    struct buffer *added = &x->connection->input.work->added;
    assert(x->held && x->answer == ANSWER_NONE);
    assert(http_name_ok(slice_of(name)));
    assert(http_value_ok(value));
    if (is_ours(name))
        return;
    buffer_append_text(added, name);
    buffer_append(added, ": ", 2);
    buffer_append_slice(added, value);
    buffer_append(added, "\r\n", 2);
}

/* ---- heads ---- */

static void append(struct buffer *out, struct slice s)
{
    buffer_append(out, s.at, s.len);
}

static struct slice number_text(uint64_t number, char out[NUMBER_BYTES])
{
    char *end = out + NUMBER_BYTES, *at = end;
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    return slice_from(at, (size_t)(end - at));
}

static void append_status_line(struct buffer *out, int status)
{
    char number[NUMBER_BYTES];
    if (status == 200) {
        append(out, SLICE("HTTP/1.1 200 OK\r\n"));
        return;
    }
    append(out, SLICE("HTTP/1.1 "));
    append(out, number_text((uint64_t)status, number));
    buffer_append_byte(out, ' ');
    buffer_append_text(out, phrase_of(status));
    append(out, SLICE("\r\n"));
}

/* RFC 9112 6.3: whatever its fields say, these have no body. */
static bool status_has_no_body(int status)
{
    return status == 204 || status == 304;
}

static void keep_unless_draining(struct http_exchange *x)
{
    struct connection *c = x->connection;
    if (c->server->draining || c->listener->closing)
        x->keep = false;
}

/* The handler reads no more. A body that was not read must not be taken for the next request: what is there already is
 * dropped, for more of it the connection ends. */
static void end_reading(struct http_exchange *x)
{
    struct input *in = &x->connection->input;
    x->reading = READING_DONE;
    keep_unless_draining(x);
    while (x->keep && !in->body_complete) {
        struct slice dropped;
        enum parsed parsed = input_body(in, &dropped);
        if (parsed == PARSED_REFUSED || (parsed == PARSED_MORE && input_unparsed(in) == 0))
            x->keep = false;
    }
}

/* length: of the body, -1 when it is not known. */
static void append_head(struct http_exchange *x, int status, int64_t length)
{
    struct connection *c = x->connection;
    struct input *in = &c->input;
    struct buffer *out = &in->work->out;
    char number[NUMBER_BYTES];
    bool http_11 = in->parser.http_minor == 1;
    x->body_dropped = status_has_no_body(status) || in->parser.method == HTTP_HEAD;
    x->chunked = length < 0 && http_11 && !status_has_no_body(status);
    if (length < 0 && !http_11 && !status_has_no_body(status))
        x->keep = false; /* HTTP/1.0: such a body ends with the connection */
    buffer_reset(out);
    append_status_line(out, status);
    append(out, SLICE("Date: "));
    buffer_append(out, server_date(c->server), DATE_BYTES - 1);
    if (length >= 0 && !status_has_no_body(status)) {
        append(out, SLICE("\r\nContent-Length: "));
        append(out, number_text((uint64_t)length, number));
    }
    append(out, SLICE("\r\n"));
    if (x->chunked)
        append(out, SLICE("Transfer-Encoding: chunked\r\n"));
    if (!x->keep)
        append(out, SLICE("Connection: close\r\n"));
    else if (!http_11)
        append(out, SLICE("Connection: keep-alive\r\n"));
    append(out, buffer_slice(&in->work->added));
    append(out, SLICE("\r\n"));
}

/* ---- whole answers ---- */

/* The handler is done. What follows from it happens in the loop's own time if it would call somebody. */
static void answer_done(struct http_exchange *x)
{
    struct connection *c = x->connection;
    x->answer = ANSWER_DONE;
    if (c->state == CONNECTION_EXCHANGE)
        c->state = CONNECTION_FLUSH;
    bool open = c->state != CONNECTION_CLOSED;
    exchange_release(x); /* may free the connection, when closed */
    if (!open || c->advancing)
        return;
    if (input_unparsed(&c->input) > 0)
        connection_later(c);
    else
        connection_advance(c);
}

/* False: nobody is there to answer to. */
static bool respond_begin(struct http_exchange *x, int status, size_t length)
{
    assert(x->held && x->answer == ANSWER_NONE);
    assert(status >= 200 && status <= 999);
    if (x->connection->state != CONNECTION_EXCHANGE)
        return false;
    end_reading(x);
    append_head(x, status, (int64_t)length);
    return true;
}

void http_respond(struct http_exchange *x, int status, struct slice body)
{
    struct connection *c = x->connection;
    if (respond_begin(x, status, body.len)) {
        struct buffer *out = &c->input.work->out;
        uv_buf_t bufs[2] = { { 0 }, { .base = (char *)body.at, .len = body.len } };
        unsigned count = body.len > 0 && !x->body_dropped ? 2 : 1;
        if (count == 2 && body.len <= JOINED_BYTES_MAX) {
            append(out, body);
            count = 1;
        }
        bufs[0] = (uv_buf_t){ .base = out->at, .len = out->len };
        connection_send(c, bufs, count);
    }
    answer_done(x);
}

void http_respond_take(struct http_exchange *x, int status, struct buffer *body)
{
    struct connection *c = x->connection;
    if (body->len <= JOINED_BYTES_MAX) {
        struct buffer small = buffer_take(body);
        http_respond(x, status, buffer_slice(&small));
        buffer_drop(&small);
        return;
    }
    if (respond_begin(x, status, body->len)) {
        struct slice head = buffer_slice(&c->input.work->out);
        if (x->body_dropped)
            connection_send(c, &(uv_buf_t){ .base = (char *)head.at, .len = head.len }, 1);
        else
            connection_send_take(c, head, body);
    }
    buffer_drop(body);
    answer_done(x);
}

/* ---- answers in pieces ---- */

void http_start(struct http_exchange *x, int status, int64_t length)
{
    struct connection *c = x->connection;
    assert(x->held && x->answer == ANSWER_NONE);
    assert(status >= 200 && status <= 999 && length >= -1);
    if (c->state == CONNECTION_EXCHANGE) {
        /* The handler may still read while it writes: http_finish decides about that. But who waits for "100 Continue"
         * and gets an answer instead will not send the body. */
        keep_unless_draining(x);
        if (c->input.expect_continue && !x->continue_sent)
            x->keep = false;
        append_head(x, status, length);
        struct buffer *out = &c->input.work->out;
        uv_buf_t buf = { .base = out->at, .len = out->len };
        connection_send(c, &buf, 1);
    }
    x->answer = ANSWER_STARTED;
    x->unwritten = length;
    connection_settle(c);
}

bool http_write(struct http_exchange *x, struct slice piece)
{
    struct connection *c = x->connection;
    assert(x->held && x->answer == ANSWER_STARTED);
    if (x->unwritten >= 0) {
        assert(piece.len <=
               (uint64_t)x->unwritten); /* more than was announced would be the next answer's beginning */
        x->unwritten -= (int64_t)piece.len;
    }
    if (c->state != CONNECTION_EXCHANGE || x->body_dropped || piece.len == 0)
        return true;
    if (x->chunked) {
        char size[20];
        uv_buf_t bufs[3] = { { .base = size, .len = (size_t)snprintf(size, sizeof size, "%zx\r\n", piece.len) },
                             { .base = (char *)piece.at, .len = piece.len },
                             { .base = (char *)"\r\n", .len = 2 } };
        connection_send(c, bufs, 3);
    } else {
        uv_buf_t buf = { .base = (char *)piece.at, .len = piece.len };
        connection_send(c, &buf, 1);
    }
    x->write_blocked = connection_queued(c) > HTTP_WRITE_QUEUE_BYTES;
    connection_settle(c);
    return !x->write_blocked;
}

void http_on_ready(struct http_exchange *x, void (*ready)(struct http_exchange *x, void *arg), void *arg)
{
    x->ready = ready;
    x->ready_arg = arg;
}

void http_finish(struct http_exchange *x)
{
    struct connection *c = x->connection;
    assert(x->held && x->answer == ANSWER_STARTED);
    if (x->unwritten > 0 && !x->body_dropped) { /* less than announced: the client must not take it for whole */
        http_abort(x);
        return;
    }
    if (c->state == CONNECTION_EXCHANGE) {
        end_reading(x);
        if (x->chunked && !x->body_dropped) {
            uv_buf_t buf = { .base = (char *)"0\r\n\r\n", .len = 5 };
            connection_send(c, &buf, 1);
        }
    }
    answer_done(x);
}

void http_abort(struct http_exchange *x)
{
    struct connection *c = x->connection;
    assert(x->held);
    x->answer = ANSWER_DONE;
    connection_close(c, true);
    exchange_release(x);
}

/* ---- the server's own answers ---- */

void answer_refusal(struct connection *c, struct refusal refusal)
{
    struct buffer *out = &c->input.work->out;
    char number[NUMBER_BYTES];
    bool head_only = c->input.target_len > 0 && c->input.parser.method == HTTP_HEAD;
    buffer_reset(out);
    append_status_line(out, refusal.status);
    append(out, SLICE("Date: "));
    buffer_append(out, server_date(c->server), DATE_BYTES - 1);
    append(out, SLICE("\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: "));
    append(out, number_text(strlen(refusal.text) + 1, number));
    append(out, SLICE("\r\n\r\n"));
    if (!head_only) {
        buffer_append_text(out, refusal.text);
        buffer_append_byte(out, '\n');
    }
    connection_send(c, &(uv_buf_t){ .base = out->at, .len = out->len }, 1);
}
