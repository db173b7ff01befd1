/* What a list holds, and where it is broken. */
#include "agents/csv/encoding.h"
#include "agents/csv/sheet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* One list, read whole: its rows as "line:a|b;" and its reasons. */
struct reading {
    struct arena *arena;
    struct refusals refusals;
    char rows[4096];
    uint32_t row_count;
    bool complete;
    char separator;
    char ignored[256];
};

static const char *const titles[] = { "NIK", "Nama Peserta", "No. HP" };

static void on_row(void *context, const struct sheet_row *row)
{
    struct reading *reading = context;
    size_t used = strlen(reading->rows);

    used += (size_t)snprintf(reading->rows + used, sizeof reading->rows - used, "%u:", row->line);
    for (int i = 0; i < 3; i++)
        used += (size_t)snprintf(reading->rows + used, sizeof reading->rows - used, "%s%.*s", i ? "|" : "",
                                 row->cells[i].state == VALUE_SET ? (int)row->cells[i].length : 1,
                                 row->cells[i].state == VALUE_SET ? row->cells[i].bytes : "-");
    snprintf(reading->rows + used, sizeof reading->rows - used, ";");
}

static struct reading *read_bytes(const char *text, size_t length, bool short_rows)
{
    struct reading *reading = calloc(1, sizeof *reading);
    const struct sheet_options options = { titles, 3, 5, short_rows };
    struct encoding_scan scan = { 0 };
    enum encoding encoding;
    struct sheet *sheet;
    uint32_t line = 0;

    reading->arena = reading->refusals.arena = arena_new();
    sheet = sheet_new(&options, &reading->refusals, on_row, reading);
    for (int pass = 0; pass < 2; pass++) {
        encoding = pass ? encoding_decide(&scan, &reading->refusals) : ENCODING_UTF8;
        for (const char *at = text; at < text + length;) {
            const char *end = memchr(at, '\n', (size_t)(text + length - at));
            size_t size = end ? (size_t)(end - at) + 1 : (size_t)(text + length - at);

            if (pass == 0)
                encoding_scan(&scan, at, size, &reading->refusals);
            else
                sheet_line(sheet, encoding_line(reading->arena, encoding, ++line, at, size, &reading->refusals));
            at += size;
        }
    }
    sheet_end(sheet);
    reading->row_count = sheet_rows(sheet);
    reading->complete = sheet_complete(sheet);
    reading->separator = sheet_separator(sheet);
    snprintf(reading->ignored, sizeof reading->ignored, "%s", sheet_ignored(sheet));
    sheet_free(&sheet);
    return reading;
}

static struct reading *read_text(const char *text)
{
    return read_bytes(text, strlen(text), false);
}

static void reading_free(struct reading *reading)
{
    arena_free(&reading->arena);
    free(reading);
}

static void assert_rows(const char *text, const char *rows)
{
    struct reading *reading = read_text(text);

    assert_string_equal(refusals_first(reading->arena, &reading->refusals), "");
    assert_string_equal(reading->rows, rows);
    reading_free(reading);
}

/* The first reason is this kind, at this line and column. */
static void assert_refused_bytes(const char *text, size_t length, enum refusal_kind kind, uint32_t line,
                                 uint32_t column)
{
    struct reading *reading = read_bytes(text, length, false);

    assert_true(reading->refusals.count > 0);
    assert_int_equal(reading->refusals.list[0].kind, kind);
    assert_int_equal(reading->refusals.list[0].lines[0], line);
    assert_int_equal(reading->refusals.list[0].column, column);
    reading_free(reading);
}

static void assert_refused(const char *text, enum refusal_kind kind, uint32_t line, uint32_t column)
{
    assert_refused_bytes(text, strlen(text), kind, line, column);
}

#define HEADER "NIK;Nama Peserta;No. HP\r\n"

static void rows_come_with_their_lines(void **state)
{
    (void)state;
    assert_rows(HEADER "1;Siti;0812\r\n\r\n2;\"Ali; \"\"A\"\"\";\r\n", "2:1|Siti|0812;4:2|Ali; \"A\"|-;");
    assert_rows(HEADER "1;\"two\nlines\";\r\n2;b;c\n", "2:1|two\nlines|-;4:2|b|c;");
    assert_rows(HEADER ";;\r\n1;a;b\r\n", "3:1|a|b;");
}

static void what_people_write_above_the_titles_is_passed_over(void **state)
{
    char text[2048] = "";

    (void)state;
    assert_rows("DAFTAR PESERTA JKN;;\nKecamatan Tenggarong, 20 November 2026\n\nNIK;Nama Peserta;No. HP\n1;Siti;08\n",
                "5:1|Siti|08;");
    assert_rows("\"Daftar\nPeserta\"\nNIK;Nama Peserta;No. HP\n1;Siti;08\n", "4:1|Siti|08;");
    assert_refused("Daftar\n1;Siti;08\n2;Budi;09\n", REFUSAL_TITLE_MISSING, 1, 0);
    assert_refused("Daftar\nNIK;Nama;No. HP\n1;Siti;08\n", REFUSAL_TITLE_MISSING, 2, 0); /* that is the row */
    for (int i = 0; i < 20; i++)
        strcat(text, "catatan\n");
    strcat(text, "NIK;Nama Peserta;No. HP\n1;Siti;08\n");
    assert_rows(text, "22:1|Siti|08;");
    memmove(text + 8, text, strlen(text) + 1);
    assert_refused(text, REFUSAL_TITLE_MISSING, 1, 0);
}

static void titles_decide_the_separator(void **state)
{
    (void)state;
    assert_rows("no. hp, NIK ,x,NAMA   peserta\n0812,1,y,Siti\n", "2:1|Siti|0812;");
    assert_rows("NIK\tNama Peserta\tNo. HP\n1\tSiti\t\n", "2:1|Siti|-;");
    assert_rows("sep=;\n\n\"NIK\";\"Nama\nPeserta\";\"No. HP\"\n1;a;b\n", "5:1|a|b;");
}

static void what_nobody_wants_is_named(void **state)
{
    struct reading *reading = read_text("NIK;Catatan;Nama Peserta;No. HP;Umur\n1;c;a;b;9\n");

    (void)state;
    assert_string_equal(reading->ignored, "Catatan, Umur");
    assert_int_equal(reading->refusals.count, 0);
    reading_free(reading);
}

static void cells_lose_what_is_around_them(void **state)
{
    (void)state;
    assert_rows(HEADER "'0123;  Siti  ;'+62811\n", "2:0123|Siti|+62811;");
    assert_rows(HEADER "1;'Aisyah;\" \"\n", "2:1|'Aisyah|-;");
}

static void a_list_says_that_it_is_complete(void **state)
{
    struct reading *reading = read_text("# daftar lengkap 1.002 baris;;\n" HEADER "1;a;b\n");

    (void)state;
    assert_int_equal(reading->refusals.list[0].kind, REFUSAL_ROWS_OTHER);
    assert_int_equal(reading->refusals.list[0].number, 1002);
    assert_int_equal(reading->refusals.list[0].other, 1);
    reading_free(reading);
    reading = read_text(HEADER "1;a;b\n# COMPLETE 1 rows;;\n");
    assert_true(reading->complete);
    assert_int_equal(reading->refusals.count, 0);
    assert_int_equal(reading->row_count, 1);
    reading_free(reading);
    reading = read_text(HEADER "# dicetak oleh Siti;;\n1;a;b\n");
    assert_false(reading->complete);
    assert_int_equal(reading->refusals.count, 0);
    reading_free(reading);
}

static void broken_quotes_are_found_where_they_are(void **state)
{
    (void)state;
    assert_refused(HEADER "1;a;b\n2;a\"b;c\n", REFUSAL_QUOTE, 3, 2);
    assert_refused(HEADER "1;\"a\"b;c\n", REFUSAL_QUOTE, 2, 2);
    assert_refused(HEADER "1;a;b\n2;\"open;c\n3;d;e\n", REFUSAL_QUOTE_OPEN, 3, 2);
}

static void a_table_that_is_none_is_refused(void **state)
{
    (void)state;
    assert_refused("", REFUSAL_EMPTY, 0, 0);
    assert_refused("NIK;Nama Peserta\n1;a\n", REFUSAL_TITLE_MISSING, 1, 0);
    assert_refused("NIK;Nama Peserta;No. HP;nik\n1;a;b;c\n", REFUSAL_TITLE_TWICE, 1, 4);
    assert_refused(HEADER "1;a;b\n2;a\n", REFUSAL_CELLS_FEW, 3, 0);
    assert_refused(HEADER "1;a;b;;x\n", REFUSAL_CELLS_MANY, 2, 5);
    assert_refused(HEADER "1;a;b\n2;a;b\n3;a;b\n4;a;b\n5;a;b\n6;a;b\n", REFUSAL_ROWS_MANY, 0, 0);
}

static void a_file_that_was_cut_off_is_refused(void **state)
{
    (void)state;
    assert_refused(HEADER "1;a;b\n2;a;b", REFUSAL_CUT, 3, 0);
}

static void a_workbook_may_have_short_rows(void **state)
{
    struct reading *reading = read_bytes(HEADER "1;a\n", strlen(HEADER "1;a\n"), true);

    (void)state;
    assert_int_equal(reading->refusals.count, 0);
    assert_string_equal(reading->rows, "2:1|a|-;");
    reading_free(reading);
}

static void letters_are_utf8_or_windows_1252(void **state)
{
    (void)state;
    assert_rows("\xef\xbb\xbf" HEADER "1;Jos\xc3\xa9;\n", "2:1|Jos\xc3\xa9|-;");
    assert_rows(HEADER "1;Jos\xe9 \x80;\n", "2:1|Jos\xc3\xa9 \xe2\x82\xac|-;");
    assert_refused(HEADER "1;Jos\xe9;\n2;\x81;\n", REFUSAL_BYTE, 3, 3);
    assert_refused(HEADER "1;Jos\xc3\xa9;\n2;x\xe9;\n", REFUSAL_MIXED, 3, 4);
    assert_refused("\xef\xbb\xbf" HEADER "1;Jos\xe9;\n", REFUSAL_MIXED, 2, 6);
    assert_refused_bytes("\xff\xfeN\0I\0K\0\n\0", 10, REFUSAL_UTF16, 0, 0);
    assert_refused_bytes(HEADER "1;\0;\n", strlen(HEADER) + 5, REFUSAL_NUL, 2, 3);
}

static void the_text_for_clerks_is_in_both_languages(void **state)
{
    struct reading *reading = read_text(HEADER "1;a\n2;\"x\"y;b\n");
    struct buffer out = { 0 };
    char *text;

    (void)state;
    refusals_write(&reading->refusals, "peserta.csv", &out);
    text = arena_copy(reading->arena, out.bytes, out.length);
    assert_non_null(strstr(text, "DITOLAK: peserta.csv"));
    assert_non_null(strstr(text, "baris 2: hanya 2 sel, padahal ada 3 judul"));
    assert_non_null(strstr(text, "line 3, column 2: a quotation mark"));
    buffer_free(&out);
    reading_free(reading);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_with_their_lines),
        cmocka_unit_test(what_people_write_above_the_titles_is_passed_over),
        cmocka_unit_test(titles_decide_the_separator),
        cmocka_unit_test(what_nobody_wants_is_named),
        cmocka_unit_test(cells_lose_what_is_around_them),
        cmocka_unit_test(a_list_says_that_it_is_complete),
        cmocka_unit_test(broken_quotes_are_found_where_they_are),
        cmocka_unit_test(a_table_that_is_none_is_refused),
        cmocka_unit_test(a_file_that_was_cut_off_is_refused),
        cmocka_unit_test(a_workbook_may_have_short_rows),
        cmocka_unit_test(letters_are_utf8_or_windows_1252),
        cmocka_unit_test(the_text_for_clerks_is_in_both_languages),
    };

    return cmocka_run_group_tests_name("sheet", tests, NULL, NULL);
}
