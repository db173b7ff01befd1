#include "agents/postgres/fence.h"

#include "agents/postgres/replication.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT_ROWS = 1000, PRUNE_EVERY = 100 };

struct fences {
    struct loop *loop;
    struct pg *pg;
    const struct driver_options *options;
    struct fence_sink sink;

    char system[64];
    uint32_t timeline;
    struct fence known;
    uint64_t lsn;
    int proving; /* questions on their way: only the last one counts */

    struct loop_source *timer;
    uint32_t written;
    bool writing;
    uint64_t seen_seq, seen_lsn, broker_seq;
    struct pg_array names, oids;
};

static void fail(struct fences *fences, const struct error *err)
{
    fences_rest(fences);
    fences->sink.failed(fences->sink.context, err);
}

/* ---- a row now and then ---- */

static const char sql_row[] =
    "INSERT INTO selaras.fence (seq, token) SELECT coalesce(max(seq), 0) + 1, $1::bytea FROM selaras.fence";
static const char sql_prune[] = "DELETE FROM selaras.fence WHERE seq < $1::int8";

/* Names whose table is no longer the one that is published: the publication follows a table that was renamed away, and
 * then nothing is sent any more, without an error. */
static const char sql_swapped[] =
    "SELECT n.name FROM unnest($1::text[], $2::int8[]) AS n(name, oid)"
    " LEFT JOIN pg_publication_rel r ON r.prrelid = n.oid::oid"
    "  AND r.prpubid = (SELECT oid FROM pg_publication WHERE pubname = 'selaras')"
    " WHERE r.oid IS NULL OR to_regclass(n.name)::oid IS DISTINCT FROM n.oid::oid LIMIT 1";

static void on_written(void *context, const struct pg_outcome *outcome)
{
    struct fences *fences = context;
    struct error err = outcome->err;

    fences->writing = false;
    if (!outcome->ok) {
        if (err.code == ERR_RETRY)
            return; /* the next one will do; a lost connection is told by its owner */
        error_wrap(&err, "writing the fence");
        err.code = ERR_STOP;
        fail(fences, &err);
        return;
    }
    if (PQntuples(outcome->results[0]) > 0) {
        error_set(&err, ERR_STOP,
                  "the name %s is no longer the table that is published (was it renamed, and a new one put in its "
                  "place?), so "
                  "its changes are not seen. Publish the new table (selaras-agent --prepare --apply FILE) and ask the "
                  "broker's "
                  "operator for a re-load",
                  PQgetvalue(outcome->results[0], 0, 0));
        fail(fences, &err);
    }
}

static void write_row(void *context)
{
    struct fences *fences = context;
    struct pg_parameters token = { 0 }, prune = { 0 }, names = { 0 };
    struct arena *arena;
    uint8_t bytes[16];

    if (fences->writing)
        return;
    arena = arena_new();
    fences->writing = true;
    randombytes_buf(bytes, sizeof bytes);
    pg_array_parameter(&names, &fences->names);
    pg_array_parameter(&names, &fences->oids);
    pg_statement(fences->pg, sql_swapped, true, &names);
    pg_bytes(&token, bytes, sizeof bytes);
    pg_statement(fences->pg, sql_row, true, &token);
    if (++fences->written % PRUNE_EVERY == 0 && fences->broker_seq > KEPT_ROWS) {
        pg_int8(&prune, arena, (int64_t)(fences->broker_seq - KEPT_ROWS));
        pg_statement(fences->pg, sql_prune, true, &prune);
    }
    pg_sync(fences->pg, on_written, fences);
    arena_free(&arena);
}

void fences_rest(struct fences *fences)
{
    loop_remove(&fences->timer);
}

/* ---- the proof ---- */

static const char sql_proof[] =
    "SELECT (SELECT system_identifier FROM pg_control_system()), (SELECT timeline_id FROM pg_control_checkpoint()),"
    " pg_current_wal_lsn(), (SELECT token FROM selaras.fence WHERE seq = $2::int8),"
    " (SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = $1::text AND database = "
    "current_database()"
    "  AND plugin = 'pgoutput'),"
    " (SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1::text)";

/* "A person must decide" stands behind each of these doubts. */
static int doubt(struct error *err, const char *what)
{
    return error_set(
        err, ERR_STOP,
        "%s. Its history is in doubt, so nothing is sent from it. A person must decide: ask the broker's operator "
        "for a re-load",
        what);
}

static int check_token(const struct fences *fences, const PGresult *r, struct error *err)
{
    struct arena *arena = arena_new();
    struct text token = { 0 };
    bool same;

    if (!PQgetisnull(r, 0, 3))
        token = pg_result_bytes(arena, r, 0, 3);
    same = token.length == sizeof fences->known.token &&
           memcmp(token.bytes, fences->known.token, sizeof fences->known.token) == 0;
    arena_free(&arena);
    if (same)
        return 0;
    return doubt(err, token.length == 0
                          ? "the database lacks a fence row that the broker has seen: it was restored from a backup"
                          : "the database has another fence row than the broker has seen: it went on from a restored "
                            "or cloned copy");
}

static int check_slot(const struct fences *fences, const PGresult *r, struct error *err)
{
    uint64_t flushed, written;

    if (PQgetisnull(r, 0, 4) || PQgetisnull(r, 0, 5))
        return doubt(err, "its replication slot is gone");
    if (strcmp(PQgetvalue(r, 0, 5), "lost") == 0)
        return doubt(
            err,
            "its replication slot was invalidated, because the agent was away for longer than max_slot_wal_keep_size "
            "allows");
    if (lsn_parse(PQgetvalue(r, 0, 4), &flushed, err) < 0 || lsn_parse(PQgetvalue(r, 0, 2), &written, err) < 0)
        return err->code;
    if (flushed > fences->lsn)
        return doubt(err, "its replication slot is ahead of what the broker has: changes between were never received");
    if (written < fences->lsn)
        return doubt(err, "its log ends before what the broker has received: it was restored or rewound");
    return 0;
}

static int check_proof(const struct fences *fences, const PGresult *r, struct error *err)
{
    if (fences->system[0] && strcmp(fences->system, PQgetvalue(r, 0, 0)) != 0)
        return doubt(err, "the database is another one than the broker knows (its system identifier differs)");
    if (fences->timeline != 0 && (uint32_t)pg_result_int8(r, 0, 1) != fences->timeline)
        return doubt(err, "the database is on another timeline than the broker knows: it was restored or promoted");
    if (check_slot(fences, r, err) < 0)
        return err->code;
    return fences->known.seq > 0 ? check_token(fences, r, err) : 0;
}

static void on_proof(void *context, const struct pg_outcome *outcome)
{
    struct fences *fences = context;
    struct error err = outcome->err;

    if (--fences->proving > 0)
        return;
    if (!outcome->ok) {
        error_wrap(&err, "comparing its history with the broker's");
        if (err.code != ERR_RETRY || pg_up(fences->pg))
            fail(fences, &err);
        return;
    }
    if (check_proof(fences, outcome->results[0], &err) < 0) {
        fail(fences, &err);
        return;
    }
    write_row(fences);
    fences->timer = loop_timer(fences->loop, fences->options->fence_interval_ms, false, write_row, fences);
    fences->sink.proven(fences->sink.context);
}

void fences_prove(struct fences *fences, const struct source *known, uint64_t lsn)
{
    struct pg_parameters parameters = { 0 };
    struct arena *arena = arena_new();
    char slot[64];

    fences_rest(fences);
    snprintf(fences->system, sizeof fences->system, "%.*s", (int)known->system.length,
             known->system.length ? known->system.bytes : "");
    fences->timeline = known->timeline;
    fences->known = known->fence;
    fences->lsn = lsn;
    fences->broker_seq = known->fence.seq;
    fences->seen_lsn = 0;
    fences->proving++;
    snprintf(slot, sizeof slot, "selaras_%s", fences->options->agency);
    pg_text(&parameters, slot);
    pg_int8(&parameters, arena, (int64_t)known->fence.seq);
    pg_statement(fences->pg, sql_proof, true, &parameters);
    pg_sync(fences->pg, on_proof, fences);
    arena_free(&arena);
}

void fences_seen(struct fences *fences, const struct fence *fence, uint64_t lsn)
{
    if (fences->seen_lsn != 0 || fence->seq == 0)
        return; /* the one before it is not acknowledged yet */
    fences->seen_seq = fence->seq;
    fences->seen_lsn = lsn;
}

void fences_acknowledged(struct fences *fences, uint64_t lsn)
{
    if (fences->seen_lsn == 0 || lsn < fences->seen_lsn)
        return;
    fences->broker_seq = fences->seen_seq;
    fences->seen_lsn = 0;
}

struct fences *fences_new(struct loop *loop, struct pg *pg, const struct driver_options *options,
                          const struct inspection *inspection, uint16_t table_count, const struct fence_sink *sink)
{
    struct fences *fences = calloc(1, sizeof *fences);

    if (!fences)
        abort();
    *fences = (struct fences){ .loop = loop, .pg = pg, .options = options, .sink = *sink };
    pg_array_start(&fences->names, PG_OID_TEXT);
    pg_array_start(&fences->oids, PG_OID_INT8);
    for (uint16_t i = 0; i < table_count; i++) {
        pg_array_bytes(&fences->names, inspection->tables[i].name, strlen(inspection->tables[i].name));
        pg_array_int8(&fences->oids, inspection->tables[i].oid);
    }
    return fences;
}

void fences_free(struct fences **fences)
{
    if (!*fences)
        return;
    fences_rest(*fences);
    pg_array_free(&(*fences)->names);
    pg_array_free(&(*fences)->oids);
    free(*fences);
    *fences = NULL;
}
