#include "agents/csv/compare.h"

#include "agents/csv/sheet.h"

#include <stdlib.h>
#include <string.h>

bool cell_same(struct value left, struct value right)
{
    left = sheet_cell(left);
    right = sheet_cell(right);
    return left.state == right.state &&
           (left.state != VALUE_SET ||
            (left.length == right.length && memcmp(left.bytes, right.bytes, left.length) == 0));
}

static struct value *fields_copy(struct arena *arena, const struct mapping_block *block, const struct value *fields)
{
    uint16_t count = block->field_count + ROW_WITNESSES;
    struct value *copy = arena_array(arena, count, sizeof *copy);

    memcpy(copy, fields, count * sizeof *copy);
    return copy;
}

/* A row that was not in the list before says nothing by what it leaves empty: it may be one that others added. */
static bool field_edited(const struct sides *before, const struct value *now, uint16_t i)
{
    if (!before->said)
        return now[i].state == VALUE_SET && !cell_same(now[i], before->should[i]);
    return !cell_same(now[i], before->said[i]) && !cell_same(now[i], before->should[i]);
}

enum operation compare_row(struct arena *arena, const struct mapping_block *block, const struct sides *before,
                           struct value *now, struct sides *ret)
{
    enum operation operation = OPERATION_NONE;

    *ret = (struct sides){ before->should, now };
    if (!now) {
        if (!before->said || !before->should)
            return OPERATION_NONE;
        ret->should = NULL;
        return OPERATION_DELETE;
    }
    if (!before->should) {
        if (before->said)
            return OPERATION_NONE; /* others removed it; that it is still listed is no wish to have it back */
        ret->should = now;
        return OPERATION_INSERT;
    }
    ret->should = fields_copy(arena, block, before->should);
    for (uint16_t i = 0; i < block->field_count; i++)
        if (now[i].state != VALUE_ABSENT && field_edited(before, now, i)) {
            ret->should[i] = now[i];
            operation = OPERATION_UPDATE;
        }
    if (operation == OPERATION_UPDATE)
        memcpy(ret->should + block->field_count, now + block->field_count, ROW_WITNESSES * sizeof *now);
    return operation;
}

bool sides_differ(const struct mapping_block *block, const struct sides *sides)
{
    if (!sides->should || !sides->said)
        return sides->should != sides->said;
    for (uint16_t i = 0; i < block->field_count; i++)
        if (!cell_same(sides->should[i], sides->said[i]))
            return true;
    return false;
}

static struct text witness_text(struct value value)
{
    return value.state == VALUE_SET ? (struct text){ value.bytes, value.length } : (struct text){ 0 };
}

static struct value witness_value(struct text text)
{
    return text.length > 0 ? (struct value){ .bytes = text.bytes, .length = text.length, .state = VALUE_SET }
                           : value_null();
}

/* Who said so and why have their place in an effect. */
void fields_pack(const struct mapping_block *block, const struct value *fields, struct buffer *out)
{
    struct item_field *list = calloc(block->field_count + 1u, sizeof *list);
    const struct value *witnesses = fields + block->field_count;
    struct reason why = { .by = witness_text(witnesses[0]), .ground = witness_text(witnesses[1]) };
    uint16_t count = 0;

    if (!list)
        abort();
    for (uint16_t i = 0; i < block->field_count; i++)
        if (fields[i].state != VALUE_ABSENT)
            list[count++] = (struct item_field){
                { block->fields[i].name, (uint32_t)strlen(block->fields[i].name) },
                fields[i],
            };
    if (why.by.length > 0 || why.ground.length > 0)
        why.verdict = (struct text){ "said", 4 };
    effect_pack(OPERATION_INSERT, list, count, &why, out);
    free(list);
}

void fields_rest(const struct mapping_block *block, const struct value *fields, struct buffer *out)
{
    struct value *rest = calloc(block->field_count + ROW_WITNESSES, sizeof *rest);
    int set = 0;

    if (!rest)
        abort();
    memcpy(rest, fields, block->field_count * sizeof *rest);
    for (uint8_t i = 0; i < block->key_count; i++)
        rest[block->key[i]] = (struct value){ 0 };
    for (uint16_t i = 0; i < block->field_count; i++)
        set += rest[i].state == VALUE_SET;
    if (set >= REST_FIELDS_LEAST)
        fields_pack(block, rest, out);
    free(rest);
}

int fields_unpack(struct arena *arena, const struct mapping_block *block, const void *bytes, size_t length,
                  struct value **ret, struct error *err)
{
    struct item item;

    if (effect_read(arena, bytes, length, &item, err) < 0) {
        err->code = ERR_STOP;
        return error_wrap(err, "a row of block %s in the state file", block->name);
    }
    *ret = arena_array(arena, block->field_count + ROW_WITNESSES, sizeof **ret);
    (*ret)[block->field_count] = witness_value(item.reason.by);
    (*ret)[block->field_count + 1] = witness_value(item.reason.ground);
    for (uint16_t i = 0; i < item.field_count; i++) {
        int field = mapping_field_named(block, item.fields[i].name);

        if (field >= 0)
            (*ret)[field] = item.fields[i].value;
    }
    return 0;
}
