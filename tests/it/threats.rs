//! One test at least for each threat to the way in, by the numbers of the threat model.
//!
//! That a handler did not run is what the handler counted. Requests are bytes where a client
//! library would tidy them.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use tollgate::access::{authenticated, optional};
use tollgate::credential::Credentials;
use tollgate::{Gate, GateBuilder, Routes};

use crate::bypass::http2::Http2;
use crate::bypass::wire::{RawAnswer, pipeline};
use crate::support::TestApp;

mod credentials;
mod golden;
mod keys;
mod network;
mod paths;
mod peers;
mod places;
mod rates;
mod routes;
mod scopes;

/// A handler that counts how often it ran.
#[derive(Clone, Default)]
struct Ran(Arc<AtomicU64>);

impl Ran {
    fn times(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl<S> Handler<(), S> for Ran {
    type Future = Ready<Response>;

    fn call(self, _: Request, _: S) -> Ready<Response> {
        self.0.fetch_add(1, Ordering::SeqCst);
        ready("ran".into_response())
    }
}

/// An app with a route that demands a key and one where it is optional, which both count.
async fn app(configure: impl FnOnce(GateBuilder) -> GateBuilder) -> (TestApp, Ran) {
    let ran = Ran::default();
    let routes = |gate: &Gate| -> Routes {
        gate.routes()
            .get("/key", ran.clone(), authenticated().rate_cost(0))
            .get("/maybe", ran.clone(), optional().rate_cost(0))
    };
    let configure = |builder| configure(builder).failures_per_minute(1_000_000);
    let app = TestApp::with(configure, routes).await;
    (app, ran)
}

/// Reads keys in a query parameter too.
fn in_the_query(builder: GateBuilder) -> GateBuilder {
    let credentials = Credentials::new().with_query_parameter("api_key");
    builder.credentials(credentials.unwrap())
}

/// Sends one request of HTTP/1, as it is written here.
async fn raw(app: &TestApp, request: impl AsRef<[u8]>) -> RawAnswer {
    let request = request.as_ref();
    let method = request.split(|byte| *byte == b' ').next().unwrap();
    let method = std::str::from_utf8(method).unwrap();
    let mut answers = pipeline(app.connect().await, &[(method, request.to_vec())]).await;
    assert_eq!(answers.len(), 1, "{}", String::from_utf8_lossy(request));
    answers.remove(0)
}

/// Sends a GET with these header lines.
async fn get(app: &TestApp, target: &str, lines: &[(&str, &[u8])]) -> RawAnswer {
    let mut request = format!("GET {target} HTTP/1.1\r\nhost: api.example\r\n").into_bytes();
    for (name, value) in lines {
        request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    raw(app, request).await
}

/// Sends a GET with these headers over HTTP/2.
async fn get_over_http2(app: &TestApp, target: &str, lines: &[(&str, &[u8])]) -> RawAnswer {
    let mut request = http::Request::get(format!("http://api.example{target}"));
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    let request = request.body(http_body_util::Empty::new()).unwrap();
    Http2::connect(app).await.send(request).await
}

/// The machine code of an answer in the default envelope.
fn code(answer: &RawAnswer) -> String {
    let body: serde_json::Value =
        serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no envelope: {answer:?}"));
    assert_eq!(
        body["error"]["request_id"],
        answer.header("x-request-id").unwrap()
    );
    body["error"]["code"].as_str().unwrap().to_owned()
}
