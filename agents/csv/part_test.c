/* Which rows of a list are a block's, and lists that have several blocks. */
#include "agents/csv/import_fixture.h"
#include "agents/csv/publish.h"

/* The mapping of the fixture with these lines instead of `delete = row`, and these at its end. */
static void setup_catalog_where(const char *catalog, const char *instead, const char *more)
{
    const char *delete = strstr(list_mapping, "    delete = row\n");
    char mapping[4096];

    snprintf(mapping, sizeof mapping, "%.*s%s%s%s", (int)(delete - list_mapping), list_mapping, instead,
             delete + strlen("    delete = row\n"), more);
    setup_with(catalog, mapping);
}

static void setup_where(const char *instead)
{
    setup_catalog_where(list_catalog, instead, "");
}

#define WHERE_HEADER COLUMNS ";Program;Status\n"

static void rows_that_are_not_of_the_block_say_nothing(void **state)
{
    (void)state;
    setup_where("    delete = row\n    where\n        Program = PKH\n        Status = AKTIF CUTI\n");
    assert_int_equal(import_all(WHERE_HEADER "1;A;;;;PKH;AKTIF\n1;A;;;;BPNT;AKTIF\n2;B;x;y;z;PKH;PINDAH\n"
                                             "3;C;;;;PKH;CUTI\n;;;;;BPNT;\n",
                                true),
                     IMPORT_TAKEN);
    assert_string_equal(waiting(0), "insert 1 (5 fields, base 100);insert 3 (5 fields, base 100);");
    assert_int_equal(import_all(WHERE_HEADER "1;A;;;;PKH;PINDAH\n3;Z;;;;BPNT;CUTI\n", false), IMPORT_TAKEN);
    assert_string_equal(waiting(1), ""); /* they may be other rows than those */
    assert_int_equal(import_all(WHERE_HEADER "1;A;;;;PKH;PINDAH\n3;Z;;;;PKH;CUTI\n", true), IMPORT_TAKEN);
    assert_string_equal(waiting(1), "delete 1 (5 fields, base 100);update 3 (1 fields, base 100);");
    assert_int_equal(import_all(WHERE_HEADER "3;Z;;;;PKH;CUTI\n3;Z;;;;PKH;AKTIF\n", true), IMPORT_REFUSED);
    assert_int_equal(refusals.list[0].kind, REFUSAL_KEY_TWICE);
}

static void a_column_says_that_a_row_is_gone(void **state)
{
    struct amend *amend;
    struct item back[] = { item_of(OPERATION_INSERT, 1, "", "nik=1,name=A") };

    (void)state;
    setup_where("    delete = \"set Status BERHENTI\"\n    where\n        Program = PKH\n        Status = AKTIF\n");
    back[0] = item_of(OPERATION_INSERT, 1, "", "nik=1,name=A");
    assert_int_equal(import_all(WHERE_HEADER "1;A;;;;PKH;AKTIF\n2;B;;;;PKH;AKTIF\n3;C;;;;PKH;AKTIF\n", true),
                     IMPORT_TAKEN);
    assert_int_equal(import_all(WHERE_HEADER "1;A;x;;;PKH;BERHENTI\n2;B;;;;BPNT;BERHENTI\n"
                                             "3;C;;;;PKH;BERHENTI\n3;C;;;;PKH;AKTIF\n4;D;;;;PKH;BERHENTI\n",
                                false),
                     IMPORT_TAKEN);
    assert_string_equal(waiting(1), "delete 1 (5 fields, base 100);");
    assert_null(should("1"));
    amend = amend_new(state_now, &fixture.mapping);
    feed_all(amend, back, 1, 300); /* the broker would not have it */
    assert_int_equal(to_correct(), 1);
    assert_int_equal(import_all(WHERE_HEADER "1;A;;;;PKH;BERHENTI\n", false), IMPORT_TAKEN);
    assert_string_equal(should("1"), "1|A|-|-|-");
    assert_int_equal(import_all(WHERE_HEADER "1;A;;;;PKH;AKTIF\n", false), IMPORT_TAKEN);
    assert_int_equal(to_correct(), 0);
    amend_free(&amend);
}

/* Or whoever is misspelt would be removed. */
static void a_code_that_is_not_known_makes_no_row_another(void **state)
{
    (void)state;
    setup_where("    delete = row\n    where\n        Berhak = YA\n");
    assert_int_equal(import_all(HEADER "1;A;;;YA\n2;B;;;TIDAK\n", true), IMPORT_TAKEN);
    assert_string_equal(waiting(0), "insert 1 (5 fields, base 100);");
    assert_int_equal(import_all(HEADER "1;A;;;Ya.\n", true), IMPORT_REFUSED);
    assert_int_equal(refusals.list[0].kind, REFUSAL_CODE);
}

static void what_makes_a_row_one_of_the_block_it_cannot_lack(void **state)
{
    struct item items[1];
    struct amend *amend;

    (void)state;
    setup_where("    delete = row\n    where\n        Lahir = not null\n");
    amend = amend_new(state_now, &fixture.mapping);
    items[0] = item_of(OPERATION_INSERT, 7, "", "nik=7,name=A");
    feed_all(amend, items, 1, 300);
    assert_string_equal(waiting(0), "parked 7;");
    assert_null(should("7"));
    amend_free(&amend);
}

/* ---- several blocks in one list ---- */

static const char enrolments[] = "    enrolment\n"
                                 "        existence\n"
                                 "            write = dinkes\n"
                                 "        read\n"
                                 "            dinkes = law\n"
                                 "        fields\n"
                                 "            program\n"
                                 "                type = text\n"
                                 "                group = which\n"
                                 "            member\n"
                                 "                type = text\n"
                                 "                group = which\n"
                                 "            amount\n"
                                 "                type = text\n"
                                 "                write = dinkes\n"
                                 "        groups\n"
                                 "            which\n"
                                 "                identifier = yes\n"
                                 "                write = dinkes\n";

/* PKH and BPNT of one sheet, each with a column that says whether and one that says how much. */
#define PROGRAM(name, title)                                                                                           \
    name "\n"                                                                                                          \
         "    type = enrolment\n    table = warga\n    key = member program\n    insert = yes\n"                       \
         "    delete = \"set " title " TIDAK\"\n    where\n        " title " = YA\n"                                   \
         "    fields\n        member\n            column = NIK\n"                                                      \
         "        amount\n            column = \"Nilai " title "\"\n"                                                  \
         "    constants\n        program = " name "\n"

static void setup_programs(void)
{
    char catalog[4096];

    snprintf(catalog, sizeof catalog, "%s%s", list_catalog, enrolments);
    setup_catalog_where(catalog, "    delete = ignore\n", PROGRAM("pkh", "PKH") PROGRAM("bpnt", "BPNT"));
}

#define PROGRAMS_HEADER COLUMNS ";PKH;Nilai PKH;BPNT;Nilai BPNT\n"

static void a_list_has_the_rows_of_all_its_blocks(void **state)
{
    struct file_name name;

    (void)state;
    setup_programs();
    name = file_name_read(&fixture.mapping, fixture.forms, "warga-1.csv");
    assert_int_equal(name.block, 0);
    assert_int_equal(
        import_all(PROGRAMS_HEADER "1;A;;;;YA;100;YA;200\n2;B;;;;YA;100;TIDAK;\n3;C;;;;TIDAK;;TIDAK;\n", true),
        IMPORT_TAKEN);
    assert_string_equal(waiting(0), "insert 1 (5 fields, base 100);insert 2 (5 fields, base 100);"
                                    "insert 3 (5 fields, base 100);insert 1\x1fpkh (3 fields, base 100);"
                                    "insert 2\x1fpkh (3 fields, base 100);insert 1\x1f"
                                    "bpnt (3 fields, base 100);");
    assert_int_equal(state_now->number, 1); /* one list is one transaction */
    assert_int_equal(import_all(PROGRAMS_HEADER "1;A;;;;TIDAK;;YA;250\n2;Z;;;;YA;100;TIDAK;\n", false), IMPORT_TAKEN);
    assert_string_equal(waiting(1), "update 2 (1 fields, base 100);delete 1\x1fpkh (3 fields, base 100);update 1\x1f"
                                    "bpnt (1 fields, base 100);");
    assert_int_equal(import_all(PROGRAMS_HEADER "1E5;A;;;;YA;100;YA;200\n1;A;;;;YA;1;YA;1\n1;A;;;;YA;1;YA;1\n", true),
                     IMPORT_REFUSED);
    assert_int_equal(refusals.count, 2); /* once for all blocks */
    assert_int_equal(refusals.list[0].kind, REFUSAL_SCIENTIFIC);
    assert_int_equal(refusals.list[0].count, 1);
    assert_int_equal(refusals.list[1].kind, REFUSAL_KEY_TWICE);
}

static void loop_end_it(void *context)
{
    loop_end(context);
}

/* The file of corrections of the list, as far as it says key, column, what stands there and what should. */
static const char *corrections_of_list(void)
{
    struct loop *loop = loop_new();
    struct folder *place = NULL;
    struct publish *publish;
    char text[4096] = "";
    struct error err;
    FILE *file;

    MUST(folder_open(loop, folder, loop_end_it, loop, &place, &err));
    publish = publish_new(state_now, place, &fixture.mapping, fixture.forms);
    while (publish_due(publish))
        MUST(publish_step(publish, &err));
    publish_free(&publish);
    folder_close(&place);
    loop_free(&loop);
    file = fopen(arena_printf(fixture.arena, "%s/koreksi/warga.csv", folder), "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    assert_int_not_equal(access(arena_printf(fixture.arena, "%s/koreksi/pkh.csv", folder), F_OK), 0);
    assert_int_equal(
        system(arena_printf(fixture.arena, "rm -r %s/koreksi %s/diterima %s/ditolak", folder, folder, folder)), 0);
    return arena_copy(fixture.arena, text, strlen(text));
}

static void the_corrections_of_all_blocks_are_in_one_file(void **state)
{
    struct item items[3];
    struct amend *amend;
    const char *text, *pkh, *bpnt;

    (void)state;
    setup_programs();
    amend = amend_new(state_now, &fixture.mapping);
    assert_int_equal(import_all(PROGRAMS_HEADER "1;A;;;;YA;100;YA;200\n2;B;;;;TIDAK;;TIDAK;\n", true), IMPORT_TAKEN);
    items[0] = item_of(OPERATION_UPDATE, 1, "1", "name=Z");
    items[1] = item_of(OPERATION_DELETE, 2, "1\x1fpkh", "");
    items[1].block = (struct text){ "pkh", 3 };
    items[2] = item_of(OPERATION_INSERT, 3, "", "member=2,program=bpnt,amount=300");
    items[2].block = (struct text){ "bpnt", 4 };
    feed_all(amend, items, 3, 300);
    text = corrections_of_list();
    assert_non_null(strstr(text, ";\"bagian / part\"\r\n"));
    assert_non_null(strstr(text, "\"1\";\"Nama\";\"A\";\"Z\""));
    pkh = strstr(text, "\"1 pkh\";\"PKH\";\"YA\";\"TIDAK\"");
    assert_non_null(pkh);
    assert_int_equal(strncmp(strchr(pkh, '\n') - 7, ";\"pkh\"\r", 7), 0);
    bpnt = strstr(text, "\"2 bpnt\";\"BPNT\";\"\";\"YA\"");
    assert_non_null(bpnt);
    assert_non_null(strstr(text, "\"2 bpnt\";\"Nilai BPNT\";\"\";\"300\""));
    assert_null(strstr(text, "add this row")); /* it is there */
    assert_int_equal(import_all(PROGRAMS_HEADER "1;Z;;;;TIDAK;;YA;200\n2;B;;;;TIDAK;;YA;300\n", true), IMPORT_TAKEN);
    assert_string_equal(waiting(2), "");
    assert_null(strchr(strchr(corrections_of_list(), '\n') + 1, '\n')); /* nothing but titles */
    amend_free(&amend);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        UNIT(rows_that_are_not_of_the_block_say_nothing),    UNIT(a_column_says_that_a_row_is_gone),
        UNIT(a_code_that_is_not_known_makes_no_row_another), UNIT(what_makes_a_row_one_of_the_block_it_cannot_lack),
        UNIT(a_list_has_the_rows_of_all_its_blocks),         UNIT(the_corrections_of_all_blocks_are_in_one_file),
    };

    return cmocka_run_group_tests_name("part", tests, NULL, NULL);
}
