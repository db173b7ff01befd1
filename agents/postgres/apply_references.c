/* References of items: the broker sends the key of the row here that one is to, or, when it knows none, the number of
 * the record. That row may be one whose key this database has made a moment ago: our own links know it before the
 * broker does. */
#include "agents/postgres/apply_batch.h"

#include <string.h>

uint32_t references_ask(const struct mapping *mapping, const struct mapping_block *block, const struct value *fields,
                        struct pg_array *blocks, struct pg_array *records)
{
    uint32_t count = 0;

    (void)mapping;
    for (uint16_t i = 0; i < block->field_count; i++) {
        const struct mapping_block *target = block->fields[i].refers;
        uint64_t record = target && target->generated ? reference_number(fields[i]) : 0;

        if (record == 0)
            continue;
        pg_array_bytes(blocks, target->name, strlen(target->name));
        pg_array_int8(records, (int64_t)record);
        count++;
    }
    return count;
}

void references_give(struct arena *arena, const struct mapping *mapping, struct net *net, reference_key *key_of,
                     void *context)
{
    const struct mapping_block *block = &mapping->blocks[net->block];

    for (uint16_t i = 0; i < block->field_count; i++) {
        const struct mapping_block *target = block->fields[i].refers;
        uint64_t record = target ? reference_number(net->fields[i]) : 0;
        const struct text *key = record ? key_of(context, (uint16_t)(target - mapping->blocks), record) : NULL;

        if (key)
            net->fields[i] = reference_local(arena, target->name, key->bytes, key->length);
    }
}

static const struct text *key_of_batch(void *context, uint16_t block, uint64_t record)
{
    return batch_key_of(context, block, record);
}

void batch_references_find(struct apply_batch *batch, struct net *net)
{
    references_give(batch->arena, batch->work->mapping, net, key_of_batch, batch);
}

bool item_refers_to(const struct mapping *mapping, const struct item *item, const struct net *net)
{
    int block = mapping_block_named(mapping, item->block);

    for (uint16_t i = 0; block >= 0 && i < item->field_count; i++) {
        int field = mapping_field_named(&mapping->blocks[block], item->fields[i].name);
        const struct mapping_block *target = field >= 0 ? mapping->blocks[block].fields[field].refers : NULL;

        if (target && target == &mapping->blocks[net->block] && reference_number(item->fields[i].value) == net->record)
            return true;
    }
    return false;
}
