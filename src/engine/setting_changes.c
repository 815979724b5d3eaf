/* Changes of what belongs to a function beside its versions. The store's jobs decide; what is checked here first is only to refuse with AWS's own
 * words and without a write. Answers of the store come in the order of its commits, so that memory is changed in that order too. */
#include <assert.h>

#include "engine/registry.h"

/* ---- changes ---- */

struct setting_op {
    struct engine *engine;
    enum setting_kind kind;
    char *name, *qualifier;
    struct setting_entry *draft; /* owned; NULL: it is deleted */
    int64_t reserved;
    bool pending; /* counted in settings_pending */
    bool marked;  /* tally->changing is ours */
    struct error early;
    uv_timer_t later;
    setting_saved_fn *done;
    void *arg;
};

static struct setting_op *op_new(struct engine *engine, enum setting_kind kind, struct slice name,
                                 struct slice qualifier, setting_saved_fn *done, void *arg)
{
    struct setting_op *op = memory_new(sizeof(*op));
    *op = (struct setting_op){ .engine = engine,
                               .kind = kind,
                               .name = slice_dup(name),
                               .qualifier = slice_dup(qualifier),
                               .reserved = -1,
                               .done = done,
                               .arg = arg };
    engine->changes++;
    return op;
}

static void op_free(struct setting_op *op)
{
    struct engine *engine = op->engine;
    setting_free(op->draft);
    free(op->name);
    free(op->qualifier);
    free(op);
    engine->changes--;
    engine_maybe_free(engine);
}

static void on_op_later(uv_handle_t *handle)
{
    struct setting_op *op = handle->data;
    op->done(FAILED, NULL, &op->early, op->arg);
    op_free(op);
}

/* One turn of the loop later. */
static void op_refuse(struct setting_op *op)
{
    (void)uv_timer_init(op->engine->loop, &op->later);
    op->later.data = op;
    uv_close((uv_handle_t *)&op->later, on_op_later);
}

/* Memory follows: returns what stands there now, NULL when it was deleted. */
static const struct setting *op_apply(struct setting_op *op, struct function_entry *function)
{
    struct slice qualifier = slice_of(op->qualifier);
    const struct setting *setting = NULL;
    if (op->draft != NULL) {
        setting = &op->draft->setting;
        setting_put(op->engine, function, op->draft);
        op->draft = NULL;
    } else if (op->kind == SETTING_ALIAS) {
        settings_remove_qualifier(op->engine, function, qualifier);
    } else {
        settings_remove_one(op->engine, function, op->kind, qualifier);
    }
    if (op->kind == SETTING_CONCURRENCY)
        tally_set_reserved(op->engine, function->tally, op->reserved);
    return setting;
}

static void on_op_done(enum outcome outcome, const struct error *err, void *arg)
{
    struct setting_op *op = arg;
    struct function_entry *function = registry_find(op->engine, slice_of(op->name));
    const struct setting *setting = op->draft == NULL ? NULL : &op->draft->setting;
    if (function != NULL) { /* else the engine is closed: a delete of the function is answered after this */
        function->settings_pending -= op->pending ? 1 : 0;
        if (op->marked)
            function->tally->changing = false;
        bool gone = outcome != OK && op->draft == NULL && err->kind == ERROR_NOT_FOUND; /* see registry.h */
        if (outcome == OK || gone)
            setting = op_apply(op, function);
        else if (op->marked)
            tally_claim(op->engine, function->tally, -1);
    }
    struct error ended;
    if (outcome == OK && op->engine->closed) { /* see registry.h */
        error_ended(&ended);
        outcome = FAILED;
        err = &ended;
    }
    op->done(outcome, outcome == OK ? setting : NULL, outcome == OK ? NULL : err, op->arg);
    op_free(op);
}

/* The function as it may be changed; NULL with `early` set. */
static struct function_entry *op_begin(struct setting_op *op)
{
    struct engine *engine = op->engine;
    struct function_entry *function = registry_find(engine, slice_of(op->name));
    if (engine->draining)
        (void)error_set_code(&op->early, ERROR_UNAVAILABLE, "ServiceException",
                             "Retry: the server is being restarted.",
                             "the server is stopping and takes no changes");
    else if (function == NULL || function->latest == NULL)
        registry_error_function(engine, slice_of(op->name), slice_of(op->qualifier), &op->early);
    else if (function->deleting || (op->kind == SETTING_CONCURRENCY && function->tally->changing))
        (void)error_set_code(&op->early, ERROR_CONFLICT, "ResourceConflictException", "Retry when it has ended.",
                             "The operation cannot be performed at this time. An update is in progress for "
                             "resource: %s",
                             function->latest->arn);
    else
        return function;
    return NULL;
}

/* ---- what AWS says ---- */

static enum outcome error_missing(const struct setting_op *op, const struct function_entry *function,
                                  struct error *err)
{
    static const char code[] = "ResourceNotFoundException";
    static const char hint[] = "List what the function has of that kind.";
    if (op->kind == SETTING_ALIAS)
        return error_set_code(err, ERROR_NOT_FOUND, code, hint, "Alias not found: %s:%s", function->latest->arn,
                              op->qualifier);
    return error_set_code(err, ERROR_NOT_FOUND, code, hint, "%s",
                          op->kind == SETTING_POLICY ? "No policy is associated with the given resource."
                                                     : "The resource you requested does not exist.");
}

static enum outcome error_exists(const struct setting_op *op, const struct function_entry *function,
                                 struct error *err)
{
    static const char code[] = "ResourceConflictException";
    if (op->kind == SETTING_ALIAS)
        return error_set_code(err, ERROR_EXISTS, code, "Update the alias, or choose another name.",
                              "Alias already exists: %s:%s", function->latest->arn, op->qualifier);
    return error_set_code(err, ERROR_EXISTS, code, "Update it instead.",
                          "Failed to create function url config for [functionArn = %s]. Error message:  "
                          "FunctionUrlConfig exists for this Lambda function",
                          function->latest->arn);
}

static enum outcome check_revision(const struct setting_op *op, const struct setting *present,
                                   struct slice expected, struct error *err)
{
    if (expected.len == 0 || (present != NULL && slice_is(expected, present->revision_id)))
        return OK;
    return error_set_code(err, ERROR_PRECONDITION, "PreconditionFailedException",
                          "Read it again, then repeat the change with its RevisionId.",
                          "The Revision Id provided does not match the latest Revision Id. Call the %s API to "
                          "retrieve the latest Revision Id",
                          op->kind == SETTING_POLICY ? "GetPolicy" : "GetFunction/GetAlias");
}

static enum outcome check_targets(struct setting_op *op, const struct function_entry *function,
                                  const struct setting_change *change)
{
    struct slice qualifier = change->qualifier;
    const struct alias *alias = op->draft->setting.alias;
    uint64_t targets[2] = { alias == NULL ? 0 : alias->version, alias == NULL ? 0 : alias->other_version };
    for (size_t k = 0; k < 2; k++) {
        char text[24];
        size_t len = (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)targets[k]);
        if (targets[k] == 0 || entry_version(function, targets[k]) != NULL)
            continue;
        registry_error_function(op->engine, change->name, slice_from(text, len), &op->early);
        return FAILED;
    }
    uint64_t number = 0;
    if (!change->qualifier_must_exist || slice_is(qualifier, "$LATEST") ||
        entry_setting(function, SETTING_ALIAS, qualifier) != NULL)
        return OK;
    if (function_version_number(qualifier, &number)) {
        if (entry_version(function, number) != NULL)
            return OK;
        registry_error_function(op->engine, change->name, qualifier, &op->early);
        return FAILED;
    }
    return error_set_code(&op->early, ERROR_NOT_FOUND, "ResourceNotFoundException",
                          "List the function's aliases to see which there are.", "Cannot find alias arn: %s:%s",
                          function->latest->arn, op->qualifier);
}

static enum outcome check_put(struct setting_op *op, const struct function_entry *function,
                              const struct setting_change *change)
{
    const struct setting *present = entry_setting(function, op->kind, change->qualifier);
    TRY(check_targets(op, function, change));
    if (present != NULL && change->mode == SETTING_CREATE)
        return error_exists(op, function, &op->early);
    if (present == NULL && change->mode == SETTING_UPDATE)
        return error_missing(op, function, &op->early);
    TRY(check_revision(op, present, change->expected_revision, &op->early));
    /* Those of other kinds that are under way count too: near the limit nobody minds. */
    size_t of_kind = settings_of_kind(function, op->kind);
    if (present == NULL && of_kind + function->settings_pending >= ENGINE_SETTINGS_MAX)
        return error_set_code(
            &op->early, ERROR_INVALID, "InvalidParameterValueException", "Delete what is not used any more.",
            "The function has %d of this kind, which is as many as this server keeps", ENGINE_SETTINGS_MAX);
    return OK;
}

/* ---- putting and deleting ---- */

static enum outcome op_draft(struct setting_op *op, struct slice document)
{
    struct setting_entry *draft = memory_new(sizeof(*draft));
    int64_t now = clock_wall_ms();
    op->draft = draft;
    draft->setting = (struct setting){ .kind = op->kind,
                                       .qualifier = memory_text(op->qualifier),
                                       .document = slice_dup(document),
                                       .created_ms = now,
                                       .modified_ms = now };
    uuid_make(draft->setting.revision_id);
    if (document.len > SETTING_DOCUMENT_BYTES_MAX)
        return error_set(&op->early, ERROR_TOO_LARGE, "Make it smaller.",
                         "the document is %zu bytes, the limit is %d", document.len, SETTING_DOCUMENT_BYTES_MAX);
    return setting_parse(&draft->setting, &op->reserved, &op->early);
}

static void op_save(struct setting_op *op, enum setting_mode mode, struct slice expected, bool qualifier_must_exist)
{
    static const enum store_setting_mode modes[] = { [SETTING_CREATE] = STORE_SETTING_CREATE,
                                                     [SETTING_UPDATE] = STORE_SETTING_UPDATE,
                                                     [SETTING_PUT] = STORE_SETTING_PUT };
    const struct setting *s = &op->draft->setting;
    struct setting_row row = { .name = slice_of(op->name),
                               .kind = slice_of(setting_kind_names[op->kind]),
                               .qualifier = slice_of(op->qualifier),
                               .revision_id = slice_of(s->revision_id),
                               .document = slice_of(s->document),
                               .created_ms = s->created_ms,
                               .modified_ms = s->modified_ms };
    if (s->alias != NULL) {
        row.versions[0] = s->alias->version;
        row.versions[1] = s->alias->other_version;
    }
    store_setting_put(op->engine->config.store, &row, modes[mode], expected, qualifier_must_exist, on_op_done, op);
}

void engine_setting_put(struct engine *engine, const struct setting_change *change, setting_saved_fn *done,
                        void *arg)
{
    assert(change->kind != SETTING_CONCURRENCY); /* engine_reserve's, with its checks */
    struct setting_op *op = op_new(engine, change->kind, change->name, change->qualifier, done, arg);
    struct function_entry *function = op_begin(op);
    if (function == NULL || op_draft(op, change->document) != OK || check_put(op, function, change) != OK) {
        op_refuse(op);
        return;
    }
    op->pending = true;
    function->settings_pending++;
    op_save(op, change->mode, change->expected_revision, change->qualifier_must_exist);
}

void settings_put_reserved(struct engine *engine, struct slice name, int64_t reserved, const struct error *refusal,
                           setting_saved_fn *done, void *arg)
{
    struct setting_op *op = op_new(engine, SETTING_CONCURRENCY, name, SLICE("$LATEST"), done, arg);
    struct function_entry *function = op_begin(op);
    struct buffer document = BUFFER_EMPTY;
    if (function != NULL && refusal != NULL)
        op->early = *refusal;
    buffer_appendf(&document, "{\"reserved\":%lld}", (long long)reserved);
    if (function == NULL || refusal != NULL || op_draft(op, buffer_slice(&document)) != OK) {
        op_refuse(op);
    } else {
        op->marked = function->tally->changing = true;
        tally_claim(engine, function->tally, reserved);
        op_save(op, SETTING_PUT, SLICE_EMPTY, false);
    }
    buffer_drop(&document);
}

void engine_setting_delete(struct engine *engine, struct slice name, enum setting_kind kind, struct slice qualifier,
                           struct slice expected_revision, setting_saved_fn *done, void *arg)
{
    if (kind == SETTING_CONCURRENCY) /* a function has one */
        qualifier = SLICE("$LATEST");
    struct setting_op *op = op_new(engine, kind, name, qualifier, done, arg);
    struct function_entry *function = op_begin(op);
    if (function == NULL) {
        op_refuse(op);
        return;
    }
    const struct setting *present = entry_setting(function, kind, qualifier);
    if (present == NULL ? error_missing(op, function, &op->early) != OK
                        : check_revision(op, present, expected_revision, &op->early) != OK) {
        op_refuse(op);
        return;
    }
    if (kind == SETTING_CONCURRENCY)
        op->marked = function->tally->changing = true;
    store_setting_delete(engine->config.store, slice_of(op->name), slice_of(setting_kind_names[kind]),
                         slice_of(op->qualifier), expected_revision, on_op_done, op);
}
