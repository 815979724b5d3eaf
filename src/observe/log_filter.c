#include "observe/log_filter.h"

#include <stdlib.h>

#include "base/memory.h"
#include "observe/log_line.h"

#define INVALID "InvalidParameterException"

static enum outcome refuse_kind(struct error *err, const char *what)
{
    return error_set_code(err, ERROR_INVALID, INVALID, "Use terms, \"phrases\", -exclusions and ?alternatives.",
                          "Filter patterns for %s are not supported by this server: use terms, \"quoted phrases\", "
                          "-exclusions or ?alternatives.",
                          what);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* What AWS lets stand outside of quotes: letters, digits, underscores; and whatever is no ASCII. */
static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static enum outcome wrong_character(struct error *err, char c)
{
    return error_set_code(err, ERROR_INVALID, INVALID, "Put terms with other characters into double quotes.",
                          "Invalid character(s) in term '%c'", c);
}

/* The text of one term, from *rest on, to the filter's memory. */
static enum outcome take_text(struct slice *rest, struct buffer *memory, struct error *err)
{
    size_t i = 0, from = memory->len;
    if (rest->len > 0 && rest->at[0] == '"') {
        for (i = 1; i < rest->len && rest->at[i] != '"'; i++) {
            if (rest->at[i] == '\\' && i + 1 < rest->len && (rest->at[i + 1] == '"' || rest->at[i + 1] == '\\'))
                i++;
            buffer_append_byte(memory, rest->at[i]);
        }
        if (i == rest->len)
            return error_set_code(err, ERROR_INVALID, INVALID, "Close the quotes.", "Invalid filter pattern");
        i++;
        if (i < rest->len && !is_space(rest->at[i]))
            return wrong_character(err, rest->at[i]);
    } else {
        for (; i < rest->len && !is_space(rest->at[i]); i++) {
            if (!is_word(rest->at[i]))
                return wrong_character(err, rest->at[i]);
            buffer_append_byte(memory, rest->at[i]);
        }
    }
    if (memory->len == from)
        return error_set_code(err, ERROR_INVALID, INVALID, "Write a term behind each sign.",
                              "Invalid filter pattern");
    *rest = slice_sub(*rest, i, rest->len);
    return OK;
}

struct bounds {
    size_t from, len, escaped_from, escaped_len;
};

static enum outcome take_term(struct log_filter *filter, struct bounds *bounds, struct slice *rest,
                              struct error *err)
{
    struct log_term *term = &filter->terms[filter->count];
    char sign = rest->at[0];
    term->kind = sign == '-' ? LOG_TERM_NONE : sign == '?' ? LOG_TERM_ANY : LOG_TERM_ALL;
    if (term->kind != LOG_TERM_ALL)
        *rest = slice_sub(*rest, 1, rest->len);
    bounds->from = filter->memory.len;
    TRY(take_text(rest, &filter->memory, err));
    bounds->len = filter->memory.len - bounds->from;
    bounds->escaped_from = filter->memory.len;
    struct buffer escaped = BUFFER_EMPTY;
    log_escape(&escaped, slice_from(filter->memory.at + bounds->from, bounds->len));
    buffer_append_slice(&filter->memory, buffer_slice(&escaped));
    bounds->escaped_len = escaped.len;
    buffer_drop(&escaped);
    filter->count++;
    return OK;
}

/* AWS: a question mark beside terms of another kind is ignored. */
static void settle(struct log_filter *filter)
{
    size_t any = 0;
    for (size_t i = 0; i < filter->count; i++)
        any += filter->terms[i].kind == LOG_TERM_ANY;
    filter->any = any > 0 && any == filter->count;
    for (size_t i = 0; i < filter->count; i++) {
        struct log_term *term = &filter->terms[i];
        if (term->kind == LOG_TERM_ANY && (!filter->any || any == 1))
            term->kind = LOG_TERM_ALL;
        if (term->kind == LOG_TERM_ALL && term->escaped.len > filter->needle.len)
            filter->needle = term->escaped; /* the longest one is the rarest, mostly */
    }
    if (any == 1)
        filter->any = false;
}

enum outcome log_filter_parse(struct slice pattern, struct log_filter *out, struct error *err)
{
    struct bounds bounds[LOG_FILTER_TERMS_MAX] = { 0 };
    AUTO(log_filter)
    struct log_filter filter = { .count = 0 };
    if (pattern.len > (size_t)LOG_FILTER_BYTES_MAX * 4)
        return error_set_code(err, ERROR_INVALID, INVALID, "Write a shorter one.", "Invalid filter pattern");
    for (;;) {
        while (pattern.len > 0 && is_space(pattern.at[0]))
            pattern = slice_sub(pattern, 1, pattern.len);
        if (pattern.len == 0)
            break;
        if (filter.count == 0 && pattern.at[0] == '{')
            return refuse_kind(err, "JSON ({ $.name = ... })");
        if (filter.count == 0 && pattern.at[0] == '[')
            return refuse_kind(err, "space-delimited events ([a, b])");
        if (pattern.at[0] == '%')
            return refuse_kind(err, "regular expressions (%...%)");
        if (filter.count == LOG_FILTER_TERMS_MAX)
            return error_set_code(err, ERROR_INVALID, INVALID, "Use fewer terms.",
                                  "A filter pattern can have at most %d terms.", LOG_FILTER_TERMS_MAX);
        TRY(take_term(&filter, &bounds[filter.count], &pattern, err));
    }
    for (size_t i = 0; i < filter.count; i++) { /* the memory does not move any more */
        filter.terms[i].text = slice_from(filter.memory.at + bounds[i].from, bounds[i].len);
        filter.terms[i].escaped = slice_from(filter.memory.at + bounds[i].escaped_from, bounds[i].escaped_len);
    }
    settle(&filter);
    *out = filter;
    out->memory = buffer_take(&filter.memory);
    return OK;
}

void log_filter_drop(struct log_filter *filter)
{
    buffer_drop(&filter->memory);
    filter->count = 0;
}

bool log_filter_matches(const struct log_filter *filter, struct slice message)
{
    bool found = !filter->any;
    for (size_t i = 0; i < filter->count; i++) {
        const struct log_term *term = &filter->terms[i];
        bool here = message.len > 0 && memmem(message.at, message.len, term->text.at, term->text.len) != NULL;
        if (term->kind == LOG_TERM_ANY)
            found = found || here;
        else if (here != (term->kind == LOG_TERM_ALL))
            return false;
    }
    return found;
}
