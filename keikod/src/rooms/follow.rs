//! Following the journal: every event behind a revision, in order, none left out.
//!
//! The journal itself is the watcher's queue: a slow reader holds a revision and no memory, and
//! nothing is ever dropped in silence. Who asks for what is compacted is told to read anew.

use super::Control;
use crate::store::View;
use keiko_core::id::GroupId;
use keiko_core::journal;
use keiko_core::refusal::Result;
use keiko_proto::v1::Event;
use prost::Message;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Bytes of the events that are read at a time, but for one revision's that are more: so much
/// waits for one reader at most, or one entry's 4 MiB.
const BATCH_BYTES: usize = 256 << 10;

/// How often a reader learns how far it is when nothing for it happened.
const BOOKMARK_EVERY: Duration = Duration::from_secs(5);

/// What a follower gets.
#[derive(Debug)]
pub(super) enum Followed {
    /// In order.
    Events(Vec<Event>),
    /// Everything up to here was sent.
    CaughtUp(u64),
    /// What lies behind the reader's revision is no longer kept.
    Lost { oldest: u64, revision: u64 },
}

/// Follows from behind `after` until the receiver goes; if not `forever`, until it has caught up.
pub(super) fn follow(
    control: Control,
    after: u64,
    forever: bool,
) -> mpsc::Receiver<Result<Followed>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        if let Err(refusal) = run(&control, after, forever, &sender).await {
            // The reader may be gone, and then nobody needs the reason.
            let _gone = sender.send(Err(refusal)).await;
        }
    });
    receiver
}

async fn run(
    control: &Control,
    mut after: u64,
    forever: bool,
    sender: &mpsc::Sender<Result<Followed>>,
) -> Result<()> {
    let mut revisions = control.group()?.revisions();
    let mut bookmark_due = Instant::now();
    loop {
        revisions.borrow_and_update();
        let batch = control.read_local(move |view| read(view, after)).await?;
        let idle = matches!(batch, Followed::CaughtUp(_));
        match &batch {
            Followed::Events(events) => {
                after = events.last().map_or(after, |event| event.revision);
            }
            Followed::CaughtUp(revision) => after = (*revision).max(after),
            Followed::Lost { revision, .. } => after = *revision,
        }
        let due = !idle || Instant::now() >= bookmark_due;
        if due {
            if idle {
                bookmark_due = Instant::now() + BOOKMARK_EVERY;
            }
            if sender.send(Ok(batch)).await.is_err() {
                return Ok(());
            }
        }
        if idle && !forever {
            return Ok(());
        }
        if idle {
            tokio::select! {
                changed = revisions.changed() => if changed.is_err() { return Ok(()) },
                () = tokio::time::sleep_until(bookmark_due) => {}
                () = sender.closed() => return Ok(()),
                () = control.closing().cancelled() => return Ok(()),
            }
        }
    }
}

/// The next batch; a revision's events are never split.
fn read(view: &View<'_>, after: u64) -> Followed {
    let group = GroupId::CONTROL;
    let revision = keiko_core::house::revision(view, group);
    let oldest = journal::oldest_revision(view, group);
    if after.saturating_add(1) < oldest {
        return Followed::Lost { oldest, revision };
    }
    let (mut events, mut bytes): (Vec<Event>, usize) = (Vec::new(), 0);
    for event in journal::after(view, group, after) {
        let begins = events.last().is_some_and(|last| last.revision != event.revision);
        bytes += event.encoded_len();
        if begins && bytes > BATCH_BYTES {
            break;
        }
        events.push(event);
    }
    if events.is_empty() { Followed::CaughtUp(revision) } else { Followed::Events(events) }
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
