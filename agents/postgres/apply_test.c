/* What the broker fed takes effect. See apply_fixture.h. */
#include "agents/postgres/apply_fixture.h"

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
    assert_reports(world, "skipped 9 5 X;");
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

    item->reason = (struct reason){ text_of("put back"), text_of("dinsos"), text_of("owner"), text_of("") };
    feed(world, 5);
    assert_sql(world, "public.member|A|covered|NONAKTIF|AKTIF|dinsos|data dinsos didahulukan (pemilik data)",
               "SELECT string_agg(concat_ws('|', \"table\", key, field, yours, now, decided_by, why), ',') FROM "
               "selaras.notice");
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
    assert_reports(world, "parked 4 8;skipped 2 6 B;");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(inserts_updates_and_deletes_take_effect_with_progress_and_origin),
        T(an_insertion_of_a_row_that_exists_updates_it),
        T(an_update_of_a_missing_row_is_reported),
        T(items_of_a_row_that_is_gone_here_are_skipped_or_done),
        T(a_batch_without_items_still_moves_the_position),
        T(a_load_leaves_nothing_of_the_feed_before_it),
        T(keys_move_in_the_order_of_the_source),
        T(a_whole_record_takes_the_row_that_has_its_old_key),
        T(a_value_that_is_put_back_leaves_a_notice),
        T(what_was_fed_before_is_left_out),
        T(a_trigger_finds_the_tables_beside_its_own),
        T(more_columns_than_a_statement_can_write_are_refused_at_the_start),
        T(a_condition_is_spelled_as_the_database_spells_it),
    };

    log_start("apply_test", NULL, LOG_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
