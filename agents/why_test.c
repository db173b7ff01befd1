#include "agents/why.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct text text_of(const char *text)
{
    return (struct text){ text, (uint32_t)strlen(text) };
}

static void assert_why(const char *rule, const char *by, const char *ground, enum why_language language,
                       const char *wanted)
{
    struct arena *arena = arena_new();
    struct reason reason = {
        .verdict = text_of("put back"), .by = text_of(by), .rule = text_of(rule), .ground = text_of(ground)
    };

    assert_string_equal(why_text(arena, &reason, language), wanted);
    arena_free(&arena);
}

static void a_rule_is_said_in_each_language(void **state)
{
    (void)state;
    assert_why("not allowed", "dinsos", "", WHY_INDONESIAN, "ditetapkan oleh dinsos (pemilik data)");
    assert_why("not allowed", "dinsos", "", WHY_ENGLISH, "decided by dinsos (owner of this data)");
    assert_why("required", "dinsos", "", WHY_INDONESIAN, "kolom ini wajib diisi");
    assert_why("no such rule", "", "", WHY_INDONESIAN, "diubah oleh instansi lain");
    assert_why("no such rule", "", "", WHY_ENGLISH, "changed by another agency");
}

static void a_person_who_decided_is_named_with_the_ground(void **state)
{
    (void)state;
    assert_why("rejected", "wati", "SK 12/2026", WHY_INDONESIAN, "ditahan, lalu ditolak oleh petugas wati: SK 12/2026");
    assert_why("rejected", "wati", "SK 12/2026", WHY_ENGLISH,
               "held, and then rejected by the officer wati: SK 12/2026");
    assert_why("rejected", "wati", "", WHY_ENGLISH, "held, and then rejected by the officer wati");
}

static void what_became_of_a_row_is_said_in_each_language(void **state)
{
    (void)state;
    assert_string_equal(why_row(true, true, WHY_INDONESIAN), "dihapus");
    assert_string_equal(why_row(true, false, WHY_INDONESIAN), "tetap ada");
    assert_string_equal(why_row(false, true, WHY_INDONESIAN), "ditambah");
    assert_string_equal(why_row(false, false, WHY_INDONESIAN), "dihapus");
    assert_string_equal(why_row(true, true, WHY_ENGLISH), "deleted");
    assert_string_equal(why_row(true, false, WHY_ENGLISH), "kept");
    assert_string_equal(why_row(false, true, WHY_ENGLISH), "added");
    assert_string_equal(why_row(false, false, WHY_ENGLISH), "removed");
}

static void a_language_has_a_name(void **state)
{
    enum why_language language = WHY_ENGLISH;

    (void)state;
    assert_true(why_language_named("id", &language));
    assert_int_equal(language, WHY_INDONESIAN);
    assert_true(why_language_named("en", &language));
    assert_int_equal(language, WHY_ENGLISH);
    assert_false(why_language_named("in", &language));
    assert_false(why_language_named("", &language));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_is_said_in_each_language),
        cmocka_unit_test(a_person_who_decided_is_named_with_the_ground),
        cmocka_unit_test(what_became_of_a_row_is_said_in_each_language),
        cmocka_unit_test(a_language_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
