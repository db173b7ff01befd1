/* pg_fixture.h: one connection to a real PostgreSQL and what it tells, for tests of pg.c: SELARAS_TEST_DSN names a
 * database where they may make and drop tables. Without it all but what needs no server is skipped. */
#ifndef SELARAS_PG_FIXTURE_H
#define SELARAS_PG_FIXTURE_H

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

static inline void tell(char letter)
{
    assert_true(scene.told_count < TOLD_MAX);
    scene.told[scene.told_count++] = letter;
    if (--scene.wanted == 0)
        loop_end(scene.loop);
}

static inline void done(void *context, const struct pg_outcome *outcome)
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

static inline void state(void *context, bool up, const struct error *err)
{
    (void)context;
    if (err)
        scene.lost = *err;
    tell(up ? '+' : '-');
}

static inline void give_up(void *context)
{
    (void)context;
    fail_msg("waited too long; told so far: %s", scene.told);
}

/* Runs until `count` more units or states were told. */
static inline void wait_for(int count)
{
    scene.wanted = count;
    loop_run(scene.loop);
}

static inline void start(const char *dsn)
{
    memset(&scene, 0, sizeof scene);
    scene.loop = loop_new();
    loop_timer(scene.loop, 20000, true, give_up, NULL);
    scene.pg = pg_open(scene.loop, dsn, "pg_test", state, NULL);
}

static inline int scene_open(void **unused)
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

static inline int scene_close(void **unused)
{
    (void)unused;
    pg_close(&scene.pg);
    pg_close(&scene.other);
    loop_free(&scene.loop);
    return 0;
}

static inline void needs_server(void)
{
    if (!scene.loop)
        skip();
}

static inline void run(const char *sql, int unit)
{
    pg_statement(scene.pg, sql, false, NULL);
    pg_sync(scene.pg, done, &numbers[unit]);
}

static inline void assert_value(int unit, const char *value)
{
    if (!scene.outcomes[unit].ok)
        fail_msg("unit %d: %s", unit, scene.outcomes[unit].err.text);
    assert_string_equal(scene.outcomes[unit].value, value);
}

static inline void assert_failed(int unit, int code, const char *sqlstate)
{
    assert_false(scene.outcomes[unit].ok);
    assert_string_equal(scene.outcomes[unit].sqlstate, sqlstate);
    assert_int_equal(scene.outcomes[unit].err.code, code);
}

#endif
