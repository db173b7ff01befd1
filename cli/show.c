#include "cli/show.h"

#include "shell/text.h"

#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    MASK_SHOWN_FIRST = 4,
    MASK_SHOWN_LAST = 2,
    MASK_LEAST = 12, /* below this more would be shown than hidden: a date would be all but its month */
    MASK_STARS_MAX = 10,
    SIDE_CHARACTERS_MAX = 60,
};

const char *show_count(struct arena *arena, uint64_t count)
{
    const char *separator = localeconv()->thousands_sep;
    char digits[24];
    size_t length = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, count);
    char *shown;
    char *to;

    if (!*separator)
        separator = ",";
    shown = to = arena_alloc(arena, length + length / 3 * strlen(separator) + 1);
    for (size_t i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            to = stpcpy(to, separator);
        *to++ = digits[i];
    }
    return shown;
}

const char *show_position(struct arena *arena, feed_position position)
{
    if (FEED_EPOCH(position) > 1)
        return arena_printf(arena, "%" PRIu64 ":%" PRIu64, FEED_EPOCH(position), FEED_SEQUENCE(position));
    return arena_printf(arena, "%" PRIu64, FEED_SEQUENCE(position));
}

/* Whole seconds and the microseconds above them, also before 1970. */
static time_t seconds_of(int64_t time_us, int *ret_us)
{
    int64_t seconds = time_us / 1000000;
    int64_t rest_us = time_us % 1000000;

    if (rest_us < 0) {
        rest_us += 1000000;
        seconds--;
    }
    *ret_us = (int)rest_us;
    return (time_t)seconds;
}

const char *show_time(struct arena *arena, int64_t time_us)
{
    char shown[64];
    int us;
    time_t seconds = seconds_of(time_us, &us);
    struct tm tm;

    if (!localtime_r(&seconds, &tm) || !strftime(shown, sizeof shown, "%Y-%m-%d %H:%M:%S", &tm))
        return "?";
    return arena_copy(arena, shown, strlen(shown));
}

const char *show_time_utc(struct arena *arena, int64_t time_us)
{
    char shown[64];
    int us;
    time_t seconds = seconds_of(time_us, &us);
    struct tm tm;

    if (!gmtime_r(&seconds, &tm) || !strftime(shown, sizeof shown, "%Y-%m-%dT%H:%M:%S", &tm))
        return "?";
    return arena_printf(arena, "%s.%06dZ", shown, us);
}

const char *show_span(struct arena *arena, int64_t span_us)
{
    int64_t seconds = span_us < 0 ? 0 : span_us / 1000000;

    if (seconds < 60)
        return arena_printf(arena, _("%" PRId64 " s"), seconds);
    if (seconds < 60 * 60)
        return arena_printf(arena, _("%" PRId64 " min"), seconds / 60);
    if (seconds < 48 * 60 * 60)
        return arena_printf(arena, _("%" PRId64 " h"), seconds / (60 * 60));
    return arena_printf(arena, _("%" PRId64 " d"), seconds / (24 * 60 * 60));
}

static bool starts_character(char byte)
{
    return ((unsigned char)byte & 0xc0) != 0x80;
}

static size_t characters_of(const char *bytes, size_t length)
{
    size_t count = 0;

    for (size_t i = 0; i < length; i++)
        count += starts_character(bytes[i]);
    return count;
}

/* The bytes that the first `count` characters take. */
static size_t prefix_of(const char *bytes, size_t length, size_t count)
{
    size_t seen = 0;

    for (size_t i = 0; i < length; i++)
        if (starts_character(bytes[i]) && seen++ == count)
            return i;
    return length;
}

const char *show_clean(struct arena *arena, const char *bytes, size_t length)
{
    char *clean = arena_copy(arena, bytes, length);

    for (size_t i = 0; i < length; i++)
        if ((unsigned char)clean[i] < ' ' || clean[i] == 0x7f)
            clean[i] = ' ';
        else if (i > 0 && (unsigned char)clean[i - 1] == 0xc2 && (unsigned char)clean[i] < 0xa0)
            clean[i - 1] = clean[i] = ' '; /* U+0080 to U+009F steer terminals too */
    return clean;
}

const char *show_masked(struct arena *arena, const char *bytes, size_t length)
{
    size_t count = characters_of(bytes, length);
    size_t hidden = count - MASK_SHOWN_FIRST - MASK_SHOWN_LAST;
    size_t first, last;

    if (count < MASK_LEAST)
        return "****";
    first = prefix_of(bytes, length, MASK_SHOWN_FIRST);
    last = prefix_of(bytes, length, count - MASK_SHOWN_LAST);
    return arena_printf(arena, "%s%.*s%s", show_clean(arena, bytes, first),
                        (int)(hidden < MASK_STARS_MAX ? hidden : MASK_STARS_MAX), "**********",
                        show_clean(arena, bytes + last, length - last));
}

const char *show_value(struct arena *arena, struct value value, bool masked)
{
    switch (value.state) {
    case VALUE_ABSENT:
        return NULL;
    case VALUE_NULL:
        return "NULL";
    case VALUE_SET:
        break;
    }
    if (masked)
        return show_masked(arena, value.bytes, value.length);
    return show_clean(arena, value.bytes, value.length);
}

static const char *show_side(struct arena *arena, struct value value, bool masked)
{
    const char *shown = show_value(arena, value, masked);
    size_t length = strlen(shown);
    size_t kept = prefix_of(shown, length, SIDE_CHARACTERS_MAX);

    return kept == length ? shown : arena_printf(arena, "%.*s...", (int)kept, shown);
}

const char *show_change(struct arena *arena, struct value old, struct value new, bool masked)
{
    if (old.state == VALUE_ABSENT && new.state == VALUE_ABSENT)
        return NULL;
    if (old.state == VALUE_ABSENT)
        return arena_printf(arena, "-> %s", show_side(arena, new, masked));
    if (new.state == VALUE_ABSENT)
        return arena_printf(arena, "%s ->", show_side(arena, old, masked));
    return arena_printf(arena, "%s -> %s", show_side(arena, old, masked), show_side(arena, new, masked));
}
