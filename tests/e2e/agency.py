"""agency.py: one agency of a region: its data, its agent, and the files of both."""

from cluster import AGENCY_SETTINGS, ROOT, Postgres, wait_for

SAMPLE = f"{ROOT}/sample"


class Agency:
    """What agencies of every kind have: a file made of a template, a key, and an agent that runs."""

    postgres = None     # its database's server, where it has one

    def __init__(self, region, name, template):
        self.region, self.run, self.name, self.template = region, region.run, name, template
        self.file = f"{self.run.folder}/{name}.zpl"
        self.control = f"{self.run.folder}/{name}.sock"
        self.key_file = f"{self.run.folder}/{name}.key"
        self.key = self.agent = None

    def places(self):
        """What stands for @NAME@ in the template."""
        return {"KEY": self.key_file, "CONTROL": self.control, "ENDPOINT": self.region.endpoint, "BROKER_KEY": self.region.key}

    def configure(self, replace=(), **settings):
        """Makes a key and fills in the template, as its sysadmin would; `settings` of section agent are added."""
        if not self.key:
            self.key = self.region.make_key(self.key_file)
        with open(self.template, encoding="utf-8") as file:
            text = file.read()
        for place, value in self.places().items():
            text = text.replace(f"@{place}@", value)
        for old, new in replace:
            assert old in text
            text = text.replace(old, new)
        more = "".join(f"    {name.replace('_', '-')} = {value}\n" for name, value in settings.items())
        self.run.write(f"{self.name}.zpl", text.replace("\nbroker\n", f"\n{more}broker\n", 1))

    def prepare(self):
        return self.run.call([self.run.program("selaras-agent"), "--prepare", "--apply", self.file])[1]

    def enrol(self):
        self.region.enrol(self.name, self.key)

    def join(self):
        """Known to the broker, prepared, running, and loaded."""
        self.enrol()
        self.prepare()
        self.start()

    def start(self, wait=True):
        assert self.agent is None or not self.agent.alive()
        self.agent = self.run.start(f"agent-{self.name}", [self.run.program("selaras-agent"), self.file])
        if wait:
            self.wait_up()

    def wait_up(self, seconds=60):
        """Until the broker has its first load and both are in a session."""
        def active():
            self.agent.must_live()
            rows = self.region.query(f"SELECT state FROM selaras.agency WHERE name = '{self.name}' AND session > 0")
            return rows and rows[0][0] == "active"
        wait_for(f"{self.name} has made its first load (log: {self.agent.log})", active, seconds)

    def stop(self):
        self.agent.stop()

    def kill(self):
        self.agent.kill()


class PostgresAgency(Agency):
    """One with a PostgreSQL of its own, where its tables are in a database of its name."""

    def __init__(self, region, name, template=None, schema=None, table=None):
        super().__init__(region, name, template or f"{SAMPLE}/{name}.zpl.in")
        self.schema = schema or f"{SAMPLE}/{name}.sql"
        self.table = table
        self.postgres = Postgres(region.run, name, AGENCY_SETTINGS)

    def places(self):
        return {**super().places(), "DATABASE": self.postgres.dsn(self.name)}

    def create_tables(self):
        self.postgres.query("postgres", f"CREATE DATABASE {self.name}")
        self.postgres.script(self.name, self.schema)

    def query(self, sql):
        return self.postgres.query(self.name, sql)

    def value(self, sql):
        return self.postgres.value(self.name, sql)
