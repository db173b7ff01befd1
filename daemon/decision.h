/* decision.h: one decision on its way, between reconcile.c, which carries out verdicts, and reconcile_hold.c, which
 * keeps back what a person must look at. For these two alone. */
#ifndef SELARAS_DECISION_H
#define SELARAS_DECISION_H

#include "daemon/reconcile.h"

struct decision {
    struct question question;
    struct arena *arena;
    struct canonical *record; /* the question's, to be changed */
    feed_position position;
    bool *effect; /* by field: goes to the readers */
    bool *reply;  /* by field: goes back to the writer */
    struct outcome *outcome;
};

/* reconcile.c */
/* Begins one; `decision->reply` and the outcome live in its arena. */
void decision_start(struct decision *decision, struct outcome *ret);
/* What the operation comes to by RULES.md 3 to 5, but for what is held. */
void decide(struct decision *decision, enum operation operation);
/* The marked fields become effect and reply. */
void decision_end(struct decision *decision);
void add_verdict(struct decision *decision, const char *name, struct judgement judgement);
/* For each field of the change that is of this unit. */
void add_verdicts(struct decision *decision, uint16_t index, struct judgement judgement);
void correct_unit(struct decision *decision, uint16_t index);
/* The record, or its deletion, goes to the writer alone. */
void reply_whole(struct decision *decision);

/* reconcile_hold.c */
/* The first line of RULES.md 3. True: the writer's change of this unit has taken the place of what is held, and nothing
 * else is to be done with it. */
bool join_unit(struct decision *decision, uint16_t index, struct judgement judgement);
/* The same for existence: whatever the writer does to this record joins. */
bool join_record(struct decision *decision, enum operation operation);
/* NULL in an insert is no statement, but what its writer said of this unit before, and is held, it says no more: that
 * ends. */
void end_unsaid(struct decision *decision, uint16_t index);
/* RULES.md 6. True: the unit is held, because of its limit. */
bool hold_if_limited(struct decision *decision, uint16_t index, enum operation operation);
/* A creating insert has a wrong value, or what a record is to be found by is another one's: it is held until its writer
 * corrects it, or a person has decided. */
void hold_defect(struct decision *decision, uint16_t index);
/* Whether anything of the record is held for the writer. */
bool holds_any(const struct decision *decision);

#endif
