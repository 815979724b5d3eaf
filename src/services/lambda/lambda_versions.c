#include "services/lambda/lambda.h"

/* Versions: frozen copies of $LATEST. */

static void published(enum outcome outcome, struct function *f, const struct error *err, void *arg)
{
    if (outcome == OK)
        lambda_reply_configuration(arg, 201, f, slice_of(f->version));
    else
        call_fail(arg, err);
}

struct publish_request {
    struct slice code_sha256, revision_id;
    const char *description; /* NULL: that of $LATEST */
};

static enum outcome read_publish(struct call *call, struct publish_request *out, struct error *err)
{
    yyjson_val *body = NULL, *sha256 = NULL, *description = NULL, *revision = NULL, *publish_to = NULL;
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    TRY(call_json(call, &body, err));
    TRY(lambda_member(body, "CodeSha256", LAMBDA_STRING, &sha256, err));
    TRY(lambda_member(body, "Description", LAMBDA_STRING, &description, err));
    TRY(lambda_member(body, "RevisionId", LAMBDA_STRING, &revision, err));
    TRY(lambda_member(body, "PublishTo", LAMBDA_STRING, &publish_to, err));
    if (description != NULL)
        lambda_check_length(&checks, "description", json_slice(description), 0, FUNCTION_DESCRIPTION_BYTES_MAX);
    TRY(lambda_checks_result(&checks, err));
    if (json_slice(publish_to).len > 0)
        return error_set_code(err, ERROR_UNSUPPORTED, "InvalidParameterValueException",
                              "Leave it out; docs/compatibility.md tells what is there.",
                              "PublishTo is not supported by this server yet.");
    /* AWS takes an empty Description for none given: the version then has that of $LATEST. */
    out->description = json_slice(description).len > 0 ? lambda_keep(call, json_slice(description)).at : NULL;
    out->code_sha256 = lambda_keep(call, json_slice(sha256));
    out->revision_id = lambda_keep(call, json_slice(revision));
    return OK;
}

static enum outcome publish(struct call *call, struct error *err)
{
    struct function *f = NULL;
    struct publish_request request = { SLICE_EMPTY, SLICE_EMPTY, NULL };
    TRY(lambda_find_unqualified(call, LAMBDA_NAME_FUNCTION, &f, err));
    TRY(read_publish(call, &request, err));
    TRY(lambda_check_revision(f->revision_id, request.revision_id, err));
    if (request.code_sha256.len > 0 && !slice_is(request.code_sha256, f->code_sha256))
        return error_set_code(err, ERROR_INVALID, "InvalidParameterValueException", "Read the function again.",
                              "CodeSHA256 (%.*s) is different from current CodeSHA256 in $LATEST (%s). Please try "
                              "again with the CodeSHA256 in $LATEST.",
                              SLICE_PRINT(lambda_shown(request.code_sha256, LAMBDA_VALUE_SHOWN_MAX)),
                              f->code_sha256);
    engine_publish(call->engine, lambda_keep(call, slice_of(f->name)), request.description, request.code_sha256,
                   request.revision_id, published, call);
    return OK;
}

void lambda_publish_version(struct call *call)
{
    struct error err = { 0 };
    if (publish(call, &err) != OK)
        call_fail(call, &err);
}

/* ---- ListVersionsByFunction ---- */

static enum outcome list(struct call *call, struct error *err)
{
    struct function *f = NULL, *versions[LAMBDA_LIST_PAGE_MAX];
    struct lambda_page page;
    uint64_t after = UINT64_MAX;
    bool more = false;
    TRY(lambda_find_unqualified(call, LAMBDA_NAME_NAMESPACED, &f, err));
    TRY(lambda_read_page(call, &page, err));
    if (page.after.len > 0 && !lambda_version_number(page.after, &after))
        return error_set_code(err, ERROR_INVALID, "InvalidParameterValueException", "Start again without a Marker.",
                              "The Marker is not one that ListVersionsByFunction gave.");
    size_t count = engine_list_versions(call->engine, slice_of(f->name), after, page.max, versions, &more);
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, root, "Versions");
    for (size_t i = 0; i < count; i++)
        yyjson_mut_arr_append(
            array, lambda_render_configuration(doc, versions[i], LAMBDA_VIEW_LIST, slice_of(versions[i]->version)));
    if (more && count > 0)
        lambda_add_marker(doc, root, slice_of(versions[count - 1]->version));
    call_reply_json(call, 200, doc);
    return OK;
}

void lambda_list_versions_by_function(struct call *call)
{
    struct error err = { 0 };
    if (list(call, &err) != OK)
        call_fail(call, &err);
}
