/* store/settings: what belongs to a function beside its versions (aliases, policies, URLs, reserved concurrency): one row each, by function, kind
 * and qualifier. All checks are inside the jobs. Thread, promise: see store/store.h. Arguments are copied before the call returns. */
#pragma once

#include "store/store.h"

struct setting_row {
    struct slice name, kind, qualifier; /* primary key */
    struct slice revision_id;
    struct slice document;
    uint64_t versions[2]; /* published versions that it points to; 0: none */
    int64_t created_ms, modified_ms;
};
enum store_setting_mode { STORE_SETTING_CREATE, STORE_SETTING_UPDATE, STORE_SETTING_PUT };

/* The function, the versions it points to and, when `qualifier_must_exist`, the version or alias `qualifier` must exist; created_ms of a row that is
 * there stays.  err: see engine_setting_put */
void store_setting_put(struct store *store, const struct setting_row *row, enum store_setting_mode mode,
                       struct slice expected_revision, bool qualifier_must_exist, store_done_fn *done, void *arg);
/* With an alias (kind "alias") all other rows of its qualifier go. */
void store_setting_delete(struct store *store, struct slice name, struct slice kind, struct slice qualifier,
                          struct slice expected_revision, store_done_fn *done, void *arg);
typedef enum outcome store_setting_each_fn(const struct setting_row *row, void *arg, struct error *err);
MUST_CHECK enum outcome store_settings_load(struct store *store, store_setting_each_fn *each, void *arg,
                                            struct error *err);
