#include "agents/fed.h"

#include <stdlib.h>

struct fed *fed_new(void)
{
    struct fed *fed = calloc(1, sizeof *fed);

    if (!fed)
        abort();
    fed->arena = arena_new();
    return fed;
}

void fed_free(struct fed **list)
{
    while (*list) {
        struct fed *fed = *list;

        *list = fed->next;
        arena_free(&fed->arena);
        free(fed->items);
        free(fed);
    }
}

static struct text text_keep(struct arena *arena, struct text text)
{
    return (struct text){ arena_copy(arena, text.bytes, text.length), text.length };
}

void fed_add(struct fed *fed, const struct item *item)
{
    struct arena *arena = fed->arena;
    struct item *copy = arena_alloc(arena, sizeof *copy);

    *copy = *item;
    copy->block = text_keep(arena, item->block);
    copy->key = text_keep(arena, item->key);
    copy->reason.verdict = text_keep(arena, item->reason.verdict);
    copy->reason.by = text_keep(arena, item->reason.by);
    copy->reason.rule = text_keep(arena, item->reason.rule);
    copy->reason.ground = text_keep(arena, item->reason.ground);
    copy->fields = arena_array(arena, item->field_count, sizeof *copy->fields);
    for (uint16_t i = 0; i < item->field_count; i++) {
        copy->fields[i] = item->fields[i];
        copy->fields[i].name = text_keep(arena, item->fields[i].name);
        if (item->fields[i].value.state == VALUE_SET)
            copy->fields[i].value.bytes = arena_copy(arena, item->fields[i].value.bytes, item->fields[i].value.length);
    }
    if (fed->count == fed->capacity) {
        fed->capacity = fed->capacity ? 2 * fed->capacity : 32;
        fed->items = realloc(fed->items, fed->capacity * sizeof *fed->items);
        if (!fed->items)
            abort();
    }
    fed->items[fed->count++] = copy;
}
