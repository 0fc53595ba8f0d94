//! Which entries are asked for, and a page of them.

use serde::Deserialize;
use tollgate::Denial;
use tollgate::core::clock::Timestamp;

use super::super::look_back::bad_request;
use super::collection::Entry;

/// The longest page; a client may ask for less.
const LONGEST: usize = 20;

/// The specification's parameters. Of several values that are matched, one is enough.
#[derive(Debug, Deserialize)]
pub(crate) struct Filters {
    added_after: Option<String>,
    limit: Option<usize>,
    /// The last entry of the page before.
    next: Option<String>,
    #[serde(rename = "match[id]")]
    id: Option<String>,
    #[serde(rename = "match[type]")]
    kind: Option<String>,
    #[serde(rename = "match[version]")]
    version: Option<String>,
    #[serde(rename = "match[spec_version]")]
    spec_version: Option<String>,
}

/// A page, and whether there is another.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) entries: Vec<Entry>,
    pub(crate) more: bool,
}

impl Filters {
    fn matches(&self, entry: &Entry) -> bool {
        // There is one version of each, so the first and the last are the same.
        let versions = |wanted: &str| {
            let wanted_time = wanted.parse::<Timestamp>();
            ["first", "last", "all"].contains(&wanted)
                || wanted_time.is_ok_and(|at| entry.version.parse() == Ok(at))
        };
        one_of(self.id.as_deref(), |id| id == entry.id)
            && one_of(self.kind.as_deref(), |kind| kind == entry.kind)
            && one_of(self.version.as_deref(), versions)
            && one_of(self.spec_version.as_deref(), |version| version == "2.1")
    }
}

impl Page {
    /// The entries that match, up to a page of them.
    pub(crate) fn of(mut entries: Vec<Entry>, filters: &Filters) -> Result<Self, Denial> {
        let limit = filters.limit.unwrap_or(LONGEST);
        if limit == 0 {
            return Err(bad_request("`limit` is 0; ask for 1 object at least."));
        }
        if let Some(text) = &filters.added_after {
            let after: Timestamp = text
                .parse()
                .map_err(|error| bad_request(format!("`added_after`: {error}.")))?;
            entries.retain(|entry| entry.added > after);
        }
        if let Some(last) = &filters.next {
            let position = entries.iter().position(|entry| entry.id == *last);
            let position = position.ok_or_else(|| bad_request("`next` is of no page before."))?;
            entries.drain(..=position);
        }
        entries.retain(|entry| filters.matches(entry));
        let limit = limit.min(LONGEST);
        let more = entries.len() > limit;
        entries.truncate(limit);
        Ok(Self { entries, more })
    }
}

fn one_of(wanted: Option<&str>, is: impl Fn(&str) -> bool) -> bool {
    wanted.is_none_or(|wanted| wanted.split(',').any(|value| is(value.trim())))
}
