//! The routes, as the documented table has them.

use std::collections::BTreeSet;

use tollgate::routes::Permission;
use tollgate_testkit::app::{Call, Documented};

use super::app::api;
use super::{Bench, assert_flat};

/// A good request to a route.
fn sample<'a>(call: Call<'a>, route: &Permission) -> Call<'a> {
    let ours = r#"{"name":"Ours","domains":["acme.example"]}"#;
    match (&*route.method, &*route.path) {
        ("POST", "/api/v1/watchlists") => call.json(ours),
        ("PATCH", _) => call.json(r#"{"name":"Ours"}"#),
        ("GET", path @ "/api/v1/dataleaks/domain") => {
            call.path(&format!("{path}?domain=acme.example"))
        }
        ("GET", path @ "/api/v1/dataleaks/email") => {
            call.path(&format!("{path}?email=ann@acme.example"))
        }
        ("GET", path @ "/api/v1/dataleaks/bin") => call.path(&format!("{path}?bin=424242")),
        ("POST", "/api/v1/dataleaks/search") => call.json(r#"{"domain":"acme.example"}"#),
        _ => call,
    }
}

#[tokio::test]
async fn the_routes_are_those_of_the_documented_table() {
    let bench = Bench::new().await;
    let permissions = api::routes(bench.gate()).permissions();
    let matrix = bench.app.matrix(&permissions).sample(sample);
    let matrix = matrix.organization(|workspace| {
        let workspace = workspace.resource("domain", "acme.example");
        workspace.resource("bin", "424242")
    });
    let documented = Documented::table(include_str!("documented.md"));
    matrix.compute().await.assert_documented(&documented);
}

#[tokio::test]
async fn every_route_is_tried_with_a_good_request() {
    let bench = Bench::new().await;
    let permissions = api::routes(bench.gate()).permissions();
    let declared = permissions.rows().iter();
    let declared: BTreeSet<_> = declared.map(|row| (&*row.method, &*row.path)).collect();
    let tried = bench.good().map(|(method, path, _)| (method, path));
    assert_eq!(BTreeSet::from(tried), declared);
}

#[tokio::test]
async fn everything_is_below_api_v1_and_wants_a_key() {
    let bench = Bench::new().await;
    let permissions = api::routes(bench.gate()).permissions();
    for row in permissions.rows() {
        assert!(row.path.starts_with("/api/v1/"), "{}", row.path);
        assert_eq!((&*row.permission, &*row.credits), ("Any key", "0"));
        assert_eq!(row.plan, None);
    }
    let key = bench.key("acme").await;
    for path in ["/watchlists", "/dataleaks/domain?domain=acme.example"] {
        assert_flat(&bench.app.get(path).key(&key).send().await, 404);
    }
}
