//! The API of classify, scan and deep-scan jobs, held to its document.
#![expect(
    clippy::indexing_slicing,
    reason = "a member of an answer that is not there fails the test"
)]

use std::time::Duration;

use serde_json::Value;
use tollgate_admin::{Admin, SessionCookies};
use tollgate_testkit::app::{Answer, Call, TestApp, TestGate, TestKey};

use crate::stores;

use self::app::api::delivery::Delivery;
use self::app::api::queue::Worker;
use self::app::api::{self, Service};

#[path = "../classify_jobs"]
mod app {
    pub(crate) mod api;
}

mod credentials;
mod jobs;
mod keys;
mod organizations;
mod permissions;
mod webhooks;

/// More than all that a test asks for.
const CREDITS: u64 = 1_000;

const MINUTE: Duration = Duration::from_secs(60);

/// A route, a good request to it, and what the document says that it takes.
#[derive(Clone, Copy, Debug)]
struct Sample {
    method: &'static str,
    path: &'static str,
    body: Option<&'static str>,
    permission: &'static str,
    credits: u64,
}

const fn get(path: &'static str, permission: &'static str) -> Sample {
    Sample {
        method: "GET",
        path,
        body: None,
        permission,
        credits: 0,
    }
}

const fn post(
    path: &'static str,
    body: &'static str,
    permission: &'static str,
    credits: u64,
) -> Sample {
    Sample {
        method: "POST",
        path,
        body: Some(body),
        permission,
        credits,
    }
}

/// Every route. The job and the webhook are those that the bench has at its start.
const SAMPLES: [Sample; 9] = [
    post(
        "/v1/classify",
        r#"{"texts":["a goal","a loan"],"urls":["https://news.example/sports"]}"#,
        "classify:create",
        3,
    ),
    post("/v1/scan", r#"{"sample":"mail"}"#, "scan:create", 5),
    post("/v1/deep-scan", r#"{"sample":"config"}"#, "scan:create", 20),
    get("/v1/jobs", "jobs:read"),
    get("/v1/jobs/{job}", "jobs:read"),
    get("/v1/jobs/{job}/results", "results:read"),
    get("/v1/credits", "credits:read"),
    post(
        "/v1/webhooks",
        r#"{"url":"https://hooks.example/jobs"}"#,
        "webhooks:write",
        0,
    ),
    post("/v1/webhooks/{webhook}/test", "", "webhooks:write", 0),
];

const PERMISSIONS: [&str; 6] = [
    "classify:create",
    "scan:create",
    "jobs:read",
    "results:read",
    "credits:read",
    "webhooks:write",
];

/// The app with its management routes, and the organization `acme` with a job that is done and an
/// endpoint.
struct Bench {
    kit: TestGate,
    app: TestApp,
    worker: Worker,
    job: String,
    webhook: String,
}

impl Bench {
    async fn new() -> Self {
        Self::with(Delivery::new(false)).await
    }

    async fn with(delivery: Delivery) -> Self {
        let kit = stores::kit(api::catalog().unwrap()).configure(api::configure);
        let cookies = SessionCookies::new(kit.accounts());
        let kit = kit.configure(|gate| gate.sessions(cookies.clone()));
        let kit = kit.build().await;
        let (service, worker) = Service::new(kit.gate(), delivery);
        let admin = Admin::new(kit.gate()).with_sign_in(cookies).routes();
        let routes = api::routes(kit.gate()).with_state(service);
        let app = kit.app(routes.nest("/admin", admin).into_service().unwrap());
        kit.organization("acme").credits(CREDITS).make().await;
        let mut bench = Self {
            kit,
            app,
            worker,
            job: String::new(),
            webhook: String::new(),
        };
        let key = bench.key("acme", &PERMISSIONS).await;
        let created = bench.post("/v1/classify", r#"{"texts":["a goal"]}"#);
        bench.job = id(created.key(&key).send().await.assert_status(202));
        let created = bench.post("/v1/webhooks", r#"{"url":"https://hooks.example/"}"#);
        bench.webhook = id(created.key(&key).send().await.assert_status(201));
        bench.worker.work_off().await;
        bench
    }

    async fn key(&self, organization: &str, scopes: &[&str]) -> TestKey {
        let scopes = scopes.iter().copied();
        self.kit.key(organization).scopes(scopes).make().await
    }

    fn post(&self, path: &str, body: &str) -> Call<'_> {
        self.app.post(path).json(body)
    }

    /// A good request to a route, by nobody yet.
    fn good(&self, sample: Sample) -> Call<'_> {
        let path = sample.path.replace("{job}", &self.job);
        let path = path.replace("{webhook}", &self.webhook);
        let call = self.app.request(sample.method.parse().unwrap(), &path);
        match sample.body {
            Some(body) => call.json(body),
            None => call,
        }
    }

    /// Asks with a key for a path.
    async fn get(&self, key: &TestKey, path: &str) -> Answer {
        self.app.get(path).key(key).send().await
    }

    /// Submits a job and does it. Gives its results.
    async fn results_of(&mut self, path: &str, body: &str) -> Value {
        let key = self.key("acme", &PERMISSIONS).await;
        let job = id(self
            .post(path, body)
            .key(&key)
            .send()
            .await
            .assert_status(202));
        self.worker.work_off().await;
        let results = self.get(&key, &format!("/v1/jobs/{job}/results")).await;
        results.assert_status(200).json()["results"].clone()
    }
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// What an error says, without the id of its request.
fn error(answer: &Answer) -> (u16, Value) {
    let mut body = answer.json();
    body["error"]["request_id"].take();
    (answer.status(), body)
}
