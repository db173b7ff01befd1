/* The core of the broker: changes beyond a limit wait for a person, and so does what cannot be decided. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/agent_fixture.h"

static const char catalog[] = "catalog\n"
                              "    version = 1\n"
                              "    agencies = \"a b\"\n"
                              "record\n"
                              "    person\n"
                              "        existence\n"
                              "            write = \"a b\"\n"
                              "            limit = \"deletions 1 1 h, insertions 4 1 h\"\n"
                              "        read\n"
                              "            a = law\n"
                              "            b = law\n"
                              "        fields\n"
                              "            nik\n"
                              "                type = text\n"
                              "                identifier = yes\n"
                              "                pattern = \"[0-9]+\"\n"
                              "                write = \"a b\"\n"
                              "            name\n"
                              "                type = text\n"
                              "                write = \"a b\"\n"
                              "            eligible\n"
                              "                type = boolean\n"
                              "                write = \"a b\"\n"
                              "                limit = \"true to false 50 % 1 h\"\n"
                              "            jkn\n"
                              "                type = text\n"
                              "                identifier = yes\n"
                              "                write = \"a b\"\n"
                              "                limit = \"J1 to J2 0 1 h\"\n";
enum { P_NIK, P_NAME, P_ELIGIBLE, P_JKN };

static void decide(struct world *world, enum broker_event_kind kind, uint32_t hold, const char *records, bool ok)
{
    struct broker_event event = { .kind = kind };
    int answers = world->answer_count;

    event.record = hold;
    event.what = records;
    event.ground = "SK 1/2026";
    event.user = "rina";
    act(world, &event);
    assert_int_equal(world->answer_count, answers + 1);
    assert_int_equal(world->answer_ok, ok);
}

static void release(struct world *world, uint32_t hold)
{
    decide(world, BROKER_EVENT_RELEASE, hold, "", true);
}

static void reject(struct world *world, uint32_t hold)
{
    decide(world, BROKER_EVENT_REJECT, hold, "", true);
}

static uint32_t held(const struct world *world, const struct agent *agent)
{
    struct peer_view view;

    assert_true(broker_peer(world->broker, agent->id - 1u, &view));
    return view.held;
}

static int entries_of(const struct world *world, enum entry_kind kind)
{
    int count = 0;

    for (uint32_t i = 0; i < world->entry_count; i++)
        count += world->entries[i].entry.kind == kind;
    return count;
}

static struct change eligible(struct agent *agent, uint32_t number, const char *value)
{
    return change_of(agent, OPERATION_UPDATE, arena_printf(agent->world->arena, "%u", number), "eligible", value, NULL);
}

/* Four eligible people, whom both agencies have. */
static void people(struct agent *a, struct agent *b)
{
    struct change changes[4];

    for (uint32_t i = 0; i < 4; i++)
        changes[i] = change_of(a, OPERATION_INSERT, arena_printf(a->world->arena, "%u", i + 1), "nik",
                               arena_printf(a->world->arena, "%u", i + 1), "name", "x", "eligible", "true", NULL);
    say_changes(a, changes, 4);
    apply(b);
}

static void switch_off(struct agent *agent, uint32_t count)
{
    struct change changes[4];

    for (uint32_t i = 0; i < count; i++)
        changes[i] = eligible(agent, i + 1, "false");
    say_changes(agent, changes, count);
}

static void a_transaction_beyond_its_limit_is_held_whole_for_that_kind(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    struct change changes[4];

    (void)state;
    people(&a, &b);
    for (uint32_t i = 0; i < 3; i++)
        changes[i] = change_of(&a, OPERATION_UPDATE, arena_printf(world->arena, "%u", i + 1), "name", "y", "eligible",
                               "false", NULL);
    changes[3] = change_of(&a, OPERATION_UPDATE, "4", "name", "y", NULL);
    say_changes(&a, changes, 4); /* three of four: half of them are allowed */
    for (uint64_t number = 1; number <= 3; number++) {
        assert_canonical(world, number, P_ELIGIBLE, "true");
        assert_canonical(world, number, P_NAME, "y"); /* others flow */
        assert_string_equal(item_value(last_item(&b, number), "eligible"), "(absent)");
        assert_int_equal(last_item(&a, number)->record, 0); /* and the source is not put back */
    }
    assert_int_equal(held(world, &a), 3);
    assert_int_equal(world->hold_count, 1);
    assert_string_equal(world->holds[0].reason, "true to false 50 % 1 h");
    assert_int_equal(entries_of(world, ENTRY_HOLD), 1);
    assert_int_equal(verdict_in(last_entry(world) - 1, "eligible"), VERDICT_HELD);
    assert_true(same_text(last_entry(world)[-1].entry.fields[1].rule, said("hold 1")));
    world_free(&world);
}

static void what_is_allowed_flows_until_it_is_too_much(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    people(&a, &b);
    say_change(&a, eligible(&a, 1, "false"));
    say_change(&a, eligible(&a, 2, "false"));
    assert_canonical(world, 2, P_ELIGIBLE, "false");
    say_change(&a, eligible(&a, 2, "true")); /* another kind */
    say_change(&a, eligible(&a, 3, "false"));
    assert_canonical(world, 3, P_ELIGIBLE, "true");
    say_change(&a, eligible(&a, 4, "false")); /* joins the same hold */
    assert_int_equal(held(world, &a), 2);
    assert_int_equal(world->hold_count, 1);
    apply(&b);
    say_change(&b, eligible(&b, 4, "false")); /* each agency has its own */
    assert_canonical(world, 4, P_ELIGIBLE, "false");
    assert_int_equal(held(world, &b), 0);
    world_free(&world);
}

static void the_time_of_a_limit_passes(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    people(&a, &b);
    switch_off(&a, 2);
    world_drop(world); /* the count is durable */
    world_start(world);
    a.number = 0;
    greet(&a);
    say_change(&a, eligible(&a, 3, "false"));
    assert_canonical(world, 3, P_ELIGIBLE, "true");
    pass(world, 65 * 60 * 1000);
    greet(&a);
    say_change(&a, eligible(&a, 4, "false"));
    assert_canonical(world, 4, P_ELIGIBLE, "false");
    world_free(&world);
}

static void a_release_goes_through_the_rules_and_to_the_readers(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    people(&a, &b);
    switch_off(&a, 3);
    world_drop(world); /* what is held is durable */
    world_start(world);
    greet(&a);
    greet(&b);
    assert_int_equal(held(world, &a), 3);
    release(world, 1);
    assert_int_equal(held(world, &a), 0);
    for (uint64_t number = 1; number <= 3; number++) {
        assert_canonical(world, number, P_ELIGIBLE, "false");
        assert_string_equal(item_value(last_item(&b, number), "eligible"), "false");
        assert_int_equal(last_item(&a, number)->record, 0); /* it has that value */
    }
    assert_int_equal(entries_of(world, ENTRY_HOLD_RELEASED), 1 + 3);
    assert_true(world->holds[0].closed);
    decide(world, BROKER_EVENT_RELEASE, 1, "", false);
    assert_int_equal(entries_of(world, ENTRY_HOLD_RELEASED), 1 + 3); /* once */
    world_free(&world);
}

static void a_rejection_puts_the_source_back(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    people(&a, &b);
    switch_off(&a, 3);
    reject(world, 1);
    assert_int_equal(held(world, &a), 0);
    for (uint64_t number = 1; number <= 3; number++) {
        assert_canonical(world, number, P_ELIGIBLE, "true");
        assert_string_equal(item_value(last_item(&a, number), "eligible"), "true");
        assert_true(same_text(last_item(&a, number)->reason.rule, said("rejected")));
        assert_true(same_text(last_item(&a, number)->reason.by, said("rina")));
        assert_string_equal(item_value(last_item(&b, number), "eligible"), "true");
    }
    assert_int_equal(entries_of(world, ENTRY_HOLD_REJECTED), 1 + 3);
    world_free(&world);
}

static void a_selection_is_settled_alone(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    people(&a, &b);
    switch_off(&a, 4);
    decide(world, BROKER_EVENT_RELEASE, 1, "1,3-", false);
    decide(world, BROKER_EVENT_RELEASE, 1, "1,3-4", true);
    assert_canonical(world, 1, P_ELIGIBLE, "false");
    assert_canonical(world, 2, P_ELIGIBLE, "true");
    assert_canonical(world, 3, P_ELIGIBLE, "false");
    assert_canonical(world, 4, P_ELIGIBLE, "false");
    assert_int_equal(held(world, &a), 1);
    assert_false(world->holds[0].closed);
    reject(world, 1);
    assert_canonical(world, 2, P_ELIGIBLE, "true");
    assert_int_equal(held(world, &a), 0);
    world_free(&world);
}

static void a_later_change_takes_the_place_of_what_is_held(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    people(&a, &b);
    switch_off(&a, 3);
    say_change(&a, eligible(&a, 1, "true")); /* corrected there; it joins all the same */
    assert_int_equal(verdict_in(last_entry(world), "eligible"), VERDICT_HELD);
    assert_int_equal(held(world, &a), 3);
    release(world, 1);
    assert_canonical(world, 1, P_ELIGIBLE, "true");
    assert_canonical(world, 2, P_ELIGIBLE, "false");
    world_free(&world);
}

static void a_decision_goes_on_after_a_restart(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    struct broker_event event = { .kind = BROKER_EVENT_RELEASE };

    (void)state;
    people(&a, &b);
    switch_off(&a, 3);
    world->held = true;
    event.record = 1;
    event.what = "";
    event.ground = "SK 1/2026";
    event.user = "rina";
    act(world, &event);
    answer_batch(world); /* the decision is committed, and nothing of what follows */
    assert_int_equal(world->holds[0].decision, DECISION_RELEASE);
    world_drop(world);
    world->held = false;
    world_start(world);
    assert_canonical(world, 1, P_ELIGIBLE, "false");
    assert_canonical(world, 3, P_ELIGIBLE, "false");
    assert_int_equal(entries_of(world, ENTRY_HOLD_RELEASED), 1 + 3);
    assert_true(world->holds[0].closed);
    world_free(&world);
}

static void a_batch_that_is_refused_holds_nothing(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    people(&a, &b);
    world->refused_kind = ENTRY_HOLD;
    switch_off(&a, 3);
    assert_int_equal(held(world, &a), 0);
    assert_int_equal(world->hold_count, 0);
    world_free(&world);
}

static void a_held_deletion_is_not_told_and_its_agency_gets_nothing_of_the_record(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    struct change deletions[2];
    int skips;

    (void)state;
    people(&a, &b);
    apply(&a);
    deletions[0] = change_of(&a, OPERATION_DELETE, "1", NULL);
    deletions[1] = change_of(&a, OPERATION_DELETE, "2", NULL);
    say_changes(&a, deletions, 2);
    assert_true(world->records[0].exists && world->records[1].exists);
    assert_int_equal(last_item(&b, 1)->operation, OPERATION_INSERT);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "z", NULL));
    assert_int_equal(last_item(&a, 1)->record, 0);
    world->options.cache_bytes = 0; /* from the store, too */
    world_drop(world);
    world_start(world);
    greet(&a);
    assert_int_equal(last_item(&a, 1)->record, 0);
    skips = entries_of(world, ENTRY_ITEM);
    say_report(&a, REPORT_SKIPPED, 1, a.base, "");
    assert_int_equal(entries_of(world, ENTRY_ITEM), skips); /* it waits */
    reject(world, 1);
    assert_int_equal(last_item(&a, 1)->operation, OPERATION_INSERT); /* the record comes back whole */
    assert_string_equal(item_value(last_item(&a, 1), "name"), "z");
    assert_int_equal(last_item(&a, 2)->operation, OPERATION_INSERT);
    apply(&a);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "w", NULL));
    assert_canonical(world, 1, P_NAME, "w");
    world_free(&world);
}

static void a_released_deletion_deletes_everywhere(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    struct change deletions[2];

    (void)state;
    people(&a, &b);
    deletions[0] = change_of(&a, OPERATION_DELETE, "1", NULL);
    deletions[1] = change_of(&a, OPERATION_DELETE, "2", NULL);
    say_changes(&a, deletions, 2);
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "2", "name", "back", NULL)); /* joins */
    assert_canonical(world, 2, P_NAME, "x");
    release(world, 1);
    assert_false(world->records[0].exists);
    assert_int_equal(last_item(&b, 1)->operation, OPERATION_DELETE);
    assert_true(world->records[1].exists); /* net, it was never deleted */
    assert_canonical(world, 2, P_NAME, "back");
    assert_string_equal(item_value(last_item(&a, 2), "eligible"), "true"); /* and its agency has it whole */
    world_free(&world);
}

static void held_inserts_leave_the_record_to_whoever_comes(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    struct change changes[5];

    (void)state;
    for (uint32_t i = 0; i < 5; i++)
        changes[i] = change_of(&a, OPERATION_INSERT, arena_printf(world->arena, "%u", i + 1), "nik",
                               arena_printf(world->arena, "%u", i + 1), "name", "of a", "jkn",
                               arena_printf(world->arena, "J%u", i + 1), NULL);
    say_changes(&a, changes, 5);
    assert_int_equal(held(world, &a), 5);
    assert_int_equal(last_item(&b, 1)->record, 0);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "of a, again", NULL));
    assert_int_equal(held(world, &a), 5);
    say_change(&b, change_of(&b, OPERATION_INSERT, "2", "nik", "2", "name", "of b", NULL));
    assert_int_equal(world->record_count, 5);
    assert_true(world->records[1].exists);
    assert_canonical(world, 2, P_NAME, "of b");
    assert_canonical(world, 2, P_JKN, "(null)"); /* what is held is nobody's word */
    assert_int_equal(last_item(&a, 2)->record, 0);
    say_change(&a, change_of(&a, OPERATION_DELETE, "5", NULL)); /* never was */
    assert_int_equal(held(world, &a), 4);
    decide(world, BROKER_EVENT_REJECT, 1, "3", true);
    assert_int_equal(last_item(&a, 3)->operation, OPERATION_DELETE);
    release(world, 1);
    assert_canonical(world, 1, P_NAME, "of a, again");
    assert_canonical(world, 1, P_JKN, "J1");
    assert_int_equal(last_item(&b, 1)->operation, OPERATION_INSERT);
    assert_canonical(world, 2, P_NAME, "of a"); /* it stands above b */
    assert_false(world->records[2].exists);
    assert_true(world->records[3].exists);
    world_free(&world);
}

static void a_wrong_value_of_a_new_record_waits_for_its_writer_or_a_person(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", NULL), b = agent_join(world, "b", "nik");

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "K1", "nik", "12x", "name", "Siti", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "K2", "nik", "34x", "name", "Budi", NULL));
    assert_int_equal(held(world, &a), 2);
    assert_string_equal(world->holds[0].reason, "pattern");
    assert_canonical(world, 1, P_NAME, "Siti");
    assert_canonical(world, 1, P_NIK, "(null)");
    say_change(&a, change_of(&a, OPERATION_UPDATE, "K1", "nik", "12y", NULL)); /* wrong again */
    assert_int_equal(held(world, &a), 2);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "K1", "nik", "12", NULL));
    assert_int_equal(held(world, &a), 1);
    assert_canonical(world, 1, P_NIK, "12");
    assert_string_equal(item_value(last_item(&b, 1), "nik"), "12");
    release(world, 1); /* nobody can make it right by saying so */
    assert_int_equal(held(world, &a), 1);
    assert_canonical(world, 2, P_NIK, "(null)");
    assert_false(world->holds[0].closed);
    reject(world, 1);
    assert_int_equal(held(world, &a), 0);
    assert_string_equal(item_value(last_item(&a, 2), "nik"), "(null)");
    world_free(&world);
}

static void a_row_that_names_two_records_waits_until_it_is_told_which(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", NULL), b = agent_join(world, "b", "nik");

    (void)state;
    say_change(&b, change_of(&b, OPERATION_INSERT, "1", "nik", "1", "name", "x", NULL));
    say_change(&b, change_of(&b, OPERATION_INSERT, "2", "nik", "2", "jkn", "J2", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "K", "nik", "1", "jkn", "J2", "name", "of a", NULL));
    assert_string_equal(world->holds[0].reason, "names two records");
    assert_int_equal(held(world, &a), 1);
    release(world, 1);
    assert_int_equal(held(world, &a), 1);                                  /* it still cannot be told */
    say_change(&a, change_of(&a, OPERATION_UPDATE, "K", "jkn", "", NULL)); /* joins */
    assert_int_equal(held(world, &a), 1);
    release(world, 1);
    assert_int_equal(held(world, &a), 0);
    assert_canonical(world, 1, P_NAME, "of a");
    assert_int_equal(last_item(&a, 1)->operation, OPERATION_INSERT);
    assert_true(same_text(last_item(&a, 1)->key, said("K")));
    say_change(&a, change_of(&a, OPERATION_UPDATE, "K", "name", "of a, later", NULL));
    assert_canonical(world, 1, P_NAME, "of a, later");
    world_free(&world);
}

static void a_change_of_an_unknown_row_waits_until_the_record_is_there(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    say_change(&a, change_of(&a, OPERATION_UPDATE, "7", "name", "of a", NULL));
    say_change(&a, change_of(&a, OPERATION_DELETE, "8", NULL)); /* nothing there, nothing known */
    assert_int_equal(verdict_in(last_entry(world), "existence"), VERDICT_UNCHANGED);
    assert_int_equal(held(world, &a), 1);
    release(world, 1);
    assert_int_equal(held(world, &a), 1);
    say_change(&b, change_of(&b, OPERATION_INSERT, "7", "nik", "7", "name", "of b", NULL));
    release(world, 1);
    assert_int_equal(held(world, &a), 0);
    assert_canonical(world, 2, P_NAME, "of a");
    world_free(&world);
}

static void a_load_joins_and_is_not_limited_as_insertion(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_new(world, "a", "nik");
    struct change load[6];

    (void)state;
    greet(&a);
    for (uint32_t i = 0; i < 6; i++) {
        load[i] = numbered(&a, i + 1, "x");
        load[i].operation = OPERATION_LOAD;
    }
    say_piece(&a,
              (struct piece){ .first = 1, .final = true, .nothing_seen = true, .changes = load, .change_count = 6 });
    assert_int_equal(held(world, &a), 0);
    assert_int_equal(world->record_count, 6);
    world_free(&world);
}

/* 100 changes of 100 kB each: more than one batch decides at once; as many as two thirds of them may be inserted. */
static void a_transaction_of_many_parts_is_counted_before_its_first(void **state)
{
    enum { MANY = 100 };
    struct arena *arena = arena_new();
    const char *at = strstr(catalog, "insertions 4 ");
    struct world *world = world_new(
        arena_printf(arena, "%.*sinsertions 60 %s", (int)(at - catalog), catalog, at + strlen("insertions 4 ")));
    struct agent a, b;

    (void)state;
    world_drop(world);
    world->options.stage_bytes = 64 << 20;
    world_start(world);
    a = agent_join(world, "a", "nik");
    b = agent_join(world, "b", "nik");
    a.lsn += 10;
    for (uint32_t i = 0; i < MANY; i++) {
        struct change change = numbered(&a, i + 1, long_text(world, 100000));

        say_piece(&a, (struct piece){ .lsn = a.lsn,
                                      .first = i,
                                      .final = i + 1 == MANY,
                                      .base = a.base,
                                      .changes = &change,
                                      .change_count = 1 });
    }
    assert_true(world->part_count >= 4);
    assert_int_equal(held(world, &a), MANY);
    assert_int_equal(world->hold_count, 1);
    assert_int_equal(world->held_count, MANY);
    assert_int_equal(last_item(&b, 1)->record, 0);
    for (uint32_t i = 0; i < MANY; i++)
        assert_false(world->records[i].exists);
    release(world, 1);
    assert_int_equal(held(world, &a), 0);
    for (uint32_t i = 0; i < MANY; i++)
        assert_true(world->records[i].exists);
    world_free(&world);
    arena_free(&arena);
}

/* The number of a deleted record is free for whoever is to get it, once a person says so. */
static void a_release_takes_the_number_of_a_deleted_record(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", NULL);

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "K1", "nik", "1", "jkn", "J1", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "K2", "nik", "2", "jkn", "J2", NULL));
    say_change(&a, change_of(&a, OPERATION_DELETE, "K2", NULL));
    say_change(&a, change_of(&a, OPERATION_UPDATE, "K1", "jkn", "J2", NULL));
    assert_int_equal(held(world, &a), 1);
    assert_canonical(world, 2, P_JKN, "J2");
    release(world, 1);
    assert_int_equal(held(world, &a), 0);
    assert_canonical(world, 1, P_JKN, "J2");
    assert_canonical(world, 2, P_JKN, "(null)"); /* two records with one number: PostgreSQL would not take it */
    assert_canonical(world, 2, P_NIK, "2");
    world_free(&world);
}

static void what_cannot_be_stored_can_be_decided_anew(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    people(&a, &b);
    switch_off(&a, 3);
    world->refused_value = "1";
    release(world, 1);
    assert_int_equal(held(world, &a), 3);
    decide(world, BROKER_EVENT_REJECT, 1, "2-3", true);
    assert_int_equal(held(world, &a), 1);
    assert_canonical(world, 2, P_ELIGIBLE, "true");
    world->refused_value = NULL;
    release(world, 1);
    assert_int_equal(held(world, &a), 0);
    assert_canonical(world, 1, P_ELIGIBLE, "false");
    assert_true(world->holds[0].closed);
    world_free(&world);
}

static void what_a_held_insert_claimed_is_free_once_it_is_settled(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik"), *who = &b;

    (void)state;
    people(&a, &b);
    say_change(&a, change_of(&a, OPERATION_INSERT, "50", "nik", "50", "jkn", "J50", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "60", "nik", "60", NULL));
    assert_int_equal(held(world, &a), 2);
    say_change(who, moved(who, "1", "50", true, NULL)); /* it waits, and keeps what it has */
    assert_int_equal(verdict_in(last_entry(world), "nik"), VERDICT_HELD);
    assert_canonical(world, 5, P_NIK, "50");
    apply(who);
    decide(world, BROKER_EVENT_REJECT, 1, "5", true);
    say_change(who, change_of(who, OPERATION_UPDATE, "50", "nik", "50", "jkn", "J50", NULL));
    assert_int_equal(verdict_in(last_change(world), "nik"), VERDICT_APPLIED);
    assert_canonical(world, 1, P_NIK, "50");
    assert_canonical(world, 1, P_JKN, "J50");
    assert_canonical(world, 5, P_NIK, "(null)");
    assert_canonical(world, 5, P_JKN, "(null)");
    say_change(&a, change_of(&a, OPERATION_DELETE, "60", NULL)); /* withdrawn */
    assert_int_equal(held(world, &a), 0);
    say_change(who, change_of(who, OPERATION_UPDATE, "2", "nik", "60", NULL));
    assert_int_equal(verdict_in(last_entry(world), "nik"), VERDICT_APPLIED);
    assert_canonical(world, 2, P_NIK, "60");
    assert_canonical(world, 6, P_NIK, "(null)");
    world_free(&world);
}

/* NULL in an insert is no statement, but what its writer said before, and is held, it says no more. */
static void a_row_that_comes_again_without_a_value_ends_what_is_held(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    struct change load;

    (void)state;
    people(&a, &b);
    switch_off(&a, 3);
    assert_int_equal(held(world, &a), 3);
    pass(world, 65 * 60 * 1000); /* insertions are limited too */
    greet(&a);
    say_change(&a, change_of(&a, OPERATION_DELETE, "1", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "x", "eligible", "", NULL));
    assert_true(world->records[0].exists);
    assert_int_equal(held(world, &a), 2);
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "2", "name", "x", "eligible", "", NULL));
    assert_int_equal(held(world, &a), 1);
    assert_string_equal(item_value(last_item(&a, 2), "eligible"), "true"); /* its row is put right */
    reload(world, "a", "restored by hand");
    greet(&a);
    load = change_of(&a, OPERATION_LOAD, "3", "nik", "3", "name", "x", "eligible", "", NULL);
    say_piece(&a,
              (struct piece){ .first = 1, .final = true, .nothing_seen = true, .changes = &load, .change_count = 1 });
    assert_int_equal(held(world, &a), 0);
    say_load_end(&a);
    assert_true(world->holds[0].closed);
    assert_canonical(world, 1, P_ELIGIBLE, "(null)");
    assert_canonical(world, 2, P_ELIGIBLE, "true");
    assert_canonical(world, 3, P_ELIGIBLE, "true");
    assert_string_equal(item_value(last_item(&a, 3), "eligible"), "true");
    world_free(&world);
}

/* A row whose key the database made is found by its link alone. */
static void what_links_find_is_counted_too(void **state)
{
    enum { MANY = 100 };
    struct arena *arena = arena_new();
    const char *at = strstr(catalog, "insertions 4 ");
    struct world *world = world_new(
        arena_printf(arena, "%.*sinsertions 500 %s", (int)(at - catalog), catalog, at + strlen("insertions 4 ")));
    struct change changes[MANY];
    struct agent a, b;

    (void)state;
    world_drop(world);
    world->options.stage_bytes = 64 << 20;
    world_start(world);
    a = agent_join(world, "a", NULL);
    b = agent_join(world, "b", "nik");
    for (uint32_t i = 0; i < MANY; i++)
        changes[i] = change_of(&a, OPERATION_INSERT, arena_printf(world->arena, "%u", 1000 + i), "nik",
                               arena_printf(world->arena, "%u", i + 1), "eligible", "true", NULL);
    say_changes(&a, changes, MANY);
    apply(&b);
    assert_int_equal(world->hold_count, 0);
    a.lsn += 10;
    for (uint32_t i = 0; i < MANY; i++) {
        struct change change = change_of(&a, OPERATION_UPDATE, arena_printf(world->arena, "%u", 1000 + i), "name",
                                         long_text(world, 100000), "eligible", "false", NULL);

        say_piece(&a, (struct piece){ .lsn = a.lsn,
                                      .first = i,
                                      .final = i + 1 == MANY,
                                      .base = a.base,
                                      .changes = &change,
                                      .change_count = 1 });
    }
    assert_true(world->part_count >= 4);
    assert_int_equal(held(world, &a), MANY);
    for (uint32_t i = 1; i <= MANY; i++)
        assert_canonical(world, i, P_ELIGIBLE, "true");
    world_free(&world);
    arena_free(&arena);
}

#define T(name) cmocka_unit_test(name)

/* Nothing of it takes effect that a limit could be for. */
static void what_is_only_observed_is_beyond_no_limit(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_new(world, "a", "nik");
    struct change rows[3];

    (void)state;
    set_mode(world, "a", "", MODE_OBSERVE);
    greet(&a);
    say_load_end(&a);
    for (int i = 0; i < 3; i++)
        rows[i] = numbered(&a, (uint32_t)i, NULL);
    say_changes(&a, rows, 3);
    assert_int_equal(world->observed_count, 3);
    for (int i = 0; i < 3; i++)
        rows[i] = change_of(&a, OPERATION_DELETE, arena_printf(world->arena, "%d", i), NULL);
    say_changes(&a, rows, 3);
    assert_int_equal(world->observed_count, 0);
    assert_int_equal(world->hold_count, 0);
    assert_int_equal(world->use_count, 0);
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_only_observed_is_beyond_no_limit),
        T(a_transaction_beyond_its_limit_is_held_whole_for_that_kind),
        T(what_is_allowed_flows_until_it_is_too_much),
        T(the_time_of_a_limit_passes),
        T(a_release_goes_through_the_rules_and_to_the_readers),
        T(a_rejection_puts_the_source_back),
        T(a_selection_is_settled_alone),
        T(a_later_change_takes_the_place_of_what_is_held),
        T(a_decision_goes_on_after_a_restart),
        T(a_batch_that_is_refused_holds_nothing),
        T(a_held_deletion_is_not_told_and_its_agency_gets_nothing_of_the_record),
        T(a_released_deletion_deletes_everywhere),
        T(held_inserts_leave_the_record_to_whoever_comes),
        T(a_wrong_value_of_a_new_record_waits_for_its_writer_or_a_person),
        T(a_row_that_names_two_records_waits_until_it_is_told_which),
        T(a_change_of_an_unknown_row_waits_until_the_record_is_there),
        T(a_load_joins_and_is_not_limited_as_insertion),
        T(a_transaction_of_many_parts_is_counted_before_its_first),
        T(a_release_takes_the_number_of_a_deleted_record),
        T(what_cannot_be_stored_can_be_decided_anew),
        T(what_a_held_insert_claimed_is_free_once_it_is_settled),
        T(a_row_that_comes_again_without_a_value_ends_what_is_held),
        T(what_links_find_is_counted_too),
    };

    return cmocka_run_group_tests_name("broker_hold", tests, NULL, NULL);
}
