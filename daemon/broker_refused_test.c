/* The core of the broker, when PostgreSQL refuses a batch: only who sent what it refuses is stopped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/agent_fixture.h"

static void assert_quarantined(const struct agent *agent, const char *says)
{
    const struct agency_row *row = row_of(agent);

    assert_int_equal(row->state, STATE_QUARANTINED);
    assert_int_equal(row->quarantine, QUARANTINE_REFUSED);
    if (!strstr(row->reason, says))
        fail_msg("\"%s\" does not say \"%s\"", row->reason, says);
}

/* The rows from `first` on, each inserted by a transaction of its own. */
static void insert_each(struct agent *agent, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        say_change(agent, numbered(agent, first + i, NULL));
}

static bool is_stored(struct world *world, const char *nik)
{
    for (uint32_t i = 0; i < world->record_count; i++)
        if (value_equal(world->records[i].values[NIK], value_text(nik)))
            return true;
    return false;
}

static void the_one_transaction_is_found_and_its_agency_stopped(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    world->refused_value = "4";
    world->held = true;
    insert_each(&b, 100, 5);
    insert_each(&a, 1, 7); /* 110 to 170: the fourth is refused */
    world->held = false;
    settle(world);
    assert_quarantined(&a, "transaction at 0/8C (person) is refused: PostgreSQL 23514");
    assert_error(&a, "quarantined");
    assert_int_equal(row_of(&a)->lsn, 130);
    assert_true(is_stored(world, "3"));
    assert_false(is_stored(world, "4"));
    assert_false(is_stored(world, "5")); /* what follows it waits with it */
    assert_int_equal(row_of(&b)->state, STATE_ACTIVE);
    assert_int_equal(row_of(&b)->lsn, b.lsn);
    assert_true(is_stored(world, "104"));
    say_change(&b, numbered(&b, 200, NULL));
    assert_true(is_stored(world, "200"));
    assert_false(world->stopped);
    world_free(&world);
}

static void it_is_found_in_few_batches(void **state)
{
    (void)state;
    for (uint32_t poison = 1; poison <= 64; poison += 7) {
        struct world *world = world_new(fixture_catalog);
        struct agent a = agent_join(world, "a", "nik");
        int before;

        world->refused_value = arena_printf(world->arena, "%u", poison);
        world->held = true;
        say_hello(&a); /* a batch is in flight while the changes come */
        world->held = false;
        settle(world);
        take_welcome(&a);
        world->held = true;
        say_change(&a, numbered(&a, 1000, NULL));
        insert_each(&a, 1, 64);
        before = world->batch_count;
        world->held = false;
        settle(world);
        assert_quarantined(&a, "(person)");
        assert_int_equal(row_of(&a)->lsn, 110 + 10 * (poison - 1));
        assert_true(world->refusal_count <= 8);
        assert_true(world->refusal_count + world->batch_count - before <= 10);
        world_free(&world);
    }
}

static void a_transaction_in_parts_is_refused_whole(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    struct change one = numbered(&a, 1, NULL), two = numbered(&a, 2, NULL);

    (void)state;
    world->refused_value = "2";
    say_piece(&a, (struct piece){ .lsn = 110, .base = a.base, .changes = &one, .change_count = 1 });
    say_piece(&a, (struct piece){
                      .lsn = 110, .first = 1, .final = true, .base = a.base, .changes = &two, .change_count = 1 });
    assert_quarantined(&a, "0/6E");
    assert_int_equal(world->record_count, 0);
    assert_int_equal(row_of(&a)->lsn, 100);
    world_free(&world);
}

static void a_key_that_cannot_be_looked_up_is_refused_too(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    world->refused_key = "4";
    world->held = true;
    insert_each(&a, 3, 2);
    insert_each(&b, 100, 2);
    world->held = false;
    settle(world);
    assert_quarantined(&a, "(person) is refused");
    assert_true(is_stored(world, "3"));
    assert_true(is_stored(world, "101"));
    world_free(&world);
}

static void a_piece_of_a_load_that_is_refused_is_named(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_new(world, "a", "nik");
    struct change change;

    (void)state;
    world->refused_value = "1";
    greet(&a);
    change = change_of(&a, OPERATION_LOAD, "1", "nik", "1", NULL);
    say_piece(&a,
              (struct piece){ .first = 1, .final = true, .nothing_seen = true, .changes = &change, .change_count = 1 });
    assert_quarantined(&a, "piece 1 of its load (person)");
    world->refused_value = NULL;
    resume(world, "a", "mended");
    assert_true(world->answer_ok);
    assert_int_equal(row_of(&a)->state, STATE_LOADING);
    a.incarnation = 0; /* a load that did not end starts over */
    a.applied = 0;
    greet(&a);
    say_piece(&a,
              (struct piece){ .first = 1, .final = true, .nothing_seen = true, .changes = &change, .change_count = 1 });
    assert_true(is_stored(world, "1"));
    world_free(&world);
}

static void what_fills_an_agency_up_may_be_refused(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b;

    (void)state;
    say_change(&a, numbered(&a, 1, NULL));
    world->refused_value = "1"; /* a constraint that is not valid for what stands there already */
    b = agent_join(world, "b", "nik");
    assert_quarantined(&b, "filled up");
    world->refused_value = NULL;
    resume(world, "b", "constraint removed");
    greet(&b);
    assert_int_equal(row_of(&b)->state, STATE_ACTIVE);
    assert_int_equal(last_item(&b, 1)->operation, OPERATION_INSERT);
    world_free(&world);
}

static void a_resumed_agency_goes_on_from_where_it_was(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    const struct entry_row *entry;
    feed_position quarantined;

    (void)state;
    world->refused_value = "2";
    insert_each(&a, 1, 2);
    assert_quarantined(&a, "0/78");
    assert_int_equal(last_entry(world)->entry.kind, ENTRY_QUARANTINE);
    quarantined = last_entry(world)->entry.position;
    assert_error(&a, "quarantined");
    say_hello(&a); /* its agent asks again from time to time */
    assert_error(&a, "quarantined");
    world_drop(world);
    world_start(world); /* a broker that is started anew knows it too */
    say_hello(&a);
    assert_error(&a, "quarantined");

    resume(world, "a", "tried again too early");
    assert_true(world->answer_ok);
    greet(&a);
    assert_int_equal(a.lsn, 110);
    say_change(&a, numbered(&a, 2, NULL));
    assert_quarantined(&a, "0/78"); /* nothing has been mended */
    assert_error(&a, "quarantined");

    world->refused_value = NULL;
    quarantined = last_entry(world)->entry.position;
    resume(world, "a", "constraint removed, SK 12/2026");
    entry = last_entry(world);
    assert_int_equal(entry->entry.kind, ENTRY_RESUMED);
    assert_int_equal(entry->entry.refers, quarantined);
    assert_non_null(memmem(entry->body.bytes, entry->body.length, "SK 12/2026", 10));
    assert_non_null(memmem(entry->body.bytes, entry->body.length, "root", 4));
    assert_int_equal(row_of(&a)->state, STATE_ACTIVE);
    assert_string_equal(row_of(&a)->reason, "");
    greet(&a);
    assert_int_equal(a.lsn, 110);
    say_change(&a, numbered(&a, 2, NULL));
    assert_true(is_stored(world, "2"));
    assert_int_equal(world->record_count, 2);
    world_free(&world);
}

static void only_who_is_stopped_for_a_refusal_is_resumed(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    uint32_t entries;

    (void)state;
    a.applied = world->state.head;
    a.leaf[0] = 1; /* another history */
    say_hello(&a);
    assert_int_equal(row_of(&a)->quarantine, QUARANTINE_HISTORY);
    entries = world->entry_count;
    resume(world, "a", "please");
    assert_false(world->answer_ok);
    resume(world, "b", "please"); /* is not quarantined */
    assert_false(world->answer_ok);
    resume(world, "c", "please"); /* is not enrolled */
    assert_false(world->answer_ok);
    resume(world, "z", "please");
    assert_false(world->answer_ok);
    assert_int_equal(world->entry_count, entries);
    assert_int_equal(row_of(&a)->state, STATE_QUARANTINED);

    world->refused_value = "1";
    say_change(&b, numbered(&b, 1, NULL));
    assert_quarantined(&b, "(person)");
    world->held = true; /* two operators at once */
    resume(world, "b", "one");
    resume(world, "b", "two");
    world->held = false;
    settle(world);
    assert_int_equal(world->answer_count, 4 + 4 + 2);
    entries = 0;
    for (uint32_t i = 0; i < world->entry_count; i++)
        entries += world->entries[i].entry.kind == ENTRY_RESUMED;
    assert_int_equal(entries, 1);
    world_free(&world);
}

static void what_a_refused_batch_settled_is_owed_again(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    struct peer_view view;

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "x", NULL));
    apply(&b);
    say_report(&b, REPORT_PARKED, 1, b.base, "too long");
    world->refused_value = "9";
    world->held = true;
    say_change(&a, numbered(&a, 8, NULL)); /* while it is stored, the next batch gathers ... */
    say_change(&a, numbered(&a, 9, NULL)); /* ... what is refused, and with it ... */
    say_report(&b, REPORT_RELEASED, 1, b.base, "");
    say_report(&b, REPORT_PARKED, 1, b.base, "too long again");
    world->held = false;
    settle(world);
    assert_quarantined(&a, "(person)");
    assert_true(broker_peer(world->broker, 1, &view));
    assert_int_equal(view.parked, 1);
    assert_int_equal(world->debt_count, 2);
    assert_true(world->debts[0].settled);
    assert_false(world->debts[1].settled);
    world_free(&world);
}

static void a_hello_that_is_refused_comes_again(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    world->refused_agency = a.id;
    world->held = true;
    say_change(&b, numbered(&b, 1, NULL));
    say_hello(&a);
    say_change(&b, numbered(&b, 2, NULL));
    world->held = false;
    settle(world);
    assert_error(&a, "busy");
    assert_true(is_stored(world, "2"));
    world->refused_agency = 0;
    greet(&a);
    assert_int_equal(row_of(&a)->state, STATE_ACTIVE);
    world_free(&world);
}

static void a_request_that_is_refused_is_answered(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    world->refused_kind = ENTRY_REVOCATION;
    revoke(world, "a");
    assert_false(world->answer_ok);
    assert_true(row_of(&a)->enrolled);
    say_change(&a, numbered(&a, 1, NULL));
    assert_true(is_stored(world, "1"));
    world_free(&world);
}

static void who_cannot_even_be_stopped_stops_the_broker(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    world->refused_value = "1";
    world->refused_kind = ENTRY_QUARANTINE;
    say_change(&a, numbered(&a, 1, NULL));
    assert_true(world->stopped);
    assert_int_equal(world->record_count, 0);
    world_free(&world);
}

static void a_session_that_ends_meanwhile_leaves_nothing_to_look_for(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    world->refused_value = "2";
    world->held = true;
    say_change(&b, numbered(&b, 100, NULL));
    insert_each(&a, 1, 4);
    answer_batch(world); /* b's own batch: found ... */
    answer_batch(world); /* ... stored */
    answer_batch(world); /* a's four: found ... */
    say_hello(&a);       /* ... and gone */
    answer_batch(world); /* refused */
    world->held = false;
    settle(world);
    take_welcome(&a);
    assert_int_equal(row_of(&a)->state, STATE_ACTIVE);
    insert_each(&a, 1, 4);
    assert_quarantined(&a, "0/78");
    say_change(&b, numbered(&b, 101, NULL));
    assert_true(is_stored(world, "101"));
    world_free(&world);
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_one_transaction_is_found_and_its_agency_stopped),
        T(it_is_found_in_few_batches),
        T(a_transaction_in_parts_is_refused_whole),
        T(a_key_that_cannot_be_looked_up_is_refused_too),
        T(a_piece_of_a_load_that_is_refused_is_named),
        T(what_fills_an_agency_up_may_be_refused),
        T(a_resumed_agency_goes_on_from_where_it_was),
        T(only_who_is_stopped_for_a_refusal_is_resumed),
        T(what_a_refused_batch_settled_is_owed_again),
        T(a_hello_that_is_refused_comes_again),
        T(a_request_that_is_refused_is_answered),
        T(who_cannot_even_be_stopped_stops_the_broker),
        T(a_session_that_ends_meanwhile_leaves_nothing_to_look_for),
    };

    return cmocka_run_group_tests_name("broker_refused", tests, NULL, NULL);
}
