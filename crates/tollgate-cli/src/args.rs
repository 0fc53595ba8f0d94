//! What can be asked for on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use tollgate_core::invalid::Invalid;
use tollgate_core::plan::parse_duration;
use tollgate_sqlx::AnyOptions;

use crate::audit::Audit;
use crate::catalog::CatalogCommand;
use crate::credits::Credits;
use crate::explain::Explain;
use crate::key::Key;
use crate::org::Org;
use crate::session::SessionCommand;
use crate::transfer::Move;
use crate::usage::Usage;
use crate::user::UserCommand;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused, or failed; standard error says why
  2  the command line makes no sense
  3  `audit verify` found that the trail is not whole";

/// The longest time that a key or a grace may last.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Manages organizations, API keys, credits, users and the audit trail of an app on Tollgate
///
/// It works on the app's own database, while the app runs or not. A running app sees each change
/// within 250 ms, on PostgreSQL within milliseconds.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) group: Group,
}

/// What every command may be told.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Settings {
    /// The app's database: `sqlite://keys.db`, or a path, or `postgres://user@host/name`, of which
    /// the password, if it has one, is to stand in the variable: every user of the machine can read
    /// arguments
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "TOLLGATE_DATABASE",
        hide_env_values = true
    )]
    pub(crate) database: Option<String>,

    /// Works on a PostgreSQL server that does not wait for its disk: a crash of its machine may
    /// lose what was done
    #[arg(
        long,
        global = true,
        env = "TOLLGATE_ALLOW_LOST_COMMITS",
        value_parser = BoolishValueParser::new()
    )]
    pub(crate) allow_lost_commits: bool,

    /// A catalog in TOML, in place of the one that the app recorded at its last start
    #[arg(long, global = true, value_name = "FILE", env = "TOLLGATE_CATALOG")]
    pub(crate) catalog: Option<PathBuf>,

    /// A file with the key that seals the app's audit trail; every byte of it counts
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "TOLLGATE_AUDIT_KEY_FILE"
    )]
    pub(crate) audit_key_file: Option<PathBuf>,

    /// A file with the pepper of the app's key digests; every byte of it counts
    #[arg(long, global = true, value_name = "FILE", env = "TOLLGATE_PEPPER_FILE")]
    pub(crate) pepper_file: Option<PathBuf>,

    /// Prints JSON, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Settings {
    /// How to open a database, by what every command may be told.
    pub(crate) fn options(&self, database: &str) -> AnyOptions {
        let options = AnyOptions::new(database);
        if self.allow_lost_commits {
            options.allow_lost_commits()
        } else {
            options
        }
    }
}

/// The groups of commands. A new one is a file of its own, and a variant here.
#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// Organizations: who owns keys, plans, credits and resources
    #[command(subcommand)]
    Org(Org),
    /// API keys
    #[command(subcommand)]
    Key(Key),
    /// Credits of organizations
    #[command(subcommand)]
    Credits(Credits),
    /// What keys were used for
    #[command(subcommand)]
    Usage(Usage),
    /// The audit trail: who changed what
    #[command(subcommand)]
    Audit(Audit),
    /// Catalogs: scopes, presets, plans and the form of keys
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// The people who sign in to manage keys
    #[command(subcommand)]
    User(UserCommand),
    /// Sessions of users
    #[command(subcommand)]
    Session(SessionCommand),
    /// Tells what each step would say to a request, and what it would take
    Explain(Explain),
    /// Moves everything from SQLite to PostgreSQL
    ///
    /// Stop the app first. The database that is moved keeps all that it has; the target is checked, and
    /// whatever ends this before it is done leaves it without a row.
    Move(Move),
    /// Prints completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Writes a man page for each command
    Man {
        /// The directory that they are written to; made if there is none
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

/// Why a change is made.
#[derive(Debug, Args)]
pub(crate) struct Why {
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT", value_parser = text)]
    pub(crate) reason: Option<String>,
}

/// A time that may be cleared with the empty text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OrNever(pub(crate) Option<Duration>);

/// Reads a text for people to read: a reason, a reference.
pub(crate) fn text(text: &str) -> Result<String, Invalid> {
    let good = !text.trim().is_empty() && text.len() <= 500;
    if good && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    let reason = format!("`{shown}` is not 1 to 500 bytes without control characters");
    Err(Invalid::new("text", reason))
}

/// Reads a time that may be over at once: a grace.
pub(crate) fn grace(text: &str) -> Result<Duration, Invalid> {
    let duration = parse_duration(text)?;
    if duration > LONGEST {
        let reason = format!("`{text}` is longer than 100 years");
        return Err(Invalid::new("duration", reason));
    }
    Ok(duration)
}

/// Reads a time until something expires.
pub(crate) fn lifetime(text: &str) -> Result<Duration, Invalid> {
    let duration = grace(text)?;
    if duration.is_zero() {
        let reason = format!("`{text}` is no time at all");
        return Err(Invalid::new("duration", reason));
    }
    Ok(duration)
}

/// Reads a time until something expires; the empty text is never.
pub(crate) fn lifetime_or_never(text: &str) -> Result<OrNever, Invalid> {
    if text.is_empty() {
        return Ok(OrNever(None));
    }
    lifetime(text).map(|lifetime| OrNever(Some(lifetime)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_commands_fit_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_is_documented() {
        fn check(command: &clap::Command, called: &str) {
            let docs = include_str!("../../../docs/CLI.md");
            for inner in command.get_subcommands() {
                let called = format!("{called} {}", inner.get_name());
                check(inner, &called);
                let documented = inner.has_subcommands() || docs.contains(&called);
                assert!(documented, "docs/CLI.md does not have `{called}`");
            }
        }
        check(&Arguments::command(), "tollgate");
    }

    #[test]
    fn a_lifetime_is_some_time_of_at_most_a_hundred_years() {
        assert_eq!(lifetime("90d").unwrap(), Duration::from_hours(90 * 24));
        assert_eq!(grace("0s").unwrap(), Duration::ZERO);
        assert!(lifetime_or_never("").unwrap().0.is_none());
        for (bad, why) in [
            ("0d", "duration: `0d` is no time at all"),
            ("36501d", "duration: `36501d` is longer than 100 years"),
            ("99999999999999999999d", "is not like"),
            ("-1d", "is not like"),
            ("1 d", "is not like"),
        ] {
            let told = lifetime(bad).unwrap_err().to_string();
            assert!(told.contains(why), "{told}");
        }
    }
}
