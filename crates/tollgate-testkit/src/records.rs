//! Keys, organizations and holds to test with.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "what a test writes down is valid, or the test is wrong"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tollgate_core::change::{Actor, Change};
use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{HoldRequest, Price};
use tollgate_core::id::{HoldId, KeyId, OrgId, RequestId};
use tollgate_core::ip::IpRules;
use tollgate_core::plan::{CountPer, Limits};
use tollgate_core::quota::{QuotaLimit, QuotaPeriod};
use tollgate_core::rate::RateLimit;
use tollgate_core::record::{ApiKey, KeyStatus, OrgStatus, Organization, Permissions};
use tollgate_core::secret::KeyDigest;

use crate::clock::START;

/// The point so many seconds after [`START`].
#[must_use]
pub fn at(secs: u64) -> Timestamp {
    START.after(Duration::from_secs(secs))
}

/// The organization of this name.
#[must_use]
pub fn org(name: &str) -> OrgId {
    OrgId::new(name).unwrap()
}

/// The `n`th key; ids grow with `n`.
#[must_use]
pub fn key_id(n: u32) -> KeyId {
    KeyId::from_parts(at(n.into()), &[7; 10])
}

/// The `n`th hold; ids grow with `n`.
#[must_use]
pub fn hold_id(n: u32) -> HoldId {
    HoldId::from_parts(at(n.into()), &[9; 10])
}

/// The `n`th secret's digest.
#[must_use]
pub const fn digest(n: u8) -> KeyDigest {
    KeyDigest::from_bytes([n; 32])
}

/// A change so many seconds after [`START`].
#[must_use]
pub fn change(secs: u64) -> Change {
    Change {
        actor: Actor::user("alice"),
        at: at(secs),
        reason: Some("a test — «почему бы и нет»".to_owned()),
    }
}

/// An organization that has nothing but a plan.
#[must_use]
pub fn organization(name: &str) -> Organization {
    Organization {
        id: org(name),
        plan: "free".to_owned(),
        status: OrgStatus::Active,
        ip_rules: IpRules::default(),
        limits: None,
        resources: BTreeMap::new(),
        created_at: at(0),
        version: 1,
    }
}

/// An organization with something in every field.
#[must_use]
pub fn full_organization(name: &str) -> Organization {
    let owned = |names: [&str; 2]| BTreeSet::from(names.map(str::to_owned));
    Organization {
        plan: "größer 🦀".to_owned(),
        status: OrgStatus::BillingRestricted,
        ip_rules: ip_rules(),
        limits: Some(limits()),
        resources: BTreeMap::from([
            (
                "domain".to_owned(),
                owned(["acme.example", "bücher.example"]),
            ),
            ("none".to_owned(), BTreeSet::new()),
        ]),
        version: 41,
        ..organization(name)
    }
}

/// The `n`th key of an organization, with nothing that can be left out.
#[must_use]
pub fn api_key(n: u32, organization: &str) -> ApiKey {
    ApiKey {
        id: key_id(n),
        organization: org(organization),
        name: format!("key {n}"),
        creator: "user:alice".to_owned(),
        environment: "test".to_owned(),
        display_prefix: "sk_test_zIc8".to_owned(),
        permissions: Permissions::scopes(["iocs:read"]),
        ip_rules: IpRules::default(),
        plan: None,
        limits: None,
        not_before: None,
        expires_at: None,
        status: KeyStatus::Active,
        created_at: at(0),
        rotated_at: None,
        revoked_at: None,
        version: 1,
    }
}

/// The `n`th key of an organization, with something in every field.
#[must_use]
pub fn full_key(n: u32, organization: &str) -> ApiKey {
    ApiKey {
        name: "ключ «prod» — 東京 🗝 'quoted' \"twice\"".to_owned(),
        creator: "cli:root".to_owned(),
        environment: "live".to_owned(),
        permissions: Permissions::Preset("read_only".to_owned()),
        ip_rules: ip_rules(),
        plan: Some("pro".to_owned()),
        limits: Some(limits()),
        not_before: Some(Timestamp::from_micros(-1)),
        expires_at: Some(Timestamp::from_micros(i64::MAX)),
        status: KeyStatus::Revoked,
        created_at: Timestamp::from_micros(1_767_225_600_123_456),
        rotated_at: Some(at(1)),
        revoked_at: Some(at(2)),
        version: 7,
        ..api_key(n, organization)
    }
}

/// Asks for `least` to `most` credits of an organization, from 0 s to 60 s, without an allowance.
#[must_use]
pub fn hold_request(n: u32, organization: &str, least: u64, most: u64) -> HoldRequest {
    HoldRequest {
        id: hold_id(n),
        organization: org(organization),
        key: key_id(1),
        route: "POST /enrichment/lookup".into(),
        request_id: RequestId::new(b"req_1"),
        price: Price::PerItem(3),
        least,
        most,
        at: at(0),
        deadline: at(60),
        allowance: None,
        idempotency: None,
    }
}

fn ip_rules() -> IpRules {
    let list = |nets: &str| nets.parse().unwrap();
    IpRules::allowing(list("203.0.113.0/24, 2001:db8::/32")).with_deny(list("203.0.113.7/32"))
}

fn limits() -> Limits {
    let window = Duration::from_secs(60);
    Limits::new()
        .with_rate(RateLimit::smooth(100, window).unwrap())
        .with_rate(RateLimit::exact(5, window).unwrap().named("precise"))
        .with_quota(QuotaLimit::new(1_000, QuotaPeriod::Day).unwrap())
        .with_in_flight(3)
        .with_per(CountPer::Key)
}
