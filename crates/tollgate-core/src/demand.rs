//! What routes demand, as data that an app records at its start: the permission map.
//!
//! The command line and the management API read it from the store, and so know an app's routes
//! without its code.

use serde::{Deserialize, Serialize};

use crate::credits::Price;
use crate::invalid::Invalid;

/// A route, and what it demands.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a row of the permission map")]
pub struct RouteDemand {
    /// The method; `*` for every one.
    pub method: String,
    /// The path, with its parameters in braces; `*` for the fallback.
    pub path: String,
    /// What it demands.
    pub demand: Demand,
}

/// What a route demands of its callers, and what it costs them.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "what a route can demand")]
pub struct Demand {
    /// Whom it is open to.
    pub callers: Callers,
    /// The lowest plan that it names itself; its scopes may demand a higher one.
    pub plan: Option<String>,
    /// The features that a plan must have.
    pub features: Vec<String>,
    /// What it costs.
    pub price: Price,
    /// The units of each rate and quota that a request takes.
    pub rate_cost: u32,
    /// The class of routes under whose limits it is counted.
    pub rate_class: Option<String>,
    /// Whether it stays open to organizations that are restricted for billing reasons.
    pub billing_restricted: bool,
}

/// Whom a route is open to.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Callers {
    /// Everybody.
    Public,
    /// Everybody who sends no key.
    Keyless,
    /// Who sends no key, or a good one.
    Optional,
    /// Every good key.
    Authenticated,
    /// Keys that have all of these scopes.
    AllOf(Vec<String>),
    /// Keys that have one of these scopes.
    AnyOf(Vec<String>),
    /// People who are signed in, and no key.
    Session,
}

/// Reads the routes of a recorded permission map
/// ([`Declaration::permissions`](crate::store::Declaration)).
///
/// # Errors
///
/// [`Invalid`] if it is none, or an app with another version of Tollgate wrote it.
pub fn routes_from_json(text: &str) -> Result<Vec<RouteDemand>, Invalid> {
    serde_json::from_str(text).map_err(|error| {
        let reason = format!("it cannot be read; start the app with this version once: {error}");
        Invalid::new("permission map", reason)
    })
}
