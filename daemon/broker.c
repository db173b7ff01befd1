#include "daemon/broker.h"

#include "daemon/decide.h"
#include "daemon/work.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_CHANGES_FIRST = 256 }; /* until it is known how large the records are */

/* ---- life ---- */

static int check_catalog(struct broker *broker, const struct ledger_state *state, struct error *err)
{
    const struct catalog *catalog = broker->catalog;

    broker->catalog_fresh = !state->opened || state->catalog_version != catalog->version;
    if (state->opened && catalog->version < state->catalog_version)
        return error_set(err, ERR_STOP,
                         "catalog: version %u is older than version %u, which is in force: raise its version",
                         catalog->version, state->catalog_version);
    if (!broker->catalog_fresh && memcmp(state->catalog_hash, catalog->hash, HASH_BYTES) != 0)
        return error_set(err, ERR_STOP,
                         "catalog: version %u has changed since it was activated: give it a higher version",
                         catalog->version);
    return 0;
}

/* Of the seed, as the salts are, but of no number that one of them is made of. */
static void make_hash_key(struct broker *broker)
{
    static const char name[] = "hash key";
    uint8_t made[32];

    commitment_make(broker->options.seed, name, sizeof name, made);
    memcpy(broker->hash_key.bytes, made, sizeof broker->hash_key.bytes);
}

static void altered_start(struct broker *broker, const struct altered_write *stored)
{
    struct peer *peer = peer_by_id(broker, stored->agency);
    int type = catalog_type(broker->catalog, stored->type, strlen(stored->type));
    int field = type < 0 ? -1 : catalog_field(&broker->catalog->types[type], stored->field, strlen(stored->field));

    if (strcmp(stored->field, "existence") == 0)
        field = FIELD_EXISTENCE;
    if (peer && field >= 0)
        altered_add(peer->altered, stored->record, (uint16_t)field);
}

int broker_new(const struct broker_options *options, const struct catalog *catalog, struct text catalog_text,
               const struct ledger_state *state, struct broker **ret, struct error *err)
{
    struct broker *broker = calloc(1, sizeof *broker);

    if (!broker)
        abort();
    broker->options = *options;
    if (!broker->options.working)
        broker->options.working = &broker->unwatched;
    broker->catalog = catalog;
    broker->catalog_text = catalog_text;
    broker->ids.count = catalog->agency_count;
    broker->opened = state->opened;
    broker->head = state->head;
    broker->head_time_us = state->head_time_us;
    broker->next_record = state->opened ? state->next_record : 1;
    broker->catalog_version = state->catalog_version;
    broker->step_arena = arena_new();
    broker->batch_changes = options->batch_changes < BATCH_CHANGES_FIRST ? options->batch_changes : BATCH_CHANGES_FIRST;
    make_hash_key(broker);
    broker->cache = cache_new(options->cache_bytes, &broker->hash_key);
    broker->recent = recent_new(options->cache_bytes / 4);
    broker->brake = brake_new(catalog, state);
    broker->peers = calloc(CATALOG_AGENCIES_MAX, sizeof *broker->peers);
    if (!broker->peers)
        abort();
    if (check_catalog(broker, state, err) < 0 || reconciler_new(catalog, &broker->reconciler, err) < 0) {
        broker_free(&broker);
        return err->code;
    }
    for (uint32_t i = 0; i < state->agency_count && i < CATALOG_AGENCIES_MAX; i++) {
        struct peer *peer = peer_add(broker, &state->agencies[i]);

        peer->stored = true;
        /* Where they do not fit a new catalog, its next hello says what it maps now. */
        if (peer->index != AGENCY_GONE)
            (void)!peer_bind(peer, err);
    }
    for (uint32_t i = 0; i < state->debt_count; i++) {
        struct peer *peer = peer_by_id(broker, state->debts[i].agency);

        if (peer)
            debts_add(peer->debts, &state->debts[i]);
    }
    for (uint32_t i = 0; i < state->altered_count; i++)
        altered_start(broker, &state->altered[i]);
    for (uint32_t i = 0; i < broker->peer_count; i++) { /* what a batch, or a preview, is undone to */
        debts_keep(broker->peers[i].debts);
        altered_keep(broker->peers[i].altered);
    }
    *ret = broker;
    return 0;
}

void *broker_abandoned(struct broker *broker)
{
    void *request = NULL;

    while (broker->admins && !request)
        request = admin_pop(&broker->admins);
    if (!request && broker->preview)
        request = preview_abandoned(broker);
    if (!request && broker->work)
        request = work_abandoned(broker->work);
    return request;
}

void broker_free(struct broker **broker)
{
    struct broker *old = *broker;

    if (!old)
        return;
    old->large = NULL; /* nobody is given its turn any more */
    for (uint32_t i = 0; i < old->peer_count; i++)
        peer_free(old, &old->peers[i]);
    if (old->work)
        work_free(old->work);
    preview_free(&old->preview);
    preview_free(&old->previewed);
    reconciler_free(&old->reconciler);
    cache_free(&old->cache);
    recent_free(&old->recent);
    brake_free(&old->brake);
    arena_free(&old->step_arena);
    parts_end(&old->parts);
    free(old->suspects.list);
    free(old->peers);
    free(old);
    *broker = NULL;
}

/* ---- steps ---- */

static bool is_anything_wanted(const struct wanted *wanted)
{
    return wanted->key_count > 0 || wanted->identifier_count > 0 || wanted->record_count > 0 ||
           wanted->observed_count > 0 || wanted->page.limit > 0 || wanted->fill.limit > 0 || wanted->had.limit > 0 ||
           wanted->settle.hold > 0 || wanted->count.agency > 0 || wanted->referred_count > 0 || wanted->leaf > 0;
}

static void lookup(struct broker *broker)
{
    action_add(broker, BROKER_ACTION_LOOKUP)->batch = broker->batch;
}

static void on_found(struct broker *broker)
{
    enum decided decided;

    do
        decided = decide_found(broker);
    while (decided == DECIDED_RESOLVED && !is_anything_wanted(&broker->batch->wanted));
    if (decided == DECIDED_NOTHING)
        return;
    if (decided == DECIDED) {
        action_add(broker, BROKER_ACTION_STORE)->batch = broker->batch;
        return;
    }
    broker->batch->found = (struct found){ 0 };
    lookup(broker);
}

/* A batch has begun: what it needs is looked up, unless all of it is known. */
static void find(struct broker *broker)
{
    if (is_anything_wanted(&broker->batch->wanted))
        lookup(broker);
    else
        on_found(broker);
}

static void on_tick(struct broker *broker)
{
    stage_watch(broker);
    for (uint32_t i = 0; i < broker->peer_count; i++) {
        session_watch(broker, &broker->peers[i]);
        feed_idle(broker, &broker->peers[i]);
    }
}

void broker_step(struct broker *broker, const struct broker_event *event, struct broker_actions *ret)
{
    arena_reset(broker->step_arena);
    preview_free(&broker->previewed);
    ret->count = 0;
    broker->actions = ret;
    broker->now_us = event->now_us;
    broker->now_ms = event->monotonic_ms;
    if (broker->started_ms == 0)
        broker->started_ms = event->monotonic_ms;
    switch (event->kind) {
    case BROKER_EVENT_FRAME:
        session_frame(broker, event);
        break;
    case BROKER_EVENT_FOUND:
        on_found(broker);
        break;
    case BROKER_EVENT_STORED:
        if (decide_stored(broker))
            find(broker);
        break;
    case BROKER_EVENT_REFUSED:
        decide_refused(broker, event->why);
        break;
    case BROKER_EVENT_SCANNED:
        feed_scanned(broker, event->scan);
        break;
    case BROKER_EVENT_ENROL:
    case BROKER_EVENT_REVEAL:
    case BROKER_EVENT_REVOKE:
    case BROKER_EVENT_RESUME:
    case BROKER_EVENT_RELOAD:
    case BROKER_EVENT_MODE:
    case BROKER_EVENT_RELEASE:
    case BROKER_EVENT_REJECT:
    case BROKER_EVENT_SAME:
    case BROKER_EVENT_DIFFERENT:
        operator_asks(broker, event);
        break;
    case BROKER_EVENT_PREVIEW:
        preview_ask(broker, event);
        break;
    case BROKER_EVENT_LOST:
        session_lost(broker, &event->route);
        break;
    case BROKER_EVENT_CRASHED:
        session_crashed(broker, &event->working);
        break;
    case BROKER_EVENT_TICK:
        on_tick(broker);
        break;
    case BROKER_EVENT_COUNT:
        assert(false);
    }
    broker->options.working->agency = 0;
    while (!broker->batch && !broker->stopped && decide_start(broker))
        find(broker);
    broker->options.working->agency = 0;
}

/* ---- views ---- */

bool broker_peer(const struct broker *broker, uint32_t at, struct peer_view *ret)
{
    const struct peer *peer;

    if (at >= broker->peer_count)
        return false;
    peer = &broker->peers[at];
    *ret = (struct peer_view){
        .row = &peer->row,
        .known = peer->index != AGENCY_GONE,
        .up = peer->up,
        .reads = peer_reads(peer),
        .sent = peer->feed_sent,
        .parked = debts_count(peer->debts, DEBT_PARKED),
        .skipped = debts_count(peer->debts, DEBT_SKIPPED),
        .held = brake_held(broker->brake, peer->row.id),
        .altered = altered_count(peer->altered),
        .altered_more = altered_more(peer->altered),
        .copy_at_us = peer->copy_at_us,
    };
    return true;
}

const struct hold_row *broker_hold(const struct broker *broker, uint32_t at)
{
    const struct hold *hold = brake_hold(broker->brake, at);

    return hold ? &hold->row : NULL;
}

bool broker_hold_refused(const struct broker *broker, uint32_t at)
{
    const struct hold *hold = brake_hold(broker->brake, at);

    return hold && hold->refused;
}

feed_position broker_head(const struct broker *broker)
{
    return broker->head;
}

uint32_t broker_catalog_version(const struct broker *broker)
{
    return broker->catalog_version;
}

uint16_t broker_agency_of_key(const struct broker *broker, const uint8_t key[32])
{
    uint16_t found = 0;

    for (uint32_t i = 0; i < broker->peer_count; i++) {
        unsigned char differs = 0;

        for (int b = 0; b < 32; b++)
            differs |= (unsigned char)(broker->peers[i].row.key[b] ^ key[b]);
        if (differs == 0 && broker->peers[i].row.enrolled)
            found = broker->peers[i].row.id;
    }
    return found;
}
