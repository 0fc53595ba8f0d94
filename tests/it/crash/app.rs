//! An app with every kind of price, and the process that serves it until it is killed.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Path;
use axum::serve::ListenerExt;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;
use tollgate::access::{Access, authenticated};
use tollgate::client_address::TrustedProxies;
use tollgate::meter::CreditHeaders;
use tollgate::{Bill, Catalog, Denial, Gate, GateBuilder, Plan, Routes};
use tollgate_sqlx::SqliteStore;

/// The first two can pay for everything, the others run out.
pub(crate) const ORGANIZATIONS: [&str; 4] = ["acme", "bolt", "core", "dune"];
/// The one whose plan brings credits.
pub(crate) const MONTHLY: &str = "dune";
/// How long a hold stays open by itself.
pub(super) const HOLD_FOR: Duration = Duration::from_secs(3);
/// How many items of a stream are paid at once.
pub(crate) const SLICE: u32 = 4;

pub(crate) const FIXED: u64 = 3;
pub(crate) const EACH: u64 = 2;
pub(crate) const MOST: u64 = 10;
pub(crate) const ONCE: u64 = 4;
pub(crate) const SURE: u64 = 5;
pub(crate) const WORK: u64 = 7;

/// No plan limits anything but credits.
pub(crate) fn catalog() -> Catalog {
    let monthly = Plan::new("monthly").rank(1).credits_per_month(100);
    let catalog = Catalog::builder().plan(Plan::new("paid").rank(0));
    catalog.plan(monthly).build().unwrap()
}

/// The gate believes its clients about the ids of their requests, so that also a request whose
/// answer is lost can be found in the books.
pub(crate) fn builder(store: SqliteStore) -> GateBuilder {
    let loopback = "127.0.0.1".parse().unwrap();
    Gate::builder(catalog())
        .store(store)
        .trusted_proxies(TrustedProxies::x_forwarded_for(loopback))
        .credit_headers(CreditHeaders::new())
        .hold_for(HOLD_FOR)
}

/// `began` hears of each slow work, by its request.
pub(crate) fn routes(gate: &Gate, began: fn(&str)) -> Routes {
    let slow = move |Path(millis): Path<u64>, headers: HeaderMap| async move {
        began(headers["x-request-id"].to_str().unwrap());
        tokio::time::sleep(Duration::from_millis(millis)).await;
        "done"
    };
    gate.routes()
        .post("/fixed", async || "done", paid().credits(FIXED))
        .post("/items/{count}", items, paid().credits_per_item(EACH))
        .post(
            "/between/{credits}",
            between,
            paid().credits_between(1, MOST),
        )
        .post(
            "/once",
            once,
            paid().credits(ONCE).idempotency_key_required(),
        )
        .post(
            "/sure",
            async || "done",
            paid().credits(SURE).settle_before_reply(),
        )
        .post("/stream/{count}", metered, paid().credits_per_item(1))
        .post("/slow/{millis}", slow, paid().credits(WORK))
        .post(
            "/slow-sure/{millis}",
            slow,
            paid().credits(WORK).settle_before_reply(),
        )
        .post("/failing", failing, paid().credits(FIXED))
        .post("/free", async || "free", paid())
}

fn paid() -> Access {
    authenticated().rate_cost(0)
}

async fn items(Path(count): Path<usize>, mut bill: Bill) -> Result<&'static str, Denial> {
    bill.items(count).await?;
    Ok("done")
}

/// Answers what it charged.
async fn between(Path(credits): Path<u64>, mut bill: Bill) -> Result<String, Denial> {
    let credits = credits.min(bill.held());
    bill.set(credits)?;
    Ok(credits.to_string())
}

/// Answers nobody alike.
async fn once() -> String {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..4))).await;
    fastrand::u64(..).to_string()
}

async fn failing() -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

/// Items as lines. Each is waited for, so that hyper sends the one before meanwhile.
async fn metered(Path(count): Path<u32>, bill: Bill) -> Body {
    let items = stream::iter(0..count).then(|n| async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        format!("{n}\n")
    });
    let items = bill.meter(items, NonZeroU32::new(SLICE).unwrap());
    Body::from_stream(items.map(|item| {
        let end = |denial: Denial| format!("end: {}\n", denial.kind().code());
        Ok::<_, Infallible>(item.unwrap_or_else(end))
    }))
}

/// Serves the app on a port of the loopback, as long as the runtime lives.
pub(crate) async fn serve(routes: Routes) -> SocketAddr {
    let service = routes.into_service().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // What is written is sent, and so it arrives whatever becomes of the process.
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    address
}
