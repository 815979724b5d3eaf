/* engine: functions, their packages, the dispatcher and the instances. The heart; everything that runs a function comes through here.
 * Callers: services/lambda, later gateway and events. Below: store, keeper's messages, observe's logs.
 * Thread:  the loop's. Callbacks are called exactly once, later, never from inside the call.
 * Promise: engine_invoke touches no disk and no SQL. A change is in memory before its answer goes out, on disk before that. */
#pragma once

#include <uv.h>

#include "auth/keys.h"
#include "auth/seal.h"
#include "engine/alias.h"
#include "engine/channel.h"
#include "engine/function.h"
#include "engine/layer.h"
#include "engine/package.h"
#include "engine/url.h"
#include "observe/function_logs.h"
#include "store/store.h"

enum {
    ENGINE_INIT_TIMEOUT_MS = 10 * 1000, /* AWS Lambda: the init phase of an on-demand function */
    ENGINE_IDLE_MS = 5 * 60 * 1000,     /* an idle instance is retired; a setting */
    ENGINE_LOG_TAIL_BYTES = 4096,       /* X-Amz-Log-Result */
    ENGINE_CONCURRENCY_MIN = 10,        /* the account's limit never falls below */
    ENGINE_CONCURRENCY_MAX = 1000,      /* AWS's default */
    ENGINE_MEMORY_MB_A_CALL = 64,       /* account limit = memory of the box / this, within the two above */
    ENGINE_UNRESERVED_MIN =
        100, /* AWS: what reservations must leave to all other functions; here at most a tenth of the limit */
    ENGINE_VERSIONS_MAX = 1000,             /* ours: published versions of one function that exist at once */
    ENGINE_SETTINGS_MAX = 1000,             /* ours: aliases, policies and URLs of one function, each kind */
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
void engine_free(struct engine *engine); /* after drain; changes that end later are told as ERROR_UNKNOWN */

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
                   void *arg); /* function is NULL in `done`; with it go its versions and settings */

/* ---- versions ---- */

/* A published version: a frozen copy of $LATEST, with its own number. NULL when there is none. `number` 0 is $LATEST. */
struct function *engine_find_version(const struct engine *engine, struct slice name, uint64_t number);
/* Of one function, $LATEST first, then ascending, from behind `after` (UINT64_MAX: from the beginning). */
size_t engine_list_versions(const struct engine *engine, struct slice name, uint64_t after, size_t max,
                            struct function **out, bool *more);
/* Freezes $LATEST. When neither code nor configuration changed since the newest published version (and that is still there), `done` gets that
 * one and nothing is made. `description` NULL: that of $LATEST. Empty `code_sha256` and `expected_revision`: not checked.
 *   err  ERROR_NOT_FOUND, ERROR_PRECONDITION (RevisionId), ERROR_CONFLICT (an update is under way),
 *        ERROR_INVALID/InvalidParameterValueException (CodeSha256 differs) */
void engine_publish(struct engine *engine, struct slice name, const char *description, struct slice code_sha256,
                    struct slice expected_revision, engine_saved_fn *done, void *arg);
/* Its policy and its URL go with it.  err: ERROR_NOT_FOUND; ERROR_CONFLICT/ResourceConflictException when an alias points to it */
void engine_delete_version(struct engine *engine, struct slice name, uint64_t number, engine_saved_fn *done,
                           void *arg);
/* Replaces the tags of the function; neither its RevisionId nor its time of modification change. `tags` is taken. */
void engine_put_tags(struct engine *engine, struct slice name, struct variable *tags, size_t count,
                     engine_saved_fn *done, void *arg);

/* ---- what belongs to a function beside its versions: aliases, policies, URLs, reserved concurrency ----
 * One JSON document each, by kind and qualifier ("$LATEST", "7", or an alias); the row holds the checks, memory follows commits. The meaning of
 * a document is its typed header's (alias.h, url.h) or, for policies, services/lambda's. */
enum setting_kind { SETTING_ALIAS, SETTING_POLICY, SETTING_URL, SETTING_CONCURRENCY, SETTING_KIND_COUNT };
enum { SETTING_DOCUMENT_BYTES_MAX = 64 * 1024 };
struct setting {
    enum setting_kind kind;
    char *qualifier;
    char *document; /* JSON, NUL-terminated */
    char revision_id[37];
    int64_t created_ms, modified_ms;
    struct alias *alias;      /* SETTING_ALIAS, parsed */
    struct function_url *url; /* SETTING_URL, parsed */
};
/* Borrowed until the loop turns; NULL when there is none (or no such function). */
const struct setting *engine_setting(const struct engine *engine, struct slice name, enum setting_kind kind,
                                     struct slice qualifier);
/* In order of qualifier, from behind `after`; of the whole server when `name` is empty (then in order of name, qualifier; `after` is ignored). */
size_t engine_settings(const struct engine *engine, struct slice name, enum setting_kind kind, struct slice after,
                       size_t max, const struct setting **out, bool *more);
const struct setting *engine_url_find(const struct engine *engine, struct slice url_id, struct slice *name);

enum setting_mode { SETTING_CREATE, SETTING_UPDATE, SETTING_PUT };
struct setting_change {
    struct slice name, qualifier;
    enum setting_kind kind;
    enum setting_mode mode;
    struct slice document;          /* copied */
    struct slice expected_revision; /* empty: any */
    uint64_t versions[2];           /* that it points to and must exist; 0: none ($LATEST always does) */
    bool qualifier_must_exist;      /* policy and URL: the version or alias of that name */
};
typedef void setting_saved_fn(enum outcome outcome, const struct setting *setting, const struct error *err,
                              void *arg);
/*   err  ERROR_NOT_FOUND/ResourceNotFoundException: function, version, alias, or (SETTING_UPDATE) the setting itself;
 *        ERROR_EXISTS/ResourceConflictException (SETTING_CREATE); ERROR_PRECONDITION; ERROR_CONFLICT while the function is being deleted */
void engine_setting_put(struct engine *engine, const struct setting_change *change, setting_saved_fn *done,
                        void *arg);
/* `setting` is NULL in `done`. Deleting an alias takes the policy and URL of that qualifier with it.  err: ERROR_NOT_FOUND, ERROR_PRECONDITION */
void engine_setting_delete(struct engine *engine, struct slice name, enum setting_kind kind, struct slice qualifier,
                           struct slice expected_revision, setting_saved_fn *done, void *arg);

/* Reserved concurrency of all versions together.
 *   err  ERROR_INVALID/InvalidParameterValueException when less than engine_unreserved_min would be left to the others */
void engine_reserve(struct engine *engine, struct slice name, uint32_t reserved, setting_saved_fn *done, void *arg);
int64_t engine_reserved(const struct engine *engine, struct slice name); /* -1: none */
uint32_t engine_unreserved(const struct engine *engine);     /* the account's limit less all reservations */
uint32_t engine_unreserved_min(const struct engine *engine); /* a tenth of the limit, at most AWS's 100 */

/* Which version a call of NAME:QUALIFIER runs: for an alias with two, drawn by its weights. NULL when there is none. Borrowed. */
struct function *engine_route(struct engine *engine, struct slice name, struct slice qualifier);

/* Layers of this engine; see engine/layer.h. */
struct layers *engine_layers(struct engine *engine);

/* ---- invocations ---- */
struct invocation_input {
    struct function *function;          /* held by the engine for the invocation */
    struct slice qualifier;             /* as the caller asked: it stands in the invoked ARN; empty: none */
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
    const char
        *reason; /* "ConcurrentInvocationLimitExceeded", "ReservedFunctionConcurrentInvocationLimitExceeded" */
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
