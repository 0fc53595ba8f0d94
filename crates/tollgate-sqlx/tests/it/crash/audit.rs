//! What has to be true of the database, whenever the process was killed.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr as _;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};
use tollgate_core::clock::Timestamp;
use tollgate_core::id::HoldId;

use super::worker::TASKS;

/// What each organization was granted.
pub(super) type Granted = BTreeMap<&'static str, i64>;

/// What was acknowledged.
#[derive(Default)]
pub(super) struct Told(HashMap<HoldId, ToldOf>);

/// What was acknowledged of a hold.
#[derive(Debug)]
struct ToldOf {
    organization: String,
    credits: i64,
    owed: i64,
    end: Option<End>,
}

#[derive(Debug)]
enum End {
    Settled(i64),
    Voided,
}

impl Told {
    /// Reads the lines of a process.
    pub(super) fn read(lines: &[String]) -> Result<Self, String> {
        let mut this = Self::default();
        for line in lines {
            this.line(line).ok_or_else(|| format!("it said `{line}`"))?;
        }
        Ok(this)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        let (what, id) = (words.next()?, words.next()?.parse().ok()?);
        if what == "hold" {
            let hold = ToldOf {
                organization: words.next()?.to_owned(),
                credits: words.next()?.parse().ok()?,
                owed: 0,
                end: None,
            };
            self.0.insert(id, hold);
            return Some(());
        }
        let hold = self.0.get_mut(&id)?;
        match what {
            "owed" => hold.owed = words.next()?.parse().ok()?,
            "settled" => hold.end = Some(End::Settled(words.next()?.parse().ok()?)),
            "voided" => hold.end = Some(End::Voided),
            _ => return None,
        }
        Some(())
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(super) fn holds(&self) -> u64 {
        self.count(|_| true)
    }

    pub(super) fn settles(&self) -> u64 {
        self.count(|hold| matches!(hold.end, Some(End::Settled(_))))
    }

    pub(super) fn voids(&self) -> u64 {
        self.count(|hold| matches!(hold.end, Some(End::Voided)))
    }

    fn count(&self, which: impl Fn(&ToldOf) -> bool) -> u64 {
        let count = self.0.values().filter(|hold| which(hold)).count();
        count.try_into().unwrap()
    }
}

/// A row of a hold.
#[derive(Debug)]
pub(super) struct Hold {
    organization: String,
    credits: i64,
    owed: i64,
    state: String,
    charged: i64,
}

pub(super) type Holds = HashMap<HoldId, Hold>;

/// A row of a wallet, with the sums of what it is made of.
struct Wallet {
    name: String,
    granted: i64,
    withdrawn: i64,
    settled: i64,
    held: i64,
    pools: String,
    charged: i64,
    open: i64,
    entries: i64,
}

/// What is left of a grant.
#[derive(serde::Deserialize)]
struct Pool {
    credits: i64,
}

/// Looks into the database, without the store.
pub(super) enum Books {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Reads each row of a query about a time the same way, on either database.
macro_rules! read {
    ($books:ident, $sql:expr, $since:expr, |$row:ident| $read:expr) => {{
        let rows = match $books {
            Self::Sqlite(it) => (sqlx::query($sql).bind($since).fetch_all(it).await)
                .map(|rows| rows.into_iter().map(|$row| $read).collect()),
            Self::Postgres(it) => (sqlx::query($sql).bind($since).fetch_all(it).await)
                .map(|rows| rows.into_iter().map(|$row| $read).collect()),
        };
        rows.map_err(|error| format!("the database cannot be read: {error}"))
    }};
}

impl Books {
    /// Opens the books once nobody writes in them any more: what a process had asked PostgreSQL
    /// for when it was killed may happen until its connections are gone.
    pub(super) async fn open(location: &str) -> Self {
        let mut this = Self::beside_others(location).await;
        while let Self::Postgres(it) = &mut this {
            let others: i64 = sqlx::query_scalar(OTHERS).fetch_one(it).await.unwrap();
            if others == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
        this
    }

    /// Opens the books while others may write in them.
    pub(super) async fn beside_others(location: &str) -> Self {
        if location.starts_with("postgres://") {
            let options = PgConnectOptions::from_str(location).unwrap();
            return Self::Postgres(options.connect().await.unwrap());
        }
        let options = SqliteConnectOptions::new().filename(location);
        Self::Sqlite(options.read_only(true).connect().await.unwrap())
    }

    pub(super) async fn close(self) {
        match self {
            Self::Sqlite(it) => it.close().await.unwrap(),
            Self::Postgres(it) => it.close().await.unwrap(),
        }
    }

    /// The database is whole, no wallet has spent more than it was given, and every sum is that of
    /// its parts.
    pub(super) async fn sums(&mut self, granted: &Granted) -> Result<(), String> {
        if let Self::Sqlite(it) = self {
            let whole = sqlx::query_scalar("PRAGMA integrity_check");
            let whole: String = whole.fetch_one(it).await.map_err(|it| it.to_string())?;
            expect("integrity_check", &whole, &"ok".to_owned())?;
        }
        let wallets = self.wallets().await?;
        expect("wallets", &wallets.len(), &granted.len())?;
        for wallet in wallets {
            let given = granted.get(wallet.name.as_str()).copied();
            let funds = wallet.granted - wallet.withdrawn - wallet.settled;
            let of = |what: &str| format!("{what} of {}", wallet.name);
            expect(&of("granted"), &Some(wallet.granted), &given)?;
            if wallet.held < 0 || wallet.held > funds {
                return Err(format!("{} holds {} of {funds}", wallet.name, wallet.held));
            }
            let pools: Vec<Pool> = serde_json::from_str(&wallet.pools).unwrap();
            let pooled = pools.iter().map(|pool| pool.credits).sum();
            expect(&of("settled"), &wallet.settled, &wallet.charged)?;
            expect(&of("held"), &wallet.held, &wallet.open)?;
            expect::<i64>(&of("pools"), &pooled, &funds)?;
            expect(&of("entries"), &wallet.entries, &funds)?;
        }
        Ok(())
    }

    async fn wallets(&mut self) -> Result<Vec<Wallet>, String> {
        read!(self, WALLETS, 0, |row| Wallet {
            name: row.get("organization"),
            granted: row.get("granted"),
            withdrawn: row.get("withdrawn"),
            settled: row.get("settled"),
            held: row.get("held"),
            pools: row.get("pools"),
            charged: row.get("charged"),
            open: row.get("open"),
            entries: row.get("entries"),
        })
    }

    /// Every entry has the balance that it left, and every charge has its entry.
    pub(super) async fn lines(&mut self) -> Result<(), String> {
        let wrong = self.count(WRONG_BALANCES).await?;
        expect("wrong balances", &wrong, &0)?;
        let wrong = self.count(WRONG_CHARGES).await?;
        expect("wrong charges", &wrong, &0)
    }

    /// Whatever was told since then is there. A hold whose end was not told may have ended.
    pub(super) async fn keep(&mut self, told: &Told, since: Timestamp) -> Result<(), String> {
        let rows = self.holds(HOLDS_SINCE, since).await?;
        let within = |hold: &Hold| hold.state != "expired";
        told.0.iter().try_for_each(|it| kept(it, &rows, within))
    }

    /// Whatever was ever told of this database is there; what nobody ended has expired.
    pub(super) async fn still_keep(&mut self, told: &Told) -> Result<(), String> {
        let rows = self.holds(HOLDS_SINCE, Timestamp::default()).await?;
        let within = |hold: &Hold| hold.state != "open";
        told.0.iter().try_for_each(|it| kept(it, &rows, within))
    }

    /// A task waits for one answer at a time: so many holds of each life of a process may be there
    /// that nobody was told of.
    pub(super) async fn few_were_not_told(
        &mut self,
        told: &Told,
        since: Timestamp,
        lives: usize,
    ) -> Result<(), String> {
        let rows = self.holds(HOLDS_SINCE, since).await?;
        let unknown = rows.keys().filter(|id| !told.0.contains_key(id)).count();
        if unknown <= TASKS * lives {
            return Ok(());
        }
        Err(format!("nobody was told of {unknown} holds"))
    }

    pub(super) async fn open_holds(&mut self) -> Result<Holds, String> {
        self.holds(OPEN_HOLDS, Timestamp::default()).await
    }

    /// No hold is open, and each of these was charged what was owed of it.
    pub(super) async fn ended_as_owed(
        &mut self,
        due: &Holds,
        since: Timestamp,
    ) -> Result<(), String> {
        expect("open holds", &self.open_holds().await?.len(), &0)?;
        let rows = self.holds(HOLDS_SINCE, since).await?;
        for (id, before) in due {
            let Some(after) = rows.get(id) else {
                return Err(format!("{id} was due and is not there"));
            };
            let state = if before.owed > 0 {
                "settled"
            } else {
                "expired"
            };
            if (after.state.as_str(), after.charged) != (state, before.owed) {
                return Err(format!("{id} was {before:?} and ended as {after:?}"));
            }
        }
        Ok(())
    }

    async fn holds(&mut self, sql: &'static str, since: Timestamp) -> Result<Holds, String> {
        let rows: Vec<_> = read!(self, sql, since.as_micros(), |row| {
            let id: Vec<u8> = row.get("id");
            let hold = Hold {
                organization: row.get("organization"),
                credits: row.get("credits"),
                owed: row.get("owed"),
                state: row.get("state"),
                charged: row.get("charged"),
            };
            (HoldId::from_bytes(id.try_into().unwrap()), hold)
        })?;
        Ok(rows.into_iter().collect())
    }

    async fn count(&mut self, sql: &'static str) -> Result<i64, String> {
        let counts: Vec<i64> = read!(self, sql, 0, |row| row.get(0))?;
        Ok(counts.into_iter().sum())
    }
}

/// Whether a row says what was told, and otherwise is as it may be.
fn kept(
    (id, told): (&HoldId, &ToldOf),
    rows: &Holds,
    within: impl Fn(&Hold) -> bool,
) -> Result<(), String> {
    let Some(row) = rows.get(id) else {
        return Err(format!("{id} was acknowledged and is not there: {told:?}"));
    };
    let ended = match told.end {
        Some(End::Settled(charged)) => row.state == "settled" && row.charged == charged,
        Some(End::Voided) => row.state == "voided",
        None => within(row),
    };
    let same = row.organization == told.organization && row.credits >= told.credits;
    let owed = row.state != "open" || row.owed >= told.owed;
    if ended && same && owed {
        return Ok(());
    }
    Err(format!("{id} was acknowledged as {told:?} and is {row:?}"))
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, is: &T, should: &T) -> Result<(), String> {
    if is == should {
        return Ok(());
    }
    Err(format!("{what}: {is:?} instead of {should:?}"))
}

/// Connections to this database besides this one.
const OTHERS: &str = "
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()";

const WALLETS: &str = "
    SELECT organization, granted, withdrawn, settled, held, pools,
        coalesce(h.charged, 0) AS charged, coalesce(h.open, 0) AS open,
        coalesce(e.sum, 0) AS entries
    FROM tollgate_wallets
    LEFT JOIN (SELECT organization, CAST(sum(charged - refunded) AS BIGINT) AS charged,
            CAST(sum(CASE WHEN state = 'open' THEN credits ELSE 0 END) AS BIGINT) AS open
        FROM tollgate_holds GROUP BY organization) AS h USING (organization)
    LEFT JOIN (SELECT organization, CAST(sum(credits) AS BIGINT) AS sum
        FROM tollgate_entries GROUP BY organization) AS e USING (organization)
    WHERE $1 = 0";

/// Entries whose balance is not the one before and what they brought.
const WRONG_BALANCES: &str = "
    SELECT count(*) FROM (
        SELECT balance, sum(credits) OVER (PARTITION BY organization ORDER BY seq) AS sum
        FROM tollgate_entries) AS e
    WHERE $1 = 0 AND balance <> sum";

/// Charges without an entry of their own, and entries without a charge.
const WRONG_CHARGES: &str = "
    SELECT count(*) FROM (
        SELECT hold_id, count(*) AS lines, -sum(credits) AS paid
        FROM tollgate_entries WHERE kind = 'charge' GROUP BY hold_id) AS e
    FULL JOIN (SELECT id, charged FROM tollgate_holds WHERE charged > 0) AS h ON h.id = e.hold_id
    WHERE $1 = 0 AND (lines IS DISTINCT FROM 1 OR paid IS DISTINCT FROM charged)";

const HOLDS_SINCE: &str = "
    SELECT id, organization, credits, owed, state, charged
    FROM tollgate_holds WHERE created_at >= $1";

const OPEN_HOLDS: &str = "
    SELECT id, organization, credits, owed, state, charged
    FROM tollgate_holds WHERE state = 'open' AND created_at >= $1";
