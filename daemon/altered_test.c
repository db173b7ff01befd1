#include "daemon/altered.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int set_up(void **state)
{
    *state = altered_new();
    return 0;
}

static int tear_down(void **state)
{
    struct altered *altered = *state;

    altered_free(&altered);
    assert_null(altered);
    return 0;
}

static void each_field_of_a_record_is_one_and_stands_once(void **state)
{
    struct altered *altered = *state;

    assert_true(altered_add(altered, 7, 0));
    assert_true(altered_add(altered, 7, 1));
    assert_true(altered_add(altered, 7, FIELD_EXISTENCE));
    assert_true(altered_add(altered, 8, 0));
    assert_false(altered_add(altered, 7, 1));
    assert_int_equal(altered_count(altered), 4);
    assert_true(altered_remove(altered, 7, 1));
    assert_false(altered_remove(altered, 7, 1));
    assert_false(altered_remove(altered, 8, 1));
    assert_int_equal(altered_count(altered), 3);
}

static void what_a_refused_batch_did_is_undone(void **state)
{
    struct altered *altered = *state;

    altered_add(altered, 7, 0);
    altered_keep(altered);
    altered_remove(altered, 7, 0);
    altered_add(altered, 7, 0);
    altered_remove(altered, 7, 0);
    altered_add(altered, 8, 3);
    altered_undo(altered);
    assert_int_equal(altered_count(altered), 1);
    assert_false(altered_add(altered, 7, 0));
    altered_undo(altered); /* nothing has been done since */
    assert_int_equal(altered_count(altered), 1);
}

static void no_more_are_kept_than_may_be_and_that_is_told(void **state)
{
    struct altered *altered = *state;

    for (uint64_t record = 1; record <= ALTERED_MAX; record++)
        assert_true(altered_add(altered, record, (uint16_t)(record % 5)));
    altered_keep(altered);
    assert_false(altered_more(altered));
    assert_false(altered_add(altered, 1, 1)); /* known */
    assert_false(altered_more(altered));
    assert_false(altered_add(altered, ALTERED_MAX + 1, 0));
    assert_true(altered_more(altered));
    assert_int_equal(altered_count(altered), ALTERED_MAX);
    for (uint64_t record = 1; record <= ALTERED_MAX; record++)
        assert_true(altered_remove(altered, record, (uint16_t)(record % 5)));
    assert_int_equal(altered_count(altered), 0);
    altered_undo(altered);
    assert_int_equal(altered_count(altered), ALTERED_MAX);
    altered_clear(altered);
    assert_int_equal(altered_count(altered), 0);
    assert_false(altered_more(altered));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_field_of_a_record_is_one_and_stands_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_refused_batch_did_is_undone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_more_are_kept_than_may_be_and_that_is_told, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
