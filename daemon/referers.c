#include "daemon/referers.h"

#include "daemon/hold.h"
#include "daemon/identity.h"
#include "daemon/same.h"

#include <inttypes.h>
#include <string.h>

/* ---- looking up ---- */

bool referers_want(struct work *work, const struct admin *admin)
{
    struct wanted *wanted = &work->batch->wanted;
    uint64_t numbers[2] = { admin->other, admin->record };
    uint32_t capacity = wanted->referred_count;
    bool any = false;

    for (int i = 0; i < (admin->kind == BROKER_EVENT_SAME ? 1 : 2); i++) { /* different is said either way round */
        if (!same_is_new(work, numbers[i], SAME_REFERRED))
            continue;
        wanted->referred = room(work, wanted->referred, wanted->referred_count, &capacity, sizeof *wanted->referred);
        wanted->referred[wanted->referred_count++] = numbers[i];
        any = true;
    }
    return any;
}

static bool refers(const struct catalog_field *field, struct value value, uint64_t record)
{
    return field->type == VALUE_REFERENCE && value.state == VALUE_SET && reference_number(value) == record;
}

/* The record's values, but for what refers to the one, which refers to the other one. False: nothing does. */
static bool pointed(struct arena *arena, const struct canonical *record, uint64_t from, uint64_t to,
                    struct value *values)
{
    bool any = false;

    memcpy(values, record->values, record->type->field_count * sizeof *values);
    for (uint16_t i = 0; i < record->type->field_count; i++)
        if (refers(&record->type->fields[i], values[i], from)) {
            values[i] = reference_to(arena, to);
            any = true;
        }
    return any;
}

/* Whoever has by now what the record would be found by. */
static bool want_identified(struct work *work, const struct canonical *record, uint64_t from, uint64_t to)
{
    struct value values[CATALOG_FIELDS_MAX], identifier[KEY_FIELDS_MAX];
    uint32_t capacity = work->batch->wanted.identifier_count;
    uint16_t type = (uint16_t)(record->type - work->batch->catalog->types);
    bool any = false;

    if (!pointed(work->batch->arena, record, from, to, values))
        return false;
    for (uint16_t u = 0; u < record->type->unit_count; u++)
        if (identity_values(record->type, u, values, identifier) && !identity_is(record, u, identifier) &&
            same_is_new(work, record->number, to << 16 | u)) {
            want_identifier(work, type, u, identifier, &capacity);
            any = true;
        }
    return any;
}

bool referers_want_more(struct work *work)
{
    const struct found *found = &work->batch->found;
    uint32_t capacity = work->batch->wanted.record_count;
    bool any = false;

    for (uint32_t i = 0; i < found->referer_count && found->referer_count <= REFERERS_MOST; i++) {
        const struct canonical *record = record_numbered(work, found->referers[i].number);

        if (!record && same_is_new(work, found->referers[i].number, SAME_REFERER)) {
            want_record(work, found->referers[i].type, found->referers[i].number, &capacity);
            any = true;
        }
        for (const struct admin *admin = work->admins; record && admin; admin = admin->next) {
            any |= admin->kind == BROKER_EVENT_SAME && want_identified(work, record, admin->other, admin->record);
            any |= admin->kind == BROKER_EVENT_DIFFERENT && want_identified(work, record, admin->other, admin->record);
            any |= admin->kind == BROKER_EVENT_DIFFERENT && want_identified(work, record, admin->record, admin->other);
        }
    }
    return any;
}

/* ---- deciding ---- */

static const char *refusal(const struct pointing *pointing, const char *text)
{
    return arena_copy(pointing->work->batch->arena, text, strlen(text));
}

/* Whether something of the unit is to be pointed there. */
static bool unit_turns(const struct pointing *pointing, const struct canonical *record, uint16_t unit)
{
    const struct catalog_unit *known = &record->type->units[unit];
    const struct unit_state *state = &record->units[unit];

    for (uint16_t i = 0; i < known->field_count; i++) {
        const struct catalog_field *field = &record->type->fields[known->fields[i]];

        if (refers(field, record->values[known->fields[i]], pointing->from->number) &&
            (!pointing->undone || (state->writer == AGENCY_NOBODY && state->seq < pointing->undone && state->before &&
                                   refers(field, state->before[i], pointing->to->number))))
            return true;
    }
    return false;
}

/* The record that has what this one would be found by then, and keeps it. */
static const struct canonical *unit_rival(const struct pointing *pointing, const struct canonical *record,
                                          uint16_t unit)
{
    struct value values[CATALOG_FIELDS_MAX], identifier[KEY_FIELDS_MAX];
    const struct canonical *other;

    pointed(pointing->work->batch->arena, record, pointing->from->number, pointing->to->number, values);
    if (!identity_values(record->type, unit, values, identifier))
        return NULL;
    other = record_identified(pointing->work, record->type, unit, identifier);
    return other && other != record && (!identity_is_free(other) || !record->exists) ? other : NULL;
}

static struct canonical *referer(const struct pointing *pointing, uint32_t at)
{
    struct canonical *record = record_numbered(pointing->work, pointing->work->batch->found.referers[at].number);

    return record && !record->same_as && record->type->refers ? record : NULL;
}

static uint32_t referer_count(const struct pointing *pointing)
{
    uint32_t count = pointing->work->batch->found.referer_count;

    return count <= REFERERS_MOST ? count : 0;
}

const char *referers_against(const struct pointing *pointing)
{
    struct arena *arena = pointing->work->batch->arena;

    if (pointing->work->batch->found.referer_count > REFERERS_MOST)
        return arena_printf(
            arena, "more than %d records refer to %s %" PRIu64 ": say it the other way round, so that this one stays",
            REFERERS_MOST, pointing->from->type->name, pointing->from->number);
    for (uint32_t i = 0; i < referer_count(pointing); i++) {
        const struct canonical *record = referer(pointing, i), *rival;

        for (uint16_t u = 0; record && u < record->type->unit_count; u++) {
            if (!unit_turns(pointing, record, u))
                continue;
            if (record->held_count > 0)
                return arena_printf(arena,
                                    "%s %" PRIu64 " refers to it, and changes of that wait in hold %" PRIu32
                                    ": decide about them first (selaras hold show %" PRIu32 ")",
                                    record->type->name, record->number, record->helds[0].hold, record->helds[0].hold);
            rival = record->exists ? unit_rival(pointing, record, u) : NULL;
            if (rival)
                return arena_printf(arena,
                                    "%s %" PRIu64 " and %" PRIu64
                                    " would be found by the same then: say first which one they are (selaras record "
                                    "same %s %" PRIu64 " %" PRIu64 ")",
                                    record->type->name, rival->number, record->number, record->type->name,
                                    rival->number, record->number);
        }
    }
    return NULL;
}

static void unit_write(const struct pointing *pointing, struct canonical *record, uint16_t unit,
                       const struct value *values, feed_position position)
{
    const struct catalog_unit *known = &record->type->units[unit];
    struct unit_state *state = &record->units[unit];

    state->before = arena_array(pointing->work->batch->arena, known->field_count, sizeof *state->before);
    for (uint16_t i = 0; i < known->field_count; i++) {
        state->before[i] = record->values[known->fields[i]];
        record->values[known->fields[i]] = values[known->fields[i]];
    }
    state->seq = position;
    state->writer = AGENCY_NOBODY;
    state->echoed = false;
    state->time_us = pointing->broker->now_us;
    state->clock_known = false;
    record->dirty = true;
}

/* The units of the record that turn. */
static void point(const struct pointing *pointing, struct canonical *record, const bool *turns)
{
    struct work *work = pointing->work;
    struct arena *arena = work->batch->arena;
    const struct catalog_type *type = record->type;
    struct entry_row *row = entry_add(pointing->broker, work, pointing->kind, NULL);
    struct change change = { .operation = OPERATION_UPDATE, .block = text_of("none"), .key = text_of("") };
    struct outcome outcome = { .effect = { .operation = OPERATION_UPDATE } };
    struct value values[CATALOG_FIELDS_MAX];
    struct reason reason = { .verdict = text_of(verdict_name(VERDICT_PUT_BACK)),
                             .by = text_of(refusal(pointing, pointing->admin->user)),
                             .rule = text_of(pointing->rule) };

    pointed(arena, record, pointing->from->number, pointing->to->number, values);
    row->entry.type = text_of(type->name);
    row->entry.record = record->number;
    row->entry.operation = OPERATION_UPDATE;
    row->entry.fields = arena_array(arena, type->field_count, sizeof *row->entry.fields);
    change.fields = arena_array(arena, type->field_count, sizeof *change.fields);
    outcome.effect.fields = arena_array(arena, type->field_count, sizeof *outcome.effect.fields);
    for (uint16_t i = 0; i < type->field_count; i++) {
        struct text name = text_of(type->fields[i].name);

        if (!turns[type->fields[i].unit])
            continue;
        row->entry.fields[row->entry.field_count++] =
            (struct entry_field){ .name = name, .verdict = VERDICT_APPLIED, .rule = text_of(pointing->rule) };
        change.fields[change.field_count++] =
            (struct change_field){ .name = name, .old = record->values[i], .value = values[i] };
        outcome.effect.fields[outcome.effect.field_count++] = (struct item_field){ name, values[i] };
    }
    for (uint16_t u = UNIT_EXISTENCE + 1; u < type->unit_count; u++)
        if (turns[u]) {
            unit_write(pointing, record, u, values, row->entry.position);
            outcome.identifier_changed = outcome.identifier_changed || type->units[u].identifier;
        }
    change.actor = value_text(refusal(pointing, pointing->admin->user));
    change.ground = value_text(refusal(pointing, pointing->admin->ground));
    change_encode(arena, &change);
    entry_commit(pointing->broker, row, change.content);
    if (record->exists) {
        row->effect = sending_pack(work, &outcome.effect, &reason);
        row->withheld = pointing->withheld;
        row->withheld_count = pointing->withheld_count;
        link_readers(pointing->broker, work, NULL, record, &outcome, row->entry.position);
        altered_settled(pointing->broker, work, NULL, record, OPERATION_NONE, NULL, &outcome);
    }
    if (outcome.identifier_changed)
        take_from_deleted(pointing->broker, work, record);
    index_identifiers(work, record);
    record_write(work, record);
}

void referers_point(const struct pointing *pointing)
{
    for (uint32_t i = 0; i < referer_count(pointing); i++) {
        struct canonical *record = referer(pointing, i);
        bool turns[CATALOG_FIELDS_MAX + 1] = { false }, any = false;

        for (uint16_t u = UNIT_EXISTENCE + 1; record && u < record->type->unit_count; u++) {
            turns[u] = unit_turns(pointing, record, u) && !unit_rival(pointing, record, u);
            any = any || turns[u];
        }
        if (any)
            point(pointing, record, turns);
    }
}

void referers_send(const struct pointing *pointing, struct peer *peer)
{
    struct text key;

    for (uint32_t i = 0; i < referer_count(pointing); i++) {
        struct canonical *record = referer(pointing, i);
        bool there = false;

        for (uint16_t f = 0; record && f < record->type->field_count; f++)
            there = there || refers(&record->type->fields[f], record->values[f], pointing->to->number);
        if (there && record->exists && !held_find(record, peer->index, UNIT_EXISTENCE) &&
            (reach_held(pointing->work, peer, record, &key) || reach_inserts(pointing->work, peer, record)))
            send_item(pointing->broker, pointing->work, peer, record);
    }
}
