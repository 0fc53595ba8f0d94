//! The look-up of one indicator, and statistics.

use serde_json::Value;

use super::World;

async fn look_up(world: &World, ioc: &str) -> Value {
    let encoded: Vec<String> = ioc.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let encoded = encoded.concat();
    world.json(&format!("/api/v1/lookup?ioc={encoded}")).await
}

#[tokio::test]
async fn the_type_is_detected() {
    let world = World::new().await;
    let (md5, sha1, sha256) = ("a".repeat(32), "B".repeat(40), "0".repeat(64));
    for (text, kind) in [
        ("198.51.100.20", "ip"),
        ("2001:db8::1:bad", "ip"),
        ("evil.example", "domain"),
        ("a-b.xn--nxasmq6b.example", "domain"),
        ("https://evil.example/login?x=1", "url"),
        ("HTTP://198.51.100.20", "url"),
        ("ftp://evil.example/a", "url"),
        (&md5, "md5"),
        (&sha1, "sha1"),
        (&sha256, "sha256"),
        ("billing@evil.example", "email"),
    ] {
        let report = look_up(&world, text).await;
        assert_eq!(report["type"], kind, "{text}");
        assert_eq!(report["value"], text);
    }
    let (long, longer) = ("a".repeat(33), "a".repeat(2049));
    for text in [
        "",
        " ",
        "localhost",
        "1.2.3",
        "-a.example",
        "a..example",
        "https://",
        "a b.example",
        "javascript://x",
        "@evil.example",
        "a@b",
        &long,
        &longer,
    ] {
        let path = format!("/api/v1/lookup?ioc={}", text.replace(' ', "%20"));
        let answer = world.app.get(&path).key(&world.pro).send().await;
        answer.assert_status(400).assert_denied("bad_request");
    }
}

#[tokio::test]
async fn what_is_known_comes_with_sources_risk_techniques_and_queries() {
    let world = World::new().await;
    let iocs = world.json("/api/v1/iocs?days=365").await;
    for ioc in iocs["data"].as_array().unwrap() {
        let value = ioc["value"].as_str().unwrap();
        let report = look_up(&world, value).await;
        assert_eq!(report["known"], true, "{value}");
        assert_eq!(report["type"], ioc["type"]);
        assert_eq!(report["risk"]["score"], ioc["score"]);
        let level = report["risk"]["level"].as_str().unwrap();
        assert!(["low", "medium", "high", "critical"].contains(&level));
        let names = |list: &Value, member: &str| -> Vec<Value> {
            let list = list.as_array().unwrap();
            list.iter().map(|one| one[member].clone()).collect()
        };
        let sources = names(&report["sources"], "name");
        for source in ioc["sources"].as_array().unwrap() {
            assert!(sources.contains(source), "{value}");
        }
        let techniques = names(&report["mitre_techniques"], "id");
        assert_eq!(Value::Array(techniques), ioc["techniques"], "{value}");
        let queries = names(&report["hunting_queries"], "query");
        assert_eq!(
            names(&report["hunting_queries"], "language"),
            ["kql", "spl"]
        );
        for query in queries {
            assert!(query.as_str().unwrap().contains(value), "{query}");
        }
        assert!(report["notice"].as_str().unwrap().contains("sample data"));
    }
}

#[tokio::test]
async fn what_is_not_known_is_said_to_be_unknown() {
    let world = World::new().await;
    let report = look_up(&world, "harmless.example").await;
    assert_eq!(report["known"], false);
    assert_eq!(report["risk"]["level"], "unknown");
    assert_eq!(report["sources"], Value::Array(Vec::new()));
    assert_eq!(report["hunting_queries"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn case_and_spelling_of_an_address_do_not_matter() {
    let world = World::new().await;
    for same in [
        "LOGIN-3.Quayside.Example",
        " login-3.quayside.example ",
        "2001:0DB8:0:0::3:0bad",
    ] {
        assert_eq!(look_up(&world, same).await["known"], true, "{same}");
    }
}

#[tokio::test]
async fn a_look_up_is_friendly_to_the_free_plan() {
    let world = World::new().await;
    let old = world.json("/api/v1/iocs?days=365").await;
    let old = old["data"].as_array().unwrap().last().unwrap()["value"].clone();
    let path = format!("/api/v1/lookup?ioc={}", old.as_str().unwrap());
    let answer = world.app.get(&path).key(&world.free).send().await;
    answer.assert_status(200);
    assert_eq!(answer.json()["known"], true);
}

#[tokio::test]
async fn a_query_cannot_be_broken_out_of() {
    let world = World::new().await;
    let report = look_up(&world, r#"https://a.example/"|drop\"#).await;
    let query = report["hunting_queries"][0]["query"].as_str().unwrap();
    let wanted = r#"DeviceNetworkEvents | where RemoteUrl == "https://a.example/\"|drop\\""#;
    assert_eq!(query, wanted);
}

#[tokio::test]
async fn statistics_count_what_the_lists_have() {
    let world = World::new().await;
    for days in ["1", "30", "365"] {
        let statistics = world.json(&format!("/api/v1/stats?days={days}")).await;
        let iocs = world.json(&format!("/api/v1/iocs?days={days}")).await;
        let articles = world
            .json(&format!("/api/v1/articles/export?days={days}"))
            .await;
        assert_eq!(statistics["iocs"], iocs["meta"]["total"]);
        assert_eq!(statistics["articles"], articles["meta"]["total"]);
        let data = iocs["data"].as_array().unwrap();
        for (member, of_ioc) in [("by_type", "type"), ("by_threat", "threat")] {
            for (name, count) in statistics[member].as_object().unwrap() {
                let same = data.iter().filter(|ioc| ioc[of_ioc] == *name).count();
                assert_eq!(count, same, "{days} {name}");
            }
        }
    }
    let year = world.json("/api/v1/stats?days=365").await;
    assert!(year["sources"].as_object().unwrap().len() >= 30, "{year}");
}
