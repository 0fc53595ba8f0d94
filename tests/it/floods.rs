//! Floods of made-up keys and of addresses harm nobody else: small ones of those that the bench
//! `floods` sends by the ten million.

use std::net::IpAddr;
use std::time::Duration;

use tollgate::core::rate::RateLimit;

use super::flood::{Harm, Sent, Size, Source, fate, flood};
use super::site::{Site, bearer};
use super::support::MINUTE;

/// More seconds than a copy of a key is believed.
const SMALL: Size = Size {
    requests: 24_000,
    per_second: 2_000,
    hot_keys: 1,
};

async fn site() -> Site {
    let rate = RateLimit::smooth(600, MINUTE).unwrap();
    Site::new(|builder| builder.address_rate(rate)).await
}

/// Memory is the bench's business: here other tests use it too.
async fn harm(sent: Sent, from: Source) -> Harm {
    let harm = flood(&mut site().await, sent, from, SMALL).await;
    let harm = Harm {
        grown: 0,
        grown_at_half: 0,
        ..harm
    };
    assert_eq!(harm.broken(sent, from), Vec::<String>::new());
    harm
}

#[tokio::test]
async fn made_up_keys_from_one_address_read_six_a_second_and_hold_up_no_cached_key() {
    let harm = harm(Sent::GoodChecksum, Source::OneAddress).await;
    assert!(harm.reads >= 300, "{harm:?}");
    assert!(harm.refused > 23_000, "{harm:?}");
}

#[tokio::test]
async fn made_up_keys_from_everywhere_hold_up_no_cached_key() {
    for from in [Source::Ipv4, Source::Ipv6] {
        assert_eq!(harm(Sent::GoodChecksum, from).await.reads, SMALL.requests);
    }
    let harm = harm(Sent::GoodChecksum, Source::OneBlock).await;
    assert!(harm.reads < 400, "a /64 is one address: {harm:?}");
}

#[tokio::test]
async fn keys_with_a_bad_checksum_are_never_looked_up() {
    for from in [Source::OneAddress, Source::Ipv4, Source::Ipv6] {
        assert_eq!(harm(Sent::BadChecksum, from).await.reads, 0);
    }
}

#[tokio::test]
async fn requests_without_a_key_are_never_looked_up() {
    for sent in [Sent::NoKey, Sent::NoKeyToPublic] {
        for from in [Source::Ipv6, Source::OneBlock] {
            assert_eq!(harm(sent, from).await.reads, 0);
        }
    }
}

/// How long a client keeps trying. One try in 33 finds its place among the notes taken: seven in a row
/// do once in 4 × 10¹⁰, and the eighth is let in.
const PATIENCE: u64 = 8;

/// The look-up a second that goes to whoever comes first always goes to the flood.
#[tokio::test]
async fn a_good_key_is_let_in_when_it_comes_back_to_a_flooded_address() {
    let mut site = site().await;
    let mut tries = Vec::new();
    for _ in 0..7 {
        let fate = fate(&mut site, 2_000, 0, PATIENCE).await.expect("let in");
        assert_eq!(fate.seconds, fate.tries - 1, "{fate:?}");
        tries.push(fate.tries);
    }
    // The first is in vain, and the second is not, but for those whose place is taken.
    assert_eq!(tries.iter().min(), Some(&2), "{tries:?}");
}

#[tokio::test]
async fn a_few_keys_that_come_back_too_do_not_keep_a_good_one_out() {
    let mut site = site().await;
    for _ in 0..3 {
        let fate = fate(&mut site, 2_000, 5, PATIENCE).await;
        fate.expect("let in");
    }
}

/// Copies are believed for ten seconds; the key is no guess after them.
#[tokio::test]
async fn a_cached_key_is_read_again_though_its_address_is_flooded() {
    let mut site = Site::new(|builder| builder.failures_per_minute(1)).await;
    let from: IpAddr = Source::OneAddress.address(0);
    let key = bearer(&site.key().await);
    assert_eq!(site.status(&key, from).await, 200);
    site.clock.advance(Duration::from_secs(10));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let made_up = site.made_up(true);
        statuses.push(site.status(&made_up, from).await.as_u16());
    }
    assert_eq!(statuses, [401, 401, 429]);
    assert_eq!(site.status(&key, from).await, 200);
    assert_eq!(site.store.found(), 2);
}

#[tokio::test]
async fn keys_that_come_back_are_looked_up_ten_a_second() {
    let mut site = Site::new(|builder| builder.failures_per_minute(1)).await;
    let from: IpAddr = Source::OneAddress.address(0);
    let mut keys = Vec::new();
    for _ in 0..40 {
        keys.push(site.made_up(true));
    }
    for round in 0..3 {
        let before = site.store.unknown();
        for key in &keys {
            site.status(key, from).await;
        }
        // One fails freely and one is the first to come; then eleven with the first of each second.
        let most = if round == 0 { 2 } else { 11 };
        assert_eq!(site.store.unknown() - before, most, "round {round}");
        site.clock.advance(Duration::from_secs(1));
    }
}
