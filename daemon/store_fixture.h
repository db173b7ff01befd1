/* store_fixture.h: a store in memory for tests of the broker's core.
 *
 * It keeps what was written as PostgreSQL would (records packed, links and debts as rows) and answers from nothing
 * else, so that a core that is started anew knows what a broker that is started anew knows. What breaks a constraint of
 * the real one fails the test. */
#ifndef SELARAS_STORE_FIXTURE_H
#define SELARAS_STORE_FIXTURE_H

#include "daemon/broker.h"
#include "daemon/reconcile_fixture.h"

#include <inttypes.h>

enum { ROWS_MAX = 20000, FRAMES_MAX = 40000, WORLD_PEERS_MAX = 8, HOLDS_MAX = 200, SCANS_MAX = 8, NOW_US = 1700000000 };

struct stored_record {
    const struct catalog_type *type;
    uint64_t number;
    bool exists;
    struct value *values;
    struct text meta;
};

struct stored_debt {
    struct debt debt;
    bool settled;
};

struct sent_frame {
    struct route route;
    struct message message;
};

/* What there was when the open transaction began. */
struct savepoint {
    bool open;
    struct stored_record *records;
    struct link *links;
    struct stored_debt *debts;
    uint32_t record_count, link_count, debt_count, altered_count, entry_count;
};

struct world {
    struct arena *arena; /* everything the store has */
    const struct catalog *catalog;
    struct text catalog_text;
    struct broker_options options;
    struct broker *broker;
    struct broker_actions actions;
    int64_t now_ms;

    bool held;          /* the store does not answer */
    uint32_t scan_most; /* items of a batch; 0: as many as the core says */
    /* What PostgreSQL refuses: a batch that writes a record whose first field is this; one that asks for this key; one
     * that writes an agency, or an administrative entry of this kind. */
    const char *refused_value, *refused_key;
    uint16_t refused_agency;
    enum entry_kind refused_kind;
    int refusal_count;
    bool stopped; /* the core has said that a person is needed */
    struct batch *batch;
    bool storing; /* else it is being looked up */
    struct scan *scans[SCANS_MAX];
    int scan_count;
    int batch_count; /* committed */
    int lookup_count, scan_total;
    int known_count; /* records that needed no lookup */

    struct ledger_state state;
    struct agency_row agencies[WORLD_PEERS_MAX];
    struct stored_record records[ROWS_MAX];
    uint32_t record_count;
    struct link links[ROWS_MAX];
    uint32_t link_count;
    struct had_stored {
        uint16_t agency;
        struct had_row row;
    } had[ROWS_MAX];
    uint32_t had_count;
    struct {
        uint16_t agency;
        struct text block;
        bool empty;
    } told[ROWS_MAX];
    uint32_t told_count;
    struct observed_row observed[ROWS_MAX];
    uint32_t observed_count;
    struct stored_debt debts[ROWS_MAX];
    uint32_t debt_count;
    struct altered_write altered[ROWS_MAX]; /* as they were written: the last of each counts */
    uint32_t altered_count;
    struct entry_row entries[ROWS_MAX];
    uint32_t entry_count;
    struct hold_row holds[HOLDS_MAX];
    uint32_t hold_count;
    struct held_write helds[ROWS_MAX];
    uint32_t held_count;
    struct use_row uses[HOLDS_MAX];
    uint32_t use_count;
    struct savepoint savepoint;
    int part_count; /* batches that were not a whole transaction */

    struct sent_frame frames[FRAMES_MAX];
    int frame_count;
    int answer_count;
    bool answer_ok;
    const struct preview_result *previewed; /* only until the next step */
    int preview_pages;
    const char *said_type; /* what the last log line is about: only until the next step */
    feed_position said_position;
};

static inline struct text kept(struct world *world, struct text text)
{
    return (struct text){ arena_copy(world->arena, text.bytes, text.length), text.length };
}

static inline bool same_text(struct text left, struct text right)
{
    return left.length == right.length && (left.length == 0 || memcmp(left.bytes, right.bytes, left.length) == 0);
}

static inline bool is_found(const struct found *found, uint64_t number)
{
    for (uint32_t i = 0; i < found->record_count; i++)
        if (found->records[i]->number == number)
            return true;
    return false;
}

static inline void find_record(struct world *world, struct batch *batch, const struct stored_record *stored)
{
    struct canonical *record = canonical_new(batch->arena, stored->type, stored->number);
    struct error err;

    if (is_found(&batch->found, stored->number))
        return;
    record->exists = stored->exists;
    record->meta = stored->meta;
    memcpy(record->values, stored->values, stored->type->field_count * sizeof *record->values);
    for (uint16_t i = 0; i < stored->type->field_count; i++) /* as read_records() does */
        record->values[i].bytes = arena_copy(batch->arena, stored->values[i].bytes, stored->values[i].length);
    canonical_note_stored(batch->arena, record);
    if (canonical_meta_read(batch->arena, stored->meta.bytes, stored->meta.length, batch->ids, record, &err) < 0)
        abort();
    batch->found.records[batch->found.record_count++] = record;
    (void)world;
}

static inline bool has_identifier(const struct stored_record *stored, const struct wanted_identifier *wanted)
{
    const struct catalog_unit *unit = &stored->type->units[wanted->unit];

    for (uint16_t i = 0; i < unit->field_count; i++)
        if (!value_equal(stored->values[unit->fields[i]], wanted->values[i]))
            return false;
    return unit->identifier;
}

static inline bool is_wanted(const struct world *world, const struct batch *batch, const bool *wanted_links,
                             const struct stored_record *stored)
{
    uint16_t type = (uint16_t)(stored->type - world->catalog->types);

    for (uint32_t i = 0; i < batch->wanted.record_count; i++)
        if (batch->wanted.records[i].type == type && batch->wanted.records[i].number == stored->number)
            return true;
    for (uint32_t i = 0; i < batch->wanted.identifier_count; i++)
        if (batch->wanted.identifiers[i].type == type && has_identifier(stored, &batch->wanted.identifiers[i]))
            return true;
    for (uint32_t i = 0; i < world->link_count; i++)
        if (wanted_links[i] && world->links[i].record == stored->number)
            return true;
    return false;
}

static inline bool has_link(const struct world *world, uint64_t record, uint16_t agency)
{
    for (uint32_t i = 0; i < world->link_count; i++)
        if (world->links[i].record == record && world->links[i].agency == agency && world->links[i].until == 0)
            return true;
    return false;
}

static inline void find_fill(struct world *world, struct batch *batch)
{
    const struct wanted_fill *fill = &batch->wanted.fill;
    uint32_t count = 0;

    for (uint32_t i = 0; i < world->record_count && count < fill->limit; i++) {
        const struct stored_record *stored = &world->records[i];

        if (stored->type != &world->catalog->types[fill->type] || !stored->exists || stored->number <= fill->after ||
            has_link(world, stored->number, fill->agency))
            continue;
        find_record(world, batch, stored);
        batch->found.fill_last = stored->number;
        count++;
    }
    batch->found.fill_rows = count;
}

/* NULL when it is not missing: another row that waits has its key, or its load had not all rows. */
static inline const bool *is_missing(const struct world *world, const struct had_stored *had)
{
    for (uint32_t i = 0; i < world->link_count; i++) {
        const struct link *link = &world->links[i];
        bool exists = false;

        if (link->agency != had->agency || link->until != 0 || !same_text(link->block, had->row.block) ||
            !same_text(link->key, had->row.key))
            continue;
        for (uint32_t r = 0; r < world->record_count; r++)
            exists = exists || (world->records[r].number == link->record && world->records[r].exists);
        if (!exists)
            return NULL;
    }
    for (uint32_t i = 0; i < world->told_count && !has_link(world, had->row.record, had->agency); i++)
        if (world->told[i].agency == had->agency && same_text(world->told[i].block, had->row.block))
            return &world->told[i].empty;
    return NULL;
}

static inline void find_had(struct world *world, struct batch *batch)
{
    const struct wanted_had *wanted = &batch->wanted.had;
    struct found *found = &batch->found;
    uint64_t after = 0;
    bool any = true;

    found->had = arena_array(batch->arena, world->had_count, sizeof *found->had);
    while (any) { /* the smallest that comes behind */
        const struct had_stored *next = NULL;
        const struct stored_record *record = NULL;

        for (uint32_t i = 0; i < world->had_count; i++) {
            const struct had_stored *had = &world->had[i];
            const struct stored_record *stored = NULL;

            for (uint32_t r = 0; r < world->record_count && !stored; r++)
                if (world->records[r].number == had->row.record)
                    stored = &world->records[r];
            if (had->agency == wanted->agency && had->row.record > after &&
                (!next || had->row.record < next->row.record) && stored && stored->exists &&
                stored->type == &world->catalog->types[wanted->type] && is_missing(world, had)) {
                next = had;
                record = stored;
            }
        }
        any = next != NULL;
        if (!any)
            break;
        after = next->row.record;
        found->had_total += wanted->count;
        if (after <= wanted->after || found->had_count == wanted->limit)
            continue;
        found->had[found->had_count] = next->row;
        found->had[found->had_count++].empty = *is_missing(world, next);
        if (!is_found(found, after))
            find_record(world, batch, record);
        for (uint32_t i = 0; i < world->link_count; i++)
            if (world->links[i].record == after)
                found->links[found->link_count++] = world->links[i];
    }
}

/* Whether "{people,others}" has the name. */
static inline bool is_in_list(const char *list, struct text name)
{
    for (const char *at = list + 1; *at && *at != '}'; at += strcspn(at, ",}") + (at[strcspn(at, ",}")] == ','))
        if (strcspn(at, ",}") == name.length && memcmp(at, name.bytes, name.length) == 0)
            return true;
    return false;
}

/* Whether "{[17,19],[400,400]}" has the number. */
static inline bool is_selected(const char *selection, uint64_t number)
{
    uint64_t from, to;

    if (!*selection)
        return true;
    for (const char *at = strchr(selection, '['); at; at = strchr(at + 1, '['))
        if (sscanf(at, "[%" SCNu64 ",%" SCNu64 "]", &from, &to) == 2 && number >= from && number <= to)
            return true;
    return false;
}

static inline void find_settle(struct world *world, struct batch *batch)
{
    const struct wanted_settle *settle = &batch->wanted.settle;
    struct found *found = &batch->found;
    uint64_t after = settle->after, next = 0;

    found->settles = arena_array(batch->arena, settle->limit, sizeof *found->settles);
    do { /* the smallest that comes behind */
        next = 0;
        for (uint32_t i = 0; i < world->held_count; i++) {
            const struct held_write *held = &world->helds[i];

            if (held->hold == settle->hold && !held->how && held->entry < settle->before && held->record > after &&
                is_selected(settle->selection, held->record) && (next == 0 || held->record < next))
                next = held->record;
        }
        if (next)
            found->settles[found->settle_count++] = after = next;
    } while (next && found->settle_count < settle->limit);
}

static inline struct observed_row *observed_row(struct world *world, uint16_t agency, struct text block,
                                                struct text key)
{
    for (uint32_t i = 0; i < world->observed_count; i++)
        if (world->observed[i].agency == agency && same_text(world->observed[i].block, block) &&
            same_text(world->observed[i].key, key))
            return &world->observed[i];
    return NULL;
}

static inline void find_observed(struct world *world, struct batch *batch)
{
    const struct wanted *wanted = &batch->wanted;
    struct found *found = &batch->found;

    found->observed = arena_array(batch->arena, wanted->observed_count, sizeof *found->observed);
    for (uint32_t i = 0; i < wanted->observed_count; i++) {
        const struct wanted_key *key = &wanted->observed[i];
        const struct observed_row *row = observed_row(world, key->agency, key->block, key->key);

        if (row)
            found->observed[found->observed_count++] = *row;
    }
}

static inline int text_order(struct text left, struct text right)
{
    int order = memcmp(left.bytes, right.bytes, left.length < right.length ? left.length : right.length);

    return order ? order : left.length < right.length ? -1 : left.length > right.length;
}

static inline void find_page(struct world *world, struct batch *batch)
{
    const struct wanted_page *page = &batch->wanted.page;
    struct found *found = &batch->found;
    struct text after = page->after;
    const struct observed_row *next;

    world->preview_pages++;
    found->observed = arena_array(batch->arena, page->limit, sizeof *found->observed);
    do { /* the smallest that comes behind */
        next = NULL;
        for (uint32_t i = 0; i < world->observed_count; i++) {
            const struct observed_row *row = &world->observed[i];

            if (row->agency == page->agency && same_text(row->block, page->block) && text_order(row->key, after) > 0 &&
                (!next || text_order(row->key, next->key) < 0))
                next = row;
        }
        if (next) {
            found->observed[found->observed_count++] = *next;
            after = next->key;
        }
    } while (next && found->observed_count < page->limit);
}

static inline bool refers_to(const struct stored_record *stored, uint64_t number)
{
    for (uint16_t i = 0; i < stored->type->field_count; i++)
        if (stored->type->fields[i].type == VALUE_REFERENCE && reference_number(stored->values[i]) == number)
            return true;
    return false;
}

static inline void find_referers(struct world *world, struct batch *batch)
{
    struct found *found = &batch->found;

    found->referers = arena_array(batch->arena, REFERERS_MOST + 1, sizeof *found->referers);
    for (uint32_t i = 0; i < world->record_count; i++)
        for (uint32_t r = 0; r < batch->wanted.referred_count && found->referer_count <= REFERERS_MOST; r++)
            if (refers_to(&world->records[i], batch->wanted.referred[r]))
                found->referers[found->referer_count++] = (struct wanted_record){
                    .type = (uint16_t)(world->records[i].type - world->catalog->types),
                    .number = world->records[i].number,
                };
}

static inline void store_find(struct world *world, struct batch *batch)
{
    struct found *found = &batch->found;
    bool *wanted = arena_array(batch->arena, world->link_count, sizeof *wanted);

    found->links = arena_array(batch->arena, 2 * world->link_count, sizeof *found->links);
    found->records = arena_array(batch->arena, world->record_count, sizeof(struct canonical *));
    for (uint32_t i = 0; i < world->link_count; i++)
        for (uint32_t k = 0; k < batch->wanted.key_count; k++)
            if (world->links[i].agency == batch->wanted.keys[k].agency &&
                same_text(world->links[i].block, batch->wanted.keys[k].block) &&
                same_text(world->links[i].key, batch->wanted.keys[k].key))
                wanted[i] = true;
    for (uint32_t i = 0; i < world->record_count; i++)
        if (is_wanted(world, batch, wanted, &world->records[i]))
            find_record(world, batch, &world->records[i]);
    for (uint32_t i = 0; i < world->link_count; i++)
        if (is_found(found, world->links[i].record))
            found->links[found->link_count++] = world->links[i];
    if (batch->wanted.page.limit > 0)
        find_page(world, batch);
    if (batch->wanted.observed_count > 0)
        find_observed(world, batch);
    if (batch->wanted.fill.limit > 0)
        find_fill(world, batch);
    if (batch->wanted.had.limit > 0)
        find_had(world, batch);
    if (batch->wanted.settle.hold > 0)
        find_settle(world, batch);
    if (batch->wanted.referred_count > 0)
        find_referers(world, batch);
    for (uint32_t i = 0; i < world->link_count && batch->wanted.count.agency; i++)
        found->count += world->links[i].agency == batch->wanted.count.agency && world->links[i].until == 0 &&
                        is_in_list(batch->wanted.count.blocks, world->links[i].block);
    for (uint32_t i = 0; i < world->entry_count; i++)
        if (world->entries[i].entry.position == batch->wanted.leaf) {
            found->leaf_known = true;
            leaf_hash(world->entries[i].leaf.bytes, world->entries[i].leaf.length, found->leaf);
        }
}

static inline struct stored_record *store_record(struct world *world, uint64_t number)
{
    for (uint32_t i = 0; i < world->record_count; i++)
        if (world->records[i].number == number)
            return &world->records[i];
    return NULL;
}

static inline void keep_record(struct world *world, const struct batch *batch, const struct canonical *record)
{
    struct stored_record *stored = store_record(world, record->number);
    struct buffer packed = { 0 };

    if (!stored) {
        assert_true(world->record_count < ROWS_MAX);
        stored = &world->records[world->record_count++];
    }
    canonical_meta_pack(record, batch->ids, &packed);
    *stored = (struct stored_record){ .type = record->type, .number = record->number, .exists = record->exists };
    stored->values = arena_array(world->arena, record->type->field_count, sizeof *stored->values);
    for (uint16_t i = 0; i < record->type->field_count; i++) {
        stored->values[i] = record->values[i];
        if (stored->values[i].state == VALUE_SET)
            stored->values[i].bytes = arena_copy(world->arena, record->values[i].bytes, record->values[i].length);
    }
    stored->meta = kept(world, (struct text){ packed.bytes, (uint32_t)packed.length });
    buffer_free(&packed);
}

static inline struct link *link_row(struct world *world, const struct link *link)
{
    for (uint32_t i = 0; i < world->link_count; i++)
        if (world->links[i].agency == link->agency && same_text(world->links[i].block, link->block) &&
            same_text(world->links[i].key, link->key) && world->links[i].since == link->since)
            return &world->links[i];
    return NULL;
}

static inline void keep_links(struct world *world, const struct writes *writes)
{
    for (uint32_t i = 0; i < writes->link_count; i++) {
        struct link *row = link_row(world, &writes->links[i].link);

        if (writes->links[i].write == LINK_REMOVE && row && row->record == writes->links[i].link.record)
            *row = world->links[--world->link_count];
    }
    for (uint32_t i = 0; i < writes->link_count; i++) {
        const struct link *link = &writes->links[i].link;
        struct link *row = link_row(world, link);

        if (writes->links[i].write == LINK_REMOVE)
            continue;
        for (uint32_t j = 0; j < i; j++) /* ON CONFLICT DO UPDATE cannot affect a row a second time */
            assert_false(writes->links[j].write != LINK_REMOVE && writes->links[j].link.agency == link->agency &&
                         same_text(writes->links[j].link.block, link->block) &&
                         same_text(writes->links[j].link.key, link->key) && writes->links[j].link.since == link->since);
        if (!row)
            row = &world->links[world->link_count++];
        *row = *link;
        row->block = kept(world, link->block);
        row->key = kept(world, link->key);
    }
}

static inline void keep_altered(struct world *world, const struct writes *writes)
{
    for (uint32_t i = 0; i < writes->altered_count; i++) {
        struct altered_write *row = &world->altered[world->altered_count++];

        *row = writes->altered[i];
        row->type = arena_copy(world->arena, row->type, strlen(row->type));
        row->field = arena_copy(world->arena, row->field, strlen(row->field));
    }
}

/* Whether the store has it still. */
static inline bool altered_stands(const struct world *world, uint32_t at)
{
    const struct altered_write *row = &world->altered[at];

    for (uint32_t i = at + 1; i < world->altered_count; i++)
        if (world->altered[i].agency == row->agency && world->altered[i].record == row->record &&
            strcmp(world->altered[i].field, row->field) == 0)
            return false;
    return row->position > 0;
}

static inline void keep_observed(struct world *world, const struct writes *writes)
{
    for (uint32_t i = 0; i < writes->observed_count; i++) {
        const struct observed_row *write = &writes->observed[i];
        struct observed_row *row = observed_row(world, write->agency, write->block, write->key);

        if (row && write->body.length == 0)
            *row = world->observed[--world->observed_count];
        if (write->body.length == 0)
            continue;
        if (!row)
            row = &world->observed[world->observed_count++];
        *row = (struct observed_row){ .agency = write->agency,
                                      .block = kept(world, write->block),
                                      .key = kept(world, write->key),
                                      .body = kept(world, write->body) };
    }
}

static inline void forget_observed(struct world *world, uint16_t agency)
{
    for (uint32_t i = world->observed_count; i > 0; i--)
        if (world->observed[i - 1].agency == agency)
            world->observed[i - 1] = world->observed[--world->observed_count];
}

static inline void keep_debts(struct world *world, const struct writes *writes)
{
    for (uint32_t i = 0; i < writes->debt_count; i++) {
        world->debts[world->debt_count] = (struct stored_debt){ .debt = writes->debts[i] };
        world->debts[world->debt_count].debt.block = kept(world, writes->debts[i].block);
        world->debts[world->debt_count++].debt.reason = kept(world, writes->debts[i].reason);
    }
    for (uint32_t i = 0; i < writes->lowered_count; i++)
        for (uint32_t j = 0; j < world->debt_count; j++)
            if (world->debts[j].debt.agency == writes->lowered[i].agency &&
                world->debts[j].debt.entry == writes->lowered[i].entry)
                world->debts[j].debt.position = writes->lowered[i].position;
    for (uint32_t i = 0; i < writes->settled_count; i++)
        for (uint32_t j = 0; j < world->debt_count; j++)
            if (world->debts[j].debt.agency == writes->settled[i].agency &&
                world->debts[j].debt.entry == writes->settled[i].entry)
                world->debts[j].settled = true;
}

static inline void keep_holds(struct world *world, const struct writes *writes)
{
    for (uint32_t i = 0; i < writes->hold_count; i++) {
        uint32_t at = writes->holds[i].number - 1; /* they are dense */
        struct hold_row *row = &world->holds[at];

        assert_true(at <= world->hold_count && at < HOLDS_MAX);
        world->hold_count += at == world->hold_count;
        *row = writes->holds[i];
        row->type = arena_copy(world->arena, row->type, strlen(row->type));
        row->unit = arena_copy(world->arena, row->unit, strlen(row->unit));
        row->reason = arena_copy(world->arena, row->reason, strlen(row->reason));
        row->by = arena_copy(world->arena, row->by, strlen(row->by));
        row->ground = arena_copy(world->arena, row->ground, strlen(row->ground));
        row->selection = arena_copy(world->arena, row->selection, strlen(row->selection));
    }
    for (uint32_t i = 0; i < writes->held_count; i++) {
        const struct held_write *write = &writes->helds[i];
        uint32_t at = 0;

        for (uint32_t j = 0; j < i; j++) /* ON CONFLICT DO UPDATE cannot affect a row a second time */
            assert_false(writes->helds[j].hold == write->hold && writes->helds[j].record == write->record &&
                         strcmp(writes->helds[j].unit, write->unit) == 0);
        while (at < world->held_count &&
               !(world->helds[at].hold == write->hold && world->helds[at].record == write->record &&
                 strcmp(world->helds[at].unit, write->unit) == 0))
            at++;
        assert_true(at < ROWS_MAX);
        world->held_count += at == world->held_count;
        world->helds[at] = *write; /* its unit is the catalog's */
    }
    for (uint32_t i = 0; i < writes->use_count; i++) {
        uint32_t at = 0;

        while (at < world->use_count &&
               !(world->uses[at].agency == writes->uses[i].agency && world->uses[at].part == writes->uses[i].part &&
                 strcmp(world->uses[at].rule, writes->uses[i].rule) == 0 &&
                 strcmp(world->uses[at].unit, writes->uses[i].unit) == 0))
            at++;
        assert_true(at < HOLDS_MAX);
        world->use_count += at == world->use_count;
        world->uses[at] = writes->uses[i];
    }
}

static inline void keep_told(struct world *world, uint16_t agency, const char *blocks, bool empty)
{
    for (const char *at = blocks ? blocks + 1 : ""; *at && *at != '}';) {
        size_t length = strcspn(at, ",}");

        world->told[world->told_count].agency = agency;
        world->told[world->told_count].block = kept(world, (struct text){ at, (uint32_t)length });
        world->told[world->told_count++].empty = empty;
        at += length + (at[length] == ',');
    }
}

/* As write_had() does, before the links are gone. */
static inline void keep_had(struct world *world, const struct agency_write *write)
{
    uint16_t id = write->row.id;

    for (uint32_t i = 0; i < world->link_count && write->had == HAD_NOTED; i++) {
        const struct link *link = &world->links[i];
        bool skip = link->agency != id || link->until != 0 || link->since > write->had_base;

        for (uint32_t d = 0; d < world->debt_count; d++)
            skip = skip || (world->debts[d].debt.agency == id && world->debts[d].debt.record == link->record &&
                            !world->debts[d].settled);
        for (uint32_t h = 0; h < world->had_count; h++)
            skip = skip || (world->had[h].agency == id && world->had[h].row.record == link->record &&
                            same_text(world->had[h].row.block, link->block));
        if (!skip)
            world->had[world->had_count++] = (struct had_stored){ id,
                                                                  { .record = link->record,
                                                                    .block = link->block,
                                                                    .key = link->key,
                                                                    .base = write->had_base,
                                                                    .since = write->had_since } };
    }
    for (uint32_t i = 0; write->had == HAD_FORGOTTEN && i < world->had_count;)
        if (world->had[i].agency == id)
            world->had[i] = world->had[--world->had_count];
        else
            i++;
    for (uint32_t i = 0; (write->had == HAD_FORGOTTEN || write->reset) && i < world->told_count;)
        if (world->told[i].agency == id)
            world->told[i] = world->told[--world->told_count];
        else
            i++;
    keep_told(world, id, write->complete, false);
    keep_told(world, id, write->empty, true);
}

static inline void keep_agency(struct world *world, const struct agency_write *write)
{
    struct agency_row *row = NULL;
    struct text blocks = { 0 };

    for (uint32_t i = 0; i < world->state.agency_count; i++)
        if (world->agencies[i].id == write->row.id)
            row = &world->agencies[i];
    assert_int_equal(write->create, row == NULL);
    if (!row)
        row = &world->agencies[world->state.agency_count++];
    assert_int_equal(row->session, write->old_session);
    assert_int_equal(row->lsn, write->old_lsn);
    assert_int_equal(row->load_number, write->old_load_number);
    assert_int_equal(row->incarnation, write->old_incarnation);
    blocks = write->blocks ? kept(world, write->row.blocks) : row->blocks;
    *row = write->row;
    row->blocks = blocks;
    row->modes = kept(world, row->modes);
    keep_had(world, write);
    if (write->reset || write->unobserve)
        forget_observed(world, row->id);
    for (uint32_t i = 0; write->reset && i < world->link_count;)
        if (world->links[i].agency == row->id)
            world->links[i] = world->links[--world->link_count];
        else
            i++;
    for (uint32_t i = 0; write->reset && i < world->altered_count; i++)
        if (world->altered[i].agency == row->id)
            world->altered[i].position = 0;
    for (uint32_t i = 0; write->reset && i < world->debt_count; i++)
        world->debts[i].settled = world->debts[i].settled || world->debts[i].debt.agency == row->id;
}

/* What the core knew without asking must be what it would have been told: each record as it was given, and its links.
 */
static inline void check_known(struct world *world, const struct batch *batch)
{
    const struct found *known = &batch->known;
    uint32_t links = 0;

    for (uint32_t i = 0; i < known->record_count; i++) {
        const struct canonical *record = known->records[i];
        const struct stored_record *stored = store_record(world, record->number);

        assert_non_null(stored);
        assert_ptr_equal(record->type, stored->type);
        for (uint16_t f = 0; f < record->type->field_count; f++)
            assert_true(value_equal(record->stored[f], stored->values[f]));
        if (!record->queued) {
            assert_int_equal(record->exists, stored->exists);
            assert_true(same_text(record->meta, stored->meta));
        }
        for (uint32_t l = 0; l < world->link_count; l++)
            links += world->links[l].record == record->number;
    }
    assert_int_equal(known->link_count, links);
    for (uint32_t i = 0; i < known->link_count; i++) {
        const struct link *row = link_row(world, &known->links[i]);

        assert_non_null(row);
        assert_int_equal(row->record, known->links[i].record);
        assert_int_equal(row->until, known->links[i].until);
    }
    world->known_count += (int)known->record_count;
}

static inline bool is_word(struct text text, const char *word)
{
    return word && text.length == strlen(word) && memcmp(text.bytes, word, text.length) == 0;
}

static inline bool is_refused(const struct world *world, const struct batch *batch)
{
    const struct writes *writes = &batch->writes;

    for (uint32_t i = 0; !world->storing && i < batch->wanted.key_count; i++)
        if (is_word(batch->wanted.keys[i].key, world->refused_key))
            return true;
    for (uint32_t i = 0; world->storing && i < writes->record_count; i++) {
        struct value value = writes->records[i]->values[0];

        if (value.state == VALUE_SET && is_word((struct text){ value.bytes, value.length }, world->refused_value))
            return true;
    }
    for (uint32_t i = 0; world->storing && i < writes->agency_count; i++)
        if (world->refused_agency && writes->agencies[i].row.id == world->refused_agency)
            return true;
    for (uint32_t i = 0; world->storing && i < writes->entry_count; i++)
        if (world->refused_kind && writes->entries[i].entry.kind == world->refused_kind)
            return true;
    return false;
}

static inline void begin(struct world *world)
{
    struct savepoint *to = &world->savepoint;

    *to = (struct savepoint){ .open = true,
                              .records = arena_array(world->arena, world->record_count, sizeof *to->records),
                              .links = arena_array(world->arena, world->link_count, sizeof *to->links),
                              .debts = arena_array(world->arena, world->debt_count, sizeof *to->debts),
                              .record_count = world->record_count,
                              .link_count = world->link_count,
                              .debt_count = world->debt_count,
                              .altered_count = world->altered_count,
                              .entry_count = world->entry_count };
    memcpy(to->records, world->records, world->record_count * sizeof *to->records);
    memcpy(to->links, world->links, world->link_count * sizeof *to->links);
    memcpy(to->debts, world->debts, world->debt_count * sizeof *to->debts);
}

static inline void roll_back(struct world *world)
{
    const struct savepoint *from = &world->savepoint;

    if (!from->open)
        return;
    world->record_count = from->record_count;
    world->link_count = from->link_count;
    world->debt_count = from->debt_count;
    world->altered_count = from->altered_count;
    world->entry_count = from->entry_count;
    memcpy(world->records, from->records, world->record_count * sizeof *from->records);
    memcpy(world->links, from->links, world->link_count * sizeof *from->links);
    memcpy(world->debts, from->debts, world->debt_count * sizeof *from->debts);
    world->savepoint.open = false;
}

static inline void keep_batch(struct world *world, const struct batch *batch)
{
    const struct writes *writes = &batch->writes;
    feed_position next =
        world->entry_count > 0 ? world->entries[world->entry_count - 1].entry.position + 1 : (UINT64_C(1) << 48);

    check_known(world, batch);
    assert_int_equal(batch->begins, !world->savepoint.open);
    world->part_count += !batch->begins || !batch->ends;
    if (batch->begins)
        begin(world);
    for (uint32_t i = 0; i < writes->entry_count; i++) {
        struct entry_row *row = &world->entries[world->entry_count++];

        *row = writes->entries[i];
        assert_int_equal(row->entry.position, next + i);
        row->leaf = kept(world, row->leaf);
        row->body = kept(world, row->body);
        row->effect = kept(world, row->effect);
        row->reply = kept(world, row->reply);
        row->entry.type = kept(world, row->entry.type);
        row->entry.agency = kept(world, row->entry.agency);
        if (row->withheld_count > 0)
            row->withheld = (const uint16_t *)(const void *)arena_copy(world->arena, row->withheld,
                                                                       row->withheld_count * sizeof *row->withheld);
        row->entry.fields = arena_array(world->arena, row->entry.field_count, sizeof *row->entry.fields);
        for (uint16_t f = 0; f < row->entry.field_count; f++) {
            row->entry.fields[f] = writes->entries[i].entry.fields[f];
            row->entry.fields[f].name = kept(world, row->entry.fields[f].name);
            row->entry.fields[f].rule = kept(world, row->entry.fields[f].rule);
        }
    }
    for (uint32_t i = 0; i < writes->record_count; i++)
        keep_record(world, batch, writes->records[i]);
    keep_links(world, writes);
    keep_observed(world, writes);
    keep_debts(world, writes);
    keep_altered(world, writes);
    keep_holds(world, writes);
    if (!batch->ends)
        return;
    world->savepoint.open = false;
    for (uint32_t i = 0; i < writes->agency_count; i++)
        keep_agency(world, &writes->agencies[i]);
    assert_int_equal(writes->old_head, world->state.head); /* compare-and-set */
    world->state.opened = true;
    world->state.head = writes->head;
    world->state.head_time_us = writes->head_time_us;
    world->state.next_record = writes->next_record;
    world->state.catalog_version = writes->catalog_version;
    memcpy(world->state.catalog_hash, world->catalog->hash, HASH_BYTES);
    world->batch_count++;
}

/* What of an entry goes to this agency. */
static inline struct text sending_of(const struct entry_row *row, const struct scan *scan)
{
    struct text name = { scan->agency_name, (uint32_t)strlen(scan->agency_name) };

    for (uint16_t i = 0; i < row->withheld_count; i++)
        if (row->withheld[i] == scan->agency)
            return (struct text){ 0 };
    return same_text(row->entry.agency, name) ? row->reply : row->effect;
}

static inline void scan_row_fill(struct world *world, struct scan *scan, const struct entry_row *row)
{
    struct scan_row *to = &scan->rows[scan->row_count++];
    feed_position best = 0;

    *to = (struct scan_row){ .position = row->entry.position, .type = row->entry.type, .record = row->entry.record };
    to->sending = sending_of(row, scan);
    for (uint32_t i = 0; i < world->link_count; i++) {
        const struct link *link = &world->links[i];

        if (link->agency != scan->agency || link->record != to->record || link->since >= to->position ||
            (link->until != 0 && link->until < to->position) || (to->key.length > 0 && link->since < best))
            continue;
        best = link->since;
        to->block = kept(world, link->block);
        to->key = kept(world, link->key);
    }
}

/* As sql_scan of store.c: whole transactions up to `limit` items and the first boundary behind; what is too large for
 * one batch ends at the last transaction that fits, or within the first. */
static inline void store_scan_entries(struct world *world, struct scan *scan)
{
    uint32_t most = world->scan_most ? world->scan_most : scan->most, hits = 0, at = 0;
    uint32_t rows_at_end = 0, rows_at_boundary = 0;
    const struct entry_row *end = NULL, *boundary = NULL;
    uint64_t bytes = 0;
    bool whole = true;

    assert_int_equal(scan->row_count, 0);
    scan->rows = arena_array(scan->arena, world->entry_count, sizeof *scan->rows);
    while (at < world->entry_count && world->entries[at].entry.position <= scan->after)
        at++;
    for (; at < world->entry_count && !(hits >= scan->limit && boundary && boundary == end); at++) {
        const struct entry_row *row = &world->entries[at];
        struct text sending = sending_of(row, scan);

        if (sending.length > 0) {
            bytes += sending.length;
            if (hits > 0 && (hits >= most || bytes > scan->most_bytes)) {
                whole = false;
                break;
            }
            scan_row_fill(world, scan, row);
            hits++;
        }
        end = row;
        rows_at_end = scan->row_count;
        if (row->boundary) {
            boundary = row;
            rows_at_boundary = scan->row_count;
        }
    }
    if (!whole && boundary && rows_at_boundary > 0) {
        end = boundary;
        rows_at_end = rows_at_boundary;
    }
    assert_non_null(end);
    scan->links = arena_array(scan->arena, world->link_count + 1, sizeof *scan->links);
    for (uint32_t i = 0; i < world->link_count; i++)
        if (world->links[i].agency == scan->agency)
            scan->links[scan->link_count++] = world->links[i];
    scan->row_count = rows_at_end;
    scan->end = end->entry.position;
    leaf_hash(end->leaf.bytes, end->leaf.length, scan->leaf);
}

#endif
