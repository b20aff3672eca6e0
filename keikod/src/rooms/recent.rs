//! The newest events in memory: each is read from the store once, however many follow it.
//!
//! Filled by whoever asks first after a change. Without gaps: all that happened behind `from` up to
//! `reached` is here, and who is further behind reads the journal itself.

use crate::store::View;
use keiko_core::id::GroupId;
use keiko_core::{house, journal};
use keiko_proto::v1::Event;
use prost::Message as _;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const GROUP: GroupId = GroupId::CONTROL;

/// Encoded bytes that are kept: some thousand changes of an agent, or eight of the largest object.
const KEPT_BYTES: usize = 2 << 20;

/// By how many revisions the window may be behind and still be filled: more than that is the
/// journal's to read, page by page.
const GAP_MAX: u64 = 1024;

/// What all followers of this node share.
#[derive(Default)]
pub(super) struct Recent {
    window: Mutex<Option<Window>>,
}

#[derive(Default)]
struct Window {
    /// Each with its encoded length.
    events: VecDeque<(Arc<Event>, usize)>,
    bytes: usize,
    /// Every event of a later revision is here …
    from: u64,
    /// … up to this one.
    reached: u64,
}

/// What lies behind a revision.
pub(super) struct Behind {
    /// In order; whole revisions.
    pub(super) events: Vec<Arc<Event>>,
    /// The revision that they reach.
    pub(super) reached: u64,
}

impl Recent {
    /// All up to `newest` or beyond that is behind `after`, at most so many bytes of it but for one
    /// revision's; `None` if the window does not hold it.
    pub(super) fn behind(&self, after: u64, newest: u64, bytes_max: usize) -> Option<Behind> {
        let window = self.lock();
        let window = window.as_ref().filter(|window| window.reached >= newest)?;
        window.behind(after, bytes_max)
    }

    /// Takes in what the view has and the window lacks.
    pub(super) fn fill(&self, view: &View<'_>) {
        let newest = house::revision(view, GROUP);
        let mut window = self.lock();
        let known = window.as_ref().map(|window| window.reached);
        let window = match (known, &mut *window) {
            (Some(reached), Some(window)) if newest.saturating_sub(reached) <= GAP_MAX => window,
            (_, window) => {
                window.insert(Window { from: newest, reached: newest, ..Default::default() })
            }
        };
        if newest <= window.reached {
            return;
        }
        for event in journal::after(view, GROUP, window.reached) {
            window.push(event);
        }
        window.reached = newest;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Window>> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn push(&mut self, event: Event) {
        let length = event.encoded_len();
        self.bytes += length;
        self.events.push_back((Arc::new(event), length));
        while self.bytes > KEPT_BYTES {
            let Some((first, length)) = self.events.pop_front() else { return };
            self.bytes -= length;
            self.from = first.revision;
        }
    }

    fn behind(&self, after: u64, bytes_max: usize) -> Option<Behind> {
        if after < self.from {
            return None;
        }
        let start = self.events.partition_point(|(event, _)| event.revision <= after);
        let next = self.events.range(start..).map(|(event, length)| (Arc::clone(event), *length));
        Some(Behind::gather(next, self.reached.max(after), bytes_max))
    }
}

impl Behind {
    /// The same from the journal, for those who are further behind.
    pub(super) fn read(view: &View<'_>, after: u64, bytes_max: usize) -> Self {
        let events = journal::after(view, GROUP, after).map(|event| {
            let length = event.encoded_len();
            (Arc::new(event), length)
        });
        Self::gather(events, house::revision(view, GROUP).max(after), bytes_max)
    }

    /// `reached` is where all of them lead to. A revision's events are never split.
    fn gather(
        all: impl Iterator<Item = (Arc<Event>, usize)>,
        reached: u64,
        bytes_max: usize,
    ) -> Self {
        let (mut events, mut bytes): (Vec<Arc<Event>>, usize) = (Vec::new(), 0);
        for (event, length) in all {
            bytes += length;
            let last = events.last().map(|last| last.revision);
            if let Some(last) = last.filter(|last| *last != event.revision && bytes > bytes_max) {
                return Self { events, reached: last };
            }
            events.push(event);
        }
        Self { events, reached }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(revision: u64, bytes: usize) -> Event {
        Event { revision, subject: "x".repeat(bytes), ..Default::default() }
    }

    fn revisions(behind: &Behind) -> Vec<u64> {
        behind.events.iter().map(|event| event.revision).collect()
    }

    #[test]
    fn a_window_has_no_gap_and_splits_no_revision() {
        let mut window = Window { from: 10, reached: 10, ..Default::default() };
        for revision in [11, 11, 12, 15] {
            window.push(event(revision, 100));
        }
        window.reached = 16;
        let seen = |after, bytes_max| {
            window.behind(after, bytes_max).map(|behind| (revisions(&behind), behind.reached))
        };
        assert_eq!(seen(9, 1000), None);
        assert_eq!(seen(10, 1000), Some((vec![11, 11, 12, 15], 16)));
        assert_eq!(seen(10, 1), Some((vec![11, 11], 11)));
        assert_eq!(seen(11, 1), Some((vec![12], 12)));
        assert_eq!(seen(12, 1), Some((vec![15], 16)));
        assert_eq!(seen(15, 1), Some((vec![], 16)));
        assert_eq!(seen(16, 1), Some((vec![], 16)));
    }

    #[test]
    fn what_is_dropped_is_no_longer_promised() {
        let mut window = Window::default();
        for revision in 1..=40 {
            window.push(event(revision, KEPT_BYTES / 10));
            window.reached = revision;
            assert!(window.bytes <= KEPT_BYTES);
        }
        assert!(window.behind(window.from - 1, 1).is_none());
        let whole = window.behind(window.from, usize::MAX).unwrap();
        assert_eq!(revisions(&whole), (window.from + 1..=40).collect::<Vec<_>>());
        assert!(whole.events.len() >= 9);
    }
}
