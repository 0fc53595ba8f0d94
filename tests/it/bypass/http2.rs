//! The same cases over HTTP/2, whose method and path are pseudo-headers.

use std::fmt::Write as _;

use axum::body::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinHandle;

use super::run::{Bench, Case, Tally};
use super::shapes::CASE;
use super::wire::RawAnswer;
use crate::support::TestApp;

type Body = Empty<Bytes>;

/// How many streams are open at once.
const STREAMS: usize = 64;

/// A connection of HTTP/2.
pub(crate) struct Http2 {
    sender: SendRequest<Body>,
    connection: JoinHandle<()>,
}

impl Http2 {
    pub(crate) async fn connect(app: &TestApp) -> Self {
        let stream = TokioIo::new(app.connect().await);
        let (sender, connection) = handshake(TokioExecutor::new(), stream).await.unwrap();
        let connection = tokio::spawn(async move { drop(connection.await) });
        Self { sender, connection }
    }

    /// Fails if the server breaks the protocol.
    pub(crate) async fn send(&self, request: Request<Body>) -> RawAnswer {
        let told = format!("{request:?}");
        let mut sender = self.sender.clone();
        sender.ready().await.unwrap();
        let answered = sender.send_request(request).await;
        let response = answered.unwrap_or_else(|error| panic!("{told}: {error:?}"));
        let (head, body) = response.into_parts();
        let read = body.collect().await;
        let body = read.unwrap_or_else(|error| panic!("{told}: {head:?} {error:?}"));
        let mut text = format!("HTTP/2 {}\r\n", head.status);
        for (name, value) in &head.headers {
            write!(text, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
        }
        RawAnswer {
            status: head.status.as_u16(),
            head: text,
            body: body.to_bytes().to_vec(),
        }
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Bench {
    /// Sends those cases that can be said in HTTP/2 at all.
    pub(super) async fn refuses_over_http2(&self, cases: &[Case<'_>], tally: &mut Tally) {
        let connection = Http2::connect(&self.app).await;
        let connection = &connection;
        let sendable = cases
            .iter()
            .filter_map(|case| Some((case, case.request()?)));
        let mut answers = stream::iter(sendable)
            .map(async |(case, request)| (case, connection.send(request).await))
            .buffer_unordered(STREAMS);
        while let Some((case, answer)) = answers.next().await {
            self.count(case, &answer, tally);
        }
        drop(answers);
        self.none_ran();
    }
}

impl Case<'_> {
    /// The case as a request of HTTP/2, where it has one.
    fn request(&self) -> Option<Request<Body>> {
        let target = self.target();
        let mut parts = http::uri::Parts::default();
        parts.authority = Some(Authority::from_static("api.example"));
        if self.method != "CONNECT" {
            let target = std::str::from_utf8(&target).ok()?;
            if target.len() > 16_000 || target.contains("://") {
                return None;
            }
            parts.scheme = Some(Scheme::HTTP);
            parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
        }
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = Uri::from_parts(parts).ok()?;
        *request.method_mut() = Method::from_bytes(self.method.as_bytes()).ok()?;
        let headers = request.headers_mut();
        headers.append(CASE, HeaderValue::try_from(self.name()).unwrap());
        for (name, value) in &self.credential.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value).ok()?);
        }
        Some(request)
    }
}
