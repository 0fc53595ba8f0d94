//! What is in Redis: one key for a subject, which leaves by itself.

use redis::Value;
use tollgate_core::rate::{Limiter, Take};
use tollgate_redis::RedisOptions;
use tollgate_servers::Redis;

use crate::{acme, at, exact, order, smooth};

#[tokio::test]
async fn a_subject_is_one_key_with_a_tag_that_lives_as_long_as_its_longest_window() {
    let redis = Redis::shared();
    let limiter = RedisOptions::new(redis.url())
        .prefix("keys")
        .open()
        .await
        .unwrap();
    let (subject, limits) = (
        acme().in_class("exports".into()),
        [smooth(10, 1), exact(10, 60)],
    );
    let take = Take {
        subject: &subject,
        limits: &limits,
        cost: 1,
        now: at(0),
    };
    let key = "keys:rate:{org:acme/exports}";
    limiter.peek(&take).await.unwrap();
    assert!(
        !limiter
            .take(&Take { cost: 11, ..take })
            .await
            .unwrap()
            .admitted
    );
    limiter.take(&Take { cost: 0, ..take }).await.unwrap();
    assert_eq!(order(&redis.url(), &["EXISTS", key]).await, Value::Int(0));

    assert!(limiter.take(&take).await.unwrap().admitted);
    let Value::Int(millis) = order(&redis.url(), &["PTTL", key]).await else {
        unreachable!()
    };
    // A window, the slot that the unit came in, and a second of grace.
    assert!((60_000..=62_000).contains(&millis), "{millis}");

    // Without the exact window a second is enough.
    assert!(
        limiter
            .take(&Take {
                limits: &limits[..1],
                ..take
            })
            .await
            .unwrap()
            .admitted
    );
    let Value::Int(millis) = order(&redis.url(), &["PTTL", key]).await else {
        unreachable!()
    };
    assert!((1..=2_000).contains(&millis), "{millis}");
}

#[tokio::test]
async fn a_full_exact_window_is_small() {
    let redis = Redis::shared();
    let options = RedisOptions::new(redis.url())
        .prefix("small")
        .by_the_callers_time();
    let limiter = options.open().await.unwrap();
    let limits = [exact(1000, 60), smooth(1000, 3600)];
    for second in 0..60 {
        let take = Take {
            subject: &acme(),
            limits: &limits,
            cost: 3,
            now: at(1_790_000_000_000_000 + second * 1_000_000),
        };
        assert!(limiter.take(&take).await.unwrap().admitted);
    }
    let usage = order(&redis.url(), &["STRLEN", "small:rate:{org:acme}"]).await;
    let Value::Int(bytes) = usage else {
        unreachable!()
    };
    assert!((500..700).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn a_key_that_somebody_else_wrote_harms_nobody_else() {
    let redis = Redis::shared();
    let limiter = RedisOptions::new(redis.url())
        .prefix("odd")
        .open()
        .await
        .unwrap();
    for words in [
        ["SET", "odd:rate:{org:acme}", "nonsense"].as_slice(),
        &["LPUSH", "odd:rate:{org:acme}/list", "nonsense"],
    ] {
        order(&redis.url(), words).await;
    }
    let limits = [exact(1, 60)];
    let take = Take {
        subject: &acme(),
        limits: &limits,
        cost: 1,
        now: at(0),
    };
    // This node counts it alone, and the others on Redis.
    assert!(limiter.take(&take).await.unwrap().admitted);
    assert!(!limiter.take(&take).await.unwrap().admitted);
    assert!(!limiter.is_degraded());
}
