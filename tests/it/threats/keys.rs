//! T31 and T32: what a key that has ended is still good for.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use tollgate::Gate;
use tollgate::access::authenticated;
use tollgate::core::clock::Clock;
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate::core::memory::MemoryStore;
use tollgate::core::secret::Secret;
use tollgate_testkit::clock::ManualClock;
use tollgate_testkit::faults::{Fault, FaultyStore, Operation};
use tower::ServiceExt;

use super::get;
use crate::support::{DAY, HOUR, TestApp, TestKey, actor, catalog, org};

/// How long a copy of a key is believed.
const MAX_AGE: Duration = Duration::from_secs(10);

const TICK: Duration = Duration::from_millis(1);

/// What another process answers, which shares nothing but the store.
async fn status(gate: &Gate, secret: &Secret) -> u16 {
    let routes = gate
        .routes()
        .get("/", async || "ran", authenticated().rate_cost(0));
    let request = Request::get("/").header("x-api-key", secret.expose());
    let request = request.body(Body::empty()).unwrap();
    let app = routes.into_service().unwrap();
    app.oneshot(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn t31_with_a_dead_change_feed_a_revocation_is_seen_when_the_copy_is_too_old() {
    for fault in [Fault::Fail, Fault::Hang] {
        let clock = ManualClock::new();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let store = FaultyStore::new(MemoryStore::default(), Arc::clone(&shared));
        let store = Arc::new(store);
        let gate = async || {
            let builder = Gate::builder(catalog()).shared_store(Arc::clone(&store));
            builder.clock(Arc::clone(&shared)).build().await.unwrap()
        };
        let (here, there) = (gate().await, gate().await);
        store.faults().set(Operation::Feed, fault);
        let (keyring, actor) = (here.keyring(), actor());
        let umbra = NewOrganization::new(org("umbra"), "pro");
        keyring.create_organization(umbra, &actor).await.unwrap();
        let new = NewKey::new(org("umbra"), "a key");
        let issued = keyring.issue(new, &actor).await.unwrap();
        for gate in [&here, &there] {
            assert_eq!(status(gate, &issued.secret).await, 200);
        }
        keyring.revoke(&issued.key.id, &actor).await.unwrap();
        assert_eq!(status(&here, &issued.secret).await, 401, "who revoked it");
        assert_eq!(status(&there, &issued.secret).await, 200, "not told");
        clock.advance(MAX_AGE.saturating_sub(TICK));
        assert_eq!(status(&there, &issued.secret).await, 200);
        clock.advance(TICK);
        assert_eq!(status(&there, &issued.secret).await, 401, "too old");
    }
}

#[tokio::test]
async fn t32_a_clock_that_jumps_prolongs_no_copy_of_a_key() {
    let app = TestApp::new(|gate| {
        gate.routes()
            .get("/", async || "ran", authenticated().rate_cost(0))
    })
    .await;
    let start = app.clock.now().wall;
    let key = async |life: Duration| -> TestKey {
        let ends = start.after(life);
        app.key_with("umbra", |key| key.expires_at(ends)).await
    };
    let (short, long) = (key(MAX_AGE / 2).await, key(HOUR).await);
    let ask = async |key: &TestKey| {
        let lines: [(&str, &[u8]); 1] = [("X-API-Key", key.secret.as_bytes())];
        get(&app, "/", &lines).await.status
    };
    for key in [&short, &long] {
        assert_eq!(ask(key).await, 200);
    }
    // Set forward beyond its end and back again: the wall decides, and the copy is none the older.
    app.clock.jump_wall(start.after(HOUR));
    assert_eq!(ask(&long).await, 401);
    app.clock.jump_wall(start);
    app.clock.advance((MAX_AGE / 2).saturating_sub(TICK));
    for key in [&short, &long] {
        assert_eq!(ask(key).await, 200);
    }
    // Set back by ten years, a copy still ends when it would have.
    app.clock.advance(TICK);
    assert_eq!(ask(&short).await, 401);
    app.clock.jump_wall(start.before(DAY * 3650));
    assert_eq!(ask(&short).await, 401);
    assert_eq!(ask(&long).await, 200);
}
