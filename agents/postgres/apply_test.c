/* Apply against a real PostgreSQL: set SELARAS_TEST_DSN to a scratch database of a superuser (wal_level = logical). */
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
    "DROP SCHEMA IF EXISTS selaras CASCADE; DROP PUBLICATION IF EXISTS selaras; DROP TABLE IF EXISTS member;"
    "CREATE TABLE member (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, nik char(20) NOT NULL UNIQUE,"
    " nama text NOT NULL, iuran numeric(12,2) CHECK (iuran >= 0), status text NOT NULL DEFAULT 'NONAKTIF', kode "
    "varchar(4),"
    " catatan text DEFAULT 'theirs');"
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

static void on_time(void *context)
{
    struct world *world = context;

    error_set(&world->failed, ERR_STOP, "nothing happened for 10 s");
    loop_end(world->loop);
}

static void run(struct world *world)
{
    struct loop_source *limit = loop_timer(world->loop, 10000, true, on_time, world);

    loop_run(world->loop);
    loop_remove(&limit);
    if (world->failed.code != 0)
        print_message("%s\n", world->failed.text);
    assert_int_equal(world->failed.code, 0);
}

static void on_ready(void *context)
{
    struct world *world = context;

    world->ready = true;
    loop_end(world->loop);
}

static void on_applied(void *context, feed_position position)
{
    struct world *world = context;

    world->applied = position;
    loop_end(world->loop);
}

static void on_failed(void *context, const struct error *err)
{
    struct world *world = context;

    world->failed = *err;
    loop_end(world->loop);
}

static void on_inspected(void *context, struct inspection *found, const struct error *err)
{
    struct world *world = context;

    world->found = found;
    world->failed = *err;
    loop_end(world->loop);
}

static void on_pg(void *context, bool up, const struct error *err)
{
    struct world *world = context;

    if (up)
        world->inspect = inspect_start(world->pg, &world->options, &world->mapping, on_inspected, world);
    else
        on_failed(world, err);
}

static void wait_ms(struct world *world, uint32_t ms)
{
    struct loop_source *timer = loop_timer(world->loop, ms, true, on_ready, world);

    run(world);
    loop_remove(&timer);
}

static void on_answer(void *context, const char *json, const struct error *err)
{
    struct world *world = context;

    snprintf(world->answer, sizeof world->answer, "%s", json ? json : err->text);
    loop_end(world->loop);
}

/* ---- the agency's database, as its own people see it ---- */

static void sql(struct world *world, const char *statement)
{
    PGresult *result = PQexec(world->conn, statement);

    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        print_message("%s\n%s", statement, PQresultErrorMessage(result));
    assert_true(PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK);
    PQclear(result);
}

static void assert_sql(struct world *world, const char *expected, const char *query)
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
static void assert_reports(struct world *world, const char *expected)
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
        for (uint32_t i = 0; i < applied.report_count; i++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s %d %d;", report_name(applied.reports[i].kind),
                     (int)applied.reports[i].record, (int)applied.reports[i].position);
    }
    assert_string_equal(text, expected);
    arena_free(&arena);
    PQclear(result);
}

/* ---- feeding ---- */

static struct text text_of(const char *text)
{
    return (struct text){ text, text ? (uint32_t)strlen(text) : 0 };
}

static struct item *add(struct world *world, feed_position position, enum operation operation, uint64_t record,
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
static void take(struct world *world, feed_position position)
{
    struct feed feed = { .final = true, .position = position, .items = world->items, .item_count = world->count };

    memset(feed.leaf, (int)position, sizeof feed.leaf);
    assert_true(apply_take(world->apply, &feed));
    world->count = 0;
}

/* ... and waits until it is applied. */
static void feed(struct world *world, feed_position position)
{
    take(world, position);
    run(world);
    assert_int_equal(world->applied, position);
}

static void settle(struct world *world, uint64_t record, bool close)
{
    apply_settle(world->apply, record, close, "rina", "moved away", on_answer, world);
    run(world);
}

/* ---- the world ---- */

static void prepare_database(struct world *world)
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

static void open_apply(struct world *world)
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

static void close_apply(struct world *world)
{
    apply_close(&world->apply);
    pg_close(&world->pg);
    inspect_free(&world->inspect);
    inspection_free(&world->found);
}

static int setup(void **state)
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
        mapping_build(world.arena, tree_fixture(world.arena, mapping_lines), &world.mapping, &err) < 0 ||
        mapping_bind(world.arena, &world.mapping, catalog, AGENCY, &err) < 0)
        fail_msg("%s", err.text);
    world.conn = PQconnectdb(dsn);
    assert_int_equal(PQstatus(world.conn), CONNECTION_OK);
    world.loop = loop_new();
    prepare_database(&world);
    open_apply(&world);
    return 0;
}

static int teardown(void **state)
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

static struct world *world_of(void **state)
{
    if (!getenv("SELARAS_TEST_DSN"))
        skip();
    return *state;
}

/* ---- the tests ---- */

static void inserts_updates_and_deletes_take_effect_with_progress_and_origin(void **state)
{
    struct world *world = world_of(state);

    add(world, 5, OPERATION_UPDATE, 1, "A", "name", "Ani S.", "covered", "true", NULL);
    add(world, 6, OPERATION_INSERT, 4, NULL, "nik", "D", "name", "Dewi", "premium", "42000.00", "covered", NULL, NULL);
    add(world, 7, OPERATION_DELETE, 3, "C", NULL);
    feed(world, 7);
    assert_sql(
        world, "A:Ani S.:1.00:AKTIF:theirs B:Budi:2.00:NONAKTIF:theirs D:Dewi:42000.00:NONAKTIF:theirs",
        "SELECT string_agg(concat_ws(':', nik::text, nama, iuran, status, catatan), ' ' ORDER BY nik) FROM member");
    assert_sql(world, "7", "SELECT applied FROM selaras.agent");
    assert_sql(world, "0/7",
               "SELECT remote_lsn FROM pg_replication_origin_status WHERE external_id = 'selaras_applytest'");
    assert_reports(world, "");
}

static void an_insertion_of_a_row_that_exists_updates_it(void **state)
{
    struct world *world = world_of(state);

    add(world, 5, OPERATION_INSERT, 1, NULL, "nik", "A", "name", "Anisa", "premium", NULL, "covered", "false", NULL);
    feed(world, 5);
    assert_sql(world, "1 Anisa theirs", "SELECT concat_ws(' ', id, nama, iuran, catatan) FROM member WHERE nik = 'A'");
}

static void an_update_of_a_missing_row_is_reported(void **state)
{
    struct world *world = world_of(state);

    add(world, 5, OPERATION_UPDATE, 9, "X", "name", "nobody", NULL);
    add(world, 6, OPERATION_UPDATE, 9, "X", "premium", "1.00", NULL);
    add(world, 7, OPERATION_DELETE, 8, "Y", NULL);
    feed(world, 7);
    assert_reports(world, "skipped 9 5;");
}

static void items_of_a_row_that_is_gone_here_are_skipped_or_done(void **state)
{
    struct world *world = world_of(state);

    add(world, 5, OPERATION_UPDATE, 9, NULL, "name", "nobody", NULL);
    add(world, 6, OPERATION_DELETE, 8, NULL, NULL);
    feed(world, 6);
    assert_reports(world, "skipped 9 5;");
    add(world, 7, OPERATION_UPDATE, 1, "A", "premium", "-1.00", NULL); /* the same row by row */
    add(world, 8, OPERATION_UPDATE, 9, NULL, "name", "nobody", NULL);
    add(world, 9, OPERATION_UPDATE, 9, NULL, "name", "still nobody", NULL);
    add(world, 10, OPERATION_UPDATE, 2, "B", "name", "Budiman", NULL);
    feed(world, 10);
    assert_reports(world, "parked 1 7;skipped 9 8;");
    assert_sql(world, "Budiman", "SELECT nama FROM member WHERE nik = 'B'");
}

static void a_batch_without_items_still_moves_the_position(void **state)
{
    struct world *world = world_of(state);

    feed(world, 12);
    assert_sql(world, "12", "SELECT applied FROM selaras.agent");
    assert_sql(world, "0/C",
               "SELECT remote_lsn FROM pg_replication_origin_status WHERE external_id = 'selaras_applytest'");
}

static void what_is_refused_is_parked_and_the_rest_takes_effect(void **state)
{
    struct world *world = world_of(state);

    add(world, 5, OPERATION_UPDATE, 1, "A", "premium", "-1.00", NULL);
    add(world, 6, OPERATION_UPDATE, 2, "B", "name", "Budiman", NULL);
    add(world, 7, OPERATION_UPDATE, 1, "A", "name", "Ani S.", NULL);
    feed(world, 7);
    assert_sql(world, "Ani 1.00 Budiman",
               "SELECT string_agg(concat_ws(' ', nama, CASE nik WHEN 'A' THEN iuran END), ' ' ORDER BY nik)"
               " FROM member WHERE nik < 'C'");
    assert_sql(world, "1 5 A 1 t t",
               "SELECT concat_ws(' ', record, position, key, tries, reason LIKE '%23514%member_iuran_check%',"
               " reason NOT LIKE '%-1%') FROM selaras.parked");
    assert_reports(world, "parked 1 5;");
}

static void later_items_queue_behind_a_parked_one_until_it_is_released(void **state)
{
    struct world *world = world_of(state);

    add(world, 5, OPERATION_UPDATE, 1, "A", "premium", "-1.00", "covered", "true", NULL);
    feed(world, 5);
    add(world, 6, OPERATION_UPDATE, 1, "A", "name", "Ani S.", NULL);
    feed(world, 6);
    assert_sql(world, "Ani 1.00 NONAKTIF", "SELECT concat_ws(' ', nama, iuran, status) FROM member WHERE nik = 'A'");
    settle(world, 1, false);
    assert_string_equal(world->answer, "{\"released\":0,\"closed\":0,\"refused\":1,\"busy\":0}");
    assert_sql(world, "2", "SELECT tries FROM selaras.parked");
    add(world, 7, OPERATION_UPDATE, 1, "A", "premium", "9.00", NULL);
    feed(world, 7);
    settle(world, 0, false);
    assert_string_equal(world->answer, "{\"released\":1,\"closed\":0,\"refused\":0,\"busy\":0}");
    assert_sql(world, "Ani S. 9.00 AKTIF", "SELECT concat_ws(' ', nama, iuran, status) FROM member WHERE nik = 'A'");
    assert_sql(world, "0", "SELECT count(*) FROM selaras.parked");
    assert_reports(world, "parked 1 5;released 1 5;");
    add(world, 8, OPERATION_UPDATE, 1, "A", "name", "Anisa", NULL);
    feed(world, 8);
    assert_sql(world, "Anisa", "SELECT nama FROM member WHERE nik = 'A'");
}

static void what_is_parked_is_remembered_by_the_next_session(void **state)
{
    struct world *world = world_of(state);

    add(world, 5, OPERATION_UPDATE, 1, "A", "premium", "-1.00", NULL);
    feed(world, 5);
    close_apply(world);
    open_apply(world);
    add(world, 6, OPERATION_UPDATE, 1, "A", "name", "Ani S.", NULL);
    feed(world, 6);
    assert_sql(world, "Ani", "SELECT nama FROM member WHERE nik = 'A'");
    sql(world, "ALTER TABLE member DROP CONSTRAINT member_iuran_check");
    settle(world, 1, false);
    assert_sql(world, "Ani S. -1.00", "SELECT concat_ws(' ', nama, iuran) FROM member WHERE nik = 'A'");
}

static void a_parked_record_can_be_given_up(void **state)
{
    struct world *world = world_of(state);

    add(world, 5, OPERATION_UPDATE, 1, "A", "premium", "-1.00", NULL);
    feed(world, 5);
    settle(world, 1, true);
    assert_string_equal(world->answer, "{\"released\":0,\"closed\":1,\"refused\":0,\"busy\":0}");
    assert_sql(world, "0", "SELECT count(*) FROM selaras.parked");
    assert_reports(world, "parked 1 5;closed 1 5;");
}

static void what_is_too_long_is_refused_and_never_cut(void **state)
{
    struct world *world = world_of(state);

    add(world, 5, OPERATION_UPDATE, 1, "A", "code", "12345", NULL);
    add(world, 6, OPERATION_UPDATE, 2, "B", "code", "1234", NULL);
    feed(world, 6);
    assert_sql(world, "-,1234", "SELECT string_agg(coalesce(kode, '-'), ',' ORDER BY nik) FROM member WHERE nik < 'C'");
    assert_sql(world, "1", "SELECT record FROM selaras.parked");
}

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

/* What was fed before a load is older than the load's snapshot: the load answers for all of it. */
static void a_load_leaves_nothing_of_the_feed_before_it(void **state)
{
    struct world *world = world_of(state);

    sql(world, "BEGIN; UPDATE member SET catatan = 'edited' WHERE nik = 'A'");
    add(world, 5, OPERATION_UPDATE, 1, "A", "name", "Ani S.", NULL);
    take(world, 5);
    add(world, 6, OPERATION_UPDATE, 2, "B", "name", "Budiman", NULL);
    take(world, 6);
    wait_ms(world, 300);
    apply_rest(world->apply);
    for (int i = 0; i < 1000 && !apply_idle(world->apply); i++)
        wait_ms(world, 10);
    assert_true(apply_idle(world->apply));
    sql(world, "COMMIT");
    wait_ms(world, 300);
    assert_sql(world, "Ani Budi", "SELECT string_agg(nama, ' ' ORDER BY nik) FROM member WHERE nik < 'C'");
    apply_load_done(world->apply, 4, 50);
    for (int i = 0; i < 1000 && !apply_idle(world->apply); i++)
        wait_ms(world, 10);
    add(world, 51, OPERATION_UPDATE, 3, "C", "name", "Citra D.", NULL);
    feed(world, 51);
    assert_sql(world, "Ani Budi Citra D.", "SELECT string_agg(nama, ' ' ORDER BY nik) FROM member");
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

static void keys_move_in_the_order_of_the_source(void **state)
{
    struct world *world = world_of(state);

    add(world, 5, OPERATION_UPDATE, 1, "A", "nik", "E", NULL);
    add(world, 6, OPERATION_UPDATE, 2, "B", "nik", "A", "name", "Budi A", NULL);
    add(world, 7, OPERATION_UPDATE, 1, "E", "nik", "B", NULL);
    feed(world, 7);
    assert_sql(world, "2 Budi A,1 Ani",
               "SELECT string_agg(concat_ws(' ', id, nama), ',' ORDER BY nik) FROM member WHERE nik < 'C'");
    assert_reports(world, "");
}

static void a_whole_record_takes_the_row_that_has_its_old_key(void **state)
{
    struct world *world = world_of(state);

    add(world, 5, OPERATION_INSERT, 1, "A", "nik", "Z", "name", "Ani Z", NULL);
    add(world, 6, OPERATION_INSERT, 8, "Q", "nik", "Y", "name", "new", NULL);
    feed(world, 6);
    assert_sql(
        world, "Y new theirs,Z Ani Z theirs",
        "SELECT string_agg(concat_ws(' ', btrim(nik), nama, catatan), ',' ORDER BY nik) FROM member WHERE nik > 'C'");
    assert_sql(world, "1", "SELECT id FROM member WHERE nik = 'Z'");
}

static void a_value_that_is_put_back_leaves_a_notice(void **state)
{
    struct world *world = world_of(state);
    struct item *item = add(world, 5, OPERATION_UPDATE, 1, "A", "covered", "true", "premium", "1.00", NULL);

    item->reason = (struct reason){ text_of("put back"), text_of("dinsos"), text_of("owner") };
    feed(world, 5);
    assert_sql(world, "public.member|A|covered|NONAKTIF|AKTIF|dinsos|put back: owner",
               "SELECT string_agg(concat_ws('|', \"table\", key, field, yours, now, decided_by, why), ',') FROM "
               "selaras.notice");
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

static void what_was_fed_before_is_left_out(void **state)
{
    struct world *world = world_of(state);

    add(world, 5, OPERATION_UPDATE, 1, "A", "name", "first", NULL);
    feed(world, 5);
    sql(world, "UPDATE member SET nama = 'local' WHERE nik = 'A'");
    add(world, 5, OPERATION_UPDATE, 1, "A", "name", "first", NULL);
    add(world, 6, OPERATION_UPDATE, 2, "B", "name", "second", NULL);
    feed(world, 6);
    assert_sql(world, "local second", "SELECT string_agg(nama, ' ' ORDER BY nik) FROM member WHERE nik < 'C'");
}

static void a_deferred_constraint_parks_the_row_that_breaks_it(void **state)
{
    struct world *world = world_of(state);

    sql(world, "CREATE TABLE IF NOT EXISTS kind (kode varchar(4) PRIMARY KEY); INSERT INTO kind VALUES ('ok') ON "
               "CONFLICT DO NOTHING;"
               "ALTER TABLE member ADD FOREIGN KEY (kode) REFERENCES kind DEFERRABLE INITIALLY DEFERRED");
    add(world, 5, OPERATION_UPDATE, 1, "A", "code", "bad", NULL);
    add(world, 6, OPERATION_UPDATE, 2, "B", "code", "ok", NULL);
    feed(world, 6);
    assert_sql(world, "1", "SELECT record FROM selaras.parked WHERE reason LIKE '%23503%'");
    assert_sql(world, "ok", "SELECT kode FROM member WHERE nik = 'B'");
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

/* A text that another agency writes may be no number, and the column here be one. */
static void a_key_that_the_column_cannot_hold_is_parked_and_the_rest_takes_effect(void **state)
{
    struct world *world = world_of(state);

    close_apply(world);
    sql(world, "DELETE FROM member; ALTER TABLE member ALTER nik TYPE bigint USING nik::bigint;"
               "INSERT INTO member (nik, nama) VALUES (1, 'Ani'), (2, 'Budi')");
    open_apply(world);
    add(world, 5, OPERATION_UPDATE, 1, "1", "name", "Ani S.", NULL);
    add(world, 6, OPERATION_INSERT, 9, NULL, "nik", "not a number", "name", "Eka", NULL);
    add(world, 7, OPERATION_UPDATE, 2, "2", "name", "Budiman", NULL);
    feed(world, 7);
    assert_sql(world, "Ani S. Budiman", "SELECT string_agg(nama, ' ' ORDER BY nik) FROM member");
    assert_sql(world, "9 t", "SELECT concat_ws(' ', record, reason LIKE '%22P02%') FROM selaras.parked");
    assert_reports(world, "parked 9 6;");
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

/* People write triggers for sessions that find their tables without naming the schema. */
static void a_trigger_finds_the_tables_beside_its_own(void **state)
{
    struct world *world = world_of(state);

    sql(world, "DROP TABLE IF EXISTS trail; CREATE TABLE trail (nik text);"
               "CREATE OR REPLACE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS"
               " 'BEGIN INSERT INTO trail VALUES (NEW.nik); RETURN NEW; END';"
               "CREATE TRIGGER follow AFTER UPDATE ON member FOR EACH ROW EXECUTE FUNCTION follow()");
    add(world, 5, OPERATION_UPDATE, 1, "A", "name", "Ani S.", NULL);
    feed(world, 5);
    assert_sql(world, "A", "SELECT btrim(nik) FROM trail");
    assert_sql(world, "0", "SELECT count(*) FROM selaras.parked");
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

static void what_a_broken_trigger_refuses_is_parked(void **state)
{
    struct world *world = world_of(state);

    sql(world, "CREATE OR REPLACE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS"
               " 'BEGIN IF NEW.nama = ''Ani S.'' THEN INSERT INTO nowhere VALUES (1); END IF; RETURN NEW; END';"
               "CREATE TRIGGER follow AFTER UPDATE ON member FOR EACH ROW EXECUTE FUNCTION follow()");
    add(world, 5, OPERATION_UPDATE, 1, "A", "name", "Ani S.", NULL);
    add(world, 6, OPERATION_UPDATE, 2, "B", "name", "Budiman", NULL);
    feed(world, 6);
    assert_sql(world, "Ani Budiman", "SELECT string_agg(nama, ' ' ORDER BY nik) FROM member WHERE nik < 'C'");
    assert_reports(world, "parked 1 5;");
    assert_sql(world, "t", "SELECT reason LIKE '%42P01%trigger or function%' FROM selaras.parked");
    settle(world, 1, false);
    assert_string_equal(world->answer, "{\"released\":0,\"closed\":0,\"refused\":1,\"busy\":0}");
}

/* The mapping may have changed since it was parked. */
static void a_parked_field_that_is_no_longer_mapped_is_left_out(void **state)
{
    struct world *world = world_of(state);
    struct mapping_block *block = &world->mapping.blocks[0];

    add(world, 5, OPERATION_UPDATE, 1, "A", "premium", "-1.00", "code", "x", NULL);
    feed(world, 5);
    block->field_count--;
    add(world, 6, OPERATION_UPDATE, 1, "A", "premium", "9.00", NULL);
    feed(world, 6);
    settle(world, 1, false);
    block->field_count++;
    assert_string_equal(world->answer, "{\"released\":1,\"closed\":0,\"refused\":0,\"busy\":0}");
    assert_sql(world, "9.00 -", "SELECT concat_ws(' ', iuran, coalesce(kode, '-')) FROM member WHERE nik = 'A'");
}

/* Looks at the database again; what it says is told. */
static const char *refusal(struct world *world)
{
    close_apply(world);
    world->pg = pg_open(world->loop, world->options.database, "apply_test", on_pg, world);
    loop_run(world->loop);
    assert_int_equal(world->failed.code, ERR_STOP);
    world->failed.code = 0;
    return world->failed.text;
}

static void more_columns_than_a_statement_can_write_are_refused_at_the_start(void **state)
{
    struct world *world = world_of(state);
    struct mapping_block *block = &world->mapping.blocks[0], whole = *block;

    block->column_count = BLOCK_COLUMNS_MAX + 1;
    assert_non_null(strstr(refusal(world), "has 129 mapped columns, which is more than 128"));
    *block = whole;
}

/* What never matches would make every record a deleted one. */
static void a_condition_is_spelled_as_the_database_spells_it(void **state)
{
    const char *value = "1";
    struct mapping_where where = { .column = 2, .kind = WHERE_VALUES, .values = &value, .value_count = 1 };
    struct world *world = world_of(state);
    struct mapping_block *block = &world->mapping.blocks[0];

    assert_string_equal(block->columns[where.column], "iuran");
    block->where = &where;
    block->where_count = 1;
    assert_string_equal(refusal(world), "mapping/member/where/iuran: write 1.00 instead of 1: so PostgreSQL spells it");
    value = "satu";
    assert_non_null(strstr(refusal(world), "a value below mapping/.../where is none that its column can have"));
    value = "1.00";
    block->shared = true;
    close_apply(world);
    open_apply(world);
    add(world, 5, OPERATION_UPDATE, 1, "A", "name", "Ani S.", NULL);
    add(world, 6, OPERATION_UPDATE, 2, "B", "name", "Budi S.", NULL);
    add(world, 7, OPERATION_INSERT, 3, NULL, "nik", "C", "name", "Citra S.", NULL);
    add(world, 8, OPERATION_INSERT, 4, NULL, "nik", "D", "name", "Dewi", NULL);
    feed(world, 8);
    assert_sql(world, "A:Ani S.:1.00 B:Budi:2.00 C:Citra S.:1.00",
               "SELECT string_agg(concat_ws(':', nik::text, nama, iuran), ' ' ORDER BY nik) FROM member");
    assert_reports(world, "parked 4 8;skipped 2 6;");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(inserts_updates_and_deletes_take_effect_with_progress_and_origin),
        T(an_insertion_of_a_row_that_exists_updates_it),
        T(an_update_of_a_missing_row_is_reported),
        T(items_of_a_row_that_is_gone_here_are_skipped_or_done),
        T(a_batch_without_items_still_moves_the_position),
        T(what_is_refused_is_parked_and_the_rest_takes_effect),
        T(later_items_queue_behind_a_parked_one_until_it_is_released),
        T(what_is_parked_is_remembered_by_the_next_session),
        T(a_parked_record_can_be_given_up),
        T(what_is_too_long_is_refused_and_never_cut),
        T(a_locked_row_is_waited_for_and_then_written),
        T(a_load_leaves_nothing_of_the_feed_before_it),
        T(a_row_that_is_deleted_and_inserted_anew_meanwhile_is_still_updated),
        T(keys_move_in_the_order_of_the_source),
        T(a_whole_record_takes_the_row_that_has_its_old_key),
        T(a_value_that_is_put_back_leaves_a_notice),
        T(the_origin_of_an_aborted_transaction_does_not_stick_to_the_next),
        T(what_was_fed_before_is_left_out),
        T(a_deferred_constraint_parks_the_row_that_breaks_it),
        T(a_row_that_is_locked_while_others_are_refused_is_waited_for),
        T(a_key_that_the_column_cannot_hold_is_parked_and_the_rest_takes_effect),
        T(progress_that_another_session_made_meanwhile_is_not_made_again),
        T(a_trigger_finds_the_tables_beside_its_own),
        T(a_time_limit_of_the_database_does_not_end_a_batch),
        T(what_a_broken_trigger_refuses_is_parked),
        T(a_parked_field_that_is_no_longer_mapped_is_left_out),
        T(more_columns_than_a_statement_can_write_are_refused_at_the_start),
        T(a_condition_is_spelled_as_the_database_spells_it),
    };

    log_start("apply_test", NULL, LOG_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
