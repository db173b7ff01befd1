/* apply_fixture.h: for tests of apply: an agency's database on a real cluster, the driver's apply on it, and batches as
 * the broker feeds them. SELARAS_TEST_DSN is a superuser's connection string, wal_level is logical; without it nothing
 * is run. */
#ifndef SELARAS_APPLY_FIXTURE_H
#define SELARAS_APPLY_FIXTURE_H

#include "agents/postgres/applied.h"
#include "agents/postgres/apply.h"
#include "agents/postgres/apply_work.h"
#include "agents/postgres/prepare.h"
#include "proto/tree_fixture.h"
#include "shell/log.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define AGENCY "applytest"

static const char catalog_lines[] = "catalog\n"
                                    "    version = 1\n"
                                    "    agencies = \"applytest\"\n"
                                    "record\n"
                                    "    resident\n"
                                    "        existence\n"
                                    "            write = applytest\n"
                                    "        read\n"
                                    "            applytest = \"law\"\n"
                                    "        fields\n"
                                    "            nik\n"
                                    "                type = text\n"
                                    "                identifier = yes\n"
                                    "                write = applytest\n"
                                    "            name\n"
                                    "                type = text\n"
                                    "                write = applytest\n"
                                    "            premium\n"
                                    "                type = decimal\n"
                                    "                scale = 2\n"
                                    "                write = applytest\n"
                                    "            covered\n"
                                    "                type = boolean\n"
                                    "                write = applytest\n"
                                    "            code\n"
                                    "                type = text\n"
                                    "                write = applytest\n"
                                    "    enrolment\n"
                                    "        existence\n"
                                    "            write = applytest\n"
                                    "        read\n"
                                    "            applytest = \"law\"\n"
                                    "        fields\n"
                                    "            person\n"
                                    "                type = reference\n"
                                    "                to = resident\n"
                                    "                write = applytest\n"
                                    "            cost\n"
                                    "                type = integer\n"
                                    "                write = applytest\n";

static const char mapping_lines[] = "member\n"
                                    "    type = resident\n"
                                    "    table = public.member\n"
                                    "    key = nik\n"
                                    "    insert = yes\n"
                                    "    delete = row\n"
                                    "    fields\n"
                                    "        nik\n"
                                    "            column = nik\n"
                                    "            trim = yes\n"
                                    "        name\n"
                                    "            column = nama\n"
                                    "        premium\n"
                                    "            column = iuran\n"
                                    "        covered\n"
                                    "            column = status\n"
                                    "            codes\n"
                                    "                AKTIF = true\n"
                                    "                NONAKTIF = false\n"
                                    "        code\n"
                                    "            column = kode\n";

static const char table_sql[] =
    "DROP SCHEMA IF EXISTS selaras CASCADE; DROP PUBLICATION IF EXISTS selaras; DROP TABLE IF EXISTS enrolment, member;"
    "CREATE TABLE member (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, nik char(20) NOT NULL UNIQUE,"
    " nama text NOT NULL, iuran numeric(12,2) CHECK (iuran >= 0), status text NOT NULL DEFAULT 'NONAKTIF', kode "
    "varchar(4),"
    " catatan text DEFAULT 'theirs');"
    "CREATE TABLE enrolment (id serial PRIMARY KEY, member bigint REFERENCES member, biaya bigint);"
    "INSERT INTO member (nik, nama, iuran) VALUES ('A', 'Ani', 1), ('B', 'Budi', 2), ('C', 'Citra', 3)";

static const char slot_sql[] =
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'applytest'";

struct world {
    struct arena *arena;
    struct mapping mapping;
    struct driver_options options;
    struct loop *loop;
    PGconn *conn; /* the agency's own people */
    struct pg *pg;
    struct inspect *inspect;
    struct inspection *found;
    struct apply *apply;
    feed_position applied;
    bool ready;
    struct error failed;
    char answer[512];
    struct item items[16];
    uint32_t count;
};

/* ---- waiting ---- */

static inline void on_time(void *context)
{
    struct world *world = context;

    error_set(&world->failed, ERR_STOP, "nothing happened for 10 s");
    loop_end(world->loop);
}

static inline void run(struct world *world)
{
    struct loop_source *limit = loop_timer(world->loop, 10000, true, on_time, world);

    loop_run(world->loop);
    loop_remove(&limit);
    if (world->failed.code != 0)
        print_message("%s\n", world->failed.text);
    assert_int_equal(world->failed.code, 0);
}

static inline void on_ready(void *context)
{
    struct world *world = context;

    world->ready = true;
    loop_end(world->loop);
}

static inline void on_applied(void *context, feed_position position)
{
    struct world *world = context;

    world->applied = position;
    loop_end(world->loop);
}

static inline void on_failed(void *context, const struct error *err)
{
    struct world *world = context;

    world->failed = *err;
    loop_end(world->loop);
}

static inline void on_inspected(void *context, struct inspection *found, const struct error *err)
{
    struct world *world = context;

    world->found = found;
    world->failed = *err;
    loop_end(world->loop);
}

static inline void on_pg(void *context, bool up, const struct error *err)
{
    struct world *world = context;

    if (up)
        world->inspect = inspect_start(world->pg, &world->options, &world->mapping, on_inspected, world);
    else
        on_failed(world, err);
}

static inline void wait_ms(struct world *world, uint32_t ms)
{
    struct loop_source *timer = loop_timer(world->loop, ms, true, on_ready, world);

    run(world);
    loop_remove(&timer);
}

static inline void on_answer(void *context, const char *json, const struct error *err)
{
    struct world *world = context;

    snprintf(world->answer, sizeof world->answer, "%s", json ? json : err->text);
    loop_end(world->loop);
}

/* ---- the agency's database, as its own people see it ---- */

static inline void sql(struct world *world, const char *statement)
{
    PGresult *result = PQexec(world->conn, statement);

    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        print_message("%s\n%s", statement, PQresultErrorMessage(result));
    assert_true(PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK);
    PQclear(result);
}

static inline void assert_sql(struct world *world, const char *expected, const char *query)
{
    PGresult *result = PQexec(world->conn, query);

    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) == 0)
        print_message("%s\n%s", query, PQresultErrorMessage(result));
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    assert_int_equal(PQntuples(result), 1);
    assert_string_equal(PQgetvalue(result, 0, 0), expected);
    PQclear(result);
}

/* Reads what the stream shows of our messages since the last call: reports as "kind record position block text;", text
 * only for links and closings. */
static inline void assert_reports(struct world *world, const char *expected)
{
    static const char query[] =
        "SELECT data FROM pg_logical_slot_get_binary_changes('applytest', NULL, NULL, 'proto_version', '1',"
        " 'publication_names', 'selaras', 'messages', 'true')";
    PGresult *result = PQexecParams(world->conn, query, 0, NULL, NULL, NULL, NULL, 1);
    char text[1024] = "";
    struct arena *arena = arena_new();

    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        print_message("%s", PQresultErrorMessage(result));
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    for (int row = 0; row < PQntuples(result); row++) {
        const char *bytes = PQgetvalue(result, row, 0);
        size_t head = 1 + 1 + 8 + sizeof APPLIED_PREFIX + 4; /* kind, flags, lsn, prefix, length */
        struct applied applied;
        struct error err;

        if (bytes[0] != 'M' || strcmp(bytes + 10, APPLIED_PREFIX) != 0)
            continue;
        assert_int_equal(applied_read(arena, bytes + head, (size_t)PQgetlength(result, row, 0) - head, &applied, &err),
                         0);
        for (uint32_t i = 0; i < applied.report_count; i++) {
            const struct report *report = &applied.reports[i];
            struct text key = report->kind == REPORT_SKIPPED ? report->text : (struct text){ "", 0 };

            snprintf(text + strlen(text), sizeof text - strlen(text), "%s %d %d%s%.*s;", report_name(report->kind),
                     (int)report->record, (int)report->position, key.length > 0 ? " " : "", (int)key.length, key.bytes);
        }
    }
    assert_string_equal(text, expected);
    arena_free(&arena);
    PQclear(result);
}

/* ---- feeding ---- */

static inline struct text text_of(const char *text)
{
    return (struct text){ text, text ? (uint32_t)strlen(text) : 0 };
}

static inline struct item *add(struct world *world, feed_position position, enum operation operation, uint64_t record,
                               const char *key, ...)
{
    struct item *item = &world->items[world->count++];
    const char *name;
    va_list pairs;

    *item = (struct item){
        .position = position, .record = record, .operation = operation, .block = text_of("member"), .key = text_of(key)
    };
    item->fields = arena_array(world->arena, 8, sizeof *item->fields);
    va_start(pairs, key);
    while ((name = va_arg(pairs, const char *))) {
        const char *value = va_arg(pairs, const char *);

        item->fields[item->field_count++] =
            (struct item_field){ text_of(name), value ? value_text(value) : value_null() };
    }
    va_end(pairs);
    return item;
}

/* Gives what was added as one batch. */
static inline void take(struct world *world, feed_position position)
{
    struct feed feed = { .final = true, .position = position, .items = world->items, .item_count = world->count };

    memset(feed.leaf, (int)position, sizeof feed.leaf);
    assert_true(apply_take(world->apply, &feed));
    world->count = 0;
}

/* ... and waits until it is applied. */
static inline void feed(struct world *world, feed_position position)
{
    take(world, position);
    run(world);
    assert_int_equal(world->applied, position);
}

static inline void settle(struct world *world, uint64_t record, bool close)
{
    apply_settle(world->apply, record, close, "rina", "moved away", on_answer, world);
    run(world);
}

/* ---- the world ---- */

static inline void prepare_database(struct world *world)
{
    struct prepare_options options = { AGENCY, world->options.database, NULL, true };
    FILE *nowhere = fopen("/dev/null", "w");
    struct error err;

    sql(world, slot_sql);
    sql(world,
        "SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname = 'selaras_applytest'");
    sql(world, "SET client_min_messages = warning");
    sql(world, table_sql);
    if (prepare(&options, &world->mapping, nowhere, &err) < 0)
        fail_msg("%s", err.text);
    fclose(nowhere);
    sql(world, "SELECT pg_create_logical_replication_slot('applytest', 'pgoutput')");
}

static inline void open_apply(struct world *world)
{
    const struct apply_sink sink = { world, on_ready, on_applied, on_failed };
    struct error err;

    world->pg = pg_open(world->loop, world->options.database, "apply_test", on_pg, world);
    run(world);
    assert_int_equal(inspect_types(world->found, &world->mapping, &err), 0);
    world->apply = apply_open(world->loop, &world->options, &world->mapping, world->found, &sink);
    run(world);
    assert_true(world->ready);
}

static inline void close_apply(struct world *world)
{
    apply_close(&world->apply);
    pg_close(&world->pg);
    inspect_free(&world->inspect);
    inspection_free(&world->found);
}

static inline int setup_mapped(void **state, const char *lines)
{
    static struct world world;
    const char *dsn = getenv("SELARAS_TEST_DSN");
    const struct catalog *catalog;
    struct error err;

    *state = &world;
    if (!dsn)
        return 0;
    world = (struct world){ .arena = arena_new() };
    world.options = (struct driver_options){ .agency = AGENCY, .database = dsn, .retry_interval_ms = 3600000 };
    if (catalog_build(world.arena, tree_fixture(world.arena, catalog_lines), catalog_lines, strlen(catalog_lines),
                      &catalog, &err) < 0 ||
        mapping_build(world.arena, tree_fixture(world.arena, lines), &world.mapping, &err) < 0 ||
        mapping_bind(world.arena, &world.mapping, catalog, AGENCY, &err) < 0)
        fail_msg("%s", err.text);
    world.conn = PQconnectdb(dsn);
    assert_int_equal(PQstatus(world.conn), CONNECTION_OK);
    world.loop = loop_new();
    prepare_database(&world);
    open_apply(&world);
    return 0;
}

static inline int setup(void **state)
{
    return setup_mapped(state, mapping_lines);
}

static inline int teardown(void **state)
{
    struct world *world = *state;

    if (!getenv("SELARAS_TEST_DSN"))
        return 0;
    close_apply(world);
    sql(world, slot_sql);
    PQfinish(world->conn);
    loop_free(&world->loop);
    arena_free(&world->arena);
    return 0;
}

static inline struct world *world_of(void **state)
{
    if (!getenv("SELARAS_TEST_DSN"))
        skip();
    return *state;
}

#endif
