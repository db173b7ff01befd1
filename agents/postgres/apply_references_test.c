/* Rows that refer to rows whose keys this database makes. See apply_fixture.h. */
#include "agents/postgres/apply_fixture.h"

/* What refers stands first in the mapping; its foreign key is checked at once. */
static const char lines[] = "enrolled\n"
                            "    type = enrolment\n"
                            "    table = public.enrolment\n"
                            "    key = generated id\n"
                            "    insert = yes\n"
                            "    delete = row\n"
                            "    fields\n"
                            "        person\n"
                            "            column = member\n"
                            "            block = member\n"
                            "        cost\n"
                            "            column = biaya\n"
                            "member\n"
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
                            "            column = nama\n";

static int setup_references(void **state)
{
    return setup_mapped(state, lines);
}

static void add_enrolment(struct world *world, feed_position position, uint64_t record, const char *person)
{
    add(world, position, OPERATION_INSERT, record, NULL, "person", person, "cost", "1", NULL)->block =
        text_of("enrolled");
}

static void add_member(struct world *world, feed_position position, uint64_t record, const char *nik)
{
    add(world, position, OPERATION_INSERT, record, NULL, "nik", nik, "name", "Baru", NULL);
}

/* Of each enrolment: whose. */
static void assert_enrolled(struct world *world, const char *expected)
{
    assert_sql(world, expected,
               "SELECT coalesce(string_agg(trim(m.nik), ' ' ORDER BY e.id), '-') FROM enrolment e"
               " LEFT JOIN member m ON m.id = e.member");
}

static void a_row_made_in_the_same_batch_is_found(void **state)
{
    struct world *world = world_of(state);

    add_member(world, 5, 9, "D");
    add_enrolment(world, 6, 20, "9");
    feed(world, 6);
    assert_enrolled(world, "D");
    assert_sql(world, "0", "SELECT count(*) FROM selaras.parked");
}

static void a_row_made_before_is_found_by_our_own_links(void **state)
{
    struct world *world = world_of(state);

    add_member(world, 5, 9, "D");
    feed(world, 5);
    add_enrolment(world, 6, 20, "9");
    add_enrolment(world, 7, 21,
                  "member\x1f"
                  "1"); /* the broker knows the key of A */
    feed(world, 7);
    assert_enrolled(world, "D A");
}

static void what_is_not_here_parks_what_refers_to_it_until_it_is(void **state)
{
    struct world *world = world_of(state);

    add_enrolment(world, 5, 20, "9");
    add_enrolment(world, 6, 21,
                  "member\x1f"
                  "2");
    feed(world, 6);
    assert_enrolled(world, "B");
    assert_sql(world, "20 resident 9 is not here", "SELECT concat_ws(' ', record, reason) FROM selaras.parked");
    settle(world, 20, false);
    assert_sql(world, "2", "SELECT tries FROM selaras.parked");
    add_member(world, 7, 9, "D");
    feed(world, 7);
    settle(world, 20, false);
    assert_enrolled(world, "B D");
    assert_sql(world, "0", "SELECT count(*) FROM selaras.parked");
}

static void both_go_in_one_batch(void **state)
{
    struct world *world = world_of(state);

    add_member(world, 5, 9, "D");
    add_enrolment(world, 6, 20, "9");
    feed(world, 6);
    add(world, 7, OPERATION_DELETE, 9, NULL, NULL);
    add(world, 8, OPERATION_DELETE, 20, NULL, NULL)->block = text_of("enrolled");
    feed(world, 8);
    assert_enrolled(world, "-");
    assert_sql(
        world, "0 0",
        "SELECT concat_ws(' ', (SELECT count(*) FROM selaras.parked), (SELECT count(*) FROM member WHERE nik = 'D'))");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_references, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_row_made_in_the_same_batch_is_found),
        T(a_row_made_before_is_found_by_our_own_links),
        T(what_is_not_here_parks_what_refers_to_it_until_it_is),
        T(both_go_in_one_batch),
    };

    log_start("apply_test", NULL, LOG_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
