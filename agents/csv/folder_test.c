/* A real folder: what is offered, in which order, and what happens to files that their makers touch again meanwhile. */
#include "agents/csv/folder.h"
#include "proto/arena.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;
static struct folder *folder;
static struct arena *arena;
static char place[64];
static const struct buffer no_note;
static struct error err;

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) < 0)                                                                                                \
            fail_msg("%s", err.text);                                                                                  \
    } while (0)

static void turn(void *context)
{
    (void)context;
    loop_end(loop);
}

static void give_up(void *context)
{
    (void)context;
    fail_msg("nothing is offered");
}

static void open_folder(void)
{
    MUST(folder_open(loop, place, turn, NULL, &folder, &err));
}

static int setup(void **state)
{
    (void)state;
    arena = arena_new();
    loop = loop_new();
    loop_timer(loop, 20000, true, give_up, NULL);
    snprintf(place, sizeof place, "/tmp/selaras-folder-XXXXXX");
    assert_non_null(mkdtemp(place));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    folder_close(&folder);
    loop_free(&loop);
    if (system(arena_printf(arena, "rm -r %s", place)) != 0)
        fail_msg("%s stays", place);
    arena_free(&arena);
    return 0;
}

static const char *path(const char *name)
{
    return arena_printf(arena, "%s/%s", place, name);
}

/* Saves it at that second. */
static void save(const char *name, const char *text, time_t seconds)
{
    const struct timespec times[2] = { { seconds, 0 }, { seconds, 0 } };
    int fd = open(path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static const char *next(void)
{
    const char *name;

    return folder_next(folder, &name) ? arena_printf(arena, "%s", name) : "";
}

static int begin(const char *name, struct stat *ret)
{
    bool plain;
    int fd = folder_file(folder, name, ret, &plain);

    assert_true(plain && fd >= 0);
    return fd;
}

/* How many files lie there whose name ends so. */
static int count(const char *sub, const char *ending)
{
    const char *command = arena_printf(arena, "find %s/%s -maxdepth 1 -type f -name '*%s' | wc -l", place, sub, ending);
    FILE *found = popen(command, "r");
    int number = -1;

    assert_non_null(found);
    assert_int_equal(fscanf(found, "%d", &number), 1);
    pclose(found);
    return number;
}

static void the_oldest_comes_first_and_of_equals_the_one_that_came_first(void **state)
{
    (void)state;
    save("warga-3.csv", "x", 300);
    save("warga-9.csv", "x", 200);
    usleep(20000);
    save("warga-10.csv", "x", 200);
    open_folder();
    assert_string_equal(next(), "warga-9.csv");
    folder_leave(folder, "warga-9.csv");
    assert_string_equal(next(), "warga-10.csv");
    folder_leave(folder, "warga-10.csv");
    assert_string_equal(next(), "warga-3.csv");
}

static void what_is_no_list_keeps_nobody_waiting(void **state)
{
    (void)state;
    save("catatan.txt", "x", time(NULL));
    save(".~lock.warga.xlsx#", "x", time(NULL));
    save("~$warga.xlsx", "x", time(NULL));
    open_folder();
    assert_string_equal(next(), "");
    assert_false(folder_settles(folder));
}

static void however_many_files_each_is_offered(void **state)
{
    (void)state;
    for (int i = 0; i < 1100; i++)
        save(arena_printf(arena, "catatan-%d.csv", i), "", 100);
    save("warga.csv", "x", 200);
    open_folder();
    for (int i = 0; i < 1100; i++)
        folder_leave(folder, next());
    while (strcmp(next(), "warga.csv") != 0) {
        assert_string_not_equal(next(), "");
        folder_leave(folder, next());
    }
}

static void a_list_that_takes_the_place_of_one_being_read_is_offered(void **state)
{
    struct stat read;

    (void)state;
    save("warga.csv", "one", 100);
    open_folder();
    close(begin(next(), &read));
    save("next", "two", 200);
    assert_int_equal(rename(path("next"), path("warga.csv")), 0);
    loop_run(loop); /* told of while the one before is still in hand */
    MUST(folder_put(folder, "warga.csv", &read, true, 0, &no_note, &err));
    assert_string_equal(next(), "warga.csv");
    assert_int_equal(count("diterima", ".csv"), 0);
}

static void a_list_that_is_written_anew_while_it_is_read_stays_and_is_offered_at_rest(void **state)
{
    struct stat read;
    int fd, writer;

    (void)state;
    save("warga.csv", "one", 100);
    open_folder();
    fd = begin(next(), &read);
    assert_false(folder_rewritten(fd, &read));
    writer = open(path("warga.csv"), O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(folder_rewritten(fd, &read));
    MUST(folder_put(folder, "warga.csv", &read, true, 0, &no_note, &err));
    assert_int_equal(count("diterima", ".csv"), 0);
    assert_string_equal(next(), "");
    assert_true(folder_settles(folder));
    assert_int_equal(write(writer, "two", 3), 3);
    close(writer);
    loop_run(loop);
    assert_string_equal(next(), "warga.csv");
    close(fd);
}

/* As when the disk is full. */
static void what_cannot_be_told_is_not_put_away(void **state)
{
    const struct buffer note = { .bytes = (char[]){ "why" }, .length = 3 };
    const struct rlimit none = { 0, RLIM_INFINITY };
    struct rlimit usual;
    struct stat read;

    (void)state;
    save("warga.csv", "one", 100);
    open_folder();
    close(begin(next(), &read));
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &usual);
    setrlimit(RLIMIT_FSIZE, &none);
    assert_int_equal(folder_put(folder, "warga.csv", &read, false, 0, &note, &err), ERR_RETRY);
    setrlimit(RLIMIT_FSIZE, &usual);
    assert_int_equal(count("", ".csv"), 1);
    assert_int_equal(count("ditolak", ""), 0);
    MUST(folder_put(folder, "warga.csv", &read, false, 0, &note, &err));
    assert_int_equal(count("", ".csv"), 0);
    assert_int_equal(count("ditolak", ".csv"), 1);
    assert_int_equal(count("ditolak", ".csv.txt"), 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        UNIT(the_oldest_comes_first_and_of_equals_the_one_that_came_first),
        UNIT(what_is_no_list_keeps_nobody_waiting),
        UNIT(however_many_files_each_is_offered),
        UNIT(a_list_that_takes_the_place_of_one_being_read_is_offered),
        UNIT(a_list_that_is_written_anew_while_it_is_read_stays_and_is_offered_at_rest),
        UNIT(what_cannot_be_told_is_not_put_away),
    };

    return cmocka_run_group_tests_name("folder", tests, NULL, NULL);
}
