//! Every statement, once.
//!
//! A text serves every database where the dialects agree; where they do not, it is a `Sql` of one
//! text for each. `CAST(… AS BIGINT)` both understand.
//!
//! A row is locked by an update that changes nothing and returns it, or by `FOR UPDATE`: SQLite's
//! writers are alone anyway, and PostgreSQL's wait for each other there.

pub(crate) use ledger::{entries, holds, repeats, wallets};

pub(crate) mod accounts;
pub(crate) mod imports;
mod ledger;
pub(crate) mod usage;

pub(crate) mod keys {
    /// The order in which `rows::read_key` reads.
    macro_rules! columns {
        () => {
            "k.id, k.organization, k.name, k.creator, k.environment, k.display_prefix, \
             k.permissions, k.ip_rules, k.plan, k.limits, k.not_before, k.expires_at, k.status, \
             k.created_at, k.rotated_at, k.revoked_at, k.version"
        };
    }

    /// The keys of an import that is under way, or was left behind, are not there for anybody.
    macro_rules! visible {
        () => {
            "(NOT EXISTS (SELECT 1 FROM tollgate_imports) OR k.import_id IS NULL \
             OR k.import_id NOT IN (SELECT id FROM tollgate_imports))"
        };
    }

    pub(super) use visible;

    pub(crate) const VISIBLE: &str = visible!();
    pub(crate) const FIND: &str = concat!(
        "SELECT s.valid_until, ",
        columns!(),
        ", ",
        super::organizations::columns!(),
        " FROM tollgate_secrets s JOIN tollgate_keys k ON k.id = s.key_id \
         JOIN tollgate_organizations o ON o.id = k.organization WHERE s.digest = $1 AND ",
        visible!()
    );
    pub(crate) const READ: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM tollgate_keys k WHERE k.id = $1 AND ",
        visible!()
    );
    /// What a list shows of its keys.
    pub(crate) const LISTED: &str = concat!(
        "SELECT (SELECT max(s.valid_until) FROM tollgate_secrets s WHERE s.key_id = k.id), ",
        columns!(),
        ", coalesce(u.total_requests, 0), coalesce(u.with_old_secret, 0), u.last_used_at, \
         u.last_address FROM tollgate_keys k LEFT JOIN tollgate_usage u ON u.key_id = k.id"
    );
    pub(crate) const INSERT: &str = "INSERT INTO tollgate_keys (id, organization, name, creator, \
         environment, display_prefix, permissions, ip_rules, plan, limits, not_before, \
         expires_at, status, created_at, rotated_at, revoked_at, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    pub(crate) const UPDATE: &str = "UPDATE tollgate_keys SET organization = $2, name = $3, \
         creator = $4, environment = $5, display_prefix = $6, permissions = $7, ip_rules = $8, \
         plan = $9, limits = $10, not_before = $11, expires_at = $12, status = $13, \
         created_at = $14, rotated_at = $15, revoked_at = $16, version = $17 \
         WHERE id = $1 AND version = $18";
    pub(crate) const DELETE: &str = "DELETE FROM tollgate_keys WHERE id = $1";
    pub(crate) const FORGET_REQUESTS: &str =
        "DELETE FROM tollgate_key_requests WHERE known_until <= $1";
    pub(crate) const REQUEST: &str = "SELECT key_id, fingerprint FROM tollgate_key_requests \
         WHERE organization = $1 AND actor = $2 AND name = $3";
    pub(crate) const INSERT_REQUEST: &str = "INSERT INTO tollgate_key_requests \
         (organization, actor, name, fingerprint, key_id, known_until) \
         VALUES ($1, $2, $3, $4, $5, $6)";
    pub(crate) const INSERT_SECRET: &str =
        "INSERT INTO tollgate_secrets (digest, key_id) VALUES ($1, $2)";
    pub(crate) const END_SECRETS: &str = "UPDATE tollgate_secrets SET valid_until = \
         CASE WHEN valid_until IS NULL THEN $2 WHEN valid_until < $3 THEN valid_until ELSE $3 END \
         WHERE key_id = $1";
}

pub(crate) mod organizations {
    /// The order in which `rows::read_organization` reads.
    macro_rules! columns {
        () => {
            "o.id, o.plan, o.status, o.ip_rules, o.limits, o.resources, o.created_at, o.version"
        };
    }
    pub(super) use columns;

    pub(crate) const READ: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM tollgate_organizations o WHERE o.id = $1"
    );
    pub(crate) const LIST: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM tollgate_organizations o WHERE o.id > $1 ORDER BY o.id LIMIT $2"
    );
    pub(crate) const INSERT: &str = "INSERT INTO tollgate_organizations \
         (id, plan, status, ip_rules, limits, resources, created_at, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    pub(crate) const UPDATE: &str = "UPDATE tollgate_organizations SET plan = $2, status = $3, \
         ip_rules = $4, limits = $5, resources = $6, created_at = $7, version = $8 \
         WHERE id = $1 AND version = $9";
    pub(crate) const EXISTS: &str = "SELECT 1 FROM tollgate_organizations WHERE id = $1";
}

pub(crate) mod changes {
    pub(crate) const INSERT: &str = "INSERT INTO tollgate_changes \
         (kind, key_id, organization, actor, changed_at, reason) VALUES ($1, $2, $3, $4, $5, $6)";
    pub(crate) const NEWEST: &str = "SELECT coalesce(max(seq), 0) FROM tollgate_changes";
    pub(crate) const SINCE: &str = "SELECT seq, kind, key_id, organization FROM tollgate_changes \
         WHERE seq > $1 ORDER BY seq LIMIT $2";
}

pub(crate) mod audit {
    /// The order in which `audit::read` reads.
    macro_rules! columns {
        () => {
            "organization, seq, at, action, target, actor, session, address, reason, before, \
             after, mac"
        };
    }

    pub(crate) const INSERT: &str = concat!(
        "INSERT INTO tollgate_audit (",
        columns!(),
        ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
    );
    pub(crate) const AFTER: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM tollgate_audit WHERE organization = $1 AND seq > $2 ORDER BY seq LIMIT $3"
    );
    pub(crate) const BEFORE: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM tollgate_audit WHERE organization = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3"
    );
    pub(crate) const HEAD: &str = "SELECT organization, seq, mac FROM tollgate_audit \
         WHERE organization = $1 ORDER BY seq DESC LIMIT 1";
    pub(crate) const HEADS: &str = "SELECT organization, seq, mac FROM tollgate_audit AS a \
         WHERE (organization > $1 OR ($2 = 1 AND organization = $1)) AND seq = (\
         SELECT max(seq) FROM tollgate_audit AS b WHERE b.organization = a.organization) \
         ORDER BY organization LIMIT $3";
}

pub(crate) mod quotas {
    /// Makes the row if there is none, and locks it.
    pub(crate) const LOCK: &str = "INSERT INTO tollgate_quotas \
         (subject, period, started_at, used) VALUES ($1, $2, $3, 0) \
         ON CONFLICT (subject, period) DO UPDATE SET subject = excluded.subject \
         RETURNING started_at, used";
    pub(crate) const WRITE: &str = "UPDATE tollgate_quotas SET started_at = $3, used = $4 \
         WHERE subject = $1 AND period = $2";
    pub(crate) const GIVE_BACK: &str = "UPDATE tollgate_quotas SET used = \
         CASE WHEN used < $4 THEN 0 ELSE used - $4 END \
         WHERE subject = $1 AND period = $2 AND started_at = $3";
}

pub(crate) mod declarations {
    pub(crate) const NEWEST: &str =
        "SELECT catalog, permissions FROM tollgate_declarations ORDER BY id DESC LIMIT 1";
    pub(crate) const INSERT: &str =
        "INSERT INTO tollgate_declarations (catalog, permissions) VALUES ($1, $2)";
}
