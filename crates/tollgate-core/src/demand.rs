//! What routes demand, as data that an app records at its start: the permission map.
//!
//! The command line and the management API read it from the store, and so know an app's routes
//! without its code.

use matchit::Router;
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

/// The route that would get a request, by the rules of axum's router.
///
/// # Errors
///
/// [`Invalid`] if no route has the path, or none of those that have it the method.
pub fn route_of<'a>(
    routes: &'a [RouteDemand],
    method: &str,
    path: &str,
) -> Result<&'a RouteDemand, Invalid> {
    let shown = |text: &str| -> String {
        let start = text.chars().take(64);
        start.flat_map(char::escape_debug).collect()
    };
    if !path.starts_with('/') {
        let reason = format!("`{}` does not start with `/`", shown(path));
        return Err(Invalid::new("path", reason));
    }
    let mut tree = Router::new();
    for route in routes.iter().filter(|route| route.path != "*") {
        // The second method of a path is found by the first.
        let _ = tree.insert(route.path.clone(), route.path.as_str());
    }
    let Ok(matched) = tree.at(path).map(|found| *found.value) else {
        let fallback = routes.iter().find(|route| route.path == "*");
        let missing = || {
            let reason = format!("no route of the app matches `{}`", shown(path));
            Invalid::new("path", reason)
        };
        return fallback.ok_or_else(missing);
    };
    let of_path = || routes.iter().filter(|route| route.path == matched);
    let by = |name: &str| of_path().find(|route| route.method == name);
    // HEAD is GET's.
    let get = (method == "HEAD").then(|| by("GET")).flatten();
    by(method).or(get).or_else(|| by("*")).ok_or_else(|| {
        let known: Vec<_> = of_path().map(|route| route.method.as_str()).collect();
        let (known, method) = (known.join(", "), shown(method));
        let reason = format!("`{matched}` does not answer to `{method}`, but to {known}");
        Invalid::new("method", reason)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &str, path: &str) -> RouteDemand {
        RouteDemand {
            method: method.to_owned(),
            path: path.to_owned(),
            demand: Demand {
                callers: Callers::Public,
                plan: None,
                features: Vec::new(),
                price: Price::Free,
                rate_cost: 1,
                rate_class: None,
                billing_restricted: false,
            },
        }
    }

    #[test]
    fn a_request_finds_the_route_that_axum_would_give_it_to() {
        let mut routes = vec![
            route("GET", "/iocs"),
            route("POST", "/iocs"),
            route("POST", "/iocs/{name}"),
            route("GET", "/iocs/new"),
            route("*", "/any/{*rest}"),
        ];
        for (method, path, found) in [
            ("GET", "/iocs", Ok(0)),
            ("HEAD", "/iocs", Ok(0)),
            ("POST", "/iocs", Ok(1)),
            ("POST", "/iocs/evil.example", Ok(2)),
            ("GET", "/iocs/new", Ok(3)),
            ("DELETE", "/any/thing/at/all", Ok(4)),
            (
                "DELETE",
                "/iocs",
                Err("method: `/iocs` does not answer to `DELETE`, but to GET, POST"),
            ),
            (
                "HEAD",
                "/iocs/x",
                Err("method: `/iocs/{name}` does not answer to `HEAD`, but to POST"),
            ),
            (
                "GET",
                "/none",
                Err("path: no route of the app matches `/none`"),
            ),
            ("GET", "iocs", Err("path: `iocs` does not start with `/`")),
        ] {
            let answer = route_of(&routes, method, path).map_err(|error| error.to_string());
            let wanted = found.map(|at: usize| &routes[at]).map_err(str::to_owned);
            assert_eq!(answer, wanted, "{method} {path}");
        }
        routes.push(route("*", "*"));
        assert_eq!(route_of(&routes, "GET", "/none").unwrap().path, "*");
        assert!(route_of(&routes, "DELETE", "/iocs").is_err());
    }
}
