//! Articles: filters, pages, bulk export.

use super::{World, all};

const YEAR: &str = "days=365";

#[tokio::test]
async fn each_filter_leaves_those_that_match() {
    let world = World::new().await;
    let everything = world.json(&format!("/api/v1/articles/export?{YEAR}")).await;
    let articles = everything["data"].as_array().unwrap();
    let some = &articles[3];
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_lowercase();
    for (parameter, value) in [
        ("source", text(&some["source"])),
        ("category", text(&some["category"])),
        ("tag", text(&some["tags"][0])),
        ("ioc", text(&some["iocs"][0])),
        ("q", "HOW".to_owned()),
    ] {
        let path = format!(
            "/api/v1/articles?{YEAR}&{parameter}={}",
            value.replace(' ', "+")
        );
        let found = world.json(&path).await;
        let found = found["data"].as_array().unwrap();
        let matches = |article: &&serde_json::Value| match parameter {
            "tag" | "ioc" => {
                let list = article[format!("{parameter}s")].as_array().unwrap();
                list.iter().any(|one| text(one) == value)
            }
            "q" => {
                text(&article["title"]).contains("how") || text(&article["summary"]).contains("how")
            }
            _ => text(&article[parameter]) == value,
        };
        let wanted: Vec<_> = articles.iter().filter(matches).collect();
        assert!(
            !wanted.is_empty() && wanted.len() < articles.len(),
            "{parameter}"
        );
        assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{parameter}");
    }
    let none = world
        .json(&format!("/api/v1/articles?{YEAR}&source=nobody"))
        .await;
    assert_eq!(none["meta"]["total"], 0);
}

#[tokio::test]
async fn pages_follow_each_other_and_the_export_has_them_all() {
    let world = World::new().await;
    let everything = world.json(&format!("/api/v1/articles/export?{YEAR}")).await;
    let ids = all(&everything, "id");
    assert!(ids.len() >= 25);
    let mut paged = Vec::new();
    for offset in (0..ids.len()).step_by(10) {
        let path = format!("/api/v1/articles?{YEAR}&limit=10&offset={offset}");
        let page = world.json(&path).await;
        assert_eq!(page["meta"]["total"], ids.len());
        paged.extend(all(&page, "id").into_iter().map(str::to_owned));
    }
    assert_eq!(paged, ids);
    assert_eq!(
        all(&world.json(&format!("/api/v1/articles?{YEAR}")).await, "id").len(),
        20
    );
    let mut times = all(&everything, "published_at");
    let newest_first = times.clone();
    times.sort_unstable();
    times.reverse();
    assert_eq!(times, newest_first);
    for limit in ["0", "101", "x"] {
        let path = format!("/api/v1/articles?limit={limit}");
        let answer = world.app.get(&path).key(&world.pro).send().await;
        answer.assert_status(400);
    }
}

#[tokio::test]
async fn the_export_is_json_or_csv() {
    let world = World::new().await;
    let path = format!("/api/v1/articles/export?{YEAR}&format=csv");
    let csv = world.good(&path).await;
    csv.assert_header("content-type", "text/csv; charset=utf-8; header=present");
    let json = world.json(&format!("/api/v1/articles/export?{YEAR}")).await;
    assert_eq!(csv.text().lines().count(), 1 + all(&json, "id").len());
    assert!(
        json["meta"]["notice"]
            .as_str()
            .unwrap()
            .contains("sample data")
    );
    let path = "/api/v1/articles/export?format=stix";
    let answer = world.app.get(path).key(&world.pro).send().await;
    answer.assert_status(400);
}
