//! What an app does while its stores and its limiter do not do what they should.
//!
//! ```
//! use tollgate::access::scope;
//! use tollgate::{Catalog, Gate, Plan, Routes};
//! use tollgate_testkit::app::{Checklist, TestGate};
//!
//! fn routes(gate: &Gate) -> Routes {
//!     gate.routes().get("/iocs", async || "none", scope("iocs:read").credits(3))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let catalog = Catalog::builder().scope("iocs:read").plan(Plan::new("free"));
//! let catalog = catalog.build().unwrap();
//! let app = async || {
//!     let kit = TestGate::new(catalog.clone()).await;
//!     let routes = routes(kit.gate());
//!     let map = routes.permissions();
//!     (kit.app(routes.into_service().unwrap()), map)
//! };
//! Checklist::new(app).assert_fails_closed().await;
//! # }
//! ```

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use http::Method;
use tollgate::DenialKind;
use tollgate::routes::{Permission, PermissionMap};
use tollgate_core::demand::Callers;

use crate::app::answer::Answer;
use crate::app::call::{Call, TestApp};
use crate::app::gate::take_turns;
use crate::app::makers::{NewTestOrganization, TestKey};
use crate::app::matrix::filled;
use crate::faults::{Fault, Operation};

const ORGANIZATION: &str = "checklist";
const CREDITS: u64 = 1_000_000;

/// The longest that a caller may be kept waiting, by the gate's clock.
const PATIENCE: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(250);

/// By then every hold that nobody answers for has expired.
const AFTERWARDS: Duration = Duration::from_secs(600);

/// What is asked before a request may reach its handler.
const BEFORE: [Operation; 4] = [
    Operation::Find,
    Operation::Rates,
    Operation::Quota,
    Operation::Hold,
];

/// What is written down about a request; it may be late.
const AFTER: [Operation; 2] = [Operation::Settle, Operation::Usage];

const FAULTS: [Fault; 4] = [
    Fault::Fail,
    Fault::LoseReply,
    Fault::Hang,
    Fault::Late(Duration::from_secs(3)),
];

type Sample = dyn for<'a> Fn(Call<'a>, &Permission) -> Call<'a>;
type Credential = dyn for<'a> Fn(Call<'a>, &TestKey) -> Call<'a>;
type Complete = dyn for<'a> Fn(NewTestOrganization<'a>) -> NewTestOrganization<'a>;

/// Runs an app through everything that can go wrong with what it stands on.
#[must_use = "run it"]
pub struct Checklist<A> {
    app: A,
    sample: Box<Sample>,
    credential: Box<Credential>,
    organization: Box<Complete>,
}

impl<A: AsyncFn() -> (TestApp, PermissionMap)> Checklist<A> {
    /// For an app that is made anew, with its gate, for each fault: what one leaves behind must
    /// not help against the next.
    pub fn new(app: A) -> Self {
        Self {
            app,
            sample: Box::new(|call, _| call),
            credential: Box::new(bearer),
            organization: Box::new(|new| new),
        }
    }

    /// Completes the call of a route, as [`NewMatrix::sample`](super::NewMatrix::sample) does.
    pub fn sample(
        mut self,
        sample: impl for<'a> Fn(Call<'a>, &Permission) -> Call<'a> + 'static,
    ) -> Self {
        self.sample = Box::new(sample);
        self
    }

    /// Puts the key where the app looks for it, if that is not `Authorization: Bearer`.
    pub fn credential(
        mut self,
        put: impl for<'a> Fn(Call<'a>, &TestKey) -> Call<'a> + 'static,
    ) -> Self {
        self.credential = Box::new(put);
        self
    }

    /// Completes the organization that calls.
    pub fn organization(
        mut self,
        complete: impl for<'a> Fn(NewTestOrganization<'a>) -> NewTestOrganization<'a> + 'static,
    ) -> Self {
        self.organization = Box::new(complete);
        self
    }

    /// Calls every route that is for keys while the store, the ledger or the limiter fails, hangs,
    /// is late or loses its reply.
    ///
    /// Whoever cannot be checked is answered 503 in time, never served and never told that their
    /// key is bad; what only has to be written down disturbs nobody; every answer has one request
    /// id, every error a body; nothing is charged for what was refused, no credit stays held, and
    /// the next request is served once the fault is over.
    ///
    /// # Panics
    ///
    /// Naming each route and fault for which that does not hold.
    pub async fn assert_fails_closed(&self) {
        let (_, map) = (self.app)().await;
        let mut broken = Vec::new();
        let mut checked = false;
        let is_for_keys = |permission: &&Permission| {
            let callers = &permission.demand.callers;
            let open = matches!(
                callers,
                Callers::Public | Callers::Keyless | Callers::Session
            );
            !open && permission.path != "*"
        };
        for permission in map.rows().iter().filter(is_for_keys) {
            checked = true;
            let Permission { method, path, .. } = permission;
            for operation in BEFORE.into_iter().chain(AFTER) {
                let mut met = false;
                for fault in FAULTS {
                    match self.check(permission, operation, fault).await {
                        Ok(asked) => met = met || asked,
                        Err(what) => {
                            met = true;
                            broken
                                .push(format!("{method} {path}, {operation:?} {fault:?}: {what}"));
                        }
                    }
                }
                let must_meet = match operation {
                    Operation::Find => true,
                    Operation::Hold => permission.credits != "0",
                    _ => false,
                };
                if must_meet && !met {
                    broken.push(format!(
                        "{method} {path}, {operation:?}: it was never asked, so nothing is shown; \
                         complete the call with `.sample(…)`"
                    ));
                }
            }
        }
        assert!(checked, "the app has no route for keys");
        assert!(
            broken.is_empty(),
            "the app does not fail closed:\n{}",
            broken.join("\n")
        );
    }

    /// Whether the operation was asked at all, or what is wrong.
    async fn check(
        &self,
        permission: &Permission,
        operation: Operation,
        fault: Fault,
    ) -> Result<bool, String> {
        let (app, _) = (self.app)().await;
        let kit = app.kit().clone();
        let key = self.key(&app).await;
        let faults = kit.faults();
        let before = faults.calls(operation);
        faults.set(operation, fault);
        let answer = self.answer(&app, permission, &key).await;
        let asked = faults.calls(operation) > before;
        faults.set(operation, Fault::None);
        // What was late comes now; what was lost runs out.
        kit.advance(AFTERWARDS).await;
        kit.advance(AFTERWARDS).await;
        let Some(answer) = answer else {
            return Err(format!("no answer within {PATIENCE:?}"));
        };
        is_well_formed(&answer)?;
        if asked && BEFORE.contains(&operation) {
            if answer.denial() != Some(DenialKind::Unavailable) {
                return Err(format!("it was not refused with a 503: {answer:?}"));
            }
            let balance = kit.balance(ORGANIZATION);
            if balance.settled > 0 {
                return Err(format!("{} credits were charged", balance.settled));
            }
        } else if answer.status() >= 500 {
            return Err(format!("it disturbed a request: {answer:?}"));
        }
        let held = kit.balance(ORGANIZATION).held;
        if held > 0 {
            return Err(format!("{held} credits are held for ever"));
        }
        match self.answer(&app, permission, &key).await {
            Some(next) if next.status() < 500 => is_well_formed(&next).map(|()| asked),
            Some(next) => Err(format!("the next request was not served: {next:?}")),
            None => Err("the next request got no answer".to_owned()),
        }
    }

    async fn key(&self, app: &TestApp) -> TestKey {
        let kit = app.kit();
        let organization = kit.organization(ORGANIZATION).credits(CREDITS);
        (self.organization)(organization).make().await;
        let scopes = kit.gate().catalog().scopes();
        let scopes: Vec<_> = scopes.map(|scope| scope.name.clone()).collect();
        let key = kit.key(ORGANIZATION);
        key.edit(|new| new.scopes(scopes).force()).make().await
    }

    /// The answer, while the clock goes on.
    async fn answer(&self, app: &TestApp, of: &Permission, key: &TestKey) -> Option<Answer> {
        let method = match &*of.method {
            "*" => Method::POST,
            method => method.parse().unwrap(),
        };
        let call = (self.sample)(app.request(method, &filled(&of.path)), of);
        let time_goes_on = async {
            let mut waited = Duration::ZERO;
            take_turns(&app.kit().0.store).await;
            while waited < PATIENCE {
                app.kit().advance(STEP).await;
                waited = waited.saturating_add(STEP);
            }
        };
        let (call, time) = (
            pin!((self.credential)(call, key).send()),
            pin!(time_goes_on),
        );
        match select(call, time).await {
            Either::Left((answer, _)) => Some(answer),
            Either::Right(_) => None,
        }
    }
}

fn bearer<'a>(call: Call<'a>, key: &TestKey) -> Call<'a> {
    call.key(key)
}

/// One request id, and a body that says what is wrong.
fn is_well_formed(answer: &Answer) -> Result<(), String> {
    let ids = answer.headers().get_all("x-request-id").iter().count();
    if ids != 1 {
        return Err(format!("it has {ids} request ids: {answer:?}"));
    }
    let kind = answer.headers().get("content-type");
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let bare = answer.body().is_empty() || kind.is_empty() || kind.starts_with("text/");
    if answer.status() >= 400 && bare {
        return Err(format!(
            "its error has not the envelope's shape: {answer:?}"
        ));
    }
    Ok(())
}

impl<A> fmt::Debug for Checklist<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checklist").finish_non_exhaustive()
    }
}
