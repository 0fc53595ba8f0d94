//! A key that is made once, however often its request is sent.

use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tollgate::idempotency::key_of;
use tollgate::{Denial, DenialKind};
use tollgate_core::change::Actor;
use tollgate_core::keyring::{Issued, IssuedOnce, KeyringError, NewKey};
use tollgate_core::store::ListedKey;

use crate::keys::refused;
use crate::manager::Member;

/// What a request made.
#[derive(Debug)]
pub(crate) enum Made {
    /// A key, just now.
    Now(Box<Issued>),
    /// This key, when it came before.
    Before(Box<ListedKey>),
}

/// The requests with an idempotency key that this process is at work on. Those of other processes
/// wait for each other in the store.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Mutex<HashSet<String>>);

/// One of them, until it is dropped.
#[derive(Debug)]
struct Turn {
    all: Arc<UnderWay>,
    name: String,
}

impl Turn {
    fn begin(all: &Arc<UnderWay>, name: String) -> Result<Self, Denial> {
        if !all.0.lock().insert(name.clone()) {
            return Err(DenialKind::RequestInProgress.into());
        }
        let all = Arc::clone(all);
        Ok(Self { all, name })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.all.0.lock().remove(&self.name);
    }
}

/// Issues a key, once for each idempotency key of this user in this organization.
pub(crate) async fn issue(
    member: &Member,
    new: NewKey,
    actor: &Actor,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Made, Denial> {
    let keyring = member.keyring();
    let Some(name) = key_of(headers)? else {
        let issued = keyring.issue(new, actor).await.map_err(refused)?;
        return Ok(Made::Now(Box::new(issued)));
    };
    // Neither an organization's id nor an idempotency key has a blank.
    let place = format!("{} {name} {actor}", member.organization);
    let _turn = Turn::begin(&member.desk.under_way, place)?;
    let fingerprint = Sha256::digest(body).into();
    let issued = keyring.issue_once(new, &name, fingerprint, actor).await;
    match issued.map_err(refused)? {
        IssuedOnce::Now(issued) => Ok(Made::Now(issued)),
        IssuedOnce::Another => Err(DenialKind::IdempotencyKeyReused.into()),
        IssuedOnce::Before(id) => match keyring.listed_key(&member.organization, &id).await {
            Ok(listed) => Ok(Made::Before(Box::new(listed))),
            Err(KeyringError::NotFound(_)) => {
                let message = format!("key `{id}` was made by this request, and deleted since");
                Err(Denial::new(DenialKind::Status(409)).with_message(message))
            }
            Err(error) => Err(error.into()),
        },
    }
}
