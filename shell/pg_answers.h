/* pg_answers.h: what came back on a connection of pg.c, and whom it is told: libpq's results are put to the steps they
 * answer, units that are whole are told, and behind one that failed in a transaction goes a ROLLBACK. */
#ifndef SELARAS_PG_ANSWERS_H
#define SELARAS_PG_ANSWERS_H

#include "shell/pg_unit.h"

enum phase { PHASE_DOWN, PHASE_CONNECTING, PHASE_UP };

struct pg {
    struct loop *loop;
    char *dsn, *application;
    pg_state *state;
    void *context;
    enum phase phase;
    PGconn *conn;
    struct loop_source *source, *timer;
    struct units units;
    struct prepared_list prepared;
    int pending;
    bool in_transaction;  /* an explicit one is open, as far as results have come */
    bool rollback_wanted; /* as soon as the open unit is closed */
    bool rollback_queued;
    bool held;          /* pg_hold */
    bool broken;        /* something could not be sent: the rest is done from the loop */
    char farewell[128]; /* why the server says that it ends the connection */
    int depth;          /* calls of ours on the stack */
    bool closed;
};

/* Takes what has come, as far as it goes. `broken` is set when libpq and we disagree about what was sent. */
void answers_take(struct pg *pg);
/* Tells the units that were lost up to now. What their owners queue meanwhile is told from the loop. */
void answers_tell_lost(struct pg *pg);
/* For PQsetNoticeReceiver: why the server ends the connection comes as a notice when nothing runs. */
void answers_notice(void *context, const PGresult *result);

/* Closes the unit that is being queued. */
void answers_sync(struct pg *pg);
/* Each unit stands alone: one that failed leaves no open transaction behind. */
void answers_rollback(struct pg *pg);

#endif
