//! Compiled into the copy of the examples that `tests/mutants/examples` makes. One thing at most is
//! missing in a process: what `TOLLGATE_MUTANT` names.

use std::cell::Cell;
use std::sync::LazyLock;

/// The site, the call of the helper around it, and the turn of the list; -1 is any.
static MISSING: LazyLock<[i64; 3]> = LazyLock::new(|| {
    let Ok(named) = std::env::var("TOLLGATE_MUTANT") else {
        return [-1; 3];
    };
    let parts: Vec<i64> = named.split(',').map(|part| part.parse().unwrap()).collect();
    parts.try_into().unwrap()
});

thread_local! {
    static CALL: Cell<i64> = const { Cell::new(-1) };
    static TURN: Cell<i64> = const { Cell::new(0) };
}

fn missing((site, turns): (i64, i64)) -> bool {
    let [missing, call, turn] = *MISSING;
    if site != missing || (call >= 0 && call != CALL.get()) {
        return false;
    }
    turn < 0 || TURN.replace((TURN.get() + 1) % turns) == turn
}

pub(crate) trait Unless: Sized {
    fn unless<A>(self, at: (i64, i64), args: A, call: impl FnOnce(Self, A) -> Self) -> Self {
        if missing(at) { self } else { call(self, args) }
    }
}

impl<T> Unless for T {}

pub(crate) fn weaken<T>(at: (i64, i64), access: T, weaker: T) -> T {
    if missing(at) { weaker } else { access }
}

pub(crate) fn without<T>((site, _): (i64, i64), list: impl IntoIterator<Item = T>) -> Vec<T> {
    let [missing, _, turn] = *MISSING;
    let all = list.into_iter().enumerate();
    let rest = all.filter(|(at, _)| site != missing || i64::try_from(*at).unwrap() != turn);
    rest.map(|(_, item)| item).collect()
}

pub(crate) fn enter(call: i64) -> i64 {
    CALL.replace(call)
}

pub(crate) fn leave<T>(before: i64, made: T) -> T {
    CALL.set(before);
    made
}
