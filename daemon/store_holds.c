/* What waits for a person, and how much of what is limited was done, as a batch writes it. */
#include "daemon/store_write.h"

#include <string.h>

static const char sql_holds[] =
    "INSERT INTO selaras.hold AS h (number, agency, type, unit, cause, reason, entry, opened_at, decision, decided,"
    " decided_by, ground, selection, closed_at)"
    " SELECT v.number, v.agency::smallint, v.type, v.unit, v.cause, v.reason, v.entry, pg_catalog.now(), v.decision,"
    " v.decided, v.decided_by, v.ground, v.selection, CASE WHEN v.closed THEN pg_catalog.now() END"
    " FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[],"
    " $9::bigint[], $10::text[], $11::text[], $12::text[], $13::boolean[])"
    " AS v (number, agency, type, unit, cause, reason, entry, decision, decided, decided_by, ground, selection, closed)"
    " ON CONFLICT (number) DO UPDATE SET decision = excluded.decision, decided = excluded.decided,"
    " decided_by = excluded.decided_by, ground = excluded.ground, selection = excluded.selection,"
    " closed_at = excluded.closed_at";

static const char *const cause_words[HOLD_CAUSE_COUNT] = {
    [HOLD_LIMIT] = "limit",
    [HOLD_DEFECT] = "defect",
    [HOLD_UNKNOWN] = "unknown",
    [HOLD_COLLISION] = "collision",
};
static const char *const decision_words[DECISION_COUNT] = {
    [DECISION_RELEASE] = "release",
    [DECISION_REJECT] = "reject",
};

static void add_word(struct pg_array *array, const char *word)
{
    if (word)
        pg_array_bytes(array, word, strlen(word));
    else
        pg_array_null(array);
}

/* The store's arrays from the first on, each of the element that stands there. */
static struct pg_array *arrays_start(struct store *store, const Oid *elements, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pg_array_start(&store->arrays[i], elements[i]);
    return store->arrays;
}

static void arrays_run(struct store *store, size_t count, const char *sql)
{
    struct pg_parameters parameters = { 0 };

    for (size_t i = 0; i < count; i++)
        pg_array_parameter(&parameters, &store->arrays[i]);
    pg_statement(store->writer, sql, true, &parameters);
}

static void write_holds(struct store *store, const struct writes *writes)
{
    static const Oid elements[] = { PG_OID_INT8, PG_OID_INT4, PG_OID_TEXT, PG_OID_TEXT, PG_OID_TEXT,
                                    PG_OID_TEXT, PG_OID_INT8, PG_OID_TEXT, PG_OID_INT8, PG_OID_TEXT,
                                    PG_OID_TEXT, PG_OID_TEXT, PG_OID_BOOL };
    enum { COUNT = sizeof elements / sizeof elements[0] };
    struct pg_array *to = arrays_start(store, elements, COUNT);

    for (uint32_t i = 0; i < writes->hold_count; i++) {
        const struct hold_row *row = &writes->holds[i];

        pg_array_int8(&to[0], row->number);
        pg_array_int4(&to[1], row->agency);
        add_word(&to[2], row->type);
        add_word(&to[3], row->unit);
        add_word(&to[4], cause_words[row->cause]);
        add_word(&to[5], row->reason);
        pg_array_int8(&to[6], (int64_t)row->entry);
        add_word(&to[7], decision_words[row->decision]);
        pg_array_int8(&to[8], (int64_t)row->decided);
        add_word(&to[9], row->by);
        add_word(&to[10], row->ground);
        add_word(&to[11], row->selection);
        pg_array_bool(&to[12], row->closed);
    }
    if (writes->hold_count > 0)
        arrays_run(store, COUNT, sql_holds);
}

static const char sql_helds[] =
    "INSERT INTO selaras.held AS h (hold, record, unit, operation, entry, settled, settled_entry, others)"
    " SELECT v.hold, v.record, v.unit, v.operation, v.entry, v.how, CASE WHEN v.how IS NULL THEN 0 ELSE v.entry END,"
    " pg_catalog.array_remove(ARRAY[v.other, v.another], 0)"
    " FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[],"
    " $8::bigint[]) AS v (hold, record, unit, operation, entry, how, other, another)"
    " ON CONFLICT (hold, record, unit) DO UPDATE SET operation = excluded.operation, others = excluded.others,"
    " entry = CASE WHEN excluded.settled IS NULL THEN excluded.entry ELSE h.entry END,"
    " settled = excluded.settled, settled_entry = excluded.settled_entry";

static void write_helds(struct store *store, const struct writes *writes)
{
    static const Oid elements[] = { PG_OID_INT8, PG_OID_INT8, PG_OID_TEXT, PG_OID_TEXT,
                                    PG_OID_INT8, PG_OID_TEXT, PG_OID_INT8, PG_OID_INT8 };
    enum { COUNT = sizeof elements / sizeof elements[0] };
    struct pg_array *to = arrays_start(store, elements, COUNT);

    for (uint32_t i = 0; i < writes->held_count; i++) {
        const struct held_write *held = &writes->helds[i];

        pg_array_int8(&to[0], held->hold);
        pg_array_int8(&to[1], (int64_t)held->record);
        add_word(&to[2], held->unit);
        add_word(&to[3], operation_name(held->operation));
        pg_array_int8(&to[4], (int64_t)held->entry);
        add_word(&to[5], held->how);
        pg_array_int8(&to[6], (int64_t)held->others[0]);
        pg_array_int8(&to[7], (int64_t)held->others[1]);
    }
    if (writes->held_count > 0)
        arrays_run(store, COUNT, sql_helds);
}

static const char sql_uses[] =
    "INSERT INTO selaras.limit_use (agency, type, unit, rule, part, changes, until)"
    " SELECT v.agency::smallint, v.type, v.unit, v.rule, v.part, v.changes, v.until"
    " FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::timestamptz[])"
    " AS v (agency, type, unit, rule, part, changes, until)"
    " ON CONFLICT (agency, type, unit, rule, part) DO UPDATE SET changes = excluded.changes";
/* What counts no more goes when something is added. */
static const char sql_uses_over[] =
    "DELETE FROM selaras.limit_use u USING unnest($1::int[], $2::text[], $3::text[], $4::text[])"
    " AS v (agency, type, unit, rule) WHERE u.agency = v.agency::smallint AND u.type = v.type AND u.unit = v.unit"
    " AND u.rule = v.rule AND u.until <= pg_catalog.now()";

static void write_uses(struct store *store, const struct writes *writes)
{
    static const Oid elements[] = { PG_OID_INT4, PG_OID_TEXT, PG_OID_TEXT,       PG_OID_TEXT,
                                    PG_OID_INT8, PG_OID_INT8, PG_OID_TIMESTAMPTZ };
    enum { COUNT = sizeof elements / sizeof elements[0], KEYS = 4 };
    struct pg_array *to = arrays_start(store, elements, COUNT);

    for (uint32_t i = 0; i < writes->use_count; i++) {
        const struct use_row *use = &writes->uses[i];

        pg_array_int4(&to[0], use->agency);
        add_word(&to[1], use->type);
        add_word(&to[2], use->unit);
        add_word(&to[3], use->rule);
        pg_array_int8(&to[4], use->part);
        pg_array_int8(&to[5], (int64_t)use->changes);
        pg_array_time(&to[6], use->until_us);
    }
    if (writes->use_count == 0)
        return;
    arrays_run(store, COUNT, sql_uses);
    arrays_run(store, KEYS, sql_uses_over);
}

void store_write_holds(struct store *store, const struct batch *batch)
{
    write_holds(store, &batch->writes);
    write_helds(store, &batch->writes);
    write_uses(store, &batch->writes);
}
