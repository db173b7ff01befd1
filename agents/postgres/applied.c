#include "agents/postgres/applied.h"
#include "proto/cursor.h"
#include "proto/pack.h"

enum { REPORT_BYTES_LEAST = 7, BLOCK_BYTES_LEAST = 4, FIELD_BYTES_LEAST = 2, ROW_BYTES_LEAST = 5, DIGEST_BYTES = 4 };

/* FNV-1a, so that it is the same on every machine. NULL and the empty text differ. */
uint32_t value_digest(struct value value)
{
    uint32_t digest = 2166136261u ^ (uint32_t)value.state;

    if (value.state == VALUE_ABSENT)
        return 0;
    for (uint32_t i = 0; value.state == VALUE_SET && i < value.length; i++)
        digest = (digest ^ (uint8_t)value.bytes[i]) * 16777619u;
    return digest ? digest : 1;
}

static void pack_report(msgpack_packer *packer, const struct report *report)
{
    msgpack_pack_array(packer, 5);
    msgpack_pack_uint8(packer, (uint8_t)report->kind);
    msgpack_pack_uint64(packer, report->record);
    msgpack_pack_uint64(packer, report->position);
    pack_text(packer, report->block);
    pack_text(packer, report->text);
}

static void pack_block(msgpack_packer *packer, const struct wrote_block *block)
{
    msgpack_pack_array(packer, 2);
    pack_text(packer, block->name);
    msgpack_pack_array(packer, block->field_count);
    for (uint16_t i = 0; i < block->field_count; i++)
        pack_text(packer, block->fields[i]);
}

static void pack_row(msgpack_packer *packer, const struct wrote_row *row, uint16_t field_count)
{
    msgpack_pack_array(packer, 4);
    msgpack_pack_uint16(packer, row->block);
    pack_text(packer, row->key);
    msgpack_pack_uint64(packer, row->record);
    if (row->gone) {
        msgpack_pack_nil(packer);
        return;
    }
    msgpack_pack_bin(packer, (size_t)field_count * DIGEST_BYTES);
    for (uint16_t i = 0; i < field_count; i++) {
        const uint32_t digest = row->digests[i];
        const uint8_t bytes[DIGEST_BYTES] = { (uint8_t)(digest >> 24), (uint8_t)(digest >> 16), (uint8_t)(digest >> 8),
                                              (uint8_t)digest };

        msgpack_pack_bin_body(packer, bytes, sizeof bytes);
    }
}

void applied_pack(const struct applied *applied, struct buffer *out)
{
    msgpack_packer packer;

    pack_start(&packer, out);
    msgpack_pack_array(&packer, 5);
    msgpack_pack_uint64(&packer, applied->position);
    msgpack_pack_array(&packer, applied->report_count);
    for (uint32_t i = 0; i < applied->report_count; i++)
        pack_report(&packer, &applied->reports[i]);
    pack_bool(&packer, applied->whole);
    msgpack_pack_array(&packer, applied->block_count);
    for (uint16_t i = 0; i < applied->block_count; i++)
        pack_block(&packer, &applied->blocks[i]);
    msgpack_pack_array(&packer, applied->row_count);
    for (uint32_t i = 0; i < applied->row_count; i++)
        pack_row(&packer, &applied->rows[i], applied->blocks[applied->rows[i].block].field_count);
}

static void read_report(struct cursor *cursor, struct report *report)
{
    cursor_tuple(cursor, NULL, 5);
    report->kind = (enum report_kind)cursor_uint(cursor, "what", REPORT_NONE + 1, REPORT_COUNT - 1);
    report->record = cursor_uint(cursor, "record", 0, UINT_MOST);
    report->position = cursor_uint(cursor, "position", 0, UINT_MOST);
    report->block = cursor_name(cursor, "block");
    report->text = cursor_text(cursor, "text");
    cursor_leave(cursor);
}

static void read_block(struct cursor *cursor, struct wrote_block *block)
{
    cursor_tuple(cursor, NULL, 2);
    block->name = cursor_name(cursor, "block");
    block->field_count = (uint16_t)cursor_list(cursor, "fields", 0, UINT16_MAX, FIELD_BYTES_LEAST);
    block->fields = arena_array(cursor->arena, block->field_count, sizeof *block->fields);
    for (uint16_t i = 0; i < block->field_count && cursor_ok(cursor); i++)
        block->fields[i] = cursor_name(cursor, NULL);
    cursor_leave(cursor);
    cursor_leave(cursor);
}

static void read_digests(struct cursor *cursor, struct wrote_row *row, uint16_t field_count)
{
    const struct text bin = cursor_bin(cursor, "digests");
    uint32_t *digests = arena_array(cursor->arena, field_count, sizeof *digests);

    if (bin.length != (size_t)field_count * DIGEST_BYTES)
        cursor_refuse(cursor, "does not have %d bytes a field", DIGEST_BYTES);
    for (uint32_t i = 0; cursor_ok(cursor) && i < bin.length; i++)
        digests[i / DIGEST_BYTES] = digests[i / DIGEST_BYTES] << 8 | (uint8_t)bin.bytes[i];
    row->digests = digests;
}

static void read_row(struct cursor *cursor, const struct applied *applied, struct wrote_row *row)
{
    cursor_tuple(cursor, NULL, 4);
    row->block = (uint16_t)cursor_uint(cursor, "block", 0, UINT16_MAX);
    if (cursor_ok(cursor) && row->block >= applied->block_count)
        cursor_refuse(cursor, "is none of the blocks");
    row->key = cursor_text(cursor, "key");
    row->record = cursor_uint(cursor, "record", 0, UINT_MOST);
    row->gone = cursor_nil(cursor);
    if (cursor_ok(cursor) && !row->gone)
        read_digests(cursor, row, applied->blocks[row->block].field_count);
    cursor_leave(cursor);
}

/* Anyone who may act under our origin could have written it, so it is read like what a peer sends. */
int applied_read(struct arena *arena, const void *bytes, size_t length, struct applied *ret, struct error *err)
{
    struct applied applied = { 0 };
    struct cursor cursor;

    cursor_start(&cursor, "message of an apply transaction", bytes, length, arena);
    cursor_tuple(&cursor, "applied", 5);
    applied.position = cursor_uint(&cursor, "position", 0, UINT_MOST);
    applied.report_count = cursor_list(&cursor, "reports", 0, UINT32_MAX, REPORT_BYTES_LEAST);
    applied.reports = arena_array(arena, applied.report_count, sizeof *applied.reports);
    for (uint32_t i = 0; i < applied.report_count && cursor_ok(&cursor); i++)
        read_report(&cursor, &applied.reports[i]);
    cursor_leave(&cursor);
    applied.whole = cursor_bool(&cursor, "whole");
    applied.block_count = (uint16_t)cursor_list(&cursor, "blocks", 0, UINT16_MAX, BLOCK_BYTES_LEAST);
    applied.blocks = arena_array(arena, applied.block_count, sizeof *applied.blocks);
    for (uint16_t i = 0; i < applied.block_count && cursor_ok(&cursor); i++)
        read_block(&cursor, &applied.blocks[i]);
    cursor_leave(&cursor);
    applied.row_count = cursor_list(&cursor, "rows", 0, UINT32_MAX, ROW_BYTES_LEAST);
    applied.rows = arena_array(arena, applied.row_count, sizeof *applied.rows);
    for (uint32_t i = 0; i < applied.row_count && cursor_ok(&cursor); i++)
        read_row(&cursor, &applied, &applied.rows[i]);
    cursor_leave(&cursor);
    cursor_leave(&cursor);
    if (cursor_finish(&cursor, err) < 0) {
        err->code = ERR_DOUBT; /* what we have applied is in doubt */
        return err->code;
    }
    *ret = applied;
    return 0;
}
