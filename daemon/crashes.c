#include "daemon/crashes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PLACES_MOST = 32, FORMAT = 1 };

struct place {
    struct working working;
    uint32_t count;
};

/* The file. What is read in it is only believed as far as numbers go. */
struct noted {
    uint32_t format;
    volatile uint32_t crashed; /* within `working` */
    struct working working;
    struct place places[PLACES_MOST]; /* the latest first */
};

struct crashes {
    struct noted *noted;
};

static const int fatal[] = { SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV };

/* Of the process: a signal knows nothing else. */
static struct noted *watched;

static void on_fatal(int signal)
{
    if (watched && watched->working.agency != 0)
        watched->crashed = 1;
    raise(signal); /* with its default action now */
}

static void watch(struct noted *noted)
{
    struct sigaction action = { .sa_handler = on_fatal, .sa_flags = (int)SA_RESETHAND };

    watched = noted;
    for (size_t i = 0; noted && i < sizeof fatal / sizeof fatal[0]; i++)
        sigaction(fatal[i], &action, NULL);
}

/* Each agency has its one place: the last at which it crashed the broker. */
static void count(struct noted *noted)
{
    const struct working working = noted->working;
    struct place place = { .working = working };
    uint32_t at = 0;

    while (at < PLACES_MOST - 1 && noted->places[at].working.agency != working.agency)
        at++;
    if (memcmp(&noted->places[at].working, &working, sizeof working) == 0)
        place.count = noted->places[at].count;
    place.count++;
    memmove(noted->places + 1, noted->places, at * sizeof noted->places[0]);
    noted->places[0] = place;
}

int crashes_open(const char *path, struct crashes **ret, struct error *err)
{
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct noted *noted = MAP_FAILED;

    if (file >= 0 && ftruncate(file, sizeof *noted) == 0)
        noted = mmap(NULL, sizeof *noted, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (noted == MAP_FAILED) {
        error_set(err, ERR_RETRY, "%s: %s", path, strerror(errno));
        if (file >= 0)
            close(file);
        return err->code;
    }
    close(file);
    if (noted->format != FORMAT)
        *noted = (struct noted){ .format = FORMAT };
    if (noted->crashed && noted->working.agency != 0)
        count(noted);
    noted->crashed = 0;
    memset(&noted->working, 0, sizeof noted->working);
    *ret = calloc(1, sizeof **ret);
    if (!*ret)
        abort();
    (*ret)->noted = noted;
    watch(noted);
    return 0;
}

void crashes_close(struct crashes **crashes)
{
    if (!*crashes)
        return;
    watch(NULL);
    munmap((*crashes)->noted, sizeof *(*crashes)->noted);
    free(*crashes);
    *crashes = NULL;
}

struct working *crashes_working(struct crashes *crashes)
{
    return &crashes->noted->working;
}

bool crashes_take(struct crashes *crashes, struct working *ret)
{
    for (uint32_t i = 0; i < PLACES_MOST; i++) {
        struct place *place = &crashes->noted->places[i];

        if (place->count < CRASHES_MOST)
            continue;
        *ret = place->working;
        memset(place, 0, sizeof *place);
        return true;
    }
    return false;
}
