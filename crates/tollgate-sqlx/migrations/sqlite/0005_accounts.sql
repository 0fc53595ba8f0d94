-- The people who manage keys, and their sessions.

CREATE TABLE tollgate_users (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    email      TEXT    NOT NULL UNIQUE,
    password   TEXT    NOT NULL,
    disabled   INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    created_at INTEGER NOT NULL,
    version    INTEGER NOT NULL CHECK (version >= 0)
) STRICT, WITHOUT ROWID;

-- An organization of an empty name is every one.
CREATE TABLE tollgate_memberships (
    user_id      BLOB NOT NULL REFERENCES tollgate_users (id) ON DELETE CASCADE,
    organization TEXT NOT NULL,
    role         TEXT NOT NULL,
    PRIMARY KEY (user_id, organization)
) STRICT, WITHOUT ROWID;

CREATE INDEX tollgate_memberships_of_organization ON tollgate_memberships (organization, user_id);

CREATE TABLE tollgate_sessions (
    id           BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    token        BLOB    NOT NULL UNIQUE CHECK (length(token) = 32),
    user_id      BLOB    NOT NULL REFERENCES tollgate_users (id) ON DELETE CASCADE,
    address      TEXT,
    created_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX tollgate_sessions_of_user ON tollgate_sessions (user_id, id);
