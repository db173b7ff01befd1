#include "agents/postgres/rejoin.h"

#include <string.h>

enum { NAME_OF_CONTENT = UINT16_MAX };

/* What of a row can be compared: "which unit, and the values of its fields", each with its state and length. */
static struct local_key *name_new(struct arena *arena, const struct mapping_block *block, uint16_t number,
                                  const struct value *fields, uint16_t unit)
{
    size_t size = sizeof unit;
    struct local_key *name;
    char *at;

    for (uint16_t i = 0; i < block->field_count; i++)
        size += 2 * sizeof(uint32_t) + (fields[i].state == VALUE_SET ? fields[i].length : 0);
    name = arena_alloc(arena, sizeof *name + size);
    name->block = number;
    at = mempcpy(name->bytes, &unit, sizeof unit);
    for (uint16_t i = 0; i < block->field_count; i++) {
        uint32_t head[2] = { (uint32_t)fields[i].state, fields[i].state == VALUE_SET ? fields[i].length : 0 };

        if (unit != NAME_OF_CONTENT && block->type->fields[block->fields[i].field].unit != unit)
            continue;
        at = mempcpy(at, head, sizeof head);
        if (head[1] > 0)
            at = mempcpy(at, fields[i].bytes, head[1]);
    }
    name->length = (uint32_t)(at - name->bytes);
    return name;
}

/* Whether the row has the whole identifier. */
static bool is_identified(const struct mapping_block *block, const struct value *fields, uint16_t unit)
{
    uint16_t set = 0;

    if (!block->type->units[unit].identifier)
        return false;
    for (uint16_t i = 0; i < block->field_count; i++)
        set = (uint16_t)(set +
                         (block->type->fields[block->fields[i].field].unit == unit && fields[i].state == VALUE_SET));
    return set > 0 && set == block->type->units[unit].field_count;
}

uint16_t rejoin_names(struct touched_set *set, struct arena *arena, uint16_t number, const struct packed_row *row,
                      struct local_key **ret)
{
    const struct mapping_block *block = &set->mapping->blocks[number];
    struct value *fields = arena_array(set->scratch, block->field_count + ROW_WITNESSES, sizeof *fields);
    uint16_t count = 0;

    row_unpack(row, fields, block->field_count + ROW_WITNESSES);
    for (uint16_t u = 0; u < block->type->unit_count && count < REJOIN_NAMES; u++)
        if (is_identified(block, fields, u))
            ret[count++] = name_new(arena, block, number, fields, u);
    if (count == 0)
        ret[count++] = name_new(arena, block, number, fields, NAME_OF_CONTENT);
    return count;
}

bool rejoin_same(struct touched_set *set, const struct touched *gone, const struct touched *come)
{
    struct local_key *before[REJOIN_NAMES], *now[REJOIN_NAMES];
    uint16_t before_count, now_count;
    bool same = false;

    before_count = rejoin_names(set, set->scratch, gone->block, gone->before, before);
    now_count = rejoin_names(set, set->scratch, come->block, come->now, now);
    for (uint16_t i = 0; i < before_count; i++)
        for (uint16_t j = 0; j < now_count; j++)
            same = same || (before[i]->length == now[j]->length &&
                            memcmp(before[i]->bytes, now[j]->bytes, now[j]->length) == 0);
    return same;
}

/* Rows of which only the key says that they are one. */
static void join_by_key(struct touched_set *set)
{
    struct touched *following;

    for (struct touched *come = set->oldest; come; come = following) {
        struct touched *gone;

        following = come->next;
        if (!set->mapping->blocks[come->block].generated || come->before_key || !come->now_key)
            continue;
        gone = key_index_find(&set->before, come->block, (struct text){ come->now_key->bytes, come->now_key->length });
        if (gone && !gone->now_key)
            touched_join(set, gone, come);
    }
}

static bool any_generated(const struct mapping *mapping)
{
    for (uint16_t i = 0; i < mapping->block_count; i++)
        if (mapping->blocks[i].generated)
            return true;
    return false;
}

void touched_rejoin(struct touched_set *set)
{
    struct arena *arena;
    struct key_index index = { 0 };
    struct local_key *names[REJOIN_NAMES];
    struct touched *following;

    if (!any_generated(set->mapping))
        return;
    arena = arena_new();
    for (struct touched *touched = set->oldest; touched; touched = touched->next) {
        uint16_t count;

        if (!set->mapping->blocks[touched->block].generated || !touched->before_key || touched->now_key)
            continue;
        arena_reset(set->scratch);
        count = rejoin_names(set, arena, touched->block, touched->before, names);
        for (uint16_t i = 0; i < count; i++)
            if (!key_index_find(&index, names[i]->block, (struct text){ names[i]->bytes, names[i]->length }))
                key_index_put(&index, names[i], touched);
    }
    for (struct touched *touched = set->oldest; touched && index.count > 0; touched = following) {
        uint16_t count;
        struct touched *gone = NULL;

        following = touched->next;
        if (!set->mapping->blocks[touched->block].generated || touched->before_key || !touched->now_key)
            continue;
        arena_reset(set->scratch);
        count = rejoin_names(set, arena, touched->block, touched->now, names);
        for (uint16_t i = 0; i < count && !gone; i++) {
            gone = key_index_find(&index, names[i]->block, (struct text){ names[i]->bytes, names[i]->length });
            if (gone && gone->now_key)
                gone = NULL; /* another row has been it already */
        }
        if (gone)
            touched_join(set, gone, touched);
    }
    join_by_key(set);
    key_index_free(&index);
    arena_free(&arena);
}
