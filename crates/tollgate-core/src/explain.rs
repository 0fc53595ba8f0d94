//! Why a key may, or may not, do what a route does: each step's verdict, without a request.
//!
//! It tells what the stack would decide from the same records, by the rules of this crate. How much
//! of a limit is used only a running app knows; without its word ([`Live`]) limits are not judged,
//! and what would be taken of them is told.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::clock::Timestamp;
use crate::credits::Balance;
use crate::demand::{Callers, Demand};
use crate::plan::{CountPer, Limits, Plan};
use crate::record::{KeyFault, KeyRecord, OrgStatus, Permissions};

pub use live::{Left, Live};

mod judge;
mod live;

/// A request that nobody makes.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "all that a verdict depends on")]
pub struct Question<'a> {
    /// What the app declared.
    pub catalog: &'a Catalog,
    /// What the route demands.
    pub demand: &'a Demand,
    /// The key, with its organization.
    pub record: &'a KeyRecord,
    /// From where.
    pub address: Option<IpAddr>,
    /// When.
    pub now: Timestamp,
    /// The wallet, as the request would find it; credits are not judged without.
    pub balance: Option<Balance>,
    /// How much of the limits is used; they are not judged without.
    pub live: Option<&'a Live>,
}

/// What is told of a request: the route that would get it, and what each step says.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "an answer with its question")]
pub struct Explained {
    /// The route: `GET /iocs/{name}`.
    pub route: String,
    /// The rest.
    #[serde(flatten)]
    pub explanation: Explanation,
}

/// What each step says, in the order of the stack.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The code of the first refusal; none if the request would reach its handler.
    pub refused: Option<Cow<'static, str>>,
    /// Every step, also those after a refusal.
    pub steps: Vec<Step>,
    /// What the request would take.
    pub consumes: Consumes,
    /// What is left of each limit now; none where no running app was asked.
    pub left: Option<Vec<Left>>,
}

/// One step.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// Which.
    pub step: Cow<'static, str>,
    /// What it says.
    pub verdict: Verdict,
    /// Why.
    pub because: String,
}

/// What a step says.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// It lets the request pass.
    Passes,
    /// It turns the request away, with this code.
    Refuses(Cow<'static, str>),
    /// It cannot be told from here.
    Unknown,
}

/// What a request would take.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Consumes {
    /// Units of each rate and quota.
    pub rate_units: u32,
    /// The limits that it is counted under, as a catalog writes them.
    pub limits: Option<Limits>,
    /// Whose limits they are, and who shares them.
    pub counted: String,
    /// The fewest credits that a success costs.
    pub credits_at_least: u64,
    /// The most that are held before the work.
    pub credits_at_most: u64,
}

impl Question<'_> {
    /// Asks each step.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        let mut steps = vec![self.callers()];
        let open = matches!(
            self.demand.callers,
            Callers::Public | Callers::Keyless | Callers::Session
        );
        let mut consumes = Consumes::default();
        if !open {
            let Some(plan) = self.plan() else {
                let verdict = Verdict::refuses("service_unavailable");
                let because = "the key's plan is not declared in the catalog";
                steps.push(Step::new("plan", verdict, because));
                return self.explanation(steps, consumes);
            };
            steps.extend([
                self.key(),
                self.organization(),
                self.addresses(),
                self.scopes(),
                self.plans(plan),
                self.features(plan),
            ]);
            consumes = self.consumes(plan);
            steps.push(self.rates(&consumes));
            steps.push(self.credits(&consumes));
        }
        self.explanation(steps, consumes)
    }

    fn explanation(&self, steps: Vec<Step>, consumes: Consumes) -> Explanation {
        let refused = steps.iter().find_map(|step| match &step.verdict {
            Verdict::Refuses(code) => Some(code.clone()),
            _ => None,
        });
        let left = self
            .live
            .map(|live| live.left(consumes.limits.as_ref(), self.now));
        Explanation {
            refused,
            steps,
            consumes,
            left,
        }
    }

    /// The plan that the key is held to.
    fn plan(&self) -> Option<&Plan> {
        let KeyRecord {
            key, organization, ..
        } = self.record;
        let name = key.plan.as_deref().unwrap_or(&organization.plan);
        self.catalog.plan(name).map(|plan| &**plan)
    }

    /// The names of the scopes that the key was given.
    fn given(&self) -> Vec<String> {
        match &self.record.key.permissions {
            Permissions::Scopes(scopes) => scopes.iter().cloned().collect(),
            Permissions::Preset(name) => {
                let preset = self.catalog.preset(name);
                preset.map_or_else(Vec::new, |preset| preset.scopes.clone())
            }
        }
    }

    fn consumes(&self, plan: &Plan) -> Consumes {
        let KeyRecord {
            key, organization, ..
        } = self.record;
        let class = self.demand.rate_class.as_deref();
        let of_class = class.and_then(|class| Some((plan.classes.get(class)?, "the class's")));
        let of_key = key.limits.as_ref().map(|limits| (limits, "the key's own"));
        let own = organization.limits.as_ref();
        let of_organization = own.map(|limits| (limits, "the organization's own"));
        let (limits, whose) = of_class
            .or(of_key)
            .or(of_organization)
            .unwrap_or((&plan.limits, "the plan's"));
        let alone = key.plan.is_some() || key.limits.is_some();
        let sharing = if alone || limits.per() == CountPer::Key {
            "counted for this key alone"
        } else {
            "shared by all keys of the organization"
        };
        let environments = &self.catalog.keys().format.environments;
        let free = environments
            .iter()
            .any(|of| of.name == key.environment && of.free);
        let (least, most) = if free {
            (0, 0)
        } else {
            self.demand.price.held_first()
        };
        Consumes {
            rate_units: self.demand.rate_cost,
            limits: Some(limits.clone()),
            counted: format!("{whose} limits, {sharing}"),
            credits_at_least: least,
            credits_at_most: most,
        }
    }
}

impl Step {
    fn new(step: &'static str, verdict: Verdict, because: impl Into<String>) -> Self {
        Self {
            step: step.into(),
            verdict,
            because: because.into(),
        }
    }
}

impl Verdict {
    const fn refuses(code: &'static str) -> Self {
        Self::Refuses(Cow::Borrowed(code))
    }
}
