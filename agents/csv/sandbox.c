#include "agents/csv/sandbox.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FILES_OPEN_MAX = 64 };

static void limit_set(__rlimit_resource_t what, rlim_t most)
{
    const struct rlimit limit = { most, most };

    setrlimit(what, &limit); /* where a lower one stands above it fails, and need not succeed */
}

/* When memory runs out, it is the child that goes. */
static void offer_to_oom(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd >= 0 && write(fd, "1000", 4) == 4)
        close(fd);
}

static bool allow(int rules, int fd, uint64_t what)
{
    const struct landlock_path_beneath_attr rule = { .allowed_access = what, .parent_fd = fd };

    return fd < 0 || syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

static bool allow_path(int rules, const char *path, uint64_t what)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    bool good = allow(rules, fd, what);

    if (fd >= 0)
        close(fd);
    return good;
}

/* Of all files it may open the one, and programs and their libraries. */
static void restrict_files(int file)
{
    const struct landlock_ruleset_attr all = { .handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1 };
    const uint64_t read = LANDLOCK_ACCESS_FS_READ_FILE;
    int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);

    if (rules < 0)
        return;
    if (allow(rules, file, read) && allow_path(rules, "/etc/ld.so.cache", read) &&
        allow_path(rules, "/usr", read | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE))
        syscall(SYS_landlock_restrict_self, rules, 0);
    close(rules);
}

void sandbox_enter(const struct sandbox *sandbox)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    offer_to_oom();
    limit_set(RLIMIT_AS, sandbox->memory_bytes);
    limit_set(RLIMIT_CPU, sandbox->time_s);
    limit_set(RLIMIT_NOFILE, FILES_OPEN_MAX);
    limit_set(RLIMIT_FSIZE, 0);
    limit_set(RLIMIT_CORE, 0);
    limit_set(RLIMIT_NPROC, 0);
    restrict_files(sandbox->file);
}
