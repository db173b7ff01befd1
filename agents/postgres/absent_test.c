/* Deletions that wait for their rows, transaction by transaction. */
#include "agents/postgres/fold_fixture.h"

static struct mapping_field made_mapped[3];
static struct mapping_block waiting;
static const struct mapping waiting_mapping = { &waiting, 1 };
static struct absents *absents;
static uint64_t lsn;

enum { ABSENCE_S = 60 };

static void start(size_t bytes_max)
{
    waiting.absence_s = ABSENCE_S;
    arena = arena_new();
    fold = fold_new(&waiting_mapping, 1 << 20);
    absents = absents_new(&waiting_mapping, bytes_max);
    lsn = 0;
    describe('f');
}

static int set_up_waiting(void **state)
{
    (void)state;
    waiting = fixture_block;
    start(1 << 20);
    return 0;
}

/* Column size is the key that the database makes. */
static int set_up_made(void **state)
{
    (void)state;
    made_mapped[0] = fixture_mapped[0];
    made_mapped[1] = fixture_mapped[1];
    made_mapped[2] = fixture_mapped[3];
    waiting = fixture_block;
    waiting.generated = true;
    waiting.key_count = 0;
    waiting.key_columns = &fixture_places[2];
    waiting.fields = made_mapped;
    waiting.field_count = 3;
    start(1 << 20);
    return 0;
}

static int tear_down_waiting(void **state)
{
    absents_free(&absents);
    return tear_down(state);
}

/* The transaction ends `second` seconds after the start, and all of it is durable. */
static const char *passes(int second, bool beat)
{
    struct absent_moment moment = { ++lsn, second * INT64_C(1000000), beat };
    struct error err;

    if (fold_absences(fold, absents, &moment, &err) < 0)
        fail_msg("%s", err.text);
    absents_kept(absents);
    return ended();
}

static void a_row_that_comes_back_is_an_update_of_what_differs(void **state)
{
    (void)state;
    delete (siti);
    assert_string_equal(passes(1, false), "");
    assert_true(absents_wait(absents, 0, (struct text){ "1", 1 }));
    insert(siti_moved);
    assert_string_equal(passes(2, false), "insert 2 nik=2<- name=Siti<- size=3<- note=null<-; ");
    insert(siti_four);
    assert_string_equal(passes(3, false), "update 1 size=4<3; ");
    assert_int_equal(absents->count, 0);
    delete (siti_four);
    assert_string_equal(passes(4, false), "");
    insert(siti_four);
    assert_string_equal(passes(5, false), "");
    assert_string_equal(passes(500, true), "");
}

static void what_is_due_leaves_with_a_heartbeat_and_not_before(void **state)
{
    (void)state;
    delete (siti);
    assert_string_equal(passes(10, false), "");
    assert_string_equal(passes(10 + ABSENCE_S - 1, true), "");
    assert_string_equal(passes(10 + ABSENCE_S, false), "");
    assert_string_equal(passes(10 + ABSENCE_S, true), "delete 1 nik=-<1 name=-<Siti size=-<3 note=-<null; ");
    assert_int_equal(absents->count, 0);
    insert(siti);
    assert_string_equal(passes(10 + ABSENCE_S + 1, false), "insert 1 nik=1<- name=Siti<- size=3<- note=null<-; ");
}

static void a_row_that_leaves_its_block_or_has_no_absence_does_not_wait(void **state)
{
    static const struct person none = { "x", "", "Siti", "3", "" };

    (void)state;
    update(siti, none);
    assert_string_equal(passes(1, false), "delete 1 nik=-<1 name=-<Siti size=-<3 note=-<null; ");
    waiting.absence_s = 0;
    delete (siti);
    assert_string_equal(passes(2, false), "delete 1 nik=-<1 name=-<Siti size=-<3 note=-<null; ");
}

static void another_record_that_takes_its_key_sends_it_first(void **state)
{
    (void)state;
    delete (siti);
    assert_string_equal(passes(1, false), "");
    update(siti_moved, siti);
    assert_string_equal(passes(2, false), "delete 1 nik=-<1 name=-<Siti size=-<3 note=-<null; update 1<2 nik=1<2; ");
    assert_int_equal(absents->count, 0);
}

static void where_the_database_makes_keys_the_identifier_says_which_it_is(void **state)
{
    struct person siti7 = { "x", "1", "Siti", "7", "" }, siti8 = { "x", "1", "Siti", "8", "" };
    struct person budi7 = { "x", "2", "Budi", "7", "" }, budi9 = { "x", "2", "Budi A", "9", "" };

    (void)state;
    delete (siti7);
    assert_string_equal(passes(1, false), "");
    delete (budi9);
    assert_string_equal(passes(2, false), "");
    insert(budi7); /* which was Siti's */
    assert_string_equal(passes(3, false), "delete 7 nik=-<1 name=-<Siti note=-<null; update 7<9 name=Budi<Budi A; ");
    delete (budi7);
    assert_string_equal(passes(4, false), "");
    insert(siti8);
    assert_string_equal(passes(5, false), "insert 8 nik=1<- name=Siti<- note=null<-; ");
    insert(budi7);
    assert_string_equal(passes(6, false), "");
    delete (siti8);
    assert_string_equal(passes(7, false), "");
    insert((struct person){ "x", "3", "Ani", "8", "" }); /* its number was wrong: only the key says so */
    assert_string_equal(passes(8, false), "update 8 nik=3<1 name=Ani<Siti; ");
}

static void a_row_that_the_feed_has_put_there_sends_it(void **state)
{
    (void)state;
    delete (siti);
    assert_string_equal(passes(1, false), "");
    absents_overtake(absents, 0, (struct text){ "1", 1 });
    assert_string_equal(passes(2, false), "delete 1 nik=-<1 name=-<Siti size=-<3 note=-<null; ");
    assert_string_equal(passes(200, true), "");
}

/* What the store is to write: each once, with the positions where it began and ended. */
static void what_changed_is_said_until_it_is_durable(void **state)
{
    struct absent_moment moment = { 7, 1000000, false };
    struct error err;

    (void)state;
    delete (siti);
    assert_int_equal(fold_absences(fold, absents, &moment, &err), 0);
    assert_true(absents_changed(absents));
    assert_true(absents->newest->fresh && absents->newest->lsn == 7 && absents->newest->since_us == 1000000);
    absents_kept(absents);
    assert_false(absents_changed(absents));
    assert_string_equal(ended(), "");
    moment.lsn = 8;
    insert(siti);
    assert_int_equal(fold_absences(fold, absents, &moment, &err), 0);
    assert_true(absents_changed(absents) && absents->settled && !absents->settled->next);
    assert_true(absents->settled->lsn == 7 && absents->settled->settled == 8);
    absents_kept(absents);
    assert_false(absents_changed(absents));
}

static void one_that_was_durable_is_as_if_it_had_been_seen(void **state)
{
    struct value fields[6] = { value_text("1"), value_text("Siti"), value_text("3"), value_null() };

    (void)state;
    absents_restore(absents, 0, (struct text){ "1", 1 }, fields, 3, 1000000);
    assert_false(absents_changed(absents));
    insert(siti_four);
    assert_string_equal(passes(2, false), "update 1 size=4<3; ");
    absents_restore(absents, 0, (struct text){ "1", 1 }, fields, 3, 1000000);
    assert_string_equal(passes(1 + ABSENCE_S, true), "delete 1 nik=-<1 name=-<Siti size=-<3 note=-<null; ");
}

static void more_than_fits_into_memory_is_an_error(void **state)
{
    struct absent_moment moment = { 1, 1, false };
    struct error err;

    (void)state;
    absents->bytes_max = 64;
    delete (siti);
    assert_int_equal(fold_absences(fold, absents, &moment, &err), ERR_STOP);
    assert_non_null(strstr(err.text, "absence"));
}

#define WAITING(test) cmocka_unit_test_setup_teardown(test, set_up_waiting, tear_down_waiting)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAITING(a_row_that_comes_back_is_an_update_of_what_differs),
        WAITING(what_is_due_leaves_with_a_heartbeat_and_not_before),
        WAITING(a_row_that_leaves_its_block_or_has_no_absence_does_not_wait),
        WAITING(another_record_that_takes_its_key_sends_it_first),
        WAITING(a_row_that_the_feed_has_put_there_sends_it),
        WAITING(what_changed_is_said_until_it_is_durable),
        WAITING(one_that_was_durable_is_as_if_it_had_been_seen),
        WAITING(more_than_fits_into_memory_is_an_error),
        cmocka_unit_test_setup_teardown(where_the_database_makes_keys_the_identifier_says_which_it_is, set_up_made,
                                        tear_down_waiting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
