/* Apply beside the agency's own work: it goes first. See apply_fixture.h. */
#include "agents/postgres/apply_fixture.h"

#include <sys/wait.h>
#include <unistd.h>

static void a_locked_row_is_waited_for_and_then_written(void **state)
{
    struct world *world = world_of(state);

    sql(world, "BEGIN; UPDATE member SET catatan = 'edited' WHERE nik = 'A'");
    add(world, 5, OPERATION_UPDATE, 2, "B", "name", "Budiman", NULL);
    add(world, 6, OPERATION_UPDATE, 1, "A", "name", "Ani S.", NULL);
    take(world, 6);
    wait_ms(world, 300); /* it tries and yields a few times */
    assert_int_equal(world->applied, 0);
    sql(world, "UPDATE member SET catatan = 'ours too' WHERE nik = 'B'"); /* it holds nothing while it waits */
    sql(world, "COMMIT");
    run(world);
    assert_int_equal(world->applied, 6);
    assert_sql(world, "Ani S. edited Budiman ours too",
               "SELECT string_agg(concat_ws(' ', nama, catatan), ' ' ORDER BY nik) FROM member WHERE nik < 'C'");
    assert_sql(world, "0", "SELECT count(*) FROM selaras.parked");
}

/* PostgreSQL follows a locked row to its next version, and finds none when it was deleted and inserted anew. */
static void a_row_that_is_deleted_and_inserted_anew_meanwhile_is_still_updated(void **state)
{
    struct world *world = world_of(state);

    sql(world, "BEGIN; DELETE FROM member WHERE nik = 'A'; INSERT INTO member (nik, nama) VALUES ('A', 'Ani baru')");
    add(world, 5, OPERATION_UPDATE, 1, "A", "premium", "9.00", NULL);
    take(world, 5);
    wait_ms(world, 300);
    assert_int_equal(world->applied, 0);
    sql(world, "COMMIT");
    run(world);
    assert_int_equal(world->applied, 5);
    assert_sql(world, "Ani baru 9.00", "SELECT concat_ws(' ', nama, iuran) FROM member WHERE nik = 'A'");
    assert_reports(world, "");
}

/* Until everything that was queued has its result; a busy machine may take a while. */
static void wait_idle(struct world *world, const struct pg *pg)
{
    for (int i = 0; i < 1000 && pg_pending(pg) > 0; i++)
        wait_ms(world, 10);
    assert_int_equal(pg_pending(pg), 0);
}

static void the_origin_of_an_aborted_transaction_does_not_stick_to_the_next(void **state)
{
    struct world *world = world_of(state);
    struct pg *pg;
    struct apply_work work = { .loop = world->loop, .options = &world->options };

    add(world, 5, OPERATION_UPDATE, 1, "A", "name", "x", NULL);
    feed(world, 5);
    close_apply(world);
    world->pg = pg_open(world->loop, world->options.database, "apply_test", on_pg, world);
    run(world);
    pg = work.pg = world->pg;
    wait_ms(world, 500); /* until the session before has let go of the origin */
    pg_statement(pg, "SELECT pg_replication_origin_session_setup('selaras_applytest')", false, NULL);
    pg_sync(pg, NULL, NULL);
    work_begin(&work, 0x500);
    pg_statement(pg, "UPDATE public.member SET nama = NULL", false, NULL); /* fails, and is rolled back */
    pg_sync(pg, NULL, NULL);
    wait_idle(world, pg);
    work_reset(&work);
    pg_statement(pg, "UPDATE public.member SET nama = 'y' WHERE nik = 'B'", false, NULL);
    pg_sync(pg, NULL, NULL);
    wait_idle(world, pg);
    close_apply(world);
    open_apply(world);
    assert_sql(world, "y", "SELECT nama FROM member WHERE nik = 'B'");
    assert_sql(world, "0/5",
               "SELECT remote_lsn FROM pg_replication_origin_status WHERE external_id = 'selaras_applytest'");
}

static void a_row_that_is_locked_while_others_are_refused_is_waited_for(void **state)
{
    struct world *world = world_of(state);

    sql(world,
        "BEGIN; INSERT INTO member (nik, nama) VALUES ('D', 'Dewi')"); /* no row yet that could be locked first */
    add(world, 5, OPERATION_UPDATE, 1, "A", "premium", "-1.00", NULL);
    add(world, 6, OPERATION_INSERT, 4, NULL, "nik", "D", "name", "Dewi S.", NULL);
    take(world, 6);
    wait_ms(world, 500);
    assert_int_equal(world->applied, 0);
    sql(world, "COMMIT");
    run(world);
    assert_int_equal(world->applied, 6);
    assert_sql(world, "Dewi S.", "SELECT nama FROM member WHERE nik = 'D'");
    assert_reports(world, "parked 1 5;");
}

/* The session before may commit after the database was looked at and before it lets go of the origin. */
static void progress_that_another_session_made_meanwhile_is_not_made_again(void **state)
{
    struct world *world = world_of(state);
    const struct apply_sink sink = { world, on_ready, on_applied, on_failed };

    apply_close(&world->apply);
    sql(world, "UPDATE selaras.agent SET applied = 5");
    world->apply = apply_open(world->loop, &world->options, &world->mapping, world->found, &sink);
    loop_run(world->loop);
    assert_int_equal(world->failed.code, ERR_RETRY);
    assert_non_null(strstr(world->failed.text, "another session"));
    world->failed = (struct error){ 0 };
}

/* It is for the agency's applications. */
static void a_time_limit_of_the_database_does_not_end_a_batch(void **state)
{
    struct world *world = world_of(state);

    close_apply(world);
    sql(world,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET statement_timeout = 300', current_database()); END $$;"
        "CREATE OR REPLACE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END';"
        "CREATE TRIGGER follow AFTER UPDATE ON member FOR EACH ROW EXECUTE FUNCTION follow()");
    open_apply(world);
    add(world, 5, OPERATION_UPDATE, 1, "A", "name", "Ani S.", NULL);
    take(world, 5);
    run(world);
    sql(world, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET statement_timeout', current_database()); END $$");
    assert_int_equal(world->applied, 5);
}

/* An application in a process of its own: the same transaction over and over. Ends with the number of the round that
 * failed, 0 for none. */
static pid_t application(const char *transaction, int rounds)
{
    pid_t pid = fork();
    PGconn *conn;

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    conn = PQconnectdb(getenv("SELARAS_TEST_DSN"));
    for (int round = 1; round <= rounds; round++) {
        PGresult *result = PQexec(conn, transaction);
        bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;

        if (!ok)
            fprintf(stderr, "the application: %s", PQresultErrorMessage(result));
        PQclear(result);
        if (!ok)
            _exit(round);
    }
    PQfinish(conn);
    _exit(0);
}

/* Batches, one after the other, as long as the application works; and one more. */
static void feed_beside(struct world *world, pid_t pid)
{
    feed_position position = 10;
    int status;

    do {
        char name[16];

        snprintf(name, sizeof name, "%d", (int)position);
        sql(world, "DELETE FROM member WHERE nik = 'Z'");
        add(world, position - 2, OPERATION_UPDATE, 1, "A", "name", name, NULL);
        add(world, position - 1, OPERATION_UPDATE, 2, "B", "name", name, NULL);
        add(world, position, OPERATION_INSERT, 3, "Z", "nik", "Z", "name", name, NULL);
        feed(world, position);
        assert_sql(world, name,
                   "SELECT min(nama) FROM member WHERE nik IN ('A', 'B', 'Z') HAVING count(DISTINCT nama) = 1");
        position += 3;
    } while (waitpid(pid, &status, WNOHANG) == 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_sql(world, "0", "SELECT count(*) FROM selaras.parked");
}

/* PostgreSQL ends whoever finds the deadlock first, which may be the application. */
static void an_application_that_takes_rows_in_another_order_is_never_ended_for_us(void **state)
{
    struct world *world = world_of(state);

    feed_beside(world, application("BEGIN; UPDATE member SET catatan = 'x' WHERE nik = 'B'; SELECT pg_sleep(0.004);"
                                   " UPDATE member SET catatan = 'x' WHERE nik = 'A'; SELECT pg_sleep(0.002); COMMIT",
                                   60));
}

/* A row that is not committed yet cannot be locked beforehand: we wait for it with others in hand. */
static void an_application_that_adds_the_row_that_we_add_is_never_ended_for_us(void **state)
{
    struct world *world = world_of(state);

    feed_beside(world, application("BEGIN; INSERT INTO member (nik, nama) VALUES ('Z', 'theirs')"
                                   " ON CONFLICT (nik) DO UPDATE SET catatan = 'x'; SELECT pg_sleep(0.01);"
                                   " UPDATE member SET catatan = 'x' WHERE nik = 'A'; ROLLBACK",
                                   40));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_locked_row_is_waited_for_and_then_written),
        T(a_row_that_is_deleted_and_inserted_anew_meanwhile_is_still_updated),
        T(the_origin_of_an_aborted_transaction_does_not_stick_to_the_next),
        T(a_row_that_is_locked_while_others_are_refused_is_waited_for),
        T(progress_that_another_session_made_meanwhile_is_not_made_again),
        T(a_time_limit_of_the_database_does_not_end_a_batch),
        T(an_application_that_takes_rows_in_another_order_is_never_ended_for_us),
        T(an_application_that_adds_the_row_that_we_add_is_never_ended_for_us),
    };

    log_start("apply_test", NULL, LOG_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
