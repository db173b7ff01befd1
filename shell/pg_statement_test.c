/* Statements: prepared ones, their parameters and results. */
#include "shell/pg_fixture.h"

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

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        test(a_statement_is_prepared_once),
        test(a_statement_is_prepared_again_when_its_unit_failed_before),
        test(what_cannot_be_prepared_names_its_statement),
        test(a_statement_that_has_become_stale_is_prepared_anew),
        test(arrays_come_back_from_unnest),
        test(an_empty_array_is_empty),
        test(bytes_and_integers_come_back),
        test(large_parameters_and_results_do_not_wedge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
