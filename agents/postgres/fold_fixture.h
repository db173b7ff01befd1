/* fold_fixture.h: for tests of the fold: rows of public.people go in, what comes out is text. */
#ifndef SELARAS_FOLD_FIXTURE_H
#define SELARAS_FOLD_FIXTURE_H

#include "agents/postgres/fold.h"
#include "agents/postgres/stream_fixture.h"
#include "agents/row_change.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena *arena;
static struct fold *fold;
static uint32_t problem_count; /* of the last transaction */
static struct error problem;
static const uint8_t seed[32] = { 1, 2, 3 };

static inline void describe(char identity)
{
    struct bytes bytes = people_bytes(identity);
    struct pgoutput_message message;
    struct error err;

    assert_int_equal(pgoutput_read(arena, bytes.at, bytes.length, &message, &err), 0);
    assert_int_equal(fold_relation(fold, &message.relation, &err), 0);
}

static inline int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    fold = fold_new(&fixture_mapping, 1 << 20);
    describe('f');
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    fold_free(&fold);
    arena_free(&arena);
    return 0;
}

static inline int add(struct bytes bytes, struct error *err)
{
    struct pgoutput_message message;

    assert_int_equal(pgoutput_read(arena, bytes.at, bytes.length, &message, err), 0);
    return fold_add(fold, &message, err);
}

static inline void add_ok(struct bytes bytes)
{
    struct error err;

    if (add(bytes, &err) < 0)
        fail_msg("%s", err.text);
}

static inline void insert(struct person now)
{
    add_ok(insert_bytes(&now));
}

static inline void update(struct person old, struct person now)
{
    add_ok(change_bytes('O', &old, &now));
}

static inline void delete (struct person old)
{
    add_ok(change_bytes('O', &old, NULL));
}

static inline void put_value(char *to, size_t size, struct value value)
{
    if (value.state == VALUE_ABSENT)
        snprintf(to, size, "-");
    else if (value.state == VALUE_NULL)
        snprintf(to, size, "null");
    else
        snprintf(to, size, "%.*s", (int)value.length, value.bytes);
}

/* "update 2<1 name=B<A; ": operation, key after and before, fields with new and old value. */
static inline const char *ended(void)
{
    static char text[4096];
    struct change *changes;
    size_t at = 0;

    text[0] = '\0';
    problem_count = fold_end(fold, seed, &problem);
    while (fold_left(fold)) {
        uint32_t count = fold_next(fold, arena, 1, &changes);

        for (uint32_t i = 0; i < count; i++) {
            struct change *change = &changes[i];

            assert_true(change_committed(change));
            at += (size_t)snprintf(text + at, sizeof text - at, "%s %.*s", operation_name(change->operation),
                                   (int)change->key.length, change->key.bytes);
            if (change->old_key.length > 0)
                at += (size_t)snprintf(text + at, sizeof text - at, "<%.*s", (int)change->old_key.length,
                                       change->old_key.bytes);
            for (uint16_t j = 0; j < change->field_count; j++) {
                char now[64], old[64];

                put_value(now, sizeof now, change->fields[j].value);
                put_value(old, sizeof old, change->fields[j].old);
                at += (size_t)snprintf(text + at, sizeof text - at, " %.*s=%s<%s", (int)change->fields[j].name.length,
                                       change->fields[j].name.bytes, now, old);
            }
            at += (size_t)snprintf(text + at, sizeof text - at, "; ");
        }
    }
    fold_reset(fold);
    return text;
}

static const struct person siti = { "x", "1", "Siti", "3", "" };
static const struct person siti_four = { "x", "1", "Siti", "4", "" };
static const struct person siti_moved = { "x", "2", "Siti", "3", "" };

#endif
