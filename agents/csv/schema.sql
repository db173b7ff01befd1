-- What the agent of an agency with lists keeps: it is this agency's database, in one file beside the agent.
PRAGMA user_version = 1;

-- One row: which history this is part of, and the last feed batch applied, written in the batch's transaction.
CREATE TABLE agency (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    system        TEXT    NOT NULL,             -- random: tells this file from every other
    incarnation   INTEGER NOT NULL DEFAULT 0,   -- 0: not loaded
    applied       INTEGER NOT NULL DEFAULT 0,
    leaf          BLOB,
    number        INTEGER NOT NULL DEFAULT 0,   -- of the last transaction: the position of its changes
    forgotten     INTEGER NOT NULL DEFAULT 0,   -- transactions up to here are at the broker and no longer in outbox
    corrections   INTEGER NOT NULL DEFAULT 1    -- 1: their files must be written anew
);

-- The fence: a new row with each numbered transaction. A file that lacks the one the broker saw was restored or copied.
CREATE TABLE fence (
    seq           INTEGER PRIMARY KEY,
    token         BLOB    NOT NULL
);

-- The last list taken of each block.
CREATE TABLE list (
    block         TEXT    PRIMARY KEY,
    name          TEXT    NOT NULL,
    digest        BLOB    NOT NULL,             -- SHA-256 of the file
    bytes         INTEGER NOT NULL,
    rows          INTEGER NOT NULL,
    complete      INTEGER NOT NULL,
    separator     TEXT    NOT NULL,
    saved_us      INTEGER NOT NULL,             -- when its maker saved it
    taken_us      INTEGER NOT NULL
);

-- A record: what the list should say of it, and what the last list that had it said. NULL: no such row.
CREATE TABLE row (
    block         TEXT    NOT NULL,
    key           TEXT    NOT NULL,
    should        BLOB,
    said          BLOB,
    was           TEXT,                         -- the key that it still has in the list, when others changed it
    differs       INTEGER NOT NULL,             -- whether the list must be corrected
    since_us      INTEGER NOT NULL,             -- since when it should say what it should
    PRIMARY KEY (block, key)
) WITHOUT ROWID;
CREATE INDEX row_differs ON row (block, key) WHERE differs;
CREATE INDEX row_was ON row (block, was) WHERE was IS NOT NULL;

-- Why a field (or, with field '', the row) was sent back.
CREATE TABLE reason (
    block         TEXT    NOT NULL,
    key           TEXT    NOT NULL,
    field         TEXT    NOT NULL,
    verdict       TEXT    NOT NULL,
    by            TEXT    NOT NULL,
    rule          TEXT    NOT NULL,
    ground        TEXT    NOT NULL,
    PRIMARY KEY (block, key, field)
) WITHOUT ROWID;

-- What others changed in a row since the last list was saved (field '': the row itself came): whoever saved a list before
-- that did not know of it, whenever it is read.
CREATE TABLE fed (
    block         TEXT    NOT NULL,
    key           TEXT    NOT NULL,
    field         TEXT    NOT NULL,
    record        INTEGER NOT NULL,
    position      INTEGER NOT NULL,
    at_us         INTEGER NOT NULL,
    PRIMARY KEY (block, key, field)
) WITHOUT ROWID;

-- Transactions that the broker has not acknowledged, with what travels of them.
CREATE TABLE outbox (
    number        INTEGER PRIMARY KEY,
    base          INTEGER NOT NULL,
    at_us         INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    token         BLOB    NOT NULL
);
CREATE TABLE outbox_change (
    number        INTEGER NOT NULL,
    place         INTEGER NOT NULL,
    operation     INTEGER NOT NULL,
    content       BLOB    NOT NULL,
    salt          BLOB    NOT NULL,
    commitment    BLOB    NOT NULL,
    PRIMARY KEY (number, place)
) WITHOUT ROWID;
CREATE TABLE outbox_report (
    number        INTEGER NOT NULL,
    place         INTEGER NOT NULL,
    kind          INTEGER NOT NULL,
    record        INTEGER NOT NULL,
    position      INTEGER NOT NULL,
    block         TEXT    NOT NULL,
    text          TEXT    NOT NULL,
    PRIMARY KEY (number, place)
) WITHOUT ROWID;

-- Items that cannot be written into the list, one row a record with their net effect, until applied or closed.
CREATE TABLE parked (
    block         TEXT    NOT NULL,
    record        INTEGER NOT NULL,
    position      INTEGER NOT NULL,
    key           TEXT    NOT NULL,
    effect        BLOB    NOT NULL,
    reason        TEXT    NOT NULL,
    tries         INTEGER NOT NULL DEFAULT 1,
    since_us      INTEGER NOT NULL,
    PRIMARY KEY (block, record)
) WITHOUT ROWID;
