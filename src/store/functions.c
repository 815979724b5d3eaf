/* Rows of functions, access keys and roles: the typed doors of store/functions.h. Each job holds all of its own checks: what memory
 * believes is only a hint. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "store/async_events.h"
#include "store/functions.h"
#include "store/schema.h"

#define FUNCTIONS_STATEMENTS(X)                                                                                    \
    X(function_insert,                                                                                             \
      "INSERT INTO functions (name, version, revision_id, digest, document, environment, modified_ms)"             \
      " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name, version) DO NOTHING")                               \
    X(function_update, "UPDATE functions SET revision_id = $3, digest = $4, document = $5, environment = $6,"      \
                       " modified_ms = $7 WHERE name = $1 AND version = $2")                                       \
    X(function_revision, "SELECT revision_id FROM functions WHERE name = $1 AND version = $2")                     \
    X(function_delete, "DELETE FROM functions WHERE name = $1")                                                    \
    X(function_delete_settings, "DELETE FROM function_settings WHERE name = $1")                                   \
    X(function_latest, "SELECT revision_id, last_version FROM functions WHERE name = $1 AND version = '$LATEST'")  \
    X(function_publish, "UPDATE functions SET revision_id = $2, last_version = $3"                                 \
                        " WHERE name = $1 AND version = '$LATEST'")                                                \
    X(version_aliases, "SELECT qualifier FROM function_settings WHERE name = $1 AND kind = 'alias'"                \
                       " AND (version_1 = $2 OR version_2 = $2) ORDER BY qualifier LIMIT 20")                      \
    X(version_delete, "DELETE FROM functions WHERE name = $1 AND version = $2")                                    \
    X(version_delete_settings, "DELETE FROM function_settings WHERE name = $1 AND qualifier = $2")                 \
    X(functions_all,                                                                                               \
      "SELECT name, version, revision_id, digest, document, environment, modified_ms FROM functions"               \
      " ORDER BY name, version")                                                                                   \
    X(access_key_serial, "SELECT coalesce(max(serial), 0) + 1 FROM access_keys")                                   \
    X(access_key_put, "INSERT INTO access_keys (access_key, owner, sealed_secret, serial) VALUES ($1, $2, $3, $4)" \
                      " ON CONFLICT (access_key) DO UPDATE SET owner = excluded.owner,"                            \
                      " sealed_secret = excluded.sealed_secret, serial = excluded.serial")                         \
    X(access_key_find,                                                                                             \
      "SELECT access_key, sealed_secret FROM access_keys WHERE owner = $1 ORDER BY serial DESC LIMIT 1")           \
    X(role_put, "INSERT INTO roles (name, document) VALUES ($1, $2)"                                               \
                " ON CONFLICT (name) DO UPDATE SET document = excluded.document")
FUNCTIONS_STATEMENTS(STATEMENT_DEFINE)
const char *const functions_statements[] = { FUNCTIONS_STATEMENTS(STATEMENT_LIST) NULL };

/* ---- function rows ---- */

struct function_job {
    struct function_row row;        /* into `bytes` */
    struct slice expected_revision; /* into `bytes`; empty: any */
    struct slice latest_revision;   /* into `bytes`; what $LATEST gets by a publication */
    uint64_t *number;               /* the caller's, until `done` */
    store_done_fn *done;
    void *arg;
    struct buffer bytes;
};

static void function_job_free(struct function_job *job)
{
    buffer_drop(&job->bytes);
    free(job);
}

/* The copy lies in one block, made large enough first, so that the slices into it stay right. */
static struct slice function_job_copy(struct function_job *job, struct slice from)
{
    size_t at = job->bytes.len;
    buffer_append_slice(&job->bytes, from);
    return slice_from(job->bytes.at + at, from.len);
}

static struct function_job *function_job_new(const struct function_row *row, struct slice expected_revision,
                                             struct slice latest_revision, store_done_fn *done, void *arg)
{
    struct function_job *job = memory_new(sizeof(*job));
    buffer_reserve(&job->bytes, row->name.len + row->version.len + row->revision_id.len + row->digest.len +
                                    row->document.len + row->environment.len + expected_revision.len +
                                    latest_revision.len + 1);
    job->row.name = function_job_copy(job, row->name);
    job->row.version = function_job_copy(job, row->version);
    job->row.revision_id = function_job_copy(job, row->revision_id);
    job->row.digest = function_job_copy(job, row->digest);
    job->row.document = function_job_copy(job, row->document);
    job->row.environment = function_job_copy(job, row->environment);
    job->row.modified_ms = row->modified_ms;
    job->expected_revision = function_job_copy(job, expected_revision);
    job->latest_revision = function_job_copy(job, latest_revision);
    job->done = done;
    job->arg = arg;
    return job;
}

static void function_job_done(enum outcome outcome, const struct error *err, void *arg)
{
    struct function_job *job = arg;
    job->done(outcome, err, job->arg);
    function_job_free(job);
}

static void function_bind(struct store_stmt *stmt, const struct function_row *row)
{
    store_bind_text(stmt, 1, row->name);
    store_bind_text(stmt, 2, row->version);
    store_bind_text(stmt, 3, row->revision_id);
    store_bind_text(stmt, 4, row->digest);
    store_bind_bytes(stmt, 5, row->document);
    store_bind_bytes(stmt, 6, row->environment);
    store_bind_int(stmt, 7, row->modified_ms);
}

static enum outcome function_not_found(struct slice name, struct error *err)
{
    return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException",
                          "List the functions to see which names there are.", "Function not found: %.*s",
                          SLICE_PRINT(name));
}

static enum outcome function_revision_differs(struct error *err)
{
    return error_set_code(err, ERROR_PRECONDITION, "PreconditionFailedException",
                          "Read the function again, then repeat the change with its RevisionId.",
                          "The Revision Id provided does not match the latest Revision Id. Call the "
                          "GetFunction/GetAlias API to retrieve the latest Revision Id");
}

static enum outcome function_insert(struct store_tx *tx, const struct function_row *row, int64_t *inserted,
                                    struct error *err)
{
    struct store_stmt *stmt;
    TRY(store_sql(tx, sql_function_insert, &stmt, err));
    function_bind(stmt, row);
    return store_run(stmt, inserted, err);
}

static enum outcome function_create_job(struct store_tx *tx, void *arg, struct error *err)
{
    const struct function_row *row = &((struct function_job *)arg)->row;
    int64_t inserted = 0;
    TRY(function_insert(tx, row, &inserted, err));
    if (inserted == 0)
        return error_set_code(err, ERROR_EXISTS, "ResourceConflictException",
                              "Update the function, or choose another name.", "Function already exist: %.*s",
                              SLICE_PRINT(row->name));
    return OK;
}

/* Reads the revision, then writes: this is the writer's own transaction, so nothing comes between. */
static enum outcome function_update_job(struct store_tx *tx, void *arg, struct error *err)
{
    const struct function_job *job = arg;
    const struct function_row *row = &job->row;
    struct store_stmt *stmt;
    bool found;
    TRY(store_sql(tx, sql_function_revision, &stmt, err));
    store_bind_text(stmt, 1, row->name);
    store_bind_text(stmt, 2, row->version);
    TRY(store_step(stmt, &found, err));
    if (!found)
        return function_not_found(row->name, err);
    if (job->expected_revision.len > 0 && !slice_equal(store_bytes(stmt, 0), job->expected_revision))
        return function_revision_differs(err);
    TRY(store_sql(tx, sql_function_update, &stmt, err));
    function_bind(stmt, row);
    return store_run(stmt, NULL, err);
}

static enum outcome run_with(struct store_stmt *stmt, struct slice name, struct slice version, int64_t *changed,
                             struct error *err)
{
    store_bind_text(stmt, 1, name);
    if (version.len > 0)
        store_bind_text(stmt, 2, version);
    return store_run(stmt, changed, err);
}

/* All that belongs to the name goes in one transaction: nothing of it may turn up under a function that is made anew. Of its events, of which
 * there may be a million, most only become invisible. */
static enum outcome function_delete_job(struct store_tx *tx, void *arg, struct error *err)
{
    struct slice name = ((const struct function_job *)arg)->row.name;
    struct store_stmt *stmt;
    int64_t deleted = 0;
    TRY(store_sql(tx, sql_function_delete, &stmt, err));
    TRY(run_with(stmt, name, SLICE_EMPTY, &deleted, err));
    if (deleted == 0)
        return function_not_found(name, err);
    TRY(store_sql(tx, sql_function_delete_settings, &stmt, err));
    TRY(run_with(stmt, name, SLICE_EMPTY, NULL, err));
    return async_events_leave(tx, name, err);
}

static enum outcome function_publish_job(struct store_tx *tx, void *arg, struct error *err)
{
    const struct function_job *job = arg;
    struct function_row row = job->row;
    struct store_stmt *stmt;
    bool found;
    int64_t inserted = 0;
    TRY(store_sql(tx, sql_function_latest, &stmt, err));
    store_bind_text(stmt, 1, row.name);
    TRY(store_step(stmt, &found, err));
    if (!found)
        return function_not_found(row.name, err);
    if (job->expected_revision.len > 0 && !slice_equal(store_bytes(stmt, 0), job->expected_revision))
        return function_revision_differs(err);
    int64_t number = store_int(stmt, 1) + 1;
    char text[24];
    row.version = slice_from(text, (size_t)snprintf(text, sizeof(text), "%lld", (long long)number));
    TRY(function_insert(tx, &row, &inserted, err));
    if (inserted == 0)
        return error_set(err, ERROR_INTERNAL, "Restore the data directory from a backup.",
                         "the next version of \"%.*s\", %lld, is there already", SLICE_PRINT(row.name),
                         (long long)number);
    TRY(store_sql(tx, sql_function_publish, &stmt, err));
    store_bind_text(stmt, 1, row.name);
    store_bind_text(stmt, 2, job->latest_revision);
    store_bind_int(stmt, 3, number);
    *job->number = (uint64_t)number;
    return store_run(stmt, NULL, err);
}

static enum outcome version_unreferenced(struct store_tx *tx, struct slice name, int64_t number, struct error *err)
{
    struct store_stmt *stmt;
    bool more;
    TRY(store_sql(tx, sql_version_aliases, &stmt, err));
    store_bind_text(stmt, 1, name);
    store_bind_int(stmt, 2, number);
    TRY(store_step(stmt, &more, err));
    if (!more)
        return OK;
    struct buffer names = BUFFER_EMPTY;
    enum outcome outcome = OK;
    while (more && outcome == OK) {
        if (names.len > 0)
            buffer_append_text(&names, ", ");
        buffer_append_slice(&names, store_bytes(stmt, 0));
        outcome = store_step(stmt, &more, err);
    }
    if (outcome == OK)
        outcome = error_set_code(err, ERROR_CONFLICT, "ResourceConflictException",
                                 "Point the aliases to another version, or delete them first.",
                                 "Unable to delete version because the following aliases reference it: [%s]",
                                 buffer_text(&names));
    buffer_drop(&names);
    return outcome;
}

static enum outcome version_delete_job(struct store_tx *tx, void *arg, struct error *err)
{
    const struct function_row *row = &((const struct function_job *)arg)->row;
    struct store_stmt *stmt;
    uint64_t number = 0;
    int64_t deleted = 0;
    if (!slice_to_u64(row->version, INT64_MAX, &number) || number == 0)
        return error_set(err, ERROR_INVALID, "Name a published version by its number.",
                         "\"%.*s\" is not the number of a version", SLICE_PRINT(row->version));
    TRY(version_unreferenced(tx, row->name, (int64_t)number, err));
    TRY(store_sql(tx, sql_version_delete, &stmt, err));
    TRY(run_with(stmt, row->name, row->version, &deleted, err));
    if (deleted == 0)
        return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException",
                              "List the function's versions to see which there are.",
                              "Function not found: %.*s:%.*s", SLICE_PRINT(row->name), SLICE_PRINT(row->version));
    TRY(store_sql(tx, sql_version_delete_settings, &stmt, err));
    return run_with(stmt, row->name, row->version, NULL, err);
}

void store_function_create(struct store *store, const struct function_row *row, store_done_fn *done, void *arg)
{
    store_write(store, function_create_job, function_job_done,
                function_job_new(row, SLICE_EMPTY, SLICE_EMPTY, done, arg));
}

void store_function_update(struct store *store, const struct function_row *row, struct slice expected_revision,
                           store_done_fn *done, void *arg)
{
    store_write(store, function_update_job, function_job_done,
                function_job_new(row, expected_revision, SLICE_EMPTY, done, arg));
}

void store_function_delete(struct store *store, struct slice name, store_done_fn *done, void *arg)
{
    struct function_row row = { .name = name };
    store_write(store, function_delete_job, function_job_done,
                function_job_new(&row, SLICE_EMPTY, SLICE_EMPTY, done, arg));
}

void store_function_publish(struct store *store, const struct function_row *row, struct slice expected_revision,
                            struct slice latest_revision, uint64_t *number, store_done_fn *done, void *arg)
{
    struct function_job *job = function_job_new(row, expected_revision, latest_revision, done, arg);
    job->number = number;
    store_write(store, function_publish_job, function_job_done, job);
}

void store_version_delete(struct store *store, struct slice name, struct slice version, store_done_fn *done,
                          void *arg)
{
    struct function_row row = { .name = name, .version = version };
    store_write(store, version_delete_job, function_job_done,
                function_job_new(&row, SLICE_EMPTY, SLICE_EMPTY, done, arg));
}

struct functions_load_job {
    store_function_each_fn *each;
    void *arg;
};

static enum outcome functions_load_job(struct store_tx *tx, void *arg, struct error *err)
{
    const struct functions_load_job *job = arg;
    struct store_stmt *stmt;
    bool more;
    TRY(store_sql(tx, sql_functions_all, &stmt, err));
    TRY(store_step(stmt, &more, err));
    while (more) {
        struct function_row row = {
            .name = store_bytes(stmt, 0),
            .version = store_bytes(stmt, 1),
            .revision_id = store_bytes(stmt, 2),
            .digest = store_bytes(stmt, 3),
            .document = store_bytes(stmt, 4),
            .environment = store_bytes(stmt, 5),
            .modified_ms = store_int(stmt, 6),
        };
        TRY(job->each(&row, job->arg, err));
        TRY(store_step(stmt, &more, err));
    }
    return OK;
}

enum outcome store_functions_load(struct store *store, store_function_each_fn *each, void *arg, struct error *err)
{
    struct functions_load_job job = { .each = each, .arg = arg };
    return store_now(store, functions_load_job, &job, err);
}

/* ---- access keys and roles ---- */

struct access_key_job {
    struct slice access_key, owner, sealed_secret;
    bool found;
    struct buffer *found_key, *found_secret;
};

static enum outcome access_key_put_job(struct store_tx *tx, void *arg, struct error *err)
{
    const struct access_key_job *job = arg;
    struct store_stmt *stmt;
    bool row;
    TRY(store_sql(tx, sql_access_key_serial, &stmt, err));
    TRY(store_step(stmt, &row, err));
    int64_t serial = store_int(stmt, 0);
    TRY(store_sql(tx, sql_access_key_put, &stmt, err));
    store_bind_text(stmt, 1, job->access_key);
    store_bind_text(stmt, 2, job->owner);
    store_bind_bytes(stmt, 3, job->sealed_secret);
    store_bind_int(stmt, 4, serial);
    return store_run(stmt, NULL, err);
}

enum outcome store_access_key_put(struct store *store, struct slice access_key, struct slice owner,
                                  struct slice sealed_secret, struct error *err)
{
    struct access_key_job job = { .access_key = access_key, .owner = owner, .sealed_secret = sealed_secret };
    return store_now(store, access_key_put_job, &job, err);
}

static enum outcome access_key_find_job(struct store_tx *tx, void *arg, struct error *err)
{
    struct access_key_job *job = arg;
    struct store_stmt *stmt;
    TRY(store_sql(tx, sql_access_key_find, &stmt, err));
    store_bind_text(stmt, 1, job->owner);
    TRY(store_step(stmt, &job->found, err));
    if (!job->found)
        return OK;
    buffer_reset(job->found_key);
    buffer_reset(job->found_secret);
    buffer_append_slice(job->found_key, store_bytes(stmt, 0));
    buffer_append_slice(job->found_secret, store_bytes(stmt, 1));
    return OK;
}

enum outcome store_access_key_find(struct store *store, struct slice owner, bool *found, struct buffer *access_key,
                                   struct buffer *sealed_secret, struct error *err)
{
    struct access_key_job job = { .owner = owner, .found_key = access_key, .found_secret = sealed_secret };
    TRY(store_now(store, access_key_find_job, &job, err));
    *found = job.found;
    return OK;
}

struct role_job {
    struct slice name, document;
};

static enum outcome role_put_job(struct store_tx *tx, void *arg, struct error *err)
{
    const struct role_job *job = arg;
    struct store_stmt *stmt;
    TRY(store_sql(tx, sql_role_put, &stmt, err));
    store_bind_text(stmt, 1, job->name);
    store_bind_bytes(stmt, 2, job->document);
    return store_run(stmt, NULL, err);
}

enum outcome store_role_put(struct store *store, struct slice name, struct slice document, struct error *err)
{
    struct role_job job = { .name = name, .document = document };
    return store_now(store, role_put_job, &job, err);
}
