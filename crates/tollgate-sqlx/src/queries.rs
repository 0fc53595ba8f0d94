//! Every statement, once.
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

    /// The keys of an import that is under way, or was left behind, are not there for anybody.
    macro_rules! visible {
        () => {
            "(NOT EXISTS (SELECT 1 FROM tollgate_imports) OR k.import_id IS NULL \
             OR k.import_id NOT IN (SELECT id FROM tollgate_imports))"
        };
    }

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
    pub(crate) const EXISTS: &str = concat!(
        "SELECT 1 FROM tollgate_keys k WHERE k.id = $1 AND ",
        visible!()
    );
    pub(crate) const USED_ON: &str = "UPDATE tollgate_keys SET last_used_day = $2 WHERE id = $1";
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

pub(crate) mod imports {
    pub(crate) const BEGIN: &str =
        "INSERT INTO tollgate_imports (beat_at) VALUES ($1) RETURNING id";
    pub(crate) const PENDING: &str = "SELECT id, beat_at FROM tollgate_imports ORDER BY id";
    pub(crate) const BEAT: &str = "UPDATE tollgate_imports SET beat_at = $2 WHERE id = $1";
    pub(crate) const DELETE: &str = "DELETE FROM tollgate_imports WHERE id = $1";
    /// Those of a JSON array of digests that exist.
    pub(crate) const KNOWN: &str = "SELECT digest FROM tollgate_secrets \
         WHERE digest IN (SELECT unhex(value) FROM json_each($1))";
    /// A JSON array of secrets, without those whose digest another key has.
    pub(crate) const INSERT_SECRETS: &str = "INSERT OR IGNORE INTO tollgate_secrets \
         (digest, key_id) \
         SELECT unhex(substr(value, 1, 64)), unhex(substr(value, 65)) FROM json_each($1)";
    pub(crate) const INSERTED: &str = "SELECT changes()";
    /// The digests of a JSON array of secrets that other keys have.
    pub(crate) const OF_OTHERS: &str = "SELECT s.digest FROM json_each($1) \
         CROSS JOIN tollgate_secrets s ON s.digest = unhex(substr(value, 1, 64)) \
         WHERE s.key_id <> unhex(substr(value, 65))";
    /// The keys of a JSON array of secrets whose digest another key has.
    pub(crate) const REMOVE_WITHOUT_SECRET: &str = "DELETE FROM tollgate_keys WHERE id IN (\
         SELECT unhex(substr(value, 65)) FROM json_each($1)) AND NOT EXISTS (\
         SELECT 1 FROM tollgate_secrets s WHERE s.key_id = tollgate_keys.id)";
    /// Adds those of a JSON array of secrets that are keys.
    pub(crate) const COUNT_STAGED: &str = "INSERT INTO tollgate_imported AS i \
         (import_id, organization, keys, told) \
         SELECT $1, organization, count(*), 0 FROM tollgate_keys WHERE id IN (\
         SELECT unhex(substr(value, 65)) FROM json_each($2)) GROUP BY organization \
         ON CONFLICT (import_id, organization) DO UPDATE SET keys = i.keys + excluded.keys";
    /// Adds a JSON array of organizations with their numbers of keys.
    pub(crate) const COUNT: &str = "INSERT INTO tollgate_imported AS i \
         (import_id, organization, keys, told) \
         SELECT $1, value->>0, value->>1, 0 FROM json_each($2) WHERE true \
         ON CONFLICT (import_id, organization) DO UPDATE SET keys = i.keys + excluded.keys";
    pub(crate) const UNTOLD: &str = "SELECT organization, keys FROM tollgate_imported \
         WHERE import_id = $1 AND told = 0 ORDER BY organization LIMIT $2";
    pub(crate) const TOLD: &str = "UPDATE tollgate_imported SET told = 1 \
         WHERE import_id = $1 AND organization = $2";
    pub(crate) const SUMS: &str = "SELECT count(*), coalesce(sum(keys), 0) \
         FROM tollgate_imported WHERE import_id = $1";
    pub(crate) const ORGANIZATION: &str =
        "SELECT organization FROM tollgate_imported WHERE import_id = $1 LIMIT 1";
    /// What was imported is the newest of its organization, or nearly.
    pub(crate) const REMOVE: &str = "DELETE FROM tollgate_keys WHERE id IN (\
         SELECT id FROM tollgate_keys WHERE organization = $1 AND import_id = $2 \
         ORDER BY id DESC LIMIT $3)";
    pub(crate) const FORGET: &str =
        "DELETE FROM tollgate_imported WHERE import_id = $1 AND organization = $2";
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

pub(crate) mod wallets {
    /// The wallets of a JSON array of organizations, and of those of a JSON array of holds.
    pub(crate) const READ: &str = "SELECT organization, granted, withdrawn, settled, held, \
         allowance_month, allowance_credits, pools FROM tollgate_wallets \
         WHERE organization IN (SELECT value FROM json_each($1) UNION \
         SELECT organization FROM tollgate_holds \
         WHERE id IN (SELECT unhex(value) FROM json_each($2)))";
    pub(crate) const WRITE: &str = "INSERT INTO tollgate_wallets (organization, granted, \
         withdrawn, settled, held, allowance_month, allowance_credits, pools) \
         SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, \
         value->>7 FROM jsonb_each($1) WHERE true \
         ON CONFLICT (organization) DO UPDATE SET granted = excluded.granted, \
         withdrawn = excluded.withdrawn, settled = excluded.settled, held = excluded.held, \
         allowance_month = excluded.allowance_month, \
         allowance_credits = excluded.allowance_credits, pools = excluded.pools";
}

pub(crate) mod holds {
    /// The order in which `ledger::rows::read_hold` reads.
    macro_rules! columns {
        () => {
            "id, organization, credits, owed, state, charged, refunded, paid_priority, \
             paid_expires_at, deadline, ended_at, idempotent"
        };
    }

    /// The holds of a JSON array of ids.
    pub(crate) const READ: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM tollgate_holds WHERE id IN (SELECT unhex(value) FROM json_each($1))"
    );
    pub(crate) const INSERT: &str = "INSERT INTO tollgate_holds (id, organization, key_id, \
         route, request_id, price, credits, state, created_at, deadline, ended_at, idempotent) \
         SELECT unhex(value->>0), value->>1, unhex(value->>2), value->>3, value->>4, value->>5, \
         value->>6, value->>7, value->>8, value->>9, value->>10, value->>11 FROM jsonb_each($1)";
    pub(crate) const UPDATE: &str = "UPDATE tollgate_holds SET credits = j.value->>1, \
         owed = j.value->>2, state = j.value->>3, charged = j.value->>4, \
         refunded = j.value->>5, paid_priority = j.value->>6, paid_expires_at = j.value->>7, \
         deadline = j.value->>8, ended_at = j.value->>9 \
         FROM jsonb_each($1) AS j WHERE tollgate_holds.id = unhex(j.value->>0)";
    pub(crate) const DUE: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM tollgate_holds WHERE state = 'open' AND deadline <= $1 ORDER BY deadline LIMIT $2"
    );
    /// Ids begin with their time, so the oldest rows come first.
    pub(crate) const FORGET: &str = "DELETE FROM tollgate_holds WHERE id IN (\
         SELECT id FROM tollgate_holds WHERE id < $1 AND state <> 'open' AND ended_at < $2 \
         ORDER BY id LIMIT $3)";
}

pub(crate) mod entries {
    /// A charge that names no organization, and a refund, have the names of their hold.
    pub(crate) const INSERT: &str = "INSERT INTO tollgate_entries (hold_id, at, kind, credits, \
         balance, organization, actor, reason, reference, key_id, route, request_id, price) \
         SELECT unhex(j.value->>0), j.value->>1, j.value->>2, j.value->>3, j.value->>4, \
         coalesce(j.value->>5, h.organization), j.value->>6, j.value->>7, j.value->>8, \
         coalesce(unhex(j.value->>9), h.key_id), coalesce(j.value->>10, h.route), \
         coalesce(j.value->>11, h.request_id), coalesce(j.value->>12, h.price) \
         FROM jsonb_each($1) AS j LEFT JOIN tollgate_holds AS h \
         ON h.id = unhex(j.value->>0) AND (j.value->>5 IS NULL OR j.value->>2 = 'refund') \
         ORDER BY j.key";
    pub(crate) const LIST: &str = "SELECT seq, organization, at, kind, credits, balance, hold_id, \
         key_id, route, request_id, price, actor, reason, reference FROM tollgate_entries \
         WHERE organization = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3";
    pub(crate) const OF_REFERENCE: &str =
        "SELECT hold_id FROM tollgate_entries WHERE organization = $1 AND reference = $2";
}

pub(crate) mod repeats {
    /// The records of a JSON array of `[organization, route, key]`, with the place of each.
    pub(crate) const READ: &str = "SELECT j.key, r.fingerprint, r.running, r.outcome, \
         r.expires_at FROM jsonb_each($1) AS j CROSS JOIN tollgate_repeats AS r \
         ON r.organization = j.value->>0 AND r.route = j.value->>1 \
         AND r.idempotency_key = j.value->>2";
    pub(crate) const BEGIN: &str = "INSERT INTO tollgate_repeats (organization, route, \
         idempotency_key, fingerprint, hold_id, running, expires_at) \
         SELECT value->>0, value->>1, value->>2, unhex(value->>3), unhex(value->>4), 1, value->>5 \
         FROM jsonb_each($1) WHERE true \
         ON CONFLICT (organization, route, idempotency_key) DO UPDATE SET \
         fingerprint = excluded.fingerprint, hold_id = excluded.hold_id, running = 1, \
         outcome = NULL, expires_at = excluded.expires_at";
    pub(crate) const DONE: &str = "UPDATE tollgate_repeats SET running = 0, outcome = unhex(j.value->>1) \
         FROM jsonb_each($1) AS j WHERE tollgate_repeats.hold_id = unhex(j.value->>0)";
    pub(crate) const FREE: &str = "DELETE FROM tollgate_repeats WHERE running = 1 AND hold_id IN \
         (SELECT unhex(value) FROM json_each($1))";
    pub(crate) const FORGET: &str = "DELETE FROM tollgate_repeats WHERE hold_id IN (\
         SELECT hold_id FROM tollgate_repeats WHERE running = 0 AND expires_at <= $1 LIMIT $2)";
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

pub(crate) mod accounts {
    /// The order in which `accounts::user` reads.
    macro_rules! user {
        () => {
            "u.id, u.email, u.disabled, u.created_at, u.version, (\
             SELECT group_concat(m.organization || '=' || m.role, ' ') \
             FROM tollgate_memberships m WHERE m.user_id = u.id)"
        };
    }
    /// The order in which `accounts::session` reads.
    macro_rules! session {
        () => {
            "s.id, s.user_id, s.address, s.created_at, s.last_seen_at, s.expires_at"
        };
    }

    pub(crate) const INSERT_USER: &str = "INSERT INTO tollgate_users \
         (id, email, password, disabled, created_at, version) VALUES ($1, $2, $3, $4, $5, $6)";
    pub(crate) const READ_USER: &str =
        concat!("SELECT ", user!(), " FROM tollgate_users u WHERE u.id = $1");
    pub(crate) const PASSWORD: &str = concat!(
        "SELECT u.password, ",
        user!(),
        " FROM tollgate_users u WHERE u.email = $1"
    );
    pub(crate) const USERS: &str = concat!(
        "SELECT ",
        user!(),
        " FROM tollgate_users u WHERE u.id > $1 ORDER BY u.id LIMIT $2"
    );
    pub(crate) const MEMBERS: &str = concat!(
        "SELECT ",
        user!(),
        " FROM tollgate_memberships o JOIN tollgate_users u ON u.id = o.user_id \
         WHERE o.organization = $3 AND o.user_id > $1 ORDER BY o.user_id LIMIT $2"
    );
    pub(crate) const UPDATE_USER: &str = "UPDATE tollgate_users SET email = $2, disabled = $3, \
         version = $4, password = coalesce($6, password) WHERE id = $1 AND version = $5";
    pub(crate) const DELETE_USER: &str = "DELETE FROM tollgate_users WHERE id = $1";
    pub(crate) const INSERT_MEMBERSHIP: &str = "INSERT INTO tollgate_memberships \
         (user_id, organization, role) VALUES ($1, $2, $3)";
    pub(crate) const DELETE_MEMBERSHIPS: &str =
        "DELETE FROM tollgate_memberships WHERE user_id = $1";

    pub(crate) const INSERT_SESSION: &str = "INSERT INTO tollgate_sessions \
         (id, token, user_id, address, created_at, last_seen_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    pub(crate) const FIND_SESSION: &str = concat!(
        "SELECT ",
        session!(),
        ", ",
        user!(),
        " FROM tollgate_sessions s JOIN tollgate_users u ON u.id = s.user_id WHERE s.token = $1"
    );
    pub(crate) const SESSIONS: &str = concat!(
        "SELECT ",
        session!(),
        " FROM tollgate_sessions s WHERE s.user_id = $1 ORDER BY s.id LIMIT 1000"
    );
    pub(crate) const TOUCH_SESSION: &str = "UPDATE tollgate_sessions \
         SET last_seen_at = max(last_seen_at, $2) WHERE id = $1";
    pub(crate) const END_SESSION: &str = "DELETE FROM tollgate_sessions WHERE id = $1 \
         RETURNING id, user_id, address, created_at, last_seen_at, expires_at";
    pub(crate) const END_SESSIONS: &str = "DELETE FROM tollgate_sessions WHERE user_id = $1";
    pub(crate) const FORGET_SESSIONS: &str =
        "DELETE FROM tollgate_sessions WHERE user_id = $1 AND expires_at <= $2";
}
