#include "agents/postgres/applied.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct report reports[] = {
    { REPORT_SKIPPED, 7, (UINT64_C(1) << 48) + 3, { "people", 6 }, { "", 0 } },
    { REPORT_PARKED, 8, (UINT64_C(1) << 48) + 4, { "people", 6 }, { "23514: too small", 16 } },
    { REPORT_LINKED, 9, (UINT64_C(1) << 48) + 5, { "people", 6 }, { "41", 2 } },
};

static int read_part(const struct buffer *packed, size_t length, uint32_t *ret_count)
{
    struct arena *arena = arena_new();
    char *part = malloc(length ? length : 1);
    feed_position position;
    struct report *read;
    struct error err;
    int result;

    assert_non_null(part);
    memcpy(part, packed->bytes, length);
    result = applied_read(arena, part, length, &position, &read, ret_count, &err);
    if (result == 0) {
        assert_int_equal(position, (UINT64_C(1) << 48) + 9);
        for (uint32_t i = 0; i < *ret_count; i++) {
            assert_int_equal(read[i].kind, reports[i].kind);
            assert_int_equal(read[i].record, reports[i].record);
            assert_int_equal(read[i].position, reports[i].position);
            assert_int_equal(read[i].text.length, reports[i].text.length);
            assert_memory_equal(read[i].text.bytes, reports[i].text.bytes, reports[i].text.length);
        }
    } else {
        assert_int_equal(result, ERR_DOUBT);
    }
    free(part);
    arena_free(&arena);
    return result;
}

static void what_is_packed_is_read_and_nothing_shorter_or_longer(void **state)
{
    struct buffer packed = { 0 };
    uint32_t count;

    (void)state;
    applied_pack((UINT64_C(1) << 48) + 9, reports, 3, &packed);
    for (size_t length = 0; length < packed.length; length++)
        assert_int_equal(read_part(&packed, length, &count), ERR_DOUBT);
    assert_int_equal(read_part(&packed, packed.length, &count), 0);
    assert_int_equal(count, 3);
    applied_pack(0, NULL, 0, &packed);
    assert_int_equal(read_part(&packed, packed.length, &count), ERR_DOUBT);
    buffer_free(&packed);
}

static void a_position_alone_is_enough(void **state)
{
    struct buffer packed = { 0 };
    uint32_t count = 1;

    (void)state;
    applied_pack((UINT64_C(1) << 48) + 9, NULL, 0, &packed);
    assert_int_equal(read_part(&packed, packed.length, &count), 0);
    assert_int_equal(count, 0);
    buffer_free(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_is_read_and_nothing_shorter_or_longer),
        cmocka_unit_test(a_position_alone_is_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
