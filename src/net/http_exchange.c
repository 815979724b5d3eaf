/* The request as a handler sees it, and its body. Idea and invariants: http_private.h. */
#include "net/http_private.h"

#include <assert.h>
#include <stdio.h>
#include <strings.h>
#include <sys/un.h>

/* ---- the life of an exchange ---- */

void exchange_begin(struct connection *c)
{
    struct http_exchange *x = &c->exchange;
    *x = (struct http_exchange){ .connection = c, .held = true, .unwritten = -1 };
    x->keep = c->input.keep_alive;
    c->server->handler.request(x, c->server->handler.arg);
}

void exchange_lose(struct http_exchange *x)
{
    if (!x->held)
        return;
    if (x->gone) {
        x->held = false;
        x->gone(x, x->gone_arg);
        return;
    }
    if (x->reading == READING_WHOLE) {
        x->reading = READING_DONE;
        struct error err;
        error_set(&err, ERROR_UNAVAILABLE, "Send the request again.",
                  "the client went away before its body was complete");
        x->read.whole(x, NULL, &err, x->read_arg);
    }
}

/* ---- the request ---- */

static const struct input *input_of(const struct http_exchange *x)
{
    return &x->connection->input;
}

struct slice http_method(const struct http_exchange *x)
{
    const struct input *in = input_of(x);
    return input_slice(in, in->head_at, in->method_len);
}

struct slice http_target(const struct http_exchange *x)
{
    const struct input *in = input_of(x);
    return input_slice(in, in->target_at, in->target_len);
}

struct slice http_path(const struct http_exchange *x)
{
    struct slice target = http_target(x);
    const char *mark = memchr(target.at, '?', target.len);
    return mark ? slice_sub(target, 0, (size_t)(mark - target.at)) : target;
}

struct slice http_query(const struct http_exchange *x)
{
    struct slice target = http_target(x);
    const char *mark = memchr(target.at, '?', target.len);
    return mark ? slice_sub(target, (size_t)(mark - target.at) + 1, target.len) : SLICE_EMPTY;
}

size_t http_header_count(const struct http_exchange *x)
{
    return input_of(x)->field_count;
}

struct http_header http_header_at(const struct http_exchange *x, size_t index)
{
    const struct input *in = input_of(x);
    assert(index < in->field_count);
    const struct field *field = &in->work->fields[index];
    return (struct http_header){ input_slice(in, field->name_at, field->name_len),
                                 input_slice(in, field->value_at, field->value_len) };
}

static bool field_is(const struct input *in, const struct field *field, const char *name, size_t len)
{
    return field->name_len == len && strncasecmp(in->work->input + field->name_at, name, len) == 0;
}

struct slice http_header(const struct http_exchange *x, const char *name)
{
    const struct input *in = input_of(x);
    size_t len = strlen(name);
    for (size_t i = 0; i < in->field_count; i++)
        if (field_is(in, &in->work->fields[i], name, len))
            return input_slice(in, in->work->fields[i].value_at, in->work->fields[i].value_len);
    return (struct slice){ NULL, 0 };
}

size_t http_header_times(const struct http_exchange *x, const char *name)
{
    const struct input *in = input_of(x);
    size_t len = strlen(name), times = 0;
    for (size_t i = 0; i < in->field_count; i++)
        times += field_is(in, &in->work->fields[i], name, len);
    return times;
}

bool http_has_body(const struct http_exchange *x)
{
    return input_of(x)->framing != FRAMING_NONE;
}

int64_t http_content_length(const struct http_exchange *x)
{
    return input_of(x)->content_length;
}

void http_peer(const struct http_exchange *x, char out[64])
{
    struct connection *c = x->connection;
    struct sockaddr_storage addr;
    int len = sizeof addr;
    static const char mapped[] = "::ffff:"; /* an IPv4 client of an IPv6 socket */
    if (!c->peer[0] && uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&addr, &len) == 0) {
        if (addr.ss_family == AF_INET)
            uv_ip4_name((struct sockaddr_in *)&addr, c->peer, sizeof c->peer);
        else if (addr.ss_family == AF_INET6)
            uv_ip6_name((struct sockaddr_in6 *)&addr, c->peer, sizeof c->peer);
    }
    bool v4 = strncmp(c->peer, mapped, sizeof mapped - 1) == 0 && strchr(c->peer, '.');
    snprintf(out, 64, "%s", v4 ? c->peer + sizeof mapped - 1 : c->peer);
}

void *http_tag(const struct http_exchange *x)
{
    return x->connection->listener ? x->connection->listener->tag : NULL;
}

void http_set_data(struct http_exchange *x, void *data)
{
    x->data = data;
}

void *http_data(const struct http_exchange *x)
{
    return x->data;
}

void http_on_gone(struct http_exchange *x, void (*gone)(struct http_exchange *x, void *arg), void *arg)
{
    x->gone = gone;
    x->gone_arg = arg;
}

/* ---- the body ---- */

/* Are we waiting for the client? Then, and only then, the time of a body stall runs. */
bool exchange_wants_body(const struct http_exchange *x)
{
    if (x->connection->state != CONNECTION_EXCHANGE || input_of(x)->body_complete)
        return false;
    return x->reading == READING_WHOLE || (x->reading == READING_PIECES && x->piece_wanted);
}

/* RFC 9110 10.1.1: MAY be omitted when some of the body is there already; nothing after an answer has begun. */
static void send_continue(struct http_exchange *x)
{
    struct input *in = &x->connection->input;
    static char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!in->expect_continue || x->continue_sent || x->answer != ANSWER_NONE)
        return;
    x->continue_sent = true;
    if (input_unparsed(in) > 0)
        return;
    uv_buf_t buf = { .base = line, .len = sizeof line - 1 };
    connection_send(x->connection, &buf, 1);
}

static void whole_done(struct http_exchange *x, const struct error *err)
{
    x->reading = READING_DONE;
    x->read.whole(x, err ? NULL : &x->connection->input.work->body, err, x->read_arg);
}

static void whole_too_large(struct http_exchange *x)
{
    struct error err;
    error_set(&err, ERROR_TOO_LARGE, "Send less.", "the request's body is larger than %zu bytes", x->whole_max);
    whole_done(x, &err);
}

/* True when `done` was called. A refusal is left to connection_advance. */
static bool pump_whole(struct http_exchange *x)
{
    struct input *in = &x->connection->input;
    struct buffer *body = &in->work->body;
    if (x->connection->state == CONNECTION_CLOSED)
        return false;
    for (;;) {
        struct slice piece;
        enum parsed parsed = input_body(in, &piece);
        if (parsed == PARSED_REFUSED)
            return false;
        if (piece.len > x->whole_max - body->len) {
            whole_too_large(x);
            return true;
        }
        if (piece.len > body->cap - body->len && !buffer_try_reserve(body, piece.len)) {
            struct error err;
            error_set(&err, ERROR_UNAVAILABLE, "Send the request again later.",
                      "there is no memory for the request's body");
            whole_done(x, &err);
            return true;
        }
        buffer_append_slice(body, piece);
        if (parsed == PARSED_DONE) {
            whole_done(x, NULL);
            return true;
        }
        if (piece.len == 0 && input_unparsed(in) == 0)
            return false;
    }
}

static bool pump_piece(struct http_exchange *x)
{
    struct slice piece = SLICE_EMPTY;
    enum parsed parsed = PARSED_MORE;
    if (!x->piece_wanted)
        return false;
    struct input *in = &x->connection->input;
    do
        parsed = input_body(in, &piece); /* bytes may be there that were only framing */
    while (parsed == PARSED_MORE && piece.len == 0 && input_unparsed(in) > 0);
    if (parsed == PARSED_REFUSED)
        return true; /* connection_advance looks at the refusal first */
    if (piece.len == 0 && parsed == PARSED_MORE)
        return false;
    x->piece_wanted = false;
    if (piece.len == 0)
        x->reading = READING_DONE;
    x->read.piece(x, piece, x->read_arg);
    return true;
}

bool exchange_pump(struct http_exchange *x)
{
    switch (x->reading) {
    case READING_WHOLE:
        return pump_whole(x) || x->connection->input.refusal.status;
    case READING_PIECES:
        return pump_piece(x);
    default:
        return false;
    }
}

void http_read_whole(struct http_exchange *x, size_t max, http_body_fn *done, void *arg)
{
    struct connection *c = x->connection;
    struct input *in = &c->input;
    assert(x->held && x->reading == READING_NOT);
    x->reading = READING_WHOLE;
    x->read.whole = done;
    x->read_arg = arg;
    x->whole_max = max;
    if (in->content_length > 0 && (uint64_t)in->content_length > max) {
        whole_too_large(x); /* before "100 Continue": the client need not send it */
        return;
    }
    if (c->state == CONNECTION_CLOSED || c->state == CONNECTION_LINGER) {
        if (c->closed && !x->gone)
            exchange_lose(x);
        return; /* otherwise the end is still to be told: on_closed */
    }
    send_continue(x);
    if (pump_whole(x) || c->advancing)
        return;
    if (in->refusal.status)
        connection_later(c);
    else
        connection_settle(c);
}

void http_read_pieces(struct http_exchange *x, http_piece_fn *piece, void *arg)
{
    assert(x->held && x->reading == READING_NOT);
    x->reading = READING_PIECES;
    x->read.piece = piece;
    x->read_arg = arg;
    send_continue(x);
    http_read_more(x);
}

void http_read_more(struct http_exchange *x)
{
    struct connection *c = x->connection;
    assert(x->held);
    if (x->reading != READING_PIECES)
        return; /* the end was told */
    x->piece_wanted = true;
    if (c->advancing || c->state != CONNECTION_EXCHANGE)
        return;
    if (input_unparsed(&c->input) > 0 || c->input.body_complete)
        connection_later(c);
    else
        connection_settle(c);
}
