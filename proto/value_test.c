#include "proto/value.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static int arena_setup(void **state)
{
    *state = arena_new();
    return 0;
}

static int arena_teardown(void **state)
{
    struct arena *arena = *state;

    arena_free(&arena);
    return 0;
}

/* One spelling and what becomes of it; NULL: refused. */
struct spelling {
    enum value_type type;
    unsigned scale;
    const char *given;
    const char *canonical;
};

static void check_spellings(struct arena *arena, const struct spelling *spellings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct spelling *spelling = &spellings[i];
        size_t length = strlen(spelling->given);
        char *given = malloc(length + 1); /* exactly as long as it says, so that reading on is seen */
        struct value value = { 0 };
        struct error err = { 0 };
        int code;

        assert_non_null(given);
        memcpy(given, spelling->given, length);
        code = value_parse(arena, spelling->type, spelling->scale, given, length, &value, &err);
        if (spelling->canonical && code < 0)
            fail_msg("\"%s\" was refused: %s", spelling->given, err.text);
        if (!spelling->canonical && code != ERR_REJECT)
            fail_msg("\"%s\" was accepted", spelling->given);
        if (code == 0 && !value_equal(value, value_text(spelling->canonical)))
            fail_msg("\"%s\" became \"%.*s\", not \"%s\"", spelling->given, (int)value.length, value.bytes,
                     spelling->canonical);
        if (code < 0) {
            assert_int_equal(value.state, VALUE_ABSENT);
            assert_true(length < 4 || !strstr(err.text, spelling->given));
        }
        free(given);
    }
}

#define CHECK_SPELLINGS(state, table) check_spellings(*(state), table, sizeof(table) / sizeof((table)[0]))

static void an_integer_has_one_spelling(void **state)
{
    static const struct spelling table[] = {
        { VALUE_INTEGER, 0, "0", "0" },
        { VALUE_INTEGER, 0, "-0", "0" },
        { VALUE_INTEGER, 0, "007", "7" },
        { VALUE_INTEGER, 0, "+12", "12" },
        { VALUE_INTEGER, 0, "-012", "-12" },
        { VALUE_INTEGER, 0, "5.00", "5" },
        { VALUE_INTEGER, 0, "9223372036854775807", "9223372036854775807" },
        { VALUE_INTEGER, 0, "-9223372036854775808", "-9223372036854775808" },
        { VALUE_INTEGER, 0, "9223372036854775808", NULL },
        { VALUE_INTEGER, 0, "-9223372036854775809", NULL },
        { VALUE_INTEGER, 0, "10000000000000000000", NULL },
        { VALUE_INTEGER, 0, "5.01", NULL },
        { VALUE_INTEGER, 0, "", NULL },
        { VALUE_INTEGER, 0, "-", NULL },
        { VALUE_INTEGER, 0, "+-1", NULL },
        { VALUE_INTEGER, 0, " 1", NULL },
        { VALUE_INTEGER, 0, "1 ", NULL },
        { VALUE_INTEGER, 0, "1e3", NULL },
        { VALUE_INTEGER, 0, "0x10", NULL },
    };

    CHECK_SPELLINGS(state, table);
}

static void a_decimal_keeps_its_scale(void **state)
{
    static const struct spelling table[] = {
        { VALUE_DECIMAL, 2, "42000", "42000.00" },
        { VALUE_DECIMAL, 2, "00150.5", "150.50" },
        { VALUE_DECIMAL, 2, "150.500", "150.50" },
        { VALUE_DECIMAL, 2, "150.505", NULL },
        { VALUE_DECIMAL, 2, "-0.00", "0.00" },
        { VALUE_DECIMAL, 2, "-0.01", "-0.01" },
        { VALUE_DECIMAL, 2, ".5", "0.50" },
        { VALUE_DECIMAL, 2, "5.", "5.00" },
        { VALUE_DECIMAL, 0, "12.0", "12" },
        { VALUE_DECIMAL, 2, ".", NULL },
        { VALUE_DECIMAL, 2, "1.2.3", NULL },
        { VALUE_DECIMAL, 2, "1,5", NULL },
        { VALUE_DECIMAL, 2, "NaN", NULL },
        { VALUE_DECIMAL, 2, "Infinity", NULL },
        { VALUE_DECIMAL, 2, "6.40206E+15", NULL },
        { VALUE_DECIMAL, 2, "123456789012345678901234567890123456.78", "123456789012345678901234567890123456.78" },
        { VALUE_DECIMAL, 2, "1234567890123456789012345678901234567", NULL },
        { VALUE_DECIMAL, 38, "0.5", "0.50000000000000000000000000000000000000" },
        { VALUE_DECIMAL, 38, "1.5", NULL },
    };

    CHECK_SPELLINGS(state, table);
}

static void a_boolean_is_read_as_postgresql_writes_it(void **state)
{
    static const struct spelling table[] = {
        { VALUE_BOOLEAN, 0, "t", "true" },    { VALUE_BOOLEAN, 0, "f", "false" },
        { VALUE_BOOLEAN, 0, "true", "true" }, { VALUE_BOOLEAN, 0, "false", "false" },
        { VALUE_BOOLEAN, 0, "TRUE", NULL },   { VALUE_BOOLEAN, 0, "1", NULL },
        { VALUE_BOOLEAN, 0, "", NULL },       { VALUE_BOOLEAN, 0, "tru", NULL },
    };

    CHECK_SPELLINGS(state, table);
}

static void a_date_is_a_real_day(void **state)
{
    static const struct spelling table[] = {
        { VALUE_DATE, 0, "1978-05-15", "1978-05-15" }, { VALUE_DATE, 0, "0001-01-01", "0001-01-01" },
        { VALUE_DATE, 0, "9999-12-31", "9999-12-31" }, { VALUE_DATE, 0, "2024-02-29", "2024-02-29" },
        { VALUE_DATE, 0, "2000-02-29", "2000-02-29" }, { VALUE_DATE, 0, "2023-02-29", NULL },
        { VALUE_DATE, 0, "1900-02-29", NULL },         { VALUE_DATE, 0, "2026-04-31", NULL },
        { VALUE_DATE, 0, "2026-13-01", NULL },         { VALUE_DATE, 0, "2026-00-01", NULL },
        { VALUE_DATE, 0, "2026-01-00", NULL },         { VALUE_DATE, 0, "0000-01-01", NULL },
        { VALUE_DATE, 0, "10000-01-01", NULL },        { VALUE_DATE, 0, "0044-03-15 BC", NULL },
        { VALUE_DATE, 0, "infinity", NULL },           { VALUE_DATE, 0, "15-05-1978", NULL },
        { VALUE_DATE, 0, "1978-5-15", NULL },          { VALUE_DATE, 0, "1978-05-15 00:00:00", NULL },
    };

    CHECK_SPELLINGS(state, table);
}

static void a_timestamp_is_told_in_utc(void **state)
{
    static const struct spelling table[] = {
        { VALUE_TIMESTAMP, 0, "2026-01-02 03:04:05.6+08", "2026-01-01T19:04:05.600000Z" },
        { VALUE_TIMESTAMP, 0, "2026-01-02 03:04:05", "2026-01-02T03:04:05.000000Z" },
        { VALUE_TIMESTAMP, 0, "2026-11-20T01:14:07.000000Z", "2026-11-20T01:14:07.000000Z" },
        { VALUE_TIMESTAMP, 0, "2026-12-31 20:00:00-05", "2027-01-01T01:00:00.000000Z" },
        { VALUE_TIMESTAMP, 0, "2024-03-01 00:30:00+01", "2024-02-29T23:30:00.000000Z" },
        { VALUE_TIMESTAMP, 0, "2024-02-28 23:30:00-01", "2024-02-29T00:30:00.000000Z" },
        { VALUE_TIMESTAMP, 0, "2026-01-02 03:04:05+05:30", "2026-01-01T21:34:05.000000Z" },
        { VALUE_TIMESTAMP, 0, "1900-01-01 00:00:00+07:07:12", "1899-12-31T16:52:48.000000Z" },
        { VALUE_TIMESTAMP, 0, "2026-01-02 03:04:05.123456", "2026-01-02T03:04:05.123456Z" },
        { VALUE_TIMESTAMP, 0, "0001-01-01 00:00:00+01", NULL },
        { VALUE_TIMESTAMP, 0, "9999-12-31 23:00:00-01", NULL },
        { VALUE_TIMESTAMP, 0, "2026-01-02 24:00:00", NULL },
        { VALUE_TIMESTAMP, 0, "2026-01-02 03:60:00", NULL },
        { VALUE_TIMESTAMP, 0, "2026-01-02 03:04:60", NULL },
        { VALUE_TIMESTAMP, 0, "2026-01-02 03:04:05.", NULL },
        { VALUE_TIMESTAMP, 0, "2026-01-02 03:04:05.1234567", NULL },
        { VALUE_TIMESTAMP, 0, "2026-01-02 03:04", NULL },
        { VALUE_TIMESTAMP, 0, "2026-01-02", NULL },
        { VALUE_TIMESTAMP, 0, "2026-01-02 03:04:05 WITA", NULL },
        { VALUE_TIMESTAMP, 0, "2026-01-02 03:04:05+16", NULL },
        { VALUE_TIMESTAMP, 0, "2026-01-02 03:04:05+08:", NULL },
        { VALUE_TIMESTAMP, 0, "infinity", NULL },
    };

    CHECK_SPELLINGS(state, table);
}

static void text_stays_as_it_is(void **state)
{
    static const struct spelling table[] = {
        { VALUE_TEXT, 0, "", "" },
        { VALUE_TEXT, 0, " Loa Kulu ", " Loa Kulu " },
        { VALUE_TEXT, 0, "M\303\274ller", "M\303\274ller" },
        { VALUE_TEXT, 0, "\351t\351", NULL }, /* Latin 1 */
    };

    CHECK_SPELLINGS(state, table);
}

static void a_value_that_is_too_long_or_holds_nul_is_refused(void **state)
{
    size_t length = VALUE_LENGTH_MAX + 1;
    char *bytes = malloc(length);
    struct value value;
    struct error err;

    assert_non_null(bytes);
    memset(bytes, 'a', length);
    assert_int_equal(value_parse(*state, VALUE_TEXT, 0, bytes, length - 1, &value, &err), 0);
    assert_int_equal(value.length, length - 1);
    assert_int_equal(value_parse(*state, VALUE_TEXT, 0, bytes, length, &value, &err), ERR_REJECT);
    bytes[3] = 0;
    assert_int_equal(value_parse(*state, VALUE_TEXT, 0, bytes, 10, &value, &err), ERR_REJECT);
    free(bytes);
}

static void utf8_is_what_rfc_3629_says(void **state)
{
    static const char *const good[] = { "",
                                        "a",
                                        "\302\200",
                                        "\337\277",
                                        "\340\240\200",
                                        "\355\237\277",
                                        "\356\200\200",
                                        "\360\220\200\200",
                                        "\364\217\277\277" };
    static const char *const bad[] = {
        "\200",             /* continuation alone */
        "\301\277",         /* overlong, two bytes */
        "\340\237\277",     /* overlong, three bytes */
        "\355\240\200",     /* a surrogate */
        "\360\217\277\277", /* overlong, four bytes */
        "\364\220\200\200", /* beyond U+10FFFF */
        "\365\200\200\200", /* no such lead byte */
        "\302",             /* cut */
        "\342\202",         /* cut */
        "\342\202a",        /* interrupted */
        "\360\220\200a",    /* interrupted late */
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(text_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(text_is_utf8(bad[i], strlen(bad[i])));
    assert_false(text_is_utf8("a\0b", 3));
}

static void numbers_are_ordered_as_numbers(void **state)
{
    static const char *const integers[] = { "-100", "-20", "-3", "0", "3", "20", "100" };
    static const char *const decimals[] = { "-10.00", "-9.99", "-0.01", "0.00", "0.10", "9.99", "10.00" };

    (void)state;
    for (int left = 0; left < 7; left++)
        for (int right = 0; right < 7; right++) {
            int order = (left > right) - (left < right);
            int integer = value_compare(VALUE_INTEGER, value_text(integers[left]), value_text(integers[right]));
            int decimal = value_compare(VALUE_DECIMAL, value_text(decimals[left]), value_text(decimals[right]));

            assert_int_equal((integer > 0) - (integer < 0), order);
            assert_int_equal((decimal > 0) - (decimal < 0), order);
        }
}

static void other_values_are_ordered_by_bytes(void **state)
{
    (void)state;
    assert_true(value_compare(VALUE_BOOLEAN, value_text("false"), value_text("true")) < 0);
    assert_true(value_compare(VALUE_DATE, value_text("0999-12-31"), value_text("1000-01-01")) < 0);
    assert_true(value_compare(VALUE_TEXT, value_text("ab"), value_text("abc")) < 0);
    assert_true(value_compare(VALUE_TEXT, value_text(""), value_text("")) == 0);
    assert_true(value_compare(VALUE_TEXT, value_text("b"), value_text("abc")) > 0);
}

static void null_absent_and_empty_are_three_things(void **state)
{
    struct value absent = { 0 };

    (void)state;
    assert_true(value_equal(absent, absent));
    assert_true(value_equal(value_null(), value_null()));
    assert_false(value_equal(absent, value_null()));
    assert_false(value_equal(value_null(), value_text("")));
    assert_true(value_equal(value_text(""), value_text("")));
    assert_false(value_equal(value_text("a"), value_text("b")));
    assert_false(value_equal(value_text("a"), value_text("ab")));
}

static void each_type_is_found_by_its_name(void **state)
{
    (void)state;
    for (enum value_type type = 0; type < VALUE_TYPE_COUNT; type++)
        assert_int_equal(value_type_named(value_type_name(type)), type);
    assert_int_equal(value_type_named("double"), VALUE_TYPE_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_integer_has_one_spelling),
        cmocka_unit_test(a_decimal_keeps_its_scale),
        cmocka_unit_test(a_boolean_is_read_as_postgresql_writes_it),
        cmocka_unit_test(a_date_is_a_real_day),
        cmocka_unit_test(a_timestamp_is_told_in_utc),
        cmocka_unit_test(text_stays_as_it_is),
        cmocka_unit_test(a_value_that_is_too_long_or_holds_nul_is_refused),
        cmocka_unit_test(utf8_is_what_rfc_3629_says),
        cmocka_unit_test(numbers_are_ordered_as_numbers),
        cmocka_unit_test(other_values_are_ordered_by_bytes),
        cmocka_unit_test(null_absent_and_empty_are_three_things),
        cmocka_unit_test(each_type_is_found_by_its_name),
    };

    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
