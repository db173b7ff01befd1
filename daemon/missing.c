/* Rows that a table had, and has no more after a load for which its agency asked itself: nothing was lost before it, so
 * that whoever is missing was deleted there. What the agency had is noted when it asks (selaras.had); the load's items
 * link anew what is still there, and at its end what is left is decided like deletions on the base of then, page by
 * page, before the agency is filled up with what it lacks. */
#include "daemon/hold.h"
#include "daemon/modes.h"
#include "daemon/work.h"

#include <stdlib.h>
#include <string.h>

enum { MISSING_RECORDS = 1000 };

void missing_note(struct share *share)
{
    bool fed = share->row.mode == MODE_FULL && share->row.modes.length == 0;

    share->had_write = HAD_NOTED;
    share->had_since = share->row.since;
    share->had_base = share->row.base;
    if (!fed && share->row.load < share->had_base) /* what is never sent has not been seen since it was loaded */
        share->had_base = share->row.load;
}

void missing_forget(struct share *share)
{
    share->had_write = HAD_FORGOTTEN;
}

/* Names of blocks need no quotes. */
void missing_told(struct work *work, struct share *share, const struct report *report)
{
    const char **list = report->text.length > 0 ? &share->empty : &share->complete;
    const char *before = *list ? *list : "{}";

    *list = arena_printf(work->batch->arena, "%.*s%s%.*s}", (int)strlen(before) - 1, before, *list ? "," : "",
                         (int)report->block.length, report->block.bytes);
}

static bool has_type(const struct peer *peer, uint16_t type)
{
    for (uint16_t i = 0; i < peer->block_count; i++)
        if (peer->blocks[i].type == type)
            return true;
    return false;
}

/* What refers to others stands behind them in the catalog, and goes first. */
bool take_missing(struct broker *broker, struct work *work, struct peer *peer)
{
    uint16_t types = broker->catalog->type_count;

    while (peer->missing_types < types && !has_type(peer, (uint16_t)(types - 1 - peer->missing_types)))
        peer->missing_types++;
    if (peer->missing_types >= types)
        return false;
    work->batch->wanted.had = (struct wanted_had){
        .agency = peer->row.id,
        .type = (uint16_t)(types - 1 - peer->missing_types),
        .after = peer->missing_after,
        .limit = broker->batch_changes < MISSING_RECORDS ? broker->batch_changes : MISSING_RECORDS,
        .count = peer->missing_after == 0,
    };
    share_make(work, peer)->missing = true;
    return true;
}

/* Whether the row can still be deleted: what came in the same batch is decided already. */
static struct canonical *missing_record(const struct work *work, const struct peer *peer, const struct had_row *row)
{
    struct canonical *record = record_numbered(work, row->record);
    const struct agency_block *block = peer_block_named(peer, row->block);
    struct text key;

    if (!record || !record->exists || !block || &work->batch->catalog->types[block->type] != record->type ||
        block->mode == MODE_OBSERVE || held_find(record, peer->index, UNIT_EXISTENCE) ||
        reach_held(work, peer, record, &key))
        return NULL;
    return record;
}

/* Nobody believes that everybody was deleted, and nothing would be worse than to fill up a table whose rows are on
 * their way. */
static bool is_doubtful(const struct had_row *row, const struct peer *peer, const struct canonical *record)
{
    return row->empty && policy_writes(&record->type->units[UNIT_EXISTENCE].policy, peer->index);
}

/* What the agency has said is that the row is gone: not what was in it, nor who did it. */
static struct change deletion_of(struct broker *broker, struct work *work, const struct had_row *row)
{
    struct change change = { .operation = OPERATION_DELETE, .block = row->block, .key = row->key };

    change_encode(work->batch->arena, &change);
    broker_salt(broker, change.salt);
    commitment_make(change.salt, change.content.bytes, change.content.length, change.commitment);
    return change;
}

static struct piece piece_of(const struct broker *broker, const struct share *share, const struct had_row *row)
{
    return (
        struct piece){ .lsn = share->row.load_lsn, .final = true, .base = row->base, .commit_time_us = broker->now_us };
}

static void decide_row(struct broker *broker, struct work *work, struct share *share, const struct had_row *row)
{
    const struct canonical *record = missing_record(work, share->peer, row);
    struct piece piece = piece_of(broker, share, row);
    struct change change;

    if (!record)
        return;
    change = deletion_of(broker, work, row);
    share->had = row;
    decide_change(broker, work, share, &piece, &change, (uint32_t)record->number, record->number);
    share->had = NULL;
    work->batch->writes.entries[work->batch->writes.entry_count - 1].boundary = true;
    share->row.changes++;
    share->row.unrecorded++;
    share->write = true;
}

/* All that are missing are one: those of later pages are counted too. */
static void meet_missing(struct broker *broker, struct work *work, struct share *share, uint64_t more)
{
    const struct found *found = &work->batch->found;
    uint32_t *counts = NULL;

    for (uint32_t i = 0; i < found->had_count; i++) {
        const struct canonical *record = missing_record(work, share->peer, &found->had[i]);
        struct piece piece = piece_of(broker, share, &found->had[i]);
        struct change change = { .operation = OPERATION_DELETE, .block = found->had[i].block };

        if (record)
            limits_count(broker, work, share, &piece, &change, record->number, &counts);
    }
    limits_apply(broker, work, share, counts, more);
    free(counts);
}

void decide_missing(struct broker *broker, struct work *work, struct share *share)
{
    const struct wanted_had *wanted = &work->batch->wanted.had;
    const struct found *found = &work->batch->found;
    uint64_t total = wanted->count ? found->had_total : share->peer->missing_left;

    for (uint32_t i = 0; i < found->had_count; i++) {
        const struct canonical *record = missing_record(work, share->peer, &found->had[i]);

        if (record && is_doubtful(&found->had[i], share->peer, record)) {
            quarantine(broker, work, share, QUARANTINE_LOST,
                       arena_printf(work->batch->arena,
                                    "block %.*s has no row any more after its table was emptied or replaced, which is "
                                    "not taken as the deletion of all. Have the table filled again first",
                                    (int)found->had[i].block.length, found->had[i].block.bytes));
            return;
        }
    }
    meet_missing(broker, work, share, total > found->had_count ? total - found->had_count : 0);
    share->missing_left = total;
    for (uint32_t i = 0; i < found->had_count; i++) {
        decide_row(broker, work, share, &found->had[i]);
        if (!held_find(record_numbered(work, found->had[i].record), share->peer->index, UNIT_EXISTENCE) &&
            share->missing_left > 0)
            share->missing_left--; /* what is held counts for the pages to come */
        share->missing_after = found->had[i].record;
    }
    work->over = NULL;
    share->missing_done = found->had_count < wanted->limit;
}

void missing_committed(const struct share *share)
{
    struct peer *peer = share->peer;

    peer->missing_after = share->missing_done ? 0 : share->missing_after;
    peer->missing_left = share->missing_left;
    peer->missing_types = (uint16_t)(peer->missing_types + share->missing_done);
}
