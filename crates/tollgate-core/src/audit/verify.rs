//! Reads a chain from its beginning, and says where it is broken.

use std::error::Error;
use std::fmt;

use super::{AuditHead, AuditKey, AuditRecord};
use crate::id::OrgId;

/// Follows a chain, record by record.
#[derive(Debug)]
pub struct AuditVerifier<'a> {
    key: &'a AuditKey,
    organization: Option<OrgId>,
    /// Where the chain was known to end, at some time.
    anchor: Option<AuditHead>,
    seq: u64,
    mac: [u8; 32],
}

/// Where a chain is broken, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AuditFault {
    /// A record is not what was written, or not the one that was written there.
    Changed {
        /// Its place.
        seq: u64,
    },
    /// Records are missing, or in another order.
    Missing {
        /// The place where another was found.
        expected: u64,
        /// The place of that one.
        found: u64,
    },
    /// The chain ends before a head that was kept.
    Truncated {
        /// Its last place.
        last: u64,
        /// The place of the head.
        anchored: u64,
    },
    /// The chain is whole, but is not the one of which a head was kept.
    NotAnchored {
        /// The place of the head.
        seq: u64,
    },
}

impl<'a> AuditVerifier<'a> {
    /// Begins with the chain of an organization, or with that of none. With a head that was kept,
    /// the chain has to pass through it.
    #[must_use]
    pub const fn new(
        key: &'a AuditKey,
        organization: Option<OrgId>,
        anchor: Option<AuditHead>,
    ) -> Self {
        Self {
            key,
            organization,
            anchor,
            seq: 0,
            mac: [0; 32],
        }
    }

    /// The place up to which the chain was followed.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Goes on to the next record.
    ///
    /// # Errors
    ///
    /// [`AuditFault`] if the chain is broken here.
    pub fn follow(&mut self, record: &AuditRecord) -> Result<(), AuditFault> {
        let expected = self.seq.saturating_add(1);
        let found = record.seq;
        if found != expected {
            return Err(AuditFault::Missing { expected, found });
        }
        let mac = self.key.mac(&self.mac, record);
        if mac != record.mac || record.organization != self.organization {
            return Err(AuditFault::Changed { seq: found });
        }
        (self.seq, self.mac) = (found, mac);
        match &self.anchor {
            Some(anchor) if anchor.seq == found && anchor.mac != mac => {
                Err(AuditFault::NotAnchored { seq: found })
            }
            _ => Ok(()),
        }
    }

    /// Ends where the chain ends.
    ///
    /// # Errors
    ///
    /// [`AuditFault`] if it ends before the head that was kept.
    pub fn finish(self) -> Result<AuditHead, AuditFault> {
        if let Some(anchor) = &self.anchor
            && anchor.seq > self.seq
        {
            return Err(AuditFault::Truncated {
                last: self.seq,
                anchored: anchor.seq,
            });
        }
        Ok(AuditHead {
            organization: self.organization,
            seq: self.seq,
            mac: self.mac,
        })
    }
}

impl fmt::Display for AuditFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { seq } => write!(f, "record {seq} is not what was written there"),
            Self::Missing { expected, found } => {
                write!(
                    f,
                    "record {expected} is missing: record {found} stands in its place"
                )
            }
            Self::Truncated { last, anchored } => write!(
                f,
                "the trail ends at record {last}, but had {anchored} when its head was kept"
            ),
            Self::NotAnchored { seq } => write!(
                f,
                "record {seq} is another than when its head was kept: the trail was written anew"
            ),
        }
    }
}

impl Error for AuditFault {}
