//! STIX 2.1: an indicator for each IOC, made by one identity.

use std::iter::once;

use axum::response::Response;
use serde_json::{Value, json};
use tollgate::core::clock::Timestamp;
use uuid::Uuid;

use super::super::feed::NOTICE;
use super::super::ioc::{Ioc, IocType};
use super::text;

/// The media type of STIX objects.
pub(crate) const MEDIA_TYPE: &str = "application/stix+json;version=2.1";

/// Who makes the objects.
pub(crate) const IDENTITY: &str = "0d0f5dbe-6d0c-4b3f-9a53-0a6b8f4c3b11";

/// When the identity was made, which never changes.
pub(crate) const IDENTITY_VERSION: &str = "2026-01-01T00:00:00.000Z";

/// An answer with a bundle.
pub(crate) fn bundle(iocs: &[&Ioc]) -> Response {
    let objects = once(identity()).chain(iocs.iter().map(|ioc| indicator(ioc)));
    let bundle = json!({
        "type": "bundle",
        "id": format!("bundle--{}", Uuid::new_v4()),
        "objects": objects.collect::<Vec<_>>(),
    });
    text(MEDIA_TYPE, bundle.to_string())
}

pub(crate) fn identity() -> Value {
    json!({
        "type": "identity",
        "spec_version": "2.1",
        "id": identity_id(),
        "created": IDENTITY_VERSION,
        "modified": IDENTITY_VERSION,
        "name": "SOC Defenders",
        "description": NOTICE,
        "identity_class": "organization",
    })
}

pub(crate) fn identity_id() -> String {
    format!("identity--{IDENTITY}")
}

pub(crate) fn indicator_id(ioc: &Ioc) -> String {
    format!("indicator--{}", ioc.id)
}

pub(crate) fn indicator(ioc: &Ioc) -> Value {
    let techniques = ioc.techniques.iter();
    let techniques =
        techniques.map(|id| json!({ "source_name": "mitre-attack", "external_id": id }));
    let seen = version(ioc);
    json!({
        "type": "indicator",
        "spec_version": "2.1",
        "id": indicator_id(ioc),
        "created_by_ref": identity_id(),
        "created": seen,
        "modified": seen,
        "name": format!("{}: {}", ioc.threat, ioc.value),
        "description": format!("Reported by {}. {NOTICE}", ioc.sources.join(", ")),
        "indicator_types": ["malicious-activity"],
        "pattern": pattern(ioc),
        "pattern_type": "stix",
        "pattern_version": "2.1",
        "valid_from": seen,
        "labels": ioc.tags,
        "confidence": ioc.score,
        "external_references": techniques.collect::<Vec<_>>(),
    })
}

/// When an indicator was made, as it is now: in milliseconds, which STIX demands.
pub(crate) fn version(ioc: &Ioc) -> String {
    let millis = ioc.first_seen.as_unix_millis();
    let seconds = i64::try_from(millis / 1000).unwrap_or(i64::MAX);
    let seconds = Timestamp::from_secs(seconds).to_string();
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), millis % 1000)
}

fn pattern(ioc: &Ioc) -> String {
    let property = match ioc.kind {
        IocType::Ip if ioc.is_ipv4() => "ipv4-addr:value",
        IocType::Ip => "ipv6-addr:value",
        IocType::Domain => "domain-name:value",
        IocType::Url => "url:value",
        IocType::Md5 => "file:hashes.MD5",
        IocType::Sha1 => "file:hashes.'SHA-1'",
        IocType::Sha256 => "file:hashes.'SHA-256'",
        IocType::Email => "email-addr:value",
    };
    let value = ioc.value.replace('\\', r"\\").replace('\'', r"\'");
    format!("[{property} = '{value}']")
}
