//! Exports of indicators. Whether others can read them is asked by `tests/formats/run`.

use serde_json::Value;

use super::{World, all};

const YEAR: &str = "days=365";

/// Whether an indicator matches a filter.
type Matches = fn(&Value) -> bool;

#[tokio::test]
async fn the_same_indicators_are_in_every_format() {
    let world = World::new().await;
    let json = world.json(&format!("/api/v1/iocs?{YEAR}")).await;
    let values = all(&json, "value");
    assert!(values.len() >= 60, "{}", values.len());
    for (path, media_type, escape) in [
        ("iocs?format=json", "application/json", "\""),
        (
            "iocs?format=csv",
            "text/csv; charset=utf-8; header=present",
            "",
        ),
        ("iocs?format=misp", "application/json", "\""),
        ("iocs?format=cef", "text/plain; charset=utf-8", "="),
        ("iocs?format=openioc", "application/xml; charset=utf-8", "&"),
        ("export/misp?", "application/json", "\""),
        ("export/cef?", "text/plain; charset=utf-8", "="),
        ("export/openioc?", "application/xml; charset=utf-8", "&"),
        ("iocs/stix?", "application/stix+json;version=2.1", "\""),
    ] {
        let answer = world.good(&format!("/api/v1/{path}&{YEAR}")).await;
        answer.assert_header("content-type", media_type);
        let text = answer.text();
        for value in &values {
            let written = match escape {
                "=" => value.replace('=', r"\="),
                "&" => value.replace('&', "&amp;"),
                _ => (*value).to_owned(),
            };
            assert!(text.contains(&written), "{path}: {value}");
        }
        assert!(
            text.to_lowercase().contains("sample"),
            "{path} says not where it is from"
        );
    }
}

#[tokio::test]
async fn each_filter_leaves_those_that_match() {
    let world = World::new().await;
    let json = world.json(&format!("/api/v1/iocs?{YEAR}")).await;
    let everything = json["data"].as_array().unwrap();
    let filters: [(&str, Matches); 3] = [
        ("type=domain", |ioc| ioc["type"] == "domain"),
        ("min_score=80", |ioc| ioc["score"].as_u64().unwrap() >= 80),
        ("threat=glass+ransom", |ioc| ioc["threat"] == "Glass Ransom"),
    ];
    for (filter, matches) in filters {
        let found = world.json(&format!("/api/v1/iocs?{YEAR}&{filter}")).await;
        let wanted: Vec<&Value> = everything.iter().filter(|ioc| matches(ioc)).collect();
        assert!(
            !wanted.is_empty() && wanted.len() < everything.len(),
            "{filter}"
        );
        let found: Vec<&Value> = found["data"].as_array().unwrap().iter().collect();
        assert_eq!(found, wanted, "{filter}");
    }
}

#[tokio::test]
async fn csv_has_a_header_and_lines_that_end_as_rfc_4180_says() {
    let world = World::new().await;
    let csv = world.good(&format!("/api/v1/iocs?format=csv&{YEAR}")).await;
    let lines: Vec<&str> = csv.text().split("\r\n").collect();
    assert!(lines[0].starts_with("id,type,value,threat,score,"));
    assert_eq!(lines.last(), Some(&""));
    let total = world.json(&format!("/api/v1/iocs?{YEAR}")).await;
    assert_eq!(lines.len() - 2, all(&total, "id").len());
    let with_comma = csv.text().lines().find(|line| line.contains(",v1.zip"));
    assert!(
        with_comma.unwrap().contains("/dl/portal,v1.zip\","),
        "{with_comma:?}"
    );
}

#[tokio::test]
async fn stix_is_a_bundle_of_indicators_and_their_maker() {
    let world = World::new().await;
    let bundle = world.json(&format!("/api/v1/iocs/stix?{YEAR}")).await;
    assert_eq!(bundle["type"], "bundle");
    let objects = bundle["objects"].as_array().unwrap();
    assert_eq!(objects[0]["type"], "identity");
    for object in &objects[1..] {
        assert_eq!(object["type"], "indicator");
        assert_eq!(object["spec_version"], "2.1");
        assert_eq!(object["created_by_ref"], objects[0]["id"]);
        let pattern = object["pattern"].as_str().unwrap();
        assert!(
            pattern.starts_with('[') && pattern.ends_with("']"),
            "{pattern}"
        );
    }
    let patterns: Vec<&str> = objects[1..]
        .iter()
        .map(|object| {
            object["pattern"]
                .as_str()
                .unwrap()
                .split(' ')
                .next()
                .unwrap()
        })
        .collect();
    for property in [
        "[ipv4-addr:value",
        "[ipv6-addr:value",
        "[domain-name:value",
        "[url:value",
        "[file:hashes.MD5",
        "[file:hashes.'SHA-1'",
        "[file:hashes.'SHA-256'",
        "[email-addr:value",
    ] {
        assert!(patterns.contains(&property), "{property}");
    }
}

#[tokio::test]
async fn an_unknown_format_is_a_400_that_names_those_there_are() {
    let world = World::new().await;
    let answer = world.app.get("/api/v1/iocs?format=stix").key(&world.pro);
    let answer = answer.send().await;
    answer.assert_status(400);
    let message = answer.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.contains("`stix`") && message.contains("`openioc`"),
        "{message}"
    );
}
