//! The app that runs out of room, and its clients.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tollgate::Gate;
use tollgate::core::clock::{Clock, Steady, SystemClock};
use tollgate::core::credits::Balance;
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate_sqlx::SqliteStore;

use super::{CREDITS, HANGS};
use crate::crash::app;
use crate::crash::client::{Kind, Sent, open, send};
use crate::support::{actor, org};

/// The app, and keys to it that were never used.
pub(super) struct Site {
    pub(super) gate: Gate,
    address: SocketAddr,
    secrets: Vec<String>,
    names: AtomicU64,
    clock: SystemClock,
}

impl Site {
    pub(super) async fn new(store: SqliteStore) -> Self {
        // A hold lasts longer than the disk is full, so that no charge is given up.
        let builder = app::builder(store).hold_for(Duration::from_secs(60));
        // Nor because others keep the machine busy: a full disk is told at once.
        let builder = builder.charge_deadline(Duration::from_secs(5));
        let gate = builder.build().await.unwrap();
        let keyring = gate.keyring();
        let (acme, actor) = (org("acme"), actor());
        let new = NewOrganization::new(acme.clone(), "paid");
        keyring.create_organization(new, &actor).await.unwrap();
        let mut secrets = Vec::new();
        for _ in 0..16 {
            let new = NewKey::new(acme.clone(), "a key");
            let issued = keyring.issue(new, &actor).await.unwrap();
            secrets.push(issued.secret.expose().to_owned());
        }
        gate.grant_credits(&acme, CREDITS, &actor).await.unwrap();
        let address = app::serve(app::routes(&gate, |_| ())).await;
        Self {
            gate,
            address,
            secrets,
            names: AtomicU64::new(0),
            clock: SystemClock::default(),
        }
    }

    pub(super) fn now(&self) -> Steady {
        self.clock.now().steady
    }

    /// Asks with the first key.
    pub(super) async fn ask(&self, kind: Kind) -> Sent {
        self.ask_with(0, kind, None).await
    }

    /// Asks with a key, and with an idempotency key where the route wants one.
    pub(super) async fn ask_with(&self, key: usize, kind: Kind, again: Option<&Sent>) -> Sent {
        let n = self.names.fetch_add(1, Ordering::SeqCst);
        let new = (kind == Kind::Once).then(|| format!("key-{n}"));
        let mut sent = Sent {
            id: format!("request-{n}"),
            organization: "acme",
            kind,
            idempotency_key: again.map_or(new, |it| it.idempotency_key.clone()),
            again: again.is_some(),
            answer: None,
        };
        let mut sender = open(self.address).await.unwrap();
        let answered = send(&mut sender, &self.secrets[key], &mut sent);
        let answered = tokio::time::timeout(HANGS, answered).await;
        answered
            .unwrap_or_else(|_| panic!("{sent:?} hangs"))
            .unwrap();
        sent
    }

    pub(super) async fn balance(&self) -> Balance {
        let balance = self.gate.credits().balance(&org("acme")).await.unwrap();
        assert_eq!(balance.granted, CREDITS);
        balance
    }

    /// What costs nothing goes on, with keys that were seen and with those that never were.
    pub(super) async fn reads_go_on(&self, never_seen: usize) {
        for key in [0, never_seen] {
            let sent = self.ask_with(key, Kind::Free, None).await;
            assert_eq!(status(&sent), 200, "{sent:?}");
        }
        let credits = self.gate.credits();
        let newest = credits.entries(&org("acme"), None, 1).await.unwrap();
        assert_eq!(newest[0].balance, self.balance().await.funds());
    }
}

pub(super) fn status(sent: &Sent) -> u16 {
    sent.answer.as_ref().unwrap().status
}

pub(super) fn body(sent: &Sent) -> &str {
    &sent.answer.as_ref().unwrap().body
}

/// Whether it was refused, as it should be: a client is to come again, not to drop its key.
pub(super) fn refused(sent: &Sent) -> bool {
    let answer = sent.answer.as_ref().unwrap();
    let good = [200, 500].contains(&answer.status);
    let code = answer.body.contains("\"service_unavailable\"");
    let told = answer.status == 503 && answer.retry_after && code;
    assert!(good || told, "{sent:?}");
    told
}
