/* The content of a change (PROTOCOL 5.2) and the effect of an entry. */
#include "proto/pack.h"
#include "proto/read.h"

#include <assert.h>
#include <string.h>

enum { CHANGED_BYTES_LEAST = 4, HEAD_BYTES = 5 };

static size_t value_size(struct value value)
{
    return HEAD_BYTES + (value.state == VALUE_SET ? value.length : 0);
}

/* An upper bound of what change_encode writes. */
static size_t content_size(const struct change *change)
{
    size_t size = 5 * HEAD_BYTES + change->block.length + change->key.length + change->old_key.length;

    for (uint16_t i = 0; i < change->field_count; i++) {
        const struct change_field *field = &change->fields[i];

        size += 2 * HEAD_BYTES + field->name.length + value_size(field->value) + value_size(field->old);
    }
    return size + value_size(change->actor) + value_size(change->ground);
}

/* What its operation says of a field: an insert has no old value, a delete no new one; an update lacks the old one
 * where it could not be translated. */
static void pack_changed(msgpack_packer *packer, enum operation operation, const struct change_field *field)
{
    bool with_old = field->old.state != VALUE_ABSENT;

    assert(operation == OPERATION_UPDATE || with_old == (operation == OPERATION_DELETE));
    msgpack_pack_array(packer, with_old ? 3 : 2);
    pack_text(packer, field->name);
    if (operation == OPERATION_DELETE)
        msgpack_pack_nil(packer);
    else
        pack_value(packer, field->value);
    if (with_old)
        pack_value(packer, field->old);
}

/* A value that nobody set is NULL: where an agency records no actor. */
static void pack_value_or_nil(msgpack_packer *packer, struct value value)
{
    pack_value(packer, value.state == VALUE_SET ? value : (struct value){ .state = VALUE_NULL });
}

void change_encode(struct arena *arena, struct change *change)
{
    size_t capacity = content_size(change);
    struct buffer out = { arena_alloc(arena, capacity), 0, capacity }; /* so it never grows */
    msgpack_packer packer;

    pack_start(&packer, &out);
    msgpack_pack_array(&packer, 6);
    pack_text(&packer, change->block);
    pack_text(&packer, change->key);
    pack_text_or_nil(&packer, change->old_key);
    msgpack_pack_array(&packer, change->field_count);
    for (uint16_t i = 0; i < change->field_count; i++)
        pack_changed(&packer, change->operation, &change->fields[i]);
    pack_value_or_nil(&packer, change->actor);
    pack_value_or_nil(&packer, change->ground);
    assert(out.capacity == capacity);
    change->content = (struct text){ out.bytes, (uint32_t)out.length };
}

/* PROTOCOL 5.2: what the operation allows. Reads the field at `index`; those before it are read. */
static void read_changed(struct cursor *cursor, struct change *change, uint32_t index)
{
    bool insert = change->operation == OPERATION_INSERT || change->operation == OPERATION_LOAD;
    bool delete = change->operation == OPERATION_DELETE;
    struct change_field *field = &change->fields[index];
    uint32_t count = cursor_list(cursor, NULL, delete ? 3 : 2, insert ? 2 : 3, 1);

    field->name = cursor_name(cursor, "field");
    if (text_among(field->name, change->fields, index, sizeof *field))
        cursor_refuse(cursor, "this field stands there already");
    if (delete)
        cursor_nothing(cursor, "new");
    else
        field->value = cursor_value(cursor, "new");
    if (count == 3)
        field->old = cursor_value(cursor, "old");
    cursor_leave(cursor);
}

static struct text read_key(struct cursor *cursor, const char *name, struct text (*read)(struct cursor *, const char *))
{
    struct text key = read(cursor, name);

    if (key.length > KEY_BYTES_MAX)
        cursor_refuse(cursor, "a local key has at most %d bytes", KEY_BYTES_MAX);
    return key;
}

static void read_content(struct cursor *cursor, struct change *change)
{
    uint32_t count;

    cursor_tuple(cursor, "content", 6);
    change->block = cursor_name(cursor, "block");
    change->key = read_key(cursor, "key", cursor_text);
    change->old_key = read_key(cursor, "old-key", cursor_text_or_nil);
    count = cursor_list(cursor, "changed", 0, BLOCK_FIELDS_MAX, CHANGED_BYTES_LEAST);
    change->fields = arena_array(cursor->arena, count, sizeof *change->fields);
    change->field_count = (uint16_t)count;
    for (uint32_t i = 0; i < count && cursor_ok(cursor); i++)
        read_changed(cursor, change, i);
    cursor_leave(cursor);
    change->actor = cursor_value(cursor, "actor");
    change->ground = cursor_value(cursor, "ground");
    cursor_leave(cursor);
}

int change_decode(struct arena *arena, struct change *change, struct error *err)
{
    struct change decoded = { .operation = change->operation, .content = change->content };
    struct cursor cursor;

    assert(change->operation > OPERATION_NONE && change->operation < OPERATION_COUNT);
    cursor_start(&cursor, "content of a change", change->content.bytes, change->content.length, arena);
    read_content(&cursor, &decoded);
    if (cursor_finish(&cursor, err) < 0)
        return err->code;
    memcpy(decoded.salt, change->salt, sizeof decoded.salt);
    memcpy(decoded.commitment, change->commitment, sizeof decoded.commitment);
    *change = decoded;
    return 0;
}

void effect_pack(enum operation operation, const struct item_field *fields, uint16_t count, const struct reason *reason,
                 struct buffer *out)
{
    msgpack_packer packer;

    pack_start(&packer, out);
    msgpack_pack_array(&packer, 3);
    msgpack_pack_uint8(&packer, (uint8_t)operation);
    pack_item_fields(&packer, fields, count);
    pack_reason(&packer, reason);
}

int effect_read(struct arena *arena, const void *bytes, size_t length, struct item *ret, struct error *err)
{
    struct cursor cursor;
    struct item item = { 0 };

    cursor_start(&cursor, "effect", bytes, length, arena);
    cursor_tuple(&cursor, "effect", 3);
    item.operation = (enum operation)cursor_uint(&cursor, "operation", OPERATION_NONE, OPERATION_COUNT - 1);
    read_item_fields(&cursor, &item);
    read_reason(&cursor, &item.reason);
    cursor_leave(&cursor);
    if (cursor_finish(&cursor, err) < 0)
        return err->code;
    *ret = item;
    return 0;
}
