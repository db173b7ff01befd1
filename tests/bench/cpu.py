"""cpu.py: how much processor time a line's processes have used, from /proc, so that it can be said where a change's time goes."""

import os

from lines import WATCHER

TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


def read_stat(pid):
    """The numbers of /proc/PID/stat after the name, or None when it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def own_ticks(stat):
    return int(stat[11]) + int(stat[12])


def children_of(parent):
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = read_stat(name)
            if stat and int(stat[1]) == parent:
                found[int(name)] = stat
    return found


def machine_ticks():
    """Ticks that all processors of the machine were busy."""
    with open("/proc/stat", encoding="utf-8") as file:
        numbers = [int(word) for word in file.readline().split()[1:9]]
    return sum(numbers) - numbers[3] - numbers[4]


class Meter:
    """Adds up processor time by part of a line, over as many rounds as there are."""

    def __init__(self, line):
        self.line = line
        self.before = {}
        self.used_us = {}       # part to microseconds
        self.others = []        # of each round: share of the machine that was used by others

    def read(self):
        """Ticks by (part, pid); what has ended is its parent's."""
        ticks = {}
        for part, process in self.line.daemons().items():
            stat = read_stat(process.pid) if process else None
            if stat:
                ticks[(part, process.pid)] = own_ticks(stat)
        for part, server in self.line.servers().items():
            names = backends(server)
            stat = read_stat(server.process.pid)
            ticks[(f"{part}: others", server.process.pid)] = own_ticks(stat) + int(stat[13]) + int(stat[14])
            for pid, child in children_of(server.process.pid).items():
                if names.get(pid) != WATCHER:
                    ticks[(f"{part}: {names.get(pid, 'others')}", pid)] = own_ticks(child)
        return ticks

    def begin(self):
        self.before = self.read()
        self.machine_before = machine_ticks()

    def end(self, seconds):
        machine = machine_ticks() - self.machine_before
        total = 0
        for key, ticks in self.read().items():
            used = ticks - self.before.get(key, 0)
            total += used
            self.used_us[key[0]] = self.used_us.get(key[0], 0) + used * TICK_US
        self.others.append((machine - total) * TICK_US / 1e6 / seconds / os.cpu_count())

    def report(self, changes):
        """Lines of text: microseconds a change by part, and the sum."""
        rows = sorted(((us / changes, part) for part, us in self.used_us.items() if us / changes >= 0.05), reverse=True)
        total = sum(self.used_us.values()) / changes
        return [f"  {total:7.1f}  {self.line.name}, all of it"] + [f"  {us:7.1f}  {part}" for us, part in rows]


# A checkpoint or a vacuum is not the change's own, but somebody has to pay for it.
BACKENDS_SQL = f"""
SELECT pid, CASE WHEN application_name = '{WATCHER}' THEN '{WATCHER}'
                 WHEN application_name LIKE 'selaras%' THEN application_name || ' (' || backend_type || ')' ELSE backend_type END
FROM pg_stat_activity WHERE pid <> pg_backend_pid()"""


def backends(server):
    return {int(pid): name for pid, name in server.query("postgres", BACKENDS_SQL)}
