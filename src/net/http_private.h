/* net, for the room alone: the server, its connections, and the exchange inside each of them.
 *
 * One connection has at most one exchange at a time, so the exchange lives inside it. Invariants:
 *   1  The handler is called from connection_advance only, and never twice deep: whoever is called from a handler changes
 *      states and returns, the outermost connection_advance goes on with the connection.
 *   2  What a call from outside makes possible (a piece, the next pipelined request) happens later: connection_later.
 *   3  A connection is in exactly one wait list, or in none; each list has one duration and so is sorted by deadline.
 *      One timer serves them all and is active only while one of them has a member.
 *   4  exchange.held: a handler has the exchange and may still call us with it. The memory outlives the socket until then.
 *   5  uv_try_write only while nothing is queued; order is try, waiting, flying (the bytes libuv has). */
#pragma once

#include <uv.h>

#include "net/http.h"
#include "net/http_input.h"

enum connection_state {
    CONNECTION_HEAD,     /* no exchange; waits for a head or its rest              -> EXCHANGE, LINGER, CLOSED */
    CONNECTION_EXCHANGE, /* a handler has the exchange, its answer is not complete -> FLUSH, LINGER, CLOSED */
    CONNECTION_FLUSH,    /* the answer is complete; the rest of it is queued       -> HEAD, LINGER, CLOSED */
    CONNECTION_LINGER,   /* the last answer is out or queued; input is dropped     -> CLOSED */
    CONNECTION_CLOSED,   /* uv_close was called; memory goes in its callback, or once the exchange is not held */
};

enum wait { WAIT_NONE, WAIT_IDLE, WAIT_HEAD, WAIT_BODY, WAIT_WRITE, WAIT_LINGER, WAIT_COUNT };

enum answer { ANSWER_NONE, ANSWER_STARTED, ANSWER_DONE };
enum reading { READING_NOT, READING_WHOLE, READING_PIECES, READING_DONE };

struct http_exchange {
    struct connection *connection;
    bool held;
    enum answer answer;
    enum reading reading;
    bool piece_wanted;
    bool continue_sent;
    bool body_dropped; /* the answer has no body (HEAD, 204, 304): what is written is counted, not sent */
    bool chunked;
    bool keep;          /* the connection may go on after this exchange */
    bool write_blocked; /* http_write returned false, `ready` is due */
    int64_t unwritten;  /* of the announced length; -1: none was announced */
    size_t whole_max;
    void *data;
    union {
        http_body_fn *whole;
        http_piece_fn *piece;
    } read;
    void *read_arg;
    void (*gone)(struct http_exchange *x, void *arg);
    void *gone_arg;
    void (*ready)(struct http_exchange *x, void *arg);
    void *ready_arg;
};

struct connection {
    uv_tcp_t tcp;                   /* tcp.data is this connection */
    struct http_server *server;     /* NULL: the server is freed, only a holder of the exchange keeps us */
    struct http_listener *listener; /* NULL once the socket is closed */
    struct connection *prev, *next; /* server->connections, or ->orphans */
    struct connection *wait_prev, *wait_next, *later_prev, *later_next;
    enum connection_state state;
    enum wait wait;
    bool advancing, in_later, reading, bypassing, eof, progress, writing, closed;
    uint64_t deadline;      /* uv_now */
    size_t write_left_seen; /* at the last look: less now means that the client takes something */
    size_t unsent;          /* our part of server->unsent_bytes */
    struct input input;
    struct http_exchange exchange;
    struct buffer flying, waiting;
    uv_write_t write_req;
    uv_shutdown_t shutdown_req;
    char peer[64];
};

struct http_listener {
    uv_tcp_t tcp; /* tcp.data is this listener */
    struct http_server *server;
    struct http_listener *prev, *next;
    void *tag;
    size_t connections;
    bool paused; /* a connection waits inside libuv for uv_accept: libuv polls the socket no more until then */
    bool closing, closed;
};

/* An idle connection has this and, in the kernel, its socket: no buffer. */
static_assert(sizeof(struct connection) <= 2048, "idle connections are many");

enum { WORK_POOL_MAX = 32, DATE_BYTES = 30, SCRATCH_BYTES = 64 * 1024 };

struct http_server {
    uv_loop_t *loop;
    struct http_handler handler;
    size_t connections_max, connections_all_max, unsent_bytes_max;
    size_t unsent_bytes; /* answers that wait in memory, of all connections that are not closed */
    uint32_t wait_ms[WAIT_COUNT];
    uv_timer_t timer;
    uint64_t timer_due; /* uv_now; what the timer is set to while active */
    uv_idle_t later;
    struct http_listener *listeners;
    struct connection *connections, *orphans;
    struct connection *waiting[WAIT_COUNT];
    struct connection *later_list;
    size_t connection_count, paused_count; /* connections; listeners that are paused */
    unsigned handles;                      /* not yet closed: timer, later, listeners, connections */
    struct work *pool;
    unsigned pool_count;
    bool draining, closing;
    void (*drained)(void *arg);
    void *drained_arg;
    void (*done)(void *arg);
    void *done_arg;
    int64_t date_second;
    char date[DATE_BYTES];
    char scratch[SCRATCH_BYTES]; /* what is read to be dropped */
};

/* ---- http_server.c ---- */
struct work *server_take_work(struct http_server *server);
void server_give_work(struct http_server *server, struct work *work); /* server NULL: frees it */
void server_wait(struct connection *c, enum wait wait, bool restart);
void server_connection_closed(struct http_server *server,
                              struct http_listener *listener); /* from the close callback: counts, pauses, drains */
bool server_is_full(const struct http_server *server);         /* others wait for a place */
const char *server_date(struct http_server *server);           /* DATE_BYTES - 1 characters, this second's */
void server_check(struct http_server *server);                 /* is a drain or a close complete? */

/* ---- http_connection.c ---- */
void connection_accept(struct http_listener *listener);
void connection_advance(struct connection *c);
/* The same on a later turn of the loop. */
void connection_later(struct connection *c);
/* Reading and timers as the state wants them; at the end of whatever may have changed it. No callbacks from inside. */
void connection_settle(struct connection *c);
/* Sends what the socket takes now, queues a copy of the rest. A broken connection is closed: `gone` comes later. */
void connection_send(struct connection *c, const uv_buf_t *bufs, unsigned count);
/* The same for a head and a body that becomes ours: its rest is queued without a copy. */
void connection_send_take(struct connection *c, struct slice head, struct buffer *body);
size_t connection_queued(const struct connection *c);
/* Ends it: `reset` tells the client that the answer is not whole, and drops what is queued. */
void connection_close(struct connection *c, bool reset);
void connection_timeout(struct connection *c);

/* ---- http_exchange.c ---- */
void exchange_begin(struct connection *c);
/* Moves the body on. True when something was called or changed. Only from connection_advance. */
bool exchange_pump(struct http_exchange *x);
/* The client is gone: tells the handler. Only from the loop. */
void exchange_lose(struct http_exchange *x);
/* The handler is done with it: frees the connection if its socket is closed already. */
void exchange_release(struct http_exchange *x);
bool exchange_wants_body(const struct http_exchange *x);

/* ---- http_answer.c ---- */
/* The server's own answer, before it closes. */
void answer_refusal(struct connection *c, struct refusal refusal);
