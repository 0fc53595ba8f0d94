//! One way to answer a request, and what it is compared with.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, Uri};
use tower::util::BoxService;
use tower::{Service, ServiceExt};

const UNREAD: &str = "Bearer sk_live_0123456789abcdefghijABCDEFGHIJ0123456789";

/// A service that answers one kind of request. Each is boxed once, at the same price for all.
pub(crate) struct Variant {
    pub(crate) name: String,
    service: BoxService<Request<Body>, Response<Body>, Infallible>,
    uri: Uri,
    keys: Keys,
    status: u16,
}

/// Which key a request carries.
pub(crate) enum Keys {
    None,
    /// One that the app does not read, as long as a key: all send the same request.
    Unread,
    Same(HeaderValue),
    /// Another one each time.
    Fresh(Box<dyn Fn() -> HeaderValue>),
}

impl Variant {
    /// A `GET /iocs` that is answered with 200.
    pub(crate) fn new<S>(name: impl Into<String>, service: S, keys: Keys) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        Self {
            name: name.into(),
            service: service.boxed(),
            uri: Uri::from_static("/iocs"),
            keys,
            status: 200,
        }
    }

    pub(crate) fn at(mut self, path: &'static str) -> Self {
        self.uri = Uri::from_static(path);
        self
    }

    pub(crate) fn answers(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn request(&self) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = self.uri.clone();
        let peer = SocketAddr::from(([192, 0, 2, 7], 4711));
        request.extensions_mut().insert(ConnectInfo(peer));
        let key = match &self.keys {
            Keys::None => return request,
            Keys::Unread => HeaderValue::from_static(UNREAD),
            Keys::Same(key) => key.clone(),
            Keys::Fresh(make) => make(),
        };
        request.headers_mut().insert(AUTHORIZATION, key);
        request
    }

    /// Answers a request, and sees that the answer is the one that is meant to be measured.
    pub(crate) async fn answer(&mut self, request: Request<Body>) -> Response<Body> {
        let service = self.service.ready().await.unwrap();
        let response = service.call(request).await.unwrap();
        assert_eq!(response.status(), self.status, "{}", self.name);
        response
    }
}
