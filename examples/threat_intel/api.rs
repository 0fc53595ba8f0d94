//! The API itself: what keys may do on which plan, how errors look, and what each route demands.

use std::sync::Arc;
use std::time::Duration;

use tollgate::access::{Access, scope, session};
use tollgate::core::clock::Timestamp;
use tollgate::core::plan::CountPer;
use tollgate::core::quota::{QuotaLimit, QuotaPeriod};
use tollgate::core::rate::RateLimit;
use tollgate::credential::Credentials;
use tollgate::envelope::Errors;
use tollgate::request_id::IdMaker;
use tollgate::{Catalog, DenialKind, Gate, GateBuilder, Plan, Routes, Scope};
use tollgate_examples::failure::Failure;

use self::feed::Feed;

mod articles;
mod feed;
mod formats;
mod ioc;
mod iocs;
mod keys;
mod look_back;
mod lookup;
mod page;
mod rules;
mod statistics;
mod taxii;

/// The only credential of `GET /api/v1/keys`, which takes no key.
pub(crate) const SESSION_COOKIE: &str = "sb-access-token";

/// How many requests an address may send in any minute that nobody's key answers for.
const STRANGERS_PER_MINUTE: u32 = 60;

const MINUTE: Duration = Duration::from_secs(60);

/// The two tiers, and the scopes of keys. None implies another.
pub(crate) fn catalog() -> Result<Catalog, Failure> {
    let tier = |name: &str, rank, per_minute, per_day| -> Result<Plan, Failure> {
        Ok(Plan::new(name)
            .rank(rank)
            .rate(RateLimit::exact(per_minute, MINUTE)?)
            .quota(QuotaLimit::new(per_day, QuotaPeriod::Day)?)
            .per(CountPer::Key) // the document lists limits key by key
            .feature("format.json")
            .feature("format.csv"))
    };
    let free = tier("free", 0, 10, 1_000)?.number(look_back::DAYS, 1);
    let pro = tier("pro", 1, 1_000, 1_000_000)?
        .number(look_back::DAYS, 365)
        .feature("format.stix")
        .feature("format.taxii")
        .feature("format.misp")
        .feature("format.cef")
        .feature("format.openioc")
        .feature("format.sigma");
    let catalog = Catalog::builder()
        .scopes([
            Scope::new("read:iocs").describe("Indicators, look-ups, statistics, detection rules"),
            Scope::new("read:articles").describe("Articles, a page at a time"),
            Scope::new("read:articles:export").describe("All articles at once"),
            Scope::new("read:stix").describe("Indicators as STIX 2.1, also by TAXII 2.1"),
        ])
        .plan(free)
        .plan(pro)
        .build()?;
    Ok(catalog)
}

/// Where keys are sent, how errors look, and what nobody in particular may ask for.
#[expect(clippy::expect_used, reason = "the three are constants, and good ones")]
pub(crate) fn configure(gate: GateBuilder) -> GateBuilder {
    let credentials = Credentials::new().with_query_parameter("api_key");
    let strangers = RateLimit::exact(STRANGERS_PER_MINUTE, MINUTE);
    gate.credentials(credentials.expect("a parameter's name"))
        .request_ids(IdMaker::prefixed("req_").expect("a prefix"))
        // All responses have rate headers, those to nobody in particular too.
        .address_rate(strangers.expect("a rate"))
        .errors(
            Errors::json()
                .code(DenialKind::EntitlementRequired, "plan_required")
                .message(
                    DenialKind::EntitlementRequired,
                    "The plan of this API key does not include this.",
                ),
        )
}

/// Every route, with what it demands. One without that does not compile.
pub(crate) fn routes(gate: &Gate) -> Routes<Intel> {
    let iocs = || scope("read:iocs");
    let taxii = || scope("read:stix").feature("format.taxii");
    gate.routes()
        .get(
            "/api/v1/iocs",
            iocs::export,
            iocs().describe("Export IOCs: JSON, CSV, MISP, CEF or OpenIOC"),
        )
        .get(
            "/api/v1/iocs/stix",
            iocs::stix,
            scope("read:stix")
                .feature("format.stix")
                .describe("Export IOCs as a STIX 2.1 bundle"),
        )
        .get("/api/v1/export/misp", iocs::misp, export("misp"))
        .get("/api/v1/export/cef", iocs::cef, export("cef"))
        .get("/api/v1/export/openioc", iocs::openioc, export("openioc"))
        .get(
            "/api/v1/lookup",
            lookup::one,
            iocs().describe("Look one IOC up; its type is detected"),
        )
        .get(
            "/api/v1/stats",
            statistics::all,
            iocs().describe("Counts of IOCs and articles"),
        )
        .get(
            "/api/v1/rules/sigma",
            rules::sigma,
            iocs()
                .feature("format.sigma")
                .describe("Sigma rules of recent IOCs"),
        )
        .get(
            "/api/v1/articles",
            articles::list,
            scope("read:articles").describe("List articles, filtered"),
        )
        .get(
            "/api/v1/articles/export",
            articles::export,
            scope("read:articles:export").describe("Export all articles: JSON or CSV"),
        )
        .get(
            "/api/v1/keys",
            keys::list,
            session().describe("List your API keys"),
        )
        .get(
            "/api/taxii2/",
            taxii::discovery,
            taxii().describe("TAXII: discovery"),
        )
        .get(
            "/api/taxii2/feed/",
            taxii::api_root,
            taxii().describe("TAXII: the API root"),
        )
        .get(
            "/api/taxii2/feed/collections/",
            taxii::collections,
            taxii().describe("TAXII: the collections"),
        )
        .get(
            "/api/taxii2/feed/collections/{collection}/",
            taxii::collection,
            taxii().describe("TAXII: a collection"),
        )
        .get(
            "/api/taxii2/feed/collections/{collection}/manifest/",
            taxii::manifest,
            taxii().describe("TAXII: what a collection has"),
        )
        .get(
            "/api/taxii2/feed/collections/{collection}/objects/",
            taxii::objects,
            taxii().describe("TAXII: the objects of a collection"),
        )
        .get(
            "/api/taxii2/feed/collections/{collection}/objects/{object}/",
            taxii::object,
            taxii().describe("TAXII: an object"),
        )
        .get(
            "/api/taxii2/feed/collections/{collection}/objects/{object}/versions/",
            taxii::versions,
            taxii().describe("TAXII: the versions of an object"),
        )
}

/// A specialized export of IOCs, in a format that not every plan has.
fn export(format: &str) -> Access {
    scope("read:iocs")
        .feature(format!("format.{format}"))
        .describe(format!("Export IOCs for {format}"))
}

/// What the handlers share: the intelligence, and the gate that knows keys and time.
#[derive(Clone, Debug)]
pub(crate) struct Intel {
    gate: Gate,
    feed: Arc<Feed>,
}

impl Intel {
    /// The bundled samples, as old as they say from now on.
    pub(crate) fn samples(gate: &Gate) -> Result<Self, Failure> {
        let feed = Feed::samples(gate.clock().now().wall)?;
        Ok(Self {
            gate: gate.clone(),
            feed: Arc::new(feed),
        })
    }

    fn now(&self) -> Timestamp {
        self.gate.clock().now().wall
    }
}
