//! The API itself: indicators of compromise, kept in memory, and what each route demands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tollgate::access::{public, scope};
use tollgate::core::plan::CountPer;
use tollgate::core::rate::RateLimit;
use tollgate::{Catalog, Gate, Plan, Principal, Routes, Scope};
use tollgate_examples::failure::Failure;

/// How many requests a key on the free plan may send in any minute.
pub(crate) const FREE_PER_MINUTE: u32 = 5;

/// What a report costs.
pub(crate) const REPORT_CREDITS: u64 = 5;

const MOST_INDICATORS: usize = 1000;
const LONGEST_VALUE: usize = 253;

/// What keys may do, and how often on which plan.
pub(crate) fn catalog() -> Result<Catalog, Failure> {
    let free = Plan::new("free")
        .rank(0)
        .rate(RateLimit::exact(FREE_PER_MINUTE, Duration::from_secs(60))?)
        .per(CountPer::Key); // by default all keys of an organization share
    let pro = Plan::new("pro")
        .rank(1)
        .rate(RateLimit::smooth(50, Duration::from_secs(1))?);
    let catalog = Catalog::builder()
        .scope("iocs:read")
        .scope(Scope::new("iocs:write").implies("iocs:read"))
        .scope("reports:read")
        .plan(free)
        .plan(pro)
        .build()?;
    Ok(catalog)
}

/// Every route, with what it demands. One without that does not compile.
pub(crate) fn routes(gate: &Gate) -> Routes<Iocs> {
    gate.routes()
        .get("/health", health, public().describe("Is the server up?"))
        .get(
            "/iocs",
            list,
            scope("iocs:read").describe("List indicators, of one kind if asked"),
        )
        .post(
            "/iocs",
            submit,
            scope("iocs:write").describe("Submit an indicator"),
        )
        .get(
            "/iocs/{value}",
            look_up,
            scope("iocs:read").describe("Look an indicator up"),
        )
        .get(
            "/iocs/{value}/report",
            report,
            scope("reports:read")
                .credits(REPORT_CREDITS)
                .describe("What is known about an indicator"),
        )
}

/// The indicators. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Iocs(Arc<RwLock<BTreeMap<String, Ioc>>>);

#[derive(Clone, Debug, Serialize)]
struct Ioc {
    value: String,
    kind: Kind,
    submitted_by: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Domain,
    Ip,
    Sha256,
    Url,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewIoc {
    value: String,
    kind: Kind,
}

#[derive(Debug, Deserialize)]
struct Filter {
    kind: Option<Kind>,
}

#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    ioc: Ioc,
    verdict: &'static str,
}

/// A status and a message: Tollgate gives it the same shape as its own errors.
type Refusal = (StatusCode, &'static str);

const UNKNOWN: Refusal = (StatusCode::NOT_FOUND, "No such indicator is known.");

impl Iocs {
    /// A few to start with.
    pub(crate) fn samples() -> Self {
        let samples = [
            ("evil.example", Kind::Domain),
            ("198.51.100.23", Kind::Ip),
            ("https://evil.example/login", Kind::Url),
        ];
        let iocs = samples.map(|(value, kind)| {
            let ioc = Ioc {
                value: value.to_owned(),
                kind,
                submitted_by: "quickstart".to_owned(),
            };
            (ioc.value.clone(), ioc)
        });
        Self(Arc::new(RwLock::new(iocs.into())))
    }

    fn find(&self, value: &str) -> Option<Ioc> {
        self.0.read().get(value).cloned()
    }
}

async fn health() -> &'static str {
    "up"
}

async fn list(State(iocs): State<Iocs>, Query(filter): Query<Filter>) -> Json<Vec<Ioc>> {
    let wanted = |ioc: &&Ioc| filter.kind.is_none_or(|kind| ioc.kind == kind);
    Json(iocs.0.read().values().filter(wanted).cloned().collect())
}

async fn look_up(
    State(iocs): State<Iocs>,
    Path(value): Path<String>,
) -> Result<Json<Ioc>, Refusal> {
    iocs.find(&value).map(Json).ok_or(UNKNOWN)
}

async fn submit(
    State(iocs): State<Iocs>,
    caller: Principal,
    Json(new): Json<NewIoc>,
) -> Result<(StatusCode, Json<Ioc>), Refusal> {
    if new.value.is_empty() || new.value.len() > LONGEST_VALUE {
        let message = "An indicator has 1 to 253 bytes.";
        return Err((StatusCode::UNPROCESSABLE_ENTITY, message));
    }
    let ioc = Ioc {
        value: new.value,
        kind: new.kind,
        submitted_by: caller.key_name().to_owned(),
    };
    let mut known = iocs.0.write();
    if known.contains_key(&ioc.value) {
        return Err((StatusCode::CONFLICT, "The indicator is known already."));
    }
    if known.len() >= MOST_INDICATORS {
        return Err((StatusCode::CONFLICT, "The memory is full of indicators."));
    }
    known.insert(ioc.value.clone(), ioc.clone());
    Ok((StatusCode::CREATED, Json(ioc)))
}

/// Costs credits, which Tollgate holds before this runs and charges after a 2xx. The 404 gives
/// them back.
async fn report(
    State(iocs): State<Iocs>,
    Path(value): Path<String>,
) -> Result<Json<Report>, Refusal> {
    let ioc = iocs.find(&value).ok_or(UNKNOWN)?;
    Ok(Json(Report {
        ioc,
        verdict: "malicious",
    }))
}
