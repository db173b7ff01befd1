#!/usr/bin/python3
"""layers_test.py: dependencies point one way: main -> shell -> core -> proto.

A core decides; it has no socket, no database, no clock and no randomness, so that years of it can be replayed from a seed. What a
file may include follows from its layer, and the layer from the table below. Run by pytest or by itself.
"""

import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# The shells, files without their ending. In daemon/ and agents/ everything else is a core, a new file too; in a driver's folder it is the
# other way round.
SHELLS = {
    "daemon": ["crashes", "main", "net", "preview_json", "schema", "settings", "status", "store", "store_debts", "store_holds", "store_read",
               "store_scan", "store_sql",
               "store_write"],
    "agents": ["check", "drivers", "link", "main", "requests", "run", "settings", "status"],
}
CORES = {
    "agents/csv": ["compare", "corrections", "encoding", "form", "refusal", "sheet", "spelling", "titles"],
    "agents/postgres": ["absent", "alterations", "applied", "beyond", "fold", "key_index", "parked", "pgoutput", "rejoin",
                        "row_view", "stream", "touched"],
}

# Headers that the build makes of SQL files.
GENERATED = {"schema_sql.h", "audit_sql.h", "state_sql.h"}

# Folders of ours that a file of each folder may include.
FOLDERS = {
    "proto": {"proto"},
    "shell": {"proto", "shell"},
    "daemon": {"proto", "shell", "daemon"},
    "agents": {"proto", "shell", "agents", "agents/csv"},
    "agents/csv": {"proto", "shell", "agents", "agents/csv"},
    "agents/postgres": {"proto", "shell", "agents", "agents/postgres"},
    "cli": {"proto", "shell", "cli"},
}
# `selaras check` reads the daemons' files by their own tables of settings.
CLI_ALSO = {"daemon/settings.h", "agents/settings.h"}

# The world: what a core and proto never include ...
WORLD_HEADERS = re.compile(r"^(czmq|zmq|zmq_utils|libpq-fe|sqlite3|libpq/.*|postgres.*|systemd/.*|sys/socket|sys/un|netinet/.*|poll|sys/epoll|"
                           r"sys/timerfd|sys/signalfd|signal|unistd|fcntl|pthread)\.h$")
# ... and never call.
WORLD_CALLS = re.compile(r"\b(time|clock|clock_gettime|gettimeofday|localtime(_r)?|gmtime(_r)?|rand|random|srand|getrandom|getentropy|"
                         r"randombytes_\w+|RAND_\w+|nanosleep|usleep|sleep|getenv|fopen)\s*\(")
# Rules of time zones stand in the system's tz database, which libc reads for the zone that TZ names: once, when a mapping is built.
CORE_CALLS = {"proto/zone.c": {"localtime_r", "getenv"}}
# No core includes a header of shell/, but driver.h names the loop, whose type the driver's table needs.
CORE_SHELL = {"agents/driver.h": {"shell/loop.h"}}


def strip(text):
    """C without comments and the insides of literals, lines kept."""
    def blank(match):
        token = match.group(0)
        if token.startswith("/"):
            return re.sub(r"[^\n]", " ", token)
        return token[0] + token[-1]
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def files():
    for folder in FOLDERS:
        for path in sorted(glob.glob(f"{ROOT}/{folder}/*.[ch]")):
            yield folder, os.path.relpath(path, ROOT)


def read(path):
    with open(f"{ROOT}/{path}", encoding="utf-8") as file:
        return file.read()


def is_test(path):
    return path.endswith("_test.c") or "fixture" in path


def is_core(folder, path):
    if folder == "proto":
        return True
    stem = os.path.splitext(os.path.basename(path))[0].removesuffix("_test")
    return stem not in SHELLS[folder] if folder in SHELLS else stem in CORES.get(folder, [])


def includes(path):
    for line, text in enumerate(read(path).splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', text)
        if match:
            yield line, match.group(1) == '"', match.group(2)


def folder_problems(folder, path):
    allowed = FOLDERS[folder]
    for line, ours, header in includes(path):
        if not ours:
            continue
        place = os.path.dirname(header)
        if not place and header not in GENERATED:
            yield f"{path}:{line}: \"{header}\" is included without its folder"
        elif place and place not in allowed and not (folder == "cli" and header in CLI_ALSO):
            yield f"{path}:{line}: {folder}/ must not include {header}"


def shell_headers(folder):
    """Headers of this folder that belong to its shell."""
    return {path for place, path in files() if place == folder and path.endswith(".h") and not is_core(folder, path)}


def core_problems(folder, path):
    for line, ours, header in includes(path):
        if not ours and WORLD_HEADERS.match(header):
            yield f"{path}:{line}: a core includes <{header}>"
        if ours and header.startswith("shell/") and header not in CORE_SHELL.get(path, ()):
            yield f"{path}:{line}: a core includes {header}"
        if ours and os.path.dirname(header) in (*SHELLS, *CORES) and header in shell_headers(os.path.dirname(header)):
            yield f"{path}:{line}: a core includes {header}, which is shell (or a core that the tables above do not know)"
    for line, text in enumerate(strip(read(path)).splitlines(), 1):
        match = WORLD_CALLS.search(text)
        if match and not text.lstrip().startswith("#") and match.group(1) not in CORE_CALLS.get(path, ()):
            yield f"{path}:{line}: a core calls {match.group(1)}()"


def problems():
    for folder, path in files():
        yield from folder_problems(folder, path)
        if is_core(folder, path) and not is_test(path):
            yield from core_problems(folder, path)


def test_dependencies_point_one_way():
    assert not list(problems())


def test_every_file_named_is_there():
    """A renamed file must not slip out of the rules."""
    missing = [f"{folder}/{stem}" for folder, stems in [*SHELLS.items(), *CORES.items()] for stem in stems
               if not glob.glob(f"{ROOT}/{folder}/{stem}.[ch]")]
    assert not missing, f"named and not there: {missing}"


def test_the_rules_can_fail(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", str(tmp_path))
    (tmp_path / "daemon").mkdir()
    (tmp_path / "daemon" / "reconcile.c").write_text(
        '#include <czmq.h>\n#include "shell/pg.h"\n#include "agents/agent.h"\n'
        '#include "store.h"\nint f(void)\n{\n    return (int)time(NULL); /* time(0) */\n}\n')
    found = list(problems())
    assert len(found) == 5, found


def main():
    found = list(problems())
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
