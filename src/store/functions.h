/* store/functions: function rows and the root key. Jobs are typed calls; SQL stays behind them.
 * Thread, promise: see store/store.h. All arguments are copied before the call returns, unless said otherwise. */
#pragma once

#include "store/store.h"

/* A row. `document` is the plain configuration as JSON (engine/function.h writes and reads it); `environment` is sealed. */
struct function_row {
    struct slice name;    /* primary key with version */
    struct slice version; /* "$LATEST", or a number: "7" */
    struct slice revision_id;
    struct slice digest; /* 64 hex digits: names the package tree */
    struct slice document;
    struct slice environment; /* sealed; empty when none */
    int64_t modified_ms;
};

/* Checks inside the job: `create` fails with ERROR_EXISTS (ResourceConflictException, "Function already exist: NAME");
 * an update fails with ERROR_NOT_FOUND, and when `expected_revision` is not empty and differs with ERROR_PRECONDITION
 * (PreconditionFailedException). */
void store_function_create(struct store *store, const struct function_row *row, store_done_fn *done, void *arg);
void store_function_update(struct store *store, const struct function_row *row, struct slice expected_revision,
                           store_done_fn *done, void *arg);
/* With its versions, its settings and its asynchronous events (what is left of their rows: store_async_events_sweep). */
void store_function_delete(struct store *store, struct slice name, store_done_fn *done, void *arg);

/* Writes `row` (its `version` is ignored) under the next number of that function, which never returns as long as the function is there; `$LATEST`
 * gets `latest_revision`. The number is told through *number, which the caller keeps until `done`.
 *   err  ERROR_NOT_FOUND, ERROR_PRECONDITION ($LATEST has another revision; `expected_revision` empty: any) */
void store_function_publish(struct store *store, const struct function_row *row, struct slice expected_revision,
                            struct slice latest_revision, uint64_t *number, store_done_fn *done, void *arg);
/* With the settings of that qualifier.
 *   err  ERROR_NOT_FOUND, ERROR_CONFLICT/ResourceConflictException (an alias points to it) */
void store_version_delete(struct store *store, struct slice name, struct slice version, store_done_fn *done,
                          void *arg);

/* At start: every row, in order of name; of one name in no order. `each` borrows the row. */
typedef enum outcome store_function_each_fn(const struct function_row *row, void *arg, struct error *err);
MUST_CHECK enum outcome store_functions_load(struct store *store, store_function_each_fn *each, void *arg,
                                             struct error *err);

/* Access keys (root's now): the secret is sealed by the caller. At start only. */
MUST_CHECK enum outcome store_access_key_put(struct store *store, struct slice access_key, struct slice owner,
                                             struct slice sealed_secret, struct error *err);
/* The newest key of `owner`; *found false when none. Buffers are the caller's. */
MUST_CHECK enum outcome store_access_key_find(struct store *store, struct slice owner, bool *found,
                                              struct buffer *access_key, struct buffer *sealed_secret,
                                              struct error *err);
/* Roles: the name, its ARN document. `hearth-basic` is put at first start. */
MUST_CHECK enum outcome store_role_put(struct store *store, struct slice name, struct slice document,
                                       struct error *err);
