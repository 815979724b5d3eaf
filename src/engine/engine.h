/* engine: functions, their packages, the dispatcher and the instances. The heart; everything that runs a function comes through here.
 * Callers: services/lambda, later gateway and events. Below: store, keeper's messages, observe's logs.
 * Thread:  the loop's. Callbacks are called exactly once, later, never from inside the call.
 * Promise: engine_invoke touches no disk and no SQL. A change is in memory before its answer goes out, on disk before that. */
#pragma once

#include <uv.h>

#include "auth/keys.h"
#include "auth/seal.h"
#include "engine/channel.h"
#include "engine/function.h"
#include "engine/package.h"
#include "observe/function_logs.h"
#include "store/store.h"

enum {
    ENGINE_INIT_TIMEOUT_MS = 10 * 1000,     /* AWS Lambda: the init phase of an on-demand function */
    ENGINE_IDLE_MS = 5 * 60 * 1000,         /* an idle instance is retired; a setting */
    ENGINE_LOG_TAIL_BYTES = 4096,           /* X-Amz-Log-Result */
    ENGINE_CONCURRENCY_MIN = 10,            /* the account's limit never falls below */
    ENGINE_CONCURRENCY_MAX = 1000,          /* AWS's default */
    ENGINE_MEMORY_MB_A_CALL = 64,           /* account limit = memory of the box / this, within the two above */
    ENGINE_LOG_LINE_BYTES_MAX = 256 * 1024, /* CloudWatch Logs: one event */
    ENGINE_LOG_BYTES_A_CALL_MAX =
        16 * 1024 * 1024, /* ours: the rest of one call's output is dropped, and says so */
};

struct engine;
struct http_exchange;

struct engine_config {
    const char *account, *region;
    uint32_t idle_ms, init_timeout_ms;
    uint32_t concurrency;                      /* 0: from the box's memory */
    bool runtime_fallback;                     /* another installed major may stand in */
    const struct keeper_config *keeper_config; /* borrowed: where runtimes are */
    struct keeper_link *link;                  /* borrowed */
    struct store *store;
    struct seal *seal;
    struct keyring *keyring;
    struct package_store *packages;
    struct function_logs *logs;
    /* Serves the API inside an instance's sandbox: takes the listening descriptor, gives a handle to close. */
    void *(*api_open)(int *fd, const struct principal *principal, void *arg);
    const char
        *api_url; /* borrowed; what AWS_ENDPOINT_URL says where there is no sandbox. NULL: 127.0.0.1:4566 inside */
    void (*api_close)(void *handle, void *arg);
    void (*keeper_lost)(const struct error *err, void *arg); /* the server must end */
    void *arg;
};

/* Loads all functions (blocking: at start). */
MUST_CHECK enum outcome engine_open(uv_loop_t *loop, const struct engine_config *config, struct engine **out,
                                    struct error *err);
/* No new invocations (they answer ServiceException 503); `done` when none runs or `grace_ms` have passed: what is cut answers ERROR_UNAVAILABLE. Then instances are stopped. */
void engine_drain(struct engine *engine, uint32_t grace_ms, void (*done)(void *arg), void *arg);
void engine_free(struct engine *engine); /* after drain */

/* ---- functions ---- */
const char *engine_account(const struct engine *engine);
const char *engine_region(const struct engine *engine);
uint32_t engine_concurrency_limit(const struct engine *engine);
uint64_t engine_code_bytes(const struct engine *engine); /* sum of all packages' zips, for GetAccountSettings */
size_t engine_function_count(const struct engine *engine);
/* Borrowed until the loop turns; hold it to keep it. NULL when there is none. */
struct function *engine_find(const struct engine *engine, struct slice name);
/* In order of name, from behind `after` (empty: the first), at most `max`; returns how many and whether more follow. */
size_t engine_list(const struct engine *engine, struct slice after, size_t max, struct function **out, bool *more);
/* Is this runtime there to run? err: InvalidParameterValueException with the remedy. */
MUST_CHECK enum outcome engine_runtime_check(const struct engine *engine, const struct runtime_id *runtime,
                                             struct error *err);

/* `function` is what was saved, borrowed during the call; NULL on failure.
 *   create: ERROR_EXISTS; package errors.  update: ERROR_NOT_FOUND, ERROR_PRECONDITION (RevisionId), ERROR_CONFLICT.
 * `draft` is taken. engine sets digest, sha, sizes, revision_id, modified_ms, arn. `expected_revision` may be empty. */
typedef void engine_saved_fn(enum outcome outcome, struct function *function, const struct error *err, void *arg);
void engine_create(struct engine *engine, struct function **draft, struct buffer *zip, engine_saved_fn *done,
                   void *arg);
void engine_update_code(struct engine *engine, struct slice name, struct buffer *zip,
                        struct slice architecture /* empty: unchanged */, struct slice expected_revision,
                        bool dry_run, engine_saved_fn *done, void *arg);
/* `draft` is a changed function_copy of what engine_find gave (made in the same turn of the loop); fails with ERROR_CONFLICT when another update came between. */
void engine_update_configuration(struct engine *engine, struct function **draft, struct slice expected_revision,
                                 engine_saved_fn *done, void *arg);
void engine_delete(struct engine *engine, struct slice name, engine_saved_fn *done,
                   void *arg); /* function is NULL in `done` */

/* ---- invocations ---- */
struct invocation_input {
    struct function *function;          /* held by the engine for the invocation */
    struct slice request_id;            /* 36 characters */
    struct slice trace, client_context; /* JSON, already decoded from base64; empty: none */
    struct buffer *payload;             /* taken; valid JSON or empty (read as {}: Lambda gives the handler {}) */
    bool log_tail;
};
enum invocation_status { INVOCATION_SUCCEEDED, INVOCATION_FUNCTION_ERROR /* "Unhandled" */, INVOCATION_REFUSED };
struct invocation_result { /* all borrowed until the callback returns */
    enum invocation_status status;
    struct slice payload;          /* the answer, or the error as JSON */
    struct buffer *payload_buffer; /* the same when it can be taken without a copy; else NULL */
    struct slice log_tail;         /* the last 4 KB, raw */
    struct slice executed_version;
    const struct error *
        error; /* REFUSED: ERROR_THROTTLED (TooManyRequestsException; reason in `reason`), ERROR_UNAVAILABLE, ... */
    const char *reason; /* "ConcurrentInvocationLimitExceeded", ... */
};
typedef void invocation_done_fn(const struct invocation_result *result, void *arg);
struct invocation;
struct invocation *engine_invoke(struct engine *engine, const struct invocation_input *input,
                                 invocation_done_fn *done, void *arg);
/* The client is gone: the function runs on, as on Lambda, and `done` is not called. */
void invocation_abandon(struct invocation *invocation);

/* For /metrics-to-be, doctor and tests: what is there right now. */
struct engine_figures {
    size_t functions, instances, starting, idle, busy, waiting;
    uint64_t invocations, cold_starts, throttles;
};
void engine_figures(const struct engine *engine, struct engine_figures *out);
