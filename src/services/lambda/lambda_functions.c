#include "services/lambda/lambda.h"

#include "events/async_queue.h"

#include <assert.h>

#include "services/code_link.h"

/* The control plane's handlers: parse, check, call the engine, answer. What they find in memory is only a hint (the engine's job checks
 * again on the way to the disk); it is looked at first because a refusal then costs nothing. */

static struct lambda_place place_of(const struct call *call)
{
    return (struct lambda_place){ engine_account(call->engine), engine_region(call->engine),
                                  function_architecture() };
}

/* The body and the document made of it can hold a package of 50 MB three times over; once it is decoded they go, before the
 * engine takes its time to unpack. Nothing may borrow from the body afterwards. */
static void release_body(struct call *call)
{
    json_doc_drop(&call->json.doc);
    buffer_drop(call->body);
}

/* What a call that also publishes remembers until that is done. */
struct publish {
    struct slice name;
    int status;
    bool qualified; /* recorded from AWS: CreateFunction names the function, UpdateFunctionCode the version */
};

static void published(enum outcome outcome, struct function *f, const struct error *err, void *arg)
{
    struct call *call = arg;
    const struct publish *publish = call->data;
    if (outcome == OK) {
        lambda_reply_configuration(call, publish->status, f,
                                   publish->qualified ? slice_of(f->version) : SLICE_EMPTY);
        return;
    }
    /* The revision that was to be published is the one this call has just made: another change came between. */
    struct error failed = *err;
    if (err->kind == ERROR_PRECONDITION)
        (void)lambda_update_in_progress(call, publish->name, &failed);
    call_fail(call, &failed);
}

/* Answers with what was saved, or first makes a version of it when call->data (a struct publish) asks for one. */
static void saved(struct call *call, int status, enum outcome outcome, const struct function *f,
                  const struct error *err)
{
    const struct publish *publish = call->data;
    if (outcome != OK)
        call_fail(call, err);
    else if (publish == NULL)
        lambda_reply_configuration(call, status, f, SLICE_EMPTY);
    else
        engine_publish(call->engine, publish->name, NULL, SLICE_EMPTY, lambda_keep(call, slice_of(f->revision_id)),
                       published, call);
}

static void publish_afterwards(struct call *call, struct slice name, int status, bool qualified)
{
    struct publish *publish = arena_take(&call->arena, sizeof(*publish));
    *publish = (struct publish){ lambda_keep(call, name), status, qualified };
    call->data = publish;
}

/* ---- CreateFunction ---- */

static void created(enum outcome outcome, struct function *f, const struct error *err, void *arg)
{
    saved(arg, 201, outcome, f, err);
}

static enum outcome create(struct call *call, struct error *err)
{
    struct lambda_place place = place_of(call);
    yyjson_val *body = NULL, *publish = NULL;
    AUTO(function)
    struct function *draft = NULL;
    AUTO(buffer)
    struct buffer zip = BUFFER_EMPTY;
    TRY(call_json(call, &body, err));
    TRY(lambda_member(body, "Publish", LAMBDA_BOOLEAN, &publish, err));
    TRY(lambda_read_create(&place, body, &draft, &zip, err));
    TRY(lambda_read_layers(call, body, draft, err));
    if (engine_find(call->engine, slice_of(draft->name)) != NULL)
        return error_set_code(err, ERROR_EXISTS, "ResourceConflictException",
                              "Update the function, or choose another name.", "Function already exist: %s",
                              draft->name);
    TRY(engine_runtime_check(call->engine, draft->runtime, err));
    if (yyjson_is_true(publish))
        publish_afterwards(call, slice_of(draft->name), 201, false);
    release_body(call);
    engine_create(call->engine, &draft, &zip, created, call);
    return OK;
}

void lambda_create_function(struct call *call)
{
    struct error err = { 0 };
    if (create(call, &err) != OK)
        call_fail(call, &err);
}

/* ---- updates ---- */

static void updated(enum outcome outcome, struct function *f, const struct error *err, void *arg)
{
    saved(arg, 200, outcome, f, err);
}

static enum outcome update_code(struct call *call, struct error *err)
{
    struct lambda_place place = place_of(call);
    struct function *f = NULL;
    yyjson_val *body = NULL;
    struct lambda_code_update update = { BUFFER_EMPTY, SLICE_EMPTY, SLICE_EMPTY, false, false };
    TRY(lambda_find_unqualified(call, LAMBDA_NAME_FUNCTION, &f, err));
    assert(f != NULL);
    TRY(call_json(call, &body, err));
    TRY(lambda_read_code(&place, body, &update, err));
    if (lambda_check_revision(f->revision_id, update.revision_id, err) != OK) {
        buffer_drop(&update.zip);
        return FAILED;
    }
    struct slice architecture = lambda_keep(call, update.architecture),
                 revision = lambda_keep(call, update.revision_id);
    struct slice name = lambda_keep(call, slice_of(f->name));
    if (update.publish && !update.dry_run)
        publish_afterwards(call, name, 200, true);
    release_body(call);
    engine_update_code(call->engine, name, &update.zip, architecture, revision, update.dry_run, updated, call);
    buffer_drop(&update.zip); /* taken: this is empty */
    return OK;
}

void lambda_update_function_code(struct call *call)
{
    struct error err = { 0 };
    if (update_code(call, &err) != OK)
        call_fail(call, &err);
}

static enum outcome update_configuration(struct call *call, struct error *err)
{
    struct lambda_place place = place_of(call);
    struct function *f = NULL;
    yyjson_val *body = NULL;
    struct slice revision = SLICE_EMPTY;
    TRY(lambda_find_unqualified(call, LAMBDA_NAME_FUNCTION, &f, err));
    assert(f != NULL);
    TRY(call_json(call, &body, err));
    AUTO(function)
    struct function *draft = function_copy(f);
    TRY(lambda_read_configuration(&place, body, draft, &revision, err));
    TRY(lambda_read_layers(call, body, draft, err));
    TRY(lambda_check_revision(f->revision_id, revision, err));
    if (draft->runtime != f->runtime)
        TRY(engine_runtime_check(call->engine, draft->runtime, err));
    engine_update_configuration(call->engine, &draft, lambda_keep(call, revision), updated, call);
    return OK;
}

void lambda_update_function_configuration(struct call *call)
{
    struct error err = { 0 };
    if (update_configuration(call, &err) != OK)
        call_fail(call, &err);
}

/* ---- GetFunction, GetFunctionConfiguration ---- */

static enum outcome find_for_read(struct call *call, struct function **f, struct lambda_target *target,
                                  struct error *err)
{
    TRY(lambda_target_of(call, LAMBDA_NAME_NAMESPACED, target, err));
    return lambda_find(call, target, f, err);
}

/* Both belong to the function and are told with each of its versions. */
static void add_tags_and_concurrency(struct call *call, yyjson_mut_doc *doc, yyjson_mut_val *root,
                                     struct slice name)
{
    const struct function *latest = engine_find(call->engine, name);
    if (latest != NULL && latest->tag_count > 0) {
        yyjson_mut_val *tags = yyjson_mut_obj_add_obj(doc, root, "Tags");
        for (size_t i = 0; i < latest->tag_count; i++)
            yyjson_mut_obj_add_str(doc, tags, latest->tags[i].name, latest->tags[i].value);
    }
    int64_t reserved = engine_reserved(call->engine, name);
    if (reserved >= 0)
        yyjson_mut_obj_add_sint(doc, yyjson_mut_obj_add_obj(doc, root, "Concurrency"),
                                "ReservedConcurrentExecutions", reserved);
}

void lambda_get_function(struct call *call)
{
    struct error err = { 0 };
    struct function *f = NULL;
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    if (find_for_read(call, &f, &target, &err) != OK) {
        call_fail(call, &err);
        return;
    }
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_val(doc, root, "Configuration",
                           lambda_render_configuration(doc, f, LAMBDA_VIEW_FULL, target.qualifier));
    char location[CODE_LINK_ADDRESS_BYTES];
    yyjson_mut_val *code = yyjson_mut_obj_add_obj(doc, root, "Code");
    yyjson_mut_obj_add_str(doc, code, "RepositoryType", "S3");
    code_link_address(call, f->digest, location);
    if (location[0] != '\0')
        yyjson_mut_obj_add_str(doc, code, "Location", location);
    add_tags_and_concurrency(call, doc, root, target.name);
    call_reply_json(call, 200, doc);
}

void lambda_get_function_configuration(struct call *call)
{
    struct error err = { 0 };
    struct function *f = NULL;
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    if (find_for_read(call, &f, &target, &err) != OK)
        call_fail(call, &err);
    else
        lambda_reply_configuration(call, 200, f, target.qualifier);
}

/* ---- DeleteFunction ---- */

static void deleted(enum outcome outcome, struct function *f, const struct error *err, void *arg)
{
    (void)f;
    if (outcome == OK)
        call_reply_empty(arg, 204);
    else
        call_fail(arg, err);
}

/* With the function go its events, which the queue also holds in memory. */
static void function_deleted(enum outcome outcome, struct function *f, const struct error *err, void *arg)
{
    struct call *call = arg;
    if (outcome == OK)
        async_queue_forget(call->async_queue, slice_of(call->data));
    deleted(outcome, f, err, call);
}

/* A version that is not there: on AWS too deleting it is no error. */
static void version_deleted(enum outcome outcome, struct function *f, const struct error *err, void *arg)
{
    deleted(outcome != OK && err->kind == ERROR_NOT_FOUND ? OK : outcome, f, err, arg);
}

static bool is_number(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
    return text.len > 0;
}

/* No alias may point nowhere. */
static enum outcome check_unreferenced(struct call *call, struct slice name, uint64_t number, struct error *err)
{
    AUTO(buffer)
    struct buffer names = BUFFER_EMPTY;
    const struct setting *page[LAMBDA_LIST_PAGE_MAX];
    bool more = true;
    for (struct slice after = SLICE_EMPTY; more;) {
        size_t count = engine_settings(call->engine, name, SETTING_ALIAS, after, LAMBDA_LIST_PAGE_MAX, page, &more);
        for (size_t i = 0; i < count; i++) {
            const struct alias *alias = page[i]->alias;
            if (alias->version == number || alias->other_version == number)
                buffer_appendf(&names, "%s%s", names.len > 0 ? ", " : "", page[i]->qualifier);
            after = slice_of(page[i]->qualifier);
        }
    }
    if (names.len == 0)
        return OK;
    return error_set_code(err, ERROR_CONFLICT, "ResourceConflictException", "Point those aliases elsewhere first.",
                          "Unable to delete version because the following aliases reference it: [%.*s]",
                          SLICE_PRINT(lambda_shown(buffer_slice(&names), LAMBDA_VALUE_SHOWN_MAX)));
}

/* *done: there is nothing to delete, and that is success. */
static enum outcome delete_function(struct call *call, bool *done, struct error *err)
{
    static const char code[] = "InvalidParameterValueException", hint[] = "Delete the function itself.";
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    uint64_t number = 0;
    TRY(lambda_target_of(call, LAMBDA_NAME_NAMESPACED, &target, err));
    struct slice qualifier = target.qualifier;
    if (slice_is(qualifier, "$LATEST"))
        return error_set_code(err, ERROR_INVALID, code, hint,
                              "$LATEST version cannot be deleted without deleting the function.");
    /* Recorded from AWS: a '$' makes it no alias, so that "$latest" is taken for a version. */
    if (qualifier.len > 0 && !is_number(qualifier) && memchr(qualifier.at, '$', qualifier.len) == NULL)
        return error_set_code(err, ERROR_INVALID, code, "Use DeleteAlias.",
                              "Deletion of aliases is not currently supported.");
    if (engine_find(call->engine, target.name) == NULL)
        return lambda_not_found(call, target.name, SLICE_EMPTY, err);
    if (qualifier.len == 0) {
        struct slice name = lambda_keep(call, target.name);
        call->data = (char *)(uintptr_t)name.at;
        engine_delete(call->engine, name, function_deleted, call);
        return OK;
    }
    *done = !lambda_version_number(qualifier, &number) ||
            engine_find_version(call->engine, target.name, number) == NULL;
    if (*done)
        return OK;
    TRY(check_unreferenced(call, target.name, number, err));
    engine_delete_version(call->engine, lambda_keep(call, target.name), number, version_deleted, call);
    return OK;
}

void lambda_delete_function(struct call *call)
{
    struct error err = { 0 };
    bool done = false;
    if (delete_function(call, &done, &err) != OK)
        call_fail(call, &err);
    else if (done)
        call_reply_empty(call, 204);
}

/* ---- ListFunctions ---- */

struct list_request {
    struct lambda_page page; /* behind a name; of all versions behind "NAME:VERSION" */
    bool all_versions;
    bool none; /* a region whose Lambda@Edge replicas are asked for: there are none */
};

static enum outcome read_list(struct call *call, struct list_request *out, struct error *err)
{
    struct slice version = call_query(call, "FunctionVersion"), master = call_query(call, "MasterRegion");
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    struct list_request request = { .all_versions = version.len > 0,
                                    .none = master.len > 0 && !slice_is(master, "ALL") };
    if (version.len > 0 && !slice_is(version, "ALL"))
        lambda_check_failed(&checks, "functionVersion", version, "Member must satisfy enum value set: [ALL]");
    TRY(lambda_checks_result(&checks, err));
    TRY(lambda_read_page(call, &request.page, err));
    *out = request;
    return OK;
}

/* The functions' versions, one function after another, $LATEST first of each. Fills at most page->max. */
static size_t list_all_versions(struct call *call, const struct lambda_page *page, struct function **out,
                                bool *more)
{
    struct slice rest = page->after, name = slice_split(&rest, ':');
    uint64_t after = UINT64_MAX;
    size_t count = 0;
    struct function *f = NULL;
    if (name.len > 0 && lambda_version_number(rest, &after))
        f = engine_find(call->engine, name); /* NULL: deleted since, its versions too */
    bool next = true;                        /* is there a function behind this one? */
    if (f == NULL) {
        after = UINT64_MAX;
        next = engine_list(call->engine, name, 1, &f, more) > 0;
    }
    while (next) {
        bool rest_of_it = false;
        count += engine_list_versions(call->engine, slice_of(f->name), after, page->max - count, out + count,
                                      &rest_of_it);
        after = UINT64_MAX;
        struct function *following = NULL;
        next = engine_list(call->engine, slice_of(f->name), 1, &following, more) > 0;
        f = following;
        *more = rest_of_it || next;
        if (count == page->max)
            return count;
    }
    *more = false;
    return count;
}

static void reply_list(struct call *call, const struct list_request *request)
{
    struct function *list[LAMBDA_LIST_PAGE_MAX];
    bool more = false;
    size_t count = 0;
    if (!request->none && request->all_versions)
        count = list_all_versions(call, &request->page, list, &more);
    else if (!request->none)
        count = engine_list(call->engine, request->page.after, request->page.max, list, &more);
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_val *functions = yyjson_mut_obj_add_arr(doc, root, "Functions");
    for (size_t i = 0; i < count; i++)
        yyjson_mut_arr_append(functions, lambda_render_configuration(
                                             doc, list[i], LAMBDA_VIEW_LIST,
                                             request->all_versions ? slice_of(list[i]->version) : SLICE_EMPTY));
    if (more && count > 0) {
        AUTO(buffer)
        struct buffer last = BUFFER_EMPTY;
        buffer_append_text(&last, list[count - 1]->name);
        if (request->all_versions)
            buffer_appendf(&last, ":%s", list[count - 1]->version);
        lambda_add_marker(doc, root, buffer_slice(&last));
    }
    call_reply_json(call, 200, doc);
}

void lambda_list_functions(struct call *call)
{
    struct error err = { 0 };
    struct list_request request;
    if (read_list(call, &request, &err) != OK)
        call_fail(call, &err);
    else
        reply_list(call, &request);
}
