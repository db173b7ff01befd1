/* cursor.h: reads MessagePack that someone else wrote, one value after the other, and trusts none of it.
 *
 * A reader is written like the grammar that it reads: it asks for what must come next. The first thing that is not so
 * is kept with its place; everything asked for afterwards is zero, nil or empty, so that a reader checks once, with
 * cursor_finish(). Nothing is allocated; text and bin point into the bytes. */
#ifndef SELARAS_CURSOR_H
#define SELARAS_CURSOR_H

#include "proto/record.h"

#include <stddef.h>

enum {
    CURSOR_DEPTH_MAX = 12,    /* arrays within arrays */
    CURSOR_PROBLEM_MAX = 320, /* bytes of the sentence that says what was wrong where */
};

/* Every integer fits PostgreSQL's bigint, and the small ones its integer (PROTOCOL 2). */
#define UINT_MOST ((uint64_t)INT64_MAX)
#define SMALL_MOST ((uint64_t)INT32_MAX)
/* 0001-01-01 and 9999-12-31T23:59:59.999999Z in microseconds since 1970. */
#define TIME_LEAST_US INT64_C(-62135596800000000)
#define TIME_MOST_US INT64_C(253402300799999999)

struct cursor_level {
    const char *name; /* NULL: an element of the level above */
    uint32_t element; /* how many elements without a name were begun here */
};

struct cursor {
    const char *what;    /* is being read: "hello message" */
    struct arena *arena; /* for the arrays that readers make; the cursor itself allocates nothing */
    const uint8_t *start, *at, *end;
    const uint8_t *mark; /* where the value that is being read begins */
    const char *name;    /* its name */
    unsigned depth;
    bool failed;
    struct cursor_level levels[CURSOR_DEPTH_MAX];
    char problem[CURSOR_PROBLEM_MAX]; /* when it failed */
};

void cursor_start(struct cursor *cursor, const char *what, const void *bytes, size_t length, struct arena *arena);
/* ERR_REJECT when anything was not as asked, or when bytes are left behind it. */
must_check int cursor_finish(struct cursor *cursor, struct error *err);
bool cursor_ok(const struct cursor *cursor);
/* The reader itself finds fault with the value that it read last. The text holds no part of it. */
void cursor_refuse(struct cursor *cursor, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));

/* In all of these `name` is what the grammar calls the value, for the error; NULL means the next element of the list
 * that was entered last. It must be a literal. */

/* Enters an array of exactly `count` values. */
void cursor_tuple(struct cursor *cursor, const char *name, uint32_t count);
/* Enters an array and returns how many elements it has: `fewest` to `most`, and no more than fit into the bytes that
 * are left when each of them takes at least `least_bytes`. 0 when it is refused. */
uint32_t cursor_list(struct cursor *cursor, const char *name, uint32_t fewest, uint32_t most, size_t least_bytes);
/* Behind the last element of an array. Whether that was the last is not asked: the reader has read as many as it said.
 */
void cursor_leave(struct cursor *cursor);

/* Whether nil comes next; takes it if so. */
bool cursor_nil(struct cursor *cursor);
/* nil and nothing else. */
void cursor_nothing(struct cursor *cursor, const char *name);
bool cursor_bool(struct cursor *cursor, const char *name);
/* Integers of any width. */
uint64_t cursor_uint(struct cursor *cursor, const char *name, uint64_t least, uint64_t most);
int64_t cursor_int(struct cursor *cursor, const char *name, int64_t least, int64_t most);
int64_t cursor_time(struct cursor *cursor, const char *name);
/* Valid UTF-8 without NUL. */
struct text cursor_text(struct cursor *cursor, const char *name);
/* nil or text that is not empty; nil is length 0. */
struct text cursor_text_or_nil(struct cursor *cursor, const char *name);
/* [a-z][a-z0-9_]{0,62} */
struct text cursor_name(struct cursor *cursor, const char *name);
/* nil or the spelling of a value, of at most VALUE_LENGTH_MAX bytes. */
struct value cursor_value(struct cursor *cursor, const char *name);
struct text cursor_bin(struct cursor *cursor, const char *name);
/* bin of exactly `length` bytes, copied to `ret` (zeros when it is refused). */
void cursor_bytes(struct cursor *cursor, const char *name, uint8_t *ret, size_t length);
/* The same, or nil, which leaves zeros. */
void cursor_bytes_or_nil(struct cursor *cursor, const char *name, uint8_t *ret, size_t length);

#endif
