/* reveal.h: before personal values are shown whole, the ledger says who was shown them. */
#ifndef SELARAS_REVEAL_H
#define SELARAS_REVEAL_H

#include "cli/call.h"
#include "cli/query.h"

/* Has the broker write an entry of kind reveal: by whom (the login user, as the broker sees it) and `what`, which holds
 * no personal value. `type` and `record`: the one record it is about, or NULL and 0. Returns when that is committed;
 * when the broker is away or does not hear this user, nothing may be shown. */
must_check int reveal_record(const struct call *call, const char *type, uint64_t record, const char *what,
                             struct error *err);
/* What `selaras log` shows, for such an entry: how many entries, from which to which, chosen how. */
const char *reveal_of_ledger(struct arena *arena, const struct ledger_count *count, const struct ledger_filter *filter);

#endif
