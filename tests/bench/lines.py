"""lines.py: the two lines that the benchmarks compare, on one machine: Selaras from dinsos through the broker to dinkes, and
PostgreSQL's own logical replication between two servers with the same settings and the same rows.

Both do the same work: update number n writes n into the family card of the n-th resident, in an order that is mixed but always the
same. dinsos owns that field and dinkes reads it. Each line has its servers to itself, and only one line runs at a time: while a
line is stopped its replication slot keeps the WAL.
"""

import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [f"{HERE}/../e2e", f"{HERE}/../../sample"]

import psycopg                  # noqa: E402
import residents                # noqa: E402
from cluster import AGENCY_SETTINGS, Failed, Postgres, Run, catch_signals, wait_for     # noqa: E402
from agency import SAMPLE       # noqa: E402
from region import Region       # noqa: E402

CARD_BASE = 9 * 10 ** 15        # a family card has 16 digits; greater than any that the sample has, and rising
ROWS_PER_TRANSACTION = 10
SEEN_SECONDS = 600
WATCHER = "selaras bench"       # what our own sessions are called, whose processor time is nobody's

# An application's own statements, one row each, several a transaction; committed without waiting for the disk, because how fast
# the source can commit is not what is measured.
COMMIT_SQL = """
SET synchronous_commit = off;
DO $$
DECLARE
    niks text[] := (SELECT array_agg(nik ORDER BY md5(nik)) FROM penerima_bantuan);
BEGIN
    FOR n IN {first} .. {last} LOOP
        UPDATE penerima_bantuan SET no_kk = ({base} + n)::text WHERE nik = niks[1 + (n - 1) % cardinality(niks)];
        IF n % {rows} = 0 THEN
            COMMIT;
        END IF;
    END LOOP;
END $$"""


def card(number):
    """What update `number` writes."""
    return str(CARD_BASE + number)


def people_everywhere(count, seed=1):
    """Residents whom both agencies know, and say the same of."""
    people = residents.generate(count, seed)
    for person in people:
        person.at_dinsos = person.at_dinkes = True
        person.dinkes_knows = {}
    return people


def connect(postgres, database):
    return psycopg.connect(postgres.dsn(database), autocommit=True, application_name=WATCHER)


class Line:
    """What both lines can do. `written` counts the updates committed at the source so far."""

    def __init__(self, source, source_database, target, target_database, seen_sql):
        self.source, self.source_database = source, source_database
        self.target, self.target_database = target, target_database
        self.seen_sql = seen_sql
        self.written = 0
        self.niks = None

    def prepare_to_watch(self):
        self.niks = [row[0] for row in self.source.query(self.source_database, "SELECT nik FROM penerima_bantuan ORDER BY md5(nik)")]

    def nik(self, number):
        return self.niks[(number - 1) % len(self.niks)]

    def commit(self, count):
        """Commits the next `count` updates at the source, and leaves no maintenance to fall into the round that follows."""
        first, self.written = self.written + 1, self.written + count
        text = COMMIT_SQL.format(first=first, last=self.written, base=CARD_BASE, rows=ROWS_PER_TRANSACTION)
        with connect(self.source, self.source_database) as session:
            for statement in text.split(";\n", 1):
                session.execute(statement)
        for postgres, database in self.databases():
            postgres.query(database, "VACUUM")
            postgres.query(database, "CHECKPOINT")

    def databases(self):
        return [(self.source, self.source_database), (self.target, self.target_database)]

    def watch(self):
        """A session that looks at the target."""
        return connect(self.target, self.target_database)

    def seen(self, session, number):
        """Whether update `number`, or a later one of the same resident, is visible at the target."""
        row = session.execute(self.seen_sql, (self.nik(number),)).fetchone()
        return row is not None and row[0] >= card(number)

    def must_not_see(self, session, number):
        """Else nothing would be measured."""
        if self.seen(session, number):
            raise Failed(f"{self.name}: update {number} is at the target before anything could bring it there")

    def wait_seen(self, session, number, every):
        until = time.monotonic() + SEEN_SECONDS
        while not self.seen(session, number):
            if time.monotonic() > until:
                raise Failed(f"{self.name}: update {number} is not at the target after {SEEN_SECONDS} seconds")
            self.must_live()
            time.sleep(every)


class Selaras(Line):
    """dinsos, its agent, the broker, the agent of dinkes, dinkes."""

    name = "selaras"

    def __init__(self, build):
        self.region = Region(build)
        super().__init__(self.region.dinsos.postgres, "dinsos", self.region.dinkes.postgres, "dinkes",
                         "SELECT no_kartu_keluarga FROM peserta_jkn WHERE nik = %s::char(20)")

    def servers(self):
        return {"source PostgreSQL": self.source, "broker's PostgreSQL": self.region.postgres, "target PostgreSQL": self.target}

    def daemons(self):
        region = self.region
        return {"source agent": region.dinsos.agent, "broker": region.broker, "target agent": region.dinkes.agent}

    def databases(self):
        return [*super().databases(), (self.region.postgres, "selaras")]

    def create(self, people, folder):
        region = self.region
        region.create_servers()
        residents.write(people, folder)
        for name, agency in region.agencies.items():
            agency.postgres.script(name, f"{folder}/{name}.copy.sql")
        region.configure()
        region.start()
        region.wait_in_step()
        self.prepare_to_watch()
        self.stop()

    def start(self):
        for agency in self.region.agencies.values():
            agency.start(wait=False)

    def wait_ready(self):
        for agency in self.region.agencies.values():
            agency.wait_up()

    def must_live(self):
        for process in self.daemons().values():
            process.must_live()

    def stop(self):
        for agency in self.region.agencies.values():
            agency.stop()

    def check(self):
        """Every update has arrived, and has its one entry in the ledger."""
        region = self.region
        region.wait_in_step(changes={"dinsos": self.written, "dinkes": 0})
        entries = region.change_entries("dinsos")
        problems = region.parked() + region.audit_problems()
        if entries != self.written:
            problems.append(f"{self.written} updates have {entries} entries")
        if problems:
            raise Failed("\n  ".join(["selaras:"] + problems))


class Native(Line):
    """A publication and a subscription, as CREATE SUBSCRIPTION makes it; the tables of both sides are dinsos's."""

    name = "native"

    def __init__(self, run):
        # Only how often the launcher may start a worker: a round should not begin with its waiting up to 5 seconds.
        settings = {**AGENCY_SETTINGS, "wal_retrieve_retry_interval": "10ms"}
        super().__init__(Postgres(run, "native-a", AGENCY_SETTINGS), "a", Postgres(run, "native-b", settings), "b",
                         "SELECT no_kk FROM penerima_bantuan WHERE nik = %s")
        self.run = run

    def servers(self):
        return {"source PostgreSQL": self.source, "target PostgreSQL": self.target}

    def daemons(self):
        return {}

    def create(self, people, folder):
        making = [(server, server.create()) for server in self.servers().values()]
        for server, process in making:
            server.created(process)
            server.start()
        for postgres, database in self.databases():
            postgres.ready()
            postgres.query("postgres", f"CREATE DATABASE {database}")
            postgres.script(database, f"{SAMPLE}/dinsos.sql")
            postgres.query(database, "ALTER TABLE penerima_bantuan REPLICA IDENTITY FULL")
        self.source.script("a", f"{folder}/dinsos.copy.sql")
        self.source.query("a", "CREATE PUBLICATION native FOR TABLE penerima_bantuan")
        self.target.query("b", f"CREATE SUBSCRIPTION native CONNECTION '{self.source.dsn('a')}' PUBLICATION native")
        wait_for("the subscription has copied the table", lambda: self.target.query(
            "b", "SELECT 1 FROM pg_subscription_rel HAVING count(*) = 1 AND bool_and(srsubstate = 'r')"), 60)
        self.prepare_to_watch()
        self.stop()

    def start(self):
        self.target.query("b", "ALTER SUBSCRIPTION native ENABLE")

    def wait_ready(self):
        wait_for("the subscription's worker runs", lambda: self.source.query(
            "a", "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'native' HAVING bool_and(active)"))

    def must_live(self):
        for server in self.servers().values():
            server.process.must_live()

    def stop(self):
        self.target.query("b", "ALTER SUBSCRIPTION native DISABLE")
        wait_for("the subscription's worker has ended", lambda: self.source.query(
            "a", "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'native' HAVING bool_and(NOT active)"))

    def check(self):
        rows = "SELECT md5(string_agg(t::text, E'\\n' ORDER BY nik)) FROM penerima_bantuan t"
        wait_for("native: both tables are equal", lambda: self.source.value("a", rows) == self.target.value("b", rows))


def make_lines(build, count):
    """Both lines, loaded and stopped. Ending the first one's run ends both."""
    people = people_everywhere(count)
    selaras = Selaras(build)
    run = selaras.region.run
    native = Native(run)
    folder = run.make_folder(f"{run.folder}/residents")
    selaras.create(people, folder)
    native.create(people, folder)
    return selaras, native


def spread(values, form):
    """Least, median and greatest, as text."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return f"min {ordered[0]:{form}}  median {median:{form}}  max {ordered[-1]:{form}}"


def run(main):
    """Calls `main` and returns the exit status; what failed is said, with where the logs are."""
    catch_signals()
    try:
        main()
    except Failed as failed:
        folders = ", ".join(f"{run.folder}/log" for run in Run.live) or "nowhere: nothing was started"
        print(f"failed: {failed}\nThe logs are in {folders}", file=sys.stderr)
        return 1
    return 0
