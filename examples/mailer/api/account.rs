//! Whose records a request sees: those of its key's organization, and no others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::FromRequestParts;
use axum::http::request;
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use tollgate::core::id::OrgId;
use tollgate::{Denial, Gate, Principal};

use super::contacts::Contact;
use super::domains::Domain;
use super::emails::Email;
use super::lists::List;
use super::projects::Project;
use super::records::{Record, Shelf, Stored};
use super::segments::Segment;
use super::templates::Template;
use super::webhooks::Webhook;

/// Everybody's records, in memory. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Mailer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    gate: Gate,
    /// As many as there are organizations, each with so many records of a kind at most.
    accounts: Mutex<BTreeMap<OrgId, Records>>,
    made: AtomicU64,
}

/// What one organization has.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) projects: Shelf<Project>,
    pub(crate) domains: Shelf<Domain>,
    pub(crate) templates: Shelf<Template>,
    pub(crate) webhooks: Shelf<Webhook>,
    pub(crate) emails: Shelf<Email>,
    pub(crate) contacts: Shelf<Contact>,
    pub(crate) lists: Shelf<List>,
    pub(crate) segments: Shelf<Segment>,
}

impl Mailer {
    /// A mailer without a record.
    pub(crate) fn new(gate: &Gate) -> Self {
        Self(Arc::new(Shared {
            gate: gate.clone(),
            accounts: Mutex::default(),
            made: AtomicU64::new(0),
        }))
    }

    /// The account of an organization.
    pub(crate) fn account(&self, organization: OrgId) -> Account {
        Account {
            mailer: self.clone(),
            organization,
        }
    }
}

/// The account of the caller's organization.
///
/// A handler takes it in place of the state, and so cannot reach the records of another
/// organization: an id of theirs is looked for among the caller's own, and is not there.
#[derive(Debug)]
pub(crate) struct Account {
    mailer: Mailer,
    organization: OrgId,
}

impl Account {
    pub(crate) const fn organization(&self) -> &OrgId {
        &self.organization
    }

    /// The records, for as long as the guard lives.
    pub(crate) fn records(&self) -> MappedMutexGuard<'_, Records> {
        let accounts = self.mailer.0.accounts.lock();
        MutexGuard::map(accounts, |accounts| {
            accounts.entry(self.organization.clone()).or_default()
        })
    }

    /// The time, as answers show it.
    pub(crate) fn now(&self) -> String {
        self.mailer.0.gate.clock().now().wall.to_string()
    }

    /// An id that nothing else has.
    pub(crate) fn new_id(&self, kind: &str) -> String {
        let made = self.mailer.0.made.fetch_add(1, Ordering::Relaxed);
        format!("{kind}_{}", made.wrapping_add(1))
    }

    /// A record with an id, made now.
    pub(crate) fn stored<T: Record>(&self, record: T) -> Stored<T> {
        Stored {
            id: self.new_id(T::KIND),
            created_at: self.now(),
            record,
        }
    }
}

impl FromRequestParts<Mailer> for Account {
    type Rejection = Denial;

    async fn from_request_parts(
        parts: &mut request::Parts,
        mailer: &Mailer,
    ) -> Result<Self, Denial> {
        let caller = Principal::from_request_parts(parts, mailer).await?;
        Ok(mailer.account(caller.organization().clone()))
    }
}
