/* A batch that is committed: what is now true is taken over, and whoever waits is answered. */
#include "daemon/decide.h"
#include "daemon/references.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The row as committed; what is counted in memory alone stays. */
static void take_row(struct peer *peer, struct share *share)
{
    uint64_t fed = peer->row.fed;

    if (share->row.blocks.bytes != peer->row.blocks.bytes)
        share->row.blocks = peer_keep(&peer->blocks_bytes, share->row.blocks);
    if (share->row.modes.bytes != peer->row.modes.bytes)
        share->row.modes = peer_keep(&peer->modes_bytes, share->row.modes);
    peer->row = share->row;
    peer->row.fed = fed;
    peer->stored = true;
}

static void send_welcome(struct broker *broker, struct peer *peer)
{
    const struct agency_row *row = &peer->row;
    struct message message = { .kind = MESSAGE_WELCOME, .session = row->session };
    struct welcome *welcome = &message.welcome;

    *welcome = (struct welcome){
        .version = PROTOCOL_VERSION,
        .agency = text_of(row->name),
        .incarnation = row->incarnation,
        .lsn = row->lsn,
        .load_number = row->load_number,
        .base = row->base,
        .source = { .system = text_of(row->system), .timeline = row->timeline, .fence = row->fence },
        .load = row->state == STATE_LOADING ? row->load : 0,
        .credit = peer->in_credit,
        .catalog_version = broker->catalog_version,
    };
    memcpy(welcome->catalog_hash, broker->catalog->hash, HASH_BYTES);
    if (memcmp(peer->hello.catalog_hash, broker->catalog->hash, HASH_BYTES) != 0)
        welcome->catalog = broker->catalog_text;
    peer->out_number = 0;
    peer_send(broker, peer, &message);
    peer->out_number = 0; /* welcome is number 0 */
}

/* The session of a hello begins: what an earlier one had on its way is void. */
static void start_session(struct broker *broker, struct peer *peer)
{
    peer->up = true;
    peer->route = peer->hello_route;
    peer->heard_ms = broker->now_ms;
    peer->left = false;
    peer->contested = peer->went_on = false;
    peer->in_number = 0;
    peer->in_used = peer->out_used = 0;
    peer->in_credit = stage_share(broker);
    peer->out_credit = peer->hello.credit;
    peer->queued_lsn = peer->row.lsn;
    peer->queued_number = peer->row.load_number;
    peer->queued_base = peer->row.base;
    peer->hello_timeline = peer->hello.source.timeline;
    peer->fill_type = 0;
    peer->fill_after = 0;
    peer->missing_types = 0;
    peer->missing_after = peer->missing_left = 0;
    feed_start(broker, peer, peer->row.state == STATE_LOADING ? peer->row.load : peer->hello.applied);
    send_welcome(broker, peer);
    action_log(broker, LOG_LEVEL_NOTE, peer, "session %" PRIu64 " begins: incarnation %u, catalog %u, mode %s%s%s",
               peer->row.session, peer->row.incarnation, broker->catalog_version,
               peer->row.modes.length > 0 ? "mixed" : agency_mode_name(peer->row.mode),
               peer->row.mode == MODE_OBSERVE ? " (nothing of it takes effect)" : "",
               peer->row.state == STATE_LOADING ? ", first load" : "");
}

static void finish_hello(struct broker *broker, struct share *share)
{
    struct peer *peer = share->peer;
    struct error err;

    if (share->refused) {
        peer->up = true; /* so that the error has somewhere to go */
        peer->route = peer->hello_route;
        peer_fail(broker, peer, share->refusal, "%s", share->refusal_text);
    } else {
        if (peer_bind(peer, &err) < 0)
            abort(); /* decide_hello has bound them */
        start_session(broker, peer);
    }
    hello_done(peer);
}

void hello_done(struct peer *peer)
{
    arena_free(&peer->hello_arena);
    peer->hello_waits = false;
    if (peer->next_waits) {
        peer->hello_arena = peer->next_arena;
        peer->hello = peer->next_hello;
        peer->hello_route = peer->next_route;
        peer->hello_waits = true;
        peer->next_arena = NULL;
        peer->next_waits = false;
    }
}

static uint32_t transactions_in(const struct share *share)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < share->piece_count; i++)
        count += share->pieces[i]->final;
    return count;
}

static const char refused_key[] = "the key of this agency was revoked or replaced";

/* Whoever holds the old key is not heard and not fed any more. */
static void finish_rekeyed(struct broker *broker, struct share *share)
{
    struct peer *peer = share->peer;

    peer_fail(broker, peer, "revoked", "the key of %s was %s", peer->row.name,
              peer->row.enrolled ? "replaced" : "revoked");
    if (peer->hello_waits && !share->hello) { /* it came under the old key, while the batch was in flight */
        send_error(broker, &peer->hello_route, 0, 0, "revoked", refused_key);
        arena_free(&peer->hello_arena);
        peer->hello_waits = false;
    }
    if (peer->next_waits)
        send_error(broker, &peer->next_route, 0, 0, "revoked", refused_key);
    arena_free(&peer->next_arena);
    peer->next_waits = false;
}

static void finish_fill(const struct share *share)
{
    struct peer *peer = share->peer;

    peer->fill_after = share->filled ? 0 : share->fill_after;
    peer->fill_type = (uint16_t)(peer->fill_type + share->filled);
}

/* What it says in the session of another mode counts no more. */
static void finish_mode(struct broker *broker, struct peer *peer)
{
    struct error err;

    if (peer->bound && peer_bind(peer, &err) < 0)
        abort(); /* they fitted before */
    peer_fail(broker, peer, "no-session", "its mode has changed: say hello");
}

static void finish_share(struct broker *broker, struct share *share)
{
    struct peer *peer = share->peer;
    uint32_t taken = transactions_in(share);

    if (share->write)
        take_row(peer, share);
    if (share->reset) {
        debts_clear(peer->debts);
        altered_clear(peer->altered);
    }
    references_committed(broker, share);
    debts_keep(peer->debts);
    if (share->missing)
        missing_committed(share);
    if (share->fill)
        finish_fill(share);
    if (share->rekeyed)
        finish_rekeyed(broker, share);
    if (share->reloaded) {
        peer->quarantine_waits = false;
        peer_fail(broker, peer, "no-session", "this agency is to be loaded anew");
    }
    if (share->moded)
        finish_mode(broker, peer);
    if (peer->row.state == STATE_QUARANTINED || share->asked)
        peer->quarantine_waits = false;
    if (share->quarantined) {
        peer_fail(broker, peer, quarantine_code(peer->row.quarantine), "%s", peer->row.reason);
        action_log(broker, LOG_LEVEL_ERROR, peer,
                   "quarantined: %s. Nothing of it takes effect until an operator has decided", peer->row.reason)
            ->position = peer->row.quarantine_entry;
    }
    if (share->hello)
        finish_hello(broker, share);
    else if (share->piece_count > 0 && peer->up && peer->ready >= taken) {
        peer->ready -= taken;
        peer_ack(broker, peer);
        stage_release(broker, peer);
    }
}

static void tell_done(struct broker *broker, const struct admin *admin)
{
    static const char *const done[BROKER_EVENT_COUNT] = { [BROKER_EVENT_ENROL] = "key enrolled",
                                                          [BROKER_EVENT_REVOKE] = "key revoked",
                                                          [BROKER_EVENT_RESUME] = "resumed",
                                                          [BROKER_EVENT_RELOAD] = "to be loaded anew",
                                                          [BROKER_EVENT_MODE] = "mode changed" };

    if (admin->dry)
        return;
    if (admin->kind == BROKER_EVENT_REVEAL)
        action_log(broker, LOG_LEVEL_NOTE, NULL, "%s was shown personal values whole: %s", admin->user, admin->what);
    else if (admin->kind == BROKER_EVENT_RELEASE || admin->kind == BROKER_EVENT_REJECT)
        action_log(broker, LOG_LEVEL_NOTE, NULL, "hold %llu: %s by %s: %s", (unsigned long long)admin->record,
                   admin->kind == BROKER_EVENT_RELEASE ? "released" : "rejected", admin->user, admin->ground);
    else if (admin->kind == BROKER_EVENT_SAME || admin->kind == BROKER_EVENT_DIFFERENT)
        action_log(broker, LOG_LEVEL_NOTE, NULL, "%s %llu and %llu: said to be %s by %s: %s", admin->name,
                   (unsigned long long)admin->record, (unsigned long long)admin->other,
                   admin->kind == BROKER_EVENT_SAME ? "the same" : "different", admin->user, admin->ground);
    else
        action_log(broker, LOG_LEVEL_NOTE, NULL, "%s: %s by %s", admin->name, done[admin->kind], admin->user);
}

static void finish_admins(struct broker *broker, struct work *work)
{
    while (work->admins) {
        const char *failure = work->admins->failure;

        const char *said = work->admins->said;

        if (!failure)
            tell_done(broker, work->admins);
        if (!failure && said)
            answer_told(broker, admin_pop(&work->admins), said);
        else
            answer(broker, admin_pop(&work->admins), failure);
    }
}

void *work_abandoned(struct work *work)
{
    void *request = NULL;

    while (work->admins && !request)
        request = admin_pop(&work->admins); /* one of the broker itself has nobody who waits */
    return request;
}

void work_free(struct work *work)
{
    buffer_free(&work->scratch);
    brake_free(&work->brake);
}

void batch_end(struct broker *broker)
{
    broker->batch = NULL;
    broker->work = NULL;
    for (uint32_t i = 0; i < broker->peer_count; i++)
        stage_bury(&broker->peers[i]);
}

void batch_next_part(struct broker *broker)
{
    struct work *work = broker->work;
    struct arena *arena = work->batch->arena;

    parts_go_on(broker, work);
    work_free(work);
    arena_free(&arena);
    decide_next_part(broker);
}

bool decide_stored(struct broker *broker)
{
    struct work *work = broker->work;
    struct arena *arena = work->batch->arena;
    const struct writes *writes = &work->batch->writes;

    if (!work->batch->ends) {
        batch_next_part(broker);
        return true;
    }
    broker->head = writes->head;
    broker->head_time_us = writes->head_time_us;
    broker->next_record = writes->next_record;
    broker->catalog_version = writes->catalog_version;
    broker->catalog_fresh = false;
    broker->opened = true;
    if (work->brake) {
        brake_free(&broker->brake);
        broker->brake = work->brake;
        work->brake = NULL;
    }
    if (broker->parts.peer)
        cache_clear(broker->cache); /* of all but the last part it has not heard */
    else
        cache_keep(broker->cache, work->batch);
    recent_add(broker->recent, work->batch);
    if (writes->applied_count > 0)
        broker->applied_ms = broker->now_ms;
    for (uint32_t i = 0; i < work->share_count; i++)
        finish_share(broker, &work->shares[i]);
    for (uint32_t i = 0; i < broker->peer_count; i++)
        altered_keep(broker->peers[i].altered);
    finish_admins(broker, work);
    suspects_cleared(broker);
    parts_end(&broker->parts);
    batch_end(broker);
    for (uint32_t i = 0; i < broker->peer_count; i++)
        feed_wake(broker, &broker->peers[i]);
    work_free(work);
    arena_free(&arena);
    return false;
}
