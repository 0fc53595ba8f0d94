//! From where keys may be used, as it is printed.

use serde::Serialize;
use tollgate_core::ip::{IpList, IpRules};

/// Lists of addresses and networks, as the management routes tell them.
#[derive(Debug, Serialize)]
pub(crate) struct ShownIpRules {
    pub(crate) allow: Vec<String>,
    pub(crate) deny: Vec<String>,
}

impl From<&IpRules> for ShownIpRules {
    fn from(rules: &IpRules) -> Self {
        let texts = |list: &IpList| {
            let text = list.to_string();
            let parts = text.split(", ").filter(|part| !part.is_empty());
            parts.map(ToOwned::to_owned).collect()
        };
        Self {
            allow: texts(rules.allow()),
            deny: texts(rules.deny()),
        }
    }
}
