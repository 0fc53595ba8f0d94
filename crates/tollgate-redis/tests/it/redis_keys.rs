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

/// Another version of this crate may be somebody else too.
#[tokio::test]
async fn a_value_that_is_none_of_ours_is_replaced_and_counted_from_nothing() {
    let redis = Redis::shared();
    let options = || {
        RedisOptions::new(redis.url())
            .prefix("odd")
            .deadline(crate::PATIENCE)
    };
    let nodes = [
        options().open().await.unwrap(),
        options().open().await.unwrap(),
    ];
    let limits = [exact(1, 60), smooth(1, 60)];
    let key = "odd:rate:{org:acme}";
    let packed = |value: &str| format!("return redis.call('SET', KEYS[1], cmsgpack.pack({value}))");
    let left_there: [&[&str]; 9] = [
        &["SET", key, ""],
        &["SET", key, "nonsense"],
        &["LPUSH", key, "nonsense"],
        &["HSET", key, "non", "sense"],
        &["EVAL", &packed("{}"), "1", key],
        &["EVAL", &packed("{'now', {1, 0}, {0, 0, 5}}"), "1", key],
        &["EVAL", &packed("{5, 1, 2}"), "1", key],
        &["EVAL", &packed("{5, {1}, {0}}"), "1", key],
        &[
            "EVAL",
            &packed("{5, {1, 0, 'leaves', {}}, {0, 0, 5}}, 7"),
            "1",
            key,
        ],
    ];
    for words in left_there {
        order(&redis.url(), &["DEL", key]).await;
        order(&redis.url(), words).await;
        let subject = acme();
        let take = Take {
            subject: &subject,
            limits: &limits,
            cost: 1,
            now: at(0),
        };
        // They count together: none of them by itself.
        let [first, second] = &nodes;
        assert!(first.take(&take).await.unwrap().admitted, "{words:?}");
        assert!(!second.take(&take).await.unwrap().admitted, "{words:?}");
        assert!(!first.is_degraded() && !second.is_degraded());
    }
}
