/* settings.h: what broker.zpl may say. */
#ifndef SELARAS_BROKER_SETTINGS_H
#define SELARAS_BROKER_SETTINGS_H

#include "shell/settings.h"

struct broker_settings {
    const char *endpoint; /* where agents connect to, as ØMQ spells it */
    const char *key;      /* file */
    const char *database; /* libpq connection string */
    const char *catalog;  /* file */
    const char *control;  /* socket */
    uint64_t window_bytes;
    uint64_t total_bytes;
    uint64_t stage_bytes;
    uint32_t batch_changes;
    uint32_t feed_items;
    uint64_t cache_bytes;
};

extern const struct setting broker_setting_table[];

/* Reads broker.zpl into `ret`; text in `arena`. ERR_REJECT or ERR_STOP with path and remedy. */
must_check int broker_settings_read(struct arena *arena, const char *path, struct broker_settings *ret,
                                    struct error *err);

#endif
