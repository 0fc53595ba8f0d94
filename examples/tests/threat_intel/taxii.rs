//! The TAXII server. Whether a TAXII client gets on with it is asked by `tests/formats/run`.

use serde_json::{Value, json};

use super::World;

const MEDIA_TYPE: &str = "application/taxii+json;version=2.1";

/// The paths that clients find: discovery names the root, and the root's collections follow.
async fn collections(world: &World) -> Vec<String> {
    let discovery = world.json("/api/taxii2/").await;
    let root = discovery["default"].as_str().unwrap();
    assert_eq!(discovery["api_roots"], json!([root]));
    let found = world.json(&format!("{root}collections/")).await;
    let found = found["collections"].as_array().unwrap().iter();
    found
        .map(|of| format!("{root}collections/{}/", of["id"].as_str().unwrap()))
        .collect()
}

fn ids(body: &Value) -> Vec<String> {
    let objects = body["objects"].as_array().into_iter().flatten();
    objects
        .map(|object| object["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn discovery_leads_to_the_root_its_collections_and_their_objects() {
    let world = World::new().await;
    let root = world.json("/api/taxii2/feed/").await;
    assert_eq!(root["versions"], json!([MEDIA_TYPE]));
    let collections = collections(&world).await;
    assert_eq!(collections.len(), 2);
    for path in &collections {
        let collection = world.json(path).await;
        assert_eq!(collection["can_read"], true);
        assert_eq!(collection["can_write"], false);
        assert!(path.contains(collection["id"].as_str().unwrap()));
        let objects = world.json(&format!("{path}objects/")).await;
        let last = objects["objects"].as_array().unwrap().last().unwrap();
        let one = format!("{path}objects/{}/", last["id"].as_str().unwrap());
        assert_eq!(world.json(&one).await["objects"], json!([last]));
        let versions = world.json(&format!("{one}versions/")).await;
        assert_eq!(versions["versions"], json!([last["modified"]]));
    }
}

#[tokio::test]
async fn every_answer_has_the_media_type_and_others_are_not_acceptable() {
    let world = World::new().await;
    let first = &collections(&world).await[0];
    let identity = "identity--0d0f5dbe-6d0c-4b3f-9a53-0a6b8f4c3b11";
    for path in [
        "/api/taxii2/",
        "/api/taxii2/feed/",
        "/api/taxii2/feed/collections/",
        first,
        &format!("{first}objects/"),
        &format!("{first}manifest/"),
        &format!("{first}objects/{identity}/"),
        &format!("{first}objects/{identity}/versions/"),
    ] {
        for accept in [
            MEDIA_TYPE,
            "application/taxii+json; version=2.1",
            "application/taxii+json",
            "text/html, */*;q=0.1",
        ] {
            let answer = world.app.get(path).key(&world.pro).header("accept", accept);
            let answer = answer.send().await;
            answer
                .assert_status(200)
                .assert_header("content-type", MEDIA_TYPE);
        }
        for accept in [
            "application/json",
            "application/taxii+json;version=2.0",
            "text/html",
        ] {
            let answer = world.app.get(path).key(&world.pro).header("accept", accept);
            answer.send().await.assert_status(406);
        }
    }
}

#[tokio::test]
async fn pages_follow_each_other_until_there_is_no_more() {
    let world = World::new().await;
    for path in collections(&world).await {
        let (mut found, mut next) = (Vec::new(), String::new());
        loop {
            let answer = world.good(&format!("{path}objects/?limit=7{next}")).await;
            let page = answer.json();
            assert!(ids(&page).len() <= 7);
            found.extend(ids(&page));
            let manifest = world.good(&format!("{path}manifest/?limit=7{next}")).await;
            let entries = manifest.json();
            assert_eq!(ids(&entries), ids(&page));
            let added = |entry: Option<&Value>| entry.unwrap()["date_added"].clone();
            let entries = entries["objects"].as_array().unwrap();
            let [first, last] = ["first", "last"].map(|which| {
                let header = format!("x-taxii-date-added-{which}");
                assert_eq!(answer.header(&header), manifest.header(&header));
                Value::from(answer.header(&header).unwrap())
            });
            assert_eq!(added(entries.first()), first);
            assert_eq!(added(entries.last()), last);
            if page["more"] == false {
                assert_eq!(page.get("next"), None);
                break;
            }
            next = format!("&next={}", page["next"].as_str().unwrap());
        }
        let mut once = found.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), found.len());
        assert!(found.len() > 21, "more than a page of the server's");
        assert!(ids(&world.json(&format!("{path}objects/?limit=1000")).await).len() <= 20);
    }
}

#[tokio::test]
async fn added_after_gives_what_came_later_and_nothing_at_the_end() {
    let world = World::new().await;
    let path = &collections(&world).await[0];
    let manifest = world.json(&format!("{path}manifest/")).await;
    let entries = manifest["objects"].as_array().unwrap();
    let since = entries[4]["date_added"].as_str().unwrap();
    let later = world
        .json(&format!("{path}objects/?added_after={since}"))
        .await;
    assert_eq!(ids(&later)[..15], ids(&manifest)[5..]);
    let nothing = world
        .good(&format!("{path}objects/?added_after=2030-01-01T00:00:00Z"))
        .await;
    assert_eq!(nothing.json(), json!({ "more": false }));
    assert_eq!(nothing.header("x-taxii-date-added-first"), None);
}

#[tokio::test]
async fn objects_are_matched_by_id_type_and_version() {
    let world = World::new().await;
    let path = &collections(&world).await[0];
    let get = async |query: &str| world.json(&format!("{path}objects/?{query}")).await;
    let page = get("").await;
    let all = ids(&page);
    let two = format!("{},{}", all[2], all[5]);
    assert_eq!(
        ids(&get(&format!("match[id]={two}")).await),
        [&*all[2], &*all[5]]
    );
    assert_eq!(ids(&get("match%5Btype%5D=identity").await), all[..1]);
    assert_eq!(ids(&get("match[type]=malware").await), all[..0]);
    assert_eq!(ids(&get("match[spec_version]=2.1&limit=3").await), all[..3]);
    assert_eq!(ids(&get("match[spec_version]=2.0").await), all[..0]);
    for every in ["first", "last", "all"] {
        assert_eq!(ids(&get(&format!("match[version]={every}")).await), all);
    }
    let version = page["objects"][3]["modified"].as_str().unwrap();
    assert_eq!(
        ids(&get(&format!("match[version]={version}")).await),
        all[3..4]
    );
}

#[tokio::test]
async fn what_is_not_there_is_a_404_and_what_makes_no_sense_a_400() {
    let world = World::new().await;
    let path = &collections(&world).await[0];
    let other = &collections(&world).await[1];
    let foreign = ids(&world.json(&format!("{other}objects/")).await)
        .pop()
        .unwrap();
    let nowhere = "/api/taxii2/feed/collections/00000000-0000-4000-8000-000000000000/";
    for (path, status) in [
        (nowhere.to_owned(), 404),
        (format!("{nowhere}objects/"), 404),
        (format!("{nowhere}manifest/"), 404),
        (format!("{path}objects/{foreign}/"), 404),
        (format!("{path}objects/{foreign}/versions/"), 404),
        (format!("{path}objects/?added_after=yesterday"), 400),
        (format!("{path}objects/?limit=0"), 400),
        (format!("{path}objects/?limit=x"), 400),
        (format!("{path}objects/?next={foreign}"), 400),
    ] {
        let answer = world.app.get(&path).key(&world.pro).send().await;
        answer.assert_status(status);
    }
}

#[tokio::test]
async fn a_collection_goes_back_as_far_as_the_plan() {
    let world = World::new().await;
    let mut indicators = 0;
    for path in collections(&world).await {
        let mut next = String::new();
        loop {
            let page = world
                .json(&format!("{path}objects/?match[type]=indicator{next}"))
                .await;
            indicators += ids(&page).len();
            let Some(last) = page["next"].as_str() else {
                break;
            };
            next = format!("&next={last}");
        }
    }
    let year = world.json("/api/v1/iocs?days=365").await;
    assert_eq!(year["meta"]["total"], indicators);
}
