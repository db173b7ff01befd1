/* Which records an operator means, and how long what was done counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/brake.h"
#include "proto/tree_fixture.h"

static const char text[] = "catalog\n"
                           "    version = 1\n"
                           "    agencies = \"a\"\n"
                           "record\n"
                           "    person\n"
                           "        existence\n"
                           "            write = a\n"
                           "            limit = \"deletions 5 1 h\"\n"
                           "        read\n"
                           "            a = law\n"
                           "        fields\n"
                           "            name\n"
                           "                type = text\n"
                           "                write = a\n";

static void a_selection_is_numbers_and_ranges(void **state)
{
    static const struct {
        const char *text, *made;
    } table[] = {
        { "", "" },           { "7", "{[7,7]}" }, { "17,19,200-400", "{[17,17],[19,19],[200,400]}" },
        { "3-3", "{[3,3]}" }, { "0", NULL },      { "1,", NULL },
        { "4-3", NULL },      { "1 2", NULL },    { "-3", NULL },
        { "x", NULL },        { "1-", NULL },     { "1234567890123456789", NULL },
    };
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *made = NULL;

        assert_int_equal(selection_make(arena, table[i].text, &made), table[i].made != NULL);
        if (table[i].made)
            assert_string_equal(made, table[i].made);
    }
    arena_free(&arena);
}

static void what_was_done_counts_for_the_time_of_the_limit(void **state)
{
    const int64_t minute = 60 * INT64_C(1000000), start = 1700000000 * INT64_C(1000000);
    struct arena *arena = arena_new();
    const struct catalog *catalog;
    struct ledger_state ledger = { 0 };
    struct brake *brake, *copy;
    struct error err;

    (void)state;
    assert_int_equal(catalog_build(arena, tree_fixture(arena, text), text, sizeof text - 1, &catalog, &err), 0);
    brake = brake_new(catalog, &ledger);
    brake_use(brake, 1, 0, start, 2);
    brake_use(brake, 1, 0, start + 30 * minute, 3);
    brake_use(brake, 2, 0, start, 9); /* another agency's */
    assert_int_equal(brake_used(brake, 1, 0, start + 59 * minute), 5);
    assert_int_equal(brake_used(brake, 1, 0, start + 69 * minute), 3);
    copy = brake_copy(brake);
    brake_use(copy, 1, 0, start + 69 * minute, 1);
    assert_int_equal(brake_used(copy, 1, 0, start + 69 * minute), 4);
    assert_int_equal(brake_used(brake, 1, 0, start + 69 * minute), 3); /* a batch that is refused has done nothing */
    brake_use(copy, 1, 0, start - 60 * minute, 1);                     /* a clock that goes back makes nothing free */
    assert_int_equal(brake_used(copy, 1, 0, start + 69 * minute), 5);
    assert_int_equal(brake_used(copy, 1, 0, start + 300 * minute), 0);
    brake_free(&copy);
    brake_free(&brake);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_selection_is_numbers_and_ranges),
        cmocka_unit_test(what_was_done_counts_for_the_time_of_the_limit),
    };

    return cmocka_run_group_tests_name("brake", tests, NULL, NULL);
}
