#include "daemon/debts.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct node {
    struct debt debt;             /* first: what is given out is it */
    struct node *next;            /* in its bucket, newest first */
    struct node *earlier, *later; /* of the skips, by their answers */
    struct awaiting *awaiting;    /* what it waits for; NULL: nothing that can be told */
    bool due;                     /* it must be looked at whether that is there */
};

struct debts {
    struct node **buckets; /* by record */
    size_t bucket_count;   /* a power of two */
    struct node *first_skip, *last_skip;
    uint32_t counts[DEBT_KIND_COUNT], count;
    uint32_t awaiting_count, due_count;
    struct step { /* what was done since debts_keep, oldest first */
        struct debt debt;
        struct awaiting *awaiting; /* of one that was removed */
        bool added;
    } * steps;
    uint32_t step_count, step_capacity;
};

enum { BUCKETS_FIRST = 16 };

static struct node **buckets_new(size_t count)
{
    struct node **buckets = calloc(count, sizeof(struct node *));

    if (!buckets)
        abort();
    return buckets;
}

static struct node **bucket_of(const struct debts *debts, uint64_t record)
{
    /* Record numbers are dense: their low bits spread them well, and no agency chooses them. */
    return &debts->buckets[record & (debts->bucket_count - 1)];
}

struct debts *debts_new(void)
{
    struct debts *debts = calloc(1, sizeof *debts);

    if (!debts)
        abort();
    debts->bucket_count = BUCKETS_FIRST;
    debts->buckets = buckets_new(debts->bucket_count);
    return debts;
}

void debts_free(struct debts **debts)
{
    struct debts *old = *debts;

    if (!old)
        return;
    debts_clear(old);
    debts_keep(old);
    free(old->buckets);
    free(old->steps);
    free(old);
    *debts = NULL;
}

static void bucket_push(struct debts *debts, struct node *node)
{
    struct node **bucket = bucket_of(debts, node->debt.record);

    node->next = *bucket;
    *bucket = node;
}

/* The order within a bucket is turned round and round again: the newest of a record stays first. */
static void grow(struct debts *debts)
{
    struct node **old = debts->buckets;
    size_t count = debts->bucket_count;

    debts->bucket_count *= 2;
    debts->buckets = buckets_new(debts->bucket_count);
    for (size_t i = 0; i < count; i++) {
        struct node *turned = NULL;

        while (old[i]) {
            struct node *node = old[i];

            old[i] = node->next;
            node->next = turned;
            turned = node;
        }
        while (turned) {
            struct node *node = turned;

            turned = node->next;
            bucket_push(debts, node);
        }
    }
    free(old);
}

static void skip_insert(struct debts *debts, struct node *node)
{
    struct node *after = debts->last_skip; /* a new one is the last */

    while (after && after->debt.entry > node->debt.entry)
        after = after->earlier;
    node->earlier = after;
    node->later = after ? after->later : debts->first_skip;
    *(after ? &after->later : &debts->first_skip) = node;
    *(node->later ? &node->later->earlier : &debts->last_skip) = node;
}

static void skip_unlink(struct debts *debts, struct node *node)
{
    *(node->earlier ? &node->earlier->later : &debts->first_skip) = node->later;
    *(node->later ? &node->later->earlier : &debts->last_skip) = node->earlier;
}

static void note(struct debts *debts, const struct debt *debt, struct awaiting *awaiting, bool added)
{
    if (debts->step_count == debts->step_capacity) {
        debts->step_capacity = debts->step_capacity ? debts->step_capacity * 2 : 16;
        debts->steps = realloc(debts->steps, debts->step_capacity * sizeof *debts->steps);
        if (!debts->steps)
            abort();
    }
    debts->steps[debts->step_count++] = (struct step){ *debt, awaiting, added };
}

/* "resident 17 is not here" */
static struct awaiting *awaiting_read(const struct debt *debt)
{
    static const char end[] = " is not here";
    struct awaiting *awaiting;
    char text[128], *number, *behind;

    if (debt->kind != DEBT_PARKED || debt->reason.length >= sizeof text || debt->block.length == 0 ||
        debt->block.length >= sizeof awaiting->block)
        return NULL;
    memcpy(text, debt->reason.bytes, debt->reason.length);
    text[debt->reason.length] = '\0';
    number = strchr(text, ' ');
    if (!number || number - text >= (ptrdiff_t)sizeof awaiting->type || number[1] < '1' || number[1] > '9')
        return NULL;
    awaiting = calloc(1, sizeof *awaiting);
    if (!awaiting)
        abort();
    awaiting->record = debt->record;
    awaiting->awaited = strtoull(number + 1, &behind, 10);
    memcpy(awaiting->block, debt->block.bytes, debt->block.length);
    memcpy(awaiting->type, text, (size_t)(number - text));
    if (strcmp(behind, end) == 0)
        return awaiting;
    free(awaiting);
    return NULL;
}

static void due_set(struct debts *debts, struct node *node, bool due)
{
    debts->due_count = debts->due_count + due - node->due;
    node->due = due;
}

uint32_t debts_awaiting(const struct debts *debts)
{
    return debts->awaiting_count;
}

bool debts_to_look_at(const struct debts *debts)
{
    return debts->due_count > 0;
}

uint32_t debts_due(const struct debts *debts, struct awaiting *ret, uint32_t most)
{
    uint32_t count = 0;

    for (size_t i = 0; i < debts->bucket_count; i++)
        for (const struct node *node = debts->buckets[i]; node && count < most && count < debts->due_count;
             node = node->next)
            if (node->due)
                ret[count++] = *node->awaiting;
    return count;
}

static int compare_numbers(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

/* Once through all of them, however many have come. */
void debts_wake(struct debts *debts, uint64_t *awaited, uint32_t count)
{
    if (debts->awaiting_count == 0 || (awaited && count == 0))
        return;
    if (awaited)
        qsort(awaited, count, sizeof *awaited, compare_numbers);
    for (size_t i = 0; i < debts->bucket_count; i++)
        for (struct node *node = debts->buckets[i]; node; node = node->next)
            if (node->awaiting &&
                (!awaited || bsearch(&node->awaiting->awaited, awaited, count, sizeof *awaited, compare_numbers)))
                due_set(debts, node, true);
}

void debts_looked_at(struct debts *debts, const struct awaiting *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (struct node *node = *bucket_of(debts, list[i].record); node; node = node->next)
            if (node->due && node->debt.record == list[i].record)
                due_set(debts, node, false);
}

void debts_add(struct debts *debts, const struct debt *debt)
{
    struct node *node = calloc(1, sizeof *node);

    if (!node)
        abort();
    node->debt = *debt;
    node->awaiting = awaiting_read(debt);
    due_set(debts, node, node->awaiting != NULL);
    debts->awaiting_count += node->awaiting != NULL;
    node->debt.block = node->debt.reason = (struct text){ "", 0 };
    if (debts->count >= debts->bucket_count)
        grow(debts);
    bucket_push(debts, node);
    if (debt->kind == DEBT_SKIPPED)
        skip_insert(debts, node);
    debts->counts[debt->kind]++;
    debts->count++;
    note(debts, &node->debt, NULL, true);
}

const struct debt *debts_find(const struct debts *debts, uint64_t record, enum debt_kind kind)
{
    for (const struct node *node = *bucket_of(debts, record); node; node = node->next)
        if (node->debt.record == record && node->debt.kind == kind)
            return &node->debt;
    return NULL;
}

const struct debt *debts_answering(const struct debts *debts, uint64_t record, feed_position position)
{
    const struct debt *found = NULL;

    for (const struct node *node = *bucket_of(debts, record); node; node = node->next)
        if (node->debt.record == record && node->debt.kind == DEBT_SKIPPED && node->debt.entry > position &&
            (!found || node->debt.position < found->position))
            found = &node->debt;
    return found;
}

const struct debt *debts_oldest_skip(const struct debts *debts)
{
    return debts->first_skip ? &debts->first_skip->debt : NULL;
}

void debts_remove(struct debts *debts, const struct debt *debt)
{
    struct node **at = bucket_of(debts, debt->record), *node;

    while (&(*at)->debt != debt)
        at = &(*at)->next;
    node = *at;
    *at = node->next;
    due_set(debts, node, false);
    debts->awaiting_count -= node->awaiting != NULL;
    note(debts, &node->debt, node->awaiting, false);
    if (node->debt.kind == DEBT_SKIPPED)
        skip_unlink(debts, node);
    debts->counts[node->debt.kind]--;
    debts->count--;
    free(node);
}

void debts_lower(struct debts *debts, const struct debt *debt, feed_position position)
{
    struct debt lower = *debt;

    lower.position = position;
    debts_remove(debts, debt);
    debts_add(debts, &lower);
}

void debts_clear(struct debts *debts)
{
    for (size_t i = 0; i < debts->bucket_count; i++)
        while (debts->buckets[i])
            debts_remove(debts, &debts->buckets[i]->debt);
}

void debts_keep(struct debts *debts)
{
    for (uint32_t i = 0; i < debts->step_count; i++)
        free(debts->steps[i].awaiting);
    debts->step_count = 0;
}

static const struct debt *debt_like(const struct debts *debts, const struct debt *debt)
{
    const struct node *node = *bucket_of(debts, debt->record);

    while (node->debt.record != debt->record || node->debt.kind != debt->kind || node->debt.entry != debt->entry)
        node = node->next;
    return &node->debt;
}

/* One that was removed, with what it waited for. */
static void debt_again(struct debts *debts, const struct step *step)
{
    struct node *node;

    debts_add(debts, &step->debt);
    node = *bucket_of(debts, step->debt.record);
    node->awaiting = step->awaiting;
    due_set(debts, node, node->awaiting != NULL);
    debts->awaiting_count += node->awaiting != NULL;
}

void debts_undo(struct debts *debts)
{
    for (uint32_t i = debts->step_count; i-- > 0;) {
        const struct step step = debts->steps[i];

        debts->steps[i].awaiting = NULL; /* it goes back */
        if (step.added)
            debts_remove(debts, debt_like(debts, &step.debt));
        else
            debt_again(debts, &step);
    }
    debts_keep(debts);
}

uint32_t debts_count(const struct debts *debts, enum debt_kind kind)
{
    return debts->counts[kind];
}

feed_position debts_base(const struct debts *debts, uint64_t record, feed_position base)
{
    for (const struct node *node = *bucket_of(debts, record); node; node = node->next)
        if (node->debt.record == record && node->debt.position <= base)
            base = node->debt.position - 1;
    return base;
}
