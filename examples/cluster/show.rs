//! What nodes do together, with figures.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::Method;
use tokio::task::JoinSet;
use tollgate::Gate;
use tollgate::core::change::Actor;
use tollgate::core::id::OrgId;
use tollgate::core::keyring::{Issued, NewKey, NewOrganization};
use tollgate::core::secret::Secret;
use tollgate_examples::failure::Failure;
use uuid::Uuid;

use crate::client::Client;
use crate::node::{REPORT, REPORT_CREDITS};
use crate::round_robin::RoundRobin;

const STATISTICS: &str = "/api/v1/stats";
const SCOPE: &str = "read:iocs";

/// What the app's free plan admits in a minute, and how often more is asked of each node.
const FREE_PER_MINUTE: u64 = 10;
const FREE_ASKED: u64 = 20;

const CREDITS: u64 = 100;
const REPORTS_ASKED: u64 = 150;

/// How many refusals of revoked keys there may be: the app lets an address have 60 a minute.
const REFUSALS: usize = 40;
const MOST_REVOKED: usize = 10;
/// Later than a cache's maximum age, which is the bound when the feed is dead.
const PATIENCE: Duration = Duration::from_secs(15);
const BETWEEN: Duration = Duration::from_micros(500);

/// Organizations and keys that were made for it.
#[derive(Debug)]
pub(crate) struct Show<'a> {
    gate: &'a Gate,
    nodes: &'a [SocketAddr],
    round_robin: &'a RoundRobin,
    address: SocketAddr,
    paying: OrgId,
    free: Issued,
    pro: Issued,
    actor: Actor,
}

impl<'a> Show<'a> {
    /// Makes the organizations and their keys. A database that is kept gets others each time.
    pub(crate) async fn prepare(
        gate: &'a Gate,
        nodes: &'a [SocketAddr],
        round_robin: &'a RoundRobin,
    ) -> Result<Self, Failure> {
        let actor = Actor::named("example");
        let keyring = gate.keyring();
        let number = Uuid::new_v4().simple();
        let organization = async |plan: &str| {
            let id = OrgId::new(&format!("cluster-{plan}-{number}"))?;
            let new = NewOrganization::new(id.clone(), plan);
            keyring.create_organization(new, &actor).await?;
            let new = NewKey::new(id.clone(), "Cluster").scopes([SCOPE]);
            Ok::<_, Failure>((id, keyring.issue(new, &actor).await?))
        };
        let (_, free) = organization("free").await?;
        let (paying, pro) = organization("pro").await?;
        gate.grant_credits(&paying, CREDITS, &actor).await?;
        let address = round_robin.address();
        let address = address.ok_or_else(|| Failure::new("the round-robin has no address"))?;
        Ok(Self {
            gate,
            nodes,
            round_robin,
            address,
            paying,
            free,
            pro,
            actor,
        })
    }

    /// A key on the pro plan.
    pub(crate) const fn secret(&self) -> &Secret {
        &self.pro.secret
    }

    /// Runs all of it, and says what came of it.
    pub(crate) async fn run(&self) -> Result<(), Failure> {
        say(format_args!(
            "{} nodes run over one database and one Redis, behind http://{}.\n",
            self.nodes.len(),
            self.address
        ))?;
        self.limits().await?;
        self.credits().await?;
        self.revocation().await
    }

    async fn limits(&self) -> Result<(), Failure> {
        let before = self.round_robin.given();
        let asked = FREE_ASKED.saturating_mul(u64::try_from(self.nodes.len())?);
        let client = Client::of_many(self.address, &self.free.secret);
        let answers = client.ask_often(Method::GET, STATISTICS, asked, 429);
        let answers = answers.await?;
        say(format_args!(
            "Shared limits: the plan `free` has {FREE_PER_MINUTE} requests a minute for a key. {asked} were \
             sent, and {} to the nodes:\n  {} were admitted (200), {} were over the rate (429), {} had \
             another answer.\n",
            shares(&before, &self.round_robin.given()),
            answers.good,
            answers.refused,
            answers.other,
        ))
    }

    async fn credits(&self) -> Result<(), Failure> {
        let before = self.round_robin.given();
        let client = Client::of_many(self.address, &self.pro.secret);
        let answers = client.ask_often(Method::POST, REPORT, REPORTS_ASKED, 402);
        let answers = answers.await?;
        // A charge is settled once its answer is on its way.
        let mut balance = self.gate.balance(&self.paying).await?;
        let began = self.gate.clock().now().steady;
        while balance.held > 0 && self.gate.clock().now().steady.since(began) < PATIENCE {
            tokio::time::sleep(BETWEEN).await;
            balance = self.gate.balance(&self.paying).await?;
        }
        say(format_args!(
            "Shared credits: the organization was granted {CREDITS}, and a report costs {REPORT_CREDITS}. \
             {REPORTS_ASKED} were asked for, {} of the nodes:\n  {} were made (200), {} were over the \
             credits (402), {} had another answer; {} credits are left.\n",
            shares(&before, &self.round_robin.given()),
            answers.good,
            answers.refused,
            answers.other,
            balance.available(),
        ))
    }

    async fn revocation(&self) -> Result<(), Failure> {
        let trials = REFUSALS.checked_div(self.nodes.len()).unwrap_or(1);
        let trials = trials.clamp(1, MOST_REVOKED);
        let mut took = Vec::new();
        for _ in 0..trials {
            took.push(self.revoke_one().await?);
        }
        took.sort_unstable();
        let median = took.get(trials.div_euclid(2)).copied();
        let slowest = took.last().copied();
        say(format_args!(
            "Revocation: {trials} keys that all {} nodes had just admitted were revoked, one after the other, \
             by a process that is none of them:\n  every node refused (401) {:.1} ms later in the median, \
             {:.1} ms at most.\n",
            self.nodes.len(),
            milliseconds(median),
            milliseconds(slowest),
        ))
    }

    /// How long after a key was revoked the last node refused it.
    async fn revoke_one(&self) -> Result<Duration, Failure> {
        let keyring = self.gate.keyring();
        let new = NewKey::new(self.paying.clone(), "Lost laptop").scopes([SCOPE]);
        let issued = keyring.issue(new, &self.actor).await?;
        let mut asking = JoinSet::new();
        let mut clients = Vec::new();
        for &node in self.nodes {
            let client = Client::new(node, &issued.secret);
            let status = client.ask(Method::GET, STATISTICS).await?;
            if status != 200 {
                let sentence = format!("a node answers {status} to a new key, and not 200");
                return Err(Failure::new(sentence));
            }
            clients.push(client);
        }
        keyring.revoke(&issued.key.id, &self.actor).await?;
        let revoked = self.gate.clock().now().steady;
        for client in clients {
            let refused = async move {
                while client.ask_once(Method::GET, STATISTICS).await? != 401 {
                    tokio::time::sleep(BETWEEN).await;
                }
                Ok::<_, Failure>(())
            };
            asking.spawn(tokio::time::timeout(PATIENCE, refused));
        }
        while let Some(refused) = asking.join_next().await {
            refused?.map_err(|_| Failure::new("a node still admits a key that was revoked"))??;
        }
        Ok(self.gate.clock().now().steady.since(revoked))
    }
}

/// How many connections each node was given meanwhile: `20 + 20 + 20`.
fn shares(before: &[u64], after: &[u64]) -> String {
    let given = before.iter().zip(after);
    let given = given.map(|(before, after)| after.saturating_sub(*before).to_string());
    given.collect::<Vec<_>>().join(" + ")
}

fn milliseconds(duration: Option<Duration>) -> f64 {
    duration.unwrap_or_default().as_secs_f64() * 1e3
}

fn say(text: std::fmt::Arguments<'_>) -> Result<(), Failure> {
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}
