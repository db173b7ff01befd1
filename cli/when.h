/* when.h: times as people write them on a command line. */
#ifndef SELARAS_WHEN_H
#define SELARAS_WHEN_H

#include "proto/error.h"

#include <stdint.h>

/* Reads "2026-11-20", "2026-11-20 09:14", "2026-11-20T09:14:07", "09:14" (today), each in local time unless "Z" or
 * "+08:00" follows; "now", "today", "yesterday"; "30s", "15min", "2h", "3d" (that long before now). What is written has
 * a length (a day, a minute, a second): it lasts from *ret_from until before *ret_until, in microseconds since 1970.
 * ERR_REJECT says what is allowed. */
must_check int when_parse(const char *text, int64_t now_us, int64_t *ret_from, int64_t *ret_until, struct error *err);

#endif
