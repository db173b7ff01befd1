#include "agents/settings.h"

#include "agents/csv/form.h"
#include "shell/key.h"
#include "shell/log.h"
#include "shell/text.h"
#include "shell/zpl.h"

#include <string.h>

#define AT(member) offsetof(struct agent_settings, member)

const struct setting agent_settings_table[] = {
    { "agent/agency", SETTING_TEXT, AT(agency), 0, 0, NULL, false,
      N_("name of the agency, as the broker's catalog has it") },
    { "agent/driver", SETTING_TEXT, AT(driver_name), 0, 0, "postgres", false,
      N_("what the agency keeps its data in: postgres, or csv for lists that people save in a folder") },
    { "agent/database", SETTING_TEXT, AT(database), 0, 0, "", false,
      N_("libpq connection string of the agency's database") },
    { "agent/folder", SETTING_TEXT, AT(folder), 0, 0, "", false, N_("folder that the lists are saved in") },
    { "agent/state", SETTING_TEXT, AT(state), 0, 0, "", false,
      N_("folder of the agent's own, in which it keeps what it knows of the lists") },
    { "agent/list-size", SETTING_SIZE, AT(list_bytes), 1024, UINT64_C(1) << 30, "64MiB", false,
      N_("a list may have so much") },
    { "agent/list-rows", SETTING_NUMBER, AT(list_rows), 1, 10000000, "500000", false,
      N_("a list may have so many rows") },
    { "agent/key", SETTING_TEXT, AT(key), 0, 0, NULL, false, N_("path of the agent's key file (selaras key new)") },
    { "agent/control", SETTING_TEXT, AT(control), 0, 0, "", false,
      N_("path of the socket by which selaras asks this agent; default /run/selaras/agent-AGENCY.socket") },
    { "agent/fence-interval", SETTING_DURATION, AT(fence_interval_ms), 100, 300000, "10s", false,
      N_("how often the database proves that it goes on from where it was") },
    { "agent/retry-interval", SETTING_DURATION, AT(retry_interval_ms), 100, 86400000, "60s", false,
      N_("how often parked records are tried again") },
    { "agent/notice-days", SETTING_NUMBER, AT(notice_days), 1, 36500, "90", false,
      N_("notices that are older are removed from selaras.notice") },
    { "agent/language", SETTING_TEXT, AT(language_name), 0, 0, "id", false,
      N_("what notices in selaras.notice are written in: id (Indonesian) or en (English)") },
    { "agent/unlimited-wal", SETTING_YES, AT(unlimited_wal), 0, 0, "no", false,
      N_("start although max_slot_wal_keep_size is unlimited") },
    { "agent/log", SETTING_TEXT, AT(log), 0, 0, "note", false, N_("what is logged: error, warning, note or detail") },
    { "broker/endpoint", SETTING_TEXT, AT(broker_endpoint), 0, 0, NULL, false,
      N_("where the broker listens: tcp://HOST:PORT") },
    { "broker/key", SETTING_TEXT, AT(broker_key_text), 0, 0, NULL, false,
      N_("the broker's public key, 64 hexadecimal digits") },
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

static int read_language(struct agent_settings *settings, struct error *err)
{
    if (why_language_named(settings->language_name, &settings->language))
        return 0;
    return error_set(err, ERR_REJECT, _("agent/language: \"%.40s\" is none of id, en"), settings->language_name);
}

/* Each driver wants its own. */
static int read_driver(struct agent_settings *settings, struct error *err)
{
    const struct {
        const char *driver, *name, *value, *meaning;
    } wanted[] = {
        { "postgres", "agent/database", settings->database, N_("libpq connection string of the agency's database") },
        { "csv", "agent/folder", settings->folder, N_("folder that the lists are saved in") },
        { "csv", "agent/state", settings->state, N_("folder in which the agent keeps what it knows of the lists") },
    };

    settings->driver = driver_named(settings->driver_name);
    if (!settings->driver)
        return word_error(err, ERR_REJECT, settings->driver_name, driver_names,
                          "agent/driver: there is no driver \"%.40s\"", settings->driver_name);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        bool ours = strcmp(wanted[i].driver, settings->driver_name) == 0;

        if (ours && !*wanted[i].value)
            return error_set(err, ERR_REJECT, _("%s: must be given (%s)"), wanted[i].name, _(wanted[i].meaning));
        if (!ours && *wanted[i].value)
            return error_set(err, ERR_REJECT, _("%s: is for agent/driver = %s"), wanted[i].name, wanted[i].driver);
    }
    return 0;
}

static int read_tree(struct arena *arena, const struct tree *tree, struct agent_settings *ret, struct error *err)
{
    static const char *const others[] = { "mapping", "lists", NULL };
    const struct tree *mapping = tree_child(tree, "mapping"), *lists = tree_child(tree, "lists");

    if (settings_fill(arena, agent_settings_table, tree, others, ret, err) < 0)
        return err->code;
    if (!name_is_valid(ret->agency, AGENCY_NAME_BYTES))
        return error_set(
            err, ERR_REJECT,
            "agent/agency: \"%.40s\" is no name: at most %d lower-case letters, digits and underscores, a letter first",
            ret->agency, AGENCY_NAME_BYTES);
    if (ret->control[0] == '\0')
        ret->control = arena_printf(arena, "/run/selaras/agent-%s.socket", ret->agency);
    if (read_level(ret, err) < 0 || read_language(ret, err) < 0 || read_driver(ret, err) < 0)
        return err->code;
    if (key_parse(ret->broker_key_text, ret->broker_key, err) < 0)
        return error_wrap(err, "broker/key");
    if (!mapping)
        return error_set(err, ERR_REJECT,
                         "there is no section \"mapping\": it says how this agency's tables are to be read");
    if (mapping_build(arena, mapping, &ret->mapping, err) < 0)
        return err->code;
    if (lists && ret->driver != &csv_driver)
        return error_set(err, ERR_REJECT, "section \"lists\" is for agent/driver = csv");
    return forms_build(arena, lists, &ret->mapping, &ret->forms, err);
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
        .folder = settings->folder,
        .state = settings->state,
        .forms = settings->forms,
        .list_bytes = settings->list_bytes,
        .list_rows = settings->list_rows,
        .fence_interval_ms = settings->fence_interval_ms,
        .retry_interval_ms = settings->retry_interval_ms,
        .notice_days = settings->notice_days,
        .language = settings->language,
        .allow_unlimited_wal = settings->unlimited_wal,
    };
}
