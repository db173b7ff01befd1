#include "daemon/canonical.h"

#include "proto/cursor.h"
#include "proto/pack.h"

#include <assert.h>
#include <string.h>

struct canonical *canonical_new(struct arena *arena, const struct catalog_type *type, uint64_t number)
{
    struct canonical *record = arena_alloc(arena, sizeof *record);

    record->type = type;
    record->number = number;
    record->values = arena_array(arena, type->field_count, sizeof *record->values);
    record->units = arena_array(arena, type->unit_count, sizeof *record->units);
    for (uint16_t i = 0; i < type->field_count; i++)
        record->values[i] = value_null();
    for (uint16_t i = 0; i < type->unit_count; i++)
        record->units[i].writer = AGENCY_NOBODY;
    return record;
}

void canonical_note_stored(struct arena *arena, struct canonical *record)
{
    size_t size = record->type->field_count * sizeof *record->stored;

    record->stored = arena_alloc(arena, size);
    memcpy(record->stored, record->values, size);
}

static struct sent *sent_at(const struct sent_list *list, agency_index agency)
{
    for (uint16_t i = 0; i < list->count; i++)
        if (list->sent[i].agency == agency)
            return &list->sent[i];
    return NULL;
}

feed_position sent_find(const struct sent_list *list, agency_index agency)
{
    const struct sent *sent = sent_at(list, agency);

    return sent ? sent->position : 0;
}

void sent_set(struct arena *arena, struct sent_list *list, agency_index agency, feed_position position)
{
    struct sent *sent = sent_at(list, agency);
    struct sent *grown;

    if (sent) {
        if (sent->position < position)
            sent->position = position;
        return;
    }
    grown = arena_array(arena, (size_t)list->count + 1, sizeof *grown);
    if (list->count > 0)
        memcpy(grown, list->sent, list->count * sizeof *grown);
    grown[list->count] = (struct sent){ .agency = agency, .position = position };
    list->sent = grown;
    list->count++;
}

void sent_prune(struct sent_list *list, agency_index agency, feed_position seen)
{
    struct sent *sent = sent_at(list, agency);

    if (sent && sent->position <= seen)
        *sent = list->sent[--list->count];
}

struct held *held_find(const struct canonical *record, agency_index agency, uint16_t unit)
{
    for (uint16_t i = 0; i < record->held_count; i++)
        if (record->helds[i].agency == agency && record->helds[i].unit == unit)
            return &record->helds[i];
    return NULL;
}

struct held *held_add(struct arena *arena, struct canonical *record, agency_index agency, uint16_t unit)
{
    struct held *grown = arena_array(arena, record->held_count + 1u, sizeof *grown);

    assert(!held_find(record, agency, unit));
    if (record->held_count > 0)
        memcpy(grown, record->helds, record->held_count * sizeof *grown);
    grown[record->held_count] = (struct held){ .agency = agency, .unit = unit };
    record->helds = grown;
    return &grown[record->held_count++];
}

void held_remove(struct canonical *record, const struct held *held)
{
    record->helds[held - record->helds] = record->helds[--record->held_count];
}

/* How the special writers are stored; agencies have numbers from 1 up to here. */
enum { META_FORMAT = 4, ID_NOBODY = 0, ID_GONE = 65535 };

static uint16_t id_of(const struct agency_ids *ids, agency_index agency)
{
    switch (agency) {
    case AGENCY_NOBODY:
        return ID_NOBODY;
    case AGENCY_GONE:
        return ID_GONE;
    default:
        assert(agency < ids->count && ids->id[agency] != 0);
        return ids->id[agency];
    }
}

static agency_index index_of(const struct agency_ids *ids, uint64_t id)
{
    if (id == ID_NOBODY)
        return AGENCY_NOBODY;
    for (uint8_t i = 0; i < ids->count; i++)
        if (ids->id[i] == id)
            return i;
    return AGENCY_GONE;
}

static void pack_sent(msgpack_packer *packer, const struct agency_ids *ids, const struct sent_list *list)
{
    msgpack_pack_array(packer, list->count);
    for (uint16_t i = 0; i < list->count; i++) {
        msgpack_pack_array(packer, 2);
        msgpack_pack_uint16(packer, id_of(ids, list->sent[i].agency));
        msgpack_pack_uint64(packer, list->sent[i].position);
    }
}

/* How many values `before` has. */
static uint16_t unit_values(const struct catalog_unit *unit)
{
    return unit->field_count > 0 ? unit->field_count : 1;
}

/* Most units of a record were written by the same few changes. */
static bool same_write(const struct unit_state *left, const struct unit_state *right)
{
    return left->seq == right->seq && left->writer == right->writer && left->echoed == right->echoed &&
           left->time_us == right->time_us && left->clock_known == right->clock_known &&
           left->offset_us == right->offset_us && left->uncertainty_us == right->uncertainty_us;
}

static void pack_clock(msgpack_packer *packer, bool known, int64_t offset_us, int64_t uncertainty_us)
{
    if (!known) {
        msgpack_pack_nil(packer);
        return;
    }
    msgpack_pack_array(packer, 2);
    msgpack_pack_int64(packer, offset_us);
    msgpack_pack_int64(packer, uncertainty_us);
}

static void pack_write(msgpack_packer *packer, const struct agency_ids *ids, const struct unit_state *state)
{
    msgpack_pack_array(packer, 5);
    msgpack_pack_uint64(packer, state->seq);
    msgpack_pack_uint16(packer, id_of(ids, state->writer));
    pack_bool(packer, state->echoed);
    msgpack_pack_int64(packer, state->time_us);
    pack_clock(packer, state->clock_known, state->offset_us, state->uncertainty_us);
}

/* `last`: the unit packed before it, or NULL. */
static void pack_unit(msgpack_packer *packer, const struct agency_ids *ids, const struct catalog_unit *unit,
                      const struct unit_state *state, const struct unit_state *last)
{
    uint16_t before_count = unit_values(unit);

    msgpack_pack_array(packer, 4);
    pack_text(packer, (struct text){ unit->name, (uint32_t)strlen(unit->name) });
    if (last && same_write(state, last))
        msgpack_pack_nil(packer);
    else
        pack_write(packer, ids, state);
    pack_sent(packer, ids, &state->corrections);
    msgpack_pack_array(packer, state->before ? before_count : 0);
    for (uint16_t i = 0; state->before && i < before_count; i++)
        pack_value(packer, state->before[i].state == VALUE_ABSENT ? value_null() : state->before[i]);
}

static bool is_written(const struct unit_state *state)
{
    return state->seq > 0 || state->corrections.count > 0;
}

static void pack_held(msgpack_packer *packer, const struct agency_ids *ids, const struct catalog_type *type,
                      const struct held *held)
{
    uint32_t count = 0;

    msgpack_pack_array(packer, 13);
    msgpack_pack_uint16(packer, id_of(ids, held->agency));
    pack_text(packer, (struct text){ type->units[held->unit].name, (uint32_t)strlen(type->units[held->unit].name) });
    msgpack_pack_uint32(packer, held->hold);
    pack_bool(packer, held->defect);
    msgpack_pack_uint64(packer, held->others[0]);
    msgpack_pack_uint64(packer, held->others[1]);
    msgpack_pack_int(packer, held->operation);
    msgpack_pack_uint64(packer, held->entry);
    msgpack_pack_uint64(packer, held->base);
    pack_bool(packer, held->nothing_seen);
    msgpack_pack_int64(packer, held->commit_time_us);
    pack_clock(packer, held->clock_known, held->clock_offset_us, held->clock_uncertainty_us);
    for (uint16_t i = 0; i < type->field_count; i++)
        count += held->values[i].state != VALUE_ABSENT;
    msgpack_pack_array(packer, count);
    for (uint16_t i = 0; i < type->field_count; i++) {
        if (held->values[i].state == VALUE_ABSENT)
            continue;
        msgpack_pack_array(packer, 2);
        pack_text(packer, (struct text){ type->fields[i].name, (uint32_t)strlen(type->fields[i].name) });
        pack_value(packer, held->values[i]);
    }
}

/* [ 4 { [ agency position ] } { [ "unit" write { [ agency position ] } { before } ] } { held } same ]; a write is [ seq
 * writer echoed time clock ], or nil: that of the unit before; held is [ agency "unit" hold defect other other
 * operation entry base nothing-seen time clock { [ "field" value ] } ]; same is nil or [ record position { [ agency
 * position ] } ]. */
void canonical_meta_pack(const struct canonical *record, const struct agency_ids *ids, struct buffer *out)
{
    const struct unit_state *last = NULL;
    msgpack_packer packer;
    uint16_t count = 0;

    for (uint16_t i = 0; i < record->type->unit_count; i++)
        count = (uint16_t)(count + is_written(&record->units[i]));
    pack_start(&packer, out);
    msgpack_pack_array(&packer, 5);
    msgpack_pack_int(&packer, META_FORMAT);
    pack_sent(&packer, ids, &record->wholes);
    msgpack_pack_array(&packer, count);
    for (uint16_t i = 0; i < record->type->unit_count; i++) {
        if (!is_written(&record->units[i]))
            continue;
        pack_unit(&packer, ids, &record->type->units[i], &record->units[i], last);
        last = &record->units[i];
    }
    msgpack_pack_array(&packer, record->held_count);
    for (uint16_t i = 0; i < record->held_count; i++)
        pack_held(&packer, ids, record->type, &record->helds[i]);
    if (record->same_as == 0) {
        msgpack_pack_nil(&packer);
        return;
    }
    msgpack_pack_array(&packer, 3);
    msgpack_pack_uint64(&packer, record->same_as);
    msgpack_pack_uint64(&packer, record->same_at);
    pack_sent(&packer, ids, &record->passed);
}

static void read_sent(struct cursor *cursor, struct arena *arena, const struct agency_ids *ids, struct sent_list *list)
{
    uint32_t count = cursor_list(cursor, "sent", 0, CATALOG_AGENCIES_MAX + 1, 3);

    list->sent = arena_array(arena, count, sizeof *list->sent);
    for (uint32_t i = 0; i < count; i++) {
        cursor_tuple(cursor, NULL, 2);
        list->sent[i].agency = index_of(ids, cursor_uint(cursor, "agency", 0, UINT16_MAX));
        list->sent[i].position = cursor_uint(cursor, "position", 0, UINT_MOST);
        cursor_leave(cursor);
    }
    list->count = (uint16_t)count;
    cursor_leave(cursor);
}

/* The unit of this name; units are stored in the catalog's order, so the next one is tried first. NULL: lost since. */
static struct unit_state *unit_named(struct canonical *record, struct text name, uint16_t *hint)
{
    for (uint16_t i = 0; i < record->type->unit_count; i++) {
        uint16_t at = (uint16_t)((*hint + i) % record->type->unit_count);
        const char *unit = record->type->units[at].name;

        if (strlen(unit) == name.length && memcmp(unit, name.bytes, name.length) == 0) {
            *hint = (uint16_t)(at + 1);
            return &record->units[at];
        }
    }
    return NULL;
}

/* False: it is not known. */
static bool read_clock(struct cursor *cursor, int64_t *offset_us, int64_t *uncertainty_us)
{
    if (cursor_nil(cursor))
        return false;
    cursor_tuple(cursor, "clock", 2);
    *offset_us = cursor_int(cursor, "offset", INT64_MIN, INT64_MAX);
    *uncertainty_us = cursor_int(cursor, "uncertainty", 0, INT64_MAX);
    cursor_leave(cursor);
    return true;
}

static void read_write(struct cursor *cursor, const struct agency_ids *ids, struct unit_state *state)
{
    cursor_tuple(cursor, "write", 5);
    state->seq = cursor_uint(cursor, "seq", 0, UINT_MOST);
    state->writer = index_of(ids, cursor_uint(cursor, "writer", 0, UINT16_MAX));
    state->echoed = cursor_bool(cursor, "echoed");
    state->time_us = cursor_time(cursor, "time");
    state->clock_known = read_clock(cursor, &state->offset_us, &state->uncertainty_us);
    cursor_leave(cursor);
}

/* What is being read: where the next unit is looked for first, and the last write. */
struct reading {
    const struct agency_ids *ids;
    struct canonical *record;
    uint16_t hint;
    bool written;
    struct unit_state last;
};

static void read_unit(struct cursor *cursor, struct arena *arena, struct reading *reading)
{
    struct canonical *record = reading->record;
    struct unit_state *state, lost;
    uint32_t before_count, room;

    cursor_tuple(cursor, NULL, 4);
    state = unit_named(record, cursor_name(cursor, "unit"), &reading->hint);
    room = state ? unit_values(&record->type->units[state - record->units]) : 1;
    if (!state)
        state = &lost;
    if (!reading->written || !cursor_nil(cursor)) {
        reading->last = (struct unit_state){ 0 };
        read_write(cursor, reading->ids, &reading->last);
        reading->written = true;
    }
    *state = reading->last;
    read_sent(cursor, arena, reading->ids, &state->corrections);
    before_count = cursor_list(cursor, "before", 0, CATALOG_FIELDS_MAX, 1);
    if (room < before_count)
        room = before_count; /* a group has lost fields since */
    state->before = before_count > 0 ? arena_array(arena, room, sizeof *state->before) : NULL;
    for (uint32_t i = 0; i < before_count; i++)
        state->before[i] = cursor_value(cursor, "before");
    cursor_leave(cursor);
    cursor_leave(cursor);
}

/* What is held of a unit or field that the type has lost since is lost with it: the ledger has it. */
static void read_held(struct cursor *cursor, struct arena *arena, struct reading *reading)
{
    struct canonical *record = reading->record;
    struct held *held, lost = { 0 };
    agency_index agency;
    struct unit_state *unit;
    uint32_t count;

    cursor_tuple(cursor, NULL, 13);
    agency = index_of(reading->ids, cursor_uint(cursor, "agency", 0, UINT16_MAX));
    unit = unit_named(record, cursor_name(cursor, "unit"), &reading->hint);
    held = unit && !held_find(record, agency, (uint16_t)(unit - record->units))
               ? held_add(arena, record, agency, (uint16_t)(unit - record->units))
               : &lost;
    held->hold = (uint32_t)cursor_uint(cursor, "hold", 0, UINT32_MAX);
    held->defect = cursor_bool(cursor, "defect");
    held->others[0] = cursor_uint(cursor, "other", 0, UINT_MOST);
    held->others[1] = cursor_uint(cursor, "other", 0, UINT_MOST);
    held->operation = (enum operation)cursor_uint(cursor, "operation", OPERATION_INSERT, OPERATION_DELETE);
    held->entry = cursor_uint(cursor, "entry", 0, UINT_MOST);
    held->base = cursor_uint(cursor, "base", 0, UINT_MOST);
    held->nothing_seen = cursor_bool(cursor, "nothing seen");
    held->commit_time_us = cursor_time(cursor, "time");
    held->clock_known = read_clock(cursor, &held->clock_offset_us, &held->clock_uncertainty_us);
    held->values = arena_array(arena, record->type->field_count, sizeof *held->values);
    count = cursor_list(cursor, "fields", 0, CATALOG_FIELDS_MAX, 3);
    for (uint32_t i = 0; i < count; i++) {
        struct text name;
        struct value value;
        int field;

        cursor_tuple(cursor, NULL, 2);
        name = cursor_name(cursor, "field");
        value = cursor_value(cursor, "value");
        field = catalog_field(record->type, name.bytes, name.length);
        if (field >= 0)
            held->values[field] = value;
        cursor_leave(cursor);
    }
    cursor_leave(cursor);
    cursor_leave(cursor);
}

static void read_same(struct cursor *cursor, struct arena *arena, const struct agency_ids *ids,
                      struct canonical *record)
{
    if (cursor_nil(cursor))
        return;
    cursor_tuple(cursor, "same", 3);
    record->same_as = cursor_uint(cursor, "record", 1, UINT_MOST);
    record->same_at = cursor_uint(cursor, "position", 0, UINT_MOST);
    read_sent(cursor, arena, ids, &record->passed);
    cursor_leave(cursor);
}

int canonical_meta_read(struct arena *arena, const void *bytes, size_t length, const struct agency_ids *ids,
                        struct canonical *record, struct error *err)
{
    struct reading reading = { .ids = ids, .record = record };
    struct cursor cursor;
    uint32_t count;

    cursor_start(&cursor, "record metadata", bytes, length, arena);
    cursor_tuple(&cursor, "metadata", 5);
    cursor_uint(&cursor, "format", META_FORMAT, META_FORMAT);
    read_sent(&cursor, arena, ids, &record->wholes);
    count = cursor_list(&cursor, "units", 0, CATALOG_FIELDS_MAX + 1, 4);
    for (uint32_t i = 0; i < count; i++)
        read_unit(&cursor, arena, &reading);
    cursor_leave(&cursor);
    count = cursor_list(&cursor, "held", 0, UINT16_MAX, 13);
    for (uint32_t i = 0; i < count; i++)
        read_held(&cursor, arena, &reading);
    cursor_leave(&cursor);
    read_same(&cursor, arena, ids, record);
    cursor_leave(&cursor);
    if (cursor_finish(&cursor, err) < 0)
        return error_set(
            err, ERR_STOP,
            "selaras.%s: record %llu: its metadata is not what the broker wrote (%s); restore it from the ledger",
            record->type->name, (unsigned long long)record->number, cursor.problem);
    return 0;
}
