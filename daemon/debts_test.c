#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/debts.h"

enum { MANY = 5000 };

static void add(struct debts *debts, enum debt_kind kind, uint64_t record, feed_position position, feed_position entry)
{
    debts_add(debts, &(struct debt){ .kind = kind, .record = record, .position = position, .entry = entry });
}

static void each_is_found_by_its_record_and_kind(void **state)
{
    struct debts *debts = debts_new();

    (void)state;
    for (uint64_t i = 1; i <= MANY; i++)
        add(debts, i % 2 ? DEBT_PARKED : DEBT_SKIPPED, i, i, MANY + i);
    for (uint64_t i = 1; i <= MANY; i++) {
        const struct debt *found = debts_find(debts, i, i % 2 ? DEBT_PARKED : DEBT_SKIPPED);

        assert_non_null(found);
        assert_int_equal(found->entry, MANY + i);
        assert_null(debts_find(debts, i, i % 2 ? DEBT_SKIPPED : DEBT_PARKED));
    }
    assert_int_equal(debts_count(debts, DEBT_PARKED), MANY / 2);
    assert_null(debts_find(debts, MANY + 1, DEBT_PARKED));
    debts_free(&debts);
    assert_null(debts);
}

static void skips_come_in_the_order_of_their_answers(void **state)
{
    struct debts *debts = debts_new();
    feed_position last = 0;

    (void)state;
    for (uint64_t i = 0; i < MANY; i++)
        add(debts, DEBT_SKIPPED, i, 1, 1 + i * 7 % MANY); /* as a store that knows no order may give them */
    for (const struct debt *debt; (debt = debts_oldest_skip(debts)); debts_remove(debts, debt)) {
        assert_true(debt->entry > last);
        last = debt->entry;
    }
    assert_int_equal(last, MANY);
    assert_int_equal(debts_count(debts, DEBT_SKIPPED), 0);
    debts_free(&debts);
}

static void one_that_is_removed_leaves_the_others(void **state)
{
    struct debts *debts = debts_new();

    (void)state;
    add(debts, DEBT_PARKED, 1, 5, 6);
    add(debts, DEBT_SKIPPED, 1, 7, 8);
    add(debts, DEBT_SKIPPED, 17, 9, 10); /* of the same bucket */
    debts_remove(debts, debts_find(debts, 1, DEBT_SKIPPED));
    assert_null(debts_find(debts, 1, DEBT_SKIPPED));
    assert_int_equal(debts_find(debts, 1, DEBT_PARKED)->position, 5);
    assert_int_equal(debts_oldest_skip(debts)->record, 17);
    debts_clear(debts);
    assert_null(debts_oldest_skip(debts));
    assert_int_equal(debts_count(debts, DEBT_PARKED), 0);
    debts_free(&debts);
}

static void a_base_is_lowered_to_before_the_first_item_it_has_seen(void **state)
{
    struct debts *debts = debts_new();

    (void)state;
    add(debts, DEBT_SKIPPED, 1, 5, 6);
    add(debts, DEBT_PARKED, 1, 9, 10);
    assert_int_equal(debts_base(debts, 1, 4), 4);
    assert_int_equal(debts_base(debts, 1, 5), 4);
    assert_int_equal(debts_base(debts, 1, 20), 4);
    assert_int_equal(debts_base(debts, 2, 20), 20);
    debts_remove(debts, debts_find(debts, 1, DEBT_SKIPPED));
    assert_int_equal(debts_base(debts, 1, 20), 8);
    debts_free(&debts);
}

static void what_a_refused_batch_did_is_undone(void **state)
{
    struct debts *debts = debts_new();

    (void)state;
    add(debts, DEBT_PARKED, 1, 5, 6);
    add(debts, DEBT_SKIPPED, 2, 7, 8);
    debts_keep(debts);
    debts_remove(debts, debts_find(debts, 1, DEBT_PARKED));
    add(debts, DEBT_PARKED, 1, 11, 12);
    debts_remove(debts, debts_oldest_skip(debts));
    add(debts, DEBT_SKIPPED, 3, 13, 14);
    debts_remove(debts, debts_find(debts, 3, DEBT_SKIPPED)); /* came and went within the batch */
    debts_undo(debts);
    assert_int_equal(debts_find(debts, 1, DEBT_PARKED)->position, 5);
    assert_int_equal(debts_oldest_skip(debts)->record, 2);
    assert_null(debts_find(debts, 3, DEBT_SKIPPED));
    assert_int_equal(debts_count(debts, DEBT_PARKED), 1);
    assert_int_equal(debts_count(debts, DEBT_SKIPPED), 1);
    debts_undo(debts); /* nothing since */
    assert_int_equal(debts_count(debts, DEBT_PARKED), 1);
    debts_free(&debts);
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(each_is_found_by_its_record_and_kind),
        T(skips_come_in_the_order_of_their_answers),
        T(one_that_is_removed_leaves_the_others),
        T(what_a_refused_batch_did_is_undone),
        T(a_base_is_lowered_to_before_the_first_item_it_has_seen),
    };

    return cmocka_run_group_tests_name("debts", tests, NULL, NULL);
}
