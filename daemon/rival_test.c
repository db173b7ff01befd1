/* Databases whose history is in doubt: those that are older than what the broker has had of them, alone and beside the
 * one that went on, and what lets an agency back in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/agent_fixture.h"

enum { ALIVE_MS = 15000 }; /* as in rival.c */

/* Production has sent its fifth row; the copy was made when there were three. */
static struct agent copy_of(struct agent *production)
{
    struct agent copy = *production;

    copy.route = (struct route){ .length = 1, .bytes = { 99 } };
    copy.fence = (struct fence){ 3, { 3 } };
    return copy;
}

static void go_on(struct agent *agent, uint64_t seq)
{
    agent->lsn += 10;
    say_piece(agent, (struct piece){
                         .lsn = agent->lsn, .final = true, .base = agent->base, .fence = { seq, { (uint8_t)seq } } });
}

static struct message ping(void)
{
    return (struct message){ .kind = MESSAGE_PING, .ping = { .time_us = 1 } };
}

static void a_copy_beside_production_is_turned_away_and_does_no_harm(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), copy;

    (void)state;
    go_on(&a, 5);
    copy = copy_of(&a);
    say_hello(&copy);
    assert_error(&copy, "busy"); /* whether the other one is still there cannot be known yet */
    pass(world, 4000);
    say_hello(&copy);
    assert_error(&copy, "busy");
    say(&a, ping());
    say_hello(&copy);
    assert_error(&copy, "history");
    assert_int_equal(count_sent(&copy, MESSAGE_WELCOME), 0);
    assert_int_equal(row_of(&a)->state, STATE_ACTIVE);
    go_on(&a, 6); /* its session never ended */
    assert_int_equal(row_of(&a)->fence.seq, 6);
    assert_int_equal(count_sent(&a, MESSAGE_ERROR), 0);
    world_free(&world);
}

static void a_copy_that_forked_at_the_same_row_is_turned_away_too(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), copy;

    (void)state;
    go_on(&a, 5);
    copy = copy_of(&a);
    copy.fence = (struct fence){ 5, { 77 } };
    say_hello(&copy);
    pass(world, 1000);
    say(&a, ping());
    say_hello(&copy);
    assert_error(&copy, "history");
    assert_int_equal(row_of(&a)->state, STATE_ACTIVE);
    world_free(&world);
}

static void a_restored_database_is_quarantined_once_nobody_else_is_heard(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), restored;

    (void)state;
    go_on(&a, 5);
    restored = copy_of(&a);
    say_hello(&restored);
    assert_error(&restored, "busy");
    assert_int_equal(row_of(&a)->state, STATE_ACTIVE);
    pass(world, ALIVE_MS);
    say_hello(&restored);
    assert_error(&restored, "history");
    assert_int_equal(row_of(&a)->state, STATE_QUARANTINED);
    assert_int_equal(last_entry(world)->entry.kind, ENTRY_QUARANTINE);
    world_free(&world);
}

static void after_a_bye_it_is_quarantined_at_once(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), restored;
    struct message bye = { .kind = MESSAGE_BYE };

    (void)state;
    go_on(&a, 5);
    bye.bye.text = said("stopped");
    say(&a, bye);
    restored = copy_of(&a);
    say_hello(&restored);
    assert_error(&restored, "history");
    assert_int_equal(row_of(&a)->state, STATE_QUARANTINED);
    world_free(&world);
}

/* After a restart all say hello at once, and the copy may come first. */
static void a_copy_that_comes_first_after_a_restart_waits_for_production(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), copy;

    (void)state;
    go_on(&a, 5);
    copy = copy_of(&a);
    world_drop(world);
    world_start(world);
    say_hello(&copy);
    assert_error(&copy, "busy");
    greet(&a);
    pass(world, 1000);
    say_hello(&copy);
    assert_error(&copy, "busy");
    pass(world, 1000);
    say(&a, ping());
    say_hello(&copy);
    assert_error(&copy, "history");
    assert_int_equal(row_of(&a)->state, STATE_ACTIVE);
    go_on(&a, 6);
    assert_int_equal(row_of(&a)->fence.seq, 6);
    world_free(&world);
}

static void an_agent_that_has_lost_changes_is_quarantined_by_its_own_word(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    struct message error = { .kind = MESSAGE_ERROR };

    (void)state;
    error.error.code = said("stopped"); /* a person must mend something: no doubt about history */
    error.error.text = said("the schema selaras is not there");
    say(&a, error);
    pass(world, 1000);
    assert_int_equal(row_of(&a)->state, STATE_ACTIVE);
    greet(&a);
    error.error.code = said("lost");
    error.error.text = said("its replication slot is gone");
    say(&a, error);
    assert_int_equal(row_of(&a)->state, STATE_QUARANTINED);
    assert_string_equal(row_of(&a)->reason, "its replication slot is gone");
    assert_int_equal(last_entry(world)->entry.kind, ENTRY_QUARANTINE);
    say_hello(&a);
    assert_error(&a, "history");
    world_free(&world);
}

static void an_agency_that_asks_for_a_load_gets_one_without_a_person(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    struct message error = { .kind = MESSAGE_ERROR };

    (void)state;
    error.error.code = said("reload");
    error.error.text = said("table people was truncated");
    say(&a, error);
    assert_int_equal(row_of(&a)->state, STATE_NEW);
    assert_int_equal(last_entry(world)->entry.kind, ENTRY_RESUMED);
    world_drop(world); /* it is durable */
    world_start(world);
    greet(&a); /* its database still says 1 */
    assert_int_equal(a.incarnation, 2);
    assert_int_not_equal(last_sent(&a, MESSAGE_WELCOME)->welcome.load, 0);
    say(&a, error); /* said again while it loads: there is nothing to add */
    assert_int_equal(row_of(&a)->state, STATE_LOADING);
    world_free(&world);
}

static void another_database_is_quarantined(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    a.system = "7302";
    say_hello(&a);
    assert_error(&a, "history");
    assert_int_equal(row_of(&a)->state, STATE_QUARANTINED);
    world_free(&world);
}

/* One row of a load, and its end at `lsn`. */
static void load(struct agent *agent, struct change change, uint64_t lsn)
{
    say_piece(agent,
              (struct piece){ .first = 1, .final = true, .nothing_seen = true, .changes = &change, .change_count = 1 });
    agent->lsn = lsn;
    say_piece(agent, (struct piece){ .lsn = lsn, .final = true, .base = agent->base });
}

static void doubt(struct agent *agent, const char *code)
{
    struct message error = { .kind = MESSAGE_ERROR };

    error.error.code = said(code);
    error.error.text = said("why");
    say(agent, error);
    assert_int_equal(row_of(agent)->state, STATE_QUARANTINED);
}

static void a_quarantined_agency_is_let_in_by_a_load_and_by_nothing_else(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    feed_position quarantined;

    (void)state;
    doubt(&a, "lost");
    quarantined = last_entry(world)->entry.position;
    resume(world, "a", "SK 1");
    assert_false(world->answer_ok);
    reload(world, "a", "SK 2");
    assert_true(world->answer_ok);
    assert_int_equal(last_entry(world)->entry.kind, ENTRY_RESUMED);
    assert_int_equal(last_entry(world)->entry.refers, quarantined);
    world_drop(world); /* it is durable */
    world_start(world);
    assert_int_equal(a.incarnation, 1);
    greet(&a); /* its database still says 1 */
    assert_int_equal(a.incarnation, 2);
    assert_int_not_equal(last_sent(&a, MESSAGE_WELCOME)->welcome.load, 0);
    a.incarnation = 1; /* the load breaks off: it has not taken 2 over yet */
    greet(&a);
    assert_int_equal(a.incarnation, 3);
    load(&a, change_of(&a, OPERATION_LOAD, "1", "nik", "1", NULL), 200);
    assert_int_equal(row_of(&a)->state, STATE_ACTIVE);
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "2", NULL));
    assert_int_equal(world->record_count, 2);
    world_free(&world);
}

/* The same load, of values that differ from what the agency wrote last. */
static const char *loaded_over(const char *code)
{
    static char name[512];
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "new", NULL));
    doubt(&a, code);
    reload(world, "a", "SK 3");
    greet(&a);
    load(&a, change_of(&a, OPERATION_LOAD, "1", "nik", "1", "name", "old", NULL), 200);
    snprintf(name, sizeof name, "%s", canonical_value(world, 1, NAME));
    world_free(&world);
    return name;
}

static void what_an_agency_wrote_itself_stands_against_its_older_copy(void **state)
{
    (void)state;
    assert_string_equal(loaded_over("history"), "new");
    assert_string_equal(loaded_over("lost"), "old"); /* an edit of the time when nobody looked */
}

static void a_load_may_be_asked_for_while_all_is_well(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), stranger = agent_new(world, "b", "nik");

    (void)state;
    reload(world, "a", "SK 4");
    assert_true(world->answer_ok);
    assert_error(&a, "no-session");
    greet(&a);
    assert_int_equal(a.incarnation, 2);
    reload(world, "b", "SK 5"); /* never loaded */
    assert_false(world->answer_ok);
    (void)stranger;
    world_free(&world);
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_copy_beside_production_is_turned_away_and_does_no_harm),
        T(a_copy_that_forked_at_the_same_row_is_turned_away_too),
        T(a_restored_database_is_quarantined_once_nobody_else_is_heard),
        T(after_a_bye_it_is_quarantined_at_once),
        T(a_copy_that_comes_first_after_a_restart_waits_for_production),
        T(an_agent_that_has_lost_changes_is_quarantined_by_its_own_word),
        T(an_agency_that_asks_for_a_load_gets_one_without_a_person),
        T(another_database_is_quarantined),
        T(a_quarantined_agency_is_let_in_by_a_load_and_by_nothing_else),
        T(what_an_agency_wrote_itself_stands_against_its_older_copy),
        T(a_load_may_be_asked_for_while_all_is_well),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
