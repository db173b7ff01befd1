/* fuzz.h: what a fuzz target is made of. The same file runs under libFuzzer (clang -fsanitize=fuzzer, without replay.c)
 * and, with replay.c, as a plain program that tries a bounded number of mutated seeds: that is what ./check does. */
#ifndef SELARAS_FUZZ_H
#define SELARAS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* Gives replay.c the target's well-formed inputs, made by the codecs themselves: fuzz_seed() once for each. */
void fuzz_seeds(void);
void fuzz_seed(const void *bytes, size_t length);

#endif
