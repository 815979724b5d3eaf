#include "services/lambda/lambda.h"

/* What is only read: the account's limits, and settings that nobody can change here but that tools look at after each deployment.
 * The answers are what is true of this server: no code is checked for a signature, a runtime is what is installed on the machine,
 * and is newer when the machine's is. */

static void reply_object(struct call *call, yyjson_mut_doc *doc, yyjson_mut_val *root)
{
    yyjson_mut_doc_set_root(doc, root);
    call_reply_json(call, 200, doc);
}

void lambda_get_account_settings(struct call *call)
{
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *limit = yyjson_mut_obj_add_obj(doc, root, "AccountLimit");
    yyjson_mut_obj_add_uint(doc, limit, "TotalCodeSize", LAMBDA_TOTAL_CODE_BYTES);
    yyjson_mut_obj_add_uint(doc, limit, "CodeSizeUnzipped", PACKAGE_TREE_BYTES_MAX);
    yyjson_mut_obj_add_uint(doc, limit, "CodeSizeZipped", PACKAGE_ZIP_BYTES_MAX);
    yyjson_mut_obj_add_uint(doc, limit, "ConcurrentExecutions", engine_concurrency_limit(call->engine));
    yyjson_mut_obj_add_uint(doc, limit, "UnreservedConcurrentExecutions", engine_unreserved(call->engine));
    yyjson_mut_val *usage = yyjson_mut_obj_add_obj(doc, root, "AccountUsage");
    yyjson_mut_obj_add_uint(doc, usage, "TotalCodeSize", engine_code_bytes(call->engine));
    yyjson_mut_obj_add_uint(doc, usage, "FunctionCount", engine_function_count(call->engine));
    reply_object(call, doc, root);
}

/* AWS answers with an empty object when no configuration is attached, whatever its model calls required. */
void lambda_get_function_code_signing_config(struct call *call)
{
    struct error err = { 0 };
    struct function *f = NULL;
    if (lambda_find_unqualified(call, LAMBDA_NAME_NAMESPACED, &f, &err) != OK) {
        call_fail(call, &err);
        return;
    }
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    reply_object(call, doc, yyjson_mut_obj(doc));
}

void lambda_get_runtime_management_config(struct call *call)
{
    struct error err = { 0 };
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    struct function *f = NULL;
    if (lambda_target_of(call, LAMBDA_NAME_NAMESPACED, &target, &err) != OK ||
        lambda_find(call, &target, &f, &err) != OK) {
        call_fail(call, &err);
        return;
    }
    /* "If no value is specified, the configuration for the $LATEST version is returned." */
    struct slice qualifier = target.qualifier.len > 0 ? target.qualifier : SLICE("$LATEST");
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_str(doc, root, "UpdateRuntimeOn", "Auto");
    yyjson_mut_obj_add_str(doc, root, "FunctionArn", lambda_function_arn(call, target.name, qualifier));
    reply_object(call, doc, root);
}

void lambda_get_function_recursion_config(struct call *call)
{
    struct error err = { 0 };
    struct function *f = NULL;
    if (lambda_find_unqualified(call, LAMBDA_NAME_FUNCTION, &f, &err) != OK) {
        call_fail(call, &err);
        return;
    }
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_str(doc, root, "RecursiveLoop", "Terminate");
    reply_object(call, doc, root);
}
