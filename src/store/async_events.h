/* store/async_events: asynchronous invocations that were accepted and have not run to their end. Thread, promise: see store/store.h. */
#pragma once

#include "store/store.h"

struct async_event_row {
    int64_t
        id; /* ascending in order of acceptance; the caller's, who counts on from the last one of store_async_events_summary */
    struct slice name, qualifier, request_id; /* qualifier as the caller gave it; empty: none */
    struct slice trace, client_context, payload;
    int64_t received_ms;
    int64_t attempts; /* how often a run of it was begun */
};
/* All of `row` is borrowed until `done` has been called: a payload that is run at once is not copied. `done` when it is durable. */
void store_async_event_add(struct store *store, const struct async_event_row *row, store_done_fn *done, void *arg);
void store_async_event_attempt(struct store *store, int64_t id, int64_t attempts, store_done_fn *done, void *arg);
/* OK also when it is not there (any more). */
void store_async_event_delete(struct store *store, int64_t id, store_done_fn *done, void *arg);
/* The events of one function in order of id, from behind `after` up to and with `last`: `max` of them at most, and none behind the one with which their
 * payloads reach `bytes_max` (so one at least, when there is one). Read on a reader thread; `each` is called on the loop, in order, then `done`.
 * `payload` is the row's own bytes and may be taken (buffer_take); the rest is borrowed during the call. */
typedef void store_async_event_each_fn(const struct async_event_row *row, struct buffer *payload, void *arg);
void store_async_events_read(struct store *store, struct slice name, int64_t after, int64_t last, size_t max,
                             size_t bytes_max, store_async_event_each_fn *each, store_done_fn *done, void *arg);
/* At start: each function that has some, in order of name, with how many and its first and last id. Before those, with a count of 0: names whose
 * leftovers are not swept away yet; ids go on behind their `last` too. */
typedef enum outcome store_async_events_each_fn(struct slice name, int64_t count, int64_t first, int64_t last,
                                                void *arg, struct error *err);
MUST_CHECK enum outcome store_async_events_summary(struct store *store, store_async_events_each_fn *each, void *arg,
                                                   struct error *err);

/* ---- what deleted functions leave ----
 * Deleting a million rows at once would hold the writer for seconds and take hundreds of MB for its journal. So deleting a function hides its events (no
 * door above shows them again, whatever is made under that name), and they are swept away later, a few at a time. */

/* Inside the job that deletes the function: hides all events of that name that there are now. */
MUST_CHECK enum outcome async_events_leave(struct store_tx *tx, struct slice name, struct error *err);
/* Deletes some of what is hidden. *left, the caller's until `done`: there is more. */
void store_async_events_sweep(struct store *store, bool *left, store_done_fn *done, void *arg);
