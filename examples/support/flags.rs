//! The flags of every example. Those with a value have an environment variable too.

use std::fmt;
use std::io;

use clap::builder::BoolishValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches, Parser};
use tokio::net::TcpListener;
use tollgate::GateBuilder;
use tollgate_redis::RedisOptions;
use tollgate_sqlx::{AnyOptions, AnyStore};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::failure::Failure;

/// What an example was told at its start.
#[derive(Clone, Debug)]
pub struct Flags {
    /// What the file of keys is called, without its ending.
    name: &'static str,
    listen: Setting,
    database: Setting,
    allow_lost_commits: bool,
    redis: Option<Setting>,
    nodes: u32,
    permissions: bool,
    switched_on: bool,
}

#[derive(Debug, Parser)]
struct Arguments {
    /// Listens here; port 0 takes any free one
    #[arg(
        long,
        value_name = "ADDR",
        env = "TOLLGATE_LISTEN",
        default_value = "127.0.0.1:8080"
    )]
    listen: String,

    /// Keeps keys here, and makes the file if there is none; `sqlite::memory:` keeps nothing, and
    /// `postgres://user:password@host/name` is for many nodes
    #[arg(
        long,
        value_name = "URL",
        env = "TOLLGATE_DATABASE",
        hide_env_values = true
    )]
    database: String,

    /// Works on a PostgreSQL server that does not wait for its disk: for trying things out
    #[arg(
        long,
        env = "TOLLGATE_ALLOW_LOST_COMMITS",
        value_parser = BoolishValueParser::new()
    )]
    allow_lost_commits: bool,

    /// Counts rates here, for all nodes, in place of this process's memory: `redis://host`
    #[arg(
        long,
        value_name = "URL",
        env = "TOLLGATE_REDIS",
        hide_env_values = true
    )]
    redis: Option<String>,

    /// The most nodes there will be: while Redis is down, each admits its share of a rate
    #[arg(
        long,
        value_name = "N",
        env = "TOLLGATE_NODES",
        default_value_t = 4,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    nodes: u32,

    /// Prints what each route demands, as a Markdown table, and exits
    #[arg(long)]
    permissions: bool,
}

/// A value, and where it is from, so that an error can name the place.
#[derive(Clone, Debug)]
struct Setting {
    value: String,
    source: &'static str,
}

impl Flags {
    /// Reads the command line and the environment. Ends the process at `--help`, and with a
    /// sentence at flags that make no sense.
    ///
    /// `about` says what the example is, `database` where it keeps keys unless told otherwise.
    #[must_use]
    pub fn read(about: &'static str, database: &'static str) -> Self {
        Self::parse(database, &command(about, database).get_matches())
    }

    /// The same for an example that has one switch of its own: its name, such as `allow-this`, and
    /// what `--help` says of it.
    #[must_use]
    pub fn read_with_switch(
        about: &'static str,
        database: &'static str,
        (name, help): (&'static str, &'static str),
    ) -> Self {
        let switch = Arg::new(name)
            .long(name)
            .help(help)
            .action(ArgAction::SetTrue);
        let matches = command(about, database).arg(switch).get_matches();
        Self {
            switched_on: matches.get_flag(name),
            ..Self::parse(database, &matches)
        }
    }

    fn parse(database: &'static str, matches: &ArgMatches) -> Self {
        let arguments = Arguments::from_arg_matches(matches).unwrap_or_else(|error| error.exit());
        Self {
            name: database.strip_suffix(".db").unwrap_or(database),
            listen: Setting {
                value: arguments.listen,
                source: source(matches, "listen", "--listen", "TOLLGATE_LISTEN"),
            },
            database: Setting {
                value: arguments.database,
                source: source(matches, "database", "--database", "TOLLGATE_DATABASE"),
            },
            allow_lost_commits: arguments.allow_lost_commits,
            redis: arguments.redis.map(|value| Setting {
                value,
                source: source(matches, "redis", "--redis", "TOLLGATE_REDIS"),
            }),
            nodes: arguments.nodes,
            permissions: arguments.permissions,
            switched_on: false,
        }
    }

    /// Whether only the permission map is wanted.
    #[must_use]
    pub const fn permissions(&self) -> bool {
        self.permissions
    }

    /// Whether the example's own switch was named.
    #[must_use]
    pub const fn switched_on(&self) -> bool {
        self.switched_on
    }

    /// Counts rates where it was told to: for all nodes in Redis, or in this process's memory.
    ///
    /// # Errors
    ///
    /// A [`Failure`] that names where the URL of Redis is from.
    pub async fn count_rates(&self, gate: GateBuilder) -> Result<GateBuilder, Failure> {
        let Some(Setting { value, source }) = &self.redis else {
            if self.is_on_a_server() {
                tracing::warn!(
                    "rates are counted in this process's memory; `--redis` counts them for all nodes"
                );
            }
            return Ok(gate);
        };
        let limiter = RedisOptions::new(value).prefix(self.name).nodes(self.nodes);
        let limiter = limiter.open().await;
        // Not the value itself: a URL may hold a password. The error names the place.
        let limiter = limiter.map_err(|error| {
            Failure::new(format!("cannot use the Redis (from {source}): {error}"))
                .with_remedy("name another one, such as `--redis redis://127.0.0.1:6379`")
        })?;
        Ok(gate.limiter(limiter))
    }

    fn is_on_a_server(&self) -> bool {
        matches!(
            AnyOptions::new(&self.database.value),
            AnyOptions::Postgres(_)
        )
    }

    /// What to do for another first start.
    #[must_use]
    pub fn how_to_start_over(&self) -> String {
        let url = &self.database.value;
        if self.is_on_a_server() {
            // Not the URL, which may hold a password.
            return "to start over, name another database, or drop this one (`DROP DATABASE`, then \
                    `CREATE DATABASE`)"
                .to_owned();
        }
        let path = url.strip_prefix("sqlite:").unwrap_or(url);
        let path = path.strip_prefix("//").unwrap_or(path);
        format!("to start over, delete the file `{path}` (and `-wal` and `-shm` beside it)")
    }

    /// What is said in place of the secrets, at every start but the first.
    #[must_use]
    pub fn secrets_were_shown(&self) -> String {
        let start_over = self.how_to_start_over();
        format!(
            "The database has the organizations of this example already, so no keys were made. Their secrets \
             and\nthe operator's password were shown when they were made, and cannot be shown again;\n{start_over}."
        )
    }

    /// Listens where it was told to.
    ///
    /// # Errors
    ///
    /// A [`Failure`] that names the address and where it is from.
    pub async fn listen(&self) -> Result<TcpListener, Failure> {
        TcpListener::bind(&self.listen.value)
            .await
            .map_err(|error| {
                Failure::new(format!("cannot listen on {}: {error}", self.listen))
                    .with_remedy("name another address and port, such as `--listen 127.0.0.1:0`")
            })
    }

    /// Opens the database that it was told.
    ///
    /// # Errors
    ///
    /// A [`Failure`] that names the database and where that is from.
    pub async fn open(&self) -> Result<AnyStore, Failure> {
        let url = &self.database.value;
        let options = AnyOptions::new(url);
        let options = if self.allow_lost_commits {
            options.allow_lost_commits()
        } else {
            options
        };
        options.open().await.map_err(|error| {
            // Not the value itself: a URL may hold a password. The error names the place.
            let place = self.database.source;
            let reason = Failure::from(error);
            let remedy = if self.is_on_a_server() {
                "`--allow-lost-commits` takes a server that does not wait for its disk, and `--database \
                 ./keys.db` needs no server"
            } else {
                "name another file, such as `--database ./keys.db`"
            };
            Failure::new(format!("cannot open the database (from {place}): {reason}"))
                .with_remedy(remedy)
        })
    }
}

/// Logs to stderr what `RUST_LOG` names; warnings and errors if it names nothing.
///
/// # Errors
///
/// A [`Failure`] if `RUST_LOG` makes no sense.
pub fn log_to_stderr() -> Result<(), Failure> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .from_env()
        .map_err(|error| {
            Failure::new(format!("cannot use RUST_LOG: {error}"))
                .with_remedy("write a level, or targets with levels, such as `tollgate=info`")
        })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    Ok(())
}

fn command(about: &'static str, database: &'static str) -> Command {
    Arguments::command()
        .about(about)
        .mut_arg("database", |arg| {
            arg.required(false).default_value(database)
        })
}

fn source(
    matches: &ArgMatches,
    id: &str,
    flag: &'static str,
    variable: &'static str,
) -> &'static str {
    match matches.value_source(id) {
        Some(ValueSource::EnvVariable) => variable,
        Some(ValueSource::DefaultValue) | None => "the default",
        Some(_) => flag,
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (from {})", self.value, self.source)
    }
}
