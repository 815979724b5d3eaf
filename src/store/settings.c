/* Rows of what belongs to a function beside its versions. Each job holds all of its own checks: what memory believes is only a hint, and between
 * its look and this one a version or an alias may have gone. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "store/schema.h"
#include "store/settings.h"

#define SETTINGS_STATEMENTS(X)                                                                                     \
    X(setting_version, "SELECT revision_id FROM functions WHERE name = $1 AND version = $2")                       \
    X(setting_find, "SELECT revision_id FROM function_settings WHERE name = $1 AND kind = $2 AND qualifier = $3")  \
    X(setting_put,                                                                                                 \
      "INSERT INTO function_settings (name, kind, qualifier, revision_id, document, version_1, version_2,"         \
      " created_ms, modified_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"                                      \
      " ON CONFLICT (name, kind, qualifier) DO UPDATE SET revision_id = excluded.revision_id,"                     \
      " document = excluded.document, version_1 = excluded.version_1, version_2 = excluded.version_2,"             \
      " modified_ms = excluded.modified_ms")                                                                       \
    X(setting_delete, "DELETE FROM function_settings WHERE name = $1 AND kind = $2 AND qualifier = $3")            \
    X(setting_delete_qualifier, "DELETE FROM function_settings WHERE name = $1 AND qualifier = $2")                \
    X(settings_all, "SELECT name, kind, qualifier, revision_id, document, version_1, version_2, created_ms,"       \
                    " modified_ms FROM function_settings ORDER BY name, kind, qualifier")
SETTINGS_STATEMENTS(STATEMENT_DEFINE)
const char *const settings_statements[] = { SETTINGS_STATEMENTS(STATEMENT_LIST) NULL };

struct setting_job {
    struct setting_row row; /* into `bytes` */
    struct slice expected;  /* into `bytes`; empty: any */
    enum store_setting_mode mode;
    bool qualifier_must_exist;
    store_done_fn *done;
    void *arg;
    struct buffer bytes;
};

/* The copy lies in one block, made large enough first, so that the slices into it stay right. */
static struct slice setting_copy(struct setting_job *job, struct slice from)
{
    size_t at = job->bytes.len;
    buffer_append_slice(&job->bytes, from);
    return slice_from(job->bytes.at + at, from.len);
}

static struct setting_job *setting_job_new(const struct setting_row *row, struct slice expected,
                                           store_done_fn *done, void *arg)
{
    struct setting_job *job = memory_new(sizeof(*job));
    buffer_reserve(&job->bytes, row->name.len + row->kind.len + row->qualifier.len + row->revision_id.len +
                                    row->document.len + expected.len + 1);
    job->row = *row;
    job->row.name = setting_copy(job, row->name);
    job->row.kind = setting_copy(job, row->kind);
    job->row.qualifier = setting_copy(job, row->qualifier);
    job->row.revision_id = setting_copy(job, row->revision_id);
    job->row.document = setting_copy(job, row->document);
    job->expected = setting_copy(job, expected);
    job->done = done;
    job->arg = arg;
    return job;
}

static void setting_done(enum outcome outcome, const struct error *err, void *arg)
{
    struct setting_job *job = arg;
    job->done(outcome, err, job->arg);
    buffer_drop(&job->bytes);
    free(job);
}

/* ---- checks ---- */

static enum outcome not_found(const struct setting_row *row, struct slice qualifier, struct error *err)
{
    return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException",
                          "List the function's versions and aliases to see which there are.",
                          "Function not found: %.*s:%.*s", SLICE_PRINT(row->name), SLICE_PRINT(qualifier));
}

static enum outcome version_exists(struct store_tx *tx, const struct setting_row *row, struct slice version,
                                   bool *exists, struct error *err)
{
    struct store_stmt *stmt;
    TRY(store_sql(tx, sql_setting_version, &stmt, err));
    store_bind_text(stmt, 1, row->name);
    store_bind_text(stmt, 2, version);
    return store_step(stmt, exists, err);
}

static enum outcome setting_find(struct store_tx *tx, const struct setting_row *row, struct slice kind,
                                 struct store_stmt **stmt, bool *found, struct error *err)
{
    TRY(store_sql(tx, sql_setting_find, stmt, err));
    store_bind_text(*stmt, 1, row->name);
    store_bind_text(*stmt, 2, kind);
    store_bind_text(*stmt, 3, row->qualifier);
    return store_step(*stmt, found, err);
}

static enum outcome check_targets(struct store_tx *tx, const struct setting_job *job, struct error *err)
{
    const struct setting_row *row = &job->row;
    struct store_stmt *stmt;
    bool exists;
    TRY(version_exists(tx, row, SLICE("$LATEST"), &exists, err));
    if (!exists)
        return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException",
                              "List the functions to see which names there are.", "Function not found: %.*s",
                              SLICE_PRINT(row->name));
    for (size_t i = 0; i < 2; i++) {
        char text[24];
        if (row->versions[i] == 0)
            continue;
        struct slice version =
            slice_from(text, (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)row->versions[i]));
        TRY(version_exists(tx, row, version, &exists, err));
        if (!exists)
            return not_found(row, version, err);
    }
    if (!job->qualifier_must_exist)
        return OK;
    TRY(version_exists(tx, row, row->qualifier, &exists, err));
    if (!exists)
        TRY(setting_find(tx, row, SLICE("alias"), &stmt, &exists, err));
    return exists ? OK : not_found(row, row->qualifier, err);
}

static enum outcome no_such_setting(const struct setting_row *row, struct error *err)
{
    if (slice_is(row->kind, "alias"))
        return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException",
                              "List the function's aliases to see which there are.", "Alias not found: %.*s:%.*s",
                              SLICE_PRINT(row->name), SLICE_PRINT(row->qualifier));
    return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException",
                          "List what the function has of that kind.", "The resource you requested does not exist.");
}

static enum outcome revision_differs(const struct setting_row *row, struct error *err)
{
    return error_set_code(err, ERROR_PRECONDITION, "PreconditionFailedException",
                          "Read it again, then repeat the change with its RevisionId.",
                          "The Revision Id provided does not match the latest Revision Id. Call the %s API to "
                          "retrieve the latest Revision Id",
                          slice_is(row->kind, "policy") ? "GetPolicy" : "GetFunction/GetAlias");
}

/* ---- jobs ---- */

static enum outcome setting_put_job(struct store_tx *tx, void *arg, struct error *err)
{
    const struct setting_job *job = arg;
    const struct setting_row *row = &job->row;
    struct store_stmt *stmt;
    bool found;
    TRY(check_targets(tx, job, err));
    TRY(setting_find(tx, row, row->kind, &stmt, &found, err));
    if (found && job->mode == STORE_SETTING_CREATE)
        return error_set_code(err, ERROR_EXISTS, "ResourceConflictException", "Update it instead.",
                              "The %.*s of %.*s:%.*s exists already", SLICE_PRINT(row->kind),
                              SLICE_PRINT(row->name), SLICE_PRINT(row->qualifier));
    if (!found && job->mode == STORE_SETTING_UPDATE)
        return no_such_setting(row, err);
    if (job->expected.len > 0 && (!found || !slice_equal(store_bytes(stmt, 0), job->expected)))
        return revision_differs(row, err);
    TRY(store_sql(tx, sql_setting_put, &stmt, err));
    store_bind_text(stmt, 1, row->name);
    store_bind_text(stmt, 2, row->kind);
    store_bind_text(stmt, 3, row->qualifier);
    store_bind_text(stmt, 4, row->revision_id);
    store_bind_bytes(stmt, 5, row->document);
    store_bind_int(stmt, 6, (int64_t)row->versions[0]);
    store_bind_int(stmt, 7, (int64_t)row->versions[1]);
    store_bind_int(stmt, 8, row->created_ms);
    store_bind_int(stmt, 9, row->modified_ms);
    return store_run(stmt, NULL, err);
}

static enum outcome setting_delete_job(struct store_tx *tx, void *arg, struct error *err)
{
    const struct setting_job *job = arg;
    const struct setting_row *row = &job->row;
    struct store_stmt *stmt;
    bool found;
    TRY(setting_find(tx, row, row->kind, &stmt, &found, err));
    if (!found)
        return no_such_setting(row, err);
    if (job->expected.len > 0 && !slice_equal(store_bytes(stmt, 0), job->expected))
        return revision_differs(row, err);
    if (slice_is(
            row->kind,
            "alias")) { /* what hangs on the name goes with it, or it would come back with the next of that name */
        TRY(store_sql(tx, sql_setting_delete_qualifier, &stmt, err));
        store_bind_text(stmt, 1, row->name);
        store_bind_text(stmt, 2, row->qualifier);
        return store_run(stmt, NULL, err);
    }
    TRY(store_sql(tx, sql_setting_delete, &stmt, err));
    store_bind_text(stmt, 1, row->name);
    store_bind_text(stmt, 2, row->kind);
    store_bind_text(stmt, 3, row->qualifier);
    return store_run(stmt, NULL, err);
}

void store_setting_put(struct store *store, const struct setting_row *row, enum store_setting_mode mode,
                       struct slice expected_revision, bool qualifier_must_exist, store_done_fn *done, void *arg)
{
    struct setting_job *job = setting_job_new(row, expected_revision, done, arg);
    job->mode = mode;
    job->qualifier_must_exist = qualifier_must_exist;
    store_write(store, setting_put_job, setting_done, job);
}

void store_setting_delete(struct store *store, struct slice name, struct slice kind, struct slice qualifier,
                          struct slice expected_revision, store_done_fn *done, void *arg)
{
    struct setting_row row = { .name = name, .kind = kind, .qualifier = qualifier };
    store_write(store, setting_delete_job, setting_done, setting_job_new(&row, expected_revision, done, arg));
}

/* ---- at start ---- */

struct settings_load {
    store_setting_each_fn *each;
    void *arg;
};

static enum outcome settings_load_job(struct store_tx *tx, void *arg, struct error *err)
{
    const struct settings_load *load = arg;
    struct store_stmt *stmt;
    bool more;
    TRY(store_sql(tx, sql_settings_all, &stmt, err));
    TRY(store_step(stmt, &more, err));
    while (more) {
        struct setting_row row = {
            .name = store_bytes(stmt, 0),
            .kind = store_bytes(stmt, 1),
            .qualifier = store_bytes(stmt, 2),
            .revision_id = store_bytes(stmt, 3),
            .document = store_bytes(stmt, 4),
            .versions = { (uint64_t)store_int(stmt, 5), (uint64_t)store_int(stmt, 6) },
            .created_ms = store_int(stmt, 7),
            .modified_ms = store_int(stmt, 8),
        };
        TRY(load->each(&row, load->arg, err));
        TRY(store_step(stmt, &more, err));
    }
    return OK;
}

enum outcome store_settings_load(struct store *store, store_setting_each_fn *each, void *arg, struct error *err)
{
    struct settings_load load = { .each = each, .arg = arg };
    return store_now(store, settings_load_job, &load, err);
}
