#include "cli/pager.h"

#include "shell/text.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define USUAL "less"
enum { NOT_RUN = 126 }; /* from this status on, sh could not run it */

static struct {
    pid_t pid; /* 0: there is none */
    char complaint[256];
} pager;

static bool is_found(const char *program)
{
    const char *folder = getenv("PATH");
    char path[PATH_MAX];

    while (folder && *folder) {
        int length = (int)strcspn(folder, ":");

        snprintf(path, sizeof path, "%.*s/%s", length, folder, program);
        if (access(path, X_OK) == 0)
            return true;
        folder += length + (folder[length] == ':');
    }
    return false;
}

/* Some may run us as another user and nothing else: they must not get to a shell through less. */
static bool is_lent(void)
{
    return getenv("SUDO_UID") || geteuid() != getuid();
}

/* The command to run, or NULL for none. */
static const char *command_of(void)
{
    static const char *const variables[] = { "SELARAS_PAGER", "PAGER" };

    for (size_t i = 0; i < sizeof variables / sizeof variables[0] && !is_lent(); i++) {
        const char *command = getenv(variables[i]);

        if (command)
            return *command && strcmp(command, "cat") != 0 ? command : NULL;
    }
    return is_found(USUAL) ? USUAL : NULL;
}

/* The reader is gone, and with it the reason to go on; or nobody has read anything. */
static void leave(int number)
{
    int status;

    (void)number;
    if (waitpid(pager.pid, &status, WNOHANG) != pager.pid)
        return;
    if (WIFEXITED(status) && WEXITSTATUS(status) < NOT_RUN)
        _exit(0);
    (void)!write(STDERR_FILENO, pager.complaint, strlen(pager.complaint));
    _exit(1);
}

static _Noreturn void run(const char *command, int input)
{
    dup2(input, STDIN_FILENO);
    setenv("LESS", "FRSX", 0); /* not for what fits on the screen; colours; long lines are cut, arrows move */
    setenv("LESSCHARSET", "utf-8", 0);
    if (is_lent())
        setenv("LESSSECURE", "1", 1);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(NOT_RUN);
}

void pager_start(void)
{
    const char *command = isatty(STDOUT_FILENO) ? command_of() : NULL;
    int ends[2];

    if (!command || pipe(ends) < 0)
        return;
    snprintf(pager.complaint, sizeof pager.complaint,
             _("selaras: the pager \"%.60s\" cannot be run (SELARAS_PAGER, PAGER); --no-pager does without\n"),
             command);
    fflush(stdout);
    signal(SIGINT, SIG_IGN); /* is the pager's */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, leave);
    pager.pid = fork();
    if (pager.pid == 0) {
        signal(SIGINT, SIG_DFL);
        signal(SIGPIPE, SIG_DFL);
        signal(SIGCHLD, SIG_DFL);
        close(ends[1]);
        run(command, ends[0]);
    }
    if (pager.pid > 0) {
        dup2(ends[1], STDOUT_FILENO);
    } else {
        pager.pid = 0;
    }
    close(ends[0]);
    close(ends[1]);
}

bool pager_end(void)
{
    int status;

    if (!pager.pid)
        return false;
    signal(SIGCHLD, SIG_DFL);
    fflush(stdout);
    close(STDOUT_FILENO);
    while (waitpid(pager.pid, &status, 0) < 0 && errno == EINTR)
        ;
    return true;
}
