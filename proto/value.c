#include "proto/value.h"

#include <assert.h>
#include <string.h>

enum {
    DECIMAL_DIGITS_MAX = 38,
    SPELLING_BYTES_MAX = 64, /* any canonical spelling but text's */
};

static const char *const type_names[VALUE_TYPE_COUNT] = {
    [VALUE_TEXT] = "text",           [VALUE_INTEGER] = "integer", [VALUE_DECIMAL] = "decimal",
    [VALUE_BOOLEAN] = "boolean",     [VALUE_DATE] = "date",       [VALUE_TIMESTAMP] = "timestamp",
    [VALUE_REFERENCE] = "reference",
};

const char *value_type_name(enum value_type type)
{
    assert(type < VALUE_TYPE_COUNT);
    return type_names[type];
}

enum value_type value_type_named(const char *name)
{
    for (enum value_type type = 0; type < VALUE_TYPE_COUNT; type++)
        if (strcmp(type_names[type], name) == 0)
            return type;
    return VALUE_TYPE_COUNT;
}

struct value value_null(void)
{
    return (struct value){ .state = VALUE_NULL };
}

struct value value_text(const char *text)
{
    return (struct value){ .bytes = text, .length = (uint32_t)strlen(text), .state = VALUE_SET };
}

bool value_equal(struct value left, struct value right)
{
    if (left.state != right.state)
        return false;
    if (left.state != VALUE_SET)
        return true;
    return left.length == right.length && (left.length == 0 || memcmp(left.bytes, right.bytes, left.length) == 0);
}

static int bytes_compare(struct value left, struct value right)
{
    uint32_t shared = left.length < right.length ? left.length : right.length;
    int order = shared > 0 ? memcmp(left.bytes, right.bytes, shared) : 0;

    return order != 0 ? order : (left.length > right.length) - (left.length < right.length);
}

/* Canonical numbers of one scale have their points at the same place: the longer magnitude is the larger one. */
static int number_compare(struct value left, struct value right)
{
    bool left_negative = left.bytes[0] == '-', right_negative = right.bytes[0] == '-';
    int order;

    if (left_negative != right_negative)
        return left_negative ? -1 : 1;
    order = left.length != right.length ? (left.length > right.length) - (left.length < right.length)
                                        : memcmp(left.bytes, right.bytes, left.length);
    return left_negative ? -order : order;
}

int value_compare(enum value_type type, struct value left, struct value right)
{
    assert(left.state == VALUE_SET && right.state == VALUE_SET);
    if (type == VALUE_INTEGER || type == VALUE_DECIMAL)
        return number_compare(left, right);
    return bytes_compare(left, right);
}

/* The lead bytes of RFC 3629 and what may follow each: the second byte's range keeps out overlong forms, surrogates and
 * what lies beyond U+10FFFF. */
static const struct {
    uint8_t first, last;
    uint8_t second_least, second_most;
    uint8_t length;
} utf8_forms[] = {
    { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
    { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
    { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

/* Bytes of the character above U+007F that starts here, or 0. */
static size_t utf8_character(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < sizeof utf8_forms / sizeof utf8_forms[0]; i++) {
        if (bytes[0] < utf8_forms[i].first || bytes[0] > utf8_forms[i].last)
            continue;
        if (length < utf8_forms[i].length || bytes[1] < utf8_forms[i].second_least ||
            bytes[1] > utf8_forms[i].second_most)
            return 0;
        for (size_t at = 2; at < utf8_forms[i].length; at++)
            if ((bytes[at] & 0xc0) != 0x80)
                return 0;
        return utf8_forms[i].length;
    }
    return 0;
}

/* Whether the next 8 bytes are ASCII without NUL: no byte has its high bit, and none loses its own to a borrow. */
static bool is_plain(const uint8_t *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof word);
    return ((word | (word - UINT64_C(0x0101010101010101))) & UINT64_C(0x8080808080808080)) == 0;
}

bool text_is_utf8(const char *bytes, size_t length)
{
    const uint8_t *at = (const uint8_t *)bytes;
    const uint8_t *end = at + length;

    while (at < end) {
        if (end - at >= 8 && is_plain(at)) {
            at += 8;
            continue;
        }
        size_t taken = *at < 0x80 ? *at != 0 : utf8_character(at, (size_t)(end - at));

        if (taken == 0)
            return false;
        at += taken;
    }
    return true;
}

/* What is left to read of a spelling. */
struct cursor {
    const char *at, *end;
};

static bool is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

static bool take(struct cursor *cursor, char letter)
{
    if (cursor->at == cursor->end || *cursor->at != letter)
        return false;
    cursor->at++;
    return true;
}

/* Exactly `count` digits. */
static bool take_digits(struct cursor *cursor, unsigned count, unsigned *ret)
{
    unsigned number = 0;

    if ((size_t)(cursor->end - cursor->at) < count)
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (!is_digit(cursor->at[i]))
            return false;
        number = number * 10 + (unsigned)(cursor->at[i] - '0');
    }
    cursor->at += count;
    *ret = number;
    return true;
}

/* As many digits as there are. */
static struct cursor take_run(struct cursor *cursor)
{
    struct cursor run = { cursor->at, cursor->at };

    while (run.end < cursor->end && is_digit(*run.end))
        run.end++;
    cursor->at = run.end;
    return run;
}

static size_t run_length(struct cursor run)
{
    return (size_t)(run.end - run.at);
}

static size_t put_digits(char *out, unsigned count, unsigned number)
{
    for (unsigned i = count; i > 0; i--) {
        out[i - 1] = (char)('0' + number % 10);
        number /= 10;
    }
    return count;
}

/* Each reader writes the canonical spelling to `out` (SPELLING_BYTES_MAX) and returns its length, or 0 and why not. */
struct spelling {
    unsigned scale;
    const struct zone *zone; /* of a time without one; NULL: UTC */
};
typedef size_t spelling_reader(struct cursor cursor, const struct spelling *spelling, char *out, const char **ret_why);

/* [sign] digits [. digits], with neither leading zeros nor more than `scale` digits behind the point that count. */
static size_t read_digits(struct cursor cursor, unsigned scale, char *out, const char **ret_why)
{
    bool negative = take(&cursor, '-');
    struct cursor whole, fraction;
    size_t length = 0;
    bool zero;

    if (!negative)
        take(&cursor, '+');
    whole = take_run(&cursor);
    fraction = (struct cursor){ cursor.at, cursor.at };
    if (take(&cursor, '.'))
        fraction = take_run(&cursor);
    if (cursor.at != cursor.end || run_length(whole) + run_length(fraction) == 0) {
        *ret_why = "is not a number";
        return 0;
    }
    while (whole.at < whole.end && *whole.at == '0')
        whole.at++;
    while (run_length(fraction) > scale && fraction.end[-1] == '0')
        fraction.end--;
    if (run_length(fraction) > scale) {
        *ret_why = "has more digits behind the point than the catalog keeps";
        return 0;
    }
    if (run_length(whole) + scale > DECIMAL_DIGITS_MAX) {
        *ret_why = "has more than 38 digits";
        return 0;
    }
    zero = run_length(whole) == 0;
    for (const char *digit = fraction.at; zero && digit < fraction.end; digit++)
        zero = *digit == '0';
    if (negative && !zero)
        out[length++] = '-';
    if (run_length(whole) == 0)
        out[length++] = '0';
    memcpy(out + length, whole.at, run_length(whole));
    length += run_length(whole);
    if (scale > 0) {
        out[length++] = '.';
        memcpy(out + length, fraction.at, run_length(fraction));
        memset(out + length + run_length(fraction), '0', scale - run_length(fraction));
        length += scale;
    }
    return length;
}

static size_t read_decimal(struct cursor cursor, const struct spelling *spelling, char *out, const char **ret_why)
{
    return read_digits(cursor, spelling->scale, out, ret_why);
}

static size_t read_integer(struct cursor cursor, const struct spelling *spelling, char *out, const char **ret_why)
{
    static const char largest[] = "9223372036854775807", smallest[] = "9223372036854775808";
    size_t length = read_digits(cursor, 0, out, ret_why);
    const char *digits = out, *limit = largest;
    size_t count = length;

    (void)spelling;
    if (length == 0)
        return 0;
    if (out[0] == '-') {
        digits++;
        count--;
        limit = smallest;
    }
    if (count > sizeof largest - 1 || (count == sizeof largest - 1 && memcmp(digits, limit, count) > 0)) {
        *ret_why = "is beyond the integers of 64 bits";
        return 0;
    }
    return length;
}

static size_t read_boolean(struct cursor cursor, const struct spelling *spelling, char *out, const char **ret_why)
{
    static const struct {
        const char *spelling, *canonical;
    } words[] = { { "t", "true" }, { "f", "false" }, { "true", "true" }, { "false", "false" } };
    size_t length = run_length(cursor);

    (void)spelling;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i].spelling) == length && memcmp(words[i].spelling, cursor.at, length) == 0) {
            memcpy(out, words[i].canonical, strlen(words[i].canonical));
            return strlen(words[i].canonical);
        }
    *ret_why = "is neither true nor false";
    return 0;
}

static bool is_leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned month_days(unsigned year, unsigned month)
{
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    return days[month - 1] + (month == 2 && is_leap(year));
}

struct day {
    unsigned year, month, day;
};

static bool take_day(struct cursor *cursor, struct day *ret)
{
    return take_digits(cursor, 4, &ret->year) && take(cursor, '-') && take_digits(cursor, 2, &ret->month) &&
           take(cursor, '-') && take_digits(cursor, 2, &ret->day) && ret->year >= 1 && ret->month >= 1 &&
           ret->month <= 12 && ret->day >= 1 && ret->day <= month_days(ret->year, ret->month);
}

static size_t put_day(char *out, const struct day *day)
{
    put_digits(out, 4, day->year);
    out[4] = '-';
    put_digits(out + 5, 2, day->month);
    out[7] = '-';
    put_digits(out + 8, 2, day->day);
    return 10;
}

/* Days since 1970-01-01 and back, in years of 365 days and one more every fourth but not every hundredth, beginning in
 * March so that the day of a leap year comes last. */
static int64_t day_number(const struct day *day)
{
    int64_t year = (int64_t)day->year - (day->month <= 2), month = (day->month + 9) % 12;

    return year * 365 + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + (day->day - 1) - 719468;
}

/* Of the years 0 to 10000. */
static struct day day_numbered(int64_t number)
{
    int64_t shifted = number + 719468;
    int64_t era = shifted / 146097, of_era = shifted % 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;

    return (struct day){ .year = (unsigned)(era * 400 + year + (month >= 10)),
                         .month = (unsigned)(month < 10 ? month + 3 : month - 9),
                         .day = (unsigned)(of_year - (153 * month + 2) / 5 + 1) };
}

static size_t read_date(struct cursor cursor, const struct spelling *spelling, char *out, const char **ret_why)
{
    struct day day;

    (void)spelling;
    if (take_day(&cursor, &day) && cursor.at == cursor.end)
        return put_day(out, &day);
    *ret_why = "is not a day of the years 0001 to 9999, like 2026-11-20";
    return 0;
}

/* Nothing, "Z" or [+-]HH[:MM[:SS]], as seconds east of UTC; nothing is said to be none. */
static bool take_zone(struct cursor *cursor, bool *ret_none, int *ret_east_s)
{
    unsigned hours, minutes = 0, seconds = 0;
    bool west;

    *ret_east_s = 0;
    *ret_none = cursor->at == cursor->end;
    if (cursor->at == cursor->end || take(cursor, 'Z'))
        return true;
    west = take(cursor, '-');
    if (!west && !take(cursor, '+'))
        return false;
    if (!take_digits(cursor, 2, &hours) || (take(cursor, ':') && !take_digits(cursor, 2, &minutes)) ||
        (take(cursor, ':') && !take_digits(cursor, 2, &seconds)) || hours > 15 || minutes > 59 || seconds > 59)
        return false;
    *ret_east_s = (int)(hours * 3600 + minutes * 60 + seconds) * (west ? -1 : 1);
    return true;
}

static bool take_time(struct cursor *cursor, int *ret_second_of_day, char micros[6])
{
    unsigned hour, minute, second;

    memset(micros, '0', 6);
    if (!take_digits(cursor, 2, &hour) || !take(cursor, ':') || !take_digits(cursor, 2, &minute) ||
        !take(cursor, ':') || !take_digits(cursor, 2, &second) || hour > 23 || minute > 59 || second > 59)
        return false;
    if (take(cursor, '.')) {
        struct cursor fraction = take_run(cursor);

        if (run_length(fraction) == 0 || run_length(fraction) > 6)
            return false;
        memcpy(micros, fraction.at, run_length(fraction));
    }
    *ret_second_of_day = (int)(hour * 3600 + minute * 60 + second);
    return true;
}

enum { DAY_S = 24 * 60 * 60 };
#define YEAR_1_S INT64_C(-62135596800) /* 0001-01-01 */
#define YEAR_10000_S INT64_C(253402300800)

/* "YYYY-MM-DDTHH:MM:SS.ffffff" */
static size_t put_moment(char *out, int64_t at_s, char between, const char micros[6])
{
    int64_t number = (at_s - YEAR_1_S) / DAY_S + YEAR_1_S / DAY_S;
    unsigned second = (unsigned)(at_s - number * DAY_S);
    struct day day = day_numbered(number);

    put_day(out, &day);
    out[10] = between;
    put_digits(out + 11, 2, second / 3600);
    out[13] = ':';
    put_digits(out + 14, 2, second / 60 % 60);
    out[16] = ':';
    put_digits(out + 17, 2, second % 60);
    out[19] = '.';
    memcpy(out + 20, micros, 6);
    return 26;
}

static bool in_years(int64_t at_s)
{
    return at_s >= YEAR_1_S && at_s < YEAR_10000_S;
}

static size_t read_timestamp(struct cursor cursor, const struct spelling *spelling, char *out, const char **ret_why)
{
    struct day day;
    int second, east_s;
    bool unzoned;
    int64_t utc_s;
    char micros[6];

    *ret_why = "is not a time of the years 0001 to 9999, like 2026-11-20 09:14:07+08";
    if (!take_day(&cursor, &day) || !(take(&cursor, ' ') || take(&cursor, 'T')) ||
        !take_time(&cursor, &second, micros) || !take_zone(&cursor, &unzoned, &east_s) || cursor.at != cursor.end)
        return 0;
    utc_s = day_number(&day) * DAY_S + second - east_s;
    if (unzoned && spelling->zone)
        utc_s = zone_utc(spelling->zone, utc_s);
    if (!in_years(utc_s))
        return 0;
    put_moment(out, utc_s, 'T', micros);
    out[26] = 'Z';
    return 27;
}

/* A name of PROTOCOL.md, 2. */
static bool is_block_name(struct value name)
{
    bool valid = name.length >= 1 && name.length <= 63 && name.bytes[0] >= 'a' && name.bytes[0] <= 'z';

    for (uint32_t i = 1; valid && i < name.length; i++)
        valid = (name.bytes[i] >= 'a' && name.bytes[i] <= 'z') || is_digit(name.bytes[i]) || name.bytes[i] == '_';
    return valid;
}

bool reference_cut(struct value value, struct value *ret_block, struct value *ret_key)
{
    const char *cut = value.state == VALUE_SET ? memchr(value.bytes, KEY_SEPARATOR, value.length) : NULL;

    if (!cut)
        return false;
    *ret_block = (struct value){ .bytes = value.bytes, .length = (uint32_t)(cut - value.bytes), .state = VALUE_SET };
    *ret_key = (struct value){ .bytes = cut + 1, .length = value.length - ret_block->length - 1, .state = VALUE_SET };
    return true;
}

struct value reference_local(struct arena *arena, const char *block, const char *key, uint32_t key_length)
{
    size_t name = strlen(block);
    char *bytes = arena_alloc(arena, name + 1 + key_length), *at = mempcpy(bytes, block, name);

    *at++ = KEY_SEPARATOR;
    memcpy(at, key, key_length);
    return (struct value){ .bytes = bytes, .length = (uint32_t)(name + 1 + key_length), .state = VALUE_SET };
}

uint64_t reference_number(struct value value)
{
    uint64_t number = 0;

    if (value.state != VALUE_SET || value.length > 19)
        return 0;
    for (uint32_t i = 0; i < value.length; i++) {
        if (!is_digit(value.bytes[i]))
            return 0;
        number = number * 10 + (uint64_t)(value.bytes[i] - '0');
    }
    return number <= INT64_MAX ? number : 0;
}

struct value reference_to(struct arena *arena, uint64_t record)
{
    return value_text(arena_printf(arena, "%llu", (unsigned long long)record));
}

/* Either form. */
static int read_reference(const char *bytes, size_t length, struct value *ret, struct error *err)
{
    struct value value = { .bytes = bytes, .length = (uint32_t)length, .state = VALUE_SET }, block, key;
    bool local = reference_cut(value, &block, &key);

    if (local ? !is_block_name(block) || key.length == 0 || key.length > REFERENCE_KEY_BYTES_MAX ||
                    !text_is_utf8(key.bytes, key.length)
              : reference_number(value) == 0 || bytes[0] == '0')
        return error_set(err, ERR_REJECT, "is neither a record's number nor a key of a block");
    *ret = value;
    return 0;
}

static spelling_reader *const readers[VALUE_TYPE_COUNT] = {
    [VALUE_INTEGER] = read_integer, [VALUE_DECIMAL] = read_decimal,     [VALUE_BOOLEAN] = read_boolean,
    [VALUE_DATE] = read_date,       [VALUE_TIMESTAMP] = read_timestamp,
};

struct value value_local_time(struct arena *arena, const struct zone *zone, struct value value)
{
    struct cursor cursor = { value.bytes, value.bytes + value.length };
    char *out = arena_alloc(arena, SPELLING_BYTES_MAX), micros[6];
    int second, east_s;
    unsigned east;
    size_t length;
    int64_t utc_s;
    struct day day;

    if (value.length != 27 || !take_day(&cursor, &day) || !take(&cursor, 'T') || !take_time(&cursor, &second, micros))
        return value; /* no canonical timestamp: whoever stores it will say so */
    utc_s = day_number(&day) * DAY_S + second;
    east_s = zone_east(zone, utc_s);
    if (!in_years(utc_s + east_s))
        return value; /* the first or last day of all: as it is */
    length = put_moment(out, utc_s + east_s, ' ', micros);
    east = (unsigned)(east_s < 0 ? -east_s : east_s);
    out[length++] = east_s < 0 ? '-' : '+';
    length += put_digits(out + length, 2, east / 3600);
    out[length++] = ':';
    length += put_digits(out + length, 2, east / 60 % 60);
    out[length++] = ':';
    length += put_digits(out + length, 2, east % 60);
    return (struct value){ .bytes = out, .length = (uint32_t)length, .state = VALUE_SET };
}

int value_parse(struct arena *arena, enum value_type type, unsigned scale, const char *bytes, size_t length,
                struct value *ret, struct error *err)
{
    return value_parse_in(arena, type, scale, NULL, bytes, length, ret, err);
}

int value_parse_in(struct arena *arena, enum value_type type, unsigned scale, const struct zone *zone,
                   const char *bytes, size_t length, struct value *ret, struct error *err)
{
    struct spelling allowed = { .scale = scale, .zone = zone };
    char spelling[SPELLING_BYTES_MAX];
    const char *why = NULL;
    size_t spelled;

    assert(type < VALUE_TYPE_COUNT && scale <= DECIMAL_DIGITS_MAX);
    if (length > VALUE_LENGTH_MAX)
        return error_set(err, ERR_REJECT, "is longer than %u bytes", VALUE_LENGTH_MAX);
    if (type == VALUE_TEXT) {
        if (!text_is_utf8(bytes, length))
            return error_set(err, ERR_REJECT, "is not UTF-8 without NUL");
        *ret = (struct value){ .bytes = bytes, .length = (uint32_t)length, .state = VALUE_SET };
        return 0;
    }
    if (type == VALUE_REFERENCE)
        return read_reference(bytes, length, ret, err);
    spelled = readers[type]((struct cursor){ bytes, bytes + length }, &allowed, spelling, &why);
    if (spelled == 0)
        return error_set(err, ERR_REJECT, "%s", why);
    /* Most values arrive in their canonical spelling: those are not copied. */
    if (spelled != length || memcmp(spelling, bytes, length) != 0)
        bytes = arena_copy(arena, spelling, spelled);
    *ret = (struct value){ .bytes = bytes, .length = (uint32_t)spelled, .state = VALUE_SET };
    return 0;
}
