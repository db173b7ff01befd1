/* The core of the broker: records that several fields find together, and agencies that have one type in several blocks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/agent_fixture.h"

static const char enrolments[] = "catalog\n"
                                 "    version = 1\n"
                                 "    agencies = \"a b\"\n"
                                 "record\n"
                                 "    enrolment\n"
                                 "        existence\n"
                                 "            write = \"a b\"\n"
                                 "        read\n"
                                 "            a = law\n"
                                 "            b = law\n"
                                 "        groups\n"
                                 "            line\n"
                                 "                identifier = yes\n"
                                 "                write = \"a b\"\n"
                                 "        fields\n"
                                 "            nik\n"
                                 "                type = text\n"
                                 "                group = line\n"
                                 "            program\n"
                                 "                type = text\n"
                                 "                group = line\n"
                                 "            year\n"
                                 "                type = integer\n"
                                 "                group = line\n"
                                 "            since\n"
                                 "                type = date\n"
                                 "                write = \"a b\"\n";
enum { E_NIK, E_PROGRAM, E_YEAR, E_SINCE };

/* A block whose key is the whole line; `program` not NULL: it is the same in all of its records. */
static struct block line_block(struct world *world, const char *name, const char *program)
{
    struct block block = block_of(world, name, "enrolment", "nik");

    block.key_fields[block.key_field_count++] = said("program");
    block.key_fields[block.key_field_count++] = said("year");
    if (program)
        block.constants[block.constant_count++] = (struct item_field){ said("program"), value_text(program) };
    return block;
}

static struct agent line_agent(struct world *world, const char *name)
{
    struct agent agent = agent_new(world, name, NULL);

    agent.blocks[0] = line_block(world, "people", NULL);
    greet(&agent);
    say_load_end(&agent);
    return agent;
}

/* An agency that has PKH and BPNT in two columns of one row. */
static struct agent column_agent(struct world *world, const char *name)
{
    struct agent agent = agent_new(world, name, NULL);

    agent.blocks[0] = line_block(world, "pkh", "PKH");
    agent.blocks[1] = line_block(world, "bpnt", "BPNT");
    agent.block_count = 2;
    greet(&agent);
    say_load_end(&agent);
    return agent;
}

static const char *line(const char *nik, const char *program, const char *year)
{
    static char text[4][64];
    static int turn;
    char *at = text[turn++ % 4];

    snprintf(at, sizeof text[0], "%s\x1f%s\x1f%s", nik, program, year);
    return at;
}

static void say_line(struct agent *agent, enum operation operation, const char *block, const char *nik,
                     const char *program, const char *year, const char *since)
{
    struct change change = change_new(agent, operation, block, line(nik, program, year));

    if (operation != OPERATION_UPDATE) {
        set_field(&change, "nik", nik);
        set_field(&change, "program", program);
        set_field(&change, "year", year);
    }
    if (since)
        set_field(&change, "since", since);
    seal(agent, &change);
    say_change(agent, change);
}

static void assert_item(const struct agent *agent, uint64_t record, const char *block, const char *key)
{
    const struct item *item = last_item(agent, record);

    assert_true(same_text(item->block, said(block)));
    assert_true(same_text(item->key, said(key)));
}

static void a_record_is_found_by_all_fields_of_its_identifier(void **state)
{
    struct world *world = world_new(enrolments);
    struct agent a = line_agent(world, "a"), b = line_agent(world, "b");

    (void)state;
    say_line(&a, OPERATION_INSERT, "people", "1", "PKH", "2026", "2026-01-01");
    say_line(&a, OPERATION_INSERT, "people", "1", "PKH", "2025", "2025-01-01");
    say_line(&a, OPERATION_INSERT, "people", "1", "BPNT", "2026", "2026-02-01");
    assert_int_equal(world->record_count, 3);
    /* b has the same line: it is the same record, though its row came by itself. */
    say_line(&b, OPERATION_INSERT, "people", "1", "PKH", "2026", "2026-03-01");
    assert_int_equal(world->record_count, 3);
    assert_int_equal(last_entry(world)->entry.record, 1);
    say_line(&a, OPERATION_UPDATE, "people", "1", "PKH", "2025", "2025-06-01");
    assert_int_equal(last_entry(world)->entry.record, 2);
    assert_canonical(world, 2, E_SINCE, "2025-06-01");
    /* A key that no link knows yet says it, too. */
    say_line(&b, OPERATION_UPDATE, "people", "1", "BPNT", "2026", "2026-09-01");
    assert_int_equal(last_entry(world)->entry.record, 3);
    world_free(&world);
}

static void an_identifier_that_lacks_a_part_finds_nothing(void **state)
{
    struct world *world = world_new(enrolments);
    struct agent a = agent_join(world, "a", NULL), b = agent_join(world, "b", NULL);

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "7", "nik", "1", "program", "PKH", "year", "", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "8", "nik", "1", "program", "PKH", "year", "", NULL));
    say_change(&b, change_of(&b, OPERATION_INSERT, "1", "nik", "1", "program", "PKH", "year", "", NULL));
    assert_int_equal(world->record_count, 3);
    /* Completed to what another record has it is held; completed otherwise it stands. */
    say_change(&a, change_of(&a, OPERATION_UPDATE, "7", "nik", "1", "program", "PKH", "year", "2026", NULL));
    assert_int_equal(verdict_in(last_entry(world), "year"), VERDICT_APPLIED);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "8", "nik", "1", "program", "PKH", "year", "2026", NULL));
    assert_int_equal(verdict_in(last_change(world), "year"), VERDICT_HELD);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "8", "nik", "1", "program", "PKH", "year", "2025", NULL));
    assert_int_equal(verdict_in(last_entry(world), "year"), VERDICT_APPLIED);
    world_free(&world);
}

static void each_record_goes_into_the_block_of_its_constant(void **state)
{
    struct world *world = world_new(enrolments);
    struct agent a = line_agent(world, "a"), b = column_agent(world, "b");

    (void)state;
    say_line(&a, OPERATION_INSERT, "people", "1", "PKH", "2026", "2026-01-01");
    say_line(&a, OPERATION_INSERT, "people", "1", "BPNT", "2026", "2026-01-01");
    say_line(&a, OPERATION_INSERT, "people", "1", "PBI", "2026", "2026-01-01");
    assert_item(&b, 1, "pkh", "");
    assert_item(&b, 2, "bpnt", "");
    assert_int_equal(last_item(&b, 3)->operation, OPERATION_NONE); /* no column of b is PBI */
    apply(&b);
    say_line(&a, OPERATION_UPDATE, "people", "1", "BPNT", "2026", "2026-05-01");
    assert_item(&b, 2, "bpnt", line("1", "BPNT", "2026"));
    say_line(&a, OPERATION_DELETE, "people", "1", "PKH", "2026", NULL);
    assert_item(&b, 1, "pkh", line("1", "PKH", "2026"));
    assert_int_equal(last_item(&b, 1)->operation, OPERATION_DELETE);
    world_free(&world);
}

static void rows_of_several_blocks_are_several_records(void **state)
{
    struct world *world = world_new(enrolments);
    struct agent b = column_agent(world, "b"), a;

    (void)state;
    say_line(&b, OPERATION_INSERT, "pkh", "1", "PKH", "2026", "2026-01-01");
    say_line(&b, OPERATION_INSERT, "bpnt", "1", "BPNT", "2026", "2026-01-01");
    say_line(&b, OPERATION_DELETE, "pkh", "1", "PKH", "2026", NULL);
    assert_int_equal(world->record_count, 2);
    assert_int_equal(last_entry(world)->entry.record, 1);
    assert_true(store_record(world, 2)->exists);
    /* Who joins later is filled up with what there is, and where there are two blocks each gets its own. */
    a = line_agent(world, "a");
    assert_int_equal(last_item(&a, 1)->operation, OPERATION_NONE);
    assert_int_equal(last_item(&a, 2)->operation, OPERATION_INSERT);
    world_free(&world);
}

static void two_blocks_fill_up_each_with_its_own(void **state)
{
    struct world *world = world_new(enrolments);
    struct agent a = line_agent(world, "a"), b;

    (void)state;
    say_line(&a, OPERATION_INSERT, "people", "1", "BPNT", "2026", NULL);
    say_line(&a, OPERATION_INSERT, "people", "1", "PKH", "2026", NULL);
    say_line(&a, OPERATION_INSERT, "people", "1", "PBI", "2026", NULL);
    b = column_agent(world, "b");
    assert_item(&b, 1, "bpnt", "");
    assert_item(&b, 2, "pkh", "");
    assert_int_equal(last_item(&b, 3)->operation, OPERATION_NONE);
    assert_int_equal(row_of(&b)->state, STATE_ACTIVE);
    world_free(&world);
}

static void a_record_that_another_block_has_is_not_taken_twice(void **state)
{
    struct world *world = world_new(enrolments);
    struct agent b = agent_new(world, "b", NULL);

    (void)state;
    b.blocks[0] = line_block(world, "now", NULL);
    b.blocks[1] = line_block(world, "archive", NULL);
    b.blocks[1].insert = false;
    b.block_count = 2;
    greet(&b);
    say_load_end(&b);
    say_line(&b, OPERATION_INSERT, "now", "1", "PKH", "2026", NULL);
    say_line(&b, OPERATION_INSERT, "archive", "1", "PKH", "2026", NULL);
    assert_int_equal(verdict_in(last_entry(world), "existence"), VERDICT_HELD);
    say_line(&b, OPERATION_UPDATE, "now", "1", "PKH", "2026", "2026-07-01");
    assert_canonical(world, 1, E_SINCE, "2026-07-01");
    world_free(&world);
}

static void blocks_that_no_constant_tells_apart_are_refused(void **state)
{
    struct world *world = world_new(enrolments);
    struct agent b = agent_new(world, "b", NULL);

    (void)state;
    b.blocks[0] = line_block(world, "now", NULL);
    b.blocks[1] = line_block(world, "archive", "PKH");
    b.block_count = 2;
    say_hello(&b);
    assert_error(&b, "mapping");
    world_free(&world);
}

static void a_key_with_a_part_of_an_identifier_is_refused(void **state)
{
    struct world *world = world_new(enrolments);
    struct agent b = agent_new(world, "b", "nik");

    (void)state;
    say_hello(&b);
    assert_error(&b, "mapping");
    /* What is the same in all records need not stand in the key. */
    b.blocks[0].constants[b.blocks[0].constant_count++] = (struct item_field){ said("program"), value_text("PKH") };
    b.blocks[0].constants[b.blocks[0].constant_count++] = (struct item_field){ said("year"), value_text("2026") };
    greet(&b);
    say_load_end(&b);
    say_change(&b, change_of(&b, OPERATION_INSERT, "1", "nik", "1", "program", "PKH", "year", "2026", NULL));
    assert_int_equal(world->record_count, 1);
    world_free(&world);
}

/* ---- identifiers that pass from one record to another within one transaction ---- */

/* An update of a row with a generated key: its new number, "" for none. */
static struct change renumbered(struct agent *agent, const char *key, const char *nik)
{
    return change_of(agent, OPERATION_UPDATE, key, "nik", nik, NULL);
}

/* Persons 1 to `count` with the numbers 11, 12, ... and at `agent` the keys 1, 2, ... */
static void say_persons(struct agent *agent, int count)
{
    for (int i = 1; i <= count; i++)
        say_change(agent, change_of(agent, OPERATION_INSERT, arena_printf(agent->world->arena, "%d", i), "nik",
                                    arena_printf(agent->world->arena, "%d", 10 + i), NULL));
}

static enum verdict nik_verdict(const struct world *world, uint32_t back)
{
    return verdict_in(&world->entries[world->entry_count - 1 - back], "nik");
}

/* The same of the newest change of this record: a hold's own entry may stand behind it. */
static enum verdict verdict_of(const struct world *world, uint64_t record)
{
    for (uint32_t i = world->entry_count; i > 0; i--)
        if (world->entries[i - 1].entry.kind == ENTRY_CHANGE && world->entries[i - 1].entry.record == record)
            return verdict_in(&world->entries[i - 1], "nik");
    return VERDICT_NONE;
}

static void two_numbers_are_exchanged(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", NULL), b = agent_join(world, "b", "nik");
    struct change swap[2];

    (void)state;
    say_persons(&a, 2);
    apply(&b);
    swap[0] = renumbered(&a, "1", "12");
    swap[1] = renumbered(&a, "2", "11");
    say_changes(&a, swap, 2);
    assert_canonical(world, 1, NIK, "12");
    assert_canonical(world, 2, NIK, "11");
    /* A reader whose keys they are finds each by the key that it has. */
    assert_true(same_text(last_item(&b, 1)->key, said("11")));
    assert_true(same_text(last_item(&b, 2)->key, said("12")));
    apply(&b);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "11", "name", "Budi", NULL));
    assert_canonical(world, 2, NAME, "Budi");
    world_free(&world);
}

static void numbers_go_round_and_along(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", NULL);
    struct change changes[4];

    (void)state;
    say_persons(&a, 4);
    changes[0] = renumbered(&a, "1", "12"); /* round: 1, 2, 3 */
    changes[1] = renumbered(&a, "2", "13");
    changes[2] = renumbered(&a, "3", "11");
    say_changes(&a, changes, 3);
    assert_canonical(world, 1, NIK, "12");
    assert_canonical(world, 2, NIK, "13");
    assert_canonical(world, 3, NIK, "11");
    changes[0] = renumbered(&a, "1", "13"); /* along: the last one takes a free number, another goes without */
    changes[1] = renumbered(&a, "2", "14");
    changes[2] = renumbered(&a, "4", "99");
    changes[3] = change_of(&a, OPERATION_INSERT, "5", "nik", "12", NULL);
    say_changes(&a, changes, 4);
    assert_canonical(world, 1, NIK, "13");
    assert_canonical(world, 2, NIK, "14");
    assert_canonical(world, 4, NIK, "99");
    assert_canonical(world, 5, NIK, "12");
    world_free(&world);
}

static void an_exchange_has_one_verdict(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", NULL);
    struct change changes[3];

    (void)state;
    say_persons(&a, 4);
    changes[0] = renumbered(&a, "1", "12");
    changes[1] = renumbered(&a, "2", "13");
    changes[2] = renumbered(&a, "3", "x"); /* no number: 3 keeps what 2 wants, and 2 what 1 wants */
    say_changes(&a, changes, 3);
    assert_int_equal(nik_verdict(world, 0), VERDICT_PUT_BACK);
    assert_int_equal(verdict_of(world, 1), VERDICT_HELD);
    assert_int_equal(verdict_of(world, 2), VERDICT_HELD);
    changes[2] = renumbered(&a, "3", "14"); /* somebody has that, who is not in this transaction */
    say_changes(&a, changes, 3);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(verdict_of(world, i), VERDICT_HELD);
    for (uint64_t i = 1; i <= 4; i++)
        assert_canonical(world, i, NIK, arena_printf(world->arena, "%d", (int)(10 + i)));
    changes[0] = renumbered(&a, "1", "13"); /* two want one: one gets it */
    changes[1] = renumbered(&a, "2", "13");
    changes[2] = renumbered(&a, "3", "11");
    say_changes(&a, changes, 3);
    assert_int_equal((verdict_of(world, 1) == VERDICT_APPLIED) + (verdict_of(world, 2) == VERDICT_APPLIED), 1);
    assert_int_equal((verdict_of(world, 1) == VERDICT_HELD) + (verdict_of(world, 2) == VERDICT_HELD), 1);
    world_free(&world);
}

static void a_number_that_is_given_up_may_be_an_inserted_ones(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", NULL);
    struct change changes[2];

    (void)state;
    say_persons(&a, 1);
    changes[0] = change_of(&a, OPERATION_INSERT, "2", "nik", "11", NULL); /* stands before what frees it */
    changes[1] = renumbered(&a, "1", "77");
    say_changes(&a, changes, 2);
    assert_int_equal(world->record_count, 2);
    assert_canonical(world, 1, NIK, "77");
    assert_canonical(world, 2, NIK, "11");
    world_free(&world);
}

/* An apply adds a row, and a cascade of the same transaction takes it away: it is told as a deletion behind the report.
 */
static void a_row_that_is_made_and_deleted_in_one_transaction_is_deleted(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", NULL);
    struct report report = { .kind = REPORT_LINKED, .record = 1, .block = said("people"), .text = said("41") };
    struct change change;

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "Siti", NULL));
    apply(&b);
    report.position = b.base;
    change = change_of(&b, OPERATION_DELETE, "41", NULL);
    b.lsn += 10;
    say_piece(&b, (struct piece){ .lsn = b.lsn, .base = b.base, .reports = &report, .report_count = 1 });
    say_piece(&b, (struct piece){
                      .lsn = b.lsn, .first = 0, .final = true, .base = b.base, .changes = &change, .change_count = 1 });
    assert_false(store_record(world, 1)->exists);
    assert_int_equal(last_item(&a, 1)->operation, OPERATION_DELETE);
    world_free(&world);
}

/* A deletion that its agency has kept back, of a row whose key the database then made for another record: it travels on
 * the base before that apply, and in its transaction. */
static void a_deletion_from_before_the_apply_is_of_the_row_that_was_there(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent other = agent_join(world, "b", "nik"), made = agent_join(world, "a", NULL);
    struct report report = { .kind = REPORT_LINKED, .record = 1, .block = said("people"), .text = said("41") };
    struct change change;
    feed_position before;

    (void)state;
    say_change(&other, change_of(&other, OPERATION_INSERT, "1", "nik", "1", "name", "Siti", NULL));
    apply(&made);
    report.position = made.base;
    made.lsn += 10;
    say_piece(&made, (struct piece){
                         .lsn = made.lsn, .final = true, .base = made.base, .reports = &report, .report_count = 1 });
    say_change(&other, change_of(&other, OPERATION_INSERT, "2", "nik", "2", "name", "Budi", NULL));
    before = made.base;
    apply(&made);
    report.record = 2;
    report.position = made.base;
    change = change_of(&made, OPERATION_DELETE, "41", NULL);
    made.lsn += 10;
    say_piece(&made, (struct piece){ .lsn = made.lsn, .base = before, .changes = &change, .change_count = 1 });
    say_piece(&made,
              (struct piece){ .lsn = made.lsn, .first = 1, .base = made.base, .reports = &report, .report_count = 1 });
    say_piece(&made, (struct piece){ .lsn = made.lsn, .first = 1, .final = true, .base = made.base });
    assert_false(store_record(world, 1)->exists);
    assert_true(store_record(world, 2)->exists);
    assert_int_equal(last_item(&other, 1)->operation, OPERATION_DELETE);
    change = change_of(&made, OPERATION_UPDATE, "41", "name", "Budi A", NULL);
    say_change(&made, change);
    assert_canonical(world, 2, 1, "Budi A");
    world_free(&world);
}

static void a_number_of_a_deleted_record_is_free_for_another(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", NULL), b = agent_join(world, "b", "nik");
    struct change changes[2];

    (void)state;
    say_persons(&a, 3);
    apply(&b);
    say_change(&a, change_of(&a, OPERATION_DELETE, "2", NULL));
    say_change(&a, renumbered(&a, "1", "12")); /* the two were one person */
    assert_int_equal(nik_verdict(world, 0), VERDICT_APPLIED);
    assert_canonical(world, 1, NIK, "12");
    assert_canonical(world, 2, NIK, "(null)");
    assert_false(store_record(world, 2)->exists);
    /* Who adds that number means who has it now; the one it had been revived no more. */
    apply(&b);
    say_change(&b, change_of(&b, OPERATION_INSERT, "12", "nik", "12", "name", "Siti", NULL));
    assert_int_equal(last_entry(world)->entry.record, 1);
    /* The same in one transaction; and who merely adds a deleted one's number revives it, as ever. */
    changes[0] = change_of(&a, OPERATION_DELETE, "3", NULL);
    changes[1] = renumbered(&a, "1", "13");
    say_changes(&a, changes, 2);
    assert_canonical(world, 1, NIK, "13");
    say_change(&a, change_of(&a, OPERATION_DELETE, "1", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "9", "nik", "13", NULL));
    assert_int_equal(last_entry(world)->entry.record, 1);
    assert_true(store_record(world, 1)->exists);
    world_free(&world);
}

/* The fixture's catalog with a line behind another. */
static const char *limited_catalog(const char *behind, const char *limit)
{
    static char text[sizeof fixture_catalog + 128];
    const char *at = strstr(fixture_catalog, behind);
    size_t length = (size_t)(at - fixture_catalog) + strlen(behind);

    snprintf(text, sizeof text, "%.*s%s%s", (int)length, fixture_catalog, limit, fixture_catalog + length);
    return text;
}

static void what_is_held_gives_nothing_up(void **state)
{
    struct world *world = world_new(
        limited_catalog("                pattern = \"[0-9]+\"\n", "                limit = \"11 to 12 1 1 h\"\n"));
    struct agent a = agent_join(world, "a", NULL);
    struct change changes[2];

    (void)state;
    say_persons(&a, 2);
    changes[0] = renumbered(&a, "1", "12");
    changes[1] = renumbered(&a, "2", "11");
    say_changes(&a, changes, 2);
    assert_canonical(world, 1, NIK, "12");
    changes[0] = renumbered(&a, "1", "11"); /* who has it is not let go of it: it is once more than may be */
    changes[1] = renumbered(&a, "2", "12");
    say_changes(&a, changes, 2);
    assert_canonical(world, 1, NIK, "12");
    assert_canonical(world, 2, NIK, "11");
    world_free(&world);
}

static void the_number_of_a_held_insertion_is_not_free(void **state)
{
    struct world *world =
        world_new(limited_catalog("            write = \"a b\"\n", "            limit = \"insertions 2 1 h\"\n"));
    struct agent a = agent_join(world, "a", NULL);

    (void)state;
    say_persons(&a, 2);
    say_change(&a, change_of(&a, OPERATION_INSERT, "3", "nik", "50", NULL));
    assert_int_equal(verdict_in(last_entry(world), "existence"), VERDICT_HELD);
    say_change(&a, renumbered(&a, "1", "50"));
    assert_int_equal(verdict_of(world, 1), VERDICT_HELD);
    assert_canonical(world, 1, NIK, "11");
    world_free(&world);
}

/* ---- random exchanges at two agencies ---- */

enum { PERSONS = 5, ROUNDS = 14, HISTORIES = 150 };

/* The rows of one agency: number by key, which is the record's number in the first, 100 more in the second. */
struct rows {
    struct agent agent;
    int offset, frame;
    char nik[PERSONS + 1][512];
};

static unsigned dice(uint64_t *random, unsigned sides)
{
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    return (unsigned)((*random * UINT64_C(2685821657736338717)) >> 33) % sides;
}

static void rows_apply(struct rows *rows)
{
    struct world *world = rows->agent.world;

    for (; rows->frame < world->frame_count; rows->frame++) {
        const struct message *message = &world->frames[rows->frame].message;

        if (message->kind != MESSAGE_FEED || !goes_to(&world->frames[rows->frame], &rows->agent))
            continue;
        for (uint32_t i = 0; i < message->feed.item_count; i++) {
            const struct item *item = &message->feed.items[i];

            if (strcmp(item_value(item, "nik"), "(absent)") != 0)
                snprintf(rows->nik[item->record], sizeof rows->nik[0], "%s", item_value(item, "nik"));
        }
    }
    apply(&rows->agent);
}

/* Some of its people's numbers change places, and some get new ones, in one transaction. */
static void rows_shuffle(struct rows *rows, uint64_t *random)
{
    struct change changes[PERSONS];
    char old[PERSONS + 1][512];
    uint32_t count = 0;
    int shift = 1 + (int)dice(random, PERSONS - 1);
    bool fresh = dice(random, 3) == 0;

    memcpy(old, rows->nik, sizeof old);
    for (int i = 1; i <= PERSONS; i++) {
        const char *nik = old[1 + (i - 1 + shift) % PERSONS];

        if (fresh && i == 1)
            nik = arena_printf(rows->agent.world->arena, "%u", 100 + dice(random, 8));
        if (strcmp(nik, old[i]) == 0)
            continue;
        snprintf(rows->nik[i], sizeof rows->nik[0], "%s", nik);
        changes[count++] =
            renumbered(&rows->agent, arena_printf(rows->agent.world->arena, "%d", rows->offset + i), nik);
    }
    if (count > 0)
        say_changes(&rows->agent, changes, count);
}

/* Whatever is still held is put back. */
static void reject_all(struct world *world)
{
    for (uint32_t i = 0; i < world->hold_count; i++) {
        struct broker_event event = { .kind = BROKER_EVENT_REJECT };

        if (world->holds[i].closed)
            continue;
        event.record = world->holds[i].number;
        event.what = "";
        event.ground = "SK 1/2026";
        event.user = "rina";
        act(world, &event);
        assert_true(world->answer_ok);
    }
}

static void assert_unique(const struct world *world)
{
    for (uint64_t i = 1; i <= PERSONS; i++) {
        char nik[512];

        snprintf(nik, sizeof nik, "%s", canonical_value(world, i, NIK));
        for (uint64_t j = 1; j < i; j++)
            assert_string_not_equal(nik, canonical_value(world, j, NIK));
    }
}

/* No two records ever have one number, and when traffic stops every agency has each record's. */
static void random_exchanges_converge(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
        struct world *world = world_new(fixture_catalog);
        struct rows rows[2] = { { .agent = agent_join(world, "a", NULL) },
                                { .agent = agent_join(world, "b", NULL), .offset = 100 } };

        say_persons(&rows[0].agent, PERSONS);
        rows_apply(&rows[1]);
        for (int i = 1; i <= PERSONS; i++) {
            say_report(&rows[1].agent, REPORT_LINKED, (uint64_t)i, rows[1].agent.applied,
                       arena_printf(world->arena, "%d", 100 + i));
            snprintf(rows[0].nik[i], sizeof rows[0].nik[0], "%d", 10 + i);
        }
        for (int round = 0; round < ROUNDS; round++) {
            unsigned what = dice(&random, 4);

            if (what < 2)
                rows_shuffle(&rows[what], &random);
            else
                rows_apply(&rows[what - 2]);
            assert_unique(world);
        }
        rows_apply(&rows[0]);
        rows_apply(&rows[1]);
        reject_all(world);
        rows_apply(&rows[0]);
        rows_apply(&rows[1]);
        for (int i = 1; i <= PERSONS; i++)
            for (int r = 0; r < 2; r++)
                if (strcmp(rows[r].nik[i], canonical_value(world, (uint64_t)i, NIK)) != 0)
                    fail_msg("seed %d: person %d at %c", (int)seed, i, 'a' + r);
        world_free(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_found_by_all_fields_of_its_identifier),
        cmocka_unit_test(an_identifier_that_lacks_a_part_finds_nothing),
        cmocka_unit_test(each_record_goes_into_the_block_of_its_constant),
        cmocka_unit_test(rows_of_several_blocks_are_several_records),
        cmocka_unit_test(two_blocks_fill_up_each_with_its_own),
        cmocka_unit_test(a_record_that_another_block_has_is_not_taken_twice),
        cmocka_unit_test(blocks_that_no_constant_tells_apart_are_refused),
        cmocka_unit_test(a_key_with_a_part_of_an_identifier_is_refused),
        cmocka_unit_test(two_numbers_are_exchanged),
        cmocka_unit_test(numbers_go_round_and_along),
        cmocka_unit_test(an_exchange_has_one_verdict),
        cmocka_unit_test(a_number_that_is_given_up_may_be_an_inserted_ones),
        cmocka_unit_test(a_row_that_is_made_and_deleted_in_one_transaction_is_deleted),
        cmocka_unit_test(a_deletion_from_before_the_apply_is_of_the_row_that_was_there),
        cmocka_unit_test(a_number_of_a_deleted_record_is_free_for_another),
        cmocka_unit_test(what_is_held_gives_nothing_up),
        cmocka_unit_test(the_number_of_a_held_insertion_is_not_free),
        cmocka_unit_test(random_exchanges_converge),
    };

    return cmocka_run_group_tests_name("broker_identity", tests, NULL, NULL);
}
