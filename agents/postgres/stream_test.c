#include "agents/postgres/applied.h"
#include "agents/postgres/stream.h"
#include "agents/postgres/stream_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ORIGIN "selaras_dinsos"
enum { START = 1000 };

static struct stream *stream;
static const struct person siti = { "x", "1", "Siti", "3", "" };

static struct stream *stream_of(size_t piece_bytes)
{
    return stream_new(&(struct stream_options){ .origin = ORIGIN,
                                                .mapping = &fixture_mapping,
                                                .bytes_max = 1 << 24,
                                                .piece_bytes = piece_bytes,
                                                .lsn = START,
                                                .base = 50 });
}

static int set_up(void **state)
{
    (void)state;
    stream = stream_of(4096);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stream_free(&stream);
    return 0;
}

static int take(struct bytes bytes, enum stream_found *ret, struct error *err)
{
    return stream_take(stream, bytes.at, bytes.length, ret, err);
}

static void take_ok(struct bytes bytes)
{
    enum stream_found found;
    struct error err;

    if (take(bytes, &found, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(found, STREAM_NOTHING);
}

static enum stream_found commit(uint64_t end)
{
    enum stream_found found;
    struct error err;

    if (take(commit_bytes(end - 8, end), &found, &err) < 0)
        fail_msg("%s", err.text);
    return found;
}

static void begin(uint64_t end)
{
    take_ok(begin_bytes(end - 8, end));
}

static void begin_ours(uint64_t end, uint64_t lsn)
{
    begin(end);
    take_ok(origin_bytes(lsn, ORIGIN));
}

static struct piece next(void)
{
    struct piece piece;

    assert_true(stream_next(stream, &piece));
    return piece;
}

static void none_left(void)
{
    struct piece piece;

    assert_false(stream_next(stream, &piece));
}

static void say_applied(feed_position position, struct report *reports, uint32_t count)
{
    struct buffer content = { 0 };

    applied_pack(&(struct applied){ .position = position, .reports = reports, .report_count = count }, &content);
    take_ok(message_bytes(true, APPLIED_PREFIX, content.bytes, content.length));
    buffer_free(&content);
}

static void a_local_transaction_is_one_piece_on_the_committed_base(void **state)
{
    struct piece piece;

    (void)state;
    begin(2000);
    take_ok(people_bytes('f'));
    take_ok(insert_bytes(&siti));
    assert_true(stream_open(stream));
    assert_int_equal(commit(2000), STREAM_PIECES);
    assert_false(stream_open(stream));
    piece = next();
    assert_int_equal(piece.lsn, 2000);
    assert_int_equal(piece.base, 50);
    assert_false(piece.nothing_seen);
    assert_true(piece.final);
    assert_int_equal(piece.change_count, 1);
    assert_int_equal(piece.commit_time_us, INT64_C(946684800) * 1000000 + 2000);
    none_left();
}

static void an_apply_of_ours_sets_the_base_and_is_not_captured(void **state)
{
    (void)state;
    begin_ours(2000, 60);
    take_ok(people_bytes('f'));
    take_ok(insert_bytes(&siti));
    say_applied(60, NULL, 0);
    assert_int_equal(commit(2000), STREAM_BASE);
    assert_int_equal(stream_base(stream), 60);
    begin(2100);
    take_ok(insert_bytes(&siti));
    assert_int_equal(commit(2100), STREAM_PIECES);
    assert_int_equal(next().base, 60);
    none_left();
}

static void a_deletion_that_waits_goes_before_the_apply_that_puts_another_row_there(void **state)
{
    struct report report = { REPORT_LINKED, 7, 60, { "people", 6 }, { "1", 1 } };
    struct mapping_block block = fixture_block;
    const struct mapping mapping = { &block, 1 };
    struct absents *absents = absents_new(&mapping, 1 << 20);
    struct piece piece;

    (void)state;
    block.absence_s = 60;
    stream_free(&stream);
    stream = stream_new(&(struct stream_options){ .origin = ORIGIN,
                                                  .mapping = &mapping,
                                                  .bytes_max = 1 << 24,
                                                  .piece_bytes = 4096,
                                                  .absents = absents,
                                                  .lsn = START,
                                                  .base = 50 });
    for (uint32_t reports = 0; reports < 2; reports++) {
        uint64_t end = 2000 + 200 * reports;
        feed_position base = 50 + 10 * reports;

        begin(end);
        take_ok(people_bytes('f'));
        take_ok(change_bytes('O', &siti, NULL));
        assert_int_equal(commit(end), STREAM_EMPTY);
        absents_kept(absents);
        begin_ours(end + 100, base + 10);
        take_ok(insert_bytes(&siti));
        say_applied(base + 10, &report, reports);
        assert_int_equal(commit(end + 100), STREAM_PIECES);
        piece = next();
        assert_true(piece.base == base && piece.change_count == 1 && piece.report_count == 0 && !piece.final);
        assert_int_equal(piece.changes[0].operation, OPERATION_DELETE);
        piece = next();
        assert_true(piece.base == base + 10 && piece.change_count == 0 && piece.report_count == reports && piece.final);
        assert_true(piece.lsn == end + 100 && piece.first == 1);
        none_left();
    }
    stream_free(&stream);
    absents_free(&absents);
}

static void an_apply_that_changed_no_row_is_seen_by_its_message(void **state)
{
    (void)state;
    begin_ours(2000, 61);
    say_applied(61, NULL, 0);
    assert_int_equal(commit(2000), STREAM_BASE);
    assert_int_equal(stream_base(stream), 61);
    assert_int_equal(stream_lsn(stream), 2000);
}

static void reports_travel_in_a_piece_of_their_own_split_when_there_are_many(void **state)
{
    struct report reports[20];
    uint32_t seen = 0;
    struct piece piece;

    (void)state;
    stream_free(&stream);
    stream = stream_of(256);
    for (int i = 0; i < 20; i++)
        reports[i] = (struct report){ REPORT_SKIPPED, (uint64_t)i + 1, 62, { "people", 6 }, { "", 0 } };
    begin_ours(2000, 62);
    say_applied(62, reports, 20);
    assert_int_equal(commit(2000), STREAM_PIECES);
    do {
        piece = next();
        assert_int_equal(piece.lsn, 2000);
        assert_int_equal(piece.base, 62);
        assert_int_equal(piece.change_count, 0);
        assert_true(piece.report_count < 20);
        for (uint32_t i = 0; i < piece.report_count; i++)
            assert_int_equal(piece.reports[i].record, ++seen);
    } while (!piece.final);
    assert_int_equal(seen, 20);
    none_left();
}

static void a_message_of_someone_else_sets_no_base(void **state)
{
    struct buffer content = { 0 };

    (void)state;
    applied_pack(&(struct applied){ .position = 99 }, &content);
    begin(2000);
    take_ok(message_bytes(true, APPLIED_PREFIX, content.bytes, content.length));
    assert_int_equal(commit(2000), STREAM_EMPTY);
    take_ok(message_bytes(false, APPLIED_PREFIX, content.bytes, content.length));
    begin(2100);
    take_ok(origin_bytes(99, "another"));
    take_ok(message_bytes(true, APPLIED_PREFIX, content.bytes, content.length));
    assert_int_equal(commit(2100), STREAM_EMPTY);
    begin_ours(2200, 0);
    take_ok(message_bytes(false, APPLIED_PREFIX, content.bytes, content.length)); /* stands outside of transactions */
    assert_int_equal(commit(2200), STREAM_BASE);
    assert_int_equal(stream_base(stream), 50);
    buffer_free(&content);
}

static void a_base_that_goes_back_stops(void **state)
{
    enum stream_found found;
    struct error err;

    (void)state;
    begin_ours(2000, 49);
    assert_int_equal(take(commit_bytes(1992, 2000), &found, &err), ERR_DOUBT);
    assert_non_null(strstr(err.text, "went back"));
}

static void what_the_broker_has_is_left_out(void **state)
{
    (void)state;
    take_ok(begin_bytes(900, 0));
    take_ok(origin_bytes(70, ORIGIN));
    take_ok(people_bytes('f'));
    say_applied(70, NULL, 0);
    assert_int_equal(commit(START), STREAM_NOTHING);
    assert_int_equal(stream_base(stream), 50);
    take_ok(begin_bytes(950, 0));
    take_ok(truncate_bytes(PEOPLE));
    take_ok(insert_bytes(&siti));
    assert_int_equal(commit(START), STREAM_NOTHING);
    begin(2000);
    take_ok(insert_bytes(&siti));
    assert_int_equal(commit(2000), STREAM_PIECES);
    assert_int_equal(next().change_count, 1);
}

/* All must be loaded anew: at once when its rows came back, else when none can come back any more. */
static void a_truncate_where_the_mapping_says_reload_asks_for_a_load(void **state)
{
    struct error why;

    (void)state;
    fixture_block.reload = true;
    fixture_block.absence_s = 60;
    take_ok(people_bytes('f'));
    begin(2000);
    take_ok(insert_bytes(&siti));
    take_ok(truncate_bytes(PEOPLE));
    take_ok(insert_bytes(&siti));
    assert_int_equal(commit(2000), STREAM_EMPTIED);
    assert_int_equal(stream_emptied(stream, &why), stream_time_us(stream));
    assert_int_equal(why.code, ERR_RELOAD);
    assert_non_null(strstr(why.text, "public.people was truncated"));
    stream_free(&stream);
    stream = stream_of(4096);
    take_ok(people_bytes('f'));
    begin(2000);
    take_ok(insert_bytes(&siti));
    take_ok(truncate_bytes(PEOPLE));
    assert_int_equal(commit(2000), STREAM_EMPTIED);
    assert_int_equal(stream_emptied(stream, &why), stream_time_us(stream) + 60000000);
    fixture_block.reload = false;
    fixture_block.absence_s = 0;
}

static struct bytes fence_bytes(const char *seq, const char *token)
{
    struct bytes bytes = { "I", 1 };

    put_number(&bytes, 4, FENCE);
    put(&bytes, "N", 1);
    put_number(&bytes, 2, 2);
    put(&bytes, "t", 1);
    put_number(&bytes, 4, strlen(token));
    put(&bytes, token, strlen(token));
    put(&bytes, "t", 1);
    put_number(&bytes, 4, strlen(seq));
    put(&bytes, seq, strlen(seq));
    return bytes;
}

static void a_fence_row_is_a_piece_of_its_own(void **state)
{
    static const char *const columns[] = { "token", "*seq", NULL };
    static const char token[] = "\\x000102030405060708090a0b0c0d0eff";
    enum stream_found found;
    struct error err;
    struct piece piece;

    (void)state;
    begin(2000);
    take_ok(relation_bytes(FENCE, "selaras", "fence", 'd', columns));
    take_ok(fence_bytes("17", token));
    assert_int_equal(commit(2000), STREAM_PIECES);
    piece = next();
    assert_true(piece.final);
    assert_int_equal(piece.change_count, 0);
    assert_int_equal(piece.fence.seq, 17);
    assert_int_equal(piece.fence.token[1], 1);
    assert_int_equal(piece.fence.token[15], 0xff);
    none_left();
    begin(2100);
    assert_int_equal(take(fence_bytes("18", "\\x00"), &found, &err), ERR_STOP);
}

static void a_large_transaction_is_cut_into_contiguous_pieces(void **state)
{
    uint32_t seen = 0;
    struct piece piece;

    (void)state;
    begin(2000);
    take_ok(people_bytes('f'));
    for (int i = 1; i <= 500; i++) {
        char key[16];

        snprintf(key, sizeof key, "%d", i);
        take_ok(insert_bytes(&(struct person){ "x", key, "Siti", "3", "" }));
    }
    assert_int_equal(commit(2000), STREAM_PIECES);
    do {
        assert_true(stream_left(stream));
        piece = next();
        assert_int_equal(piece.first, seen);
        assert_true(piece.change_count > 0 && piece.change_count < 100);
        seen += piece.change_count;
    } while (!piece.final);
    assert_int_equal(seen, 500);
    none_left();
}

static void a_transaction_that_concerns_nobody_is_empty(void **state)
{
    static const char *const columns[] = { "a", NULL };

    (void)state;
    begin(2000);
    take_ok(relation_bytes(ELSEWHERE, "public", "other", 'f', columns));
    take_ok(people_bytes('f'));
    take_ok(change_bytes('O', &siti, &(struct person){ "y", "1", "Siti", "3", "" }));
    assert_int_equal(commit(2000), STREAM_EMPTY);
    assert_int_equal(stream_lsn(stream), 2000);
}

static void messages_out_of_order_stop(void **state)
{
    enum stream_found found;
    struct error err;

    (void)state;
    assert_int_equal(take(commit_bytes(1, 2), &found, &err), ERR_STOP);
    assert_int_equal(take(insert_bytes(&siti), &found, &err), ERR_STOP);
    begin(2000);
    assert_int_equal(take(insert_bytes(&siti), &found, &err), ERR_STOP); /* of a table that was not described */
    assert_int_equal(take(begin_bytes(1, 2), &found, &err), ERR_STOP);
}

static void say(const char *prefix, const char *content)
{
    take_ok(message_bytes(true, prefix, content, strlen(content)));
}

static void assert_value(struct value value, const char *wanted)
{
    assert_int_equal(value.state, wanted ? VALUE_SET : VALUE_NULL);
    if (wanted) {
        assert_int_equal(value.length, strlen(wanted));
        assert_memory_equal(value.bytes, wanted, value.length);
    }
}

/* The one change of the next piece, as it travels: what is sealed is what is read. */
static void assert_witnesses(const char *actor, const char *ground)
{
    struct arena *arena = arena_new();
    struct piece piece = next();
    struct change read;
    struct error err;

    assert_int_equal(piece.change_count, 1);
    read = piece.changes[0];
    if (change_decode(arena, &read, &err) < 0)
        fail_msg("%s", err.text);
    assert_value(read.actor, actor);
    assert_value(read.ground, ground);
    arena_free(&arena);
    none_left();
}

static void a_transaction_says_who_makes_it_and_why(void **state)
{
    (void)state;
    begin(2000);
    say("selaras.actor", "petugas17");
    take_ok(people_bytes('f'));
    take_ok(insert_bytes(&siti));
    say("selaras.ground", "SK 440/12/2026");
    assert_int_equal(commit(2000), STREAM_PIECES);
    assert_witnesses("petugas17", "SK 440/12/2026");
    begin(2100);
    take_ok(change_bytes('O', &siti, NULL)); /* of a deletion no column could say it */
    say("selaras.actor", "petugas17");
    say("selaras.actor", "petugas18");
    assert_int_equal(commit(2100), STREAM_PIECES);
    assert_witnesses("petugas18", NULL);
}

static void who_and_why_are_of_one_transaction_of_the_agency(void **state)
{
    (void)state;
    begin(2000);
    say("selaras.actor", "petugas17");
    assert_int_equal(commit(2000), STREAM_EMPTY);
    begin_ours(2100, 60);
    say("selaras.actor", "a trigger in our apply");
    say_applied(60, NULL, 0);
    assert_int_equal(commit(2100), STREAM_BASE);
    take_ok(message_bytes(false, "selaras.actor", "nobody", 6)); /* outside of any transaction */
    begin(2200);
    take_ok(message_bytes(false, "selaras.actor", "nobody", 6));
    say("selaras.actors", "nobody");
    say("selaras.ground", "");
    take_ok(people_bytes('f'));
    take_ok(insert_bytes(&siti));
    assert_int_equal(commit(2200), STREAM_PIECES);
    assert_witnesses(NULL, NULL);
}

static void what_cannot_be_a_name_is_left_out_and_told(void **state)
{
    struct error first;

    (void)state;
    begin(2000);
    take_ok(people_bytes('f'));
    take_ok(insert_bytes(&siti));
    take_ok(message_bytes(true, "selaras.actor", "\xff\xfe", 2));
    assert_int_equal(commit(2000), STREAM_PIECES);
    assert_int_equal(stream_problems(stream, &first), 1);
    assert_non_null(strstr(first.text, "selaras.actor"));
    assert_witnesses(NULL, NULL);
}

int main(void)
{
#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        UNIT(a_local_transaction_is_one_piece_on_the_committed_base),
        UNIT(an_apply_of_ours_sets_the_base_and_is_not_captured),
        UNIT(a_deletion_that_waits_goes_before_the_apply_that_puts_another_row_there),
        UNIT(an_apply_that_changed_no_row_is_seen_by_its_message),
        UNIT(reports_travel_in_a_piece_of_their_own_split_when_there_are_many),
        UNIT(a_message_of_someone_else_sets_no_base),
        UNIT(a_base_that_goes_back_stops),
        UNIT(what_the_broker_has_is_left_out),
        UNIT(a_truncate_where_the_mapping_says_reload_asks_for_a_load),
        UNIT(a_fence_row_is_a_piece_of_its_own),
        UNIT(a_large_transaction_is_cut_into_contiguous_pieces),
        UNIT(a_transaction_that_concerns_nobody_is_empty),
        UNIT(messages_out_of_order_stop),
        UNIT(a_transaction_says_who_makes_it_and_why),
        UNIT(who_and_why_are_of_one_transaction_of_the_agency),
        UNIT(what_cannot_be_a_name_is_left_out_and_told),
    };
#undef UNIT

    return cmocka_run_group_tests(tests, NULL, NULL);
}
