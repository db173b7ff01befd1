#include "daemon/settings.h"

#include "shell/text.h"
#include "shell/zpl.h"

#include <stddef.h>
#include <stdint.h>

#define FIELD(name) offsetof(struct broker_settings, name)

const struct setting broker_setting_table[] = {
    { "broker/endpoint", SETTING_TEXT, FIELD(endpoint), 0, 0, "tcp://*:5570", false, N_("where agents connect to") },
    { "broker/key", SETTING_TEXT, FIELD(key), 0, 0, "/etc/selaras/broker.key", false,
      N_("the broker's CURVE key file") },
    { "broker/database", SETTING_TEXT, FIELD(database), 0, 0, "dbname=selaras", false,
      N_("connection string of the broker's database") },
    { "broker/catalog", SETTING_TEXT, FIELD(catalog), 0, 0, "/etc/selaras/catalog.zpl", false,
      N_("what the agencies agreed on") },
    { "broker/control", SETTING_TEXT, FIELD(control), 0, 0, "/run/selaras/broker.socket", false,
      N_("where `selaras` asks") },
    { "broker/window", SETTING_SIZE, FIELD(window_bytes), 1 << 21, 1 << 28, "8MiB", false,
      N_("changes that an agency may send before they are stored") },
    { "broker/stage-total", SETTING_SIZE, FIELD(total_bytes), 1 << 20, UINT64_C(1) << 34, "64MiB", false,
      N_("the same of all agencies together; each may always send 1.3 MiB") },
    { "broker/stage-limit", SETTING_SIZE, FIELD(stage_bytes), 1 << 20, UINT64_C(1) << 34, "80MiB", false,
      N_("largest transaction of an agency; one at a time may be larger than what it may send ahead") },
    { "broker/batch", SETTING_NUMBER, FIELD(batch_changes), 1, 100000, "4000", false,
      N_("changes that are stored in one transaction") },
    { "broker/feed", SETTING_NUMBER, FIELD(feed_items), 1, 10000, "1000", false,
      N_("items that an agency applies in one transaction") },
    { "broker/cache", SETTING_SIZE, FIELD(cache_bytes), 0, UINT64_C(1) << 34, "64MiB", false,
      N_("memory for records that have changed lately") },
    { 0 },
};

int broker_settings_read(struct arena *arena, const char *path, struct broker_settings *ret, struct error *err)
{
    const struct tree *tree;
    const char *text;
    size_t length;

    if (file_read(arena, path, &text, &length, err) < 0 || zpl_parse(arena, path, text, length, &tree, err) < 0)
        return err->code;
    if (settings_fill(arena, broker_setting_table, tree, NULL, ret, err) < 0)
        return error_wrap(err, "%s", path);
    return 0;
}
