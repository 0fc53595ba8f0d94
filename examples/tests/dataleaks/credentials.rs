//! Keys: in one place, told apart in two ways, one for each integration.

use std::collections::HashSet;
use std::time::Duration;

use tollgate::core::change::Actor;
use tollgate_testkit::app::Answer;

use super::app::api;
use super::{Bench, OF_GLOBEX, assert_flat};

const MISSING: &str = r#"{"error":"Missing API key"}"#;
const INVALID: &str = r#"{"error":"Invalid or revoked API key"}"#;

#[track_caller]
fn assert_401(answer: &Answer, body: &str) {
    assert_flat(answer, 401);
    assert_eq!(answer.text(), body, "{answer:?}");
}

#[tokio::test]
async fn a_key_is_sent_in_the_authorization_header() {
    let bench = Bench::new().await;
    let key = bench.key("acme").await;
    assert!(key.secret().starts_with("dl_live_"));
    let list = || bench.app.get("/api/v1/watchlists");
    let bearer = format!("Bearer {}", key.secret());
    let answer = list().header("authorization", bearer).send().await;
    answer.assert_status(200);
    // Elsewhere it is no key at all.
    let header = list().header("x-api-key", key.secret()).send().await;
    assert_401(&header, MISSING);
}

#[tokio::test]
async fn every_route_wants_a_key_and_says_so_word_for_word() {
    let bench = Bench::new().await;
    for (.., request) in bench.good() {
        let answer = request.send().await;
        answer.assert_denied("missing_api_key");
        assert_401(&answer, MISSING);
    }
}

#[tokio::test]
async fn keys_have_no_scopes_and_open_every_route() {
    let bench = Bench::new().await;
    assert_eq!(api::catalog().unwrap().scopes().count(), 0);
    let key = bench.key("acme").await;
    for (.., request) in bench.good() {
        request.key(&key).send().await.assert_success();
    }
}

#[tokio::test]
async fn a_key_that_is_no_good_looks_like_one_that_was_revoked() {
    let bench = Bench::new().await;
    let list = || bench.app.get("/api/v1/watchlists");
    for sent in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer dl_live_",
        "Bearer sk_live_0123456789ABCDEFGHIJKLMNOPQRST4KxuAM",
        "Basic dXNlcjpwYXNz",
    ] {
        let answer = list().header("authorization", sent).send().await;
        assert_401(&answer, INVALID);
    }

    let revoked = bench.key("acme").await;
    revoked.revoke(&bench.kit).await;
    let deleted = bench.key("acme").await;
    let actor = Actor::named("test");
    let keyring = bench.gate().keyring();
    keyring.delete(&deleted.id(), &actor).await.unwrap();
    let disabled = bench.key("acme").await;
    keyring.disable(&disabled.id(), &actor).await.unwrap();
    let rotated = bench.key("acme").await;
    rotated.rotate(&bench.kit, Duration::ZERO).await;
    let expiring = bench.kit.key("acme").expires_in(Duration::from_secs(1));
    let expired = expiring.make().await;
    bench.kit.advance(Duration::from_secs(1)).await;
    for key in [&revoked, &deleted, &disabled, &rotated, &expired] {
        assert_401(&list().key(key).send().await, INVALID);
    }
}

#[tokio::test]
async fn two_keys_are_refused_even_if_both_are_good() {
    let bench = Bench::new().await;
    let (one, two) = (bench.key("acme").await, bench.key("acme").await);
    let list = bench.app.get("/api/v1/watchlists");
    let answer = list.key(&one).key(&two).send().await;
    assert_flat(&answer, 400);
    answer.assert_denied("ambiguous_api_key");
}

#[tokio::test]
async fn each_integration_has_a_key_that_ends_without_the_others() {
    let bench = Bench::new().await;
    let (siem, soar) = (bench.key("acme").await, bench.key("acme").await);
    let list = || bench.app.get("/api/v1/watchlists");
    list().key(&siem).send().await.assert_status(200);
    siem.revoke(&bench.kit).await;
    // No request later, and for as long as anybody asks.
    assert_401(&list().key(&siem).send().await, INVALID);
    list().key(&soar).send().await.assert_status(200);
}

#[tokio::test]
async fn a_key_is_bound_to_its_workspace() {
    let bench = Bench::new().await;
    let (acme, globex) = (bench.key("acme").await, bench.key("globex").await);
    for (key, domain) in [(&acme, "acme.example"), (&globex, "globex.example")] {
        let asked = format!("domain?domain={domain}");
        let told = bench.leaks(key, &asked).await;
        let found = told.assert_status(200).json()["leaks"].clone();
        let leaks = found.as_array().unwrap();
        assert!(!leaks.is_empty());
        for leak in leaks {
            assert!(leak["email"].as_str().unwrap().ends_with(domain));
        }
    }
    let asked = "domain?domain=globex.example";
    assert_flat(&bench.leaks(&acme, asked).await, 403);
}

#[tokio::test]
async fn every_response_has_a_request_id_of_its_own() {
    let bench = Bench::new().await;
    let key = bench.key("acme").await;
    let mut answers = Vec::new();
    for (.., request) in bench.good() {
        answers.push(request.key(&key).send().await);
    }
    for (.., request) in bench.good() {
        answers.push(request.header("x-request-id", "mine").send().await);
    }
    let foreign = format!("/api/v1/watchlists/{OF_GLOBEX}");
    for path in [
        &*foreign,
        "/api/v1/dataleaks/domain",
        "/api/v1/dataleaks/search",
        "/api/v1/nothing",
        "/",
        "/admin/organizations",
        "/admin/openapi.json",
    ] {
        answers.push(bench.app.get(path).key(&key).send().await);
    }
    let statuses: HashSet<u16> = answers.iter().map(Answer::status).collect();
    for status in [200, 201, 204, 400, 401, 403, 404, 405] {
        assert!(
            statuses.contains(&status),
            "{status} is not in {statuses:?}"
        );
    }
    let ids: HashSet<&str> = answers
        .iter()
        .map(|answer| answer.header("x-request-id").unwrap())
        .collect();
    assert_eq!(ids.len(), answers.len());
    assert!(!ids.contains("mine"), "a stranger names no request");
}
