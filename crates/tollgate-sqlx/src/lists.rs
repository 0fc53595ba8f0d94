//! Lists of keys.
//!
//! A statement is put together of the filters that are asked for, so that an index which has all
//! their columns is all that is read: once for the page, once for the total. A page that is not
//! full tells the total by itself.

use std::fmt::Write as _;

use tollgate_core::clock::Timestamp;
use tollgate_core::error::StoreError;
use tollgate_core::record::KeyStatus;
use tollgate_core::store::{KeyPage, KeyQuery, ListedKey};

use crate::queries::keys as sql;
use crate::rows::{read_key, word};
use crate::session::{Dialect, Row, Session, Value};
use crate::usage;

const MICROS_OF_A_DAY: i64 = 86_400_000_000;

/// The day of a point in time, as the keys have that of their last use.
pub(crate) const fn day(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(MICROS_OF_A_DAY)
}

pub(crate) async fn list(
    session: &mut impl Session,
    query: &KeyQuery,
) -> Result<KeyPage, StoreError> {
    let limit = query.limit.min(KeyQuery::MOST);
    let mut conditions = Conditions::of(query, session.dialect())?;
    let count = conditions.clone();
    if let Some(last) = query.before {
        conditions.add("k.id < ", last.as_bytes().into());
    }
    let (text, values) = conditions.page(limit);
    let rows = session.fetch_composed(text, values).await?;
    let keys: Vec<ListedKey> = rows.into_iter().map(read).collect::<Result<_, _>>()?;
    let found = u64::try_from(keys.len()).unwrap_or(u64::MAX);
    let total = if !query.total {
        None
    } else if query.before.is_none() && found < u64::from(limit) {
        Some(found)
    } else {
        let (text, values) = count.count();
        let rows = session.fetch_composed(text, values).await?;
        let row = rows.into_iter().next();
        Some(row.map_or(Ok(0), |mut row| row.take())?)
    };
    Ok(KeyPage { keys, total })
}

fn read(mut row: Row) -> Result<ListedKey, StoreError> {
    Ok(ListedKey {
        old_secret_valid_until: row.take()?,
        key: read_key(&mut row)?,
        usage: usage::read(row)?,
    })
}

/// What follows `WHERE`, and its values.
#[derive(Clone)]
struct Conditions {
    text: String,
    values: Vec<Value>,
}

impl Conditions {
    fn of(query: &KeyQuery, dialect: Dialect) -> Result<Self, StoreError> {
        let mut these = Self {
            text: sql::VISIBLE.to_owned(),
            values: Vec::new(),
        };
        if let Some(organization) = &query.organization {
            these.add("k.organization = ", organization.as_str().into());
        }
        if let Some(status) = &query.status {
            these.add("k.status = ", word(status)?.into());
        }
        if let Some(environment) = &query.environment {
            these.is("k.environment = ", environment.as_str());
        }
        if let Some(creator) = &query.creator {
            these.is("k.creator = ", creator);
        }
        if let Some((now, end)) = query.expiring {
            these.add("k.status <> ", word(&KeyStatus::Revoked)?.into());
            these.add("k.expires_at > ", now.into());
            these.add("k.expires_at < ", end.into());
        }
        if let Some(end) = query.secret_before {
            these.add("coalesce(k.rotated_at, k.created_at) < ", end.into());
        }
        if let Some(part) = &query.search {
            these.search(part, dialect);
        }
        if let Some(start) = query.unused_since {
            these.unused_since(start);
        }
        Ok(these)
    }

    /// Adds that a column is a text. PostgreSQL keeps none with a NUL, and refuses to look for one.
    fn is(&mut self, condition: &str, text: &str) {
        if text.contains('\0') {
            self.text.push_str(" AND 1 = 0");
        } else {
            self.add(condition, text.into());
        }
    }

    /// Adds a condition that ends in its value.
    fn add(&mut self, condition: &str, value: Value) {
        let place = self.place(value);
        let _ = write!(self.text, " AND {condition}{place}");
    }

    /// Adds a value, and says how the text names it.
    fn place(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    fn search(&mut self, part: &str, dialect: Dialect) {
        // A NUL would end the pattern, and no name has one.
        if part.contains('\0') {
            self.text.push_str(" AND 1 = 0");
            return;
        }
        let mut pattern = String::from("%");
        for character in part.chars() {
            if matches!(character, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern.push('%');
        let part = self.place(pattern.into());
        // Both take ASCII's capitals for small letters, and other letters as they are.
        let like = match dialect {
            Dialect::Sqlite => "LIKE",
            Dialect::Postgres => "COLLATE \"C\" ILIKE",
        };
        let _ = write!(
            self.text,
            r" AND (k.name {like} {part} ESCAPE '\' OR k.display_prefix {like} {part} ESCAPE '\')"
        );
    }

    /// Only of the keys that were used on the very day does it matter when.
    fn unused_since(&mut self, start: Timestamp) {
        let (day, start) = (self.place(day(start).into()), self.place(start.into()));
        let _ = write!(
            self.text,
            " AND (k.last_used_day < {day} \
             OR (k.last_used_day IS NULL AND k.created_at < {start}) \
             OR (k.last_used_day = {day} AND (SELECT u.last_used_at FROM tollgate_usage u \
             WHERE u.key_id = k.id) < {start}))"
        );
    }

    fn page(mut self, limit: u32) -> (String, Vec<Value>) {
        let limit = self.place(limit.into());
        let text = format!(
            "{} WHERE k.id IN (SELECT k.id FROM tollgate_keys k WHERE {} \
             ORDER BY k.id DESC LIMIT {limit}) ORDER BY k.id DESC",
            sql::LISTED,
            self.text
        );
        (text, self.values)
    }

    fn count(self) -> (String, Vec<Value>) {
        let text = format!("SELECT count(*) FROM tollgate_keys k WHERE {}", self.text);
        (text, self.values)
    }
}
