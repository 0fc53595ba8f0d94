//! Staging keys of another system, and activating or removing them.

use crate::session::Sql;

pub(crate) const BEGIN: &str = "INSERT INTO tollgate_imports (beat_at) VALUES ($1) RETURNING id";
pub(crate) const PENDING: &str = "SELECT id, beat_at FROM tollgate_imports ORDER BY id";
pub(crate) const BEAT: &str = "UPDATE tollgate_imports SET beat_at = $2 WHERE id = $1";
pub(crate) const DELETE: &str = "DELETE FROM tollgate_imports WHERE id = $1";
/// Those of a JSON array of digests that exist.
pub(crate) const KNOWN: Sql = Sql::each(
    "SELECT digest FROM tollgate_secrets \
     WHERE digest IN (SELECT unhex(value) FROM json_each($1))",
    "SELECT digest FROM tollgate_secrets \
     WHERE digest IN (SELECT decode(value, 'hex') FROM jsonb_array_elements_text($1::jsonb))",
);
/// A JSON array of secrets, without those whose digest another key has.
pub(crate) const INSERT_SECRETS: Sql = Sql::each(
    "INSERT OR IGNORE INTO tollgate_secrets (digest, key_id) \
     SELECT unhex(substr(value, 1, 64)), unhex(substr(value, 65)) FROM json_each($1)",
    "INSERT INTO tollgate_secrets (digest, key_id) \
     SELECT decode(left(value, 64), 'hex'), decode(substr(value, 65), 'hex') \
     FROM jsonb_array_elements_text($1::jsonb) ON CONFLICT DO NOTHING",
);
/// The digests of a JSON array of secrets that other keys have.
pub(crate) const OF_OTHERS: Sql = Sql::each(
    "SELECT s.digest FROM json_each($1) \
     CROSS JOIN tollgate_secrets s ON s.digest = unhex(substr(value, 1, 64)) \
     WHERE s.key_id <> unhex(substr(value, 65))",
    "SELECT s.digest FROM jsonb_array_elements_text($1::jsonb) \
     JOIN tollgate_secrets s ON s.digest = decode(left(value, 64), 'hex') \
     WHERE s.key_id <> decode(substr(value, 65), 'hex')",
);
/// The keys of a JSON array of secrets whose digest another key has.
pub(crate) const REMOVE_WITHOUT_SECRET: Sql = Sql::each(
    "DELETE FROM tollgate_keys WHERE id IN (\
     SELECT unhex(substr(value, 65)) FROM json_each($1)) AND NOT EXISTS (\
     SELECT 1 FROM tollgate_secrets s WHERE s.key_id = tollgate_keys.id)",
    "DELETE FROM tollgate_keys WHERE id IN (\
     SELECT decode(substr(value, 65), 'hex') FROM jsonb_array_elements_text($1::jsonb)) \
     AND NOT EXISTS (SELECT 1 FROM tollgate_secrets s WHERE s.key_id = tollgate_keys.id)",
);
/// Adds those of a JSON array of secrets that are keys.
pub(crate) const COUNT_STAGED: Sql = Sql::each(
    "INSERT INTO tollgate_imported AS i (import_id, organization, keys, told) \
     SELECT $1, organization, count(*), 0 FROM tollgate_keys WHERE id IN (\
     SELECT unhex(substr(value, 65)) FROM json_each($2)) GROUP BY organization \
     ON CONFLICT (import_id, organization) DO UPDATE SET keys = i.keys + excluded.keys",
    "INSERT INTO tollgate_imported AS i (import_id, organization, keys, told) \
     SELECT $1, organization, count(*), 0 FROM tollgate_keys WHERE id IN (\
     SELECT decode(substr(value, 65), 'hex') FROM jsonb_array_elements_text($2::jsonb)) \
     GROUP BY organization \
     ON CONFLICT (import_id, organization) DO UPDATE SET keys = i.keys + excluded.keys",
);
/// Adds a JSON array of organizations with their numbers of keys.
pub(crate) const COUNT: Sql = Sql::each(
    "INSERT INTO tollgate_imported AS i (import_id, organization, keys, told) \
     SELECT $1, value->>0, value->>1, 0 FROM json_each($2) WHERE true \
     ON CONFLICT (import_id, organization) DO UPDATE SET keys = i.keys + excluded.keys",
    "INSERT INTO tollgate_imported AS i (import_id, organization, keys, told) \
     SELECT $1, value->>0, (value->>1)::bigint, 0 FROM jsonb_array_elements($2::jsonb) \
     ON CONFLICT (import_id, organization) DO UPDATE SET keys = i.keys + excluded.keys",
);
pub(crate) const UNTOLD: &str = "SELECT organization, keys FROM tollgate_imported \
     WHERE import_id = $1 AND told = 0 ORDER BY organization LIMIT $2";
pub(crate) const TOLD: &str = "UPDATE tollgate_imported SET told = 1 \
     WHERE import_id = $1 AND organization = $2";
pub(crate) const SUMS: &str = "SELECT count(*), CAST(coalesce(sum(keys), 0) AS BIGINT) \
     FROM tollgate_imported WHERE import_id = $1";
pub(crate) const ORGANIZATION: &str =
    "SELECT organization FROM tollgate_imported WHERE import_id = $1 LIMIT 1";
/// What was imported is the newest of its organization, or nearly.
pub(crate) const REMOVE: &str = "DELETE FROM tollgate_keys WHERE id IN (\
     SELECT id FROM tollgate_keys WHERE organization = $1 AND import_id = $2 \
     ORDER BY id DESC LIMIT $3)";
pub(crate) const FORGET: &str =
    "DELETE FROM tollgate_imported WHERE import_id = $1 AND organization = $2";
