/* What message_read refuses, and where it says the fault is. hostile_test.c attacks it at every byte. */
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

static struct message read_back(struct arena *arena, const struct buffer *frame)
{
    struct message message;
    struct error err = { 0 };

    if (message_read(arena, frame->bytes, frame->length, &message, &err) < 0)
        fail_msg("%s", err.text);
    return message;
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
        "changes message: pieces[0].reports[1].what, at byte 123: expected an integer from 1 to 8, found another");
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
                   "hello message: blocks[1].block, at byte 162: a block of this name stands there already");
    blocks[1].name = (struct text)TEXT("keluarga");
    blocks[0].fields = fields;
    expect_refusal(*state, &message, "hello message: blocks[0].fields[2], at byte 150: this name stands there already");
    fields[2] = (struct text)TEXT("eligible");
    blocks[1].constants[0].value = (struct value){ .state = VALUE_NULL };
    expect_refusal(*state, &message,
                   "hello message: blocks[1].constants[0].field, at byte 194: a constant has a value");
    blocks[1].constants[0] = (struct item_field){ TEXT("step"), VALUE("original") };
    expect_refusal(*state, &message,
                   "hello message: blocks[1].constants[0].field, at byte 194: is none of the block's fields");
    blocks[1].constants[0] = (struct item_field){ TEXT("stage"), VALUE("original") };
    blocks[1].references[1] = blocks[1].references[0];
    blocks[1].reference_count = 2;
    expect_refusal(*state, &message,
                   "hello message: blocks[1].references[1].field, at byte 235: a reference of this field stands there "
                   "already");
    blocks[1].references[1].field = (struct text)TEXT("step");
    expect_refusal(*state, &message,
                   "hello message: blocks[1].references[1].field, at byte 235: is none of the block's fields");
    blocks[1].reference_count = 1;
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
        { TEXT("\x94\x01\x00\x00\x01"), "hello message: version, at byte 4: expected 13 elements, found 4" },
        { TEXT("\x93\x01\x00\x00"), "hello message: kind, at byte 1: expected 13 elements, found 3" },
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
    bytes_put(bytes, "\x94\x0e\x01\x01\xdb\x00\x0f\xff\xf7", 9);
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
    static const char block[] = "\x91\x99\xa1k\xa1t\xc2\x90\xc2\x00\x90\x90\x90";
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

    bytes_put(frame.bytes + 4, "\xdd\x00\x0d\x00\x00", 5); /* 851,968 pieces: as many would fit if they had one byte */
    before = arena_used(arena);
    assert_int_equal(message_read(arena, frame.bytes, frame.length, &message, &err), ERR_REJECT);
    assert_int_equal(arena_used(arena), before);
    buffer_free(&frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_refused_with_its_place),
        cmocka_unit_test(names_stand_once_in_a_hello),
        cmocka_unit_test(a_hello_of_another_version_is_read_up_to_its_version),
        cmocka_unit_test(a_start_that_is_wrong_is_refused),
        cmocka_unit_test(a_frame_has_a_megabyte_at_most),
        cmocka_unit_test(the_smallest_elements_are_read),
        cmocka_unit_test(memory_stays_in_proportion_to_the_frame),
    };

    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
