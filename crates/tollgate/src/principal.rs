//! The verified caller, as a handler sees it.

use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request;
use tollgate_core::id::{KeyId, OrgId};

use crate::credential::Presented;
use crate::denial::{Denial, DenialKind};
use crate::passage::Ticket;
use crate::verified::VerifiedKey;

/// The verified caller of a request. Holds nothing secret, and is made by verification only.
///
/// As an extractor it is there on every route that demands a key; on an optional route, take
/// `Option<Principal>`. Where there is none it answers 401, as if no key had been sent.
///
/// ```
/// use serde::Deserialize;
/// use tollgate::{Denial, Principal};
///
/// #[derive(Deserialize)]
/// struct Lookup {
///     domain: Option<String>,
/// }
///
/// async fn leaks(caller: Principal, query: axum::extract::Query<Lookup>) -> Result<String, Denial> {
///     let domain = caller.owns("domain", query.domain.as_deref())?;
///     Ok(format!("no leaks of {domain}"))
/// }
/// ```
#[derive(Clone)]
pub struct Principal(Arc<VerifiedKey>);

impl Principal {
    pub(crate) const fn new(key: Arc<VerifiedKey>) -> Self {
        Self(key)
    }

    pub(crate) const fn verified(&self) -> &Arc<VerifiedKey> {
        &self.0
    }

    /// The key's id.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.0.id()
    }

    /// What the key's owner calls it.
    #[must_use]
    pub fn key_name(&self) -> &str {
        &self.0.name
    }

    /// The environment of the key: `live`, `test`.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.0.environment
    }

    /// The organization that owns the key.
    #[must_use]
    pub fn organization(&self) -> &OrgId {
        &self.0.organization().id
    }

    /// The plan that applies: the key's own, else the organization's.
    #[must_use]
    pub fn plan(&self) -> &str {
        &self.0.plan.name
    }

    /// What the organization owns of a kind.
    pub fn resources(&self, kind: &str) -> impl Iterator<Item = &str> {
        let owned = self.0.organization().resources.get(kind);
        owned.into_iter().flatten().map(String::as_str)
    }

    /// Demands that a request names something that the organization owns, and returns it.
    ///
    /// # Errors
    ///
    /// A [`Denial`]: 400 `missing_parameter` if it is missing or blank, 403 `resource_not_owned`
    /// if the organization does not own it. Both give the credits of the request back.
    pub fn owns<'a>(&self, kind: &str, value: Option<&'a str>) -> Result<&'a str, Denial> {
        self.owns_by(kind, value, |owned, asked| owned == asked)
    }

    /// The same, where `same` decides whether the resource that is owned covers the one that is
    /// asked for: by label, by case, by domain of an e-mail address.
    ///
    /// # Errors
    ///
    /// As [`owns`](Self::owns).
    pub fn owns_by<'a>(
        &self,
        kind: &str,
        value: Option<&'a str>,
        same: impl Fn(&str, &str) -> bool,
    ) -> Result<&'a str, Denial> {
        let value = value.map(str::trim).filter(|value| !value.is_empty());
        let Some(value) = value else {
            return Err(Denial::new(DenialKind::MissingParameter)
                .with_message(format!("The parameter `{kind}` is required."))
                .with_detail("parameter", kind));
        };
        if self.resources(kind).any(|owned| same(owned, value)) {
            return Ok(value);
        }
        Err(Denial::new(DenialKind::ResourceNotOwned).with_detail("resource", kind))
    }

    /// Demands that the plan has a feature.
    ///
    /// # Errors
    ///
    /// A [`Denial`], 403 `entitlement_required`, which names the feature and the plan.
    pub fn entitled(&self, feature: &str) -> Result<(), Denial> {
        if self.0.plan.has_feature(feature) {
            return Ok(());
        }
        Err(self.lacks(feature))
    }

    /// Demands that a number of the plan is at least this large.
    ///
    /// # Errors
    ///
    /// A [`Denial`], 403 `entitlement_required`, which names the number and the plan's.
    pub fn entitled_to(&self, number: &str, at_least: u64) -> Result<(), Denial> {
        let allowed = self.0.plan.number_of(number).unwrap_or(0);
        if allowed >= at_least {
            return Ok(());
        }
        Err(self
            .lacks(number)
            .with_detail("limit", allowed)
            .with_detail("asked", at_least))
    }

    fn lacks(&self, entitlement: &str) -> Denial {
        Denial::new(DenialKind::EntitlementRequired)
            .with_detail("entitlement", entitlement)
            .with_detail("plan", self.plan())
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("key", &self.key_id())
            .field("organization", self.organization())
            .field("plan", &self.plan())
            .finish_non_exhaustive()
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Denial> {
        let Some(ticket) = Ticket::find(&parts.extensions) else {
            return Err(Denial::misplaced("AuthenticateLayer"));
        };
        let sent = ticket.with(|passage| passage.presented.unwrap_or_default());
        ticket.caller().ok_or_else(|| match sent {
            Presented::Nothing => DenialKind::MissingCredential.into(),
            _ => Denial::new(DenialKind::InvalidCredential)
                .with_reason("the handler takes a Principal where none is demanded"),
        })
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Option<Self>, Denial> {
        match Ticket::find(&parts.extensions) {
            Some(ticket) => Ok(ticket.caller()),
            None => Err(Denial::misplaced("AuthenticateLayer")),
        }
    }
}
