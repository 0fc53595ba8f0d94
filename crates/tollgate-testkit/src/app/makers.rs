//! Organizations, keys and sessions, in one line each.

use std::fmt;
use std::time::Duration;

use tollgate_core::accounts::{Email, NewUser, Password, Role};
use tollgate_core::clock::Clock as _;
use tollgate_core::id::{KeyId, OrgId};
use tollgate_core::ip::IpRules;
use tollgate_core::keyring::{KeyringError, NewKey, NewOrganization};
use tollgate_core::record::ApiKey;

use crate::app::gate::{TestGate, actor};
use crate::records::org;

/// The name of the cookie of `tollgate-admin`, unless an app changes it.
const COOKIE: &str = "__Host-tollgate_session";

/// An organization that is to be made.
#[derive(Debug)]
#[must_use = "make it"]
pub struct NewTestOrganization<'a> {
    kit: &'a TestGate,
    id: OrgId,
    plan: Option<String>,
    resources: Vec<(String, String)>,
    credits: u64,
    suspended: bool,
    billing_restricted: bool,
}

impl<'a> NewTestOrganization<'a> {
    pub(super) fn new(kit: &'a TestGate, id: &str) -> Self {
        Self {
            kit,
            id: org(id),
            plan: None,
            resources: Vec::new(),
            credits: 0,
            suspended: false,
            billing_restricted: false,
        }
    }

    /// On this plan.
    pub fn plan(mut self, plan: &str) -> Self {
        self.plan = Some(plan.to_owned());
        self
    }

    /// With so many credits.
    pub const fn credits(mut self, credits: u64) -> Self {
        self.credits = credits;
        self
    }

    /// With a resource, such as the `domain` `acme.example`.
    pub fn resource(mut self, kind: &str, value: &str) -> Self {
        self.resources.push((kind.to_owned(), value.to_owned()));
        self
    }

    /// Suspended.
    pub const fn suspended(mut self) -> Self {
        self.suspended = true;
        self
    }

    /// Restricted for billing reasons.
    pub const fn billing_restricted(mut self) -> Self {
        self.billing_restricted = true;
        self
    }

    /// Makes it.
    pub async fn make(self) {
        let (gate, actor) = (self.kit.gate(), actor());
        let plan = self.plan.unwrap_or_else(|| {
            let highest = gate.catalog().plans().next_back();
            highest.unwrap().name.clone()
        });
        let mut new = NewOrganization::new(self.id.clone(), plan);
        for (kind, value) in self.resources {
            new = new.resource(kind, value);
        }
        let keyring = gate.keyring();
        keyring.create_organization(new, &actor).await.unwrap();
        if self.credits > 0 {
            let granted = gate.grant_credits(&self.id, self.credits, &actor);
            granted.await.unwrap();
        }
        if self.suspended {
            keyring.suspend(&self.id, &actor).await.unwrap();
        }
        if self.billing_restricted {
            let restricted = keyring.restrict_billing(&self.id, &actor);
            restricted.await.unwrap();
        }
    }
}

/// A key that is to be made.
#[derive(Debug)]
#[must_use = "make it"]
pub struct NewTestKey<'a> {
    kit: &'a TestGate,
    new: NewKey,
}

impl<'a> NewTestKey<'a> {
    pub(super) fn new(kit: &'a TestGate, organization: &str) -> Self {
        Self {
            kit,
            new: NewKey::new(org(organization), "a test's key"),
        }
    }

    /// With these scopes.
    pub fn scopes<S: Into<String>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.edit(|new| new.scopes(scopes))
    }

    /// Following a preset.
    pub fn preset(self, preset: &str) -> Self {
        self.edit(|new| new.preset(preset))
    }

    /// On a plan of its own.
    pub fn plan(self, plan: &str) -> Self {
        self.edit(|new| new.plan(plan))
    }

    /// Usable from these addresses only: `203.0.113.7, 198.51.100.0/24`.
    pub fn allow_ip(self, list: &str) -> Self {
        let rules = IpRules::allowing(list.parse().unwrap());
        self.edit(|new| new.ip_rules(rules))
    }

    /// Expiring so long from now.
    pub fn expires_in(self, time: Duration) -> Self {
        let end = self.kit.clock().now().wall.after(time);
        self.edit(|new| new.expires_at(end))
    }

    /// Whatever else a new key can be given.
    pub fn edit(mut self, edit: impl FnOnce(NewKey) -> NewKey) -> Self {
        self.new = edit(self.new);
        self
    }

    /// Makes it.
    pub async fn make(self) -> TestKey {
        let issued = self.kit.gate().keyring().issue(self.new, &actor()).await;
        let issued = issued.unwrap();
        TestKey::new(self.kit, issued.key, issued.secret.expose())
    }
}

/// A key, and the one copy of its secret, which `Debug` does not show.
#[derive(Clone)]
pub struct TestKey {
    /// The key, as it was made.
    pub key: ApiKey,
    secret: String,
}

impl TestKey {
    pub(super) fn new(kit: &TestGate, key: ApiKey, secret: &str) -> Self {
        kit.0.watch.add(&key, secret);
        Self {
            key,
            secret: secret.to_owned(),
        }
    }

    /// Its id, which management routes name it by.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.key.id
    }

    /// Its secret, for a place that [`Call::key`](super::Call::key) does not send it in.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Gives it another secret, with a grace for the old one.
    pub async fn rotate(&self, kit: &TestGate, grace: Duration) -> Self {
        let keyring = kit.gate().keyring();
        let issued = keyring.rotate(&self.id(), grace, &actor()).await.unwrap();
        Self::new(kit, issued.key, issued.secret.expose())
    }

    /// Revokes it.
    pub async fn revoke(&self, kit: &TestGate) {
        let keyring = kit.gate().keyring();
        keyring.revoke(&self.id(), &actor()).await.unwrap();
    }
}

impl fmt::Debug for TestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestKey")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Somebody who is to be signed in.
#[derive(Debug)]
#[must_use = "begin it"]
pub struct NewTestSession<'a> {
    kit: &'a TestGate,
    email: Email,
    cookie: String,
    memberships: Vec<(OrgId, Role)>,
    everywhere: Option<Role>,
}

impl<'a> NewTestSession<'a> {
    pub(super) fn new(kit: &'a TestGate, email: &str) -> Self {
        Self {
            kit,
            email: Email::new(email).unwrap(),
            cookie: COOKIE.to_owned(),
            memberships: Vec::new(),
            everywhere: None,
        }
    }

    /// With a role in an organization.
    pub fn member(mut self, organization: &str, role: Role) -> Self {
        self.memberships.push((org(organization), role));
        self
    }

    /// With a role in every organization.
    pub const fn everywhere(mut self, role: Role) -> Self {
        self.everywhere = Some(role);
        self
    }

    /// In a cookie of this name, where the app does not use that of `tollgate-admin`.
    pub fn cookie(mut self, name: &str) -> Self {
        name.clone_into(&mut self.cookie);
        self
    }

    /// Signs them in.
    pub async fn begin(self) -> TestSession {
        let (accounts, actor) = (self.kit.accounts(), actor());
        let user = match accounts.user_by_email(&self.email).await {
            Err(KeyringError::NotFound(_)) => {
                let password = Password::generate().unwrap();
                let password = Password::new(password.expose().to_owned()).unwrap();
                let new = NewUser::new(self.email.clone(), password);
                accounts.create_user(new, &actor).await.unwrap()
            }
            found => found.unwrap(),
        };
        let everywhere = self.everywhere.map(|role| (None, role));
        let memberships = self.memberships.into_iter();
        let memberships = memberships.map(|(organization, role)| (Some(organization), role));
        let mut user = user;
        for (organization, role) in memberships.chain(everywhere) {
            let given = accounts.set_role(&user.id, organization.as_ref(), Some(role), &actor);
            user = given.await.unwrap();
        }
        let begun = accounts.begin_session(&user, &actor).await.unwrap();
        TestSession {
            cookie: format!("{}={}", self.cookie, begun.token.expose()),
        }
    }
}

/// A session, as the cookie that names it. `Debug` does not show it.
#[derive(Clone)]
pub struct TestSession {
    pub(super) cookie: String,
}

impl fmt::Debug for TestSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestSession").finish_non_exhaustive()
    }
}
