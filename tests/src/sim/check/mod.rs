//! What is looked at: one file for each invariant, each with the same doors.
//!
//! `step` looks at one entry while the log is replayed, `finish` at the state in the end. A check
//! knows the bytes of rows and the words of the wire, and of the law only what everybody may read;
//! where it could ask the law or find out by itself, it finds out.

mod admission;
mod compaction;
mod deduplication;
mod events;
mod grants;
mod history;
mod indexes;
mod leases;
mod locks;
mod objects;
mod revisions;
mod stamps;
mod totality;

pub(super) use deduplication::Class;

use super::oracle::{Oracle, Step};
use super::{Invariant, Report, layout};
use keiko_core::id::GroupId;
use keiko_core::store::MemoryStore;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{cluster_op, coordination_op, journal_op, registry_op, security_op};
use std::collections::BTreeSet;

/// What does not hold, in words.
pub(super) type Check = Result<(), String>;

/// All checks with what they remember.
#[derive(Default)]
pub(super) struct Checks {
    admission: admission::Admission,
    deduplication: deduplication::Deduplication,
    events: events::Events,
    history: history::History,
    indexes: indexes::Indexes,
    locks: locks::Locks,
    classes: Vec<Class>,
}

impl Checks {
    /// What an entry of the log is to the model of de-duplication.
    pub(super) fn class_of(&self, index: u64) -> Class {
        let found = self.classes.get(index as usize).copied();
        found.unwrap_or(Class::New)
    }

    /// Remembers how everything reads now.
    pub(super) fn look(&mut self, store: &MemoryStore, group: GroupId) {
        self.history.look(store, group);
    }

    /// Looks at one entry; the first thing that does not hold.
    pub(super) fn step(
        &mut self,
        step: &Step<'_>,
        invariants: &BTreeSet<Invariant>,
        report: &mut Report,
    ) -> Option<(Invariant, String)> {
        let class = self.deduplication.meet(step);
        self.classes.resize(step.index as usize, Class::New);
        self.classes.push(class);
        report.count(op_name(step), outcome(step, class));
        let Self { admission, deduplication, events, history, indexes, locks, .. } = self;
        let mut first = First { invariants, found: None };
        first.check(Invariant::Totality, || totality::step(step, class));
        first.check(Invariant::Deduplication, || deduplication.step(step, class));
        first.check(Invariant::Revisions, || revisions::step(step, class));
        first.check(Invariant::Stamps, || stamps::step(step, class));
        first.check(Invariant::Events, || events.step(step, class));
        first.check(Invariant::History, || history.step(step));
        first.check(Invariant::Grants, || grants::step(step));
        first.check(Invariant::Locks, || locks.step(step, class));
        first.check(Invariant::Admission, || admission.step(step));
        first.check(Invariant::Leases, || leases::step(step, class));
        first.check(Invariant::Compaction, || compaction::step(step, class));
        first.check(Invariant::Indexes, || indexes.step(step));
        first.found
    }

    /// Looks at the state in the end.
    pub(super) fn finish(
        &self,
        oracle: &Oracle,
        group: GroupId,
        invariants: &BTreeSet<Invariant>,
    ) -> Option<(Invariant, String)> {
        let store = &oracle.store;
        let mut first = First { invariants, found: None };
        first.check(Invariant::History, || self.history.finish(oracle, group));
        first.check(Invariant::Events, || self.events.finish(store, group));
        first.check(Invariant::Indexes, || self.indexes.finish(store, group));
        first.check(Invariant::Compaction, || compaction::finish(store, group));
        first.found
    }
}

struct First<'i> {
    invariants: &'i BTreeSet<Invariant>,
    found: Option<(Invariant, String)>,
}

impl First<'_> {
    fn check(&mut self, invariant: Invariant, check: impl FnOnce() -> Check) {
        if self.found.is_none()
            && self.invariants.contains(&invariant)
            && let Err(what) = check()
        {
            self.found = Some((invariant, what));
        }
    }
}

/// Fails with words unless something holds.
fn ensure(holds: bool, what: impl FnOnce() -> String) -> Check {
    match holds {
        true => Ok(()),
        false => Err(what()),
    }
}

/// True if an entry wrote nothing but where the group is.
fn only_head(step: &Step<'_>) -> bool {
    step.changes.iter().all(|change| layout::place(&change.key) == layout::HEAD)
}

fn outcome(step: &Step<'_>, class: Class) -> &'static str {
    match class {
        Class::Retried => "retried",
        Class::Unreadable => "unreadable",
        Class::Malformed | Class::Outside | Class::Stolen => "refused for its id",
        Class::New if step.is_accepted() => "accepted",
        Class::New => "refused",
    }
}

fn op_name(step: &Step<'_>) -> &'static str {
    match step.entry.as_ref().and_then(|entry| entry.room.as_ref()) {
        None => "nothing",
        Some(Room::Cluster(op)) => match op.op {
            Some(cluster_op::Op::Found(_)) => "cluster.found",
            Some(cluster_op::Op::NoteNode(_)) => "cluster.note_node",
            Some(cluster_op::Op::SetNodeState(_)) => "cluster.set_node_state",
            Some(cluster_op::Op::NoteReach(_)) => "cluster.note_reach",
            Some(cluster_op::Op::RemoveNode(_)) => "cluster.remove_node",
            Some(cluster_op::Op::NoteBackup(_)) => "cluster.note_backup",
            None => "cluster",
        },
        Some(Room::Security(op)) => match op.op {
            Some(security_op::Op::StoreAuthority(_)) => "security.store_authority",
            Some(security_op::Op::CreateToken(_)) => "security.create_token",
            Some(security_op::Op::RevokeToken(_)) => "security.revoke_token",
            Some(security_op::Op::PruneTokens(_)) => "security.prune_tokens",
            Some(security_op::Op::AdmitNode(_)) => "security.admit_node",
            Some(security_op::Op::EnrollPerson(_)) => "security.enroll_person",
            Some(security_op::Op::NoteRefusals(_)) => "security.note_refusals",
            Some(security_op::Op::SetRole(_)) => "security.set_role",
            Some(security_op::Op::DeleteRole(_)) => "security.delete_role",
            Some(security_op::Op::SetBinding(_)) => "security.set_binding",
            Some(security_op::Op::DeleteBinding(_)) => "security.delete_binding",
            Some(security_op::Op::RemovePerson(_)) => "security.remove_person",
            Some(security_op::Op::NoteUses(_)) => "security.note_uses",
            Some(security_op::Op::RotateAuthority(_)) => "security.rotate_authority",
            Some(security_op::Op::StoreNext(_)) => "security.store_next",
            Some(security_op::Op::AdvanceAuthority(_)) => "security.advance_authority",
            Some(security_op::Op::DropAuthority(_)) => "security.drop_authority",
            Some(security_op::Op::FinishRotation(_)) => "security.finish_rotation",
            Some(security_op::Op::ExpelNode(_)) => "security.expel_node",
            Some(security_op::Op::Reopen(_)) => "security.reopen",
            None => "security",
        },
        Some(Room::Coordination(op)) => match op.op {
            Some(coordination_op::Op::OpenSession(_)) => "coordination.open_session",
            Some(coordination_op::Op::KeepSession(_)) => "coordination.keep_session",
            Some(coordination_op::Op::CloseSession(_)) => "coordination.close_session",
            Some(coordination_op::Op::ExpireSessions(_)) => "coordination.expire_sessions",
            Some(coordination_op::Op::AcquireLock(_)) => "coordination.acquire_lock",
            Some(coordination_op::Op::ReleaseLock(_)) => "coordination.release_lock",
            Some(coordination_op::Op::WithdrawWaiter(_)) => "coordination.withdraw_waiter",
            Some(coordination_op::Op::ArriveAtBarrier(_)) => "coordination.arrive_at_barrier",
            Some(coordination_op::Op::LeaveBarrier(_)) => "coordination.leave_barrier",
            Some(coordination_op::Op::DeclareWindow(_)) => "coordination.declare_window",
            Some(coordination_op::Op::DeleteWindow(_)) => "coordination.delete_window",
            None => "coordination",
        },
        Some(Room::Registry(op)) => match op.op {
            Some(registry_op::Op::PutAgent(_)) => "registry.put_agent",
            Some(registry_op::Op::PutMcpServer(_)) => "registry.put_mcp_server",
            Some(registry_op::Op::Delete(_)) => "registry.delete",
            Some(registry_op::Op::SetHealth(_)) => "registry.set_health",
            Some(registry_op::Op::SetAdminState(_)) => "registry.set_admin_state",
            Some(registry_op::Op::Apply(_)) => "registry.apply",
            Some(registry_op::Op::PlaceServer(_)) => "registry.place_server",
            Some(registry_op::Op::Rewind(_)) => "registry.rewind",
            None => "registry",
        },
        Some(Room::Journal(op)) => match op.op {
            Some(journal_op::Op::Compact(_)) => "journal.compact",
            None => "journal",
        },
    }
}
