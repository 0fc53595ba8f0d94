//! A key as requests need it: looked up, resolved against the catalog, ready to be judged.
//!
//! A million of them are to fit in memory, so what many keys share, they share: the organization,
//! its plan, the names of environments.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tollgate_core::catalog::Catalog;
use tollgate_core::clock::{Moment, Steady};
use tollgate_core::error::{StoreError, StoreErrorKind};
use tollgate_core::id::KeyId;
use tollgate_core::ip::IpRules;
use tollgate_core::plan::{CountPer, Limits, Plan};
use tollgate_core::rate::Subject;
use tollgate_core::record::{KeyFault, KeyRecord, KeyStatus, Organization, Validity};
use tollgate_core::scope::ScopeSet;

pub(crate) use crate::verified::shared::{Shared, Tenant};

use crate::usage::UsageCounter;

mod shared;

/// A key and its organization, resolved once when they are read from the store.
#[derive(Debug)]
pub(crate) struct VerifiedKey {
    pub(crate) name: Box<str>,
    pub(crate) environment: Arc<str>,
    pub(crate) granted: Arc<ScopeSet>,
    pub(crate) plan: Arc<Plan>,
    usage: UsageCounter,
    tenant: Arc<Tenant>,
    /// Most keys have no rules, limits or bounds of their own.
    ip_rules: Option<Box<IpRules>>,
    limits: Option<Box<Limits>>,
    bounds: Option<Box<Bounds>>,
    /// Whether its environment is one whose requests cost no credits.
    pub(crate) free: bool,
    /// Whether it has a plan or limits of its own. Then it is counted by itself: under other
    /// limits than its sisters, it would change what is known of them.
    alone: bool,
}

/// What keeps a key from being good at any time. A key without is switched on, for ever.
#[derive(Debug)]
struct Bounds {
    validity: Validity,
    /// Where the steady clock stands when the secret ends, so that a wall clock that is set back
    /// revives nothing.
    ends: Option<Steady>,
}

impl Bounds {
    const NONE: Validity = Validity {
        status: KeyStatus::Active,
        not_before: None,
        expires_at: None,
        secret_valid_until: None,
    };

    fn new(validity: Validity, now: Moment) -> Option<Box<Self>> {
        let end = [validity.expires_at, validity.secret_valid_until];
        let end = end.into_iter().flatten().min();
        let ends = end.map(|end| now.steady.after(end.since(now.wall)));
        (validity != Self::NONE).then(|| Box::new(Self { validity, ends }))
    }

    fn fault(&self, now: Moment) -> Option<KeyFault> {
        let over = || self.ends.is_some_and(|end| now.steady >= end);
        let fault = self.validity.fault(now.wall);
        fault.or_else(|| over().then_some(KeyFault::Expired))
    }
}

impl VerifiedKey {
    /// Resolves what a store found.
    ///
    /// Scopes that the catalog no longer declares grant nothing. A plan that it no longer
    /// declares is an error: there is nothing to hold the key to.
    pub(crate) fn resolve(
        record: KeyRecord,
        catalog: &Catalog,
        shared: &Shared,
        now: Moment,
    ) -> Result<Self, StoreError> {
        let validity = record.validity();
        let KeyRecord {
            key, organization, ..
        } = record;
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
        let granted = catalog.granted(&key.permissions);
        Ok(Self {
            name: key.name.into(),
            granted: shared.scopes(granted),
            plan: Arc::clone(plan),
            usage: UsageCounter::new(key.id),
            ip_rules: (key.ip_rules != IpRules::default()).then(|| Box::new(key.ip_rules)),
            bounds: Bounds::new(validity, now),
            free: is_free(catalog, &key.environment),
            alone: key.plan.is_some() || key.limits.is_some(),
            limits: key.limits.map(Box::new),
            environment: shared.name(&key.environment),
            tenant: shared.tenant(organization),
        })
    }

    /// Who is counted under [`limits`](Self::limits): the organization, unless they say the key.
    pub(crate) fn subject(&self, class: Option<&str>) -> Cow<'_, Subject> {
        if self.alone || self.limits(class).per() == CountPer::Key {
            Cow::Owned(Subject::key(self.id()))
        } else {
            Cow::Borrowed(&self.tenant.subject)
        }
    }

    pub(crate) const fn id(&self) -> KeyId {
        self.usage.key()
    }

    pub(crate) fn organization(&self) -> &Organization {
        &self.tenant.organization
    }

    /// Why the secret is no good now, if it is not.
    pub(crate) fn fault(&self, now: Moment) -> Option<KeyFault> {
        self.bounds.as_deref()?.fault(now)
    }

    /// Whether both the key and its organization may be used from this address.
    pub(crate) fn permits(&self, address: Option<IpAddr>) -> bool {
        let own = self.ip_rules.as_ref();
        own.is_none_or(|rules| rules.permit(address))
            && self.organization().ip_rules.permit(address)
    }

    /// The limits of a class of routes: the plan's for that class if it has any, else the key's
    /// own, else the organization's own, else the plan's.
    pub(crate) fn limits(&self, class: Option<&str>) -> &Limits {
        let of_class = class.and_then(|class| self.plan.classes.get(class));
        of_class
            .or(self.limits.as_deref())
            .or(self.organization().limits.as_ref())
            .unwrap_or(&self.plan.limits)
    }

    /// Whether this secret was replaced, and is in its grace.
    pub(crate) fn is_old_secret(&self) -> bool {
        let bounds = self.bounds.as_ref();
        bounds.is_some_and(|bounds| bounds.validity.secret_valid_until.is_some())
    }
}

impl AsRef<UsageCounter> for VerifiedKey {
    fn as_ref(&self) -> &UsageCounter {
        &self.usage
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
