//! The law as the state machine, as `keikod` runs it: one apply round is one write, which is not
//! synced, because the log gives it again.

use super::bugs::Bug;
use super::disk::{Change, Disk, Snapshot};
use super::runtime::{roll, sleep};
use super::seen::{Event, Seen};
use super::types::{
    Command, Entry, LogId, Outcome, SnapshotMeta, SnapshotWith, StoredMembership, Types, digest,
};
use futures::{Stream, StreamExt as _};
use keiko_core::house::{Head, Round};
use keiko_core::id::GroupId;
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub(super) const GROUP: GroupId = GroupId::CONTROL;

/// Entries of one round: few, so that a crash falls between two.
const ROUND_ENTRIES_MAX: usize = 4;

/// The machine of a node.
pub(super) struct Machine {
    node: u64,
    disk: Disk,
    seen: Seen,
    applied: Option<LogId>,
    members: StoredMembership,
}

impl Machine {
    /// As far as the disk has it.
    pub(super) fn open(node: u64, disk: Disk, seen: Seen) -> Self {
        let (applied, members) =
            disk.read(|image| (image.state.applied, image.state.members.clone()));
        Self { node, disk, seen, applied, members }
    }

    fn apply_round(&mut self, round: Vec<(Entry, Option<ApplyResponder<Types>>)>) {
        let Some(last) = round.last().map(|(entry, _)| entry.log_id) else {
            return;
        };
        let (mut answers, mut applied) = (Vec::new(), Vec::new());
        let writes = self.disk.read(|image| {
            let mut law = Round::new(&image.state.store, GROUP);
            for (entry, responder) in round {
                let digest = digest(&entry);
                let reply = match entry.payload {
                    EntryPayload::Normal(Command(bytes)) => {
                        let applied = law.apply(entry.log_id.index, &bytes);
                        applied.expect("an entry of this release stops no node").reply
                    }
                    EntryPayload::Membership(members) => {
                        self.members = StoredMembership::new(Some(entry.log_id), members);
                        Vec::new()
                    }
                    EntryPayload::Blank => Vec::new(),
                };
                answers.push((responder, Outcome { reply }));
                let (revision, hash) = (law.revision(), law.hash());
                let (node, id) = (self.node, entry.log_id);
                applied.push(Event::Applied { node, id, digest, revision, hash });
            }
            law.into_writes()
        });
        let mark = Change::Applied(last, self.members.clone());
        match self.disk.bug {
            Some(Bug::TornApply) => {
                self.disk.write(vec![Change::State(writes)]);
                self.disk.write(vec![mark]);
            }
            _ => self.disk.write(vec![Change::State(writes), mark]),
        }
        self.applied = Some(last);
        applied.into_iter().for_each(|event| self.seen.tell(event));
        for (responder, outcome) in answers {
            if let Some(responder) = responder {
                responder.send(outcome);
            }
        }
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Arc<Snapshot>;
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
                // Others go on between two rounds.
                sleep(Duration::from_micros(roll(200))).await;
            }
        }
        self.apply_round(round);
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder(self.disk.clone())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        data: Arc<Snapshot>,
    ) -> io::Result<()> {
        assert_eq!(data.applied, meta.last_log_id, "the snapshot that was announced");
        sleep(Duration::from_millis(1 + roll(20))).await;
        self.disk.write(vec![Change::Installed(data.clone())]);
        self.disk.sync().await;
        (self.applied, self.members) = (data.applied, data.members.clone());
        let Head { revision, hash, .. } = Head::read(&data.store, GROUP);
        if let Some(id) = data.applied {
            self.seen.tell(Event::Installed { node: self.node, id, revision, hash });
        }
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotWith<Arc<Snapshot>>>> {
        Ok(self.disk.read(|image| image.snapshot.clone()).map(announce))
    }
}

/// Builds snapshots beside the running machine.
pub(super) struct Builder(Disk);

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Arc<Snapshot>;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotWith<Arc<Snapshot>>> {
        let Self(disk) = self;
        let mut built = disk.read(|image| image.state.clone());
        sleep(Duration::from_millis(1 + roll(50))).await;
        if disk.bug == Some(Bug::SnapshotMislabelled) {
            built.applied = disk.read(|image| image.state.applied);
        }
        let built = Arc::new(built);
        disk.write(vec![Change::Kept(built.clone())]);
        disk.sync().await;
        Ok(announce(built))
    }
}

fn announce(snapshot: Arc<Snapshot>) -> SnapshotWith<Arc<Snapshot>> {
    let Snapshot { applied, members, .. } = &*snapshot;
    let meta = SnapshotMeta { last_log_id: *applied, last_membership: members.clone() };
    SnapshotWith::<Arc<Snapshot>> { meta, snapshot }
}
