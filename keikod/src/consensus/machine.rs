//! A group's state machine: the law, applied to the store.
//!
//! Invariants:
//! - One apply round is one write batch: what the law wrote, and how far it came.
//! - Nothing is answered before its batch is in the store. The batch is not synced: after a crash
//!   the log gives it again.
//! - An entry that needs a newer release, or a law that panics, ends the process before anything of
//!   the round is written. A state that needs one is not opened, and ends who installed it.

use super::checkpoints::{CHECKPOINT_EVERY, Checkpoints};
use super::disk::Disk;
use super::peer::faults;
use super::recent::Recent;
use super::types::{Command, Entry, LogId, Outcome, SnapshotMeta, StoredMembership, Types};
use super::wire;
use crate::store::counters::Counters;
use crate::store::snapshot::Snapshot;
use crate::store::{Database, Fuse, View, abort, or_abort};
use futures::{Stream, StreamExt as _};
use keiko_core::house::{self, Head, Round};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::type_config::alias::SnapshotOf;
use openraft::{EntryPayload, OptionalSend};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// Entries of one round: some milliseconds of apply, and a batch of about 1 MiB.
const ROUND_ENTRIES_MAX: usize = 1024;

/// What readers see of the machine.
pub(super) struct Shared {
    pub(super) group: GroupId,
    pub(super) database: Arc<Database>,
    pub(super) counters: Arc<Counters>,
    pub(super) disk: Arc<Disk>,
    pub(super) revisions: watch::Sender<u64>,
    pub(super) recent: Recent,
    pub(super) checkpoints: Checkpoints,
    /// Odd while a snapshot replaces the state.
    installs: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        group: GroupId,
        database: Arc<Database>,
        counters: Arc<Counters>,
        disk: Arc<Disk>,
    ) -> Self {
        let revision = house::revision(&database.view(), group);
        let (revisions, _) = watch::channel(revision);
        let (recent, installs) = (Recent::at(revision), AtomicU64::new(0));
        let checkpoints = Checkpoints::default();
        Self { group, database, counters, disk, revisions, recent, checkpoints, installs }
    }

    /// A view that is surely not of a half installed state.
    pub(super) fn view(&self) -> Result<View<'_>> {
        let before = self.installs.load(Ordering::SeqCst);
        let view = self.database.view();
        if before.is_multiple_of(2) && self.installs.load(Ordering::SeqCst) == before {
            return Ok(view);
        }
        Err(Refusal::new(Code::NotReady, "this node is installing a snapshot")
            .hint("try again in a moment"))
    }

    /// Refuses a state that this release can't read.
    fn check_level(&self) -> Result<()> {
        Head::read(&self.database.view(), self.group).check_level(faults::level())
    }

    fn publish(&self, revision: u64) {
        self.revisions.send_if_modified(|known| std::mem::replace(known, revision) != revision);
    }
}

/// The machine.
pub(super) struct Machine {
    shared: Arc<Shared>,
    applied: Option<LogId>,
    members: StoredMembership,
}

impl Machine {
    /// As far as the store has it.
    pub(super) fn open(shared: Arc<Shared>) -> Result<Self> {
        shared.check_level()?;
        let applied = shared.database.applied(shared.group)?;
        let (applied, members) = wire::applied_from_store(applied.as_ref())?;
        Ok(Self { shared, applied, members })
    }

    fn apply_round(&mut self, round: Vec<(Entry, Option<ApplyResponder<Types>>)>) {
        let _fuse = Fuse("the law panicked while it applied an entry");
        let Some(last) = round.last().map(|(entry, _)| entry.log_id) else {
            return;
        };
        let Shared { group, database, counters, .. } = &*self.shared;
        let view = database.view();
        let mut law = Round::new(&view, *group).understanding(faults::level());
        let mut answers = Vec::with_capacity(round.len());
        let (count, mut events, mut marks) = (round.len() as u64, Vec::new(), Vec::new());
        for (entry, responder) in round {
            let outcome = match entry.payload {
                EntryPayload::Normal(Command(bytes)) => {
                    match law.apply(entry.log_id.index, &bytes) {
                        Ok(applied) => {
                            events.extend(applied.events);
                            Outcome { reply: applied.reply, revision: applied.revision }
                        }
                        Err(halt) => abort(&halt.into()),
                    }
                }
                EntryPayload::Membership(members) => {
                    self.members = StoredMembership::new(Some(entry.log_id), members);
                    Outcome::default()
                }
                EntryPayload::Blank => Outcome::default(),
            };
            answers.push((responder, outcome));
            if entry.log_id.index.is_multiple_of(CHECKPOINT_EVERY) {
                marks.push((entry.log_id.index, law.hash()));
            }
        }
        let revision = law.revision();
        let applied = wire::applied_to_store(&last, &self.members);
        or_abort(database.apply(*group, &law.into_writes(), &applied));
        self.applied = Some(last);
        counters.count_apply(count);
        self.shared.checkpoints.push(marks);
        self.shared.recent.push(events, revision);
        self.shared.publish(revision);
        for (responder, outcome) in answers {
            if let Some(responder) = responder {
                responder.send(outcome);
            }
        }
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Snapshot;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.members.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        let mut round = Vec::new();
        while let Some(entry) = entries.next().await {
            round.push(entry?);
            if round.len() == ROUND_ENTRIES_MAX {
                self.apply_round(std::mem::take(&mut round));
            }
        }
        self.apply_round(round);
        Ok(())
    }

    /// `None` while a snapshot would make the disk nearly full: a snapshot that runs out of space
    /// ends the node, one that is put off leaves a longer log. openraft asks again after as many
    /// entries as lie between two snapshots.
    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder> {
        let Shared { group, database, disk, .. } = &*self.shared;
        if !force {
            let bytes = database.group_bytes(*group);
            if !disk.fits(bytes) {
                tracing::warn!(%group, bytes, "no snapshot is taken: the disk has no room for it");
                return None;
            }
        }
        Some(self.get_snapshot_builder().await)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder(self.shared.clone())
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, data: Snapshot) -> io::Result<()> {
        let SnapshotMeta { last_log_id, last_membership } = announce(data.clone())?.meta;
        if (last_log_id, &last_membership) != (meta.last_log_id, &meta.last_membership) {
            let message = "the snapshot is not the one that was announced";
            return Err(io::Error::other(Refusal::new(Code::ChecksumMismatch, message)));
        }
        let shared = self.shared.clone();
        let install = move || {
            shared.installs.fetch_add(1, Ordering::SeqCst);
            let installed = shared.database.install_snapshot(shared.group, &data.folder);
            if installed.is_ok() {
                // A newer release finds it whole; this one must not answer from it.
                or_abort(shared.check_level());
                let revision = house::revision(&shared.database.view(), shared.group);
                shared.recent.begin_at(revision);
                shared.publish(revision);
            }
            shared.installs.fetch_add(1, Ordering::SeqCst);
            installed
        };
        let installed = tokio::task::spawn_blocking(install).await.map_err(io::Error::other)?;
        installed.map_err(io::Error::other)?;
        (self.applied, self.members) = (last_log_id, last_membership);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<Types, Snapshot>>> {
        let snapshot = self.shared.database.current_snapshot(self.shared.group);
        snapshot.map_err(io::Error::other)?.map(announce).transpose()
    }
}

/// Builds snapshots beside the running machine.
pub(super) struct Builder(Arc<Shared>);

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Snapshot;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<Types, Snapshot>> {
        let shared = self.0.clone();
        let build = move || shared.database.build_snapshot(shared.group);
        let built = tokio::task::spawn_blocking(build).await.map_err(io::Error::other)?;
        // A disk that fails is told in its own words, not as a failure of consensus.
        announce(or_abort(built))
    }
}

pub(super) fn announce(snapshot: Snapshot) -> io::Result<SnapshotOf<Types, Snapshot>> {
    let applied = wire::applied_from_store(snapshot.applied.as_ref());
    let (last_log_id, last_membership) = applied.map_err(io::Error::other)?;
    let meta = SnapshotMeta { last_log_id, last_membership };
    Ok(SnapshotOf::<Types, Snapshot> { meta, snapshot })
}
