/* net/http: the HTTP/1.1 server, on libuv and llhttp. Both listeners (API, gateway) and the ones inside sandboxes are of this kind.
 * Callers: server (listeners), services and gateway (exchanges).
 * Thread:  the loop's. A callback is called exactly once, later, never from inside the call that got it, unless its comment says so.
 * Promise: strict parsing (RFC 9112): what two readers could understand differently is answered 400 and closed
 *          (two Content-Lengths, Content-Length with Transfer-Encoding, obs-fold, bad chunk sizes, bare CR, NUL, two or no Hosts, ...).
 *          Bodies stream with backpressure both ways: reading stops while the handler has not taken what it was given.
 *          A slow or silent client costs its own place and nothing else; no timeout here cuts a handler that is still working. */
#pragma once

#include <uv.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* Every limit is a named constant, listed in docs/limits.md. 0 in a field means the default named beside it. */
enum {
    HTTP_HEAD_BYTES_MAX = 64 * 1024,   /* request line and all header fields (431) */
    HTTP_HEADERS_MAX = 128,            /* header fields (431) */
    HTTP_TARGET_BYTES_MAX = 16 * 1024, /* request target (414) */
    HTTP_CONNECTIONS_MAX = 10000,      /* a listener; further ones wait in the backlog, then are refused */
    HTTP_DESCRIPTORS_SHARE = 4, /* all connections of a server: at most one of so many descriptors of the process */
    HTTP_HEAD_TIMEOUT_MS = 10 * 1000,        /* from the first byte of a head to its end (408) */
    HTTP_BODY_STALL_TIMEOUT_MS = 30 * 1000,  /* between two pieces of a body while we wait for it (408) */
    HTTP_WRITE_STALL_TIMEOUT_MS = 30 * 1000, /* the client takes nothing of an answer */
    HTTP_IDLE_TIMEOUT_MS = 75 * 1000,        /* a kept-alive connection without a request */
    HTTP_IDLE_FULL_MS = 1000,            /* the same while others wait because all places of the server are taken */
    HTTP_WRITE_QUEUE_BYTES = 256 * 1024, /* above this http_write tells its caller to wait */
    HTTP_READ_AHEAD_BYTES = 16 * 1024, /* of a body or of further requests, beside what the head left of its room */
    HTTP_UNSENT_BYTES_MAX =
        256 * 1024 * 1024, /* of answers that clients have not taken, all connections of a server together */
    HTTP_CHUNK_EXTENSION_BYTES_MAX = 1024,     /* of one request; they are ignored, nobody needs them (400) */
    HTTP_TRAILER_BYTES_MAX = 8 * 1024,         /* of one request; they are ignored (400) */
    HTTP_CHUNK_OVERHEAD_BYTES_MAX = 16 * 1024, /* framing of a chunked body, beside 16 for each byte of it (400) */
    HTTP_LISTEN_BACKLOG = 1024,
    HTTP_LINGER_MS = 1000, /* after an error answer: read and drop this long, so that the client sees it */
};

struct http_limits {
    size_t connections_max;     /* a listener */
    size_t connections_all_max; /* all listeners together; while all are in use, idle ones end soon */
    size_t unsent_bytes_max;    /* above: the connections whose clients took nothing for longest are cut */
    uint32_t head_timeout_ms, body_stall_timeout_ms, write_stall_timeout_ms, idle_timeout_ms;
};

/* Owns its listeners and connections; one a purpose. */
struct http_server;
/* One request and its answer; freed by the server after the answer is out or the client is gone. */
struct http_exchange;

struct http_header {
    struct slice name;  /* as sent; compare with slice_equal_nocase */
    struct slice value; /* trimmed */
};

enum http_error_kind {
    HTTP_BAD_REQUEST = 400,
    HTTP_TIMEOUT = 408,
    HTTP_URI_TOO_LONG = 414,
    HTTP_EXPECTATION_FAILED = 417,
    HTTP_HEAD_TOO_LARGE = 431,
    HTTP_NOT_IMPLEMENTED = 501,
    HTTP_VERSION_NOT_SUPPORTED = 505
};

struct http_handler {
    /* The head of a request is there; called from the loop. The handler decides how to read the body (http_read_*) and
     * answers, now or later. The exchange is borrowed until it answered and http_finish/http_respond/http_abort returned, or
     * `gone` ran. */
    void (*request)(struct http_exchange *x, void *arg);
    void *arg;
};

/* ---- server and listeners ---- */
/* Ignores SIGPIPE for the process, unless it has a handler: libuv would let a gone client end us. */
struct http_server *http_server_new(uv_loop_t *loop, const struct http_limits *limits,
                                    const struct http_handler *handler);
/* Listens on "127.0.0.1:4566", "[::1]:0", "localhost:80" (127.0.0.1; other names are not looked up). The socket may be bound
 * before rights are dropped: bind makes it, listen takes it. */
MUST_CHECK enum outcome http_bind(const char *address, int *fd_out, struct error *err);
struct http_listener; /* the server's; invalid once it is closed, by http_listener_close or with the server */
/* Takes the descriptor of a bound or listening stream socket. `tag` is what http_tag() gives for its exchanges (which
 * sandbox, say). connections_max counts for each listener on its own. */
MUST_CHECK enum outcome http_listen(struct http_server *server, int *fd, void *tag, struct http_listener **out,
                                    struct error *err);
/* Stops accepting, closes idle connections, and those with an exchange once it ended; the listener is freed when all are
 * gone. The tag is not touched afterwards: exchanges still open return NULL from http_tag. */
void http_listener_close(struct http_listener *listener);
void http_listener_address(const struct http_listener *listener, char out[128]); /* "127.0.0.1:40123" */
/* Stops accepting on all listeners, closes what idles, answers what runs with "Connection: close", calls done (later) when
 * no connection is left.
 * A head that has begun may still complete. Once; the server stays usable for http_server_close only. */
void http_server_drain(struct http_server *server, void (*done)(void *arg), void *arg);
/* Cuts everything at once, each `gone` is called (after a drain that took too long); `done` when all handles are closed; the
 * server is freed then. Exchanges without a `gone` may still be answered afterwards. */
void http_server_close(struct http_server *server, void (*done)(void *arg), void *arg);
size_t http_server_connections(const struct http_server *server);

/* ---- the request; slices are valid as long as the exchange ---- */
struct slice http_method(const struct http_exchange *x);
/* As sent, origin-form ("/a%20b?c=d"): it begins with '/'. The absolute form is reduced to it, others are refused. */
struct slice http_target(const struct http_exchange *x);
struct slice http_path(const struct http_exchange *x);  /* the part of the target before '?', undecoded */
struct slice http_query(const struct http_exchange *x); /* behind '?', without it; empty when none */
size_t http_header_count(const struct http_exchange *x);
struct http_header http_header_at(const struct http_exchange *x, size_t index);
/* The first of that name; `at` is NULL when there is none. */
struct slice http_header(const struct http_exchange *x, const char *name);
size_t http_header_times(const struct http_exchange *x, const char *name); /* how often that name occurs */
bool http_has_body(const struct http_exchange *x);
int64_t http_content_length(const struct http_exchange *x);  /* -1 when chunked or none */
void http_peer(const struct http_exchange *x, char out[64]); /* the address without port */
void *http_tag(const struct http_exchange *x);
void http_set_data(struct http_exchange *x, void *data);
void *http_data(const struct http_exchange *x);

/* Called once, from the loop, if the client went away, was too slow or broke the rules before the answer was complete; the
 * exchange is freed after it returns. Not called once http_respond / http_finish / http_abort has been called.
 * A client that shuts down its sending side counts as gone (the two look the same), unless its answer is complete already.
 * Its end stands behind what it sent: while a body is not read on, it is not seen.
 * Without a `gone` the exchange stays valid until it is answered, into nothing; a http_read_whole that waits is answered
 * with ERROR_UNAVAILABLE then. So a handler that reads in pieces or may take long should ask for it. */
void http_on_gone(struct http_exchange *x, void (*gone)(struct http_exchange *x, void *arg), void *arg);

/* ---- reading the body: one of the two, at most once. "100 Continue" is sent at this moment if it was asked for. ---- */
/* Whole, up to `max` bytes. `done` is called once, or `gone` in its place. body is NULL with err ERROR_TOO_LARGE when it was
 * larger: the caller still answers (413), and the rest is not read: the connection closes. The buffer is borrowed until the
 * exchange ends. May call back from inside when all is there already, or is known to be too large. */
typedef void http_body_fn(struct http_exchange *x, struct buffer *body, const struct error *err, void *arg);
void http_read_whole(struct http_exchange *x, size_t max, http_body_fn *done, void *arg);
/* In pieces: each is lent until the call returns; the empty slice is the end. After a piece nothing more is read until
 * http_read_more: that is the backpressure (it may be called from inside). */
typedef void http_piece_fn(struct http_exchange *x, struct slice piece, void *arg);
void http_read_pieces(struct http_exchange *x, http_piece_fn *piece, void *arg);
void http_read_more(struct http_exchange *x);

/* ---- answering. Date, Content-Length / Transfer-Encoding and Connection are the server's; all other fields the caller's. ---- */
/* Appends a header field to the answer (copied); before http_respond / http_start. Control characters in a value are an
 * assertion, as is a name that is no token: callers check strangers' with http_value_ok and http_name_ok. The server's own
 * four are ignored, so that a stranger's may be passed through. */
void http_add_header(struct http_exchange *x, const char *name, struct slice value);
bool http_value_ok(struct slice value);
bool http_name_ok(struct slice name); /* an RFC 9110 token */
/* status: 200 to 999; HEAD, 204 and 304 have no body whatever is given. A body of the request that was not read is dropped if
 * it is there already; otherwise the connection ends behind the answer.
 * The whole answer at once; body is copied or written before it returns. The exchange belongs to the server afterwards. */
void http_respond(struct http_exchange *x, int status, struct slice body);
/* The same, taking a large body without a copy; `body` is empty afterwards. */
void http_respond_take(struct http_exchange *x, int status, struct buffer *body);
/* In pieces. length -1: chunked (HTTP/1.0 clients: until close). http_write returns false when the queue is full: wait for
 * `ready` before more (what was written is queued all the same). More than `length` is an assertion, less makes http_finish cut the connection. */
void http_start(struct http_exchange *x, int status, int64_t length);
bool http_write(struct http_exchange *x, struct slice piece);
void http_on_ready(struct http_exchange *x, void (*ready)(struct http_exchange *x, void *arg), void *arg);
void http_finish(struct http_exchange *x);
void http_abort(struct http_exchange *x); /* cuts the connection: the only honest end of an answer that broke off */
