/* buffer: bytes that grow, owned by their holder.
 * Thread: any, one at a time. Small growth cannot fail (the process stops: see memory.h); for sizes that a stranger
 * chose, ask first with buffer_try_reserve. */
#pragma once

#include "base/error.h"
#include "base/slice.h"

struct buffer {
    char *at; /* owned; NULL while cap is 0 */
    size_t len;
    size_t cap;
};

#define BUFFER_EMPTY ((struct buffer){ NULL, 0, 0 })

void buffer_init(struct buffer *b);
void buffer_drop(struct buffer *b);          /* frees; the buffer is empty and usable again */
void buffer_wipe(struct buffer *b);          /* zeroes what it held, then frees: for secrets */
void buffer_reset(struct buffer *b);         /* empty, keeps its memory */
struct buffer buffer_take(struct buffer *b); /* hands the bytes over, leaves `b` empty */

void buffer_reserve(struct buffer *b, size_t more);
MUST_CHECK bool buffer_try_reserve(struct buffer *b, size_t more);
void buffer_append(struct buffer *b, const void *at, size_t len);
void buffer_append_slice(struct buffer *b, struct slice s);
void buffer_append_byte(struct buffer *b, char byte);
void buffer_append_text(struct buffer *b, const char *text);
void buffer_appendf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buffer_append_u16(struct buffer *b, uint16_t v); /* little-endian */
void buffer_append_u32(struct buffer *b, uint32_t v);
void buffer_append_u64(struct buffer *b, uint64_t v);
void buffer_consume(struct buffer *b, size_t len); /* drops bytes from the front */
struct slice buffer_slice(const struct buffer *b); /* valid until the buffer changes */
const char *buffer_text(struct buffer *b);         /* NUL-terminated (the NUL is not counted) */

/* A reader that cannot overrun: each take checks what is left. */
struct cursor {
    const char *at;
    const char *end;
};

struct cursor cursor_of(struct slice s);
MUST_CHECK bool cursor_u8(struct cursor *c, uint8_t *out);
MUST_CHECK bool cursor_u16(struct cursor *c, uint16_t *out);
MUST_CHECK bool cursor_u32(struct cursor *c, uint32_t *out);
MUST_CHECK bool cursor_u64(struct cursor *c, uint64_t *out);
MUST_CHECK bool cursor_bytes(struct cursor *c, size_t len, struct slice *out); /* borrowed from the source */
struct slice cursor_rest(struct cursor *c);
