//! The API itself: what leaked of a workspace, what it watches, and what each route demands.

use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use tollgate::access::authenticated;
use tollgate::core::catalog::KeyFormatSpec;
use tollgate::credential::Credentials;
use tollgate::envelope::Errors;
use tollgate::{Catalog, DenialKind, Gate, GateBuilder, Plan, Routes};
use tollgate_examples::failure::Failure;

pub(crate) use self::inputs::Domain;
pub(crate) use self::watchlists::{Watchlist, Watchlists};

mod extract;
mod inputs;
mod leaks;
mod watchlists;

/// Keys are to be rotated every 60 to 90 days. The warning comes when the first of these days
/// does, so that there is a month to do it in.
pub(crate) const ROTATE_AFTER: Duration = Duration::from_secs(60 * 86_400);

/// The longest body, in bytes: more than the longest watchlist takes.
pub(crate) const LONGEST_BODY: usize = 64 * 1024;

/// How many watchlists a workspace may have.
pub(crate) const MOST_WATCHLISTS: usize = 100;

/// How many domains, addresses and BINs a watchlist may name.
pub(crate) const MOST_TARGETS: usize = 100;

/// No scopes: what a key may ask for follows from the workspace that it is bound to.
pub(crate) fn catalog() -> Result<Catalog, Failure> {
    let catalog = Catalog::builder()
        .key_format(KeyFormatSpec::new("dl").environment("live"))
        .rotation_age(ROTATE_AFTER)
        .plan(Plan::new("enterprise"))
        .build()?;
    Ok(catalog)
}

/// Keys come in `Authorization: Bearer` alone, and errors are `{"error": "…"}`.
pub(crate) fn configure(gate: GateBuilder) -> GateBuilder {
    let errors = Errors::flat()
        .message(DenialKind::MissingCredential, "Missing API key")
        .message(DenialKind::InvalidCredential, "Invalid or revoked API key")
        .message(
            DenialKind::ResourceNotOwned,
            "This is out of the workspace's scope.",
        )
        // What cannot be read is a 400 in bodies too, where axum says 422.
        .status(DenialKind::Status(422), StatusCode::BAD_REQUEST);
    gate.credentials(Credentials::bearer_only()).errors(errors)
}

/// Every route, with what it demands. Those that stay open to a workspace whose billing is
/// restricted say so; the others are protected.
pub(crate) fn routes(gate: &Gate) -> Routes<Watchlists> {
    let api = gate
        .routes()
        .get(
            "/watchlists",
            watchlists::list,
            authenticated()
                .allow_billing_restricted()
                .describe("List the workspace's watchlists"),
        )
        .post(
            "/watchlists",
            watchlists::create,
            authenticated().describe("Create a watchlist"),
        )
        .get(
            "/watchlists/{id}",
            watchlists::show,
            authenticated()
                .allow_billing_restricted()
                .describe("Show a watchlist"),
        )
        .patch(
            "/watchlists/{id}",
            watchlists::edit,
            authenticated().describe("Change a watchlist"),
        )
        .delete(
            "/watchlists/{id}",
            watchlists::delete,
            authenticated()
                .allow_billing_restricted()
                .describe("Delete a watchlist"),
        )
        .get(
            "/dataleaks/domain",
            leaks::of_domain,
            authenticated().describe("Leaks of a domain's accounts"),
        )
        .get(
            "/dataleaks/email",
            leaks::of_email,
            authenticated().describe("Leaks of an e-mail address"),
        )
        .get(
            "/dataleaks/bin",
            leaks::of_bin,
            authenticated().describe("Leaks of a BIN's cards"),
        )
        .post(
            "/dataleaks/search",
            leaks::search,
            authenticated().describe("Leaks of a domain, an e-mail address and a BIN"),
        )
        .layer(DefaultBodyLimit::max(LONGEST_BODY));
    gate.routes().nest("/api/v1", api)
}
