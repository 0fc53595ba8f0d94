//! The whole stack: a cached key, an IP list, a scope, two windows, a price, an id, headers.

use std::time::Duration;

use http::HeaderValue;
use tollgate::access::scope;
use tollgate::core::change::Actor;
use tollgate::core::id::OrgId;
use tollgate::core::ip::IpRules;
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate::core::memory::MemoryStore;
use tollgate::core::plan::Limits;
use tollgate::core::quota::{QuotaLimit, QuotaPeriod};
use tollgate::core::rate::RateLimit;
use tollgate::{Catalog, Gate, GateBuilder, Plan, Scope};

use crate::others::handler;
use crate::variant::{Keys, Variant};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A gate with an organization that has all that it may need, and its key.
pub(crate) struct Tenant {
    pub(crate) gate: Gate,
    pub(crate) org: OrgId,
    pub(crate) key: HeaderValue,
}

pub(crate) async fn whole() -> Variant {
    let Tenant { gate, key, .. } = Tenant::new(|builder| builder).await;
    let routes = gate.routes();
    let routes = routes.get("/iocs", handler, scope("iocs:read").credits(1));
    let service = routes.into_service().unwrap();
    Variant::new("tollgate, the whole stack", service, Keys::Same(key))
}

impl Tenant {
    pub(crate) async fn new(configure: impl FnOnce(GateBuilder) -> GateBuilder) -> Self {
        let builder = Gate::builder(catalog()).store(MemoryStore::default());
        let gate = configure(builder).build().await.unwrap();
        let org = OrgId::new("acme").unwrap();
        let new = NewOrganization::new(org.clone(), "pro");
        let actor = Actor::system();
        let made = gate.keyring().create_organization(new, &actor).await;
        made.unwrap();
        gate.grant_credits(&org, 1 << 60, &actor).await.unwrap();
        let mut tenant = Self {
            gate,
            org,
            key: HeaderValue::from_static(""),
        };
        tenant.key = tenant.issue(|key| key).await.1;
        tenant
    }

    /// A key of the organization, and how it is sent.
    pub(crate) async fn issue(
        &self,
        edit: impl FnOnce(NewKey) -> NewKey,
    ) -> (tollgate::core::id::KeyId, HeaderValue) {
        let rules = IpRules::allowing("192.0.2.0/24, 198.51.100.7".parse().unwrap());
        let key = NewKey::new(self.org.clone(), "bench")
            .scopes(["iocs:write"])
            .ip_rules(rules);
        let issued = self.gate.keyring().issue(edit(key), &Actor::system()).await;
        let issued = issued.unwrap();
        (issued.key.id, bearer(issued.secret.expose()))
    }
}

pub(crate) fn bearer(secret: &str) -> HeaderValue {
    HeaderValue::try_from(format!("Bearer {secret}")).unwrap()
}

fn catalog() -> Catalog {
    let one = Limits::new().with_rate(RateLimit::smooth(1, 3600 * SECOND).unwrap());
    let quota = Limits::new().with_quota(QuotaLimit::new(1, QuotaPeriod::Month).unwrap());
    let pro = Plan::new("pro")
        .rank(1)
        .rate(RateLimit::smooth(100_000_000, SECOND).unwrap())
        .rate(RateLimit::smooth(1_000_000_000, 60 * SECOND).unwrap())
        .class("one", one)
        .class("quota", quota)
        .class("narrow", Limits::new().with_in_flight(1));
    Catalog::builder()
        .scope(Scope::new("iocs:write").implies("iocs:read").reserved())
        .scope(Scope::new("iocs:read").reserved())
        .scope(Scope::new("reports:read").reserved())
        .plan(pro)
        .plan(Plan::new("enterprise").rank(2))
        .build()
        .unwrap()
}
