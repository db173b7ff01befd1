#include "proto/message.h"
#include "proto/message_fixture.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

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
    item.key = item.reason.verdict = item.reason.by = item.reason.rule =
        (struct text)TEXT("a text of some length, so that it has a head");
    assert_in_range(packed_size(&feed) - head, 70000, message_item_size(&item));
}

static void expect_refusal(struct arena *arena, const struct message *message, const char *expected)
{
    struct buffer frame = { 0 };
    struct message back = { .kind = MESSAGE_BYE };
    struct error err = { 0 };

    message_pack(message, &frame);
    assert_int_equal(message_read(arena, frame.bytes, frame.length, &back, &err), ERR_REJECT);
    assert_string_equal(err.text, expected);
    assert_int_equal(back.kind, MESSAGE_BYE); /* set on success only */
    buffer_free(&frame);
}

/* One thing wrong in each, and where. */
static void what_is_wrong_is_refused_with_its_place(void **state)
{
    struct message message = changes_message_fixture(*state);
    struct piece *pieces = message.changes.pieces;
    struct item_field twice[] = { { TEXT("nik"), VALUE("x") }, { TEXT("nik"), VALUE("y") } };
    char key[KEY_BYTES_MAX + 1];

    pieces[0].changes[1].operation = OPERATION_COUNT;
    expect_refusal(
        *state, &message,
        "changes message: pieces[0].changes[1].operation, at byte 388: expected an integer from 1 to 4, found another");
    pieces[0].changes[1].operation = OPERATION_INSERT;
    pieces[0].reports[1].kind = REPORT_NONE;
    expect_refusal(
        *state, &message,
        "changes message: pieces[0].reports[1].what, at byte 123: expected an integer from 1 to 5, found another");
    pieces[0].reports[1].kind = REPORT_LINKED;
    memset(key, 'k', sizeof key);
    pieces[0].reports[1].text = (struct text){ key, sizeof key };
    expect_refusal(*state, &message,
                   "changes message: pieces[0].reports[1].text, at byte 151: a local key has at most 1024 bytes");
    pieces[0].reports[1].text = (struct text)TEXT("6402061505780009");
    pieces[2].lsn = UINT64_C(1) << 63;
    message.changes.pieces += 2;
    message.changes.piece_count = 1;
    expect_refusal(
        *state, &message,
        "changes message: pieces[0].lsn, at byte 6: expected an integer from 0 to 9223372036854775807, found another");

    message = feed_fixture();
    message.feed.items[2].operation = OPERATION_LOAD;
    message.feed.items += 2;
    message.feed.item_count = 1;
    expect_refusal(*state, &message,
                   "feed message: items[0].operation, at byte 72: expected an integer from 1 to 3, found another");
    message.feed.items[0].operation = OPERATION_DELETE;
    message.feed.items[0].key = (struct text){ key, sizeof key };
    expect_refusal(*state, &message, "feed message: items[0].key, at byte 73: a local key has at most 1024 bytes");
    message.feed.items[0].key = (struct text){ 0 };
    message.feed.items[0].block = (struct text)TEXT("Peserta JKN");
    expect_refusal(*state, &message,
                   "feed message: items[0].block, at byte 59: a name is a letter a-z and up to 62 of a-z, 0-9 and _");

    message = feed_fixture();
    message.feed.items[1].fields = twice;
    message.feed.items[1].field_count = 2;
    message.feed.items++;
    message.feed.item_count = 1;
    expect_refusal(*state, &message,
                   "feed message: items[0].fields[1].field, at byte 83: this field stands there already");

    message = (struct message){ .kind = MESSAGE_PING, .ping = { INT64_MAX } };
    expect_refusal(*state, &message,
                   "ping message: time, at byte 4: expected an integer from -62135596800000000 to 253402300799999999, "
                   "found another");
    message = (struct message){ .kind = MESSAGE_WELCOME, .welcome.agency = TEXT("") };
    expect_refusal(*state, &message,
                   "welcome message: agency, at byte 5: a name is a letter a-z and up to 62 of a-z, 0-9 and _");
}

static void names_stand_once_in_a_hello(void **state)
{
    struct message message = hello_fixture();
    struct block *blocks = message.hello.blocks;
    struct text fields[] = { TEXT("nik"), TEXT("name"), TEXT("nik") };

    blocks[1].name = blocks[0].name;
    expect_refusal(*state, &message,
                   "hello message: blocks[1].block, at byte 160: a block of this name stands there already");
    blocks[1].name = (struct text)TEXT("keluarga");
    blocks[0].fields = fields;
    expect_refusal(*state, &message, "hello message: blocks[0].fields[2], at byte 150: this name stands there already");
}

static void a_hello_of_another_version_is_read_up_to_its_version(void **state)
{
    static const struct text hellos[] = {
        TEXT("\x94\x01\x00\x00\x02"),
        TEXT("\x9f\x01\x00\x00\x02\x80\xc1 whatever comes then"),
    };

    for (size_t i = 0; i < COUNT(hellos); i++) {
        struct message message;
        struct error err;

        assert_int_equal(message_read(*state, hellos[i].bytes, hellos[i].length, &message, &err), 0);
        assert_int_equal(message.kind, MESSAGE_HELLO);
        assert_int_equal(message.hello.version, 2);
    }
}

/* Bytes that our packer does not write. */
static void a_start_that_is_wrong_is_refused(void **state)
{
    static const struct {
        struct text bytes;
        const char *problem;
    } starts[] = {
        { TEXT(""), "message: at byte 0: expected an array, found the end of the bytes" },
        { TEXT("\x80"), "message: at byte 0: expected an array, found a map" },
        { TEXT("\x90"), "message: at byte 0: expected an array of at least 1, found one of 0" },
        { TEXT("\x94\x00\x00\x00\x00"), "message: kind, at byte 1: expected an integer from 1 to 14, found another" },
        { TEXT("\x94\x0f\x00\x00\x00"), "message: kind, at byte 1: expected an integer from 1 to 14, found another" },
        { TEXT("\x94\x08\x01\x01\x00"), "message: kind, at byte 1: kind 8 (review) is reserved" },
        { TEXT("\x94\x0a\x01\x01\x00"), "message: kind, at byte 1: kind 10 (cosign) is reserved" },
        { TEXT("\x95\x0b\x01\x01\x00\x00"), "ping message: kind, at byte 1: expected 4 elements, found 5" },
        { TEXT("\x93\x0b\x01\x01"), "ping message: kind, at byte 1: expected 4 elements, found 3" },
        { TEXT("\x94\x01\x01\x00\x02"),
          "hello message: session, at byte 2: expected an integer from 0 to 0, found another" },
        { TEXT("\x94\x01\x00\x01\x02"),
          "hello message: number, at byte 3: expected an integer from 0 to 0, found another" },
        { TEXT("\x94\x01\x00\x00\x01"), "hello message: version, at byte 4: expected 12 elements, found 4" },
        { TEXT("\x93\x01\x00\x00"), "hello message: kind, at byte 1: expected 12 elements, found 3" },
        { TEXT("\x94\x0b\x01\xcf\x80\x00\x00\x00\x00\x00\x00\x00\x00"),
          "ping message: number, at byte 3: expected an integer from 0 to 9223372036854775807, found another" },
        { TEXT("\x94\x0e\x01\x01\xa0\xc0"), "bye message: at byte 5: the end is here, but bytes stand behind it (1)" },
    };

    for (size_t i = 0; i < COUNT(starts); i++) {
        struct message message;
        struct error err = { 0 };

        assert_int_equal(message_read(*state, starts[i].bytes.bytes, starts[i].bytes.length, &message, &err),
                         ERR_REJECT);
        assert_string_equal(err.text, starts[i].problem);
    }
}

static void a_frame_has_a_megabyte_at_most(void **state)
{
    size_t length = FRAME_BYTES_MAX;
    char *bytes = calloc(1, length + 1);
    struct message message;
    struct error err = { 0 };

    assert_non_null(bytes);
    memset(bytes, 'x', length + 1);
    memcpy(bytes, "\x94\x0e\x01\x01\xdb\x00\x0f\xff\xf7", 9);
    assert_int_equal(message_read(*state, bytes, length, &message, &err), 0);
    bytes[8]++;
    assert_int_equal(message_read(*state, bytes, length + 1, &message, &err), ERR_REJECT);
    assert_string_equal(err.text, "message: 1048577 bytes are more than the 1048576 that a frame may have");
    free(bytes);
}

/* Ten of the smallest there can be, with nothing behind them that the count could be held against. */
static void the_smallest_elements_are_read(void **state)
{
    static const struct {
        struct text before, element, after;
    } lists[] = {
        { TEXT("\x94\x03\x01\x01\x9a"), TEXT("\x98\x00\x00\xc2\xc0\x00\xc0\x90\x90"), TEXT("") }, /* pieces */
        { TEXT("\x94\x03\x01\x01\x91\x98\x00\x00\xc2\xc0\x00\xc0\x9a"), TEXT("\x95\x01\x00\x00\xa1k\xa0"),
          TEXT("\x90") },                                                                                  /* reports */
        { TEXT("\x97\x05\x01\x01\xc2\x00\xc0\x9a"), TEXT("\x97\x00\xa1k\x00\x01\xc0\x90\xc0"), TEXT("") }, /* items */
    };
    static const char block[] = "\x91\x97\xa1k\xa1t\xc2\x90\xc2\x00\x90";
    struct block *blocks;
    uint16_t count;
    struct error err = { 0 };

    for (size_t i = 0; i < COUNT(lists); i++) {
        char bytes[256];
        struct buffer frame = { bytes, lists[i].before.length, 0 };

        memcpy(bytes, lists[i].before.bytes, frame.length);
        for (int element = 0; element < 10; element++) {
            memcpy(bytes + frame.length, lists[i].element.bytes, lists[i].element.length);
            frame.length += lists[i].element.length;
        }
        memcpy(bytes + frame.length, lists[i].after.bytes, lists[i].after.length);
        frame.length += lists[i].after.length;
        read_back(*state, &frame);
    }
    assert_int_equal(blocks_read(*state, block, sizeof block - 1, &blocks, &count, &err), 0);
    assert_int_equal(count, 1);
}

/* What reading may take of memory for a frame of the densest pieces there are, and for one that only claims them. */
static void memory_stays_in_proportion_to_the_frame(void **state)
{
    struct arena *arena = *state;
    struct message message = { .kind = MESSAGE_CHANGES, .session = 1, .number = 1 };
    struct buffer frame = { 0 };
    struct error err = { 0 };
    size_t before;

    message.changes.pieces = arena_array(arena, 100000, sizeof *message.changes.pieces);
    message.changes.piece_count = 100000;
    message_pack(&message, &frame);
    assert_in_range(frame.length, 900000, FRAME_BYTES_MAX);
    before = arena_used(arena);
    assert_int_equal(read_back(arena, &frame).changes.piece_count, 100000);
    assert_in_range(arena_used(arena) - before, 0, 16 * frame.length);

    memcpy(frame.bytes + 4, "\xdd\x00\x0d\x00\x00", 5); /* 851,968 pieces: as many would fit if they had one byte */
    before = arena_used(arena);
    assert_int_equal(message_read(arena, frame.bytes, frame.length, &message, &err), ERR_REJECT);
    assert_int_equal(arena_used(arena), before);
    buffer_free(&frame);
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
        cmocka_unit_test(what_is_wrong_is_refused_with_its_place),
        cmocka_unit_test(names_stand_once_in_a_hello),
        cmocka_unit_test(a_hello_of_another_version_is_read_up_to_its_version),
        cmocka_unit_test(a_start_that_is_wrong_is_refused),
        cmocka_unit_test(a_frame_has_a_megabyte_at_most),
        cmocka_unit_test(the_smallest_elements_are_read),
        cmocka_unit_test(memory_stays_in_proportion_to_the_frame),
        cmocka_unit_test(the_names_of_kinds_are_the_words_of_the_protocol),
    };

    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
