//! The room's tables, and which file does what to them.

use super::lock::Acquired;
use super::model::Op;
use super::{barrier, lock, query, session, window, wire};
use crate::house::{Emit, Emitted};
use crate::id::GroupId;
use crate::limits::{PLACES_MAX, SESSION_PLACES_MAX};
use crate::refusal::{Code, Refusal, Result, refuse};
use crate::stamp::Stamp;
use crate::table::{Index, RoomByte, Table};
use crate::txn::Txn;
use keiko_proto::v1::coordination_event::Event;
use keiko_proto::v1::coordination_reply::Reply;
use keiko_proto::v1::{
    Barrier, CoordinationEvent, CoordinationOp, CoordinationRecord, CoordinationReply,
    ExpireSessionsReply, Lock, LockGrant, LockPlace, LockWaiter, MaintenanceWindow, Session,
    event::Body,
};

pub(super) const RECORD: Table<CoordinationRecord> = Table::new(RoomByte::Coordination, 1, 1);
pub(super) const SESSIONS: Table<Session> = Table::new(RoomByte::Coordination, 2, 1);
/// By namespace and name.
pub(super) const LOCKS: Table<Lock> = Table::new(RoomByte::Coordination, 3, 1);
/// By namespace, name and token.
pub(super) const GRANTS: Table<LockGrant> = Table::new(RoomByte::Coordination, 4, 1);
/// By namespace, name and ticket.
pub(super) const WAITERS: Table<LockWaiter> = Table::new(RoomByte::Coordination, 5, 1);
/// By session, namespace and name.
pub(super) const PLACES: Table<LockPlace> = Table::new(RoomByte::Coordination, 6, 1);
/// By namespace and name.
pub(super) const BARRIERS: Table<Barrier> = Table::new(RoomByte::Coordination, 7, 1);
/// By namespace, name and session.
pub(super) const ARRIVED: Index = Index::new(RoomByte::Coordination, 8);
/// By session, namespace and name.
pub(super) const ARRIVALS: Index = Index::new(RoomByte::Coordination, 9);
/// By name.
pub(super) const WINDOWS: Table<MaintenanceWindow> = Table::new(RoomByte::Coordination, 10, 1);

/// Applies one op.
pub fn apply(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    op: CoordinationOp,
    emit: Emit<'_>,
) -> Result<CoordinationReply> {
    let reply = match wire::parse(op, stamp.unix_ms)? {
        Op::OpenSession { id, name, ttl_ms } => {
            Reply::Session(session::open(txn, stamp, id, name, ttl_ms, emit)?)
        }
        Op::KeepSession(by) => Reply::Session(session::keep(txn, stamp, &by)?),
        Op::CloseSession(by) => Reply::Session(session::close(txn, stamp, &by, emit)?),
        Op::ExpireSessions(due) => {
            let expired = session::expire(txn, stamp, due, emit);
            Reply::Expired(ExpireSessionsReply { expired })
        }
        Op::Acquire(wish) => match lock::acquire(txn, stamp, wish, emit)? {
            Acquired::Granted(grant) => Reply::Granted(grant),
            Acquired::Queued(waiter) => Reply::Queued(waiter),
        },
        Op::Release { spot, session, token, as_admin } => {
            let given = lock::Given { session, token, as_admin };
            Reply::Released(lock::release(txn, stamp, &spot, given, emit)?)
        }
        Op::Withdraw { by, spot, ticket } => {
            Reply::Withdrawn(lock::withdraw(txn, stamp, &by, &spot, ticket, emit)?)
        }
        Op::Arrive { by, spot, parties } => {
            Reply::Arrived(barrier::arrive(txn, stamp, &by, &spot, parties, emit)?)
        }
        Op::Leave { by, spot, generation } => {
            Reply::Left(barrier::leave(txn, stamp, &by, &spot, generation, emit)?)
        }
        Op::DeclareWindow(window) => Reply::Window(window::declare(txn, stamp, window, emit)?),
        Op::DeleteWindow(name) => Reply::Window(window::delete(txn, stamp, &name, emit)?),
    };
    Ok(CoordinationReply { reply: Some(reply) })
}

/// Changes what the room counts.
pub(super) fn count(
    txn: &mut Txn<'_>,
    group: GroupId,
    change: impl FnOnce(&mut CoordinationRecord),
) {
    let mut record = query::record(txn, group);
    change(&mut record);
    RECORD.put(txn, RECORD.key(group), &record);
}

/// Refuses one place too many, of the session or of all.
pub(super) fn check_room(txn: &Txn<'_>, stamp: &Stamp, session: &str) -> Result<()> {
    if query::places_of(txn, stamp.group, session) >= SESSION_PLACES_MAX {
        return Err(Refusal::new(
            Code::LimitExceeded,
            format!("the session holds, awaits or arrived at {SESSION_PLACES_MAX} things"),
        )
        .hint("release some, or open another session"));
    }
    if query::record(txn, stamp.group).places as usize >= PLACES_MAX {
        return refuse(
            Code::LimitExceeded,
            format!("all sessions together hold, await or arrived at {PLACES_MAX} things"),
        );
    }
    Ok(())
}

/// Tells of a change, as in `keiko.coordination.lock.granted`.
pub(super) fn tell(kind: &str, subject: String, event: Event, emit: Emit<'_>) {
    emit(Emitted {
        kind: format!("keiko.coordination.{kind}"),
        subject,
        body: Body::Coordination(CoordinationEvent { event: Some(event) }),
    });
}
