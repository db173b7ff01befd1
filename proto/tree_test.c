#include "proto/tree.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static const char *const keys[] = { "type", "pattern", "identifier", "otherwise", NULL };

static int arena_setup(void **state)
{
    *state = arena_new();
    return 0;
}

static int arena_teardown(void **state)
{
    struct arena *arena = *state;

    arena_free(&arena);
    return 0;
}

/* Adds a node as the last child of `parent`. */
static struct tree *grow(struct arena *arena, struct tree *parent, const char *name, const char *value)
{
    struct tree *node = arena_alloc(arena, sizeof *node);
    const struct tree **place = &parent->child;

    while (*place)
        place = &((struct tree *)(uintptr_t)*place)->next;
    *node = (struct tree){ .name = name, .value = value, .parent = parent };
    *place = node;
    return node;
}

static struct tree *root_new(struct arena *arena)
{
    struct tree *root = arena_alloc(arena, sizeof *root);

    *root = (struct tree){ .name = "root", .value = "" };
    return root;
}

static void a_child_is_found_by_name(void **state)
{
    struct tree *root = root_new(*state);
    struct tree *nik = grow(*state, root, "nik", "");

    grow(*state, nik, "type", "text");
    assert_ptr_equal(tree_child(root, "nik"), nik);
    assert_null(tree_child(root, "type"));
    assert_string_equal(tree_get(nik, "type", "date"), "text");
    assert_string_equal(tree_get(nik, "scale", "0"), "0");
    assert_null(tree_get(nik, "scale", NULL));
    assert_int_equal(tree_count(root), 1);
}

static void a_path_leaves_out_the_root(void **state)
{
    struct tree *root = root_new(*state);
    struct tree *record = grow(*state, root, "record", "");
    struct tree *resident = grow(*state, record, "resident", "");

    assert_string_equal(tree_path(*state, root), "");
    assert_string_equal(tree_path(*state, record), "record");
    assert_string_equal(tree_path(*state, grow(*state, resident, "nik", "")), "record/resident/nik");
}

static void an_unknown_key_names_its_path_and_the_nearest_word(void **state)
{
    struct tree *root = root_new(*state);
    struct tree *nik = grow(*state, root, "nik", "");
    struct error err;

    grow(*state, nik, "type", "text");
    grow(*state, nik, "pattren", "x");
    assert_int_equal(tree_expect(nik, keys, &err), ERR_REJECT);
    assert_string_equal(err.text, "nik/pattren: is not known here; did you mean \"pattern\"?");
}

static void a_key_like_no_other_is_told_what_there_is(void **state)
{
    struct tree *root = root_new(*state);
    struct error err;

    grow(*state, root, "zzzzzzz", "");
    assert_int_equal(tree_expect(root, keys, &err), ERR_REJECT);
    assert_string_equal(err.text, "zzzzzzz: is not known here; known: type, pattern, identifier, otherwise");
}

static void a_key_that_stands_twice_is_refused(void **state)
{
    struct tree *root = root_new(*state);
    struct error err;

    grow(*state, root, "type", "text");
    grow(*state, root, "pattern", "x");
    assert_int_equal(tree_expect(root, keys, &err), 0);
    grow(*state, root, "type", "date");
    assert_int_equal(tree_expect(root, keys, &err), ERR_REJECT);
    assert_string_equal(err.text, "type: stands here twice");
    assert_int_equal(tree_unique(root, &err), ERR_REJECT);
}

static void a_very_long_path_is_told_from_its_end(void **state)
{
    struct tree *node = root_new(*state);
    struct error err;

    for (int i = 0; i < 60; i++)
        node = grow(*state, node, i == 59 ? "last" : "level", "");
    tree_error(node, &err, "is wrong");
    assert_non_null(strstr(err.text, "/level/last: is wrong"));
    assert_memory_equal(err.text, "...", 3);
}

static void a_typing_error_is_near_its_word(void **state)
{
    static const char *const three[] = { "nik", NULL };

    (void)state;
    assert_string_equal(nearest_word("typ", keys), "type");
    assert_string_equal(nearest_word("tpye", keys), "type");
    assert_string_equal(nearest_word("identifer", keys), "identifier");
    assert_string_equal(nearest_word("otherwize", keys), "otherwise");
    assert_string_equal(nearest_word("type", keys), "type");
    assert_string_equal(nearest_word("nki", three), "nik"); /* neighbours that changed places are one error */
}

static void a_word_of_which_more_than_half_differs_is_not_meant(void **state)
{
    static const char *const four[] = { "abcd", NULL };
    char huge[1000];

    (void)state;
    assert_non_null(nearest_word("abxy", four));
    assert_null(nearest_word("axyz", four));
    assert_null(nearest_word("", keys));
    assert_null(nearest_word("x", keys));
    memset(huge, 't', sizeof huge - 1);
    huge[sizeof huge - 1] = 0;
    assert_null(nearest_word(huge, keys));
}

static void a_value_is_one_of_some_words(void **state)
{
    static const char *const words[] = { "put-back", "propose", NULL };
    struct tree *root = root_new(*state);
    struct error err;
    unsigned word = 9;

    assert_int_equal(tree_word(grow(*state, root, "a", "propose"), words, &word, &err), 0);
    assert_int_equal(word, 1);
    assert_int_equal(tree_word(grow(*state, root, "otherwise", "putback"), words, &word, &err), ERR_REJECT);
    assert_string_equal(err.text, "otherwise: \"putback\" is not known here; did you mean \"put-back\"?");
    assert_int_equal(tree_word(grow(*state, root, "none", ""), words, &word, &err), ERR_REJECT);
    assert_string_equal(err.text, "none: has no value");
    assert_int_equal(word, 1);
}

static void what_nobody_would_read_is_refused(void **state)
{
    struct tree *root = root_new(*state);
    struct tree *type = grow(*state, root, "type", "text");
    struct tree *section = grow(*state, root, "pattern", "value");
    const char *text = NULL;
    struct error err;

    assert_int_equal(tree_text(type, &text, &err), 0);
    assert_string_equal(text, "text");
    grow(*state, type, "scale", "2");
    assert_int_equal(tree_text(type, &text, &err), ERR_REJECT);
    assert_string_equal(err.text, "type/scale: does not belong below \"type\"");
    assert_int_equal(tree_expect(section, keys, &err), ERR_REJECT);
    assert_string_equal(err.text, "pattern: has a value, but is a section");
}

static void yes_and_no_are_the_only_truths(void **state)
{
    struct tree *root = root_new(*state);
    struct error err;
    bool yes = false;

    grow(*state, root, "a", "yes");
    grow(*state, root, "b", "no");
    grow(*state, root, "c", "true");
    assert_int_equal(tree_yes(root, "a", false, &yes, &err), 0);
    assert_true(yes);
    assert_int_equal(tree_yes(root, "b", true, &yes, &err), 0);
    assert_false(yes);
    assert_int_equal(tree_yes(root, "d", true, &yes, &err), 0);
    assert_true(yes);
    assert_int_equal(tree_yes(root, "c", true, &yes, &err), ERR_REJECT);
}

static void a_number_keeps_to_its_range(void **state)
{
    static const char *const bad[] = { "", "-1", "+5", "5 ", "1.0", "0x5", "3", "11", "18446744073709551626" };
    struct tree *root = root_new(*state);
    struct error err;
    uint64_t number = 0;

    assert_int_equal(tree_number(grow(*state, root, "n", "10"), 4, 10, &number, &err), 0);
    assert_int_equal(number, 10);
    assert_int_equal(tree_number(grow(*state, root, "n", "18446744073709551615"), 0, UINT64_MAX, &number, &err), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(tree_number(grow(*state, root, "n", bad[i]), 4, 10, &number, &err), ERR_REJECT);
    assert_string_equal(err.text, "n: must be a whole number from 4 to 10");
}

static void a_quantity_has_a_unit(void **state)
{
    static const struct quantity_unit units[] = { { "s", 1 }, { "min", 60 }, { NULL, 0 } };
    static const struct quantity_unit bare[] = { { "", 1 }, { NULL, 0 } };
    static const char *const bad[] = { "", "30", "min", "30 min", "30m", "-1s", "1.5min", "18446744073709551615min" };
    uint64_t quantity = 0;

    (void)state;
    assert_true(quantity_parse("30min", units, &quantity));
    assert_int_equal(quantity, 1800);
    assert_true(quantity_parse("0s", units, &quantity));
    assert_int_equal(quantity, 0);
    assert_true(quantity_parse("7", bare, &quantity));
    assert_int_equal(quantity, 7);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(quantity_parse(bad[i], units, &quantity));
}

static void an_unknown_word_says_what_it_should_be(void **state)
{
    static const char *const agencies[] = { "dinsos", "dinkes", NULL };
    struct tree *root = root_new(*state);
    struct error err;

    assert_int_equal(tree_unknown(grow(*state, root, "write", ""), "agency", "dinkess", agencies, &err), ERR_REJECT);
    assert_string_equal(err.text, "write: there is no agency \"dinkess\"; did you mean \"dinkes\"?");
}

static void a_list_is_words_between_blanks(void **state)
{
    struct tree *root = root_new(*state);
    const char *const *words;
    size_t count;
    struct error err;

    assert_int_equal(tree_list(*state, grow(*state, root, "l", "a  bc\td"), &words, &count, &err), 0);
    assert_int_equal(count, 3);
    assert_string_equal(words[0], "a");
    assert_string_equal(words[1], "bc");
    assert_string_equal(words[2], "d");
    assert_null(words[3]);
    assert_int_equal(tree_list(*state, grow(*state, root, "l", "a bc a"), &words, &count, &err), ERR_REJECT);
    assert_string_equal(err.text, "l: \"a\" stands here twice");
    assert_int_equal(tree_list(*state, grow(*state, root, "l", ""), &words, &count, &err), ERR_REJECT);
}

static void a_name_is_lower_case_letters_digits_and_underscores(void **state)
{
    (void)state;
    assert_true(name_is_valid("dp2kb", AGENCY_NAME_BYTES));
    assert_true(name_is_valid("a_1", 3));
    assert_false(name_is_valid("a_12", 3));
    assert_false(name_is_valid("", 3));
    assert_false(name_is_valid("1a", 3));
    assert_false(name_is_valid("_a", 3));
    assert_false(name_is_valid("A", 3));
    assert_false(name_is_valid("a-b", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_is_found_by_name),
        cmocka_unit_test(a_path_leaves_out_the_root),
        cmocka_unit_test(an_unknown_key_names_its_path_and_the_nearest_word),
        cmocka_unit_test(a_key_like_no_other_is_told_what_there_is),
        cmocka_unit_test(a_key_that_stands_twice_is_refused),
        cmocka_unit_test(a_very_long_path_is_told_from_its_end),
        cmocka_unit_test(a_typing_error_is_near_its_word),
        cmocka_unit_test(a_word_of_which_more_than_half_differs_is_not_meant),
        cmocka_unit_test(a_value_is_one_of_some_words),
        cmocka_unit_test(what_nobody_would_read_is_refused),
        cmocka_unit_test(yes_and_no_are_the_only_truths),
        cmocka_unit_test(a_number_keeps_to_its_range),
        cmocka_unit_test(a_quantity_has_a_unit),
        cmocka_unit_test(an_unknown_word_says_what_it_should_be),
        cmocka_unit_test(a_list_is_words_between_blanks),
        cmocka_unit_test(a_name_is_lower_case_letters_digits_and_underscores),
    };

    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
