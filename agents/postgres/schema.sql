-- What Selaras keeps in an agency's own database, in a schema of its own. Made by `selaras-agent --prepare --apply`.
CREATE SCHEMA selaras;

-- One row: which history this database is part of, and the last feed batch applied, written in the batch's transaction.
CREATE TABLE selaras.agent (
    one           boolean  PRIMARY KEY DEFAULT true CHECK (one), -- there is no second row
    incarnation   integer  NOT NULL DEFAULT 0,   -- 0: not loaded
    applied       bigint   NOT NULL DEFAULT 0,
    leaf          bytea    CHECK (octet_length(leaf) = 32),
    origin        text                           -- which replication origin it was loaded with, and its version
);
INSERT INTO selaras.agent DEFAULT VALUES;

-- The fence: a new row every few seconds. A database that does not have the token the broker last saw is not the one it was.
CREATE TABLE selaras.fence (
    seq           bigint   PRIMARY KEY,
    token         bytea    NOT NULL CHECK (octet_length(token) = 16),
    at            timestamptz NOT NULL DEFAULT now()
);

-- Which tables were published when this agency was loaded, and what was theirs: a break since then has hidden changes.
CREATE TABLE selaras.published (
    name          text     PRIMARY KEY,
    relation      oid      NOT NULL,
    membership    text     NOT NULL,             -- the publication's rows for it, and their versions
    columns       jsonb    NOT NULL,             -- mapped columns: number, and version of their description
    files         text     NOT NULL              -- that its rows are in: a command that rewrites them makes others
);

-- Items this database refused, one row a record with their net effect, until applied or closed.
CREATE TABLE selaras.parked (
    block         text     NOT NULL,
    record        bigint   NOT NULL,
    position      bigint   NOT NULL,             -- of the first item
    key           text     NOT NULL,             -- local key, '' when not known
    effect        bytea    NOT NULL,             -- operation and fields (proto: effect_pack)
    reason        text     NOT NULL,
    tries         integer  NOT NULL DEFAULT 1,
    since         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (block, record)
);

-- Deletions that wait for their row to come back (`absence`). What is above the position that the broker has is made anew.
CREATE TABLE selaras.absent (
    block         text     NOT NULL,
    key           text     NOT NULL,             -- local key that the row had
    lsn           bigint   NOT NULL,             -- end of the transaction that deleted it
    since         bigint   NOT NULL,             -- its commit: microseconds since 1970
    row           bytea    NOT NULL,             -- the values it had (proto: effect_pack)
    settled       bigint,                        -- end of the transaction with which it came back, or was sent
    PRIMARY KEY (block, key, lsn)
);

-- For the people of this agency: what of theirs was put back, and why.
CREATE TABLE selaras.notice (
    number        bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL DEFAULT now(),
    "table"       text     NOT NULL,
    key           text     NOT NULL,
    field         text     NOT NULL,
    yours         text,
    now           text,
    decided_by    text     NOT NULL,
    why           text     NOT NULL
);

-- Keys that this database made for records the broker sent.
CREATE TABLE selaras.link (
    block         text     NOT NULL,
    record        bigint   NOT NULL,
    key           text     NOT NULL,
    PRIMARY KEY (block, record)
);
CREATE INDEX link_key ON selaras.link (block, key);
