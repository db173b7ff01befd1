/* What an agent needs before it starts: what its file alone can say, then what `selaras-agent --check` says of its
 * database. */
#include "agents/settings.h"
#include "cli/checks.h"
#include "shell/key.h"
#include "shell/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_BYTES_MAX = 4096, CHECK_TIMEOUT_S = 60 };
#define AGENT_PROGRAM "selaras-agent"

struct subject {
    struct arena *arena;
    const char *path;
    struct agent_settings settings;
};

static int check_file(void *context, char note[CHECK_NOTE_MAX], struct error *err)
{
    struct subject *subject = context;

    if (agent_settings_read(subject->arena, subject->path, &subject->settings, err) < 0)
        return err->code;
    snprintf(note, CHECK_NOTE_MAX, _("agency %s, mapped blocks: %d"), subject->settings.agency,
             subject->settings.mapping.block_count);
    return 0;
}

static int check_key(void *context, char note[CHECK_NOTE_MAX], struct error *err)
{
    const struct subject *subject = context;
    struct key key;
    char hex[65];

    if (key_read(subject->settings.key, &key, err) < 0)
        return err->code;
    key_hex(key.public_key, hex);
    key_wipe(&key);
    snprintf(note, CHECK_NOTE_MAX, _("on the broker: selaras key enrol %s %s"), subject->settings.agency, hex);
    return 0;
}

/* Where the agent's program is: beside this one, or in the sbin of the same prefix; otherwise PATH decides. */
static const char *program_path(struct arena *arena)
{
    static const char *const folders[] = { ".", "../sbin", NULL };
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
static _Noreturn void program_exec(const char *program, const char *file, int fd)
{
    int null = open("/dev/null", O_RDONLY);
    char *const arguments[] = { strdup(program), strdup("--check"), strdup(file), NULL };

    dup2(null, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execvp(program, arguments);
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
static bool answer_read(int fd, char answer[ANSWER_BYTES_MAX])
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

/* The lines of the agent's answer that warn of something. */
static void warnings_take(const char *answer, char note[CHECK_NOTE_MAX])
{
    size_t length = 0;

    for (const char *line = answer; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (!strncmp(line, "warning: ", strlen("warning: ")) && length < CHECK_NOTE_MAX - 1)
            length += (size_t)snprintf(note + length, CHECK_NOTE_MAX - length, "%s%.*s", length > 0 ? "; " : "",
                                       (int)strcspn(line, "\n"), line);
}

static int check_program(void *context, char note[CHECK_NOTE_MAX], struct error *err)
{
    const struct subject *subject = context;
    const char *program = program_path(subject->arena);
    char answer[ANSWER_BYTES_MAX];
    bool answered;
    int pipes[2];
    int status;
    pid_t child;

    if (pipe2(pipes, O_CLOEXEC) < 0)
        return error_set(err, ERR_RETRY, "%s", strerror(errno));
    child = fork();
    if (child == 0)
        program_exec(program, subject->path, pipes[1]);
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
    warnings_take(answer, note);
    return 0;
}

#define FILE_CHECK N_("configuration")

static const struct check checks[] = {
    { FILE_CHECK, NULL, check_file },
    { N_("key"), FILE_CHECK, check_key },
    { N_("database"), FILE_CHECK, check_program },
    { 0 },
};

bool check_agent_file(const struct call *call, struct output *output, const char *path)
{
    struct subject subject = { .arena = call->arena, .path = path };

    return checks_run(output, path, checks, &subject);
}
