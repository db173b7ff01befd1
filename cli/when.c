#include "cli/when.h"

#include "shell/text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum precision { PRECISION_DAY, PRECISION_MINUTE, PRECISION_SECOND };

static const struct spelling {
    const char *format;
    bool dated; /* false: today */
    enum precision precision;
} spellings[] = {
    /* The longer first: each must match to its end. */
    { "%Y-%m-%dT%H:%M:%S", true, PRECISION_SECOND },
    { "%Y-%m-%d %H:%M:%S", true, PRECISION_SECOND },
    { "%Y-%m-%dT%H:%M", true, PRECISION_MINUTE },
    { "%Y-%m-%d %H:%M", true, PRECISION_MINUTE },
    { "%Y-%m-%d", true, PRECISION_DAY },
    { "%H:%M:%S", false, PRECISION_SECOND },
    { "%H:%M", false, PRECISION_MINUTE },
};

static const struct {
    const char *word;
    int64_t length_us;
} units[] = {
    { "s", INT64_C(1000000) },
    { "min", INT64_C(60) * 1000000 },
    { "h", INT64_C(3600) * 1000000 },
    { "d", INT64_C(86400) * 1000000 },
};

static struct tm today(int64_t now_us)
{
    time_t now = (time_t)(now_us / 1000000);
    struct tm tm;

    localtime_r(&now, &tm);
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    tm.tm_isdst = -1;
    return tm;
}

/* The moment of a calendar time, `zoned` by its tm_gmtoff or local. A day that no calendar has is refused. */
static bool moment(struct tm tm, bool zoned, int64_t *ret_us)
{
    struct tm same = tm;
    time_t seconds;

    same.tm_isdst = -1;
    seconds = zoned ? timegm(&same) - tm.tm_gmtoff : mktime(&same);
    *ret_us = (int64_t)seconds * 1000000;
    return same.tm_mday == tm.tm_mday && same.tm_mon == tm.tm_mon;
}

static bool span_of(struct tm tm, bool zoned, enum precision precision, int64_t *ret_from, int64_t *ret_until)
{
    int64_t from;

    if (!moment(tm, zoned, &from))
        return false;
    *ret_from = from;
    *ret_until = from + (precision == PRECISION_MINUTE ? INT64_C(60) * 1000000 : INT64_C(1000000));
    if (precision == PRECISION_DAY) {
        tm.tm_mday++; /* not 24 hours: a day can be longer */
        (void)moment(tm, zoned, ret_until);
    }
    return true;
}

static bool calendar_parse(const char *text, int64_t now_us, int64_t *ret_from, int64_t *ret_until)
{
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        struct tm tm = today(now_us);
        const char *rest;

        if (spellings[i].dated)
            memset(&tm, 0, sizeof tm);
        rest = strptime(text, spellings[i].format, &tm);
        if (rest && !*rest)
            return span_of(tm, false, spellings[i].precision, ret_from, ret_until);
        if (rest && (*rest == 'Z' || *rest == '+' || *rest == '-') && spellings[i].dated) {
            rest = strptime(rest, "%z", &tm);
            if (rest && !*rest)
                return span_of(tm, true, spellings[i].precision, ret_from, ret_until);
        }
    }
    return false;
}

static bool ago_parse(const char *text, int64_t now_us, int64_t *ret_from)
{
    char *rest;
    long count;

    if (*text < '0' || *text > '9')
        return false;
    count = strtol(text, &rest, 10);
    if (rest - text > 6)
        return false;
    while (*rest == ' ')
        rest++;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(rest, units[i].word)) {
            *ret_from = now_us - count * units[i].length_us;
            return true;
        }
    return false;
}

int when_parse(const char *text, int64_t now_us, int64_t *ret_from, int64_t *ret_until, struct error *err)
{
    struct tm day = today(now_us);

    if (!strcmp(text, "now")) {
        *ret_from = *ret_until = now_us;
        return 0;
    }
    if (ago_parse(text, now_us, ret_from)) {
        *ret_until = *ret_from;
        return 0;
    }
    if (!strcmp(text, "yesterday"))
        day.tm_mday--;
    if (!strcmp(text, "today") || !strcmp(text, "yesterday")) {
        mktime(&day); /* the day before the first is the last of a month */
        day.tm_hour = day.tm_min = day.tm_sec = 0;
        if (span_of(day, false, PRECISION_DAY, ret_from, ret_until))
            return 0;
    }
    if (calendar_parse(text, now_us, ret_from, ret_until))
        return 0;
    return error_set(
        err, ERR_REJECT,
        _("\"%.40s\" is no time: write 2026-11-20, \"2026-11-20 09:14\", 09:14, today, yesterday, or how long ago: "
          "30s, 15min, 2h, 3d"),
        text);
}
