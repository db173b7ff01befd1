#include "agents/postgres/load.h"
#include "agents/postgres/replication.h"
#include "agents/row_change.h"
#include "shell/log.h"
#include "shell/pg.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    WAITING_MS = 10000,            /* then say what the new slot waits for, and every so often again */
    BATCH_ROWS_FIRST = 200,        /* until it is known how large rows are */
    BATCH_BYTES = 2 * 1024 * 1024, /* about how much one FETCH brings */
};

struct load {
    struct loop *loop;
    struct load_options options;
    struct load_sink sink;
    struct replication *replication; /* its snapshot is ours as long as it says nothing more */
    struct pg *pg;
    struct loop_source *waiting;
    char slot[64];
    char snapshot[64];
    uint64_t lsn; /* the consistent point; 0: there is no slot yet */
    bool replication_up, pg_up, creating;
    struct arena *arena; /* lives for one piece */
    struct change *changes;
    uint32_t change_count, change_capacity;
    size_t piece_bytes;
    uint32_t piece_number; /* of the last one given */
    uint16_t place;        /* in the order of references */
    uint64_t place_rows;   /* given of its block ... */
    bool place_lacks;      /* ... but not all, or not as whom they are */
    int batch_rows;
    bool paused;
    bool held; /* the next FETCH waits for the pause to end */
    uint8_t seed[32];
    uint64_t counter;
    uint64_t problem_count;
    struct error problem; /* the first, and where it was */
    struct log_about problem_about;
    bool ended, closed; /* nothing more is called; freed once nothing of ours is on the stack */
    unsigned depth;
};

static bool quiet(const struct load *load)
{
    return load->ended || load->closed;
}

static void load_end(struct load *load)
{
    load->ended = true;
    loop_remove(&load->waiting);
    replication_close(&load->replication);
    pg_close(&load->pg);
}

static void load_free(struct load *load)
{
    load_end(load);
    arena_free(&load->arena);
    free(load->changes);
    free(load);
}

static void enter(struct load *load)
{
    load->depth++;
}

/* From here on it may be gone. */
static void leave(struct load *load)
{
    if (--load->depth == 0 && load->closed)
        load_free(load);
}

/* What the database refuses while we only read is nothing that another try would heal. */
static void fail(struct load *load, const struct error *cause)
{
    struct error err = *cause;

    if (quiet(load))
        return;
    if (err.code == ERR_REJECT)
        err.code = ERR_STOP;
    error_wrap(&err, "first load");
    load_end(load);
    load->sink.failed(load->sink.context, &err);
}

/* "name", with its own quotes doubled, at the end of `out`. */
static void put_name(struct buffer *out, const char *name)
{
    size_t most = out->length + 2 * strlen(name) + 3;

    if (most > out->capacity) {
        out->bytes = realloc(out->bytes, most);
        out->capacity = most;
    }
    if (!out->bytes)
        abort();
    out->bytes[out->length++] = '"';
    for (; *name; name++) {
        if (*name == '"')
            out->bytes[out->length++] = '"';
        out->bytes[out->length++] = *name;
    }
    out->bytes[out->length++] = '"';
    out->bytes[out->length] = '\0';
}

/* The block's columns as the types' output functions write them, exactly as the slot will: a cast to text would not, it
 * takes the padding off a char(n) and spells booleans out. */
static const char *cursor_sql(struct arena *arena, const struct mapping_block *block)
{
    scoped(buffer_free) struct buffer table = { 0 };
    scoped(buffer_free) struct buffer column = { 0 };
    const char *columns = "";

    put_name(&table, block->schema);
    table.bytes[table.length++] = '.'; /* put_name left room for its NUL */
    put_name(&table, block->table);
    for (uint16_t i = 0; i < block->column_count; i++) {
        column.length = 0;
        put_name(&column, block->columns[i]);
        columns = arena_printf(arena, "%s%s%s", columns, i > 0 ? ", " : "", column.bytes);
    }
    return arena_printf(arena, "DECLARE selaras_load NO SCROLL CURSOR FOR SELECT %s FROM %s", columns, table.bytes);
}

/* What is referred to is read first, so that it is known when something refers to it; blocks of one type as the mapping
 * has them. */
static const struct mapping_block *block_now(const struct load *load)
{
    const struct mapping *mapping = load->options.mapping;

    for (uint16_t i = 0; i < mapping->block_count; i++) {
        uint16_t before = 0;

        for (uint16_t j = 0; j < mapping->block_count; j++) /* types stand in an array of that order */
            before += mapping->blocks[j].type < mapping->blocks[i].type ||
                      (mapping->blocks[j].type == mapping->blocks[i].type && j < i);
        if (before == load->place)
            return &mapping->blocks[i];
    }
    abort();
}

static void give_piece(struct load *load)
{
    struct piece piece = { .first = load->piece_number + 1,
                           .final = true,
                           .nothing_seen = true,
                           .commit_time_us = loop_time_us(),
                           .changes = load->changes,
                           .change_count = load->change_count };

    if (load->change_count == 0 || quiet(load))
        return;
    load->piece_number++;
    load->sink.captured(load->sink.context, &piece);
    load->change_count = 0;
    load->piece_bytes = 0;
    arena_reset(load->arena);
}

static void add_change(struct load *load, const struct change *change)
{
    if (load->change_count == load->change_capacity) {
        load->change_capacity = load->change_capacity ? load->change_capacity * 2 : 256;
        load->changes = reallocarray(load->changes, load->change_capacity, sizeof *load->changes);
        if (!load->changes)
            abort();
    }
    load->changes[load->change_count++] = *change;
    load->piece_bytes += message_change_size(change);
}

static size_t row_bytes(const PGresult *rows, int row)
{
    size_t bytes = 0;

    for (int i = 0; i < PQnfields(rows); i++)
        bytes += (size_t)PQgetlength(rows, row, i);
    return bytes;
}

static void add_row(struct load *load, const PGresult *rows, int row)
{
    const struct mapping_block *block = block_now(load);
    struct value *columns = arena_array(load->arena, block->column_count, sizeof *columns);
    struct change change;
    struct error first;
    uint32_t problems;
    bool keyed;

    for (uint16_t i = 0; i < block->column_count; i++) {
        columns[i].state = PQgetisnull(rows, row, i) ? VALUE_NULL : VALUE_SET;
        columns[i].bytes = PQgetvalue(rows, row, i);
        columns[i].length = (uint32_t)PQgetlength(rows, row, i);
    }
    keyed = change_load(load->arena, block, columns, &change, &problems, &first);
    if (problems > 0 && load->problem_count == 0) {
        load->problem = first;
        load->problem_about = (struct log_about){ .table = block->table, .type = block->type_name };
    }
    load->problem_count += problems;
    load->place_lacks = load->place_lacks || (problems > 0 && (!keyed || block->generated));
    load->place_rows += keyed;
    if (!keyed)
        return;
    change_seal(load->arena, &change, load->seed, load->counter++);
    add_change(load, &change);
    if (load->piece_bytes >= LOAD_PIECE_BYTES)
        give_piece(load);
}

/* How many rows the next FETCH brings: few of large ones. */
static int rows_for(size_t bytes, int rows)
{
    size_t wanted = bytes > 0 ? (size_t)rows * BATCH_BYTES / bytes : LOAD_BATCH_ROWS;

    return wanted < 1 ? 1 : wanted > LOAD_BATCH_ROWS ? LOAD_BATCH_ROWS : (int)wanted;
}

static void finished(void *context, const struct pg_outcome *outcome)
{
    struct load *load = context;

    enter(load);
    if (!outcome->ok) {
        fail(load, &outcome->err);
    } else {
        if (load->problem_count > 0)
            log_about(LOG_WARN, &load->problem_about,
                      "first load: %" PRIu64 " values or rows were left out; the first: %s", load->problem_count,
                      load->problem.text);
        load_end(load);
        load->sink.loaded(load->sink.context, load->lsn);
    }
    leave(load);
}

static void fetch(struct load *load);

/* What of the block's rows was there before and was not given is gone: when the owner has said that a table may be
 * reloaded, and all of it could be read. */
static void end_block(struct load *load)
{
    const struct mapping_block *block = block_now(load);
    struct report report = { .kind = REPORT_COMPLETE,
                             .block = { block->name, (uint32_t)strlen(block->name) },
                             .text = { "empty", load->place_rows == 0 ? strlen("empty") : 0 } };
    struct piece piece = { .first = load->piece_number + 1,
                           .final = true,
                           .nothing_seen = true,
                           .commit_time_us = loop_time_us(),
                           .reports = &report,
                           .report_count = 1 };

    if (block->reload && !load->place_lacks) {
        load->piece_number++;
        load->sink.captured(load->sink.context, &piece);
    }
    load->place++;
    load->place_rows = 0;
    load->place_lacks = false;
}

static void open_block(struct load *load)
{
    load->batch_rows = BATCH_ROWS_FIRST;
    if (load->place < load->options.mapping->block_count) {
        scoped(arena_free) struct arena *arena = arena_new();

        pg_statement(load->pg, cursor_sql(arena, block_now(load)), false, NULL);
        fetch(load);
        return;
    }
    pg_statement(load->pg, "COMMIT", false, NULL);
    pg_sync(load->pg, finished, load);
}

static void fetched(void *context, const struct pg_outcome *outcome)
{
    struct load *load = context;
    const PGresult *rows;
    size_t bytes = 0;

    enter(load);
    if (!outcome->ok) {
        struct error err = outcome->err;

        error_wrap(&err, "table %s.%s", block_now(load)->schema, block_now(load)->table);
        fail(load, &err);
        leave(load);
        return;
    }
    rows = outcome->results[outcome->result_count - 1];
    for (int row = 0; row < PQntuples(rows) && !quiet(load); row++) {
        bytes += row_bytes(rows, row);
        if (load->piece_bytes + row_bytes(rows, row) > LOAD_PIECE_BYTES)
            give_piece(load); /* a large row has a piece to itself */
        add_row(load, rows, row);
    }
    give_piece(load); /* what is collected borrows from these rows */
    if (!quiet(load) && PQntuples(rows) > 0) {
        load->batch_rows = rows_for(bytes, PQntuples(rows));
        load->held = load->paused;
        if (!load->held)
            fetch(load);
    } else if (!quiet(load)) {
        pg_statement(load->pg, "CLOSE selaras_load", false, NULL);
        end_block(load);
        if (!quiet(load))
            open_block(load);
    }
    leave(load);
}

static void fetch(struct load *load)
{
    char sql[64];

    snprintf(sql, sizeof sql, "FETCH %d FROM selaras_load", load->batch_rows);
    pg_statement(load->pg, sql, false, NULL);
    pg_sync(load->pg, fetched, load);
}

static void began(void *context, const struct pg_outcome *outcome)
{
    struct load *load = context;

    enter(load);
    if (outcome->ok)
        open_block(load);
    else
        fail(load, &outcome->err);
    leave(load);
}

static void begin(struct load *load)
{
    char snapshot[128];

    snprintf(snapshot, sizeof snapshot, "SET TRANSACTION SNAPSHOT '%s'", load->snapshot);
    pg_statement(load->pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", false, NULL);
    pg_statement(load->pg, snapshot, false, NULL);
    /* Values are spelled as on the replication connection; a pause may be long. */
    pg_statement(load->pg, "SET LOCAL extra_float_digits = 3", false, NULL);
    pg_statement(load->pg, "SET LOCAL intervalstyle = postgres", false, NULL);
    pg_statement(load->pg, "SET LOCAL bytea_output = hex", false, NULL);
    pg_statement(load->pg, "SET LOCAL statement_timeout = 0", false, NULL);
    /* Rows that a policy hides are an error: the stream shows them. */
    pg_statement(load->pg, "SET LOCAL row_security = off", false, NULL);
    pg_statement(load->pg, "SET LOCAL idle_in_transaction_session_timeout = 0", false, NULL);
    pg_sync(load->pg, began, load);
}

static void created(void *context, const PGresult *result, const char *sqlstate, const struct error *cause)
{
    struct load *load = context;
    struct error err;

    (void)sqlstate;
    enter(load);
    load->creating = false;
    loop_remove(&load->waiting);
    if (!result) {
        err = *cause;
        error_wrap(&err, "cannot create the replication slot %s", load->slot);
        fail(load, &err);
    } else if (PQntuples(result) != 1 || PQnfields(result) < 3) {
        error_set(&err, ERR_STOP, "the server did not say where the new replication slot %s begins", load->slot);
        fail(load, &err);
    } else if (lsn_parse(PQgetvalue(result, 0, 1), &load->lsn, &err) < 0) {
        fail(load, &err);
    } else {
        const char *name = PQgetvalue(result, 0, 2);

        if (name[strspn(name, "0123456789ABCDEFabcdef-")] != '\0' || strlen(name) >= sizeof load->snapshot) {
            error_set(&err, ERR_STOP, "the server exported a snapshot whose name cannot be read");
            fail(load, &err);
        } else {
            snprintf(load->snapshot, sizeof load->snapshot, "%s", name);
            begin(load);
        }
    }
    leave(load);
}

/* Whose end a new slot waits for: all that has a transaction id already. Prepared transactions have no session. */
static const char sql_oldest[] =
    "SELECT who, extract(epoch FROM clock_timestamp() - began)::bigint FROM ("
    " SELECT format('session %s of %s (%s)', pid, usename, coalesce(nullif(application_name, ''), 'no name')) AS who, "
    "xact_start AS began"
    " FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_catalog.pg_backend_pid()"
    " UNION ALL"
    " SELECT format('prepared transaction of %s', owner), prepared FROM pg_catalog.pg_prepared_xacts) AS running"
    " ORDER BY began LIMIT 1";

static void told(void *context, const struct pg_outcome *outcome)
{
    struct load *load = context;
    const PGresult *oldest = outcome->ok ? outcome->results[0] : NULL;

    if (!load->creating || !oldest || PQntuples(oldest) == 0)
        return;
    if (PQgetisnull(oldest, 0, 1))
        log_write(LOG_NOTE,
                  "the new replication slot %s waits for transactions that were running before it; their age is not "
                  "visible to this role (grant it pg_read_all_stats)",
                  load->slot);
    else
        log_write(LOG_NOTE,
                  "the new replication slot %s waits for transactions that were running before it; the oldest, %s, has "
                  "been running for %s s",
                  load->slot, PQgetvalue(oldest, 0, 0), PQgetvalue(oldest, 0, 1));
}

static void waited(void *context)
{
    struct load *load = context;

    pg_statement(load->pg, sql_oldest, true, NULL);
    pg_sync(load->pg, told, load);
}

static void dropped(void *context, const PGresult *result, const char *sqlstate, const struct error *cause)
{
    struct load *load = context;
    char command[160];

    enter(load);
    if (!result && strcmp(sqlstate, "42704") != 0) { /* there was none */
        struct error err = *cause;

        error_wrap(&err, "cannot drop the old replication slot %s", load->slot);
        fail(load, &err);
    } else {
        snprintf(command, sizeof command, "CREATE_REPLICATION_SLOT \"%s\" LOGICAL pgoutput (SNAPSHOT 'export')",
                 load->slot);
        load->creating = true;
        load->waiting = loop_timer(load->loop, WAITING_MS, false, waited, load);
        replication_command(load->replication, command, created);
    }
    leave(load);
}

static void start_when_up(struct load *load)
{
    char command[128];

    if (!load->replication_up || !load->pg_up || load->creating || load->lsn != 0)
        return;
    snprintf(command, sizeof command, "DROP_REPLICATION_SLOT \"%s\"", load->slot);
    replication_command(load->replication, command, dropped);
}

static void on_replication_up(void *context)
{
    struct load *load = context;

    load->replication_up = true;
    start_when_up(load);
}

static void on_replication_lost(void *context, const char *sqlstate, const struct error *err)
{
    struct load *load = context;

    (void)sqlstate;
    enter(load);
    fail(load, err);
    leave(load);
}

static void on_message(void *context, const char *bytes, size_t length)
{
    (void)context;
    (void)bytes;
    (void)length;
    assert(!"this connection never streams");
}

static void on_pg(void *context, bool up, const struct error *err)
{
    struct load *load = context;

    enter(load);
    load->pg_up = up;
    if (up)
        start_when_up(load);
    else
        fail(load, err);
    leave(load);
}

struct load *load_start(struct loop *loop, const struct load_options *options, const struct load_sink *sink)
{
    struct load *load = calloc(1, sizeof *load);

    if (!load)
        abort();
    load->loop = loop;
    load->options = *options;
    load->sink = *sink;
    load->arena = arena_new();
    snprintf(load->slot, sizeof load->slot, "selaras_%s", options->agency);
    if (getrandom(load->seed, sizeof load->seed, 0) != sizeof load->seed)
        abort();
    load->replication = replication_open(
        loop, options->dsn, load->slot,
        &(struct replication_events){
            .context = load, .up = on_replication_up, .message = on_message, .lost = on_replication_lost });
    load->pg = pg_open(loop, options->dsn, load->slot, on_pg, load);
    return load;
}

/* Not inside load_pause: its caller expects no call from there. */
static void resume(void *context)
{
    struct load *load = context;

    if (load->paused || !load->held || quiet(load))
        return;
    load->held = false;
    fetch(load);
}

void load_pause(struct load *load, bool pause)
{
    bool resumes = load->paused && !pause;

    load->paused = pause;
    if (resumes)
        loop_defer(load->loop, resume, load);
}

void load_close(struct load **load)
{
    struct load *closing = *load;

    if (!closing)
        return;
    *load = NULL;
    closing->closed = true;
    loop_defer_cancel(closing->loop, resume, closing);
    if (closing->depth == 0)
        load_free(closing);
}
