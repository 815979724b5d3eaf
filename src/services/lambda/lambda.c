#include "services/lambda/lambda.h"

/* The table. Paths as in AWS's model; the front matches them, checks the permission on `resource`, and calls the handler. */

static void append_arn(const struct call *call, struct slice region, struct slice account, struct slice name,
                       struct slice qualifier, struct buffer *out)
{
    buffer_append_text(out, "arn:aws:lambda:");
    buffer_append_slice(out, region.len > 0 ? region : slice_of(engine_region(call->engine)));
    buffer_append_byte(out, ':');
    buffer_append_slice(out, account.len > 0 ? account : slice_of(engine_account(call->engine)));
    buffer_append_text(out, ":function:");
    buffer_append_slice(out, name);
    if (qualifier.len > 0) {
        buffer_append_byte(out, ':');
        buffer_append_slice(out, qualifier);
    }
}

/* A name that cannot be read is kept as it is: no policy names it, and the handler will refuse it. */
static void append_function(const struct call *call, struct slice text, struct slice qualifier, struct buffer *out)
{
    struct lambda_name name = { SLICE_EMPTY, SLICE_EMPTY, text, SLICE_EMPTY };
    if (!lambda_name_parse(text, LAMBDA_NAME_NAMESPACED, &name))
        name = (struct lambda_name){ SLICE_EMPTY, SLICE_EMPTY, text, SLICE_EMPTY };
    append_arn(call, name.region, name.account, name.name, qualifier.len > 0 ? qualifier : name.qualifier, out);
}

static void function_of_path(const struct call *call, struct buffer *out)
{
    append_function(call, call_path(call, "FunctionName"), call_query(call, "Qualifier"), out);
}

/* CreateFunction names its function in the body. Reading it here costs nothing: call_json keeps what it parsed for the handler,
 * which is also why the constness of `call` can be put aside. A body that cannot be read names no function at all. */
static void function_of_body(const struct call *call, struct buffer *out)
{
    yyjson_val *body = NULL;
    struct slice name = SLICE_EMPTY;
    if (call_json((struct call *)(uintptr_t)call, &body, NULL) == OK)
        name = json_slice(yyjson_obj_get(body, "FunctionName"));
    append_function(call, name, SLICE_EMPTY, out);
}

static void resource_of_path(const struct call *call, struct buffer *out)
{
    buffer_append_slice(out, call_path(call, "Resource"));
}

static void any_resource(const struct call *call, struct buffer *out)
{
    (void)call;
    buffer_append_byte(out, '*');
}

#define FUNCTIONS "/2015-03-31/functions"
#define LAYERS    "/2018-10-31/layers"

static const struct operation lambda_operations[] = {
    /* name, method, path, IAM action, resource, handler, longest body. The hot one first: the front looks in this order. */
    { "Invoke", "POST", FUNCTIONS "/{FunctionName}/invocations", "lambda:InvokeFunction", function_of_path,
      lambda_invoke, INVOKE_PAYLOAD_BYTES_MAX },
    { "InvokeAsync", "POST", "/2014-11-13/functions/{FunctionName}/invoke-async/", "lambda:InvokeAsync",
      function_of_path, lambda_invoke_async, INVOKE_PAYLOAD_BYTES_MAX },
    { "GetFunction", "GET", FUNCTIONS "/{FunctionName}", "lambda:GetFunction", function_of_path,
      lambda_get_function, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "GetFunctionConfiguration", "GET", FUNCTIONS "/{FunctionName}/configuration",
      "lambda:GetFunctionConfiguration", function_of_path, lambda_get_function_configuration,
      LAMBDA_CONFIGURATION_BYTES_MAX },
    { "CreateFunction", "POST", FUNCTIONS, "lambda:CreateFunction", function_of_body, lambda_create_function,
      LAMBDA_REQUEST_BYTES_MAX },
    { "UpdateFunctionCode", "PUT", FUNCTIONS "/{FunctionName}/code", "lambda:UpdateFunctionCode", function_of_path,
      lambda_update_function_code, LAMBDA_REQUEST_BYTES_MAX },
    { "UpdateFunctionConfiguration", "PUT", FUNCTIONS "/{FunctionName}/configuration",
      "lambda:UpdateFunctionConfiguration", function_of_path, lambda_update_function_configuration,
      LAMBDA_CONFIGURATION_BYTES_MAX },
    { "DeleteFunction", "DELETE", FUNCTIONS "/{FunctionName}", "lambda:DeleteFunction", function_of_path,
      lambda_delete_function, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "ListFunctions", "GET", FUNCTIONS, "lambda:ListFunctions", any_resource, lambda_list_functions,
      LAMBDA_CONFIGURATION_BYTES_MAX },
    { "PublishVersion", "POST", FUNCTIONS "/{FunctionName}/versions", "lambda:PublishVersion", function_of_path,
      lambda_publish_version, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "ListVersionsByFunction", "GET", FUNCTIONS "/{FunctionName}/versions", "lambda:ListVersionsByFunction",
      function_of_path, lambda_list_versions_by_function, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "CreateAlias", "POST", FUNCTIONS "/{FunctionName}/aliases", "lambda:CreateAlias", function_of_path,
      lambda_create_alias, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "ListAliases", "GET", FUNCTIONS "/{FunctionName}/aliases", "lambda:ListAliases", function_of_path,
      lambda_list_aliases, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "GetAlias", "GET", FUNCTIONS "/{FunctionName}/aliases/{Name}", "lambda:GetAlias", function_of_path,
      lambda_get_alias, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "UpdateAlias", "PUT", FUNCTIONS "/{FunctionName}/aliases/{Name}", "lambda:UpdateAlias", function_of_path,
      lambda_update_alias, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "DeleteAlias", "DELETE", FUNCTIONS "/{FunctionName}/aliases/{Name}", "lambda:DeleteAlias", function_of_path,
      lambda_delete_alias, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "PutFunctionConcurrency", "PUT", "/2017-10-31/functions/{FunctionName}/concurrency",
      "lambda:PutFunctionConcurrency", function_of_path, lambda_put_function_concurrency,
      LAMBDA_CONFIGURATION_BYTES_MAX },
    { "GetFunctionConcurrency", "GET", "/2019-09-30/functions/{FunctionName}/concurrency",
      "lambda:GetFunctionConcurrency", function_of_path, lambda_get_function_concurrency,
      LAMBDA_CONFIGURATION_BYTES_MAX },
    { "DeleteFunctionConcurrency", "DELETE", "/2017-10-31/functions/{FunctionName}/concurrency",
      "lambda:DeleteFunctionConcurrency", function_of_path, lambda_delete_function_concurrency,
      LAMBDA_CONFIGURATION_BYTES_MAX },
    { "TagResource", "POST", "/2017-03-31/tags/{Resource}", "lambda:TagResource", resource_of_path,
      lambda_tag_resource, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "UntagResource", "DELETE", "/2017-03-31/tags/{Resource}", "lambda:UntagResource", resource_of_path,
      lambda_untag_resource, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "ListTags", "GET", "/2017-03-31/tags/{Resource}", "lambda:ListTags", resource_of_path, lambda_list_tags,
      LAMBDA_CONFIGURATION_BYTES_MAX },
    { "GetFunctionCodeSigningConfig", "GET", "/2020-06-30/functions/{FunctionName}/code-signing-config",
      "lambda:GetFunctionCodeSigningConfig", function_of_path, lambda_get_function_code_signing_config,
      LAMBDA_CONFIGURATION_BYTES_MAX },
    { "GetRuntimeManagementConfig", "GET", "/2021-07-20/functions/{FunctionName}/runtime-management-config",
      "lambda:GetRuntimeManagementConfig", function_of_path, lambda_get_runtime_management_config,
      LAMBDA_CONFIGURATION_BYTES_MAX },
    { "GetFunctionRecursionConfig", "GET", "/2024-08-31/functions/{FunctionName}/recursion-config",
      "lambda:GetFunctionRecursionConfig", function_of_path, lambda_get_function_recursion_config,
      LAMBDA_CONFIGURATION_BYTES_MAX },
    { "GetAccountSettings", "GET", "/2016-08-19/account-settings", "lambda:GetAccountSettings", any_resource,
      lambda_get_account_settings, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "CreateFunctionUrlConfig", "POST", "/2021-10-31/functions/{FunctionName}/url",
      "lambda:CreateFunctionUrlConfig", function_of_path, lambda_create_function_url_config,
      LAMBDA_CONFIGURATION_BYTES_MAX },
    { "GetFunctionUrlConfig", "GET", "/2021-10-31/functions/{FunctionName}/url", "lambda:GetFunctionUrlConfig",
      function_of_path, lambda_get_function_url_config, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "UpdateFunctionUrlConfig", "PUT", "/2021-10-31/functions/{FunctionName}/url",
      "lambda:UpdateFunctionUrlConfig", function_of_path, lambda_update_function_url_config,
      LAMBDA_CONFIGURATION_BYTES_MAX },
    { "DeleteFunctionUrlConfig", "DELETE", "/2021-10-31/functions/{FunctionName}/url",
      "lambda:DeleteFunctionUrlConfig", function_of_path, lambda_delete_function_url_config,
      LAMBDA_CONFIGURATION_BYTES_MAX },
    { "ListFunctionUrlConfigs", "GET", "/2021-10-31/functions/{FunctionName}/urls", "lambda:ListFunctionUrlConfigs",
      function_of_path, lambda_list_function_url_configs, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "AddPermission", "POST", FUNCTIONS "/{FunctionName}/policy", "lambda:AddPermission", function_of_path,
      lambda_add_permission, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "GetPolicy", "GET", FUNCTIONS "/{FunctionName}/policy", "lambda:GetPolicy", function_of_path,
      lambda_get_policy, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "RemovePermission", "DELETE", FUNCTIONS "/{FunctionName}/policy/{StatementId}", "lambda:RemovePermission",
      function_of_path, lambda_remove_permission, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "PublishLayerVersion", "POST", LAYERS "/{LayerName}/versions", "lambda:PublishLayerVersion",
      lambda_layer_resource, lambda_publish_layer_version, LAMBDA_REQUEST_BYTES_MAX },
    { "GetLayerVersionByArn", "GET", LAYERS "?find=LayerVersion", "lambda:GetLayerVersion", lambda_layer_resource,
      lambda_get_layer_version_by_arn, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "ListLayers", "GET", LAYERS, "lambda:ListLayers", any_resource, lambda_list_layers,
      LAMBDA_CONFIGURATION_BYTES_MAX },
    { "ListLayerVersions", "GET", LAYERS "/{LayerName}/versions", "lambda:ListLayerVersions", lambda_layer_resource,
      lambda_list_layer_versions, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "GetLayerVersion", "GET", LAYERS "/{LayerName}/versions/{VersionNumber}", "lambda:GetLayerVersion",
      lambda_layer_resource, lambda_get_layer_version, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "DeleteLayerVersion", "DELETE", LAYERS "/{LayerName}/versions/{VersionNumber}", "lambda:DeleteLayerVersion",
      lambda_layer_resource, lambda_delete_layer_version, LAMBDA_CONFIGURATION_BYTES_MAX },
    { "AddLayerVersionPermission", "POST", LAYERS "/{LayerName}/versions/{VersionNumber}/policy",
      "lambda:AddLayerVersionPermission", lambda_layer_resource, lambda_add_layer_version_permission,
      LAMBDA_CONFIGURATION_BYTES_MAX },
    { "GetLayerVersionPolicy", "GET", LAYERS "/{LayerName}/versions/{VersionNumber}/policy",
      "lambda:GetLayerVersionPolicy", lambda_layer_resource, lambda_get_layer_version_policy,
      LAMBDA_CONFIGURATION_BYTES_MAX },
    { "RemoveLayerVersionPermission", "DELETE", LAYERS "/{LayerName}/versions/{VersionNumber}/policy/{StatementId}",
      "lambda:RemoveLayerVersionPermission", lambda_layer_resource, lambda_remove_layer_version_permission,
      LAMBDA_CONFIGURATION_BYTES_MAX },
};

const struct service lambda_service = {
    .name = "lambda",
    .family = FAMILY_REST_JSON,
    .operations = lambda_operations,
    .operation_count = sizeof(lambda_operations) / sizeof(lambda_operations[0]),
};
