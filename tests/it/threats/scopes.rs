//! T21: what a scope grants.

use std::collections::BTreeSet;

use tollgate::access::{all_of, any_of, scope};
use tollgate::core::keyring::NewKey;
use tollgate::{Catalog, Scope};

use super::get;
use crate::support::{TestApp, actor, catalog, org};

/// Names of which each begins, ends or looks like another.
const LOOKALIKES: [&str; 10] = [
    "any",
    "read",
    "read:all",
    "readwrite",
    "rea",
    "read_",
    "a:read",
    "read.all",
    "read-all",
    "all",
];

#[test]
fn t21_a_scope_grants_itself_and_what_it_declares_and_nothing_that_looks_like_it() {
    let mut builder = Catalog::builder();
    for name in LOOKALIKES {
        builder = builder.scope(Scope::new(name).reserved());
    }
    let chain = Scope::new("top").implies("middle").reserved();
    let middle = Scope::new("middle").implies("read").reserved();
    let catalog = builder.scope(chain).scope(middle).build().unwrap();
    let granted = |name: &str| -> BTreeSet<String> {
        let closure = catalog.closure([name]);
        catalog
            .names(&closure)
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    for name in LOOKALIKES {
        assert_eq!(granted(name), [name.to_owned()].into());
    }
    assert_eq!(
        granted("top"),
        ["middle", "read", "top"].map(str::to_owned).into()
    );
    for undeclared in [
        "*", "**", "", "READ", "Read", "read ", "read:*", "rea*", "readwrit", "admin",
    ] {
        assert!(granted(undeclared).is_empty(), "{undeclared:?}");
    }
}

#[test]
fn t21_a_scope_that_is_unknown_or_implies_itself_ends_the_start() {
    for (one, other, problem) in [
        ("b:read", "a:read", "a:read"),
        ("nowhere", "a:read", "nowhere"),
        ("a:*", "a:read", "a:*"),
    ] {
        let built = Catalog::builder()
            .scope(Scope::new("a:read").implies(one).reserved())
            .scope(Scope::new("b:read").implies(other).reserved())
            .build();
        let told = built.unwrap_err().to_string();
        assert!(told.contains(problem), "{told}");
    }
}

/// A scope of such a name would grant only itself, which its readers would not expect.
#[test]
fn t21_a_name_that_looks_like_a_wildcard_ends_the_start() {
    for name in ["*", "**", "iocs:*", "*:read", "io*s:read"] {
        for scope in [Scope::new(name), Scope::new(name).implies_everything()] {
            let built = Catalog::builder().scope(scope.reserved()).build();
            let told = built.unwrap_err().to_string();
            assert!(told.contains("no wildcard"), "{told}");
        }
    }
}

/// Every scope on every route.
#[tokio::test]
async fn t21_a_key_opens_what_its_scopes_reach_and_nothing_else() {
    let names = ["iocs:read", "iocs:write", "ai:chat"];
    let app = TestApp::new(|gate| {
        names.iter().fold(gate.routes(), |routes, name| {
            let path = format!("/{}", name.replace(':', "-"));
            routes.get(&path, async || "ran", scope(*name).rate_cost(0))
        })
    })
    .await;
    let declared = catalog();
    for held in 0..8_u32 {
        let scopes: Vec<_> = (0..3).filter(|at| held & (1 << at) != 0).collect();
        let key = app.key_with("umbra", |key| {
            key.scopes(scopes.iter().map(|at| names[*at]))
        });
        let key = key.await.secret;
        let granted = declared.closure(scopes.iter().map(|at| names[*at]));
        for name in names {
            let path = format!("/{}", name.replace(':', "-"));
            let answer = get(&app, &path, &[("X-API-Key", key.as_bytes())]).await;
            let opens = granted.contains(declared.id(name).unwrap());
            assert_eq!(
                answer.status,
                if opens { 200 } else { 403 },
                "{scopes:?} {name}"
            );
        }
    }
    for name in ["*", "iocs:*", "iocs", "IOCS:READ", "iocs:read "] {
        let new = NewKey::new(org("umbra"), "too much").scopes([name]);
        assert!(
            app.gate.keyring().issue(new, &actor()).await.is_err(),
            "{name}"
        );
    }
}

/// A scope that demands a plan counts only on that plan, also as one of several.
#[tokio::test]
async fn t21_of_several_scopes_one_counts_only_on_the_plan_that_it_demands() {
    let app = TestApp::new(|gate| {
        let either = any_of(["ai:chat", "iocs:read"]).rate_cost(0);
        gate.routes().get("/either", async || "ran", either)
    })
    .await;
    for (owner, scopes, status) in [
        ("umbra", &["ai:chat"][..], 200),
        ("umbra", &["iocs:read"], 200),
        ("acme", &["iocs:read"], 200),
        ("acme", &["ai:chat", "iocs:read"], 200),
        ("acme", &["ai:chat"], 403),
        ("umbra", &[], 403),
    ] {
        let key = app.key_with(owner, |key| key.scopes(scopes.iter().copied()));
        let key = key.await.secret;
        let answer = get(&app, "/either", &[("X-API-Key", key.as_bytes())]).await;
        assert_eq!(answer.status, status, "{owner} {scopes:?}");
    }
}

#[tokio::test]
async fn t21_who_lacks_a_scope_is_told_which_and_not_those_that_are_there() {
    let app = TestApp::new(|gate| {
        let both = all_of(["iocs:read", "iocs:write"]).rate_cost(0);
        gate.routes().get("/both", async || "ran", both)
    })
    .await;
    for (held, missing) in [
        (&["iocs:read"][..], &["iocs:write"][..]),
        (&[], &["iocs:read", "iocs:write"]),
    ] {
        let key = app.key_with("acme", |key| key.scopes(held.iter().copied()));
        let key = key.await.secret;
        let answer = get(&app, "/both", &[("X-API-Key", key.as_bytes())]).await;
        assert_eq!(answer.status, 403);
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let told = find(&body, "missing").unwrap();
        assert_eq!(told, &serde_json::json!(missing), "{body}");
    }
}

/// The value of that name, wherever the body's shape has it.
fn find<'a>(value: &'a serde_json::Value, name: &str) -> Option<&'a serde_json::Value> {
    let object = value.as_object()?;
    let below = || object.values().find_map(|value| find(value, name));
    object.get(name).or_else(below)
}
