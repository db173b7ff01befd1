/* A batch that PostgreSQL refused: the one thing in it that it refuses is found by ever smaller batches, and only
 * whoever sent that is stopped. */
#include "daemon/decide.h"
#include "daemon/hold.h"
#include "daemon/work.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a batch is made of ---- */

static void suspect_add(struct suspects *suspects, enum suspect_kind kind, uint16_t agency)
{
    if (suspects->count == suspects->capacity) {
        suspects->capacity = suspects->capacity ? suspects->capacity * 2 : 64;
        suspects->list = realloc(suspects->list, suspects->capacity * sizeof *suspects->list);
        if (!suspects->list)
            abort();
    }
    suspects->list[suspects->count++] = (struct suspect){ kind, agency };
}

static uint32_t transactions_in(const struct share *share)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < share->piece_count; i++)
        count += share->pieces[i]->final;
    return count;
}

static void suspects_of(const struct broker *broker, const struct work *work, struct suspects *suspects)
{
    suspects->count = 0;
    if (broker->parts.peer) {
        suspect_add(suspects, SUSPECT_TRANSACTION, broker->parts.peer->row.id);
        return;
    }
    if (work->admins)
        suspect_add(suspects, SUSPECT_ADMINS, 0);
    if (work->settling)
        suspect_add(suspects, SUSPECT_SETTLE, 0);
    for (uint32_t i = 0; i < work->share_count; i++) {
        const struct share *share = &work->shares[i];
        uint32_t transactions = transactions_in(share);

        for (uint32_t t = 0; t < transactions; t++)
            suspect_add(suspects, SUSPECT_TRANSACTION, share->row.id);
        if (share->hello)
            suspect_add(suspects, SUSPECT_HELLO, share->row.id);
        if (share->fill)
            suspect_add(suspects, SUSPECT_FILL, share->row.id);
    }
    if (suspects->count == 0) /* a quarantine, what was applied, the opening: nothing that could be left out */
        suspect_add(suspects, SUSPECT_OTHER, 0);
}

/* ---- the next batch ---- */

bool suspects_take(struct broker *broker, struct work *work)
{
    struct suspects *suspects = &broker->suspects;
    uint32_t transactions = 0;
    bool any = false;

    suspects->taken = (suspects->count + 1) / 2;
    for (uint32_t i = 0; i < suspects->taken; i++) {
        const struct suspect *suspect = &suspects->list[i], *next = suspect + 1;
        struct peer *peer = peer_by_id(broker, suspect->agency);

        switch (suspect->kind) {
        case SUSPECT_ADMINS:
            any = take_admins(broker, work) || any;
            break;
        case SUSPECT_SETTLE:
            any = take_settle(broker, work) || any;
            break;
        case SUSPECT_HELLO:
            any = take_hello(broker, work, peer) || any;
            break;
        case SUSPECT_FILL:
            any = take_fill(broker, work, peer) || any;
            break;
        case SUSPECT_TRANSACTION:
            transactions++;
            if (i + 1 < suspects->taken && next->kind == suspect->kind && next->agency == suspect->agency)
                break; /* they are taken together */
            any = take_transactions(work, peer, &(struct amount){ UINT32_MAX, SIZE_MAX, transactions }) > 0 || any;
            transactions = 0;
            break;
        case SUSPECT_OTHER:
            break;
        }
    }
    if (!any) /* their sessions have ended: they come again, and with them what is looked for */
        suspects->count = suspects->taken = 0;
    return any;
}

void suspects_cleared(struct broker *broker)
{
    struct suspects *suspects = &broker->suspects;

    suspects->count -= suspects->taken;
    if (suspects->count > 0)
        memmove(suspects->list, suspects->list + suspects->taken, suspects->count * sizeof *suspects->list);
    suspects->taken = 0;
}

/* ---- the one ---- */

/* The record types that the first transaction of the batch is about, in words. */
static void types_named(const struct broker *broker, const struct share *share, char *ret, size_t size)
{
    bool named[CATALOG_TYPES_MAX] = { false };
    size_t length = 0;

    ret[0] = '\0';
    for (uint32_t p = 0; p < share->piece_count; p++)
        for (uint32_t c = 0; c < share->pieces[p]->change_count; c++) {
            const struct agency_block *block = peer_block_named(share->peer, share->pieces[p]->changes[c].block);

            if (!block || named[block->type] || length >= size)
                continue;
            named[block->type] = true;
            length += (size_t)snprintf(ret + length, size - length, "%s%s", length ? ", " : "",
                                       broker->catalog->types[block->type].name);
        }
}

static void blame_transaction(struct broker *broker, const struct share *share, const char *why)
{
    const struct piece *piece = share->pieces[0];
    char types[80], place[48];

    types_named(broker, share, types, sizeof types);
    if (piece->lsn > 0)
        snprintf(place, sizeof place, "transaction at %" PRIX32 "/%" PRIX32, (uint32_t)(piece->lsn >> 32),
                 (uint32_t)piece->lsn);
    else
        snprintf(place, sizeof place, "piece %" PRIu32 " of its load", piece->first);
    peer_doubt(share->peer, QUARANTINE_REFUSED, "its %s (%s) is refused: %s", place, types[0] ? types : "no change",
               why);
}

static void blame_hello(struct broker *broker, struct peer *peer, const char *why)
{
    action_log(broker, LOG_LEVEL_ERROR, peer, "its hello cannot be stored: %s", why);
    send_error(broker, &peer->hello_route, 0, 0, "busy", "the broker's database refuses this hello: see its log");
    hello_done(peer);
}

static void blame_admins(struct broker *broker, const char *why)
{
    while (broker->admins) {
        void *request = admin_pop(&broker->admins);

        answer_failure(broker, request, "the broker's database refuses it: %s", why);
    }
}

/* `work` is the batch that held nothing else. */
static void blame(struct broker *broker, const struct work *work, struct suspect suspect, const char *why)
{
    struct peer *peer = peer_by_id(broker, suspect.agency);

    switch (suspect.kind) {
    case SUSPECT_TRANSACTION:
        blame_transaction(broker, share_of(work, peer), why);
        break;
    case SUSPECT_FILL:
        peer_doubt(peer, QUARANTINE_REFUSED, "what it is to be filled up with is refused: %s", why);
        break;
    case SUSPECT_HELLO:
        blame_hello(broker, peer, why);
        break;
    case SUSPECT_ADMINS:
        blame_admins(broker, why);
        break;
    case SUSPECT_SETTLE:
        brake_hold_numbered(broker->brake, work->settling)->refused = true;
        action_log(broker, LOG_LEVEL_ERROR, NULL,
                   "hold %" PRIu32
                   " is not settled: the database refuses it: %s. It can be decided about anew, for some of "
                   "its records alone too",
                   work->settling, why);
        break;
    case SUSPECT_OTHER:
        broker->stopped = true;
        action_add(broker, BROKER_ACTION_STOP)->text = arena_copy(broker->step_arena, why, strlen(why));
        break;
    }
}

/* The batch is as if it had never been: what it took is there to be taken again. */
static void undo(struct broker *broker, struct work *work)
{
    struct admin **last = &work->admins;

    while (*last)
        last = &(*last)->next;
    *last = broker->admins;
    broker->admins = work->admins;
    work->admins = NULL;
    for (uint32_t i = 0; i < work->share_count; i++) {
        stage_give_back(work->shares[i].peer, broker->parts.peer ? broker->parts.taken : work->shares[i].piece_count);
        debts_undo(work->shares[i].peer->debts);
    }
    for (uint32_t i = 0; i < broker->peer_count; i++)
        altered_undo(broker->peers[i].altered);
}

void decide_refused(struct broker *broker, const char *why)
{
    struct work *work = broker->work;
    struct arena *arena = work->batch->arena;
    struct suspects *suspects = &broker->suspects;
    bool opening = !broker->opened || broker->catalog_fresh;
    bool first = suspects->count == 0;

    if (work->previewing) {
        preview_fail(broker, arena_printf(broker->step_arena, "the broker's database refuses it: %s", why));
        batch_end(broker);
        work_free(work);
        arena_free(&arena);
        return;
    }
    suspects_of(broker, work, suspects);
    suspects->taken = 0;
    undo(broker, work);
    if (opening)
        blame(broker, work, (struct suspect){ SUSPECT_OTHER, 0 }, why);
    else if (suspects->count == 1)
        blame(broker, work, suspects->list[0], why);
    else if (first)
        action_log(broker, LOG_LEVEL_WARN, NULL,
                   "PostgreSQL refuses a batch of %" PRIu32 " parts; the one that it refuses is looked for: %s",
                   suspects->count, why);
    if (opening || suspects->count == 1)
        suspects->count = 0;
    parts_end(&broker->parts);
    batch_end(broker);
    work_free(work);
    arena_free(&arena);
}
