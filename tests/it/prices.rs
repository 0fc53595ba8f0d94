//! What a request costs: per item, between two bounds, and what the wallet lacks.

use axum::Json;
use axum::extract::Path;
use tollgate::access::{Access, authenticated};
use tollgate::{Bill, Denial, Gate, Routes};

use crate::support::{TestApp, TestKey};

fn items() -> Access {
    authenticated().credits_per_item(3).rate_cost(0)
}

fn between() -> Access {
    authenticated().credits_between(2, 10).rate_cost(0)
}

fn routes(gate: &Gate) -> Routes {
    let count = |mut bill: Bill, Json(items): Json<Vec<u32>>| async move {
        bill.items(items.len()).await?;
        Ok::<_, Denial>(bill.held().to_string())
    };
    let set = |Path(credits): Path<u64>, mut bill: Bill| async move { bill.set(credits) };
    let held = |bill: Bill| async move { bill.held().to_string() };
    let more = |Path(credits): Path<u64>, mut bill: Bill| async move {
        bill.hold(credits).await?;
        bill.set(credits)
    };
    gate.routes()
        .post("/items", count, items())
        .get("/uncounted", held, items())
        .get("/set/{credits}", set, between())
        .get("/held", held, between())
        .get("/more/{credits}", more, between())
        .get("/free/{credits}", set, authenticated())
}

async fn app(credits: u64) -> (TestApp, TestKey) {
    let app = TestApp::new(routes).await;
    app.grant("acme", credits).await;
    let key = app.key("acme", []).await;
    (app, key)
}

#[tokio::test]
async fn items_are_held_before_the_work_and_charged_after() {
    let (app, key) = app(100).await;
    for (body, held, charged) in [("[1,2,3]", "9", 9), ("[1]", "3", 12), ("[]", "3", 12)] {
        let answer = app.post("/items").key(&key).json(body).send().await;
        assert_eq!((answer.status, answer.text()), (200, held), "{body}");
        assert_eq!(app.charged("acme"), charged, "{body}");
    }
}

#[tokio::test]
async fn items_that_nobody_counts_cost_one() {
    let (app, key) = app(100).await;
    assert_eq!(app.get("/uncounted").key(&key).status().await, 200);
    assert_eq!(app.charged("acme"), 3);
}

#[tokio::test]
async fn more_items_than_the_wallet_has_are_a_402_and_cost_nothing() {
    let (app, key) = app(8).await;
    let answer = app.post("/items").key(&key).json("[1,2,3]").send().await;
    assert_eq!(
        (answer.status, &*answer.code()),
        (402, "insufficient_credits")
    );
    let details = answer.json()["error"]["details"].to_string();
    assert_eq!(details, r#"{"available":8,"price":"3/item","required":9}"#);
    assert_eq!(app.balance("acme").available(), 8);
    assert_eq!(
        app.post("/items").key(&key).json("[1,2]").status().await,
        200
    );
    assert_eq!(app.charged("acme"), 6);
}

#[tokio::test]
async fn a_dynamic_price_charges_what_the_handler_set() {
    let (app, key) = app(100).await;
    for (path, charged) in [("/set/2", 2), ("/set/7", 7), ("/set/10", 10)] {
        let before = app.charged("acme");
        assert_eq!(app.get(path).key(&key).status().await, 200, "{path}");
        assert_eq!(app.charged("acme") - before, charged, "{path}");
    }
}

#[tokio::test]
async fn a_dynamic_price_that_nobody_sets_charges_the_least() {
    let (app, key) = app(100).await;
    let answer = app.get("/held").key(&key).send().await;
    assert_eq!((answer.status, answer.text()), (200, "10"));
    assert_eq!(app.charged("acme"), 2);
}

#[tokio::test]
async fn a_dynamic_price_holds_what_the_wallet_allows() {
    let (app, key) = app(5).await;
    assert_eq!(app.get("/held").key(&key).send().await.text(), "5");
    assert_eq!(app.charged("acme"), 2);
    assert_eq!(app.get("/set/3").key(&key).status().await, 200);
    let answer = app.get("/held").key(&key).send().await;
    assert_eq!(answer.status, 402, "nothing is left, and two is the least");
}

#[tokio::test]
async fn setting_more_than_is_held_is_the_apps_mistake() {
    let (app, key) = app(100).await;
    let answer = app.get("/set/11").key(&key).send().await;
    assert_eq!((answer.status, &*answer.code()), (500, "internal_error"));
    assert_eq!(app.charged("acme"), 0);
    let answer = app.get("/more/11").key(&key).send().await;
    assert_eq!((answer.status, &*answer.code()), (500, "internal_error"));
    assert_eq!(app.charged("acme"), 0);
}

#[tokio::test]
async fn a_dynamic_price_is_never_below_its_least() {
    let (app, key) = app(100).await;
    assert_eq!(app.get("/set/0").key(&key).status().await, 200);
    assert_eq!(app.charged("acme"), 2);
}

#[tokio::test]
async fn a_bill_on_a_free_route_takes_everything_and_charges_nothing() {
    let (app, key) = app(0).await;
    assert_eq!(app.get("/free/1000").key(&key).status().await, 200);
    assert_eq!(app.charged("acme"), 0);
}

#[tokio::test]
async fn many_at_once_never_spend_more_than_was_granted() {
    let (app, key) = app(30).await;
    let call = || app.get("/uncounted").key(&key).status();
    let answers = futures_util::future::join_all((0..40).map(|_| call())).await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 10);
    assert_eq!(answers.iter().filter(|status| **status == 402).count(), 30);
    assert_eq!(app.charged("acme"), 30);
}
