#include "shell/loop.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

/* One of everything that a test may want to count, stop or remove from a callback. */
struct scene {
    struct loop *loop;
    struct loop_source *source, *victim;
    int fd, calls, limit;
    void *zsocket;
};

static void end(void *context)
{
    struct scene *scene = context;

    scene->calls++;
    loop_end(scene->loop);
}

static void end_quietly(void *context)
{
    struct scene *scene = context;

    loop_end(scene->loop);
}

static void never(void *context)
{
    (void)context;
    fail_msg("it was removed");
}

static void give_up(void *context)
{
    (void)context;
    fail_msg("the loop waits for something that does not come");
}

static int scene_open(void **state)
{
    static struct scene scene;

    memset(&scene, 0, sizeof scene);
    scene.loop = loop_new();
    loop_timer(scene.loop, 5000, true, give_up, NULL);
    *state = &scene;
    return 0;
}

static int scene_close(void **state)
{
    struct scene *scene = *state;

    loop_free(&scene->loop);
    assert_null(scene->loop);
    return 0;
}

static void count_to_limit(void *context)
{
    struct scene *scene = context;

    if (++scene->calls == scene->limit)
        loop_end(scene->loop);
}

static void a_timer_goes_on_until_it_is_removed(void **state)
{
    struct scene *scene = *state;

    scene->limit = 3;
    scene->source = loop_timer(scene->loop, 1, false, count_to_limit, scene);
    loop_run(scene->loop);
    loop_remove(&scene->source);
    assert_null(scene->source);
    loop_timer(scene->loop, 10, true, end, scene);
    loop_run(scene->loop);
    assert_int_equal(scene->calls, 4);
}

static void a_timer_that_runs_once_runs_once(void **state)
{
    struct scene *scene = *state;

    scene->limit = 9;
    scene->source = loop_timer(scene->loop, 0, true, count_to_limit, scene);
    loop_timer(scene->loop, 20, true, end, scene);
    loop_run(scene->loop);
    assert_int_equal(scene->calls, 2);
    loop_remove(&scene->source);
}

static void remove_both(void *context)
{
    struct scene *scene = context;

    scene->calls++;
    loop_remove(&scene->source);
    loop_remove(&scene->victim);
    loop_timer(scene->loop, 10, true, end, scene);
}

/* Both are ready in the same turn; whichever comes first ends both. */
static void a_source_removed_by_another_in_the_same_turn_is_not_called(void **state)
{
    struct scene *scene = *state;
    int pair[2][2];

    for (int i = 0; i < 2; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]), 0);
        assert_int_equal(write(pair[i][1], "x", 1), 1);
    }
    scene->source = loop_fd(scene->loop, pair[0][0], true, false, remove_both, scene);
    scene->victim = loop_fd(scene->loop, pair[1][0], true, false, remove_both, scene);
    loop_run(scene->loop);
    assert_int_equal(scene->calls, 2); /* one of them, and the end */
    for (int i = 0; i < 4; i++)
        close(pair[i / 2][i % 2]);
}

static void read_one_byte(void *context)
{
    struct scene *scene = context;
    char byte;

    assert_int_equal(read(scene->fd, &byte, 1), 1);
    count_to_limit(scene);
}

static void a_descriptor_is_called_again_while_something_is_left(void **state)
{
    struct scene *scene = *state;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(write(pair[1], "abc", 3), 3);
    scene->fd = pair[0];
    scene->limit = 3;
    scene->source = loop_fd(scene->loop, pair[0], true, false, read_one_byte, scene);
    loop_run(scene->loop);
    close(pair[0]);
    close(pair[1]);
    loop_remove(&scene->source); /* closed before it was removed: no harm, as libpq may do it */
}

static void what_is_waited_for_may_change(void **state)
{
    struct scene *scene = *state;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    scene->source = loop_fd(scene->loop, pair[0], true, false, end, scene);
    loop_fd_want(scene->source, false, false);
    close(pair[1]); /* a hang-up, of which nobody wants to know */
    scene->victim = loop_timer(scene->loop, 10, true, end_quietly, scene);
    loop_run(scene->loop);
    assert_int_equal(scene->calls, 0);
    loop_remove(&scene->victim);
    loop_fd_want(scene->source, false, true);
    loop_run(scene->loop);
    assert_int_equal(scene->calls, 1);
    loop_remove(&scene->source);
    close(pair[0]);
}

static void take_one_message(void *context)
{
    struct scene *scene = context;
    char bytes[8];

    assert_int_equal(zmq_recv(scene->zsocket, bytes, sizeof bytes, ZMQ_DONTWAIT), 1);
    count_to_limit(scene);
}

static void remove_socket(void *context)
{
    struct scene *scene = context;

    scene->calls++;
    loop_remove(&scene->source);
    zmq_close(scene->zsocket);
    loop_timer(scene->loop, 10, true, end, scene);
}

static void a_zmq_socket_is_called_again_while_something_is_left_and_may_be_closed_inside(void **state)
{
    struct scene *scene = *state;
    void *zcontext = zmq_ctx_new(), *other = zmq_socket(zcontext, ZMQ_PAIR);

    scene->zsocket = zmq_socket(zcontext, ZMQ_PAIR);
    assert_int_equal(zmq_bind(other, "inproc://loop-test"), 0);
    assert_int_equal(zmq_connect(scene->zsocket, "inproc://loop-test"), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(zmq_send(other, "x", 1, 0), 1);
    scene->limit = 2;
    scene->source = loop_socket(scene->loop, scene->zsocket, take_one_message, scene);
    loop_run(scene->loop);
    assert_int_equal(scene->calls, 2);
    loop_remove(&scene->source);
    scene->source = loop_socket(scene->loop, scene->zsocket, remove_socket, scene);
    loop_run(scene->loop);
    assert_int_equal(scene->calls, 4);
    zmq_close(other);
    zmq_ctx_term(zcontext);
}

static void defer_again(void *context)
{
    struct scene *scene = context;

    scene->calls++;
    loop_defer(scene->loop, defer_again, scene);
}

static void deferred_work_that_puts_itself_off_starves_nobody(void **state)
{
    struct scene *scene = *state;

    loop_defer(scene->loop, defer_again, scene);
    loop_timer(scene->loop, 20, true, end, scene);
    loop_run(scene->loop);
    assert_true(scene->calls > 10);
}

static void defer_end(void *context)
{
    struct scene *scene = context;

    loop_defer(scene->loop, never, scene);
    loop_defer(scene->loop, end, scene);
    loop_defer_cancel(scene->loop, never, scene);
}

static void deferred_work_runs_before_the_loop_waits_unless_it_is_taken_back(void **state)
{
    struct scene *scene = *state;
    int64_t start_ms = loop_monotonic_ms();

    loop_defer(scene->loop, defer_end, scene);
    loop_run(scene->loop);
    assert_int_equal(scene->calls, 1);
    assert_true(loop_monotonic_ms() - start_ms < 1000);
}

static void count_reload(void *context)
{
    struct scene *scene = context;

    scene->limit += 100;
}

static void signals_become_calls(void **state)
{
    struct scene *scene = *state;

    loop_on_reload(scene->loop, count_reload, scene);
    loop_on_stop(scene->loop, end, scene);
    raise(SIGHUP);
    raise(SIGTERM);
    loop_run(scene->loop);
    assert_int_equal(scene->limit, 100);
    assert_int_equal(scene->calls, 1);
    raise(SIGINT);
    loop_run(scene->loop);
    assert_int_equal(scene->limit, 100);
    assert_int_equal(scene->calls, 2);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        test(a_timer_goes_on_until_it_is_removed),
        test(a_timer_that_runs_once_runs_once),
        test(a_source_removed_by_another_in_the_same_turn_is_not_called),
        test(a_descriptor_is_called_again_while_something_is_left),
        test(what_is_waited_for_may_change),
        test(a_zmq_socket_is_called_again_while_something_is_left_and_may_be_closed_inside),
        test(deferred_work_that_puts_itself_off_starves_nobody),
        test(deferred_work_runs_before_the_loop_waits_unless_it_is_taken_back),
        test(signals_become_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
