/* A list on its way in: its rows in a temporary table, gone with the connection. */
#include "agents/csv/state.h"

#include <sodium.h>

enum { REST_BYTES = 16 };

int state_stage_begin(struct state *state, struct error *err)
{
    return sql_script(state->sql,
                      "CREATE TEMP TABLE IF NOT EXISTS staged"
                      " (block TEXT, key TEXT, line INTEGER NOT NULL, fields BLOB, rest BLOB, PRIMARY KEY (block, key))"
                      " WITHOUT ROWID;"
                      "CREATE INDEX IF NOT EXISTS temp.staged_rest ON staged (block, rest) WHERE rest IS NOT NULL;"
                      "CREATE TEMP TABLE IF NOT EXISTS keyless"
                      " (block TEXT, rest BLOB, line INTEGER NOT NULL, PRIMARY KEY (block, rest)) WITHOUT ROWID;"
                      "CREATE TEMP TABLE IF NOT EXISTS identifier"
                      " (name TEXT, value TEXT, line INTEGER NOT NULL, PRIMARY KEY (name, value)) WITHOUT ROWID;"
                      "DELETE FROM staged; DELETE FROM keyless; DELETE FROM identifier",
                      err);
}

/* All but the key, as few bytes; NULL where that says too little to know a row by. */
static void bind_rest(sqlite3_stmt *statement, int place, const struct buffer *rest)
{
    uint8_t hash[REST_BYTES];

    if (rest->length > 0)
        crypto_generichash(hash, sizeof hash, (const uint8_t *)rest->bytes, rest->length, NULL, 0);
    sql_bytes(statement, place, rest->length > 0 ? hash : NULL, sizeof hash);
}

int state_stage(struct state *state, const char *block, struct text key, uint32_t line, const struct buffer *fields,
                const struct buffer *rest, uint32_t *ret_line, struct error *err)
{
    static const char put[] = "INSERT INTO staged (block, key, line, fields, rest) VALUES (?1, ?2, ?3, ?4, ?5)"
                              " ON CONFLICT (block, key) DO UPDATE SET line = excluded.line, fields = excluded.fields,"
                              " rest = excluded.rest WHERE fields IS NULL";
    static const char ask[] = "SELECT line FROM staged WHERE block = ?1 AND key = ?2";
    sqlite3_stmt *statement = sql_get(state->sql, put);
    int code;

    *ret_line = 0;
    sql_word(statement, 1, block);
    sql_text(statement, 2, key);
    sql_int(statement, 3, line);
    sql_bytes(statement, 4, fields->bytes, fields->length);
    bind_rest(statement, 5, rest);
    if (sql_run(state->sql, statement, err) < 0)
        return err->code;
    if (sql_changed(state->sql) > 0)
        return 0;
    statement = sql_get(state->sql, ask);
    sql_word(statement, 1, block);
    sql_text(statement, 2, key);
    code = sql_row(state->sql, statement, err);
    if (code == 1) {
        *ret_line = (uint32_t)sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
    }
    return code < 0 ? code : 0;
}

int state_stage_gone(struct state *state, const char *block, struct text key, uint32_t line, struct error *err)
{
    static const char put[] = "INSERT INTO staged (block, key, line) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    sqlite3_stmt *statement = sql_get(state->sql, put);

    sql_word(statement, 1, block);
    sql_text(statement, 2, key);
    sql_int(statement, 3, line);
    return sql_run(state->sql, statement, err);
}

int state_stage_identifier(struct state *state, const char *name, struct text value, uint32_t line, uint32_t *ret_line,
                           struct error *err)
{
    static const char put[] = "INSERT INTO identifier (name, value, line) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    static const char ask[] = "SELECT line FROM identifier WHERE name = ?1 AND value = ?2";
    sqlite3_stmt *statement = sql_get(state->sql, put);
    int code;

    *ret_line = 0;
    sql_word(statement, 1, name);
    sql_text(statement, 2, value);
    sql_int(statement, 3, line);
    if (sql_run(state->sql, statement, err) < 0)
        return err->code;
    if (sql_changed(state->sql) > 0)
        return 0;
    statement = sql_get(state->sql, ask);
    sql_word(statement, 1, name);
    sql_text(statement, 2, value);
    code = sql_row(state->sql, statement, err);
    if (code == 1) {
        *ret_line = (uint32_t)sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
    }
    return code < 0 ? code : 0;
}

int state_stage_keyless(struct state *state, const char *block, uint32_t line, const struct buffer *rest,
                        struct error *err)
{
    static const char put[] = "INSERT INTO keyless (block, rest, line) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    sqlite3_stmt *statement = sql_get(state->sql, put);

    if (rest->length == 0)
        return 0;
    sql_word(statement, 1, block);
    bind_rest(statement, 2, rest);
    sql_int(statement, 3, line);
    return sql_run(state->sql, statement, err);
}

int state_staged(struct state *state, struct arena *arena, const struct mapping_block *block, struct text after,
                 struct text *ret_key, struct value **ret_fields, struct error *err)
{
    static const char ask[] = "SELECT key, fields FROM staged WHERE block = ?1 AND key > ?2 ORDER BY key LIMIT 1";
    sqlite3_stmt *row = sql_get(state->sql, ask);
    int code;

    sql_word(row, 1, block->name);
    sql_text(row, 2, after);
    code = sql_row(state->sql, row, err);
    if (code == 1) {
        *ret_key = sql_column(arena, row, 0);
        if (state_unpack(arena, block, row, 1, ret_fields, err) < 0)
            code = err->code;
        sqlite3_reset(row);
    }
    return code;
}

int state_staged_key(struct state *state, struct arena *arena, const struct mapping_block *block, struct text key,
                     struct value **ret_fields, struct error *err)
{
    static const char ask[] = "SELECT fields FROM staged WHERE block = ?1 AND key = ?2";
    sqlite3_stmt *row = sql_get(state->sql, ask);
    int code;

    sql_word(row, 1, block->name);
    sql_text(row, 2, key);
    code = sql_row(state->sql, row, err);
    if (code == 1) {
        if (state_unpack(arena, block, row, 0, ret_fields, err) < 0)
            code = err->code;
        sqlite3_reset(row);
    }
    return code;
}

int state_staged_like(struct state *state, struct arena *arena, const char *block, const struct buffer *rest,
                      struct text *ret, struct error *err)
{
    static const char ask[] = "SELECT key FROM staged WHERE block = ?1 AND rest = ?2 LIMIT 2";
    sqlite3_stmt *row = sql_get(state->sql, ask);
    int code, count = 0;

    sql_word(row, 1, block);
    bind_rest(row, 2, rest);
    while ((code = sql_row(state->sql, row, err)) == 1)
        if (count++ == 0)
            *ret = sql_column(arena, row, 0);
    return code < 0 ? code : count == 1;
}

int state_keyless_like(struct state *state, const char *block, const struct buffer *rest, uint32_t *ret_line,
                       struct error *err)
{
    static const char ask[] = "SELECT line FROM keyless WHERE block = ?1 AND rest = ?2";
    sqlite3_stmt *row = sql_get(state->sql, ask);
    int code;

    sql_word(row, 1, block);
    bind_rest(row, 2, rest);
    code = sql_row(state->sql, row, err);
    if (code == 1) {
        *ret_line = (uint32_t)sqlite3_column_int64(row, 0);
        sqlite3_reset(row);
    }
    return code;
}

int state_rounded(struct state *state, struct arena *arena, const char *block, struct text after, struct text *ret_key,
                  uint32_t *ret_line, struct error *err)
{
    static const char ask[] =
        "SELECT key, line FROM staged s WHERE s.block = ?1 AND key > ?2 AND length(key) = 16 AND substr(key, 16) = '0'"
        " AND NOT EXISTS (SELECT 1 FROM row WHERE block = ?1 AND row.key = s.key)"
        " AND EXISTS (SELECT 1 FROM row WHERE block = ?1 AND row.key BETWEEN substr(s.key, 1, 15) || '1'"
        " AND substr(s.key, 1, 15) || '9' AND length(row.key) = 16"
        " AND NOT EXISTS (SELECT 1 FROM staged t WHERE t.block = ?1 AND t.key = row.key)) ORDER BY key LIMIT 1";
    sqlite3_stmt *row = sql_get(state->sql, ask);
    int code;

    sql_word(row, 1, block);
    sql_text(row, 2, after);
    code = sql_row(state->sql, row, err);
    if (code == 1) {
        *ret_key = sql_column(arena, row, 0);
        *ret_line = (uint32_t)sqlite3_column_int64(row, 1);
        sqlite3_reset(row);
    }
    return code;
}
