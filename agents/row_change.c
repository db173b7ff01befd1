#include "agents/row_change.h"

#include <assert.h>
#include <string.h>

const char change_no_key[] = "a row has no key, or a longer one than may be, so it is no record";

struct text change_key(struct arena *arena, const struct mapping_block *block, const struct value *columns,
                       const struct value *fields)
{
    struct text key = row_key(arena, block, columns, fields);

    return key.length <= KEY_BYTES_MAX ? key : (struct text){ 0 };
}

bool field_changed(struct value before, struct value now)
{
    return now.state != VALUE_ABSENT && !value_equal(before, now);
}

static size_t bytes_of(struct value value)
{
    return value.state == VALUE_SET ? value.length : 0;
}

/* The longest first: that leaves out the fewest. */
int row_bound(const struct mapping_block *block, struct value *fields, struct error *err)
{
    size_t bytes = 0;
    int left_out = 0;

    for (uint16_t i = 0; i < block->field_count; i++)
        bytes += bytes_of(fields[i]);
    while (bytes > ROW_BYTES_MAX) {
        uint16_t longest = 0;

        for (uint16_t i = 1; i < block->field_count; i++)
            if (bytes_of(fields[i]) > bytes_of(fields[longest]))
                longest = i;
        if (left_out++ == 0)
            error_set(err, ERR_REJECT, "column %s of %s.%s is left out, because the whole row has more than %d KiB",
                      block->columns[block->fields[longest].columns[0]], block->schema, block->table,
                      ROW_BYTES_MAX / 1024);
        bytes -= bytes_of(fields[longest]);
        fields[longest] = (struct value){ 0 };
    }
    return left_out;
}

int row_witnesses(const struct mapping_block *block, const struct value *columns, struct value *fields,
                  struct error *err)
{
    const int places[ROW_WITNESSES] = { block->actor_column, block->ground_column };
    int left_out = 0;

    for (int i = 0; i < ROW_WITNESSES; i++) {
        struct value *witness = &fields[block->field_count + i];

        *witness = value_null();
        if (places[i] == COLUMN_NONE || columns[places[i]].state != VALUE_SET)
            continue;
        if (columns[places[i]].length <= WITNESS_BYTES_MAX &&
            text_is_utf8(columns[places[i]].bytes, columns[places[i]].length))
            *witness = columns[places[i]];
        else if (left_out++ == 0)
            error_set(err, ERR_REJECT, "column %s of %s.%s is left out: it is no UTF-8, or longer than %d bytes",
                      block->columns[places[i]], block->schema, block->table, WITNESS_BYTES_MAX);
    }
    return left_out;
}

/* Whether the field's group is there whole: one with a member that could not be translated is left out, as a field
 * would be. */
static bool group_whole(const struct mapping_block *block, const struct value *fields, uint16_t index)
{
    const struct catalog_type *type = block->type;
    uint16_t unit = type->fields[block->fields[index].field].unit;

    for (uint16_t i = 0; i < block->field_count && type->units[unit].group; i++)
        if (type->fields[block->fields[i].field].unit == unit && fields[i].state == VALUE_ABSENT)
            return false;
    return true;
}

/* Whether a member of the field's group has changed: "changing a member sends and decides the whole group". */
static bool group_changed(const struct mapping_block *block, const struct value *before, const struct value *now,
                          uint16_t index)
{
    const struct catalog_type *type = block->type;
    uint16_t unit = type->fields[block->fields[index].field].unit;

    if (!type->units[unit].group)
        return false;
    for (uint16_t i = 0; i < block->field_count; i++)
        if (type->fields[block->fields[i].field].unit == unit && field_changed(before[i], now[i]))
            return true;
    return false;
}

/* The fields of one change: those that are part of it. */
static void change_fields(struct arena *arena, const struct mapping_block *block, const struct value *before,
                          const struct value *now, struct change *change)
{
    assert(before || now);
    change->fields = arena_array(arena, block->field_count, sizeof *change->fields);
    for (uint16_t i = 0; i < block->field_count; i++) {
        struct change_field *field = &change->fields[change->field_count];
        bool part = !before ? now[i].state != VALUE_ABSENT
                    : !now  ? before[i].state != VALUE_ABSENT
                            : field_changed(before[i], now[i]) ||
                                 (now[i].state != VALUE_ABSENT && group_changed(block, before, now, i));

        if (!part || (now && !group_whole(block, now, i)))
            continue;
        field->name = (struct text){ block->fields[i].name, (uint32_t)strlen(block->fields[i].name) };
        field->value = now ? now[i] : (struct value){ 0 };
        field->old = before ? before[i] : (struct value){ 0 };
        change->field_count++;
    }
}

/* Old values are for people to read; what counts is what the row is now. */
static void leave_out_old(struct change *change)
{
    size_t bytes = 0;

    for (uint16_t i = 0; i < change->field_count; i++)
        bytes += bytes_of(change->fields[i].value) + bytes_of(change->fields[i].old);
    for (uint16_t i = 0; bytes > ROW_BYTES_MAX && i < change->field_count; i++)
        change->fields[i].old = (struct value){ 0 };
}

void change_make(struct arena *arena, const struct mapping_block *block, const struct value *before,
                 const struct value *now, struct change *change)
{
    change->block = (struct text){ block->name, (uint32_t)strlen(block->name) };
    change->actor = now ? now[block->field_count] : value_null();
    change->ground = now ? now[block->field_count + 1] : value_null();
    change_fields(arena, block, before, now, change);
    if (before && now)
        leave_out_old(change);
}

void change_seal(struct arena *arena, struct change *change, const uint8_t seed[32], uint64_t counter)
{
    uint8_t bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(counter >> (56 - 8 * i));
    commitment_make(seed, bytes, sizeof bytes, change->salt);
    change_encode(arena, change);
    commitment_make(change->salt, change->content.bytes, change->content.length, change->commitment);
}

bool change_load(struct arena *arena, const struct mapping_block *block, const struct value *columns,
                 struct change *ret, uint32_t *ret_problems, struct error *ret_first)
{
    struct value *fields = arena_array(arena, block->field_count + ROW_WITNESSES, sizeof *fields);
    struct change change = { .operation = OPERATION_LOAD };
    struct error later;

    *ret_problems = 0;
    if (!row_in(block, columns))
        return false;
    *ret_problems = (uint32_t)row_read(arena, block, columns, fields, ret_first);
    *ret_problems += (uint32_t)row_bound(block, fields, *ret_problems ? &later : ret_first);
    *ret_problems += (uint32_t)row_witnesses(block, columns, fields, *ret_problems ? &later : ret_first);
    change.key = change_key(arena, block, columns, fields);
    if (change.key.length == 0) {
        if ((*ret_problems)++ == 0)
            error_set(ret_first, ERR_REJECT, "table %s.%s: %s", block->schema, block->table, change_no_key);
        return false;
    }
    change_make(arena, block, NULL, fields, &change);
    *ret = change;
    return true;
}
