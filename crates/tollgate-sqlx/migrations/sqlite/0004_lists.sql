-- Lists of keys, and keys that are imported.

-- The day of its last use, in days since 1970-01-01: written only when it changes.
ALTER TABLE tollgate_keys ADD COLUMN last_used_day INTEGER;
-- The import that brought it.
ALTER TABLE tollgate_keys ADD COLUMN import_id INTEGER;

UPDATE tollgate_keys SET last_used_day = (
    SELECT last_used_at / 86400000000 FROM tollgate_usage WHERE key_id = tollgate_keys.id
);

-- Imports under way, or left behind: their keys are not there for anybody.
CREATE TABLE tollgate_imports (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    -- When it last did something, in microseconds.
    beat_at INTEGER NOT NULL
) STRICT;

-- How many keys of each organization they staged, and whether the audit trail says so.
CREATE TABLE tollgate_imported (
    import_id    INTEGER NOT NULL REFERENCES tollgate_imports (id) ON DELETE CASCADE,
    organization TEXT    NOT NULL,
    keys         INTEGER NOT NULL CHECK (keys >= 0),
    told         INTEGER NOT NULL CHECK (told IN (0, 1)),
    PRIMARY KEY (import_id, organization)
) STRICT, WITHOUT ROWID;

-- A list reads nothing else of the keys that it does not show.
DROP INDEX tollgate_keys_of_organization;
CREATE INDEX tollgate_keys_listed ON tollgate_keys (organization, id, import_id, status,
    expires_at, created_at, rotated_at, last_used_day, environment, creator);
CREATE INDEX tollgate_keys_named ON tollgate_keys (organization, id, import_id, name,
    display_prefix);
