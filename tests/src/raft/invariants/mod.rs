//! What holds in every run, a file each.

mod acknowledged;
mod convergence;
mod elections;
mod freshness;
mod log_matching;
mod revisions;
mod state;
mod totality;

use super::Invariant;
use super::seen::Event;

/// Looks at all that happens.
pub(super) trait Watcher: Send {
    /// What of it can't be.
    fn see(&mut self, event: &Event) -> Result<(), String>;
}

/// Who looks for it.
pub(super) fn watcher(invariant: Invariant) -> Box<dyn Watcher> {
    match invariant {
        Invariant::Elections => Box::<elections::Elections>::default(),
        Invariant::LogMatching => Box::<log_matching::LogMatching>::default(),
        Invariant::Acknowledged => Box::<acknowledged::Acknowledged>::default(),
        Invariant::State => Box::<state::State>::default(),
        Invariant::Revisions => Box::<revisions::Revisions>::default(),
        Invariant::Freshness => Box::new(freshness::Freshness),
        Invariant::Convergence => Box::new(convergence::Convergence),
        Invariant::Totality => Box::new(totality::Totality),
    }
}
