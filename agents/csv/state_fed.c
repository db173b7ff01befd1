/* What others changed since the last list was saved, so that a list saved before is not taken for an answer to it. */
#include "agents/csv/state.h"

#include <string.h>

int state_fed_put(struct state *state, const char *block, struct text key, const char *field, uint64_t record,
                  feed_position position, int64_t now_us, struct error *err)
{
    static const char put[] = "INSERT OR REPLACE INTO fed (block, key, field, record, position, at_us)"
                              " VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    sqlite3_stmt *statement = sql_get(state->sql, put);

    sql_word(statement, 1, block);
    sql_text(statement, 2, key);
    sql_word(statement, 3, field);
    sql_int(statement, 4, (int64_t)record);
    sql_int(statement, 5, (int64_t)position);
    sql_int(statement, 6, now_us);
    return sql_run(state->sql, statement, err);
}

int state_fed_move(struct state *state, const char *block, struct text from, struct text to, struct error *err)
{
    static const char move[] = "UPDATE OR REPLACE fed SET key = ?3 WHERE block = ?1 AND key = ?2";
    sqlite3_stmt *statement = sql_get(state->sql, move);

    sql_word(statement, 1, block);
    sql_text(statement, 2, from);
    sql_text(statement, 3, to);
    return sql_run(state->sql, statement, err);
}

int state_came(struct state *state, const char *block, struct text key, struct error *err)
{
    static const char ask[] = "SELECT 1 FROM fed WHERE block = ?1 AND key = ?2 AND field = ''";
    sqlite3_stmt *row = sql_get(state->sql, ask);
    int code;

    sql_word(row, 1, block);
    sql_text(row, 2, key);
    code = sql_row(state->sql, row, err);
    if (code == 1)
        sqlite3_reset(row);
    return code;
}

int state_fed_forget(struct state *state, const char *block, int64_t saved_us, struct error *err)
{
    static const char forget[] = "DELETE FROM fed WHERE block = ?1 AND at_us <= ?2";
    sqlite3_stmt *statement = sql_get(state->sql, forget);

    sql_word(statement, 1, block);
    sql_int(statement, 2, saved_us);
    return sql_run(state->sql, statement, err);
}

static bool concerns(const struct change *change, struct text field)
{
    if (change->operation != OPERATION_UPDATE || field.length == 0)
        return true;
    for (uint16_t i = 0; i < change->field_count; i++)
        if (change->fields[i].name.length == field.length &&
            memcmp(change->fields[i].name.bytes, field.bytes, field.length) == 0)
            return true;
    return false;
}

int state_late(struct state *state, struct arena *arena, const char *block, struct text key,
               const struct change *change, int64_t saved_us, int64_t now_us, struct report *ret, struct error *err)
{
    static const char ask[] = "SELECT field, record, position FROM fed WHERE block = ?1 AND key = ?2 AND at_us > ?3"
                              " AND at_us <= ?4";
    sqlite3_stmt *row = sql_get(state->sql, ask);
    bool found = false;
    int code;

    sql_word(row, 1, block);
    sql_text(row, 2, key);
    sql_int(row, 3, saved_us);
    sql_int(row, 4, now_us);
    while ((code = sql_row(state->sql, row, err)) == 1) {
        feed_position position = (feed_position)sqlite3_column_int64(row, 2);

        if (!concerns(change, sql_column(arena, row, 0)) || (found && ret->position <= position))
            continue;
        found = true;
        *ret = (struct report){ .kind = REPORT_LATE,
                                .record = (uint64_t)sqlite3_column_int64(row, 1),
                                .position = position,
                                .block = change->block,
                                .text = { "", 0 } };
    }
    return code < 0 ? code : found;
}
