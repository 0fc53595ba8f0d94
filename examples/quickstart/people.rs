//! Who manages the keys: an operator, made at the first start.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tollgate::core::accounts::{Accounts, Email, NewUser, Password, Role};
use tollgate::core::change::Actor;
use tollgate::core::clock::SystemClock;
use tollgate::core::keyring::KeyringError;
use tollgate::core::secret::Secret;
use tollgate_admin::SessionCookies;
use tollgate_examples::failure::Failure;
use tollgate_sqlx::SqliteStore;

use crate::keys::{CURL, JSON, origin};

const OPERATOR: &str = "operator@example.com";

/// Sessions of the users in this database.
pub(crate) fn cookies(store: &SqliteStore) -> SessionCookies {
    let clock = Arc::new(SystemClock::default());
    SessionCookies::new(Accounts::new(Arc::new(store.clone()), clock))
}

/// The password, which nobody can read again once this is gone.
#[derive(Debug)]
pub(crate) struct Operator(Secret);

/// Makes the operator, or gives them another password if an earlier start came no further.
pub(crate) async fn make(accounts: &Accounts) -> Result<Operator, Failure> {
    let secret = Password::generate()?;
    let password = || Password::new(secret.expose().to_owned());
    let (email, actor) = (Email::new(OPERATOR)?, Actor::named("quickstart"));
    let operator = NewUser::new(email.clone(), password()?).everywhere(Role::Owner);
    match accounts.create_user(operator, &actor).await {
        Err(KeyringError::AlreadyExists(_)) => {
            let known = accounts.user_by_email(&email).await?;
            accounts
                .set_password(&known.id, &password()?, &actor)
                .await?;
        }
        made => drop(made?),
    }
    Ok(Operator(secret))
}

impl Operator {
    /// How to sign in, and what to do then.
    pub(crate) fn shown(&self, address: SocketAddr) -> impl fmt::Display {
        let (password, origin) = (self.0.expose(), origin(address));
        fmt::from_fn(move |f| {
            writeln!(
                f,
                "The keys are managed under /admin, by people who sign in:\n"
            )?;
            writeln!(
                f,
                "# 200: signs the operator in, and keeps the cookie in a file"
            )?;
            let body = format!(r#"{{"email":"{OPERATOR}","password":"{password}"}}"#);
            let jar = "operator.cookies";
            writeln!(
                f,
                "{CURL} -c {jar} {JSON} -d '{body}' '{origin}/admin/session'\n"
            )?;
            writeln!(f, "# 200: the keys of an organization")?;
            writeln!(
                f,
                "{CURL} -b {jar} '{origin}/admin/organizations/acme/keys'\n"
            )?;
            writeln!(f, "# 201: a new key; its secret is shown this once")?;
            let new = r#"{"name":"mine","scopes":["iocs:read"]}"#;
            writeln!(
                f,
                "{CURL} -b {jar} {JSON} -d '{new}' '{origin}/admin/organizations/acme/keys'\n"
            )
        })
    }
}
