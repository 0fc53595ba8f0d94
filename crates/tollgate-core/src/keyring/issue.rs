//! Making keys: once, if that is asked for.

use std::time::Duration;

use super::edit::check_to_come;
use super::{Issued, Keyring, KeyringError, NewKey};
use crate::change::{Actor, Change, ChangeKind};
use crate::clock::Timestamp;
use crate::id::KeyId;
use crate::record::{ApiKey, KeyStatus};
use crate::secret::KeyDigest;
use crate::store::{KeyInserted, KeyRequest};

/// How long a request that made a key is known.
const KNOWN_FOR: Duration = Duration::from_secs(86_400);

/// What became of a request to issue a key once.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "whoever asks tells each apart")]
pub enum IssuedOnce {
    /// The key, and its secret.
    Now(Box<Issued>),
    /// This request came before, and made this key.
    Before(KeyId),
    /// Another request of this name came before.
    Another,
}

impl Keyring {
    /// Issues a key, once for each name that this actor gives a request in an organization. It is
    /// known for a day, by every process.
    ///
    /// # Errors
    ///
    /// As [`issue`](Self::issue), also for a request that came before.
    pub async fn issue_once(
        &self,
        new: NewKey,
        name: &str,
        fingerprint: [u8; 32],
        actor: &Actor,
    ) -> Result<IssuedOnce, KeyringError> {
        let now = self.now().wall;
        let (issued, digest) = self.made(new, actor, now).await?;
        let request = KeyRequest {
            name: name.to_owned(),
            fingerprint,
            known_until: now.after(KNOWN_FOR),
        };
        let key = &issued.key;
        let told = self.tell(
            ChangeKind::KeyCreated,
            Some(key.id),
            Some(&key.organization),
        );
        let change = Change::by(actor, now);
        let inserted = self
            .store
            .insert_key_once(key.clone(), digest, request, change);
        let inserted = self.ask(inserted).await?;
        drop(told);
        Ok(match inserted {
            KeyInserted::Now => IssuedOnce::Now(Box::new(issued)),
            KeyInserted::Before {
                key,
                fingerprint: said,
            } if said == fingerprint => IssuedOnce::Before(key),
            KeyInserted::Before { .. } => IssuedOnce::Another,
        })
    }

    /// A key that is not stored yet.
    pub(super) async fn made(
        &self,
        new: NewKey,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(Issued, KeyDigest), KeyringError> {
        new.check(&self.catalog, now)?;
        check_to_come(new.expires_at, now)?;
        self.may_grant(&new.permissions)?;
        let organization = self.store.organization(&new.organization);
        if self.ask(organization).await?.is_none() {
            return Err(KeyringError::not_found("organization", &new.organization));
        }
        let generated = self.format.generate(&new.environment)?;
        let digest = self.digester.digest(generated.secret.expose());
        let key = ApiKey {
            id: KeyId::new(now)?,
            organization: new.organization,
            name: new.name,
            creator: actor.as_str().to_owned(),
            environment: new.environment,
            display_prefix: generated.display_prefix,
            permissions: new.permissions,
            ip_rules: new.ip_rules,
            plan: new.plan,
            limits: new.limits,
            not_before: new.not_before,
            expires_at: new.expires_at.or_else(|| self.default_expiry(now)),
            status: KeyStatus::Active,
            created_at: now,
            rotated_at: None,
            revoked_at: None,
            version: 1,
        };
        let secret = generated.secret;
        Ok((Issued { key, secret }, digest))
    }
}
