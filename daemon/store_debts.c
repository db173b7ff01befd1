/* What became of items at the agencies, as a batch writes it. */
#include "daemon/store_write.h"

static const char sql_debts[] =
    "INSERT INTO selaras.debt (agency, record, block, kind, position, entry, reason, opened_at)"
    " SELECT v.agency::smallint, v.record, v.block, v.kind, v.position, v.entry, v.reason, pg_catalog.now()"
    " FROM unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[])"
    " AS v (agency, record, block, kind, position, entry, reason)";

static void write_debts(struct store *store, const struct batch *batch)
{
    struct statement statement = { .store = store };
    struct pg_array *agency = array(&statement, PG_OID_INT4), *record = array(&statement, PG_OID_INT8),
                    *block = array(&statement, PG_OID_TEXT), *kind = array(&statement, PG_OID_TEXT),
                    *position = array(&statement, PG_OID_INT8), *entry = array(&statement, PG_OID_INT8),
                    *reason = array(&statement, PG_OID_TEXT);

    if (batch->writes.debt_count == 0)
        return;
    for (uint32_t i = 0; i < batch->writes.debt_count; i++) {
        const struct debt *debt = &batch->writes.debts[i];

        pg_array_int4(agency, debt->agency);
        pg_array_int8(record, (int64_t)debt->record);
        add_text(block, debt->block);
        add_name(kind, debt->kind == DEBT_PARKED ? "parked" : "skipped");
        pg_array_int8(position, (int64_t)debt->position);
        pg_array_int8(entry, (int64_t)debt->entry);
        add_text(reason, debt->reason);
    }
    run(&statement, sql_debts);
}

static const char sql_lowered[] =
    "UPDATE selaras.debt d SET position = v.position FROM (SELECT agency, entry, pg_catalog.min(position) AS position"
    " FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS u (agency, entry, position) GROUP BY 1, 2) v"
    " WHERE d.agency = v.agency::smallint AND d.entry = v.entry AND d.settled IS NULL";

static void write_lowered(struct store *store, const struct batch *batch)
{
    struct statement statement = { .store = store };
    struct pg_array *agency = array(&statement, PG_OID_INT4), *entry = array(&statement, PG_OID_INT8),
                    *position = array(&statement, PG_OID_INT8);

    if (batch->writes.lowered_count == 0)
        return;
    for (uint32_t i = 0; i < batch->writes.lowered_count; i++) {
        pg_array_int4(agency, batch->writes.lowered[i].agency);
        pg_array_int8(entry, (int64_t)batch->writes.lowered[i].entry);
        pg_array_int8(position, (int64_t)batch->writes.lowered[i].position);
    }
    run(&statement, sql_lowered);
}

static const char sql_settled[] = "UPDATE selaras.debt d SET settled = v.how, settled_at = pg_catalog.now()"
                                  " FROM unnest($1::int[], $2::bigint[], $3::text[]) AS v (agency, entry, how)"
                                  " WHERE d.agency = v.agency::smallint AND d.entry = v.entry AND d.settled IS NULL";

static void write_settled(struct store *store, const struct batch *batch)
{
    struct statement statement = { .store = store };
    struct pg_array *agency = array(&statement, PG_OID_INT4), *entry = array(&statement, PG_OID_INT8),
                    *how = array(&statement, PG_OID_TEXT);

    if (batch->writes.settled_count == 0)
        return;
    for (uint32_t i = 0; i < batch->writes.settled_count; i++) {
        const struct settled_debt *settled = &batch->writes.settled[i];

        pg_array_int4(agency, settled->agency);
        pg_array_int8(entry, (int64_t)settled->entry);
        add_name(how, settled->how);
    }
    run(&statement, sql_settled);
}

/* What was found last of each counts. */
#define ALTERED_LAST                                                                                                   \
    "(SELECT DISTINCT ON (v.agency, v.record, v.field) v.* FROM unnest($1::int[], $2::text[], $3::bigint[], "          \
    "$4::text[], $5::bigint[]) WITH ORDINALITY AS v (agency, type, record, field, position, at)"                       \
    " ORDER BY v.agency, v.record, v.field, v.at DESC) v"
static const char sql_altered_gone[] =
    "DELETE FROM selaras.altered a USING " ALTERED_LAST " WHERE a.record = v.record AND a.agency = v.agency::smallint"
    " AND a.field = v.field";
static const char sql_altered[] = "INSERT INTO selaras.altered (agency, type, record, field, position, since)"
                                  " SELECT v.agency::smallint, v.type, v.record, v.field, v.position, pg_catalog.now()"
                                  " FROM " ALTERED_LAST " WHERE v.position > 0";

static void write_altered(struct store *store, const struct batch *batch, const char *sql)
{
    struct statement statement = { .store = store };
    struct pg_array *agency = array(&statement, PG_OID_INT4), *type = array(&statement, PG_OID_TEXT),
                    *record = array(&statement, PG_OID_INT8), *field = array(&statement, PG_OID_TEXT),
                    *position = array(&statement, PG_OID_INT8);

    if (batch->writes.altered_count == 0)
        return;
    for (uint32_t i = 0; i < batch->writes.altered_count; i++) {
        const struct altered_write *altered = &batch->writes.altered[i];

        pg_array_int4(agency, altered->agency);
        add_name(type, altered->type);
        pg_array_int8(record, (int64_t)altered->record);
        add_name(field, altered->field);
        pg_array_int8(position, (int64_t)altered->position);
    }
    run(&statement, sql);
}

void store_write_debts(struct store *store, const struct batch *batch)
{
    write_debts(store, batch);
    write_lowered(store, batch);
    write_settled(store, batch);
    write_altered(store, batch, sql_altered_gone);
    write_altered(store, batch, sql_altered);
}
