/* A child in the sandbox tries what it must not. */
#include "agents/csv/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], ours[80], others[80];

static void make(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/selaras-sandbox-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(ours, sizeof ours, "%s/ours", folder);
    snprintf(others, sizeof others, "%s/others", folder);
    make(ours);
    make(others);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(ours);
    unlink(others);
    rmdir(folder);
    return 0;
}

/* The status with which a child ends that does this in the sandbox: 0 when it can. */
static int try(bool (*does)(void))
{
    int file = open(ours, O_RDONLY | O_CLOEXEC), status = 0;
    pid_t child = fork();

    if (child == 0) {
        sandbox_enter(&(struct sandbox){ .memory_bytes = UINT64_C(1) << 46, .time_s = 5, .file = file });
        _exit(does() ? 0 : 1);
    }
    close(file);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

static bool opens(const char *path, int how)
{
    return open(path, how | O_CLOEXEC, 0600) >= 0;
}

static bool reads_ours(void)
{
    return opens(ours, O_RDONLY);
}

static bool reads_libraries(void)
{
    return opens("/usr/bin/env", O_RDONLY);
}

static bool reads_others(void)
{
    return opens(others, O_RDONLY);
}

static bool reads_accounts(void)
{
    return opens("/etc/passwd", O_RDONLY);
}

static bool writes(void)
{
    return opens(ours, O_WRONLY);
}

static bool makes_files(void)
{
    char path[100];

    snprintf(path, sizeof path, "%s/new", folder);
    return opens(path, O_WRONLY | O_CREAT);
}

static bool removes_files(void)
{
    return unlink(others) == 0;
}

static void it_reads_its_file_and_programs_and_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(try(reads_ours), 0);
    assert_int_equal(try(reads_libraries), 0);
    assert_int_equal(try(reads_others), 1);
    assert_int_equal(try(reads_accounts), 1);
    assert_int_equal(try(writes), 1);
    assert_int_equal(try(makes_files), 1);
    assert_int_equal(try(removes_files), 1);
}

static void what_else_is_open_is_closed_when_it_begins(void **state)
{
    int leaked = open(others, O_RDONLY), status = 0;
    char command[80];
    pid_t child;

    (void)state;
    snprintf(command, sizeof command, "test ! -e /proc/self/fd/%d", leaked);
    child = fork();
    if (child == 0) {
        sandbox_enter(&(struct sandbox){ .memory_bytes = UINT64_C(1) << 46, .time_s = 5, .file = leaked });
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    close(leaked);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_reads_its_file_and_programs_and_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(what_else_is_open_is_closed_when_it_begins, setup, teardown),
    };

    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
