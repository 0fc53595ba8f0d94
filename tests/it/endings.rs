//! However a request ends, its hold ends once, and charges what the ending costs.

use std::time::Duration;

use axum::body::Body;
use http::StatusCode;
use tokio::io::AsyncWriteExt;
use tollgate::access::{Access, authenticated};
use tollgate::{Bill, Denial, DenialKind};
use tollgate_testkit::faults::{Fault, Operation};
use tower_http::timeout::TimeoutLayer;

use crate::support::{Door, TestApp, TestKey, eventually};

fn paid() -> Access {
    authenticated().credits(4)
}

async fn rich(app: TestApp) -> (TestApp, TestKey) {
    app.grant("acme", 20).await;
    let key = app.key("acme", []).await;
    (app, key)
}

/// A call whose client goes away while the handler waits at the door.
async fn hang_up(app: &TestApp, door: &Door, path: &str, key: &TestKey) {
    let mut connection = app.connect().await;
    let secret = &key.secret;
    let request = format!("GET {path} HTTP/1.1\r\nhost: a.example\r\nx-api-key: {secret}\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    door.knocked().await;
    assert!(
        app.balance("acme").held > 0,
        "it is held while the handler works"
    );
    drop(connection);
    app.settled().await;
}

#[tokio::test]
async fn a_status_decides_what_is_charged() {
    let app = TestApp::new(|gate| {
        let answer = |axum::extract::Path(status): axum::extract::Path<u16>| async move {
            StatusCode::from_u16(status).unwrap()
        };
        let teapots: fn(StatusCode) -> bool = |status| status == StatusCode::IM_A_TEAPOT;
        gate.routes()
            .get("/{status}", answer, paid().rate_cost(0))
            .get(
                "/teapots/{status}",
                answer,
                paid().rate_cost(0).charge_when(teapots),
            )
    })
    .await;
    app.grant("acme", 1000).await;
    let key = app.key("acme", []).await;
    for (path, charged) in [
        ("/200", 4),
        ("/201", 4),
        ("/204", 4),
        ("/304", 4),
        ("/301", 0),
        ("/400", 0),
        ("/403", 0),
        ("/404", 0),
        ("/500", 0),
        ("/503", 0),
        ("/teapots/418", 4),
        ("/teapots/200", 0),
    ] {
        let before = app.charged("acme");
        app.get(path).key(&key).send().await;
        assert_eq!(app.charged("acme") - before, charged, "{path}");
        assert_eq!(app.balance("acme").held, 0, "{path}");
    }
}

#[tokio::test]
async fn a_handlers_own_refusal_gives_the_credits_back() {
    let app = TestApp::new(|gate| {
        let forbid = || async { Denial::new(DenialKind::ResourceNotOwned) };
        let missing = || async { Denial::new(DenialKind::MissingParameter) };
        gate.routes()
            .get("/forbid", forbid, paid())
            .get("/missing", missing, paid())
    });
    let (app, key) = rich(app.await).await;
    assert_eq!(app.get("/forbid").key(&key).status().await, 403);
    assert_eq!(app.get("/missing").key(&key).status().await, 400);
    assert_eq!(app.balance("acme").available(), 20);
}

#[tokio::test]
async fn a_charge_rule_that_panics_is_a_500_and_costs_nothing() {
    let app = TestApp::new(|gate| {
        let access = paid().charge_when(|_| panic!("no rule"));
        gate.routes().get("/ruled", async || "ran", access)
    })
    .await;
    let (app, key) = rich(app).await;
    let answer = app.get("/ruled").key(&key).send().await;
    assert_eq!(answer.status, 500);
    assert!(answer.header("x-request-id").is_some(), "{answer:?}");
    app.settled().await;
    let balance = app.balance("acme");
    assert_eq!((app.charged("acme"), balance.held), (0, 0));
    assert_eq!(balance.available(), 20);
}

#[tokio::test]
async fn a_panic_gives_the_credits_back() {
    let app = TestApp::new(|gate| {
        async fn panics() {
            panic!("on the street")
        }
        gate.routes()
            .get("/panics", panics, paid().charge_on_hangup())
    });
    let (app, key) = rich(app.await).await;
    assert_eq!(app.get("/panics").key(&key).status().await, 500);
    assert_eq!(app.balance("acme").available(), 20);
}

#[tokio::test]
async fn a_timeout_gives_the_credits_back() {
    let app = TestApp::new(|gate| {
        let limit = Duration::from_millis(20);
        gate.routes()
            .get("/slow", std::future::pending::<()>, paid())
            .layer(TimeoutLayer::with_status_code(
                StatusCode::GATEWAY_TIMEOUT,
                limit,
            ))
    });
    let (app, key) = rich(app.await).await;
    assert_eq!(app.get("/slow").key(&key).status().await, 504);
    assert_eq!(app.balance("acme").available(), 20);
}

#[tokio::test]
async fn a_hang_up_costs_what_its_route_says() {
    let door = Door::closed();
    let inner = door.clone();
    let app = TestApp::new(|gate| {
        let at_door = inner.clone();
        let wait = move || async move { at_door.pass().await };
        let record = move |mut bill: Bill| async move {
            bill.set(3)?;
            inner.pass().await;
            bill.set(4)
        };
        gate.routes()
            .get("/wait", wait.clone(), paid())
            .get("/charged", wait, paid().charge_on_hangup())
            .get("/recorded", record, paid())
    });
    let (app, key) = rich(app.await).await;
    for (path, charged) in [("/wait", 0), ("/charged", 4), ("/recorded", 3)] {
        let before = app.charged("acme");
        hang_up(&app, &door, path, &key).await;
        assert_eq!(app.charged("acme") - before, charged, "{path}");
    }
}

#[tokio::test]
async fn a_hang_up_frees_its_place_under_way() {
    let door = Door::closed();
    let inner = door.clone();
    let app = TestApp::new(|gate| {
        let wait = move || async move { inner.pass().await };
        gate.routes()
            .get("/narrow", wait, paid().rate_class("narrow"))
    });
    let (app, key) = rich(app.await).await;
    hang_up(&app, &door, "/narrow", &key).await;
    door.open();
    assert_eq!(app.get("/narrow").key(&key).status().await, 200);
}

#[tokio::test]
async fn a_hang_up_while_the_ledger_is_asked_leaves_nothing_held() {
    let app = TestApp::new(|gate| gate.routes().get("/", async || (), paid()));
    let (app, key) = rich(app.await).await;
    app.faults
        .set(Operation::Hold, Fault::Late(Duration::from_millis(500)));
    let asked = app.faults.calls(Operation::Hold);
    let mut connection = app.connect().await;
    let secret = &key.secret;
    let request = format!("GET / HTTP/1.1\r\nhost: a.example\r\nx-api-key: {secret}\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    eventually("the hold is asked for", async || {
        app.faults.calls(Operation::Hold) > asked
    })
    .await;
    let voided = app.faults.calls(Operation::Settle);
    drop(connection);
    eventually("the hold is voided", async || {
        app.faults.calls(Operation::Settle) > voided
    })
    .await;
    app.clock.advance(Duration::from_millis(500));
    app.settled().await;
    assert_eq!(app.balance("acme").available(), 20);
}

#[tokio::test]
async fn what_is_settled_now_stays_charged_whatever_follows() {
    let app = TestApp::new(|gate| {
        let panics = |mut bill: Bill| async move {
            assert_eq!(bill.settle_now().await.unwrap(), 4);
            let twice = bill.settle_now().await.unwrap();
            panic!("settling twice charged {twice}");
        };
        let refuses = |mut bill: Bill| async move {
            bill.set(1)?;
            bill.settle_now().await?;
            Err::<(), Denial>(Denial::new(DenialKind::ResourceNotOwned))
        };
        gate.routes()
            .get(
                "/panics",
                async move |bill: Bill| -> () { panics(bill).await },
                paid(),
            )
            .get("/refuses", refuses, paid())
    });
    let (app, key) = rich(app.await).await;
    assert_eq!(app.get("/panics").key(&key).status().await, 500);
    assert_eq!(app.charged("acme"), 4);
    assert_eq!(app.get("/refuses").key(&key).status().await, 403);
    assert_eq!(app.charged("acme"), 5);
}

#[tokio::test]
async fn an_answer_waits_for_its_charge_only_where_the_route_says_so() {
    let app = TestApp::new(|gate| {
        gate.routes().get("/soon", async || (), paid()).get(
            "/sure",
            async || (),
            paid().settle_before_reply(),
        )
    });
    let (app, key) = rich(app.await).await;
    let late = Duration::from_millis(500);
    app.faults.set(Operation::Settle, Fault::Late(late));
    assert_eq!(app.get("/soon").key(&key).status().await, 200);
    assert_eq!(app.charged("acme"), 0, "the answer came first");
    app.clock.advance(late);
    app.settled().await;
    assert_eq!(app.charged("acme"), 4);

    let settled = app.faults.calls(Operation::Settle);
    let answered = async {
        let status = app.get("/sure").key(&key).status().await;
        (status, app.charged("acme"))
    };
    let clock = async {
        eventually("the charge is asked for", async || {
            app.faults.calls(Operation::Settle) > settled
        })
        .await;
        assert_eq!(app.charged("acme"), 4);
        app.clock.advance(late);
    };
    assert_eq!(tokio::join!(answered, clock).0, (200, 8));
}

#[tokio::test]
async fn a_charge_that_fails_is_left_to_the_sweeper_which_gives_it_back() {
    let app = TestApp::new(|gate| gate.routes().get("/", async || (), paid()));
    let (app, key) = rich(app.await).await;
    app.faults.set(Operation::Settle, Fault::Fail);
    assert_eq!(app.get("/").key(&key).status().await, 200);
    assert_eq!(app.balance("acme").held, 4);
    app.faults.set_all(Fault::None);
    app.clock.advance(5 * crate::support::MINUTE);
    app.settled().await;
    assert_eq!(app.balance("acme").available(), 20);
}

#[tokio::test]
async fn a_shutdown_waits_for_charges_under_way() {
    let app = TestApp::new(|gate| gate.routes().get("/", async || (), paid()));
    let (app, key) = rich(app.await).await;
    let late = Duration::from_millis(500);
    app.faults.set(Operation::Settle, Fault::Late(late));
    assert_eq!(app.get("/").key(&key).status().await, 200);
    app.clock.advance(late);
    app.gate.shutdown().await;
    assert_eq!(app.charged("acme"), 4);
}

#[tokio::test]
async fn a_request_is_under_way_until_its_body_is_sent() {
    let door = Door::closed();
    let inner = door.clone();
    let app = TestApp::new(|gate| {
        let slices = move || {
            let slice = async move {
                inner.pass().await;
                Ok::<_, std::convert::Infallible>("slice")
            };
            std::future::ready(Body::from_stream(futures_util::stream::once(slice)))
        };
        gate.routes()
            .get("/narrow", slices, paid().rate_class("narrow"))
    });
    let (app, key) = rich(app.await).await;
    let second = async {
        door.knocked().await;
        assert_eq!(app.get("/narrow").key(&key).status().await, 429);
        door.open();
    };
    let (first, ()) = tokio::join!(app.get("/narrow").key(&key).send(), second);
    assert_eq!((first.status, first.text()), (200, "slice"));
    door.open();
    assert_eq!(app.get("/narrow").key(&key).status().await, 200);
}

#[tokio::test]
async fn a_route_that_settles_before_it_answers_says_503_when_it_could_not() {
    let app = TestApp::new(|gate| {
        let route = paid().settle_before_reply();
        let done = async || ([("etag", "\"mine\"")], "done");
        gate.routes().get("/", done, route)
    });
    let (app, key) = rich(app.await).await;
    app.faults.set(Operation::Settle, Fault::Fail);
    let answer = app.get("/").key(&key).send().await;
    assert_eq!(
        (answer.status, &*answer.code()),
        (503, "service_unavailable")
    );
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("etag"), None);
    app.faults.set(Operation::Settle, Fault::None);
    app.clock.advance(5 * crate::support::MINUTE);
    app.settled().await;
}

#[tokio::test]
async fn a_hang_up_while_the_charge_is_made_does_not_undo_it() {
    let app = TestApp::new(|gate| {
        let settles = |mut bill: Bill| async move { bill.settle_now().await.map(drop) };
        gate.routes().get("/now", settles, paid()).get(
            "/before",
            async || (),
            paid().settle_before_reply(),
        )
    });
    let (app, key) = rich(app.await).await;
    for (path, charged) in [("/now", 4), ("/before", 8)] {
        app.faults
            .set(Operation::Settle, Fault::Late(Duration::from_millis(500)));
        let asked = app.faults.calls(Operation::Settle);
        let mut connection = app.connect().await;
        let secret = &key.secret;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: a.example\r\nx-api-key: {secret}\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        eventually("the charge is asked for", async || {
            app.faults.calls(Operation::Settle) > asked
        })
        .await;
        drop(connection);
        eventually("it is charged", async || {
            app.clock.advance(Duration::from_millis(100));
            app.charged("acme") == charged
        })
        .await;
    }
}
