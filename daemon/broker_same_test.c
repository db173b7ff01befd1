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
    assert_int_equal(last_change(world)->entry.record, 2);
    assert_canonical(world, 2, P_NIK, "1");
    assert_canonical(world, 1, P_NIK, "(null)");
    assert_int_equal(last_entry(world)->entry.kind, ENTRY_GIVEN_UP); /* not without an entry */
    assert_int_equal(last_entry(world)->entry.record, 1);
    assert_int_equal(last_entry(world)->entry.other_record, 2);
    world_free(&world);
}

/* ---- a person says that two records are one, or are not ---- */

static void say_of(struct world *world, enum broker_event_kind kind, uint64_t keep, uint64_t other, bool ok)
{
    struct broker_event event = { .kind = kind };
    int answers = world->answer_count;

    event.name = "resident";
    event.record = keep;
    event.other = other;
    event.ground = "SK 2/2026";
    event.user = "rina";
    act(world, &event);
    assert_int_equal(world->answer_count, answers + 1);
    assert_int_equal(world->answer_ok, ok);
}

static void same(struct world *world, uint64_t keep, uint64_t other)
{
    say_of(world, BROKER_EVENT_SAME, keep, other, true);
}

static void different(struct world *world, uint64_t keep, uint64_t other)
{
    say_of(world, BROKER_EVENT_DIFFERENT, keep, other, true);
}

static const struct entry_row *entry_of(const struct world *world, enum entry_kind kind, uint64_t record)
{
    for (uint32_t i = world->entry_count; i > 0; i--)
        if (world->entries[i - 1].entry.kind == kind && world->entries[i - 1].entry.record == record)
            return &world->entries[i - 1];
    return NULL;
}

/* One that takes no new records: it has those that its own people have put there. */
static struct agent modest_agent(struct world *world, const char *name)
{
    struct agent agent = agent_new(world, name, NULL);

    agent.blocks[0].insert = false;
    greet(&agent);
    say_load_end(&agent);
    return agent;
}

static bool exists(const struct world *world, uint64_t record)
{
    return store_record((struct world *)(uintptr_t)world, record)->exists;
}

/* Record 1 at `b`, with a number; record 2 at `c`, which takes no others: the same child, before it had one. */
struct twins {
    struct world *world;
    struct agent a, b, c;
};

static struct twins twins_new(void)
{
    struct twins twins = { .world = world_new(catalog) };

    twins.a = agent_join(twins.world, "a", NULL);
    twins.b = agent_join(twins.world, "b", NULL);
    twins.c = modest_agent(twins.world, "c");
    say_change(&twins.b, change_of(&twins.b, OPERATION_INSERT, "B1", "nik", "1", "name", "Siti", NULL));
    say_change(&twins.c, change_of(&twins.c, OPERATION_INSERT, "C1", "name", "Bayi", "village", "v", NULL));
    apply(&twins.a);
    say_report(&twins.a, REPORT_LINKED, 1, twins.a.applied, "A1");
    say_report(&twins.a, REPORT_LINKED, 2, twins.a.applied, "A2");
    apply(&twins.b);
    say_report(&twins.b, REPORT_LINKED, 2, twins.b.applied, "B2");
    return twins;
}

static void a_newborn_that_is_there_already_becomes_one_record(void **state)
{
    struct twins twins = twins_new();
    struct world *world = twins.world;
    const struct item *item;

    (void)state;
    apply(&twins.c);
    say_change(&twins.c, numbered_anew(&twins.c, "C1", "1"));
    assert_int_equal(verdict_of(world, 2), VERDICT_HELD);
    same(world, 1, 2);
    assert_false(is_held(world, 1));
    assert_string_equal(world->helds[0].how, "same");
    assert_false(exists(world, 2));
    assert_canonical(world, 1, P_NAME, "Siti"); /* what it has stands */
    assert_canonical(world, 1, P_VILLAGE, "v"); /* what it never had comes along */
    /* c has it in the row it had, and is sent it whole; the others, who had both, have one. */
    item = last_item(&twins.c, 1);
    assert_int_equal(item->operation, OPERATION_UPDATE);
    assert_true(same_text(item->reason.by, said("rina")));
    assert_true(same_text(item->key, said("C1")));
    assert_string_equal(item_value(item, "name"), "Siti");
    assert_int_equal(last_item(&twins.c, 2)->operation, OPERATION_NONE);
    assert_int_equal(last_item(&twins.a, 2)->operation, OPERATION_DELETE);
    assert_int_equal(last_item(&twins.b, 2)->operation, OPERATION_DELETE);
    assert_string_equal(item_value(last_item(&twins.a, 1), "village"), "v");
    assert_int_equal(entry_of(world, ENTRY_SAME, 2)->entry.other_record, 1);
    assert_int_equal(entry_of(world, ENTRY_SAME, 1)->entry.other_record, 2);
    /* Either flow is about the one. */
    apply(&twins.c);
    say_change(&twins.c, change_of(&twins.c, OPERATION_UPDATE, "C1", "name", "Putri", NULL));
    assert_canonical(world, 1, P_NAME, "Putri");
    assert_string_equal(item_value(last_item(&twins.b, 1), "name"), "Putri");
    apply(&twins.b);
    say_change(&twins.b, change_of(&twins.b, OPERATION_UPDATE, "B1", "village", "w", NULL));
    assert_string_equal(item_value(last_item(&twins.c, 1), "village"), "w");
    world_free(&world);
}

static void what_was_on_its_way_from_a_row_that_passed_is_about_the_one(void **state)
{
    struct twins twins = twins_new();
    struct world *world = twins.world;

    (void)state;
    apply(&twins.c);
    same(world, 1, 2);
    /* c did not know of it yet: under its old key, and under a new one that its own reload gave it. */
    say_change(&twins.c, change_of(&twins.c, OPERATION_UPDATE, "C1", "jkn", "J1", NULL));
    assert_canonical(world, 1, P_JKN, "J1");
    assert_int_equal(last_entry(world)->entry.record, 1);
    say_change(&twins.c, moved(&twins.c, "C1", "C9", false, "Lain"));
    assert_canonical(world, 1, P_NAME, "Siti"); /* that was written by one whom c did not know of */
    apply(&twins.c);
    say_change(&twins.c, change_of(&twins.c, OPERATION_UPDATE, "C9", "name", "Putri", NULL));
    assert_canonical(world, 1, P_NAME, "Putri");
    apply(&twins.b);
    say_change(&twins.b, change_of(&twins.b, OPERATION_UPDATE, "B1", "village", "w", NULL));
    assert_true(same_text(last_item(&twins.c, 1)->key, said("C9")));
    /* What a had of the one that went is a's no more, and counts for nothing. */
    say_change(&twins.a, change_of(&twins.a, OPERATION_UPDATE, "A2", "name", "Salah", NULL));
    assert_canonical(world, 1, P_NAME, "Putri");
    assert_false(exists(world, 2));
    world_free(&world);
}

static void who_names_the_one_that_went_means_the_other(void **state)
{
    struct twins twins = twins_new();
    struct world *world = twins.world;
    struct agent late;

    (void)state;
    say_change(&twins.b, numbered_anew(&twins.b, "B2", "2"));
    same(world, 1, 2);
    assert_canonical(world, 2, P_NIK, "2"); /* kept, so that it is found by it */
    assert_canonical(world, 1, P_NIK, "1");
    late = twins.c;
    apply(&late);
    say_change(&late, change_of(&late, OPERATION_INSERT, "C7", "nik", "2", "name", "Siti", NULL));
    assert_int_equal(verdict_in(last_entry(world) - 1, "existence"), VERDICT_HELD); /* c has a row of it already */
    apply(&twins.a);
    say_change(&twins.a, change_of(&twins.a, OPERATION_DELETE, "A1", NULL));
    say_change(&twins.a, change_of(&twins.a, OPERATION_INSERT, "A8", "nik", "2", "name", "Siti", NULL));
    assert_int_equal(last_entry(world)->entry.record, 1);
    assert_true(exists(world, 1));
    assert_canonical(world, 1, P_NIK, "1"); /* not what a still calls it */
    assert_string_equal(item_value(last_item(&twins.a, 1), "nik"), "1");
    world_free(&world);
}

static void said_to_be_different_it_comes_back_as_it_was(void **state)
{
    struct twins twins = twins_new();
    struct world *world = twins.world;
    const struct item *item;

    (void)state;
    say_change(&twins.c, change_of(&twins.c, OPERATION_UPDATE, "C1", "jkn", "J2", NULL));
    for (int round = 0; round < 2; round++) {
        same(world, 1, 2);
        assert_canonical(world, 1, P_JKN, "J2");
        assert_canonical(world, 2, P_JKN, "(null)"); /* two records with one number: PostgreSQL would not take it */
        apply(&twins.c);
        different(world, 1, 2);
        assert_true(exists(world, 2));
        assert_canonical(world, 2, P_NAME, "Bayi");
        assert_canonical(world, 2, P_JKN, "J2");
        assert_canonical(world, 1, P_JKN, "(null)");
        assert_canonical(world, 1, P_VILLAGE, "(null)");
        item = last_item(&twins.c, 2);
        assert_int_equal(item->operation, OPERATION_INSERT);
        assert_true(same_text(item->key, said("C1")));
        assert_string_equal(item_value(last_item(&twins.a, 1), "village"), "(null)");
        assert_int_equal(last_item(&twins.a, 2)->operation, OPERATION_INSERT);
        apply(&twins.c);
        say_change(&twins.c, change_of(&twins.c, OPERATION_UPDATE, "C1", "name", round ? "Adik" : "Bayi lagi", NULL));
        assert_canonical(world, 2, P_NAME, round ? "Adik" : "Bayi lagi");
        assert_canonical(world, 1, P_NAME, "Siti");
        say_change(&twins.c, change_of(&twins.c, OPERATION_UPDATE, "C1", "name", "Bayi", NULL));
    }
    world_free(&world);
}

static void what_was_written_since_stays(void **state)
{
    struct twins twins = twins_new();
    struct world *world = twins.world;

    (void)state;
    say_change(&twins.c, change_of(&twins.c, OPERATION_UPDATE, "C1", "jkn", "J2", NULL));
    same(world, 1, 2);
    apply(&twins.b);
    say_change(&twins.b, change_of(&twins.b, OPERATION_UPDATE, "B1", "village", "w", NULL));
    say_change(&twins.b, change_of(&twins.b, OPERATION_UPDATE, "B1", "jkn", "J3", NULL));
    say_change(&twins.b, change_of(&twins.b, OPERATION_INSERT, "B5", "jkn", "J2", NULL)); /* meanwhile another one's */
    assert_int_equal(last_change(world)->entry.record, 3);
    different(world, 2, 1); /* said the other way round */
    assert_canonical(world, 1, P_VILLAGE, "w");
    assert_canonical(world, 1, P_JKN, "J3");
    assert_canonical(world, 2, P_VILLAGE, "v");
    assert_canonical(world, 2, P_JKN, "(null)");
    world_free(&world);
}

static void what_cannot_be_said_is_refused(void **state)
{
    struct twins twins = twins_new();
    struct world *world = twins.world;
    uint32_t entries;

    (void)state;
    say_of(world, BROKER_EVENT_SAME, 1, 1, false);
    say_of(world, BROKER_EVENT_SAME, 1, 9, false);
    say_change(&twins.b, change_of(&twins.b, OPERATION_INSERT, "B3", "nik", "3", NULL));
    say_change(&twins.b, numbered_anew(&twins.b, "B2", "3"));
    say_of(world, BROKER_EVENT_SAME, 1, 2, false); /* what waits is about another one */
    decide(world, BROKER_EVENT_REJECT, 1);
    same(world, 1, 2);
    entries = world->entry_count;
    say_of(world, BROKER_EVENT_SAME, 1, 2, false);
    say_of(world, BROKER_EVENT_SAME, 2, 3, false);
    say_of(world, BROKER_EVENT_DIFFERENT, 3, 2, false);
    same(world, 3, 1); /* one after the other: what is undone is the last */
    say_of(world, BROKER_EVENT_DIFFERENT, 1, 2, false);
    different(world, 3, 1);
    different(world, 1, 2);
    assert_true(exists(world, 1) && exists(world, 2) && exists(world, 3));
    assert_true(world->entry_count > entries);
    apply(&twins.b);
    say_change(&twins.b, change_of(&twins.b, OPERATION_DELETE, "B3", NULL));
    say_of(world, BROKER_EVENT_SAME, 1, 3, false);
    world_free(&world);
}

static void what_is_parked_is_settled_first(void **state)
{
    struct twins twins = twins_new();
    struct world *world = twins.world;

    (void)state;
    apply(&twins.a);
    say_report(&twins.a, REPORT_PARKED, 2, twins.a.applied, "refused");
    say_of(world, BROKER_EVENT_SAME, 1, 2, false);
    say_report(&twins.a, REPORT_RELEASED, 2, twins.a.applied, "");
    same(world, 1, 2);
    world_free(&world);
}

static void that_two_are_different_is_remembered(void **state)
{
    struct twins twins = twins_new();
    struct world *world = twins.world;

    (void)state;
    different(world, 1, 2);
    assert_int_equal(last_entry(world)->entry.kind, ENTRY_DIFFERENT);
    assert_int_equal(last_entry(world)->entry.record, 1);
    assert_int_equal(last_entry(world)->entry.other_record, 2);
    assert_true(exists(world, 1) && exists(world, 2));
    world_free(&world);
}

/* A chain is followed to its end, also by a broker that has forgotten everything. */
static void it_is_known_after_a_restart(void **state)
{
    struct twins twins = twins_new();
    struct world *world = twins.world;

    (void)state;
    say_change(&twins.b, numbered_anew(&twins.b, "B2", "2"));
    say_change(&twins.b, change_of(&twins.b, OPERATION_INSERT, "B3", "nik", "3", NULL));
    same(world, 1, 2);
    same(world, 3, 1);
    world_drop(world);
    world_start(world);
    greet(&twins.c);
    say_change(&twins.c, change_of(&twins.c, OPERATION_UPDATE, "C1", "village", "z", NULL));
    assert_int_equal(last_entry(world)->entry.record, 3);
    world_drop(world);
    world_start(world);
    greet(&twins.a);
    say_change(&twins.a, change_of(&twins.a, OPERATION_INSERT, "A9", "nik", "2", "name", "Siti", NULL));
    assert_int_equal(last_entry(world)->entry.record, 3);
    world_free(&world);
}

/* Only what would be done is asked: nothing is. */
static void a_question_changes_nothing(void **state)
{
    struct twins twins = twins_new();
    struct world *world = twins.world;
    struct broker_event event = { .kind = BROKER_EVENT_SAME };
    uint32_t entries = world->entry_count;

    (void)state;
    event.name = "resident";
    event.record = 1;
    event.other = 2;
    event.dry = true;
    event.ground = "SK 2/2026";
    event.user = "rina";
    act(world, &event);
    assert_true(world->answer_ok);
    assert_int_equal(world->entry_count, entries);
    assert_true(exists(world, 2));
    world_free(&world);
}

/* ---- rows that come while the record is on its way ---- */

/* Its people gave a row of theirs the number of one that was on its way, and their database took the row for it. */
static void whoever_loses_its_row_to_another_one_gets_one_again(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", NULL), b = agent_join(world, "b", NULL);

    (void)state;
    say_change(&b, change_of(&b, OPERATION_INSERT, "B1", "name", "Bayi", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "A1", "nik", "5", NULL));
    apply(&b);
    say_report(&b, REPORT_LINKED, 2, b.applied, "B1");
    assert_int_equal(last_item(&b, 1)->operation, OPERATION_INSERT);
    assert_int_equal(last_item(&b, 1)->key.length, 0);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "B1", "name", "Siti", NULL));
    assert_canonical(world, 2, P_NAME, "Siti");
    assert_canonical(world, 1, P_NAME, "Bayi");
    world_free(&world);
}

/* An update that was sent to the row by its key, behind that insert, has been written over the other one's values. */
static void what_was_on_its_way_to_a_row_that_is_lost_is_made_good(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", NULL), b = agent_join(world, "b", NULL);
    feed_position inserted;

    (void)state;
    say_change(&b, change_of(&b, OPERATION_INSERT, "B1", "name", "Bayi", NULL));
    apply(&a);
    say_report(&a, REPORT_LINKED, 1, a.applied, "A9");
    say_change(&a, change_of(&a, OPERATION_INSERT, "A1", "nik", "5", "village", "v", NULL));
    inserted = last_item(&b, 2)->position;
    say_change(&a, change_of(&a, OPERATION_UPDATE, "A9", "village", "w", NULL));
    assert_true(same_text(last_item(&b, 1)->key, said("B1")));
    apply(&b);
    say_report(&b, REPORT_LINKED, 2, inserted, "B1");
    assert_int_equal(last_item(&b, 1)->key.length, 0);
    assert_true(same_text(last_item(&b, 2)->key, said("B1")));
    assert_string_equal(item_value(last_item(&b, 2), "village"), "v");
    world_free(&world);
}

static void a_row_that_is_added_to_what_was_written_meanwhile_is_sent_it(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", NULL), c = modest_agent(world, "c");

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "A1", "nik", "1", "name", "Siti", NULL));
    say_change(&c, change_of(&c, OPERATION_INSERT, "C1", "nik", "1", "name", "Siti", NULL));
    assert_int_equal(last_item(&c, 1)->operation, OPERATION_INSERT);
    assert_true(same_text(last_item(&c, 1)->key, said("C1")));
    world_free(&world);
}

static void a_row_that_is_added_to_what_was_deleted_meanwhile_is_told(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", NULL), b = agent_join(world, "b", NULL);

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "A1", "nik", "1", NULL));
    say_change(&a, change_of(&a, OPERATION_DELETE, "A1", NULL));
    say_change(&b, change_of(&b, OPERATION_INSERT, "B1", "nik", "1", NULL));
    assert_int_equal(verdict_in(last_entry(world), "existence"), VERDICT_LOST);
    assert_int_equal(last_item(&b, 1)->operation, OPERATION_DELETE);
    assert_true(same_text(last_item(&b, 1)->key, said("B1")));
    world_free(&world);
}

/* Its row of before had passed to the record, which has then gone into another one: that row's deletion is on its way,
 * and is not one of the new row, when said to be different brings the record back. */
static void a_row_that_is_added_while_the_old_one_goes_is_its_own(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", NULL), c = modest_agent(world, "c");

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "A1", "nik", "1", NULL));
    say_change(&c, change_of(&c, OPERATION_INSERT, "C2", "jkn", "2", NULL));
    say_change(&c, change_of(&c, OPERATION_INSERT, "C3", "jkn", "3", NULL));
    same(world, 1, 2); /* C2 passes ... */
    same(world, 3, 1); /* ... and goes: C3 stays */
    different(world, 3, 1);
    say_change(&c, change_of(&c, OPERATION_INSERT, "C4", "nik", "1", NULL));
    apply(&c);
    say_change(&c, change_of(&c, OPERATION_UPDATE, "C4", "name", "Siti", NULL));
    assert_canonical(world, 1, P_NAME, "Siti");
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
        T(a_newborn_that_is_there_already_becomes_one_record),
        T(what_was_on_its_way_from_a_row_that_passed_is_about_the_one),
        T(who_names_the_one_that_went_means_the_other),
        T(said_to_be_different_it_comes_back_as_it_was),
        T(what_was_written_since_stays),
        T(what_cannot_be_said_is_refused),
        T(what_is_parked_is_settled_first),
        T(that_two_are_different_is_remembered),
        T(it_is_known_after_a_restart),
        T(a_question_changes_nothing),
        T(whoever_loses_its_row_to_another_one_gets_one_again),
        T(what_was_on_its_way_to_a_row_that_is_lost_is_made_good),
        T(a_row_that_is_added_to_what_was_written_meanwhile_is_sent_it),
        T(a_row_that_is_added_to_what_was_deleted_meanwhile_is_told),
        T(a_row_that_is_added_while_the_old_one_goes_is_its_own),
    };

    return cmocka_run_group_tests_name("broker same", tests, NULL, NULL);
}
