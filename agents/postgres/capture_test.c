/* Against a real cluster: SELARAS_TEST_DSN is a superuser's connection string, wal_level is logical. Without it nothing
 * is run. What is written is written by an ordinary blocking connection, what is captured comes from the loop. */
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

static void put_story(const char *fmt, ...)
{
    va_list arguments;

    va_start(arguments, fmt);
    if (story.length < sizeof story.text - 512)
        story.length += (size_t)vsnprintf(story.text + story.length, 512, fmt, arguments);
    va_end(arguments);
}

static void put_value(struct value value)
{
    if (value.state == VALUE_SET)
        put_story("%.*s", value.length > 32 ? 3 : (int)value.length, value.bytes);
    else
        put_story(value.state == VALUE_NULL ? "null" : "-");
}

static void put_change(const struct change *change)
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

static void check_done(void)
{
    if (until())
        loop_end(loop);
}

static void captured(void *context, const struct piece *piece)
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
    for (uint32_t i = 0; i < piece->report_count; i++)
        put_story(" %s %u", report_name(piece->reports[i].kind), (unsigned)piece->reports[i].record);
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

static void idle(void *context, uint64_t lsn)
{
    (void)context;
    assert_true(lsn > story.idle);
    story.idle = lsn;
    check_done();
}

static void loaded(void *context, uint64_t lsn)
{
    (void)context;
    story.loaded = lsn;
    check_done();
}

static void failed(void *context, const struct error *err)
{
    (void)context;
    story.failed = *err;
    loop_end(loop);
}

static void out_of_patience(void *context)
{
    (void)context;
    loop_end(loop);
    put_story("(nothing more came)");
}

static bool passed_wanted(void)
{
    return story.idle >= wanted_lsn || (story.lsn >= wanted_lsn && story.final);
}

static bool was_loaded(void)
{
    return story.loaded > 0;
}

static bool never(void)
{
    return false;
}

static void run(bool (*condition)(void), uint32_t patience_ms)
{
    struct loop_source *patience = loop_timer(loop, patience_ms, true, out_of_patience, NULL);

    until = condition;
    loop_run(loop);
    loop_remove(&patience);
}

static PGresult *query(const char *command)
{
    PGresult *result = PQexec(sql, command);

    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", command, PQerrorMessage(sql));
    return result;
}

static void execute(const char *command)
{
    PQclear(query(command));
}

static uint64_t query_lsn(const char *command)
{
    PGresult *result = query(command);
    struct error err;
    uint64_t lsn;

    assert_int_equal(lsn_parse(PQgetvalue(result, 0, 0), &lsn, &err), 0);
    PQclear(result);
    return lsn;
}

/* Everything that is committed now has been captured; the story of it since the last time. */
static const char *captured_now(void)
{
    wanted_lsn = query_lsn("SELECT pg_current_wal_insert_lsn()");
    execute("SELECT pg_logical_emit_message(false, 'x', 'moves the log on')");
    run(passed_wanted, PATIENCE_MS);
    if (story.failed.code != 0)
        fail_msg("%s", story.failed.text);
    return story.text;
}

static void forget_story(void)
{
    story.length = 0;
    story.text[0] = '\0';
    story.pieces = story.changes = story.largest = 0;
}

static void connect_to(const char *database)
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

static void drop_leftovers(void)
{
    execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '" SLOT "'");
    execute("SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname = '" SLOT "'");
    execute("DROP DATABASE IF EXISTS " DATABASE " WITH (FORCE)");
}

static int set_up(void **state)
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

static int tear_down(void **state)
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

static void start_at(uint64_t lsn, feed_position base)
{
    const struct capture_options options = { .dsn = dsn, .agency = AGENCY, .mapping = &fixture_mapping };
    const struct capture_sink sink = { .captured = captured, .idle = idle, .failed = failed };

    story.lsn = story.idle = 0;
    capture = capture_start(loop, &options, &sink, lsn, base);
}

static void start(void)
{
    start_at(query_lsn("SELECT lsn FROM pg_create_logical_replication_slot('" SLOT "', 'pgoutput')"), POSITION(1));
}

/* Under our origin, which is set up: does what `between` says and tells that `position` is applied. */
static void apply_in_session(feed_position position, const char *between, struct report *reports, uint32_t count)
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
static void apply_ours(feed_position position, const char *between, struct report *reports, uint32_t count)
{
    char command[512], lsn[18];

    lsn_text(position, lsn);
    snprintf(command, sizeof command, "SELECT pg_replication_origin_xact_setup('%s', now()); %s", lsn, between);
    execute("SELECT pg_replication_origin_session_setup('" SLOT "')");
    apply_in_session(position, command, reports, count);
    execute("SELECT pg_replication_origin_session_reset()");
}

static void local_changes_come_net_and_in_commit_order(void **state)
{
    (void)state;
    start();
    execute("INSERT INTO people VALUES (1, '1', 'Siti', 3, NULL)");
    execute("BEGIN; UPDATE people SET size = 4; UPDATE people SET size = 5, extra = 9; COMMIT");
    execute("UPDATE people SET extra = 10");
    execute("BEGIN; DELETE FROM people; INSERT INTO people VALUES (1, '1', 'Siti', 5, NULL); COMMIT");
    execute("UPDATE people SET nik = '2'");
    execute("DELETE FROM people");
    assert_string_equal(captured_now(),
                        "[1:insert 1 nik=1<- name=Siti<- size=3<- note=null<-; ] [1:update 1 size=5<3; ] "
                        "[1:update 2<1 nik=2<1; ] [1:delete 2 nik=-<2 name=-<Siti size=-<5 note=-<null; ] ");
}

static void a_savepoint_that_was_rolled_back_is_not_there(void **state)
{
    (void)state;
    start();
    execute("BEGIN; INSERT INTO people VALUES (1, '1', 'Siti', 3, NULL); SAVEPOINT a; INSERT INTO people VALUES (1, "
            "'2', 'No', 3, NULL); UPDATE people SET size = 9; ROLLBACK TO a; COMMIT");
    execute("BEGIN; DELETE FROM people; ROLLBACK");
    assert_string_equal(captured_now(), "[1:insert 1 nik=1<- name=Siti<- size=3<- note=null<-; ] ");
}

static void an_unchanged_toasted_value_is_no_change_and_a_deleted_one_is_seen(void **state)
{
    (void)state;
    start();
    execute("ALTER TABLE people ALTER note SET STORAGE EXTERNAL");
    execute("INSERT INTO people VALUES (1, '1', 'Siti', 3, repeat('abc', 5000))");
    execute("UPDATE people SET size = 4");
    execute("DELETE FROM people");
    assert_string_equal(captured_now(),
                        "[1:insert 1 nik=1<- name=Siti<- size=3<- note=abc<-; ] [1:update 1 size=4<3; ] "
                        "[1:delete 1 nik=-<1 name=-<Siti size=-<4 note=-<abc; ] ");
}

static void applies_set_the_base_and_are_not_captured_again(void **state)
{
    (void)state;
    start();
    execute("INSERT INTO people VALUES (1, '1', 'Siti', 3, NULL)");
    apply_ours(POSITION(7), "UPDATE people SET name = 'Ours'", NULL, 0);
    execute("UPDATE people SET size = 4");
    assert_string_equal(captured_now(),
                        "[1:insert 1 nik=1<- name=Siti<- size=3<- note=null<-; ] [7:update 1 size=4<3; ] ");
}

static void an_apply_without_row_changes_is_visible_by_its_message(void **state)
{
    (void)state;
    start();
    apply_ours(POSITION(8), "UPDATE people SET name = 'Ours'", NULL, 0); /* of 0 rows */
    execute("INSERT INTO people VALUES (1, '1', 'Siti', 3, NULL)");
    assert_string_equal(captured_now(), "[8:insert 1 nik=1<- name=Siti<- size=3<- note=null<-; ] ");
    forget_story();
    apply_ours(POSITION(9), "SELECT 1", NULL, 0);
    apply_ours(POSITION(10), "SELECT 1", NULL, 0);
    assert_string_equal(captured_now(), "[10:] ");
}

static void reports_come_with_the_apply_that_made_them(void **state)
{
    struct report report = { REPORT_SKIPPED, 77, POSITION(9), { "people", 6 }, { "", 0 } };

    (void)state;
    start();
    apply_ours(POSITION(9), "SELECT 1", &report, 1);
    assert_string_equal(captured_now(), "[9: skipped 77] ");
}

/* What a rolled-back transaction set stays with the session and lands on the next one. */
static void an_origin_position_that_leaked_across_a_rollback_is_overruled_by_the_message(void **state)
{
    (void)state;
    start();
    execute("SELECT pg_replication_origin_session_setup('" SLOT "')");
    execute(
        "BEGIN; SELECT pg_replication_origin_xact_setup('10000/63', now()); INSERT INTO people VALUES (1, '1', 'a', "
        "1, NULL); ROLLBACK");
    apply_in_session(POSITION(5), "INSERT INTO people VALUES (1, '1', 'a', 1, NULL)", NULL, 0);
    execute("SELECT pg_replication_origin_session_reset()");
    execute("UPDATE people SET size = 2");
    assert_string_equal(captured_now(), "[5:update 1 size=2<1; ] ");
}

static void a_row_that_moves_between_partitions_is_nothing(void **state)
{
    (void)state;
    execute("DROP TABLE people");
    execute("CREATE TABLE people (extra int, nik char(8), name text, size int, note text, PRIMARY KEY (nik, extra)) "
            "PARTITION BY LIST (extra)");
    execute("CREATE TABLE people_1 PARTITION OF people FOR VALUES IN (1)");
    execute("CREATE TABLE people_2 PARTITION OF people FOR VALUES IN (2)");
    execute(
        "ALTER TABLE people REPLICA IDENTITY FULL; ALTER TABLE people_1 REPLICA IDENTITY FULL; ALTER TABLE people_2 "
        "REPLICA IDENTITY FULL");
    execute("ALTER PUBLICATION selaras ADD TABLE people");
    start();
    execute("INSERT INTO people VALUES (1, '1', 'Siti', 3, NULL)");
    execute("UPDATE people SET extra = 2");
    execute("UPDATE people SET extra = 1, size = 4");
    assert_string_equal(captured_now(),
                        "[1:insert 1 nik=1<- name=Siti<- size=3<- note=null<-; ] [1:update 1 size=4<3; ] ");
}

static void a_table_may_change_within_a_transaction(void **state)
{
    (void)state;
    start();
    execute("BEGIN; INSERT INTO people VALUES (1, '1', 'Siti', 3, NULL); ALTER TABLE people DROP extra, ADD more int "
            "DEFAULT 5; UPDATE people SET note = 'n', more = 6; COMMIT");
    assert_string_equal(captured_now(), "[1:insert 1 nik=1<- name=Siti<- size=3<- note=n<-; ] ");
}

static void a_mapped_column_that_is_dropped_stops(void **state)
{
    (void)state;
    start();
    execute("BEGIN; ALTER TABLE people DROP note; INSERT INTO people VALUES (1, '1', 'Siti', 3); COMMIT");
    run(never, PATIENCE_MS);
    assert_int_equal(story.failed.code, ERR_STOP);
    assert_non_null(strstr(story.failed.text, "column note"));
}

static void a_truncate_stops_and_names_the_table(void **state)
{
    (void)state;
    start();
    execute("TRUNCATE people");
    run(never, PATIENCE_MS);
    assert_int_equal(story.failed.code, ERR_LOST);
    assert_non_null(strstr(story.failed.text, "public.people"));
}

static void a_missing_slot_stops(void **state)
{
    (void)state;
    start_at(1, POSITION(1));
    run(never, PATIENCE_MS);
    assert_int_equal(story.failed.code, ERR_LOST);
    assert_non_null(strstr(story.failed.text, "the replication slot " SLOT " is gone"));
}

static void an_invalidated_slot_stops(void **state)
{
    uint64_t lsn = query_lsn("SELECT lsn FROM pg_create_logical_replication_slot('" SLOT "', 'pgoutput')");

    (void)state;
    execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
    execute("SELECT pg_reload_conf()");
    for (int i = 0; i < 8; i++) {
        execute("SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000000))");
        execute("SELECT pg_switch_wal()");
        execute("CHECKPOINT");
    }
    start_at(lsn, POSITION(1));
    run(never, PATIENCE_MS);
    execute("ALTER SYSTEM RESET max_slot_wal_keep_size");
    execute("SELECT pg_reload_conf()");
    assert_int_equal(story.failed.code, ERR_LOST);
    assert_non_null(strstr(story.failed.text, "cannot be read any more"));
}

static void a_slot_in_use_and_a_lost_connection_are_tried_again(void **state)
{
    struct capture *other;
    const struct capture_options options = { .dsn = dsn, .agency = AGENCY, .mapping = &fixture_mapping };
    const struct capture_sink sink = { .captured = captured, .idle = idle, .failed = failed };

    (void)state;
    start();
    captured_now();
    other = capture_start(loop, &options, &sink, 1, POSITION(1));
    run(never, PATIENCE_MS);
    assert_int_equal(story.failed.code, ERR_RETRY);
    assert_non_null(strstr(story.failed.text, "in use"));
    capture_close(&other);
    story.failed = (struct error){ 0 };
    execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '" SLOT "'");
    run(never, PATIENCE_MS);
    assert_int_equal(story.failed.code, ERR_RETRY);
}

static void a_missing_publication_stops(void **state)
{
    (void)state;
    start();
    execute("DROP PUBLICATION selaras");
    execute("INSERT INTO people VALUES (1, '1', 'Siti', 3, NULL)");
    run(never, PATIENCE_MS);
    assert_int_equal(story.failed.code, ERR_LOST);
    assert_non_null(strstr(story.failed.text, "publication"));
}

static void a_fence_row_comes_through_the_stream(void **state)
{
    (void)state;
    start();
    execute("INSERT INTO selaras.fence VALUES (41, '\\x000102030405060708090a0b0c0d0e0f')");
    execute("DELETE FROM selaras.fence WHERE seq < 41");
    assert_string_equal(captured_now(), "[1:] ");
    assert_int_equal(story.fence.seq, 41);
    assert_int_equal(story.fence.token[15], 15);
}

static uint64_t confirmed(void)
{
    return query_lsn("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '" SLOT "'");
}

static void the_slot_follows_only_what_was_advanced(void **state)
{
    uint64_t began, lsn;

    (void)state;
    start();
    began = confirmed();
    execute("INSERT INTO people VALUES (1, '1', 'Siti', 3, NULL)");
    captured_now();
    lsn = story.lsn;
    run(never, 2500);
    assert_int_equal(confirmed(), began);
    capture_advance(capture, lsn);
    run(never, 2500);
    assert_int_equal(confirmed(), lsn);
    lsn = story.idle;
    capture_advance(capture, lsn);
    run(never, 2500);
    assert_int_equal(confirmed(), lsn);
}

static void a_restart_goes_on_exactly_where_it_was_told(void **state)
{
    uint64_t lsn;

    (void)state;
    start();
    execute("INSERT INTO people VALUES (1, '1', 'Siti', 3, NULL)");
    captured_now();
    lsn = story.lsn;
    capture_close(&capture);
    forget_story();
    execute("UPDATE people SET size = 4");
    execute("SELECT pg_sleep(0.2)");
    start_at(lsn, POSITION(1));
    assert_string_equal(captured_now(), "[1:update 1 size=4<3; ] ");
}

static void a_capture_that_is_paused_from_the_start_holds_the_slot_and_reads_nothing(void **state)
{
    PGresult *active;

    (void)state;
    start();
    capture_pause(capture, true);
    execute("INSERT INTO people VALUES (1, '1', 'Siti', 3, NULL)");
    run(never, 1500);
    assert_int_equal(story.pieces, 0);
    active = query("SELECT 1 FROM pg_replication_slots WHERE slot_name = '" SLOT "' AND active");
    assert_int_equal(PQntuples(active), 1);
    PQclear(active);
    capture_pause(capture, false);
    captured_now();
    assert_int_equal(story.changes, 1);
}

static void a_large_transaction_comes_in_pieces_and_waits_while_paused(void **state)
{
    uint32_t before;

    (void)state;
    start();
    captured_now();
    forget_story();
    pause_each = true;
    execute("INSERT INTO people SELECT 1, g, repeat('n', 100), g, NULL FROM generate_series(1, 20000) g");
    run(never, 2500);
    assert_int_equal(story.pieces, 1);
    assert_false(story.final);
    for (before = 0; !story.final && before < story.pieces;) {
        before = story.pieces;
        capture_pause(capture, false);
        run(never, 100);
        assert_int_equal(story.pieces, before + 1);
    }
    assert_int_equal(story.changes, 20000);
    assert_true(story.pieces > 4);
}

static void start_load(void)
{
    const struct load_options options = { .dsn = dsn, .agency = AGENCY, .mapping = &fixture_mapping };
    const struct load_sink sink = { .captured = captured, .loaded = loaded, .failed = failed };

    load = load_start(loop, &options, &sink);
}

static bool some_piece(void)
{
    return story.pieces > 0;
}

static bool slot_is_active(void)
{
    PGresult *result = query("SELECT active FROM pg_replication_slots WHERE slot_name = '" SLOT "'");
    bool active = PQgetvalue(result, 0, 0)[0] == 't';

    PQclear(result);
    return active;
}

/* A server that cannot write to us cannot give the slot up: its checkpoints would wait for ever. */
static void what_is_not_read_for_long_is_given_back_and_read_again(void **state)
{
    (void)state;
    start();
    captured_now();
    forget_story();
    pause_each = true;
    execute("INSERT INTO people SELECT 1, g, repeat('n', 100), g, NULL FROM generate_series(1, 20000) g");
    execute("INSERT INTO people SELECT 2, g, repeat('n', 100), g, NULL FROM generate_series(20001, 40000) g");
    run(some_piece, PATIENCE_MS);
    for (int i = 0; i < 40 && slot_is_active(); i++)
        run(never, 500);
    assert_false(slot_is_active());
    assert_int_equal(story.pieces, 1);
    pause_each = false;
    capture_pause(capture, false);
    captured_now();
    assert_int_equal(story.changes, 40000); /* each once, the part of the first transaction that was not given too */
    forget_story();
    execute("DELETE FROM people WHERE nik = '1'");
    assert_string_equal(captured_now(), "[1:delete 1 nik=-<1 name=-<nnn size=-<1 note=-<null; ] ");
}

static void a_load_and_the_stream_after_it_meet_exactly(void **state)
{
    (void)state;
    execute("INSERT INTO people SELECT 1, g, repeat('n', 100), g, NULL FROM generate_series(1, 20000) g");
    pause_each = true;
    start_load();
    run(some_piece, PATIENCE_MS);
    assert_int_equal(story.failed.code, 0);
    run(never, 500);
    assert_true(story.changes < 2000);                 /* paused: only what was fetched already */
    execute("DELETE FROM people WHERE nik = '20000'"); /* after the snapshot: loaded, then deleted by the stream */
    execute("INSERT INTO people VALUES (1, '20001', 'Siti', 3, NULL)");
    pause_each = false;
    load_pause(load, false);
    run(was_loaded, PATIENCE_MS);
    assert_int_equal(story.failed.code, 0);
    assert_int_equal(story.changes, 20000);
    assert_true(story.pieces > 8);
    load_close(&load);
    forget_story();
    start_at(story.loaded, POSITION(3));
    captured_now();
    assert_int_equal(story.changes, 2);
    assert_non_null(strstr(story.text, "[3:delete 20000 "));
    assert_non_null(strstr(story.text, "[3:insert 20001 "));
}

/* Rows that commit while the slot is being made are either loaded or streamed. */
static void a_load_amid_writes_misses_none_and_has_none_twice(void **state)
{
    PGconn *busy = PQconnectdb(dsn);

    (void)state;
    assert_int_equal(PQsendQuery(busy,
                                 "DO $$ BEGIN FOR i IN 1..20000 LOOP INSERT INTO people VALUES (1, i, 'n', 1, NULL); "
                                 "COMMIT; END LOOP; END $$"),
                     1);
    execute("SELECT pg_sleep(0.1)");
    start_load();
    run(was_loaded, PATIENCE_MS);
    assert_int_equal(story.failed.code, 0);
    assert_true(story.changes > 0);
    assert_true(story.changes < 20000);
    load_close(&load);
    PQclear(PQgetResult(busy));
    PQfinish(busy);
    start_at(story.loaded, POSITION(3));
    captured_now();
    assert_int_equal(story.changes, 20000);
}

static void a_load_reads_values_as_the_stream_spells_them(void **state)
{
    (void)state;
    execute("INSERT INTO people VALUES (1, '1', 'Siti', 3, NULL)");
    start_load();
    run(was_loaded, PATIENCE_MS);
    assert_string_equal(story.text, "[0:load 1 nik=1<- name=Siti<- size=3<- note=null<-; ] ");
}

static void a_load_replaces_an_old_slot_and_an_empty_table_is_loaded_too(void **state)
{
    uint64_t old = query_lsn("SELECT lsn FROM pg_create_logical_replication_slot('" SLOT "', 'pgoutput')");

    (void)state;
    start_load();
    run(was_loaded, PATIENCE_MS);
    assert_int_equal(story.failed.code, 0);
    assert_int_equal(story.changes, 0);
    assert_true(story.loaded > old);
}

static void a_load_waits_for_transactions_that_were_running(void **state)
{
    PGconn *slow = PQconnectdb(dsn);

    (void)state;
    PQclear(PQexec(slow, "BEGIN"));
    PQclear(PQexec(slow, "INSERT INTO people VALUES (1, '1', 'Siti', 3, NULL)"));
    start_load();
    run(was_loaded, 11500); /* long enough to see that it says so */
    assert_int_equal(story.loaded, 0);
    assert_int_equal(story.failed.code, 0);
    PQclear(PQexec(slow, "COMMIT"));
    run(was_loaded, PATIENCE_MS);
    assert_int_equal(story.changes, 1);
    PQfinish(slow);
}

static void a_load_whose_table_is_gone_stops_and_one_whose_link_breaks_is_tried_again(void **state)
{
    (void)state;
    execute("ALTER TABLE people RENAME TO others");
    start_load();
    run(was_loaded, PATIENCE_MS);
    assert_int_equal(story.failed.code, ERR_STOP);
    assert_non_null(strstr(story.failed.text, "public.people"));
    load_close(&load);
    story.failed = (struct error){ 0 };
    execute("ALTER TABLE others RENAME TO people");
    execute("INSERT INTO people SELECT 1, g, repeat('n', 100), g, NULL FROM generate_series(1, 20000) g");
    pause_each = true;
    start_load();
    run(some_piece, PATIENCE_MS);
    execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '" SLOT
            "' AND backend_type = 'walsender'");
    run(was_loaded, PATIENCE_MS);
    assert_int_equal(story.failed.code, ERR_RETRY);
}

/* A load of some rows would look like a load of all, and the others be taken for deleted or new. */
static void a_load_from_which_a_policy_hides_rows_stops(void **state)
{
    size_t length = strlen(dsn);

    (void)state;
    execute("DROP ROLE IF EXISTS capturetest_clerk");
    execute("CREATE ROLE capturetest_clerk");
    execute("GRANT SELECT ON people TO capturetest_clerk");
    execute("INSERT INTO people VALUES (1, 'a', 'A', 1, NULL), (2, 'b', 'B', 2, NULL)");
    execute("ALTER TABLE people ENABLE ROW LEVEL SECURITY");
    execute("CREATE POLICY visible ON people USING (extra = 1)");
    snprintf(dsn + length, sizeof dsn - length, " options='-c role=capturetest_clerk'");
    start_load();
    run(was_loaded, PATIENCE_MS);
    dsn[length] = '\0';
    assert_int_equal(story.failed.code, ERR_STOP);
    assert_non_null(strstr(story.failed.text, "row-level security"));
    execute("DROP TABLE people");
    execute("DROP ROLE capturetest_clerk");
}

int main(void)
{
#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        UNIT(local_changes_come_net_and_in_commit_order),
        UNIT(a_savepoint_that_was_rolled_back_is_not_there),
        UNIT(an_unchanged_toasted_value_is_no_change_and_a_deleted_one_is_seen),
        UNIT(applies_set_the_base_and_are_not_captured_again),
        UNIT(an_apply_without_row_changes_is_visible_by_its_message),
        UNIT(reports_come_with_the_apply_that_made_them),
        UNIT(an_origin_position_that_leaked_across_a_rollback_is_overruled_by_the_message),
        UNIT(a_row_that_moves_between_partitions_is_nothing),
        UNIT(a_table_may_change_within_a_transaction),
        UNIT(a_mapped_column_that_is_dropped_stops),
        UNIT(a_truncate_stops_and_names_the_table),
        UNIT(a_missing_slot_stops),
        UNIT(an_invalidated_slot_stops),
        UNIT(a_slot_in_use_and_a_lost_connection_are_tried_again),
        UNIT(a_missing_publication_stops),
        UNIT(a_fence_row_comes_through_the_stream),
        UNIT(the_slot_follows_only_what_was_advanced),
        UNIT(a_restart_goes_on_exactly_where_it_was_told),
        UNIT(a_capture_that_is_paused_from_the_start_holds_the_slot_and_reads_nothing),
        UNIT(a_large_transaction_comes_in_pieces_and_waits_while_paused),
        UNIT(what_is_not_read_for_long_is_given_back_and_read_again),
        UNIT(a_load_and_the_stream_after_it_meet_exactly),
        UNIT(a_load_amid_writes_misses_none_and_has_none_twice),
        UNIT(a_load_reads_values_as_the_stream_spells_them),
        UNIT(a_load_replaces_an_old_slot_and_an_empty_table_is_loaded_too),
        UNIT(a_load_waits_for_transactions_that_were_running),
        UNIT(a_load_whose_table_is_gone_stops_and_one_whose_link_breaks_is_tried_again),
        UNIT(a_load_from_which_a_policy_hides_rows_stops),
    };
#undef UNIT

    server = getenv("SELARAS_TEST_DSN");
    if (!server) {
        printf("skipped: SELARAS_TEST_DSN names no cluster\n");
        return 77; /* meson: skipped */
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
