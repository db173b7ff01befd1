/* decide.h: one batch, from what the agencies sent to what is written: the middle of the core. */
#ifndef SELARAS_DECIDE_H
#define SELARAS_DECIDE_H

#include "daemon/peer.h"

struct work;

/* Starts a batch when there is anything to do: takes what is staged and waiting, and says what must be looked up.
 * False: nothing to do. */
bool decide_start(struct broker *broker);
/* Everything was found: decides and fills batch->writes. */
enum decided {
    DECIDED,          /* it is to be stored */
    DECIDED_MORE,     /* more must be looked up first (batch->wanted says what) */
    DECIDED_NOTHING,  /* it is done with, and was a page of a preview */
    DECIDED_RESOLVED, /* it is done with, without anything to store: the next part has begun */
};
enum decided decide_found(struct broker *broker);
/* The work of a core that is dropped: an operator's request it has not answered, or NULL; and its memory. */
void *work_abandoned(struct work *work);
void work_free(struct work *work);
/* PostgreSQL refused the batch, and nothing of it is committed: what it took is taken again in smaller batches, until
 * there is one that holds nothing but what is refused, whose agency is then quarantined. The others go on. */
void decide_refused(struct broker *broker, const char *why);
/* It is committed: takes over what is now true, answers whoever waits, and ends the batch. True: it was a part of a
 * large transaction, and the next part has begun. */
bool decide_stored(struct broker *broker);

#endif
