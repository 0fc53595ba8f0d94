//! Who may do what, found out by doing it: every route, as everybody.
//!
//! ```
//! use tollgate::access::scope;
//! use tollgate::{Catalog, Plan, Scope};
//! use tollgate_testkit::app::{Documented, TestGate};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let write = Scope::new("iocs:write").implies("iocs:read");
//! let catalog = Catalog::builder().scope("iocs:read").scope(write);
//! let kit = TestGate::new(catalog.plan(Plan::new("free")).build().unwrap()).await;
//! let routes = kit
//!     .gate()
//!     .routes()
//!     .get("/iocs", async || "none", scope("iocs:read").credits(3))
//!     .post("/iocs", async || "made", scope("iocs:write"));
//! let map = routes.permissions();
//! let app = kit.app(routes.into_service().unwrap());
//!
//! let documented = Documented::table(
//!     "| Endpoint     | Credits | Required permission |
//!      | ---          | ---     | ---                 |
//!      | `GET /iocs`  | 3       | iocs:read           |
//!      | `POST /iocs` | 0       | iocs:write          |",
//! );
//! let documented = documented.implies("iocs:write", ["iocs:read"]);
//! app.matrix(&map).compute().await.assert_documented(&documented);
//! # }
//! ```

use std::fmt;

use http::Method;
use tollgate::DenialKind;
use tollgate::routes::{Permission, PermissionMap};

use crate::app::answer::Answer;
use crate::app::call::{Call, TestApp};
use crate::app::makers::{NewTestOrganization, TestKey};

pub use self::documented::Documented;

mod documented;

/// What each organization of a matrix is given, so that no wallet is empty.
const CREDITS: u64 = 1_000_000;

type Sample<'a> = dyn Fn(Call<'a>, &Permission) -> Call<'a> + 'a;
type Credential<'a> = dyn Fn(Call<'a>, &TestKey) -> Call<'a> + 'a;
type Complete<'a> = dyn Fn(NewTestOrganization<'a>) -> NewTestOrganization<'a> + 'a;

/// A matrix that is to be computed.
#[must_use = "compute it"]
pub struct NewMatrix<'a> {
    app: &'a TestApp,
    map: &'a PermissionMap,
    sample: Box<Sample<'a>>,
    credential: Box<Credential<'a>>,
    organization: Box<Complete<'a>>,
}

/// Every route × nobody, a key without scopes, every scope, preset and plan.
///
/// `Display` writes a Markdown table, for snapshots.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Matrix {
    rows: Vec<MatrixRow>,
}

/// One route, as everybody.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct MatrixRow {
    /// The method; a route for every method is called with POST.
    pub method: String,
    /// The path, with its parameters in braces.
    pub path: String,
    /// The price, as the permission map has it.
    pub price: String,
    /// Each caller, and what became of them.
    pub cells: Vec<(Holder, Verdict)>,
    /// What a call that succeeded was charged, if any did: the one with every scope, on the
    /// highest plan.
    pub charged: Option<u64>,
}

/// Who calls.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Holder {
    /// Somebody without a key.
    Nobody,
    /// A key without scopes, on the highest plan.
    NoScopes,
    /// A key with one scope, on the highest plan.
    Scope(String),
    /// A key that follows a preset, on the highest plan.
    Preset(String),
    /// A key with every scope, on a plan.
    Plan(String),
}

/// What became of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// It reached its handler, whatever that answered.
    Reached,
    /// It was denied with this code.
    Denied(&'static str),
}

impl TestApp {
    /// Starts to find out who may call which of these routes.
    pub fn matrix<'a>(&'a self, map: &'a PermissionMap) -> NewMatrix<'a> {
        NewMatrix {
            app: self,
            map,
            sample: Box::new(|call, _| call),
            credential: Box::new(Call::key),
            organization: Box::new(|new| new),
        }
    }
}

impl<'a> NewMatrix<'a> {
    /// Completes the call of a route: its body, its query, what stands for a parameter of its
    /// path, which is `1` unless [`Call::path`] says otherwise.
    pub fn sample(mut self, sample: impl Fn(Call<'a>, &Permission) -> Call<'a> + 'a) -> Self {
        self.sample = Box::new(sample);
        self
    }

    /// Puts a key where the app looks for it, if that is not `Authorization: Bearer`.
    pub fn credential(mut self, put: impl Fn(Call<'a>, &TestKey) -> Call<'a> + 'a) -> Self {
        self.credential = Box::new(put);
        self
    }

    /// Completes the organizations that call, of which each call has its own.
    pub fn organization(
        mut self,
        complete: impl Fn(NewTestOrganization<'a>) -> NewTestOrganization<'a> + 'a,
    ) -> Self {
        self.organization = Box::new(complete);
        self
    }

    /// Calls every route as everybody.
    pub async fn compute(self) -> Matrix {
        let mut rows = Vec::new();
        for (number, permission) in self.map.rows().iter().enumerate() {
            // What has no path matches every one, so it cannot be meant by one.
            if permission.path != "*" {
                rows.push(self.row(number, permission).await);
            }
        }
        Matrix { rows }
    }

    fn holders(&self) -> Vec<Holder> {
        let catalog = self.app.kit().gate().catalog();
        let scopes = catalog.scopes().map(|scope| scope.name.clone());
        let presets = catalog.presets().map(|preset| preset.name.clone());
        let plans = catalog.plans().map(|plan| plan.name.clone());
        let mut holders = vec![Holder::Nobody, Holder::NoScopes];
        holders.extend(scopes.map(Holder::Scope));
        holders.extend(presets.map(Holder::Preset));
        holders.extend(plans.map(Holder::Plan));
        holders
    }

    async fn row(&self, number: usize, permission: &Permission) -> MatrixRow {
        let (mut cells, mut charged) = (Vec::new(), None);
        for (column, holder) in self.holders().into_iter().enumerate() {
            // An organization of its own: no call uses up what another is counted by.
            let key = self.key(&format!("m{number}-{column}"), &holder).await;
            let answer = self.call(permission, key.as_ref()).await;
            if matches!(holder, Holder::Plan(_)) && (200..300).contains(&answer.status()) {
                charged = Some(answer.consumed().credits);
            }
            cells.push((holder, verdict(&answer)));
        }
        MatrixRow {
            method: permission.method.clone(),
            path: permission.path.clone(),
            price: permission.credits.clone(),
            cells,
            charged,
        }
    }

    async fn key(&self, organization: &str, holder: &Holder) -> Option<TestKey> {
        let kit = self.app.kit();
        let mut new = kit.organization(organization).credits(CREDITS);
        if let Holder::Plan(plan) = holder {
            new = new.plan(plan);
        }
        (self.organization)(new).make().await;
        let key = kit.key(organization);
        let key = match holder {
            Holder::Nobody => return None,
            Holder::NoScopes => key,
            Holder::Scope(scope) => key.edit(|new| new.scopes([scope]).force()),
            Holder::Preset(preset) => key.preset(preset),
            Holder::Plan(_) => {
                let scopes = kit.gate().catalog().scopes();
                let scopes: Vec<_> = scopes.map(|scope| scope.name.clone()).collect();
                key.edit(|new| new.scopes(scopes).force())
            }
        };
        Some(key.make().await)
    }

    async fn call(&self, permission: &Permission, key: Option<&TestKey>) -> Answer {
        let method = match &*permission.method {
            "*" => Method::POST,
            method => method.parse().unwrap(),
        };
        let path = filled(&permission.path);
        let call = (self.sample)(self.app.request(method, &path), permission);
        let call = match key {
            Some(key) => (self.credential)(call, key),
            None => call,
        };
        call.send().await
    }
}

/// A path with something for each of its parameters.
pub(super) fn filled(template: &str) -> String {
    let segments = template.split('/').map(|segment| {
        let is_parameter = segment.starts_with('{');
        if is_parameter { "1" } else { segment }
    });
    segments.collect::<Vec<_>>().join("/")
}

fn verdict(answer: &Answer) -> Verdict {
    assert!(
        answer.status() < 500,
        "a route of the matrix fails: {answer:?}"
    );
    match answer.denial() {
        // The handler's own answers, and what it says of the request and not of the caller.
        None
        | Some(
            DenialKind::Status(_) | DenialKind::MissingParameter | DenialKind::ResourceNotOwned,
        ) => Verdict::Reached,
        Some(denial) => Verdict::Denied(denial.code()),
    }
}

impl Matrix {
    /// The rows, in the order of the permission map.
    #[must_use]
    pub fn rows(&self) -> &[MatrixRow] {
        &self.rows
    }

    /// It says what a documented table says, cell for cell, in both directions.
    ///
    /// # Panics
    ///
    /// Otherwise, naming each cell that differs.
    #[track_caller]
    pub fn assert_documented(&self, documented: &Documented) {
        let differences = documented.differences(self);
        assert!(
            differences.is_empty(),
            "the app does not do what is documented:\n  {}",
            differences.join("\n  ")
        );
    }
}

impl MatrixRow {
    /// What became of one caller.
    #[must_use]
    pub fn verdict(&self, holder: &Holder) -> Option<Verdict> {
        let mut cells = self.cells.iter();
        let found = cells.find(|(of, _)| of == holder);
        found.map(|(_, verdict)| *verdict)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("nobody"),
            Self::NoScopes => f.write_str("no scopes"),
            Self::Scope(name) => f.write_str(name),
            Self::Preset(name) => write!(f, "preset {name}"),
            Self::Plan(name) => write!(f, "plan {name}"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reached => "yes",
            Self::Denied(code) => code,
        })
    }
}

/// A Markdown table: a line for each route, with who reaches it and why the others do not.
impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("| Method | Path | Charged | Reached by | Denied to |\n")?;
        f.write_str("| --- | --- | --- | --- | --- |\n")?;
        for row in &self.rows {
            let charged = row
                .charged
                .map_or_else(|| "–".to_owned(), |credits| credits.to_string());
            let mut reached = Vec::new();
            let mut denied = Vec::new();
            for (holder, verdict) in &row.cells {
                match verdict {
                    Verdict::Reached => reached.push(holder.to_string()),
                    Verdict::Denied(code) => denied.push(format!("{holder} ({code})")),
                }
            }
            let (reached, denied) = (reached.join(", "), denied.join(", "));
            let MatrixRow { method, path, .. } = row;
            writeln!(
                f,
                "| {method} | {path} | {charged} | {reached} | {denied} |"
            )?;
        }
        Ok(())
    }
}

impl fmt::Debug for NewMatrix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewMatrix")
            .field("map", self.map)
            .finish_non_exhaustive()
    }
}
