//! Each layer by itself, laid by `Router::layer`. A layer that judges a caller stands inside the
//! one that finds it, so what it adds is counted from there.

use axum::Router;
use tollgate::access::{authenticated, scope};
use tollgate::authenticate::AuthenticateLayer;
use tollgate::client_address::{ClientAddressLayer, TrustedProxies};
use tollgate::envelope::{EnvelopeLayer, Errors};
use tollgate::ip_filter::IpFilterLayer;
use tollgate::meter::CreditMeterLayer;
use tollgate::rate_limit::RateLimitLayer;
use tollgate::request_id::RequestIdLayer;
use tollgate::scope_guard::ScopeGuardLayer;
use tower::ServiceBuilder;

use crate::others::{bare, router};
use crate::variant::{Keys, Variant};
use crate::whole::Tenant;

/// Bare axum, and the layers that need nothing.
pub(crate) fn first() -> Vec<Variant> {
    let alone = |name: &str, app: Router| Variant::new(name, app, Keys::Unread);
    let address = ClientAddressLayer::new(TrustedProxies::none());
    vec![
        bare(),
        alone("request id", router().layer(RequestIdLayer::new())),
        alone("client address", router().layer(address)),
        alone(
            "envelope",
            router().layer(EnvelopeLayer::new(Errors::json())),
        ),
    ]
}

/// Address and authenticator together, and each layer that needs them.
pub(crate) async fn inner() -> Vec<Variant> {
    let Tenant { gate, key, .. } = Tenant::new(|builder| builder).await;
    let outer = || {
        ServiceBuilder::new()
            .layer(ClientAddressLayer::new(TrustedProxies::none()))
            .layer(AuthenticateLayer::new(&gate))
    };
    let known = |name: &str, app: Router| Variant::new(name, app, Keys::Same(key.clone()));
    let scopes = ScopeGuardLayer::new(&gate, scope("iocs:read")).unwrap();
    let rates = RateLimitLayer::new(&gate, authenticated()).unwrap();
    let meter = CreditMeterLayer::new(&gate, authenticated().credits(1)).unwrap();
    vec![
        known("client address, authenticator", router().layer(outer())),
        known(
            "IP filter",
            router().layer(outer().layer(IpFilterLayer::new())),
        ),
        known("scope guard", router().layer(outer().layer(scopes))),
        known(
            "rate limiter, two windows",
            router().layer(outer().layer(rates)),
        ),
        known(
            "credit meter, in memory",
            router().layer(outer().layer(meter)),
        ),
    ]
}
