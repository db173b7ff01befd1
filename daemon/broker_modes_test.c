/* The core of the broker: what becomes of the changes of an agency, or of a table of it, that only observes or
 * publishes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/agent_fixture.h"

static struct change loaded(struct agent *agent, const char *key, const char *name)
{
    return change_of(agent, OPERATION_LOAD, key, "nik", key, "name", name, NULL);
}

/* A load of two rows, 1 and 2. */
static void load_two(struct agent *agent, const char *one, const char *two)
{
    struct change rows[] = { loaded(agent, "1", one), loaded(agent, "2", two) };

    agent->lsn = 0;
    greet(agent);
    say_piece(agent,
              (struct piece){ .first = 1, .final = true, .nothing_seen = true, .changes = rows, .change_count = 2 });
    say_load_end(agent);
}

static struct agent agent_in(struct world *world, const char *name, enum agency_mode mode)
{
    struct agent agent = agent_new(world, name, "nik");

    set_mode(world, name, "", mode);
    return agent;
}

static uint32_t count_entries(const struct world *world, enum entry_kind kind)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < world->entry_count; i++)
        count += world->entries[i].entry.kind == kind;
    return count;
}

static const char *observed_value(struct agent *agent, const char *key, const char *field)
{
    const struct observed_row *row = observed_row(agent->world, agent->id, said("people"), said(key));
    struct item item;
    struct error err;

    if (!row)
        return "(no row)";
    assert_int_equal(effect_read(agent->world->arena, row->body.bytes, row->body.length, &item, &err), 0);
    return item_value(&item, field);
}

static void who_observes_changes_nothing_and_is_sent_nothing(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_in(world, "b", MODE_OBSERVE);

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "Siti", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "3", "nik", "3", "name", "Ani", NULL));
    load_two(&b, "Sinta", "Budi");
    assert_int_equal(row_of(&b)->state, STATE_ACTIVE);
    assert_int_equal(row_of(&b)->lsn, 100);
    assert_int_equal(world->record_count, 2); /* its 2 is nobody's */
    assert_canonical(world, 1, NAME, "Siti");
    assert_string_equal(observed_value(&b, "1", "name"), "Sinta");
    assert_string_equal(observed_value(&b, "2", "name"), "Budi");

    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "Rina", NULL));
    say_change(&b, moved(&b, "2", "4", true, NULL));
    say_change(&b, change_of(&b, OPERATION_INSERT, "5", "nik", "5", NULL));
    say_change(&b, change_of(&b, OPERATION_DELETE, "1", NULL));
    assert_string_equal(observed_value(&b, "1", "name"), "(no row)");
    assert_string_equal(observed_value(&b, "2", "name"), "(no row)");
    assert_string_equal(observed_value(&b, "4", "name"), "Budi");
    assert_string_equal(observed_value(&b, "4", "nik"), "4");
    assert_string_equal(observed_value(&b, "5", "nik"), "5");
    assert_int_equal(world->observed_count, 2);
    assert_int_equal(row_of(&b)->lsn, 140);

    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "Dewi", NULL));
    pass(world, 5000);
    assert_int_equal(count_sent(&b, MESSAGE_FEED), 0);
    assert_int_equal(count_entries(world, ENTRY_CHANGE), 3); /* of a */
    assert_int_equal(count_entries(world, ENTRY_ITEM), 0);
    for (uint32_t i = 0; i < world->link_count; i++)
        assert_int_not_equal(world->links[i].agency, b.id);
    world_free(&world);
}

static void rows_that_exchange_their_keys_are_observed_under_the_new_ones(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent b = agent_in(world, "b", MODE_OBSERVE);
    struct change swap[3];

    (void)state;
    load_two(&b, "Siti", "Budi");
    swap[0] = moved(&b, "1", "2", true, NULL);
    swap[1] = moved(&b, "2", "1", true, NULL);
    say_changes(&b, swap, 2);
    assert_string_equal(observed_value(&b, "1", "name"), "Budi");
    assert_string_equal(observed_value(&b, "2", "name"), "Siti");
    swap[0] = moved(&b, "1", "2", true, NULL); /* each takes the next one's place, and the last goes */
    swap[1] = change_of(&b, OPERATION_DELETE, "2", NULL);
    say_changes(&b, swap, 2);
    assert_string_equal(observed_value(&b, "2", "name"), "Budi");
    assert_int_equal(world->observed_count, 1);
    world_free(&world);
}

static void leaving_observe_forgets_what_was_observed_and_is_a_first_load(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_in(world, "b", MODE_OBSERVE);
    const struct entry_row *entry;

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "Siti", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "3", "nik", "3", "name", "Ani", NULL));
    load_two(&b, "Sinta", "Budi");
    set_mode(world, "b", "", MODE_FULL);
    assert_true(world->answer_ok);
    assert_errors(&b, 1, "no-session");
    assert_int_equal(world->observed_count, 0);
    entry = last_entry(world);
    assert_int_equal(entry->entry.kind, ENTRY_MODE);
    assert_non_null(memmem(entry->body.bytes, entry->body.length, "full, was observe, by root", 26));
    assert_non_null(memmem(entry->body.bytes, entry->body.length, "SK 1/2026", 9));
    load_two(&b, "Sinta", "Budi");
    assert_false(row_of(&b)->restored);
    assert_canonical(world, 1, NAME, "Siti"); /* a stands above b */
    assert_int_equal(world->record_count, 3);
    assert_string_equal(item_value(last_item(&b, 1), "name"), "Siti");
    assert_string_equal(item_value(last_item(&b, 2), "name"), "Ani");
    world_free(&world);
}

static void what_is_sent_in_the_old_mode_is_not_taken_in_the_new_one(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent b = agent_in(world, "b", MODE_OBSERVE);

    (void)state;
    load_two(&b, "Sinta", "Budi");
    world->held = true;
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "x", NULL)); /* is in a batch */
    set_mode(world, "b", "", MODE_PUBLISH);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "y", NULL)); /* is in the batch of the mode */
    world->held = false;
    settle(world);
    assert_int_equal(world->observed_count, 0);
    assert_int_equal(world->record_count, 0);
    assert_int_equal(row_of(&b)->lsn, 110);
    world_free(&world);
}

/* Nothing is sent to it, ever: no item, no echo, no correction, no whole record, no answer to a skip. */
static void who_publishes_is_heard_and_sent_nothing(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_in(world, "b", MODE_PUBLISH);

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "Siti", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "3", "nik", "3", "name", "Ani", NULL));
    load_two(&b, "Sinta", "Budi");
    assert_canonical(world, 1, NAME, "Siti");
    assert_int_equal(world->record_count, 3);
    assert_canonical(world, 3, NAME, "Budi");
    apply(&a);
    assert_string_equal(item_value(last_item(&a, 3), "name"), "Budi");

    say_change(&b, change_of(&b, OPERATION_UPDATE, "2", "name", "Bambang", NULL));
    assert_canonical(world, 3, NAME, "Bambang");
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "Sri", NULL)); /* it has never seen a's */
    assert_int_equal(verdict_in(last_entry(world), "name"), VERDICT_LOST);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "2", "eligible", "true", NULL)); /* that only a may write */
    assert_int_equal(verdict_in(last_entry(world), "eligible"), VERDICT_PUT_BACK);
    say_change(&a, change_of(&a, OPERATION_DELETE, "2", NULL));
    say_change(&b, change_of(&b, OPERATION_UPDATE, "2", "name", "Bayu", NULL));
    say_report(&b, REPORT_SKIPPED, 1, b.base, "");
    say_report(&b, REPORT_PARKED, 1, b.base, "refused");
    say_change(&b, change_of(&b, OPERATION_DELETE, "1", NULL));
    pass(world, 5000);
    assert_int_equal(count_sent(&b, MESSAGE_FEED), 0);
    assert_int_equal(world->debt_count, 0);
    assert_int_equal(count_entries(world, ENTRY_ITEM), 0);
    for (uint32_t i = 0; i < world->entry_count; i++)
        if (same_text(world->entries[i].entry.agency, said("b")))
            assert_int_equal(world->entries[i].reply.length, 0);
    world_free(&world);
}

static void going_from_full_to_publish_ends_what_was_owed_and_back_is_a_first_load(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    int feeds;

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "Siti", NULL));
    apply(&b);
    say_report(&b, REPORT_PARKED, 1, b.base, "refused");
    assert_int_equal(world->debt_count, 1);
    assert_false(world->debts[0].settled);
    set_mode(world, "b", "", MODE_PUBLISH);
    load_two(&b, "Siti", "Budi");
    assert_true(world->debts[0].settled);
    feeds = count_sent(&b, MESSAGE_FEED);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "Dewi", NULL));
    pass(world, 5000);
    assert_int_equal(count_sent(&b, MESSAGE_FEED), feeds);
    set_mode(world, "b", "", MODE_FULL);
    load_two(&b, "Siti", "Budi");
    assert_string_equal(item_value(last_item(&b, 1), "name"), "Dewi");
    world_free(&world);
}

/* One agency, two tables: people in mode full, others in the mode. */
static struct agent agent_of_two(struct world *world, enum agency_mode others)
{
    struct agent b = agent_new(world, "b", "nik");

    b.blocks[1] = block_of(world, "others", world->catalog->types[0].name, "nik");
    b.blocks[1].insert = false;
    b.block_count = 2;
    greet(&b);
    say_load_end(&b);
    set_mode(world, "b", "others", others);
    b.lsn = 0;
    greet(&b);
    say_load_end(&b);
    return b;
}

static void tables_of_one_agency_have_modes_of_their_own(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_of_two(world, MODE_OBSERVE);
    struct change change;

    (void)state;
    say_change(&b, change_of(&b, OPERATION_INSERT, "1", "nik", "1", "name", "Siti", NULL));
    change = change_new(&b, OPERATION_INSERT, "others", "2");
    set_field(&change, "nik", "2");
    seal(&b, &change);
    say_change(&b, change);
    assert_int_equal(world->record_count, 1);
    assert_int_equal(world->observed_count, 1);
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "2", "name", "Ani", NULL));
    assert_string_equal(item_value(last_item(&b, 2), "name"), "Ani");
    assert_true(same_text(last_item(&b, 2)->block, said("people")));

    world_drop(world); /* it is durable */
    world_start(world);
    assert_int_equal(row_of(&b)->mode, MODE_FULL);
    assert_true(same_text(row_of(&b)->modes, said("others=observe")));
    set_mode(world, "b", "others", MODE_FULL);
    assert_true(world->answer_ok);
    assert_int_equal(row_of(&b)->modes.length, 0);
    assert_int_equal(world->observed_count, 0);
    world_free(&world);
}

/* What it was sent through the other table, it has not seen in this one. */
static void a_table_that_publishes_has_seen_nothing_of_the_others(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_of_two(world, MODE_PUBLISH);
    struct change change;

    (void)state;
    change = change_new(&b, OPERATION_INSERT, "others", "1");
    set_field(&change, "nik", "1");
    set_field(&change, "name", "Siti");
    seal(&b, &change);
    say_change(&b, change);
    apply(&a);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "Dewi", NULL));
    pass(world, 5000); /* it is told how far the ledger is, because of its other table */
    apply(&b);
    assert_true(b.base >= world->state.head);
    change = change_new(&b, OPERATION_UPDATE, "others", "1");
    set_field(&change, "name", "Rina");
    seal(&b, &change);
    say_change(&b, change);
    assert_int_equal(verdict_in(last_entry(world), "name"), VERDICT_LOST);
    assert_int_equal(last_entry(world)->reply.length, 0);
    assert_canonical(world, 1, NAME, "Dewi");
    world_free(&world);
}

static void a_mode_that_cannot_be_is_refused(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_new(world, "b", "nik");
    uint32_t entries = world->entry_count;

    (void)state;
    set_mode(world, "a", "", MODE_FULL); /* it is already */
    assert_false(world->answer_ok);
    set_mode(world, "a", "people", MODE_FULL);
    assert_false(world->answer_ok);
    set_mode(world, "a", "poeple", MODE_OBSERVE);
    assert_false(world->answer_ok);
    set_mode(world, "b", "people", MODE_OBSERVE); /* nobody knows yet which it has */
    assert_false(world->answer_ok);
    set_mode(world, "c", "", MODE_PUBLISH); /* is not enrolled */
    assert_false(world->answer_ok);
    set_mode(world, "z", "", MODE_PUBLISH);
    assert_false(world->answer_ok);
    assert_int_equal(world->entry_count, entries);
    (void)b;

    world->held = true; /* two operators at once */
    set_mode(world, "a", "", MODE_PUBLISH);
    set_mode(world, "a", "", MODE_PUBLISH);
    world->held = false;
    settle(world);
    assert_int_equal(world->entry_count, entries + 1);

    load_two(&a, "Siti", "Budi");
    a.base = a.applied;
    say_change(&a, change_of(&a, OPERATION_INSERT, "9", "nik", "x", "name", "y", NULL)); /* against its pattern: held */
    assert_int_equal(world->hold_count, 1);
    set_mode(world, "a", "", MODE_OBSERVE);
    assert_false(world->answer_ok);
    set_mode(world, "a", "", MODE_FULL);
    assert_true(world->answer_ok);
    world_free(&world);
}

static void a_quarantined_agency_keeps_its_mode(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    a.applied = world->state.head;
    a.leaf[0] = 1;
    say_hello(&a);
    assert_int_equal(row_of(&a)->state, STATE_QUARANTINED);
    set_mode(world, "a", "", MODE_OBSERVE);
    assert_false(world->answer_ok);
    assert_int_equal(row_of(&a)->mode, MODE_FULL);
    assert_int_equal(row_of(&a)->state, STATE_QUARANTINED);
    world_free(&world);
}

static void a_new_agency_observes(void **state)
{
    struct world *world = world_new(fixture_catalog);

    (void)state;
    enrol(world, "a", 'a');
    assert_int_equal(world->agencies[0].mode, MODE_OBSERVE);
    set_mode(world, "a", "", MODE_FULL);
    enrol(world, "a", 'x'); /* another key is not another agency */
    assert_int_equal(world->agencies[0].mode, MODE_FULL);
    world_free(&world);
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
    const struct CMUnitTest tests[] = {
        T(a_new_agency_observes),
        T(who_observes_changes_nothing_and_is_sent_nothing),
        T(rows_that_exchange_their_keys_are_observed_under_the_new_ones),
        T(leaving_observe_forgets_what_was_observed_and_is_a_first_load),
        T(what_is_sent_in_the_old_mode_is_not_taken_in_the_new_one),
        T(who_publishes_is_heard_and_sent_nothing),
        T(going_from_full_to_publish_ends_what_was_owed_and_back_is_a_first_load),
        T(tables_of_one_agency_have_modes_of_their_own),
        T(a_table_that_publishes_has_seen_nothing_of_the_others),
        T(a_mode_that_cannot_be_is_refused),
        T(a_quarantined_agency_keeps_its_mode),
    };

    return cmocka_run_group_tests_name("broker_modes", tests, NULL, NULL);
}
