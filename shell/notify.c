#include "shell/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <time.h>

void notify_ready(const char *status)
{
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void notify_status(const char *fmt, ...)
{
    char status[512];
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(status, sizeof status, fmt, arguments);
    va_end(arguments);
    sd_notifyf(0, "STATUS=%s", status);
}

void notify_reloading(void)
{
    struct timespec now = { 0 };

    clock_gettime(CLOCK_MONOTONIC, &now);
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void notify_stopping(const char *status)
{
    sd_notifyf(0, "STOPPING=1\nSTATUS=%s", status);
}

/* 0 when WATCHDOG_USEC is not set, or meant for another process. */
static uint64_t watchdog_us(void)
{
    uint64_t interval_us;

    return sd_watchdog_enabled(0, &interval_us) > 0 ? interval_us : 0;
}

void notify_watchdog(void)
{
    if (watchdog_us() > 0)
        sd_notify(0, "WATCHDOG=1");
}

uint32_t notify_watchdog_interval_ms(void)
{
    uint64_t half_ms = watchdog_us() / 2000;

    return half_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)half_ms;
}
