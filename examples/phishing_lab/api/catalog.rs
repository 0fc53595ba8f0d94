//! What keys may do, in the sets that the documentation names, on which plan.

use tollgate::core::catalog::Preset;
use tollgate::{Catalog, Plan, Scope};
use tollgate_examples::failure::Failure;

/// Scopes, presets and plans.
///
/// "Starter or above" belongs to the permission, so every route that demands one of these three
/// scopes demands the plan as well, and says nothing of it.
pub(crate) fn catalog() -> Result<Catalog, Failure> {
    let catalog = Catalog::builder()
        .scope(
            Scope::new("phishing:read")
                .describe("Phishing Lookups")
                .implies("enrichment:read"),
        )
        .scope(Scope::new("phishing:analyze").describe("Email Analysis"))
        .scope(
            Scope::new("phishing:ai")
                .describe("AI Verdict")
                .requires_plan("starter"),
        )
        .scope(Scope::new("enrichment:read").describe("IOC Enrichment (Read)"))
        .scope(
            Scope::new("enrichment:write")
                .describe("IOC Enrichment (Write)")
                .reserved(),
        )
        .scope(Scope::new("exposure:read").describe("Exposure Scanning"))
        .scope(
            Scope::new("ai:chat")
                .describe("AI Chat")
                .requires_plan("starter"),
        )
        .scope(
            Scope::new("ai:triage")
                .describe("AI Triage & Analysis")
                .requires_plan("starter"),
        )
        .scope(
            Scope::new("api:full")
                .describe("Full Access")
                .implies_everything(),
        )
        .scopes([lab_read(), lab_write()])
        .scopes(of_the_legacy_scopes())
        .preset(
            Preset::new("enrichment")
                .describe("Only IOC Enrichment")
                .scopes(["enrichment:read", "enrichment:write"]),
        )
        .preset(
            Preset::new("lookups")
                .describe("Phishing Lookups + Enrichment")
                .scopes(["phishing:read"]),
        )
        .preset(
            Preset::new("phishing")
                .describe("Full Phishing Analysis")
                .scopes(["phishing:read", "phishing:analyze", "phishing:ai"]),
        )
        .preset(
            Preset::new("exposure")
                .describe("Exposure Scanning Only")
                .scopes(["exposure:read"]),
        )
        .preset(
            Preset::new("assistant")
                .describe("AI Assistant + Enrichment")
                .scopes(["ai:chat", "enrichment:read"]),
        )
        .preset(
            Preset::new("everything")
                .describe("Everything")
                .scopes(["api:full"]),
        )
        .plan(Plan::new("free").rank(0))
        .plan(Plan::new("starter").rank(1))
        .plan(Plan::new("pro").rank(2))
        .build()?;
    Ok(catalog)
}

fn lab_read() -> Scope {
    Scope::new("lab:read")
        .describe("Legacy scope")
        .legacy()
        .deprecated("use granular permissions, such as `phishing:read`")
        .implies("phishing:read")
        .implies("phishing:analyze")
        .implies("enrichment:read")
        .implies("detection:read")
        .implies("darkweb:read")
        .implies("exposure:read")
        .implies("file:read")
}

fn lab_write() -> Scope {
    Scope::new("lab:write")
        .describe("Legacy scope")
        .legacy()
        .deprecated("use granular permissions, such as `phishing:ai`")
        .implies("phishing:ai")
        .implies("enrichment:write")
        .implies("detection:write")
        .implies("ai:read")
        .implies("file:write")
        .implies("file:analyze")
}

/// What the legacy scopes imply and no endpoint needs. None of them is among the permissions that
/// a key can be given.
fn of_the_legacy_scopes() -> [Scope; 7] {
    [
        "detection:read",
        "detection:write",
        "darkweb:read",
        "ai:read",
        "file:read",
        "file:write",
        "file:analyze",
    ]
    .map(|name| Scope::new(name).reserved().legacy())
}
