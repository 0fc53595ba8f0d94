//! The tables that are moved, and the statements that move them.
//!
//! A test holds the list to the tables and the columns that both databases have.

use std::fmt::Write as _;

use crate::session::Value;

/// What a column holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Text,
    Int,
    Blob,
}
use Kind::{Blob as B, Int as I, Text as T};

/// A table, and how it is read and written.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// How many of the columns, from the first, tell a row from all others.
    pub(super) key: usize,
    pub(super) columns: &'static [(&'static str, Kind)],
    /// Whether the database numbers its rows, in the first column.
    numbered: bool,
}

const fn table(name: &'static str, key: usize, columns: &'static [(&'static str, Kind)]) -> Table {
    Table {
        name,
        key,
        columns,
        numbered: false,
    }
}

const fn numbered(name: &'static str, columns: &'static [(&'static str, Kind)]) -> Table {
    Table {
        numbered: true,
        ..table(name, 1, columns)
    }
}

/// In an order in which what a row refers to is there before it.
#[rustfmt::skip]
pub(super) const TABLES: &[Table] = &[
    table("tollgate_organizations", 1, &[
        ("id", T), ("plan", T), ("status", T), ("ip_rules", T), ("limits", T), ("resources", T),
        ("created_at", I), ("version", I),
    ]),
    table("tollgate_keys", 1, &[
        ("id", B), ("organization", T), ("name", T), ("creator", T), ("environment", T),
        ("display_prefix", T), ("permissions", T), ("ip_rules", T), ("plan", T), ("limits", T),
        ("not_before", I), ("expires_at", I), ("status", T), ("created_at", I), ("rotated_at", I),
        ("revoked_at", I), ("version", I), ("last_used_day", I), ("import_id", I),
    ]),
    table("tollgate_secrets", 1, &[("digest", B), ("key_id", B), ("valid_until", I)]),
    table("tollgate_wallets", 1, &[
        ("organization", T), ("granted", I), ("withdrawn", I), ("settled", I), ("held", I),
        ("allowance_month", I), ("allowance_credits", I), ("pools", T),
    ]),
    table("tollgate_holds", 1, &[
        ("id", B), ("organization", T), ("key_id", B), ("route", T), ("request_id", T),
        ("price", T), ("credits", I), ("owed", I), ("state", T), ("charged", I), ("refunded", I),
        ("idempotent", I), ("paid_priority", I), ("paid_expires_at", I), ("created_at", I),
        ("deadline", I), ("ended_at", I),
    ]),
    numbered("tollgate_entries", &[
        ("seq", I), ("organization", T), ("at", I), ("kind", T), ("credits", I), ("balance", I),
        ("hold_id", B), ("key_id", B), ("route", T), ("request_id", T), ("price", T),
        ("actor", T), ("reason", T), ("reference", T),
    ]),
    table("tollgate_repeats", 3, &[
        ("organization", T), ("route", T), ("idempotency_key", T), ("fingerprint", B),
        ("hold_id", B), ("running", I), ("outcome", B), ("expires_at", I),
    ]),
    table("tollgate_quotas", 2, &[
        ("subject", T), ("period", T), ("started_at", I), ("used", I),
    ]),
    table("tollgate_usage", 1, &[
        ("key_id", B), ("total_requests", I), ("with_old_secret", I), ("last_used_at", I),
        ("last_address", T),
    ]),
    table("tollgate_usage_counts", 4, &[
        ("key_id", B), ("hour", I), ("route", T), ("outcome", T), ("requests", I),
    ]),
    numbered("tollgate_changes", &[
        ("seq", I), ("kind", T), ("key_id", B), ("organization", T), ("actor", T),
        ("changed_at", I), ("reason", T),
    ]),
    numbered("tollgate_declarations", &[("id", I), ("catalog", T), ("permissions", T)]),
    table("tollgate_audit", 2, &[
        ("organization", T), ("seq", I), ("at", I), ("action", T), ("target", T), ("actor", T),
        ("session", T), ("address", T), ("reason", T), ("before", T), ("after", T), ("mac", B),
    ]),
    // It has no rows where no import is under way, but it has a number.
    numbered("tollgate_imports", &[("id", I), ("beat_at", I)]),
    table("tollgate_users", 1, &[
        ("id", B), ("email", T), ("password", T), ("disabled", I), ("created_at", I),
        ("version", I),
    ]),
    table("tollgate_memberships", 2, &[("user_id", B), ("organization", T), ("role", T)]),
    table("tollgate_sessions", 1, &[
        ("id", B), ("token", B), ("user_id", B), ("address", T), ("created_at", I),
        ("last_seen_at", I), ("expires_at", I),
    ]),
    table("tollgate_key_requests", 3, &[
        ("organization", T), ("actor", T), ("name", T), ("fingerprint", B), ("key_id", B),
        ("known_until", I),
    ]),
];

/// Those that have no rows where they are moved from either.
pub(super) const MUST_BE_EMPTY: [Table; 1] = [table(
    "tollgate_imported",
    2,
    &[
        ("import_id", I),
        ("organization", T),
        ("keys", I),
        ("told", I),
    ],
)];

/// Whoever reads goes on, and whoever writes waits. Other changes wait at their own lock.
pub(super) fn lock() -> String {
    let all = TABLES.iter().chain(&MUST_BE_EMPTY).map(|table| table.name);
    let all: Vec<&str> = all.collect();
    format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", all.join(", "))
}

/// A client that is stopped for a while, or whose rows take long to arrive, is no reason to give up.
pub(super) const PATIENT: &str = "SET LOCAL idle_in_transaction_session_timeout = '10min'";

pub(super) const PENDING_IMPORTS: &str = "SELECT id FROM tollgate_imports LIMIT 1";

impl Table {
    pub(super) fn count(&self) -> String {
        format!("SELECT count(*) FROM {}", self.name)
    }

    /// One if it has a row.
    pub(super) fn any(&self) -> String {
        format!(
            "SELECT count(*) FROM (SELECT 1 FROM {} LIMIT 1) AS one",
            self.name
        )
    }

    /// The rows with the lowest keys; `$1` is how many.
    pub(super) fn first_page(&self) -> String {
        let (columns, key) = (self.names(), self.key());
        let name = self.name;
        format!("SELECT {columns} FROM {name} ORDER BY {key} LIMIT $1")
    }

    /// Those that come next after a key, which is `$1` and so on; then how many.
    pub(super) fn next_page(&self) -> String {
        let (columns, key, name) = (self.names(), self.key(), self.name);
        let after: Vec<String> = (1..=self.key).map(|n| format!("${n}")).collect();
        let limit = self.key.saturating_add(1);
        let after = after.join(", ");
        format!(
            "SELECT {columns} FROM {name} WHERE ({key}) > ({after}) ORDER BY {key} LIMIT ${limit}"
        )
    }

    /// Writes rows, which are `$1` as [`json`] makes them.
    pub(super) fn insert(&self) -> String {
        let read = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, (_, kind))| match kind {
                Kind::Text => format!("one ->> {at}"),
                Kind::Int => format!("CAST(one ->> {at} AS BIGINT)"),
                Kind::Blob => format!("decode(one ->> {at}, 'hex')"),
            });
        let read: Vec<String> = read.collect();
        let given = if self.numbered {
            "OVERRIDING SYSTEM VALUE "
        } else {
            ""
        };
        format!(
            "INSERT INTO {} ({}) {given}SELECT {} FROM jsonb_array_elements(CAST($1 AS jsonb)) AS one",
            self.name,
            self.names(),
            read.join(", ")
        )
    }

    /// Reads all of it, in whatever order.
    pub(super) fn declare_cursor(&self) -> String {
        format!(
            "DECLARE {}_read_back NO SCROLL CURSOR FOR SELECT {} FROM {}",
            self.name,
            self.names(),
            self.name
        )
    }

    /// The next rows of that.
    pub(super) fn fetch(&self, rows: u32) -> String {
        format!("FETCH {rows} FROM {}_read_back", self.name)
    }

    /// The last number that SQLite gave, where rows are numbered.
    pub(super) fn last_number(&self) -> Option<String> {
        let (first, _) = self.columns.first().filter(|_| self.numbered)?;
        let name = self.name;
        // What is remembered of a table that has none, which counts its rows alone, is nothing.
        Some(format!(
            "SELECT max(coalesce((SELECT max({first}) FROM {name}), 0), \
             coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{name}'), 0))"
        ))
    }

    /// Says that `$1` was the last number.
    pub(super) fn set_number(&self) -> String {
        let first = self.columns.first().map_or("", |(name, _)| name);
        let name = self.name;
        format!("SELECT setval(pg_get_serial_sequence('{name}', '{first}'), $1)")
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    fn key(&self) -> String {
        let names = self.columns.iter().take(self.key).map(|(name, _)| *name);
        names.collect::<Vec<_>>().join(", ")
    }
}

impl Table {
    /// Why PostgreSQL has no place for a row: it has no NUL in a text.
    pub(super) fn refuses(&self, row: &[Value]) -> Option<String> {
        let has_nul = |value: &Value| matches!(value, Value::Text(text) if text.contains('\0'));
        let column = row.iter().position(has_nul)?;
        let (column, _) = self.columns.get(column)?;
        let key = row.iter().take(self.key).map(one);
        let key = serde_json::Value::Array(key.collect());
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        let names = names.get(..self.key)?.join(", ");
        Some(format!(
            "`{}` has a row, ({names}) = {key}, whose `{column}` has a NUL, for which PostgreSQL has \
             no text; correct it in the old database",
            self.name
        ))
    }
}

/// Rows as many statements take them: each as much as a slow line carries in a moment.
pub(super) fn loads(rows: &[Vec<Value>]) -> impl Iterator<Item = &[Vec<Value>]> {
    const MOST: usize = 1 << 20;
    let mut loaded = 0_usize;
    rows.chunk_by(move |row, _| {
        loaded = loaded.saturating_add(row.iter().map(size).fold(0, usize::saturating_add));
        let goes_on = loaded < MOST;
        if !goes_on {
            loaded = 0;
        }
        goes_on
    })
}

/// About how long it is, as text.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Int(_) => 20,
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len().saturating_mul(2),
    }
}

/// Rows as an array of arrays; bytes are in hexadecimal.
pub(super) fn json(rows: &[Vec<Value>]) -> String {
    let rows = rows.iter().map(|row| row.iter().map(one).collect());
    serde_json::Value::Array(rows.map(serde_json::Value::Array).collect()).to_string()
}

fn one(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Int(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::Blob(bytes) => bytes
            .iter()
            .fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
            .into(),
    }
}
