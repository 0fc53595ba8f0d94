//! Workspaces whose billing is restricted.

use tollgate::core::change::Actor;
use tollgate::core::id::OrgId;

use super::{Bench, assert_flat};

/// The routes that stay open, as the documented table has them.
fn open() -> Vec<(&'static str, &'static str)> {
    let table = include_str!("documented.md").lines().skip(2);
    let cells = table.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let open = cells.filter(|cells| cells[5] == "open");
    open.map(|cells| (cells[1], cells[2])).collect()
}

#[tokio::test]
async fn a_billing_restriction_closes_the_protected_routes_and_no_other() {
    let bench = Bench::new().await;
    let key = bench.key("acme").await;
    let keyring = bench.gate().keyring();
    let acme = OrgId::new("acme").unwrap();
    let actor = Actor::named("test");
    keyring.restrict_billing(&acme, &actor).await.unwrap();
    let open = open();
    assert_eq!(open.len(), 3);
    for (method, path, request) in bench.good() {
        let answer = request.key(&key).send().await;
        if open.contains(&(method, path)) {
            answer.assert_success();
        } else {
            answer.assert_denied("billing_restricted");
            assert_flat(&answer, 403);
        }
    }
    // It ends at once, too.
    keyring.activate(&acme, &actor).await.unwrap();
    let leaks = bench.leaks(&key, "domain?domain=acme.example").await;
    leaks.assert_status(200);
}
