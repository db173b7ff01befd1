-- The broker's schema. The tables of canonical records (selaras.resident, ...) are made from the catalog: daemon/canonical.c.
CREATE SCHEMA selaras;

-- One row: where the ledger stands. The connection that writes it holds the advisory lock of the one active broker.
CREATE TABLE selaras.state (
    one           boolean  PRIMARY KEY DEFAULT true CHECK (one),
    format        integer  NOT NULL,          -- of this schema
    head          bigint   NOT NULL,          -- feed position of the last entry
    head_time     timestamptz NOT NULL,       -- its time; none is ever earlier
    next_record   bigint   NOT NULL,          -- the next record number
    catalog       integer  NOT NULL           -- version in force
);

INSERT INTO selaras.state (format, head, head_time, next_record, catalog) VALUES (4, 0, 'epoch', 1, 0);

-- What a statement of the broker has not found as it was left belongs to another broker or hand: nothing of it is committed.
CREATE FUNCTION selaras.expect(written bigint, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF written <> 1 THEN
        RAISE EXCEPTION '% is not as this broker left it: is another broker at work on this database?', what
            USING ERRCODE = 'serialization_failure';
    END IF;
END $$;

CREATE TABLE selaras.catalog (
    version       integer  PRIMARY KEY,
    hash          bytea    NOT NULL CHECK (octet_length(hash) = 32),
    text          text     NOT NULL,
    position      bigint   NOT NULL           -- the entry that activated it
);

CREATE TABLE selaras.agency (
    id            smallint PRIMARY KEY CHECK (id > 0),   -- what records' metadata call it; never reused
    name          text     NOT NULL UNIQUE CHECK (name ~ '^[a-z][a-z0-9_]{0,31}$'),
    key           bytea    UNIQUE CHECK (octet_length(key) = 32),      -- CURVE public key; NULL when revoked
    mode          text     NOT NULL DEFAULT 'observe' CHECK (mode IN ('observe', 'publish', 'full')),
    modes         text     NOT NULL DEFAULT '', -- of single tables, where that is another: people=full,children=publish
    state         text     NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'loading', 'filling', 'active', 'quarantined')),
    quarantine    text     NOT NULL DEFAULT 'none' CHECK (quarantine IN ('none', 'history', 'lost', 'refused', 'crashed')),
    reason        text,                       -- why it is quarantined,
    quarantine_entry bigint NOT NULL DEFAULT 0,   -- the entry that says so,
    resumes       text     NOT NULL DEFAULT 'new',-- and its state before
    session       bigint   NOT NULL DEFAULT 0,
    incarnation   integer  NOT NULL DEFAULT 0,
    restored      boolean  NOT NULL DEFAULT false, -- the load that runs, or comes, is of an older copy
    lsn           bigint   NOT NULL DEFAULT 0,-- position committed: end LSN ...
    load_number   bigint   NOT NULL DEFAULT 0,-- ... or pieces of the running load
    base          bigint   NOT NULL DEFAULT 0,
    load          bigint   NOT NULL DEFAULT 0,-- S of the last first load
    load_lsn      bigint   NOT NULL DEFAULT 0,-- where its snapshot was taken; 0 until it is closed
    since         bigint   NOT NULL DEFAULT 0,-- the entry that closed it
    system        text     NOT NULL DEFAULT '',
    timeline      integer  NOT NULL DEFAULT 0,
    fence_seq     bigint   NOT NULL DEFAULT 0,
    fence_token   bytea,
    applied       bigint   NOT NULL DEFAULT 0,-- last feed position it said it applied
    applied_at    timestamptz,
    changes       bigint   NOT NULL DEFAULT 0,-- counted since enrolment
    fed           bigint   NOT NULL DEFAULT 0,
    unrecorded    bigint   NOT NULL DEFAULT 0,-- of the changes: neither actor nor ground is known
    blocks        bytea,                      -- what its last hello declared (PROTOCOL 4.1), as an array of block
    software      text,
    seen_at       timestamptz
);

-- The ledger (PROTOCOL 8). Columns for auditors, the leaf, and beside it what redaction may take away.
CREATE TABLE selaras.entry (
    position      bigint   NOT NULL PRIMARY KEY,
    time          timestamptz NOT NULL,
    kind          text     NOT NULL,
    agency        text     NOT NULL,          -- '' for the broker itself
    incarnation   integer,
    lsn           bigint,
    number        integer,
    base          bigint,                     -- NULL: nothing seen, or not from a stream
    commit_time   timestamptz,
    type          text     NOT NULL,          -- '' when it is about no record
    record        bigint   NOT NULL,          -- 0 when it is about no record
    other         bigint   NOT NULL,
    refers        bigint   NOT NULL,
    operation     text     NOT NULL,
    fields        text[]   NOT NULL,
    verdicts      text[]   NOT NULL,
    rules         text[]   NOT NULL,
    catalog       integer  NOT NULL,
    boundary      boolean  NOT NULL,          -- the last entry of its source transaction, or of a part of a huge one: a feed batch may end here
    leaf          bytea    NOT NULL,
    salt          bytea,
    body          bytea,                      -- what the leaf's commitment covers (PROTOCOL 5.2)
    effect        bytea,                      -- for readers: [operation, [[field, value]...], reason]
    reply         bytea,                      -- for the writer, or the agency an item is for
    withheld      smallint[]                  -- agencies that effect does not go to: their insertion or deletion of this record is held
) PARTITION BY RANGE (position);
CREATE INDEX entry_record ON selaras.entry (record, position) WHERE record > 0;
CREATE INDEX entry_time ON selaras.entry USING brin (time) WITH (pages_per_range = 16);

CREATE FUNCTION selaras.entry_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.salt IS NULL AND NEW.body IS NULL AND NEW.effect IS NULL AND NEW.reply IS NULL
       AND ROW(OLD.position, OLD.time, OLD.kind, OLD.agency, OLD.incarnation, OLD.lsn, OLD.number, OLD.base, OLD.commit_time,
               OLD.type, OLD.record, OLD.other, OLD.refers, OLD.operation, OLD.fields, OLD.verdicts, OLD.rules, OLD.catalog,
               OLD.boundary, OLD.leaf, OLD.withheld)
           IS NOT DISTINCT FROM
           ROW(NEW.position, NEW.time, NEW.kind, NEW.agency, NEW.incarnation, NEW.lsn, NEW.number, NEW.base, NEW.commit_time,
               NEW.type, NEW.record, NEW.other, NEW.refers, NEW.operation, NEW.fields, NEW.verdicts, NEW.rules, NEW.catalog,
               NEW.boundary, NEW.leaf, NEW.withheld) THEN
        RETURN NEW;                           -- a redaction
    END IF;
    RAISE EXCEPTION 'selaras.entry is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER entry_guard BEFORE UPDATE OR DELETE ON selaras.entry FOR EACH ROW EXECUTE FUNCTION selaras.entry_guard();
ALTER TABLE selaras.entry ENABLE ALWAYS TRIGGER entry_guard;

-- A partition for 1,048,576 entries. TRUNCATE triggers are not inherited by partitions: each gets its own.
CREATE FUNCTION selaras.entry_partition(first bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text := format('entry_%s_%s', first >> 48, lpad(to_hex((first & ((1::bigint << 48) - 1)) >> 20), 4, '0'));
BEGIN
    EXECUTE format('CREATE TABLE IF NOT EXISTS selaras.%I PARTITION OF selaras.entry FOR VALUES FROM (%s) TO (%s)',
                   name, first, first + 1048576);
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = format('selaras.%I', name)::regclass AND tgname = 'entry_whole') THEN
        EXECUTE format('CREATE TRIGGER entry_whole BEFORE TRUNCATE ON selaras.%I EXECUTE FUNCTION selaras.entry_guard()', name);
        EXECUTE format('ALTER TABLE selaras.%I ENABLE ALWAYS TRIGGER entry_whole', name);
    END IF;
END $$;

-- (agency, block, local key) to record number. While an item of ours that changes a key is on its way, both keys are good:
-- the old one for changes with base < until, the new one for those with base >= since.
CREATE TABLE selaras.link (
    agency        smallint NOT NULL,
    block         text     NOT NULL,
    key           text     NOT NULL,
    record        bigint   NOT NULL,
    since         bigint   NOT NULL,
    until         bigint,
    PRIMARY KEY (agency, block, key, since)
);
CREATE INDEX link_record ON selaras.link (record, agency);

-- What agencies had as rows when they asked for a load themselves (reload = yes), and what they had seen then. What is not in
-- a load that had all rows of the block (told) they have deleted. Forgotten once that is decided.
CREATE TABLE selaras.had (
    agency        smallint NOT NULL,
    record        bigint   NOT NULL,
    block         text     NOT NULL,
    key           text     NOT NULL,
    base          bigint   NOT NULL,
    since         bigint   NOT NULL,
    PRIMARY KEY (agency, record, block)
);
CREATE TABLE selaras.told (
    agency        smallint NOT NULL,
    block         text     NOT NULL,
    empty         boolean  NOT NULL,          -- it had none
    PRIMARY KEY (agency, block)
);

-- What the tables of agencies in mode observe have: captured, and compared by `selaras preview`, and nothing else. Personal
-- values, as the canonical tables have them. Deleted when the agency's mode changes.
CREATE TABLE selaras.observed (
    agency        smallint NOT NULL,
    block         text     NOT NULL,
    key           text     NOT NULL,
    body          bytea    NOT NULL,          -- its fields, as effect_pack() writes an insert
    PRIMARY KEY (agency, block, key)
);

-- Debts: items that did not take effect at an agency. Until settled, its changes of that record count as made just before `position`.
CREATE TABLE selaras.debt (
    number        bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agency        smallint NOT NULL,
    record        bigint   NOT NULL,
    block         text     NOT NULL,
    kind          text     NOT NULL CHECK (kind IN ('skipped', 'parked')),
    position      bigint   NOT NULL,          -- of the item
    entry         bigint   NOT NULL,          -- the answer to a skip, the entry that says it is parked
    reason        text     NOT NULL DEFAULT '',
    opened_at     timestamptz NOT NULL,
    settled_at    timestamptz,
    settled       text CHECK (settled IN ('answered', 'released', 'closed'))
);
CREATE INDEX debt_open ON selaras.debt (agency, record) WHERE settled IS NULL;

-- Values that an agency's own triggers made other than it was fed. Gone once it is sent the field again, or changes it itself.
CREATE TABLE selaras.altered (
    agency        smallint NOT NULL,
    type          text     NOT NULL,
    record        bigint   NOT NULL,
    field         text     NOT NULL,          -- 'existence': the row as a whole
    position      bigint   NOT NULL,          -- up to which the agency had applied then
    since         timestamptz NOT NULL,
    PRIMARY KEY (record, agency, field)
);

-- Changes of an agency that wait together until a person has decided (selaras hold).
CREATE TABLE selaras.hold (
    number        bigint   PRIMARY KEY,
    agency        smallint NOT NULL,
    type          text     NOT NULL,
    unit          text     NOT NULL,          -- the field or group, or 'existence'
    cause         text     NOT NULL CHECK (cause IN ('limit', 'defect', 'unknown', 'collision')),
    reason        text     NOT NULL,          -- the limit as the catalog says it, or what is wrong
    entry         bigint   NOT NULL,          -- that opened it
    opened_at     timestamptz NOT NULL,
    decision      text     CHECK (decision IN ('release', 'reject')),   -- the last one, while it is being carried out
    decided       bigint   NOT NULL DEFAULT 0,-- the entry that says so
    decided_by    text     NOT NULL DEFAULT '',
    ground        text     NOT NULL DEFAULT '',
    selection     text     NOT NULL DEFAULT '', -- records, as a multirange; '' is all
    closed_at     timestamptz                 -- nothing is held any more
);
CREATE INDEX hold_open ON selaras.hold (number) WHERE closed_at IS NULL;

-- What is held under it; what that is stands in the record's metadata, and in the body of `entry`.
CREATE TABLE selaras.held (
    hold          bigint   NOT NULL,
    record        bigint   NOT NULL,
    unit          text     NOT NULL,
    operation     text     NOT NULL,
    entry         bigint   NOT NULL,          -- the agency's latest change of it
    settled       text     CHECK (settled IN ('released', 'rejected', 'corrected', 'withdrawn', 'same')),
    settled_entry bigint   NOT NULL DEFAULT 0,
    others        bigint[] NOT NULL DEFAULT '{}', -- records that it collides with, or of which it cannot be told which it is
    PRIMARY KEY (hold, record, unit)
);
CREATE INDEX held_record ON selaras.held (record) WHERE settled IS NULL;

-- How much of what the catalog limits each agency has done, by parts of the limit's time.
CREATE TABLE selaras.limit_use (
    agency        smallint NOT NULL,
    type          text     NOT NULL,
    unit          text     NOT NULL,
    rule          text     NOT NULL,          -- as the catalog says it
    part          bigint   NOT NULL,
    changes       bigint   NOT NULL,
    until         timestamptz NOT NULL,       -- it counts until then
    PRIMARY KEY (agency, type, unit, rule, part)
);

-- When each agency said it had applied up to where.
CREATE TABLE selaras.applied (
    agency        smallint NOT NULL,
    position      bigint   NOT NULL,
    time          timestamptz NOT NULL,
    PRIMARY KEY (agency, position)
);
