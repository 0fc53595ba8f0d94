//! What a catalog may not declare.

use std::collections::{BTreeMap, BTreeSet};

use super::closure::circles;
use super::error::{hint, told};
use super::file::CatalogSpec;
use crate::credits::MAX_CREDITS;
use crate::invalid::Invalid;
use crate::plan::{Limits, Plan};
use crate::scope::{Implies, Scope};

/// The most scopes of a catalog: a bound on each set and on the closure.
pub(super) const MAX_SCOPES: usize = 4096;

impl CatalogSpec {
    /// Everything that is wrong with it.
    pub(super) fn problems(&self) -> Vec<Invalid> {
        let mut problems = Vec::new();
        self.keys.check(&mut problems);
        // The other checks take time by the number of scopes.
        if self.scopes.len() > MAX_SCOPES {
            let reason = format!(
                "there are {}, and at most {MAX_SCOPES} are allowed; remove some",
                self.scopes.len()
            );
            problems.push(Invalid::new("scopes", reason));
            return problems;
        }
        self.check_scopes(&mut problems);
        self.check_presets(&mut problems);
        self.check_plans(&mut problems);
        problems
    }

    fn check_scopes(&self, problems: &mut Vec<Invalid>) {
        let scopes: BTreeSet<_> = names(&self.scopes, |scope| &scope.name).collect();
        let plans: BTreeSet<_> = names(&self.plans, |plan| &plan.name).collect();
        let mut seen = BTreeSet::new();
        for scope in &self.scopes {
            let mut refuse = refuse("scope", &scope.name, problems);
            if !is_scope_token(&scope.name) {
                refuse(
                    "a name is 1 to 128 visible ASCII characters without space, quote or \
                     backslash, such as `iocs:read`"
                        .to_owned(),
                );
            } else if scope.name.contains('*') {
                refuse(
                    "a `*` is no wildcard here; give it another name and say what it implies"
                        .to_owned(),
                );
            }
            if !seen.insert(&scope.name) {
                refuse("it is declared twice; remove one".to_owned());
            }
            for implied in scope.implied().iter().map(String::as_str) {
                if !scopes.contains(implied) {
                    let remedy = "declare it or do not imply it";
                    let hint = hint(implied, scopes.iter().copied(), remedy);
                    refuse(format!(
                        "it implies {}, which is not declared{hint}",
                        told(implied)
                    ));
                }
            }
            if let Some(plan) = scope.plan.as_deref()
                && !plans.contains(plan)
            {
                let hint = hint(plan, plans.iter().copied(), "declare it or demand no plan");
                refuse(format!(
                    "it demands the plan {}, which is not declared{hint}",
                    told(plan)
                ));
            }
        }
        for circle in circles(&self.scopes) {
            problems.push(Invalid::new(
                "scopes",
                format!(
                    "`{}` imply each other in a circle; remove one of these implications",
                    circle.join(" → ").escape_debug()
                ),
            ));
        }
    }

    fn check_presets(&self, problems: &mut Vec<Invalid>) {
        let scopes: BTreeMap<_, _> = self
            .scopes
            .iter()
            .map(|scope| (scope.name.as_str(), scope))
            .collect();
        let mut seen = BTreeSet::new();
        for preset in &self.presets {
            let mut refuse = refuse("preset", &preset.name, problems);
            check_name(&preset.name, &mut refuse);
            if !seen.insert(&preset.name) {
                refuse("it is declared twice; remove one".to_owned());
            }
            for held in preset.scopes.iter().map(String::as_str) {
                match scopes.get(held) {
                    Some(scope) if scope.is_assignable() => {}
                    Some(_) => refuse(format!(
                        "it holds {}, which is legacy; list the scopes that are meant instead",
                        told(held)
                    )),
                    None => {
                        let hint = hint(held, scopes.keys().copied(), "declare it or remove it");
                        refuse(format!(
                            "it holds {}, which is not declared{hint}",
                            told(held)
                        ));
                    }
                }
            }
        }
    }

    fn check_plans(&self, problems: &mut Vec<Invalid>) {
        let mut seen = BTreeSet::new();
        let mut ranks: BTreeMap<u32, &str> = BTreeMap::new();
        for plan in &self.plans {
            let new = seen.insert(&plan.name);
            let ranked = ranks.get(&plan.rank).copied();
            ranks.entry(plan.rank).or_insert(&plan.name);
            let mut refuse = refuse("plan", &plan.name, problems);
            check_name(&plan.name, &mut refuse);
            if !new {
                refuse("it is declared twice; remove one".to_owned());
            } else if let Some(other) = ranked {
                refuse(format!(
                    "it has rank {}, as the plan {} has; give each plan its own rank",
                    plan.rank,
                    told(other)
                ));
            }
            check_plan(plan, refuse);
        }
    }
}

fn check_plan(plan: &Plan, mut refuse: impl FnMut(String)) {
    let mut limits = |place: String, limits: &Limits| {
        if let Err(problem) = limits.check() {
            refuse(format!("{place}{problem}"));
        }
    };
    limits(String::new(), &plan.limits);
    for (class, own) in &plan.classes {
        limits(format!("class {}: ", told(class)), own);
    }
    if plan.monthly_credits > MAX_CREDITS {
        let credits = plan.monthly_credits;
        refuse(format!("{credits} credits a month are above {MAX_CREDITS}"));
    }
    for (what, names) in [
        ("class", plan.classes.keys().collect::<Vec<_>>()),
        ("feature", plan.features.iter().collect()),
        ("number", plan.numbers.keys().collect()),
    ] {
        for name in names {
            check_name(name, |reason| {
                refuse(format!("{what} {}: {reason}", told(name)));
            });
        }
    }
}

impl Scope {
    /// What it implies by name.
    fn implied(&self) -> &[String] {
        match &self.implies {
            Implies::Scopes(names) => names,
            Implies::Everything => &[],
        }
    }
}

fn names<T>(list: &[T], name: fn(&T) -> &String) -> impl Iterator<Item = &str> {
    list.iter().map(move |item| name(item).as_str())
}

fn refuse(what: &str, name: &str, problems: &mut Vec<Invalid>) -> impl FnMut(String) {
    move |reason| problems.push(Invalid::new(format!("{what} {}", told(name)), reason))
}

/// RFC 6749 §3.3: no space, quote or backslash, so that a challenge can list scopes.
fn is_scope_token(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\');
    (1..=128).contains(&name.len()) && name.bytes().all(good)
}

fn check_name(name: &str, mut refuse: impl FnMut(String)) {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':');
    if !(1..=64).contains(&name.len()) || !name.bytes().all(good) {
        refuse("a name is 1 to 64 of A-Z a-z 0-9 . _ - :".to_owned());
    }
}
