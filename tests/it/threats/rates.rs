//! T45: no window holds more than the limit says, however the requests are placed.

use std::time::Duration;

use tollgate::access::authenticated;
use tollgate::core::plan::Limits;
use tollgate::core::rate::RateLimit;

use super::{Ran, get};
use crate::support::{MINUTE, TestApp};

const LIMIT: u32 = 10;

/// How an attacker places requests: the wait before each, in milliseconds.
fn placements() -> Vec<(&'static str, Vec<u64>)> {
    let repeat = |waits: &[u64], times: usize| waits.repeat(times);
    let burst = vec![0; 25];
    // All at the end of one minute and at the beginning of the next.
    let straddle = |before: u64| [&[before][..], &burst, &[60_000 - before], &burst].concat();
    let mut uneven = Vec::new();
    let mut number: u64 = 45;
    for _ in 0..600 {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        uneven.push((number >> 33) % 4000);
    }
    vec![
        ("all at once", repeat(&[0], 40)),
        ("across a minute", straddle(59_999)),
        ("across half a minute", straddle(30_000)),
        ("evenly", repeat(&[1000], 300)),
        ("just slower than the refill", repeat(&[6001], 60)),
        ("just faster than the refill", repeat(&[5999], 60)),
        ("in pairs", repeat(&[0, 11_999], 60)),
        (
            "a burst each window",
            [
                burst.clone(),
                vec![60_000],
                burst.clone(),
                vec![60_001],
                burst,
            ]
            .concat(),
        ),
        ("unevenly", uneven),
    ]
}

/// The most requests that were admitted within any span as long as the window.
fn most_in_any_window(admitted: &[u64]) -> usize {
    let window = u64::try_from(MINUTE.as_millis()).unwrap();
    let in_window = |start: &u64| {
        let inside = |at: &&u64| (*start..start + window).contains(at);
        admitted.iter().filter(inside).count()
    };
    admitted.iter().map(in_window).max().unwrap_or(0)
}

async fn most_admitted(limit: &RateLimit, waits: &[u64]) -> (usize, usize) {
    let ran = Ran::default();
    let app = TestApp::new(|gate| gate.routes().get("/", ran.clone(), authenticated())).await;
    let limits = Limits::new().with_rate(limit.clone());
    let key = app.key_with("umbra", |key| key.limits(limits)).await.secret;
    let (mut now, mut admitted) = (0, Vec::new());
    for wait in waits {
        app.clock.advance(Duration::from_millis(*wait));
        now += wait;
        let before = ran.times();
        let answer = get(&app, "/", &[("X-API-Key", key.as_bytes())]).await;
        assert_eq!(ran.times() - before, u64::from(answer.status == 200));
        if answer.status == 200 {
            admitted.push(now);
        } else {
            assert_eq!(answer.status, 429);
        }
    }
    (most_in_any_window(&admitted), admitted.len())
}

#[tokio::test]
async fn t45_an_exact_limit_holds_in_every_window() {
    let limit = RateLimit::exact(LIMIT, MINUTE).unwrap();
    let mut reached = 0;
    for (name, waits) in placements() {
        let (most, admitted) = most_admitted(&limit, &waits).await;
        assert!(most <= 10, "{name}: {most} in one minute");
        assert!(admitted > 0, "{name}");
        reached += usize::from(most == 10);
    }
    assert!(reached >= 5, "the limit is reached, or nothing was shown");
}

/// As the docs of smooth limits say: a burst of N and then an even refill, 2N − 1 at worst.
#[tokio::test]
async fn t45_a_smooth_limit_is_below_twice_itself_in_every_window() {
    let limit = RateLimit::smooth(LIMIT, MINUTE).unwrap();
    let mut worst = 0;
    for (name, waits) in placements() {
        let (most, _) = most_admitted(&limit, &waits).await;
        assert!(most <= 19, "{name}: {most} in one minute");
        worst = worst.max(most);
    }
    assert!(
        worst > 10,
        "a limit that never bursts is not smooth: {worst}"
    );
}
