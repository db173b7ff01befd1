/* Identifiers that pass from one record to another within one source transaction: "uniqueness is tested after the whole
 * source transaction; changes that exchange identifiers share one verdict".
 *
 * Before anything of the transaction is decided, each update that gives a record another identifier is judged as if
 * nobody had it. What is not accepted so, or wants what a record has that does not give it up, falls; and with it falls
 * whoever waits for what this one would have given up. What is left is granted. */
#include "daemon/identity.h"
#include "daemon/work.h"

#include <string.h>

/* What one record would get. */
struct grant {
    const struct canonical *record;
    uint16_t unit;
    struct value values[KEY_FIELDS_MAX];
    bool fallen;
    struct grant *next;              /* of the transaction */
    struct grant *waiting, *sibling; /* for what this one gives up; the next of those that wait for the same */
    struct grant *next_fallen;
};

struct exchange {
    struct work *work;
    struct map *givers;  /* (record, unit) to grant; both are made with the first one */
    struct map *wanters; /* identifier to grant */
    struct grant *all, **end;
};

static struct text giver_name(const struct exchange *exchange, const struct canonical *record, uint16_t unit)
{
    return map_key(exchange->work->batch->arena, record->number, (struct text){ (const char *)&unit, sizeof unit },
                   (struct text){ "", 0 });
}

/* The grant by which this record gives up what it is found by now, or NULL. */
static struct grant *giver_find(const struct exchange *exchange, const struct canonical *record, uint16_t unit)
{
    struct text name;

    if (!exchange->all)
        return NULL;
    name = giver_name(exchange, record, unit);
    return map_find(exchange->givers, name.bytes, name.length);
}

static uint64_t taken_by_nobody(void *context, const struct canonical *record, uint16_t unit,
                                const struct value *values)
{
    (void)context;
    (void)record;
    (void)unit;
    (void)values;
    return 0;
}

struct exchange *exchange_new(struct work *work)
{
    struct exchange *exchange = arena_alloc(work->batch->arena, sizeof *exchange);

    *exchange = (struct exchange){ .work = work };
    exchange->end = &exchange->all;
    return exchange;
}

static void grant_add(struct exchange *exchange, const struct question *question, uint16_t unit)
{
    const struct catalog_unit *identifier = &question->record->type->units[unit];
    struct grant *grant = arena_alloc(exchange->work->batch->arena, sizeof *grant);
    struct text name = giver_name(exchange, question->record, unit);

    *grant = (struct grant){ .record = question->record, .unit = unit };
    for (uint16_t i = 0; i < identifier->field_count; i++) {
        uint16_t field = identifier->fields[i];

        grant->values[i] =
            question->fields[field].state == VALUE_ABSENT ? question->record->values[field] : question->fields[field];
    }
    if (!exchange->all) {
        exchange->givers = map_new(exchange->work->batch->arena, exchange->work->batch->hash_key);
        exchange->wanters = map_new(exchange->work->batch->arena, exchange->work->batch->hash_key);
    }
    *exchange->end = grant;
    exchange->end = &grant->next;
    *map_slot(exchange->givers, name.bytes, name.length) = grant;
}

/* What collides waits only for what it collides with. */
static bool waits(const struct held *held)
{
    return held && !held->defect;
}

void exchange_ask(struct broker *broker, struct exchange *exchange, const struct writer *writer,
                  const struct canonical *record, const struct value *fields)
{
    struct question question = { .reconciler = broker->reconciler,
                                 .writer = writer,
                                 .record = record,
                                 .fields = fields,
                                 .base = writer->nothing_seen ? 0 : writer->base,
                                 .taken = taken_by_nobody };

    if (held_find(record, writer->agency, UNIT_EXISTENCE))
        return; /* whatever is done to it joins what is held */
    for (uint16_t u = 0; record->exists && u < record->type->unit_count; u++)
        if (record->type->units[u].identifier && unit_is_touched(&question, u) &&
            !waits(held_find(record, writer->agency, u)) && !(writer->holds && writer->holds[u] != 0) &&
            verdict_accepts(judge_unit(&question, u).verdict))
            grant_add(exchange, &question, u);
}

static void grant_fall(struct grant **fallen, struct grant *grant)
{
    if (grant->fallen)
        return;
    grant->fallen = true;
    grant->next_fallen = *fallen;
    *fallen = grant;
}

/* One that lacks a part only gives up. */
static bool grant_wants(const struct grant *grant)
{
    for (uint16_t i = 0; i < grant->record->type->units[grant->unit].field_count; i++)
        if (grant->values[i].state != VALUE_SET)
            return false;
    return true;
}

/* Whom it waits for; false: it cannot be granted. */
static bool grant_waits(struct exchange *exchange, struct grant *grant)
{
    struct text name = identity_name(exchange->work->batch->arena, grant->record->type, grant->unit, grant->values);
    void **wanter = map_slot(exchange->wanters, name.bytes, name.length);
    const struct canonical *holder = record_identified(exchange->work, grant->record->type, grant->unit, grant->values);
    struct grant *giver;

    if (*wanter)
        return false; /* one before it wants it too */
    *wanter = grant;
    if (!holder || holder == grant->record || identity_is_free(holder))
        return true;
    giver = giver_find(exchange, holder, grant->unit);
    if (!giver)
        return false; /* who has it keeps it */
    grant->sibling = giver->waiting;
    giver->waiting = grant;
    return true;
}

void exchange_settle(struct exchange *exchange)
{
    struct grant *fallen = NULL;

    for (struct grant *grant = exchange->all; grant; grant = grant->next)
        if (grant_wants(grant) && !grant_waits(exchange, grant))
            grant_fall(&fallen, grant);
    while (fallen) {
        struct grant *grant = fallen;

        fallen = grant->next_fallen;
        for (struct grant *waiting = grant->waiting; waiting; waiting = waiting->sibling)
            grant_fall(&fallen, waiting);
    }
}

bool exchange_gives(const struct exchange *exchange, const struct canonical *holder, uint16_t unit)
{
    const struct grant *grant = exchange ? giver_find(exchange, holder, unit) : NULL;

    return grant && !grant->fallen && !identity_is(holder, unit, grant->values);
}

bool exchange_grants(const struct exchange *exchange, const struct canonical *record, uint16_t unit)
{
    const struct grant *grant = exchange ? giver_find(exchange, record, unit) : NULL;

    return grant && !grant->fallen;
}

bool exchange_wants(const struct exchange *exchange, const struct catalog_type *type, uint16_t unit,
                    const struct value *values)
{
    struct text name;
    const struct grant *grant;

    if (!exchange || !exchange->all)
        return false;
    name = identity_name(exchange->work->batch->arena, type, unit, values);
    grant = map_find(exchange->wanters, name.bytes, name.length);
    return grant && !grant->fallen;
}
