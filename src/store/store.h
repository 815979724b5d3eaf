/* store: what Hearth must not forget. SQL stays inside this room and in the jobs that other files of it define.
 * Callers: engine, auth (through server), later events and services, by the typed doors (store/functions.h, ...).
 * Thread:  submitted and answered on the loop thread; jobs run on the store's own threads.
 * Promise: when `done` of a write reports success the change is on disk (fsync) and survives power loss.
 *          All writes that wait are run each in its own savepoint inside one transaction, committed once, then answered.
 *          A commit whose result is unknown is ERROR_UNKNOWN, never "not done"; a full disk is ERROR_DISK_FULL and the server goes on. */
#pragma once

#include <uv.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

enum {
    STORE_READERS = 2,         /* reader threads, each with a connection of its own */
    STORE_BATCH_MAX = 256,     /* write jobs in one transaction */
    STORE_QUEUE_MAX = 100000,  /* waiting jobs; above: ERROR_THROTTLED */
    STORE_PARAMETERS_MAX = 32, /* $1..$32 in one statement */
    STORE_CACHE_KB = 1024,     /* pages kept in memory, a connection */
    STORE_BUSY_MS = 10 * 1000, /* how long a statement waits for a lock of our own checkpoint before it fails */
    STORE_WAL_KEPT_BYTES = 16 * 1024 * 1024, /* what a burst leaves of the log file after its checkpoint */
};

struct store;
struct store_tx; /* what a job works on; valid inside the job alone */

/* A job. It runs on a store thread: it touches nothing but the tx and its argument, contains all of its own checks, and may be run again
 * (a full disk rolls back the whole batch): so it sets its outputs anew each time and has no effect outside the tx.
 * FAILED rolls back its own savepoint only. */
typedef enum outcome store_job_fn(struct store_tx *tx, void *arg, struct error *err);
typedef void store_done_fn(enum outcome outcome, const struct error *err, void *arg);

/* Opens or makes `file` ("hearth.db") inside the open directory `dir`, without needing rights on its parents; runs the
 * migrations; refuses a newer schema, and a second opener of the same file (a lock on FILE.lock beside it). Blocking: at start only.
 * `dir` is duplicated. The working directory is neither used nor changed.
 *   err  ERROR_CONFLICT     another process (or store) holds the file
 *        ERROR_UNSUPPORTED  a newer Hearth wrote it
 *        ERROR_INVALID      it is not Hearth's
 *        ERROR_DISK_FULL, ERROR_INTERNAL */
MUST_CHECK enum outcome store_open(uv_loop_t *loop, int dir, const char *file, struct store **out,
                                   struct error *err);
/* Runs what waits, refuses what comes later (ERROR_UNAVAILABLE), checkpoints, joins the threads, calls `done` on the loop; the store is freed then. */
void store_close(struct store *store, void (*done)(void *arg), void *arg);

/* A job that waits keeps the loop alive; a store without work neither does nor wakes it. Writes are answered in the order of their commits. */
void store_read(struct store *store, store_job_fn *job, store_done_fn *done, void *arg);
void store_write(struct store *store, store_job_fn *job, store_done_fn *done, void *arg);
/* At start only, before the loop runs: does the job at once on the calling thread. */
MUST_CHECK enum outcome store_now(struct store *store, store_job_fn *job, void *arg, struct error *err);

/* ---- inside a job: statements, prepared once a connection, parameters $1.. by number on every engine ---- */
struct store_stmt; /* belongs to the tx; reset by the next store_sql of the same text or the job's end */
/* `sql` is a string literal: it is its own cache key. */
MUST_CHECK enum outcome store_sql(struct store_tx *tx, const char *sql, struct store_stmt **out, struct error *err);
void store_bind_int(struct store_stmt *stmt, int index, int64_t value); /* BIGINT */
void store_bind_text(struct store_stmt *stmt, int index,
                     struct slice value); /* what we made ourselves; borrowed until the statement is reset */
void store_bind_bytes(struct store_stmt *stmt, int index, struct slice value); /* whatever a stranger wrote */
void store_bind_null(struct store_stmt *stmt, int index);
/* Steps: *row says whether there is one. */
MUST_CHECK enum outcome store_step(struct store_stmt *stmt, bool *row, struct error *err);
/* Runs to the end; *changed (NULL allowed) gets the rows that an INSERT, UPDATE or DELETE changed. */
MUST_CHECK enum outcome store_run(struct store_stmt *stmt, int64_t *changed, struct error *err);
int64_t store_int(struct store_stmt *stmt, int column);        /* columns count from 0 */
struct slice store_bytes(struct store_stmt *stmt, int column); /* text or bytes; valid until the next step */
bool store_is_null(struct store_stmt *stmt, int column);
