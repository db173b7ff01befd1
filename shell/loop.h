/* loop.h: the one loop of a process: sockets, PostgreSQL connections, timers and signals become calls, one at a time.
 *
 * Over czmq's zloop. There is one thread; nothing here waits but loop_run(). */
#ifndef SELARAS_LOOP_H
#define SELARAS_LOOP_H

#include "proto/error.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_source;

typedef void loop_ready(void *context);

/* Blocks SIGINT, SIGTERM and SIGHUP and takes them through a signalfd; switches czmq's own handlers off first
 * (zsys_handler_set), because its pollers would stop on them. Call before any other czmq function. */
struct loop *loop_new(void);
void loop_free(struct loop **loop);

/* `zsocket` is a ØMQ socket handle (zsock_resolve). `ready` is called when it can be read, once per turn: read until
 * EAGAIN or a bounded number of messages; it is called again while something is left. */
struct loop_source *loop_socket(struct loop *loop, void *zsocket, loop_ready *ready, void *context);
/* A file descriptor; `read` and `write` say what is waited for and may be changed any time. Remove it before it is
 * closed. */
struct loop_source *loop_fd(struct loop *loop, int fd, bool read, bool write, loop_ready *ready, void *context);
void loop_fd_want(struct loop_source *source, bool read, bool write);
/* Every `interval_ms`, or once after it. One that has run is still there until loop_remove() or loop_free(). */
struct loop_source *loop_timer(struct loop *loop, uint32_t interval_ms, bool once, loop_ready *ready, void *context);
/* Calls `ready` before the loop next waits: for work that must not run inside the caller. */
void loop_defer(struct loop *loop, loop_ready *ready, void *context);
/* Takes back what this pair has deferred: before `context` is freed. */
void loop_defer_cancel(struct loop *loop, loop_ready *ready, void *context);
/* Ends any source and clears the pointer; safe inside its own callback. NULL inside is fine. */
void loop_remove(struct loop_source **source);

/* Called for SIGTERM and SIGINT, and for SIGHUP. */
void loop_on_stop(struct loop *loop, loop_ready *ready, void *context);
void loop_on_reload(struct loop *loop, loop_ready *ready, void *context);

/* Runs until loop_end. */
void loop_run(struct loop *loop);
void loop_end(struct loop *loop);

/* The clocks, read here and nowhere else: wall time in microseconds since 1970, and monotonic milliseconds. */
int64_t loop_time_us(void);
int64_t loop_monotonic_ms(void);

#endif
