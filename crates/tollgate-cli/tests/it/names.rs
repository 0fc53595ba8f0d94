//! The command and the management routes call things alike.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::Request;
use serde_json::Value;
use tollgate::core::accounts::Accounts;
use tollgate::core::clock::SystemClock;
use tollgate::core::memory::MemoryStore;
use tollgate::{Catalog, Gate};
use tollgate_admin::{Admin, SessionCookies};
use tower::ServiceExt as _;

use crate::people::ann;
use crate::place::Place;

/// What the routes' own description says of their answers.
async fn described() -> Value {
    let store = Arc::new(MemoryStore::default());
    let clock = Arc::new(SystemClock::default());
    let cookies = SessionCookies::new(Accounts::new(store.clone(), clock));
    let gate = Gate::builder(Catalog::builder().build().unwrap()).shared_store(store);
    let gate = gate.sessions(cookies.clone()).build().await.unwrap();
    let admin = Admin::new(&gate).with_sign_in(cookies);
    let routes: tollgate::Routes<()> = gate.routes().nest("/admin", admin.routes());
    let service: tollgate::GateService<Router> = routes.into_service().unwrap();
    let request = Request::get("/admin/openapi.json").body(Body::empty());
    let answer = service.oneshot(request.unwrap()).await.unwrap();
    let body = to_bytes(Body::new(answer.into_body()), usize::MAX).await;
    serde_json::from_slice(&body.unwrap()).unwrap()
}

#[tokio::test]
async fn what_is_printed_has_the_names_of_the_management_routes() {
    let place = Place::new().await;
    place.key(&["--scope", "iocs:read", "--allow-ip", "192.0.2.1"]);
    place.good(["credits", "grant", "acme", "5"]);
    ann(&place);
    place.good(["session", "create", "ann@acme.example"]);
    let described = described().await;
    for (args, schema) in [
        (&["org", "list"][..], "OrganizationView"),
        (&["key", "list"], "KeyView"),
        (&["credits", "entries", "acme"], "EntryView"),
        (&["user", "list"], "UserView"),
        (&["session", "list", "ann@acme.example"], "SessionView"),
    ] {
        let listed = place.json(args.iter().copied());
        let schema = &described["components"]["schemas"][schema]["properties"];
        assert!(schema.is_object(), "{args:?}");
        for name in listed[0].as_object().unwrap().keys() {
            assert!(schema.get(name).is_some(), "{args:?} has `{name}`");
        }
    }
}
