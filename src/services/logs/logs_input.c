/* CloudWatch Logs checks a body as Lambda's front does, types first, then all constraints of the model at once; but what it then answers is
 * an InvalidParameterException. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/codec.h"
#include "base/memory.h"
#include "engine/engine.h"
#include "services/logs/logs.h"

enum { VALUE_SHOWN_MAX = 200 };

void *logs_take(struct logs_call *l, size_t count, size_t size)
{
    return arena_take(&l->call->arena, (count + 1) * size); /* counts are bounded by the body */
}

/* ---- off the loop and back ---- */

struct logs_call *logs_begin(struct call *call)
{
    struct error err = { 0 };
    yyjson_val *body = NULL;
    if (call_json(call, &body, &err) != OK) {
        call_fail(call, &err);
        return NULL;
    }
    struct logs_call *l = arena_take(&call->arena, sizeof(*l));
    l->call = call;
    l->body = body;
    l->account = engine_account(call->engine);
    l->region = engine_region(call->engine);
    call->data = l;
    return l;
}

static void finish(struct logs_call *l)
{
    struct call *call = l->call;
    struct buffer answer = buffer_take(&l->answer);
    struct error err = l->err;
    bool failed = l->failed;
    buffer_drop(&l->checks);
    log_filter_drop(&l->filter);
    if (failed) {
        buffer_drop(&answer);
        call_fail(call, &err);
    } else if (answer.len == 0) {
        buffer_drop(&answer);
        call_reply_empty(call, 200);
    } else
        call_reply_bytes(call, 200, "application/x-amz-json-1.1", &answer);
}

static void work(struct function_logs *logs, struct log_group *group, void *arg)
{
    struct logs_call *l = arg;
    l->failed = l->work(l, logs, group, &l->err) != OK;
}

static void done(void *arg)
{
    finish(arg);
}

static void client_is_gone(struct call *call)
{
    struct logs_call *l = call->data;
    __atomic_store_n(&l->cancelled, true, __ATOMIC_RELAXED);
}

static void tell_violations(struct logs_call *l)
{
    enum { ROOM = ERROR_MESSAGE_BYTES - 64 };
    size_t len = l->checks.len < ROOM ? l->checks.len : ROOM;
    while (len > 0 && len < l->checks.len && ((unsigned char)l->checks.at[len] & 0xC0) == 0x80)
        len--;
    (void)error_set_code(&l->err, ERROR_INVALID, "InvalidParameterException", "Correct the values that are named.",
                         "%u validation error%s detected: %.*s%s", l->violations, l->violations == 1 ? "" : "s",
                         (int)len, l->checks.at, len < l->checks.len ? "..." : "");
    l->failed = true;
}

void logs_run(struct logs_call *l, struct slice group, logs_work_fn *fn)
{
    if (!l->failed && l->violations > 0)
        tell_violations(l);
    if (l->failed) {
        finish(l);
        return;
    }
    l->work = fn;
    l->call->on_gone = client_is_gone;
    function_logs_work(l->call->logs, group, work, done, l);
}

void logs_refuse(struct logs_call *l, const char *code, const char *format, ...)
{
    char text[ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (!l->failed)
        (void)error_set_code(&l->err, ERROR_INVALID, code, "Correct the request.", "%s", text);
    l->failed = true;
}

/* ---- members ---- */

void logs_check_failed(struct logs_call *l, const char *member, struct slice value, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (l->violations++ > 0)
        buffer_append_text(&l->checks, "; ");
    if (value.at == NULL)
        buffer_append_text(&l->checks, "Value null");
    else {
        size_t len = value.len < VALUE_SHOWN_MAX ? value.len : VALUE_SHOWN_MAX;
        while (len > 0 && len < value.len && ((unsigned char)value.at[len] & 0xC0) == 0x80)
            len--;
        buffer_appendf(&l->checks, "Value '%.*s%s'", (int)len, value.at, len < value.len ? "..." : "");
    }
    buffer_appendf(&l->checks, " at '%s' failed to satisfy constraint: %s", member, text);
}

static void wrong_type(struct logs_call *l, yyjson_val *value, const char *wanted)
{
    const char *token = yyjson_is_str(value)    ? "STRING_VALUE"
                        : yyjson_is_num(value)  ? "NUMBER_VALUE"
                        : yyjson_is_true(value) ? "TRUE_VALUE"
                        : yyjson_is_bool(value) ? "FALSE_VALUE"
                        : yyjson_is_null(value) ? "NULL_VALUE"
                                                : NULL;
    if (token != NULL)
        logs_refuse(l, "SerializationException", "%s can not be converted to %s", token, wanted);
    else
        logs_refuse(l, "SerializationException", "%s",
                    yyjson_is_arr(value) ? "Start of list found where not expected"
                                         : "Start of structure or map found where not expected.");
}

bool logs_is_string(struct logs_call *l, yyjson_val *value)
{
    if (yyjson_is_str(value))
        return true;
    wrong_type(l, value, "a String");
    return false;
}

/* NULL: it is not there; `required` and that is a violation. */
static yyjson_val *find(struct logs_call *l, const char *member, bool required)
{
    yyjson_val *value = yyjson_obj_get(l->body, member);
    if (value != NULL && !yyjson_is_null(value))
        return value;
    if (required)
        logs_check_failed(l, member, (struct slice){ NULL, 0 }, "Member must not be null");
    return NULL;
}

/* In UTF-16 units, as Java counts. */
static size_t length_of(struct slice text)
{
    size_t units = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if ((c & 0xC0) != 0x80)
            units += c >= 0xF0 ? 2 : 1;
    }
    return units;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static const char *broken_pattern(struct slice value, enum logs_text_kind kind)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.at[i];
        if (kind == LOGS_TEXT_GROUP && !is_word(c) && (c == '\0' || strchr(".-_/#", c) == NULL))
            return "[\\.\\-_/#A-Za-z0-9]+";
        if (kind == LOGS_TEXT_STREAM && (c == ':' || c == '*' || c == '\0'))
            return "[^:*]*";
        if (kind == LOGS_TEXT_ARN && !is_word(c) && (c == '\0' || strchr("_#+=/:,.@-", c) == NULL))
            return "[\\w#+=/:,.@-]*";
    }
    return NULL;
}

void logs_check_text(struct logs_call *l, const char *member, struct slice value, size_t min, size_t max,
                     enum logs_text_kind kind)
{
    size_t length = length_of(value);
    const char *pattern = broken_pattern(value, kind);
    if (length > max && (kind == LOGS_TEXT_GROUP || kind == LOGS_TEXT_STREAM)) /* recorded */
        logs_refuse(l, "InvalidParameterException",
                    "Invalid LogGroup or LogStream, both must have length less than or equal to %zu.", max);
    else if (length > max)
        logs_check_failed(l, member, value, "Member must have length less than or equal to %zu", max);
    else if (length < min)
        logs_check_failed(l, member, value, "Member must have length greater than or equal to %zu", min);
    if (pattern != NULL)
        logs_check_failed(l, member, value, "Member must satisfy regular expression pattern: %s", pattern);
}

struct slice logs_text(struct logs_call *l, const char *member, bool required, size_t min, size_t max,
                       enum logs_text_kind kind)
{
    yyjson_val *value = find(l, member, required);
    if (value == NULL || !logs_is_string(l, value))
        return SLICE_EMPTY;
    struct slice text = json_slice(value);
    logs_check_text(l, member, text, min, max, kind);
    return text;
}

int64_t logs_number(struct logs_call *l, const char *member, bool required, int64_t min, int64_t max,
                    int64_t otherwise)
{
    char text[24];
    yyjson_val *value = find(l, member, required);
    if (value == NULL)
        return otherwise;
    if (!yyjson_is_int(value)) {
        wrong_type(l, value, max > INT32_MAX ? "a Long" : "an Integer");
        return otherwise;
    }
    bool huge = yyjson_is_uint(value) && yyjson_get_uint(value) > INT64_MAX;
    int64_t number = huge ? INT64_MAX : yyjson_get_sint(value);
    (void)snprintf(text, sizeof(text), "%" PRId64, number);
    if (number > max)
        logs_check_failed(l, member, slice_of(text), "Member must have value less than or equal to %" PRId64, max);
    else if (number < min)
        logs_check_failed(l, member, slice_of(text), "Member must have value greater than or equal to %" PRId64,
                          min);
    return number;
}

bool logs_flag(struct logs_call *l, const char *member)
{
    yyjson_val *value = find(l, member, false);
    if (value != NULL && !yyjson_is_bool(value))
        wrong_type(l, value, "a Boolean");
    return yyjson_is_true(value);
}

bool logs_structure(struct logs_call *l, const char *member)
{
    yyjson_val *value = find(l, member, false);
    if (value != NULL && !yyjson_is_obj(value))
        wrong_type(l, value, "a Structure");
    return value != NULL;
}

yyjson_val *logs_list(struct logs_call *l, const char *member, bool required, size_t max)
{
    yyjson_val *value = find(l, member, required);
    if (value == NULL)
        return NULL;
    if (!yyjson_is_arr(value)) {
        wrong_type(l, value, "a List");
        return NULL;
    }
    if (yyjson_arr_size(value) == 0)
        logs_check_failed(l, member, SLICE("[]"), "Member must have length greater than or equal to 1");
    else if (yyjson_arr_size(value) > max)
        logs_check_failed(l, member, SLICE("[...]"), "Member must have length less than or equal to %zu", max);
    return value;
}

/* ---- groups and ARNs ---- */

struct slice logs_group_of_arn(struct slice arn)
{
    struct slice rest = arn;
    static const char *const heads[] = { "arn", NULL, "logs", NULL, NULL, "log-group" };
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct slice part = slice_split(&rest, ':');
        if (heads[i] != NULL && !slice_is(part, heads[i]))
            return SLICE_EMPTY;
    }
    struct slice name = slice_split(&rest, ':');
    return rest.len == 0 || slice_is(rest, "*") ? name : SLICE_EMPTY;
}

struct slice logs_own_group_of_arn(struct logs_call *l, struct slice arn)
{
    struct slice rest = arn, group = logs_group_of_arn(arn);
    (void)slice_split(&rest, ':');
    struct slice partition = slice_split(&rest, ':'), service = slice_split(&rest, ':');
    struct slice region = slice_split(&rest, ':'), account = slice_split(&rest, ':');
    (void)service;
    if (group.len > 0 &&
        (!slice_is(partition, "aws") || !slice_is(region, l->region) || !slice_is(account, l->account)))
        logs_refuse(l, "ResourceNotFoundException", "The specified log group does not exist.");
    return group;
}

void logs_append_arn(struct buffer *out, const struct logs_call *l, struct slice group)
{
    buffer_appendf(out, "arn:aws:logs:%s:%s:log-group:%.*s", l->region, l->account, SLICE_PRINT(group));
}

struct slice logs_group_member(struct logs_call *l)
{
    bool named = find(l, "logGroupName", false) != NULL, identified = find(l, "logGroupIdentifier", false) != NULL;
    if (named && identified) {
        logs_refuse(l, "ValidationException", "LogGroup name and LogGroup ARN are mutually exclusive parameters.");
        return SLICE_EMPTY;
    }
    if (!identified)
        return logs_text(l, "logGroupName", true, 1, LOGS_GROUP_NAME_BYTES_MAX, LOGS_TEXT_GROUP);
    struct slice text = logs_text(l, "logGroupIdentifier", true, 1, 2048, LOGS_TEXT_ARN);
    if (!slice_starts(text, SLICE("arn:"))) {
        if (!l->failed && broken_pattern(text, LOGS_TEXT_GROUP) == NULL && text.len <= LOGS_GROUP_NAME_BYTES_MAX)
            return text;
        logs_refuse(l, "InvalidParameterException", "Invalid log group identifier.");
        return text;
    }
    struct slice group = logs_own_group_of_arn(l, text);
    if (group.len == 0 || group.len > LOGS_GROUP_NAME_BYTES_MAX || broken_pattern(group, LOGS_TEXT_GROUP) != NULL)
        logs_refuse(l, "InvalidParameterException", "Invalid log group ARN.");
    return group;
}

/* ---- tags ---- */

static char *take_text(struct logs_call *l, struct slice text)
{
    char *copy = logs_take(l, text.len + 1, 1);
    if (text.len > 0)
        memcpy(copy, text.at, text.len);
    return copy;
}

void logs_tags_member(struct logs_call *l, const char *member, bool required)
{
    yyjson_val *map = find(l, member, required), *key = NULL, *value = NULL;
    size_t index = 0, max = 0;
    if (map == NULL)
        return;
    if (!yyjson_is_obj(map)) {
        wrong_type(l, map, "a Map");
        return;
    }
    if (yyjson_obj_size(map) == 0)
        logs_check_failed(l, member, SLICE("{}"), "Member must have length greater than or equal to 1");
    if (yyjson_obj_size(map) > LOGS_TAGS_MAX) {
        logs_check_failed(l, member, SLICE("{...}"), "Member must have length less than or equal to %d",
                          LOGS_TAGS_MAX);
        return;
    }
    l->tags = logs_take(l, yyjson_obj_size(map), sizeof(*l->tags));
    yyjson_obj_foreach(map, index, max, key, value)
    {
        if (!logs_is_string(l, value))
            return;
        struct slice name = json_slice(key), text = json_slice(value);
        if (length_of(name) < 1 || length_of(name) > 128 || length_of(text) > 256 ||
            (name.len > 0 && memchr(name.at, '\0', name.len) != NULL) ||
            (text.len > 0 && memchr(text.at, '\0', text.len) != NULL) || slice_starts(name, SLICE("aws:")))
            logs_check_failed(
                l, member, name,
                "Map keys must satisfy constraint: [Member must have length less than or equal to 128, "
                "Member must have length greater than or equal to 1, Member must satisfy regular "
                "expression pattern: ^([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+)$]");
        l->tags[l->tag_count++] = (struct log_tag){ take_text(l, name), take_text(l, text) };
    }
}

/* ---- answers ---- */

void logs_append_number(struct buffer *out, const char *member, int64_t value)
{
    buffer_appendf(out, ",\"%s\":%" PRId64, member, value);
}

void logs_append_text(struct buffer *out, const char *member, struct slice value)
{
    buffer_appendf(out, ",\"%s\":", member);
    json_append_string(out, value);
}

void logs_append_token(struct buffer *out, const char *member, struct slice last)
{
    struct buffer token = BUFFER_EMPTY;
    codec_base64(&token, last);
    logs_append_text(out, member, buffer_slice(&token));
    buffer_drop(&token);
}

bool logs_read_token(struct logs_call *l, struct slice *out)
{
    struct buffer text = BUFFER_EMPTY;
    *out = SLICE_EMPTY;
    if (l->token.len == 0)
        return true;
    bool good = l->token.len <= LOGS_TOKEN_BYTES_MAX && codec_unbase64(&text, l->token) && text.len > 0;
    if (good)
        *out = slice_from(take_text(l, buffer_slice(&text)), text.len);
    else
        logs_refuse(l, "InvalidParameterException", "The specified nextToken is invalid.");
    buffer_drop(&text);
    return good;
}
