//! SQLite or PostgreSQL, as a URL says: what an app has whose operator chooses.

use tollgate_core::change::Told;
use tollgate_core::error::StoreError;

use crate::postgres::Postgres;
use crate::session::{
    Backend, Dialect, Row, Session, Sql, Statement, Time, Transaction, Value, sealed::Sealed,
};
use crate::sqlite::Sqlite;

/// The connections to either database.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "callers have ports, not connections"
)]
pub enum Any {
    /// To SQLite.
    Sqlite(Sqlite),
    /// To PostgreSQL.
    Postgres(Postgres),
}

/// A session of either.
#[derive(Debug)]
#[expect(unnameable_types, reason = "callers have ports, not connections")]
pub enum Either<S, P> {
    /// Of SQLite.
    Sqlite(S),
    /// Of PostgreSQL.
    Postgres(P),
}

/// Does the same with either.
macro_rules! either {
    ($of:expr, $kind:ident, $it:pat => $work:expr) => {
        match $of {
            $kind::Sqlite($it) => $work,
            $kind::Postgres($it) => $work,
        }
    };
}

impl Sealed for Any {}

impl Backend for Any {
    type Read = Either<<Sqlite as Backend>::Read, <Postgres as Backend>::Read>;
    type Write = Either<<Sqlite as Backend>::Write, <Postgres as Backend>::Write>;

    fn dialect(&self) -> Dialect {
        either!(self, Self, it => it.dialect())
    }

    fn time(&self) -> Time {
        either!(self, Self, it => it.time())
    }

    async fn read(&self) -> Result<Self::Read, StoreError> {
        Ok(match self {
            Self::Sqlite(it) => Either::Sqlite(it.read().await?),
            Self::Postgres(it) => Either::Postgres(it.read().await?),
        })
    }

    async fn write(&self) -> Result<Self::Write, StoreError> {
        Ok(match self {
            Self::Sqlite(it) => Either::Sqlite(it.write().await?),
            Self::Postgres(it) => Either::Postgres(it.write().await?),
        })
    }

    async fn charge(&self) -> Result<Self::Write, StoreError> {
        Ok(match self {
            Self::Sqlite(it) => Either::Sqlite(it.charge().await?),
            Self::Postgres(it) => Either::Postgres(it.charge().await?),
        })
    }

    async fn count(&self) -> Result<Self::Write, StoreError> {
        Ok(match self {
            Self::Sqlite(it) => Either::Sqlite(it.count().await?),
            Self::Postgres(it) => Either::Postgres(it.count().await?),
        })
    }

    async fn told(&self) -> Told {
        either!(self, Self, it => it.told().await)
    }
}

impl<S: Session, P: Session> Session for Either<S, P> {
    fn dialect(&self) -> Dialect {
        either!(self, Self, it => it.dialect())
    }

    async fn execute(
        &mut self,
        sql: impl Into<Sql> + Send,
        values: Vec<Value>,
    ) -> Result<u64, StoreError> {
        either!(self, Self, it => it.execute(sql, values).await)
    }

    async fn fetch(
        &mut self,
        sql: impl Into<Sql> + Send,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        either!(self, Self, it => it.fetch(sql, values).await)
    }

    async fn fetch_composed(
        &mut self,
        sql: String,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        either!(self, Self, it => it.fetch_composed(sql, values).await)
    }

    async fn run(&mut self, statements: Vec<Statement>) -> Result<Vec<Vec<Row>>, StoreError> {
        either!(self, Self, it => it.run(statements).await)
    }
}

impl<S: Transaction, P: Transaction> Transaction for Either<S, P> {
    async fn commit(self) -> Result<(), StoreError> {
        either!(self, Self, it => it.commit().await)
    }

    async fn commit_after(self, statements: Vec<Statement>) -> Result<(), StoreError> {
        either!(self, Self, it => it.commit_after(statements).await)
    }

    async fn commit_together(self, statements: Vec<Statement>) -> Result<(), StoreError> {
        either!(self, Self, it => it.commit_together(statements).await)
    }

    async fn commit_much(self, statements: Vec<Statement>) -> Result<(), StoreError> {
        either!(self, Self, it => it.commit_much(statements).await)
    }
}
