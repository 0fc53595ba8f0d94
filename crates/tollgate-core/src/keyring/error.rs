//! Why the keyring refused.

use std::error::Error;
use std::fmt;

use crate::error::{StoreError, StoreErrorKind};
use crate::id::KeyId;
use crate::invalid::Invalid;

/// Why a key, an organization or a user was not changed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum KeyringError {
    /// Something that was asked for is not declared, or makes no sense.
    Invalid(Invalid),
    /// There is no such thing.
    NotFound(String),
    /// There is such a thing already.
    AlreadyExists(String),
    /// The key is revoked, and stays so.
    Revoked(String),
    /// They are the last who may run the installation.
    LastOperator(String),
    /// Somebody of this role may not give a key what it would have.
    NotGrantable(Invalid),
    /// The store failed; the change may or may not have happened.
    Store(StoreError),
}

impl KeyringError {
    pub(crate) fn not_found(what: &str, id: &impl fmt::Display) -> Self {
        Self::NotFound(format!("there is no {what} `{id}`"))
    }

    pub(crate) fn already_exists(what: &str, id: &impl fmt::Display) -> Self {
        Self::AlreadyExists(format!("{what} `{id}` exists already"))
    }

    pub(super) fn revoked(id: &KeyId) -> Self {
        Self::Revoked(format!(
            "key `{id}` is revoked, which is for ever; issue a new one"
        ))
    }

    pub(crate) fn missing_or(error: StoreError, what: &str, id: &impl fmt::Display) -> Self {
        if error.kind() == StoreErrorKind::NotFound {
            Self::not_found(what, id)
        } else {
            Self::Store(error)
        }
    }
}

impl fmt::Display for KeyringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(invalid) | Self::NotGrantable(invalid) => invalid.fmt(f),
            Self::NotFound(text)
            | Self::AlreadyExists(text)
            | Self::Revoked(text)
            | Self::LastOperator(text) => f.write_str(text),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl Error for KeyringError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            _ => None,
        }
    }
}

impl From<Invalid> for KeyringError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<StoreError> for KeyringError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
