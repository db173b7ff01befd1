/* What an agent needs before it starts: what its file alone can say, then what `selaras-agent --check` says of its
 * database. */
#include "agents/settings.h"
#include "cli/checks.h"
#include "cli/program.h"
#include "shell/key.h"
#include "shell/text.h"

#include <stdio.h>
#include <string.h>

struct subject {
    struct arena *arena;
    const char *path;
    struct agent_settings settings;
};

static int check_file(void *context, char note[CHECK_NOTE_MAX], struct error *err)
{
    struct subject *subject = context;

    if (agent_settings_read(subject->arena, subject->path, &subject->settings, err) < 0)
        return err->code;
    snprintf(note, CHECK_NOTE_MAX, _("agency %s, mapped blocks: %d"), subject->settings.agency,
             subject->settings.mapping.block_count);
    return 0;
}

static int check_key(void *context, char note[CHECK_NOTE_MAX], struct error *err)
{
    const struct subject *subject = context;
    struct key key;
    char hex[65];

    if (key_read(subject->settings.key, &key, err) < 0)
        return err->code;
    key_hex(key.public_key, hex);
    key_wipe(&key);
    snprintf(note, CHECK_NOTE_MAX, _("on the broker: selaras key enrol %s %s"), subject->settings.agency, hex);
    return 0;
}

/* The lines of the agent's answer that warn of something. */
static void warnings_take(const char *answer, char note[CHECK_NOTE_MAX])
{
    size_t length = 0;

    for (const char *line = answer; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (!strncmp(line, "warning: ", strlen("warning: ")) && length < CHECK_NOTE_MAX - 1)
            length += (size_t)snprintf(note + length, CHECK_NOTE_MAX - length, "%s%.*s", length > 0 ? "; " : "",
                                       (int)strcspn(line, "\n"), line);
}

static int check_program(void *context, char note[CHECK_NOTE_MAX], struct error *err)
{
    const struct subject *subject = context;
    const char *const arguments[] = { "--check", subject->path, NULL };
    const char *answer;

    if (agent_program(subject->arena, arguments, &answer, err) < 0)
        return err->code;
    warnings_take(answer, note);
    return 0;
}

#define FILE_CHECK N_("configuration")

static const struct check checks[] = {
    { FILE_CHECK, NULL, check_file },
    { N_("key"), FILE_CHECK, check_key },
    { N_("database"), FILE_CHECK, check_program },
    { 0 },
};

bool check_agent_file(const struct call *call, struct output *output, const char *path)
{
    struct subject subject = { .arena = call->arena, .path = path };

    return checks_run(output, path, checks, &subject);
}
