/* A page of a preview: each row is decided as in a load, and what the decision says of it is counted. */
#include "daemon/hold.h"
#include "daemon/identity.h"
#include "daemon/observe.h"
#include "daemon/previewing.h"
#include "daemon/same.h"

#include <assert.h>
#include <string.h>

/* ---- what earlier pages have done ---- */

static uint64_t identity_hash(const struct broker *broker, struct work *work, const struct catalog_type *type,
                              uint16_t unit, const struct value *values)
{
    struct text name = identity_name(work->batch->arena, type, unit, values);

    return hash_of(&broker->hash_key, name.bytes, name.length);
}

static uint64_t touched_hash(const struct broker *broker, uint64_t record)
{
    const char name[] = "touched";
    char key[sizeof record + sizeof name];

    memcpy(key, &record, sizeof record);
    memcpy(key + sizeof record, name, sizeof name);
    return hash_of(&broker->hash_key, key, sizeof key);
}

/* What a row of an earlier page has made of a record: it is that row, or was deleted and that row with it. */
enum touched { UNTOUCHED, TOUCHED_ROW, TOUCHED_GONE };

static enum touched touched(const struct broker *broker, uint64_t record)
{
    return (enum touched)preview_recall(&broker->preview->memory, touched_hash(broker, record));
}

/* What the record is found by from now on. */
static void remember(struct broker *broker, struct work *work, const struct canonical *record)
{
    struct preview_memory *memory = &broker->preview->memory;
    struct value values[KEY_FIELDS_MAX];
    struct text key;

    preview_remember(memory, touched_hash(broker, record->number),
                     reach_held(work, &broker->preview->shadow, record, &key) ? TOUCHED_ROW : TOUCHED_GONE);
    for (uint16_t u = 0; u < record->type->unit_count; u++)
        if (identity_values(record->type, u, record->values, values))
            preview_remember(memory, identity_hash(broker, work, record->type, u, values), record->number);
}

/* A row of an earlier page is this record: under a key that no row has, and no other record. */
static void note_row(struct broker *broker, struct work *work, const struct canonical *record)
{
    const struct preview *preview = broker->preview;
    const struct agency_block *block = preview_block(preview);

    char key[1 + sizeof record->number] = { '\0' };

    memcpy(key + 1, &record->number, sizeof record->number);
    links_move(work->links, preview->agency, block->name,
               (struct text){ arena_copy(work->batch->arena, key, sizeof key), sizeof key }, record->number, 0);
}

/* Identifiers that the record has given up, or another one has taken from it, since the store was asked. */
static void forget_identifiers(struct broker *broker, struct work *work, struct canonical *record)
{
    bool all = touched(broker, record->number) != UNTOUCHED;
    struct value values[KEY_FIELDS_MAX];

    for (uint16_t u = 0; u < record->type->unit_count; u++) {
        const struct catalog_unit *unit = &record->type->units[u];

        uint64_t known;

        if (!identity_values(record->type, u, record->values, values))
            continue;
        known = preview_recall(&broker->preview->memory, identity_hash(broker, work, record->type, u, values));
        if (known == record->number || (known == 0 && !all))
            continue;
        for (uint16_t i = 0; i < unit->field_count; i++)
            record->values[unit->fields[i]] = value_null();
    }
}

static const struct agency_block *block_of_page(const struct broker *broker)
{
    return preview_block(broker->preview);
}

static uint64_t row_hash(const struct broker *broker, struct work *work, struct text block, struct text key)
{
    struct text name = map_key(work->batch->arena, broker->preview->agency, block, key);

    return hash_of(&broker->hash_key, name.bytes, name.length);
}

/* Which record the row is by now, for rows of later pages that refer to it. One that waits is none yet. */
static void remember_row(struct broker *broker, struct work *work, uint32_t at)
{
    const struct agency_block *block = block_of_page(broker);
    uint64_t number = links_find(work->links, broker->preview->agency, block->name, work->page[at].key, 0);
    const struct canonical *record = number ? record_numbered(work, number) : NULL;

    if (broker->catalog->types[block->type].referred && record && record_is_written(record))
        preview_remember(&broker->preview->memory, row_hash(broker, work, block->name, work->page[at].key), number);
}

/* The row says it by the key of another one, which an earlier page has decided. */
static void refer(struct broker *broker, struct work *work, const struct catalog_type *type, struct value *fields)
{
    for (uint16_t i = 0; type->refers && i < type->field_count; i++) {
        struct value block, key;
        uint64_t known;

        if (!reference_is_local(&type->fields[i], fields[i]) || !reference_cut(fields[i], &block, &key))
            continue;
        known =
            preview_recall(&broker->preview->memory, row_hash(broker, work, (struct text){ block.bytes, block.length },
                                                              (struct text){ key.bytes, key.length }));
        if (known > 0)
            fields[i] = reference_to(work->batch->arena, known);
    }
}

void preview_want_records(struct broker *broker, struct work *work)
{
    const struct catalog_type *type = &broker->catalog->types[block_of_page(broker)->type];
    struct wanted *wanted = &work->batch->wanted;
    uint32_t identifiers = 0, records = 0;

    work->page_values = arena_array(work->batch->arena, work->page_count, sizeof *work->page_values);
    for (uint32_t r = 0; r < work->page_count; r++) {
        struct value values[KEY_FIELDS_MAX];

        work->page_values[r] = observed_values(work->batch->arena, type, &work->page[r]);
        refer(broker, work, type, work->page_values[r]);
        for (uint16_t u = 0; u < type->unit_count; u++) {
            uint64_t known;

            if (!identity_values(type, u, work->page_values[r], values))
                continue;
            want_identifier(work, block_of_page(broker)->type, u, values, &identifiers);
            known = preview_recall(&broker->preview->memory, identity_hash(broker, work, type, u, values));
            if (known == 0 || known >> PREVIEW_NUMBERS_FROM != 0)
                continue;
            wanted->records = room(work, wanted->records, wanted->record_count, &records, sizeof *wanted->records);
            wanted->records[wanted->record_count++] = (struct wanted_record){ block_of_page(broker)->type, known };
        }
    }
}

bool preview_wants_same(struct work *work)
{
    const struct found *found = &work->batch->found;
    uint32_t capacity = work->batch->wanted.record_count; /* what is there is full */
    bool any = false;

    for (uint32_t i = 0; work->page_count > 0 && i < found->record_count; i++) {
        const struct canonical *record = found->records[i];

        if (!record->same_as || !same_is_new(work, record->same_as, UNIT_EXISTENCE))
            continue;
        want_record(work, (uint16_t)(record->type - work->batch->catalog->types), record->same_as, &capacity);
        any = true;
    }
    return any;
}

/* The record that an earlier page has given this identifier. */
static void recall(struct broker *broker, struct work *work, const struct catalog_type *type, uint16_t unit,
                   const struct value *values)
{
    uint64_t known = preview_recall(&broker->preview->memory, identity_hash(broker, work, type, unit, values));
    struct canonical *record = known ? record_numbered(work, known) : NULL;

    if (known == 0)
        return;
    if (!record) { /* one that there is not yet */
        record = canonical_new(work->batch->arena, type, known);
        record->exists = true;
        index_record(work, record);
        note_row(broker, work, record);
    }
    for (uint16_t i = 0; i < type->units[unit].field_count; i++)
        record->values[type->units[unit].fields[i]] = values[i];
    index_identifiers(work, record);
}

static void index_page(struct broker *broker, struct work *work)
{
    const struct catalog_type *type = &broker->catalog->types[block_of_page(broker)->type];
    const struct found *found = &work->batch->found;
    struct value values[KEY_FIELDS_MAX];

    for (uint32_t i = 0; i < found->record_count; i++) {
        struct canonical *record = found->records[i];
        enum touched by = touched(broker, record->number);

        forget_identifiers(broker, work, record);
        if (by == TOUCHED_ROW)
            note_row(broker, work, record);
        if (by == TOUCHED_GONE) /* it has been told, and is not again */
            sent_set(work->batch->arena, &record->wholes, broker->preview->shadow.index, UINT64_MAX >> 1);
        index_record(work, record);
    }
    for (uint32_t r = 0; r < work->page_count; r++)
        for (uint16_t u = 0; u < type->unit_count; u++)
            if (identity_values(type, u, work->page_values[r], values))
                recall(broker, work, type, u, values);
}

/* ---- counting ---- */

static void count(struct preview *preview, struct preview_count *ret, uint64_t record, struct value theirs,
                  struct value agreed)
{
    struct preview_sample *sample;

    ret->count++;
    if (ret->sample_count >= preview->samples)
        return;
    ret->sample_count++;
    sample = arena_alloc(preview->arena, sizeof *sample);
    *sample = (struct preview_sample){ .next = ret->samples, .record = record >> PREVIEW_NUMBERS_FROM ? 0 : record };
    if (theirs.state == VALUE_SET)
        theirs.bytes = arena_copy(preview->arena, theirs.bytes, theirs.length);
    if (agreed.state == VALUE_SET)
        agreed.bytes = arena_copy(preview->arena, agreed.bytes, agreed.length);
    sample->theirs = theirs;
    sample->agreed = agreed;
    ret->samples = sample;
}

/* One decided row. */
struct decided_row {
    struct preview *preview;
    struct preview_type *type;
    const struct agency_block *block;
    const struct value *values;
    const struct canonical *record;
    const struct entry *entry;
    struct item reply;
    bool created;
};

static void count_field(const struct decided_row *row, uint16_t field, enum preview_what what, struct value agreed)
{
    const struct catalog_field *known = &row->type->type->fields[field];
    bool hidden = known->personal || known->identifier || known->type == VALUE_REFERENCE;
    const struct value absent = { 0 };

    count(row->preview, &row->type->fields[field][what], row->record->number, hidden ? absent : row->values[field],
          hidden ? absent : agreed);
}

/* What the accepted write of a field has replaced. */
static struct value replaced(const struct decided_row *row, uint16_t field)
{
    uint16_t u = row->type->type->fields[field].unit;
    const struct catalog_unit *unit = &row->type->type->units[u];
    const struct unit_state *state = &row->record->units[u];

    for (uint16_t i = 0; i < unit->field_count && state->before && state->seq == row->entry->position; i++)
        if (unit->fields[i] == field)
            return state->before[i];
    return value_null();
}

/* Of a group each member has the verdict of all, whether it is another value or not. */
static enum preview_what what_of(const struct decided_row *row, uint16_t field, enum verdict verdict,
                                 struct value *agreed)
{
    struct value theirs = row->values[field];

    *agreed = row->record->values[field];
    if (verdict == VERDICT_HELD)
        return PREVIEW_HELD;
    if (verdict == VERDICT_UNCHANGED)
        return PREVIEW_EQUAL;
    if (verdict_accepts(verdict))
        *agreed = replaced(row, field);
    if (verdict_accepts(verdict) && row->created)
        return PREVIEW_NEW;
    if (row->type->type->units[row->type->type->fields[field].unit].field_count > 1 && value_equal(theirs, *agreed))
        return PREVIEW_EQUAL;
    if (!verdict_accepts(verdict))
        return theirs.state == VALUE_SET ? PREVIEW_OVERRULED : PREVIEW_FILLED;
    return agreed->state == VALUE_SET ? PREVIEW_CHANGES : PREVIEW_FILLS;
}

static void count_verdict(const struct decided_row *row, const struct entry_field *verdict)
{
    int field = catalog_field(row->type->type, verdict->name.bytes, verdict->name.length);
    enum preview_what what;
    struct value agreed;

    if (field < 0)
        return; /* existence */
    what = what_of(row, (uint16_t)field, verdict->verdict, &agreed);
    if (what != PREVIEW_FILLED) /* what it is sent says that */
        count_field(row, (uint16_t)field, what, agreed);
}

static enum verdict existence_of(const struct entry *entry)
{
    for (uint16_t i = 0; i < entry->field_count; i++)
        if (entry->fields[i].name.length == 9 && memcmp(entry->fields[i].name.bytes, "existence", 9) == 0)
            return entry->fields[i].verdict;
    return VERDICT_UNCHANGED;
}

static void count_row(struct decided_row *row)
{
    const struct value none = { 0 };
    enum verdict existence = existence_of(row->entry);
    enum preview_row what = PREVIEW_MATCHED;

    row->created = existence == VERDICT_APPLIED || existence == VERDICT_WON;
    if (existence == VERDICT_HELD)
        what = PREVIEW_WAITS;
    else if (row->created)
        what = PREVIEW_CREATED;
    else if (existence == VERDICT_LOST || existence == VERDICT_PUT_BACK)
        what = row->reply.operation == OPERATION_DELETE && row->block->delete != DELETE_IGNORE ? PREVIEW_DELETED
                                                                                               : PREVIEW_STAYS;
    count(row->preview, &row->type->rows[what], row->record->number, none, none);
    if (what == PREVIEW_DELETED || what == PREVIEW_STAYS)
        return; /* what it says is of no matter */
    for (uint16_t i = 0; i < row->entry->field_count; i++)
        count_verdict(row, &row->entry->fields[i]);
    if (row->reply.operation == OPERATION_DELETE || row->reply.operation == OPERATION_NONE)
        return;
    for (uint16_t i = 0; i < row->reply.field_count; i++) {
        const struct item_field *sent = &row->reply.fields[i];
        int field = catalog_field(row->type->type, sent->name.bytes, sent->name.length);

        if (field >= 0 && row->block->fields[field] && row->values[field].state != VALUE_SET &&
            sent->value.state == VALUE_SET && row->block->fed[row->type->type->fields[field].unit])
            count_field(row, (uint16_t)field, PREVIEW_FILLED, sent->value);
    }
}

/* ---- deciding ---- */

static struct change *change_of_row(struct broker *broker, struct work *work, uint32_t at)
{
    struct arena *arena = work->batch->arena;
    const struct agency_block *block = block_of_page(broker);
    const struct catalog_type *type = &broker->catalog->types[block->type];
    struct change *change = arena_alloc(arena, sizeof *change);

    *change = (struct change){ .operation = OPERATION_LOAD, .block = block->name, .key = work->page[at].key };
    change->old_key = change->content = text_of("");
    change->fields = arena_array(arena, type->field_count, sizeof *change->fields);
    for (uint16_t i = 0; i < type->field_count; i++)
        if (work->page_values[at][i].state != VALUE_ABSENT)
            change->fields[change->field_count++] =
                (struct change_field){ .name = text_of(type->fields[i].name), .value = work->page_values[at][i] };
    return change;
}

/* As in the load that would begin now. */
static struct share *share_of_load(struct broker *broker, struct work *work)
{
    struct preview *preview = broker->preview;
    struct share *share = &work->shares[0];

    *share = (struct share){ .peer = &preview->shadow, .row = preview->shadow.row };
    share->row.state = STATE_LOADING;
    share->row.load = work->batch->writes.head + 1;
    share->row.base = share->row.since = 0;
    share->row.restored = false;
    return share;
}

/* The entry of the change, among those that it made. */
static const struct entry_row *entry_made(const struct writes *writes, uint32_t from)
{
    assert(writes->entries);
    while (writes->entries[from].entry.kind != ENTRY_CHANGE)
        from++;
    return &writes->entries[from];
}

static void decide_row(struct broker *broker, struct work *work, struct share *share, uint32_t at)
{
    struct writes *writes = &work->batch->writes;
    const struct piece piece = { .first = 1, .final = true, .nothing_seen = true };
    struct preview *preview = broker->preview;
    const struct agency_block *block = block_of_page(broker);
    const struct entry_row *made;
    struct decided_row row;
    struct error err;
    uint32_t before = writes->entry_count;

    decide_change(broker, work, share, &piece, change_of_row(broker, work, at), 0, 0);
    made = entry_made(writes, before);
    row = (struct decided_row){ .preview = preview,
                                .type = &preview->result.types[block->type],
                                .block = block,
                                .values = work->page_values[at],
                                .record = record_numbered(work, made->entry.record),
                                .entry = &made->entry };
    if (made->reply.length > 0 &&
        effect_read(work->batch->arena, made->reply.bytes, made->reply.length, &row.reply, &err) < 0)
        row.reply = (struct item){ 0 };
    count_row(&row);
    remember(broker, work, row.record);
    remember_row(broker, work, at);
}

static void writes_begin(struct broker *broker, struct work *work)
{
    struct batch *batch = work->batch;

    work->links = links_new(batch);
    work->records = map_new(batch->arena, batch->hash_key);
    work->identifiers = map_new(batch->arena, batch->hash_key);
    batch->writes = (struct writes){ .old_head = broker->head,
                                     .head = broker->head + 1, /* the load's start */
                                     .head_time_us = broker->head_time_us,
                                     .next_record = broker->preview->next_record,
                                     .catalog_version = broker->catalog_version };
}

void preview_decide(struct broker *broker, struct work *work)
{
    size_t actions = broker->actions->count;
    struct share *share;

    writes_begin(broker, work);
    share = share_of_load(broker, work);
    index_page(broker, work);
    for (uint32_t r = 0; r < work->page_count; r++)
        decide_row(broker, work, share, r);
    broker->preview->next_record = work->batch->writes.next_record;
    broker->actions->count = actions; /* nothing of it has happened */
    for (uint32_t i = 0; i < broker->peer_count; i++)
        altered_undo(broker->peers[i].altered);
}

void preview_fill(struct broker *broker, struct work *work)
{
    struct preview *preview = broker->preview;
    const struct found *found = &work->batch->found;
    struct preview_type *type = &preview->result.types[preview->type];
    const struct value none = { 0 };

    writes_begin(broker, work);
    for (uint32_t i = 0; i < found->record_count; i++) {
        const struct canonical *record = found->records[i];

        if (record->exists && touched(broker, record->number) == UNTOUCHED &&
            !held_find(record, preview->shadow.index, UNIT_EXISTENCE) && reach_inserts(work, &preview->shadow, record))
            count(preview, &type->rows[PREVIEW_INSERTED], record->number, none, none);
    }
}
