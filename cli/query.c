#include "cli/query_run.h"

#include "shell/pg.h"
#include "shell/text.h"
#include "shell/zpl.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AGENCIES_MAX = 1024 };

void result_clear(PGresult **result)
{
    PQclear(*result);
    *result = NULL;
}

/* Connection errors come as several lines, one for each address that was tried and then advice: the first is the
 * reason. */
static const char *first_line(struct arena *arena, const char *message)
{
    size_t length = strcspn(message, "\n");

    return arena_copy(arena, message, length);
}

static int connection_failed(PGconn *connection, const char *remedy, struct error *err)
{
    scoped(arena_free) struct arena *arena = arena_new();

    return error_set(err, ERR_STOP, _("cannot connect to PostgreSQL: %s. %s"),
                     first_line(arena, PQerrorMessage(connection)), remedy);
}

static int connection_lost(PGconn *connection, struct error *err)
{
    scoped(arena_free) struct arena *arena = arena_new();

    return error_set(err, ERR_RETRY, _("lost the connection to PostgreSQL: %s. What was shown is not all"),
                     first_line(arena, PQerrorMessage(connection)));
}

/* Connects with the caller's DSN over what we insist on. */
static int connect_to(const char *dsn, const char *remedy, PGconn **ret, struct error *err)
{
    static const char *const keywords[] = { "fallback_application_name", "connect_timeout", "dbname",
                                            "client_encoding",           "options",         NULL };
    const char *const values[] = { "selaras",
                                   "10",
                                   dsn,
                                   "UTF8",
                                   "-c search_path= -c datestyle=ISO -c timezone=UTC -c bytea_output=hex "
                                   "-c statement_timeout=60s -c default_transaction_read_only=on",
                                   NULL };
    PGconn *connection = PQconnectdbParams(keywords, values, 1);

    if (PQstatus(connection) != CONNECTION_OK) {
        int code = connection_failed(connection, remedy, err);

        PQfinish(connection);
        return code;
    }
    *ret = connection;
    return 0;
}

int query_failed(PGconn *connection, const PGresult *result, struct error *err)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (state && !strcmp(state, "42501"))
        return error_set(
            err, ERR_STOP,
            _("%s: role %s may not read the ledger. Ask the database's owner to run: GRANT selaras_reader TO %s; (if "
              "there is no such role: CREATE ROLE selaras_reader; SELECT selaras.audit_grants();)"),
            message, PQuser(connection), PQuser(connection));
    if (state && (!strcmp(state, "42P01") || !strcmp(state, "3F000") || !strcmp(state, "42703")))
        return error_set(
            err, ERR_STOP,
            _("database %s has no ledger that this version reads (%s). Is it the broker's database, and has "
              "selaras-broker run with it? (--database, SELARAS_DATABASE)"),
            PQdb(connection), message);
    if (!state)
        return connection_lost(connection, err);
    pg_error_set(err, result);
    return error_wrap(err, _("PostgreSQL did not answer a query"));
}

int query_run(PGconn *connection, const char *sql, const char *const *parameters, int count, PGresult **ret,
              struct error *err)
{
    scoped(result_clear) PGresult *result = PQexecParams(connection, sql, count, NULL, parameters, NULL, NULL, 0);

    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        return query_failed(connection, result, err);
    *ret = result;
    result = NULL;
    return 0;
}

int db_open(const char *dsn, struct db **ret, struct error *err)
{
    PGconn *connection = NULL;
    struct db *db;

    if (connect_to(dsn,
                   _("Say where the broker's database is with --database \"host=... dbname=... user=...\" or "
                     "SELARAS_DATABASE"),
                   &connection, err) < 0)
        return err->code;
    db = calloc(1, sizeof *db);
    if (!db)
        abort();
    db->connection = connection;
    *ret = db;
    return 0;
}

void db_close(struct db **db)
{
    if (!*db)
        return;
    PQfinish((*db)->connection);
    free(*db);
    *db = NULL;
}

const char *cell_text(struct arena *arena, const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return NULL;
    return arena_copy(arena, PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

bool cell_true(const PGresult *result, int row, int column)
{
    return *PQgetvalue(result, row, column) == 't';
}

int64_t cell_number(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? 0 : pg_result_int8(result, row, column);
}

bool cell_bytes(struct arena *arena, const PGresult *result, int row, int column, struct text *ret)
{
    if (PQgetisnull(result, row, column))
        return false;
    *ret = pg_result_bytes(arena, result, row, column);
    return ret->length > 0;
}

int db_catalog(struct db *db, struct arena *arena, const struct catalog **ret, struct error *err)
{
    static const char sql[] = "SELECT c.text FROM selaras.state s JOIN selaras.catalog c ON c.version = s.catalog";
    scoped(result_clear) PGresult *result = NULL;
    const struct tree *tree;
    const char *text;

    if (query_run(db->connection, sql, NULL, 0, &result, err) < 0)
        return err->code;
    if (PQntuples(result) != 1)
        return error_set(err, ERR_STOP, _("the broker has no catalog in force yet: start selaras-broker once"));
    text = cell_text(arena, result, 0, 0);
    if (zpl_parse(arena, _("catalog in force"), text, strlen(text), &tree, err) < 0)
        return err->code;
    return catalog_build(arena, tree, text, strlen(text), ret, err);
}

int db_agencies(struct db *db, struct arena *arena, struct agency_row **ret, int *ret_count, struct error *err)
{
    static const char sql[] = "SELECT a.name, a.mode, a.state, a.reason, a.applied, a.load, a.since, a.blocks,"
                              "       (extract(epoch FROM a.seen_at) * 1000000)::bigint"
                              "  FROM selaras.agency a ORDER BY a.name LIMIT $1";
    const char *parameters[] = { arena_printf(arena, "%d", AGENCIES_MAX) };
    scoped(result_clear) PGresult *result = NULL;

    if (query_run(db->connection, sql, parameters, 1, &result, err) < 0)
        return err->code;
    *ret_count = PQntuples(result);
    *ret = arena_array(arena, (size_t)*ret_count + 1, sizeof **ret);
    for (int row = 0; row < *ret_count; row++) {
        (*ret)[row] = (struct agency_row){
            .name = cell_text(arena, result, row, 0),
            .mode = cell_text(arena, result, row, 1),
            .state = cell_text(arena, result, row, 2),
            .reason = cell_text(arena, result, row, 3),
            .applied = (feed_position)cell_number(result, row, 4),
            .load = (feed_position)cell_number(result, row, 5),
            .since = (feed_position)cell_number(result, row, 6),
            .seen_us = cell_number(result, row, 8),
        };
        (void)cell_bytes(arena, result, row, 7, &(*ret)[row].blocks);
    }
    return 0;
}

int db_debts(struct db *db, struct arena *arena, uint64_t record, const char *agency, int limit, struct debt_row **ret,
             int *ret_count, struct error *err)
{
    static const char sql[] =
        "SELECT d.number, a.name, d.record, d.block, d.kind, d.position, d.reason, (extract(epoch FROM d.opened_at) * "
        "1000000)::bigint"
        "  FROM selaras.debt d JOIN selaras.agency a ON a.id = d.agency"
        " WHERE d.settled IS NULL AND ($1::bigint IS NULL OR d.record = $1) AND ($2::text IS NULL OR a.name = $2)"
        " ORDER BY d.number LIMIT $3";
    const char *parameters[] = { record ? arena_printf(arena, "%" PRIu64, record) : NULL, agency,
                                 arena_printf(arena, "%d", limit) };
    scoped(result_clear) PGresult *result = NULL;

    if (query_run(db->connection, sql, parameters, 3, &result, err) < 0)
        return err->code;
    *ret_count = PQntuples(result);
    *ret = arena_array(arena, (size_t)*ret_count + 1, sizeof **ret);
    for (int row = 0; row < *ret_count; row++)
        (*ret)[row] = (struct debt_row){
            .number = (uint64_t)cell_number(result, row, 0),
            .agency = cell_text(arena, result, row, 1),
            .record = (uint64_t)cell_number(result, row, 2),
            .block = cell_text(arena, result, row, 3),
            .kind = cell_text(arena, result, row, 4),
            .position = (feed_position)cell_number(result, row, 5),
            .reason = cell_text(arena, result, row, 6),
            .since_us = cell_number(result, row, 7),
        };
    return 0;
}

static int rights_read(PGconn *connection, struct arena *arena, struct db_rights *ret, struct error *err)
{
    /* By the catalogs: to_regclass() fails where the role may not look into the schema. */
    static const char sql[] = "SELECT current_user, current_setting('server_encoding'), t.oid IS NOT NULL,"
                              "       coalesce(has_schema_privilege(t.relnamespace, 'USAGE') AND "
                              "has_table_privilege(t.oid, 'INSERT'), false),"
                              "       has_database_privilege(current_database(), 'CREATE')"
                              "  FROM (VALUES (1)) AS one"
                              "  LEFT JOIN pg_catalog.pg_class t ON t.relname = 'entry' AND t.relnamespace ="
                              "       (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = 'selaras')";
    scoped(result_clear) PGresult *result = NULL;

    if (query_run(connection, sql, NULL, 0, &result, err) < 0)
        return err->code;
    *ret = (struct db_rights){
        .version = PQserverVersion(connection),
        .role = cell_text(arena, result, 0, 0),
        .encoding = cell_text(arena, result, 0, 1),
        .schema = cell_true(result, 0, 2),
        .may_write = cell_true(result, 0, 3),
        .may_create = cell_true(result, 0, 4),
    };
    return 0;
}

int db_rights(const char *dsn, struct arena *arena, struct db_rights *ret, struct error *err)
{
    PGconn *connection = NULL;

    if (connect_to(dsn, _("Is PostgreSQL running there, and is broker/database right?"), &connection, err) < 0)
        return err->code;
    if (rights_read(connection, arena, ret, err) < 0) {
        PQfinish(connection);
        return err->code;
    }
    PQfinish(connection);
    return 0;
}
