//! T6 to T8, T10, T11 and T24: where a credential is, and is not.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::OriginalUri;
use http::{HeaderMap, Request, Uri, request};
use tollgate::access::{authenticated, public, session};
use tollgate::core::change::Change;
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate::core::memory::MemoryStore;
use tollgate::core::reply::Reply;
use tollgate::core::secret::Digester;
use tollgate::core::store::KeyStore;
use tollgate::{Gate, Session, Sessions};
use tower::ServiceExt;

use super::{Ran, app, code, get, in_the_query};
use crate::support::{TestApp, actor, catalog, org, unknown_secret};

/// Tells all that a handler sees of a request.
async fn echo(uri: Uri, OriginalUri(original): OriginalUri, headers: HeaderMap) -> String {
    format!("{uri} {original} {headers:?}")
}

#[tokio::test]
async fn t06_a_key_in_the_query_counts_only_where_the_app_says_so_and_is_taken_out() {
    let (off, ran) = app(|builder| builder).await;
    let key = off.key("umbra", []).await.secret;
    let answer = get(&off, &format!("/key?api_key={key}"), &[]).await;
    assert_eq!((answer.status, &*code(&answer)), (401, "missing_api_key"));
    assert_eq!(ran.times(), 0);

    let on = TestApp::with(in_the_query, |gate| {
        gate.routes().get("/key", echo, authenticated()).get(
            "/headers",
            echo,
            authenticated().without_query_key(),
        )
    })
    .await;
    let key = on.key("umbra", []).await.secret;
    let answer = get(&on, &format!("/key?a=1&api_key={key}"), &[]).await;
    let told = String::from_utf8(answer.body.clone()).unwrap();
    assert!(told.starts_with("/key?a=1 /key?a=1 "), "{told}");
    assert!(!told.contains(&key), "{told}");
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    let answer = get(&on, &format!("/headers?api_key={key}"), &[]).await;
    assert_eq!((answer.status, &*code(&answer)), (401, "missing_api_key"));
}

#[tokio::test]
async fn t07_every_spelling_of_the_parameter_is_taken_out() {
    let app = TestApp::with(in_the_query, |gate| {
        gate.routes()
            .get("/open", echo, public())
            .get("/key", echo, authenticated())
    })
    .await;
    let key = app.key("umbra", []).await.secret;
    let escaped = "api_key".bytes().map(|b| format!("%{b:02X}"));
    let escaped = escaped.collect::<Vec<_>>().concat();
    for name in [
        "api_key",
        "api%5Fkey",
        "api%5fkey",
        "%61pi_key",
        "ap%69_%6bey",
        &escaped,
    ] {
        let spelled = key.replace('_', "%5F");
        for value in [&key, &spelled] {
            for path in ["/open", "/key"] {
                let answer = get(&app, &format!("{path}?x=1&{name}={value}&y"), &[]).await;
                let told = String::from_utf8(answer.body).unwrap();
                assert_eq!(answer.status, 200, "{name}: {told}");
                assert!(
                    told.starts_with(&format!("{path}?x=1&y {path}?x=1&y ")),
                    "{told}"
                );
                assert!(!told.contains(&key[8..]), "{told}");
            }
        }
    }
    for other in [
        "API_KEY",
        "api_key[]",
        "api_key%00",
        "a;api_key",
        "api-key",
        "xapi_key",
    ] {
        let answer = get(&app, &format!("/key?{other}={key}"), &[]).await;
        assert_eq!(
            (answer.status, &*code(&answer)),
            (401, "missing_api_key"),
            "{other}"
        );
    }
}

#[tokio::test]
async fn t08_a_parameter_is_decoded_once_and_taken_once() {
    let (app, ran) = app(in_the_query).await;
    let key = app.key("umbra", []).await.secret;
    for (query, status, told) in [
        (
            format!("api_key={key}&api_key={key}"),
            400,
            "ambiguous_api_key",
        ),
        (
            format!("api_key={key}&api%5Fkey="),
            400,
            "ambiguous_api_key",
        ),
        (format!("api_key=&api_key={key}"), 400, "ambiguous_api_key"),
        (format!("api_key={key},{key}"), 400, "ambiguous_api_key"),
        (format!("api_key={key}%2C"), 400, "ambiguous_api_key"),
        ("api_key".to_owned(), 401, "invalid_api_key"),
        ("api_key=".to_owned(), 401, "invalid_api_key"),
        ("api_key=%ff".to_owned(), 401, "invalid_api_key"),
        ("api_key=%zz".to_owned(), 401, "invalid_api_key"),
        ("api_key=%".to_owned(), 401, "invalid_api_key"),
        (format!("api_key={key}+"), 401, "invalid_api_key"),
        (format!("api_key=%20{key}"), 401, "invalid_api_key"),
        (format!("api_key={key}%00"), 401, "invalid_api_key"),
        (
            format!("api_key={}", key.replace('_', "%255F")),
            401,
            "invalid_api_key",
        ),
        (format!("api_key={key};x=1"), 401, "invalid_api_key"),
    ] {
        for path in ["/key", "/maybe"] {
            let answer = get(&app, &format!("{path}?{query}"), &[]).await;
            assert_eq!((answer.status, &*code(&answer)), (status, told), "{query}");
        }
    }
    assert_eq!(ran.times(), 0);
    let once = key.replace('_', "%5F");
    assert_eq!(
        get(&app, &format!("/key?api_key={once}"), &[]).await.status,
        200
    );
}

/// What bytes make of header names is in the golden file of T10, beside it.
#[tokio::test]
async fn t10_only_the_exact_header_name_counts() {
    let (app, ran) = app(|builder| builder).await;
    let key = app.key("umbra", []).await.secret;
    for (name, status) in [
        ("X-API-Key", 200),
        ("x-api-key", 200),
        ("X-API-KEY", 200),
        ("X_API_Key", 401),
        ("X-API_Key", 401),
        ("X-APIKey", 401),
        ("X-API-Keys", 401),
        ("XX-API-Key", 401),
        ("API-Key", 401),
        ("X-API-Key-", 401),
        ("X.API.Key", 401),
    ] {
        let answer = get(&app, "/key", &[(name, key.as_bytes())]).await;
        assert_eq!(answer.status, status, "{name}");
    }
    assert_eq!(ran.times(), 3);
}

#[derive(Debug)]
struct Cookies;

impl Sessions for Cookies {
    fn verify(&self, head: &request::Parts) -> Reply<Option<Session>> {
        let cookie = head.headers.get("cookie");
        let signed_in = cookie.is_some_and(|cookie| cookie == "session=alice");
        Reply::ready(signed_in.then(|| Session::of("alice")))
    }
}

#[tokio::test]
async fn t11_a_cookie_is_no_key_and_a_key_is_no_session() {
    let (data, management) = (Ran::default(), Ran::default());
    let app = TestApp::with(
        |builder| builder.sessions(Cookies),
        |gate| {
            gate.routes()
                .get("/data", data.clone(), authenticated().rate_cost(0))
                .get("/management", management.clone(), session())
        },
    )
    .await;
    let good = app.key("umbra", []).await.secret;
    let (bearer, unknown) = (format!("Bearer {good}"), unknown_secret());
    let stolen = format!("api_key={good}; x-api-key={good}; session=mallory");
    let (mut data_ran, mut management_ran) = (0, 0);
    for cookie in [None, Some("session=alice"), Some(&*stolen)] {
        for (key, is_good) in [
            (None, false),
            (Some(("Authorization", &*bearer)), true),
            (Some(("X-API-Key", &*good)), true),
            (Some(("X-API-Key", &*unknown)), false),
            (Some(("Authorization", "")), false),
        ] {
            let cookie = cookie.map(|cookie| ("Cookie", cookie));
            let lines = key.iter().chain(&cookie);
            let lines: Vec<_> = lines.map(|(n, v)| (*n, v.as_bytes())).collect();
            let signed_in = cookie.is_some_and(|(_, cookie)| cookie == "session=alice");
            data_ran += u64::from(is_good);
            management_ran += u64::from(signed_in && key.is_none());
            let statuses = [
                get(&app, "/data", &lines).await.status,
                get(&app, "/management", &lines).await.status,
            ];
            assert!(
                statuses.iter().all(|status| [200, 401].contains(status)),
                "{statuses:?}"
            );
            assert_eq!(
                (data.times(), management.times()),
                (data_ran, management_ran)
            );
        }
    }
    assert_eq!((data_ran, management_ran), (6, 1));
}

/// Neither an empty store nor the digest of nothing lets anybody in.
#[tokio::test]
async fn t24_there_is_no_default_key() {
    let ran = Ran::default();
    let store = Arc::new(MemoryStore::default());
    let builder = Gate::builder(catalog()).shared_store(Arc::clone(&store));
    let gate = builder.build().await.unwrap();
    let routes = gate.routes().get("/", ran.clone(), authenticated());
    let service = routes.into_service().unwrap();
    let status = async |name: &str, value: &str| {
        let request = Request::get("/").header(name, value).body(Body::empty());
        let answer = service.clone().oneshot(request.unwrap()).await.unwrap();
        answer.status().as_u16()
    };
    let nobodys = [
        "",
        "Bearer",
        "Bearer ",
        "Bearer null",
        "Bearer undefined",
        "Bearer admin",
        "Bearer test",
        "Bearer sk_live_",
        "Bearer edd1c9f034335f136f87ad84b625c8f1",
        "Basic Og==",
    ];
    let all_are_refused = async || {
        for value in nobodys {
            assert_eq!(status("authorization", value).await, 401, "{value}");
            let bare = value.strip_prefix("Bearer ").unwrap_or(value);
            assert_eq!(status("x-api-key", bare).await, 401, "{value}");
        }
        assert_eq!(status("x-api-key", &unknown_secret()).await, 401);
    };
    all_are_refused().await;

    // Somebody writes keys with the digests of such texts into the store.
    let acme = NewOrganization::new(org("acme"), "free");
    gate.keyring()
        .create_organization(acme, &actor())
        .await
        .unwrap();
    for text in ["", " ", "null", "undefined", "admin", "test", "sk_live_"] {
        let new = NewKey::new(org("acme"), "planted");
        let key = gate.keyring().issue(new, &actor()).await.unwrap().key;
        let system = Change {
            actor: actor(),
            at: key.created_at,
            reason: None,
        };
        let deleted = store.delete_key(&key.id, system.clone());
        deleted.await.unwrap();
        let planted = store.insert_key(key, Digester::sha256().digest(text), system);
        planted.await.unwrap();
    }
    all_are_refused().await;
    assert_eq!(ran.times(), 0);
}
