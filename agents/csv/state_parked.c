/* Records with an item that cannot be written into the list. */
#include "agents/csv/state.h"

#include "shell/json.h"

#include <string.h>
#include <time.h>

static void parked_read(struct arena *arena, sqlite3_stmt *row, struct state_parked *ret)
{
    ret->position = (feed_position)sqlite3_column_int64(row, 0);
    ret->key = sql_column(arena, row, 1);
    ret->effect = sql_column(arena, row, 2);
}

int state_parked(struct state *state, struct arena *arena, const struct mapping *mapping, uint16_t block,
                 uint64_t record, struct state_parked *ret, bool *ret_found, struct error *err)
{
    static const char ask[] = "SELECT position, key, effect FROM parked WHERE block = ?1 AND record = ?2";
    sqlite3_stmt *row = sql_get(state->sql, ask);
    int code;

    *ret = (struct state_parked){ .block = block, .record = record };
    sql_word(row, 1, mapping->blocks[block].name);
    sql_int(row, 2, (int64_t)record);
    code = sql_row(state->sql, row, err);
    *ret_found = code == 1;
    if (code == 1) {
        parked_read(arena, row, ret);
        sqlite3_reset(row);
    }
    return code < 0 ? code : 0;
}

int state_park(struct state *state, const struct mapping *mapping, const struct state_parked *parked,
               const char *reason, int64_t now_us, struct error *err)
{
    static const char put[] = "INSERT INTO parked (block, record, position, key, effect, reason, since_us)"
                              " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
                              " ON CONFLICT (block, record) DO UPDATE SET effect = excluded.effect";
    sqlite3_stmt *statement = sql_get(state->sql, put);

    sql_word(statement, 1, mapping->blocks[parked->block].name);
    sql_int(statement, 2, (int64_t)parked->record);
    sql_int(statement, 3, (int64_t)parked->position);
    sql_text(statement, 4, parked->key);
    sql_bytes(statement, 5, parked->effect.bytes, parked->effect.length);
    sql_word(statement, 6, reason);
    sql_int(statement, 7, now_us);
    return sql_run(state->sql, statement, err);
}

int state_park_again(struct state *state, const char *block, uint64_t record, const char *reason, struct error *err)
{
    static const char put[] = "UPDATE parked SET tries = tries + 1, reason = ?3 WHERE block = ?1 AND record = ?2";
    sqlite3_stmt *statement = sql_get(state->sql, put);

    sql_word(statement, 1, block);
    sql_int(statement, 2, (int64_t)record);
    sql_word(statement, 3, reason);
    return sql_run(state->sql, statement, err);
}

int state_unpark(struct state *state, const char *block, uint64_t record, struct error *err)
{
    static const char forget[] = "DELETE FROM parked WHERE block = ?1 AND record = ?2";
    sqlite3_stmt *statement = sql_get(state->sql, forget);

    sql_word(statement, 1, block);
    sql_int(statement, 2, (int64_t)record);
    return sql_run(state->sql, statement, err);
}

enum { SETTLED_MOST = 10000 }; /* in one go; the next one takes the others */

int state_parked_all(struct state *state, struct arena *arena, const struct mapping *mapping, uint64_t record,
                     struct state_parked **ret, uint32_t *ret_count, struct error *err)
{
    static const char ask[] = "SELECT position, key, effect, block, record FROM parked WHERE ?1 = 0 OR record = ?1"
                              " ORDER BY tries, record LIMIT 10000";
    sqlite3_stmt *row = sql_get(state->sql, ask);
    int code;

    *ret = arena_array(arena, SETTLED_MOST, sizeof **ret);
    *ret_count = 0;
    sql_int(row, 1, (int64_t)record);
    while ((code = sql_row(state->sql, row, err)) == 1) {
        struct state_parked *parked = &(*ret)[*ret_count];
        int block = mapping_block_named(mapping, sql_column(arena, row, 3));

        if (block < 0)
            continue; /* no longer mapped */
        parked_read(arena, row, parked);
        parked->block = (uint16_t)block;
        parked->record = (uint64_t)sqlite3_column_int64(row, 4);
        (*ret_count)++;
    }
    return code;
}

static const char *time_text(struct arena *arena, int64_t time_us)
{
    time_t seconds = (time_t)(time_us / 1000000);
    struct tm parts;
    char text[40];

    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S+00:00", &parts);
    return arena_copy(arena, text, strlen(text));
}

int state_parked_json(struct state *state, struct buffer *out, struct error *err)
{
    static const char ask[] = "SELECT block, record, position, since_us, tries, reason FROM parked"
                              " ORDER BY since_us, record LIMIT 1000";
    sqlite3_stmt *row = sql_get(state->sql, ask);
    struct arena *arena = arena_new();
    int code;

    out->length = 0;
    json_begin_array(out, NULL);
    while ((code = sql_row(state->sql, row, err)) == 1) {
        json_begin_object(out, NULL);
        json_write_text(out, "block", sql_column(arena, row, 0).bytes);
        json_write_int(out, "record", sqlite3_column_int64(row, 1));
        json_write_int(out, "position", sqlite3_column_int64(row, 2));
        json_write_text(out, "since", time_text(arena, sqlite3_column_int64(row, 3)));
        json_write_int(out, "tries", sqlite3_column_int64(row, 4));
        json_write_text(out, "reason", sql_column(arena, row, 5).bytes);
        json_end_object(out);
    }
    json_end_array(out);
    arena_free(&arena);
    return code;
}
