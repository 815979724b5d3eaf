/* store/layers: rows of layers and their versions. Thread, promise: see store/store.h. Arguments are copied before the call returns. */
#pragma once

#include "store/store.h"

struct layer_row {
    struct slice name;
    uint64_t version;
    struct slice digest, document;
    int64_t created_ms;
};
/* The next number of that layer, which never returns; told through *version, which the caller keeps until `done`. */
void store_layer_publish(struct store *store, const struct layer_row *row, uint64_t *version, store_done_fn *done,
                         void *arg);
/*   err  ERROR_NOT_FOUND */
void store_layer_update(struct store *store, const struct layer_row *row, store_done_fn *done, void *arg);
void store_layer_delete(struct store *store, struct slice name, uint64_t version, store_done_fn *done,
                        void *arg); /* none: no error */
typedef enum outcome store_layer_each_fn(const struct layer_row *row, void *arg, struct error *err);
MUST_CHECK enum outcome store_layers_load(struct store *store, store_layer_each_fn *each, void *arg,
                                          struct error *err);
