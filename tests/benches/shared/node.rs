//! A node as a process of its own: this very program, started again.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpListener;
use tollgate::access::authenticated;
use tollgate::core::rate::RateLimit;
use tollgate::{Catalog, Gate, Plan};
use tollgate_redis::{RedisOptions, WhenDown};
use tollgate_sqlx::PostgresStore;

/// The first argument of a node; the next are the URLs of its database and of its Redis.
const NODE: &str = "node";

pub(super) const RATE: &str = "/rate";
pub(super) const CHARGE: &str = "/charge";
pub(super) const LEASE: &str = "/lease";
/// How each answer ends.
pub(super) const HELLO: &str = "hello";

/// On a machine that is too busy: whoever is measured waits, and neither fails nor counts alone.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a node has on lease for an organization, at most.
const LEASED: u64 = 10_000;

/// The URLs, if this process is to be a node.
pub(super) fn urls() -> Option<(String, String)> {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    first.filter(|first| first == NODE)?;
    arguments.next().zip(arguments.next())
}

/// Prints its address, and serves until its standard input ends, which it does with the process
/// that started it.
pub(super) async fn serve(database: &str, redis: &str) {
    let gate = gate(database, redis).await;
    let paid = || authenticated().credits(1);
    let routes = gate
        .routes()
        .get(RATE, async || HELLO, authenticated())
        .get(CHARGE, async || HELLO, paid().settle_before_reply())
        .get(LEASE, async || HELLO, paid());
    let service = routes.into_service().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    ended.await.unwrap().unwrap();
    gate.shutdown().await;
}

/// The app's gate, whose one plan has a rate that nobody reaches.
pub(super) async fn gate(database: &str, redis: &str) -> Gate {
    let rate = RateLimit::smooth(100_000_000, Duration::from_secs(1)).unwrap();
    let catalog = Catalog::builder().plan(Plan::new("pro").rate(rate));
    let limiter = RedisOptions::new(redis)
        .when_down(WhenDown::Refuse)
        .deadline(PATIENCE);
    let gate = Gate::builder(catalog.build().unwrap())
        .store(PostgresStore::open(database).await.unwrap())
        .limiter(limiter.open().await.unwrap())
        .charge_deadline(PATIENCE)
        .lease_credits(LEASED);
    gate.build().await.unwrap()
}

/// A node that runs.
pub(super) struct Node {
    process: Child,
    pub(super) address: SocketAddr,
}

impl Node {
    pub(super) fn start(database: &str, redis: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([NODE, database, redis])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        let stdout = BufReader::new(process.stdout.take().unwrap()).read_line(&mut address);
        stdout.unwrap();
        let address = address.trim_end().parse().unwrap();
        Self { process, address }
    }

    /// Microseconds that its threads have been on a processor.
    pub(super) fn worked(&self) -> f64 {
        let threads = PathBuf::from(format!("/proc/{}/task", self.process.id()));
        let threads = std::fs::read_dir(threads).unwrap();
        let of = |thread: PathBuf| {
            // A thread may have ended since it was listed; those that serve never do.
            let stat = std::fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
            let nanos = stat.split(' ').next().and_then(|it| it.parse().ok());
            nanos.unwrap_or(0.0) / 1e3
        };
        threads.map(|thread| of(thread.unwrap().path())).sum()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().unwrap();
    }
}
