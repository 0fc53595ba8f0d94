//! The table: how to bring each fault about, and what it must lead to.

use std::time::Duration;

use tollgate::DenialKind;
use tollgate::core::ip::IpRules;
use tollgate::core::keyring::NewKey;
use tollgate_testkit::clock::START;
use tollgate_testkit::faults::{Fault, Operation};

use super::{Case, INVALID};
use crate::support::{Answer, Door, HOUR, TestApp, TestKey, actor, org, unknown_secret};

const BEARER: &str = r#"Bearer realm="api""#;
const AMBIGUOUS: &str = r#"Bearer realm="api", error="invalid_request""#;
const SCOPE: &str = r#"Bearer realm="api", error="insufficient_scope", scope="iocs:write""#;
const CHAT: &str = r#"Bearer realm="api", error="insufficient_scope", scope="ai:chat""#;
const COOKIE: &str = r#"Cookie realm="api""#;

/// Collects what every fault of the table led to.
pub(super) struct Table<'a> {
    pub(super) app: &'a TestApp,
    pub(super) cases: Vec<Case>,
}

impl Table<'_> {
    fn add(&mut self, fault: &'static str, answer: Answer, kind: DenialKind) -> &mut Case {
        self.cases.push(Case {
            fault,
            answer,
            kind,
            challenge: None,
            retry_after: None,
            identified: false,
        });
        self.cases.last_mut().unwrap()
    }

    fn add_identified(
        &mut self,
        fault: &'static str,
        answer: Answer,
        kind: DenialKind,
    ) -> &mut Case {
        let case = self.add(fault, answer, kind);
        case.identified = true;
        case
    }

    async fn get(&self, path: &'static str, key: &TestKey) -> Answer {
        self.app.get(path).key(key).send().await
    }

    pub(super) async fn credentials(&mut self) {
        let app = self.app;
        let good = app.key("acme", []).await;
        let answer = app.get("/any").send().await;
        self.add("no key", answer, DenialKind::MissingCredential)
            .challenge = Some(BEARER);
        let answer = app.post("/iocs").send().await;
        self.add("no key, scope", answer, DenialKind::MissingCredential)
            .challenge = Some(BEARER);

        let (short, long) = (&good.secret[..20], "sk_live_".repeat(600));
        let mut wrong_sum = good.secret.clone();
        let last = if wrong_sum.pop() == Some('0') {
            '1'
        } else {
            '0'
        };
        wrong_sum.push(last);
        for (fault, authorization) in [
            ("empty", String::new()),
            ("no token", "Bearer".to_owned()),
            ("another scheme", "Basic dXNlcjpwYXNz".to_owned()),
            ("no scheme", good.secret.clone()),
            ("two spaces", format!("Bearer  {}", good.secret)),
            ("another vendor", format!("Bearer op{}", &good.secret[2..])),
            ("cut off", format!("Bearer {short}")),
            ("wrong checksum", format!("Bearer {wrong_sum}")),
            ("something after it", format!("Bearer {}x", good.secret)),
            ("far too long", format!("Bearer {long}")),
            ("nobody's", format!("Bearer {}", unknown_secret())),
        ] {
            for path in ["/any", "/maybe"] {
                let call = app.get(path).header("authorization", &*authorization);
                let answer = call.send().await;
                self.add(fault, answer, DenialKind::InvalidCredential)
                    .challenge = Some(INVALID);
            }
        }
        let answer = app
            .get("/any")
            .header("x-api-key", &b"\xff\xfe"[..])
            .send()
            .await;
        self.add("unreadable", answer, DenialKind::InvalidCredential)
            .challenge = Some(INVALID);

        let twice = app
            .get("/any")
            .key(&good)
            .header("x-api-key", &*good.secret);
        let answer = twice.send().await;
        self.add("two places", answer, DenialKind::AmbiguousCredential)
            .challenge = Some(AMBIGUOUS);
        let answer = app.get("/maybe").key(&good).key(&good).send().await;
        self.add("the same twice", answer, DenialKind::AmbiguousCredential)
            .challenge = Some(AMBIGUOUS);
    }

    pub(super) async fn states(&mut self) {
        for (fault, key, _) in faulty_keys(self.app).await {
            let answer = self.get("/any", &key).await;
            self.add(fault, answer, DenialKind::InvalidCredential)
                .challenge = Some(INVALID);
        }
        let (app, keyring) = (self.app, self.app.gate.keyring());
        app.organization("banned", "free").await;
        let key = app.key("banned", []).await;
        keyring.suspend(&org("banned"), &actor()).await.unwrap();
        let answer = self.get("/any", &key).await;
        self.add_identified("suspended", answer, DenialKind::OrganizationSuspended);
        let answer = self.get("/billing", &key).await;
        self.add_identified(
            "suspended, billing",
            answer,
            DenialKind::OrganizationSuspended,
        );

        app.organization("broke", "free").await;
        let key = app.key("broke", []).await;
        keyring
            .restrict_billing(&org("broke"), &actor())
            .await
            .unwrap();
        let answer = self.get("/any", &key).await;
        self.add_identified("restricted", answer, DenialKind::BillingRestricted);
        assert_eq!(self.get("/billing", &key).await.status, 200);
    }

    pub(super) async fn addresses(&mut self) {
        let app = self.app;
        let list = |nets: &str| nets.parse().unwrap();
        let allow = IpRules::allowing(list("203.0.113.0/24"));
        let deny = IpRules::default().with_deny(list("203.0.113.7"));
        let allowed = app
            .key_with("acme", |key| key.ip_rules(allow.clone()))
            .await;
        let denied = app.key_with("acme", |key| key.ip_rules(deny)).await;
        app.organization("fenced", "free").await;
        app.gate
            .keyring()
            .set_ip_rules(&org("fenced"), &allow, &actor())
            .await
            .unwrap();
        let fenced = app.key("fenced", []).await;
        for (fault, key, from, at_home) in [
            (
                "not on the allow list",
                &allowed,
                "203.0.114.1",
                "203.0.113.1",
            ),
            ("on the deny list", &denied, "203.0.113.7", "203.0.113.8"),
            (
                "not on the organization's",
                &fenced,
                "2001:db8::1",
                "203.0.113.1",
            ),
        ] {
            let answer = app.get("/any").key(key).from(from).send().await;
            self.add_identified(fault, answer, DenialKind::IpNotAllowed);
            let call = app.get("/any").key(key).from(at_home);
            assert_eq!(call.status().await, 200, "{fault}");
        }
    }

    pub(super) async fn permissions(&mut self) {
        let app = self.app;
        let reader = app.key("acme", ["iocs:read"]).await;
        let chatter = app.key("acme", ["ai:chat"]).await;
        let answer = app.post("/iocs").key(&reader).send().await;
        let case = self.add_identified("no scope", answer, DenialKind::InsufficientPermissions);
        case.challenge = Some(SCOPE);
        // It lacks the scope and the plan; the scope is judged first.
        let answer = app.post("/chat").key(&reader).send().await;
        let case = self.add_identified("scope first", answer, DenialKind::InsufficientPermissions);
        case.challenge = Some(CHAT);
        let answer = app.post("/chat").key(&chatter).send().await;
        self.add_identified("the scope's plan", answer, DenialKind::PlanRequired);
        let answer = self.get("/pro", &reader).await;
        self.add_identified("the route's plan", answer, DenialKind::PlanRequired);
        let answer = self.get("/stix", &reader).await;
        self.add_identified("no feature", answer, DenialKind::EntitlementRequired);
    }

    pub(super) async fn limits(&mut self, door: &Door) {
        let app = self.app;
        app.organization("busy", "free").await;
        let key = app.key("busy", []).await;
        for (fault, path, fits, kind, retry_after) in [
            ("rate", "/any", 5, DenialKind::RateLimited, "12"),
            ("exact rate", "/exports", 2, DenialKind::RateLimited, "61"),
            ("quota", "/daily", 3, DenialKind::QuotaExceeded, "86400"),
        ] {
            for _ in 0..fits {
                assert_eq!(self.get(path, &key).await.status, 200, "{fault}");
            }
            let answer = self.get(path, &key).await;
            self.add_identified(fault, answer, kind).retry_after = Some(retry_after);
        }
        let inside = app.get("/narrow").key(&key).send();
        let refused = async {
            door.knocked().await;
            let answer = self.get("/narrow", &key).await;
            door.open();
            answer
        };
        let (inside, refused) = tokio::join!(inside, refused);
        assert_eq!(inside.status, 200);
        let case = self.add_identified("too many", refused, DenialKind::TooManyInFlight);
        case.retry_after = Some("1");
    }

    pub(super) async fn money_and_stores(&mut self) {
        let app = self.app;
        app.organization("poor", "free").await;
        app.grant("poor", 6).await;
        let key = app.key("poor", []).await;
        let answer = self.get("/paid", &key).await;
        self.add_identified("6 of 7 credits", answer, DenialKind::InsufficientCredits);
        app.faults.set(Operation::Hold, Fault::Fail);
        let answer = self.get("/paid", &key).await;
        self.add_identified("no ledger", answer, DenialKind::Unavailable)
            .retry_after = Some("1");
        app.faults.set(Operation::Quota, Fault::Fail);
        let answer = self.get("/daily", &key).await;
        self.add_identified("no quotas", answer, DenialKind::Unavailable)
            .retry_after = Some("1");
        app.faults.set_all(Fault::None);

        let uncached = app.key("poor", []).await;
        app.faults.set(Operation::Find, Fault::Fail);
        let answer = self.get("/any", &uncached).await;
        self.add("no key store", answer, DenialKind::Unavailable)
            .retry_after = Some("1");
        app.faults.set_all(Fault::None);
        assert_eq!(
            self.get("/any", &uncached).await.status,
            200,
            "errors are not cached"
        );
    }

    pub(super) async fn repeats(&mut self, door: &Door) {
        let app = self.app;
        app.organization("again", "pro").await;
        let key = app.key("again", []).await;
        let post = async |path: &str, name: &'static str, body: &str| {
            let call = app.post(path).key(&key).header("idempotency-key", name);
            call.body(body).send().await
        };
        let answer = app.post("/once").key(&key).send().await;
        let kind = DenialKind::IdempotencyKeyRequired;
        self.add_identified("no idempotency key", answer, kind);
        let answer = post("/once", "two words", "").await;
        self.add_identified("two words", answer, DenialKind::InvalidIdempotencyKey);
        assert_eq!(post("/once", "k", "one").await.status, 200);
        let answer = post("/once", "k", "two").await;
        let kind = DenialKind::IdempotencyKeyReused;
        self.add_identified("another body", answer, kind);
        assert_eq!(post("/once/large", "k", "").await.status, 200);
        let answer = post("/once/large", "k", "").await;
        self.add_identified("a large outcome", answer, DenialKind::OutcomeNotStored);
        let second = async {
            door.knocked().await;
            let answer = post("/once/slow", "k", "").await;
            door.open();
            answer
        };
        let (first, second) = tokio::join!(post("/once/slow", "k", ""), second);
        assert_eq!(first.status, 200);
        let case = self.add_identified("meanwhile", second, DenialKind::RequestInProgress);
        case.retry_after = Some("1");
    }

    pub(super) async fn sessions(&mut self) {
        let app = self.app;
        let key = app.key("umbra", []).await;
        let good = ("cookie", "session=alice");
        let answer = app.get("/admin").send().await;
        self.add("no session", answer, DenialKind::SessionRequired)
            .challenge = Some(COOKIE);
        let call = app.get("/admin").header("cookie", "session=mallory");
        let answer = call.send().await;
        self.add("a bad session", answer, DenialKind::SessionRequired)
            .challenge = Some(COOKIE);
        for (fault, bearer) in [
            ("a key beside a session", format!("Bearer {}", key.secret)),
            ("a bad key beside a session", "Bearer x".to_owned()),
        ] {
            let call = app.get("/admin").header(good.0, good.1);
            let answer = call.header("authorization", bearer).send().await;
            self.add(fault, answer, DenialKind::SessionRequired)
                .challenge = Some(COOKIE);
        }
        let answer = app.get("/admin").header(good.0, good.1).send().await;
        assert_eq!((answer.status, answer.text()), (200, "alice"));
    }
}

/// Keys that were good once, or will be, and what is told of them where the app wants that.
pub(super) async fn faulty_keys(app: &TestApp) -> Vec<(&'static str, TestKey, DenialKind)> {
    let keyring = app.gate.keyring();
    let key = async |edit: fn(NewKey) -> NewKey| app.key_with("acme", edit).await;
    let revoked = key(|key| key).await;
    keyring.revoke(&revoked.id, &actor()).await.unwrap();
    let disabled = key(|key| key).await;
    keyring.disable(&disabled.id, &actor()).await.unwrap();
    let rotated = key(|key| key).await;
    keyring
        .rotate(&rotated.id, Duration::ZERO, &actor())
        .await
        .unwrap();
    let expired = key(|key| key.expires_at(START.after(Duration::from_secs(1)))).await;
    let early = key(|key| key.not_before(START.after(HOUR))).await;
    app.clock.advance(Duration::from_secs(1));
    vec![
        ("revoked", revoked, DenialKind::RevokedKey),
        ("disabled", disabled, DenialKind::DisabledKey),
        ("rotated away", rotated, DenialKind::ExpiredKey),
        ("expired", expired, DenialKind::ExpiredKey),
        ("not valid yet", early, DenialKind::KeyNotYetValid),
    ]
}
