/* What operators ask for: each request waits for the batch that makes it durable, and is answered then. */
#include "daemon/modes.h"
#include "daemon/peer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void answer(struct broker *broker, void *request, const char *failure)
{
    struct broker_action *action = action_add(broker, BROKER_ACTION_ANSWER);

    action->request = request;
    action->ok = !failure;
    action->text = failure ? arena_copy(broker->step_arena, failure, strlen(failure)) : "{}";
}

void answer_told(struct broker *broker, void *request, const char *json)
{
    struct broker_action *action = action_add(broker, BROKER_ACTION_ANSWER);

    action->request = request;
    action->ok = true;
    action->text = arena_copy(broker->step_arena, json, strlen(json));
}

void answer_failure(struct broker *broker, void *request, const char *fmt, ...)
{
    char text[640];
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    answer(broker, request, text);
}

/* Whether another agency has this key, or is about to get it. */
static const char *key_holder(const struct broker *broker, const char *name, const uint8_t key[32])
{
    for (uint32_t i = 0; i < broker->peer_count; i++)
        if (strcmp(broker->peers[i].row.name, name) != 0 && broker->peers[i].row.enrolled &&
            memcmp(broker->peers[i].row.key, key, 32) == 0)
            return broker->peers[i].row.name;
    for (const struct admin *admin = broker->admins; admin; admin = admin->next)
        if (strcmp(admin->name, name) != 0 && admin->kind == BROKER_EVENT_ENROL && memcmp(admin->key, key, 32) == 0)
            return admin->name;
    return NULL;
}

static const char *nearest_agency(const struct catalog *catalog, const char *name)
{
    const char *names[CATALOG_AGENCIES_MAX + 1] = { NULL };

    for (uint8_t i = 0; i < catalog->agency_count; i++)
        names[i] = catalog->agencies[i];
    return nearest_word(name, names);
}

/* The block of the agency that is nearly called so, or NULL. */
static const char *nearest_block(struct arena *arena, const struct peer *peer, const char *name)
{
    const char **names = arena_array(arena, peer->block_count + 1u, sizeof(char *));

    for (uint16_t i = 0; i < peer->block_count; i++)
        names[i] = arena_copy(arena, peer->blocks[i].name.bytes, peer->blocks[i].name.length);
    return nearest_word(name, names);
}

/* Whether the catalog names the agency; else the request is answered. */
static bool agency_is_named(struct broker *broker, const struct broker_event *event)
{
    const char *near;

    if (catalog_agency(broker->catalog, event->name, strlen(event->name)) >= 0)
        return true;
    near = nearest_agency(broker->catalog, event->name);
    answer_failure(broker, event->request, "the catalog names no agency %s%s%s", event->name,
                   near ? "; did you mean " : "", near ? near : "");
    return false;
}

static void place_make(struct broker *broker, const char *name)
{
    struct agency_row row = { .id = 1, .mode = MODE_OBSERVE } /* until an operator has seen what it would do */;

    snprintf(row.name, sizeof row.name, "%s", name);
    for (uint32_t i = 0; i < broker->peer_count; i++)
        if (broker->peers[i].row.id >= row.id)
            row.id = (uint16_t)(broker->peers[i].row.id + 1);
    peer_add(broker, &row);
}

static bool may_enrol(struct broker *broker, const struct broker_event *event)
{
    const char *holder;

    if (!agency_is_named(broker, event))
        return false;
    holder = key_holder(broker, event->name, event->key);
    if (holder) {
        answer_failure(broker, event->request, "this key belongs to %s already: each agency needs its own", holder);
        return false;
    }
    return true;
}

static bool may_revoke(struct broker *broker, const struct broker_event *event)
{
    const struct peer *peer = peer_named(broker, event->name);

    if (!peer || !peer->row.enrolled) {
        answer_failure(broker, event->request, "%s has no key that could be revoked", event->name);
        return false;
    }
    return agency_is_named(broker, event);
}

static bool may_resume(struct broker *broker, const struct broker_event *event)
{
    const struct peer *peer = peer_named(broker, event->name);

    if (!peer && !agency_is_named(broker, event))
        return false;
    if (!peer || peer->row.state != STATE_QUARANTINED)
        answer_failure(broker, event->request, "%s is not quarantined", event->name);
    else if (!quarantine_resumes(peer->row.quarantine))
        answer_failure(broker, event->request,
                       "%s cannot go on from where it is: %s. Load it anew: selaras agency reload %s --ground TEXT",
                       event->name, peer->row.reason, event->name);
    else if (strlen(event->ground) > GROUND_BYTES_MAX)
        answer_failure(broker, event->request, "a ground has at most %d bytes", GROUND_BYTES_MAX);
    else
        return true;
    return false;
}

/* Also one that is not quarantined: what only a load can mend, its operator may know before we do. */
static bool may_reload(struct broker *broker, const struct broker_event *event)
{
    const struct peer *peer = peer_named(broker, event->name);

    if (!peer && !agency_is_named(broker, event))
        return false;
    if (!peer || peer->row.incarnation == 0)
        answer_failure(broker, event->request, "%s was never loaded: its agent does that when it first says hello",
                       event->name);
    else if (strlen(event->ground) > GROUND_BYTES_MAX)
        answer_failure(broker, event->request, "a ground has at most %d bytes", GROUND_BYTES_MAX);
    else
        return true;
    return false;
}

const char *mode_refused(const struct broker *broker, struct arena *arena, const struct agency_row *row,
                         const struct peer *peer, enum agency_mode mode, const char *table)
{
    struct text name = { table, (uint32_t)strlen(table) };

    if (row->state == STATE_QUARANTINED)
        return arena_printf(arena, "%s is quarantined: %s. First: selaras agency %s %s --ground TEXT", row->name,
                            row->reason, quarantine_resumes(row->quarantine) ? "resume" : "reload", row->name);
    if (name.length > 0 && !peer_block_named(peer, name))
        return peer->block_count == 0
                   ? arena_printf(arena, "the tables of %s are known when its agent has said hello", row->name)
                   : arena_printf(arena, "the mapping of %s has no block %s%s%s", row->name, table,
                                  nearest_block(arena, peer, table) ? "; did you mean " : "",
                                  nearest_block(arena, peer, table) ? nearest_block(arena, peer, table) : "");
    if (name.length > 0 ? modes_of(row, name) == mode : row->mode == mode && row->modes.length == 0)
        return arena_printf(arena, "%s%s%s is in mode %s already", row->name, name.length > 0 ? ": " : "", table,
                            agency_mode_name(mode));
    if (mode == MODE_OBSERVE && brake_held(broker->brake, row->id) > 0)
        return arena_printf(arena,
                            "changes of %s are held, and nothing of an agency that observes may take effect: decide "
                            "about them first: selaras hold list --agency %s",
                            row->name, row->name);
    return NULL;
}

static bool is_being_enrolled(const struct broker *broker, const char *name)
{
    for (const struct admin *admin = broker->admins; admin; admin = admin->next)
        if (admin->kind == BROKER_EVENT_ENROL && strcmp(admin->name, name) == 0)
            return true;
    return false;
}

/* Before its first hello too: then nothing is loaded twice. */
static bool may_mode(struct broker *broker, const struct broker_event *event)
{
    const struct peer *peer = peer_named(broker, event->name);
    const char *refused = NULL;

    if (!peer && !agency_is_named(broker, event))
        return false;
    if (peer)
        refused = mode_refused(broker, broker->step_arena, &peer->row, peer, event->mode, event->table);
    else if (!is_being_enrolled(broker, event->name))
        refused =
            arena_printf(broker->step_arena, "%s is not enrolled: selaras key enrol %s HEX", event->name, event->name);
    if (strlen(event->ground) == 0 || strlen(event->ground) > GROUND_BYTES_MAX)
        answer_failure(broker, event->request, "a ground has 1 to %d bytes", GROUND_BYTES_MAX);
    else if (refused)
        answer(broker, event->request, refused);
    else
        return true;
    return false;
}

/* Whoever is shown personal values stands in the ledger first: the answer comes when that is committed. */
static bool may_reveal(struct broker *broker, const struct broker_event *event)
{
    if (event->record == 0 || catalog_type(broker->catalog, event->name, strlen(event->name)) >= 0)
        return true;
    answer_failure(broker, event->request, "the catalog in force has no record type %.40s", event->name);
    return false;
}

static bool may_settle(struct broker *broker, const struct broker_event *event)
{
    const struct hold *hold =
        event->record <= UINT32_MAX ? brake_hold_numbered(broker->brake, (uint32_t)event->record) : NULL;
    const struct peer *peer = hold ? peer_by_id(broker, hold->row.agency) : NULL;
    const char *selection;

    if (!hold)
        answer_failure(broker, event->request, "there is no open hold %llu: selaras hold list",
                       (unsigned long long)event->record);
    else if (brake_is_decided(hold))
        answer_failure(broker, event->request, "%s has decided about hold %u already, which is being carried out",
                       hold->row.by, hold->row.number);
    else if (!peer || peer->index == AGENCY_GONE || hold->type == UINT16_MAX)
        answer_failure(broker, event->request, "the catalog in force no longer has what hold %u is about",
                       hold->row.number);
    else if (strlen(event->ground) == 0 || strlen(event->ground) > GROUND_BYTES_MAX)
        answer_failure(broker, event->request, "a ground has 1 to %d bytes", GROUND_BYTES_MAX);
    else if (strlen(event->what) > REVEAL_BYTES_MAX || !selection_make(broker->step_arena, event->what, &selection))
        answer_failure(broker, event->request,
                       "records are numbers or ranges with commas between, like 17,19,200-400, in at most %d bytes",
                       REVEAL_BYTES_MAX);
    else
        return true;
    return false;
}

/* What the records are is known once they are looked up. */
static bool may_say_same(struct broker *broker, const struct broker_event *event)
{
    if (catalog_type(broker->catalog, event->name, strlen(event->name)) < 0)
        answer_failure(broker, event->request, "the catalog in force has no record type %.40s", event->name);
    else if (event->record == event->other)
        answer_failure(broker, event->request, "these are two names of one record, %llu",
                       (unsigned long long)event->record);
    else if (strlen(event->ground) == 0 || strlen(event->ground) > GROUND_BYTES_MAX)
        answer_failure(broker, event->request, "a ground has 1 to %d bytes", GROUND_BYTES_MAX);
    else
        return true;
    return false;
}

/* Puts the request behind those that wait already. */
static void admin_add(struct broker *broker, const struct broker_event *event)
{
    struct admin *admin = calloc(1, sizeof *admin), **last = &broker->admins;

    if (!admin)
        abort();
    admin->kind = event->kind;
    snprintf(admin->name, sizeof admin->name, "%s", event->name ? event->name : "");
    snprintf(admin->user, sizeof admin->user, "%s", event->user);
    snprintf(admin->ground, sizeof admin->ground, "%s", event->ground ? event->ground : "");
    snprintf(admin->what, sizeof admin->what, "%s", event->what ? event->what : "");
    if (event->kind == BROKER_EVENT_ENROL)
        memcpy(admin->key, event->key, sizeof admin->key);
    admin->mode = event->mode;
    snprintf(admin->table, sizeof admin->table, "%s", event->table ? event->table : "");
    admin->record = event->record;
    admin->other = event->other;
    admin->dry = event->dry;
    admin->request = event->request;
    while (*last)
        last = &(*last)->next;
    *last = admin;
}

void operator_asks(struct broker *broker, const struct broker_event *event)
{
    typedef bool may_ask(struct broker * broker, const struct broker_event *event);
    static may_ask *const may[BROKER_EVENT_COUNT] = {
        [BROKER_EVENT_ENROL] = may_enrol,   [BROKER_EVENT_REVOKE] = may_revoke, [BROKER_EVENT_RESUME] = may_resume,
        [BROKER_EVENT_RELOAD] = may_reload, [BROKER_EVENT_REVEAL] = may_reveal, [BROKER_EVENT_RELEASE] = may_settle,
        [BROKER_EVENT_REJECT] = may_settle, [BROKER_EVENT_SAME] = may_say_same, [BROKER_EVENT_DIFFERENT] = may_say_same,
        [BROKER_EVENT_MODE] = may_mode,
    };

    if (may[event->kind](broker, event))
        admin_add(broker, event);
}

void operators_place(struct broker *broker)
{
    for (const struct admin *admin = broker->admins; admin; admin = admin->next)
        if (admin->kind == BROKER_EVENT_ENROL && !peer_named(broker, admin->name))
            place_make(broker, admin->name);
}

void *admin_pop(struct admin **list)
{
    struct admin *admin = *list;
    void *request = admin->request;

    *list = admin->next;
    free(admin);
    return request;
}
