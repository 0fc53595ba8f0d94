//! A MISP event with an attribute for each indicator.

use serde_json::{Value, json};
use tollgate::core::clock::Timestamp;
use uuid::Uuid;

use super::super::feed::NOTICE;
use super::super::ioc::{Ioc, IocType};

/// What of a time is its date.
const DATE: usize = 10;

pub(crate) fn event(iocs: &[&Ioc], now: Timestamp) -> Value {
    let day = now.to_string().chars().take(DATE).collect::<String>();
    let attributes: Vec<Value> = iocs.iter().map(|ioc| attribute(ioc)).collect();
    json!({
        "Event": {
            "uuid": Uuid::new_v4(),
            "info": format!("SOC Defenders IOC export. {NOTICE}"),
            "date": day,
            "timestamp": seconds(now),
            "threat_level_id": "2",
            "analysis": "2",
            "distribution": "0",
            "published": false,
            "Orgc": { "name": "SOC Defenders", "uuid": super::stix::IDENTITY },
            "Tag": [{ "name": "tlp:clear" }],
            "Attribute": attributes,
        }
    })
}

fn attribute(ioc: &Ioc) -> Value {
    let (category, kind) = match ioc.kind {
        IocType::Ip => ("Network activity", "ip-dst"),
        IocType::Domain => ("Network activity", "domain"),
        IocType::Url => ("Network activity", "url"),
        IocType::Md5 => ("Payload delivery", "md5"),
        IocType::Sha1 => ("Payload delivery", "sha1"),
        IocType::Sha256 => ("Payload delivery", "sha256"),
        IocType::Email => ("Payload delivery", "email-src"),
    };
    let tags: Vec<Value> = ioc.tags.iter().map(|tag| json!({ "name": tag })).collect();
    json!({
        "uuid": ioc.id,
        "category": category,
        "type": kind,
        "value": ioc.value,
        "comment": format!("{} ({}), reported by {}", ioc.threat, ioc.level(), ioc.sources.join(", ")),
        "to_ids": ioc.score >= 50,
        "timestamp": seconds(ioc.first_seen),
        "Tag": tags,
    })
}

/// MISP writes seconds since 1970 as text.
fn seconds(at: Timestamp) -> String {
    at.as_unix_secs_ceil().to_string()
}
