#include "agents/postgres/row_view.h"
#include "agents/row_change.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void problem_note(struct problems *problems, const struct mapping_block *block, const char *what)
{
    if (problems->count++ == 0)
        error_set(&problems->first, ERR_REJECT, "table %s.%s: %s", block->schema, block->table, what);
}

/* ---- rows ---- */

/* Which fields were not sent, because their columns are stored apart and did not change. NULL: none. */
static bool *fields_unsent(struct arena *arena, const struct mapping_block *block, const struct value *columns)
{
    bool *unsent = arena_array(arena, block->field_count, sizeof *unsent);
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
static struct seen see(struct arena *arena, const struct mapping *mapping, const struct block_view *view,
                       const struct pgoutput_row *row, const bool *sent, struct problems *problems)
{
    const struct mapping_block *block = &mapping->blocks[view->block];
    struct value *columns = arena_array(arena, block->column_count, sizeof *columns);
    struct seen seen = { .block = view->block };
    struct error err;
    int count;

    for (uint16_t i = 0; i < block->column_count; i++) {
        if (!sent || sent[view->places[i]])
            columns[i] = row->values[view->places[i]];
    }
    if (!row_in(block, columns))
        return seen;
    seen.fields = arena_array(arena, block->field_count + ROW_WITNESSES, sizeof *seen.fields);
    count = row_read(arena, block, columns, seen.fields, &err);
    if (count > 0 && problems->count == 0)
        problems->first = err;
    problems->count += (uint32_t)count;
    count = row_bound(block, seen.fields, problems->count ? &err : &problems->first);
    problems->count += (uint32_t)count;
    seen.unsent = fields_unsent(arena, block, columns);
    count = row_witnesses(block, columns, seen.fields, problems->count ? &err : &problems->first);
    problems->count += (uint32_t)count;
    seen.key = change_key(arena, block, columns, seen.fields);
    if (seen.key.length == 0)
        problem_note(problems, block, change_no_key);
    return seen;
}

/* What is known of the row before an update whose old row was not sent: that its key was the same. */
static struct seen unseen(struct arena *arena, const struct mapping_block *block, const struct seen *row)
{
    struct seen old = *row;

    old.fields = arena_array(arena, block->field_count + ROW_WITNESSES, sizeof *old.fields);
    for (uint8_t i = 0; i < block->key_count; i++)
        old.fields[block->key[i]] = row->fields[block->key[i]];
    return old;
}

struct seen_change view_change(struct arena *arena, const struct mapping *mapping, const struct table_view *table,
                               const struct block_view *view, const struct pgoutput_message *message,
                               struct problems *problems)
{
    enum pgoutput_old identity = message->change.identity;
    struct seen_change change = { .old = { .block = view->block }, .row = { .block = view->block } };

    if (message->kind != PGOUTPUT_DELETE)
        change.row = see(arena, mapping, view, &message->change.row, NULL, problems);
    if (identity != PGOUTPUT_OLD_NONE)
        change.old = see(arena, mapping, view, &message->change.old,
                         identity == PGOUTPUT_OLD_KEY ? table->key_columns : NULL, problems);
    else if (message->kind == PGOUTPUT_UPDATE && change.row.fields)
        change.old = unseen(arena, &mapping->blocks[view->block], &change.row);
    return change;
}

/* ---- tables ---- */

static const struct table_view *table_find(const struct views *views, uint32_t id)
{
    const struct table_view *table = views->tables;

    while (table && table->id != id)
        table = table->next;
    return table;
}

static bool may_reload(const struct views *views, const struct table_view *table)
{
    for (uint16_t i = 0; i < table->block_count; i++)
        if (!views->mapping->blocks[table->blocks[i].block].reload)
            return false;
    return true;
}

int views_truncate(const struct views *views, const struct pgoutput_message *message, const struct table_view **ret,
                   struct error *err)
{
    int code = 0;

    *ret = NULL;
    for (uint32_t i = 0; i < message->truncate.count; i++) {
        const struct table_view *table = table_find(views, message->truncate.relations[i]);
        const struct mapping_block *block;

        if (!table || table->block_count == 0)
            continue;
        block = &views->mapping->blocks[table->blocks[0].block];
        if (may_reload(views, table)) {
            *ret = table;
            code = error_set(err, ERR_RELOAD, "table %s.%s was truncated, so it is loaded anew", block->schema,
                             block->table);
            continue;
        }
        return error_set(err, ERR_LOST,
                         "table %s.%s was truncated, which does not say what was in it, so what was deleted cannot be "
                         "known",
                         block->schema, block->table);
    }
    return code;
}

int views_find(const struct views *views, const struct pgoutput_message *message, const struct table_view **ret,
               struct error *err)
{
    const struct table_view *table = table_find(views, message->change.relation);

    assert(message->kind == PGOUTPUT_INSERT || message->kind == PGOUTPUT_UPDATE || message->kind == PGOUTPUT_DELETE);
    if (!table)
        return error_set(err, ERR_STOP, "the server's change stream has a row of a table that it did not describe");
    for (uint16_t i = 0; i < table->block_count; i++) {
        const struct mapping_block *block = &views->mapping->blocks[table->blocks[i].block];

        if ((message->kind != PGOUTPUT_DELETE && message->change.row.count != table->column_count) ||
            (message->change.identity != PGOUTPUT_OLD_NONE && message->change.old.count != table->column_count))
            return error_set(err, ERR_STOP, "the server sent a row of table %s.%s that does not fit its description",
                             block->schema, block->table);
        if (message->kind != PGOUTPUT_INSERT && message->change.identity != PGOUTPUT_OLD_FULL &&
            !table->blocks[i].keyed)
            return error_set(
                err, ERR_LOST,
                "table %s.%s has not REPLICA IDENTITY FULL, so the key that a row had cannot be known. Ask "
                "its owner to run: ALTER TABLE %s.%s REPLICA IDENTITY FULL;",
                block->schema, block->table, block->schema, block->table);
    }
    *ret = table;
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

static void table_forget(struct views *views, uint32_t id)
{
    for (struct table_view **at = &views->tables; *at; at = &(*at)->next) {
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

int views_describe(struct views *views, const struct pgoutput_relation *relation, struct error *err)
{
    struct table_view *table = zeroed(1, sizeof *table);

    table_forget(views, relation->id);
    table->next = views->tables;
    views->tables = table;
    table->id = relation->id;
    table->identity = relation->identity;
    table->column_count = relation->column_count;
    table->key_columns = zeroed(relation->column_count, sizeof *table->key_columns);
    for (uint16_t i = 0; i < relation->column_count; i++)
        table->key_columns[i] = relation->columns[i].key;
    table->blocks = zeroed(views->mapping->block_count, sizeof *table->blocks);
    for (uint16_t i = 0; i < views->mapping->block_count; i++) {
        const struct mapping_block *block = &views->mapping->blocks[i];
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

void views_free(struct views *views)
{
    while (views->tables)
        table_forget(views, views->tables->id);
}
