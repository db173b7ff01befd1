/* Changes that wait for a person: opened, joined, listed. settle.c has how they are decided. */
#include "daemon/hold.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT_FRESH_MS = 5 * 60 * 1000 };

struct brake *brake_of(struct broker *broker, struct work *work)
{
    if (!work->brake)
        work->brake = brake_copy(broker->brake);
    return work->brake;
}

/* ---- limits ---- */

static bool passes(struct value side, struct value value)
{
    return side.state == VALUE_ABSENT || value_equal(side, value);
}

/* Whether the change is of the kind that is limited, and would take effect but for that. What a load finds is not work
 * that somebody has done just now. */
static bool is_limited(const struct broker *broker, const struct peer *peer, const struct limited *limited,
                       const struct change *change, const struct canonical *record, const struct value *fields)
{
    const struct catalog_type *type = &broker->catalog->types[limited->type];
    const struct catalog_unit *unit = &type->units[limited->unit];
    const struct catalog_limit *limit = limited->limit;
    struct question question = { .record = record, .fields = fields };
    bool exists = record && record->exists, insert = change->operation != OPERATION_UPDATE;

    if (change->operation == OPERATION_LOAD || !policy_writes(&unit->policy, peer->index) ||
        (record && (held_find(record, peer->index, UNIT_EXISTENCE) || held_find(record, peer->index, limited->unit))))
        return false;
    if (limit->kind == LIMIT_DELETIONS)
        return change->operation == OPERATION_DELETE && exists;
    if (limit->kind == LIMIT_INSERTIONS)
        return change->operation == OPERATION_INSERT && !exists;
    if (change->operation == OPERATION_DELETE || !exists || unit_is_unchanged(&question, limited->unit) ||
        (insert && !unit_has_values(&question, limited->unit)))
        return false;
    return unit->group ||
           (passes(limit->from, record->values[unit->fields[0]]) && passes(limit->to, fields[unit->fields[0]]));
}

/* Whether it could be, as far as the change alone tells. */
static bool may_be_limited(const struct broker *broker, const struct limited *limited, const struct change *change)
{
    const struct catalog_type *type = &broker->catalog->types[limited->type];
    const struct catalog_unit *unit = &type->units[limited->unit];

    if (limited->limit->kind != LIMIT_CHANGES)
        return change->operation == (limited->limit->kind == LIMIT_DELETIONS ? OPERATION_DELETE : OPERATION_INSERT);
    if (change->operation != OPERATION_INSERT && change->operation != OPERATION_UPDATE)
        return false;
    for (uint16_t i = 0; i < change->field_count; i++) {
        int field = catalog_field(type, change->fields[i].name.bytes, change->fields[i].name.length);

        if (field >= 0 && &type->units[type->fields[field].unit] == unit)
            return true;
    }
    return false;
}

/* How many changes of what was taken could be. */
static uint32_t possible(const struct broker *broker, const struct work *work, const struct share *share,
                         const struct limited *limited)
{
    bool missing = share->missing && work->batch->wanted.had.type == limited->type;
    uint32_t count = missing && limited->limit->kind == LIMIT_DELETIONS ? work->batch->found.had_count : 0;

    for (uint32_t p = 0; p < share->piece_count; p++) {
        const struct piece *piece = share->pieces[p];

        for (uint32_t c = 0; c < piece->change_count && !piece_is_duplicate(&share->peer->row, piece); c++) {
            const struct agency_block *block = peer_block_named(share->peer, piece->changes[c].block);

            count += block->type == limited->type && block->mode != MODE_OBSERVE &&
                     may_be_limited(broker, limited, &piece->changes[c]);
        }
    }
    return count;
}

static struct holding *holding_of(struct broker *broker, struct peer *peer, uint16_t type)
{
    if (!peer->holdings)
        peer->holdings = calloc(broker->catalog->type_count, sizeof *peer->holdings);
    if (!peer->holdings)
        abort();
    return &peer->holdings[type];
}

/* "at least one": an agency with few records may do something too. */
static uint64_t allowed(struct broker *broker, struct peer *peer, const struct limited *limited)
{
    uint64_t records;

    if (!limited->limit->share || limited->limit->most == 0)
        return limited->limit->most;
    records = holding_of(broker, peer, limited->type)->records * limited->limit->most / 1000000;
    return records > 0 ? records : 1;
}

/* Nothing is held because of a count that is not of now; what is allowed may be, for a while. */
static bool wants_count(struct broker *broker, const struct work *work, const struct share *share, uint32_t limit)
{
    const struct limited *limited = brake_limit(broker->brake, limit);
    const struct holding *holding;
    uint32_t count;

    if (!limited->limit->share || limited->limit->most == 0)
        return false;
    if (broker->parts.peer && !broker->parts.resolving)
        return false; /* it is decided already */
    count = possible(broker, work, share, limited);
    holding = holding_of(broker, share->peer, limited->type);
    if (count == 0 || holding->counted_for == work->batch->number)
        return false;
    if (broker->parts.peer)
        return holding->counted_for <= broker->parts.since; /* how many there are is known at its end */
    return !holding->known || broker->now_ms - holding->at_ms >= COUNT_FRESH_MS ||
           brake_used(broker->brake, share->row.id, limit, broker->now_us) + count >
               allowed(broker, share->peer, limited);
}

/* Its blocks of the type as an array of PostgreSQL; they are names. */
static const char *blocks_of(struct work *work, const struct peer *peer, uint16_t type)
{
    const char *list = "";

    for (uint16_t i = 0; i < peer->block_count; i++)
        if (peer->blocks[i].type == type)
            list = arena_printf(work->batch->arena, "%s%s%.*s", list, *list ? "," : "",
                                (int)peer->blocks[i].name.length, peer->blocks[i].name.bytes);
    return arena_printf(work->batch->arena, "{%s}", list);
}

bool limits_want_counts(struct broker *broker, struct work *work)
{
    struct wanted_count *wanted = &work->batch->wanted.count;

    if (wanted->agency) { /* what was asked last time */
        struct peer *peer = peer_by_id(broker, wanted->agency);

        *holding_of(broker, peer, wanted->type) = (struct holding){ .records = work->batch->found.count,
                                                                    .at_ms = broker->now_ms,
                                                                    .counted_for = work->batch->number,
                                                                    .known = true };
        *wanted = (struct wanted_count){ 0 };
    }
    for (uint32_t s = 0; s < work->share_count; s++)
        for (uint32_t l = 0; brake_limit(broker->brake, l); l++)
            if (wants_count(broker, work, &work->shares[s], l)) {
                uint16_t type = brake_limit(broker->brake, l)->type;

                *wanted = (struct wanted_count){ .agency = work->shares[s].row.id,
                                                 .type = type,
                                                 .blocks = blocks_of(work, work->shares[s].peer, type) };
                return true;
            }
    return false;
}

static uint32_t *numbers_new(uint32_t count)
{
    uint32_t *numbers = calloc(count, sizeof *numbers);

    if (!numbers)
        abort();
    return numbers;
}

bool limits_of_any(const struct broker *broker, const struct peer *peer)
{
    uint32_t of_type;

    for (uint16_t i = 0; i < peer->block_count; i++) {
        (void)brake_limits_of(broker->brake, peer->blocks[i].type, &of_type);
        if (of_type > 0)
            return true;
    }
    return false;
}

void limits_count(struct broker *broker, struct work *work, const struct share *share, const struct piece *piece,
                  const struct change *change, uint64_t resolved, uint32_t **counts)
{
    const struct agency_block *block = peer_block_named(share->peer, change->block);
    uint32_t of_type, at = brake_limits_of(broker->brake, block->type, &of_type);
    const struct canonical *record;
    struct value *fields;

    if (of_type == 0 || block->mode == MODE_OBSERVE)
        return;
    if (!*counts)
        *counts = numbers_new(brake_limit_count(broker->brake));
    record = change_record(broker, work, share->peer, piece, change, resolved, &fields);
    for (uint32_t l = at; l < at + of_type; l++)
        (*counts)[l] += is_limited(broker, share->peer, brake_limit(broker->brake, l), change, record, fields);
}

uint32_t *limits_meet(struct broker *broker, struct work *work, struct share *share, const uint32_t *counts,
                      uint64_t more)
{
    const struct limited *limited;
    uint32_t *over = NULL;

    for (uint32_t l = 0; counts && (limited = brake_limit(broker->brake, l)); l++) {
        uint64_t most = allowed(broker, share->peer, limited), used;
        struct hold *hold;

        if (counts[l] == 0)
            continue;
        used = brake_used(brake_of(broker, work), share->row.id, l, broker->now_us);
        if (used + counts[l] + more <= most) {
            brake_use(work->brake, share->row.id, l, broker->now_us, counts[l]);
            continue;
        }
        hold = hold_for(broker, work, share->peer, limited->type, limited->unit, HOLD_LIMIT, limited->limit->text);
        if (!over)
            over = numbers_new(brake_limit_count(broker->brake));
        over[l] = hold->row.number;
        action_log(broker, LOG_LEVEL_WARN, share->peer,
                   "%" PRIu64 " changes of %s %s in one transaction are held: the limit is %s, which allows %" PRIu64
                   ", and it had made %" PRIu64 " before; see: selaras hold show %" PRIu32,
                   counts[l] + more, hold->row.type, hold->row.unit, limited->limit->text, most, used,
                   hold->row.number);
    }
    return over;
}

void limits_apply(struct broker *broker, struct work *work, struct share *share, const uint32_t *counts, uint64_t more)
{
    uint32_t count = brake_limit_count(broker->brake), *numbers;
    uint32_t *over = limits_meet(broker, work, share, counts, more);

    work->over = NULL;
    if (!over)
        return;
    work->over = numbers = arena_array(work->batch->arena, count, sizeof *numbers);
    memcpy(numbers, over, count * sizeof *numbers);
    free(over);
}

const uint32_t *limits_holds(struct broker *broker, struct work *work, const struct share *share,
                             const struct change *change, const struct canonical *record, const struct value *fields)
{
    const struct agency_block *block = peer_block_named(share->peer, change->block);
    uint32_t of_type, at, *holds = NULL;

    if (!work->over)
        return NULL;
    at = brake_limits_of(broker->brake, block->type, &of_type);
    for (uint32_t l = at; l < at + of_type; l++) {
        const struct limited *limited = brake_limit(broker->brake, l);

        if (work->over[l] == 0 || !is_limited(broker, share->peer, limited, change, record, fields))
            continue;
        if (!holds)
            holds = arena_array(work->batch->arena, broker->catalog->types[block->type].unit_count, sizeof *holds);
        if (holds[limited->unit] == 0)
            holds[limited->unit] = work->over[l];
    }
    return holds;
}

/* ---- holds ---- */

static const char *const cause_words[HOLD_CAUSE_COUNT] = {
    [HOLD_LIMIT] = "limit",
    [HOLD_DEFECT] = "defect",
    [HOLD_UNKNOWN] = "unknown",
    [HOLD_COLLISION] = "collision",
};

struct hold *hold_for(struct broker *broker, struct work *work, const struct peer *peer, uint16_t type, uint16_t unit,
                      enum hold_cause cause, const char *reason)
{
    struct brake *brake = brake_of(broker, work);
    struct hold *hold = brake_hold_of(brake, peer->row.id, type, unit, reason);
    struct entry_row *row;

    if (hold)
        return hold;
    row = entry_add(broker, work, ENTRY_HOLD, peer);
    hold = brake_hold_open(brake, peer->row.id, type, unit, cause, reason, row->entry.position);
    row->boundary = false; /* it stands before a change of its transaction, or behind one */
    row->entry.type = text_of(broker->catalog->types[type].name);
    row->entry.fields = arena_alloc(work->batch->arena, sizeof *row->entry.fields);
    row->entry.fields[0] = (struct entry_field){ .name = text_of(broker->catalog->types[type].units[unit].name),
                                                 .verdict = VERDICT_HELD,
                                                 .rule = text_of(cause_words[cause]) };
    row->entry.field_count = 1;
    entry_say(broker, work, row, cause_words[cause],
              arena_printf(work->batch->arena, "hold %" PRIu32 ": %s", hold->row.number, reason));
    return hold;
}

/* One row a batch for what is held of a unit, whatever happens to it. */
static struct held_write *write_for(struct work *work, uint32_t hold, uint64_t record, uint16_t unit)
{
    struct writes *writes = &work->batch->writes;
    uint64_t key[2] = { record, (uint64_t)hold << 16 | unit };
    void **slot;

    if (!work->held_index)
        work->held_index = map_new(work->batch->arena, work->batch->hash_key);
    slot = map_slot(work->held_index, key, sizeof key);
    if (!*slot) {
        writes->helds = room(work, writes->helds, writes->held_count, &work->held_capacity, sizeof *writes->helds);
        *slot = (void *)(uintptr_t)++writes->held_count;
    }
    return &writes->helds[(uintptr_t)*slot - 1];
}

/* What is wrong with a value is the rule of its verdict. */
static const char *defect_of(struct work *work, const struct canonical *record, uint16_t unit,
                             const struct outcome *outcome)
{
    const struct catalog_unit *known = &record->type->units[unit];
    const char *name = record->type->fields[known->fields[0]].name;

    for (uint16_t i = 0; i < outcome->field_count; i++)
        if (strlen(name) == outcome->fields[i].name.length &&
            memcmp(name, outcome->fields[i].name.bytes, outcome->fields[i].name.length) == 0)
            return arena_copy(work->batch->arena, outcome->fields[i].rule.bytes, outcome->fields[i].rule.length);
    return "defect";
}

void hold_notes(struct broker *broker, struct work *work, const struct peer *peer, struct canonical *record,
                uint64_t listed, const struct outcome *outcome, feed_position entry, const char *how)
{
    uint16_t type = (uint16_t)(record->type - broker->catalog->types);

    for (uint16_t i = 0; i < outcome->note_count; i++) {
        const struct held_note *note = &outcome->notes[i];
        uint32_t number = note->hold;
        struct held_write *write;
        struct hold *hold;
        uint64_t about;

        if (number == 0) {
            struct held *held = held_find(record, peer->index, note->unit);

            assert(held && note->step == HELD_OPENED);
            hold = hold_for(broker, work, peer, type, note->unit, note->others[0] ? HOLD_COLLISION : HOLD_DEFECT,
                            defect_of(work, record, note->unit, outcome));
            number = held->hold = hold->row.number;
        }
        hold = brake_hold_numbered(brake_of(broker, work), number);
        if (hold && note->step == HELD_OPENED)
            hold->row.changes++;
        if (hold && note->step == HELD_ENDED)
            hold->row.changes--;
        about = note->step == HELD_ENDED ? listed : record->number;
        write = write_for(work, number, about, note->unit);
        *write = (struct held_write){ .hold = number,
                                      .record = about,
                                      .unit = record->type->units[note->unit].name,
                                      .operation = note->operation,
                                      .others = { note->others[0], note->others[1] },
                                      .entry = entry,
                                      .how = note->step != HELD_ENDED       ? NULL
                                             : how                          ? how
                                             : note->unit == UNIT_EXISTENCE ? "withdrawn"
                                                                            : "corrected" };
    }
}

void entry_withhold(struct broker *broker, struct work *work, struct entry_row *row, const struct peer *writer,
                    const struct canonical *record)
{
    uint16_t *ids = NULL;

    for (uint16_t i = 0; i < record->held_count && row->effect.length > 0; i++) {
        const struct held *held = &record->helds[i];

        if (held->unit != UNIT_EXISTENCE || held->agency == writer->index || held->agency >= broker->ids.count)
            continue;
        if (!ids)
            row->withheld = ids = arena_array(work->batch->arena, record->held_count, sizeof *ids);
        ids[row->withheld_count++] = broker->ids.id[held->agency];
    }
}
