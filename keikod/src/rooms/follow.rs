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
