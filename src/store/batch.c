/* Many jobs, one commit.
 *
 * Invariants:
 *   1. A job says OK only after a commit that contains its savepoint has succeeded.
 *   2. A failed job leaves nothing: its savepoint is rolled back, or the transaction that held it.
 *   3. When SQLite has rolled the whole transaction back by itself (disk full, I/O error: sqlite3_get_autocommit tells), or the commit
 *      surely did not happen, every job of the batch is run again alone: one that is too big for the disk must not fail its
 *      neighbours, and on a disk that is really full each gets its own clear answer.
 *   4. When nobody can know whether a commit happened, its jobs say ERROR_UNKNOWN and are not run again. */
#include <stdlib.h>

#include "base/memory.h"
#include "store/batch.h"

enum batch_result {
    BATCH_COMMITTED,
    BATCH_ROLLED_BACK, /* nothing of it is there; `err` says why */
    BATCH_UNKNOWN,
};

struct job *job_new(store_job_fn *run, store_done_fn *done, void *arg)
{
    struct job *job = memory_new(sizeof(*job));
    job->run = run;
    job->done = done;
    job->arg = arg;
    return job;
}

void job_free(struct job *job)
{
    if (!job)
        return;
    free(job->err);
    free(job);
}

void job_fail(struct job *job, const struct error *err)
{
    if (!job->err)
        job->err = memory_new(sizeof(*job->err));
    *job->err = *err;
    job->outcome = FAILED;
}

/* Runs one job inside the open transaction. FAILED: the transaction is lost; the job's own failure is in the job. */
static enum outcome batch_run_job(struct store_tx *tx, struct job *job, struct error *err)
{
    struct error why = { 0 };
    job->outcome = OK;
    TRY(connection_savepoint(tx, err));
    if (job->run(tx, job->arg, &why) != OK)
        job_fail(job, &why);
    if (tx->gone) { /* whatever the job made of it */
        if (job->outcome == OK)
            error_set(&why, ERROR_UNAVAILABLE, "Try again.",
                      "the transaction was rolled back by an earlier failure");
        *err = why;
        return FAILED;
    }
    return connection_savepoint_end(tx, job->outcome == OK, err);
}

/* The jobs from `first` on, up to `last` (excluded), in one transaction. */
static enum batch_result batch_try(struct connection *c, struct job *first, const struct job *last,
                                   struct error *err)
{
    struct store_tx tx;
    if (connection_begin(c, &tx, err) != OK)
        return BATCH_ROLLED_BACK;
    for (struct job *job = first; job != last; job = job->next) {
        if (batch_run_job(&tx, job, err) != OK) {
            connection_rollback(&tx);
            return BATCH_ROLLED_BACK;
        }
    }
    switch (connection_commit(&tx, err)) {
    case COMMIT_DONE:
        return BATCH_COMMITTED;
    case COMMIT_NOT_DONE:
        return BATCH_ROLLED_BACK;
    case COMMIT_UNKNOWN:
        break;
    }
    return BATCH_UNKNOWN;
}

/* Jobs that failed by themselves keep their own error: that they had no effect is known. */
static void batch_fail(struct job *first, const struct job *last, const struct error *err)
{
    for (struct job *job = first; job != last; job = job->next) {
        if (job->outcome == OK)
            job_fail(job, err);
    }
}

void batch_write(struct connection *c, struct job *jobs)
{
    struct error err = { 0 };
    enum batch_result result = batch_try(c, jobs, NULL, &err);
    if (result == BATCH_COMMITTED)
        return;
    if (result == BATCH_UNKNOWN) {
        batch_fail(jobs, NULL, &err);
        return;
    }
    bool alone_already = jobs->next == NULL;
    for (struct job *job = jobs; job; job = job->next) {
        if (!alone_already) {
            err = (struct error){ 0 };
            result = batch_try(c, job, job->next, &err);
        }
        if (result != BATCH_COMMITTED)
            job_fail(job, &err);
    }
}

void batch_read(struct connection *c, struct job *job)
{
    struct store_tx tx;
    struct error err = { 0 };
    if (connection_begin(c, &tx, &err) != OK) {
        job_fail(job, &err);
        return;
    }
    job->outcome = job->run(&tx, job->arg, &err);
    if (job->outcome != OK)
        job_fail(job, &err);
    connection_rollback(&tx);
}
