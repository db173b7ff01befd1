#include "agents/postgres/touched.h"

#include "agents/postgres/rejoin.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PACKED_ABSENT, PACKED_NULL, PACKED_SET }; /* PACKED_SET + n: n bytes follow */

static void *allocate(struct touched_set *set, size_t size)
{
    void *memory = calloc(1, size);

    if (!memory)
        abort();
    set->bytes += size;
    return memory;
}

static struct local_key *key_new(struct touched_set *set, uint16_t block, struct text key)
{
    struct local_key *copy = allocate(set, sizeof *copy + key.length);

    copy->block = block;
    copy->length = key.length;
    memcpy(copy->bytes, key.bytes, key.length);
    return copy;
}

static void key_free(struct touched_set *set, struct local_key *key)
{
    if (key)
        set->bytes -= sizeof *key + key->length;
    free(key);
}

struct packed_row *row_pack(const struct value *fields, uint16_t count)
{
    size_t size = 0;
    struct packed_row *row;
    char *at;

    for (uint16_t i = 0; i < count; i++)
        size += sizeof(uint32_t) + (fields[i].state == VALUE_SET ? fields[i].length : 0);
    row = calloc(1, sizeof *row + size);
    if (!row)
        abort();
    row->size = (uint32_t)size;
    at = row->bytes;
    for (uint16_t i = 0; i < count; i++) {
        uint32_t tag = fields[i].state == VALUE_SET    ? PACKED_SET + fields[i].length
                       : fields[i].state == VALUE_NULL ? PACKED_NULL
                                                       : PACKED_ABSENT;

        memcpy(at, &tag, sizeof tag);
        at += sizeof tag;
        if (tag > PACKED_SET)
            memcpy(at, fields[i].bytes, fields[i].length);
        at += tag > PACKED_SET ? fields[i].length : 0;
    }
    return row;
}

static struct packed_row *row_keep(struct touched_set *set, const struct value *fields, uint16_t count)
{
    struct packed_row *row = row_pack(fields, count);

    set->bytes += sizeof *row + row->size;
    return row;
}

static struct packed_row *row_copy(struct touched_set *set, const struct packed_row *row)
{
    struct packed_row *copy = allocate(set, sizeof *copy + row->size);

    memcpy(copy, row, sizeof *copy + row->size);
    return copy;
}

void row_unpack(const struct packed_row *row, struct value *values, uint16_t count)
{
    const char *at = row->bytes;

    for (uint16_t i = 0; i < count; i++) {
        uint32_t tag;

        memcpy(&tag, at, sizeof tag);
        at += sizeof tag;
        values[i] = (struct value){ 0 };
        values[i].state = tag == PACKED_ABSENT ? VALUE_ABSENT : tag == PACKED_NULL ? VALUE_NULL : VALUE_SET;
        if (tag < PACKED_SET)
            continue;
        values[i].bytes = at;
        values[i].length = tag - PACKED_SET;
        at += values[i].length;
    }
    assert(at == row->bytes + row->size);
}

static void row_free(struct touched_set *set, struct packed_row *row)
{
    if (row)
        set->bytes -= sizeof *row + row->size;
    free(row);
}

static bool row_equal(const struct packed_row *left, const struct packed_row *right)
{
    return left == right || (left->size == right->size && memcmp(left->bytes, right->bytes, left->size) == 0);
}

static bool key_is(const struct local_key *key, struct text text)
{
    return key->length == text.length && memcmp(key->bytes, text.bytes, text.length) == 0;
}

static struct text key_text(const struct local_key *key)
{
    return (struct text){ key->bytes, key->length };
}

static struct touched *touched_new(struct touched_set *set, uint16_t block)
{
    struct touched *touched = allocate(set, sizeof *touched);

    touched->block = block;
    touched->previous = set->newest;
    if (set->newest)
        set->newest->next = touched;
    else
        set->oldest = touched;
    set->newest = touched;
    return touched;
}

static void touched_set_now(struct touched_set *set, struct touched *touched, struct packed_row *now)
{
    if (touched->now != touched->before)
        row_free(set, touched->now);
    if (now && touched->before && now != touched->before && row_equal(now, touched->before)) {
        row_free(set, now);
        now = touched->before;
    }
    touched->now = now;
}

/* `key` NULL: the record no longer exists. */
static void touched_set_key(struct touched_set *set, struct touched *touched, struct local_key *key)
{
    if (touched->now_key)
        key_index_remove(&set->now, touched->now_key);
    if (touched->now_key != touched->before_key)
        key_free(set, touched->now_key);
    if (key && touched->before_key && key != touched->before_key && key_is(touched->before_key, key_text(key))) {
        key_free(set, key);
        key = touched->before_key;
    }
    touched->now_key = key;
    if (key)
        key_index_put(&set->now, key, touched);
}

static void touched_free(struct touched_set *set, struct touched *touched)
{
    touched_set_key(set, touched, NULL);
    touched_set_now(set, touched, NULL);
    if (touched->before_key)
        key_index_remove(&set->before, touched->before_key);
    key_free(set, touched->before_key);
    row_free(set, touched->before);
    *(touched->previous ? &touched->previous->next : &set->oldest) = touched->next;
    *(touched->next ? &touched->next->previous : &set->newest) = touched->previous;
    set->bytes -= sizeof *touched;
    free(touched);
}

/* Whether nothing came of it in the end. */
static bool touched_nothing(struct touched_set *set, const struct touched *touched)
{
    uint16_t fields = set->mapping->blocks[touched->block].field_count, count = fields + ROW_WITNESSES;
    struct value *before, *now;
    bool nothing = true;

    if (!touched->before_key || !touched->now_key)
        return !touched->before_key && !touched->now_key;
    if (touched->before_key != touched->now_key)
        return false;
    if (touched->before == touched->now)
        return true;
    before = arena_array(set->scratch, count, sizeof *before);
    now = arena_array(set->scratch, count, sizeof *now);
    row_unpack(touched->before, before, count);
    row_unpack(touched->now, now, count);
    for (uint16_t i = 0; i < fields && nothing; i++)
        nothing = !field_changed(before[i], now[i]);
    return nothing;
}

void touched_join(struct touched_set *set, struct touched *gone, struct touched *come)
{
    struct packed_row *now = come->now;
    struct local_key *key = come->now_key;

    assert(gone->before_key && !gone->now_key && !come->before_key && key);
    key_index_remove(&set->now, key);
    come->now = NULL; /* both move to the record that they belong to */
    come->now_key = NULL;
    touched_free(set, come);
    touched_set_key(set, gone, key);
    touched_set_now(set, gone, now);
}

/* A deletion and a new row with the key that the deleted one had before are one record. Either may come first: the
 * record may have moved to another key before it was deleted. Where the database makes keys, one that is given again
 * says little: then the row must be the same one, or what it was is looked for at the end (rejoin.h). */
static void settle_key(struct touched_set *set, uint16_t block, struct text key)
{
    struct touched *gone = key_index_find(&set->before, block, key);
    struct touched *come = key_index_find(&set->now, block, key);

    if (gone && !gone->now_key && come && !come->before_key &&
        (!set->mapping->blocks[block].generated || rejoin_same(set, gone, come)))
        touched_join(set, gone, come);
    if (gone && touched_nothing(set, gone))
        touched_free(set, gone);
}

/* The row is there now, and was not before as far as the transaction's own changes tell. */
bool touched_insert(struct touched_set *set, const struct seen *row)
{
    struct touched *touched;

    if (key_index_find(&set->now, row->block, row->key))
        return false;
    touched = touched_new(set, row->block);
    touched->now = row_keep(set, row->fields, set->mapping->blocks[row->block].field_count + ROW_WITNESSES);
    touched_set_key(set, touched, key_new(set, row->block, row->key));
    settle_key(set, row->block, row->key);
    return true;
}

/* The record that this old row belongs to: known already, or known from here on. NULL when another one had its key. */
static struct touched *touched_find(struct touched_set *set, const struct seen *old)
{
    struct touched *touched = key_index_find(&set->now, old->block, old->key);

    if (touched || key_index_find(&set->before, old->block, old->key))
        return touched;
    touched = touched_new(set, old->block);
    touched->before = row_keep(set, old->fields, set->mapping->blocks[old->block].field_count + ROW_WITNESSES);
    touched->now = touched->before;
    touched->before_key = key_new(set, old->block, old->key);
    key_index_put(&set->before, touched->before_key, touched);
    touched_set_key(set, touched, touched->before_key);
    return touched;
}

bool touched_delete(struct touched_set *set, const struct seen *old, bool left)
{
    struct touched *touched = touched_find(set, old);

    if (!touched)
        return false;
    touched->left = left;
    touched_set_key(set, touched, NULL);
    touched_set_now(set, touched, NULL);
    if (touched->before_key)
        settle_key(set, touched->block, key_text(touched->before_key));
    else
        touched_free(set, touched);
    return true;
}

void touched_was(struct touched_set *set, struct touched *come, const struct local_key *key,
                 const struct packed_row *row)
{
    assert(!come->before_key && come->now_key);
    come->before = row_copy(set, row);
    come->before_key = key_new(set, come->block, key_text(key));
    key_index_put(&set->before, come->before_key, come);
    if (key_is(come->now_key, key_text(key)))
        touched_set_key(set, come, key_new(set, come->block, key_text(key)));
    touched_set_now(set, come, row_copy(set, come->now));
}

void touched_gone(struct touched_set *set, const struct local_key *key, const struct packed_row *row, bool earlier)
{
    struct touched *touched = touched_new(set, key->block);

    touched->earlier = earlier;
    touched->left = true;
    touched->before = row_copy(set, row);
    touched->before_key = key_new(set, key->block, key_text(key));
    key_index_put(&set->before, touched->before_key, touched);
}

void touched_forget(struct touched_set *set, struct touched *touched)
{
    touched_free(set, touched);
}

/* Packs the row as it is now; values that were not sent stay what they were. */
static struct packed_row *row_after(struct touched_set *set, const struct touched *touched, const struct seen *row)
{
    uint16_t mapped = set->mapping->blocks[touched->block].field_count, count = mapped + ROW_WITNESSES;
    struct value *fields = arena_array(set->scratch, count, sizeof *fields);

    row_unpack(touched->now, fields, count);
    for (uint16_t i = 0; i < count; i++) {
        if (i >= mapped || !row->unsent || !row->unsent[i])
            fields[i] = row->fields[i];
    }
    return row_keep(set, fields, count);
}

/* Whether an update left everything that is mapped as it was. */
static bool seen_equal(const struct touched_set *set, const struct seen *old, const struct seen *row)
{
    bool equal = old->key.length == row->key.length && memcmp(old->key.bytes, row->key.bytes, old->key.length) == 0;

    for (uint16_t i = 0; i < set->mapping->blocks[row->block].field_count && equal; i++)
        equal = !field_changed(old->fields[i], row->fields[i]);
    return equal;
}

bool touched_update(struct touched_set *set, const struct seen *old, const struct seen *row)
{
    struct touched *touched = key_index_find(&set->now, old->block, old->key);
    struct touched *there = key_index_find(&set->now, row->block, row->key);

    if (!touched && seen_equal(set, old, row))
        return true; /* a table whose other columns change all day must cost nothing */
    if (there && there != touched)
        return false;
    touched = touched_find(set, old);
    if (!touched)
        return false;
    touched_set_now(set, touched, row_after(set, touched, row));
    if (!key_is(touched->now_key, row->key))
        touched_set_key(set, touched, key_new(set, row->block, row->key));
    if (touched->before_key)
        settle_key(set, touched->block, key_text(touched->before_key));
    settle_key(set, row->block, row->key);
    return true;
}

/* The record that had the key which this one has now, if it is another. */
static struct touched *key_giver(const struct touched_set *set, const struct touched *touched)
{
    if (!touched->now_key || touched->now_key == touched->before_key)
        return NULL;
    return key_index_find(&set->before, touched->block, key_text(touched->now_key));
}

/* How many blocks are of types that come before this one's: catalog.h has them in an array of that order. */
static uint16_t place_of_type(const struct mapping *mapping, uint16_t block)
{
    uint16_t place = 0;

    for (uint16_t i = 0; i < mapping->block_count; i++)
        place += mapping->blocks[i].type < mapping->blocks[block].type;
    return place;
}

static bool any_refers(const struct mapping *mapping)
{
    bool refers = false;

    for (uint16_t i = 0; i < mapping->block_count; i++)
        refers = refers || (mapping->blocks[i].type && mapping->blocks[i].type->refers);
    return refers;
}

static bool any_earlier(const struct touched_set *set)
{
    bool earlier = false;

    for (const struct touched *touched = set->oldest; touched && !earlier; touched = touched->next)
        earlier = touched->earlier;
    return earlier;
}

/* What is earlier comes first; then what is referred to before what refers to it, otherwise all stays in order: a
 * transaction that is too large to be decided at once is decided as it comes. */
static void order_by_type(struct touched_set *set)
{
    struct touched *first[2 * BLOCKS_MAX] = { NULL }, *last[2 * BLOCKS_MAX] = { NULL }, *newest = NULL;
    uint16_t places[BLOCKS_MAX], count = set->mapping->block_count;

    for (uint16_t i = 0; i < count; i++)
        places[i] = any_refers(set->mapping) ? place_of_type(set->mapping, i) : 0;
    for (struct touched *touched = set->oldest; touched; touched = touched->next) {
        uint16_t place = (uint16_t)(places[touched->block] + (touched->earlier ? 0 : count));

        *(first[place] ? &last[place]->chain : &first[place]) = touched;
        touched->chain = NULL;
        last[place] = touched;
    }
    set->oldest = NULL;
    for (uint16_t place = 0; place < 2 * count; place++)
        for (struct touched *touched = first[place]; touched; touched = touched->chain) {
            touched->previous = newest;
            touched->next = NULL;
            *(newest ? &newest->next : &set->oldest) = touched;
            newest = touched;
        }
    set->newest = newest;
}

void touched_order(struct touched_set *set)
{
    struct touched *newest = NULL, *following;

    for (struct touched *touched = set->oldest; touched; touched = following) {
        following = touched->next;
        arena_reset(set->scratch);
        if (touched_nothing(set, touched))
            touched_free(set, touched);
    }
    for (struct touched *touched = set->oldest; touched; touched = following) {
        struct touched *last = NULL;

        following = touched->next;
        for (struct touched *at = touched; at && !at->ordered; at = key_giver(set, at)) {
            at->ordered = true;
            at->chain = last;
            last = at;
        }
        for (; last; last = last->chain) {
            last->previous = newest; /* `next` still holds the old order and is set below */
            newest = last;
        }
    }
    set->newest = newest;
    following = NULL;
    for (struct touched *touched = newest; touched; touched = touched->previous) {
        touched->next = following;
        following = touched;
    }
    set->oldest = following;
    if (any_refers(set->mapping) || any_earlier(set))
        order_by_type(set);
}

void touched_clear(struct touched_set *set)
{
    while (set->oldest)
        touched_free(set, set->oldest);
    assert(set->bytes == 0);
    key_index_free(&set->before);
    key_index_free(&set->now);
    arena_reset(set->scratch);
}
