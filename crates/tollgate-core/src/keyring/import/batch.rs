//! The records of a batch, part by part: checked, and made ready to be written.

use std::future::{Future, poll_fn};
use std::task::Poll;

use super::{ForeignKey, Import, RefusedKey};
use crate::clock::Timestamp;
use crate::id::KeyId;
use crate::invalid::Invalid;
use crate::keyring::{Keyring, KeyringError};
use crate::record::{ApiKey, KeyStatus};
use crate::reply::Reply;
use crate::secret::{Digester, KeyDigest};

/// After so many records, what goes on beside has a turn.
const TURN: usize = 200;

/// Records that were not looked at yet, in the order of their digests.
pub(super) struct Batch {
    order: std::vec::IntoIter<(KeyDigest, usize)>,
    records: Vec<Option<ForeignKey>>,
    /// The digest of the last one that was good.
    last: Option<KeyDigest>,
}

/// A part of a batch.
pub(super) struct Part {
    /// The digests, and the places of their records in the batch.
    pub(super) digests: Vec<(KeyDigest, usize)>,
    /// Writes the part, or in a dry run reads, and says which of the digests exist already.
    pub(super) known: Reply<Vec<KeyDigest>>,
}

impl Batch {
    pub(super) fn new(records: Vec<ForeignKey>, digester: &Digester) -> Self {
        let digests = records.iter().enumerate();
        let mut order: Vec<_> = digests
            .map(|(index, record)| (digester.of_sha256(&record.sha256), index))
            .collect();
        // Of two that are the same, the first is the one.
        order.sort_unstable_by(|(one, first), (other, second)| {
            one.as_bytes().cmp(other.as_bytes()).then(first.cmp(second))
        });
        Self {
            order: order.into_iter(),
            records: records.into_iter().map(Some).collect(),
            last: None,
        }
    }

    fn next(&mut self) -> Option<(KeyDigest, usize, ForeignKey)> {
        loop {
            let (digest, index) = self.order.next()?;
            if let Some(record) = self.records.get_mut(index).and_then(Option::take) {
                return Some((digest, index, record));
            }
        }
    }
}

impl Import {
    /// Checks the next records until there are enough good ones for a step. None are left if there
    /// is no part.
    pub(super) async fn part(
        &mut self,
        batch: &mut Batch,
        refused: &mut Vec<RefusedKey>,
    ) -> Result<Option<Part>, KeyringError> {
        let now = self.now();
        let mut digests = Vec::with_capacity(self.pace.step());
        let mut records = Vec::with_capacity(self.pace.step());
        while digests.len() < self.pace.step() {
            let Some((digest, index, record)) = batch.next() else {
                break;
            };
            if index.is_multiple_of(TURN) {
                turn().await;
            }
            if let Err(error) = self.check(&record, now).await? {
                refused.push(RefusedKey { index, error });
            } else if batch.last.replace(digest) == Some(digest) || self.seen.contains(&digest) {
                refused.push(RefusedKey::exists(index));
            } else {
                digests.push((digest, index));
                records.push(record);
            }
        }
        if digests.is_empty() {
            return Ok(None);
        }
        let of = digests.iter().map(|(digest, _)| *digest);
        let known = if let Some(id) = self.id {
            let keys = self.keyring.foreign_keys(records, self.actor.as_str(), now);
            self.store.stage_keys(id, keys?.zip(of).collect(), now)
        } else {
            self.seen.extend(of.clone());
            self.store.known_digests(of.collect())
        };
        Ok(Some(Part { digests, known }))
    }

    /// The outer result is the store's, the inner one the record's.
    async fn check(
        &mut self,
        record: &ForeignKey,
        now: Timestamp,
    ) -> Result<Result<(), KeyringError>, KeyringError> {
        let ForeignKey {
            new,
            display_prefix,
            ..
        } = record;
        let checked = new
            .check(&self.keyring.catalog, now)
            .and_then(|()| self.keyring.format.check_environment(&new.environment))
            .and_then(|()| check_display_prefix(display_prefix.as_deref()));
        let checked = checked.map_err(KeyringError::from);
        if let Err(refused) = checked.and_then(|()| self.keyring.may_grant(&new.permissions)) {
            return Ok(Err(refused));
        }
        let exists = if let Some(exists) = self.organizations.get(&new.organization) {
            *exists
        } else {
            let read = self.store.organization(&new.organization);
            let exists = self.ask(read).await?.is_some();
            self.organizations.insert(new.organization.clone(), exists);
            exists
        };
        if exists {
            return Ok(Ok(()));
        }
        let missing = KeyringError::not_found("organization", &new.organization);
        Ok(Err(missing))
    }
}

impl Keyring {
    /// The keys of foreign records, whose ids have the order of the records.
    fn foreign_keys(
        &self,
        records: Vec<ForeignKey>,
        creator: &str,
        now: Timestamp,
    ) -> Result<impl Iterator<Item = ApiKey>, KeyringError> {
        let ids: Result<Vec<_>, _> = records.iter().map(|_| KeyId::new(now)).collect();
        let mut ids = ids?;
        ids.sort_unstable();
        let prefix = self.catalog.keys().format.foreign.first();
        Ok(ids.into_iter().zip(records).map(move |(id, record)| {
            let new = record.new;
            ApiKey {
                id,
                organization: new.organization,
                name: new.name,
                creator: creator.to_owned(),
                environment: new.environment,
                display_prefix: record
                    .display_prefix
                    .or_else(|| prefix.cloned())
                    .unwrap_or_default(),
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
            }
        }))
    }
}

/// Lets what this is polled beside go on.
fn turn() -> impl Future<Output = ()> {
    let mut was_polled = false;
    poll_fn(move |context| {
        if was_polled {
            return Poll::Ready(());
        }
        was_polled = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

fn check_display_prefix(prefix: Option<&str>) -> Result<(), Invalid> {
    let Some(prefix) = prefix else { return Ok(()) };
    if prefix.len() > 32 || !prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
        let reason = format!(
            "`{}` is not at most 32 visible ASCII characters",
            prefix.escape_debug()
        );
        return Err(Invalid::new("display prefix", reason));
    }
    Ok(())
}
