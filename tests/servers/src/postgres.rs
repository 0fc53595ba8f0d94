//! A Postgres of its own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::keeper::{Failed, Keeper, free_port, now};
use crate::{install, stop};

/// The oldest that Tollgate runs on.
const OLDEST: u32 = 15;
/// What tests need, who kill processes and never pull the plug. Full pages are written all the
/// same: a process that is killed while it writes may leave half a page.
const SETTINGS: [(&str, &str); 5] = [
    ("listen_addresses", "127.0.0.1"),
    ("max_connections", "200"),
    ("fsync", "off"),
    ("synchronous_commit", "on"),
    // In the data folder, which is removed; `/dev/shm` is not, and is small in containers.
    ("dynamic_shared_memory_type", "mmap"),
];

/// A running Postgres with data in a temporary folder, for as long as this value lives.
#[derive(Debug)]
pub struct Postgres {
    keeper: Keeper,
    programs: PathBuf,
    port: u16,
    major: u32,
    databases: AtomicU32,
}

impl Postgres {
    /// The one that all tests of this process share, started by who asks first. It ends with the
    /// process.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start) does.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// One of its own, for who stops or kills it. It is as quick as can be: nothing is flushed to
    /// the disk.
    ///
    /// # Panics
    ///
    /// With a sentence that says why, where there is no Postgres 15 or later and none can be
    /// installed, or where it does not start.
    #[must_use = "it stops when it is dropped"]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// One that flushes what it commits to the disk that the temporary folder is on, for benches
    /// and crashes.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start) does.
    #[must_use = "it stops when it is dropped"]
    pub fn durable() -> Self {
        Self::start_with(&[("fsync", "on")])
    }

    /// One of its own with these settings over those of [`start`](Self::start).
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start) does.
    #[must_use = "it stops when it is dropped"]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::try_start_with(settings).unwrap_or_else(|error| stop(&error))
    }

    /// The same, for who tells people what is wrong in a way of its own.
    ///
    /// # Errors
    ///
    /// The sentence, where [`start_with`](Self::start_with) panics.
    pub fn try_start_with(settings: &[(&str, &str)]) -> Result<Self, String> {
        Self::try_start(install::postgres()?, settings)
    }

    fn try_start(programs: PathBuf, settings: &[(&str, &str)]) -> Result<Self, String> {
        let began = now();
        let arguments: Vec<_> = SETTINGS
            .iter()
            .chain(settings)
            .flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")])
            .collect();
        let keeper = Keeper::new("postgres", &programs, &arguments)?;
        let made = began.elapsed();
        let mut server = Self {
            keeper,
            programs,
            port: 0,
            major: 0,
            databases: AtomicU32::new(0),
        };
        loop {
            server.port = free_port();
            match server.wait_for_start() {
                Ok(()) => break,
                Err(Failed::PortTaken) => {}
                Err(Failed::Otherwise(error)) => return Err(error),
            }
        }
        server.major = server.check()?;
        let all = began.elapsed();
        let Self { port, major, .. } = server;
        eprintln!(
            "Postgres {major} on port {port} after {all:.1?}, of which initdb took {made:.1?}"
        );
        Ok(server)
    }

    /// The superuser's default database.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// A new database with nothing in it.
    ///
    /// # Panics
    ///
    /// Where the server is stopped or paused.
    #[must_use]
    pub fn fresh(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("fresh_{number}");
        // From `template0`, since nobody can be connected to it, so that several can be made at once.
        let made = self.query(
            &self.url(),
            &format!("CREATE DATABASE {name} TEMPLATE template0"),
        );
        made.unwrap_or_else(|error| stop(&error));
        self.url_of(&name)
    }

    /// What `psql`, which came with the server, prints for these statements: a line a row, with `|`
    /// between columns.
    ///
    /// # Errors
    ///
    /// With a sentence that has the server's own error.
    pub fn query(&self, url: &str, sql: &str) -> Result<String, String> {
        let mut psql = Command::new(self.programs.join("psql"));
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                psql.env_remove(name);
            }
        }
        let psql = psql
            .args(["-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1"])
            .args(["-d", url, "-c", sql])
            .stdin(Stdio::null())
            .output();
        let output = psql.map_err(|error| format!("`psql` cannot be run: {error}"))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            let error = String::from_utf8_lossy(&output.stderr);
            Err(self
                .keeper
                .because(&format!("`{sql}` failed: {}", error.trim_end())))
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The first part of its version.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    /// Stops every process of it in its tracks: connections stay open, and nobody answers.
    ///
    /// # Panics
    ///
    /// Where the shell around it is gone.
    pub fn pause(&self) {
        self.order("pause");
    }

    /// Lets it go on.
    ///
    /// # Panics
    ///
    /// As [`pause`](Self::pause) does.
    pub fn resume(&self) {
        self.order("resume");
    }

    /// Kills every process of it, as a crash does. Its files stay.
    ///
    /// # Panics
    ///
    /// As [`pause`](Self::pause) does.
    pub fn kill(&self) {
        self.order("crash");
    }

    /// Kills it unless that was done, and starts it on the same port with the same files.
    ///
    /// # Panics
    ///
    /// Where it does not start.
    pub fn restart(&self) {
        self.kill();
        match self.wait_for_start() {
            Ok(()) => self.check().map_or_else(|error| stop(&error), drop),
            Err(Failed::PortTaken) => stop(&format!("port {} was taken meanwhile", self.port)),
            Err(Failed::Otherwise(error)) => stop(&error),
        }
    }

    fn wait_for_start(&self) -> Result<(), Failed> {
        let notes = self.keeper.folder().join("data/postmaster.pid");
        self.keeper.start(self.port, |process| {
            // Its process first, in the eighth line what it does; a dead one's may be there still.
            let notes = fs::read_to_string(&notes).unwrap_or_default();
            let mut lines = notes.lines();
            let is_ours = lines.next() == Some(process);
            let is_ready = lines.nth(6).is_some_and(|line| line.trim_end() == "ready");
            (is_ours && is_ready).then_some(())
        })
    }

    /// Reads the version, and sees that what answers is the server of this folder.
    fn check(&self) -> Result<u32, String> {
        let asked =
            "SELECT current_setting('server_version_num'), current_setting('data_directory')";
        let answer = self.query(&self.url(), asked)?;
        let (version, folder) = answer.trim_end().split_once('|').unwrap_or_default();
        let ours = self.keeper.folder().join("data");
        if ours != Path::new(folder) {
            let (port, ours) = (self.port, ours.display());
            return Err(format!(
                "port {port} is answered by a Postgres with its data in `{folder}`, and not in `{ours}`: run the tests again"
            ));
        }
        let version: u32 = version.parse().unwrap_or_default();
        let major = version / 10_000;
        if major < OLDEST {
            return Err(format!(
                "`{}` has Postgres {major}, and Tollgate needs {OLDEST} or later: install a newer one",
                self.programs.display()
            ));
        }
        Ok(major)
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn order(&self, order: &str) {
        self.keeper
            .order(order)
            .unwrap_or_else(|error| stop(&error));
    }
}
