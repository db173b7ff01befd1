#include "cli/query.h"

#include "cli/text.h"
#include "shell/pg.h"
#include "shell/zpl.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMETERS_MAX = 8, FIELDS_MAX = CATALOG_FIELDS_MAX + 1, AGENCIES_MAX = 1024, REPLIES_MAX = 1000 };

struct db {
    PGconn *connection;
};

static void result_clear(PGresult **result)
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

static int query_failed(PGconn *connection, const PGresult *result, struct error *err)
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
    pg_error_set(err, result);
    return error_wrap(err, _("PostgreSQL did not answer a query"));
}

/* Runs one statement whose rows are wanted; text parameters, NULL allowed. */
static int run(PGconn *connection, const char *sql, const char *const *parameters, int count, PGresult **ret,
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
    PGconn *connection;
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

static const char *cell_text(struct arena *arena, const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return NULL;
    return arena_copy(arena, PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

static bool cell_true(const PGresult *result, int row, int column)
{
    return *PQgetvalue(result, row, column) == 't';
}

static int64_t cell_number(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? 0 : pg_result_int8(result, row, column);
}

/* Bytes that may be missing (NULL or none): the return value says whether they are there. */
static bool cell_bytes(struct arena *arena, const PGresult *result, int row, int column, struct text *ret)
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

    if (run(db->connection, sql, NULL, 0, &result, err) < 0)
        return err->code;
    if (PQntuples(result) != 1)
        return error_set(err, ERR_STOP, _("the broker has no catalog in force yet: start selaras-broker once"));
    text = cell_text(arena, result, 0, 0);
    if (zpl_parse(arena, _("catalog in force"), text, strlen(text), &tree, err) < 0)
        return err->code;
    return catalog_build(arena, tree, text, strlen(text), ret, err);
}

/* The statement joins each entry with its fields: as many rows as fields, or one for an entry without any. Bytes come
 * only with the first row of an entry. */
static void entries_read(struct arena *arena, const PGresult *result, struct ledger *ret)
{
    int rows = PQntuples(result);

    ret->entries = arena_array(arena, (size_t)rows + 1, sizeof *ret->entries);
    for (int row = 0; row < rows; row++) {
        feed_position position = (feed_position)cell_number(result, row, 0);
        struct ledger_entry *entry = ret->count ? &ret->entries[ret->count - 1] : NULL;

        if (!entry || entry->position != position) {
            entry = &ret->entries[ret->count++];
            *entry = (struct ledger_entry){
                .position = position,
                .time_us = cell_number(result, row, 1),
                .kind = cell_text(arena, result, row, 2),
                .agency = cell_text(arena, result, row, 3),
                .type = cell_text(arena, result, row, 4),
                .record = (uint64_t)cell_number(result, row, 5),
                .other = (uint64_t)cell_number(result, row, 6),
                .operation = cell_text(arena, result, row, 7),
            };
            entry->has_body = cell_bytes(arena, result, row, 8, &entry->body);
            entry->has_reply = cell_bytes(arena, result, row, 9, &entry->reply);
            entry->fields = arena_array(arena, (size_t)cell_number(result, row, 10) + 1, sizeof *entry->fields);
        }
        if (!PQgetisnull(result, row, 11))
            entry->fields[entry->field_count++] =
                (struct ledger_field){ cell_text(arena, result, row, 11), cell_text(arena, result, row, 12),
                                       cell_text(arena, result, row, 13) };
    }
}

int db_entries(struct db *db, struct arena *arena, const struct ledger_filter *filter, struct ledger *ret,
               struct error *err)
{
    /* One more than wanted, to know whether there are more. */
    static const char sql[] =
        "SELECT e.position, (extract(epoch FROM e.time) * 1000000)::bigint, e.kind, e.agency, e.type, e.record, "
        "e.other,"
        "       e.operation, CASE WHEN f.place IS NULL OR f.place = 1 THEN e.body END,"
        "       CASE WHEN f.place IS NULL OR f.place = 1 THEN e.reply END,"
        "       cardinality(e.fields), f.name, f.verdict, f.rule"
        "  FROM (SELECT * FROM selaras.entry"
        "         WHERE ($1::bigint IS NULL OR record = $1)"
        "           AND ($2::text IS NULL OR agency = $2)"
        "           AND ($3::text IS NULL OR $3 = ANY (verdicts))"
        "           AND ($4::text IS NULL OR kind = $4)"
        "           AND ($5::bigint IS NULL OR time >= timestamptz 'epoch' + $5 * interval '1 microsecond')"
        "           AND ($6::bigint IS NULL OR time < timestamptz 'epoch' + $6 * interval '1 microsecond')"
        "         ORDER BY position DESC LIMIT $7) e"
        "  LEFT JOIN LATERAL unnest(e.fields, e.verdicts, e.rules) WITH ORDINALITY AS f(name, verdict, rule, place) ON "
        "true"
        " ORDER BY e.position, f.place";
    const char *parameters[] = {
        filter->record ? arena_printf(arena, "%" PRIu64, filter->record) : NULL,
        filter->agency,
        filter->verdict,
        filter->kind,
        filter->since ? arena_printf(arena, "%" PRId64, filter->since_us) : NULL,
        filter->until ? arena_printf(arena, "%" PRId64, filter->until_us) : NULL,
        arena_printf(arena, "%d", filter->limit + 1),
    };
    scoped(result_clear) PGresult *result = NULL;

    if (run(db->connection, sql, parameters, 7, &result, err) < 0)
        return err->code;
    *ret = (struct ledger){ 0 };
    entries_read(arena, result, ret);
    if (ret->count > filter->limit) {
        ret->more = true;
        ret->entries++;
        ret->count--;
    }
    return 0;
}

/* A name of the catalog ([a-z][a-z0-9_]*) as an SQL identifier: quoted, since it may be a key word. */
static const char *column_name(struct arena *arena, const char *name)
{
    return arena_printf(arena, "\"%s\"", name);
}

int db_record_find(struct db *db, struct arena *arena, const struct catalog_type *type,
                   const struct catalog_field *field, struct value value, uint64_t *ret, struct error *err)
{
    const char *sql = arena_printf(arena, "SELECT number FROM selaras.%s WHERE %s = $1 ORDER BY number LIMIT 1",
                                   column_name(arena, type->name), column_name(arena, field->name));
    const char *parameters[] = { arena_copy(arena, value.bytes, value.length) };
    scoped(result_clear) PGresult *result = NULL;

    if (run(db->connection, sql, parameters, 1, &result, err) < 0)
        return err->code;
    *ret = PQntuples(result) ? (uint64_t)cell_number(result, 0, 0) : 0;
    return 0;
}

static const char *record_sql(struct arena *arena, const struct catalog_type *type)
{
    const char *columns = "\"exists\"";

    for (int i = 0; i < type->field_count; i++)
        columns = arena_printf(arena, "%s, %s::text", columns, column_name(arena, type->fields[i].name));
    return arena_printf(arena, "SELECT %s FROM selaras.%s WHERE number = $1", columns, column_name(arena, type->name));
}

int db_record(struct db *db, struct arena *arena, const struct catalog_type *type, uint64_t number,
              struct value *values, bool *ret_found, bool *ret_exists, struct error *err)
{
    const char *parameters[] = { arena_printf(arena, "%" PRIu64, number) };
    scoped(result_clear) PGresult *result = NULL;

    if (run(db->connection, record_sql(arena, type), parameters, 1, &result, err) < 0)
        return err->code;
    *ret_found = PQntuples(result);
    if (!*ret_found)
        return 0;
    *ret_exists = cell_true(result, 0, 0);
    for (int i = 0; i < type->field_count; i++) {
        const struct catalog_field *field = &type->fields[i];
        const char *text = cell_text(arena, result, 0, i + 1);

        values[i] = value_null();
        if (text && value_parse(arena, field->type, field->scale, text, strlen(text), &values[i], err) < 0)
            return error_wrap(err, "selaras.%s, %s", type->name, field->name);
    }
    return 0;
}

int db_last_writes(struct db *db, struct arena *arena, uint64_t record, struct last_write **ret, int *ret_count,
                   struct error *err)
{
    static const char sql[] =
        "SELECT w.name, w.position, (extract(epoch FROM e.time) * 1000000)::bigint, e.agency, w.verdict, w.rule, "
        "e.operation, e.body"
        "  FROM (SELECT DISTINCT ON (f.name) f.name, f.verdict, f.rule, e.position"
        "          FROM selaras.entry e, unnest(e.fields, e.verdicts, e.rules) AS f(name, verdict, rule)"
        "         WHERE e.record = $1 AND f.verdict IN ($2, $3) ORDER BY f.name, e.position DESC LIMIT $4) w"
        "  JOIN selaras.entry e ON e.position = w.position ORDER BY w.position, w.name";
    const char *parameters[] = { arena_printf(arena, "%" PRIu64, record), verdict_name(VERDICT_APPLIED),
                                 verdict_name(VERDICT_WON), arena_printf(arena, "%d", 2 * FIELDS_MAX) };
    scoped(result_clear) PGresult *result = NULL;

    if (run(db->connection, sql, parameters, 4, &result, err) < 0)
        return err->code;
    *ret_count = PQntuples(result);
    *ret = arena_array(arena, (size_t)*ret_count + 1, sizeof **ret);
    for (int row = 0; row < *ret_count; row++) {
        (*ret)[row] = (struct last_write){
            .field = cell_text(arena, result, row, 0),
            .position = (feed_position)cell_number(result, row, 1),
            .time_us = cell_number(result, row, 2),
            .agency = cell_text(arena, result, row, 3),
            .verdict = cell_text(arena, result, row, 4),
            .rule = cell_text(arena, result, row, 5),
            .operation = cell_text(arena, result, row, 6),
        };
        (*ret)[row].has_body = cell_bytes(arena, result, row, 7, &(*ret)[row].body);
    }
    return 0;
}

int db_agencies(struct db *db, struct arena *arena, struct agency_row **ret, int *ret_count, struct error *err)
{
    static const char sql[] = "SELECT a.name, a.mode, a.state, a.reason, a.applied, a.load, a.since, a.blocks,"
                              "       (extract(epoch FROM a.seen_at) * 1000000)::bigint"
                              "  FROM selaras.agency a ORDER BY a.name LIMIT $1";
    const char *parameters[] = { arena_printf(arena, "%d", AGENCIES_MAX) };
    scoped(result_clear) PGresult *result = NULL;

    if (run(db->connection, sql, parameters, 1, &result, err) < 0)
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

int db_replies(struct db *db, struct arena *arena, uint64_t record, struct reply_row **ret, int *ret_count,
               struct error *err)
{
    static const char sql[] = "SELECT agency, position, reply FROM selaras.entry WHERE record = $1 AND reply <> ''"
                              " ORDER BY position DESC LIMIT $2";
    const char *parameters[] = { arena_printf(arena, "%" PRIu64, record), arena_printf(arena, "%d", REPLIES_MAX) };
    scoped(result_clear) PGresult *result = NULL;

    if (run(db->connection, sql, parameters, 2, &result, err) < 0)
        return err->code;
    *ret_count = PQntuples(result);
    *ret = arena_array(arena, (size_t)*ret_count + 1, sizeof **ret);
    for (int row = 0; row < *ret_count; row++) {
        (*ret)[row].agency = cell_text(arena, result, row, 0);
        (*ret)[row].position = (feed_position)cell_number(result, row, 1);
        (void)cell_bytes(arena, result, row, 2, &(*ret)[row].reply);
    }
    return 0;
}

int db_applied_at(struct db *db, const char *agency, feed_position position, int64_t *ret_us, struct error *err)
{
    static const char sql[] = "SELECT (extract(epoch FROM p.time) * 1000000)::bigint FROM selaras.applied p JOIN "
                              "selaras.agency a ON a.id = p.agency"
                              " WHERE a.name = $1 AND p.position >= $2 ORDER BY p.position LIMIT 1";
    char number[24];
    const char *parameters[] = { agency, number };
    scoped(result_clear) PGresult *result = NULL;

    snprintf(number, sizeof number, "%" PRIu64, position);
    if (run(db->connection, sql, parameters, 2, &result, err) < 0)
        return err->code;
    *ret_us = PQntuples(result) ? cell_number(result, 0, 0) : 0;
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

    if (run(db->connection, sql, parameters, 3, &result, err) < 0)
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

    if (run(connection, sql, NULL, 0, &result, err) < 0)
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
    PGconn *connection;

    if (connect_to(dsn, _("Is PostgreSQL running there, and is broker/database right?"), &connection, err) < 0)
        return err->code;
    if (rights_read(connection, arena, ret, err) < 0) {
        PQfinish(connection);
        return err->code;
    }
    PQfinish(connection);
    return 0;
}
