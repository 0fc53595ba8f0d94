//! The management router: its options, and every route with what it demands.

use std::fmt;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use tokio::sync::Mutex;
use tollgate::{Gate, Routes};
use tollgate_core::accounts::Role;
use tollgate_core::invalid::Invalid;
use tower_http::csrf::CsrfLayer;

use crate::cookies::SessionCookies;
use crate::desk::Desk;
use crate::once::UnderWay;
use crate::operation::{Operation, Required, Table};
use crate::{
    audit, catalog, credits, explain, keys, openapi, organizations, people, sign_in, usage,
};

/// The longest body.
const LONGEST_BODY: usize = 64 * 1024;

/// The management routes of a gate.
#[derive(Clone)]
#[must_use = "nothing is managed until the routes are mounted"]
pub struct Admin {
    gate: Gate,
    sign_in: Option<SessionCookies>,
    csrf: CsrfLayer,
    under_way: Arc<UnderWay>,
    people: Arc<Mutex<()>>,
}

impl Admin {
    /// The management routes of this gate, for the sessions that it was built with.
    pub fn new(gate: &Gate) -> Self {
        Self {
            gate: gate.clone(),
            sign_in: None,
            csrf: CsrfLayer::new(),
            under_way: Arc::default(),
            people: Arc::default(),
        }
    }

    /// Adds the routes to sign in and out by these cookies, and to manage users. The gate has to
    /// be built with the same: `.sessions(cookies.clone())`.
    pub fn with_sign_in(mut self, cookies: SessionCookies) -> Self {
        self.sign_in = Some(cookies);
        self
    }

    /// Lets the pages of another origin change things too, such as those of a dashboard on a host
    /// of its own: `https://dashboard.acme.example`.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if it is no origin of `http` or `https`.
    pub fn trusted_origin(mut self, origin: &str) -> Result<Self, Invalid> {
        let layer = self.csrf.add_trusted_origin(origin);
        self.csrf = layer.map_err(|error| Invalid::new("trusted origin", error.to_string()))?;
        Ok(self)
    }

    /// The routes, to be nested in those of an app.
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> Routes<S> {
        let Table { routes, operations } = self.table();
        let desk = Desk {
            gate: self.gate.clone(),
            sign_in: self.sign_in.clone(),
            under_way: Arc::clone(&self.under_way),
            people: Arc::clone(&self.people),
            operations: operations.into(),
        };
        routes
            .layer(DefaultBodyLimit::max(LONGEST_BODY))
            .layer(self.csrf.clone())
            .with_state(desk)
    }

    /// Every route, and what it demands of who is signed in.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        self.table().operations
    }

    fn table(&self) -> Table {
        use Required::{Member, Operator, Session};
        use Role::{Admin, Owner, Viewer};
        let table = Table::new(self.gate.routes())
            .managed("GET", "/organizations", Session, organizations::list)
            .managed("POST", "/organizations", Operator, organizations::create)
            .managed("GET", ORGANIZATION, Member(Viewer), organizations::show)
            .managed("PATCH", ORGANIZATION, Member(Admin), organizations::edit)
            .managed("POST", SUSPEND, Operator, organizations::suspend)
            .managed("POST", ACTIVATE, Operator, organizations::activate)
            .managed("POST", RESTRICT, Operator, organizations::restrict_billing)
            .managed(
                "GET",
                RESOURCES,
                Member(Viewer),
                organizations::resources::list,
            )
            .managed("PUT", RESOURCE, Operator, organizations::resources::add)
            .managed(
                "DELETE",
                RESOURCE,
                Operator,
                organizations::resources::remove,
            )
            .managed("GET", KEYS, Member(Viewer), keys::list)
            .managed("POST", KEYS, Member(Admin), keys::create)
            .managed("GET", KEY, Member(Viewer), keys::show)
            .managed("PATCH", KEY, Member(Admin), keys::edit)
            .managed("DELETE", KEY, Member(Admin), keys::delete)
            .managed("POST", ROTATE, Member(Admin), keys::rotate)
            .managed("POST", REVOKE, Member(Admin), keys::revoke)
            .managed("POST", ENABLE, Member(Admin), keys::enable)
            .managed("POST", DISABLE, Member(Admin), keys::disable)
            .managed("POST", EXPLAIN, Member(Viewer), explain::explain)
            .managed("GET", KEY_USAGE, Member(Viewer), usage::of_key)
            .managed("GET", USAGE, Member(Viewer), usage::of_organization)
            .managed("GET", CREDITS, Member(Viewer), credits::balance)
            .managed("GET", ENTRIES, Member(Viewer), credits::entries)
            .managed("POST", GRANTS, Operator, credits::grant)
            .managed("POST", ADJUSTMENTS, Operator, credits::adjust)
            .managed("POST", REFUNDS, Operator, credits::refund)
            .managed("GET", AUDIT, Member(Viewer), audit::of_organization)
            .managed("GET", "/audit", Operator, audit::of_none)
            .managed("GET", "/catalog", Session, catalog::show)
            .open("GET", "/openapi.json", openapi::show);
        if self.sign_in.is_none() {
            return table;
        }
        table
            .open("POST", "/session", sign_in::sign_in)
            .managed("GET", "/session", Session, sign_in::show)
            .managed("DELETE", "/session", Session, sign_in::sign_out)
            .managed(
                "PUT",
                "/session/password",
                Session,
                sign_in::change_password,
            )
            .managed("GET", "/sessions", Session, sign_in::list)
            .managed("DELETE", "/sessions/{session}", Session, sign_in::end)
            .managed("GET", MEMBERS, Member(Owner), people::members)
            .managed("POST", MEMBERS, Member(Owner), people::add_member)
            .managed("PATCH", MEMBER, Member(Owner), people::edit_member)
            .managed("DELETE", MEMBER, Member(Owner), people::remove_member)
            .managed("GET", "/users", Operator, people::users)
            .managed("POST", "/users", Operator, people::create_user)
            .managed("GET", "/users/{user}", Operator, people::show_user)
            .managed("PATCH", "/users/{user}", Operator, people::edit_user)
            .managed("DELETE", "/users/{user}", Operator, people::delete_user)
    }
}

const ORGANIZATION: &str = "/organizations/{organization}";
const SUSPEND: &str = "/organizations/{organization}/suspend";
const ACTIVATE: &str = "/organizations/{organization}/activate";
const RESTRICT: &str = "/organizations/{organization}/billing-restrict";
const RESOURCES: &str = "/organizations/{organization}/resources";
const RESOURCE: &str = "/organizations/{organization}/resources/{kind}/{value}";
const KEYS: &str = "/organizations/{organization}/keys";
const KEY: &str = "/organizations/{organization}/keys/{key}";
const ROTATE: &str = "/organizations/{organization}/keys/{key}/rotate";
const REVOKE: &str = "/organizations/{organization}/keys/{key}/revoke";
const ENABLE: &str = "/organizations/{organization}/keys/{key}/enable";
const DISABLE: &str = "/organizations/{organization}/keys/{key}/disable";
const EXPLAIN: &str = "/organizations/{organization}/keys/{key}/explain";
const KEY_USAGE: &str = "/organizations/{organization}/keys/{key}/usage";
const USAGE: &str = "/organizations/{organization}/usage";
const CREDITS: &str = "/organizations/{organization}/credits";
const ENTRIES: &str = "/organizations/{organization}/credits/entries";
const GRANTS: &str = "/organizations/{organization}/credits/grants";
const ADJUSTMENTS: &str = "/organizations/{organization}/credits/adjustments";
const REFUNDS: &str = "/organizations/{organization}/credits/refunds";
const AUDIT: &str = "/organizations/{organization}/audit";
const MEMBERS: &str = "/organizations/{organization}/members";
const MEMBER: &str = "/organizations/{organization}/members/{user}";

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("sign_in", &self.sign_in)
            .finish_non_exhaustive()
    }
}
