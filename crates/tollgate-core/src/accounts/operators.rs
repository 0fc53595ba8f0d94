//! The operators, of whom one stays.

use futures_util::lock::MutexGuard;

use super::{Accounts, Role, User};
use crate::error::StoreError;
use crate::keyring::KeyringError;

/// How many users are read at once.
const PAGE: u32 = 1_000;

impl User {
    /// Whether they run the whole installation: an owner everywhere, who may sign in.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        let mut places = self.memberships.iter();
        !self.disabled && places.any(|of| of.organization.is_none() && of.role == Role::Owner)
    }
}

impl Accounts {
    /// The same accounts in the hands of somebody who means it: they take the last operator too, and
    /// have to make another from outside.
    #[must_use]
    pub fn forced(&self) -> Self {
        Self {
            forced: true,
            ..self.clone()
        }
    }

    /// Refuses to take the last operator. Until the guard is dropped, nobody in this process takes
    /// another: two who took each other at once would leave none.
    pub(super) async fn keep_an_operator(
        &self,
        before: &User,
        after: Option<&User>,
    ) -> Result<Option<MutexGuard<'_, ()>>, KeyringError> {
        if self.forced || !before.is_operator() || after.is_some_and(User::is_operator) {
            return Ok(None);
        }
        let turn = self.operators.lock().await;
        if self.has_another_operator(before).await? {
            return Ok(Some(turn));
        }
        Err(KeyringError::LastOperator(format!(
            "`{}` is the last operator; make somebody else an owner everywhere first",
            before.email
        )))
    }

    async fn has_another_operator(&self, leaving: &User) -> Result<bool, StoreError> {
        let mut after = None;
        loop {
            let users = self.ask(self.store.users(None, after, PAGE)).await?;
            let Some(last) = users.last() else {
                return Ok(false);
            };
            after = Some(last.id);
            let mut others = users.iter().filter(|user| user.id != leaving.id);
            if others.any(User::is_operator) {
                return Ok(true);
            }
        }
    }
}
