/* Any bytes as a leaf (libFuzzer). What is read is the only spelling of its entry. */
#include "proto/entry.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

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
