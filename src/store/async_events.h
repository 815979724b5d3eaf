/* store/async_events: asynchronous invocations that were accepted and have not run to their end. Thread, promise: see store/store.h. */
#pragma once

#include "store/store.h"

struct async_event_row {
    int64_t id; /* ascending in order of acceptance */
    struct slice name, qualifier, request_id;
    struct slice trace, client_context, payload;
    int64_t received_ms;
    int64_t attempts; /* how often a run of it was begun */
};
/* `payload` is taken (empty afterwards), the rest copied; attempts is stored as given. `done` when it is durable. */
void store_async_event_add(struct store *store, const struct async_event_row *row, struct buffer *payload,
                           store_done_fn *done, void *arg);
void store_async_event_attempt(struct store *store, int64_t id, int64_t attempts, store_done_fn *done, void *arg);
void store_async_event_delete(struct store *store, int64_t id, store_done_fn *done, void *arg);
/* The events of one function in order of id, from behind `after`, at most `max` and about `bytes_max` of payload (one at least), read on a reader
 * thread: `each` is called on the loop, in order, then `done`. */
typedef void store_async_event_each_fn(const struct async_event_row *row, void *arg);
void store_async_events_read(struct store *store, struct slice name, int64_t after, size_t max, size_t bytes_max,
                             store_async_event_each_fn *each, store_done_fn *done, void *arg);
/* At start: each function that has some, with how many and its first and last id. */
typedef enum outcome store_async_events_each_fn(struct slice name, int64_t count, int64_t first, int64_t last,
                                                void *arg, struct error *err);
MUST_CHECK enum outcome store_async_events_summary(struct store *store, store_async_events_each_fn *each, void *arg,
                                                   struct error *err);
