//! A key as requests need it: looked up, resolved against the catalog, ready to be judged.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tollgate_core::catalog::Catalog;
use tollgate_core::clock::{Moment, Steady};
use tollgate_core::error::{StoreError, StoreErrorKind};
use tollgate_core::plan::{CountPer, Limits, Plan};
use tollgate_core::rate::Subject;
use tollgate_core::record::{ApiKey, KeyFault, KeyRecord, Organization, Permissions};
use tollgate_core::scope::ScopeSet;

use crate::usage::UsageCounter;

/// A key and its organization, resolved once when they are read from the store.
#[derive(Debug)]
pub(crate) struct VerifiedKey {
    pub(crate) record: KeyRecord,
    pub(crate) granted: ScopeSet,
    pub(crate) plan: Arc<Plan>,
    /// Whether its environment is one whose requests cost no credits.
    pub(crate) free: bool,
    of_organization: Subject,
    of_key: Subject,
    pub(crate) usage: Arc<UsageCounter>,
    /// Where the steady clock stands when the secret ends, so that a wall clock that is set back
    /// revives nothing.
    ends: Option<Steady>,
}

impl VerifiedKey {
    /// Resolves what a store found.
    ///
    /// Scopes that the catalog no longer declares grant nothing. A plan that it no longer
    /// declares is an error: there is nothing to hold the key to.
    pub(crate) fn resolve(
        record: KeyRecord,
        catalog: &Catalog,
        now: Moment,
    ) -> Result<Self, StoreError> {
        let KeyRecord {
            key, organization, ..
        } = &record;
        let plan_name = key.plan.as_deref().unwrap_or(&organization.plan);
        let Some(plan) = catalog.plan(plan_name) else {
            return Err(StoreError::new(
                StoreErrorKind::Corrupt,
                format!(
                    "key {} is on plan `{plan_name}`, which the catalog does not declare",
                    key.id
                ),
            ));
        };
        let granted = match &key.permissions {
            Permissions::Preset(name) => catalog
                .preset(name)
                .map(|preset| catalog.closure(&preset.scopes))
                .unwrap_or_default(),
            Permissions::Scopes(scopes) => catalog.closure(scopes),
        };
        let end = [key.expires_at, record.secret_valid_until];
        let ends = end
            .into_iter()
            .flatten()
            .min()
            .map(|end| now.steady.after(end.since(now.wall)));
        Ok(Self {
            granted,
            plan: Arc::clone(plan),
            free: is_free(catalog, &key.environment),
            of_organization: Subject::organization(organization.id.clone()),
            of_key: Subject::key(key.id),
            usage: Arc::new(UsageCounter::new(key.id)),
            ends,
            record,
        })
    }

    /// Who is counted under [`limits`](Self::limits): the organization, unless they say the key.
    ///
    /// A key with a plan or limits of its own is counted alone: under other limits than its
    /// sisters, it would change what is known of them.
    pub(crate) fn subject(&self, class: Option<&str>) -> &Subject {
        let own = self.key().plan.is_some() || self.key().limits.is_some();
        if own || self.limits(class).per() == CountPer::Key {
            &self.of_key
        } else {
            &self.of_organization
        }
    }

    pub(crate) fn key(&self) -> &ApiKey {
        &self.record.key
    }

    pub(crate) fn organization(&self) -> &Organization {
        &self.record.organization
    }

    /// Why the secret is no good now, if it is not.
    pub(crate) fn fault(&self, now: Moment) -> Option<KeyFault> {
        let over = || self.ends.is_some_and(|end| now.steady >= end);
        let fault = self.record.fault(now.wall);
        fault.or_else(|| over().then_some(KeyFault::Expired))
    }

    /// Whether both the key and its organization may be used from this address.
    pub(crate) fn permits(&self, address: Option<IpAddr>) -> bool {
        self.key().ip_rules.permit(address) && self.organization().ip_rules.permit(address)
    }

    /// The limits of a class of routes: the plan's for that class if it has any, else the key's
    /// own, else the organization's own, else the plan's.
    pub(crate) fn limits(&self, class: Option<&str>) -> &Limits {
        let of_class = class.and_then(|class| self.plan.classes.get(class));
        of_class
            .or(self.key().limits.as_ref())
            .or(self.organization().limits.as_ref())
            .unwrap_or(&self.plan.limits)
    }

    /// Whether this secret was replaced, and is in its grace.
    pub(crate) fn is_old_secret(&self) -> bool {
        self.record.secret_valid_until.is_some()
    }
}

fn is_free(catalog: &Catalog, environment: &str) -> bool {
    let mut declared = catalog.keys().format.environments.iter();
    declared.any(|declared| declared.name == environment && declared.free)
}

/// How old a copy is.
pub(crate) fn age(read_at: Steady, now: Moment) -> Duration {
    now.steady.since(read_at)
}
