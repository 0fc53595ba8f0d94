//! The answer to a call, and what can be claimed of it.

use std::fmt;

use axum::body::Bytes;
use futures_util::FutureExt as _;
use http::HeaderMap;
use http::response::Parts;
use serde_json::Value;
use tollgate::DenialKind;
use tollgate_core::explain::{Step, Verdict};
use tollgate_core::id::KeyId;

use crate::app::answer::asked::shortened;
use crate::app::consumed::Consumed;
use crate::app::gate::TestGate;

pub(super) use self::asked::Asked;

mod asked;

/// The whole answer to a call.
///
/// Each claim returns the answer, so that claims can be chained; one that does not hold fails the
/// test, and says all that is known of the call.
#[must_use = "claim something of it"]
pub struct Answer {
    kit: TestGate,
    asked: Asked,
    status: u16,
    headers: HeaderMap,
    /// None if it broke off.
    body: Option<Bytes>,
    denial: Option<DenialKind>,
    units: u64,
}

impl Answer {
    pub(super) fn new(
        kit: TestGate,
        asked: Asked,
        head: Parts,
        body: Option<Bytes>,
        denial: Option<DenialKind>,
        units: u64,
    ) -> Self {
        let answer = Self {
            kit,
            asked,
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            denial,
            units,
        };
        answer.check_secrets();
        answer
    }

    /// Its status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// A header, if it is there once and is text.
    #[must_use]
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        if values.next().is_some() {
            self.fail(format_args!("the header `{name}` is there more than once"));
        }
        value.to_str().ok()
    }

    /// All headers.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Its body.
    #[must_use]
    #[track_caller]
    pub fn body(&self) -> &Bytes {
        let Some(body) = &self.body else {
            self.fail(format_args!("the body broke off"))
        };
        body
    }

    /// Its body, as text.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> &str {
        let Ok(text) = std::str::from_utf8(self.body()) else {
            self.fail(format_args!("the body is not text"))
        };
        text
    }

    /// Its body, as JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(self.body())
            .unwrap_or_else(|error| self.fail(format_args!("the body is not JSON: {error}")))
    }

    /// How Tollgate turned the request away, if it did: a layer, or a [`tollgate::Denial`] of a
    /// handler. An error of the framework or a bare status of the app is
    /// [`DenialKind::Status`].
    #[must_use]
    pub const fn denial(&self) -> Option<DenialKind> {
        self.denial
    }

    /// What the request consumed. Credits are those in the books under the request's id, so they
    /// are not seen where credits are leased, nor of a key that the kit does not know
    /// ([`TestGate::adopt`]).
    #[must_use]
    pub fn consumed(&self) -> Consumed {
        let id = self.headers.get("x-request-id");
        let id = id.and_then(|id| id.to_str().ok());
        let organization = self
            .asked
            .key
            .as_ref()
            .map(|(_, organization)| organization);
        let entries = organization.map(|organization| self.kit.entries(organization));
        let charged = entries
            .iter()
            .flatten()
            .filter(|entry| entry.request_id.as_deref() == id && id.is_some())
            .fold(0_i64, |charged, entry| {
                charged.saturating_sub(entry.credits)
            });
        Consumed {
            rate: self.units,
            credits: charged.unsigned_abs(),
        }
    }

    /// It has this status.
    #[track_caller]
    pub fn assert_status(&self, status: u16) -> &Self {
        if self.status != status {
            self.fail(format_args!("the status is {}, not {status}", self.status));
        }
        self
    }

    /// It has a status of 200 to 299.
    #[track_caller]
    pub fn assert_success(&self) -> &Self {
        if !(200..300).contains(&self.status) {
            self.fail(format_args!("the status is {}, not a 2xx", self.status));
        }
        self
    }

    /// Tollgate turned the request away with this code: its own, such as
    /// `insufficient_permissions`, or what the app has made of it.
    #[track_caller]
    pub fn assert_denied(&self, code: &str) -> &Self {
        let Some(denial) = self.denial else {
            self.fail(format_args!("it was not denied, let alone with `{code}`"))
        };
        if denial.code() != code && self.told_code().as_deref() != Some(code) {
            self.fail(format_args!(
                "it was denied with `{}`, not with `{code}`",
                denial.code()
            ));
        }
        self
    }

    /// The request consumed this, and nothing else.
    #[track_caller]
    pub fn assert_consumed(&self, consumed: Consumed) -> &Self {
        let really = self.consumed();
        if self.asked.key.is_none() && self.units > 0 {
            self.fail(format_args!(
                "it came with a key that the test did not make; make the key known with \
                 `kit.adopt(…)`"
            ));
        }
        if really != consumed {
            self.fail(format_args!("it consumed {really}, not {consumed}"));
        }
        self
    }

    /// A header has this value, once.
    #[track_caller]
    pub fn assert_header(&self, name: &str, value: &str) -> &Self {
        let really = self.header(name);
        if really != Some(value) {
            let really = really.unwrap_or("not there");
            self.fail(format_args!("`{name}` is {really}, not {value}"));
        }
        self
    }

    /// The machine code in the body, in one of the usual places.
    fn told_code(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(self.body.as_ref()?).ok()?;
        let error = body.get("error");
        let code = [
            error.and_then(|error| error.get("code")),
            body.get("code"),
            error,
        ];
        code.into_iter()
            .flatten()
            .find_map(|code| Some(code.as_str()?.to_owned()))
    }

    /// No answer may hold the secret of a key that the test made.
    #[track_caller]
    fn check_secrets(&self) {
        let watch = &self.kit.0.watch;
        let body = self.body.as_deref().unwrap_or_default();
        let in_header = |value: &http::HeaderValue| watch.find(value.as_bytes());
        let found = self.headers.values().find_map(in_header);
        if let Some((key, _)) = found.or_else(|| watch.find(body)) {
            self.fail(format_args!("the secret of key {key} is in the answer"));
        }
    }

    #[track_caller]
    fn fail(&self, what: fmt::Arguments<'_>) -> ! {
        panic!("{what}\n{self:?}")
    }
}

/// All that is known of the call.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.asked)?;
        let denied = self.denial.map_or("", DenialKind::code);
        writeln!(f, "\n  was answered {} {denied}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "  {name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        let answer = self.body.as_ref().map_or_else(
            || "(the body broke off)".to_owned(),
            |body| self.kit.0.watch.hide(&shortened(body)),
        );
        writeln!(f, "\n  {answer}\n\n  and consumed {}", self.consumed())?;
        if let Some((key, _)) = &self.asked.key {
            self.write_steps(key, f)?;
        }
        self.asked.write_curl(f)
    }
}

impl Answer {
    /// What each step would say, were the call made again now.
    fn write_steps(&self, key: &KeyId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Asked {
            method,
            uri,
            client,
            ..
        } = &self.asked;
        let path = uri.split('?').next().unwrap_or_default();
        let gate = self.kit.gate();
        let explained = async {
            let key = gate.keyring().key(key).await.ok()?;
            let explained = gate.explain(key, method, path, Some(*client)).await;
            explained.ok()
        };
        // A store that was told to hang explains nothing.
        let Some(Some(explained)) = explained.now_or_never() else {
            return Ok(());
        };
        writeln!(f, "\n  asked again, the steps of {} say", explained.route)?;
        for Step {
            step,
            verdict,
            because,
            ..
        } in explained.explanation.steps
        {
            let verdict = match verdict {
                Verdict::Passes => "passes".into(),
                Verdict::Refuses(code) => code,
                _ => "not known".into(),
            };
            writeln!(f, "  {step:12} {verdict}: {because}")?;
        }
        Ok(())
    }
}
