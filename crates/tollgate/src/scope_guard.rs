//! Demands scopes, and the plan that they demand, of a key.
//!
//! | | |
//! | --- | --- |
//! | reads | the [`Principal`](crate::Principal) |
//! | denies | `insufficient_permissions`, then `plan_required`, then `entitlement_required` (403 each) |
//! | writes | nothing |
//!
//! Granting is exact after implication: `read` is not `read:all`, and a scope that is not
//! declared satisfies nothing. The permission is judged before the plan, so that a caller is not
//! sold a plan for what its key may not do anyway.
//!
//! # Order
//!
//! Inside the authenticator; outside of what counts or charges. Around a route, not around a
//! router, so that unknown paths stay 404.
//!
//! # Example
//!
//! ```
//! use axum::Router;
//! use axum::routing::get;
//! use tollgate::access::scope;
//! use tollgate::authenticate::AuthenticateLayer;
//! use tollgate::scope_guard::ScopeGuardLayer;
//!
//! # fn app(gate: &tollgate::Gate) -> Result<Router, tollgate::StartError> {
//! let app = Router::new()
//!     .route("/iocs", get(|| async { "[]" }))
//!     .route_layer(ScopeGuardLayer::new(gate, scope("iocs:read"))?)
//!     .layer(AuthenticateLayer::new(gate));
//! # Ok(app)
//! # }
//! ```

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use tollgate_core::catalog::Catalog;
use tollgate_core::plan::Plan;
use tollgate_core::reply::Reply;
use tower_layer::Layer;

use crate::access::Access;
use crate::denial::{Denial, DenialKind};
use crate::gate::{Gate, StartError};
use crate::guard::{Guard, Guarded};
use crate::passage::Ticket;
use crate::routes::{Demand, Route};
use crate::verified::VerifiedKey;

/// Demands scopes. See the [module docs](self) for its place in the stack.
#[derive(Clone, Debug)]
#[must_use = "layers do nothing until they wrap a service"]
pub struct ScopeGuardLayer(ScopeGuard);

impl ScopeGuardLayer {
    /// Demands the scopes, plan and features of an access. What else it says is not looked at.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the catalog does not declare them.
    pub fn new(gate: &Gate, access: Access) -> Result<Self, StartError> {
        Ok(Self(ScopeGuard(Route::alone(gate, access)?)))
    }
}

impl<S> Layer<S> for ScopeGuardLayer {
    type Service = Guarded<S, ScopeGuard>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded::new(inner, self.0.clone())
    }
}

/// The judgement of [`ScopeGuardLayer`].
#[derive(Clone, Debug)]
pub struct ScopeGuard(Arc<Route>);

impl Guard for ScopeGuard {
    fn admit(&self, request: &mut Request<Body>) -> Reply<(), Denial> {
        let caller = Ticket::find(request.extensions()).and_then(Ticket::caller);
        let Some(caller) = caller else {
            return Reply::failed(Denial::misplaced("AuthenticateLayer"));
        };
        let key = caller.verified();
        judge_scopes(&self.0, key)
            .and_then(|()| judge_plan(&self.0, key))
            .into()
    }
}

/// Whether the key has the scopes.
pub(crate) fn judge_scopes(route: &Route, key: &VerifiedKey) -> Result<(), Denial> {
    let granted = match &route.demand {
        Demand::All(required) => key.granted.contains_all(required),
        Demand::Any(choices) => choices.iter().any(|(one, _)| key.granted.contains_all(one)),
    };
    if granted {
        return Ok(());
    }
    let required: Vec<&str> = route.access.scopes().iter().map(String::as_str).collect();
    let catalog = route.gate.catalog();
    let missing: Vec<&str> = required
        .iter()
        .copied()
        .filter(|scope| !has(catalog, key, scope))
        .collect();
    Err(Denial::new(DenialKind::InsufficientPermissions)
        .with_scopes(&required)
        .with_detail("required", required)
        .with_detail("missing", missing))
}

fn has(catalog: &Catalog, key: &VerifiedKey, scope: &str) -> bool {
    catalog.id(scope).is_some_and(|id| key.granted.contains(id))
}

/// Whether the plan is high enough, and has the features.
pub(crate) fn judge_plan(route: &Route, key: &VerifiedKey) -> Result<(), Denial> {
    let refuse = |plan: &Plan| {
        Err(Denial::new(DenialKind::PlanRequired)
            .with_detail("required", &*plan.name)
            .with_detail("current", &*key.plan.name))
    };
    if let Some(plan) = route.plan.as_ref().filter(|plan| !key.plan.at_least(plan)) {
        return refuse(plan);
    }
    if let Demand::Any(choices) = &route.demand {
        // A scope that is granted counts only on the plan that it demands.
        let granted = || {
            choices
                .iter()
                .filter(|(one, _)| key.granted.contains_all(one))
        };
        let enough =
            |plan: &Option<Arc<Plan>>| plan.as_ref().is_none_or(|plan| key.plan.at_least(plan));
        let lowest = granted()
            .filter_map(|(_, plan)| plan.as_ref())
            .min_by_key(|plan| plan.rank);
        if let Some(lowest) = lowest
            && !granted().any(|(_, plan)| enough(plan))
        {
            return refuse(lowest);
        }
    }
    match route
        .access
        .features
        .iter()
        .find(|feature| !key.plan.has_feature(feature))
    {
        None => Ok(()),
        Some(feature) => Err(Denial::new(DenialKind::EntitlementRequired)
            .with_detail("entitlement", feature.as_str())
            .with_detail("plan", &*key.plan.name)),
    }
}
