#include "agents/postgres/absent.h"

#include "agents/postgres/rejoin.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);

    if (!memory)
        abort();
    return memory;
}

static struct text key_text(const struct local_key *key)
{
    return (struct text){ key->bytes, key->length };
}

static struct local_key *key_copy(uint16_t block, struct text key)
{
    struct local_key *copy = allocate(sizeof *copy + key.length);

    copy->block = block;
    copy->length = key.length;
    memcpy(copy->bytes, key.bytes, key.length);
    return copy;
}

static size_t bytes_of(const struct absent *absent)
{
    size_t bytes = sizeof *absent + sizeof *absent->key + absent->key->length + sizeof *absent->row + absent->row->size;

    for (uint16_t i = 0; i < absent->name_count; i++)
        bytes += sizeof(struct local_key *) + sizeof(struct local_key) + absent->names[i]->length;
    return bytes;
}

static void absent_free(struct absents *absents, struct absent *absent)
{
    absents->bytes -= bytes_of(absent);
    for (uint16_t i = 0; i < absent->name_count; i++)
        free(absent->names[i]);
    free(absent->names);
    free(absent->key);
    free(absent->row);
    free(absent);
}

/* ---- coming and going ---- */

/* Of two rows with one name the first is found by it. */
static void name(struct absents *absents, struct absent *absent)
{
    struct touched_set set = { .mapping = absents->mapping, .scratch = arena_new() };
    struct local_key *names[REJOIN_NAMES];

    absent->name_count = rejoin_names(&set, set.scratch, absent->key->block, absent->row, names);
    absent->names = allocate(absent->name_count * sizeof *absent->names);
    for (uint16_t i = 0; i < absent->name_count; i++) {
        absent->names[i] = key_copy(names[i]->block, key_text(names[i]));
        if (!key_index_find(&absents->names, names[i]->block, key_text(names[i])))
            key_index_put(&absents->names, absent->names[i], absent);
    }
    arena_free(&set.scratch);
}

static void unname(struct absents *absents, const struct absent *absent)
{
    for (uint16_t i = 0; i < absent->name_count; i++)
        if (key_index_find(&absents->names, absent->key->block, key_text(absent->names[i])) == absent)
            key_index_remove(&absents->names, absent->names[i]);
}

/* It waits no more, whatever became of it. */
static void settle(struct absents *absents, struct absent *absent, uint64_t lsn)
{
    unname(absents, absent);
    key_index_remove(&absents->keys, absent->key);
    *(absent->previous ? &absent->previous->next : &absents->oldest) = absent->next;
    *(absent->next ? &absent->next->previous : &absents->newest) = absent->previous;
    absents->count--;
    absent->settled = lsn;
    absent->previous = NULL;
    absent->next = absents->settled;
    absents->settled = absent;
}

/* Takes `row` over. */
static struct absent *add(struct absents *absents, uint16_t block, struct text key, struct packed_row *row,
                          uint64_t lsn, int64_t since_us)
{
    struct absent *absent = key_index_find(&absents->keys, block, key);

    if (absent)
        settle(absents, absent, lsn); /* a row that came back unseen has gone again */
    absent = allocate(sizeof *absent);
    *absent = (struct absent){
        .previous = absents->newest, .key = key_copy(block, key), .row = row, .lsn = lsn, .since_us = since_us
    };
    *(absents->newest ? &absents->newest->next : &absents->oldest) = absent;
    absents->newest = absent;
    absents->count++;
    key_index_put(&absents->keys, absent->key, absent);
    if (absents->mapping->blocks[block].generated)
        name(absents, absent);
    absents->bytes += bytes_of(absent);
    return absent;
}

void absents_restore(struct absents *absents, uint16_t block, struct text key, const struct value *fields, uint64_t lsn,
                     int64_t since_us)
{
    uint16_t count = absents->mapping->blocks[block].field_count + ROW_WITNESSES;

    add(absents, block, key, row_pack(fields, count), lsn, since_us);
}

bool absents_wait(const struct absents *absents, uint16_t block, struct text key)
{
    return key_index_find(&absents->keys, block, key) != NULL;
}

void absents_overtake(struct absents *absents, uint16_t block, struct text key)
{
    struct absent *absent = key_index_find(&absents->keys, block, key);

    if (!absent)
        return;
    absent->overtaken = true;
    absents->overtaken = true;
}

/* ---- what a transaction did ---- */

static struct absent *find_named(const struct absents *absents, struct touched_set *set, const struct touched *come)
{
    struct local_key *names[REJOIN_NAMES];
    struct absent *found = NULL;
    uint16_t count = rejoin_names(set, set->scratch, come->block, come->now, names);

    for (uint16_t i = 0; i < count && !found; i++)
        found = key_index_find(&absents->names, come->block, key_text(names[i]));
    return found;
}

/* The deletion that a new row takes back. Where the database makes keys, what identifies the record says more. */
static struct absent *find_back(const struct absents *absents, struct touched_set *set, const struct touched *come)
{
    struct absent *found = NULL;

    arena_reset(set->scratch);
    if (absents->mapping->blocks[come->block].generated)
        found = find_named(absents, set, come);
    if (!found)
        found = key_index_find(&absents->keys, come->block, key_text(come->now_key));
    if (found && key_index_find(&set->before, come->block, key_text(found->key)))
        return NULL; /* that row was there: this is another one */
    return found;
}

/* Its deletion travels with this transaction. */
static void send(struct absents *absents, struct touched_set *set, struct absent *absent, uint64_t lsn)
{
    if (!key_index_find(&set->before, absent->key->block, key_text(absent->key)))
        touched_gone(set, absent->key, absent->row, false);
    settle(absents, absent, lsn);
}

static void come_back(struct absents *absents, struct touched_set *set, const struct absent_moment *moment)
{
    struct touched *last = set->newest;

    for (struct touched *at = set->oldest; at; at = at == last ? NULL : at->next) {
        struct absent *absent;

        if (!at->now_key || at->now_key == at->before_key || absents->count == 0)
            continue;
        absent = at->before_key ? NULL : find_back(absents, set, at);
        if (absent) {
            touched_was(set, at, absent->key, absent->row);
            settle(absents, absent, moment->lsn);
        }
        absent =
            at->now_key == at->before_key ? NULL : key_index_find(&absents->keys, at->block, key_text(at->now_key));
        if (absent)
            send(absents, set, absent, moment->lsn); /* another record has its key now */
    }
}

static void begin_to_wait(struct absents *absents, struct touched_set *set, const struct absent_moment *moment)
{
    struct touched *following;

    for (struct touched *at = set->oldest; at; at = following) {
        struct packed_row *row;

        following = at->next;
        if (!at->before_key || at->now_key || at->left || absents->mapping->blocks[at->block].absence_s == 0)
            continue;
        row = allocate(sizeof *row + at->before->size);
        memcpy(row, at->before, sizeof *row + at->before->size);
        add(absents, at->block, key_text(at->before_key), row, moment->lsn, moment->time_us)->fresh = true;
        touched_forget(set, at);
    }
}

static void send_due(struct absents *absents, struct touched_set *set, const struct absent_moment *moment)
{
    struct absent *following;

    for (struct absent *at = absents->oldest; at; at = following) {
        following = at->next;
        if (at->since_us + (int64_t)absents->mapping->blocks[at->key->block].absence_s * 1000000 <= moment->time_us)
            send(absents, set, at, moment->lsn);
    }
}

/* Whose row was deleted the broker can tell by its key only as of before that apply. Where the row that we put there is
 * gone again already, the key says that one's deletion in this transaction, and the other goes on waiting. */
static void send_overtaken(struct absents *absents, struct touched_set *set, uint64_t lsn)
{
    struct absent *following;

    for (struct absent *at = absents->oldest; at && absents->overtaken; at = following) {
        following = at->next;
        if (at->overtaken && !key_index_find(&set->before, at->key->block, key_text(at->key))) {
            touched_gone(set, at->key, at->row, true);
            settle(absents, at, lsn);
        }
        at->overtaken = false;
    }
    absents->overtaken = false;
}

int absents_pass(struct absents *absents, struct touched_set *set, const struct absent_moment *moment,
                 struct error *err)
{
    absents->time_us = moment->time_us;
    send_overtaken(absents, set, moment->lsn);
    if (absents->count > 0)
        come_back(absents, set, moment);
    if (moment->beat)
        send_due(absents, set, moment);
    else
        begin_to_wait(absents, set, moment);
    if (absents->bytes <= absents->bytes_max)
        return 0;
    return error_set(err, ERR_STOP,
                     "more deletions wait for their rows to come back than fit into %zu MiB of memory: make `absence` "
                     "of the mapping shorter and load this agency again",
                     absents->bytes_max >> 20);
}

/* ---- what is not durable yet ---- */

bool absents_changed(const struct absents *absents)
{
    return absents->settled || (absents->newest && absents->newest->fresh);
}

void absents_kept(struct absents *absents)
{
    for (struct absent *at = absents->newest; at && at->fresh; at = at->previous)
        at->fresh = false;
    while (absents->settled) {
        struct absent *done = absents->settled;

        absents->settled = done->next;
        absent_free(absents, done);
    }
}

struct absents *absents_new(const struct mapping *mapping, size_t bytes_max)
{
    struct absents *absents = allocate(sizeof *absents);

    absents->mapping = mapping;
    absents->bytes_max = bytes_max;
    return absents;
}

void absents_free(struct absents **absents)
{
    struct absents *old = *absents;

    if (!old)
        return;
    absents_kept(old);
    while (old->oldest) {
        struct absent *next = old->oldest->next;

        absent_free(old, old->oldest);
        old->oldest = next;
    }
    key_index_free(&old->keys);
    key_index_free(&old->names);
    free(old);
    *absents = NULL;
}
