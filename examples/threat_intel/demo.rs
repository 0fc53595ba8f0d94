//! The organizations and keys to try the API with: made at the first start, shown once.

use std::fmt;
use std::time::Duration;

use tollgate::Gate;
use tollgate::core::change::Actor;
use tollgate::core::id::OrgId;
use tollgate::core::keyring::{Issued, NewKey, NewOrganization};
use tollgate::core::secret::Secret;
use tollgate_examples::demo;
use tollgate_examples::failure::Failure;
use tollgate_examples::people::COOKIES;
use tollgate_examples::tour::{Curl, Tour};

/// The organization on the pro plan, which is made last.
pub(crate) const PRO: &str = "northwind-soc";

const FREE: &str = "weekend-lab";

const NETWORK: &str = "/api/taxii2/feed/collections/91a7b528-80eb-42ed-a74d-c6fbd5a26116";
const IDENTITY: &str = "identity--0d0f5dbe-6d0c-4b3f-9a53-0a6b8f4c3b11";

/// How long the key on the free plan lasts.
const QUARTER: Duration = Duration::from_secs(90 * 86_400);

/// The secrets, which nobody can read again once this is gone.
#[derive(Debug)]
pub(crate) struct Demo {
    siem: Issued,
    sandbox: Issued,
    upgraded: Issued,
    revoked: Issued,
}

impl Demo {
    /// Makes the keys, unless an earlier start has.
    pub(crate) async fn make(gate: &Gate) -> Result<Option<Self>, Failure> {
        demo::once(gate, &OrgId::new(PRO)?, Box::pin(Self::new(gate))).await
    }

    async fn new(gate: &Gate) -> Result<Self, Failure> {
        let (free, pro) = (OrgId::new(FREE)?, OrgId::new(PRO)?);
        let keyring = gate.keyring();
        let actor = Actor::named("example");
        let issue = async |key| keyring.issue(key, &actor).await;
        let all = [
            "read:iocs",
            "read:articles",
            "read:articles:export",
            "read:stix",
        ];

        let organization = NewOrganization::new(free.clone(), "free");
        keyring.create_organization(organization, &actor).await?;
        let expiry = gate.clock().now().wall.after(QUARTER);
        let sandbox = NewKey::new(free.clone(), "Dev sandbox")
            .scopes(["read:iocs", "read:articles"])
            .expires_at(expiry);
        let sandbox = issue(sandbox).await?;
        // A plan of the key's own, over its organization's.
        let upgraded = NewKey::new(free.clone(), "Hunting notebook").plan("pro");
        let upgraded = issue(upgraded.scopes(all)).await?;
        let revoked = issue(NewKey::new(free, "Lost laptop").scopes(all)).await?;
        keyring.revoke(&revoked.key.id, &actor).await?;

        let organization = NewOrganization::new(pro.clone(), "pro");
        keyring.create_organization(organization, &actor).await?;
        let siem = issue(NewKey::new(pro, "Production SIEM").scopes(all)).await?;
        Ok(Self {
            siem,
            sandbox,
            upgraded,
            revoked,
        })
    }

    /// Requests to try the keys with. The operator has signed in before.
    pub(crate) fn guide(&self, tour: &mut Tour) {
        self.guide_to_formats(tour);
        self.guide_to_taxii(tour);
        let sandbox = |path: &str| Curl::get(path).bearer(&self.sandbox.secret);
        let about = "all keys of the operator's organizations, revoked ones too";
        let keys = || Curl::get("/api/v1/keys").cookies(COOKIES);
        tour.add(200, about, keys());
        let about = "the list takes a session only; a key beside it is refused";
        tour.add(401, about, keys().bearer(&self.siem.secret));
        tour.add(401, "no key", Curl::get("/api/v1/iocs"));
        let about = "the key is revoked";
        let revoked = Curl::get("/api/v1/iocs").bearer(&self.revoked.secret);
        tour.add(401, about, revoked);
        let about = "the free plan looks back one day";
        tour.add(403, about, sandbox("/api/v1/iocs?days=7"));
        let about = "the free plan has no MISP";
        tour.add(403, about, sandbox("/api/v1/export/misp"));
        let about = "the key lacks the scope for bulk exports";
        tour.add(403, about, sandbox("/api/v1/articles/export"));
        let about = "the last of 11 requests; the free plan allows 10 in a minute";
        tour.add(429, about, sandbox("/api/v1/stats?try=[1-11]"));
    }

    fn guide_to_formats(&self, tour: &mut Tour) {
        let siem = |path: &str| Curl::get(path).bearer(&self.siem.secret);
        let header =
            |path: &str, secret: &Secret| Curl::get(path).header("X-API-Key", secret.expose());
        let about = "indicators of the last day, on the free plan";
        let csv = "/api/v1/iocs?format=csv&type=domain";
        tour.add(200, about, header(csv, &self.sandbox.secret));
        let secret = self.upgraded.secret.expose();
        let about = "a pro key of an organization on the free plan, in the query";
        let cef = format!("/api/v1/iocs?format=cef&days=30&api_key={secret}");
        tour.add(200, about, Curl::get(cef));
        for (about, path) in [
            ("a STIX 2.1 bundle", "/api/v1/iocs/stix?days=30"),
            ("a MISP event", "/api/v1/export/misp?days=30"),
            ("CEF, a line an indicator", "/api/v1/export/cef"),
            ("an OpenIOC document", "/api/v1/export/openioc"),
            (
                "what is known of an indicator",
                "/api/v1/lookup?ioc=198.51.100.20",
            ),
            ("how much there is", "/api/v1/stats?days=365"),
            (
                "Sigma rules for DNS logs",
                "/api/v1/rules/sigma?logsource=dns&days=30",
            ),
            (
                "articles on phishing",
                "/api/v1/articles?category=phishing&days=365",
            ),
            (
                "all articles of a year",
                "/api/v1/articles/export?format=csv&days=365",
            ),
        ] {
            tour.add(200, about, siem(path));
        }
    }

    fn guide_to_taxii(&self, tour: &mut Tour) {
        for (about, path) in [
            ("TAXII: where to begin", "/api/taxii2/".to_owned()),
            ("TAXII: the API root", "/api/taxii2/feed/".to_owned()),
            (
                "TAXII: the collections",
                "/api/taxii2/feed/collections/".to_owned(),
            ),
            ("TAXII: a collection", format!("{NETWORK}/")),
            (
                "TAXII: what is in it",
                format!("{NETWORK}/manifest/?limit=3"),
            ),
            ("TAXII: its objects", format!("{NETWORK}/objects/?limit=2")),
            ("TAXII: an object", format!("{NETWORK}/objects/{IDENTITY}/")),
            (
                "TAXII: its versions",
                format!("{NETWORK}/objects/{IDENTITY}/versions/"),
            ),
        ] {
            let request = Curl::get(path).bearer(&self.siem.secret);
            let accept = "application/taxii+json;version=2.1";
            tour.add(200, about, request.header("Accept", accept));
        }
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
            (&self.siem, "pro", "every scope"),
            (&self.sandbox, "free", "read:iocs, read:articles"),
            (&self.upgraded, "pro", "every scope, on a plan of its own"),
            (&self.revoked, "free", "revoked"),
        ];
        for (Issued { key, secret, .. }, plan, may) in rows {
            let (organization, secret) = (key.organization.as_str(), secret.expose());
            let name = &key.name;
            writeln!(
                f,
                "  {organization:13}  {plan:4}  {name:16}  {secret}  {may}"
            )?;
        }
        Ok(())
    }
}
