/* The examples of PROTOCOL.md, section 9: read, and packed again to the same bytes. */
#include "proto/entry.h"
#include "proto/message.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXAMPLE_BYTES_MAX = 4096 };

struct example {
    char name[32];
    uint8_t bytes[EXAMPLE_BYTES_MAX];
    size_t length;
    uint8_t hash[32]; /* told in the text above it */
};

/* Beside this file, wherever the build runs; or where the environment says. */
static FILE *protocol_open(void)
{
    const char *told = getenv("PROTOCOL_MD"), *slash = strrchr(__FILE__, '/');
    char path[4096];
    FILE *file;

    snprintf(path, sizeof path, "%.*sPROTOCOL.md", slash ? (int)(slash - __FILE__ + 1) : 0, __FILE__);
    file = fopen(told ? told : path, "r");
    if (!file)
        fail_msg("cannot open %s: set PROTOCOL_MD to proto/PROTOCOL.md", told ? told : path);
    return file;
}

/* Appends the hexadecimal pairs at the beginning of a line: one space between them, two before the reading. */
static void line_read(const char *line, struct example *example)
{
    unsigned byte;
    int used = 0;

    while (sscanf(line, "%2x%n", &byte, &used) == 1 && used == 2) {
        assert_true(example->length < sizeof example->bytes);
        example->bytes[example->length++] = (uint8_t)byte;
        line += 2;
        if (line[0] != ' ' || line[1] == ' ')
            return;
        line++;
    }
    assert_string_equal(line, "\n");
}

/* The next example of the section, or false when there is none. */
static bool example_read(FILE *file, struct example *ret)
{
    char line[512];
    bool section = ret->name[0] != '\0'; /* the heading of this one was read with the one before */

    ret->length = 0;
    while (fgets(line, sizeof line, file)) {
        if (strcmp(line, "## 9. Examples\n") == 0)
            section = true;
        else if (section && sscanf(line, "### %31s", ret->name) == 1)
            break;
    }
    if (feof(file))
        return false;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "    ", 4) == 0)
            line_read(line + 4, ret);
        else if (ret->length > 0)
            return true; /* the empty line behind it */
        else if (line[0] == '`')
            for (int i = 0; i < 32; i++)
                assert_int_equal(sscanf(line + 1 + 2 * i, "%2hhx", &ret->hash[i]), 1);
    }
    return ret->length > 0;
}

/* Each change's content is looked into, packed again, and covered by the commitment that is shown. */
static void changes_check(struct arena *arena, const struct changes *changes)
{
    struct error err = { 0 };

    assert_true(changes->piece_count > 0 && changes->pieces[0].change_count > 0);
    for (uint32_t i = 0; i < changes->piece_count; i++)
        for (uint32_t j = 0; j < changes->pieces[i].change_count; j++) {
            struct change change = changes->pieces[i].changes[j];
            struct text content = change.content;

            assert_true(change_committed(&change));
            if (change_decode(arena, &change, &err) < 0)
                fail_msg("%s", err.text);
            change_encode(arena, &change);
            assert_int_equal(change.content.length, content.length);
            assert_memory_equal(change.content.bytes, content.bytes, content.length);
        }
}

static void message_check(struct arena *arena, const struct example *example, enum message_kind kind)
{
    struct message message;
    struct buffer again = { 0 };
    struct error err = { 0 };

    if (message_read(arena, example->bytes, example->length, &message, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(message.kind, kind);
    if (kind == MESSAGE_CHANGES)
        changes_check(arena, &message.changes);
    message_pack(&message, &again);
    assert_int_equal(again.length, example->length);
    assert_memory_equal(again.bytes, example->bytes, example->length);
    buffer_free(&again);
}

static void leaf_check(struct arena *arena, const struct example *example)
{
    struct entry entry;
    struct error err = { 0 };
    uint8_t hash[32];

    if (entry_read(arena, example->bytes, example->length, &entry, &err) < 0)
        fail_msg("%s", err.text);
    leaf_hash(example->bytes, example->length, hash);
    assert_memory_equal(hash, example->hash, sizeof hash);
}

static enum message_kind kind_named(const char *name)
{
    for (int kind = MESSAGE_HELLO; kind < MESSAGE_KIND_COUNT; kind++)
        if (strcmp(message_name((enum message_kind)kind), name) == 0)
            return (enum message_kind)kind;
    return MESSAGE_NONE;
}

static bool is_reserved(int kind)
{
    return kind == MESSAGE_REVIEW || kind == MESSAGE_CHECKPOINT || kind == MESSAGE_COSIGN;
}

static void the_examples_of_the_protocol_are_what_we_pack(void **state)
{
    struct arena *arena = arena_new();
    struct example example = { 0 };
    bool seen[MESSAGE_KIND_COUNT] = { false };
    FILE *file = protocol_open();

    (void)state;
    while (example_read(file, &example)) {
        enum message_kind kind = kind_named(example.name);

        if (kind != MESSAGE_NONE)
            message_check(arena, &example, kind);
        else if (strcmp(example.name, "leaf") == 0)
            leaf_check(arena, &example);
        else
            fail_msg("PROTOCOL.md has an example of %s, which this test does not know", example.name);
        seen[kind] = true; /* the leaf at MESSAGE_NONE */
    }
    for (int kind = MESSAGE_NONE; kind < MESSAGE_KIND_COUNT; kind++)
        if (!seen[kind] && !is_reserved(kind))
            fail_msg("PROTOCOL.md has no example of %s",
                     kind == MESSAGE_NONE ? "a leaf" : message_name((enum message_kind)kind));
    fclose(file);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_protocol_are_what_we_pack),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
