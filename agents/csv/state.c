#include "agents/csv/state.h"

#include "shell/text.h"
#include "state_sql.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATE_VERSION = 1 };

static int read_version(struct state *state, int64_t *ret, struct error *err)
{
    sqlite3_stmt *ask = sql_get(state->sql, "PRAGMA user_version");
    int code = sql_row(state->sql, ask, err);

    *ret = code == 1 ? sqlite3_column_int64(ask, 0) : 0;
    if (code == 1)
        sqlite3_reset(ask);
    return code < 0 ? code : 0;
}

static int make(struct state *state, struct error *err)
{
    static const char insert[] = "INSERT INTO agency (one, system) VALUES (1, ?1)";
    uint8_t bytes[16];
    char system[33];
    sqlite3_stmt *statement;

    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(system, sizeof system, bytes, sizeof bytes);
    if (sql_script(state->sql, "BEGIN IMMEDIATE", err) < 0 || sql_script(state->sql, csv_state_sql, err) < 0)
        return err->code;
    statement = sql_get(state->sql, insert);
    sql_word(statement, 1, system);
    if (sql_run(state->sql, statement, err) < 0)
        return err->code;
    return sql_script(state->sql, "COMMIT", err);
}

static int read_progress(struct state *state, struct error *err)
{
    static const char ask_agency[] =
        "SELECT system, incarnation, applied, leaf, number, forgotten, corrections FROM agency";
    static const char ask_fence[] = "SELECT seq, token FROM fence ORDER BY seq DESC LIMIT 1";
    sqlite3_stmt *row = sql_get(state->sql, ask_agency);
    int code = sql_row(state->sql, row, err);

    if (code < 0)
        return code;
    if (code == 0)
        return error_set(err, ERR_STOP, _("the state file is not whole: its table agency is empty"));
    snprintf(state->system, sizeof state->system, "%s", (const char *)sqlite3_column_text(row, 0));
    state->incarnation = (uint32_t)sqlite3_column_int64(row, 1);
    state->applied = (feed_position)sqlite3_column_int64(row, 2);
    memset(state->leaf, 0, HASH_BYTES);
    if (sqlite3_column_bytes(row, 3) == HASH_BYTES)
        memcpy(state->leaf, sqlite3_column_blob(row, 3), HASH_BYTES);
    state->number = (uint64_t)sqlite3_column_int64(row, 4);
    state->forgotten = (uint64_t)sqlite3_column_int64(row, 5);
    state->corrections = sqlite3_column_int64(row, 6);
    sqlite3_reset(row);
    state->fence = (struct fence){ 0 };
    row = sql_get(state->sql, ask_fence);
    code = sql_row(state->sql, row, err);
    if (code == 1) {
        state->fence.seq = (uint64_t)sqlite3_column_int64(row, 0);
        if (sqlite3_column_bytes(row, 1) == sizeof state->fence.token)
            memcpy(state->fence.token, sqlite3_column_blob(row, 1), sizeof state->fence.token);
        sqlite3_reset(row);
    }
    return code < 0 ? code : 0;
}

static int set_up(struct state *state, struct error *err)
{
    int64_t version;

    if (read_version(state, &version, err) < 0 || (version == 0 && make(state, err) < 0) ||
        read_version(state, &version, err) < 0)
        return err->code;
    if (version != STATE_VERSION)
        return error_set(err, ERR_STOP, _("the state file is of another version of selaras-agent (%lld, not %d)"),
                         (long long)version, STATE_VERSION);
    return read_progress(state, err);
}

int state_open(const char *path, struct state **ret, struct error *err)
{
    struct state *state = calloc(1, sizeof *state);
    struct arena *arena = arena_new();

    if (!state)
        abort();
    randombytes_buf(state->seed, sizeof state->seed);
    if (sql_open(arena_printf(arena, "%s/state.sqlite", path), &state->sql, err) < 0 || set_up(state, err) < 0)
        state_close(&state);
    arena_free(&arena);
    if (!state)
        return err->code;
    *ret = state;
    return 0;
}

void state_close(struct state **state)
{
    if (!*state)
        return;
    sql_close(&(*state)->sql);
    free(*state);
    *state = NULL;
}

int state_begin(struct state *state, struct error *err)
{
    if (sql_script(state->sql, "BEGIN IMMEDIATE", err) < 0)
        return err->code;
    state->begun = true;
    return 0;
}

int state_commit(struct state *state, struct error *err)
{
    if (sql_script(state->sql, "COMMIT", err) < 0)
        return err->code;
    state->begun = false;
    return 0;
}

void state_rollback(struct state *state)
{
    struct error ignored;

    if (!state->begun)
        return;
    state->begun = false;
    /* What cannot be rolled back or read is found again by whatever is done next. */
    if (sql_script(state->sql, "ROLLBACK", &ignored) < 0 || read_progress(state, &ignored) < 0)
        return;
}
