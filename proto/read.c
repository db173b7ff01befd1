#include "proto/read.h"

#include "proto/message.h"

#include <string.h>

bool text_among(struct text text, const void *texts, size_t count, size_t stride)
{
    const char *place = texts;

    for (size_t i = 0; i < count; i++, place += stride) {
        const struct text *other = (const void *)place;

        if (other->length == text.length && memcmp(other->bytes, text.bytes, text.length) == 0)
            return true;
    }
    return false;
}

enum { FIELD_BYTES_LEAST = 4 };

void read_item_fields(struct cursor *cursor, struct item *item)
{
    uint32_t count = cursor_list(cursor, "fields", 0, BLOCK_FIELDS_MAX, FIELD_BYTES_LEAST);
    struct item_field *fields = arena_array(cursor->arena, count, sizeof *fields);

    for (uint32_t i = 0; i < count && cursor_ok(cursor); i++) {
        cursor_tuple(cursor, NULL, 2);
        fields[i].name = cursor_name(cursor, "field");
        if (text_among(fields[i].name, fields, i, sizeof *fields))
            cursor_refuse(cursor, "this field stands there already");
        fields[i].value = cursor_value(cursor, "value");
        cursor_leave(cursor);
    }
    cursor_leave(cursor);
    item->fields = fields;
    item->field_count = (uint16_t)count;
}

void read_reason(struct cursor *cursor, struct reason *reason)
{
    if (cursor_nil(cursor))
        return;
    cursor_tuple(cursor, "reason", 4);
    reason->verdict = cursor_text(cursor, "verdict");
    if (reason->verdict.length == 0)
        cursor_refuse(cursor, "a reason has a verdict");
    reason->by = cursor_text(cursor, "by");
    reason->rule = cursor_text(cursor, "rule");
    reason->ground = cursor_text(cursor, "ground");
    cursor_leave(cursor);
}
