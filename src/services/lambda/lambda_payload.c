#include "services/lambda/lambda.h"

#include <stdio.h>

/* Is this JSON? The only thing that is asked of a payload before a function gets its bytes as they are. So nothing is built: one pass,
 * no memory but a bit for each open bracket. (yyjson would allocate sixteen bytes a value for the same answer, and the depth that
 * json_parse bounds is right for configuration, but not for somebody's data: Lambda allows 1,000 levels.)
 *
 * RFC 8259, strict. Looser than a reader that builds values in two places, as Jackson is: a number may pass the range of a double
 * ("1e999"), and an escaped surrogate may stand alone ("\ud800"); the runtimes' own readers accept both.
 *
 * When it is not, the answer is AWS's: Jackson's words with line and column. */

static const char VALUE_WANTED[] =
    "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')";

struct scan {
    const unsigned char *begin, *at, *end;
    unsigned depth;
    unsigned char is_object[LAMBDA_PAYLOAD_DEPTH_MAX / 8 + 1]; /* a bit a level */
    struct error *err;
};

/* ---- what is wrong ---- */

/* `at` is the byte complained of; Jackson counts columns from 1, in bytes, and says the place behind what it read. */
static enum outcome wrong_at(const struct scan *s, const unsigned char *at, const char *what)
{
    unsigned long line = 1;
    const unsigned char *start = s->begin;
    for (const unsigned char *each = s->begin; each < at; each++)
        if (*each == '\n') {
            line++;
            start = each + 1;
        }
    return error_set_code(
        s->err, ERROR_INVALID, "InvalidRequestContentException", "Send JSON, or nothing.",
        "Could not parse request body into json: Could not parse payload into json: %s\n at [Source: REDACTED "
        "(`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: %lu, column: %lu]",
        what, line, (unsigned long)(at - start) + 1);
}

static enum outcome wrong_end(const struct scan *s)
{
    char what[96] = "No content to map due to end-of-input";
    if (s->depth > 0) {
        unsigned level = s->depth - 1;
        bool object = (s->is_object[level / 8] >> level % 8 & 1) != 0;
        snprintf(what, sizeof(what), "Unexpected end-of-input: expected close marker for %s",
                 object ? "Object" : "Array");
    }
    return wrong_at(s, s->end, what);
}

static enum outcome wrong_character(const struct scan *s, const char *wanted)
{
    char what[256];
    if (s->at == s->end)
        return wrong_end(s);
    if (*s->at >= 0x20 && *s->at < 0x7F)
        snprintf(what, sizeof(what), "Unexpected character ('%c' (code %d)): %s", *s->at, *s->at, wanted);
    else
        snprintf(what, sizeof(what), "Unexpected character ((CTRL-CHAR, code %d)): %s", *s->at, wanted);
    return wrong_at(s, s->at, what);
}

/* ---- the pieces ---- */

static void skip_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
static enum outcome scan_utf8(struct scan *s)
{
    const unsigned char *at = s->at;
    unsigned char c = at[0], low = 0x80, high = 0xBF;
    int more = c >= 0xC2 && c <= 0xDF ? 1 : (c & 0xF0) == 0xE0 ? 2 : c >= 0xF0 && c <= 0xF4 ? 3 : 0;
    char what[64];
    if (more == 0) {
        snprintf(what, sizeof(what), "Invalid UTF-8 start byte 0x%x", c);
        return wrong_at(s, at + 1, what); /* Jackson has taken the byte already */
    }
    low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    for (int i = 1; i <= more; i++, low = 0x80, high = 0xBF) {
        if (at + i == s->end)
            return wrong_at(s, s->end, "Unexpected end-of-input in VALUE_STRING");
        if (at[i] < low || at[i] > high) {
            snprintf(what, sizeof(what), "Invalid UTF-8 middle byte 0x%x", at[i]);
            return wrong_at(s, at + i + 1, what);
        }
    }
    s->at += more + 1;
    return OK;
}

static bool is_word_byte(unsigned char c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9');
}

/* Letters that are none of the three words. Jackson reads the whole token first, and fails earlier on a byte that is no UTF-8. */
static enum outcome wrong_token(struct scan *s, const unsigned char *from)
{
    int len = 0;
    while (from + len < s->end && len < 64 && is_word_byte(from[len]))
        len++;
    s->at = from + len;
    if (s->at < s->end && *s->at >= 0x80)
        TRY(scan_utf8(s));
    char what[256];
    snprintf(what, sizeof(what),
             "Unrecognized token '%.*s': was expecting (JSON String, Number, Array, Object or token 'null', 'true' "
             "or 'false')",
             len, (const char *)from);
    return wrong_at(s, from + len, what);
}

static bool is_hex(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static enum outcome scan_escape(struct scan *s)
{
    s->at++; /* the backslash */
    if (s->at == s->end)
        return wrong_at(s, s->end, "Unexpected end-of-input in character escape sequence");
    unsigned char c = *s->at;
    if (c != '\0' && strchr("\"\\/bfnrt", c) != NULL) {
        s->at++;
        return OK;
    }
    if (c != 'u') {
        char what[96];
        snprintf(what, sizeof(what), "Unrecognized character escape %s%c%s(code %d)",
                 c > 0x20 && c < 0x7F ? "'" : "", c > 0x20 && c < 0x7F ? c : ' ', c > 0x20 && c < 0x7F ? "' " : "",
                 c);
        return wrong_at(s, s->at, what);
    }
    s->at++;
    for (int i = 0; i < 4; i++, s->at++) {
        if (s->at == s->end)
            return wrong_at(s, s->end, "Unexpected end-of-input in character escape sequence");
        if (!is_hex(*s->at))
            return wrong_character(s, "expected a hex-digit for character escape sequence");
    }
    return OK;
}

#define EACH_BYTE(byte) (0x0101010101010101ULL * (byte))

/* Over what needs no look: ASCII but controls, quotes and backslashes. Eight bytes at a time: texts are most of a payload. The top bit of
 * a byte of `special` is set when that byte is special (or, harmlessly, stands behind a special one: the subtraction borrows). */
static const unsigned char *skip_plain(const unsigned char *at, const unsigned char *end)
{
    while (end - at >= 8) {
        uint64_t word = 0;
        memcpy(&word, at, sizeof(word));
        uint64_t quote = word ^ EACH_BYTE('"'), backslash = word ^ EACH_BYTE('\\');
        uint64_t special = word | ((word - EACH_BYTE(0x20)) & ~word) | ((quote - EACH_BYTE(1)) & ~quote) |
                           ((backslash - EACH_BYTE(1)) & ~backslash);
        if ((special & EACH_BYTE(0x80)) != 0)
            break;
        at += 8;
    }
    while (at < end && *at >= 0x20 && *at < 0x80 && *at != '"' && *at != '\\')
        at++;
    return at;
}

static enum outcome scan_string(struct scan *s)
{
    s->at++; /* the quote */
    for (;;) {
        s->at = skip_plain(s->at, s->end);
        if (s->at == s->end)
            return wrong_at(s, s->end, "Unexpected end-of-input: was expecting closing quote for a string value");
        if (*s->at == '"') {
            s->at++;
            return OK;
        }
        if (*s->at == '\\') {
            TRY(scan_escape(s));
        } else if (*s->at >= 0x80) {
            TRY(scan_utf8(s));
        } else {
            char what[128];
            snprintf(what, sizeof(what),
                     "Illegal unquoted character ((CTRL-CHAR, code %d)): has to be escaped using backslash to be "
                     "included in "
                     "string value",
                     *s->at);
            return wrong_at(s, s->at, what);
        }
    }
}

static enum outcome scan_digits(struct scan *s, const char *wanted)
{
    if (s->at == s->end || *s->at < '0' || *s->at > '9')
        return s->at == s->end ? wrong_at(s, s->end, "Unexpected end-of-input in a Number value")
                               : wrong_character(s, wanted);
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return OK;
}

static enum outcome scan_number(struct scan *s)
{
    if (*s->at == '-')
        s->at++;
    const unsigned char *first = s->at;
    TRY(scan_digits(s, "expected digit (0-9) to follow minus sign, for valid numeric value"));
    if (*first == '0' && s->at - first > 1)
        return wrong_at(s, first + 1, "Invalid numeric value: Leading zeroes not allowed");
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        TRY(scan_digits(s, "Decimal point not followed by a digit"));
    }
    if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
            s->at++;
        TRY(scan_digits(s, "Exponent indicator not followed by a digit"));
    }
    return OK;
}

static enum outcome scan_word(struct scan *s, const char *word)
{
    const unsigned char *from = s->at;
    size_t len = strlen(word);
    if ((size_t)(s->end - from) < len || memcmp(from, word, len) != 0)
        return wrong_token(s, from);
    s->at += len;
    return s->at < s->end && is_word_byte(*s->at) ? wrong_token(s, from) : OK;
}

static enum outcome scan_open(struct scan *s)
{
    if (s->depth == LAMBDA_PAYLOAD_DEPTH_MAX) {
        char what[160];
        snprintf(what, sizeof(what),
                 "Document nesting depth (%d) exceeds the maximum allowed (%d, from "
                 "`StreamReadConstraints.getMaxNestingDepth()`)",
                 LAMBDA_PAYLOAD_DEPTH_MAX + 1, LAMBDA_PAYLOAD_DEPTH_MAX);
        return wrong_at(s, s->at, what);
    }
    unsigned char bit = (unsigned char)(1u << s->depth % 8);
    if (*s->at == '{')
        s->is_object[s->depth / 8] |= bit; /* NOLINT(clang-analyzer-core.uninitialized.Assign): one bit counts */
    else
        s->is_object[s->depth / 8] &= (unsigned char)~bit; /* NOLINT(clang-analyzer-core.uninitialized.Assign) */
    s->depth++;
    s->at++;
    return OK;
}

static bool in_object(const struct scan *s)
{
    unsigned level = s->depth - 1;
    return (s->is_object[level / 8] >> level % 8 & 1) != 0;
}

static enum outcome scan_name(struct scan *s)
{
    skip_space(s);
    if (s->at == s->end || *s->at != '"')
        return wrong_character(s, "was expecting double-quote to start field name");
    TRY(scan_string(s));
    skip_space(s);
    if (s->at == s->end || *s->at != ':')
        return wrong_character(s, "was expecting a colon to separate field name and value");
    s->at++;
    return OK;
}

/* A value that is not a container; an opening bracket leaves *opened true, and an empty container is closed at once. */
static enum outcome scan_value(struct scan *s, bool *opened)
{
    *opened = false;
    skip_space(s);
    if (s->at == s->end)
        return wrong_end(s);
    unsigned char c = *s->at;
    if (c == '"')
        return scan_string(s);
    if (c == '-' || (c >= '0' && c <= '9'))
        return scan_number(s);
    if (c == 't')
        return scan_word(s, "true");
    if (c == 'f')
        return scan_word(s, "false");
    if (c == 'n')
        return scan_word(s, "null");
    if (c != '{' && c != '[')
        return (c | 0x20) >= 'a' && (c | 0x20) <= 'z' ? wrong_token(s, s->at) : wrong_character(s, VALUE_WANTED);
    TRY(scan_open(s));
    skip_space(s);
    if (s->at < s->end && *s->at == (c == '{' ? '}' : ']')) {
        s->at++;
        s->depth--;
        return OK;
    }
    *opened = true;
    return OK;
}

/* Behind a value: closes what ends here; *more when a comma says that another value follows. */
static enum outcome scan_behind(struct scan *s, bool *more)
{
    *more = false;
    while (s->depth > 0) {
        skip_space(s);
        if (s->at == s->end)
            return wrong_end(s);
        bool object = in_object(s);
        if (*s->at == ',') {
            s->at++;
            *more = true;
            return OK;
        }
        if (*s->at != (object ? '}' : ']'))
            return wrong_character(s, object ? "was expecting comma to separate Object entries"
                                             : "was expecting comma to separate Array entries");
        s->at++;
        s->depth--;
    }
    return OK;
}

enum outcome lambda_payload_check(struct slice payload, struct error *err)
{
    if (payload.len == 0)
        return OK;
    struct scan
        s; /* is_object is written before it is read: clearing it would be most of the work for a small payload */
    s.begin = s.at = (const unsigned char *)payload.at;
    s.end = s.begin + payload.len;
    s.depth = 0;
    s.err = err;
    for (bool more = true; more;) {
        bool opened = false;
        if (s.depth > 0 && in_object(&s))
            TRY(scan_name(&s));
        TRY(scan_value(&s, &opened));
        if (!opened)
            TRY(scan_behind(&s, &more));
    }
    skip_space(&s);
    if (s.at < s.end)
        return wrong_character(&s, "Trailing token found after value");
    return OK;
}
