"""town.py: a broker alone, and peers (peer.py) that stand in for its two agencies."""

import peer
from peer import Peer
from region import Region

FIELDS = {"dinsos": ["nik", "name", "phone", "eligible", "household_size"],
          "dinkes": ["nik", "name", "phone", "eligible", "household_size", "premium"]}


class Town:
    """A broker alone; peers stand in for its two agencies. Numbers of people and positions never repeat."""

    def __init__(self):
        self.region = Region(agencies=[])
        self.keys = {}
        self.peers = []
        self.known = {}         # agency to the last peer that was it
        self.serial = 0
        self.lsn = 10_000

    def start(self):
        self.region.create_servers()
        self.region.configure()
        self.region.start_broker()
        self.broker_key = bytes.fromhex(self.region.key)
        for name in ("dinsos", "dinkes"):
            self.keys[name] = peer.new_key()
            self.region.enrol(name, self.keys[name][0].hex())
        return self

    def blocks(self, name, **more):
        return [peer.block("people", "resident", ["nik"], FIELDS[name], **more)]

    def peer(self, name, **more):
        made = Peer(self.region.endpoint, self.broker_key, self.keys[name], **more)
        self.peers.append(made)
        return made

    def loaded(self, name, rows=(), **more):
        """A peer with a session that has taken its whole feed, and whose agency has these rows: by its first load if it had none yet,
        else it goes on where the one before it stopped."""
        made, before = self.peer(name, **more), self.known.get(name)
        if before is None:
            made.first_load(self.blocks(name), [peer.load("people", row["nik"], self.full(name, row)) for row in rows], self.next_lsn())
        else:
            made.resume(before)
            made.hello()
            if rows:
                made.change(self.next_lsn(), [peer.insert("people", row["nik"], self.full(name, row)) for row in rows])
        made.drain_feed()
        self.known[name] = made
        return made

    @staticmethod
    def full(name, row):
        return {field: row.get(field) for field in FIELDS[name]}

    def next_lsn(self):
        self.lsn += 100
        return self.lsn

    def nik(self):
        self.serial += 1
        return f"640206010180{self.serial:04}"

    def resident(self, nik, fields="name"):
        rows = self.region.query(f"SELECT {fields} FROM selaras.resident WHERE exists AND nik = '{nik}'")
        return rows[0] if rows else None

    def entries(self, agency):
        return int(self.region.value(f"SELECT count(*) FROM selaras.entry WHERE kind = 'change' AND agency = '{agency}'"))

    def close_peers(self):
        for made in self.peers:
            made.close()
        self.peers = []

    def state(self):
        """What anybody who got through would have changed."""
        return self.region.query("SELECT name, session, state, incarnation, lsn FROM selaras.agency ORDER BY name"), \
            self.region.value("SELECT head FROM selaras.state")
