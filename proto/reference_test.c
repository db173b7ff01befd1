/* References from the catalog's file to the columns of a row. */
#include "proto/mapping.h"

#include "proto/tree_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static const char catalog_lines[] = "catalog\n"
                                    "    version = 7\n"
                                    "    agencies = dinkes\n"
                                    "record\n"
                                    "    enrolment\n"
                                    "        existence\n"
                                    "            write = dinkes\n"
                                    "        read\n"
                                    "            dinkes = law\n"
                                    "        groups\n"
                                    "            line\n"
                                    "                identifier = yes\n"
                                    "                write = dinkes\n"
                                    "        fields\n"
                                    "            person\n"
                                    "                type = reference\n"
                                    "                to = resident\n"
                                    "                group = line\n"
                                    "            year\n"
                                    "                type = integer\n"
                                    "                group = line\n"
                                    "            house\n"
                                    "                type = reference\n"
                                    "                to = household\n"
                                    "                write = dinkes\n"
                                    "    resident\n"
                                    "        existence\n"
                                    "            write = dinkes\n"
                                    "        read\n"
                                    "            dinkes = law\n"
                                    "        fields\n"
                                    "            nik\n"
                                    "                type = integer\n"
                                    "                identifier = yes\n"
                                    "                write = dinkes\n"
                                    "            home\n"
                                    "                type = reference\n"
                                    "                to = household\n"
                                    "                write = dinkes\n"
                                    "    household\n"
                                    "        existence\n"
                                    "            write = dinkes\n"
                                    "        read\n"
                                    "            dinkes = law\n"
                                    "        fields\n"
                                    "            address\n"
                                    "                type = text\n"
                                    "                write = dinkes\n";

/* A resident's key is its number, spelled in the catalog's way; a household's is what the database makes, of two
 * columns. */
static const char mapping_lines[] = "peserta\n"
                                    "    type = enrolment\n"
                                    "    table = peserta\n"
                                    "    key = \"generated id\"\n"
                                    "    fields\n"
                                    "        person\n"
                                    "            column = nik\n"
                                    "            block = warga\n"
                                    "        year\n"
                                    "            column = tahun\n"
                                    "        house\n"
                                    "            columns = \"kantor no\"\n"
                                    "            block = rumah\n"
                                    "warga\n"
                                    "    type = resident\n"
                                    "    table = warga\n"
                                    "    key = nik\n"
                                    "    fields\n"
                                    "        nik\n"
                                    "            column = nik\n"
                                    "            trim = yes\n"
                                    "rumah\n"
                                    "    type = household\n"
                                    "    table = rumah\n"
                                    "    key = \"generated kantor no\"\n"
                                    "    fields\n"
                                    "        address\n"
                                    "            column = alamat\n";
enum { PERSON, YEAR, HOUSE, FIELDS };

static struct arena *arena;

static int arena_setup(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
}

static int arena_teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

/* `text` with the first `old` replaced. */
static const char *edited(const char *text, const char *old, const char *new)
{
    const char *at = strstr(text, old);

    assert_non_null(at);
    return arena_printf(arena, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
}

static int catalog_of(const char *text, const struct catalog **ret, struct error *err)
{
    return catalog_build(arena, tree_fixture(arena, text), text, strlen(text), ret, err);
}

static int mapping_of(const char *text, struct mapping *ret, struct error *err)
{
    const struct catalog *catalog;

    assert_int_equal(catalog_of(catalog_lines, &catalog, err), 0);
    if (mapping_build(arena, tree_fixture(arena, text), ret, err) < 0)
        return err->code;
    return mapping_bind(arena, ret, catalog, "dinkes", err);
}

static const struct mapping_block *enrolments(void)
{
    struct mapping *mapping = arena_alloc(arena, sizeof *mapping);
    struct error err;

    assert_int_equal(mapping_of(mapping_lines, mapping, &err), 0);
    return &mapping->blocks[0];
}

static void what_is_referred_to_comes_first(void **state)
{
    const struct catalog *catalog;
    struct error err;

    (void)state;
    assert_int_equal(catalog_of(catalog_lines, &catalog, &err), 0);
    assert_string_equal(catalog->types[0].name, "household");
    assert_string_equal(catalog->types[1].name, "resident");
    assert_string_equal(catalog->types[2].name, "enrolment");
    assert_int_equal(catalog->types[2].fields[PERSON].refers, 1);
    assert_true(catalog->types[0].referred && catalog->types[1].referred && !catalog->types[2].referred);
    assert_true(!catalog->types[0].refers && catalog->types[1].refers && catalog->types[2].refers);
}

static void a_catalog_refuses_references_to_nothing_and_round_circles(void **state)
{
    static const struct {
        const char *old, *new, *why;
    } table[] = {
        { "to = household", "to = housold",
          "record/enrolment/fields/house/to: there is no record type \"housold\"; did you mean \"household\"?" },
        { "                to = resident\n", "",
          "record/enrolment/fields/person: has no \"to\": to which record type does it refer?" },
        { "                to = resident\n", "                to = enrolment\n",
          "record/enrolment/fields/person/to: a record cannot refer to one of its own type in this version" },
        { "                type = integer\n", "                type = integer\n                to = resident\n",
          "record/enrolment/fields/year/to: is for references only" },
        { "                to = resident\n", "                to = resident\n                pattern = \"[0-9]+\"\n",
          "record/enrolment/fields/person/pattern: is for values: a reference has none of its own" },
        { "                type = text\n", "                type = reference\n                to = enrolment\n",
          "record/enrolment: refers to a record type that, by itself or others, refers back to it: of records that "
          "need "
          "each other none could come first" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct catalog *catalog;
        struct error err = { 0 };

        assert_int_equal(catalog_of(edited(catalog_lines, table[i].old, table[i].new), &catalog, &err), ERR_REJECT);
        assert_string_equal(err.text, table[i].why);
    }
}

static void a_mapping_says_by_whose_keys(void **state)
{
    static const struct {
        const char *old, *new, *why;
    } table[] = {
        { "            block = warga\n", "",
          "mapping/peserta/fields/person: it refers to record type resident: say by the key of which block: block = "
          "warga" },
        { "block = warga", "block = rumah",
          "mapping/peserta/fields/person: the mapping has no block rumah of record type resident: warga is one" },
        { "            column = tahun\n", "            column = tahun\n            block = warga\n",
          "mapping/peserta/fields/year: \"block\" is for references, and this is integer" },
        { "            column = nik\n", "            column = nik\n            trim = yes\n",
          "mapping/peserta/fields/person: it is a reference: its columns hold a key of another row, as that row has "
          "it, "
          "without constant, codes, trim or join" },
        { "columns = \"kantor no\"", "columns = \"kantor no lagi\"",
          "mapping/peserta/fields/house: it has 3 columns, and the key of block rumah has 2: name them in that order" },
        { "key = \"generated id\"", "key = \"person year\"",
          "mapping/peserta/key: person is a reference, which another agency's database has as another key: give a "
          "column "
          "that the database fills itself, key = generated COLUMN" },
    };
    const char *none = edited(mapping_lines, strstr(mapping_lines, "rumah\n    type"), "");
    struct mapping mapping;
    struct error err = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(mapping_of(edited(mapping_lines, table[i].old, table[i].new), &mapping, &err), ERR_STOP);
        assert_string_equal(err.text, table[i].why);
    }
    assert_int_equal(mapping_of(none, &mapping, &err), ERR_STOP);
    assert_string_equal(
        err.text, "mapping/peserta/fields/house: it refers to record type household, of which this mapping has no "
                  "block: a row can say which one it means only by the key of a row here. Map the table of those "
                  "too, or leave this field out");
}

/* What hello declares is known before the catalog is. */
static void hello_declares_references_unbound(void **state)
{
    struct mapping mapping = { 0 };
    struct error err;
    struct block *blocks;

    (void)state;
    assert_int_equal(mapping_build(arena, tree_fixture(arena, mapping_lines), &mapping, &err), 0);
    blocks = mapping_declare(arena, &mapping);
    assert_int_equal(blocks[0].reference_count, 2);
    assert_memory_equal(blocks[0].references[0].field.bytes, "person", 6);
    assert_memory_equal(blocks[0].references[0].block.bytes, "warga", 5);
    assert_int_equal(blocks[1].reference_count, 0);
}

static void columns_are_a_key_as_its_own_row_has_it(void **state)
{
    const struct mapping_block *block = enrolments();
    struct value columns[] = { value_text(" 0017 "), value_text("2026"), value_text("TGR"), value_text("9"),
                               value_text("5") };
    struct value fields[FIELDS], back[5] = { 0 }, part, key;
    struct error err;

    (void)state;
    assert_int_equal(row_read(arena, block, columns, fields, &err), 0);
    assert_true(value_equal(fields[PERSON], value_text("warga\x1f"
                                                       "17")));
    assert_true(value_equal(fields[HOUSE], value_text("rumah\x1fTGR\x1f"
                                                      "9")));
    assert_true(reference_cut(fields[HOUSE], &part, &key));
    assert_true(value_equal(part, value_text("rumah")) && value_equal(key, value_text("TGR\x1f"
                                                                                      "9")));
    assert_int_equal(row_write(arena, block, fields, back, &err), 0);
    assert_true(value_equal(back[0], value_text("17")));
    assert_true(value_equal(back[2], value_text("TGR")) && value_equal(back[3], value_text("9")));
    columns[0] = value_null();
    columns[1] = (struct value){ 0 };
    assert_int_equal(row_read(arena, block, columns, fields, &err), 0);
    assert_int_equal(fields[PERSON].state, VALUE_NULL);
    columns[0] = value_text("nobody");
    assert_int_equal(row_read(arena, block, columns, fields, &err), 1);
    assert_string_equal(err.text,
                        "column nik of public.peserta holds what no key of the rows that it refers to can be");
}

static void a_number_has_no_column(void **state)
{
    const struct mapping_block *block = enrolments();
    struct value fields[FIELDS] = { 0 }, columns[5] = { 0 };
    struct error err;

    (void)state;
    fields[PERSON] = reference_to(arena, 77);
    assert_int_equal(reference_number(fields[PERSON]), 77);
    assert_int_equal(row_write(arena, block, fields, columns, &err), ERR_REJECT);
    assert_string_equal(err.text, "resident 77 is not here");
}

static void a_reference_has_one_spelling(void **state)
{
    static const char *const wrong[] = { "",
                                         "0",
                                         "017",
                                         "-1",
                                         "9223372036854775808",
                                         "warga",
                                         "warga\x1f",
                                         "Warga\x1f"
                                         "1",
                                         "\x1f"
                                         "1",
                                         "warga\x1f\xff" };
    static const char *const right[] = { "1", "9223372036854775807",
                                         "warga\x1f"
                                         "1",
                                         "warga\x1f"
                                         "a\x1f"
                                         "b" };
    struct value value;
    struct error err;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(value_parse(arena, VALUE_REFERENCE, 0, wrong[i], strlen(wrong[i]), &value, &err), ERR_REJECT);
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        assert_int_equal(value_parse(arena, VALUE_REFERENCE, 0, right[i], strlen(right[i]), &value, &err), 0);
        assert_true(value_equal(value, value_text(right[i])));
    }
    assert_int_equal(reference_number(value_text("warga\x1f"
                                                 "1")),
                     0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_referred_to_comes_first),
        cmocka_unit_test(a_catalog_refuses_references_to_nothing_and_round_circles),
        cmocka_unit_test(a_mapping_says_by_whose_keys),
        cmocka_unit_test(hello_declares_references_unbound),
        cmocka_unit_test(columns_are_a_key_as_its_own_row_has_it),
        cmocka_unit_test(a_number_has_no_column),
        cmocka_unit_test(a_reference_has_one_spelling),
    };

    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
