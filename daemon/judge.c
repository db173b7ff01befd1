#include "daemon/judge.h"

#include "daemon/identity.h"

#include <assert.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    if (policy->stale_given)
        return error_set(err, ERR_STOP,
                         "catalog: %s/%s: stale: this version does not look for stale forms yet; leave it out",
                         type->name, unit->name);
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

const struct catalog *reconciler_catalog(const struct reconciler *reconciler)
{
    return reconciler->catalog;
}

static feed_position later(feed_position left, feed_position right)
{
    return left > right ? left : right;
}

/* The last position at which the whole record, or its deletion, was sent to the writer: every canonical write of
 * existence is. */
static feed_position whole_sent_to_writer(const struct question *question)
{
    const struct unit_state *existence = &question->record->units[UNIT_EXISTENCE];
    agency_index agency = question->writer->agency;
    feed_position sent = sent_find(&question->record->wholes, agency);

    if (existence->writer != agency || existence->echoed)
        sent = later(sent, existence->seq);
    return sent;
}

feed_position sent_to_writer(const struct question *question, uint16_t index)
{
    const struct unit_state *unit = &question->record->units[index];
    agency_index agency = question->writer->agency;
    feed_position sent = 0;

    if (!question->writer->fed[index])
        return 0;
    if (unit->writer != agency || unit->echoed)
        sent = unit->seq;
    sent = later(sent, sent_find(&unit->corrections, agency));
    return later(sent, whole_sent_to_writer(question));
}

bool unit_is_concurrent(const struct question *question, uint16_t index)
{
    const struct unit_state *unit = &question->record->units[index];
    feed_position since = later(question->writer->since, whole_sent_to_writer(question));

    return unit->seq > 0 && unit->writer != question->writer->agency &&
           (unit->seq > question->base || question->base < since);
}

/* Skips what `compare` does not look at; false at the end. Blanks, signs and capitals are how one writes; another house
 * number is another address, so "letters" means digits too. */
static bool next_compared(enum compare compare, struct value value, uint32_t *at, unsigned char *ret)
{
    for (; *at < value.length; (*at)++) {
        unsigned char byte = (unsigned char)value.bytes[*at];
        bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte >= 0x80;
        bool digit = byte >= '0' && byte <= '9';

        if (digit || (letter && compare == COMPARE_LETTERS)) {
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

static const struct catalog_type *type_of(const struct question *question)
{
    return question->record->type;
}

bool unit_is_touched(const struct question *question, uint16_t index)
{
    const struct catalog_unit *unit = &type_of(question)->units[index];

    for (uint16_t i = 0; i < unit->field_count; i++)
        if (question->fields[unit->fields[i]].state != VALUE_ABSENT)
            return true;
    return false;
}

bool unit_has_values(const struct question *question, uint16_t index)
{
    const struct catalog_unit *unit = &type_of(question)->units[index];

    for (uint16_t i = 0; i < unit->field_count; i++)
        if (question->fields[unit->fields[i]].state == VALUE_SET)
            return true;
    return false;
}

bool unit_is_unchanged(const struct question *question, uint16_t index)
{
    const struct catalog_unit *unit = &type_of(question)->units[index];

    for (uint16_t i = 0; i < unit->field_count; i++) {
        uint16_t field = unit->fields[i];

        if (question->fields[field].state != VALUE_ABSENT &&
            !same_value(&type_of(question)->fields[field], question->fields[field], question->record->values[field]))
            return false;
    }
    return true;
}

static bool matches_pattern(const struct question *question, uint16_t field, struct value value)
{
    size_t type = (size_t)(type_of(question) - question->reconciler->catalog->types);
    regmatch_t range = { .rm_so = 0, .rm_eo = (regoff_t)value.length };

    if (!question->reconciler->has_pattern[type][field])
        return true;
    /* REG_STARTEND: the value is borrowed and does not end in NUL. */
    return regexec(&question->reconciler->patterns[type][field], value.bytes, 0, &range, REG_STARTEND) == 0;
}

const char identifier_taken_rule[] = "identifier taken";

/* By what the record would be found by then. One that lacks a part finds nothing, and can be nobody else's. */
uint64_t judge_collision(const struct question *question, uint16_t index)
{
    const struct catalog_unit *unit = &type_of(question)->units[index];
    struct value values[KEY_FIELDS_MAX];

    if (!unit->identifier || unit_is_unchanged(question, index))
        return 0;
    assert(unit->field_count <= KEY_FIELDS_MAX);
    for (uint16_t i = 0; i < unit->field_count; i++) {
        uint16_t field = unit->fields[i];

        values[i] =
            question->fields[field].state == VALUE_ABSENT ? question->record->values[field] : question->fields[field];
        if (values[i].state != VALUE_SET)
            return 0;
    }
    return question->taken(question->context, question->record, index, values);
}

const char unknown_reference[] = "unknown reference";

/* What is wrong with the unit's new values, whoever wrote them; NULL when nothing is. */
static const char *defect(const struct question *question, uint16_t index)
{
    const struct catalog_unit *unit = &type_of(question)->units[index];

    for (uint16_t i = 0; i < unit->field_count; i++) {
        uint16_t number = unit->fields[i];
        const struct catalog_field *field = &type_of(question)->fields[number];
        struct value value = question->fields[number];

        if (value.state == VALUE_NULL && field->required)
            return "required";
        if (value.state != VALUE_SET)
            continue;
        if (reference_is_local(field, value))
            return unknown_reference;
        if (!matches_pattern(question, number, value))
            return "pattern";
    }
    return judge_collision(question, index) ? identifier_taken_rule : NULL;
}

/* Whether the writer of this change stands above the agency that wrote what it met. Decisions of officials stand above
 * all. */
static bool outranks(const struct policy *policy, agency_index agency, agency_index writer)
{
    return writer != AGENCY_NOBODY && policy_rank(policy, agency) < policy_rank(policy, writer);
}

static bool wins(const struct question *question, uint16_t index)
{
    const struct catalog_unit *unit = &type_of(question)->units[index];
    const struct unit_state *state = &question->record->units[index];
    enum conflict conflict = unit->policy.conflict;

    if (by_size[conflict] != 0) {
        uint16_t field = unit->fields[0];
        struct value mine = question->fields[field], theirs = question->record->values[field];

        if (mine.state != VALUE_SET || theirs.state != VALUE_SET)
            return mine.state == VALUE_SET;
        return value_compare(type_of(question)->fields[field].type, mine, theirs) * by_size[conflict] > 0;
    }
    assert(conflict == CONFLICT_OWNER);
    return outranks(&unit->policy, question->writer->agency, state->writer);
}

/* A whole record must fit into one frame, with room for names. */
static bool outgrows(const struct question *question)
{
    size_t size = 0;

    for (uint16_t i = 0; i < type_of(question)->field_count; i++) {
        struct value value =
            question->fields[i].state == VALUE_ABSENT ? question->record->values[i] : question->fields[i];

        size += value.state == VALUE_SET ? value.length : 0;
    }
    return size > RECORD_BYTES_MAX;
}

/* Whether this is but an older copy of what the agency itself has written since. */
static bool is_outdated(const struct question *question, uint16_t index)
{
    const struct unit_state *unit = &question->record->units[index];

    return question->writer->restored && unit->seq > 0 && unit->writer == question->writer->agency;
}

/* Whether it only says what the record that it was before was found by. */
static bool is_of_alias(const struct question *question, uint16_t index)
{
    const struct catalog_unit *unit = &type_of(question)->units[index];
    const struct canonical *alias = question->writer->alias;

    for (uint16_t i = 0; alias && unit->identifier && i < unit->field_count; i++)
        if (!value_equal(question->fields[unit->fields[i]], alias->values[unit->fields[i]]))
            return false;
    return alias && unit->identifier;
}

struct judgement judge_unit(const struct question *question, uint16_t index)
{
    const struct policy *policy = &type_of(question)->units[index].policy;
    const char *wrong;

    if (unit_is_unchanged(question, index))
        return (struct judgement){ VERDICT_UNCHANGED, "same value" };
    if (!policy_writes(policy, question->writer->agency))
        return (struct judgement){ VERDICT_PUT_BACK, "not allowed" };
    wrong = outgrows(question) ? "record too large" : defect(question, index);
    if (wrong)
        return (struct judgement){ VERDICT_PUT_BACK, wrong };
    if (is_of_alias(question, index))
        return (struct judgement){ VERDICT_LOST, "same record" };
    if (is_outdated(question, index))
        return (struct judgement){ VERDICT_LOST, "restored" };
    if (!unit_is_concurrent(question, index))
        return (struct judgement){ VERDICT_APPLIED, "no conflict" };
    if (wins(question, index))
        return (struct judgement){ VERDICT_WON, conflict_name(policy->conflict) };
    return (struct judgement){ VERDICT_LOST, conflict_name(policy->conflict) };
}

bool verdict_accepts(enum verdict verdict)
{
    return verdict == VERDICT_APPLIED || verdict == VERDICT_WON;
}

bool may_revive(const struct question *question, bool insert)
{
    const struct unit_state *state = &question->record->units[UNIT_EXISTENCE];
    const struct policy *policy = &type_of(question)->units[UNIT_EXISTENCE].policy;

    if ((insert && !policy_writes(policy, question->writer->agency)) || is_outdated(question, UNIT_EXISTENCE))
        return false;
    if (!unit_is_concurrent(question, UNIT_EXISTENCE))
        return insert;
    return outranks(policy, question->writer->agency, state->writer);
}

struct judgement judge_deletion(const struct question *question)
{
    const struct catalog_type *type = type_of(question);
    const struct policy *policy = &type->units[UNIT_EXISTENCE].policy;
    bool conflict = false;

    if (!policy_writes(policy, question->writer->agency))
        return (struct judgement){ VERDICT_PUT_BACK, "not allowed" };
    for (uint16_t i = 0; i < type->unit_count; i++) {
        if (!unit_is_concurrent(question, i))
            continue;
        conflict = true;
        if (!outranks(policy, question->writer->agency, question->record->units[i].writer))
            return (struct judgement){ VERDICT_LOST, "owner" };
    }
    return conflict ? (struct judgement){ VERDICT_WON, "owner" } : (struct judgement){ VERDICT_APPLIED, "no conflict" };
}

agency_index deletion_defender(const struct question *question)
{
    for (uint16_t i = 0; i < type_of(question)->unit_count; i++)
        if (unit_is_concurrent(question, i))
            return question->record->units[i].writer;
    return type_of(question)->units[UNIT_EXISTENCE].policy.write[0];
}
