#include "agents/postgres/capture_fixture.h"

static void start_load(void)
{
    const struct load_options options = { .dsn = dsn, .agency = AGENCY, .mapping = &fixture_mapping };
    const struct load_sink sink = { .captured = captured, .loaded = loaded, .failed = failed };

    load = load_start(loop, &options, &sink);
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

static const char *reports_of_load(void)
{
    forget_story();
    story.loaded = 0;
    start_load();
    run(was_loaded, PATIENCE_MS);
    load_close(&load);
    return story.text;
}

/* What is missing then is gone, so that nothing may be missing for another reason. */
static void a_load_says_that_it_was_all_where_that_matters(void **state)
{
    (void)state;
    execute("INSERT INTO people VALUES (1, '1', 'Siti', 3, NULL)");
    assert_null(strstr(reports_of_load(), "complete"));
    fixture_block.reload = true;
    assert_non_null(strstr(reports_of_load(), "complete 0]"));
    execute("INSERT INTO people VALUES (1, '', 'Budi', 3, NULL)"); /* no key: he is not loaded */
    assert_null(strstr(reports_of_load(), "complete"));
    execute("DELETE FROM people");
    assert_non_null(strstr(reports_of_load(), "complete 0 empty]"));
    fixture_block.reload = false;
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

#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(a_load_and_the_stream_after_it_meet_exactly),
        UNIT(a_load_amid_writes_misses_none_and_has_none_twice),
        UNIT(a_load_reads_values_as_the_stream_spells_them),
        UNIT(a_load_says_that_it_was_all_where_that_matters),
        UNIT(a_load_replaces_an_old_slot_and_an_empty_table_is_loaded_too),
        UNIT(a_load_waits_for_transactions_that_were_running),
        UNIT(a_load_whose_table_is_gone_stops_and_one_whose_link_breaks_is_tried_again),
        UNIT(a_load_from_which_a_policy_hides_rows_stops),
    };

    server = getenv("SELARAS_TEST_DSN");
    if (!server) {
        printf("skipped: SELARAS_TEST_DSN names no cluster\n");
        return 77; /* meson: skipped */
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
