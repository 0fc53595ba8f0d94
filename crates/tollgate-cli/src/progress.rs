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
        if !io::stderr().is_terminal() || (beside && io::stdout().is_terminal()) {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} {eta}");
        Self(Some(match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }))
    }

    pub(crate) fn step(&self) {
        if let Some(bar) = &self.0 {
            bar.inc(1);
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
