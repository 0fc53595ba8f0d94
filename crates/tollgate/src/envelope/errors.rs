//! Which status, code and message an error has, and which shape.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};

use crate::denial::{Denial, DenialKind};
use crate::envelope::shapes;

/// How errors look: their shape, and what an app calls them.
///
/// ```
/// use http::StatusCode;
/// use tollgate::denial::DenialKind;
/// use tollgate::envelope::Errors;
///
/// let errors = Errors::json()
///     .code(DenialKind::InvalidCredential, "INVALID_API_KEY")
///     .status(DenialKind::Status(422), StatusCode::BAD_REQUEST)
///     .message(DenialKind::MissingCredential, "Missing API key");
/// ```
#[derive(Clone)]
#[must_use = "pass it to the gate or to an EnvelopeLayer"]
pub struct Errors(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    envelope: Arc<dyn Envelope>,
    realm: String,
    names: BTreeMap<DenialKind, Names>,
}

/// What an app calls one kind of error.
#[derive(Clone, Debug, Default)]
struct Names {
    status: Option<StatusCode>,
    code: Option<String>,
    message: Option<String>,
}

/// The shape of an error body.
pub trait Envelope: Send + Sync + 'static {
    /// The content type of the body.
    fn content_type(&self) -> HeaderValue;

    /// The body.
    fn body(&self, report: &Report<'_>) -> Bytes;
}

/// All that may be told of an error.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Report<'a> {
    /// The kind of error.
    pub kind: DenialKind,
    /// The status that the response will have.
    pub status: StatusCode,
    /// The machine code.
    pub code: &'a str,
    /// What a person is told.
    pub message: &'a str,
    /// What else the caller may know.
    pub details: &'a Map<String, Value>,
    /// The request's id.
    pub request_id: Option<&'a str>,
}

/// An error, ready to be sent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rendered {
    /// The status.
    pub status: StatusCode,
    /// The content type of the body.
    pub content_type: HeaderValue,
    /// The body.
    pub body: Bytes,
}

impl Errors {
    /// `{"error":{"code","message","details","request_id"}}`. The default.
    pub fn json() -> Self {
        Self::with_envelope(shapes::Json)
    }

    /// `{"error":"The API key is not valid."}`: that member only.
    pub fn flat() -> Self {
        Self::with_envelope(shapes::Flat)
    }

    /// `application/problem+json` (RFC 9457), with `code`, `details` and `request_id` members.
    pub fn problem() -> Self {
        Self::with_envelope(shapes::Problem)
    }

    /// A shape of the app's own.
    pub fn with_envelope(envelope: impl Envelope) -> Self {
        Self(Arc::new(Inner {
            envelope: Arc::new(envelope),
            realm: "api".to_owned(),
            names: BTreeMap::new(),
        }))
    }

    /// Gives a kind another machine code.
    pub fn code(self, kind: DenialKind, code: impl Into<String>) -> Self {
        self.name(kind, |names| names.code = Some(code.into()))
    }

    /// Gives a kind another message. It replaces what a denial itself would say.
    pub fn message(self, kind: DenialKind, message: impl Into<String>) -> Self {
        self.name(kind, |names| names.message = Some(message.into()))
    }

    /// Gives a kind another status. A status that is no error is ignored.
    pub fn status(self, kind: DenialKind, status: StatusCode) -> Self {
        if !status.is_client_error() && !status.is_server_error() {
            tracing::error!(%status, code = kind.code(), "an error cannot have this status; ignored");
            return self;
        }
        self.name(kind, |names| names.status = Some(status))
    }

    /// Names the realm of `WWW-Authenticate`; `api` unless said otherwise. Quotes, backslashes
    /// and control characters are left out.
    pub fn realm(mut self, realm: &str) -> Self {
        let kept = |c: &char| !c.is_control() && *c != '"' && *c != '\\';
        Arc::make_mut(&mut self.0).realm = realm.chars().filter(kept).collect();
        self
    }

    fn name(mut self, kind: DenialKind, change: impl FnOnce(&mut Names)) -> Self {
        change(Arc::make_mut(&mut self.0).names.entry(kind).or_default());
        self
    }

    pub(crate) fn realm_name(&self) -> &str {
        &self.0.realm
    }

    /// The status that a kind ends up with.
    #[must_use]
    pub fn status_of(&self, kind: DenialKind) -> StatusCode {
        let named = self.0.names.get(&kind).and_then(|names| names.status);
        named.unwrap_or_else(|| kind.status())
    }

    /// Makes the status, content type and body of a denial.
    #[must_use]
    pub fn render(&self, denial: &Denial, request_id: Option<&HeaderValue>) -> Rendered {
        let kind = denial.kind();
        let names = self.0.names.get(&kind);
        let code = names.and_then(|names| names.code.as_deref());
        let message = names
            .and_then(|names| names.message.as_deref())
            .or_else(|| denial.message());
        let report = Report {
            kind,
            status: self.status_of(kind),
            code: code.unwrap_or_else(|| kind.code()),
            message: message.unwrap_or_else(|| kind.message()),
            details: denial.details(),
            request_id: request_id.and_then(|id| id.to_str().ok()),
        };
        Rendered {
            status: report.status,
            content_type: self.0.envelope.content_type(),
            body: self.0.envelope.body(&report),
        }
    }
}

impl Default for Errors {
    fn default() -> Self {
        Self::json()
    }
}

impl fmt::Debug for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Errors")
            .field("names", &self.0.names)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(errors: &Errors, denial: &Denial) -> (u16, String) {
        let id = HeaderValue::from_static("req_1");
        let rendered = errors.render(denial, Some(&id));
        let text = String::from_utf8(rendered.body.to_vec()).unwrap();
        (rendered.status.as_u16(), text)
    }

    #[test]
    fn the_three_shapes() {
        let denial = Denial::new(DenialKind::PlanRequired).with_detail("required", "pro");
        assert_eq!(
            body(&Errors::json(), &denial).1,
            r#"{"error":{"code":"plan_required","message":"This route requires a higher plan.","details":{"required":"pro"},"request_id":"req_1"}}"#
        );
        assert_eq!(
            body(&Errors::flat(), &denial).1,
            r#"{"error":"This route requires a higher plan."}"#
        );
        assert_eq!(
            body(&Errors::problem(), &denial).1,
            r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"This route requires a higher plan.","code":"plan_required","details":{"required":"pro"},"request_id":"req_1"}"#
        );
    }

    #[test]
    fn an_app_may_rename_everything() {
        let errors = Errors::json()
            .code(DenialKind::MissingCredential, "INVALID_API_KEY")
            .message(DenialKind::MissingCredential, "No key.")
            .status(DenialKind::MissingCredential, StatusCode::FORBIDDEN)
            .status(DenialKind::InvalidCredential, StatusCode::OK);
        let (status, text) = body(&errors, &DenialKind::MissingCredential.into());
        assert_eq!(status, 403);
        assert!(
            text.contains(r#""code":"INVALID_API_KEY","message":"No key.""#),
            "{text}"
        );
        assert_eq!(errors.status_of(DenialKind::InvalidCredential), 401);
    }

    #[test]
    fn a_realm_cannot_break_out_of_its_quotes() {
        assert_eq!(Errors::json().realm("a\"b\\c\n").realm_name(), "abc");
    }
}
