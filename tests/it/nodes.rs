//! Several nodes over one Postgres and one Redis: what they admit together, and how soon they know
//! what one of them was told.
//!
//! A node is a gate with connections of its own, as a process has them; the servers are thrown
//! away. The module's name has both, so that who has no servers can leave it out.
#![expect(clippy::disallowed_methods, reason = "the claims are about real time")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tollgate::core::change::Actor;
use tollgate::core::id::KeyId;
use tollgate::core::quota::{QuotaLimit, QuotaPeriod};
use tollgate::core::rate::RateLimit;
use tollgate::{Gate, Plan};
use tollgate_servers::Postgres;
use tollgate_sqlx::PostgresStore;

use self::node::{
    Asked, Node, PATIENCE, acme, catalog, customer, grant, key_of, node, routes, say, store,
};

mod node;
mod postgres_and_redis;
mod postgres_leases;
mod postgres_restored;
mod postgres_spreads;

const KEYS: usize = 100;

/// The nodes of one app, and the keys of its one organization.
struct Fleet {
    nodes: Vec<Node>,
    keys: Vec<(KeyId, String)>,
    store: PostgresStore,
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
