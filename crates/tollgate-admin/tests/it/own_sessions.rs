//! An app that has users of its own: its sessions manage, and there is no sign-in.

use axum::body::Body;
use http::{Request, request};
use tollgate::core::accounts::Role;
use tollgate::core::id::OrgId;
use tollgate::core::memory::MemoryStore;
use tollgate::core::reply::Reply;
use tollgate::{Gate, Session, Sessions};
use tollgate_admin::Admin;
use tower::ServiceExt as _;

/// Whoever says so is an admin of acme: a stand-in for what an app has.
#[derive(Debug)]
struct Told;

impl Sessions for Told {
    fn verify(&self, head: &request::Parts) -> Reply<Option<Session>> {
        let name = head
            .headers
            .get("x-user")
            .and_then(|name| name.to_str().ok());
        let acme = OrgId::new("acme").unwrap();
        Reply::ready(name.map(|name| Session::of(name).with_role(acme, Role::Admin)))
    }
}

#[tokio::test]
async fn an_app_s_own_sessions_manage_and_nobody_signs_in() {
    let builder = Gate::builder(crate::support::catalog()).store(MemoryStore::default());
    let gate = builder.sessions(Told).build().await.unwrap();
    let acme = tollgate::core::keyring::NewOrganization::new(OrgId::new("acme").unwrap(), "free");
    let system = tollgate::core::change::Actor::system();
    gate.keyring()
        .create_organization(acme, &system)
        .await
        .unwrap();
    let admin = Admin::new(&gate);
    let routes = gate.routes().nest("/keys/admin", admin.routes());
    let routes = routes.get("/iocs", async || "", tollgate::access::scope("iocs:read"));
    let service = routes.into_service().unwrap();
    let ask = async |method: &str, path: &str| {
        let request = Request::builder()
            .method(method)
            .uri(format!("/keys/admin{path}"));
        let request = request.header("x-user", "ann").body(Body::empty()).unwrap();
        service
            .clone()
            .oneshot(request)
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(ask("GET", "/organizations/acme/keys").await, 200);
    assert_eq!(ask("GET", "/organizations/umbra/keys").await, 404);
    assert_eq!(ask("GET", "/openapi.json").await, 200);
    for (method, path) in [
        ("POST", "/session"),
        ("GET", "/sessions"),
        ("GET", "/users"),
        ("GET", "/organizations/acme/members"),
    ] {
        assert_eq!(ask(method, path).await, 404, "{path}");
        let of_no_row = admin.operations().iter().all(|of| of.path != path);
        assert!(of_no_row || path == "/organizations/acme/members", "{path}");
    }
}
