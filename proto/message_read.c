#include "proto/message.h"
#include "proto/read.h"

/* The fewest bytes that one of these takes: what holds a claimed count against the bytes that are left. */
enum {
    BLOCK_BYTES_LEAST = 12,
    CONSTANT_BYTES_LEAST = 4,
    REFERENCE_BYTES_LEAST = 5,
    PIECE_BYTES_LEAST = 9,
    REPORT_BYTES_LEAST = 7,
    CHANGE_BYTES_LEAST = 2 + 2 * (2 + HASH_BYTES) + 2,
    ITEM_BYTES_LEAST = 9,
};

static void read_fence(struct cursor *cursor, struct fence *fence)
{
    if (cursor_nil(cursor))
        return;
    cursor_tuple(cursor, "fence", 2);
    fence->seq = cursor_uint(cursor, "seq", 1, UINT_MOST);
    cursor_bytes(cursor, "token", fence->token, sizeof fence->token);
    cursor_leave(cursor);
}

static void read_source(struct cursor *cursor, struct source *source)
{
    cursor_tuple(cursor, "source", 3);
    source->system = cursor_text(cursor, "system");
    source->timeline = (uint32_t)cursor_uint(cursor, "timeline", 0, SMALL_MOST);
    read_fence(cursor, &source->fence);
    cursor_leave(cursor);
}

/* Reads a list of names into `names`, which has room for `most`. */
static uint32_t read_names(struct cursor *cursor, const char *name, struct text *names, uint32_t most)
{
    uint32_t count = cursor_list(cursor, name, 0, most, 2);

    for (uint32_t i = 0; i < count && cursor_ok(cursor); i++) {
        names[i] = cursor_name(cursor, NULL);
        if (text_among(names[i], names, i, sizeof *names))
            cursor_refuse(cursor, "this name stands there already");
    }
    cursor_leave(cursor);
    return count;
}

/* Constants are mapped fields, and have a value. */
static void read_constants(struct cursor *cursor, struct block *block, const struct text *fields)
{
    uint32_t count = cursor_list(cursor, "constants", 0, BLOCK_CONSTANTS_MAX, CONSTANT_BYTES_LEAST);

    for (uint32_t i = 0; i < count && cursor_ok(cursor); i++) {
        struct item_field *constant = &block->constants[i];

        cursor_tuple(cursor, NULL, 2);
        constant->name = cursor_name(cursor, "field");
        if (text_among(constant->name, block->constants, i, sizeof *block->constants))
            cursor_refuse(cursor, "a constant of this field stands there already");
        else if (!text_among(constant->name, fields, block->field_count, sizeof *fields))
            cursor_refuse(cursor, "is none of the block's fields");
        constant->value = cursor_value(cursor, "value");
        if (cursor_ok(cursor) && constant->value.state != VALUE_SET)
            cursor_refuse(cursor, "a constant has a value");
        cursor_leave(cursor);
    }
    cursor_leave(cursor);
    block->constant_count = (uint8_t)count;
}

/* References are mapped fields, each to one block. */
static void read_references(struct cursor *cursor, struct block *block, const struct text *fields)
{
    uint32_t count = cursor_list(cursor, "references", 0, BLOCK_REFERENCES_MAX, REFERENCE_BYTES_LEAST);

    for (uint32_t i = 0; i < count && cursor_ok(cursor); i++) {
        struct block_reference *reference = &block->references[i];

        cursor_tuple(cursor, NULL, 2);
        reference->field = cursor_name(cursor, "field");
        if (text_among(reference->field, block->references, i, sizeof *block->references))
            cursor_refuse(cursor, "a reference of this field stands there already");
        else if (!text_among(reference->field, fields, block->field_count, sizeof *fields))
            cursor_refuse(cursor, "is none of the block's fields");
        reference->block = cursor_name(cursor, "block");
        cursor_leave(cursor);
    }
    cursor_leave(cursor);
    block->reference_count = (uint8_t)count;
}

/* Reads the block at `index`; those before it are read. */
static void read_block(struct cursor *cursor, struct block *blocks, uint32_t index)
{
    struct block *block = &blocks[index];
    struct text fields[BLOCK_FIELDS_MAX];

    cursor_tuple(cursor, NULL, 9);
    block->name = cursor_name(cursor, "block");
    if (text_among(block->name, blocks, index, sizeof *blocks))
        cursor_refuse(cursor, "a block of this name stands there already");
    block->type = cursor_name(cursor, "type");
    block->generated = cursor_bool(cursor, "generated");
    block->key_field_count = (uint8_t)read_names(cursor, "key fields", block->key_fields, KEY_FIELDS_MAX);
    block->insert = cursor_bool(cursor, "insert");
    block->delete = (enum delete_mode)cursor_uint(cursor, "delete", DELETE_IGNORE, DELETE_ROW);
    block->field_count = (uint16_t)read_names(cursor, "fields", fields, BLOCK_FIELDS_MAX);
    read_constants(cursor, block, fields);
    read_references(cursor, block, fields);
    cursor_leave(cursor);
    if (!cursor_ok(cursor))
        return;
    block->fields = arena_array(cursor->arena, block->field_count, sizeof *block->fields);
    for (uint16_t i = 0; i < block->field_count; i++)
        block->fields[i] = fields[i];
}

static uint16_t read_blocks(struct cursor *cursor, const char *name, struct block **ret)
{
    uint32_t count = cursor_list(cursor, name, 0, BLOCKS_MAX, BLOCK_BYTES_LEAST);
    struct block *blocks = arena_array(cursor->arena, count, sizeof *blocks);

    for (uint32_t i = 0; i < count && cursor_ok(cursor); i++)
        read_block(cursor, blocks, i);
    cursor_leave(cursor);
    *ret = blocks;
    return (uint16_t)count;
}

/* PROTOCOL 4.1. The version is read already. */
static void read_hello(struct cursor *cursor, struct message *message)
{
    struct hello *hello = &message->hello;

    hello->software = cursor_text(cursor, "software");
    hello->incarnation = (uint32_t)cursor_uint(cursor, "incarnation", 0, SMALL_MOST);
    read_source(cursor, &hello->source);
    cursor_bytes_or_nil(cursor, "catalog-hash", hello->catalog_hash, HASH_BYTES);
    hello->block_count = read_blocks(cursor, "blocks", &hello->blocks);
    hello->applied = cursor_uint(cursor, "applied", 0, UINT_MOST);
    cursor_bytes_or_nil(cursor, "applied-leaf", hello->applied_leaf, HASH_BYTES);
    hello->credit = cursor_uint(cursor, "credit", 0, UINT_MOST);
    hello->agency = cursor_text(cursor, "agency");
}

/* PROTOCOL 4.1 */
static void read_welcome(struct cursor *cursor, struct message *message)
{
    struct welcome *welcome = &message->welcome;

    welcome->version = (uint32_t)cursor_uint(cursor, "version", 0, SMALL_MOST);
    welcome->agency = cursor_name(cursor, "agency");
    welcome->incarnation = (uint32_t)cursor_uint(cursor, "incarnation", 0, SMALL_MOST);
    welcome->lsn = cursor_uint(cursor, "lsn", 0, UINT_MOST);
    welcome->load_number = (uint32_t)cursor_uint(cursor, "load-number", 0, SMALL_MOST);
    welcome->base = cursor_uint(cursor, "base", 0, UINT_MOST);
    read_source(cursor, &welcome->source);
    welcome->load = cursor_uint(cursor, "load", 0, UINT_MOST);
    welcome->credit = cursor_uint(cursor, "credit", 0, UINT_MOST);
    welcome->catalog_version = (uint32_t)cursor_uint(cursor, "catalog-version", 0, SMALL_MOST);
    cursor_bytes(cursor, "catalog-hash", welcome->catalog_hash, HASH_BYTES);
    welcome->catalog = cursor_text_or_nil(cursor, "catalog");
}

/* PROTOCOL 5.1 */
static void read_report(struct cursor *cursor, struct report *report)
{
    cursor_tuple(cursor, NULL, 5);
    report->kind = (enum report_kind)cursor_uint(cursor, "what", REPORT_NONE + 1, REPORT_COUNT - 1);
    report->record = cursor_uint(cursor, "record", 0, UINT_MOST);
    report->position = cursor_uint(cursor, "position", 0, UINT_MOST);
    report->block = cursor_name(cursor, "block");
    report->text = cursor_text(cursor, "text");
    if ((report->kind == REPORT_LINKED || report->kind == REPORT_SKIPPED) && report->text.length > KEY_BYTES_MAX)
        cursor_refuse(cursor, "a local key has at most %d bytes", KEY_BYTES_MAX);
    cursor_leave(cursor);
}

/* PROTOCOL 5.2. The content is change_decode()'s to read. */
static void read_change(struct cursor *cursor, struct change *change)
{
    cursor_tuple(cursor, NULL, 4);
    change->operation = (enum operation)cursor_uint(cursor, "operation", OPERATION_NONE + 1, OPERATION_COUNT - 1);
    cursor_bytes(cursor, "salt", change->salt, sizeof change->salt);
    cursor_bytes(cursor, "commitment", change->commitment, sizeof change->commitment);
    change->content = cursor_bin(cursor, "content");
    if (change->content.length == 0)
        cursor_refuse(cursor, "it is empty");
    cursor_leave(cursor);
}

/* PROTOCOL 5 */
static void read_piece(struct cursor *cursor, struct piece *piece)
{
    cursor_tuple(cursor, NULL, 8);
    piece->lsn = cursor_uint(cursor, "lsn", 0, UINT_MOST);
    piece->first = (uint32_t)cursor_uint(cursor, "first", 0, SMALL_MOST);
    piece->final = cursor_bool(cursor, "final");
    piece->nothing_seen = cursor_nil(cursor);
    if (!piece->nothing_seen)
        piece->base = cursor_uint(cursor, "base", 0, UINT_MOST);
    piece->commit_time_us = cursor_time(cursor, "commit-time");
    read_fence(cursor, &piece->fence);

    piece->report_count = cursor_list(cursor, "reports", 0, UINT32_MAX, REPORT_BYTES_LEAST);
    piece->reports = arena_array(cursor->arena, piece->report_count, sizeof *piece->reports);
    for (uint32_t i = 0; i < piece->report_count && cursor_ok(cursor); i++)
        read_report(cursor, &piece->reports[i]);
    cursor_leave(cursor);

    piece->change_count = cursor_list(cursor, "changes", 0, UINT32_MAX, CHANGE_BYTES_LEAST);
    piece->changes = arena_array(cursor->arena, piece->change_count, sizeof *piece->changes);
    for (uint32_t i = 0; i < piece->change_count && cursor_ok(cursor); i++)
        read_change(cursor, &piece->changes[i]);
    cursor_leave(cursor);
    cursor_leave(cursor);
}

static void read_changes(struct cursor *cursor, struct message *message)
{
    struct changes *changes = &message->changes;

    changes->piece_count = cursor_list(cursor, "pieces", 0, UINT32_MAX, PIECE_BYTES_LEAST);
    changes->pieces = arena_array(cursor->arena, changes->piece_count, sizeof *changes->pieces);
    for (uint32_t i = 0; i < changes->piece_count && cursor_ok(cursor); i++)
        read_piece(cursor, &changes->pieces[i]);
    cursor_leave(cursor);
}

static void read_ack(struct cursor *cursor, struct message *message)
{
    message->ack.lsn = cursor_uint(cursor, "lsn", 0, UINT_MOST);
    message->ack.load_number = (uint32_t)cursor_uint(cursor, "load-number", 0, SMALL_MOST);
    message->ack.base = cursor_uint(cursor, "base", 0, UINT_MOST);
}

/* PROTOCOL 7 */
static void read_item(struct cursor *cursor, struct item *item)
{
    cursor_tuple(cursor, NULL, 7);
    item->position = cursor_uint(cursor, "position", 0, UINT_MOST);
    item->block = cursor_name(cursor, "block");
    item->record = cursor_uint(cursor, "record", 0, UINT_MOST);
    item->operation = (enum operation)cursor_uint(cursor, "operation", OPERATION_INSERT, OPERATION_DELETE);
    item->key = cursor_text_or_nil(cursor, "key");
    if (item->key.length > KEY_BYTES_MAX)
        cursor_refuse(cursor, "a local key has at most %d bytes", KEY_BYTES_MAX);
    read_item_fields(cursor, item);
    read_reason(cursor, &item->reason);
    cursor_leave(cursor);
}

static void read_feed(struct cursor *cursor, struct message *message)
{
    struct feed *feed = &message->feed;

    feed->final = cursor_bool(cursor, "final");
    feed->position = cursor_uint(cursor, "position", 0, UINT_MOST);
    cursor_bytes_or_nil(cursor, "leaf", feed->leaf, HASH_BYTES);
    feed->item_count = cursor_list(cursor, "items", 0, UINT32_MAX, ITEM_BYTES_LEAST);
    feed->items = arena_array(cursor->arena, feed->item_count, sizeof *feed->items);
    for (uint32_t i = 0; i < feed->item_count && cursor_ok(cursor); i++)
        read_item(cursor, &feed->items[i]);
    cursor_leave(cursor);
}

static void read_applied(struct cursor *cursor, struct message *message)
{
    message->applied.position = cursor_uint(cursor, "position", 0, UINT_MOST);
}

static void read_credit(struct cursor *cursor, struct message *message)
{
    message->credit.total = cursor_uint(cursor, "total", 0, UINT_MOST);
}

static void read_ping(struct cursor *cursor, struct message *message)
{
    message->ping.time_us = cursor_time(cursor, "time");
}

static void read_pong(struct cursor *cursor, struct message *message)
{
    message->pong.time_us = cursor_time(cursor, "time");
    message->pong.broker_time_us = cursor_time(cursor, "broker-time");
}

static void read_error(struct cursor *cursor, struct message *message)
{
    message->error.code = cursor_text(cursor, "code");
    message->error.text = cursor_text(cursor, "text");
}

static void read_bye(struct cursor *cursor, struct message *message)
{
    message->bye.text = cursor_text(cursor, "text");
}

/* `count` is how many values the whole message has. A kind without `read` is reserved. */
static const struct {
    const char *what;
    uint8_t count;
    bool starts; /* a session: its number is 0 */
    void (*read)(struct cursor *cursor, struct message *message);
} kinds[MESSAGE_KIND_COUNT] = {
    [MESSAGE_HELLO] = { "hello message", 13, true, read_hello },
    [MESSAGE_WELCOME] = { "welcome message", 15, true, read_welcome },
    [MESSAGE_CHANGES] = { "changes message", 4, false, read_changes },
    [MESSAGE_ACK] = { "ack message", 6, false, read_ack },
    [MESSAGE_FEED] = { "feed message", 7, false, read_feed },
    [MESSAGE_APPLIED] = { "applied message", 4, false, read_applied },
    [MESSAGE_CREDIT] = { "credit message", 4, false, read_credit },
    [MESSAGE_PING] = { "ping message", 4, false, read_ping },
    [MESSAGE_PONG] = { "pong message", 5, false, read_pong },
    [MESSAGE_ERROR] = { "error message", 5, false, read_error },
    [MESSAGE_BYE] = { "bye message", 4, false, read_bye },
};

enum { HELLO_ELEMENTS_LEAST = 4 }; /* kind, session, number, version: the same in every version of the protocol */

/* The kind, and whether it has as many elements as it must; session and number. */
static void read_start(struct cursor *cursor, uint32_t count, struct message *message)
{
    uint64_t kind = cursor_uint(cursor, "kind", MESSAGE_HELLO, MESSAGE_KIND_COUNT - 1);

    if (!cursor_ok(cursor))
        return;
    message->kind = (enum message_kind)kind;
    if (!kinds[kind].read) {
        cursor_refuse(cursor, "kind %d (%s) is reserved", (int)kind, message_name(message->kind));
        return;
    }
    cursor->what = kinds[kind].what;
    if (message->kind == MESSAGE_HELLO ? count < HELLO_ELEMENTS_LEAST : count != kinds[kind].count)
        cursor_refuse(cursor, "expected %d elements, found %u", kinds[kind].count, count);
    message->session = cursor_uint(cursor, "session", 0, kind == MESSAGE_HELLO ? 0 : UINT_MOST);
    message->number = cursor_uint(cursor, "number", 0, kinds[kind].starts ? 0 : UINT_MOST);
}

int message_read(struct arena *arena, const void *frame, size_t length, struct message *ret, struct error *err)
{
    struct cursor cursor;
    struct message message = { 0 };
    uint32_t count;

    if (length > FRAME_BYTES_MAX)
        return error_set(err, ERR_REJECT, "message: %zu bytes are more than the %d that a frame may have", length,
                         FRAME_BYTES_MAX);
    cursor_start(&cursor, "message", frame, length, arena);
    count = cursor_list(&cursor, "message", 1, UINT32_MAX, 1);
    read_start(&cursor, count, &message);
    if (message.kind == MESSAGE_HELLO) {
        message.hello.version = (uint32_t)cursor_uint(&cursor, "version", 0, SMALL_MOST);
        if (cursor_ok(&cursor) && message.hello.version != PROTOCOL_VERSION) {
            *ret = message;
            return 0;
        }
        if (count != kinds[MESSAGE_HELLO].count)
            cursor_refuse(&cursor, "expected %d elements, found %u", kinds[MESSAGE_HELLO].count, count);
    }
    if (cursor_ok(&cursor))
        kinds[message.kind].read(&cursor, &message);
    cursor_leave(&cursor);
    if (cursor_finish(&cursor, err) < 0)
        return err->code;
    *ret = message;
    return 0;
}

int blocks_read(struct arena *arena, const void *bytes, size_t length, struct block **ret, uint16_t *ret_count,
                struct error *err)
{
    struct cursor cursor;
    struct block *blocks;
    uint16_t count;

    cursor_start(&cursor, "blocks", bytes, length, arena);
    count = read_blocks(&cursor, "blocks", &blocks);
    if (cursor_finish(&cursor, err) < 0)
        return err->code;
    *ret = blocks;
    *ret_count = count;
    return 0;
}
