//! A user, and what they may do where.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::password::{Password, PasswordHash};
use crate::clock::Timestamp;
use crate::id::{OrgId, UserId};
use crate::invalid::Invalid;

/// What somebody may do in an organization. Each role may do what those before it may.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "an app's own sessions name them")]
pub enum Role {
    /// Sees keys, usage, credits and the audit trail; changes nothing.
    Viewer,
    /// Makes, edits, rotates and revokes keys, and restricts addresses.
    Admin,
    /// Gives others their roles, and keys the scopes that only an owner may give.
    Owner,
}

impl Role {
    /// All roles, from the least to the most.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Admin, Self::Owner];

    /// The role as text: `viewer`, `admin`, `owner`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| {
            let reason = format!("`{}` is not viewer, admin or owner", shown(text));
            Invalid::new("role", reason)
        })
    }
}

/// A role in an organization, or in all of them.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a role in a place")]
pub struct Membership {
    /// Where; none is everywhere. Who is an owner everywhere runs the whole installation.
    pub organization: Option<OrgId>,
    /// What they may do there.
    pub role: Role,
}

/// Somebody who may sign in.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a store writes and reads every field"
)]
pub struct User {
    /// Names them for ever.
    pub id: UserId,
    /// With what they sign in.
    pub email: Email,
    /// What they may do, by organization; everywhere comes first.
    pub memberships: Vec<Membership>,
    /// Whether they may not sign in.
    pub disabled: bool,
    /// When they were made.
    pub created_at: Timestamp,
    /// Counts the changes; an update that read another version is refused.
    pub version: u64,
}

impl User {
    /// The role in an organization: the one there, or the one everywhere, whichever is more.
    #[must_use]
    pub fn role_in(&self, organization: &OrgId) -> Option<Role> {
        role_in(&self.memberships, organization)
    }

    pub(super) fn set_role(&mut self, organization: Option<&OrgId>, role: Option<Role>) {
        self.memberships
            .retain(|membership| membership.organization.as_ref() != organization);
        self.memberships.extend(role.map(|role| Membership {
            organization: organization.cloned(),
            role,
        }));
        self.memberships.sort();
    }
}

/// The role that these memberships give in an organization: the one there, or the one everywhere,
/// whichever is more.
#[must_use]
pub fn role_in(memberships: &[Membership], organization: &OrgId) -> Option<Role> {
    let here = |of: &&Membership| of.organization.as_ref().is_none_or(|id| id == organization);
    memberships.iter().filter(here).map(|of| of.role).max()
}

/// What a new user is to be.
#[derive(Debug)]
#[must_use = "a user is made by Accounts::create_user"]
pub struct NewUser {
    email: Email,
    password: Password,
    memberships: Vec<Membership>,
}

impl NewUser {
    /// A user who may do nothing yet.
    pub const fn new(email: Email, password: Password) -> Self {
        Self {
            email,
            password,
            memberships: Vec::new(),
        }
    }

    /// Gives them a role in an organization.
    pub fn member(mut self, organization: OrgId, role: Role) -> Self {
        self.memberships.push(Membership {
            organization: Some(organization),
            role,
        });
        self
    }

    /// Gives them a role in all organizations, and in what belongs to none.
    pub fn everywhere(mut self, role: Role) -> Self {
        self.memberships.push(Membership {
            organization: None,
            role,
        });
        self
    }

    pub(super) fn made(self, at: Timestamp) -> Result<(User, PasswordHash), Invalid> {
        let mut user = User {
            id: UserId::new(at)?,
            email: self.email,
            memberships: Vec::new(),
            disabled: false,
            created_at: at,
            version: 1,
        };
        for Membership { organization, role } in self.memberships {
            user.set_role(organization.as_ref(), Some(role));
        }
        Ok((user, self.password.hash()?))
    }
}

/// An address that somebody signs in with, in lower case.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// Takes an address.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if it has no `@` between two parts, is not all visible ASCII, or is longer than
    /// 254 bytes (RFC 5321). Addresses of other characters could look like somebody else's.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let good = |(name, host): (&str, &str)| {
            let good = |part: &str| {
                part.bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b'@')
            };
            !name.is_empty() && !host.is_empty() && good(name) && good(host)
        };
        if text.len() > 254 || !text.rsplit_once('@').is_some_and(good) {
            let reason = format!(
                "`{}` is not an address such as ann@acme.example",
                shown(text)
            );
            return Err(Invalid::new("e-mail", reason));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Email {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// What somebody typed, fit for a message.
fn shown(text: &str) -> String {
    text.chars()
        .take(100)
        .flat_map(char::escape_debug)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_two_parts_and_is_compared_without_case() {
        assert_eq!(
            Email::new("Ann@Acme.example").unwrap().as_str(),
            "ann@acme.example"
        );
        let long = format!("{}@a", "x".repeat(253));
        for bad in [
            "",
            "ann",
            "@acme",
            "ann@",
            "a b@c",
            "a@b@c",
            "a@b\n",
            "a\0@b",
            "\u{130}@b",
            "a\u{200b}@b",
            &long,
        ] {
            assert!(Email::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_role_counts_where_it_is_and_everywhere_if_it_is_everywhere() {
        let acme = OrgId::new("acme").unwrap();
        let other = OrgId::new("other").unwrap();
        let of = |organization: Option<&OrgId>, role| Membership {
            organization: organization.cloned(),
            role,
        };
        let here = [of(Some(&acme), Role::Admin)];
        assert_eq!(role_in(&here, &acme), Some(Role::Admin));
        assert_eq!(role_in(&here, &other), None);
        let both = [of(None, Role::Viewer), of(Some(&acme), Role::Owner)];
        assert_eq!(role_in(&both, &acme), Some(Role::Owner));
        assert_eq!(role_in(&both, &other), Some(Role::Viewer));
    }

    #[test]
    fn roles_are_read_as_they_are_written() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        let error = "root".parse::<Role>().unwrap_err().to_string();
        assert_eq!(error, "role: `root` is not viewer, admin or owner");
    }
}
