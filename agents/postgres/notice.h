/* notice.h: what an agency's own people are told when something of theirs was put back (selaras.notice). */
#ifndef SELARAS_NOTICE_H
#define SELARAS_NOTICE_H

#include "agents/postgres/apply_sql.h"

/* Queues the notices of a row that carries reasons, to run before the row is written: they read what the agency's
 * people had there. Fields that hold the value already are left out. Returns how many statements were queued. */
uint32_t notice_queue(struct pg *pg, const struct mapping *mapping, const struct inspection *inspection,
                      const struct apply_row *row);

#endif
