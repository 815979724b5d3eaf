/* A connection: from accept to close, its states, reading, writing, timeouts. Idea and invariants: http_private.h. */
#include "net/http_private.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/memory.h"

enum {
    BYPASS_BYTES_MIN = 16 * 1024, /* a body that has more than this to come is read straight into its buffer */
    BYPASS_BYTES_MAX =
        1024 * 1024, /* at most so much at once: the buffer grows with what has come, not with promises */
};

/* ---- the end ---- */

static void connection_free(struct connection *c)
{
    server_give_work(c->server, c->input.work);
    buffer_drop(&c->flying);
    buffer_drop(&c->waiting);
    free(c);
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    struct http_server *server = c->server;
    exchange_lose(&c->exchange);
    c->closed = true;
    DL_DELETE(server->connections, c);
    struct http_listener *listener = c->listener;
    c->listener = NULL;
    if (c->exchange.held)
        DL_APPEND(server->orphans, c);
    else
        connection_free(c);
    server_connection_closed(server, listener); /* may free the server */
}

void exchange_release(struct http_exchange *x)
{
    struct connection *c = x->connection;
    x->held = false;
    if (!c->closed)
        return;
    if (c->server)
        DL_DELETE(c->server->orphans, c);
    connection_free(c);
}

void connection_close(struct connection *c, bool reset)
{
    if (c->state == CONNECTION_CLOSED)
        return;
    c->state = CONNECTION_CLOSED;
    c->server->unsent_bytes -= c->unsent; /* they go with this turn of the loop */
    c->unsent = 0;
    server_wait(c, WAIT_NONE, false);
    if (c->in_later) {
        DL_DELETE2(c->server->later_list, c, later_prev, later_next);
        c->in_later = false;
    }
    /* A reset is no use to one who has shut down already: libuv refuses it then. */
    if (!reset || uv_tcp_close_reset(&c->tcp, on_closed) < 0)
        uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    (void)req;
    (void)status;
}

/* RFC 9112 9.6: closing at once could destroy the answer on its way, when the client still sends: so half-close, read and
 * drop for a while. The shutdown waits in libuv for what is queued. */
static void connection_linger(struct connection *c)
{
    c->state = CONNECTION_LINGER;
    c->bypassing = false;
    if (uv_shutdown(&c->shutdown_req, (uv_stream_t *)&c->tcp, on_shutdown) < 0)
        connection_close(c, true);
}

/* ---- writing ---- */

size_t connection_queued(const struct connection *c)
{
    return c->waiting.len + (c->writing ? uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp) : 0);
}

/* Clients that ask and do not read would fill our memory with answers. Who has taken nothing for longest goes first: whoever reads
 * stands behind all of those that do not. */
static void count_unsent(struct connection *c)
{
    struct http_server *server = c->server;
    size_t now = (c->waiting.len > 0 ? c->waiting.cap : 0) + (c->writing ? c->flying.cap : 0);
    if (c->state == CONNECTION_CLOSED)
        return;
    server->unsent_bytes += now - c->unsent;
    c->unsent = now;
    while (server->unsent_bytes > server->unsent_bytes_max && server->waiting[WAIT_WRITE])
        connection_close(server->waiting[WAIT_WRITE], true);
    if (server->unsent_bytes > server->unsent_bytes_max)
        connection_close(c, true);
}

static void on_written(uv_write_t *req, int status);

static void fly(struct connection *c, size_t from)
{
    uv_buf_t buf = uv_buf_init(c->flying.at + from, 0);
    buf.len = c->flying.len - from; /* uv_buf_init takes an unsigned int */
    c->writing = true;
    if (uv_write(&c->write_req, (uv_stream_t *)&c->tcp, &buf, 1, on_written) < 0) {
        c->writing = false;
        connection_close(c, true);
    }
}

static void fly_waiting(struct connection *c)
{
    if (c->state == CONNECTION_CLOSED || c->writing || c->waiting.len == 0)
        return;
    struct buffer empty = c->flying;
    c->flying = c->waiting;
    c->waiting = empty;
    fly(c, 0);
}

static void on_written(uv_write_t *req, int status)
{
    struct connection *c = req->handle->data;
    struct http_exchange *x = &c->exchange;
    c->writing = false;
    if (c->flying.cap > INPUT_KEPT_BYTES)
        buffer_drop(&c->flying);
    else
        buffer_reset(&c->flying);
    if (c->state == CONNECTION_CLOSED)
        return;
    if (status < 0) {
        connection_close(c, true);
        return;
    }
    c->progress = true;
    fly_waiting(c);
    count_unsent(c);
    if (x->held && x->write_blocked && c->state == CONNECTION_EXCHANGE &&
        connection_queued(c) < HTTP_WRITE_QUEUE_BYTES / 2) {
        x->write_blocked = false;
        if (x->ready)
            x->ready(x, x->ready_arg);
    }
    connection_advance(c);
}

/* How many bytes the socket took; SIZE_MAX when the connection is broken (and closed by this). */
static size_t try_write(struct connection *c, const uv_buf_t *bufs, unsigned count)
{
    if (c->writing || c->waiting.len > 0)
        return 0;
    int code = uv_try_write((uv_stream_t *)&c->tcp, bufs, count);
    if (code >= 0) {
        c->progress = true;
        return (size_t)code;
    }
    if (code == UV_EAGAIN)
        return 0;
    connection_close(c, true);
    return SIZE_MAX;
}

void connection_send(struct connection *c, const uv_buf_t *bufs, unsigned count)
{
    if (c->state == CONNECTION_CLOSED || c->state == CONNECTION_LINGER)
        return;
    size_t sent = try_write(c, bufs, count);
    if (sent == SIZE_MAX)
        return;
    for (unsigned i = 0; i < count; i++) {
        size_t skip = sent < bufs[i].len ? sent : bufs[i].len;
        sent -= skip;
        if (skip < bufs[i].len)
            buffer_append(&c->waiting, bufs[i].base + skip, bufs[i].len - skip);
    }
    fly_waiting(c);
    count_unsent(c);
}

void connection_send_take(struct connection *c, struct slice head, struct buffer *body)
{
    uv_buf_t bufs[2] = { { .base = (char *)head.at, .len = head.len }, { .base = body->at, .len = body->len } };
    bool queue_empty = !c->writing && c->waiting.len == 0;
    if (c->state == CONNECTION_CLOSED || c->state == CONNECTION_LINGER)
        return;
    size_t sent = try_write(c, bufs, 2);
    if (sent == SIZE_MAX || sent == head.len + body->len)
        return;
    if (queue_empty && sent >= head.len) {
        buffer_drop(&c->flying);
        c->flying = buffer_take(body);
        fly(c, sent - head.len);
        count_unsent(c);
        return;
    }
    if (sent < head.len) { /* rare: the socket was full before */
        buffer_append(&c->waiting, head.at + sent, head.len - sent);
        sent = head.len;
    }
    buffer_append(&c->waiting, body->at + (sent - head.len), body->len - (sent - head.len));
    fly_waiting(c);
    count_unsent(c);
}

/* ---- the states ---- */

/* Tells the client why and ends the connection. With an answer half out, the honest end is a cut. */
static void connection_refuse(struct connection *c, struct refusal refusal)
{
    struct http_exchange *x = &c->exchange;
    if (c->state == CONNECTION_EXCHANGE && x->answer != ANSWER_NONE) {
        connection_close(c, true);
        return;
    }
    answer_refusal(c, refusal);
    if (c->state == CONNECTION_CLOSED)
        return;
    connection_linger(c);
    exchange_lose(x);
}

static bool step_head(struct connection *c)
{
    if (!c->input.work)
        return false;
    switch (input_head(&c->input)) {
    case PARSED_DONE:
        c->state = CONNECTION_EXCHANGE;
        exchange_begin(c);
        return true;
    case PARSED_REFUSED:
        connection_refuse(c, c->input.refusal);
        return false;
    default:
        break;
    }
    if (input_unparsed(&c->input) == 0 && !c->input.started) {
        server_give_work(c->server, c->input.work);
        c->input.work = NULL;
        c->input.pos = c->input.len = 0;
    }
    return false;
}

static bool step_flush(struct connection *c)
{
    struct input *in = &c->input;
    if (connection_queued(c) > 0)
        return false;
    bool keep = c->exchange.keep && in->body_complete && !in->refusal.status && !c->eof && !c->server->draining &&
                !c->listener->closing && !server_is_full(c->server);
    if (keep) {
        input_next(in);
        if (input_unparsed(in) > 0) {
            work_reset(in->work);
        } else {
            server_give_work(c->server, in->work);
            in->work = NULL;
        }
        c->state = CONNECTION_HEAD;
        return true;
    }
    if (c->eof || (in->body_complete && input_unparsed(in) == 0))
        connection_close(c, false);
    else
        connection_linger(c);
    return false;
}

static bool connection_step(struct connection *c)
{
    switch (c->state) {
    case CONNECTION_HEAD:
        return step_head(c);
    case CONNECTION_EXCHANGE:
        if (c->input.refusal.status) {
            connection_refuse(c, c->input.refusal);
            return false;
        }
        return exchange_pump(&c->exchange);
    case CONNECTION_FLUSH:
        return step_flush(c);
    default:
        return false;
    }
}

void connection_advance(struct connection *c)
{
    if (c->advancing || c->state == CONNECTION_CLOSED)
        return;
    c->advancing = true;
    while (connection_step(c))
        ;
    c->advancing = false;
    connection_settle(c);
}

/* ---- reading ---- */

/* A large body that is wanted whole goes from the socket to its buffer, not through the input block. */
static bool may_bypass(const struct connection *c)
{
    const struct input *in = &c->input;
    return c->state == CONNECTION_EXCHANGE && c->exchange.reading == READING_WHOLE &&
           in->framing == FRAMING_LENGTH && in->body_left >= BYPASS_BYTES_MIN && input_unparsed(in) == 0;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct connection *c = handle->data;
    struct input *in = &c->input;
    (void)suggested;
    if (c->state == CONNECTION_LINGER) {
        *buf = uv_buf_init(c->server->scratch, SCRATCH_BYTES);
        return;
    }
    c->bypassing = may_bypass(c);
    if (c->bypassing) {
        struct buffer *body = &in->work->body;
        size_t want = in->body_left < BYPASS_BYTES_MAX ? (size_t)in->body_left : BYPASS_BYTES_MAX;
        if (body->cap - body->len < BYPASS_BYTES_MIN && !buffer_try_reserve(body, want))
            c->bypassing = false; /* the way through the input block fails with a proper error */
        size_t room = body->cap - body->len;
        if (c->bypassing) {
            *buf = uv_buf_init(body->at + body->len, (unsigned)(room < want ? room : want));
            return;
        }
    }
    if (!in->work)
        in->work = server_take_work(c->server);
    char *at;
    size_t room = input_room(in, &at);
    *buf = uv_buf_init(at, (unsigned)room);
}

/* The client closed, or shut down its sending side: the two look the same. While a handler works, we take it as gone, as
 * nginx and Go do; an answer that is complete is still sent. */
static void on_end(struct connection *c)
{
    c->eof = true;
    c->reading = false; /* libuv stopped */
    if (c->state == CONNECTION_FLUSH)
        connection_advance(c);
    else
        connection_close(c, false);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct connection *c = stream->data;
    (void)buf;
    if (c->state == CONNECTION_CLOSED)
        return;
    if (count == UV_EOF) {
        on_end(c);
        return;
    }
    if (count < 0) {
        connection_close(c, true);
        return;
    }
    if (c->state == CONNECTION_LINGER)
        return;
    if (count > 0) {
        c->progress = true;
        if (c->bypassing) {
            c->input.work->body.len += (size_t)count;
            input_body_bypassed(&c->input, (size_t)count);
        } else {
            input_added(&c->input, (size_t)count);
        }
    }
    c->bypassing = false;
    connection_advance(c);
}

static void settle_reading(struct connection *c)
{
    char *at;
    bool want = !c->eof && (c->state == CONNECTION_LINGER || !c->input.work || may_bypass(c) ||
                            input_room(&c->input, &at) > 0);
    if (want == c->reading)
        return;
    c->reading = want;
    if (!want)
        uv_read_stop((uv_stream_t *)&c->tcp);
    else if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) < 0)
        connection_close(c, true);
}

void connection_settle(struct connection *c)
{
    if (c->advancing || c->state == CONNECTION_CLOSED)
        return;
    settle_reading(c);
    if (c->state == CONNECTION_CLOSED)
        return;
    bool progress = c->progress;
    c->progress = false;
    if (c->state == CONNECTION_LINGER) {
        server_wait(c, WAIT_LINGER, false);
    } else if (connection_queued(c) > 0) {
        c->write_left_seen = connection_queued(c);
        server_wait(c, WAIT_WRITE, progress);
    } else if (c->state == CONNECTION_HEAD) {
        bool begun = c->input.started || input_unparsed(&c->input) > 0;
        server_wait(c, begun ? WAIT_HEAD : WAIT_IDLE, !begun); /* a head has its time from its first byte on */
    } else {
        server_wait(c, exchange_wants_body(&c->exchange) ? WAIT_BODY : WAIT_NONE, progress);
    }
}

/* ---- time is up ---- */

void connection_timeout(struct connection *c)
{
    switch (c->wait) {
    case WAIT_HEAD:
        c->input.refusal = (struct refusal){ HTTP_TIMEOUT, "the head took too long" };
        connection_refuse(c, c->input.refusal);
        break;
    case WAIT_BODY:
        c->input.refusal = (struct refusal){ HTTP_TIMEOUT, "the body took too long" };
        connection_refuse(c, c->input.refusal);
        break;
    case WAIT_WRITE:
        if (connection_queued(c) < c->write_left_seen) { /* a large write goes on below libuv's callback */
            c->write_left_seen = connection_queued(c);
            server_wait(c, WAIT_WRITE, true);
            return;
        }
        connection_close(c, true);
        break;
    default:
        connection_close(c, false);
        break;
    }
    connection_settle(c);
}

/* ---- the beginning ---- */

void connection_accept(struct http_listener *listener)
{
    struct http_server *server = listener->server;
    struct connection *c = memory_new(sizeof *c);
    c->server = server;
    c->listener = listener;
    c->tcp.data = c;
    c->exchange.connection = c;
    input_init(&c->input);
    int code = uv_tcp_init(server->loop, &c->tcp);
    assert(code == 0);
    server->handles++;
    server->connection_count++;
    listener->connections++;
    DL_APPEND(server->connections, c);
    if (uv_accept((uv_stream_t *)&listener->tcp, (uv_stream_t *)&c->tcp) < 0) {
        connection_close(c, false);
        return;
    }
    connection_settle(c);
}
