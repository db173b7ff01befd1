/* The core of the broker: changes, their transactions and their acks, and what an agency may send ahead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/agent_fixture.h"

static void a_change_is_stored_before_it_is_acknowledged(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    int acks = count_sent(&a, MESSAGE_ACK);

    (void)state;
    world->held = true;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    answer_batch(world); /* found */
    assert_true(world->storing);
    assert_int_equal(count_sent(&a, MESSAGE_ACK), acks);
    answer_batch(world); /* stored */
    assert_int_equal(count_sent(&a, MESSAGE_ACK), acks + 1);
    assert_int_equal(last_sent(&a, MESSAGE_ACK)->ack.lsn, a.lsn);
    world->held = false;
    settle(world);
    world_free(&world);
}

static void what_was_not_stored_is_sent_again_and_takes_effect_once(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    world->held = true;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    answer_batch(world);
    world_drop(world); /* the result of COMMIT is lost, and it was not */
    world->held = false;
    world_start(world);
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "2", NULL));
    assert_error(&a, "no-session");
    assert_int_equal(world->record_count, 0);
    greet(&a);
    assert_int_equal(a.lsn, 100);
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    assert_int_equal(world->record_count, 1);
    world_free(&world);
}

static void a_duplicate_is_only_acknowledged_again(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    uint32_t entries;
    int acks;

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    greet(&a);
    entries = world->entry_count;
    acks = count_sent(&a, MESSAGE_ACK);
    a.lsn -= 10;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    assert_int_equal(world->entry_count, entries);
    assert_int_equal(count_sent(&a, MESSAGE_ACK), acks + 1);
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "2", NULL));
    assert_int_equal(world->record_count, 2);
    world_free(&world);
}

static void changes_that_nobody_answers_for_are_counted_once(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    struct change change = change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL);

    (void)state;
    assert_int_equal(row_of(&a)->unrecorded, 0);
    say_change(&a, change);
    greet(&a);
    a.lsn -= 10;
    say_change(&a, change);
    assert_int_equal(row_of(&a)->unrecorded, 1);
    change = change_of(&a, OPERATION_UPDATE, "1", "name", "S", NULL);
    change.ground = value_text("SK 1");
    seal(&a, &change);
    say_change(&a, change);
    assert_int_equal(row_of(&a)->unrecorded, 1);
    assert_int_equal(row_of(&a)->changes, 2);
    world_free(&world);
}

static void a_base_above_what_was_sent_is_refused(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    a.base = world->state.head + 1;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    assert_error(&a, "base");
    assert_int_equal(world->record_count, 0);
    world_free(&world);
}

static void a_base_below_an_earlier_one_is_refused(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    a.base--;
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "2", NULL));
    assert_error(&a, "base");
    world_free(&world);
}

static void more_than_the_credit_is_refused(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    char *name = arena_alloc(world->arena, 200001);

    (void)state;
    memset(name, 'x', 200000);
    world->held = true; /* nothing is stored, so no credit comes back */
    for (int i = 0; i < 6 && count_sent(&a, MESSAGE_ERROR) == 0; i++)
        say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", name, NULL));
    assert_error(&a, "credit");
    world->held = false;
    settle(world);
    world_free(&world);
}

static void credit_comes_back_for_what_is_stored(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    char *name = arena_alloc(world->arena, 200001);
    uint64_t sent = 0, credit = world->options.window_bytes;

    (void)state;
    memset(name, 'x', 200000);
    for (int i = 0; i < 20; i++, sent += 200000) {
        assert_true(sent + 201000 <= credit);
        name[0] = (char)('a' + i);
        say_change(&a, change_of(&a, i ? OPERATION_UPDATE : OPERATION_INSERT, "1", "nik", "1", "name", name, NULL));
        if (last_sent(&a, MESSAGE_CREDIT)->kind)
            credit = last_sent(&a, MESSAGE_CREDIT)->credit.total;
    }
    assert_int_equal(count_sent(&a, MESSAGE_ERROR), 0);
    world_free(&world);
}

static void a_transaction_in_parts_is_decided_whole(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    struct change one = change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL);
    struct change two = change_of(&a, OPERATION_INSERT, "2", "nik", "2", NULL);

    (void)state;
    say_piece(&a, (struct piece){ .lsn = 110, .base = a.base, .changes = &one, .change_count = 1 });
    assert_int_equal(world->record_count, 0);
    say_piece(&a, (struct piece){
                      .lsn = 110, .first = 1, .final = true, .base = a.base, .changes = &two, .change_count = 1 });
    assert_int_equal(world->record_count, 2);
    assert_false(world->entries[world->entry_count - 2].boundary);
    assert_true(last_entry(world)->boundary);
    assert_int_equal(last_sent(&a, MESSAGE_ACK)->ack.lsn, 110);
    world_free(&world);
}

/* No reader can be asked to keep and apply as many as a nightly reload may have at once. */
static void an_insert_that_is_put_back_again_and_again_makes_one_record(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent c = agent_join(world, "c", "nik");
    uint32_t entries = world->entry_count;

    (void)state;
    for (int i = 0; i < 5; i++) {
        say_change(&c, change_of(&c, OPERATION_INSERT, "1", "nik", "1", "name", "x", NULL));
        assert_int_equal(verdict_in(last_entry(world), "existence"), VERDICT_PUT_BACK);
        assert_int_equal(last_item(&c, 1)->operation, OPERATION_DELETE);
        assert_int_equal(last_item(&c, 1)->position, last_entry(world)->entry.position);
        assert_true(same_text(last_item(&c, 1)->key, said("1")));
        apply(&c);
        c.base = c.applied;
    }
    assert_int_equal(world->entry_count, entries + 5);
    assert_int_equal(world->record_count, 1);
    say_change(&c, change_of(&c, OPERATION_INSERT, "2", "nik", "2", NULL));
    assert_int_equal(world->record_count, 2);
    world_free(&world);
}

/* Generated keys are used again. */
static void a_key_whose_record_was_deleted_makes_a_new_record(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", NULL), b = agent_join(world, "b", "nik");

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "17", "nik", "1", NULL));
    apply(&b);
    b.base = b.applied;
    say_change(&b, change_of(&b, OPERATION_DELETE, "1", NULL));
    assert_false(store_record(world, 1)->exists);
    apply(&a);
    a.base = a.applied;
    say_change(&a, change_of(&a, OPERATION_INSERT, "17", "nik", "2", NULL));
    assert_int_equal(world->record_count, 2);
    assert_canonical(world, 2, NIK, "2");
    world_free(&world);
}

static void a_huge_transaction_reaches_readers_in_several_batches(void **state)
{
    enum { MANY = 10001 };
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    uint32_t boundaries = 0;

    (void)state;
    insert_many(&a, MANY);
    for (uint32_t i = world->entry_count - MANY; i < world->entry_count; i++)
        boundaries += world->entries[i].boundary;
    assert_int_equal(boundaries, 2);
    assert_true(world->entries[world->entry_count - 2].boundary);
    assert_true(last_entry(world)->boundary);
    world_free(&world);
}

static void half_a_transaction_is_forgotten_with_its_session(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    struct change one = change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL);

    (void)state;
    say_piece(&a, (struct piece){ .lsn = 110, .base = a.base, .changes = &one, .change_count = 1 });
    greet(&a);
    assert_int_equal(a.lsn, 100);
    say_piece(&a, (struct piece){ .lsn = 110, .final = true, .base = a.base, .changes = &one, .change_count = 1 });
    assert_int_equal(world->record_count, 1);
    world_free(&world);
}

static void a_session_that_ends_within_a_batch_loses_nothing(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    world->held = true;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "Siti", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "2", NULL)); /* waits for the next batch */
    answer_batch(world);
    say_hello(&a); /* a new connection: what waited is dropped, what the batch borrows is not */
    say_hello(&a);
    world->held = false;
    settle(world);
    take_welcome(&a);
    assert_int_equal(a.lsn, 110);
    assert_int_equal(world->record_count, 1);
    assert_string_equal(item_value(last_item(&b, 1), "name"), "Siti");
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "2", NULL));
    assert_int_equal(world->record_count, 2);
    world_free(&world);
}

static void a_broker_dropped_within_a_batch_leaks_nothing(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    world->held = true;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "2", NULL));
    say_hello(&b);
    world_drop(world); /* before the lookup is answered; the address sanitizer looks for leaks */
    world_start(world);
    world_free(&world);
}

static void a_transaction_larger_than_the_window_is_given_credit(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    const char *name = long_text(world, 200000);
    uint64_t sent = 0, credit = world->options.window_bytes;

    (void)state;
    for (uint32_t i = 0; i < 12; i++, sent += 200300) {
        struct change change = numbered(&a, i + 1, name);

        if (last_sent(&a, MESSAGE_CREDIT)->kind)
            credit = last_sent(&a, MESSAGE_CREDIT)->credit.total;
        assert_true(sent + 201000 <= credit); /* else an honest agent waits for ever */
        say_piece(
            &a, (struct piece){
                    .lsn = 110, .first = i, .final = i == 11, .base = a.base, .changes = &change, .change_count = 1 });
    }
    assert_int_equal(world->record_count, 12);
    world_free(&world);
}

static void transactions_that_share_frames_do_not_add_up(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    const char *name = long_text(world, 100000);

    (void)state;
    for (uint32_t i = 0; i < 100; i++) { /* each frame ends one transaction and starts the next: 10 MB, of 8 for one */
        struct change end = numbered(&a, i + 1, name), start = numbered(&a, 1000 + i, NULL);
        struct piece pieces[2] = {
            { .lsn = 1000 + i * 10, .first = i > 0, .final = true, .base = a.base, .changes = &end, .change_count = 1 },
            { .lsn = 1010 + i * 10, .base = a.base, .changes = &start, .change_count = 1 },
        };
        struct message message = { .kind = MESSAGE_CHANGES, .changes = { pieces, 2 } };

        say(&a, message);
    }
    assert_int_equal(count_sent(&a, MESSAGE_ERROR), 0);
    assert_int_equal(world->record_count, 199);
    world_free(&world);
}

static void a_transaction_whose_last_part_is_empty_ends_in_a_boundary(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    struct change changes[60];

    (void)state;
    for (uint32_t i = 0; i < 60; i++)
        changes[i] = numbered(&a, i + 1, NULL);
    say_piece(&a, (struct piece){ .lsn = 110, .base = a.base, .changes = changes, .change_count = 60 });
    say_piece(&a, (struct piece){ .lsn = 110, .first = 60, .final = true, .base = a.base });
    assert_int_equal(world->record_count, 60);
    assert_true(last_entry(world)->boundary);
    world_free(&world);
}

static void a_changes_message_without_a_piece_is_refused(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    say(&a, (struct message){ .kind = MESSAGE_CHANGES }); /* it would wait, and take memory, until the session ends */
    assert_errors(&a, 1, "malformed");
    world_free(&world);
}

static void a_part_of_a_group_is_refused(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "village", "v", "street", "s", NULL));
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "village", "w", NULL));
    assert_errors(&a, 1, "malformed");
    assert_canonical(world, 1, VILLAGE, "v");
    assert_canonical(world, 1, STREET, "s");
    world_free(&world);
}

static void agencies_take_turns(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    world->held = true;
    for (uint32_t i = 0; i < 350; i++) /* the first is a batch of its own, the others fill more than three */
        say_change(&a, numbered(&a, i + 1, NULL));
    say_change(&b, numbered(&b, 1000, NULL));
    for (int batch = 0; batch < 3; batch++) {
        answer_batch(world); /* found */
        answer_batch(world); /* stored */
    }
    assert_int_equal(row_of(&b)->lsn, b.lsn);
    assert_true(row_of(&a)->lsn < a.lsn);
    world->held = false;
    settle(world);
    assert_int_equal(world->record_count, 351);
    world_free(&world);
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_change_is_stored_before_it_is_acknowledged),
        T(what_was_not_stored_is_sent_again_and_takes_effect_once),
        T(a_duplicate_is_only_acknowledged_again),
        T(changes_that_nobody_answers_for_are_counted_once),
        T(a_base_above_what_was_sent_is_refused),
        T(a_base_below_an_earlier_one_is_refused),
        T(more_than_the_credit_is_refused),
        T(credit_comes_back_for_what_is_stored),
        T(a_transaction_in_parts_is_decided_whole),
        T(an_insert_that_is_put_back_again_and_again_makes_one_record),
        T(a_key_whose_record_was_deleted_makes_a_new_record),
        T(a_huge_transaction_reaches_readers_in_several_batches),
        T(half_a_transaction_is_forgotten_with_its_session),
        T(a_session_that_ends_within_a_batch_loses_nothing),
        T(a_broker_dropped_within_a_batch_leaks_nothing),
        T(a_transaction_larger_than_the_window_is_given_credit),
        T(transactions_that_share_frames_do_not_add_up),
        T(a_transaction_whose_last_part_is_empty_ends_in_a_boundary),
        T(a_changes_message_without_a_piece_is_refused),
        T(a_part_of_a_group_is_refused),
        T(agencies_take_turns),
    };

    return cmocka_run_group_tests_name("broker_changes", tests, NULL, NULL);
}
