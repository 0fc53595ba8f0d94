//! The API: jobs that classify and scan, their results, credits and webhooks; and what each route
//! demands.
//!
//! All that there is belongs to an organization, never to a key: whoever has a key of the
//! organization sees the jobs that another of its keys created, and nobody else does.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use tollgate::access::scope;
use tollgate::core::catalog::KeyFormatSpec;
use tollgate::core::rate::RateLimit;
use tollgate::credential::Credentials;
use tollgate::envelope::Errors;
use tollgate::{
    Catalog, Denial, DenialKind, Gate, GateBuilder, Plan, Preset, Principal, Routes, Scope,
};
use tollgate_examples::failure::Failure;

use self::delivery::Delivery;
use self::queue::{Jobs, Worker};
use self::webhooks::Webhooks;

pub(crate) mod classifier;
pub(crate) mod delivery;
mod jobs;
pub(crate) mod queue;
pub(crate) mod samples;
pub(crate) mod scanner;
pub(crate) mod webhooks;
pub(crate) mod work;

/// How many requests an organization on each plan may send in any minute, with all its keys.
pub(crate) const STANDARD_PER_MINUTE: u32 = 60;
pub(crate) const BUSINESS_PER_MINUTE: u32 = 600;

/// What each text or URL of a classify job costs.
pub(crate) const CLASSIFY_CREDITS: u64 = 1;
pub(crate) const SCAN_CREDITS: u64 = 5;
pub(crate) const DEEP_SCAN_CREDITS: u64 = 20;

/// A status and a message: Tollgate gives it the same shape as its own errors.
type Refusal = (StatusCode, &'static str);

/// What keys may do, how often on which plan, and what they look like.
pub(crate) fn catalog() -> Result<Catalog, Failure> {
    let permissions = [
        ("classify:create", "Create classify jobs from text or URLs."),
        ("scan:create", "Create scan and deep-scan jobs."),
        ("jobs:read", "Read job status and timing data."),
        ("results:read", "Read completed job results."),
        ("credits:read", "Read current credit balances."),
        ("webhooks:write", "Create and test webhook endpoints."),
    ];
    let read_only = Preset::new("read-only")
        .describe("For integrations that read and create nothing")
        .scopes(["jobs:read", "results:read", "credits:read"]);
    let minute = Duration::from_secs(60);
    let catalog = Catalog::builder()
        .key_format(KeyFormatSpec::new("op").environment("live"))
        .scopes(permissions.map(|(name, grants)| Scope::new(name).describe(grants)))
        .preset(read_only)
        .plan(
            Plan::new("standard")
                .rank(0)
                .rate(RateLimit::exact(STANDARD_PER_MINUTE, minute)?),
        )
        .plan(
            Plan::new("business")
                .rank(1)
                .rate(RateLimit::exact(BUSINESS_PER_MINUTE, minute)?),
        )
        .build()?;
    Ok(catalog)
}

/// Where keys are looked for, and how errors look.
pub(crate) fn configure(gate: GateBuilder) -> GateBuilder {
    gate.credentials(Credentials::bearer_only())
        .errors(errors())
}

/// The document names its codes in capitals, so the others are in capitals too. Whatever is wrong
/// with a key, no key included, has one status and one code.
fn errors() -> Errors {
    const INVALID_API_KEY: &str = "INVALID_API_KEY";
    let framework = (400..600).map(DenialKind::Status);
    let capitals = DenialKind::ALL
        .into_iter()
        .chain(framework)
        .fold(Errors::json(), |errors, kind| {
            errors.code(kind, kind.code().to_uppercase())
        });
    capitals
        .code(DenialKind::MissingCredential, INVALID_API_KEY)
        .code(DenialKind::InvalidCredential, INVALID_API_KEY)
        .code(DenialKind::AmbiguousCredential, INVALID_API_KEY)
        .status(DenialKind::AmbiguousCredential, StatusCode::UNAUTHORIZED)
}

/// Every route, with what it demands.
pub(crate) fn routes(gate: &Gate) -> Routes<Service> {
    gate.routes()
        .post(
            "/v1/classify",
            jobs::classify,
            scope("classify:create")
                .credits_per_item(CLASSIFY_CREDITS)
                .describe("Create a classify job from text or URLs"),
        )
        .post(
            "/v1/scan",
            jobs::scan,
            scope("scan:create")
                .credits(SCAN_CREDITS)
                .describe("Create a scan job"),
        )
        .post(
            "/v1/deep-scan",
            jobs::deep_scan,
            scope("scan:create")
                .credits(DEEP_SCAN_CREDITS)
                .describe("Create a deep-scan job"),
        )
        .get(
            "/v1/jobs",
            jobs::list,
            scope("jobs:read").describe("The status of the organization's newest jobs"),
        )
        .get(
            "/v1/jobs/{job}",
            jobs::show,
            scope("jobs:read").describe("The status and timing data of a job"),
        )
        .get(
            "/v1/jobs/{job}/results",
            jobs::results,
            scope("results:read").describe("The results of a completed job"),
        )
        .get(
            "/v1/credits",
            credits,
            scope("credits:read").describe("The organization's credit balance"),
        )
        .post(
            "/v1/webhooks",
            webhooks::create,
            scope("webhooks:write").describe("Create a webhook endpoint"),
        )
        .post(
            "/v1/webhooks/{webhook}/test",
            webhooks::test,
            scope("webhooks:write").describe("Send a test event to a webhook endpoint"),
        )
}

/// What the handlers work with. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    gate: Gate,
    pub(crate) jobs: Jobs,
    pub(crate) webhooks: Webhooks,
    delivery: Delivery,
}

impl Service {
    /// A service without jobs, and the worker that does those to come.
    pub(crate) fn new(gate: &Gate, delivery: Delivery) -> (Self, Worker) {
        let (jobs, worker) = Jobs::new(gate);
        let service = Self {
            gate: gate.clone(),
            jobs,
            webhooks: Webhooks::default(),
            delivery,
        };
        (service, worker)
    }
}

/// The wallet that all keys of the organization pay from.
#[derive(Debug, Serialize)]
struct CreditBalance {
    available: u64,
    held: u64,
    used: u64,
}

async fn credits(
    State(service): State<Service>,
    caller: Principal,
) -> Result<Json<CreditBalance>, Denial> {
    let balance = service.gate.balance(caller.organization()).await;
    let balance = balance.map_err(|error| {
        Denial::new(DenialKind::Unavailable).with_reason(format!("no balance: {error}"))
    })?;
    Ok(Json(CreditBalance {
        available: balance.available(),
        held: balance.held,
        used: balance.settled,
    }))
}
