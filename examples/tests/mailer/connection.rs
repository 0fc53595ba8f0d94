//! The same over real HTTP, on one connection that is kept alive while a key is edited.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tollgate_testkit::app::TestKey;

use super::{Mailer, api, email};

/// One connection to a server that really listens.
struct Connection {
    sender: SendRequest<Body>,
    origin: String,
}

impl Connection {
    async fn to(mailer: &Mailer) -> Self {
        let gate = mailer.kit.gate();
        let app = api::routes(gate)
            .with_state(api::Mailer::with_samples(gate).unwrap())
            .into_service()
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, app).await });
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self {
            sender,
            origin: address.to_string(),
        }
    }

    async fn send(&mut self, key: &TestKey, method: &str, path: &str, body: Value) -> u16 {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.origin)
            .header("authorization", format!("Bearer {}", key.secret()))
            .header("content-type", "application/json");
        let request = request.body(Body::from(body.to_string())).unwrap();
        // Fails if the server has closed this connection.
        self.sender.ready().await.unwrap();
        let answer = self.sender.send_request(request).await.unwrap();
        assert_ne!(
            answer.headers().get("connection").map(AsRef::as_ref),
            Some(&b"close"[..])
        );
        let status = answer.status().as_u16();
        answer.into_body().collect().await.unwrap();
        status
    }

    /// What a key may do: list templates, send an email.
    async fn may(&mut self, key: &TestKey) -> [u16; 2] {
        [
            self.send(key, "GET", "/templates", Value::Null).await,
            self.send(key, "POST", "/emails", email()).await,
        ]
    }
}

#[tokio::test]
async fn a_downgrade_turns_the_next_request_away_on_a_connection_that_is_kept_alive() {
    let mailer = Mailer::new().await;
    let key = mailer.level("full-access").await;
    let mut connection = Connection::to(&mailer).await;
    for (level, may) in [
        ("full-access", [200, 201]),
        ("sending-only", [403, 201]),
        ("full-access", [200, 201]),
        ("sending-only", [403, 201]),
    ] {
        mailer
            .edit(&key, json!({"preset": level}))
            .await
            .assert_status(200);
        assert_eq!(connection.may(&key).await, may, "{level}");
        assert_eq!(connection.may(&key).await, may, "{level}, from the cache");
    }
    mailer
        .edit(&key, json!({"scopes": ["templates:read"]}))
        .await
        .assert_status(200);
    assert_eq!(connection.may(&key).await, [200, 403]);
}

#[tokio::test]
async fn so_do_ip_restrictions_and_a_revocation() {
    let mailer = Mailer::new().await;
    let key = mailer.level("full-access").await;
    let mut connection = Connection::to(&mailer).await;
    for (allow, may) in [
        (json!([]), [200, 201]),
        (json!(["203.0.113.50, 198.51.100.0/24"]), [403, 403]),
        (json!(["203.0.113.50, 127.0.0.0/8"]), [200, 201]),
        (json!(["203.0.113.50"]), [403, 403]),
        (json!([]), [200, 201]),
    ] {
        let edit = json!({"ip_rules": {"allow": allow}});
        mailer.edit(&key, edit).await.assert_status(200);
        assert_eq!(connection.may(&key).await, may, "{allow}");
    }
    key.revoke(&mailer.kit).await;
    assert_eq!(connection.may(&key).await, [401, 401]);
}
