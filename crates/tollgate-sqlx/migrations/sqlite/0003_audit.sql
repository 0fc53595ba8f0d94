-- Who changed what: a chain for each organization; that of none has an empty name.

CREATE TABLE tollgate_audit (
    organization TEXT    NOT NULL,
    seq          INTEGER NOT NULL CHECK (seq > 0),
    at           INTEGER NOT NULL,
    action       TEXT    NOT NULL,
    target       TEXT    NOT NULL,
    actor        TEXT    NOT NULL,
    session      TEXT,
    address      TEXT,
    reason       TEXT,
    before       TEXT,
    after        TEXT,
    mac          BLOB    NOT NULL CHECK (length(mac) = 32),
    PRIMARY KEY (organization, seq)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER tollgate_audit_stays BEFORE UPDATE ON tollgate_audit
BEGIN SELECT raise(ABORT, 'the audit trail is never changed'); END;
CREATE TRIGGER tollgate_audit_remains BEFORE DELETE ON tollgate_audit
BEGIN SELECT raise(ABORT, 'the audit trail is never deleted'); END;
