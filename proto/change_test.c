#include "proto/message_fixture.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
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

static void a_change_comes_back_from_its_content(void **state)
{
    const struct change *changes = changes_fixture(*state);

    for (int i = 0; i < 4; i++) {
        const struct change *change = &changes[i];
        struct change back = { .operation = change->operation, .content = change->content };
        struct error err = { 0 };

        memcpy(back.salt, change->salt, sizeof back.salt);
        memcpy(back.commitment, change->commitment, sizeof back.commitment);
        assert_int_equal(change_decode(*state, &back, &err), 0);
        same_text(back.block, change->block);
        same_text(back.key, change->key);
        same_text(back.old_key, change->old_key);
        same_value(back.actor, change->actor);
        same_value(back.ground, change->ground);
        assert_int_equal(back.field_count, change->field_count);
        for (int field = 0; field < back.field_count; field++) {
            same_text(back.fields[field].name, change->fields[field].name);
            same_value(back.fields[field].value, change->fields[field].value);
            same_value(back.fields[field].old, change->fields[field].old);
        }
        assert_true(change_committed(&back)); /* salt, commitment and content are kept */
    }
}

static void a_change_without_actor_has_a_null_one(void **state)
{
    struct change change = { .operation = OPERATION_DELETE, .block = TEXT("keluarga"), .key = TEXT("7") };
    struct error err = { 0 };

    change_encode(*state, &change);
    assert_int_equal(change_decode(*state, &change, &err), 0);
    assert_int_equal(change.actor.state, VALUE_NULL);
    assert_int_equal(change.ground.state, VALUE_NULL);
    assert_int_equal(change.field_count, 0);
}

/* Longer than any head that has one byte, so that the bound on the content's size is met. */
static void long_values_come_back(void **state)
{
    char *letters = arena_alloc(*state, VALUE_LENGTH_MAX);
    struct change_field fields[BLOCK_FIELDS_MAX];
    char names[BLOCK_FIELDS_MAX][16];
    struct change change = { .operation = OPERATION_UPDATE, .block = TEXT("keluarga"), .fields = fields };
    struct error err = { 0 };

    memset(letters, 'x', VALUE_LENGTH_MAX);
    change.key = change.old_key = (struct text){ letters, KEY_BYTES_MAX };
    change.field_count = COUNT(fields);
    for (int i = 0; i < change.field_count; i++) {
        snprintf(names[i], sizeof names[i], "f%d", i);
        fields[i].name = (struct text){ names[i], (uint32_t)strlen(names[i]) };
        fields[i].value = (struct value){ letters, i == 0 ? VALUE_LENGTH_MAX : 300, VALUE_SET };
        fields[i].old = (struct value){ letters, 70000, VALUE_SET };
    }
    change_encode(*state, &change);
    assert_int_equal(change_decode(*state, &change, &err), 0);
    assert_int_equal(change.fields[0].value.length, VALUE_LENGTH_MAX);
    assert_int_equal(change.fields[127].old.length, 70000);
    assert_int_equal(change.old_key.length, KEY_BYTES_MAX);
}

/* PROTOCOL 5.2, what each operation lists. The contents are written by hand: our packer does not write them. */
static void a_content_that_does_not_suit_its_operation_is_refused(void **state)
{
    static const struct {
        enum operation operation;
        struct text content;
        const char *problem; /* NULL: it is good */
    } contents[] = {
        { OPERATION_INSERT,
          TEXT("\x96\xa1k\xa1"
               "1\xc0\x91\x92\xa1n\xa1x\xc0\xc0"),
          NULL },
        { OPERATION_LOAD,
          TEXT("\x96\xa1k\xa1"
               "1\xc0\x91\x92\xa1n\xa1x\xc0\xc0"),
          NULL },
        { OPERATION_UPDATE,
          TEXT("\x96\xa1k\xa1"
               "1\xc0\x91\x93\xa1n\xa1x\xc0\xc0\xc0"),
          NULL },
        { OPERATION_UPDATE,
          TEXT("\x96\xa1k\xa1"
               "1\xc0\x91\x92\xa1n\xa1x\xc0\xc0"),
          NULL },
        { OPERATION_DELETE,
          TEXT("\x96\xa1k\xa1"
               "1\xc0\x91\x93\xa1n\xc0\xa1x\xc0\xc0"),
          NULL },
        { OPERATION_INSERT,
          TEXT("\x96\xa1k\xa1"
               "1\xc0\x91\x93\xa1n\xa1x\xc0\xc0\xc0"),
          "changed[0], at byte 7: expected an array of 2, found one of 3" },
        { OPERATION_LOAD,
          TEXT("\x96\xa1k\xa1"
               "1\xc0\x91\x93\xa1n\xa1x\xc0\xc0\xc0"),
          "changed[0], at byte 7: expected an array of 2, found one of 3" },
        { OPERATION_DELETE,
          TEXT("\x96\xa1k\xa1"
               "1\xc0\x91\x92\xa1n\xc0\xc0\xc0"),
          "changed[0], at byte 7: expected an array of 3, found one of 2" },
        { OPERATION_DELETE,
          TEXT("\x96\xa1k\xa1"
               "1\xc0\x91\x93\xa1n\xa1x\xa1x\xc0\xc0"),
          "changed[0].new, at byte 10: expected nil, found text" },
        { OPERATION_UPDATE,
          TEXT("\x96\xa1k\xa1"
               "1\xc0\x92\x92\xa1n\xa1x\x92\xa1n\xa1y\xc0\xc0"),
          "changed[1].field, at byte 13: this field stands there already" },
        { OPERATION_UPDATE,
          TEXT("\x96\xa1k\xa1"
               "1\xa0\x90\xc0\xc0"),
          "old-key, at byte 5: expected nil or text that is not empty, found empty text" },
        { OPERATION_UPDATE,
          TEXT("\x95\xa1k\xa1"
               "1\xc0\x90\xc0"),
          "at byte 0: expected an array of 6, found one of 5" },
        { OPERATION_UPDATE, TEXT(""), "at byte 0: expected an array, found the end of the bytes" },
    };

    for (size_t i = 0; i < COUNT(contents); i++) {
        struct change change = { .operation = contents[i].operation,
                                 .content = contents[i].content,
                                 .field_count = 99 };
        struct error err = { 0 };
        int code = change_decode(*state, &change, &err);

        if (!contents[i].problem) {
            assert_int_equal(code, 0);
            continue;
        }
        assert_int_equal(code, ERR_REJECT);
        assert_memory_equal(err.text, "content of a change: ", 21);
        assert_string_equal(err.text + 21, contents[i].problem);
        assert_int_equal(change.field_count, 99); /* set on success only */
    }
}

static void keys_and_fields_have_their_limits(void **state)
{
    char *content = calloc(1, 4096);
    struct change change = { .operation = OPERATION_INSERT };
    struct error err = { 0 };
    uint32_t length;

    assert_non_null(content);
    memset(content, 'k', 4096);
    bytes_put(content, "\x96\xa1k\xda\x04\x01", 6);
    length = 6 + 1025;
    bytes_put(content + length, "\xc0\x90\xc0\xc0", 4);
    change.content = (struct text){ content, length + 4 };
    assert_int_equal(change_decode(*state, &change, &err), ERR_REJECT);
    assert_string_equal(err.text, "content of a change: key, at byte 3: a local key has at most 1024 bytes");

    /* 129 fields */
    bytes_put(content, "\x96\xa1k\xa1k\xc0\xdc\x00\x81", 9);
    length = 9;
    for (int i = 0; i < 129; i++)
        length += (uint32_t)sprintf(content + length, "\x92\xa4n%03d\xc0", i);
    bytes_put(content + length, "\xc0\xc0", 2);
    change.content = (struct text){ content, length + 2 };
    assert_int_equal(change_decode(*state, &change, &err), ERR_REJECT);
    assert_string_equal(err.text,
                        "content of a change: changed, at byte 6: expected an array of at most 128, found one of 129");
    free(content);
}

static void from_hex(const char *hex, uint8_t *ret, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned byte;

        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        ret[i] = (uint8_t)byte;
    }
}

/* Made with Python's hmac and hashlib. */
static void digests_are_those_of_other_programs(void **state)
{
    static const struct {
        const char *content, *hmac, *sha256;
    } vectors[] = {
        { "", "d38b42096d80f45f826b44a9d5607de72496a415d3f4a1a8c88e3bb9da8dc1cb",
          "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "f0133729c4163dede81e21cd47839256da58171238c8a0d874397c73b14e1e47",
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "a083d2ea54a88bc837426270850dff1af948e4c9fbfe2d8b3e266c0c0dd2a265",
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    };
    uint8_t salt[32], expected[32], made[32];

    (void)state;
    bytes_count_up(salt, sizeof salt, 0);
    for (int round = 0; round < 2; round++) /* the contexts are used again */
        for (size_t i = 0; i < COUNT(vectors); i++) {
            size_t length = strlen(vectors[i].content);

            from_hex(vectors[i].hmac, expected, sizeof expected);
            commitment_make(salt, vectors[i].content, length, made);
            assert_memory_equal(made, expected, sizeof made);
            from_hex(vectors[i].sha256, expected, sizeof expected);
            sha256(vectors[i].content, length, made);
            assert_memory_equal(made, expected, sizeof made);
        }
}

static void a_commitment_is_of_one_salt_and_one_content(void **state)
{
    struct change *change = changes_fixture(*state);
    char *content = arena_copy(*state, change->content.bytes, change->content.length);

    assert_true(change_committed(change));
    change->salt[31] ^= 1;
    assert_false(change_committed(change));
    change->salt[31] ^= 1;
    change->commitment[0] ^= 0x80;
    assert_false(change_committed(change));
    change->commitment[0] ^= 0x80;
    change->commitment[31] ^= 1;
    assert_false(change_committed(change));
    change->commitment[31] ^= 1;
    change->content.bytes = content;
    assert_true(change_committed(change));
    content[change->content.length - 1] ^= 1;
    assert_false(change_committed(change));
    content[change->content.length - 1] ^= 1;
    change->content.length--;
    assert_false(change_committed(change));
}

static void an_effect_comes_back(void **state)
{
    struct message feed = feed_fixture();
    const struct item *item = &feed.feed.items[0];
    struct buffer bytes = { 0 };
    struct item back = { 0 };
    struct error err = { 0 };

    effect_pack(OPERATION_UPDATE, item->fields, item->field_count, &item->reason, &bytes);
    assert_int_equal(effect_read(*state, bytes.bytes, bytes.length, &back, &err), 0);
    assert_int_equal(back.operation, OPERATION_UPDATE);
    assert_int_equal(back.field_count, item->field_count);
    for (int i = 0; i < back.field_count; i++) {
        same_text(back.fields[i].name, item->fields[i].name);
        same_value(back.fields[i].value, item->fields[i].value);
    }
    same_text(back.reason.verdict, item->reason.verdict);
    same_text(back.reason.by, item->reason.by);
    same_text(back.reason.rule, item->reason.rule);
    same_text(back.reason.ground, item->reason.ground);

    bytes.bytes[1] = OPERATION_COUNT;
    assert_int_equal(effect_read(*state, bytes.bytes, bytes.length, &back, &err), ERR_REJECT);
    assert_string_equal(err.text, "effect: operation, at byte 1: expected an integer from 0 to 4, found another");
    buffer_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_comes_back_from_its_content),
        cmocka_unit_test(a_change_without_actor_has_a_null_one),
        cmocka_unit_test(long_values_come_back),
        cmocka_unit_test(a_content_that_does_not_suit_its_operation_is_refused),
        cmocka_unit_test(keys_and_fields_have_their_limits),
        cmocka_unit_test(digests_are_those_of_other_programs),
        cmocka_unit_test(a_commitment_is_of_one_salt_and_one_content),
        cmocka_unit_test(an_effect_comes_back),
    };

    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
