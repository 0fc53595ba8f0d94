//! What a handler is denied that asks a keyring, or a store.

use tollgate_core::error::{StoreError, StoreErrorKind};
use tollgate_core::invalid::Invalid;
use tollgate_core::keyring::KeyringError;

use super::{Denial, DenialKind};

/// 422, with the sentence.
impl From<Invalid> for Denial {
    fn from(invalid: Invalid) -> Self {
        Self::new(DenialKind::Status(422)).with_message(invalid.to_string())
    }
}

/// 404 where there is no such row, 409 where it conflicts, and else 503: the caller did nothing
/// wrong.
impl From<StoreError> for Denial {
    fn from(error: StoreError) -> Self {
        let status = match error.kind() {
            StoreErrorKind::NotFound => 404,
            StoreErrorKind::Conflict => 409,
            _ => return Self::unavailable(&error),
        };
        Self::new(DenialKind::Status(status)).with_message(error.to_string())
    }
}

/// 422 for what makes no sense, 404, 409, 403 for what is not the caller's to give, and else 503;
/// with the sentence.
impl From<KeyringError> for Denial {
    fn from(error: KeyringError) -> Self {
        let status = match error {
            KeyringError::Invalid(invalid) => return invalid.into(),
            KeyringError::Store(error) => return error.into(),
            KeyringError::NotFound(_) => 404,
            KeyringError::AlreadyExists(_)
            | KeyringError::Revoked(_)
            | KeyringError::LastOperator(_) => 409,
            KeyringError::NotGrantable(_) => 403,
            _ => 500,
        };
        Self::new(DenialKind::Status(status)).with_message(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_fails_is_a_503_and_what_is_missing_a_404() {
        let kinds = [
            (StoreErrorKind::Unavailable, 503),
            (StoreErrorKind::TimedOut, 503),
            (StoreErrorKind::Corrupt, 503),
            (StoreErrorKind::Conflict, 409),
            (StoreErrorKind::NotFound, 404),
        ];
        for (kind, status) in kinds {
            let error = StoreError::new(kind, "the disk of db7 is full");
            let denial = Denial::from(KeyringError::from(error));
            assert_eq!(denial.kind().status(), status, "{kind:?}");
            assert_eq!(denial.message().is_none(), status == 503, "{kind:?}");
        }
    }
}
