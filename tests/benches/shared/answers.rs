//! Every way to be answered by the whole stack.

use std::task::{Context, Waker};
use std::time::Duration;

use http::HeaderValue;
use tollgate::CacheSettings;
use tollgate::access::{authenticated, public, scope};
use tollgate::core::change::Actor;
use tollgate::core::clock::Timestamp;
use tollgate::core::ip::IpRules;
use tollgate::core::key_format::KeyFormat;
use tollgate::core::keyring::NewOrganization;
use tower::Service;

use crate::others::handler;
use crate::variant::{Keys, Variant};
use crate::whole::{Tenant, bearer};

/// A key that is cached; one that is read from the memory store each time; and every denial.
pub(crate) async fn answers() -> Vec<Variant> {
    let tenant = Tenant::new(|builder| builder.failures_per_minute(1_000_000_000)).await;
    let mut all = vec![
        crate::others::bare(),
        crate::whole::whole().await,
        miss().await,
    ];
    all.extend(credentials(&tenant));
    all.extend(keys(&tenant).await);
    all.extend(consumption(&tenant).await);
    all
}

async fn miss() -> Variant {
    let Tenant { gate, key, .. } =
        Tenant::new(|builder| builder.cache(CacheSettings::new().with_max_age(Duration::ZERO)))
            .await;
    let routes = gate.routes();
    let routes = routes.get("/iocs", handler, scope("iocs:read").credits(1));
    let service = routes.into_service().unwrap();
    Variant::new("200, key read from memory", service, Keys::Same(key))
}

fn fresh() -> Box<dyn Fn() -> HeaderValue> {
    let format = KeyFormat::new(&tollgate::Catalog::builder().build().unwrap().keys().format);
    Box::new(move || bearer(format.generate("live").unwrap().secret.expose()))
}

/// What is said of the credential alone.
fn credentials(tenant: &Tenant) -> Vec<Variant> {
    let service = tenant
        .gate
        .routes()
        .get("/iocs", handler, scope("iocs:read"))
        .get("/public", handler, public())
        .into_service()
        .unwrap();
    let variant = |name: &str, keys| Variant::new(name, service.clone(), keys);
    let made_up = bearer("sk_live_0123456789abcdefghijABCDEFGHIJ0123456789");
    let unknown = fresh()();
    let two = HeaderValue::from_static("Bearer a, Bearer b");
    vec![
        variant("200, public route", Keys::None).at("/public"),
        variant("404, no such route", Keys::Same(tenant.key.clone()))
            .at("/nowhere")
            .answers(404),
        variant("401, no key", Keys::None).answers(401),
        variant("401, checksum wrong", Keys::Same(made_up)).answers(401),
        variant("401, unknown, remembered", Keys::Same(unknown)).answers(401),
        variant("401, unknown, read from memory", Keys::Fresh(fresh())).answers(401),
        variant("400, two keys", Keys::Same(two)).answers(400),
    ]
}

/// What is said of a key that is known.
async fn keys(tenant: &Tenant) -> Vec<Variant> {
    let (actor, keyring) = (Actor::system(), tenant.gate.keyring());
    let service = tenant
        .gate
        .routes()
        .get("/iocs", handler, scope("iocs:read"))
        .get("/reports", handler, scope("reports:read"))
        .get("/enterprise", handler, authenticated().plan("enterprise"))
        .into_service()
        .unwrap();
    let (revoked_id, revoked) = tenant.issue(|key| key).await;
    keyring.revoke(&revoked_id, &actor).await.unwrap();
    let begin = Timestamp::from_secs(4_000_000_000);
    let (_, early) = tenant.issue(|key| key.not_before(begin)).await;
    let elsewhere = IpRules::allowing("203.0.113.0/24".parse().unwrap());
    let (_, elsewhere) = tenant.issue(|key| key.ip_rules(elsewhere)).await;
    let suspended = tollgate::core::id::OrgId::new("suspended").unwrap();
    let new = NewOrganization::new(suspended.clone(), "pro");
    keyring.create_organization(new, &actor).await.unwrap();
    let new = tollgate::core::keyring::NewKey::new(suspended.clone(), "bench");
    let of_suspended = keyring.issue(new, &actor).await.unwrap();
    keyring.suspend(&suspended, &actor).await.unwrap();
    let of_suspended = bearer(of_suspended.secret.expose());
    let variant = |name: &str, key| Variant::new(name, service.clone(), Keys::Same(key));
    vec![
        variant("401, revoked", revoked).answers(401),
        variant("401, not yet valid", early).answers(401),
        variant("403, organization suspended", of_suspended).answers(403),
        variant("403, address", elsewhere).answers(403),
        variant("403, scope", tenant.key.clone())
            .at("/reports")
            .answers(403),
        variant("403, plan", tenant.key.clone())
            .at("/enterprise")
            .answers(403),
    ]
}

/// What is said to a key that has consumed what it may.
async fn consumption(tenant: &Tenant) -> Vec<Variant> {
    let gate = &tenant.gate;
    let dear = 1 << 61;
    let service = gate
        .routes()
        .get("/one", handler, authenticated().rate_class("one"))
        .get("/quota", handler, authenticated().rate_class("quota"))
        .get(
            "/narrow",
            std::future::pending::<()>,
            authenticated().rate_class("narrow"),
        )
        .get("/dear", handler, authenticated().credits(dear))
        .into_service()
        .unwrap();
    let variant = |name: &str, path| {
        let keys = Keys::Same(tenant.key.clone());
        Variant::new(name, service.clone(), keys).at(path)
    };
    for path in ["/one", "/quota"] {
        let mut first = variant("the one that is allowed", path);
        let request = first.request();
        first.answer(request).await;
    }
    // One request is under way for good.
    let request = variant("the one under way", "/narrow").request();
    let mut under_way = Box::pin(service.clone().call(request));
    let waits = under_way
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    assert!(waits.is_pending());
    std::mem::forget(under_way);
    vec![
        variant("429, rate", "/one").answers(429),
        variant("429, quota", "/quota").answers(429),
        variant("429, under way", "/narrow").answers(429),
        variant("402, credits", "/dear").answers(402),
    ]
}
