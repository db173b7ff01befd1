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
