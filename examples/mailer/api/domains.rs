//! Sending domains, verified against DNS records that are bundled with this example.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tollgate::Denial;
use tollgate::core::id::OrgId;

use super::account::{Account, Records};
use super::checks;
use super::records::{Record, Shelf, Stored};

const SPF: &str = "v=spf1 include:spf.mailer.example -all";

/// The TXT records that a look-up finds, in place of the Internet's.
const SAMPLE_DNS: [(&str, &str); 6] = [
    ("acme.example", SPF),
    ("acme.example", "mailer-verification=acme"),
    ("news.acme.example", SPF),
    ("news.acme.example", "mailer-verification=acme"),
    // Only half of what it needs.
    ("shop.acme.example", SPF),
    ("globex.example", "mailer-verification=globex"),
];

const SOURCE: &str = "DNS records bundled with this example; the network is not asked.";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDomain {
    name: String,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Domain {
    pub(crate) name: String,
    status: Status,
    dns_records: Vec<DnsRecord>,
    checked_against: &'static str,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Pending,
    Verified,
}

/// What the owner of a domain has to publish.
#[derive(Clone, Debug, Serialize)]
struct DnsRecord {
    name: String,
    r#type: &'static str,
    value: String,
    found: bool,
}

impl Domain {
    /// A domain that nobody has looked up yet. The record names the organization, so that nobody
    /// else can verify it.
    pub(crate) fn new(name: String, organization: &OrgId) -> Self {
        let values = [
            SPF.to_owned(),
            format!("mailer-verification={organization}"),
        ];
        let record = |value| DnsRecord {
            name: name.clone(),
            r#type: "TXT",
            value,
            found: false,
        };
        Self {
            dns_records: values.map(record).into(),
            name,
            status: Status::Pending,
            checked_against: SOURCE,
        }
    }

    pub(crate) fn is_verified(&self) -> bool {
        self.status == Status::Verified
    }

    /// Looks its records up.
    pub(crate) fn verify(&mut self) {
        for record in &mut self.dns_records {
            record.found = SAMPLE_DNS.contains(&(record.name.as_str(), record.value.as_str()));
        }
        self.status = if self.dns_records.iter().all(|record| record.found) {
            Status::Verified
        } else {
            Status::Pending
        };
    }
}

pub(crate) async fn create(
    account: Account,
    Json(new): Json<NewDomain>,
) -> Result<(StatusCode, Json<Stored<Domain>>), Denial> {
    let name = checks::domain("name", &new.name)?;
    let stored = account.stored(Domain::new(name, account.organization()));
    account.records().domains.add(stored.clone())?;
    Ok((StatusCode::CREATED, Json(stored)))
}

pub(crate) async fn verify(
    account: Account,
    Path(id): Path<String>,
) -> Result<Json<Stored<Domain>>, Denial> {
    let mut records = account.records();
    let stored = records.domains.find_mut(&id)?;
    stored.record.verify();
    Ok(Json(stored.clone()))
}

impl Record for Domain {
    const KIND: &'static str = "domain";

    fn shelf(records: &mut Records) -> &mut Shelf<Self> {
        &mut records.domains
    }

    fn check(&self, _: &Records) -> Result<(), Denial> {
        Ok(())
    }

    fn unique(&self) -> Option<&str> {
        Some(&self.name)
    }
}
