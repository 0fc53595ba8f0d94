//! The script says what the local limiter says, to the microsecond.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;
use tollgate_core::rate::{Limiter, LocalLimiter, RateLimit, Take};
use tollgate_redis::RedisLimiter;

use crate::{acme, at, fresh};

#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    Take(u32),
    Peek(u32),
    Limits(Vec<RateLimit>),
}

/// Windows of whole microseconds, from a second to an hour, with few units and with many.
fn limit() -> impl Strategy<Value = RateLimit> {
    let units = prop_oneof![4 => 1_u32..12, 2 => 12_u32..500, 1 => 999_999_000_u32..=1_000_000_000];
    let micros = prop_oneof![
        3 => prop::sample::select(vec![1_000_000_u64, 10_000_000, 60_000_000, 3_600_000_000]),
        1 => 1_000_000_u64..3_600_000_000,
    ];
    (units, micros, any::<bool>()).prop_map(|(units, micros, exact)| {
        let window = Duration::from_micros(micros);
        let limit = if exact {
            RateLimit::exact(units, window)
        } else {
            RateLimit::smooth(units, window)
        };
        limit.unwrap()
    })
}

fn limits() -> impl Strategy<Value = Vec<RateLimit>> {
    prop::collection::vec(limit(), 1..4)
}

fn step() -> impl Strategy<Value = Step> {
    let cost = || prop_oneof![6 => 1_u32..4, 2 => 4_u32..40, 1 => Just(0), 1 => any::<u32>()];
    let micros = prop_oneof![
        1 => 0_u64..3,
        3 => 0_u64..2_000_000,
        3 => 0_u64..60_000_000,
        1 => 0_u64..7_300_000_000,
    ];
    prop_oneof![
        4 => micros.prop_map(Step::Advance),
        6 => cost().prop_map(Step::Take),
        2 => cost().prop_map(Step::Peek),
        1 => limits().prop_map(Step::Limits),
    ]
}

/// What a sequence came to, so that one can see that it tested something.
#[derive(Debug, Default)]
struct Seen {
    admitted: u32,
    refused: u32,
}

async fn both(
    redis: &RedisLimiter,
    first: Vec<RateLimit>,
    steps: &[Step],
) -> Result<Seen, TestCaseError> {
    let (local, subject) = (LocalLimiter::new(), acme());
    // Nearly as many digits as the server's own clock has.
    let (mut now, mut limits) = (1_790_000_000_123_456_u64, first);
    let mut seen = Seen::default();
    for (number, step) in steps.iter().enumerate() {
        let (cost, commit) = match step {
            Step::Advance(micros) => {
                now += micros;
                continue;
            }
            Step::Limits(new) => {
                limits.clone_from(new);
                continue;
            }
            Step::Take(cost) => (*cost, true),
            Step::Peek(cost) => (*cost, false),
        };
        let take = Take {
            subject: &subject,
            limits: &limits,
            cost,
            now: at(now),
        };
        let (ours, theirs) = if commit {
            (redis.take(&take).await, local.take(&take).await)
        } else {
            (redis.peek(&take).await, local.peek(&take).await)
        };
        let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
        let counter = if ours.admitted {
            &mut seen.admitted
        } else {
            &mut seen.refused
        };
        *counter += 1;
        prop_assert_eq!(ours, theirs, "step {}: {:?} of {:?}", number, step, &limits);
    }
    Ok(seen)
}

/// `TOLLGATE_SEQUENCES` says how many.
#[test]
fn any_sequence_is_decided_as_the_local_limiter_does() {
    let runtime = Runtime::new().unwrap();
    let options = || {
        fresh()
            .by_the_callers_time()
            .deadline(Duration::from_secs(10))
    };
    let cases = std::env::var("TOLLGATE_SEQUENCES").map_or(300, |text| text.parse().unwrap());
    let mut runner = TestRunner::new(Config {
        cases,
        ..Config::default()
    });
    let sequences = (limits(), prop::collection::vec(step(), 1..60));
    let (admitted, refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let outcome = runner.run(&sequences, |(first, steps)| {
        runtime.block_on(async {
            let redis = options().open().await.unwrap();
            let seen = both(&redis, first, &steps).await?;
            assert!(!redis.is_degraded());
            admitted.set(admitted.get() + seen.admitted);
            refused.set(refused.get() + seen.refused);
            Ok(())
        })
    });
    outcome.unwrap();
    let (admitted, refused) = (admitted.get(), refused.get());
    assert!(
        admitted > cases && refused > cases,
        "{admitted} admitted, {refused} refused"
    );
}
