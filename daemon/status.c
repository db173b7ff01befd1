#include "daemon/status.h"

#include "daemon/modes.h"
#include "shell/json.h"
#include "shell/key.h"

#include <inttypes.h>
#include <stdio.h>

static void write_peer(struct buffer *out, const struct peer_view *peer, feed_position head)
{
    const struct agency_row *row = peer->row;
    feed_position reached = peer->sent > row->applied ? peer->sent : row->applied;
    char lsn[40];
    enum agency_mode mode;
    struct text table;
    uint32_t at = 0;

    snprintf(lsn, sizeof lsn, "%" PRIX32 "/%" PRIX32, (uint32_t)(row->lsn >> 32), (uint32_t)row->lsn);
    json_begin_object(out, NULL);
    json_write_text(out, "name", row->name);
    json_write_text(out, "mode", agency_mode_name(row->mode));
    json_begin_array(out, "tables");
    while (modes_next(row->modes, &at, &table, &mode)) {
        json_begin_object(out, NULL);
        json_write_bytes(out, "name", table.bytes, table.length);
        json_write_text(out, "mode", agency_mode_name(mode));
        json_end_object(out);
    }
    json_end_array(out);
    json_write_text(out, "state", row->enrolled ? agency_state_name(row->state) : "revoked");
    json_write_text(out, "quarantine", row->state == STATE_QUARANTINED ? quarantine_name(row->quarantine) : NULL);
    json_write_text(out, "reason", row->state == STATE_QUARANTINED ? row->reason : NULL);
    json_write_text(out, "link", peer->up ? "up" : "away");
    json_write_int(out, "seen", row->seen_at_us);
    json_write_uint(out, "lag",
                    !peer->reads     ? 0
                    : reached == 0   ? FEED_SEQUENCE(head)
                    : head > reached ? head - reached
                                     : 0);
    json_write_uint(out, "sent", row->changes);
    json_write_uint(out, "fed", row->fed);
    json_write_uint(out, "unrecorded", row->unrecorded);
    json_write_uint(out, "incarnation", row->incarnation);
    json_write_text(out, "lsn", lsn);
    json_write_uint(out, "base", row->base);
    json_write_uint(out, "applied", row->applied);
    json_write_int(out, "applied_at", row->applied_at_us);
    json_write_uint(out, "parked", peer->parked);
    json_write_uint(out, "skipped", peer->skipped);
    json_write_uint(out, "held", peer->held);
    json_write_uint(out, "altered", peer->altered);
    json_write_bool(out, "altered_more", peer->altered_more);
    if (peer->copy_at_us)
        json_write_int(out, "copy_at", peer->copy_at_us);
    json_write_text(out, "software", row->software);
    json_end_object(out);
}

/* The agency's name, or "" when it is not there any more. */
static const char *agency_named(const struct broker *broker, uint16_t id)
{
    struct peer_view peer;

    for (uint32_t i = 0; broker_peer(broker, i, &peer); i++)
        if (peer.row->id == id)
            return peer.row->name;
    return "";
}

static void write_holds(struct buffer *out, const struct broker *broker)
{
    const struct hold_row *hold;

    json_begin_array(out, "holds");
    for (uint32_t i = 0; broker && (hold = broker_hold(broker, i)); i++) {
        json_begin_object(out, NULL);
        json_write_uint(out, "hold", hold->number);
        json_write_text(out, "agency", agency_named(broker, hold->agency));
        json_write_text(out, "type", hold->type);
        json_write_text(out, "field", hold->unit);
        json_write_text(out, "reason", hold->reason);
        json_write_uint(out, "held", hold->changes);
        json_write_text(out, "decision",
                        hold->decision == DECISION_NONE      ? NULL
                        : hold->decision == DECISION_RELEASE ? "release"
                                                             : "reject");
        json_write_bool(out, "refused", broker_hold_refused(broker, i));
        json_end_object(out);
    }
    json_end_array(out);
}

const char *status_json(struct buffer *out, const struct status_about *about, const struct broker *broker)
{
    feed_position head = broker ? broker_head(broker) : 0;
    struct peer_view peer;

    out->length = 0;
    json_begin_object(out, NULL);
    json_write_text(out, "program", "broker");
    json_write_int(out, "since", about->since_us);
    json_write_text(out, "endpoint", about->endpoint);
    json_write_text(out, "waiting", about->waiting);
    json_write_uint(out, "head", head);
    json_write_uint(out, "entries", head ? FEED_SEQUENCE(head) + 1 : 0);
    json_write_uint(out, "catalog", broker ? broker_catalog_version(broker) : 0);
    json_begin_array(out, "agencies");
    for (uint32_t i = 0; broker && broker_peer(broker, i, &peer); i++)
        write_peer(out, &peer, head);
    json_end_array(out);
    write_holds(out, broker);
    json_end_object(out);
    return json_text(out);
}

const char *keys_json(struct buffer *out, const struct broker *broker)
{
    struct peer_view peer;

    out->length = 0;
    json_begin_array(out, NULL);
    for (uint32_t i = 0; broker && broker_peer(broker, i, &peer); i++) {
        char hex[65];

        key_hex(peer.row->key, hex);
        json_begin_object(out, NULL);
        json_write_text(out, "name", peer.row->name);
        json_write_text(out, "key", peer.row->enrolled ? hex : NULL);
        json_write_text(out, "state", peer.row->enrolled ? "enrolled" : "revoked");
        json_end_object(out);
    }
    json_end_array(out);
    return json_text(out);
}
