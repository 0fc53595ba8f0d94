//! What the demo of each example asks first: has an earlier start, or another node, made it already?

use std::time::Duration;

use tollgate::Gate;
use tollgate::core::id::OrgId;
use tollgate::core::keyring::KeyringError;

use crate::failure::Failure;

/// How often another node is looked at that may be making it, and how long in between.
const LOOKS: u32 = 30;
const PAUSE: Duration = Duration::from_millis(100);

/// Makes the demo, unless that was done. Name the organization that is made last: if a start ended
/// halfway, the next one fails to make the rest, and says so, instead of showing too little.
///
/// Of several nodes that start together one makes it, and the others wait until it has.
///
/// # Errors
///
/// A [`Failure`] if the store fails, or an earlier start ended halfway.
pub async fn once<D>(
    gate: &Gate,
    last: &OrgId,
    make: impl Future<Output = Result<D, Failure>>,
) -> Result<Option<D>, Failure> {
    if is_made(gate, last).await? {
        return Ok(None);
    }
    let failure = match make.await {
        Ok(demo) => return Ok(Some(demo)),
        Err(failure) => failure,
    };
    for _ in 0..LOOKS {
        if is_made(gate, last).await? {
            return Ok(None);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(failure)
}

async fn is_made(gate: &Gate, last: &OrgId) -> Result<bool, Failure> {
    match gate.keyring().organization(last).await {
        Ok(_) => Ok(true),
        Err(KeyringError::NotFound(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
