#include "agents/postgres/applied.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct report reports[] = {
    { REPORT_SKIPPED, 7, (UINT64_C(1) << 48) + 3, { "people", 6 }, { "", 0 } },
    { REPORT_PARKED, 8, (UINT64_C(1) << 48) + 4, { "people", 6 }, { "23514: too small", 16 } },
    { REPORT_LINKED, 9, (UINT64_C(1) << 48) + 5, { "people", 6 }, { "41", 2 } },
};

static const struct applied whole = {
    .position = (UINT64_C(1) << 48) + 9,
    .reports = reports,
    .report_count = 3,
    .whole = true,
    .blocks = &(struct wrote_block){ { "people", 6 }, (struct text[]){ { "nik", 3 }, { "name", 4 } }, 2 },
    .block_count = 1,
    .rows = (struct wrote_row[]){ { 0, { "A", 1 }, 7, false, (uint32_t[]){ 0, 0xdeadbeef } },
                                  { 0, { "B", 1 }, 8, true, NULL } },
    .row_count = 2,
};

static int read_part(struct arena *arena, const struct buffer *packed, size_t length, struct applied *ret)
{
    char *part = arena_copy(arena, packed->bytes, length);
    struct error err;
    int result = applied_read(arena, part, length, ret, &err);

    if (result != 0)
        assert_int_equal(result, ERR_DOUBT);
    return result;
}

static bool same(struct text left, struct text right)
{
    return left.length == right.length && memcmp(left.bytes, right.bytes, left.length) == 0;
}

static void what_is_packed_is_read_and_nothing_shorter_or_longer(void **state)
{
    struct arena *arena = arena_new();
    struct buffer packed = { 0 };
    struct applied read;

    (void)state;
    applied_pack(&whole, &packed);
    for (size_t length = 0; length < packed.length; length++)
        assert_int_equal(read_part(arena, &packed, length, &read), ERR_DOUBT);
    assert_int_equal(read_part(arena, &packed, packed.length, &read), 0);
    assert_int_equal(read.position, whole.position);
    assert_int_equal(read.report_count, 3);
    for (uint32_t i = 0; i < read.report_count; i++) {
        assert_int_equal(read.reports[i].kind, reports[i].kind);
        assert_int_equal(read.reports[i].record, reports[i].record);
        assert_int_equal(read.reports[i].position, reports[i].position);
        assert_true(same(read.reports[i].text, reports[i].text));
    }
    assert_true(read.whole);
    assert_int_equal(read.block_count, 1);
    assert_true(same(read.blocks[0].name, whole.blocks[0].name));
    assert_int_equal(read.blocks[0].field_count, 2);
    assert_true(same(read.blocks[0].fields[1], whole.blocks[0].fields[1]));
    assert_int_equal(read.row_count, 2);
    assert_true(same(read.rows[0].key, whole.rows[0].key));
    assert_int_equal(read.rows[0].record, 7);
    assert_int_equal(read.rows[1].record, 8);
    assert_false(read.rows[0].gone);
    assert_int_equal(read.rows[0].digests[0], 0);
    assert_int_equal(read.rows[0].digests[1], 0xdeadbeef);
    assert_true(same(read.rows[1].key, whole.rows[1].key));
    assert_true(read.rows[1].gone);
    applied_pack(&(struct applied){ 0 }, &packed);
    assert_int_equal(read_part(arena, &packed, packed.length, &read), ERR_DOUBT);
    buffer_free(&packed);
    arena_free(&arena);
}

static void a_position_alone_is_enough(void **state)
{
    struct arena *arena = arena_new();
    struct buffer packed = { 0 };
    struct applied read = { .row_count = 1 };

    (void)state;
    applied_pack(&(struct applied){ .position = 9 }, &packed);
    assert_int_equal(read_part(arena, &packed, packed.length, &read), 0);
    assert_int_equal(read.position, 9);
    assert_int_equal(read.report_count, 0);
    assert_int_equal(read.row_count, 0);
    buffer_free(&packed);
    arena_free(&arena);
}

static void a_row_of_no_block_is_refused(void **state)
{
    struct arena *arena = arena_new();
    struct buffer packed = { 0 };
    struct applied wrong = whole, read;
    struct wrote_row row = { 0, { "A", 1 }, 7, true, NULL };

    (void)state;
    wrong.rows = &row;
    wrong.row_count = 1;
    applied_pack(&wrong, &packed);
    assert_int_equal(packed.bytes[packed.length - 5], 0); /* the row's block */
    packed.bytes[packed.length - 5] = 1;
    assert_int_equal(read_part(arena, &packed, packed.length, &read), ERR_DOUBT);
    buffer_free(&packed);
    arena_free(&arena);
}

static void digests_tell_null_from_the_empty_text(void **state)
{
    (void)state;
    assert_int_equal(value_digest((struct value){ 0 }), 0);
    assert_int_not_equal(value_digest(value_null()), value_digest(value_text("")));
    assert_int_not_equal(value_digest(value_text("A")), value_digest(value_text("B")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_is_read_and_nothing_shorter_or_longer),
        cmocka_unit_test(a_position_alone_is_enough),
        cmocka_unit_test(a_row_of_no_block_is_refused),
        cmocka_unit_test(digests_tell_null_from_the_empty_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
