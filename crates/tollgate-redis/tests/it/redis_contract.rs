//! The limiter keeps the contract of limiters, by the contract's time.

use tollgate_redis::RedisLimiter;

async fn make() -> Box<RedisLimiter> {
    let options = crate::fresh().by_the_callers_time();
    // A machine that is busy with other tests is not what is tested.
    let deadline = std::time::Duration::from_secs(10);
    Box::new(options.deadline(deadline).open().await.unwrap())
}

tollgate_testkit::limiter_contract!(make);
