/* A transaction that is too large for one batch is decided part by part, and is one all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/agent_fixture.h"
#include "daemon/peer.h"

enum { MANY = 100, TEXT_BYTES = 100 * 1000 }; /* more than 8 MiB */

static struct world *world_of_parts(void)
{
    struct world *world = world_new(fixture_catalog);

    world_drop(world);
    world->options.stage_bytes = 64 << 20;
    world_start(world);
    return world;
}

static const char *number(struct agent *agent, uint32_t value)
{
    return arena_printf(agent->world->arena, "%u", value);
}

/* One transaction: change `i` of MANY, each in a frame of its own. */
static void say_large(struct agent *agent, struct change make(struct agent *agent, uint32_t i))
{
    agent->lsn += 10;
    for (uint32_t i = 0; i < MANY; i++) {
        struct change change = make(agent, i);

        say_piece(agent, (struct piece){ .lsn = agent->lsn,
                                         .first = i,
                                         .final = i + 1 == MANY,
                                         .base = agent->base,
                                         .changes = &change,
                                         .change_count = 1 });
    }
}

static struct change inserted(struct agent *agent, uint32_t i)
{
    return change_of(agent, OPERATION_INSERT, number(agent, i + 1), "nik", number(agent, i + 1), "name",
                     long_text(agent->world, TEXT_BYTES), NULL);
}

static void it_is_committed_once_and_whole(void **state)
{
    struct world *world = world_of_parts();
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    int acks = count_sent(&a, MESSAGE_ACK), batches;
    feed_position head;

    (void)state;
    b.credit = 64 << 20;
    greet(&b);
    batches = world->batch_count;
    head = world->state.head;
    say_large(&a, inserted);
    assert_true(world->part_count >= 4);
    assert_int_equal(world->batch_count, batches + 2); /* one that took nothing, because of it, and it */
    assert_int_equal(count_sent(&a, MESSAGE_ACK), acks + 1);
    assert_int_equal(last_sent(&a, MESSAGE_ACK)->ack.lsn, a.lsn);
    assert_int_equal(world->state.head, head + MANY);
    assert_int_equal(row_of(&a)->changes, MANY);
    for (uint32_t i = 1; i <= MANY; i++)
        assert_non_null(last_item(&b, i));
    say_change(&a, change_of(&a, OPERATION_UPDATE, "7", "name", "x", NULL)); /* and goes on */
    assert_canonical(world, 7, NAME, "x");
    world_free(&world);
}

/* Where a reader's batch may end: no earlier than 8 MiB, however the parts were cut. */
static void its_parts_are_not_seen_by_readers(void **state)
{
    struct world *world = world_of_parts();
    struct agent a = agent_join(world, "a", "nik");
    size_t bytes = 0;

    (void)state;
    say_large(&a, inserted);
    for (uint32_t i = world->entry_count - MANY; i < world->entry_count; i++) {
        bytes += world->entries[i].body.length;
        assert_int_equal(world->entries[i].boundary, bytes >= 8 << 20 || i + 1 == world->entry_count);
        if (world->entries[i].boundary)
            bytes = 0;
    }
    world_free(&world);
}

/* Row i gets the key of row i + 1, which is changed after it. */
static struct change pushed(struct agent *agent, uint32_t i)
{
    struct change change =
        change_of(agent, OPERATION_UPDATE, number(agent, i + 2), "name", long_text(agent->world, TEXT_BYTES - 1),
                  "village", number(agent, i + 1), "street", "s", NULL);

    change.old_key = said(number(agent, i + 1));
    seal(agent, &change);
    return change;
}

/* The first is deleted last, when its key is another's already. */
static struct change moved_before_deletion(struct agent *agent, uint32_t i)
{
    struct change change;

    if (i + 1 == MANY)
        return change_of(agent, OPERATION_DELETE, "2", NULL);
    if (i > 0)
        return change_of(agent, OPERATION_UPDATE, number(agent, i + 2), "name", long_text(agent->world, TEXT_BYTES),
                         NULL);
    change = change_of(agent, OPERATION_UPDATE, "2", "name", "moved", NULL);
    change.old_key = said(number(agent, MANY + 1));
    seal(agent, &change);
    return change;
}

static void keys_mean_what_they_meant_before_it(void **state)
{
    struct world *world = world_of_parts();
    struct agent a = agent_join(world, "a", NULL);

    (void)state;
    say_large(&a, inserted);
    say_large(&a, pushed);
    for (uint32_t i = 1; i <= MANY; i++)
        assert_canonical(world, i, VILLAGE, number(&a, i)); /* else a row was taken for its neighbour */
    say_change(&a, change_of(&a, OPERATION_UPDATE, "2", "name", "first", NULL));
    assert_canonical(world, 1, NAME, "first");
    say_large(&a, moved_before_deletion);
    assert_false(store_record(world, 1)->exists);
    assert_true(store_record(world, MANY)->exists);
    assert_canonical(world, MANY, NAME, "moved");
    world_free(&world);
}

static struct change refused(struct agent *agent, uint32_t i)
{
    return change_of(agent, OPERATION_INSERT, number(agent, i + 1), "nik", i == 70 ? "666" : number(agent, i + 1),
                     "name", long_text(agent->world, TEXT_BYTES), NULL);
}

static void nothing_of_it_stays_when_one_part_is_refused(void **state)
{
    struct world *world = world_of_parts();
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    uint64_t lsn = row_of(&a)->lsn;

    (void)state;
    world->refused_value = "666";
    say_large(&a, refused);
    assert_error(&a, quarantine_code(QUARANTINE_REFUSED));
    assert_int_equal(world->refusal_count, 1);
    assert_int_equal(world->record_count, 0);
    assert_int_equal(row_of(&a)->state, STATE_QUARANTINED);
    assert_int_equal(row_of(&a)->lsn, lsn);
    say_change(&b, change_of(&b, OPERATION_INSERT, "5", "nik", "5", NULL));
    assert_int_equal(world->record_count, 1);
    world->refused_value = NULL; /* somebody has seen to it */
    resume(world, "a", "it holds this now");
    greet(&a);
    say_large(&a, refused);
    assert_int_equal(world->record_count, 1 + MANY - 1); /* of the record of key 5 there was one */
    world_free(&world);
}

/* Answers until the first part of it is written. */
static void write_first_part(struct world *world)
{
    while (world->part_count == 0)
        answer_batch(world);
    assert_true(world->savepoint.open);
}

static void a_session_that_ends_within_it_changes_nothing(void **state)
{
    struct world *world = world_of_parts();
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    world->held = true;
    say_large(&a, inserted);
    write_first_part(world);
    say_hello(&a);
    world->held = false;
    settle(world);
    take_welcome(&a);
    assert_int_equal(a.lsn, 110);
    assert_int_equal(world->record_count, MANY);
    say_change(&a, change_of(&a, OPERATION_INSERT, "1000", "nik", "1000", NULL));
    assert_int_equal(world->record_count, MANY + 1);
    world_free(&world);
}

/* Also while it is looked at for the first time, because it moves keys: whenever that is. */
static void a_session_may_end_before_any_of_it_is_decided(void **state)
{
    (void)state;
    for (int answers = 0; answers < 12; answers++) {
        struct world *world = world_of_parts();
        struct agent a = agent_join(world, "a", NULL);
        uint64_t lsn;

        say_large(&a, inserted);
        lsn = a.lsn;
        world->held = true;
        say_large(&a, pushed);
        for (int i = 0; i < answers; i++)
            answer_batch(world);
        say_hello(&a);
        world->held = false;
        settle(world);
        take_welcome(&a);
        if (a.lsn == lsn) /* nothing of it */
            say_large(&a, pushed);
        for (uint32_t i = 1; i <= MANY; i++)
            assert_canonical(world, i, VILLAGE, number(&a, i));
        world_free(&world);
    }
}

static void a_broker_dropped_within_it_begins_it_anew(void **state)
{
    struct world *world = world_of_parts();
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    world->held = true;
    say_large(&a, inserted);
    write_first_part(world);
    world_drop(world);
    world->held = false;
    world_start(world);
    assert_int_equal(world->record_count, 0);
    greet(&a);
    say_large(&a, inserted);
    assert_int_equal(world->record_count, MANY);
    world_free(&world);
}

static void what_waits_before_and_behind_it_is_taken_in_order(void **state)
{
    struct world *world = world_of_parts();
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    world->held = true;
    say_change(&a, change_of(&a, OPERATION_INSERT, "500", "nik", "500", NULL)); /* in flight */
    say_change(&a, change_of(&a, OPERATION_INSERT, "501", "nik", "501", NULL));
    say_large(&a, inserted);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "3", "name", "after", NULL));
    world->held = false;
    settle(world);
    assert_int_equal(count_sent(&a, MESSAGE_ERROR), 0);
    assert_int_equal(world->record_count, MANY + 2);
    assert_canonical(world, 5, NAME, "after");
    assert_int_equal(row_of(&a)->lsn, a.lsn);
    world_free(&world);
}

static struct change first_updated(struct agent *agent, uint32_t i)
{
    return i == 0 ? change_of(agent, OPERATION_UPDATE, "1", "name", "y", NULL) : inserted(agent, i);
}

static void what_was_known_of_its_records_is_not_believed(void **state)
{
    struct world *world = world_of_parts();
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "x", NULL));
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "village", "v", "street", "s", NULL));
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "village", "w", "street", "s", NULL));
    assert_true(world->known_count > 0);
    say_large(&a, first_updated);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "village", "v", "street", "s", NULL));
    assert_canonical(world, 1, NAME, "y");
    world_free(&world);
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
    const struct CMUnitTest tests[] = {
        T(it_is_committed_once_and_whole),
        T(its_parts_are_not_seen_by_readers),
        T(keys_mean_what_they_meant_before_it),
        T(nothing_of_it_stays_when_one_part_is_refused),
        T(a_session_that_ends_within_it_changes_nothing),
        T(a_session_may_end_before_any_of_it_is_decided),
        T(a_broker_dropped_within_it_begins_it_anew),
        T(what_was_known_of_its_records_is_not_believed),
        T(what_waits_before_and_behind_it_is_taken_in_order),
    };
#undef T

    return cmocka_run_group_tests(tests, NULL, NULL);
}
