/* cache.h: canonical records as the store has them, so that those which change often need not be looked up.
 *
 * What is here equals what is committed: the record, its metadata, and every row of selaras.link that names it. That
 * rests on three things. Only this broker writes those tables (it holds the lock). A batch is taken over when it is
 * committed, never before. And when a result is lost the whole core is dropped, this with it. What a batch does to
 * links is not repeated here: the records and keys it touches are forgotten. Bounded: the least recently used records
 * make room. */
#ifndef SELARAS_CACHE_H
#define SELARAS_CACHE_H

#include "daemon/batch.h"

struct cache;

/* `limit_bytes` 0 keeps nothing. */
struct cache *cache_new(size_t limit_bytes, const struct hash_key *hash_key);
void cache_free(struct cache **cache);

/* Answers what it can of batch->wanted (keys and records) into batch->known and takes it out of `wanted`. */
void cache_answer(struct cache *cache, struct batch *batch);
/* Takes over a batch that is committed: what was found for it and what it has written. */
void cache_keep(struct cache *cache, const struct batch *batch);

/* Forgets everything. */
void cache_clear(struct cache *cache);

/* The block and local key by which an item at `position` reaches the agency's row of this record, borrowed until the
 * next cache_keep(); both of length 0 when it has none. False: the record is not here. */
bool cache_key_at(const struct cache *cache, uint64_t record, uint16_t agency, feed_position position,
                  struct text *ret_block, struct text *ret);

#endif
