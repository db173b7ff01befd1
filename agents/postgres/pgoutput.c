#include "agents/postgres/pgoutput.h"

#include <string.h>

/* Microseconds from 1970 to 2000, where PostgreSQL's clock begins. */
#define EPOCH_2000_US (INT64_C(946684800) * 1000000)

/* Walks a message once. After the first fault every read gives zeros and `fault` says what was missing. */
struct reader {
    const unsigned char *bytes;
    size_t length, at;
    const char *fault;
};

static const unsigned char *read_bytes(struct reader *reader, size_t count)
{
    const unsigned char *bytes = reader->bytes + reader->at;

    if (reader->fault)
        return NULL;
    if (count > reader->length - reader->at) {
        reader->fault = "it ends too early";
        return NULL;
    }
    reader->at += count;
    return bytes;
}

static uint64_t read_number(struct reader *reader, size_t width)
{
    const unsigned char *bytes = read_bytes(reader, width);
    uint64_t number = 0;

    for (size_t i = 0; bytes && i < width; i++)
        number = number << 8 | bytes[i];
    return number;
}

static uint8_t read_byte(struct reader *reader)
{
    return (uint8_t)read_number(reader, 1);
}

static int64_t read_time_us(struct reader *reader)
{
    uint64_t since_2000 = read_number(reader, 8);

    return (int64_t)(since_2000 + (uint64_t)EPOCH_2000_US);
}

static struct text read_text(struct reader *reader)
{
    const unsigned char *start = reader->bytes + reader->at;
    const unsigned char *end;

    if (reader->fault)
        return (struct text){ "", 0 };
    end = memchr(start, 0, reader->length - reader->at);
    if (!end) {
        reader->fault = "a text does not end";
        return (struct text){ "", 0 };
    }
    reader->at += (size_t)(end - start) + 1;
    return (struct text){ (const char *)start, (uint32_t)(end - start) };
}

/* How many elements of at least `width` bytes follow: never more than the bytes that remain can hold. */
static uint32_t read_count(struct reader *reader, size_t count_width, size_t width)
{
    uint32_t count = (uint32_t)read_number(reader, count_width);

    if (!reader->fault && count > (reader->length - reader->at) / width)
        reader->fault = "it announces more than it holds";
    return reader->fault ? 0 : count;
}

static struct value read_value(struct reader *reader)
{
    struct value value = { 0 };
    uint32_t length;

    switch (read_byte(reader)) {
    case 'n':
        value.state = VALUE_NULL;
        break;
    case 'u':
        break;
    case 't':
        length = (uint32_t)read_number(reader, 4);
        value.bytes = (const char *)read_bytes(reader, length);
        value.length = length;
        value.state = VALUE_SET;
        break;
    default:
        if (!reader->fault)
            reader->fault = "a value is in no format that was asked for";
    }
    return reader->fault ? (struct value){ 0 } : value;
}

static struct pgoutput_row read_row(struct arena *arena, struct reader *reader)
{
    struct pgoutput_row row = { .count = (uint16_t)read_count(reader, 2, 1) };

    row.values = arena_array(arena, row.count, sizeof *row.values);
    for (uint16_t i = 0; i < row.count; i++)
        row.values[i] = read_value(reader);
    return row;
}

static void read_begin(struct arena *arena, struct reader *reader, struct pgoutput_message *message)
{
    (void)arena;
    message->begin.final_lsn = read_number(reader, 8);
    message->begin.commit_time_us = read_time_us(reader);
    message->begin.xid = (uint32_t)read_number(reader, 4);
}

static void read_commit(struct arena *arena, struct reader *reader, struct pgoutput_message *message)
{
    (void)arena;
    if (read_byte(reader) != 0 && !reader->fault)
        reader->fault = "a commit has flags that version 1 does not know";
    message->commit.lsn = read_number(reader, 8);
    message->commit.end_lsn = read_number(reader, 8);
    message->commit.commit_time_us = read_time_us(reader);
}

static void read_origin(struct arena *arena, struct reader *reader, struct pgoutput_message *message)
{
    (void)arena;
    message->origin.lsn = read_number(reader, 8);
    message->origin.name = read_text(reader);
}

static void read_relation(struct arena *arena, struct reader *reader, struct pgoutput_message *message)
{
    struct pgoutput_relation *relation = &message->relation;

    relation->id = (uint32_t)read_number(reader, 4);
    relation->schema = read_text(reader);
    relation->name = read_text(reader);
    relation->identity = (char)read_byte(reader);
    relation->column_count = (uint16_t)read_count(reader, 2, 10);
    relation->columns = arena_array(arena, relation->column_count, sizeof *relation->columns);
    for (uint16_t i = 0; i < relation->column_count; i++) {
        struct pgoutput_column *column = &relation->columns[i];

        column->key = read_byte(reader) & 1;
        column->name = read_text(reader);
        column->type = (uint32_t)read_number(reader, 4);
        read_number(reader, 4); /* type modifier */
    }
}

static void read_type(struct arena *arena, struct reader *reader, struct pgoutput_message *message)
{
    (void)arena;
    (void)message;
    read_number(reader, 4);
    read_text(reader);
    read_text(reader);
}

/* The letter before a row: N for the new one, K and O for an old one. */
static void read_letter(struct reader *reader, char wanted)
{
    if (read_byte(reader) != wanted && !reader->fault)
        reader->fault = "a row of another kind was expected";
}

static void read_insert(struct arena *arena, struct reader *reader, struct pgoutput_message *message)
{
    message->change.relation = (uint32_t)read_number(reader, 4);
    read_letter(reader, 'N');
    message->change.row = read_row(arena, reader);
}

static void read_old(struct arena *arena, struct reader *reader, char letter, struct pgoutput_message *message)
{
    message->change.identity = letter == 'O' ? PGOUTPUT_OLD_FULL : PGOUTPUT_OLD_KEY;
    message->change.old = read_row(arena, reader);
}

static void read_update(struct arena *arena, struct reader *reader, struct pgoutput_message *message)
{
    struct pgoutput_row *old = &message->change.old, *row = &message->change.row;

    message->change.relation = (uint32_t)read_number(reader, 4);
    if (!reader->fault && reader->at < reader->length &&
        (reader->bytes[reader->at] == 'K' || reader->bytes[reader->at] == 'O'))
        read_old(arena, reader, (char)read_byte(reader), message);
    read_letter(reader, 'N');
    *row = read_row(arena, reader);
    if (message->change.identity == PGOUTPUT_OLD_NONE || reader->fault)
        return;
    if (old->count != row->count) {
        reader->fault = "old and new row have not the same columns";
        return;
    }
    for (uint16_t i = 0; message->change.identity == PGOUTPUT_OLD_FULL && i < row->count; i++) {
        if (row->values[i].state == VALUE_ABSENT)
            row->values[i] = old->values[i];
    }
}

static void read_delete(struct arena *arena, struct reader *reader, struct pgoutput_message *message)
{
    char letter;

    message->change.relation = (uint32_t)read_number(reader, 4);
    letter = (char)read_byte(reader);
    if (letter != 'K' && letter != 'O' && !reader->fault)
        reader->fault = "a row of another kind was expected";
    read_old(arena, reader, letter, message);
}

static void read_truncate(struct arena *arena, struct reader *reader, struct pgoutput_message *message)
{
    uint32_t count = (uint32_t)read_number(reader, 4);
    uint8_t options = read_byte(reader);
    uint32_t *relations;

    if (!reader->fault && count > (reader->length - reader->at) / 4)
        reader->fault = "it announces more than it holds";
    if (reader->fault)
        return;
    relations = arena_array(arena, count, sizeof *relations);
    for (uint32_t i = 0; i < count; i++)
        relations[i] = (uint32_t)read_number(reader, 4);
    message->truncate.count = count;
    message->truncate.relations = relations;
    message->truncate.cascade = options & 1;
    message->truncate.restart = options & 2;
}

static void read_message(struct arena *arena, struct reader *reader, struct pgoutput_message *message)
{
    uint32_t length;

    (void)arena;
    message->message.transactional = read_byte(reader) & 1;
    message->message.lsn = read_number(reader, 8);
    message->message.prefix = read_text(reader);
    length = (uint32_t)read_number(reader, 4);
    message->message.content.bytes = (const char *)read_bytes(reader, length);
    message->message.content.length = length;
}

static const struct {
    char letter;
    const char *name;
    void (*read)(struct arena *arena, struct reader *reader, struct pgoutput_message *message);
} kinds[PGOUTPUT_KIND_COUNT] = {
    [PGOUTPUT_BEGIN] = { 'B', "begin", read_begin },
    [PGOUTPUT_COMMIT] = { 'C', "commit", read_commit },
    [PGOUTPUT_ORIGIN] = { 'O', "origin", read_origin },
    [PGOUTPUT_RELATION] = { 'R', "relation", read_relation },
    [PGOUTPUT_TYPE] = { 'Y', "type", read_type },
    [PGOUTPUT_INSERT] = { 'I', "insert", read_insert },
    [PGOUTPUT_UPDATE] = { 'U', "update", read_update },
    [PGOUTPUT_DELETE] = { 'D', "delete", read_delete },
    [PGOUTPUT_TRUNCATE] = { 'T', "truncate", read_truncate },
    [PGOUTPUT_MESSAGE] = { 'M', "message", read_message },
};

int pgoutput_read(struct arena *arena, const void *bytes, size_t length, struct pgoutput_message *ret,
                  struct error *err)
{
    struct reader reader = { .bytes = bytes, .length = length, .at = 1 };
    struct pgoutput_message message = { 0 };
    int kind = 0;

    if (length == 0)
        return error_set(err, ERR_STOP, "the server sent an empty message in its change stream");
    while (kind < PGOUTPUT_KIND_COUNT && kinds[kind].letter != (char)reader.bytes[0])
        kind++;
    if (kind == PGOUTPUT_KIND_COUNT)
        return error_set(err, ERR_STOP, "the server sent a message of unknown kind 0x%02x in its change stream",
                         reader.bytes[0]);
    message.kind = (enum pgoutput_kind)kind;
    kinds[kind].read(arena, &reader, &message);
    if (!reader.fault && reader.at != length)
        reader.fault = "something follows its end";
    if (reader.fault)
        return error_set(err, ERR_STOP, "the server's change stream cannot be read: message '%s', byte %zu: %s",
                         kinds[kind].name, reader.at, reader.fault);
    *ret = message;
    return 0;
}
