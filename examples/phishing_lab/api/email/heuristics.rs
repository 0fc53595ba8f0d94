//! What makes an e-mail look like phishing: a list of checks, each worth points.

use serde::Serialize;

use super::super::input::{Domain, Host};
use super::{Email, domain_of};

#[cfg(test)]
mod tests;

/// From so many points on an e-mail is suspicious, and from so many it is phishing.
const SUSPICIOUS: u32 = 20;
const PHISHING: u32 = 50;

/// Brands of the sample world, and where they really are.
const BRANDS: [(&str, &str); 2] = [
    ("acmebank", "acmebank.example"),
    ("globex", "globex.example"),
];

const SHORTENERS: [&str; 2] = ["short.example", "tiny.example"];

const PRESSURE: [&str; 7] = [
    "within 24 hours",
    "account suspended",
    "verify your account",
    "confirm your password",
    "immediately",
    "unusual activity",
    "last warning",
];

const DANGEROUS: [&str; 12] = [
    ".bat", ".cmd", ".docm", ".exe", ".htm", ".html", ".iso", ".js", ".lnk", ".scr", ".vbs",
    ".xlsm",
];

/// Every check, in the order in which findings are told.
const CHECKS: [fn(&Email) -> Option<Finding>; 12] = [
    spf,
    dkim,
    dmarc,
    replies_go_elsewhere,
    bounces_go_elsewhere,
    name_shows_another_address,
    pretends_to_be_a_brand,
    link_shows_another_host,
    link_to_a_bare_address,
    link_hides_its_target,
    pressure,
    dangerous_attachment,
];

/// Something that speaks for phishing.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    code: &'static str,
    points: u32,
    detail: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Clean,
    Suspicious,
    Phishing,
}

impl Finding {
    fn new(code: &'static str, points: u32, detail: impl Into<String>) -> Self {
        Self {
            code,
            points,
            detail: detail.into(),
        }
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }
}

impl Verdict {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Suspicious => "suspicious",
            Self::Phishing => "like phishing",
        }
    }
}

/// All that speaks against an e-mail.
pub(super) fn findings(email: &Email) -> Vec<Finding> {
    CHECKS.iter().filter_map(|check| check(email)).collect()
}

/// The points of all findings, at most 100, and what they amount to.
pub(super) fn verdict(findings: &[Finding]) -> (u32, Verdict) {
    let points = findings.iter().map(|finding| finding.points);
    let score = points.fold(0, u32::saturating_add).min(100);
    let verdict = match score {
        PHISHING.. => Verdict::Phishing,
        SUSPICIOUS.. => Verdict::Suspicious,
        _ => Verdict::Clean,
    };
    (score, verdict)
}

fn spf(email: &Email) -> Option<Finding> {
    let points = match email.authentication.spf.as_deref()? {
        "fail" => 20,
        "softfail" => 10,
        _ => return None,
    };
    Some(Finding::new(
        "spf",
        points,
        "the sending server is not one of the domain's (SPF)",
    ))
}

fn dkim(email: &Email) -> Option<Finding> {
    let failed = email.authentication.dkim.as_deref()? == "fail";
    failed.then(|| Finding::new("dkim", 15, "the signature does not match (DKIM)"))
}

fn dmarc(email: &Email) -> Option<Finding> {
    let failed = email.authentication.dmarc.as_deref()? == "fail";
    failed.then(|| {
        Finding::new(
            "dmarc",
            25,
            "the domain says that it did not send this (DMARC)",
        )
    })
}

fn replies_go_elsewhere(email: &Email) -> Option<Finding> {
    let (from, reply_to) = (email.from.domain()?, email.reply_to.as_ref()?.domain()?);
    let elsewhere = !from.is_related_to(&reply_to);
    elsewhere.then(|| {
        Finding::new(
            "reply_to",
            20,
            format!("replies go to {reply_to}, not to {from}"),
        )
    })
}

fn bounces_go_elsewhere(email: &Email) -> Option<Finding> {
    let (from, path) = (
        email.from.domain()?,
        domain_of(email.return_path.as_ref()?)?,
    );
    let elsewhere = !from.is_related_to(&path);
    elsewhere.then(|| {
        Finding::new(
            "return_path",
            10,
            format!("it was sent by {path}, not by {from}"),
        )
    })
}

fn name_shows_another_address(email: &Email) -> Option<Finding> {
    let shown = email
        .from
        .name
        .as_ref()?
        .split_whitespace()
        .find_map(domain_of)?;
    let another = !shown.is_related_to(&email.from.domain()?);
    let detail = || format!("the sender's name shows an address of {shown}");
    another.then(|| Finding::new("display_name", 25, detail()))
}

fn pretends_to_be_a_brand(email: &Email) -> Option<Finding> {
    let from = email.from.domain()?;
    let name = plain_letters(email.from.name.as_deref().unwrap_or_default());
    let looks = plain_letters(from.as_str());
    let (_, real) = BRANDS.iter().find(|(brand, real)| {
        let own = Domain::try_from((*real).to_owned()).is_ok_and(|real| real.is_related_to(&from));
        !own && (name.contains(brand) || looks.contains(brand))
    })?;
    Some(Finding::new(
        "brand",
        25,
        format!("it pretends to be {real}, and is from {from}"),
    ))
}

fn link_shows_another_host(email: &Email) -> Option<Finding> {
    email.links.iter().find_map(|link| {
        let (shown, real) = (link.shown_host()?, link.url.host());
        let same = match (&shown, real) {
            (Host::Domain(shown), Host::Domain(real)) => shown.is_related_to(real),
            (shown, real) => shown == real,
        };
        let detail = || format!("a link shows {shown} and goes to {real}");
        (!same).then(|| Finding::new("link_text", 30, detail()))
    })
}

fn link_to_a_bare_address(email: &Email) -> Option<Finding> {
    email.links.iter().find_map(|link| match link.url.host() {
        Host::Address(ip) => Some(Finding::new(
            "link_address",
            20,
            format!("a link goes to the bare address {ip}"),
        )),
        Host::Domain(_) => None,
    })
}

fn link_hides_its_target(email: &Email) -> Option<Finding> {
    email.links.iter().find_map(|link| {
        let Host::Domain(domain) = link.url.host() else {
            return None;
        };
        let name = domain.as_str();
        let encoded = name.split('.').any(|label| label.starts_with("xn--"));
        let hidden = encoded || SHORTENERS.contains(&name);
        hidden.then(|| {
            Finding::new(
                "link_hidden",
                15,
                format!("a link by way of {domain} hides where it goes"),
            )
        })
    })
}

fn pressure(email: &Email) -> Option<Finding> {
    let text = format!("{} {}", email.subject, email.text).to_lowercase();
    let words = PRESSURE.iter().find(|words| text.contains(**words))?;
    Some(Finding::new(
        "pressure",
        10,
        format!("it puts its reader under pressure: “{words}”"),
    ))
}

fn dangerous_attachment(email: &Email) -> Option<Finding> {
    let dangerous = |name: &&String| {
        let name = name.to_lowercase();
        DANGEROUS.iter().any(|ending| name.ends_with(ending))
    };
    let name = email.attachments.iter().find(dangerous)?;
    let shown: String = name.chars().take(64).flat_map(char::escape_debug).collect();
    Some(Finding::new(
        "attachment",
        30,
        format!("the attachment `{shown}` can run programs"),
    ))
}

/// Letters only, and digits as the letters that they are taken for: `Acme-B4nk` is `acmebank`.
fn plain_letters(text: &str) -> String {
    let letters = text.chars().filter_map(|c| match c {
        '0' => Some('o'),
        '1' => Some('l'),
        '3' => Some('e'),
        '4' => Some('a'),
        '5' => Some('s'),
        c => c.is_alphabetic().then(|| c.to_ascii_lowercase()),
    });
    letters.collect()
}
