/* Rows of asynchronous invocations. A write is one small job; the store commits all that wait together, so that a thousand events, or the
 * deletes of a thousand that have run, cost a few fsyncs. */
#include <stdlib.h>

#include "base/memory.h"
#include "store/async_events.h"
#include "store/schema.h"

/* async_event_insert's ids are the caller's: they tell the order without asking the database. */
#define ASYNC_EVENTS_STATEMENTS(X)                                                                                 \
    X(async_event_insert, "INSERT INTO async_events (id, name, qualifier, request_id, trace, client_context,"      \
                          " payload, received_ms, attempts) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")          \
    X(async_event_attempt, "UPDATE async_events SET attempts = $2 WHERE id = $1")                                  \
    X(async_event_delete, "DELETE FROM async_events WHERE id = $1")                                                \
    X(async_events_page,                                                                                           \
      "SELECT id, qualifier, request_id, trace, client_context, payload, received_ms, attempts FROM async_events"  \
      " WHERE name = $1 AND id > $2 AND id <= $3"                                                                  \
      " AND id > coalesce((SELECT last_id FROM async_leftovers WHERE name = $1), 0) ORDER BY id LIMIT $4")         \
    X(async_events_summary,                                                                                        \
      "SELECT e.name, count(*), min(e.id), max(e.id) FROM async_events e"                                          \
      " LEFT JOIN async_leftovers l ON l.name = e.name WHERE l.last_id IS NULL OR e.id > l.last_id"                \
      " GROUP BY e.name ORDER BY e.name")                                                                          \
    X(async_events_last, "SELECT max(id) FROM async_events WHERE name = $1")                                       \
    X(async_events_some, "SELECT id, CAST(length(payload) AS BIGINT) FROM async_events WHERE name = $1 AND id <= " \
                         "$2 ORDER BY id LIMIT $3")                                                                \
    X(async_events_delete_some, "DELETE FROM async_events WHERE name = $1 AND id <= $2")                           \
    X(async_leftovers_put, "INSERT INTO async_leftovers (name, last_id) VALUES ($1, $2)"                           \
                           " ON CONFLICT (name) DO UPDATE SET last_id = excluded.last_id")                         \
    X(async_leftovers_all, "SELECT name, last_id FROM async_leftovers ORDER BY name")                              \
    X(async_leftovers_first, "SELECT name, last_id FROM async_leftovers ORDER BY name LIMIT 1")                    \
    X(async_leftovers_delete, "DELETE FROM async_leftovers WHERE name = $1")
ASYNC_EVENTS_STATEMENTS(STATEMENT_DEFINE)
const char *const async_events_statements[] = { ASYNC_EVENTS_STATEMENTS(STATEMENT_LIST) NULL };

/* ---- writing ---- */

struct event_job {
    struct async_event_row row; /* its slices are borrowed from the caller */
    store_done_fn *done;
    void *arg;
};

static struct event_job *event_job_new(const struct async_event_row *row, store_done_fn *done, void *arg)
{
    struct event_job *job = memory_new(sizeof(*job));
    job->row = *row;
    job->done = done;
    job->arg = arg;
    return job;
}

static void event_job_done(enum outcome outcome, const struct error *err, void *arg)
{
    struct event_job *job = arg;
    job->done(outcome, err, job->arg);
    free(job);
}

static enum outcome event_insert_job(struct store_tx *tx, void *arg, struct error *err)
{
    const struct async_event_row *row = &((struct event_job *)arg)->row;
    struct store_stmt *stmt;
    TRY(store_sql(tx, sql_async_event_insert, &stmt, err));
    store_bind_int(stmt, 1, row->id);
    store_bind_text(stmt, 2, row->name);
    store_bind_text(stmt, 3, row->qualifier);
    store_bind_text(stmt, 4, row->request_id);
    store_bind_bytes(stmt, 5, row->trace);
    store_bind_bytes(stmt, 6, row->client_context);
    store_bind_bytes(stmt, 7, row->payload);
    store_bind_int(stmt, 8, row->received_ms);
    store_bind_int(stmt, 9, row->attempts);
    return store_run(stmt, NULL, err);
}

static enum outcome event_attempt_job(struct store_tx *tx, void *arg, struct error *err)
{
    const struct async_event_row *row = &((struct event_job *)arg)->row;
    struct store_stmt *stmt;
    TRY(store_sql(tx, sql_async_event_attempt, &stmt, err));
    store_bind_int(stmt, 1, row->id);
    store_bind_int(stmt, 2, row->attempts);
    return store_run(stmt, NULL, err);
}

static enum outcome event_delete_job(struct store_tx *tx, void *arg, struct error *err)
{
    const struct async_event_row *row = &((struct event_job *)arg)->row;
    struct store_stmt *stmt;
    TRY(store_sql(tx, sql_async_event_delete, &stmt, err));
    store_bind_int(stmt, 1, row->id);
    return store_run(stmt, NULL, err);
}

void store_async_event_add(struct store *store, const struct async_event_row *row, store_done_fn *done, void *arg)
{
    store_write(store, event_insert_job, event_job_done, event_job_new(row, done, arg));
}

void store_async_event_attempt(struct store *store, int64_t id, int64_t attempts, store_done_fn *done, void *arg)
{
    struct async_event_row row = { .id = id, .attempts = attempts };
    store_write(store, event_attempt_job, event_job_done, event_job_new(&row, done, arg));
}

void store_async_event_delete(struct store *store, int64_t id, store_done_fn *done, void *arg)
{
    struct async_event_row row = { .id = id };
    store_write(store, event_delete_job, event_job_done, event_job_new(&row, done, arg));
}

/* ---- reading a page ---- */

struct page_row {
    struct page_row *next;
    struct async_event_row row; /* into `texts` and `payload` */
    struct buffer texts, payload;
};

struct page_job {
    char *name;
    int64_t after, last;
    size_t max, bytes_max;
    struct page_row *rows; /* made on the reader's thread, given out on the loop's */
    store_async_event_each_fn *each;
    store_done_fn *done;
    void *arg;
};

static void page_rows_free(struct page_row *rows)
{
    while (rows != NULL) {
        struct page_row *next = rows->next;
        buffer_drop(&rows->texts);
        buffer_drop(&rows->payload);
        free(rows);
        rows = next;
    }
}

/* Room for all texts is made first, so that the slices into it stay right. */
static struct slice page_copy(struct page_row *row, struct slice from)
{
    size_t at = row->texts.len;
    buffer_append_slice(&row->texts, from);
    return slice_from(row->texts.at + at, from.len);
}

static struct page_row *page_row_read(struct store_stmt *stmt, const struct page_job *job)
{
    struct page_row *row = memory_new(sizeof(*row));
    struct slice qualifier = store_bytes(stmt, 1), request_id = store_bytes(stmt, 2), trace = store_bytes(stmt, 3),
                 context = store_bytes(stmt, 4);
    buffer_reserve(&row->texts, qualifier.len + request_id.len + trace.len + context.len + 1);
    row->row = (struct async_event_row){
        .id = store_int(stmt, 0),
        .name = slice_of(job->name),
        .qualifier = page_copy(row, qualifier),
        .request_id = page_copy(row, request_id),
        .trace = page_copy(row, trace),
        .client_context = page_copy(row, context),
        .received_ms = store_int(stmt, 6),
        .attempts = store_int(stmt, 7),
    };
    buffer_append_slice(&row->payload, store_bytes(stmt, 5));
    row->row.payload = buffer_slice(&row->payload);
    return row;
}

static enum outcome page_job(struct store_tx *tx, void *arg, struct error *err)
{
    struct page_job *job = arg;
    struct store_stmt *stmt;
    size_t bytes = 0;
    bool more;
    page_rows_free(job->rows);
    job->rows = NULL;
    struct page_row **end = &job->rows;
    TRY(store_sql(tx, sql_async_events_page, &stmt, err));
    store_bind_text(stmt, 1, slice_of(job->name));
    store_bind_int(stmt, 2, job->after);
    store_bind_int(stmt, 3, job->last);
    store_bind_int(stmt, 4, (int64_t)job->max);
    TRY(store_step(stmt, &more, err));
    while (more) {
        *end = page_row_read(stmt, job);
        bytes += (*end)->payload.len;
        end = &(*end)->next;
        if (bytes >= job->bytes_max)
            break;
        TRY(store_step(stmt, &more, err));
    }
    return OK;
}

static void page_done(enum outcome outcome, const struct error *err, void *arg)
{
    struct page_job *job = arg;
    for (struct page_row *row = outcome == OK ? job->rows : NULL; row != NULL; row = row->next)
        job->each(&row->row, &row->payload, job->arg);
    job->done(outcome, err, job->arg);
    page_rows_free(job->rows);
    free(job->name);
    free(job);
}

void store_async_events_read(struct store *store, struct slice name, int64_t after, int64_t last, size_t max,
                             size_t bytes_max, store_async_event_each_fn *each, store_done_fn *done, void *arg)
{
    struct page_job *job = memory_new(sizeof(*job));
    job->name = slice_dup(name);
    job->after = after;
    job->last = last;
    job->max = max;
    job->bytes_max = bytes_max;
    job->each = each;
    job->done = done;
    job->arg = arg;
    store_read(store, page_job, page_done, job);
}

/* ---- at start ---- */

struct summary_job {
    store_async_events_each_fn *each;
    void *arg;
};

static enum outcome summary_job(struct store_tx *tx, void *arg, struct error *err)
{
    const struct summary_job *job = arg;
    struct store_stmt *stmt;
    bool more;
    TRY(store_sql(tx, sql_async_leftovers_all, &stmt, err));
    TRY(store_step(stmt, &more, err));
    while (more) {
        TRY(job->each(store_bytes(stmt, 0), 0, 0, store_int(stmt, 1), job->arg, err));
        TRY(store_step(stmt, &more, err));
    }
    TRY(store_sql(tx, sql_async_events_summary, &stmt, err));
    TRY(store_step(stmt, &more, err));
    while (more) {
        TRY(job->each(store_bytes(stmt, 0), store_int(stmt, 1), store_int(stmt, 2), store_int(stmt, 3), job->arg,
                      err));
        TRY(store_step(stmt, &more, err));
    }
    return OK;
}

enum outcome store_async_events_summary(struct store *store, store_async_events_each_fn *each, void *arg,
                                        struct error *err)
{
    struct summary_job job = { .each = each, .arg = arg };
    return store_now(store, summary_job, &job, err);
}

/* ---- what deleted functions leave ---- */

enum { SWEEP_EVENTS = 256, SWEEP_BYTES = 4 * 1024 * 1024 }; /* in one job: it must not hold up the others */

/* The oldest ones up to `last`; *left: there are more of these. */
static enum outcome delete_some(struct store_tx *tx, struct slice name, int64_t last, bool *left, struct error *err)
{
    struct store_stmt *stmt;
    int64_t to = 0, bytes = 0;
    size_t count = 0;
    bool more;
    TRY(store_sql(tx, sql_async_events_some, &stmt, err));
    store_bind_text(stmt, 1, name);
    store_bind_int(stmt, 2, last);
    store_bind_int(stmt, 3, SWEEP_EVENTS + 1);
    TRY(store_step(stmt, &more, err));
    for (; more && count < SWEEP_EVENTS && bytes < SWEEP_BYTES; count++) {
        to = store_int(stmt, 0);
        bytes += store_int(stmt, 1);
        TRY(store_step(stmt, &more, err));
    }
    *left = more;
    TRY(store_sql(tx, sql_async_events_delete_some, &stmt, err));
    store_bind_text(stmt, 1, name);
    store_bind_int(stmt, 2, to);
    return store_run(stmt, NULL, err);
}

enum outcome async_events_leave(struct store_tx *tx, struct slice name, struct error *err)
{
    struct store_stmt *stmt;
    bool left = false, row;
    TRY(delete_some(tx, name, INT64_MAX, &left, err));
    if (!left)
        return OK;
    TRY(store_sql(tx, sql_async_events_last, &stmt, err));
    store_bind_text(stmt, 1, name);
    TRY(store_step(stmt, &row, err));
    int64_t last = store_int(stmt, 0);
    TRY(store_sql(tx, sql_async_leftovers_put, &stmt, err));
    store_bind_text(stmt, 1, name);
    store_bind_int(stmt, 2, last);
    return store_run(stmt, NULL, err);
}

struct sweep_job {
    bool *left;
    store_done_fn *done;
    void *arg;
};

/* The mark goes with the last of what it hides, in one transaction: an id that is given later may be smaller than one that was hidden, but never
 * while the mark is there. */
static enum outcome sweep_job(struct store_tx *tx, void *arg, struct error *err)
{
    const struct sweep_job *job = arg;
    struct store_stmt *stmt;
    AUTO(buffer)
    struct buffer name = BUFFER_EMPTY;
    TRY(store_sql(tx, sql_async_leftovers_first, &stmt, err));
    TRY(store_step(stmt, job->left, err));
    if (!*job->left)
        return OK;
    bool more = false;
    int64_t last = store_int(stmt, 1);
    buffer_append_slice(&name, store_bytes(stmt, 0));
    TRY(delete_some(tx, buffer_slice(&name), last, &more, err));
    if (more)
        return OK;
    TRY(store_sql(tx, sql_async_leftovers_delete, &stmt, err));
    store_bind_text(stmt, 1, buffer_slice(&name));
    TRY(store_run(stmt, NULL, err));
    TRY(store_sql(tx, sql_async_leftovers_first, &stmt, err));
    return store_step(stmt, job->left, err);
}

static void sweep_done(enum outcome outcome, const struct error *err, void *arg)
{
    struct sweep_job *job = arg;
    job->done(outcome, err, job->arg);
    free(job);
}

void store_async_events_sweep(struct store *store, bool *left, store_done_fn *done, void *arg)
{
    struct sweep_job *job = memory_new(sizeof(*job));
    *job = (struct sweep_job){ .left = left, .done = done, .arg = arg };
    store_write(store, sweep_job, sweep_done, job);
}
