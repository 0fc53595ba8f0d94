//! The organizations that own the keys.

use crate::change::{Actor, Change, ChangeKind};
use crate::error::{StoreError, StoreErrorKind};
use crate::id::OrgId;
use crate::invalid::Invalid;
use crate::ip::IpRules;
use crate::keyring::{Keyring, KeyringError, RETRIES, check_plan};
use crate::plan::Limits;
use crate::record::{OrgStatus, Organization};

/// What a new organization is to be.
#[derive(Clone, Debug)]
#[must_use = "an organization is made by Keyring::create_organization"]
pub struct NewOrganization {
    id: OrgId,
    plan: String,
    ip_rules: IpRules,
    resources: Vec<(String, String)>,
}

impl NewOrganization {
    /// An active organization on a plan.
    pub fn new(id: OrgId, plan: impl Into<String>) -> Self {
        Self {
            id,
            plan: plan.into(),
            ip_rules: IpRules::default(),
            resources: Vec::new(),
        }
    }

    /// Restricts from where all of its keys may be used.
    pub fn ip_rules(mut self, rules: IpRules) -> Self {
        self.ip_rules = rules;
        self
    }

    /// Gives it a resource, such as the `domain` `acme.example`.
    pub fn resource(mut self, kind: impl Into<String>, value: impl Into<String>) -> Self {
        self.resources.push((kind.into(), value.into()));
        self
    }
}

impl Keyring {
    /// Makes an organization.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if it exists already, its plan is not declared, or the store fails.
    pub async fn create_organization(
        &self,
        new: NewOrganization,
        actor: &Actor,
    ) -> Result<Organization, KeyringError> {
        check_plan(&new.plan, &self.catalog)?;
        for (kind, value) in &new.resources {
            check_resource(kind, value)?;
        }
        let now = self.now().wall;
        let mut organization = Organization {
            id: new.id,
            plan: new.plan,
            status: OrgStatus::Active,
            ip_rules: new.ip_rules,
            limits: None,
            resources: [].into(),
            created_at: now,
            version: 1,
        };
        for (kind, value) in new.resources {
            organization
                .resources
                .entry(kind)
                .or_default()
                .insert(value);
        }
        let inserted = self
            .store
            .insert_organization(organization.clone(), Change::by(actor, now));
        match self.ask(inserted).await {
            Err(error) if error.kind() == StoreErrorKind::Conflict => Err(
                KeyringError::already_exists("organization", &organization.id),
            ),
            other => Ok(other.map(|()| organization)?),
        }
    }

    /// Reads an organization.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such organization, or the store fails.
    pub async fn organization(&self, id: &OrgId) -> Result<Organization, KeyringError> {
        self.ask(self.store.organization(id))
            .await?
            .ok_or_else(|| KeyringError::not_found("organization", id))
    }

    /// Lists up to `limit` organizations by id, from after `after`.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if the store fails.
    pub async fn organizations(
        &self,
        after: Option<OrgId>,
        limit: u32,
    ) -> Result<Vec<Organization>, KeyringError> {
        Ok(self.ask(self.store.organizations(after, limit)).await?)
    }

    /// Suspends an organization: none of its keys works.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such organization, or the store fails.
    pub async fn suspend(&self, id: &OrgId, actor: &Actor) -> Result<Organization, KeyringError> {
        self.set_org_status(id, OrgStatus::Suspended, actor).await
    }

    /// Lets a suspended or restricted organization's keys work again.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such organization, or the store fails.
    pub async fn activate(&self, id: &OrgId, actor: &Actor) -> Result<Organization, KeyringError> {
        self.set_org_status(id, OrgStatus::Active, actor).await
    }

    /// Restricts an organization to the routes that allow a billing restriction.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such organization, or the store fails.
    pub async fn restrict_billing(
        &self,
        id: &OrgId,
        actor: &Actor,
    ) -> Result<Organization, KeyringError> {
        self.set_org_status(id, OrgStatus::BillingRestricted, actor)
            .await
    }

    /// Puts an organization on another plan. Units that it used stay used.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such organization or plan, or the store fails.
    pub async fn set_plan(
        &self,
        id: &OrgId,
        plan: &str,
        actor: &Actor,
    ) -> Result<Organization, KeyringError> {
        check_plan(plan, &self.catalog)?;
        self.update_org(id, actor, |org| plan.clone_into(&mut org.plan))
            .await
    }

    /// Replaces an organization's IP rules; the default rules clear them.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such organization, or the store fails.
    pub async fn set_ip_rules(
        &self,
        id: &OrgId,
        rules: &IpRules,
        actor: &Actor,
    ) -> Result<Organization, KeyringError> {
        self.update_org(id, actor, |org| org.ip_rules.clone_from(rules))
            .await
    }

    /// Replaces or clears an organization's own limits, which go over its plan's.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such organization, the limits do not go together, or the
    /// store fails.
    pub async fn set_limits(
        &self,
        id: &OrgId,
        limits: Option<&Limits>,
        actor: &Actor,
    ) -> Result<Organization, KeyringError> {
        limits.map_or(Ok(()), Limits::check)?;
        self.update_org(id, actor, |org| org.limits = limits.cloned())
            .await
    }

    /// Gives an organization a resource; nothing changes if it has it. A kind has 1 to 64 bytes, a
    /// value 1 to 1024, without blanks around it and without control characters.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such organization, this is no kind or no value, or the store
    /// fails.
    pub async fn add_resource(
        &self,
        id: &OrgId,
        kind: &str,
        value: &str,
        actor: &Actor,
    ) -> Result<Organization, KeyringError> {
        check_resource(kind, value)?;
        self.update_org(id, actor, |org| {
            org.resources
                .entry(kind.to_owned())
                .or_default()
                .insert(value.to_owned());
        })
        .await
    }

    /// Takes a resource from an organization; nothing changes if it lacks it.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such organization, or the store fails.
    pub async fn remove_resource(
        &self,
        id: &OrgId,
        kind: &str,
        value: &str,
        actor: &Actor,
    ) -> Result<Organization, KeyringError> {
        self.update_org(id, actor, |org| {
            if let Some(values) = org.resources.get_mut(kind) {
                values.remove(value);
                if values.is_empty() {
                    org.resources.remove(kind);
                }
            }
        })
        .await
    }

    async fn set_org_status(
        &self,
        id: &OrgId,
        status: OrgStatus,
        actor: &Actor,
    ) -> Result<Organization, KeyringError> {
        self.update_org(id, actor, |org| org.status = status).await
    }

    async fn update_org(
        &self,
        id: &OrgId,
        actor: &Actor,
        edit: impl Fn(&mut Organization),
    ) -> Result<Organization, KeyringError> {
        let _turn = self.turns.take(id.as_str().as_bytes()).await;
        for _ in 0..RETRIES {
            let before = self.organization(id).await?;
            let mut organization = before.clone();
            edit(&mut organization);
            let told = self.tell(ChangeKind::OrganizationChanged, None, Some(id));
            if organization == before {
                return Ok(organization);
            }
            let change = Change::by(actor, self.now().wall);
            let updated = self
                .ask(self.store.update_organization(organization, change))
                .await;
            drop(told);
            match updated {
                Err(error) if error.kind() == StoreErrorKind::Conflict => {}
                other => {
                    return other
                        .map_err(|error| KeyringError::missing_or(error, "organization", id));
                }
            }
        }
        Err(StoreError::conflict(format!(
            "organization {id} is being changed by others all the time"
        ))
        .into())
    }
}

/// What a request asks for is trimmed before it is compared, so a blank around a value would never
/// match; and control characters are for nobody to read.
fn check_resource(kind: &str, value: &str) -> Result<(), Invalid> {
    for (place, text, longest) in [("resource kind", kind, 64), ("resource", value, 1024)] {
        let blank = text.is_empty() || text.trim() != text;
        if blank || text.len() > longest || text.chars().any(char::is_control) {
            let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
            let reason = format!(
                "`{shown}` is not 1 to {longest} bytes without control characters and without \
                 blanks around them"
            );
            return Err(Invalid::new(place, reason));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_what_a_request_can_ask_for() {
        for (kind, value) in [("domain", "acme.example"), ("web site", "Ä b"), ("k", "*")] {
            check_resource(kind, value).unwrap();
        }
        check_resource(&"k".repeat(64), &"v".repeat(1024)).unwrap();
        let long = "v".repeat(1025);
        for (kind, value, place) in [
            ("", "v", "resource kind"),
            (" k", "v", "resource kind"),
            (&"k".repeat(65), "v", "resource kind"),
            ("k", "", "resource"),
            ("k", "v ", "resource"),
            ("k", "a\u{1b}b", "resource"),
            ("k", &long, "resource"),
        ] {
            let refused = check_resource(kind, value).unwrap_err();
            assert_eq!(refused.place(), place, "{kind:?} {value:?}");
            assert!(refused.to_string().len() < 300);
        }
    }
}
