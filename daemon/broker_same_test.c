/* The core of the broker: two records that have, or are to have, one identifier: held, never merged by itself, and
 * settled by a person. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/agent_fixture.h"

static const char catalog[] = "catalog\n"
                              "    version = 1\n"
                              "    agencies = \"a b c\"\n"
                              "record\n"
                              "    resident\n"
                              "        existence\n"
                              "            write = \"a b c\"\n"
                              "        read\n"
                              "            a = law\n"
                              "            b = law\n"
                              "            c = law\n"
                              "        fields\n"
                              "            nik\n"
                              "                type = text\n"
                              "                identifier = yes\n"
                              "                pattern = \"[0-9]+\"\n"
                              "                write = \"a b c\"\n"
                              "            name\n"
                              "                type = text\n"
                              "                write = \"a b c\"\n"
                              "            village\n"
                              "                type = text\n"
                              "                write = \"a b c\"\n"
                              "            jkn\n"
                              "                type = text\n"
                              "                identifier = yes\n"
                              "                write = \"a b c\"\n";
enum { P_NIK, P_NAME, P_VILLAGE, P_JKN };

static void decide(struct world *world, enum broker_event_kind kind, uint32_t hold)
{
    struct broker_event event = { .kind = kind };

    event.record = hold;
    event.what = "";
    event.ground = "SK 1/2026";
    event.user = "rina";
    act(world, &event);
    assert_true(world->answer_ok);
}

/* The verdict on the number in the newest change of this record. */
static enum verdict verdict_of(const struct world *world, uint64_t record)
{
    for (uint32_t i = world->entry_count; i > 0; i--)
        if (world->entries[i - 1].entry.kind == ENTRY_CHANGE && world->entries[i - 1].entry.record == record)
            return verdict_in(&world->entries[i - 1], "nik");
    return VERDICT_NONE;
}

static struct change numbered_anew(struct agent *agent, const char *key, const char *nik)
{
    return change_of(agent, OPERATION_UPDATE, key, "nik", nik, NULL);
}

static bool is_held(const struct world *world, uint32_t hold)
{
    return !world->holds[hold - 1].closed;
}

/* Records 1, with the number 1, and 2, without one: a newborn, whose clerk then enters that number. */
static void collide(struct agent *a)
{
    say_change(a, change_of(a, OPERATION_INSERT, "K1", "nik", "1", "name", "Siti", NULL));
    say_change(a, change_of(a, OPERATION_INSERT, "K2", "name", "Bayi", NULL));
    say_change(a, change_of(a, OPERATION_UPDATE, "K2", "nik", "1", "village", "v", NULL));
}

/* ---- an identifier that another record has ---- */

static void a_number_that_another_one_has_is_held(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", NULL), b = agent_join(world, "b", NULL);

    (void)state;
    collide(&a);
    assert_int_equal(verdict_of(world, 2), VERDICT_HELD);
    assert_canonical(world, 2, P_NIK, "(null)");
    assert_canonical(world, 2, P_VILLAGE, "v"); /* other fields flow */
    assert_string_equal(item_value(last_item(&b, 2), "nik"), "(absent)");
    assert_int_equal(last_item(&a, 2)->operation, OPERATION_NONE); /* its clerk's edit is not undone */
    assert_int_equal(world->holds[0].cause, HOLD_COLLISION);
    assert_int_equal(world->helds[0].record, 2);
    assert_int_equal(world->helds[0].others[0], 1);
    world_free(&world);
}

static void it_cannot_be_released_before_the_other_gives_it_up(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", NULL), b = agent_join(world, "b", NULL);

    (void)state;
    collide(&a);
    decide(world, BROKER_EVENT_RELEASE, 1);
    assert_true(is_held(world, 1));
    assert_canonical(world, 2, P_NIK, "(null)");
    say_change(&a, numbered_anew(&a, "K1", "7"));
    assert_true(is_held(world, 1)); /* that is for a person to say */
    decide(world, BROKER_EVENT_RELEASE, 1);
    assert_false(is_held(world, 1));
    assert_canonical(world, 2, P_NIK, "1");
    assert_string_equal(item_value(last_item(&b, 2), "nik"), "1");
    world_free(&world);
}

static void rejected_it_is_put_back_at_its_agency_alone(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", NULL), b = agent_join(world, "b", NULL);

    (void)state;
    collide(&a);
    decide(world, BROKER_EVENT_REJECT, 1);
    assert_false(is_held(world, 1));
    assert_string_equal(item_value(last_item(&a, 2), "nik"), "(null)");
    assert_string_equal(item_value(last_item(&b, 2), "nik"), "(absent)");
    world_free(&world);
}

static void another_number_takes_its_place(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", NULL);
    struct change swap[2];

    (void)state;
    collide(&a);
    say_change(&a, change_of(&a, OPERATION_INSERT, "K3", "nik", "3", NULL));
    say_change(&a, numbered_anew(&a, "K2", "3")); /* that one is another's too */
    assert_int_equal(world->held_count, 1);
    assert_int_equal(world->helds[0].others[0], 3);
    say_change(&a, numbered_anew(&a, "K2", "8"));
    assert_false(is_held(world, 1));
    assert_canonical(world, 2, P_NIK, "8");
    /* What is held may be exchanged, as what is not. */
    say_change(&a, numbered_anew(&a, "K2", "1"));
    assert_int_equal(verdict_of(world, 2), VERDICT_HELD);
    swap[0] = numbered_anew(&a, "K2", "1");
    swap[1] = numbered_anew(&a, "K1", "8");
    say_changes(&a, swap, 2);
    assert_canonical(world, 1, P_NIK, "8");
    assert_canonical(world, 2, P_NIK, "1");
    assert_false(is_held(world, 2));
    world_free(&world);
}

/* One row cannot be two records: where the number is the key, what was there comes back. */
static void where_the_number_is_the_key_of_both_it_is_put_back(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", NULL), b = agent_join(world, "b", "nik");

    (void)state;
    say_change(&b, change_of(&b, OPERATION_INSERT, "2", "nik", "2", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "K1", "nik", "1", NULL));
    say_change(&b, moved(&b, "2", "1", true, NULL)); /* before it had the other one's row */
    assert_int_equal(verdict_of(world, 1), VERDICT_PUT_BACK);
    assert_string_equal(item_value(last_item(&b, 1), "nik"), "2");
    world_free(&world);
}

static void a_row_that_names_two_is_held_with_both(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", NULL), b = agent_join(world, "b", NULL);

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "K1", "nik", "1", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "K2", "jkn", "J2", NULL));
    say_change(&b, change_of(&b, OPERATION_INSERT, "L1", "nik", "1", "jkn", "J2", NULL));
    assert_int_equal(verdict_in(last_entry(world), "existence"), VERDICT_HELD);
    assert_int_equal(world->helds[0].others[0], 1);
    assert_int_equal(world->helds[0].others[1], 2);
    decide(world, BROKER_EVENT_RELEASE, 1);
    assert_true(is_held(world, 1));
    /* One that is deleted is none of two: it loses what it has. */
    say_change(&a, change_of(&a, OPERATION_DELETE, "K2", NULL));
    decide(world, BROKER_EVENT_RELEASE, 1);
    assert_false(is_held(world, 1));
    assert_canonical(world, 1, P_JKN, "J2");
    assert_canonical(world, 2, P_JKN, "(null)");
    world_free(&world);
}

static void of_two_the_one_that_lives_is_meant(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", NULL), b = agent_join(world, "b", NULL);

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "K1", "nik", "1", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "K2", "jkn", "J2", NULL));
    say_change(&a, change_of(&a, OPERATION_DELETE, "K1", NULL));
    say_change(&b, change_of(&b, OPERATION_INSERT, "L1", "nik", "1", "jkn", "J2", NULL));
    assert_int_equal(last_entry(world)->entry.record, 2);
    assert_canonical(world, 2, P_NIK, "1");
    assert_canonical(world, 1, P_NIK, "(null)");
    world_free(&world);
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
    const struct CMUnitTest tests[] = {
        T(a_number_that_another_one_has_is_held),
        T(it_cannot_be_released_before_the_other_gives_it_up),
        T(rejected_it_is_put_back_at_its_agency_alone),
        T(another_number_takes_its_place),
        T(where_the_number_is_the_key_of_both_it_is_put_back),
        T(a_row_that_names_two_is_held_with_both),
        T(of_two_the_one_that_lives_is_meant),
    };

    return cmocka_run_group_tests_name("broker same", tests, NULL, NULL);
}
