//! A sign of life on stderr while something takes time: only on a terminal, and gone at its end.

use super::escape;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, WeakProgressBar};
use std::time::Duration;

/// One line that moves until it is dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Begins; hidden unless it is wanted. indicatif itself draws on a terminal only.
    pub(super) fn begin(wanted: bool, words: String) -> Self {
        let target =
            if wanted { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(escape::line(&words));
        bar.tick();
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// For whoever writes beside it.
    pub(super) fn line(&self) -> WeakProgressBar {
        self.0.downgrade()
    }

    /// What it is at by now.
    pub(crate) fn say(&self, words: &str) {
        self.0.set_message(escape::line(words));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
