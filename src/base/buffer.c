#include "base/buffer.h"

#include <assert.h>
#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

enum { BUFFER_FIRST_BYTES = 64 };

void buffer_init(struct buffer *b)
{
    *b = BUFFER_EMPTY;
}

void buffer_drop(struct buffer *b)
{
    if (b == NULL)
        return;
    free(b->at);
    *b = BUFFER_EMPTY;
}

void buffer_wipe(struct buffer *b)
{
    if (b == NULL)
        return;
    if (b->at != NULL)
        memory_wipe(b->at, b->cap);
    buffer_drop(b);
}

void buffer_reset(struct buffer *b)
{
    b->len = 0;
}

struct buffer buffer_take(struct buffer *b)
{
    struct buffer taken = *b;
    *b = BUFFER_EMPTY;
    return taken;
}

bool buffer_try_reserve(struct buffer *b, size_t more)
{
    size_t wanted = 0;
    if (__builtin_add_overflow(b->len, more, &wanted))
        return false;
    if (wanted <= b->cap)
        return true;
    size_t cap = b->cap < BUFFER_FIRST_BYTES ? BUFFER_FIRST_BYTES : b->cap;
    while (cap < wanted)
        cap = cap > SIZE_MAX / 2 ? wanted : cap * 2;
    char *at = realloc(b->at, cap);
    if (at == NULL)
        return false;
    b->at = at;
    b->cap = cap;
    return true;
}

void buffer_reserve(struct buffer *b, size_t more)
{
    if (!buffer_try_reserve(b, more))
        abort();
}

void buffer_append(struct buffer *b, const void *at, size_t len)
{
    if (len == 0)
        return;
    buffer_reserve(b, len);
    memcpy(b->at + b->len, at, len);
    b->len += len;
}

void buffer_append_slice(struct buffer *b, struct slice s)
{
    buffer_append(b, s.at, s.len);
}

void buffer_append_byte(struct buffer *b, char byte)
{
    buffer_append(b, &byte, 1);
}

void buffer_append_text(struct buffer *b, const char *text)
{
    buffer_append(b, text, strlen(text));
}

void buffer_appendf(struct buffer *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(len >= 0);
    buffer_reserve(b, (size_t)len + 1);
    (void)vsnprintf(b->at + b->len, (size_t)len + 1, format, again);
    va_end(again);
    b->len += (size_t)len;
}

void buffer_append_u16(struct buffer *b, uint16_t v)
{
    v = htole16(v);
    buffer_append(b, &v, sizeof(v));
}

void buffer_append_u32(struct buffer *b, uint32_t v)
{
    v = htole32(v);
    buffer_append(b, &v, sizeof(v));
}

void buffer_append_u64(struct buffer *b, uint64_t v)
{
    v = htole64(v);
    buffer_append(b, &v, sizeof(v));
}

void buffer_consume(struct buffer *b, size_t len)
{
    assert(len <= b->len);
    b->len -= len;
    if (b->len > 0)
        memmove(b->at, b->at + len, b->len);
}

struct slice buffer_slice(const struct buffer *b)
{
    return slice_from(b->at, b->len);
}

const char *buffer_text(struct buffer *b)
{
    buffer_reserve(b, 1);
    b->at[b->len] = '\0';
    return b->at;
}

struct cursor cursor_of(struct slice s)
{
    return (struct cursor){ s.at, s.at + s.len };
}

static bool cursor_copy(struct cursor *c, void *out, size_t len)
{
    struct slice bytes;
    if (!cursor_bytes(c, len, &bytes))
        return false;
    memcpy(out, bytes.at, len);
    return true;
}

bool cursor_u8(struct cursor *c, uint8_t *out)
{
    return cursor_copy(c, out, sizeof(*out));
}

bool cursor_u16(struct cursor *c, uint16_t *out)
{
    uint16_t v = 0;
    if (!cursor_copy(c, &v, sizeof(v)))
        return false;
    *out = le16toh(v);
    return true;
}

bool cursor_u32(struct cursor *c, uint32_t *out)
{
    uint32_t v = 0;
    if (!cursor_copy(c, &v, sizeof(v)))
        return false;
    *out = le32toh(v);
    return true;
}

bool cursor_u64(struct cursor *c, uint64_t *out)
{
    uint64_t v = 0;
    if (!cursor_copy(c, &v, sizeof(v)))
        return false;
    *out = le64toh(v);
    return true;
}

bool cursor_bytes(struct cursor *c, size_t len, struct slice *out)
{
    if ((size_t)(c->end - c->at) < len)
        return false;
    *out = (struct slice){ c->at, len };
    c->at += len;
    return true;
}

struct slice cursor_rest(struct cursor *c)
{
    struct slice rest = { c->at, (size_t)(c->end - c->at) };
    c->at = c->end;
    return rest;
}
