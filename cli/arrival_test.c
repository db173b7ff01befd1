#include "cli/arrival.h"

#include "proto/tree_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define EPOCH (UINT64_C(1) << 48)
#define AT(sequence) (EPOCH + (sequence))

/* dinsos writes `eligible`, dinkes `covered`; both read both; only dinkes reads `payer`. */
static const char catalog_text[] = "catalog\n"
                                   "    version = 1\n"
                                   "    agencies = \"dinsos dinkes\"\n"
                                   "record\n"
                                   "    resident\n"
                                   "        existence\n"
                                   "            write = \"dinsos dinkes\"\n"
                                   "            otherwise = put-back\n"
                                   "            conflict = owner\n"
                                   "        read\n"
                                   "            dinsos = \"law\"\n"
                                   "            dinkes = \"agreement\"\n"
                                   "        fields\n"
                                   "            nik\n"
                                   "                type = text\n"
                                   "                identifier = yes\n"
                                   "                write = \"dinsos dinkes\"\n"
                                   "                conflict = owner\n"
                                   "            eligible\n"
                                   "                type = boolean\n"
                                   "                write = dinsos\n"
                                   "                otherwise = put-back\n"
                                   "            covered\n"
                                   "                type = boolean\n"
                                   "                write = dinkes\n"
                                   "                otherwise = put-back\n";

struct world {
    struct arena *arena;
    struct arrival_facts facts;
    struct last_write writes[4];
    struct agency_row agencies[2];
    struct reply_row replies[2];
    struct debt_row debts[1];
    struct altered_row altered[1];
    struct held_row helds[1];
};

/* What an agency's hello declared: one block of residents with these fields. */
static struct text blocks(struct arena *arena, const char *first, const char *second)
{
    struct text fields[] = { { first, (uint32_t)strlen(first) }, { second, (uint32_t)strlen(second) } };
    struct block block = { .name = { "people", 6 }, .type = { "resident", 8 }, .fields = fields, .field_count = 2 };
    struct buffer buffer = { 0 };
    struct text packed;

    block.key_fields[0] = fields[0];
    block.key_field_count = 1;
    blocks_pack(&block, 1, &buffer);
    packed = (struct text){ arena_copy(arena, buffer.bytes, buffer.length), (uint32_t)buffer.length };
    buffer_free(&buffer);
    return packed;
}

/* dinsos wrote `eligible` at 20. It was loaded before 5, dinkes before 10; both have applied up to 30. */
static int start(void **state)
{
    static struct world world;
    struct error err;

    memset(&world, 0, sizeof world);
    world.arena = arena_new();
    world.facts = (struct arrival_facts){ .writes = world.writes,
                                          .write_count = 1,
                                          .agencies = world.agencies,
                                          .agency_count = 2,
                                          .replies = world.replies,
                                          .debts = world.debts,
                                          .altered = world.altered,
                                          .helds = world.helds };
    if (catalog_build(world.arena, tree_fixture(world.arena, catalog_text), catalog_text, sizeof catalog_text - 1,
                      &world.facts.catalog, &err) < 0)
        fail_msg("%s", err.text);
    world.facts.type = &world.facts.catalog->types[0];
    world.writes[0] = (struct last_write){ .field = "eligible", .position = AT(20), .agency = "dinsos" };
    world.agencies[0] =
        (struct agency_row){ .name = "dinkes", .mode = "full", .state = "active", .applied = AT(30), .load = AT(10) };
    world.agencies[1] =
        (struct agency_row){ .name = "dinsos", .mode = "full", .state = "active", .applied = AT(30), .load = AT(5) };
    *state = &world;
    return 0;
}

static int end(void **state)
{
    struct world *world = *state;

    arena_free(&world->arena);
    return 0;
}

/* The one row of `agency`. */
static struct arrival only(struct world *world, const char *agency)
{
    struct arrival *rows;
    struct arrival found = { 0 };
    struct error err;
    int count;
    int matches = 0;

    if (arrival_find(world->arena, &world->facts, &rows, &count, &err) < 0)
        fail_msg("%s", err.text);
    for (int i = 0; i < count; i++)
        if (!strcmp(rows[i].agency, agency)) {
            found = rows[i];
            matches++;
        }
    assert_int_equal(matches, 1);
    return found;
}

static struct text reply(struct arena *arena, enum operation operation, const char *field)
{
    struct item_field item = { { field, (uint32_t)strlen(field) }, value_text("true") };
    struct buffer buffer = { 0 };
    struct text packed;

    effect_pack(operation, &item, 1, &(struct reason){ 0 }, &buffer);
    packed = (struct text){ arena_copy(arena, buffer.bytes, buffer.length), (uint32_t)buffer.length };
    buffer_free(&buffer);
    return packed;
}

static void a_write_has_arrived_when_its_reader_applied_that_far(void **state)
{
    struct world *world = *state;

    assert_int_equal(only(world, "dinkes").state, ARRIVAL_APPLIED);
    assert_int_equal(only(world, "dinkes").position, AT(20));
    world->agencies[0].applied = AT(20);
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_APPLIED);
    world->agencies[0].applied = AT(19);
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_WAITING);
}

static void its_writer_has_it_already(void **state)
{
    struct world *world = *state;

    world->agencies[1].applied = 0;
    assert_int_equal(only(world, "dinsos").state, ARRIVAL_WROTE);
}

static void a_writer_that_is_sent_an_echo_waits_for_it(void **state)
{
    struct world *world = *state;

    world->replies[0] = (struct reply_row){ "dinsos", AT(20), reply(world->arena, OPERATION_UPDATE, "eligible") };
    world->facts.reply_count = 1;
    world->agencies[1].applied = AT(19);
    assert_int_equal(only(world, "dinsos").state, ARRIVAL_WAITING);
    assert_int_equal(only(world, "dinsos").position, AT(20));
    world->agencies[1].applied = AT(20);
    assert_int_equal(only(world, "dinsos").state, ARRIVAL_WROTE);
}

static void what_stood_there_at_the_first_load_needs_no_sending(void **state)
{
    struct world *world = *state;

    world->writes[0].position = AT(9);
    world->agencies[0].applied = 0;
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_LOADED);
}

static void a_correction_counts_only_for_the_fields_it_holds(void **state)
{
    struct world *world = *state;

    world->writes[0].position = AT(9);
    world->replies[0] = (struct reply_row){ "dinkes", AT(40), reply(world->arena, OPERATION_UPDATE, "covered") };
    world->facts.reply_count = 1;
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_LOADED);
    world->replies[0].reply = reply(world->arena, OPERATION_UPDATE, "eligible");
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_WAITING);
    world->replies[0].reply = reply(world->arena, OPERATION_INSERT, "covered");
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_WAITING);
}

static void a_parked_record_has_not_arrived_from_its_item_on(void **state)
{
    struct world *world = *state;

    world->debts[0] = (struct debt_row){ .agency = "dinkes", .kind = "parked", .position = AT(20), .reason = "no" };
    world->facts.debt_count = 1;
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_PARKED);
    assert_ptr_equal(only(world, "dinkes").debt, &world->debts[0]);
    assert_int_equal(only(world, "dinsos").state, ARRIVAL_WROTE);
    world->debts[0].position = AT(21);
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_APPLIED);
    world->debts[0].position = AT(20);
    world->debts[0].kind = "skipped";
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_SKIPPED);
}

static void what_a_trigger_altered_there_has_arrived_and_is_another_value(void **state)
{
    struct world *world = *state;

    world->altered[0] = (struct altered_row){ "dinkes", "covered", 77 };
    world->facts.altered_count = 1;
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_APPLIED);
    world->altered[0].field = "eligible";
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_ALTERED);
    assert_int_equal(only(world, "dinkes").since_us, 77);
    assert_int_equal(only(world, "dinkes").position, AT(20));
    assert_int_equal(only(world, "dinsos").state, ARRIVAL_WROTE);
    world->agencies[0].applied = AT(19); /* a newer item is on its way: it says what will be there */
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_WAITING);
}

static void who_has_a_change_of_it_held_does_not_have_it(void **state)
{
    struct world *world = *state;

    world->helds[0] = (struct held_row){ "dinkes", "covered", 3, AT(15) };
    world->facts.held_count = 1;
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_APPLIED);
    world->helds[0].unit = "eligible";
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_HELD);
    assert_int_equal(only(world, "dinkes").held->hold, 3);
    assert_int_equal(only(world, "dinkes").position, AT(15));
    world->helds[0].unit = "existence"; /* its row was deleted or inserted: nothing of the record goes there */
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_HELD);
    assert_int_equal(only(world, "dinsos").state, ARRIVAL_WROTE);
}

static void what_waits_does_so_since_it_was_written(void **state)
{
    struct world *world = *state;

    world->writes[0].time_us = 99;
    world->agencies[0].applied = AT(19);
    assert_int_equal(only(world, "dinkes").since_us, 99);
    world->agencies[0].applied = AT(20);
    assert_int_equal(only(world, "dinkes").since_us, 0);
}

static void an_agency_that_cannot_get_it_is_said_to(void **state)
{
    struct world *world = *state;

    world->agencies[0].mode = "observe";
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_NOT_FED);
    world->agencies[0].blocks = blocks(world->arena, "nik", "covered");
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_NOT_MAPPED);
    world->agencies[0].state = "revoked";
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_REVOKED);
    world->agencies[0].name = "someone";
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_NOT_ENROLLED);
}

static void an_agency_that_maps_the_field_gets_it(void **state)
{
    struct world *world = *state;

    world->agencies[0].blocks = blocks(world->arena, "nik", "eligible");
    assert_int_equal(only(world, "dinkes").state, ARRIVAL_APPLIED);
}

static void fields_that_share_their_fate_share_a_row(void **state)
{
    struct world *world = *state;
    struct arrival *rows;
    struct error err;
    int count;

    world->writes[1] = (struct last_write){ .field = "nik", .position = AT(20), .agency = "dinsos" };
    world->writes[2] = (struct last_write){ .field = "existence", .position = AT(20), .agency = "dinsos" };
    world->writes[3] = (struct last_write){ .field = "covered", .position = AT(35), .agency = "dinsos" };
    world->facts.write_count = 4;
    assert_int_equal(arrival_find(world->arena, &world->facts, &rows, &count, &err), 0);
    assert_int_equal(count, 3); /* dinsos all, dinkes applied and waiting */
    assert_int_equal(rows[0].field_count, 4);
    assert_int_equal(rows[1].field_count, 3);
    assert_string_equal(rows[1].fields[0], "existence");
    assert_string_equal(rows[1].fields[1], "nik");
    assert_string_equal(rows[1].fields[2], "eligible");
    assert_int_equal(rows[2].state, ARRIVAL_WAITING);
    assert_string_equal(rows[2].fields[0], "covered");
}

static void what_was_sent_at_different_times_has_rows_of_its_own(void **state)
{
    struct world *world = *state;
    struct arrival *rows;
    struct error err;
    int count;

    world->writes[1] = (struct last_write){ .field = "nik", .position = AT(21), .agency = "dinsos" };
    world->facts.write_count = 2;
    assert_int_equal(arrival_find(world->arena, &world->facts, &rows, &count, &err), 0);
    assert_int_equal(count, 3);
    assert_int_equal(rows[1].position, AT(21));
    assert_int_equal(rows[2].position, AT(20));
    assert_int_equal(rows[1].state, ARRIVAL_APPLIED);
    assert_int_equal(rows[2].state, ARRIVAL_APPLIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_write_has_arrived_when_its_reader_applied_that_far, start, end),
        cmocka_unit_test_setup_teardown(its_writer_has_it_already, start, end),
        cmocka_unit_test_setup_teardown(a_writer_that_is_sent_an_echo_waits_for_it, start, end),
        cmocka_unit_test_setup_teardown(what_stood_there_at_the_first_load_needs_no_sending, start, end),
        cmocka_unit_test_setup_teardown(a_correction_counts_only_for_the_fields_it_holds, start, end),
        cmocka_unit_test_setup_teardown(a_parked_record_has_not_arrived_from_its_item_on, start, end),
        cmocka_unit_test_setup_teardown(what_a_trigger_altered_there_has_arrived_and_is_another_value, start, end),
        cmocka_unit_test_setup_teardown(who_has_a_change_of_it_held_does_not_have_it, start, end),
        cmocka_unit_test_setup_teardown(what_waits_does_so_since_it_was_written, start, end),
        cmocka_unit_test_setup_teardown(an_agency_that_cannot_get_it_is_said_to, start, end),
        cmocka_unit_test_setup_teardown(an_agency_that_maps_the_field_gets_it, start, end),
        cmocka_unit_test_setup_teardown(fields_that_share_their_fate_share_a_row, start, end),
        cmocka_unit_test_setup_teardown(what_was_sent_at_different_times_has_rows_of_its_own, start, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
