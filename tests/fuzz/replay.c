/* replay.c: runs a fuzz target over its seeds and over mutations of them: TARGET [COUNT [FIRST [SEED]]].
 *
 * Input number N of a seed is always the same bytes, whatever came before: when one fails, its number and bytes are
 * said, and `TARGET 1 N SEED` does it again. */
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEEDS_MAX = 64, INPUT_BYTES_MAX = 16 * 1024, MUTATIONS_MAX = 6, SHOWN_BYTES_MAX = 512 };

struct input {
    uint8_t bytes[INPUT_BYTES_MAX];
    size_t length;
};

static struct input seeds[SEEDS_MAX];
static int seed_count;
static struct input now;
static uint64_t now_number, chosen_seed = 1;

void fuzz_seed(const void *bytes, size_t length)
{
    assert(seed_count < SEEDS_MAX && length <= INPUT_BYTES_MAX);
    memcpy(seeds[seed_count].bytes, bytes, length);
    seeds[seed_count++].length = length;
}

/* splitmix64 */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t below(uint64_t *state, size_t bound)
{
    return bound > 0 ? (size_t)(draw(state) % bound) : 0;
}

/* Puts `length` bytes in at `at`, as far as there is room. */
static void insert(struct input *input, size_t at, const uint8_t *bytes, size_t length)
{
    if (length > INPUT_BYTES_MAX - input->length)
        length = INPUT_BYTES_MAX - input->length;
    memmove(input->bytes + at + length, input->bytes + at, input->length - at);
    memmove(input->bytes + at, bytes, length);
    input->length += length;
}

static void cut(struct input *input, size_t at, size_t length)
{
    memmove(input->bytes + at, input->bytes + at + length, input->length - at - length);
    input->length -= length;
}

static void mutate(struct input *input, uint64_t *state)
{
    /* Where formats change their mind: lengths, signs, tags of MessagePack, ends of text. */
    static const uint8_t edges[] = { 0x00, 0x01, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2,
                                     0xc3, 0xc4, 0xc6, 0xca, 0xcc, 0xcf, 0xd0, 0xd3, 0xd9, 0xdb, 0xdc,
                                     0xdd, 0xdf, 0xe0, 0xff, '\n', ' ',  '"',  '#',  '=',  '-' };
    const struct input *other = &seeds[below(state, (size_t)seed_count)];
    size_t at = below(state, input->length + 1), length = 1 + below(state, 8), from;
    uint8_t byte = (uint8_t)draw(state);

    switch (draw(state) % 7) {
    case 0:
        if (at < input->length)
            input->bytes[at] ^= (uint8_t)(1u << (byte % 8));
        break;
    case 1:
        if (at < input->length)
            input->bytes[at] = edges[byte % sizeof edges];
        break;
    case 2:
        if (at < input->length)
            input->bytes[at] = byte;
        break;
    case 3:
        insert(input, at, &edges[byte % sizeof edges], 1);
        break;
    case 4:
        cut(input, at, length < input->length - at ? length : input->length - at);
        break;
    case 5: /* a piece of another seed */
        from = below(state, other->length + 1);
        length = below(state, other->length - from + 1);
        insert(input, at, other->bytes + from, length);
        break;
    default:
        input->length = at;
    }
}

/* The seeds themselves come first. */
static void make(struct input *input, uint64_t number)
{
    uint64_t state = chosen_seed * UINT64_C(0x2545f4914f6cdd1d) + number;
    size_t mutations;

    if (number < (uint64_t)seed_count) {
        *input = seeds[number];
        return;
    }
    *input = seeds[below(&state, (size_t)seed_count)];
    mutations = 1 + below(&state, MUTATIONS_MAX);
    for (size_t i = 0; i < mutations; i++)
        mutate(input, &state);
}

static char heading[128]; /* made before each input: a signal's handler may not */
static size_t heading_length;

/* Says which input it was: by abort() or a sanitizer's death. */
static void say(void)
{
    static const char digits[] = "0123456789abcdef";
    static char hex[2 * SHOWN_BYTES_MAX + 1];
    size_t length = 0;

    for (size_t i = 0; i < now.length && i < SHOWN_BYTES_MAX; i++) {
        hex[length++] = digits[now.bytes[i] >> 4];
        hex[length++] = digits[now.bytes[i] & 15];
    }
    hex[length++] = '\n';
    if (write(STDERR_FILENO, heading, heading_length) < 0 || write(STDERR_FILENO, hex, length) < 0)
        _exit(1);
}

static void on_abort(int number)
{
    (void)number;
    say();
    _exit(1);
}

/* The sanitizers' own, when there are any. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

int main(int argc, char **argv)
{
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;

    if (argc > 3)
        chosen_seed = strtoull(argv[3], NULL, 10);
    signal(SIGABRT, on_abort);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(say);
    fuzz_seeds();
    for (now_number = first; now_number < first + count; now_number++) {
        uint8_t *copy;

        make(&now, now_number);
        heading_length =
            (size_t)snprintf(heading, sizeof heading, "input %" PRIu64 " of seed %" PRIu64 ", %zu bytes: ", now_number,
                             chosen_seed, now.length);
        copy = malloc(now.length ? now.length
                                 : 1); /* as long as the input, so that a sanitizer sees what reads beyond it */
        if (!copy)
            abort();
        memcpy(copy, now.bytes, now.length);
        LLVMFuzzerTestOneInput(copy, now.length);
        free(copy);
    }
    printf("%" PRIu64 " inputs, %d seeds\n", count, seed_count);
    return 0;
}
