#include "proto/zone.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
    STEP_S = 5 * 24 * 60 * 60, /* no two changes of the clocks are nearer to each other */
    RULES_MAX = 2048,
    NAME_MAX_BYTES = 64,
};
#define FIRST_S INT64_C(-2208988800) /* 1900-01-01 */
#define LAST_S INT64_C(7258118400)   /* 2200-01-01 */

/* Only what can be a path within the tz database. */
static bool name_fits(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
    size_t length = strlen(name);

    return length > 0 && length <= NAME_MAX_BYTES && name[0] != '/' && strspn(name, letters) == length;
}

static bool is_known(struct arena *arena, const char *name)
{
    struct stat found;

    return name_fits(name) && stat(arena_printf(arena, "/usr/share/zoneinfo/%s", name), &found) == 0 &&
           S_ISREG(found.st_mode);
}

static int32_t east_now(int64_t utc_s)
{
    time_t moment = (time_t)utc_s;
    struct tm tm;

    localtime_r(&moment, &tm);
    return (int32_t)tm.tm_gmtoff;
}

/* The first second in (from, to] at which the clocks show another offset than at `from`. */
static int64_t change_between(int64_t from, int64_t to)
{
    int32_t east = east_now(from);

    while (to - from > 1) {
        int64_t middle = from + (to - from) / 2;

        if (east_now(middle) == east)
            from = middle;
        else
            to = middle;
    }
    return to;
}

/* With TZ set to the zone. */
static uint32_t rules_read(struct zone_rule rules[RULES_MAX])
{
    uint32_t count = 0;

    rules[count++] = (struct zone_rule){ FIRST_S, east_now(FIRST_S) };
    for (int64_t at = FIRST_S; at < LAST_S && count < RULES_MAX; at += STEP_S) {
        int32_t east = east_now(at + STEP_S);

        if (east != rules[count - 1].east_s)
            rules[count++] = (struct zone_rule){ change_between(at, at + STEP_S), east };
    }
    return count;
}

int zone_load(struct arena *arena, const char *name, const struct zone **ret, struct error *err)
{
    static struct zone_rule rules[RULES_MAX];
    struct zone *zone = arena_alloc(arena, sizeof *zone);
    struct zone_rule *kept;
    const char *before = getenv("TZ");

    if (!is_known(arena, name))
        return error_set(err, ERR_REJECT,
                         "\"%.64s\" is no time zone that this system knows (as in timedatectl list-timezones; they are "
                         "in package tzdata)",
                         name);
    if (before)
        before = arena_copy(arena, before, strlen(before));
    setenv("TZ", arena_printf(arena, ":%s", name), 1);
    tzset();
    zone->rule_count = rules_read(rules);
    if (before)
        setenv("TZ", before, 1);
    else
        unsetenv("TZ");
    tzset();
    kept = arena_array(arena, zone->rule_count, sizeof *kept);
    memcpy(kept, rules, zone->rule_count * sizeof *kept);
    zone->rules = kept;
    zone->name = arena_copy(arena, name, strlen(name));
    *ret = zone;
    return 0;
}

/* The rule that holds at this moment: the last that began. */
static uint32_t rule_at(const struct zone *zone, int64_t utc_s)
{
    uint32_t least = 0, most = zone->rule_count - 1;

    while (least < most) {
        uint32_t middle = (least + most + 1) / 2;

        if (zone->rules[middle].from_s <= utc_s)
            least = middle;
        else
            most = middle - 1;
    }
    return least;
}

int32_t zone_east(const struct zone *zone, int64_t utc_s)
{
    return zone->rules[rule_at(zone, utc_s)].east_s;
}

int64_t zone_utc(const struct zone *zone, int64_t local_s)
{
    enum { DAY_S = 24 * 60 * 60 }; /* no place is further than that from UTC */
    uint32_t first = rule_at(zone, local_s - DAY_S), last = rule_at(zone, local_s + DAY_S);

    /* After the change, or shown twice; else before it, or skipped. */
    for (uint32_t i = last; i > first; i--)
        if (local_s - zone->rules[i].east_s >= zone->rules[i].from_s)
            return local_s - zone->rules[i].east_s;
    return local_s - zone->rules[first].east_s;
}
