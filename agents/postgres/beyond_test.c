/* Through the stream, which is how its rows come. */
#include "agents/postgres/applied.h"
#include "agents/postgres/stream.h"
#include "agents/postgres/stream_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ORIGIN "selaras_dinsos"

static struct stream *stream;
static struct alterations alterations;
static uint64_t end_lsn;

static const struct person siti = { "x", "1", "Siti", "3", "" };
static const struct person siti_four = { "x", "1", "Siti", "4", "" };
static const struct person siti_five = { "x", "1", "Siti", "5", "" };
static const struct person siti_moved = { "x", "2", "Siti", "3", "" };
static const struct person budi = { "x", "7", "Budi", "1", "" };

static struct stream *stream_of(bool whole)
{
    return stream_new(&(struct stream_options){ .origin = ORIGIN,
                                                .mapping = &fixture_mapping,
                                                .bytes_max = 1 << 20,
                                                .whole = whole,
                                                .alterations = &alterations,
                                                .piece_bytes = 4096,
                                                .lsn = 1000,
                                                .base = 50 });
}

static int set_up(void **state)
{
    (void)state;
    stream = stream_of(true);
    end_lsn = 2000;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stream_free(&stream);
    alterations_free(&alterations);
    return 0;
}

static enum stream_found take(struct bytes bytes)
{
    enum stream_found found;
    struct error err;

    if (stream_take(stream, bytes.at, bytes.length, &found, &err) < 0)
        fail_msg("%s", err.text);
    return found;
}

static void begin(void)
{
    take(begin_bytes(end_lsn - 8, end_lsn));
    take(origin_bytes(60, ORIGIN));
    take(people_bytes('f'));
}

static void insert(struct person now)
{
    take(insert_bytes(&now));
}

static void update(struct person old, struct person now)
{
    take(change_bytes('O', &old, &now));
}

static void delete (struct person old)
{
    take(change_bytes('O', &old, NULL));
}

/* A row as our message lists it. */
struct listed {
    const char *nik, *name, *size; /* NULL: not written. Only nik: it is gone */
};

static void say(bool whole, const struct listed *listed, uint32_t count, struct report *report)
{
    struct text fields[] = { { "nik", 3 }, { "name", 4 }, { "size", 4 } };
    struct wrote_block block = { { "people", 6 }, fields, 3 };
    struct wrote_row rows[4] = { 0 };
    uint32_t digests[4][3] = { 0 };
    struct buffer content = { 0 };

    for (uint32_t i = 0; i < count; i++) {
        const char *const values[] = { listed[i].nik, listed[i].name, listed[i].size };

        for (int j = 0; j < 3; j++)
            digests[i][j] = values[j] ? value_digest(value_text(values[j])) : 0;
        rows[i] = (struct wrote_row){ 0,
                                      { listed[i].nik, (uint32_t)strlen(listed[i].nik) },
                                      70 + i,
                                      !listed[i].name && !listed[i].size,
                                      digests[i] };
    }
    applied_pack(&(struct applied){ .position = 60,
                                    .reports = report,
                                    .report_count = report ? 1 : 0,
                                    .whole = whole,
                                    .blocks = &block,
                                    .block_count = 1,
                                    .rows = rows,
                                    .row_count = count },
                 &content);
    take(message_bytes(true, APPLIED_PREFIX, content.bytes, content.length));
    buffer_free(&content);
}

/* Ends the transaction and compares what is captured: "delete 1; ", and what is noted: "size 1; ". */
static void ends(const char *captured, const char *noted)
{
    char text[512] = "";
    struct piece piece;
    uint32_t next = 0;

    take(commit_bytes(end_lsn - 8, end_lsn));
    while (stream_next(stream, &piece)) {
        assert_int_equal(piece.base, 60);
        assert_int_equal(piece.first, next);
        next += piece.change_count;
        for (uint32_t i = 0; i < piece.report_count; i++) {
            const struct report *report = &piece.reports[i];

            snprintf(text + strlen(text), sizeof text - strlen(text), "%s", report_name(report->kind));
            if (report->kind == REPORT_ALTERED)
                snprintf(text + strlen(text), sizeof text - strlen(text), " %d %.*s", (int)report->record,
                         (int)report->text.length, report->text.bytes);
            snprintf(text + strlen(text), sizeof text - strlen(text), "; ");
            assert_int_equal(report->position, 60);
            assert_int_equal(report->block.length, 6);
        }
        for (uint32_t i = 0; i < piece.change_count; i++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s %.*s; ",
                     operation_name(piece.changes[i].operation), (int)piece.changes[i].key.length,
                     piece.changes[i].key.bytes);
        assert_int_equal(piece.final, !stream_left(stream));
    }
    assert_string_equal(text, captured);
    text[0] = '\0';
    for (uint32_t i = 0; i < alterations.count; i++) {
        const char *column = alteration_column(&alterations.list[i]);

        snprintf(text + strlen(text), sizeof text - strlen(text), "%s %d; ", column ? column : "rows",
                 (int)alterations.list[i].count);
    }
    assert_string_equal(text, noted);
    assert_int_equal(stream_base(stream), 60);
    end_lsn += 100;
}

static void what_we_wrote_is_nothing_of_the_agency(void **state)
{
    (void)state;
    begin();
    insert(budi);
    update(siti, siti_four);
    delete (siti_moved);
    say(true, (struct listed[]){ { "7", "Budi", "1" }, { "1", NULL, "4" }, { "2", NULL, NULL } }, 3, NULL);
    ends("", "");
}

static void a_row_that_a_cascade_deletes_is_captured(void **state)
{
    for (int whole = 0; whole < 2; whole++) {
        (void)state;
        stream_free(&stream);
        stream = stream_of(whole);
        begin();
        delete (siti_moved);
        delete (siti);
        say(whole, (struct listed[]){ { "2", NULL, NULL } }, 1, NULL);
        ends("delete 1; ", "");
    }
}

static void a_row_that_we_wrote_first_and_a_cascade_deletes_is_captured(void **state)
{
    (void)state;
    begin();
    insert(budi);
    delete (siti);
    delete (budi);
    say(true, (struct listed[]){ { "7", "Budi", "1" }, { "1", NULL, NULL } }, 2, NULL);
    ends("delete 7; ", "");
    begin();
    update(budi, budi);
    delete (budi);
    say(true, (struct listed[]){ { "7", "Budi", "1" } }, 1, NULL);
    ends("delete 7; ", "");
    begin();
    insert(budi);
    delete (budi);
    say(false, NULL, 0, NULL);
    ends("delete 7; ", "");
}

/* Were that a deletion, the broker would send the row again, for ever. */
static void a_row_that_we_made_and_a_trigger_deletes_is_left_out(void **state)
{
    (void)state;
    begin();
    update(siti, siti_four);
    insert(budi);
    delete (budi);
    say(true, (struct listed[]){ { "1", NULL, "4" }, { "7", "Budi", "1" } }, 2, NULL);
    ends("altered 71 existence; ", "rows 1; ");
}

static void a_row_that_is_there_again_is_not_gone(void **state)
{
    for (int whole = 0; whole < 2; whole++) {
        (void)state;
        stream_free(&stream);
        stream = stream_of(whole);
        begin();
        delete (siti);
        insert(siti);
        say(whole, (struct listed[]){ { "1", "Siti", "3" } }, whole, NULL);
        ends("", "");
    }
}

static void what_others_do_under_our_origin_without_a_word_is_captured_when_it_deletes(void **state)
{
    (void)state;
    begin();
    update(siti, siti_four);
    delete (budi);
    ends("delete 7; ", "");
}

static void a_value_that_a_trigger_writes_stays_and_is_counted_and_told(void **state)
{
    (void)state;
    begin();
    update(siti, siti_five); /* we wrote 4 */
    say(true, (struct listed[]){ { "1", NULL, "4" } }, 1, NULL);
    ends("altered 70 size; ", "size 1; ");
    begin();
    update(siti, siti_four); /* ours */
    update(siti_four, siti_five);
    say(true, (struct listed[]){ { "1", NULL, "4" } }, 1, NULL);
    ends("altered 70 size; ", "size 2; ");
    begin();
    update(budi, (struct person){ "x", "7", "Boy", "1", "" }); /* nothing of ours */
    say(true, NULL, 0, NULL);
    ends("", "size 2; name 1; ");
    begin();
    update(siti, (struct person){ "x", "1", "Siti", "4", "seen" }); /* a column that we left alone */
    say(true, (struct listed[]){ { "1", NULL, "4" } }, 1, NULL);
    ends("altered 70 note; ", "size 2; name 1; note 1; ");
    begin();
    insert((struct person){ "x", "7", "BUDI", "9", "" });
    say(true, (struct listed[]){ { "1", NULL, "4" }, { "7", "Budi", "1" } }, 2, NULL);
    ends("altered 70 existence; altered 71 name size; ", "size 3; name 2; note 1; rows 1; ");
}

static void a_column_that_is_not_mapped_is_nobody_s(void **state)
{
    (void)state;
    begin();
    update(siti, (struct person){ "trigger", "1", "Siti", "4", "" });
    say(true, (struct listed[]){ { "1", NULL, "4" } }, 1, NULL);
    ends("", "");
}

static void rows_that_a_trigger_adds_keeps_or_leaves_out_are_counted(void **state)
{
    (void)state;
    begin();
    insert(budi);
    say(true, NULL, 0, NULL);
    ends("", "rows 1; ");
    begin();
    update(siti, siti_four); /* instead of the deletion */
    say(true, (struct listed[]){ { "1", NULL, NULL } }, 1, NULL);
    ends("altered 70 existence; ", "rows 2; ");
    begin();
    say(true, (struct listed[]){ { "9", "Ani", "1" } }, 1, NULL);
    ends("altered 70 existence; ", "rows 3; ");
}

static void a_key_that_moves_is_no_deletion(void **state)
{
    (void)state;
    begin();
    update(siti, siti_moved);
    say(true, (struct listed[]){ { "2", "Siti", NULL } }, 1, NULL);
    ends("", "");
    begin();
    delete (budi);
    update(siti, siti_moved);
    say(false, (struct listed[]){ { "7", NULL, NULL } }, 1, NULL);
    ends("", "");
}

static void reports_come_before_what_was_deleted(void **state)
{
    struct report report = { REPORT_PARKED, 5, 60, { "people", 6 }, { "why", 3 } };

    (void)state;
    begin();
    delete (siti);
    say(true, NULL, 0, &report);
    ends("parked; delete 1; ", "");
}

static void a_trigger_that_truncates_is_not_passed_over(void **state)
{
    struct bytes bytes = truncate_bytes(PEOPLE);
    enum stream_found found;
    struct error err;

    (void)state;
    begin();
    assert_int_equal(stream_take(stream, bytes.at, bytes.length, &found, &err), ERR_LOST);
    assert_non_null(strstr(err.text, "people was truncated"));
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(what_we_wrote_is_nothing_of_the_agency),
        UNIT(a_row_that_a_cascade_deletes_is_captured),
        UNIT(a_row_that_we_wrote_first_and_a_cascade_deletes_is_captured),
        UNIT(a_row_that_we_made_and_a_trigger_deletes_is_left_out),
        UNIT(a_row_that_is_there_again_is_not_gone),
        UNIT(what_others_do_under_our_origin_without_a_word_is_captured_when_it_deletes),
        UNIT(a_value_that_a_trigger_writes_stays_and_is_counted_and_told),
        UNIT(a_column_that_is_not_mapped_is_nobody_s),
        UNIT(rows_that_a_trigger_adds_keeps_or_leaves_out_are_counted),
        UNIT(a_key_that_moves_is_no_deletion),
        UNIT(reports_come_before_what_was_deleted),
        UNIT(a_trigger_that_truncates_is_not_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
