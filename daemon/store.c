#include "daemon/store.h"

#include "daemon/store_read.h"
#include "daemon/store_write.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_MS = 1000 };

/* The lock of the one active broker of a database, taken by the connection that writes. */
static const char sql_lock[] = "SELECT pg_catalog.pg_try_advisory_lock(7236292, 1)"; /* "selaras", in a way */

static void reconnect(void *context)
{
    struct store *store = context;

    loop_remove(&store->retry);
    if (!pg_up(store->writer))
        pg_reopen(store->writer);
    if (!pg_up(store->reader))
        pg_reopen(store->reader);
}

static void retry_later(struct store *store)
{
    if (!store->retry)
        store->retry = loop_timer(store->loop, RETRY_MS, true, reconnect, store);
}

/* Says once that everything in flight is void; both connections start anew. */
static void fail(struct store *store, const struct error *err)
{
    bool active = store->active;

    store->active = false;
    if (active || err->code != ERR_RETRY)
        store->sink.failed(store->sink.context, err);
}

/* The connections first: what is open on them is told, while the batch that it belongs to is still there. */
void store_restart(struct store *store, const struct error *err)
{
    const struct error kept = *err;

    if (kept.code == ERR_RETRY) {
        pg_reopen(store->writer);
        pg_reopen(store->reader);
    }
    fail(store, &kept);
}

/* Whether the database refuses what it was given, rather than being away, busy, full or not ours: the same would be
 * refused again, and everything else would not. */
static bool is_refusal(const struct pg_outcome *outcome)
{
    return outcome->err.code == ERR_REJECT || strncmp(outcome->sqlstate, "XX", 2) == 0 ||
           strncmp(outcome->sqlstate, "54", 2) == 0;
}

static void failed_batch(struct store *store, struct batch *batch, const struct pg_outcome *outcome)
{
    if (!outcome->sqlstate[0])
        return; /* on_writer hears of the lost connection */
    if (!is_refusal(outcome)) {
        store_restart(store, &outcome->err);
        return;
    }
    store->partition = 0; /* those that the batch made are gone with it */
    store->sink.refused(store->sink.context, batch, &outcome->err);
}

static void lock_again(void *context);

static void activate(struct store *store)
{
    scoped(arena_free) struct arena *arena = arena_new();
    struct ledger_state state = { 0 };
    struct error err;

    if (store_prepare(store->dsn, store->catalog, arena, &state, true, &err) < 0) {
        store->sink.failed(store->sink.context, &err);
        if (!store->retry && err.code == ERR_RETRY)
            store->retry = loop_timer(store->loop, RETRY_MS, true, lock_again, store);
        return;
    }
    store->active = true;
    store->waited = false;
    store->partition = 0;
    store->sink.ready(store->sink.context, &state);
}

static void on_lock(void *context, const struct pg_outcome *outcome)
{
    struct store *store = context;

    if (!outcome->ok)
        return; /* on_writer hears of the lost connection */
    if (PQgetvalue(outcome->results[0], 0, 0)[0] == 't' && pg_up(store->reader)) {
        activate(store);
        return;
    }
    if (PQgetvalue(outcome->results[0], 0, 0)[0] != 't') {
        if (!store->waited)
            store->sink.waiting(store->sink.context);
        store->waited = true;
    }
    if (!store->retry)
        store->retry = loop_timer(store->loop, RETRY_MS, true, lock_again, store);
}

/* Both connections are up: asks for the lock, now or again. */
static void try_lock(void *context)
{
    struct store *store = context;

    if (store->active || !pg_up(store->writer) || !pg_up(store->reader))
        return; /* the other one calls when it is up, or has failed and set the timer */
    loop_remove(&store->retry);
    pg_statement(store->writer, sql_lock, false, NULL);
    pg_sync(store->writer, on_lock, store);
}

static void lock_again(void *context)
{
    struct store *store = context;

    reconnect(store); /* whatever was lost meanwhile; what is up stays */
    try_lock(store);
}

/* All our statements find rows by keys that arrive as arrays. Each is planned once, and through the index: planning
 * takes longer than a batch of one change does, and a plan that was made while a table was small (all of it is read, at
 * once) would stay until somebody analyses the table. */
static const char sql_plans[] =
    "SELECT pg_catalog.set_config(name, value, false) FROM (VALUES ('plan_cache_mode', 'force_generic_plan'),"
    " ('enable_seqscan', 'off'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'), ('enable_material', 'off'),"
    " ('jit', 'off')) AS s (name, value)";

static void plan_by_keys(struct pg *pg)
{
    pg_statement(pg, sql_plans, false, NULL);
    pg_sync(pg, NULL, NULL);
}

static void on_writer(void *context, bool up, const struct error *err)
{
    struct store *store = context;

    if (up) {
        plan_by_keys(store->writer);
        try_lock(store);
        return;
    }
    pg_reopen(store->reader); /* what it still reads is of the past */
    store->active = false;
    store->sink.failed(store->sink.context, err);
    retry_later(store);
}

static void on_reader(void *context, bool up, const struct error *err)
{
    struct store *store = context;

    if (up) {
        plan_by_keys(store->reader);
        try_lock(store);
        return;
    }
    if (store->active) {
        store->active = false;
        pg_reopen(store->writer); /* one loss, one restart: the state is read again */
        store->sink.failed(store->sink.context, err);
    }
    retry_later(store);
}

struct store *store_open(struct loop *loop, const char *dsn, const struct catalog *catalog,
                         const struct store_sink *sink)
{
    struct store *store = calloc(1, sizeof *store);

    if (!store)
        abort();
    store->loop = loop;
    store->arena = arena_new();
    store->dsn = dsn;
    store->catalog = catalog;
    store->sink = *sink;
    store->types = arena_array(store->arena, catalog->type_count, sizeof *store->types);
    for (uint16_t i = 0; i < catalog->type_count; i++)
        type_sql_make(store->arena, &catalog->types[i], &store->types[i]);
    store->reader = pg_open(loop, dsn, "selaras-broker feed", on_reader, store);
    store->writer = pg_open(loop, dsn, "selaras-broker", on_writer, store);
    return store;
}

void store_close(struct store **store)
{
    struct store *old = *store;

    if (!old)
        return;
    loop_remove(&old->retry);
    pg_close(&old->writer);
    pg_close(&old->reader);
    for (int i = 0; i < STORE_ARRAYS; i++)
        pg_array_free(&old->arrays[i]);
    arena_free(&old->arena);
    free(old);
    *store = NULL;
}

/* ---- lookups ---- */

/* A batch on its way: what the results that come back are. */
enum { RESULTS_MAX = 2 * CATALOG_TYPES_MAX + 8 };
struct lookup {
    struct store *store;
    struct batch *batch;
    int count;
    struct expected {
        enum {
            EXPECT_RECORDS,
            EXPECT_LINKS,
            EXPECT_FILL,
            EXPECT_HAD,
            EXPECT_HAD_TOTAL,
            EXPECT_LEAF,
            EXPECT_SETTLE,
            EXPECT_COUNT,
            EXPECT_REFERERS,
            EXPECT_OBSERVED
        } what;
        uint16_t type;
    } expected[RESULTS_MAX];
};

static void expect(struct lookup *lookup, int what, uint16_t type)
{
    assert(lookup->count < RESULTS_MAX);
    lookup->expected[lookup->count++] = (struct expected){ .what = (unsigned)what, .type = type };
}

static const char sql_leaf[] =
    "SELECT pg_catalog.sha256('\\x00'::bytea || leaf) FROM selaras.entry WHERE position = $1";

/* The three arrays of keys of one type. */
static uint32_t key_arrays(struct store *store, const struct batch *batch, uint16_t type)
{
    struct pg_array *agency = &store->arrays[0], *block = &store->arrays[1], *key = &store->arrays[2];
    uint32_t count = 0;

    pg_array_start(agency, PG_OID_INT4);
    pg_array_start(block, PG_OID_TEXT);
    pg_array_start(key, PG_OID_TEXT);
    for (uint32_t i = 0; i < batch->wanted.key_count; i++) {
        const struct wanted_key *wanted = &batch->wanted.keys[i];

        if (wanted->type != type)
            continue;
        pg_array_int4(agency, wanted->agency);
        pg_array_bytes(block, wanted->block.bytes, wanted->block.length);
        pg_array_bytes(key, wanted->key.bytes, wanted->key.length);
        count++;
    }
    return count;
}

static uint32_t number_array(struct store *store, const struct batch *batch, uint16_t type)
{
    uint32_t count = 0;

    pg_array_start(&store->arrays[3], PG_OID_INT8);
    for (uint32_t i = 0; i < batch->wanted.record_count; i++)
        if (batch->wanted.records[i].type == type) {
            pg_array_int8(&store->arrays[3], (int64_t)batch->wanted.records[i].number);
            count++;
        }
    return count;
}

/* One array for each field of each identifier. */
static uint32_t identifier_arrays(struct store *store, const struct batch *batch, uint16_t type_index)
{
    const struct catalog_type *type = &batch->catalog->types[type_index];
    int at = 4;
    uint32_t count = 0;

    for (uint16_t u = 0; u < type->unit_count; u++) {
        uint16_t fields = type->units[u].identifier ? type->units[u].field_count : 0;

        for (uint16_t f = 0; f < fields; f++, at++) {
            pg_array_start(&store->arrays[at], PG_OID_TEXT);
            for (uint32_t i = 0; i < batch->wanted.identifier_count; i++)
                if (batch->wanted.identifiers[i].type == type_index && batch->wanted.identifiers[i].unit == u) {
                    pg_array_value(&store->arrays[at], batch->wanted.identifiers[i].values[f]);
                    count++;
                }
        }
    }
    return count;
}

static void look_up_type(struct store *store, struct lookup *lookup, uint16_t type)
{
    struct batch *batch = lookup->batch;
    const struct type_sql *sql = &store->types[type];
    struct pg_parameters parameters = { 0 };
    uint32_t keys = key_arrays(store, batch, type);
    uint32_t others = number_array(store, batch, type) + identifier_arrays(store, batch, type);
    const struct lookup_sql *by = others > 0 ? &sql->by_any : &sql->by_key;

    if (keys + others == 0)
        return;
    for (int i = 0; i < (others > 0 ? 4 + sql->identifying_count : 3); i++)
        pg_array_parameter(&parameters, &store->arrays[i]);
    pg_statement(store->writer, by->records, true, &parameters);
    expect(lookup, EXPECT_RECORDS, type);
    pg_statement(store->writer, by->links, true, &parameters);
    expect(lookup, EXPECT_LINKS, type);
}

static void look_up_fill(struct store *store, struct lookup *lookup)
{
    const struct wanted_fill *fill = &lookup->batch->wanted.fill;
    struct pg_parameters parameters = { 0 };
    struct arena *arena = lookup->batch->arena;

    pg_text(&parameters, arena_printf(arena, "%llu", (unsigned long long)fill->after));
    pg_text(&parameters, arena_printf(arena, "%u", fill->agency));
    pg_text(&parameters, arena_printf(arena, "%u", fill->limit));
    pg_statement(store->writer, store->types[fill->type].fill, true, &parameters);
    expect(lookup, EXPECT_FILL, fill->type);
}

static void look_up_missing(struct store *store, struct lookup *lookup)
{
    const struct wanted_had *had = &lookup->batch->wanted.had;
    const struct missing_sql *sql = &store->types[had->type].missing;
    struct pg_parameters page = { 0 }, agency = { 0 };
    struct arena *arena = lookup->batch->arena;

    pg_int8(&page, arena, (int64_t)had->after);
    pg_int8(&page, arena, had->agency);
    pg_int8(&page, arena, had->limit);
    pg_statement(store->writer, sql->rows, true, &page);
    expect(lookup, EXPECT_HAD, had->type);
    pg_statement(store->writer, sql->records, true, &page);
    expect(lookup, EXPECT_RECORDS, had->type);
    pg_statement(store->writer, sql->links, true, &page);
    expect(lookup, EXPECT_LINKS, had->type);
    if (!had->count)
        return;
    pg_int8(&agency, arena, had->agency);
    pg_statement(store->writer, sql->count, true, &agency);
    expect(lookup, EXPECT_HAD_TOTAL, had->type);
}

static const char sql_observed[] =
    "SELECT o.agency, o.block, o.key, o.body FROM (SELECT DISTINCT w.agency::smallint AS agency, w.block, w.key"
    " FROM unnest($1::int[], $2::text[], $3::text[]) AS w (agency, block, key)) AS w"
    " JOIN selaras.observed o ON o.agency = w.agency AND o.block = w.block AND o.key = w.key";

static void look_up_observed(struct store *store, struct lookup *lookup)
{
    const struct wanted *wanted = &lookup->batch->wanted;
    struct pg_array *agency = &store->arrays[0], *block = &store->arrays[1], *key = &store->arrays[2];
    struct pg_parameters parameters = { 0 };

    pg_array_start(agency, PG_OID_INT4);
    pg_array_start(block, PG_OID_TEXT);
    pg_array_start(key, PG_OID_TEXT);
    for (uint32_t i = 0; i < wanted->observed_count; i++) {
        pg_array_int4(agency, wanted->observed[i].agency);
        pg_array_bytes(block, wanted->observed[i].block.bytes, wanted->observed[i].block.length);
        pg_array_bytes(key, wanted->observed[i].key.bytes, wanted->observed[i].key.length);
    }
    for (int i = 0; i < 3; i++)
        pg_array_parameter(&parameters, &store->arrays[i]);
    pg_statement(store->writer, sql_observed, true, &parameters);
    expect(lookup, EXPECT_OBSERVED, 0);
}

static const char sql_page[] = "SELECT agency, block, key, body FROM selaras.observed WHERE agency = $1 AND block = $2"
                               " AND key > $3 ORDER BY key LIMIT $4";

static void look_up_page(struct store *store, struct lookup *lookup)
{
    const struct wanted_page *page = &lookup->batch->wanted.page;
    struct pg_parameters parameters = { 0 };
    struct arena *arena = lookup->batch->arena;

    pg_int8(&parameters, arena, page->agency);
    pg_text(&parameters, arena_copy(arena, page->block.bytes, page->block.length));
    pg_text(&parameters, arena_copy(arena, page->after.bytes, page->after.length));
    pg_int8(&parameters, arena, page->limit);
    pg_statement(store->writer, sql_page, true, &parameters);
    expect(lookup, EXPECT_OBSERVED, 0);
}

/* By their numbers, a part at a time. */
static const char sql_settle[] =
    "SELECT DISTINCT record FROM selaras.held WHERE hold = $1 AND settled IS NULL AND entry < $2 AND record > $3"
    " AND ($4 = '' OR record <@ nullif($4, '')::int8multirange) ORDER BY record LIMIT $5";
static const char sql_count[] =
    "SELECT pg_catalog.count(*) FROM selaras.link WHERE agency = $1 AND block = ANY ($2::text[])"
    " AND until IS NULL";

static void look_up_settle(struct store *store, struct lookup *lookup)
{
    const struct wanted_settle *settle = &lookup->batch->wanted.settle;
    struct pg_parameters parameters = { 0 };
    struct arena *arena = lookup->batch->arena;

    pg_int8(&parameters, arena, settle->hold);
    pg_int8(&parameters, arena, (int64_t)settle->before);
    pg_int8(&parameters, arena, (int64_t)settle->after);
    pg_text(&parameters, settle->selection);
    pg_int8(&parameters, arena, settle->limit);
    pg_statement(store->writer, sql_settle, true, &parameters);
    expect(lookup, EXPECT_SETTLE, 0);
}

static void look_up_referers(struct store *store, struct lookup *lookup)
{
    const struct catalog *catalog = lookup->batch->catalog;
    struct arena *arena = lookup->batch->arena;
    struct pg_parameters parameters = { 0 };
    const char *sql = "";

    pg_array_start(&store->arrays[0], PG_OID_INT8);
    for (uint32_t i = 0; i < lookup->batch->wanted.referred_count; i++)
        pg_array_int8(&store->arrays[0], (int64_t)lookup->batch->wanted.referred[i]);
    for (uint16_t t = 0; t < catalog->type_count; t++)
        for (uint16_t f = 0; f < catalog->types[t].field_count; f++)
            if (catalog->types[t].fields[f].type == VALUE_REFERENCE)
                sql = arena_printf(
                    arena, "%s%sSELECT %u AS type, number FROM selaras.\"%s\" WHERE \"%s\" = ANY ($1::bigint[])", sql,
                    *sql ? " UNION " : "", t, catalog->types[t].name, catalog->types[t].fields[f].name);
    pg_array_parameter(&parameters, &store->arrays[0]);
    pg_statement(store->writer, arena_printf(arena, "%s LIMIT %d", sql, REFERERS_MOST + 1), false, &parameters);
    expect(lookup, EXPECT_REFERERS, 0);
}

static void look_up_count(struct store *store, struct lookup *lookup)
{
    const struct wanted_count *count = &lookup->batch->wanted.count;
    struct pg_parameters parameters = { 0 };
    struct arena *arena = lookup->batch->arena;

    pg_text(&parameters, arena_printf(arena, "%u", count->agency));
    pg_text(&parameters, count->blocks);
    pg_statement(store->writer, sql_count, true, &parameters);
    expect(lookup, EXPECT_COUNT, 0);
}

static void take_settles(struct batch *batch, const PGresult *result)
{
    batch->found.settle_count = (uint32_t)PQntuples(result);
    batch->found.settles = arena_array(batch->arena, batch->found.settle_count, sizeof *batch->found.settles);
    for (uint32_t i = 0; i < batch->found.settle_count; i++)
        batch->found.settles[i] = (uint64_t)pg_result_int8(result, (int)i, 0);
}

static void take_referers(struct batch *batch, const PGresult *result)
{
    struct found *found = &batch->found;

    found->referer_count = (uint32_t)PQntuples(result);
    found->referers = arena_array(batch->arena, found->referer_count, sizeof *found->referers);
    for (uint32_t i = 0; i < found->referer_count; i++)
        found->referers[i] = (struct wanted_record){ .type = (uint16_t)pg_result_int8(result, (int)i, 0),
                                                     .number = (uint64_t)pg_result_int8(result, (int)i, 1) };
}

static int take_result(struct lookup *lookup, const struct expected *expected, const PGresult *result,
                       struct error *err)
{
    struct batch *batch = lookup->batch;
    struct text hash;

    switch (expected->what) {
    case EXPECT_RECORDS:
        return read_records(batch, &batch->catalog->types[expected->type], result, err);
    case EXPECT_FILL:
        batch->found.fill_rows = (uint32_t)PQntuples(result);
        if (batch->found.fill_rows > 0)
            batch->found.fill_last = (uint64_t)pg_result_int8(result, PQntuples(result) - 1, 0);
        return read_records(batch, &batch->catalog->types[expected->type], result, err);
    case EXPECT_HAD:
        read_had(batch->arena, result, &batch->found);
        return 0;
    case EXPECT_HAD_TOTAL:
        batch->found.had_total = (uint64_t)pg_result_int8(result, 0, 0);
        return 0;
    case EXPECT_LINKS:
        read_links(batch->arena, result, &batch->found.links, &batch->found.link_count);
        return 0;
    case EXPECT_SETTLE:
        take_settles(batch, result);
        return 0;
    case EXPECT_OBSERVED:
        read_observed(batch->arena, result, &batch->found.observed, &batch->found.observed_count);
        return 0;
    case EXPECT_REFERERS:
        take_referers(batch, result);
        return 0;
    case EXPECT_COUNT:
        batch->found.count = (uint64_t)pg_result_int8(result, 0, 0);
        return 0;
    case EXPECT_LEAF:
        batch->found.leaf_known = PQntuples(result) == 1;
        if (batch->found.leaf_known) {
            hash = pg_result_bytes(batch->arena, result, 0, 0);
            memcpy(batch->found.leaf, hash.bytes, HASH_BYTES);
        }
        return 0;
    }
    return 0;
}

static void on_lookup(void *context, const struct pg_outcome *outcome)
{
    struct lookup *lookup = context;
    struct store *store = lookup->store;
    struct error err;

    if (!outcome->ok) {
        failed_batch(store, lookup->batch, outcome);
        return;
    }
    for (int i = 0; i < lookup->count; i++)
        if (take_result(lookup, &lookup->expected[i], outcome->results[i], &err) < 0) {
            store_restart(store, &err);
            return;
        }
    store->sink.found(store->sink.context, lookup->batch);
}

void store_lookup(struct store *store, struct batch *batch)
{
    struct lookup *lookup = arena_alloc(batch->arena, sizeof *lookup);

    lookup->store = store;
    lookup->batch = batch;
    for (uint16_t i = 0; i < batch->catalog->type_count; i++)
        look_up_type(store, lookup, i);
    if (batch->wanted.page.limit > 0)
        look_up_page(store, lookup);
    if (batch->wanted.observed_count > 0)
        look_up_observed(store, lookup);
    if (batch->wanted.fill.limit > 0)
        look_up_fill(store, lookup);
    if (batch->wanted.had.limit > 0)
        look_up_missing(store, lookup);
    if (batch->wanted.settle.hold > 0)
        look_up_settle(store, lookup);
    if (batch->wanted.count.agency > 0)
        look_up_count(store, lookup);
    if (batch->wanted.referred_count > 0)
        look_up_referers(store, lookup);
    if (batch->wanted.leaf > 0) {
        struct pg_parameters leaf = { 0 };

        pg_int8(&leaf, batch->arena, (int64_t)batch->wanted.leaf);
        pg_statement(store->writer, sql_leaf, true, &leaf);
        expect(lookup, EXPECT_LEAF, 0);
    }
    pg_sync(store->writer, on_lookup, lookup);
}

/* ---- writes ---- */

struct writing {
    struct store *store;
    struct batch *batch;
};

static void on_written(void *context, const struct pg_outcome *outcome)
{
    struct writing *writing = context;
    struct store *store = writing->store;

    if (outcome->ok)
        store->sink.stored(store->sink.context, writing->batch);
    else
        failed_batch(store, writing->batch, outcome);
}

void store_write(struct store *store, struct batch *batch)
{
    struct writing *writing = arena_alloc(batch->arena, sizeof *writing);

    writing->store = store;
    writing->batch = batch;
    store_write_batch(store, batch);
    pg_sync(store->writer, on_written, writing);
}
