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

use std::sync::Arc;

use http::request;
use tollgate_core::clock::Moment;
use tollgate_core::reply::Reply;

use crate::access::{Check, Who};
use crate::authenticate::{identify, judge_organization};
use crate::credential::{Place, Presented};
use crate::denial::{Denial, DenialKind};
use crate::guard::Guard;
use crate::passage::Ticket;
use crate::principal::Principal;
use crate::rate_limit::Case;
use crate::routes::Route;
use crate::verified::VerifiedKey;
use crate::{ip_filter, meter, scope_guard};

/// The guard of one route, with all that it demands baked in.
#[derive(Clone, Debug)]
pub(crate) struct RouteGuard(pub(crate) Arc<Route>);

impl Guard for RouteGuard {
    fn admit(&self, ticket: &Ticket, head: &mut request::Parts) -> Reply<(), Denial> {
        let route = &self.0;
        let (presented, address, now) = ticket.with(|passage| {
            passage.route = Some(Arc::clone(route));
            (passage.presented, passage.address, passage.now)
        });
        let (Some(presented), Some(now)) = (presented, now) else {
            return Reply::failed(Denial::misplaced("the gate's own service"));
        };
        let presented = match presented {
            Presented::Key(_, Place::Query) | Presented::Malformed(Place::Query)
                if !route.access.query_key =>
            {
                Presented::Nothing
            }
            presented => presented,
        };
        match route.access.who {
            Who::Public => return route.gate.judge_stranger(ticket, now).into(),
            Who::Optional if presented == Presented::Nothing => {
                return route.gate.judge_stranger(ticket, now).into();
            }
            Who::Session => return session(route, ticket, presented, head),
            _ => {}
        }
        match identify(&route.gate, presented, address, now) {
            Reply::Now(found) => identified(route, ticket, found, now),
            Reply::Later(found) => {
                let (route, ticket) = (Arc::clone(route), ticket.clone());
                Reply::later(async move {
                    let found = found.await;
                    let now = route.gate.clock().now();
                    identified(&route, &ticket, found, now).await
                })
            }
        }
    }
}

fn session(
    route: &Arc<Route>,
    ticket: &Ticket,
    presented: Presented,
    head: &request::Parts,
) -> Reply<(), Denial> {
    let Some(sessions) = route.gate.sessions() else {
        return Reply::failed(Denial::misplaced("a session provider"));
    };
    if presented != Presented::Nothing {
        let refused = Denial::new(DenialKind::SessionRequired).with_reason("an API key was sent");
        return Reply::failed(refused);
    }
    let ticket = ticket.clone();
    sessions.verify(head).map_result(move |session| {
        let session = session.map_err(|error| Denial::unavailable(&error))?;
        let session = session.ok_or(DenialKind::SessionRequired)?;
        ticket.with(|passage| passage.session = Some(session));
        Ok(())
    })
}

fn identified(
    route: &Arc<Route>,
    ticket: &Ticket,
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
            return route.gate.judge_stranger(ticket, now).into();
        }
        Err(denial) => return Reply::failed(route.gate.judge_refused(ticket, denial, now)),
    };
    let address = ticket.with(|passage| {
        passage.caller = Some(Principal::new(Arc::clone(&key)));
        passage.now = Some(now);
        passage.address
    });
    let judged = observe(route, Check::Organization, || {
        judge_organization(&key, route.access.billing_restricted)
    })
    .and_then(|()| observe(route, Check::Ip, || ip_filter::judge(&key, address)))
    .and_then(|()| {
        observe(route, Check::Scope, || {
            scope_guard::judge_scopes(route, &key)
        })
    })
    .and_then(|()| observe(route, Check::Plan, || scope_guard::judge_plan(route, &key)));
    if let Err(denial) = judged {
        return Reply::failed(denial);
    }
    let case = Case {
        route,
        ticket,
        key: &key,
        now,
    };
    match case.judge() {
        Reply::Now(judged) => match observe(route, Check::Rate, || judged) {
            Ok(()) => charge(route, ticket, &key),
            Err(denial) => Reply::failed(denial),
        },
        Reply::Later(judged) => {
            let (route, ticket) = (Arc::clone(route), ticket.clone());
            Reply::later(async move {
                let judged = judged.await;
                observe(&route, Check::Rate, || judged)?;
                charge(&route, &ticket, &key).await
            })
        }
    }
}

fn charge(route: &Arc<Route>, ticket: &Ticket, key: &VerifiedKey) -> Reply<(), Denial> {
    let charged = meter::judge(route, ticket, key);
    if !route.access.observed.has(Check::Credits) {
        return charged;
    }
    let (route, ticket) = (Arc::clone(route), ticket.clone());
    charged.map_result(move |charged| {
        if charged.is_err() {
            // Without a tab the handler's bill charges nothing, in place of failing later.
            drop(ticket.with(|passage| passage.tab.take()));
        }
        observe(&route, Check::Credits, || charged)
    })
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
