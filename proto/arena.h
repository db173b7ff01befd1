/* arena.h: memory that lives as long as the batch it belongs to, and is given back in one step.
 *
 * Decoded messages, looked-up records and what is made of them all die together, so nothing in them is freed one by
 * one. Out of memory aborts: systemd starts us again and PostgreSQL remembers. */
#ifndef SELARAS_ARENA_H
#define SELARAS_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena;

struct arena *arena_new(void);
/* Frees everything and clears the pointer. */
void arena_free(struct arena **arena);
/* Gives everything back but keeps one block for the next batch. Whatever was allocated is dangling from here. */
void arena_reset(struct arena *arena);

/* `size` zeroed bytes, aligned for any type. Never NULL. */
void *arena_alloc(struct arena *arena, size_t size);
/* As arena_alloc(count * size), aborting on overflow. */
void *arena_array(struct arena *arena, size_t count, size_t size);
/* A copy of `length` bytes with a NUL behind it. */
char *arena_copy(struct arena *arena, const void *bytes, size_t length);
char *arena_printf(struct arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Bytes handed out since the last reset: what limits are measured by. */
size_t arena_used(const struct arena *arena);

#endif
