/* replication.h: one replication connection (replication=database) on the loop.
 *
 * Knows libpq's asynchronous calls and nothing of what is streamed. A command gives one result; START_REPLICATION turns
 * the connection into a stream of copied messages. Settings that decide how values are spelled are fixed here. */
#ifndef SELARAS_REPLICATION_H
#define SELARAS_REPLICATION_H

#include "shell/loop.h"

#include <libpq-fe.h>

struct replication;

struct replication_events {
    void *context;
    /* The connection is up: commands may be sent. */
    void (*up)(void *context);
    /* One copied message, borrowed for the call. */
    void (*message)(void *context, const char *bytes, size_t length);
    /* The connection could not be made, was lost, or the stream ended. Nothing more is called. `sqlstate` is "" when
     * unknown. */
    void (*lost)(void *context, const char *sqlstate, const struct error *err);
};

/* The answer to a command: `result` is NULL when it failed, `err` then says why (its code by SQLSTATE). */
typedef void replication_answer(void *context, const PGresult *result, const char *sqlstate, const struct error *err);

/* Starts connecting. */
struct replication *replication_open(struct loop *loop, const char *dsn, const char *application,
                                     const struct replication_events *events);
/* Sends one command or simple query; one at a time. A command that starts CopyBoth is answered with PGRES_COPY_BOTH. */
void replication_command(struct replication *replication, const char *command, replication_answer *answer);
/* Queues one message to the server (while streaming). */
void replication_send(struct replication *replication, const char *bytes, size_t length);
/* Stops reading the stream, from the next message on, and goes on. Sending is not touched by it. */
void replication_pause(struct replication *replication, bool pause);
/* Milliseconds (monotonic) when something was last heard of the server. */
int64_t replication_heard_ms(const struct replication *replication);
/* Safe inside any of the calls above. */
void replication_close(struct replication **replication);

/* "16/B374D848" to a number and back. `ret` has room for 18 bytes. */
must_check int lsn_parse(const char *text, uint64_t *ret, struct error *err);
void lsn_text(uint64_t lsn, char ret[18]);

#endif
