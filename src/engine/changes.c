/* Changes of a function: package (a child unpacks it), row (a store job with all its checks), memory, answer. While one is under way for a function,
 * another is refused as AWS refuses it: nothing is lost between the two. */
#include <assert.h>

#include "engine/registry.h"

/* ---- the life of a change ---- */

static void change_unmark(struct change *change)
{
    struct function_entry *entry = registry_find(change->engine, slice_of(change->name));
    if (change->marked && entry != NULL)
        entry->changing = entry->deleting = false;
    change->marked = false;
}

static void change_free(struct change *change)
{
    struct engine *engine = change->engine;
    if (change->has_package && !engine->closed)
        package_release(engine->config.packages, change->draft->digest);
    for (size_t k = 0; change->has_layers && !engine->closed && k < change->draft->layer_count; k++)
        package_release(engine->config.packages, change->draft->layers[k].digest);
    engine->changes--;
    function_release(change->draft);
    function_release(change->answer);
    free(change->name);
    free(change->architecture);
    free(change);
    engine_maybe_free(engine);
}

void error_ended(struct error *err)
{
    (void)error_set_code(err, ERROR_UNKNOWN, "ServiceException",
                         "Look whether the change is there before you retry.",
                         "the server stopped while the change was made");
}

static void change_tell(struct change *change, enum outcome outcome, struct function *function,
                        const struct error *err)
{
    struct error ended;
    if (outcome == OK && change->engine->closed) { /* see registry.h */
        error_ended(&ended);
        change->done(FAILED, NULL, &ended, change->arg);
    } else {
        change->done(outcome, function, err, change->arg);
    }
}

void change_end(struct change *change, enum outcome outcome, struct function *function, const struct error *err)
{
    change_unmark(change); /* first: its caller may begin the next one from `done` */
    change_tell(change, outcome, function, err);
    change_free(change);
}

static void on_later_closed(uv_handle_t *handle)
{
    struct change *change = handle->data;
    if (change->answer != NULL)
        change_tell(change, OK, change->answer, NULL);
    else
        change_tell(change, FAILED, NULL, &change->early);
    change_free(change);
}

/* What is known from the start is told one turn of the loop later. */
void change_answer_later(struct change *change)
{
    change_unmark(change);
    (void)uv_timer_init(change->engine->loop, &change->later);
    change->later.data = change;
    uv_close((uv_handle_t *)&change->later, on_later_closed);
}

struct change *change_new(struct engine *engine, enum change_kind kind, struct slice name, engine_saved_fn *done,
                          void *arg)
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

static enum outcome error_in_progress(struct change *change)
{
    return error_set_code(&change->early, ERROR_CONFLICT, "ResourceConflictException", "Retry when it has ended.",
                          "The operation cannot be performed at this time. An update is in progress for resource: "
                          "arn:aws:lambda:%s:%s:function:%s",
                          change->engine->config.region, change->engine->config.account, change->name);
}

enum outcome change_begin(struct change *change, struct slice expected)
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
    /* What could not be read can be deleted, nothing else. */
    if (entry == NULL || (entry->latest == NULL && change->kind != CHANGE_DELETE)) {
        registry_error_function(engine, slice_of(change->name), SLICE_EMPTY, &change->early);
        return FAILED;
    }
    if (change->kind == CHANGE_DELETE_VERSION)
        return entry->deleting ? error_in_progress(change) : OK;
    if (entry->changing)
        return error_in_progress(change);
    entry->changing = change->marked = true;
    entry->deleting = change->kind == CHANGE_DELETE;
    return OK;
}

/* ---- saving ---- */

static void publish_saved(struct change *change)
{
    struct function *version = change->draft;
    char text[24];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)change->number);
    free(version->version);
    version->version = memory_text(text);
    version->version_number = change->number;
    if (change->engine->closed)
        return;
    struct function *latest = function_copy(engine_find(change->engine, slice_of(change->name)));
    memcpy(latest->revision_id, change->latest_revision, sizeof(change->latest_revision));
    registry_put_alike(change->engine, latest);
    registry_put(change->engine, function_hold(version));
}

static void on_saved(enum outcome outcome, const struct error *err, void *arg)
{
    struct change *change = arg;
    if (outcome != OK) {
        if (err->kind == ERROR_UNKNOWN) /* the row may name them: the sweep of the next start decides */
            change->has_package = change->has_layers = false;
        change_end(change, outcome, NULL, err);
        return;
    }
    if (change->kind !=
        CHANGE_TAGS) /* published: the entry has them now (with new tags it keeps those that it had) */
        change->has_package = change->has_layers = false;
    if (change->kind == CHANGE_PUBLISH)
        publish_saved(change);
    else if (!change->engine->closed && change->kind == CHANGE_TAGS)
        registry_put_alike(change->engine, function_hold(change->draft));
    else if (!change->engine->closed)
        registry_put(change->engine, function_hold(change->draft));
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
    if (change->kind != CHANGE_TAGS) { /* tags are no part of what a revision is */
        uuid_make(f->revision_id);
        f->modified_ms = clock_wall_ms();
    }
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
    else if (change->kind == CHANGE_PUBLISH)
        store_function_publish(engine->config.store, &row, slice_of(change->expected),
                               slice_of(change->latest_revision), &change->number, on_saved, change);
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
    f->tree_bytes = info->tree_bytes;
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

static void hold_layers(struct change *change)
{
    for (size_t k = 0; k < change->draft->layer_count; k++)
        package_hold(change->engine->config.packages, change->draft->layers[k].digest);
    change->has_layers = true;
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
    change->has_package = !change->dry_run;
    struct error too_large;
    bool fits = layer_sizes_check(change->draft, &too_large) == OK;
    if (!fits || change->dry_run) {
        change_end(change, fits ? OK : FAILED, fits ? change->draft : NULL, fits ? NULL : &too_large);
        return;
    }
    if (!change->has_layers)
        hold_layers(change);
    change_save(change);
}

/* The row says no in the end; memory says it at once, before a package is unpacked for nothing. */
enum outcome change_expect_revision(struct change *change)
{
    struct function *current = engine_find(change->engine, slice_of(change->name));
    assert(current != NULL); /* change_begin has found it */
    if (change->expected[0] == '\0' || strcmp(change->expected, current->revision_id) == 0)
        return OK;
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
        change_answer_later(change);
    } else if (exists) {
        (void)error_set_code(&change->early, ERROR_EXISTS, "ResourceConflictException",
                             "Choose another name, or update the function.", "Function already exist: %s",
                             change->name);
        change_answer_later(change);
    } else {
        hold_layers(change); /* now: a layer version may be deleted while the code is unpacked */
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
    if (change_begin(change, expected_revision) != OK || change_expect_revision(change) != OK)
        change_answer_later(change);
    else if (dry_run)
        package_check(engine->config.packages, zip, on_package, change);
    else
        package_put(engine->config.packages, zip, on_package, change);
}

static void on_save_turn(uv_handle_t *handle)
{
    if (!change_too_late(handle->data))
        change_save(handle->data);
}

void change_save_later(struct change *change)
{
    package_hold(change->engine->config.packages, change->draft->digest);
    change->has_package = true;
    hold_layers(change);
    (void)uv_timer_init(change->engine->loop, &change->later);
    change->later.data = change;
    uv_close((uv_handle_t *)&change->later, on_save_turn);
}

void engine_update_configuration(struct engine *engine, struct function **draft, struct slice expected_revision,
                                 engine_saved_fn *done, void *arg)
{
    struct change *change = change_new(engine, CHANGE_CONFIGURATION, slice_of((*draft)->name), done, arg);
    change->draft = *draft;
    *draft = NULL;
    if (change_begin(change, expected_revision) != OK || change_expect_revision(change) != OK) {
        change_answer_later(change);
        return;
    }
    change_save_later(change);
}

static void on_deleted(enum outcome outcome, const struct error *err, void *arg)
{
    struct change *change = arg;
    if ((outcome == OK || err->kind == ERROR_NOT_FOUND) && !change->engine->closed) /* see registry.h */
        registry_remove(change->engine, registry_find(change->engine, slice_of(change->name)));
    change_end(change, outcome, NULL, outcome == OK ? NULL : err);
}

void engine_delete(struct engine *engine, struct slice name, engine_saved_fn *done, void *arg)
{
    struct change *change = change_new(engine, CHANGE_DELETE, name, done, arg);
    if (change_begin(change, SLICE_EMPTY) != OK)
        change_answer_later(change);
    else
        store_function_delete(engine->config.store, slice_of(change->name), on_deleted, change);
}
