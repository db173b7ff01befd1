#include "proto/entry.h"
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

static void assert_hex(const void *bytes, size_t length, const char *expected)
{
    char *hex = calloc(1, 2 * length + 1);

    assert_non_null(hex);
    for (size_t i = 0; i < length; i++)
        sprintf(hex + 2 * i, "%02x", ((const uint8_t *)bytes)[i]);
    assert_string_equal(hex, expected);
    free(hex);
}

/* A leaf never changes: these bytes are in ledgers. Checked against Python's msgpack and hashlib. */
static void a_leaf_has_the_bytes_it_always_had(void **state)
{
    static const struct {
        const char *leaf, *hash;
    } golden[] = {
        { "dc001101cf0001000000125f09cf000660aaf5ee38ec02a664696e6b65739303cf000000016b374d9029cf0001000000"
          "125f02cf000660aaf5ee35c092d1fb50cd015ea87265736964656e744d4ecf0001000000125f03029293a8656c696769"
          "626c6505ab6e6f7420616c6c6f77656493a570686f6e6501a56f776e65720cc420c0c1c2c3c4c5c6c7c8c9cacbcccdce"
          "cfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
          "3724449fa82c509eb7043c4a5b0dd0488ef2994dd7f2da8ef101c05a4a545f9f" },
        { "dc001101cf0001000000000000cf000660aaf5ee35c001a0c0c0c0c0a0000000009000c0",
          "d32cdffe765e2092b226fa567ee5c6ebf8168c4dc47f71c0f905c63b19cc3406" },
        { "dc001101cf0001000000125f09cf000660aaf5ee38ec02a664696e6b65739303cf000000016b374d9029c0cf000660aa"
          "f5ee35c0c0a87265736964656e744d4ecf0001000000125f03029293a8656c696769626c6505ab6e6f7420616c6c6f77"
          "656493a570686f6e6501a56f776e65720cc420c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdc"
          "dddedf",
          "8e562f829267d28178083fa3a284a193d2d896770db326d02cc875e6480b9c46" },
    };
    struct entry entries[FIXTURE_MAX];
    size_t count = entries_fixture(entries);

    (void)state;
    assert_int_equal(count, COUNT(golden));
    for (size_t i = 0; i < count; i++) {
        struct buffer leaf = { 0 };
        uint8_t hash[32];

        entry_pack(&entries[i], &leaf);
        assert_hex(leaf.bytes, leaf.length, golden[i].leaf);
        leaf_hash(leaf.bytes, leaf.length, hash);
        assert_hex(hash, sizeof hash, golden[i].hash);
        buffer_free(&leaf);
    }
}

static void same_text(struct text left, struct text right)
{
    assert_int_equal(left.length, right.length);
    if (left.length > 0)
        assert_memory_equal(left.bytes, right.bytes, left.length);
}

#define SAME(field) assert_int_equal(left->field, right->field)

static void same_entry(const struct entry *left, const struct entry *right)
{
    SAME(position);
    SAME(time_us);
    SAME(kind);
    same_text(left->agency, right->agency);
    SAME(sourced);
    SAME(source.incarnation);
    SAME(source.lsn);
    SAME(source.number);
    SAME(nothing_seen);
    SAME(base);
    SAME(commit_time_us);
    SAME(clock_known);
    SAME(clock_offset_us);
    SAME(clock_uncertainty_us);
    same_text(left->type, right->type);
    SAME(record);
    SAME(other_record);
    SAME(refers);
    SAME(operation);
    SAME(field_count);
    for (int i = 0; i < left->field_count; i++) {
        same_text(left->fields[i].name, right->fields[i].name);
        SAME(fields[i].verdict);
        same_text(left->fields[i].rule, right->fields[i].rule);
    }
    SAME(catalog_version);
    assert_memory_equal(left->commitment, right->commitment, sizeof left->commitment);
}

static void every_field_of_an_entry_comes_back(void **state)
{
    struct entry entries[FIXTURE_MAX];
    size_t count = entries_fixture(entries);

    for (size_t i = 0; i < count; i++) {
        struct buffer leaf = { 0 };
        struct entry back;
        struct error err = { 0 };

        entry_pack(&entries[i], &leaf);
        if (entry_read(*state, leaf.bytes, leaf.length, &back, &err) < 0)
            fail_msg("%s", err.text);
        same_entry(&entries[i], &back);
        buffer_free(&leaf);
    }
}

/* What is not set must not leak into the bytes: two brokers would write two leaves of one entry. */
static void what_an_entry_does_not_have_leaves_no_trace(void **state)
{
    struct entry entries[FIXTURE_MAX], dirty;
    struct buffer clean_leaf = { 0 }, dirty_leaf = { 0 };

    (void)state;
    entries_fixture(entries);
    dirty = entries[1];
    dirty.source = (struct position){ 1, 2, 3 };
    dirty.base = dirty.commit_time_us = 4;
    dirty.clock_offset_us = dirty.clock_uncertainty_us = 5;
    entry_pack(&entries[1], &clean_leaf);
    entry_pack(&dirty, &dirty_leaf);
    assert_int_equal(clean_leaf.length, dirty_leaf.length);
    assert_memory_equal(clean_leaf.bytes, dirty_leaf.bytes, clean_leaf.length);
    buffer_free(&clean_leaf);
    buffer_free(&dirty_leaf);
}

/* The opening, byte by byte, with one thing wrong. */
static void a_leaf_that_is_not_one_is_refused(void **state)
{
    static const struct {
        size_t at; /* which byte is another */
        const char *byte;
        const char *problem;
    } wrongs[] = {
        { 2, "\x10", "leaf: at byte 0: expected an array of 17, found one of 16" },
        { 3, "\x02", "leaf: format, at byte 3: expected an integer from 1 to 1, found another" },
        { 22, "\x00", "leaf: kind, at byte 22: expected an integer from 1 to 23, found another" },
        { 22, "\x18", "leaf: kind, at byte 22: expected an integer from 1 to 23, found another" },
        { 22, "\x0a", "leaf: kind, at byte 22: this kind is reserved" },
        { 25, "\x01", "leaf: base, at byte 25: expected nil, found an integer" },
        { 26, "\x01", "leaf: commit-time, at byte 26: expected nil, found an integer" },
        { 32, "\x05", "leaf: operation, at byte 32: expected an integer from 0 to 4, found another" },
        { 35, "\xc3", "leaf: commitment, at byte 35: expected bin, found true" },
    };
    struct entry entries[FIXTURE_MAX];

    entries_fixture(entries);
    for (size_t i = 0; i < COUNT(wrongs); i++) {
        struct buffer leaf = { 0 };
        struct entry back = { .kind = ENTRY_CLOSED };
        struct error err = { 0 };

        entry_pack(&entries[1], &leaf);
        leaf.bytes[wrongs[i].at] = *wrongs[i].byte;
        assert_int_equal(entry_read(*state, leaf.bytes, leaf.length, &back, &err), ERR_REJECT);
        assert_string_equal(err.text, wrongs[i].problem);
        assert_int_equal(back.kind, ENTRY_CLOSED); /* set on success only */
        buffer_free(&leaf);
    }
}

/* [1 ...] with the text "" in two bytes: well-formed MessagePack, but a second spelling of the same entry. */
static void a_second_spelling_of_an_entry_is_refused(void **state)
{
    struct entry entries[FIXTURE_MAX], back;
    struct buffer leaf = { 0 };
    struct error err = { 0 };
    char longer[256];

    entries_fixture(entries);
    entry_pack(&entries[1], &leaf);
    memcpy(longer, leaf.bytes, 23);
    bytes_put(longer + 23, "\xd9\x00", 2); /* agency */
    memcpy(longer + 25, leaf.bytes + 24, leaf.length - 24);
    assert_int_equal((uint8_t)leaf.bytes[23], 0xa0);
    assert_int_equal(entry_read(*state, longer, leaf.length + 1, &back, &err), ERR_REJECT);
    assert_string_equal(err.text, "leaf: not in the one encoding that an entry has (PROTOCOL 8)");
    buffer_free(&leaf);
}

static void a_leaf_has_65535_bytes_at_most(void **state)
{
    char *bytes = calloc(1, 65536);
    struct entry back;
    struct error err = { 0 };

    assert_non_null(bytes);
    assert_int_equal(entry_read(*state, bytes, 65536, &back, &err), ERR_REJECT);
    assert_string_equal(err.text, "leaf: 65536 bytes are more than the 65535 that an entry may have");
    free(bytes);
}

/* RFC 6962 section 2.1, vectors of certificate transparency. */
static void a_leaf_is_hashed_as_certificate_transparency_does(void **state)
{
    uint8_t hash[32];

    (void)state;
    leaf_hash("L123456", 7, hash);
    assert_hex(hash, sizeof hash, "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56");
    leaf_hash("", 0, hash);
    assert_hex(hash, sizeof hash, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
}

static void kinds_and_verdicts_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < ENTRY_KIND_COUNT; i++)
        assert_non_null(entry_kind_name((enum entry_kind)i));
    for (int i = 0; i < VERDICT_COUNT; i++)
        assert_non_null(verdict_name((enum verdict)i));
    assert_string_equal(entry_kind_name(ENTRY_LOAD_START), "load start");
    assert_string_equal(verdict_name(VERDICT_PUT_BACK), "put back");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leaf_has_the_bytes_it_always_had),
        cmocka_unit_test(every_field_of_an_entry_comes_back),
        cmocka_unit_test(what_an_entry_does_not_have_leaves_no_trace),
        cmocka_unit_test(a_leaf_that_is_not_one_is_refused),
        cmocka_unit_test(a_second_spelling_of_an_entry_is_refused),
        cmocka_unit_test(a_leaf_has_65535_bytes_at_most),
        cmocka_unit_test(a_leaf_is_hashed_as_certificate_transparency_does),
        cmocka_unit_test(kinds_and_verdicts_have_names),
    };

    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
