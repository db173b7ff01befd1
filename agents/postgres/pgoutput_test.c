#include "agents/postgres/pgoutput.h"
#include "agents/postgres/stream_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void assert_text(struct text text, const char *wanted)
{
    assert_int_equal(text.length, strlen(wanted));
    assert_memory_equal(text.bytes, wanted, text.length);
}

static void assert_value(struct value value, const char *wanted)
{
    assert_int_equal(value.state, VALUE_SET);
    assert_text((struct text){ value.bytes, value.length }, wanted);
}

static struct pgoutput_message read_ok(const struct bytes *bytes)
{
    struct pgoutput_message message;
    struct error err;

    assert_int_equal(pgoutput_read(arena, bytes->at, bytes->length, &message, &err), 0);
    return message;
}

static void a_begin_and_a_commit_carry_their_positions_and_time(void **state)
{
    struct bytes begin = begin_bytes(0x1122334455667788, 1500000), commit = commit_bytes(0x10, 0x30);
    struct pgoutput_message message = read_ok(&begin);

    (void)state;
    assert_int_equal(message.kind, PGOUTPUT_BEGIN);
    assert_int_equal(message.begin.final_lsn, 0x1122334455667788);
    assert_int_equal(message.begin.commit_time_us, INT64_C(946684801500000));
    assert_int_equal(message.begin.xid, 7);
    message = read_ok(&commit);
    assert_int_equal(message.kind, PGOUTPUT_COMMIT);
    assert_int_equal(message.commit.lsn, 0x10);
    assert_int_equal(message.commit.end_lsn, 0x30);
}

static void an_origin_carries_the_position_it_was_given(void **state)
{
    struct bytes bytes = origin_bytes(UINT64_C(1) << 48 | 9, "selaras_dinsos");
    struct pgoutput_message message = read_ok(&bytes);

    (void)state;
    assert_int_equal(message.origin.lsn, UINT64_C(1) << 48 | 9);
    assert_text(message.origin.name, "selaras_dinsos");
}

static void a_relation_names_its_columns(void **state)
{
    struct bytes bytes = people_bytes('d');
    struct pgoutput_message message = read_ok(&bytes);

    (void)state;
    assert_int_equal(message.relation.id, PEOPLE);
    assert_int_equal(message.relation.identity, 'd');
    assert_text(message.relation.schema, "public");
    assert_int_equal(message.relation.column_count, 5);
    assert_text(message.relation.columns[4].name, "note");
    assert_true(message.relation.columns[1].key);
    assert_false(message.relation.columns[2].key);
}

static void a_row_holds_text_null_and_what_was_not_sent(void **state)
{
    struct bytes bytes = insert_bytes(&(struct person){ "x", "640", "", "3", "?" });
    struct pgoutput_message message = read_ok(&bytes);

    (void)state;
    assert_int_equal(message.kind, PGOUTPUT_INSERT);
    assert_int_equal(message.change.row.count, 5);
    assert_value(message.change.row.values[1], "640");
    assert_int_equal(message.change.row.values[2].state, VALUE_NULL);
    assert_int_equal(message.change.row.values[4].state, VALUE_ABSENT);
}

static void an_unchanged_value_is_taken_from_the_full_old_row(void **state)
{
    struct person old = { "x", "640", "Siti", "3", "long" }, now = { "x", "640", "Siti", "4", "?" };
    struct bytes bytes = change_bytes('O', &old, &now);
    struct pgoutput_message message = read_ok(&bytes);

    (void)state;
    assert_int_equal(message.change.identity, PGOUTPUT_OLD_FULL);
    assert_value(message.change.row.values[4], "long");
    assert_value(message.change.old.values[3], "3");
    assert_value(message.change.row.values[3], "4");
}

static void an_unchanged_value_is_absent_without_a_full_old_row(void **state)
{
    struct person old = { "", "640", "", "", "" }, now = { "x", "641", "Siti", "4", "?" };
    struct bytes with_key = change_bytes('K', &old, &now), without = change_bytes('U', NULL, &now);
    struct pgoutput_message message = read_ok(&with_key);

    (void)state;
    assert_int_equal(message.change.identity, PGOUTPUT_OLD_KEY);
    assert_int_equal(message.change.row.values[4].state, VALUE_ABSENT);
    message = read_ok(&without);
    assert_int_equal(message.kind, PGOUTPUT_UPDATE);
    assert_int_equal(message.change.identity, PGOUTPUT_OLD_NONE);
    assert_int_equal(message.change.row.values[4].state, VALUE_ABSENT);
}

static void a_message_holds_any_bytes(void **state)
{
    struct bytes bytes = message_bytes(true, "selaras", "a\0b", 3);
    struct pgoutput_message message = read_ok(&bytes);

    (void)state;
    assert_true(message.message.transactional);
    assert_text(message.message.prefix, "selaras");
    assert_int_equal(message.message.content.length, 3);
}

static void a_truncate_lists_its_tables(void **state)
{
    struct bytes bytes = truncate_bytes(PEOPLE);
    struct pgoutput_message message = read_ok(&bytes);

    (void)state;
    assert_int_equal(message.truncate.count, 1);
    assert_int_equal(message.truncate.relations[0], PEOPLE);
}

static struct bytes type_bytes(void)
{
    struct bytes bytes = { "Y", 1 };

    put_number(&bytes, 4, 20000);
    put_text(&bytes, "public");
    put_text(&bytes, "colour");
    return bytes;
}

/* Exactly as many bytes as there are, so that a sanitizer sees a read behind them. */
static int read_part(const struct bytes *bytes, size_t length)
{
    char *part = malloc(length ? length : 1);
    struct pgoutput_message message;
    struct error err;
    int result;

    assert_non_null(part);
    memcpy(part, bytes->at, length);
    result = pgoutput_read(arena, part, length, &message, &err);
    free(part);
    return result;
}

static void a_message_cut_at_any_byte_or_followed_by_one_is_refused(void **state)
{
    struct person old = { "x", "640", "Siti", "3", "long" }, now = { "x", "640", "Siti", "4", "?" };
    struct bytes all[] = {
        begin_bytes(1, 2),
        commit_bytes(1, 2),
        origin_bytes(3, "a"),
        people_bytes('f'),
        type_bytes(),
        insert_bytes(&now),
        change_bytes('O', &old, &now),
        change_bytes('K', &old, NULL),
        truncate_bytes(PEOPLE),
        message_bytes(false, "p", "content", 7),
    };

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        for (size_t length = 0; length < all[i].length; length++)
            assert_int_equal(read_part(&all[i], length), ERR_STOP);
        assert_int_equal(read_part(&all[i], all[i].length), 0);
        put_number(&all[i], 1, 0);
        assert_int_equal(read_part(&all[i], all[i].length), ERR_STOP);
    }
}

static void an_unknown_kind_a_binary_value_and_an_absurd_count_are_refused(void **state)
{
    struct bytes unknown = { "S", 1 }, binary = insert_bytes(&(struct person){ "x", "1", "2", "3", "4" });
    struct bytes many = truncate_bytes(PEOPLE), flagged = commit_bytes(1, 2);

    (void)state;
    assert_int_equal(read_part(&unknown, 1), ERR_STOP);
    binary.at[8] = 'b';
    assert_int_equal(read_part(&binary, binary.length), ERR_STOP);
    memset(many.at + 1, 0x7f, 4);
    assert_int_equal(read_part(&many, many.length), ERR_STOP);
    flagged.at[1] = 1;
    assert_int_equal(read_part(&flagged, flagged.length), ERR_STOP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_begin_and_a_commit_carry_their_positions_and_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_origin_carries_the_position_it_was_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_relation_names_its_columns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_row_holds_text_null_and_what_was_not_sent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unchanged_value_is_taken_from_the_full_old_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unchanged_value_is_absent_without_a_full_old_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_message_holds_any_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_truncate_lists_its_tables, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_message_cut_at_any_byte_or_followed_by_one_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unknown_kind_a_binary_value_and_an_absurd_count_are_refused, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
