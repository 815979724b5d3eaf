#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *memory_new(size_t size)
{
    void *at = calloc(1, size == 0 ? 1 : size);
    if (at == NULL)
        abort();
    return at;
}

void *memory_new_array(size_t count, size_t size)
{
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &total))
        abort();
    return memory_new(total);
}

void *memory_grow(void *at, size_t count, size_t size)
{
    void *grown = reallocarray(at, count == 0 ? 1 : count, size);
    if (grown == NULL)
        abort();
    return grown;
}

char *memory_text(const char *text)
{
    if (text == NULL)
        return NULL;
    size_t len = strlen(text);
    char *copy = memory_new(len + 1);
    memcpy(copy, text, len);
    return copy;
}

void memory_wipe(void *at, size_t len)
{
    if (at != NULL)
        explicit_bzero(at, len);
}

void text_drop(char **text)
{
    free(*text);
    *text = NULL;
}

enum { ARENA_BLOCK_BYTES = 4096 - 64, ARENA_ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    _Alignas(ARENA_ALIGN) unsigned char bytes[];
};

void arena_init(struct arena *a)
{
    a->blocks = NULL;
}

void arena_drop(struct arena *a)
{
    if (a == NULL)
        return;
    while (a->blocks != NULL) {
        struct arena_block *block = a->blocks;
        a->blocks = block->next;
        free(block);
    }
}

void *arena_take(struct arena *a, size_t size)
{
    if (size > SIZE_MAX - ARENA_ALIGN)
        abort();
    size_t rounded = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    struct arena_block *block = a->blocks;
    if (block == NULL || block->cap - block->used < rounded) {
        size_t cap = rounded > ARENA_BLOCK_BYTES ? rounded : ARENA_BLOCK_BYTES;
        block = malloc(sizeof(*block) + cap);
        if (block == NULL)
            abort();
        block->used = 0;
        block->cap = cap;
        block->next = a->blocks;
        a->blocks = block;
    }
    void *at = block->bytes + block->used;
    block->used += rounded;
    memset(at, 0, rounded);
    return at;
}
