/* The decisions that make two records one, or two again. */
#include "daemon/hold.h"
#include "daemon/identity.h"
#include "daemon/referers.h"
#include "daemon/same.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char same_rule[] = "same record", different_rule[] = "different record";

/* What becomes of the row that an agency has of the record that goes. */
enum fate { FATE_NONE, FATE_PASSES, FATE_DELETED, FATE_MARKED, FATE_LEFT, FATE_COUNT };
static const char *const fate_words[FATE_COUNT] = {
    [FATE_PASSES] = "passes", [FATE_DELETED] = "deleted", [FATE_MARKED] = "marked", [FATE_LEFT] = "left"
};

struct decided {
    struct broker *broker;
    struct work *work;
    struct admin *admin;
    struct canonical *keep, *other;
    uint32_t first; /* entry of the batch */
};

static const char *refusal(const struct decided *decided, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static const char *refusal(const struct decided *decided, const char *fmt, ...)
{
    char text[400];
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    return arena_copy(decided->work->batch->arena, text, strlen(text));
}

/* One that goes is no longer met by who had it: it has the other one for it. A row of the other one may be there, and
 * its key is only not known yet, wherever it was to be inserted. */
static enum fate fate_at(const struct decided *decided, const struct peer *peer, struct text *ret_key)
{
    struct text key;
    const struct agency_block *block = reach_held(decided->work, peer, decided->other, ret_key);

    if (!block)
        return FATE_NONE;
    if (!reach_held(decided->work, peer, decided->keep, &key) && !reach_inserts(decided->work, peer, decided->keep))
        return FATE_PASSES;
    if (!block->fed[UNIT_EXISTENCE] || block->delete == DELETE_IGNORE)
        return FATE_LEFT;
    return block->delete == DELETE_ROW ? FATE_DELETED : FATE_MARKED;
}

static void note_entry(const struct decided *decided, struct entry_row *row, const struct canonical *about,
                       const struct canonical *beside)
{
    row->entry.type = text_of(decided->keep->type->name);
    row->entry.record = about->number;
    row->entry.other_record = beside->number;
    row->boundary = false; /* they are told together */
}

static const char *by(const struct decided *decided)
{
    return arena_copy(decided->work->batch->arena, decided->admin->user, strlen(decided->admin->user));
}

static struct reason reason_of(const struct decided *decided, const char *rule)
{
    return (struct reason){ .verdict = text_of(verdict_name(VERDICT_PUT_BACK)),
                            .by = text_of(by(decided)),
                            .rule = text_of(rule) };
}

/* What the entry commits to: as of a change, by whom and on what ground. */
static void commit(const struct decided *decided, struct entry_row *row, struct change *change)
{
    struct arena *arena = decided->work->batch->arena;

    change->block = text_of("none");
    change->key = text_of("");
    change->actor = value_text(by(decided));
    change->ground = value_text(arena_copy(arena, decided->admin->ground, strlen(decided->admin->ground)));
    change_encode(arena, change);
    row->entry.operation = change->operation;
    entry_commit(decided->broker, row, change->content);
}

/* Every value of the record, as what a deletion takes away or an insertion brings. */
static void all_values(const struct decided *decided, const struct canonical *record, enum operation operation,
                       struct change *ret)
{
    const struct catalog_type *type = record->type;

    *ret = (struct change){ .operation = operation };
    ret->fields = arena_array(decided->work->batch->arena, type->field_count, sizeof *ret->fields);
    for (uint16_t i = 0; i < type->field_count; i++) {
        struct change_field *field = &ret->fields[ret->field_count++];

        field->name = text_of(type->fields[i].name);
        *(operation == OPERATION_DELETE ? &field->old : &field->value) = record->values[i];
    }
}

static void one_verdict(const struct decided *decided, struct entry_row *row, const char *rule)
{
    row->entry.fields = arena_alloc(decided->work->batch->arena, sizeof *row->entry.fields);
    row->entry.fields[0] =
        (struct entry_field){ .name = text_of("existence"), .verdict = VERDICT_APPLIED, .rule = text_of(rule) };
    row->entry.field_count = 1;
}

/* A decision is nobody's write. */
static void write_unit(const struct decided *decided, struct canonical *record, uint16_t unit, feed_position position,
                       const struct value *values)
{
    const struct catalog_unit *known = &record->type->units[unit];
    struct value *before = arena_array(decided->work->batch->arena, known->field_count + 1u, sizeof *before);

    if (unit == UNIT_EXISTENCE)
        before[0] = value_text(record->exists ? "true" : "false");
    for (uint16_t i = 0; i < known->field_count; i++) {
        assert(values); /* existence has no fields */
        before[i] = record->values[known->fields[i]];
        record->values[known->fields[i]] = values[i];
    }
    record->units[unit].before = before;
    record->units[unit].seq = position;
    record->units[unit].writer = AGENCY_NOBODY;
    record->units[unit].echoed = false;
    record->units[unit].time_us = decided->broker->now_us;
    record->units[unit].clock_known = false;
    record->dirty = true;
}

static bool has_value(const struct canonical *record, uint16_t unit)
{
    const struct catalog_unit *known = &record->type->units[unit];

    for (uint16_t i = 0; i < known->field_count; i++)
        if (record->values[known->fields[i]].state == VALUE_SET)
            return true;
    return false;
}

/* The units of `keep` that are written, with their new values (by field of the type): an entry that goes to every
 * reader. Without any it only says what was decided. */
static void keep_entry(const struct decided *decided, enum entry_kind kind, const bool *written,
                       const struct value *values, const char *rule)
{
    struct work *work = decided->work;
    struct canonical *keep = decided->keep;
    const struct catalog_type *type = keep->type;
    struct entry_row *row = entry_add(decided->broker, work, kind, NULL);
    struct change change = { .operation = OPERATION_UPDATE };
    struct outcome outcome = { .effect = { .operation = OPERATION_UPDATE } };

    note_entry(decided, row, keep, decided->other);
    row->entry.fields = arena_array(work->batch->arena, type->field_count, sizeof *row->entry.fields);
    change.fields = arena_array(work->batch->arena, type->field_count, sizeof *change.fields);
    outcome.effect.fields = arena_array(work->batch->arena, type->field_count, sizeof *outcome.effect.fields);
    for (uint16_t u = UNIT_EXISTENCE + 1; u < type->unit_count; u++) {
        const struct catalog_unit *unit = &type->units[u];
        struct value *now = arena_array(work->batch->arena, unit->field_count, sizeof *now);

        if (!written[u])
            continue;
        assert(values);
        for (uint16_t i = 0; i < unit->field_count; i++) {
            uint16_t f = unit->fields[i];
            struct text name = text_of(type->fields[f].name);

            now[i] = values[f];
            row->entry.fields[row->entry.field_count++] =
                (struct entry_field){ .name = name, .verdict = VERDICT_APPLIED, .rule = text_of(rule) };
            change.fields[change.field_count++] =
                (struct change_field){ .name = name, .old = keep->values[f], .value = now[i] };
            outcome.effect.fields[outcome.effect.field_count++] = (struct item_field){ name, now[i] };
        }
        write_unit(decided, keep, u, row->entry.position, now);
        outcome.identifier_changed = outcome.identifier_changed || unit->identifier;
    }
    if (change.field_count == 0) {
        entry_say(decided->broker, work, row, entry_kind_name(kind),
                  arena_printf(work->batch->arena, "by %s: %s", decided->admin->user, decided->admin->ground));
        return;
    }
    commit(decided, row, &change);
    if (keep->exists) {
        row->effect = sending_pack(work, &outcome.effect, &(struct reason){ 0 });
        link_readers(decided->broker, work, NULL, keep, &outcome, row->entry.position);
        altered_settled(decided->broker, work, NULL, keep, OPERATION_NONE, NULL, &outcome);
    }
    if (outcome.identifier_changed)
        take_from_deleted(decided->broker, work, keep);
    index_identifiers(work, keep);
    record_write(work, keep);
}

static void tell_together(const struct decided *decided)
{
    struct writes *writes = &decided->work->batch->writes;

    for (uint32_t i = decided->first; i < writes->entry_count; i++)
        writes->entries[i].boundary = i + 1 == writes->entry_count;
}

/* ---- the same ---- */

/* What waits must be decided about first, but for what this very decision settles. */
static const char *holds_against(const struct decided *decided, const struct canonical *record,
                                 const struct canonical *beside)
{
    for (uint16_t i = 0; i < record->held_count; i++)
        if (!record->helds[i].defect || record->helds[i].others[0] != beside->number)
            return refusal(decided,
                           "changes of %s %" PRIu64 " wait in hold %" PRIu32
                           ": decide about them first (selaras hold show %" PRIu32 ")",
                           record->type->name, record->number, record->helds[i].hold, record->helds[i].hold);
    return NULL;
}

static const char *parked_against(const struct decided *decided, const struct canonical *record)
{
    for (uint32_t i = 0; i < decided->broker->peer_count; i++)
        if (debts_find(decided->broker->peers[i].debts, record->number, DEBT_PARKED))
            return refusal(decided,
                           "%s %" PRIu64 " is parked at %s: what it has there must be settled first (selaras parked "
                           "list --agency %s)",
                           record->type->name, record->number, decided->broker->peers[i].row.name,
                           decided->broker->peers[i].row.name);
    return NULL;
}

/* What an agency has where cannot be told before its hello has said what it maps now. */
static const char *mapping_against(const struct decided *decided)
{
    for (uint32_t i = 0; i < decided->broker->peer_count; i++) {
        const struct peer *peer = &decided->broker->peers[i];

        if (peer->index != AGENCY_GONE && peer->row.incarnation > 0 && !peer->bound)
            return refusal(decided,
                           "%s has not said yet what it maps by the catalog in force: its agent must connect first",
                           peer->row.name);
    }
    return NULL;
}

static const char *is_gone(const struct decided *decided, const struct canonical *record)
{
    assert(record);
    if (record->same_as)
        return refusal(decided,
                       "%s %" PRIu64 " is the same as %" PRIu64 " already: say which of the two you mean, or undo it "
                       "first (selaras record different %s %" PRIu64 " %" PRIu64 ")",
                       record->type->name, record->number, record->same_as, record->type->name, record->same_as,
                       record->number);
    if (!record->exists)
        return refusal(decided,
                       "%s %" PRIu64 " is deleted: only records that exist can be said to be one. What it was found "
                       "by is free: give it to the one that is left",
                       record->type->name, record->number);
    return NULL;
}

static const char *find_both(struct decided *decided)
{
    struct admin *admin = decided->admin;
    uint64_t numbers[2] = { admin->record, admin->other };

    for (int i = 0; i < 2; i++) {
        struct canonical *record = record_numbered(decided->work, numbers[i]);

        if (!record || strcmp(record->type->name, admin->name) != 0)
            return refusal(decided, "there is no %s with record number %" PRIu64, admin->name, numbers[i]);
        *(i == 0 ? &decided->keep : &decided->other) = record;
    }
    return NULL;
}

/* What refers to the one that goes, refers to the other one. */
static struct pointing pointing_of(const struct decided *decided)
{
    return (struct pointing){ .broker = decided->broker,
                              .work = decided->work,
                              .admin = decided->admin,
                              .kind = ENTRY_SAME,
                              .rule = same_rule,
                              .from = decided->other,
                              .to = decided->keep };
}

static const char *referers_refused(const struct decided *decided)
{
    struct pointing pointing = pointing_of(decided);

    return referers_against(&pointing);
}

static const char *same_refused(struct decided *decided)
{
    const char *why = find_both(decided);

    why = why ? why : is_gone(decided, decided->keep);
    why = why ? why : is_gone(decided, decided->other);
    why = why ? why : holds_against(decided, decided->keep, decided->other);
    why = why ? why : holds_against(decided, decided->other, decided->keep);
    why = why ? why : parked_against(decided, decided->keep);
    why = why ? why : parked_against(decided, decided->other);
    why = why ? why : referers_refused(decided);
    return why ? why : mapping_against(decided);
}

/* What is done where, for whoever decides: [{"agency": "a", "row": "passes"}]. Names need no escaping. */
static const char *told(const struct decided *decided)
{
    struct arena *arena = decided->work->batch->arena;
    const char *list = "";

    for (uint32_t i = 0; i < decided->broker->peer_count; i++) {
        const struct peer *peer = &decided->broker->peers[i];
        struct text key;
        enum fate fate = peer->index == AGENCY_GONE ? FATE_NONE : fate_at(decided, peer, &key);

        if (fate != FATE_NONE)
            list = arena_printf(arena, "%s%s{\"agency\":\"%s\",\"row\":\"%s\"}", list, *list ? "," : "", peer->row.name,
                                fate_words[fate]);
    }
    return arena_printf(arena, "{\"agencies\":[%s]}", list);
}

/* The record that goes, as an entry of its own: its rows follow, but for those that pass to the other one. */
static void other_goes(const struct decided *decided, const bool *given)
{
    struct broker *broker = decided->broker;
    struct work *work = decided->work;
    struct canonical *other = decided->other;
    struct entry_row *row = entry_add(broker, work, ENTRY_SAME, NULL);
    uint16_t *passing = arena_array(work->batch->arena, broker->peer_count, sizeof *passing);
    struct reason reason = reason_of(decided, same_rule);
    feed_position position = row->entry.position;
    struct change change;

    note_entry(decided, row, other, decided->keep);
    one_verdict(decided, row, same_rule);
    all_values(decided, other, OPERATION_DELETE, &change);
    commit(decided, row, &change);
    row->effect = sending_pack(work, &(struct sending){ .operation = OPERATION_DELETE }, &reason);
    altered_settled(broker, work, NULL, other, OPERATION_NONE, NULL,
                    &(struct outcome){ .effect = { .operation = OPERATION_DELETE } });
    row->withheld = passing;
    for (uint32_t i = 0; i < broker->peer_count; i++) {
        struct peer *peer = &broker->peers[i];
        struct text key;
        enum fate fate = peer->index == AGENCY_GONE ? FATE_NONE : fate_at(decided, peer, &key);

        if (fate == FATE_PASSES) {
            struct text block = reach_held(work, peer, other, &key)->name;

            passing[row->withheld_count++] = peer->row.id;
            sent_set(work->batch->arena, &other->passed, peer->index, position);
            links_pass(work->links, peer->row.id, block, key, other->number, decided->keep->number, position);
        } else if (peer->row.state >= STATE_FILLING) {
            link_item(work, peer, other, OPERATION_DELETE, true, position);
        }
    }
    write_unit(decided, other, UNIT_EXISTENCE, position, NULL);
    other->exists = false;
    for (uint16_t u = UNIT_EXISTENCE + 1; u < other->type->unit_count; u++) {
        struct value none[CATALOG_FIELDS_MAX];

        for (uint16_t i = 0; i < other->type->units[u].field_count; i++)
            none[i] = value_null();
        if (given[u] && other->type->units[u].identifier)
            write_unit(decided, other, u, position, none);
    }
    other->same_as = decided->keep->number;
    other->same_at = position;
    record_write(work, other);
}

static bool is_told(const bool *told, const struct decided *decided, agency_index agency)
{
    for (uint32_t i = 0; i < decided->broker->peer_count; i++)
        if (decided->broker->peers[i].index == agency)
            return told[i];
    return true;
}

/* What collided is settled by this. Marks whoever still has a value of its own in a row that stays. */
static void end_holds(const struct decided *decided, struct canonical *record, bool *whole)
{
    while (record->held_count > 0) {
        struct held held = record->helds[0];
        struct outcome outcome = { .note_count = 1 };
        const struct peer *peer = NULL;

        for (uint32_t i = 0; i < decided->broker->peer_count && !peer; i++)
            if (decided->broker->peers[i].index == held.agency) {
                peer = &decided->broker->peers[i];
                whole[i] = whole[i] || record == decided->keep;
            }
        outcome.notes = &(struct held_note){ .step = HELD_ENDED,
                                             .unit = held.unit,
                                             .hold = held.hold,
                                             .operation = held.operation,
                                             .others = { held.others[0], held.others[1] } };
        held_remove(record, &record->helds[0]);
        record->dirty = true;
        record_write(decided->work, record);
        hold_notes(decided->broker, decided->work, peer, record, record->number, &outcome, decided->other->same_at,
                   "same");
    }
}

/* Where its row passes, what refers to that is right already; it is sent what it is only for what is remembered. */
static struct pointing point_referers(const struct decided *decided)
{
    struct broker *broker = decided->broker;
    struct pointing pointing = pointing_of(decided);
    uint16_t *passing = arena_array(decided->work->batch->arena, broker->peer_count, sizeof *passing);
    struct text key;

    for (uint32_t i = 0; i < broker->peer_count; i++)
        if (broker->peers[i].index != AGENCY_GONE && fate_at(decided, &broker->peers[i], &key) == FATE_PASSES)
            passing[pointing.withheld_count++] = broker->peers[i].row.id;
    pointing.withheld = passing;
    referers_point(&pointing);
    return pointing;
}

static void same_do(struct decided *decided)
{
    struct work *work = decided->work;
    const struct catalog_type *type = decided->keep->type;
    bool *given = arena_array(work->batch->arena, type->unit_count, sizeof *given);
    bool *whole = arena_array(work->batch->arena, decided->broker->peer_count, sizeof *whole);
    struct value *values = arena_array(work->batch->arena, type->field_count, sizeof *values);
    struct pointing pointing = point_referers(decided);

    for (uint16_t u = UNIT_EXISTENCE + 1; u < type->unit_count; u++)
        given[u] = !has_value(decided->keep, u) && has_value(decided->other, u);
    memcpy(values, decided->other->values, type->field_count * sizeof *values);
    other_goes(decided, given);
    keep_entry(decided, ENTRY_SAME, given, values, same_rule);
    end_holds(decided, decided->keep, whole);
    end_holds(decided, decided->other, whole);
    for (uint32_t i = 0; i < decided->broker->peer_count; i++) {
        struct peer *peer = &decided->broker->peers[i];
        struct reason reason = reason_of(decided, same_rule);

        if (peer->index != AGENCY_GONE &&
            (is_told(whole, decided, peer->index) || sent_find(&decided->other->passed, peer->index) > 0))
            send_item_because(decided->broker, work, peer, decided->keep, &reason);
        if (peer->index != AGENCY_GONE && sent_find(&decided->other->passed, peer->index) > 0)
            referers_send(&pointing, peer);
    }
}

void decide_same(struct broker *broker, struct work *work, struct admin *admin)
{
    struct decided decided = {
        .broker = broker, .work = work, .admin = admin, .first = work->batch->writes.entry_count
    };

    admin->failure = same_refused(&decided);
    if (admin->failure)
        return;
    admin->said = told(&decided);
    if (admin->dry)
        return;
    same_do(&decided);
    tell_together(&decided);
}

/* ---- different ---- */

static const char *different_refused(struct decided *decided)
{
    const char *why = find_both(decided);

    if (why)
        return why;
    assert(decided->keep && decided->other);
    if (decided->keep->same_as == decided->other->number) { /* said the other way round, which is as clear */
        struct canonical *keep = decided->keep;

        decided->keep = decided->other;
        decided->other = keep;
    }
    if (decided->other->same_as && decided->other->same_as != decided->keep->number)
        return refusal(decided, "%s %" PRIu64 " is the same as %" PRIu64 ": say different of these two first",
                       decided->other->type->name, decided->other->number, decided->other->same_as);
    if (decided->keep->same_as)
        return refusal(decided, "%s %" PRIu64 " is itself the same as %" PRIu64 ": say different of these two first",
                       decided->keep->type->name, decided->keep->number, decided->keep->same_as);
    return decided->other->same_as ? mapping_against(decided) : NULL;
}

/* Rows that passed are its own again. */
static void rows_return(const struct decided *decided, feed_position position)
{
    struct work *work = decided->work;

    for (uint32_t i = 0; i < decided->broker->peer_count; i++) {
        const struct peer *peer = &decided->broker->peers[i];
        const struct agency_block *block;
        struct text key;

        if (sent_find(&decided->other->passed, peer->index) == 0)
            continue;
        block = reach_held(work, peer, decided->keep, &key);
        if (!block)
            continue; /* its people have deleted it */
        links_return(work->links, peer->row.id, block->name, key, decided->other->number, decided->keep->number,
                     decided->other->same_at, position);
    }
}

/* The record as it was, as an entry that brings it to every reader. */
static void other_returns(const struct decided *decided)
{
    struct work *work = decided->work;
    struct canonical *other = decided->other;
    struct entry_row *row = entry_add(decided->broker, work, ENTRY_DIFFERENT, NULL);
    struct reason reason = reason_of(decided, different_rule);
    struct outcome outcome = { .identifier_changed = true };
    struct change change;

    for (uint16_t u = UNIT_EXISTENCE + 1; u < other->type->unit_count; u++) {
        const struct value *was = other->units[u].before;

        if (!same_took(other, u))
            continue;
        const struct canonical *holder = record_identified(work, other->type, u, was);

        if (!holder || holder == other || identity_is_free(holder))
            write_unit(decided, other, u, row->entry.position, was);
    }
    write_unit(decided, other, UNIT_EXISTENCE, row->entry.position, NULL);
    other->exists = true;
    other->same_as = 0;
    other->same_at = 0;
    other->passed = (struct sent_list){ 0 };
    note_entry(decided, row, other, decided->keep);
    one_verdict(decided, row, different_rule);
    all_values(decided, other, OPERATION_INSERT, &change);
    commit(decided, row, &change);
    sending_whole(work->batch->arena, other, &outcome.effect);
    row->effect = sending_pack(work, &outcome.effect, &reason);
    link_readers(decided->broker, work, NULL, other, &outcome, row->entry.position);
    altered_settled(decided->broker, work, NULL, other, OPERATION_NONE, NULL, &outcome);
    take_from_deleted(decided->broker, work, other);
    index_identifiers(work, other);
    record_write(work, other);
}

static void different_do(struct decided *decided)
{
    struct work *work = decided->work;
    struct canonical *keep = decided->keep;
    const struct catalog_type *type = keep->type;
    struct pointing back = { .broker = decided->broker,
                             .work = work,
                             .admin = decided->admin,
                             .kind = ENTRY_DIFFERENT,
                             .rule = different_rule,
                             .from = keep,
                             .to = decided->other,
                             .undone = decided->other->same_at };
    bool *taken = arena_array(work->batch->arena, type->unit_count, sizeof *taken);
    struct value *values = arena_array(work->batch->arena, type->field_count, sizeof *values);

    for (uint16_t u = UNIT_EXISTENCE + 1; u < type->unit_count; u++) {
        taken[u] = keep->units[u].seq == decided->other->same_at + 1 && keep->units[u].writer == AGENCY_NOBODY;
        for (uint16_t i = 0; taken[u] && i < type->units[u].field_count; i++)
            values[type->units[u].fields[i]] = keep->units[u].before[i];
    }
    keep_entry(decided, ENTRY_DIFFERENT, taken, values, different_rule);
    rows_return(decided, work->batch->writes.head);
    other_returns(decided);
    if (work->batch->found.referer_count > REFERERS_MOST)
        action_log(decided->broker, LOG_LEVEL_WARN, NULL,
                   "more than %d records refer to %s %" PRIu64 ": none of them is given back to %" PRIu64,
                   REFERERS_MOST, type->name, keep->number, decided->other->number);
    referers_point(&back);
}

void decide_different(struct broker *broker, struct work *work, struct admin *admin)
{
    struct decided decided = {
        .broker = broker, .work = work, .admin = admin, .first = work->batch->writes.entry_count
    };

    admin->failure = different_refused(&decided);
    if (admin->failure)
        return;
    admin->said = arena_printf(work->batch->arena, "{\"undone\":%s}", decided.other->same_as ? "true" : "false");
    if (admin->dry)
        return;
    if (decided.other->same_as)
        different_do(&decided);
    else
        keep_entry(&decided, ENTRY_DIFFERENT,
                   arena_array(work->batch->arena, decided.keep->type->unit_count, sizeof(bool)), NULL, different_rule);
    tell_together(&decided);
}
