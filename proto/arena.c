#include "proto/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_FIRST_BYTES = 1024, BLOCK_BYTES_MOST = 1024 * 1024 };

struct block {
    struct block *next;
    size_t size, used;
    alignas(max_align_t) char bytes[];
};

/* The newest block is first. `used` of blocks behind it never changes again. */
struct arena {
    struct block *blocks;
    size_t used;
};

static void *allocated(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static struct block *block_new(size_t size, struct block *next)
{
    struct block *block = allocated(malloc(sizeof *block + size));

    block->next = next;
    block->size = size;
    block->used = 0;
    return block;
}

static void blocks_free(struct block *block)
{
    while (block) {
        struct block *next = block->next;

        free(block);
        block = next;
    }
}

struct arena *arena_new(void)
{
    return allocated(calloc(1, sizeof(struct arena)));
}

void arena_free(struct arena **arena)
{
    struct arena *old = *arena;

    *arena = NULL; /* first: the pointer may lie in the arena itself */
    if (!old)
        return;
    blocks_free(old->blocks);
    free(old);
}

void arena_reset(struct arena *arena)
{
    struct block *kept = arena->blocks;

    arena->used = 0;
    if (!kept)
        return;
    blocks_free(kept->next);
    kept->next = NULL;
    kept->used = 0;
    if (kept->size > BLOCK_BYTES_MOST) { /* one huge batch must not hold its memory for ever */
        blocks_free(kept);
        arena->blocks = NULL;
    }
}

/* Not zeroed. */
static void *take(struct arena *arena, size_t size)
{
    size_t rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct block *block = arena->blocks;
    void *memory;

    if (rounded < size)
        abort();
    if (!block || block->size - block->used < rounded) {
        /* Blocks grow with the batch, so that a large one is not a long list, and what is small stays so: whoever sends
         * many small messages must not hold more of our memory than the limits on it count. */
        size_t wanted = arena->used > BLOCK_FIRST_BYTES ? arena->used : BLOCK_FIRST_BYTES;

        if (wanted > BLOCK_BYTES_MOST)
            wanted = BLOCK_BYTES_MOST;
        block = block_new(rounded > wanted ? rounded : wanted, block);
        arena->blocks = block;
    }
    memory = block->bytes + block->used;
    block->used += rounded;
    arena->used += rounded;
    return memory;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    return memset(take(arena, size), 0, size);
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        abort();
    return arena_alloc(arena, bytes);
}

char *arena_copy(struct arena *arena, const void *bytes, size_t length)
{
    char *copy = take(arena, length + 1);

    if (length > 0)
        memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
    va_list arguments;
    int length;
    char *text;

    va_start(arguments, fmt);
    length = vsnprintf(NULL, 0, fmt, arguments);
    va_end(arguments);
    assert(length >= 0);
    text = arena_alloc(arena, (size_t)length + 1);
    va_start(arguments, fmt);
    vsnprintf(text, (size_t)length + 1, fmt, arguments);
    va_end(arguments);
    return text;
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}
