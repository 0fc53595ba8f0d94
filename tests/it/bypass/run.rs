//! Sends cases to one shape, and keeps count.

use std::collections::{BTreeMap, BTreeSet};

use http::{Uri, request};
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate::core::memory::MemoryStore;
use tollgate::core::reply::Reply;
use tollgate::credential::Credentials;
use tollgate::{Gate, GateBuilder, Session, Sessions};

use super::METHODS;
use super::credentials::{self, Class, Credential};
use super::paths::{self, PathForm};
use super::shapes::{CASE, Hits, Mount, OUTSIDE, OpenedBy, Shape};
use super::wire::{RawAnswer, pipeline};
use crate::support::{TestApp, TestKey, actor, catalog, org};

/// How many requests are written at once.
const PIPELINED: usize = 64;

/// One shape, served, with everything that is tried on it.
pub(super) struct Bench {
    pub(super) app: TestApp,
    pub(super) hits: Hits,
    pub(super) paths: Vec<PathForm>,
    pub(super) credentials: Vec<Credential>,
    number: usize,
    shape: Shape,
    good: TestKey,
    opened: std::cell::Cell<u64>,
}

/// One path form, one method, one credential.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) path: &'a PathForm,
    pub(super) method: &'static str,
    pub(super) credential: &'a Credential,
}

/// What came out.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) cases: u64,
    /// Refused by hyper, which the gate never heard of.
    pub(super) unheard: u64,
    /// Answered by an app around the gate.
    pub(super) outside: u64,
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Answers that nobody owns up to.
    pub(super) unexplained: BTreeSet<String>,
}

#[derive(Debug)]
struct Cookies;

impl Sessions for Cookies {
    fn verify(&self, head: &request::Parts) -> Reply<Option<Session>> {
        let cookie = head.headers.get("cookie");
        let signed_in = cookie.is_some_and(|cookie| cookie == "session=alice");
        Reply::ready(signed_in.then(|| Session::of("alice")))
    }
}

/// A gate of somebody else, and a good key for it.
async fn another_gate() -> (Gate, String) {
    let builder = Gate::builder(catalog()).store(MemoryStore::default());
    let gate = builder.build().await.unwrap();
    let new = NewOrganization::new(org("umbra"), "pro");
    let actor = actor();
    let created = gate.keyring().create_organization(new, &actor);
    created.await.unwrap();
    let key = NewKey::new(org("umbra"), "theirs").scopes(["iocs:read"]);
    let issued = gate.keyring().issue(key, &actor).await.unwrap();
    (gate, issued.secret.expose().to_owned())
}

impl Bench {
    pub(super) async fn new(number: usize, shape: Shape, strict: bool) -> Self {
        let (other, elsewhere) = another_gate().await;
        let hits = Hits::default();
        let in_query = shape.opened_by == OpenedBy::QueryKey;
        let configure = |builder: GateBuilder| {
            // Bad keys are to be judged each time, and not to be slowed down.
            let builder = builder.failures_per_minute(10_000_000).sessions(Cookies);
            let builder = if strict {
                builder
            } else {
                builder.allow_unusual_paths()
            };
            if in_query {
                let credentials = Credentials::new().with_query_parameter("api_key");
                return builder.credentials(credentials.unwrap());
            }
            builder
        };
        let app = match shape.mount {
            Mount::Service(routes) => TestApp::with(configure, |gate| routes(gate, &hits)).await,
            Mount::Inside(app) => TestApp::inside(configure, |gate| app(gate, &other, &hits)).await,
        };
        Self {
            good: app.key("umbra", ["iocs:read"]).await,
            credentials: credentials::forms(&app, &elsewhere).await,
            paths: paths::forms(shape.doors[0].1),
            opened: std::cell::Cell::new(0),
            app,
            hits,
            number,
            shape,
        }
    }

    /// The credentials that must not open this shape.
    fn tried(&self) -> Vec<&Credential> {
        let must_not_open = |credential: &&Credential| match self.shape.opened_by {
            OpenedBy::Key | OpenedBy::Session => true,
            OpenedBy::KeyOrNobody => credential.class != Class::Narrow,
            OpenedBy::QueryKey => credential.class != Class::InQuery,
        };
        self.credentials.iter().filter(must_not_open).collect()
    }

    /// Every path with every second credential, the method taking turns, and in the next shape
    /// with the others; and every method with every credential.
    pub(super) fn credential_cases(&self) -> Vec<Case<'_>> {
        let tried = self.tried();
        let mut cases = Vec::new();
        for (row, path) in self.paths.iter().enumerate() {
            // What hyper never passes on does not depend on the credential.
            let step = if path.target.len() > 60_000 { 16 } else { 1 };
            for (column, credential) in tried.iter().enumerate().step_by(step) {
                let turn = row + column + self.number;
                if turn % 2 == 1 {
                    continue;
                }
                let method = METHODS[(turn / 2 + row) % METHODS.len()];
                cases.push(Case {
                    path,
                    method,
                    credential,
                });
            }
        }
        for credential in tried {
            for method in METHODS {
                let path = &self.paths[0];
                cases.push(Case {
                    path,
                    method,
                    credential,
                });
            }
        }
        cases
    }

    /// Every path with every method, the credential taking turns.
    pub(super) fn method_cases(&self) -> Vec<Case<'_>> {
        let tried = self.tried();
        let mut cases = Vec::new();
        for (row, path) in self.paths.iter().enumerate() {
            for (column, method) in METHODS.into_iter().enumerate() {
                let turn = row * METHODS.len() + column + self.number;
                let credential = tried[turn % tried.len()];
                cases.push(Case {
                    path,
                    method,
                    credential,
                });
            }
        }
        cases
    }

    /// Sends all cases over HTTP/1, as bytes.
    pub(super) async fn refuses(&self, cases: &[Case<'_>], tally: &mut Tally) {
        let mut next = 0;
        while next < cases.len() {
            let end = cases.len().min(next + PIPELINED);
            let batch: Vec<_> = cases[next..end]
                .iter()
                .map(|case| (case.method, case.bytes()))
                .collect();
            let answers = pipeline(self.app.connect().await, &batch).await;
            let case = &cases[next];
            assert!(
                !answers.is_empty(),
                "no answer: {}: {}",
                self.shape.name,
                case.name()
            );
            for (case, answer) in cases[next..].iter().zip(&answers) {
                self.count(case, answer, tally);
            }
            next += answers.len();
            self.none_ran();
        }
    }

    /// No guarded handler ran but for those that a good key opened.
    pub(super) fn none_ran(&self) {
        let (ran, opened) = (self.hits.guarded(), self.opened.get());
        let cases = self.hits.cases();
        assert_eq!(ran, opened, "{}: {cases:#?}", self.shape.name);
    }

    pub(super) fn count(&self, case: &Case<'_>, answer: &RawAnswer, tally: &mut Tally) {
        tally.cases += 1;
        *tally.statuses.entry(answer.status).or_default() += 1;
        if answer.header("x-request-id").is_some() {
            return;
        }
        let around = matches!(self.shape.mount, Mount::Inside(_));
        if around && answer.header(OUTSIDE.as_str()).is_some() {
            tally.outside += 1;
            return;
        }
        let bare = matches!(answer.status, 400 | 414) && answer.body.is_empty();
        let closed = answer.header("connection") == Some("close");
        if bare && closed && case.is_no_request() {
            tally.unheard += 1;
            return;
        }
        let (shape, case) = (self.shape.name, case.name());
        tally
            .unexplained
            .insert(format!("{shape}: {case}: {answer:?}"));
    }

    /// Every door opens with a good key: each handler runs once.
    pub(super) async fn opens(&self) {
        for (method, path) in self.shape.doors {
            let request = match self.shape.opened_by {
                OpenedBy::Key | OpenedBy::KeyOrNobody => request(
                    method,
                    path,
                    &format!("Authorization: Bearer {}", self.good.secret),
                ),
                OpenedBy::QueryKey => {
                    let target = format!("{path}?api_key={}", self.good.secret);
                    request(method, &target, "x-nothing: else")
                }
                OpenedBy::Session => request(method, path, "Cookie: session=alice"),
            };
            let answers = pipeline(self.app.connect().await, &[(method, request)]).await;
            let told = format!("{}: {method} {path}: {answers:?}", self.shape.name);
            assert_eq!(answers[0].status, 200, "{told}");
            self.opened.set(self.opened.get() + 1);
            let (ran, cases) = (self.hits.guarded(), self.hits.cases());
            assert_eq!((ran, cases.len()), (self.opened.get(), 1), "{told}");
        }
    }

    /// Nothing was charged but for what a good key opened.
    pub(super) async fn close(self) {
        self.app.settled().await;
        let free = self.shape.opened_by == OpenedBy::Session;
        let charged = if free { 0 } else { self.opened.get() };
        assert_eq!(self.app.charged("umbra"), charged, "{}", self.shape.name);
    }
}

fn request(method: &str, target: &str, header: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: api.example\r\n{CASE}: good\r\n{header}\r\n\r\n")
        .into_bytes()
}

impl Case<'_> {
    pub(super) fn name(&self) -> String {
        let Self {
            path,
            method,
            credential,
        } = self;
        format!(
            "{:?}, {method}, {}, {}",
            credential.class, path.name, credential.name
        )
    }

    /// Whether hyper, by the rules of [`Uri`], takes this for no request at all.
    fn is_no_request(&self) -> bool {
        Uri::try_from(self.target()).is_err()
    }

    /// The target, with the query of the credential.
    pub(super) fn target(&self) -> Vec<u8> {
        let mut target = self.path.target.clone();
        if let Some(query) = &self.credential.query {
            target.push(if target.contains(&b'?') { b'&' } else { b'?' });
            target.extend_from_slice(query.as_bytes());
        }
        target
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.method.as_bytes().to_vec();
        bytes.push(b' ');
        bytes.extend(self.target());
        bytes.extend(b" HTTP/1.1\r\nHost: api.example\r\n");
        bytes.extend(format!("{CASE}: {}\r\n", self.name()).bytes());
        for (name, value) in &self.credential.headers {
            bytes.extend(name.bytes().chain(*b": "));
            bytes.extend(value.iter().chain(b"\r\n"));
        }
        bytes.extend(b"\r\n");
        bytes
    }
}

impl Tally {
    #[expect(
        clippy::print_stdout,
        reason = "whoever reads the test's output wants the counts"
    )]
    pub(super) fn tell(&self, what: &str) {
        let Self {
            cases,
            unheard,
            outside,
            statuses,
            unexplained,
        } = self;
        let some: Vec<_> = unexplained.iter().take(40).collect();
        assert!(some.is_empty(), "{what}: {}: {some:#?}", unexplained.len());
        println!(
            "{what}: {cases} cases, {unheard} refused by hyper, {outside} outside; {statuses:?}"
        );
    }
}
