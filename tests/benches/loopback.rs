//! What the stack costs an app on a real connection: the same app bare and guarded, over HTTP/1.1
//! on loopback.
//!
//! `cargo bench -p tollgate-tests --bench loopback`. Both servers stand on tokio's usual
//! threads and take turns every half second; the clients have a thread of their own, keep their
//! connections and send both the same request. Beside the throughput stands what the servers'
//! threads have worked for a request, which tells more where other programs want the processor.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, prints, and fails loudly"
)]

#[path = "shared/others.rs"]
#[expect(
    dead_code,
    reason = "of the others, only the bare app is measured here"
)]
mod others;
#[path = "shared/variant.rs"]
#[expect(dead_code, reason = "only what makes the whole stack is needed")]
mod variant;
#[path = "shared/whole.rs"]
#[expect(dead_code, reason = "the gate is needed, not the variant made of it")]
mod whole;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tollgate::access::scope;
use whole::Tenant;

/// What the servers' threads are called.
const SERVER: &str = "server";
const CONNECTIONS: usize = 32;
const ROUNDS: usize = 21;
const ROUND: Duration = Duration::from_millis(500);
const BUDGET: f64 = 0.90;

/// What one app did in one round.
struct Round {
    per_second: f64,
    p50: f64,
    p99: f64,
    answers: f64,
    /// Microseconds of the server's thread, a request.
    worked: f64,
}

fn main() {
    let servers = tokio::runtime::Builder::new_multi_thread();
    let servers = { servers }
        .thread_name(SERVER)
        .enable_all()
        .build()
        .unwrap();
    let (bare, guarded, key) = servers.block_on(serve());
    let clients = tokio::runtime::Builder::new_current_thread();
    let clients = { clients }.enable_all().build().unwrap();
    let request = format!(
        "GET /iocs HTTP/1.1\r\nhost: bench\r\naccept: */*\r\nuser-agent: bench\r\nauthorization: {key}\r\n\r\n"
    );
    let request = Arc::<[u8]>::from(request.into_bytes());
    let mut rounds = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (address, rounds) in [bare, guarded].into_iter().zip(&mut rounds) {
            let before = worked();
            let mut round = clients.block_on(round(address, &request));
            round.worked = (worked() - before) / round.answers;
            rounds.push(round);
        }
    }
    println!("### The same app bare and guarded, over loopback\n");
    println!("| app | requests/s | p50 µs | p99 µs | server's work, µs a request |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    let of = |rounds: &[Round], what: fn(&Round) -> f64| median(rounds.iter().map(what).collect());
    for (name, rounds) in ["bare axum", "tollgate, the whole stack"]
        .iter()
        .zip(&rounds)
    {
        let per_second = of(rounds, |round| round.per_second);
        let (p50, p99) = (of(rounds, |round| round.p50), of(rounds, |round| round.p99));
        let worked = of(rounds, |round| round.worked);
        println!("| {name} | {per_second:.0} | {p50:.0} | {p99:.0} | {worked:.1} |");
    }
    let ratio = |what: fn(&Round, &Round) -> f64| {
        let pairs = rounds[0].iter().zip(&rounds[1]);
        median(pairs.map(|(bare, guarded)| what(bare, guarded)).collect())
    };
    let throughput = ratio(|bare, guarded| guarded.per_second / bare.per_second);
    let work = ratio(|bare, guarded| bare.worked / guarded.worked);
    let met = if throughput >= BUDGET {
        "met"
    } else {
        "NOT met"
    };
    println!(
        "\nMedian of {ROUNDS} pairs of rounds: {throughput:.3} times the throughput, {work:.3} by the server's work. Budget {BUDGET:.2}: {met}.\n"
    );
}

/// Microseconds that the servers' threads have been on a processor.
fn worked() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let of = |thread: PathBuf| {
        let read = |file: &str| std::fs::read_to_string(thread.join(file)).unwrap();
        if read("comm").trim() != SERVER {
            return 0.0;
        }
        let nanos: f64 = read("schedstat")
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        nanos / 1e3
    };
    threads.map(|thread| of(thread.unwrap().path())).sum()
}

/// Starts both apps, and says where they are and which key opens the guarded one.
async fn serve() -> (SocketAddr, SocketAddr, String) {
    let (bare, guarded) = (listener().await, listener().await);
    let addresses = (bare.local_addr().unwrap(), guarded.local_addr().unwrap());
    let app = others::router().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(bare, app).await.unwrap() });
    let Tenant { gate, key, .. } = Tenant::new(|builder| builder).await;
    let routes = gate.routes();
    let routes = routes.get("/iocs", others::handler, scope("iocs:read").credits(1));
    let service = routes.into_service().unwrap();
    tokio::spawn(async move { axum::serve(guarded, service).await.unwrap() });
    (addresses.0, addresses.1, key.to_str().unwrap().to_owned())
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// As many requests as fit in a round, on all connections at once.
async fn round(address: SocketAddr, request: &Arc<[u8]>) -> Round {
    let end = Instant::now() + ROUND;
    let connections: Vec<_> = (0..CONNECTIONS)
        .map(|_| tokio::spawn(connection(address, Arc::clone(request), end)))
        .collect();
    let started = Instant::now();
    let mut times = Vec::new();
    for connection in connections {
        times.extend(connection.await.unwrap());
    }
    let per_second = times.len() as f64 / started.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    Round {
        per_second,
        p50: times[times.len() / 2],
        p99: times[times.len() * 99 / 100],
        answers: times.len() as f64,
        worked: 0.0,
    }
}

/// Asks and waits, again and again; the microseconds of each answer.
async fn connection(address: SocketAddr, request: Arc<[u8]>, end: Instant) -> Vec<f64> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut times, mut answer) = (Vec::new(), vec![0; 4096]);
    loop {
        let asked = Instant::now();
        if asked >= end {
            return times;
        }
        stream.write_all(&request).await.unwrap();
        let mut read = 0;
        // The body is the answer's last five bytes.
        while !answer[..read].ends_with(b"hello") {
            let more = stream.read(&mut answer[read..]).await.unwrap();
            assert_ne!(more, 0, "the server hung up");
            read += more;
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "not a 200");
        times.push(asked.elapsed().as_secs_f64() * 1e6);
    }
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
