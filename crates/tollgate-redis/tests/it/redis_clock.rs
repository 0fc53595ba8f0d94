//! A clock that is set back gives no unit back, and stops nobody for long.

use std::time::Duration;

use tollgate_core::rate::{Limiter, RateLimit, Take, Tally};
use tollgate_redis::RedisLimiter;

use crate::{acme, at, exact, fresh, smooth};

const HOUR: u64 = 3_600_000_000;
const START: u64 = 100 * HOUR;

async fn take(limiter: &RedisLimiter, limits: &[RateLimit], cost: u32, micros: u64) -> Tally {
    let subject = &acme();
    let take = Take {
        subject,
        limits,
        cost,
        now: at(micros),
    };
    limiter.take(&take).await.unwrap()
}

async fn open() -> RedisLimiter {
    let options = fresh()
        .by_the_callers_time()
        .deadline(Duration::from_secs(10));
    options.open().await.unwrap()
}

#[tokio::test]
async fn a_small_step_back_stands_still_until_the_clock_has_caught_up() {
    for limit in [smooth(6, 60), exact(6, 60)] {
        let (limiter, limits) = (open().await, [limit]);
        let first = take(&limiter, &limits, 4, START).await;
        let second = take(&limiter, &limits, 1, START - 20_000_000).await;
        assert_eq!(
            (first.windows[0].remaining, second.windows[0].remaining),
            (2, 1)
        );
        // Not a second has passed for the window.
        let after = take(&limiter, &limits, 0, START - 10_000_000).await;
        assert_eq!(after.windows, second.windows);
        assert!(!take(&limiter, &limits, 2, START).await.admitted);
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_for_hours_gives_nothing_back_and_goes_on() {
    for limit in [smooth(6, 60), exact(6, 60)] {
        let (limiter, limits) = (open().await, [limit]);
        assert!(take(&limiter, &limits, 6, START).await.admitted);
        let back = START - 50 * HOUR;
        // Refused, and told how long; a refusal is enough for the window to go by the new clock.
        let refused = take(&limiter, &limits, 6, back).await;
        assert!(!refused.admitted);
        assert!(
            refused.retry_after() <= Duration::from_secs(61),
            "{refused:?}"
        );
        let wait = u64::try_from(refused.retry_after().as_micros()).unwrap();
        assert!(!take(&limiter, &limits, 6, back + wait - 1).await.admitted);
        assert!(take(&limiter, &limits, 6, back + wait).await.admitted);
    }
}
