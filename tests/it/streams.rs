//! Streams whose items cost credits: delivered ≤ charged ≤ delivered + a slice.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Path;
use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tollgate::access::authenticated;
use tollgate::core::clock::Clock;
use tollgate::core::credits::Ledger;
use tollgate::{Bill, Denial};
use tollgate_testkit::faults::{Fault, Operation};

use crate::support::{Door, TestApp, TestKey, eventually};

const SLICE: u32 = 4;

/// Items as lines, the last of which says why there are no more.
fn lines(bill: Bill, items: impl Stream<Item = String> + Send + 'static) -> Body {
    let items = bill.meter(items, NonZeroU32::new(SLICE).unwrap());
    Body::from_stream(items.map(|item| {
        let end = |denial: Denial| format!("end: {}\n", denial.kind().code());
        Ok::<_, Infallible>(item.unwrap_or_else(end))
    }))
}

async fn app(credits: u64) -> (TestApp, TestKey, Door) {
    let door = Door::closed();
    let way = door.clone();
    let some = async |Path(count): Path<u32>, bill: Bill| {
        lines(bill, stream::iter((0..count).map(|n| format!("{n}\n"))))
    };
    // One item at each opening of the door.
    let slow = move |bill: Bill| {
        let door = way.clone();
        async move {
            let items = stream::unfold((0_u32, door), |(n, door)| async move {
                door.pass().await;
                Some((format!("{n}\n"), (n + 1, door)))
            });
            lines(bill, items)
        }
    };
    let failing = async |bill: Bill| {
        let body = lines(bill, stream::iter(["x".to_owned()]));
        (StatusCode::BAD_GATEWAY, body)
    };
    let fixed = async |bill: Bill| lines(bill, stream::iter(["x".to_owned()]));
    let each = || authenticated().credits_per_item(2).rate_cost(0);
    let app = TestApp::new(|gate| {
        gate.routes()
            .get("/some/{count}", some, each())
            .get("/slow", slow, each())
            .get("/failing", failing, each())
            .get("/fixed", fixed, authenticated().credits(2).rate_cost(0))
            .get("/free/{count}", some, authenticated().rate_cost(0))
    })
    .await;
    app.grant("acme", credits).await;
    let key = app.key("acme", []).await;
    (app, key, door)
}

#[tokio::test]
async fn each_item_is_charged_once() {
    let (app, key, _) = app(100).await;
    let mut charged = 0;
    for count in [0, 1, 3, 4, 5, 8, 9] {
        let answer = app.get(&format!("/some/{count}")).key(&key).send().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.text().lines().count(), count);
        app.settled().await;
        charged += 2 * count as u64;
        assert_eq!(app.charged("acme"), charged, "{count}");
    }
    assert_eq!(
        app.get("/free/9")
            .key(&key)
            .send()
            .await
            .text()
            .lines()
            .count(),
        9
    );
    assert_eq!(app.charged("acme"), charged);
}

#[tokio::test]
async fn an_empty_wallet_ends_a_stream_clearly_and_to_the_last_credit() {
    // Of 13 credits, six items are paid; the seventh would take two.
    let (app, key, _) = app(13).await;
    let answer = app.get("/some/100").key(&key).send().await;
    let lines: Vec<_> = answer.text().lines().collect();
    assert_eq!(
        lines,
        ["0", "1", "2", "3", "4", "5", "end: insufficient_credits"]
    );
    app.settled().await;
    assert_eq!(app.charged("acme"), 12);
    assert_eq!(app.get("/some/1").key(&key).status().await, 402);
}

#[tokio::test]
async fn what_is_delivered_when_the_client_hangs_up_is_charged() {
    for delivered in [0, 1, 4, 6] {
        let (app, key, door) = app(100).await;
        let mut connection = app.connect().await;
        let secret = &key.secret;
        let request =
            format!("GET /slow HTTP/1.1\r\nhost: a.example\r\nx-api-key: {secret}\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        for n in 0..delivered {
            door.knocked().await;
            door.open();
            let line = format!("{n}\n");
            while !String::from_utf8_lossy(&read).contains(&line) {
                assert_ne!(connection.read_buf(&mut read).await.unwrap(), 0);
            }
        }
        door.knocked().await;
        let held = app.balance("acme").held;
        assert!(held >= 2 * delivered, "{held} held for {delivered}");
        assert!(
            held <= 2 * (delivered + u64::from(SLICE)),
            "{held} held for {delivered}"
        );
        drop(connection);
        // hyper finds out when it writes.
        eventually("the hang-up is noticed", async || {
            door.open();
            app.balance("acme").held == 0
        })
        .await;
        let charged = app.charged("acme");
        assert!(
            (2 * delivered..=2 * (delivered + u64::from(SLICE))).contains(&charged),
            "{charged} charged for {delivered}"
        );
    }
}

#[tokio::test]
async fn a_ledger_that_goes_down_ends_a_stream_and_what_was_delivered_is_charged_later() {
    let (app, key, door) = app(100).await;
    let answer = async { app.get("/slow").key(&key).send().await };
    let fail = async {
        for _ in 0..SLICE {
            door.knocked().await;
            app.faults.set(Operation::Hold, Fault::Fail);
            door.open();
        }
    };
    let (answer, ()) = tokio::join!(answer, fail);
    assert!(
        answer.text().ends_with("3\nend: service_unavailable\n"),
        "{answer:?}"
    );
    app.faults.set_all(Fault::None);
    app.settled().await;
    assert_eq!(app.charged("acme"), 8);
}

/// As the next process finds it: nobody ended the hold, and its deadline is over.
#[tokio::test]
async fn of_a_stream_that_a_crash_ends_the_slice_under_way_is_charged() {
    let (app, key, door) = app(100).await;
    let answer = async { app.get("/slow").key(&key).send().await };
    let crash = async {
        door.knocked().await;
        let later = app.clock.now().wall.after(Duration::from_secs(3600));
        let expired = app.store.store().expire(later, 10).await;
        assert_eq!(expired.unwrap(), 1);
        assert_eq!(app.charged("acme"), 2 * u64::from(SLICE));
        for _ in 0..SLICE {
            door.open();
        }
    };
    let (answer, ()) = tokio::join!(answer, crash);
    assert!(
        answer.text().ends_with("end: service_unavailable\n"),
        "{answer:?}"
    );
    assert_eq!(app.charged("acme"), 2 * u64::from(SLICE));
}

#[tokio::test]
async fn a_stream_under_an_error_costs_nothing() {
    let (app, key, _) = app(100).await;
    app.get("/failing").key(&key).send().await;
    app.settled().await;
    assert_eq!(app.charged("acme"), 0);
}

#[tokio::test]
async fn a_route_without_a_price_for_each_item_meters_no_stream() {
    let (app, key, _) = app(100).await;
    let answer = app.get("/fixed").key(&key).send().await;
    assert_eq!(answer.text(), "end: internal_error\n");
    app.settled().await;
    assert_eq!(app.charged("acme"), 0);
}

/// Longer than its hold would last.
#[tokio::test]
async fn a_stream_that_takes_long_keeps_its_hold() {
    let (app, key, door) = app(100).await;
    let seen = Arc::new(AtomicU64::new(0));
    let answer = async { app.get("/slow").key(&key).send().await };
    let time = async {
        for n in 0..20 {
            door.knocked().await;
            for _ in 0..20 {
                app.clock.advance(Duration::from_secs(1));
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
            }
            assert!(app.balance("acme").held > 0, "after {n} items");
            seen.fetch_add(1, Ordering::SeqCst);
            door.open();
        }
        app.faults.set(Operation::Hold, Fault::Fail);
        door.open();
        for _ in 0..SLICE {
            door.open();
        }
    };
    let (answer, ()) = tokio::join!(answer, time);
    app.faults.set_all(Fault::None);
    app.settled().await;
    let delivered = answer.text().lines().count() as u64 - 1;
    assert!(delivered >= 20);
    assert_eq!(app.charged("acme"), 2 * delivered);
}
