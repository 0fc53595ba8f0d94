//! A directory with a catalog, in which the command is run.

use std::cell::Cell;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tollgate_core::catalog::Catalog;
use tollgate_core::store::{CatalogStore as _, Declaration};
use tollgate_servers::Postgres;
use tollgate_sqlx::{AnyOptions, AnyStore};

pub(crate) const CATALOG: &str = r#"
    [scopes]
    "iocs:read" = "Look up indicators"
    "iocs:write" = { description = "Submit indicators", implies = ["iocs:read"] }

    [presets]
    "read-only" = ["iocs:read"]

    [plans.free]
    rank = 0
    rates = ["10/minute", { limit = "100/hour", kind = "exact" }]
    quotas = ["1000/day"]

    [plans.pro]
    rank = 1
    credits_per_month = 1000
"#;

thread_local! {
    /// Whether the places of this thread's test have their databases on PostgreSQL.
    static ON_POSTGRES: Cell<bool> = const { Cell::new(false) };
}

/// A directory of its own: `keys.db` is its database, unless it is on a server, and `catalog.toml`
/// a catalog.
pub(crate) struct Place {
    directory: TempDir,
    database: Option<String>,
}

/// Runs a test whose places have their databases on PostgreSQL.
pub(crate) fn on_postgres(test: fn()) {
    // Each test has a thread of its own.
    ON_POSTGRES.set(true);
    test();
}

/// What a command left behind.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    /// Without a database.
    pub(crate) fn bare() -> Self {
        let database = ON_POSTGRES.get().then(|| Postgres::shared().fresh());
        let place = Self {
            directory: TempDir::new().unwrap(),
            database,
        };
        std::fs::write(place.path("catalog.toml"), CATALOG).unwrap();
        place
    }

    /// With an empty database on a server.
    pub(crate) fn on_a_server() -> Self {
        Self {
            database: Some(Postgres::shared().fresh()),
            ..Self::bare()
        }
    }

    /// With a database on which an app has started, and the organization `acme` on `free`.
    pub(crate) async fn new() -> Self {
        let place = Self::bare();
        place.record(CATALOG).await;
        place.good(["org", "create", "acme", "--plan", "free"]);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The database on a server.
    pub(crate) fn url(&self) -> &str {
        self.database.as_deref().unwrap()
    }

    /// Writes a file that is its owner's alone.
    pub(crate) fn keep(&self, name: &str, secret: &str) {
        let mut options = std::fs::File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(self.path(name)).unwrap();
        std::io::Write::write_all(&mut file, secret.as_bytes()).unwrap();
    }

    /// The database, as an app has it open.
    pub(crate) async fn store(&self) -> AnyStore {
        let path = self.path("keys.db");
        let location = self.database.as_deref().or(path.to_str());
        let options = AnyOptions::new(location.unwrap()).allow_lost_commits();
        options.open().await.unwrap()
    }

    /// Does what an app with this catalog does at its start.
    pub(crate) async fn record(&self, catalog: &str) {
        let store = self.store().await;
        let declared = Declaration {
            catalog: Catalog::from_toml(catalog).unwrap().to_json(),
            permissions: r#"[{"path":"/iocs"}]"#.to_owned(),
        };
        store.record_declaration(declared).await.unwrap();
        store.close().await;
    }

    /// The command, deaf to the environment of whoever runs the tests.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        for variable in ["CATALOG", "AUDIT_KEY_FILE", "PEPPER_FILE", "SESSION"] {
            command.env_remove(format!("TOLLGATE_{variable}"));
        }
        let database = self.database.as_deref().unwrap_or("sqlite://keys.db");
        command.env("TOLLGATE_DATABASE", database);
        // The tests' server does not wait for its disk.
        command.env("TOLLGATE_ALLOW_LOST_COMMITS", "true");
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Done {
        Done::of(&self.command().args(args).output().unwrap())
    }

    /// What a command prints that succeeds.
    #[track_caller]
    pub(crate) fn good<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        let done = self.run(args);
        assert_eq!(done.code, 0, "{}", done.stderr);
        done.stdout
    }

    /// The same as JSON.
    #[track_caller]
    pub(crate) fn json<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Value {
        let printed = self.good(args.into_iter().chain(["--json"]));
        serde_json::from_str(&printed).unwrap()
    }

    /// The sentence that a command is refused with; it prints nothing else.
    #[track_caller]
    pub(crate) fn refused<S: AsRef<OsStr>>(
        &self,
        code: i32,
        args: impl IntoIterator<Item = S>,
    ) -> String {
        let done = self.run(args);
        assert_eq!((done.code, &*done.stdout), (code, ""), "{}", done.stderr);
        let said = done.stderr.strip_prefix("error: ").unwrap();
        assert!(!said.contains("panicked"), "{said}");
        let sentence = said.split_once("\n\n").map_or(said, |(first, _)| first);
        sentence.trim_end_matches('\n').to_owned()
    }

    /// A new key of `acme`: its id and its secret.
    #[track_caller]
    pub(crate) fn key(&self, args: &[&str]) -> (String, String) {
        let create = ["key", "create", "--org", "acme", "--name", "ci"];
        let issued = self.json(create.into_iter().chain(args.iter().copied()));
        (text(&issued["id"]), text(&issued["key"]))
    }
}

impl Done {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout.clone()).unwrap(),
            stderr: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
