/* capture_fixture.h: for tests of capture and load against a real cluster: SELARAS_TEST_DSN is a superuser's connection
 * string, wal_level is logical; without it nothing is run. What is written is written by an ordinary blocking
 * connection, what is captured comes from the loop. */
#ifndef SELARAS_CAPTURE_FIXTURE_H
#define SELARAS_CAPTURE_FIXTURE_H

#include "agents/postgres/applied.h"
#include "agents/postgres/capture.h"
#include "agents/postgres/load.h"
#include "agents/postgres/replication.h"
#include "agents/postgres/stream_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <libpq-fe.h>

#define DATABASE "selaras_capture_test"
#define AGENCY "capturetest"
#define SLOT "selaras_" AGENCY
#define POSITION(n) ((UINT64_C(1) << 48) + (n))
enum { PATIENCE_MS = 20000 };

/* What was captured, as text: "[base: changes] " for each piece, bases without their ledger epoch. */
struct story {
    char text[1 << 16];
    size_t length;
    uint32_t pieces, changes, largest;
    uint64_t lsn, idle, loaded;
    struct fence fence;
    bool final;
    struct error failed;
};

static const char *server;
static char dsn[1024];
static PGconn *sql;
static struct loop *loop;
static struct capture *capture;
static struct load *load;
static struct story story;
static uint64_t wanted_lsn;
static bool (*until)(void);
static bool pause_each;

static inline void put_story(const char *fmt, ...)
{
    va_list arguments;

    va_start(arguments, fmt);
    if (story.length < sizeof story.text - 512)
        story.length += (size_t)vsnprintf(story.text + story.length, 512, fmt, arguments);
    va_end(arguments);
}

static inline void put_value(struct value value)
{
    if (value.state == VALUE_SET)
        put_story("%.*s", value.length > 32 ? 3 : (int)value.length, value.bytes);
    else
        put_story(value.state == VALUE_NULL ? "null" : "-");
}

static inline void put_change(const struct change *change)
{
    put_story("%s %.*s", operation_name(change->operation), (int)change->key.length, change->key.bytes);
    if (change->old_key.length > 0)
        put_story("<%.*s", (int)change->old_key.length, change->old_key.bytes);
    for (uint16_t i = 0; i < change->field_count; i++) {
        put_story(" %.*s=", (int)change->fields[i].name.length, change->fields[i].name.bytes);
        put_value(change->fields[i].value);
        put_story("<");
        put_value(change->fields[i].old);
    }
    put_story("; ");
}

static inline void check_done(void)
{
    if (until())
        loop_end(loop);
}

static inline void captured(void *context, const struct piece *piece)
{
    (void)context;
    story.pieces++;
    story.changes += piece->change_count;
    story.final = piece->final;
    if (piece->change_count > story.largest)
        story.largest = piece->change_count;
    if (piece->lsn > 0) {
        assert_true(piece->lsn >= story.lsn);
        story.lsn = piece->lsn;
    }
    put_story("[%u:", (unsigned)FEED_SEQUENCE(piece->base));
    if (piece->fence.seq > 0)
        story.fence = piece->fence;
    for (uint32_t i = 0; i < piece->report_count; i++) {
        const struct report *report = &piece->reports[i];

        put_story(" %s %u", report_name(report->kind), (unsigned)report->record);
        if (report->kind == REPORT_COMPLETE && report->text.length > 0)
            put_story(" %.*s", (int)report->text.length, report->text.bytes);
    }
    for (uint32_t i = 0; i < piece->change_count; i++) {
        assert_true(change_committed(&piece->changes[i]));
        if (piece->change_count < 20)
            put_change(&piece->changes[i]);
    }
    put_story("] ");
    if (pause_each && capture)
        capture_pause(capture, true);
    if (pause_each && load)
        load_pause(load, true);
    check_done();
}

static inline void idle(void *context, uint64_t lsn)
{
    (void)context;
    assert_true(lsn > story.idle);
    story.idle = lsn;
    check_done();
}

static inline void loaded(void *context, uint64_t lsn)
{
    (void)context;
    story.loaded = lsn;
    check_done();
}

static inline void failed(void *context, const struct error *err)
{
    (void)context;
    story.failed = *err;
    loop_end(loop);
}

static inline void out_of_patience(void *context)
{
    (void)context;
    loop_end(loop);
    put_story("(nothing more came)");
}

static inline bool passed_wanted(void)
{
    return story.idle >= wanted_lsn || (story.lsn >= wanted_lsn && story.final);
}

static inline bool was_loaded(void)
{
    return story.loaded > 0;
}

static inline bool never(void)
{
    return false;
}

static inline void run(bool (*condition)(void), uint32_t patience_ms)
{
    struct loop_source *patience = loop_timer(loop, patience_ms, true, out_of_patience, NULL);

    until = condition;
    loop_run(loop);
    loop_remove(&patience);
}

static inline PGresult *query(const char *command)
{
    PGresult *result = PQexec(sql, command);

    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", command, PQerrorMessage(sql));
    return result;
}

static inline void execute(const char *command)
{
    PQclear(query(command));
}

static inline uint64_t query_lsn(const char *command)
{
    PGresult *result = query(command);
    struct error err;
    uint64_t lsn;

    assert_int_equal(lsn_parse(PQgetvalue(result, 0, 0), &lsn, &err), 0);
    PQclear(result);
    return lsn;
}

/* Everything that is committed now has been captured; the story of it since the last time. */
static inline const char *captured_now(void)
{
    wanted_lsn = query_lsn("SELECT pg_current_wal_insert_lsn()");
    execute("SELECT pg_logical_emit_message(false, 'x', 'moves the log on')");
    run(passed_wanted, PATIENCE_MS);
    if (story.failed.code != 0)
        fail_msg("%s", story.failed.text);
    return story.text;
}

static inline void forget_story(void)
{
    story.length = 0;
    story.text[0] = '\0';
    story.pieces = story.changes = story.largest = 0;
}

static inline void connect_to(const char *database)
{
    PQconninfoOption *options = PQconninfoParse(server, NULL);
    size_t length = 0;

    assert_non_null(options);
    for (PQconninfoOption *option = options; option->keyword; option++) {
        if (option->val && strcmp(option->keyword, "dbname") != 0)
            length += (size_t)snprintf(dsn + length, sizeof dsn - length, "%s='%s' ", option->keyword, option->val);
    }
    snprintf(dsn + length, sizeof dsn - length, "dbname='%s'", database);
    PQconninfoFree(options);
    PQfinish(sql);
    sql = PQconnectdb(dsn);
    if (PQstatus(sql) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(sql));
    execute("SET client_min_messages = warning");
}

static inline void drop_leftovers(void)
{
    execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '" SLOT "'");
    execute("SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname = '" SLOT "'");
    execute("DROP DATABASE IF EXISTS " DATABASE " WITH (FORCE)");
}

static inline int set_up(void **state)
{
    (void)state;
    connect_to("postgres");
    drop_leftovers();
    execute("CREATE DATABASE " DATABASE " TEMPLATE template0 ENCODING 'UTF8'");
    connect_to(DATABASE);
    execute("CREATE SCHEMA selaras");
    execute("CREATE TABLE selaras.fence (seq bigint PRIMARY KEY, token bytea NOT NULL, at timestamptz NOT NULL DEFAULT "
            "now())");
    execute("CREATE TABLE people (extra int, nik char(8) PRIMARY KEY, name text, size int, note text)");
    execute("ALTER TABLE people REPLICA IDENTITY FULL");
    execute("CREATE PUBLICATION selaras FOR TABLE people, selaras.fence WITH (publish_via_partition_root = true)");
    execute("SELECT pg_replication_origin_create('" SLOT "')");
    loop = loop_new();
    memset(&story, 0, sizeof story);
    pause_each = false;
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    capture_close(&capture);
    load_close(&load);
    loop_free(&loop);
    connect_to("postgres");
    for (int i = 0; i < 100; i++) { /* the server ends the stream a moment later */
        PGresult *active = query("SELECT 1 FROM pg_replication_slots WHERE slot_name = '" SLOT "' AND active");
        bool gone = PQntuples(active) == 0;

        PQclear(active);
        if (gone)
            break;
        execute("SELECT pg_sleep(0.05)");
    }
    drop_leftovers();
    PQfinish(sql);
    sql = NULL;
    return 0;
}

static inline void start_at(uint64_t lsn, feed_position base)
{
    const struct capture_options options = { .dsn = dsn, .agency = AGENCY, .mapping = &fixture_mapping };
    const struct capture_sink sink = { .captured = captured, .idle = idle, .failed = failed };

    story.lsn = story.idle = 0;
    capture = capture_start(loop, &options, &sink, lsn, base);
}

static inline void start(void)
{
    start_at(query_lsn("SELECT lsn FROM pg_create_logical_replication_slot('" SLOT "', 'pgoutput')"), POSITION(1));
}

/* Under our origin, which is set up: does what `between` says and tells that `position` is applied. */
static inline void apply_in_session(feed_position position, const char *between, struct report *reports, uint32_t count)
{
    struct buffer content = { 0 };
    char command[1024];
    size_t at;

    applied_pack(&(struct applied){ .position = position, .reports = reports, .report_count = count }, &content);
    at = (size_t)snprintf(command, sizeof command, "BEGIN; %s; SELECT pg_logical_emit_message(true, 'selaras', '\\x",
                          between);
    for (size_t i = 0; i < content.length; i++)
        at += (size_t)snprintf(command + at, sizeof command - at, "%02x", (unsigned char)content.bytes[i]);
    snprintf(command + at, sizeof command - at, "'::bytea); COMMIT");
    execute(command);
    buffer_free(&content);
}

/* One apply of ours: `between` is what it does. */
static inline void apply_ours(feed_position position, const char *between, struct report *reports, uint32_t count)
{
    char command[512], lsn[18];

    lsn_text(position, lsn);
    snprintf(command, sizeof command, "SELECT pg_replication_origin_xact_setup('%s', now()); %s", lsn, between);
    execute("SELECT pg_replication_origin_session_setup('" SLOT "')");
    apply_in_session(position, command, reports, count);
    execute("SELECT pg_replication_origin_session_reset()");
}

static inline bool some_piece(void)
{
    return story.pieces > 0;
}

static inline bool slot_is_active(void)
{
    PGresult *result = query("SELECT active FROM pg_replication_slots WHERE slot_name = '" SLOT "'");
    bool active = PQgetvalue(result, 0, 0)[0] == 't';

    PQclear(result);
    return active;
}

#endif
