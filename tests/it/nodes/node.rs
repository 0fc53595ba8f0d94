//! A node: a gate with connections of its own, as a process has them, over servers that are thrown
//! away.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use tollgate::access::scope;
use tollgate::core::change::Actor;
use tollgate::core::id::{KeyId, OrgId};
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate::{CacheSettings, Catalog, Gate, GateBuilder, GateService, Plan, Routes};
use tollgate_redis::{RedisLimiter, RedisOptions};
use tollgate_servers::Redis;
use tollgate_sqlx::{PostgresOptions, PostgresStore};
use tower::ServiceExt as _;

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) gate: Gate,
    pub(crate) app: GateService<Router>,
}

pub(crate) fn acme() -> OrgId {
    OrgId::new("acme").unwrap()
}

pub(crate) async fn store(url: &str) -> PostgresStore {
    let options = PostgresOptions::new(url).allow_lost_commits();
    options.open().await.unwrap()
}

/// One whose holds end by the time that its callers tell.
pub(crate) async fn store_of_our_time(url: &str) -> PostgresStore {
    let options = PostgresOptions::new(url).allow_lost_commits();
    options.by_the_callers_time().open().await.unwrap()
}

/// A request, and when its answer came.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    pub(crate) status: u16,
}

/// One that waits for its servers however busy the machine is.
pub(crate) async fn node(url: &str, prefix: &str, plan: Plan) -> Node {
    let gate = Gate::builder(catalog(plan)).store(store(url).await);
    let gate = gate
        .limiter(limiter(prefix).await)
        .cache(CacheSettings::new().with_deadline(PATIENCE))
        .charge_deadline(PATIENCE);
    Node::of(gate, routes).await
}

pub(crate) fn catalog(plan: Plan) -> Catalog {
    let catalog = Catalog::builder().scope("iocs:read").plan(plan);
    catalog.build().unwrap()
}

/// One that waits however busy the machine is: who does not counts by itself.
pub(crate) async fn limiter(prefix: &str) -> RedisLimiter {
    let options = RedisOptions::new(Redis::shared().url()).prefix(prefix);
    options.deadline(PATIENCE).open().await.unwrap()
}

pub(crate) fn routes(gate: &Gate) -> Routes {
    gate.routes()
        .get("/iocs", async || "[]", scope("iocs:read"))
        .get("/report", async || "[]", scope("iocs:read").credits(1))
}

impl Node {
    pub(crate) async fn of(builder: GateBuilder, routes: impl FnOnce(&Gate) -> Routes) -> Self {
        let gate = builder.build().await.unwrap();
        let app = routes(&gate).into_service().unwrap();
        Self { gate, app }
    }

    pub(crate) async fn ask(&self, path: &str, key: &str) -> Response {
        let request = Request::get(path).header("authorization", format!("Bearer {key}"));
        let request = request.body(Body::empty()).unwrap();
        self.app.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn status(&self, path: &str, key: &str) -> u16 {
        self.ask(path, key).await.status().as_u16()
    }
}

/// An organization of the plan `pro`, and a key of it.
pub(crate) async fn customer(gate: &Gate, name: &OrgId) -> (KeyId, String) {
    let system = Actor::system();
    let new = NewOrganization::new(name.clone(), "pro");
    let created = gate.keyring().create_organization(new, &system).await;
    created.unwrap();
    key_of(gate, name).await
}

pub(crate) async fn key_of(gate: &Gate, name: &OrgId) -> (KeyId, String) {
    let new = NewKey::new(name.clone(), "a key").scopes(["iocs:read"]);
    let issued = gate.keyring().issue(new, &Actor::system()).await.unwrap();
    (issued.key.id, issued.secret.expose().to_owned())
}

pub(crate) async fn grant(gate: &Gate, credits: u64) {
    let granted = gate.grant_credits(&acme(), credits, &Actor::system()).await;
    granted.unwrap();
}

pub(crate) fn say(line: &str) {
    let line = format!("{line}\n");
    std::io::Write::write_all(&mut std::io::stdout().lock(), line.as_bytes()).unwrap();
}
