//! Who is signed in, and may do what the route is for.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::response::IntoResponse as _;
use http::request::Parts;
use tollgate::{Denial, DenialKind, Session};
use tollgate_core::accounts::Role;
use tollgate_core::change::Actor;
use tollgate_core::id::{KeyId, OrgId};
use tollgate_core::keyring::Keyring;
use tollgate_core::store::ListedKey;

use crate::desk::Desk;
use crate::extract::Reason;
use crate::operation::Required;

/// Who is signed in, on a route whose demand they meet.
#[derive(Clone, Debug)]
pub(crate) struct Manager {
    pub(crate) desk: Desk,
    pub(crate) session: Session,
    /// What the session was found by.
    head: Arc<Parts>,
}

/// Who is signed in, in the organization that the path names.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    manager: Manager,
    pub(crate) organization: OrgId,
    pub(crate) role: Role,
}

/// The key that the path names, of the organization that it names. It comes after a [`Member`].
#[derive(Clone, Debug)]
pub(crate) struct Held(pub(crate) ListedKey);

impl Manager {
    /// Who makes a change, and why. Every change begins with this.
    ///
    /// It is found out once more who they are: their session may have ended, and their roles may
    /// have been taken, while their body was on its way.
    pub(crate) async fn actor(&self, reason: Option<Reason>) -> Result<Actor, Denial> {
        let now = self.desk.gate.session_of(&self.head).await?;
        let now = now.ok_or(DenialKind::SessionRequired)?;
        if now.user() != self.session.user() || now.memberships() != self.session.memberships() {
            let message = "Your roles have changed meanwhile; try again.";
            return Err(Denial::new(DenialKind::Status(403)).with_message(message));
        }
        let actor = self.session.actor();
        Ok(match reason {
            Some(Reason(reason)) => actor.because(reason),
            None => actor,
        })
    }

    /// Whether they are an operator: who runs the whole installation.
    pub(crate) fn is_operator(&self) -> bool {
        self.session.role_everywhere() == Some(Role::Owner)
    }

    /// Lets only an operator say this of a body's member.
    pub(crate) fn only_operator(&self, member: &str, said: bool) -> Result<(), Denial> {
        if said && !self.is_operator() {
            let message =
                format!("`{member}` is for an operator to say, who is an owner everywhere.");
            return Err(Denial::new(DenialKind::Status(403)).with_message(message));
        }
        Ok(())
    }
}

impl Member {
    /// The keyring, in the hands of their role.
    pub(crate) fn keyring(&self) -> Keyring {
        self.desk.gate.keyring().granting(self.role)
    }

    /// Makes sure that the organization is there: who has a role everywhere may name any.
    pub(crate) async fn there(&self) -> Result<(), Denial> {
        self.keyring().organization(&self.organization).await?;
        Ok(())
    }
}

impl Deref for Member {
    type Target = Manager;

    fn deref(&self) -> &Manager {
        &self.manager
    }
}

/// What is said of a thing that is missing, and of one that is not theirs, alike.
pub(crate) fn missing(what: &str, id: &str) -> Denial {
    let shown: String = id.chars().take(64).collect();
    Denial::new(DenialKind::Status(404)).with_message(format!("there is no {what} `{shown}`"))
}

/// What is said to who may do less than the route demands.
pub(crate) fn too_low(required: Required) -> Denial {
    let message = match required {
        Required::Operator => {
            "Only an operator, who is an owner everywhere, may do this.".to_owned()
        }
        other => format!("Only somebody of the role `{other}`, or a higher one, may do this."),
    };
    Denial::new(DenialKind::Status(403))
        .with_message(message)
        .with_detail("required_role", required.as_str())
}

/// A parameter of the path, of a route that has it.
pub(crate) async fn required_param(parts: &mut Parts, name: &str) -> Result<String, Denial> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|error| {
        let status = error.into_response().status().as_u16();
        Denial::new(DenialKind::Status(status)).with_message("The path is not UTF-8.")
    })?;
    let found = params.iter().find(|(key, _)| *key == name);
    found.map(|(_, value)| value.to_owned()).ok_or_else(|| {
        Denial::new(DenialKind::Internal).with_reason(format!("the path has no `{name}`"))
    })
}

/// Who is signed in, what the route demands, and their role in this organization.
async fn authority(parts: &mut Parts, desk: &Desk) -> Result<(Manager, Required), Denial> {
    let session = Session::from_request_parts(parts, desk).await?;
    let required = parts.extensions.get::<Required>().copied();
    let required = required.ok_or_else(|| {
        Denial::new(DenialKind::Internal).with_reason("the route does not say what it demands")
    })?;
    let manager = Manager {
        desk: desk.clone(),
        session,
        head: Arc::new(parts.clone()),
    };
    Ok((manager, required))
}

impl FromRequestParts<Desk> for Manager {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, Denial> {
        let (manager, required) = authority(parts, desk).await?;
        match required {
            Required::Session => Ok(manager),
            Required::Operator if manager.is_operator() => Ok(manager),
            _ => Err(too_low(required)),
        }
    }
}

impl FromRequestParts<Desk> for Member {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, Denial> {
        let (manager, required) = authority(parts, desk).await?;
        let name = required_param(parts, "organization").await?;
        let theirs = OrgId::new(&name).ok().and_then(|organization| {
            let role = manager.session.role_in(&organization)?;
            Some((organization, role))
        });
        // Before the role is compared: to who is no member, it is not there.
        let (organization, role) = theirs.ok_or_else(|| missing("organization", &name))?;
        let enough = match required {
            Required::Member(least) => role >= least,
            Required::Operator => manager.is_operator(),
            Required::Session | Required::Nothing => false,
        };
        if !enough {
            return Err(too_low(required));
        }
        Ok(Self {
            manager,
            organization,
            role,
        })
    }
}

impl FromRequestParts<Desk> for Held {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, Denial> {
        let organization = required_param(parts, "organization").await?;
        let organization = OrgId::new(&organization)?;
        let name = required_param(parts, "key").await?;
        let id: KeyId = name.parse().map_err(|_| missing("key", &name))?;
        let found = desk.gate.keyring().listed_key(&organization, &id).await?;
        Ok(Self(found))
    }
}
