//! What the stack costs an app on a real connection: the same app bare, guarded, and behind what
//! others use, over HTTP/1.1 on loopback.
//!
//! `cargo bench -p tollgate-tests --bench loopback`. All servers stand on tokio's usual
//! threads and take turns every half second; the clients have a thread of their own, keep their
//! connections and send all the same request. Beside the throughput stands what the servers'
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

use axum::routing::get;
use axum::{Json, Router};
use http::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tollgate::GateService;
use tollgate::access::scope;
use whole::Tenant;

/// What the servers' threads are called.
const SERVER: &str = "server";
const CONNECTIONS: usize = 32;
const ROUNDS: usize = 21;
const ROUND: Duration = Duration::from_millis(500);
const BUDGET: f64 = 0.90;

const HELLO: &str = "an app that answers `hello`";
const PAGE: &str = "an app that answers 50 rows of JSON";
/// How the bodies end.
const ENDS: [&[u8]; 2] = [b"hello", b"}]"];

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
    let apps = servers.block_on(serve());
    let clients = tokio::runtime::Builder::new_current_thread();
    let clients = { clients }.enable_all().build().unwrap();
    let mut rounds: Vec<Vec<Round>> = apps.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (app, rounds) in apps.iter().zip(&mut rounds) {
            let before = worked();
            let mut round = clients.block_on(round(app));
            round.worked = (worked() - before) / round.answers;
            rounds.push(round);
        }
    }
    println!("### The same app bare and guarded, over loopback\n");
    for what in [HELLO, PAGE] {
        let group: Vec<_> = apps
            .iter()
            .zip(&rounds)
            .filter(|(app, _)| app.what == what)
            .collect();
        table(what, &group);
    }
}

/// The first of a group is bare, the last is Tollgate's.
fn table(what: &str, group: &[(&App, &Vec<Round>)]) {
    println!(
        "| {what} | requests/s | of bare | p50 µs | p99 µs | server's work, µs a request | of bare |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut throughput = 0.0;
    for (app, of) in group {
        let all = |what: fn(&Round) -> f64| median(of.iter().map(what).collect());
        let beside = |what: fn(&Round, &Round) -> f64| {
            let pairs = group[0].1.iter().zip(of.iter());
            median(pairs.map(|(bare, it)| what(bare, it)).collect())
        };
        throughput = beside(|bare, it| it.per_second / bare.per_second);
        println!(
            "| {} | {:.0} | {throughput:.2} | {:.0} | {:.0} | {:.1} | {:.2} |",
            app.name,
            all(|it| it.per_second),
            all(|it| it.p50),
            all(|it| it.p99),
            all(|it| it.worked),
            beside(|bare, it| it.worked / bare.worked),
        );
    }
    let met = if throughput >= BUDGET {
        "met"
    } else {
        "NOT met"
    };
    println!(
        "\nRatios are medians of {ROUNDS} rounds in turn. Budget of throughput, {BUDGET:.2}: {met}.\n"
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

/// An app that is served, and what is sent to it.
struct App {
    what: &'static str,
    name: &'static str,
    address: SocketAddr,
    request: Arc<[u8]>,
}

/// Starts the apps.
async fn serve() -> Vec<App> {
    let Tenant { gate, key, .. } = Tenant::new(|builder| builder).await;
    let (own, own_key) = others::own_router();
    let none = HeaderValue::from_static("none");
    let guarded = gate.routes();
    let hello = guarded.get("/iocs", others::handler, scope("iocs:read").credits(1));
    let guarded = gate.routes();
    let page = guarded.get("/iocs", iocs, scope("iocs:read").credits(1));
    vec![
        bare(HELLO, "bare axum", others::router(), &none).await,
        bare(
            HELLO,
            "bare axum, with the headers that Tollgate writes",
            headers(),
            &none,
        )
        .await,
        bare(
            HELLO,
            "request-id + tower_governor",
            others::peers_router(),
            &none,
        )
        .await,
        bare(HELLO, "a stack of one's own, of from_fn", own, &own_key).await,
        tollgate(HELLO, hello.into_service().unwrap(), &key).await,
        bare(
            PAGE,
            "bare axum",
            Router::new().route("/iocs", get(iocs)),
            &none,
        )
        .await,
        tollgate(PAGE, page.into_service().unwrap(), &key).await,
    ]
}

async fn bare(what: &'static str, name: &'static str, app: Router, key: &HeaderValue) -> App {
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let listener = listener().await;
    let app = App::new(what, name, &listener, key);
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    app
}

async fn tollgate(what: &'static str, service: GateService<Router>, key: &HeaderValue) -> App {
    let listener = listener().await;
    let app = App::new(what, "tollgate, the whole stack", &listener, key);
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    app
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

impl App {
    fn new(what: &'static str, name: &'static str, at: &TcpListener, key: &HeaderValue) -> Self {
        let key = key.to_str().unwrap();
        let request = format!(
            "GET /iocs HTTP/1.1\r\nhost: bench\r\naccept: */*\r\nuser-agent: bench\r\nauthorization: {key}\r\n\r\n"
        );
        Self {
            what,
            name,
            address: at.local_addr().unwrap(),
            request: Arc::from(request.into_bytes()),
        }
    }
}

/// What it costs to write so many headers, whoever does.
fn headers() -> Router {
    let headers = [
        ("x-request-id", "01a1fef7-85c5-7f1d-8421-8ee6756b2040"),
        ("x-ratelimit-limit", "100000000"),
        ("x-ratelimit-remaining", "99999999"),
        ("x-ratelimit-reset", "1795278997"),
        ("vary", "authorization, x-api-key"),
        ("cache-control", "private, no-store"),
    ];
    Router::new().route("/iocs", get(async move || (headers, "hello")))
}

/// A row of what a usual API answers.
#[derive(serde::Serialize)]
struct Ioc {
    value: String,
    kind: &'static str,
    confidence: u8,
    first_seen: &'static str,
    last_seen: &'static str,
    tags: [&'static str; 2],
}

async fn iocs() -> Json<Vec<Ioc>> {
    let ioc = |n: u8| Ioc {
        value: format!("198.51.100.{n}"),
        kind: "ipv4",
        confidence: n,
        first_seen: "2026-01-02T03:04:05Z",
        last_seen: "2026-11-12T13:14:15Z",
        tags: ["botnet", "c2"],
    };
    Json((0..50).map(ioc).collect())
}

/// As many requests as fit in a round, on all connections at once.
async fn round(app: &App) -> Round {
    let end = Instant::now() + ROUND;
    let connections: Vec<_> = (0..CONNECTIONS)
        .map(|_| tokio::spawn(connection(app.address, Arc::clone(&app.request), end)))
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
    let (mut times, mut answer) = (Vec::new(), vec![0; 16_384]);
    loop {
        let asked = Instant::now();
        if asked >= end {
            return times;
        }
        stream.write_all(&request).await.unwrap();
        let mut read = 0;
        while !ENDS.iter().any(|end| answer[..read].ends_with(end)) {
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
