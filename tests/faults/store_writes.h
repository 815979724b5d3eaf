/* faults/store_writes: what the store's fault tests write: two rows a job that must always agree. */
#pragma once

#include <inttypes.h>

#include "store/store.h"

/* Makes the tables left and right. */
MUST_CHECK enum outcome writes_prepare(struct store *store, struct error *err);

struct pair {
    int64_t id;
    struct slice body; /* borrowed until the job is done */
};
/* A job (arg: struct pair): the same row into both tables. */
enum outcome writes_put_pair(struct store_tx *tx, void *arg, struct error *err);
/* A job (arg: struct pair): takes both away. */
enum outcome writes_drop_all(struct store_tx *tx, void *arg, struct error *err);

struct tally {
    int64_t newest; /* 0: none */
    int64_t count;
    int64_t halves; /* rows without their like in the other table */
};
/* A job (arg: struct tally). */
enum outcome writes_tally(struct store_tx *tx, void *arg, struct error *err);
/* PRAGMA integrity_check says "ok". */
enum outcome writes_check(struct store_tx *tx, void *arg, struct error *err);
