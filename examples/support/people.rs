//! Who manages the keys: an operator, made at the first start.

use std::sync::Arc;

use tollgate::core::accounts::{Accounts, Email, NewUser, Password, Role};
use tollgate::core::change::Actor;
use tollgate::core::clock::SystemClock;
use tollgate::core::keyring::KeyringError;
use tollgate::core::secret::Secret;
use tollgate_admin::SessionCookies;
use tollgate_sqlx::AnyStore;

use crate::failure::Failure;
use crate::tour::{Curl, Tour};

/// The address that the operator signs in with.
pub const OPERATOR: &str = "operator@example.com";

/// Where the printed requests keep the operator's cookie.
pub const COOKIES: &str = "operator.cookies";

/// Sessions of the users in this database.
#[must_use]
pub fn cookies(store: &AnyStore) -> SessionCookies {
    let clock = Arc::new(SystemClock::default());
    SessionCookies::new(Accounts::new(Arc::new(store.clone()), clock))
}

/// The password, which nobody can read again once this is gone.
#[derive(Debug)]
pub struct Operator(Secret);

impl Operator {
    /// Makes the operator, or gives them another password if an earlier start came no further.
    ///
    /// # Errors
    ///
    /// A [`Failure`] if the store fails.
    pub async fn make(accounts: &Accounts) -> Result<Self, Failure> {
        let secret = Password::generate()?;
        let password = || Password::new(secret.expose().to_owned());
        let (email, actor) = (Email::new(OPERATOR)?, Actor::named("example"));
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
        Ok(Self(secret))
    }

    /// How to sign in, and what to do then with the keys of an organization.
    pub fn guide(&self, tour: &mut Tour, organization: &str, scope: Option<&str>) {
        let password = self.0.expose();
        let body = format!(r#"{{"email":"{OPERATOR}","password":"{password}"}}"#);
        let keys = || format!("/admin/organizations/{organization}/keys");
        let scopes = scope.map_or_else(String::new, |scope| format!(r#","scopes":["{scope}"]"#));
        tour.add(
            200,
            "signs the operator in, and keeps the cookie in a file",
            Curl::post("/admin/session")
                .keep_cookies(COOKIES)
                .json(&body),
        );
        tour.add(
            200,
            "the keys of an organization",
            Curl::get(keys()).cookies(COOKIES),
        );
        tour.add(
            201,
            "a new key; its secret is shown this once",
            Curl::post(keys())
                .cookies(COOKIES)
                .json(&format!(r#"{{"name":"mine"{scopes}}}"#)),
        );
    }
}
