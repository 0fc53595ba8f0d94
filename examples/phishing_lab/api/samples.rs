//! What stands in for the internet: a few answers of each service, bundled with the example.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tollgate_examples::failure::Failure;

/// What each looked-up answer says of where it is from.
pub(crate) const SOURCE: &str = "bundled sample data; nobody was asked over the internet";

/// All of it, read once at the start and never changed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Samples {
    pub(super) dns: Table<Zone>,
    pub(super) blacklists: Table,
    pub(super) locations: Table,
    pub(super) safe_browsing: Table,
    pub(super) checkphish: Table,
    pub(super) urlscan: Table,
    pub(super) redirects: Table,
    pub(super) indicators: Table,
    pub(super) exposure: Table,
    pub(super) actors: Vec<Actor>,
}

/// The answers of one service, by what was asked.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Table<T = Value>(BTreeMap<String, T>);

/// What the DNS says of a domain.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Zone {
    pub(super) a: Vec<IpAddr>,
    pub(super) mx: Vec<String>,
    pub(super) spf: Option<String>,
    pub(super) dmarc: Option<String>,
    pub(super) dkim_selectors: Vec<String>,
}

/// Who attacks, and how.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Actor {
    pub(super) name: String,
    pub(super) motive: String,
    pub(super) techniques: Vec<String>,
    pub(super) targets: Vec<String>,
}

/// What is known of what was asked; `result` is null if that is nothing.
#[derive(Debug, Serialize)]
pub(super) struct Answer<T = Value> {
    pub(super) query: String,
    pub(super) result: Option<T>,
    pub(super) source: &'static str,
}

impl Samples {
    /// Those that come with the example.
    pub(crate) fn bundled() -> Result<Self, Failure> {
        Ok(serde_json::from_str(include_str!("samples.json"))?)
    }
}

impl<T: Clone> Table<T> {
    pub(super) fn find(&self, query: &impl ToString) -> Option<T> {
        self.0.get(&query.to_string()).cloned()
    }

    pub(super) fn answer(&self, query: &impl ToString) -> Answer<T> {
        Answer {
            query: query.to_string(),
            result: self.find(query),
            source: SOURCE,
        }
    }
}
