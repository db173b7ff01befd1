#include "cli/program.h"

#include "shell/text.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* An example's values may be long; of a text that is longer the rest is left out. */
enum { ANSWER_BYTES_MAX = 1 << 20, CHECK_TIMEOUT_S = 60, ARGUMENTS_MAX = 8 };
#define AGENT_PROGRAM "selaras-agent"

/* Where the agent's program is: beside this one, in the sbin of the same prefix, or where it was built; otherwise PATH
 * decides. */
static const char *program_path(struct arena *arena)
{
    static const char *const folders[] = { ".", "../sbin", "../agents", NULL };
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);

    if (length <= 0)
        return AGENT_PROGRAM;
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    for (int i = 0; folders[i]; i++) {
        const char *path = arena_printf(arena, "%s/%s/" AGENT_PROGRAM, self, folders[i]);

        if (access(path, X_OK) == 0)
            return path;
    }
    return AGENT_PROGRAM;
}

/* In the child: both outputs to `fd`, nothing to read. */
static _Noreturn void program_exec(const char *program, const char *const *arguments, int fd)
{
    int null = open("/dev/null", O_RDONLY);
    char *copies[ARGUMENTS_MAX + 2] = { strdup(program) };

    dup2(null, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    for (int i = 0; arguments[i]; i++) {
        assert(i < ARGUMENTS_MAX);
        copies[i + 1] = strdup(arguments[i]);
    }
    execvp(program, copies);
    fprintf(stderr, _("cannot run %s: %s. Install it, or put its folder into PATH"), program, strerror(errno));
    _exit(127);
}

static int64_t monotonic_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* Reads until the child closes its end, keeping the first bytes. False when it takes too long. */
static bool answer_read(int fd, char *answer)
{
    int64_t end_s = monotonic_s() + CHECK_TIMEOUT_S;
    size_t length = 0;
    char more[1024];

    for (;;) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        ssize_t got;

        if (monotonic_s() >= end_s)
            return false;
        if (poll(&ready, 1, 1000) <= 0)
            continue;
        got = read(fd, more, sizeof more);
        if (got <= 0)
            break;
        if ((size_t)got > ANSWER_BYTES_MAX - 1 - length)
            got = (ssize_t)(ANSWER_BYTES_MAX - 1 - length);
        memcpy(answer + length, more, (size_t)got);
        length += (size_t)got;
    }
    while (length > 0 && answer[length - 1] == '\n')
        length--;
    answer[length] = '\0';
    return true;
}

int agent_program(struct arena *arena, const char *const *arguments, const char **ret, struct error *err)
{
    const char *program = program_path(arena);
    char *answer = arena_alloc(arena, ANSWER_BYTES_MAX);
    bool answered;
    int pipes[2];
    int status;
    pid_t child;

    if (pipe2(pipes, O_CLOEXEC) < 0)
        return error_set(err, ERR_RETRY, "%s", strerror(errno));
    child = fork();
    if (child == 0)
        program_exec(program, arguments, pipes[1]);
    close(pipes[1]);
    if (child < 0) {
        close(pipes[0]);
        return error_set(err, ERR_RETRY, "%s", strerror(errno));
    }
    answered = answer_read(pipes[0], answer);
    close(pipes[0]);
    if (!answered)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (!answered)
        return error_set(err, ERR_RETRY, _("%s --check did not end within %d s: does its database answer?"), program,
                         CHECK_TIMEOUT_S);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        return error_set(err, ERR_STOP, "%s", *answer ? answer : _("selaras-agent --check failed without a word"));
    *ret = answer;
    return 0;
}
