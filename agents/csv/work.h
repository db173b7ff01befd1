/* work.h: the work of an agency with lists: what is most urgent, one short step at a time.
 *
 * A list being taken or a batch being applied has the state to itself until it is committed. */
#ifndef SELARAS_CSV_WORK_H
#define SELARAS_CSV_WORK_H

#include "agents/csv/amend.h"
#include "agents/csv/give.h"
#include "agents/csv/intake.h"
#include "agents/csv/publish.h"
#include "agents/csv/wish.h"
#include "agents/driver.h"

struct lists {
    struct driver driver;
    struct loop *loop;
    const struct driver_options *options;
    struct mapping *mapping;
    struct driver_sink sink;

    struct state *state;
    struct folder *folder;
    struct amend *apply;
    struct intake *intake;
    struct publish *publish;
    struct give *give;
    struct wishes wishes;
    int lock; /* held while we work: -1 before */

    bool open, bound;
    bool load_ends; /* load_done() was called: remember it */
    uint32_t incarnation;
    feed_position load;
    bool proves; /* capture() was called: is this the state that the broker knows? */
    struct source known;
    char known_system[33];
    uint64_t from;
    feed_position base;
    uint64_t forget; /* the broker has everything up to here */
    bool retry;      /* parked records are due */
    int64_t published_ms;
    struct error defect;
    struct loop_source *work_timer, *retry_timer, *reopen_timer;
};

/* Works again after `ms`: driver.c. */
void lists_wake_in(struct lists *lists, uint32_t ms);

/* One step of what is most urgent; *ret_more is false when there is nothing to do now. */
must_check int work_step(struct lists *lists, bool *ret_more, struct error *err);

#endif
