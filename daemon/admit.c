/* Who may take part: hellos, loads, quarantines, keys. */
#include "daemon/hold.h"
#include "daemon/modes.h"
#include "daemon/same.h"
#include "daemon/work.h"

#include <stdio.h>
#include <string.h>

static bool refuse(struct share *share, const char *code, const char *text)
{
    share->refused = true;
    share->refusal = code;
    snprintf(share->refusal_text, sizeof share->refusal_text, "%s", text);
    return false;
}

/* Whether this hello begins a load: the first one, one that was broken off, or one that an operator has asked for. */
static bool hello_loads(const struct agency_row *row, const struct hello *hello)
{
    bool untouched = row->state <= STATE_LOADING || (row->load_lsn > 0 && row->lsn == row->load_lsn);

    if (row->state == STATE_NEW && row->incarnation > 0)
        return true;
    return untouched && (hello->incarnation == 0 || hello->incarnation < row->incarnation);
}

/* Whether this hello's database is the one that the broker knows, as far as the broker can tell. */
static bool history_agrees(struct broker *broker, struct work *work, struct share *share)
{
    const struct hello *hello = &share->peer->hello;
    const struct agency_row *row = &share->row; /* as this very batch leaves it */
    static const uint8_t none[HASH_BYTES];
    const struct found *found = &work->batch->found;

    if (row->state == STATE_QUARANTINED)
        return refuse(share, quarantine_code(row->quarantine), row->reason);
    if (hello_loads(row, hello))
        return true;
    if (hello->incarnation == 0)
        return refuse(share, "history",
                      "this agency was loaded before and its database no longer says so: it was restored from a "
                      "backup or replaced");
    if (hello->incarnation != row->incarnation)
        return refuse(share, "history",
                      "its database belongs to another load than the broker has: one of the two was restored");
    if (row->system[0] && (strlen(row->system) != hello->source.system.length ||
                           memcmp(row->system, hello->source.system.bytes, hello->source.system.length) != 0))
        return refuse(share, "history",
                      "its database has another system identifier: it was replaced or restored elsewhere");
    if (hello_is_of_a_copy(row, hello))
        return refuse(share, "history",
                      hello->source.fence.seq < row->fence.seq
                          ? "the database lacks a fence row that the broker has seen: it was restored from a backup"
                          : "the database has another fence row than the broker has seen: it went on from a restored "
                            "or cloned copy");
    if (hello->applied > broker->head)
        return refuse(share, "history",
                      "it has applied more than the ledger holds: the broker's database was restored");
    if (hello->applied < row->base)
        return refuse(share, "history",
                      "it has applied less than it had when it last sent changes: its database was restored");
    /* The leaf of S itself is not known to an agency that has applied nothing since its load. */
    if (hello->applied > 0 && (memcmp(hello->applied_leaf, none, sizeof none) != 0 || hello->applied != row->load) &&
        (!found->leaf_known || memcmp(hello->applied_leaf, found->leaf, sizeof found->leaf) != 0))
        return refuse(share, "history",
                      "the last entry it applied is not in the ledger: the broker's database was restored");
    return true;
}

void quarantine(struct broker *broker, struct work *work, struct share *share, enum quarantine kind, const char *reason)
{
    struct entry_row *row = entry_add(broker, work, ENTRY_QUARANTINE, share->peer);

    entry_say(broker, work, row, "quarantined", reason);
    share->row.resumes = share->row.state;
    share->row.state = STATE_QUARANTINED;
    share->row.quarantine = kind;
    share->row.quarantine_entry = row->entry.position;
    text_copy(share->row.reason, sizeof share->row.reason, text_of(reason));
    share->write = true;
    share->quarantined = true;
}

static void start_load(struct broker *broker, struct work *work, struct share *share)
{
    struct entry_row *row = entry_add(broker, work, ENTRY_LOAD_START, share->peer);
    const struct hello *hello = &share->peer->hello;
    char count[32];

    share->row.restored = share->row.restored || hello_is_of_a_copy(&share->row, hello);
    /* What the agency had says nothing of another database. */
    if (share->row.restored || (share->row.state == STATE_NEW && hello->incarnation != share->row.incarnation))
        missing_forget(share);
    share->row.incarnation =
        1 + (hello->incarnation > share->row.incarnation ? hello->incarnation : share->row.incarnation);
    snprintf(count, sizeof count, "%u", share->row.incarnation);
    entry_say(broker, work, row, "incarnation", count);
    share->row.state = STATE_LOADING;
    share->row.lsn = share->row.load_lsn = 0;
    share->row.load_number = 0;
    share->row.base = 0;
    share->row.since = 0;
    share->row.load = row->entry.position;
    share->row.fence = (struct fence){ 0 };
    share->row.timeline = hello->source.timeline;
    snprintf(share->row.system, sizeof share->row.system, "%.*s", (int)hello->source.system.length,
             hello->source.system.bytes);
    share->reset = true;
}

/* Whether the mapping says something new, which is then an entry. */
static void remember_blocks(struct broker *broker, struct work *work, struct share *share)
{
    struct buffer packed = { 0 };
    struct entry_row *row;

    blocks_pack(share->peer->hello.blocks, share->peer->hello.block_count, &packed);
    if (packed.length != share->peer->row.blocks.length ||
        memcmp(packed.bytes, share->peer->row.blocks.bytes, packed.length) != 0) {
        share->row.blocks =
            (struct text){ arena_copy(work->batch->arena, packed.bytes, packed.length), (uint32_t)packed.length };
        row = entry_add(broker, work, ENTRY_MAPPING, share->peer);
        entry_commit(broker, row, share->row.blocks);
    }
    buffer_free(&packed);
}

/* Whether its blocks fit the catalog, and are of the types they were: what is linked under a block stays of that type.
 */
static bool mapping_agrees(struct broker *broker, struct work *work, struct share *share)
{
    const struct peer *peer = share->peer;
    struct buffer packed = { 0 };
    struct agency_block *blocks;
    uint16_t count;
    struct error err;
    bool bound;

    blocks_pack(peer->hello.blocks, peer->hello.block_count, &packed);
    bound = blocks_bind(work->batch->arena, broker->catalog, peer->index,
                        (struct text){ packed.bytes, (uint32_t)packed.length }, &blocks, &count, &err) == 0;
    buffer_free(&packed);
    if (!bound)
        return refuse(share, "mapping", err.text);
    for (uint16_t i = 0; i < count && !hello_loads(&share->row, &peer->hello); i++) {
        const struct agency_block *before = peer_block_named(peer, blocks[i].name);

        if (before && before->type != blocks[i].type)
            return refuse(share, "mapping",
                          "a block maps another record type than before: that takes a new load, or a new name");
    }
    return true;
}

void decide_hello(struct broker *broker, struct work *work, struct share *share)
{
    const struct hello *hello = &share->peer->hello;

    share->row.session++;
    share->write = true;
    snprintf(share->row.software, sizeof share->row.software, "%.*s", (int)hello->software.length,
             hello->software.bytes);
    share->row.seen_at_us = broker->now_us;
    if (!share->row.enrolled || share->rekeyed) {
        refuse(share, "revoked", "the key of this agency was revoked or replaced");
        return;
    }
    if (!history_agrees(broker, work, share)) {
        if (share->row.state != STATE_QUARANTINED)
            quarantine(broker, work, share, QUARANTINE_HISTORY, share->refusal_text);
        return;
    }
    if (!mapping_agrees(broker, work, share))
        return;
    remember_blocks(broker, work, share);
    if (hello_loads(&share->row, hello))
        start_load(broker, work, share);
}
/* The load is complete: whoever lacks records is filled up, and the feed may start. */
void end_load(struct broker *broker, struct work *work, struct share *share, const struct piece *piece)
{
    struct entry_row *row = entry_add(broker, work, ENTRY_LOAD_END, share->peer);
    char count[32];

    snprintf(count, sizeof count, "%u", share->row.load_number);
    entry_source(row, share, piece, 0);
    entry_say(broker, work, row, "pieces", count);
    share->row.state = STATE_FILLING;
    share->row.restored = false;
    share->row.since = row->entry.position;
    share->row.load_lsn = piece->lsn;
}

void decide_fill(struct broker *broker, struct work *work, struct share *share)
{
    struct peer *peer = share->peer;
    const struct wanted_fill *fill = &work->batch->wanted.fill;
    const struct found *found = &work->batch->found;

    for (uint32_t i = 0; i < found->record_count; i++) {
        struct canonical *record = found->records[i];
        bool due = record->type == &broker->catalog->types[fill->type] && record->number > fill->after &&
                   record->number <= found->fill_last; /* what was found for other reasons may lie beyond */

        if (due && record->exists && !held_find(record, peer->index, UNIT_EXISTENCE) &&
            reach_inserts(work, peer, record))
            send_item(broker, work, peer, record);
    }
    share->fill_after = found->fill_last;
    share->filled = found->fill_rows == 0;
}

void open_ledger(struct broker *broker, struct work *work)
{
    struct writes *writes = &work->batch->writes;
    struct entry_row *row;

    if (!broker->opened) {
        writes->head = (UINT64_C(1) << 48) - 1; /* entry 0 of epoch 1 is the next */
        row = entry_add(broker, work, ENTRY_OPENING, NULL);
        entry_say(broker, work, row, "opening", "ledger epoch 1");
    }
    if (broker->catalog_fresh) {
        writes->catalog_version = broker->catalog->version;
        row = entry_add(broker, work, ENTRY_CATALOG, NULL);
        entry_commit(broker, row, broker->catalog_text);
        writes->activated = broker->catalog;
        writes->activated_text = broker->catalog_text;
    }
}

/* Nothing but the entry: an operator's own words stand in it, never a value. */
static void decide_reveal(struct broker *broker, struct work *work, const struct admin *admin)
{
    struct entry_row *row = entry_add(broker, work, ENTRY_REVEAL, NULL);
    char text[sizeof admin->what + sizeof admin->user + 8];

    if (admin->record > 0)
        row->entry.type = text_of(arena_copy(work->batch->arena, admin->name, strlen(admin->name)));
    row->entry.record = admin->record;
    snprintf(text, sizeof text, "%s by %s", admin->what, admin->user);
    entry_say(broker, work, row, admin->user, text);
}

static void decide_key(struct broker *broker, struct work *work, struct share *share, const struct admin *admin)
{
    bool revoke = admin->kind == BROKER_EVENT_REVOKE;
    char text[192], hex[65];

    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", admin->key[i]);
    snprintf(text, sizeof text, "key %s by %s", revoke ? "revoked" : hex, admin->user);
    share->rekeyed = share->rekeyed || revoke || memcmp(share->row.key, admin->key, sizeof share->row.key) != 0;
    share->row.enrolled = !revoke;
    memcpy(share->row.key, admin->key, sizeof share->row.key);
    entry_say(broker, work, entry_add(broker, work, revoke ? ENTRY_REVOCATION : ENTRY_ENROLMENT, share->peer),
              admin->name, text);
}

/* It goes on from where it is: its next hello is told what is committed, and it sends again what follows. */
static void decide_resume(struct broker *broker, struct work *work, struct share *share, const struct admin *admin)
{
    struct entry_row *row = entry_add(broker, work, ENTRY_RESUMED, share->peer);
    char text[sizeof admin->user + 16];

    row->entry.refers = share->row.quarantine_entry;
    snprintf(text, sizeof text, "resumed by %s", admin->user);
    entry_say(broker, work, row, text, admin->ground);
    share->row.state = share->row.resumes;
    share->row.quarantine = QUARANTINE_NONE;
    share->row.quarantine_entry = 0;
    share->row.reason[0] = '\0';
}

/* Nothing of its history is believed any more: its next hello begins a load. */
static void decide_reload(struct broker *broker, struct work *work, struct share *share, const struct admin *admin)
{
    struct entry_row *row = entry_add(broker, work, ENTRY_RESUMED, share->peer);
    char text[sizeof admin->user + 24];

    row->entry.refers = share->row.quarantine_entry;
    snprintf(text, sizeof text, "to be loaded anew by %s", admin->user);
    entry_say(broker, work, row, text, admin->ground);
    share->row.restored = share->row.restored || share->row.quarantine == QUARANTINE_HISTORY;
    missing_forget(share); /* what became of it since cannot be known */
    share->row.state = STATE_NEW;
    share->row.quarantine = QUARANTINE_NONE;
    share->row.quarantine_entry = 0;
    share->row.reason[0] = '\0';
    share->reloaded = true;
}

/* The same, by the agency's own word: what it holds is sound, only what led to it cannot be known. */
void reload_itself(struct broker *broker, struct work *work, struct share *share, const char *reason)
{
    share->asked = true;
    if (share->row.state < STATE_FILLING || share->row.state == STATE_QUARANTINED)
        return; /* it is to be loaded anyhow, or a person must decide first */
    entry_say(broker, work, entry_add(broker, work, ENTRY_RESUMED, share->peer), "to be loaded anew by itself", reason);
    missing_note(share);
    share->row.state = STATE_NEW;
    share->reloaded = true;
    share->write = true;
}

/* What its tables have is looked at anew in the new mode, and as by a first load: nothing that it was sent or has said
 * in the old one is of use for it. */
static void decide_mode(struct broker *broker, struct work *work, struct share *share, const struct admin *admin)
{
    struct entry_row *row = entry_add(broker, work, ENTRY_MODE, share->peer);
    struct agency_row *agency = &share->row;
    struct text table = text_of(admin->table);
    const char *what =
        arena_printf(work->batch->arena, "%s%s%s, was %s, by %s", admin->table, *admin->table ? " " : "",
                     agency_mode_name(admin->mode),
                     agency_mode_name(table.length > 0 ? modes_of(agency, table) : agency->mode), admin->user);

    entry_say(broker, work, row, what, admin->ground);
    agency->modes = table.length > 0 ? modes_with(work->batch->arena, agency, table, admin->mode) : text_of("");
    if (table.length == 0)
        agency->mode = admin->mode;
    if (agency->incarnation > 0)
        agency->state = STATE_NEW;
    missing_forget(share);
    share->moded = true;
}

static void decide_agency(struct broker *broker, struct work *work, struct admin *admin)
{
    struct share *share = share_make(work, peer_named(broker, admin->name)); /* operators.c has made its place */

    if (admin->kind == BROKER_EVENT_RESUME && !quarantine_resumes(share->row.quarantine)) {
        admin->failure = "it has been resumed already";
        return;
    }
    if (admin->kind == BROKER_EVENT_MODE)
        admin->failure = mode_refused(broker, work->batch->arena, &share->row, share->peer, admin->mode, admin->table);
    if (admin->failure)
        return;
    share->write = true;
    if (admin->kind == BROKER_EVENT_MODE)
        decide_mode(broker, work, share, admin);
    else if (admin->kind == BROKER_EVENT_RESUME)
        decide_resume(broker, work, share, admin);
    else if (admin->kind == BROKER_EVENT_RELOAD)
        decide_reload(broker, work, share, admin);
    else
        decide_key(broker, work, share, admin);
}

void decide_admins(struct broker *broker, struct work *work)
{
    for (struct admin *admin = work->admins; admin; admin = admin->next) {
        admin->failure = admin->said = NULL;
        if (admin->kind == BROKER_EVENT_REVEAL)
            decide_reveal(broker, work, admin);
        else if (admin->kind == BROKER_EVENT_RELEASE || admin->kind == BROKER_EVENT_REJECT)
            decide_hold(broker, work, admin);
        else if (admin->kind == BROKER_EVENT_SAME)
            decide_same(broker, work, admin);
        else if (admin->kind == BROKER_EVENT_DIFFERENT)
            decide_different(broker, work, admin);
        else
            decide_agency(broker, work, admin);
    }
}
