//! T21: what a scope grants.

use std::collections::BTreeSet;

use tollgate::access::scope;
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
