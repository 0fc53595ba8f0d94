//! The command beside an app that runs.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use tollgate::access::{scope, session};
use tollgate::core::reply::Reply;
use tollgate::{Catalog, Gate, GateService, Session, Sessions};
use tollgate_sqlx::AnyStore;
use tower::ServiceExt as _;

use crate::place::{CATALOG, Place, text};

#[derive(Debug)]
struct Nobody;

impl Sessions for Nobody {
    fn verify(&self, _: &http::request::Parts) -> Reply<Option<Session>> {
        Reply::ready(None)
    }
}

pub(crate) struct App {
    pub(crate) gate: Gate,
    service: GateService<axum::Router>,
    store: AnyStore,
}

impl App {
    /// Ends it, and lets go of its database.
    pub(crate) async fn stop(self) {
        self.gate.shutdown().await;
        self.store.close().await;
    }

    pub(crate) async fn start(place: &Place) -> Self {
        Self::with(CATALOG, place).await
    }

    pub(crate) async fn with(catalog: &str, place: &Place) -> Self {
        let catalog = Catalog::from_toml(catalog).unwrap();
        let store = place.store().await;
        let builder = Gate::builder(catalog).store(store.clone());
        let gate = builder.sessions(Nobody).build().await.unwrap();
        let routes = gate
            .routes()
            .get("/iocs", async || "iocs", scope("iocs:read"))
            .post(
                "/iocs/{name}",
                async || "made",
                scope("iocs:write").credits(3),
            )
            .get("/people", async || "people", session());
        let service = routes.into_service().unwrap();
        let app = Self {
            gate,
            service,
            store,
        };
        app.recorded(place).await;
        app
    }

    /// Waits until the app has recorded what it declares.
    async fn recorded(&self, place: &Place) {
        eventually("the catalog is recorded", async || {
            place.run(["catalog", "show"]).code == 0
        })
        .await;
    }

    async fn get(&self, secret: &str) -> StatusCode {
        let request = Request::get("/iocs").header("x-api-key", secret);
        let request = request.body(Body::empty()).unwrap();
        let answer = self.service.clone().oneshot(request).await;
        answer.unwrap().status()
    }

    /// Charges three credits, if there are any.
    pub(crate) async fn charge(&self, secret: &str) -> StatusCode {
        let request = Request::post("/iocs/x").header("x-api-key", secret);
        let request = request.body(Body::empty()).unwrap();
        let answer = self.service.clone().oneshot(request).await;
        answer.unwrap().status()
    }

    pub(crate) async fn answers(&self, secret: &str, status: u16) {
        eventually(&format!("{status}"), async || {
            self.get(secret).await.as_u16() == status
        })
        .await;
    }
}

/// Another process sees a change within 250 ms; a busy machine may take longer.
pub(crate) async fn eventually(what: &str, happened: impl AsyncFn() -> bool) {
    let waits = async {
        while !happened().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waits).await;
    assert!(waited.is_ok(), "waited in vain for {what}");
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn the_life_of_a_key() {
    let place = Place::bare();
    let app = App::start(&place).await;
    place.good(["org", "create", "acme", "--plan", "pro"]);
    let (id, first) = place.key(&["--scope", "iocs:read"]);
    app.answers(&first, 200).await;
    place.good(["key", "edit", &id, "--scope", ""]);
    app.answers(&first, 403).await;
    place.good(["key", "edit", &id, "--scope", "iocs:write"]);
    app.answers(&first, 200).await;
    let rotate = |grace| text(&place.json(["key", "rotate", &id, "--grace", grace])["key"]);
    let second = rotate("1h");
    assert_ne!(first, second);
    app.answers(&second, 200).await;
    assert_eq!(app.get(&first).await, StatusCode::OK, "in its grace");
    // Nobody can say how long a command takes, so a grace that is seen to end is one of its own.
    let third = rotate("1s");
    app.answers(&second, 401).await;
    assert_eq!(app.get(&first).await, StatusCode::UNAUTHORIZED);
    app.answers(&third, 200).await;
    let second = third;
    place.good(["key", "disable", &id]);
    app.answers(&second, 401).await;
    place.good(["key", "enable", &id]);
    app.answers(&second, 200).await;
    place.good(["org", "suspend", "acme"]);
    app.answers(&second, 403).await;
    place.good(["org", "activate", "acme"]);
    app.answers(&second, 200).await;
    place.good(["key", "revoke", &id, "--reason", "leaked"]);
    app.answers(&second, 401).await;
    app.gate.shutdown().await;
    let used = place.json(["usage", "show", &id]);
    assert!(used["total_requests"].as_u64().unwrap() >= 5, "{used}");
    assert!(used["with_old_secret"].as_u64().unwrap() >= 1, "{used}");
    let counted = place.json([
        "usage", "list", "--org", "acme", "--per", "day", "--by", "outcome",
    ]);
    let good = |row: &&serde_json::Value| row["outcome"] == "2xx";
    let row = counted.as_array().unwrap().iter().find(good).unwrap();
    assert!(row["requests"].as_u64().unwrap() >= 3, "{counted}");
    assert!(row["key"].is_null() && row["route"].is_null());
    let mine = place.json(["usage", "list", "--key", &id, "--by", "key,route"]);
    assert_eq!(
        (&mine[0]["key"], &mine[0]["route"]),
        (&id.clone().into(), &"GET /iocs".into())
    );
    place.good(["audit", "verify"]);
    let actions: Vec<String> = place
        .json(["audit", "list", "--org", "acme"])
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|record| text(&record["action"]))
        .collect();
    let steps = [
        "organization.create",
        "key.create",
        "key.edit",
        "key.edit",
        "key.rotate",
        "key.rotate",
        "key.disable",
        "key.enable",
        "organization.suspend",
        "organization.activate",
        "key.revoke",
    ];
    assert_eq!(actions, steps);
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn each_step_is_explained() {
    let place = Place::bare();
    let app = App::start(&place).await;
    place.good(["org", "create", "acme", "--plan", "free"]);
    let rules = ["--scope", "iocs:write", "--allow-ip", "198.51.100.0/24"];
    let (id, _) = place.key(&rules);
    let explain = |more: &[&str]| {
        let args = [&["explain", "--key-id", &id][..], more].concat();
        place.json(args)
    };
    let from = "198.51.100.7";
    let read = explain(&["--path", "/iocs", "--ip", from]);
    assert!(read["refused"].is_null(), "{read}");
    assert_eq!(read["route"], "GET /iocs");
    let because = |explained: &serde_json::Value, step: &str| {
        let steps = explained["steps"].as_array().unwrap();
        let found = steps.iter().find(|of| of["step"] == step).unwrap();
        text(&found["because"])
    };
    assert_eq!(
        because(&read, "scopes"),
        "it has `iocs:write` → `iocs:read`"
    );
    assert_eq!(read["consumes"]["rate_units"], 1);
    let limits = &read["consumes"]["limits"]["quotas"];
    assert_eq!(limits, &serde_json::json!(["1000/day"]));
    let poor = explain(&["--method", "POST", "--path", "/iocs/evil", "--ip", from]);
    assert_eq!(poor["refused"], "insufficient_credits");
    assert_eq!(because(&poor, "credits"), "it costs 3, and 0 are available");
    let elsewhere = explain(&["--path", "/iocs", "--ip", "203.0.113.9"]);
    assert_eq!(elsewhere["refused"], "ip_not_allowed");
    let people = explain(&["--path", "/people", "--ip", from]);
    assert_eq!(people["refused"], "session_required");
    let told = place.good(["explain", "--key-id", &id, "--path", "/iocs", "--ip", from]);
    assert!(
        told.contains("nothing that is known here refuses it"),
        "{told}"
    );
    for (args, told) in [
        (
            ["--path", "/nothing"],
            "path: no route of the app matches `/nothing`",
        ),
        (
            ["--path", "/iocs/x"],
            "method: `/iocs/{name}` does not answer to `GET`, but to POST",
        ),
    ] {
        let args = [&["explain", "--key-id", &id][..], &args].concat();
        assert_eq!(place.refused(1, args), told);
    }
    app.gate.shutdown().await;
}

#[tokio::test]
async fn routes_that_no_app_has_recorded_cannot_be_explained() {
    let place = Place::bare();
    place.good([
        "--catalog",
        "catalog.toml",
        "org",
        "create",
        "acme",
        "--plan",
        "free",
    ]);
    let id = "01a20070-4c7b-7298-8d51-8fe39914d77e";
    assert_eq!(
        place.refused(1, ["explain", "--key-id", id, "--path", "/iocs"]),
        "no app has started on this database, so its routes are not known; start the app once"
    );
}
