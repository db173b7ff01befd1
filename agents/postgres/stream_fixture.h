/* stream_fixture.h: for tests: a small bound mapping, and the messages of pgoutput byte by byte. */
#ifndef SELARAS_STREAM_FIXTURE_H
#define SELARAS_STREAM_FIXTURE_H

#include "proto/mapping.h"

#include <assert.h>
#include <string.h>

enum { PEOPLE = 101, ELSEWHERE = 102, FENCE = 103 }; /* relations */

/* Table public.people (extra, nik, name, size, note), of which `extra` is not mapped. */
static const struct catalog_field fixture_fields[] = {
    { .name = "nik", .type = VALUE_TEXT, .identifier = true, .unit = 1 },
    { .name = "name", .type = VALUE_TEXT, .unit = 2 },
    { .name = "size", .type = VALUE_INTEGER, .unit = 3 },
    { .name = "note", .type = VALUE_TEXT, .unit = 4 },
};
static const uint16_t fixture_nik[] = { 0 };
static const struct catalog_unit fixture_units[] = {
    { .name = "existence" }, { .name = "nik", .identifier = true, .field_count = 1, .fields = fixture_nik },
    { .name = "name" },      { .name = "size" },
    { .name = "note" },
};
static const struct catalog_type fixture_type = {
    .name = "resident",
    .field_count = 4,
    .fields = fixture_fields,
    .unit_count = 5,
    .units = fixture_units,
};
static const char *const fixture_columns[] = { "nik", "name", "size", "note" };
static const uint16_t fixture_places[] = { 0, 1, 2, 3 };
static struct mapping_field fixture_mapped[] = {
    { .name = "nik", .field = 0, .columns = &fixture_places[0], .column_count = 1, .join = "", .trim = true },
    { .name = "name", .field = 1, .columns = &fixture_places[1], .column_count = 1, .join = "" },
    { .name = "size", .field = 2, .columns = &fixture_places[2], .column_count = 1, .join = "" },
    { .name = "note", .field = 3, .columns = &fixture_places[3], .column_count = 1, .join = "" },
};
static struct mapping_block fixture_block = {
    .name = "people",
    .schema = "public",
    .table = "people",
    .type_name = "resident",
    .type = &fixture_type,
    .key = fixture_places,
    .key_count = 1,
    .key_columns = fixture_places,
    .key_column_count = 1,
    .actor_column = COLUMN_NONE,
    .ground_column = COLUMN_NONE,
    .written_count = 4,
    .insert = true,
    .delete = DELETE_ROW,
    .columns = fixture_columns,
    .column_count = 4,
    .fields = fixture_mapped,
    .field_count = 4,
};
static const struct mapping fixture_mapping = { &fixture_block, 1 };

struct bytes {
    char at[4096];
    size_t length;
};

static inline void put(struct bytes *to, const void *from, size_t length)
{
    assert(length <= sizeof to->at - to->length);
    memcpy(to->at + to->length, from, length);
    to->length += length;
}

static inline void put_number(struct bytes *to, int width, uint64_t number)
{
    for (int shift = 8 * (width - 1); shift >= 0; shift -= 8)
        put(to, &(char){ (char)(number >> shift & 0xff) }, 1);
}

static inline void put_text(struct bytes *to, const char *text)
{
    put(to, text, strlen(text) + 1);
}

static inline struct bytes begin_bytes(uint64_t lsn, uint64_t since_2000_us)
{
    struct bytes bytes = { "B", 1 };

    put_number(&bytes, 8, lsn);
    put_number(&bytes, 8, since_2000_us);
    put_number(&bytes, 4, 7);
    return bytes;
}

static inline struct bytes commit_bytes(uint64_t lsn, uint64_t end_lsn)
{
    struct bytes bytes = { "C", 1 };

    put_number(&bytes, 1, 0);
    put_number(&bytes, 8, lsn);
    put_number(&bytes, 8, end_lsn);
    put_number(&bytes, 8, 0);
    return bytes;
}

static inline struct bytes origin_bytes(uint64_t lsn, const char *name)
{
    struct bytes bytes = { "O", 1 };

    put_number(&bytes, 8, lsn);
    put_text(&bytes, name);
    return bytes;
}

static inline struct bytes message_bytes(bool transactional, const char *prefix, const void *content, size_t length)
{
    struct bytes bytes = { "M", 1 };

    put_number(&bytes, 1, transactional);
    put_number(&bytes, 8, 5);
    put_text(&bytes, prefix);
    put_number(&bytes, 4, length);
    put(&bytes, content, length);
    return bytes;
}

/* `columns` ends in NULL. A column whose name begins with '*' is part of the replica identity. */
static inline struct bytes relation_bytes(uint32_t id, const char *schema, const char *table, char identity,
                                          const char *const *columns)
{
    struct bytes bytes = { "R", 1 };
    int count = 0;

    while (columns[count])
        count++;
    put_number(&bytes, 4, id);
    put_text(&bytes, schema);
    put_text(&bytes, table);
    put_number(&bytes, 1, (uint64_t)identity);
    put_number(&bytes, 2, (uint64_t)count);
    for (int i = 0; i < count; i++) {
        bool key = columns[i][0] == '*';

        put_number(&bytes, 1, key || identity == 'f');
        put_text(&bytes, columns[i] + key);
        put_number(&bytes, 4, 25);
        put_number(&bytes, 4, UINT32_MAX);
    }
    return bytes;
}

static inline struct bytes people_bytes(char identity)
{
    static const char *const columns[] = { "extra", "*nik", "name", "size", "note", NULL };

    return relation_bytes(PEOPLE, "public", "people", identity, columns);
}

/* A row of public.people; each value is text, "" for NULL, "?" for an unchanged one that is stored apart. */
struct person {
    const char *extra, *nik, *name, *size, *note;
};

static inline void put_row(struct bytes *to, char letter, const struct person *person)
{
    const char *const values[] = { person->extra, person->nik, person->name, person->size, person->note };

    put(to, &letter, 1);
    put_number(to, 2, 5);
    for (int i = 0; i < 5; i++) {
        const char *value = values[i] ? values[i] : "";

        if (strcmp(value, "?") == 0) {
            put(to, "u", 1);
        } else if (value[0] == '\0') {
            put(to, "n", 1);
        } else {
            put(to, "t", 1);
            put_number(to, 4, strlen(value));
            put(to, value, strlen(value));
        }
    }
}

/* Any of old and now may be NULL: then it is an insert or a deletion. */
static inline struct bytes change_bytes(char identity, const struct person *old, const struct person *now)
{
    struct bytes bytes = { "", 0 };

    put(&bytes, !now ? "D" : !old && identity == 'N' ? "I" : "U", 1);
    put_number(&bytes, 4, PEOPLE);
    if (old)
        put_row(&bytes, identity, old);
    if (now)
        put_row(&bytes, 'N', now);
    return bytes;
}

static inline struct bytes insert_bytes(const struct person *now)
{
    return change_bytes('N', NULL, now);
}

static inline struct bytes truncate_bytes(uint32_t relation)
{
    struct bytes bytes = { "T", 1 };

    put_number(&bytes, 4, 1);
    put_number(&bytes, 1, 0);
    put_number(&bytes, 4, relation);
    return bytes;
}

#endif
