//! Streams whose items cost credits: paid for in slices, ahead of delivery.

use std::fmt;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use pin_project_lite::pin_project;
use tollgate_core::credits::{HoldAnswer, Price};
use tollgate_core::deadline::within;
use tollgate_core::reply::BoxFuture;

use crate::bill::Bill;
use crate::denial::{Denial, DenialKind};

pin_project! {
    /// The items of a stream, each paid for before it is delivered. From [`Bill::meter`].
    ///
    /// At every moment delivered ≤ charged ≤ delivered + a slice. The stream ends with its last item,
    /// or with one [`Denial`] where the wallet is empty or the ledger is down; what was delivered until
    /// then is charged, and the rest is given back. So it is when the client hangs up and this is
    /// dropped. Of a crash, the slice that was under way is charged as a whole.
    #[must_use = "a stream does nothing unless polled"]
    pub struct Metered<S> {
        #[pin]
        items: S,
        bill: Bill,
        each: u64,
        slice: u64,
        delivered: u64,
        paid: u64,
        paying: Option<BoxFuture<Result<u64, Denial>>>,
        ended: bool,
    }

    impl<S> PinnedDrop for Metered<S> {
        fn drop(this: Pin<&mut Self>) {
            this.project().bill.close();
        }
    }
}

impl<S> Metered<S> {
    pub(crate) fn new(items: S, bill: Bill, each: Result<u64, Denial>, slice: NonZeroU32) -> Self {
        let paying = each.as_ref().err().cloned();
        Self {
            items,
            bill,
            each: each.unwrap_or(0),
            slice: u64::from(slice.get()),
            delivered: 0,
            paid: 0,
            paying: paying.map(|denial| -> BoxFuture<_> { Box::pin(async { Err(denial) }) }),
            ended: false,
        }
    }
}

impl<S: Stream> Stream for Metered<S> {
    type Item = Result<S::Item, Denial>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            if *this.ended {
                return Poll::Ready(None);
            }
            if let Some(paying) = this.paying {
                let paid = ready!(paying.as_mut().poll(cx));
                *this.paying = None;
                match paid {
                    Ok(items) => *this.paid = items,
                    Err(denial) => {
                        *this.ended = true;
                        this.bill.close();
                        return Poll::Ready(Some(Err(denial)));
                    }
                }
            }
            if *this.delivered < *this.paid {
                let Some(item) = ready!(this.items.as_mut().poll_next(cx)) else {
                    *this.ended = true;
                    this.bill.close();
                    return Poll::Ready(None);
                };
                *this.delivered = this.delivered.saturating_add(1);
                this.bill.deliver(this.delivered.saturating_mul(*this.each));
                return Poll::Ready(Some(Ok(item)));
            }
            let slice = pay(this.bill.clone(), *this.each, *this.paid, *this.slice);
            *this.paying = Some(Box::pin(slice));
        }
    }
}

/// Pays for the next slice, or for what the wallet still has of it; says how many items are paid
/// then.
async fn pay(bill: Bill, each: u64, paid: u64, slice: u64) -> Result<u64, Denial> {
    let mut items = paid.saturating_add(slice);
    loop {
        let credits = items.saturating_mul(each);
        let asked = bill.on_tab(None, |tab| {
            // The hold is owed at once, so that a crash charges what may have been delivered.
            Ok(Some((tab.gate().clone(), tab.extension(credits, credits))))
        })?;
        let Some((gate, extension)) = asked else {
            return Ok(items);
        };
        let till = gate.till();
        let raised = till.ledger.extend(extension);
        let raised = within(&*till.clock, till.deadline, "the ledger", raised).await;
        let answer = raised.map_err(|error| Denial::unavailable(&error))?;
        if let HoldAnswer::Insufficient { available } = answer {
            let held = bill.on_tab(0, |tab| Ok(tab.held()))?;
            let affordable = held
                .saturating_add(available)
                .checked_div(each)
                .unwrap_or(0);
            if affordable > paid && affordable < items {
                items = affordable;
                continue;
            }
        }
        let wanted = paid.saturating_add(1).saturating_mul(each);
        bill.on_tab((), |tab| tab.note(&answer, wanted))?;
        return Ok(items);
    }
}

/// What an item of a stream costs on this route.
pub(crate) fn price_of_each(price: Price) -> Result<u64, Denial> {
    match price {
        Price::Free => Ok(0),
        Price::PerItem(each) => Ok(each),
        _ => {
            let reason = "a stream is metered, but its route has no price for each item";
            tracing::error!(reason, "a handler misuses its bill");
            Err(Denial::new(DenialKind::Internal).with_reason(reason))
        }
    }
}

impl<S> fmt::Debug for Metered<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metered")
            .field("delivered", &self.delivered)
            .field("paid", &self.paid)
            .finish_non_exhaustive()
    }
}
