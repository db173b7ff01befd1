"""history.py: databases whose history is in doubt: copies, restores and promotions of real servers, and what must be true afterwards."""

import os
import re
import shutil
import signal
import subprocess

import residents
from cluster import Postgres, wait_for
from region import Region

ARRIVES = 40        # seconds: a copy is asked to wait for 15 before it counts as restored


class Place:
    """A region in step that each test gets as it was: its servers' folders are put back."""

    def __init__(self, count=40, seed=5):
        self.people = residents.generate(count, seed)
        self.region = Region()
        for server in self.servers():       # they are stopped and killed often, but the machine never is
            server.settings["fsync"] = "off"

    def make(self):
        region = self.region
        region.create_sample(self.people)
        region.configure(fence_interval="250ms")
        region.start()
        region.wait_in_step()
        region.stop_gracefully()
        for server in self.servers():
            copy_folder(server.data, f"{server.folder}/as-it-was")
        return self

    def servers(self):
        return [self.region.postgres, *(agency.postgres for agency in self.region.agencies.values())]

    def put_back(self):
        for server in self.servers():
            for folder in os.scandir(server.folder):
                if folder.is_dir() and folder.name != "as-it-was":
                    shutil.rmtree(folder)
            copy_folder(f"{server.folder}/as-it-was", server.data)
            server.start()
        for server in self.servers():
            server.ready()
        for agency in self.region.agencies.values():
            set_interval(agency, "250ms")
        self.region.start_broker()
        for agency in self.region.agencies.values():
            agency.start()
        self.region.wait_in_step()
        self.unused = [person for person in self.people
                       if person.at_dinsos and person.at_dinkes and not person.corrected_nik and not person.dinkes_knows]
        return self.region

    def pick(self):
        return self.unused.pop()

    def clear(self):
        for process in reversed(self.region.run.processes):
            process.send(signal.SIGQUIT if process.name.endswith("-postgres") else signal.SIGKILL)
        for process in self.region.run.processes:
            process.wait(20)


def copy_folder(source, target):
    """With owners and times: what a snapshot of the machine would hold."""
    subprocess.run(["cp", "-a", source, target], check=True)


# What happens to servers

def shut_down(agency):
    """Agent and server, both properly: nothing is on its way."""
    if agency.agent.alive():
        agency.stop()
    agency.postgres.stop(signal.SIGINT)


def start_server(agency):
    agency.postgres.start()
    agency.postgres.ready()


def replace_data(agency, folder):
    """`folder` takes the place of the server's data, which it returns; neither runs."""
    gone = f"{agency.postgres.folder}/gone"
    os.rename(agency.postgres.data, gone)
    os.rename(folder, agency.postgres.data)
    return gone


def base_backup(agency, name):
    """A copy by pg_basebackup of the running server: without slots."""
    server = agency.postgres
    folder = f"{server.folder}/{name}"
    agency.run.call([f"{server.programs}/pg_basebackup", "-D", folder, "-h", server.folder, "-U", "postgres", "-c", "fast",
                     "-X", "stream"])
    return folder


def settle_as(agency, signal_file, **settings):
    """The stopped server's next start is a recovery."""
    data = agency.postgres.data
    agency.run.own_file(f"{data}/{signal_file}")
    with open(f"{data}/postgresql.auto.conf", "a", encoding="utf-8") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())


def promote(agency, frozen=False):
    """Starts the stopped server as a standby of nobody and promotes it: a new timeline, from the end of what it has. `frozen`: its
    checkpointer stands still until what is returned is called."""
    settle_as(agency, "standby.signal")
    start_server(agency)
    checkpointer = int(agency.value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"))
    if frozen:
        os.kill(checkpointer, signal.SIGSTOP)
    agency.query("SELECT pg_promote()")
    return lambda: os.kill(checkpointer, signal.SIGCONT)


def passes_on(region, agency, person, number):
    """A change of this agency that the broker has."""
    column = {"dinsos": "telepon", "dinkes": "no_hp"}[agency.name]
    agency.query(f"UPDATE {agency.table} SET {column} = '{number}' WHERE nik = '{person.nik}'")
    wait_for(f"the change of {agency.name} takes effect", lambda: region.value(
        f"SELECT phone FROM selaras.resident WHERE nik = '{person.nik}'") == number, ARRIVES)


def fence_goes_on(region, agency):
    """The broker has a newer fence row than any copy that was made before."""
    seen = int(agency.value("SELECT max(seq) FROM selaras.fence"))
    wait_for(f"the broker has a newer fence row of {agency.name}", lambda: int(region.value(
        f"SELECT fence_seq FROM selaras.agency WHERE name = '{agency.name}'")) > seen)


def set_interval(agency, interval):
    with open(agency.file, encoding="utf-8") as file:
        text = re.sub(r"fence-interval = .*", f"fence-interval = {interval}", file.read())
    agency.run.write(f"{agency.name}.zpl", text)


def another_server(agency, folder, name):
    """The copy in `folder` as a server of its own beside production, on its own socket: an agency with the same key."""
    server = Postgres(agency.run, name, agency.postgres.settings)
    agency.run.make_folder(server.folder)
    os.rename(folder, server.data)
    settings = {**agency.postgres.settings, "unix_socket_directories": server.folder}
    with open(f"{server.data}/postgresql.auto.conf", "a", encoding="utf-8") as file:
        file.writelines(f"{key} = '{value}'\n" for key, value in settings.items())
    server.start()
    server.ready()
    with open(agency.file, encoding="utf-8") as file:
        text = (file.read().replace(f"host={agency.postgres.folder} ", f"host={server.folder} ")
                .replace(agency.control, f"{server.folder}/agent.sock"))
    return server, agency.run.write(f"{name}.zpl", text)


# What must be true

class Mark:
    """What the broker has of an agency before anything doubtful happens."""

    def __init__(self, region, agency):
        self.region, self.agency = region, agency
        self.had = self.has()

    def has(self):
        return self.region.query(
            f"SELECT lsn, incarnation, (SELECT count(*) FROM selaras.entry WHERE kind = 'change' AND agency = '{self.agency.name}')"
            f" FROM selaras.agency WHERE name = '{self.agency.name}'")

    def state(self):
        return self.region.query(
            f"SELECT state, coalesce(reason, '') FROM selaras.agency WHERE name = '{self.agency.name}'")[0]

    def quarantines(self):
        return self.region.value(
            f"SELECT count(*) FROM selaras.entry WHERE kind = 'quarantine' AND agency = '{self.agency.name}'")

    def assert_quarantined(self, *words, instead=None):
        """At the broker, with the reason, in the ledger; nothing of it was taken; its agent has ended, and starting it again
        changes nothing. `instead`: another reason that may be noticed first."""
        agency, name = self.agency, self.agency.name
        wait_for(f"{name} is quarantined", lambda: self.state()[0] == "quarantined", ARRIVES)
        if instead and instead in self.state()[1]:
            words = (instead,)
        for word in words:
            assert word in self.state()[1], self.state()[1]
        assert agency.agent.wait(20) > 0
        status, output, _ = self.region.selaras("status", check=False)
        assert status == 1
        assert f"{name} is quarantined" in output and words[0] in " ".join(output.split())
        self.assert_nothing_taken()
        agency.start(wait=False)
        assert agency.agent.wait(20) > 0
        assert "history" in agency.agent.text()
        self.assert_nothing_taken()

    def assert_nothing_taken(self):
        assert self.has() == self.had
        assert self.state()[0] == "quarantined"
        assert self.quarantines() == "1"

    def load_anew(self):
        """The operator's remedy, after which all are in step again."""
        self.region.selaras("agency", "reload", self.agency.name, "--ground", "SK 12/2026")
        assert self.region.query("SELECT kind, refers = (SELECT max(position) FROM selaras.entry WHERE kind = 'quarantine')"
                                 " FROM selaras.entry ORDER BY position DESC LIMIT 1") == [("resumed", "t")]
        self.agency.start()
        assert self.region.value(f"SELECT incarnation FROM selaras.agency WHERE name = '{self.agency.name}'") == "2"
        self.region.wait_in_step()
        assert self.region.audit_problems() == []

    def assert_others_go_on(self, person):
        other = self.region.agencies["dinkes" if self.agency.name == "dinsos" else "dinsos"]
        passes_on(self.region, other, person, "081299990001")
        assert self.region.query(f"SELECT state FROM selaras.agency WHERE name = '{other.name}'") == [("active",)]
        assert self.region.audit_problems() == []
