//! Finds out which address a request really came from.
//!
//! | | |
//! | --- | --- |
//! | reads | the peer's address; `X-Forwarded-For` or `Forwarded`, from trusted proxies only |
//! | denies | nothing |
//! | writes | a [`ClientAddress`], for handlers and for the layers further in; takes out the headers that nobody trusted wrote |
//!
//! Only the peer's address cannot be made up. So a header is read only if the peer is a trusted
//! proxy, from the right, hop by hop, as long as the hop is a trusted proxy too; the first that
//! is not, or cannot be read, ends it. What a client writes to the left changes nothing.
//!
//! `Forwarded`, `X-Forwarded-For` and `X-Real-IP` are taken out of the request unless they are the
//! ones to be read and a trusted proxy sent them, so that nothing further in believes what a
//! client made up. Other headers (`X-Forwarded-Proto`, a CDN's own) are left to the app.
//!
//! # Order
//!
//! Outside of the IP filter and everything else that asks for the address.
//!
//! # Example
//!
//! ```
//! use tollgate::client_address::TrustedProxies;
//!
//! let proxies = TrustedProxies::x_forwarded_for("10.0.0.0/8".parse()?);
//! let mut headers = http::HeaderMap::new();
//! headers.insert("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.0.0.7".parse().unwrap());
//!
//! let seen = |peer: &str| proxies.client(peer.parse().unwrap(), &headers).to_string();
//! assert_eq!(seen("10.0.0.1"), "203.0.113.9");
//! assert_eq!(seen("198.51.100.4"), "198.51.100.4");
//! # Ok::<(), tollgate::core::invalid::Invalid>(())
//! ```

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use axum::extract::connect_info::MockConnectInfo;
use axum::extract::{ConnectInfo, FromRequestParts};
use http::{Extensions, HeaderMap, HeaderName, Request, header, request};
use tollgate_core::ip::IpList;
use tower_layer::Layer;
use tower_service::Service;

use crate::passage::Ticket;

mod forwarded;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Where proxies write an address.
const ADDRESSES: [HeaderName; 3] = [
    header::FORWARDED,
    X_FORWARDED_FOR,
    HeaderName::from_static("x-real-ip"),
];

/// Which peers are proxies whose word counts, and where they write it.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: IpList,
    header: Header,
}

#[derive(Clone, Copy, Debug, Default)]
enum Header {
    #[default]
    XForwardedFor,
    Forwarded,
}

impl TrustedProxies {
    /// Trusts nobody: the client is the peer.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Trusts these networks to write `X-Forwarded-For`. `Forwarded` is not read.
    #[must_use]
    pub const fn x_forwarded_for(networks: IpList) -> Self {
        Self {
            networks,
            header: Header::XForwardedFor,
        }
    }

    /// Trusts these networks to write `Forwarded` (RFC 7239). `X-Forwarded-For` is not read.
    #[must_use]
    pub const fn forwarded(networks: IpList) -> Self {
        Self {
            networks,
            header: Header::Forwarded,
        }
    }

    /// Whether this peer is a trusted proxy.
    #[must_use]
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.networks.contains(peer)
    }

    /// The client's address, canonical (never an IPv4 address in an IPv6 coat).
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if self.networks.is_empty() || !self.trusts(client) {
            return client;
        }
        let lines = headers.get_all(self.header.name()).iter().rev();
        for line in lines {
            for element in forwarded::elements_from_right(line.as_bytes()) {
                let hop = match self.header {
                    Header::XForwardedFor => forwarded::address(element),
                    Header::Forwarded => forwarded::for_parameter(element),
                };
                let Some(hop) = hop else { return client };
                client = hop;
                if !self.trusts(hop) {
                    return client;
                }
            }
        }
        client
    }
}

impl TrustedProxies {
    /// Takes out the headers about addresses that nobody trusted wrote.
    pub(crate) fn hide(&self, trusted: bool, headers: &mut HeaderMap) {
        // Most requests have none, and looking at each name takes less time than three look-ups.
        if !headers.keys().any(tells_an_address) {
            return;
        }
        let believed = trusted.then(|| self.header.name());
        for name in ADDRESSES {
            if believed.as_ref() != Some(&name) {
                headers.remove(name);
            }
        }
    }
}

impl Header {
    const fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => X_FORWARDED_FOR,
            Self::Forwarded => header::FORWARDED,
        }
    }
}

/// Whether this is one of [`ADDRESSES`], by its length first.
fn tells_an_address(name: &HeaderName) -> bool {
    let name = name.as_str();
    match name.len() {
        9 => matches!(name, "forwarded" | "x-real-ip"),
        15 => name == "x-forwarded-for",
        _ => false,
    }
}

/// The address of the peer, as axum's server or a test's mock left it.
pub(crate) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    let real = extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0);
    let mock = || {
        extensions
            .get::<MockConnectInfo<SocketAddr>>()
            .map(|info| info.0)
    };
    real.or_else(mock).map(|address| address.ip())
}

/// Finds the client's address. See the [module docs](self) for its place in the stack.
#[derive(Clone, Debug, Default)]
#[must_use = "layers do nothing until they wrap a service"]
pub struct ClientAddressLayer {
    proxies: TrustedProxies,
}

impl ClientAddressLayer {
    /// Believes these proxies.
    pub const fn new(proxies: TrustedProxies) -> Self {
        Self { proxies }
    }
}

impl<S> Layer<S> for ClientAddressLayer {
    type Service = FindAddress<S>;

    fn layer(&self, inner: S) -> Self::Service {
        FindAddress {
            inner,
            proxies: self.proxies.clone(),
        }
    }
}

/// The service of [`ClientAddressLayer`].
#[derive(Clone, Debug)]
pub struct FindAddress<S> {
    inner: S,
    proxies: TrustedProxies,
}

impl<S, B> Service<Request<B>> for FindAddress<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let peer = peer(request.extensions());
        let trusted = peer.is_some_and(|peer| self.proxies.trusts(peer));
        let address = peer.map(|peer| self.proxies.client(peer, request.headers()));
        self.proxies.hide(trusted, request.headers_mut());
        Ticket::find_or_issue(request.extensions_mut()).set_address(address);
        self.inner.call(request)
    }
}

/// The client's address, for a handler; `None` where the server does not tell the peer's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "an extractor that handlers take apart"
)]
pub struct ClientAddress(pub Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Infallible> {
        let ticket = Ticket::find(&parts.extensions);
        Ok(Self(ticket.and_then(Ticket::address)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(proxies: &TrustedProxies, peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            let value = http::HeaderValue::from_bytes(line.as_bytes()).unwrap();
            headers.append(proxies.header.name(), value);
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    fn xff() -> TrustedProxies {
        TrustedProxies::x_forwarded_for("10.0.0.0/8, 2001:db8:ff::/48".parse().unwrap())
    }

    #[test]
    fn walks_from_the_right_over_trusted_hops_only() {
        for (peer, lines, expected) in [
            ("203.0.113.1", &["6.6.6.6"][..], "203.0.113.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
            (
                "10.0.0.1",
                &["6.6.6.6, 203.0.113.9, 10.0.0.2"],
                "203.0.113.9",
            ),
            ("10.0.0.1", &["6.6.6.6, 203.0.113.9:4711"], "203.0.113.9"),
            ("10.0.0.1", &["6.6.6.6, [2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["6.6.6.6, garbage"], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6, garbage, 10.0.0.9"], "10.0.0.9"),
            ("10.0.0.1", &["6.6.6.6,"], "10.0.0.1"),
            ("10.0.0.1", &["10.0.0.5, 10.0.0.6"], "10.0.0.5"),
            ("::ffff:10.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9"),
            ("2001:db8:ff::1", &["203.0.113.9"], "203.0.113.9"),
        ] {
            assert_eq!(client(&xff(), peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn each_header_about_addresses_is_noticed_and_no_other() {
        for name in ADDRESSES {
            assert!(tells_an_address(&name), "{name}");
        }
        for name in ["via", "x-api-key", "x-forwarded-to", "x-forwarded-foo"] {
            assert!(!tells_an_address(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn reads_rfc_7239() {
        let proxies = TrustedProxies::forwarded("10.0.0.0/8".parse().unwrap());
        for (line, expected) in [
            ("for=203.0.113.9;proto=https", "203.0.113.9"),
            ("For=\"[2001:db8::17]:4711\"", "2001:db8::17"),
            (
                "for=6.6.6.6, for=\"203.0.113.9:80\";by=10.0.0.1",
                "203.0.113.9",
            ),
            ("for=6.6.6.6, proto=https;for=203.0.113.9", "203.0.113.9"),
            ("for=6.6.6.6, for=unknown", "10.0.0.1"),
            ("for=6.6.6.6, for=_hidden", "10.0.0.1"),
            ("for=6.6.6.6, by=1.2.3.4", "10.0.0.1"),
            ("for=6.6.6.6, for=1.1.1.1;for=2.2.2.2", "10.0.0.1"),
            ("for=\"6.6.6.6, for=203.0.113.9", "203.0.113.9"),
            ("for=\"a,b\", for=203.0.113.9", "203.0.113.9"),
            ("for=\"a, for=203.0.113.9;by=\"", "10.0.0.1"),
        ] {
            assert_eq!(client(&proxies, "10.0.0.1", &[line]), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn what_a_client_writes_changes_nothing(forged in "[ -~]{0,40}") {
            let line = format!("{forged}, 203.0.113.9, 10.3.2.1");
            prop_assert_eq!(client(&xff(), "10.0.0.1", &[&line]), "203.0.113.9");
        }
    }
}
