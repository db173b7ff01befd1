#include "cli/when.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* 20 Nov 2026 09:14:07 in Makassar (UTC+8, no summer time). */
#define NOW (INT64_C(1795137247) * SECOND)
#define TODAY (NOW - 9 * HOUR - 14 * MINUTE - 7 * SECOND)

static int start(void **state)
{
    (void)state;
    setenv("TZ", "Asia/Makassar", 1);
    tzset();
    return 0;
}

static void is(const char *text, int64_t from, int64_t until)
{
    struct error err;
    int64_t read_from, read_until;

    if (when_parse(text, NOW, &read_from, &read_until, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    assert_int_equal(read_from, from);
    assert_int_equal(read_until, until);
}

static void is_no_time(const char *text)
{
    struct error err;
    int64_t from, until;

    if (when_parse(text, NOW, &from, &until, &err) != ERR_REJECT)
        fail_msg("%s was taken for a time", text);
    assert_non_null(strstr(err.text, "yesterday"));
}

static void a_date_lasts_its_whole_day(void **state)
{
    (void)state;
    is("2026-11-20", TODAY, TODAY + DAY);
    is("today", TODAY, TODAY + DAY);
    is("yesterday", TODAY - DAY, TODAY);
    is("2024-02-29", INT64_C(1709136000) * SECOND, INT64_C(1709136000) * SECOND + DAY);
}

static void a_minute_lasts_its_minute_and_a_second_its_second(void **state)
{
    (void)state;
    is("2026-11-20 09:14", NOW - 7 * SECOND, NOW + 53 * SECOND);
    is("2026-11-20T09:14", NOW - 7 * SECOND, NOW + 53 * SECOND);
    is("2026-11-20 09:14:07", NOW, NOW + SECOND);
    is("09:14", NOW - 7 * SECOND, NOW + 53 * SECOND);
    is("00:00:00", TODAY, TODAY + SECOND);
}

static void a_zone_that_is_written_counts(void **state)
{
    (void)state;
    is("2026-11-20T01:14:07Z", NOW, NOW + SECOND);
    is("2026-11-20 02:14:07+01:00", NOW, NOW + SECOND);
    is("2026-11-20 01:14Z", NOW - 7 * SECOND, NOW + 53 * SECOND);
}

static void a_span_is_that_long_ago(void **state)
{
    (void)state;
    is("now", NOW, NOW);
    is("30s", NOW - 30 * SECOND, NOW - 30 * SECOND);
    is("15min", NOW - 15 * MINUTE, NOW - 15 * MINUTE);
    is("2 h", NOW - 2 * HOUR, NOW - 2 * HOUR);
    is("3d", NOW - 3 * DAY, NOW - 3 * DAY);
}

static void a_day_is_as_long_as_the_clock_says(void **state)
{
    struct error err;
    int64_t from, until;

    (void)state;
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
    assert_int_equal(when_parse("2026-10-25", NOW, &from, &until, &err), 0);
    assert_int_equal(until - from, 25 * HOUR);
    setenv("TZ", "Asia/Makassar", 1);
    tzset();
}

static void what_no_calendar_has_is_refused(void **state)
{
    static const char *const wrong[] = { "",           "tomorrow", "2026-02-30", "2026-13-01",
                                         "20-11-2026", "25:00",    "2026",       "5",
                                         "5 weeks",    "-3d",      "99999999d",  "2026-11-20 09:14:07 x",
                                         "9:14pm",     "3d3h",     "+3d",        "2026-11-20Q" };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        is_no_time(wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_date_lasts_its_whole_day),
        cmocka_unit_test(a_minute_lasts_its_minute_and_a_second_its_second),
        cmocka_unit_test(a_zone_that_is_written_counts),
        cmocka_unit_test(a_span_is_that_long_ago),
        cmocka_unit_test(a_day_is_as_long_as_the_clock_says),
        cmocka_unit_test(what_no_calendar_has_is_refused),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
