//! How far back each plan looks.

use serde_json::Value;

use super::World;

/// What has a look-back, in JSON, with something to count.
const LISTS: [&str; 3] = [
    "/api/v1/iocs",
    "/api/v1/articles/export",
    "/api/v1/articles",
];

fn total(body: &Value) -> u64 {
    body["meta"]["total"].as_u64().unwrap()
}

#[tokio::test]
async fn free_looks_back_one_day_and_pro_365() {
    for path in LISTS {
        let world = World::new().await;
        let get = async |key, query: &str| {
            let answer = world.app.get(&format!("{path}{query}")).key(key);
            answer.send().await
        };
        let day = get(&world.free, "").await;
        day.assert_status(200);
        let same = get(&world.free, "?days=1").await;
        assert_eq!(day.json()["data"], same.json()["data"], "{path}");

        let (day, year) = (
            total(&day.json()),
            total(&world.json(&format!("{path}?days=365")).await),
        );
        let week = total(&world.json(&format!("{path}?days=7")).await);
        assert!(
            0 < day && day < week && week < year,
            "{path}: {day} {week} {year}"
        );
    }
}

#[tokio::test]
async fn more_days_than_the_plan_has_are_refused_with_a_plan_code() {
    let world = World::new().await;
    for path in [
        "/api/v1/iocs",
        "/api/v1/articles",
        "/api/v1/articles/export",
        "/api/v1/stats",
    ] {
        let answer = world.app.get(&format!("{path}?days=2")).key(&world.free);
        let answer = answer.send().await;
        answer.assert_status(403).assert_denied("plan_required");
        let details = &answer.json()["error"]["details"];
        assert_eq!(details["entitlement"], "lookback.days");
        assert_eq!(
            (details["limit"].as_u64(), details["asked"].as_u64()),
            (Some(1), Some(2))
        );
    }
    let formats = [
        "iocs/stix",
        "export/misp",
        "export/cef",
        "export/openioc",
        "rules/sigma",
    ];
    let all = formats
        .iter()
        .chain(&["iocs", "articles", "articles/export", "stats"]);
    for path in all {
        let year = world.good(&format!("/api/v1/{path}?days=365")).await;
        year.assert_success();
        let answer = world
            .app
            .get(&format!("/api/v1/{path}?days=366"))
            .key(&world.pro);
        answer
            .send()
            .await
            .assert_status(403)
            .assert_denied("plan_required");
    }
}

#[tokio::test]
async fn days_are_a_number_from_one_on() {
    let world = World::new().await;
    for days in ["0", "-1", "x", "1.5", "", "99999999999"] {
        let answer = world
            .app
            .get(&format!("/api/v1/iocs?days={days}"))
            .key(&world.pro);
        answer
            .send()
            .await
            .assert_status(400)
            .assert_denied("bad_request");
    }
}

#[tokio::test]
async fn what_is_known_grows_old() {
    let world = World::new().await;
    let before = total(&world.json("/api/v1/iocs").await);
    world
        .kit
        .advance(std::time::Duration::from_secs(12 * 3600))
        .await;
    let after = total(&world.json("/api/v1/iocs").await);
    assert!(0 < after && after < before, "{before} {after}");
}
