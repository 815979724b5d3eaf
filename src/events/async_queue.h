/* events/async_queue: asynchronous invocations (InvocationType Event). Accepted when on disk; run as soon as the function's concurrency lets them, in
 * order of acceptance a function but without waiting for each other; found again after a crash and run until they have once run to an end.
 * Callers: services/lambda.   Below: engine, store.   Thread: the loop's.
 * Promise: at least once. An event leaves the queue when the function has answered or failed (retries and destinations come later), or when its
 *          function (or the version or alias that it named) is gone, with a line in the log. A throttled function's events wait, with a growing
 *          pause, and never hold up those of another. A run that was cut with the server or refused by it is none: the event runs again.
 * Memory: payloads of a bounded window are held, the others stay on disk until it is their turn (think of 1,000,000 of them). */
#pragma once

#include "engine/engine.h"

enum {
    ASYNC_PAYLOAD_BYTES_MAX = 1024 * 1024, /* AWS Lambda quotas: asynchronous invocation */
    ASYNC_RUNNING_MAX =
        100, /* ours: of one function at once, and at most half of the unreserved concurrency; the rest is for callers who wait */
    ASYNC_WINDOW_BYTES_MAX = 32 * 1024 * 1024, /* ours: payloads in memory, all functions together */
    ASYNC_QUEUED_MAX = 1000 * 1000,            /* ours: events of one function; above: TooManyRequestsException */
    ASYNC_QUEUED_BYTES_MAX =
        1024 * 1024 *
        1024, /* ours: payloads of one function that this run of the server took in and that are not over: functions call themselves too */
    ASYNC_PAUSE_MS_MIN = 100, /* after a throttle; doubled each time */
    ASYNC_PAUSE_MS_MAX = 60 * 1000,
    ASYNC_LOOK_MS = 1000, /* a function whose reserved concurrency is 0: whether it still is */
};

struct async_queue;
struct async_queue_config {
    struct engine *engine;
    struct store *store;
    uint64_t queued_bytes_max; /* 0: ASYNC_QUEUED_BYTES_MAX */
};
/* Reads what is left from before (blocking: at start); begins to run it with the first turns of the loop. */
MUST_CHECK enum outcome async_queue_open(uv_loop_t *loop, const struct async_queue_config *config,
                                         struct async_queue **out, struct error *err);
/* Stops beginning new runs; what runs goes on, drained by the engine; what did not run stays on disk. Events are still accepted. */
void async_queue_stop(struct async_queue *queue);
/* After the engine's drain, before the store closes; NULL allowed. What is under way with the store still answers, then it is freed. */
void async_queue_free(struct async_queue *queue);

/* `input` as for engine_invoke (payload taken, the rest copied; `qualifier` is resolved again when it runs). `done` when it is durable.
 *   err  ERROR_THROTTLED, ERROR_UNAVAILABLE, ERROR_DISK_FULL, ... : it was not accepted; ERROR_UNKNOWN: it may have been */
typedef void async_accepted_fn(enum outcome outcome, const struct error *err, void *arg);
void async_queue_put(struct async_queue *queue, const struct invocation_input *input, async_accepted_fn *done,
                     void *arg);
/* Its function was deleted, and its rows with it. */
void async_queue_forget(struct async_queue *queue, struct slice name);

struct async_queue_figures {
    size_t queued, running; /* queued: all that are accepted and not over, the running ones too */
    uint64_t accepted, finished, throttled, dropped;
    size_t window_bytes; /* of payloads held, those of running events not among them */
};
void async_queue_figures(const struct async_queue *queue, struct async_queue_figures *out);
