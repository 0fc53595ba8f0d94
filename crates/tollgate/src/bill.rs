//! What a handler says about the price of its work.

use axum::extract::FromRequestParts;
use http::request;
use tollgate_core::credits::Price;
use tollgate_core::deadline::within;

use crate::access::Check;
use crate::admission::would_refuse;
use crate::denial::{Denial, DenialKind};
use crate::gate::Gate;
use crate::passage::Ticket;
use crate::tab::{Closing, Tab};

/// The credits of a request, as its handler sees them. Dropping it does nothing.
///
/// On a route that is free, or for a key whose environment is, it takes everything and charges
/// nothing, so that a handler need not ask.
///
/// ```
/// use axum::Json;
/// use tollgate::{Bill, Denial};
///
/// async fn enrich(mut bill: Bill, Json(indicators): Json<Vec<String>>) -> Result<String, Denial> {
///     bill.items(indicators.len()).await?; // holds the price of each, before the work
///     Ok(format!("{} looked up", indicators.len()))
/// }
///
/// async fn chat(mut bill: Bill, question: String) -> Result<String, Denial> {
///     let tokens = question.len() as u64;
///     bill.set(tokens.clamp(1, bill.held()))?; // of what is held; charged with the answer
///     Ok("42".to_owned())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Bill {
    ticket: Ticket,
    gate: Option<Gate>,
}

impl Bill {
    /// How many credits are held for this request now.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.ticket
            .with(|passage| passage.tab.as_ref().map_or(u64::MAX, Tab::held))
    }

    /// Holds the price of `count` items, before the work on them. One is held from the start; no
    /// items at all cost nothing.
    ///
    /// # Errors
    ///
    /// A [`Denial`]: 402 if the wallet has too few credits, 503 if the ledger is down. Returned
    /// by the handler, either gives back what is held.
    pub async fn items(&mut self, count: usize) -> Result<(), Denial> {
        let each = self
            .ticket
            .with(|passage| match passage.tab.as_ref().map(Tab::price) {
                Some(Price::PerItem(each)) => Some(each),
                Some(_) => Some(1),
                None => None,
            });
        let Some(each) = each else { return Ok(()) };
        let Some(total) = u64::try_from(count)
            .ok()
            .and_then(|count| each.checked_mul(count))
        else {
            return Err(Denial::new(DenialKind::InsufficientCredits));
        };
        self.hold(total).await?;
        self.ticket.with(|passage| {
            if let Some(tab) = passage.tab.as_mut() {
                tab.count(total.min(tab.held()));
            }
        });
        Ok(())
    }

    /// Holds `credits` in all, before more work. Never gives any back.
    ///
    /// # Errors
    ///
    /// As [`items`](Self::items), and a 500 if that is more than the route may cost at most.
    pub async fn hold(&mut self, credits: u64) -> Result<(), Denial> {
        let Some(gate) = self.gate.clone() else {
            return Ok(());
        };
        let reply = self.ticket.with(|passage| {
            let tab = passage.tab.as_ref().filter(|tab| tab.held() < credits)?;
            if let Price::Between { most, .. } = tab.price()
                && credits > most
            {
                let reason =
                    format!("{credits} credits asked for, but the route costs at most {most}");
                return Some(Err(Denial::new(DenialKind::Internal).with_reason(reason)));
            }
            let till = gate.till();
            let asked = till.ledger.extend(tab.id(), credits);
            Some(Ok(within(&*till.clock, till.deadline, "the ledger", asked)))
        });
        let Some(reply) = reply else { return Ok(()) };
        let held = reply?.await.map_err(|error| Denial::unavailable(&error));
        let noted = held.and_then(|answer| {
            self.ticket.with(|passage| match passage.tab.as_mut() {
                Some(tab) => tab.note(answer, credits),
                None => Ok(()),
            })
        });
        noted.or_else(|denial| self.excuse(denial))
    }

    /// Lets a refusal pass where the route only observes credits.
    fn excuse(&self, denial: Denial) -> Result<(), Denial> {
        let route = self.ticket.with(|passage| passage.route.clone());
        match route {
            Some(route) if route.access.observed.has(Check::Credits) => {
                would_refuse(&route, &denial);
                Ok(())
            }
            _ => Err(denial),
        }
    }

    /// Records what the work costs, at most what is held. The last record counts; it is charged
    /// when the request has succeeded, or when the client hangs up.
    ///
    /// # Errors
    ///
    /// A [`Denial`], 500, if more is recorded than is held: [`hold`](Self::hold) it first.
    pub fn set(&mut self, credits: u64) -> Result<(), Denial> {
        self.ticket.with(|passage| match passage.tab.as_mut() {
            Some(tab) => tab.record(credits),
            None => Ok(()),
        })
    }

    /// Charges what is recorded, or else held, now and for good, whatever becomes of the request.
    /// Says how many credits that were.
    ///
    /// # Errors
    ///
    /// A [`Denial`], 503, if the ledger did not say so; then the charge may have happened or not.
    pub async fn settle_now(&mut self) -> Result<u64, Denial> {
        let tab = self.ticket.with(|passage| passage.tab.take());
        let Some(mut tab) = tab else { return Ok(0) };
        let due = tab.recorded_or_held();
        let charged = match tab.close_with(due) {
            Closing::Done(charged) => charged,
            Closing::Waits(future) => future.await,
        };
        charged.ok_or_else(|| DenialKind::Unavailable.into())
    }
}

impl<S: Sync> FromRequestParts<S> for Bill {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Denial> {
        let Some(ticket) = Ticket::find(&parts.extensions) else {
            return Err(Denial::misplaced("CreditMeterLayer"));
        };
        let gate = ticket.with(|passage| passage.tab.as_ref().map(|tab| tab.gate().clone()));
        Ok(Self {
            ticket: ticket.clone(),
            gate,
        })
    }
}
