//! How it starts: with a sentence where waiting would not help, and degraded where it may.

use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::time::timeout;
use tollgate_core::rate::{Limiter, Take};
use tollgate_redis::{RedisLimiter, RedisOptions};
use tollgate_servers::Redis;
use tracing_subscriber::fmt::MakeWriter;

use crate::{PATIENCE, acme, at, exact, order};

async fn refused(url: &str) -> String {
    let error = RedisLimiter::open(url).await.unwrap_err();
    let sentence = error.to_string();
    assert!(!sentence.contains("hunter"), "{sentence}");
    assert!(!sentence.contains('\n'), "{sentence}");
    sentence
}

#[tokio::test]
async fn a_password_that_is_wrong_or_missing_ends_the_start() {
    let redis = Redis::start();
    let place = format!("127.0.0.1:{}", redis.port());
    let unasked = refused(&format!("redis://:hunter3@{place}")).await;
    assert!(
        unasked.contains("refuses the user or the password"),
        "{unasked}"
    );
    order(&redis.url(), &["CONFIG", "SET", "requirepass", "hunter2"]).await;
    let wrong = refused(&format!("redis://:hunter3@{place}")).await;
    assert!(
        wrong.starts_with(&format!(
            "`redis://…@{place}` refuses the user or the password; correct them in the URL"
        )),
        "{wrong}"
    );
    let none = refused(&redis.url()).await;
    assert!(
        none.starts_with(&format!(
            "`redis://{place}` wants a password; write `redis://user:password@host`"
        )),
        "{none}"
    );
    let right = format!("redis://:hunter2@{place}");
    assert!(!RedisLimiter::open(right).await.unwrap().is_degraded());
}

#[tokio::test]
async fn a_user_who_may_not_do_the_work_ends_the_start() {
    let redis = Redis::start();
    let user = |commands: &'static [&'static str]| {
        let words = [
            "ACL",
            "SETUSER",
            "app",
            "reset",
            "on",
            ">hunter2",
            "~tollgate:*",
        ];
        let words = [&words, commands].concat();
        let url = redis.url();
        async move { order(&url, &words).await }
    };
    let url = format!("redis://app:hunter2@127.0.0.1:{}", redis.port());
    user(&["+get"]).await;
    let sentence = refused(&url).await;
    assert!(
        sentence.contains("but not do the work; allow it `+evalsha"),
        "{sentence}"
    );
    // What the sentence tells to allow is enough.
    user(&["+evalsha", "+script|load", "+get", "+set", "+time"]).await;
    let limiter = RedisLimiter::open(url).await.unwrap();
    let take = Take {
        subject: &acme(),
        limits: &[exact(1, 60)],
        cost: 1,
        now: at(0),
    };
    assert!(limiter.take(&take).await.unwrap().admitted);
    assert!(!limiter.take(&take).await.unwrap().admitted);
    assert!(!limiter.is_degraded());
}

#[tokio::test]
async fn a_database_that_is_not_there_ends_the_start() {
    let redis = Redis::shared();
    let sentence = refused(&format!("{}/99", redis.url())).await;
    assert!(sentence.contains("/99` cannot be used"), "{sentence}");
}

#[tokio::test]
async fn a_node_of_a_cluster_ends_the_start() {
    let redis = Redis::start_with(&[("cluster-enabled", "yes")]);
    let sentence = refused(&redis.url()).await;
    assert!(
        sentence
            .ends_with("is a node of a cluster, which is not supported; name a server by itself"),
        "{sentence}"
    );
}

#[tokio::test]
async fn a_redis_that_is_down_at_the_start_is_waited_for_and_told_of_once() {
    let (log, metrics) = (Log::default(), DebuggingRecorder::new());
    let counts = metrics.snapshotter();
    let _metrics = metrics::set_default_local_recorder(&metrics);
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(log.clone());
    let _log = tracing::subscriber::set_default(subscriber.finish());
    let redis = Redis::start();
    redis.kill();

    let limiter = RedisOptions::new(redis.url())
        .nodes(2)
        .open()
        .await
        .unwrap();
    assert!(limiter.is_degraded());
    let take = Take {
        subject: &acme(),
        limits: &[exact(4, 60)],
        cost: 1,
        now: at(0),
    };
    for admitted in [true, true, false] {
        assert_eq!(limiter.take(&take).await.unwrap().admitted, admitted);
    }
    assert!(limiter.take(&Take { cost: 3, ..take }).await.is_err());
    let counted = counted(&counts);
    assert_eq!(
        counted,
        ["admitted 2", "refused 1", "unavailable 1", "up 0"]
    );

    redis.restart();
    timeout(PATIENCE, limiter.recovered()).await.unwrap();
    // The log is written by the task that connects, right after.
    tokio::task::yield_now().await;
    let lines = log.text();
    assert_eq!(
        lines.matches("this node counts by itself").count(),
        1,
        "{lines}"
    );
    assert_eq!(lines.matches("Redis counts again").count(), 1, "{lines}");
    assert_eq!(lines.lines().count(), 2, "{lines}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_told_of_once_however_many_were_waiting() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(log.clone());
    let _log = tracing::subscriber::set_default(subscriber.finish());
    let redis = Redis::start();
    let url = format!("redis://:@127.0.0.1:{}", redis.port());
    let limiter = RedisOptions::new(url)
        .deadline(Duration::from_secs(5))
        .open()
        .await
        .unwrap();
    redis.pause();
    let (subject, limits) = (acme(), [exact(100, 60)]);
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let take = Take {
                subject: &subject,
                limits: &limits,
                cost: 1,
                now: at(0),
            };
            tokio::spawn(limiter.take(&take).into_future())
        })
        .collect();
    tokio::task::yield_now().await;
    redis.kill();
    for answer in waiting {
        assert!(answer.await.unwrap().unwrap().admitted);
    }
    let lines = log.text();
    assert_eq!(
        lines.matches("this node counts by itself").count(),
        1,
        "{lines}"
    );
}

#[tokio::test]
async fn a_password_that_is_changed_meanwhile_is_told_of_once() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(log.clone());
    let _log = tracing::subscriber::set_default(subscriber.finish());
    let redis = Redis::start();
    let with = |password: &str| format!("redis://:{password}@127.0.0.1:{}", redis.port());
    let change = async |from: &str, to: &str| {
        order(from, &["CONFIG", "SET", "requirepass", to]).await;
        order(&with(to), &["CLIENT", "KILL", "TYPE", "normal"]).await;
    };
    change(&redis.url(), "hunter2").await;
    let limiter = RedisOptions::new(with("hunter2")).open().await.unwrap();
    change(&with("hunter2"), "hunter3").await;
    let told = || {
        log.text()
            .matches("refuses the user or the password")
            .count()
    };
    let tries = timeout(PATIENCE, async {
        while told() == 0 {
            tokio::task::yield_now().await;
        }
    });
    tries.await.unwrap();
    assert!(limiter.is_degraded());
    order(
        &with("hunter3"),
        &["CONFIG", "SET", "requirepass", "hunter2"],
    )
    .await;
    timeout(PATIENCE, limiter.recovered()).await.unwrap();
    assert_eq!(told(), 1, "{}", log.text());
    assert!(!log.text().contains("hunter"), "{}", log.text());
}

/// What was counted, by the ends of names and labels.
fn counted(counts: &Snapshotter) -> Vec<String> {
    let mut all: Vec<_> = counts
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let key = key.key();
            let label = key.labels().next().map(|label| label.value().to_owned());
            let name = label
                .unwrap_or_else(|| key.name().trim_start_matches("tollgate_redis_").to_owned());
            match value {
                DebugValue::Counter(count) => format!("{name} {count}"),
                DebugValue::Gauge(value) => format!("{name} {value}"),
                DebugValue::Histogram(_) => name,
            }
        })
        .collect();
    all.sort();
    all
}

/// What was logged.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
