/* What must not take effect before a person has looked at it, and how that is settled: RULES.md 3 and 6. */
#include "daemon/decision.h"
#include "daemon/identity.h"

#include <assert.h>
#include <string.h>

static agency_index writer_of(const struct decision *decision)
{
    return decision->question.writer->agency;
}

static void note(struct decision *decision, enum held_step step, const struct held *held)
{
    struct outcome *outcome = decision->outcome;

    outcome->notes[outcome->note_count++] = (struct held_note){ .step = step,
                                                                .unit = held->unit,
                                                                .hold = held->hold,
                                                                .operation = held->operation,
                                                                .others = { held->others[0], held->others[1] } };
    decision->record->dirty = true;
}

/* What the writer had seen, and when it wrote. */
static void stamp(struct decision *decision, struct held *held)
{
    const struct writer *writer = decision->question.writer;

    held->entry = decision->position;
    held->base = writer->base;
    held->nothing_seen = writer->nothing_seen || decision->question.base < writer->base;
    held->commit_time_us = writer->commit_time_us;
    held->clock_known = writer->clock_known;
    held->clock_offset_us = writer->clock_offset_us;
    held->clock_uncertainty_us = writer->clock_uncertainty_us;
}

static struct judgement judgement_held(const struct decision *decision, uint32_t hold)
{
    return (struct judgement){ VERDICT_HELD, arena_printf(decision->arena, "hold %u", hold) };
}

/* ---- units ---- */

static void take_unit(struct decision *decision, struct held *held)
{
    const struct catalog_unit *unit = &decision->record->type->units[held->unit];

    stamp(decision, held);
    held->operation = OPERATION_UPDATE;
    held->others[0] = held->defect ? judge_collision(&decision->question, held->unit) : 0;
    for (uint16_t i = 0; i < unit->field_count; i++)
        held->values[unit->fields[i]] = decision->question.fields[unit->fields[i]];
}

static struct held *unit_new(struct decision *decision, uint16_t index)
{
    struct held *held = held_add(decision->arena, decision->record, writer_of(decision), index);

    held->values = arena_array(decision->arena, decision->record->type->field_count, sizeof *held->values);
    return held;
}

/* A value that its writer may write, but that is wrong in itself. */
static bool is_defective(const struct decision *decision, uint16_t index, struct judgement judgement)
{
    return judgement.verdict == VERDICT_PUT_BACK &&
           policy_writes(&decision->record->type->units[index].policy, writer_of(decision));
}

bool join_unit(struct decision *decision, uint16_t index, struct judgement judgement)
{
    struct held *held = held_find(decision->record, writer_of(decision), index);

    if (!held)
        return false;
    if (held->defect && !is_defective(decision, index, judgement)) {
        note(decision, HELD_ENDED, held); /* its writer has corrected it */
        held_remove(decision->record, held);
        return false;
    }
    take_unit(decision, held);
    note(decision, HELD_REPLACED, held);
    add_verdicts(decision, index, judgement_held(decision, held->hold));
    return true;
}

void end_unsaid(struct decision *decision, uint16_t index)
{
    struct held *held = held_find(decision->record, writer_of(decision), index);

    if (!held || !unit_is_touched(&decision->question, index))
        return;
    note(decision, HELD_ENDED, held);
    held_remove(decision->record, held);
}

void hold_defect(struct decision *decision, uint16_t index)
{
    struct held *held = unit_new(decision, index);

    held->defect = true;
    take_unit(decision, held);
    note(decision, HELD_OPENED, held);
}

bool holds_any(const struct decision *decision)
{
    for (uint16_t i = 0; i < decision->record->held_count; i++)
        if (decision->record->helds[i].agency == writer_of(decision))
            return true;
    return false;
}

/* ---- existence ---- */

static void verdicts_of_record(struct decision *decision, enum operation operation, struct judgement judgement)
{
    const struct catalog_type *type = decision->record->type;

    if (operation != OPERATION_UPDATE)
        add_verdict(decision, "existence", judgement);
    for (uint16_t i = 0; i < type->field_count; i++)
        if (decision->question.fields[i].state != VALUE_ABSENT)
            add_verdict(decision, type->fields[i].name, judgement);
}

/* Net: an insert is the row as it is now, an update changes what is known of it, a deletion leaves nothing. */
static void take_record(struct decision *decision, struct held *held, enum operation operation)
{
    uint16_t count = decision->record->type->field_count;

    stamp(decision, held);
    if (operation != OPERATION_UPDATE || held->operation == OPERATION_DELETE)
        for (uint16_t i = 0; i < count; i++)
            held->values[i] = (struct value){ 0 };
    for (uint16_t i = 0; i < count; i++)
        if (decision->question.fields[i].state != VALUE_ABSENT)
            held->values[i] = decision->question.fields[i];
    held->operation = operation == OPERATION_DELETE ? OPERATION_DELETE : OPERATION_INSERT;
}

bool join_record(struct decision *decision, enum operation operation)
{
    struct held *held = held_find(decision->record, writer_of(decision), UNIT_EXISTENCE);

    if (!held)
        return false;
    if (operation == OPERATION_DELETE && !decision->record->exists) {
        note(decision, HELD_ENDED, held); /* a row that nobody else has, and that is there no more */
        held_remove(decision->record, held);
        verdicts_of_record(decision, operation, (struct judgement){ VERDICT_UNCHANGED, "withdrawn" });
        if (decision->record->units[UNIT_EXISTENCE].seq > 0)
            reply_whole(decision); /* others have had it and deleted it, of which nothing was sent there */
        return true;
    }
    take_record(decision, held, operation);
    note(decision, HELD_REPLACED, held);
    verdicts_of_record(decision, operation, judgement_held(decision, held->hold));
    return true;
}

/* Whoever names the same person meanwhile must find this record: it keeps its identifiers while it does not exist. */
static void claim_identifiers(struct decision *decision)
{
    const struct question *question = &decision->question;
    struct canonical *record = decision->record;

    if (record->exists || record->units[UNIT_EXISTENCE].seq > 0)
        return;
    for (uint16_t u = UNIT_EXISTENCE + 1; u < record->type->unit_count; u++) {
        struct value values[KEY_FIELDS_MAX];

        if (!identity_values(record->type, u, question->fields, values) ||
            question->taken(question->context, record, u, values))
            continue;
        for (uint16_t i = 0; i < record->type->units[u].field_count; i++)
            record->values[record->type->units[u].fields[i]] = values[i];
    }
}

static void hold_record(struct decision *decision, uint32_t hold, enum operation operation, const uint64_t others[2])
{
    const struct question *question = &decision->question;
    struct held *held = unit_new(decision, UNIT_EXISTENCE);

    held->hold = hold;
    memcpy(held->others, others, sizeof held->others);
    take_record(decision, held, operation);
    if (operation != OPERATION_DELETE && question->taken)
        claim_identifiers(decision);
    note(decision, HELD_OPENED, held);
    verdicts_of_record(decision, held->operation, judgement_held(decision, hold));
}

bool hold_if_limited(struct decision *decision, uint16_t index, enum operation operation)
{
    const uint32_t *holds = decision->question.writer->holds;
    struct held *held;

    if (!holds || holds[index] == 0)
        return false;
    if (index == UNIT_EXISTENCE) {
        hold_record(decision, holds[index], operation, (const uint64_t[2]){ 0 });
        return true;
    }
    held = unit_new(decision, index);
    held->hold = holds[index];
    take_unit(decision, held);
    note(decision, HELD_OPENED, held);
    add_verdicts(decision, index, judgement_held(decision, held->hold));
    return true;
}

void reconcile_hold(struct arena *arena, const struct writer *writer, struct canonical *record,
                    enum operation operation, const struct value *fields, uint32_t hold, const uint64_t others[2],
                    feed_position position, struct outcome *ret)
{
    struct decision decision = {
        .question = { .writer = writer,
                      .record = record,
                      .fields = fields,
                      .base = writer->nothing_seen ? 0 : writer->base },
        .arena = arena,
        .record = record,
        .position = position,
    };

    decision_start(&decision, ret);
    hold_record(&decision, hold, operation, others);
}

/* ---- settling ---- */

/* "A rejection counts as not accepted." */
static void reject(struct decision *decision, const struct held *held, const char *by, const char *ground)
{
    const struct judgement rejected = { VERDICT_PUT_BACK, "rejected" };
    struct reason reason = { .verdict = { verdict_name(VERDICT_PUT_BACK), 8 },
                             .by = { by, (uint32_t)strlen(by) },
                             .rule = { rejected.rule, 8 },
                             .ground = { ground, (uint32_t)strlen(ground) } };

    if (held->unit == UNIT_EXISTENCE)
        verdicts_of_record(decision, held->operation, rejected);
    else
        add_verdicts(decision, held->unit, rejected);
    if (held->unit != UNIT_EXISTENCE && decision->record->exists && decision->question.writer->fed[held->unit] &&
        sent_to_writer(&decision->question, held->unit) <= decision->question.writer->base)
        correct_unit(decision, held->unit);
    decision->outcome->reason = reason;
}

/* Whether what is held still cannot be accepted, whatever a person says: it breaks what the catalog demands. */
static bool is_stuck(const struct decision *decision, const struct held *held)
{
    return held->unit != UNIT_EXISTENCE && decision->record->exists &&
           is_defective(decision, held->unit, judge_unit(&decision->question, held->unit));
}

bool reconcile_settle(const struct reconciler *reconciler, struct arena *arena, const struct writer *who,
                      struct canonical *record, const struct held *settled, const char *by, const char *ground,
                      feed_position position, identifier_taken *taken, void *context, struct outcome *ret)
{
    const struct held held = *settled;
    struct writer writer = *who;
    struct decision decision = {
        .question = {
            .reconciler = reconciler,
            .writer = &writer,
            .record = record,
            .fields = held.values,
            .base = held.nothing_seen ? 0 : held.base,
            .taken = taken,
            .context = context,
        },
        .arena = arena,
        .record = record,
        .position = position,
    };

    writer.base = held.base;
    writer.nothing_seen = held.nothing_seen;
    writer.restored = false;
    writer.commit_time_us = held.commit_time_us;
    writer.clock_known = held.clock_known;
    writer.clock_offset_us = held.clock_offset_us;
    writer.clock_uncertainty_us = held.clock_uncertainty_us;
    writer.holds = NULL;
    decision_start(&decision, ret);
    if (!by && is_stuck(&decision, &held))
        return false;
    note(&decision, HELD_ENDED, &held);
    held_remove(record, settled);
    if (by)
        reject(&decision, &held, by, ground);
    else
        decide(&decision, held.operation);
    decision_end(&decision);
    if (held.unit == UNIT_EXISTENCE)
        reply_whole(&decision);
    else if (held_find(record, writer.agency, UNIT_EXISTENCE))
        ret->reply = (struct sending){ 0 }; /* no item goes to it: it will be sent the record whole */
    return true;
}
