//! From where keys may be used, as JSON: lists of addresses and networks.

use serde::{Deserialize, Serialize};
use tollgate::Denial;
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

/// From where keys may be used.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IpRulesBody {
    /// Only from these addresses and networks; from anywhere, if it is empty or left out.
    #[serde(default)]
    #[schema(example = json!(["198.51.100.0/24"]))]
    allow: Vec<String>,
    /// Never from these.
    #[serde(default)]
    deny: Vec<String>,
}

impl IpRulesBody {
    pub(crate) fn rules(self) -> Result<IpRules, Denial> {
        let list = |place: &str, texts: &[String]| {
            let read = texts.join(",").parse::<IpList>();
            read.map_err(|error| error.within(place))
        };
        let allow = list("ip_rules.allow", &self.allow)?;
        let deny = list("ip_rules.deny", &self.deny)?;
        Ok(IpRules::allowing(allow).with_deny(deny))
    }
}
