//! Shows how far a long piece of work is.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error, if somebody looks at it.
#[derive(Debug)]
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// Of so many steps. `beside` says whether standard output fills the same terminal meanwhile,
    /// where a bar would stand in the way.
    pub(crate) fn of(steps: u64, beside: bool) -> Self {
        if beside && io::stdout().is_terminal() {
            return Self(None);
        }
        Self::drawn(steps, "{bar:40} {human_pos}/{human_len} {eta}")
    }

    /// Of a file of so many bytes.
    pub(crate) fn of_bytes(bytes: u64) -> Self {
        Self::drawn(bytes, "{bar:40} {bytes}/{total_bytes} {eta}")
    }

    fn drawn(steps: u64, template: &str) -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
        Self(Some(match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }))
    }

    /// None is shown.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    pub(crate) fn step(&self) {
        if let Some(bar) = &self.0 {
            bar.inc(1);
        }
    }

    pub(crate) fn reach(&self, steps: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(steps);
        }
    }

    /// Prints beside the bar.
    pub(crate) fn beside(&self, print: impl FnOnce()) {
        match &self.0 {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
