//! The store keeps every contract: on a file, in memory, and on PostgreSQL.

macro_rules! contracts {
    ($make:expr) => {
        mod key_store {
            tollgate_testkit::key_store_contract!($make);
        }
        mod key_lists {
            tollgate_testkit::key_lists_contract!($make);
        }
        mod key_import {
            tollgate_testkit::key_import_contract!($make);
        }
        mod key_requests {
            tollgate_testkit::key_requests_contract!($make);
        }
        mod ledger {
            tollgate_testkit::ledger_contract!($make);
        }
        mod quota_store {
            tollgate_testkit::quota_store_contract!($make);
        }
        mod usage_store {
            tollgate_testkit::usage_store_contract!($make);
        }
        mod change_feed {
            tollgate_testkit::change_feed_contract!($make);
        }
        mod audit {
            tollgate_testkit::audit_contract!($make);
        }
        mod accounts {
            tollgate_testkit::account_contract!($make);
        }
    };
}

mod on_file {
    use std::ops::Deref;

    use tempfile::TempDir;
    use tollgate_sqlx::{SqliteOptions, SqliteStore};
    use tollgate_testkit::ledger::sequences;

    use crate::{number, say};

    struct OnFile {
        store: SqliteStore,
        _dir: TempDir,
    }

    impl Deref for OnFile {
        type Target = SqliteStore;

        fn deref(&self) -> &SqliteStore {
            &self.store
        }
    }

    async fn make() -> OnFile {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("tollgate.db");
        OnFile {
            store: SqliteStore::open(path.to_str().unwrap()).await.unwrap(),
            _dir: dir,
        }
    }

    contracts!(super::make);

    /// `TOLLGATE_SEQUENCES` says how many.
    #[test]
    fn any_sequence_of_operations_on_a_ledger_does_what_the_model_does() {
        let tally = sequences::run_with_crashes(
            number("TOLLGATE_SEQUENCES", 80),
            async || TempDir::new().unwrap(),
            async |dir| {
                // Crashes here are the app's, not the machine's.
                let path = dir.path().join("tollgate.db");
                let options = SqliteOptions::new(path.to_str().unwrap());
                Box::new(options.synchronous_normal().open().await.unwrap())
            },
        );
        say(&format!("on a file: {tally}"));
    }
}

mod in_memory {
    use tollgate_sqlx::SqliteStore;
    use tollgate_testkit::ledger::sequences;

    use crate::{number, say};

    async fn make() -> Box<SqliteStore> {
        Box::new(SqliteStore::open("sqlite::memory:").await.unwrap())
    }

    contracts!(super::make);

    /// `TOLLGATE_SEQUENCES` says how many.
    #[test]
    fn any_sequence_of_operations_on_a_ledger_does_what_the_model_does() {
        let tally = sequences::run(number("TOLLGATE_SEQUENCES", 80), make);
        say(&format!("in memory: {tally}"));
    }
}

mod postgres {
    use tollgate_servers::Postgres;
    use tollgate_sqlx::PostgresStore;
    use tollgate_testkit::ledger::sequences;

    use crate::postgres::open;
    use crate::{number, say};

    async fn make() -> Box<PostgresStore> {
        Box::new(open(&Postgres::shared().fresh()).await)
    }

    contracts!(super::make);

    /// `TOLLGATE_SEQUENCES` says how many.
    #[test]
    fn any_sequence_of_operations_on_a_ledger_does_what_the_model_does() {
        let tally = sequences::run_with_crashes(
            number("TOLLGATE_SEQUENCES", 25),
            async || Postgres::shared().fresh(),
            async |url| Box::new(open(url).await),
        );
        say(&format!("on PostgreSQL: {tally}"));
    }
}
