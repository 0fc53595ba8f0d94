//! The way out: reached once, by a response or by `Drop`.

use axum::body::Body;
use axum::response::IntoResponse;
use futures_util::future::Either;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Body as _;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};
use tollgate_core::clock::Moment;
use tollgate_core::rate::InFlightPermit;
use tollgate_core::reply::BoxFuture;
use tracing::Span;
use tracing::span::EnteredSpan;

use crate::access::Who;
use crate::credential::{Place, Presented};
use crate::denial::{Denial, DenialKind, REQUEST_ID};
use crate::envelope::shape;
use crate::gate::Gate;
use crate::number;
use crate::passage::{Passage, RateReport, Ticket};
use crate::stack::{PRIVATE, panic_text};
use crate::tab::{Closing, Ending, Tab};
use crate::usage::Use;

const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");

/// What is to be done at the end of one request.
#[derive(Debug)]
pub(crate) struct Finish {
    gate: Gate,
    ticket: Ticket,
    id: HeaderValue,
    presented: Presented,
    span: Span,
    /// Whether the answer is to a HEAD. Over HTTP/2 nobody further out takes its body away.
    bodiless: bool,
    kept_alive: bool,
    done: bool,
}

/// A response that may leave now, or has to wait.
pub(crate) enum Finished {
    Now(Response<Body>),
    /// Once its charge is durable.
    AfterSettle(Closing, Response<Body>),
    /// Once it is known what the caller has left; then it is finished as if just begun.
    AfterReport(BoxFuture<RateReport>, Response<Body>),
}

impl Finish {
    pub(super) const fn new(
        gate: Gate,
        ticket: Ticket,
        id: HeaderValue,
        presented: Presented,
        span: Span,
        bodiless: bool,
    ) -> Self {
        Self {
            gate,
            ticket,
            id,
            presented,
            span,
            bodiless,
            kept_alive: false,
            done: false,
        }
    }

    /// Enters the request's span, if anybody listens.
    pub(super) fn enter_span(&self) -> Option<EnteredSpan> {
        (!self.span.is_disabled()).then(|| self.span.clone().entered())
    }

    /// Counts a request that is answered before any route is looked for.
    pub(super) fn judge_stranger(&self) -> Result<(), Denial> {
        self.ticket.with(|passage| match passage.now {
            Some(now) => self.gate.judge_stranger(passage, now),
            None => Ok(()),
        })
    }

    /// The handler takes its time: its hold is to last as long.
    pub(super) fn keep_alive(&mut self) {
        if !self.kept_alive {
            // What is waited for may come before the tab: a look-up, a body.
            self.kept_alive = self.ticket.with(|passage| {
                let tab = passage.tab.as_mut();
                tab.map(Tab::keep_alive).is_some()
            });
        }
    }

    pub(super) fn finish(&mut self, mut response: Response<Body>) -> Finished {
        if let Some(report) = self.report() {
            return Finished::AfterReport(report, response);
        }
        self.done = true;
        let denial = self.shape(&mut response);
        let status = response.status();
        let outcome = denial
            .as_ref()
            .map_or_else(|| class(status), |denial| denial.kind().code());
        let (tab, permit) = self.ticket.with(|passage| {
            self.write_headers(passage, denial.as_ref(), &mut response);
            self.record(passage, outcome, Some(status));
            // A stream, and whoever has taken the connection over, close their tab themselves.
            let outlives = passage.tab.as_mut().is_some_and(|tab| tab.outlives(status));
            let tab = if outlives { None } else { passage.tab.take() };
            (tab, passage.in_flight.take())
        });
        if let Some(denial) = denial.as_ref().filter(|denial| denial.reason().is_some()) {
            if denial.kind() == DenialKind::Unavailable {
                tracing::error!(%denial, "could not decide; refused");
            } else {
                tracing::info!(%denial, "refused");
            }
        }
        if let Some(permit) = permit {
            hold_until_sent(&mut response, permit);
        }
        let Some(mut tab) = tab else {
            return Finished::Now(response);
        };
        let waits = tab.settles_before_reply();
        let closing = tab.close(Ending::Answered(status));
        if waits {
            Finished::AfterSettle(closing, response)
        } else {
            Finished::Now(response)
        }
    }

    /// An identified caller is told its limits also where nothing was taken: what it has left is
    /// looked up, and returned if that has to be waited for. Not where the limiter had no answer.
    fn report(&self) -> Option<BoxFuture<RateReport>> {
        self.ticket.with(|passage| {
            let (None, Some(caller), Some(now)) = (&passage.rates, &passage.caller, passage.now)
            else {
                return None;
            };
            if self.gate.rate_headers().are_off() {
                return None;
            }
            let (rates, route) = (self.gate.rates(), passage.route.as_ref());
            match rates.report(route, caller.verified(), now) {
                Either::Left(report) => {
                    passage.rates = Some(report);
                    None
                }
                Either::Right(report) => Some(report),
            }
        })
    }

    /// What was waited for.
    pub(super) fn reported(&self, report: RateReport) {
        self.ticket.with(|passage| passage.rates = Some(report));
    }

    /// Gives an error the one shape. A HEAD is told the length of the body that it does not get.
    fn shape(&self, response: &mut Response<Body>) -> Option<Denial> {
        let denial = shape(self.gate.errors(), Some(&self.id), response);
        if self.bodiless && denial.is_some() {
            let unsent = std::mem::take(response.body_mut());
            if let Some(length) = unsent.size_hint().exact() {
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
        }
        denial
    }

    /// The answer where even the way out panicked: a status and the id.
    pub(super) fn last_resort(&self, panic: &(dyn std::any::Any + Send)) -> Response<Body> {
        tracing::error!(
            panic = panic_text(panic),
            "the app's envelope or charge rule panicked"
        );
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.headers_mut().insert(REQUEST_ID, self.id.clone());
        response
    }

    /// The answer of a route that answers only when its charge is durable: it is not.
    pub(super) fn not_settled(&self, promised: &Response<Body>) -> Response<Body> {
        let mut response = Denial::new(DenialKind::Unavailable).into_response();
        self.shape(&mut response);
        // Tollgate's own headers stay true; the app's, such as an `ETag`, were about its answer.
        for (name, value) in promised.headers() {
            let ours = name.as_str().starts_with("x-ratelimit-")
                || name.as_str().starts_with("ratelimit")
                || [REQUEST_ID, header::CACHE_CONTROL, header::VARY].contains(name);
            if ours {
                response.headers_mut().append(name, value.clone());
            }
        }
        response
    }

    fn write_headers(
        &self,
        passage: &Passage,
        denial: Option<&Denial>,
        response: &mut Response<Body>,
    ) {
        let status = response.status();
        let headers = response.headers_mut();
        make_room(headers);
        headers.insert(REQUEST_ID, self.id.clone());
        if let Some(now) = passage.now {
            self.write_rates(passage, now, headers);
        }
        if let Some(names) = self.gate.credit_headers()
            && let Some((charged, remaining)) =
                passage.tab.as_ref().and_then(|tab| tab.bill_of(status))
        {
            number::write(
                [(&names.charged, charged), (&names.remaining, remaining)],
                headers,
            );
        }
        let guarded = passage
            .route
            .as_ref()
            .is_some_and(|route| route.access.who != Who::Public);
        if guarded {
            if let Some(vary) = self.gate.vary() {
                headers.append(header::VARY, vary.clone());
            }
            if passage.session.is_some() {
                headers.append(header::VARY, HeaderValue::from_static("cookie"));
            }
            let private = passage.caller.is_some() || passage.session.is_some();
            if (private || denial.is_some()) && !headers.contains_key(header::CACHE_CONTROL) {
                headers.insert(header::CACHE_CONTROL, PRIVATE);
            }
        }
        if matches!(
            self.presented,
            Presented::Key(_, Place::Query) | Presented::Malformed(Place::Query)
        ) {
            headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            // A cache would keep the URI that has the key.
            headers.entry(header::CACHE_CONTROL).or_insert(PRIVATE);
        }
    }

    /// An identified caller is told its own limits, a stranger its address's.
    fn write_rates(&self, passage: &Passage, now: Moment, headers: &mut HeaderMap) {
        let gate = &self.gate;
        if let Some(caller) = &passage.caller {
            let key = caller.verified();
            let class = passage
                .route
                .as_ref()
                .and_then(|route| route.rate_class.as_deref());
            if let Some(report) = &passage.rates {
                let limits = key.limits(class);
                gate.rate_headers().write(report, limits, now, headers);
            }
        } else if let Some(limits) = gate.stranger_limits() {
            let report = passage
                .rates
                .clone()
                .or_else(|| gate.stranger_report(passage.address?, now));
            if let Some(report) = report {
                gate.rate_headers().write(&report, limits, now, headers);
            }
        }
    }

    fn record(&self, passage: &Passage, outcome: &'static str, status: Option<StatusCode>) {
        let decisions = match &passage.route {
            Some(route) => route.decisions(),
            None => self.gate.unmatched(),
        };
        decisions.count(outcome);
        if let (Some(caller), Some(route), Some(at)) =
            (&passage.caller, &passage.route, passage.now)
        {
            let key = caller.verified();
            self.gate.usage_log().record(
                key,
                &Use {
                    route: route.name(),
                    outcome,
                    address: passage.address,
                    old_secret: key.is_old_secret(),
                    at,
                },
            );
        }
        let span = &self.span;
        if span.is_disabled() {
            return;
        }
        span.record("outcome", outcome);
        if let Some(status) = status {
            span.record("status", status.as_u16());
        }
        if let Some(route) = &passage.route {
            span.record("route", &**route.name());
        }
        if let Some(caller) = &passage.caller {
            span.record("key.id", tracing::field::display(caller.key_id()));
            span.record("organization", caller.organization().as_str());
        }
    }
}

/// The client went away, or the server is going down: nobody will hear the answer.
impl Drop for Finish {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let (tab, permit) = self.ticket.with(|passage| {
            self.record(passage, "hung_up", None);
            (passage.tab.take(), passage.in_flight.take())
        });
        drop(permit);
        if let Some(mut tab) = tab {
            drop(tab.close(Ending::HungUp));
        }
    }
}

/// Moves the headers into a map that has room for Tollgate's six. Growing in place takes longer:
/// it allocates, copies and orders what is there anew.
fn make_room(headers: &mut HeaderMap) {
    let enough = headers.len().saturating_add(6);
    if headers.capacity() < enough
        && let Ok(roomy) = HeaderMap::try_with_capacity(enough)
    {
        let few = std::mem::replace(headers, roomy);
        headers.extend(few);
    }
}

const fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

/// A request is under way until its body is sent.
fn hold_until_sent(response: &mut Response<Body>, permit: InFlightPermit) {
    if response.body().is_end_stream() {
        return;
    }
    let body = std::mem::take(response.body_mut());
    *response.body_mut() = Body::new(Counted {
        body,
        _permit: permit,
    });
}

pin_project! {
    /// A body that counts as under way until it is dropped.
    struct Counted {
        #[pin]
        body: Body,
        _permit: InFlightPermit,
    }
}

impl http_body::Body for Counted {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, axum::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_move_keep_all_their_values() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("a", "1"),
            ("vary", "x"),
            ("a", "2"),
            ("set-cookie", "y"),
            ("a", "3"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let before = headers.clone();
        make_room(&mut headers);
        assert_eq!(headers, before);
        assert!(headers.capacity() >= headers.len() + 6);
    }

    #[test]
    fn each_status_has_the_class_of_its_hundred() {
        for (status, expected) in [
            (100, "1xx"),
            (199, "1xx"),
            (200, "2xx"),
            (299, "2xx"),
            (304, "3xx"),
            (404, "4xx"),
            (499, "4xx"),
            (500, "5xx"),
            (599, "5xx"),
        ] {
            assert_eq!(class(StatusCode::from_u16(status).unwrap()), expected);
        }
    }
}
