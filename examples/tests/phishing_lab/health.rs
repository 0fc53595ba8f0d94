//! `/health` is public.

use std::time::Duration;

use tollgate_testkit::app::Consumed;

use super::lab;

#[tokio::test]
async fn health_is_told_to_everybody_whatever_is_sent_along() {
    let (kit, app) = lab().await;
    kit.organization("acme").credits(10).make().await;
    kit.organization("gone").suspended().make().await;
    let good = kit.key("acme").scopes(["api:full"]).make().await;
    let without = kit.key("acme").make().await;
    let elsewhere = kit.key("acme").allow_ip("203.0.113.200").make().await;
    let suspended = kit.key("gone").make().await;
    let expired = kit
        .key("acme")
        .expires_in(Duration::from_secs(1))
        .make()
        .await;
    let revoked = kit.key("acme").make().await;
    revoked.revoke(&kit).await;
    kit.advance(Duration::from_secs(2)).await;
    let health = || app.get("/health");
    for call in [
        health(),
        health().key(&good),
        health().key(&without),
        health().key(&elsewhere),
        health().key(&suspended),
        health().key(&expired),
        health().key(&revoked),
        health().key(&good).header("x-api-key", "another"),
        health().header("authorization", "Bearer no-key-at-all"),
        health().header("authorization", "Basic YTpi"),
        health().header("x-api-key", ""),
        health().cookie("tollgate_session=x"),
    ] {
        let answer = call.send().await;
        answer.assert_status(200).assert_consumed(Consumed::NOTHING);
        assert_eq!(answer.json()["status"], "up");
    }
    assert_eq!(kit.balance("acme").available(), 10);
}
