//! One operation of those that are decided together.

use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{Extension, HoldAnswer, HoldRequest, Settle, Settlement};
use tollgate_core::error::StoreError;
use tollgate_core::id::{HoldId, OrgId};

use super::queue::Tell;

/// What is asked, and who is told.
pub(super) enum Op {
    Hold(Box<HoldRequest>, Tell<HoldAnswer>),
    Extend(Extension, Tell<HoldAnswer>),
    Settle(Settle, Tell<Settlement>),
    Void {
        id: HoldId,
        organization: OrgId,
        at: Timestamp,
        tell: Tell<()>,
    },
}

impl Op {
    /// Whether anybody still waits for the answer. Who charges waits until it is done.
    pub(super) fn is_wanted(&self) -> bool {
        !match self {
            Self::Hold(_, tell) | Self::Extend(_, tell) => tell.is_closed(),
            Self::Settle(_, tell) => tell.is_closed(),
            Self::Void { tell, .. } => tell.is_closed(),
        }
    }

    pub(super) fn fail(self, error: &StoreError) {
        self.tell(Err(error.clone()));
    }

    pub(super) fn tell(self, answer: Result<Answer, StoreError>) {
        // Whoever has gone away meanwhile closes its own hold.
        match self {
            Self::Hold(_, tell) | Self::Extend(_, tell) => {
                let _ = tell.send(answer.map(Answer::hold));
            }
            Self::Settle(_, tell) => {
                let _ = tell.send(answer.map(Answer::settlement));
            }
            Self::Void { tell, .. } => {
                let _ = tell.send(answer.map(|_| ()));
            }
        }
    }

    /// Whether it puts off a deadline.
    pub(super) const fn extends(&self) -> bool {
        matches!(self, Self::Extend(..))
    }

    pub(super) fn request(&self) -> Option<&HoldRequest> {
        match self {
            Self::Hold(request, _) => Some(request),
            _ => None,
        }
    }

    /// Whose wallet it is about, as far as it says so.
    pub(super) const fn organization(&self) -> Option<&OrgId> {
        match self {
            Self::Hold(request, _) => Some(&request.organization),
            Self::Void { organization, .. } => Some(organization),
            _ => None,
        }
    }

    pub(super) fn hold_id(&self) -> HoldId {
        match self {
            Self::Hold(request, _) => request.id,
            Self::Extend(extension, _) => extension.id,
            Self::Settle(settle, _) => settle.id,
            Self::Void { id, .. } => *id,
        }
    }
}

/// The answer to any operation.
pub(super) enum Answer {
    Hold(HoldAnswer),
    Settlement(Settlement),
    Done,
}

impl Answer {
    /// Never another kind: an operation is answered by its own function below.
    fn hold(self) -> HoldAnswer {
        match self {
            Self::Hold(answer) => answer,
            _ => HoldAnswer::Insufficient { available: 0 },
        }
    }

    fn settlement(self) -> Settlement {
        match self {
            Self::Settlement(settlement) => settlement,
            _ => Settlement::AlreadyEnded { charged: 0 },
        }
    }
}
