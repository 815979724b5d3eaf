/* engine/runtime_api: AWS's Lambda Runtime API for `provided` runtimes: HTTP on 127.0.0.1:9001 inside the sandbox, one instance a listener.
 * It turns requests into the frames that other runtimes send over their channel (engine/channel.h), and invocations into answers of /next; so instance.c
 * judges time for both alike. Order is judged here: what comes out of turn is answered 4xx and changes nothing, so the frames that `events`
 * gets are always in order. What comes in is a stranger's: strict about paths, order, sizes, unknown request ids.
 *
 *   GET  /2018-06-01/runtime/invocation/next            the next invocation, whenever it comes; while one runs, that one again
 *   POST /2018-06-01/runtime/invocation/{id}/response   202; 413 beyond 6 MB, and the caller is told so
 *   POST /2018-06-01/runtime/invocation/{id}/error      202; the body is what the caller gets
 *   POST /2018-06-01/runtime/init/error                 202; only before the first /next
 *   GET  /2018-06-01/ping                               "pong"
 *
 * Lambda-Runtime-Function-Response-Mode: streaming is taken and its body buffered: the caller gets it when it is complete, with the limit of an
 * answer that is not streamed.
 * Source: AWS Lambda developer guide, "Using the Lambda runtime API", its OpenAPI description (2018-06-01); the states, texts and codes of AWS's
 * runtime interface emulator. Thread: the loop's. */
#pragma once

#include <uv.h>

#include "engine/channel.h"
#include "net/http.h"

enum {
    RUNTIME_API_CONNECTIONS_MAX = 16, /* of one instance; further ones wait */
    RUNTIME_API_STALL_MS =
        20 * 60 * 1000, /* a connection without a request, a body that does not go on: longer than any call */
    RUNTIME_API_ERROR_TYPE_BYTES =
        128, /* Lambda-Runtime-Function-Error-Type, with its end; longer ones become Function.Unknown or Runtime.Unknown */
    RUNTIME_API_HEADER_TEXT_BYTES_MAX =
        8 * 1024, /* of the client context and its like in an answer of /next; longer ones are left out */
};

struct runtime_api;      /* one a server: the http_server that serves all sandboxes */
struct runtime_endpoint; /* one an instance */

struct runtime_api *runtime_api_new(uv_loop_t *loop);
/* When all endpoints are closed. `done` is called later, once nothing is left. */
void runtime_api_close(struct runtime_api *api, void (*done)(void *arg), void *arg);

/* What an instance says. FRAME_READY: the first /next after the start; FRAME_DONE, FRAME_FAILED: with the invocation's sequence; FRAME_INIT_FAILED.
 * *idle: it asks for its next call (the first /next after an answer): only then is it free again.
 * Both may call back: invoke and close. */
struct runtime_events {
    void (*frame)(const struct frame *frame, void *arg);
    void (*idle)(void *arg);
    void *arg;
};
/* `listener` is taken. */
MUST_CHECK enum outcome runtime_endpoint_open(struct runtime_api *api, int *listener,
                                              const struct runtime_events *events, struct runtime_endpoint **out,
                                              struct error *err);
/* Answers the /next that waits, or the next one that comes. To be called after READY or idle, once. All that `invoke` points to is borrowed until
 * the frame of its end, or runtime_endpoint_close. */
void runtime_endpoint_invoke(struct runtime_endpoint *endpoint, const struct frame_invoke *invoke);
void runtime_endpoint_close(
    struct runtime_endpoint *endpoint); /* connections are cut; no event follows; NULL allowed */
