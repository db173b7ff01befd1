"""peer.py: an agent of the Selaras protocol, written from proto/PROTOCOL.md alone, with pyzmq and msgpack.

It exists so that the protocol is what its document says and not what one C codec happens to do. It is strict: whatever is not
exactly what the grammar allows is a Violation that names the place. It also lets tests send what no agent should.

    peer = Peer(endpoint, broker_key, key)
    welcome = peer.hello(blocks=[block("people", "resident", ["nik"], ["nik", "name"])])
    peer.load([load("people", key, {...})])         # the first load, to its acknowledgement
    peer.change(lsn, base, [update(...)])           # one source transaction
    peer.receive_feed()                             # a whole batch, applied to peer.rows and acknowledged
"""

import hashlib
import hmac
import os
import struct
import time
from dataclasses import dataclass, field

import msgpack
import zmq

FRAME_BYTES_MAX = 1_048_576
LEVELS_MAX = 12
UNIT = "\x1f"
UINT_MAX = 2 ** 64 - 1

HELLO, WELCOME, CHANGES, ACK, FEED, APPLIED, CREDIT, PING, PONG, ERROR, BYE = 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14
INSERT, UPDATE, DELETE, LOAD = 1, 2, 3, 4
SKIPPED, PARKED, RELEASED, CLOSED, LINKED, LATE, ALTERED, COMPLETE = 1, 2, 3, 4, 5, 6, 7, 8
DELETE_IGNORE, DELETE_SET, DELETE_ROW = 0, 1, 2
CREDIT_BYTES = 4 * 1024 * 1024


class Violation(Exception):
    """The other side broke the protocol."""


class Refused(Exception):
    """The broker said error."""

    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code, self.text = code, text


class Silence(Exception):
    """Nothing came in time."""


def now_us():
    return time.time_ns() // 1000


# 2 Encoding: pack is msgpack's; reading is stricter than the library is.

def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def check(value, where, level=0):
    """Only what section 2 allows: nil, booleans, integers, str, bin, arrays, 12 levels."""
    if level > LEVELS_MAX:
        raise Violation(f"{where}: more than {LEVELS_MAX} levels")
    if isinstance(value, list):
        for i, item in enumerate(value):
            check(item, f"{where}.{i}", level + 1)
    elif isinstance(value, str):
        if "\0" in value:
            raise Violation(f"{where}: str with NUL")
    elif not (value is None or isinstance(value, (bool, int, bytes))):
        raise Violation(f"{where}: {type(value).__name__} is not allowed")


def unpack(frame):
    if len(frame) > FRAME_BYTES_MAX:
        raise Violation(f"a frame of {len(frame)} bytes")
    try:
        value = msgpack.unpackb(frame, raw=False, use_list=True, strict_map_key=False)
    except Exception as error:      # the library has several, and trailing bytes are one of them
        raise Violation(f"not one MessagePack value: {error}") from None
    check(value, "message")
    if not isinstance(value, list) or len(value) < 3:
        raise Violation("a message is an array of kind, session, number and what follows")
    return value


def uint(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= UINT_MAX


def integer(value):
    return isinstance(value, int) and not isinstance(value, bool)


def text(value):
    return isinstance(value, str)


def hash32(value):
    return isinstance(value, bytes) and len(value) == 32


def optional(test):
    return lambda value: value is None or test(value)


def boolean(value):
    return isinstance(value, bool)


def fixed(*tests):
    return lambda value: isinstance(value, list) and len(value) == len(tests) and all(t(v) for t, v in zip(tests, value))


def many(test):
    return lambda value: isinstance(value, list) and all(test(item) for item in value)


FENCE = optional(fixed(uint, lambda value: isinstance(value, bytes) and len(value) == 16))
SOURCE = fixed(text, uint, FENCE)
VALUE = optional(text)
ITEM = fixed(uint, text, uint, lambda value: value in (INSERT, UPDATE, DELETE), optional(text), many(fixed(text, VALUE)),
             optional(fixed(text, text, text, text)))

# What a broker may send: after kind, session and number.
GRAMMAR = {
    WELCOME: (uint, text, uint, uint, uint, uint, SOURCE, uint, uint, uint, hash32, optional(text)),
    ACK: (uint, uint, uint),
    FEED: (boolean, uint, optional(hash32), many(ITEM)),
    CREDIT: (uint,),
    PONG: (integer, integer),
    ERROR: (text, text),
    BYE: (text,),
}


def read(frame):
    """(kind, session, number, rest) of a message from a broker."""
    kind, session, number, *rest = unpack(frame)
    if kind not in GRAMMAR:
        raise Violation(f"kind {kind} from a broker")
    if not uint(session) or not uint(number):
        raise Violation(f"kind {kind}: session or number is no uint")
    tests = GRAMMAR[kind]
    if len(rest) != len(tests):
        raise Violation(f"kind {kind}: {len(rest)} elements where {len(tests)} belong")
    for place, (test, value) in enumerate(zip(tests, rest), 3):
        if not test(value):
            raise Violation(f"kind {kind}: element {place} is not what the grammar says: {str(value)[:80]}")
    return kind, session, number, rest


# 4.1, 5: what an agent sends.

def block(name, record_type, key_fields, fields, generated=False, insert=True, delete=DELETE_ROW,
          constants=None, references=None):
    return [name, record_type, generated, list(key_fields), insert, delete, list(fields),
            [[field, value] for field, value in (constants or {}).items()],
            [[field, block] for field, block in (references or {}).items()]]


def change(operation, block_name, key, changed, old_key=None, actor=None, ground=None, salt=None, commitment=None):
    """A change with its commitment: HMAC-SHA256(salt, content). `changed`: lists of [field, new] or [field, new, old]."""
    content = pack([block_name, key, old_key, changed, actor, ground])
    salt = os.urandom(32) if salt is None else salt
    if commitment is None:
        commitment = hmac.new(salt, content, hashlib.sha256).digest()
    return [operation, salt, commitment, content]


def insert(block_name, key, fields, **more):
    return change(INSERT, block_name, key, [[name, value] for name, value in fields.items()], **more)


def load(block_name, key, fields, **more):
    return change(LOAD, block_name, key, [[name, value] for name, value in fields.items()], **more)


def update(block_name, key, changed, **more):
    """`changed`: field to (old, new)."""
    return change(UPDATE, block_name, key, [[name, new, old] for name, (old, new) in changed.items()], **more)


def delete(block_name, key, fields, **more):
    return change(DELETE, block_name, key, [[name, None, old] for name, old in fields.items()], **more)


def piece(lsn, changes=(), base=0, first=0, final=True, fence=None, reports=(), commit_time=None):
    return [lsn, first, final, base, now_us() if commit_time is None else commit_time, fence, list(reports), list(changes)]


@dataclass
class Welcome:
    session: int
    version: int
    agency: str
    incarnation: int
    lsn: int
    load_number: int
    base: int
    source: list
    load: int
    credit: int
    catalog_version: int
    catalog_hash: bytes
    catalog: str | None


@dataclass
class Batch:
    position: int
    leaf: bytes | None
    items: list = field(default_factory=list)


class Link:
    """A DEALER under CURVE: frames in, frames out, nothing understood."""

    def __init__(self, endpoint, broker_key, key, routing_id=None):
        """`key` is (public, secret), 32 bytes each, or None for the NULL mechanism."""
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.sndtimeo = 5000     # nobody reads: zmq.Again, not for ever
        self.socket.maxmsgsize = FRAME_BYTES_MAX + 1024
        if routing_id is not None:
            self.socket.setsockopt(zmq.ROUTING_ID, routing_id)
        if key is not None:
            self.socket.curve_serverkey = z85(broker_key)
            self.socket.curve_publickey, self.socket.curve_secretkey = z85(key[0]), z85(key[1])
        self.socket.connect(endpoint)

    def send(self, *frames):
        self.socket.send_multipart(frames)

    def receive(self, seconds=10):
        if not self.socket.poll(max(0, int(seconds * 1000))):
            raise Silence(f"nothing came within {seconds} seconds")
        frames = self.socket.recv_multipart()
        if len(frames) != 1:
            raise Violation(f"a message of {len(frames)} frames")
        return frames[0]

    def close(self):
        self.socket.close()
        self.context.term()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()


def z85(raw):
    """ZeroMQ's own spelling of a key (RFC 32/Z85)."""
    letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    out = []
    for (number,) in struct.iter_unpack(">I", raw):
        digits = []
        for _ in range(5):
            number, digit = divmod(number, 85)
            digits.append(letters[digit])
        out += reversed(digits)
    return "".join(out).encode()


def new_key():
    """(public, secret), raw."""
    public, secret = zmq.curve_keypair()
    return unz85(public), unz85(secret)


def unz85(spelled):
    letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    raw = b""
    for i in range(0, len(spelled), 5):
        number = 0
        for letter in spelled[i:i + 5].decode():
            number = number * 85 + letters.index(letter)
        raw += struct.pack(">I", number)
    return raw


class Peer:
    """One agent: a session at a time, its position, its rows, and the credit of both directions."""

    def __init__(self, endpoint, broker_key, key, software="peer.py", credit=CREDIT_BYTES):
        self.link = Link(endpoint, broker_key, key)
        self.software, self.window = software, credit
        self.session = self.sent = self.received = 0
        self.incarnation = self.lsn = self.load_number = self.base = 0      # as committed by the broker
        self.applied, self.applied_leaf = 0, None
        self.system, self.timeline, self.fence = "peer-" + os.urandom(4).hex(), 1, None
        self.blocks = []
        self.catalog_hash = None
        self.catalog = None
        self.may_send = self.sent_bytes = 0             # credit for our changes
        self.gave = self.fed_bytes = 0                  # credit for its feed
        self.rows = {}                                  # (block, record) to (key, fields): what a database would hold
        self.batch = []
        self.batches = []                               # whole batches not taken yet
        self.acks = []
        self.pongs = []

    DURABLE = ["incarnation", "applied", "applied_leaf", "system", "timeline", "fence", "blocks", "catalog_hash", "catalog", "rows"]

    def resume(self, before):
        """Takes over what an agency's database would remember of a peer that is gone."""
        for name in self.DURABLE:
            setattr(self, name, getattr(before, name))

    def close(self):
        self.link.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    # 4 Session

    def hello(self, blocks=None, incarnation=None, seconds=10, **overrides):
        """Says hello and waits for welcome; Refused when the broker says error. `overrides` replaces elements by name."""
        if blocks is not None:
            self.blocks = blocks
        self.gave, self.fed_bytes = self.window, 0
        said = {
            "version": 1, "software": self.software, "incarnation": self.incarnation if incarnation is None else incarnation,
            "source": [self.system, self.timeline, self.fence], "catalog_hash": self.catalog_hash, "blocks": self.blocks,
            "applied": self.applied, "applied_leaf": self.applied_leaf, "credit": self.window, "agency": "", **overrides}
        self.session = self.sent = self.received = self.sent_bytes = 0
        self.batch, self.batches, self.acks, self.pongs = [], [], [], []
        self.link.send(pack([HELLO, 0, 0, *said.values()]))
        until = time.monotonic() + seconds
        while True:
            kind, session, number, rest = read(self.link.receive(until - time.monotonic()))
            if kind == ERROR:
                raise Refused(*rest)
            if kind == WELCOME:
                break
        if number != 0 or session == 0:
            raise Violation(f"welcome with session {session} and number {number}")
        welcome = Welcome(session, *rest)
        if welcome.version != 1:
            raise Violation(f"welcome with version {welcome.version}")
        if welcome.catalog is not None:
            self.catalog = welcome.catalog
            if hashlib.sha256(welcome.catalog.encode()).digest() != welcome.catalog_hash:
                raise Violation("the catalog does not hash to the hash in welcome")
        elif welcome.catalog_hash != said["catalog_hash"]:
            raise Violation("welcome without the catalog, though its hash is another")
        self.catalog_hash = welcome.catalog_hash
        self.session, self.may_send = session, welcome.credit
        self.incarnation, self.lsn, self.load_number, self.base = (
            welcome.incarnation, welcome.lsn, welcome.load_number, welcome.base)
        return welcome

    def send(self, kind, *rest, number=None, session=None):
        """Any message of this session; numbers count by themselves unless one is given."""
        if number is None:
            self.sent += 1
            number = self.sent
        frame = pack([kind, self.session if session is None else session, number, *rest])
        assert len(frame) <= FRAME_BYTES_MAX
        if kind == CHANGES:
            self.sent_bytes += len(frame)
        self.link.send(frame)
        return len(frame)

    def receive(self, seconds=10):
        """The next message: takes note of it, keeps 4.2's credit and 4's numbers, and returns (kind, rest). Error is Refused."""
        frame = self.link.receive(seconds)
        kind, session, number, rest = read(frame)
        if kind == ERROR:
            raise Refused(*rest)
        if session != self.session:
            raise Violation(f"a message of session {session} in session {self.session}")
        if number != self.received + 1:
            raise Violation(f"number {number} after {self.received}")
        self.received = number
        if kind == ACK:
            self.on_ack(*rest)
        elif kind == CREDIT:
            if rest[0] < self.may_send:
                raise Violation(f"credit fell from {self.may_send} to {rest[0]}")
            self.may_send = rest[0]
        elif kind == FEED:
            self.on_feed(len(frame), *rest)
        elif kind == PONG:
            self.pongs.append(rest)
        elif kind == WELCOME:
            raise Violation("welcome without a hello")
        return kind, rest

    def receive_until(self, condition, seconds=10):
        until = time.monotonic() + seconds
        while not condition():
            self.receive(until - time.monotonic())

    def on_ack(self, lsn, load_number, base):
        if (lsn, load_number) < (self.lsn, self.load_number) and lsn <= self.lsn:
            raise Violation(f"ack went back from {self.lsn} to {lsn}")
        self.lsn, self.load_number, self.base = lsn, load_number, base
        self.acks.append((lsn, load_number, base))

    def on_feed(self, length, final, position, leaf, items):
        self.fed_bytes += length
        if self.fed_bytes > self.gave:
            raise Violation(f"{self.fed_bytes} bytes of feed where {self.gave} were allowed")
        self.batch += items
        self.gave = self.fed_bytes + self.window    # these items are in the open transaction
        self.send(CREDIT, self.gave)
        if not final:
            return
        if leaf is None or position == 0:
            raise Violation("a batch ends without position or leaf")
        if position <= self.applied and not any(self.batches):
            raise Violation(f"a batch at {position}, at or below {self.applied} that is applied")
        self.batches.append(Batch(position, leaf, self.batch))
        self.batch = []

    def ping(self, seconds=10):
        """(our time, the broker's time)."""
        said, had = now_us(), len(self.pongs)
        self.send(PING, said)
        self.receive_until(lambda: len(self.pongs) > had, seconds)
        if self.pongs[-1][0] != said:
            raise Violation("a pong with another ping's time")
        return self.pongs[-1]

    def bye(self, text="done"):
        self.send(BYE, text)

    # 5 Changes

    def send_pieces(self, pieces, seconds=10):
        """One changes message, when the credit allows it."""
        self.fence = next((made[5] for made in reversed(pieces) if made[5]), self.fence)    # 4.3: hello names the newest one
        length = len(pack([CHANGES, self.session, self.sent + 1, pieces]))
        self.receive_until(lambda: self.sent_bytes + length <= self.may_send, seconds)
        self.send(CHANGES, pieces)

    def change(self, lsn, changes, base=None, seconds=10, **more):
        """One source transaction, sent and acknowledged."""
        self.send_pieces([piece(lsn, changes, self.applied if base is None else base, **more)], seconds)
        self.wait_ack(lsn, seconds)

    def wait_ack(self, lsn, seconds=10):
        self.receive_until(lambda: self.lsn >= lsn, seconds)

    # 6 First load

    def load(self, changes, lsn, each=500, seconds=30):
        """All rows as pieces, and the closing one; S is where the feed goes on. To its acknowledgement."""
        welcome_load = self.load_position
        number = 0
        for start in range(0, len(changes), each):
            number += 1
            self.send_pieces([piece(0, changes[start:start + each], None, first=number)], seconds)
        self.send_pieces([piece(lsn, base=welcome_load)], seconds)
        self.wait_ack(lsn, seconds)

    def first_load(self, blocks, changes, lsn=1000, seconds=30, incarnation=0):
        """hello with incarnation 0, the load, its ack: the welcome. With another one: a load that the broker asks for (6)."""
        welcome = self.hello(blocks, incarnation=incarnation)
        if welcome.incarnation == 0 or welcome.load == 0:
            raise Violation("welcome to a first load without incarnation or position")
        self.load_position = self.applied = welcome.load
        self.load(changes, lsn, seconds=seconds)
        return welcome

    # 7 Feed

    def receive_batch(self, seconds=10):
        """The next whole batch, not yet applied."""
        self.receive_until(lambda: self.batches, seconds)
        return self.batches.pop(0)

    def apply(self, batch):
        """As a database would, in one go; says applied. Returns reports of what was skipped."""
        reports = []
        for position, block_name, record, operation, key, fields, _ in batch.items:
            place = (block_name, record)
            fields = dict(fields)
            row = self.rows.get(place) or self.take_unlinked(block_name, key)
            if operation == DELETE:
                self.rows.pop(place, None)
            elif operation == UPDATE and row is None:
                reports.append([SKIPPED, record, position, block_name, ""])
            else:
                held = {**(row[1] if row else {}), **fields}
                self.rows[place] = (self.key_of(block_name, held) or key, held)
        self.applied, self.applied_leaf = batch.position, batch.leaf
        self.send(APPLIED, batch.position)
        return reports

    def take_unlinked(self, block_name, key):
        """An insert takes a row that has its identifier: ours are kept under record 0 and a key until then."""
        return self.rows.pop((block_name, key), None) if key else None

    def key_of(self, block_name, fields):
        key_fields = next(b[3] for b in self.blocks if b[0] == block_name)
        values = [fields.get(name) for name in key_fields]
        return None if not values or None in values else UNIT.join(values)

    def receive_feed(self, seconds=10):
        """The next batch, applied: the batch."""
        batch = self.receive_batch(seconds)
        self.apply(batch)
        return batch

    def drain_feed(self, quiet=0.5):
        """Applies whatever comes until nothing does: the items."""
        items = []
        while True:
            try:
                items += self.receive_feed(quiet).items
            except Silence:
                return items
