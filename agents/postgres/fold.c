#include "agents/postgres/fold.h"
#include "agents/postgres/touched.h"
#include "agents/row_change.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How a published table looks to one block of the mapping: the place of each of the block's columns in it. */
struct block_view {
    uint16_t block;
    uint16_t *places;
    bool keyed; /* the replica identity holds the whole local key */
};

struct table_view {
    struct table_view *next;
    uint32_t id;
    uint16_t column_count;
    char identity;
    bool *key_columns;
    struct block_view *blocks;
    uint16_t block_count;
};

struct fold {
    const struct mapping *mapping;
    struct table_view *tables;
    struct touched_set set;
    size_t bytes_max;
    struct touched *cursor; /* the next to give, once ended */
    uint64_t counter;
    uint8_t seed[32];
    uint32_t problem_count;
    struct error problem; /* the first */
};

static void problem(struct fold *fold, const struct mapping_block *block, const char *what)
{
    if (fold->problem_count++ == 0)
        error_set(&fold->problem, ERR_REJECT, "table %s.%s: %s", block->schema, block->table, what);
}

/* Which fields were not sent, because their columns are stored apart and did not change. NULL: none. */
static bool *fields_unsent(struct fold *fold, const struct mapping_block *block, const struct value *columns)
{
    bool *unsent = arena_array(fold->set.scratch, block->field_count, sizeof *unsent);
    bool some = false;

    for (uint16_t i = 0; i < block->field_count; i++) {
        const struct mapping_field *field = &block->fields[i];

        for (uint8_t j = 0; j < field->column_count; j++)
            unsent[i] |= columns[field->columns[j]].state == VALUE_ABSENT;
        some |= unsent[i];
    }
    return some ? unsent : NULL;
}

/* Translates a row; only the columns in `sent`, unless it is NULL. A row that is not in the block has no key. */
static struct seen see(struct fold *fold, const struct block_view *view, const struct pgoutput_row *row,
                       const bool *sent)
{
    const struct mapping_block *block = &fold->mapping->blocks[view->block];
    struct value *columns = arena_array(fold->set.scratch, block->column_count, sizeof *columns);
    struct seen seen = { .block = view->block };
    struct error err;
    int count;

    for (uint16_t i = 0; i < block->column_count; i++) {
        if (!sent || sent[view->places[i]])
            columns[i] = row->values[view->places[i]];
    }
    if (!row_in(block, columns))
        return seen;
    seen.fields = arena_array(fold->set.scratch, block->field_count + ROW_WITNESSES, sizeof *seen.fields);
    count = row_read(fold->set.scratch, block, columns, seen.fields, &err);
    if (count > 0 && fold->problem_count == 0)
        fold->problem = err;
    fold->problem_count += (uint32_t)count;
    count = row_bound(block, seen.fields, fold->problem_count ? &err : &fold->problem);
    fold->problem_count += (uint32_t)count;
    seen.unsent = fields_unsent(fold, block, columns);
    count = row_witnesses(block, columns, seen.fields, fold->problem_count ? &err : &fold->problem);
    fold->problem_count += (uint32_t)count;
    seen.key = change_key(fold->set.scratch, block, columns, seen.fields);
    if (seen.key.length == 0)
        problem(fold, block, change_no_key);
    return seen;
}

/* What is known of the row before an update whose old row was not sent: that its key was the same. */
static struct seen unseen(struct fold *fold, const struct seen *row)
{
    const struct mapping_block *block = &fold->mapping->blocks[row->block];
    struct seen old = *row;

    old.fields = arena_array(fold->set.scratch, block->field_count + ROW_WITNESSES, sizeof *old.fields);
    for (uint8_t i = 0; i < block->key_count; i++)
        old.fields[block->key[i]] = row->fields[block->key[i]];
    return old;
}

/* A row without a key, or one that does not belong to the block, is no record: coming in is an insert, leaving a
 * deletion. */
static void add_change(struct fold *fold, const struct table_view *table, const struct block_view *view,
                       const struct pgoutput_message *message)
{
    enum pgoutput_old identity = message->change.identity;
    struct seen old = { 0 }, row = { 0 };
    bool alone = true;

    if (message->kind != PGOUTPUT_DELETE)
        row = see(fold, view, &message->change.row, NULL);
    if (identity != PGOUTPUT_OLD_NONE)
        old = see(fold, view, &message->change.old, identity == PGOUTPUT_OLD_KEY ? table->key_columns : NULL);
    else if (message->kind == PGOUTPUT_UPDATE)
        old = unseen(fold, &row);
    if (old.key.length > 0 && row.key.length > 0)
        alone = touched_update(&fold->set, &old, &row);
    else if (old.key.length > 0)
        alone = touched_delete(&fold->set, &old);
    else if (row.key.length > 0)
        alone = touched_insert(&fold->set, &row);
    if (!alone)
        problem(fold, &fold->mapping->blocks[view->block],
                "two rows have the same key after translation, the second was left out; make their keys differ, or map "
                "a key that does");
}

static struct table_view *table_find(const struct fold *fold, uint32_t id)
{
    struct table_view *table = fold->tables;

    while (table && table->id != id)
        table = table->next;
    return table;
}

static int add_truncate(struct fold *fold, const struct pgoutput_message *message, struct error *err)
{
    for (uint32_t i = 0; i < message->truncate.count; i++) {
        const struct table_view *table = table_find(fold, message->truncate.relations[i]);
        const struct mapping_block *block;

        if (!table || table->block_count == 0)
            continue;
        block = &fold->mapping->blocks[table->blocks[0].block];
        return error_set(err, ERR_LOST,
                         "table %s.%s was truncated, which does not say what was in it, so what was deleted cannot be "
                         "known",
                         block->schema, block->table);
    }
    return 0;
}

int fold_add(struct fold *fold, const struct pgoutput_message *message, struct error *err)
{
    const struct table_view *table;

    arena_reset(fold->set.scratch);
    if (message->kind == PGOUTPUT_TRUNCATE)
        return add_truncate(fold, message, err);
    assert(message->kind == PGOUTPUT_INSERT || message->kind == PGOUTPUT_UPDATE || message->kind == PGOUTPUT_DELETE);
    table = table_find(fold, message->change.relation);
    if (!table)
        return error_set(err, ERR_STOP, "the server's change stream has a row of a table that it did not describe");
    for (uint16_t i = 0; i < table->block_count; i++) {
        const struct block_view *view = &table->blocks[i];
        const struct mapping_block *block = &fold->mapping->blocks[view->block];

        if ((message->kind != PGOUTPUT_DELETE && message->change.row.count != table->column_count) ||
            (message->change.identity != PGOUTPUT_OLD_NONE && message->change.old.count != table->column_count))
            return error_set(err, ERR_STOP, "the server sent a row of table %s.%s that does not fit its description",
                             block->schema, block->table);
        if (message->kind != PGOUTPUT_INSERT && message->change.identity != PGOUTPUT_OLD_FULL && !view->keyed)
            return error_set(
                err, ERR_LOST,
                "table %s.%s has not REPLICA IDENTITY FULL, so the key that a row had cannot be known. Ask "
                "its owner to run: ALTER TABLE %s.%s REPLICA IDENTITY FULL;",
                block->schema, block->table, block->schema, block->table);
        add_change(fold, table, view, message);
    }
    if (fold->set.bytes > fold->bytes_max)
        return error_set(
            err, ERR_STOP,
            "one transaction changes more records than fit into %zu MiB of memory: load this agency again, "
            "or raise the limit",
            fold->bytes_max >> 20);
    return 0;
}

static void table_free(struct table_view *table)
{
    for (uint16_t i = 0; i < table->block_count; i++)
        free(table->blocks[i].places);
    free(table->blocks);
    free(table->key_columns);
    free(table);
}

static void table_forget(struct fold *fold, uint32_t id)
{
    for (struct table_view **at = &fold->tables; *at; at = &(*at)->next) {
        struct table_view *table = *at;

        if (table->id != id)
            continue;
        *at = table->next;
        table_free(table);
        return;
    }
}

static bool text_is(struct text text, const char *wanted)
{
    return strlen(wanted) == text.length && memcmp(wanted, text.bytes, text.length) == 0;
}

static int column_place(const struct pgoutput_relation *relation, const char *name)
{
    for (uint16_t i = 0; i < relation->column_count; i++) {
        if (text_is(relation->columns[i].name, name))
            return i;
    }
    return -1;
}

static void *zeroed(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);

    if (!memory)
        abort();
    return memory;
}

static int view_make(struct block_view *view, const struct mapping_block *block,
                     const struct pgoutput_relation *relation, struct error *err)
{
    view->places = zeroed(block->column_count, sizeof *view->places);
    view->keyed = block->where_count == 0; /* whether the old row was in the block can be seen only from all of it */
    for (uint16_t i = 0; i < block->column_count; i++) {
        int place = column_place(relation, block->columns[i]);

        if (place < 0)
            return error_set(err, ERR_STOP,
                             "table %s.%s no longer has column %s, which the mapping uses: change the mapping and load "
                             "this agency again",
                             block->schema, block->table, block->columns[i]);
        view->places[i] = (uint16_t)place;
    }
    for (uint8_t i = 0; i < block->key_column_count; i++)
        view->keyed &= relation->columns[view->places[block->key_columns[i]]].key;
    return 0;
}

int fold_relation(struct fold *fold, const struct pgoutput_relation *relation, struct error *err)
{
    struct table_view *table = zeroed(1, sizeof *table);

    table_forget(fold, relation->id);
    table->next = fold->tables;
    fold->tables = table;
    table->id = relation->id;
    table->identity = relation->identity;
    table->column_count = relation->column_count;
    table->key_columns = zeroed(relation->column_count, sizeof *table->key_columns);
    for (uint16_t i = 0; i < relation->column_count; i++)
        table->key_columns[i] = relation->columns[i].key;
    table->blocks = zeroed(fold->mapping->block_count, sizeof *table->blocks);
    for (uint16_t i = 0; i < fold->mapping->block_count; i++) {
        const struct mapping_block *block = &fold->mapping->blocks[i];
        struct block_view *view = &table->blocks[table->block_count];

        if (!text_is(relation->schema, block->schema) || !text_is(relation->name, block->table))
            continue;
        table->block_count++;
        view->block = i;
        if (view_make(view, block, relation, err) < 0)
            return err->code;
    }
    return 0;
}

struct fold *fold_new(const struct mapping *mapping, size_t bytes_max)
{
    struct fold *fold = zeroed(1, sizeof *fold);

    fold->mapping = mapping;
    fold->set.mapping = mapping;
    fold->bytes_max = bytes_max;
    fold->set.scratch = arena_new();
    return fold;
}

void fold_free(struct fold **fold)
{
    if (!*fold)
        return;
    fold_reset(*fold);
    while ((*fold)->tables)
        table_forget(*fold, (*fold)->tables->id);
    arena_free(&(*fold)->set.scratch);
    free(*fold);
    *fold = NULL;
}

void fold_reset(struct fold *fold)
{
    touched_clear(&fold->set);
    fold->cursor = NULL;
    fold->counter = 0;
    fold->problem_count = 0;
}

uint32_t fold_end(struct fold *fold, const uint8_t seed[32], struct error *ret_first)
{
    touched_order(&fold->set);
    fold->cursor = fold->set.oldest;
    memcpy(fold->seed, seed, sizeof fold->seed);
    if (fold->problem_count > 0)
        *ret_first = fold->problem;
    return fold->problem_count;
}

bool fold_left(const struct fold *fold)
{
    return fold->cursor != NULL;
}

static struct value *unpacked(struct arena *arena, const struct packed_row *row, const struct mapping_block *block)
{
    struct value *fields = row ? arena_array(arena, block->field_count + ROW_WITNESSES, sizeof *fields) : NULL;

    if (row)
        row_unpack(row, fields, block->field_count + ROW_WITNESSES);
    return fields;
}

static struct text key_text(const struct local_key *key)
{
    return (struct text){ key->bytes, key->length };
}

static void touched_change(const struct fold *fold, struct arena *arena, const struct touched *touched,
                           struct change *change)
{
    const struct mapping_block *block = &fold->mapping->blocks[touched->block];

    change->operation = !touched->before_key ? OPERATION_INSERT
                        : !touched->now_key  ? OPERATION_DELETE
                                             : OPERATION_UPDATE;
    change->key = key_text(touched->now_key ? touched->now_key : touched->before_key);
    if (change->operation == OPERATION_UPDATE && touched->now_key != touched->before_key)
        change->old_key = key_text(touched->before_key);
    change_make(arena, block, unpacked(arena, touched->before, block), unpacked(arena, touched->now, block), change);
}

uint32_t fold_next(struct fold *fold, struct arena *arena, size_t bytes, struct change **ret)
{
    size_t capacity = 0, size = 0;
    struct change *changes = NULL;
    uint32_t count = 0;

    for (; fold->cursor; fold->cursor = fold->cursor->next) {
        if (count == capacity) {
            struct change *larger = arena_array(arena, capacity ? capacity * 2 : 1, sizeof *larger);

            if (count > 0)
                memcpy(larger, changes, count * sizeof *larger);
            changes = larger;
            capacity = capacity ? capacity * 2 : 1;
        }
        touched_change(fold, arena, fold->cursor, &changes[count]);
        change_seal(arena, &changes[count], fold->seed, fold->counter);
        size += message_change_size(&changes[count]);
        if (count > 0 && size > bytes)
            break; /* it is made again for the next piece */
        fold->counter++;
        count++;
    }
    *ret = changes;
    return count;
}
