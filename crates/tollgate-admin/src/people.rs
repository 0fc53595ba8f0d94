//! The people of an organization, and everybody who may sign in.

use std::str::FromStr as _;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use tollgate::{Denial, DenialKind};
use tollgate_core::accounts::{Email, Membership, NewUser, Password, Role, User};
use tollgate_core::id::{OrgId, UserId};
use tollgate_core::keyring::KeyringError;

use crate::desk::Desk;
use crate::extract::{Body, Nothing, Params, WhyParams};
use crate::manager::{Manager, Member, missing, required_param};
use crate::organizations::OrganizationPath;
use crate::page::{List, MOST, One, PageParams, one_more};
use crate::sign_in::{UserView, cookies};
use bodies::{
    EditUserBody, MemberPath, MemberView, MembershipBody, NewMemberBody, NewUserBody, RoleBody,
    UserPath,
};

mod bodies;

/// The user that the path names.
#[derive(Debug)]
pub(crate) struct Named(User);

impl FromRequestParts<Desk> for Named {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, Denial> {
        let id = required_param(parts, "user").await?;
        let id: UserId = id.parse().map_err(|_| missing("user", &id))?;
        Ok(Self(cookies(desk)?.accounts.user(&id).await?))
    }
}

impl Named {
    /// The role that they have in an organization. Who has none there is not there.
    fn role_in(&self, organization: &OrgId) -> Result<Role, Denial> {
        let here = |of: &&Membership| of.organization.as_ref() == Some(organization);
        let found = self.0.memberships.iter().find(here);
        found
            .map(|of| of.role)
            .ok_or_else(|| missing("user", &self.0.id.to_string()))
    }
}

/// Lists the members of an organization, the oldest first. Who has a role everywhere only is not
/// listed.
#[utoipa::path(
    get, path = "/organizations/{organization}/members", tag = "people",
    params(OrganizationPath, PageParams),
    responses((status = 200, description = "A page of members", body = List<MemberView>))
)]
pub(crate) async fn members(
    member: Member,
    Params(page): Params<PageParams>,
) -> Result<Json<List<MemberView>>, Denial> {
    member.there().await?;
    let limit = page.limit()?;
    let after = page.after("members")?;
    let accounts = &cookies(&member.desk)?.accounts;
    let here = &member.organization;
    let found = accounts.users(Some(here), after, one_more(limit)).await?;
    let views = found.iter().map(|user| member_view(user, here)).collect();
    Ok(Json(List::page(
        "members",
        limit,
        views,
        |last: &MemberView| last.id.clone(),
    )))
}

/// Gives somebody a role in an organization. Who is no user yet becomes one, with the password.
#[utoipa::path(
    post, path = "/organizations/{organization}/members", tag = "people",
    params(OrganizationPath), request_body = NewMemberBody,
    responses(
        (status = 201, description = "The member", body = One<MemberView>),
        (status = 409, description = "They are a user already: only an operator may give them a \
            role here, without a password", body = crate::openapi::ErrorBody),
    )
)]
pub(crate) async fn add_member(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
    Body(body): Body<NewMemberBody>,
) -> Result<Response, Denial> {
    member.there().await?;
    let role = granted(&member, &body.role)?;
    let _turn = member.desk.people.lock().await;
    let actor = member.actor(body.reason).await?;
    let (email, here) = (Email::new(&body.email)?, &member.organization);
    let accounts = &cookies(&member.desk)?.accounts;
    let user = match (accounts.user_by_email(&email).await, body.password) {
        // Who made them chose their password, and might be of another organization.
        (Ok(_), _) if !member.is_operator() => {
            return Err(conflict(
                "they are a user already; an operator may give them a role here",
            ));
        }
        (Ok(user), None) => {
            if user
                .memberships
                .iter()
                .any(|of| of.organization.as_ref() == Some(here))
            {
                return Err(conflict("they are a member already; edit their role"));
            }
            accounts
                .set_role(&user.id, Some(here), Some(role), &actor)
                .await?
        }
        (Ok(_), Some(_)) => {
            return Err(conflict(
                "they are a user, and have a password; leave it out",
            ));
        }
        (Err(KeyringError::NotFound(_)), Some(password)) => {
            let new = NewUser::new(email, Password::new(password)?);
            created(&member, new.member(here.clone(), role), actor).await?
        }
        (Err(KeyringError::NotFound(_)), None) => {
            let message = "password: they are no user yet; give them their first password";
            return Err(Denial::new(DenialKind::Status(422)).with_message(message));
        }
        (Err(error), _) => return Err(error.into()),
    };
    let data = member_view(&user, here);
    Ok((StatusCode::CREATED, Json(One { data })).into_response())
}

/// Gives a member another role. The last owner stays one.
#[utoipa::path(
    patch, path = "/organizations/{organization}/members/{user}", tag = "people",
    params(MemberPath), request_body = RoleBody,
    responses(
        (status = 200, description = "The member", body = One<MemberView>),
        (status = 409, description = "They are the last owner", body = crate::openapi::ErrorBody),
    )
)]
pub(crate) async fn edit_member(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
    named: Named,
    Body(body): Body<RoleBody>,
) -> Result<Json<One<MemberView>>, Denial> {
    let old = named.role_in(&member.organization)?;
    let role = granted(&member, &body.role)?;
    let _turn = member.desk.people.lock().await;
    if old == Role::Owner && role < Role::Owner {
        keep_an_owner(&member, &named.0).await?;
    }
    let actor = member.actor(body.reason).await?;
    let (accounts, here) = (&cookies(&member.desk)?.accounts, &member.organization);
    let user = accounts
        .change_role(&named.0.id, Some(here), (old, Some(role)), &actor)
        .await?;
    let data = member_view(&user, here);
    Ok(Json(One { data }))
}

/// Takes a member's role away. They stay a user. The last owner stays.
#[utoipa::path(
    delete, path = "/organizations/{organization}/members/{user}", tag = "people",
    params(MemberPath, WhyParams),
    responses(
        (status = 204, description = "They have no role here any more"),
        (status = 409, description = "They are the last owner", body = crate::openapi::ErrorBody),
    )
)]
pub(crate) async fn remove_member(
    member: Member,
    Params(why): Params<WhyParams>,
    named: Named,
) -> Result<StatusCode, Denial> {
    let old = named.role_in(&member.organization)?;
    let _turn = member.desk.people.lock().await;
    if old == Role::Owner {
        keep_an_owner(&member, &named.0).await?;
    }
    let actor = member.actor(why.reason).await?;
    let (accounts, here) = (&cookies(&member.desk)?.accounts, &member.organization);
    accounts
        .change_role(&named.0.id, Some(here), (old, None), &actor)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists everybody who may sign in, the oldest first.
#[utoipa::path(
    get, path = "/users", tag = "people", params(PageParams),
    responses((status = 200, description = "A page of users", body = List<UserView>))
)]
pub(crate) async fn users(
    manager: Manager,
    Params(page): Params<PageParams>,
) -> Result<Json<List<UserView>>, Denial> {
    let limit = page.limit()?;
    let after = page.after("users")?;
    let accounts = &cookies(&manager.desk)?.accounts;
    let found = accounts.users(None, after, one_more(limit)).await?;
    let page = List::page("users", limit, found, |last| last.id);
    Ok(Json(List {
        data: page.data.iter().map(UserView::from).collect(),
        meta: page.meta,
    }))
}

/// Makes a user.
#[utoipa::path(
    post, path = "/users", tag = "people", request_body = NewUserBody,
    responses(
        (status = 201, description = "The user", body = One<UserView>),
        (status = 404, description = "There is no organization of that name",
            body = crate::openapi::ErrorBody),
        (status = 409, description = "There is one of this address",
            body = crate::openapi::ErrorBody),
    )
)]
pub(crate) async fn create_user(
    manager: Manager,
    Params(Nothing {}): Params<Nothing>,
    Body(body): Body<NewUserBody>,
) -> Result<Response, Denial> {
    let mut new = NewUser::new(Email::new(&body.email)?, Password::new(body.password)?);
    for MembershipBody { organization, role } in body.memberships {
        let role = Role::from_str(&role)?;
        new = match organization {
            Some(name) => {
                let organization = OrgId::new(&name)?;
                manager
                    .desk
                    .gate
                    .keyring()
                    .organization(&organization)
                    .await?;
                new.member(organization, role)
            }
            None => new.everywhere(role),
        };
    }
    let _turn = manager.desk.people.lock().await;
    let actor = manager.actor(body.reason).await?;
    let user = created(&manager, new, actor).await?;
    let data = UserView::from(&user);
    Ok((StatusCode::CREATED, Json(One { data })).into_response())
}

/// Shows a user.
#[utoipa::path(
    get, path = "/users/{user}", tag = "people", params(UserPath),
    responses((status = 200, description = "The user", body = One<UserView>))
)]
pub(crate) async fn show_user(
    _manager: Manager,
    Params(Nothing {}): Params<Nothing>,
    Named(user): Named,
) -> Json<One<UserView>> {
    let data = UserView::from(&user);
    Json(One { data })
}

/// Edits a user; what is left out stays. The last operator stays one.
#[utoipa::path(
    patch, path = "/users/{user}", tag = "people", params(UserPath), request_body = EditUserBody,
    responses(
        (status = 200, description = "The user", body = One<UserView>),
        (status = 409, description = "They are the last operator",
            body = crate::openapi::ErrorBody),
    )
)]
pub(crate) async fn edit_user(
    manager: Manager,
    Params(Nothing {}): Params<Nothing>,
    Named(mut user): Named,
    Body(body): Body<EditUserBody>,
) -> Result<Json<One<UserView>>, Denial> {
    let role = match &body.role_everywhere {
        Some(role) => Some(role.as_deref().map(Role::from_str).transpose()?),
        None => None,
    };
    let password = body.password.map(Password::new).transpose()?;
    let _turn = manager.desk.people.lock().await;
    let actor = manager.actor(body.reason).await?;
    let cookies = cookies(&manager.desk)?;
    let accounts = &cookies.accounts;
    if let Some(role) = role {
        user = accounts.set_role(&user.id, None, role, &actor).await?;
    }
    if let Some(disabled) = body.disabled {
        user = accounts.set_disabled(&user.id, disabled, &actor).await?;
    }
    if let Some(password) = password {
        let (accounts, id) = (accounts.clone(), user.id);
        let set = async move { accounts.set_password(&id, &password, &actor).await };
        user = cookies.passwords.work(set).await??;
    }
    let data = UserView::from(&user);
    Ok(Json(One { data }))
}

/// Deletes a user for ever, with their sessions. The last operator stays.
#[utoipa::path(
    delete, path = "/users/{user}", tag = "people", params(UserPath, WhyParams),
    responses(
        (status = 204, description = "They are gone"),
        (status = 409, description = "They are the last operator",
            body = crate::openapi::ErrorBody),
    )
)]
pub(crate) async fn delete_user(
    manager: Manager,
    Params(why): Params<WhyParams>,
    Named(user): Named,
) -> Result<StatusCode, Denial> {
    let _turn = manager.desk.people.lock().await;
    let actor = manager.actor(why.reason).await?;
    let accounts = &cookies(&manager.desk)?.accounts;
    accounts.delete_user(&user.id, &actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A role that somebody may give: none above their own.
fn granted(member: &Member, text: &str) -> Result<Role, Denial> {
    let role = Role::from_str(text)?;
    if role > member.role {
        let message = format!("role: `{role}` is more than your own");
        return Err(Denial::new(DenialKind::Status(403)).with_message(message));
    }
    Ok(role)
}

async fn created(
    manager: &Manager,
    new: NewUser,
    actor: tollgate_core::change::Actor,
) -> Result<User, Denial> {
    let cookies = cookies(&manager.desk)?;
    let accounts = cookies.accounts.clone();
    let create = async move { accounts.create_user(new, &actor).await };
    Ok(cookies.passwords.work(create).await??)
}

/// Refuses to take the last owner of an organization, unless an operator does: they can name
/// another.
async fn keep_an_owner(member: &Member, leaving: &User) -> Result<(), Denial> {
    if member.is_operator() || another(member, leaving).await? {
        return Ok(());
    }
    Err(conflict(
        "they are the last owner; make somebody else one first",
    ))
}

/// Whether somebody else who may sign in is an owner there.
async fn another(member: &Member, leaving: &User) -> Result<bool, Denial> {
    let here = Some(&member.organization);
    let owns = |of: &Membership| of.organization.as_ref() == here && of.role == Role::Owner;
    let accounts = &cookies(&member.desk)?.accounts;
    let mut after = None;
    loop {
        let users = accounts.users(here, after, MOST).await?;
        let Some(last) = users.last() else {
            return Ok(false);
        };
        after = Some(last.id);
        let others = users
            .iter()
            .filter(|user| user.id != leaving.id && !user.disabled);
        if others.flat_map(|user| &user.memberships).any(owns) {
            return Ok(true);
        }
    }
}

fn member_view(user: &User, here: &OrgId) -> MemberView {
    let here = |of: &&Membership| of.organization.as_ref() == Some(here);
    let role = user.memberships.iter().find(here).map(|of| of.role);
    MemberView {
        id: user.id.to_string(),
        email: user.email.to_string(),
        role: role.map_or("none", Role::as_str),
        disabled: user.disabled,
    }
}

fn conflict(message: &str) -> Denial {
    Denial::new(DenialKind::Status(409)).with_message(message)
}
