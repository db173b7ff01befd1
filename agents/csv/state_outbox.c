/* How far this agency is, and what the broker still must hear of it. */
#include "agents/csv/state.h"

#include "shell/text.h"

#include <inttypes.h>
#include <sodium.h>
#include <string.h>

enum { FENCES_KEPT = 1000 }; /* a broker that was restored itself knows an older one */

static int run_int(struct state *state, const char *sql, int64_t number, struct error *err)
{
    sqlite3_stmt *statement = sql_get(state->sql, sql);

    sql_int(statement, 1, number);
    return sql_run(state->sql, statement, err);
}

/* Transactions of which nothing travels but their position are superseded by the next one. */
static int drop_empty(struct state *state, struct error *err)
{
    static const char drop[] = "DELETE FROM outbox WHERE number > 0"
                               " AND NOT EXISTS (SELECT 1 FROM outbox_change c WHERE c.number = outbox.number)"
                               " AND NOT EXISTS (SELECT 1 FROM outbox_report r WHERE r.number = outbox.number)";

    return sql_run(state->sql, sql_get(state->sql, drop), err);
}

static int fence_write(struct state *state, struct error *err)
{
    static const char put[] = "INSERT INTO fence (seq, token) VALUES (?1, ?2)";
    static const char prune[] = "DELETE FROM fence WHERE seq < ?1";
    sqlite3_stmt *statement = sql_get(state->sql, put);

    state->fence.seq++;
    randombytes_buf(state->fence.token, sizeof state->fence.token);
    sql_int(statement, 1, (int64_t)state->fence.seq);
    sql_bytes(statement, 2, state->fence.token, sizeof state->fence.token);
    if (sql_run(state->sql, statement, err) < 0)
        return err->code;
    return run_int(state, prune, (int64_t)state->fence.seq - FENCES_KEPT, err);
}

int state_number(struct state *state, int64_t now_us, struct error *err)
{
    static const char count[] = "UPDATE agency SET number = ?1";
    static const char put[] = "INSERT INTO outbox (number, base, at_us, seq, token) VALUES (?1, ?2, ?3, ?4, ?5)";
    sqlite3_stmt *statement;

    if (drop_empty(state, err) < 0 || fence_write(state, err) < 0)
        return err->code;
    state->number++;
    if (run_int(state, count, (int64_t)state->number, err) < 0)
        return err->code;
    statement = sql_get(state->sql, put);
    sql_int(statement, 1, (int64_t)state->number);
    sql_int(statement, 2, (int64_t)state->applied);
    sql_int(statement, 3, now_us);
    sql_int(statement, 4, (int64_t)state->fence.seq);
    sql_bytes(statement, 5, state->fence.token, sizeof state->fence.token);
    return sql_run(state->sql, statement, err);
}

int state_change(struct state *state, struct arena *arena, uint32_t place, struct change *change, struct error *err)
{
    static const char put[] = "INSERT INTO outbox_change (number, place, operation, content, salt, commitment)"
                              " VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    sqlite3_stmt *statement = sql_get(state->sql, put);

    change_seal(arena, change, state->seed, state->counter++);
    sql_int(statement, 1, (int64_t)state->number);
    sql_int(statement, 2, place);
    sql_int(statement, 3, change->operation);
    sql_bytes(statement, 4, change->content.bytes, change->content.length);
    sql_bytes(statement, 5, change->salt, sizeof change->salt);
    sql_bytes(statement, 6, change->commitment, sizeof change->commitment);
    return sql_run(state->sql, statement, err);
}

int state_report(struct state *state, uint32_t place, const struct report *report, struct error *err)
{
    static const char put[] = "INSERT INTO outbox_report (number, place, kind, record, position, block, text)"
                              " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    sqlite3_stmt *statement = sql_get(state->sql, put);

    sql_int(statement, 1, (int64_t)state->number);
    sql_int(statement, 2, place);
    sql_int(statement, 3, report->kind);
    sql_int(statement, 4, (int64_t)report->record);
    sql_int(statement, 5, (int64_t)report->position);
    sql_text(statement, 6, report->block);
    sql_text(statement, 7, report->text);
    return sql_run(state->sql, statement, err);
}

int state_applied(struct state *state, feed_position position, const uint8_t leaf[HASH_BYTES], struct error *err)
{
    static const char put[] = "UPDATE agency SET applied = ?1, leaf = ?2";
    sqlite3_stmt *statement = sql_get(state->sql, put);

    state->applied = position;
    memcpy(state->leaf, leaf, HASH_BYTES);
    sql_int(statement, 1, (int64_t)position);
    sql_bytes(statement, 2, leaf, HASH_BYTES);
    return sql_run(state->sql, statement, err);
}

int state_loaded(struct state *state, uint32_t incarnation, feed_position load, struct error *err)
{
    static const uint8_t none[HASH_BYTES];
    static const char put[] = "UPDATE agency SET incarnation = ?1";
    static const char unpark[] = "DELETE FROM parked";
    static const char rebase[] = "UPDATE outbox SET base = ?1 WHERE base < ?1"; /* lists taken behind the snapshot */

    state->incarnation = incarnation;
    if (run_int(state, put, incarnation, err) < 0 || run_int(state, rebase, (int64_t)load, err) < 0 ||
        sql_run(state->sql, sql_get(state->sql, unpark), err) < 0)
        return err->code;
    return state_applied(state, load, none, err);
}

int state_forget(struct state *state, uint64_t number, struct error *err)
{
    static const char *const statements[] = {
        "DELETE FROM outbox WHERE number <= ?1",
        "DELETE FROM outbox_change WHERE number <= ?1",
        "DELETE FROM outbox_report WHERE number <= ?1",
        "UPDATE agency SET forgotten = ?1",
    };

    if (number <= state->forgotten)
        return 0;
    state->forgotten = number;
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++)
        if (run_int(state, statements[i], (int64_t)number, err) < 0)
            return err->code;
    return 0;
}

int state_corrections_done(struct state *state, struct error *err)
{
    static const char done[] = "UPDATE agency SET corrections = 0";

    state->corrections = false;
    return sql_run(state->sql, sql_get(state->sql, done), err);
}

/* ---- pieces ---- */

static void bind_places(sqlite3_stmt *row, const struct piece *piece, int64_t end)
{
    sql_int(row, 1, (int64_t)piece->lsn);
    sql_int(row, 2, piece->first);
    sql_int(row, 3, end);
}

/* Those of the changes of this piece. */
static int read_reports(struct state *state, struct arena *arena, struct piece *piece, struct error *err)
{
    static const char count[] = "SELECT count(*) FROM outbox_report WHERE number = ?1 AND place BETWEEN ?2 AND ?3";
    static const char ask[] = "SELECT kind, record, position, block, text FROM outbox_report WHERE number = ?1"
                              " AND place BETWEEN ?2 AND ?3 ORDER BY place";
    int64_t end = piece->final ? UINT32_MAX : (int64_t)piece->first + piece->change_count - 1;
    sqlite3_stmt *row = sql_get(state->sql, count);
    int64_t most;
    int code;

    bind_places(row, piece, end);
    code = sql_row(state->sql, row, err);
    if (code != 1)
        return code;
    most = sqlite3_column_int64(row, 0);
    sqlite3_reset(row);
    piece->reports = arena_array(arena, (size_t)most + 1, sizeof *piece->reports);
    row = sql_get(state->sql, ask);
    bind_places(row, piece, end);
    while ((code = sql_row(state->sql, row, err)) == 1)
        piece->reports[piece->report_count++] = (struct report){
            .kind = (enum report_kind)sqlite3_column_int(row, 0),
            .record = (uint64_t)sqlite3_column_int64(row, 1),
            .position = (feed_position)sqlite3_column_int64(row, 2),
            .block = sql_column(arena, row, 3),
            .text = sql_column(arena, row, 4),
        };
    return code;
}

enum { PIECE_CHANGES_MAX = 1000 };

static int read_changes(struct state *state, struct arena *arena, size_t bytes, struct piece *piece, struct error *err)
{
    static const char ask[] = "SELECT operation, content, salt, commitment FROM outbox_change"
                              " WHERE number = ?1 AND place >= ?2 ORDER BY place";
    sqlite3_stmt *row = sql_get(state->sql, ask);
    size_t taken = 0;
    int code;

    piece->changes = arena_array(arena, PIECE_CHANGES_MAX, sizeof *piece->changes);
    piece->final = true;
    sql_int(row, 1, (int64_t)piece->lsn);
    sql_int(row, 2, piece->first);
    while ((code = sql_row(state->sql, row, err)) == 1) {
        struct change *change = &piece->changes[piece->change_count];
        size_t size = (size_t)sqlite3_column_bytes(row, 1);

        if (piece->change_count == PIECE_CHANGES_MAX || (piece->change_count > 0 && taken + size > bytes)) {
            piece->final = false;
            break;
        }
        change->operation = (enum operation)sqlite3_column_int(row, 0);
        change->content = sql_column(arena, row, 1);
        memcpy(change->salt, sqlite3_column_blob(row, 2), sizeof change->salt);
        memcpy(change->commitment, sqlite3_column_blob(row, 3), sizeof change->commitment);
        piece->change_count++;
        taken += size;
    }
    sqlite3_reset(row);
    return code < 0 ? code : 0;
}

int state_piece(struct state *state, struct arena *arena, uint64_t number, uint32_t place, size_t bytes,
                struct piece *ret, bool *ret_found, struct error *err)
{
    static const char ask[] = "SELECT number, base, at_us, seq, token FROM outbox WHERE number >= ?1 ORDER BY number"
                              " LIMIT 1";
    sqlite3_stmt *row = sql_get(state->sql, ask);
    int code;

    *ret = (struct piece){ 0 };
    sql_int(row, 1, (int64_t)number + (place == 0));
    code = sql_row(state->sql, row, err);
    *ret_found = code == 1;
    if (code != 1)
        return code;
    ret->lsn = (uint64_t)sqlite3_column_int64(row, 0);
    ret->first = place;
    ret->base = (feed_position)sqlite3_column_int64(row, 1);
    ret->commit_time_us = sqlite3_column_int64(row, 2);
    ret->fence.seq = (uint64_t)sqlite3_column_int64(row, 3);
    memcpy(ret->fence.token, sqlite3_column_blob(row, 4), sizeof ret->fence.token);
    sqlite3_reset(row);
    if (read_changes(state, arena, bytes, ret, err) < 0 || read_reports(state, arena, ret, err) < 0)
        return err->code;
    if (!ret->final)
        ret->fence = (struct fence){ 0 }; /* it goes with the end */
    return 0;
}

/* ---- the proof ---- */

static int check_token(struct state *state, const struct fence *known, struct error *err)
{
    static const char ask[] = "SELECT token FROM fence WHERE seq = ?1";
    sqlite3_stmt *row;
    int code;
    bool same;

    if (known->seq == 0)
        return 0;
    row = sql_get(state->sql, ask);
    sql_int(row, 1, (int64_t)known->seq);
    code = sql_row(state->sql, row, err);
    if (code < 0)
        return code;
    same = code == 1 && sqlite3_column_bytes(row, 0) == sizeof known->token &&
           memcmp(sqlite3_column_blob(row, 0), known->token, sizeof known->token) == 0;
    sqlite3_reset(row);
    if (same)
        return 0;
    return error_set(err, ERR_DOUBT,
                     code == 0
                         ? "the state file lacks a fence row that the broker has seen: it was restored from a backup"
                         : "the state file has another fence row than the broker has seen: it went on from a "
                           "restored or copied file");
}

int state_prove(struct state *state, const struct source *known, uint64_t number, feed_position base, struct error *err)
{
    if (known->system.length > 0 && (known->system.length != strlen(state->system) ||
                                     memcmp(known->system.bytes, state->system, known->system.length) != 0))
        return error_set(err, ERR_DOUBT, _("the state file is another one than the broker knows"));
    if (check_token(state, &known->fence, err) < 0)
        return err->code;
    if (number > state->number || base > state->applied)
        return error_set(err, ERR_DOUBT, _("the state file ends before what the broker has received: it was restored"));
    if (number < state->forgotten)
        return error_set(err, ERR_LOST,
                         _("the broker has changes of this agency up to %" PRIu64 ", but those up to %" PRIu64
                           " are no longer in the state file: the broker was restored"),
                         number, state->forgotten);
    return 0;
}
