//! The people who manage keys, and their sessions.

/// The order in which `accounts::user` reads.
macro_rules! user {
    () => {
        "u.id, u.email, u.disabled, u.created_at, u.version, (\
         SELECT string_agg(m.organization || '=' || m.role, ' ') \
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
pub(crate) const DELETE_MEMBERSHIPS: &str = "DELETE FROM tollgate_memberships WHERE user_id = $1";

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
     SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2";
pub(crate) const END_SESSION: &str = "DELETE FROM tollgate_sessions WHERE id = $1 \
     RETURNING id, user_id, address, created_at, last_seen_at, expires_at";
pub(crate) const END_SESSIONS: &str = "DELETE FROM tollgate_sessions WHERE user_id = $1";
pub(crate) const FORGET_SESSIONS: &str =
    "DELETE FROM tollgate_sessions WHERE user_id = $1 AND expires_at <= $2";
