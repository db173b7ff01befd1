/* SHA-256 and commitments, through libcrypto. EVP looks an algorithm up at each use unless it is fetched once, and a
 * context is costly to make: both are kept for the life of the process, which has one thread. */
#include "proto/entry.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* Nothing here can fail but for want of memory or of a library that is whole. */
static void sure(bool done)
{
    if (!done)
        abort();
}

/* A context that has SHA-256 set up, ready for its first bytes. */
static EVP_MD_CTX *sha256_start(void)
{
    static EVP_MD_CTX *context;

    if (!context) {
        EVP_MD *md = EVP_MD_fetch(NULL, "SHA256", NULL);

        context = EVP_MD_CTX_new();
        sure(md && context && EVP_DigestInit_ex2(context, md, NULL));
        EVP_MD_free(md); /* the context holds it */
        return context;
    }
    sure(EVP_DigestInit_ex2(context, NULL, NULL));
    return context;
}

static void sha256_end(EVP_MD_CTX *context, uint8_t ret[32])
{
    unsigned size;

    sure(EVP_DigestFinal_ex(context, ret, &size));
    assert(size == 32);
}

void sha256(const void *bytes, size_t length, uint8_t ret[32])
{
    EVP_MD_CTX *context = sha256_start();

    sure(EVP_DigestUpdate(context, bytes, length));
    sha256_end(context, ret);
}

void leaf_hash(const void *leaf, size_t length, uint8_t ret[32])
{
    EVP_MD_CTX *context = sha256_start();

    sure(EVP_DigestUpdate(context, "", 1)); /* 0x00: a leaf, never a node */
    sure(EVP_DigestUpdate(context, leaf, length));
    sha256_end(context, ret);
}

/* A context for HMAC-SHA256 that waits for its key. */
static EVP_MAC_CTX *hmac_context(void)
{
    static EVP_MAC_CTX *context;
    EVP_MAC *hmac;
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){ "SHA256" }, 0),
        OSSL_PARAM_construct_end(),
    };

    if (context)
        return context;
    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    sure(hmac);
    context = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac); /* the context holds it */
    sure(context && EVP_MAC_CTX_set_params(context, parameters));
    return context;
}

void commitment_make(const uint8_t salt[32], const void *content, size_t length, uint8_t ret[32])
{
    EVP_MAC_CTX *context = hmac_context();
    size_t size;

    sure(EVP_MAC_init(context, salt, 32, NULL));
    sure(EVP_MAC_update(context, content, length));
    sure(EVP_MAC_final(context, ret, &size, 32));
    assert(size == 32);
}

bool change_committed(const struct change *change)
{
    uint8_t commitment[32];

    commitment_make(change->salt, change->content.bytes, change->content.length, commitment);
    return memcmp(commitment, change->commitment, sizeof commitment) == 0;
}
