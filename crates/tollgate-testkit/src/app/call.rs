//! One call of an app.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use http_body_util::BodyExt as _;
use tollgate::DenialKind;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};

use crate::app::answer::{Answer, Asked};
use crate::app::consumed::counting;
use crate::app::gate::{TestGate, take_turns};
use crate::app::makers::{TestKey, TestSession};

/// Where a call comes from, unless it says so: an address of documentation (RFC 5737).
const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// An app behind a [`TestGate`], and who calls it. Clones call the same app.
#[derive(Clone)]
pub struct TestApp {
    kit: TestGate,
    service: BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>,
}

/// A call, on its way.
#[must_use = "send it"]
pub struct Call<'a> {
    app: &'a TestApp,
    request: http::request::Builder,
    body: Bytes,
    client: IpAddr,
    proxies: Vec<IpAddr>,
}

impl TestApp {
    pub(super) fn new<S>(kit: TestGate, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: fmt::Debug,
        S::Future: Send,
    {
        let service = service.map_err(|error| -> Infallible { panic!("{error:?}") });
        Self {
            kit,
            service: BoxCloneSyncService::new(service),
        }
    }

    /// The gate that the app is behind.
    #[must_use]
    pub const fn kit(&self) -> &TestGate {
        &self.kit
    }

    /// A call with any method.
    pub fn request(&self, method: Method, path: &str) -> Call<'_> {
        Call {
            app: self,
            request: Request::builder().method(method).uri(path),
            body: Bytes::new(),
            client: PEER,
            proxies: Vec::new(),
        }
    }

    /// A GET of a path, with its query.
    pub fn get(&self, path: &str) -> Call<'_> {
        self.request(Method::GET, path)
    }

    /// A POST.
    pub fn post(&self, path: &str) -> Call<'_> {
        self.request(Method::POST, path)
    }

    /// A PUT.
    pub fn put(&self, path: &str) -> Call<'_> {
        self.request(Method::PUT, path)
    }

    /// A PATCH.
    pub fn patch(&self, path: &str) -> Call<'_> {
        self.request(Method::PATCH, path)
    }

    /// A DELETE.
    pub fn delete(&self, path: &str) -> Call<'_> {
        self.request(Method::DELETE, path)
    }
}

impl Call<'_> {
    /// As a key, in `Authorization: Bearer`.
    pub fn key(self, key: &TestKey) -> Self {
        let bearer = format!("Bearer {}", key.secret());
        self.header("authorization", bearer)
    }

    /// As somebody who is signed in.
    pub fn session(self, session: &TestSession) -> Self {
        self.cookie(&session.cookie)
    }

    /// With a cookie: `name=value`.
    pub fn cookie(self, pair: &str) -> Self {
        self.header("cookie", pair)
    }

    /// From this address, as the client itself.
    pub fn from(mut self, address: &str) -> Self {
        self.client = address.parse().unwrap();
        self
    }

    /// Through these proxies, the client's own first. The last one is the peer; what each one
    /// heard from is in `X-Forwarded-For`.
    pub fn through<'a>(mut self, proxies: impl IntoIterator<Item = &'a str>) -> Self {
        self.proxies = proxies
            .into_iter()
            .map(|proxy| proxy.parse().unwrap())
            .collect();
        self
    }

    /// To another path, with its query.
    pub fn path(mut self, path: &str) -> Self {
        self.request = self.request.uri(path);
        self
    }

    /// With a header, beside others of its name.
    pub fn header<V>(mut self, name: &str, value: V) -> Self
    where
        V: TryInto<HeaderValue, Error: fmt::Debug>,
    {
        let name: HeaderName = name.parse().unwrap();
        self.request = self.request.header(name, value.try_into().unwrap());
        self
    }

    /// With a body of JSON, as a value or as a text.
    pub fn json(self, body: impl fmt::Display) -> Self {
        self.body("application/json", body.to_string())
    }

    /// With a body as it is.
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// Sends it, and waits for the whole answer.
    pub async fn send(self) -> Answer {
        let Self {
            app,
            mut request,
            body,
            client,
            proxies,
        } = self;
        let peer = proxies.last().copied().unwrap_or(client);
        if let Some((_, nearer)) = proxies.split_last() {
            let mut hops = vec![client.to_string()];
            hops.extend(nearer.iter().map(IpAddr::to_string));
            request = request.header("x-forwarded-for", hops.join(", "));
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_LENGTH, body.len());
        }
        let request = request
            .extension(ConnectInfo(SocketAddr::from((peer, 40_000))))
            .body(Body::from(body.clone()))
            .unwrap();
        let asked = Asked::new(&app.kit, &request, &body, client, &proxies);
        let service = app.service.clone();
        let answered = async move {
            let response = service.oneshot(request).await;
            let (head, body) = response.unwrap_or_else(|never| match never {}).into_parts();
            let body = body.collect().await;
            (head, body.map(http_body_util::Collected::to_bytes))
        };
        let ((head, body), units) = counting(answered).await;
        // What is settled once the answer has left.
        take_turns(&app.kit.0.store).await;
        let denial = head.extensions.get::<DenialKind>().copied();
        Answer::new(app.kit.clone(), asked, head, body.ok(), denial, units)
    }
}

impl fmt::Debug for TestApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestApp")
            .field("kit", &self.kit)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.request.method_ref())
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
