//! Barriers: nobody goes on before all have come.

use super::model::{By, Spot};
use super::state::{ARRIVALS, ARRIVED, BARRIERS, check_room, count, tell};
use super::{query, session};
use crate::house::Emit;
use crate::limits::{BARRIER_IDLE_MS, BARRIERS_MAX};
use crate::refusal::{Code, Refusal, Result, refuse};
use crate::stamp::Stamp;
use crate::txn::Txn;
use keiko_proto::v1::coordination_event::Event;
use keiko_proto::v1::{ArriveAtBarrierReply, Barrier, BarrierChanged, LeaveBarrierReply};

pub(super) fn arrive(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    by: &By,
    spot: &Spot,
    parties: u32,
    emit: Emit<'_>,
) -> Result<ArriveAtBarrierReply> {
    let session = session::used(txn, stamp, by)?.id;
    let mut barrier = match query::barrier(txn, stamp.group, spot) {
        Some(barrier) if barrier.arrived > 0 => {
            check_same(&barrier, spot, parties)?;
            barrier
        }
        // Nobody waits: whoever comes first says how many they are.
        Some(barrier) => Barrier { parties, ..barrier },
        None => begun(txn, stamp, spot, parties)?,
    };
    let generation = barrier.generation + 1;
    if query::has_arrived(txn, stamp.group, spot, &session) {
        let barrier = Some(barrier);
        return Ok(ArriveAtBarrierReply { barrier, generation, opened: false });
    }
    let opened = barrier.arrived + 1 == parties;
    if opened {
        open(txn, stamp, spot, &mut barrier);
        let event = changed(&barrier, &session, generation);
        tell("barrier.opened", spot.subject("barrier"), Event::BarrierOpened(event), emit);
    } else {
        check_room(txn, stamp, &session)?;
        ARRIVED.add(txn, spot.key(ARRIVED.key(stamp.group)).text(&session));
        ARRIVALS.add(txn, spot.key(ARRIVALS.key(stamp.group).text(&session)));
        count(txn, stamp.group, |record| record.places += 1);
        barrier.arrived += 1;
        let event = changed(&barrier, &session, generation);
        tell("barrier.arrived", spot.subject("barrier"), Event::BarrierArrived(event), emit);
    }
    BARRIERS.put(txn, spot.key(BARRIERS.key(stamp.group)), &barrier);
    Ok(ArriveAtBarrierReply { barrier: Some(barrier), generation, opened })
}

/// All who are there go on.
fn open(txn: &mut Txn<'_>, stamp: &Stamp, spot: &Spot, barrier: &mut Barrier) {
    for session in query::arrived(txn, stamp.group, spot) {
        forget(txn, stamp, &session, spot);
    }
    barrier.arrived = 0;
    barrier.generation += 1;
    barrier.opened_ms = stamp.unix_ms;
}

pub(super) fn leave(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    by: &By,
    spot: &Spot,
    generation: u64,
    emit: Emit<'_>,
) -> Result<LeaveBarrierReply> {
    let session = session::used(txn, stamp, by)?.id;
    let barrier = query::barrier(txn, stamp.group, spot);
    let is_awaited = barrier.is_some_and(|barrier| barrier.generation + 1 == generation);
    let left = is_awaited && query::has_arrived(txn, stamp.group, spot, &session);
    if left {
        take_back(txn, stamp, &session, spot, emit);
    }
    Ok(LeaveBarrierReply { left })
}

/// Counts somebody who had arrived out again.
pub(super) fn take_back(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    session: &str,
    spot: &Spot,
    emit: Emit<'_>,
) {
    let barrier = query::barrier(txn, stamp.group, spot);
    let mut barrier = barrier.expect("invariant: where somebody waits there is a barrier");
    forget(txn, stamp, session, spot);
    barrier.arrived -= 1;
    let event = changed(&barrier, session, barrier.generation + 1);
    tell("barrier.left", spot.subject("barrier"), Event::BarrierLeft(event), emit);
    let key = spot.key(BARRIERS.key(stamp.group));
    if barrier.arrived == 0 && barrier.generation == 0 {
        BARRIERS.delete(txn, key);
        count(txn, stamp.group, |record| record.barriers -= 1);
    } else {
        BARRIERS.put(txn, key, &barrier);
    }
}

fn forget(txn: &mut Txn<'_>, stamp: &Stamp, session: &str, spot: &Spot) {
    ARRIVED.remove(txn, spot.key(ARRIVED.key(stamp.group)).text(session));
    ARRIVALS.remove(txn, spot.key(ARRIVALS.key(stamp.group).text(session)));
    count(txn, stamp.group, |record| record.places -= 1);
}

/// A new barrier, if there is room for one more.
fn begun(txn: &mut Txn<'_>, stamp: &Stamp, spot: &Spot, parties: u32) -> Result<Barrier> {
    if query::record(txn, stamp.group).barriers as usize >= BARRIERS_MAX {
        forget_idle(txn, stamp);
    }
    if query::record(txn, stamp.group).barriers as usize >= BARRIERS_MAX {
        return refuse(
            Code::LimitExceeded,
            format!("there are {BARRIERS_MAX} barriers, all in use within the last hour"),
        );
    }
    count(txn, stamp.group, |record| record.barriers += 1);
    let (namespace, name) = (spot.namespace.to_string(), spot.name.to_string());
    Ok(Barrier { namespace, name, parties, ..Default::default() })
}

/// Removes barriers where nobody waits and that opened long ago.
fn forget_idle(txn: &mut Txn<'_>, stamp: &Stamp) {
    let idle: Vec<_> = BARRIERS
        .scan(txn, &BARRIERS.key(stamp.group))
        .filter(|(_, barrier)| {
            let until = barrier.opened_ms.saturating_add(BARRIER_IDLE_MS);
            barrier.arrived == 0 && until <= stamp.unix_ms
        })
        .map(|(_, Barrier { namespace, name, .. })| {
            BARRIERS.key(stamp.group).text(&namespace).text(&name)
        })
        .collect();
    count(txn, stamp.group, |record| {
        record.barriers -= u32::try_from(idle.len()).expect("invariant: as many as are counted");
    });
    for key in idle {
        BARRIERS.delete(txn, key);
    }
}

fn check_same(barrier: &Barrier, spot: &Spot, parties: u32) -> Result<()> {
    if barrier.parties == parties {
        return Ok(());
    }
    Err(Refusal::new(
        Code::LockMismatch,
        format!("barrier {spot} waits for {} parties, not for {parties}", barrier.parties),
    )
    .cause(format!("{} arrived already, and the first said how many they are", barrier.arrived))
    .hint("ask for as many as the others do, or take another name"))
}

fn changed(barrier: &Barrier, session: &str, generation: u64) -> BarrierChanged {
    BarrierChanged { barrier: Some(barrier.clone()), session: session.to_owned(), generation }
}
