//! Writes the body of every error: one shape, whoever made the error.
//!
//! | | |
//! | --- | --- |
//! | reads | a [`Denial`] in the response's extensions; else bare errors of the framework |
//! | denies | nothing |
//! | writes | status, body and content type of errors; `WWW-Authenticate`, `Retry-After`; the [`DenialKind`] in the response's extensions, for layers further out and for tests |
//!
//! A *bare* error has a status of 400 or above and a body that is empty or `text/plain` of at
//! most 4 KiB: axum's own 404, 405, 408, 413, 415 and 422, and a `(status, "text")` of the app,
//! whose text becomes the message. What axum's extractors say (400, 413, 415, 422) may repeat what
//! they could not read, so it may be longer, and is cut. `Allow` and the other headers stay; stale `Content-Length`,
//! `Content-Encoding` and `ETag` go. An app's own JSON is left alone.
//!
//! # Order
//!
//! Inside the request id, which a body may name; outside of everything that can fail.
//!
//! # Example
//!
//! ```
//! use axum::{Router, body::Body};
//! use http::Request;
//! use http_body_util::BodyExt;
//! use tollgate::envelope::{EnvelopeLayer, Errors};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let app: Router = Router::new()
//!     .fallback(|| async { http::StatusCode::NOT_FOUND })
//!     .layer(EnvelopeLayer::new(Errors::flat()));
//! let response = app.oneshot(Request::new(Body::empty())).await.unwrap();
//! let body = response.into_body().collect().await.unwrap().to_bytes();
//! assert_eq!(body, r#"{"error":"There is nothing at this path."}"#);
//! # }
//! ```

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, header};
use http_body::Body as _;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::denial::{Denial, DenialKind, REQUEST_ID};
pub use crate::envelope::errors::{Envelope, Errors, Rendered, Report};

mod errors;
mod shapes;

/// The largest bare body that is replaced, and the longest message made of one, in bytes.
const LARGEST_BARE: u64 = 4096;

/// The largest body of an extractor's error that is read for its message, in bytes.
const LARGEST_READ: usize = 4 * 1024 * 1024;

/// Gives every error the one shape. See the [module docs](self) for its place in the stack.
#[derive(Clone, Debug)]
#[must_use = "layers do nothing until they wrap a service"]
pub struct EnvelopeLayer {
    errors: Errors,
}

impl EnvelopeLayer {
    /// Writes errors in this shape, with these codes and statuses.
    pub const fn new(errors: Errors) -> Self {
        Self { errors }
    }
}

impl<S> Layer<S> for EnvelopeLayer {
    type Service = Enveloped<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Enveloped {
            inner,
            errors: self.errors.clone(),
        }
    }
}

/// The service of [`EnvelopeLayer`].
#[derive(Clone, Debug)]
pub struct Enveloped<S> {
    inner: S,
    errors: Errors,
}

impl<S, B> Service<Request<B>> for Enveloped<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResponseFuture {
            id: request.headers().get(REQUEST_ID).cloned(),
            inner: self.inner.call(request),
            errors: self.errors.clone(),
        }
    }
}

pin_project! {
    /// The response of an [`Enveloped`] service.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        id: Option<HeaderValue>,
        errors: Errors,
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        shape(this.errors, this.id.as_ref(), &mut response);
        Poll::Ready(Ok(response))
    }
}

/// Shapes a response if it is an error that needs it, and says which denial it was.
pub(crate) fn shape(
    errors: &Errors,
    request_id: Option<&HeaderValue>,
    response: &mut Response<Body>,
) -> Option<Denial> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    let denial = match response.extensions_mut().remove::<Denial>() {
        Some(denial) => denial,
        None => bare_error(response)?,
    };
    write(errors, request_id, &denial, response);
    Some(denial)
}

fn write(
    errors: &Errors,
    request_id: Option<&HeaderValue>,
    denial: &Denial,
    response: &mut Response<Body>,
) {
    let rendered = errors.render(denial, request_id);
    *response.status_mut() = rendered.status;
    let headers = response.headers_mut();
    for stale in [
        header::CONTENT_LENGTH,
        header::CONTENT_ENCODING,
        header::TRANSFER_ENCODING,
        header::ETAG,
        header::LAST_MODIFIED,
    ] {
        headers.remove(stale);
    }
    headers.insert(header::CONTENT_TYPE, rendered.content_type);
    denial.write_headers(errors.realm_name(), headers);
    response.extensions_mut().insert(denial.kind());
    *response.body_mut() = Body::from(rendered.body);
}

/// An error that came with nothing worth keeping but, perhaps, a line of text.
fn bare_error(response: &mut Response<Body>) -> Option<Denial> {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let is_text = content_type.is_none_or(|value| value.as_bytes().starts_with(b"text/plain"));
    let encoded = response.headers().contains_key(header::CONTENT_ENCODING);
    let size = response.body().size_hint().exact()?;
    let is_extractors = matches!(response.status().as_u16(), 400 | 413 | 415 | 422);
    let is_own = size > LARGEST_BARE && !is_extractors;
    if !is_text || is_own || (content_type.is_none() && size > 0) {
        return None;
    }
    let denial = Denial::new(DenialKind::Status(response.status().as_u16()));
    if size == 0 || encoded {
        return Some(denial);
    }
    match text_of(response.body_mut()) {
        Some(text) => Some(denial.with_message(text)),
        None => Some(denial),
    }
}

/// The text of a body that is already here; a body that has to be waited for says nothing.
fn text_of(body: &mut Body) -> Option<String> {
    let taken = std::mem::take(body);
    let bytes: Bytes = axum::body::to_bytes(taken, LARGEST_READ)
        .now_or_never()?
        .ok()?;
    let text = std::str::from_utf8(&bytes).ok()?.trim();
    let longest = usize::try_from(LARGEST_BARE).ok()?;
    let text = match text.split_at_checked(text.floor_char_boundary(longest)) {
        Some((start, rest)) if !rest.is_empty() => format!("{start}…"),
        _ => text.to_owned(),
    };
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http::StatusCode;
    use http_body_util::BodyExt;

    use super::*;

    async fn shaped(response: Response<Body>) -> (StatusCode, http::HeaderMap, String) {
        let mut response = response;
        let id = HeaderValue::from_static("req_1");
        shape(&Errors::json(), Some(&id), &mut response);
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (
            head.status,
            head.headers,
            String::from_utf8(body.into()).unwrap(),
        )
    }

    #[tokio::test]
    async fn a_bare_error_keeps_its_headers_and_its_text() {
        let mut bare = (StatusCode::METHOD_NOT_ALLOWED, [("allow", "GET")]).into_response();
        bare.headers_mut()
            .insert("etag", HeaderValue::from_static("\"x\""));
        let (status, headers, body) = shaped(bare).await;
        assert_eq!(status, 405);
        assert_eq!(headers["allow"], "GET");
        assert!(!headers.contains_key("etag"));
        assert_eq!(
            body,
            r#"{"error":{"code":"method_not_allowed","message":"The path does not take this method.","request_id":"req_1"}}"#
        );

        let (_, _, body) = shaped((StatusCode::CONFLICT, "taken").into_response()).await;
        assert_eq!(
            body,
            r#"{"error":{"code":"conflict","message":"taken","request_id":"req_1"}}"#
        );
    }

    #[tokio::test]
    async fn an_apps_own_error_body_is_left_alone() {
        let json = (StatusCode::CONFLICT, axum::Json("mine")).into_response();
        let html = (StatusCode::CONFLICT, axum::response::Html("<p>mine")).into_response();
        let long = (StatusCode::CONFLICT, "m".repeat(5000)).into_response();
        for (own, start) in [(json, "\"mine\""), (html, "<p>mine"), (long, "mmm")] {
            assert!(shaped(own).await.2.starts_with(start));
        }
    }

    #[tokio::test]
    async fn what_an_extractor_says_is_cut_however_long_it_is() {
        let told = format!("unknown field `{}`", "ü".repeat(5000));
        let long = (StatusCode::UNPROCESSABLE_ENTITY, told).into_response();
        let (status, _, body) = shaped(long).await;
        assert_eq!(status, 422);
        assert!(
            body.starts_with(r#"{"error":{"code":"unprocessable_"#),
            "{body}"
        );
        assert!(body.contains("üü…") && body.len() < 4500, "{}", body.len());
    }

    #[tokio::test]
    async fn a_good_response_is_left_alone() {
        let mut ok = "fine".into_response();
        ok.extensions_mut()
            .insert(Denial::new(DenialKind::Internal));
        assert_eq!(shaped(ok).await.2, "fine");
    }
}
