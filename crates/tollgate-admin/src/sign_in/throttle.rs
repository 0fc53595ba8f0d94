//! How often somebody may try to sign in: without locking anybody out.
//!
//! | who is counted | how often |
//! | --- | --- |
//! | an account from an address | 5 at once, then 5 a minute |
//! | an address, IPv6 by /64 | 20 at once, then 20 a minute |
//! | an account, from addresses from which nobody got in | 100 at once, then 100 an hour |
//!
//! The last one keeps a botnet from guessing at one account. Who signed in from an address before
//! is not counted there, so that the botnet does not keep them out either.

use std::collections::HashSet;
use std::fmt;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tollgate::{Denial, DenialKind};
use tollgate_core::clock::Moment;
use tollgate_core::id::OrgId;
use tollgate_core::ip::customer_block;
use tollgate_core::rate::{Limiter, LocalLimiter, RateLimit, Subject, Take};
use tollgate_core::reply::Reply;

/// How many accounts at addresses are remembered for having got in.
const REMEMBERED: usize = 10_000;

/// Counts attempts in this process.
pub(crate) struct Throttle {
    limiter: LocalLimiter,
    pair: Option<RateLimit>,
    address: Option<RateLimit>,
    account: Option<RateLimit>,
    got_in: Mutex<HashSet<(Arc<str>, IpAddr)>>,
}

impl Throttle {
    pub(crate) fn new() -> Self {
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        Self {
            limiter: LocalLimiter::new(),
            pair: RateLimit::smooth(5, minute).ok(),
            address: RateLimit::smooth(20, minute).ok(),
            account: RateLimit::smooth(100, hour).ok(),
            got_in: Mutex::default(),
        }
    }

    /// Counts an attempt.
    pub(crate) fn turn(
        &self,
        email: &str,
        address: Option<IpAddr>,
        now: Moment,
    ) -> Result<(), Denial> {
        let account = account(email);
        if let Some(address) = address {
            let of_address = Subject::address(address);
            let pair = of_address.clone().in_class(Arc::clone(&account));
            self.take(&pair, self.pair.as_ref(), now)?;
            self.take(&of_address, self.address.as_ref(), now)?;
            let got_in = (Arc::clone(&account), customer_block(address));
            if self.got_in.lock().contains(&got_in) {
                return Ok(());
            }
        }
        // A digest in hex is what an id may be.
        match OrgId::new(&account) {
            Ok(id) => self.take(&Subject::organization(id), self.account.as_ref(), now),
            Err(_) => Ok(()),
        }
    }

    /// Remembers that they got in from there.
    pub(crate) fn succeeded(&self, email: &str, address: Option<IpAddr>) {
        if let Some(address) = address {
            let mut got_in = self.got_in.lock();
            if got_in.len() >= REMEMBERED {
                got_in.clear();
            }
            got_in.insert((account(email), customer_block(address)));
        }
    }

    fn take(
        &self,
        subject: &Subject,
        limit: Option<&RateLimit>,
        now: Moment,
    ) -> Result<(), Denial> {
        let take = Take {
            subject,
            limits: limit.map(std::slice::from_ref).unwrap_or_default(),
            cost: 1,
            now,
        };
        match self.limiter.take(&take) {
            Reply::Now(Ok(tally)) if !tally.admitted => {
                let wait = tally.retry_after();
                Err(Denial::new(DenialKind::Status(429)).with_retry_after(wait))
            }
            _ => Ok(()),
        }
    }
}

/// What stands for an address: what somebody typed may be long, or their password.
fn account(email: &str) -> Arc<str> {
    let digest = Sha256::digest(email.to_lowercase().as_bytes());
    let hex = digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    hex.into()
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle")
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::clock::{Steady, Timestamp};

    fn at(secs: u64) -> Moment {
        Moment {
            wall: Timestamp::from_secs(1_767_225_600),
            steady: Steady::from_nanos(secs * 1_000_000_000),
        }
    }

    const fn ip(last: u8) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, last))
    }

    /// How many of so many attempts are let through.
    fn admitted(
        throttle: &Throttle,
        attempts: u8,
        attempt: impl Fn(u8) -> (String, Option<IpAddr>),
    ) -> usize {
        let attempts = (0..attempts).map(attempt);
        attempts
            .filter(|(email, ip)| throttle.turn(email, *ip, at(10)).is_ok())
            .count()
    }

    #[test]
    fn an_account_is_tried_five_times_from_an_address_then_once_in_twelve_seconds() {
        let throttle = Throttle::new();
        assert_eq!(
            admitted(&throttle, 9, |_| ("ann@a".to_owned(), Some(ip(1)))),
            5
        );
        let denial = throttle.turn("ANN@a", Some(ip(1)), at(10)).unwrap_err();
        assert_eq!(denial.retry_after(), Some(Duration::from_secs(12)));
        assert!(throttle.turn("ann@a", Some(ip(1)), at(22)).is_ok());
        assert!(throttle.turn("ann@a", Some(ip(2)), at(10)).is_ok());
    }

    #[test]
    fn an_address_tries_twenty_accounts() {
        let throttle = Throttle::new();
        assert_eq!(
            admitted(&throttle, 30, |n| (format!("u{n}@a"), Some(ip(1)))),
            20
        );
    }

    #[test]
    fn many_addresses_do_not_keep_out_who_got_in_before() {
        let throttle = Throttle::new();
        throttle.succeeded("ann@a", Some(ip(255)));
        assert_eq!(
            admitted(&throttle, 200, |n| ("ann@a".to_owned(), Some(ip(n)))),
            100
        );
        assert!(throttle.turn("ann@a", Some(ip(255)), at(10)).is_ok());
    }
}
