//! The command `tollgate`: organizations, keys, credits, users and the audit trail, from a terminal.
//!
//! It works on the database that the app works on, by the rules of the same core, and the app may
//! run meanwhile: it sees each change within 250 ms, on PostgreSQL within milliseconds. docs/CLI.md
//! has every command.
//!
//! | module | what it has |
//! | --- | --- |
//! | `args` | what can be asked for; a group of commands is a variant of `Group` |
//! | `org`, `key`, `credits`, `usage`, `audit`, `catalog`, `user`, `session`, `explain`, `transfer`, `pages` | the groups: their commands, and what these do |
//! | `desk`, `seal`, `actor` | the database, the catalog and whoever works with them |
//! | `app` | a running app, where a command asks one |
//! | `out`, `ip_rules`, `progress` | what is printed, for people and for programs |
//! | `failure` | why a command ends, and with which exit code |

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Arguments, Group, Settings};
use crate::desk::Desk;
use crate::failure::{Failure, printable, without_passwords};
use crate::out::Out;

mod actor;
mod app;
mod args;
mod audit;
mod catalog;
mod credits;
mod desk;
mod explain;
mod failure;
mod file;
mod ip_rules;
mod key;
mod org;
mod out;
mod pages;
mod progress;
mod seal;
mod session;
mod transfer;
mod usage;
mod user;

fn main() -> ExitCode {
    let Arguments { settings, group } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return not_understood(&error),
    };
    let mut out = Out::new(settings.json);
    // A command that fails has said something before, perhaps: what it was is not held back.
    let done = start(&settings, group, &mut out);
    let told = out.finish();
    match done.and(told) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to be told that standard error is closed.
            let _ = writeln!(io::stderr(), "error: {failure}");
            failure.code()
        }
    }
}

fn start(settings: &Settings, group: Group, out: &mut Out) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(settings, group, out))
}

async fn run(settings: &Settings, group: Group, out: &mut Out) -> Result<(), Failure> {
    match group {
        Group::Org(org) => {
            Desk::at(settings, org.first(settings), async |desk| {
                org.run(desk, out).await
            })
            .await
        }
        Group::Key(key) => Desk::at(settings, None, async |desk| key.run(desk, out).await).await,
        Group::Credits(credits) => {
            Desk::at(settings, None, async |desk| credits.run(desk, out).await).await
        }
        Group::Usage(usage) => {
            Desk::at(settings, None, async |desk| usage.run(desk, out).await).await
        }
        Group::Audit(audit) => {
            Desk::at(settings, None, async |desk| audit.run(desk, out).await).await
        }
        Group::User(user) => Desk::at(settings, None, async |desk| user.run(desk, out).await).await,
        Group::Session(session) => {
            Desk::at(settings, None, async |desk| session.run(desk, out).await).await
        }
        Group::Explain(explain) => explain.run(settings, out).await,
        Group::Catalog(catalog) => catalog.run(settings, out).await,
        Group::Move(it) => it.run(settings, out).await,
        Group::Completions { shell } => pages::completions(shell, out),
        Group::Man { directory } => pages::man(&directory),
    }
}

/// Prints clap's answer to what it could not read, or to `--help`.
fn not_understood(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        // It repeats what was typed, which is not to reach the terminal raw: so it has no colours.
        let text = error.render().to_string();
        let text = without_passwords(&text);
        let shown: Vec<String> = text.lines().map(printable).collect();
        let _ = writeln!(io::stderr(), "{}", shown.join("\n"));
    } else {
        let _ = error.print();
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}
