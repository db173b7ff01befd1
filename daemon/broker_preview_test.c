/* The core of the broker: what a preview counts is what the load then does. */
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
                              "        read\n"
                              "            a = law\n"
                              "            b = law\n"
                              "        groups\n"
                              "            home\n"
                              "                write = \"a b\"\n"
                              "        fields\n"
                              "            nik\n"
                              "                type = text\n"
                              "                identifier = yes\n"
                              "                pattern = \"[0-9]+\"\n"
                              "                write = \"a b\"\n"
                              "            jkn\n"
                              "                type = text\n"
                              "                identifier = yes\n"
                              "                write = \"b a\"\n"
                              "            name\n"
                              "                type = text\n"
                              "                personal = yes\n"
                              "                compare = letters\n"
                              "                write = \"a b\"\n"
                              "            eligible\n"
                              "                type = boolean\n"
                              "                write = a\n"
                              "            size\n"
                              "                type = integer\n"
                              "                write = \"a b\"\n"
                              "                conflict = largest\n"
                              "            village\n"
                              "                type = text\n"
                              "                group = home\n"
                              "            street\n"
                              "                type = text\n"
                              "                group = home\n";
enum { P_NIK, P_JKN, P_NAME, P_ELIGIBLE, P_SIZE, P_VILLAGE, P_STREET, P_FIELDS };
enum { ROWS = 1300, RECORDS = 900 }; /* more than two pages */

static uint64_t dice;

static unsigned roll(unsigned sides)
{
    dice ^= dice >> 12;
    dice ^= dice << 25;
    dice ^= dice >> 27;
    return (unsigned)((dice * UINT64_C(2685821657736338717)) >> 33) % sides;
}

/* A row of somebody out of RECORDS + 300, or of nobody whom anybody knows. */
static struct change some_row(struct agent *agent, enum operation operation, const char *key)
{
    static const char *const names[] = { "Siti", "SITI", "Budi", "" }, *const villages[] = { "v", "w", "" };
    struct arena *arena = agent->world->arena;
    struct change row = change_new(agent, operation, "people", key);
    unsigned person = roll(RECORDS + 300);

    set_field(&row, "nik", roll(12) == 0 ? NULL : roll(60) == 0 ? "x" : arena_printf(arena, "%u", person));
    set_field(&row, "jkn", roll(3) == 0 ? NULL : arena_printf(arena, "J%u", roll(20) == 0 ? roll(RECORDS) : person));
    set_field(&row, "name", roll(4) ? names[roll(4)] : NULL);
    set_field(&row, "eligible", roll(3) ? roll(2) ? "true" : "false" : NULL);
    set_field(&row, "size", roll(3) ? arena_printf(arena, "%u", roll(4)) : NULL);
    set_field(&row, "village", villages[roll(3)]);
    set_field(&row, "street", roll(3) ? "s" : NULL);
    seal(agent, &row);
    return row;
}

static struct change *some_rows(struct agent *agent, enum operation operation, uint32_t count)
{
    struct change *rows = arena_array(agent->world->arena, count, sizeof *rows);

    for (uint32_t i = 0; i < count; i++)
        rows[i] = some_row(agent, operation, arena_printf(agent->world->arena, "%05u", i));
    return rows;
}

static void load(struct agent *agent, struct change *rows, uint32_t count)
{
    agent->lsn = 0;
    greet(agent);
    for (uint32_t i = 0; i < count; i += 100)
        say_piece(agent, (struct piece){ .first = i / 100 + 1,
                                         .final = true,
                                         .nothing_seen = true,
                                         .changes = rows + i,
                                         .change_count = count - i < 100 ? count - i : 100 });
    say_load_end(agent);
}

/* The answer is gone with the next step. */
static void ask(struct world *world, const char *name, const char *table, uint64_t samples)
{
    struct broker_event event = { .kind = BROKER_EVENT_PREVIEW };

    event.name = name;
    event.table = table;
    event.record = samples;
    act(world, &event);
}

static enum verdict existence(const struct entry_row *row)
{
    return verdict_in(row, "existence");
}

/* What the load's entries say of it. */
struct told {
    uint64_t rows[PREVIEW_ROW_COUNT], fields[P_FIELDS][VERDICT_COUNT];
};

static void tell(const struct world *world, uint32_t from, struct told *ret)
{
    *ret = (struct told){ 0 };
    for (uint32_t i = from; i < world->entry_count; i++) {
        const struct entry_row *row = &world->entries[i];
        enum verdict exists = existence(row);
        bool gone = exists == VERDICT_LOST || exists == VERDICT_PUT_BACK;

        ret->rows[PREVIEW_INSERTED] += row->entry.kind == ENTRY_ITEM;
        if (row->entry.kind != ENTRY_CHANGE)
            continue;
        ret->rows[exists == VERDICT_HELD                               ? PREVIEW_WAITS
                  : exists == VERDICT_APPLIED || exists == VERDICT_WON ? PREVIEW_CREATED
                  : !gone                                              ? PREVIEW_MATCHED
                  : row->reply.length > 0                              ? PREVIEW_DELETED
                                                                       : PREVIEW_STAYS]++;
        for (int f = 0; f < P_FIELDS && !gone; f++)
            ret->fields[f][verdict_in(row, world->catalog->types[0].fields[f].name)]++;
    }
}

/* Random tables against each other: two rows of one person, people who were deleted, wrong numbers, numbers of two
 * people in one row, within a page and across pages. */
static void what_is_counted_is_what_the_load_does(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct world *world = world_new(catalog);
        struct agent a = agent_join(world, "a", "nik"), b = agent_new(world, "b", "nik");
        struct preview_count counted[P_FIELDS][PREVIEW_WHAT_COUNT];
        uint64_t rows[PREVIEW_ROW_COUNT];
        struct change *theirs;
        struct told told;
        uint32_t before;

        dice = seed * UINT64_C(0x9e3779b97f4a7c15);
        b.blocks[0] = block_of(world, "people", "person", NULL);
        b.blocks[0].delete = DELETE_ROW;
        set_mode(world, "b", "", MODE_OBSERVE);
        for (uint32_t i = 0; i < RECORDS; i++)
            say_change(&a, some_row(&a, OPERATION_INSERT, arena_printf(world->arena, "%05u", i)));
        for (uint32_t i = 0; i < 40; i++)
            say_change(&a, change_of(&a, OPERATION_DELETE, arena_printf(world->arena, "%05u", i * 20), NULL));
        theirs = some_rows(&b, OPERATION_LOAD, ROWS);
        load(&b, theirs, ROWS);
        assert_int_equal(world->observed_count, ROWS);
        before = world->entry_count;
        ask(world, "b", "", 3);
        assert_true(world->answer_ok);
        assert_non_null(world->previewed);
        assert_int_equal(world->entry_count, before);
        assert_true(world->preview_pages >= 3);
        for (int what = 0; what < PREVIEW_ROW_COUNT; what++)
            rows[what] = world->previewed->types[0].rows[what].count;
        memcpy(counted, world->previewed->types[0].fields, sizeof counted);

        set_mode(world, "b", "", MODE_FULL);
        before = world->entry_count;
        load(&b, theirs, ROWS);
        tell(world, before, &told);
        for (int what = 0; what < PREVIEW_ROW_COUNT; what++)
            assert_int_equal(rows[what], told.rows[what]);
        for (int f = 0; f < P_FIELDS; f++) {
            uint64_t accepted = told.fields[f][VERDICT_APPLIED] + told.fields[f][VERDICT_WON];
            uint64_t refused = told.fields[f][VERDICT_LOST] + told.fields[f][VERDICT_PUT_BACK];

            assert_int_equal(counted[f][PREVIEW_HELD].count, told.fields[f][VERDICT_HELD]);
            if (f == P_VILLAGE || f == P_STREET)
                continue; /* of a group each member has the verdict of all */
            assert_int_equal(counted[f][PREVIEW_EQUAL].count, told.fields[f][VERDICT_UNCHANGED]);
            assert_int_equal(counted[f][PREVIEW_OVERRULED].count, refused);
            assert_int_equal(counted[f][PREVIEW_FILLS].count + counted[f][PREVIEW_CHANGES].count +
                                 counted[f][PREVIEW_NEW].count,
                             accepted);
        }
        assert_true(rows[PREVIEW_WAITS] > 20 && rows[PREVIEW_CREATED] > 20 && rows[PREVIEW_DELETED] > 0);
        assert_true(rows[PREVIEW_INSERTED] > 20 && counted[P_NAME][PREVIEW_FILLED].count > 20);
        world_free(&world);
    }
}

/* One agency with a record, another that observes the same one with other values. */
static struct world *two_of_one(struct agent *a, struct agent *b, const char *row_key)
{
    struct world *world = world_new(catalog);
    struct change row;

    *a = agent_join(world, "a", "nik");
    *b = agent_new(world, "b", "nik");
    set_mode(world, "b", "", MODE_OBSERVE);
    say_change(a,
               change_of(a, OPERATION_INSERT, "1", "nik", "1", "name", "Siti", "eligible", "true", "size", "3", NULL));
    row = change_of(b, OPERATION_LOAD, row_key, "nik", "1", "name", "Ani", "eligible", "", "size", "5", NULL);
    load(b, &row, 1);
    return world;
}

static void samples_name_records_and_hide_what_is_personal(void **state)
{
    struct agent a, b;
    struct world *world = two_of_one(&a, &b, "1");
    struct preview_count(*fields)[PREVIEW_WHAT_COUNT];
    const struct preview_sample *sample;

    (void)state;
    ask(world, "b", "", 3);
    fields = world->previewed->types[0].fields;
    assert_int_equal(fields[P_NIK][PREVIEW_EQUAL].count, 1);
    assert_int_equal(fields[P_NAME][PREVIEW_OVERRULED].count, 1);
    sample = fields[P_NAME][PREVIEW_OVERRULED].samples;
    assert_int_equal(sample->record, 1);
    assert_int_equal(sample->theirs.state, VALUE_ABSENT);
    assert_int_equal(sample->agreed.state, VALUE_ABSENT);
    sample = fields[P_ELIGIBLE][PREVIEW_FILLED].samples;
    assert_int_equal(fields[P_ELIGIBLE][PREVIEW_FILLED].count, 1);
    assert_int_equal(sample->theirs.state, VALUE_NULL);
    assert_true(same_text((struct text){ sample->agreed.bytes, sample->agreed.length }, said("true")));
    sample = fields[P_SIZE][PREVIEW_CHANGES].samples; /* the larger one wins */
    assert_true(same_text((struct text){ sample->theirs.bytes, sample->theirs.length }, said("5")));
    assert_true(same_text((struct text){ sample->agreed.bytes, sample->agreed.length }, said("3")));
    ask(world, "b", "", 0);
    assert_null(world->previewed->types[0].fields[P_NAME][PREVIEW_OVERRULED].samples);
    assert_canonical(world, 1, P_SIZE, "3");
    world_free(&world);
}

/* What others' triggers have altered is not forgotten because b's size would be sent there. */
static void the_others_are_as_they_were(void **state)
{
    struct agent a, b;
    struct world *world = two_of_one(&a, &b, "1");
    struct peer_view view;

    (void)state;
    apply(&a);
    say_report(&a, REPORT_ALTERED, 1, a.base, "size");
    assert_true(broker_peer(world->broker, 0, &view));
    assert_int_equal(view.altered, 1);
    ask(world, "b", "", 3);
    assert_int_equal(world->previewed->types[0].fields[P_SIZE][PREVIEW_CHANGES].count, 1);
    assert_true(broker_peer(world->broker, 0, &view));
    assert_int_equal(view.altered, 1);
    assert_int_equal(world->debt_count, 0);
    world_free(&world);
}

/* Its row names a record that has gone into another one: it is that one, and not one that was deleted. */
static void who_names_one_that_went_is_counted_as_the_other(void **state)
{
    struct agent a, b;
    struct world *world = two_of_one(&a, &b, "1");
    struct broker_event event = { .kind = BROKER_EVENT_SAME, .name = "person", .record = 2, .other = 1 };

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "2", "size", "3", NULL));
    event.user = "rina";
    event.ground = "SK 1/2026";
    event.what = "";
    act(world, &event);
    assert_true(world->answer_ok);
    ask(world, "b", "", 3);
    assert_int_equal(world->previewed->types[0].rows[PREVIEW_MATCHED].count, 1);
    assert_int_equal(world->previewed->types[0].rows[PREVIEW_MATCHED].samples->record, 2);
    world_free(&world);
}

static void a_preview_that_cannot_be_says_why(void **state)
{
    struct agent a, b;
    struct world *world = two_of_one(&a, &b, "1");
    struct broker_event event = { .kind = BROKER_EVENT_PREVIEW };
    int answers;

    (void)state;
    ask(world, "a", "", 3); /* takes part already */
    assert_false(world->answer_ok);
    ask(world, "b", "poeple", 3);
    assert_false(world->answer_ok);
    ask(world, "z", "", 3);
    assert_false(world->answer_ok);
    answers = world->answer_count;
    world->held = true;
    event.name = "b";
    event.table = "";
    step(world, &event);
    step(world, &event); /* one at a time */
    assert_int_equal(world->answer_count, answers + 1);
    assert_false(world->answer_ok);
    set_mode(world, "b", "", MODE_PUBLISH); /* meanwhile */
    world->held = false;
    settle(world);
    assert_int_equal(world->answer_count, answers + 3);
    assert_int_equal(world->agencies[1].mode, MODE_PUBLISH);
    assert_null(world->previewed);
    world_free(&world);
}

/* Between two pages of it the agencies' batches go on, and it goes on whatever they do. */
static void agencies_and_a_preview_take_turns(void **state)
{
    struct world *world = world_new(catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_new(world, "b", "nik");
    struct broker_event event = { .kind = BROKER_EVENT_PREVIEW };
    int answers, batches;

    (void)state;
    set_mode(world, "b", "", MODE_OBSERVE);
    dice = 5;
    load(&b, some_rows(&b, OPERATION_LOAD, ROWS), ROWS);
    answers = world->answer_count;
    batches = world->batch_count;
    world->held = true;
    event.name = "b";
    event.table = "";
    step(world, &event);
    for (int i = 0; world->answer_count == answers && i < 100; i++) {
        if (i < 20)
            say_change(&a, change_of(&a, OPERATION_INSERT, arena_printf(world->arena, "%d", i + 1), "nik",
                                     arena_printf(world->arena, "%d", 50000 + i), NULL));
        if (world->batch)
            answer_batch(world);
    }
    assert_int_equal(world->answer_count, answers + 1);
    assert_true(world->answer_ok);
    assert_true(world->batch_count > batches + 1); /* while it went on */
    world->held = false;
    settle(world);
    world_free(&world);
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
    const struct CMUnitTest tests[] = {
        T(what_is_counted_is_what_the_load_does), T(samples_name_records_and_hide_what_is_personal),
        T(the_others_are_as_they_were),           T(who_names_one_that_went_is_counted_as_the_other),
        T(a_preview_that_cannot_be_says_why),     T(agencies_and_a_preview_take_turns),
    };

    return cmocka_run_group_tests_name("broker_preview", tests, NULL, NULL);
}
