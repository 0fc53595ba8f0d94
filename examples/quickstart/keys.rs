//! The organizations and keys to try the API with: made at the first start, shown once.

use std::fmt;
use std::net::SocketAddr;

use tollgate::Gate;
use tollgate::core::change::Actor;
use tollgate::core::id::OrgId;
use tollgate::core::ip::IpRules;
use tollgate::core::keyring::{Issued, KeyringError, NewKey, NewOrganization};
use tollgate::core::record::ApiKey;
use tollgate_examples::failure::Failure;

use crate::api::{FREE_PER_MINUTE, REPORT_CREDITS};

/// How each printed request begins.
pub(crate) const CURL: &str = r"curl -sS -w '\n%{http_code}\n'";
pub(crate) const JSON: &str = "-H 'Content-Type: application/json'";

const FREE_CREDITS: u64 = 2;
const PRO_CREDITS: u64 = 100;

/// The secrets, which nobody can read again once this is gone.
#[derive(Debug)]
pub(crate) struct Keys {
    writer: Issued,
    office: Issued,
    reader: Issued,
    analyst: Issued,
}

/// The organization on the pro plan, which is made last.
fn pro() -> Result<OrgId, Failure> {
    Ok(OrgId::new("acme")?)
}

/// Makes the keys, unless an earlier start has.
pub(crate) async fn make(gate: &Gate) -> Result<Option<Keys>, Failure> {
    match gate.keyring().organization(&pro()?).await {
        Ok(_) => return Ok(None),
        Err(KeyringError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let actor = Actor::named("quickstart");
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
    Ok(Some(Keys {
        writer,
        office: issue(office).await?,
        reader,
        analyst,
    }))
}

impl Keys {
    /// The secrets, and requests to try them with.
    pub(crate) fn shown(&self, address: SocketAddr) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            self.write_secrets(f)?;
            self.write_requests(f, &origin(address))
        })
    }

    fn write_secrets(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

    fn write_requests(&self, f: &mut fmt::Formatter<'_>, origin: &str) -> fmt::Result {
        let [writer, office, reader, analyst] =
            [&self.writer, &self.office, &self.reader, &self.analyst]
                .map(|issued| format!("-H 'Authorization: Bearer {}'", issued.secret.expose()));
        let new = r#"-d '{"value":"bad.example","kind":"domain"}'"#;
        let too_many = FREE_PER_MINUTE.saturating_add(1);
        writeln!(f, "\nTry them in another terminal:\n")?;
        writeln!(f, "# 200: everybody may ask for this")?;
        writeln!(f, "{CURL} '{origin}/health'\n")?;
        writeln!(f, "# 200: iocs:write implies iocs:read")?;
        writeln!(f, "{CURL} {writer} '{origin}/iocs'\n")?;
        writeln!(f, "# 201: submits an indicator; 409 when it is sent again")?;
        writeln!(f, "{CURL} {writer} {JSON} {new} '{origin}/iocs'\n")?;
        writeln!(
            f,
            "# 200: costs {REPORT_CREDITS} of the organization's {PRO_CREDITS} credits"
        )?;
        writeln!(f, "{CURL} {writer} '{origin}/iocs/evil.example/report'\n")?;
        writeln!(f, "# 401: no key")?;
        writeln!(f, "{CURL} '{origin}/iocs'\n")?;
        writeln!(
            f,
            "# 402: costs {REPORT_CREDITS} credits; this organization has {FREE_CREDITS}"
        )?;
        writeln!(f, "{CURL} {analyst} '{origin}/iocs/evil.example/report'\n")?;
        writeln!(f, "# 403: the key may read, but not write")?;
        writeln!(f, "{CURL} {reader} {JSON} {new} '{origin}/iocs'\n")?;
        writeln!(f, "# 403: the key may not be used from here")?;
        writeln!(f, "{CURL} {office} '{origin}/iocs'\n")?;
        writeln!(
            f,
            "# 429: the last of {too_many} requests; the plan allows {FREE_PER_MINUTE} in a minute"
        )?;
        writeln!(
            f,
            "{CURL} {reader} '{origin}/iocs/evil.example?try=[1-{too_many}]'\n"
        )
    }
}

/// What a client of this machine writes before the path.
pub(crate) fn origin(address: SocketAddr) -> String {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}")
}
