#include "agents/csv/prepare.h"

#include "agents/csv/folder.h"
#include "agents/csv/form.h"
#include "shell/text.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The daemon's, when root makes it. */
static int give_away(const char *path, struct error *err)
{
    const struct passwd *user;

    if (geteuid() != 0)
        return 0;
    user = getpwnam("selaras");
    if (!user)
        return error_set(err, ERR_STOP, _("there is no user selaras: run systemd-sysusers first"));
    if (chown(path, user->pw_uid, user->pw_gid) == 0)
        return 0;
    return error_set(err, ERR_STOP, _("giving %s to user selaras: %s"), path, strerror(errno));
}

/* Writes what makes the folder, unless it is there; with `apply` makes it. */
static int folder(const char *path, const char *mode, mode_t bits, bool apply, FILE *out, struct error *err)
{
    struct stat status;

    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return 0;
    fprintf(out, "install -d -o selaras -g selaras -m %s '%s'\n", mode, path);
    if (!apply)
        return 0;
    if (mkdir(path, 0700) == 0 && (give_away(path, err) < 0 || chmod(path, bits) == 0))
        return err->code;
    return error_set(err, ERR_STOP, _("making %s: %s"), path, strerror(errno));
}

int csv_prepare(const struct driver_options *options, const struct mapping *mapping, const char *dsn, bool apply,
                FILE *out, struct error *err)
{
    struct arena *arena;
    int code;

    if (dsn)
        return error_set(err, ERR_STOP, _("--dsn is for agencies with a database"));
    arena = arena_new();
    fprintf(out,
            "# Lists are saved in %s, named %s, as .csv or .xlsx.\n# Those who make them must be in group selaras.\n"
            "# Under systemd, in /etc/systemd/system/selaras-agent@%s.service.d/folder.conf:\n"
            "#     [Service]\n"
            "#     ReadWritePaths=%s\n",
            options->folder, forms_names(arena, mapping, options->forms), options->agency, options->folder);
    err->code = 0;
    code = folder(options->folder, "2770", 02770, apply, out, err);
    for (int i = 0; folder_names[i] && code == 0; i++)
        code = folder(arena_printf(arena, "%s/%s", options->folder, folder_names[i]), "2770", 02770, apply, out, err);
    if (code == 0)
        code = folder(options->state, "0700", 0700, apply, out, err);
    arena_free(&arena);
    return code;
}
