/* Everything that reads untrusted bytes, against the same attacks: cut short, counts without elements, values of the
 * wrong type. The rule behind all: what is read packs back to the same bytes, and whatever is not so is refused. */
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

typedef int reread_function(struct arena *arena, const void *bytes, size_t length, struct buffer *again,
                            struct error *err);

static int reread_message(struct arena *arena, const void *bytes, size_t length, struct buffer *again,
                          struct error *err)
{
    struct message message;

    if (message_read(arena, bytes, length, &message, err) < 0)
        return err->code;
    if (message.kind == MESSAGE_HELLO && message.hello.version != PROTOCOL_VERSION)
        return error_set(err, ERR_REJECT, "hello message: another version");
    message_pack(&message, again);
    return 0;
}

static int reread_content(struct arena *arena, enum operation operation, const void *bytes, size_t length,
                          struct buffer *again, struct error *err)
{
    struct change change = { .operation = operation, .content = { bytes, (uint32_t)length } };

    if (change_decode(arena, &change, err) < 0)
        return err->code;
    change_encode(arena, &change);
    again->bytes = malloc(change.content.length);
    assert_non_null(again->bytes);
    memcpy(again->bytes, change.content.bytes, change.content.length);
    again->length = change.content.length;
    return 0;
}

static int reread_update(struct arena *arena, const void *bytes, size_t length, struct buffer *again, struct error *err)
{
    return reread_content(arena, OPERATION_UPDATE, bytes, length, again, err);
}

static int reread_insert(struct arena *arena, const void *bytes, size_t length, struct buffer *again, struct error *err)
{
    return reread_content(arena, OPERATION_INSERT, bytes, length, again, err);
}

static int reread_delete(struct arena *arena, const void *bytes, size_t length, struct buffer *again, struct error *err)
{
    return reread_content(arena, OPERATION_DELETE, bytes, length, again, err);
}

static int reread_effect(struct arena *arena, const void *bytes, size_t length, struct buffer *again, struct error *err)
{
    struct item item;

    if (effect_read(arena, bytes, length, &item, err) < 0)
        return err->code;
    effect_pack(item.operation, item.fields, item.field_count, &item.reason, again);
    return 0;
}

static int reread_blocks(struct arena *arena, const void *bytes, size_t length, struct buffer *again, struct error *err)
{
    struct block *blocks;
    uint16_t count;

    if (blocks_read(arena, bytes, length, &blocks, &count, err) < 0)
        return err->code;
    blocks_pack(blocks, count, again);
    return 0;
}

static int reread_entry(struct arena *arena, const void *bytes, size_t length, struct buffer *again, struct error *err)
{
    struct entry entry;

    if (entry_read(arena, bytes, length, &entry, err) < 0)
        return err->code;
    entry_pack(&entry, again);
    return 0;
}

/* Well-formed bytes and their reader. */
struct sample {
    reread_function *reread;
    struct buffer bytes;
};

enum { SAMPLES_MAX = 40, VALUES_MAX = 400 };

struct fixture {
    struct arena *arena; /* of the samples */
    struct arena *scratch;
    struct sample samples[SAMPLES_MAX];
    size_t count;
};

static struct buffer *sample_add(struct fixture *fixture, reread_function *reread)
{
    struct sample *sample = &fixture->samples[fixture->count++];

    assert_true(fixture->count <= SAMPLES_MAX);
    sample->reread = reread;
    return &sample->bytes;
}

static void contents_add(struct fixture *fixture)
{
    static reread_function *const rereads[] = { reread_update, reread_insert, reread_delete };
    const struct change *changes = changes_fixture(fixture->arena);

    for (size_t i = 0; i < COUNT(rereads); i++) {
        struct buffer *bytes = sample_add(fixture, rereads[i]);

        bytes->bytes = malloc(changes[i].content.length);
        assert_non_null(bytes->bytes);
        memcpy(bytes->bytes, changes[i].content.bytes, changes[i].content.length);
        bytes->length = changes[i].content.length;
    }
}

static int setup(void **state)
{
    static struct fixture fixture;
    struct message messages[FIXTURE_MAX], feed = feed_fixture(), hello = hello_fixture();
    struct entry entries[FIXTURE_MAX];
    size_t count;

    fixture = (struct fixture){ .arena = arena_new(), .scratch = arena_new() };
    count = messages_fixture(fixture.arena, messages);
    for (size_t i = 0; i < count; i++)
        message_pack(&messages[i], sample_add(&fixture, reread_message));
    count = entries_fixture(entries);
    for (size_t i = 0; i < count; i++)
        entry_pack(&entries[i], sample_add(&fixture, reread_entry));
    contents_add(&fixture);
    effect_pack(OPERATION_UPDATE, feed.feed.items[0].fields, feed.feed.items[0].field_count, &feed.feed.items[0].reason,
                sample_add(&fixture, reread_effect));
    effect_pack(OPERATION_NONE, NULL, 0, &(struct reason){ 0 }, sample_add(&fixture, reread_effect));
    blocks_pack(hello.hello.blocks, hello.hello.block_count, sample_add(&fixture, reread_blocks));
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < fixture->count; i++)
        buffer_free(&fixture->samples[i].bytes);
    arena_free(&fixture->arena);
    arena_free(&fixture->scratch);
    return 0;
}

/* Whether `bytes` are read. If so they must pack back to `expected`. They are read where they just fit, so that the
 * sanitizer sees a step beyond them; and what is allocated stays in proportion. */
static bool is_read(struct fixture *fixture, const struct sample *sample, const struct buffer *bytes,
                    const struct buffer *expected)
{
    char *exact = malloc(bytes->length > 0 ? bytes->length : 1);
    struct buffer again = { 0 };
    struct error err = { 0 };
    bool read;

    assert_non_null(exact);
    if (bytes->length > 0)
        memcpy(exact, bytes->bytes, bytes->length);
    arena_reset(fixture->scratch);
    read = sample->reread(fixture->scratch, exact, bytes->length, &again, &err) == 0;
    assert_true(arena_used(fixture->scratch) <= 16 * bytes->length + 4096);
    if (!read) {
        assert_int_equal(err.code, ERR_REJECT);
        assert_true(strlen(err.text) > 0);
    } else if (!expected) {
        fail_msg("these bytes were read, and must not be");
    } else {
        assert_int_equal(again.length, expected->length);
        assert_memory_equal(again.bytes, expected->bytes, expected->length);
    }
    buffer_free(&again);
    free(exact);
    return read;
}

/* One value within packed bytes: its head, what follows it up to the next sibling, and for an array its count. */
struct span {
    size_t start, head_length, end;
    char shape; /* 'n'il, 'b'ool, 'i'nteger, 's'tr, bi'x', 'a'rray */
    uint64_t number;
};

/* The widths of what our packer writes. */
static struct span span_at(const struct buffer *buffer, size_t start)
{
    const uint8_t *at = (const uint8_t *)buffer->bytes + start;
    static const struct {
        char shape;
        uint8_t width;
    } heads[32] = {
        { 'n', 0 }, { 0, 0 },   { 'b', 0 }, { 'b', 0 }, { 'x', 1 }, { 'x', 2 }, { 'x', 4 }, { 0, 0 },
        { 0, 0 },   { 0, 0 },   { 0, 0 },   { 0, 0 },   { 'i', 1 }, { 'i', 2 }, { 'i', 4 }, { 'i', 8 },
        { 'i', 1 }, { 'i', 2 }, { 'i', 4 }, { 'i', 8 }, { 0, 0 },   { 0, 0 },   { 0, 0 },   { 0, 0 },
        { 0, 0 },   { 's', 1 }, { 's', 2 }, { 's', 4 }, { 'a', 2 }, { 'a', 4 }, { 0, 0 },   { 0, 0 },
    };
    struct span span = { start, 1, 0, 0, 0 };

    if (*at < 0x80 || *at >= 0xe0) {
        span.shape = 'i';
        span.number = (uint64_t)(int64_t)(int8_t)*at;
    } else if (*at < 0xc0) {
        span.shape = *at < 0xa0 ? 'a' : 's';
        span.number = *at & (*at < 0xa0 ? 0x0f : 0x1f);
    } else {
        span.shape = heads[*at - 0xc0].shape;
        for (int i = 1; i <= heads[*at - 0xc0].width; i++)
            span.number = span.number << 8 | at[i];
        span.head_length += heads[*at - 0xc0].width;
        if (*at == 0xd1) /* the one negative width in the samples */
            span.number |= ~UINT64_C(0xffff);
    }
    assert_true(span.shape != 0);
    span.end = start + span.head_length + (span.shape == 's' || span.shape == 'x' ? span.number : 0);
    return span;
}

/* Every value, in order, into `spans`. */
static size_t spans_list(const struct buffer *buffer, size_t start, struct span *spans, size_t count)
{
    struct span *span = &spans[count++];

    assert_true(count < VALUES_MAX);
    *span = span_at(buffer, start);
    if (span->shape == 'a')
        for (uint64_t i = 0; i < span->number; i++) {
            size_t first = count;

            count = spans_list(buffer, span->end, spans, count);
            span->end = spans[first].end;
        }
    return count;
}

/* `source` with the bytes from `start` to `end` replaced. */
static struct buffer spliced(const struct buffer *source, size_t start, size_t end, const void *with, size_t length)
{
    struct buffer result = { malloc(source->length + length), 0, 0 };

    assert_non_null(result.bytes);
    memcpy(result.bytes, source->bytes, start);
    memcpy(result.bytes + start, with, length);
    memcpy(result.bytes + start + length, source->bytes + end, source->length - end);
    result.length = source->length - (end - start) + length;
    return result;
}

static void what_is_packed_reads_back_the_same(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < fixture->count; i++)
        assert_true(is_read(fixture, &fixture->samples[i], &fixture->samples[i].bytes, &fixture->samples[i].bytes));
}

static void bytes_cut_anywhere_are_refused(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < fixture->count; i++)
        for (size_t length = 0; length < fixture->samples[i].bytes.length; length++) {
            struct buffer cut = { fixture->samples[i].bytes.bytes, length, 0 };

            assert_false(is_read(fixture, &fixture->samples[i], &cut, NULL));
        }
}

static void bytes_behind_the_end_are_refused(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < fixture->count; i++) {
        const struct buffer *good = &fixture->samples[i].bytes;
        struct buffer longer = spliced(good, good->length, good->length, "\x00", 1);

        assert_false(is_read(fixture, &fixture->samples[i], &longer, NULL));
        buffer_free(&longer);
    }
}

/* Each value in turn becomes each of these. Some are right where they stand; then they must come back as they are. */
static void a_value_of_another_type_is_refused_or_kept(void **state)
{
    static const struct text foreign[] = {
        TEXT("\xc0"),                                 /* nil */
        TEXT("\xc1"),                                 /* not MessagePack */
        TEXT("\xc2"),                                 /* false */
        TEXT("\xc3"),                                 /* true */
        TEXT("\x00"),                                 /* 0 */
        TEXT("\x7f"),                                 /* 127 */
        TEXT("\xff"),                                 /* -1 */
        TEXT("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), /* 2^64-1 */
        TEXT("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), /* -2^63 */
        TEXT("\xca\x3f\x80\x00\x00"),                 /* float */
        TEXT("\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"), /* double */
        TEXT("\x80"),                                 /* {} */
        TEXT("\x81\x01\x01"),                         /* {1: 1} */
        TEXT("\xd4\x01\x00"),                         /* ext */
        TEXT("\xd6\xff\x00\x00\x00\x00"),             /* MessagePack's timestamp, an ext too */
        TEXT("\xc7\x01\x01\x00"),                     /* ext 8 */
        TEXT("\xa0"),                                 /* "" */
        TEXT("\xa1x"),                                /* "x" */
        TEXT("\xa1X"),                                /* "X": text, but no name */
        TEXT("\xa3"
             "a\0b"),                                     /* NUL */
        TEXT("\xa2\xc3\x28"),                             /* not UTF-8 */
        TEXT("\xa3\xed\xa0\x80"),                         /* a surrogate */
        TEXT("\xd9\xff"),                                 /* text that is longer than what follows it */
        TEXT("\xdb\xff\xff\xff\xff"),                     /* text of 4 GiB */
        TEXT("\xc4\x00"),                                 /* empty bin */
        TEXT("\xc4\x01\x00"),                             /* bin of one byte */
        TEXT("\xc6\xff\xff\xff\xff"),                     /* bin of 4 GiB */
        TEXT("\x90"),                                     /* [] */
        TEXT("\x91\xc0"),                                 /* [nil] */
        TEXT("\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"), /* deep, and swallows what follows */
    };
    struct fixture *fixture = *state;
    struct span spans[VALUES_MAX];
    size_t refused = 0, kept = 0;

    for (size_t i = 0; i < fixture->count; i++) {
        const struct buffer *good = &fixture->samples[i].bytes;
        size_t count = spans_list(good, 0, spans, 0);

        for (size_t value = 0; value < count; value++)
            for (size_t f = 0; f < COUNT(foreign); f++) {
                struct buffer bad =
                    spliced(good, spans[value].start, spans[value].end, foreign[f].bytes, foreign[f].length);

                if (is_read(fixture, &fixture->samples[i], &bad, &bad))
                    kept++;
                else
                    refused++;
                buffer_free(&bad);
            }
    }
    assert_true(kept > 500 && refused > 4 * kept);
}

static void a_count_without_its_elements_is_refused(void **state)
{
    static const struct text counts[] = {
        TEXT("\xdd\xff\xff\xff\xff"), TEXT("\xdd\x00\xff\xff\xff"), TEXT("\xdd\x00\x01\x00\x00"),
        TEXT("\xdc\xff\xff"),         TEXT("\xdc\x00\x81"),
    };
    struct fixture *fixture = *state;
    struct span spans[VALUES_MAX];

    for (size_t i = 0; i < fixture->count; i++) {
        const struct buffer *good = &fixture->samples[i].bytes;
        size_t count = spans_list(good, 0, spans, 0);

        for (size_t value = 0; value < count; value++)
            for (size_t c = 0; c < COUNT(counts) && spans[value].shape == 'a'; c++) {
                size_t head = spans[value].start;
                struct buffer bad =
                    spliced(good, head, head + spans[value].head_length, counts[c].bytes, counts[c].length);

                assert_false(is_read(fixture, &fixture->samples[i], &bad, NULL));
                buffer_free(&bad);
            }
    }
}

/* PROTOCOL 2: integers may use any width. A leaf's may not: it has one encoding. */
static void wide_integers_are_read_except_in_a_leaf(void **state)
{
    struct fixture *fixture = *state;
    struct span spans[VALUES_MAX];

    for (size_t i = 0; i < fixture->count; i++) {
        const struct sample *sample = &fixture->samples[i];
        size_t count = spans_list(&sample->bytes, 0, spans, 0);

        for (size_t value = 0; value < count; value++) {
            char wide[9] = { (char)0xd3 };
            struct buffer wider;

            if (spans[value].shape != 'i')
                continue;
            for (int byte = 0; byte < 8; byte++)
                wide[1 + byte] = (char)(spans[value].number >> (56 - 8 * byte));
            wider = spliced(&sample->bytes, spans[value].start, spans[value].end, wide, sizeof wide);
            assert_int_equal(is_read(fixture, sample, &wider, &sample->bytes), sample->reread != reread_entry);
            buffer_free(&wider);
        }
    }
}

/* 155 bytes, 31 array32 within each other that claim 16 million elements each: makes msgpack-c reserve 15.9 GiB. */
static void nested_arrays_that_claim_millions_are_refused(void **state)
{
    struct fixture *fixture = *state;
    char bomb[155];
    struct buffer bytes = { bomb, sizeof bomb, 0 };

    for (size_t i = 0; i < sizeof bomb; i += 5)
        bytes_put(bomb + i, "\xdd\x00\xff\xff\xff", 5);
    for (size_t i = 0; i < fixture->count; i++)
        assert_false(is_read(fixture, &fixture->samples[i], &bytes, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_reads_back_the_same),
        cmocka_unit_test(bytes_cut_anywhere_are_refused),
        cmocka_unit_test(bytes_behind_the_end_are_refused),
        cmocka_unit_test(a_value_of_another_type_is_refused_or_kept),
        cmocka_unit_test(a_count_without_its_elements_is_refused),
        cmocka_unit_test(wide_integers_are_read_except_in_a_leaf),
        cmocka_unit_test(nested_arrays_that_claim_millions_are_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
