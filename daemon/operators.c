/* What operators ask for: each request waits for the batch that makes it durable, and is answered then. */
#include "daemon/peer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void answer(struct broker *broker, void *request, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void answer(struct broker *broker, void *request, const char *fmt, ...)
{
    struct broker_action *action = action_add(broker, BROKER_ACTION_ANSWER);
    char text[480];
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    action->request = request;
    action->text = arena_copy(broker->step_arena, text, strlen(text));
}

/* Whether another agency has this key, or is about to get it. */
static const char *key_holder(const struct broker *broker, const char *name, const uint8_t key[32])
{
    for (uint32_t i = 0; i < broker->peer_count; i++)
        if (strcmp(broker->peers[i].row.name, name) != 0 && broker->peers[i].row.enrolled &&
            memcmp(broker->peers[i].row.key, key, 32) == 0)
            return broker->peers[i].row.name;
    for (const struct admin *admin = broker->admins; admin; admin = admin->next)
        if (admin->kind == BROKER_EVENT_ENROL && strcmp(admin->name, name) != 0 && memcmp(admin->key, key, 32) == 0)
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

/* Puts the request behind those that wait already. */
static struct admin *admin_add(struct broker *broker, const struct broker_event *event)
{
    struct admin *admin = calloc(1, sizeof *admin), **last = &broker->admins;

    if (!admin)
        abort();
    admin->kind = event->kind;
    snprintf(admin->name, sizeof admin->name, "%s", event->name);
    snprintf(admin->user, sizeof admin->user, "%s", event->user);
    admin->request = event->request;
    while (*last)
        last = &(*last)->next;
    *last = admin;
    return admin;
}

/* Whoever is shown personal values stands in the ledger first: the answer comes when that is committed. */
static void reveal_asked(struct broker *broker, const struct broker_event *event)
{
    struct admin *admin;

    if (event->record > 0 && catalog_type(broker->catalog, event->name, strlen(event->name)) < 0) {
        answer(broker, event->request, "the catalog in force has no record type %.40s", event->name);
        return;
    }
    admin = admin_add(broker, event);
    admin->record = event->record;
    snprintf(admin->what, sizeof admin->what, "%s", event->what);
}

static void key_asked(struct broker *broker, const struct broker_event *event)
{
    bool revoke = event->kind == BROKER_EVENT_REVOKE;
    struct peer *peer = peer_named(broker, event->name);
    const char *holder;
    struct admin *admin;

    if (revoke && (!peer || !peer->row.enrolled)) {
        answer(broker, event->request, "%s has no key that could be revoked", event->name);
        return;
    }
    if (catalog_agency(broker->catalog, event->name, strlen(event->name)) < 0) {
        const char *near = nearest_agency(broker->catalog, event->name);

        answer(broker, event->request, "the catalog names no agency %s%s%s", event->name, near ? "; did you mean " : "",
               near ? near : "");
        return;
    }
    holder = revoke ? NULL : key_holder(broker, event->name, event->key);
    if (holder) {
        answer(broker, event->request, "this key belongs to %s already: each agency needs its own", holder);
        return;
    }
    if (!peer && broker->batch) {
        answer(broker, event->request, "busy: try again");
        return;
    }
    if (!peer) {
        struct agency_row row = { .id = 1, .mode = MODE_FULL };

        snprintf(row.name, sizeof row.name, "%s", event->name);
        for (uint32_t i = 0; i < broker->peer_count; i++)
            if (broker->peers[i].row.id >= row.id)
                row.id = (uint16_t)(broker->peers[i].row.id + 1);
        peer_add(broker, &row);
    }
    admin = admin_add(broker, event);
    if (!revoke)
        memcpy(admin->key, event->key, sizeof admin->key);
}

void operator_asks(struct broker *broker, const struct broker_event *event)
{
    if (event->kind == BROKER_EVENT_REVEAL)
        reveal_asked(broker, event);
    else
        key_asked(broker, event);
}

void *admin_pop(struct admin **list)
{
    struct admin *admin = *list;
    void *request = admin->request;

    *list = admin->next;
    free(admin);
    return request;
}
