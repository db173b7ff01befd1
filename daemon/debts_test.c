#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void park(struct debts *debts, uint64_t record, const char *reason)
{
    struct debt debt = { .kind = DEBT_PARKED, .record = record, .position = 5, .entry = 5 + record };

    debt.block = (struct text){ "lines", 5 };
    debt.reason = (struct text){ reason, (uint32_t)strlen(reason) };
    debts_add(debts, &debt);
}

static void what_a_reason_waits_for_is_looked_at_when_it_comes(void **state)
{
    struct debts *debts = debts_new();
    struct awaiting due[4];

    (void)state;
    park(debts, 1, "resident 17 is not here");
    park(debts, 2, "resident 18 is not here");
    park(debts, 3, "resident 17 is not here, says a trigger");
    park(debts, 4, "resident 0 is not here");
    assert_int_equal(debts_awaiting(debts), 2);
    assert_int_equal(debts_due(debts, due, 4), 2); /* it may have come before that was said */
    debts_looked_at(debts, due, 2);
    assert_false(debts_to_look_at(debts));
    debts_wake(debts, (uint64_t[]){ 16 }, 1);
    assert_false(debts_to_look_at(debts));
    debts_wake(debts, (uint64_t[]){ 18 }, 1);
    assert_int_equal(debts_due(debts, due, 4), 1);
    assert_int_equal(due[0].record, 2);
    assert_int_equal(due[0].awaited, 18);
    assert_string_equal(due[0].type, "resident");
    assert_string_equal(due[0].block, "lines");
    /* A batch that was refused has settled nothing. */
    debts_keep(debts);
    debts_remove(debts, debts_find(debts, 2, DEBT_PARKED));
    assert_int_equal(debts_awaiting(debts), 1);
    debts_undo(debts);
    assert_int_equal(debts_awaiting(debts), 2);
    debts_looked_at(debts, due, 1);
    debts_wake(debts, (uint64_t[]){ 18 }, 1);
    assert_int_equal(debts_due(debts, due, 4), 1);
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
        T(what_a_reason_waits_for_is_looked_at_when_it_comes),
    };

    return cmocka_run_group_tests_name("debts", tests, NULL, NULL);
}
