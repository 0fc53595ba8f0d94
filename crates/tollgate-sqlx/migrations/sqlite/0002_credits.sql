-- Credits, whole: pools that lapse, refunds, entries, and requests that come again. SQLite changes
-- no table's checks, so two tables are made anew.

CREATE TABLE tollgate_wallets_new (
    organization      TEXT    NOT NULL PRIMARY KEY,
    granted           INTEGER NOT NULL CHECK (granted >= 0),
    withdrawn         INTEGER NOT NULL CHECK (withdrawn BETWEEN 0 AND granted),
    settled           INTEGER NOT NULL CHECK (settled BETWEEN 0 AND granted - withdrawn),
    held              INTEGER NOT NULL CHECK (held BETWEEN 0 AND granted - withdrawn - settled),
    allowance_month   INTEGER,
    allowance_credits INTEGER CHECK (allowance_credits >= 0),
    -- What is left of the grants, in the order in which it is spent, as JSON.
    pools             TEXT    NOT NULL CHECK (json_valid(pools))
) STRICT, WITHOUT ROWID;

INSERT INTO tollgate_wallets_new
SELECT organization, granted, 0, settled, held, allowance_month,
       CASE WHEN allowance_month IS NULL THEN NULL ELSE 0 END,
       CASE WHEN granted = settled THEN '[]'
       ELSE '[{"priority":50,"expires_at":null,"credits":' || (granted - settled) || '}]' END
FROM tollgate_wallets;

DROP TABLE tollgate_wallets;
ALTER TABLE tollgate_wallets_new RENAME TO tollgate_wallets;

-- A tombstone is a voided hold that has no key, no route and no deadline.
CREATE TABLE tollgate_holds_new (
    id              BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    organization    TEXT    NOT NULL,
    key_id          BLOB    CHECK (length(key_id) = 16),
    route           TEXT,
    request_id      TEXT,
    price           TEXT,
    credits         INTEGER NOT NULL CHECK (credits >= 0),
    -- What is charged should nobody end it in time.
    owed            INTEGER NOT NULL DEFAULT 0 CHECK (owed BETWEEN 0 AND credits),
    state           TEXT    NOT NULL CHECK (state IN ('open', 'settled', 'voided', 'expired')),
    charged         INTEGER NOT NULL DEFAULT 0 CHECK (charged BETWEEN 0 AND credits),
    refunded        INTEGER NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND charged),
    -- Whether a row of tollgate_repeats belongs to it.
    idempotent      INTEGER NOT NULL DEFAULT 0 CHECK (idempotent IN (0, 1)),
    -- The last pool that paid, where a refund goes.
    paid_priority   INTEGER,
    paid_expires_at INTEGER,
    created_at      INTEGER NOT NULL,
    deadline        INTEGER,
    ended_at        INTEGER,
    CHECK ((state = 'open') = (ended_at IS NULL)),
    CHECK (state = 'settled' OR charged = 0),
    CHECK (state <> 'open' OR deadline IS NOT NULL)
) STRICT, WITHOUT ROWID;

INSERT INTO tollgate_holds_new (id, organization, key_id, route, credits, state, charged,
    paid_priority, created_at, deadline, ended_at)
SELECT id, organization, key_id, route, credits, state, charged,
       CASE WHEN state = 'settled' THEN 50 END, created_at, deadline, ended_at
FROM tollgate_holds;

DROP TABLE tollgate_holds;
ALTER TABLE tollgate_holds_new RENAME TO tollgate_holds;

CREATE INDEX tollgate_holds_open ON tollgate_holds (deadline) WHERE state = 'open';

CREATE TABLE tollgate_entries (
    seq          INTEGER NOT NULL PRIMARY KEY,
    organization TEXT    NOT NULL,
    at           INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    credits      INTEGER NOT NULL,
    balance      INTEGER NOT NULL CHECK (balance >= 0),
    hold_id      BLOB    CHECK (length(hold_id) = 16),
    key_id       BLOB    CHECK (length(key_id) = 16),
    route        TEXT,
    request_id   TEXT,
    price        TEXT,
    actor        TEXT,
    reason       TEXT,
    reference    TEXT
) STRICT;

CREATE INDEX tollgate_entries_of_organization ON tollgate_entries (organization, seq);
CREATE UNIQUE INDEX tollgate_entries_reference ON tollgate_entries (organization, reference)
    WHERE reference IS NOT NULL;

CREATE TRIGGER tollgate_entries_stay BEFORE UPDATE ON tollgate_entries
BEGIN SELECT raise(ABORT, 'entries are never changed'); END;
CREATE TRIGGER tollgate_entries_remain BEFORE DELETE ON tollgate_entries
BEGIN SELECT raise(ABORT, 'entries are never deleted'); END;

-- What an earlier version charged stands in the sums; the books begin with it.
INSERT INTO tollgate_entries (organization, at, kind, credits, balance, reason)
SELECT organization, CAST(unixepoch('subsec') * 1000000 AS INTEGER), 'grant', granted - settled,
       granted - settled, 'the balance when the books were begun'
FROM tollgate_wallets WHERE granted > settled;

CREATE TABLE tollgate_repeats (
    organization    TEXT    NOT NULL,
    route           TEXT    NOT NULL,
    idempotency_key TEXT    NOT NULL,
    fingerprint     BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    hold_id         BLOB    NOT NULL CHECK (length(hold_id) = 16),
    running         INTEGER NOT NULL CHECK (running IN (0, 1)),
    outcome         BLOB,
    expires_at      INTEGER NOT NULL,
    PRIMARY KEY (organization, route, idempotency_key)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX tollgate_repeats_of_hold ON tollgate_repeats (hold_id);
CREATE INDEX tollgate_repeats_ended ON tollgate_repeats (expires_at) WHERE running = 0;
