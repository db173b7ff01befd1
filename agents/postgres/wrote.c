/* Which rows an apply transaction says that it wrote. */
#include "agents/postgres/apply_work.h"

#include <string.h>

static struct text text_of(const char *text)
{
    return (struct text){ text, (uint32_t)strlen(text) };
}

static void list_blocks(struct arena *arena, const struct mapping *mapping, struct applied *applied)
{
    applied->block_count = mapping->block_count;
    applied->blocks = arena_array(arena, mapping->block_count, sizeof *applied->blocks);
    for (uint16_t i = 0; i < mapping->block_count; i++) {
        const struct mapping_block *block = &mapping->blocks[i];
        struct wrote_block *wrote = &applied->blocks[i];

        wrote->name = text_of(block->name);
        wrote->field_count = applied->whole ? block->field_count : 0;
        wrote->fields = arena_array(arena, block->field_count, sizeof *wrote->fields);
        for (uint16_t j = 0; j < block->field_count; j++)
            wrote->fields[j] = text_of(block->fields[j].name);
    }
}

/* Whether all columns of a field were written. A constant has none, and is none of the database's. */
static bool field_written(const struct mapping_field *field, const struct column_set *set)
{
    bool written = field->column_count > 0;

    for (uint8_t i = 0; i < field->column_count; i++)
        written &= set->bits[field->columns[i] / 64] >> (field->columns[i] % 64) & 1;
    return written;
}

/* Of the values as they will be read again: trimmed, and one code for all that mean the same. */
static const uint32_t *digests_of(struct arena *arena, const struct mapping_block *block, const struct apply_row *row)
{
    uint32_t *digests = arena_array(arena, block->field_count, sizeof *digests);
    struct value *fields = arena_array(arena, block->field_count, sizeof *fields);
    struct error ignored;

    row_read(arena, block, row->columns, fields, &ignored);
    for (uint16_t i = 0; i < block->field_count; i++)
        if (field_written(&block->fields[i], &row->set))
            digests[i] = value_digest(fields[i]);
    return digests;
}

/* The key that the row has now: the one the database made, or its own, unless it got another. */
static struct text key_now(struct arena *arena, const struct apply_work *work, const struct apply_row *row)
{
    const struct net *net = row->net;
    struct text key = net->operation == OPERATION_DELETE ? net->key : net_key(arena, work->mapping, net);

    if (row->made.length > 0)
        return row->made;
    return key.length > 0 ? key : net->key.length > 0 ? net->key : net_key(arena, work->mapping, net);
}

static bool is_written(const struct apply_row *row, bool whole)
{
    if (row->kind == APPLY_DELETE)
        return true; /* also one that a cascade of another was faster with */
    if (row->kind == APPLY_NOTHING || ((apply_meets(row->kind) || apply_makes(row->kind)) && !row->met))
        return false;
    return whole;
}

void work_wrote(struct arena *arena, const struct apply_work *work, struct apply_row *const *rows, uint32_t count,
                struct applied *applied)
{
    applied->whole = work->inspection->meddled;
    applied->rows = arena_array(arena, count, sizeof *applied->rows);
    for (uint32_t i = 0; i < count; i++) {
        const struct apply_row *row = rows[i];
        struct wrote_row *wrote = &applied->rows[applied->row_count];

        if (!is_written(row, applied->whole))
            continue;
        *wrote = (struct wrote_row){ .block = row->net->block,
                                     .key = key_now(arena, work, row),
                                     .record = row->net->record,
                                     .gone = row->kind == APPLY_DELETE };
        if (!wrote->gone)
            wrote->digests = digests_of(arena, &work->mapping->blocks[row->net->block], row);
        applied->row_count++;
    }
    if (applied->row_count > 0)
        list_blocks(arena, work->mapping, applied);
}
