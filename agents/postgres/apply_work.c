#include "agents/postgres/apply_work.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A statement is planned once, because planning takes longer than applying one row does. But what is right for the
 * table as it is now may be wrong when it has grown, and nobody may analyse it: from time to time all plans are made
 * anew. */
static void plans_renew(struct apply_work *work)
{
    enum { PLANS_MS = 10 * 1000 };
    int64_t now_ms = loop_monotonic_ms();

    if (now_ms - work->planned_ms < PLANS_MS)
        return;
    work->planned_ms = now_ms;
    pg_statement(work->pg, "DISCARD PLANS", false, NULL);
    pg_sync(work->pg, NULL, NULL);
}

void work_begin(struct apply_work *work, feed_position position)
{
    static const char sql_setup[] = "SELECT pg_replication_origin_xact_setup($1::pg_lsn, now())";
    struct pg_parameters parameters = { 0 };
    char lsn[24];

    plans_renew(work);
    snprintf(lsn, sizeof lsn, "%" PRIX64 "/%" PRIX64, position >> 32, position & UINT32_MAX);
    pg_text(&parameters, lsn);
    pg_statement(work->pg, "BEGIN", false, NULL);
    pg_statement(work->pg, sql_setup, true, &parameters);
}

void work_commit(struct apply_work *work, const struct applied *applied, pg_done *done, void *context)
{
    static const char sql_emit[] = "SELECT pg_logical_emit_message(true, '" APPLIED_PREFIX "', $1::bytea)";
    struct pg_parameters parameters = { 0 };
    struct buffer content = { 0 };

    applied_pack(applied, &content);
    pg_bytes(&parameters, content.bytes, content.length);
    pg_statement(work->pg, sql_emit, true, &parameters);
    pg_statement(work->pg, "COMMIT", false, NULL);
    pg_sync(work->pg, done, context);
    buffer_free(&content);
}

void work_link(struct apply_work *work, const struct made_key *keys, uint32_t count)
{
    static const char sql_link[] =
        "WITH k AS MATERIALIZED (SELECT unnest($1::text[]) AS block, unnest($2::int8[]) AS record, unnest($3::text[]) "
        "AS "
        "key), gone AS (DELETE FROM selaras.link l USING k WHERE k.key = '' AND l.block = k.block AND l.record = "
        "k.record),"
        " given AS (DELETE FROM selaras.link l USING k WHERE k.key <> '' AND l.block = k.block AND l.key = k.key"
        " AND NOT EXISTS (SELECT FROM k AS m WHERE m.block = l.block AND m.record = l.record))"
        " INSERT INTO selaras.link (block, record, key) SELECT k.block, k.record, k.key FROM k WHERE k.key <> ''"
        " ON CONFLICT (block, record) DO UPDATE SET key = EXCLUDED.key";
    struct pg_array columns[3] = { 0 };
    struct pg_parameters parameters = { 0 };

    pg_array_start(&columns[0], PG_OID_TEXT);
    pg_array_start(&columns[1], PG_OID_INT8);
    pg_array_start(&columns[2], PG_OID_TEXT);
    for (uint32_t i = 0; i < count; i++) {
        const char *block = work->mapping->blocks[keys[i].block].name;

        pg_array_bytes(&columns[0], block, strlen(block));
        pg_array_int8(&columns[1], (int64_t)keys[i].record);
        pg_array_bytes(&columns[2], keys[i].key.length > 0 ? keys[i].key.bytes : "", keys[i].key.length);
    }
    for (int i = 0; i < 3; i++)
        pg_array_parameter(&parameters, &columns[i]);
    pg_statement(work->pg, sql_link, true, &parameters);
    for (int i = 0; i < 3; i++)
        pg_array_free(&columns[i]);
}

void work_reset(struct apply_work *work)
{
    pg_statement(work->pg, "SELECT pg_replication_origin_xact_reset()", false, NULL);
    pg_sync(work->pg, NULL, NULL);
}

/* Whatever a trigger does that fails, it fails for the row: PostgreSQL says in the context which function it was in.
 * 21000: two records of one batch claim one row, which one statement cannot do; row by row, one after the other can. */
bool work_refused(const struct pg_outcome *outcome)
{
    bool in_function = outcome->failure && PQresultErrorField(outcome->failure, PG_DIAG_CONTEXT);

    return outcome->err.code == ERR_REJECT || (outcome->err.code == ERR_STOP && in_function) ||
           strcmp(outcome->sqlstate, "21000") == 0;
}

const char *work_reason(struct arena *arena, const struct pg_outcome *outcome)
{
    static const struct {
        int field;
        const char *name;
    } names[] = {
        { PG_DIAG_CONSTRAINT_NAME, "constraint" },
        { PG_DIAG_TABLE_NAME, "table" },
        { PG_DIAG_COLUMN_NAME, "column" },
        { PG_DIAG_DATATYPE_NAME, "type" },
    };
    const char *text = outcome->err.text;

    for (size_t i = 0; outcome->failure && i < sizeof names / sizeof names[0]; i++) {
        const char *name = PQresultErrorField(outcome->failure, names[i].field);

        if (name && name[0])
            text = arena_printf(arena, "%s, %s %s", text, names[i].name, name);
    }
    return arena_copy(arena, text, strlen(text));
}

/* The mapping may have changed since it was parked. */
static void keep_mapped_fields(const struct mapping_block *block, struct item *item)
{
    uint16_t kept = 0;

    for (uint16_t i = 0; i < item->field_count; i++)
        if (mapping_field_named(block, item->fields[i].name) >= 0)
            item->fields[kept++] = item->fields[i];
    item->field_count = kept;
}

int work_parked_read(struct arena *arena, const struct apply_work *work, const PGresult *result, int row,
                     struct net **ret, struct error *err)
{
    struct text effect = pg_result_bytes(arena, result, row, 4);
    struct item item;
    int block;

    if (effect_read(arena, effect.bytes, effect.length, &item, err) < 0) {
        err->code = ERR_STOP;
        return error_wrap(err, "selaras.parked");
    }
    item.block.bytes = arena_copy(arena, PQgetvalue(result, row, 0), (size_t)PQgetlength(result, row, 0));
    item.block.length = (uint32_t)PQgetlength(result, row, 0);
    item.record = (uint64_t)pg_result_int8(result, row, 1);
    item.position = (feed_position)pg_result_int8(result, row, 2);
    item.key.bytes = arena_copy(arena, PQgetvalue(result, row, 3), (size_t)PQgetlength(result, row, 3));
    item.key.length = (uint32_t)PQgetlength(result, row, 3);
    block = mapping_block_named(work->mapping, item.block);
    if (block >= 0)
        keep_mapped_fields(&work->mapping->blocks[block], &item);
    if (net_new(arena, work->mapping, &item, ret, err) < 0)
        return err->code;
    if (item.key.length == 0 && PQnfields(result) > 5 && !PQgetisnull(result, row, 5)) {
        (*ret)->key.bytes = arena_copy(arena, PQgetvalue(result, row, 5), (size_t)PQgetlength(result, row, 5));
        (*ret)->key.length = (uint32_t)PQgetlength(result, row, 5);
        (*ret)->key_of_ours = true;
    }
    return 0;
}
