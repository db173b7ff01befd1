/* Processes that really crash: which of them count, and against whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define revoke revoke_of_a_terminal /* BSD's; the fixture has one of its own */
#include <unistd.h>
#undef revoke

#include "daemon/agent_fixture.h"
#include "daemon/crashes.h"
#include "daemon/peer.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static char path[64];

static int start(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/selaras-crashes-XXXXXX");
    close(mkstemp(path));
    return 0;
}

static int end(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static struct crashes *opened(void)
{
    struct crashes *crashes = NULL;
    struct error err;

    if (crashes_open(path, &crashes, &err) < 0)
        fail_msg("%s", err.text);
    return crashes;
}

/* A process of its own, which must die of this signal. */
static void run_process(void body(void *), void *context, int signal)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
        body(context);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), signal);
}

struct crash {
    struct working working;
    int signal;
};

static void work_and_die(void *context)
{
    const struct crash *crash = context;
    struct crashes *crashes = opened();

    *crashes_working(crashes) = crash->working;
    raise(crash->signal);
}

static void die(uint16_t agency, uint64_t lsn, int signal)
{
    struct crash crash = { { .agency = agency, .lsn = lsn }, signal };

    run_process(work_and_die, &crash, signal);
}

/* Who is named when the next process starts; 0: nobody. */
static uint16_t named(void)
{
    struct crashes *crashes = opened();
    struct working working = { 0 };
    bool one = crashes_take(crashes, &working);

    assert_false(one && crashes_take(crashes, &working));
    crashes_close(&crashes);
    return one ? working.agency : 0;
}

static void the_third_crash_at_one_place_names_its_agency(void **state)
{
    (void)state;
    die(7, 100, SIGABRT);
    die(7, 100, SIGSEGV);
    assert_int_equal(named(), 0);
    die(7, 100, SIGBUS);
    assert_int_equal(named(), 7);
    assert_int_equal(named(), 0); /* once: an operator may let it go on */
    die(7, 100, SIGABRT);
    assert_int_equal(named(), 0);
}

static void whoever_gets_on_is_not_named(void **state)
{
    (void)state;
    for (uint64_t lsn = 100; lsn < 110; lsn++)
        die(7, lsn, SIGABRT);
    assert_int_equal(named(), 0);
}

static void agencies_are_counted_apart(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(named(), 0);
        if (i < 2)
            die(8, 100, SIGABRT);
        die(7, 100, SIGABRT);
    }
    assert_int_equal(named(), 7);
}

static void what_is_nobodys_fault_does_not_count(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        die(7, 100, SIGKILL); /* an operator, or the kernel */
        die(7, 100, SIGTERM);
        die(0, 100, SIGABRT); /* not in a step */
    }
    assert_int_equal(named(), 0);
}

static void a_file_of_something_else_is_begun_anew(void **state)
{
    FILE *file = fopen(path, "w");

    (void)state;
    for (int i = 0; i < 5000; i++)
        fputc(0xff, file);
    fclose(file);
    assert_int_equal(named(), 0);
}

/* A core that cannot decide what a sends: something of it is missing. */
static void decide_without_reconciler(void *context)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    struct crashes *crashes = opened();

    (void)context;
    world_drop(world);
    world->options.working = crashes_working(crashes);
    world_start(world);
    greet(&a);
    greet(&b);
    say_change(&b, change_of(&b, OPERATION_INSERT, "1", "nik", "1", NULL));
    world->held = true;
    say_change(&b, change_of(&b, OPERATION_INSERT, "2", "nik", "2", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "3", "nik", "3", "name", "x", NULL));
    answer_batch(world); /* b's is decided; a's waits for the next batch */
    world->held = false;
    world->broker->reconciler =
        (struct reconciler *)4096; /* NULL would be the sanitizer's, which ends without a signal */
    settle(world);
}

static void the_core_says_whose_transaction_it_was(void **state)
{
    struct crashes *crashes;
    struct working working;
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    struct broker_event event = { .kind = BROKER_EVENT_CRASHED };

    (void)state;
    for (int i = 0; i < CRASHES_MOST; i++)
        run_process(decide_without_reconciler, NULL, SIGSEGV);
    crashes = opened();
    assert_true(crashes_take(crashes, &working));
    crashes_close(&crashes);
    assert_int_equal(working.agency, a.id);
    assert_int_equal(working.lsn, 110);
    assert_int_equal(working.behind, 0);

    event.working = working;
    act(world, &event);
    assert_int_equal(row_of(&a)->state, STATE_QUARANTINED);
    assert_int_equal(row_of(&a)->quarantine, QUARANTINE_CRASHED);
    assert_non_null(strstr(row_of(&a)->reason, "crashes on its transaction at 0/6E"));
    assert_error(&a, "quarantined");
    say_change(&b, change_of(&b, OPERATION_INSERT, "5", "nik", "5", NULL));
    assert_int_equal(world->record_count, 1);
    resume(world, "a", "a newer version is there");
    assert_true(world->answer_ok);
    greet(&a);
    say_change(&a, change_of(&a, OPERATION_INSERT, "6", "nik", "6", NULL));
    assert_int_equal(world->record_count, 2);
    world_free(&world);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, end)
    const struct CMUnitTest tests[] = {
        T(the_third_crash_at_one_place_names_its_agency),
        T(whoever_gets_on_is_not_named),
        T(agencies_are_counted_apart),
        T(what_is_nobodys_fault_does_not_count),
        T(a_file_of_something_else_is_begun_anew),
        T(the_core_says_whose_transaction_it_was),
    };
#undef T

    return cmocka_run_group_tests(tests, NULL, NULL);
}
