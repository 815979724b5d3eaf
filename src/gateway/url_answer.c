#include "gateway/url_answer.h"

#include <stdlib.h>

#include "base/codec.h"
#include "json/json.h"
#include "net/http.h"

/* The function is as much a stranger as the client: nothing that it says may end a field, begin another answer, or name a length.
 *
 * yyjson is called without json_parse's bound of depth: the payload is at most an invocation's, nothing here walks into a value that it only
 * hands on, and yyjson's own reader and writer do not recurse. Numbers are kept as they were written. */

static enum outcome malformed(struct error *err, const char *what)
{
    return error_set(err, ERROR_INVALID, "Return {statusCode, headers, body}, or any other JSON.",
                     "the function's answer cannot be made an HTTP answer: %s", what);
}

void url_answer_drop(struct url_answer *answer)
{
    free(answer->fields);
    answer->fields = NULL;
    answer->field_count = 0;
    buffer_drop(&answer->body);
    yyjson_doc_free(answer->doc);
    answer->doc = NULL;
}

/* ---- fields ---- */

/* About one connection, or said by the server itself: never passed on. */
static bool is_ours(struct slice name)
{
    static const char *const names[] = { "connection",       "content-length",    "date",
                                         "keep-alive",       "proxy-connection",  "te",
                                         "trailer",          "transfer-encoding", "upgrade",
                                         "x-amzn-requestid", "x-amzn-trace-id" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_equal_nocase(name, slice_of(names[i])))
            return true;
    return false;
}

static bool has_field(const struct url_answer *out, const char *name)
{
    for (size_t i = 0; i < out->field_count; i++)
        if (slice_equal_nocase(slice_of(out->fields[i].name), slice_of(name)))
            return true;
    return false;
}

/* A text, or a number or truth as JSON writes it. False for what is none of these. */
static bool scalar_text(yyjson_val *value, struct slice *out)
{
    if (yyjson_is_str(value))
        *out = json_slice(value);
    else if (yyjson_is_raw(value))
        *out = slice_from(yyjson_get_raw(value), yyjson_get_len(value));
    else if (yyjson_is_bool(value))
        *out = yyjson_get_bool(value) ? SLICE("true") : SLICE("false");
    else
        return false;
    return true;
}

static enum outcome add_field(struct url_answer *out, struct slice name, struct slice value, struct error *err)
{
    if (!http_name_ok(name) || !http_value_ok(value))
        return malformed(err, "a header has a name or a value that HTTP does not allow");
    if (is_ours(name) || (slice_equal_nocase(name, SLICE("content-type")) && has_field(out, "content-type")))
        return OK;
    out->fields[out->field_count++] = (struct url_field){ name.at, value }; /* yyjson ends its texts with a NUL */
    return OK;
}

static enum outcome read_headers(yyjson_val *headers, struct url_answer *out, struct error *err)
{
    size_t i = 0, count = 0;
    yyjson_val *key = NULL, *value = NULL;
    yyjson_obj_foreach(headers, i, count, key, value)
    {
        struct slice text = SLICE_EMPTY;
        if (yyjson_is_null(value))
            continue;
        if (!scalar_text(value, &text))
            return malformed(err, "a header's value is no text");
        TRY(add_field(out, json_slice(key), slice_trim(text), err));
    }
    return OK;
}

static enum outcome read_cookies(yyjson_val *cookies, struct url_answer *out, struct error *err)
{
    size_t i = 0, count = 0;
    yyjson_val *value = NULL;
    yyjson_arr_foreach(cookies, i, count, value)
    {
        if (!yyjson_is_str(value))
            return malformed(err, "a cookie is no text");
        TRY(add_field(out, SLICE("Set-Cookie"), slice_trim(json_slice(value)), err));
    }
    return OK;
}

static enum outcome read_fields(yyjson_val *root, struct url_answer *out, struct error *err)
{
    yyjson_val *headers = yyjson_obj_get(root, "headers"), *cookies = yyjson_obj_get(root, "cookies");
    if ((headers != NULL && !yyjson_is_null(headers) && !yyjson_is_obj(headers)) ||
        (cookies != NULL && !yyjson_is_null(cookies) && !yyjson_is_arr(cookies)))
        return malformed(err, "headers is no object, or cookies is no array");
    size_t count = yyjson_obj_size(headers) + yyjson_arr_size(cookies);
    if (count > URL_ANSWER_FIELDS_MAX)
        return malformed(err, "too many headers");
    out->fields = memory_new_array(count + 1, sizeof(*out->fields));
    if (yyjson_obj_size(headers) > 0) /* yyjson's loops count from NULL where there is nothing */
        TRY(read_headers(headers, out, err));
    return yyjson_arr_size(cookies) > 0 ? read_cookies(cookies, out, err) : OK;
}

/* ---- status and body ---- */

static enum outcome read_status(yyjson_val *value, struct url_answer *out, struct error *err)
{
    struct slice text = SLICE_EMPTY;
    uint64_t status = 0;
    if (!scalar_text(value, &text) || !slice_to_u64(text, 599, &status) || status < 200)
        return malformed(err, "statusCode is none of 200 to 599");
    out->status = (int)status;
    return OK;
}

/* Compact: AWS writes again what it read. */
static enum outcome append_json(struct buffer *out, yyjson_val *value, struct error *err)
{
    size_t len = 0;
    char *text = yyjson_val_write_opts(value, YYJSON_WRITE_NOFLAG, NULL, &len, NULL);
    if (text == NULL)
        return malformed(err, "it is not JSON that can be written");
    *out = (struct buffer){ text, len, len }; /* yyjson takes it from malloc, as a buffer does */
    return OK;
}

static enum outcome read_body(yyjson_val *root, struct url_answer *out, struct error *err)
{
    yyjson_val *body = yyjson_obj_get(root, "body"), *encoded = yyjson_obj_get(root, "isBase64Encoded");
    if (body == NULL || yyjson_is_null(body))
        return OK;
    if (!yyjson_is_str(body))
        return append_json(&out->body, body, err);
    if (!yyjson_is_true(encoded) && !slice_is(json_slice(encoded), "true"))
        buffer_append_slice(&out->body, json_slice(body));
    else if (!codec_unbase64(&out->body, json_slice(body)))
        return malformed(err, "its body is not the base64 that isBase64Encoded promises");
    return OK;
}

enum outcome url_answer_read(struct slice payload, struct url_answer *out, struct error *err)
{
    *out = (struct url_answer){ .status = 200 };
    /* Without the in-situ flag the text is not written to: the const cast is yyjson's own signature. */
    out->doc = yyjson_read_opts((char *)(uintptr_t)payload.at, payload.len, YYJSON_READ_NUMBER_AS_RAW, NULL, NULL);
    if (out->doc == NULL)
        return malformed(err, "it is not JSON");
    yyjson_val *root = yyjson_doc_get_root(out->doc);
    yyjson_val *status = yyjson_is_obj(root) ? yyjson_obj_get(root, "statusCode") : NULL;
    if (status != NULL) {
        TRY(read_status(status, out, err));
        TRY(read_fields(root, out, err));
        TRY(read_body(root, out, err));
    } else if (yyjson_is_str(root)) {
        buffer_append_slice(&out->body, json_slice(root));
    } else {
        TRY(append_json(&out->body, root, err));
    }
    if (has_field(out, "content-type"))
        return OK;
    if (out->fields == NULL)
        out->fields = memory_new_array(1, sizeof(*out->fields));
    out->fields[out->field_count++] = (struct url_field){ "Content-Type", SLICE("application/json") };
    return OK;
}
