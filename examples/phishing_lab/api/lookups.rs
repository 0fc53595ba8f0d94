//! Lookups of domains, addresses and URLs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::input::{Address, Domain, Host, Url};
use super::samples::{Answer, Samples, Zone};

/// The samples, as handlers get them.
type Known = State<Arc<Samples>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfDomain {
    domain: Domain,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfAddress {
    ip: Address,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfUrl {
    url: Url,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfTarget {
    target: Host,
}

/// The records of a domain, and what is wrong with them.
#[derive(Debug, Serialize)]
pub(super) struct DnsReport {
    #[serde(flatten)]
    answer: Answer<Zone>,
    problems: Vec<&'static str>,
}

pub(super) async fn dns(State(known): Known, Json(of): Json<OfDomain>) -> Json<DnsReport> {
    let answer = known.dns.answer(&of.domain);
    let problems = answer.result.as_ref().map(problems).unwrap_or_default();
    Json(DnsReport { answer, problems })
}

pub(super) async fn blacklist(State(known): Known, Json(of): Json<OfAddress>) -> Json<Answer> {
    Json(known.blacklists.answer(&of.ip))
}

pub(super) async fn geoip(State(known): Known, Json(of): Json<OfAddress>) -> Json<Answer> {
    Json(known.locations.answer(&of.ip))
}

pub(super) async fn safe_browsing(State(known): Known, Json(of): Json<OfUrl>) -> Json<Answer> {
    Json(known.safe_browsing.answer(&of.url))
}

pub(super) async fn checkphish(State(known): Known, Json(of): Json<OfUrl>) -> Json<Answer> {
    Json(known.checkphish.answer(&of.url))
}

pub(super) async fn urlscan(State(known): Known, Json(of): Json<OfUrl>) -> Json<Answer> {
    Json(known.urlscan.answer(&of.url))
}

pub(super) async fn url_expand(State(known): Known, Json(of): Json<OfUrl>) -> Json<Answer> {
    Json(known.redirects.answer(&of.url))
}

pub(super) async fn exposure(State(known): Known, Json(of): Json<OfTarget>) -> Json<Answer> {
    Json(known.exposure.answer(&of.target))
}

/// What lets others send mail in the name of a domain.
fn problems(zone: &Zone) -> Vec<&'static str> {
    let spf = match zone.spf.as_deref() {
        None => Some("there is no SPF record"),
        Some(spf) if spf.ends_with("+all") => Some("SPF lets everybody send"),
        Some(spf) if spf.ends_with("~all") => Some("SPF only marks what others send"),
        Some(_) => None,
    };
    let dmarc = match zone.dmarc.as_deref() {
        None => Some("there is no DMARC record"),
        Some(dmarc) if dmarc.contains("p=none") => Some("DMARC refuses nothing"),
        Some(_) => None,
    };
    let dkim = zone.dkim_selectors.is_empty();
    let dkim = dkim.then_some("no DKIM selector is known");
    let mx = zone.mx.is_empty().then_some("no host receives mail");
    [spf, dmarc, dkim, mx].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_told_what_lets_others_send_in_its_name() {
        let samples = Samples::bundled().unwrap();
        let problems = |domain: &str| problems(&samples.dns.find(&domain).unwrap());
        assert!(problems("acme.example").is_empty());
        assert_eq!(
            problems("globex.example"),
            ["SPF only marks what others send", "DMARC refuses nothing"]
        );
        assert_eq!(
            problems("evil.example"),
            [
                "SPF lets everybody send",
                "there is no DMARC record",
                "no DKIM selector is known",
                "no host receives mail",
            ]
        );
    }
}
