/* A preview from its request to its answer: a page a batch, and a batch of the agencies between two of them. */
#include "daemon/modes.h"
#include "daemon/observe.h"
#include "daemon/previewing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_ROWS = 500, PAGE_RECORDS = 1000 };

static const char *const what_names[PREVIEW_WHAT_COUNT] = {
    [PREVIEW_EQUAL] = "equal", [PREVIEW_FILLED] = "filled",   [PREVIEW_OVERRULED] = "overruled",
    [PREVIEW_FILLS] = "fills", [PREVIEW_CHANGES] = "changes", [PREVIEW_NEW] = "new",
    [PREVIEW_HELD] = "held",
};
static const char *const row_names[PREVIEW_ROW_COUNT] = {
    [PREVIEW_MATCHED] = "matched", [PREVIEW_CREATED] = "created", [PREVIEW_WAITS] = "held",
    [PREVIEW_DELETED] = "deleted", [PREVIEW_STAYS] = "stays",     [PREVIEW_INSERTED] = "inserted",
};

const char *preview_what_name(enum preview_what what)
{
    return what_names[what];
}

const char *preview_row_name(enum preview_row row)
{
    return row_names[row];
}

/* ---- memory ---- */

static struct preview_known *slot_of(const struct preview_memory *memory, uint64_t hash)
{
    size_t at = hash & (memory->size - 1);

    while (memory->slots[at].record != 0 && memory->slots[at].hash != hash)
        at = (at + 1) & (memory->size - 1);
    return &memory->slots[at];
}

uint64_t preview_recall(const struct preview_memory *memory, uint64_t hash)
{
    return memory->size > 0 ? slot_of(memory, hash)->record : 0;
}

void preview_remember(struct preview_memory *memory, uint64_t hash, uint64_t record)
{
    struct preview_known *slot;

    if (2 * (memory->used + 1) > memory->size) {
        struct preview_memory grown = { .size = memory->size ? 2 * memory->size : 1024, .used = memory->used };

        grown.slots = calloc(grown.size, sizeof *grown.slots);
        if (!grown.slots)
            abort();
        for (size_t i = 0; i < memory->size; i++)
            if (memory->slots[i].record != 0)
                *slot_of(&grown, memory->slots[i].hash) = memory->slots[i];
        free(memory->slots);
        *memory = grown;
    }
    slot = slot_of(memory, hash);
    memory->used += slot->record == 0;
    *slot = (struct preview_known){ hash, record };
}

/* ---- life ---- */

static struct text text_in(struct arena *arena, struct text text)
{
    return (struct text){ arena_copy(arena, text.bytes, text.length), text.length };
}

static bool same_text(struct text left, struct text right)
{
    return left.length == right.length && (left.length == 0 || memcmp(left.bytes, right.bytes, left.length) == 0);
}

/* The catalog's types stand in the order of references. */
static uint16_t *blocks_in_order(const struct preview *preview, const struct catalog *catalog)
{
    const struct peer *shadow = &preview->shadow;
    uint16_t *order = arena_array(preview->arena, shadow->block_count, sizeof *order), count = 0;

    for (uint16_t t = 0; t < catalog->type_count; t++)
        for (uint16_t i = 0; i < shadow->block_count; i++)
            if (shadow->blocks[i].type == t)
                order[count++] = i;
    assert(count == shadow->block_count);
    return order;
}

const struct agency_block *preview_block(const struct preview *preview)
{
    return preview->block < preview->shadow.block_count ? &preview->shadow.blocks[preview->order[preview->block]]
                                                        : NULL;
}

/* Which blocks would be fed then, and are not now. */
static void shadow_make(struct broker *broker, struct preview *preview, const struct peer *peer, const char *table)
{
    struct agency_row row = peer->row;
    struct peer *shadow = &preview->shadow;
    struct error err;

    shadow->catalog = broker->catalog;
    shadow->row = peer->row;
    shadow->index = peer->index;
    shadow->debts = debts_new();
    shadow->altered = altered_new();
    if (blocks_bind(preview->arena, broker->catalog, peer->index, preview->blocks, &shadow->blocks,
                    &shadow->block_count, &err) < 0)
        abort(); /* they fitted before */
    preview->order = blocks_in_order(preview, broker->catalog);
    preview->taken = arena_array(preview->arena, shadow->block_count, sizeof *preview->taken);
    for (uint16_t i = 0; i < shadow->block_count; i++) {
        struct text name = shadow->blocks[i].name;

        preview->taken[i] = peer->blocks[i].mode == MODE_OBSERVE && (!*table || same_text(name, text_of(table)));
        if (preview->taken[i])
            row.modes = modes_with(preview->arena, &row, name, MODE_FULL);
    }
    modes_bind(&row, broker->catalog, shadow->blocks, shadow->block_count);
}

static void result_make(struct broker *broker, struct preview *preview, const char *table)
{
    struct preview_result *result = &preview->result;
    const struct catalog *catalog = broker->catalog;

    result->agency = preview->shadow.row.name;
    result->table = arena_copy(preview->arena, table, strlen(table));
    result->type_count = catalog->type_count;
    result->types = arena_array(preview->arena, catalog->type_count, sizeof *result->types);
    for (uint16_t t = 0; t < catalog->type_count; t++) {
        result->types[t].type = &catalog->types[t];
        result->types[t].fields =
            arena_array(preview->arena, catalog->types[t].field_count, sizeof *result->types[t].fields);
    }
    for (uint16_t i = 0; i < preview->shadow.block_count; i++)
        if (preview->taken[i])
            result->types[preview->shadow.blocks[i].type].mapped = true;
}

/* Why there can be none, or NULL. */
static const char *refused(const struct broker *broker, const struct peer *peer, const struct broker_event *event)
{
    struct text table = text_of(event->table);
    bool any = false;

    if (broker->preview)
        return "another preview is being made: try again in a moment";
    for (uint16_t i = 0; i < peer->block_count; i++)
        any = any ||
              (peer->blocks[i].mode == MODE_OBSERVE && (table.length == 0 || same_text(peer->blocks[i].name, table)));
    if (peer->row.state == STATE_QUARANTINED)
        return arena_printf(broker->step_arena, "%s is quarantined: %s", event->name, peer->row.reason);
    if (peer->row.incarnation == 0 || !peer->bound || peer->block_count == 0)
        return arena_printf(broker->step_arena, "%s has not said hello yet: its agent shows what it has", event->name);
    if (table.length > 0 && !peer_block_named(peer, table))
        return arena_printf(broker->step_arena, "the mapping of %s has no block %s", event->name, event->table);
    if (!any)
        return arena_printf(broker->step_arena, "%s%s%s does not observe: what it has takes effect already",
                            event->name, table.length > 0 ? ": " : "", event->table);
    if (peer->row.state != STATE_ACTIVE)
        return arena_printf(broker->step_arena, "%s is being loaded: try again when that is done", event->name);
    return NULL;
}

void preview_ask(struct broker *broker, const struct broker_event *event)
{
    const struct peer *peer = peer_named(broker, event->name);
    const char *why =
        peer ? refused(broker, peer, event) : arena_printf(broker->step_arena, "%s is not enrolled", event->name);
    struct preview *preview;

    if (why) {
        answer(broker, event->request, why);
        return;
    }
    assert(peer);
    preview = calloc(1, sizeof *preview);
    if (!preview)
        abort();
    preview->arena = arena_new();
    preview->request = event->request;
    preview->agency = peer->row.id;
    preview->samples = event->record < PREVIEW_SAMPLES_MOST ? (uint32_t)event->record : PREVIEW_SAMPLES_MOST;
    preview->mode = peer->row.mode;
    preview->modes = text_in(preview->arena, peer->row.modes);
    preview->blocks = text_in(preview->arena, peer->row.blocks);
    preview->incarnation = peer->row.incarnation;
    preview->key = text_of("");
    preview->next_record = UINT64_C(1) << PREVIEW_NUMBERS_FROM;
    shadow_make(broker, preview, peer, event->table);
    result_make(broker, preview, event->table);
    broker->preview = preview;
}

void preview_free(struct preview **preview)
{
    struct preview *old = *preview;

    if (!old)
        return;
    debts_free(&old->shadow.debts);
    altered_free(&old->shadow.altered);
    free(old->memory.slots);
    arena_free(&old->arena);
    free(old);
    *preview = NULL;
}

void *preview_abandoned(struct broker *broker)
{
    void *request = broker->preview ? broker->preview->request : NULL;

    preview_free(&broker->preview);
    return request;
}

void preview_fail(struct broker *broker, const char *why)
{
    answer(broker, preview_abandoned(broker), why);
}

/* Lives until the next step: the shell writes it out. */
static void preview_end(struct broker *broker)
{
    struct broker_action *action = action_add(broker, BROKER_ACTION_ANSWER);

    action->request = broker->preview->request;
    action->ok = true;
    action->preview = &broker->preview->result;
    broker->previewed = broker->preview;
    broker->preview = NULL;
}

/* ---- pages ---- */

static bool still_fits(struct broker *broker, const struct preview *preview)
{
    const struct peer *peer = peer_by_id(broker, preview->agency);

    return peer->bound && peer->row.mode == preview->mode && peer->row.incarnation == preview->incarnation &&
           same_text(peer->row.modes, preview->modes) && same_text(peer->row.blocks, preview->blocks);
}

bool preview_is_due(const struct broker *broker, bool others)
{
    return broker->preview && (!others || !broker->preview->yields) && broker->opened && !broker->catalog_fresh &&
           broker->suspects.count == 0;
}

void preview_let_others(struct broker *broker)
{
    if (broker->preview)
        broker->preview->yields = false;
}

bool preview_take(struct broker *broker, struct work *work)
{
    struct preview *preview = broker->preview;
    const struct peer *shadow = &preview->shadow;
    struct wanted *wanted = &work->batch->wanted;

    work->previewing = true;
    while (preview->block < shadow->block_count && !preview->taken[preview->order[preview->block]])
        preview->block++;
    if (preview_block(preview)) {
        wanted->page = (struct wanted_page){
            .agency = preview->agency, .block = preview_block(preview)->name, .after = preview->key, .limit = PAGE_ROWS
        };
        return true;
    }
    while (preview->type < broker->catalog->type_count &&
           !(preview->result.types[preview->type].mapped && peer_inserts(shadow, preview->type)))
        preview->type++;
    if (preview->type == broker->catalog->type_count)
        return false;
    wanted->fill = (struct wanted_fill){
        .agency = preview->agency, .type = preview->type, .after = preview->after, .limit = PAGE_RECORDS
    };
    return true;
}

/* The next page comes behind this one. */
static void page_done(struct preview *preview, const struct work *work)
{
    const struct found *found = &work->batch->found;

    preview->yields = true;
    if (preview_block(preview)) {
        if (work->page_count > 0)
            preview->key = text_in(preview->arena, work->page[work->page_count - 1].key);
        if (work->page_count < PAGE_ROWS) {
            preview->block++;
            preview->key = (struct text){ "", 0 };
        }
        return;
    }
    preview->after = found->fill_last;
    if (found->fill_rows < PAGE_RECORDS) {
        preview->type++;
        preview->after = 0;
    }
}

bool preview_found(struct broker *broker, struct work *work)
{
    struct preview *preview = broker->preview;
    struct wanted *wanted = &work->batch->wanted;

    if (!still_fits(broker, preview)) {
        preview_fail(broker, "its mode or mapping has changed meanwhile: try again");
        return true;
    }
    if (wanted->page.limit > 0) {
        work->page = work->batch->found.observed;
        work->page_count = work->batch->found.observed_count;
        *wanted = (struct wanted){ 0 };
        preview_want_records(broker, work);
        if (wanted->identifier_count > 0 || wanted->record_count > 0)
            return false;
    }
    if (preview_wants_same(work))
        return false;
    if (preview_block(preview))
        preview_decide(broker, work);
    else if (wanted->fill.limit > 0)
        preview_fill(broker, work);
    if (wanted->fill.limit == 0 && !preview_block(preview))
        preview_end(broker);
    else
        page_done(preview, work);
    return true;
}
