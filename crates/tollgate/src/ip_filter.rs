//! Turns away keys that come from where they may not be used.
//!
//! | | |
//! | --- | --- |
//! | reads | the [`Principal`](crate::Principal), the client's address |
//! | denies | `ip_not_allowed` (403); the lists are not told |
//! | writes | nothing |
//!
//! Both the key's and its organization's rules must agree. Deny wins over allow, an empty allow
//! list means any. Where the address is not known, only a key without rules passes.
//!
//! # Order
//!
//! Inside the authenticator and the client's address. Before the scopes: what a stolen key could
//! do is nobody's business.
//!
//! # Example
//!
//! ```
//! use tollgate::authenticate::AuthenticateLayer;
//! use tollgate::client_address::{ClientAddressLayer, TrustedProxies};
//! use tollgate::ip_filter::IpFilterLayer;
//! use tower::ServiceBuilder;
//!
//! # fn stack(gate: &tollgate::Gate) {
//! let stack = ServiceBuilder::new()
//!     .layer(ClientAddressLayer::new(TrustedProxies::none()))
//!     .layer(AuthenticateLayer::new(gate))
//!     .layer(IpFilterLayer::new());
//! # }
//! ```

use std::net::IpAddr;

use axum::body::Body;
use http::Request;
use tollgate_core::reply::Reply;
use tower_layer::Layer;

use crate::denial::{Denial, DenialKind};
use crate::guard::{Guard, Guarded};
use crate::passage::Ticket;
use crate::verified::VerifiedKey;

/// Keeps keys to their addresses. See the [module docs](self) for its place in the stack.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "layers do nothing until they wrap a service"]
#[non_exhaustive]
pub struct IpFilterLayer;

impl IpFilterLayer {
    /// Keeps the rules that keys and organizations carry.
    pub const fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for IpFilterLayer {
    type Service = Guarded<S, IpFilter>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded::new(inner, IpFilter)
    }
}

/// The judgement of [`IpFilterLayer`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct IpFilter;

impl Guard for IpFilter {
    fn admit(&self, request: &mut Request<Body>) -> Reply<(), Denial> {
        let known = Ticket::find(request.extensions()).and_then(|ticket| {
            ticket.with(|passage| Some((passage.caller.clone()?, passage.address)))
        });
        match known {
            Some((caller, address)) => judge(caller.verified(), address).into(),
            None => Reply::failed(Denial::misplaced("AuthenticateLayer")),
        }
    }
}

pub(crate) fn judge(key: &VerifiedKey, address: Option<IpAddr>) -> Result<(), Denial> {
    if key.permits(address) {
        return Ok(());
    }
    let reason = match address {
        Some(address) => format!("key {} from {address}", key.key().id),
        None => format!(
            "key {} has IP rules, and the address is not known",
            key.key().id
        ),
    };
    Err(Denial::new(DenialKind::IpNotAllowed).with_reason(reason))
}
