//! A key that is made once, however often its request comes.

use crate::clock::Timestamp;
use crate::id::KeyId;

/// A request that makes a key, by what its sender calls it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a store writes every field")]
pub struct KeyRequest {
    /// Its name: of one actor in one organization, a name is one request.
    pub name: String,
    /// A digest of all that it says, to tell another request of the same name.
    pub fingerprint: [u8; 32],
    /// Until when it is known.
    pub known_until: Timestamp,
}

/// What became of a request that makes a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "it came before, or it did not")]
pub enum KeyInserted {
    /// The key was added.
    Now,
    /// A request of this name came before, and made this key. Nothing was added.
    Before {
        /// The key that it made; it may have been deleted since.
        key: KeyId,
        /// What it said.
        fingerprint: [u8; 32],
    },
}
