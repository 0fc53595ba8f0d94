//! CEF, the Common Event Format: one line an indicator.

use std::fmt::Write as _;

use super::super::feed::NOTICE;
use super::super::ioc::{Ioc, IocType};

pub(crate) fn lines(iocs: &[&Ioc]) -> String {
    let mut lines = String::new();
    for ioc in iocs {
        let kind = ioc.kind.as_str();
        let (threat, severity) = (header(&ioc.threat), ioc.score / 10);
        let (key, value) = (key(ioc), extension(&ioc.value));
        let (sources, seen) = (extension(&ioc.sources.join(", ")), ioc.first_seen);
        // Writing to a string cannot fail.
        let _ = writeln!(
            lines,
            "CEF:0|SOC Defenders|Threat Intelligence|1.0|ioc-{kind}|{threat}|{severity}|\
             {key}={value} externalId={} rt={} cs1Label=sources cs1={sources} cs2Label=first_seen \
             cs2={seen} msg={NOTICE}",
            ioc.id,
            seen.as_unix_millis(),
        );
    }
    lines
}

/// The extension that the value goes into.
fn key(ioc: &Ioc) -> &'static str {
    match ioc.kind {
        IocType::Ip if ioc.is_ipv4() => "dst",
        IocType::Ip => "c6a3",
        IocType::Domain => "dhost",
        IocType::Url => "request",
        IocType::Md5 | IocType::Sha1 | IocType::Sha256 => "fileHash",
        IocType::Email => "suser",
    }
}

fn header(text: &str) -> String {
    text.replace('\\', r"\\").replace('|', r"\|")
}

fn extension(text: &str) -> String {
    text.replace('\\', r"\\").replace('=', r"\=")
}
