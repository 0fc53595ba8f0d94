//! The sessions of people, for management routes: an app brings its own, or takes those of
//! `tollgate-admin`.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request;
use tollgate_core::accounts::{Membership, Role, role_in};
use tollgate_core::change::Actor;
use tollgate_core::id::OrgId;
use tollgate_core::reply::Reply;

use crate::denial::{Denial, DenialKind};
use crate::passage::Ticket;

/// Finds the session of a request: a cookie of the app's, or whatever it uses.
///
/// It is asked only if no API key was sent: a key beside a good session is a 401.
pub trait Sessions: fmt::Debug + Send + Sync + 'static {
    /// The good session of this request, if it has one.
    fn verify(&self, head: &request::Parts) -> Reply<Option<Session>>;
}

/// Somebody who is signed in, and what they may manage.
///
/// ```
/// use tollgate::Session;
/// use tollgate::core::accounts::Role;
/// use tollgate::core::id::OrgId;
///
/// let acme = OrgId::new("acme")?;
/// let session = Session::of("ann").with_role(acme.clone(), Role::Admin);
/// assert_eq!(session.role_in(&acme), Some(Role::Admin));
/// assert_eq!(session.role_in(&OrgId::new("other")?), None);
/// # Ok::<(), tollgate::core::invalid::Invalid>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Session {
    user: Arc<str>,
    id: Option<Arc<str>>,
    memberships: Vec<Membership>,
    address: Option<IpAddr>,
}

impl Session {
    /// A session of this user, who may manage nothing.
    pub fn of(user: impl Into<Arc<str>>) -> Self {
        Self {
            user: user.into(),
            id: None,
            memberships: Vec::new(),
            address: None,
        }
    }

    /// Names it for the audit trail: by an id, and not by what opens it.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Gives its user a role in an organization.
    #[must_use]
    pub fn with_role(mut self, organization: OrgId, role: Role) -> Self {
        self.memberships.push(Membership {
            organization: Some(organization),
            role,
        });
        self
    }

    /// Gives its user a role in every organization, and in what belongs to none. An owner
    /// everywhere runs the whole installation.
    #[must_use]
    pub fn with_role_everywhere(mut self, role: Role) -> Self {
        self.memberships.push(Membership {
            organization: None,
            role,
        });
        self
    }

    /// Who is signed in, in the app's own words.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// What names it in the audit trail, if the app says.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// What its user may manage, and where.
    #[must_use]
    pub fn memberships(&self) -> &[Membership] {
        &self.memberships
    }

    /// The role of its user in an organization: the one there, or the one everywhere, whichever
    /// is more.
    #[must_use]
    pub fn role_in(&self, organization: &OrgId) -> Option<Role> {
        role_in(&self.memberships, organization)
    }

    /// The role of its user everywhere.
    #[must_use]
    pub fn role_everywhere(&self) -> Option<Role> {
        let everywhere = self.memberships.iter();
        let everywhere = everywhere.filter(|of| of.organization.is_none());
        everywhere.map(|of| of.role).max()
    }

    /// Who makes a change in this session, for the audit trail: with the session and the address.
    #[must_use]
    pub fn actor(&self) -> Actor {
        let actor = Actor::user(&self.user);
        let actor = match &self.id {
            Some(id) => actor.in_session(&**id),
            None => actor,
        };
        match self.address {
            Some(address) => actor.from_address(address),
            None => actor,
        }
    }

    pub(crate) const fn seen_from(mut self, address: Option<IpAddr>) -> Self {
        self.address = address;
        self
    }
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Denial> {
        let Some(ticket) = Ticket::find(&parts.extensions) else {
            return Err(Denial::misplaced("the gate's own service"));
        };
        let session = ticket.with(|passage| passage.session.clone());
        session.ok_or_else(|| DenialKind::SessionRequired.into())
    }
}
