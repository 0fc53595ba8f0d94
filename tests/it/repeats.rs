//! A request that comes again with its idempotency key is charged once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, OriginalUri, Path};
use axum::response::IntoResponse;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tollgate::access::{Access, authenticated, optional};
use tollgate::{Bill, Denial, Gate, Routes};
use tollgate_testkit::faults::{Fault, Operation};

use crate::support::{Answer, Door, TestApp, TestKey};

fn once() -> Access {
    authenticated().credits(4).rate_cost(0).idempotent()
}

/// An app that counts how often its handlers ran.
struct Counted {
    app: TestApp,
    key: TestKey,
    runs: Arc<AtomicU64>,
    door: Door,
}

impl Counted {
    async fn new() -> Self {
        let (runs, door) = (Arc::new(AtomicU64::new(0)), Door::closed());
        let (ran, way) = (Arc::clone(&runs), door.clone());
        let app = TestApp::new(move |gate| routes(gate, &ran, way)).await;
        app.grant("acme", 1000).await;
        let key = app.key("acme", []).await;
        Self {
            app,
            key,
            runs,
            door,
        }
    }

    async fn post(&self, path: &str, idempotency_key: &str, body: &str) -> Answer {
        let call = self.app.post(path).key(&self.key);
        let call = call.header("idempotency-key", idempotency_key);
        call.body(body).send().await
    }

    fn runs(&self) -> u64 {
        self.runs.load(Ordering::SeqCst)
    }
}

fn routes(gate: &Gate, runs: &Arc<AtomicU64>, door: Door) -> Routes {
    let stream = || {
        let parts = ["a", "b"].map(Ok::<_, io::Error>);
        Body::from_stream(futures_util::stream::iter(parts))
    };
    let made = {
        let runs = Arc::clone(runs);
        move |body: Bytes| {
            let run = runs.fetch_add(1, Ordering::SeqCst);
            let headers = [("x-run", run.to_string()), ("etag", "\"1\"".to_owned())];
            async move { (StatusCode::CREATED, headers, body) }
        }
    };
    let status = |Path(status): Path<u16>| StatusCode::from_u16(status).unwrap();
    let slow = {
        let runs = Arc::clone(runs);
        move || {
            runs.fetch_add(1, Ordering::SeqCst);
            let door = door.clone();
            async move {
                door.pass().await;
                "done"
            }
        }
    };
    let items = {
        let runs = Arc::clone(runs);
        move |Path(count): Path<usize>, mut bill: Bill| {
            let runs = Arc::clone(&runs);
            async move {
                bill.items(count).await?;
                runs.fetch_add(1, Ordering::SeqCst);
                Ok::<_, Denial>(count.to_string())
            }
        }
    };
    let per_item = authenticated().credits_per_item(3).rate_cost(0);
    gate.routes()
        .post("/made", made, once())
        .post("/status/{status}", counted(runs, status), once())
        .post("/large", counted(runs, |()| "x".repeat(65_537)), once())
        .post("/stream", counted(runs, move |()| stream()), once())
        .post("/slow", slow, once())
        .post("/items/{count}", items, per_item.idempotency_key_required())
        .post(
            "/free",
            async || "free",
            authenticated().rate_cost(0).idempotent(),
        )
        .post(
            "/maybe",
            async || "maybe",
            optional().credits(2).idempotent(),
        )
}

/// A handler that counts how often it runs.
fn counted<T: FromRequestParts<()> + Send + 'static, R: IntoResponse>(
    runs: &Arc<AtomicU64>,
    answer: impl Fn(T) -> R + Clone + Send + Sync + 'static,
) -> impl Fn(T) -> std::future::Ready<R> + Clone + Send + Sync + 'static {
    let runs = Arc::clone(runs);
    move |given| {
        runs.fetch_add(1, Ordering::SeqCst);
        std::future::ready(answer(given))
    }
}

#[tokio::test]
async fn it_runs_once_and_is_answered_alike() {
    let app = Counted::new().await;
    let first = app.post("/made", "k1", "body").await;
    assert_eq!(
        (first.status, first.header("idempotency-replayed")),
        (201, None)
    );
    for _ in 0..3 {
        let again = app.post("/made", "k1", "body").await;
        assert_eq!(again.status, 201);
        assert_eq!(again.body, first.body);
        for name in ["x-run", "etag", "content-type", "content-length"] {
            assert_eq!(again.header(name), first.header(name), "{name}");
        }
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
    }
    assert_eq!((app.runs(), app.app.charged("acme")), (1, 4));
    app.post("/made", "k2", "body").await;
    assert_eq!((app.runs(), app.app.charged("acme")), (2, 8));
}

#[tokio::test]
async fn without_a_key_each_request_is_another() {
    let app = Counted::new().await;
    for charged in [4, 8] {
        let answer = app.app.post("/made").key(&app.key).send().await;
        assert_eq!(answer.status, 201);
        assert_eq!(app.app.charged("acme"), charged);
    }
    let answer = app.app.post("/items/1").key(&app.key).send().await;
    assert_eq!(
        (answer.status, &*answer.code()),
        (400, "idempotency_key_required")
    );
    let answer = app.post("/made", "two words", "").await;
    assert_eq!(
        (answer.status, &*answer.code()),
        (400, "invalid_idempotency_key")
    );
}

#[tokio::test]
async fn another_request_with_the_same_key_is_a_mistake() {
    let app = Counted::new().await;
    app.post("/made", "k", "one").await;
    let other = app.post("/made", "k", "two").await;
    assert_eq!(
        (other.status, &*other.code()),
        (422, "idempotency_key_reused")
    );
    let other = app.post("/made?page=2", "k", "one").await;
    assert_eq!(other.status, 422);
    // Of another route, or another organization, it is another key.
    assert_eq!(app.post("/free", "k", "").await.status, 200);
    app.app.grant("umbra", 10).await;
    let umbra = app.app.key("umbra", []).await;
    let call = app.app.post("/made").key(&umbra);
    let theirs = call.header("idempotency-key", "k").body("two").send().await;
    assert_eq!(theirs.status, 201);
    // Of another key of the organization, it is the same.
    let second = app.app.key("acme", []).await;
    let call = app.app.post("/made").key(&second);
    let ours = call.header("idempotency-key", "k").body("one").send().await;
    assert_eq!(ours.header("idempotency-replayed"), Some("true"));
    assert_eq!(app.app.charged("acme"), 4);
}

#[tokio::test]
async fn while_the_first_is_under_way_the_second_is_told_so() {
    let app = Counted::new().await;
    let second = async {
        app.door.knocked().await;
        let second = app.post("/slow", "k", "").await;
        app.door.open();
        second
    };
    let (first, second) = tokio::join!(app.post("/slow", "k", ""), second);
    assert_eq!(
        (second.status, &*second.code()),
        (409, "request_in_progress")
    );
    assert_eq!(second.header("retry-after"), Some("1"));
    assert_eq!(first.status, 200);
    assert_eq!(
        app.post("/slow", "k", "")
            .await
            .header("idempotency-replayed"),
        Some("true")
    );
    assert_eq!((app.runs(), app.app.charged("acme")), (1, 4));
}

#[tokio::test]
async fn what_failed_may_be_tried_again() {
    let app = Counted::new().await;
    for run in 1..=2 {
        assert_eq!(app.post("/status/500", "k", "").await.status, 500);
        assert_eq!((app.runs(), app.app.charged("acme")), (run, 0));
    }
}

#[tokio::test]
async fn an_outcome_that_is_too_large_or_streams_is_charged_and_not_repeated() {
    let app = Counted::new().await;
    for path in ["/large", "/stream"] {
        let before = app.app.charged("acme");
        assert_eq!(app.post(path, "k", "").await.status, 200);
        app.app.settled().await;
        let again = app.post(path, "k", "").await;
        assert_eq!((again.status, &*again.code()), (409, "outcome_not_stored"));
        assert_eq!(app.app.charged("acme") - before, 4, "{path}");
    }
    assert_eq!(app.runs(), 2);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_anything_is_held() {
    let app = Counted::new().await;
    let answer = app.post("/made", "k", &"x".repeat(65_537)).await;
    assert_eq!((answer.status, &*answer.code()), (413, "payload_too_large"));
    assert_eq!(
        app.post("/made", "k", &"x".repeat(65_536)).await.status,
        201
    );
    assert_eq!((app.runs(), app.app.charged("acme")), (1, 4));
}

#[tokio::test]
async fn items_are_charged_as_they_were_the_first_time() {
    let app = Counted::new().await;
    for _ in 0..2 {
        assert_eq!(app.post("/items/5", "k", "").await.status, 200);
        assert_eq!(app.app.charged("acme"), 15);
    }
    assert_eq!(app.post("/items/5000", "k2", "").await.status, 402);
    // That was charged nothing, so its key is free.
    assert_eq!(app.post("/items/1", "k2", "").await.status, 200);
    assert_eq!((app.runs(), app.app.charged("acme")), (2, 18));
}

#[tokio::test]
async fn a_route_that_costs_nothing_knows_its_requests_too() {
    let app = Counted::new().await;
    assert_eq!(
        app.post("/free", "k", "")
            .await
            .header("idempotency-replayed"),
        None
    );
    let again = app.post("/free", "k", "").await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    // Nobody has no keys.
    for _ in 0..2 {
        let call = app.app.post("/maybe").header("idempotency-key", "k");
        let answer = call.send().await;
        assert_eq!(
            (answer.status, answer.header("idempotency-replayed")),
            (200, None)
        );
    }
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let app = Counted::new().await;
    app.post("/made", "k", "").await;
    app.app.clock.advance(Duration::from_secs(86_399));
    let again = app.post("/made", "k", "").await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    app.app.clock.advance(Duration::from_secs(1));
    let anew = app.post("/made", "k", "").await;
    assert_eq!(anew.header("idempotency-replayed"), None);
    assert_eq!(app.app.charged("acme"), 8);
}

#[tokio::test]
async fn an_answer_whose_charge_is_not_durable_is_not_given() {
    let app = Counted::new().await;
    app.app.faults.set(Operation::Settle, Fault::Fail);
    assert_eq!(app.post("/made", "k", "").await.status, 503);
    app.app.faults.set_all(Fault::None);
    app.app.clock.advance(Duration::from_millis(100));
    app.app.settled().await;
    assert_eq!(
        app.app.charged("acme"),
        0,
        "whoever is told 503 is not charged"
    );
    assert_eq!(app.post("/made", "k", "").await.status, 201);
    assert_eq!((app.runs(), app.app.charged("acme")), (2, 4));
}

/// The client sends a prefix of the request and goes away, or reads a prefix of the answer: then it
/// tries again with the same key.
#[tokio::test]
async fn a_connection_that_is_cut_at_any_byte_costs_one_charge_at_most() {
    let app = Counted::new().await;
    let request = |n: usize| {
        let secret = &app.key.secret;
        format!(
            "POST /made HTTP/1.1\r\nhost: a.example\r\nx-api-key: {secret}\r\n\
             idempotency-key: cut-{n}\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody"
        )
    };
    let length = request(100).len();
    for n in 0..length {
        let whole = request(n);
        let mut connection = app.app.connect().await;
        connection
            .write_all(&whole.as_bytes()[..n.min(whole.len())])
            .await
            .unwrap();
        drop(connection);
    }
    for n in 0..length {
        let mut connection = app.app.connect().await;
        connection.write_all(request(n).as_bytes()).await.unwrap();
        let mut answer = vec![0; n + 1];
        // As much of it as there is, up to so many bytes.
        let _ = connection.read(&mut answer).await.unwrap();
        drop(connection);
    }
    app.app.settled().await;
    for n in 0..length {
        let answer = app.post("/made", &format!("cut-{n}"), "body").await;
        assert_eq!(answer.status, 201, "{n}");
    }
    assert_eq!(app.app.charged("acme"), 4 * length as u64);
}

/// The hold begins when the body is there, and goes on as long as the handler works.
#[tokio::test]
async fn a_body_that_takes_its_time_costs_no_charge() {
    let test = Counted::new().await;
    let pass = async |seconds| {
        for _ in 0..seconds {
            test.app.clock.advance(Duration::from_secs(1));
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        }
    };
    let mut stream = test.app.connect().await;
    let secret = &test.key.secret;
    let head = format!(
        "POST /slow HTTP/1.1\r\nhost: app\r\nauthorization: Bearer {secret}\r\n\
         idempotency-key: k\r\ncontent-length: 1\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    pass(90).await;
    stream.write_all(b"x").await.unwrap();
    test.door.knocked().await;
    pass(90).await;
    test.door.open();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(test.app.charged("acme"), 4);
    let again = test.post("/slow", "k", "x").await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!((test.runs(), test.app.charged("acme")), (1, 4));
}

/// Behind another router, the route's own path is only a part of it.
#[tokio::test]
async fn the_same_route_at_another_place_is_another_request() {
    let app = TestApp::inside(
        |builder| builder,
        |gate| {
            let path = async |OriginalUri(uri): OriginalUri| uri.path().to_owned();
            let jobs = gate.routes().post("/jobs", path, once());
            Router::new().nest("/t/{tenant}", jobs.into_router().unwrap())
        },
    )
    .await;
    app.grant("acme", 100).await;
    let key = app.key("acme", []).await;
    let post = async |path| {
        let call = app.post(path).header("idempotency-key", "k").key(&key);
        call.send().await
    };
    assert_eq!(post("/t/1/jobs").await.text(), "/t/1/jobs");
    assert_eq!(post("/t/2/jobs").await.code(), "idempotency_key_reused");
    assert_eq!(post("/t/1/jobs").await.text(), "/t/1/jobs");
}

/// A test key's answer is none to a live key, and a cookie is for whoever got it first.
#[tokio::test]
async fn a_live_key_gets_no_answer_of_a_test_key() {
    let app = TestApp::new(|gate| {
        let cookie = async || ([("set-cookie", "a=1")], "done");
        gate.routes().post("/", cookie, once())
    })
    .await;
    app.grant("acme", 100).await;
    let test = app.key_with("acme", |key| key.environment("test")).await;
    let live = app.key("acme", []).await;
    let post = async |key, name| {
        let call = app.post("/").header("idempotency-key", name).key(key);
        call.send().await
    };
    assert_eq!(post(&test, "a").await.status, 200);
    assert_eq!(post(&live, "a").await.code(), "idempotency_key_reused");
    assert_eq!(post(&live, "b").await.header("set-cookie"), Some("a=1"));
    let again = post(&live, "b").await;
    assert_eq!((again.text(), again.header("set-cookie")), ("done", None));
}
