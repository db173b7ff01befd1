"""region.py: the sample's regency as running servers: a broker and its agencies, five (ALL) or the two that most tests need.

Used by the story that quickstart tells and by the tests.
"""

import json
import os
import signal

import offices
import residents
from agency import SAMPLE, PostgresAgency
from clerk import TENGGARONG, ListAgency
from cluster import Failed, Postgres, Run, wait_for
from copies import COPIES, TRANSLATED, canonical_digests, digests      # noqa: F401  (TRANSLATED is for tests)

AGENCIES = ["dinsos", "dinkes"]                 # what most tests need
ALL = ["bappeda", "dinsos", "dinkes", "dp2kb", "tenggarong"]     # who owns something joins before those who only read it
TABLES = {"dinsos": "penerima_bantuan", "dinkes": "peserta_jkn"}        # of residents


def make_agency(region, name):
    if name == "tenggarong":
        return ListAgency(region, name, f"{SAMPLE}/{name}.zpl.in", TENGGARONG)
    return PostgresAgency(region, name, table=TABLES.get(name))


class Region:
    """The broker, its database, and its agencies."""

    def __init__(self, build=None, keep=False, agencies=None):
        self.run = Run(build, keep)
        self.endpoint = f"tcp://127.0.0.1:{self.run.port}"
        self.postgres = Postgres(self.run, "broker")
        self.control = f"{self.run.folder}/broker.sock"
        self.key_file = f"{self.run.folder}/broker.key"
        self.catalog = f"{SAMPLE}/catalog.zpl"
        self.key = None
        self.broker = None
        self.run.environment.update(SELARAS_SOCKET=self.control, SELARAS_DATABASE=self.postgres.dsn("selaras"))
        self.agencies = {name: make_agency(self, name) for name in (AGENCIES if agencies is None else agencies)}

    def __getattr__(self, name):
        """region.dinsos is region.agencies["dinsos"]."""
        agencies = self.__dict__.get("agencies", {})
        if name in agencies:
            return agencies[name]
        raise AttributeError(name)

    def databases(self):
        """The agencies that have a database."""
        return {name: agency for name, agency in self.agencies.items() if agency.postgres}

    # Making it

    def create_servers(self):
        """All clusters at once, started and answering, with databases and the agencies' own tables."""
        servers = list(dict.fromkeys([self.postgres, *(agency.postgres for agency in self.databases().values())]))
        making = [(server, server.create()) for server in servers]
        for server, process in making:
            server.created(process)
        for server in servers:
            server.start()
        for server in servers:
            server.ready()
        self.postgres.query("postgres", "CREATE DATABASE selaras")
        for agency in self.databases().values():
            agency.create_tables()

    def create_sample(self, people):
        """The servers, and in the agencies' tables what they know of these people (sample/residents.py); where all five are there, in
        all of their tables (sample/offices.py)."""
        self.create_servers()
        folder = self.run.make_folder(f"{self.run.folder}/residents")
        residents.write(people, folder)
        if len(self.agencies) == len(ALL):
            for nik, row in offices.write(people, folder).items():
                self.tenggarong.put(nik, **row)
        for name, agency in self.databases().items():
            for path in (f"{folder}/{name}.copy.sql", f"{folder}/{name}.more.copy.sql"):
                if os.path.exists(path):
                    agency.postgres.script(name, path)

    def configure(self, **settings):
        """Keys and files of all; `settings` go to the agents."""
        self.key = self.make_key(self.key_file)
        with open(self.catalog, encoding="utf-8") as file:
            self.run.write("catalog.zpl", file.read())
        self.run.write("broker.zpl", "# Made for this run.\n"
                       "broker\n"
                       f'    endpoint = "{self.endpoint}"\n'
                       f'    key = "{self.key_file}"\n'
                       f'    database = "{self.postgres.dsn("selaras")}"\n'
                       f'    catalog = "{self.run.folder}/catalog.zpl"\n'
                       f'    control = "{self.control}"\n')
        for agency in self.agencies.values():
            agency.configure(**settings)

    def make_key(self, path):
        """`selaras key new` prints the public key."""
        _, output, _ = self.run.call([self.run.program("selaras"), "key", "new", path])
        for word in output.split():
            if len(word) == 64 and all(digit in "0123456789abcdef" for digit in word):
                return word
        raise Failed(f"selaras key new printed no key: {output!r}")

    def start_broker(self, wait=True):
        assert self.broker is None or not self.broker.alive()
        self.broker = self.run.start("broker", [self.run.program("selaras-broker"), f"{self.run.folder}/broker.zpl"])
        if wait:
            self.wait_broker()

    def wait_broker(self):
        """Until it answers on its control socket, well or not (an agency may be quarantined by then), and serves."""
        def answers():
            self.broker.must_live()
            output = self.selaras("status", "--json", check=False)[1] if os.path.exists(self.control) else ""
            return '"agencies"' in output and not json.loads(output)["waiting"]
        wait_for("the broker answers", answers, 30)

    def start(self):
        """Everything up, empty or with what was loaded before: broker first, then one agency after the other."""
        self.start_broker()
        for agency in self.agencies.values():
            agency.join()

    def enrol(self, name, key, mode="full"):
        self.selaras("key", "enrol", name, key)
        if mode and self.value(f"SELECT mode FROM selaras.agency WHERE name = '{name}'") != mode:
            self.selaras("agency", "mode", name, mode, "--ground", "SK 1/2026")

    def selaras(self, *arguments, check=True):
        """Runs `selaras` for this broker: (status, output, error output)."""
        return self.run.call([self.run.program("selaras"), *arguments], check=check)

    def status(self):
        return json.loads(self.selaras("status", "--json")[1])

    def query(self, sql):
        return self.postgres.query("selaras", sql)

    def value(self, sql):
        return self.postgres.value("selaras", sql)

    # Looking at it

    def differences(self):
        """What is not in step: a list of sentences, empty when every table compares equal."""
        found = []
        names = [name for name in self.databases() if name in COPIES]
        ours = self.rows_by_number(self.postgres, "selaras", canonical_digests([copy for name in names for copy in COPIES[name]]))
        for name in names:
            theirs = self.rows_by_number(self.agencies[name].postgres, name, digests(COPIES[name]))
            for number, copy in enumerate(COPIES[name]):
                hashed, canonical = theirs[number], ours[number]
                if hashed != canonical:
                    found.append(f"{name} has {hashed[1]} records in {copy.tables} that hash to {hashed[0]}, the broker"
                                 f" {canonical[1]} of type {copy.type} to {canonical[0]}")
            ours = {number - len(COPIES[name]): row for number, row in ours.items()}
        for agency in self.agencies.values():
            if not agency.postgres:
                found += agency.list_differences(whole=False)
        return found

    @staticmethod
    def rows_by_number(server, database, sql):
        return {int(row[0]): row[1:] for row in server.query(database, sql)} if sql else {}

    def backlog(self):
        """What is still on its way: a list of sentences, empty when the agencies' streams are read to their end, the broker has
        committed it, and every agency has applied its feed."""
        found = []
        head = int(self.value("SELECT head FROM selaras.state"))
        for name, agency in self.agencies.items():
            ours = self.query("SELECT state, applied, lsn, '0/0'::pg_lsn + lsn::numeric FROM selaras.agency"
                              f" WHERE name = '{name}'")
            if not ours or ours[0][0] != "active":
                found.append(f"{name} is {ours[0][0] if ours else 'unknown'}")
                continue
            behind = agency.postgres and agency.query("SELECT pg_current_wal_insert_lsn(), confirmed_flush_lsn FROM pg_replication_slots"
                                  f" WHERE slot_name = 'selaras_{name}'")
            if agency.postgres and not behind:
                found.append(f"{name} has no slot")
            if int(ours[0][1]) < head:
                found.append(f"{name} has applied {ours[0][1]} of {head}")
        return found

    def streams_read(self, marks):
        """Whether the broker has committed each agency's stream up to its mark."""
        passed = dict(self.query("SELECT name, lsn FROM selaras.agency"))
        return all(int(passed[name]) >= int(mark) for name, mark in marks.items())

    def wait_in_step(self, seconds=60, changes=None):
        """Until every change that was made until now has its entry and every copy compares equal. The first is known by how many
        changes each agency has made (`changes`: agency to number), or else by position, which an idle agency sends with its
        next fence."""
        marks = {name: agency.value("SELECT pg_current_wal_insert_lsn() - '0/0'") for name, agency in self.databases().items()}

        def arrived():
            for process in [self.broker, *(agency.agent for agency in self.agencies.values())]:
                process.must_live()
            if changes is None:
                heard = self.streams_read(marks)
            else:
                heard = all(self.change_entries(name) >= number for name, number in changes.items())
            return heard and not self.differences()

        try:
            wait_for("in step", arrived, seconds)
        except Failed as failed:
            what = self.differences() + self.backlog() + self.parked()
            raise Failed(f"{failed}:\n  " + "\n  ".join(what or ["equal, but not every change has arrived"])) from None

    def parked(self):
        found = []
        for name, agency in self.databases().items():
            if agency.value("SELECT to_regclass('selaras.parked') IS NOT NULL") == "t":
                found += [f"{name} has parked record {row[0]} of {row[1]}: {row[2]}"
                          for row in agency.query("SELECT record, block, reason FROM selaras.parked ORDER BY record LIMIT 5")]
        return found

    def audit_problems(self):
        """The ledger's own promises: dense positions, each source change once, no canonical effect without its entry."""
        found = []
        # A load's number is its piece's: there, each record stands once.
        rows = self.query("SELECT agency, incarnation, lsn, number, CASE operation WHEN 'load' THEN record END, count(*)"
                          " FROM selaras.entry WHERE kind = 'change' GROUP BY 1, 2, 3, 4, 5 HAVING count(*) > 1 LIMIT 5")
        found += [f"the change of {row[0]} at {row[1]}/{row[2]}/{row[3]} stands {row[5]} times" for row in rows]
        row = self.query("SELECT count(*), max(position) - min(position) + 1, (SELECT head FROM selaras.state) - max(position)"
                         " FROM selaras.entry")[0]
        if row[0] != row[1] or row[2] != "0":
            found.append(f"the ledger is not dense: {row[0]} entries over {row[1]} positions, head {row[2]} beyond the last")
        types = self.query("SELECT DISTINCT type FROM selaras.entry WHERE record > 0") or [("resident",)]
        canonical = " UNION ALL ".join(f"SELECT '{name}' AS type, number FROM selaras.{name}" for name, in types)
        rows = self.query(f"SELECT type, record FROM selaras.entry WHERE record > 0 EXCEPT ({canonical}) LIMIT 5")
        found += [f"{row[0]} {row[1]} has entries and no canonical row" for row in rows]
        rows = self.query(f"({canonical}) EXCEPT SELECT type, record FROM selaras.entry LIMIT 5")
        found += [f"{row[0]} {row[1]} is canonical without an entry" for row in rows]
        return found

    def change_entries(self, agency):
        """How many changes of one agency have their entry (loads apart)."""
        return int(self.value(f"SELECT count(*) FROM selaras.entry WHERE kind = 'change' AND agency = '{agency}'"
                              " AND operation <> 'load'"))

    def end(self, remove=True):
        self.run.end(remove)

    def stop_gracefully(self):
        """SIGTERM to the daemons, a fast shutdown of the servers: statuses by name."""
        statuses = {}
        for agency in self.agencies.values():
            if agency.agent and agency.agent.alive():
                statuses[agency.agent.name] = agency.agent.stop()
        if self.broker and self.broker.alive():
            statuses["broker"] = self.broker.stop()
        for server in [self.postgres, *(agency.postgres for agency in self.databases().values())]:
            if server.process and server.process.alive():
                server.stop(signal.SIGINT)
        return statuses

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.end()
