/* value.h: one exact, typed value, as canonical text.
 *
 * Everything that Selaras compares, sends and stores is text in one canonical spelling per type, so that equal values
 * have equal bytes: comparing is memcmp, and money is never a double.
 *
 *   text        UTF-8 without NUL, as it is
 *   integer     decimal int64, no leading zeros, no "+", "-0" is "0"
 *   decimal     exactly `scale` digits behind the point ("150000.00"; scale 0 has no point), at most 38 digits in all
 *   boolean     "true" or "false"
 *   date        "YYYY-MM-DD", a real day, years 0001 to 9999
 *   timestamp   UTC, "YYYY-MM-DDTHH:MM:SS.ffffffZ"
 *   reference   a record's number; or, as an agency knows that record, BLOCK U+001F KEY, which the broker translates
 */
#ifndef SELARAS_VALUE_H
#define SELARAS_VALUE_H

#include "proto/arena.h"
#include "proto/error.h"
#include "proto/zone.h"

#include <stdbool.h>
#include <stdint.h>

enum value_type {
    VALUE_TEXT,
    VALUE_INTEGER,
    VALUE_DECIMAL,
    VALUE_BOOLEAN,
    VALUE_DATE,
    VALUE_TIMESTAMP,
    VALUE_REFERENCE,
    VALUE_TYPE_COUNT,
};

/* A field in a change has three states; absent (not part of this change) is the zero value of the struct. */
enum value_state {
    VALUE_ABSENT,
    VALUE_NULL,
    VALUE_SET,
};

struct value {
    const char *bytes; /* borrowed; not NUL-terminated; only when state is VALUE_SET */
    uint32_t length;
    enum value_state state;
};

#define VALUE_LENGTH_MAX (256u * 1024) /* bytes of one value: a quarter of a frame */

/* What stands between the parts of a local key, and between a block and a key of it. */
#define KEY_SEPARATOR '\x1f'
#define REFERENCE_KEY_BYTES_MAX 1024u /* of a key in a reference, as of any local key */

const char *value_type_name(enum value_type type);
/* VALUE_TYPE_COUNT when no type has this name. */
enum value_type value_type_named(const char *name);

struct value value_null(void);
/* Borrows `text`, which ends in NUL. */
struct value value_text(const char *text);
/* Same state and, when set, same bytes. */
bool value_equal(struct value left, struct value right);
/* Order of two set canonical values of one type: negative, zero or positive. Text by bytes, booleans false first. */
int value_compare(enum value_type type, struct value left, struct value right);

/* Reads `length` bytes in any spelling that PostgreSQL writes with DateStyle ISO ("t", "00150.5", "2026-01-02
 * 03:04:05.6+08") and sets *ret to the canonical one, in `arena` or borrowed from `bytes`. A timestamp without a zone
 * is taken as UTC. ERR_REJECT when it is not a value of this type, is too long, is not UTF-8, holds NUL, or has
 * digits that `scale` would cut. The error never holds the value itself. */
must_check int value_parse(struct arena *arena, enum value_type type, unsigned scale, const char *bytes, size_t length,
                           struct value *ret, struct error *err);

/* The same, but a timestamp without a zone is taken as what the clocks of `zone` showed (NULL: UTC). */
must_check int value_parse_in(struct arena *arena, enum value_type type, unsigned scale, const struct zone *zone,
                              const char *bytes, size_t length, struct value *ret, struct error *err);
/* A canonical timestamp as the clocks of `zone` showed it, with how far they are from UTC: "2026-01-02
 * 11:04:05.600000+08:00:00". A column with zone stores the moment, one without what the clocks showed. */
struct value value_local_time(struct arena *arena, const struct zone *zone, struct value value);

/* A reference as an agency knows it. */
struct value reference_local(struct arena *arena, const char *block, const char *key, uint32_t key_length);
/* Cuts such a one; false: it is a number, or no value. Borrows from it. */
bool reference_cut(struct value value, struct value *ret_block, struct value *ret_key);
/* The number, as the broker knows the record; 0: it is as an agency knows it, or no value. */
uint64_t reference_number(struct value value);
struct value reference_to(struct arena *arena, uint64_t record);

/* Whether the bytes are valid UTF-8 (RFC 3629) without NUL. */
bool text_is_utf8(const char *bytes, size_t length);

#endif
