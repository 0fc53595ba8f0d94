//! What has to be true of the file, whenever the process was killed.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{ConnectOptions, Connection, Row as _};
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

/// Looks into the file, without the store.
pub(super) struct Books(SqliteConnection);

impl Books {
    pub(super) async fn open(path: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        Self(options.connect().await.unwrap())
    }

    pub(super) async fn close(self) {
        self.0.close().await.unwrap();
    }

    /// The file is whole, no wallet has spent more than it was given, and every sum is that of
    /// its parts.
    pub(super) async fn sums(&mut self, granted: &Granted) -> Result<(), String> {
        let whole: String = self.one("PRAGMA integrity_check").await?;
        expect("integrity_check", &whole, &"ok".to_owned())?;
        let wallets = self.rows(WALLETS, 0).await?;
        expect("wallets", &wallets.len(), &granted.len())?;
        for wallet in wallets {
            let name: String = wallet.get("organization");
            let given = granted.get(name.as_str()).copied();
            let sum = |column: &str| wallet.get::<i64, _>(column);
            let funds = sum("granted") - sum("withdrawn") - sum("settled");
            let of = |what: &str| format!("{what} of {name}");
            expect(&of("granted"), &Some(sum("granted")), &given)?;
            if sum("held") < 0 || sum("held") > funds {
                return Err(format!("{name} holds {} of {funds}", sum("held")));
            }
            expect(&of("settled"), &sum("settled"), &sum("charged"))?;
            expect(&of("held"), &sum("held"), &sum("open"))?;
            expect(&of("pools"), &sum("pooled"), &funds)?;
            expect(&of("entries"), &sum("entries"), &funds)?;
        }
        Ok(())
    }

    /// Every entry has the balance that it left, and every charge has its entry.
    pub(super) async fn lines(&mut self) -> Result<(), String> {
        expect(
            "wrong balances",
            &self.one::<i64>(WRONG_BALANCES).await?,
            &0,
        )?;
        expect("wrong charges", &self.one::<i64>(WRONG_CHARGES).await?, &0)
    }

    /// Whatever was told since then is there. A hold whose end was not told may have ended.
    pub(super) async fn keep(&mut self, told: &Told, since: Timestamp) -> Result<(), String> {
        let rows = self.holds(HOLDS_SINCE, since).await?;
        let within = |hold: &Hold| hold.state != "expired";
        told.0.iter().try_for_each(|it| kept(it, &rows, within))
    }

    /// Whatever was ever told of this file is there; what nobody ended has expired.
    pub(super) async fn still_keep(&mut self, told: &Told) -> Result<(), String> {
        let rows = self.holds(HOLDS_SINCE, Timestamp::default()).await?;
        let within = |hold: &Hold| hold.state != "open";
        told.0.iter().try_for_each(|it| kept(it, &rows, within))
    }

    /// A task waits for one answer at a time: so many holds may be there that nobody was told of.
    pub(super) async fn few_were_not_told(
        &mut self,
        told: &Told,
        since: Timestamp,
    ) -> Result<(), String> {
        let rows = self.holds(HOLDS_SINCE, since).await?;
        let unknown = rows.keys().filter(|id| !told.0.contains_key(id)).count();
        match unknown {
            0..=TASKS => Ok(()),
            more => Err(format!("nobody was told of {more} holds")),
        }
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
        let rows = self.rows(sql, since.as_micros()).await?;
        let holds = rows.iter().map(|row| {
            let id: Vec<u8> = row.get("id");
            let hold = Hold {
                organization: row.get("organization"),
                credits: row.get("credits"),
                owed: row.get("owed"),
                state: row.get("state"),
                charged: row.get("charged"),
            };
            (HoldId::from_bytes(id.try_into().unwrap()), hold)
        });
        Ok(holds.collect())
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

const WALLETS: &str = "
    SELECT organization, granted, withdrawn, settled, held,
        coalesce((SELECT sum(json_extract(value, '$.credits')) FROM json_each(pools)), 0) AS pooled,
        coalesce(h.charged, 0) AS charged, coalesce(h.open, 0) AS open, coalesce(e.sum, 0) AS entries
    FROM tollgate_wallets
    LEFT JOIN (SELECT organization, sum(charged - refunded) AS charged,
            sum(iif(state = 'open', credits, 0)) AS open
        FROM tollgate_holds GROUP BY organization) AS h USING (organization)
    LEFT JOIN (SELECT organization, sum(credits) AS sum
        FROM tollgate_entries GROUP BY organization) AS e USING (organization)
    WHERE ?1 = 0";

/// Entries whose balance is not the one before and what they brought.
const WRONG_BALANCES: &str = "
    SELECT count(*) FROM (
        SELECT balance, sum(credits) OVER (PARTITION BY organization ORDER BY seq) AS sum
        FROM tollgate_entries)
    WHERE balance <> sum";

/// Charges without an entry of their own, and entries without a charge.
const WRONG_CHARGES: &str = "
    SELECT count(*) FROM (
        SELECT hold_id, count(*) AS lines, -sum(credits) AS paid
        FROM tollgate_entries WHERE kind = 'charge' GROUP BY hold_id) AS e
    FULL JOIN (SELECT id, charged FROM tollgate_holds WHERE charged > 0) AS h ON h.id = e.hold_id
    WHERE lines IS NOT 1 OR paid IS NOT charged";

const HOLDS_SINCE: &str = "
    SELECT id, organization, credits, owed, state, charged
    FROM tollgate_holds WHERE created_at >= ?";

const OPEN_HOLDS: &str = "
    SELECT id, organization, credits, owed, state, charged
    FROM tollgate_holds WHERE state = 'open' AND created_at >= ?";
