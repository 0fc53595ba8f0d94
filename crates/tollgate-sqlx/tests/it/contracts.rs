//! The store keeps every contract, on a file and in memory.

macro_rules! contracts {
    ($make:expr) => {
        mod key_store {
            tollgate_testkit::key_store_contract!($make);
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
    };
}

mod on_file {
    use std::ops::Deref;

    use tempfile::TempDir;
    use tollgate_sqlx::SqliteStore;

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
}

mod in_memory {
    use tollgate_sqlx::SqliteStore;

    async fn make() -> Box<SqliteStore> {
        Box::new(SqliteStore::open("sqlite::memory:").await.unwrap())
    }

    contracts!(super::make);
}
