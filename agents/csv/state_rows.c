/* The rows of the lists: what they said and what they should say. */
#include "agents/csv/state.h"

#include <stdlib.h>
#include <string.h>

int state_unpack(struct arena *arena, const struct mapping_block *block, sqlite3_stmt *row, int column,
                 struct value **ret, struct error *err)
{
    struct text bytes = sql_column(arena, row, column);

    *ret = NULL;
    return bytes.bytes ? fields_unpack(arena, block, bytes.bytes, bytes.length, ret, err) : 0;
}

int state_row(struct state *state, struct arena *arena, const struct mapping_block *block, struct text key,
              struct state_row *ret, struct error *err)
{
    static const char ask[] = "SELECT should, said, was, since_us FROM row WHERE block = ?1 AND key = ?2";
    sqlite3_stmt *row = sql_get(state->sql, ask);
    int code;

    *ret = (struct state_row){ 0 };
    sql_word(row, 1, block->name);
    sql_text(row, 2, key);
    code = sql_row(state->sql, row, err);
    if (code != 1)
        return code;
    if (state_unpack(arena, block, row, 0, &ret->sides.should, err) < 0 ||
        state_unpack(arena, block, row, 1, &ret->sides.said, err) < 0)
        code = err->code;
    ret->was = sql_column(arena, row, 2);
    ret->since_us = sqlite3_column_int64(row, 3);
    sqlite3_reset(row);
    return code < 0 ? code : 0;
}

static int row_delete(struct state *state, const char *sql_delete, const char *block, struct text key,
                      struct error *err)
{
    sqlite3_stmt *statement = sql_get(state->sql, sql_delete);

    sql_word(statement, 1, block);
    sql_text(statement, 2, key);
    return sql_run(state->sql, statement, err);
}

static int corrections_due(struct state *state, struct error *err)
{
    static const char due[] = "UPDATE agency SET corrections = 1";

    if (state->corrections)
        return 0;
    state->corrections = true;
    return sql_run(state->sql, sql_get(state->sql, due), err);
}

static const char delete_row[] = "DELETE FROM row WHERE block = ?1 AND key = ?2";
static const char delete_reasons[] = "DELETE FROM reason WHERE block = ?1 AND key = ?2";

int state_row_put(struct state *state, const struct mapping_block *block, struct text key, const struct state_row *row,
                  bool differed, struct error *err)
{
    static const char put[] = "INSERT INTO row (block, key, should, said, was, differs, since_us)"
                              " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (block, key) DO UPDATE SET"
                              " should = excluded.should, said = excluded.said, was = excluded.was,"
                              " differs = excluded.differs, since_us = excluded.since_us";
    bool differs = sides_differ(block, &row->sides);
    struct buffer should = { 0 }, said = { 0 };
    sqlite3_stmt *statement;
    int code;

    if ((differs || differed) && corrections_due(state, err) < 0)
        return err->code;
    if (!differs && row_delete(state, delete_reasons, block->name, key, err) < 0)
        return err->code;
    if (!row->sides.should && !row->sides.said)
        return row_delete(state, delete_row, block->name, key, err);
    if (row->sides.should)
        fields_pack(block, row->sides.should, &should);
    if (row->sides.said)
        fields_pack(block, row->sides.said, &said);
    statement = sql_get(state->sql, put);
    sql_word(statement, 1, block->name);
    sql_text(statement, 2, key);
    sql_bytes(statement, 3, should.bytes, should.length);
    sql_bytes(statement, 4, said.bytes, said.length);
    if (row->was.length > 0)
        sql_text(statement, 5, row->was);
    sql_int(statement, 6, differs);
    sql_int(statement, 7, row->since_us);
    code = sql_run(state->sql, statement, err);
    buffer_free(&should);
    buffer_free(&said);
    return code;
}

/* By state_which. */
static const char *const next_sql[] = {
    [STATE_SHOULD] = "SELECT key FROM row WHERE block = ?1 AND key > ?2 AND should IS NOT NULL ORDER BY key LIMIT 1",
    [STATE_DIFFERS] = "SELECT key FROM row WHERE block = ?1 AND key > ?2 AND differs ORDER BY key LIMIT 1",
    [STATE_GONE] =
        "SELECT key FROM row WHERE block = ?1 AND key > ?2 AND said IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM staged WHERE staged.block = ?1 AND staged.key = row.key) ORDER BY key LIMIT 1",
};

int state_next(struct state *state, struct arena *arena, const char *block, enum state_which which, struct text after,
               struct text *ret, struct error *err)
{
    sqlite3_stmt *row = sql_get(state->sql, next_sql[which]);
    int code;

    sql_word(row, 1, block);
    sql_text(row, 2, after);
    code = sql_row(state->sql, row, err);
    if (code == 1) {
        *ret = sql_column(arena, row, 0);
        sqlite3_reset(row);
    }
    return code;
}

int state_count(struct state *state, const char *block, enum state_which which, uint64_t *ret, struct error *err)
{
    static const char *const counts[] = {
        [STATE_SHOULD] = "SELECT count(*) FROM row WHERE block = ?1 AND should IS NOT NULL",
        [STATE_DIFFERS] = "SELECT count(*) FROM row WHERE block = ?1 AND differs",
    };
    sqlite3_stmt *row = sql_get(state->sql, counts[which]);
    int code;

    sql_word(row, 1, block);
    code = sql_row(state->sql, row, err);
    if (code == 1) {
        *ret = (uint64_t)sqlite3_column_int64(row, 0);
        sqlite3_reset(row);
    }
    return code < 0 ? code : 0;
}

int state_moved(struct state *state, struct arena *arena, const char *block, struct text key, struct text *ret,
                struct error *err)
{
    static const char ask[] = "SELECT key FROM row WHERE block = ?1 AND was = ?2 AND should IS NOT NULL"
                              " AND said IS NULL LIMIT 1";
    sqlite3_stmt *row = sql_get(state->sql, ask);
    int code;

    sql_word(row, 1, block);
    sql_text(row, 2, key);
    code = sql_row(state->sql, row, err);
    if (code == 1) {
        *ret = sql_column(arena, row, 0);
        sqlite3_reset(row);
    }
    return code;
}

/* ---- reasons ---- */

int state_reason_put(struct state *state, const char *block, struct text key, const char *field,
                     const struct reason *reason, struct error *err)
{
    static const char put[] = "INSERT OR REPLACE INTO reason (block, key, field, verdict, by, rule, ground)"
                              " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    static const char forget[] = "DELETE FROM reason WHERE block = ?1 AND key = ?2 AND field = ?3";
    sqlite3_stmt *statement = sql_get(state->sql, reason->verdict.length > 0 ? put : forget);

    sql_word(statement, 1, block);
    sql_text(statement, 2, key);
    sql_word(statement, 3, field);
    if (reason->verdict.length > 0) {
        sql_text(statement, 4, reason->verdict);
        sql_text(statement, 5, reason->by);
        sql_text(statement, 6, reason->rule);
        sql_text(statement, 7, reason->ground);
    }
    return sql_run(state->sql, statement, err);
}

int state_reason(struct state *state, struct arena *arena, const char *block, struct text key, const char *field,
                 struct reason *ret, struct error *err)
{
    static const char ask[] =
        "SELECT verdict, by, rule, ground FROM reason WHERE block = ?1 AND key = ?2 AND field = ?3";
    sqlite3_stmt *row = sql_get(state->sql, ask);
    int code;

    *ret = (struct reason){ 0 };
    sql_word(row, 1, block);
    sql_text(row, 2, key);
    sql_word(row, 3, field);
    code = sql_row(state->sql, row, err);
    if (code == 1) {
        ret->verdict = sql_column(arena, row, 0);
        ret->by = sql_column(arena, row, 1);
        ret->rule = sql_column(arena, row, 2);
        ret->ground = sql_column(arena, row, 3);
        sqlite3_reset(row);
    }
    return code < 0 ? code : 0;
}

/* ---- the last list ---- */

int state_list(struct state *state, struct arena *arena, const char *block, struct state_list *ret, struct error *err)
{
    static const char ask[] = "SELECT name, digest, bytes, rows, complete, separator, saved_us, taken_us FROM list"
                              " WHERE block = ?1";
    sqlite3_stmt *row = sql_get(state->sql, ask);
    int code;

    *ret = (struct state_list){ .name = "", .separator = ';' };
    sql_word(row, 1, block);
    code = sql_row(state->sql, row, err);
    if (code != 1)
        return code;
    ret->known = true;
    ret->name = sql_column(arena, row, 0).bytes;
    if (sqlite3_column_bytes(row, 1) == HASH_BYTES)
        memcpy(ret->digest, sqlite3_column_blob(row, 1), HASH_BYTES);
    ret->bytes = (uint64_t)sqlite3_column_int64(row, 2);
    ret->rows = (uint64_t)sqlite3_column_int64(row, 3);
    ret->complete = sqlite3_column_int64(row, 4);
    ret->separator = *(const char *)sqlite3_column_text(row, 5);
    ret->saved_us = sqlite3_column_int64(row, 6);
    ret->taken_us = sqlite3_column_int64(row, 7);
    sqlite3_reset(row);
    return 0;
}

int state_list_put(struct state *state, const char *block, const struct state_list *list, struct error *err)
{
    static const char put[] = "INSERT OR REPLACE INTO list (block, name, digest, bytes, rows, complete, separator,"
                              " saved_us, taken_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    sqlite3_stmt *statement = sql_get(state->sql, put);
    const char separator[2] = { list->separator, '\0' };

    sql_word(statement, 1, block);
    sql_word(statement, 2, list->name);
    sql_bytes(statement, 3, list->digest, HASH_BYTES);
    sql_int(statement, 4, (int64_t)list->bytes);
    sql_int(statement, 5, (int64_t)list->rows);
    sql_int(statement, 6, list->complete);
    sql_word(statement, 7, separator);
    sql_int(statement, 8, list->saved_us);
    sql_int(statement, 9, list->taken_us);
    return sql_run(state->sql, statement, err);
}
