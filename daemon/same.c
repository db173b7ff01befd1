/* Which record a record is by now; same_decide.c has the decisions that make two records one, or two again. */
#include "daemon/same.h"

#include "daemon/referers.h"

#include <string.h>

/* ---- what is meant ---- */

struct canonical *same_end(const struct work *work, struct canonical *record)
{
    while (record && record->same_as) {
        struct canonical *next = record_numbered(work, record->same_as);

        if (!next || next->type != record->type)
            break;
        record = next;
    }
    return record;
}

struct canonical *same_row(const struct work *work, const struct peer *peer, struct canonical *record)
{
    while (record && record->same_as && sent_find(&record->passed, peer->index) > 0) {
        struct canonical *next = record_numbered(work, record->same_as);

        if (!next || next->type != record->type)
            break;
        record = next;
    }
    return record;
}

/* ---- looking up ---- */

bool same_is_new(struct work *work, uint64_t number, uint64_t what)
{
    uint64_t key[2] = { number, what };
    void **slot;

    if (!work->same_asked)
        work->same_asked = map_new(work->batch->arena, work->batch->hash_key);
    slot = map_slot(work->same_asked, key, sizeof key);
    if (*slot)
        return false;
    *slot = work;
    return true;
}

static bool want(struct work *work, uint16_t type, uint64_t number)
{
    struct wanted *wanted = &work->batch->wanted;
    uint32_t capacity = wanted->record_count; /* what others have put there is full */

    if (!same_is_new(work, number, UNIT_EXISTENCE))
        return false;
    wanted->records = room(work, wanted->records, wanted->record_count, &capacity, sizeof *wanted->records);
    wanted->records[wanted->record_count++] = (struct wanted_record){ .type = type, .number = number };
    return true;
}

bool same_took(const struct canonical *record, uint16_t unit)
{
    return record->type->units[unit].identifier && record->units[unit].seq == record->same_at &&
           record->units[unit].writer == AGENCY_NOBODY && record->units[unit].before;
}

/* Who may have by now what the record was found by. */
static bool want_its_identifiers(struct work *work, const struct canonical *record)
{
    uint16_t type = (uint16_t)(record->type - work->batch->catalog->types);
    uint32_t capacity = work->batch->wanted.identifier_count;
    bool any = false;

    for (uint16_t u = 0; u < record->type->unit_count; u++) {
        if (!same_took(record, u) || !same_is_new(work, record->number, u + 1u))
            continue;
        want_identifier(work, type, u, record->units[u].before, &capacity);
        any = true;
    }
    return any;
}

bool same_wants(struct broker *broker, struct work *work)
{
    const struct found *found = &work->batch->found;
    bool any = false;

    for (const struct admin *admin = work->admins; admin; admin = admin->next) {
        int type = catalog_type(broker->catalog, admin->name, strlen(admin->name));

        if ((admin->kind != BROKER_EVENT_SAME && admin->kind != BROKER_EVENT_DIFFERENT) || type < 0)
            continue;
        any |= want(work, (uint16_t)type, admin->record);
        any |= want(work, (uint16_t)type, admin->other);
        any |= broker->catalog->types[type].referred && referers_want(work, admin);
    }
    any |= referers_want_more(work);
    for (uint32_t i = 0; i < found->record_count; i++) {
        const struct canonical *record = found->records[i];

        if (!record->same_as)
            continue;
        any |= want(work, (uint16_t)(record->type - work->batch->catalog->types), record->same_as);
        for (const struct admin *admin = work->admins; admin; admin = admin->next)
            if (admin->kind == BROKER_EVENT_DIFFERENT)
                any |= want_its_identifiers(work, record);
    }
    return any;
}
