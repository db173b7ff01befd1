/* Any bytes as a value of each type. What is read is canonical: reading it again gives the same bytes, and no other
 * spelling of them. */
#include "proto/value.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static const char *const spellings[] = {
    "Siti",
    "-9223372036854775808",
    "+00012",
    "150000.00",
    "-0.5",
    "1e3",
    "t",
    "false",
    "2026-11-20",
    "0001-01-01",
    "9999-12-31 23:59:59.999999",
    "2026-11-20 09:14:07+08",
    "2026-11-20T01:14:07.000812Z",
    "2024-02-29",
    "NaN",
    "\xc3\xa9",
};

void fuzz_seeds(void)
{
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
        fuzz_seed(spellings[i], strlen(spellings[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    scoped(arena_free) struct arena *arena = arena_new();
    unsigned scale = length > 0 ? bytes[0] % 5 : 0;

    for (int type = 0; type < VALUE_TYPE_COUNT; type++) {
        struct value value, again;
        struct error err;

        if (value_parse(arena, (enum value_type)type, scale, (const char *)bytes, length, &value, &err) < 0 ||
            value.state != VALUE_SET)
            continue;
        if (value_parse(arena, (enum value_type)type, scale, value.bytes, value.length, &again, &err) < 0 ||
            again.length != value.length || memcmp(again.bytes, value.bytes, value.length) != 0)
            abort();
    }
    return 0;
}
