//! What is sent and answered about people.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::extract::Reason;

/// Somebody with a role in an organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberView {
    /// Names them for ever.
    pub(super) id: String,
    /// With what they sign in.
    #[schema(example = "ann@acme.example")]
    pub(super) email: String,
    /// `viewer`, `admin` or `owner`, here.
    #[schema(example = "admin")]
    pub(super) role: &'static str,
    /// Whether they may not sign in.
    pub(super) disabled: bool,
}

/// A new member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMemberBody {
    /// With what they sign in.
    #[schema(example = "ben@acme.example")]
    pub(super) email: String,
    /// `viewer`, `admin` or `owner`.
    #[schema(example = "viewer")]
    pub(super) role: String,
    /// The first password of somebody who is no user yet; left out for who is.
    #[schema(format = Password)]
    pub(super) password: Option<String>,
    /// Why, for the audit trail.
    #[schema(value_type = Option<String>)]
    pub(super) reason: Option<Reason>,
}

/// Another role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleBody {
    /// `viewer`, `admin` or `owner`.
    #[schema(example = "admin")]
    pub(super) role: String,
    /// Why, for the audit trail.
    #[schema(value_type = Option<String>)]
    pub(super) reason: Option<Reason>,
}

/// A new user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUserBody {
    /// With what they sign in.
    #[schema(example = "ann@acme.example")]
    pub(super) email: String,
    /// Their first password: 8 characters at least.
    #[schema(format = Password)]
    pub(super) password: String,
    /// What they may do, and where.
    #[serde(default)]
    pub(super) memberships: Vec<MembershipBody>,
    /// Why, for the audit trail.
    #[schema(value_type = Option<String>)]
    pub(super) reason: Option<Reason>,
}

/// A role in an organization.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MembershipBody {
    /// The organization; null for all.
    #[schema(example = "acme")]
    pub(super) organization: Option<String>,
    /// `viewer`, `admin` or `owner`.
    #[schema(example = "owner")]
    pub(super) role: String,
}

/// What is to change of a user; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditUserBody {
    /// Whether they may not sign in. Disabling somebody ends their sessions.
    pub(super) disabled: Option<bool>,
    /// Another password, which ends their sessions.
    #[schema(format = Password)]
    pub(super) password: Option<String>,
    /// Their role everywhere, or null for none.
    #[serde(default, deserialize_with = "crate::extract::told")]
    #[schema(value_type = Option<String>, example = "viewer")]
    pub(super) role_everywhere: Option<Option<String>>,
    /// Why, for the audit trail.
    #[schema(value_type = Option<String>)]
    pub(super) reason: Option<Reason>,
}

/// The path of a member.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub(crate) struct MemberPath {
    /// The organization.
    pub(super) organization: String,
    /// The user's id.
    pub(super) user: String,
}

/// The path of a user.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub(crate) struct UserPath {
    /// The user's id.
    pub(super) user: String,
}
