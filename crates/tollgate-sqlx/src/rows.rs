//! Rows as records, and back.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tollgate_core::clock::Timestamp;
use tollgate_core::error::StoreError;
use tollgate_core::id::{KeyId, OrgId};
use tollgate_core::record::{ApiKey, Organization};

use crate::session::{FromValue, Row, Sql, Statement, Value, corrupt, values};

/// The values of a key, in the order of the columns.
pub(crate) fn key_values(key: &ApiKey) -> Result<Vec<Value>, StoreError> {
    Ok(values![
        key.id.as_bytes(),
        key.organization.as_str(),
        key.name.as_str(),
        key.creator.as_str(),
        key.environment.as_str(),
        key.display_prefix.as_str(),
        json(&key.permissions)?,
        json(&key.ip_rules)?,
        key.plan.as_deref(),
        key.limits.as_ref().map(json).transpose()?,
        key.not_before,
        key.expires_at,
        word(&key.status)?,
        key.created_at,
        key.rotated_at,
        key.revoked_at,
        key.version,
    ])
}

pub(crate) fn read_key(row: &mut Row) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: row.take()?,
        organization: row.take()?,
        name: row.take()?,
        creator: row.take()?,
        environment: row.take()?,
        display_prefix: row.take()?,
        permissions: from_json(&row.take::<String>()?)?,
        ip_rules: from_json(&row.take::<String>()?)?,
        plan: row.take()?,
        limits: optional_json(row)?,
        not_before: row.take()?,
        expires_at: row.take()?,
        status: from_word(row.take()?)?,
        created_at: row.take()?,
        rotated_at: row.take()?,
        revoked_at: row.take()?,
        version: row.take()?,
    })
}

/// The values of an organization, in the order of the columns.
pub(crate) fn organization_values(organization: &Organization) -> Result<Vec<Value>, StoreError> {
    Ok(values![
        organization.id.as_str(),
        organization.plan.as_str(),
        word(&organization.status)?,
        json(&organization.ip_rules)?,
        organization.limits.as_ref().map(json).transpose()?,
        json(&organization.resources)?,
        organization.created_at,
        organization.version,
    ])
}

pub(crate) fn read_organization(row: &mut Row) -> Result<Organization, StoreError> {
    Ok(Organization {
        id: row.take()?,
        plan: row.take()?,
        status: from_word(row.take()?)?,
        ip_rules: from_json(&row.take::<String>()?)?,
        limits: optional_json(row)?,
        resources: from_json(&row.take::<String>()?)?,
        created_at: row.take()?,
        version: row.take()?,
    })
}

impl FromValue for Timestamp {
    fn from_value(value: Value) -> Option<Self> {
        i64::from_value(value).map(Self::from_micros)
    }
}

impl FromValue for KeyId {
    fn from_value(value: Value) -> Option<Self> {
        FromValue::from_value(value).map(Self::from_bytes)
    }
}

impl FromValue for OrgId {
    fn from_value(value: Value) -> Option<Self> {
        Self::new(&String::from_value(value)?).ok()
    }
}

impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::Int(at.as_micros())
    }
}

/// A number as a column can have it, where a smaller one would be wrong.
pub(crate) fn exact(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::conflict("a number is too large to be stored"))
}

pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| unreadable().with_source(error))
}

pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| unreadable().with_source(error))
}

fn optional_json<T: DeserializeOwned>(row: &mut Row) -> Result<Option<T>, StoreError> {
    let text: Option<String> = row.take()?;
    text.as_deref().map(from_json).transpose()
}

/// A status as one word, without the quotes of JSON.
pub(crate) fn word<T: Serialize>(value: &T) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        Ok(_) => Err(unreadable()),
        Err(error) => Err(unreadable().with_source(error)),
    }
}

pub(crate) fn from_word<T: DeserializeOwned>(word: String) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(word))
        .map_err(|error| unreadable().with_source(error))
}

/// A statement on many rows, or none if there are none.
pub(crate) fn on_rows<T: Serialize>(
    sql: Sql,
    rows: impl Iterator<Item = T>,
) -> Result<Option<Statement>, StoreError> {
    let rows: Vec<T> = rows.collect();
    if rows.is_empty() {
        return Ok(None);
    }
    Ok(Some(Statement::new(sql, values![json(&rows)?])))
}

/// Bytes as JSON can have them.
pub(crate) fn hex_of(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from_digit(n.into(), 16).unwrap_or_default();
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(digit).collect()
}

fn unreadable() -> StoreError {
    corrupt("a stored value cannot be read")
}

#[cfg(test)]
mod tests {
    use tollgate_core::error::StoreErrorKind;
    use tollgate_core::record::KeyStatus;

    use super::*;

    #[test]
    fn a_status_is_one_word() {
        assert_eq!(word(&KeyStatus::Revoked).unwrap(), "revoked");
        let status: KeyStatus = from_word("disabled".into()).unwrap();
        assert_eq!(status, KeyStatus::Disabled);
    }

    #[test]
    fn what_cannot_be_read_is_corrupt_and_says_why_in_its_source() {
        let error = from_word::<KeyStatus>("lost".into()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(std::error::Error::source(&error).is_some());
    }
}
