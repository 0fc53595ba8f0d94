//! What a catalog declares, as tables.

use serde::{Serialize, Serializer};
use serde_json::Value;
use tollgate_core::catalog::Preset;
use tollgate_core::plan::{Limits, Plan};
use tollgate_core::scope::{Implies, Scope};

use crate::out::{Shown, or_dash};

pub(super) struct ShownScope<'a>(pub(super) &'a Scope);
pub(super) struct ShownPreset<'a>(pub(super) &'a Preset);
pub(super) struct ShownPlan<'a>(pub(super) &'a Plan);

/// As JSON, a catalog is printed whole and as it was recorded.
macro_rules! only_a_row {
    ($($Shown:ident),*) => {$(
        impl Serialize for $Shown<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.row().serialize(serializer)
            }
        }
    )*};
}
only_a_row!(ShownScope, ShownPreset, ShownPlan);

impl Shown for ShownScope<'_> {
    const COLUMNS: &'static [&'static str] = &["SCOPE", "IMPLIES", "PLAN", "IS", "DESCRIPTION"];

    fn row(&self) -> Vec<String> {
        let Self(scope) = self;
        let implies = match &scope.implies {
            Implies::Scopes(scopes) => scopes.join(","),
            _ => "everything".to_owned(),
        };
        let is = [
            (scope.reserved, "reserved"),
            (scope.legacy, "legacy"),
            (scope.deprecated.is_some(), "deprecated"),
        ];
        let is: Vec<&str> = is.iter().filter(|(is, _)| *is).map(|(_, it)| *it).collect();
        vec![
            scope.name.clone(),
            or_dash(some(&implies)),
            or_dash(scope.plan.as_ref()),
            or_dash(some(&is.join(","))),
            scope.description.clone(),
        ]
    }
}

impl Shown for ShownPreset<'_> {
    const COLUMNS: &'static [&'static str] = &["PRESET", "SCOPES", "DESCRIPTION"];

    fn row(&self) -> Vec<String> {
        let Self(preset) = self;
        let scopes = preset.scopes.join(",");
        let (name, description) = (preset.name.clone(), preset.description.clone());
        vec![name, or_dash(some(&scopes)), description]
    }
}

impl Shown for ShownPlan<'_> {
    const COLUMNS: &'static [&'static str] = &[
        "PLAN",
        "RANK",
        "LIMITS",
        "CREDITS/MONTH",
        "FEATURES",
        "NUMBERS",
    ];

    fn row(&self) -> Vec<String> {
        let Self(plan) = self;
        let mut limits = vec![told(&plan.limits)];
        let classes = plan.classes.iter();
        limits.extend(classes.map(|(class, limits)| format!("{class}: {}", told(limits))));
        limits.retain(|limits| !limits.is_empty());
        let features: Vec<&str> = plan.features.iter().map(String::as_str).collect();
        let numbers = plan.numbers.iter().map(|(name, n)| format!("{name}={n}"));
        let numbers: Vec<String> = numbers.collect();
        vec![
            plan.name.clone(),
            plan.rank.to_string(),
            or_dash(some(&limits.join("; "))),
            plan.monthly_credits.to_string(),
            or_dash(some(&features.join(","))),
            or_dash(some(&numbers.join(","))),
        ]
    }
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// Limits in the words of a catalog file: `10/minute, 1000/day, 4 at once`.
fn told(limits: &Limits) -> String {
    let value = serde_json::to_value(limits).unwrap_or_default();
    let listed = |name| {
        value
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let text = |value: &Value, name| Some(value.get(name)?.as_str()?.to_owned());
    let rate = |rate: &Value| {
        let (limit, kind) = (text(rate, "limit")?, text(rate, "kind")?);
        Some(format!("{limit} {kind}"))
    };
    let plain = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let rates = listed("rates").filter_map(|it| plain(it).or_else(|| rate(it)));
    let at_once = limits.in_flight().map(|most| format!("{most} at once"));
    let all = rates
        .chain(listed("quotas").filter_map(plain))
        .chain(at_once);
    all.collect::<Vec<_>>().join(", ")
}
