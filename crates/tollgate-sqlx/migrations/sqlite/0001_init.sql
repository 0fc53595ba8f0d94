-- Times are microseconds since 1970-01-01T00:00:00Z. The checks are the second line: the store
-- keeps these rules itself, and a database that is edited by hand keeps them too.

CREATE TABLE tollgate_organizations (
    id         TEXT    NOT NULL PRIMARY KEY,
    plan       TEXT    NOT NULL,
    status     TEXT    NOT NULL,
    ip_rules   TEXT    NOT NULL,
    limits     TEXT,
    resources  TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    version    INTEGER NOT NULL CHECK (version >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE tollgate_keys (
    id             BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    organization   TEXT    NOT NULL REFERENCES tollgate_organizations (id),
    name           TEXT    NOT NULL,
    creator        TEXT    NOT NULL,
    environment    TEXT    NOT NULL,
    display_prefix TEXT    NOT NULL,
    permissions    TEXT    NOT NULL,
    ip_rules       TEXT    NOT NULL,
    plan           TEXT,
    limits         TEXT,
    not_before     INTEGER,
    expires_at     INTEGER,
    status         TEXT    NOT NULL,
    created_at     INTEGER NOT NULL,
    rotated_at     INTEGER,
    revoked_at     INTEGER,
    version        INTEGER NOT NULL CHECK (version >= 0)
) STRICT, WITHOUT ROWID;

CREATE INDEX tollgate_keys_of_organization ON tollgate_keys (organization, id);

CREATE TABLE tollgate_secrets (
    digest      BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    key_id      BLOB NOT NULL REFERENCES tollgate_keys (id) ON DELETE CASCADE,
    valid_until INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX tollgate_secrets_of_key ON tollgate_secrets (key_id);

-- A wallet may be granted credits before its organization exists, so there is no reference.
CREATE TABLE tollgate_wallets (
    organization    TEXT    NOT NULL PRIMARY KEY,
    granted         INTEGER NOT NULL CHECK (granted >= 0),
    settled         INTEGER NOT NULL CHECK (settled >= 0),
    held            INTEGER NOT NULL CHECK (held >= 0),
    allowance_month INTEGER,
    CHECK (settled <= granted AND held <= granted - settled)
) STRICT, WITHOUT ROWID;

-- A tombstone is a voided hold that has no key, no route and no deadline.
CREATE TABLE tollgate_holds (
    id           BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    organization TEXT    NOT NULL,
    key_id       BLOB    CHECK (length(key_id) = 16),
    route        TEXT,
    credits      INTEGER NOT NULL CHECK (credits >= 0),
    state        TEXT    NOT NULL CHECK (state IN ('open', 'settled', 'voided', 'expired')),
    charged      INTEGER NOT NULL DEFAULT 0 CHECK (charged BETWEEN 0 AND credits),
    created_at   INTEGER NOT NULL,
    deadline     INTEGER,
    ended_at     INTEGER,
    CHECK ((state = 'open') = (ended_at IS NULL)),
    CHECK (state <> 'open' OR deadline IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE INDEX tollgate_holds_open ON tollgate_holds (deadline) WHERE state = 'open';

CREATE TABLE tollgate_quotas (
    subject    TEXT    NOT NULL,
    period     TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    used       INTEGER NOT NULL CHECK (used >= 0),
    PRIMARY KEY (subject, period)
) STRICT, WITHOUT ROWID;

CREATE TABLE tollgate_usage (
    key_id          BLOB    NOT NULL PRIMARY KEY REFERENCES tollgate_keys (id) ON DELETE CASCADE,
    total_requests  INTEGER NOT NULL CHECK (total_requests >= 0),
    with_old_secret INTEGER NOT NULL CHECK (with_old_secret >= 0),
    last_used_at    INTEGER,
    last_address    TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE tollgate_usage_counts (
    key_id   BLOB    NOT NULL REFERENCES tollgate_keys (id) ON DELETE CASCADE,
    hour     INTEGER NOT NULL,
    route    TEXT    NOT NULL,
    outcome  TEXT    NOT NULL,
    requests INTEGER NOT NULL CHECK (requests >= 0),
    PRIMARY KEY (key_id, hour, route, outcome)
) STRICT, WITHOUT ROWID;

CREATE TABLE tollgate_changes (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind         TEXT    NOT NULL,
    key_id       BLOB    CHECK (length(key_id) = 16),
    organization TEXT,
    actor        TEXT    NOT NULL,
    changed_at   INTEGER NOT NULL,
    reason       TEXT
) STRICT;

CREATE TABLE tollgate_declarations (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    catalog     TEXT NOT NULL,
    permissions TEXT NOT NULL
) STRICT;
