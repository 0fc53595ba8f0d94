//! T43 and T44: servers that do not say where a request comes from.

use axum::body::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tollgate::Gate;
use tollgate::access::authenticated;
use tollgate::client_address::TrustedProxies;
use tollgate::core::ip::{IpList, IpRules};
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate::core::memory::MemoryStore;

use super::{Ran, get};
use crate::support::log::{capture, captured};
use crate::support::{TestApp, actor, catalog, org};

fn list(text: &str) -> IpList {
    text.parse().unwrap()
}

/// A gate, its router, and two keys: one with an allow list, one without.
async fn without_addresses() -> (axum::Router, Ran, [String; 2]) {
    let ran = Ran::default();
    let everything = TrustedProxies::x_forwarded_for(list("0.0.0.0/0, ::/0"));
    let builder = Gate::builder(catalog()).store(MemoryStore::default());
    let gate = builder.trusted_proxies(everything).build().await.unwrap();
    let (keyring, actor) = (gate.keyring(), actor());
    let umbra = NewOrganization::new(org("umbra"), "pro");
    keyring.create_organization(umbra, &actor).await.unwrap();
    let key = async |rules: IpRules| {
        let new = NewKey::new(org("umbra"), "a key").ip_rules(rules);
        let issued = keyring.issue(new, &actor).await.unwrap();
        issued.secret.expose().to_owned()
    };
    let fenced = key(IpRules::allowing(list("0.0.0.0/0, ::/0"))).await;
    let free = key(IpRules::default()).await;
    let routes = gate
        .routes()
        .get("/key", ran.clone(), authenticated().rate_cost(0));
    (routes.into_router().unwrap(), ran, [fenced, free])
}

async fn status<I>(stream: I, key: &str, forwarded: Option<&str>) -> u16
where
    I: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let (mut sender, connection) = handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut request = Request::get("/key").header("x-api-key", key);
    if let Some(forwarded) = forwarded {
        request = request.header("x-forwarded-for", forwarded);
    }
    let request = request.body(Full::<Bytes>::default()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    answer.into_body().collect().await.unwrap();
    connection.abort();
    status
}

#[tokio::test]
async fn t43_without_a_peer_a_key_with_an_allow_list_is_refused() {
    let (router, ran, [fenced, free]) = without_addresses().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // What an app forgets here: `into_make_service_with_connect_info`.
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let connect = async || TokioIo::new(TcpStream::connect(address).await.unwrap());
    for forwarded in [None, Some("203.0.113.1"), Some("127.0.0.1")] {
        assert_eq!(status(connect().await, &fenced, forwarded).await, 403);
    }
    assert_eq!(ran.times(), 0);
    assert_eq!(status(connect().await, &free, None).await, 200);
    assert_eq!(ran.times(), 1);
    server.abort();
}

#[tokio::test]
async fn t43_that_no_peer_is_told_is_logged_once_for_each_gate() {
    let warnings = |log: &str| {
        let lines = log.lines().filter(|line| line.contains(" WARN "));
        let ours = lines.filter(|line| line.contains("into_make_service_with_connect_info"));
        ours.count()
    };
    capture();
    for _ in 0..2 {
        let (router, _, [fenced, free]) = without_addresses().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        for (key, expected) in [(&free, 200), (&fenced, 403), (&free, 200)] {
            let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
            assert_eq!(status(stream, key, None).await, expected);
        }
        server.abort();
    }
    assert_eq!(warnings(&captured()), 2);

    capture();
    let app = TestApp::new(|gate| gate.routes().get("/", Ran::default(), authenticated())).await;
    assert_eq!(get(&app, "/", &[]).await.status, 401);
    assert_eq!(warnings(&captured()), 0, "a server that tells it");
}

#[tokio::test]
async fn t44_a_unix_socket_has_no_address_and_is_no_trusted_proxy() {
    let (router, ran, [fenced, free]) = without_addresses().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let connect = async || TokioIo::new(UnixStream::connect(&path).await.unwrap());
    for forwarded in [None, Some("203.0.113.1"), Some("127.0.0.1")] {
        assert_eq!(status(connect().await, &fenced, forwarded).await, 403);
    }
    assert_eq!(ran.times(), 0);
    assert_eq!(status(connect().await, &free, None).await, 200);
    assert_eq!(ran.times(), 1);
    server.abort();
}
