/* What a person has decided about changes that wait: in parts, so that a hold of any size needs little memory, and goes
 * on where it was after a restart. */
#include "daemon/hold.h"
#include "daemon/identity.h"
#include "daemon/references.h"

#include <inttypes.h>
#include <string.h>

enum { SETTLE_RECORDS = 1000 };

void decide_hold(struct broker *broker, struct work *work, struct admin *admin)
{
    struct brake *brake = brake_of(broker, work);
    struct hold *hold = brake_hold_numbered(brake, (uint32_t)admin->record);
    bool release = admin->kind == BROKER_EVENT_RELEASE;
    const char *selection;
    struct entry_row *row;

    if (!hold || brake_is_decided(hold) || !selection_make(work->batch->arena, admin->what, &selection)) {
        admin->failure = "it has been settled already, or that is being done";
        return;
    }
    row = entry_add(broker, work, release ? ENTRY_HOLD_RELEASED : ENTRY_HOLD_REJECTED,
                    peer_by_id(broker, hold->row.agency));
    row->entry.type = text_of(arena_copy(work->batch->arena, hold->row.type, strlen(hold->row.type)));
    row->entry.refers = hold->row.entry;
    entry_say(broker, work, row,
              arena_printf(work->batch->arena, "%s by %s", release ? "released" : "rejected", admin->user),
              arena_printf(work->batch->arena, "hold %" PRIu32 "%s%s: %s", hold->row.number,
                           *admin->what ? ", records " : "", admin->what, admin->ground));
    brake_decide(brake, hold, release ? DECISION_RELEASE : DECISION_REJECT, row->entry.position, admin->user,
                 admin->ground, selection);
}

/* The hold whose decision is carried out next, or NULL. What its agency maps must be known, to tell what it is sent. */
static struct hold *hold_next(struct broker *broker)
{
    struct hold *hold;

    for (uint32_t i = 0; (hold = brake_hold(broker->brake, i)); i++) {
        const struct peer *peer = peer_by_id(broker, hold->row.agency);

        if (brake_is_decided(hold) && hold->type != UINT16_MAX && peer && peer->bound)
            return hold;
    }
    return NULL;
}

bool any_settle(struct broker *broker)
{
    return hold_next(broker) != NULL;
}

bool take_settle(struct broker *broker, struct work *work)
{
    const struct hold *hold = hold_next(broker);

    if (!hold)
        return false;
    work->settling = hold->row.number;
    work->batch->wanted.settle = (struct wanted_settle){
        .hold = hold->row.number,
        .before = hold->row.decided,
        .selection = arena_copy(work->batch->arena, hold->row.selection, strlen(hold->row.selection)),
        .after = hold->after,
        .limit = SETTLE_RECORDS,
    };
    work->settling_type = hold->type;
    work->settling_unit = hold->unit;
    share_make(work, peer_by_id(broker, hold->row.agency));
    return true;
}

/* Who else may have an identifier that is held. */
static void want_identifiers_of(struct work *work, const struct canonical *record, const struct held *held)
{
    for (uint16_t u = UNIT_EXISTENCE + 1; u < record->type->unit_count; u++) {
        struct value values[KEY_FIELDS_MAX];

        if (identity_values(record->type, u, held->values, values))
            want_identifier(work, work->settling_type, u, values, &work->settle_identifiers);
    }
}

/* ... and the one that is found by the key that it is held under. */
static void want_identified_by_key(struct broker *broker, struct work *work, const struct hold *hold)
{
    const struct found *found = &work->batch->found;
    const struct peer *peer = peer_by_id(broker, hold->row.agency);

    for (uint32_t i = 0; hold->row.cause == HOLD_UNKNOWN && i < found->link_count; i++) {
        const struct agency_block *block =
            found->links[i].agency == hold->row.agency ? peer_block_named(peer, found->links[i].block) : NULL;

        if (block && block->type == work->settling_type)
            want_key_identified(work, block, found->links[i].key, &work->settle_identifiers);
    }
}

/* What is held, of the records that were found. */
static const struct held *held_of(const struct work *work, const struct canonical *record)
{
    for (uint16_t h = 0; h < record->held_count; h++)
        if (record->helds[h].hold == work->settling)
            return &record->helds[h];
    return NULL;
}

/* ... refers to; and, once that is known, is found by. */
static void want_referred(struct work *work, const struct peer *peer, const struct canonical *record,
                          const struct held *held)
{
    struct value fields[CATALOG_FIELDS_MAX], values[KEY_FIELDS_MAX];
    uint32_t keys = work->batch->wanted.key_count;

    if (!record->type->refers)
        return;
    memcpy(fields, held->values, record->type->field_count * sizeof *fields);
    if (work->settle_step == 2) {
        references_want(work, peer, record->type, fields, &keys, &work->settle_identifiers);
        return;
    }
    references_translate(work, peer, held->base, record->type, fields);
    for (uint16_t u = 0; u < record->type->unit_count; u++)
        if (identity_values(record->type, u, fields, values))
            want_identifier(work, work->settling_type, u, values, &work->settle_identifiers);
}

/* First the records of what was found, then whoever has the identifiers that stand in them, and what they refer to;
 * then whoever has identifiers that have such references in them. */
bool settle_wants(struct broker *broker, struct work *work)
{
    struct batch *batch = work->batch;
    const struct peer *peer;

    if (!work->settling || work->settle_step == (batch->catalog->types[work->settling_type].refers ? 3 : 2))
        return false;
    work->settle_step++;
    work->settle_records = batch->wanted.record_count; /* what others have put there is full */
    work->settle_identifiers = batch->wanted.identifier_count;
    if (work->settle_step == 1) {
        for (uint32_t i = 0; i < batch->found.settle_count; i++)
            want_record(work, work->settling_type, batch->found.settles[i], &work->settle_records);
        return batch->found.settle_count > 0;
    }
    peer = peer_by_id(broker, brake_hold_numbered(broker->brake, work->settling)->row.agency);
    for (uint32_t i = 0; i < batch->found.record_count; i++) {
        const struct canonical *record = batch->found.records[i];
        const struct held *held = held_of(work, record);

        if (!held)
            continue;
        want_identifiers_of(work, record, held);
        want_referred(work, peer, record, held);
    }
    want_identified_by_key(broker, work, brake_hold_numbered(broker->brake, work->settling));
    return true;
}

/* What is decided, on one record. */
struct settling {
    struct broker *broker;
    struct work *work;
    struct share *share;
    const struct hold *hold;
    struct canonical *record;
    /* Where the agency has it; NULL: where it would have it, or it does not map such any more. */
    const struct agency_block *block;
    struct text key;
};

/* The change as it is held, for the ledger: what was, what is said, by whom and on what ground. */
static struct text content_of(const struct settling *settling, const struct held *held)
{
    struct arena *arena = settling->work->batch->arena;
    const struct catalog_type *type = settling->record->type;
    struct change change = {
        .operation = held->operation,
        .block = settling->block ? settling->block->name : text_of("none"),
        .fields = arena_array(arena, type->field_count, sizeof *change.fields),
        .actor = value_text(arena_copy(arena, settling->hold->row.by, strlen(settling->hold->row.by))),
        .ground = value_text(arena_copy(arena, settling->hold->row.ground, strlen(settling->hold->row.ground))),
    };

    change.key = settling->key;
    for (uint16_t i = 0; i < type->field_count; i++) {
        struct change_field *field = &change.fields[change.field_count];

        if (held->values[i].state == VALUE_ABSENT)
            continue;
        *field = (struct change_field){ .name = text_of(type->fields[i].name), .value = held->values[i] };
        if (held->operation == OPERATION_UPDATE)
            field->old = settling->record->values[i];
        change.field_count++;
    }
    change_encode(arena, &change);
    return change.content;
}

static feed_position settle_entry(const struct settling *settling, const struct held *held, struct text content,
                                  struct outcome *outcome)
{
    struct broker *broker = settling->broker;
    struct work *work = settling->work;
    struct peer *peer = settling->share->peer;
    bool release = settling->hold->row.decision == DECISION_RELEASE;
    struct entry_row *row = entry_add(broker, work, release ? ENTRY_HOLD_RELEASED : ENTRY_HOLD_REJECTED, peer);
    feed_position position;

    row->entry.type = text_of(settling->record->type->name);
    row->entry.record = settling->record->number;
    row->entry.refers = held->entry;
    row->entry.operation = held->operation;
    row->entry.fields = outcome->fields;
    row->entry.field_count = outcome->field_count;
    entry_commit(broker, row, content);
    row->effect = sending_pack(work, &outcome->effect, &(struct reason){ 0 });
    row->reply = sending_pack(work, &outcome->reply, &outcome->reason);
    entry_withhold(broker, work, row, peer, settling->record);
    position = row->entry.position;
    link_readers(broker, work, peer, settling->record, outcome, position);
    altered_settled(broker, work, peer, settling->record, held->operation, NULL, outcome);
    if (outcome->identifier_changed)
        take_from_deleted(broker, work, settling->record);
    index_identifiers(work, settling->record);
    record_write(work, settling->record);
    return position;
}

/* Whether the agency is to make another row of the record, of which it has not told yet: this one cannot be it too. An
 * insert that carries an identifier of this row takes it. */
static bool is_on_its_way(const struct settling *settling, const struct held *held, const struct canonical *record)
{
    const struct peer *peer = settling->share->peer;
    const struct writer who = { .agency = peer->index, .fed = settling->block->fed };
    const struct question question = { .reconciler = settling->broker->reconciler, .writer = &who, .record = record };
    feed_position sent = sent_to_writer(&question, UNIT_EXISTENCE);
    struct value values[KEY_FIELDS_MAX];

    if (!record->exists || !reach_inserts(settling->work, peer, record) || sent <= settling->share->row.base)
        return false;
    for (uint16_t u = 0; u < record->type->unit_count; u++)
        if (identity_values(record->type, u, held->values, values) && identity_is(record, u, values) &&
            record->units[u].seq <= sent)
            return false;
    return true;
}

/* A row that could not be told which record it is may be one by now: what is held of it moves there. False: it still
 * cannot be told. */
static bool find_record(struct settling *settling, struct held *held)
{
    struct work *work = settling->work;
    struct canonical *shell = settling->record, *found;
    struct held *moved, was = *held;
    const char *why = NULL;

    if (!settling->block)
        return false;
    found = held_target(work, settling->share->peer, settling->block, shell, settling->key, held->values,
                        strcmp(settling->hold->row.reason, unknown_key) == 0, &why);
    if (why || (found != shell && held_find(found, settling->share->peer->index, UNIT_EXISTENCE)))
        return false;
    if (found == shell)
        return true;
    if (is_on_its_way(settling, held, found))
        return false;
    held_remove(shell, held);
    shell->dirty = true;
    record_write(work, shell);
    moved = held_add(work->batch->arena, found, was.agency, was.unit);
    *moved = was;
    found->dirty = true;
    if (settling->key.length > 0) {
        links_remove(work->links, settling->share->row.id, settling->block->name, shell->number);
        (settling->block->generated ? links_add : links_move)(
            work->links, settling->share->row.id, settling->block->name, settling->key, found->number, was.base);
    }
    settling->record = found;
    return true;
}

/* False: it cannot be released as it is. */
static bool settle_record(struct settling *settling)
{
    struct work *work = settling->work;
    struct peer *peer = settling->share->peer;
    const struct catalog_type *type = settling->record->type;
    uint64_t listed = settling->record->number;
    bool release = settling->hold->row.decision == DECISION_RELEASE;
    struct held *held = held_find(settling->record, peer->index, work->settling_unit);
    bool *unfed = arena_array(work->batch->arena, type->unit_count, sizeof *unfed);
    struct writer who = { .agency = peer->index, .since = settling->share->row.since, .fed = unfed };
    struct outcome outcome;
    struct text content;
    feed_position position;
    struct held was;

    if (!held || held->hold != work->settling)
        return true;
    settling->key = (struct text){ "", 0 };
    settling->block = reach_held(work, peer, settling->record, &settling->key);
    if (!settling->block)
        settling->block = peer_block(peer, work->settling_type, settling->record->values);
    if (settling->block)
        who.fed = settling->block->fed;
    if (release) {
        references_translate(work, peer, held->base, type, held->values);
        if (references_unknown(type, held->values, false))
            return false;
    }
    if (release && settling->hold->row.cause == HOLD_UNKNOWN) {
        if (!find_record(settling, held))
            return false;
        held = held_find(settling->record, peer->index, work->settling_unit);
    }
    was = *held;
    content = content_of(settling, held);
    if (!reconcile_settle(settling->broker->reconciler, work->batch->arena, &who, settling->record, held,
                          release ? NULL : settling->hold->row.by, settling->hold->row.ground,
                          work->batch->writes.head + 1, taken_by_other, work, &outcome))
        return false;
    position = settle_entry(settling, &was, content, &outcome);
    hold_notes(settling->broker, work, peer, settling->record, listed, &outcome, position,
               release ? "released" : "rejected");
    if (record_is_written(settling->record))
        references_arrive(work, peer, settling->record);
    return true;
}

static void tell_end(struct broker *broker, const struct peer *peer, const struct hold *hold)
{
    action_log(broker, LOG_LEVEL_NOTE, peer, "hold %" PRIu32 " is settled by %s: %" PRIu32 " changes are still held",
               hold->row.number, hold->row.by, hold->row.changes);
    if (hold->stuck > 0 && strcmp(hold->row.by, references_healer) != 0)
        action_log(
            broker, LOG_LEVEL_WARN, peer,
            "%" PRIu32 " changes of hold %" PRIu32
            " could not be released: %s. Correct them at the agency, or reject them",
            hold->stuck, hold->row.number,
            hold->row.cause == HOLD_COLLISION
                ? "another record still has what they would be found by (selaras hold show says which). If they are "
                  "one: selaras record same"
                : "they still break what the catalog demands, or which record they are about still cannot be told");
}

/* What waits for each other's identifier is released together, as if one transaction had written it. False: nothing
 * does. */
static bool exchange_held(struct settling *settling, const struct hold *hold)
{
    struct broker *broker = settling->broker;
    struct work *work = settling->work;
    const struct peer *peer = settling->share->peer;
    const struct found *found = &work->batch->found;

    if (hold->row.cause != HOLD_COLLISION || hold->row.decision != DECISION_RELEASE || found->settle_count < 2)
        return false;
    work->exchange = exchange_new(work);
    for (uint32_t i = 0; i < found->settle_count; i++) {
        const struct canonical *record = record_numbered(work, found->settles[i]);
        const struct held *held = record ? held_of(work, record) : NULL;
        struct writer writer = { .agency = peer->index, .since = settling->share->row.since };
        struct text key;

        if (!held || held->agency != peer->index)
            continue;
        settling->block = reach_held(work, peer, record, &key);
        if (!settling->block)
            continue;
        writer.fed = settling->block->fed;
        writer.base = held->base;
        writer.nothing_seen = held->nothing_seen;
        references_translate(work, peer, held->base, record->type, held->values);
        exchange_ask(broker, work->exchange, &writer, record, held->values);
    }
    exchange_settle(work->exchange);
    return true;
}

void decide_settle(struct broker *broker, struct work *work)
{
    const struct found *found = &work->batch->found;
    struct brake *brake;
    struct hold *hold;
    struct settling settling = { .broker = broker, .work = work };
    uint32_t first = work->batch->writes.entry_count;
    bool together;

    if (!work->settling)
        return;
    brake = brake_of(broker, work);
    hold = brake_hold_numbered(brake, work->settling);
    settling.share = share_of(work, peer_by_id(broker, hold->row.agency));
    together = exchange_held(&settling, hold);
    for (uint32_t i = 0; i < found->settle_count; i++) {
        const struct hold now = *hold; /* another may be opened, which moves them */

        settling.hold = &now;
        settling.record = record_numbered(work, found->settles[i]);
        bool done = !settling.record || settle_record(&settling);

        hold = brake_hold_numbered(brake, work->settling);
        hold->stuck += !done;
        hold->after = found->settles[i];
    }
    work->exchange = NULL;
    for (uint32_t i = first; together && i < work->batch->writes.entry_count; i++)
        work->batch->writes.entries[i].boundary = false;
    if (work->batch->writes.entry_count > 0)
        work->batch->writes.entries[work->batch->writes.entry_count - 1].boundary = true;
    if (found->settle_count > 0)
        return;
    tell_end(broker, settling.share->peer, hold);
    hold->row.decision = DECISION_NONE;
    hold->changed = true;
}
