//! Gives every request an id, and every response the same one.
//!
//! | | |
//! | --- | --- |
//! | reads | an inbound `x-request-id`, if the peer is a trusted proxy and the id is well-formed |
//! | denies | nothing |
//! | writes | `x-request-id` on the request and on every response, errors included |
//!
//! An id is well-formed if it is 1 to 64 of `A-Z a-z 0-9 . _ -`; any other is replaced, since it
//! ends up in logs. Ids are UUIDs of version 7 unless another maker is given.
//!
//! # Order
//!
//! Outermost: every other layer's log lines and error bodies carry the id.
//!
//! # Example
//!
//! ```
//! use axum::{Router, body::Body, routing::get};
//! use http::Request;
//! use tollgate::request_id::RequestIdLayer;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let app = Router::new()
//!     .route("/", get(|| async { "hello" }))
//!     .layer(RequestIdLayer::new());
//! let response = app.oneshot(Request::new(Body::empty())).await.unwrap();
//! assert_eq!(response.headers()["x-request-id"].len(), 36);
//! # }
//! ```

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tollgate_core::clock::{Clock, SystemClock, Timestamp};
use tower_layer::Layer;
use tower_service::Service;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::denial::REQUEST_ID;

/// Makes the ids of requests.
#[derive(Clone)]
pub struct IdMaker(Kind);

#[derive(Clone)]
enum Kind {
    Uuid,
    Prefixed(Arc<str>),
    Custom(Arc<dyn Fn() -> HeaderValue + Send + Sync>),
}

impl IdMaker {
    /// UUIDs of version 7, which sort by time.
    #[must_use]
    pub const fn uuid() -> Self {
        Self(Kind::Uuid)
    }

    /// A prefix and 128 bits in hexadecimal: `req_0193…`.
    ///
    /// # Errors
    ///
    /// [`Invalid`](tollgate_core::invalid::Invalid) if the prefix is longer than 24 bytes or has
    /// other characters than `A-Z a-z 0-9 . _ -`.
    pub fn prefixed(prefix: &str) -> Result<Self, tollgate_core::invalid::Invalid> {
        if prefix.len() > 24 || !prefix.bytes().all(well_formed_byte) {
            return Err(tollgate_core::invalid::Invalid::new(
                "request id prefix",
                format!(
                    "`{}` is not up to 24 of A-Z a-z 0-9 . _ -",
                    prefix.escape_default()
                ),
            ));
        }
        Ok(Self(Kind::Prefixed(prefix.into())))
    }

    /// Whatever the function makes.
    pub fn custom(make: impl Fn() -> HeaderValue + Send + Sync + 'static) -> Self {
        Self(Kind::Custom(Arc::new(make)))
    }

    pub(crate) fn make(&self, now: Timestamp) -> HeaderValue {
        match &self.0 {
            Kind::Uuid => {
                let mut text = [0; Hyphenated::LENGTH];
                uuid(now).hyphenated().encode_lower(&mut text);
                header(text)
            }
            Kind::Prefixed(prefix) => {
                HeaderValue::from_str(&format!("{prefix}{}", uuid(now).simple()))
                    .unwrap_or(HeaderValue::from_static("unknown"))
            }
            Kind::Custom(make) => make(),
        }
    }

    /// The id of a request: the inbound one if the peer may choose it, else a new one.
    pub(crate) fn id_of(&self, headers: &HeaderMap, trusted: bool, now: Timestamp) -> HeaderValue {
        if trusted {
            let mut inbound = headers.get_all(REQUEST_ID).iter();
            if let (Some(id), None) = (inbound.next(), inbound.next())
                && well_formed(id.as_bytes())
            {
                return id.clone();
            }
        }
        self.make(now)
    }
}

impl Default for IdMaker {
    fn default() -> Self {
        Self::uuid()
    }
}

impl fmt::Debug for IdMaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Uuid => "IdMaker(uuid)",
            Kind::Prefixed(_) => "IdMaker(prefixed)",
            Kind::Custom(_) => "IdMaker(custom)",
        })
    }
}

fn well_formed_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn well_formed(id: &[u8]) -> bool {
    (1..=64).contains(&id.len()) && id.iter().copied().all(well_formed_byte)
}

/// A UUID of version 7. Its randomness tells requests apart; it keeps no secret.
fn uuid(now: Timestamp) -> Uuid {
    let mut random = [0; 10];
    fastrand::fill(&mut random);
    uuid::Builder::from_unix_timestamp_millis(now.as_unix_millis(), &random).into_uuid()
}

/// One allocation, shared by the request, the response and the body of an error.
fn header(text: [u8; Hyphenated::LENGTH]) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from_owner(text))
        .unwrap_or(HeaderValue::from_static("unknown"))
}

/// Gives every request an id. See the [module docs](self) for its place in the stack.
#[derive(Clone, Debug)]
#[must_use = "layers do nothing until they wrap a service"]
pub struct RequestIdLayer {
    maker: IdMaker,
    trust_inbound: bool,
    clock: Arc<dyn Clock>,
}

impl RequestIdLayer {
    /// Makes UUIDs, and replaces whatever id comes in.
    pub fn new() -> Self {
        Self {
            maker: IdMaker::default(),
            trust_inbound: false,
            clock: Arc::new(SystemClock::default()),
        }
    }

    /// Makes other ids.
    pub fn with_maker(mut self, maker: IdMaker) -> Self {
        self.maker = maker;
        self
    }

    /// Asks this clock for the time in an id.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Keeps well-formed inbound ids, whoever sends them. Only where a proxy in front sets them.
    pub const fn insecure_trust_inbound(mut self) -> Self {
        self.trust_inbound = true;
        self
    }
}

impl Default for RequestIdLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for RequestIdLayer {
    type Service = RequestId<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestId {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service of [`RequestIdLayer`].
#[derive(Clone, Debug)]
pub struct RequestId<S> {
    inner: S,
    layer: RequestIdLayer,
}

impl<S, B, R> Service<Request<B>> for RequestId<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let RequestIdLayer {
            maker,
            trust_inbound,
            clock,
        } = &self.layer;
        let id = maker.id_of(request.headers(), *trust_inbound, clock.now().wall);
        request.headers_mut().insert(REQUEST_ID, id.clone());
        ResponseFuture {
            inner: self.inner.call(request),
            id,
        }
    }
}

pin_project! {
    /// The response of a [`RequestId`] service.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        id: HeaderValue,
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        response.headers_mut().insert(REQUEST_ID, this.id.clone());
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbound(ids: &[&'static str]) -> HeaderMap {
        ids.iter()
            .map(|id| (REQUEST_ID, HeaderValue::from_static(id)))
            .collect()
    }

    #[test]
    fn a_trusted_well_formed_id_is_kept_and_no_other() {
        let maker = IdMaker::uuid();
        let id_of = |ids, trusted| maker.id_of(&inbound(ids), trusted, Timestamp::from_secs(1));
        assert_eq!(id_of(&["req_1.a-B"], true), "req_1.a-B");
        assert_ne!(id_of(&["req_1.a-B"], false), "req_1.a-B");
        for bad in [&["<script>"][..], &[""], &["a b"], &["a", "a"]] {
            assert_eq!(id_of(bad, true).len(), 36, "{bad:?}");
        }
        let long: &'static str = "a".repeat(65).leak();
        assert_eq!(id_of(&[long], true).len(), 36);
    }

    #[test]
    fn ids_are_uuids_of_version_7_and_differ() {
        let at = Timestamp::from_secs(1_700_000_000);
        let id = IdMaker::uuid().make(at);
        let text = id.to_str().unwrap();
        assert_eq!(text.parse::<Uuid>().unwrap().to_string(), text);
        assert_eq!(&text[14..15], "7");
        assert!(text.starts_with("018bcfe5-6800-"), "{text}");
        assert_ne!(IdMaker::uuid().make(at), id);
    }

    #[test]
    fn a_prefix_may_be_chosen() {
        let id = IdMaker::prefixed("req_")
            .unwrap()
            .make(Timestamp::default());
        assert!(id.to_str().unwrap().starts_with("req_"));
        assert!(IdMaker::prefixed("r\n").is_err());
    }
}
