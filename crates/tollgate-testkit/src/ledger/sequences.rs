//! Random sequences of every operation of a [`Ledger`], with calls at once, calls that are dropped,
//! crashes and a clock that jumps, each compared with a simple model.
//!
//! After each step the answers, the sums and the books are what the model says. Calls at once are
//! explained by some order of them; a call that nobody waited for has happened or it has not,
//! whichever explains what is found then.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use tokio::runtime::{Builder, Runtime};
use tollgate_core::credits::Ledger;

use self::run::Run;
use self::steps::{Step, steps};

mod books;
mod run;
mod steps;

/// A sequence that fails is made shorter for this long, in milliseconds.
const SHRINKING: u32 = 60_000;

/// How much was tried.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Tally {
    /// Sequences.
    pub sequences: u64,
    /// Operations in them.
    pub operations: u64,
    /// Operations that were dropped before they were answered, by a client or by a crash.
    pub dropped: u64,
    /// Steps with dropped operations that had done something nevertheless.
    pub happened: u64,
    /// Crashes.
    pub crashes: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sequences,
            operations,
            dropped,
            happened,
            crashes,
        } = self;
        write!(
            f,
            "{sequences} sequences of {operations} operations, {dropped} of which were dropped \
             ({happened} times something had happened), and {crashes} crashes"
        )
    }
}

/// Runs so many sequences, each on a fresh ledger, as [`ledger_contract!`](crate::ledger_contract)
/// is given one. There are no crashes: where one would be, clients hang up.
///
/// ```
/// use std::sync::Arc;
///
/// use tollgate_core::credits::MemoryLedger;
/// use tollgate_testkit::ledger::sequences;
///
/// sequences::run(10, async || Arc::new(MemoryLedger::default()));
/// ```
///
/// # Panics
///
/// With the shortest sequence that was found to fail, if one does.
pub fn run<L>(sequences: u64, make: impl AsyncFn() -> L) -> Tally
where
    L: Deref<Target: Ledger + Sized>,
{
    run_all(sequences, false, &async || (), &async |()| make().await)
}

/// Runs so many sequences, each at a new place, with crashes in them.
///
/// `place` makes what outlives a crash, such as a temporary directory, and `open` opens the ledger
/// that is there. A crash drops the ledger, and the runtime with all of its tasks, at any point,
/// and opens it again.
///
/// # Panics
///
/// With the shortest sequence that was found to fail, if one does.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is written where it is given"
)]
pub fn run_with_crashes<P, L>(
    sequences: u64,
    place: impl AsyncFn() -> P,
    open: impl AsyncFn(&P) -> L,
) -> Tally
where
    L: Deref<Target: Ledger + Sized>,
{
    run_all(sequences, true, &place, &open)
}

#[expect(
    clippy::panic,
    reason = "a ledger that breaks its contract fails its test"
)]
fn run_all<P, L>(
    sequences: u64,
    crashes: bool,
    place: &impl AsyncFn() -> P,
    open: &impl AsyncFn(&P) -> L,
) -> Tally
where
    L: Deref<Target: Ledger + Sized>,
{
    let mut runner = TestRunner::new(Config {
        cases: u32::try_from(sequences).unwrap_or(u32::MAX),
        failure_persistence: None,
        max_shrink_time: SHRINKING,
        ..Config::default()
    });
    let tally = std::cell::Cell::new(Tally::default());
    let played = runner.run(&steps(), |steps| {
        let mut done = tally.get();
        play(&steps, crashes, &mut done, place, open).map_err(TestCaseError::fail)?;
        done.sequences += 1;
        tally.set(done);
        Ok(())
    });
    match played {
        Ok(()) => {}
        Err(TestError::Abort(reason)) => panic!("{reason}"),
        Err(TestError::Fail(reason, steps)) => {
            let steps: Vec<_> = steps.iter().map(|step| format!("  {step:?}")).collect();
            panic!("{reason}\nin\n{}", steps.join("\n"));
        }
    }
    tally.get()
}

fn play<P, L>(
    steps: &[Step],
    crashes: bool,
    tally: &mut Tally,
    place: &impl AsyncFn() -> P,
    open: &impl AsyncFn(&P) -> L,
) -> Result<(), String>
where
    L: Deref<Target: Ledger + Sized>,
{
    let mut life = runtime();
    let place = life.block_on(place());
    let mut ledger = life.block_on(open(&place));
    let mut run = Run::new(tally);
    for step in steps {
        let (Step::Crash(moves, cut), true) = (step, crashes) else {
            life.block_on(run.step(&*ledger, step))?;
            continue;
        };
        let asked = life.block_on(run.begin(&*ledger, moves, *cut));
        // Nothing of this process runs any more: its tasks do only while the runtime is entered.
        let dying = life.enter();
        let asked = asked.given_up();
        drop(ledger);
        drop(dying);
        life.shutdown_timeout(Duration::ZERO);
        life = runtime();
        ledger = life.block_on(open(&place));
        life.block_on(run.after_crash(&*ledger, asked))?;
    }
    life.block_on(run.finish(&*ledger))?;
    let _dying = life.enter();
    drop(ledger);
    drop(place);
    Ok(())
}

/// One thread runs everything, so that nothing runs between the steps.
#[expect(clippy::unwrap_used, reason = "without a runtime there is no test")]
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}
