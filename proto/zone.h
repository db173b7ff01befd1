/* zone.h: what a clock on the wall of one place shows, and when.
 *
 * Agencies keep times without saying where. A zone is read once from the system's tz database, through libc; converting
 * is pure. Between 1900 and 2200 every change of the clocks is known; before and after, the first and the last rule is
 * taken. A time that the clocks skipped is read as if they had not been changed yet, one that they showed twice as the
 * second time: what PostgreSQL does. */
#ifndef SELARAS_ZONE_H
#define SELARAS_ZONE_H

#include "proto/arena.h"
#include "proto/error.h"

struct zone_rule {
    int64_t from_s; /* seconds since 1970 UTC */
    int32_t east_s;
};

struct zone {
    const char *name;
    const struct zone_rule *rules; /* in order, at least one; the first holds before it too */
    uint32_t rule_count;
};

/* Reads the zone `name` ("Asia/Makassar"). ERR_REJECT when the system does not know it. */
must_check int zone_load(struct arena *arena, const char *name, const struct zone **ret, struct error *err);
/* Seconds east of UTC that the clocks showed at this moment. */
int32_t zone_east(const struct zone *zone, int64_t utc_s);
/* The moment at which the clocks showed `local_s`, counted as if it were UTC. */
int64_t zone_utc(const struct zone *zone, int64_t local_s);

#endif
