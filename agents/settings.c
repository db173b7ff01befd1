#include "agents/settings.h"

#include "shell/key.h"
#include "shell/log.h"
#include "shell/zpl.h"

#include <string.h>

#define AT(member) offsetof(struct agent_settings, member)

const struct setting agent_settings_table[] = {
    { "agent/agency", SETTING_TEXT, AT(agency), 0, 0, NULL, false,
      "name of the agency, as the broker's catalog has it" },
    { "agent/database", SETTING_TEXT, AT(database), 0, 0, NULL, false,
      "libpq connection string of the agency's database" },
    { "agent/key", SETTING_TEXT, AT(key), 0, 0, NULL, false, "path of the agent's key file (selaras key new)" },
    { "agent/control", SETTING_TEXT, AT(control), 0, 0, "", false,
      "path of the socket by which selaras asks this agent; default /run/selaras/agent-AGENCY.socket" },
    { "agent/fence-interval", SETTING_DURATION, AT(fence_interval_ms), 100, 300000, "10s", false,
      "how often the database proves that it goes on from where it was" },
    { "agent/retry-interval", SETTING_DURATION, AT(retry_interval_ms), 100, 86400000, "60s", false,
      "how often parked records are tried again" },
    { "agent/unlimited-wal", SETTING_YES, AT(unlimited_wal), 0, 0, "no", false,
      "start although max_slot_wal_keep_size is unlimited" },
    { "agent/log", SETTING_TEXT, AT(log), 0, 0, "note", false, "what is logged: error, warning, note or detail" },
    { "broker/endpoint", SETTING_TEXT, AT(broker_endpoint), 0, 0, NULL, false,
      "where the broker listens: tcp://HOST:PORT" },
    { "broker/key", SETTING_TEXT, AT(broker_key_text), 0, 0, NULL, false,
      "the broker's public key, 64 hexadecimal digits" },
    { 0 },
};

static const struct {
    const char *word;
    int level;
} levels[] = { { "error", LOG_ERROR }, { "warning", LOG_WARN }, { "note", LOG_NOTE }, { "detail", LOG_DETAIL } };

static int read_level(struct agent_settings *settings, struct error *err)
{
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (strcmp(settings->log, levels[i].word) == 0) {
            settings->log_level = levels[i].level;
            return 0;
        }
    return error_set(err, ERR_REJECT, "agent/log: \"%.40s\" is none of error, warning, note, detail", settings->log);
}

static int read_tree(struct arena *arena, const struct tree *tree, struct agent_settings *ret, struct error *err)
{
    static const char *const others[] = { "mapping", NULL };
    const struct tree *mapping = tree_child(tree, "mapping");

    if (settings_fill(arena, agent_settings_table, tree, others, ret, err) < 0)
        return err->code;
    if (!name_is_valid(ret->agency, AGENCY_NAME_BYTES))
        return error_set(
            err, ERR_REJECT,
            "agent/agency: \"%.40s\" is no name: at most %d lower-case letters, digits and underscores, a letter first",
            ret->agency, AGENCY_NAME_BYTES);
    if (ret->control[0] == '\0')
        ret->control = arena_printf(arena, "/run/selaras/agent-%s.socket", ret->agency);
    if (read_level(ret, err) < 0)
        return err->code;
    if (key_parse(ret->broker_key_text, ret->broker_key, err) < 0)
        return error_wrap(err, "broker/key");
    if (!mapping)
        return error_set(err, ERR_REJECT,
                         "there is no section \"mapping\": it says how this agency's tables are to be read");
    return mapping_build(arena, mapping, &ret->mapping, err);
}

int agent_settings_read(struct arena *arena, const char *path, struct agent_settings *ret, struct error *err)
{
    const struct tree *tree;
    const char *text;
    size_t length;

    *ret = (struct agent_settings){ 0 };
    if (file_read(arena, path, &text, &length, err) < 0 || zpl_parse(arena, path, text, length, &tree, err) < 0)
        return err->code;
    if (read_tree(arena, tree, ret, err) < 0)
        return error_wrap(err, "%s", path);
    return 0;
}

struct driver_options agent_driver_options(const struct agent_settings *settings)
{
    return (struct driver_options){
        .agency = settings->agency,
        .database = settings->database,
        .fence_interval_ms = settings->fence_interval_ms,
        .retry_interval_ms = settings->retry_interval_ms,
        .allow_unlimited_wal = settings->unlimited_wal,
    };
}
