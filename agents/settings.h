/* settings.h: what an agent's file says: its settings and its mapping. */
#ifndef SELARAS_AGENT_SETTINGS_H
#define SELARAS_AGENT_SETTINGS_H

#include "agents/driver.h"
#include "proto/mapping.h"
#include "shell/settings.h"

struct agent_settings {
    const char *agency;
    const char *driver_name;
    const struct driver_ops *driver;
    const char *database; /* libpq connection string; "" for a driver that has none */
    const char *folder, *state;
    uint64_t list_bytes;
    uint32_t list_rows;
    const struct form *forms;
    const char *key;     /* path of the key file */
    const char *control; /* path of the control socket; "" for none */
    const char *log;     /* least important level that is written */
    uint32_t fence_interval_ms;
    uint32_t retry_interval_ms;
    uint32_t notice_days;
    const char *language_name;
    enum why_language language;
    bool unlimited_wal;
    const char *broker_endpoint;
    const char *broker_key_text;
    uint8_t broker_key[32];
    int log_level;
    struct mapping mapping;
};

extern const struct setting agent_settings_table[];

/* Reads `path` into *ret, whose text and mapping are in `arena`. ERR_REJECT or ERR_STOP with path, place and remedy. */
must_check int agent_settings_read(struct arena *arena, const char *path, struct agent_settings *ret,
                                   struct error *err);

/* What of it the driver needs; borrows. */
struct driver_options agent_driver_options(const struct agent_settings *settings);

#endif
