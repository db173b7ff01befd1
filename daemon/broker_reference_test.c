/* The core of the broker: records that refer to others, which each agency knows by its own keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/agent_fixture.h"

/* The type that refers stands before the one that it refers to: which comes first follows from the reference. */
static const char catalog[] = "catalog\n"
                              "    version = 1\n"
                              "    agencies = \"a b c\"\n"
                              "record\n"
                              "    enrolment\n"
                              "        existence\n"
                              "            write = \"a b c\"\n"
                              "        read\n"
                              "            a = law\n"
                              "            b = law\n"
                              "            c = law\n"
                              "        groups\n"
                              "            line\n"
                              "                identifier = yes\n"
                              "                write = \"a b c\"\n"
                              "        fields\n"
                              "            person\n"
                              "                type = reference\n"
                              "                to = resident\n"
                              "                group = line\n"
                              "            program\n"
                              "                type = text\n"
                              "                group = line\n"
                              "            cost\n"
                              "                type = integer\n"
                              "                write = \"a b c\"\n"
                              "            guardian\n"
                              "                type = reference\n"
                              "                to = resident\n"
                              "                write = \"a b c\"\n"
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
                              "                write = \"a b c\"\n"
                              "            name\n"
                              "                type = text\n"
                              "                write = \"a b c\"\n";
enum { E_PERSON, E_PROGRAM, E_COST, E_GUARDIAN };

/* Residents under `key` (NULL: generated), enrolments under keys that its database makes. */
static struct agent agent_of(struct world *world, const char *name, const char *key)
{
    struct agent agent = agent_new(world, name, NULL);

    agent.blocks[0] = block_of(world, "people", "resident", key);
    agent.blocks[1] = block_of(world, "lines", "enrolment", NULL);
    agent.blocks[1].references[0] = (struct block_reference){ said("person"), said("people") };
    agent.blocks[1].references[1] = (struct block_reference){ said("guardian"), said("people") };
    agent.blocks[1].reference_count = 2;
    agent.block_count = 2;
    greet(&agent);
    say_load_end(&agent);
    return agent;
}

static struct change resident(struct agent *agent, const char *key, const char *nik)
{
    struct change change = change_new(agent, OPERATION_INSERT, "people", key);

    set_field(&change, "nik", nik);
    set_field(&change, "name", "Siti");
    seal(agent, &change);
    return change;
}

/* How an agency says which row it means. */
static const char *to(struct world *world, const char *key)
{
    return arena_printf(world->arena, "people\x1f%s", key);
}

/* `guardian` NULL: it has none. */
static struct change enrolment(struct agent *agent, const char *key, const char *person, const char *guardian)
{
    struct change change = change_new(agent, OPERATION_INSERT, "lines", key);

    set_field(&change, "person", to(agent->world, person));
    set_field(&change, "program", "PBI");
    set_field(&change, "cost", "42000");
    set_field(&change, "guardian", guardian ? to(agent->world, guardian) : NULL);
    seal(agent, &change);
    return change;
}

static struct change pointed(struct agent *agent, const char *key, const char *guardian)
{
    struct change change = change_new(agent, OPERATION_UPDATE, "lines", key);

    set_field(&change, "guardian", to(agent->world, guardian));
    seal(agent, &change);
    return change;
}

static void linked(struct agent *agent, const char *block, uint64_t record, const char *key)
{
    struct report report = { .kind = REPORT_LINKED,
                             .record = record,
                             .position = last_item(agent, record)->position,
                             .block = said(block),
                             .text = said(key) };

    apply(agent);
    agent->lsn += 10;
    say_piece(
        agent,
        (struct piece){ .lsn = agent->lsn, .final = true, .base = agent->base, .reports = &report, .report_count = 1 });
}

/* c's rows, which all mean others by c's own keys: of a resident known by number, of a new one, and of nobody. */
static void load_of_three(struct agent *c)
{
    struct change rows[5] = { resident(c, "901", "6401"), resident(c, "902", "6402"), enrolment(c, "71", "901", "902"),
                              enrolment(c, "72", "902", NULL), enrolment(c, "73", "999", NULL) };

    for (int i = 0; i < 5; i++) {
        rows[i].operation = OPERATION_LOAD;
        seal(c, &rows[i]);
    }
    c->lsn = 0;
    greet(c);
    say_piece(c, (struct piece){ .first = 1, .final = true, .nothing_seen = true, .changes = rows, .change_count = 5 });
    say_load_end(c);
}

/* Also where the block that refers stands before the one that it refers to. */
static void a_preview_counts_what_refers_to_others_as_the_load_does(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_of(world, "a", NULL), c = agent_new(world, "c", NULL);
    struct broker_event ask = { .kind = BROKER_EVENT_PREVIEW };
    uint64_t rows[PREVIEW_ROW_COUNT] = { 0 };
    uint32_t before;

    (void)state;
    say_change(&a, resident(&a, "5", "6401"));
    say_change(&a, enrolment(&a, "70", "5", NULL));
    c.blocks[1] = block_of(world, "people", "resident", NULL);
    c.blocks[0] = block_of(world, "lines", "enrolment", NULL);
    c.blocks[0].references[0] = (struct block_reference){ said("person"), said("people") };
    c.blocks[0].references[1] = (struct block_reference){ said("guardian"), said("people") };
    c.blocks[0].reference_count = 2;
    c.block_count = 2;
    set_mode(world, "c", "", MODE_OBSERVE);
    load_of_three(&c);
    ask.name = "c";
    ask.table = "";
    act(world, &ask);
    assert_true(world->answer_ok);
    for (uint16_t t = 0; t < world->catalog->type_count; t++)
        for (int what = 0; strcmp(world->catalog->types[t].name, "enrolment") == 0 && what < PREVIEW_ROW_COUNT; what++)
            rows[what] = world->previewed->types[t].rows[what].count;
    assert_int_equal(rows[PREVIEW_MATCHED], 1);
    assert_int_equal(rows[PREVIEW_CREATED], 1);
    assert_int_equal(rows[PREVIEW_WAITS], 1);
    assert_int_equal(rows[PREVIEW_INSERTED], 0);

    set_mode(world, "c", "", MODE_FULL);
    before = world->entry_count;
    load_of_three(&c);
    memset(rows, 0, sizeof rows);
    for (uint32_t i = before; i < world->entry_count; i++) {
        const struct entry_row *row = &world->entries[i];
        enum verdict existence = verdict_in(row, "existence");

        if (row->entry.kind == ENTRY_CHANGE && row->entry.type.length == strlen("enrolment"))
            rows[existence == VERDICT_HELD      ? PREVIEW_WAITS
                 : existence == VERDICT_APPLIED ? PREVIEW_CREATED
                                                : PREVIEW_MATCHED]++;
    }
    assert_int_equal(rows[PREVIEW_MATCHED], 1);
    assert_int_equal(rows[PREVIEW_CREATED], 1);
    assert_int_equal(rows[PREVIEW_WAITS], 1);
    world_free(&world);
}

/* A database that keeps its references whole could not delete the other way round. */
static void what_a_load_does_not_have_goes_before_what_it_refers_to(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_of(world, "a", "nik"), b = agent_of(world, "b", "nik");
    struct change rows[] = { resident(&a, "1", "1"), resident(&a, "2", "2"), enrolment(&a, "11", "1", NULL),
                             enrolment(&a, "12", "2", NULL) };
    struct report reports[] = { { .kind = REPORT_COMPLETE, .block = said("people") },
                                { .kind = REPORT_COMPLETE, .block = said("lines") } };
    struct message error = { .kind = MESSAGE_ERROR };
    const struct entry_row *last;

    (void)state;
    say_changes(&a, rows, 4);
    error.error.code = said("reload");
    error.error.text = said("it was truncated");
    say(&a, error);
    greet(&a);
    rows[0].operation = rows[2].operation = OPERATION_LOAD;
    rows[1] = rows[2];
    say_piece(&a, (struct piece){ .first = 1,
                                  .final = true,
                                  .nothing_seen = true,
                                  .changes = rows,
                                  .change_count = 2,
                                  .reports = reports,
                                  .report_count = 2 });
    say_load_end(&a);
    last = last_change(world);
    assert_int_equal(last->entry.operation, OPERATION_DELETE);
    assert_true(same_text(last->entry.type, said("resident")));
    assert_int_equal(last[-1].entry.operation, OPERATION_DELETE);
    assert_true(same_text(last[-1].entry.type, said("enrolment")));
    assert_int_equal(last_item(&b, last->entry.record)->operation, OPERATION_DELETE);
    assert_int_equal(row_of(&a)->state, STATE_ACTIVE);
    world_free(&world);
}

static void types_stand_in_the_order_of_references(void **state)
{
    struct world *world = world_new(catalog);

    (void)state;
    assert_string_equal(world->catalog->types[0].name, "resident");
    assert_string_equal(world->catalog->types[1].name, "enrolment");
    assert_int_equal(world->catalog->types[1].fields[E_PERSON].refers, 0);
    world_free(&world);
}

static void each_agency_is_told_by_its_own_key(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_of(world, "a", NULL), b = agent_of(world, "b", "nik"), c = agent_of(world, "c", NULL);

    (void)state;
    say_change(&a, resident(&a, "5", "6401"));
    say_change(&a, enrolment(&a, "70", "5", NULL));
    assert_canonical(world, 2, E_PERSON, "1");
    assert_string_equal(item_value(last_item(&b, 2), "person"), "people\x1f"
                                                                "6401");
    /* c has made a row of the resident, but its key is not known here yet: it has that itself. */
    assert_string_equal(item_value(last_item(&c, 2), "person"), "1");
    linked(&c, "people", 1, "900");
    say_change(&a, pointed(&a, "70", "5"));
    assert_string_equal(item_value(last_item(&c, 2), "guardian"), "people\x1f"
                                                                  "900");
    world_free(&world);
}

/* No agent of ours says so. The record is known in this batch, by what else the agency says. */
static void a_report_about_another_types_record_is_none(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_of(world, "a", NULL);
    struct report report = {
        .kind = REPORT_ALTERED, .record = 2, .position = 1, .block = said("people"), .text = said("cost")
    };
    struct change mine = pointed(&a, "70", "5");

    (void)state;
    say_change(&a, resident(&a, "5", "6401"));
    say_change(&a, enrolment(&a, "70", "5", NULL));
    apply(&a);
    report.position = a.base;
    a.lsn += 10;
    say_piece(&a, (struct piece){ .lsn = a.lsn,
                                  .final = true,
                                  .base = a.base,
                                  .reports = &report,
                                  .report_count = 1,
                                  .changes = &mine,
                                  .change_count = 1 });
    assert_canonical(world, 2, E_GUARDIAN, "1"); /* it was taken */
    assert_int_equal(world->altered_count, 0);
    world_free(&world);
}

static void one_transaction_may_have_both_in_any_order(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_of(world, "a", NULL), b = agent_of(world, "b", "nik");
    struct change both[2] = { enrolment(&a, "70", "5", "5"), resident(&a, "5", "6401") };

    (void)state;
    say_changes(&a, both, 2);
    assert_int_equal(world->record_count, 2);
    assert_canonical(world, 2, E_PERSON, "1");
    assert_canonical(world, 2, E_GUARDIAN, "1");
    assert_true(last_item(&b, 1)->position < last_item(&b, 2)->position);
    assert_string_equal(item_value(last_item(&b, 2), "person"), "people\x1f"
                                                                "6401");
    world_free(&world);
}

/* Who is enrolled is a part of what an enrolment is found by, and each agency says that by its own key. */
static void two_agencies_mean_one_enrolment(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_of(world, "a", NULL), b = agent_of(world, "b", "nik"), c = agent_of(world, "c", NULL);
    struct change both[2];

    (void)state;
    say_change(&a, resident(&a, "5", "6401"));
    say_change(&a, enrolment(&a, "70", "5", NULL));
    say_change(&b, resident(&b, "6401", "6401"));
    say_change(&b, enrolment(&b, "9", "6401", NULL));
    assert_int_equal(last_entry(world)->entry.record, 2);
    /* ... also when its row of the resident comes in the same transaction, and behind. */
    both[0] = enrolment(&c, "31", "4", NULL);
    both[1] = resident(&c, "4", "6401");
    say_changes(&c, both, 2);
    assert_int_equal(world->record_count, 2);
    assert_int_equal(last_entry(world)->entry.record, 2);
    world_free(&world);
}

/* b's row is outside of what its block holds, or was put back: the number that it is found by still says who is meant.
 */
static void a_key_that_is_an_identifier_needs_no_row(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_of(world, "a", NULL), b = agent_of(world, "b", "nik");

    (void)state;
    say_change(&a, resident(&a, "5", "6401"));
    say_change(&b, enrolment(&b, "9", "6401", NULL));
    assert_canonical(world, 2, E_PERSON, "1");
    world_free(&world);
}

/* An item of ours gives the resident another key at b; what b wrote before it had applied that means the old one. */
static void a_key_that_moves_is_read_as_of_the_base(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_of(world, "a", NULL), b = agent_of(world, "b", "nik");
    struct change corrected;

    (void)state;
    say_change(&a, resident(&a, "5", "6401"));
    apply(&b);
    corrected = change_new(&a, OPERATION_UPDATE, "people", "5");
    set_field(&corrected, "nik", "6409");
    seal(&a, &corrected);
    say_change(&a, corrected);
    say_change(&a, resident(&a, "6", "6401")); /* the number is another person's from now on: record 2 */
    say_change(&b, enrolment(&b, "9", "6401", NULL));
    assert_canonical(world, 3, E_PERSON, "1");
    apply(&b);
    say_change(&b, enrolment(&b, "10", "6401", NULL));
    assert_canonical(world, 4, E_PERSON, "2");
    world_free(&world);
}

static void an_enrolment_of_someone_unknown_waits_and_heals(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_of(world, "a", NULL), b = agent_of(world, "b", "nik");

    (void)state;
    say_change(&a, enrolment(&a, "70", "5", NULL));
    assert_int_equal(verdict_in(last_entry(world), "existence"), VERDICT_HELD);
    assert_int_equal(last_item(&b, 1)->position, 0);
    say_change(&a, resident(&a, "8", "6408")); /* somebody else */
    assert_int_equal(last_item(&b, 1)->position, 0);
    pass(world, 2000);
    say_change(&a, resident(&a, "5", "6401"));
    pass(world, 2000);
    assert_string_equal(item_value(last_item(&b, 1), "person"), "people\x1f"
                                                                "6401");
    assert_canonical(world, 1, E_PERSON, "3");
    world_free(&world);
}

/* What a record has already is not taken away because its agency now refers to someone unknown, nor is that put back.
 */
static void a_reference_to_someone_unknown_waits_alone(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_of(world, "a", NULL), b = agent_of(world, "b", "nik");
    struct change change;

    (void)state;
    say_change(&a, resident(&a, "5", "6401"));
    say_change(&a, enrolment(&a, "70", "5", "5"));
    change = pointed(&a, "70", "6");
    say_change(&a, change);
    assert_int_equal(verdict_in(last_entry(world), "guardian"), VERDICT_HELD);
    assert_canonical(world, 2, E_GUARDIAN, "1");
    assert_string_equal(item_value(last_item(&a, 2), "guardian"), "(absent)");
    say_change(&a, resident(&a, "6", "6402"));
    pass(world, 2000);
    assert_canonical(world, 2, E_GUARDIAN, "3");
    assert_string_equal(item_value(last_item(&b, 2), "guardian"), "people\x1f"
                                                                  "6402");
    world_free(&world);
}

/* b lacks the resident (its people have closed that item), so it parks the enrolment; then they add her themselves. */
static void what_is_parked_is_sent_again_once_its_resident_is_there(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_of(world, "a", NULL), c = agent_of(world, "c", NULL);
    struct report report = {
        .kind = REPORT_PARKED, .record = 2, .block = said("lines"), .text = said("resident 1 is not here")
    };

    (void)state;
    say_change(&a, resident(&a, "5", "6401"));
    say_change(&a, enrolment(&a, "70", "5", NULL));
    apply(&c);
    report.position = last_item(&c, 2)->position;
    c.lsn += 10;
    say_piece(&c, (struct piece){ .lsn = c.lsn, .final = true, .base = c.base, .reports = &report, .report_count = 1 });
    assert_string_equal(item_value(last_item(&c, 2), "person"), "1");
    say_change(&c, resident(&c, "33", "6401"));
    assert_int_equal(last_item(&c, 2)->operation, OPERATION_INSERT);
    assert_string_equal(item_value(last_item(&c, 2), "person"), "people\x1f"
                                                                "33");
    world_free(&world);
}

static void an_agency_says_references_by_its_own_keys_only(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_of(world, "a", NULL), b = agent_new(world, "b", NULL);
    struct change change = change_new(&a, OPERATION_INSERT, "lines", "70");

    (void)state;
    say_change(&a, resident(&a, "5", "6401"));
    set_field(&change, "person", "1");
    set_field(&change, "program", "PBI");
    set_field(&change, "cost", "1");
    set_field(&change, "guardian", NULL);
    seal(&a, &change);
    say_change(&a, change);
    assert_error(&a, "malformed");
    /* ... of a block that it has. */
    b.blocks[0] = block_of(world, "lines", "enrolment", NULL);
    say_hello(&b);
    assert_error(&b, "mapping");
    world_free(&world);
}

/* More than one batch decides it: what waited is looked at whichever part of it has brought the resident. */
static void who_comes_in_a_large_transaction_is_noticed(void **state)
{
    enum { PEOPLE = 85, LINES = 2100, COUNT = PEOPLE + LINES, TEXT_LENGTH = 100 * 1000, PIECE = 700 };
    struct world *world = world_new(catalog);
    struct agent a;

    (void)state;
    world_drop(world);
    world->options.stage_bytes = 64 << 20;
    world_start(world);
    a = agent_of(world, "a", NULL);
    say_change(&a, enrolment(&a, "70", "k0", NULL));
    assert_false(store_record(world, 1)->exists);
    a.lsn += 10;
    for (uint32_t i = 0, most; i < COUNT; i += most) {
        struct change some[PIECE];

        most = i < PEOPLE ? 1 : PIECE;
        for (uint32_t j = 0; j < most; j++) {
            const char *key = arena_printf(world->arena, "k%u", i + j);

            some[j] = change_new(&a, OPERATION_INSERT, i < PEOPLE ? "people" : "lines", key);
            set_field(&some[j], i < PEOPLE ? "nik" : "person", i < PEOPLE ? key : to(world, "nobody"));
            set_field(&some[j], i < PEOPLE ? "name" : "program", i < PEOPLE ? long_text(world, TEXT_LENGTH) : "PBI");
            seal(&a, &some[j]);
        }
        say_piece(&a, (struct piece){ .lsn = a.lsn,
                                      .first = i,
                                      .final = i + most == COUNT,
                                      .base = a.base,
                                      .changes = some,
                                      .change_count = most });
    }
    assert_true(world->part_count > 0);
    pass(world, 2000);
    assert_true(store_record(world, 1)->exists);
    world_free(&world);
}

static void say_of(struct world *world, enum broker_event_kind kind, uint64_t keep, uint64_t other, bool ok)
{
    struct broker_event event = { .kind = kind };

    event.name = "resident";
    event.record = keep;
    event.other = other;
    event.ground = "SK 2/2026";
    event.user = "rina";
    act(world, &event);
    assert_int_equal(world->answer_ok, ok);
}

/* Both are residents at a; b takes no new ones and has the one that goes. */
struct twins {
    struct world *world;
    struct agent a, b;
};

static struct twins twins_new(void)
{
    struct twins twins = { .world = world_new(catalog) };

    twins.a = agent_of(twins.world, "a", NULL);
    twins.b = agent_new(twins.world, "b", NULL);
    twins.b.blocks[0] = block_of(twins.world, "people", "resident", NULL);
    twins.b.blocks[0].insert = false;
    twins.b.blocks[1] = twins.a.blocks[1];
    twins.b.block_count = 2;
    greet(&twins.b);
    say_load_end(&twins.b);
    say_change(&twins.a, resident(&twins.a, "5", "6401"));
    say_change(&twins.b, resident(&twins.b, "50", "6402"));
    linked(&twins.a, "people", 2, "6");
    say_change(&twins.a, enrolment(&twins.a, "70", "6", NULL)); /* record 3 */
    linked(&twins.b, "lines", 3, "90");
    return twins;
}

/* A row that is about to be deleted must not take those that refer to it along. */
static void what_refers_to_a_record_that_goes_refers_to_the_other(void **state)
{
    struct twins twins = twins_new();
    struct world *world = twins.world;

    (void)state;
    assert_string_equal(item_value(last_item(&twins.b, 3), "person"), "people\x1f"
                                                                      "50");
    say_of(world, BROKER_EVENT_SAME, 1, 2, true);
    assert_canonical(world, 3, E_PERSON, "1");
    assert_string_equal(item_value(last_item(&twins.a, 3), "person"), "people\x1f"
                                                                      "5");
    assert_true(last_item(&twins.a, 3)->position < last_item(&twins.a, 2)->position);
    assert_int_equal(last_item(&twins.a, 2)->operation, OPERATION_DELETE);
    /* b's row is the other one's now, and what refers to it is sent as it is. */
    assert_string_equal(item_value(last_item(&twins.b, 3), "person"), "people\x1f"
                                                                      "50");
    assert_int_equal(last_item(&twins.b, 3)->operation, OPERATION_INSERT);
    /* Who names the enrolment by either means that one. */
    apply(&twins.a);
    say_change(&twins.a, enrolment(&twins.a, "71", "5", NULL));
    assert_int_equal(world->record_count, 4);
    assert_int_equal(verdict_in(last_entry(world), "existence"), VERDICT_HELD); /* the same one twice */
    world_free(&world);
}

static void said_to_be_different_it_is_referred_to_again(void **state)
{
    struct twins twins = twins_new();
    struct world *world = twins.world;

    (void)state;
    say_change(&twins.a, pointed(&twins.a, "70", "5"));
    say_of(world, BROKER_EVENT_SAME, 1, 2, true);
    world_drop(world);
    world_start(world);
    greet(&twins.a);
    greet(&twins.b);
    say_of(world, BROKER_EVENT_DIFFERENT, 2, 1, true);
    assert_canonical(world, 3, E_PERSON, "2");
    assert_canonical(world, 3, E_GUARDIAN, "1"); /* it always was */
    assert_string_equal(item_value(last_item(&twins.b, 3), "person"), "people\x1f"
                                                                      "50");
    world_free(&world);
}

static void two_that_would_be_found_by_the_same_are_settled_first(void **state)
{
    struct twins twins = twins_new();
    struct world *world = twins.world;

    (void)state;
    say_change(&twins.a, enrolment(&twins.a, "71", "5", NULL)); /* record 4 */
    say_of(world, BROKER_EVENT_SAME, 1, 2, false);
    assert_canonical(world, 3, E_PERSON, "2");
    assert_true(store_record(world, 2)->exists);
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_stand_in_the_order_of_references),
        cmocka_unit_test(what_a_load_does_not_have_goes_before_what_it_refers_to),
        cmocka_unit_test(each_agency_is_told_by_its_own_key),
        cmocka_unit_test(a_report_about_another_types_record_is_none),
        cmocka_unit_test(one_transaction_may_have_both_in_any_order),
        cmocka_unit_test(two_agencies_mean_one_enrolment),
        cmocka_unit_test(a_key_that_is_an_identifier_needs_no_row),
        cmocka_unit_test(a_key_that_moves_is_read_as_of_the_base),
        cmocka_unit_test(an_enrolment_of_someone_unknown_waits_and_heals),
        cmocka_unit_test(a_reference_to_someone_unknown_waits_alone),
        cmocka_unit_test(what_is_parked_is_sent_again_once_its_resident_is_there),
        cmocka_unit_test(an_agency_says_references_by_its_own_keys_only),
        cmocka_unit_test(a_preview_counts_what_refers_to_others_as_the_load_does),
        cmocka_unit_test(who_comes_in_a_large_transaction_is_noticed),
        cmocka_unit_test(what_refers_to_a_record_that_goes_refers_to_the_other),
        cmocka_unit_test(said_to_be_different_it_is_referred_to_again),
        cmocka_unit_test(two_that_would_be_found_by_the_same_are_settled_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
