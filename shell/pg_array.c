#include "proto/pack.h"
#include "shell/pg.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* ---- Parameters ---- */

static void parameter(struct pg_parameters *parameters, const void *bytes, size_t length, int format, Oid type)
{
    int i = parameters->count++;

    assert(i < PG_PARAMETERS_MAX && length <= INT32_MAX);
    parameters->values[i] = bytes;
    parameters->lengths[i] = (int)length;
    parameters->formats[i] = format;
    parameters->types[i] = type;
}

void pg_text(struct pg_parameters *parameters, const char *value)
{
    parameter(parameters, value, 0, 0, 0);
}

void pg_bytes(struct pg_parameters *parameters, const void *bytes, size_t length)
{
    parameter(parameters, bytes, length, 1, PG_OID_BYTEA);
}

void pg_int8(struct pg_parameters *parameters, struct arena *arena, int64_t value)
{
    uint64_t *copy = arena_alloc(arena, sizeof *copy);

    *copy = htobe64((uint64_t)value);
    parameter(parameters, copy, sizeof *copy, 1, PG_OID_INT8);
}

/* ---- Arrays: PostgreSQL's array_recv ---- */

/* Number of dimensions, whether there are NULLs, element type; then size and lower bound of the one dimension. An empty
 * array has no dimension. */
struct header {
    uint32_t dimensions, nulls, element;
    uint32_t count, lower;
};
enum { EMPTY_HEADER_BYTES = 3 * sizeof(uint32_t) };

static const struct {
    Oid element, array;
} array_types[] = {
    { PG_OID_BOOL, 1000 }, { PG_OID_BYTEA, 1001 }, { PG_OID_INT2, 1005 },        { PG_OID_INT4, 1007 },
    { PG_OID_TEXT, 1009 }, { PG_OID_INT8, 1016 },  { PG_OID_TIMESTAMPTZ, 1185 },
};

static Oid array_type(Oid element)
{
    size_t i = 0;

    while (array_types[i].element != element) {
        i++;
        assert(i < sizeof array_types / sizeof array_types[0]);
    }
    return array_types[i].array;
}

static void append(struct pg_array *array, const void *bytes, size_t length)
{
    buffer_reserve(&array->bytes, length);
    if (length > 0)
        memcpy(array->bytes.bytes + array->bytes.length, bytes, length);
    array->bytes.length += length;
}

void pg_array_start(struct pg_array *array, Oid element)
{
    static const struct header room;

    array->bytes.length = 0;
    array->element = element;
    array->count = 0;
    array->nulls = false;
    append(array, &room, sizeof room); /* filled in by pg_array_parameter() */
}

static void element(struct pg_array *array, const void *bytes, size_t length)
{
    uint32_t prefix = htobe32((uint32_t)length);

    assert(length <= INT32_MAX);
    append(array, &prefix, sizeof prefix);
    append(array, bytes, length);
    array->count++;
}

void pg_array_bytes(struct pg_array *array, const void *bytes, size_t length)
{
    assert(array->element == PG_OID_TEXT || array->element == PG_OID_BYTEA);
    element(array, bytes, length);
}

void pg_array_value(struct pg_array *array, struct value value)
{
    if (value.state == VALUE_SET)
        pg_array_bytes(array, value.bytes, value.length);
    else
        pg_array_null(array);
}

void pg_array_int8(struct pg_array *array, int64_t value)
{
    uint64_t bytes = htobe64((uint64_t)value);

    assert(array->element == PG_OID_INT8);
    element(array, &bytes, sizeof bytes);
}

void pg_array_int4(struct pg_array *array, int32_t value)
{
    uint32_t bytes = htobe32((uint32_t)value);
    uint16_t narrow = htobe16((uint16_t)value);

    assert(array->element == PG_OID_INT4 || (array->element == PG_OID_INT2 && value == (int16_t)value));
    if (array->element == PG_OID_INT4)
        element(array, &bytes, sizeof bytes);
    else
        element(array, &narrow, sizeof narrow);
}

/* timestamptz_recv: microseconds since 2000-01-01. */
void pg_array_time(struct pg_array *array, int64_t time_us)
{
    uint64_t wire = htobe64((uint64_t)(time_us - INT64_C(946684800000000)));

    assert(array->element == PG_OID_TIMESTAMPTZ);
    element(array, &wire, sizeof wire);
}

void pg_array_bool(struct pg_array *array, bool value)
{
    char byte = value;

    assert(array->element == PG_OID_BOOL);
    element(array, &byte, 1);
}

void pg_array_null(struct pg_array *array)
{
    static const uint32_t none = UINT32_MAX;

    append(array, &none, sizeof none);
    array->count++;
    array->nulls = true;
}

void pg_array_free(struct pg_array *array)
{
    buffer_free(&array->bytes);
    *array = (struct pg_array){ 0 };
}

void pg_array_parameter(struct pg_parameters *parameters, struct pg_array *array)
{
    struct header header = { .dimensions = htobe32(array->count > 0),
                             .nulls = htobe32(array->nulls),
                             .element = htobe32(array->element),
                             .count = htobe32(array->count),
                             .lower = htobe32(1) };

    assert(array->bytes.length >= sizeof header);
    memcpy(array->bytes.bytes, &header, sizeof header);
    parameter(parameters, array->bytes.bytes, array->count > 0 ? array->bytes.length : (size_t)EMPTY_HEADER_BYTES, 1,
              array_type(array->element));
}

/* ---- Results ---- */

int64_t pg_result_int8(const PGresult *result, int row, int column)
{
    return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

static uint8_t digit(char letter)
{
    return (uint8_t)(letter <= '9' ? letter - '0' : letter - 'a' + 10);
}

struct text pg_result_bytes(struct arena *arena, const PGresult *result, int row, int column)
{
    const char *hex = PQgetvalue(result, row, column);
    size_t length = (size_t)PQgetlength(result, row, column);
    uint8_t *bytes;

    if (PQgetisnull(result, row, column))
        return (struct text){ 0 };
    assert(length >= 2 && length % 2 == 0 && hex[0] == '\\' && hex[1] == 'x'); /* bytea_output is ours */
    length = length / 2 - 1;
    bytes = arena_alloc(arena, length + 1);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(digit(hex[2 + 2 * i]) << 4 | digit(hex[3 + 2 * i]));
    return (struct text){ (const char *)bytes, (uint32_t)length };
}
