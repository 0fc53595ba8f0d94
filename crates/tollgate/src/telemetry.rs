//! What a gate tells the `metrics` facade. Where no recorder is installed it costs next to nothing.
//!
//! | metric | labels |
//! | --- | --- |
//! | `tollgate_decisions_total` | `route` (the template), `outcome` (`2xx`, …, a denial's code, or `hung_up`) |
//! | `tollgate_lookups_total` | `result`: `hit`, `miss`, `unknown` |
//! | `tollgate_store_seconds` | `operation`: `lookup`, `hold`, `settle` |
//! | `tollgate_holds_total` | `ending`: `charged`, `voided`, `expired`, `refused`, `repeated` |
//! | `tollgate_credits_charged_total` | – |
//! | `tollgate_would_refuse_total` | `route`, `outcome`, of checks that only observe |
//!
//! No label ever holds a key's id or an address.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

/// The handles that requests use; each is looked up once.
///
/// Made with the gate, so a recorder has to be installed before.
#[derive(Clone)]
pub(crate) struct Telemetry {
    pub(crate) hit: Counter,
    pub(crate) miss: Counter,
    pub(crate) unknown: Counter,
    charged: Counter,
    voided: Counter,
    credits: Counter,
}

impl Telemetry {
    pub(crate) fn new() -> Self {
        let holds = |ending: &'static str| counter!("tollgate_holds_total", "ending" => ending);
        let lookup = |result: &'static str| counter!("tollgate_lookups_total", "result" => result);
        Self {
            hit: lookup("hit"),
            miss: lookup("miss"),
            unknown: lookup("unknown"),
            charged: holds("charged"),
            voided: holds("voided"),
            credits: counter!("tollgate_credits_charged_total"),
        }
    }

    /// A request's hold has ended.
    pub(crate) fn hold_ended(&self, settled: bool, charged: u64) {
        if settled {
            self.charged.increment(1);
            self.credits.increment(charged);
        } else {
            self.voided.increment(1);
        }
    }

    /// What else becomes of holds.
    #[expect(clippy::unused_self, reason = "whoever measures has a Telemetry")]
    pub(crate) fn holds(&self, ending: &'static str, count: u64) {
        counter!("tollgate_holds_total", "ending" => ending).increment(count);
    }

    #[expect(clippy::unused_self, reason = "whoever measures has a Telemetry")]
    pub(crate) fn store_took(&self, operation: &'static str, time: Duration) {
        let seconds: Histogram = histogram!("tollgate_store_seconds", "operation" => operation);
        seconds.record(time);
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

/// One route's counters, by outcome.
pub(crate) struct Decisions {
    route: Arc<str>,
    success: OnceLock<Counter>,
}

impl Decisions {
    pub(crate) const fn new(route: Arc<str>) -> Self {
        Self {
            route,
            success: OnceLock::new(),
        }
    }

    pub(crate) fn count(&self, outcome: &'static str) {
        if outcome == "2xx" {
            let counter = self
                .success
                .get_or_init(|| self.counter("tollgate_decisions_total", outcome));
            counter.increment(1);
        } else {
            self.counter("tollgate_decisions_total", outcome)
                .increment(1);
        }
    }

    pub(crate) fn count_observed(&self, outcome: &'static str) {
        self.counter("tollgate_would_refuse_total", outcome)
            .increment(1);
    }

    fn counter(&self, name: &'static str, outcome: &'static str) -> Counter {
        counter!(name, "route" => Arc::clone(&self.route), "outcome" => outcome)
    }
}

impl fmt::Debug for Decisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Decisions").field(&self.route).finish()
    }
}
