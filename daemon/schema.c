/* The broker's schema: made when it is not there, extended by what the catalog has gained, and where the ledger stands.
 * On a connection of its own, blocking: nothing else can be done before. */
#include "audit_sql.h"
#include "daemon/store_read.h"
#include "schema_sql.h"

#include <stdlib.h>
#include <string.h>

enum { SCHEMA_FORMAT = 4 };

static int failed(PGconn *connection, const PGresult *result, const char *what, struct error *err)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *message = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;

    return error_set(err, state ? pg_sqlstate_code(state) : ERR_RETRY, "database: %s: %s%s%s", what,
                     message ? message : PQerrorMessage(connection), state ? ", SQLSTATE " : "", state ? state : "");
}

static void result_clear(PGresult **result)
{
    PQclear(*result);
    *result = NULL;
}

static void connection_finish(PGconn **connection)
{
    PQfinish(*connection);
    *connection = NULL;
}

/* Runs one or more statements without parameters. */
static int run(PGconn *connection, const char *sql, const char *what, struct error *err)
{
    scoped(result_clear) PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);

    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? 0 : failed(connection, result, what, err);
}

static int query(PGconn *connection, const char *sql, int count, const char *const *values, const char *what,
                 PGresult **ret, struct error *err)
{
    PGresult *result = PQexecParams(connection, sql, count, NULL, values, NULL, NULL, 0);

    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        failed(connection, result, what, err);
        PQclear(result);
        return err->code;
    }
    *ret = result;
    return 0;
}

static int schema_create(PGconn *connection, struct error *err)
{
    scoped(result_clear) PGresult *result = NULL;

    if (query(connection, "SELECT pg_catalog.to_regnamespace('selaras') IS NOT NULL", 0, NULL, "looking for the schema",
              &result, err) < 0)
        return err->code;
    if (PQgetvalue(result, 0, 0)[0] == 't')
        return 0;
    if (run(connection, daemon_schema_sql, "creating schema selaras (the broker's role needs CREATE on its database)",
            err) < 0)
        return err->code;
    return 0;
}

/* One column of a record type: added when it is new, refused when its type has changed. */
static int column_keep(PGconn *connection, struct arena *arena, const struct catalog_type *type,
                       const struct catalog_field *field, struct error *err)
{
    scoped(result_clear) PGresult *result = NULL;
    const char *wanted = field_column_type(arena, field);
    const char *values[] = { type->name, field->name };

    if (query(connection,
              "SELECT pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a"
              " WHERE a.attrelid = pg_catalog.to_regclass(pg_catalog.format('selaras.%I', $1::text)) AND a.attname = $2"
              " AND NOT a.attisdropped",
              2, values, "looking at canonical tables", &result, err) < 0)
        return err->code;
    if (PQntuples(result) == 0)
        return run(
            connection,
            arena_printf(arena, "ALTER TABLE selaras.\"%s\" ADD COLUMN \"%s\" %s", type->name, field->name, wanted),
            "adding a column", err);
    if (strcmp(PQgetvalue(result, 0, 0), wanted) != 0)
        return error_set(
            err, ERR_STOP,
            "catalog: %s/%s is %s, but selaras.%s.%s is %s: a field cannot change its type; give it a new name",
            type->name, field->name, wanted, type->name, field->name, PQgetvalue(result, 0, 0));
    return 0;
}

static bool is_ours(const char *column)
{
    return strcmp(column, "number") == 0 || strcmp(column, "exists") == 0 || strcmp(column, "meta") == 0;
}

static bool is_table(const char *name)
{
    static const char *const tables[] = { "state",     "catalog",  "altered", "agency",     "entry", "link",
                                          "debt",      "applied",  "field",   "change_log", "hold",  "held",
                                          "limit_use", "observed", "had",     "told",       NULL };

    for (int i = 0; tables[i]; i++)
        if (strcmp(tables[i], name) == 0)
            return true;
    return false;
}

/* The core keeps identifiers unique; this is the belt to its braces, and what they are looked up by. Deferred, because
 * two records may exchange theirs within one transaction. */
static int identifier_keep(PGconn *connection, struct arena *arena, const struct catalog_type *type,
                           const struct catalog_unit *unit, struct error *err)
{
    const char *columns = "";

    for (uint16_t i = 0; i < unit->field_count; i++)
        columns = arena_printf(arena, "%s%s\"%s\"", columns, i > 0 ? ", " : "", type->fields[unit->fields[i]].name);
    return run(connection,
               arena_printf(arena,
                            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_constraint"
                            " WHERE conname = '%s_%s_once') THEN"
                            " ALTER TABLE selaras.\"%s\" ADD CONSTRAINT \"%s_%s_once\" UNIQUE (%s)"
                            " DEFERRABLE INITIALLY DEFERRED; END IF; END $$",
                            type->name, unit->name, type->name, type->name, unit->name, columns),
               "making an identifier unique", err);
}

static int table_keep(PGconn *connection, struct arena *arena, const struct catalog_type *type, struct error *err)
{
    if (is_table(type->name))
        return error_set(err, ERR_STOP,
                         "catalog: a record type cannot be called %s: a table of the broker has this name", type->name);
    if (run(connection,
            arena_printf(arena,
                         "CREATE TABLE IF NOT EXISTS selaras.\"%s\""
                         " (number bigint PRIMARY KEY, exists boolean NOT NULL, meta bytea NOT NULL)"
                         " WITH (fillfactor = 70)", /* an update stays on its page, and writes no index */
                         type->name),
            "creating a canonical table", err) < 0)
        return err->code;
    for (uint16_t i = 0; i < type->field_count; i++) {
        const struct catalog_field *field = &type->fields[i];

        if (is_ours(field->name))
            return error_set(err, ERR_STOP, "catalog: %s/%s: this name is the broker's own; give the field another",
                             type->name, field->name);
        if (column_keep(connection, arena, type, field, err) < 0)
            return err->code;
    }
    for (uint16_t u = 0; u < type->unit_count; u++)
        if (type->units[u].identifier && identifier_keep(connection, arena, type, &type->units[u], err) < 0)
            return err->code;
    return 0;
}

/* ---- what auditors read: audit.sql ---- */

/* What selaras.field says: names of a catalog are letters, digits and _. */
static const char *fields_sql(struct arena *arena, const struct catalog *catalog)
{
    const char *sql = "DELETE FROM selaras.field";

    for (uint16_t t = 0; t < catalog->type_count; t++)
        for (uint16_t f = 0; f < catalog->types[t].field_count; f++) {
            const struct catalog_field *field = &catalog->types[t].fields[f];

            sql = arena_printf(arena, "%s; INSERT INTO selaras.field VALUES ('%s', '%s', %s, %s)", sql,
                               catalog->types[t].name, field->name, field->personal ? "true" : "false",
                               field->identifier ? "true" : "false");
        }
    return sql;
}

/* What the views were made from, in letters. */
static const char *audit_version(struct arena *arena, const struct catalog *catalog)
{
    const char *all = arena_printf(arena, "%s%s", daemon_audit_sql, fields_sql(arena, catalog));
    uint8_t hash[HASH_BYTES];
    char *hex = arena_alloc(arena, 2 * HASH_BYTES + 1);

    sha256(all, strlen(all), hash);
    for (int i = 0; i < HASH_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    return hex;
}

/* Making a view anew waits for whoever reads it, so that is done only when something has changed. */
static int audit_keep(PGconn *connection, struct arena *arena, const struct catalog *catalog, struct error *err)
{
    const char *version = audit_version(arena, catalog);
    scoped(result_clear) PGresult *result = NULL;

    if (query(connection,
              "SELECT pg_catalog.obj_description(pg_catalog.to_regprocedure('selaras.audit_grants()'), 'pg_proc')", 0,
              NULL, "looking at what auditors read", &result, err) < 0)
        return err->code;
    if (strcmp(PQgetvalue(result, 0, 0), version) != 0 &&
        (run(connection, daemon_audit_sql, "making what auditors read", err) < 0 ||
         run(connection, fields_sql(arena, catalog), "saying what is personal", err) < 0 ||
         run(connection, "SELECT selaras.audit_views()", "making what auditors read", err) < 0 ||
         run(connection, arena_printf(arena, "COMMENT ON FUNCTION selaras.audit_grants() IS '%s'", version),
             "making what auditors read", err) < 0))
        return err->code;
    return run(connection, "SELECT selaras.audit_grants()", "giving auditors their rights", err);
}

static uint64_t number_at(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? 0 : strtoull(PQgetvalue(result, row, column), NULL, 10);
}

static void copy_text(char *ret, size_t size, const PGresult *result, int row, int column)
{
    snprintf(ret, size, "%s", PQgetvalue(result, row, column));
}

/* One row of selaras.agency, in the order of sql_agencies. */
static void agency_read(struct arena *arena, const PGresult *result, int row, struct agency_row *ret)
{
    struct text bytes;
    int at = 0;

    ret->id = (uint16_t)number_at(result, row, at++);
    copy_text(ret->name, sizeof ret->name, result, row, at++);
    ret->enrolled = !PQgetisnull(result, row, at);
    if (ret->enrolled) {
        bytes = pg_result_bytes(arena, result, row, at);
        memcpy(ret->key, bytes.bytes, bytes.length < sizeof ret->key ? bytes.length : sizeof ret->key);
    }
    at++;
    ret->mode = agency_mode_named(PQgetvalue(result, row, at++));
    ret->modes = read_text(arena, result, row, at++);
    ret->state = agency_state_named(PQgetvalue(result, row, at++));
    ret->quarantine = quarantine_named(PQgetvalue(result, row, at++));
    copy_text(ret->reason, sizeof ret->reason, result, row, at++);
    ret->quarantine_entry = number_at(result, row, at++);
    ret->resumes = agency_state_named(PQgetvalue(result, row, at++));
    ret->session = number_at(result, row, at++);
    ret->incarnation = (uint32_t)number_at(result, row, at++);
    ret->restored = PQgetvalue(result, row, at++)[0] == 't';
    ret->lsn = number_at(result, row, at++);
    ret->load_number = (uint32_t)number_at(result, row, at++);
    ret->base = number_at(result, row, at++);
    ret->load = number_at(result, row, at++);
    ret->load_lsn = number_at(result, row, at++);
    ret->since = number_at(result, row, at++);
    copy_text(ret->system, sizeof ret->system, result, row, at++);
    ret->timeline = (uint32_t)number_at(result, row, at++);
    ret->fence.seq = number_at(result, row, at++);
    if (!PQgetisnull(result, row, at)) {
        bytes = pg_result_bytes(arena, result, row, at);
        memcpy(ret->fence.token, bytes.bytes,
               bytes.length < sizeof ret->fence.token ? bytes.length : sizeof ret->fence.token);
    }
    at++;
    ret->applied = number_at(result, row, at++);
    ret->applied_at_us = (int64_t)number_at(result, row, at++);
    ret->changes = number_at(result, row, at++);
    ret->fed = number_at(result, row, at++);
    ret->unrecorded = number_at(result, row, at++);
    if (!PQgetisnull(result, row, at))
        ret->blocks = pg_result_bytes(arena, result, row, at);
    at++;
    copy_text(ret->software, sizeof ret->software, result, row, at++);
    ret->seen_at_us = (int64_t)number_at(result, row, at++);
}

static const char sql_agencies[] =
    "SELECT id, name, key, mode, modes, state, quarantine, reason, quarantine_entry, resumes, session, incarnation, "
    "restored, lsn, "
    "load_number, base, load, load_lsn, since, "
    "system,"
    " timeline, fence_seq, fence_token, applied, (extract(epoch FROM applied_at) * 1000000)::bigint, changes, fed, "
    "unrecorded, blocks,"
    " software, (extract(epoch FROM seen_at) * 1000000)::bigint FROM selaras.agency ORDER BY id";

static int agencies_read(PGconn *connection, struct arena *arena, struct ledger_state *ret, struct error *err)
{
    scoped(result_clear) PGresult *result = NULL;

    if (query(connection, sql_agencies, 0, NULL, "reading agencies", &result, err) < 0)
        return err->code;
    ret->agency_count = (uint32_t)PQntuples(result);
    ret->agencies = arena_array(arena, ret->agency_count, sizeof *ret->agencies);
    for (uint32_t i = 0; i < ret->agency_count; i++)
        agency_read(arena, result, (int)i, &ret->agencies[i]);
    return 0;
}

static const char *text_at(struct arena *arena, const PGresult *result, int row, int column)
{
    return read_text(arena, result, row, column).bytes;
}

static struct text string_text(const char *string)
{
    return (struct text){ string, (uint32_t)strlen(string) };
}

static int debts_read(PGconn *connection, struct arena *arena, struct ledger_state *ret, struct error *err)
{
    scoped(result_clear) PGresult *result = NULL;

    if (query(connection,
              "SELECT agency, record, kind = 'parked', position, entry, block, reason FROM selaras.debt"
              " WHERE settled IS NULL",
              0, NULL, "reading debts", &result, err) < 0)
        return err->code;
    ret->debt_count = (uint32_t)PQntuples(result);
    ret->debts = arena_array(arena, ret->debt_count, sizeof *ret->debts);
    for (uint32_t i = 0; i < ret->debt_count; i++)
        ret->debts[i] = (struct debt){
            .agency = (uint16_t)number_at(result, (int)i, 0),
            .record = number_at(result, (int)i, 1),
            .kind = PQgetvalue(result, (int)i, 2)[0] == 't' ? DEBT_PARKED : DEBT_SKIPPED,
            .position = number_at(result, (int)i, 3),
            .entry = number_at(result, (int)i, 4),
            .block = string_text(text_at(arena, result, (int)i, 5)),
            .reason = string_text(text_at(arena, result, (int)i, 6)),
        };
    return 0;
}

static int altered_read(PGconn *connection, struct arena *arena, struct ledger_state *ret, struct error *err)
{
    scoped(result_clear) PGresult *result = NULL;

    if (query(connection, "SELECT agency, type, record, field, position FROM selaras.altered", 0, NULL,
              "reading what triggers altered", &result, err) < 0)
        return err->code;
    ret->altered_count = (uint32_t)PQntuples(result);
    ret->altered = arena_array(arena, ret->altered_count, sizeof *ret->altered);
    for (uint32_t i = 0; i < ret->altered_count; i++)
        ret->altered[i] = (struct altered_write){
            .agency = (uint16_t)number_at(result, (int)i, 0),
            .type = read_text(arena, result, (int)i, 1).bytes,
            .record = number_at(result, (int)i, 2),
            .field = read_text(arena, result, (int)i, 3).bytes,
            .position = number_at(result, (int)i, 4),
        };
    return 0;
}

static enum hold_cause cause_named(const char *word)
{
    return *word == 'l' ? HOLD_LIMIT : *word == 'd' ? HOLD_DEFECT : *word == 'c' ? HOLD_COLLISION : HOLD_UNKNOWN;
}

static const char sql_holds[] =
    "SELECT h.number, h.agency, h.type, h.unit, h.cause, h.reason, h.entry, (SELECT pg_catalog.count(*) FROM"
    " selaras.held d WHERE d.hold = h.number AND d.settled IS NULL), h.decision, h.decided, h.decided_by, h.ground,"
    " h.selection FROM selaras.hold h WHERE h.closed_at IS NULL ORDER BY h.number";
static const char sql_next_hold[] = "SELECT coalesce(pg_catalog.max(number), 0) + 1 FROM selaras.hold";

static int holds_read(PGconn *connection, struct arena *arena, struct ledger_state *ret, struct error *err)
{
    scoped(result_clear) PGresult *result = NULL;
    scoped(result_clear) PGresult *next = NULL;

    if (query(connection, sql_holds, 0, NULL, "reading holds", &result, err) < 0 ||
        query(connection, sql_next_hold, 0, NULL, "reading holds", &next, err) < 0)
        return err->code;
    ret->next_hold = (uint32_t)number_at(next, 0, 0);
    ret->hold_count = (uint32_t)PQntuples(result);
    ret->holds = arena_array(arena, ret->hold_count, sizeof *ret->holds);
    for (int i = 0; i < (int)ret->hold_count; i++)
        ret->holds[i] = (struct hold_row){
            .number = (uint32_t)number_at(result, i, 0),
            .agency = (uint16_t)number_at(result, i, 1),
            .type = text_at(arena, result, i, 2),
            .unit = text_at(arena, result, i, 3),
            .cause = cause_named(PQgetvalue(result, i, 4)),
            .reason = text_at(arena, result, i, 5),
            .entry = number_at(result, i, 6),
            .changes = (uint32_t)number_at(result, i, 7),
            .decision = PQgetisnull(result, i, 8)                          ? DECISION_NONE
                        : strcmp(PQgetvalue(result, i, 8), "release") == 0 ? DECISION_RELEASE
                                                                           : DECISION_REJECT,
            .decided = number_at(result, i, 9),
            .by = text_at(arena, result, i, 10),
            .ground = text_at(arena, result, i, 11),
            .selection = text_at(arena, result, i, 12),
        };
    return 0;
}

static int uses_read(PGconn *connection, struct arena *arena, struct ledger_state *ret, struct error *err)
{
    scoped(result_clear) PGresult *result = NULL;

    if (query(connection,
              "SELECT agency, type, unit, rule, part, changes FROM selaras.limit_use WHERE until > pg_catalog.now()"
              " ORDER BY part",
              0, NULL, "reading what is limited", &result, err) < 0)
        return err->code;
    ret->use_count = (uint32_t)PQntuples(result);
    ret->uses = arena_array(arena, ret->use_count, sizeof *ret->uses);
    for (int i = 0; i < (int)ret->use_count; i++)
        ret->uses[i] = (struct use_row){
            .agency = (uint16_t)number_at(result, i, 0),
            .type = text_at(arena, result, i, 1),
            .unit = text_at(arena, result, i, 2),
            .rule = text_at(arena, result, i, 3),
            .part = (int64_t)number_at(result, i, 4),
            .changes = number_at(result, i, 5),
        };
    return 0;
}

static const char sql_state[] = "SELECT s.format, s.head, (extract(epoch FROM s.head_time) * 1000000)::bigint, "
                                "s.next_record, s.catalog, c.hash, e.leaf"
                                " FROM selaras.state s LEFT JOIN selaras.catalog c ON c.version = s.catalog"
                                " LEFT JOIN selaras.entry e ON e.position = s.head";

static int state_read(PGconn *connection, struct arena *arena, struct ledger_state *ret, struct error *err)
{
    scoped(result_clear) PGresult *result = NULL;

    if (query(connection, sql_state, 0, NULL, "reading where the ledger stands", &result, err) < 0)
        return err->code;
    if (PQntuples(result) != 1 || number_at(result, 0, 0) != SCHEMA_FORMAT)
        return error_set(err, ERR_STOP,
                         "database: schema selaras is of another format than this broker's (%d): was it made by "
                         "another version?",
                         SCHEMA_FORMAT);
    ret->head = number_at(result, 0, 1);
    ret->opened = ret->head > 0;
    ret->head_time_us = (int64_t)number_at(result, 0, 2);
    ret->next_record = number_at(result, 0, 3);
    ret->catalog_version = (uint32_t)number_at(result, 0, 4);
    if (!PQgetisnull(result, 0, 5)) {
        struct text hash = pg_result_bytes(arena, result, 0, 5);

        memcpy(ret->catalog_hash, hash.bytes, hash.length < HASH_BYTES ? hash.length : HASH_BYTES);
    }
    if (ret->opened && PQgetisnull(result, 0, 6))
        return error_set(err, ERR_STOP,
                         "database: the ledger's last entry is missing: this database was changed or restored in part");
    return 0;
}

int store_prepare(const char *dsn, const struct catalog *catalog, struct arena *arena, struct ledger_state *ret,
                  bool keep, struct error *err)
{
    scoped(connection_finish) PGconn *connection = PQconnectdb(dsn);

    if (PQstatus(connection) != CONNECTION_OK)
        return error_set(err, ERR_RETRY, "database: %s", PQerrorMessage(connection));
    if (run(connection,
            "SET client_min_messages = warning; SET search_path = ''; SET timezone = 'UTC'; SET bytea_output = 'hex'; "
            "BEGIN",
            "starting", err) < 0 ||
        schema_create(connection, err) < 0)
        return err->code;
    for (uint16_t i = 0; i < catalog->type_count; i++)
        if (table_keep(connection, arena, &catalog->types[i], err) < 0)
            return err->code;
    if (keep && audit_keep(connection, arena, catalog, err) < 0)
        return err->code;
    if (state_read(connection, arena, ret, err) < 0 || agencies_read(connection, arena, ret, err) < 0 ||
        debts_read(connection, arena, ret, err) < 0 || altered_read(connection, arena, ret, err) < 0 ||
        holds_read(connection, arena, ret, err) < 0 || uses_read(connection, arena, ret, err) < 0)
        return err->code;
    return run(connection, keep ? "COMMIT" : "ROLLBACK", "preparing the schema", err);
}
