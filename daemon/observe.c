#include "daemon/observe.h"

#include <string.h>

/* A row of the agency's table, as it is by now. */
struct seen {
    struct seen *next;
    struct observed_row row;
    const struct catalog_type *type;
    struct value *values;    /* by field of the type, absent where nothing is known; NULL: there is no such row */
    struct value *displaced; /* of the row whose key another one has got before it gave it up ... */
    uint32_t displaced_in;   /* ... in this transaction */
    bool changed;
};

struct observing {
    struct map *rows;   /* (agency, block, key) to struct seen */
    struct map *stored; /* the same to struct observed_row: as the store has them */
    struct seen *all;
    uint32_t count, transaction;
};

static struct observing *observing_of(struct work *work)
{
    struct arena *arena = work->batch->arena;
    const struct found *found = &work->batch->found;
    struct observing *observing = work->observing;

    if (observing)
        return observing;
    observing = work->observing = arena_alloc(arena, sizeof *observing);
    observing->rows = map_new(arena, work->batch->hash_key);
    observing->stored = map_new(arena, work->batch->hash_key);
    for (uint32_t i = 0; i < found->observed_count; i++) {
        struct observed_row *row = &found->observed[i];
        struct text name = map_key(arena, row->agency, row->block, row->key);

        *map_slot(observing->stored, name.bytes, name.length) = row;
    }
    return observing;
}

void observe_want(struct work *work, const struct peer *peer, const struct change *change, uint32_t *capacity)
{
    struct wanted *wanted = &work->batch->wanted;
    struct text key = change->old_key.length > 0 ? change->old_key : change->key;

    if (change->operation == OPERATION_INSERT || change->operation == OPERATION_LOAD)
        return;
    wanted->observed = room(work, wanted->observed, wanted->observed_count, capacity, sizeof *wanted->observed);
    wanted->observed[wanted->observed_count++] =
        (struct wanted_key){ .agency = peer->row.id, .block = change->block, .key = key };
    if (change->old_key.length > 0) { /* the row that has the new key may give it up in this transaction */
        wanted->observed = room(work, wanted->observed, wanted->observed_count, capacity, sizeof *wanted->observed);
        wanted->observed[wanted->observed_count++] =
            (struct wanted_key){ .agency = peer->row.id, .block = change->block, .key = change->key };
    }
}

struct value *observed_values(struct arena *arena, const struct catalog_type *type, const struct observed_row *row)
{
    struct value *values = arena_array(arena, type->field_count, sizeof *values);
    struct item item;
    struct error err;

    if (effect_read(arena, row->body.bytes, row->body.length, &item, &err) < 0)
        return values; /* nothing that we wrote */
    for (uint16_t i = 0; i < item.field_count; i++) {
        int field = catalog_field(type, item.fields[i].name.bytes, item.fields[i].name.length);

        if (field >= 0)
            values[field] = item.fields[i].value;
    }
    return values;
}

static struct seen *seen_of(struct work *work, const struct peer *peer, const struct agency_block *block,
                            struct text key)
{
    struct observing *observing = observing_of(work);
    struct text name = map_key(work->batch->arena, peer->row.id, block->name, key);
    void **slot = map_slot(observing->rows, name.bytes, name.length);
    struct seen *seen = *slot;
    const struct observed_row *stored;

    if (seen)
        return seen;
    seen = *slot = arena_alloc(work->batch->arena, sizeof *seen);
    seen->row = (struct observed_row){ .agency = peer->row.id,
                                       .block = block->name,
                                       .key = { arena_copy(work->batch->arena, key.bytes, key.length), key.length } };
    seen->type = &work->batch->catalog->types[block->type];
    stored = map_find(observing->stored, name.bytes, name.length);
    seen->values = stored ? observed_values(work->batch->arena, seen->type, stored) : NULL;
    seen->next = observing->all;
    observing->all = seen;
    observing->count++;
    return seen;
}

void observe_begin(struct work *work)
{
    if (work->observing)
        work->observing->transaction++;
}

/* Takes the row away that had this key when the transaction began. */
static struct value *take(struct work *work, struct seen *seen)
{
    struct value *values = seen->values;

    if (seen->displaced && seen->displaced_in == work->observing->transaction) {
        values = seen->displaced;
        seen->displaced = NULL;
        return values; /* the key is another row's already */
    }
    seen->values = NULL;
    seen->changed = true;
    return values;
}

static void put(struct work *work, struct seen *seen, struct value *values)
{
    if (seen->values) {
        seen->displaced = seen->values;
        seen->displaced_in = work->observing->transaction;
    }
    seen->values = values;
    seen->changed = true;
}

void observe_change(struct work *work, const struct peer *peer, const struct agency_block *block,
                    const struct change *change)
{
    const struct catalog_type *type = &work->batch->catalog->types[block->type];
    bool moves = change->old_key.length > 0;
    struct seen *from = seen_of(work, peer, block, moves ? change->old_key : change->key);
    struct value *values;

    if (change->operation == OPERATION_DELETE) {
        (void)take(work, from);
        return;
    }
    values = change->operation == OPERATION_UPDATE ? take(work, from) : NULL;
    if (!values)
        values = arena_array(work->batch->arena, type->field_count, sizeof *values);
    fields_of_change(type, change, values);
    put(work, moves ? seen_of(work, peer, block, change->key) : from, values);
}

/* In the form of an item that carries it whole. */
static struct text body_of(struct work *work, const struct seen *seen)
{
    const struct catalog_type *type = seen->type;
    struct item_field *fields = arena_array(work->batch->arena, type->field_count, sizeof *fields);
    uint16_t count = 0;

    for (uint16_t i = 0; i < type->field_count; i++)
        if (seen->values[i].state != VALUE_ABSENT)
            fields[count++] = (struct item_field){ text_of(type->fields[i].name), seen->values[i] };
    return sending_pack(work,
                        &(struct sending){ .operation = OPERATION_INSERT, .fields = fields, .field_count = count },
                        &(struct reason){ 0 });
}

void observe_write(struct work *work)
{
    struct writes *writes = &work->batch->writes;

    if (!work->observing)
        return;
    writes->observed = arena_array(work->batch->arena, work->observing->count, sizeof *writes->observed);
    for (const struct seen *seen = work->observing->all; seen; seen = seen->next) {
        if (!seen->changed)
            continue;
        writes->observed[writes->observed_count] = seen->row;
        if (seen->values)
            writes->observed[writes->observed_count].body = body_of(work, seen);
        writes->observed_count++;
    }
}
