/* What belongs to a function beside its versions. Each function has one array, ordered by kind and qualifier; URLs are found by their id besides. */
#include "engine/registry.h"
#include "json/json.h"

const char *const setting_kind_names[SETTING_KIND_COUNT] = {
    [SETTING_ALIAS] = "alias",
    [SETTING_POLICY] = "policy",
    [SETTING_URL] = "url",
    [SETTING_CONCURRENCY] = "concurrency",
};

/* ---- memory ---- */

void setting_free(struct setting_entry *entry)
{
    if (entry == NULL)
        return;
    alias_free(entry->setting.alias);
    function_url_free(entry->setting.url);
    free(entry->setting.qualifier);
    free(entry->setting.document);
    free(entry);
}

/* The index of the first setting that is not before this kind and qualifier. */
static size_t setting_bound(const struct function_entry *entry, enum setting_kind kind, struct slice qualifier)
{
    size_t low = 0, high = entry->setting_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct setting *setting = &entry->settings[middle]->setting;
        bool before = setting->kind != kind ? setting->kind < kind
                                            : slice_compare(slice_of(setting->qualifier), qualifier) < 0;
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool setting_is(const struct function_entry *entry, size_t at, enum setting_kind kind,
                       struct slice qualifier)
{
    return at < entry->setting_count && entry->settings[at]->setting.kind == kind &&
           slice_is(qualifier, entry->settings[at]->setting.qualifier);
}

const struct setting *entry_setting(const struct function_entry *entry, enum setting_kind kind,
                                    struct slice qualifier)
{
    size_t at = setting_bound(entry, kind, qualifier);
    return setting_is(entry, at, kind, qualifier) ? &entry->settings[at]->setting : NULL;
}

const struct setting *engine_setting(const struct engine *engine, struct slice name, enum setting_kind kind,
                                     struct slice qualifier)
{
    const struct function_entry *entry = registry_find(engine, name);
    return entry == NULL || entry->latest == NULL ? NULL : entry_setting(entry, kind, qualifier);
}

/* Those of one kind from `at` on, into out[count..max). */
static size_t collect(const struct function_entry *entry, enum setting_kind kind, size_t at, size_t count,
                      size_t max, const struct setting **out, bool *more)
{
    for (; at < entry->setting_count && entry->settings[at]->setting.kind == kind; at++) {
        if (count == max) {
            *more = true;
            break;
        }
        out[count++] = &entry->settings[at]->setting;
    }
    return count;
}

size_t engine_settings(const struct engine *engine, struct slice name, enum setting_kind kind, struct slice after,
                       size_t max, const struct setting **out, bool *more)
{
    *more = false;
    if (name.len == 0) {
        size_t count = 0;
        for (size_t k = 0; k < engine->function_count && !*more; k++)
            count = collect(engine->sorted[k], kind, setting_bound(engine->sorted[k], kind, SLICE_EMPTY), count,
                            max, out, more);
        return count;
    }
    const struct function_entry *entry = registry_find(engine, name);
    if (entry == NULL || entry->latest == NULL)
        return 0;
    size_t at = setting_bound(entry, kind, after);
    if (after.len > 0 && setting_is(entry, at, kind, after))
        at++;
    return collect(entry, kind, at, 0, max, out, more);
}

const struct setting *engine_url_find(const struct engine *engine, struct slice url_id, struct slice *name)
{
    struct setting_entry *entry = NULL;
    HASH_FIND(hh, engine->urls, url_id.at, url_id.len, entry);
    if (entry == NULL || entry->function->latest == NULL)
        return NULL;
    *name = slice_of(entry->function->name);
    return &entry->setting;
}

static void url_forget(struct engine *engine, struct setting_entry *entry)
{
    struct setting_entry *known = NULL;
    if (entry->setting.url != NULL)
        HASH_FIND_STR(engine->urls, entry->setting.url->id, known);
    if (known == entry && known != NULL)
        HASH_DEL(engine->urls, known);
}

void setting_put(struct engine *engine, struct function_entry *function, struct setting_entry *new)
{
    struct setting *setting = &new->setting;
    size_t at = setting_bound(function, setting->kind, slice_of(setting->qualifier));
    new->function = function;
    if (setting_is(function, at, setting->kind, slice_of(setting->qualifier))) {
        struct setting_entry *old = function->settings[at];
        setting->created_ms = old->setting.created_ms;
        url_forget(engine, old);
        setting_free(old);
    } else {
        if (function->setting_count == function->setting_cap) {
            function->setting_cap = function->setting_cap == 0 ? 2 : function->setting_cap * 2;
            function->settings =
                memory_grow(function->settings, function->setting_cap, sizeof(struct setting_entry *));
        }
        memmove(function->settings + at + 1, function->settings + at,
                (function->setting_count - at) * sizeof(struct setting_entry *));
        function->setting_count++;
    }
    function->settings[at] = new;
    if (setting->url != NULL) {
        struct setting_entry *same =
            NULL; /* of two with one id the later stands: ids are drawn, so a row was copied */
        HASH_FIND_STR(engine->urls, setting->url->id, same);
        if (same != NULL)
            HASH_DEL(engine->urls, same);
        HASH_ADD_KEYPTR(hh, engine->urls, setting->url->id, strlen(setting->url->id), new);
    }
}

static void setting_remove(struct engine *engine, struct function_entry *function, size_t at)
{
    struct setting_entry *entry = function->settings[at];
    function->setting_count--;
    memmove(function->settings + at, function->settings + at + 1,
            (function->setting_count - at) * sizeof(struct setting_entry *));
    url_forget(engine, entry);
    setting_free(entry);
}

void settings_remove_one(struct engine *engine, struct function_entry *entry, enum setting_kind kind,
                         struct slice qualifier)
{
    size_t at = setting_bound(entry, kind, qualifier);
    if (setting_is(entry, at, kind, qualifier))
        setting_remove(engine, entry, at);
}

size_t settings_of_kind(const struct function_entry *entry, enum setting_kind kind)
{
    size_t from = setting_bound(entry, kind, SLICE_EMPTY), at = from;
    while (at < entry->setting_count && entry->settings[at]->setting.kind == kind)
        at++;
    return at - from;
}

void settings_remove_qualifier(struct engine *engine, struct function_entry *entry, struct slice qualifier)
{
    for (size_t at = entry->setting_count; at-- > 0;)
        if (slice_is(qualifier, entry->settings[at]->setting.qualifier))
            setting_remove(engine, entry, at);
}

void settings_free(struct engine *engine, struct function_entry *entry)
{
    while (entry->setting_count > 0)
        setting_remove(engine, entry, entry->setting_count - 1);
    free(entry->settings);
    entry->settings = NULL;
}

/* ---- documents ---- */

static enum outcome reserved_read(struct slice document, int64_t *out, struct error *err)
{
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    yyjson_val *reserved =
        json_parse(document, &doc, NULL) == OK ? yyjson_obj_get(yyjson_doc_get_root(doc), "reserved") : NULL;
    if (!yyjson_is_uint(reserved) || yyjson_get_uint(reserved) > UINT32_MAX)
        return error_set(err, ERROR_INVALID, "Set the function's reserved concurrency again.",
                         "the stored reserved concurrency is damaged");
    *out = (int64_t)yyjson_get_uint(reserved);
    return OK;
}

/* Fills the parsed forms. */
enum outcome setting_parse(struct setting *setting, int64_t *reserved, struct error *err)
{
    struct slice document = slice_of(setting->document);
    if (setting->kind == SETTING_ALIAS)
        return alias_read(document, &setting->alias, err);
    if (setting->kind == SETTING_URL)
        return function_url_read(document, &setting->url, err);
    if (setting->kind == SETTING_CONCURRENCY)
        return reserved_read(document, reserved, err);
    return OK;
}

/* ---- at start ---- */

static enum outcome load_setting(const struct setting_row *row, void *arg, struct error *err)
{
    struct engine *engine = arg;
    struct function_entry *function = registry_find(engine, row->name);
    int64_t reserved = -1;
    size_t kind = 0;
    while (kind < SETTING_KIND_COUNT && !slice_is(row->kind, setting_kind_names[kind]))
        kind++;
    if (function == NULL || kind == SETTING_KIND_COUNT) /* of a newer server, or of a function that is not there */
        return OK;
    struct setting_entry *entry = memory_new(sizeof(*entry));
    entry->setting = (struct setting){ .kind = (enum setting_kind)kind,
                                       .qualifier = slice_dup(row->qualifier),
                                       .document = slice_dup(row->document),
                                       .created_ms = row->created_ms,
                                       .modified_ms = row->modified_ms };
    (void)snprintf(entry->setting.revision_id, sizeof(entry->setting.revision_id), "%.*s",
                   SLICE_PRINT(row->revision_id));
    if (setting_parse(&entry->setting, &reserved, err) != OK) {
        log_error("engine", err, "could not read what belongs to a function; it stays on disk and is not served");
        log_warn("engine", "that was the %.*s \"%.*s\" of \"%.*s\"", SLICE_PRINT(row->kind),
                 SLICE_PRINT(row->qualifier), SLICE_PRINT(row->name));
        setting_free(entry);
        return OK;
    }
    setting_put(engine, function, entry);
    if (kind == SETTING_CONCURRENCY)
        tally_set_reserved(engine, function->tally, reserved);
    return OK;
}

enum outcome settings_load(struct engine *engine, struct error *err)
{
    TRY(store_settings_load(engine->config.store, load_setting, engine, err));
    if (engine->reserved + engine_unreserved_min(engine) > engine->limit)
        log_warn("engine",
                 "functions have reserved %llu concurrent calls, of a limit of %u: the others share %u; raise "
                 "`concurrency`, or reserve less",
                 (unsigned long long)engine->reserved, engine->limit, engine_unreserved_min(engine));
    return OK;
}
