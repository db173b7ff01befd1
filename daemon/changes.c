/* The changes of a piece: which record each is about, and what it does to it. */
#include "daemon/hold.h"
#include "daemon/identity.h"
#include "daemon/observe.h"
#include "daemon/references.h"
#include "daemon/same.h"
#include "daemon/work.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

void index_identifiers(struct work *work, struct canonical *record)
{
    for (uint16_t u = 0; u < record->type->unit_count; u++) {
        struct value values[KEY_FIELDS_MAX];
        struct text name;

        if (!identity_values(record->type, u, record->values, values))
            continue;
        name = identity_name(work->batch->arena, record->type, u, values);
        *map_slot(work->identifiers, name.bytes, name.length) = record;
    }
}

struct canonical *record_numbered(const struct work *work, uint64_t number)
{
    return map_find(work->records, &number, sizeof number);
}

struct canonical *record_identified(const struct work *work, const struct catalog_type *type, uint16_t unit,
                                    const struct value *values)
{
    struct text name = identity_name(work->batch->arena, type, unit, values);
    struct canonical *record = map_find(work->identifiers, name.bytes, name.length);

    /* An identifier that has moved on within this batch leaves its old place behind. */
    return record && identity_is(record, unit, values) ? record : NULL;
}

void index_record(struct work *work, struct canonical *record)
{
    void **slot = map_slot(work->records, &record->number, sizeof record->number);

    if (*slot)
        return; /* found for two reasons */
    *slot = record;
    index_identifiers(work, record);
}

const char unknown_key[] = "no record has this key";
static const char names_two[] = "names two records", another_row[] = "another row there is this record";

/* Which record a change is about. */
struct target {
    struct canonical *record;
    const char *held;              /* why it cannot be decided, or NULL */
    uint64_t others[2];            /* whom it may be about then */
    const struct canonical *alias; /* by which it was found, though it is `record` by now; NULL: by itself */
};

/* Which of two records an identifier and another one name: one that lives before one that is deleted, which loses what
 * it has. False: both live. */
static bool choose(struct canonical **found, struct canonical *other)
{
    if (*found && other != *found && !identity_is_free(*found) && !identity_is_free(other))
        return false;
    if (!*found || identity_is_free(*found))
        *found = other;
    return true;
}

static struct canonical *record_create(struct broker *broker, struct work *work, uint16_t type)
{
    struct canonical *record =
        canonical_new(work->batch->arena, &broker->catalog->types[type], work->batch->writes.next_record++);

    *map_slot(work->records, &record->number, sizeof record->number) = record;
    work->created = record;
    return record;
}

bool record_is_written(const struct canonical *record)
{
    bool written = record->exists;

    for (uint16_t i = 0; i < record->type->unit_count; i++)
        written = written || record->units[i].seq > 0;
    return written;
}

/* "Two rows of one agency with one identifier are never merged": whether the agency has the record as another row. */
static bool has_another_row(const struct work *work, const struct peer *peer, const struct canonical *record,
                            const struct agency_block *block, struct text key)
{
    struct text held;
    const struct agency_block *holds = reach_held(work, peer, record, &held);

    return holds && (holds != block || held.length != key.length || memcmp(held.bytes, key.bytes, held.length) != 0);
}

/* The record of an insert under this key that was put back, so that nobody has ever written it: who inserts again and
 * again what it may not makes an entry each time, and one record. */
static struct canonical *record_put_back(const struct work *work, const struct peer *peer,
                                         const struct agency_block *block, const struct change *change)
{
    uint64_t number;

    for (uint32_t at = 0; (number = links_ever(work->links, peer->row.id, block->name, change->key, at)) != 0; at++) {
        struct canonical *record = record_numbered(work, number);

        if (record && record->type == &work->batch->catalog->types[block->type] && !record_is_written(record))
            return record;
    }
    return NULL;
}

static struct target target_of_insert(struct broker *broker, struct work *work, const struct peer *peer,
                                      const struct agency_block *block, const struct change *change,
                                      const struct value *fields, feed_position base)
{
    const struct catalog_type *type = &broker->catalog->types[block->type];
    struct canonical *found = NULL, *alias = NULL;
    uint64_t linked;

    for (uint16_t u = 0; u < type->unit_count; u++) {
        struct value values[KEY_FIELDS_MAX];
        struct canonical *other;

        if (!identity_values(type, u, fields, values))
            continue;
        other = record_identified(work, type, u, values);
        if (other && other->same_as) {
            alias = other;
            other = same_end(work, other);
        }
        if (other && exchange_gives(work->exchange, other, u) && !exchange_wants(work->exchange, type, u, values))
            continue; /* it is free once this transaction is over */
        if (other && !choose(&found, other))
            return (struct target){ .held = names_two, .others = { found->number, other->number } };
    }
    linked = found ? 0 : links_find(work->links, peer->row.id, block->name, change->key, base);
    if (linked)
        found = same_end(work, record_numbered(work, linked));
    if (found && found->type != type)
        found = NULL;
    if (!found)
        found = record_put_back(work, peer, block, change);
    if (found && has_another_row(work, peer, found, block, change->key))
        return (struct target){ .held = another_row, .others = { found->number } };
    if (!found || found != same_end(work, alias))
        alias = NULL;
    return (struct target){ .record = found ? found : record_create(broker, work, block->type), .alias = alias };
}

/* By link, else by the identifiers that make up the key. */
static struct target target_of_key(struct broker *broker, struct work *work, const struct peer *peer,
                                   const struct agency_block *block, const struct change *change, feed_position base)
{
    const struct catalog_type *type = &broker->catalog->types[block->type];
    struct text key = change->old_key.length > 0 ? change->old_key : change->key;
    uint64_t number = links_find(work->links, peer->row.id, block->name, key, base);
    struct canonical *record = number ? record_numbered(work, number) : NULL;
    struct value values[KEY_FIELDS_MAX];

    record = same_row(work, peer, record);
    for (uint16_t u = 0; !record && identity_of_key(work->batch->arena, type, block, key, &u, values); u++) {
        struct canonical *named = record_identified(work, type, u, values), *end = same_end(work, named);

        record = end && !has_another_row(work, peer, end, block, key) ? end : named;
    }
    if (record && record->type != type)
        record = NULL;
    return (struct target){ .record = record, .held = record ? NULL : unknown_key };
}

void fields_of_change(const struct catalog_type *type, const struct change *change, struct value *fields)
{
    for (uint16_t i = 0; i < change->field_count; i++) {
        int field = catalog_field(type, change->fields[i].name.bytes, change->fields[i].name.length);

        if (field >= 0)
            fields[field] = change->fields[i].value;
    }
}

/* ... with the records that its references are to, as far as they are known. */
static void fields_meant(const struct work *work, const struct peer *peer, const struct piece *piece,
                         const struct catalog_type *type, const struct change *change, struct value *fields)
{
    fields_of_change(type, change, fields);
    references_translate(work, peer, piece->base, type, fields);
}

uint64_t taken_by_other(void *context, const struct canonical *record, uint16_t unit, const struct value *values)
{
    const struct work *work = context;
    const struct canonical *other = record_identified(work, record->type, unit, values);
    bool taken;

    if (!other || other == record || identity_is_free(other))
        return 0; /* what only a deleted record has, it loses: see take_from_deleted() */
    taken = !exchange_gives(work->exchange, other, unit) ||
            (record != work->created ? !exchange_grants(work->exchange, record, unit)
                                     : exchange_wants(work->exchange, record->type, unit, values));
    return taken ? other->number : 0;
}

/* Whether a record that has an identifier among these values is the agency's row under this key. */
static bool shares_key(const struct work *work, const struct peer *peer, const struct agency_block *block,
                       const struct canonical *record, struct text key, const struct value *fields)
{
    for (uint16_t u = 0; u < record->type->unit_count; u++) {
        struct value values[KEY_FIELDS_MAX];
        struct text held;
        const struct canonical *other =
            identity_values(record->type, u, fields, values) ? record_identified(work, record->type, u, values) : NULL;

        if (other && other != record && reach_held(work, peer, other, &held) == block && held.length == key.length &&
            memcmp(held.bytes, key.bytes, key.length) == 0)
            return true;
    }
    return false;
}

static struct writer writer_of(const struct share *share, const struct piece *piece, const struct agency_block *block,
                               uint64_t record)
{
    const struct peer *peer = share->peer;

    return (struct writer){
        .agency = peer->index,
        /* What is never sent what others write has seen none of it since it was loaded. */
        .base = share->had ? share->had->base
                : block->mode != MODE_FULL
                    ? share->row.load
                    : debts_base(peer->debts, record, piece->nothing_seen ? share->row.load : piece->base),
        .since = share->had ? share->had->since : share->row.since,
        .nothing_seen = piece->nothing_seen,
        .restored = piece->nothing_seen && share->row.restored,
        .fed = block->fed,
        .takes_none = !block->insert,
        .commit_time_us = piece->commit_time_us,
    };
}

void exchange_change(struct broker *broker, struct work *work, const struct share *share, const struct piece *piece,
                     const struct change *change, uint64_t resolved)
{
    const struct agency_block *block = peer_block_named(share->peer, change->block);
    const struct catalog_type *type = &broker->catalog->types[block->type];
    struct writer writer;
    struct value *fields;
    bool identifies = false;

    for (uint16_t i = 0; i < change->field_count && !identifies; i++) {
        int field = catalog_field(type, change->fields[i].name.bytes, change->fields[i].name.length);

        identifies = field >= 0 && type->units[type->fields[field].unit].identifier;
    }
    if (!identifies || resolved == 0 || change->operation != OPERATION_UPDATE || block->mode == MODE_OBSERVE)
        return;
    writer = writer_of(share, piece, block, resolved);
    fields = arena_array(work->batch->arena, type->field_count, sizeof *fields);
    fields_meant(work, share->peer, piece, type, change, fields);
    writer.holds = limits_holds(broker, work, share, change, record_numbered(work, resolved), fields);
    exchange_ask(broker, work->exchange, &writer, record_numbered(work, resolved), fields);
}

/* A row that is gone, and of which nothing was known: there is nothing to decide. */
static void unknown_deleted(struct work *work, struct outcome *ret)
{
    *ret = (struct outcome){ .fields = arena_alloc(work->batch->arena, sizeof *ret->fields), .field_count = 1 };
    ret->fields[0] = (struct entry_field){ .name = text_of("existence"),
                                           .verdict = VERDICT_UNCHANGED,
                                           .rule = text_of(unknown_key) };
}

struct canonical *change_record(struct broker *broker, struct work *work, const struct peer *peer,
                                const struct piece *piece, const struct change *change, uint64_t resolved,
                                struct value **ret_fields)
{
    const struct agency_block *block = peer_block_named(peer, change->block);
    const struct catalog_type *type = &broker->catalog->types[block->type];
    struct value *fields = *ret_fields = arena_array(work->batch->arena, type->field_count, sizeof *fields);
    uint64_t linked;

    if (change->operation != OPERATION_DELETE)
        fields_meant(work, peer, piece, type, change, fields);
    if (change->operation != OPERATION_INSERT && change->operation != OPERATION_LOAD)
        return resolved ? record_numbered(work, resolved) : NULL;
    for (uint16_t u = 0; u < type->unit_count; u++) {
        struct value values[KEY_FIELDS_MAX];
        struct canonical *found =
            identity_values(type, u, fields, values) ? record_identified(work, type, u, values) : NULL;

        if (found)
            return same_end(work, found);
    }
    linked = links_find(work->links, peer->row.id, block->name, change->key, piece->base);
    return linked ? same_end(work, record_numbered(work, linked)) : NULL;
}

struct canonical *held_target(struct work *work, const struct peer *peer, const struct agency_block *block,
                              struct canonical *shell, struct text key, const struct value *values, bool part,
                              const char **ret_why)
{
    const struct catalog_type *type = shell->type;
    struct value named[KEY_FIELDS_MAX];
    struct canonical *found = NULL;

    *ret_why = NULL;
    for (uint16_t u = 0; u < type->unit_count; u++) {
        struct canonical *other =
            identity_values(type, u, values, named) ? same_end(work, record_identified(work, type, u, named)) : NULL;

        if (!other || other == shell)
            continue;
        if (!choose(&found, other))
            *ret_why = names_two;
    }
    for (uint16_t u = 0; part && !found && identity_of_key(work->batch->arena, type, block, key, &u, named); u++)
        found = same_end(work, record_identified(work, type, u, named));
    if (!found && part)
        *ret_why = unknown_key;
    if (found && has_another_row(work, peer, found, block, key))
        *ret_why = another_row;
    return found ? found : shell;
}

/* "Deleted records keep their identifiers, so a re-insert revives": until another record has one of them. Whose row was
 * there twice is corrected so: one is deleted, the other gets the right number. */
static void give_up(struct broker *broker, struct work *work, struct canonical *loser, const struct canonical *winner,
                    uint16_t index)
{
    const struct catalog_unit *unit = &loser->type->units[index];
    struct entry_row *row = entry_add(broker, work, ENTRY_GIVEN_UP, NULL);
    struct arena *arena = work->batch->arena;
    struct change change = { .operation = OPERATION_UPDATE, .block = text_of("none"), .key = text_of("") };

    row->boundary = false; /* it stands behind a change of its transaction */
    row->entry.type = text_of(loser->type->name);
    row->entry.record = loser->number;
    row->entry.other_record = winner->number;
    row->entry.operation = OPERATION_UPDATE;
    row->entry.fields = arena_array(arena, unit->field_count, sizeof *row->entry.fields);
    change.fields = arena_array(arena, unit->field_count, sizeof *change.fields);
    for (uint16_t i = 0; i < unit->field_count; i++) {
        struct text name = text_of(loser->type->fields[unit->fields[i]].name);

        row->entry.fields[row->entry.field_count++] =
            (struct entry_field){ .name = name, .verdict = VERDICT_APPLIED, .rule = text_of("deleted") };
        change.fields[change.field_count++] =
            (struct change_field){ .name = name, .old = loser->values[unit->fields[i]], .value = value_null() };
        loser->values[unit->fields[i]] = value_null();
    }
    change_encode(arena, &change);
    entry_commit(broker, row, change.content);
    loser->dirty = true;
    record_write(work, loser);
}

void take_from_deleted(struct broker *broker, struct work *work, const struct canonical *record)
{
    for (uint16_t u = 0; record->exists && u < record->type->unit_count; u++) {
        struct value values[KEY_FIELDS_MAX];
        struct canonical *other;

        if (!identity_values(record->type, u, record->values, values))
            continue;
        other = record_identified(work, record->type, u, values);
        if (other && other != record && identity_is_free(other))
            give_up(broker, work, other, record, u);
    }
}

uint64_t target_resolve(struct broker *broker, struct work *work, const struct peer *peer, const struct piece *piece,
                        const struct change *change)
{
    const struct agency_block *block = peer_block_named(peer, change->block);
    struct target target;

    if (change->operation == OPERATION_INSERT || change->operation == OPERATION_LOAD || block->mode == MODE_OBSERVE)
        return 0;
    target = target_of_key(broker, work, peer, block, change, piece->base);
    return target.record ? target.record->number : 0;
}

/* What an update's key means by links, when it is a row that has passed to the record which the update is about: until
 * then, the key is good for that one too. */
static feed_position passed_at(const struct work *work, const struct peer *peer, const struct agency_block *block,
                               const struct change *change, feed_position base, const struct canonical *record)
{
    struct text key = change->old_key.length > 0 ? change->old_key : change->key;
    uint64_t number = links_find(work->links, peer->row.id, block->name, key, base);
    const struct canonical *was = number ? record_numbered(work, number) : NULL;

    return was && was != record && was->same_as ? was->same_at : 0;
}

/* What the entry of a change says of it before it is decided. */
static struct entry_row *change_entry(struct broker *broker, struct work *work, const struct share *share,
                                      const struct piece *piece, const struct change *change, uint32_t number)
{
    struct entry_row *row = entry_add(broker, work, ENTRY_CHANGE, share->peer);
    const struct agency_block *block = peer_block_named(share->peer, change->block);

    entry_source(row, share, piece, number);
    row->boundary = false; /* decide_piece sets it on the last one */
    row->entry.type = text_of(broker->catalog->types[block->type].name);
    row->entry.operation = change->operation;
    row->committed = true;
    memcpy(row->salt, change->salt, sizeof row->salt);
    memcpy(row->entry.commitment, change->commitment, sizeof row->entry.commitment);
    row->body = change->content; /* of a staged frame: kept until the batch is stored */
    return row;
}

void decide_change(struct broker *broker, struct work *work, struct share *share, const struct piece *piece,
                   const struct change *change, uint32_t number, uint64_t resolved)
{
    struct peer *peer = share->peer;
    const struct agency_block *block = peer_block_named(peer, change->block);
    const struct catalog_type *type = &broker->catalog->types[block->type];
    struct arena *arena = work->batch->arena;
    struct value *fields = arena_array(arena, type->field_count, sizeof *fields);
    bool insert = change->operation == OPERATION_INSERT || change->operation == OPERATION_LOAD;
    feed_position seen = piece->nothing_seen ? share->row.load : piece->base;
    struct text key = { arena_copy(arena, change->key.bytes, change->key.length), change->key.length };
    uint32_t hold = 0;
    feed_position passed, position;
    struct entry_row *row;
    struct outcome outcome;
    struct target target;
    struct writer writer;

    if (block->mode == MODE_OBSERVE) {
        observe_change(work, peer, block, change);
        return;
    }
    if (change->operation != OPERATION_DELETE)
        fields_meant(work, peer, piece, type, change, fields);
    target = !insert ? (struct target){ .record = resolved ? record_numbered(work, resolved) : NULL,
                                        .held = resolved ? NULL : unknown_key }
             : references_unknown(type, fields, true)
                 ? (struct target){ .held = unknown_reference }
                 : target_of_insert(broker, work, peer, block, change, fields, piece->base);
    if (target.held && change->operation == OPERATION_DELETE) {
        row = change_entry(broker, work, share, piece, change, number);
        unknown_deleted(work, &outcome);
        row->entry.fields = outcome.fields;
        row->entry.field_count = outcome.field_count;
        return;
    }
    if (target.held) { /* what is known of it waits under a number that may turn out to be another record's */
        hold = hold_for(broker, work, peer, block->type, UNIT_EXISTENCE, HOLD_UNKNOWN, target.held)->row.number;
        target.record = record_create(broker, work, block->type);
    }
    assert(target.record);
    passed = passed_at(work, peer, block, change, piece->base, target.record);
    seen = passed > seen ? passed : seen;
    row = change_entry(broker, work, share, piece, change, number);
    row->entry.record = target.record->number;
    if (hold)
        action_about(broker,
                     action_log(broker, LOG_LEVEL_WARN, peer,
                                "entry %" PRIu64 ": a change is held: %s; see: selaras hold show %" PRIu32,
                                FEED_SEQUENCE(row->entry.position), target.held, hold),
                     &row->entry);
    writer = writer_of(share, piece, block, target.record->number);
    writer.holds = limits_holds(broker, work, share, change, target.record, fields);
    writer.alias = target.alias;
    writer.shares_key = shares_key(work, peer, block, target.record, key, fields);
    if (insert && block->generated)
        links_add(work->links, peer->row.id, block->name, key, target.record->number, seen);
    else if (insert || change->old_key.length > 0 || hold)
        links_move(work->links, peer->row.id, block->name, key, target.record->number, seen);
    else if (change->operation == OPERATION_DELETE)
        links_remove(work->links, peer->row.id, block->name, target.record->number);
    if (hold)
        reconcile_hold(arena, &writer, target.record, change->operation, fields, hold, target.others,
                       row->entry.position, &outcome);
    else
        reconcile(broker->reconciler, arena, &writer, target.record, change->operation, fields, row->entry.position,
                  taken_by_other, work, &outcome);
    row->entry.fields = outcome.fields;
    row->entry.field_count = outcome.field_count;
    row->effect = sending_pack(work, &outcome.effect, &(struct reason){ 0 });
    row->reply = sending_pack(work, &outcome.reply, &outcome.reason);
    entry_withhold(broker, work, row, peer, target.record);
    position = row->entry.position;
    link_readers(broker, work, peer, target.record, &outcome, position);
    altered_settled(broker, work, peer, target.record, change->operation, fields, &outcome);
    if (outcome.identifier_changed)
        take_from_deleted(broker, work, target.record);
    index_identifiers(work, target.record);
    if (insert || hold)
        target.record->dirty = true; /* even one that was refused keeps its number */
    record_write(work, target.record);
    hold_notes(broker, work, peer, target.record, target.record->number, &outcome, position, NULL);
    if (insert && record_is_written(target.record))
        references_arrive(work, peer, target.record);
}
