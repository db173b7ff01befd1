#include "cli/arrival.h"

#include "shell/text.h"

#include <string.h>

static const char *const state_names[ARRIVAL_STATE_COUNT] = {
    [ARRIVAL_APPLIED] = "applied",
    [ARRIVAL_WROTE] = "written there",
    [ARRIVAL_LOADED] = "loaded",
    [ARRIVAL_WAITING] = "waiting",
    [ARRIVAL_PARKED] = "parked",
    [ARRIVAL_SKIPPED] = "skipped",
    [ARRIVAL_HELD] = "held",
    [ARRIVAL_ALTERED] = "altered there",
    [ARRIVAL_NOT_MAPPED] = "not mapped",
    [ARRIVAL_NOT_FED] = "not fed",
    [ARRIVAL_NOT_ENROLLED] = "no agency yet",
    [ARRIVAL_REVOKED] = "revoked",
};

const char *arrival_state_name(enum arrival_state state)
{
    return state_names[state];
}

/* One reply, read: which fields of the record it gave its agency. */
struct reply {
    const char *agency;
    feed_position position;
    struct item item;
};

/* One agency, with what its mapping has. */
struct reader {
    const char *name;
    agency_index index;
    const struct agency_row *row;
    struct block *blocks;
    uint16_t block_count;
};

static bool named(struct text text, const char *name)
{
    return text.length == strlen(name) && !memcmp(text.bytes, name, text.length);
}

static bool reader_maps(const struct reader *reader, const struct catalog_type *type, const char *field)
{
    for (int i = 0; i < reader->block_count; i++) {
        const struct block *block = &reader->blocks[i];

        if (!named(block->type, type->name))
            continue;
        if (!strcmp(field, "existence"))
            return true;
        for (int f = 0; f < block->field_count; f++)
            if (named(block->fields[f], field))
                return true;
    }
    return false;
}

/* By field of the type; -1: existence. */
static const struct policy *policy_of(const struct catalog_type *type, int field)
{
    return &type->units[field < 0 ? UNIT_EXISTENCE : type->fields[field].unit].policy;
}

static const struct last_write *write_of(const struct arrival_facts *facts, const char *field)
{
    for (int i = 0; i < facts->write_count; i++)
        if (!strcmp(facts->writes[i].field, field))
            return &facts->writes[i];
    return NULL;
}

static bool reply_covers(const struct reply *reply, const char *field)
{
    if (reply->item.operation == OPERATION_INSERT || reply->item.operation == OPERATION_DELETE)
        return true; /* the whole record, or its deletion */
    for (int i = 0; i < reply->item.field_count; i++)
        if (named(reply->item.fields[i].name, field))
            return true;
    return false;
}

/* The last position at which this field was sent to this reader alone; 0: never. */
static feed_position replied(const struct reply *replies, int count, const struct reader *reader, const char *field)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(replies[i].agency, reader->name) && reply_covers(&replies[i], field))
            return replies[i].position;
    return 0;
}

static const struct debt_row *debt_of(const struct arrival_facts *facts, const struct reader *reader)
{
    for (int i = 0; i < facts->debt_count; i++)
        if (!strcmp(facts->debts[i].agency, reader->name))
            return &facts->debts[i];
    return NULL;
}

/* A change of the agency itself of this field, or of the record's row, that nobody has decided yet. */
static const struct held_row *held_of(const struct arrival_facts *facts, const struct reader *reader, const char *field)
{
    int index = catalog_field(facts->type, field, strlen(field));
    const char *unit = facts->type->units[index < 0 ? UNIT_EXISTENCE : facts->type->fields[index].unit].name;

    for (int i = 0; i < facts->held_count; i++)
        if (!strcmp(facts->helds[i].agency, reader->name) &&
            (!strcmp(facts->helds[i].unit, unit) ||
             !strcmp(facts->helds[i].unit, facts->type->units[UNIT_EXISTENCE].name)))
            return &facts->helds[i];
    return NULL;
}

static const struct altered_row *altered_of(const struct arrival_facts *facts, const struct reader *reader,
                                            const char *field)
{
    for (int i = 0; i < facts->altered_count; i++)
        if (!strcmp(facts->altered[i].agency, reader->name) && !strcmp(facts->altered[i].field, field))
            return &facts->altered[i];
    return NULL;
}

/* What became of one written field at one reader. */
static struct arrival decide(const struct arrival_facts *facts, const struct reply *replies,
                             const struct reader *reader, const struct last_write *write)
{
    struct arrival arrival = { .agency = reader->name, .row = reader->row };
    const struct debt_row *debt = debt_of(facts, reader);
    const struct agency_row *row = reader->row;
    bool wrote = !strcmp(write->agency, reader->name);
    const struct altered_row *altered = altered_of(facts, reader, write->field);
    feed_position reply;

    if (!row) {
        arrival.state = ARRIVAL_NOT_ENROLLED;
        return arrival;
    }
    if (!strcmp(row->state, "revoked")) {
        arrival.state = ARRIVAL_REVOKED;
        return arrival;
    }
    if (row->blocks.length && !reader_maps(reader, facts->type, write->field)) {
        arrival.state = ARRIVAL_NOT_MAPPED;
        return arrival;
    }
    if (!wrote && strcmp(row->mode, "full")) {
        arrival.state = ARRIVAL_NOT_FED;
        return arrival;
    }
    arrival.held = held_of(facts, reader, write->field);
    if (arrival.held) {
        arrival.state = ARRIVAL_HELD;
        arrival.position = arrival.held->position;
        return arrival;
    }
    reply = replied(replies, facts->reply_count, reader, write->field);
    arrival.position = wrote || write->position <= row->load ? 0 : write->position;
    if (reply > arrival.position && (reply >= write->position || !wrote))
        arrival.position = reply;
    if (debt && arrival.position >= debt->position) {
        arrival.state = strcmp(debt->kind, "parked") ? ARRIVAL_SKIPPED : ARRIVAL_PARKED;
        arrival.debt = debt;
    } else if (arrival.position > row->applied) {
        arrival.state = ARRIVAL_WAITING;
    } else if (wrote) {
        arrival.state = ARRIVAL_WROTE;
    } else if (!arrival.position) {
        arrival.state = row->load ? ARRIVAL_LOADED : ARRIVAL_WAITING;
    } else {
        arrival.state = ARRIVAL_APPLIED;
    }
    if (arrival.state == ARRIVAL_WAITING && arrival.position == write->position)
        arrival.since_us = write->time_us;
    if (altered &&
        (arrival.state == ARRIVAL_APPLIED || arrival.state == ARRIVAL_WROTE || arrival.state == ARRIVAL_LOADED)) {
        arrival.state = ARRIVAL_ALTERED;
        arrival.since_us = altered->since_us;
    }
    return arrival;
}

/* Adds the field to those that share its fate, or starts a row for it. */
static void gather(struct arena *arena, struct arrival *rows, int *count, int first, const struct arrival *one,
                   const char *field)
{
    for (int i = first; i < *count; i++)
        if (rows[i].state == one->state && rows[i].position == one->position && rows[i].held == one->held &&
            rows[i].since_us == one->since_us) {
            rows[i].fields[rows[i].field_count++] = field;
            return;
        }
    rows[*count] = *one;
    rows[*count].fields = arena_array(arena, CATALOG_FIELDS_MAX + 1, sizeof *rows->fields);
    rows[*count].fields[rows[*count].field_count++] = field;
    (*count)++;
}

static int reader_of(struct arena *arena, const struct arrival_facts *facts, agency_index index, struct reader *ret,
                     struct error *err)
{
    *ret = (struct reader){ .name = facts->catalog->agencies[index], .index = index };
    for (int i = 0; i < facts->agency_count; i++)
        if (!strcmp(facts->agencies[i].name, ret->name))
            ret->row = &facts->agencies[i];
    if (!ret->row || !ret->row->blocks.length)
        return 0;
    if (blocks_read(arena, ret->row->blocks.bytes, ret->row->blocks.length, &ret->blocks, &ret->block_count, err) < 0)
        return error_wrap(err, _("what %s declared of its mapping cannot be read"), ret->name);
    return 0;
}

/* NULL with the error set when stored bytes are not what the broker writes. */
static struct reply *replies_read(struct arena *arena, const struct arrival_facts *facts, struct error *err)
{
    struct reply *replies = arena_array(arena, (size_t)facts->reply_count + 1, sizeof *replies);

    for (int i = 0; i < facts->reply_count; i++) {
        const struct reply_row *row = &facts->replies[i];

        replies[i].agency = row->agency;
        replies[i].position = row->position;
        if (effect_read(arena, row->reply.bytes, row->reply.length, &replies[i].item, err) < 0) {
            error_wrap(err, _("what %s was answered cannot be read"), row->agency);
            return NULL;
        }
    }
    return replies;
}

int arrival_find(struct arena *arena, const struct arrival_facts *facts, struct arrival **ret, int *ret_count,
                 struct error *err)
{
    size_t most = (size_t)facts->catalog->agency_count * (size_t)facts->write_count;
    struct arrival *rows = arena_array(arena, most + 1, sizeof *rows);
    struct reply *replies = replies_read(arena, facts, err);
    int count = 0;

    if (!replies)
        return err->code;
    for (int agency = 0; agency < facts->catalog->agency_count; agency++) {
        struct reader reader;
        int first = count;

        if (reader_of(arena, facts, (agency_index)agency, &reader, err) < 0)
            return err->code;
        for (int field = -1; field < facts->type->field_count; field++) {
            const char *name = field < 0 ? "existence" : facts->type->fields[field].name;
            const struct last_write *write = write_of(facts, name);
            struct arrival one;

            if (!write || !policy_reads(policy_of(facts->type, field), reader.index))
                continue;
            one = decide(facts, replies, &reader, write);
            gather(arena, rows, &count, first, &one, name);
        }
    }
    *ret = rows;
    *ret_count = count;
    return 0;
}
