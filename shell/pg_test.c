/* Against a real PostgreSQL: SELARAS_TEST_DSN names a database where this may make and drop tables. Without it all but
 * what needs no server is skipped. */
#include "shell/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TOLD_MAX = 32 };

/* One connection and what it has told, in order: units by the number they were given, states as '+' and '-'. */
struct scene {
    struct loop *loop;
    struct pg *pg, *other;
    char told[TOLD_MAX + 1];
    int told_count, wanted;
    struct {
        bool ok;
        struct error err;
        char sqlstate[6], value[200];
        int result_count, failed;
    } outcomes[10];
    struct error lost;
    void (*then)(struct scene *scene); /* inside `done` of unit 0 */
};

static struct scene scene;
static int numbers[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };

static void tell(char letter)
{
    assert_true(scene.told_count < TOLD_MAX);
    scene.told[scene.told_count++] = letter;
    if (--scene.wanted == 0)
        loop_end(scene.loop);
}

static void done(void *context, const struct pg_outcome *outcome)
{
    int unit = *(int *)context;
    const PGresult *last = outcome->result_count > 0 ? outcome->results[outcome->result_count - 1] : NULL;

    scene.outcomes[unit].ok = outcome->ok;
    scene.outcomes[unit].err = outcome->err;
    scene.outcomes[unit].result_count = outcome->result_count;
    scene.outcomes[unit].failed = outcome->failed;
    strcpy(scene.outcomes[unit].sqlstate, outcome->sqlstate);
    snprintf(scene.outcomes[unit].value, sizeof scene.outcomes[unit].value, "%s",
             last && PQntuples(last) > 0 ? PQgetvalue(last, 0, 0) : "");
    tell((char)('0' + unit));
    if (unit == 0 && scene.then)
        scene.then(&scene);
}

static void state(void *context, bool up, const struct error *err)
{
    (void)context;
    if (err)
        scene.lost = *err;
    tell(up ? '+' : '-');
}

static void give_up(void *context)
{
    (void)context;
    fail_msg("waited too long; told so far: %s", scene.told);
}

/* Runs until `count` more units or states were told. */
static void wait_for(int count)
{
    scene.wanted = count;
    loop_run(scene.loop);
}

static void start(const char *dsn)
{
    memset(&scene, 0, sizeof scene);
    scene.loop = loop_new();
    loop_timer(scene.loop, 20000, true, give_up, NULL);
    scene.pg = pg_open(scene.loop, dsn, "pg_test", state, NULL);
}

static int scene_open(void **unused)
{
    const char *dsn = getenv("SELARAS_TEST_DSN");

    (void)unused;
    if (!dsn)
        return 0;
    start(dsn);
    wait_for(1);
    assert_string_equal(scene.told, "+");
    pg_statement(scene.pg, "DROP TABLE IF EXISTS public.pg_test", false, NULL);
    pg_statement(scene.pg, "CREATE TABLE public.pg_test (id int PRIMARY KEY, nik text UNIQUE DEFERRABLE)", false, NULL);
    pg_sync(scene.pg, done, &numbers[9]);
    wait_for(1);
    assert_true(scene.outcomes[9].ok);
    scene.told_count = 0;
    memset(scene.told, 0, sizeof scene.told);
    return 0;
}

static int scene_close(void **unused)
{
    (void)unused;
    pg_close(&scene.pg);
    pg_close(&scene.other);
    loop_free(&scene.loop);
    return 0;
}

static void needs_server(void)
{
    if (!scene.loop)
        skip();
}

static void run(const char *sql, int unit)
{
    pg_statement(scene.pg, sql, false, NULL);
    pg_sync(scene.pg, done, &numbers[unit]);
}

static void assert_value(int unit, const char *value)
{
    if (!scene.outcomes[unit].ok)
        fail_msg("unit %d: %s", unit, scene.outcomes[unit].err.text);
    assert_string_equal(scene.outcomes[unit].value, value);
}

static void assert_failed(int unit, int code, const char *sqlstate)
{
    assert_false(scene.outcomes[unit].ok);
    assert_string_equal(scene.outcomes[unit].sqlstate, sqlstate);
    assert_int_equal(scene.outcomes[unit].err.code, code);
}

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

/* ---- Prepared statements ---- */

static const char sql_insert[] = "INSERT INTO public.pg_test VALUES ($1, $2)";
static const char sql_names[] = "SELECT count(*) FROM pg_catalog.pg_prepared_statements";
static const char sql_star[] = "SELECT * FROM public.pg_test";

static void insert(struct arena *arena, int64_t id, const char *nik)
{
    struct pg_parameters parameters = { 0 };

    pg_int8(&parameters, arena, id);
    pg_text(&parameters, nik);
    pg_statement(scene.pg, sql_insert, true, &parameters);
}

static void a_statement_is_prepared_once(void **unused)
{
    scoped(arena_free) struct arena *arena = NULL;

    (void)unused;
    needs_server();
    arena = arena_new();
    insert(arena, 1, "a");
    insert(arena, 2, "b");
    pg_sync(scene.pg, done, &numbers[0]);
    wait_for(1);
    assert_true(scene.outcomes[0].ok);
    assert_int_equal(scene.outcomes[0].result_count, 2);
    insert(arena, 3, NULL);
    pg_sync(scene.pg, done, &numbers[1]);
    run(sql_names, 2);
    wait_for(2);
    assert_true(scene.outcomes[1].ok);
    assert_value(2, "1");
}

/* The Parse in the first unit is never run; the second, on its way already, must not depend on it. */
static void a_statement_is_prepared_again_when_its_unit_failed_before(void **unused)
{
    scoped(arena_free) struct arena *arena = NULL;

    (void)unused;
    needs_server();
    arena = arena_new();
    pg_statement(scene.pg, "SELECT 1/0", false, NULL);
    insert(arena, 1, "a");
    pg_sync(scene.pg, done, &numbers[0]);
    insert(arena, 2, "b");
    pg_sync(scene.pg, done, &numbers[1]);
    wait_for(2);
    insert(arena, 2, "again"); /* fails, but its name is good now */
    pg_sync(scene.pg, done, &numbers[2]);
    insert(arena, 3, "c");
    pg_sync(scene.pg, done, &numbers[3]);
    run("SELECT string_agg(id::text, ',' ORDER BY id) FROM public.pg_test", 4);
    run(sql_names, 5);
    wait_for(4);
    assert_failed(0, ERR_REJECT, "22012");
    assert_int_equal(scene.outcomes[0].failed, 0);
    assert_true(scene.outcomes[1].ok);
    assert_failed(2, ERR_REJECT, "23505");
    assert_int_equal(scene.outcomes[2].failed, 0);
    assert_value(4, "2,3");
    assert_value(5, "1");
}

static void what_cannot_be_prepared_names_its_statement(void **unused)
{
    (void)unused;
    needs_server();
    pg_statement(scene.pg, sql_star, true, NULL);
    pg_statement(scene.pg, "SELECT nothing FROM nowhere", true, NULL);
    pg_sync(scene.pg, done, &numbers[0]);
    wait_for(1);
    assert_failed(0, ERR_STOP, "42P01");
    assert_int_equal(scene.outcomes[0].failed, 1);
}

static void a_statement_that_has_become_stale_is_prepared_anew(void **unused)
{
    (void)unused;
    needs_server();
    pg_statement(scene.pg, sql_star, true, NULL);
    pg_sync(scene.pg, done, &numbers[0]);
    wait_for(1);
    run("ALTER TABLE public.pg_test ADD COLUMN more int", 1);
    for (int i = 2; i < 4; i++) {
        pg_statement(scene.pg, sql_star, true, NULL);
        pg_sync(scene.pg, done, &numbers[i]);
        wait_for(i == 2 ? 2 : 1);
    }
    assert_failed(2, ERR_RETRY, "0A000");
    assert_true(scene.outcomes[3].ok);
}

/* ---- Arrays and results ---- */

static void arrays_come_back_from_unnest(void **unused)
{
    static const char sql[] = "SELECT string_agg(concat_ws(':', a, b, c, d, encode(e, 'hex'), f), ',' ORDER BY n) "
                              "FROM unnest($1, $2, $3, $4, $5, $6) WITH ORDINALITY AS t (a, b, c, d, e, f, n)";
    static const Oid elements[] = { PG_OID_TEXT, PG_OID_INT8, PG_OID_INT4, PG_OID_BOOL, PG_OID_BYTEA, PG_OID_INT2 };
    struct pg_array arrays[6] = { 0 };
    struct pg_parameters parameters = { 0 };

    (void)unused;
    needs_server();
    for (int round = 0; round < 2; round++) { /* memory is kept, content is not */
        for (int i = 0; i < 6; i++)
            pg_array_start(&arrays[i], elements[i]);
        pg_array_value(&arrays[0], value_text("Loa Kulu"));
        pg_array_value(&arrays[0], value_null());
        pg_array_int8(&arrays[1], INT64_MIN);
        pg_array_int8(&arrays[1], 7);
        pg_array_int4(&arrays[2], -5);
        pg_array_int4(&arrays[2], 2000000000);
        pg_array_bool(&arrays[3], true);
        pg_array_null(&arrays[3]);
        pg_array_bytes(&arrays[4], "\0\xff", 2);
        pg_array_bytes(&arrays[4], NULL, 0);
        pg_array_int4(&arrays[5], -2);
        pg_array_int4(&arrays[5], 3);
    }
    for (int i = 0; i < 6; i++)
        pg_array_parameter(&parameters, &arrays[i]);
    pg_statement(scene.pg, sql, true, &parameters);
    pg_sync(scene.pg, done, &numbers[0]);
    for (int i = 0; i < 6; i++)
        pg_array_free(&arrays[i]); /* only borrowed until here */
    wait_for(1);
    assert_value(0, "Loa Kulu:-9223372036854775808:-5:t:00ff:-2,7:2000000000::3");
}

static void an_empty_array_is_empty(void **unused)
{
    struct pg_array array = { 0 };
    struct pg_parameters parameters = { 0 };

    (void)unused;
    needs_server();
    pg_array_start(&array, PG_OID_INT8);
    pg_array_parameter(&parameters, &array);
    pg_statement(scene.pg, "SELECT cardinality($1) || ' ' || ($1 = '{}')", false, &parameters);
    pg_sync(scene.pg, done, &numbers[0]);
    wait_for(1);
    assert_value(0, "0 true");
    pg_array_free(&array);
}

static void read_bytes(void *context, const struct pg_outcome *outcome)
{
    scoped(arena_free) struct arena *arena = arena_new();
    struct text bytes;

    assert_true(outcome->ok);
    bytes = pg_result_bytes(arena, outcome->results[0], 0, 0);
    assert_int_equal(bytes.length, 3);
    assert_memory_equal(bytes.bytes, "\0\xab\x7f", 3);
    assert_int_equal(pg_result_bytes(arena, outcome->results[0], 0, 1).length, 0);
    assert_true(pg_result_int8(outcome->results[0], 0, 2) == INT64_MIN);
    done(context, outcome);
}

static void bytes_and_integers_come_back(void **unused)
{
    struct pg_parameters parameters = { 0 };

    (void)unused;
    needs_server();
    pg_bytes(&parameters, "\0\xab\x7f", 3);
    pg_bytes(&parameters, NULL, 0);
    pg_statement(scene.pg, "SELECT $1, $2, -9223372036854775808", false, &parameters);
    pg_sync(scene.pg, read_bytes, &numbers[0]);
    wait_for(1);
}

/* More than the sockets' buffers hold, both ways at once. */
static void large_parameters_and_results_do_not_wedge(void **unused)
{
    char *large = calloc(1, 4 * 1024 * 1024 + 1);
    struct pg_parameters parameters = { 0 };

    (void)unused;
    if (scene.loop) {
        memset(large, 'x', 4 * 1024 * 1024);
        pg_text(&parameters, large);
        for (int i = 0; i < 5; i++) {
            pg_statement(scene.pg, "SELECT md5($1::text), $1::text", false, &parameters);
            pg_sync(scene.pg, done, &numbers[i]);
        }
        wait_for(5);
        assert_string_equal(scene.told, "01234");
        for (int i = 0; i < 5; i++)
            assert_true(scene.outcomes[i].ok);
    }
    free(large);
    needs_server();
}

/* ---- Loss ---- */

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
        test(a_statement_is_prepared_once),
        test(a_statement_is_prepared_again_when_its_unit_failed_before),
        test(what_cannot_be_prepared_names_its_statement),
        test(a_statement_that_has_become_stale_is_prepared_anew),
        test(arrays_come_back_from_unnest),
        test(an_empty_array_is_empty),
        test(bytes_and_integers_come_back),
        test(large_parameters_and_results_do_not_wedge),
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
