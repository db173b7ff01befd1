#include "proto/catalog.h"

#include "proto/tree_fixture.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <limits.h>
#include <stdlib.h>

/* Each test builds from this, with one line put in or replaced. */
static const char lines[] = "catalog\n"
                            "    version = 12\n"
                            "    agencies = \"dinsos dinkes dp2kb\"\n"
                            "record\n"
                            "    resident\n"
                            "        existence\n"
                            "            write = \"dinsos dinkes\"\n"
                            "        read\n"
                            "            dinsos = \"UU 13/2011\"\n"
                            "            dinkes = \"agreement 440/12/2025\"\n"
                            "        groups\n"
                            "            residence\n"
                            "                write = \"dinkes dinsos\"\n"
                            "                conflict = review\n"
                            "        fields\n"
                            "            nik\n"
                            "                type = text\n"
                            "                identifier = yes\n"
                            "                required = yes\n"
                            "                personal = yes\n"
                            "                pattern = \"[0-9]{16}\"\n"
                            "                write = \"dinsos dinkes\"\n"
                            "            village\n"
                            "                type = text\n"
                            "                group = residence\n"
                            "            premium\n"
                            "                type = decimal\n"
                            "                scale = 2\n"
                            "                write = dinkes\n"
                            "                otherwise = propose\n"
                            "                conflict = largest\n"
                            "                stale = 2h\n"
                            "            address\n"
                            "                type = text\n"
                            "                compare = letters\n"
                            "                group = residence\n"
                            "            born\n"
                            "                type = date\n"
                            "                write = dp2kb\n"
                            "                read\n"
                            "                    dp2kb = \"agreement 463/3/2025\"\n";

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

/* `lines` with the first `old` replaced; every `old` must be there. */
static const char *edited(struct arena *arena, const char *old, const char *new)
{
    const char *at = strstr(lines, old);

    assert_non_null(at);
    return arena_printf(arena, "%.*s%s%s", (int)(at - lines), lines, new, at + strlen(old));
}

static const struct catalog *built(struct arena *arena, const char *text)
{
    const struct catalog *catalog = NULL;
    struct error err;

    if (catalog_build(arena, tree_fixture(arena, text), text, strlen(text), &catalog, &err) < 0)
        fail_msg("%s", err.text);
    return catalog;
}

static void check_refused(struct arena *arena, const char *old, const char *new, const char *why)
{
    const char *text = edited(arena, old, new);
    const struct catalog *catalog = NULL;
    struct error err = { 0 };

    assert_int_equal(catalog_build(arena, tree_fixture(arena, text), text, strlen(text), &catalog, &err), ERR_REJECT);
    assert_string_equal(err.text, why);
    assert_null(catalog);
}

static const struct catalog_unit *unit_named(const struct catalog_type *type, const char *name)
{
    for (int i = 0; i < type->unit_count; i++)
        if (strcmp(type->units[i].name, name) == 0)
            return &type->units[i];
    fail_msg("no unit %s", name);
    abort();
}

static void units_are_existence_then_groups_then_fields(void **state)
{
    const struct catalog_type *type = &built(*state, lines)->types[0];
    static const char *const order[] = { "existence", "residence", "nik", "premium", "born" };

    assert_int_equal(type->unit_count, 5);
    for (int i = 0; i < 5; i++)
        assert_string_equal(type->units[i].name, order[i]);
    assert_int_equal(type->units[UNIT_EXISTENCE].field_count, 0);
    assert_true(type->units[1].group);
    assert_int_equal(type->units[1].field_count, 2);
    assert_string_equal(type->fields[type->units[1].fields[0]].name, "village");
    assert_string_equal(type->fields[type->units[1].fields[1]].name, "address");
    for (int f = 0; f < type->field_count; f++) {
        const struct catalog_unit *unit = &type->units[type->fields[f].unit];
        bool member = false;

        for (int i = 0; i < unit->field_count; i++)
            member = member || unit->fields[i] == f;
        assert_true(member);
    }
}

static void a_field_is_what_its_lines_say(void **state)
{
    const struct catalog_type *type = &built(*state, lines)->types[0];
    const struct catalog_field *nik = &type->fields[catalog_field(type, "nik", 3)];
    const struct catalog_field *premium = &type->fields[catalog_field(type, "premium", 7)];
    const struct catalog_field *address = &type->fields[catalog_field(type, "address", 7)];

    assert_true(nik->identifier && nik->required && nik->personal);
    assert_string_equal(nik->pattern, "[0-9]{16}");
    assert_false(premium->identifier || premium->required || premium->personal);
    assert_null(premium->pattern);
    assert_int_equal(premium->type, VALUE_DECIMAL);
    assert_int_equal(premium->scale, 2);
    assert_int_equal(address->compare, COMPARE_LETTERS);
}

static void a_group_may_be_an_identifier(void **state)
{
    const char *plain = edited(*state, "                compare = letters\n", "");
    const char *at = strstr(plain, "                conflict = review\n");
    const char *text = arena_printf(*state, "%.*s                identifier = yes\n%s", (int)(at - plain), plain, at);
    const struct catalog_type *type = &built(*state, text)->types[0];
    const struct catalog_unit *residence = &type->units[type->fields[catalog_field(type, "village", 7)].unit];

    assert_string_equal(residence->name, "residence");
    assert_true(residence->identifier && residence->group);
    assert_true(type->units[type->fields[catalog_field(type, "nik", 3)].unit].identifier);
    assert_false(type->units[type->fields[catalog_field(type, "premium", 7)].unit].identifier);
    assert_false(type->units[UNIT_EXISTENCE].identifier);
    assert_false(type->fields[catalog_field(type, "village", 7)].identifier); /* not by itself */
}

static void a_policy_is_what_its_lines_say(void **state)
{
    const struct catalog *catalog = built(*state, lines);
    const struct policy *nik = &unit_named(&catalog->types[0], "nik")->policy;
    const struct policy *premium = &unit_named(&catalog->types[0], "premium")->policy;
    const struct policy *residence = &unit_named(&catalog->types[0], "residence")->policy;
    const struct policy *born = &unit_named(&catalog->types[0], "born")->policy;

    assert_int_equal(nik->otherwise, OTHERWISE_PUT_BACK);
    assert_int_equal(nik->conflict, CONFLICT_OWNER);
    assert_int_equal(nik->stale_s, 1800);
    assert_int_equal(premium->otherwise, OTHERWISE_PROPOSE);
    assert_int_equal(premium->conflict, CONFLICT_LARGEST);
    assert_int_equal(premium->stale_s, 7200);
    assert_int_equal(residence->conflict, CONFLICT_REVIEW);
    assert_int_equal(policy_rank(residence, 1), 0);
    assert_int_equal(policy_rank(residence, 0), 1);
    assert_int_equal(policy_rank(residence, 2), INT_MAX);
    assert_true(policy_writes(premium, 1));
    assert_false(policy_writes(premium, 0));
    assert_false(policy_writes(premium, AGENCY_NOBODY));
    assert_true(policy_reads(premium, 0)); /* by the record type's `read` */
    assert_string_equal(premium->basis[0], "UU 13/2011");
    assert_false(policy_reads(premium, 2));
    assert_false(policy_reads(premium, AGENCY_GONE));
    assert_false(policy_reads(born, 0)); /* its own `read` stands instead of the type's */
    assert_true(policy_reads(born, 2));
}

static void names_are_found_by_their_bytes(void **state)
{
    const struct catalog *catalog = built(*state, lines);

    assert_int_equal(catalog->version, 12);
    assert_int_equal(catalog->agency_count, 3);
    assert_int_equal(catalog_agency(catalog, "dinkes, and more", 6), 1);
    assert_int_equal(catalog_agency(catalog, "dinke", 5), -1);
    assert_int_equal(catalog_agency(catalog, "dinkes\0", 7), -1);
    assert_int_equal(catalog_type(catalog, "resident", 8), 0);
    assert_int_equal(catalog_type(catalog, "", 0), -1);
    assert_int_equal(catalog_field(&catalog->types[0], "village", 7), 1);
    assert_int_equal(catalog_field(&catalog->types[0], "villages", 8), -1);
}

static void the_hash_is_of_the_file(void **state)
{
    const struct catalog *catalog = built(*state, lines), *same = built(*state, lines);
    const struct catalog *other = built(*state, edited(*state, "version = 12", "version = 13"));

    assert_memory_equal(catalog->hash, same->hash, 32);
    assert_memory_not_equal(catalog->hash, other->hash, 32);
}

static void a_catalog_outlives_its_tree(void **state)
{
    struct arena *short_lived = arena_new();
    const struct catalog *catalog = NULL;
    struct error err;

    assert_int_equal(catalog_build(*state, tree_fixture(short_lived, lines), lines, strlen(lines), &catalog, &err), 0);
    arena_free(&short_lived);
    assert_string_equal(catalog->types[0].name, "resident");
    assert_string_equal(catalog->agencies[2], "dp2kb");
    assert_string_equal(catalog->types[0].units[1].name, "residence");
    assert_string_equal(catalog->types[0].fields[0].pattern, "[0-9]{16}");
    assert_string_equal(unit_named(&catalog->types[0], "born")->policy.basis[2], "agreement 463/3/2025");
}

static void what_is_wrong_is_refused_with_its_path(void **state)
{
    static const struct {
        const char *old, *new, *why;
    } table[] = {
        { "version = 12", "version = 0", "catalog/version: must be a whole number from 1 to 2147483647" },
        { "    version = 12\n", "", "catalog: has no \"version\"" },
        { "dp2kb\"", "dinsos\"", "catalog/agencies: \"dinsos\" stands here twice" },
        { "dp2kb\"", "DP2KB\"",
          "catalog/agencies: \"DP2KB\" is no name: it must be at most 32 lower-case letters, digits and underscores, a "
          "letter first" },
        { "catalog\n", "catalogue\n", "catalogue: is not known here; did you mean \"catalog\"?" },
        { "    resident\n", "    Resident\n",
          "record/Resident: is no name: it must be at most 63 lower-case letters, digits and underscores, a letter "
          "first" },
        { "pattern = \"[0-9]{16}\"", "pattern = \"[0-9\"",
          "record/resident/fields/nik/pattern: is no POSIX extended regular expression: Unmatched [, [^, [:, [., or "
          "[=" },
        { "pattern = \"[0-9]{16}\"", "pattern = \"a)|(b\"",
          "record/resident/fields/nik/pattern: is no POSIX extended regular expression: Unmatched ( or \\(" },
        { "pattern =", "patern =", "record/resident/fields/nik/patern: is not known here; did you mean \"pattern\"?" },
        { "            nik\n                type = text\n", "            nik\n                type = txt\n",
          "record/resident/fields/nik/type: \"txt\" is not known here; did you mean \"text\"?" },
        { "            nik\n                type = text\n", "            nik\n",
          "record/resident/fields/nik: has no \"type\"" },
        { "            write = \"dinsos dinkes\"\n        read\n            dinsos = \"UU 13/2011\"\n",
          "            write = \"dinsos dinkes dp2kb\"\n        read\n            dp2kb = x\n            dinsos = "
          "\"UU 13/2011\"\n",
          "record/resident/fields/nik/required: dp2kb may add records (existence/write), but not write this field: "
          "what "
          "it adds would lack it" },
        { "write = dinkes\n", "write = \"dinkes dinsoss\"\n",
          "record/resident/fields/premium/write: there is no agency \"dinsoss\"; did you mean \"dinsos\"?" },
        { "write = dinkes\n", "write = \"dinkes dinkes\"\n",
          "record/resident/fields/premium/write: \"dinkes\" stands here twice" },
        { "write = dinkes\n", "write = \"dinkes dp2kb\"\n",
          "record/resident/fields/premium: dp2kb may write this, so it receives it too, but \"read\" names no legal "
          "basis for dp2kb" },
        { "                write = dinkes\n", "",
          "record/resident/fields/premium: has no \"write\": who may write it?" },
        { "            dinkes = \"agreement 440/12/2025\"\n", "            dinkes\n",
          "record/resident/read/dinkes: has no value" },
        { "            dinkes = \"agreement 440/12/2025\"\n", "            dinkess = \"x\"\n",
          "record/resident/read/dinkess: is not known here; did you mean \"dinkes\"?" },
        { "otherwise = propose", "otherwise = refuse",
          "record/resident/fields/premium/otherwise: \"refuse\" is not known here; known: put-back, propose" },
        { "conflict = largest", "conflict = larger",
          "record/resident/fields/premium/conflict: \"larger\" is not known here; did you mean \"largest\"?" },
        { "conflict = review", "conflict = smallest",
          "record/resident/groups/residence/conflict: \"smallest\" is for a single field of type integer, decimal, "
          "date "
          "or timestamp" },
        { "                write = \"dinsos dinkes\"\n            village",
          "                write = \"dinsos dinkes\"\n                conflict = largest\n            village",
          "record/resident/fields/nik/conflict: \"largest\" is for a single field of type integer, decimal, date or "
          "timestamp" },
        { "stale = 2h", "stale = 2w",
          "record/resident/fields/premium/stale: must be a time of at most 30 days, like 1800, 90s, 30min or 2h" },
        { "stale = 2h", "stale = 31536000",
          "record/resident/fields/premium/stale: must be a time of at most 30 days, like 1800, 90s, 30min or 2h" },
        { "scale = 2", "scale = 39", "record/resident/fields/premium/scale: must be a whole number from 0 to 38" },
        { "                scale = 2\n", "",
          "record/resident/fields/premium: has no \"scale\": how many digits stand behind its point?" },
        { "type = date\n", "type = date\n                scale = 2\n",
          "record/resident/fields/born/scale: is for decimals only" },
        { "type = date\n", "type = date\n                compare = digits\n",
          "record/resident/fields/born/compare: \"digits\" is for text only" },
        { "group = residence\n", "group = residance\n",
          "record/resident/fields/village/group: there is no group \"residance\"; did you mean \"residence\"?" },
        { "group = residence\n", "group = residence\n                write = dinsos\n",
          "record/resident/fields/village/write: a field of a group has no rules of its own: they are the group's" },
        { "group = residence\n", "group = residence\n                identifier = yes\n",
          "record/resident/fields/village/group: an identifier is decided by itself: it cannot be in a group. If all "
          "fields of the group together are one, say so there" },
        { "                conflict = review\n",
          "                conflict = review\n                identifier = yes\n",
          "record/resident/fields/address/compare: a field of an identifier is compared exactly: two spellings of it "
          "are "
          "two records" },
        { "            residence\n", "            empty\n                write = dinsos\n            residence\n",
          "record/resident/groups/empty: no field is in this group" },
        { "            born\n", "            residence\n",
          "record/resident/groups/residence: names a group and a field: name one of them otherwise" },
        { "            born\n", "            existence\n",
          "record/resident/fields/existence: is what the existence of the record is called: name it otherwise" },
        { "            born\n", "            nik\n", "record/resident/fields/nik: stands here twice" },
        { "identifier = yes", "identifier = maybe",
          "record/resident/fields/nik/identifier: \"maybe\" is not known here; known: no, yes" },
        { "        existence\n            write = \"dinsos dinkes\"\n", "",
          "record/resident: has no \"existence\": who may add and remove these?" },
        { "        existence\n", "        scope\n        existence\n",
          "record/resident/scope: is not supported yet by this version" },
        { "stale = 2h", "limit = x",
          "record/resident/fields/premium/limit: there is no kind of change \"x\"; known: changes" },
        { "stale = 2h", "limit = \"chnages 5 1 h\"",
          "record/resident/fields/premium/limit: there is no kind of change \"chnages\"; did you mean \"changes\"?" },
        { "stale = 2h", "limit = \"changes 5\"",
          "record/resident/fields/premium/limit: must say what, how many and in which time, like \"changes 1 % 1 h\" "
          "or \"changes 500 1 d\"" },
        { "stale = 2h", "limit = \"changes 5 1 w\"",
          "record/resident/fields/premium/limit: must say what, how many and in which time, like \"changes 1 % 1 h\" "
          "or \"changes 500 1 d\"" },
        { "stale = 2h", "limit = \"changes 5 32 d\"",
          "record/resident/fields/premium/limit: the time of a limit is 1 min to 31 d" },
        { "stale = 2h", "limit = \"changes 100.5 % 1 d\"",
          "record/resident/fields/premium/limit: a share is at most 100 %" },
        { "stale = 2h", "limit = \"changes 1.5 1 d\"",
          "record/resident/fields/premium/limit: must say what, how many and in which time, like \"changes 1 % 1 h\" "
          "or \"changes 500 1 d\"" },
        { "stale = 2h", "limit = \"changes 5 1 h, changes  5 1 h\"",
          "record/resident/fields/premium/limit: \"changes 5 1 h\" stands here twice" },
        { "stale = 2h", "limit = \"no to null 1 % 1 h\"",
          "record/resident/fields/premium/limit: \"no\" is no decimal; a side of \"to\" is a value of the field, any "
          "or "
          "null" },
        { "conflict = review", "limit = \"any to null 1 % 1 h\"",
          "record/resident/groups/residence/limit: \"any to\" is for a single field" },
        { "        existence\n            write",
          "        existence\n            limit = \"deletion 1 % 1 h\"\n            write",
          "record/resident/existence/limit: there is no kind of change \"deletion\"; did you mean \"deletions\"?" },
        { "record\n", "checks\nrecord\n", "checks: is not supported yet by this version" },
        { "record\n", "record = 5\n", "record: has a value, but is a section" },
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        check_refused(*state, table[i].old, table[i].new, table[i].why);
}

static void a_limit_is_what_its_line_says(void **state)
{
    const struct policy *policy =
        &unit_named(&built(*state, edited(*state, "stale = 2h",
                                          "limit = \"any to null  0.25 % 90min, 1.5 to 2 7 1 h,changes 40% 31 d\""))
                         ->types[0],
                    "premium")
             ->policy;
    const struct policy *existence =
        &built(*state, edited(*state, "        existence\n",
                              "        existence\n            limit = \"insertions 5 % 1 d, deletions 0 1h\"\n"))
             ->types[0]
             .units[UNIT_EXISTENCE]
             .policy;

    assert_int_equal(policy->limit_count, 3);
    assert_string_equal(policy->limits[0].text, "any to null 0.25 % 90min");
    assert_int_equal(policy->limits[0].kind, LIMIT_CHANGES);
    assert_int_equal(policy->limits[0].from.state, VALUE_ABSENT);
    assert_int_equal(policy->limits[0].to.state, VALUE_NULL);
    assert_true(policy->limits[0].share);
    assert_int_equal(policy->limits[0].most, 2500);
    assert_int_equal(policy->limits[0].window_s, 90 * 60);
    assert_true(value_equal(policy->limits[1].from, value_text("1.50"))); /* in its canonical spelling */
    assert_false(policy->limits[1].share);
    assert_int_equal(policy->limits[1].most, 7);
    assert_int_equal(policy->limits[1].window_s, 3600);
    assert_int_equal(policy->limits[2].most, 400000);
    assert_int_equal(existence->limit_count, 2);
    assert_int_equal(existence->limits[0].kind, LIMIT_INSERTIONS);
    assert_int_equal(existence->limits[1].kind, LIMIT_DELETIONS);
    assert_int_equal(existence->limits[1].most, 0);
}

static void a_file_that_is_too_long_is_refused(void **state)
{
    const struct catalog *catalog;
    struct error err;

    assert_int_equal(catalog_build(*state, tree_fixture(*state, lines), lines, CATALOG_BYTES_MAX + 1, &catalog, &err),
                     ERR_REJECT);
}

static void a_type_may_have_no_groups(void **state)
{
    static const char small[] = "catalog\n"
                                "    version = 1\n"
                                "    agencies = a\n"
                                "record\n"
                                "    program\n"
                                "        existence\n"
                                "            write = a\n"
                                "            read\n"
                                "                a = law\n"
                                "        fields\n"
                                "            name\n"
                                "                type = text\n"
                                "                write = a\n"
                                "                read\n"
                                "                    a = law\n";

    assert_int_equal(built(*state, small)->types[0].unit_count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_are_existence_then_groups_then_fields),
        cmocka_unit_test(a_field_is_what_its_lines_say),
        cmocka_unit_test(a_group_may_be_an_identifier),
        cmocka_unit_test(a_policy_is_what_its_lines_say),
        cmocka_unit_test(names_are_found_by_their_bytes),
        cmocka_unit_test(the_hash_is_of_the_file),
        cmocka_unit_test(a_catalog_outlives_its_tree),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_path),
        cmocka_unit_test(a_limit_is_what_its_line_says),
        cmocka_unit_test(a_file_that_is_too_long_is_refused),
        cmocka_unit_test(a_type_may_have_no_groups),
    };

    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
