/* What the agency's stream says became of items, and what is owed for it. */
#include "daemon/references.h"
#include "daemon/same.h"
#include "daemon/work.h"

#include <inttypes.h>
#include <string.h>

static const struct text nothing = { "", 0 };

static void debt_open(struct work *work, struct peer *peer, const struct debt *debt)
{
    struct writes *writes = &work->batch->writes;

    writes->debts = room(work, writes->debts, writes->debt_count, &work->debt_capacity, sizeof *writes->debts);
    writes->debts[writes->debt_count++] = *debt;
    debts_add(peer->debts, debt);
}

static void debt_settle(struct work *work, struct peer *peer, const struct debt *debt, const char *how)
{
    struct writes *writes = &work->batch->writes;

    writes->settled =
        room(work, writes->settled, writes->settled_count, &work->settled_capacity, sizeof *writes->settled);
    writes->settled[writes->settled_count++] =
        (struct settled_debt){ .agency = peer->row.id, .entry = debt->entry, .how = how };
    debts_remove(peer->debts, debt);
}

static void debt_lower(struct work *work, struct peer *peer, const struct debt *debt, feed_position position)
{
    struct writes *writes = &work->batch->writes;

    writes->lowered =
        room(work, writes->lowered, writes->lowered_count, &work->lowered_capacity, sizeof *writes->lowered);
    writes->lowered[writes->lowered_count++] =
        (struct lowered_debt){ .agency = peer->row.id, .entry = debt->entry, .position = position };
    debts_lower(peer->debts, debt, position);
}

void debts_answered(struct work *work, struct peer *peer, feed_position base)
{
    const struct debt *debt;

    while ((debt = debts_oldest_skip(peer->debts)) && debt->entry <= base)
        debt_settle(work, peer, debt, "answered");
}

/* The agency itself has given the row another key since, or made one anew, and the item looked for the one before: the
 * row is there. What it says of the key it looked for is proof, the link alone is not: an item may be changing it. */
static bool row_has_moved(const struct work *work, const struct peer *peer, const struct report *report)
{
    return report->text.length > 0 &&
           links_find(work->links, peer->row.id, report->block, report->text, report->position - 1) != report->record;
}

static void report_skipped(struct broker *broker, struct work *work, struct peer *peer, const struct report *report,
                           struct canonical *record)
{
    struct debt debt = {
        .agency = peer->row.id,
        .record = report->record,
        .kind = DEBT_SKIPPED,
        .position = report->position,
        .block = report->block,
        .reason = nothing,
    };
    const struct debt *answering;

    if (held_find(record, peer->index, UNIT_EXISTENCE))
        return; /* it will be sent the record whole when what is held has been settled */
    answering = debts_answering(peer->debts, report->record, report->position);
    if (answering && answering->position > report->position)
        debt_lower(work, peer, answering, report->position);
    if (answering)
        return; /* else a few bytes, said again and again, would each make an entry with the whole record */
    if (report->kind == REPORT_SKIPPED && !row_has_moved(work, peer, report))
        links_remove(work->links, peer->row.id, report->block, report->record); /* it has no such row */
    debt.entry = send_item(broker, work, peer, record)->entry.position;
    debt_open(work, peer, &debt);
}

static struct entry_row *report_entry(struct broker *broker, struct work *work, struct peer *peer, enum entry_kind kind,
                                      const struct report *report, const struct canonical *record)
{
    struct entry_row *row = entry_add(broker, work, kind, peer);
    char *text = arena_copy(work->batch->arena, report->text.bytes, report->text.length);

    row->entry.type = text_of(record->type->name);
    row->entry.record = report->record;
    row->entry.refers = report->position;
    entry_say(broker, work, row, entry_kind_name(kind), text);
    return row;
}

static void report_parked(struct broker *broker, struct work *work, struct peer *peer, const struct report *report,
                          struct canonical *record)
{
    struct entry_row *row;
    struct debt debt;

    if (debts_find(peer->debts, report->record, DEBT_PARKED))
        return; /* a later item queued behind it */
    row = report_entry(broker, work, peer, ENTRY_PARKED, report, record);
    debt = (struct debt){
        .agency = peer->row.id,
        .record = report->record,
        .kind = DEBT_PARKED,
        .position = report->position,
        .entry = row->entry.position,
        .block = report->block,
        .reason = { arena_copy(work->batch->arena, report->text.bytes, report->text.length), report->text.length },
    };
    debt_open(work, peer, &debt);
    action_about(broker,
                 action_log(broker, LOG_LEVEL_WARN, peer, "record %" PRIu64 " is parked: %s; see: selaras parked list",
                            report->record, debt.reason.bytes),
                 &row->entry);
}

static void report_settled(struct broker *broker, struct work *work, struct peer *peer, const struct report *report,
                           struct canonical *record)
{
    bool closed = report->kind == REPORT_CLOSED;
    const struct debt *debt = debts_find(peer->debts, report->record, DEBT_PARKED);

    if (!debt)
        return;
    report_entry(broker, work, peer, closed ? ENTRY_CLOSED : ENTRY_RELEASED, report, record)->entry.refers =
        debt->entry;
    debt_settle(work, peer, debt, closed ? "closed" : "released");
}

static void altered_write(struct work *work, const struct peer *peer, const struct canonical *record, uint16_t field,
                          feed_position position)
{
    struct writes *writes = &work->batch->writes;

    writes->altered =
        room(work, writes->altered, writes->altered_count, &work->altered_capacity, sizeof *writes->altered);
    writes->altered[writes->altered_count++] = (struct altered_write){
        .agency = peer->row.id,
        .type = record->type->name,
        .field = field == FIELD_EXISTENCE ? "existence" : record->type->fields[field].name,
        .record = record->number,
        .position = position,
    };
}

static void altered_forget(struct work *work, struct peer *peer, const struct canonical *record, uint16_t field)
{
    if (altered_remove(peer->altered, record->number, field))
        altered_write(work, peer, record, field, 0);
}

static void altered_forget_all(struct work *work, struct peer *peer, const struct canonical *record)
{
    for (uint16_t f = 0; f < record->type->field_count; f++)
        altered_forget(work, peer, record, f);
    altered_forget(work, peer, record, FIELD_EXISTENCE);
}

void altered_sent(struct work *work, struct peer *peer, const struct canonical *record, const struct sending *sending)
{
    if (altered_count(peer->altered) == 0 || sending->operation == OPERATION_NONE)
        return;
    if (sending->operation != OPERATION_UPDATE)
        altered_forget_all(work, peer, record);
    for (uint16_t i = 0; sending->operation == OPERATION_UPDATE && i < sending->field_count; i++) {
        struct text name = sending->fields[i].name;

        altered_forget(work, peer, record, (uint16_t)catalog_field(record->type, name.bytes, name.length));
    }
}

void altered_settled(struct broker *broker, struct work *work, struct peer *writer, const struct canonical *record,
                     enum operation operation, const struct value *fields, const struct outcome *outcome)
{
    bool whole = fields && operation != OPERATION_UPDATE;

    for (uint32_t i = 0; i < broker->peer_count; i++)
        if (&broker->peers[i] != writer)
            altered_sent(work, &broker->peers[i], record, &outcome->effect);
    if (writer)
        altered_sent(work, writer, record, &outcome->reply);
    if (!writer || !fields || altered_count(writer->altered) == 0)
        return;
    if (whole)
        altered_forget_all(work, writer, record);
    for (uint16_t f = 0; !whole && f < record->type->field_count; f++)
        if (fields[f].state != VALUE_ABSENT)
            altered_forget(work, writer, record, f);
}

/* Whether an item of the field was sent to the agency after it had applied `position`: that one says what it is. */
static bool sent_since(const struct broker *broker, const struct peer *peer, const struct canonical *record,
                       const struct report *report, uint16_t field)
{
    const struct writer who = { .agency = peer->index, .fed = peer_block_named(peer, report->block)->fed };
    const struct question question = { .reconciler = broker->reconciler, .writer = &who, .record = record };

    return sent_to_writer(&question, field == FIELD_EXISTENCE ? UNIT_EXISTENCE : record->type->fields[field].unit) >
           report->position;
}

static void report_altered(struct broker *broker, struct work *work, struct peer *peer, const struct report *report,
                           struct canonical *record)
{
    bool more = altered_more(peer->altered);

    for (uint32_t at = 0; at < report->text.length;) {
        const char *name = report->text.bytes + at, *end = memchr(name, ' ', report->text.length - at);
        uint32_t length = end ? (uint32_t)(end - name) : report->text.length - at;
        int field = length == 9 && memcmp(name, "existence", 9) == 0 ? FIELD_EXISTENCE
                                                                     : catalog_field(record->type, name, length);

        at += length + 1;
        if (field < 0 || sent_since(broker, peer, record, report, (uint16_t)field))
            continue;
        if (altered_add(peer->altered, record->number, (uint16_t)field))
            altered_write(work, peer, record, (uint16_t)field, report->position);
    }
    if (!more && altered_more(peer->altered))
        action_log(
            broker, LOG_LEVEL_WARN, peer,
            "its own triggers have altered more than %d values that it was fed: which ones they are beyond those "
            "is not kept",
            ALTERED_MAX);
}

/* A deletion that is on its way takes the row away again, and its key may be another one's then. */
static void link_made(struct work *work, const struct peer *peer, const struct report *report)
{
    struct text key = { arena_copy(work->batch->arena, report->text.bytes, report->text.length), report->text.length };
    const struct agency_block *block = peer_block_named(peer, report->block);
    const struct canonical *record = record_numbered(work, report->record);
    feed_position deleted = record->exists ? 0 : record->units[UNIT_EXISTENCE].seq;

    links_move(work->links, peer->row.id, report->block, key, report->record, report->position);
    if (deleted > report->position && block && block->delete == DELETE_ROW)
        links_end(work->links, peer->row.id, report->block, report->record, deleted);
}

/* "An insert item first takes an unlinked row with its identifier": one that its people have added, and given the
 * number of a record that was on its way. Whom that row was is still somebody, and has none there now; if it was to be
 * deleted since, it takes the record along, which then has none. */
static uint64_t link_robs(struct work *work, const struct peer *peer, const struct report *report)
{
    uint64_t number = links_find(work->links, peer->row.id, report->block, report->text, report->position);
    struct text held;

    if (number == 0 || number == report->record || !record_numbered(work, number))
        return 0;
    if (!links_held(work->links, peer->row.id, report->block, number, &held))
        return report->record;
    links_remove(work->links, peer->row.id, report->block, number);
    return number;
}

static void send_missed(struct broker *broker, struct work *work, struct peer *peer, struct canonical *record)
{
    if (record->exists && !held_find(record, peer->index, UNIT_EXISTENCE))
        send_item(broker, work, peer, record);
}

static void report_linked(struct broker *broker, struct work *work, struct peer *peer, const struct report *report,
                          struct canonical *record)
{
    link_made(work, peer, report); /* a skip before it may have undone that */
    references_arrive(work, peer, record);
    for (struct robbed *robbed = work->robbed; robbed; robbed = robbed->next) {
        struct canonical *was = robbed->record ? record_numbered(work, robbed->record) : NULL;

        if (!was || robbed->peer != peer || robbed->by != report->record)
            continue;
        if (robbed->record == report->record)
            links_remove(work->links, peer->row.id, report->block, report->record);
        robbed->record = 0;
        send_missed(broker, work, peer, was);
        /* What was on its way to the row by its key, while it was thought to be the other one's, has been written over
         * what it became. */
        if (was != record)
            send_missed(broker, work, peer, record);
    }
}

/* Once all are taken, what is left without a row is sent again. */
static void rob_note(struct work *work, const struct peer *peer, const struct report *report, uint64_t number)
{
    struct robbed *robbed;

    if (number == 0)
        return;
    robbed = arena_alloc(work->batch->arena, sizeof *robbed);
    *robbed = (struct robbed){ .peer = peer, .record = number, .by = report->record, .next = work->robbed };
    work->robbed = robbed;
}

struct canonical *report_record(const struct broker *broker, const struct work *work, const struct peer *peer,
                                const struct report *report)
{
    const struct agency_block *block = peer_block_named(peer, report->block);
    struct canonical *record = record_numbered(work, report->record);

    return record && block && record->type == &broker->catalog->types[block->type] ? record : NULL;
}

void take_links(const struct broker *broker, struct work *work, const struct peer *peer, const struct piece *piece)
{
    for (uint32_t i = 0; i < piece->report_count; i++)
        if (piece->reports[i].kind == REPORT_LINKED && report_record(broker, work, peer, &piece->reports[i])) {
            uint64_t robbed = link_robs(work, peer, &piece->reports[i]);

            link_made(work, peer, &piece->reports[i]);
            rob_note(work, peer, &piece->reports[i], robbed);
        }
}

typedef void report_handler(struct broker *broker, struct work *work, struct peer *peer, const struct report *report,
                            struct canonical *record);
static report_handler *const report_handlers[REPORT_COUNT] = {
    [REPORT_SKIPPED] = report_skipped, [REPORT_PARKED] = report_parked, [REPORT_RELEASED] = report_settled,
    [REPORT_CLOSED] = report_settled,  [REPORT_LINKED] = report_linked, [REPORT_LATE] = report_skipped,
    [REPORT_ALTERED] = report_altered,
};

void decide_report(struct broker *broker, struct work *work, struct peer *peer, const struct report *report,
                   struct canonical *record)
{
    const struct agency_block *block = peer_block_named(peer, report->block);
    struct canonical *now = same_row(work, peer, record);
    struct report renamed = *report;

    /* Of a table that is not fed, it may be an item of before, and nothing is owed for it any more. */
    if (block && block->mode != MODE_FULL && report->kind != REPORT_LINKED)
        return;
    /* What a row was to become while it was another record's is not what it is to be now. */
    if (now != record && (report->kind == REPORT_SKIPPED || report->kind == REPORT_LATE)) {
        renamed.record = now->number;
        record = now;
    }
    report_handlers[report->kind](broker, work, peer, &renamed, record);
    if (now != record && report->kind == REPORT_RELEASED)
        send_item(broker, work, peer, now);
}
