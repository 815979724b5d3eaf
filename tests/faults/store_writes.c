/* See store_writes.h. */
#include "store_writes.h"

static enum outcome run_text(struct store_tx *tx, const char *sql, struct error *err)
{
    struct store_stmt *stmt;
    TRY(store_sql(tx, sql, &stmt, err));
    return store_run(stmt, NULL, err);
}

static enum outcome job_prepare(struct store_tx *tx, void *arg, struct error *err)
{
    (void)arg;
    TRY(run_text(tx, "CREATE TABLE IF NOT EXISTS left_rows (id BIGINT PRIMARY KEY, body BLOB)", err));
    return run_text(tx, "CREATE TABLE IF NOT EXISTS right_rows (id BIGINT PRIMARY KEY, body BLOB)", err);
}

enum outcome writes_prepare(struct store *store, struct error *err)
{
    return store_now(store, job_prepare, NULL, err);
}

static enum outcome put(struct store_tx *tx, const char *sql, const struct pair *pair, struct error *err)
{
    struct store_stmt *stmt;
    TRY(store_sql(tx, sql, &stmt, err));
    store_bind_int(stmt, 1, pair->id);
    store_bind_bytes(stmt, 2, pair->body);
    return store_run(stmt, NULL, err);
}

enum outcome writes_put_pair(struct store_tx *tx, void *arg, struct error *err)
{
    TRY(put(tx, "INSERT INTO left_rows (id, body) VALUES ($1, $2)", arg, err));
    return put(tx, "INSERT INTO right_rows (id, body) VALUES ($1, $2)", arg, err);
}

enum outcome writes_drop_all(struct store_tx *tx, void *arg, struct error *err)
{
    (void)arg;
    TRY(run_text(tx, "DELETE FROM left_rows", err));
    return run_text(tx, "DELETE FROM right_rows", err);
}

static enum outcome one_number(struct store_tx *tx, const char *sql, int64_t *out, struct error *err)
{
    struct store_stmt *stmt;
    bool row;
    TRY(store_sql(tx, sql, &stmt, err));
    TRY(store_step(stmt, &row, err));
    *out = store_int(stmt, 0);
    return OK;
}

enum outcome writes_tally(struct store_tx *tx, void *arg, struct error *err)
{
    struct tally *tally = arg;
    TRY(one_number(tx, "SELECT coalesce(max(id), 0) FROM left_rows", &tally->newest, err));
    TRY(one_number(tx, "SELECT count(*) FROM left_rows", &tally->count, err));
    return one_number(
        tx,
        "SELECT (SELECT count(*) FROM left_rows l WHERE NOT EXISTS (SELECT 1 FROM right_rows r"
        " WHERE r.id = l.id AND r.body = l.body)) + (SELECT count(*) FROM right_rows r WHERE NOT EXISTS"
        " (SELECT 1 FROM left_rows l WHERE r.id = l.id AND r.body = l.body))",
        &tally->halves, err);
}

enum outcome writes_check(struct store_tx *tx, void *arg, struct error *err)
{
    (void)arg;
    struct store_stmt *stmt;
    bool row;
    TRY(store_sql(tx, "PRAGMA integrity_check", &stmt, err));
    TRY(store_step(stmt, &row, err));
    if (!slice_is(store_bytes(stmt, 0), "ok"))
        return error_set(err, ERROR_INTERNAL, "None.", "integrity: %.*s", SLICE_PRINT(store_bytes(stmt, 0)));
    return OK;
}
