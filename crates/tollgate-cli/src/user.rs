//! `tollgate user`: the people who sign in to manage keys.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;
use tollgate_core::accounts::{Accounts, Email, NewUser, Password, Role, User};
use tollgate_core::id::OrgId;
use tollgate_core::keyring::KeyringError;

use crate::args::Why;
use crate::desk::{Desk, PAGE};
use crate::failure::Failure;
use crate::out::{Out, Shown};

/// The longest line that can be a password.
const LONGEST: u64 = 1_100;

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Makes a user; the password is a line of standard input
    Create {
        /// The address that they sign in with
        email: Email,
        #[command(flatten)]
        place: Place,
        /// What they may do there: viewer, admin or owner
        #[arg(long)]
        role: Role,
        #[command(flatten)]
        why: Why,
    },
    /// Lists users
    List {
        /// Those who have a role in this organization only
        #[arg(long)]
        org: Option<OrgId>,
    },
    /// Shows a user
    Show {
        /// Who
        email: Email,
    },
    /// Gives a user a role, in place of the one they have there
    Role {
        /// Who
        email: Email,
        #[command(flatten)]
        place: Place,
        /// What they may do there: viewer, admin, owner; the empty text takes it away
        #[arg(long, value_parser = role_or_none)]
        role: RoleOrNone,
        #[command(flatten)]
        force: Force,
        #[command(flatten)]
        why: Why,
    },
    /// Gives a user another password, a line of standard input, and ends all their sessions
    Password(Who),
    /// Ends all sessions of a user, and lets them sign in no more
    Disable(Leaving),
    /// Lets a disabled user sign in again
    Enable(Who),
    /// Removes a user and their sessions for ever
    Delete(Leaving),
}

/// Where a role counts.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Place {
    /// In this organization
    #[arg(long)]
    org: Option<OrgId>,
    /// In every organization, and in what belongs to none; an owner everywhere is an operator
    #[arg(long)]
    everywhere: bool,
}

/// A user, and why something is done with them.
#[derive(Debug, Args)]
pub(crate) struct Who {
    /// Who
    email: Email,
    #[command(flatten)]
    why: Why,
}

/// A user who may be the last operator.
#[derive(Debug, Args)]
pub(crate) struct Leaving {
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    force: Force,
}

/// Whether it is meant.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Force {
    /// Takes the last operator too
    #[arg(long)]
    force: bool,
}

impl Force {
    fn accounts(self, desk: &Desk) -> Accounts {
        let accounts = desk.accounts();
        if self.force {
            accounts.forced()
        } else {
            accounts
        }
    }
}

/// A role that may be taken away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoleOrNone(Option<Role>);

fn role_or_none(text: &str) -> Result<RoleOrNone, tollgate_core::invalid::Invalid> {
    if text.is_empty() {
        return Ok(RoleOrNone(None));
    }
    text.parse().map(|role| RoleOrNone(Some(role)))
}

impl UserCommand {
    pub(crate) async fn run(self, desk: &Desk, out: &mut Out) -> Result<(), Failure> {
        let accounts = desk.accounts();
        let user = match self {
            Self::Create {
                email,
                place,
                role,
                why,
            } => {
                if let Some(org) = &place.org {
                    desk.organization(org).await?;
                }
                let new = NewUser::new(email, read_password()?);
                let new = match place.org {
                    Some(org) => new.member(org, role),
                    None => new.everywhere(role),
                };
                accounts.create_user(new, &desk.actor(why).await?).await?
            }
            Self::List { org } => return list(desk, org, out).await,
            Self::Show { email } => accounts.user_by_email(&email).await?,
            Self::Role {
                email,
                place,
                role: RoleOrNone(role),
                force,
                why,
            } => {
                if let Some(org) = &place.org {
                    desk.organization(org).await?;
                }
                let id = accounts.user_by_email(&email).await?.id;
                let actor = desk.actor(why).await?;
                let accounts = force.accounts(desk);
                let set = accounts.set_role(&id, place.org.as_ref(), role, &actor);
                set.await.map_err(refused)?
            }
            Self::Password(Who { email, why }) => {
                let id = accounts.user_by_email(&email).await?.id;
                let password = read_password()?;
                let actor = desk.actor(why).await?;
                accounts.set_password(&id, &password, &actor).await?
            }
            Self::Disable(Leaving { who, force }) => {
                set_disabled(desk, &force.accounts(desk), who, true).await?
            }
            Self::Enable(who) => set_disabled(desk, &accounts, who, false).await?,
            Self::Delete(Leaving { who, force }) => {
                let Who { email, why } = who;
                let id = accounts.user_by_email(&email).await?.id;
                let actor = desk.actor(why).await?;
                let deleted = force.accounts(desk).delete_user(&id, &actor).await;
                deleted.map_err(refused)?;
                return if out.json() {
                    out.value(&json!({ "email": email, "deleted": true }))
                } else {
                    out.line(format_args!("deleted {email}"))
                };
            }
        };
        out.one(&ShownUser::of(&user))
    }
}

/// As any refusal; but who means it may do it.
fn refused(error: KeyringError) -> Failure {
    let remedy = match &error {
        KeyringError::LastOperator(_) => ", or write `--force`",
        _ => "",
    };
    Failure::from(error).with(remedy)
}

async fn set_disabled(
    desk: &Desk,
    accounts: &Accounts,
    who: Who,
    disabled: bool,
) -> Result<User, Failure> {
    let id = accounts.user_by_email(&who.email).await?.id;
    let actor = desk.actor(who.why).await?;
    let set = accounts.set_disabled(&id, disabled, &actor).await;
    set.map_err(refused)
}

async fn list(desk: &Desk, org: Option<OrgId>, out: &mut Out) -> Result<(), Failure> {
    if let Some(org) = &org {
        desk.organization(org).await?;
    }
    let accounts = desk.accounts();
    let mut printed = out.list::<ShownUser>();
    let mut after = None;
    loop {
        let users = accounts.users(org.as_ref(), after, PAGE).await?;
        let Some(last) = users.last() else { break };
        after = Some(last.id);
        for user in &users {
            if !printed.add(&ShownUser::of(user))? {
                return printed.end();
            }
        }
    }
    printed.end()
}

/// Reads a password from standard input: a line, or, at a terminal, what is typed unseen.
fn read_password() -> Result<Password, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        let _ = write!(io::stderr(), "password: ");
        let typed = rpassword::read_password();
        let typed = typed.map_err(|error| Failure::from(error).within("cannot read a password"))?;
        return Ok(Password::new(typed)?);
    }
    let mut line = String::new();
    let read = io::Read::take(stdin.lock(), LONGEST).read_line(&mut line);
    read.map_err(|error| {
        Failure::from(error).within("cannot read a password from standard input")
    })?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    if line.is_empty() {
        let remedy = "there is no password on standard input; write a line there: \
                      `tollgate user create … < password.txt`";
        return Err(Failure::new(remedy));
    }
    Ok(Password::new(line)?)
}

/// A user as they are printed.
#[derive(Debug, Serialize)]
struct ShownUser {
    id: String,
    email: String,
    memberships: Vec<ShownMembership>,
    disabled: bool,
    created_at: String,
}

#[derive(Debug, Serialize)]
struct ShownMembership {
    /// Every one, if there is none.
    organization: Option<String>,
    role: Role,
}

impl ShownUser {
    fn of(user: &User) -> Self {
        let memberships = user.memberships.iter().map(|of| ShownMembership {
            organization: of.organization.as_ref().map(ToString::to_string),
            role: of.role,
        });
        Self {
            id: user.id.to_string(),
            email: user.email.to_string(),
            memberships: memberships.collect(),
            disabled: user.disabled,
            created_at: user.created_at.to_string(),
        }
    }
}

impl Shown for ShownUser {
    const COLUMNS: &'static [&'static str] = &["EMAIL", "ROLES", "DISABLED", "CREATED", "ID"];

    fn row(&self) -> Vec<String> {
        let roles = self.memberships.iter().map(|of| {
            let place = of.organization.as_deref().unwrap_or("*");
            format!("{place}:{}", of.role)
        });
        let roles: Vec<_> = roles.collect();
        vec![
            self.email.clone(),
            roles.join(" "),
            if self.disabled { "yes" } else { "no" }.to_owned(),
            self.created_at.clone(),
            self.id.clone(),
        ]
    }
}
