//! An app on a real database, over real HTTP, that tells all it sees, and whose every answer is kept.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{OriginalUri, Query, Request};
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tollgate::access::{Check, authenticated, optional, public, scope};
use tollgate::core::clock::Clock;
use tollgate::core::keyring::{Issued, NewKey, NewOrganization};
use tollgate::credential::Credentials;
use tollgate::{Bill, Gate, Principal, Routes};
use tollgate_sqlx::SqliteStore;
use tollgate_testkit::clock::ManualClock;
use tollgate_testkit::faults::{Faults, FaultyStore};
use tower_http::trace::{DefaultMakeSpan, DefaultOnRequest, DefaultOnResponse, TraceLayer};
use tracing::Level;

use super::presented::Presented;
use crate::support::{actor, catalog, org};

/// Kept outside the database; no less a secret than a key.
pub(super) const PEPPER: &str = "PepperThatGrowsWhereNobodyLooks1";

pub(super) const PATHS: [&str; 9] = [
    "/echo",
    "/outer/echo",
    "/scoped",
    "/paid",
    "/daily",
    "/observed",
    "/panics",
    "/rejects",
    "/nowhere",
];

pub(super) struct Stage {
    pub(super) gate: Gate,
    pub(super) clock: ManualClock,
    pub(super) faults: Faults,
    pub(super) store: Arc<FaultyStore<SqliteStore>>,
    /// Every answer, as it was read.
    pub(super) answers: Vec<u8>,
    pub(super) statuses: BTreeMap<u16, u32>,
    folder: TempDir,
    address: SocketAddr,
    clients: [Client<HttpConnector, Full<Bytes>>; 2],
    server: JoinHandle<()>,
}

/// Tells everything that is left of a request, to its caller and to the log.
async fn echo(caller: Option<Principal>, bill: Bill, request: Request) -> String {
    let original = request.extensions().get::<OriginalUri>();
    let told = format!("{caller:?} {bill:?} {request:?} {original:?}");
    tracing::trace!(
        ?request,
        ?caller,
        ?bill,
        told,
        "a handler tells all it sees"
    );
    told
}

async fn panics(request: Request) {
    panic!("over {request:?}")
}

async fn rejects(_: Query<BTreeMap<String, u8>>, _: Json<Value>) {}

pub(super) fn routes(gate: &Gate) -> Routes {
    let seen = TraceLayer::new_for_http()
        .make_span_with(
            DefaultMakeSpan::new()
                .level(Level::TRACE)
                .include_headers(true),
        )
        .on_request(DefaultOnRequest::new().level(Level::TRACE))
        .on_response(
            DefaultOnResponse::new()
                .level(Level::TRACE)
                .include_headers(true),
        );
    gate.routes()
        .get("/echo", echo, optional())
        .get("/scoped", echo, scope("iocs:read"))
        .get("/paid", echo, authenticated().credits(1))
        .get("/daily", echo, authenticated().rate_class("daily"))
        .get("/observed", echo, scope("iocs:read").observe(Check::Scope))
        .get("/panics", panics, authenticated())
        .get("/rejects", rejects, authenticated())
        .fallback(echo, public())
        .layer(seen)
}

impl Stage {
    pub(super) async fn set() -> Self {
        let clock = ManualClock::new();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("tollgate.db").display().to_string();
        let store = SqliteStore::open(&database).await.unwrap();
        let store = Arc::new(FaultyStore::new(store, Arc::clone(&shared)));
        let gate = Gate::builder(catalog())
            .shared_store(Arc::clone(&store))
            .clock(shared)
            .pepper(PEPPER.as_bytes())
            .credentials(Credentials::new().with_query_parameter("api_key").unwrap())
            .failures_per_minute(1_000_000)
            .build()
            .await
            .unwrap();
        let service = routes(&gate).into_service().unwrap();
        // A bigger app around it, whose routers keep each URI as it came.
        let app = Router::new()
            .nest_service("/outer", service.clone())
            .fallback_service(service)
            .into_make_service_with_connect_info::<SocketAddr>();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut builder = Client::builder(TokioExecutor::new());
        let stage = Self {
            faults: store.faults(),
            gate,
            clock,
            store,
            answers: Vec::new(),
            statuses: BTreeMap::new(),
            folder,
            address,
            clients: [builder.build_http(), builder.http2_only(true).build_http()],
            server: tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }),
        };
        for (name, plan) in [("acme", "free"), ("umbra", "pro")] {
            let new = NewOrganization::new(org(name), plan);
            let keyring = stage.gate.keyring();
            keyring.create_organization(new, &actor()).await.unwrap();
        }
        stage
    }

    pub(super) async fn issue(&self, key: NewKey) -> Issued {
        self.gate.keyring().issue(key, &actor()).await.unwrap()
    }

    /// Changes the protocol.
    pub(super) fn turn(&mut self) {
        self.clients.rotate_left(1);
    }

    /// Sends it, over HTTP/1.1 and HTTP/2 by turns, and keeps what comes back.
    pub(super) async fn present(&mut self, path: &str, presented: &Presented) {
        let query = presented.query.as_ref();
        let query = query.map_or(String::new(), |query| format!("?{query}"));
        let uri = format!("http://{}{path}{query}", self.address);
        let mut request = http::Request::get(&uri).body(Full::default()).unwrap();
        for (name, value) in &presented.headers {
            request.headers_mut().append(name, value.clone());
        }
        self.turn();
        let answering = self.clients[0].request(request);
        let answered = tokio::time::timeout(Duration::from_secs(5), answering);
        let (head, body) = answered.await.unwrap().unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        *self.statuses.entry(head.status.as_u16()).or_default() += 1;
        self.answers.extend(format!("{head:?}\n").bytes());
        self.answers.extend(&body);
        // Limits are full again, and what happens now and then happens.
        self.clock.advance(Duration::from_secs(60));
    }

    /// What the database has written: the file, its WAL and its shared memory.
    pub(super) fn database(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = fs::read_dir(self.folder.path()).unwrap();
        let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
        files.map(|file| read(file.unwrap().path())).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.server.abort();
    }
}
