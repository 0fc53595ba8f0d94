//! Who may do what: every endpoint, by every permission and every set of them.

use std::collections::BTreeSet;

use tollgate::access::scope;
use tollgate::core::scope::Implies;
use tollgate::{Catalog, Scope};
use tollgate_testkit::app::{Consumed, Documented, TestGate};

use crate::stores;

use super::{api, good, lab, routes};

const LAB_READ: [&str; 7] = [
    "phishing:read",
    "phishing:analyze",
    "enrichment:read",
    "detection:read",
    "darkweb:read",
    "exposure:read",
    "file:read",
];

const LAB_WRITE: [&str; 6] = [
    "phishing:ai",
    "enrichment:write",
    "detection:write",
    "ai:read",
    "file:write",
    "file:analyze",
];

/// The common permission sets.
const SETS: [(&str, &str, &[&str]); 6] = [
    (
        "enrichment",
        "Only IOC Enrichment",
        &["enrichment:read", "enrichment:write"],
    ),
    (
        "lookups",
        "Phishing Lookups + Enrichment",
        &["phishing:read"],
    ),
    (
        "phishing",
        "Full Phishing Analysis",
        &["phishing:read", "phishing:analyze", "phishing:ai"],
    ),
    ("exposure", "Exposure Scanning Only", &["exposure:read"]),
    (
        "assistant",
        "AI Assistant + Enrichment",
        &["ai:chat", "enrichment:read"],
    ),
    ("everything", "Everything", &["api:full"]),
];

#[tokio::test]
async fn the_endpoint_permission_map_is_what_the_app_does() {
    let (kit, app) = lab().await;
    let map = routes(kit.gate()).permissions();
    let matrix = app
        .matrix(&map)
        .sample(|call, route| good(call, &route.path));
    let mut documented = Documented::table(include_str!("documented.md"))
        .plans(["free", "starter", "pro"])
        .implies("phishing:read", ["enrichment:read"])
        .implies("lab:read", LAB_READ)
        .implies("lab:write", LAB_WRITE)
        .implies_everything("api:full");
    for (name, _, scopes) in SETS {
        documented = documented.preset(name, scopes.iter().copied());
    }
    matrix.compute().await.assert_documented(&documented);
}

#[tokio::test]
async fn a_key_without_the_permission_gets_a_403_insufficient_permissions() {
    let (kit, app) = lab().await;
    kit.organization("acme").credits(100).make().await;
    let key = kit.key("acme").scopes(["exposure:read"]).make().await;
    let answer = good(app.post("/phishing/dns"), "/phishing/dns").key(&key);
    let answer = answer.send().await;
    answer
        .assert_status(403)
        .assert_denied("insufficient_permissions")
        .assert_consumed(Consumed::NOTHING);
    let error = answer.json()["error"].clone();
    assert_eq!(error["code"], "insufficient_permissions");
    assert_eq!(error["details"]["missing"][0], "phishing:read");
}

#[test]
fn the_six_common_sets_are_presets() {
    let catalog = api::catalog().unwrap();
    let presets = catalog.presets().map(|preset| {
        let scopes: Vec<&str> = preset.scopes.iter().map(String::as_str).collect();
        (&*preset.name, &*preset.description, scopes)
    });
    let sets = SETS.map(|(name, title, scopes)| (name, title, scopes.to_vec()));
    assert_eq!(presets.collect::<Vec<_>>(), sets);
}

/// Which endpoints a set opens is in the matrix; this says it in the words of its description.
#[tokio::test]
async fn a_set_opens_what_it_is_for_and_nothing_else() {
    let (kit, app) = lab().await;
    kit.organization("acme").credits(1000).make().await;
    let (enrich, scan) = ("/phishing/enrich", "/exposure/scan");
    for (preset, opens, leaves_shut) in [
        (
            "enrichment",
            &[enrich, "/enrichment/lookup"][..],
            &["/phishing/dns", scan][..],
        ),
        (
            "lookups",
            &["/phishing/urlscan", "/phishing/url-expand", enrich],
            &[scan, "/phishing/analyze"],
        ),
        (
            "phishing",
            &[
                "/phishing/geoip",
                "/phishing/analyze",
                "/phishing/analyze/ai",
            ],
            &[scan, "/ai/chat"],
        ),
        ("exposure", &[scan], &["/phishing/dns", enrich]),
        (
            "assistant",
            &["/ai/chat", enrich],
            &["/ai/triage", "/phishing/dns"],
        ),
        (
            "everything",
            &["/ai/triage", scan, "/phishing/analyze/ai"],
            &[],
        ),
    ] {
        let key = kit.key("acme").preset(preset).make().await;
        for path in opens {
            good(app.post(path), path)
                .key(&key)
                .send()
                .await
                .assert_success();
        }
        for path in leaves_shut {
            let refused = good(app.post(path), path).key(&key).send().await;
            refused.assert_denied("insufficient_permissions");
        }
    }
}

#[test]
fn a_scope_expands_as_documented() {
    let catalog = api::catalog().unwrap();
    let granted = |scope: &str| -> BTreeSet<String> {
        let names = catalog.closure([scope]);
        catalog
            .names(&names)
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    let with = |scope: &'static str, others: &[&'static str]| -> BTreeSet<String> {
        let all = [scope].into_iter().chain(others.iter().copied());
        all.map(str::to_owned).collect()
    };
    for (scope, others) in [
        ("phishing:read", &["enrichment:read"][..]),
        ("lab:read", &LAB_READ),
        ("lab:write", &LAB_WRITE),
        ("phishing:analyze", &[]),
        ("phishing:ai", &[]),
        ("enrichment:write", &[]),
        ("ai:triage", &[]),
    ] {
        assert_eq!(granted(scope), with(scope, others));
    }
    let everything = catalog.scopes().map(|scope| scope.name.clone()).collect();
    assert_eq!(granted("api:full"), everything);
}

/// One of them follows from another, so that what a key may do does not show it.
#[test]
fn a_legacy_scope_declares_each_permission_that_the_document_lists() {
    let catalog = api::catalog().unwrap();
    for (scope, listed) in [("lab:read", &LAB_READ[..]), ("lab:write", &LAB_WRITE)] {
        let listed = listed.iter().map(|&name| name.to_owned()).collect();
        let declared = &catalog.scope(scope).unwrap().implies;
        assert_eq!(*declared, Implies::Scopes(listed), "{scope}");
    }
}

#[test]
fn what_no_endpoint_requires_is_reserved() {
    let catalog = api::catalog().unwrap();
    let reserved = catalog.scopes().filter(|scope| scope.reserved);
    let names: BTreeSet<&str> = reserved.map(|scope| &*scope.name).collect();
    let without_endpoint = [
        "enrichment:write",
        "detection:read",
        "detection:write",
        "darkweb:read",
        "ai:read",
        "file:read",
        "file:write",
        "file:analyze",
    ];
    assert_eq!(names, BTreeSet::from(without_endpoint));
}

#[tokio::test]
async fn full_access_opens_what_is_added_later_as_far_as_the_plan_goes() {
    // What runs today, and a key of today.
    let today = stores::kit(api::catalog().unwrap()).build().await;
    today
        .organization("pro")
        .plan("pro")
        .credits(10)
        .make()
        .await;
    today
        .organization("free")
        .plan("free")
        .credits(10)
        .make()
        .await;
    let old = today.key("pro").scopes(["api:full"]).make().await;
    let of_free = today.key("free").scopes(["api:full"]).make().await;
    let lookups = today.key("pro").scopes(["phishing:read"]).make().await;

    // Another version of the lab, on the same store.
    let mut spec = api::catalog().unwrap().spec().clone();
    spec.scopes
        .push(Scope::new("sandbox:run").requires_plan("starter"));
    let later = TestGate::builder(Catalog::new(spec).unwrap()).over(&today);
    let later = later.build().await;
    let added = scope("sandbox:run").credits(5);
    let routes = routes(later.gate()).post("/sandbox/run", async || "ran", added);
    let app = later.app(routes.into_service().unwrap());
    let run = || app.post("/sandbox/run");
    run().key(&old).send().await.assert_success();
    run()
        .key(&of_free)
        .send()
        .await
        .assert_denied("plan_required");
    let refused = run().key(&lookups).send().await;
    refused.assert_denied("insufficient_permissions");
}
