//! From where keys may be used, as JSON: lists of addresses and networks.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tollgate::Denial;
use tollgate_core::invalid::Invalid;
use tollgate_core::ip::{IpList, IpRules};
use utoipa::ToSchema;

/// From where keys may be used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IpRulesView {
    /// Only from these; from anywhere, if it is empty.
    #[schema(example = json!(["198.51.100.0/24"]))]
    allow: Vec<String>,
    /// Never from these.
    deny: Vec<String>,
}

impl From<&IpRules> for IpRulesView {
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

/// From where keys may be used. What is said replaces both lists, so something has to be said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(try_from = "Map<String, Value>")]
pub(crate) struct IpRulesBody {
    /// Only from these addresses and networks; from anywhere, if it is empty or left out.
    #[serde(default)]
    #[schema(example = json!(["198.51.100.0/24"]))]
    allow: Vec<String>,
    /// Never from these.
    #[serde(default)]
    deny: Vec<String>,
}

/// Only an object: a derived reader would take an array for the two lists in their order, and one
/// that says nothing would open a key to everywhere.
impl TryFrom<Map<String, Value>> for IpRulesBody {
    type Error = String;

    fn try_from(members: Map<String, Value>) -> Result<Self, String> {
        if members.is_empty() {
            let remedy = "name `allow`, `deny` or both; an empty list clears what was there";
            return Err(format!("ip_rules: {remedy}"));
        }
        let mut body = Self::default();
        for (name, list) in members {
            let place = match &*name {
                "allow" => &mut body.allow,
                "deny" => &mut body.deny,
                _ => return Err("ip_rules: it has `allow` and `deny`, and nothing else".to_owned()),
            };
            *place = serde_json::from_value(list)
                .map_err(|error| format!("ip_rules.{name}: {error}"))?;
        }
        Ok(body)
    }
}

impl IpRulesBody {
    pub(crate) fn rules(self) -> Result<IpRules, Denial> {
        let list = |place: &'static str, texts: &[String]| {
            if texts.iter().any(|text| text.trim().is_empty()) {
                return Err(Invalid::new(place, "an entry is blank; leave it out"));
            }
            let read = texts.join(",").parse::<IpList>();
            read.map_err(|error| error.within(place))
        };
        let allow = list("ip_rules.allow", &self.allow)?;
        let deny = list("ip_rules.deny", &self.deny)?;
        Ok(IpRules::allowing(allow).with_deny(deny))
    }
}
