/* The file of corrections as a clerk opens it. */
#include "agents/csv/corrections.h"
#include "agents/csv/list_fixture.h"
#include "agents/csv/sheet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static const char *part; /* of the list, that lines are to name */

static const char *corrections_of(const char *should, const char *said, const char *was, struct reason reason)
{
    struct correction_reason reasons[F_COUNT], row = { reason, "" };
    struct correction correction = { .block = fixture.block,
                                     .spellings = fixture.spellings,
                                     .part = part,
                                     .key = { "1", 1 },
                                     .sides = { list_fields(&fixture, should), list_fields(&fixture, said) },
                                     .was = { was, (uint32_t)strlen(was) },
                                     .fields = reasons,
                                     .row = row };
    struct buffer out = { 0 };
    struct error err;
    const char *text;

    for (int i = 0; i < F_COUNT; i++)
        reasons[i] = row;
    assert_int_equal(corrections_add(&correction, ';', &out, &err), 0);
    text = arena_copy(fixture.arena, out.bytes, out.length);
    buffer_free(&out);
    return text;
}

static void a_cell_says_what_to_type_and_why(void **state)
{
    const struct reason put_back = { { "put back", 8 }, { "dinsos", 6 }, { "not allowed", 11 }, { "", 0 } },
                        none = { 0 };

    (void)state;
    assert_string_equal(corrections_of("1|A|1980-01-02|42000.50|true", "1|A|1980-01-02|42000.50|false", "", put_back),
                        "\"1\";\"Berhak\";\"TIDAK\";\"YA\";\"ditetapkan oleh dinsos (pemilik data)\";"
                        "\"decided by dinsos (owner of this data)\";\"\"\r\n");
    assert_string_equal(corrections_of("1|A|1980-01-02|42000.50|-", "1|A|-|-|-", "", none),
                        "\"1\";\"Lahir\";\"\";\"02/01/1980\";\"diubah oleh instansi lain\";\"changed by another "
                        "agency\";\"\"\r\n"
                        "\"1\";\"Iuran\";\"\";\"42000,50\";\"diubah oleh instansi lain\";\"changed by another "
                        "agency\";\"\"\r\n");
    assert_non_null(
        strstr(corrections_of(NULL, "1|A|-|-|-", "", none), "\"1\";\"(hapus baris ini / remove this row)\""));
    assert_non_null(strstr(corrections_of("1|A|-|-|-", NULL, "", none), "\"1\";\"(tambah baris ini / add this row)\""));
    assert_non_null(strstr(corrections_of("1|A|-|-|-", "9|A|-|-|-", "9", none), "\"9\";\"NIK\";\"9\";\"1\";"));
}

static void what_a_spreadsheet_would_spoil_has_an_apostrophe(void **state)
{
    static const struct {
        const char *name, *written;
    } cases[] = {
        { "=1+1", "\"'=1+1\"" },
        { "+62", "\"'+62\"" },
        { "-1", "\"'-1\"" },
        { "@x", "\"'@x\"" },
        { "\t=1", "\"'=1\"" },
        { "\r\n =1", "\"'=1\"" },
        { "0811", "\"'0811\"" },
        { "6402061505780003", "\"'6402061505780003\"" },
        { "0", "\"0\"" },
        { "12345678901", "\"12345678901\"" },
        { "Jl. \"A\"; 5", "\"Jl. \"\"A\"\"; 5\"" },
    };
    const struct reason none = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *should = arena_printf(fixture.arena, "1|%s|-|-|-", cases[i].name);
        const char *text = corrections_of(should, "1|x|-|-|-", "", none);
        const char *wanted = arena_printf(fixture.arena, "\"1\";\"Nama\";\"x\";%s;\"diubah", cases[i].written);

        if (strncmp(text, wanted, strlen(wanted)) != 0)
            fail_msg("%s: %s", cases[i].name, text);
    }
}

/* Typed in with its apostrophe, a cell is what it should be. */
static void the_apostrophe_may_be_typed_in(void **state)
{
    static const char *const names[] = { "=1", "0811", "6402061505780003", "+62" };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_true(cell_same(value_text(arena_printf(fixture.arena, "'%s", names[i])), value_text(names[i])));
}

/* What makes a row one of the block is told with it, and what would end that instead of its removal. */
static void a_row_of_a_block_with_conditions_is_told_what_makes_it_one(void **state)
{
    static const char before[] = "    delete = row\n";
    const char *delete = strstr(list_mapping, before);
    const struct reason none = { 0 };
    char mapping[2048];
    const char *text;

    (void)state;
    snprintf(mapping, sizeof mapping,
             "%.*s    delete = \"set Status BERHENTI\"\n    where\n        Status = AKTIF\n        Berhak = YA\n%s",
             (int)(delete - list_mapping), list_mapping, delete + sizeof before - 1);
    arena_free(&fixture.arena);
    list_fixture_of(&fixture, list_catalog, mapping);
    part = "pkh";
    text = corrections_of("1|A|-|-|-", NULL, "", none);
    assert_non_null(strstr(text, "\"1\";\"(tambah baris ini / add this row)\""));
    assert_non_null(strstr(text, "\"1\";\"Status\";\"\";\"AKTIF\""));
    assert_non_null(strstr(text, "\"1\";\"Berhak\";\"\";\"YA\""));
    assert_null(strstr(strstr(text, "\"Berhak\"") + 1, "\"Berhak\""));
    assert_non_null(strstr(text, ";\"\";\"pkh\"\r\n"));
    text = corrections_of(NULL, "1|A|-|-|true", "", none);
    assert_non_null(strstr(text, "\"1\";\"Status\";\"AKTIF\";\"BERHENTI\""));
    assert_null(strstr(text, "remove this row"));
    assert_null(strstr(corrections_of("1|B|-|-|true", "1|A|-|-|true", "", none), "Status"));
    fixture.mapping.blocks[0].shared = true;
    text = corrections_of("1|A|-|-|true", NULL, "", none);
    assert_null(strstr(text, "add this row")); /* another block has it */
    assert_null(strstr(text, "NIK"));
    assert_non_null(strstr(text, "\"1\";\"Status\";\"\";\"AKTIF\""));
    part = NULL;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        UNIT(a_cell_says_what_to_type_and_why),
        UNIT(what_a_spreadsheet_would_spoil_has_an_apostrophe),
        UNIT(the_apostrophe_may_be_typed_in),
        UNIT(a_row_of_a_block_with_conditions_is_told_what_makes_it_one),
    };

    return cmocka_run_group_tests_name("corrections", tests, NULL, NULL);
}
