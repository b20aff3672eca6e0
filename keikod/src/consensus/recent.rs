//! The newest events in memory, as they were applied: who follows the journal and keeps up reads no
//! store.
//!
//! Filled by the state machine, before it tells of the revision. Without gaps: all that happened
//! behind `from` up to `reached` is here, and who is further behind reads the journal.

use crate::store::View;
use keiko_core::id::GroupId;
use keiko_core::{house, journal};
use keiko_proto::v1::Event;
use prost::Message as _;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Encoded bytes that are kept: some thousand changes of an agent, or eight of the largest object.
const KEPT_BYTES: usize = 2 << 20;

/// What all followers of a group share.
pub struct Recent {
    window: Mutex<Window>,
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
#[derive(Debug, PartialEq)]
pub struct Behind {
    /// In order; whole revisions.
    pub events: Vec<Arc<Event>>,
    /// The revision that they reach.
    pub reached: u64,
}

impl Recent {
    /// Empty at this revision.
    pub(super) fn at(revision: u64) -> Self {
        Self { window: Mutex::new(Window::at(revision)) }
    }

    /// Takes in what one round of entries made, each event with its encoded length.
    pub(super) fn push(&self, events: Vec<(Event, usize)>, revision: u64) {
        let mut window = self.lock();
        for (event, length) in events {
            window.push(event, length);
        }
        window.reached = revision;
    }

    /// Another state is there: what led to it is not known here.
    pub(super) fn begin_at(&self, revision: u64) {
        *self.lock() = Window::at(revision);
    }

    /// All that is behind `after`, at most so many bytes of it but for one revision's; `None` if
    /// the window does not hold it.
    pub fn behind(&self, after: u64, bytes_max: usize) -> Option<Behind> {
        self.lock().behind(after, bytes_max)
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn at(revision: u64) -> Self {
        Self { from: revision, reached: revision, ..Self::default() }
    }

    fn push(&mut self, event: Event, length: usize) {
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
    /// The same from the journal of the group, for those who are further behind.
    pub fn read(view: &View<'_>, group: GroupId, after: u64, bytes_max: usize) -> Self {
        let events = journal::after(view, group, after).map(|event| {
            let length = event.encoded_len();
            (Arc::new(event), length)
        });
        Self::gather(events, house::revision(view, group).max(after), bytes_max)
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
            window.push(event(revision, 100), 100);
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
            window.push(event(revision, 1), KEPT_BYTES / 10);
            window.reached = revision;
            assert!(window.bytes <= KEPT_BYTES);
        }
        assert!(window.behind(window.from - 1, 1).is_none());
        let whole = window.behind(window.from, usize::MAX).unwrap();
        assert_eq!(revisions(&whole), (window.from + 1..=40).collect::<Vec<_>>());
        assert!(whole.events.len() >= 9);
    }
}
