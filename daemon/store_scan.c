/* What the store reads back for a feed: a stretch of the ledger, as one agency is to have it. */
#include "daemon/store_read.h"

#include <string.h>

/* What of an entry goes to the agency $2. */
#define SENDING                                                                                                        \
    "(CASE WHEN e.agency = $2 THEN e.reply WHEN $4::smallint = ANY (e.withheld) THEN NULL ELSE e.effect END)"

/* What concerns the agency after a position, up to where the source transaction of the $3rd item ends; and the leaf
 * there. With fewer found, how far the ledger is. What would come to more than $5 items or $6 bytes ends at the last
 * transaction that fits, or within the first, which is too large itself. */
static const char sql_scan[] =
    "WITH hit AS MATERIALIZED (SELECT e.position, pg_catalog.octet_length(" SENDING ") AS size FROM selaras.entry e"
    "  WHERE e.position > $1 AND " SENDING " IS NOT NULL ORDER BY e.position LIMIT $3),"
    " span AS MATERIALIZED (SELECT pg_catalog.count(*) AS count, pg_catalog.max(position) AS last,"
    "   coalesce(pg_catalog.sum(size), 0) AS bytes FROM hit),"
    " whole AS MATERIALIZED (SELECT CASE WHEN s.count < $3 THEN (SELECT head FROM selaras.state) ELSE"
    "   (SELECT b.position FROM selaras.entry b WHERE b.position >= s.last AND b.position <= s.last + $5 - $3"
    "    AND b.boundary ORDER BY b.position LIMIT 1) END AS position FROM span s),"
    " fitting AS MATERIALIZED (SELECT CASE WHEN w.position IS NOT NULL AND s.bytes +"
    "   (SELECT coalesce(pg_catalog.sum(pg_catalog.octet_length(" SENDING ")), 0) FROM selaras.entry e"
    "     WHERE s.count = $3 AND e.position > s.last AND e.position <= w.position) <= $6 THEN w.position ELSE"
    "   (SELECT coalesce(pg_catalog.max(f.position) FILTER (WHERE f.boundary AND f.bytes <= $6),"
    "      pg_catalog.max(f.position) FILTER (WHERE f.bytes <= $6 OR f.number = 1)) FROM"
    "     (SELECT m.position, m.boundary, pg_catalog.sum(m.size) OVER (ORDER BY m.position) AS bytes,"
    "       pg_catalog.row_number() OVER (ORDER BY m.position) AS number FROM"
    "       (SELECT e.position, e.boundary, pg_catalog.octet_length(" SENDING ") AS size FROM selaras.entry e"
    "         WHERE e.position > $1 AND " SENDING " IS NOT NULL ORDER BY e.position LIMIT $5) m) f)"
    "   END AS position FROM span s, whole w),"
    " last AS MATERIALIZED (SELECT e.position, pg_catalog.sha256('\\x00'::bytea || e.leaf) AS leaf"
    "  FROM selaras.entry e WHERE e.position = (SELECT position FROM fitting))"
    " SELECT last.position, last.leaf, r.position, r.type, r.record, r.block, r.key, r.sending FROM last LEFT JOIN "
    "LATERAL"
    "  (SELECT e.position, e.type, e.record, l.block, l.key, " SENDING " AS sending"
    "   FROM selaras.entry e LEFT JOIN LATERAL (SELECT k.block, k.key FROM selaras.link k WHERE k.record = e.record"
    "    AND k.agency = $4::smallint AND k.since < e.position AND (k.until IS NULL OR k.until >= e.position)"
    "    ORDER BY k.since DESC LIMIT 1) l ON true"
    "   WHERE e.position > $1 AND e.position <= last.position AND " SENDING " IS NOT NULL) r ON true"
    " ORDER BY r.position";

struct scanning {
    struct store *store;
    struct scan *scan;
};

static void take_scan(struct scan *scan, const PGresult *result)
{
    int rows = PQntuples(result);
    struct text leaf = pg_result_bytes(scan->arena, result, 0, 1);

    scan->end = (feed_position)pg_result_int8(result, 0, 0);
    memcpy(scan->leaf, leaf.bytes, HASH_BYTES);
    scan->rows = arena_array(scan->arena, (size_t)rows, sizeof *scan->rows);
    for (int i = 0; i < rows; i++) {
        if (PQgetisnull(result, i, 2))
            continue;
        scan->rows[scan->row_count++] = (struct scan_row){
            .position = (feed_position)pg_result_int8(result, i, 2),
            .type = read_text(scan->arena, result, i, 3),
            .record = (uint64_t)pg_result_int8(result, i, 4),
            .block = read_text(scan->arena, result, i, 5),
            .key = read_text(scan->arena, result, i, 6),
            .sending = pg_result_bytes(scan->arena, result, i, 7),
        };
    }
}

/* ---- what the items refer to ---- */

static const char sql_links[] = "SELECT record, block, key, since, coalesce(until, 0) FROM selaras.link"
                                " WHERE agency = $1::smallint AND record = ANY ($2::int8[])";

static void on_links(void *context, const struct pg_outcome *outcome)
{
    struct scanning *scanning = context;
    struct scan *scan = scanning->scan;
    const PGresult *result;

    if (!outcome->ok) {
        struct store *store = scanning->store;

        arena_free(&scan->arena);
        if (outcome->sqlstate[0])
            store_restart(store, &outcome->err);
        return;
    }
    result = outcome->results[0];
    scan->links = arena_array(scan->arena, (size_t)PQntuples(result) + 1, sizeof *scan->links);
    for (int i = 0; i < PQntuples(result); i++)
        scan->links[scan->link_count++] = (struct link){
            .agency = scan->agency,
            .record = (uint64_t)pg_result_int8(result, i, 0),
            .block = read_text(scan->arena, result, i, 1),
            .key = read_text(scan->arena, result, i, 2),
            .since = (feed_position)pg_result_int8(result, i, 3),
            .until = (feed_position)pg_result_int8(result, i, 4),
        };
    scanning->store->sink.scanned(scanning->store->sink.context, scan);
}

/* The records that one row's item refers to. */
static uint32_t add_referred(const struct scan *scan, const struct scan_row *row, struct pg_array *records)
{
    int index = catalog_type(scan->catalog, row->type.bytes, row->type.length);
    const struct catalog_type *type = index < 0 ? NULL : &scan->catalog->types[index];
    struct item item;
    struct error ignored;
    uint32_t count = 0;

    if (!type || !type->refers ||
        effect_read(scan->arena, row->sending.bytes, row->sending.length, &item, &ignored) < 0)
        return 0;
    for (uint16_t i = 0; i < item.field_count; i++) {
        int field = catalog_field(type, item.fields[i].name.bytes, item.fields[i].name.length);

        if (field < 0 || type->fields[field].type != VALUE_REFERENCE || reference_number(item.fields[i].value) == 0)
            continue;
        pg_array_int8(records, (int64_t)reference_number(item.fields[i].value));
        count++;
    }
    return count;
}

/* How this agency knows what its items refer to. False: they refer to nothing. */
static bool ask_links(struct scanning *scanning)
{
    struct scan *scan = scanning->scan;
    struct pg_array records = { 0 };
    struct pg_parameters parameters = { 0 };
    uint32_t count = 0;

    pg_array_start(&records, PG_OID_INT8);
    for (uint32_t i = 0; i < scan->row_count && scan->catalog; i++)
        count += add_referred(scan, &scan->rows[i], &records);
    if (count > 0) {
        pg_text(&parameters, arena_printf(scan->arena, "%u", scan->agency));
        pg_array_parameter(&parameters, &records);
        pg_statement(scanning->store->reader, sql_links, true, &parameters);
        pg_sync(scanning->store->reader, on_links, scanning);
    }
    pg_array_free(&records);
    return count > 0;
}

static void on_scan(void *context, const struct pg_outcome *outcome)
{
    struct scanning *scanning = context;
    struct store *store = scanning->store;
    struct scan *scan = scanning->scan;

    if (!outcome->ok) {
        arena_free(&scan->arena);
        if (outcome->sqlstate[0])
            store_restart(store, &outcome->err);
        return;
    }
    if (PQntuples(outcome->results[0]) == 0) {
        struct error err;

        error_set(&err, ERR_STOP,
                  "database: the ledger has no entry at its own head: it was changed or restored in part");
        arena_free(&scan->arena);
        store_restart(store, &err);
        return;
    }
    take_scan(scan, outcome->results[0]);
    if (!ask_links(scanning))
        store->sink.scanned(store->sink.context, scan);
}

void store_scan(struct store *store, struct scan *scan)
{
    struct scanning *scanning = arena_alloc(scan->arena, sizeof *scanning);
    struct pg_parameters parameters = { 0 };

    scanning->store = store;
    scanning->scan = scan;
    pg_int8(&parameters, scan->arena, (int64_t)scan->after);
    pg_text(&parameters, scan->agency_name);
    pg_int8(&parameters, scan->arena, scan->limit);
    pg_text(&parameters, arena_printf(scan->arena, "%u", scan->agency));
    pg_int8(&parameters, scan->arena, scan->most);
    pg_int8(&parameters, scan->arena, (int64_t)scan->most_bytes);
    pg_statement(store->reader, sql_scan, true, &parameters);
    pg_sync(store->reader, on_scan, scanning);
}
