#include "agents/net_fold.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static bool text_equal(struct text left, struct text right)
{
    return left.length == right.length && (left.length == 0 || memcmp(left.bytes, right.bytes, left.length) == 0);
}

static void reason_set(struct arena *arena, const struct mapping_block *block, struct net *net, int field,
                       const struct reason *reason)
{
    if (reason->verdict.length == 0)
        return;
    if (!net->reasons)
        net->reasons = arena_array(arena, block->field_count, sizeof *net->reasons);
    net->reasons[field] = *reason;
}

static int fields_add(struct arena *arena, const struct mapping_block *block, struct net *net, const struct item *item,
                      struct error *err)
{
    for (uint16_t i = 0; i < item->field_count; i++) {
        int field = mapping_field_named(block, item->fields[i].name);

        if (field < 0)
            return error_set(err, ERR_STOP, "the broker fed field %.*s of block %s, which the mapping does not have",
                             (int)item->fields[i].name.length, item->fields[i].name.bytes, block->name);
        net->fields[field] = item->fields[i].value;
        if (item->operation == OPERATION_UPDATE)
            reason_set(arena, block, net, field, &item->reason);
    }
    return 0;
}

struct text net_key(struct arena *arena, const struct mapping *mapping, const struct net *net)
{
    const struct mapping_block *block = &mapping->blocks[net->block];
    struct value *fields = arena_array(arena, block->field_count, sizeof *fields);
    struct error ignored;

    if (block->generated)
        return net->key; /* no field of it */
    if (net->key.length > 0 && row_unkey(arena, block, net->key, fields, &ignored) < 0)
        return (struct text){ 0 };
    for (uint8_t i = 0; i < block->key_count; i++)
        if (net->fields[block->key[i]].state != VALUE_ABSENT)
            fields[block->key[i]] = net->fields[block->key[i]];
    return row_key(arena, block, NULL, fields);
}

int net_new(struct arena *arena, const struct mapping *mapping, const struct item *item, struct net **ret,
            struct error *err)
{
    int index = mapping_block_named(mapping, item->block);
    const struct mapping_block *block;
    struct net *net;

    if (index < 0)
        return error_set(err, ERR_STOP, "the broker fed block %.*s, which the mapping does not have",
                         (int)item->block.length, item->block.bytes);
    block = &mapping->blocks[index];
    net = arena_alloc(arena, sizeof *net);
    *net = (struct net){
        .operation = item->operation,
        .block = (uint16_t)index,
        .record = item->record,
        .position = item->position,
        .key = item->key,
        .fields = arena_array(arena, block->field_count, sizeof *net->fields),
    };
    if (item->operation != OPERATION_UPDATE)
        net->reason = item->reason;
    if (fields_add(arena, block, net, item, err) < 0)
        return err->code;
    if (item->operation != OPERATION_DELETE && net->key.length > 0)
        net->moves = !text_equal(net_key(arena, mapping, net), net->key);
    *ret = net;
    return 0;
}

/* What two operations on one row, one after the other, come to. The row that is deleted and comes back stays, with the
 * columns that nobody maps. An update after a deletion cannot have met a row. */
static enum operation net_operation(enum operation first, enum operation then)
{
    if (first == OPERATION_DELETE)
        return then == OPERATION_INSERT ? OPERATION_INSERT : OPERATION_DELETE;
    if (then == OPERATION_UPDATE)
        return first;
    return then;
}

int net_add(struct arena *arena, const struct mapping *mapping, struct net *net, const struct item *item,
            struct error *err)
{
    const struct mapping_block *block = &mapping->blocks[net->block];

    if (item->operation == OPERATION_DELETE && block->delete == DELETE_IGNORE)
        return 0; /* the row stays, and so does what came before */
    if (net->operation == OPERATION_DELETE && item->operation == OPERATION_UPDATE)
        return 0;
    net->operation = net_operation(net->operation, item->operation);
    if (item->operation != OPERATION_UPDATE && item->reason.verdict.length > 0)
        net->reason = item->reason;
    if (net->key.length == 0)
        net->key = item->key;
    if (fields_add(arena, block, net, item, err) < 0)
        return err->code;
    net->moves = net->operation != OPERATION_DELETE && net->key.length > 0 &&
                 !text_equal(net_key(arena, mapping, net), net->key);
    return 0;
}

void net_pack(const struct mapping *mapping, const struct net *net, struct buffer *out)
{
    const struct mapping_block *block = &mapping->blocks[net->block];
    struct item_field *fields = calloc(block->field_count + 1u, sizeof *fields);
    uint16_t count = 0;

    if (!fields)
        abort();
    for (uint16_t i = 0; i < block->field_count; i++)
        if (net->fields[i].state != VALUE_ABSENT)
            fields[count++] = (struct item_field){
                { block->fields[i].name, (uint32_t)strlen(block->fields[i].name) },
                net->fields[i],
            };
    effect_pack(net->operation, fields, count, &net->reason, out);
    free(fields);
}

/* ---- folding a batch ---- */

/* Which net effect of the present run a record has: open addressing, a power of two of places. What was put there in an
 * earlier run counts as empty, so that ending a run costs nothing. */
struct place {
    struct net *net;
    uint32_t run;
};

struct index {
    struct place *places;
    uint32_t mask;
    uint32_t run; /* the present one, from 1 */
};

/* Where the record's net effect is, or where to put it. */
static struct net **index_place(struct index *index, uint16_t block, uint64_t record)
{
    uint64_t at = (record * UINT64_C(0x9E3779B97F4A7C15)) >> 20;

    for (;; at++) {
        struct place *place = &index->places[at & index->mask];

        if (place->run != index->run) {
            *place = (struct place){ .run = index->run };
            return &place->net;
        }
        if (!place->net || (place->net->record == record && place->net->block == block))
            return &place->net;
    }
}

static void index_new(struct arena *arena, struct index *index, uint32_t count)
{
    uint32_t size = 16;

    while (size < 2 * count)
        size *= 2;
    index->places = arena_array(arena, size, sizeof *index->places);
    index->mask = size - 1;
    index->run = 1;
}

static int operation_rank(enum operation operation)
{
    return operation == OPERATION_DELETE ? 0 : operation == OPERATION_UPDATE ? 1 : 2;
}

struct folding {
    struct arena *arena;
    const struct mapping *mapping;
    struct net_run *runs;
    uint32_t run_count;
    struct net **list; /* of the present run, then of the next, in one array */
    uint32_t used, start;
    struct index index;
    struct index keyless; /* of all runs */
};

/* Deletions first, what refers before what it refers to; then record types in the order of references, so that a row
 * is there before another one refers to it; of each type updates, then insertions; blocks in the mapping's order;
 * within a block as they came. */
static int compare_nets(const void *left, const void *right, void *context)
{
    const struct net *a = *(const struct net *const *)left, *b = *(const struct net *const *)right;
    const struct mapping *mapping = ((const struct folding *)context)->mapping;
    const struct catalog_type *a_type = mapping->blocks[a->block].type, *b_type = mapping->blocks[b->block].type;
    bool deletes = a->operation == OPERATION_DELETE;
    int by_operation = operation_rank(a->operation) - operation_rank(b->operation);

    if (deletes != (b->operation == OPERATION_DELETE))
        return by_operation;
    if (a_type != b_type)
        return (a_type < b_type ? -1 : 1) * (deletes ? -1 : 1); /* of one array, which is in that order */
    if (by_operation != 0)
        return by_operation;
    if (a->block != b->block)
        return (a->block < b->block ? -1 : 1) * (a->operation == OPERATION_DELETE ? -1 : 1);
    return (a->position > b->position) - (a->position < b->position);
}

static void run_end(struct folding *folding)
{
    struct net_run *run = &folding->runs[folding->run_count];

    if (folding->used == folding->start)
        return;
    run->list = folding->list + folding->start;
    run->count = folding->used - folding->start;
    qsort_r(run->list, run->count, sizeof *run->list, compare_nets, folding);
    folding->run_count++;
    folding->start = folding->used;
    folding->index.run++;
}

/* Where a row is whose key only this database will know once it is made: all that happens to it is one net effect,
 * since no later run could say which row it is. NULL: its own fields, or the broker, tell its key. */
static struct net **keyless_place(struct folding *folding, const struct mapping *mapping, const struct net *net)
{
    return mapping->blocks[net->block].generated ? index_place(&folding->keyless, net->block, net->record) : NULL;
}

int net_fold(struct arena *arena, const struct mapping *mapping, const struct item *const *items, uint32_t count,
             struct net_run **ret, uint32_t *ret_count, struct error *err)
{
    struct folding folding = {
        .arena = arena,
        .mapping = mapping,
        .runs = arena_array(arena, count + 1u, sizeof *folding.runs),
        .list = arena_array(arena, count + 1u, sizeof *folding.list),
    };

    index_new(arena, &folding.index, count);
    index_new(arena, &folding.keyless, count);
    for (uint32_t i = 0; i < count; i++) {
        struct net *net = NULL, **place, **keyless;

        if (net_new(arena, mapping, items[i], &net, err) < 0)
            return err->code;
        assert(net);
        if (net->operation == OPERATION_DELETE && mapping->blocks[net->block].delete == DELETE_IGNORE)
            continue;
        keyless = keyless_place(&folding, mapping, net);
        if (keyless && *keyless) {
            if (net_add(arena, mapping, *keyless, items[i], err) < 0)
                return err->code;
            continue;
        }
        if (net->moves)
            run_end(&folding);
        place = index_place(&folding.index, net->block, net->record);
        if (*place) {
            if (net_add(arena, mapping, *place, items[i], err) < 0)
                return err->code;
        } else {
            *place = net;
            if (keyless && net->key.length == 0)
                *keyless = net;
            folding.list[folding.used++] = net;
        }
        if (net->moves)
            run_end(&folding);
    }
    run_end(&folding);
    *ret = folding.runs;
    *ret_count = folding.run_count;
    return 0;
}
