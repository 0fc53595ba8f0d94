//! Where keys are sent.

use serde_json::json;

use super::World;

/// The document's own words, for who sent none.
const MISSING: &str =
    r#"API key is required. Include it in the Authorization header as "Bearer sk_live_...""#;

#[tokio::test]
async fn a_key_is_taken_from_each_of_the_three_places() {
    let world = World::new().await;
    let secret = world.free.secret();
    assert!(secret.starts_with("sk_live_"));
    let get = || world.app.get("/api/v1/iocs");
    for call in [
        get().header("authorization", format!("Bearer {secret}")),
        get().header("x-api-key", secret.to_owned()),
        get().path(&format!("/api/v1/iocs?api_key={secret}")),
        get().path(&format!("/api/v1/iocs?format=csv&api_key={secret}")),
    ] {
        call.send().await.assert_status(200);
    }
}

#[tokio::test]
async fn a_key_in_two_places_is_ambiguous() {
    let world = World::new().await;
    let secret = world.free.secret();
    let twice = world.app.get("/api/v1/iocs").key(&world.free);
    let twice = twice.header("x-api-key", secret.to_owned()).send().await;
    twice.assert_status(400).assert_denied("ambiguous_api_key");
}

#[tokio::test]
async fn who_sends_no_key_is_told_where_it_goes() {
    let world = World::new().await;
    let nobody = world.app.get("/api/v1/iocs").send().await;
    nobody.assert_status(401).assert_denied("missing_api_key");
    let id = nobody.header("x-request-id").unwrap();
    let error = json!({ "code": "missing_api_key", "message": MISSING, "request_id": id });
    assert_eq!(nobody.json(), json!({ "error": error }));
}

#[tokio::test]
async fn every_route_demands_authentication() {
    let world = World::new().await;
    let map = super::api::routes(world.kit.gate()).permissions();
    for route in map.rows() {
        let path = route
            .path
            .replace("{collection}", "1")
            .replace("{object}", "1");
        let nobody = world.app.get(&path).send().await;
        nobody.assert_status(401);
    }
}

#[tokio::test]
async fn a_bad_key_is_refused_wherever_it_is() {
    let world = World::new().await;
    let get = || world.app.get("/api/v1/iocs");
    for call in [
        get().header("authorization", "Bearer sk_live_nonsense"),
        get().header("authorization", "Basic dTpw"),
        get().header("x-api-key", ""),
        get().path("/api/v1/iocs?api_key=sk_live_nonsense"),
    ] {
        let answer = call.send().await;
        answer.assert_status(401).assert_denied("invalid_api_key");
    }
}
