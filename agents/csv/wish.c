#include "agents/csv/wish.h"

#include <stdlib.h>

void wish_add(struct wishes *wishes, const struct wish *wish)
{
    struct wish **end = &wishes->first;

    while (*end)
        end = &(*end)->next;
    *end = malloc(sizeof **end);
    if (!*end)
        abort();
    **end = *wish;
    (*end)->next = NULL;
}

void wish_answer(struct wishes *wishes, const char *json, const struct error *err)
{
    struct wish *wish = wishes->first;

    wishes->first = wish->next;
    wish->done(wish->context, json, json ? NULL : err);
    free(wish->note);
    free(wish);
}

void wishes_drop(struct wishes *wishes, const struct error *err)
{
    while (wishes->first)
        wish_answer(wishes, NULL, err);
}
