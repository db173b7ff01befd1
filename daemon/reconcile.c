#include "daemon/reconcile.h"

#include <assert.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one unit of a change comes to, before anything is changed. */
struct judgement {
    enum verdict verdict;
    const char *rule;
};

/* One decision on its way: what reconcile() was given and what it has found so far. */
struct decision {
    const struct reconciler *reconciler;
    struct arena *arena;
    const struct writer *writer;
    struct canonical *record;
    const struct value *fields;
    feed_position position;
    identifier_taken *taken;
    void *context;
    feed_position base; /* for `concurrent`: 0 when nothing counts as seen */
    bool *effect;       /* by field: goes to the readers */
    bool *reply;        /* by field: goes back to the writer */
    struct outcome *outcome;
};

struct reconciler {
    const struct catalog *catalog;
    regex_t **patterns; /* by type, then by field; NULL where it has none */
    bool **has_pattern;
};

/* The rules of `conflict` that two values alone can decide: which sign of new-against-canonical wins. 0: not of this
 * kind. */
static const int by_size[CONFLICT_COUNT] = { [CONFLICT_LARGEST] = 1, [CONFLICT_SMALLEST] = -1 };

static int unit_supported(const struct catalog_type *type, uint16_t index, struct error *err)
{
    const struct catalog_unit *unit = &type->units[index];
    const struct policy *policy = &unit->policy;

    if (policy->conflict == CONFLICT_LATEST || policy->conflict == CONFLICT_REVIEW ||
        (index == UNIT_EXISTENCE && policy->conflict != CONFLICT_OWNER))
        return error_set(err, ERR_STOP, "catalog: %s/%s: conflict = %s is not decided by this version; use owner%s",
                         type->name, unit->name, conflict_name(policy->conflict),
                         index == UNIT_EXISTENCE ? "" : ", largest or smallest");
    if (policy->otherwise == OTHERWISE_PROPOSE)
        return error_set(err, ERR_STOP,
                         "catalog: %s/%s: otherwise = propose is not decided by this version; use put-back", type->name,
                         unit->name);
    return 0;
}

static void patterns_compile(struct reconciler *reconciler, uint16_t index)
{
    const struct catalog_type *type = &reconciler->catalog->types[index];

    reconciler->patterns[index] = calloc(type->field_count, sizeof(regex_t));
    reconciler->has_pattern[index] = calloc(type->field_count, sizeof(bool));
    if (!reconciler->patterns[index] || !reconciler->has_pattern[index])
        abort();
    for (uint16_t i = 0; i < type->field_count; i++) {
        const char *pattern = type->fields[i].pattern;
        char whole[512];

        if (!pattern)
            continue;
        int length = snprintf(whole, sizeof whole, "^(%s)$", pattern);
        assert(length > 0 && (size_t)length < sizeof whole);
        reconciler->has_pattern[index][i] =
            regcomp(&reconciler->patterns[index][i], whole, REG_EXTENDED | REG_NOSUB) == 0;
        assert(reconciler->has_pattern[index][i]); /* catalog_build has compiled it */
    }
}

int reconciler_new(const struct catalog *catalog, struct reconciler **ret, struct error *err)
{
    struct reconciler *reconciler;

    for (uint16_t t = 0; t < catalog->type_count; t++)
        for (uint16_t u = 0; u < catalog->types[t].unit_count; u++)
            if (unit_supported(&catalog->types[t], u, err) < 0)
                return err->code;
    reconciler = calloc(1, sizeof *reconciler);
    if (!reconciler)
        abort();
    reconciler->catalog = catalog;
    reconciler->patterns = calloc(catalog->type_count, sizeof *reconciler->patterns);
    reconciler->has_pattern = calloc(catalog->type_count, sizeof *reconciler->has_pattern);
    if (!reconciler->patterns || !reconciler->has_pattern)
        abort();
    for (uint16_t t = 0; t < catalog->type_count; t++)
        patterns_compile(reconciler, t);
    *ret = reconciler;
    return 0;
}

void reconciler_free(struct reconciler **reconciler)
{
    struct reconciler *old = *reconciler;

    if (!old)
        return;
    for (uint16_t t = 0; t < old->catalog->type_count; t++) {
        for (uint16_t i = 0; i < old->catalog->types[t].field_count; i++)
            if (old->has_pattern[t][i])
                regfree(&old->patterns[t][i]);
        free(old->patterns[t]);
        free(old->has_pattern[t]);
    }
    free(old->patterns);
    free(old->has_pattern);
    free(old);
    *reconciler = NULL;
}

static feed_position later(feed_position left, feed_position right)
{
    return left > right ? left : right;
}

/* The last position at which the whole record, or its deletion, was sent to the writer: every canonical write of
 * existence is. */
static feed_position whole_sent_to_writer(const struct decision *decision)
{
    const struct unit_state *existence = &decision->record->units[UNIT_EXISTENCE];
    agency_index agency = decision->writer->agency;
    feed_position sent = sent_find(&decision->record->wholes, agency);

    if (existence->writer != agency || existence->echoed)
        sent = later(sent, existence->seq);
    return sent;
}

/* sent(A): the last position at which an item on this unit was sent to the writer, 0 if none since it is fed it. */
static feed_position sent_to_writer(const struct decision *decision, uint16_t index)
{
    const struct unit_state *unit = &decision->record->units[index];
    agency_index agency = decision->writer->agency;
    feed_position sent = 0;

    if (!decision->writer->fed[index])
        return 0;
    if (unit->writer != agency || unit->echoed)
        sent = unit->seq;
    sent = later(sent, sent_find(&unit->corrections, agency));
    return later(sent, whole_sent_to_writer(decision));
}

/* Whether the last canonical write of this unit is one that the writer of this change did not know of. */
static bool is_concurrent(const struct decision *decision, uint16_t index)
{
    const struct unit_state *unit = &decision->record->units[index];
    feed_position since = later(decision->writer->since, whole_sent_to_writer(decision));

    return unit->seq > 0 && unit->writer != decision->writer->agency &&
           (unit->seq > decision->base || decision->base < since);
}

/* Skips what `compare` does not look at; false at the end. */
static bool next_compared(enum compare compare, struct value value, uint32_t *at, unsigned char *ret)
{
    for (; *at < value.length; (*at)++) {
        unsigned char byte = (unsigned char)value.bytes[*at];
        bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte >= 0x80;
        bool digit = byte >= '0' && byte <= '9';

        if (compare == COMPARE_LETTERS ? letter : digit) {
            *ret = byte >= 'A' && byte <= 'Z' ? (unsigned char)(byte + 32) : byte;
            (*at)++;
            return true;
        }
    }
    return false;
}

static bool same_value(const struct catalog_field *field, struct value left, struct value right)
{
    uint32_t l = 0, r = 0;
    unsigned char a, b;

    if (field->compare == COMPARE_EXACT || left.state != VALUE_SET || right.state != VALUE_SET)
        return value_equal(left, right);
    for (;;) {
        bool more_left = next_compared(field->compare, left, &l, &a);
        bool more_right = next_compared(field->compare, right, &r, &b);

        if (more_left != more_right)
            return false;
        if (!more_left)
            return true;
        if (a != b)
            return false;
    }
}

static const struct catalog_type *type_of(const struct decision *decision)
{
    return decision->record->type;
}

/* Whether the change says something about this unit at all. */
static bool is_touched(const struct decision *decision, uint16_t index)
{
    const struct catalog_unit *unit = &type_of(decision)->units[index];

    for (uint16_t i = 0; i < unit->field_count; i++)
        if (decision->fields[unit->fields[i]].state != VALUE_ABSENT)
            return true;
    return false;
}

static bool is_unchanged(const struct decision *decision, uint16_t index)
{
    const struct catalog_unit *unit = &type_of(decision)->units[index];

    for (uint16_t i = 0; i < unit->field_count; i++) {
        uint16_t field = unit->fields[i];

        if (decision->fields[field].state != VALUE_ABSENT &&
            !same_value(&type_of(decision)->fields[field], decision->fields[field], decision->record->values[field]))
            return false;
    }
    return true;
}

static bool matches_pattern(const struct decision *decision, uint16_t field, struct value value)
{
    size_t type = (size_t)(type_of(decision) - decision->reconciler->catalog->types);
    regmatch_t range = { .rm_so = 0, .rm_eo = (regoff_t)value.length };

    if (!decision->reconciler->has_pattern[type][field])
        return true;
    /* REG_STARTEND: the value is borrowed and does not end in NUL. */
    return regexec(&decision->reconciler->patterns[type][field], value.bytes, 0, &range, REG_STARTEND) == 0;
}

/* What is wrong with the unit's new values, whoever wrote them; NULL when nothing is. */
static const char *defect(const struct decision *decision, uint16_t index)
{
    const struct catalog_unit *unit = &type_of(decision)->units[index];

    for (uint16_t i = 0; i < unit->field_count; i++) {
        uint16_t number = unit->fields[i];
        const struct catalog_field *field = &type_of(decision)->fields[number];
        struct value value = decision->fields[number];

        if (value.state == VALUE_NULL && field->required)
            return "required";
        if (value.state != VALUE_SET)
            continue;
        if (!matches_pattern(decision, number, value))
            return "pattern";
        if (field->identifier && !same_value(field, value, decision->record->values[number]) &&
            decision->taken(decision->context, decision->record, number, value))
            return "identifier taken";
    }
    return NULL;
}

/* Whether the writer of this change stands above the agency that wrote what it met. Decisions of officials stand above
 * all. */
static bool outranks(const struct policy *policy, agency_index agency, agency_index writer)
{
    return writer != AGENCY_NOBODY && policy_rank(policy, agency) < policy_rank(policy, writer);
}

static bool wins(const struct decision *decision, uint16_t index)
{
    const struct catalog_unit *unit = &type_of(decision)->units[index];
    const struct unit_state *state = &decision->record->units[index];
    enum conflict conflict = unit->policy.conflict;

    if (by_size[conflict] != 0) {
        uint16_t field = unit->fields[0];
        struct value mine = decision->fields[field], theirs = decision->record->values[field];

        if (mine.state != VALUE_SET || theirs.state != VALUE_SET)
            return mine.state == VALUE_SET;
        return value_compare(type_of(decision)->fields[field].type, mine, theirs) * by_size[conflict] > 0;
    }
    assert(conflict == CONFLICT_OWNER);
    return outranks(&unit->policy, decision->writer->agency, state->writer);
}

/* A whole record must fit into one frame, with room for names. */
static bool outgrows(const struct decision *decision)
{
    size_t size = 0;

    for (uint16_t i = 0; i < type_of(decision)->field_count; i++) {
        struct value value =
            decision->fields[i].state == VALUE_ABSENT ? decision->record->values[i] : decision->fields[i];

        size += value.state == VALUE_SET ? value.length : 0;
    }
    return size > RECORD_BYTES_MAX;
}

/* DESIGN section 6, steps 1, 2, 4 and 5 of one unit. */
static struct judgement judge(const struct decision *decision, uint16_t index)
{
    const struct policy *policy = &type_of(decision)->units[index].policy;
    const char *wrong;

    if (is_unchanged(decision, index))
        return (struct judgement){ VERDICT_UNCHANGED, "same value" };
    if (!policy_writes(policy, decision->writer->agency))
        return (struct judgement){ VERDICT_PUT_BACK, "not allowed" };
    wrong = outgrows(decision) ? "record too large" : defect(decision, index);
    if (wrong)
        return (struct judgement){ VERDICT_PUT_BACK, wrong };
    if (!is_concurrent(decision, index))
        return (struct judgement){ VERDICT_APPLIED, "no conflict" };
    if (wins(decision, index))
        return (struct judgement){ VERDICT_WON, conflict_name(policy->conflict) };
    return (struct judgement){ VERDICT_LOST, conflict_name(policy->conflict) };
}

static bool is_accepted(enum verdict verdict)
{
    return verdict == VERDICT_APPLIED || verdict == VERDICT_WON;
}

static void add_verdict(struct decision *decision, const char *name, struct judgement judgement)
{
    struct outcome *outcome = decision->outcome;

    outcome->fields[outcome->field_count++] =
        (struct entry_field){ .name = { name, (uint32_t)strlen(name) },
                              .verdict = judgement.verdict,
                              .rule = { judgement.rule, (uint32_t)strlen(judgement.rule) } };
}

/* The first thing that is put back says why, for the notice that its people get. */
static void add_reason(struct decision *decision, struct judgement judgement, agency_index by)
{
    struct reason *reason = &decision->outcome->reason;
    const struct catalog *catalog = decision->reconciler->catalog;
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
        if (decision->fields[field].state == VALUE_ABSENT)
            continue;
        if (type_of(decision)->fields[field].identifier && !value_equal(record->values[field], decision->fields[field]))
            decision->outcome->identifier_changed = true;
        record->values[field] = decision->fields[field];
    }
    state->seq = decision->position;
    state->writer = decision->writer->agency;
    state->echoed = echoed;
    state->time_us = decision->writer->commit_time_us;
    state->clock_known = decision->writer->clock_known;
    state->offset_us = decision->writer->clock_offset_us;
    state->uncertainty_us = decision->writer->clock_uncertainty_us;
    record->dirty = true;
}

static void accept_unit(struct decision *decision, uint16_t index)
{
    bool echo = sent_to_writer(decision, index) > decision->writer->base;

    write_unit(decision, index, value_null(), echo);
    mark(decision, index, decision->effect);
    if (echo)
        mark(decision, index, decision->reply);
}

static void correct_unit(struct decision *decision, uint16_t index)
{
    struct unit_state *state = &decision->record->units[index];

    mark(decision, index, decision->reply);
    sent_set(decision->arena, &state->corrections, decision->writer->agency, decision->position);
    decision->record->dirty = true;
}

/* One unit of a change to a record that exists, carried out. */
static void decide_unit(struct decision *decision, uint16_t index)
{
    const struct catalog_unit *unit = &type_of(decision)->units[index];
    struct judgement judgement = judge(decision, index);

    for (uint16_t i = 0; i < unit->field_count; i++)
        if (decision->fields[unit->fields[i]].state != VALUE_ABSENT)
            add_verdict(decision, type_of(decision)->fields[unit->fields[i]].name, judgement);
    if (is_accepted(judgement.verdict)) {
        accept_unit(decision, index);
    } else if (judgement.verdict != VERDICT_UNCHANGED) {
        agency_index by =
            judgement.verdict == VERDICT_LOST ? decision->record->units[index].writer : unit->policy.write[0];

        if (decision->writer->fed[index] && sent_to_writer(decision, index) <= decision->writer->base) {
            add_reason(decision, judgement, by);
            correct_unit(decision, index);
        }
    }
}

static void decide_units(struct decision *decision)
{
    for (uint16_t i = UNIT_EXISTENCE + 1; i < type_of(decision)->unit_count; i++)
        if (is_touched(decision, i))
            decide_unit(decision, i);
}

static void all_lost(struct decision *decision, struct judgement judgement)
{
    for (uint16_t i = 0; i < type_of(decision)->field_count; i++)
        if (decision->fields[i].state != VALUE_ABSENT)
            add_verdict(decision, type_of(decision)->fields[i].name, judgement);
}

static void send_whole(struct decision *decision, struct sending *sending)
{
    sending_whole(decision->arena, decision->record, sending);
}

/* The record, or its deletion, goes to the writer alone. */
static void reply_outcome(struct decision *decision, struct judgement judgement, agency_index by)
{
    if (!decision->writer->fed[UNIT_EXISTENCE])
        return;
    add_reason(decision, judgement, by);
    if (decision->record->exists)
        send_whole(decision, &decision->outcome->reply);
    else
        decision->outcome->reply.operation = OPERATION_DELETE;
    sent_set(decision->arena, &decision->record->wholes, decision->writer->agency, decision->position);
    decision->record->dirty = true;
}

/* The record comes (back) to life: it goes whole to everyone, its writer included. */
static void send_to_all(struct decision *decision)
{
    send_whole(decision, &decision->outcome->effect);
    if (decision->writer->fed[UNIT_EXISTENCE])
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

/* A change to a deleted record by someone who knew, or who stands below whoever deleted it, never revives it. */
static bool may_revive(const struct decision *decision, bool insert)
{
    const struct unit_state *state = &decision->record->units[UNIT_EXISTENCE];
    const struct policy *policy = &type_of(decision)->units[UNIT_EXISTENCE].policy;

    if (insert && !policy_writes(policy, decision->writer->agency))
        return false;
    if (!is_concurrent(decision, UNIT_EXISTENCE))
        return insert;
    return outranks(policy, decision->writer->agency, state->writer);
}

/* An update of a deleted record: it counts against the deletion only by a field write that would be accepted. */
static void decide_deleted_update(struct decision *decision)
{
    struct canonical *record = decision->record;
    const struct judgement lost = { VERDICT_LOST, "deleted" };
    agency_index deleter = record->units[UNIT_EXISTENCE].writer;
    bool accepted = false;

    if (may_revive(decision, false))
        for (uint16_t i = UNIT_EXISTENCE + 1; i < type_of(decision)->unit_count && !accepted; i++)
            accepted = is_touched(decision, i) && is_accepted(judge(decision, i).verdict);
    if (!accepted) {
        all_lost(decision, lost);
        if (sent_to_writer(decision, UNIT_EXISTENCE) <= decision->writer->base)
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
        if (!record->type->fields[i].identifier)
            record->values[i] = value_null();
    for (uint16_t i = UNIT_EXISTENCE + 1; i < record->type->unit_count; i++)
        record->units[i] = (struct unit_state){ .writer = AGENCY_NOBODY };
}

/* One unit of a creating insert. Nothing can be put back that was never there: what is wrong is held, and NULL for the
 * others, until its writer corrects it. */
static void create_unit(struct decision *decision, uint16_t index)
{
    const struct catalog_unit *unit = &type_of(decision)->units[index];
    struct judgement judgement = judge(decision, index);

    if (judgement.verdict == VERDICT_PUT_BACK && policy_writes(&unit->policy, decision->writer->agency))
        judgement.verdict = VERDICT_HELD;
    for (uint16_t i = 0; i < unit->field_count; i++)
        if (decision->fields[unit->fields[i]].state != VALUE_ABSENT)
            add_verdict(decision, type_of(decision)->fields[unit->fields[i]].name, judgement);
    if (is_accepted(judgement.verdict)) {
        write_unit(decision, index, value_null(), false);
    } else if (judgement.verdict == VERDICT_PUT_BACK && decision->writer->fed[index]) {
        add_reason(decision, judgement, unit->policy.write[0]);
        correct_unit(decision, index);
    }
}

/* NULLs of an insert are no statement: they leave fields unwritten. */
static bool has_values(const struct decision *decision, uint16_t index)
{
    const struct catalog_unit *unit = &type_of(decision)->units[index];

    for (uint16_t i = 0; i < unit->field_count; i++)
        if (decision->fields[unit->fields[i]].state == VALUE_SET)
            return true;
    return false;
}

static void decide_creation(struct decision *decision, bool revival)
{
    if (!policy_writes(&type_of(decision)->units[UNIT_EXISTENCE].policy, decision->writer->agency)) {
        const struct judgement refused = { VERDICT_PUT_BACK, "not allowed" };

        add_verdict(decision, "existence", refused);
        all_lost(decision, refused);
        reply_outcome(decision, refused, type_of(decision)->units[UNIT_EXISTENCE].policy.write[0]);
        return;
    }
    add_verdict(decision, "existence", (struct judgement){ VERDICT_APPLIED, "no conflict" });
    write_unit(decision, UNIT_EXISTENCE, value_text("false"), revival);
    decision->record->exists = true;
    if (revival)
        forget_values(decision->record);
    for (uint16_t i = UNIT_EXISTENCE + 1; i < type_of(decision)->unit_count; i++)
        if (has_values(decision, i))
            create_unit(decision, i);
    if (revival)
        send_to_all(decision);
    else
        send_whole(decision, &decision->outcome->effect);
}

/* An insert of a deleted record: "deleted records keep their identifiers, so a re-insert revives". */
static void decide_reinsert(struct decision *decision)
{
    const struct judgement lost = { VERDICT_LOST, "deleted" };
    bool saw = !is_concurrent(decision, UNIT_EXISTENCE);

    if (!may_revive(decision, true)) {
        add_verdict(decision, "existence", lost);
        all_lost(decision, lost);
        if (sent_to_writer(decision, UNIT_EXISTENCE) <= decision->writer->base)
            reply_outcome(decision, lost, decision->record->units[UNIT_EXISTENCE].writer);
        return;
    }
    if (saw) {
        decide_creation(decision, true);
        return;
    }
    add_verdict(decision, "existence", (struct judgement){ VERDICT_WON, "owner" });
    write_unit(decision, UNIT_EXISTENCE, value_text("false"), true);
    decision->record->exists = true;
    decision->base = 0;
    for (uint16_t i = UNIT_EXISTENCE + 1; i < type_of(decision)->unit_count; i++)
        if (has_values(decision, i))
            decide_unit(decision, i);
    send_to_all(decision);
}

/* Whether the writer's own row is already what the record now is, as far as it holds it. */
static bool row_differs(struct decision *decision, bool correct)
{
    bool differs = false;

    for (uint16_t i = UNIT_EXISTENCE + 1; i < type_of(decision)->unit_count; i++) {
        if (!decision->writer->fed[i] || !is_touched(decision, i) || is_unchanged(decision, i))
            continue;
        differs = true;
        if (correct)
            correct_unit(decision, i);
    }
    return differs;
}

/* An insert or load of a record that exists counts as nothing seen, its NULLs as absent. */
static void decide_known_insert(struct decision *decision, bool load)
{
    decision->base = 0;
    add_verdict(decision, "existence", (struct judgement){ VERDICT_UNCHANGED, "same value" });
    for (uint16_t i = UNIT_EXISTENCE + 1; i < type_of(decision)->unit_count; i++)
        if (has_values(decision, i))
            decide_unit(decision, i);
    if (load)
        row_differs(decision, true);
    else if (row_differs(decision, false))
        reply_outcome(decision, (struct judgement){ VERDICT_UNCHANGED, "record exists" }, AGENCY_NOBODY);
}

/* Whether nothing that the deleting agency did not know of stands against the deletion, or it stands above all who
 * wrote it. */
static struct judgement judge_deletion(const struct decision *decision)
{
    const struct catalog_type *type = type_of(decision);
    const struct policy *policy = &type->units[UNIT_EXISTENCE].policy;
    bool conflict = false;

    if (!policy_writes(policy, decision->writer->agency))
        return (struct judgement){ VERDICT_PUT_BACK, "not allowed" };
    for (uint16_t i = 0; i < type->unit_count; i++) {
        if (!is_concurrent(decision, i))
            continue;
        conflict = true;
        if (!outranks(policy, decision->writer->agency, decision->record->units[i].writer))
            return (struct judgement){ VERDICT_LOST, "owner" };
    }
    return conflict ? (struct judgement){ VERDICT_WON, "owner" } : (struct judgement){ VERDICT_APPLIED, "no conflict" };
}

/* Who stands against a deletion that was not accepted. */
static agency_index defender(const struct decision *decision)
{
    for (uint16_t i = 0; i < type_of(decision)->unit_count; i++)
        if (is_concurrent(decision, i))
            return decision->record->units[i].writer;
    return type_of(decision)->units[UNIT_EXISTENCE].policy.write[0];
}

static void decide_deletion(struct decision *decision)
{
    struct judgement judgement = judge_deletion(decision);
    bool echo;

    add_verdict(decision, "existence", judgement);
    if (!is_accepted(judgement.verdict)) {
        reply_outcome(decision, judgement, defender(decision));
        return;
    }
    echo = sent_to_writer(decision, UNIT_EXISTENCE) > decision->writer->base;
    write_unit(decision, UNIT_EXISTENCE, value_text("true"), echo);
    decision->record->exists = false;
    decision->outcome->effect.operation = OPERATION_DELETE;
    if (echo)
        decision->outcome->reply.operation = OPERATION_DELETE;
}

/* What the writer has seen by now can decide nothing any more. */
static void prune(struct decision *decision)
{
    sent_prune(&decision->record->wholes, decision->writer->agency, decision->writer->base);
    for (uint16_t i = 0; i < type_of(decision)->unit_count; i++)
        sent_prune(&decision->record->units[i].corrections, decision->writer->agency, decision->writer->base);
}

static void decide(struct decision *decision, enum operation operation)
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

void reconcile(const struct reconciler *reconciler, struct arena *arena, const struct writer *writer,
               struct canonical *record, enum operation operation, const struct value *fields, feed_position position,
               identifier_taken *taken, void *context, struct outcome *ret)
{
    uint16_t field_count = record->type->field_count;
    struct decision decision = {
        .reconciler = reconciler,
        .arena = arena,
        .writer = writer,
        .record = record,
        .fields = fields,
        .position = position,
        .taken = taken,
        .context = context,
        .base = writer->nothing_seen ? 0 : writer->base,
        .effect = arena_array(arena, 2u * field_count, sizeof(bool)),
        .outcome = ret,
    };

    decision.reply = decision.effect + field_count;
    *ret = (struct outcome){ .fields = arena_array(arena, field_count + 1u, sizeof *ret->fields) };
    prune(&decision);
    decide(&decision, operation);
    send_fields(&decision, decision.effect, &ret->effect);
    send_fields(&decision, decision.reply, &ret->reply);
}
