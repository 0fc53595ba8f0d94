//! The description says what the routes are.

use std::collections::BTreeSet;

use serde_json::Value;
use tollgate_admin::Required;

use crate::support::App;

/// What is open to who has no session.
const OPEN: [(&str, &str); 2] = [("GET", "/openapi.json"), ("POST", "/session")];

async fn document(app: &App) -> Value {
    app.get("/admin/openapi.json").ok().await
}

/// The operations of the document.
fn described(document: &Value) -> Vec<(String, String, &Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((method.to_uppercase(), path.clone(), operation));
        }
    }
    found
}

#[tokio::test]
async fn every_route_is_described_and_nothing_else_is() {
    let app = App::memory().await;
    let document = document(&app).await;
    assert_eq!(document["servers"][0]["url"], "/admin");
    let described: BTreeSet<_> = described(&document)
        .into_iter()
        .map(|(method, path, _)| (method, format!("/admin{path}")))
        .collect();
    let mounted: BTreeSet<_> = app
        .permissions
        .rows()
        .iter()
        .filter(|row| row.path.starts_with("/admin"))
        .map(|row| (row.method.clone(), row.path.clone()))
        .collect();
    assert_eq!(described, mounted);
    assert!(mounted.len() > 40);
}

#[tokio::test]
async fn every_operation_has_an_id_of_its_own() {
    let app = App::memory().await;
    let document = document(&app).await;
    let operations = described(&document);
    let ids = operations
        .iter()
        .map(|(_, _, it)| it["operationId"].as_str().unwrap());
    let ids: BTreeSet<_> = ids.collect();
    assert_eq!(ids.len(), operations.len());
    assert!(
        ids.contains("keys_list") && ids.contains("resources_list"),
        "{ids:?}"
    );
}

#[tokio::test]
async fn every_operation_says_who_may_and_how_it_is_refused() {
    let app = App::memory().await;
    let document = document(&app).await;
    let mut open = Vec::new();
    for operation in &app.operations {
        let what = format!("{} {}", operation.method, operation.path);
        let all = described(&document);
        let found = all
            .iter()
            .find(|of| of.0 == operation.method && of.1 == operation.path);
        let described = found.unwrap_or_else(|| panic!("{what}")).2;
        assert_eq!(
            described["x-required-role"],
            operation.required.as_str(),
            "{what}"
        );
        let security = described["security"].as_array().unwrap();
        if operation.required == Required::Nothing {
            assert_eq!(security[0], serde_json::json!({}), "{what}");
            open.push((operation.method, operation.path));
        } else {
            assert_eq!(security[0], serde_json::json!({"session": []}), "{what}");
        }
        let responses = described["responses"].as_object().unwrap();
        assert!(
            responses.contains_key("401") && responses.contains_key("503"),
            "{what}"
        );
        assert!(
            responses.keys().any(|status| status.starts_with('2')),
            "{what}"
        );
        if described["requestBody"].is_object() {
            for status in ["400", "413", "415", "422"] {
                assert!(responses.contains_key(status), "{what} {status}");
            }
        }
        for (status, response) in responses {
            if status.starts_with('4') || status.starts_with('5') {
                let schema = &response["content"]["application/json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/ErrorBody", "{what} {status}");
            }
        }
    }
    open.sort_unstable();
    assert_eq!(open, OPEN);
    let cookie = &document["components"]["securitySchemes"]["session"];
    assert_eq!(
        (&cookie["in"], &cookie["name"]),
        (&"cookie".into(), &"__Host-tollgate_session".into())
    );
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let app = App::memory().await;
    let document = document(&app).await;
    let text = document.to_string();
    let references = text.split("\"$ref\":\"#").skip(1);
    for reference in references.map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn the_roles_that_are_documented_are_those_of_the_routes() {
    let app = App::memory().await;
    let documented = include_str!("../../../../docs/MANAGEMENT.md");
    let rows: BTreeSet<_> = documented
        .lines()
        .filter_map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [route, role, _] = cells[..] else {
                return None;
            };
            let (method, path) = route.trim_matches('`').split_once(' ')?;
            Some((method.to_owned(), path.to_owned(), role.to_owned()))
        })
        .collect();
    let mounted: BTreeSet<_> = app
        .operations
        .iter()
        .map(|of| {
            (
                of.method.to_owned(),
                of.path.to_owned(),
                of.required.to_string(),
            )
        })
        .collect();
    assert_eq!(rows, mounted);
}
