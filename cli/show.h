/* show.h: how single things are spelled on a terminal: counts, positions, times, values that are nobody's business.
 *
 * All results are in `arena`, end in NUL and hold no control character. */
#ifndef SELARAS_SHOW_H
#define SELARAS_SHOW_H

#include "proto/record.h"

/* "1,204,331", with the locale's own separator where it has one. */
const char *show_count(struct arena *arena, uint64_t count);
/* "1204331", or "2:17" from the second ledger epoch on. */
const char *show_position(struct arena *arena, feed_position position);
/* "2026-11-20 09:14:07", local time, and the same as UTC for programs: "2026-11-20T01:14:07.000000Z". */
const char *show_time(struct arena *arena, int64_t time_us);
const char *show_time_utc(struct arena *arena, int64_t time_us);
/* "12 s", "3 min", "2 h", "4 d": a span, in the largest unit that it fills. Negative spans are 0. */
const char *show_span(struct arena *arena, int64_t span_us);

/* A personal value, recognisable to who knows it: the first 4 and the last 2 characters, a star for each one between
 * (at most 10 of them). Shorter than 12 characters, nothing of it is shown. */
const char *show_masked(struct arena *arena, const char *bytes, size_t length);
/* What a set value says, masked if so wanted. "NULL" for NULL, NULL for an absent one. */
const char *show_value(struct arena *arena, struct value value, bool masked);
/* "false -> true"; "-> true" when nothing is said of the old one; NULL when nothing is said of either. Each side is cut
 * at 60 characters. */
const char *show_change(struct arena *arena, struct value old, struct value new, bool masked);
/* Without control characters: text of other hosts must not steer a terminal. */
const char *show_clean(struct arena *arena, const char *bytes, size_t length);

#endif
