//! Several nodes over one Postgres and one Redis: what they admit together, and how soon they know
//! what one of them was told.
//!
//! A node is a gate with connections of its own, as a process has them; the servers are thrown
//! away. The module's name has both, so that who has no servers can leave it out.
#![expect(clippy::disallowed_methods, reason = "the claims are about real time")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use tollgate::access::scope;
use tollgate::core::change::Actor;
use tollgate::core::id::{KeyId, OrgId};
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate::core::quota::{QuotaLimit, QuotaPeriod};
use tollgate::core::rate::RateLimit;
use tollgate::{Catalog, Gate, GateBuilder, GateService, Plan, Routes};
use tollgate_redis::{RedisLimiter, RedisOptions};
use tollgate_servers::{Postgres, Redis};
use tollgate_sqlx::{PostgresOptions, PostgresStore};
use tower::ServiceExt as _;

mod outages;
mod postgres_and_redis;
mod postgres_faults;
mod postgres_leases;
mod postgres_spreads;
mod redis_faults;

const KEYS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(10);

/// The nodes of one app, and the keys of its one organization.
struct Fleet {
    nodes: Vec<Node>,
    keys: Vec<(KeyId, String)>,
    store: PostgresStore,
}

#[derive(Clone)]
struct Node {
    gate: Gate,
    app: GateService<Router>,
}

fn acme() -> OrgId {
    OrgId::new("acme").unwrap()
}

async fn store(url: &str) -> PostgresStore {
    let options = PostgresOptions::new(url).allow_lost_commits();
    options.open().await.unwrap()
}

impl Fleet {
    /// So many nodes of an app whose organization has this plan, named `pro`.
    async fn start(count: usize, plan: Plan) -> Self {
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let url = Postgres::shared().fresh();
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let mut nodes = Vec::new();
        for _ in 0..count {
            nodes.push(node(&url, &format!("nodes{number}"), plan.clone()).await);
        }
        let store = store(&url).await;
        let mut this = Self {
            nodes,
            keys: Vec::new(),
            store,
        };
        this.make_keys().await;
        this
    }

    async fn make_keys(&mut self) {
        let gate = self.first().gate.clone();
        self.keys.push(customer(&gate, &acme()).await);
        while self.keys.len() < KEYS {
            self.keys.push(key_of(&gate, &acme()).await);
        }
    }

    fn first(&self) -> &Node {
        self.nodes.first().unwrap()
    }

    /// Asks all nodes at once, by so many tasks each, until a task says that it is enough. Each
    /// request is of another key.
    async fn ask<A, F>(&self, path: &'static str, tasks: usize, enough: A) -> Vec<Asked>
    where
        A: Fn() -> F + Send + Sync + 'static,
        F: FnMut(&Asked) -> bool + Send + 'static,
    {
        let keys: Arc<[String]> = self.keys.iter().map(|(_, text)| text.clone()).collect();
        let mut running = Vec::new();
        for (n, node) in self.nodes.iter().enumerate() {
            for task in 0..tasks {
                let (node, keys, mut enough) = (node.clone(), Arc::clone(&keys), enough());
                running.push(tokio::spawn(async move {
                    let mut all = Vec::new();
                    for key in keys.iter().cycle().skip(n * 13 + task * 7) {
                        let began = Instant::now();
                        let status = node.ask(path, key).await.status().as_u16();
                        let asked = Asked {
                            began,
                            ended: Instant::now(),
                            status,
                        };
                        let is_enough = enough(&asked);
                        all.push(asked);
                        if is_enough {
                            break;
                        }
                    }
                    all
                }));
            }
        }
        let mut all = Vec::new();
        for task in running {
            all.extend(task.await.unwrap());
        }
        all
    }

    async fn stop(self) {
        for node in self.nodes {
            node.gate.shutdown().await;
        }
        self.store.close().await;
    }
}

/// A request, and when its answer came.
#[derive(Clone, Copy)]
struct Asked {
    began: Instant,
    ended: Instant,
    status: u16,
}

async fn node(url: &str, prefix: &str, plan: Plan) -> Node {
    let gate = Gate::builder(catalog(plan)).store(store(url).await);
    let gate = gate
        .limiter(limiter(prefix).await)
        .charge_deadline(PATIENCE);
    Node::of(gate, routes).await
}

fn catalog(plan: Plan) -> Catalog {
    let catalog = Catalog::builder().scope("iocs:read").plan(plan);
    catalog.build().unwrap()
}

/// One that waits however busy the machine is: who does not counts by itself.
async fn limiter(prefix: &str) -> RedisLimiter {
    let options = RedisOptions::new(Redis::shared().url()).prefix(prefix);
    options.deadline(PATIENCE).open().await.unwrap()
}

fn routes(gate: &Gate) -> Routes {
    gate.routes()
        .get("/iocs", async || "[]", scope("iocs:read"))
        .get("/report", async || "[]", scope("iocs:read").credits(1))
}

impl Node {
    async fn of(builder: GateBuilder, routes: impl FnOnce(&Gate) -> Routes) -> Self {
        let gate = builder.build().await.unwrap();
        let app = routes(&gate).into_service().unwrap();
        Self { gate, app }
    }

    async fn ask(&self, path: &str, key: &str) -> Response {
        let request = Request::get(path).header("authorization", format!("Bearer {key}"));
        let request = request.body(Body::empty()).unwrap();
        self.app.clone().oneshot(request).await.unwrap()
    }

    async fn status(&self, path: &str, key: &str) -> u16 {
        self.ask(path, key).await.status().as_u16()
    }
}

/// An organization of the plan `pro`, and a key of it.
async fn customer(gate: &Gate, name: &OrgId) -> (KeyId, String) {
    let system = Actor::system();
    let new = NewOrganization::new(name.clone(), "pro");
    let created = gate.keyring().create_organization(new, &system).await;
    created.unwrap();
    key_of(gate, name).await
}

async fn key_of(gate: &Gate, name: &OrgId) -> (KeyId, String) {
    let new = NewKey::new(name.clone(), "a key").scopes(["iocs:read"]);
    let issued = gate.keyring().issue(new, &Actor::system()).await.unwrap();
    (issued.key.id, issued.secret.expose().to_owned())
}

async fn grant(gate: &Gate, credits: u64) {
    let granted = gate.grant_credits(&acme(), credits, &Actor::system()).await;
    granted.unwrap();
}

fn say(line: &str) {
    let line = format!("{line}\n");
    std::io::Write::write_all(&mut std::io::stdout().lock(), line.as_bytes()).unwrap();
}
