/* Published versions: frozen copies of $LATEST with numbers that the store gives out. A version is a function like any other to the dispatcher: its
 * own pool, its own packages held. Tags are here too: they change a $LATEST without changing what its instances run. */
#include <assert.h>

#include "engine/registry.h"

/* ---- publishing ---- */

static enum outcome check_code(struct change *change, const struct function *latest, struct slice code_sha256)
{
    if (code_sha256.len == 0 || slice_is(code_sha256, latest->code_sha256))
        return OK;
    return error_set_code(
        &change->early, ERROR_INVALID, "InvalidParameterValueException",
        "Read the function again: its code has changed.",
        "CodeSHA256 (%.*s) is different from current CodeSHA256 in $LATEST (%s). Please try again "
        "with the CodeSHA256 in $LATEST.",
        SLICE_PRINT(slice_sub(code_sha256, 0, FUNCTION_ARN_BYTES)), latest->code_sha256);
}

static enum outcome check_room(struct change *change, const struct function_entry *entry)
{
    if (entry->version_count < ENGINE_VERSIONS_MAX)
        return OK;
    return error_set_code(
        &change->early, ERROR_INVALID, "InvalidParameterValueException", "Delete versions that no alias points to.",
        "The function has %d published versions, which is as many as this server keeps", ENGINE_VERSIONS_MAX);
}

static struct function *frozen_copy(const struct function *latest, const char *description)
{
    struct function *copy = function_copy(latest);
    variables_free(copy->tags, copy->tag_count); /* they are the function's, not a version's */
    copy->tags = NULL;
    copy->tag_count = 0;
    if (description != NULL && strcmp(description, latest->description) != 0) {
        free(copy->description);
        copy->description = memory_text(description);
        copy->latest_description = memory_text(latest->description);
    }
    return copy;
}

void engine_publish(struct engine *engine, struct slice name, const char *description, struct slice code_sha256,
                    struct slice expected_revision, engine_saved_fn *done, void *arg)
{
    struct change *change = change_new(engine, CHANGE_PUBLISH, name, done, arg);
    if (change_begin(change, expected_revision) != OK || change_expect_revision(change) != OK) {
        change_answer_later(change);
        return;
    }
    struct function_entry *entry = registry_find(engine, name);
    struct function *latest = entry->latest;
    struct function *newest = entry->version_count == 0 ? NULL : entry->versions[entry->version_count - 1];
    if (check_code(change, latest, code_sha256) != OK) {
        change_answer_later(change);
        return;
    }
    if (newest != NULL && function_unchanged(latest, newest)) {
        change->answer = function_hold(newest);
        change_answer_later(change);
        return;
    }
    if (check_room(change, entry) != OK) {
        change_answer_later(change);
        return;
    }
    change->draft = frozen_copy(latest, description);
    (void)snprintf(change->expected, sizeof(change->expected), "%s",
                   latest->revision_id); /* what is frozen is what is there */
    uuid_make(change->latest_revision);  /* AWS: publishing gives $LATEST a new revision too */
    change_save_later(change);
}

/* ---- deleting one ---- */

static void on_version_deleted(enum outcome outcome, const struct error *err, void *arg)
{
    struct change *change = arg;
    struct function_entry *entry = registry_find(change->engine, slice_of(change->name));
    if ((outcome == OK || err->kind == ERROR_NOT_FOUND) && entry != NULL) /* see registry.h */
        registry_remove_version(change->engine, entry, change->number);
    change_end(change, outcome, NULL, outcome == OK ? NULL : err);
}

void engine_delete_version(struct engine *engine, struct slice name, uint64_t number, engine_saved_fn *done,
                           void *arg)
{
    struct change *change = change_new(engine, CHANGE_DELETE_VERSION, name, done, arg);
    char text[24];
    struct slice version =
        slice_from(text, (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)number));
    change->number = number;
    if (change_begin(change, SLICE_EMPTY) != OK) {
        change_answer_later(change);
    } else if (number == 0 || entry_version(registry_find(engine, name), number) == NULL) {
        registry_error_function(engine, name, version, &change->early);
        change_answer_later(change);
    } else {
        store_version_delete(engine->config.store, name, version, on_version_deleted, change);
    }
}

/* ---- tags ---- */

void engine_put_tags(struct engine *engine, struct slice name, struct variable *tags, size_t count,
                     engine_saved_fn *done, void *arg)
{
    struct change *change = change_new(engine, CHANGE_TAGS, name, done, arg);
    if (change_begin(change, SLICE_EMPTY) != OK) {
        variables_free(tags, count);
        change_answer_later(change);
        return;
    }
    struct function *latest = engine_find(engine, name);
    change->draft = function_copy(latest);
    variables_free(change->draft->tags, change->draft->tag_count);
    change->draft->tags = tags;
    change->draft->tag_count = variables_sort(tags, count);
    (void)snprintf(change->expected, sizeof(change->expected), "%s", latest->revision_id);
    change_save_later(change);
}

/* ---- what a qualifier means ---- */

/* In [0, 1). xorshift64*: it spreads calls, it keeps no secret. */
static double draw(struct engine *engine)
{
    uint64_t x = engine->random_state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    engine->random_state = x;
    return (double)((x * 0x2545F4914F6CDD1DULL) >> 11) * 0x1.0p-53;
}

struct function *engine_route(struct engine *engine, struct slice name, struct slice qualifier)
{
    const struct function_entry *entry = registry_find(engine, name);
    uint64_t number = 0;
    if (entry == NULL)
        return NULL;
    if (qualifier.len == 0 || slice_is(qualifier, "$LATEST"))
        return entry->latest;
    if (function_version_number(qualifier, &number))
        return entry_version(entry, number);
    const struct setting *setting = engine_setting(engine, name, SETTING_ALIAS, qualifier);
    if (setting == NULL)
        return NULL;
    const struct alias *alias = setting->alias;
    return entry_version(entry, alias_choose(alias, alias->other_version == 0 ? 0 : draw(engine)));
}
