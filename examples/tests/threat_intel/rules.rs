//! Detection rules. Whether a Sigma parser reads them is asked by `tests/formats/run`.

use super::{World, all};

const CATEGORIES: [(&str, &str); 4] = [
    ("network", "network_connection"),
    ("dns", "dns"),
    ("proxy", "proxy"),
    ("process_creation", "process_creation"),
];

#[tokio::test]
async fn there_is_a_document_for_each_of_the_four_log_sources() {
    let world = World::new().await;
    let answer = world.good("/api/v1/rules/sigma").await;
    answer.assert_header("content-type", "application/yaml; charset=utf-8");
    let documents: Vec<&str> = answer.text().split("---\n").skip(1).collect();
    assert_eq!(documents.len(), 4);
    for (document, (_, category)) in documents.iter().zip(CATEGORIES) {
        assert!(
            document.contains(&format!("    category: {category}\n")),
            "{document}"
        );
        for part in [
            "title: ",
            "id: ",
            "tags:\n",
            "detection:\n",
            "condition: ",
            "level: ",
        ] {
            assert!(document.contains(part), "{part}: {document}");
        }
        assert!(document.contains("sample data"), "{document}");
    }
}

#[tokio::test]
async fn one_log_source_may_be_asked_for() {
    let world = World::new().await;
    for (source, category) in CATEGORIES {
        let answer = world
            .good(&format!("/api/v1/rules/sigma?logsource={source}"))
            .await;
        let documents: Vec<&str> = answer.text().split("---\n").skip(1).collect();
        assert_eq!(documents.len(), 1, "{source}");
        assert!(documents[0].contains(&format!("category: {category}\n")));
    }
    let answer = world
        .app
        .get("/api/v1/rules/sigma?logsource=x")
        .key(&world.pro);
    answer.send().await.assert_status(400);
}

#[tokio::test]
async fn the_rules_are_made_of_recent_indicators() {
    let world = World::new().await;
    let rules = world.good("/api/v1/rules/sigma").await;
    let older = world.good("/api/v1/rules/sigma?days=365").await;
    let day = world.json("/api/v1/iocs?type=ip").await;
    let year = world.json("/api/v1/iocs?type=ip&days=365").await;
    let (day, year) = (all(&day, "value"), all(&year, "value"));
    let has = |text: &str, value: &str| text.contains(&format!("- '{value}'\n"));
    for value in &year {
        assert_eq!(has(rules.text(), value), day.contains(value), "{value}");
        assert!(has(older.text(), value), "{value}");
    }
    let hashes = world.json("/api/v1/iocs?type=sha256").await;
    for value in all(&hashes, "value") {
        let value = format!("SHA256={}", value.to_uppercase());
        assert!(has(rules.text(), &value), "{value}");
    }
}
