#include "shell/control.h"

#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LONG_ANSWER_BYTES = 3 * 1024 * 1024 };

/* The daemon is this thread's loop; the one who asks, another thread. */
struct scene {
    char folder[64], path[128];
    struct loop *loop;
    struct control *control;
    struct control_request *held;
    char heard[256], user[64];
    char *answer; /* what "long" is answered */

    struct arena *arena;
    const char *const *arguments;
    int count, timeout_ms, code;
    const char *text;
    struct error err;
    atomic_bool finished;
};

static void hear(struct scene *scene, const struct text *arguments, int count, const char *user)
{
    snprintf(scene->user, sizeof scene->user, "%s", user);
    scene->heard[0] = '\0';
    for (int i = 0; i < count; i++)
        snprintf(scene->heard + strlen(scene->heard), sizeof scene->heard - strlen(scene->heard), "%s%.*s",
                 i ? "|" : "", (int)arguments[i].length, arguments[i].bytes);
}

static void answer_late(void *context)
{
    struct scene *scene = context;

    control_answer(&scene->held, true, "late");
}

static void handle(void *context, struct control_request *request, const struct text *arguments, int count,
                   const char *user)
{
    struct scene *scene = context;

    hear(scene, arguments, count, user);
    if (strcmp(scene->heard, "long") == 0) {
        control_answer(&request, true, scene->answer);
        assert_null(request);
    } else if (strcmp(scene->heard, "no") == 0) {
        control_answer(&request, false, "there is no such agency");
    } else if (strcmp(scene->heard, "late") == 0) {
        scene->held = request;
        loop_timer(scene->loop, 20, true, answer_late, scene);
    } else if (strcmp(scene->heard, "hold") == 0) {
        scene->held = request;
    } else {
        control_answer(&request, true, "{}");
    }
}

static int scene_open(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);

    strcpy(scene->folder, "/tmp/control_test.XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    snprintf(scene->path, sizeof scene->path, "%s/agent-dinsos.socket", scene->folder);
    scene->loop = loop_new();
    scene->arena = arena_new();
    scene->timeout_ms = 5000;
    assert_int_equal(control_open(scene->loop, scene->path, handle, scene, &scene->control, &scene->err), 0);
    *state = scene;
    return 0;
}

static int scene_close(void **state)
{
    struct scene *scene = *state;

    control_close(&scene->control);
    assert_int_equal(access(scene->path, F_OK), -1);
    rmdir(scene->folder);
    loop_free(&scene->loop);
    arena_free(&scene->arena);
    free(scene->answer);
    free(scene);
    return 0;
}

static void *ask_thread(void *context)
{
    struct scene *scene = context;

    scene->code = control_ask(scene->arena, scene->path, scene->arguments, scene->count, scene->timeout_ms,
                              &scene->text, &scene->err);
    atomic_store(&scene->finished, true);
    return NULL;
}

static void look_whether_finished(void *context)
{
    struct scene *scene = context;

    if (atomic_load(&scene->finished))
        loop_end(scene->loop);
}

static void ask(struct scene *scene, const char *const *arguments, int count)
{
    struct loop_source *timer = loop_timer(scene->loop, 2, false, look_whether_finished, scene);
    pthread_t thread;

    scene->arguments = arguments;
    scene->count = count;
    atomic_store(&scene->finished, false);
    assert_int_equal(pthread_create(&thread, NULL, ask_thread, scene), 0);
    loop_run(scene->loop);
    pthread_join(thread, NULL);
    loop_remove(&timer);
}

static void ask_word(struct scene *scene, const char *word)
{
    ask(scene, &word, 1);
}

static void a_request_is_answered(void **state)
{
    static const char *const arguments[] = { "log", "--agency", "dinsos", "" };
    struct scene *scene = *state;
    struct stat status;

    ask(scene, arguments, 4);
    assert_int_equal(scene->code, 0);
    assert_string_equal(scene->text, "{}");
    assert_string_equal(scene->heard, "log|--agency|dinsos|");
    assert_true(strlen(scene->user) > 0);
    assert_int_equal(stat(scene->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0660);
}

/* Behind sudo the peer is root, and what stands in the ledger is who logged in. Only root may say who that was; for
 * others it is what the system says already. */
static void who_logged_in_is_named_not_whom_they_became(void **state)
{
    struct scene *scene = *state;
    const struct passwd *user;
    char name[64];
    unsigned uid = (unsigned)-1;
    FILE *file = fopen("/proc/self/loginuid", "w");

    if (file) {
        fprintf(file, "1");
        (void)fclose(file);
    }
    file = fopen("/proc/self/loginuid", "r");
    if (file) {
        assert_int_equal(fscanf(file, "%u", &uid), 1);
        fclose(file);
    }
    user = getpwuid(uid == (unsigned)-1 ? geteuid() : uid);
    assert_non_null(user);
    snprintf(name, sizeof name, "%s", user->pw_name); /* whoever looks a user up next writes over it */
    ask_word(scene, "now");
    assert_string_equal(scene->user, name);
}

static void an_answer_may_come_later(void **state)
{
    struct scene *scene = *state;

    ask_word(scene, "late");
    assert_int_equal(scene->code, 0);
    assert_string_equal(scene->text, "late");
}

/* Letters of three bytes, the first at an odd place, so that no cut falls between them by chance. */
static void a_long_answer_comes_whole(void **state)
{
    struct scene *scene = *state;

    scene->answer = calloc(1, LONG_ANSWER_BYTES + 2);
    scene->answer[0] = 'x';
    for (int i = 1; i < LONG_ANSWER_BYTES; i += 3)
        memcpy(scene->answer + i, "\xe2\x80\x94", 3);
    ask_word(scene, "long");
    assert_int_equal(scene->code, 0);
    assert_string_equal(scene->text, scene->answer);
}

static void an_empty_answer_is_one_too(void **state)
{
    struct scene *scene = *state;

    scene->answer = calloc(1, 1);
    ask_word(scene, "long");
    assert_int_equal(scene->code, 0);
    assert_string_equal(scene->text, "");
}

static void a_refusal_comes_with_its_reason(void **state)
{
    struct scene *scene = *state;

    ask_word(scene, "no");
    assert_int_equal(scene->code, ERR_REJECT);
    assert_string_equal(scene->err.text, "there is no such agency");
}

static void too_many_words_are_refused(void **state)
{
    struct scene *scene = *state;
    const char *arguments[CONTROL_ARGUMENTS_MAX + 1];

    for (int i = 0; i <= CONTROL_ARGUMENTS_MAX; i++)
        arguments[i] = "x";
    ask(scene, arguments, CONTROL_ARGUMENTS_MAX + 1);
    assert_int_equal(scene->code, ERR_REJECT);
    ask(scene, arguments, CONTROL_ARGUMENTS_MAX);
    assert_int_equal(scene->code, 0);
}

static int connect_raw(const struct scene *scene)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    strcpy(address.sun_path, scene->path);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void end(void *context)
{
    struct scene *scene = context;

    loop_end(scene->loop);
}

static void turn(struct scene *scene)
{
    struct loop_source *timer = loop_timer(scene->loop, 30, true, end, scene);

    loop_run(scene->loop);
    loop_remove(&timer);
}

static void what_is_no_request_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } packets[] = { { "x", 1 },          { "\x90", 1 },
                    { "\x91\xc0", 2 },   { "\x91\xa1\xff", 3 },
                    { "\x91\xa1x!", 4 }, { "\xdd\xff\xff\xff\xff", 5 } };
    struct scene *scene = *state;
    char answer[1024];

    for (size_t i = 0; i < sizeof packets / sizeof packets[0]; i++) {
        int fd = connect_raw(scene);

        assert_int_equal(send(fd, packets[i].bytes, packets[i].length, 0), packets[i].length);
        turn(scene);
        assert_true(recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 3);
        assert_memory_equal(answer, "\x93\xc2\xc2", 3); /* not ok, no more */
        assert_string_equal(scene->heard, "");
        close(fd);
    }
}

static void a_request_that_is_too_large_is_refused(void **state)
{
    struct scene *scene = *state;
    char *large = calloc(1, CONTROL_BYTES_MAX + 100), answer[1024];
    int fd = connect_raw(scene);

    assert_true(send(fd, large, CONTROL_BYTES_MAX + 100, 0) > 0);
    turn(scene);
    assert_true(recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 3);
    assert_memory_equal(answer, "\x93\xc2\xc2", 3);
    close(fd);
    free(large);
}

static void more_peers_than_may_be_wait_for_their_turn(void **state)
{
    struct scene *scene = *state;
    int fds[40];

    for (int i = 0; i < 40; i++) {
        fds[i] = connect_raw(scene);
        if (i % 10 == 9)
            turn(scene);
    }
    for (int i = 0; i < 40; i++)
        close(fds[i]);
    ask_word(scene, "status");
    assert_int_equal(scene->code, 0);
}

static void a_peer_that_has_gone_does_no_harm(void **state)
{
    struct scene *scene = *state;
    int fd = connect_raw(scene);

    assert_int_equal(send(fd, "\x91\xa4hold", 6, 0), 6);
    turn(scene);
    close(fd);
    assert_non_null(scene->held);
    control_answer(&scene->held, true, "nobody hears it");
    turn(scene);
    ask_word(scene, "status");
    assert_int_equal(scene->code, 0);
}

static void a_question_may_outlive_the_socket(void **state)
{
    struct scene *scene = *state;
    int fd = connect_raw(scene);

    assert_int_equal(send(fd, "\x91\xa4hold", 6, 0), 6);
    turn(scene);
    control_close(&scene->control);
    assert_null(scene->control);
    control_answer(&scene->held, true, "nobody hears it");
    assert_null(scene->held);
    close(fd);
}

static void no_answer_in_time_is_to_be_tried_again(void **state)
{
    struct scene *scene = *state;

    scene->timeout_ms = 50;
    ask_word(scene, "hold");
    assert_int_equal(scene->code, ERR_RETRY);
    assert_non_null(strstr(scene->err.text, "no answer in time"));
    control_answer(&scene->held, true, "");
}

static void nobody_there_says_which_service_to_start(void **state)
{
    struct scene *scene = *state;
    const char *word = "status", *text;
    struct error err;

    control_close(&scene->control);
    assert_int_equal(control_ask(scene->arena, scene->path, &word, 1, 1000, &text, &err), ERR_RETRY);
    assert_non_null(strstr(err.text, "systemctl start selaras-agent@dinsos"));
    assert_int_equal(control_ask(scene->arena, "/nowhere/broker.socket", &word, 1, 1000, &text, &err), ERR_RETRY);
    assert_non_null(strstr(err.text, "systemctl start selaras-broker"));
}

static void an_old_socket_is_replaced_but_not_one_in_use_or_a_file(void **state)
{
    struct scene *scene = *state;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct control *second = NULL;
    struct error err;
    FILE *file;
    int fd;

    assert_int_equal(control_open(scene->loop, scene->path, handle, scene, &second, &err), ERR_STOP);
    assert_non_null(strstr(err.text, "running already"));
    ask_word(scene, "status");
    assert_int_equal(scene->code, 0);
    control_close(&scene->control);

    strcpy(address.sun_path, scene->path);
    fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    close(fd); /* the file of a daemon that was killed */
    assert_int_equal(control_open(scene->loop, scene->path, handle, scene, &scene->control, &err), 0);
    ask_word(scene, "status");
    assert_int_equal(scene->code, 0);
    control_close(&scene->control);

    file = fopen(scene->path, "w");
    fclose(file);
    assert_int_equal(control_open(scene->loop, scene->path, handle, scene, &second, &err), ERR_STOP);
    assert_non_null(strstr(err.text, "no socket"));
    unlink(scene->path);
}

/* Whoever reaches the socket all the same is asked who they are. */
static void a_stranger_is_refused(void **state)
{
    struct scene *scene = *state;
    int status;
    pid_t child;

    if (geteuid() != 0)
        skip();
    chmod(scene->folder, 0755);
    chmod(scene->path, 0666);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const char *word = "status", *text;

        if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
            _exit(9);
        if (control_ask(scene->arena, scene->path, &word, 1, 3000, &text, &scene->err) != ERR_REJECT)
            _exit(8);
        _exit(strstr(scene->err.text, "members of the group") ? 0 : 7);
    }
    do
        turn(scene);
    while (waitpid(child, &status, WNOHANG) == 0);
    assert_int_equal(status, 0);
    assert_string_equal(scene->heard, "");
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        test(a_request_is_answered),
        test(who_logged_in_is_named_not_whom_they_became),
        test(an_answer_may_come_later),
        test(a_long_answer_comes_whole),
        test(an_empty_answer_is_one_too),
        test(a_refusal_comes_with_its_reason),
        test(too_many_words_are_refused),
        test(what_is_no_request_is_refused),
        test(a_request_that_is_too_large_is_refused),
        test(more_peers_than_may_be_wait_for_their_turn),
        test(a_peer_that_has_gone_does_no_harm),
        test(a_question_may_outlive_the_socket),
        test(no_answer_in_time_is_to_be_tried_again),
        test(a_stranger_is_refused),
        test(nobody_there_says_which_service_to_start),
        test(an_old_socket_is_replaced_but_not_one_in_use_or_a_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
