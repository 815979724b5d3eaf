#include "services/lambda/lambda.h"

#include <stdlib.h>

/* Environment variables and tags: maps of strings that a stranger sends. */

/* AWS Lambda developer guide, "Defined runtime environment variables", reserved ones. (_HANDLER and _X_AMZN_TRACE_ID are refused
 * by the pattern already; TZ, PATH, LD_LIBRARY_PATH, NODE_OPTIONS and their like may be set.) */
static const char *const reserved_names[] = {
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
};

static bool reserved(struct slice name)
{
    for (size_t i = 0; i < sizeof(reserved_names) / sizeof(reserved_names[0]); i++)
        if (slice_is(name, reserved_names[i]))
            return true;
    return false;
}

static bool name_ok(struct slice name) /* [a-zA-Z]([a-zA-Z0-9_])+ */
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool other = (c >= '0' && c <= '9') || c == '_';
        if (!letter && !(other && i > 0))
            return false;
    }
    return name.len >= 2;
}

/* A map of strings as it came, not yet looked at. */
static enum outcome read_map(yyjson_val *map, struct variable **out, size_t *count, struct error *err)
{
    if (yyjson_obj_size(map) > LAMBDA_VARIABLES_MAX)
        return error_set_code(err, ERROR_INVALID, "InvalidParameterValueException", "Send fewer of them.",
                              "A map in the request has %zu members, the limit is %d", yyjson_obj_size(map),
                              LAMBDA_VARIABLES_MAX);
    struct variable *variables = memory_new_array(yyjson_obj_size(map), sizeof(*variables));
    size_t n = 0;
    yyjson_obj_iter iter = yyjson_obj_iter_with(map);
    for (yyjson_val *key = NULL; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        struct slice name = json_slice(key), text = json_slice(value);
        enum outcome fits = lambda_type_check(value, LAMBDA_STRING, err);
        if (fits == OK && (memchr(name.at, '\0', name.len) != NULL || memchr(text.at, '\0', text.len) != NULL))
            fits = error_set_code(err, ERROR_INVALID, "SerializationException", "Leave it out.",
                                  "a String can not contain the character U+0000");
        if (fits != OK) {
            variables_free(variables, n);
            return FAILED;
        }
        variables[n++] = (struct variable){ slice_dup(name), slice_dup(text) };
    }
    *out = variables;
    *count = variables_sort(variables, n);
    return OK;
}

static void refuse_reserved(const struct variable *variables, size_t count, struct error *refused)
{
    struct buffer names = BUFFER_EMPTY;
    for (size_t i = 0; i < count; i++)
        if (reserved(slice_of(variables[i].name)))
            buffer_appendf(&names, "%s%s", names.len > 0 ? ", " : "", variables[i].name);
    if (names.len > 0 && refused->kind == ERROR_NONE)
        (void)error_set_code(
            refused, ERROR_INVALID, "InvalidParameterValueException", "Choose other names.",
            "Lambda was unable to configure your environment variables because the environment variables "
            "you have provided contains reserved keys that are currently not supported for modification. "
            "Reserved keys used in this request: %s",
            buffer_text(&names));
    buffer_drop(&names);
}

enum outcome lambda_read_variables(yyjson_val *map, struct lambda_checks *checks, struct error *refused,
                                   struct variable **out, size_t *count, struct error *err)
{
    TRY(read_map(map, out, count, err));
    bool names_ok = true;
    for (size_t i = 0; i < *count; i++)
        names_ok = names_ok && name_ok(slice_of((*out)[i].name));
    if (!names_ok) { /* AWS says no name here: variables are sensitive in its model */
        if (checks->count++ > 0)
            buffer_append_text(&checks->text, "; ");
        buffer_append_text(
            &checks->text,
            "Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: "
            "[Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]");
    }
    refuse_reserved(*out, *count, refused);
    return OK;
}

enum outcome lambda_environment_fits(const struct function *f, struct error *err)
{
    struct buffer text = BUFFER_EMPTY;
    function_write_environment(f, &text);
    size_t len = text.len;
    buffer_wipe(&text);
    if (len <= FUNCTION_ENVIRONMENT_BYTES_MAX)
        return OK;
    /* AWS repeats the whole text here. Ours does not: an error may be logged, and the values may be secrets. */
    return error_set_code(
        err, ERROR_INVALID, "InvalidParameterValueException", "Keep large values in a parameter store.",
        "Lambda was unable to configure your environment variables because the environment variables you "
        "have provided exceeded the 4KB limit. String measured: %zu bytes",
        len);
}

enum outcome lambda_read_tags(yyjson_val *map, struct error *refused, struct variable **out, size_t *count,
                              struct error *err)
{
    TRY(read_map(map, out, count, err));
    if (refused->kind != ERROR_NONE)
        return OK;
    static const char *const code = "InvalidParameterValueException", *const hint = "Correct the tags.";
    if (*count > FUNCTION_TAGS_MAX)
        (void)error_set_code(refused, ERROR_INVALID, code, hint, "Number of tags exceeds resource tag limit.");
    for (size_t i = 0; i < *count && refused->kind == ERROR_NONE; i++) {
        struct slice name = slice_of((*out)[i].name), value = slice_of((*out)[i].value);
        size_t name_length = lambda_text_length(name);
        if (name_length < 1 || name_length > LAMBDA_TAG_KEY_CHARS_MAX ||
            lambda_text_length(value) > LAMBDA_TAG_VALUE_CHARS_MAX)
            (void)error_set_code(refused, ERROR_INVALID, code, hint,
                                 "Tag keys have 1 to %d characters, tag values at most %d.",
                                 LAMBDA_TAG_KEY_CHARS_MAX, LAMBDA_TAG_VALUE_CHARS_MAX);
        else if (name.len >= 4 && slice_equal_nocase(slice_sub(name, 0, 4), SLICE("aws:")))
            (void)error_set_code(refused, ERROR_INVALID, code, hint,
                                 "Tag keys that start with \"aws:\" are reserved for system use.");
    }
    return OK;
}
