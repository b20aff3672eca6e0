//! The coordination room's requests: a few sessions at a few locks and barriers, which end in every
//! way that there is, and fences of grants that are there, were there or never were.

use super::{once_in, pick};
use crate::report::Dice;
use crate::sim::world::World;
use keiko_core::coordination::{self, Spot};
use keiko_core::limits::SESSION_TTL_MS_MAX;
use keiko_proto::v1::{
    AcquireLock, ArriveAtBarrier, CloseSession, CoordinationOp, DeclareWindow, DeleteWindow,
    DueSession, ExpireSessions, Fence, KeepSession, LeaveBarrier, LockInfo, MaintenanceWindow,
    OpenSession, ReleaseLock, WithdrawWaiter, coordination_op::Op,
};

const SESSIONS: u64 = 5;
const NAMESPACES: &[&str] = &["", "", "", "default", "default", "red"];
const WINDOWS: &[&str] = &["w1", "w2", "No"];

pub(super) fn op(dice: &mut Dice, world: &World) -> CoordinationOp {
    let op = match dice.below(24) {
        0..=4 => Op::OpenSession(open(dice)),
        5 | 6 => {
            Op::KeepSession(KeepSession { id: session(dice, world), as_admin: !once_in(dice, 4) })
        }
        7 => {
            Op::CloseSession(CloseSession { id: session(dice, world), as_admin: !once_in(dice, 4) })
        }
        8 => Op::ExpireSessions(expire(dice, world)),
        9..=15 => Op::AcquireLock(acquire(dice, world)),
        16 | 17 => Op::ReleaseLock(release(dice, world)),
        18 => Op::WithdrawWaiter(withdraw(dice, world)),
        19 | 20 => Op::ArriveAtBarrier(arrive(dice, world)),
        21 => Op::LeaveBarrier(leave(dice, world)),
        22 => Op::DeclareWindow(DeclareWindow { window: window(dice, world) }),
        _ if once_in(dice, 6) => return CoordinationOp { op: None },
        _ => Op::DeleteWindow(DeleteWindow { name: pick(dice, WINDOWS).to_owned() }),
    };
    CoordinationOp { op: Some(op) }
}

/// Of who holds a lock, or of nobody.
pub(super) fn fence(dice: &mut Dice, world: &World) -> Option<Fence> {
    let (namespace, lock) = spot(dice);
    let holders = info(world, &namespace, &lock).holders;
    let some = holders.get(dice.below(holders.len().max(1) as u64) as usize);
    let token = match (some, dice.below(6)) {
        (Some(holder), 0) => holder.token - 1,
        (Some(holder), _) => holder.token,
        (None, 0) => dice.below(world.oracle.head().revision + 2),
        (None, _) => return None,
    };
    Some(Fence { namespace, lock, token })
}

fn id(dice: &mut Dice) -> String {
    match dice.below(48) {
        0 => "no uuid".to_owned(),
        _ => format!("0190b1f0-0000-7000-8000-{:012x}", dice.below(SESSIONS)),
    }
}

/// Mostly one that lives.
fn session(dice: &mut Dice, world: &World) -> String {
    let sessions = coordination::sessions(&world.oracle.store, world.group);
    let some = sessions.get(dice.below(sessions.len().max(1) as u64) as usize);
    let some = some.filter(|_| !once_in(dice, 12)).map(|session| session.id.clone());
    some.unwrap_or_else(|| id(dice))
}

/// Few, so that there are queues.
fn spot(dice: &mut Dice) -> (String, String) {
    let name = if once_in(dice, 48) { "No" } else { pick(dice, &["a", "a", "ab", "pair"]) };
    (pick(dice, NAMESPACES).to_owned(), name.to_owned())
}

fn info(world: &World, namespace: &str, name: &str) -> LockInfo {
    let spot = Spot::parse("lock", namespace, name).ok();
    let info = spot.and_then(|spot| {
        coordination::lock_info(&world.oracle.store, world.group, &spot, usize::MAX)
    });
    info.unwrap_or_default()
}

fn open(dice: &mut Dice) -> OpenSession {
    let ttl_ms = match dice.below(16) {
        0 => 999,
        1 => SESSION_TTL_MS_MAX + 1,
        2..=9 => SESSION_TTL_MS_MAX,
        10..=12 => 60_000,
        _ => 0,
    };
    let name = pick(dice, &["", "host/1", "a\nb"]);
    let name = if once_in(dice, 12) { name } else { "" };
    OpenSession { id: id(dice), name: name.to_owned(), ttl_ms }
}

/// What the leader proposes: those that are over, as it saw them, and some that may not be.
fn expire(dice: &mut Dice, world: &World) -> ExpireSessions {
    let now_ms = world.oracle.head().unix_ms;
    let sessions = coordination::sessions(&world.oracle.store, world.group);
    let mut items = Vec::new();
    for session in sessions {
        if session.expires_ms <= now_ms || once_in(dice, 8) {
            let late = u64::from(once_in(dice, 12));
            items.push(DueSession { id: session.id, expires_ms: session.expires_ms - late });
        }
    }
    if once_in(dice, 4) {
        items.extend(items.first().cloned());
    }
    ExpireSessions { items }
}

fn acquire(dice: &mut Dice, world: &World) -> AcquireLock {
    let (namespace, name) = spot(dice);
    let (kind, limit) = match name.as_str() {
        "pair" => ("semaphore", 2),
        "ab" => ("election", 1),
        _ => ("lock", 1),
    };
    let limit = if once_in(dice, 24) { dice.below(4) as u32 } else { limit };
    AcquireLock {
        session: session(dice, world),
        namespace,
        name,
        kind: if once_in(dice, 24) { "semaphore" } else { kind }.to_owned(),
        limit,
        value: pick(dice, &["", "10.0.0.7:80"]).to_owned(),
        wait: !once_in(dice, 4),
        as_admin: once_in(dice, 2),
    }
}

fn release(dice: &mut Dice, world: &World) -> ReleaseLock {
    let (namespace, name) = spot(dice);
    let holder = info(world, &namespace, &name).holders.into_iter().next();
    let (held, token) =
        holder.map_or_else(|| (session(dice, world), 7), |holder| (holder.session, holder.token));
    let (session, token) = match dice.below(8) {
        0 => (session(dice, world), 0),
        1 => (String::new(), token + 1),
        2 => (held, token + 1),
        3 => (String::new(), 0),
        4 | 5 => (String::new(), token),
        _ => (held, 0),
    };
    ReleaseLock { namespace, name, session, token, as_admin: !once_in(dice, 4) }
}

fn withdraw(dice: &mut Dice, world: &World) -> WithdrawWaiter {
    let (namespace, name) = spot(dice);
    let waits = info(world, &namespace, &name).queue.into_iter().next_back();
    let session = waits.map_or_else(|| session(dice, world), |waits| waits.session);
    let place = Spot::parse("lock", &namespace, &name).ok().and_then(|spot| {
        coordination::lock_place(&world.oracle.store, world.group, &session, &spot)
    });
    let ticket = place.map_or(0, |place| place.ticket) + u64::from(once_in(dice, 6));
    WithdrawWaiter { session, namespace, name, ticket, as_admin: !once_in(dice, 4) }
}

fn arrive(dice: &mut Dice, world: &World) -> ArriveAtBarrier {
    let parties = if once_in(dice, 12) { dice.below(4) as u32 } else { 2 };
    let (session, name) = (session(dice, world), pick(dice, &["b", "b", "No"]).to_owned());
    let namespace = pick(dice, NAMESPACES).to_owned();
    ArriveAtBarrier { session, namespace, name, parties, as_admin: !once_in(dice, 4) }
}

fn leave(dice: &mut Dice, world: &World) -> LeaveBarrier {
    let namespace = pick(dice, NAMESPACES).to_owned();
    let barrier = Spot::parse("barrier", &namespace, "b")
        .ok()
        .and_then(|spot| coordination::barrier(&world.oracle.store, world.group, &spot));
    let generation = barrier.map_or(0, |barrier| barrier.generation) + dice.below(3);
    let (session, name) = (session(dice, world), "b".to_owned());
    LeaveBarrier { session, namespace, name, generation, as_admin: !once_in(dice, 4) }
}

fn window(dice: &mut Dice, world: &World) -> Option<MaintenanceWindow> {
    let now_ms = world.oracle.head().unix_ms;
    let window = MaintenanceWindow {
        name: pick(dice, WINDOWS).to_owned(),
        scope: pick(dice, &["*", "node/one", "agent/red", "wings"]).to_owned(),
        starts_ms: pick_ms(dice, &[0, now_ms, now_ms + 60_000]),
        ends_ms: pick_ms(dice, &[0, now_ms + 120_000, u64::MAX]),
        created_ms: 7,
        ..Default::default()
    };
    (!once_in(dice, 24)).then_some(window)
}

fn pick_ms(dice: &mut Dice, choices: &[u64]) -> u64 {
    choices[dice.below(choices.len() as u64) as usize]
}
