//! What a handler says about the price of its work.

use std::num::NonZeroU32;

use axum::extract::FromRequestParts;
use futures_util::Stream;
use http::request;
use tollgate_core::credits::Price;
use tollgate_core::deadline::within;

use crate::access::Check;
use crate::admission::would_refuse;
use crate::denial::{Denial, DenialKind};
use crate::metered::{Metered, price_of_each};
use crate::passage::Ticket;
use crate::tab::Tab;

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
///     bill.set(tokens.min(bill.held()))?; // of what is held; charged with the answer
///     Ok("42".to_owned())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Bill {
    ticket: Ticket,
    charged: bool,
}

impl Bill {
    /// How many credits are held for this request now; `u64::MAX` where nothing is charged.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.on_tab(u64::MAX, |tab| Ok(tab.held())).unwrap_or(0)
    }

    /// Holds the price of `count` items, before the work on them. One is held from the start; no
    /// items at all cost nothing.
    ///
    /// # Errors
    ///
    /// A [`Denial`]: 402 if the wallet has too few credits, 503 if the ledger is down, 500 if the
    /// route has no price for each item, or its request is over. Returned by the handler, each
    /// gives back what is held.
    pub async fn items(&mut self, count: usize) -> Result<(), Denial> {
        let each = self.on_tab(0, |tab| match tab.price() {
            Price::PerItem(each) => Ok(each),
            _ => Err(misuse("the route has no price for each item")),
        })?;
        let total = u64::try_from(count)
            .unwrap_or(u64::MAX)
            .saturating_mul(each);
        self.hold(total).await?;
        self.on_tab((), |tab| {
            tab.count(total.min(tab.held()));
            Ok(())
        })
    }

    /// Holds `credits` in all, before more work. Never gives any back.
    ///
    /// # Errors
    ///
    /// As [`items`](Self::items), and a 500 if that is more than the route may cost at most.
    pub async fn hold(&mut self, credits: u64) -> Result<(), Denial> {
        let asked = self.on_tab(None, |tab| match tab.price() {
            Price::Between { most, .. } | Price::Fixed(most) if credits > most => {
                Err(misuse("more credits asked for than the route may cost"))
            }
            _ if tab.held() >= credits => Ok(None),
            _ => Ok(Some((tab.gate().clone(), tab.extension(credits, 0)))),
        })?;
        let Some((gate, extension)) = asked else {
            return Ok(());
        };
        let till = gate.till();
        let raised = till.ledger.extend(extension);
        let raised = within(&*till.clock, till.deadline, "the ledger", raised).await;
        raised
            .map_err(|error| Denial::unavailable(&error))
            .and_then(|answer| self.on_tab((), |tab| tab.note(&answer, credits)))
            .or_else(|denial| self.excuse(denial))
    }

    /// Records what the work costs, at most what is held. The last record counts; it is charged
    /// when the request has succeeded, or when the client hangs up.
    ///
    /// # Errors
    ///
    /// A [`Denial`], 500, if more is recorded than is held, which is to be [`hold`](Self::hold)
    /// first; or if the request is over, as it is once its response has begun.
    pub fn set(&mut self, credits: u64) -> Result<(), Denial> {
        self.on_tab((), |tab| tab.record(credits))
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
        let charged = tab.close_with(due).charged().await;
        charged.ok_or_else(|| DenialKind::Unavailable.into())
    }

    /// Charges a stream by its items, at the route's price of each, a slice at a time and ahead of
    /// delivery. Each item comes out as `Ok`; where the wallet is empty the last one is a [`Denial`].
    ///
    /// Give it to the response's body, and the hold goes on until that ends. A smaller slice asks
    /// the ledger more often, a larger one holds more that may not be needed.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use std::num::NonZeroU32;
    ///
    /// use axum::body::Body;
    /// use futures_util::{Stream, StreamExt};
    /// use tollgate::Bill;
    ///
    /// async fn export(bill: Bill) -> Body {
    ///     let rows = futures_util::stream::iter(["{\"n\":1}\n", "{\"n\":2}\n"]);
    ///     let rows = bill.meter(rows, NonZeroU32::new(100).unwrap());
    ///     Body::from_stream(rows.map(|row| {
    ///         // A last line that says why there are no more.
    ///         let end = |denial: tollgate::Denial| format!("{{\"error\":\"{}\"}}\n", denial.kind().code());
    ///         Ok::<_, Infallible>(row.map_or_else(end, str::to_owned))
    ///     }))
    /// }
    /// ```
    pub fn meter<S: Stream>(self, items: S, slice: NonZeroU32) -> Metered<S> {
        let each = self.on_tab(Ok(0), |tab| {
            tab.outlive();
            Ok(price_of_each(tab.price()))
        });
        Metered::new(items, self, each.and_then(|each| each), slice)
    }

    /// Records what was delivered of a stream, which is held.
    pub(crate) fn deliver(&self, credits: u64) {
        // Without a tab there is nothing to charge.
        let _ = self.on_tab((), |tab| tab.record(credits));
    }

    /// The stream has ended: what was recorded is charged.
    pub(crate) fn close(&self) {
        if self.charged
            && let Some(mut tab) = self.ticket.with(|passage| passage.tab.take())
        {
            tab.end_stream();
        }
    }

    /// Works on the open tab. Where nothing is charged there never was one.
    pub(crate) fn on_tab<T>(
        &self,
        free: T,
        work: impl FnOnce(&mut Tab) -> Result<T, Denial>,
    ) -> Result<T, Denial> {
        if !self.charged {
            return Ok(free);
        }
        self.ticket.with(|passage| match passage.tab.as_mut() {
            Some(tab) => work(tab),
            None => Err(misuse("the bill is settled, or its request is over")),
        })
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
}

fn misuse(reason: &str) -> Denial {
    tracing::error!(reason, "a handler misuses its bill");
    Denial::new(DenialKind::Internal).with_reason(reason)
}

impl<S: Sync> FromRequestParts<S> for Bill {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Denial> {
        let Some(ticket) = Ticket::find(&parts.extensions) else {
            return Err(Denial::misplaced("CreditMeterLayer"));
        };
        let charged = ticket.with(|passage| passage.tab.as_ref().is_some_and(|tab| !tab.is_free()));
        Ok(Self {
            ticket: ticket.clone(),
            charged,
        })
    }
}
