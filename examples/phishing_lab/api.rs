//! The API itself: eighteen endpoints, and what each demands.
//!
//! What would need the internet answers from bundled sample data, and what would need a language
//! model from templates that are filled on this machine. Each such answer says so.

use std::sync::Arc;

use axum::Json;
use axum::extract::DefaultBodyLimit;
use serde::Serialize;
use tollgate::access::{public, scope};
use tollgate::{Gate, Routes};

pub(crate) use self::catalog::catalog;
pub(crate) use self::samples::Samples;

mod assistant;
mod catalog;
mod email;
mod enrichment;
mod incident;
mod input;
mod lookups;
mod rules;
mod samples;

/// The longest body: an e-mail with a few attachments.
const LONGEST_BODY: usize = 1024 * 1024;

/// The least and the most that an answer of the assistant costs.
pub(crate) const CHAT_CREDITS: (u64, u64) = (1, 50);

/// What each answer says that a language model would give elsewhere.
const TEMPLATES: &str = "templates filled on this machine; no language model was asked";

/// The endpoint permission map of the documentation, line by line.
#[expect(clippy::too_many_lines, reason = "a table, one row a route")]
pub(crate) fn routes(gate: &Gate) -> Routes<Arc<Samples>> {
    let (least, most) = CHAT_CREDITS;
    gate.routes()
        .post(
            "/phishing/analyze",
            email::analyze,
            scope("phishing:analyze")
                .credits(1)
                .describe("Heuristic email analysis"),
        )
        .post(
            "/phishing/analyze/ai",
            email::analyze_with_ai,
            scope("phishing:ai")
                .credits(10)
                .describe("AI-enhanced phishing verdict"),
        )
        .post(
            "/phishing/enrich",
            enrichment::enrich,
            scope("enrichment:read")
                .credits(2)
                .describe("IOC enrichment"),
        )
        .post(
            "/enrichment/lookup",
            enrichment::look_up,
            scope("enrichment:read")
                .credits_per_item(3)
                .describe("IOC enrichment (standalone)"),
        )
        .post(
            "/phishing/dns",
            lookups::dns,
            scope("phishing:read")
                .credits(1)
                .describe("DNS configuration analysis"),
        )
        .post(
            "/phishing/blacklist",
            lookups::blacklist,
            scope("phishing:read").credits(1).describe("IP DNSBL check"),
        )
        .post(
            "/phishing/geoip",
            lookups::geoip,
            scope("phishing:read").credits(1).describe("IP geolocation"),
        )
        .post(
            "/phishing/safe-browsing",
            lookups::safe_browsing,
            scope("phishing:read")
                .credits(2)
                .describe("Google Safe Browsing"),
        )
        .post(
            "/phishing/checkphish",
            lookups::checkphish,
            scope("phishing:read")
                .credits(2)
                .describe("CheckPhish URL scan"),
        )
        .post(
            "/phishing/urlscan",
            lookups::urlscan,
            scope("phishing:read")
                .credits(3)
                .describe("URLScan.io analysis"),
        )
        .post(
            "/phishing/url-expand",
            lookups::url_expand,
            scope("phishing:read")
                .credits(1)
                .describe("URL redirect chain"),
        )
        .post(
            "/exposure/scan",
            lookups::exposure,
            scope("exposure:read")
                .credits(10)
                .describe("Attack surface scan"),
        )
        .post(
            "/ai/chat",
            assistant::chat,
            scope("ai:chat")
                .credits_between(least, most)
                .describe("AI-powered DFIR assistant"),
        )
        .post(
            "/ai/triage",
            incident::triage,
            scope("ai:triage")
                .credits(10)
                .describe("AI alert triage and severity classification"),
        )
        .post(
            "/ai/analysis",
            incident::analyze,
            scope("ai:triage")
                .credits(15)
                .describe("Deep incident analysis with timeline reconstruction"),
        )
        .post(
            "/ai/threat-profile",
            incident::profile,
            scope("ai:triage")
                .credits(20)
                .describe("Threat actor profiling from observed TTPs"),
        )
        .post(
            "/ai/detect",
            rules::generate,
            scope("ai:triage")
                .credits(15)
                .describe("Detection rule generation (YARA, Sigma, Snort, Suricata)"),
        )
        .get("/health", health, public().describe("Service status"))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
}

/// That the service is up.
#[derive(Debug, Serialize)]
struct Health {
    status: &'static str,
}

async fn health() -> Json<Health> {
    Json(Health { status: "up" })
}
