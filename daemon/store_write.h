/* store_write.h: one batch as one transaction. For the store's own files alone. */
#ifndef SELARAS_STORE_WRITE_H
#define SELARAS_STORE_WRITE_H

#include "daemon/store_sql.h"

/* Queues BEGIN to COMMIT on the writer, or so much of it as the batch is; the caller ends the unit. */
void store_write_batch(struct store *store, const struct batch *batch);
/* store_holds.c */
void store_write_holds(struct store *store, const struct batch *batch);

#endif
