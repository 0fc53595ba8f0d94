//! The many ways to put guarded routes together.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::map_request;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http::{HeaderName, HeaderValue, Method, Uri};
use parking_lot::Mutex;
use tollgate::access::{Access, any_of, optional, public, scope, session};
use tollgate::{Gate, Principal, Routes, Session};
use tower::service_fn;
use tower_layer::Layer;

/// Marks the answers that come from outside of the gate.
pub(super) const OUTSIDE: HeaderName = HeaderName::from_static("x-outside");

/// Names the case that a request belongs to.
pub(super) const CASE: &str = "x-case";

/// How often handlers ran. Statuses prove nothing.
#[derive(Clone, Default)]
pub(super) struct Hits {
    guarded: Arc<AtomicU64>,
    open: Arc<AtomicU64>,
    cases: Arc<Mutex<Vec<String>>>,
}

impl Hits {
    pub(super) fn guarded(&self) -> u64 {
        self.guarded.load(Ordering::SeqCst)
    }

    /// The cases whose guarded handler ran, and forgets them.
    pub(super) fn cases(&self) -> Vec<String> {
        std::mem::take(&mut *self.cases.lock())
    }

    fn ran(&self, request: &Request) {
        self.guarded.fetch_add(1, Ordering::SeqCst);
        let case = request.headers().get(CASE).map(HeaderValue::as_bytes);
        let case = String::from_utf8_lossy(case.unwrap_or_default()).into_owned();
        let (method, uri) = (request.method(), request.uri());
        self.cases.lock().push(format!("{case}: {method} {uri}"));
    }

    /// Where nobody may call too: a caller with a key, or one whose bad key was overlooked.
    fn maybe_ran(&self, called: bool, request: &Request) {
        if called || request.headers()[CASE].as_bytes().starts_with(b"Bad") {
            self.ran(request);
        } else {
            self.open.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn behind(&self) -> Counted {
        Counted(self.clone(), true)
    }

    fn beside(&self) -> Counted {
        Counted(self.clone(), false)
    }
}

/// A handler that counts.
#[derive(Clone)]
struct Counted(Hits, bool);

impl<S> Handler<(), S> for Counted {
    type Future = Ready<Response>;

    fn call(self, request: Request, _: S) -> Ready<Response> {
        let Self(hits, guarded) = self;
        if guarded {
            hits.ran(&request);
        } else {
            hits.open.fetch_add(1, Ordering::SeqCst);
        }
        ready("ran".into_response())
    }
}

/// One way to put an app together.
pub(super) struct Shape {
    pub(super) name: &'static str,
    /// The guarded routes; the path forms are made of the first.
    pub(super) doors: &'static [(&'static str, &'static str)],
    pub(super) opened_by: OpenedBy,
    pub(super) mount: Mount,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum OpenedBy {
    Key,
    /// Nobody may call too, but not with a bad key.
    KeyOrNobody,
    /// A key in the query is read too.
    QueryKey,
    Session,
}

pub(super) enum Mount {
    /// The finished service.
    Service(fn(&Gate, &Hits) -> Routes),
    /// A bigger app, with the gate's routes somewhere inside. The second gate is another's.
    Inside(fn(&Gate, &Gate, &Hits) -> Router),
}

const USERS: &[(&str, &str)] = &[("GET", "/admin/users")];

fn reader() -> Access {
    scope("iocs:read").plan("pro").credits(1)
}

fn service(
    name: &'static str,
    doors: &'static [(&'static str, &'static str)],
    mount: fn(&Gate, &Hits) -> Routes,
) -> Shape {
    Shape {
        name,
        doors,
        opened_by: OpenedBy::Key,
        mount: Mount::Service(mount),
    }
}

fn inside(
    name: &'static str,
    doors: &'static [(&'static str, &'static str)],
    mount: fn(&Gate, &Gate, &Hits) -> Router,
) -> Shape {
    Shape {
        mount: Mount::Inside(mount),
        ..service(name, doors, |gate, _| gate.routes())
    }
}

/// What has no key: in most apps a few routes.
fn open(gate: &Gate, hits: &Hits) -> Routes {
    gate.routes().get("/health", hits.beside(), public())
}

fn users(gate: &Gate, hits: &Hits) -> Routes {
    open(gate, hits).get("/admin/users", hits.behind(), reader())
}

pub(super) fn shapes() -> Vec<Shape> {
    let mut shapes = flat();
    shapes.extend(nested());
    shapes.extend(with_parameters());
    shapes.extend(with_other_demands());
    shapes.extend(in_bigger_apps());
    shapes
}

fn flat() -> Vec<Shape> {
    vec![
        service("one verb", USERS, users),
        service(
            "every verb",
            &[("GET", "/admin/users"), ("BREW", "/admin/users")],
            |gate, hits| open(gate, hits).any("/admin/users", hits.behind(), reader()),
        ),
        service(
            "several verbs",
            &[
                ("POST", "/admin/users"),
                ("GET", "/admin/users"),
                ("HEAD", "/admin/users"),
                ("PUT", "/admin/users"),
                ("PATCH", "/admin/users"),
                ("DELETE", "/admin/users"),
                ("OPTIONS", "/admin/users"),
            ],
            |gate, hits| {
                let handler = || hits.behind();
                open(gate, hits)
                    .get("/admin/users", handler(), reader())
                    .post("/admin/users", handler(), reader())
                    .put("/admin/users", handler(), reader())
                    .patch("/admin/users", handler(), reader())
                    .delete("/admin/users", handler(), reader())
                    .options("/admin/users", handler(), reader())
            },
        ),
        service(
            "an open verb beside",
            &[("POST", "/admin/users")],
            |gate, hits| {
                open(gate, hits)
                    .get("/admin/users", hits.beside(), public())
                    .post("/admin/users", hits.behind(), reader())
            },
        ),
        service("HEAD apart", &[("HEAD", "/admin/users")], |gate, hits| {
            open(gate, hits)
                .get("/admin/users", hits.beside(), public())
                .head("/admin/users", hits.behind(), reader())
        }),
        service("the root", &[("GET", "/")], |gate, hits| {
            open(gate, hits).get("/", hits.behind(), reader())
        }),
        service(
            "a fallback",
            &[("GET", "/admin/users"), ("PUT", "/")],
            |gate, hits| open(gate, hits).fallback(hits.behind(), reader()),
        ),
        service("an open fallback beside", USERS, |gate, hits| {
            users(gate, hits).fallback(hits.beside(), public())
        }),
        service("merged", USERS, |gate, hits| {
            let more = gate.routes().get("/admin/users", hits.behind(), reader());
            open(gate, hits).merge(more)
        }),
        service("with state", USERS, |gate, hits| {
            let hits = hits.clone();
            let handler = async move |State(word): State<&'static str>, request: Request| {
                hits.ran(&request);
                word
            };
            let routes = gate.routes().get("/admin/users", handler, reader());
            routes.with_state("ran")
        }),
    ]
}

fn nested() -> Vec<Shape> {
    vec![
        service("nested once", USERS, |gate, hits| {
            let routes = gate.routes().get("/users", hits.behind(), reader());
            open(gate, hits).nest("/admin", routes)
        }),
        service(
            "nested twice",
            &[("GET", "/api/admin/users")],
            |gate, hits| {
                let routes = gate.routes().get("/users", hits.behind(), reader());
                let admin = gate.routes().nest("/admin", routes);
                open(gate, hits).nest("/api", admin)
            },
        ),
        service(
            "nested thrice",
            &[("GET", "/api/v1/admin/users")],
            |gate, hits| {
                let routes = gate.routes().get("/users", hits.behind(), reader());
                let admin = gate.routes().nest("/admin", routes);
                let v1 = gate.routes().nest("/v1", admin);
                open(gate, hits).nest("/api", v1)
            },
        ),
        service(
            "nested below a parameter",
            &[("GET", "/acme/users")],
            |gate, hits| {
                let routes = gate.routes().get("/users", hits.behind(), reader());
                open(gate, hits).nest("/{tenant}", routes)
            },
        ),
        service(
            "a root of its own, nested",
            &[("GET", "/admin")],
            |gate, hits| {
                let routes = gate.routes().get("/", hits.behind(), reader());
                open(gate, hits).nest("/admin", routes)
            },
        ),
        service("a service", &[("GET", "/admin/users")], |gate, hits| {
            let hits_inside = hits.clone();
            let files = service_fn(move |request: Request| {
                hits_inside.ran(&request);
                ready(Ok::<_, Infallible>("ran".into_response()))
            });
            open(gate, hits).service("/admin/{*rest}", files, reader())
        }),
        service("a method router as a service", USERS, |gate, hits| {
            let inner = get(hits.behind()).fallback(hits.behind());
            open(gate, hits).service("/admin/users", inner, reader())
        }),
        service(
            "a router as a service",
            &[("GET", "/admin/users"), ("PUT", "/admin/x")],
            |gate, hits| {
                let inner = Router::new().route("/admin/users", any(hits.behind()));
                let inner = inner.fallback(hits.behind());
                open(gate, hits).service("/admin/{*rest}", inner, reader())
            },
        ),
    ]
}

fn with_parameters() -> Vec<Shape> {
    vec![
        service("a parameter at the end", USERS, |gate, hits| {
            open(gate, hits).any("/admin/{id}", hits.behind(), reader())
        }),
        service(
            "a parameter inside",
            &[("GET", "/admin/7/users")],
            |gate, hits| open(gate, hits).any("/admin/{id}/users", hits.behind(), reader()),
        ),
        service("a rest", &[("GET", "/admin/users/7")], |gate, hits| {
            open(gate, hits).any("/admin/{*rest}", hits.behind(), reader())
        }),
        service(
            "a rest of everything",
            &[("GET", "/admin/users")],
            |gate, hits| open(gate, hits).any("/{*rest}", hits.behind(), reader()),
        ),
        service("an open rest beside", USERS, |gate, hits| {
            users(gate, hits).any("/{*rest}", hits.beside(), public())
        }),
        service("an open parameter beside", USERS, |gate, hits| {
            users(gate, hits).any("/admin/{id}", hits.beside(), public())
        }),
        service("own layers inside", USERS, |gate, hits| {
            let rewrite = map_request(rewritten);
            users(gate, hits).layer(rewrite)
        }),
    ]
}

fn with_other_demands() -> Vec<Shape> {
    vec![
        service("any of two scopes", USERS, |gate, hits| {
            let access = any_of(["iocs:read", "iocs:write"]).plan("pro").credits(1);
            open(gate, hits).any("/admin/users", hits.behind(), access)
        }),
        Shape {
            opened_by: OpenedBy::KeyOrNobody,
            ..service("an optional key", USERS, |gate, hits| {
                let counted = hits.clone();
                let handler = async move |caller: Option<Principal>, request: Request| {
                    counted.maybe_ran(caller.is_some(), &request);
                };
                open(gate, hits).any("/admin/users", handler, optional().credits(1))
            })
        },
        Shape {
            opened_by: OpenedBy::Session,
            ..service("a session", USERS, |gate, hits| {
                let counted = hits.clone();
                let handler = async move |_: Session, request: Request| counted.ran(&request);
                open(gate, hits).any("/admin/users", handler, session())
            })
        },
        Shape {
            opened_by: OpenedBy::QueryKey,
            ..service("a key in the query", USERS, users)
        },
    ]
}

/// The answer of an app around the gate, which has its own routes.
async fn outside() -> impl IntoResponse {
    ([(OUTSIDE, "yes")], "outside")
}

fn in_bigger_apps() -> Vec<Shape> {
    vec![
        inside("into_router", USERS, |gate, _, hits| {
            users(gate, hits).into_router().unwrap().fallback(outside)
        }),
        inside("late routes", USERS, |gate, _, hits| {
            let api = users(gate, hits).into_router().unwrap();
            api.route("/late", get(outside))
                .route("/{*rest}", any(outside))
        }),
        inside(
            "nested in an app",
            &[("GET", "/api/admin/users")],
            |gate, _, hits| {
                let api = users(gate, hits).into_router().unwrap();
                let app = Router::new().nest("/api", api);
                app.route("/admin/users", get(outside)).fallback(outside)
            },
        ),
        inside(
            "nested below a parameter of an app",
            &[("GET", "/acme/admin/users")],
            |gate, _, hits| {
                let api = users(gate, hits).into_router().unwrap();
                Router::new().nest("/{tenant}", api).fallback(outside)
            },
        ),
        inside(
            "the service nested in an app",
            &[("GET", "/api/admin/users")],
            |gate, _, hits| {
                let api = users(gate, hits).into_service().unwrap();
                let app = Router::new().nest_service("/api", api);
                app.fallback(outside)
            },
        ),
        inside("merged into an app", USERS, |gate, _, hits| {
            let api = users(gate, hits).into_router().unwrap();
            let app = Router::new().route("/late", any(outside)).merge(api);
            app.fallback(outside)
        }),
        inside("two gates", USERS, |gate, other, hits| {
            let mine = users(gate, hits).into_router().unwrap();
            let theirs = other.routes().get("/other", hits.beside(), reader());
            let app = mine.merge(theirs.into_router().unwrap());
            app.fallback(outside)
        }),
        inside("an app that rewrites", USERS, |gate, _, hits| {
            let api = users(gate, hits).into_service().unwrap();
            let rewrite = map_request(rewritten);
            Router::new().fallback_service(rewrite.layer(api))
        }),
        inside("an app that normalizes paths", USERS, |gate, _, hits| {
            let api = users(gate, hits).into_service().unwrap();
            let normalize = map_request(normalized);
            Router::new().fallback_service(normalize.layer(api))
        }),
    ]
}

/// What a credulous app does: believes headers about method and path.
async fn rewritten(mut request: Request) -> Request {
    let headers = request.headers();
    let told = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let method = told("x-http-method-override").and_then(|name| Method::from_bytes(name).ok());
    let uri = told("x-original-url").and_then(|uri| Uri::try_from(uri).ok());
    if let Some(method) = method {
        *request.method_mut() = method;
    }
    if let Some(uri) = uri {
        *request.uri_mut() = uri;
    }
    request
}

/// What a helpful app does: makes one path of many, in front of the gate.
async fn normalized(mut request: Request) -> Request {
    let path = request.uri().path().to_ascii_lowercase();
    let decoded = path
        .replace("%2f", "/")
        .replace("%61", "a")
        .replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." | "%2e%2e" => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    if let Ok(uri) = format!("/{}", segments.join("/")).parse() {
        *request.uri_mut() = uri;
    }
    request
}
