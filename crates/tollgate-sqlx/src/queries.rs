//! Every statement, once. Each is good on SQLite and on PostgreSQL.
//!
//! A row is locked by an update that changes nothing and returns it: SQLite's writers are alone
//! anyway, and PostgreSQL's wait for each other there.

pub(crate) mod keys {
    /// The order in which `rows::read_key` reads.
    macro_rules! columns {
        () => {
            "k.id, k.organization, k.name, k.creator, k.environment, k.display_prefix, \
             k.permissions, k.ip_rules, k.plan, k.limits, k.not_before, k.expires_at, k.status, \
             k.created_at, k.rotated_at, k.revoked_at, k.version"
        };
    }

    pub(crate) const FIND: &str = concat!(
        "SELECT s.valid_until, ",
        columns!(),
        ", ",
        super::organizations::columns!(),
        " FROM tollgate_secrets s JOIN tollgate_keys k ON k.id = s.key_id \
         JOIN tollgate_organizations o ON o.id = k.organization WHERE s.digest = $1"
    );
    pub(crate) const READ: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM tollgate_keys k WHERE k.id = $1"
    );
    pub(crate) const LIST: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM tollgate_keys k WHERE k.organization = $1 AND k.id > $2 ORDER BY k.id LIMIT $3"
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
    pub(crate) const DELETE: &str =
        "DELETE FROM tollgate_keys WHERE id = $1 RETURNING organization";
    pub(crate) const EXISTS: &str = "SELECT 1 FROM tollgate_keys WHERE id = $1";
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

pub(crate) mod wallets {
    pub(crate) const READ: &str =
        "SELECT granted, settled, held FROM tollgate_wallets WHERE organization = $1";
    /// Makes the wallet if there is none, and locks it.
    pub(crate) const LOCK: &str = "INSERT INTO tollgate_wallets \
         (organization, granted, settled, held) VALUES ($1, 0, 0, 0) \
         ON CONFLICT (organization) DO UPDATE SET organization = excluded.organization \
         RETURNING granted, settled, held, allowance_month";
    pub(crate) const WRITE: &str = "UPDATE tollgate_wallets SET granted = $2, held = $3, \
         allowance_month = $4 WHERE organization = $1";
    pub(crate) const RELEASE: &str = "UPDATE tollgate_wallets SET held = held - $2, \
         settled = settled + $3 WHERE organization = $1";
}

pub(crate) mod holds {
    pub(crate) const READ: &str = "SELECT state, credits FROM tollgate_holds WHERE id = $1";
    pub(crate) const INSERT: &str = "INSERT INTO tollgate_holds \
         (id, organization, key_id, route, credits, state, created_at, deadline) \
         VALUES ($1, $2, $3, $4, $5, 'open', $6, $7)";
    /// Locks an open hold.
    pub(crate) const LOCK: &str = "UPDATE tollgate_holds SET credits = credits \
         WHERE id = $1 AND state = 'open' RETURNING organization, credits";
    pub(crate) const EXTEND: &str = "UPDATE tollgate_holds SET credits = $2 WHERE id = $1";
    pub(crate) const SETTLE: &str = "UPDATE tollgate_holds SET state = 'settled', ended_at = $2, \
         charged = CASE WHEN credits < $3 THEN credits ELSE $3 END \
         WHERE id = $1 AND state = 'open' RETURNING organization, credits, charged";
    pub(crate) const VOID: &str = "UPDATE tollgate_holds SET state = 'voided', ended_at = $2 \
         WHERE id = $1 AND state = 'open' RETURNING organization, credits";
    pub(crate) const BURY: &str = "INSERT INTO tollgate_holds \
         (id, organization, credits, state, created_at, ended_at) \
         VALUES ($1, $2, 0, 'voided', $3, $3) ON CONFLICT (id) DO NOTHING";
    pub(crate) const EXPIRE: &str = "UPDATE tollgate_holds SET state = 'expired', ended_at = $1 \
         WHERE id IN (SELECT id FROM tollgate_holds WHERE state = 'open' AND deadline <= $1 \
         ORDER BY deadline LIMIT $2) AND state = 'open' RETURNING organization, credits";
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

pub(crate) mod usage {
    pub(crate) const READ: &str = "SELECT total_requests, with_old_secret, last_used_at, \
         last_address FROM tollgate_usage WHERE key_id = $1";
    /// Makes the row if there is none, and locks it.
    pub(crate) const LOCK: &str = "INSERT INTO tollgate_usage \
         (key_id, total_requests, with_old_secret) VALUES ($1, 0, 0) \
         ON CONFLICT (key_id) DO UPDATE SET key_id = excluded.key_id \
         RETURNING total_requests, with_old_secret, last_used_at, last_address";
    pub(crate) const WRITE: &str = "UPDATE tollgate_usage SET total_requests = $2, \
         with_old_secret = $3, last_used_at = $4, last_address = $5 WHERE key_id = $1";
    /// `$6` is the largest number less the one to be added: the sum stops at the largest.
    pub(crate) const COUNT: &str = "INSERT INTO tollgate_usage_counts AS c \
         (key_id, hour, route, outcome, requests) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (key_id, hour, route, outcome) DO UPDATE SET requests = \
         CASE WHEN c.requests > $6 THEN 9223372036854775807 \
         ELSE c.requests + excluded.requests END";
}

pub(crate) mod declarations {
    pub(crate) const NEWEST: &str =
        "SELECT catalog, permissions FROM tollgate_declarations ORDER BY id DESC LIMIT 1";
    pub(crate) const INSERT: &str =
        "INSERT INTO tollgate_declarations (catalog, permissions) VALUES ($1, $2)";
}
