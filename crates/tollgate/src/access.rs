//! What a route demands: stated where the route is mounted.
//!
//! ```
//! use tollgate::access::{Access, any_of, public, scope};
//!
//! let lookup: Access = scope("enrichment:read")
//!     .credits_per_item(3)
//!     .describe("IOC enrichment");
//! let chat = scope("ai:chat").plan("starter").credits_between(1, 50);
//! let either = any_of(["iocs:read", "articles:read"]).rate_class("exports");
//! let health = public();
//! ```

use http::StatusCode;
use tollgate_core::credits::Price;
use tollgate_core::demand::{Callers, Demand};

use crate::idempotency::Repeats;
use crate::tab::ChargePolicy;

/// What a route demands of its callers, and what it costs them.
///
/// Made by [`public`], [`optional`], [`authenticated`], [`scope`], [`all_of`], [`any_of`] and
/// [`session`]: there is no default, so no route is open by omission.
#[derive(Clone, Debug)]
#[must_use = "an access does nothing until a route is mounted with it"]
pub struct Access {
    pub(crate) who: Who,
    pub(crate) plan: Option<String>,
    pub(crate) features: Vec<String>,
    pub(crate) price: Price,
    pub(crate) rate_cost: u32,
    pub(crate) rate_class: Option<String>,
    pub(crate) billing_restricted: bool,
    pub(crate) query_key: bool,
    pub(crate) charge: ChargePolicy,
    pub(crate) repeats: Repeats,
    pub(crate) observed: Checks,
    pub(crate) description: String,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Who {
    Public,
    Optional,
    Authenticated,
    AllOf(Vec<String>),
    AnyOf(Vec<String>),
    Session,
    Keyless,
}

/// One step of the stack, for [`Access::observe`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Check {
    /// That a key is sent, and is good. Whoever fails it passes as nobody, so the handler takes
    /// an `Option<Principal>`.
    Credential,
    /// That the organization is neither suspended nor restricted.
    Organization,
    /// That the key may be used from the address.
    Ip,
    /// That the key has the scopes.
    Scope,
    /// That the plan is high enough, and has the features.
    Plan,
    /// Rates, quotas and the cap on requests under way.
    Rate,
    /// That the wallet has the credits.
    Credits,
}

/// A set of checks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Checks(u8);

impl Checks {
    const fn with(self, check: Check) -> Self {
        Self(self.0 | (1 << (check as u8)))
    }

    pub(crate) const fn has(self, check: Check) -> bool {
        self.0 & (1 << (check as u8)) != 0
    }
}

/// Open to everybody; a key that is sent along is not looked at, and nothing is charged.
pub const fn public() -> Access {
    Access::new(Who::Public)
}

/// Open to everybody, but a key that is sent along must be good: it is a 401 if it is not.
pub const fn optional() -> Access {
    Access::new(Who::Optional)
}

/// Open to every good key, also one without scopes.
pub const fn authenticated() -> Access {
    Access::new(Who::Authenticated)
}

/// Open to keys that have this scope, or one that implies it.
pub fn scope(scope: impl Into<String>) -> Access {
    Access::new(Who::AllOf(vec![scope.into()]))
}

/// Open to keys that have all of these scopes.
pub fn all_of<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Access {
    Access::new(Who::AllOf(scopes.into_iter().map(Into::into).collect()))
}

/// Open to keys that have at least one of these scopes.
pub fn any_of<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Access {
    Access::new(Who::AnyOf(scopes.into_iter().map(Into::into).collect()))
}

/// Open to sessions of people: any API key presented is a 401, even beside a good session.
pub const fn session() -> Access {
    Access::new(Who::Session)
}

/// Open to everybody who sends no API key; one that is presented is a 401. For what comes before a
/// [`session`]: signing in.
pub const fn without_key() -> Access {
    Access::new(Who::Keyless)
}

impl Access {
    const fn new(who: Who) -> Self {
        Self {
            who,
            plan: None,
            features: Vec::new(),
            price: Price::Free,
            rate_cost: 1,
            rate_class: None,
            billing_restricted: false,
            query_key: true,
            charge: ChargePolicy::NORMAL,
            repeats: Repeats::Unknown,
            observed: Checks(0),
            description: String::new(),
        }
    }

    /// Demands this plan or a higher one, besides those that the scopes demand.
    pub fn plan(mut self, plan: impl Into<String>) -> Self {
        self.plan = Some(plan.into());
        self
    }

    /// Demands that the plan has this feature.
    pub fn feature(mut self, feature: impl Into<String>) -> Self {
        self.features.push(feature.into());
        self
    }

    /// Costs as many credits for each request.
    pub const fn credits(mut self, credits: u64) -> Self {
        self.price = Price::Fixed(credits);
        self
    }

    /// Costs as many credits for each item that the handler counts with
    /// [`Bill::items`](crate::Bill::items).
    pub const fn credits_per_item(mut self, credits: u64) -> Self {
        self.price = Price::PerItem(credits);
        self
    }

    /// Costs what the handler says with [`Bill::set`](crate::Bill::set), between two bounds.
    pub const fn credits_between(mut self, least: u64, most: u64) -> Self {
        self.price = Price::Between { least, most };
        self
    }

    /// Takes so many units of every rate and quota, in place of one. Zero takes none.
    pub const fn rate_cost(mut self, units: u32) -> Self {
        self.rate_cost = units;
        self
    }

    /// Counts under the limits that plans have for this class of routes.
    pub fn rate_class(mut self, class: impl Into<String>) -> Self {
        self.rate_class = Some(class.into());
        self
    }

    /// Stays open to organizations that are restricted for billing reasons.
    pub const fn allow_billing_restricted(mut self) -> Self {
        self.billing_restricted = true;
        self
    }

    /// Takes no key from the query here, where the app takes them elsewhere: it counts as none.
    pub const fn without_query_key(mut self) -> Self {
        self.query_key = false;
        self
    }

    /// Charges the statuses that the function names, in place of 2xx and 304.
    pub const fn charge_when(mut self, charges: fn(StatusCode) -> bool) -> Self {
        self.charge.charges = charges;
        self
    }

    /// Charges a client that hangs up before the answer, in place of giving back what was held.
    pub const fn charge_on_hangup(mut self) -> Self {
        self.charge.on_hangup = true;
        self
    }

    /// Answers only when the charge is durable.
    pub const fn settle_before_reply(mut self) -> Self {
        self.charge.before_reply = true;
        self
    }

    /// Does its work, and charges for it, once for each `Idempotency-Key`: a request that comes
    /// again is told the first one's outcome. Answers only when that is durable.
    ///
    /// A body of more than 64 KiB is a 413. An outcome of more, or one that streams, is not stored:
    /// whoever repeats its request is told so, and pays nothing.
    pub const fn idempotent(mut self) -> Self {
        self.repeats = Repeats::Known;
        self
    }

    /// As [`idempotent`](Self::idempotent), and turns away requests without a key.
    pub const fn idempotency_key_required(mut self) -> Self {
        self.repeats = Repeats::Required;
        self
    }

    /// Lets this check log and count what it would have refused, and pass it. For trying out a
    /// rule on live traffic.
    pub const fn observe(mut self, check: Check) -> Self {
        self.observed = self.observed.with(check);
        self
    }

    /// Says what the route does, for the permission map.
    pub fn describe(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// The demanded permission as the permission map shows it.
    pub(crate) fn permission(&self) -> String {
        match &self.who {
            Who::Public => "None (public)".to_owned(),
            Who::Optional => "None (key optional)".to_owned(),
            Who::Authenticated => "Any key".to_owned(),
            Who::AllOf(scopes) => scopes.join(" and "),
            Who::AnyOf(scopes) => scopes.join(" or "),
            Who::Session => "Session".to_owned(),
            Who::Keyless => "None (no key)".to_owned(),
        }
    }

    /// The demand as the recorded permission map says it.
    pub(crate) fn demand(&self) -> Demand {
        Demand {
            callers: match self.who.clone() {
                Who::Public => Callers::Public,
                Who::Keyless => Callers::Keyless,
                Who::Optional => Callers::Optional,
                Who::Authenticated => Callers::Authenticated,
                Who::AllOf(scopes) => Callers::AllOf(scopes),
                Who::AnyOf(scopes) => Callers::AnyOf(scopes),
                Who::Session => Callers::Session,
            },
            plan: self.plan.clone(),
            features: self.features.clone(),
            price: self.price,
            rate_cost: self.rate_cost,
            rate_class: self.rate_class.clone(),
            billing_restricted: self.billing_restricted,
        }
    }

    /// The scopes that it names.
    pub(crate) fn scopes(&self) -> &[String] {
        match &self.who {
            Who::AllOf(scopes) | Who::AnyOf(scopes) => scopes,
            _ => &[],
        }
    }
}
