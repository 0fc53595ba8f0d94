//! Requests that come again: charged once, and answered as the first time.
//!
//! | | |
//! | --- | --- |
//! | reads | `Idempotency-Key`, the body up to 64 KiB, the [`Principal`](crate::Principal) |
//! | denies | `idempotency_key_required`, `invalid_idempotency_key` (400), `request_in_progress`, `outcome_not_stored` (409), `payload_too_large` (413), `idempotency_key_reused` (422) |
//! | writes | `Idempotency-Replayed: true` on an answer that is given again |
//!
//! As in draft-ietf-httpapi-idempotency-key-header-07. A key is of one organization and one route.
//! The hold and the key are written in one transaction, and so are the charge and the outcome: an
//! outcome that a client was told is one that it will be told again. What was not charged, such as
//! a failure, is no outcome: the key is free, and the client may try again.
//!
//! # Order
//!
//! After the rates, which a repetition takes like any request, and in place of the credit meter.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{OriginalUri, Request};
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::Body as _;
use sha2::{Digest, Sha256};
use tollgate_core::credits::{Idempotency, Outcome};

use crate::admission::charge;
use crate::denial::{Denial, DenialKind};
use crate::meter;
use crate::passage::Ticket;
use crate::routes::Route;

pub(crate) mod outcome;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The largest body of a request with a key, and of an outcome that is stored: 64 KiB.
const MOST_BYTES: usize = 65_536;
/// The longest key.
const LONGEST_KEY: usize = 255;

/// Whether a route knows requests that come again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Repeats {
    /// Each request is another.
    Unknown,
    /// Those that have a key.
    Known,
    /// All have to have a key.
    Required,
}

/// A handler that does its work once for each idempotency key.
#[derive(Clone)]
pub(crate) struct Once<H> {
    handler: H,
    route: Arc<Route>,
}

impl<H> Once<H> {
    pub(crate) const fn new(handler: H, route: Arc<Route>) -> Self {
        Self { handler, route }
    }
}

impl<H, T, S> Handler<T, S> for Once<H>
where
    H: Handler<T, S>,
    S: Send + Sync + 'static,
    T: 'static,
{
    type Future = BoxFuture<'static, Response>;

    fn call(self, request: Request, state: S) -> Self::Future {
        Box::pin(async move {
            let Some(ticket) = Ticket::find(request.extensions()).cloned() else {
                return Denial::misplaced("the gate's own service").into_response();
            };
            match admit(&self.route, &ticket, request).await {
                Ok(Admitted::First(request)) => {
                    let response = self.handler.call(request, state).await;
                    keep_outcome(&self.route, &ticket, response).await
                }
                Ok(Admitted::Again(response)) => response,
                Err(denial) => denial.into_response(),
            }
        })
    }
}

enum Admitted {
    First(Request),
    Again(Response),
}

async fn admit(route: &Arc<Route>, ticket: &Ticket, request: Request) -> Result<Admitted, Denial> {
    let Some(caller) = ticket.caller() else {
        // Nobody: an optional route, which costs nobody anything.
        return Ok(Admitted::First(request));
    };
    let key = caller.verified();
    let Some(name) = key_of(request.headers())? else {
        if route.access.repeats == Repeats::Required {
            return Err(DenialKind::IdempotencyKeyRequired.into());
        }
        let now = route.gate.clock().now();
        ticket
            .with(|passage| charge(route, ticket, passage, key, now))
            .await?;
        return Ok(Admitted::First(request));
    };
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MOST_BYTES)
        .await
        .map_err(|error| unreadable(&error))?;
    let request = Request::from_parts(head, Body::from(body.clone()));
    // The body may have taken its time, and the hold begins now.
    let now = route.gate.clock().now();
    let idempotency = Arc::new(Idempotency {
        key: name,
        fingerprint: fingerprint(&request, &body, &key.environment),
        expires_at: now.wall.after(route.gate.till().remember_outcomes_for),
    });
    let first = meter::judge_once(route, ticket, key, now, idempotency).await?;
    Ok(match first {
        None => Admitted::First(request),
        Some(stored) => Admitted::Again(replay(&stored)?),
    })
}

/// The `Idempotency-Key` of a request, without the quotes that a structured field has around it, for
/// a handler that knows requests that come again by itself.
///
/// # Errors
///
/// [`Denial`] if there are two, or it is not 1 to 255 visible characters.
pub fn key_of(headers: &HeaderMap) -> Result<Option<String>, Denial> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let unquoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let key = unquoted.unwrap_or(text);
    let good = (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    if !good || values.next().is_some() {
        return Err(DenialKind::InvalidIdempotencyKey.into());
    }
    Ok(Some(key.to_owned()))
}

/// What makes two requests the same, each part with its length before it. The credential has been
/// taken out of all of them. Inside a bigger app, the path is the whole one.
fn fingerprint(request: &Request, body: &[u8], environment: &str) -> [u8; 32] {
    let original = request.extensions().get::<OriginalUri>();
    let uri = original.map_or_else(|| request.uri(), |OriginalUri(uri)| uri);
    let media_type = request.headers().get(header::CONTENT_TYPE);
    let parts = [
        request.method().as_str().as_bytes(),
        uri.path().as_bytes(),
        uri.query().unwrap_or_default().as_bytes(),
        media_type.map_or(&[][..], HeaderValue::as_bytes),
        environment.as_bytes(),
        body,
    ];
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

fn unreadable(error: &axum::Error) -> Denial {
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        if source.is::<http_body_util::LengthLimitError>() {
            return DenialKind::Status(StatusCode::PAYLOAD_TOO_LARGE.as_u16()).into();
        }
        cause = source.source();
    }
    let refused = DenialKind::Status(StatusCode::BAD_REQUEST.as_u16());
    Denial::new(refused).with_reason("the body could not be read")
}

fn replay(stored: &Outcome) -> Result<Response, Denial> {
    let Some(mut response) = outcome::read(stored) else {
        let lost = Denial::new(DenialKind::Unavailable);
        return Err(lost.with_reason("a stored outcome cannot be read"));
    };
    let headers = response.headers_mut();
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// Keeps what is to be charged, so that it is stored with the charge.
async fn keep_outcome(route: &Route, ticket: &Ticket, response: Response) -> Response {
    let once = ticket.with(|passage| passage.tab.as_ref().is_some_and(crate::tab::Tab::is_once));
    let charged = (route.access.charge.charges)(response.status());
    let known = response.body().size_hint().exact();
    let fits = known.is_some_and(|bytes| bytes <= MOST_BYTES as u64);
    if !once || !charged || !fits {
        return response;
    }
    let (head, body) = response.into_parts();
    // It is as long as it said, or broken.
    let Ok(body) = to_bytes(body, MOST_BYTES).await else {
        return Denial::new(DenialKind::Internal)
            .with_reason("the body of an answer broke off")
            .into_response();
    };
    let outcome = outcome::write(&head, &body);
    ticket.with(|passage| {
        if let Some(tab) = &mut passage.tab {
            tab.keep_outcome(outcome);
        }
    });
    Response::from_parts(head, Body::from(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        let values = values.iter().map(|value| HeaderValue::from_static(value));
        values.map(|value| (IDEMPOTENCY_KEY, value)).collect()
    }

    #[test]
    fn a_key_is_one_visible_word_with_or_without_quotes() {
        let key =
            |values: &[&'static str]| key_of(&headers(values)).map_err(|denial| denial.kind());
        assert_eq!(key(&[]), Ok(None));
        assert_eq!(key(&["a-1"]), Ok(Some("a-1".to_owned())));
        assert_eq!(key(&["\"a-1\""]), Ok(Some("a-1".to_owned())));
        for bad in [&[""][..], &["\"\""], &["a b"], &["a", "a"]] {
            assert_eq!(key(bad), Err(DenialKind::InvalidIdempotencyKey), "{bad:?}");
        }
        let long = "x".repeat(LONGEST_KEY + 1);
        let mut map = HeaderMap::new();
        map.insert(IDEMPOTENCY_KEY, long.parse().unwrap());
        assert!(key_of(&map).is_err());
    }

    #[test]
    fn each_part_of_a_request_tells_it_from_others() {
        let request = |method: &str, uri: &str, media_type: &str| {
            let request = Request::builder().method(method).uri(uri);
            request
                .header("content-type", media_type)
                .body(Body::empty())
                .unwrap()
        };
        let all = [
            fingerprint(&request("POST", "/a?b", "text/plain"), b"c", "live"),
            fingerprint(&request("PUT", "/a?b", "text/plain"), b"c", "live"),
            fingerprint(&request("POST", "/a?b", "text/plain"), b"c", "test"),
            fingerprint(&request("POST", "/a", "text/plain"), b"c", "live"),
            fingerprint(&request("POST", "/b?b", "text/plain"), b"c", "live"),
            fingerprint(&request("POST", "/a?b", "text/html"), b"c", "live"),
            fingerprint(&request("POST", "/a?b", "text/plain"), b"", "live"),
            fingerprint(&request("POST", "/a?bc", "text/plain"), b"", "live"),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one), "{at}");
        }
        assert_eq!(
            all[0],
            fingerprint(&request("POST", "/a?b", "text/plain"), b"c", "live")
        );
    }
}
