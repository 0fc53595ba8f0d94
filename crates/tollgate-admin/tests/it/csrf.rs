//! What the pages of other sites may do: nothing.

use serde_json::json;
use tollgate::core::accounts::Role;

use crate::support::App;

const KEYS: &str = "/admin/organizations/acme/keys";

/// Whether a page of this origin, as a browser tells of it, may change things. The app's host is
/// `acme.example`.
const SITES: [(Option<&str>, Option<&str>, bool); 11] = [
    (None, None, true),
    (Some("same-origin"), None, true),
    (Some("none"), None, true),
    (Some("same-origin"), Some("https://acme.example"), true),
    (None, Some("https://acme.example"), true),
    (Some("same-site"), Some("https://evil.acme.example"), false),
    (Some("cross-site"), Some("https://evil.example"), false),
    (Some("cross-site"), Some("null"), false),
    (Some("cross-site"), None, false),
    (None, Some("https://evil.example"), false),
    (None, Some("null"), false),
];

const TYPES: [(Option<&str>, bool); 6] = [
    (Some("application/json"), true),
    (Some("application/json; charset=utf-8"), true),
    (Some("text/plain"), false),
    (Some("application/x-www-form-urlencoded"), false),
    (Some("multipart/form-data; boundary=x"), false),
    (None, false),
];

#[tokio::test]
async fn another_site_changes_nothing_and_a_form_can_send_no_body() {
    let app = App::memory().await;
    let admin = app.signed_in(Role::Admin).await;
    for (site, origin, ours) in SITES {
        for (content_type, json) in TYPES {
            let mut call = app.post(KEYS).cookie(&admin);
            call = call.body(json!({"name": "a key"}).to_string());
            for (name, value) in [
                ("sec-fetch-site", site),
                ("origin", origin),
                ("content-type", content_type),
            ] {
                if let Some(value) = value {
                    call = call.header(name, value);
                }
            }
            let expected = match (ours, json) {
                (false, _) => 403,
                (true, false) => 415,
                (true, true) => 201,
            };
            let answer = call.send().await;
            assert_eq!(
                answer.status, expected,
                "{site:?} {origin:?} {content_type:?} {answer:?}"
            );
            if expected != 201 {
                assert!(answer.json()["error"]["code"].is_string(), "{answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn another_site_is_refused_whatever_the_method_unless_it_changes_nothing() {
    let app = App::memory().await;
    let admin = app.signed_in(Role::Admin).await;
    for method in ["GET", "POST", "PATCH", "DELETE"] {
        let (id, _) = app.key("acme", &[]).await;
        let path = match method {
            "POST" => format!("{KEYS}/{id}/revoke"),
            _ => format!("{KEYS}/{id}"),
        };
        let call = app.call(method, &path).cookie(&admin);
        let status = call.header("sec-fetch-site", "cross-site").status().await;
        assert_eq!(status, if method == "GET" { 200 } else { 403 }, "{method}");
    }
    let sign_in = json!({"email": "admin@acme.example", "password": crate::support::PASSWORD});
    let sign_in = app.post("/admin/session").json(sign_in);
    assert_eq!(
        sign_in
            .header("sec-fetch-site", "cross-site")
            .status()
            .await,
        403
    );
}

#[tokio::test]
async fn a_trusted_origin_may_do_what_the_apps_own_pages_may() {
    let store = std::sync::Arc::new(tollgate::core::memory::MemoryStore::default());
    let trusting =
        |admin: tollgate_admin::Admin| admin.trusted_origin("https://dash.example").unwrap();
    let app = App::on(store, None, trusting).await;
    let admin = app.signed_in(Role::Admin).await;
    for (origin, expected) in [
        ("https://dash.example", 201),
        ("https://dash.example:8443", 403),
    ] {
        let call = app.post(KEYS).cookie(&admin).json(json!({"name": "a key"}));
        let call = call
            .header("sec-fetch-site", "cross-site")
            .header("origin", origin);
        assert_eq!(call.status().await, expected, "{origin}");
    }
}
