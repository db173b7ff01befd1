#include "proto/cursor.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What a value's first byte says it is. */
enum shape {
    SHAPE_NIL,
    SHAPE_FALSE,
    SHAPE_TRUE,
    SHAPE_UINT,
    SHAPE_NEGATIVE,
    SHAPE_TEXT,
    SHAPE_BIN,
    SHAPE_ARRAY,
    SHAPE_FLOAT,
    SHAPE_MAP,
    SHAPE_EXTENSION,
    SHAPE_UNUSED,
    SHAPE_NONE, /* the bytes end before or within it */
};

static const char *const shape_names[] = {
    [SHAPE_NIL] = "nil",
    [SHAPE_FALSE] = "false",
    [SHAPE_TRUE] = "true",
    [SHAPE_UINT] = "an integer",
    [SHAPE_NEGATIVE] = "a negative integer",
    [SHAPE_TEXT] = "text",
    [SHAPE_BIN] = "bin",
    [SHAPE_ARRAY] = "an array",
    [SHAPE_FLOAT] = "a float",
    [SHAPE_MAP] = "a map",
    [SHAPE_EXTENSION] = "an extension",
    [SHAPE_UNUSED] = "a byte that MessagePack does not use",
    [SHAPE_NONE] = "the end of the bytes",
};

/* First bytes 0xc0 to 0xdf. `width` bytes follow: a number, or the length of what comes behind them; `sign` is the bit
 * of the number that makes it negative. */
static const struct {
    uint8_t shape;
    uint8_t width;
    uint64_t sign;
} heads[32] = {
    { SHAPE_NIL, 0, 0 },
    { SHAPE_UNUSED, 0, 0 },
    { SHAPE_FALSE, 0, 0 },
    { SHAPE_TRUE, 0, 0 },
    { SHAPE_BIN, 1, 0 },
    { SHAPE_BIN, 2, 0 },
    { SHAPE_BIN, 4, 0 },
    { SHAPE_EXTENSION, 0, 0 },
    { SHAPE_EXTENSION, 0, 0 },
    { SHAPE_EXTENSION, 0, 0 },
    { SHAPE_FLOAT, 0, 0 },
    { SHAPE_FLOAT, 0, 0 },
    { SHAPE_UINT, 1, 0 },
    { SHAPE_UINT, 2, 0 },
    { SHAPE_UINT, 4, 0 },
    { SHAPE_UINT, 8, 0 },
    { SHAPE_UINT, 1, UINT64_C(1) << 7 },
    { SHAPE_UINT, 2, UINT64_C(1) << 15 },
    { SHAPE_UINT, 4, UINT64_C(1) << 31 },
    { SHAPE_UINT, 8, UINT64_C(1) << 63 },
    { SHAPE_EXTENSION, 0, 0 },
    { SHAPE_EXTENSION, 0, 0 },
    { SHAPE_EXTENSION, 0, 0 },
    { SHAPE_EXTENSION, 0, 0 },
    { SHAPE_EXTENSION, 0, 0 },
    { SHAPE_TEXT, 1, 0 },
    { SHAPE_TEXT, 2, 0 },
    { SHAPE_TEXT, 4, 0 },
    { SHAPE_ARRAY, 2, 0 },
    { SHAPE_ARRAY, 4, 0 },
    { SHAPE_MAP, 0, 0 },
    { SHAPE_MAP, 0, 0 },
};

struct head {
    enum shape shape;
    uint64_t number; /* of an integer (in two's complement when negative), or a length */
};

/* "pieces[1].changes[0].salt": the arrays that are open and the value within. */
static void place_print(const struct cursor *cursor, char *ret, size_t size)
{
    size_t used = 0;

    ret[0] = '\0';
    for (unsigned level = 1; level <= cursor->depth; level++) { /* level 0 is the message, called by `what` */
        const char *name = level < cursor->depth ? cursor->levels[level].name : cursor->name;

        if (name)
            used += (size_t)snprintf(ret + used, size - used, "%s%s", used > 0 ? "." : "", name);
        else
            used += (size_t)snprintf(ret + used, size - used, "[%" PRIu32 "]", cursor->levels[level - 1].element - 1);
        if (used >= size)
            return;
    }
}

void cursor_refuse(struct cursor *cursor, const char *fmt, ...)
{
    va_list arguments;
    char place[128], reason[128];

    if (cursor->failed)
        return;
    place_print(cursor, place, sizeof place);
    va_start(arguments, fmt);
    vsnprintf(reason, sizeof reason, fmt, arguments);
    va_end(arguments);
    snprintf(cursor->problem, sizeof cursor->problem, "%s%sat byte %td: %s", place, place[0] ? ", " : "",
             cursor->mark - cursor->start, reason);
    cursor->failed = true;
    cursor->at = cursor->end; /* whatever is asked for from here on is not there */
}

static void refuse_shape(struct cursor *cursor, const char *expected, enum shape found)
{
    cursor_refuse(cursor, "expected %s, found %s", expected, shape_names[found]);
}

static void begin(struct cursor *cursor, const char *name)
{
    if (cursor->failed)
        return;
    cursor->mark = cursor->at;
    cursor->name = name;
    if (!name && cursor->depth > 0)
        cursor->levels[cursor->depth - 1].element++;
}

static uint64_t big_endian(const uint8_t *bytes, size_t width)
{
    uint64_t number = 0;

    for (size_t i = 0; i < width; i++)
        number = number << 8 | bytes[i];
    return number;
}

/* Takes the first byte and the number or length that belongs to it. */
static struct head head_read(struct cursor *cursor)
{
    uint8_t first, width;
    struct head head;

    if (cursor->at == cursor->end)
        return (struct head){ SHAPE_NONE, 0 };
    first = *cursor->at++;
    if (first < 0x80)
        return (struct head){ SHAPE_UINT, first };
    if (first >= 0xe0)
        return (struct head){ SHAPE_NEGATIVE, (uint64_t)(int64_t)(int8_t)first };
    if (first < 0x90)
        return (struct head){ SHAPE_MAP, 0 };
    if (first < 0xa0)
        return (struct head){ SHAPE_ARRAY, first & 0x0f };
    if (first < 0xc0)
        return (struct head){ SHAPE_TEXT, first & 0x1f };

    width = heads[first - 0xc0].width;
    if ((size_t)(cursor->end - cursor->at) < width)
        return (struct head){ SHAPE_NONE, 0 };
    head = (struct head){ heads[first - 0xc0].shape, big_endian(cursor->at, width) };
    cursor->at += width;
    if (head.number & heads[first - 0xc0].sign) {
        head.shape = SHAPE_NEGATIVE;
        head.number |= ~(heads[first - 0xc0].sign - 1); /* as 64 bits */
    }
    return head;
}

/* The head of text or bin is read: takes the bytes behind it. */
static struct text body_read(struct cursor *cursor, uint64_t length)
{
    size_t left = (size_t)(cursor->end - cursor->at);
    struct text body;

    if (length > left) {
        cursor_refuse(cursor, "%" PRIu64 " bytes cannot stand in the %zu that are left", length, left);
        return (struct text){ 0 };
    }
    body = (struct text){ (const char *)cursor->at, (uint32_t)length };
    cursor->at += length;
    return body;
}

void cursor_start(struct cursor *cursor, const char *what, const void *bytes, size_t length, struct arena *arena)
{
    assert(length <= UINT32_MAX);
    cursor->what = what;
    cursor->arena = arena;
    cursor->start = cursor->at = cursor->mark = length > 0 ? bytes : (const void *)""; /* no arithmetic on NULL */
    cursor->end = cursor->start + length;
    cursor->name = NULL;
    cursor->depth = 0;
    cursor->failed = false;
}

int cursor_finish(struct cursor *cursor, struct error *err)
{
    if (!cursor->failed && cursor->at != cursor->end) {
        cursor->mark = cursor->at;
        cursor->depth = 0;
        cursor_refuse(cursor, "the end is here, but bytes stand behind it (%td)", cursor->end - cursor->at);
    }
    if (cursor->failed)
        return error_set(err, ERR_REJECT, "%s: %s", cursor->what, cursor->problem);
    assert(cursor->depth == 0);
    return 0;
}

bool cursor_ok(const struct cursor *cursor)
{
    return !cursor->failed;
}

uint32_t cursor_list(struct cursor *cursor, const char *name, uint32_t fewest, uint32_t most, size_t least_bytes)
{
    struct head head;
    size_t left;

    begin(cursor, name);
    head = head_read(cursor);
    left = (size_t)(cursor->end - cursor->at);
    if (head.shape != SHAPE_ARRAY)
        refuse_shape(cursor, "an array", head.shape);
    else if (cursor->depth == CURSOR_DEPTH_MAX)
        cursor_refuse(cursor, "arrays are nested more than %d levels deep", CURSOR_DEPTH_MAX);
    else if (head.number < fewest || head.number > most)
        cursor_refuse(cursor, "expected an array of %s%" PRIu32 ", found one of %" PRIu64,
                      fewest == most         ? ""
                      : head.number < fewest ? "at least "
                                             : "at most ",
                      head.number < fewest ? fewest : most, head.number);
    else if (head.number > left / least_bytes)
        cursor_refuse(cursor, "%" PRIu64 " elements cannot stand in the %zu bytes that are left", head.number, left);
    if (cursor->failed)
        return 0;
    cursor->levels[cursor->depth++] = (struct cursor_level){ name, 0 };
    return (uint32_t)head.number;
}

void cursor_tuple(struct cursor *cursor, const char *name, uint32_t count)
{
    cursor_list(cursor, name, count, count, 1);
}

void cursor_leave(struct cursor *cursor)
{
    if (cursor->failed)
        return;
    assert(cursor->depth > 0);
    cursor->depth--;
}

bool cursor_nil(struct cursor *cursor)
{
    if (cursor->at == cursor->end || *cursor->at != 0xc0)
        return false;
    cursor->at++;
    return true;
}

void cursor_nothing(struct cursor *cursor, const char *name)
{
    struct head head;

    begin(cursor, name);
    head = head_read(cursor);
    if (head.shape != SHAPE_NIL)
        refuse_shape(cursor, "nil", head.shape);
}

bool cursor_bool(struct cursor *cursor, const char *name)
{
    struct head head;

    begin(cursor, name);
    head = head_read(cursor);
    if (head.shape != SHAPE_TRUE && head.shape != SHAPE_FALSE)
        refuse_shape(cursor, "true or false", head.shape);
    return head.shape == SHAPE_TRUE;
}

uint64_t cursor_uint(struct cursor *cursor, const char *name, uint64_t least, uint64_t most)
{
    struct head head;

    begin(cursor, name);
    head = head_read(cursor);
    if (head.shape != SHAPE_UINT)
        refuse_shape(cursor, "an integer that is not negative", head.shape);
    else if (head.number < least || head.number > most)
        cursor_refuse(cursor, "expected an integer from %" PRIu64 " to %" PRIu64 ", found another", least, most);
    return cursor->failed ? 0 : head.number;
}

int64_t cursor_int(struct cursor *cursor, const char *name, int64_t least, int64_t most)
{
    struct head head;

    begin(cursor, name);
    head = head_read(cursor);
    if (head.shape != SHAPE_UINT && head.shape != SHAPE_NEGATIVE)
        refuse_shape(cursor, "an integer", head.shape);
    else if ((head.shape == SHAPE_UINT && head.number > INT64_MAX) || (int64_t)head.number < least ||
             (int64_t)head.number > most)
        cursor_refuse(cursor, "expected an integer from %" PRId64 " to %" PRId64 ", found another", least, most);
    return cursor->failed ? 0 : (int64_t)head.number;
}

int64_t cursor_time(struct cursor *cursor, const char *name)
{
    return cursor_int(cursor, name, TIME_LEAST_US, TIME_MOST_US);
}

/* Text whose letters the caller checks. */
static struct text letters_read(struct cursor *cursor, const char *name)
{
    struct head head;

    begin(cursor, name);
    head = head_read(cursor);
    if (head.shape != SHAPE_TEXT) {
        refuse_shape(cursor, "text", head.shape);
        return (struct text){ 0 };
    }
    return body_read(cursor, head.number);
}

struct text cursor_text(struct cursor *cursor, const char *name)
{
    struct text text = letters_read(cursor, name);

    if (text.length > 0 && !text_is_utf8(text.bytes, text.length))
        cursor_refuse(cursor, "text is not UTF-8, or holds NUL");
    return cursor->failed ? (struct text){ 0 } : text;
}

struct text cursor_text_or_nil(struct cursor *cursor, const char *name)
{
    struct text text;

    if (cursor_nil(cursor))
        return (struct text){ 0 };
    text = cursor_text(cursor, name);
    if (text.length == 0)
        cursor_refuse(cursor, "expected nil or text that is not empty, found empty text");
    return text;
}

static bool is_name(struct text text)
{
    if (text.length == 0 || text.length > 63 || text.bytes[0] < 'a' || text.bytes[0] > 'z')
        return false;
    for (uint32_t i = 1; i < text.length; i++) {
        char c = text.bytes[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return true;
}

struct text cursor_name(struct cursor *cursor, const char *name)
{
    struct text text = letters_read(cursor, name);

    if (!cursor->failed && !is_name(text))
        cursor_refuse(cursor, "a name is a letter a-z and up to 62 of a-z, 0-9 and _");
    return cursor->failed ? (struct text){ 0 } : text;
}

struct value cursor_value(struct cursor *cursor, const char *name)
{
    struct text text;

    if (cursor_nil(cursor))
        return (struct value){ .state = VALUE_NULL };
    text = cursor_text(cursor, name);
    if (text.length > VALUE_LENGTH_MAX)
        cursor_refuse(cursor, "a value has at most %u bytes", VALUE_LENGTH_MAX);
    if (cursor->failed)
        return (struct value){ .state = VALUE_NULL };
    return (struct value){ text.bytes, text.length, VALUE_SET };
}

struct text cursor_bin(struct cursor *cursor, const char *name)
{
    struct head head;

    begin(cursor, name);
    head = head_read(cursor);
    if (head.shape != SHAPE_BIN) {
        refuse_shape(cursor, "bin", head.shape);
        return (struct text){ 0 };
    }
    return body_read(cursor, head.number);
}

void cursor_bytes(struct cursor *cursor, const char *name, uint8_t *ret, size_t length)
{
    struct text bin = cursor_bin(cursor, name);

    memset(ret, 0, length);
    if (!bin.bytes) /* refused */
        return;
    if (bin.length != length)
        cursor_refuse(cursor, "expected bin of %zu bytes, found one of %" PRIu32, length, bin.length);
    else
        memcpy(ret, bin.bytes, length);
}

void cursor_bytes_or_nil(struct cursor *cursor, const char *name, uint8_t *ret, size_t length)
{
    if (cursor_nil(cursor))
        memset(ret, 0, length);
    else
        cursor_bytes(cursor, name, ret, length);
}
