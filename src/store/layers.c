/* Rows of layers and of their versions. A layer's own row holds the last number given and outlives all of its versions: a number never
 * comes back, as functions may still name the version that had it. */
#include <stdlib.h>

#include "base/memory.h"
#include "store/layers.h"
#include "store/schema.h"

#define LAYERS_STATEMENTS(X)                                                                                       \
    X(layer_number_next, "INSERT INTO layers (name, last_version) VALUES ($1, 1)"                                  \
                         " ON CONFLICT (name) DO UPDATE SET last_version = layers.last_version + 1")               \
    X(layer_number, "SELECT last_version FROM layers WHERE name = $1")                                             \
    X(layer_version_insert, "INSERT INTO layer_versions (name, version, digest, document, created_ms)"             \
                            " VALUES ($1, $2, $3, $4, $5)")                                                        \
    X(layer_version_update, "UPDATE layer_versions SET digest = $3, document = $4, created_ms = $5"                \
                            " WHERE name = $1 AND version = $2")                                                   \
    X(layer_version_delete, "DELETE FROM layer_versions WHERE name = $1 AND version = $2")                         \
    X(layer_versions_all, "SELECT name, version, digest, document, created_ms FROM layer_versions"                 \
                          " ORDER BY name, version")
LAYERS_STATEMENTS(STATEMENT_DEFINE)
const char *const layers_statements[] = { LAYERS_STATEMENTS(STATEMENT_LIST) NULL };

struct layer_job {
    struct layer_row row; /* into `bytes` */
    uint64_t *version;    /* the caller's; NULL: not asked for */
    store_done_fn *done;
    void *arg;
    struct buffer bytes;
};

/* The copy lies in one block, made large enough first, so that the slices into it stay right. */
static struct slice layer_job_copy(struct layer_job *job, struct slice from)
{
    size_t at = job->bytes.len;
    buffer_append_slice(&job->bytes, from);
    return slice_from(job->bytes.at + at, from.len);
}

static struct layer_job *layer_job_new(const struct layer_row *row, store_done_fn *done, void *arg)
{
    struct layer_job *job = memory_new(sizeof(*job));
    buffer_reserve(&job->bytes, row->name.len + row->digest.len + row->document.len + 1);
    job->row = *row;
    job->row.name = layer_job_copy(job, row->name);
    job->row.digest = layer_job_copy(job, row->digest);
    job->row.document = layer_job_copy(job, row->document);
    job->done = done;
    job->arg = arg;
    return job;
}

static void layer_job_done(enum outcome outcome, const struct error *err, void *arg)
{
    struct layer_job *job = arg;
    if (outcome == OK && job->version != NULL)
        *job->version = job->row.version;
    job->done(outcome, err, job->arg);
    buffer_drop(&job->bytes);
    free(job);
}

static void layer_bind(struct store_stmt *stmt, const struct layer_row *row)
{
    store_bind_text(stmt, 1, row->name);
    store_bind_int(stmt, 2, (int64_t)row->version);
    store_bind_text(stmt, 3, row->digest);
    store_bind_bytes(stmt, 4, row->document);
    store_bind_int(stmt, 5, row->created_ms);
}

static enum outcome layer_publish_job(struct store_tx *tx, void *arg, struct error *err)
{
    struct layer_job *job = arg;
    struct store_stmt *stmt;
    bool row;
    TRY(store_sql(tx, sql_layer_number_next, &stmt, err));
    store_bind_text(stmt, 1, job->row.name);
    TRY(store_run(stmt, NULL, err));
    TRY(store_sql(tx, sql_layer_number, &stmt, err));
    store_bind_text(stmt, 1, job->row.name);
    TRY(store_step(stmt, &row, err));
    job->row.version = (uint64_t)store_int(stmt, 0);
    TRY(store_sql(tx, sql_layer_version_insert, &stmt, err));
    layer_bind(stmt, &job->row);
    return store_run(stmt, NULL, err);
}

static enum outcome layer_update_job(struct store_tx *tx, void *arg, struct error *err)
{
    const struct layer_row *row = &((struct layer_job *)arg)->row;
    struct store_stmt *stmt;
    int64_t changed = 0;
    TRY(store_sql(tx, sql_layer_version_update, &stmt, err));
    layer_bind(stmt, row);
    TRY(store_run(stmt, &changed, err));
    if (changed == 0)
        return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException",
                              "List the layer's versions to see which there are.",
                              "The resource you requested does not exist.");
    return OK;
}

static enum outcome layer_delete_job(struct store_tx *tx, void *arg, struct error *err)
{
    const struct layer_row *row = &((struct layer_job *)arg)->row;
    struct store_stmt *stmt;
    TRY(store_sql(tx, sql_layer_version_delete, &stmt, err));
    store_bind_text(stmt, 1, row->name);
    store_bind_int(stmt, 2, (int64_t)row->version);
    return store_run(stmt, NULL, err);
}

void store_layer_publish(struct store *store, const struct layer_row *row, uint64_t *version, store_done_fn *done,
                         void *arg)
{
    struct layer_job *job = layer_job_new(row, done, arg);
    job->version = version;
    store_write(store, layer_publish_job, layer_job_done, job);
}

void store_layer_update(struct store *store, const struct layer_row *row, store_done_fn *done, void *arg)
{
    store_write(store, layer_update_job, layer_job_done, layer_job_new(row, done, arg));
}

void store_layer_delete(struct store *store, struct slice name, uint64_t version, store_done_fn *done, void *arg)
{
    struct layer_row row = { .name = name, .version = version };
    store_write(store, layer_delete_job, layer_job_done, layer_job_new(&row, done, arg));
}

struct layers_load_job {
    store_layer_each_fn *each;
    void *arg;
};

static enum outcome layers_load_job(struct store_tx *tx, void *arg, struct error *err)
{
    const struct layers_load_job *job = arg;
    struct store_stmt *stmt;
    bool more;
    TRY(store_sql(tx, sql_layer_versions_all, &stmt, err));
    TRY(store_step(stmt, &more, err));
    while (more) {
        struct layer_row row = {
            .name = store_bytes(stmt, 0),
            .version = (uint64_t)store_int(stmt, 1),
            .digest = store_bytes(stmt, 2),
            .document = store_bytes(stmt, 3),
            .created_ms = store_int(stmt, 4),
        };
        TRY(job->each(&row, job->arg, err));
        TRY(store_step(stmt, &more, err));
    }
    return OK;
}

enum outcome store_layers_load(struct store *store, store_layer_each_fn *each, void *arg, struct error *err)
{
    struct layers_load_job job = { .each = each, .arg = arg };
    return store_now(store, layers_load_job, &job, err);
}
