/* slice: bytes that somebody else owns, by value, without a NUL. Everything that crosses a border is one.
 * Thread: any. Ownership: a slice never owns; its maker says how long the bytes live. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *at;
    size_t len;
};

#define SLICE(literal) ((struct slice){ "" literal, sizeof(literal) - 1 }) /* a string literal only */
#define SLICE_PRINT(s) (int)(s).len, (s).at                                /* for "%.*s" */
#define SLICE_EMPTY    ((struct slice){ "", 0 })

struct slice slice_of(const char *text); /* NULL gives the empty slice */
struct slice slice_from(const void *at, size_t len);
bool slice_equal(struct slice a, struct slice b);
bool slice_equal_nocase(struct slice a, struct slice b); /* ASCII letters only, never the locale's */
bool slice_is(struct slice a, const char *text);
bool slice_starts(struct slice a, struct slice prefix);
bool slice_ends(struct slice a, struct slice suffix);
int slice_compare(struct slice a, struct slice b);               /* bytewise, as memcmp; a prefix sorts first */
struct slice slice_sub(struct slice a, size_t from, size_t len); /* clamped to what is there */
struct slice slice_trim(struct slice a);                         /* spaces and tabs off both ends */

/* Splits at the first `separator`: returns what stands before it and leaves the rest in `*rest`.
 * Without one it returns everything and empties `*rest`. */
struct slice slice_split(struct slice *rest, char separator);
bool slice_find(struct slice a, char byte, size_t *index);

/* A decimal number without sign, space or leading plus; false when it is not one or passes `max`. */
bool slice_to_u64(struct slice a, uint64_t max, uint64_t *out);

/* A NUL-terminated copy; owned by the caller (free). */
char *slice_dup(struct slice a);

/* Compares without telling by its time where the two differ. For signatures and tokens. */
bool slice_equal_secret(struct slice a, struct slice b);
