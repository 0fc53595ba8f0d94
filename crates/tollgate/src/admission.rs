//! The way in of one route: steps 5 to 10 of the stack, in their one order.
//!
//! 1. lookup: who calls; the key's own state
//! 2. the organization's state
//! 3. the address
//! 4. scopes, then the plan and its features
//! 5. requests under way, quotas, rates
//! 6. credits
//!
//! Up to the fourth nothing is consumed. As long as everything is in memory this is one
//! synchronous pass; the first step that has to wait boxes the rest.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use tollgate_core::clock::Moment;
use tollgate_core::reply::Reply;

use crate::access::{Check, Who};
use crate::authenticate::{identify, judge_organization};
use crate::credential::{Place, Presented};
use crate::denial::{Denial, DenialKind};
use crate::guard::Guard;
use crate::idempotency::Repeats;
use crate::passage::{Passage, Ticket};
use crate::principal::Principal;
use crate::rate_limit::Case;
use crate::routes::Route;
use crate::verified::VerifiedKey;
use crate::{ip_filter, meter, scope_guard};

/// The guard of one route, with all that it demands baked in.
#[derive(Clone, Debug)]
pub(crate) struct RouteGuard(pub(crate) Arc<Route>);

impl Guard for RouteGuard {
    fn admit(&self, request: &mut Request<Body>) -> Reply<(), Denial> {
        let route = &self.0;
        if request.method() == Method::TRACE {
            return refuse_trace(route, request).into();
        }
        match route.access.who {
            Who::Session => return session(route, request),
            Who::Keyless => return keyless(route, request).into(),
            _ => {}
        }
        // Everything that is known at once is judged under one lock of the passage.
        match Ticket::find(request.extensions()) {
            Some(ticket) => ticket.with(|passage| admit(route, ticket, passage)),
            None => Reply::failed(outside()),
        }
    }
}

/// TRACE would show a caller the headers that proxies add (ASVS 13.4.4), so no route has it, one for
/// any method neither.
fn refuse_trace(route: &Arc<Route>, request: &Request<Body>) -> Result<(), Denial> {
    let ticket = Ticket::find(request.extensions()).ok_or_else(outside)?;
    ticket.with(|passage| {
        let now = passage.now.ok_or_else(outside)?;
        route.gate.judge_stranger(passage, now)
    })?;
    Err(DenialKind::Status(StatusCode::METHOD_NOT_ALLOWED.as_u16()).into())
}

/// A route's guard goes by what the gate's own service found.
fn outside() -> Denial {
    Denial::misplaced("the gate's own service")
}

fn admit(route: &Arc<Route>, ticket: &Ticket, passage: &mut Passage) -> Reply<(), Denial> {
    passage.route = Some(Arc::clone(route));
    let (Some(presented), Some(now)) = (presented(route, passage), passage.now) else {
        return Reply::failed(outside());
    };
    match route.access.who {
        Who::Public => return route.gate.judge_stranger(passage, now).into(),
        Who::Optional if presented == Presented::Nothing => {
            return route.gate.judge_stranger(passage, now).into();
        }
        _ => {}
    }
    match identify(&route.gate, presented, passage.address, now) {
        Reply::Now(found) => identified(route, ticket, passage, found, now),
        Reply::Later(found) => {
            let (route, ticket) = (Arc::clone(route), ticket.clone());
            Reply::later(async move {
                let found = found.await;
                let now = route.gate.clock().now();
                let judged =
                    ticket.with(|passage| identified(&route, &ticket, passage, found, now));
                judged.await
            })
        }
    }
}

/// What was presented where this route looks.
fn presented(route: &Route, passage: &Passage) -> Option<Presented> {
    Some(match passage.presented? {
        Presented::Key(_, Place::Query) | Presented::Malformed(Place::Query)
            if !route.access.query_key =>
        {
            Presented::Nothing
        }
        presented => presented,
    })
}

/// Lets those pass who send no key, and gives the ticket of the request.
fn refuse_keys(route: &Arc<Route>, request: &Request<Body>) -> Result<Ticket, Denial> {
    let ticket = Ticket::find(request.extensions()).ok_or_else(outside)?;
    let presented = ticket.with(|passage| {
        passage.route = Some(Arc::clone(route));
        presented(route, passage)
    });
    match presented {
        None => Err(outside()),
        Some(Presented::Nothing) => Ok(ticket.clone()),
        Some(_) => Err(Denial::new(DenialKind::SessionRequired).with_reason("an API key was sent")),
    }
}

fn keyless(route: &Arc<Route>, request: &Request<Body>) -> Result<(), Denial> {
    let ticket = refuse_keys(route, request)?;
    ticket.with(|passage| {
        let now = passage.now.ok_or_else(outside)?;
        route.gate.judge_stranger(passage, now)
    })
}

fn session(route: &Arc<Route>, request: &mut Request<Body>) -> Reply<(), Denial> {
    let ticket = match refuse_keys(route, request) {
        Ok(ticket) => ticket,
        Err(denial) => return Reply::failed(denial),
    };
    let Some(sessions) = route.gate.sessions() else {
        return Reply::failed(Denial::misplaced("a session provider"));
    };
    let (head, body) = std::mem::take(request).into_parts();
    let session = sessions.verify(&head);
    *request = Request::from_parts(head, body);
    session.map_result(move |session| {
        let session = session.map_err(|error| Denial::unavailable(&error))?;
        let session = session.ok_or(DenialKind::SessionRequired)?;
        ticket.with(|passage| passage.session = Some(session.seen_from(passage.address)));
        Ok(())
    })
}

fn identified(
    route: &Arc<Route>,
    ticket: &Ticket,
    passage: &mut Passage,
    found: Result<Arc<VerifiedKey>, Denial>,
    now: Moment,
) -> Reply<(), Denial> {
    let key = match found {
        Ok(key) => key,
        // A store that is down says nothing of the key, so there is nothing to observe.
        Err(denial)
            if route.access.observed.has(Check::Credential)
                && denial.kind() != DenialKind::Unavailable =>
        {
            would_refuse(route, &denial);
            return route.gate.judge_stranger(passage, now).into();
        }
        Err(denial) => return Reply::failed(route.gate.judge_refused(passage, denial, now)),
    };
    passage.now = Some(now);
    // Known before anybody else's code runs, which may panic.
    passage.caller = Some(Principal::new(Arc::clone(&key)));
    match judge(route, &key, passage.address) {
        Ok(()) => consume(route, ticket, passage, &key, now),
        Err(denial) => Reply::failed(denial),
    }
}

/// Steps 9 and 10: what a request takes of its limits and its organization's credits.
fn consume(
    route: &Arc<Route>,
    ticket: &Ticket,
    passage: &mut Passage,
    key: &Arc<VerifiedKey>,
    now: Moment,
) -> Reply<(), Denial> {
    let case = Case {
        route,
        ticket,
        key,
        now,
    };
    match case.judge(passage) {
        Reply::Now(judged) => match observe(route, Check::Rate, || judged) {
            Ok(()) => charge_first(route, ticket, passage, key, now),
            Err(denial) => Reply::failed(denial),
        },
        Reply::Later(judged) => {
            let (route, ticket, key) = (Arc::clone(route), ticket.clone(), Arc::clone(key));
            Reply::later(async move {
                let judged = judged.await;
                observe(&route, Check::Rate, || judged)?;
                let charged =
                    ticket.with(|passage| charge_first(&route, &ticket, passage, &key, now));
                charged.await
            })
        }
    }
}

/// What is judged of an identified key before anything is consumed.
fn judge(route: &Route, key: &VerifiedKey, address: Option<IpAddr>) -> Result<(), Denial> {
    observe(route, Check::Organization, || {
        judge_organization(key, route.access.billing_restricted)
    })?;
    observe(route, Check::Ip, || ip_filter::judge(key, address))?;
    observe(route, Check::Scope, || {
        scope_guard::judge_scopes(route, key)
    })?;
    observe(route, Check::Plan, || scope_guard::judge_plan(route, key))
}

/// Step 10. A route that knows requests that come again does it itself, once it has read the body.
fn charge_first(
    route: &Arc<Route>,
    ticket: &Ticket,
    passage: &mut Passage,
    key: &VerifiedKey,
    now: Moment,
) -> Reply<(), Denial> {
    if route.access.repeats == Repeats::Unknown {
        charge(route, ticket, passage, key, now)
    } else {
        Reply::ready(())
    }
}

pub(crate) fn charge(
    route: &Arc<Route>,
    ticket: &Ticket,
    passage: &mut Passage,
    key: &VerifiedKey,
    now: Moment,
) -> Reply<(), Denial> {
    let charged = meter::judge(route, ticket, passage, key, now);
    if !route.access.observed.has(Check::Credits) {
        return charged;
    }
    let judged = |route: &Route, passage: &mut Passage, charged: Result<(), Denial>| {
        if charged.is_err() {
            // Without a tab the handler's bill charges nothing, in place of failing later.
            drop(passage.tab.take());
        }
        observe(route, Check::Credits, || charged)
    };
    match charged {
        Reply::Now(charged) => judged(route, passage, charged).into(),
        Reply::Later(charged) => {
            let (route, ticket) = (Arc::clone(route), ticket.clone());
            Reply::later(async move {
                let charged = charged.await;
                ticket.with(|passage| judged(&route, passage, charged))
            })
        }
    }
}

/// Lets a refusal pass that the route only observes.
fn observe(
    route: &Route,
    check: Check,
    judge: impl FnOnce() -> Result<(), Denial>,
) -> Result<(), Denial> {
    match judge() {
        Err(denial) if route.access.observed.has(check) => {
            would_refuse(route, &denial);
            Ok(())
        }
        judged => judged,
    }
}

pub(crate) fn would_refuse(route: &Route, denial: &Denial) {
    tracing::info!(route = %route.name(), %denial, "would refuse, but only observes");
    route.decisions().count_observed(denial.kind().code());
}
