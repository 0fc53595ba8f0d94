//! What each route demands of who is signed in: one row a route, as data.

use std::fmt;

use axum::extract::Request;
use axum::handler::Handler;
use tollgate::Routes;
use tollgate::access::{session, without_key};
use tollgate_core::accounts::Role;

use crate::desk::Desk;
use crate::extract::Params;
use crate::manager::{Manager, Member};

/// What a route demands of who is signed in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Required {
    /// Nothing: it comes before a session. An API key is still a 401.
    Nothing,
    /// A session of anybody.
    Session,
    /// This role in the organization that the path names. Who has none there is told that there is
    /// no such organization.
    Member(Role),
    /// An owner everywhere: who runs the whole installation.
    Operator,
}

impl Required {
    /// As text: `none`, `session`, `viewer`, `admin`, `owner`, `operator`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Session => "session",
            Self::Member(role) => role.as_str(),
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Required {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A route of the management router.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Operation {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// The path below where it is mounted: `/organizations/{organization}`.
    pub path: &'static str,
    /// What it demands.
    pub required: Required,
}

/// Routes with what they demand. Each is mounted here, and only here is their access chosen.
pub(crate) struct Table {
    pub(crate) routes: Routes<Desk>,
    pub(crate) operations: Vec<Operation>,
}

impl Table {
    pub(crate) const fn new(routes: Routes<Desk>) -> Self {
        Self {
            routes,
            operations: Vec::new(),
        }
    }

    /// A route for who is signed in. Its handler takes who that is first, which is to be had of a
    /// session only and after the role was checked, and then what it takes of the query.
    pub(crate) fn managed<H, T>(
        self,
        method: &'static str,
        path: &'static str,
        required: Required,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Desk>,
        T: Managed + 'static,
    {
        self.mount(method, path, required, handler)
    }

    /// A route that comes before a session.
    pub(crate) fn open<H, T>(self, method: &'static str, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Desk>,
        T: 'static,
    {
        self.mount(method, path, Required::Nothing, handler)
    }

    fn mount<H, T>(
        mut self,
        method: &'static str,
        path: &'static str,
        required: Required,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Desk>,
        T: 'static,
    {
        let access = match required {
            Required::Nothing => without_key(),
            _ => session(),
        };
        let access = access.describe(format!("Management, role: {required}"));
        let handler = Demanding { handler, required };
        self.routes = match method {
            "GET" => self.routes.get(path, handler, access),
            "POST" => self.routes.post(path, handler, access),
            "PUT" => self.routes.put(path, handler, access),
            "PATCH" => self.routes.patch(path, handler, access),
            _ => self.routes.delete(path, handler, access),
        };
        self.operations.push(Operation {
            method,
            path,
            required,
        });
        self
    }
}

/// Arguments of a handler that begin with who is signed in, and with its query.
pub(crate) trait Managed {}

/// Who is signed in, after the demand of the route was met.
pub(crate) trait Authority {}

impl Authority for Manager {}
impl Authority for Member {}

impl<M, A: Authority, P> Managed for (M, A, Params<P>) {}
impl<M, A: Authority, P, B> Managed for (M, A, Params<P>, B) {}
impl<M, A: Authority, P, B, C> Managed for (M, A, Params<P>, B, C) {}

/// A handler that is told what its route demands.
#[derive(Clone)]
struct Demanding<H> {
    handler: H,
    required: Required,
}

impl<H, T> Handler<T, Desk> for Demanding<H>
where
    H: Handler<T, Desk>,
    T: 'static,
{
    type Future = H::Future;

    fn call(self, mut request: Request, desk: Desk) -> Self::Future {
        request.extensions_mut().insert(self.required);
        self.handler.call(request, desk)
    }
}
