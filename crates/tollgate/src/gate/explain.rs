//! What each step would say to a request that nobody makes.

use std::net::IpAddr;
use std::sync::Arc;

use tollgate_core::clock::Moment;
use tollgate_core::deadline::within;
use tollgate_core::demand::{Demand, route_of};
use tollgate_core::error::StoreError;
use tollgate_core::explain::{Explained, Live, Question};
use tollgate_core::keyring::KeyringError;
use tollgate_core::rate::{Take, Tally};
use tollgate_core::record::{ApiKey, KeyRecord};
use tollgate_core::reply::Reply;

use crate::gate::Gate;
use crate::rate_limit::{Rates, subject};
use crate::verified::{Shared, VerifiedKey};

impl Gate {
    /// Tells why a request with the newest secret of this key would be turned away, or what it
    /// would take, on the routes that were mounted: by the key and its organization as they are in
    /// the store, and by what is left of limits and credits now. It takes nothing.
    ///
    /// Rates and requests under way are those that this process counts; quotas and credits are
    /// those of all. A check that a route only observes is told as if it counted.
    ///
    /// ```
    /// use tollgate::Gate;
    /// use tollgate::core::id::KeyId;
    ///
    /// # async fn ask(gate: &Gate, id: KeyId) -> Result<(), Box<dyn std::error::Error>> {
    /// let key = gate.keyring().key(&id).await?;
    /// let explained = gate.explain(key, "GET", "/iocs", None).await?;
    /// for step in explained.explanation.steps {
    ///     println!("{}: {}", step.step, step.because);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if no route answers to that method and path, or a store fails.
    pub async fn explain(
        &self,
        key: ApiKey,
        method: &str,
        path: &str,
        address: Option<IpAddr>,
    ) -> Result<Explained, KeyringError> {
        let route = {
            let routes = self.0.routes.lock();
            route_of(&routes, method, path)?.clone()
        };
        let organization = self.keyring().organization(&key.organization).await?;
        let balance = self.balance(&organization.id).await?;
        let record = KeyRecord {
            key,
            organization,
            secret_valid_until: None,
        };
        let now = self.clock().now();
        // A key on a plan that is not declared is turned away before anything is counted.
        let (catalog, shared) = (self.catalog(), Shared::default());
        let verified = VerifiedKey::resolve(record.clone(), catalog, &shared, now).ok();
        let live = match &verified {
            Some(key) => Some(self.live(key, &route.demand, now).await?),
            None => None,
        };
        let question = Question {
            catalog,
            demand: &route.demand,
            record: &record,
            address,
            now: now.wall,
            balance: Some(balance),
            live: live.as_ref(),
        };
        Ok(Explained {
            route: format!("{} {}", route.method, route.path),
            explanation: question.explain(),
        })
    }

    /// How much is used of what a request would be counted under.
    async fn live(
        &self,
        key: &VerifiedKey,
        demand: &Demand,
        now: Moment,
    ) -> Result<Live, StoreError> {
        let class = demand.rate_class.as_deref().map(Arc::from);
        let (limits, cost) = (key.limits(class.as_deref()), demand.rate_cost);
        let subject = subject(class.as_ref(), key).into_owned();
        let Rates {
            limiter,
            quotas,
            in_flight,
            clock,
            deadline,
        } = self.rates();
        let rates = if limits.rates().is_empty() {
            Tally {
                admitted: true,
                ..Tally::default()
            }
        } else {
            let take = Take {
                subject: &subject,
                limits: limits.rates(),
                cost,
                now,
            };
            let peeked = limiter.peek(&take);
            within(&**clock, *deadline, "the rate limiter", peeked).await?
        };
        let in_flight = in_flight.current(&subject);
        let (quotas, of) = (quotas.clone(), limits.quotas().to_vec());
        let foretold = Reply::later(async move { quotas.foretell(&subject, &of, cost, now).await });
        let quotas = within(&**clock, *deadline, "the quota store", foretold).await?;
        Ok(Live {
            rates,
            quotas,
            in_flight,
        })
    }
}
