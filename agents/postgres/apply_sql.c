#include "agents/postgres/apply_sql.h"

#include "agents/postgres/apply_text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATEMENTS_MAX = 1024 };

struct made {
    uint16_t block;
    enum apply_kind kind;
    bool hard;
    struct column_set set;
    const char *text;
};

struct apply_sql {
    const struct mapping *mapping;
    const struct inspection *inspection;
    struct arena *arena;
    struct made *made;
    uint32_t made_count;
    struct pg_array arrays[BLOCK_COLUMNS_MAX + KEY_COLUMNS_MAX + 3]; /* reused from statement to statement */
};

struct apply_sql *apply_sql_new(const struct mapping *mapping, const struct inspection *inspection)
{
    struct apply_sql *sql = calloc(1, sizeof *sql);

    if (!sql)
        abort();
    sql->mapping = mapping;
    sql->inspection = inspection;
    sql->arena = arena_new();
    sql->made = arena_array(sql->arena, STATEMENTS_MAX, sizeof *sql->made);
    return sql;
}

void apply_sql_free(struct apply_sql **sql)
{
    if (!*sql)
        return;
    for (size_t i = 0; i < sizeof(*sql)->arrays / sizeof(*sql)->arrays[0]; i++)
        pg_array_free(&(*sql)->arrays[i]);
    arena_free(&(*sql)->arena);
    free(*sql);
    *sql = NULL;
}

/* ---- columns ---- */

/* Columns that a row writes. A new row leaves a column to its default when the record has nothing for it and the column
 * must have something: nobody has written that field yet. */
static struct column_set row_columns(const struct apply_sql *sql, const struct apply_row *row)
{
    const enum apply_kind kind = row->kind;
    const struct mapping_block *block = &sql->mapping->blocks[row->net->block];
    const struct inspect_table *table = &sql->inspection->tables[row->net->block];
    struct column_set set = { 0 };

    for (uint16_t i = 0; i < block->column_count; i++) {
        const struct inspect_column *column = &table->columns[i];

        if (row->columns[i].state == VALUE_ABSENT)
            continue;
        if ((kind == APPLY_INSERT || kind == APPLY_TAKE || kind == APPLY_MAKE) && row->columns[i].state == VALUE_NULL &&
            column->not_null && column->has_default)
            continue;
        if (kind == APPLY_UPDATE && !row->net->moves && column_is_key(block, i))
            continue; /* it has that key: writing it would only cost a stronger lock */
        set.bits[i / 64] |= UINT64_C(1) << (i % 64);
    }
    return set;
}

/* ---- rows ---- */

/* Whether the broker names a row which, should it be gone, may be inserted again any moment. */
static bool net_awaits(const struct mapping_block *block, const struct net *net)
{
    return block->absence_s > 0 && net->key.length > 0 && !net->key_of_ours && !net->waited;
}

static enum apply_kind kind_of(const struct mapping_block *block, const struct net *net)
{
    switch (net->operation) {
    case OPERATION_DELETE:
        return block->delete == DELETE_IGNORE ? APPLY_NOTHING : APPLY_DELETE;
    case OPERATION_INSERT:
        if (net_awaits(block, net))
            break; /* the broker knows a row of it here: where that is gone, it may come back */
        if (block->insert && block->shared)
            return block->generated ? APPLY_JOIN : APPLY_ENTER;
        if (block->insert && block->generated)
            return APPLY_MAKE;
        if (block->insert)
            return net->moves ? APPLY_TAKE : APPLY_INSERT;
        break; /* only what it holds already */
    default:
        break;
    }
    return APPLY_UPDATE;
}

/* Whether a row is in the block afterwards that may not have been before. */
static bool kind_comes_in(enum apply_kind kind)
{
    return kind == APPLY_INSERT || kind == APPLY_TAKE || kind == APPLY_ENTER || apply_makes(kind);
}

int apply_row_make(struct arena *arena, const struct apply_sql *sql, struct net *net, uint32_t number,
                   struct apply_row **ret, struct error *err)
{
    const struct mapping_block *block = &sql->mapping->blocks[net->block];
    struct apply_row *row = arena_alloc(arena, sizeof *row);
    struct text key = net->key.length > 0 ? net->key : net_key(arena, sql->mapping, net);

    row->net = net;
    row->number = number;
    row->columns = arena_array(arena, block->column_count, sizeof *row->columns);
    if (row_write(arena, block, net->fields, row->columns, err) < 0)
        return err->code;
    if (key.length > 0) {
        row->key = arena_array(arena, block->key_column_count, sizeof *row->key);
        if (row_key_columns(arena, block, key, row->key, err) < 0)
            return err->code;
    }
    row->kind = kind_of(block, net);
    if (!row->key && !block->generated && net->operation == OPERATION_INSERT)
        return error_set(err, ERR_REJECT, "the item names no local key of block %s", block->name);
    if (!row->key && !apply_makes(row->kind))
        row->kind = APPLY_NOTHING; /* no key: there is no row of it here */
    if (kind_comes_in(row->kind) && row_enter(block, row->columns, err) < 0)
        return err->code;
    if (row->kind != APPLY_DELETE)
        row->set = row_columns(sql, row);
    *ret = row;
    return 0;
}

bool apply_meets(enum apply_kind kind)
{
    return kind == APPLY_UPDATE || kind == APPLY_ENTER || kind == APPLY_DELETE;
}

bool apply_waits(const struct apply_sql *sql, const struct apply_row *row)
{
    return (row->kind == APPLY_UPDATE || row->kind == APPLY_DELETE) && !row->met &&
           net_awaits(&sql->mapping->blocks[row->net->block], row->net);
}

bool apply_is_homeless(const struct apply_sql *sql, const struct apply_row *row)
{
    return ((row->kind == APPLY_ENTER || apply_makes(row->kind)) && !row->met) || apply_waits(sql, row);
}

bool apply_makes(enum apply_kind kind)
{
    return kind == APPLY_MAKE || kind == APPLY_JOIN;
}

/* found, then the key's columns, NULL when there is no row */
bool apply_made(struct arena *arena, const struct apply_sql *sql, const PGresult *result, struct apply_row *row)
{
    const struct mapping_block *block = &sql->mapping->blocks[row->net->block];
    const char *key = "";

    row->several = pg_result_int8(result, 0, 0) > 1;
    row->met = !PQgetisnull(result, 0, 1);
    for (int i = 0; row->met && i < block->key_column_count; i++)
        key = arena_printf(arena, "%s%s%s", key, i > 0 ? "\x1f" : "", PQgetvalue(result, 0, 1 + i));
    row->made = (struct text){ key, (uint32_t)strlen(key) };
    return row->met;
}

const char *apply_homeless(struct arena *arena, const struct apply_sql *sql, const struct apply_row *row)
{
    const struct mapping_block *block = &sql->mapping->blocks[row->net->block];

    if (apply_waits(sql, row))
        return arena_printf(arena, "its row was deleted from table %s.%s and may be inserted again (`absence`)",
                            block->schema, block->table);
    if (row->several)
        return arena_printf(arena,
                            "several rows of table %s.%s have its identifier: which one it is, is for its "
                            "people to say",
                            block->schema, block->table);
    if (row->kind == APPLY_MAKE)
        return arena_printf(arena, "a trigger of table %s.%s left the new row out", block->schema, block->table);
    return arena_printf(arena,
                        "table %s.%s has no row with this key yet, and block %s comes only into rows of another block",
                        block->schema, block->table, block->name);
}

bool apply_together(const struct apply_row *left, const struct apply_row *right)
{
    return left->kind == right->kind && !apply_makes(left->kind) && left->net->block == right->net->block &&
           memcmp(&left->set, &right->set, sizeof left->set) == 0;
}

/* ---- texts ---- */

struct writer {
    FILE *file;
    char *bytes;
    size_t length;
};

static void writer_open(struct writer *writer)
{
    *writer = (struct writer){ 0 };
    writer->file = open_memstream(&writer->bytes, &writer->length);
    if (!writer->file)
        abort();
}

static const char *writer_close(struct writer *writer, struct arena *arena)
{
    const char *text;

    fclose(writer->file);
    text = arena_copy(arena, writer->bytes, writer->length);
    free(writer->bytes);
    return text;
}

/* The statement's text. Once there are more kinds of statement than are worth keeping it is the caller's, in *ret_own.
 */
static const char *statement(struct apply_sql *sql, uint16_t block, enum apply_kind kind, const struct column_set *set,
                             bool hard, char **ret_own)
{
    struct subject subject = { .block = &sql->mapping->blocks[block],
                               .table = &sql->inspection->tables[block],
                               .set = set,
                               .sure = apply_makes(kind) };
    struct writer writer;
    struct made *made;

    *ret_own = NULL;
    for (uint32_t i = 0; i < sql->made_count; i++) {
        made = &sql->made[i];
        if (made->block == block && made->kind == kind && made->hard == hard &&
            memcmp(&made->set, set, sizeof *set) == 0)
            return made->text;
    }
    writer_open(&writer);
    apply_text(writer.file, &subject, kind, hard);
    if (sql->made_count == STATEMENTS_MAX) {
        fclose(writer.file);
        *ret_own = writer.bytes;
        return writer.bytes;
    }
    made = &sql->made[sql->made_count++];
    *made = (struct made){ .block = block, .kind = kind, .hard = hard, .set = *set };
    made->text = writer_close(&writer, sql->arena);
    return made->text;
}

/* ---- parameters ---- */

static int compare_keys(const void *left, const void *right, void *context)
{
    const struct apply_row *l = *(struct apply_row *const *)left, *r = *(struct apply_row *const *)right;
    int order = 0;

    for (int i = 0; i < *(int *)context && order == 0; i++)
        order = l->key[i].state != VALUE_SET || r->key[i].state != VALUE_SET
                    ? (int)l->key[i].state - (int)r->key[i].state
                    : value_compare(VALUE_TEXT, l->key[i], r->key[i]);
    return order;
}

/* Neighbours in the key's index are found on the same page, whatever its collation makes of the rest. */
static void sort(const struct apply_sql *sql, struct apply_row **rows, uint32_t count)
{
    int key_count = sql->mapping->blocks[rows[0]->net->block].key_column_count;

    if (count > 1)
        qsort_r(rows, count, sizeof(struct apply_row *), compare_keys, &key_count);
}

static void send(struct apply_sql *sql, struct pg *pg, uint16_t block, enum apply_kind kind,
                 const struct column_set *set, bool hard, struct apply_row *const *rows, uint32_t count)
{
    const struct mapping_block *mapped = &sql->mapping->blocks[block];
    bool values = kind == APPLY_UPDATE || kind_comes_in(kind);
    int key_count = mapped->key_column_count;
    struct pg_parameters parameters = { 0 };
    struct pg_array *array = sql->arrays;
    char *own;
    const char *text = statement(sql, block, kind, set, hard, &own);

    pg_array_start(array, PG_OID_INT4);
    for (uint32_t i = 0; i < count; i++)
        pg_array_int4(array, (int32_t)rows[i]->number);
    pg_array_parameter(&parameters, array++);
    for (int k = 0; k < key_count; k++) {
        pg_array_start(array, PG_OID_TEXT);
        for (uint32_t i = 0; i < count; i++)
            pg_array_value(array, rows[i]->key ? rows[i]->key[k] : value_null());
        pg_array_parameter(&parameters, array++);
    }
    for (uint16_t c = 0; values && c < mapped->column_count; c++) {
        if (!column_set_has(set, c))
            continue;
        pg_array_start(array, PG_OID_TEXT);
        for (uint32_t i = 0; i < count; i++)
            pg_array_value(array, rows[i]->columns[c]);
        pg_array_parameter(&parameters, array++);
    }
    if (apply_makes(kind)) {
        pg_array_start(array, PG_OID_INT4);
        for (uint32_t i = 0; i < count; i++)
            pg_array_int4(array, rows[i]->key && !rows[i]->net->key_of_ours);
        pg_array_parameter(&parameters, array++);
    }
    pg_statement(pg, text, own == NULL, &parameters);
    free(own);
}

void apply_queue(struct apply_sql *sql, struct pg *pg, struct apply_row **rows, uint32_t count)
{
    if (rows[0]->kind == APPLY_UPDATE)
        sort(sql, rows, count);
    send(sql, pg, rows[0]->net->block, rows[0]->kind, &rows[0]->set, false, rows, count);
}

void apply_queue_lock(struct apply_sql *sql, struct pg *pg, struct apply_row **rows, uint32_t count, bool hard)
{
    struct column_set none = { 0 };

    sort(sql, rows, count);
    send(sql, pg, rows[0]->net->block, APPLY_LOCK, &none, hard, rows, count);
}
