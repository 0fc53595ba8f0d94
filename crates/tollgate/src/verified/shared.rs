//! What cached keys have in common, kept once.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Weak};

use foldhash::quality::RandomState;
use parking_lot::Mutex;
use tollgate_core::id::OrgId;
use tollgate_core::rate::Subject;
use tollgate_core::record::Organization;
use tollgate_core::scope::ScopeSet;

const SMALLEST_SWEEP: usize = 64;

/// An organization, as all of its cached keys know it.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(super) organization: Organization,
    pub(super) subject: Subject,
}

/// The organizations, names and sets of scopes that cached keys share. Each is kept for as long as
/// a key has it, and somewhat longer.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    tenants: Mutex<Tenants>,
    names: Mutex<Same<str>>,
    scopes: Mutex<Same<ScopeSet>>,
}

#[derive(Debug, Default)]
struct Tenants {
    by_id: HashMap<OrgId, Weak<Tenant>, RandomState>,
    sweep_at: usize,
}

/// Values of which equal ones are kept once.
#[derive(Debug)]
struct Same<T: ?Sized> {
    values: HashSet<Arc<T>, RandomState>,
    sweep_at: usize,
}

impl Shared {
    /// The organization as it was read just now: shared with the keys that were read when it was
    /// the same.
    pub(super) fn tenant(&self, organization: Organization) -> Arc<Tenant> {
        let mut tenants = self.tenants.lock();
        let known = tenants.by_id.get(&organization.id).and_then(Weak::upgrade);
        if let Some(known) = known.filter(|known| known.organization == organization) {
            return known;
        }
        tenants.sweep();
        let id = organization.id.clone();
        let tenant = Arc::new(Tenant {
            subject: Subject::organization(id.clone()),
            organization,
        });
        tenants.by_id.insert(id, Arc::downgrade(&tenant));
        tenant
    }

    /// The name of an environment.
    pub(super) fn name(&self, name: &str) -> Arc<str> {
        self.names.lock().of(name)
    }

    pub(super) fn scopes(&self, scopes: ScopeSet) -> Arc<ScopeSet> {
        self.scopes.lock().of(scopes)
    }
}

impl<T: ?Sized + Eq + Hash> Same<T> {
    fn of<V: Borrow<T> + Into<Arc<T>>>(&mut self, value: V) -> Arc<T> {
        if let Some(known) = self.values.get(value.borrow()) {
            return Arc::clone(known);
        }
        if self.values.len() >= self.sweep_at.max(SMALLEST_SWEEP) {
            self.values.retain(|value| Arc::strong_count(value) > 1);
            self.sweep_at = self.values.len().saturating_mul(2);
        }
        let value = value.into();
        self.values.insert(Arc::clone(&value));
        value
    }
}

impl<T: ?Sized> Default for Same<T> {
    fn default() -> Self {
        Self {
            values: HashSet::default(),
            sweep_at: 0,
        }
    }
}

impl Tenants {
    /// Forgets organizations without a cached key, each time that their number has doubled.
    fn sweep(&mut self) {
        if self.by_id.len() < self.sweep_at.max(SMALLEST_SWEEP) {
            return;
        }
        self.by_id.retain(|_, tenant| tenant.strong_count() > 0);
        self.sweep_at = self.by_id.len().saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tollgate_core::catalog::Catalog;
    use tollgate_core::clock::Timestamp;
    use tollgate_core::ip::IpRules;
    use tollgate_core::record::OrgStatus;
    use tollgate_core::scope::Scope;

    use super::*;

    fn organization(name: &str, plan: &str) -> Organization {
        Organization {
            id: OrgId::new(name).unwrap(),
            plan: plan.to_owned(),
            status: OrgStatus::Active,
            ip_rules: IpRules::default(),
            limits: None,
            resources: BTreeMap::new(),
            created_at: Timestamp::from_secs(0),
            version: 1,
        }
    }

    #[test]
    fn keys_share_an_organization_while_it_stays_the_same() {
        let shared = Shared::default();
        let one = shared.tenant(organization("acme", "free"));
        assert!(Arc::ptr_eq(
            &one,
            &shared.tenant(organization("acme", "free"))
        ));
        let changed = shared.tenant(organization("acme", "pro"));
        assert_eq!(changed.organization.plan, "pro");
        assert_eq!(one.organization.plan, "free");
        assert!(!Arc::ptr_eq(
            &one,
            &shared.tenant(organization("umbra", "free"))
        ));
    }

    #[test]
    fn organizations_without_a_cached_key_are_forgotten() {
        let shared = Shared::default();
        let kept = shared.tenant(organization("kept", "free"));
        for n in 0..10_000 {
            shared.tenant(organization(&format!("o{n}"), "free"));
        }
        assert!(shared.tenants.lock().by_id.len() <= 2 * SMALLEST_SWEEP);
        assert!(Arc::ptr_eq(
            &kept,
            &shared.tenant(organization("kept", "free"))
        ));
    }

    #[test]
    fn equal_sets_of_scopes_are_one_and_unused_ones_are_forgotten() {
        let names: Vec<String> = (0..1000).map(|n| format!("s{n}:read")).collect();
        let catalog = names.iter().fold(Catalog::builder(), |catalog, name| {
            catalog.scope(Scope::new(name).reserved())
        });
        let catalog = catalog.build().unwrap();
        let shared = Shared::default();
        let set = |n: usize| catalog.set_of(&names[n..=n]).unwrap();
        let kept = shared.scopes(set(0));
        for n in 1..1000 {
            shared.scopes(set(n));
        }
        assert!(Arc::ptr_eq(&kept, &shared.scopes(set(0))));
        assert!(shared.scopes.lock().values.len() <= 2 * SMALLEST_SWEEP);
    }
}
