#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/reconcile_fixture.h"

enum { EXISTENCE = UNIT_EXISTENCE };

/* One record that a test has set up, and one question about it. */
struct scene {
    struct arena *arena;
    const struct catalog *catalog;
    struct reconciler *reconciler;
    struct canonical *record;
    struct writer writer;
    struct value fields[FIELDS];
    struct question question;
    bool taken;
};

static const bool fed[] = { true, true, true, true, true, true, true };

static uint64_t taken(void *context, const struct canonical *record, uint16_t unit, const struct value *values)
{
    const struct scene *scene = context;

    (void)values;
    return scene->taken && unit == record->type->fields[NIK].unit;
}

static int scene_open(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    struct error err;

    scene->arena = arena_new();
    scene->catalog = catalog_fixture(scene->arena);
    if (reconciler_new(scene->catalog, &scene->reconciler, &err) < 0)
        return -1;
    scene->record = canonical_new(scene->arena, &scene->catalog->types[0], 1);
    scene->writer.fed = fed;
    scene->question = (struct question){ .reconciler = scene->reconciler,
                                         .writer = &scene->writer,
                                         .record = scene->record,
                                         .fields = scene->fields,
                                         .taken = taken,
                                         .context = scene };
    *state = scene;
    return 0;
}

static int scene_close(void **state)
{
    struct scene *scene = *state;

    reconciler_free(&scene->reconciler);
    arena_free(&scene->arena);
    free(scene);
    return 0;
}

static uint16_t unit_of(const struct scene *scene, int field)
{
    return scene->record->type->fields[field].unit;
}

/* The field was last written by `writer` at `seq`. */
static void stands(struct scene *scene, int field, const char *value, agency_index writer, feed_position seq)
{
    struct unit_state *unit = &scene->record->units[unit_of(scene, field)];

    scene->record->values[field] = value ? value_text(value) : value_null();
    unit->writer = writer;
    unit->seq = seq;
}

/* The verdict on this field alone, written by `agency`, which had applied up to `base`. */
static struct judgement asked(struct scene *scene, agency_index agency, feed_position base, int field,
                              const char *value)
{
    memset(scene->fields, 0, sizeof scene->fields);
    scene->fields[field] = value ? value_text(value) : value_null();
    scene->writer.agency = agency;
    scene->writer.base = scene->question.base = base;
    return judge_unit(&scene->question, unit_of(scene, field));
}

static void assert_judged(struct judgement judgement, enum verdict verdict, const char *rule)
{
    assert_int_equal(judgement.verdict, verdict);
    assert_string_equal(judgement.rule, rule);
}

static void each_step_has_its_verdict(void **state)
{
    /* What stands: written by B at 5. What `by`, having applied `base`, says instead. */
    static const struct {
        int field;
        const char *value;
        agency_index by;
        feed_position base;
        const char *new;
        enum verdict verdict;
        const char *rule;
    } cases[] = {
        { NAME, "x", C, 0, "x", VERDICT_UNCHANGED, "same value" },
        { ELIGIBLE, "true", B, 0, "true", VERDICT_UNCHANGED, "same value" }, /* before the question who may write */
        { ELIGIBLE, "true", B, 9, "false", VERDICT_PUT_BACK, "not allowed" },
        { NIK, "1", A, 9, NULL, VERDICT_PUT_BACK, "required" },
        { NIK, "1", A, 9, "1x", VERDICT_PUT_BACK, "pattern" },
        { NAME, "x", C, 5, "y", VERDICT_APPLIED, "no conflict" }, /* it had seen 5 */
        { NAME, "x", B, 0, "y", VERDICT_APPLIED, "no conflict" }, /* its own word */
        { NAME, "x", A, 4, "y", VERDICT_WON, "owner" },
        { NAME, "x", C, 4, "y", VERDICT_LOST, "owner" },
        { NAME, "x", A, 4, NULL, VERDICT_WON, "owner" },
        { SIZE, "9", C, 4, "10", VERDICT_WON, "largest" },
        { SIZE, "9", A, 4, "8", VERDICT_LOST, "largest" },
        { SIZE, "9", A, 4, NULL, VERDICT_LOST, "largest" }, /* no value is the least of all, whoever says so */
        { SIZE, NULL, C, 4, "1", VERDICT_WON, "largest" },
        { DECILE, "9", C, 4, "8", VERDICT_WON, "smallest" },
        { DECILE, "9", A, 4, "10", VERDICT_LOST, "smallest" },
    };
    struct scene *scene = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        stands(scene, cases[i].field, cases[i].value, B, 5);
        assert_judged(asked(scene, cases[i].by, cases[i].base, cases[i].field, cases[i].new), cases[i].verdict,
                      cases[i].rule);
    }
}

static void an_identifier_of_another_record_is_put_back(void **state)
{
    struct scene *scene = *state;

    stands(scene, NIK, "1", A, 5);
    scene->taken = true;
    assert_judged(asked(scene, A, 5, NIK, "2"), VERDICT_PUT_BACK, "identifier taken");
    assert_judged(asked(scene, A, 5, NIK, "1"), VERDICT_UNCHANGED, "same value");
}

/* Whether a value is the same as what stands, as far as the field is compared. */
static void assert_compared(struct scene *scene, const char *stood, const char *written, bool same)
{
    stands(scene, NAME, stood, A, 5);
    if ((asked(scene, A, 5, NAME, written).verdict == VERDICT_UNCHANGED) != same)
        fail_msg("\"%s\" and \"%s\" are %sthe same", stood, written, same ? "not " : "");
}

static void letters_are_compared_without_how_they_are_written(void **state)
{
    struct scene *scene = *state;

    assert_compared(scene, "Siti Aminah", "SITI  AMINAH", true);
    assert_compared(scene, "Siti Aminah", "siti-aminah ", true);
    assert_compared(scene, "Siti Aminah", "Siti Amina", false);
    assert_compared(scene, "Siti", "Siti Aminah", false);
    assert_compared(scene, "Jl. Mawar 5, RT 03", "JL MAWAR 5 RT 03", true);
    assert_compared(scene, "Jl. Mawar 5, RT 03", "Jl. Mawar 5, RT 04", false); /* another house */
    assert_compared(scene, "\xc3\x89lise", "\xc3\xa9lise", false);             /* capitals of ASCII only */
    assert_compared(scene, "Siti", NULL, false);
}

static void digits_are_compared_alone(void **state)
{
    struct scene *scene = *state;
    char *text = arena_copy(scene->arena, fixture_catalog, sizeof fixture_catalog);
    char *word = strstr(text, "= letters");
    const struct catalog *catalog;
    struct error err;

    memcpy(word, " = digits", 9);
    assert_int_equal(catalog_build(scene->arena, tree_fixture(scene->arena, text), text, strlen(text), &catalog, &err),
                     0);
    scene->record = canonical_new(scene->arena, &catalog->types[0], 1);
    scene->question.record = scene->record;
    reconciler_free(&scene->reconciler);
    assert_int_equal(reconciler_new(catalog, &scene->reconciler, &err), 0);
    scene->question.reconciler = scene->reconciler;
    assert_compared(scene, "0812-3456-789", "+0812 3456 789 (rumah)", true);
    assert_compared(scene, "0812-3456-789", "0812-3456-788", false);
    assert_compared(scene, "0812", "tidak ada", false);
}

static void a_decision_of_officials_stands_above_all(void **state)
{
    struct scene *scene = *state;

    stands(scene, NAME, "x", AGENCY_NOBODY, 5);
    assert_judged(asked(scene, A, 4, NAME, "y"), VERDICT_LOST, "owner");
    assert_judged(asked(scene, A, 5, NAME, "y"), VERDICT_APPLIED, "no conflict");
}

static void what_was_written_before_a_load_is_not_known_after_it(void **state)
{
    struct scene *scene = *state;

    stands(scene, NAME, "x", B, 5);
    scene->writer.since = 9; /* its base counts from here on */
    assert_judged(asked(scene, C, 7, NAME, "y"), VERDICT_LOST, "owner");
    assert_judged(asked(scene, C, 9, NAME, "y"), VERDICT_APPLIED, "no conflict");
}

static void a_record_that_would_fit_no_frame_is_put_back(void **state)
{
    struct scene *scene = *state;
    char *half = arena_alloc(scene->arena, RECORD_BYTES_MAX / 2 + 1);

    memset(half, 'x', RECORD_BYTES_MAX / 2);
    half[RECORD_BYTES_MAX / 2] = '\0';
    stands(scene, VILLAGE, half, A, 1);
    assert_judged(asked(scene, A, 5, NAME, half), VERDICT_APPLIED, "no conflict");
    stands(scene, NIK, "1", A, 1);
    assert_judged(asked(scene, A, 5, NAME, half), VERDICT_PUT_BACK, "record too large");
}

static void a_group_is_one_question(void **state)
{
    struct scene *scene = *state;

    stands(scene, VILLAGE, "v1", A, 5);
    stands(scene, STREET, "s1", A, 5);
    assert_judged(asked(scene, B, 4, STREET, "s2"), VERDICT_LOST, "owner");
    assert_true(unit_is_touched(&scene->question, unit_of(scene, VILLAGE)));
    assert_judged(asked(scene, B, 4, STREET, "s1"), VERDICT_UNCHANGED, "same value");
    assert_judged(asked(scene, C, 9, VILLAGE, "v2"), VERDICT_PUT_BACK, "not allowed");
}

static void a_deletion_is_measured_against_every_unit(void **state)
{
    struct scene *scene = *state;

    scene->record->exists = true;
    scene->record->units[EXISTENCE] = (struct unit_state){ .seq = 1, .writer = A };
    stands(scene, NAME, "x", A, 5);
    memset(scene->fields, 0, sizeof scene->fields);
    scene->writer.agency = B;
    scene->writer.base = scene->question.base = 4;
    assert_judged(judge_deletion(&scene->question), VERDICT_LOST, "owner");
    assert_int_equal(deletion_defender(&scene->question), A);
    scene->writer.base = scene->question.base = 5;
    assert_judged(judge_deletion(&scene->question), VERDICT_APPLIED, "no conflict");
    scene->writer.agency = C;
    assert_judged(judge_deletion(&scene->question), VERDICT_PUT_BACK, "not allowed");
    stands(scene, NAME, "x", C, 7);
    scene->writer.agency = B;
    assert_judged(judge_deletion(&scene->question), VERDICT_WON, "owner");
}

static void who_may_revive(void **state)
{
    struct scene *scene = *state;

    scene->record->units[EXISTENCE] = (struct unit_state){ .seq = 5, .writer = B };
    scene->writer.agency = A;
    scene->question.base = 5; /* it knew */
    assert_true(may_revive(&scene->question, true));
    assert_false(may_revive(&scene->question, false));
    scene->question.base = 4;
    assert_true(may_revive(&scene->question, true)); /* it did not, and stands above B */
    assert_true(may_revive(&scene->question, false));
    scene->record->units[EXISTENCE].writer = A;
    scene->writer.agency = B;
    assert_false(may_revive(&scene->question, true));
    scene->writer.agency = C; /* may not write existence at all */
    scene->question.base = 5;
    assert_false(may_revive(&scene->question, true));
}

static void what_was_sent_is_the_last_of_items_corrections_and_wholes(void **state)
{
    struct scene *scene = *state;
    struct unit_state *unit;

    stands(scene, NAME, "x", B, 5);
    unit = &scene->record->units[unit_of(scene, NAME)];
    scene->writer.agency = A;
    assert_int_equal(sent_to_writer(&scene->question, unit_of(scene, NAME)), 5);
    scene->writer.agency = B; /* its own, not echoed */
    assert_int_equal(sent_to_writer(&scene->question, unit_of(scene, NAME)), 0);
    unit->echoed = true;
    assert_int_equal(sent_to_writer(&scene->question, unit_of(scene, NAME)), 5);
    sent_set(scene->arena, &unit->corrections, B, 7);
    assert_int_equal(sent_to_writer(&scene->question, unit_of(scene, NAME)), 7);
    sent_set(scene->arena, &scene->record->wholes, B, 8);
    assert_int_equal(sent_to_writer(&scene->question, unit_of(scene, NAME)), 8);
    scene->writer.fed = (const bool[7]){ false };
    assert_int_equal(sent_to_writer(&scene->question, unit_of(scene, NAME)), 0);
}

/* The catalog of the fixture with something else in place of a word. */
static const struct catalog *catalog_with(struct scene *scene, const char *word, const char *other)
{
    const char *at = strstr(fixture_catalog, word), *text;
    const struct catalog *catalog;
    struct error err;

    text =
        arena_printf(scene->arena, "%.*s%s%s", (int)(at - fixture_catalog), fixture_catalog, other, at + strlen(word));
    if (catalog_build(scene->arena, tree_fixture(scene->arena, text), text, strlen(text), &catalog, &err) < 0)
        fail_msg("%s", err.text);
    return catalog;
}

static void what_cannot_be_decided_by_this_version_is_refused(void **state)
{
    static const struct {
        const char *word, *other, *says;
    } cases[] = {
        { "largest", "latest", "person/size: conflict = latest" },
        { "smallest", "review", "person/decile: conflict = review" },
        { "conflict = largest", "otherwise = propose", "person/size: otherwise = propose" },
        { "conflict = largest", "stale = 2h", "person/size: stale" },
    };
    struct scene *scene = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reconciler *reconciler = NULL;
        struct error err;

        assert_int_equal(reconciler_new(catalog_with(scene, cases[i].word, cases[i].other), &reconciler, &err),
                         ERR_STOP);
        assert_non_null(strstr(err.text, cases[i].says));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        TEST(each_step_has_its_verdict),
        TEST(an_identifier_of_another_record_is_put_back),
        TEST(letters_are_compared_without_how_they_are_written),
        TEST(digits_are_compared_alone),
        TEST(a_decision_of_officials_stands_above_all),
        TEST(what_was_written_before_a_load_is_not_known_after_it),
        TEST(a_record_that_would_fit_no_frame_is_put_back),
        TEST(a_group_is_one_question),
        TEST(a_deletion_is_measured_against_every_unit),
        TEST(who_may_revive),
        TEST(what_was_sent_is_the_last_of_items_corrections_and_wholes),
        TEST(what_cannot_be_decided_by_this_version_is_refused),
    };

    return cmocka_run_group_tests_name("judge", tests, NULL, NULL);
}
