/* The core of the broker: what agencies' own triggers make of what they are fed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/agent_fixture.h"

/* Fails unless so many values of the agency are known as altered, by the core and by the store. */
static void assert_altered(const struct agent *agent, uint32_t wanted)
{
    const struct world *world = agent->world;
    struct peer_view view;
    uint32_t stored = 0;

    for (uint32_t i = 0; broker_peer(world->broker, i, &view); i++)
        if (view.row->id == agent->id)
            assert_int_equal(view.altered, wanted);
    for (uint32_t i = 0; i < world->altered_count; i++)
        stored += world->altered[i].agency == agent->id && altered_stands(world, i);
    assert_int_equal(stored, wanted);
}

/* Record 1, which b has applied, and of which its trigger has made another name. */
static struct world *world_altered(struct agent *a, struct agent *b)
{
    struct world *world = world_new(fixture_catalog);

    *a = agent_join(world, "a", "nik");
    *b = agent_join(world, "b", "nik");
    say_change(a, change_of(a, OPERATION_INSERT, "1", "nik", "1", "name", "x", "size", "3", NULL));
    apply(b);
    say_report(b, REPORT_ALTERED, 1, b->base, "name");
    assert_altered(b, 1);
    return world;
}

static void what_a_trigger_alters_stands_until_a_later_item_of_that_field(void **state)
{
    struct agent a, b;
    struct world *world = world_altered(&a, &b);
    feed_position first = b.base;

    (void)state;
    assert_int_equal(world->altered[0].position, first);
    assert_string_equal(world->altered[0].field, "name");
    assert_string_equal(world->altered[0].type, "person");
    say_report(&b, REPORT_ALTERED, 1, b.base, "name"); /* another item has changed nothing of it */
    assert_altered(&b, 1);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "size", "4", NULL));
    assert_altered(&b, 1);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "y", NULL));
    assert_altered(&b, 0);
    say_report(&b, REPORT_ALTERED, 1, first, "name"); /* of the item before, told late */
    assert_altered(&b, 0);
    apply(&b);
    say_report(&b, REPORT_ALTERED, 1, b.base, "size name");
    assert_altered(&b, 2);
    world_free(&world);
}

static void a_change_of_the_agency_itself_ends_it(void **state)
{
    struct agent a, b;
    struct world *world = world_altered(&a, &b);

    (void)state;
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "size", "5", NULL));
    assert_altered(&b, 1);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "x", NULL)); /* what it was fed, typed in again */
    assert_int_equal(verdict_in(last_entry(world), "name"), VERDICT_UNCHANGED);
    assert_altered(&b, 0);
    say_report(&b, REPORT_ALTERED, 1, b.base, "existence");
    assert_altered(&b, 1);
    say_change(&b, change_of(&b, OPERATION_DELETE, "1", "nik", "1", NULL));
    assert_altered(&b, 0);
    world_free(&world);
}

static void a_record_that_is_sent_whole_ends_it_and_so_does_a_load(void **state)
{
    struct agent a, b;
    struct world *world = world_altered(&a, &b);

    (void)state;
    say_report(&b, REPORT_ALTERED, 1, b.base, "nik village existence");
    assert_altered(&b, 4);
    say_report(&b, REPORT_SKIPPED, 1, b.base, ""); /* answered with the record whole */
    assert_altered(&b, 0);
    apply(&b);
    say_report(&b, REPORT_ALTERED, 1, b.base, "village");
    assert_altered(&b, 1);
    reload(world, "b", "SK 1");
    greet(&b);
    assert_altered(&b, 0);
    world_free(&world);
}

static void a_new_broker_knows_it(void **state)
{
    struct agent a, b;
    struct world *world = world_altered(&a, &b);

    (void)state;
    say_report(&b, REPORT_ALTERED, 1, b.base, "existence");
    world_drop(world);
    world_start(world);
    assert_altered(&b, 2);
    greet(&a);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "y", NULL));
    assert_altered(&b, 1);
    world_free(&world);
}

static void names_that_are_no_fields_are_nothing(void **state)
{
    struct agent a, b;
    struct world *world = world_altered(&a, &b);

    (void)state;
    say_report(&b, REPORT_ALTERED, 1, b.base, "");
    say_report(&b, REPORT_ALTERED, 1, b.base, "  names exist nam ");
    say_report(&b, REPORT_ALTERED, 99, b.base, "name"); /* no such record */
    assert_altered(&b, 1);
    assert_int_equal(count_sent(&b, MESSAGE_ERROR), 0);
    world_free(&world);
}

static void a_batch_that_is_refused_has_ended_and_told_nothing(void **state)
{
    struct agent a, b;
    struct world *world = world_altered(&a, &b);
    struct change changes[2];
    struct report report = {
        .kind = REPORT_ALTERED, .record = 1, .position = b.base, .block = said("people"), .text = said("size")
    };

    (void)state;
    world->refused_value = "9";
    changes[0] = change_of(&a, OPERATION_UPDATE, "1", "name", "y", NULL);
    changes[1] = change_of(&a, OPERATION_INSERT, "9", "nik", "9", NULL);
    say_piece(
        &a, (struct piece){ .lsn = a.lsn += 10, .final = true, .base = a.base, .changes = changes, .change_count = 2 });
    assert_int_equal(row_of(&a)->state, STATE_QUARANTINED);
    assert_altered(&b, 1);
    say_piece(
        &b, (struct piece){ .lsn = b.lsn += 10, .final = true, .base = b.base, .reports = &report, .report_count = 1 });
    assert_altered(&b, 2);
    world_free(&world);
}

int main(void)
{
#define T(test) cmocka_unit_test(test)
    const struct CMUnitTest tests[] = {
        T(what_a_trigger_alters_stands_until_a_later_item_of_that_field),
        T(a_change_of_the_agency_itself_ends_it),
        T(a_record_that_is_sent_whole_ends_it_and_so_does_a_load),
        T(a_new_broker_knows_it),
        T(names_that_are_no_fields_are_nothing),
        T(a_batch_that_is_refused_has_ended_and_told_nothing),
    };
#undef T

    return cmocka_run_group_tests(tests, NULL, NULL);
}
