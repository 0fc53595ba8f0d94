//! What follows from having a scope.

use std::collections::VecDeque;

use foldhash::HashMap;

use crate::scope::{Implies, Scope, ScopeId, ScopeSet};

/// The declared scopes by name, what each implies at once, and all that follows.
#[derive(Debug)]
pub(super) struct Implications {
    ids: HashMap<String, ScopeId>,
    direct: Vec<Vec<ScopeId>>,
    closed: Vec<ScopeSet>,
}

impl Implications {
    /// Names that are not declared imply nothing; the first of two scopes of one name counts.
    pub(super) fn new(scopes: &[Scope]) -> Self {
        let mut ids = HashMap::default();
        for (id, scope) in (0..).map(ScopeId::new).zip(scopes) {
            ids.entry(scope.name.clone()).or_insert(id);
        }
        let every = || (0..).map(ScopeId::new).take(scopes.len());
        let direct: Vec<Vec<_>> = scopes
            .iter()
            .map(|scope| match &scope.implies {
                Implies::Scopes(names) => {
                    let declared = names.iter().filter_map(|name| ids.get(name));
                    declared.copied().collect()
                }
                Implies::Everything => every().collect(),
            })
            .collect();
        let closed = close(&direct);
        Self {
            ids,
            direct,
            closed,
        }
    }

    pub(super) fn id(&self, name: &str) -> Option<ScopeId> {
        self.ids.get(name).copied()
    }

    /// The scope and all that it implies.
    pub(super) fn closed(&self, scope: ScopeId) -> Option<&ScopeSet> {
        self.closed.get(scope.index())
    }

    /// The shortest path from one of `starts` to `wanted`, both ends included.
    pub(super) fn path(
        &self,
        starts: impl IntoIterator<Item = ScopeId>,
        wanted: ScopeId,
    ) -> Option<Vec<ScopeId>> {
        let mut came_from = vec![None; self.direct.len()];
        let mut seen = ScopeSet::new();
        let mut queue = VecDeque::new();
        queue.extend(starts.into_iter().filter(|start| seen.insert(*start)));
        while let Some(scope) = queue.pop_front() {
            if scope == wanted {
                let back = |scope: &ScopeId| came_from.get(scope.index()).copied().flatten();
                let mut path: Vec<_> = std::iter::successors(Some(scope), back).collect();
                path.reverse();
                return Some(path);
            }
            for next in self.direct.get(scope.index()).into_iter().flatten() {
                if seen.insert(*next) {
                    if let Some(from) = came_from.get_mut(next.index()) {
                        *from = Some(scope);
                    }
                    queue.push_back(*next);
                }
            }
        }
        None
    }
}

/// Warshall's closure: whoever reaches a scope reaches what that scope reaches.
fn close(direct: &[Vec<ScopeId>]) -> Vec<ScopeSet> {
    let ids = || (0..).map(ScopeId::new);
    let mut closed: Vec<ScopeSet> = ids()
        .zip(direct)
        .map(|(id, implied)| implied.iter().copied().chain([id]).collect())
        .collect();
    for via in ids().take(direct.len()) {
        let Some(reached) = closed.get(via.index()).cloned() else {
            continue;
        };
        for set in closed.iter_mut().filter(|set| set.contains(via)) {
            set.union_with(&reached);
        }
    }
    closed
}

/// The circles among the implications that are declared by name, each from a scope back to it.
///
/// A scope that implies everything is in no circle: what it implies says nothing of its own.
pub(super) fn circles(scopes: &[Scope]) -> Vec<Vec<&str>> {
    let mut implied: HashMap<&str, &[String]> = HashMap::default();
    for scope in scopes {
        if let Implies::Scopes(names) = &scope.implies {
            implied
                .entry(scope.name.as_str())
                .or_insert(names.as_slice());
        }
    }
    let mut circles = Vec::new();
    // Every scope is walked once; `None` while the walk is still below it.
    let mut done: HashMap<&str, Option<()>> = HashMap::default();
    for scope in scopes {
        let mut walk: Vec<(&str, std::slice::Iter<'_, String>)> = Vec::new();
        let mut next = Some(scope.name.as_str());
        loop {
            if let Some(name) = next {
                match done.get(name) {
                    Some(Some(())) => {}
                    Some(None) => {
                        let circle = walk.iter().map(|(on_walk, _)| *on_walk);
                        let circle = circle.skip_while(|on_walk| *on_walk != name);
                        circles.push(circle.chain([name]).collect());
                    }
                    None => {
                        done.insert(name, None);
                        walk.push((name, implied.get(name).copied().unwrap_or_default().iter()));
                    }
                }
            }
            let Some((name, rest)) = walk.last_mut() else {
                break;
            };
            next = rest.next().map(String::as_str);
            if next.is_none() {
                done.insert(*name, Some(()));
                walk.pop();
            }
        }
    }
    circles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_circle_is_walked_from_its_first_scope_back() {
        let scopes = [
            Scope::new("free"),
            Scope::new("a").implies("b").implies("free"),
            Scope::new("b").implies("c"),
            Scope::new("c").implies("a").implies("c"),
        ];
        assert_eq!(circles(&scopes), [vec!["a", "b", "c", "a"], vec!["c", "c"]]);
    }

    #[test]
    fn two_paths_to_one_scope_are_no_circle() {
        let scopes = [
            Scope::new("a").implies("b").implies("c"),
            Scope::new("b").implies("d"),
            Scope::new("c").implies("d"),
            Scope::new("d"),
        ];
        assert!(circles(&scopes).is_empty());
    }

    #[test]
    fn a_scope_that_implies_everything_may_be_implied() {
        let scopes = [
            Scope::new("all").implies_everything(),
            Scope::new("admin").implies("all"),
        ];
        assert!(circles(&scopes).is_empty());
    }

    #[test]
    fn a_chain_of_any_length_is_walked() {
        let scope = |n: u32| Scope::new(n.to_string()).implies((n + 1).to_string());
        let scopes: Vec<_> = (0..100_000).map(scope).collect();
        assert!(circles(&scopes).is_empty());
    }
}
