/* The core of the broker: which record a local key means, while keys move. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/agent_fixture.h"

static void a_key_that_changes_moves_its_link(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    struct change move;

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "x", NULL));
    apply(&b);
    move = change_new(&a, OPERATION_UPDATE, "people", "9");
    move.old_key = said("1");
    set_field(&move, "nik", "9");
    seal(&a, &move);
    say_change(&a, move);
    assert_true(same_text(last_item(&b, 1)->key, said("1")));
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "size", "4", NULL)); /* b has not applied it yet */
    assert_string_equal(canonical_value(world, 1, SIZE), "4");
    apply(&b);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "9", "size", "5", NULL));
    assert_string_equal(canonical_value(world, 1, SIZE), "5");
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "size", "6", NULL)); /* nobody's any more */
    assert_int_equal(verdict_in(last_entry(world), "existence"), VERDICT_HELD);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "9", "name", "y", NULL));
    assert_true(same_text(last_item(&b, 1)->key, said("9")));
    assert_int_equal(world->record_count, 2); /* what b said of it is held under a number of its own */
    assert_false(world->records[1].exists);
    world_free(&world);
}

static void exchanged_keys_stay_with_their_records(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    struct change exchange[2];

    (void)state;
    say_change(&a, numbered(&a, 1, "Siti"));
    say_change(&a, numbered(&a, 2, "Budi"));
    exchange[0] = moved(&a, "1", "2", true, "Siti A");
    exchange[1] = moved(&a, "2", "1", true, "Budi B");
    say_changes(&a, exchange, 2);
    assert_int_equal(last_entry(world)[-1].entry.record, 1);
    assert_int_equal(last_entry(world)->entry.record, 2);
    assert_canonical(world, 1, NAME, "Siti A");
    assert_canonical(world, 2, NAME, "Budi B");
    world_free(&world);
}

static void a_chain_of_keys_stays_with_its_records(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", NULL);
    struct change chain[2];

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "11", "name", "Siti", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "22", "name", "Budi", NULL));
    chain[0] = moved(&a, "1", "2", false, "Siti A");
    chain[1] = moved(&a, "2", "3", false, "Budi B");
    say_changes(&a, chain, 2);
    assert_canonical(world, 1, NAME, "Siti A");
    assert_canonical(world, 2, NAME, "Budi B");
    world_free(&world);
}

static void an_own_key_change_that_lost_keeps_the_item_on_its_way(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    say_change(&a, numbered(&a, 1, NULL));
    apply(&b);
    say_change(&a, moved(&a, "1", "2", true, NULL)); /* on its way to b ... */
    say_change(&b, moved(&b, "1", "9", true, NULL)); /* which has changed it itself, and is below a */
    apply(&b);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "2", "size", "4", NULL));
    assert_true(same_text(last_item(&b, 1)->key, said("2")));
    world_free(&world);
}

static void a_second_row_with_an_identifier_takes_nothing_over(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", NULL);

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "5", "name", "Siti", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "5", "name", "Budi", NULL));
    assert_int_equal(verdict_in(last_entry(world), "existence"), VERDICT_HELD);
    assert_canonical(world, 1, NAME, "Siti");
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "size", "3", NULL));
    assert_int_equal(last_entry(world)->entry.record, 1); /* the first row is still the record's */
    assert_canonical(world, 1, SIZE, "3");
    world_free(&world);
}

static void a_key_too_long_for_an_index_is_not_linked(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_new(world, "b", "nik");

    (void)state;
    b.blocks[0].key_fields[b.blocks[0].key_field_count++] = said("name");
    greet(&b);
    say_load_end(&b);
    say_change(&a, numbered(&a, 1, long_text(world, 4000)));
    assert_int_equal(world->record_count, 1);
    for (uint32_t i = 0; i < world->link_count; i++)
        assert_true(world->links[i].key.length <= KEY_BYTES_MAX);
    world_free(&world);
}

static void a_block_that_changes_its_type_is_refused(void **state)
{
    struct world *world = world_new(wide_catalog);
    struct agent a = agent_join(world, "a", NULL);
    int welcomes = count_sent(&a, MESSAGE_WELCOME);

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "K", "nik", "1", NULL));
    a.blocks[0] = block_of(world, "people", "household", NULL); /* what is linked under this name is a person */
    a.blocks[1] = block_of(world, "other", "person", NULL);
    a.block_count = 2;
    say_hello(&a);
    assert_errors(&a, 1, "mapping");
    assert_int_equal(count_sent(&a, MESSAGE_WELCOME), welcomes);
    a.blocks[0] = block_of(world, "people", "person", NULL);
    a.blocks[1] = block_of(world, "homes", "household", NULL);
    greet(&a);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "K", "f1", "x", NULL));
    assert_int_equal(last_entry(world)->entry.record, 1);
    world_free(&world);
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_key_that_changes_moves_its_link),
        T(exchanged_keys_stay_with_their_records),
        T(a_chain_of_keys_stays_with_its_records),
        T(an_own_key_change_that_lost_keeps_the_item_on_its_way),
        T(a_second_row_with_an_identifier_takes_nothing_over),
        T(a_key_too_long_for_an_index_is_not_linked),
        T(a_block_that_changes_its_type_is_refused),
    };

    return cmocka_run_group_tests_name("broker_keys", tests, NULL, NULL);
}
