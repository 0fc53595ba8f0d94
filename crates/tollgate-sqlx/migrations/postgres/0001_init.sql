-- Times are microseconds since 1970-01-01T00:00:00Z, and yes and no are 1 and 0, as on SQLite.
-- The checks are the second line: the store keeps these rules itself, and a database that is
-- edited by hand keeps them too. Names are compared byte by byte, whatever the database's language.

CREATE TABLE tollgate_organizations (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    plan       TEXT   NOT NULL,
    status     TEXT   NOT NULL,
    ip_rules   TEXT   NOT NULL,
    limits     TEXT,
    resources  TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    version    BIGINT NOT NULL CHECK (version >= 0)
);

CREATE TABLE tollgate_keys (
    id             BYTEA  NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    organization   TEXT COLLATE "C" NOT NULL REFERENCES tollgate_organizations (id),
    name           TEXT   NOT NULL,
    creator        TEXT   NOT NULL,
    environment    TEXT   NOT NULL,
    display_prefix TEXT   NOT NULL,
    permissions    TEXT   NOT NULL,
    ip_rules       TEXT   NOT NULL,
    plan           TEXT,
    limits         TEXT,
    not_before     BIGINT,
    expires_at     BIGINT,
    status         TEXT   NOT NULL,
    created_at     BIGINT NOT NULL,
    rotated_at     BIGINT,
    revoked_at     BIGINT,
    version        BIGINT NOT NULL CHECK (version >= 0),
    -- The day of its last use, in days since 1970-01-01: written only when it changes.
    last_used_day  BIGINT,
    -- The import that brought it.
    import_id      BIGINT
);

CREATE INDEX tollgate_keys_of_organization ON tollgate_keys (organization, id);

CREATE TABLE tollgate_secrets (
    digest      BYTEA NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    key_id      BYTEA NOT NULL REFERENCES tollgate_keys (id) ON DELETE CASCADE,
    valid_until BIGINT
);

CREATE INDEX tollgate_secrets_of_key ON tollgate_secrets (key_id);

-- A wallet may be granted credits before its organization exists, so there is no reference. Rows
-- that change with each charge leave room for their next version in their page.
CREATE TABLE tollgate_wallets (
    organization      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    granted           BIGINT NOT NULL CHECK (granted >= 0),
    withdrawn         BIGINT NOT NULL CHECK (withdrawn BETWEEN 0 AND granted),
    settled           BIGINT NOT NULL CHECK (settled BETWEEN 0 AND granted - withdrawn),
    held              BIGINT NOT NULL CHECK (held BETWEEN 0 AND granted - withdrawn - settled),
    allowance_month   BIGINT,
    allowance_credits BIGINT CHECK (allowance_credits >= 0),
    -- What is left of the grants, in the order in which it is spent, as JSON.
    pools             TEXT   NOT NULL
) WITH (fillfactor = 50);

-- A tombstone is a voided hold that has no key, no route and no deadline.
CREATE TABLE tollgate_holds (
    id              BYTEA  NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    organization    TEXT COLLATE "C" NOT NULL,
    key_id          BYTEA  CHECK (length(key_id) = 16),
    route           TEXT,
    request_id      TEXT,
    price           TEXT,
    credits         BIGINT NOT NULL CHECK (credits >= 0),
    -- What is charged should nobody end it in time.
    owed            BIGINT NOT NULL DEFAULT 0 CHECK (owed BETWEEN 0 AND credits),
    state           TEXT   NOT NULL CHECK (state IN ('open', 'settled', 'voided', 'expired')),
    charged         BIGINT NOT NULL DEFAULT 0 CHECK (charged BETWEEN 0 AND credits),
    refunded        BIGINT NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND charged),
    -- Whether a row of tollgate_repeats belongs to it.
    idempotent      BIGINT NOT NULL DEFAULT 0 CHECK (idempotent IN (0, 1)),
    -- The last pool that paid, where a refund goes.
    paid_priority   BIGINT,
    paid_expires_at BIGINT,
    created_at      BIGINT NOT NULL,
    deadline        BIGINT,
    ended_at        BIGINT,
    CHECK ((state = 'open') = (ended_at IS NULL)),
    CHECK (state = 'settled' OR charged = 0),
    CHECK (state <> 'open' OR deadline IS NOT NULL)
);

CREATE INDEX tollgate_holds_open ON tollgate_holds (deadline) WHERE state = 'open';

CREATE TABLE tollgate_entries (
    seq          BIGINT GENERATED ALWAYS AS IDENTITY,
    organization TEXT COLLATE "C" NOT NULL,
    at           BIGINT NOT NULL,
    kind         TEXT   NOT NULL,
    credits      BIGINT NOT NULL,
    balance      BIGINT NOT NULL CHECK (balance >= 0),
    hold_id      BYTEA  CHECK (length(hold_id) = 16),
    key_id       BYTEA  CHECK (length(key_id) = 16),
    route        TEXT,
    request_id   TEXT,
    price        TEXT,
    actor        TEXT,
    reason       TEXT,
    reference    TEXT,
    -- Nobody looks for a line but in its organization: each index more is written with each charge.
    PRIMARY KEY (organization, seq)
);

CREATE UNIQUE INDEX tollgate_entries_reference ON tollgate_entries (organization, reference)
    WHERE reference IS NOT NULL;

CREATE TABLE tollgate_repeats (
    organization    TEXT COLLATE "C" NOT NULL,
    route           TEXT   NOT NULL,
    idempotency_key TEXT   NOT NULL,
    fingerprint     BYTEA  NOT NULL CHECK (length(fingerprint) = 32),
    hold_id         BYTEA  NOT NULL CHECK (length(hold_id) = 16),
    running         BIGINT NOT NULL CHECK (running IN (0, 1)),
    outcome         BYTEA,
    expires_at      BIGINT NOT NULL,
    PRIMARY KEY (organization, route, idempotency_key)
);

CREATE UNIQUE INDEX tollgate_repeats_of_hold ON tollgate_repeats (hold_id);
CREATE INDEX tollgate_repeats_ended ON tollgate_repeats (expires_at) WHERE running = 0;

CREATE TABLE tollgate_quotas (
    subject    TEXT   NOT NULL,
    period     TEXT   NOT NULL,
    started_at BIGINT NOT NULL,
    used       BIGINT NOT NULL CHECK (used >= 0),
    PRIMARY KEY (subject, period)
) WITH (fillfactor = 50);

CREATE TABLE tollgate_usage (
    key_id          BYTEA  NOT NULL PRIMARY KEY REFERENCES tollgate_keys (id) ON DELETE CASCADE,
    total_requests  BIGINT NOT NULL CHECK (total_requests >= 0),
    with_old_secret BIGINT NOT NULL CHECK (with_old_secret >= 0),
    last_used_at    BIGINT,
    last_address    TEXT
) WITH (fillfactor = 70);

CREATE TABLE tollgate_usage_counts (
    key_id   BYTEA  NOT NULL REFERENCES tollgate_keys (id) ON DELETE CASCADE,
    hour     BIGINT NOT NULL,
    route    TEXT COLLATE "C" NOT NULL,
    outcome  TEXT COLLATE "C" NOT NULL,
    requests BIGINT NOT NULL CHECK (requests >= 0),
    PRIMARY KEY (key_id, hour, route, outcome)
) WITH (fillfactor = 70);

-- Whoever writes a row here is alone with it until the end of the transaction, so that the numbers
-- are in the order of the commits.
CREATE TABLE tollgate_changes (
    seq          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         TEXT   NOT NULL,
    key_id       BYTEA  CHECK (length(key_id) = 16),
    organization TEXT,
    actor        TEXT   NOT NULL,
    changed_at   BIGINT NOT NULL,
    reason       TEXT
);

CREATE TABLE tollgate_declarations (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    catalog     TEXT NOT NULL,
    permissions TEXT NOT NULL
);

-- Who changed what: a chain for each organization; that of none has an empty name.
CREATE TABLE tollgate_audit (
    organization TEXT COLLATE "C" NOT NULL,
    seq          BIGINT NOT NULL CHECK (seq > 0),
    at           BIGINT NOT NULL,
    action       TEXT   NOT NULL,
    target       TEXT   NOT NULL,
    actor        TEXT   NOT NULL,
    session      TEXT,
    address      TEXT,
    reason       TEXT,
    before       TEXT,
    after        TEXT,
    mac          BYTEA  NOT NULL CHECK (length(mac) = 32),
    PRIMARY KEY (organization, seq)
);

-- Imports under way, or left behind: their keys are not there for anybody.
CREATE TABLE tollgate_imports (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- When it last did something.
    beat_at BIGINT NOT NULL
);

-- How many keys of each organization they staged, and whether the audit trail says so.
CREATE TABLE tollgate_imported (
    import_id    BIGINT NOT NULL REFERENCES tollgate_imports (id) ON DELETE CASCADE,
    organization TEXT COLLATE "C" NOT NULL,
    keys         BIGINT NOT NULL CHECK (keys >= 0),
    told         BIGINT NOT NULL CHECK (told IN (0, 1)),
    PRIMARY KEY (import_id, organization)
);

-- The people who manage keys, and their sessions.
CREATE TABLE tollgate_users (
    id         BYTEA  NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    email      TEXT   NOT NULL UNIQUE,
    password   TEXT   NOT NULL,
    disabled   BIGINT NOT NULL CHECK (disabled IN (0, 1)),
    created_at BIGINT NOT NULL,
    version    BIGINT NOT NULL CHECK (version >= 0)
);

-- An organization of an empty name is every one.
CREATE TABLE tollgate_memberships (
    user_id      BYTEA NOT NULL REFERENCES tollgate_users (id) ON DELETE CASCADE,
    organization TEXT COLLATE "C" NOT NULL,
    role         TEXT  NOT NULL,
    PRIMARY KEY (user_id, organization)
);

CREATE INDEX tollgate_memberships_of_organization ON tollgate_memberships (organization, user_id);

CREATE TABLE tollgate_sessions (
    id           BYTEA  NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    token        BYTEA  NOT NULL UNIQUE CHECK (length(token) = 32),
    user_id      BYTEA  NOT NULL REFERENCES tollgate_users (id) ON DELETE CASCADE,
    address      TEXT,
    created_at   BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
) WITH (fillfactor = 70);

CREATE INDEX tollgate_sessions_of_user ON tollgate_sessions (user_id, id);

-- Requests that made a key, by the name that their sender gave them: one key for each.
CREATE TABLE tollgate_key_requests (
    organization TEXT COLLATE "C" NOT NULL,
    actor        TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    fingerprint  BYTEA  NOT NULL CHECK (length(fingerprint) = 32),
    -- The key may have been deleted since: the request came all the same.
    key_id       BYTEA  NOT NULL CHECK (length(key_id) = 16),
    known_until  BIGINT NOT NULL,
    PRIMARY KEY (organization, actor, name)
);

CREATE INDEX tollgate_key_requests_over ON tollgate_key_requests (known_until);

CREATE FUNCTION tollgate_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: what is written there stays', TG_OP, TG_TABLE_NAME;
END $$;

CREATE TRIGGER tollgate_entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON tollgate_entries
    FOR EACH STATEMENT EXECUTE FUNCTION tollgate_stays();
CREATE TRIGGER tollgate_audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON tollgate_audit
    FOR EACH STATEMENT EXECUTE FUNCTION tollgate_stays();

-- Other processes are told with the commit, and read the rest here.
CREATE FUNCTION tollgate_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tollgate_changes', NEW.seq::text);
    RETURN NULL;
END $$;

CREATE TRIGGER tollgate_changes_told AFTER INSERT ON tollgate_changes
    FOR EACH ROW EXECUTE FUNCTION tollgate_tell();
