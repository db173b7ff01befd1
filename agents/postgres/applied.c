#include "agents/postgres/applied.h"
#include "proto/cursor.h"
#include "proto/pack.h"

enum { REPORT_BYTES_LEAST = 7 };

static void pack_report(msgpack_packer *packer, const struct report *report)
{
    msgpack_pack_array(packer, 5);
    msgpack_pack_uint8(packer, (uint8_t)report->kind);
    msgpack_pack_uint64(packer, report->record);
    msgpack_pack_uint64(packer, report->position);
    pack_text(packer, report->block);
    pack_text(packer, report->text);
}

void applied_pack(feed_position position, const struct report *reports, uint32_t count, struct buffer *out)
{
    msgpack_packer packer;

    pack_start(&packer, out);
    msgpack_pack_array(&packer, 2);
    msgpack_pack_uint64(&packer, position);
    msgpack_pack_array(&packer, count);
    for (uint32_t i = 0; i < count; i++)
        pack_report(&packer, &reports[i]);
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

/* Anyone who may act under our origin could have written it, so it is read like what a peer sends. */
int applied_read(struct arena *arena, const void *bytes, size_t length, feed_position *ret_position,
                 struct report **ret_reports, uint32_t *ret_count, struct error *err)
{
    struct cursor cursor;
    feed_position position;
    struct report *reports;
    uint32_t count;

    cursor_start(&cursor, "message of an apply transaction", bytes, length, arena);
    cursor_tuple(&cursor, "applied", 2);
    position = cursor_uint(&cursor, "position", 0, UINT_MOST);
    count = cursor_list(&cursor, "reports", 0, UINT32_MAX, REPORT_BYTES_LEAST);
    reports = arena_array(arena, count, sizeof *reports);
    for (uint32_t i = 0; i < count && cursor_ok(&cursor); i++)
        read_report(&cursor, &reports[i]);
    cursor_leave(&cursor);
    cursor_leave(&cursor);
    if (cursor_finish(&cursor, err) < 0) {
        err->code = ERR_DOUBT; /* what we have applied is in doubt */
        return err->code;
    }
    *ret_position = position;
    *ret_reports = reports;
    *ret_count = count;
    return 0;
}
