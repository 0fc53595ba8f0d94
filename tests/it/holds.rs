//! Holds of long requests, charges that fail at first, and what callers and the app are told.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use http::StatusCode;
use parking_lot::Mutex;
use tollgate::access::{Access, authenticated};
use tollgate::core::change::Actor;
use tollgate::core::clock::Clock;
use tollgate::core::credits::{EntryKind, Grant, Ledger, Refund};
use tollgate::meter::CreditHeaders;
use tollgate::{Bill, Denial};
use tollgate_testkit::faults::{Fault, Operation};

use crate::support::{Door, TestApp, TestKey, eventually, org};

fn paid() -> Access {
    authenticated().credits(4).rate_cost(0)
}

async fn pass(app: &TestApp, seconds: u32) {
    for _ in 0..seconds {
        app.clock.advance(Duration::from_secs(1));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

/// An app whose handler waits at a door, and an organization that can pay for it once.
async fn waiting() -> (TestApp, TestKey, Door) {
    let door = Door::closed();
    let way = door.clone();
    let app = TestApp::new(|gate| {
        let wait = move || async move { way.pass().await };
        gate.routes().get("/", wait, paid())
    })
    .await;
    app.grant("acme", 4).await;
    let key = app.key("acme", []).await;
    (app, key, door)
}

#[tokio::test]
async fn a_handler_that_takes_an_hour_keeps_its_hold_and_is_charged() {
    let (app, key, door) = waiting().await;
    let time = async {
        door.knocked().await;
        for _ in 0..3600 / 20 {
            pass(&app, 20).await;
            assert_eq!(app.balance("acme").held, 4);
        }
        door.open();
    };
    let (status, ()) = tokio::join!(app.get("/").key(&key).status(), time);
    assert_eq!((status, app.charged("acme")), (200, 4));
}

/// What a request waits for first may come before its hold: here the look-up of its key.
#[tokio::test]
async fn a_hold_is_renewed_although_its_key_was_looked_up_first() {
    let (app, key, door) = waiting().await;
    app.faults
        .set(Operation::Find, Fault::Late(Duration::from_millis(10)));
    let time = async {
        eventually("the key is looked up", async || {
            app.faults.calls(Operation::Find) == 1
        })
        .await;
        app.clock.advance(Duration::from_millis(20));
        door.knocked().await;
        pass(&app, 120).await;
        assert_eq!(app.balance("acme").held, 4);
        door.open();
    };
    let (status, ()) = tokio::join!(app.get("/").key(&key).status(), time);
    assert_eq!((status, app.charged("acme")), (200, 4));
}

/// Deadlines go by the wall clock, and a step of it ends nobody's hold.
#[tokio::test]
async fn a_hold_outlives_a_jump_of_the_wall_clock() {
    let (app, key, door) = waiting().await;
    let time = async {
        door.knocked().await;
        app.clock
            .jump_wall(app.clock.now().wall.after(Duration::from_secs(3600)));
        pass(&app, 30).await;
        assert_eq!(app.balance("acme").held, 4);
        door.open();
    };
    let (status, ()) = tokio::join!(app.get("/").key(&key).status(), time);
    assert_eq!((status, app.charged("acme")), (200, 4));
}

/// Another process, say, has found it overdue.
#[tokio::test]
async fn who_answers_when_charged_does_not_answer_when_the_hold_had_ended() {
    for idempotent in [false, true] {
        let (door, runs) = (Door::closed(), Arc::new(Mutex::new(0)));
        let (way, ran) = (door.clone(), Arc::clone(&runs));
        let access = if idempotent {
            paid().idempotent()
        } else {
            paid().settle_before_reply()
        };
        let app = TestApp::new(|gate| {
            let wait = move || async move {
                *ran.lock() += 1;
                way.pass().await;
            };
            gate.routes().post("/", wait, access)
        })
        .await;
        app.grant("acme", 100).await;
        let key = app.key("acme", []).await;
        let time = async {
            door.knocked().await;
            let late = app.clock.now().wall.after(Duration::from_secs(3600));
            Ledger::expire(app.store.store(), late, 9).await.unwrap();
            door.open();
        };
        let call = app.post("/").key(&key).header("idempotency-key", "k");
        let (status, ()) = tokio::join!(call.status(), time);
        assert_eq!((status, app.charged("acme")), (503, 0));
        door.open();
        let again = app.post("/").key(&key).header("idempotency-key", "k");
        assert_eq!(
            (again.status().await, app.charged("acme"), *runs.lock()),
            (200, 4, 2)
        );
    }
}

/// What may not have begun is ended behind the answer: else it would take two deadlines.
#[tokio::test]
async fn a_hold_that_is_not_answered_in_time_is_waited_for_once() {
    let app = TestApp::new(|gate| {
        gate.routes()
            .get("/", async || "", paid().settle_before_reply())
            .post("/", async || "", paid().idempotent())
    })
    .await;
    app.grant("acme", 100).await;
    let key = app.key("acme", []).await;
    for operation in [Operation::Hold, Operation::Settle] {
        app.faults.set(operation, Fault::Hang);
    }
    let once = app.post("/").header("idempotency-key", "k");
    for call in [app.get("/"), once] {
        let before = app.faults.calls(Operation::Hold);
        let time = async {
            let asked = async || app.faults.calls(Operation::Hold) > before;
            eventually("it is asked", asked).await;
            app.clock.advance(Duration::from_secs(1));
        };
        let both = async { tokio::join!(call.key(&key).status(), time) };
        let answered = tokio::time::timeout(Duration::from_secs(20), both).await;
        assert_eq!(answered.unwrap().0, 503);
    }
}

#[tokio::test]
async fn a_renewal_that_fails_twice_is_made_up_for() {
    let (app, key, door) = waiting().await;
    let time = async {
        door.knocked().await;
        app.faults.set(Operation::Hold, Fault::Fail);
        pass(&app, 40).await;
        app.faults.set_all(Fault::None);
        pass(&app, 60).await;
        assert_eq!(app.balance("acme").held, 4);
        door.open();
    };
    let (status, ()) = tokio::join!(app.get("/").key(&key).status(), time);
    assert_eq!((status, app.charged("acme")), (200, 4));
}

#[tokio::test]
async fn a_charge_that_fails_is_tried_again_and_made_once() {
    let app = TestApp::new(|gate| gate.routes().get("/", async || "", paid())).await;
    app.grant("acme", 100).await;
    let key = app.key("acme", []).await;
    for fault in [Fault::Fail, Fault::LoseReply] {
        let before = app.charged("acme");
        app.faults.set(Operation::Settle, fault);
        assert_eq!(app.get("/").key(&key).status().await, 200);
        pass(&app, 5).await;
        app.faults.set_all(Fault::None);
        pass(&app, 2).await;
        app.settled().await;
        assert_eq!(app.charged("acme") - before, 4, "{fault:?}");
    }
}

#[tokio::test]
async fn callers_are_told_what_they_paid_where_the_app_says_so() {
    let app = TestApp::with(
        |builder| builder.credit_headers(CreditHeaders::new()),
        |gate| {
            let status = async |Path(status): Path<u16>| StatusCode::from_u16(status).unwrap();
            let set = async |Path(credits): Path<u64>, mut bill: Bill| bill.set(credits);
            let between = authenticated().credits_between(1, 10).rate_cost(0);
            gate.routes()
                .get("/status/{status}", status, paid())
                .get("/set/{credits}", set, between)
                .get("/free", async || "", authenticated().rate_cost(0))
        },
    )
    .await;
    app.grant("acme", 20).await;
    let key = app.key("acme", []).await;
    for (path, charged, remaining) in [
        ("/status/200", "4", "16"),
        ("/status/500", "0", "16"),
        ("/set/3", "3", "13"),
    ] {
        let answer = app.get(path).key(&key).send().await;
        assert_eq!(answer.header("x-credits-charged"), Some(charged), "{path}");
        assert_eq!(
            answer.header("x-credits-remaining"),
            Some(remaining),
            "{path}"
        );
        assert_eq!(app.balance("acme").available().to_string(), remaining);
    }
    let answer = app.get("/free").key(&key).send().await;
    assert_eq!(answer.header("x-credits-charged"), None);
}

#[tokio::test]
async fn the_app_is_told_once_when_a_wallet_runs_low() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let app = TestApp::with(
        |builder| {
            builder.on_low_balance(10, move |organization, available| {
                tell.lock().push((organization.to_string(), available));
            })
        },
        |gate| gate.routes().get("/", async || "", paid()),
    )
    .await;
    app.grant("acme", 17).await;
    let key = app.key("acme", []).await;
    for _ in 0..4 {
        assert_eq!(app.get("/").key(&key).status().await, 200);
    }
    assert_eq!(*told.lock(), [("acme".to_owned(), 9)]);
    app.grant("acme", 20).await;
    for _ in 0..4 {
        app.get("/").key(&key).send().await;
    }
    assert_eq!(told.lock().len(), 2);
}

#[tokio::test]
async fn a_402_says_what_it_would_cost_and_when_there_is_more() {
    let app = TestApp::new(|gate| gate.routes().get("/", async || "", paid())).await;
    app.grant("acme", 3).await;
    let key = app.key("acme", []).await;
    let answer = app.get("/").key(&key).send().await;
    assert_eq!(answer.status, 402);
    let details = &answer.json()["error"]["details"];
    assert_eq!(
        details.to_string(),
        r#"{"available":3,"price":"4","required":4}"#
    );
}

#[tokio::test]
async fn an_app_reads_its_books_and_gives_back() {
    let app = TestApp::new(|gate| gate.routes().get("/", async || "", paid())).await;
    let (acme, actor) = (org("acme"), Actor::user("alice"));
    let credits = app.gate.credits();
    let pack = || Grant::new(acme.clone(), 10).reference("payment-1");
    for _ in 0..2 {
        let granted = credits.grant(pack(), &actor).await.unwrap();
        assert_eq!(granted.available(), 10);
    }
    let key = app.key("acme", []).await;
    let id = app.get("/").key(&key).send().await;
    let id = id.header("x-request-id").unwrap().to_owned();
    let entries = credits.entries(&acme, None, 10).await.unwrap();
    let charge = entries.first().unwrap();
    assert_eq!(
        (charge.kind, charge.credits, charge.balance),
        (EntryKind::Charge, -4, 6)
    );
    assert_eq!(charge.request_id.as_deref(), Some(&*id));
    assert_eq!(charge.key, Some(key.id));
    assert_eq!(charge.route.as_deref(), Some("GET /"));
    let refund = Refund {
        organization: acme.clone(),
        hold: charge.hold.unwrap(),
        credits: 4,
        reference: "ticket-1".to_owned(),
    };
    assert_eq!(
        credits.refund(refund, &actor).await.unwrap().available(),
        10
    );
    assert_eq!(
        credits
            .withdraw(&acme, 3, &actor)
            .await
            .unwrap()
            .available(),
        7
    );
    let error = credits.withdraw(&acme, 8, &actor).await.unwrap_err();
    assert_eq!(error.to_string(), "the wallet has 7 credits to take back");
    assert_eq!(credits.balance(&acme).await.unwrap().available(), 7);
}

/// Whoever has taken a connection over pays when it is closed, if they keep the bill.
#[tokio::test]
async fn a_connection_that_is_taken_over_is_charged_when_its_bill_is_dropped() {
    let bills = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&bills);
    let app = TestApp::new(|gate| {
        let upgrade = move |bill: Bill| {
            kept.lock().push(bill);
            async { Ok::<_, Denial>(StatusCode::SWITCHING_PROTOCOLS) }
        };
        gate.routes().get("/", upgrade, paid())
    })
    .await;
    app.grant("acme", 10).await;
    let key = app.key("acme", []).await;
    let mut connection = app.connect().await;
    let secret = &key.secret;
    let request = format!(
        "GET / HTTP/1.1\r\nhost: a.example\r\nx-api-key: {secret}\r\n\
         connection: upgrade\r\nupgrade: test\r\n\r\n"
    );
    tokio::io::AsyncWriteExt::write_all(&mut connection, request.as_bytes())
        .await
        .unwrap();
    let mut answer = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut connection, &mut answer)
        .await
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    pass(&app, 100).await;
    assert_eq!((app.balance("acme").held, app.charged("acme")), (4, 0));
    bills.lock().clear();
    app.settled().await;
    assert_eq!(app.charged("acme"), 4);
}
