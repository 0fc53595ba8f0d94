mod properties;
mod refusals;

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::plan::{CountPer, Limits};
use crate::quota::{QuotaLimit, QuotaPeriod};
use crate::rate::RateLimit;

/// The scopes of the phishing lab, in the words of its documentation.
const PHISHING_LAB: &str = r#"
[scopes]
"phishing:read" = { description = "Phishing Lookups", implies = ["enrichment:read"] }
"phishing:analyze" = "Email Analysis"
"phishing:ai" = { description = "AI Verdict", plan = "starter" }
"enrichment:read" = "IOC Enrichment (Read)"
"enrichment:write" = { description = "IOC Enrichment (Write)", reserved = true }
"exposure:read" = "Exposure Scanning"
"ai:chat" = { description = "AI Chat", plan = "starter" }
"ai:triage" = { description = "AI Triage & Analysis", plan = "starter" }
"api:full" = { description = "Full Access", implies = "everything" }
"detection:read" = { reserved = true }
"detection:write" = { reserved = true }
"darkweb:read" = { reserved = true }
"ai:read" = { reserved = true }
"file:read" = { reserved = true }
"file:write" = { reserved = true }
"file:analyze" = { reserved = true }

[scopes."lab:read"]
legacy = true
deprecated = "use granular permissions"
implies = [
    "phishing:read", "phishing:analyze", "enrichment:read", "detection:read", "darkweb:read",
    "exposure:read", "file:read",
]

[scopes."lab:write"]
legacy = true
deprecated = "use granular permissions"
implies = [
    "phishing:ai", "enrichment:write", "detection:write", "ai:read", "file:write", "file:analyze",
]

[presets]
"enrichment" = ["enrichment:read", "enrichment:write"]
"lookups" = ["phishing:read"]
"phishing" = { description = "Full Phishing Analysis", scopes = [
    "phishing:read", "phishing:analyze", "phishing:ai",
] }
"everything" = ["api:full"]

[plans]
free = { rank = 0 }
starter = { rank = 1 }
"#;

fn granted(catalog: &Catalog, names: &[&str]) -> BTreeSet<String> {
    let set = catalog.closure(names);
    catalog.names(&set).into_iter().map(str::to_owned).collect()
}

fn texts(names: &[&str]) -> BTreeSet<String> {
    names.iter().copied().map(str::to_owned).collect()
}

#[test]
fn the_phishing_lab_expands_as_documented() {
    let catalog = Catalog::from_toml(PHISHING_LAB).unwrap();
    let cases: [(&[&str], &[&str]); 4] = [
        (&["phishing:read"], &["phishing:read", "enrichment:read"]),
        (
            &["ai:chat", "enrichment:read"],
            &["ai:chat", "enrichment:read"],
        ),
        (
            &["lab:read"],
            &[
                "lab:read",
                "phishing:read",
                "phishing:analyze",
                "enrichment:read",
                "detection:read",
                "darkweb:read",
                "exposure:read",
                "file:read",
            ],
        ),
        (
            &["lab:write"],
            &[
                "lab:write",
                "phishing:ai",
                "enrichment:write",
                "detection:write",
                "ai:read",
                "file:write",
                "file:analyze",
            ],
        ),
    ];
    for (held, expected) in cases {
        assert_eq!(granted(&catalog, held), texts(expected), "{held:?}");
    }
    assert_eq!(
        granted(&catalog, &["api:full"]).len(),
        catalog.scopes().len()
    );
    assert_eq!(
        catalog.deprecations(["lab:read", "phishing:read", "nope"]),
        ["`lab:read` is deprecated: use granular permissions"]
    );
    let path = catalog.explain(["ai:chat", "phishing:read"], "enrichment:read");
    assert_eq!(path.unwrap(), ["phishing:read", "enrichment:read"]);
    assert_eq!(catalog.explain(["phishing:read"], "phishing:ai"), None);
    let chat = catalog.set_of(["phishing:read", "ai:chat"]).unwrap();
    assert_eq!(catalog.plan_demanded_by(&chat).unwrap().name, "starter");
    // A plan is demanded by what a route requires, not by what that implies.
    let full = catalog.set_of(["api:full"]).unwrap();
    assert_eq!(catalog.plan_demanded_by(&full), None);
}

#[test]
fn the_mailer_presets_are_documented_sets() {
    let all = [
        "emails:send",
        "emails:read",
        "templates:read",
        "templates:write",
        "domains:read",
        "domains:write",
        "webhooks:read",
        "webhooks:write",
        "projects:read",
        "sms:send",
        "whatsapp:send",
        "audience:read",
        "audience:write",
    ];
    let sending = ["emails:send", "sms:send", "whatsapp:send"];
    let catalog = Catalog::builder()
        .scopes(all)
        .preset(
            Preset::new("full-access")
                .describe("Full Access")
                .scopes(all),
        )
        .preset(
            Preset::new("sending-only")
                .describe("Sending Only")
                .scopes(sending),
        )
        .build()
        .unwrap();
    let granted = |preset| catalog.closure(&catalog.preset(preset).unwrap().scopes);
    assert_eq!(granted("full-access").len(), 13);
    assert_eq!(catalog.names(&granted("sending-only")), sending);
}

#[test]
fn the_threat_intel_tiers_can_be_declared() {
    let catalog = Catalog::from_toml(
        r#"
        [scopes]
        "read:iocs" = "List indicators"
        "read:articles:export" = "Export articles"
        [plans.free]
        rank = 0
        rates = [{ limit = "10/minute", kind = "exact" }]
        quotas = ["1_000/day"]
        features = ["format.json", "format.csv"]
        numbers = { "lookback.days" = 1 }
        [plans.pro]
        rank = 1
        rates = ["1000/minute"]
        quotas = ["1_000_000/day"]
        features = ["format.json", "format.csv", "format.stix"]
        numbers = { "lookback.days" = 365 }
        "#,
    )
    .unwrap();
    let ranked: Vec<_> = catalog.plans().map(|plan| plan.name.as_str()).collect();
    assert_eq!(ranked, ["free", "pro"]);
    let free = catalog.plan("free").unwrap();
    assert_eq!(free.limits.rates()[0].units().get(), 10);
    assert_eq!(free.limits.quotas()[0].units().get(), 1000);
    assert!(!free.has_feature("format.stix"));
    assert_eq!(
        catalog.plan("pro").unwrap().number_of("lookback.days"),
        Some(365)
    );
}

fn rich() -> CatalogBuilder {
    let minute = Duration::from_mins(1);
    Catalog::builder()
        .scope(
            Scope::new("z:first")
                .describe("declared first")
                .implies("a:last"),
        )
        .scopes(["m:one", "m:two"])
        .scope(Scope::new("old").legacy().deprecated("use z:first"))
        .scope(Scope::new("all").implies_everything().requires_plan("pro"))
        .scope(Scope::new("a:last").reserved())
        .preset(
            Preset::new("some")
                .describe("Some")
                .scopes(["m:one", "all"]),
        )
        .preset(Preset::new("none"))
        .key_format(
            KeyFormatSpec::new("op")
                .environment("live")
                .free_environment("dev")
                .shown(6),
        )
        .default_key_lifetime(Duration::from_hours(90 * 24))
        .max_key_lifetime(Duration::from_hours(365 * 24))
        .rotation_age(Duration::from_micros(1_500))
        .plan(
            Plan::new("pro")
                .rank(2)
                .rate(RateLimit::smooth(1000, minute).unwrap())
                .rate(
                    RateLimit::exact(7, Duration::from_millis(1_500))
                        .unwrap()
                        .named("burst"),
                )
                .quota(QuotaLimit::new(1_000_000, QuotaPeriod::Month).unwrap())
                .in_flight(8)
                .per(CountPer::Key)
                .class("exports", Limits::new().with_in_flight(1))
                .credits_per_month(1000)
                .feature("format.stix")
                .number("lookback.days", 365),
        )
        .plan(Plan::new("free").rank(1))
}

#[test]
fn a_recorded_catalog_is_the_catalog() {
    for catalog in [
        rich().build().unwrap(),
        Catalog::from_toml(PHISHING_LAB).unwrap(),
        Catalog::builder().build().unwrap(),
    ] {
        let recorded = catalog.to_json();
        let read = Catalog::from_json(&recorded).unwrap();
        assert_eq!(read, catalog);
        assert_eq!(read.to_json(), recorded);
    }
}

#[test]
fn a_file_and_a_builder_declare_the_same() {
    let file = Catalog::from_toml(
        r#"
        scopes = { "a:full" = { implies = "everything" }, "a:read" = "Read", "a:write" = { implies = ["a:read"] } }
        presets.reader = ["a:read"]
        plans.free = { rank = 3, rates = ["10/second"], classes.slow = { rates = ["1/90s"] } }
        [keys]
        prefix = "op"
        environments = ["live", { name = "dev", free = true }]
        max_lifetime = "90d"
        "#,
    );
    let rate = |units, secs| RateLimit::smooth(units, Duration::from_secs(secs)).unwrap();
    let code = Catalog::builder()
        .scope(Scope::new("a:full").implies_everything())
        .scope(Scope::new("a:read").describe("Read"))
        .scope(Scope::new("a:write").implies("a:read"))
        .preset(Preset::new("reader").scopes(["a:read"]))
        .plan(
            Plan::new("free")
                .rank(3)
                .rate(rate(10, 1))
                .class("slow", Limits::new().with_rate(rate(1, 90))),
        )
        .key_format(
            KeyFormatSpec::new("op")
                .environment("live")
                .free_environment("dev"),
        )
        .max_key_lifetime(Duration::from_hours(90 * 24))
        .build();
    assert_eq!(file.unwrap(), code.unwrap());
}

#[test]
fn unknown_and_legacy_names_are_refused_where_names_are_given() {
    let catalog = Catalog::from_toml(PHISHING_LAB).unwrap();
    let error = catalog
        .set_of(["phishing:raed", "nope", "ai:chat"])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "scopes: `phishing:raed` is not declared; did you mean `phishing:read`?; \
         `nope` is not declared"
    );
    assert_eq!(
        catalog.resolve(["nope"]).unwrap_err().to_string(),
        "scopes: `nope` is not declared"
    );
    assert_eq!(
        catalog
            .assignable(["lab:read", "api:full"])
            .unwrap_err()
            .to_string(),
        "scopes: `lab:read` is legacy and cannot be given to a key any more"
    );
    assert!(catalog.assignable(["api:full", "enrichment:write"]).is_ok());
    let many = (0..1000).map(|n: u32| format!("{n:0>2000}"));
    let told = catalog.set_of(many).unwrap_err().to_string();
    assert!(told.ends_with("; and 992 more") && told.len() < 2000);
}

#[test]
fn a_required_set_is_not_closed_and_a_resolved_one_is() {
    let catalog = Catalog::from_toml(PHISHING_LAB).unwrap();
    let required = catalog.set_of(["phishing:read"]).unwrap();
    assert_eq!(catalog.names(&required), ["phishing:read"]);
    let resolved = catalog.resolve(["phishing:read"]).unwrap();
    assert_eq!(resolved, catalog.closure(["phishing:read"]));
    assert!(resolved.contains_all(&required) && !required.contains_all(&resolved));
}

#[test]
fn a_rate_class_exists_if_some_plan_has_it() {
    let catalog = rich().build().unwrap();
    assert!(catalog.rate_class_exists("exports"));
    assert!(!catalog.rate_class_exists("export"));
}

#[test]
fn a_scope_is_its_exact_name() {
    let catalog = Catalog::builder()
        .scopes(["read", "read:all", "all"])
        .build()
        .unwrap();
    assert_eq!(granted(&catalog, &["read"]), texts(&["read"]));
    assert_eq!(granted(&catalog, &["all"]), texts(&["all"]));
    for stranger in [
        "Read",
        "read:",
        "read:al",
        "readwrite",
        " read",
        "read:*",
        "*",
        "",
    ] {
        assert!(catalog.closure([stranger]).is_empty(), "{stranger}");
        assert!(catalog.set_of([stranger]).is_err(), "{stranger}");
    }
}
