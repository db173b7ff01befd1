#include "proto/pack.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void buffer_reserve(struct buffer *buffer, size_t more)
{
    size_t wanted = buffer->length + more, capacity = buffer->capacity > 0 ? buffer->capacity : 256;

    if (wanted <= buffer->capacity)
        return;
    while (capacity < wanted)
        capacity *= 2;
    buffer->bytes = realloc(buffer->bytes, capacity);
    if (!buffer->bytes)
        abort();
    buffer->capacity = capacity;
}

void buffer_add(struct buffer *buffer, const void *bytes, size_t length)
{
    if (length == 0) /* of nothing there may be no bytes */
        return;
    buffer_reserve(buffer, length);
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct buffer){ 0 };
}

static int append(void *context, const char *bytes, size_t length)
{
    buffer_add(context, bytes, length);
    return 0;
}

void pack_start(msgpack_packer *packer, struct buffer *out)
{
    msgpack_packer_init(packer, out, append);
}

void pack_bool(msgpack_packer *packer, bool yes)
{
    if (yes)
        msgpack_pack_true(packer);
    else
        msgpack_pack_false(packer);
}

void pack_text(msgpack_packer *packer, struct text text)
{
    msgpack_pack_str_with_body(packer, text.bytes, text.length);
}

void pack_text_or_nil(msgpack_packer *packer, struct text text)
{
    if (text.length > 0)
        pack_text(packer, text);
    else
        msgpack_pack_nil(packer);
}

void pack_bin(msgpack_packer *packer, const void *bytes, size_t length)
{
    msgpack_pack_bin_with_body(packer, bytes, length);
}

void pack_hash_or_nil(msgpack_packer *packer, const uint8_t hash[HASH_BYTES])
{
    static const uint8_t zeros[HASH_BYTES];

    if (memcmp(hash, zeros, HASH_BYTES) == 0)
        msgpack_pack_nil(packer);
    else
        pack_bin(packer, hash, HASH_BYTES);
}

void pack_value(msgpack_packer *packer, struct value value)
{
    assert(value.state != VALUE_ABSENT);
    if (value.state == VALUE_NULL)
        msgpack_pack_nil(packer);
    else
        pack_text(packer, (struct text){ value.bytes, value.length });
}

void pack_item_fields(msgpack_packer *packer, const struct item_field *fields, uint16_t count)
{
    msgpack_pack_array(packer, count);
    for (uint16_t i = 0; i < count; i++) {
        msgpack_pack_array(packer, 2);
        pack_text(packer, fields[i].name);
        pack_value(packer, fields[i].value);
    }
}

void pack_reason(msgpack_packer *packer, const struct reason *reason)
{
    if (reason->verdict.length == 0) {
        msgpack_pack_nil(packer);
        return;
    }
    msgpack_pack_array(packer, 4);
    pack_text(packer, reason->verdict);
    pack_text(packer, reason->by);
    pack_text(packer, reason->rule);
    pack_text(packer, reason->ground);
}

static void pack_names(msgpack_packer *packer, const struct text *names, uint16_t count)
{
    msgpack_pack_array(packer, count);
    for (uint16_t i = 0; i < count; i++)
        pack_text(packer, names[i]);
}

void pack_blocks(msgpack_packer *packer, const struct block *blocks, uint16_t count)
{
    msgpack_pack_array(packer, count);
    for (uint16_t i = 0; i < count; i++) {
        const struct block *block = &blocks[i];

        msgpack_pack_array(packer, 9);
        pack_text(packer, block->name);
        pack_text(packer, block->type);
        pack_bool(packer, block->generated);
        pack_names(packer, block->key_fields, block->key_field_count);
        pack_bool(packer, block->insert);
        msgpack_pack_uint8(packer, (uint8_t)block->delete);
        pack_names(packer, block->fields, block->field_count);
        pack_item_fields(packer, block->constants, block->constant_count);
        msgpack_pack_array(packer, block->reference_count);
        for (uint8_t r = 0; r < block->reference_count; r++) {
            msgpack_pack_array(packer, 2);
            pack_text(packer, block->references[r].field);
            pack_text(packer, block->references[r].block);
        }
    }
}
