//! The organizations and keys to try the API with: made at the first start, shown once.

use std::fmt;

use tollgate::Gate;
use tollgate::core::change::Actor;
use tollgate::core::id::OrgId;
use tollgate::core::ip::IpRules;
use tollgate::core::keyring::{Issued, NewKey, NewOrganization};
use tollgate::core::record::ApiKey;
use tollgate_examples::demo;
use tollgate_examples::failure::Failure;
use tollgate_examples::tour::{Curl, Tour};

use crate::api::{FREE_PER_MINUTE, REPORT_CREDITS};

const FREE_CREDITS: u64 = 2;
const PRO_CREDITS: u64 = 100;

/// The secrets, which nobody can read again once this is gone.
#[derive(Debug)]
pub(crate) struct Demo {
    writer: Issued,
    office: Issued,
    reader: Issued,
    analyst: Issued,
}

/// The organization on the pro plan, which is made last.
fn pro() -> Result<OrgId, Failure> {
    Ok(OrgId::new("acme")?)
}

impl Demo {
    /// Makes the keys, unless an earlier start has.
    pub(crate) async fn make(gate: &Gate) -> Result<Option<Self>, Failure> {
        demo::once(gate, &pro()?, Box::pin(Self::new(gate))).await
    }

    async fn new(gate: &Gate) -> Result<Self, Failure> {
        let actor = Actor::named("example");
        let keyring = gate.keyring();
        let issue = async |key| keyring.issue(key, &actor).await;

        let free = OrgId::new("hobby")?;
        let organization = NewOrganization::new(free.clone(), "free");
        keyring.create_organization(organization, &actor).await?;
        gate.grant_credits(&free, FREE_CREDITS, &actor).await?;
        let reader = issue(NewKey::new(free.clone(), "reader").scopes(["iocs:read"])).await?;
        let analyst = issue(NewKey::new(free, "analyst").scopes(["reports:read"])).await?;

        let pro = pro()?;
        let organization = NewOrganization::new(pro.clone(), "pro");
        keyring.create_organization(organization, &actor).await?;
        gate.grant_credits(&pro, PRO_CREDITS, &actor).await?;
        let writer = NewKey::new(pro.clone(), "writer").scopes(["iocs:write", "reports:read"]);
        let writer = issue(writer).await?;
        let office = IpRules::allowing("203.0.113.0/24".parse()?);
        let office = NewKey::new(pro, "office")
            .scopes(["iocs:read"])
            .ip_rules(office);
        Ok(Self {
            writer,
            office: issue(office).await?,
            reader,
            analyst,
        })
    }

    /// Requests to try the keys with.
    pub(crate) fn guide(&self, tour: &mut Tour) {
        let [writer, office, reader, analyst] =
            [&self.writer, &self.office, &self.reader, &self.analyst]
                .map(|issued| |request: Curl| request.bearer(&issued.secret));
        let submit = || Curl::post("/iocs").json(r#"{"value":"bad.example","kind":"domain"}"#);
        let report = || Curl::get("/iocs/evil.example/report");
        let too_many = FREE_PER_MINUTE.saturating_add(1);
        tour.add(200, "everybody may ask for this", Curl::get("/health"));
        tour.add(
            200,
            "iocs:write implies iocs:read",
            writer(Curl::get("/iocs")),
        );
        tour.add(
            201,
            "submits an indicator; 409 when it is sent again",
            writer(submit()),
        );
        tour.add(
            200,
            format!("costs {REPORT_CREDITS} of the organization's {PRO_CREDITS} credits"),
            writer(report()),
        );
        tour.add(
            200,
            "what is known of an indicator",
            writer(Curl::get("/iocs/evil.example")),
        );
        tour.add(401, "no key", Curl::get("/iocs"));
        tour.add(
            402,
            format!("costs {REPORT_CREDITS} credits; this organization has {FREE_CREDITS}"),
            analyst(report()),
        );
        tour.add(403, "the key may read, but not write", reader(submit()));
        tour.add(
            403,
            "the key may not be used from here",
            office(Curl::get("/iocs")),
        );
        tour.add(
            429,
            format!(
                "the last of {too_many} requests; the plan allows {FREE_PER_MINUTE} in a minute"
            ),
            reader(Curl::get(format!("/iocs/evil.example?try=[1-{too_many}]"))),
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
            (&self.writer, "pro", "iocs:write, reports:read"),
            (&self.office, "pro", "iocs:read, from 203.0.113.0/24 only"),
            (&self.reader, "free", "iocs:read"),
            (&self.analyst, "free", "reports:read"),
        ];
        for (Issued { key, secret, .. }, plan, may) in rows {
            let ApiKey {
                name, organization, ..
            } = key;
            let (organization, secret) = (organization.as_str(), secret.expose());
            writeln!(f, "  {organization:5}  {plan:4}  {name:7}  {secret}  {may}")?;
        }
        Ok(())
    }
}
