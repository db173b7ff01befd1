#include "agents/postgres/apply_sql.h"

#include "agents/postgres/where_sql.h"

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
    struct pg_array arrays[BLOCK_COLUMNS_MAX + KEY_COLUMNS_MAX + 2]; /* reused from statement to statement */
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

static bool set_has(const struct column_set *set, uint16_t column)
{
    return set->bits[column / 64] >> (column % 64) & 1;
}

static bool is_key(const struct mapping_block *block, uint16_t column)
{
    for (uint8_t i = 0; i < block->key_column_count; i++)
        if (block->key_columns[i] == column)
            return true;
    return false;
}

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
        if ((kind == APPLY_INSERT || kind == APPLY_TAKE) && row->columns[i].state == VALUE_NULL && column->not_null &&
            column->has_default)
            continue;
        if (kind == APPLY_UPDATE && !row->net->moves && is_key(block, i))
            continue; /* it has that key: writing it would only cost a stronger lock */
        set.bits[i / 64] |= UINT64_C(1) << (i % 64);
    }
    return set;
}

/* ---- rows ---- */

static enum apply_kind kind_of(const struct mapping_block *block, const struct net *net)
{
    switch (net->operation) {
    case OPERATION_DELETE:
        return block->delete == DELETE_IGNORE ? APPLY_NOTHING : APPLY_DELETE;
    case OPERATION_INSERT:
        if (block->insert && block->shared)
            return APPLY_ENTER;
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
    return kind == APPLY_INSERT || kind == APPLY_TAKE || kind == APPLY_ENTER;
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
    if (!row->key && net->operation == OPERATION_INSERT)
        return error_set(err, ERR_REJECT, "the item names no local key of block %s", block->name);
    row->kind = row->key ? kind_of(block, net) : APPLY_NOTHING; /* no key: there is no row of it here */
    if (kind_comes_in(row->kind) && row_enter(block, row->columns, err) < 0)
        return err->code;
    if (row->kind != APPLY_DELETE)
        row->set = row_columns(sql, row);
    *ret = row;
    return 0;
}

bool apply_meets(enum apply_kind kind)
{
    return kind == APPLY_UPDATE || kind == APPLY_ENTER;
}

const char *apply_homeless(struct arena *arena, const struct apply_sql *sql, const struct apply_row *row)
{
    const struct mapping_block *block = &sql->mapping->blocks[row->net->block];

    return arena_printf(arena,
                        "table %s.%s has no row with this key yet, and block %s comes only into rows of another block",
                        block->schema, block->table, block->name);
}

bool apply_together(const struct apply_row *left, const struct apply_row *right)
{
    return left->kind == right->kind && left->net->block == right->net->block &&
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

struct subject {
    const struct mapping_block *block;
    const struct inspect_table *table;
    const struct column_set *set;
};

/* "(SELECT unnest($1::int4[]) AS n, unnest($2::text[]) AS k0, ..., unnest(...) AS v0, ...) AS k". In the select list
 * each row is made once; in FROM the rows of each function would be put away first. */
static void write_source(FILE *file, const struct subject *subject, bool values)
{
    int number = 1;

    fprintf(file, "(SELECT unnest($%d::int4[]) AS n", number++);
    for (int i = 0; i < subject->block->key_column_count; i++)
        fprintf(file, ", unnest($%d::text[]) AS k%d", number++, i);
    for (uint16_t i = 0; values && i < subject->block->column_count; i++)
        if (set_has(subject->set, i))
            fprintf(file, ", unnest($%d::text[]) AS v%d", number++, i);
    fputs(") AS k", file);
}

static void write_where_key(FILE *file, const struct subject *subject)
{
    for (int i = 0; i < subject->block->key_column_count; i++) {
        const struct inspect_column *column = &subject->table->columns[subject->block->key_columns[i]];

        fprintf(file, "%st.%s = k.k%d::%s", i ? " AND " : "", column->name, i, column->type);
    }
}

/* Other rows of the table are not the block's. */
static void write_where_block(FILE *file, const struct subject *subject)
{
    scoped(arena_free) struct arena *arena = arena_new();

    fputs(where_sql(arena, subject->block, subject->table), file);
}

static void write_set(FILE *file, const struct subject *subject)
{
    const char *between = "";

    for (uint16_t i = 0; i < subject->block->column_count; i++) {
        const struct inspect_column *column = &subject->table->columns[i];

        if (!set_has(subject->set, i))
            continue;
        fprintf(file, "%s%s = k.v%d::%s", between, column->name, i, column->type);
        between = ", ";
    }
    if (between[0] == '\0') /* nothing to write, but whether the row is there must be known */
        fprintf(file, "%s = t.%s", subject->table->columns[0].name, subject->table->columns[0].name);
}

/* Of rows of the block, or (`any`) of any row with the key: it comes in. */
static void write_update(FILE *file, const struct subject *subject, const char *source, bool any)
{
    fprintf(file, "UPDATE %s AS t SET ", subject->table->name);
    write_set(file, subject);
    fputs(" FROM ", file);
    if (source)
        fputs(source, file);
    else
        write_source(file, subject, true);
    fputs(" WHERE ", file);
    write_where_key(file, subject);
    if (!any)
        write_where_block(file, subject);
    fputs(" RETURNING k.n", file);
}

/* " (a, b) SELECT k.v0::x, k.v1::y FROM " */
static void write_insert_head(FILE *file, const struct subject *subject)
{
    const char *between = "";

    fprintf(file, "INSERT INTO %s AS t (", subject->table->name);
    for (uint16_t i = 0; i < subject->block->column_count; i++)
        if (set_has(subject->set, i)) {
            fprintf(file, "%s%s", between, subject->table->columns[i].name);
            between = ", ";
        }
    fputs(") SELECT ", file);
    between = "";
    for (uint16_t i = 0; i < subject->block->column_count; i++)
        if (set_has(subject->set, i)) {
            fprintf(file, "%sk.v%d::%s", between, i, subject->table->columns[i].type);
            between = ", ";
        }
    fputs(" FROM ", file);
}

static void write_on_conflict(FILE *file, const struct subject *subject)
{
    const char *between = "";

    fputs(" ON CONFLICT (", file);
    for (int i = 0; i < subject->block->key_column_count; i++)
        fprintf(file, "%s%s", i ? ", " : "", subject->table->columns[subject->block->key_columns[i]].name);
    fputs(") DO ", file);
    for (uint16_t i = 0; i < subject->block->column_count; i++) {
        const char *name = subject->table->columns[i].name;

        if (!set_has(subject->set, i) || is_key(subject->block, i))
            continue;
        fprintf(file, "%s%s = EXCLUDED.%s", between[0] ? between : "UPDATE SET ", name, name);
        between = ", ";
    }
    if (between[0] == '\0')
        fputs("NOTHING", file);
}

static void write_lock(FILE *file, const struct subject *subject, bool hard)
{
    fprintf(file, "SELECT count(*) FROM (SELECT 1 FROM %s AS t JOIN ", subject->table->name);
    write_source(file, subject, false);
    fputs(" ON ", file);
    write_where_key(file, subject);
    fputs(" ORDER BY ", file);
    for (int i = 0; i < subject->block->key_column_count; i++)
        fprintf(file, "%st.%s", i ? ", " : "", subject->table->columns[subject->block->key_columns[i]].name);
    fprintf(file, " FOR %s OF t NOWAIT) AS l", hard ? "UPDATE" : "NO KEY UPDATE");
}

/* DELETE_SET: the text of the value is the one of the mapping file, so it stands in the statement as a literal. */
static void write_delete(FILE *file, const struct subject *subject)
{
    if (subject->block->delete == DELETE_SET) {
        fprintf(file, "UPDATE %s AS t SET %s = '", subject->table->name, subject->table->delete_column->name);
        for (const char *at = subject->block->delete_value; *at; at++)
            fputs(*at == '\'' ? "''" : (char[]){ *at, '\0' }, file);
        fprintf(file, "'::text::%s FROM ", subject->table->delete_column->type);
    } else {
        fprintf(file, "DELETE FROM %s AS t USING ", subject->table->name);
    }
    write_source(file, subject, false);
    fputs(" WHERE ", file);
    write_where_key(file, subject);
    write_where_block(file, subject);
}

static void write_statement(FILE *file, const struct subject *subject, enum apply_kind kind, bool hard)
{
    switch (kind) {
    case APPLY_LOCK:
        write_lock(file, subject, hard);
        break;
    case APPLY_UPDATE:
        write_update(file, subject, NULL, false);
        break;
    case APPLY_ENTER:
        write_update(file, subject, NULL, true);
        break;
    case APPLY_INSERT:
        write_insert_head(file, subject);
        write_source(file, subject, true);
        write_on_conflict(file, subject);
        break;
    case APPLY_TAKE:
        fputs("WITH k AS MATERIALIZED (SELECT * FROM ", file);
        write_source(file, subject, true);
        fputs("), u AS (", file);
        write_update(file, subject, "k", true);
        fputs(") ", file);
        write_insert_head(file, subject);
        fputs("k WHERE k.n NOT IN (SELECT u.n FROM u)", file);
        write_on_conflict(file, subject);
        break;
    case APPLY_DELETE:
        write_delete(file, subject);
        break;
    case APPLY_NOTHING:
        break;
    }
}

/* The statement's text. Once there are more kinds of statement than are worth keeping it is the caller's, in *ret_own.
 */
static const char *statement(struct apply_sql *sql, uint16_t block, enum apply_kind kind, const struct column_set *set,
                             bool hard, char **ret_own)
{
    struct subject subject = { .block = &sql->mapping->blocks[block],
                               .table = &sql->inspection->tables[block],
                               .set = set };
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
    write_statement(writer.file, &subject, kind, hard);
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
            pg_array_value(array, rows[i]->key[k]);
        pg_array_parameter(&parameters, array++);
    }
    for (uint16_t c = 0; values && c < mapped->column_count; c++) {
        if (!set_has(set, c))
            continue;
        pg_array_start(array, PG_OID_TEXT);
        for (uint32_t i = 0; i < count; i++)
            pg_array_value(array, rows[i]->columns[c]);
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
