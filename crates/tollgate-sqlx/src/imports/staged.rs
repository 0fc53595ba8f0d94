//! Keys as the statements that stage them take them.
//!
//! Keys of another system are mostly alike, and text costs time: what all keys of a step have in
//! common is given to the statement once, and what differs as an array of JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::ser::{Serialize, SerializeSeq as _, Serializer};
use tollgate_core::clock::Timestamp;
use tollgate_core::error::StoreError;
use tollgate_core::record::ApiKey;
use tollgate_core::secret::KeyDigest;
use tollgate_core::store::ImportId;

use crate::queries::imports as sql;
use crate::rows::{exact, json, word};
use crate::session::{Dialect, Statement, Value, values};

/// A column that keys may have in common.
struct Column {
    name: &'static str,
    /// Whether it is a number; else it is text.
    number: bool,
    same: fn(&ApiKey, &ApiKey) -> bool,
    of: fn(&ApiKey) -> Result<Value, StoreError>,
}

macro_rules! column {
    ($field:ident, $key:ident => $value:expr) => {
        column!(false, $field, $key => $value)
    };
    (number $field:ident, $key:ident => $value:expr) => {
        column!(true, $field, $key => $value)
    };
    ($number:literal, $field:ident, $key:ident => $value:expr) => {
        Column {
            name: stringify!($field),
            number: $number,
            same: |one, other| one.$field == other.$field,
            of: |$key| Ok($value.into()),
        }
    };
}

const COLUMNS: [Column; 12] = [
    column!(creator, key => key.creator.as_str()),
    column!(environment, key => key.environment.as_str()),
    column!(display_prefix, key => key.display_prefix.as_str()),
    column!(permissions, key => json(&key.permissions)?),
    column!(ip_rules, key => json(&key.ip_rules)?),
    column!(plan, key => key.plan.as_deref()),
    column!(limits, key => key.limits.as_ref().map(json).transpose()?),
    column!(number not_before, key => key.not_before.map(Timestamp::as_micros)),
    column!(number expires_at, key => key.expires_at.map(Timestamp::as_micros)),
    column!(status, key => word(&key.status)?),
    column!(number created_at, key => key.created_at.as_micros()),
    column!(number version, key => exact(key.version)?),
];

impl Column {
    /// A value of this column. SQLite takes it as it comes: the column has its type.
    fn typed(&self, value: &str, dialect: Dialect) -> String {
        match dialect {
            Dialect::Sqlite => value.to_owned(),
            Dialect::Postgres if self.number => format!("({value})::bigint"),
            Dialect::Postgres => format!("({value})::text"),
        }
    }
}

/// What stages keys.
pub(super) struct Staged {
    /// How many there are.
    pub(super) keys: u64,
    /// Inserts them. Its text depends on what they have in common.
    pub(super) insert: Statement,
    /// Their secrets: a JSON array of texts, each a digest and the id of its key in hexadecimal.
    pub(super) secrets: String,
    /// Adds them to the numbers of their organizations.
    pub(super) count: Statement,
}

impl Staged {
    /// None if there are no keys.
    pub(super) fn new(
        keys: &[(ApiKey, KeyDigest)],
        import: ImportId,
        dialect: Dialect,
    ) -> Result<Option<Self>, StoreError> {
        let Some((first, _)) = keys.first() else {
            return Ok(None);
        };
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for (key, _) in keys {
            let count = counts.entry(key.organization.as_str()).or_default();
            *count = count.saturating_add(1);
        }
        let counts: Vec<(&str, u64)> = counts.into_iter().collect();
        let number = import.number();
        let secrets = keys.iter();
        let secrets = secrets.map(|(key, digest)| hex(&[digest.as_bytes(), key.id.as_bytes()]));
        Ok(Some(Self {
            keys: u64::try_from(keys.len()).unwrap_or(u64::MAX),
            insert: insert(first, keys, number, dialect)?,
            secrets: json(&secrets.collect::<Vec<_>>())?,
            count: Statement::new(sql::COUNT, values![number, json(&counts)?]),
        }))
    }
}

fn insert(
    first: &ApiKey,
    keys: &[(ApiKey, KeyDigest)],
    number: u64,
    dialect: Dialect,
) -> Result<Statement, StoreError> {
    let (mut names, mut selected) = (String::new(), String::new());
    let mut values = values![number];
    let mut differing = Vec::new();
    for column in &COLUMNS {
        let _ = write!(names, ", {}", column.name);
        if keys.iter().all(|(key, _)| (column.same)(first, key)) {
            values.push((column.of)(first)?);
            let place = format!("${}", values.len());
            let _ = write!(selected, ", {}", column.typed(&place, dialect));
        } else {
            // The first three are its id, its organization and its name.
            let place = differing.len().saturating_add(3);
            let place = format!("value->>{place}");
            let _ = write!(selected, ", {}", column.typed(&place, dialect));
            differing.push(column);
        }
    }
    let rows = keys.iter().map(|(key, _)| {
        let cells = differing.iter().map(|column| (column.of)(key));
        Ok(Row(key, cells.collect::<Result<_, StoreError>>()?))
    });
    values.push(json(&rows.collect::<Result<Vec<_>, StoreError>>()?)?.into());
    let last = values.len();
    let (id, rows) = match dialect {
        Dialect::Sqlite => ("unhex(value->>0)", format!("jsonb_each(${last})")),
        Dialect::Postgres => (
            "decode(value->>0, 'hex')",
            format!("jsonb_array_elements(${last}::jsonb)"),
        ),
    };
    let text = format!(
        "INSERT INTO tollgate_keys (import_id, id, organization, name{names}) \
         SELECT CAST($1 AS BIGINT), {id}, value->>1, value->>2{selected} FROM {rows}"
    );
    Ok(Statement::composed(text, values))
}

/// What is a key's own.
struct Row<'a>(&'a ApiKey, Vec<Value>);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(key, cells) = self;
        let mut row = serializer.serialize_seq(None)?;
        row.serialize_element(&hex(&[key.id.as_bytes()]))?;
        row.serialize_element(key.organization.as_str())?;
        row.serialize_element(&key.name)?;
        for cell in cells {
            match cell {
                Value::Null => row.serialize_element(&())?,
                Value::Int(number) => row.serialize_element(number)?,
                Value::Text(text) => row.serialize_element(text)?,
                Value::Blob(bytes) => row.serialize_element(&hex(&[bytes]))?,
            }
        }
        row.end()
    }
}

fn hex(parts: &[&[u8]]) -> String {
    let mut text = String::with_capacity(96);
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    for byte in parts.iter().copied().flatten() {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

/// A JSON array of digests, in hexadecimal.
pub(super) fn hex_of<'a>(
    digests: impl Iterator<Item = &'a KeyDigest>,
) -> Result<String, StoreError> {
    let digests = digests.map(|digest| hex(&[digest.as_bytes()]));
    json(&digests.collect::<Vec<_>>())
}
