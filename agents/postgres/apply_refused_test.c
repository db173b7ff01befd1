/* What the database refuses is parked. See apply_fixture.h. */
#include "agents/postgres/apply_fixture.h"

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

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_refused_is_parked_and_the_rest_takes_effect),
        T(later_items_queue_behind_a_parked_one_until_it_is_released),
        T(what_is_parked_is_remembered_by_the_next_session),
        T(a_parked_record_can_be_given_up),
        T(what_is_too_long_is_refused_and_never_cut),
        T(a_deferred_constraint_parks_the_row_that_breaks_it),
        T(a_key_that_the_column_cannot_hold_is_parked_and_the_rest_takes_effect),
        T(what_a_broken_trigger_refuses_is_parked),
        T(a_parked_field_that_is_no_longer_mapped_is_left_out),
    };

    log_start("apply_test", NULL, LOG_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
