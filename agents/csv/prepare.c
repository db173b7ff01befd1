#include "agents/csv/prepare.h"

#include "agents/csv/folder.h"
#include "agents/csv/form.h"
#include "shell/text.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whose the folders are when root makes them: the daemon's. Left as they are otherwise. */
static int find_owner(uid_t *ret_user, gid_t *ret_group, struct error *err)
{
    const struct passwd *user = geteuid() == 0 ? getpwnam("selaras") : NULL;

    if (geteuid() == 0 && !user)
        return error_set(err, ERR_STOP, _("there is no user selaras: run systemd-sysusers first"));
    if (user) {
        *ret_user = user->pw_uid;
        *ret_group = user->pw_gid;
    }
    return 0;
}

static bool make(const char *path, mode_t bits, uid_t user, gid_t group)
{
    return mkdir(path, 0700) == 0 && chown(path, user, group) == 0 && chmod(path, bits) == 0;
}

/* Writes what makes the folder, unless it is there; with `apply` makes it. */
static int folder(const char *path, const char *mode, mode_t bits, bool apply, FILE *out, struct error *err)
{
    struct stat status;
    uid_t user = geteuid();
    gid_t group = getegid();

    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return 0;
    fprintf(out, "install -d -o selaras -g selaras -m %s '%s'\n", mode, path);
    if (!apply)
        return 0;
    if (find_owner(&user, &group, err) < 0)
        return err->code;
    return make(path, bits, user, group) ? 0 : error_set(err, ERR_STOP, _("making %s: %s"), path, strerror(errno));
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
    code = folder(options->folder, "2770", 02770, apply, out, err);
    for (int i = 0; folder_names[i] && code == 0; i++)
        code = folder(arena_printf(arena, "%s/%s", options->folder, folder_names[i]), "2770", 02770, apply, out, err);
    if (code == 0)
        code = folder(options->state, "0700", 0700, apply, out, err);
    arena_free(&arena);
    return code;
}
