//! Following the journal: every event behind a revision, in order, none left out.
//!
//! The journal itself is the watcher's queue: a slow reader holds a revision and no memory, and
//! nothing is ever dropped in silence. Who keeps up is served from what all share in memory. Who
//! asks for what is compacted is told to read anew.

use super::Control;
use crate::consensus::{Behind, Group};
use crate::store::View;
use keiko_core::id::GroupId;
use keiko_core::refusal::Result;
use keiko_core::{house, journal};
use keiko_proto::v1::Event;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

const GROUP: GroupId = GroupId::CONTROL;

/// Bytes of the events that are read at a time, but for one revision's that are more: so much
/// waits for one reader at most, or one entry's 4 MiB.
const BATCH_BYTES: usize = 256 << 10;

/// How often somebody far away learns how far they are when nothing for them happened.
const BOOKMARK_EVERY: Duration = Duration::from_secs(5);

/// What a follower gets.
#[derive(Debug)]
pub(super) enum Followed {
    /// In order.
    Events(Vec<Arc<Event>>),
    /// Everything up to here was told.
    CaughtUp(u64),
    /// What lies behind the reader's revision is no longer kept.
    Lost { oldest: u64, revision: u64 },
}

/// A reader of the journal: a revision, and the wish to hear what comes behind it.
pub(super) struct Follower {
    control: Control,
    group: Group,
    after: u64,
    revisions: watch::Receiver<u64>,
    bookmarks: Bookmarks,
}

/// When a follower that has heard everything is told so.
enum Bookmarks {
    /// At each new revision; the last that was told.
    AtOnce(Option<u64>),
    /// Now and then, also if nothing is new; when the next is due.
    Seldom(Instant),
}

impl Follower {
    /// For a part of this node that must know of each revision: tells it as soon as it is reached.
    pub(super) fn near(control: &Control, after: u64) -> Result<Self> {
        Self::new(control, after, Bookmarks::AtOnce(None))
    }

    /// For somebody far away: how far it is comes at first and then every 5 s.
    pub(super) fn far(control: &Control, after: u64) -> Result<Self> {
        Self::new(control, after, Bookmarks::Seldom(Instant::now()))
    }

    fn new(control: &Control, after: u64, bookmarks: Bookmarks) -> Result<Self> {
        let group = control.group()?;
        let revisions = group.revisions();
        Ok(Self { control: control.clone(), group, after, revisions, bookmarks })
    }

    /// What comes next; `None` when this node ends. May be dropped while it waits: nothing is lost.
    pub(super) async fn next(&mut self) -> Result<Option<Followed>> {
        loop {
            self.revisions.mark_unchanged();
            match self.read().await? {
                Followed::CaughtUp(revision) => {
                    self.after = revision;
                    if self.bookmarks.take_due(revision) {
                        return Ok(Some(Followed::CaughtUp(revision)));
                    }
                }
                Followed::Events(events) => {
                    self.after = events.last().map_or(self.after, |event| event.revision);
                    return Ok(Some(Followed::Events(events)));
                }
                Followed::Lost { oldest, revision } => {
                    self.after = revision;
                    return Ok(Some(Followed::Lost { oldest, revision }));
                }
            }
            tokio::select! {
                changed = self.revisions.changed() => if changed.is_err() { return Ok(None) },
                () = self.bookmarks.due() => {}
                () = self.control.closing().cancelled() => return Ok(None),
            }
        }
    }

    async fn read(&self) -> Result<Followed> {
        let after = self.after;
        match self.group.recent().behind(after, BATCH_BYTES) {
            Some(behind) => Ok(behind.into()),
            None => self.control.read_local(move |view| read(view, after)).await,
        }
    }
}

impl Bookmarks {
    fn take_due(&mut self, revision: u64) -> bool {
        match self {
            Self::AtOnce(told) => told.replace(revision) != Some(revision),
            Self::Seldom(due) => {
                let now = Instant::now();
                let is_due = now >= *due;
                if is_due {
                    *due = now + BOOKMARK_EVERY;
                }
                is_due
            }
        }
    }

    async fn due(&self) {
        match self {
            Self::AtOnce(_) => std::future::pending().await,
            Self::Seldom(due) => tokio::time::sleep_until(*due).await,
        }
    }
}

impl From<Behind> for Followed {
    fn from(behind: Behind) -> Self {
        match behind.events.is_empty() {
            true => Self::CaughtUp(behind.reached),
            false => Self::Events(behind.events),
        }
    }
}

/// The next batch from the journal itself.
fn read(view: &View<'_>, after: u64) -> Followed {
    let oldest = journal::oldest_revision(view, GROUP);
    if after.saturating_add(1) < oldest {
        return Followed::Lost { oldest, revision: house::revision(view, GROUP) };
    }
    Behind::read(view, GROUP, after, BATCH_BYTES).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Database;
    use crate::store::folder::Folder;
    use crate::store::record::{Applied, LogId};
    use keiko_core::features;
    use keiko_core::house::Round;
    use keiko_proto::v1::entry::Room;
    use keiko_proto::v1::{
        ClusterOp, Compact, Entry, JournalOp, Node, NoteNode, cluster_op, journal_op,
    };
    use prost::Message as _;

    fn apply(database: &Database, index: u64, room: Room) {
        let entry = Entry {
            format: features::FORMAT,
            feature_level: features::LEVEL,
            proposed_ms: index,
            room: Some(room),
            ..Default::default()
        };
        let view = database.view();
        let mut round = Round::new(&view, GroupId::CONTROL);
        round.apply(index, &entry.encode_to_vec()).unwrap();
        let writes = round.into_writes();
        drop(view);
        let last = LogId { term: 1, index };
        let applied = Applied { last, membership: Vec::new() };
        database.apply(GroupId::CONTROL, &writes, &applied).unwrap();
    }

    fn note(version: u64) -> Room {
        let version = version.to_string();
        let node = Node { id: 1, name: "one".to_owned(), version, ..Default::default() };
        let op = cluster_op::Op::NoteNode(NoteNode { node: Some(node) });
        Room::Cluster(ClusterOp { op: Some(op) })
    }

    #[test]
    fn what_is_no_longer_kept_is_said_and_never_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(Folder::open(folder.path()).unwrap()).unwrap();
        for index in 1..=6 {
            apply(&database, index, note(index));
        }
        let seen = |after: u64| match read(&database.view(), after) {
            Followed::Events(events) => events.iter().map(|event| event.revision).collect(),
            Followed::CaughtUp(revision) => vec![1000 + revision],
            Followed::Lost { oldest, revision } => vec![2000 + oldest, 2000 + revision],
        };
        assert_eq!(seen(0), [1, 2, 3, 4, 5, 6]);
        assert_eq!(seen(4), [5, 6]);
        assert_eq!(seen(6), [1006]);
        let op = journal_op::Op::Compact(Compact { before_revision: 4 });
        apply(&database, 7, Room::Journal(JournalOp { op: Some(op) }));
        assert_eq!(seen(2), [2004, 2007]);
        assert_eq!(seen(3), [4, 5, 6, 7]);
    }
}
