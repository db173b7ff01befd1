#include "daemon/references.h"

#include "daemon/hold.h"
#include "daemon/identity.h"
#include "daemon/same.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WAKES_MOST = 200,               /* records of one batch */
    PAUSE_FIRST_MS = 1000,          /* after an attempt that has released nothing ... */
    PAUSE_MOST_MS = 10 * 60 * 1000, /* ... and twice as long each time */
};

/* ---- from keys to records ---- */

/* The block and key that a reference says, of a type; NULL: it is a number already, or of no block of this agency. */
static const struct agency_block *target_of(const struct work *work, const struct peer *peer,
                                            const struct catalog_field *field, struct value value, struct text *ret_key)
{
    struct value name, key;
    const struct agency_block *block;

    if (field->type != VALUE_REFERENCE || !reference_cut(value, &name, &key))
        return NULL;
    block = peer_block_named(peer, (struct text){ name.bytes, name.length });
    *ret_key = (struct text){ key.bytes, key.length };
    return block && block->type == field->refers && block->type < work->batch->catalog->type_count ? block : NULL;
}

/* One that nobody's change has made yet is no record: another may turn out to be it. */
static bool is_known(const struct work *work, const struct canonical *record, uint16_t type)
{
    return record && record->type == &work->batch->catalog->types[type] && record_is_written(record);
}

static struct canonical *record_of_key(const struct work *work, const struct peer *peer,
                                       const struct agency_block *block, struct text key, feed_position base)
{
    const struct catalog_type *type = &work->batch->catalog->types[block->type];
    uint64_t number = links_find(work->links, peer->row.id, block->name, key, base);
    struct canonical *record = number ? record_numbered(work, number) : NULL;
    struct value values[KEY_FIELDS_MAX];

    for (uint16_t u = 0; !record && identity_of_key(work->batch->arena, type, block, key, &u, values); u++)
        record = record_identified(work, type, u, values);
    record = same_end(work, record);
    return is_known(work, record, block->type) ? record : NULL;
}

void references_translate(const struct work *work, const struct peer *peer, feed_position base,
                          const struct catalog_type *type, struct value *fields)
{
    for (uint16_t i = 0; type->refers && i < type->field_count; i++) {
        struct text key;
        const struct agency_block *block = target_of(work, peer, &type->fields[i], fields[i], &key);
        const struct canonical *record = block ? record_of_key(work, peer, block, key, base) : NULL;

        if (record)
            fields[i] = reference_to(work->batch->arena, record->number);
    }
}

bool references_unknown(const struct catalog_type *type, const struct value *fields, bool needed)
{
    for (uint16_t i = 0; type->refers && i < type->field_count; i++)
        if (reference_is_local(&type->fields[i], fields[i]) &&
            (!needed || type->fields[i].required || type->units[type->fields[i].unit].identifier))
            return true;
    return false;
}

/* ---- what must be looked up ---- */

void references_want(struct work *work, const struct peer *peer, const struct catalog_type *type,
                     const struct value *fields, uint32_t *keys, uint32_t *identifiers)
{
    for (uint16_t i = 0; type->refers && i < type->field_count; i++) {
        struct text key;
        const struct agency_block *block = target_of(work, peer, &type->fields[i], fields[i], &key);

        if (!block)
            continue;
        want_key(work, peer, block, key, keys);
        want_key_identified(work, block, key, identifiers);
    }
}

/* Rows that come in this very batch and are records that exist: (agency, block, key) to number. Their links are made
 * only when they are decided, but whoever refers to them must be looked up before. */
static struct map *rows_coming(struct broker *broker, struct work *work)
{
    struct map *coming = map_new(work->batch->arena, work->batch->hash_key);

    for (uint32_t s = 0; s < work->share_count; s++)
        for (uint32_t p = 0; p < work->shares[s].piece_count; p++) {
            const struct share *share = &work->shares[s];
            const struct piece *piece = share->pieces[p];

            for (uint32_t c = 0; c < piece->change_count && !piece_is_duplicate(&share->peer->row, piece); c++) {
                const struct change *change = &piece->changes[c];
                const struct agency_block *block = peer_block_named(share->peer, change->block);
                struct canonical *record;
                struct value *fields;
                struct text name;

                if (!broker->catalog->types[block->type].referred ||
                    (change->operation != OPERATION_INSERT && change->operation != OPERATION_LOAD))
                    continue;
                record = change_record(broker, work, share->peer, piece, change, 0, &fields);
                if (!record)
                    continue;
                name = map_key(work->batch->arena, share->peer->row.id, block->name, change->key);
                *map_slot(coming, name.bytes, name.length) = record;
            }
        }
    return coming;
}

/* As it will be once those rows are known; what they do not say, as it is. */
static void translate_coming(const struct work *work, const struct peer *peer, struct map *coming, feed_position base,
                             const struct catalog_type *type, struct value *fields)
{
    for (uint16_t i = 0; i < type->field_count; i++) {
        struct text key, name;
        const struct agency_block *block = target_of(work, peer, &type->fields[i], fields[i], &key);
        const struct canonical *record;

        if (!block)
            continue;
        name = map_key(work->batch->arena, peer->row.id, block->name, key);
        record = map_find(coming, name.bytes, name.length);
        if (record)
            fields[i] = reference_to(work->batch->arena, record->number);
    }
    references_translate(work, peer, base, type, fields);
}

static bool want_identified(struct work *work, uint16_t type_index, const struct value *fields, uint32_t *identifiers)
{
    const struct catalog_type *type = &work->batch->catalog->types[type_index];
    struct value values[KEY_FIELDS_MAX];
    bool any = false;

    for (uint16_t u = 0; u < type->unit_count; u++)
        if (identity_values(type, u, fields, values)) {
            want_identifier(work, type_index, u, values, identifiers);
            any = true;
        }
    return any;
}

bool references_want_identified(struct broker *broker, struct work *work, uint32_t *identifiers)
{
    struct map *coming = NULL;
    bool any = false;

    for (uint32_t s = 0; s < work->share_count; s++)
        for (uint32_t p = 0; p < work->shares[s].piece_count; p++) {
            const struct share *share = &work->shares[s];
            const struct piece *piece = share->pieces[p];

            for (uint32_t c = 0; c < piece->change_count && !piece_is_duplicate(&share->peer->row, piece); c++) {
                const struct change *change = &piece->changes[c];
                uint16_t type_index = peer_block_named(share->peer, change->block)->type;
                const struct catalog_type *type = &broker->catalog->types[type_index];
                struct value said[CATALOG_FIELDS_MAX] = { 0 }, fields[CATALOG_FIELDS_MAX];

                if (!type->refers || change->operation == OPERATION_DELETE)
                    continue;
                if (!coming)
                    coming = rows_coming(broker, work);
                fields_of_change(type, change, said);
                memcpy(fields, said, sizeof fields);
                references_translate(work, share->peer, piece->base, type, fields);
                any |= want_identified(work, type_index, fields, identifiers);
                translate_coming(work, share->peer, coming, piece->base, type, said);
                any |= want_identified(work, type_index, said, identifiers);
            }
        }
    return any;
}

/* ---- what waits at the broker ---- */

const char references_healer[] = "selaras-broker";

void references_arrive(struct work *work, const struct peer *peer, const struct canonical *record)
{
    struct share *share = record->type->referred ? share_of(work, peer) : NULL;

    if (!share)
        return;
    share->arrived = true;
    if (debts_awaiting(peer->debts) == 0)
        return;
    share->arrivals =
        room(work, share->arrivals, share->arrival_count, &share->arrival_capacity, sizeof *share->arrivals);
    share->arrivals[share->arrival_count++] = record->number;
}

static bool waits_for_reference(const struct hold *hold)
{
    return strcmp(hold->row.reason, unknown_reference) == 0;
}

void references_committed(struct broker *broker, struct share *share)
{
    struct hold *hold;

    debts_looked_at(share->peer->debts, share->wakes, share->wake_count);
    if (broker->parts.peer == share->peer && broker->parts.arrived) { /* which ones, only its last part knows */
        share->arrived = true;
        debts_wake(share->peer->debts, NULL, 0);
    } else if (share->arrival_count > 0) {
        debts_wake(share->peer->debts, share->arrivals, share->arrival_count);
    }
    for (uint32_t i = 0; share->arrived && (hold = brake_hold(broker->brake, i)); i++)
        if (hold->row.agency == share->row.id)
            hold->looked_at = false;
}

/* How long what could not be released is left alone. */
static void pause(struct hold *hold, int64_t now_ms)
{
    bool some = hold->row.changes != hold->tried_changes;

    hold->pause_ms = some ? 0 : hold->pause_ms == 0 ? PAUSE_FIRST_MS : 2 * hold->pause_ms;
    if (hold->pause_ms > PAUSE_MOST_MS)
        hold->pause_ms = PAUSE_MOST_MS;
    hold->tried_changes = hold->row.changes;
    hold->tried_ms = now_ms;
}

void references_heal(struct broker *broker)
{
    struct hold *hold;

    for (uint32_t i = 0; (hold = brake_hold(broker->brake, i)); i++) {
        const struct peer *peer = peer_by_id(broker, hold->row.agency);

        if (hold->looked_at || !waits_for_reference(hold) || brake_is_decided(hold) || hold->type == UINT16_MAX ||
            !peer || !peer->bound || broker->now_ms - hold->tried_ms < hold->pause_ms)
            continue;
        hold->looked_at = true;
        pause(hold, broker->now_ms);
        operator_asks(broker, &(struct broker_event){ .kind = BROKER_EVENT_RELEASE,
                                                      .name = peer->row.name,
                                                      .record = hold->row.number,
                                                      .what = "",
                                                      .user = references_healer,
                                                      .ground = "what it refers to may be known by now" });
    }
}

/* ---- what waits at readers ---- */

bool references_wake_waits(const struct peer *peer)
{
    return peer->bound && peer->row.state == STATE_ACTIVE && debts_to_look_at(peer->debts);
}

void references_take_wakes(struct broker *broker, struct work *work, struct peer *peer)
{
    struct share *share = share_make(work, peer);
    uint32_t capacity = work->batch->wanted.record_count;

    share->wakes = arena_array(work->batch->arena, WAKES_MOST, sizeof *share->wakes);
    share->wake_count = debts_due(peer->debts, share->wakes, WAKES_MOST);
    for (uint32_t i = 0; i < share->wake_count; i++) {
        const struct awaiting *wake = &share->wakes[i];
        const struct agency_block *block = peer_block_named(peer, text_of(wake->block));
        int type = catalog_type(broker->catalog, wake->type, strlen(wake->type));

        if (!block || type < 0)
            continue;
        want_record(work, block->type, wake->record, &capacity);
        want_record(work, (uint16_t)type, wake->awaited, &capacity);
    }
}

void references_decide_wakes(struct broker *broker, struct work *work, struct share *share)
{
    struct peer *peer = share->peer;

    for (uint32_t i = 0; i < share->wake_count; i++) {
        struct canonical *record = record_numbered(work, share->wakes[i].record);
        const struct canonical *awaited = record_numbered(work, share->wakes[i].awaited);
        struct text key;

        if (record && awaited && debts_find(peer->debts, record->number, DEBT_PARKED) &&
            reach_held(work, peer, awaited, &key) && !held_find(record, peer->index, UNIT_EXISTENCE))
            send_item(broker, work, peer, record);
    }
}
