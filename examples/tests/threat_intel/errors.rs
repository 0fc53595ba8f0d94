//! How errors look.

use axum::http::Method;
use tollgate_testkit::app::Answer;

use super::World;

/// Code, message and request id, details or none, and nothing else.
fn assert_enveloped(answer: &Answer, status: u16, code: &str) {
    answer.assert_status(status);
    let body = answer.json();
    let error = body["error"].as_object().unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    assert_eq!(error["code"], code, "{body}");
    assert!(!error["message"].as_str().unwrap().is_empty(), "{body}");
    let id = error["request_id"].as_str().unwrap();
    assert!(id.starts_with("req_"), "{body}");
    answer.assert_header("x-request-id", id);
    let others = error
        .keys()
        .filter(|name| !["code", "message", "request_id"].contains(&&***name));
    for name in others {
        assert!(name == "details" && error[name].is_object(), "{body}");
    }
}

#[tokio::test]
async fn every_error_has_the_one_shape() {
    let world = World::new().await;
    let app = &world.app;
    let narrow = world.kit.key("soc").scopes(["read:stix"]).make().await;
    let pro = |path: &str| app.get(path).key(&world.pro);
    let free = |path: &str| app.get(path).key(&world.free);
    let taxii = pro("/api/taxii2/").header("accept", "text/html");
    let wrong_method = app.request(Method::POST, "/api/v1/iocs").key(&world.pro);
    for (call, status, code) in [
        (app.get("/api/v1/iocs"), 401, "missing_api_key"),
        (app.get("/api/v1/keys"), 401, "session_required"),
        (
            app.get("/api/v1/iocs").header("x-api-key", "sk_live_x"),
            401,
            "invalid_api_key",
        ),
        (
            app.get("/api/v1/iocs").key(&narrow),
            403,
            "insufficient_permissions",
        ),
        (free("/api/v1/export/cef"), 403, "plan_required"),
        (free("/api/v1/iocs?days=2"), 403, "plan_required"),
        (pro("/api/v1/iocs?format=xml"), 400, "bad_request"),
        (pro("/api/v1/lookup"), 400, "bad_request"),
        (pro("/api/v1/nothing"), 404, "not_found"),
        (wrong_method, 405, "method_not_allowed"),
        (pro("/api/taxii2/feed/collections/x/"), 404, "not_found"),
        (taxii, 406, "not_acceptable"),
        (pro("/api//v1"), 400, "ambiguous_path"),
    ] {
        assert_enveloped(&call.send().await, status, code);
    }
    // One of the ten was taken above: how far back it looks is judged by its handler.
    for _ in 0..9 {
        free("/api/v1/stats").send().await.assert_success();
    }
    let limited = free("/api/v1/stats").send().await;
    assert_enveloped(&limited, 429, "rate_limit_exceeded");
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own() {
    let world = World::new().await;
    let one = world.good("/api/v1/stats").await;
    let other = world.good("/api/v1/stats").await;
    let id = |answer: &Answer| answer.header("x-request-id").unwrap().to_owned();
    assert!(id(&one).starts_with("req_"));
    assert_ne!(id(&one), id(&other));
}

#[tokio::test]
async fn revoked_and_expired_keys_look_like_unknown_ones() {
    let world = World::new().await;
    let minute = std::time::Duration::from_secs(60);
    let expiring = world.kit.key("soc").scopes(super::SCOPES);
    let expiring = expiring.expires_in(minute).make().await;
    let get = async |key| world.app.get("/api/v1/stats").key(key).send().await;
    get(&expiring).await.assert_status(200);
    world.kit.advance(minute).await;
    get(&expiring)
        .await
        .assert_status(401)
        .assert_denied("invalid_api_key");
    world.pro.revoke(&world.kit).await;
    get(&world.pro)
        .await
        .assert_status(401)
        .assert_denied("invalid_api_key");
}
