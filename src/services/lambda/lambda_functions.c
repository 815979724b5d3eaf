#include "services/lambda/lambda.h"

#include <assert.h>

#include "base/codec.h"

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

static struct slice keep(struct call *call, struct slice text)
{
    char *copy = arena_take(&call->arena, text.len + 1);
    memcpy(copy, text.at, text.len);
    return slice_from(copy, text.len);
}

static void reply_saved(struct call *call, int status, enum outcome outcome, const struct function *f,
                        const struct error *err)
{
    if (outcome == OK)
        lambda_reply_configuration(call, status, f);
    else
        call_fail(call, err);
}

/* ---- CreateFunction ---- */

static void created(enum outcome outcome, struct function *f, const struct error *err, void *arg)
{
    reply_saved(arg, 201, outcome, f, err);
}

static enum outcome create(struct call *call, struct error *err)
{
    struct lambda_place place = place_of(call);
    yyjson_val *body = NULL;
    AUTO(function)
    struct function *draft = NULL;
    AUTO(buffer)
    struct buffer zip = BUFFER_EMPTY;
    TRY(call_json(call, &body, err));
    TRY(lambda_read_create(&place, body, &draft, &zip, err));
    if (engine_find(call->engine, slice_of(draft->name)) != NULL)
        return error_set_code(err, ERROR_EXISTS, "ResourceConflictException",
                              "Update the function, or choose another name.", "Function already exist: %s",
                              draft->name);
    TRY(engine_runtime_check(call->engine, draft->runtime, err));
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
    reply_saved(arg, 200, outcome, f, err);
}

/* The function of an update, which takes no version or alias. */
static enum outcome find_for_update(struct call *call, struct function **f, struct error *err)
{
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    TRY(lambda_target_of(call, LAMBDA_NAME_FUNCTION, &target, err));
    if (target.qualifier.len > 0 && !slice_is(target.qualifier, "$LATEST"))
        return error_set_code(
            err, ERROR_INVALID, "InvalidParameterValueException", "Leave the qualifier out.",
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this "
            "operation. Please specify either a function name or an unqualified function ARN.");
    target.qualifier = SLICE_EMPTY;
    return lambda_find(call, &target, f, err);
}

static enum outcome check_revision(const struct function *f, struct slice revision_id, struct error *err)
{
    if (revision_id.len == 0 || slice_is(revision_id, f->revision_id))
        return OK;
    return error_set_code(
        err, ERROR_PRECONDITION, "PreconditionFailedException", "Read the function again, then retry.",
        "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to "
        "retrieve the latest Revision Id");
}

static enum outcome update_code(struct call *call, struct error *err)
{
    struct lambda_place place = place_of(call);
    struct function *f = NULL;
    yyjson_val *body = NULL;
    struct lambda_code_update update = { BUFFER_EMPTY, SLICE_EMPTY, SLICE_EMPTY, false };
    TRY(find_for_update(call, &f, err));
    assert(f != NULL);
    TRY(call_json(call, &body, err));
    TRY(lambda_read_code(&place, body, &update, err));
    if (check_revision(f, update.revision_id, err) != OK) {
        buffer_drop(&update.zip);
        return FAILED;
    }
    struct slice architecture = keep(call, update.architecture), revision = keep(call, update.revision_id);
    struct slice name = keep(call, slice_of(f->name));
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
    TRY(find_for_update(call, &f, err));
    assert(f != NULL);
    TRY(call_json(call, &body, err));
    AUTO(function)
    struct function *draft = function_copy(f);
    TRY(lambda_read_configuration(&place, body, draft, &revision, err));
    TRY(check_revision(f, revision, err));
    if (draft->runtime != f->runtime)
        TRY(engine_runtime_check(call->engine, draft->runtime, err));
    engine_update_configuration(call->engine, &draft, keep(call, revision), updated, call);
    return OK;
}

void lambda_update_function_configuration(struct call *call)
{
    struct error err = { 0 };
    if (update_configuration(call, &err) != OK)
        call_fail(call, &err);
}

/* ---- GetFunction, GetFunctionConfiguration ---- */

static enum outcome find_for_read(struct call *call, struct function **f, bool *qualified, struct error *err)
{
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    TRY(lambda_target_of(call, LAMBDA_NAME_NAMESPACED, &target, err));
    *qualified = target.qualifier.len > 0;
    return lambda_find(call, &target, f, err);
}

void lambda_get_function(struct call *call)
{
    struct error err = { 0 };
    struct function *f = NULL;
    bool qualified = false;
    if (find_for_read(call, &f, &qualified, &err) != OK) {
        call_fail(call, &err);
        return;
    }
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_val(doc, root, "Configuration",
                           lambda_render_configuration(doc, f, LAMBDA_VIEW_FULL, qualified));
    /* No Location: there is nowhere yet from where a package could be had by a presigned URL. */
    yyjson_mut_obj_add_str(doc, yyjson_mut_obj_add_obj(doc, root, "Code"), "RepositoryType", "S3");
    if (f->tag_count > 0) {
        yyjson_mut_val *tags = yyjson_mut_obj_add_obj(doc, root, "Tags");
        for (size_t i = 0; i < f->tag_count; i++)
            yyjson_mut_obj_add_str(doc, tags, f->tags[i].name, f->tags[i].value);
    }
    call_reply_json(call, 200, doc);
}

void lambda_get_function_configuration(struct call *call)
{
    struct error err = { 0 };
    struct function *f = NULL;
    bool qualified = false;
    if (find_for_read(call, &f, &qualified, &err) != OK) {
        call_fail(call, &err);
        return;
    }
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, lambda_render_configuration(doc, f, LAMBDA_VIEW_FULL, qualified));
    call_reply_json(call, 200, doc);
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

static bool is_number(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
    return text.len > 0;
}

/* *done: there is nothing to delete, and that is success. */
static enum outcome delete (struct call *call, bool *done, struct error *err) {
    static const char code[] = "InvalidParameterValueException", hint[] = "Delete the function itself.";
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    TRY(lambda_target_of(call, LAMBDA_NAME_NAMESPACED, &target, err));
    bool latest = slice_is(target.qualifier, "$LATEST");
    if (latest) return error_set_code(err, ERROR_INVALID, code, hint,
                                      "$LATEST version cannot be deleted without deleting the function.");
    /* Recorded from AWS: a '$' makes it no alias, so that "$latest" is taken for a version. */
    if (target.qualifier.len > 0 && !is_number(target.qualifier) &&
        memchr(target.qualifier.at, '$', target.qualifier.len) ==
            NULL) return error_set_code(err, ERROR_INVALID, code, hint,
                                        "Deletion of aliases is not currently supported.");
    struct function *f = engine_find(call->engine, target.name);
    if (f == NULL) return lambda_not_found(call, target.name, SLICE_EMPTY, err);
    *done = target.qualifier.len > 0; /* a version that is not there: on AWS too deleting it is no error */
    if (!*done) engine_delete(call->engine, keep(call, target.name), deleted, call);
    return OK;
}

void lambda_delete_function(struct call *call)
{
    struct error err = { 0 };
    bool done = false;
    if (delete (call, &done, &err) != OK)
        call_fail(call, &err);
    else if (done)
        call_reply_empty(call, 204);
}

/* ---- ListFunctions ---- */

struct list_request {
    struct slice after; /* the name behind which this page starts */
    size_t max;
    bool all_versions;
    bool none; /* a region whose Lambda@Edge replicas are asked for: there are none */
};

static enum outcome read_max_items(struct call *call, struct lambda_checks *checks, size_t *max, struct error *err)
{
    struct slice text = call_query(call, "MaxItems");
    uint64_t number = 0;
    *max = LAMBDA_LIST_PAGE_MAX;
    if (text.len == 0)
        return OK;
    bool negative = text.at[0] == '-';
    if (!slice_to_u64(negative ? slice_sub(text, 1, text.len) : text, INT32_MAX, &number))
        return error_set_code(err, ERROR_INVALID, "SerializationException", "Send a whole number.",
                              "STRING_VALUE can not be converted to an Integer");
    lambda_check_range(checks, "maxItems", negative ? -(int64_t)number : (int64_t)number, 1, LAMBDA_LIST_MAX);
    if (number < *max)
        *max = (size_t)number;
    return OK;
}

static enum outcome read_list(struct call *call, struct list_request *out, struct error *err)
{
    struct slice version = call_query(call, "FunctionVersion"), marker = call_query(call, "Marker");
    struct slice master = call_query(call, "MasterRegion");
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    TRY(read_max_items(call, &checks, &out->max, err));
    if (version.len > 0 && !slice_is(version, "ALL"))
        lambda_check_failed(&checks, "functionVersion", version, "Member must satisfy enum value set: [ALL]");
    TRY(lambda_checks_result(&checks, err));
    out->all_versions = version.len > 0;
    out->none = master.len > 0 && !slice_is(master, "ALL");
    out->after = SLICE_EMPTY;
    if (marker.len == 0)
        return OK;
    AUTO(buffer)
    struct buffer name = BUFFER_EMPTY;
    struct lambda_name parsed;
    if (marker.len > LAMBDA_NAME_BYTES_MAX || !codec_unbase64(&name, marker) ||
        !lambda_name_parse(buffer_slice(&name), LAMBDA_NAME_FUNCTION, &parsed))
        return error_set_code(err, ERROR_INVALID, "InvalidParameterValueException", "Start again without a Marker.",
                              "The Marker is not one that ListFunctions gave.");
    out->after = keep(call, buffer_slice(&name));
    return OK;
}

static void reply_list(struct call *call, const struct list_request *request)
{
    struct function *page[LAMBDA_LIST_PAGE_MAX];
    bool more = false;
    size_t count = request->none ? 0 : engine_list(call->engine, request->after, request->max, page, &more);
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_val *functions = yyjson_mut_obj_add_arr(doc, root, "Functions");
    for (size_t i = 0; i < count; i++)
        yyjson_mut_arr_append(functions,
                              lambda_render_configuration(doc, page[i], LAMBDA_VIEW_LIST, request->all_versions));
    AUTO(buffer)
    struct buffer marker = BUFFER_EMPTY;
    if (more && count > 0) {
        codec_base64(&marker, slice_of(page[count - 1]->name));
        yyjson_mut_obj_add_strn(doc, root, "NextMarker", marker.at, marker.len);
    }
    call_reply_json(call, 200, doc);
}

void lambda_list_functions(struct call *call)
{
    struct error err = { 0 };
    struct list_request request = { SLICE_EMPTY, 0, false, false };
    if (read_list(call, &request, &err) != OK)
        call_fail(call, &err);
    else
        reply_list(call, &request);
}

/* ---- GetAccountSettings ---- */

void lambda_get_account_settings(struct call *call)
{
    uint32_t concurrency = engine_concurrency_limit(call->engine);
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_val *limit = yyjson_mut_obj_add_obj(doc, root, "AccountLimit");
    yyjson_mut_obj_add_uint(doc, limit, "TotalCodeSize", LAMBDA_TOTAL_CODE_BYTES);
    yyjson_mut_obj_add_uint(doc, limit, "CodeSizeUnzipped", PACKAGE_TREE_BYTES_MAX);
    yyjson_mut_obj_add_uint(doc, limit, "CodeSizeZipped", PACKAGE_ZIP_BYTES_MAX);
    yyjson_mut_obj_add_uint(doc, limit, "ConcurrentExecutions", concurrency);
    yyjson_mut_obj_add_uint(doc, limit, "UnreservedConcurrentExecutions", concurrency);
    yyjson_mut_val *usage = yyjson_mut_obj_add_obj(doc, root, "AccountUsage");
    yyjson_mut_obj_add_uint(doc, usage, "TotalCodeSize", engine_code_bytes(call->engine));
    yyjson_mut_obj_add_uint(doc, usage, "FunctionCount", engine_function_count(call->engine));
    call_reply_json(call, 200, doc);
}
