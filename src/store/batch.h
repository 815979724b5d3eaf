/* store/batch: jobs and how they are run: each in its own savepoint, one commit for all. For this room alone.
 * Thread: the one that owns the connection. */
#pragma once

#include "store/sqlite.h"

struct job {
    struct job *next;
    store_job_fn *run;
    store_done_fn *done;
    void *arg;
    enum outcome outcome;
    struct error *err; /* owned; NULL while it has not failed */
};

struct job *job_new(store_job_fn *run, store_done_fn *done, void *arg);
void job_free(struct job *job);
void job_fail(struct job *job, const struct error *err); /* copies */

/* Runs `jobs` (a list of up to STORE_BATCH_MAX) and fills in their outcomes; when it returns, what says OK is on disk. */
void batch_write(struct connection *c, struct job *jobs);
/* One job that only reads, in a snapshot of its own. */
void batch_read(struct connection *c, struct job *job);
