#include "json/json.h"

#include <stdlib.h>

/* The idea: yyjson reads strictly by default (no comments, trailing commas, NaN, BOM or bytes behind the value; UTF-8 checked).
 * Two things it leaves to its caller are done here, before a byte is given to it:
 *
 * 1. Depth. yyjson does not recurse when it reads or writes, but those who walk a document do, and a document of a
 *    million '[' would make a million values. One pass over the text counts brackets outside of strings and refuses what
 *    is deeper than JSON_DEPTH_MAX. It trusts nothing: in malformed text it may count wrong, but then yyjson refuses.
 *    (Outside of a string a '"' always opens one, inside only an unescaped '"' closes it: the count is exact up to the
 *    first error, and every document that yyjson accepts has none.)
 * 2. Memory. A value takes 16 bytes in yyjson; "[0,0,0,...]" makes eight times its length of it. The caller bounds the
 *    text (a body's limit), so the memory is bounded too, but the size is a stranger's: failure is an error, not an abort. */

void json_doc_drop(yyjson_doc **doc)
{
    if (doc == NULL)
        return;
    yyjson_doc_free(*doc);
    *doc = NULL;
}

void json_mut_doc_drop(yyjson_mut_doc **doc)
{
    if (doc == NULL)
        return;
    yyjson_mut_doc_free(*doc);
    *doc = NULL;
}

/* The bytes that the depth count must look at, everything else is skipped with one load and one test. */
static const unsigned char json_marks[256] = { ['"'] = 1, ['['] = 1, ['{'] = 1, [']'] = 1, ['}'] = 1 };

static const char *json_skip_string(const char *at, const char *end)
{
    while (at < end && *at != '"')
        at += *at == '\\' && end - at > 1 ? 2 : 1;
    return at < end ? at + 1 : end;
}

static bool json_depth_ok(struct slice text)
{
    const char *end = text.at + text.len;
    unsigned depth = 0;
    for (const char *at = text.at; at < end;) {
        unsigned char c = (unsigned char)*at++;
        if (!json_marks[c])
            continue;
        if (c == '"')
            at = json_skip_string(at, end);
        else if (c == '[' || c == '{') {
            if (++depth > JSON_DEPTH_MAX)
                return false;
        } else if (depth > 0)
            depth--;
    }
    return true;
}

enum outcome json_parse(struct slice text, yyjson_doc **out, struct error *err)
{
    if (!json_depth_ok(text))
        return error_set(err, ERROR_TOO_LARGE, "Nest fewer arrays and objects.",
                         "JSON document is nested deeper than %d levels", JSON_DEPTH_MAX);
    if (text.len == 0)
        return error_set(err, ERROR_INVALID, "Send a JSON document.", "JSON document is empty");
    yyjson_read_err why = { 0 };
    /* Without the in-situ flag the text is not written to: the const cast is yyjson's own signature. */
    yyjson_doc *doc = yyjson_read_opts((char *)text.at, text.len, YYJSON_READ_NOFLAG, NULL, &why);
    if (doc != NULL) {
        *out = doc;
        return OK;
    }
    if (why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return error_set(err, ERROR_UNAVAILABLE, "Try again later, or send a smaller document.",
                         "could not allocate memory for a JSON document of %zu bytes", text.len);
    return error_set(err, ERROR_INVALID, "Correct the JSON document.", "%s at byte %zu",
                     why.msg != NULL ? why.msg : "malformed JSON", why.pos);
}

bool json_is_valid(struct slice text)
{
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    return json_parse(text, &doc, NULL) == OK;
}

struct slice json_slice(yyjson_val *string)
{
    if (!yyjson_is_str(string))
        return SLICE_EMPTY;
    return slice_from(yyjson_get_str(string), yyjson_get_len(string));
}

/* How many bytes of well-formed UTF-8 stand at `at`: 1 to 4, or 0 when there is none (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF). */
static size_t utf8_step(const unsigned char *at, size_t left)
{
    unsigned char c = at[0];
    if (c < 0x80)
        return 1;
    size_t len = c >= 0xC2 && c <= 0xDF ? 2 : (c & 0xF0) == 0xE0 ? 3 : c >= 0xF0 && c <= 0xF4 ? 4 : 0;
    if (len == 0 || left < len)
        return 0;
    unsigned char low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    unsigned char high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

static bool utf8_ok(struct slice text)
{
    const unsigned char *at = (const unsigned char *)text.at;
    for (size_t i = 0; i < text.len;) {
        size_t step = utf8_step(at + i, text.len - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

static const char utf8_replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

void json_append_utf8(struct buffer *out, struct slice text)
{
    const unsigned char *at = (const unsigned char *)text.at;
    for (size_t i = 0; i < text.len;) {
        size_t step = utf8_step(at + i, text.len - i);
        if (step == 0)
            buffer_append(out, utf8_replacement, sizeof(utf8_replacement) - 1);
        else
            buffer_append(out, at + i, step);
        i += step == 0 ? 1 : step;
    }
}

yyjson_mut_val *json_from_slice(yyjson_mut_doc *doc, struct slice text)
{
    /* yyjson would take any bytes here and then refuse to write the whole document: a file name or an environment
     * variable that is no UTF-8 must not cost the answer. */
    if (utf8_ok(text))
        return yyjson_mut_strncpy(doc, text.at, text.len);
    struct buffer fixed = BUFFER_EMPTY;
    json_append_utf8(&fixed, text);
    yyjson_mut_val *value = yyjson_mut_strncpy(doc, fixed.at, fixed.len);
    buffer_drop(&fixed);
    return value;
}

void json_write(struct buffer *out, const yyjson_mut_doc *doc)
{
    size_t len = 0;
    yyjson_write_err why = { 0 };
    /* Infinities (a division by zero of ours) become null rather than no answer at all. */
    char *text = yyjson_mut_write_opts(doc, YYJSON_WRITE_INF_AND_NAN_AS_NULL, NULL, &len, &why);
    if (text != NULL) {
        buffer_append(out, text, len);
        free(text);
        return;
    }
    /* A string that is no UTF-8 came into the document past json_from_slice. Such bytes can only stand inside of
     * strings, so the text may be repaired as a whole. */
    text = yyjson_mut_write_opts(doc, YYJSON_WRITE_INF_AND_NAN_AS_NULL | YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL,
                                 &len, &why);
    if (text == NULL) {
        buffer_append_text(out, "null"); /* a document without a root: still one JSON value */
        return;
    }
    json_append_utf8(out, slice_from(text, len));
    free(text);
}

void json_append_string(struct buffer *out, struct slice text)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *at = (const unsigned char *)text.at;
    buffer_reserve(out, text.len + 2);
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < text.len;) {
        unsigned char c = at[i];
        size_t plain = i;
        while (plain < text.len && at[plain] >= 0x20 && at[plain] < 0x80 && at[plain] != '"' && at[plain] != '\\')
            plain++;
        if (plain > i) { /* a run without anything to escape, the usual case, goes in one copy */
            buffer_append(out, at + i, plain - i);
            i = plain;
            continue;
        }
        size_t step = c < 0x80 ? 1 : utf8_step(at + i, text.len - i);
        if (step == 0)
            buffer_append(out, utf8_replacement, sizeof(utf8_replacement) - 1);
        else if (step > 1)
            buffer_append(out, at + i, step);
        else if (c == '"' || c == '\\') {
            char pair[2] = { '\\', (char)c };
            buffer_append(out, pair, 2);
        } else {
            static const char letters[0x20] = {
                ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'
            };
            char escape[6] = { '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] };
            if (letters[c] != 0)
                escape[1] = letters[c];
            buffer_append(out, escape, letters[c] != 0 ? 2 : 6);
        }
        i += step == 0 ? 1 : step;
    }
    buffer_append_byte(out, '"');
}
