#include "base/slice.h"

#include <stdlib.h>

#include "base/memory.h"

struct slice slice_of(const char *text)
{
    return text == NULL ? SLICE_EMPTY : (struct slice){ text, strlen(text) };
}

struct slice slice_from(const void *at, size_t len)
{
    return len == 0 ? SLICE_EMPTY : (struct slice){ at, len };
}

bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    return true;
}

bool slice_is(struct slice a, const char *text)
{
    return slice_equal(a, slice_of(text));
}

bool slice_starts(struct slice a, struct slice prefix)
{
    return a.len >= prefix.len && slice_equal((struct slice){ a.at, prefix.len }, prefix);
}

bool slice_ends(struct slice a, struct slice suffix)
{
    return a.len >= suffix.len && slice_equal((struct slice){ a.at + (a.len - suffix.len), suffix.len }, suffix);
}

int slice_compare(struct slice a, struct slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.at, b.at, common);
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

struct slice slice_sub(struct slice a, size_t from, size_t len)
{
    if (from >= a.len)
        return SLICE_EMPTY;
    size_t left = a.len - from;
    return (struct slice){ a.at + from, len < left ? len : left };
}

struct slice slice_trim(struct slice a)
{
    while (a.len > 0 && (a.at[0] == ' ' || a.at[0] == '\t'))
        a = (struct slice){ a.at + 1, a.len - 1 };
    while (a.len > 0 && (a.at[a.len - 1] == ' ' || a.at[a.len - 1] == '\t'))
        a.len--;
    return a;
}

bool slice_find(struct slice a, char byte, size_t *index)
{
    const char *found = a.len == 0 ? NULL : memchr(a.at, byte, a.len);
    if (found == NULL)
        return false;
    *index = (size_t)(found - a.at);
    return true;
}

struct slice slice_split(struct slice *rest, char separator)
{
    struct slice all = *rest;
    size_t index = 0;
    if (!slice_find(all, separator, &index)) {
        *rest = SLICE_EMPTY;
        return all;
    }
    *rest = slice_sub(all, index + 1, all.len);
    return slice_sub(all, 0, index);
}

bool slice_to_u64(struct slice a, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (a.len == 0)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        unsigned digit = (unsigned)(unsigned char)a.at[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value))
            return false;
    }
    if (value > max)
        return false;
    *out = value;
    return true;
}

char *slice_dup(struct slice a)
{
    char *text = memory_new(a.len + 1);
    if (a.len > 0)
        memcpy(text, a.at, a.len);
    return text;
}

bool slice_equal_secret(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    volatile unsigned char different = 0;
    for (size_t i = 0; i < a.len; i++)
        different |= (unsigned char)((unsigned char)a.at[i] ^ (unsigned char)b.at[i]);
    return different == 0;
}
