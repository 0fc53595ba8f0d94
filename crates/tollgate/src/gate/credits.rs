//! What an app does with the credits of its organizations.

use tollgate_core::change::{Actor, Change};
use tollgate_core::credits::{Balance, Entry, Grant, Refund};
use tollgate_core::deadline::within;
use tollgate_core::error::StoreError;
use tollgate_core::id::OrgId;
use tollgate_core::keyring::KeyringError;
use tollgate_core::reply::Reply;

use crate::gate::Gate;

/// The credits of organizations. From [`Gate::credits`].
///
/// ```
/// use tollgate::Gate;
/// use tollgate::core::change::Actor;
/// use tollgate::core::credits::Grant;
/// use tollgate::core::id::OrgId;
///
/// # async fn paid(gate: &Gate) -> Result<(), Box<dyn std::error::Error>> {
/// let acme = OrgId::new("acme")?;
/// // A payment that is told twice is granted once.
/// let pack = Grant::new(acme.clone(), 500).reference("payment-4711");
/// gate.credits().grant(pack, &Actor::system()).await?;
/// for entry in gate.credits().entries(&acme, None, 20).await? {
///     println!("{:?} {:+} -> {}", entry.kind, entry.credits, entry.balance);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Credits<'a>(pub(super) &'a Gate);

impl Credits<'_> {
    /// Gives credits, once for each reference.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such organization, or a store fails.
    pub async fn grant(self, grant: Grant, actor: &Actor) -> Result<Balance, KeyringError> {
        self.0.keyring().organization(&grant.organization).await?;
        let change = self.change(actor);
        Ok(self.ask(self.0.till().ledger.grant(grant, change)).await?)
    }

    /// Takes granted credits back that are neither spent nor held.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if there are not so many, or the ledger fails.
    pub async fn withdraw(
        self,
        organization: &OrgId,
        credits: u64,
        actor: &Actor,
    ) -> Result<Balance, StoreError> {
        let change = self.change(actor);
        let asked = self.0.till().ledger.withdraw(organization, credits, change);
        self.ask(asked).await
    }

    /// Gives back what a request was charged, once for each reference. Entries name its hold.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the organization was charged no such hold, or less than that is left of
    /// it, or the ledger fails.
    pub async fn refund(self, refund: Refund, actor: &Actor) -> Result<Balance, StoreError> {
        let change = self.change(actor);
        self.ask(self.0.till().ledger.refund(refund, change)).await
    }

    /// Reads a wallet as the next request would find it, this month's allowance included.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if a store fails.
    pub async fn balance(self, organization: &OrgId) -> Result<Balance, StoreError> {
        let now = self.0.clock().now().wall;
        let plan = match self.0.keyring().organization(organization).await {
            Ok(found) => self.0.catalog().plan(&found.plan),
            Err(KeyringError::Store(error)) => return Err(error),
            Err(_) => None,
        };
        let allowance = plan.and_then(|plan| plan.allowance(now));
        let asked = self.0.till().ledger.balance(organization, now, allowance);
        self.ask(asked).await
    }

    /// Up to `limit` entries of an organization's books, the newest first, older than `before`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the ledger fails.
    pub async fn entries(
        self,
        organization: &OrgId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let asked = self.0.till().ledger.entries(organization, before, limit);
        self.ask(asked).await
    }

    fn change(self, actor: &Actor) -> Change {
        Change::by(actor, self.0.clock().now().wall)
    }

    async fn ask<T: Send + 'static>(self, reply: Reply<T>) -> Result<T, StoreError> {
        within(self.0.clock(), self.0.till().deadline, "the ledger", reply).await
    }
}
