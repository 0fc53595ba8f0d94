-- One index for lists and for searches by name: whatever writes a key, and above all an import,
-- writes one entry in place of two.
DROP INDEX tollgate_keys_named;
DROP INDEX tollgate_keys_listed;
CREATE INDEX tollgate_keys_listed ON tollgate_keys (organization, id, import_id, status,
    expires_at, created_at, rotated_at, last_used_day, environment, creator, name, display_prefix);
