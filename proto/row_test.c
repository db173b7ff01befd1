#include "proto/mapping.h"
#include "proto/tree_fixture.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char catalog_lines[] = "catalog\n"
                                    "    version = 7\n"
                                    "    agencies = dinkes\n"
                                    "record\n"
                                    "    resident\n"
                                    "        existence\n"
                                    "            write = dinkes\n"
                                    "        read\n"
                                    "            dinkes = law\n"
                                    "        fields\n"
                                    "            nik\n"
                                    "                type = text\n"
                                    "                identifier = yes\n"
                                    "                write = dinkes\n"
                                    "            card\n"
                                    "                type = integer\n"
                                    "                identifier = yes\n"
                                    "                write = dinkes\n"
                                    "            village\n"
                                    "                type = text\n"
                                    "                write = dinkes\n"
                                    "            covered\n"
                                    "                type = boolean\n"
                                    "                write = dinkes\n"
                                    "            premium\n"
                                    "                type = decimal\n"
                                    "                scale = 2\n"
                                    "                write = dinkes\n"
                                    "            eligible\n"
                                    "                type = boolean\n"
                                    "                write = dinkes\n";

static const char mapping_lines[] = "peserta\n"
                                    "    type = resident\n"
                                    "    table = peserta_jkn\n"
                                    "    key = \"nik card\"\n"
                                    "    fields\n"
                                    "        nik\n"
                                    "            column = nik\n"
                                    "            trim = yes\n"
                                    "        card\n"
                                    "            column = no_kartu\n"
                                    "        village\n"
                                    "            columns = \"kec desa rt\"\n"
                                    "            join = \"--\"\n"
                                    "            trim = yes\n"
                                    "        covered\n"
                                    "            column = status\n"
                                    "            codes\n"
                                    "                AKTIF = true\n"
                                    "                BARU = true\n"
                                    "                NONAKTIF = false\n"
                                    "        premium\n"
                                    "            column = iuran\n"
                                    "        eligible\n"
                                    "            column = berhak\n";

enum { NIK, CARD, VILLAGE, COVERED, PREMIUM, ELIGIBLE, FIELDS };
enum { C_NIK, C_CARD, C_KEC, C_DESA, C_RT, C_STATUS, C_IURAN, C_BERHAK, COLUMNS };

static struct arena *arena;
static const struct mapping_block *block;

static int block_setup(void **state)
{
    static struct mapping mapping;
    const struct catalog *catalog;
    struct error err = { 0 };

    (void)state;
    arena = arena_new();
    if (catalog_build(arena, tree_fixture(arena, catalog_lines), catalog_lines, strlen(catalog_lines), &catalog, &err) <
            0 ||
        mapping_build(arena, tree_fixture(arena, mapping_lines), &mapping, &err) < 0 ||
        mapping_bind(arena, &mapping, catalog, "dinkes", &err) < 0)
        fail_msg("%s", err.text);
    block = &mapping.blocks[0];
    assert_int_equal(block->column_count, COLUMNS);
    assert_int_equal(block->field_count, FIELDS);
    return 0;
}

static int block_teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

#define ASSERT_TEXT(value, text) assert_true(value_equal(value, value_text(text)))

/* A row as PostgreSQL gives it, all in order. */
static void row_fill(struct value columns[COLUMNS])
{
    static const char *const texts[COLUMNS] = {
        "6402061505780003    ", "0012", "06", "1001 ", "3", "BARU", "42000", "t"
    };

    for (int i = 0; i < COLUMNS; i++)
        columns[i] = value_text(texts[i]);
}

static void a_row_becomes_canonical_fields(void **state)
{
    struct value columns[COLUMNS], fields[FIELDS];
    struct error err;

    (void)state;
    row_fill(columns);
    assert_int_equal(row_read(arena, block, columns, fields, &err), 0);
    ASSERT_TEXT(fields[NIK], "6402061505780003");
    ASSERT_TEXT(fields[CARD], "12");
    ASSERT_TEXT(fields[VILLAGE], "06--1001--3");
    ASSERT_TEXT(fields[COVERED], "true");
    ASSERT_TEXT(fields[PREMIUM], "42000.00");
    ASSERT_TEXT(fields[ELIGIBLE], "true");
}

static void null_and_absent_columns_make_null_and_absent_fields(void **state)
{
    struct value columns[COLUMNS] = { 0 }, fields[FIELDS];
    struct error err;

    (void)state;
    row_fill(columns);
    columns[C_STATUS] = value_null();
    columns[C_IURAN] = (struct value){ .state = VALUE_ABSENT };
    columns[C_KEC] = columns[C_DESA] = columns[C_RT] = value_null();
    assert_int_equal(row_read(arena, block, columns, fields, &err), 0);
    assert_int_equal(fields[COVERED].state, VALUE_NULL);
    assert_int_equal(fields[PREMIUM].state, VALUE_ABSENT);
    assert_int_equal(fields[VILLAGE].state, VALUE_NULL);
    columns[C_DESA] = (struct value){ .state = VALUE_ABSENT };
    assert_int_equal(row_read(arena, block, columns, fields, &err), 0);
    assert_int_equal(fields[VILLAGE].state, VALUE_ABSENT);
}

static void what_cannot_be_translated_is_absent_and_counted(void **state)
{
    static const struct {
        int column;
        const char *text; /* NULL: NULL */
        int field;
        const char *why;
    } table[] = {
        { C_STATUS, "MUTASI", COVERED,
          "column status of public.peserta_jkn holds a code that the mapping does not list" },
        { C_STATUS, "AKTIF ", COVERED,
          "column status of public.peserta_jkn holds a code that the mapping does not list" },
        { C_IURAN, "42000.001", PREMIUM,
          "column iuran of public.peserta_jkn has more digits behind the point than the catalog keeps" },
        { C_CARD, "A-7", CARD, "column no_kartu of public.peserta_jkn is not a number" },
        { C_DESA, NULL, VILLAGE, "column desa of public.peserta_jkn is NULL, but others of its parts are not" },
        { C_DESA, "10--01", VILLAGE, "column desa of public.peserta_jkn holds what stands between its parts" },
        { C_NIK, "64\0371", NIK,
          "column nik of public.peserta_jkn holds the control character U+001F, which no key can" },
        { C_NIK, "\377", NIK, "column nik of public.peserta_jkn is not UTF-8 without NUL" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct value columns[COLUMNS], fields[FIELDS];
        struct error err = { 0 };

        row_fill(columns);
        columns[table[i].column] = table[i].text ? value_text(table[i].text) : value_null();
        assert_int_equal(row_read(arena, block, columns, fields, &err), 1);
        assert_int_equal(err.code, ERR_REJECT);
        assert_string_equal(err.text, table[i].why);
        for (int field = 0; field < FIELDS; field++)
            assert_int_equal(fields[field].state, field == table[i].field ? VALUE_ABSENT : VALUE_SET);
    }
}

static void the_first_of_several_reasons_is_told(void **state)
{
    struct value columns[COLUMNS], fields[FIELDS];
    struct error err = { 0 };

    (void)state;
    row_fill(columns);
    columns[C_STATUS] = value_text("?");
    columns[C_BERHAK] = value_text("?");
    columns[C_CARD] = value_text("?");
    assert_int_equal(row_read(arena, block, columns, fields, &err), 3);
    assert_string_equal(err.text, "column no_kartu of public.peserta_jkn is not a number");
}

static void parts_that_are_too_long_together_are_refused(void **state)
{
    static char part[VALUE_LENGTH_MAX / 2];
    struct value columns[COLUMNS], fields[FIELDS];
    struct error err = { 0 };

    (void)state;
    memset(part, 'a', sizeof part);
    row_fill(columns);
    columns[C_KEC] = columns[C_DESA] =
        (struct value){ .bytes = part, .length = (uint32_t)sizeof part, .state = VALUE_SET };
    assert_int_equal(row_read(arena, block, columns, fields, &err), 1);
    assert_string_equal(err.text, "column kec of public.peserta_jkn and those joined to it are too long");
}

static void fields_become_columns_again(void **state)
{
    struct value columns[COLUMNS], fields[FIELDS];
    struct error err;

    (void)state;
    row_fill(columns);
    assert_int_equal(row_read(arena, block, columns, fields, &err), 0);
    memset(columns, 0, sizeof columns);
    assert_int_equal(row_write(arena, block, fields, columns, &err), 0);
    ASSERT_TEXT(columns[C_NIK], "6402061505780003");
    ASSERT_TEXT(columns[C_CARD], "12");
    ASSERT_TEXT(columns[C_KEC], "06");
    ASSERT_TEXT(columns[C_DESA], "1001");
    ASSERT_TEXT(columns[C_RT], "3");
    ASSERT_TEXT(columns[C_STATUS], "AKTIF"); /* the first of two codes for true */
    ASSERT_TEXT(columns[C_IURAN], "42000.00");
    ASSERT_TEXT(columns[C_BERHAK], "true");
}

static void null_and_absent_fields_make_null_and_absent_columns(void **state)
{
    struct value columns[COLUMNS], fields[FIELDS] = { 0 };
    struct error err;

    (void)state;
    row_fill(columns);
    fields[VILLAGE] = fields[COVERED] = value_null();
    assert_int_equal(row_write(arena, block, fields, columns, &err), 0);
    for (int column = 0; column < COLUMNS; column++)
        assert_int_equal(columns[column].state, column >= C_KEC && column <= C_STATUS ? VALUE_NULL : VALUE_ABSENT);
}

static void a_value_without_a_local_spelling_is_refused(void **state)
{
    static const struct {
        int field;
        const char *value, *why;
    } table[] = {
        { VILLAGE, "06--1001",
          "column desa of public.peserta_jkn cannot hold this value: it has another number of parts than columns" },
        { VILLAGE, "06--1001--3--4",
          "column rt of public.peserta_jkn cannot hold this value: it has another number of parts than columns" },
        { VILLAGE, "",
          "column kec of public.peserta_jkn cannot hold this value: it has another number of parts than columns" },
        { COVERED, "maybe", "column status of public.peserta_jkn has no code in the mapping for this value" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct value columns[COLUMNS], fields[FIELDS] = { 0 };
        struct error err = { 0 };

        fields[table[i].field] = value_text(table[i].value);
        assert_int_equal(row_write(arena, block, fields, columns, &err), ERR_REJECT);
        assert_string_equal(err.text, table[i].why);
    }
}

static void empty_parts_survive_both_ways(void **state)
{
    struct value columns[COLUMNS], fields[FIELDS];
    struct error err;

    (void)state;
    row_fill(columns);
    columns[C_KEC] = columns[C_RT] = value_text("");
    assert_int_equal(row_read(arena, block, columns, fields, &err), 0);
    ASSERT_TEXT(fields[VILLAGE], "--1001--");
    assert_int_equal(row_write(arena, block, fields, columns, &err), 0);
    ASSERT_TEXT(columns[C_KEC], "");
    ASSERT_TEXT(columns[C_DESA], "1001");
    ASSERT_TEXT(columns[C_RT], "");
}

static void a_key_is_its_fields_joined(void **state)
{
    struct value columns[COLUMNS], fields[FIELDS], again[FIELDS] = { 0 };
    struct text key;
    struct error err;

    (void)state;
    row_fill(columns);
    assert_int_equal(row_read(arena, block, columns, fields, &err), 0);
    key = row_key(arena, block, NULL, fields);
    assert_int_equal(key.length, strlen("6402061505780003\03712"));
    assert_memory_equal(key.bytes, "6402061505780003\03712", key.length);
    assert_int_equal(row_unkey(arena, block, key, again, &err), 0);
    assert_true(value_equal(again[NIK], fields[NIK]));
    assert_true(value_equal(again[CARD], fields[CARD]));
    assert_int_equal(again[VILLAGE].state, VALUE_ABSENT);
}

static void a_row_without_its_key_has_none(void **state)
{
    struct value fields[FIELDS] = { 0 };

    (void)state;
    fields[NIK] = value_text("6402061505780003");
    assert_int_equal(row_key(arena, block, NULL, fields).length, 0);
    fields[CARD] = value_null();
    assert_int_equal(row_key(arena, block, NULL, fields).length, 0);
    fields[CARD] = value_text("12");
    assert_true(row_key(arena, block, NULL, fields).length > 0);
    fields[NIK] = value_text("64\0371");
    assert_int_equal(row_key(arena, block, NULL, fields).length, 0);
}

static void a_key_of_another_number_of_parts_is_refused(void **state)
{
    static const char *const bad[] = { "", "6402061505780003", "a\037b\037c" };
    struct value fields[FIELDS] = { 0 };
    struct error err = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(row_unkey(arena, block, (struct text){ bad[i], (uint32_t)strlen(bad[i]) }, fields, &err),
                         ERR_REJECT);
    assert_int_equal(row_unkey(arena, block, (struct text){ 0 }, fields, &err), ERR_REJECT);
}

/* ---- a block with everything that a mapping can say ---- */

static const char wide_catalog[] = "catalog\n"
                                   "    version = 7\n"
                                   "    agencies = dinsos\n"
                                   "record\n"
                                   "    enrolment\n"
                                   "        existence\n"
                                   "            write = dinsos\n"
                                   "        read\n"
                                   "            dinsos = law\n"
                                   "        fields\n"
                                   "            nik\n"
                                   "                type = text\n"
                                   "                identifier = yes\n"
                                   "                write = dinsos\n"
                                   "            program\n"
                                   "                type = text\n"
                                   "                identifier = yes\n"
                                   "                write = dinsos\n"
                                   "            rank\n"
                                   "                type = decimal\n"
                                   "                scale = 1\n"
                                   "                write = dinsos\n"
                                   "            stage\n"
                                   "                type = text\n"
                                   "                write = dinsos\n"
                                   "            since\n"
                                   "                type = timestamp\n"
                                   "                write = dinsos\n";

static const char wide_mapping[] = "zone = Asia/Makassar\n"
                                   "pkh\n"
                                   "    type = enrolment\n"
                                   "    table = bantuan\n"
                                   "    key = \"nik program\"\n"
                                   "    where\n"
                                   "        pkh = \"Y 'YA BENAR'\"\n"
                                   "        stage = \"A B\"\n"
                                   "        dihapus = null\n"
                                   "        no_sk = not null\n"
                                   "    constants\n"
                                   "        program = PKH\n"
                                   "        rank = 2\n"
                                   "    actor = updated_by\n"
                                   "    ground = no_sk\n"
                                   "    fields\n"
                                   "        nik\n"
                                   "            column = nik\n"
                                   "        stage\n"
                                   "            column = stage\n"
                                   "            codes\n"
                                   "                A = active\n"
                                   "                B = leave\n"
                                   "                C = left\n"
                                   "            unknown = null\n"
                                   "        since\n"
                                   "            column = sejak\n"
                                   "by_number\n"
                                   "    type = enrolment\n"
                                   "    table = lain\n"
                                   "    key = generated kab id\n"
                                   "    fields\n"
                                   "        nik\n"
                                   "            column = nik\n";

enum { W_PROGRAM, W_RANK, W_NIK, W_STAGE, W_SINCE, W_FIELDS };
enum { WC_NIK, WC_STAGE, WC_SEJAK, WC_PKH, WC_DIHAPUS, WC_NO_SK, WC_BY, W_COLUMNS };

static struct mapping wide_built(void)
{
    struct mapping mapping = { 0 };
    const struct catalog *catalog;
    struct error err = { 0 };

    if (catalog_build(arena, tree_fixture(arena, wide_catalog), wide_catalog, strlen(wide_catalog), &catalog, &err) <
            0 ||
        mapping_build(arena, tree_fixture(arena, wide_mapping), &mapping, &err) < 0 ||
        mapping_bind(arena, &mapping, catalog, "dinsos", &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(mapping.blocks[0].field_count, W_FIELDS);
    assert_int_equal(mapping.blocks[0].column_count, W_COLUMNS);
    return mapping;
}

static void wide_fill(struct value columns[W_COLUMNS])
{
    columns[WC_NIK] = value_text("6402");
    columns[WC_STAGE] = value_text("B");
    columns[WC_SEJAK] = value_text("2026-11-20 09:14:07");
    columns[WC_PKH] = value_text("Y   ");
    columns[WC_DIHAPUS] = value_null();
    columns[WC_NO_SK] = value_text("SK 1");
    columns[WC_BY] = value_text("petugas17");
}

static void a_row_belongs_when_every_condition_holds(void **state)
{
    static const struct {
        int column;
        const char *text; /* NULL: NULL */
        bool in;
    } table[] = {
        { WC_PKH, "Y   ", true },  { WC_PKH, "YA BENAR", true }, { WC_PKH, "YA", false },   { WC_PKH, "T", false },
        { WC_PKH, "", false },     { WC_PKH, NULL, false },      { WC_STAGE, "A", true },   { WC_STAGE, "C", false },
        { WC_DIHAPUS, "", false }, { WC_NO_SK, "", true },       { WC_NO_SK, NULL, false },
    };
    struct mapping mapping = wide_built();

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct value columns[W_COLUMNS];

        wide_fill(columns);
        assert_true(row_in(&mapping.blocks[0], columns));
        columns[table[i].column] = table[i].text ? value_text(table[i].text) : value_null();
        assert_int_equal(row_in(&mapping.blocks[0], columns), table[i].in);
        columns[table[i].column] = (struct value){ 0 };
        assert_false(row_in(&mapping.blocks[0], columns));
    }
}

static void constants_zones_and_unknown_codes_are_read(void **state)
{
    struct mapping mapping = wide_built();
    struct value columns[W_COLUMNS], fields[W_FIELDS];
    struct text key;
    struct error err = { 0 };

    (void)state;
    wide_fill(columns);
    assert_int_equal(row_read(arena, &mapping.blocks[0], columns, fields, &err), 0);
    ASSERT_TEXT(fields[W_PROGRAM], "PKH");
    ASSERT_TEXT(fields[W_RANK], "2.0");
    ASSERT_TEXT(fields[W_STAGE], "leave");
    ASSERT_TEXT(fields[W_SINCE], "2026-11-20T01:14:07.000000Z");
    key = row_key(arena, &mapping.blocks[0], columns, fields);
    assert_string_equal(key.bytes, "6402\037PKH");
    columns[WC_STAGE] = value_text("Z");
    assert_int_equal(row_read(arena, &mapping.blocks[0], columns, fields, &err), 0);
    assert_int_equal(fields[W_STAGE].state, VALUE_NULL);
}

static void a_row_that_comes_in_gets_what_the_conditions_want(void **state)
{
    struct mapping mapping = wide_built();
    const struct mapping_block *wide = &mapping.blocks[0];
    struct value columns[W_COLUMNS] = { 0 }, fields[W_FIELDS] = { 0 };
    struct error err = { 0 };

    (void)state;
    fields[W_NIK] = value_text("6402");
    fields[W_PROGRAM] = value_text("PKH");
    fields[W_STAGE] = value_null();
    fields[W_SINCE] = value_text("2026-11-20T01:14:07.000000Z");
    assert_int_equal(row_write(arena, wide, fields, columns, &err), 0);
    ASSERT_TEXT(columns[WC_SEJAK], "2026-11-20 09:14:07.000000+08:00:00");
    assert_int_equal(columns[WC_PKH].state, VALUE_ABSENT);
    assert_int_equal(row_enter(wide, columns, &err), ERR_REJECT);
    assert_string_equal(err.text, "column no_sk of public.bantuan must have a value for a row of block pkh");
    columns[WC_NO_SK] = value_text("SK 1");
    assert_int_equal(row_enter(wide, columns, &err), 0);
    ASSERT_TEXT(columns[WC_PKH], "Y");
    ASSERT_TEXT(columns[WC_STAGE], "A");
    assert_int_equal(columns[WC_DIHAPUS].state, VALUE_NULL);
    assert_true(row_in(wide, columns));
}

static void what_is_another_blocks_is_not_written(void **state)
{
    static const struct {
        int field;
        const char *value, *why; /* value NULL: NULL */
    } table[] = {
        { W_PROGRAM, "BPNT", "block pkh holds only records whose program is another one" },
        { W_PROGRAM, NULL, "block pkh holds only records whose program is another one" },
        { W_STAGE, "left",
          "column stage of public.bantuan cannot hold this value: the row would no longer belong to block pkh" },
    };
    struct mapping mapping = wide_built();

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct value columns[W_COLUMNS] = { 0 }, fields[W_FIELDS] = { 0 };
        struct error err = { 0 };

        fields[table[i].field] = table[i].value ? value_text(table[i].value) : value_null();
        assert_int_equal(row_write(arena, &mapping.blocks[0], fields, columns, &err), ERR_REJECT);
        assert_string_equal(err.text, table[i].why);
    }
}

static void a_key_finds_its_columns(void **state)
{
    static const char natural[] = "6402\037PKH", other[] = "6402\037BPNT", generated[] = "64.02\03717";
    struct mapping mapping = wide_built();
    struct value found[KEY_COLUMNS_MAX], columns[3], fields[2] = { 0 };
    struct error err = { 0 };
    struct text key;

    (void)state;
    assert_int_equal(row_key_columns(arena, &mapping.blocks[0], (struct text){ natural, strlen(natural) }, found, &err),
                     0);
    ASSERT_TEXT(found[0], "6402");
    assert_int_equal(row_key_columns(arena, &mapping.blocks[0], (struct text){ other, strlen(other) }, found, &err),
                     ERR_REJECT);
    assert_int_equal(
        row_key_columns(arena, &mapping.blocks[1], (struct text){ generated, strlen(generated) }, found, &err), 0);
    ASSERT_TEXT(found[0], "64.02");
    ASSERT_TEXT(found[1], "17");
    assert_int_equal(mapping.blocks[1].column_count, 3);
    columns[0] = value_text("6402");
    columns[1] = found[0];
    columns[2] = found[1];
    key = row_key(arena, &mapping.blocks[1], columns, NULL);
    assert_string_equal(key.bytes, generated);
    assert_int_equal(row_key(arena, &mapping.blocks[1], NULL, fields).length, 0);
    assert_int_equal(row_unkey(arena, &mapping.blocks[1], key, fields, &err), 0);
    assert_int_equal(fields[0].state, VALUE_ABSENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_becomes_canonical_fields),
        cmocka_unit_test(null_and_absent_columns_make_null_and_absent_fields),
        cmocka_unit_test(what_cannot_be_translated_is_absent_and_counted),
        cmocka_unit_test(the_first_of_several_reasons_is_told),
        cmocka_unit_test(parts_that_are_too_long_together_are_refused),
        cmocka_unit_test(fields_become_columns_again),
        cmocka_unit_test(null_and_absent_fields_make_null_and_absent_columns),
        cmocka_unit_test(a_value_without_a_local_spelling_is_refused),
        cmocka_unit_test(empty_parts_survive_both_ways),
        cmocka_unit_test(a_key_is_its_fields_joined),
        cmocka_unit_test(a_row_without_its_key_has_none),
        cmocka_unit_test(a_key_of_another_number_of_parts_is_refused),
        cmocka_unit_test(a_row_belongs_when_every_condition_holds),
        cmocka_unit_test(constants_zones_and_unknown_codes_are_read),
        cmocka_unit_test(a_row_that_comes_in_gets_what_the_conditions_want),
        cmocka_unit_test(what_is_another_blocks_is_not_written),
        cmocka_unit_test(a_key_finds_its_columns),
    };

    return cmocka_run_group_tests(tests, block_setup, block_teardown);
}
