//! Webhooks: who would be told of which events. Each event of an email names those it is for.

use serde::{Deserialize, Serialize};
use tollgate::Denial;

use super::account::Records;
use super::checks::{self, invalid, shown};
use super::emails::EventKind;
use super::records::{Record, Shelf};

const LONGEST_URL: usize = 2000;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Webhook {
    pub(crate) url: String,
    pub(crate) events: Vec<EventKind>,
    #[serde(default = "enabled")]
    pub(crate) enabled: bool,
}

const fn enabled() -> bool {
    true
}

impl Webhook {
    pub(crate) fn wants(&self, event: EventKind) -> bool {
        self.enabled && self.events.contains(&event)
    }
}

impl Record for Webhook {
    const KIND: &'static str = "webhook";

    fn shelf(records: &mut Records) -> &mut Shelf<Self> {
        &mut records.webhooks
    }

    fn check(&self, _: &Records) -> Result<(), Denial> {
        checks::text("url", &self.url, LONGEST_URL)?;
        let host = self.url.strip_prefix("https://").unwrap_or_default();
        if host.is_empty() || host.starts_with('/') || self.url.contains(char::is_whitespace) {
            let url = shown(&self.url);
            let reason = format!("{url} is no address; write one like `https://acme.example/hook`");
            return Err(invalid("url", reason));
        }
        if self.events.is_empty() {
            let reason = "it is empty; name `queued`, `sent` or `delivered`";
            return Err(invalid("events", reason));
        }
        checks::count("events", self.events.len())
    }
}
