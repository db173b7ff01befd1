#include "proto/zone.h"

#include "proto/value.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static const struct zone *zone(const char *name)
{
    const struct zone *loaded = NULL;
    struct error err;

    if (zone_load(arena, name, &loaded, &err) < 0)
        fail_msg("%s", err.text);
    return loaded;
}

static void local_times_become_moments_and_back(void **state)
{
    /* What PostgreSQL says of each: SELECT local::timestamp AT TIME ZONE zone AT TIME ZONE 'UTC'. */
    static const struct {
        const char *zone, *local, *utc, *back;
    } table[] = {
        { "Asia/Makassar", "2026-11-20 09:14:07", "2026-11-20T01:14:07.000000Z",
          "2026-11-20 09:14:07.000000+08:00:00" },
        { "Asia/Makassar", "2026-01-01 07:59:59.5", "2025-12-31T23:59:59.500000Z",
          "2026-01-01 07:59:59.500000+08:00:00" },
        { "Asia/Makassar", "1943-06-01 12:00:00", "1943-06-01T03:00:00.000000Z",
          "1943-06-01 12:00:00.000000+09:00:00" },
        { "Asia/Jakarta", "2024-02-29 00:00:00", "2024-02-28T17:00:00.000000Z", "2024-02-29 00:00:00.000000+07:00:00" },
        { "America/New_York", "2026-07-01 12:00:00", "2026-07-01T16:00:00.000000Z",
          "2026-07-01 12:00:00.000000-04:00:00" },
        /* Skipped: read as if the clocks had not been changed yet. */
        { "America/New_York", "2026-03-08 02:30:00", "2026-03-08T07:30:00.000000Z",
          "2026-03-08 03:30:00.000000-04:00:00" },
        /* Shown twice: the second time. */
        { "America/New_York", "2026-11-01 01:30:00", "2026-11-01T06:30:00.000000Z",
          "2026-11-01 01:30:00.000000-05:00:00" },
        { "America/New_York", "2026-11-01 02:00:00", "2026-11-01T07:00:00.000000Z",
          "2026-11-01 02:00:00.000000-05:00:00" },
        /* Long before the first rule, and with a zone of its own. */
        { "Asia/Kathmandu", "0001-01-02 00:00:00", "0001-01-01T18:18:44.000000Z",
          "0001-01-02 00:00:00.000000+05:41:16" },
        { "Asia/Makassar", "2026-11-20 09:14:07+07", "2026-11-20T02:14:07.000000Z",
          "2026-11-20 10:14:07.000000+08:00:00" },
        { "Asia/Makassar", "2026-11-20T01:14:07Z", "2026-11-20T01:14:07.000000Z",
          "2026-11-20 09:14:07.000000+08:00:00" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct zone *at = zone(table[i].zone);
        struct value value, again;
        struct error err = { 0 };

        assert_int_equal(
            value_parse_in(arena, VALUE_TIMESTAMP, 0, at, table[i].local, strlen(table[i].local), &value, &err), 0);
        assert_string_equal(arena_copy(arena, value.bytes, value.length), table[i].utc);
        value = value_local_time(arena, at, value);
        assert_string_equal(arena_copy(arena, value.bytes, value.length), table[i].back);
        assert_int_equal(value_parse_in(arena, VALUE_TIMESTAMP, 0, at, value.bytes, value.length, &again, &err), 0);
        assert_true(value_equal(again, value_text(table[i].utc)));
    }
}

static void a_moment_beyond_the_years_that_are_known_is_refused(void **state)
{
    static const char last[] = "9999-12-31 23:30:00", first[] = "0001-01-01 00:00:00";
    struct value value;
    struct error err;

    (void)state;
    assert_int_equal(
        value_parse_in(arena, VALUE_TIMESTAMP, 0, zone("America/New_York"), last, strlen(last), &value, &err),
        ERR_REJECT);
    assert_int_equal(
        value_parse_in(arena, VALUE_TIMESTAMP, 0, zone("Asia/Makassar"), first, strlen(first), &value, &err),
        ERR_REJECT);
}

/* Every half hour of two years against what libc itself says. */
static void each_moment_is_what_libc_shows(void **state)
{
    const struct zone *at = zone("Europe/Berlin");

    (void)state;
    setenv("TZ", ":Europe/Berlin", 1);
    tzset();
    for (time_t moment = 1735689600; moment < 1735689600 + 2 * 366 * 86400; moment += 1800) {
        struct tm tm;

        localtime_r(&moment, &tm);
        assert_int_equal(zone_east(at, moment), tm.tm_gmtoff);
    }
    unsetenv("TZ");
    tzset();
}

static void what_is_no_zone_is_refused(void **state)
{
    static const char *const names[] = { "", "Asia/Makasar", "Asia", "/etc/passwd", "../zoneinfo/UTC", "UTC+8 " };
    const struct zone *none = NULL;
    struct error err;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(zone_load(arena, names[i], &none, &err), ERR_REJECT);
        assert_null(none);
    }
}

static void the_environment_is_left_alone(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    zone("Asia/Makassar");
    assert_string_equal(getenv("TZ"), "UTC");
    unsetenv("TZ");
    zone("Asia/Makassar");
    assert_null(getenv("TZ"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(local_times_become_moments_and_back),
        cmocka_unit_test(a_moment_beyond_the_years_that_are_known_is_refused),
        cmocka_unit_test(each_moment_is_what_libc_shows),
        cmocka_unit_test(what_is_no_zone_is_refused),
        cmocka_unit_test(the_environment_is_left_alone),
    };

    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
