//! Throughput of the whole stack on one, two and four nodes over one Postgres and one Redis.
//!
//! `cargo bench -p tollgate-tests --bench nodes`. A node is a process: this program, started
//! again. They answer over HTTP/1.1 on loopback what one thread of this process asks them on
//! connections that are kept, spread evenly over the nodes. All share the machine with both
//! servers, so that more nodes cannot do more than one: what is seen is what it costs that they
//! share. All rows take turns; `SECONDS=0.2` measures each for a shorter time, `ROUNDS=1` once.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, prints, and fails loudly"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tollgate::core::change::Actor;
use tollgate::core::id::OrgId;
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate_servers::{Postgres, Redis};

#[path = "shared/at_once.rs"]
#[expect(
    dead_code,
    reason = "the medians here are also of what the processors did"
)]
mod at_once;
#[path = "shared/node.rs"]
mod node;

use at_once::{Measured, measure, work};
use node::{CHARGE, HELLO, LEASE, Node, RATE};

const NODES: [usize; 3] = [1, 2, 4];
const AT_ONCE: usize = 64;
const ORGANIZATIONS: usize = 100;
const SECONDS: f64 = 1.0;
const ROUNDS: usize = 7;
const MUCH: u64 = 1 << 40;

/// What is asked, and of how many organizations.
const ROUTES: [(&str, &str, usize); 4] = [
    ("a rate limit in Redis", RATE, 1),
    ("and a credit, charged when answered", CHARGE, 1),
    ("the same of 100 organizations", CHARGE, ORGANIZATIONS),
    ("and a credit, from a lease", LEASE, 1),
];

struct Row {
    name: &'static str,
    nodes: usize,
    asker: Arc<Asker>,
    rounds: Vec<Round>,
}

struct Round {
    measured: Measured,
    /// Microseconds of the nodes' threads, a request.
    nodes: f64,
    /// Microseconds of everything on the machine, a request.
    machine: f64,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    if let Some((database, redis)) = node::urls() {
        return runtime.block_on(node::serve(&database, &redis));
    }
    let seconds = std::env::var("SECONDS").map_or(SECONDS, |it| it.parse().unwrap());
    let rounds = std::env::var("ROUNDS").map_or(ROUNDS, |it| it.parse().unwrap());
    let (postgres, redis) = (Postgres::durable(), Redis::start());
    let (database, redis) = (postgres.fresh(), redis.url());
    let keys = runtime.block_on(keys(&database, &redis));
    let most = *NODES.last().unwrap();
    let start = |_| Node::start(&database, &redis);
    let nodes: Vec<_> = (0..most).map(start).collect();
    let clients = tokio::runtime::Builder::new_current_thread();
    let clients = { clients }.enable_all().build().unwrap();
    let mut rows = clients.block_on(rows(&nodes, &keys));
    for _ in 0..rounds {
        for row in &mut rows {
            let of = &nodes[..row.nodes];
            let worked = || of.iter().map(Node::worked).sum::<f64>();
            let (sent, busy_before, before) = (row.asker.sent(), busy(), worked());
            let asker = Arc::clone(&row.asker);
            let once = work(move |task| Arc::clone(&asker).ask(task));
            let time = Duration::from_secs_f64(seconds);
            let measured = clients.block_on(measure(AT_ONCE, time, once));
            let requests = (row.asker.sent() - sent) as f64;
            row.rounds.push(Round {
                measured,
                nodes: (worked() - before) / requests,
                machine: (busy() - busy_before) / requests,
            });
        }
    }
    print(&rows, rounds);
}

fn print(rows: &[Row], rounds: usize) {
    println!("### Throughput of the whole stack, on nodes over one PostgreSQL and one Redis\n");
    println!(
        "| a request takes | nodes | requests/s | of one node | p50 µs | p99 µs | nodes' work, µs a request | all of the machine's |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut one = &rows[0];
    for row in rows {
        one = if row.nodes == 1 { row } else { one };
        let all = |what: fn(&Round) -> f64| median(row.rounds.iter().map(what).collect());
        let pairs = one.rounds.iter().zip(&row.rounds);
        let beside = |(one, it): (&Round, &Round)| it.measured.per_second / one.measured.per_second;
        println!(
            "| {} | {} | {:.0} | {:.2} | {:.0} | {:.0} | {:.0} | {:.0} |",
            row.name,
            row.nodes,
            all(|it| it.measured.per_second),
            median(pairs.map(beside).collect()),
            all(|it| it.measured.p50),
            all(|it| it.measured.p99),
            all(|it| it.nodes),
            all(|it| it.machine),
        );
    }
    println!(
        "\nMedians of {rounds} rounds in turn, {AT_ONCE} connections, spread over the nodes. Whoever asks, the nodes and both servers share the machine.\n"
    );
}

/// Makes the organizations, and a key of each.
async fn keys(database: &str, redis: &str) -> Vec<String> {
    let (gate, actor) = (node::gate(database, redis).await, Actor::system());
    let mut keys = Vec::new();
    for n in 0..ORGANIZATIONS {
        let name = OrgId::new(&format!("org-{n}")).unwrap();
        let new = NewOrganization::new(name.clone(), "pro");
        let made = gate.keyring().create_organization(new, &actor);
        made.await.unwrap();
        gate.grant_credits(&name, MUCH, &actor).await.unwrap();
        let issued = gate.keyring().issue(NewKey::new(name, "bench"), &actor);
        keys.push(issued.await.unwrap().secret.expose().to_owned());
    }
    gate.shutdown().await;
    keys
}

/// What is asked of how many nodes, the fewest first.
async fn rows(nodes: &[Node], keys: &[String]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, path, organizations) in ROUTES {
        for count in NODES {
            let requests = keys[..organizations].iter().map(|key| {
                let request =
                    format!("GET {path} HTTP/1.1\r\nhost: bench\r\nx-api-key: {key}\r\n\r\n");
                request.into_bytes()
            });
            let asker = Arc::new(Asker {
                connections: connections(&nodes[..count]).await,
                requests: requests.collect(),
                next: AtomicUsize::new(0),
            });
            rows.push(Row {
                name,
                nodes: count,
                asker,
                rounds: Vec::new(),
            });
        }
    }
    rows
}

async fn connections(nodes: &[Node]) -> Vec<Mutex<TcpStream>> {
    let mut connections = Vec::new();
    for node in nodes.iter().cycle().take(AT_ONCE) {
        let stream = TcpStream::connect(node.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        connections.push(Mutex::new(stream));
    }
    connections
}

/// Sends requests, each of the next organization, and waits for their answers.
struct Asker {
    connections: Vec<Mutex<TcpStream>>,
    requests: Vec<Vec<u8>>,
    next: AtomicUsize,
}

impl Asker {
    /// How many it has sent.
    fn sent(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }

    async fn ask(self: Arc<Self>, task: usize) {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let mut stream = self.connections[task].lock().await;
        let request = &self.requests[n % self.requests.len()];
        stream.write_all(request).await.unwrap();
        let (mut answer, mut read) = ([0; 4096], 0);
        while !answer[..read].ends_with(HELLO.as_bytes()) {
            let more = stream.read(&mut answer[read..]).await.unwrap();
            assert_ne!(more, 0, "the node hung up");
            read += more;
            let so_far = String::from_utf8_lossy(&answer[..read]);
            assert!(so_far.starts_with("HTTP/1.1 200"), "not a 200: {so_far}");
        }
    }
}

/// Microseconds that the machine's processors have been busy, to a hundredth of a second.
fn busy() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let all = stat.lines().next().unwrap().split_whitespace().skip(1);
    let ticks: Vec<f64> = all.map(|it| it.parse().unwrap()).collect();
    // What is idle or waits for a disk stands at 3 and 4; what guests had, from 8 on, is told twice.
    let busy = ticks[..8].iter().sum::<f64>() - ticks[3] - ticks[4];
    busy * 10_000.0
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
