#include "services/lambda/lambda.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/codec.h"

/* AWS's front (Coral) reads a body in two steps, and so do we: first types, where the first wrong one ends it with a
 * SerializationException; then every constraint of the model, all violations in one ValidationException. What Lambda itself then
 * demands (a runtime that exists, 4 KB of environment) is an InvalidParameterValueException, one at a time. */

void lambda_checks_drop(struct lambda_checks *checks)
{
    buffer_drop(&checks->text);
    checks->count = 0;
}

struct slice lambda_shown(struct slice value, size_t max)
{
    if (value.len <= max)
        return value;
    size_t len = max;
    while (len > 0 && ((unsigned char)value.at[len] & 0xC0) == 0x80)
        len--;
    return slice_sub(value, 0, len);
}

void lambda_check_failed(struct lambda_checks *checks, const char *member, struct slice value,
                         const char *constraint, ...)
{
    char text[ERROR_MESSAGE_BYTES]; /* the lists of all runtimes are long */
    va_list args;
    va_start(args, constraint);
    vsnprintf(text, sizeof(text), constraint, args);
    va_end(args);
    if (checks->count++ > 0)
        buffer_append_text(&checks->text, "; ");
    buffer_append_text(&checks->text, "Value ");
    if (value.at == NULL)
        buffer_append_text(&checks->text, "null");
    else {
        struct slice shown = lambda_shown(value, LAMBDA_VALUE_SHOWN_MAX);
        buffer_appendf(&checks->text, "'%.*s%s'", SLICE_PRINT(shown), shown.len < value.len ? "..." : "");
    }
    buffer_appendf(&checks->text, " at '%s' failed to satisfy constraint: %s", member, text);
}

size_t lambda_text_length(struct slice text)
{
    size_t units = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if ((c & 0xC0) != 0x80)
            units += c >= 0xF0 ? 2 : 1; /* beyond the BMP: a surrogate pair */
    }
    return units;
}

void lambda_check_length(struct lambda_checks *checks, const char *member, struct slice value, size_t min,
                         size_t max)
{
    size_t length = lambda_text_length(value);
    if (length > max)
        lambda_check_failed(checks, member, value, "Member must have length less than or equal to %zu", max);
    else if (length < min)
        lambda_check_failed(checks, member, value, "Member must have length greater than or equal to %zu", min);
}

void lambda_check_range(struct lambda_checks *checks, const char *member, int64_t value, int64_t min, int64_t max)
{
    char number[24];
    int len = snprintf(number, sizeof(number), "%" PRId64, value);
    struct slice text = slice_from(number, (size_t)len);
    if (value > max)
        lambda_check_failed(checks, member, text, "Member must have value less than or equal to %" PRId64, max);
    else if (value < min)
        lambda_check_failed(checks, member, text, "Member must have value greater than or equal to %" PRId64, min);
}

enum outcome lambda_checks_result(const struct lambda_checks *checks, struct error *err)
{
    if (checks->count == 0)
        return OK;
    /* The whole sentence must fit an error's message, and must not be cut inside of a character. */
    struct slice text = lambda_shown(buffer_slice(&checks->text), ERROR_MESSAGE_BYTES - 64);
    return error_set_code(err, ERROR_INVALID, "ValidationException", "Correct the values that are named.",
                          "%u validation error%s detected: %.*s%s", checks->count, checks->count == 1 ? "" : "s",
                          SLICE_PRINT(text), text.len < checks->text.len ? "..." : "");
}

/* What Coral's reader calls the token that it met. */
static const char *token_name(yyjson_val *value)
{
    switch (yyjson_get_type(value)) {
    case YYJSON_TYPE_STR:
        return "STRING_VALUE";
    case YYJSON_TYPE_NUM:
        return "NUMBER_VALUE";
    case YYJSON_TYPE_BOOL:
        return yyjson_get_bool(value) ? "TRUE_VALUE" : "FALSE_VALUE";
    case YYJSON_TYPE_NULL:
        return "NULL_VALUE";
    default:
        return NULL; /* a list, structure or map */
    }
}

static enum outcome serialization(struct error *err, const char *text)
{
    return error_set_code(err, ERROR_INVALID, "SerializationException", "Send the type that the API's model has.",
                          "%s", text);
}

enum outcome lambda_type_check(yyjson_val *value, enum lambda_type type, struct error *err)
{
    static const char *const wanted[] = {
        [LAMBDA_STRING] = "a String", [LAMBDA_INTEGER] = "an Integer",    [LAMBDA_BOOLEAN] = "a Boolean",
        [LAMBDA_LIST] = "a List",     [LAMBDA_STRUCTURE] = "a Structure", [LAMBDA_MAP] = "a Map",
    };
    bool fits = false;
    switch (type) {
    case LAMBDA_STRING:
        fits = yyjson_is_str(value);
        break;
    case LAMBDA_INTEGER:
        fits = yyjson_is_int(value);
        break;
    case LAMBDA_BOOLEAN:
        fits = yyjson_is_bool(value);
        break;
    case LAMBDA_LIST:
        fits = yyjson_is_arr(value);
        break;
    case LAMBDA_STRUCTURE:
    case LAMBDA_MAP:
        fits = yyjson_is_obj(value);
        break;
    }
    if (fits)
        return OK;
    const char *token = token_name(value);
    if (token == NULL)
        return serialization(err, yyjson_is_arr(value) ? "Start of list found where not expected"
                                                       : "Start of structure or map found where not expected.");
    char text[96];
    snprintf(text, sizeof(text), "%s can not be converted to %s", token, wanted[type]);
    return serialization(err, text);
}

enum outcome lambda_member(yyjson_val *object, const char *name, enum lambda_type type, yyjson_val **out,
                           struct error *err)
{
    yyjson_val *value = yyjson_obj_get(object, name);
    if (value == NULL || yyjson_is_null(value)) {
        *out = NULL;
        return OK;
    }
    TRY(lambda_type_check(value, type, err));
    /* Our texts end at a NUL, as the environment and the runtimes' own do: one inside could hide what stands behind it. */
    if (type == LAMBDA_STRING && memchr(yyjson_get_str(value), '\0', yyjson_get_len(value)) != NULL)
        return serialization(err, "a String can not contain the character U+0000");
    *out = value;
    return OK;
}

/* ---- pages of lists ---- */

/* The model lets most lists be asked for 10,000 items at once (Lambda gives 50 all the same), and these for no more than 50. */
static int64_t max_items_max(const struct call *call)
{
    static const char *const small[] = { "ListLayers", "ListLayerVersions", "ListFunctionUrlConfigs" };
    for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++)
        if (strcmp(call->operation->name, small[i]) == 0)
            return LAMBDA_LIST_PAGE_MAX;
    return LAMBDA_LIST_MAX;
}

static enum outcome read_max_items(struct call *call, size_t *max, struct error *err)
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
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    lambda_check_range(&checks, "maxItems", negative ? -(int64_t)number : (int64_t)number, 1, max_items_max(call));
    TRY(lambda_checks_result(&checks, err));
    if (number < *max)
        *max = (size_t)number;
    return OK;
}

/* What we list has names of these: functions, versions ("$LATEST"), "function:version", aliases, layers. */
static bool marker_ok(struct slice name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_$:.";
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] == '\0' || strchr(allowed, name.at[i]) == NULL)
            return false;
    return name.len > 0 && name.len <= LAMBDA_NAME_BYTES_MAX;
}

enum outcome lambda_read_page(struct call *call, struct lambda_page *out, struct error *err)
{
    struct lambda_page page = { 0, SLICE_EMPTY };
    struct slice marker = call_query(call, "Marker");
    TRY(read_max_items(call, &page.max, err));
    if (marker.len > 0) {
        AUTO(buffer)
        struct buffer name = BUFFER_EMPTY;
        if (marker.len > (size_t)LAMBDA_NAME_BYTES_MAX * 2 || !codec_unbase64(&name, marker) ||
            !marker_ok(buffer_slice(&name)))
            return error_set_code(err, ERROR_INVALID, "InvalidParameterValueException",
                                  "Start again without a Marker.", "The Marker is not one that %s gave.",
                                  call->operation->name);
        page.after = lambda_keep(call, buffer_slice(&name));
    }
    *out = page;
    return OK;
}

void lambda_add_marker(yyjson_mut_doc *doc, yyjson_mut_val *root, struct slice last)
{
    AUTO(buffer)
    struct buffer marker = BUFFER_EMPTY;
    codec_base64(&marker, last);
    yyjson_mut_obj_add_strncpy(doc, root, "NextMarker", marker.at, marker.len);
}

/* ---- what several operations refuse alike ---- */

enum outcome lambda_check_revision(const char *current, struct slice given, struct error *err)
{
    if (given.len == 0 || slice_is(given, current))
        return OK;
    return error_set_code(
        err, ERROR_PRECONDITION, "PreconditionFailedException", "Read it again, then retry.",
        "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to "
        "retrieve the latest Revision Id");
}

enum outcome lambda_update_in_progress(struct call *call, struct slice name, struct error *err)
{
    return error_set_code(
        err, ERROR_CONFLICT, "ResourceConflictException", "Try again.",
        "The operation cannot be performed at this time. An update is in progress for resource: %s",
        lambda_function_arn(call, name, SLICE_EMPTY));
}
