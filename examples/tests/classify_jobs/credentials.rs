//! `Authorization: Bearer op_live_…`, and nothing else.

use tollgate_testkit::app::{Answer, Consumed};

use super::{Bench, MINUTE, PERMISSIONS, SAMPLES};

/// What anything missing or bad gets.
fn assert_invalid(answer: &Answer) {
    answer
        .assert_status(401)
        .assert_denied("INVALID_API_KEY")
        .assert_consumed(Consumed::NOTHING);
    assert_eq!(answer.json()["error"]["code"], "INVALID_API_KEY");
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer "), "{challenge}");
}

#[tokio::test]
async fn every_request_requires_a_key() {
    let bench = Bench::new().await;
    for sample in SAMPLES {
        assert_invalid(&bench.good(sample).send().await);
        let unknown = Bench::new().await.key("acme", &PERMISSIONS).await;
        assert_invalid(&bench.good(sample).key(&unknown).send().await);
    }
}

#[tokio::test]
async fn a_bearer_token_in_the_authorization_header_is_a_key() {
    let bench = Bench::new().await;
    let key = bench.key("acme", &PERMISSIONS).await;
    assert!(key.secret().starts_with("op_live_"));
    for sample in SAMPLES {
        let bearer = format!("Bearer {}", key.secret());
        let answer = bench.good(sample).header("authorization", bearer);
        answer.send().await.assert_success();
    }
}

#[tokio::test]
async fn a_key_in_another_place_is_a_missing_key() {
    let bench = Bench::new().await;
    let key = bench.key("acme", &PERMISSIONS).await;
    let secret = key.secret();
    let nothing = bench.app.get("/v1/jobs").send().await;
    let told = &nothing.json()["error"]["message"];
    for (name, value) in [
        ("x-api-key", secret.to_owned()),
        ("api-key", secret.to_owned()),
        ("proxy-authorization", format!("Bearer {secret}")),
        ("cookie", format!("api_key={secret}")),
    ] {
        let answer = bench.app.get("/v1/jobs").header(name, value).send().await;
        assert_invalid(&answer);
        assert_eq!(answer.json()["error"]["message"], *told, "{name}");
    }
    for parameter in ["api_key", "access_token", "key"] {
        let path = format!("/v1/jobs?{parameter}={secret}");
        let answer = bench.app.get(&path).send().await;
        assert_invalid(&answer);
        assert_eq!(answer.json()["error"]["message"], *told, "{parameter}");
    }
}

#[tokio::test]
async fn anything_that_is_wrong_with_a_key_is_invalid_api_key() {
    let bench = Bench::new().await;
    let key = bench.key("acme", &PERMISSIONS).await;
    let secret = key.secret();
    let body = secret.strip_prefix("op_live_").unwrap();
    for value in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        secret.to_owned(),
        format!("Basic {secret}"),
        format!("Bearer  {secret}"),
        format!("Bearer {secret}x"),
        format!("Bearer {}", &secret[..secret.len() - 1]),
        format!("Bearer {}", secret.to_lowercase()),
        format!("Bearer op_test_{body}"),
        format!("Bearer sk_live_{body}"),
        "Bearer op_live_your_key_here".to_owned(),
        format!("Bearer {}", "o".repeat(10_000)),
        format!("Bearer {secret}, Bearer {secret}"),
    ] {
        let call = bench.app.get("/v1/jobs").header("authorization", value);
        assert_invalid(&call.send().await);
    }
    let twice = bench.app.get("/v1/jobs").key(&key).key(&key);
    assert_invalid(&twice.send().await);
}

#[tokio::test]
async fn revoked_disabled_and_expired_keys_are_invalid_and_look_alike() {
    let bench = Bench::new().await;
    let made = || bench.kit.key("acme").scopes(PERMISSIONS);
    let (revoked, disabled) = (made().make().await, made().make().await);
    let expired = made().expires_in(MINUTE).make().await;
    for key in [&revoked, &disabled, &expired] {
        bench.get(key, "/v1/jobs").await.assert_status(200);
    }
    revoked.revoke(&bench.kit).await;
    let actor = tollgate::core::change::Actor::system();
    let keyring = bench.kit.gate().keyring();
    keyring.disable(&disabled.id(), &actor).await.unwrap();
    bench.kit.advance(MINUTE).await;
    let unknown = Bench::new().await.key("acme", &PERMISSIONS).await;
    let unknown = super::error(&bench.get(&unknown, "/v1/jobs").await);
    for key in [&revoked, &disabled, &expired] {
        let answer = bench.get(key, "/v1/jobs").await;
        assert_invalid(&answer);
        assert_eq!(super::error(&answer), unknown);
    }
}

#[tokio::test]
async fn a_suspended_organization_is_a_403_on_every_route() {
    let bench = Bench::new().await;
    let key = bench.key("acme", &PERMISSIONS).await;
    let actor = tollgate::core::change::Actor::system();
    let keyring = bench.kit.gate().keyring();
    keyring
        .suspend(&key.key.organization, &actor)
        .await
        .unwrap();
    for sample in SAMPLES {
        let answer = bench.good(sample).key(&key).send().await;
        answer
            .assert_status(403)
            .assert_denied("ORGANIZATION_SUSPENDED")
            .assert_consumed(Consumed::NOTHING);
        assert_eq!(answer.json()["error"]["code"], "ORGANIZATION_SUSPENDED");
    }
    keyring
        .activate(&key.key.organization, &actor)
        .await
        .unwrap();
    bench.get(&key, "/v1/jobs").await.assert_status(200);
}

#[tokio::test]
async fn a_revoked_key_of_a_suspended_organization_is_a_401() {
    let bench = Bench::new().await;
    let kit = &bench.kit;
    kit.organization("closed").suspended().make().await;
    let good = bench.key("closed", &PERMISSIONS).await;
    let revoked = bench.key("closed", &PERMISSIONS).await;
    revoked.revoke(kit).await;
    let suspended = bench.get(&good, "/v1/jobs").await;
    suspended.assert_denied("ORGANIZATION_SUSPENDED");
    assert_invalid(&bench.get(&revoked, "/v1/jobs").await);
}
