//! A store that is down: nobody is told that their session, or their password, is no good.

use std::sync::Arc;

use serde_json::json;
use tollgate::core::accounts::Role;
use tollgate::core::memory::MemoryStore;
use tollgate_testkit::faults::{Fault, FaultyStore};

use crate::support::{App, PASSWORD};

#[tokio::test]
async fn a_store_that_is_down_is_a_503_and_never_a_401() {
    let clock = tollgate_testkit::clock::ManualClock::new();
    let store = FaultyStore::new(MemoryStore::default(), Arc::new(clock));
    let faults = store.faults();
    let app = App::on(Arc::new(store), None, |admin| admin).await;
    let admin = app.signed_in(Role::Admin).await;
    let (id, _) = app.key("acme", &[]).await;
    let keys = "/admin/organizations/acme/keys";
    let body = || json!({"email": "admin@acme.example", "password": PASSWORD});
    faults.set_all(Fault::Fail);
    for call in [
        app.get("/admin/session").cookie(&admin),
        app.get(keys).cookie(&admin),
        app.get(&format!("{keys}/{id}")).cookie(&admin),
        app.post(keys).cookie(&admin).json(json!({"name": "a key"})),
        app.post("/admin/session").json(body()),
    ] {
        let answer = call.send().await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.header("retry-after"), "1");
        assert!(answer.message().contains("unavailable"), "{answer:?}");
    }
    faults.set_all(Fault::None);
    assert_eq!(app.get(keys).cookie(&admin).status().await, 200);
}
