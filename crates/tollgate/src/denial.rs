//! Every way to be turned away.
//!
//! A [`Denial`] has a public side, its [kind](DenialKind) and details that are safe to show, and a
//! private one, the reason, which goes to the log only: an unknown, a revoked and an expired key
//! look the same outside. How it looks on the wire is the [envelope](crate::envelope)'s business.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Map, Value};
use tollgate_core::error::StoreError;

pub use crate::denial::kind::DenialKind;

mod errors;
mod kind;

/// What a route for any method answers to, for a 405's `Allow` (RFC 9110 §15.5.6).
const ANY_METHOD: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// A request turned away.
///
/// Handlers may return one as their error. As a response of its own it has its status, its
/// headers and no body; the envelope, further out, writes the body.
#[derive(Clone)]
pub struct Denial(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: DenialKind,
    details: Map<String, Value>,
    message: Option<String>,
    retry_after: Option<Duration>,
    scopes: Option<String>,
    reason: Option<String>,
}

impl Denial {
    /// A denial of the given kind.
    #[must_use]
    pub fn new(kind: DenialKind) -> Self {
        Self(Box::new(Inner {
            kind,
            details: Map::new(),
            message: None,
            // Every 503 says when to come back (RFC 9110 §15.6.4).
            retry_after: (kind == DenialKind::Unavailable).then_some(Duration::from_secs(1)),
            scopes: None,
            reason: None,
        }))
    }

    /// Adds a detail that the caller may see.
    #[must_use]
    pub fn with_detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.details.insert(name.to_owned(), value.into());
        self
    }

    /// Says more than the kind's message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.0.message = Some(message.into());
        self
    }

    /// Tells the caller when to come back; rounded up to whole seconds, at least one.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Keeps the private reason, for the log.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<String>) -> Self {
        self.0.reason = Some(reason.into());
        self
    }

    /// Names the scopes that a 403's `WWW-Authenticate` is to ask for.
    pub(crate) fn with_scopes(mut self, scopes: &[&str]) -> Self {
        self.0.scopes = Some(scopes.join(" "));
        self
    }

    /// A layer is missing, or stands in the wrong place.
    pub(crate) fn misplaced(missing: &str) -> Self {
        tracing::error!(missing, "a Tollgate layer is missing further out; refusing");
        Self::new(DenialKind::Internal).with_reason(format!("{missing} is missing"))
    }

    /// A store failed. Never a 401: that would tell callers to throw good keys away.
    pub(crate) fn unavailable(error: &StoreError) -> Self {
        Self::new(DenialKind::Unavailable).with_reason(with_causes(error))
    }

    /// In which way the request was turned away.
    #[must_use]
    pub fn kind(&self) -> DenialKind {
        self.0.kind
    }

    /// What the caller may know besides.
    #[must_use]
    pub fn details(&self) -> &Map<String, Value> {
        &self.0.details
    }

    /// What this denial says in place of the kind's message.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// When to come back.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Why, for the log only.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// Writes the headers that the kind demands (RFC 6750 §3, RFC 9110 §10.2.3 and §11.6.1).
    pub(crate) fn write_headers(&self, realm: &str, headers: &mut HeaderMap) {
        if let Some(wait) = self.0.retry_after {
            let secs = ceil_secs(wait).max(1);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        if self.0.kind == DenialKind::Status(405) {
            // A router says what it has; only a route for any method refuses one by itself.
            headers.entry(header::ALLOW).or_insert(ANY_METHOD);
        }
        if let Some(challenge) = self.challenge(realm)
            && let Ok(value) = HeaderValue::from_str(&challenge)
        {
            headers.insert(header::WWW_AUTHENTICATE, value);
        }
    }

    fn challenge(&self, realm: &str) -> Option<String> {
        let bearer = format!("Bearer realm=\"{realm}\"");
        match self.0.kind {
            DenialKind::MissingCredential => Some(bearer),
            DenialKind::InvalidCredential
            | DenialKind::RevokedKey
            | DenialKind::ExpiredKey
            | DenialKind::DisabledKey
            | DenialKind::KeyNotYetValid => Some(format!("{bearer}, error=\"invalid_token\"")),
            DenialKind::AmbiguousCredential => Some(format!("{bearer}, error=\"invalid_request\"")),
            DenialKind::InsufficientPermissions => {
                let scopes = self.0.scopes.as_deref().unwrap_or_default();
                Some(format!(
                    "{bearer}, error=\"insufficient_scope\", scope=\"{scopes}\""
                ))
            }
            // A session is no HTTP authentication scheme; RFC 9110 still wants a challenge.
            DenialKind::SessionRequired => Some(format!("Cookie realm=\"{realm}\"")),
            _ => None,
        }
    }
}

/// Whole seconds, rounded up.
pub(crate) fn ceil_secs(duration: Duration) -> u64 {
    let partial = u64::from(duration.subsec_nanos() > 0);
    duration.as_secs().saturating_add(partial)
}

impl From<DenialKind> for Denial {
    fn from(kind: DenialKind) -> Self {
        Self::new(kind)
    }
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        let mut response = self.kind().status().into_response();
        self.write_headers("api", response.headers_mut());
        response.extensions_mut().insert(self);
        response
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind.code())?;
        match &self.0.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Denial({self})")
    }
}

impl Error for Denial {}

/// Every response header that Tollgate itself writes and others may want to name.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An error and what it came from, for the log.
pub(crate) fn with_causes(error: &StoreError) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        told.push_str(": ");
        told.push_str(&source.to_string());
        cause = source.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_distinct() {
        let codes: HashSet<_> = DenialKind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), DenialKind::ALL.len());
    }

    /// The name of each `##` section of `docs/ERRORS.md`, and its text.
    fn documented() -> Vec<(&'static str, &'static str)> {
        include_str!("../../../docs/ERRORS.md")
            .split("\n## ")
            .skip(1)
            .filter_map(|section| section.split_once("\n\n"))
            .collect()
    }

    #[test]
    fn each_code_is_documented_with_its_status_and_no_other_is() {
        let documented = documented();
        let names = documented.iter().map(|(name, _)| *name);
        let codes = DenialKind::ALL.iter().map(|kind| kind.code());
        assert!(names.eq(codes.chain(["Errors of the framework"])));
        for (kind, (code, text)) in DenialKind::ALL.iter().zip(documented) {
            let status = format!("{}. ", kind.status());
            assert!(text.starts_with(&status), "{code}: {text}");
        }
    }

    #[test]
    fn each_code_of_the_framework_is_documented() {
        let (_, table) = documented().pop().unwrap();
        for status in 400..600 {
            let code = format!("| `{}` |", DenialKind::Status(status).code());
            let of_all = ["400", "500"].map(|first| format!("| {first}, and"));
            let row = table.lines().find(|line| line.ends_with(&code)).unwrap();
            let listed = row.starts_with(&format!("| {status} |"));
            let rest = of_all.iter().any(|start| row.starts_with(start));
            assert!(listed || rest, "{status}: {row}");
        }
    }

    #[test]
    fn waits_are_rounded_up_and_never_zero() {
        for (wait, seconds) in [(0, "1"), (1, "1"), (990, "1"), (1000, "1"), (1001, "2")] {
            let mut headers = HeaderMap::new();
            Denial::new(DenialKind::RateLimited)
                .with_retry_after(Duration::from_millis(wait))
                .write_headers("api", &mut headers);
            assert_eq!(headers["retry-after"], seconds, "{wait} ms");
        }
    }

    #[test]
    fn challenges_follow_rfc_6750() {
        let challenge = |denial: Denial| denial.challenge("api");
        assert_eq!(
            challenge(DenialKind::MissingCredential.into()).unwrap(),
            r#"Bearer realm="api""#
        );
        assert_eq!(
            challenge(DenialKind::InvalidCredential.into()).unwrap(),
            r#"Bearer realm="api", error="invalid_token""#
        );
        let scopes = Denial::new(DenialKind::InsufficientPermissions).with_scopes(&["a:b", "c:d"]);
        assert_eq!(
            challenge(scopes).unwrap(),
            r#"Bearer realm="api", error="insufficient_scope", scope="a:b c:d""#
        );
        assert_eq!(challenge(DenialKind::RateLimited.into()), None);
    }
}
