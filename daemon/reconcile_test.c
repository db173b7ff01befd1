#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/reconcile_fixture.h"

/* One record, and what the last change came to. */
struct scene {
    struct arena *arena;
    const struct catalog *catalog;
    struct reconciler *reconciler;
    struct canonical *record;
    feed_position position;
    struct outcome outcome;
    bool taken;
};

static int scene_open(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    struct error err;

    scene->arena = arena_new();
    scene->catalog = catalog_fixture(scene->arena);
    if (reconciler_new(scene->catalog, &scene->reconciler, &err) < 0)
        return -1;
    scene->record = canonical_new(scene->arena, &scene->catalog->types[0], 1);
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

static uint64_t taken(void *context, const struct canonical *record, uint16_t unit, const struct value *values)
{
    const struct scene *scene = context;

    (void)values;
    return scene->taken && unit == record->type->fields[NIK].unit;
}

/* `values` by field; NULL is absent, "-" is NULL. */
static void change(struct scene *scene, agency_index agency, feed_position base, enum operation operation,
                   const char *const values[FIELDS])
{
    static const bool fed[] = { true, true, true, true, true, true, true };
    struct value *fields = arena_array(scene->arena, FIELDS, sizeof *fields);
    struct writer writer = { .agency = agency, .base = base, .nothing_seen = operation == OPERATION_LOAD, .fed = fed };

    for (int i = 0; values && i < FIELDS; i++)
        if (values[i])
            fields[i] = strcmp(values[i], "-") == 0 ? value_null() : value_text(values[i]);
    scene->position++;
    reconcile(scene->reconciler, scene->arena, &writer, scene->record, operation, fields, scene->position, taken, scene,
              &scene->outcome);
}

#define CHANGE(scene, agency, base, ...)                                                                               \
    change(scene, agency, base, OPERATION_UPDATE, (const char *const[FIELDS]){ __VA_ARGS__ })
#define INSERT(scene, agency, base, ...)                                                                               \
    change(scene, agency, base, OPERATION_INSERT, (const char *const[FIELDS]){ __VA_ARGS__ })

static enum verdict verdict_on(const struct scene *scene, const char *name)
{
    for (int i = 0; i < scene->outcome.field_count; i++)
        if (strcmp(scene->outcome.fields[i].name.bytes, name) == 0)
            return scene->outcome.fields[i].verdict;
    return VERDICT_NONE;
}

static bool sends(const struct sending *sending, const char *name)
{
    for (int i = 0; i < sending->field_count; i++)
        if (strcmp(sending->fields[i].name.bytes, name) == 0)
            return true;
    return false;
}

static void assert_value(const struct scene *scene, int field, const char *text)
{
    assert_true(value_equal(scene->record->values[field], text ? value_text(text) : value_null()));
}

static void an_insert_creates_and_goes_to_the_others(void **state)
{
    struct scene *scene = *state;

    INSERT(scene, A, 0, [NIK] = "1", [NAME] = "x");
    assert_true(scene->record->exists);
    assert_int_equal(scene->outcome.effect.operation, OPERATION_INSERT);
    assert_int_equal(scene->outcome.reply.operation, OPERATION_NONE);
    assert_int_equal(verdict_on(scene, "name"), VERDICT_APPLIED);
}

static void edits_of_different_fields_both_survive(void **state)
{
    struct scene *scene = *state;

    INSERT(scene, A, 0, [NIK] = "1", [NAME] = "x", [SIZE] = "3");
    CHANGE(scene, B, 1, [NAME] = "y");
    CHANGE(scene, A, 1, [DECILE] = "2");
    assert_value(scene, NAME, "y");
    assert_value(scene, DECILE, "2");
    assert_int_equal(verdict_on(scene, "decile"), VERDICT_APPLIED);
}

static void the_owner_wins_whoever_comes_first(void **state)
{
    struct scene *scene = *state;

    INSERT(scene, A, 0, [NIK] = "1", [NAME] = "x");
    CHANGE(scene, B, 1, [NAME] = "b"); /* 2 */
    CHANGE(scene, A, 1, [NAME] = "a"); /* 3: concurrent with 2, and item 2 is on its way to A */
    assert_value(scene, NAME, "a");
    assert_int_equal(verdict_on(scene, "name"), VERDICT_WON);
    assert_true(sends(&scene->outcome.reply, "name")); /* so A needs an echo */
    CHANGE(scene, B, 2, [NAME] = "c");                 /* 4: did not see 3, whose item is on its way */
    assert_value(scene, NAME, "a");
    assert_int_equal(verdict_on(scene, "name"), VERDICT_LOST);
    assert_int_equal(scene->outcome.reply.operation, OPERATION_NONE);
}

static void what_an_agency_may_not_write_is_put_back(void **state)
{
    struct scene *scene = *state;

    INSERT(scene, A, 0, [NIK] = "1", [ELIGIBLE] = "true");
    CHANGE(scene, B, 1, [ELIGIBLE] = "false");
    assert_value(scene, ELIGIBLE, "true");
    assert_int_equal(verdict_on(scene, "eligible"), VERDICT_PUT_BACK);
    assert_int_equal(scene->outcome.effect.operation, OPERATION_NONE);
    assert_true(sends(&scene->outcome.reply, "eligible"));
    assert_string_equal(scene->outcome.reason.by.bytes, "a");
    CHANGE(scene, B, 1, [ELIGIBLE] = "-"); /* the correction, 2, is on its way: it needs no other */
    assert_int_equal(scene->outcome.reply.operation, OPERATION_NONE);
    CHANGE(scene, B, 2, [ELIGIBLE] = "-");
    assert_true(sends(&scene->outcome.reply, "eligible"));
}

static void the_same_value_is_no_conflict(void **state)
{
    struct scene *scene = *state;

    INSERT(scene, A, 0, [NIK] = "1", [ELIGIBLE] = "true", [NAME] = "x");
    CHANGE(scene, C, 0, [ELIGIBLE] = "true", [NAME] = "x");
    assert_int_equal(verdict_on(scene, "eligible"), VERDICT_UNCHANGED);
    assert_int_equal(verdict_on(scene, "name"), VERDICT_UNCHANGED);
    assert_int_equal(scene->outcome.effect.operation + scene->outcome.reply.operation, OPERATION_NONE);
}

static void the_largest_and_the_smallest_win(void **state)
{
    struct scene *scene = *state;

    INSERT(scene, A, 0, [NIK] = "1", [SIZE] = "9", [DECILE] = "9");
    CHANGE(scene, C, 0, [SIZE] = "10", [DECILE] = "10");
    assert_value(scene, SIZE, "10");
    assert_value(scene, DECILE, "9");
    assert_int_equal(verdict_on(scene, "size"), VERDICT_WON);
    assert_int_equal(verdict_on(scene, "decile"), VERDICT_LOST);
    CHANGE(scene, A, 2, [SIZE] = "1"); /* it has seen 10: no conflict */
    assert_value(scene, SIZE, "1");
}

static void a_group_is_decided_as_one(void **state)
{
    struct scene *scene = *state;

    INSERT(scene, A, 0, [NIK] = "1", [VILLAGE] = "v1", [STREET] = "s1");
    CHANGE(scene, A, 1, [VILLAGE] = "v2", [STREET] = "s2");
    CHANGE(scene, B, 1, [VILLAGE] = "v1", [STREET] = "s3");
    assert_value(scene, VILLAGE, "v2");
    assert_value(scene, STREET, "s2");
    assert_int_equal(verdict_on(scene, "street"), VERDICT_LOST);
}

static void a_pattern_and_a_taken_identifier_are_put_back(void **state)
{
    struct scene *scene = *state;

    INSERT(scene, A, 0, [NIK] = "1", [NAME] = "x");
    CHANGE(scene, A, 1, [NIK] = "one", [NAME] = "y");
    assert_value(scene, NIK, "1");
    assert_value(scene, NAME, "y");
    assert_int_equal(verdict_on(scene, "nik"), VERDICT_PUT_BACK);
    CHANGE(scene, A, 2, [NIK] = "-");
    assert_int_equal(verdict_on(scene, "nik"), VERDICT_PUT_BACK);
    scene->taken = true;
    CHANGE(scene, A, 3, [NIK] = "2");
    assert_string_equal(scene->outcome.fields[0].rule.bytes, "identifier taken");
    assert_value(scene, NIK, "1");
    scene->taken = false;
    CHANGE(scene, A, 4, [NIK] = "2");
    assert_true(scene->outcome.identifier_changed);
    assert_value(scene, NIK, "2");
}

static void a_deletion_by_the_owner_beats_an_update_it_did_not_know(void **state)
{
    struct scene *scene = *state;

    INSERT(scene, A, 0, [NIK] = "1", [NAME] = "x");
    CHANGE(scene, B, 1, [NAME] = "b");
    change(scene, A, 1, OPERATION_DELETE, NULL);
    assert_false(scene->record->exists);
    assert_int_equal(verdict_on(scene, "existence"), VERDICT_WON);
    assert_int_equal(scene->outcome.effect.operation, OPERATION_DELETE);
    CHANGE(scene, B, 2, [NAME] = "late"); /* and after it, too */
    assert_int_equal(verdict_on(scene, "name"), VERDICT_LOST);
    assert_false(scene->record->exists);
}

static void a_deletion_by_another_loses_to_the_owners_update(void **state)
{
    struct scene *scene = *state;

    INSERT(scene, A, 0, [NIK] = "1", [NAME] = "x");
    CHANGE(scene, A, 1, [NAME] = "a");
    change(scene, B, 1, OPERATION_DELETE, NULL);
    assert_true(scene->record->exists);
    assert_int_equal(verdict_on(scene, "existence"), VERDICT_LOST);
    assert_int_equal(scene->outcome.reply.operation, OPERATION_INSERT); /* it goes back whole */
}

static void the_owners_update_revives_what_another_deleted_meanwhile(void **state)
{
    struct scene *scene = *state;

    INSERT(scene, A, 0, [NIK] = "1", [NAME] = "x");
    change(scene, B, 1, OPERATION_DELETE, NULL);
    assert_false(scene->record->exists);
    CHANGE(scene, A, 1, [NAME] = "alive");
    assert_true(scene->record->exists);
    assert_value(scene, NAME, "alive");
    assert_int_equal(scene->outcome.effect.operation, OPERATION_INSERT);
    assert_int_equal(scene->outcome.reply.operation, OPERATION_INSERT);
}

static void a_deletion_by_one_who_may_not_is_put_back_whole(void **state)
{
    struct scene *scene = *state;

    INSERT(scene, A, 0, [NIK] = "1", [NAME] = "x");
    change(scene, C, 1, OPERATION_DELETE, NULL);
    assert_true(scene->record->exists);
    assert_int_equal(verdict_on(scene, "existence"), VERDICT_PUT_BACK);
    assert_int_equal(scene->outcome.reply.operation, OPERATION_INSERT);
}

static void a_reinsert_that_saw_the_deletion_starts_empty(void **state)
{
    struct scene *scene = *state;

    INSERT(scene, A, 0, [NIK] = "1", [NAME] = "x", [SIZE] = "4");
    change(scene, A, 1, OPERATION_DELETE, NULL);
    INSERT(scene, B, 2, [NIK] = "1", [NAME] = "new");
    assert_true(scene->record->exists);
    assert_value(scene, NAME, "new");
    assert_value(scene, SIZE, NULL);
    assert_int_equal(scene->outcome.reply.operation, OPERATION_INSERT);
}

static void an_insert_of_a_known_record_is_answered_with_what_stands(void **state)
{
    struct scene *scene = *state;

    INSERT(scene, A, 0, [NIK] = "1", [NAME] = "x", [SIZE] = "4");
    INSERT(scene, B, 0, [NIK] = "1", [NAME] = "y", [SIZE] = "-");
    assert_value(scene, NAME, "x");
    assert_value(scene, SIZE, "4"); /* its NULL is no statement */
    assert_int_equal(scene->outcome.reply.operation, OPERATION_INSERT);
    INSERT(scene, B, 2, [NIK] = "1", [NAME] = "x", [SIZE] = "4");
    assert_int_equal(scene->outcome.reply.operation, OPERATION_NONE); /* its row already says so */
}

static void a_load_is_answered_only_where_it_differs(void **state)
{
    struct scene *scene = *state;

    INSERT(scene, A, 0, [NIK] = "1", [NAME] = "x", [SIZE] = "4", [DECILE] = "2");
    change(scene, C, 1, OPERATION_LOAD,
           (const char *const[FIELDS]){ [NIK] = "1", [NAME] = "old", [SIZE] = "4", [DECILE] = "-" });
    assert_value(scene, NAME, "x");
    assert_int_equal(verdict_on(scene, "name"), VERDICT_LOST);
    assert_int_equal(scene->outcome.reply.operation, OPERATION_UPDATE);
    assert_true(sends(&scene->outcome.reply, "name"));
    assert_true(sends(&scene->outcome.reply, "decile"));
    assert_false(sends(&scene->outcome.reply, "size"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        TEST(an_insert_creates_and_goes_to_the_others),
        TEST(edits_of_different_fields_both_survive),
        TEST(the_owner_wins_whoever_comes_first),
        TEST(what_an_agency_may_not_write_is_put_back),
        TEST(the_same_value_is_no_conflict),
        TEST(the_largest_and_the_smallest_win),
        TEST(a_group_is_decided_as_one),
        TEST(a_pattern_and_a_taken_identifier_are_put_back),
        TEST(a_deletion_by_the_owner_beats_an_update_it_did_not_know),
        TEST(a_deletion_by_another_loses_to_the_owners_update),
        TEST(the_owners_update_revives_what_another_deleted_meanwhile),
        TEST(a_deletion_by_one_who_may_not_is_put_back_whole),
        TEST(a_reinsert_that_saw_the_deletion_starts_empty),
        TEST(an_insert_of_a_known_record_is_answered_with_what_stands),
        TEST(a_load_is_answered_only_where_it_differs),
    };

    return cmocka_run_group_tests_name("reconcile", tests, NULL, NULL);
}
