/* What is an edit, what is a correction, and how cells are spelt. */
#include "agents/csv/compare.h"
#include "agents/csv/list_fixture.h"
#include "agents/csv/refusal.h"

#include <stdlib.h>

static struct list_fixture fixture;

static int setup(void **state)
{
    (void)state;
    list_fixture_new(&fixture);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&fixture.arena);
    return 0;
}

static void assert_text(const char *left, const char *right)
{
    assert_true(!left == !right);
    if (left)
        assert_string_equal(left, right);
}

/* should, said, and now are a row each or NULL; what comes of it, and what should stand there afterwards. */
static const struct {
    const char *name, *should, *said, *now;
    enum operation operation;
    const char *after;
    bool differs;
} cases[] = {
    { "a new row", NULL, NULL, "1|A|-|-|-", OPERATION_INSERT, "1|A|-|-|-", false },
    { "the same again", "1|A|-|-|-", "1|A|-|-|-", "1|A|-|-|-", OPERATION_NONE, "1|A|-|-|-", false },
    { "an edit", "1|A|-|-|-", "1|A|-|-|-", "1|B|-|-|-", OPERATION_UPDATE, "1|B|-|-|-", false },
    { "emptied", "1|A|-|1.00|-", "1|A|-|1.00|-", "1|A|-|-|-", OPERATION_UPDATE, "1|A|-|-|-", false },
    { "a correction not typed in", "1|B|-|-|-", "1|A|-|-|-", "1|A|-|-|-", OPERATION_NONE, "1|B|-|-|-", true },
    { "a correction typed in", "1|B|-|-|-", "1|A|-|-|-", "1|B|-|-|-", OPERATION_NONE, "1|B|-|-|-", false },
    { "something else than the correction", "1|B|-|-|-", "1|A|-|-|-", "1|C|-|-|-", OPERATION_UPDATE, "1|C|-|-|-",
      false },
    { "an edit beside a correction", "1|B|-|-|-", "1|A|-|-|-", "1|A|-|9.00|-", OPERATION_UPDATE, "1|B|-|9.00|-", true },
    { "white space is nothing", "1|A |-|-|-", "1| A|-|-|-", "1|A|-|-|-", OPERATION_NONE, "1|A |-|-|-", false },
    { "others' row is added as it is", "1|B|-|9.00|-", NULL, "1|B|-|9.00|-", OPERATION_NONE, "1|B|-|9.00|-", false },
    { "others' row is added in part", "1|B|-|9.00|-", NULL, "1|B|-|-|-", OPERATION_NONE, "1|B|-|9.00|-", true },
    { "others' row is added otherwise", "1|B|-|9.00|-", NULL, "1|C|-|-|-", OPERATION_UPDATE, "1|C|-|9.00|-", true },
    { "others' removal is not typed in", NULL, "1|A|-|-|-", "1|A|-|-|-", OPERATION_NONE, NULL, true },
    { "gone from a complete list", "1|A|-|-|-", "1|A|-|-|-", NULL, OPERATION_DELETE, NULL, false },
    { "others' removal is typed in", NULL, "1|A|-|-|-", NULL, OPERATION_NONE, NULL, false },
    { "others' row is still not added", "1|A|-|-|-", NULL, NULL, OPERATION_NONE, "1|A|-|-|-", true },
};

static void what_is_an_edit(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct sides before = { list_fields(&fixture, cases[i].should), list_fields(&fixture, cases[i].said) };
        struct sides after;
        enum operation operation =
            compare_row(fixture.arena, fixture.block, &before, list_fields(&fixture, cases[i].now), &after);

        if (operation != cases[i].operation || sides_differ(fixture.block, &after) != cases[i].differs)
            fail_msg("%s: %s, differs %d", cases[i].name, operation_name(operation),
                     sides_differ(fixture.block, &after));
        assert_text(list_text(&fixture, after.should), cases[i].after);
        assert_text(list_text(&fixture, after.said), cases[i].now);
    }
}

static void packed_fields_come_back(void **state)
{
    struct buffer packed = { 0 };
    struct value *fields;
    struct error err;

    (void)state;
    fields_pack(fixture.block, list_fields(&fixture, "1|A||-|true"), &packed);
    assert_int_equal(fields_unpack(fixture.arena, fixture.block, packed.bytes, packed.length, &fields, &err), 0);
    assert_text(list_text(&fixture, fields), "1|A||-|true");
    assert_int_equal(fields_unpack(fixture.arena, fixture.block, packed.bytes, packed.length - 1, &fields, &err),
                     ERR_STOP);
    buffer_free(&packed);
}

/* ---- spelling ---- */

static const struct {
    int column;
    const char *cell, *read; /* NULL: refused */
} spellings[] = {
    { F_BORN, "17/08/1945", "1945-08-17" },
    { F_BORN, "7-8-1945", "1945-08-07" },
    { F_BORN, "1945-08-17", "1945-08-17" },
    { F_BORN, "1945-08-17 00:00:00", "1945-08-17" },
    { F_BORN, "17/08/45", NULL },
    { F_BORN, "17-08/1945", NULL },
    { F_BORN, "16666", NULL },
    { F_BORN, "17/08/1945 x", NULL },
    { F_PREMIUM, "42000", "42000" },
    { F_PREMIUM, "42.000,5", "42000.5" },
    { F_PREMIUM, "-1.234.567,89", "-1234567.89" },
    { F_PREMIUM, "42.00", NULL },
    { F_PREMIUM, "4200.000", NULL },
    { F_PREMIUM, "1,2,3", NULL },
    { F_PREMIUM, "42,", NULL },
    { F_PREMIUM, "-", NULL },
    { F_PREMIUM, "4,2E+04", NULL },
    { F_NIK, "6402061505780003", "6402061505780003" },
    { F_NIK, "6.40206E+15", NULL },
    { F_NIK, "6,40206150578e15", NULL },
    { F_NAME, "E", "E" },
    { F_NAME, "1E", "1E" },
    { F_NAME, "8.12E+11", NULL },
    { F_ELIGIBLE, "YA", "YA" },
};

static void how_cells_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        struct value value;
        int why =
            spelling_read(fixture.arena, fixture.spellings[spellings[i].column], value_text(spellings[i].cell), &value);

        if ((why == REFUSAL_KIND_COUNT) != (spellings[i].read != NULL))
            fail_msg("%s", spellings[i].cell);
        if (spellings[i].read)
            assert_true(value_equal(value, value_text(spellings[i].read)));
    }
}

static void names_of_files_say_what_they_are(void **state)
{
    static const struct {
        const char *name;
        enum file_kind kind;
        int block;
        bool complete;
    } names[] = {
        { "warga.csv", FILE_CSV, 0, false },         { "Warga November LENGKAP.CSV", FILE_CSV, 0, true },
        { "warga-1.xlsx", FILE_XLSX, 0, false },     { "pegawai.csv", FILE_CSV, -1, false },
        { "~$warga.xlsx", FILE_OTHER, -1, false },   { ".warga.csv", FILE_OTHER, -1, false },
        { "warga.csv.part", FILE_OTHER, -1, false }, { "warga.ods", FILE_OTHER, -1, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct file_name name = file_name_read(&fixture.mapping, fixture.forms, names[i].name);

        if (name.kind != names[i].kind || name.block != names[i].block || name.complete != names[i].complete)
            fail_msg("%s", names[i].name);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_an_edit),
        cmocka_unit_test(packed_fields_come_back),
        cmocka_unit_test(how_cells_are_read),
        cmocka_unit_test(names_of_files_say_what_they_are),
    };

    return cmocka_run_group_tests_name("compare", tests, setup, teardown);
}
