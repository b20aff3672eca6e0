//! Group commit: one thread that syncs the write-ahead log for everybody.
//!
//! Whoever needs durability writes unsynced and queues a [`Request`]. The thread takes all that
//! queued while the sync before ran, syncs once, notes what is durable, and completes all of them.
//!
//! A request that is never completed would stall its group for ever, so a flusher that fails or
//! panics ends the process. It ends by itself only after [`Flusher::stop`], with the queue empty.

use super::counters::Counters;
use super::note::Note;
use super::record::{LogId, Vote};
use super::{Database, Fuse, abort, or_abort};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Requests that may wait. The callers of a full queue wait too, which slows the proposers down;
/// one request holds many entries, so this is far more than a disk can owe.
const QUEUE_MAX: usize = 4096;

/// What became true in the write-ahead log and shall be durable.
pub enum Change {
    /// A vote was saved.
    Vote(Vote),
    /// The log was appended up to here, by so many entries.
    Appended {
        /// The new end of the log.
        last: LogId,
        /// How many entries came with it.
        entries: u64,
    },
    /// The log is about to be cut to this end: the note is lowered, synced, and then it is done.
    Lowering(Option<LogId>),
    /// Something that the note does not hold.
    Other,
}

struct Request {
    group: GroupId,
    change: Change,
    done: Box<dyn FnOnce() + Send>,
}

enum Message {
    Request(Request),
    Stop,
}

/// Queues requests; a cheap clone.
#[derive(Clone)]
pub struct Queue(SyncSender<Message>);

impl Queue {
    /// Queues a change; `done` runs on the flusher's thread when it is durable.
    pub fn push(&self, group: GroupId, change: Change, done: impl FnOnce() + Send + 'static) {
        let request = Request { group, change, done: Box::new(done) };
        if self.0.send(Message::Request(request)).is_err() {
            // Only a write after shutdown gets here, and nobody may believe that it is durable.
            abort(&Refusal::new(Code::Internal, "a write was queued after the flusher ended"));
        }
    }

    /// Queues a change and waits until it is durable.
    pub async fn wait(&self, group: GroupId, change: Change) {
        let (done, durable) = tokio::sync::oneshot::channel();
        self.push(group, change, move || {
            let _ = done.send(());
        });
        if durable.await.is_err() {
            abort(&Refusal::new(Code::Internal, "the flusher dropped a request"));
        }
    }
}

/// The thread.
pub struct Flusher {
    queue: Queue,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    /// Starts it.
    pub fn start(database: Arc<Database>, note: Note, counters: Arc<Counters>) -> Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("flusher".to_owned())
            .spawn(move || run(&database, note, &counters, &receiver))
            .map_err(|error| {
                Refusal::new(Code::Internal, "can't start the flusher's thread").cause(error)
            })?;
        Ok(Self { queue: Queue(sender), thread: Some(thread) })
    }

    /// Where to queue.
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Syncs what is queued and ends the thread.
    pub fn stop(mut self) {
        self.stop_thread();
    }

    fn stop_thread(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = self.queue.0.send(Message::Stop);
            let _ = thread.join();
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.stop_thread();
    }
}

fn run(database: &Database, mut note: Note, counters: &Counters, queue: &Receiver<Message>) {
    let _fuse = Fuse("the flusher's thread panicked");
    let mut stopping = false;
    while !stopping {
        let Ok(first) = queue.recv() else {
            return;
        };
        let mut requests = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Request(request) => requests.push(request),
                Message::Stop => stopping = true,
            }
            next = if requests.len() < QUEUE_MAX { queue.try_recv().ok() } else { None };
        }
        or_abort(database.sync());
        counters.count_sync(requests.iter().map(Request::entries).sum());
        or_abort(take_note(&mut note, &requests));
        for request in requests {
            (request.done)();
        }
    }
}

fn take_note(note: &mut Note, requests: &[Request]) -> Result<()> {
    let (mut changed, mut lowered) = (false, false);
    for Request { group, change, done: _ } in requests {
        if matches!(change, Change::Other) {
            continue;
        }
        let noted = note.groups.entry(*group).or_default();
        match change {
            Change::Vote(vote) => noted.vote = Some(*vote),
            Change::Appended { last, .. } => noted.last = Some(*last),
            Change::Lowering(last) => (noted.last, lowered) = (*last, true),
            Change::Other => {}
        }
        changed = true;
    }
    if changed {
        note.write()?;
    }
    if lowered {
        note.sync()?;
    }
    Ok(())
}

impl Request {
    fn entries(&self) -> u64 {
        match self.change {
            Change::Appended { entries, .. } => entries,
            Change::Vote(_) | Change::Lowering(_) | Change::Other => 0,
        }
    }
}
