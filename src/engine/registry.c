/* Functions by name. A change goes: package (a child unpacks it), row (a store job with all its checks), memory, answer.
 * While one is under way for a function, another is refused as AWS refuses it: nothing is lost between the two. */
#include <assert.h>

#include "engine/private.h"
#include "store/functions.h"

enum change_kind { CHANGE_CREATE, CHANGE_CODE, CHANGE_CONFIGURATION, CHANGE_DELETE };

struct change {
    struct engine *engine;
    enum change_kind kind;
    struct function *draft; /* owned; what will be published */
    char *name;
    char *architecture; /* CHANGE_CODE: NULL when it stays */
    char expected[UUID_TEXT_BYTES];
    bool dry_run, has_package; /* has_package: we hold one reference */
    struct error early;        /* what was wrong before anything was started */
    uv_timer_t later;          /* `done` is never called from inside */
    engine_saved_fn *done;
    void *arg;
};

/* ---- memory ---- */

struct function_entry *registry_find(const struct engine *engine, struct slice name)
{
    struct function_entry *entry = NULL;
    HASH_FIND(hh, engine->functions, name.at, name.len, entry);
    return entry;
}

struct function *engine_find(const struct engine *engine, struct slice name)
{
    struct function_entry *entry = registry_find(engine, name);
    return entry == NULL ? NULL : entry->function;
}

/* The index of the first entry whose name is not below `name`. */
static size_t lower_bound(const struct engine *engine, struct slice name)
{
    size_t low = 0, high = engine->function_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(slice_of(engine->sorted[middle]->name), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t engine_list(const struct engine *engine, struct slice after, size_t max, struct function **out, bool *more)
{
    size_t from = lower_bound(engine, after);
    if (after.len > 0 && from < engine->function_count && slice_equal(slice_of(engine->sorted[from]->name), after))
        from++;
    size_t count = 0;
    while (count < max && from + count < engine->function_count) {
        out[count] = engine->sorted[from + count]->function;
        count++;
    }
    *more = from + count < engine->function_count;
    return count;
}

static struct function_entry *entry_add(struct engine *engine, const char *name)
{
    struct function_entry *entry = memory_new(sizeof(*entry));
    entry->name = memory_text(name);
    HASH_ADD_KEYPTR(hh, engine->functions, entry->name, strlen(entry->name), entry);
    if (engine->function_count == engine->function_cap) {
        engine->function_cap = engine->function_cap == 0 ? 64 : engine->function_cap * 2;
        engine->sorted = memory_grow(engine->sorted, engine->function_cap, sizeof(*engine->sorted));
    }
    size_t at = lower_bound(engine, slice_of(name));
    memmove(engine->sorted + at + 1, engine->sorted + at, (engine->function_count - at) * sizeof(*engine->sorted));
    engine->sorted[at] = entry;
    engine->function_count++;
    return entry;
}

static void entry_remove(struct engine *engine, struct function_entry *entry)
{
    size_t at = lower_bound(engine, slice_of(entry->name));
    assert(engine->sorted[at] == entry);
    engine->function_count--;
    memmove(engine->sorted + at, engine->sorted + at + 1, (engine->function_count - at) * sizeof(*engine->sorted));
    HASH_DEL(engine->functions, entry);
    free(entry->name);
    free(entry);
}

static void entry_let_go(struct engine *engine, struct function *function)
{
    engine->code_bytes -= function->code_bytes;
    package_release(engine->config.packages, function->digest);
    pool_retire(function);
    function_release(function);
}

/* Makes `function` (its reference and its package's are taken) the current one of its name. */
static void publish(struct engine *engine, struct function *function)
{
    struct function_entry *entry = registry_find(engine, slice_of(function->name));
    if (entry == NULL)
        entry = entry_add(engine, function->name);
    struct function *old = entry->function;
    entry->function = function;
    engine->code_bytes += function->code_bytes;
    if (old != NULL)
        entry_let_go(engine, old);
}

void registry_free(struct engine *engine)
{
    while (engine->function_count > 0) {
        struct function_entry *entry = engine->sorted[engine->function_count - 1];
        struct function *function = entry->function;
        entry_remove(engine, entry);
        pool_retire(function);
        function_release(function);
    }
    free(engine->sorted);
    engine->sorted = NULL;
}

/* ---- rows ---- */

static enum outcome load_one(const struct function_row *row, void *arg, struct error *err)
{
    struct engine *engine = arg;
    struct buffer environment = BUFFER_EMPTY;
    struct function *function = NULL;
    char arn[256];
    (void)snprintf(arn, sizeof(arn), "arn:aws:lambda:%s:%s:function:%.*s", engine->config.region,
                   engine->config.account, SLICE_PRINT(row->name));
    char digest[65];
    (void)snprintf(digest, sizeof(digest), "%.*s", SLICE_PRINT(row->digest));
    package_hold(engine->config.packages,
                 digest); /* first of all: the code of a row that we cannot read is kept too */
    enum outcome outcome = OK;
    if (row->environment.len > 0)
        outcome = seal_unseal(engine->config.seal, row->name, row->environment, &environment, err);
    if (outcome == OK)
        outcome = function_read(row->name, row->version, row->document, buffer_slice(&environment), &function, err);
    buffer_wipe(&environment);
    if (outcome != OK) { /* one damaged row must not take the others with it */
        log_error("engine", err, "could not read a function; it stays on disk and is not served");
        return OK;
    }
    (void)snprintf(function->digest, sizeof(function->digest), "%.*s", SLICE_PRINT(row->digest));
    (void)snprintf(function->revision_id, sizeof(function->revision_id), "%.*s", SLICE_PRINT(row->revision_id));
    (void)snprintf(function->arn, sizeof(function->arn), "%s", arn);
    function->modified_ms = row->modified_ms;
    publish(engine, function);
    return OK;
}

enum outcome registry_load(struct engine *engine, struct error *err)
{
    TRY(store_functions_load(engine->config.store, load_one, engine, err));
    package_sweep(engine->config.packages);
    return OK;
}

/* ---- changes ---- */

static void change_free(struct change *change)
{
    struct engine *engine = change->engine;
    if (change->has_package && !engine->closed)
        package_release(engine->config.packages, change->draft->digest);
    engine->changes--;
    function_release(change->draft);
    free(change->name);
    free(change->architecture);
    free(change);
    engine_maybe_free(engine);
}

static void change_end(struct change *change, enum outcome outcome, struct function *function,
                       const struct error *err)
{
    struct function_entry *entry = registry_find(change->engine, slice_of(change->name));
    if (entry != NULL && change->kind != CHANGE_CREATE)
        entry->changing = false;
    change->done(outcome, function, err, change->arg);
    change_free(change);
}

static void on_later_closed(uv_handle_t *handle)
{
    struct change *change = handle->data;
    change->done(FAILED, NULL, &change->early, change->arg);
    change_free(change);
}

/* What is wrong from the start is told one turn of the loop later. */
static void change_refuse(struct change *change)
{
    (void)uv_timer_init(change->engine->loop, &change->later);
    change->later.data = change;
    uv_close((uv_handle_t *)&change->later, on_later_closed);
}

static struct change *change_new(struct engine *engine, enum change_kind kind, struct slice name,
                                 engine_saved_fn *done, void *arg)
{
    struct change *change = memory_new(sizeof(*change));
    change->engine = engine;
    change->kind = kind;
    change->name = slice_dup(name);
    change->done = done;
    change->arg = arg;
    engine->changes++;
    return change;
}

static enum outcome change_begin(struct change *change, struct slice expected)
{
    struct engine *engine = change->engine;
    struct function_entry *entry = registry_find(engine, slice_of(change->name));
    (void)snprintf(change->expected, sizeof(change->expected), "%.*s",
                   SLICE_PRINT(slice_sub(expected, 0, sizeof(change->expected) - 1)));
    if (engine->draining)
        return error_set_code(&change->early, ERROR_UNAVAILABLE, "ServiceException",
                              "Retry: the server is being restarted.",
                              "the server is stopping and takes no changes");
    if (change->kind == CHANGE_CREATE)
        return OK;
    if (entry == NULL)
        return error_set_code(&change->early, ERROR_NOT_FOUND, "ResourceNotFoundException",
                              "Create the function first.", "Function not found: arn:aws:lambda:%s:%s:function:%s",
                              engine->config.region, engine->config.account, change->name);
    if (entry->changing)
        return error_set_code(
            &change->early, ERROR_CONFLICT, "ResourceConflictException", "Retry when it has ended.",
            "The operation cannot be performed at this time. An update is in progress for resource: %s",
            entry->function->arn);
    entry->changing = true;
    return OK;
}

static void on_saved(enum outcome outcome, const struct error *err, void *arg)
{
    struct change *change = arg;
    if (outcome != OK) {
        if (err->kind == ERROR_UNKNOWN) /* the row may name it: the sweep of the next start decides */
            change->has_package = false;
        change_end(change, outcome, NULL, err);
        return;
    }
    change->has_package = false; /* published: the entry has it now */
    if (!change->engine->closed)
        publish(change->engine, function_hold(change->draft));
    change_end(change, OK, change->draft, NULL);
}

static enum outcome make_row(struct change *change, struct buffer *document, struct buffer *sealed,
                             struct error *err)
{
    struct function *f = change->draft;
    struct buffer plain = BUFFER_EMPTY;
    enum outcome outcome = OK;
    function_write_document(f, document);
    function_write_environment(f, &plain);
    if (plain.len > 0)
        outcome = seal_close(change->engine->config.seal, slice_of(f->name), buffer_slice(&plain), sealed, err);
    buffer_wipe(&plain);
    return outcome;
}

/* The draft is complete: stamps it and writes its row. Called from callbacks only, so that it may end at once. */
static void change_save(struct change *change)
{
    struct engine *engine = change->engine;
    struct function *f = change->draft;
    struct buffer document = BUFFER_EMPTY, sealed = BUFFER_EMPTY;
    struct error err;
    uuid_make(f->revision_id);
    f->modified_ms = clock_wall_ms();
    (void)snprintf(f->arn, sizeof(f->arn), "arn:aws:lambda:%s:%s:function:%s", engine->config.region,
                   engine->config.account, f->name);
    if (make_row(change, &document, &sealed, &err) != OK) {
        change_end(change, FAILED, NULL, &err);
        buffer_drop(&document);
        buffer_drop(&sealed);
        return;
    }
    struct function_row row = { slice_of(f->name),   slice_of(f->version),    slice_of(f->revision_id),
                                slice_of(f->digest), buffer_slice(&document), buffer_slice(&sealed),
                                f->modified_ms };
    if (change->kind == CHANGE_CREATE)
        store_function_create(engine->config.store, &row, on_saved, change);
    else
        store_function_update(engine->config.store, &row, slice_of(change->expected), on_saved, change);
    buffer_drop(&document);
    buffer_drop(&sealed);
}

static void take_package(struct function *f, const struct package_info *info)
{
    (void)snprintf(f->digest, sizeof(f->digest), "%s", info->digest);
    (void)snprintf(f->code_sha256, sizeof(f->code_sha256), "%s", info->sha256_base64);
    f->code_bytes = info->zip_bytes;
}

/* Nothing more is begun for it once the engine is closed. */
static bool change_too_late(struct change *change)
{
    struct error err;
    if (!change->engine->closed)
        return false;
    (void)error_set_code(&err, ERROR_UNAVAILABLE, "ServiceException", "Retry: the server is being restarted.",
                         "the server stopped before the change was made");
    change_end(change, FAILED, NULL, &err);
    return true;
}

static void on_package(enum outcome outcome, const struct package_info *info, const struct error *err, void *arg)
{
    struct change *change = arg;
    if (outcome != OK) {
        change_end(change, outcome, NULL, err);
        return;
    }
    if (change_too_late(change))
        return;
    if (change->kind == CHANGE_CODE) {
        struct function *current = engine_find(change->engine, slice_of(change->name));
        change->draft = function_copy(current); /* still there: it is marked as changing */
        if (change->architecture != NULL) {
            free(change->draft->architecture);
            change->draft->architecture = memory_text(change->architecture);
        }
    }
    take_package(change->draft, info);
    if (change->dry_run) {
        change_end(change, OK, change->draft, NULL);
        return;
    }
    change->has_package = true;
    change_save(change);
}

/* The row says no in the end; memory says it at once, before a package is unpacked for nothing. */
static enum outcome expect_revision(struct change *change)
{
    struct function *current = engine_find(change->engine, slice_of(change->name));
    assert(current != NULL); /* change_begin has found it */
    if (change->expected[0] == '\0' || strcmp(change->expected, current->revision_id) == 0)
        return OK;
    registry_find(change->engine, slice_of(change->name))->changing = false;
    return error_set_code(
        &change->early, ERROR_PRECONDITION, "PreconditionFailedException",
        "Get the function's configuration for the current RevisionId, then retry.",
        "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias "
        "API to retrieve the latest Revision Id");
}

void engine_create(struct engine *engine, struct function **draft, struct buffer *zip, engine_saved_fn *done,
                   void *arg)
{
    struct change *change = change_new(engine, CHANGE_CREATE, slice_of((*draft)->name), done, arg);
    change->draft = *draft;
    *draft = NULL;
    bool exists = registry_find(engine, slice_of(change->name)) != NULL;
    if (change_begin(change, SLICE_EMPTY) != OK) {
        change_refuse(change);
    } else if (exists) {
        (void)error_set_code(&change->early, ERROR_EXISTS, "ResourceConflictException",
                             "Choose another name, or update the function.", "Function already exist: %s",
                             change->name);
        change_refuse(change);
    } else {
        package_put(engine->config.packages, zip, on_package, change);
    }
}

void engine_update_code(struct engine *engine, struct slice name, struct buffer *zip, struct slice architecture,
                        struct slice expected_revision, bool dry_run, engine_saved_fn *done, void *arg)
{
    struct change *change = change_new(engine, CHANGE_CODE, name, done, arg);
    change->dry_run = dry_run;
    if (architecture.len > 0)
        change->architecture = slice_dup(architecture);
    if (change_begin(change, expected_revision) != OK || expect_revision(change) != OK)
        change_refuse(change);
    else if (dry_run)
        package_check(engine->config.packages, zip, on_package, change);
    else
        package_put(engine->config.packages, zip, on_package, change);
}

static void on_configuration_turn(uv_handle_t *handle)
{
    if (!change_too_late(handle->data))
        change_save(handle->data);
}

void engine_update_configuration(struct engine *engine, struct function **draft, struct slice expected_revision,
                                 engine_saved_fn *done, void *arg)
{
    struct change *change = change_new(engine, CHANGE_CONFIGURATION, slice_of((*draft)->name), done, arg);
    change->draft = *draft;
    *draft = NULL;
    if (change_begin(change, expected_revision) != OK || expect_revision(change) != OK) {
        change_refuse(change);
        return;
    }
    package_hold(engine->config.packages, change->draft->digest);
    change->has_package = true;
    (void)uv_timer_init(engine->loop, &change->later);
    change->later.data = change;
    uv_close((uv_handle_t *)&change->later, on_configuration_turn);
}

static void on_deleted(enum outcome outcome, const struct error *err, void *arg)
{
    struct change *change = arg;
    struct function_entry *entry = registry_find(change->engine, slice_of(change->name));
    if (outcome != OK) {
        change_end(change, outcome, NULL, err);
        return;
    }
    if (!change->engine->closed) {
        struct function *function = entry->function;
        entry_remove(change->engine, entry);
        entry_let_go(change->engine, function);
    }
    change_end(change, OK, NULL, NULL);
}

void engine_delete(struct engine *engine, struct slice name, engine_saved_fn *done, void *arg)
{
    struct change *change = change_new(engine, CHANGE_DELETE, name, done, arg);
    if (change_begin(change, SLICE_EMPTY) != OK)
        change_refuse(change);
    else
        store_function_delete(engine->config.store, slice_of(change->name), on_deleted, change);
}
