#include "proto/entry.h"

#include "proto/pack.h"
#include "proto/read.h"

#include <assert.h>
#include <string.h>

enum {
    LEAF_BYTES_MAX = 65535, /* what a tile of the log may hold of one entry (C2SP tlog-tiles) */
    ENTRY_FIELDS_MAX = 512, /* a type has at most 128 fields, as many groups, and its existence */
    VERDICT_BYTES_LEAST = 5,
};

const char *entry_kind_name(enum entry_kind kind)
{
    static const char *const names[ENTRY_KIND_COUNT] = {
        [ENTRY_NONE] = "none",
        [ENTRY_OPENING] = "opening",
        [ENTRY_CHANGE] = "change",
        [ENTRY_ITEM] = "item",
        [ENTRY_LOAD_START] = "load start",
        [ENTRY_LOAD_END] = "load end",
        [ENTRY_ENROLMENT] = "enrolment",
        [ENTRY_REVOCATION] = "revocation",
        [ENTRY_CATALOG] = "catalog",
        [ENTRY_MAPPING] = "mapping",
        [ENTRY_RESERVED] = "reserved",
        [ENTRY_MODE] = "mode",
        [ENTRY_QUARANTINE] = "quarantine",
        [ENTRY_PARKED] = "parked",
        [ENTRY_RELEASED] = "released",
        [ENTRY_CLOSED] = "closed",
        [ENTRY_REVEAL] = "reveal",
        [ENTRY_RESUMED] = "resumed",
        [ENTRY_HOLD] = "hold",
        [ENTRY_HOLD_RELEASED] = "hold released",
        [ENTRY_HOLD_REJECTED] = "hold rejected",
        [ENTRY_SAME] = "same",
        [ENTRY_DIFFERENT] = "different",
        [ENTRY_GIVEN_UP] = "given up",
    };

    assert(kind < ENTRY_KIND_COUNT);
    return names[kind];
}

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[VERDICT_COUNT] = {
        [VERDICT_NONE] = "none",         [VERDICT_APPLIED] = "applied", [VERDICT_UNCHANGED] = "unchanged",
        [VERDICT_WON] = "won",           [VERDICT_LOST] = "lost",       [VERDICT_PUT_BACK] = "put back",
        [VERDICT_PROPOSED] = "proposed", [VERDICT_HELD] = "held",
    };

    assert(verdict < VERDICT_COUNT);
    return names[verdict];
}

/* source, base and commit-time: nil unless the entry came from a stream. */
static void pack_sourced(msgpack_packer *packer, const struct entry *entry)
{
    if (!entry->sourced) {
        msgpack_pack_nil(packer);
        msgpack_pack_nil(packer);
        msgpack_pack_nil(packer);
        return;
    }
    msgpack_pack_array(packer, 3);
    msgpack_pack_uint32(packer, entry->source.incarnation);
    msgpack_pack_uint64(packer, entry->source.lsn);
    msgpack_pack_uint32(packer, entry->source.number);
    if (entry->nothing_seen)
        msgpack_pack_nil(packer);
    else
        msgpack_pack_uint64(packer, entry->base);
    msgpack_pack_int64(packer, entry->commit_time_us);
}

static void pack_clock(msgpack_packer *packer, const struct entry *entry)
{
    if (!entry->clock_known) {
        msgpack_pack_nil(packer);
        return;
    }
    msgpack_pack_array(packer, 2);
    msgpack_pack_int64(packer, entry->clock_offset_us);
    msgpack_pack_int64(packer, entry->clock_uncertainty_us);
}

static void pack_verdicts(msgpack_packer *packer, const struct entry *entry)
{
    msgpack_pack_array(packer, entry->field_count);
    for (uint16_t i = 0; i < entry->field_count; i++) {
        msgpack_pack_array(packer, 3);
        pack_text(packer, entry->fields[i].name);
        msgpack_pack_uint8(packer, (uint8_t)entry->fields[i].verdict);
        pack_text(packer, entry->fields[i].rule);
    }
}

/* PROTOCOL 8 */
void entry_pack(const struct entry *entry, struct buffer *out)
{
    size_t start = out->length;
    msgpack_packer packer;

    pack_start(&packer, out);
    msgpack_pack_array(&packer, 17);
    msgpack_pack_uint8(&packer, ENTRY_FORMAT);
    msgpack_pack_uint64(&packer, entry->position);
    msgpack_pack_int64(&packer, entry->time_us);
    msgpack_pack_uint8(&packer, (uint8_t)entry->kind);
    pack_text(&packer, entry->agency);
    pack_sourced(&packer, entry);
    pack_clock(&packer, entry);
    pack_text(&packer, entry->type);
    msgpack_pack_uint64(&packer, entry->record);
    msgpack_pack_uint64(&packer, entry->other_record);
    msgpack_pack_uint64(&packer, entry->refers);
    msgpack_pack_uint8(&packer, (uint8_t)entry->operation);
    pack_verdicts(&packer, entry);
    msgpack_pack_uint32(&packer, entry->catalog_version);
    pack_hash_or_nil(&packer, entry->commitment);
    assert(out->length - start <= LEAF_BYTES_MAX);
}

static void read_sourced(struct cursor *cursor, struct entry *entry)
{
    entry->sourced = !cursor_nil(cursor);
    if (!entry->sourced) {
        cursor_nothing(cursor, "base");
        cursor_nothing(cursor, "commit-time");
        return;
    }
    cursor_tuple(cursor, "source", 3);
    entry->source.incarnation = (uint32_t)cursor_uint(cursor, "incarnation", 0, SMALL_MOST);
    entry->source.lsn = cursor_uint(cursor, "lsn", 0, UINT_MOST);
    entry->source.number = (uint32_t)cursor_uint(cursor, "number", 0, SMALL_MOST);
    cursor_leave(cursor);
    entry->nothing_seen = cursor_nil(cursor);
    if (!entry->nothing_seen)
        entry->base = cursor_uint(cursor, "base", 0, UINT_MOST);
    entry->commit_time_us = cursor_time(cursor, "commit-time");
}

static void read_clock(struct cursor *cursor, struct entry *entry)
{
    entry->clock_known = !cursor_nil(cursor);
    if (!entry->clock_known)
        return;
    cursor_tuple(cursor, "clock", 2);
    entry->clock_offset_us = cursor_int(cursor, "offset", INT64_MIN, INT64_MAX);
    entry->clock_uncertainty_us = cursor_int(cursor, "uncertainty", INT64_MIN, INT64_MAX);
    cursor_leave(cursor);
}

static void read_verdicts(struct cursor *cursor, struct entry *entry)
{
    uint32_t count = cursor_list(cursor, "verdicts", 0, ENTRY_FIELDS_MAX, VERDICT_BYTES_LEAST);

    entry->fields = arena_array(cursor->arena, count, sizeof *entry->fields);
    entry->field_count = (uint16_t)count;
    for (uint32_t i = 0; i < count && cursor_ok(cursor); i++) {
        struct entry_field *field = &entry->fields[i];

        cursor_tuple(cursor, NULL, 3);
        field->name = cursor_name(cursor, "field");
        field->verdict = (enum verdict)cursor_uint(cursor, "verdict", VERDICT_NONE + 1, VERDICT_COUNT - 1);
        field->rule = cursor_text(cursor, "rule");
        cursor_leave(cursor);
    }
    cursor_leave(cursor);
}

static void read_leaf(struct cursor *cursor, struct entry *entry)
{
    cursor_tuple(cursor, "leaf", 17);
    cursor_uint(cursor, "format", ENTRY_FORMAT, ENTRY_FORMAT);
    entry->position = cursor_uint(cursor, "position", 0, UINT_MOST);
    entry->time_us = cursor_time(cursor, "time");
    entry->kind = (enum entry_kind)cursor_uint(cursor, "kind", ENTRY_NONE + 1, ENTRY_KIND_COUNT - 1);
    if (entry->kind == ENTRY_RESERVED)
        cursor_refuse(cursor, "this kind is reserved");
    entry->agency = cursor_text(cursor, "agency");
    read_sourced(cursor, entry);
    read_clock(cursor, entry);
    entry->type = cursor_text(cursor, "type");
    entry->record = cursor_uint(cursor, "record", 0, UINT_MOST);
    entry->other_record = cursor_uint(cursor, "other", 0, UINT_MOST);
    entry->refers = cursor_uint(cursor, "refers", 0, UINT_MOST);
    entry->operation = (enum operation)cursor_uint(cursor, "operation", OPERATION_NONE, OPERATION_COUNT - 1);
    read_verdicts(cursor, entry);
    entry->catalog_version = (uint32_t)cursor_uint(cursor, "catalog-version", 0, SMALL_MOST);
    cursor_bytes_or_nil(cursor, "commitment", entry->commitment, sizeof entry->commitment);
    cursor_leave(cursor);
}

/* Whether these are the bytes, and the only ones, that say what `entry` says. */
static bool is_leaf_of(const struct entry *entry, const void *leaf, size_t length)
{
    scoped(buffer_free) struct buffer packed = { 0 };

    entry_pack(entry, &packed);
    return packed.length == length && memcmp(packed.bytes, leaf, length) == 0;
}

int entry_read(struct arena *arena, const void *leaf, size_t length, struct entry *ret, struct error *err)
{
    struct cursor cursor;
    struct entry entry = { 0 };

    if (length > LEAF_BYTES_MAX)
        return error_set(err, ERR_REJECT, "leaf: %zu bytes are more than the %d that an entry may have", length,
                         LEAF_BYTES_MAX);
    cursor_start(&cursor, "leaf", leaf, length, arena);
    read_leaf(&cursor, &entry);
    if (cursor_finish(&cursor, err) < 0)
        return err->code;
    /* Two spellings of one entry would be two leaves: only the shortest is an entry. */
    if (!is_leaf_of(&entry, leaf, length))
        return error_set(err, ERR_REJECT, "leaf: not in the one encoding that an entry has (PROTOCOL 8)");
    *ret = entry;
    return 0;
}
