//! The process that is killed: it serves the app, and an administrator in it works on the wallets.

use std::io::Write;
use std::sync::LazyLock;
use std::time::Duration;

use tollgate::Gate;
use tollgate::core::change::Actor;
use tollgate::core::clock::{Clock, SystemClock, Timestamp};
use tollgate::core::credits::{EntryKind, Grant, Ledger, Refund};
use tollgate::core::error::{StoreError, StoreErrorKind};
use tollgate_sqlx::SqliteStore;

use super::app::{HOLD_FOR, ORGANIZATIONS, builder, routes, serve};
use super::doubles::BrokenLedger;
use super::told::{Act, Doing};
use crate::support::org;

/// What a line begins with that is no chatter of the harness.
pub(super) const TOLD: &str = "told: ";

pub(super) fn now() -> Timestamp {
    static CLOCK: LazyLock<SystemClock> = LazyLock::new(SystemClock::default);
    CLOCK.now().wall
}

/// A time at which no hold of before has a deadline any more.
pub(super) fn later() -> Timestamp {
    now().after(HOLD_FOR + Duration::from_secs(5))
}

/// What it is started with.
pub(super) struct Orders {
    pub(super) database: String,
    pub(super) ledger: String,
    /// Names the process among those on this file.
    pub(super) life: String,
    /// What an earlier process was asked, and did not acknowledge: a line each.
    pub(super) unsure: String,
}

/// Serves until killed; after half a minute it is tired of waiting.
pub(super) fn work(orders: &Orders) {
    // The harness may have begun a line.
    std::io::stdout().write_all(b"\n").unwrap();
    tell("started");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let began = now();
        let store = SqliteStore::open(&orders.database).await.unwrap();
        // What the process before left open ends before anything is held anew.
        while store.expire(later(), 5).await.unwrap() > 0 {}
        tell("swept");
        let mut builder = builder(store.clone()).charge_deadline(Duration::from_secs(10));
        if orders.ledger != "sound" {
            builder = builder.ledger(BrokenLedger::new(store.clone(), &orders.ledger));
        }
        let gate = builder.build().await.unwrap();
        let address = serve(routes(&gate, |request| tell(&format!("began {request}")))).await;
        tell(&format!("listening {address}"));
        for line in orders.unsure.lines() {
            act(&gate, &line.parse().unwrap()).await;
        }
        for n in 0.. {
            let ended = administer(&gate, &store, began, &format!("{}-{n}", orders.life)).await;
            if let Err(error) = ended {
                tell(&format!("failed {error}"));
            }
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..3))).await;
            if now() > began.after(Duration::from_secs(30)) {
                return;
            }
        }
    });
}

/// Writes one line at once: it is told whole or not at all.
fn tell(line: &str) {
    let line = format!("{TOLD}{line}\n");
    let mut stdout = std::io::stdout().lock();
    // Nobody listens any more once the parent is gone.
    if stdout.write_all(line.as_bytes()).is_err() || stdout.flush().is_err() {
        std::process::exit(2);
    }
}

/// One thing that an administrator does, under a name of its own.
async fn administer(
    gate: &Gate,
    store: &SqliteStore,
    began: Timestamp,
    name: &str,
) -> Result<(), StoreError> {
    let organization = *fastrand::choice(&ORGANIZATIONS).unwrap();
    let doing = match fastrand::u8(0..8) {
        0..3 => Doing::Grant {
            credits: fastrand::u64(1..=40),
            lapses: fastrand::bool(),
        },
        3..5 => {
            let entries = gate.credits().entries(&org(organization), None, 30).await?;
            let charges = entries.iter().filter(|it| it.kind == EntryKind::Charge);
            let Some(charge) = fastrand::choice(charges.collect::<Vec<_>>()) else {
                return Ok(());
            };
            Doing::Refund {
                hold: charge.hold.unwrap(),
                credits: fastrand::u64(1..=2),
            }
        }
        5 => Doing::Withdraw {
            credits: fastrand::u64(1..=5),
        },
        6 => {
            // What ended in this life stays, for whoever looks when it is over.
            store.forget(began, now(), 20).await?;
            return Ok(());
        }
        _ => {
            store.expire(now(), 100).await?;
            return Ok(());
        }
    };
    let asked = Act {
        name: name.to_owned(),
        organization: organization.to_owned(),
        doing,
    };
    act(gate, &asked).await;
    // Whoever asks again must not get it again.
    if !matches!(doing, Doing::Withdraw { .. }) && fastrand::bool() {
        act(gate, &asked).await;
    }
    Ok(())
}

/// Says what it is about to do, does it, and says whether that was done.
async fn act(gate: &Gate, asked: &Act) {
    tell(&format!("try {asked}"));
    let (organization, credits) = (org(&asked.organization), gate.credits());
    let actor = Actor::named(&asked.name);
    let refused = |error: &StoreError| {
        matches!(
            error.kind(),
            StoreErrorKind::Conflict | StoreErrorKind::NotFound
        )
    };
    let done = match asked.doing {
        Doing::Grant {
            credits: given,
            lapses,
        } => {
            let mut grant = Grant::new(organization, given).reference(&asked.name);
            if lapses {
                grant = grant.expires_at(now().after(Duration::from_secs(1)));
            }
            let granted = credits.grant(grant, &actor).await;
            granted.map(drop).map_err(|error| error.to_string())
        }
        Doing::Refund {
            hold,
            credits: back,
        } => {
            let refund = Refund {
                organization,
                hold,
                credits: back,
                reference: asked.name.clone(),
            };
            match credits.refund(refund, &actor).await {
                Err(error) if refused(&error) => return tell(&format!("refused {}", asked.name)),
                refunded => refunded.map(drop).map_err(|error| error.to_string()),
            }
        }
        Doing::Withdraw { credits: taken } => {
            match credits.withdraw(&organization, taken, &actor).await {
                Err(error) if refused(&error) => return tell(&format!("refused {}", asked.name)),
                withdrawn => withdrawn.map(drop).map_err(|error| error.to_string()),
            }
        }
    };
    match done {
        Ok(()) => tell(&format!("done {}", asked.name)),
        Err(error) => tell(&format!("failed {asked}: {error}")),
    }
}
