#include "daemon/decision.h"

#include <string.h>

static const struct catalog_type *type_of(const struct decision *decision)
{
    return decision->record->type;
}

void add_verdict(struct decision *decision, const char *name, struct judgement judgement)
{
    struct outcome *outcome = decision->outcome;

    outcome->fields[outcome->field_count++] =
        (struct entry_field){ .name = { name, (uint32_t)strlen(name) },
                              .verdict = judgement.verdict,
                              .rule = { judgement.rule, (uint32_t)strlen(judgement.rule) } };
}

void add_verdicts(struct decision *decision, uint16_t index, struct judgement judgement)
{
    const struct catalog_unit *unit = &type_of(decision)->units[index];

    for (uint16_t i = 0; i < unit->field_count; i++)
        if (decision->question.fields[unit->fields[i]].state != VALUE_ABSENT)
            add_verdict(decision, type_of(decision)->fields[unit->fields[i]].name, judgement);
}

/* The first thing that is put back says why, for the notice that its people get. */
static void add_reason(struct decision *decision, struct judgement judgement, agency_index by)
{
    struct reason *reason = &decision->outcome->reason;
    const struct catalog *catalog = reconciler_catalog(decision->question.reconciler);
    const char *verdict = verdict_name(judgement.verdict), *name = "";

    if (reason->verdict.length > 0)
        return;
    if (by < catalog->agency_count)
        name = catalog->agencies[by];
    reason->verdict = (struct text){ verdict, (uint32_t)strlen(verdict) };
    reason->by = (struct text){ name, (uint32_t)strlen(name) };
    reason->rule = (struct text){ judgement.rule, (uint32_t)strlen(judgement.rule) };
}

static void mark(const struct decision *decision, uint16_t index, bool *fields)
{
    const struct catalog_unit *unit = &type_of(decision)->units[index];

    for (uint16_t i = 0; i < unit->field_count; i++)
        fields[unit->fields[i]] = true;
}

/* Makes the writer's word canonical: what was there becomes `before`. */
static void write_unit(struct decision *decision, uint16_t index, struct value existence, bool echoed)
{
    const struct catalog_unit *unit = &type_of(decision)->units[index];
    struct unit_state *state = &decision->record->units[index];
    struct canonical *record = decision->record;

    state->before = arena_array(decision->arena, unit->field_count + 1u, sizeof *state->before);
    if (index == UNIT_EXISTENCE)
        state->before[0] = existence;
    for (uint16_t i = 0; i < unit->field_count; i++) {
        uint16_t field = unit->fields[i];

        state->before[i] = record->values[field];
        if (decision->question.fields[field].state == VALUE_ABSENT)
            continue;
        if (unit->identifier && !value_equal(record->values[field], decision->question.fields[field]))
            decision->outcome->identifier_changed = true;
        record->values[field] = decision->question.fields[field];
    }
    state->seq = decision->position;
    state->writer = decision->question.writer->agency;
    state->echoed = echoed;
    state->time_us = decision->question.writer->commit_time_us;
    state->clock_known = decision->question.writer->clock_known;
    state->offset_us = decision->question.writer->clock_offset_us;
    state->uncertainty_us = decision->question.writer->clock_uncertainty_us;
    record->dirty = true;
}

static void accept_unit(struct decision *decision, uint16_t index)
{
    bool echo = sent_to_writer(&decision->question, index) > decision->question.writer->base;

    write_unit(decision, index, value_null(), echo);
    mark(decision, index, decision->effect);
    if (echo)
        mark(decision, index, decision->reply);
}

void correct_unit(struct decision *decision, uint16_t index)
{
    struct unit_state *state = &decision->record->units[index];

    mark(decision, index, decision->reply);
    sent_set(decision->arena, &state->corrections, decision->question.writer->agency, decision->position);
    decision->record->dirty = true;
}

/* One unit of a change to a record that exists, carried out. */
static void decide_unit(struct decision *decision, uint16_t index)
{
    const struct catalog_unit *unit = &type_of(decision)->units[index];
    struct judgement judgement = judge_unit(&decision->question, index);

    if (join_unit(decision, index, judgement))
        return;
    if (judgement.rule == unknown_reference) { /* its agency is right to say so: it is we who do not know yet */
        judgement.verdict = VERDICT_HELD;
        hold_defect(decision, index);
        add_verdicts(decision, index, judgement);
        return;
    }
    if (judgement.verdict != VERDICT_UNCHANGED && judgement.verdict != VERDICT_PUT_BACK &&
        hold_if_limited(decision, index, OPERATION_UPDATE))
        return;
    /* "A change that would still collide is held." Where the number is the key one row would be two records. */
    if (judgement.rule == identifier_taken_rule && !decision->question.writer->shares_key) {
        judgement.verdict = VERDICT_HELD;
        hold_defect(decision, index);
    }
    add_verdicts(decision, index, judgement);
    if (verdict_accepts(judgement.verdict)) {
        accept_unit(decision, index);
    } else if (judgement.verdict != VERDICT_UNCHANGED && judgement.verdict != VERDICT_HELD) {
        agency_index by =
            judgement.verdict == VERDICT_LOST ? decision->record->units[index].writer : unit->policy.write[0];

        if (decision->question.writer->fed[index] &&
            sent_to_writer(&decision->question, index) <= decision->question.writer->base) {
            add_reason(decision, judgement, by);
            correct_unit(decision, index);
        }
    }
}

static void decide_units(struct decision *decision)
{
    for (uint16_t i = UNIT_EXISTENCE + 1; i < type_of(decision)->unit_count; i++)
        if (unit_is_touched(&decision->question, i))
            decide_unit(decision, i);
}

static void all_lost(struct decision *decision, struct judgement judgement)
{
    for (uint16_t i = UNIT_EXISTENCE + 1; i < type_of(decision)->unit_count; i++)
        if (unit_is_touched(&decision->question, i) && !join_unit(decision, i, judge_unit(&decision->question, i)))
            add_verdicts(decision, i, judgement);
}

static void send_whole(struct decision *decision, struct sending *sending)
{
    sending_whole(decision->arena, decision->record, sending);
}

void reply_whole(struct decision *decision)
{
    if (!decision->question.writer->fed[UNIT_EXISTENCE])
        return;
    decision->outcome->reply = (struct sending){ .operation = OPERATION_DELETE };
    if (decision->record->exists)
        send_whole(decision, &decision->outcome->reply);
    sent_set(decision->arena, &decision->record->wholes, decision->question.writer->agency, decision->position);
    decision->record->dirty = true;
}

static void reply_outcome(struct decision *decision, struct judgement judgement, agency_index by)
{
    if (!decision->question.writer->fed[UNIT_EXISTENCE])
        return;
    add_reason(decision, judgement, by);
    reply_whole(decision);
}

/* The record comes (back) to life: it goes whole to everyone, its writer included. */
static void send_to_all(struct decision *decision)
{
    send_whole(decision, &decision->outcome->effect);
    if (decision->question.writer->fed[UNIT_EXISTENCE])
        send_whole(decision, &decision->outcome->reply);
}

/* Fields of the change, marked, become the items of effect and reply. */
static void send_fields(struct decision *decision, const bool *marks, struct sending *sending)
{
    const struct catalog_type *type = type_of(decision);
    uint16_t count = 0;

    if (sending->operation != OPERATION_NONE)
        return; /* the whole record, or its deletion, says it all */
    for (uint16_t i = 0; i < type->field_count; i++)
        count = (uint16_t)(count + marks[i]);
    if (count == 0)
        return;
    sending->operation = OPERATION_UPDATE;
    sending->fields = arena_array(decision->arena, count, sizeof *sending->fields);
    for (uint16_t i = 0; i < type->field_count; i++)
        if (marks[i])
            sending->fields[sending->field_count++] =
                (struct item_field){ { type->fields[i].name, (uint32_t)strlen(type->fields[i].name) },
                                     decision->record->values[i] };
}

void sending_whole(struct arena *arena, const struct canonical *record, struct sending *ret)
{
    const struct catalog_type *type = record->type;

    ret->operation = OPERATION_INSERT;
    ret->field_count = type->field_count;
    ret->fields = arena_array(arena, type->field_count, sizeof *ret->fields);
    for (uint16_t i = 0; i < type->field_count; i++)
        ret->fields[i] =
            (struct item_field){ { type->fields[i].name, (uint32_t)strlen(type->fields[i].name) }, record->values[i] };
}

/* An update of a deleted record: it counts against the deletion only by a field write that would be accepted. */
static void decide_deleted_update(struct decision *decision)
{
    struct canonical *record = decision->record;
    const struct judgement lost = { VERDICT_LOST, "deleted" };
    agency_index deleter = record->units[UNIT_EXISTENCE].writer;
    bool accepted = false;

    if (may_revive(&decision->question, false))
        for (uint16_t i = UNIT_EXISTENCE + 1; i < type_of(decision)->unit_count && !accepted; i++)
            accepted = unit_is_touched(&decision->question, i) &&
                       !held_find(record, decision->question.writer->agency, i) &&
                       verdict_accepts(judge_unit(&decision->question, i).verdict);
    if (!accepted) {
        all_lost(decision, lost);
        if (sent_to_writer(&decision->question, UNIT_EXISTENCE) <= decision->question.writer->base)
            reply_outcome(decision, lost, deleter);
        return;
    }
    add_verdict(decision, "existence", (struct judgement){ VERDICT_WON, "owner" });
    write_unit(decision, UNIT_EXISTENCE, value_text("false"), true);
    record->exists = true;
    decide_units(decision);
    send_to_all(decision);
}

/* "A re-insert that saw the deletion starts with every other field NULL": who deleted a person and adds one with the
 * same number again does not mean the old person's data. */
static void forget_values(struct canonical *record)
{
    for (uint16_t i = 0; i < record->type->field_count; i++)
        if (!record->type->units[record->type->fields[i].unit].identifier)
            record->values[i] = value_null();
    for (uint16_t i = UNIT_EXISTENCE + 1; i < record->type->unit_count; i++)
        record->units[i] = (struct unit_state){ .writer = AGENCY_NOBODY };
}

/* What a held insert has claimed of a record that somebody else now creates is nobody's word. */
static void forget_claims(struct canonical *record)
{
    for (uint16_t i = 0; i < record->type->field_count; i++)
        record->values[i] = value_null();
}

/* One unit of a creating insert. Nothing can be put back that was never there: what is wrong is held, and NULL for the
 * others, until its writer corrects it. */
static void create_unit(struct decision *decision, uint16_t index)
{
    const struct catalog_unit *unit = &type_of(decision)->units[index];
    struct judgement judgement = judge_unit(&decision->question, index);

    if (join_unit(decision, index, judgement))
        return;
    if (judgement.verdict == VERDICT_PUT_BACK && policy_writes(&unit->policy, decision->question.writer->agency)) {
        judgement.verdict = VERDICT_HELD;
        hold_defect(decision, index);
    }
    add_verdicts(decision, index, judgement);
    if (verdict_accepts(judgement.verdict)) {
        write_unit(decision, index, value_null(), false);
    } else if (judgement.verdict == VERDICT_PUT_BACK && decision->question.writer->fed[index]) {
        add_reason(decision, judgement, unit->policy.write[0]);
        correct_unit(decision, index);
    }
}

static void decide_creation(struct decision *decision, bool revival)
{
    /* Of a record that never was it can have been sent a deletion: when its insert was held, and rejected. */
    bool echo = revival || sent_to_writer(&decision->question, UNIT_EXISTENCE) > decision->question.writer->base;

    if (!policy_writes(&type_of(decision)->units[UNIT_EXISTENCE].policy, decision->question.writer->agency)) {
        const struct judgement refused = { VERDICT_PUT_BACK, "not allowed" };

        add_verdict(decision, "existence", refused);
        all_lost(decision, refused);
        reply_outcome(decision, refused, type_of(decision)->units[UNIT_EXISTENCE].policy.write[0]);
        return;
    }
    if (hold_if_limited(decision, UNIT_EXISTENCE, OPERATION_INSERT))
        return;
    add_verdict(decision, "existence", (struct judgement){ VERDICT_APPLIED, "no conflict" });
    write_unit(decision, UNIT_EXISTENCE, value_text("false"), echo);
    decision->record->exists = true;
    if (revival)
        forget_values(decision->record);
    else
        forget_claims(decision->record);
    for (uint16_t i = UNIT_EXISTENCE + 1; i < type_of(decision)->unit_count; i++)
        if (unit_has_values(&decision->question, i))
            create_unit(decision, i);
        else
            end_unsaid(decision, i);
    if (echo)
        send_to_all(decision);
    else
        send_whole(decision, &decision->outcome->effect);
}

/* An insert of a deleted record: "deleted records keep their identifiers, so a re-insert revives". */
static void decide_reinsert(struct decision *decision)
{
    const struct judgement lost = { VERDICT_LOST, "deleted" };
    bool saw = !unit_is_concurrent(&decision->question, UNIT_EXISTENCE);

    if (!may_revive(&decision->question, true)) {
        add_verdict(decision, "existence", lost);
        all_lost(decision, lost);
        /* A deletion that is on its way already may have been sent without the key of a row nobody knew of. */
        reply_outcome(decision, lost, decision->record->units[UNIT_EXISTENCE].writer);
        return;
    }
    if (saw) {
        decide_creation(decision, true);
        return;
    }
    if (hold_if_limited(decision, UNIT_EXISTENCE, OPERATION_INSERT))
        return;
    add_verdict(decision, "existence", (struct judgement){ VERDICT_WON, "owner" });
    write_unit(decision, UNIT_EXISTENCE, value_text("false"), true);
    decision->record->exists = true;
    decision->question.base = 0;
    for (uint16_t i = UNIT_EXISTENCE + 1; i < type_of(decision)->unit_count; i++)
        if (unit_has_values(&decision->question, i))
            decide_unit(decision, i);
        else
            end_unsaid(decision, i);
    send_to_all(decision);
}

/* Whether the writer's own row is already what the record now is, as far as it holds it. */
static bool row_differs(struct decision *decision, bool correct)
{
    bool differs = false;

    for (uint16_t i = UNIT_EXISTENCE + 1; i < type_of(decision)->unit_count; i++) {
        if (!decision->question.writer->fed[i] || !unit_is_touched(&decision->question, i) ||
            unit_is_unchanged(&decision->question, i) ||
            held_find(decision->record, decision->question.writer->agency, i))
            continue;
        differs = true;
        if (correct)
            correct_unit(decision, i);
    }
    return differs;
}

/* Whether something was written that the writer has not seen, and will not be sent either: its row is new. */
static bool has_missed(const struct decision *decision)
{
    bool missed = false;

    for (uint16_t i = 0; decision->question.writer->takes_none && i < type_of(decision)->unit_count; i++)
        missed = missed || decision->record->units[i].seq > decision->question.writer->base;
    return missed;
}

/* An insert or load of a record that exists counts as nothing seen, its NULLs as absent. */
static void decide_known_insert(struct decision *decision, bool load)
{
    decision->question.base = 0;
    add_verdict(decision, "existence", (struct judgement){ VERDICT_UNCHANGED, "same value" });
    for (uint16_t i = UNIT_EXISTENCE + 1; i < type_of(decision)->unit_count; i++)
        if (unit_has_values(&decision->question, i))
            decide_unit(decision, i);
        else
            end_unsaid(decision, i);
    if (load || holds_any(decision)) /* the whole record would put back what is held */
        row_differs(decision, true);
    else if (row_differs(decision, false) || has_missed(decision))
        reply_outcome(decision, (struct judgement){ VERDICT_UNCHANGED, "record exists" }, AGENCY_NOBODY);
}

static void decide_deletion(struct decision *decision)
{
    struct judgement judgement = judge_deletion(&decision->question);
    bool echo;

    if (judgement.verdict != VERDICT_PUT_BACK && hold_if_limited(decision, UNIT_EXISTENCE, OPERATION_DELETE))
        return;
    add_verdict(decision, "existence", judgement);
    if (!verdict_accepts(judgement.verdict)) {
        reply_outcome(decision, judgement, deletion_defender(&decision->question));
        return;
    }
    echo = sent_to_writer(&decision->question, UNIT_EXISTENCE) > decision->question.writer->base;
    write_unit(decision, UNIT_EXISTENCE, value_text("true"), echo);
    decision->record->exists = false;
    decision->outcome->effect.operation = OPERATION_DELETE;
    if (echo)
        decision->outcome->reply.operation = OPERATION_DELETE;
}

/* What the writer has seen by now can decide nothing any more, but about what is held, which is older. */
static void prune(struct decision *decision)
{
    const struct writer *writer = decision->question.writer;
    feed_position seen = writer->base;

    for (uint16_t i = 0; i < decision->record->held_count; i++)
        if (decision->record->helds[i].agency == writer->agency && decision->record->helds[i].base < seen)
            seen = decision->record->helds[i].base;
    sent_prune(&decision->record->wholes, writer->agency, seen);
    for (uint16_t i = 0; i < type_of(decision)->unit_count; i++)
        sent_prune(&decision->record->units[i].corrections, writer->agency, seen);
}

void decide(struct decision *decision, enum operation operation)
{
    struct canonical *record = decision->record;
    bool fresh = !record->exists && record->units[UNIT_EXISTENCE].seq == 0;
    bool insert = operation == OPERATION_INSERT || operation == OPERATION_LOAD;

    if (operation == OPERATION_DELETE && record->exists)
        decide_deletion(decision);
    else if (operation == OPERATION_DELETE)
        add_verdict(decision, "existence", (struct judgement){ VERDICT_UNCHANGED, "same value" });
    else if (insert && fresh)
        decide_creation(decision, false);
    else if (insert && !record->exists)
        decide_reinsert(decision);
    else if (insert)
        decide_known_insert(decision, operation == OPERATION_LOAD);
    else if (record->exists)
        decide_units(decision);
    else
        decide_deleted_update(decision);
}

void decision_start(struct decision *decision, struct outcome *ret)
{
    uint16_t field_count = decision->record->type->field_count, unit_count = decision->record->type->unit_count;

    decision->effect = arena_array(decision->arena, 2u * field_count, sizeof(bool));
    decision->reply = decision->effect + field_count;
    decision->outcome = ret;
    *ret = (struct outcome){ .fields = arena_array(decision->arena, field_count + 1u, sizeof *ret->fields),
                             .notes = arena_array(decision->arena, 2u * unit_count, sizeof *ret->notes) };
    prune(decision);
}

void decision_end(struct decision *decision)
{
    send_fields(decision, decision->effect, &decision->outcome->effect);
    send_fields(decision, decision->reply, &decision->outcome->reply);
}

void reconcile(const struct reconciler *reconciler, struct arena *arena, const struct writer *writer,
               struct canonical *record, enum operation operation, const struct value *fields, feed_position position,
               identifier_taken *taken, void *context, struct outcome *ret)
{
    struct decision decision = {
        .question = {
            .reconciler = reconciler,
            .writer = writer,
            .record = record,
            .fields = fields,
            .base = writer->nothing_seen ? 0 : writer->base,
            .taken = taken,
            .context = context,
        },
        .arena = arena,
        .record = record,
        .position = position,
    };

    decision_start(&decision, ret);
    if (!join_record(&decision, operation))
        decide(&decision, operation);
    decision_end(&decision);
}
