//! The phishing lab, sentence by sentence of its documentation. docs/SEEDS.md says which test
//! holds it to which.

use std::sync::Arc;

use tollgate::Gate;
use tollgate::Routes;
use tollgate_testkit::app::{Call, TestApp, TestGate};

use crate::stores;

use self::app::api::{self, Samples};

#[path = "../phishing_lab"]
mod app {
    pub(crate) mod api;
}

mod answers;
mod health;
mod keys;
mod permissions;
mod plans;
mod prices;

/// Everything that can be asked of the lab.
const EVERY_SCOPE: [&str; 9] = [
    "phishing:read",
    "phishing:analyze",
    "phishing:ai",
    "enrichment:read",
    "enrichment:write",
    "exposure:read",
    "ai:chat",
    "ai:triage",
    "api:full",
];

const EMAIL: &str = "\
From: \"Acme Bank\" <service@acmebank-login.example>\r
Reply-To: collect@evil.example\r
Subject: =?utf-8?q?Your_account_was_limited?=\r
Content-Type: text/html\r
\r
<a href=\"https://evil.example/login\">https://acmebank.example/login</a>\r
";

/// The lab, behind a gate in memory.
async fn lab() -> (TestGate, TestApp) {
    let kit = stores::kit(api::catalog().unwrap()).build().await;
    let app = kit.app(routes(kit.gate()).into_service().unwrap());
    (kit, app)
}

fn routes(gate: &Gate) -> Routes {
    api::routes(gate).with_state(Arc::new(Samples::bundled().unwrap()))
}

/// A request that the route's handler has nothing to say against.
fn good<'a>(call: Call<'a>, path: &str) -> Call<'a> {
    let domain = r#"{"domain":"evil.example"}"#;
    let ip = r#"{"ip":"198.51.100.23"}"#;
    let url = r#"{"url":"https://evil.example/login"}"#;
    match path {
        "/phishing/analyze" | "/phishing/analyze/ai" => call.body("message/rfc822", EMAIL),
        "/phishing/enrich" => call.json(r#"{"indicator":"evil.example"}"#),
        "/enrichment/lookup" => call.json(r#"{"indicators":["evil.example"]}"#),
        "/phishing/dns" => call.json(domain),
        "/phishing/blacklist" | "/phishing/geoip" => call.json(ip),
        "/phishing/safe-browsing" | "/phishing/checkphish" | "/phishing/urlscan" => call.json(url),
        "/phishing/url-expand" => call.json(r#"{"url":"https://short.example/a1"}"#),
        "/exposure/scan" => call.json(r#"{"target":"acme.example"}"#),
        "/ai/chat" => call.json(r#"{"message":"What is in the log?"}"#),
        "/ai/triage" => call.json(r#"{"title":"a port scan"}"#),
        "/ai/analysis" => {
            call.json(r#"{"events":[{"at":"2026-03-01T09:30:00Z","what":"a macro ran"}]}"#)
        }
        "/ai/threat-profile" => call.json(r#"{"techniques":["T1566.002","T1078"]}"#),
        "/ai/detect" => call.json(r#"{"name":"x","indicators":["evil.example"]}"#),
        _ => call,
    }
}
