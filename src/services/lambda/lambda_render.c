#include "services/lambda/lambda.h"

#include "base/clock.h"

/* FunctionConfiguration, as AWS gives it to every client old or new: members that an older model does not know are ignored by its
 * readers, and those that a newer one wants to wait for (State, LastUpdateStatus) are there.
 * Not there: RuntimeVersionConfig (Hearth's runtimes have no ARN), VpcConfig and what else cannot be set yet. */

static void add_map(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct variable *variables, size_t count)
{
    for (size_t i = 0; i < count; i++)
        yyjson_mut_obj_add_str(doc, object, variables[i].name, variables[i].value);
}

static void add_nested(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct function *f)
{
    if (f->environment_count > 0) {
        yyjson_mut_val *environment = yyjson_mut_obj_add_obj(doc, object, "Environment");
        add_map(doc, yyjson_mut_obj_add_obj(doc, environment, "Variables"), f->environment, f->environment_count);
    }
    if (f->kms_key_arn != NULL)
        yyjson_mut_obj_add_str(doc, object, "KMSKeyArn", f->kms_key_arn);
    yyjson_mut_obj_add_str(doc, yyjson_mut_obj_add_obj(doc, object, "TracingConfig"), "Mode", f->tracing_mode);
    if (f->layer_count > 0) {
        yyjson_mut_val *layers = yyjson_mut_obj_add_arr(doc, object, "Layers");
        for (size_t i = 0; i < f->layer_count; i++) {
            yyjson_mut_val *layer = yyjson_mut_arr_add_obj(doc, layers);
            yyjson_mut_obj_add_str(doc, layer, "Arn", f->layers[i].arn);
            yyjson_mut_obj_add_uint(doc, layer, "CodeSize", f->layers[i].code_bytes);
        }
    }
    yyjson_mut_val *architectures = yyjson_mut_obj_add_arr(doc, object, "Architectures");
    yyjson_mut_arr_add_str(doc, architectures, f->architecture);
    yyjson_mut_obj_add_uint(doc, yyjson_mut_obj_add_obj(doc, object, "EphemeralStorage"), "Size", f->tmp_mb);
    yyjson_mut_val *snap = yyjson_mut_obj_add_obj(doc, object, "SnapStart");
    yyjson_mut_obj_add_str(doc, snap, "ApplyOn", "None");
    yyjson_mut_obj_add_str(doc, snap, "OptimizationStatus", "Off");
    yyjson_mut_val *logging = yyjson_mut_obj_add_obj(doc, object, "LoggingConfig");
    yyjson_mut_obj_add_str(doc, logging, "LogFormat", f->log_format);
    if (f->application_log_level != NULL)
        yyjson_mut_obj_add_str(doc, logging, "ApplicationLogLevel", f->application_log_level);
    if (f->system_log_level != NULL)
        yyjson_mut_obj_add_str(doc, logging, "SystemLogLevel", f->system_log_level);
    yyjson_mut_obj_add_str(doc, logging, "LogGroup", f->log_group);
}

yyjson_mut_val *lambda_render_configuration(yyjson_mut_doc *doc, const struct function *f, enum lambda_view view,
                                            struct slice qualifier)
{
    char modified[CLOCK_TEXT_BYTES];
    clock_lambda_ms(f->modified_ms, modified);
    yyjson_mut_val *object = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_str(doc, object, "FunctionName", f->name);
    if (qualifier.len > 0) {
        AUTO(buffer)
        struct buffer arn = BUFFER_EMPTY;
        buffer_appendf(&arn, "%s:%.*s", f->arn, SLICE_PRINT(qualifier));
        yyjson_mut_obj_add_strncpy(doc, object, "FunctionArn", arn.at, arn.len);
    } else
        yyjson_mut_obj_add_str(doc, object, "FunctionArn", f->arn);
    yyjson_mut_obj_add_str(doc, object, "Runtime", f->runtime->id);
    yyjson_mut_obj_add_str(doc, object, "Role", f->role);
    yyjson_mut_obj_add_str(doc, object, "Handler", f->handler);
    yyjson_mut_obj_add_uint(doc, object, "CodeSize", f->code_bytes);
    yyjson_mut_obj_add_str(doc, object, "Description", f->description);
    yyjson_mut_obj_add_uint(doc, object, "Timeout", f->timeout_s);
    yyjson_mut_obj_add_uint(doc, object, "MemorySize", f->memory_mb);
    yyjson_mut_obj_add_strcpy(doc, object, "LastModified", modified);
    yyjson_mut_obj_add_str(doc, object, "CodeSha256", f->code_sha256);
    yyjson_mut_obj_add_str(doc, object, "Version", f->version);
    yyjson_mut_obj_add_str(doc, object, "RevisionId", f->revision_id);
    yyjson_mut_obj_add_str(doc, object, "PackageType", "Zip");
    if (view == LAMBDA_VIEW_FULL) {
        yyjson_mut_obj_add_str(doc, object, "State", "Active");
        yyjson_mut_obj_add_str(doc, object, "LastUpdateStatus", "Successful");
    }
    add_nested(doc, object, f);
    return object;
}

void lambda_reply_configuration(struct call *call, int status, const struct function *f, struct slice qualifier)
{
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, lambda_render_configuration(doc, f, LAMBDA_VIEW_FULL, qualifier));
    call_reply_json(call, status, doc);
}
