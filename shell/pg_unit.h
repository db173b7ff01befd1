/* pg_unit.h: what pg.c keeps of statements that are on their way: units, their steps, and the names of prepared ones.
 *
 * Data without a connection: nothing here talks to PostgreSQL. */
#ifndef SELARAS_PG_UNIT_H
#define SELARAS_PG_UNIT_H

#include "shell/pg.h"

/* What a statement does to an explicit transaction, as far as its command tag does not say so. */
enum turn { TURN_NONE, TURN_COMMIT, TURN_SAVEPOINT };

/* One message that PostgreSQL answers with one result. */
struct step {
    bool prepares;
    enum turn turn;
    int prepared;       /* index into the prepared statements, or -1 */
    unsigned long name; /* under which this step prepares or executes it */
};

struct unit {
    struct unit *next;
    uint64_t number;
    struct step *steps; /* in the order they were sent */
    int step_count, step_capacity;
    int at;        /* the step whose result comes next; step_count: the end of the unit */
    bool answered; /* a result has come, but not yet the NULL which ends it */
    PGresult **results;
    int result_count;
    PGresult *failure;  /* NULL: all well so far */
    bool not_committed; /* its COMMIT had nothing to commit: an earlier unit had failed */
    int failed_step;    /* when either is so */
    bool closed;        /* by pg_sync() */
    bool lost;          /* with the connection, or queued while there was none */
    bool ours;          /* the ROLLBACK behind a failure: nobody is told */
    pg_done *done;
    void *context;
};

/* Units in the order they were queued; all are closed but for the one that `open` points to, which is the last. */
struct units {
    struct unit *first, *last, *open;
    uint64_t last_number;
};

/* Adds an open unit at the end. */
struct unit *units_add(struct units *units, bool lost);
void units_close_last(struct units *units);
struct unit *units_pop(struct units *units);
void unit_free(struct unit *unit);
/* The next step of `unit`, for a statement that reads `sql`. */
struct step *unit_step(struct unit *unit, const char *sql);
/* How many statements of the unit stand before `step`. */
int unit_statements(const struct unit *unit, int step);

/* A statement that is prepared has a name on the server. Until a first Parse is known to have worked, each unit sends
 * one of its own under a new name, so that no unit depends on another that may fail. */
struct prepared {
    const char *sql;
    unsigned long name;
    bool ready;
    uint64_t unit; /* the last one that sent a Parse */
};

struct prepared_list {
    struct prepared *all;
    int count, capacity;
    unsigned long last_name;
};

/* The entry of this very string, made when there is none yet. */
int prepared_find(struct prepared_list *list, const char *sql);
/* Whether `unit` must send a Parse before it executes; then the entry has a new name. */
bool prepared_needs_parse(struct prepared_list *list, int index, const struct unit *unit);
/* A Parse has worked. */
void prepared_ready(struct prepared_list *list, const struct step *step);
/* None is taken for ready any more. */
void prepared_forget(struct prepared_list *list);

#endif
