#include "agents/postgres/prepare.h"

#include "agents/postgres/inspect.h"
#include "agents/postgres/schema_sql.h"
#include "shell/pg_connect.h"

#include <stdlib.h>
#include <string.h>

struct preparation {
    const struct prepare_options *options;
    const struct mapping *mapping;
    struct arena *arena;
    PGconn *conn;
    const char *role; /* the agent's */
    FILE *script;     /* what is missing, as SQL */
    FILE *out;
    struct error *err;
};

static void finish_connection(PGconn **conn)
{
    PQfinish(*conn);
    *conn = NULL;
}

static void clear_result(PGresult **result)
{
    PQclear(*result);
    *result = NULL;
}

static int failed(const struct preparation *p, const PGresult *result, const char *doing)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *hint = "";

    if (sqlstate && strcmp(sqlstate, "42501") == 0)
        hint = ". The role may not do that: give a DBA's connection with --dsn, or hand the SQL to the DBA";
    return error_set(p->err, ERR_STOP, "%s: %s%s", doing, message ? message : PQerrorMessage(p->conn), hint);
}

/* One row of one column for two text parameters, "" for NULL; or NULL and an error. In the preparation's arena. */
static const char *ask(const struct preparation *p, const char *sql, const char *first, const char *second)
{
    const char *values[2] = { first, second };
    scoped(clear_result) PGresult *result = PQexecParams(p->conn, sql,
                                                         second  ? 2
                                                         : first ? 1
                                                                 : 0,
                                                         NULL, values, NULL, NULL, 0);

    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        failed(p, result, "looking at the database");
        return NULL;
    }
    if (PQntuples(result) == 0)
        return "";
    return arena_copy(p->arena, PQgetvalue(result, 0, 0), (size_t)PQgetlength(result, 0, 0));
}

static bool is_yes(const char *answer)
{
    return answer[0] == 't';
}

/* ---- what may be missing, one function each ---- */

static int missing_schema(struct preparation *p)
{
    const char *there = ask(p, "SELECT to_regnamespace('selaras') IS NOT NULL", NULL, NULL);

    if (!there)
        return p->err->code;
    if (!is_yes(there))
        fprintf(p->script, "%s\n", agent_schema_sql);
    return 0;
}

static int missing_identity(struct preparation *p)
{
    static const char sql[] =
        "SELECT string_agg(format('ALTER TABLE %I.%I REPLICA IDENTITY FULL;', n.nspname, c.relname), E'\\n' ORDER BY "
        "c.oid)"
        " FROM pg_namespace s JOIN pg_class r ON r.relnamespace = s.oid AND r.relname = $2"
        " CROSS JOIN LATERAL (SELECT r.oid AS relid UNION SELECT relid FROM pg_partition_tree(r.oid)) t"
        " JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE s.nspname = $1 AND c.relkind IN ('r', 'p') AND c.relreplident <> 'f'";

    for (uint16_t i = 0; i < p->mapping->block_count; i++) {
        const struct mapping_block *block = &p->mapping->blocks[i];
        const char *there = ask(p, "SELECT to_regclass($1) IS NOT NULL", quoted_table(p->arena, block), NULL);
        const char *statements = there ? ask(p, sql, block->schema, block->table) : NULL;

        if (!statements)
            return p->err->code;
        if (!is_yes(there))
            return error_set(p->err, ERR_STOP, "table %s.%s does not exist: correct mapping/%s/table", block->schema,
                             block->table, block->name);
        if (statements[0])
            fprintf(p->script, "-- Old values must be in the log: %s.%s\n%s\n", block->schema, block->table,
                    statements);
    }
    return 0;
}

/* Not what the agent may make by itself: whose rows are unique is for the table's owner to say. */
static int check_keys(struct preparation *p)
{
    int code = 0;

    for (uint16_t i = 0; i < p->mapping->block_count && code == 0; i++) {
        const struct mapping_block *block = &p->mapping->blocks[i];
        const char *names[2] = { arena_printf(p->arena, "{%s}", quoted(p->arena, block->schema)),
                                 arena_printf(p->arena, "{%s}", quoted(p->arena, block->table)) };
        scoped(clear_result) PGresult *indexes =
            PQexecParams(p->conn, inspect_sql_indexes, 2, NULL, names, NULL, NULL, 0);

        if (PQresultStatus(indexes) != PGRES_TUPLES_OK)
            return failed(p, indexes, "looking at the database");
        code = inspect_key(p->arena, block, 0, indexes, p->err);
    }
    return code;
}

/* Two blocks may map one table: it is published once. */
static bool mapped_before(const struct mapping *mapping, uint16_t index)
{
    for (uint16_t i = 0; i < index; i++)
        if (strcmp(mapping->blocks[i].schema, mapping->blocks[index].schema) == 0 &&
            strcmp(mapping->blocks[i].table, mapping->blocks[index].table) == 0)
            return true;
    return false;
}

static void create_publication(struct preparation *p)
{
    fputs("CREATE PUBLICATION selaras FOR TABLE selaras.fence", p->script);
    for (uint16_t i = 0; i < p->mapping->block_count; i++)
        if (!mapped_before(p->mapping, i))
            fprintf(p->script, ", %s", quoted_table(p->arena, &p->mapping->blocks[i]));
    fputs(" WITH (publish_via_partition_root = true);\n", p->script);
}

static int add_to_publication(struct preparation *p, const char *table)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid"
        " WHERE p.pubname = 'selaras' AND r.prrelid = to_regclass($1))";
    const char *there = ask(p, sql, table, NULL);

    if (!there)
        return p->err->code;
    if (!is_yes(there))
        fprintf(p->script, "ALTER PUBLICATION selaras ADD TABLE %s;\n", table);
    return 0;
}

static int missing_publication(struct preparation *p)
{
    const char *there = ask(p, "SELECT EXISTS (SELECT FROM pg_publication WHERE pubname = 'selaras')", NULL, NULL);

    if (!there)
        return p->err->code;
    if (!is_yes(there)) {
        create_publication(p);
        return 0;
    }
    if (add_to_publication(p, "selaras.fence") < 0)
        return p->err->code;
    for (uint16_t i = 0; i < p->mapping->block_count; i++)
        if (!mapped_before(p->mapping, i) && add_to_publication(p, quoted_table(p->arena, &p->mapping->blocks[i])) < 0)
            return p->err->code;
    return 0;
}

static int missing_origin(struct preparation *p)
{
    const char *name = arena_printf(p->arena, "selaras_%s", p->options->agency);
    const char *there = ask(p, "SELECT EXISTS (SELECT FROM pg_replication_origin WHERE roname = $1)", name, NULL);

    if (!there)
        return p->err->code;
    if (!is_yes(there))
        fprintf(p->script, "SELECT pg_replication_origin_create('%s');\n", name);
    return 0;
}

static const char *column_list(struct preparation *p, const struct mapping_block *block, uint16_t count)
{
    const char *list = "";

    for (uint16_t i = 0; i < count; i++)
        list = arena_printf(p->arena, "%s%s%s", list, i ? ", " : "", quoted(p->arena, block->columns[i]));
    if (block->delete == DELETE_SET)
        list = arena_printf(p->arena, "%s, %s", list, quoted(p->arena, block->delete_column));
    return list;
}

/* Columns that nobody maps may be filled from a sequence (serial): whoever inserts must be allowed to use it. */
static int sequence_grants(struct preparation *p, const struct mapping_block *block, const char *role)
{
    static const char sql[] =
        "SELECT string_agg(DISTINCT format('%I.%I', m.nspname, s.relname), ', ') FROM pg_attrdef d"
        " JOIN pg_depend k ON k.classid = 'pg_attrdef'::regclass AND k.objid = d.oid AND k.refclassid = "
        "'pg_class'::regclass"
        " JOIN pg_class s ON s.oid = k.refobjid AND s.relkind = 'S' JOIN pg_namespace m ON m.oid = s.relnamespace"
        " JOIN pg_class c ON c.oid = d.adrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = $1 AND c.relname = $2";
    const char *sequences = ask(p, sql, block->schema, block->table);

    if (!sequences)
        return p->err->code;
    if (sequences[0])
        fprintf(p->script, "GRANT USAGE ON SEQUENCE %s TO %s;\n", sequences, role);
    return 0;
}

static int table_grants(struct preparation *p, const struct mapping_block *block, const char *role)
{
    const char *table = quoted_table(p->arena, block), *columns = column_list(p, block, block->written_count);

    fprintf(p->script, "GRANT USAGE ON SCHEMA %s TO %s;\n", quoted(p->arena, block->schema), role);
    fprintf(p->script, "GRANT SELECT (%s), UPDATE (%s) ON %s TO %s;\n", column_list(p, block, block->column_count),
            columns, table, role);
    if (block->delete == DELETE_ROW)
        fprintf(p->script, "GRANT DELETE ON %s TO %s;\n", table, role);
    if (!block->insert)
        return 0;
    fprintf(p->script, "GRANT INSERT (%s) ON %s TO %s;\n", columns, table, role);
    return sequence_grants(p, block, role);
}

/* Rights are granted again each time: that is simpler to read than what is missing of them, and changes nothing. */
static int missing_grants(struct preparation *p)
{
    const char *super = ask(p, "SELECT rolsuper FROM pg_roles WHERE rolname = $1", p->role, NULL);
    const char *role = quoted(p->arena, p->role);

    if (!super)
        return p->err->code;
    if (super[0] == '\0')
        fprintf(p->script, "CREATE ROLE %s LOGIN REPLICATION;\n", role);
    if (is_yes(super))
        return 0;
    fprintf(p->script, "-- What the agent's role may do\nALTER ROLE %s REPLICATION;\n", role);
    fprintf(p->script, "GRANT USAGE ON SCHEMA selaras TO %s;\n", role);
    fprintf(p->script, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA selaras TO %s;\n", role);
    fprintf(p->script,
            "GRANT EXECUTE ON FUNCTION pg_replication_origin_session_setup(text),"
            " pg_replication_origin_xact_setup(pg_lsn, timestamptz), pg_replication_origin_xact_reset() TO %s;\n",
            role);
    for (uint16_t i = 0; i < p->mapping->block_count; i++)
        if (table_grants(p, &p->mapping->blocks[i], role) < 0)
            return p->err->code;
    return 0;
}

/* What only the DBA can decide, or needs a restart: as comments. */
static int missing_settings(struct preparation *p)
{
    const char *level = ask(p, "SELECT current_setting('wal_level')", NULL, NULL);
    const char *kept = level ? ask(p, "SELECT current_setting('max_slot_wal_keep_size')", NULL, NULL) : NULL;

    if (!kept)
        return p->err->code;
    if (strcmp(level, "logical") != 0)
        fprintf(p->out, "-- wal_level is %s. Needs a restart of PostgreSQL: ALTER SYSTEM SET wal_level = logical;\n",
                level);
    if (strcmp(kept, "-1") == 0)
        fprintf(
            p->out,
            "-- An agent that is away must not fill the disk; choose a size: ALTER SYSTEM SET max_slot_wal_keep_size = "
            "'4GB'; SELECT pg_reload_conf();\n");
    return 0;
}

/* ---- */

static int open_connection(struct preparation *p)
{
    p->conn = pg_connect_start(p->options->dsn ? p->options->dsn : p->options->database, "selaras-agent prepare");
    if (!p->conn)
        return error_set(p->err, ERR_STOP, "the connection string cannot be understood");
    if (!pg_connect_wait(p->conn)) {
        char line[400];

        text_line(line, sizeof line, PQerrorMessage(p->conn));
        return error_set(p->err, ERR_RETRY, "cannot connect to PostgreSQL: %s%s",
                         line[0] ? line : "no answer within 10 s",
                         p->options->dsn ? ""
                                         : ". Before the agent's own role is there, connect as the database's DBA with "
                                           "--dsn: the SQL then makes the role");
    }
    return 0;
}

/* The user of the agent's own connection string; without one, libpq's default. */
static int find_role(struct preparation *p)
{
    PQconninfoOption *options = PQconninfoParse(p->options->database, NULL);

    if (!options)
        return error_set(p->err, ERR_STOP, "agent/database is no connection string that libpq understands");
    for (PQconninfoOption *option = options; option->keyword; option++)
        if (strcmp(option->keyword, "user") == 0 && option->val)
            p->role = arena_copy(p->arena, option->val, strlen(option->val));
    PQconninfoFree(options);
    if (!p->role && !p->options->dsn)
        p->role = ask(p, "SELECT current_user", NULL, NULL);
    if (!p->role)
        return error_set(p->err, ERR_STOP,
                         "agent/database names no user, so it is not known who needs the rights: add user=NAME");
    return 0;
}

static int run(struct preparation *p, const char *script)
{
    static const char *const frame[2] = { "BEGIN", "COMMIT" };
    const char *const statements[3] = { frame[0], script, frame[1] };

    for (int i = 0; i < 3; i++) {
        scoped(clear_result) PGresult *result = PQexec(p->conn, statements[i]);

        if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
            return failed(p, result, "preparing the database (nothing was changed)");
    }
    return 0;
}

static int write_script(struct preparation *p)
{
    static int (*const parts[])(struct preparation *) = {
        missing_schema, missing_identity, check_keys, missing_publication, missing_origin, missing_grants,
    };

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (parts[i](p) < 0)
            return p->err->code;
    return 0;
}

static int look_and_write(struct preparation *p)
{
    char *script = NULL;
    size_t length;
    int code;

    if (open_connection(p) < 0 || find_role(p) < 0 || missing_settings(p) < 0)
        return p->err->code;
    p->script = open_memstream(&script, &length);
    if (!p->script)
        abort();
    code = write_script(p);
    fclose(p->script);
    if (code == 0) {
        fputs(length > 0 ? script : "-- Nothing is missing.\n", p->out);
        if (p->options->apply && length > 0)
            code = run(p, script);
    }
    free(script);
    return code;
}

int prepare(const struct prepare_options *options, const struct mapping *mapping, FILE *out, struct error *err)
{
    struct preparation p = { .options = options, .mapping = mapping, .arena = arena_new(), .out = out, .err = err };
    int code = look_and_write(&p);

    finish_connection(&p.conn);
    arena_free(&p.arena);
    return code;
}
