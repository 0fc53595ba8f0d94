//! A session, as its owner sees it.

use std::net::IpAddr;

use serde::Serialize;
use tollgate_core::accounts::{Membership, User, UserSession};
use tollgate_core::id::SessionId;
use utoipa::ToSchema;

use crate::extract::Time;

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MySession {
    user: UserView,
    session: SessionView,
}

/// Somebody who may sign in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserView {
    /// Names them for ever.
    id: String,
    /// With what they sign in.
    #[schema(example = "ann@acme.example")]
    email: String,
    /// What they may do, and where.
    memberships: Vec<MembershipView>,
    /// Whether they may not sign in.
    disabled: bool,
    /// When they were made.
    created_at: Time,
}

/// A role in an organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MembershipView {
    /// The organization; null for all.
    #[schema(example = "acme")]
    organization: Option<String>,
    /// `viewer`, `admin` or `owner`.
    #[schema(example = "admin")]
    role: &'static str,
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionView {
    /// Names it. It does not open it.
    id: String,
    /// Whether it is this one.
    current: bool,
    /// From where it was begun.
    #[schema(value_type = Option<String>, example = "203.0.113.50")]
    address: Option<IpAddr>,
    /// When it was begun.
    created_at: Time,
    /// When it was last used, to the minute.
    last_seen_at: Time,
    /// It is over at this point, whatever happens.
    expires_at: Time,
}

impl MySession {
    pub(crate) fn new(user: &User, session: &UserSession) -> Self {
        Self {
            user: user.into(),
            session: SessionView::new(session, Some(session.id)),
        }
    }
}

impl SessionView {
    pub(crate) fn new(session: &UserSession, current: Option<SessionId>) -> Self {
        Self {
            id: session.id.to_string(),
            current: current == Some(session.id),
            address: session.address,
            created_at: Time(session.created_at),
            last_seen_at: Time(session.last_seen_at),
            expires_at: Time(session.expires_at),
        }
    }
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email.to_string(),
            memberships: user.memberships.iter().map(Into::into).collect(),
            disabled: user.disabled,
            created_at: Time(user.created_at),
        }
    }
}

impl From<&Membership> for MembershipView {
    fn from(of: &Membership) -> Self {
        Self {
            organization: of.organization.as_ref().map(ToString::to_string),
            role: of.role.as_str(),
        }
    }
}
