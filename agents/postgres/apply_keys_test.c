/* Keys that this database makes, in a pass row by row: an item of each batch is refused. See apply_fixture.h. */
#include "agents/postgres/apply_fixture.h"

static const char generated_lines[] = "member\n"
                                      "    type = resident\n"
                                      "    table = public.member\n"
                                      "    key = generated id\n"
                                      "    insert = yes\n"
                                      "    delete = row\n"
                                      "    fields\n"
                                      "        nik\n"
                                      "            column = nik\n"
                                      "            trim = yes\n"
                                      "        name\n"
                                      "            column = nama\n"
                                      "        premium\n"
                                      "            column = iuran\n";

static int setup_generated(void **state)
{
    return setup_mapped(state, generated_lines);
}

static void add_record(struct world *world, feed_position position, const char *name)
{
    add(world, position, OPERATION_INSERT, 9, NULL, "nik", "D", "name", name, NULL);
}

static void add_deletion(struct world *world, feed_position position)
{
    add(world, position, OPERATION_DELETE, 9, NULL, NULL);
}

static void add_refused(struct world *world, feed_position position)
{
    add(world, position, OPERATION_INSERT, 10, NULL, "nik", "E", "name", "Eka", "premium", "-1.00", NULL);
}

/* Of record 9: the row's name, and whether the link is to that row. */
static void assert_linked(struct world *world, const char *expected)
{
    assert_sql(world, expected,
               "SELECT concat_ws(' ', m.nama, l.key = m.id::text) FROM selaras.link l, member m"
               " WHERE l.record = 9 AND m.nik = 'D'");
    assert_sql(world, "10", "SELECT string_agg(record::text, ' ') FROM selaras.parked");
}

static void a_record_that_comes_twice_is_linked_once(void **state)
{
    struct world *world = world_of(state);

    add_record(world, 5, "Dedi");
    add_record(world, 6, "Dedi S.");
    add_refused(world, 7);
    feed(world, 7);
    assert_linked(world, "Dedi S. t");
}

static void a_record_that_goes_and_comes_again_is_linked_to_its_last_row(void **state)
{
    struct world *world = world_of(state);

    add_record(world, 5, "Dedi");
    add_deletion(world, 6);
    add_record(world, 7, "Dedi S.");
    add_refused(world, 8);
    feed(world, 8);
    assert_linked(world, "Dedi S. t");
    add_deletion(world, 9);
    add_record(world, 10, "Dedi T.");
    add_refused(world, 11);
    feed(world, 11);
    assert_linked(world, "Dedi T. t");
}

static void a_record_that_comes_and_goes_leaves_no_link(void **state)
{
    struct world *world = world_of(state);

    add_record(world, 5, "Dedi");
    add_deletion(world, 6);
    add_refused(world, 7);
    feed(world, 7);
    assert_sql(world, "0 0",
               "SELECT concat_ws(' ', (SELECT count(*) FROM selaras.link),"
               " (SELECT count(*) FROM member WHERE nik = 'D'))");
}

/* What our own links say may be over, and stays a guess while the record is parked. */
static void a_parked_record_does_not_take_the_row_that_has_its_key_now(void **state)
{
    struct world *world = world_of(state);

    add_record(world, 5, "Dedi");
    feed(world, 5);
    sql(world, "UPDATE member SET nik = 'F', nama = 'Fani' WHERE nik = 'D'");
    add(world, 6, OPERATION_INSERT, 9, NULL, "nik", "D", "name", "Dedi", "premium", "-1.00", NULL);
    feed(world, 6);
    assert_sql(world, "9", "SELECT string_agg(record::text, ' ') FROM selaras.parked");
    sql(world, "ALTER TABLE member DROP CONSTRAINT member_iuran_check");
    settle(world, 9, false);
    assert_sql(world, "D Dedi, F Fani",
               "SELECT string_agg(nik || ' ' || nama, ', ' ORDER BY nik) FROM member WHERE nik IN ('D', 'F')");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_generated, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_record_that_comes_twice_is_linked_once),
        T(a_record_that_goes_and_comes_again_is_linked_to_its_last_row),
        T(a_record_that_comes_and_goes_leaves_no_link),
        T(a_parked_record_does_not_take_the_row_that_has_its_key_now),
    };

    log_start("apply_test", NULL, LOG_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
