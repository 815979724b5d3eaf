/* store/sqlite: the embedded engine: a connection, its statements and its errors. For this room alone.
 * Thread: a connection and what hangs on it belongs to one thread at a time. */
#pragma once

#include <sqlite3.h>

#include "store/store.h"

/* SQLite resolves names to full paths (getcwd, lstat of each parent) and opens those; the server may not traverse the parents of its data
 * directory once it has dropped its rights. So SQLite gets a name that says which open directory is meant, "/.hearth-directory/FD/FILE",
 * and the calls that take paths are replaced by those of the openat family for such names. Other names are left as they are. */
enum { SQLITE_NAME_BYTES = 128 };
MUST_CHECK enum outcome sqlite_name(int dir, const char *file, char out[SQLITE_NAME_BYTES], struct error *err);

struct connection;
enum connection_use { CONNECTION_WRITES, CONNECTION_READS };
/* The writer's comes first: it makes the file and turns WAL on. `dir` stays open as long as the connection. */
MUST_CHECK enum outcome connection_open(int dir, const char *file, enum connection_use use, struct connection **out,
                                        struct error *err);
void connection_free(struct connection *c); /* NULL allowed */
/* Moves the whole log into the database file and empties it. Failing is harmless: the log is read at the next start. */
void connection_checkpoint(struct connection *c);

/* One transaction. The writer's is BEGIN IMMEDIATE, a reader's sees one snapshot. */
struct store_tx {
    struct connection *connection;
    /* SQLite has rolled back the whole transaction by itself (disk full, I/O error): what follows would run, and commit, each
     * statement for itself, so everything is refused until connection_rollback. */
    bool gone;
};
enum commit_result { COMMIT_DONE, COMMIT_NOT_DONE, COMMIT_UNKNOWN };
MUST_CHECK enum outcome connection_begin(struct connection *c, struct store_tx *tx, struct error *err);
enum commit_result connection_commit(struct store_tx *tx, struct error *err);
void connection_rollback(struct store_tx *tx); /* also when it is gone */
/* A job's own part of the transaction. When savepoint_end fails the whole transaction must be rolled back. */
MUST_CHECK enum outcome connection_savepoint(struct store_tx *tx, struct error *err);
MUST_CHECK enum outcome connection_savepoint_end(struct store_tx *tx, bool keep, struct error *err);
void connection_reset_statements(struct connection *c); /* at a job's end: what it bound is borrowed */
/* A statement that is run once (DDL). */
MUST_CHECK enum outcome connection_run_text(struct store_tx *tx, const char *sql, struct error *err);
