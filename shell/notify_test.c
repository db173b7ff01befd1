#include "shell/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* systemd's side of the conversation. */
static int manager;
static char said[1024];

static int manager_open(void **state)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    socklen_t length;

    (void)state;
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "notify_test.%d", (int)getpid());
    length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1));
    manager = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(manager, (const struct sockaddr *)&address, length), 0);
    address.sun_path[0] = '@';
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    return 0;
}

static int manager_close(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    return close(manager);
}

static const char *heard(void)
{
    ssize_t length = recv(manager, said, sizeof said - 1, MSG_DONTWAIT);

    said[length > 0 ? length : 0] = '\0';
    return said;
}

static void each_state_is_told(void **state)
{
    (void)state;
    notify_ready("serving 2 agencies");
    assert_string_equal(heard(), "READY=1\nSTATUS=serving 2 agencies");
    notify_status("%d changes", 3);
    assert_string_equal(heard(), "STATUS=3 changes");
    notify_reloading();
    assert_memory_equal(heard(), "RELOADING=1\nMONOTONIC_USEC=", 27);
    assert_true(atoll(said + 27) > 0);
    notify_stopping("draining");
    assert_string_equal(heard(), "STOPPING=1\nSTATUS=draining");
}

static void the_watchdog_is_fed_only_when_there_is_one(void **state)
{
    (void)state;
    notify_watchdog();
    assert_string_equal(heard(), "");
    assert_int_equal(notify_watchdog_interval_ms(), 0);
    setenv("WATCHDOG_USEC", "30000000", 1);
    notify_watchdog();
    assert_string_equal(heard(), "WATCHDOG=1");
    assert_int_equal(notify_watchdog_interval_ms(), 15000);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, manager_open, manager_close)
    const struct CMUnitTest tests[] = {
        test(each_state_is_told),
        test(the_watchdog_is_fed_only_when_there_is_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
