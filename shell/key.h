/* key.h: CURVE key files: two lines, "public HEX" and "secret HEX", mode 0600.
 *
 * Hexadecimal, because Z85's letters mean things to a shell. Secrets are wiped when they are done with. */
#ifndef SELARAS_KEY_H
#define SELARAS_KEY_H

#include "proto/error.h"

#include <stdint.h>

struct key {
    uint8_t public_key[32];
    uint8_t secret_key[32];
};

/* Makes a pair from the system's randomness. */
void key_make(struct key *ret);
/* Writes a new file with mode 0600, synced. ERR_REJECT when it exists already. */
must_check int key_write(const char *path, const struct key *key, struct error *err);
/* ERR_STOP when it cannot be read, others may read it, or the secret does not belong to the public key. */
must_check int key_read(const char *path, struct key *ret, struct error *err);
void key_wipe(struct key *key);
/* 64 hexadecimal digits and NUL. */
void key_hex(const uint8_t key[32], char ret[65]);
must_check int key_parse(const char *hex, uint8_t ret[32], struct error *err);

#endif
