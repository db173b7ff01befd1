/* wish.h: what operators ask about parked records, in the order in which it was asked. */
#ifndef SELARAS_CSV_WISH_H
#define SELARAS_CSV_WISH_H

#include "proto/error.h"

#include <stdbool.h>
#include <stdint.h>

struct wish {
    struct wish *next;
    bool list; /* all of them; else settle `record` (0: all) */
    uint64_t record;
    bool close;
    char *note; /* who and why; owned */
    /* Called once, with the answer or with why there is none. */
    void (*done)(void *context, const char *json, const struct error *err);
    void *context;
};

/* Zeroed: none. */
struct wishes {
    struct wish *first;
};

/* A copy, at the end. */
void wish_add(struct wishes *wishes, const struct wish *wish);
/* Answers the first and forgets it; `json` NULL: why not. */
void wish_answer(struct wishes *wishes, const char *json, const struct error *err);
/* Answers all with `err`. */
void wishes_drop(struct wishes *wishes, const struct error *err);

#endif
