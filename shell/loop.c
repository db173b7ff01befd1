#include "shell/loop.h"

#include <assert.h>
#include <czmq.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* zloop polls the ØMQ sockets and one epoll descriptor, behind which all else stands: file descriptors, timers
 * (timerfd), signals (signalfd). Two reasons: zloop makes its poll set anew, and skips what else was ready in that
 * turn, whenever a descriptor is added, changed or removed, and a PostgreSQL connection changes what it waits for with
 * nearly every statement; and zloop still calls the handler of what another handler of the same turn has removed.
 *
 * So nothing that zloop or epoll remembers is a pointer to a source: they name it by its number or socket, and it is
 * looked up when its turn comes. What has been removed is not found. */

enum { EVENTS_PER_TURN = 64 };

enum kind { KIND_SOCKET, KIND_FD, KIND_TIMER };

struct loop_source {
    struct loop *loop;
    struct loop_source *next;
    uint64_t number; /* never used again */
    enum kind kind;
    void *zsocket;
    int fd;          /* -1: a timer that has run */
    bool once;       /* a timer */
    uint32_t wanted; /* epoll's mask; 0: not in the set */
    loop_ready *ready;
    void *context;
};

struct deferred {
    loop_ready *ready;
    void *context;
};

struct loop {
    zloop_t *zloop;
    struct loop_source *sources;
    uint64_t last_number;
    int epoll_fd, signal_fd, wake_fd;
    bool woken, ended;
    struct deferred *deferred; /* in order; those before `deferred_first` were called */
    size_t deferred_first, deferred_count, deferred_capacity;
    struct deferred stop, reload;
};

/* What the two descriptors of our own are called in epoll's events; sources count from there. */
enum { NUMBER_SIGNAL, NUMBER_WAKE, NUMBER_FIRST_SOURCE };

/* Without descriptors or memory nothing can go on: systemd starts us again, and PostgreSQL remembers. */
static void must(bool worked, const char *what)
{
    if (worked)
        return;
    fprintf(stderr, "loop: %s: %s\n", what, strerror(errno));
    abort();
}

static void epoll_set(struct loop *loop, int operation, int fd, uint32_t mask, uint64_t number)
{
    struct epoll_event event = { .events = mask, .data.u64 = number };

    must(epoll_ctl(loop->epoll_fd, operation, fd, &event) == 0, "epoll_ctl");
}

/* The loop must not wait though no descriptor is ready. */
static void loop_wake(struct loop *loop)
{
    const uint64_t one = 1;

    if (loop->woken)
        return;
    loop->woken = true;
    must(write(loop->wake_fd, &one, sizeof one) == sizeof one, "eventfd");
}

static void call_if_set(struct deferred call)
{
    if (call.ready)
        call.ready(call.context);
}

/* Runs what was deferred before this call. What these defer waits until everything that is ready has had its turn, so
 * that work which puts itself off again and again starves nobody. */
static void loop_run_deferred(struct loop *loop)
{
    size_t end = loop->deferred_count, left;

    while (loop->deferred_first < end && !loop->ended)
        call_if_set(loop->deferred[loop->deferred_first++]);
    left = loop->deferred_count - loop->deferred_first;
    if (left > 0) {
        memmove(loop->deferred, loop->deferred + loop->deferred_first, left * sizeof *loop->deferred);
        loop_wake(loop);
    }
    loop->deferred_first = 0;
    loop->deferred_count = left;
}

/* What zloop is told after each call: -1 ends it. */
static int loop_verdict(struct loop *loop)
{
    loop_run_deferred(loop);
    return loop->ended ? -1 : 0;
}

static struct loop_source *source_numbered(struct loop *loop, uint64_t number)
{
    for (struct loop_source *source = loop->sources; source; source = source->next)
        if (source->number == number)
            return source;
    return NULL;
}

static void read_signals(struct loop *loop)
{
    struct signalfd_siginfo signal;

    while (read(loop->signal_fd, &signal, sizeof signal) == sizeof signal)
        call_if_set(signal.ssi_signo == SIGHUP ? loop->reload : loop->stop);
}

static void read_wake(struct loop *loop)
{
    uint64_t count;

    loop->woken = false;
    must(read(loop->wake_fd, &count, sizeof count) == sizeof count, "eventfd");
}

/* A timer's descriptor stays ready until it is read. One that runs once gives it back, though its owner still holds the
 * source. Nothing of `source` is touched after the call: it may be gone. */
static void source_call(struct loop_source *source)
{
    uint64_t times;

    if (source->kind == KIND_TIMER) {
        if (read(source->fd, &times, sizeof times) != sizeof times)
            return;
        if (source->once) {
            close(source->fd);
            source->fd = -1;
            source->wanted = 0;
        }
    }
    source->ready(source->context);
}

static int epoll_ready(zloop_t *zloop, zmq_pollitem_t *item, void *context)
{
    struct loop *loop = context;
    struct epoll_event events[EVENTS_PER_TURN];
    int count = epoll_wait(loop->epoll_fd, events, EVENTS_PER_TURN, 0);

    (void)zloop;
    (void)item;
    must(count >= 0 || errno == EINTR, "epoll_wait");
    for (int i = 0; i < count && !loop->ended; i++) {
        struct loop_source *source;

        if (events[i].data.u64 == NUMBER_SIGNAL)
            read_signals(loop);
        else if (events[i].data.u64 == NUMBER_WAKE)
            read_wake(loop);
        else if ((source = source_numbered(loop, events[i].data.u64)))
            source_call(source);
    }
    return loop_verdict(loop);
}

static int zsocket_ready(zloop_t *zloop, zmq_pollitem_t *item, void *context)
{
    struct loop *loop = context;

    (void)zloop;
    for (struct loop_source *source = loop->sources; source; source = source->next) {
        if (source->kind == KIND_SOCKET && source->zsocket == item->socket) {
            source_call(source);
            break;
        }
    }
    return loop_verdict(loop);
}

static void zloop_add(struct loop *loop, zmq_pollitem_t item, zloop_fn *handler)
{
    must(zloop_poller(loop->zloop, &item, handler, loop) == 0, "zloop_poller");
    zloop_poller_set_tolerant(loop->zloop, &item);
}

/* Blocked before ØMQ starts its threads, which inherit it. */
static int signals_open(void)
{
    sigset_t signals;
    int fd;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    must(sigprocmask(SIG_BLOCK, &signals, NULL) == 0, "sigprocmask");
    fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    must(fd >= 0, "signalfd");
    return fd;
}

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof *loop);

    must(loop, "memory");
    zsys_handler_set(NULL);
    signal(SIGPIPE, SIG_IGN); /* a peer that went away is an error of the write, not the end of the process */
    loop->last_number = NUMBER_FIRST_SOURCE;
    loop->signal_fd = signals_open();
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    must(loop->epoll_fd >= 0, "epoll_create1");
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    must(loop->wake_fd >= 0, "eventfd");
    epoll_set(loop, EPOLL_CTL_ADD, loop->signal_fd, EPOLLIN, NUMBER_SIGNAL);
    epoll_set(loop, EPOLL_CTL_ADD, loop->wake_fd, EPOLLIN, NUMBER_WAKE);
    loop->zloop = zloop_new();
    must(loop->zloop, "zloop_new");
    zloop_set_nonstop(loop->zloop, true);
    zloop_add(loop, (zmq_pollitem_t){ .fd = loop->epoll_fd, .events = ZMQ_POLLIN }, epoll_ready);
    return loop;
}

void loop_free(struct loop **loop)
{
    struct loop *old = *loop;

    if (!old)
        return;
    while (old->sources) {
        struct loop_source *source = old->sources;

        loop_remove(&source);
    }
    zloop_destroy(&old->zloop);
    close(old->epoll_fd);
    close(old->signal_fd);
    close(old->wake_fd);
    free(old->deferred);
    free(old);
    *loop = NULL;
}

static struct loop_source *source_new(struct loop *loop, enum kind kind, int fd, loop_ready *ready, void *context)
{
    struct loop_source *source = calloc(1, sizeof *source);

    must(source, "memory");
    *source = (struct loop_source){ .loop = loop,
                                    .next = loop->sources,
                                    .number = ++loop->last_number,
                                    .kind = kind,
                                    .fd = fd,
                                    .ready = ready,
                                    .context = context };
    loop->sources = source;
    return source;
}

struct loop_source *loop_socket(struct loop *loop, void *zsocket, loop_ready *ready, void *context)
{
    struct loop_source *source = source_new(loop, KIND_SOCKET, -1, ready, context);

    source->zsocket = zsocket;
    zloop_add(loop, (zmq_pollitem_t){ .socket = zsocket, .events = ZMQ_POLLIN }, zsocket_ready);
    return source;
}

/* A descriptor of which nothing is wanted is taken out of the set: epoll reports a hang-up even if it was not asked,
 * and the loop would spin on it. */
static void source_want(struct loop_source *source, uint32_t mask)
{
    int operation = source->wanted ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (mask == source->wanted)
        return;
    if (mask == 0)
        operation = EPOLL_CTL_DEL;
    epoll_set(source->loop, operation, source->fd, mask, source->number);
    source->wanted = mask;
}

struct loop_source *loop_fd(struct loop *loop, int fd, bool read, bool write, loop_ready *ready, void *context)
{
    struct loop_source *source = source_new(loop, KIND_FD, fd, ready, context);

    loop_fd_want(source, read, write);
    return source;
}

void loop_fd_want(struct loop_source *source, bool read, bool write)
{
    assert(source->kind == KIND_FD);
    source_want(source, (read ? (uint32_t)EPOLLIN : 0) | (write ? (uint32_t)EPOLLOUT : 0));
}

struct loop_source *loop_timer(struct loop *loop, uint32_t interval_ms, bool once, loop_ready *ready, void *context)
{
    struct timespec interval = { .tv_sec = interval_ms / 1000, .tv_nsec = interval_ms % 1000 * 1000000L };
    struct itimerspec times = { .it_value = interval, .it_interval = once ? (struct timespec){ 0 } : interval };
    struct loop_source *source;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

    must(fd >= 0, "timerfd_create");
    assert(once || interval_ms > 0);
    if (interval_ms == 0)
        times.it_value.tv_nsec = 1; /* a zero would switch the timer off */
    must(timerfd_settime(fd, 0, &times, NULL) == 0, "timerfd_settime");
    source = source_new(loop, KIND_TIMER, fd, ready, context);
    source->once = once;
    source_want(source, EPOLLIN);
    return source;
}

void loop_defer(struct loop *loop, loop_ready *ready, void *context)
{
    if (loop->deferred_count == loop->deferred_capacity) {
        loop->deferred_capacity = loop->deferred_capacity ? 2 * loop->deferred_capacity : 16;
        loop->deferred = realloc(loop->deferred, loop->deferred_capacity * sizeof *loop->deferred);
        must(loop->deferred, "memory");
    }
    loop->deferred[loop->deferred_count++] = (struct deferred){ ready, context };
}

void loop_defer_cancel(struct loop *loop, loop_ready *ready, void *context)
{
    for (size_t i = loop->deferred_first; i < loop->deferred_count; i++)
        if (loop->deferred[i].ready == ready && loop->deferred[i].context == context)
            loop->deferred[i].ready = NULL;
}

/* The descriptor may be closed already, by libpq for example, and its number in other hands: then epoll has forgotten
 * it by itself, and what it says does not matter. */
static void source_detach(struct loop_source *source)
{
    struct loop *loop = source->loop;

    if (source->kind == KIND_SOCKET) {
        zmq_pollitem_t item = { .socket = source->zsocket };

        zloop_poller_end(loop->zloop, &item);
    } else if (source->wanted) {
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    }
    if (source->kind == KIND_TIMER && source->fd >= 0)
        close(source->fd);
}

void loop_remove(struct loop_source **source)
{
    struct loop_source **at;

    if (!*source)
        return;
    for (at = &(*source)->loop->sources; *at != *source; at = &(*at)->next)
        assert(*at);
    source_detach(*source);
    *at = (*source)->next;
    free(*source);
    *source = NULL;
}

void loop_on_stop(struct loop *loop, loop_ready *ready, void *context)
{
    loop->stop = (struct deferred){ ready, context };
}

void loop_on_reload(struct loop *loop, loop_ready *ready, void *context)
{
    loop->reload = (struct deferred){ ready, context };
}

/* zloop ends by itself when its poll was interrupted: then it is started again. Anything else it ends on, a socket that
 * was closed before it was removed for one, is a mistake of ours on which it would spin. */
void loop_run(struct loop *loop)
{
    loop->ended = false;
    loop_run_deferred(loop);
    while (!loop->ended) {
        errno = 0;
        zloop_start(loop->zloop);
        must(loop->ended || errno == EINTR, "zloop_start");
    }
}

void loop_end(struct loop *loop)
{
    loop->ended = true;
}

static int64_t clock_read(clockid_t clock, int64_t per_second)
{
    struct timespec now;

    must(clock_gettime(clock, &now) == 0, "clock_gettime");
    return now.tv_sec * per_second + now.tv_nsec / (1000000000 / per_second);
}

int64_t loop_time_us(void)
{
    return clock_read(CLOCK_REALTIME, 1000000);
}

int64_t loop_monotonic_ms(void)
{
    return clock_read(CLOCK_MONOTONIC, 1000);
}
