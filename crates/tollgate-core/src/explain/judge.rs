//! The steps, each a rule of the stack.

use super::{Callers, Consumes, KeyFault, OrgStatus, Permissions, Plan, Question, Step, Verdict};

impl Question<'_> {
    /// Whether the route takes keys at all.
    pub(super) fn callers(&self) -> Step {
        let (verdict, because) = match &self.demand.callers {
            Callers::Public => (Verdict::Passes, "the route is open to everybody"),
            Callers::Optional => (Verdict::Passes, "the route takes a key, or none"),
            Callers::Session | Callers::Keyless => (
                Verdict::refuses("session_required"),
                "the route is for people, and refuses every key",
            ),
            _ => (Verdict::Passes, "the route takes keys"),
        };
        Step::new("callers", verdict, because)
    }

    pub(super) fn key(&self) -> Step {
        let key = &self.record.key;
        let Some(fault) = self.record.fault(self.now) else {
            let because = format!("key `{}` is good", key.name);
            return Step::new("key", Verdict::Passes, because);
        };
        let at = |at: Option<crate::clock::Timestamp>| {
            at.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string())
        };
        let because = match fault {
            KeyFault::Revoked => format!("it was revoked at {}", at(key.revoked_at)),
            KeyFault::Disabled => "it is disabled".to_owned(),
            KeyFault::Expired => format!("it expired at {}", at(key.expires_at)),
            KeyFault::NotYetValid => format!("it is not good before {}", at(key.not_before)),
            KeyFault::Superseded => {
                let end = at(self.record.secret_valid_until);
                format!("this secret was replaced, and good until {end}")
            }
        };
        Step::new("key", Verdict::refuses("invalid_api_key"), because)
    }

    pub(super) fn organization(&self) -> Step {
        let organization = &self.record.organization;
        let name = &organization.id;
        let (verdict, because) = match organization.status {
            OrgStatus::Active => (Verdict::Passes, format!("`{name}` is active")),
            OrgStatus::BillingRestricted if self.demand.billing_restricted => (
                Verdict::Passes,
                format!("`{name}` is restricted for billing reasons, which this route allows"),
            ),
            OrgStatus::BillingRestricted => (
                Verdict::refuses("billing_restricted"),
                format!("`{name}` is restricted for billing reasons"),
            ),
            OrgStatus::Suspended => (
                Verdict::refuses("organization_suspended"),
                format!("`{name}` is suspended"),
            ),
        };
        Step::new("organization", verdict, because)
    }

    pub(super) fn addresses(&self) -> Step {
        let rules = [
            ("the key", &self.record.key.ip_rules),
            ("the organization", &self.record.organization.ip_rules),
        ];
        if rules.iter().all(|(_, rules)| rules.is_empty()) {
            return Step::new("address", Verdict::Passes, "there are no IP rules");
        }
        let from = self
            .address
            .map_or_else(|| "an unknown address".to_owned(), |from| from.to_string());
        let refuses = |(_, rules): &&(_, &crate::ip::IpRules)| !rules.permit(self.address);
        match rules.iter().find(refuses) {
            None => {
                let because = format!("the IP rules permit {from}");
                Step::new("address", Verdict::Passes, because)
            }
            Some((whose, _)) => {
                let because = format!("the IP rules of {whose} do not permit {from}");
                Step::new("address", Verdict::refuses("ip_not_allowed"), because)
            }
        }
    }

    pub(super) fn scopes(&self) -> Step {
        let given = self.given();
        let path = |wanted: &String| self.catalog.explain(&given, wanted);
        let told = |wanted: &String| {
            path(wanted).map_or_else(
                || format!("it lacks `{wanted}`"),
                |path| match path.as_slice() {
                    [own] => format!("it has `{own}`"),
                    path => format!("it has `{}`", path.join("` → `")),
                },
            )
        };
        let (passes, because) = match &self.demand.callers {
            Callers::AllOf(scopes) => (
                scopes.iter().all(|scope| path(scope).is_some()),
                scopes.iter().map(told).collect::<Vec<_>>().join(", "),
            ),
            Callers::AnyOf(scopes) => match scopes.iter().find(|scope| path(scope).is_some()) {
                Some(scope) => (true, told(scope)),
                None => (false, format!("it has none of `{}`", scopes.join("`, `"))),
            },
            _ => (true, "no scope is demanded".to_owned()),
        };
        let because = match &self.record.key.permissions {
            Permissions::Preset(name) if self.catalog.preset(name).is_none() => {
                format!("{because}; its preset `{name}` is not declared any more")
            }
            Permissions::Preset(name) => format!("{because}, by its preset `{name}`"),
            Permissions::Scopes(_) => because,
        };
        let verdict = if passes {
            Verdict::Passes
        } else {
            Verdict::refuses("insufficient_permissions")
        };
        Step::new("scopes", verdict, because)
    }

    pub(super) fn plans(&self, plan: &Plan) -> Step {
        let demanded = self.demanded_plan();
        let because = match demanded {
            None => return Step::new("plan", Verdict::Passes, "no plan is demanded"),
            Some(lowest) if plan.at_least(lowest) => {
                format!("plan `{}` is at least `{}`", plan.name, lowest.name)
            }
            Some(lowest) => {
                let because = format!("plan `{}` is below `{}`", plan.name, lowest.name);
                return Step::new("plan", Verdict::refuses("plan_required"), because);
            }
        };
        Step::new("plan", Verdict::Passes, because)
    }

    /// The lowest plan that would do: the route's own, and what the demanded scopes demand. Of
    /// scopes that are a choice, each that is granted counts on the plan that it demands.
    fn demanded_plan(&self) -> Option<&Plan> {
        let own = self.demand.plan.as_deref();
        let own = own.and_then(|name| self.catalog.plan(name));
        let given = self.given();
        let of_scopes = match &self.demand.callers {
            Callers::AllOf(scopes) => {
                let set = self.catalog.set_of(scopes).ok();
                set.and_then(|set| self.catalog.plan_demanded_by(&set))
            }
            Callers::AnyOf(scopes) => {
                let granted = scopes
                    .iter()
                    .filter(|scope| self.catalog.explain(&given, scope).is_some());
                let demands: Vec<_> = granted
                    .filter_map(|scope| self.catalog.set_of([scope]).ok())
                    .map(|set| self.catalog.plan_demanded_by(&set))
                    .collect();
                if demands.iter().any(Option::is_none) {
                    None
                } else {
                    let demands = demands.into_iter().flatten();
                    demands.min_by_key(|plan| plan.rank)
                }
            }
            _ => None,
        };
        let demanded = own.into_iter().chain(of_scopes);
        demanded.map(|plan| &**plan).max_by_key(|plan| plan.rank)
    }

    pub(super) fn features(&self, plan: &Plan) -> Step {
        let mut features = self.demand.features.iter();
        let missing = features.find(|feature| !plan.has_feature(feature));
        match missing {
            Some(feature) => Step::new(
                "features",
                Verdict::refuses("entitlement_required"),
                format!("plan `{}` lacks `{feature}`", plan.name),
            ),
            None if self.demand.features.is_empty() => {
                Step::new("features", Verdict::Passes, "no feature is demanded")
            }
            None => {
                let features = self.demand.features.join("`, `");
                let because = format!("plan `{}` has `{features}`", plan.name);
                Step::new("features", Verdict::Passes, because)
            }
        }
    }

    pub(super) fn credits(&self, consumes: &Consumes) -> Step {
        let (least, most) = (consumes.credits_at_least, consumes.credits_at_most);
        if most == 0 {
            let because = if self.demand.price.is_free() {
                "the route is free".to_owned()
            } else {
                let environment = &self.record.key.environment;
                format!("keys of the environment `{environment}` pay nothing")
            };
            return Step::new("credits", Verdict::Passes, because);
        }
        let Some(balance) = self.balance else {
            let because = format!("it costs {}; the wallet was not read", self.demand.price);
            return Step::new("credits", Verdict::Unknown, because);
        };
        let available = balance.available();
        let because = format!(
            "it costs {}, and {available} are available",
            self.demand.price
        );
        let verdict = if available < least {
            Verdict::refuses("insufficient_credits")
        } else {
            Verdict::Passes
        };
        Step::new("credits", verdict, because)
    }
}
