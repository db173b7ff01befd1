#include "agents/postgres/absent_store.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS_MOST = 20000 }; /* of one statement */
#define ABSENT_BYTES_MAX ((size_t)1 << 30)

struct absent_store {
    struct pg *pg;
    const struct mapping *mapping;
    struct absent_store_sink sink;
    unsigned asked, done; /* units: only the last one that was asked for is told */
    bool resting;
    uint64_t settled; /* the newest that is to be deleted once it is acknowledged; 0: none */
};

struct absent_store *absent_store_new(struct pg *pg, const struct mapping *mapping,
                                      const struct absent_store_sink *sink)
{
    struct absent_store *store = calloc(1, sizeof *store);

    if (!store)
        abort();
    *store = (struct absent_store){ .pg = pg, .mapping = mapping, .sink = *sink };
    return store;
}

void absent_store_free(struct absent_store **store)
{
    free(*store);
    *store = NULL;
}

void absent_store_rest(struct absent_store *store)
{
    store->resting = true;
}

/* Whether the unit that has ended is one to tell of, and went well. */
static bool ended(struct absent_store *store, const struct pg_outcome *outcome)
{
    struct error err = outcome->err;

    if (++store->done != store->asked || store->resting)
        return false;
    if (outcome->ok)
        return true;
    error_wrap(&err, "keeping the deletions that wait");
    if (err.code != ERR_RETRY || pg_up(store->pg)) /* a lost connection is told by its owner */
        store->sink.failed(store->sink.context, &err);
    return false;
}

/* ---- reading ---- */

static const char sql_undo[] = "DELETE FROM selaras.absent WHERE lsn > $1::int8 OR settled <= $1::int8";
static const char sql_reopen[] = "UPDATE selaras.absent SET settled = NULL WHERE settled > $1::int8";
static const char sql_read[] = "SELECT block, key, lsn, since, row FROM selaras.absent ORDER BY lsn, block, key";

/* The mapping may have changed: a field that it has gained was not seen, and counts as changed when the row comes. */
static int take_row(const struct mapping *mapping, struct absents *absents, struct arena *arena, const PGresult *rows,
                    int row, struct error *err)
{
    struct text name = { PQgetvalue(rows, row, 0), (uint32_t)PQgetlength(rows, row, 0) };
    struct text key = { PQgetvalue(rows, row, 1), (uint32_t)PQgetlength(rows, row, 1) };
    struct text bytes = pg_result_bytes(arena, rows, row, 4);
    int number = mapping_block_named(mapping, name);
    const struct mapping_block *block;
    struct value *fields;
    struct item item;

    if (number < 0)
        return 0; /* what is no longer mapped is nobody's */
    if (effect_read(arena, bytes.bytes, bytes.length, &item, err) < 0) {
        err->code = ERR_STOP;
        return error_wrap(err, "selaras.absent");
    }
    block = &mapping->blocks[number];
    fields = arena_array(arena, block->field_count + ROW_WITNESSES, sizeof *fields);
    for (uint16_t i = 0; i < item.field_count; i++) {
        int field = mapping_field_named(block, item.fields[i].name);

        if (field >= 0)
            fields[field] = item.fields[i].value;
    }
    absents_restore(absents, (uint16_t)number, key, fields, (uint64_t)pg_result_int8(rows, row, 2),
                    pg_result_int8(rows, row, 3));
    return 0;
}

static void on_restored(void *context, const struct pg_outcome *outcome)
{
    struct absent_store *store = context;
    struct absents *absents;
    struct arena *arena;
    struct error err = { 0 };

    if (!ended(store, outcome))
        return;
    absents = absents_new(store->mapping, ABSENT_BYTES_MAX);
    arena = arena_new();
    for (int row = 0; row < PQntuples(outcome->results[2]) && err.code == 0; row++) {
        arena_reset(arena);
        if (take_row(store->mapping, absents, arena, outcome->results[2], row, &err) == 0)
            err.code = 0;
    }
    arena_free(&arena);
    if (err.code == 0) {
        store->sink.restored(store->sink.context, absents);
        return;
    }
    absents_free(&absents);
    store->sink.failed(store->sink.context, &err);
}

void absent_store_restore(struct absent_store *store, uint64_t lsn)
{
    struct arena *arena = arena_new();
    struct pg_parameters parameters = { 0 };

    store->resting = false;
    store->asked++;
    store->settled = 0;
    pg_int8(&parameters, arena, (int64_t)lsn);
    pg_statement(store->pg, sql_undo, true, &parameters);
    pg_statement(store->pg, sql_reopen, true, &parameters);
    pg_statement(store->pg, sql_read, true, NULL);
    pg_sync(store->pg, on_restored, store);
    arena_free(&arena);
}

/* ---- writing ---- */

/* The position is acknowledged on the word of this: it must not be lost in a crash that what comes after survives. */
static const char sql_durable[] =
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'";
static const char sql_add[] = "INSERT INTO selaras.absent (block, key, lsn, since, row)"
                              " SELECT * FROM unnest($1::text[], $2::text[], $3::int8[], $4::int8[], $5::bytea[])";
static const char sql_settle[] =
    "UPDATE selaras.absent a SET settled = u.settled"
    " FROM unnest($1::text[], $2::text[], $3::int8[], $4::int8[]) AS u(block, key, lsn, settled)"
    " WHERE a.block = u.block AND a.key = u.key AND a.lsn = u.lsn";
static const char sql_purge[] = "DELETE FROM selaras.absent WHERE settled <= $1::int8";

static void pack_row(const struct mapping_block *block, const struct packed_row *row, struct buffer *out)
{
    struct value fields[BLOCK_FIELDS_MAX + ROW_WITNESSES];
    struct item_field kept[BLOCK_FIELDS_MAX];
    uint16_t count = 0;

    row_unpack(row, fields, block->field_count + ROW_WITNESSES);
    for (uint16_t i = 0; i < block->field_count; i++) {
        const char *name = block->fields[i].name;

        if (fields[i].state != VALUE_ABSENT)
            kept[count++] = (struct item_field){ { name, (uint32_t)strlen(name) }, fields[i] };
    }
    effect_pack(OPERATION_DELETE, kept, count, &(struct reason){ 0 }, out);
}

/* As many of the list as one statement takes; where it goes on. `fresh`: as rows to add. */
static const struct absent *queue_some(struct absent_store *store, const struct absent *at, bool fresh)
{
    static const Oid types[5] = { PG_OID_TEXT, PG_OID_TEXT, PG_OID_INT8, PG_OID_INT8, PG_OID_BYTEA };
    struct pg_array columns[5] = { 0 };
    struct pg_parameters parameters = { 0 };
    struct buffer row = { 0 };
    int used = fresh ? 5 : 4;

    for (int i = 0; i < used; i++)
        pg_array_start(&columns[i], types[i]);
    for (int i = 0; i < ROWS_MOST && at && (!fresh || at->fresh); i++, at = fresh ? at->previous : at->next) {
        const struct mapping_block *block = &store->mapping->blocks[at->key->block];

        pg_array_bytes(&columns[0], block->name, strlen(block->name));
        pg_array_bytes(&columns[1], at->key->bytes, at->key->length);
        pg_array_int8(&columns[2], (int64_t)at->lsn);
        pg_array_int8(&columns[3], fresh ? at->since_us : (int64_t)at->settled);
        if (fresh) {
            row.length = 0;
            pack_row(block, at->row, &row);
            pg_array_bytes(&columns[4], row.bytes, row.length);
        } else if (at->settled > store->settled) {
            store->settled = at->settled;
        }
    }
    for (int i = 0; i < used; i++)
        pg_array_parameter(&parameters, &columns[i]);
    pg_statement(store->pg, fresh ? sql_add : sql_settle, true, &parameters);
    for (int i = 0; i < used; i++)
        pg_array_free(&columns[i]);
    buffer_free(&row);
    return at;
}

static void on_kept(void *context, const struct pg_outcome *outcome)
{
    struct absent_store *store = context;

    if (ended(store, outcome))
        store->sink.kept(store->sink.context);
}

void absent_store_keep(struct absent_store *store, const struct absents *absents)
{
    store->asked++;
    pg_statement(store->pg, sql_durable, true, NULL);
    for (const struct absent *at = absents->settled; at;)
        at = queue_some(store, at, false);
    for (const struct absent *at = absents->newest; at && at->fresh;)
        at = queue_some(store, at, true);
    pg_sync(store->pg, on_kept, store);
}

void absent_store_acknowledged(struct absent_store *store, uint64_t lsn)
{
    struct pg_parameters parameters = { 0 };
    struct arena *arena;

    if (store->settled == 0 || lsn < store->settled)
        return;
    arena = arena_new();
    store->settled = 0;
    pg_int8(&parameters, arena, (int64_t)lsn);
    pg_statement(store->pg, sql_purge, true, &parameters);
    pg_sync(store->pg, NULL, NULL);
    arena_free(&arena);
}

void absent_store_forget(struct pg *pg)
{
    pg_statement(pg, "DELETE FROM selaras.absent", true, NULL);
}
