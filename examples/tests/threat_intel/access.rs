//! Who may call which route.

use tollgate_testkit::app::{Consumed, Documented};

use super::{SCOPES, World, api};

/// A route of the documented table: its path with good parameters, and whether it is for pro.
fn routes() -> Vec<(String, String, bool)> {
    let table = include_str!("documented.md").lines();
    let rows = table.filter(|line| line.starts_with("| GET"));
    let cells = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        (cells[2].to_owned(), cells[3].to_owned(), cells[5] == "pro")
    };
    rows.map(cells)
        .filter(|(_, permission, _)| permission != "Session")
        .collect()
}

/// A path that a good key gets a 200 for.
fn good(path: &str) -> String {
    let collection = "91a7b528-80eb-42ed-a74d-c6fbd5a26116";
    let identity = "identity--0d0f5dbe-6d0c-4b3f-9a53-0a6b8f4c3b11";
    let path = path.replace("{collection}", collection);
    let path = path.replace("{object}", identity);
    if path.ends_with("/lookup") {
        format!("{path}?ioc=198.51.100.20")
    } else {
        path
    }
}

#[tokio::test]
async fn the_routes_demand_what_is_documented() {
    let world = World::new().await;
    let map = api::routes(world.kit.gate()).permissions();
    let matrix = world.app.matrix(&map).compute().await;
    let documented = Documented::table(include_str!("documented.md")).plans(["free", "pro"]);
    matrix.assert_documented(&documented);
}

#[tokio::test]
async fn one_scope_is_enough_and_no_other_will_do() {
    let world = World::new().await;
    for (path, permission, _) in routes() {
        let path = good(&path);
        for scope in SCOPES {
            let key = world.kit.key("soc").scopes([scope]).make().await;
            let answer = world.app.get(&path).key(&key).send().await;
            if scope == permission {
                answer.assert_status(200).assert_consumed(Consumed::rate(1));
            } else {
                answer.assert_status(403);
                answer.assert_denied("insufficient_permissions");
                answer.assert_consumed(Consumed::NOTHING);
                assert_eq!(answer.json()["error"]["details"]["missing"][0], permission);
            }
        }
    }
}

#[tokio::test]
async fn the_bulk_export_of_articles_has_a_scope_of_its_own() {
    let world = World::new().await;
    let one = world.kit.key("soc").scopes(["read:articles"]).make().await;
    let all = world.kit.key("soc").scopes(["read:articles:export"]);
    let all = all.make().await;
    let call = async |key, path| world.app.get(path).key(key).send().await;
    call(&one, "/api/v1/articles").await.assert_status(200);
    call(&one, "/api/v1/articles/export")
        .await
        .assert_denied("insufficient_permissions");
    call(&all, "/api/v1/articles/export")
        .await
        .assert_status(200);
    call(&all, "/api/v1/articles")
        .await
        .assert_denied("insufficient_permissions");
}

#[tokio::test]
async fn the_free_plan_has_json_and_csv_and_pro_has_every_format() {
    let world = World::new().await;
    let formats = [
        ("/api/v1/iocs", "json", false),
        ("/api/v1/iocs?format=json", "json", false),
        ("/api/v1/iocs?format=csv", "csv", false),
        ("/api/v1/iocs?format=misp", "misp", true),
        ("/api/v1/iocs?format=cef", "cef", true),
        ("/api/v1/iocs?format=openioc", "openioc", true),
        ("/api/v1/iocs/stix", "stix", true),
        ("/api/v1/export/misp", "misp", true),
        ("/api/v1/export/cef", "cef", true),
        ("/api/v1/export/openioc", "openioc", true),
        ("/api/v1/rules/sigma", "sigma", true),
        ("/api/taxii2/", "taxii", true),
    ];
    // More than ten a minute.
    for (number, (path, format, pro)) in formats.into_iter().enumerate() {
        let organization = format!("lab-{number}");
        world
            .kit
            .organization(&organization)
            .plan("free")
            .make()
            .await;
        let free = world.kit.key(&organization).scopes(SCOPES).make().await;
        let answer = world.app.get(path).key(&free).send().await;
        if pro {
            answer.assert_status(403).assert_denied("plan_required");
            let details = &answer.json()["error"]["details"];
            assert_eq!(details["entitlement"], format!("format.{format}"), "{path}");
            assert_eq!(details["plan"], "free", "{path}");
        } else {
            answer.assert_status(200);
        }
        world.good(path).await.assert_success();
    }
}

#[tokio::test]
async fn every_route_for_pro_is_closed_to_free() {
    for (path, _, pro) in routes() {
        let world = World::new().await;
        let answer = world.app.get(&good(&path)).key(&world.free).send().await;
        if pro {
            answer.assert_status(403).assert_denied("plan_required");
            answer.assert_consumed(Consumed::NOTHING);
        } else {
            answer.assert_status(200).assert_consumed(Consumed::rate(1));
        }
    }
}

#[tokio::test]
async fn a_plan_of_the_key_goes_over_its_organizations() {
    let world = World::new().await;
    let key = |organization, plan| world.kit.key(organization).scopes(SCOPES).plan(plan);
    let up = key("lab", "pro").make().await;
    let down = key("soc", "free").make().await;
    let get = async |key| {
        let path = "/api/v1/export/misp?days=365";
        world.app.get(path).key(key).send().await
    };
    let answer = get(&up).await;
    answer
        .assert_status(200)
        .assert_header("x-ratelimit-limit", "1000");
    let answer = get(&down).await;
    answer
        .assert_denied("plan_required")
        .assert_header("x-ratelimit-limit", "10");
}

#[tokio::test]
async fn the_permission_is_judged_before_the_plan() {
    let world = World::new().await;
    let key = world.kit.key("lab").scopes(["read:articles"]).make().await;
    let answer = world.app.get("/api/v1/export/misp").key(&key).send().await;
    answer.assert_denied("insufficient_permissions");
}
