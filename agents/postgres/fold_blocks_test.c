/* Several blocks of one table, and rows that are wide. */
#include "agents/postgres/fold_fixture.h"

/* ---- several blocks on one table ----
 *
 * people: each row. sick: rows with size 3 or 4, with a constant, and the note says who. empty: rows without a note,
 * found by the size alone, as if the database made it. */

static const char *const where_sizes[] = { "3", "4" };
static struct mapping_where where_sick = { .column = 2, .kind = WHERE_VALUES, .values = where_sizes, .value_count = 2 };
static struct mapping_where where_empty = { .column = 3, .kind = WHERE_NULL };
static struct mapping_field sick_mapped[] = {
    { .name = "nik", .field = 0, .columns = &fixture_places[0], .column_count = 1, .join = "" },
    { .name = "note", .field = 3, .constant = "flu", .constant_line = "flu", .join = "" },
};
static const uint16_t sick_key[] = { 0, 1 };
static struct mapping_block several_blocks[3];
static const struct mapping several = { several_blocks, 3 };

static int set_up_several(void **state)
{
    for (int i = 0; i < 3; i++)
        several_blocks[i] = fixture_block;
    several_blocks[1].name = "sick";
    several_blocks[1].fields = sick_mapped;
    several_blocks[1].field_count = 2;
    several_blocks[1].key = sick_key;
    several_blocks[1].key_count = 2;
    several_blocks[1].where = &where_sick;
    several_blocks[1].where_count = 1;
    several_blocks[1].actor_column = 3;
    several_blocks[1].ground_column = 1;
    several_blocks[2].name = "empty";
    several_blocks[2].fields = sick_mapped;
    several_blocks[2].field_count = 1;
    several_blocks[2].generated = true;
    several_blocks[2].key_count = 0;
    several_blocks[2].key_columns = &fixture_places[2];
    several_blocks[2].where = &where_empty;
    several_blocks[2].where_count = 1;
    (void)state;
    arena = arena_new();
    fold = fold_new(&several, 1 << 20);
    describe('f');
    return 0;
}

/* "block operation key actor/ground; " of each change. */
static const char *ended_several(void)
{
    static char text[4096];
    struct change *changes;
    size_t at = 0;

    text[0] = '\0';
    problem_count = fold_end(fold, seed, &problem);
    while (fold_left(fold)) {
        uint32_t count = fold_next(fold, arena, 1, &changes);

        for (uint32_t i = 0; i < count; i++) {
            char actor[64], ground[64];

            put_value(actor, sizeof actor, changes[i].actor);
            put_value(ground, sizeof ground, changes[i].ground);
            at += (size_t)snprintf(text + at, sizeof text - at, "%.*s %s ", (int)changes[i].block.length,
                                   changes[i].block.bytes, operation_name(changes[i].operation));
            for (uint32_t k = 0; k < changes[i].key.length; k++)
                text[at++] = changes[i].key.bytes[k] == '\x1f' ? '+' : changes[i].key.bytes[k];
            at += (size_t)snprintf(text + at, sizeof text - at, " %s/%s; ", actor, ground);
        }
    }
    fold_reset(fold);
    return text;
}

static void a_row_is_a_record_of_each_block_it_belongs_to(void **state)
{
    struct person well = { "x", "1", "Siti", "2", "n" }, sick = { "x", "1", "Siti", "3", "n" };
    struct person sicker = { "x", "1", "Siti", "4", "n" }, empty = { "x", "1", "Siti", "4", "" };

    (void)state;
    insert(well);
    assert_string_equal(ended_several(), "people insert 1 null/null; ");
    update(well, sick);
    assert_string_equal(ended_several(), "people update 1 null/null; sick insert 1+flu n/Siti; ");
    update(sick, sicker); /* nothing of it is mapped in "sick" */
    assert_string_equal(ended_several(), "people update 1 null/null; ");
    update(sicker, empty);
    assert_string_equal(ended_several(), "people update 1 null/null; empty insert 4 null/null; ");
    update(empty, well);
    assert_string_equal(ended_several(),
                        "people update 1 null/null; sick delete 1+flu null/null; empty delete 4 null/null; ");
    delete (sick);
    assert_string_equal(ended_several(), "people delete 1 null/null; sick delete 1+flu null/null; ");
}

/* "people" refers to "sick", though the mapping has it first. */
static void what_is_referred_to_is_told_of_first(void **state)
{
    struct person sick = { "x", "1", "Siti", "3", "n" }, sicker = { "x", "2", "Sita", "3", "n" };
    struct catalog_type types[2] = { fixture_type, fixture_type };

    (void)state;
    types[1].refers = true;
    several_blocks[0].type = &types[1];
    several_blocks[1].type = several_blocks[2].type = &types[0];
    insert(sick);
    insert(sicker);
    assert_string_equal(ended_several(),
                        "sick insert 1+flu n/Siti; sick insert 2+flu n/Sita; people insert 1 null/null; "
                        "people insert 2 null/null; ");
}

static void what_leaves_a_block_and_comes_back_is_nothing(void **state)
{
    struct person well = { "x", "1", "Siti", "2", "n" }, sick = { "x", "1", "Siti", "3", "n" };

    (void)state;
    update(sick, well);
    update(well, sick);
    assert_string_equal(ended_several(), "");
    update(well, sick);
    update(sick, well);
    assert_string_equal(ended_several(), "");
    assert_int_equal(problem_count, 0);
}

static void a_row_outside_of_a_block_is_no_problem_of_it(void **state)
{
    struct person without = { "x", "", "Siti", "2", "n" };

    (void)state;
    insert(without);
    assert_string_equal(ended_several(), "");
    assert_int_equal(problem_count, 1); /* people: the row has no key; "sick" does not look at it */
}

static void a_condition_needs_the_whole_old_row(void **state)
{
    struct person well = { "x", "1", "Siti", "2", "n" };
    struct error err;

    (void)state;
    describe('d');
    assert_int_equal(add(change_bytes('U', NULL, &well), &err), ERR_LOST);
    assert_non_null(strstr(err.text, "REPLICA IDENTITY FULL"));
}

static void a_load_takes_the_rows_of_the_block(void **state)
{
    struct value columns[4] = { value_text("1"), value_text("Siti"), value_text("2"), value_text("n") };
    struct change change;
    uint32_t problems = 7;
    struct error first;

    (void)state;
    assert_false(change_load(arena, &several_blocks[1], columns, &change, &problems, &first));
    assert_int_equal(problems, 0);
    columns[2] = value_text("4");
    assert_true(change_load(arena, &several_blocks[1], columns, &change, &problems, &first));
    assert_memory_equal(change.key.bytes, "1\037flu", 5);
    assert_true(value_equal(change.actor, value_text("n")));
    assert_true(value_equal(change.ground, value_text("Siti")));
    columns[3] = value_null();
    assert_true(change_load(arena, &several_blocks[2], columns, &change, &problems, &first));
    assert_memory_equal(change.key.bytes, "4", 1);
}

/* A person whose name and note are that long. */
static struct person wide(const char *nik, uint32_t name, uint32_t note)
{
    char *texts[2] = { arena_alloc(arena, name + 1), arena_alloc(arena, note + 1) };

    memset(texts[0], 'n', name);
    memset(texts[1], 'o', note);
    return (struct person){ "x", nik, texts[0], "3", texts[1] };
}

static struct pgoutput_row row_of(const struct person *person)
{
    const char *const texts[] = { person->extra, person->nik, person->name, person->size, person->note };
    struct pgoutput_row row = { .count = 5, .values = arena_array(arena, 5, sizeof *row.values) };

    for (int i = 0; i < 5; i++)
        row.values[i] = value_text(texts[i]);
    return row;
}

/* Without the detour over bytes, for which these are too long. */
static void change_wide(const struct person *old, const struct person *now)
{
    struct pgoutput_message message = { .kind = old ? PGOUTPUT_UPDATE : PGOUTPUT_INSERT };
    struct error err;

    message.change.relation = PEOPLE;
    message.change.row = row_of(now);
    if (old) {
        message.change.identity = PGOUTPUT_OLD_FULL;
        message.change.old = row_of(old);
    }
    assert_int_equal(fold_add(fold, &message, &err), 0);
}

/* What does not fit into a message would wait for ever, and everything behind it. */
static void pieces_fit_into_a_message_however_wide_rows_are(void **state)
{
    const struct person one = wide("1", 100000, 200000), two = wide("2", 262144, 250000),
                        then = wide("2", 262143, 249999), three = wide("3", 200, 200);
    struct change *changes;
    uint32_t count, all = 0;

    (void)state;
    fold_free(&fold);
    fold = fold_new(&fixture_mapping, 1 << 24);
    describe('f');
    change_wide(NULL, &one);
    change_wide(&two, &then);
    change_wide(NULL, &three);
    assert_int_equal(fold_end(fold, seed, &problem), 0);
    for (; fold_left(fold); all += count) {
        struct piece piece = { 0 };

        count = fold_next(fold, arena, 512 * 1024, &changes);
        piece.changes = changes;
        piece.change_count = count;
        assert_true(MESSAGE_HEAD_BYTES + message_piece_size(&piece) < FRAME_BYTES_MAX * 3 / 4);
    }
    assert_int_equal(all, 3);
}

static void a_row_that_is_too_wide_leaves_out_its_longest_value_and_says_so(void **state)
{
    static const struct catalog_field fields[] = {
        { .name = "nik", .type = VALUE_TEXT, .identifier = true, .unit = 1 },
        { .name = "name", .type = VALUE_TEXT, .unit = 2 },
        { .name = "size", .type = VALUE_TEXT, .unit = 3 },
        { .name = "note", .type = VALUE_TEXT, .unit = 4 },
    };
    static const struct catalog_unit units[] = {
        { .name = "existence" }, { .name = "nik" }, { .name = "name" }, { .name = "size" }, { .name = "note" },
    };
    static const struct catalog_type texts = {
        .name = "resident", .field_count = 4, .fields = fields, .unit_count = 5, .units = units
    };
    struct person person = wide("1", 200000, 250000);
    char *size = arena_alloc(arena, 200001);
    struct change *changes;

    (void)state;
    fixture_block.type = &texts;
    memset(size, 's', 200000);
    person.size = size;
    change_wide(NULL, &person);
    assert_int_equal(fold_end(fold, seed, &problem), 1);
    assert_non_null(strstr(problem.text, "left out, because the whole row has more than 512 KiB"));
    assert_int_equal(fold_next(fold, arena, 1, &changes), 1);
    assert_int_equal(changes[0].field_count, 3); /* without the note */
    fixture_block.type = &fixture_type;
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define SEVERAL(name) cmocka_unit_test_setup_teardown(name, set_up_several, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SEVERAL(a_row_is_a_record_of_each_block_it_belongs_to),
        SEVERAL(what_is_referred_to_is_told_of_first),
        SEVERAL(what_leaves_a_block_and_comes_back_is_nothing),
        SEVERAL(a_row_outside_of_a_block_is_no_problem_of_it),
        SEVERAL(a_condition_needs_the_whole_old_row),
        SEVERAL(a_load_takes_the_rows_of_the_block),
        UNIT(pieces_fit_into_a_message_however_wide_rows_are),
        UNIT(a_row_that_is_too_wide_leaves_out_its_longest_value_and_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
