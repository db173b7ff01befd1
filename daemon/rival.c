/* Two databases under one key: a copy that was started beside the one it was made from. The one that went on keeps the
 * session and is not harmed; the copy is turned away, and known by its newest fence row, which is older. */
#include "daemon/peer.h"

#include <string.h>

enum { ALIVE_MS = 15000 }; /* an agent pings every 5 s, and waits at most 10 s before it says hello again */

bool hello_is_of_a_copy(const struct agency_row *row, const struct hello *hello)
{
    const struct fence *fence = &hello->source.fence;

    if (hello->incarnation == 0 || hello->incarnation != row->incarnation || row->fence.seq == 0)
        return false;
    return fence->seq < row->fence.seq ||
           (fence->seq == row->fence.seq && memcmp(fence->token, row->fence.token, sizeof fence->token) != 0);
}

/* Whether the database that went on may still be there, for all we know. */
static bool may_be_alive(const struct broker *broker, const struct peer *peer)
{
    int64_t heard_ms = peer->heard_ms > broker->started_ms ? peer->heard_ms : broker->started_ms;

    return !peer->left && broker->now_ms - heard_ms < ALIVE_MS;
}

/* It is certain that another one goes on when it is heard after the copy has shown itself; until then the copy is asked
 * to wait, and if nobody else is heard it is no copy beside production but what production was restored from. */
const char *rival_refusal(struct broker *broker, struct peer *peer, const struct hello *hello)
{
    if (peer->row.state == STATE_QUARANTINED || peer->row.state == STATE_NEW || peer->quarantine_waits ||
        !hello_is_of_a_copy(&peer->row, hello) || !may_be_alive(broker, peer))
        return NULL;
    peer->contested = true;
    if (!peer->up || !peer->went_on)
        return "busy";
    peer->copy_at_us = broker->now_us;
    action_log(
        broker, LOG_LEVEL_WARN, peer,
        "an older copy of its database was turned away: it says hello under the same key, while the one that went "
        "on is connected. Find the copy and stop its agent");
    return "history";
}
