/* memory: small allocations cannot fail (the process stops: what was acknowledged is on disk).
 * A size that a stranger chose goes through buffer_try_reserve instead. AUTO(type) runs type_drop at scope's end. */
#pragma once

#include <stddef.h>

#define AUTO(type) __attribute__((cleanup(type##_drop)))

void *memory_new(size_t size);                     /* zeroed; owned (free) */
void *memory_new_array(size_t count, size_t size); /* zeroed, overflow checked */
void *memory_grow(void *at, size_t count, size_t size);
char *memory_text(const char *text);    /* strdup that cannot fail; NULL stays NULL */
void memory_wipe(void *at, size_t len); /* zeroes what the compiler may not skip */

void text_drop(char **text); /* AUTO(text) char *name = NULL; */

/* arena: many small things that die together (an invocation, a request). */
struct arena {
    struct arena_block *blocks;
};

void arena_init(struct arena *a);
void arena_drop(struct arena *a);
void *arena_take(struct arena *a, size_t size); /* zeroed, aligned for anything */
