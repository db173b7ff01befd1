#include "daemon/altered.h"

#include <stdlib.h>

struct one {
    struct one *next;
    uint64_t record;
    uint16_t field;
};

struct altered {
    struct one **buckets; /* by record and field */
    size_t bucket_count;  /* a power of two */
    uint32_t count;
    bool more;
    struct step { /* what was done since altered_keep, oldest first */
        uint64_t record;
        uint16_t field;
        bool added;
    } * steps;
    uint32_t step_count, step_capacity;
};

enum { BUCKETS_FIRST = 16 };

static struct one **buckets_new(size_t count)
{
    struct one **buckets = calloc(count, sizeof(struct one *));

    if (!buckets)
        abort();
    return buckets;
}

/* Record numbers are dense, and no agency chooses them; fields are few. */
static struct one **bucket_of(const struct altered *altered, uint64_t record, uint16_t field)
{
    return &altered->buckets[(record + field * UINT64_C(0x9e3779b1)) & (altered->bucket_count - 1)];
}

struct altered *altered_new(void)
{
    struct altered *altered = calloc(1, sizeof *altered);

    if (!altered)
        abort();
    altered->bucket_count = BUCKETS_FIRST;
    altered->buckets = buckets_new(altered->bucket_count);
    return altered;
}

void altered_free(struct altered **altered)
{
    struct altered *old = *altered;

    if (!old)
        return;
    altered_clear(old);
    free(old->buckets);
    free(old->steps);
    free(old);
    *altered = NULL;
}

static void grow(struct altered *altered)
{
    struct one **old = altered->buckets;
    size_t count = altered->bucket_count;

    altered->bucket_count *= 2;
    altered->buckets = buckets_new(altered->bucket_count);
    for (size_t i = 0; i < count; i++)
        while (old[i]) {
            struct one *one = old[i], **bucket = bucket_of(altered, one->record, one->field);

            old[i] = one->next;
            one->next = *bucket;
            *bucket = one;
        }
    free(old);
}

static void note(struct altered *altered, uint64_t record, uint16_t field, bool added)
{
    if (altered->step_count == altered->step_capacity) {
        altered->step_capacity = altered->step_capacity ? altered->step_capacity * 2 : 16;
        altered->steps = realloc(altered->steps, altered->step_capacity * sizeof *altered->steps);
        if (!altered->steps)
            abort();
    }
    altered->steps[altered->step_count++] = (struct step){ record, field, added };
}

/* The place of this one, or where the next of its bucket would go. */
static struct one **place_of(const struct altered *altered, uint64_t record, uint16_t field)
{
    struct one **at = bucket_of(altered, record, field);

    while (*at && ((*at)->record != record || (*at)->field != field))
        at = &(*at)->next;
    return at;
}

bool altered_add(struct altered *altered, uint64_t record, uint16_t field)
{
    struct one **place = place_of(altered, record, field), *one;

    if (*place)
        return false;
    if (altered->count >= ALTERED_MAX) {
        altered->more = true;
        return false;
    }
    one = *place = calloc(1, sizeof *one);
    if (!one)
        abort();
    *one = (struct one){ .record = record, .field = field };
    if (++altered->count > altered->bucket_count)
        grow(altered);
    note(altered, record, field, true);
    return true;
}

bool altered_remove(struct altered *altered, uint64_t record, uint16_t field)
{
    struct one **place = place_of(altered, record, field), *one = *place;

    if (!one)
        return false;
    *place = one->next;
    free(one);
    altered->count--;
    note(altered, record, field, false);
    return true;
}

void altered_clear(struct altered *altered)
{
    for (size_t i = 0; i < altered->bucket_count; i++)
        while (altered->buckets[i])
            altered_remove(altered, altered->buckets[i]->record, altered->buckets[i]->field);
    altered->more = false;
}

uint32_t altered_count(const struct altered *altered)
{
    return altered->count;
}

bool altered_more(const struct altered *altered)
{
    return altered->more;
}

void altered_keep(struct altered *altered)
{
    altered->step_count = 0;
}

void altered_undo(struct altered *altered)
{
    for (uint32_t i = altered->step_count; i-- > 0;) {
        const struct step step = altered->steps[i];

        if (step.added)
            altered_remove(altered, step.record, step.field);
        else
            altered_add(altered, step.record, step.field);
    }
    altered_keep(altered);
}
