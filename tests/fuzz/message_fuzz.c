/* Any bytes as a frame. What is read must pack to bytes that read and pack the same again: else two peers
 * would understand two things. */
#include "proto/message_fixture.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void sure(bool so)
{
    if (!so)
        abort();
}

/* The content is ours to look into: the change's own encoding must be stable too. */
static void change_fuzz(struct arena *arena, struct change change)
{
    struct error err;
    struct text content;

    if (change_decode(arena, &change, &err) < 0)
        return;
    change_encode(arena, &change);
    content = change.content;
    sure(change_decode(arena, &change, &err) == 0);
    change_encode(arena, &change);
    sure(change.content.length == content.length && memcmp(change.content.bytes, content.bytes, content.length) == 0);
}

static void message_fuzz(struct arena *arena, const struct message *message)
{
    scoped(buffer_free) struct buffer first = { 0 };
    scoped(buffer_free) struct buffer second = { 0 };
    struct message back;
    struct error err;

    if (message->kind == MESSAGE_HELLO && message->hello.version != PROTOCOL_VERSION)
        return;
    message_pack(message, &first);
    sure(message_read(arena, first.bytes, first.length, &back, &err) == 0);
    message_pack(&back, &second);
    sure(first.length == second.length && memcmp(first.bytes, second.bytes, first.length) == 0);
    if (message->kind == MESSAGE_CHANGES)
        for (uint32_t i = 0; i < message->changes.piece_count; i++)
            for (uint32_t j = 0; j < message->changes.pieces[i].change_count; j++)
                change_fuzz(arena, message->changes.pieces[i].changes[j]);
}

/* Frames, and what stands inside them. */
void fuzz_seeds(void)
{
    scoped(arena_free) struct arena *arena = arena_new();
    struct message messages[FIXTURE_MAX];
    struct change *changes = changes_fixture(arena);
    size_t count = messages_fixture(arena, messages);

    for (size_t i = 0; i < count; i++) {
        scoped(buffer_free) struct buffer frame = { 0 };

        message_pack(&messages[i], &frame);
        fuzz_seed(frame.bytes, frame.length);
    }
    for (int i = 0; i < 4; i++)
        fuzz_seed(changes[i].content.bytes, changes[i].content.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    scoped(arena_free) struct arena *arena = arena_new();
    struct message message;
    struct item effect;
    struct block *blocks;
    uint16_t block_count;
    struct error err;

    if (message_read(arena, bytes, length, &message, &err) == 0)
        message_fuzz(arena, &message);
    sure(arena_used(arena) <= 64 * length + 65536);
    /* Contents, effects and blocks on their own: rarely reached through a frame. */
    for (int operation = OPERATION_INSERT; operation < OPERATION_COUNT; operation++)
        change_fuzz(arena, (struct change){ .operation = (enum operation)operation,
                                            .content = { (const char *)bytes, (uint32_t)length } });
    if (effect_read(arena, bytes, length, &effect, &err) == 0)
        sure(effect.operation < OPERATION_COUNT);
    if (blocks_read(arena, bytes, length, &blocks, &block_count, &err) == 0)
        sure(block_count <= BLOCKS_MAX);
    return 0;
}
