#include "agents/postgres/capture_fixture.h"

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

#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
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
    };

    server = getenv("SELARAS_TEST_DSN");
    if (!server) {
        printf("skipped: SELARAS_TEST_DSN names no cluster\n");
        return 77; /* meson: skipped */
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
