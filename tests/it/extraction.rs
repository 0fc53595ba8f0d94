//! Where a key may be, that nobody behind the gate sees it, and who says where a call is from.

use axum::extract::OriginalUri;
use http::{HeaderMap, HeaderName, Uri};
use tollgate::access::{authenticated, optional, public};
use tollgate::client_address::{ClientAddress, TrustedProxies};
use tollgate::credential::Credentials;
use tollgate::request_id::IdMaker;
use tollgate::{Gate, GateBuilder, Routes};

use crate::support::{TestApp, TestKey};

/// Tells all that a handler sees of a request.
async fn echo(uri: Uri, OriginalUri(original): OriginalUri, headers: HeaderMap) -> String {
    format!("{uri} {original} {headers:?}")
}

fn echoes(gate: &Gate) -> Routes {
    gate.routes()
        .get("/key", echo, authenticated())
        .get("/maybe", echo, optional())
        .get("/public", echo, public())
        .get("/headers-only", echo, authenticated().without_query_key())
        .fallback(echo, public())
}

fn everywhere(builder: GateBuilder) -> GateBuilder {
    let credentials = Credentials::new().with_query_parameter("api_key");
    builder.credentials(credentials.unwrap())
}

fn assert_hidden(told: &str, key: &TestKey) {
    assert!(
        !told.contains(&key.secret),
        "the handler saw the secret: {told}"
    );
    for name in ["\"authorization\"", "\"x-api-key\"", "api_key"] {
        assert!(!told.contains(name), "the handler saw {name}: {told}");
    }
}

#[tokio::test]
async fn a_key_is_found_in_every_place_and_taken_out() {
    let app = TestApp::with(everywhere, echoes).await;
    let key = app.key("umbra", []).await;
    for path in ["/key", "/maybe", "/public", "/elsewhere"] {
        let query = format!("{path}?a=1&api_key={}&b=2", key.secret);
        for call in [
            app.get(path).key(&key),
            app.get(path)
                .header("authorization", format!("bEARER {}", key.secret)),
            app.get(path).header("x-api-key", &*key.secret),
            app.get(&query),
        ] {
            let answer = call.send().await;
            assert_eq!(answer.status, 200, "{path}");
            assert_hidden(answer.text(), &key);
        }
        let answer = app.get(&query).send().await;
        assert_eq!(
            answer.text().matches(&format!("{path}?a=1&b=2 ")).count(),
            2,
            "{answer:?}"
        );
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    }
}

#[tokio::test]
async fn even_what_is_refused_elsewhere_is_taken_out() {
    let app = TestApp::with(everywhere, echoes).await;
    let key = app.key("umbra", []).await;
    let answer = app
        .get("/public")
        .key(&key)
        .key(&key)
        .header("x-api-key", &*key.secret);
    assert_hidden(answer.send().await.text(), &key);
    let query = format!("/headers-only?api_key={}", key.secret);
    let answer = app.get(&query).send().await;
    assert_eq!((answer.status, &*answer.code()), (401, "missing_api_key"));
    let answer = app.get(&query).key(&key).send().await;
    assert_eq!((answer.status, &*answer.code()), (400, "ambiguous_api_key"));
}

#[tokio::test]
async fn a_place_that_is_switched_off_holds_no_key() {
    let own = HeaderName::from_static("x-acme-key");
    for (credentials, works) in [
        (Credentials::new(), [true, true, false, false]),
        (Credentials::bearer_only(), [true, false, false, false]),
        (
            Credentials::new().without_bearer(),
            [false, true, false, false],
        ),
        (
            Credentials::bearer_only().with_header(own),
            [true, false, true, false],
        ),
        (
            Credentials::new().with_query_parameter("token").unwrap(),
            [true, true, false, true],
        ),
    ] {
        let app = TestApp::with(|builder| builder.credentials(credentials), echoes).await;
        let key = app.key("umbra", []).await;
        let calls = [
            app.get("/key").key(&key),
            app.get("/key").header("x-api-key", &*key.secret),
            app.get("/key").header("x-acme-key", &*key.secret),
            app.get(&format!("/key?token={}", key.secret)),
        ];
        for (call, works) in calls.into_iter().zip(works) {
            assert_eq!(call.status().await, if works { 200 } else { 401 });
        }
    }
}

#[tokio::test]
async fn a_missing_key_is_told_where_it_belongs() {
    let app = TestApp::with(
        |builder| builder.credentials(Credentials::new().without_bearer()),
        echoes,
    )
    .await;
    let answer = app.get("/key").send().await;
    let message = answer.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.contains("x-api-key header") && message.contains("sk_"),
        "{message}"
    );
}

async fn address_app(proxies: TrustedProxies) -> TestApp {
    TestApp::with(
        |builder| builder.trusted_proxies(proxies),
        |gate| {
            let address = |ClientAddress(seen): ClientAddress, headers: HeaderMap| async move {
                let id = headers["x-request-id"].to_str().unwrap().to_owned();
                format!("{} {id}", seen.unwrap())
            };
            gate.routes().get("/", address, public())
        },
    )
    .await
}

#[tokio::test]
async fn only_trusted_proxies_say_where_a_client_is() {
    let loopback = || "127.0.0.0/8, 198.51.100.0/24".parse().unwrap();
    let (x, standard) = ("x-forwarded-for", "forwarded");
    for (proxies, name, value, seen) in [
        (TrustedProxies::none(), x, "203.0.113.7", "127.0.0.1"),
        (
            TrustedProxies::x_forwarded_for(loopback()),
            x,
            "203.0.113.7",
            "203.0.113.7",
        ),
        (
            TrustedProxies::x_forwarded_for(loopback()),
            x,
            "1.2.3.4, 203.0.113.7",
            "203.0.113.7",
        ),
        (
            TrustedProxies::x_forwarded_for(loopback()),
            x,
            "1.2.3.4, 203.0.113.7, 198.51.100.9",
            "203.0.113.7",
        ),
        (
            TrustedProxies::x_forwarded_for(loopback()),
            x,
            "::ffff:203.0.113.7",
            "203.0.113.7",
        ),
        (
            TrustedProxies::x_forwarded_for(loopback()),
            standard,
            "for=203.0.113.7",
            "127.0.0.1",
        ),
        (
            TrustedProxies::forwarded(loopback()),
            standard,
            "for=203.0.113.7",
            "203.0.113.7",
        ),
        (
            TrustedProxies::forwarded(loopback()),
            standard,
            "for=\"[2001:db8::1]:80\";proto=https",
            "2001:db8::1",
        ),
    ] {
        let app = address_app(proxies).await;
        let answer = app.get("/").header(name, value).send().await;
        assert!(
            answer.text().starts_with(&format!("{seen} ")),
            "{value}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn only_trusted_proxies_choose_a_request_id() {
    let trusted = TrustedProxies::x_forwarded_for("127.0.0.1".parse().unwrap());
    for (proxies, inbound, kept) in [
        (TrustedProxies::none(), "abc-1", false),
        (trusted.clone(), "abc-1", true),
        (trusted.clone(), "has a space", false),
        (trusted, "", false),
    ] {
        let app = address_app(proxies).await;
        let answer = app.get("/").header("x-request-id", inbound).send().await;
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(id == inbound, kept, "{inbound}");
        assert!(
            answer.text().ends_with(id),
            "the handler sees the same: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_request_id_may_have_a_prefix() {
    let app = TestApp::with(
        |builder| builder.request_ids(IdMaker::prefixed("req_").unwrap()),
        echoes,
    )
    .await;
    let (one, two) = (app.get("/key").send().await, app.get("/key").send().await);
    let id = |answer: &crate::support::Answer| answer.header("x-request-id").unwrap().to_owned();
    assert!(id(&one).starts_with("req_") && id(&one) != id(&two));
    assert_eq!(one.json()["error"]["request_id"], id(&one));
}
