//! What the demo of each example asks first: has an earlier start made it already?

use tollgate::Gate;
use tollgate::core::id::OrgId;
use tollgate::core::keyring::KeyringError;

use crate::failure::Failure;

/// Whether the demo is still to be made. Ask for the organization that it makes last: if a start
/// ended halfway, the next one fails to make the rest, and says so, instead of showing too little.
///
/// # Errors
///
/// A [`Failure`] if the store fails.
pub async fn is_first_start(gate: &Gate, last: &OrgId) -> Result<bool, Failure> {
    match gate.keyring().organization(last).await {
        Ok(_) => Ok(false),
        Err(KeyringError::NotFound(_)) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
