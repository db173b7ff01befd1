#include "daemon/brake.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A limit's time is counted in so many parts, and one more: what counts is at least the whole time, and at most a
 * fifteenth longer. */
enum { PARTS = 15, SELECTION_RANGES_MAX = 1000 };

/* What one agency has done of one limit: a ring of its latest parts. */
struct use {
    uint16_t agency;
    uint32_t limit; /* of brake.limits */
    int64_t newest; /* part */
    uint64_t changes[PARTS + 1];
    bool changed;
};

struct brake {
    struct arena *arena; /* all of it */
    const struct catalog *catalog;
    const struct limited *limits; /* by type */
    uint32_t limit_count;
    struct use *uses;
    uint32_t use_count, use_capacity;
    struct hold *holds;
    uint32_t hold_count, hold_capacity;
    uint32_t next_hold;
};

static void *more(struct arena *arena, void *array, uint32_t count, uint32_t *capacity, size_t size)
{
    void *grown;

    if (count < *capacity)
        return array;
    *capacity = *capacity ? *capacity * 2 : 8;
    grown = arena_array(arena, *capacity, size);
    if (count > 0)
        memcpy(grown, array, count * size);
    return grown;
}

static const char *kept(struct arena *arena, const char *text)
{
    return arena_copy(arena, text, strlen(text));
}

/* ---- limits ---- */

static void limits_make(struct brake *brake)
{
    const struct catalog *catalog = brake->catalog;
    struct limited *limits;
    uint32_t count = 0;

    for (uint16_t t = 0; t < catalog->type_count; t++)
        for (uint16_t u = 0; u < catalog->types[t].unit_count; u++)
            count += catalog->types[t].units[u].policy.limit_count;
    limits = arena_array(brake->arena, count + 1u, sizeof *limits);
    for (uint16_t t = 0; t < catalog->type_count; t++)
        for (uint16_t u = 0; u < catalog->types[t].unit_count; u++)
            for (uint8_t l = 0; l < catalog->types[t].units[u].policy.limit_count; l++)
                limits[brake->limit_count++] = (struct limited){ t, u, &catalog->types[t].units[u].policy.limits[l] };
    brake->limits = limits;
}

const struct limited *brake_limit(const struct brake *brake, uint32_t limit)
{
    return limit < brake->limit_count ? &brake->limits[limit] : NULL;
}

uint32_t brake_limit_count(const struct brake *brake)
{
    return brake->limit_count;
}

uint32_t brake_limits_of(const struct brake *brake, uint16_t type, uint32_t *ret_count)
{
    uint32_t first = 0;

    while (first < brake->limit_count && brake->limits[first].type < type)
        first++;
    *ret_count = 0;
    while (first + *ret_count < brake->limit_count && brake->limits[first + *ret_count].type == type)
        (*ret_count)++;
    return first;
}

/* ---- uses ---- */

static int64_t part_us(const struct catalog_limit *limit)
{
    return (int64_t)limit->window_s * 1000000 / PARTS;
}

static struct use *use_of(const struct brake *brake, uint16_t agency, uint32_t limit)
{
    for (uint32_t i = 0; i < brake->use_count; i++)
        if (brake->uses[i].agency == agency && brake->uses[i].limit == limit)
            return &brake->uses[i];
    return NULL;
}

uint64_t brake_used(const struct brake *brake, uint16_t agency, uint32_t limit, int64_t now_us)
{
    const struct use *use = use_of(brake, agency, limit);
    int64_t now = now_us / part_us(brake->limits[limit].limit);
    uint64_t used = 0;

    for (int64_t part = now - PARTS; use && part <= now; part++)
        if (part >= 0 && part <= use->newest && part > use->newest - (PARTS + 1))
            used += use->changes[part % (PARTS + 1)];
    return used;
}

/* A time that goes back counts as no time passing. */
static void use_add(struct use *use, int64_t part, uint64_t changes)
{
    for (int i = 0; use->newest < part && i <= PARTS; i++)
        use->changes[++use->newest % (PARTS + 1)] = 0;
    if (use->newest < part)
        use->newest = part;
    use->changes[use->newest % (PARTS + 1)] += changes;
}

static struct use *use_make(struct brake *brake, uint16_t agency, uint32_t limit, int64_t part)
{
    struct use *use = use_of(brake, agency, limit);

    if (use)
        return use;
    brake->uses = more(brake->arena, brake->uses, brake->use_count, &brake->use_capacity, sizeof *brake->uses);
    use = &brake->uses[brake->use_count++];
    *use = (struct use){ .agency = agency, .limit = limit, .newest = part };
    return use;
}

void brake_use(struct brake *brake, uint16_t agency, uint32_t limit, int64_t now_us, uint64_t changes)
{
    int64_t part = now_us / part_us(brake->limits[limit].limit);
    struct use *use = use_make(brake, agency, limit, part);

    use_add(use, part, changes);
    use->changed = true;
}

/* ---- holds ---- */

struct hold *brake_hold(const struct brake *brake, uint32_t at)
{
    return at < brake->hold_count ? &brake->holds[at] : NULL;
}

struct hold *brake_hold_numbered(const struct brake *brake, uint32_t number)
{
    for (uint32_t i = 0; i < brake->hold_count; i++)
        if (brake->holds[i].row.number == number)
            return &brake->holds[i];
    return NULL;
}

struct hold *brake_hold_of(const struct brake *brake, uint16_t agency, uint16_t type, uint16_t unit, const char *reason)
{
    for (uint32_t i = 0; i < brake->hold_count; i++) {
        struct hold *hold = &brake->holds[i];

        if (hold->row.agency == agency && hold->type == type && hold->unit == unit &&
            strcmp(hold->row.reason, reason) == 0)
            return hold;
    }
    return NULL;
}

static struct hold *hold_add(struct brake *brake, const struct hold_row *row)
{
    int type = catalog_type(brake->catalog, row->type, strlen(row->type));
    struct hold *hold;

    brake->holds = more(brake->arena, brake->holds, brake->hold_count, &brake->hold_capacity, sizeof *brake->holds);
    hold = &brake->holds[brake->hold_count++];
    *hold = (struct hold){ .row = *row, .type = UINT16_MAX, .unit = UINT16_MAX };
    hold->row.type = kept(brake->arena, row->type);
    hold->row.unit = kept(brake->arena, row->unit);
    hold->row.reason = kept(brake->arena, row->reason);
    hold->row.by = kept(brake->arena, row->by ? row->by : "");
    hold->row.ground = kept(brake->arena, row->ground ? row->ground : "");
    hold->row.selection = kept(brake->arena, row->selection ? row->selection : "");
    for (uint16_t u = 0; type >= 0 && u < brake->catalog->types[type].unit_count; u++)
        if (strcmp(brake->catalog->types[type].units[u].name, row->unit) == 0) {
            hold->type = (uint16_t)type;
            hold->unit = u;
        }
    return hold;
}

struct hold *brake_hold_open(struct brake *brake, uint16_t agency, uint16_t type, uint16_t unit, enum hold_cause cause,
                             const char *reason, feed_position entry)
{
    struct hold *hold = hold_add(brake, &(struct hold_row){ .number = brake->next_hold++,
                                                            .agency = agency,
                                                            .type = brake->catalog->types[type].name,
                                                            .unit = brake->catalog->types[type].units[unit].name,
                                                            .cause = cause,
                                                            .reason = reason,
                                                            .entry = entry });

    hold->changed = true;
    hold->looked_at = true; /* it was just now */
    return hold;
}

bool brake_is_decided(const struct hold *hold)
{
    return hold->row.decision != DECISION_NONE && !hold->refused;
}

void brake_decide(struct brake *brake, struct hold *hold, enum hold_decision decision, feed_position entry,
                  const char *by, const char *ground, const char *selection)
{
    hold->row.decision = decision;
    hold->row.decided = entry;
    hold->row.by = kept(brake->arena, by);
    hold->row.ground = kept(brake->arena, ground);
    hold->row.selection = kept(brake->arena, selection);
    hold->after = 0;
    hold->stuck = 0;
    hold->refused = false;
    hold->changed = true;
}

uint32_t brake_held(const struct brake *brake, uint16_t agency)
{
    uint32_t held = 0;

    for (uint32_t i = 0; i < brake->hold_count; i++)
        if (brake->holds[i].row.agency == agency)
            held += brake->holds[i].row.changes;
    return held;
}

/* ---- life ---- */

static void use_read(struct brake *brake, const struct use_row *row)
{
    for (uint32_t i = 0; i < brake->limit_count; i++) {
        const struct limited *limited = &brake->limits[i];
        const struct catalog_type *type = &brake->catalog->types[limited->type];

        if (strcmp(type->name, row->type) == 0 && strcmp(type->units[limited->unit].name, row->unit) == 0 &&
            strcmp(limited->limit->text, row->rule) == 0)
            use_add(use_make(brake, row->agency, i, row->part), row->part, row->changes);
    }
}

/* The state's uses stand in the order of their parts. */
struct brake *brake_new(const struct catalog *catalog, const struct ledger_state *state)
{
    struct arena *arena = arena_new();
    struct brake *brake = arena_alloc(arena, sizeof *brake);

    *brake = (struct brake){ .arena = arena, .catalog = catalog, .next_hold = state->next_hold ? state->next_hold : 1 };
    limits_make(brake);
    for (uint32_t i = 0; i < state->hold_count; i++)
        hold_add(brake, &state->holds[i]);
    for (uint32_t i = 0; i < state->use_count; i++)
        use_read(brake, &state->uses[i]);
    return brake;
}

struct brake *brake_copy(const struct brake *brake)
{
    struct arena *arena = arena_new();
    struct brake *copy = arena_alloc(arena, sizeof *copy);

    *copy = (struct brake){ .arena = arena, .catalog = brake->catalog, .next_hold = brake->next_hold };
    limits_make(copy);
    for (uint32_t i = 0; i < brake->hold_count; i++) {
        struct hold *hold = hold_add(copy, &brake->holds[i].row);

        hold->after = brake->holds[i].after;
        hold->stuck = brake->holds[i].stuck;
        hold->refused = brake->holds[i].refused;
        hold->looked_at = brake->holds[i].looked_at;
        hold->tried_changes = brake->holds[i].tried_changes;
        hold->tried_ms = brake->holds[i].tried_ms;
        hold->pause_ms = brake->holds[i].pause_ms;
    }
    copy->uses = arena_array(arena, brake->use_count, sizeof *copy->uses);
    copy->use_count = copy->use_capacity = brake->use_count;
    for (uint32_t i = 0; i < brake->use_count; i++) {
        copy->uses[i] = brake->uses[i];
        copy->uses[i].changed = false;
    }
    return copy;
}

void brake_free(struct brake **brake)
{
    struct arena *arena = *brake ? (*brake)->arena : NULL;

    arena_free(&arena);
    *brake = NULL;
}

static void use_write(const struct brake *brake, const struct use *use, struct use_row *row)
{
    const struct limited *limited = &brake->limits[use->limit];
    const struct catalog_type *type = &brake->catalog->types[limited->type];

    *row = (struct use_row){ .agency = use->agency,
                             .type = type->name,
                             .unit = type->units[limited->unit].name,
                             .rule = limited->limit->text,
                             .part = use->newest,
                             .changes = use->changes[use->newest % (PARTS + 1)],
                             .until_us = (use->newest + PARTS + 1) * part_us(limited->limit) };
}

void brake_write(struct brake *brake, struct arena *arena, bool ends, struct writes *writes)
{
    uint32_t left = 0;

    writes->holds = arena_array(arena, brake->hold_count, sizeof *writes->holds);
    writes->uses = arena_array(arena, brake->use_count, sizeof *writes->uses);
    for (uint32_t i = 0; i < brake->use_count; i++)
        if (brake->uses[i].changed)
            use_write(brake, &brake->uses[i], &writes->uses[writes->use_count++]);
    for (uint32_t i = 0; i < brake->hold_count; i++) {
        struct hold *hold = &brake->holds[i];

        hold->row.closed = ends && hold->row.changes == 0 && hold->row.decision == DECISION_NONE;
        if (hold->changed || hold->row.closed)
            writes->holds[writes->hold_count++] = hold->row;
        if (!hold->row.closed)
            brake->holds[left++] = *hold;
    }
    brake->hold_count = left;
}

/* ---- selections ---- */

static const char *number_read(const char *text, uint64_t *ret)
{
    char *end;

    if (*text < '1' || *text > '9')
        return NULL;
    *ret = strtoull(text, &end, 10);
    return end - text <= 18 ? end : NULL;
}

bool selection_make(struct arena *arena, const char *text, const char **ret)
{
    const char *made = "{";
    int count = 0;

    if (*text == '\0') {
        *ret = "";
        return true;
    }
    for (;; text++) {
        uint64_t from = 0, to;

        text = number_read(text, &from);
        to = from;
        if (text && *text == '-')
            text = number_read(text + 1, &to);
        if (!text || to < from || ++count > SELECTION_RANGES_MAX)
            return false;
        made = arena_printf(arena, "%s%s[%" PRIu64 ",%" PRIu64 "]", made, count > 1 ? "," : "", from, to);
        if (*text != ',')
            break;
    }
    *ret = arena_printf(arena, "%s}", made);
    return *text == '\0';
}
