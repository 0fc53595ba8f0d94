//! Floods, and what they do to everybody else.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use http::{HeaderValue, StatusCode};

use crate::site::{Site, bearer};

/// How big a flood is, beside the use of hot keys: a tenth as many requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) requests: u64,
    /// How fast its time goes.
    pub(crate) per_second: u64,
    pub(crate) hot_keys: usize,
}

/// What a flood sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sent {
    GoodChecksum,
    BadChecksum,
    NoKeyToPublic,
    NoKey,
}

/// Where a flood comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    OneAddress,
    Ipv4,
    /// A /64 for each request.
    Ipv6,
    /// One /64, an address for each request.
    OneBlock,
}

impl Source {
    pub(crate) fn address(self, request: u64) -> IpAddr {
        let low = u32::try_from(request & 0xffff_ffff).unwrap();
        match self {
            Self::OneAddress => Ipv4Addr::new(203, 0, 113, 9).into(),
            Self::Ipv4 => Ipv4Addr::from_bits(0x0b00_0000 + low).into(),
            Self::Ipv6 => Ipv6Addr::from_bits((0x2001_0db8 << 96) | (u128::from(low) << 64)).into(),
            Self::OneBlock => Ipv6Addr::from_bits((0x2001_0db8 << 96) | u128::from(low)).into(),
        }
    }
}

/// What a flood did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Harm {
    pub(crate) requests: u64,
    pub(crate) seconds: u64,
    pub(crate) refused: u64,
    /// Reads of the store for the flood's keys.
    pub(crate) reads: u64,
    pub(crate) hot_requests: u64,
    pub(crate) hot_reads: u64,
    pub(crate) hot_refused: u64,
    /// Bytes of resident memory, from before the flood to its middle and to its end.
    pub(crate) grown_at_half: i64,
    pub(crate) grown: i64,
}

impl Harm {
    #[expect(clippy::cast_precision_loss, reason = "a share for people to read")]
    pub(crate) fn hit_rate(&self) -> f64 {
        1.0 - self.hot_reads as f64 / self.hot_requests as f64
    }

    /// What is broken, if anything is.
    pub(crate) fn broken(&self, sent: Sent, from: Source) -> Vec<String> {
        let mut broken = Vec::new();
        let mut claim = |holds: bool, what: String| {
            if !holds {
                broken.push(format!("{sent:?} {from:?}: {what}"));
            }
        };
        let slope = self.grown - self.grown_at_half;
        claim(self.hot_refused == 0, "a hot key was refused".to_owned());
        let rate = self.hit_rate();
        claim(rate >= 0.999, format!("hot keys' hit rate {rate:.5}"));
        claim(self.grown <= 32 << 20, format!("grew by {}", self.grown));
        claim(slope <= 1 << 20, format!("second half grew by {slope}"));
        // Each unknown key is read once; from one address 300, then what comes back of the 300 a
        // minute and one a second besides. Nothing else reads the store.
        let most = match (sent, from) {
            (Sent::GoodChecksum, Source::OneAddress) => 301 + 6 * self.seconds,
            (Sent::GoodChecksum, _) => self.requests,
            _ => 0,
        };
        claim(self.reads <= most, format!("{} reads", self.reads));
        broken
    }
}

/// Floods a site with so many requests, while its hot keys are being used, some of them from the
/// first address of the flood.
pub(crate) async fn flood(site: &mut Site, sent: Sent, from: Source, volume: Size) -> Harm {
    let Size {
        requests,
        per_second,
        hot_keys,
    } = volume;
    let mut hot: Vec<HeaderValue> = Vec::new();
    for _ in 0..hot_keys {
        hot.push(bearer(&site.key().await));
    }
    let elsewhere: IpAddr = Ipv4Addr::new(198, 51, 100, 7).into();
    for key in &hot {
        assert_eq!(site.status(key, elsewhere).await, 200);
    }
    let (found, unknown, before) = (site.store.found(), site.store.unknown(), resident());
    let mut harm = Harm {
        requests,
        seconds: requests / per_second,
        ..Harm::default()
    };
    let mut keys = hot.iter().cycle();
    for request in 0..requests {
        let key = match sent {
            Sent::GoodChecksum => Some(site.made_up(true)),
            Sent::BadChecksum => Some(site.made_up(false)),
            Sent::NoKey | Sent::NoKeyToPublic => None,
        };
        let path = match sent {
            Sent::NoKeyToPublic => "/public",
            _ => "/",
        };
        let status = site.ask(path, key, from.address(request)).await.status();
        assert!(status == 200 || status == 401 || status == 429, "{status}");
        harm.refused += u64::from(status == 429);
        site.clock
            .advance(Duration::from_nanos(1_000_000_000 / per_second));
        if request % 10 == 0 {
            let near = if request % 20 == 0 {
                from.address(0)
            } else {
                elsewhere
            };
            let status = site.status(keys.next().unwrap(), near).await;
            harm.hot_requests += 1;
            harm.hot_refused += u64::from(status != StatusCode::OK);
        }
        if request % 1000 == 0 {
            // What goes on behind the requests has to come to it.
            tokio::task::yield_now().await;
        }
        if request == requests / 2 {
            harm.grown_at_half = resident() - before;
        }
    }
    harm.grown = resident() - before;
    harm.reads = site.store.unknown() - unknown;
    harm.hot_reads = site.store.found() - found;
    harm
}

/// This process's resident memory in bytes; zero where the system does not tell.
fn resident() -> i64 {
    const PAGE: i64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.map_or(0, |pages: i64| pages * PAGE)
}

/// How a good key fares whose first request comes from an address that is flooded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    pub(crate) tries: u64,
    pub(crate) seconds: u64,
}

/// A flood of made-up keys from one address, and a client there whose good key is not cached, and
/// who comes back when told to. Each second `returning` keys of the flood come back as well.
pub(crate) async fn fate(
    site: &mut Site,
    per_second: u64,
    returning: u64,
    patience: u64,
) -> Option<Fate> {
    let from = Source::OneAddress.address(0);
    let (good, mut to_return) = (bearer(&site.key().await), VecDeque::new());
    let mut tries = 0;
    // The flood is a second old when the client first comes.
    let first = per_second + fastrand::u64(0..per_second);
    let mut next = first;
    for request in 0..per_second * (1 + patience) {
        let place = request % per_second;
        let old = (place < returning).then(|| to_return.pop_front()).flatten();
        let key = old.unwrap_or_else(|| site.made_up(true));
        if (returning..2 * returning).contains(&place) {
            to_return.push_back(key.clone());
        }
        assert_ne!(site.status(&key, from).await, 200);
        let step = Duration::from_nanos(1_000_000_000 / per_second);
        if request < next {
            site.clock.advance(step);
            continue;
        }
        // At the same moment, so that whatever is free by then has gone to the flood.
        let answer = site.ask("/", Some(good.clone()), from).await;
        site.clock.advance(step);
        tries += 1;
        if answer.status() == 200 {
            let seconds = (request - first).div_ceil(per_second);
            return Some(Fate { tries, seconds });
        }
        assert_eq!(answer.status(), 429);
        let wait = answer.headers()["retry-after"].to_str().unwrap();
        next = request + per_second * wait.parse::<u64>().unwrap();
    }
    None
}
