-- Requests that made a key, by the name that their sender gave them: one key for each.

CREATE TABLE tollgate_key_requests (
    organization TEXT    NOT NULL,
    actor        TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    fingerprint  BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    -- The key may have been deleted since: the request came all the same.
    key_id       BLOB    NOT NULL CHECK (length(key_id) = 16),
    known_until  INTEGER NOT NULL,
    PRIMARY KEY (organization, actor, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX tollgate_key_requests_over ON tollgate_key_requests (known_until);
