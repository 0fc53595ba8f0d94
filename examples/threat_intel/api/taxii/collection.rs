//! The collections, and what is in them.

use serde_json::{Value, json};
use tollgate::core::clock::Timestamp;

use super::super::feed::{Feed, NOTICE};
use super::super::formats::stix;
use super::super::ioc::IocType;

/// A part of the feed, under a name.
#[derive(Debug)]
pub(crate) struct Collection {
    pub(crate) id: &'static str,
    title: &'static str,
    holds: &'static [IocType],
}

/// Something in a collection, and since when it is there.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) added: Timestamp,
    pub(crate) version: String,
    pub(crate) object: Value,
}

pub(crate) const COLLECTIONS: [Collection; 2] = [
    Collection {
        id: "91a7b528-80eb-42ed-a74d-c6fbd5a26116",
        title: "Network indicators",
        holds: &[IocType::Ip, IocType::Domain, IocType::Url],
    },
    Collection {
        id: "52892447-4d7e-4f70-b94d-d7f22742ff63",
        title: "Files and senders",
        holds: &[IocType::Md5, IocType::Sha1, IocType::Sha256, IocType::Email],
    },
];

impl Collection {
    pub(crate) fn resource(&self) -> Value {
        json!({
            "id": self.id,
            "title": self.title,
            "description": NOTICE,
            "can_read": true,
            "can_write": false,
            "media_types": [stix::MEDIA_TYPE],
        })
    }

    /// What was added after a point, the oldest first, and before it who made it all.
    pub(crate) fn entries(&self, feed: &Feed, since: Timestamp) -> Vec<Entry> {
        let maker = Entry {
            id: stix::identity_id(),
            kind: "identity",
            added: feed.begin(),
            version: stix::IDENTITY_VERSION.to_owned(),
            object: stix::identity(),
        };
        let held = feed.iocs(since).rev();
        let held = held.filter(|ioc| self.holds.contains(&ioc.kind));
        let indicators = held.map(|ioc| Entry {
            id: stix::indicator_id(ioc),
            kind: "indicator",
            added: ioc.first_seen,
            version: stix::version(ioc),
            object: stix::indicator(ioc),
        });
        std::iter::once(maker).chain(indicators).collect()
    }
}
