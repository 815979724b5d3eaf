/* One connection to SQLite: opened for power loss, its statements prepared once, its failures told apart.
 *
 * What a failed COMMIT means in WAL mode. The pages go to the log, the one that carries the commit mark last, then comes the fsync, then the
 * shared index. A write that failed (SQLITE_FULL, SQLITE_IOERR_WRITE) never wrote that last page whole: not done, and the next
 * commit writes over it. Everything later (fsync, the index) failed with the mark possibly on disk: a crash right now would bring it back.
 * That is "unknown". Padding after the commit mark, which would blur this, is off: SQLite assumes powersafe overwrite by default. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#include "base/memory.h"
#include "store/sqlite.h"

struct store_stmt {
    const char *sql; /* the key: a literal's address */
    sqlite3_stmt *handle;
    struct connection *connection;
    int bind_result; /* the first failed bind (out of memory, too big): told by the next step */
    uint8_t positions[STORE_PARAMETERS_MAX + 1]; /* SQLite numbers "$2" by first appearance: where $n really is */
    bool used;                                   /* in connection->used */
    struct store_stmt *next_used;
    UT_hash_handle hh;
};

struct connection {
    sqlite3 *db;
    enum connection_use use;
    struct store_tx *tx;           /* the one that runs, NULL between */
    struct store_stmt *statements; /* uthash, by address of the literal */
    struct store_stmt *used;       /* to be reset at the job's end */
};

static const char sql_begin_write[] = "BEGIN IMMEDIATE";
static const char sql_begin_read[] = "BEGIN";
static const char sql_commit[] = "COMMIT";
static const char sql_rollback[] = "ROLLBACK";
static const char sql_savepoint[] = "SAVEPOINT job";
static const char sql_savepoint_undo[] = "ROLLBACK TO job";
static const char sql_savepoint_release[] = "RELEASE job";

static enum outcome connection_error(struct connection *c, int result, const char *what, struct error *err)
{
    int sys = c->db ? sqlite3_system_errno(c->db) : 0;
    const char *why = c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(result);
    bool full =
        (result & 0xff) == SQLITE_FULL || ((result & 0xff) == SQLITE_IOERR && (sys == ENOSPC || sys == EDQUOT));
    enum error_kind kind = ERROR_INTERNAL;
    const char *hint = "See the message; if it names the disk, check that first.";
    if (full) {
        kind = ERROR_DISK_FULL;
        hint = "Free space on the disk that holds the data directory; Hearth goes on by itself then.";
    } else {
        switch (result & 0xff) {
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            kind = ERROR_UNAVAILABLE;
            hint = "Another program holds the database: end it, then try again.";
            break;
        case SQLITE_CONSTRAINT:
            kind = ERROR_CONFLICT;
            hint = "Read what is there now, then try again.";
            break;
        case SQLITE_TOOBIG:
            kind = ERROR_TOO_LARGE;
            hint = "Store less in one piece.";
            break;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            hint = "Restore the data directory from a backup.";
            break;
        case SQLITE_IOERR:
            hint = "Check the disk that holds the data directory.";
            break;
        case SQLITE_READONLY:
        case SQLITE_CANTOPEN:
        case SQLITE_PERM:
        case SQLITE_AUTH:
            hint = "Check who owns the data directory and what is in it.";
            break;
        default:
            break;
        }
    }
    error_set(err, kind, hint, "could not %s: %s%s%s", what, full ? "the disk is full" : why,
              sys && !full ? ": " : "", sys && !full ? strerror(sys) : "");
    if (err)
        err->sys = full ? ENOSPC : sys;
    return FAILED;
}

static enum outcome connection_pragma(struct connection *c, const char *sql, const char *expected,
                                      struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(c->db, sql, -1, &statement, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_step(statement);
    bool as_expected =
        !expected || (result == SQLITE_ROW && !strcmp((const char *)sqlite3_column_text(statement, 0), expected));
    int end = sqlite3_finalize(statement);
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        return connection_error(c, end ? end : result, "set up the database (hearth.db in the data directory)",
                                err);
    if (!as_expected)
        return error_set(err, ERROR_UNSUPPORTED, "Put the data directory on a local file system.",
                         "the database cannot be used with a write-ahead log here (\"%s\")", sql);
    return OK;
}

static enum outcome connection_set_up(struct connection *c, struct error *err)
{
    char cache[64], log[64];
    snprintf(cache, sizeof(cache), "PRAGMA cache_size=-%d", STORE_CACHE_KB);
    snprintf(log, sizeof(log), "PRAGMA journal_size_limit=%d", STORE_WAL_KEPT_BYTES);
    sqlite3_busy_timeout(c->db, STORE_BUSY_MS);
    /* Even a database that somebody tampered with must not make SQLite do more than hold tables. */
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    TRY(connection_pragma(c, "PRAGMA trusted_schema=OFF", NULL, err));
    TRY(connection_pragma(c, "PRAGMA temp_store=MEMORY", NULL, err)); /* no files outside the data directory */
    TRY(connection_pragma(c, cache, NULL, err));
    if (c->use == CONNECTION_READS)
        return connection_pragma(c, "PRAGMA query_only=ON", NULL, err);
    TRY(connection_pragma(c, "PRAGMA journal_mode=WAL", "wal", err));
    TRY(connection_pragma(c, "PRAGMA synchronous=FULL", NULL, err)); /* an fsync of the log at each commit */
    return connection_pragma(c, log, NULL, err);
}

enum outcome connection_open(int dir, const char *file, enum connection_use use, struct connection **out,
                             struct error *err)
{
    char name[SQLITE_NAME_BYTES];
    TRY(sqlite_name(dir, file, name, err));
    struct connection *c = memory_new(sizeof(*c));
    c->use = use;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE |
                (use == CONNECTION_WRITES ? SQLITE_OPEN_CREATE : 0);
    int result = sqlite3_open_v2(name, &c->db, flags, "unix");
    if (result != SQLITE_OK) {
        connection_error(c, result, "open the database", err);
        connection_free(c);
        return FAILED;
    }
    if (connection_set_up(c, err) != OK) {
        connection_free(c);
        return FAILED;
    }
    *out = c;
    return OK;
}

void connection_free(struct connection *c)
{
    if (!c)
        return;
    struct store_stmt *stmt, *next;
    HASH_ITER (hh, c->statements, stmt, next) {
        HASH_DEL(c->statements, stmt);
        sqlite3_finalize(stmt->handle);
        free(stmt);
    }
    sqlite3_close(c->db);
    free(c);
}

void connection_checkpoint(struct connection *c)
{
    sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

/* ---- statements ---- */

static enum outcome statement_check(struct store_stmt *stmt, struct error *err)
{
    int count = sqlite3_bind_parameter_count(stmt->handle);
    for (int i = 1; i <= count; i++) {
        const char *name = sqlite3_bind_parameter_name(stmt->handle, i);
        uint64_t number = 0;
        if (!name || name[0] != '$' || !slice_to_u64(slice_of(name + 1), STORE_PARAMETERS_MAX, &number) ||
            number == 0)
            return error_set(err, ERROR_INTERNAL, "Report this: it is a bug.",
                             "a parameter is not $1..$%d in \"%s\"", STORE_PARAMETERS_MAX, stmt->sql);
        stmt->positions[number] = (uint8_t)i;
    }
    return OK;
}

static enum outcome statement_find(struct connection *c, const char *sql, struct store_stmt **out,
                                   struct error *err)
{
    struct store_stmt *stmt = NULL;
    HASH_FIND_PTR(c->statements, &sql, stmt);
    if (stmt) {
        *out = stmt;
        return OK;
    }
    stmt = memory_new(sizeof(*stmt));
    stmt->sql = sql;
    stmt->connection = c;
    int result = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt->handle, NULL);
    if (result != SQLITE_OK)
        connection_error(c, result, "prepare a statement", err);
    if (result != SQLITE_OK || statement_check(stmt, err) != OK) {
        sqlite3_finalize(stmt->handle);
        free(stmt);
        return FAILED;
    }
    HASH_ADD_PTR(c->statements, sql, stmt);
    *out = stmt;
    return OK;
}

static enum outcome tx_refuse_gone(struct store_tx *tx, struct error *err)
{
    if (!tx->gone)
        return OK;
    return error_set(err, ERROR_UNAVAILABLE, "Try again.", "the transaction was rolled back by an earlier failure");
}

enum outcome store_sql(struct store_tx *tx, const char *sql, struct store_stmt **out, struct error *err)
{
    struct connection *c = tx->connection;
    struct store_stmt *stmt;
    TRY(tx_refuse_gone(tx, err));
    TRY(statement_find(c, sql, &stmt, err));
    if (stmt->used) {
        sqlite3_reset(stmt->handle);
        sqlite3_clear_bindings(stmt->handle);
    } else {
        stmt->used = true;
        stmt->next_used = c->used;
        c->used = stmt;
    }
    stmt->bind_result = SQLITE_OK;
    *out = stmt;
    return OK;
}

void connection_reset_statements(struct connection *c)
{
    while (c->used) {
        struct store_stmt *stmt = c->used;
        c->used = stmt->next_used;
        stmt->used = false;
        sqlite3_reset(stmt->handle);
        sqlite3_clear_bindings(stmt->handle);
    }
}

static int statement_position(const struct store_stmt *stmt, int index)
{
    assert(index >= 1 && index <= STORE_PARAMETERS_MAX);
    assert(stmt->positions[index] != 0);
    return stmt->positions[index];
}

static void statement_bound(struct store_stmt *stmt, int result)
{
    if (stmt->bind_result == SQLITE_OK)
        stmt->bind_result = result;
}

void store_bind_int(struct store_stmt *stmt, int index, int64_t value)
{
    statement_bound(stmt, sqlite3_bind_int64(stmt->handle, statement_position(stmt, index), value));
}

/* An empty slice may have no address; SQLite would take that for NULL. */
void store_bind_text(struct store_stmt *stmt, int index, struct slice value)
{
    statement_bound(stmt, sqlite3_bind_text64(stmt->handle, statement_position(stmt, index),
                                              value.at ? value.at : "", value.len, SQLITE_STATIC, SQLITE_UTF8));
}

void store_bind_bytes(struct store_stmt *stmt, int index, struct slice value)
{
    statement_bound(stmt, sqlite3_bind_blob64(stmt->handle, statement_position(stmt, index),
                                              value.at ? value.at : "", value.len, SQLITE_STATIC));
}

void store_bind_null(struct store_stmt *stmt, int index)
{
    statement_bound(stmt, sqlite3_bind_null(stmt->handle, statement_position(stmt, index)));
}

enum outcome store_step(struct store_stmt *stmt, bool *row, struct error *err)
{
    struct connection *c = stmt->connection;
    TRY(tx_refuse_gone(c->tx, err));
    int result = stmt->bind_result != SQLITE_OK ? stmt->bind_result : sqlite3_step(stmt->handle);
    if (result == SQLITE_ROW || result == SQLITE_DONE) {
        *row = result == SQLITE_ROW;
        return OK;
    }
    connection_error(c, result, "run a statement", err);
    sqlite3_reset(stmt->handle);
    c->tx->gone = sqlite3_get_autocommit(c->db) != 0;
    return FAILED;
}

enum outcome store_run(struct store_stmt *stmt, int64_t *changed, struct error *err)
{
    bool row = true;
    while (row)
        TRY(store_step(stmt, &row, err));
    if (changed)
        *changed = sqlite3_changes64(stmt->connection->db);
    return OK;
}

int64_t store_int(struct store_stmt *stmt, int column)
{
    return sqlite3_column_int64(stmt->handle, column);
}

struct slice store_bytes(struct store_stmt *stmt, int column)
{
    const void *at = sqlite3_column_blob(stmt->handle, column);
    return at ? slice_from(at, (size_t)sqlite3_column_bytes(stmt->handle, column)) : SLICE_EMPTY;
}

bool store_is_null(struct store_stmt *stmt, int column)
{
    return sqlite3_column_type(stmt->handle, column) == SQLITE_NULL;
}

/* ---- transactions ---- */

/* The engine's own statements: no parameters, no rows. Returns SQLite's result. */
static int connection_do(struct connection *c, const char *sql, const char *what, struct error *err)
{
    struct store_stmt *stmt;
    if (statement_find(c, sql, &stmt, err) != OK)
        return SQLITE_ERROR;
    int result = sqlite3_step(stmt->handle);
    if (result != SQLITE_DONE)
        connection_error(c, result, what, err);
    sqlite3_reset(stmt->handle);
    return result;
}

enum outcome connection_begin(struct connection *c, struct store_tx *tx, struct error *err)
{
    assert(c->tx == NULL);
    const char *sql = c->use == CONNECTION_WRITES ? sql_begin_write : sql_begin_read;
    if (connection_do(c, sql, "begin a transaction", err) != SQLITE_DONE)
        return FAILED;
    *tx = (struct store_tx){ .connection = c };
    c->tx = tx;
    return OK;
}

enum commit_result connection_commit(struct store_tx *tx, struct error *err)
{
    struct connection *c = tx->connection;
    connection_reset_statements(c);
    int result = connection_do(c, sql_commit, "commit", err);
    if (result == SQLITE_DONE) {
        c->tx = NULL;
        return COMMIT_DONE;
    }
    connection_rollback(tx);
    bool not_done =
        (result & 0xff) == SQLITE_FULL || (result & 0xff) == SQLITE_BUSY || result == SQLITE_IOERR_WRITE;
    if (not_done)
        return COMMIT_NOT_DONE;
    if (err) {
        err->kind = ERROR_UNKNOWN;
        snprintf(err->hint, sizeof(err->hint),
                 "Look whether the change is there before you try again; check the disk.");
    }
    return COMMIT_UNKNOWN;
}

void connection_rollback(struct store_tx *tx)
{
    struct connection *c = tx->connection;
    connection_reset_statements(c);
    if (!sqlite3_get_autocommit(c->db))
        connection_do(c, sql_rollback, "roll back", NULL);
    c->tx = NULL;
}

enum outcome connection_savepoint(struct store_tx *tx, struct error *err)
{
    return connection_do(tx->connection, sql_savepoint, "begin a job", err) == SQLITE_DONE ? OK : FAILED;
}

enum outcome connection_savepoint_end(struct store_tx *tx, bool keep, struct error *err)
{
    struct connection *c = tx->connection;
    connection_reset_statements(c);
    if (!keep && connection_do(c, sql_savepoint_undo, "undo a job", err) != SQLITE_DONE)
        return FAILED;
    return connection_do(c, sql_savepoint_release, "end a job", err) == SQLITE_DONE ? OK : FAILED;
}

enum outcome connection_run_text(struct store_tx *tx, const char *sql, struct error *err)
{
    struct connection *c = tx->connection;
    int result = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
    if (result == SQLITE_OK)
        return OK;
    tx->gone = sqlite3_get_autocommit(c->db) != 0;
    return connection_error(c, result, "change the schema", err);
}
