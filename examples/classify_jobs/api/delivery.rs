//! Sends events to addresses that customers name, and nowhere that only this server can reach.
//!
//! Whoever may name an address could have the server ask what is behind its firewall. So every
//! address that a name has is checked before one is connected to, the connection is made to the
//! address that was checked and not to the name again, and a redirect is not followed. What an
//! endpoint answers is not shown, but for its status.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::Json;
use axum::http::{Request, StatusCode, Uri, header};
use axum::response::IntoResponse;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::{TcpStream, lookup_host};

/// The receiver that is bundled in place of one on the internet.
pub(crate) const SAMPLE_HOST: &str = "hooks.example";

const PATIENCE: Duration = Duration::from_secs(5);

const SAMPLE: &str = "hooks.example is bundled with this example; nothing was sent.";
const NO_TLS: &str = "This example speaks no TLS; nothing was sent.";
const NOT_PUBLIC: &str = "The host has no address, or one that is not public; nothing was sent.";
const NO_ANSWER: &str = "The endpoint did not answer.";

/// How events are delivered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    to_loopback: bool,
}

/// What an endpoint is told.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Event {
    #[serde(rename = "event")]
    pub(crate) name: &'static str,
    pub(crate) webhook: String,
    pub(crate) sent_at: String,
}

/// What came of a delivery.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    event: Event,
    /// Whether the endpoint answered with a 2xx.
    delivered: bool,
    status: Option<u16>,
    note: Option<&'static str>,
}

impl Delivery {
    /// To public addresses; and to this machine, if that is allowed.
    pub(crate) const fn new(to_loopback: bool) -> Self {
        Self { to_loopback }
    }

    /// Sends an event, once.
    pub(crate) async fn send(self, url: &Uri, event: Event) -> Report {
        let answer = tokio::time::timeout(PATIENCE, self.deliver(url, &event)).await;
        let answer = answer.unwrap_or(Err(NO_ANSWER));
        Report {
            event,
            delivered: answer.is_ok_and(|status| status.is_success()),
            status: answer.ok().map(|status| status.as_u16()),
            note: answer.err(),
        }
    }

    async fn deliver(self, url: &Uri, event: &Event) -> Result<StatusCode, &'static str> {
        let host = url.host().unwrap_or_default();
        if host.eq_ignore_ascii_case(SAMPLE_HOST) {
            return Err(SAMPLE);
        }
        if url.scheme_str() != Some("http") {
            return Err(NO_TLS);
        }
        let addresses = self.resolve(host, url.port_u16().unwrap_or(80)).await;
        let addresses = addresses.ok_or(NOT_PUBLIC)?;
        let answer = post(&addresses, url, event).await;
        answer.map_err(|error| {
            tracing::debug!(%error, "a webhook was not delivered");
            NO_ANSWER
        })
    }

    /// The addresses of a host, if there are any and all may be sent to.
    async fn resolve(self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let found = lookup_host((host, port)).await.ok()?;
        let addresses: Vec<SocketAddr> = found.collect();
        let good = |address: &SocketAddr| self.may_send_to(address.ip());
        (!addresses.is_empty() && addresses.iter().all(good)).then_some(addresses)
    }

    /// Whether an address is public, or this machine's where that is allowed.
    pub(crate) fn may_send_to(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if address.is_loopback() {
            return self.to_loopback;
        }
        match address {
            IpAddr::V4(address) => is_public_v4(address),
            IpAddr::V6(address) => is_public_v6(address),
        }
    }
}

/// Posts to the first of these addresses that takes a connection.
async fn post(addresses: &[SocketAddr], url: &Uri, event: &Event) -> Result<StatusCode, Failed> {
    let stream = TcpStream::connect(addresses).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let host = url.authority().map_or("", |authority| authority.as_str());
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::post(path)
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Json(event).into_response().into_body())?;
    // It ends with the answer, or when nobody waits for that any more.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?.status())
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Not of the IANA's registry of special-purpose addresses (RFC 6890).
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let special = matches!(
        (first, second, third),
        (0 | 240.., _, _) // "this network", reserved and broadcast
            | (100, 64..=127, _) // shared by carriers
            | (192, 0, 0) // protocols
            | (192, 88, 99) // 6to4 relays
            | (198, 18..=19, _) // benchmarks
    );
    !special
        && !address.is_private()
        && !address.is_loopback()
        && !address.is_link_local() // clouds tell machines their secrets here
        && !address.is_documentation()
        && !address.is_multicast()
}

/// Of `2000::/3`, which is all that is assigned, without what carries an IPv4 address inside.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let special = matches!(
        (first, second),
        (0x2001, 0..=0x1ff | 0xdb8) // protocols, Teredo; documentation
            | (0x2002, _) // 6to4
            | (0x3fff, 0..=0xfff) // documentation
    );
    (0x2000..=0x3fff).contains(&first) && !special
}
