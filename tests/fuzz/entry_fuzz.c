/* Any bytes as a leaf. What is read is the only spelling of its entry. */
#include "proto/message_fixture.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

void fuzz_seeds(void)
{
    struct entry entries[FIXTURE_MAX];
    size_t count = entries_fixture(entries);

    for (size_t i = 0; i < count; i++) {
        scoped(buffer_free) struct buffer leaf = { 0 };

        entry_pack(&entries[i], &leaf);
        fuzz_seed(leaf.bytes, leaf.length);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    scoped(arena_free) struct arena *arena = arena_new();
    scoped(buffer_free) struct buffer leaf = { 0 };
    struct entry entry;
    struct error err;

    if (entry_read(arena, bytes, length, &entry, &err) < 0)
        return 0;
    entry_pack(&entry, &leaf);
    if (leaf.length != length || memcmp(leaf.bytes, bytes, length) != 0)
        abort();
    return 0;
}
