//! Routes that say what they demand, where they are mounted.
//!
//! ```
//! # async fn list() {}
//! # async fn health() {}
//! # fn app(gate: &tollgate::Gate) -> Result<(), tollgate::StartError> {
//! use tollgate::access::{public, scope};
//!
//! let v2 = gate.routes().get("/iocs", list, scope("iocs:read").credits(1));
//! let service = gate
//!     .routes()
//!     .get("/health", health, public())
//!     .nest("/v2", v2)
//!     .into_service()?;
//! # Ok(())
//! # }
//! ```
//!
//! A route without an access does not compile:
//!
//! ```compile_fail
//! # async fn list() {}
//! # fn app(gate: &tollgate::Gate) {
//! gate.routes::<()>().get("/iocs", list);
//! # }
//! ```

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, Route as AxumRoute, any, on};
use tower_layer::Layer;
use tower_service::Service;

use crate::access::{Access, Who};
use crate::gate::{Gate, StartError};
use crate::idempotency::Repeats;
use crate::routes::handler::{GuardedHandler, ServiceHandler};
use crate::stack::{GateService, StackLayer};

pub use crate::routes::map::{Permission, PermissionMap};
pub(crate) use crate::routes::route::{Demand, Route};

mod handler;
mod map;
mod route;

/// Routes under construction. Each verb takes a path, a handler and what the route demands.
///
/// Paths are axum's: `/iocs/{id}`, `/files/{*rest}`. Mistakes are collected, and told together
/// by [`into_service`](Self::into_service) and [`into_router`](Self::into_router).
#[must_use = "routes do nothing until they are served"]
pub struct Routes<S = ()> {
    gate: Gate,
    router: Router<S>,
    declared: Vec<Declared>,
    problems: Vec<String>,
}

/// One declared route. The fallback has no path.
#[derive(Clone, Debug)]
struct Declared {
    methods: &'static str,
    path: Option<String>,
    route: Arc<Route>,
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $verb:ident, $filter:expr, $method:literal;)+) => {$(
        $(#[$doc])*
        pub fn $verb<H, T>(self, path: &str, handler: H, access: Access) -> Self
        where
            H: Handler<T, S>,
            T: 'static,
        {
            self.mount($method, path, access, |route| match route.access.repeats {
                Repeats::Unknown => on($filter, GuardedHandler::new(handler, route)),
                _ => on($filter, GuardedHandler::once(handler, route)),
            })
        }
    )+};
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    pub(crate) fn new(gate: Gate) -> Self {
        Self {
            gate,
            router: Router::new(),
            declared: Vec::new(),
            problems: Vec::new(),
        }
    }

    verbs! {
        /// Mounts a handler for GET, and for HEAD, which demands and costs the same.
        get, MethodFilter::GET, "GET";
        /// Mounts a handler for POST.
        post, MethodFilter::POST, "POST";
        /// Mounts a handler for PUT.
        put, MethodFilter::PUT, "PUT";
        /// Mounts a handler for PATCH.
        patch, MethodFilter::PATCH, "PATCH";
        /// Mounts a handler for DELETE.
        delete, MethodFilter::DELETE, "DELETE";
        /// Mounts a handler for HEAD, in place of GET's.
        head, MethodFilter::HEAD, "HEAD";
        /// Mounts a handler for OPTIONS. It never sees a CORS preflight.
        options, MethodFilter::OPTIONS, "OPTIONS";
    }

    /// Mounts a handler for every method but TRACE, which is a 405 everywhere.
    pub fn any<H, T>(self, path: &str, handler: H, access: Access) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.mount("*", path, access, |route| match route.access.repeats {
            Repeats::Unknown => any(GuardedHandler::new(handler, route)),
            _ => any(GuardedHandler::once(handler, route)),
        })
    }

    /// Mounts a service, such as a file server, for every method but TRACE.
    pub fn service<Svc>(self, path: &str, service: Svc, access: Access) -> Self
    where
        Svc: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
        Svc::Response: IntoResponse,
        Svc::Future: Send,
    {
        self.any(path, ServiceHandler(service), access)
    }

    fn mount(
        mut self,
        methods: &'static str,
        path: &str,
        access: Access,
        endpoint: impl FnOnce(Arc<Route>) -> MethodRouter<S>,
    ) -> Self {
        let route = self.compile(methods, path, access);
        if let Some(problem) = self.why_not(methods, path) {
            self.problems.push(format!("{methods} {path}: {problem}"));
            return self;
        }
        self.router = self.router.route(path, endpoint(Arc::clone(&route)));
        self.declared.push(Declared {
            methods,
            path: Some(path.to_owned()),
            route,
        });
        self
    }

    /// Resolves an access against the catalog, and keeps what is wrong with it.
    fn compile(&mut self, methods: &str, path: &str, access: Access) -> Arc<Route> {
        let (route, problems) = Route::compile(self.gate.clone(), access);
        self.problems.extend(
            problems
                .into_iter()
                .map(|problem| format!("{methods} {path}: {problem}")),
        );
        Arc::new(route)
    }

    /// What axum would panic about.
    fn why_not(&self, methods: &str, path: &str) -> Option<String> {
        if !path.starts_with('/') {
            return Some("a path starts with `/`".to_owned());
        }
        let same_path = |declared: &&Declared| declared.path.as_deref() == Some(path);
        if self.declared.iter().filter(same_path).any(|declared| {
            declared.methods == methods || declared.methods == "*" || methods == "*"
        }) {
            return Some("this method is mounted on this path already".to_owned());
        }
        if path
            .split('/')
            .any(|segment| segment.starts_with([':', '*']))
        {
            return Some("write a parameter as `{name}` and a rest as `{*name}`".to_owned());
        }
        let mut tree = matchit::Router::new();
        let mut paths: Vec<&str> = self
            .declared
            .iter()
            .filter_map(|d| d.path.as_deref())
            .collect();
        paths.sort_unstable();
        paths.dedup();
        for known in paths.into_iter().filter(|known| *known != path) {
            tree.insert(known, ()).ok()?;
        }
        tree.insert(path, ()).err().map(|error| error.to_string())
    }

    /// Mounts other routes below a path: `/v2`.
    pub fn nest(mut self, prefix: &str, routes: Self) -> Self {
        if !prefix.starts_with('/')
            || prefix.len() < 2
            || prefix.ends_with('/')
            || prefix.contains('*')
        {
            let problem = "a prefix starts with `/`, has something after it and no `*`";
            self.problems.push(format!("nest `{prefix}`: {problem}"));
            return self;
        }
        let below = |declared: Declared| Declared {
            path: declared.path.map(|path| match &*path {
                "/" => prefix.to_owned(),
                path => format!("{prefix}{path}"),
            }),
            ..declared
        };
        let nested: Vec<Declared> = routes.declared.into_iter().map(below).collect();
        self.problems.extend(routes.problems);
        if self.collides(&nested) {
            return self;
        }
        self.router = self.router.nest(prefix, routes.router);
        self.declared.extend(nested);
        self
    }

    /// Adds other routes beside these.
    pub fn merge(mut self, routes: Self) -> Self {
        self.problems.extend(routes.problems);
        if self.collides(&routes.declared) {
            return self;
        }
        self.router = self.router.merge(routes.router);
        self.declared.extend(routes.declared);
        self
    }

    /// Whether some of these routes cannot stand beside those that are here.
    fn collides(&mut self, others: &[Declared]) -> bool {
        let problems: Vec<String> = others
            .iter()
            .filter_map(|other| {
                let Some(path) = &other.path else {
                    let mine = self.declared.iter().any(|declared| declared.path.is_none());
                    return mine.then(|| "there are two fallbacks".to_owned());
                };
                let problem = self.why_not(other.methods, path)?;
                Some(format!("{} {path}: {problem}", other.methods))
            })
            .collect();
        let collides = !problems.is_empty();
        self.problems.extend(problems);
        collides
    }

    /// Mounts a handler for every path that no route has.
    pub fn fallback<H, T>(mut self, handler: H, access: Access) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let route = self.compile("*", "(fallback)", access);
        if self.declared.iter().any(|declared| declared.path.is_none()) {
            self.problems.push("there are two fallbacks".to_owned());
            return self;
        }
        let guarded = Arc::clone(&route);
        self.router = match route.access.repeats {
            Repeats::Unknown => self.router.fallback(GuardedHandler::new(handler, guarded)),
            _ => self.router.fallback(GuardedHandler::once(handler, guarded)),
        };
        self.declared.push(Declared {
            methods: "*",
            path: None,
            route,
        });
        self
    }

    /// Puts an app's own layer, such as a timeout or a body limit, around the routes so far. It
    /// runs inside the envelope, so its errors get the one shape too.
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<AxumRoute> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        self.router = self.router.layer(layer);
        self
    }

    /// Gives the handlers their state.
    pub fn with_state<S2>(self, state: S) -> Routes<S2> {
        Routes {
            gate: self.gate,
            router: self.router.with_state(state),
            declared: self.declared,
            problems: self.problems,
        }
    }

    /// What every route demands and costs.
    #[must_use]
    pub fn permissions(&self) -> PermissionMap {
        PermissionMap::new(self.declared.iter().map(Permission::of))
    }
}

impl Routes<()> {
    /// The finished service, to which no route can be added any more.
    ///
    /// `axum::serve` takes it as it is.
    ///
    /// # Errors
    ///
    /// [`StartError`] with everything that is wrong: unknown scopes, plans, features and rate
    /// classes, costs above a burst, scopes that no route needs, paths that collide.
    pub fn into_service(self) -> Result<GateService<Router>, StartError> {
        let (gate, router) = self.finish()?;
        Ok(StackLayer::new(gate).layer(router))
    }

    /// A router, for nesting into a bigger app. It covers exactly what was declared here: routes
    /// that are added to the bigger app are not guarded, and its 404s are its own.
    ///
    /// # Errors
    ///
    /// As [`into_service`](Self::into_service).
    pub fn into_router(self) -> Result<Router, StartError> {
        let (gate, router) = self.finish()?;
        Ok(router.layer(StackLayer::new(gate)))
    }

    fn finish(self) -> Result<(Gate, Router), StartError> {
        let permissions = self.permissions();
        let mut problems = self.problems;
        for declared in &self.declared {
            let path = declared.path.as_deref().unwrap_or("(fallback)");
            declared
                .route
                .name_it(&format!("{} {path}", declared.methods));
        }
        let wants_session = |declared: &Declared| declared.route.access.who == Who::Session;
        if self.gate.sessions().is_none() && self.declared.iter().any(wants_session) {
            let problem = "a route demands a session; name a provider with `.sessions(…)`";
            problems.push(problem.to_owned());
        }
        let needed = self
            .declared
            .iter()
            .flat_map(|declared| declared.route.access.scopes());
        problems.extend(route::unneeded_scopes(self.gate.catalog(), needed));
        if !problems.is_empty() {
            return Err(StartError::new(problems));
        }
        self.gate.declare(&permissions);
        Ok((self.gate, self.router))
    }
}

impl<S> fmt::Debug for Routes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes")
            .field("declared", &self.declared)
            .field("problems", &self.problems)
            .finish_non_exhaustive()
    }
}

/// What axum's handlers and services answer with here.
pub(crate) type Answer = Result<Response, Infallible>;
