#include "proto/cursor.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* clang-format off */
#define BYTES(literal) { (literal), sizeof(literal) - 1 }
/* clang-format on */

static struct cursor cursor_of(struct text bytes)
{
    struct cursor cursor;

    cursor_start(&cursor, "test", bytes.bytes, bytes.length, NULL);
    return cursor;
}

static void assert_problem(struct cursor *cursor, const char *expected)
{
    struct error err = { 0 };

    assert_int_equal(cursor_finish(cursor, &err), ERR_REJECT);
    assert_string_equal(err.text, expected);
}

static void an_integer_of_any_width_is_read(void **state)
{
    static const struct {
        struct text bytes;
        uint64_t number;
    } integers[] = {
        { BYTES("\x00"), 0 },
        { BYTES("\x7f"), 127 },
        { BYTES("\xcc\x05"), 5 },
        { BYTES("\xcc\xff"), 255 },
        { BYTES("\xcd\x01\x00"), 256 },
        { BYTES("\xce\xff\xff\xff\xff"), UINT32_MAX },
        { BYTES("\xcf\x00\x00\x00\x00\x00\x00\x00\x07"), 7 },
        { BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), UINT64_MAX },
        { BYTES("\xd0\x7f"), 127 },
        { BYTES("\xd1\x7f\xff"), 32767 },
        { BYTES("\xd2\x00\x00\x00\x09"), 9 },
        { BYTES("\xd3\x7f\xff\xff\xff\xff\xff\xff\xff"), INT64_MAX },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(integers); i++) {
        struct cursor cursor = cursor_of(integers[i].bytes);
        struct error err;

        assert_int_equal(cursor_uint(&cursor, "number", 0, UINT64_MAX), integers[i].number);
        assert_int_equal(cursor_finish(&cursor, &err), 0);
    }
}

static void a_signed_integer_of_any_width_is_read(void **state)
{
    static const struct {
        struct text bytes;
        int64_t number;
    } integers[] = {
        { BYTES("\xff"), -1 },
        { BYTES("\xe0"), -32 },
        { BYTES("\xd0\x80"), -128 },
        { BYTES("\xd1\xff\xff"), -1 },
        { BYTES("\xd2\x80\x00\x00\x00"), INT32_MIN },
        { BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), INT64_MIN },
        { BYTES("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), INT64_MAX },
        { BYTES("\x05"), 5 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(integers); i++) {
        struct cursor cursor = cursor_of(integers[i].bytes);
        struct error err;

        assert_int_equal(cursor_int(&cursor, "number", INT64_MIN, INT64_MAX), integers[i].number);
        assert_int_equal(cursor_finish(&cursor, &err), 0);
    }
}

static void an_integer_beyond_its_bounds_is_refused(void **state)
{
    struct cursor cursor = cursor_of((struct text)BYTES("\x05"));

    (void)state;
    assert_int_equal(cursor_uint(&cursor, "number", 0, 4), 0);
    assert_problem(&cursor, "test: at byte 0: expected an integer from 0 to 4, found another");

    cursor = cursor_of((struct text)BYTES("\x05"));
    assert_int_equal(cursor_uint(&cursor, "number", 6, 9), 0);
    assert_problem(&cursor, "test: at byte 0: expected an integer from 6 to 9, found another");

    cursor = cursor_of((struct text)BYTES("\xff"));
    assert_int_equal(cursor_uint(&cursor, "number", 0, UINT64_MAX), 0);
    assert_problem(&cursor, "test: at byte 0: expected an integer that is not negative, found a negative integer");

    /* As an int64_t it would be negative, and within the bounds. */
    cursor = cursor_of((struct text)BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"));
    assert_int_equal(cursor_int(&cursor, "number", -5, 5), 0);
    assert_problem(&cursor, "test: at byte 0: expected an integer from -5 to 5, found another");

    cursor = cursor_of((struct text)BYTES("\xd3\x7f\xff\xff\xff\xff\xff\xff\xff"));
    assert_int_equal(cursor_time(&cursor, "time"), 0);
    assert_false(cursor_ok(&cursor));
}

static void what_no_message_holds_is_refused(void **state)
{
    static const struct {
        struct text bytes;
        const char *found;
    } foreign[] = {
        { BYTES("\xc1"), "a byte that MessagePack does not use" },
        { BYTES("\xca\x00\x00\x00\x00"), "a float" },
        { BYTES("\xcb\x00\x00\x00\x00\x00\x00\x00\x00"), "a float" },
        { BYTES("\x80"), "a map" },
        { BYTES("\xde\x00\x00"), "a map" },
        { BYTES("\xdf\x00\x00\x00\x00"), "a map" },
        { BYTES("\xc7\x00\x01"), "an extension" },
        { BYTES("\xc8\x00\x00\x01"), "an extension" },
        { BYTES("\xc9\x00\x00\x00\x00\x01"), "an extension" },
        { BYTES("\xd4\x01\x00"), "an extension" },
        { BYTES("\xd8\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "an extension" },
        { BYTES(""), "the end of the bytes" },
        { BYTES("\xcd\x00"), "the end of the bytes" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(foreign); i++) {
        struct cursor cursor = cursor_of(foreign[i].bytes);
        struct error err = { 0 };

        cursor_text(&cursor, "word");
        assert_int_equal(cursor_finish(&cursor, &err), ERR_REJECT);
        assert_string_equal(err.text + strlen("test: at byte 0: expected text, found "), foreign[i].found);
    }
}

static void text_of_any_width_is_read(void **state)
{
    static const struct text spellings[] = {
        BYTES("\xa3nik"),
        BYTES("\xd9\x03nik"),
        BYTES("\xda\x00\x03nik"),
        BYTES("\xdb\x00\x00\x00\x03nik"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT(spellings); i++) {
        struct cursor cursor = cursor_of(spellings[i]);
        struct text text = cursor_name(&cursor, "word");
        struct error err;

        assert_int_equal(text.length, 3);
        assert_memory_equal(text.bytes, "nik", 3);
        assert_int_equal(cursor_finish(&cursor, &err), 0);
    }
}

static void text_is_utf8_without_nul(void **state)
{
    static const struct {
        struct text bytes;
        bool good;
    } texts[] = {
        { BYTES("\xa0"), true },
        { BYTES("\xa2\xc3\xa9"), true },
        { BYTES("\xa4\xf0\x9f\x8c\xb4"), true },
        { BYTES("\xa3\x61\x00\x62"), false },
        { BYTES("\xa2\xc3\x28"), false },
        { BYTES("\xa1\xc3"), false },
        { BYTES("\xa2\xc0\x80"), false },
        { BYTES("\xa3\xed\xa0\x80"), false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct cursor cursor = cursor_of(texts[i].bytes);

        cursor_text(&cursor, "word");
        assert_int_equal(cursor_ok(&cursor), texts[i].good);
        cursor = cursor_of(texts[i].bytes);
        cursor_value(&cursor, "word");
        assert_int_equal(cursor_ok(&cursor), texts[i].good);
    }
}

static void a_name_has_small_letters_digits_and_underscores(void **state)
{
    static const struct {
        const char *name;
        bool good;
    } names[] = {
        { "a", true },
        { "peserta_jkn", true },
        { "x9", true },
        { "", false },
        { "9x", false },
        { "_a", false },
        { "Nik", false },
        { "a-b", false },
        { "a b", false },
        { "caf\xc3\xa9", false },
        { "a.b", false },
        { "a`", false },
        { "a{", false },
        { "a/", false },
        { "a:", false },
        { "abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuvwxyz_0123456789", false }, /* 64 */
        { "abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuvwxyz_012345678", true },   /* 63 */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        char bytes[80] = { (char)0xd9, (char)strlen(names[i].name) };
        struct cursor cursor;

        snprintf(bytes + 2, sizeof bytes - 2, "%s", names[i].name);
        cursor = cursor_of((struct text){ bytes, (uint32_t)strlen(names[i].name) + 2 });
        cursor_name(&cursor, "word");
        assert_int_equal(cursor_ok(&cursor), names[i].good);
    }
}

static void nil_stands_only_where_it_may(void **state)
{
    struct text nil = BYTES("\xc0");
    struct cursor cursor = cursor_of(nil);
    uint8_t bytes[4] = { 1, 1, 1, 1 };

    (void)state;
    assert_int_equal(cursor_value(&cursor, "value").state, VALUE_NULL);
    assert_true(cursor_ok(&cursor));
    cursor = cursor_of(nil);
    assert_int_equal(cursor_text_or_nil(&cursor, "key").length, 0);
    assert_true(cursor_ok(&cursor));
    cursor = cursor_of(nil);
    cursor_bytes_or_nil(&cursor, "hash", bytes, sizeof bytes);
    assert_true(cursor_ok(&cursor));
    assert_int_equal(bytes[0] + bytes[3], 0);

    cursor = cursor_of(nil);
    cursor_text(&cursor, "key");
    assert_problem(&cursor, "test: at byte 0: expected text, found nil");
    cursor = cursor_of(nil);
    cursor_bool(&cursor, "final");
    assert_problem(&cursor, "test: at byte 0: expected true or false, found nil");
    cursor = cursor_of(nil);
    cursor_bytes(&cursor, "hash", bytes, sizeof bytes);
    assert_problem(&cursor, "test: at byte 0: expected bin, found nil");
    /* Empty text would be read as nil, and something would be lost. */
    cursor = cursor_of((struct text)BYTES("\xa0"));
    cursor_text_or_nil(&cursor, "key");
    assert_problem(&cursor, "test: at byte 0: expected nil or text that is not empty, found empty text");
}

static void bin_has_exactly_its_length(void **state)
{
    struct cursor cursor = cursor_of((struct text)BYTES("\xc4\x04\x01\x02\x03\x04"));
    uint8_t bytes[5];

    (void)state;
    cursor_bytes(&cursor, "token", bytes, 4);
    assert_true(cursor_ok(&cursor));
    assert_memory_equal(bytes, "\x01\x02\x03\x04", 4);
    cursor = cursor_of((struct text)BYTES("\xc5\x00\x04\x01\x02\x03\x04"));
    cursor_bytes(&cursor, "token", bytes, 5);
    assert_problem(&cursor, "test: at byte 0: expected bin of 5 bytes, found one of 4");
    cursor = cursor_of((struct text)BYTES("\xc4\x04\x01\x02\x03\x04"));
    cursor_bytes(&cursor, "token", bytes, 3);
    assert_problem(&cursor, "test: at byte 0: expected bin of 3 bytes, found one of 4");
    cursor = cursor_of((struct text)BYTES("\xc6\x00\x00\x00\x05\x01\x02\x03\x04"));
    cursor_bytes(&cursor, "token", bytes, 5);
    assert_problem(&cursor, "test: at byte 0: 5 bytes cannot stand in the 4 that are left");
}

static void a_value_has_a_quarter_of_a_megabyte_at_most(void **state)
{
    uint32_t length = VALUE_LENGTH_MAX + 1;
    char *bytes = malloc(5 + length);
    struct cursor cursor;

    (void)state;
    assert_non_null(bytes);
    memset(bytes, 'x', 5 + length);
    memcpy(bytes, "\xdb\x00\x04\x00\x01", 5);
    cursor = cursor_of((struct text){ bytes, 5 + length });
    cursor_value(&cursor, "new");
    assert_problem(&cursor, "test: at byte 0: a value has at most 262144 bytes");
    bytes[4] = 0;
    cursor = cursor_of((struct text){ bytes, 5 + length - 1 });
    assert_int_equal(cursor_value(&cursor, "new").length, VALUE_LENGTH_MAX);
    assert_true(cursor_ok(&cursor));
    free(bytes);
}

static void a_count_is_held_against_the_bytes_that_are_left(void **state)
{
    struct cursor cursor = cursor_of((struct text)BYTES("\xdc\x00\x03\x01\x02\x03"));

    (void)state;
    assert_int_equal(cursor_list(&cursor, "list", 0, 10, 1), 3);
    cursor = cursor_of((struct text)BYTES("\xdc\x00\x04\x01\x02\x03"));
    assert_int_equal(cursor_list(&cursor, "list", 0, 10, 1), 0);
    assert_problem(&cursor, "test: at byte 0: 4 elements cannot stand in the 3 bytes that are left");
    cursor = cursor_of((struct text)BYTES("\x93\x01\x02\x03"));
    assert_int_equal(cursor_list(&cursor, "list", 0, 10, 2), 0);
    assert_false(cursor_ok(&cursor));
    cursor = cursor_of((struct text)BYTES("\xdd\xff\xff\xff\xff"));
    assert_int_equal(cursor_list(&cursor, "list", 0, UINT32_MAX, 1), 0);
    assert_false(cursor_ok(&cursor));
    cursor = cursor_of((struct text)BYTES("\x93\x01\x02\x03"));
    assert_int_equal(cursor_list(&cursor, "list", 0, 2, 1), 0);
    assert_problem(&cursor, "test: at byte 0: expected an array of at most 2, found one of 3");
    cursor = cursor_of((struct text)BYTES("\x93\x01\x02\x03"));
    cursor_tuple(&cursor, "list", 2);
    assert_problem(&cursor, "test: at byte 0: expected an array of 2, found one of 3");
}

static void arrays_are_nested_twelve_levels_deep_at_most(void **state)
{
    static const char deep[] = "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x01";
    struct cursor cursor = cursor_of((struct text)BYTES(deep));

    (void)state;
    for (int i = 0; i < CURSOR_DEPTH_MAX; i++)
        cursor_tuple(&cursor, "level", 1);
    assert_true(cursor_ok(&cursor));
    cursor_tuple(&cursor, "level", 1);
    assert_false(cursor_ok(&cursor));
    assert_non_null(strstr(cursor.problem, "arrays are nested more than 12 levels deep"));
}

static void the_first_problem_is_the_one_that_is_told_with_its_place(void **state)
{
    /* [ [ [1 "a"] [1 true] ] ] */
    struct cursor cursor = cursor_of((struct text)BYTES("\x91\x92\x92\x01\xa1\x61\x92\x01\xc3"));
    uint32_t count;

    (void)state;
    cursor_tuple(&cursor, "message", 1);
    count = cursor_list(&cursor, "pieces", 0, 10, 1);
    assert_int_equal(count, 2);
    for (uint32_t i = 0; i < count; i++) {
        cursor_tuple(&cursor, NULL, 2);
        cursor_uint(&cursor, "lsn", 0, 9);
        cursor_name(&cursor, "block");
        cursor_leave(&cursor);
    }
    cursor_leave(&cursor);
    cursor_leave(&cursor);
    assert_int_equal(cursor_uint(&cursor, "more", 1, 9), 0);
    assert_problem(&cursor, "test: pieces[1].block, at byte 8: expected text, found true");
}

static void after_a_problem_everything_is_empty(void **state)
{
    struct cursor cursor = cursor_of((struct text)BYTES("\xc3\x05\xa1\x61\x93\x01\x02\x03\xc3"));
    uint8_t bytes[2] = { 7, 7 };

    (void)state;
    cursor_uint(&cursor, "first", 0, 9);
    assert_int_equal(cursor_uint(&cursor, "x", 0, 9), 0);
    assert_int_equal(cursor_int(&cursor, "x", 0, 9), 0);
    assert_int_equal(cursor_text(&cursor, "x").length, 0);
    assert_int_equal(cursor_list(&cursor, "x", 0, 9, 1), 0);
    assert_int_equal(cursor_value(&cursor, "x").state, VALUE_NULL);
    assert_false(cursor_bool(&cursor, "x"));
    assert_false(cursor_nil(&cursor));
    cursor_bytes(&cursor, "x", bytes, 2);
    assert_int_equal(bytes[0] + bytes[1], 0);
    cursor_leave(&cursor);
    assert_problem(&cursor, "test: at byte 0: expected an integer that is not negative, found true");

    /* Not even what would be right there. */
    cursor = cursor_of((struct text)BYTES("\xc3\xc3\xc0"));
    cursor_uint(&cursor, "first", 0, 9);
    assert_false(cursor_bool(&cursor, "x"));
    assert_false(cursor_nil(&cursor));
}

static void bytes_behind_the_end_are_refused(void **state)
{
    struct cursor cursor = cursor_of((struct text)BYTES("\x01\x02\x03"));

    (void)state;
    cursor_uint(&cursor, "number", 0, 9);
    assert_problem(&cursor, "test: at byte 1: the end is here, but bytes stand behind it (2)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_integer_of_any_width_is_read),
        cmocka_unit_test(a_signed_integer_of_any_width_is_read),
        cmocka_unit_test(an_integer_beyond_its_bounds_is_refused),
        cmocka_unit_test(what_no_message_holds_is_refused),
        cmocka_unit_test(text_of_any_width_is_read),
        cmocka_unit_test(text_is_utf8_without_nul),
        cmocka_unit_test(a_name_has_small_letters_digits_and_underscores),
        cmocka_unit_test(nil_stands_only_where_it_may),
        cmocka_unit_test(bin_has_exactly_its_length),
        cmocka_unit_test(a_value_has_a_quarter_of_a_megabyte_at_most),
        cmocka_unit_test(a_count_is_held_against_the_bytes_that_are_left),
        cmocka_unit_test(arrays_are_nested_twelve_levels_deep_at_most),
        cmocka_unit_test(the_first_problem_is_the_one_that_is_told_with_its_place),
        cmocka_unit_test(after_a_problem_everything_is_empty),
        cmocka_unit_test(bytes_behind_the_end_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
