#include "proto/message.h"
#include "proto/message_fixture.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

static void same_text(struct text left, struct text right)
{
    assert_int_equal(left.length, right.length);
    if (left.length > 0)
        assert_memory_equal(left.bytes, right.bytes, left.length);
}

static void same_value(struct value left, struct value right)
{
    assert_int_equal(left.state, right.state);
    if (left.state == VALUE_SET)
        same_text((struct text){ left.bytes, left.length }, (struct text){ right.bytes, right.length });
}

#define SAME(field) assert_int_equal(left->field, right->field)
#define SAME_TEXT(field) same_text(left->field, right->field)
#define SAME_BYTES(field) assert_memory_equal(left->field, right->field, sizeof left->field)

static void same_source(const struct source *left, const struct source *right)
{
    SAME_TEXT(system);
    SAME(timeline);
    SAME(fence.seq);
    SAME_BYTES(fence.token);
}

static void same_block(const struct block *left, const struct block *right)
{
    SAME_TEXT(name);
    SAME_TEXT(type);
    SAME(generated);
    SAME(key_field_count);
    for (int i = 0; i < left->key_field_count; i++)
        SAME_TEXT(key_fields[i]);
    SAME(insert);
    SAME(delete);
    SAME(field_count);
    for (int i = 0; i < left->field_count; i++)
        SAME_TEXT(fields[i]);
    SAME(constant_count);
    for (int i = 0; i < left->constant_count; i++) {
        SAME_TEXT(constants[i].name);
        assert_true(value_equal(left->constants[i].value, right->constants[i].value));
    }
    SAME(reference_count);
    for (int i = 0; i < left->reference_count; i++) {
        SAME_TEXT(references[i].field);
        SAME_TEXT(references[i].block);
    }
}

static void same_hello(const struct message *first, const struct message *second)
{
    const struct hello *left = &first->hello, *right = &second->hello;

    SAME(version);
    SAME_TEXT(software);
    SAME(incarnation);
    same_source(&left->source, &right->source);
    SAME_BYTES(catalog_hash);
    SAME(block_count);
    for (int i = 0; i < left->block_count; i++)
        same_block(&left->blocks[i], &right->blocks[i]);
    SAME(applied);
    SAME_BYTES(applied_leaf);
    SAME(credit);
    SAME_TEXT(agency);
}

static void same_welcome(const struct message *first, const struct message *second)
{
    const struct welcome *left = &first->welcome, *right = &second->welcome;

    SAME(version);
    SAME_TEXT(agency);
    SAME(incarnation);
    SAME(lsn);
    SAME(load_number);
    SAME(base);
    same_source(&left->source, &right->source);
    SAME(load);
    SAME(credit);
    SAME(catalog_version);
    SAME_BYTES(catalog_hash);
    SAME_TEXT(catalog);
}

static void same_report(const struct report *left, const struct report *right)
{
    SAME(kind);
    SAME(record);
    SAME(position);
    SAME_TEXT(block);
    SAME_TEXT(text);
}

static void same_change(const struct change *left, const struct change *right)
{
    SAME(operation);
    SAME_BYTES(salt);
    SAME_BYTES(commitment);
    SAME_TEXT(content);
}

static void same_piece(const struct piece *left, const struct piece *right)
{
    SAME(lsn);
    SAME(first);
    SAME(final);
    SAME(nothing_seen);
    SAME(base);
    SAME(commit_time_us);
    SAME(fence.seq);
    SAME_BYTES(fence.token);
    SAME(report_count);
    for (uint32_t i = 0; i < left->report_count; i++)
        same_report(&left->reports[i], &right->reports[i]);
    SAME(change_count);
    for (uint32_t i = 0; i < left->change_count; i++)
        same_change(&left->changes[i], &right->changes[i]);
}

static void same_changes(const struct message *left, const struct message *right)
{
    SAME(changes.piece_count);
    for (uint32_t i = 0; i < left->changes.piece_count; i++)
        same_piece(&left->changes.pieces[i], &right->changes.pieces[i]);
}

static void same_ack(const struct message *left, const struct message *right)
{
    SAME(ack.lsn);
    SAME(ack.load_number);
    SAME(ack.base);
}

static void same_item(const struct item *left, const struct item *right)
{
    SAME(position);
    SAME(record);
    SAME(operation);
    SAME_TEXT(block);
    SAME_TEXT(key);
    SAME(field_count);
    for (int i = 0; i < left->field_count; i++) {
        SAME_TEXT(fields[i].name);
        same_value(left->fields[i].value, right->fields[i].value);
    }
    SAME_TEXT(reason.verdict);
    SAME_TEXT(reason.by);
    SAME_TEXT(reason.rule);
    SAME_TEXT(reason.ground);
}

static void same_feed(const struct message *left, const struct message *right)
{
    SAME(feed.final);
    SAME(feed.position);
    SAME_BYTES(feed.leaf);
    SAME(feed.item_count);
    for (uint32_t i = 0; i < left->feed.item_count; i++)
        same_item(&left->feed.items[i], &right->feed.items[i]);
}

static void same_applied(const struct message *left, const struct message *right)
{
    SAME(applied.position);
}

static void same_credit(const struct message *left, const struct message *right)
{
    SAME(credit.total);
}

static void same_ping(const struct message *left, const struct message *right)
{
    SAME(ping.time_us);
}

static void same_pong(const struct message *left, const struct message *right)
{
    SAME(pong.time_us);
    SAME(pong.broker_time_us);
}

static void same_error(const struct message *left, const struct message *right)
{
    SAME_TEXT(error.code);
    SAME_TEXT(error.text);
}

static void same_bye(const struct message *left, const struct message *right)
{
    SAME_TEXT(bye.text);
}

/* Every kind that is not reserved. */
static void (*const same_kind[MESSAGE_KIND_COUNT])(const struct message *left, const struct message *right) = {
    [MESSAGE_HELLO] = same_hello,   [MESSAGE_WELCOME] = same_welcome, [MESSAGE_CHANGES] = same_changes,
    [MESSAGE_ACK] = same_ack,       [MESSAGE_FEED] = same_feed,       [MESSAGE_APPLIED] = same_applied,
    [MESSAGE_CREDIT] = same_credit, [MESSAGE_PING] = same_ping,       [MESSAGE_PONG] = same_pong,
    [MESSAGE_ERROR] = same_error,   [MESSAGE_BYE] = same_bye,
};

static struct message read_back(struct arena *arena, const struct buffer *frame)
{
    struct message message;
    struct error err = { 0 };

    if (message_read(arena, frame->bytes, frame->length, &message, &err) < 0)
        fail_msg("%s", err.text);
    return message;
}

static void every_field_of_every_kind_comes_back(void **state)
{
    struct message messages[FIXTURE_MAX];
    size_t count = messages_fixture(*state, messages);
    bool seen[MESSAGE_KIND_COUNT] = { false };

    for (size_t i = 0; i < count; i++) {
        const struct message *left = &messages[i], *right;
        struct buffer frame = { 0 };
        struct message back;

        message_pack(left, &frame);
        back = read_back(*state, &frame);
        right = &back;
        SAME(kind);
        SAME(session);
        SAME(number);
        same_kind[left->kind](left, right);
        seen[left->kind] = true;
        buffer_free(&frame);
    }
    for (int kind = MESSAGE_HELLO; kind < MESSAGE_KIND_COUNT; kind++)
        assert_int_equal(seen[kind], same_kind[kind] != NULL);
}

static void a_message_is_packed_behind_what_the_buffer_holds(void **state)
{
    struct message messages[FIXTURE_MAX];
    size_t count = messages_fixture(*state, messages), start = 0;
    struct buffer out = { 0 };

    for (size_t i = 0; i < count; i++) {
        struct buffer frame;

        message_pack(&messages[i], &out);
        frame = (struct buffer){ out.bytes + start, out.length - start, 0 };
        assert_int_equal(read_back(*state, &frame).kind, messages[i].kind);
        start = out.length;
    }
    buffer_free(&out);
    assert_null(out.bytes);
}

static size_t packed_size(const struct message *message)
{
    struct buffer frame = { 0 };
    size_t size;

    message_pack(message, &frame);
    size = frame.length;
    buffer_free(&frame);
    return size;
}

/* What is added to a message by the one piece or item that it has, at its largest. */
static void sizes_are_upper_bounds(void **state)
{
    struct message changes = { .kind = MESSAGE_CHANGES, .session = INT64_MAX, .number = INT64_MAX };
    struct message feed = { .kind = MESSAGE_FEED, .session = INT64_MAX, .number = INT64_MAX };
    struct report report = { REPORT_PARKED, INT64_MAX, INT64_MAX, TEXT("keluarga"), { NULL, 70000 } };
    struct change change = { .operation = OPERATION_UPDATE, .content = { NULL, 70000 } };
    struct piece piece = {
        .lsn = INT64_MAX, .first = INT32_MAX, .base = INT64_MAX, .commit_time_us = -FIXTURE_TIME_US
    };
    struct item_field field = { TEXT("nik"), { NULL, 70000, VALUE_SET } };
    struct item item = {
        .position = INT64_MAX, .record = INT64_MAX, .operation = OPERATION_DELETE, .block = TEXT("keluarga")
    };
    size_t head;

    report.text.bytes = change.content.bytes = field.value.bytes = arena_alloc(*state, 70000);
    piece.fence.seq = INT64_MAX;
    changes.changes.pieces = &piece;
    feed.feed.items = &item;
    feed.feed.position = INT64_MAX;
    feed.feed.leaf[0] = 1;

    head = packed_size(&changes);
    assert_in_range(head + 4, 0, MESSAGE_HEAD_BYTES); /* 4 more when the list is long */
    changes.changes.piece_count = 1;
    assert_in_range(packed_size(&changes) - head, 50, message_piece_size(&piece));
    piece.reports = &report;
    piece.report_count = 1;
    assert_in_range(packed_size(&changes) - head, 70000, message_piece_size(&piece));
    piece.changes = &change;
    piece.change_count = 1;
    assert_in_range(packed_size(&changes) - head, 140000, message_piece_size(&piece));

    head = packed_size(&feed);
    assert_in_range(head + 4, 0, MESSAGE_HEAD_BYTES);
    feed.feed.item_count = 1;
    assert_in_range(packed_size(&feed) - head, 20, message_item_size(&item));
    item.fields = &field;
    item.field_count = 1;
    item.key = item.reason.verdict = item.reason.by = item.reason.rule = item.reason.ground =
        (struct text)TEXT("a text of some length, so that it has a head");
    assert_in_range(packed_size(&feed) - head, 70000, message_item_size(&item));
}

static void the_names_of_kinds_are_the_words_of_the_protocol(void **state)
{
    static const char *const words[] = { "none",   "hello",   "welcome", "changes", "ack",
                                         "feed",   "applied", "credit",  "review",  "checkpoint",
                                         "cosign", "ping",    "pong",    "error",   "bye" };

    (void)state;
    assert_int_equal(COUNT(words), MESSAGE_KIND_COUNT);
    for (int i = 0; i < MESSAGE_KIND_COUNT; i++)
        assert_string_equal(message_name((enum message_kind)i), words[i]);
    for (int i = 0; i < OPERATION_COUNT; i++)
        assert_non_null(operation_name((enum operation)i));
    for (int i = 0; i < REPORT_COUNT; i++)
        assert_non_null(report_name((enum report_kind)i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_every_kind_comes_back),
        cmocka_unit_test(a_message_is_packed_behind_what_the_buffer_holds),
        cmocka_unit_test(sizes_are_upper_bounds),
        cmocka_unit_test(the_names_of_kinds_are_the_words_of_the_protocol),
    };

    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
