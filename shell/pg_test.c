/* Units, their failures, and the loss of the connection. */
#include "shell/pg_fixture.h"

/* ---- Units ---- */

static void units_are_told_in_order_with_their_results(void **unused)
{
    (void)unused;
    needs_server();
    run("SELECT 'zero'", 0);
    pg_statement(scene.pg, "INSERT INTO public.pg_test VALUES (1, 'a')", false, NULL);
    pg_statement(scene.pg, "SELECT count(*) FROM public.pg_test", false, NULL);
    pg_sync(scene.pg, done, &numbers[1]);
    run("SELECT 'two'", 2);
    assert_int_equal(pg_pending(scene.pg), 3);
    wait_for(3);
    assert_string_equal(scene.told, "012");
    assert_int_equal(pg_pending(scene.pg), 0);
    assert_value(0, "zero");
    assert_value(1, "1");
    assert_int_equal(scene.outcomes[1].result_count, 2);
    assert_value(2, "two");
}

static void an_empty_unit_is_told_too(void **unused)
{
    (void)unused;
    needs_server();
    pg_sync(scene.pg, done, &numbers[0]);
    run("SELECT 1", 1);
    wait_for(2);
    assert_string_equal(scene.told, "01");
    assert_true(scene.outcomes[0].ok);
}

static void the_session_is_as_we_insist(void **unused)
{
    (void)unused;
    needs_server();
    run("SELECT current_setting('search_path') || '|' || current_setting('DateStyle') || '|' || "
        "current_setting('TimeZone') || '|'"
        " || current_setting('client_encoding') || '|' || current_setting('application_name')",
        0);
    wait_for(1);
    assert_value(0, "|ISO, MDY|UTC|UTF8|pg_test");
}

/* ---- Failures ---- */

static void a_unit_that_fails_in_the_middle_leaves_the_others_alone(void **unused)
{
    (void)unused;
    needs_server();
    run("INSERT INTO public.pg_test VALUES (1, 'a')", 0);
    pg_statement(scene.pg, "INSERT INTO public.pg_test VALUES (2, 'b')", false, NULL);
    pg_statement(scene.pg, "INSERT INTO public.pg_test VALUES (1, 'c')", false, NULL);
    pg_statement(scene.pg, "INSERT INTO public.pg_test VALUES (3, 'd')", false, NULL);
    pg_sync(scene.pg, done, &numbers[1]);
    run("SELECT string_agg(id::text, ',' ORDER BY id) FROM public.pg_test", 2);
    wait_for(3);
    assert_string_equal(scene.told, "012");
    assert_failed(1, ERR_REJECT, "23505");
    assert_int_equal(scene.outcomes[1].failed, 1);
    assert_int_equal(scene.outcomes[1].result_count, 1);
    assert_non_null(strstr(scene.outcomes[1].err.text, "pg_test_pkey"));
    assert_value(2, "1"); /* the unit was one transaction */
}

static void a_deferred_constraint_fails_the_end_of_its_unit(void **unused)
{
    (void)unused;
    needs_server();
    pg_statement(scene.pg, "SET CONSTRAINTS ALL DEFERRED", false, NULL);
    pg_statement(scene.pg, "INSERT INTO public.pg_test VALUES (1, 'a'), (2, 'a')", false, NULL);
    pg_sync(scene.pg, done, &numbers[0]);
    run("SELECT count(*) FROM public.pg_test", 1);
    wait_for(2);
    assert_failed(0, ERR_REJECT, "23505");
    assert_int_equal(scene.outcomes[0].failed, 2);
    assert_value(1, "0");
}

static void behind_a_failure_after_begin_stands_a_rollback(void **unused)
{
    (void)unused;
    needs_server();
    pg_statement(scene.pg, "BEGIN", false, NULL);
    pg_statement(scene.pg, "INSERT INTO public.pg_test VALUES (1, 'a')", false, NULL);
    pg_statement(scene.pg, "SELECT 1/0", false, NULL);
    pg_statement(scene.pg, "COMMIT", false, NULL);
    pg_sync(scene.pg, done, &numbers[0]);
    wait_for(1);
    assert_failed(0, ERR_REJECT, "22012");
    assert_int_equal(pg_pending(scene.pg), 0); /* the ROLLBACK is nobody's */
    run("SELECT count(*) FROM public.pg_test", 1);
    wait_for(1);
    assert_value(1, "0");
}

/* What was sent before the failure was known runs in the failed transaction, without effect; what comes later does not.
 */
static void units_on_their_way_behind_it_are_to_be_tried_again(void **unused)
{
    (void)unused;
    needs_server();
    pg_statement(scene.pg, "BEGIN", false, NULL);
    pg_statement(scene.pg, "SELECT 1/0", false, NULL);
    pg_sync(scene.pg, done, &numbers[0]);
    run("INSERT INTO public.pg_test VALUES (1, 'a')", 1);
    run("COMMIT", 2);
    wait_for(3);
    run("SELECT count(*) FROM public.pg_test", 3);
    wait_for(1);
    assert_failed(0, ERR_REJECT, "22012");
    assert_failed(1, ERR_RETRY, "25P02");
    assert_failed(2, ERR_RETRY, "25P02"); /* PostgreSQL calls it a success: it did roll back */
    assert_value(3, "0");
}

static void a_commit_behind_our_rollback_is_no_success(void **unused)
{
    (void)unused;
    needs_server();
    pg_statement(scene.pg, "BEGIN", false, NULL);
    pg_statement(scene.pg, "SELECT 1/0", false, NULL);
    pg_sync(scene.pg, done, &numbers[0]);
    wait_for(1);
    run("COMMIT", 1);
    wait_for(1);
    assert_failed(1, ERR_RETRY, "25P02");
}

static void a_failure_while_a_unit_is_being_queued_does_not_cut_it_in_two(void **unused)
{
    (void)unused;
    needs_server();
    pg_statement(scene.pg, "BEGIN", false, NULL);
    pg_statement(scene.pg, "SELECT 1/0", false, NULL);
    pg_sync(scene.pg, done, &numbers[0]);
    pg_statement(scene.pg, "INSERT INTO public.pg_test VALUES (1, 'a')", false, NULL);
    wait_for(1);
    pg_statement(scene.pg, "INSERT INTO public.pg_test VALUES (2, 'b')", false, NULL);
    pg_sync(scene.pg, done, &numbers[1]);
    run("SELECT count(*) FROM public.pg_test", 2);
    wait_for(2);
    assert_failed(1, ERR_RETRY, "25P02");
    assert_value(2, "0");
}

static void a_transaction_may_go_on_from_unit_to_unit(void **unused)
{
    (void)unused;
    needs_server();
    pg_statement(scene.pg, "BEGIN", false, NULL);
    run("INSERT INTO public.pg_test VALUES (1, 'a')", 0);
    run("INSERT INTO public.pg_test VALUES (2, 'b')", 1);
    run("COMMIT", 2);
    run("SELECT count(*) FROM public.pg_test", 3);
    wait_for(4);
    assert_true(scene.outcomes[2].ok);
    assert_value(3, "2");
}

static void a_held_transaction_goes_on_from_its_savepoint(void **unused)
{
    (void)unused;
    needs_server();
    pg_hold(scene.pg, true);
    pg_statement(scene.pg, "BEGIN", false, NULL);
    pg_statement(scene.pg, "SAVEPOINT one", false, NULL);
    pg_sync(scene.pg, done, &numbers[0]);
    for (int i = 1; i <= 3; i++) {
        pg_statement(scene.pg, "ROLLBACK TO SAVEPOINT one", false, NULL);
        pg_statement(scene.pg, i == 2 ? "SELECT 1/0" : "INSERT INTO public.pg_test VALUES (1, 'a')", false, NULL);
        pg_sync(scene.pg, done, &numbers[i]);
        wait_for(i == 1 ? 2 : 1);
    }
    run("COMMIT", 4);
    wait_for(1);
    pg_hold(scene.pg, false);
    run("SELECT count(*) FROM public.pg_test", 5);
    wait_for(1);
    assert_true(scene.outcomes[1].ok);
    assert_failed(2, ERR_REJECT, "22012");
    assert_true(scene.outcomes[3].ok);
    assert_true(scene.outcomes[4].ok);
    assert_value(5, "1");
}

static void an_error_text_holds_no_value(void **unused)
{
    (void)unused;
    needs_server();
    run("SELECT 'x6402061505780003'::int", 0);
    run("DO $$ BEGIN RAISE EXCEPTION 'NIK 6402061505780003' USING ERRCODE = '23505'; END $$", 1);
    run("INSERT INTO public.pg_test VALUES (1, '6402061505780003'), (2, '6402061505780003')", 2);
    wait_for(3);
    assert_failed(0, ERR_REJECT, "22P02");
    assert_failed(1, ERR_REJECT, "23505");
    assert_failed(2, ERR_REJECT, "23505");
    for (int i = 0; i < 3; i++)
        assert_null(strstr(scene.outcomes[i].err.text, "6402"));
    assert_non_null(strstr(scene.outcomes[0].err.text, "integer"));
}

/* ---- Loss ---- */

static const char sql_star[] = "SELECT * FROM public.pg_test";

static void a_lost_connection_fails_open_units_first_and_can_be_reopened(void **unused)
{
    (void)unused;
    needs_server();
    run("SELECT 'before'", 0);
    pg_statement(scene.pg, "BEGIN", false, NULL);
    pg_statement(scene.pg, "SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())", false, NULL);
    pg_sync(scene.pg, done, &numbers[1]);
    run("SELECT 'behind'", 2);
    wait_for(4);
    assert_string_equal(scene.told, "012-");
    assert_value(0, "before");
    assert_failed(1, ERR_RETRY, "");
    assert_failed(2, ERR_RETRY, "");
    assert_int_equal(scene.lost.code, ERR_RETRY);
    assert_non_null(strstr(scene.lost.text, "57P01"));
    assert_false(pg_up(scene.pg));
    assert_int_equal(pg_pending(scene.pg), 0);

    run("SELECT 'while down'", 3);
    wait_for(1);
    assert_failed(3, ERR_RETRY, "");
    pg_reopen(scene.pg);
    wait_for(1);
    assert_string_equal(scene.told, "012-3+");
    pg_statement(scene.pg, sql_star, true, NULL);
    run("SELECT 'after'", 4);
    wait_for(1);
    assert_value(4, "after");
}

static void an_idle_connection_notices_its_end(void **unused)
{
    (void)unused;
    needs_server();
    scene.other = pg_open(scene.loop, getenv("SELARAS_TEST_DSN"), "pg_test_victim", state, NULL);
    wait_for(1);
    run("SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE application_name = "
        "'pg_test_victim'",
        0);
    wait_for(2);
    assert_false(pg_up(scene.other));
    assert_true(pg_up(scene.pg));
    assert_non_null(strstr(scene.lost.text, "57P01"));
}

static void close_it(struct scene *unused)
{
    (void)unused;
    run("SELECT 'never'", 3);
    pg_close(&scene.pg);
    assert_null(scene.pg);
}

static void stop(void *context)
{
    (void)context;
    loop_end(scene.loop);
}

static void a_connection_may_be_closed_inside_its_own_callback(void **unused)
{
    (void)unused;
    needs_server();
    scene.then = close_it;
    run("SELECT 0", 0);
    run("SELECT 1", 1);
    loop_timer(scene.loop, 100, true, stop, NULL);
    loop_run(scene.loop);
    assert_string_equal(scene.told, "0");
}

static void reopen_it(struct scene *unused)
{
    (void)unused;
    pg_reopen(scene.pg);
}

static void a_connection_may_be_reopened_inside_its_own_callback(void **unused)
{
    (void)unused;
    needs_server();
    scene.then = reopen_it;
    run("SELECT 0", 0);
    run("SELECT 1", 1);
    wait_for(3);
    assert_string_equal(scene.told, "01+");
    assert_failed(1, ERR_RETRY, "");
    run("SELECT 'again'", 2);
    wait_for(1);
    assert_value(2, "again");
}

/* ---- Without a server ---- */

static void a_server_that_is_not_there_is_to_be_tried_again(void **unused)
{
    (void)unused;
    pg_close(&scene.pg);
    loop_free(&scene.loop);
    start("host=/nowhere dbname=x");
    run("SELECT 1", 0);
    wait_for(2);
    assert_string_equal(scene.told, "0-");
    assert_int_equal(scene.lost.code, ERR_RETRY);
    assert_non_null(strstr(scene.lost.text, "/nowhere"));
    assert_null(strchr(scene.lost.text, '\n'));
}

static void a_dsn_that_cannot_be_read_needs_a_person_and_is_not_shown(void **unused)
{
    (void)unused;
    pg_close(&scene.pg);
    loop_free(&scene.loop);
    start("password=my secret");
    wait_for(1);
    assert_string_equal(scene.told, "-");
    assert_int_equal(scene.lost.code, ERR_STOP);
    assert_null(strstr(scene.lost.text, "secret"));
}

static void sqlstates_say_what_to_do(void **unused)
{
    (void)unused;
    assert_int_equal(pg_sqlstate_code("40P01"), ERR_RETRY);
    assert_int_equal(pg_sqlstate_code("55P03"), ERR_RETRY);
    assert_int_equal(pg_sqlstate_code("57014"), ERR_RETRY);
    assert_int_equal(pg_sqlstate_code("22001"), ERR_REJECT);
    assert_int_equal(pg_sqlstate_code("23503"), ERR_REJECT);
    assert_int_equal(pg_sqlstate_code("42P01"), ERR_STOP);
    assert_int_equal(pg_sqlstate_code("55000"), ERR_STOP);
    assert_int_equal(pg_sqlstate_code(""), ERR_STOP);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        test(units_are_told_in_order_with_their_results),
        test(an_empty_unit_is_told_too),
        test(the_session_is_as_we_insist),
        test(a_unit_that_fails_in_the_middle_leaves_the_others_alone),
        test(a_deferred_constraint_fails_the_end_of_its_unit),
        test(behind_a_failure_after_begin_stands_a_rollback),
        test(units_on_their_way_behind_it_are_to_be_tried_again),
        test(a_commit_behind_our_rollback_is_no_success),
        test(a_failure_while_a_unit_is_being_queued_does_not_cut_it_in_two),
        test(a_transaction_may_go_on_from_unit_to_unit),
        test(a_held_transaction_goes_on_from_its_savepoint),
        test(an_error_text_holds_no_value),
        test(a_lost_connection_fails_open_units_first_and_can_be_reopened),
        test(an_idle_connection_notices_its_end),
        test(a_connection_may_be_closed_inside_its_own_callback),
        test(a_connection_may_be_reopened_inside_its_own_callback),
        test(a_server_that_is_not_there_is_to_be_tried_again),
        test(a_dsn_that_cannot_be_read_needs_a_person_and_is_not_shown),
        cmocka_unit_test(sqlstates_say_what_to_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
