/* recent.h: the last entries of the ledger, so that a reader which keeps up is fed without reading them back.
 *
 * What is here is committed, without a gap, and ends at the ledger's head. Bounded: the oldest batches make room.
 * Whatever takes away an entry's effect or reply (a redaction) must call recent_clear(). */
#ifndef SELARAS_RECENT_H
#define SELARAS_RECENT_H

#include "daemon/cache.h"

struct recent;

struct recent *recent_new(size_t limit_bytes);
void recent_free(struct recent **recent);
/* A batch is committed. */
void recent_add(struct recent *recent, const struct batch *batch);
void recent_clear(struct recent *recent);

/* Fills a scan as the store would, up to where the cache does not know by which key a row reaches its agency. False,
 * and nothing is filled: not even one source transaction is known whole; the store must be asked. */
bool recent_scan(const struct recent *recent, const struct cache *cache, struct scan *scan);

#endif
