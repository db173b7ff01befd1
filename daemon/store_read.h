/* store_read.h: what the store reads back: records, links, feed rows. For the store's own files alone. */
#ifndef SELARAS_STORE_READ_H
#define SELARAS_STORE_READ_H

#include "daemon/store_sql.h"

/* Adds the records of a result (as a lookup gives them) to batch->found, each once. ERR_STOP when one is not what
 * we wrote. */
must_check int read_records(struct batch *batch, const struct catalog_type *type, const PGresult *result,
                            struct error *err);
/* Adds links (agency, block, key, record, since, until) to a list of the batch. */
void read_links(struct arena *arena, const PGresult *result, struct link **links, uint32_t *count);
/* Observed rows (agency, block, key, body). */
void read_observed(struct arena *arena, const PGresult *result, struct observed_row **ret, uint32_t *ret_count);
/* What an agency had and has no more (record, block, key, base, since, empty). */
void read_had(struct arena *arena, const PGresult *result, struct found *found);
struct text read_text(struct arena *arena, const PGresult *result, int row, int column);

#endif
