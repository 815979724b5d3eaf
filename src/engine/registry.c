/* Functions by name, their versions by number. One entry a name holds what is served: $LATEST, the published versions, the settings, the count of
 * its calls. It follows the store: a change is on disk first, then here, then answered. */
#include <assert.h>

#include "engine/registry.h"

/* ---- packages ---- */

void function_hold_packages(struct engine *engine, const struct function *f)
{
    package_hold(engine->config.packages, f->digest);
    for (size_t k = 0; k < f->layer_count; k++)
        package_hold(engine->config.packages, f->layers[k].digest);
}

void function_release_packages(struct engine *engine, const struct function *f)
{
    package_release(engine->config.packages, f->digest);
    for (size_t k = 0; k < f->layer_count; k++)
        package_release(engine->config.packages, f->layers[k].digest);
}

/* ---- finding ---- */

struct function_entry *registry_find(const struct engine *engine, struct slice name)
{
    struct function_entry *entry = NULL;
    HASH_FIND(hh, engine->functions, name.at, name.len, entry);
    return entry;
}

struct function *engine_find(const struct engine *engine, struct slice name)
{
    struct function_entry *entry = registry_find(engine, name);
    return entry == NULL ? NULL : entry->latest;
}

/* The index of the first version whose number is not below `number`. */
static size_t version_bound(const struct function_entry *entry, uint64_t number)
{
    size_t low = 0, high = entry->version_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry->versions[middle]->version_number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct function *entry_version(const struct function_entry *entry, uint64_t number)
{
    if (number == 0)
        return entry->latest;
    size_t at = version_bound(entry, number);
    return at < entry->version_count && entry->versions[at]->version_number == number ? entry->versions[at] : NULL;
}

struct function *engine_find_version(const struct engine *engine, struct slice name, uint64_t number)
{
    const struct function_entry *entry = registry_find(engine, name);
    return entry == NULL ? NULL : entry_version(entry, number);
}

bool registry_serves(const struct engine *engine, const struct function *function)
{
    const struct function_entry *entry = registry_find(engine, slice_of(function->name));
    return entry != NULL && entry_version(entry, function->version_number) == function;
}

void registry_error_function(const struct engine *engine, struct slice name, struct slice qualifier,
                             struct error *err)
{
    (void)error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException",
                         "List the functions, their versions and aliases to see which there are.",
                         "Function not found: arn:aws:lambda:%s:%s:function:%.*s%s%.*s", engine->config.region,
                         engine->config.account, SLICE_PRINT(name), qualifier.len > 0 ? ":" : "",
                         SLICE_PRINT(qualifier));
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
        out[count] = engine->sorted[from + count]->latest;
        count++;
    }
    *more = from + count < engine->function_count;
    return count;
}

size_t engine_list_versions(const struct engine *engine, struct slice name, uint64_t after, size_t max,
                            struct function **out, bool *more)
{
    const struct function_entry *entry = registry_find(engine, name);
    size_t count = 0;
    *more = false;
    if (entry == NULL || entry->latest == NULL)
        return 0;
    bool from_latest = after == UINT64_MAX;
    size_t from = from_latest ? 0 : version_bound(entry, after + 1);
    if (from_latest && max > 0)
        out[count++] = entry->latest;
    while (count < max && from < entry->version_count)
        out[count++] = entry->versions[from++];
    *more = from < entry->version_count || (from_latest && max == 0);
    return count;
}

/* ---- entries ---- */

static struct function_entry *entry_need(struct engine *engine, const char *name)
{
    struct function_entry *entry = registry_find(engine, slice_of(name));
    if (entry != NULL)
        return entry;
    entry = memory_new(sizeof(*entry));
    entry->name = memory_text(name);
    entry->tally = tally_new();
    HASH_ADD_KEYPTR(hh, engine->functions, entry->name, strlen(entry->name), entry);
    return entry;
}

static void sorted_add(struct engine *engine, struct function_entry *entry)
{
    if (engine->function_count == engine->function_cap) {
        engine->function_cap = engine->function_cap == 0 ? 64 : engine->function_cap * 2;
        engine->sorted = memory_grow(engine->sorted, engine->function_cap, sizeof(*engine->sorted));
    }
    size_t at = lower_bound(engine, slice_of(entry->name));
    memmove(engine->sorted + at + 1, engine->sorted + at, (engine->function_count - at) * sizeof(*engine->sorted));
    engine->sorted[at] = entry;
    engine->function_count++;
}

static void sorted_remove(struct engine *engine, struct function_entry *entry)
{
    size_t at = lower_bound(engine, slice_of(entry->name));
    assert(engine->sorted[at] == entry);
    engine->function_count--;
    memmove(engine->sorted + at, engine->sorted + at + 1, (engine->function_count - at) * sizeof(*engine->sorted));
}

/* Once the engine is closed the packages are not touched: they stay as they are. */
static void function_let_go(struct engine *engine, struct function *function)
{
    engine->code_bytes -= function->code_bytes;
    if (!engine->closed)
        function_release_packages(engine, function);
    pool_retire(function);
    function_release(function);
}

static void versions_insert(struct function_entry *entry, size_t at, struct function *function)
{
    if (entry->version_count == entry->version_cap) {
        entry->version_cap = entry->version_cap == 0 ? 4 : entry->version_cap * 2;
        entry->versions = memory_grow(entry->versions, entry->version_cap, sizeof(*entry->versions));
    }
    memmove(entry->versions + at + 1, entry->versions + at, (entry->version_count - at) * sizeof(*entry->versions));
    entry->versions[at] = function;
    entry->version_count++;
}

void registry_put(struct engine *engine, struct function *function)
{
    struct function_entry *entry = entry_need(engine, function->name);
    engine->code_bytes += function->code_bytes;
    if (function->version_number > 0) {
        size_t at = version_bound(entry, function->version_number);
        assert(at == entry->version_count || entry->versions[at]->version_number != function->version_number);
        versions_insert(entry, at, function);
        return;
    }
    struct function *old = entry->latest;
    entry->latest = function;
    if (old == NULL)
        sorted_add(engine, entry);
    else
        function_let_go(engine, old);
}

void registry_put_alike(struct engine *engine, struct function *function)
{
    struct function_entry *entry = registry_find(engine, slice_of(function->name));
    assert(entry != NULL && entry->latest != NULL); /* it is marked as changing */
    struct function *old = entry->latest;
    pool_move(old, function);
    entry->latest = function;
    function_release(old);
}

void registry_remove_version(struct engine *engine, struct function_entry *entry, uint64_t number)
{
    size_t at = version_bound(entry, number);
    if (at == entry->version_count || entry->versions[at]->version_number != number)
        return; /* its row was damaged: it was never here */
    struct function *function = entry->versions[at];
    entry->version_count--;
    memmove(entry->versions + at, entry->versions + at + 1, (entry->version_count - at) * sizeof(*entry->versions));
    settings_remove_qualifier(engine, entry, slice_of(function->version));
    function_let_go(engine, function);
}

void registry_remove(struct engine *engine, struct function_entry *entry)
{
    if (entry->latest != NULL)
        sorted_remove(engine, entry);
    HASH_DEL(engine->functions, entry);
    settings_free(engine, entry);
    tally_set_reserved(engine, entry->tally, -1); /* calls that run on are anybody's */
    while (entry->version_count > 0)
        function_let_go(engine, entry->versions[--entry->version_count]);
    if (entry->latest != NULL)
        function_let_go(engine, entry->latest);
    tally_release(entry->tally);
    free(entry->versions);
    free(entry->name);
    free(entry);
}

void registry_free(struct engine *engine)
{
    struct function_entry *entry, *next;
    HASH_ITER (hh, engine->functions, entry, next)
        registry_remove(engine, entry);
    free(engine->sorted);
    engine->sorted = NULL;
}

/* ---- rows ---- */

static enum outcome read_row(struct engine *engine, const struct function_row *row, struct function **out,
                             struct error *err)
{
    struct buffer environment = BUFFER_EMPTY;
    enum outcome outcome = OK;
    if (row->environment.len > 0)
        outcome = seal_unseal(engine->config.seal, row->name, row->environment, &environment, err);
    if (outcome == OK)
        outcome = function_read(row->name, row->version, row->document, buffer_slice(&environment), out, err);
    buffer_wipe(&environment);
    return outcome;
}

/* A row that is not served may have been readable but for its environment: its layers' code is kept too. */
static void hold_layers_of(struct engine *engine, const struct function_row *row)
{
    AUTO(function)
    struct function *function = NULL;
    if (function_read(row->name, row->version, row->document, SLICE_EMPTY, &function, NULL) != OK)
        return;
    for (size_t k = 0; k < function->layer_count; k++)
        package_hold(engine->config.packages, function->layers[k].digest);
}

static enum outcome load_one(const struct function_row *row, void *arg, struct error *err)
{
    struct engine *engine = arg;
    struct function *function = NULL;
    char digest[65], name[FUNCTION_NAME_BYTES_MAX + 1];
    (void)snprintf(digest, sizeof(digest), "%.*s", SLICE_PRINT(row->digest));
    (void)snprintf(name, sizeof(name), "%.*s", SLICE_PRINT(row->name));
    package_hold(engine->config.packages,
                 digest); /* first of all: the code of a row that we cannot read is kept too */
    if (read_row(engine, row, &function, err) != OK) { /* one damaged row must not take the others with it */
        log_error("engine", err, "could not read a function; it stays on disk and is not served");
        hold_layers_of(engine, row);
        (void)entry_need(engine, name); /* so that it can be deleted, and its name is not given away */
        return OK;
    }
    (void)snprintf(function->digest, sizeof(function->digest), "%s", digest);
    (void)snprintf(function->revision_id, sizeof(function->revision_id), "%.*s", SLICE_PRINT(row->revision_id));
    (void)snprintf(function->arn, sizeof(function->arn), "arn:aws:lambda:%s:%s:function:%s", engine->config.region,
                   engine->config.account, function->name);
    function->modified_ms = row->modified_ms;
    for (size_t k = 0; k < function->layer_count; k++)
        package_hold(engine->config.packages, function->layers[k].digest);
    if (function->tree_bytes == 0)
        function->tree_bytes = package_tree_bytes(engine->config.packages, function->digest);
    registry_put(engine, function);
    return OK;
}

enum outcome registry_load(struct engine *engine, struct error *err)
{
    TRY(store_functions_load(engine->config.store, load_one, engine, err));
    TRY(settings_load(engine, err));
    package_sweep(engine->config.packages);
    return OK;
}
