//! Warns of keys that should have been rotated.

use tollgate::Gate;
use tollgate::core::record::KeyStatus;
use tollgate::core::store::KeyQuery;
use tollgate_examples::failure::Failure;

/// Logs each key whose secret is older than the catalog wants secrets to be. It stays good: its
/// owner is told, and no integration stops overnight.
pub(crate) async fn warn(gate: &Gate) -> Result<(), Failure> {
    let Some(age) = gate.catalog().keys().rotation_age else {
        return Ok(());
    };
    let due = KeyQuery::new()
        .status(KeyStatus::Active)
        .secret_before(gate.clock().now().wall.before(age))
        .limit(KeyQuery::MOST);
    let mut page = gate.keyring().list_keys(due.clone()).await?.keys;
    while let Some(last) = page.last() {
        let next = due.clone().before(last.key.id);
        for listed in &page {
            let key = &listed.key;
            tracing::warn!(
                key = %key.id,
                name = key.name,
                organization = key.organization.as_str(),
                "rotate this key; its secret is older than {} days",
                age.as_secs() / 86_400
            );
        }
        page = gate.keyring().list_keys(next).await?.keys;
    }
    Ok(())
}
