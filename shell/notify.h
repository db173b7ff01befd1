/* notify.h: what systemd is told of this process (sd_notify); nothing happens when it was not started by systemd. */
#ifndef SELARAS_NOTIFY_H
#define SELARAS_NOTIFY_H

#include <stdint.h>

/* Ready to serve, also after a reload; `status` is one line for `systemctl status`. */
void notify_ready(const char *status);
void notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Reading the configuration anew; notify_ready() ends it. */
void notify_reloading(void);
void notify_stopping(const char *status);
/* Feeds the watchdog, if there is one. Call it on proven progress only. */
void notify_watchdog(void);
/* How often the watchdog wants to be fed at least: half of WatchdogSec, in milliseconds; 0 when there is none. */
uint32_t notify_watchdog_interval_ms(void);

#endif
