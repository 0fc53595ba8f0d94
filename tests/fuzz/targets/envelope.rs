//! An error gets the one shape, with the request's id; what is an app's own stays as it is.
//!
//! The first line is what the app answers: a byte for the shape, one for the denial, one for how
//! the body arrives, then the status; the second is the request's id; then come the response's
//! headers, and behind an empty line its body.
#![no_main]

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use libfuzzer_sys::fuzz_target;
use model::request;
use serde_json::Value;
use tollgate::envelope::{EnvelopeLayer, Errors};
use tollgate::{Denial, DenialKind};
use tower::{Layer, ServiceExt, service_fn};

const STALE: [HeaderName; 5] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    header::ETAG,
    header::LAST_MODIFIED,
];

/// For the log only.
const REASON: &str = "private reason";

/// How a body arrives.
#[derive(Clone, Copy, PartialEq)]
enum Arrival {
    /// All of it, and its size is known.
    Whole,
    /// Its size is known, and it takes its time.
    Slow,
    /// Nobody knows how long it is.
    Stream,
    /// Its size is known, and it breaks.
    Broken,
}

/// A body that arrives in that way, once it has been waited for.
struct Arriving {
    arrival: Arrival,
    waited: bool,
    data: Option<Bytes>,
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if self.arrival == Arrival::Broken {
            return Poll::Ready(Some(Err(std::io::Error::other("it broke"))));
        }
        if self.arrival == Arrival::Slow && !self.waited {
            self.waited = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.data.take().map(|data| Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> SizeHint {
        match self.arrival {
            Arrival::Stream => SizeHint::default(),
            _ => SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64)),
        }
    }
}

struct Answer {
    shape: u8,
    kind: Option<DenialKind>,
    arrival: Arrival,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn read(first: &[u8], rest: &[u8]) -> Option<Self> {
        let [shape, kind, arrival, status @ ..] = first else {
            return None;
        };
        let status = StatusCode::from_bytes(status).ok()?;
        let (lines, body) = match rest.windows(2).position(|pair| pair == b"\n\n") {
            Some(at) => (&rest[..at], &rest[at + 2..]),
            None => (rest, &[][..]),
        };
        let denials = usize::from(kind.saturating_sub(b'a'));
        Some(Self {
            shape: *shape,
            kind: DenialKind::ALL.get(denials).copied(),
            arrival: match arrival {
                b's' => Arrival::Stream,
                b'p' => Arrival::Slow,
                b'b' => Arrival::Broken,
                _ => Arrival::Whole,
            },
            status,
            headers: request::headers(lines),
            body: Bytes::copy_from_slice(body),
        })
    }

    fn errors(&self) -> (Errors, &'static str) {
        match self.shape {
            b'f' => (Errors::flat(), "application/json"),
            b'p' => (Errors::problem(), "application/problem+json"),
            _ => (Errors::json(), "application/json"),
        }
    }

    fn denial(&self) -> Option<Denial> {
        let text = String::from_utf8_lossy(&self.body);
        let denial = Denial::new(self.kind?).with_reason(REASON);
        Some(
            denial
                .with_message(text.clone())
                .with_detail("sent", text.into_owned()),
        )
    }

    fn response(&self) -> Response<Body> {
        let body = match self.arrival {
            Arrival::Whole => Body::from(self.body.clone()),
            arrival => Body::new(Arriving {
                arrival,
                waited: false,
                data: Some(self.body.clone()),
            }),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        if let Some(denial) = self.denial() {
            response.extensions_mut().insert(denial);
        }
        response
    }

    fn is_error(&self) -> bool {
        (400..600).contains(&self.status.as_u16())
    }

    /// Whether this is an error that says nothing but, perhaps, a line of text.
    fn is_bare(&self) -> bool {
        let small = self.arrival != Arrival::Stream && self.body.len() <= 4096;
        small
            && match self.headers.get(header::CONTENT_TYPE) {
                Some(named) => named.as_bytes().starts_with(b"text/plain"),
                None => self.body.is_empty(),
            }
    }

    /// What a person is to be told.
    fn message(&self) -> String {
        if self.kind.is_some() {
            return String::from_utf8_lossy(&self.body).into_owned();
        }
        let here = matches!(self.arrival, Arrival::Whole);
        let encoded = self.headers.contains_key(header::CONTENT_ENCODING);
        match std::str::from_utf8(&self.body).map(str::trim) {
            Ok(text) if here && !encoded && !text.is_empty() => text.to_owned(),
            _ => self.own_kind().message().to_owned(),
        }
    }

    fn own_kind(&self) -> DenialKind {
        self.kind
            .unwrap_or(DenialKind::Status(self.status.as_u16()))
    }
}

/// The whole body; a slow one wants to be asked twice.
fn collect(body: Body) -> Option<Bytes> {
    let mut whole = std::pin::pin!(axum::body::to_bytes(body, usize::MAX));
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        if let Poll::Ready(read) = whole.as_mut().poll(&mut cx) {
            return read.ok();
        }
    }
    panic!("the body never comes")
}

fn tells(text: &[u8], what: &str) -> bool {
    text.windows(what.len()).any(|part| part == what.as_bytes())
}

fn check_shape(answer: &Answer, id: Option<&HeaderValue>, body: &[u8]) {
    let body: Value = serde_json::from_slice(body).expect("well-formed JSON");
    let message = answer.message();
    let kind = answer.own_kind();
    let (told, status) = match answer.shape {
        b'f' => {
            assert_eq!(body, serde_json::json!({ "error": message }));
            return;
        }
        b'p' => {
            assert_eq!(body["type"], "about:blank");
            assert_eq!(body["detail"], message);
            (&body, Some(kind.status().as_u16()))
        }
        _ => {
            assert_eq!(body["error"]["message"], message);
            (&body["error"], None)
        }
    };
    assert_eq!(told["code"], kind.code());
    assert_eq!(told["status"].as_u64(), status.map(u64::from));
    let id = id.and_then(|id| id.to_str().ok());
    assert_eq!(told["request_id"].as_str(), id);
    if answer.kind.is_some() {
        assert_eq!(told["details"]["sent"], message);
    }
}

fuzz_target!(|data: &[u8]| {
    let (first, rest) = request::line(data);
    let (id, rest) = request::line(rest);
    let Some(answer) = Answer::read(first, rest) else {
        return;
    };
    let id = HeaderValue::from_bytes(id).ok().filter(|id| !id.is_empty());
    let mut call = Request::new(());
    if let Some(id) = &id {
        call.headers_mut().insert("x-request-id", id.clone());
    }
    let (errors, content_type) = answer.errors();
    let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(answer.response()));
    let response = EnvelopeLayer::new(errors).layer(inner).oneshot(call);
    let Ok(response) = response.now_or_never().expect("nothing to wait for");
    let (head, body) = response.into_parts();
    let body = collect(body);

    let shaped = answer.is_error() && (answer.kind.is_some() || answer.is_bare());
    if !shaped {
        assert_eq!(head.status, answer.status);
        assert_eq!(head.headers, answer.headers);
        let whole = (answer.arrival != Arrival::Broken).then_some(&answer.body);
        assert_eq!(body.as_ref(), whole);
        return;
    }
    assert_eq!(head.status, answer.own_kind().status());
    assert!(STALE.iter().all(|name| !head.headers.contains_key(name)));
    let types: Vec<_> = head.headers.get_all(header::CONTENT_TYPE).iter().collect();
    assert_eq!(types, [content_type]);
    let ours = [
        header::CONTENT_TYPE,
        header::WWW_AUTHENTICATE,
        header::RETRY_AFTER,
    ];
    for name in answer.headers.keys() {
        if !STALE.contains(name) && !ours.contains(name) {
            let (before, after) = (answer.headers.get_all(name), head.headers.get_all(name));
            assert!(before.iter().eq(&after), "{name}");
        }
    }
    if answer.kind.is_some() && head.status == StatusCode::UNAUTHORIZED {
        assert!(head.headers.contains_key(header::WWW_AUTHENTICATE));
    }
    let body = body.expect("a shaped body is whole");
    // Unless the app says the same by itself.
    if !tells(data, REASON) {
        assert!(
            !head
                .headers
                .values()
                .any(|value| tells(value.as_bytes(), REASON))
        );
        assert!(!tells(&body, REASON));
    }
    check_shape(&answer, id.as_ref(), &body);
});
