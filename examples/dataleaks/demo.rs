//! The workspaces and keys to try the API with: made at the first start, shown once.

use std::fmt;

use tollgate::Gate;
use tollgate::core::change::Actor;
use tollgate::core::id::OrgId;
use tollgate::core::keyring::{Issued, NewKey, NewOrganization};
use tollgate_examples::demo;
use tollgate_examples::failure::Failure;
use tollgate_examples::tour::{Curl, Tour};

use crate::api::{Domain, Watchlist, Watchlists};

/// A workspace in good standing. It is made last.
pub(crate) const ACTIVE: &str = "acme";

/// A workspace whose billing is restricted.
const RESTRICTED: &str = "globex";

/// The watchlists that are there at every start, as those of a server that forgets nothing.
const OF_ACTIVE: &str = "5d0f7c1e-6f0b-4c57-9d0a-2f7f4e0c9a11";
const OF_RESTRICTED: &str = "b3c5a0d2-1e6e-4f58-8a94-7f1f6d2f3c22";

/// The secrets, which nobody can read again once this is gone.
#[derive(Debug)]
pub(crate) struct Demo {
    siem: Issued,
    soar: Issued,
    retired: Issued,
    restricted: Issued,
}

/// One watchlist for each workspace.
pub(crate) fn watchlists() -> Result<Watchlists, Failure> {
    let mut watchlists = Watchlists::default();
    for (organization, id, domain) in [
        (ACTIVE, OF_ACTIVE, "acme.example"),
        (RESTRICTED, OF_RESTRICTED, "globex.example"),
    ] {
        let watchlist = Watchlist::of_domain("Our domain", Domain::read(domain)?);
        watchlists = watchlists.with(OrgId::new(organization)?, id, watchlist);
    }
    Ok(watchlists)
}

impl Demo {
    /// Makes the workspaces and their keys, unless an earlier start has.
    pub(crate) async fn make(gate: &Gate) -> Result<Option<Self>, Failure> {
        demo::once(gate, &OrgId::new(ACTIVE)?, Box::pin(Self::new(gate))).await
    }

    async fn new(gate: &Gate) -> Result<Self, Failure> {
        let keyring = gate.keyring();
        let (active, restricted) = (OrgId::new(ACTIVE)?, OrgId::new(RESTRICTED)?);
        let actor = Actor::named("example");
        let issue = async |organization: &OrgId, name: &str| {
            let key = NewKey::new(organization.clone(), name);
            keyring.issue(key, &actor).await
        };

        let workspace = NewOrganization::new(restricted.clone(), "enterprise")
            .resource("domain", "globex.example")
            .resource("bin", "51005100");
        keyring.create_organization(workspace, &actor).await?;
        keyring.restrict_billing(&restricted, &actor).await?;
        let of_restricted = issue(&restricted, "siem").await?;

        let workspace = NewOrganization::new(active.clone(), "enterprise")
            .resource("domain", "acme.example")
            .resource("bin", "424242");
        keyring.create_organization(workspace, &actor).await?;
        let retired = issue(&active, "data lake").await?;
        keyring.revoke(&retired.key.id, &actor).await?;
        Ok(Self {
            siem: issue(&active, "siem").await?,
            soar: issue(&active, "soar").await?,
            retired,
            restricted: of_restricted,
        })
    }

    /// Requests to try the keys with.
    pub(crate) fn guide(&self, tour: &mut Tour) {
        self.guide_to_watchlists(tour);
        self.guide_to_leaks(tour);
        let list = || Curl::get("/api/v1/watchlists");
        tour.add(401, "no key", list());
        tour.add(
            401,
            "a key that was revoked looks like one that never was",
            list().bearer(&self.retired.secret),
        );
        tour.add(
            200,
            "the workspace's billing is restricted; this is not protected",
            list().bearer(&self.restricted.secret),
        );
        tour.add(
            403,
            "the workspace's billing is restricted, and leaks are protected",
            Curl::get("/api/v1/dataleaks/domain?domain=globex.example")
                .bearer(&self.restricted.secret),
        );
    }

    fn guide_to_watchlists(&self, tour: &mut Tour) {
        let siem = |request: Curl| request.bearer(&self.siem.secret);
        let of = |id: &str| format!("/api/v1/watchlists/{id}");
        let create = |body: &str| siem(Curl::post("/api/v1/watchlists").json(body));
        tour.add(
            200,
            "the workspace's watchlists",
            siem(Curl::get("/api/v1/watchlists")),
        );
        tour.add(
            201,
            "a new watchlist of what the workspace owns",
            create(r#"{"name":"Board","emails":["ann@acme.example"],"bins":["42424242"]}"#),
        );
        tour.add(200, "one watchlist", siem(Curl::get(of(OF_ACTIVE))));
        let edit = Curl::method("PATCH", of(OF_ACTIVE));
        tour.add(
            200,
            "changes a watchlist; what is not named stays as it is",
            siem(edit.json(r#"{"domains":["acme.example","mail.acme.example"]}"#)),
        );
        tour.add(
            204,
            "deletes a watchlist",
            siem(Curl::method("DELETE", of(OF_ACTIVE))),
        );
        tour.add(
            403,
            "a deleted watchlist, one of another workspace and one that never was look alike",
            siem(Curl::get(of(OF_RESTRICTED))),
        );
        tour.add(
            403,
            "nobody watches what is not theirs",
            create(r#"{"name":"Rivals","domains":["globex.example"]}"#),
        );
    }

    fn guide_to_leaks(&self, tour: &mut Tour) {
        let soar =
            |query: &str| Curl::get(format!("/api/v1/dataleaks/{query}")).bearer(&self.soar.secret);
        tour.add(
            200,
            "leaks of a domain, and of those below it",
            soar("domain?domain=ACME.example."),
        );
        tour.add(
            200,
            "an address is in scope if its domain is",
            soar("email?email=ann@mail.acme.example"),
        );
        tour.add(200, "leaks of a BIN's cards", soar("bin?bin=424242"));
        let search = Curl::post("/api/v1/dataleaks/search");
        tour.add(
            200,
            "leaks of everything that is asked about",
            search
                .json(r#"{"email":"ben@acme.example","bin":"42424299"}"#)
                .bearer(&self.soar.secret),
        );
        tour.add(400, "no domain", soar("domain"));
        tour.add(
            400,
            "two domains",
            soar("domain?domain=acme.example&domain=globex.example"),
        );
        tour.add(
            403,
            "not the workspace's domain, though it ends like it",
            soar("domain?domain=notacme.example"),
        );
        tour.add(
            403,
            "each input must be in scope, not only the one that the route requires",
            soar("domain?domain=acme.example&bin=51005100"),
        );
    }
}

/// The secrets, shown this once.
impl fmt::Display for Demo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Four keys were made. Their secrets are shown this once:\n"
        )?;
        let rows = [
            (&self.siem, "acme.example, BIN 424242"),
            (&self.soar, "the same workspace: a key per integration"),
            (&self.retired, "revoked"),
            (&self.restricted, "globex.example; billing is restricted"),
        ];
        for (issued, about) in rows {
            let organization = issued.key.organization.as_str();
            let (name, secret) = (&issued.key.name, issued.secret.expose());
            writeln!(f, "  {organization:6}  {name:9}  {secret}  {about}")?;
        }
        writeln!(
            f,
            "\nWhat has leaked is made up: it comes with this example."
        )
    }
}
