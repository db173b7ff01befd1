/* The entries and records that a batch writes. */
#include "daemon/work.h"
#include "proto/pack.h"

static const struct text nothing = { "", 0 };

struct entry_row *entry_add(struct broker *broker, struct work *work, enum entry_kind kind, const struct peer *peer)
{
    struct writes *writes = &work->batch->writes;
    struct entry_row *row;

    writes->entries = room(work, writes->entries, writes->entry_count, &work->entry_capacity, sizeof *writes->entries);
    row = &writes->entries[writes->entry_count++];
    *row = (struct entry_row){ .boundary = true };
    writes->head++;
    if (writes->head_time_us < broker->now_us)
        writes->head_time_us = broker->now_us;
    row->entry = (struct entry){
        .position = writes->head,
        .time_us = writes->head_time_us,
        .kind = kind,
        .agency = peer ? text_of(peer->row.name) : nothing,
        .type = nothing,
        .catalog_version = writes->catalog_version,
    };
    return row;
}

void entry_commit(struct broker *broker, struct entry_row *row, struct text body)
{
    row->body = body;
    row->committed = true;
    broker_salt(broker, row->salt);
    commitment_make(row->salt, body.bytes, body.length, row->entry.commitment);
}

void entry_say(struct broker *broker, struct work *work, struct entry_row *row, const char *first, const char *second)
{
    msgpack_packer packer;

    work->scratch.length = 0;
    pack_start(&packer, &work->scratch);
    msgpack_pack_array(&packer, 2);
    pack_text(&packer, text_of(first));
    pack_text(&packer, text_of(second));
    entry_commit(broker, row,
                 (struct text){ arena_copy(work->batch->arena, work->scratch.bytes, work->scratch.length),
                                (uint32_t)work->scratch.length });
}

struct text sending_pack(struct work *work, const struct sending *sending, const struct reason *reason)
{
    if (sending->operation == OPERATION_NONE)
        return nothing;
    work->scratch.length = 0;
    effect_pack(sending->operation, sending->fields, sending->field_count, reason, &work->scratch);
    return (struct text){ arena_copy(work->batch->arena, work->scratch.bytes, work->scratch.length),
                          (uint32_t)work->scratch.length };
}

void record_write(struct work *work, struct canonical *record)
{
    struct writes *writes = &work->batch->writes;

    if (!record->dirty || record->queued)
        return;
    record->queued = true;
    writes->records =
        room(work, writes->records, writes->record_count, &work->record_capacity, sizeof *writes->records);
    writes->records[writes->record_count++] = record;
}

void entry_source(struct entry_row *row, const struct share *share, const struct piece *piece, uint32_t number)
{
    struct entry *entry = &row->entry;

    entry->sourced = true;
    entry->source = (struct position){ .incarnation = share->row.incarnation,
                                       .lsn = piece->lsn,
                                       .number = piece->lsn == 0 ? piece->first : piece->first + number };
    entry->nothing_seen = piece->nothing_seen;
    entry->base = piece->base;
    entry->commit_time_us = piece->commit_time_us;
}

struct entry_row *send_item(struct broker *broker, struct work *work, struct peer *peer, struct canonical *record)
{
    return send_item_because(broker, work, peer, record, NULL);
}

struct entry_row *send_item_because(struct broker *broker, struct work *work, struct peer *peer,
                                    struct canonical *record, const struct reason *reason)
{
    struct entry_row *row = entry_add(broker, work, ENTRY_ITEM, peer);
    struct sending sending = { .operation = OPERATION_DELETE };

    if (record->exists)
        sending_whole(work->batch->arena, record, &sending);
    if (reason)
        sending.operation = OPERATION_UPDATE;
    row->entry.type = text_of(record->type->name);
    row->entry.record = record->number;
    row->entry.operation = sending.operation;
    row->reply = sending_pack(work, &sending, reason ? reason : &(struct reason){ 0 });
    sent_set(work->batch->arena, &record->wholes, peer->index, row->entry.position);
    record->dirty = true;
    altered_sent(work, peer, record, &sending);
    link_item(work, peer, record, sending.operation, true, row->entry.position);
    record_write(work, record);
    return row;
}

void pack_records(struct work *work)
{
    struct writes *writes = &work->batch->writes;

    for (uint32_t i = 0; i < writes->record_count; i++) {
        struct canonical *record = writes->records[i];

        work->scratch.length = 0;
        canonical_meta_pack(record, work->batch->ids, &work->scratch);
        record->meta = (struct text){ arena_copy(work->batch->arena, work->scratch.bytes, work->scratch.length),
                                      (uint32_t)work->scratch.length };
    }
}

void pack_leaves(struct work *work)
{
    struct writes *writes = &work->batch->writes;

    for (uint32_t i = 0; i < writes->entry_count; i++) {
        struct entry_row *row = &writes->entries[i];

        work->scratch.length = 0;
        entry_pack(&row->entry, &work->scratch);
        row->leaf = (struct text){ arena_copy(work->batch->arena, work->scratch.bytes, work->scratch.length),
                                   (uint32_t)work->scratch.length };
    }
}
