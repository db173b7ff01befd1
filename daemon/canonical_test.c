/* What is remembered of a record's writes comes back from its bytes as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/reconcile_fixture.h"

static const struct agency_ids ids = { .id = { 11, 12, 13 }, .count = AGENCIES };

static struct text packed(struct arena *arena, const struct canonical *record)
{
    struct buffer bytes = { 0 };
    struct text text;

    canonical_meta_pack(record, &ids, &bytes);
    text = (struct text){ arena_copy(arena, bytes.bytes, bytes.length), (uint32_t)bytes.length };
    buffer_free(&bytes);
    return text;
}

static void assert_same_unit(const struct unit_state *left, const struct unit_state *right, uint16_t values)
{
    assert_int_equal(left->seq, right->seq);
    assert_int_equal(left->writer, right->writer);
    assert_int_equal(left->echoed, right->echoed);
    assert_int_equal(left->time_us, right->time_us);
    assert_int_equal(left->clock_known, right->clock_known);
    assert_int_equal(left->offset_us, right->offset_us);
    assert_int_equal(left->uncertainty_us, right->uncertainty_us);
    assert_int_equal(left->corrections.count, right->corrections.count);
    for (uint16_t i = 0; i < left->corrections.count; i++) {
        assert_int_equal(left->corrections.sent[i].agency, right->corrections.sent[i].agency);
        assert_int_equal(left->corrections.sent[i].position, right->corrections.sent[i].position);
    }
    assert_int_equal(left->before == NULL, right->before == NULL);
    for (uint16_t i = 0; left->before && i < values; i++)
        assert_true(value_equal(left->before[i], right->before[i]));
}

static void assert_same_held(const struct catalog_type *type, const struct held *left, const struct held *right)
{
    assert_int_equal(left->agency, right->agency);
    assert_int_equal(left->unit, right->unit);
    assert_int_equal(left->hold, right->hold);
    assert_int_equal(left->defect, right->defect);
    assert_int_equal(left->others[0], right->others[0]);
    assert_int_equal(left->others[1], right->others[1]);
    assert_int_equal(left->operation, right->operation);
    assert_int_equal(left->entry, right->entry);
    assert_int_equal(left->base, right->base);
    assert_int_equal(left->nothing_seen, right->nothing_seen);
    assert_int_equal(left->commit_time_us, right->commit_time_us);
    assert_int_equal(left->clock_known, right->clock_known);
    assert_int_equal(left->clock_offset_us, right->clock_offset_us);
    assert_int_equal(left->clock_uncertainty_us, right->clock_uncertainty_us);
    for (uint16_t i = 0; i < type->field_count; i++)
        assert_true(value_equal(left->values[i], right->values[i]));
}

static void assert_comes_back(struct arena *arena, const struct canonical *record)
{
    struct text bytes = packed(arena, record);
    struct canonical *back = canonical_new(arena, record->type, record->number);
    struct error err;

    assert_int_equal(canonical_meta_read(arena, bytes.bytes, bytes.length, &ids, back, &err), 0);
    for (uint16_t i = 0; i < record->type->unit_count; i++)
        assert_same_unit(&record->units[i], &back->units[i], record->type->units[i].field_count);
    assert_int_equal(back->wholes.count, record->wholes.count);
    assert_int_equal(back->same_as, record->same_as);
    assert_int_equal(back->same_at, record->same_at);
    for (int i = 0; i < AGENCIES; i++)
        assert_int_equal(sent_find(&back->passed, (agency_index)i), sent_find(&record->passed, (agency_index)i));
    assert_int_equal(back->held_count, record->held_count);
    for (uint16_t i = 0; i < record->held_count; i++)
        assert_same_held(record->type, &record->helds[i], &back->helds[i]);
}

static struct canonical *written(struct arena *arena, const struct unit_state *all)
{
    const struct catalog *catalog = catalog_fixture(arena);
    struct canonical *record = canonical_new(arena, &catalog->types[0], 1);

    for (uint16_t i = 0; i < record->type->unit_count; i++)
        record->units[i] = *all;
    return record;
}

static const struct unit_state load = { .seq = 70000, .writer = A, .time_us = 1700000000000000 };

static void every_part_of_a_write_is_told_apart(void **state)
{
    struct arena *arena = arena_new();

    (void)state;
    for (int part = 0; part < 8; part++) {
        struct unit_state all = load;
        struct canonical *record;
        struct unit_state *other;

        all.clock_known = part >= 5;
        record = written(arena, &all);
        other = &record->units[2];

        other->seq += part == 1;
        other->writer = part == 2 ? B : A;
        other->echoed = part == 3;
        other->time_us += part == 4;
        other->clock_known = part == 6 ? false : all.clock_known;
        other->offset_us = part == 5 ? -3 : 0;
        other->uncertainty_us = part == 7 ? 9 : 0;
        assert_comes_back(arena, record);
    }
    arena_free(&arena);
}

static void what_no_write_has_is_kept_by_unit(void **state)
{
    struct arena *arena = arena_new();
    struct canonical *record = written(arena, &load);
    struct value before[2] = { value_text("x"), value_null() };

    (void)state;
    record->units[1].before = before;
    record->units[3] = (struct unit_state){ .writer = AGENCY_NOBODY }; /* nobody has written it: it is left out */
    sent_set(arena, &record->units[4].corrections, B, 70001);
    sent_set(arena, &record->wholes, C, 70002);
    assert_comes_back(arena, record);
    arena_free(&arena);
}

static void what_is_held_is_kept_whole(void **state)
{
    struct arena *arena = arena_new();
    struct canonical *record = written(arena, &load);
    struct held *held;

    (void)state;
    for (uint16_t i = 0; i < 3; i++) {
        held = held_add(arena, record, i == 2 ? C : B, i < 2 ? i : 0);
        *held = (struct held){ .agency = held->agency,
                               .unit = held->unit,
                               .hold = 14 + i,
                               .defect = i == 1,
                               .others = { i, 2u * i },
                               .operation = i == 0 ? OPERATION_DELETE : OPERATION_INSERT,
                               .entry = 70003,
                               .base = 70001,
                               .nothing_seen = i == 2,
                               .commit_time_us = 1700000000000001,
                               .clock_known = i == 1,
                               .clock_offset_us = i == 1 ? -4 : 0,
                               .clock_uncertainty_us = i == 1 ? 5 : 0 };
        held->values = arena_array(arena, FIELDS, sizeof *held->values);
        held->values[NAME] = i == 1 ? value_text("x") : value_null();
    }
    assert_comes_back(arena, record);
    held_remove(record, held_find(record, B, UNIT_EXISTENCE));
    assert_null(held_find(record, B, UNIT_EXISTENCE));
    assert_int_equal(held_find(record, C, UNIT_EXISTENCE)->hold, 16);
    assert_int_equal(held_find(record, B, 1)->hold, 15);
    arena_free(&arena);
}

static void which_record_it_is_the_same_as_is_kept(void **state)
{
    struct arena *arena = arena_new();
    struct canonical *record = written(arena, &load);

    (void)state;
    record->same_as = 7;
    record->same_at = 70004;
    assert_comes_back(arena, record);
    sent_set(arena, &record->passed, C, 70004);
    assert_comes_back(arena, record);
    arena_free(&arena);
}

static void a_write_of_many_units_is_stored_once(void **state)
{
    struct arena *arena = arena_new();
    struct canonical *same = written(arena, &load), *each = written(arena, &load);

    (void)state;
    for (uint16_t i = 0; i < each->type->unit_count; i++)
        each->units[i].seq += i;
    assert_true(packed(arena, same).length + 10u * (each->type->unit_count - 1u) < packed(arena, each).length);
    arena_free(&arena);
}

static void a_first_unit_without_its_write_is_refused(void **state)
{
    static const char bytes[] = "\x95\x04\x90\x91\x94\xa4name\xc0\x90\x90\x90\xc0";
    struct arena *arena = arena_new();
    struct canonical *record = written(arena, &load);
    struct error err;

    (void)state;
    assert_int_equal(canonical_meta_read(arena, bytes, sizeof bytes - 1, &ids, record, &err), ERR_STOP);
    assert_non_null(strstr(err.text, "write"));
    arena_free(&arena);
}

/* The unit is unknown to this catalog; the next one has the same write. */
static void a_write_of_a_unit_that_is_lost_serves_the_next(void **state)
{
    static const char bytes[] =
        "\x95\x04\x90\x92\x94\xa4gone\x95\x07\x0b\xc3\x08\xc0\x90\x90\x94\xa4name\xc0\x90\x90\x90\xc0";
    struct arena *arena = arena_new();
    struct canonical *record = written(arena, &load);
    struct error err;

    (void)state;
    assert_int_equal(canonical_meta_read(arena, bytes, sizeof bytes - 1, &ids, record, &err), 0);
    for (uint16_t i = 0; i < record->type->unit_count; i++)
        if (strcmp(record->type->units[i].name, "name") == 0) {
            assert_int_equal(record->units[i].seq, 7);
            assert_int_equal(record->units[i].writer, A);
            assert_true(record->units[i].echoed);
        }
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_of_a_write_is_told_apart),
        cmocka_unit_test(what_no_write_has_is_kept_by_unit),
        cmocka_unit_test(what_is_held_is_kept_whole),
        cmocka_unit_test(which_record_it_is_the_same_as_is_kept),
        cmocka_unit_test(a_write_of_many_units_is_stored_once),
        cmocka_unit_test(a_first_unit_without_its_write_is_refused),
        cmocka_unit_test(a_write_of_a_unit_that_is_lost_serves_the_next),
    };

    return cmocka_run_group_tests_name("canonical", tests, NULL, NULL);
}
