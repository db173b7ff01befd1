#include "agents/csv/convert.h"

#include "agents/csv/sandbox.h"
#include "shell/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    READ_BYTES = 256 * 1024,
    MEMORY_BYTES_MAX = 512 * 1024 * 1024,
    REAP_MS = 20,
    STATUS_NO_PROGRAM = 127, /* as a shell says it */
};

struct convert {
    struct loop *loop;
    convert_done *done;
    void *context;
    pid_t child;
    int fd;
    struct loop_source *source, *limit, *reaper;
    char *text;
    size_t length, capacity, most;
    enum refusal_kind why; /* it was told to end; REFUSAL_KIND_COUNT: it was not */
};

/* In the child. Whatever it says of the workbook it says to nobody. */
static _Noreturn void child_run(int workbook, int out, const char *page)
{
    char *environment[] = { strdup("PATH=/usr/bin:/bin"), strdup("LC_ALL=C.UTF-8"), strdup("PYTHONDONTWRITEBYTECODE=1"),
                            strdup("PYTHONNOUSERSITE=1"), NULL };
    char *arguments[] = { strdup(CONVERT_PROGRAM),
                          strdup("-d"),
                          strdup(";"),
                          strdup("-f"),
                          strdup("%Y-%m-%d"),
                          strdup(*page ? "-n" : "-s"),
                          strdup(*page ? page : "1"),
                          strdup("/proc/self/fd/0"),
                          NULL };
    int null = open("/dev/null", O_RDWR);

    if (dup2(workbook, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
        _exit(STATUS_NO_PROGRAM);
    sandbox_enter(
        &(struct sandbox){ .memory_bytes = MEMORY_BYTES_MAX, .time_s = CONVERT_MS / 1000, .file = STDIN_FILENO });
    execve(CONVERT_PROGRAM, arguments, environment);
    _exit(STATUS_NO_PROGRAM);
}

static void finish(struct convert *convert, int status)
{
    char *text = convert->text;
    size_t length = convert->length;
    enum refusal_kind why = convert->why;

    if (why == REFUSAL_KIND_COUNT && !WIFEXITED(status))
        why = REFUSAL_WORKBOOK_HEAVY;
    else if (why == REFUSAL_KIND_COUNT && WEXITSTATUS(status) != 0)
        why = WEXITSTATUS(status) == STATUS_NO_PROGRAM ? REFUSAL_NO_CONVERTER : REFUSAL_WORKBOOK;
    convert->child = 0;
    convert->text = NULL;
    loop_remove(&convert->reaper);
    loop_remove(&convert->limit);
    if (why != REFUSAL_KIND_COUNT) {
        free(text);
        text = NULL;
    }
    convert->done(convert->context, text, length, why);
}

/* It has closed its end, or was told to end: it is gone in a moment. */
static void on_reap(void *context)
{
    struct convert *convert = context;
    int status = 0;
    pid_t gone = waitpid(convert->child, &status, WNOHANG);

    if (gone == convert->child || (gone < 0 && errno == ECHILD))
        finish(convert, status);
}

static void stop_reading(struct convert *convert, enum refusal_kind why)
{
    if (why != REFUSAL_KIND_COUNT) {
        convert->why = why;
        kill(convert->child, SIGKILL);
    }
    loop_remove(&convert->source);
    if (!convert->reaper)
        convert->reaper = loop_timer(convert->loop, REAP_MS, false, on_reap, convert);
}

static void on_limit(void *context)
{
    stop_reading(context, REFUSAL_WORKBOOK_HEAVY);
}

static void on_readable(void *context)
{
    struct convert *convert = context;
    ssize_t got;

    if (convert->capacity - convert->length < READ_BYTES) {
        convert->capacity = 2 * convert->capacity + 2 * READ_BYTES;
        convert->text = realloc(convert->text, convert->capacity);
        if (!convert->text)
            abort();
    }
    got = read(convert->fd, convert->text + convert->length, READ_BYTES);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got <= 0) {
        stop_reading(convert, got < 0 ? REFUSAL_WORKBOOK : REFUSAL_KIND_COUNT);
        return;
    }
    convert->length += (size_t)got;
    if (convert->length > convert->most)
        stop_reading(convert, REFUSAL_WORKBOOK_HEAVY);
}

int convert_start(struct loop *loop, int fd, const char *page, size_t most_bytes, convert_done *done, void *context,
                  struct convert **ret, struct error *err)
{
    struct convert *convert = calloc(1, sizeof *convert);
    int pipes[2];

    if (!convert)
        abort();
    *convert = (struct convert){
        .loop = loop, .done = done, .context = context, .fd = -1, .most = most_bytes, .why = REFUSAL_KIND_COUNT
    };
    if (pipe2(pipes, O_CLOEXEC) < 0) {
        free(convert);
        return error_set(err, ERR_RETRY, _("reading a workbook: %s"), strerror(errno));
    }
    convert->child = fork();
    if (convert->child == 0)
        child_run(fd, pipes[1], page);
    close(pipes[1]);
    convert->fd = pipes[0];
    if (convert->child < 0) {
        convert->child = 0;
        convert_free(&convert);
        return error_set(err, ERR_RETRY, _("reading a workbook: %s"), strerror(errno));
    }
    fcntl(convert->fd, F_SETFL, O_NONBLOCK);
    convert->source = loop_fd(loop, convert->fd, true, false, on_readable, convert);
    convert->limit = loop_timer(loop, CONVERT_MS, true, on_limit, convert);
    *ret = convert;
    return 0;
}

void convert_free(struct convert **convert)
{
    if (!*convert)
        return;
    loop_remove(&(*convert)->source);
    loop_remove(&(*convert)->limit);
    loop_remove(&(*convert)->reaper);
    if ((*convert)->child > 0) {
        kill((*convert)->child, SIGKILL);
        waitpid((*convert)->child, NULL, 0);
    }
    if ((*convert)->fd >= 0)
        close((*convert)->fd);
    free((*convert)->text);
    free(*convert);
    *convert = NULL;
}
