#include "cli/show.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static struct arena *arena;

static int start(void **state)
{
    (void)state;
    setenv("TZ", "Asia/Makassar", 1);
    tzset();
    arena = arena_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static const char *masked(const char *text)
{
    return show_masked(arena, text, strlen(text));
}

static void a_long_value_shows_its_first_four_and_last_two(void **state)
{
    (void)state;
    assert_string_equal(masked("6402061505780003"), "6402**********03");
    assert_string_equal(masked("012345678901"), "0123******01");
}

static void a_short_value_shows_nothing_not_even_its_length(void **state)
{
    (void)state;
    assert_string_equal(masked("SITI"), "****");
    assert_string_equal(masked("1984-01-27"), "****");
    assert_string_equal(masked(""), "****");
}

static void a_mask_counts_characters_and_never_cuts_one(void **state)
{
    (void)state;
    assert_string_equal(masked("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9------\xc3\xa8\xc3\xa8"),
                        "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9******\xc3\xa8\xc3\xa8");
    assert_string_equal(masked("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"), "****");
}

static void a_very_long_value_has_at_most_ten_stars(void **state)
{
    (void)state;
    assert_string_equal(masked("Jl. Wolter Monginsidi No. 12, Tenggarong"), "Jl. **********ng");
}

static void counts_are_grouped_by_three(void **state)
{
    (void)state;
    assert_string_equal(show_count(arena, 0), "0");
    assert_string_equal(show_count(arena, 999), "999");
    assert_string_equal(show_count(arena, 1000), "1,000");
    assert_string_equal(show_count(arena, 1204331), "1,204,331");
    assert_string_equal(show_count(arena, UINT64_MAX), "18,446,744,073,709,551,615");
}

static void a_position_names_its_epoch_from_the_second_on(void **state)
{
    (void)state;
    assert_string_equal(show_position(arena, UINT64_C(1) << 48 | 1204331), "1204331");
    assert_string_equal(show_position(arena, UINT64_C(2) << 48 | 17), "2:17");
}

static void a_time_is_local_for_people_and_utc_for_programs(void **state)
{
    (void)state;
    assert_string_equal(show_time(arena, INT64_C(1795137247000000)), "2026-11-20 09:14:07");
    assert_string_equal(show_time_utc(arena, INT64_C(1795137247000042)), "2026-11-20T01:14:07.000042Z");
    assert_string_equal(show_time_utc(arena, -1), "1969-12-31T23:59:59.999999Z");
}

static void a_span_is_shown_in_the_largest_unit_it_fills(void **state)
{
    (void)state;
    assert_string_equal(show_span(arena, -5), "0 s");
    assert_string_equal(show_span(arena, INT64_C(59) * 1000000), "59 s");
    assert_string_equal(show_span(arena, INT64_C(60) * 1000000), "1 min");
    assert_string_equal(show_span(arena, INT64_C(7200) * 1000000), "2 h");
    assert_string_equal(show_span(arena, INT64_C(48 * 3600) * 1000000), "2 d");
}

static void a_change_tells_null_from_not_being_there(void **state)
{
    struct value absent = { 0 };

    (void)state;
    assert_null(show_change(arena, absent, absent, false));
    assert_string_equal(show_change(arena, absent, value_text("true"), false), "-> true");
    assert_string_equal(show_change(arena, value_text("true"), absent, false), "true ->");
    assert_string_equal(show_change(arena, value_null(), value_text("42000.00"), false), "NULL -> 42000.00");
    assert_string_equal(show_change(arena, value_text("6402061505780003"), value_null(), true),
                        "6402**********03 -> NULL");
}

static void a_long_side_of_a_change_is_cut(void **state)
{
    char text[200];
    const char *shown;

    (void)state;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    shown = show_change(arena, (struct value){ 0 }, value_text(text), false);
    assert_int_equal(strlen(shown), strlen("-> ...") + 60);
}

static void text_of_other_hosts_cannot_steer_the_terminal(void **state)
{
    (void)state;
    assert_string_equal(show_clean(arena, "a\x1b[31m\nb\x7f", 9), "a [31m b ");
    assert_string_equal(show_clean(arena,
                                   "\xc2\x9b"
                                   "31m",
                                   5),
                        "  31m");
    assert_string_equal(show_clean(arena, "\xc2\xa0\xc3\x9b", 4), "\xc2\xa0\xc3\x9b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_value_shows_its_first_four_and_last_two),
        cmocka_unit_test(a_short_value_shows_nothing_not_even_its_length),
        cmocka_unit_test(a_mask_counts_characters_and_never_cuts_one),
        cmocka_unit_test(a_very_long_value_has_at_most_ten_stars),
        cmocka_unit_test(counts_are_grouped_by_three),
        cmocka_unit_test(a_position_names_its_epoch_from_the_second_on),
        cmocka_unit_test(a_time_is_local_for_people_and_utc_for_programs),
        cmocka_unit_test(a_span_is_shown_in_the_largest_unit_it_fills),
        cmocka_unit_test(a_change_tells_null_from_not_being_there),
        cmocka_unit_test(a_long_side_of_a_change_is_cut),
        cmocka_unit_test(text_of_other_hosts_cannot_steer_the_terminal),
    };

    return cmocka_run_group_tests(tests, start, end);
}
