//! Looks into the file, without the store.

use std::collections::HashMap;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{ConnectOptions, Connection, Row as _};
use tollgate::core::clock::Timestamp;

/// A line of the books.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) seq: i64,
    pub(crate) organization: String,
    pub(crate) kind: String,
    pub(crate) credits: i64,
    pub(crate) hold: Option<Vec<u8>>,
    pub(crate) request_id: Option<String>,
    pub(crate) reference: Option<String>,
    pub(crate) actor: Option<String>,
}

/// A row of a hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Hold {
    pub(crate) id: Vec<u8>,
    pub(crate) organization: String,
    pub(crate) owed: i64,
    pub(crate) state: String,
    pub(crate) charged: i64,
}

/// Holds by the request that they are for.
pub(crate) type Holds = HashMap<String, Hold>;

pub(crate) struct Books(SqliteConnection);

impl Books {
    pub(crate) async fn open(path: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        Self(options.connect().await.unwrap())
    }

    pub(crate) async fn close(self) {
        self.0.close().await.unwrap();
    }

    /// The file is whole, no wallet has spent more than it was given, and every sum is that of
    /// its parts.
    pub(crate) async fn sums(&mut self) -> Result<(), String> {
        let whole: String = self.one("PRAGMA integrity_check").await?;
        expect("integrity_check", &whole, &"ok".to_owned())?;
        for wallet in self.rows(WALLETS, 0).await? {
            let name: String = wallet.get("organization");
            let sum = |column: &str| wallet.get::<i64, _>(column);
            let of = |what: &str| format!("{what} of {name}");
            let funds = sum("granted") - sum("withdrawn") - sum("settled");
            if sum("held") < 0 || sum("settled") < 0 || sum("held") > funds {
                return Err(format!("{name} holds {} of {funds}", sum("held")));
            }
            expect(&of("granted"), &sum("granted"), &sum("given"))?;
            expect(&of("withdrawn"), &sum("withdrawn"), &sum("taken"))?;
            expect(&of("settled"), &sum("settled"), &sum("charged"))?;
            expect(&of("held"), &sum("held"), &sum("open"))?;
            expect(&of("pools"), &sum("pooled"), &funds)?;
            expect(&of("entries"), &sum("entries"), &funds)?;
        }
        Ok(())
    }

    /// Every entry has the balance that it left, every hold is charged and given back as its
    /// entries say, and a month's allowance comes once.
    pub(crate) async fn lines(&mut self) -> Result<(), String> {
        for (what, sql) in [
            ("wrong balances", WRONG_BALANCES),
            ("charges without their entry", WRONG_CHARGES),
            ("holds charged twice, or refunded beyond that", WRONG_HOLDS),
            ("allowances given again", WRONG_ALLOWANCES),
        ] {
            expect(what, &self.one::<i64>(sql).await?, &0)?;
        }
        Ok(())
    }

    /// The lines after one, in order.
    pub(crate) async fn entries(&mut self, after: i64) -> Result<Vec<Entry>, String> {
        let rows = self.rows(ENTRIES, after).await?;
        let entries = rows.iter().map(|row| Entry {
            seq: row.get("seq"),
            organization: row.get("organization"),
            kind: row.get("kind"),
            credits: row.get("credits"),
            hold: row.get("hold_id"),
            request_id: row.get("request_id"),
            reference: row.get("reference"),
            actor: row.get("actor"),
        });
        Ok(entries.collect())
    }

    /// What was held since then.
    pub(crate) async fn holds(&mut self, since: Timestamp) -> Result<Holds, String> {
        let mut holds = Holds::new();
        for row in self.rows(HOLDS_SINCE, since.as_micros()).await? {
            let request: String = row.get("request_id");
            let hold = Hold {
                id: row.get("id"),
                organization: row.get("organization"),
                owed: row.get("owed"),
                state: row.get("state"),
                charged: row.get("charged"),
            };
            if let Some(other) = holds.insert(request.clone(), hold) {
                return Err(format!("{request} has two holds, one is {other:?}"));
            }
        }
        Ok(holds)
    }

    async fn rows(&mut self, sql: &'static str, since: i64) -> Result<Vec<SqliteRow>, String> {
        let rows = sqlx::query(sql).bind(since).fetch_all(&mut self.0).await;
        rows.map_err(|error| format!("the file cannot be read: {error}"))
    }

    async fn one<T>(&mut self, sql: &'static str) -> Result<T, String>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + Unpin,
    {
        let one = sqlx::query_scalar(sql).fetch_one(&mut self.0).await;
        one.map_err(|error| format!("the file cannot be read: {error}"))
    }
}

pub(crate) fn expect<T: PartialEq + std::fmt::Debug>(
    what: &str,
    is: &T,
    should: &T,
) -> Result<(), String> {
    if is == should {
        return Ok(());
    }
    Err(format!("{what}: {is:?} instead of {should:?}"))
}

/// Holds are forgotten some day, entries never: what was charged is summed up from those.
const WALLETS: &str = "
    SELECT organization, granted, withdrawn, settled, held,
        coalesce((SELECT sum(json_extract(value, '$.credits')) FROM json_each(pools)), 0) AS pooled,
        coalesce(h.open, 0) AS open, coalesce(e.sum, 0) AS entries, coalesce(e.given, 0) AS given,
        coalesce(e.taken, 0) AS taken, coalesce(e.charged, 0) AS charged
    FROM tollgate_wallets
    LEFT JOIN (SELECT organization, sum(credits) AS open
        FROM tollgate_holds WHERE state = 'open' GROUP BY organization) AS h USING (organization)
    LEFT JOIN (SELECT organization, sum(credits) AS sum,
            sum(iif(kind IN ('grant', 'allowance'), credits, 0)) AS given,
            sum(iif(kind IN ('lapse', 'withdrawal'), -credits, 0)) AS taken,
            sum(iif(kind IN ('charge', 'refund'), -credits, 0)) AS charged
        FROM tollgate_entries GROUP BY organization) AS e USING (organization)
    WHERE ?1 = 0";

/// Entries whose balance is not the one before and what they brought.
const WRONG_BALANCES: &str = "
    SELECT count(*) FROM (
        SELECT balance, sum(credits) OVER (PARTITION BY organization ORDER BY seq) AS sum
        FROM tollgate_entries)
    WHERE balance <> sum";

const WRONG_CHARGES: &str = "
    SELECT count(*) FROM tollgate_holds AS h
    LEFT JOIN (SELECT hold_id, -sum(iif(kind = 'charge', credits, 0)) AS paid,
            sum(iif(kind = 'refund', credits, 0)) AS back
        FROM tollgate_entries GROUP BY hold_id) AS e ON e.hold_id = h.id
    WHERE charged <> coalesce(paid, 0) OR refunded <> coalesce(back, 0)";

const WRONG_HOLDS: &str = "
    SELECT count(*) FROM (
        SELECT sum(kind = 'charge') AS charges, sum(credits) AS rest
        FROM tollgate_entries WHERE hold_id IS NOT NULL GROUP BY hold_id)
    WHERE charges <> 1 OR rest > 0";

const WRONG_ALLOWANCES: &str = "
    SELECT count(*) FROM (
        SELECT count(*) AS lines FROM tollgate_entries WHERE kind = 'allowance'
        GROUP BY organization, strftime('%Y-%m', at / 1000000, 'unixepoch'))
    WHERE lines > 1";

const ENTRIES: &str = "
    SELECT seq, organization, kind, credits, hold_id, request_id, reference, actor
    FROM tollgate_entries WHERE seq > ? ORDER BY seq";

const HOLDS_SINCE: &str = "
    SELECT id, organization, request_id, owed, state, charged
    FROM tollgate_holds WHERE request_id IS NOT NULL AND created_at >= ?";
