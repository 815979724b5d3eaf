/* engine/runtime_api: AWS's Lambda Runtime API for `provided` runtimes: HTTP on 127.0.0.1:9001 inside the sandbox, one instance a listener.
 * It turns requests into the frames that other runtimes send over their channel (engine/channel.h), and invocations into answers of /next; so instance.c
 * judges order and time of both alike. What comes in is a stranger's: strict about paths, order, sizes, unknown request ids.
 * Source: AWS Lambda developer guide, "Using the Lambda runtime API"; its OpenAPI description (2018-06-01).
 * Thread: the loop's. */
#pragma once

#include <uv.h>

#include "engine/channel.h"
#include "net/http.h"

enum {
    RUNTIME_API_PORT = 9001,
    RUNTIME_API_CONNECTIONS_MAX = 16,         /* of one instance */
    RUNTIME_API_ERROR_BYTES_MAX = 256 * 1024, /* the body of an error report; the rest is cut off (413) */
    RUNTIME_API_ERROR_TYPE_BYTES_MAX = 256,   /* Lambda-Runtime-Function-Error-Type */
};

struct runtime_api;      /* one a server: the http_server that serves all sandboxes */
struct runtime_endpoint; /* one an instance */

struct runtime_api *runtime_api_new(uv_loop_t *loop);
void runtime_api_close(struct runtime_api *api, void (*done)(void *arg),
                       void *arg); /* when all endpoints are closed */

/* What an instance says. FRAME_READY: the first /next after the start; FRAME_DONE, FRAME_FAILED: with the invocation's sequence; FRAME_INIT_FAILED.
 * *idle: it asks for its next call (every /next but the first): only then is it free again. */
struct runtime_events {
    void (*frame)(const struct frame *frame, void *arg);
    void (*idle)(void *arg);
    void *arg;
};
/* `listener` is taken. */
MUST_CHECK enum outcome runtime_endpoint_open(struct runtime_api *api, int *listener,
                                              const struct runtime_events *events, struct runtime_endpoint **out,
                                              struct error *err);
/* Answers the /next that waits, or the next one that comes. `payload` is borrowed until the frame of its end, or runtime_endpoint_close. */
void runtime_endpoint_invoke(struct runtime_endpoint *endpoint, const struct frame_invoke *invoke);
void runtime_endpoint_close(struct runtime_endpoint *endpoint); /* connections are cut; no event follows */
