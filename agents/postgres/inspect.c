#include "agents/postgres/inspect.h"

#include "agents/postgres/inspect_tables.h"
#include "agents/postgres/warnings.h"
#include "agents/postgres/where_sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct inspect {
    struct pg *pg;
    const struct driver_options *options;
    const struct mapping *mapping;
    inspect_done *done;
    void *context;
    struct inspection *found;
    struct pg_array schemas, tables;
};

const char *quoted(struct arena *arena, const char *name)
{
    char *text = arena_alloc(arena, 2 * strlen(name) + 3), *end = text;

    *end++ = '"';
    for (; *name; name++) {
        if (*name == '"')
            *end++ = '"';
        *end++ = *name;
    }
    *end++ = '"';
    return text;
}

const char *quoted_table(struct arena *arena, const struct mapping_block *block)
{
    return arena_printf(arena, "%s.%s", quoted(arena, block->schema), quoted(arena, block->table));
}

void inspection_free(struct inspection **inspection)
{
    struct arena *arena;

    if (!*inspection)
        return;
    arena = (*inspection)->arena; /* it holds the inspection too */
    arena_free(&arena);
    *inspection = NULL;
}

/* ---- the server ---- */

static const char sql_server[] =
    "SELECT current_setting('server_version_num')::int, current_setting('wal_level'),"
    " current_setting('max_slot_wal_keep_size'), (SELECT system_identifier FROM pg_control_system()),"
    " " TIMELINE_SQL ", pg_is_in_recovery(), current_user,"
    " (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user),"
    " has_function_privilege('pg_replication_origin_session_setup(text)', 'EXECUTE')"
    " AND has_function_privilege('pg_replication_origin_xact_setup(pg_lsn, timestamptz)', 'EXECUTE')"
    " AND has_function_privilege('pg_replication_origin_xact_reset()', 'EXECUTE'),"
    " to_regclass('selaras.agent') IS NOT NULL AND to_regclass('selaras.fence') IS NOT NULL"
    " AND to_regclass('selaras.parked') IS NOT NULL AND to_regclass('selaras.notice') IS NOT NULL"
    " AND to_regclass('selaras.published') IS NOT NULL AND to_regclass('selaras.absent') IS NOT NULL,"
    " (SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate FROM pg_publication WHERE pubname = 'selaras'),"
    " EXISTS (SELECT FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid"
    " WHERE p.pubname = 'selaras' AND r.prrelid = to_regclass('selaras.fence'))";

static int check_server(const struct inspect *inspect, const PGresult *r, struct error *err)
{
    snprintf(inspect->found->system, sizeof inspect->found->system, "%s", PQgetvalue(r, 0, 3));
    inspect->found->timeline = (uint32_t)strtoul(PQgetvalue(r, 0, 4), NULL, 10);
    if (pg_result_int8(r, 0, 0) < 150000)
        return error_set(err, ERR_STOP, "PostgreSQL %s is too old: 15 or later is needed", PQgetvalue(r, 0, 0));
    if (inspect_yes(r, 0, 5))
        return error_set(err, ERR_STOP, "the database is a standby: give the primary's address in agent/database");
    if (strcmp(PQgetvalue(r, 0, 1), "logical") != 0)
        return error_set(err, ERR_STOP,
                         "wal_level is %s, so changes cannot be decoded. Ask the DBA to run: ALTER SYSTEM SET "
                         "wal_level = logical;  and to restart PostgreSQL",
                         PQgetvalue(r, 0, 1));
    if (strcmp(PQgetvalue(r, 0, 2), "-1") == 0 && !inspect->options->allow_unlimited_wal)
        return error_set(
            err, ERR_STOP,
            "max_slot_wal_keep_size is unlimited, so an agent that is away for long would fill the disk. Ask "
            "the DBA to run: ALTER SYSTEM SET max_slot_wal_keep_size = '4GB'; SELECT pg_reload_conf();  (or set "
            "agent/unlimited-wal = yes)");
    if (!inspect_yes(r, 0, 7))
        return error_set(err, ERR_STOP, "role %s may not replicate; %s", PQgetvalue(r, 0, 6), INSPECT_PREPARE);
    if (!inspect_yes(r, 0, 8))
        return error_set(err, ERR_STOP, "role %s may not use replication origins; %s", PQgetvalue(r, 0, 6),
                         INSPECT_PREPARE);
    if (!inspect_yes(r, 0, 9))
        return error_set(err, ERR_STOP, "the schema selaras is not there; %s", INSPECT_PREPARE);
    if (PQgetisnull(r, 0, 10))
        return error_set(err, ERR_STOP, "the publication selaras is not there; %s", INSPECT_PREPARE);
    if (!inspect_yes(r, 0, 10))
        return error_set(err, ERR_STOP,
                         "the publication selaras leaves out some kinds of change. Ask its owner to run: ALTER "
                         "PUBLICATION selaras SET (publish = 'insert, update, delete, truncate');");
    if (!inspect_yes(r, 0, 11))
        return error_set(err, ERR_STOP, "table selaras.fence is not published; %s", INSPECT_PREPARE);
    return 0;
}

/* ---- our own state ---- */

static const char sql_state[] =
    "SELECT a.incarnation, a.applied, a.leaf, f.seq, f.token,"
    " EXISTS (SELECT FROM pg_replication_origin WHERE roname = $1),"
    " (SELECT database FROM pg_replication_slots WHERE slot_name = $1 AND database <> current_database())"
    " FROM selaras.agent a LEFT JOIN (SELECT seq, token FROM selaras.fence ORDER BY seq DESC LIMIT 1) f ON true";

static void copy_bytes(struct arena *arena, const PGresult *result, int column, void *ret, size_t size)
{
    struct text bytes;

    if (PQgetisnull(result, 0, column))
        return;
    bytes = pg_result_bytes(arena, result, 0, column);
    if (bytes.length == size)
        memcpy(ret, bytes.bytes, size);
}

static int check_state(const struct inspect *inspect, const PGresult *r, struct error *err)
{
    struct inspection *found = inspect->found;
    const char *agency = inspect->options->agency;

    if (PQntuples(r) != 1)
        return error_set(err, ERR_STOP, "selaras.agent is empty: drop schema selaras, then %s", INSPECT_PREPARE);
    found->incarnation = (uint32_t)pg_result_int8(r, 0, 0);
    found->applied = (feed_position)pg_result_int8(r, 0, 1);
    copy_bytes(found->arena, r, 2, found->applied_leaf, HASH_BYTES);
    if (!PQgetisnull(r, 0, 3))
        found->fence.seq = (uint64_t)pg_result_int8(r, 0, 3);
    copy_bytes(found->arena, r, 4, found->fence.token, sizeof found->fence.token);
    if (!PQgetisnull(r, 0, 6))
        return error_set(
            err, ERR_STOP,
            "the replication slot selaras_%s is of database %s of the same server, and two databases cannot "
            "be one agency: correct agent/database, or, where this one is a copy that shall be an agency of "
            "its own, drop its schema selaras and give it another name in agent/agency",
            agency, PQgetvalue(r, 0, 6));
    if (!inspect_yes(r, 0, 5))
        return error_set(err, ERR_STOP, "the replication origin selaras_%s is not there; %s", agency, INSPECT_PREPARE);
    return 0;
}

static const char sql_shape[] = "SELECT EXISTS (" INSPECT_MEDDLERS_SQL("$1") "), " INSPECT_SHAPE_SQL("$1");

/* ---- asking ---- */

static void finish(struct inspect *inspect, const struct error *err)
{
    struct inspection *found = inspect->found;

    inspect->found = NULL;
    if (err->code != 0)
        inspection_free(&found);
    inspect->done(inspect->context, found, err);
}

static void on_state(void *context, const struct pg_outcome *outcome)
{
    struct inspect *inspect = context;
    struct error err = outcome->err;

    if (outcome->ok) {
        err = (struct error){ 0 };
        check_state(inspect, outcome->results[0], &err);
        inspect->found->warnings = warnings_read(inspect->found->arena, outcome->results[1]);
        inspect->found->meddled = inspect_yes(outcome->results[2], 0, 0);
        inspect->found->shape = arena_copy(inspect->found->arena, PQgetvalue(outcome->results[2], 0, 1),
                                           (size_t)PQgetlength(outcome->results[2], 0, 1));
    } else {
        error_wrap(&err, "reading schema selaras");
    }
    finish(inspect, &err);
}

static int check_mapped(const struct inspect *inspect, PGresult *const *results, struct error *err)
{
    if (check_server(inspect, results[0], err) < 0)
        return err->code;
    for (uint16_t i = 0; i < inspect->mapping->block_count; i++)
        if (inspect_table(inspect->mapping, inspect->found, i, results[1], results[2], results[3], err) < 0)
            return err->code;
    return 0;
}

static void ask_state(struct inspect *inspect)
{
    struct pg_parameters parameters = { 0 }, tables = { 0 };
    struct pg_array oids = { 0 };
    char slot[64];

    snprintf(slot, sizeof slot, "selaras_%s", inspect->options->agency);
    pg_text(&parameters, slot);
    pg_statement(inspect->pg, sql_state, false, &parameters);
    pg_statement(inspect->pg, warnings_sql, false, &parameters);
    pg_array_start(&oids, PG_OID_INT8);
    for (uint16_t i = 0; i < inspect->mapping->block_count; i++)
        pg_array_int8(&oids, inspect->found->tables[i].oid);
    pg_array_parameter(&tables, &oids);
    pg_statement(inspect->pg, sql_shape, false, &tables);
    pg_array_free(&oids);
    pg_sync(inspect->pg, on_state, inspect);
}

/* A value that the column cannot have, or has in another spelling, would never be met: nothing would belong. */
static void on_spelled(void *context, const struct pg_outcome *outcome)
{
    struct inspect *inspect = context;
    struct error err = outcome->err;

    if (!outcome->ok && err.code == ERR_REJECT)
        err.code = ERR_STOP;
    if (!outcome->ok) {
        error_wrap(&err, "a value below mapping/.../where is none that its column can have");
        finish(inspect, &err);
        return;
    }
    err = (struct error){ 0 };
    if (where_check(inspect->mapping, inspect->found, outcome->results[0], &err) < 0)
        finish(inspect, &err);
    else
        ask_state(inspect);
}

static void on_catalogs(void *context, const struct pg_outcome *outcome)
{
    struct inspect *inspect = context;
    struct error err = outcome->err;
    const char *spellings;

    if (!outcome->ok) {
        error_wrap(&err, "looking at the database");
        finish(inspect, &err);
        return;
    }
    err = (struct error){ 0 };
    if (check_mapped(inspect, outcome->results, &err) < 0) {
        finish(inspect, &err);
        return;
    }
    spellings = where_spellings_sql(inspect->found->arena, inspect->mapping, inspect->found);
    if (!spellings) {
        ask_state(inspect);
        return;
    }
    pg_statement(inspect->pg, spellings, false, NULL);
    pg_sync(inspect->pg, on_spelled, inspect);
}

struct inspect *inspect_start(struct pg *pg, const struct driver_options *options, const struct mapping *mapping,
                              inspect_done *done, void *context)
{
    struct inspect *inspect = calloc(1, sizeof *inspect);
    struct pg_parameters none = { 0 }, names = { 0 };
    struct arena *arena = arena_new();

    if (!inspect)
        abort();
    *inspect = (struct inspect){ .pg = pg, .options = options, .mapping = mapping, .done = done, .context = context };
    inspect->found = arena_alloc(arena, sizeof *inspect->found);
    inspect->found->arena = arena;
    inspect->found->language = options->language;
    inspect->found->tables = arena_array(arena, mapping->block_count, sizeof *inspect->found->tables);
    pg_array_start(&inspect->schemas, PG_OID_TEXT);
    pg_array_start(&inspect->tables, PG_OID_TEXT);
    for (uint16_t i = 0; i < mapping->block_count; i++) {
        pg_array_bytes(&inspect->schemas, mapping->blocks[i].schema, strlen(mapping->blocks[i].schema));
        pg_array_bytes(&inspect->tables, mapping->blocks[i].table, strlen(mapping->blocks[i].table));
    }
    pg_array_parameter(&names, &inspect->schemas);
    pg_array_parameter(&names, &inspect->tables);
    pg_statement(pg, sql_server, false, &none);
    pg_statement(pg, inspect_sql_tables, false, &names);
    pg_statement(pg, inspect_sql_columns, false, &names);
    pg_statement(pg, inspect_sql_indexes, false, &names);
    pg_sync(pg, on_catalogs, inspect);
    return inspect;
}

void inspect_free(struct inspect **inspect)
{
    if (!*inspect)
        return;
    inspection_free(&(*inspect)->found);
    pg_array_free(&(*inspect)->schemas);
    pg_array_free(&(*inspect)->tables);
    free(*inspect);
    *inspect = NULL;
}
