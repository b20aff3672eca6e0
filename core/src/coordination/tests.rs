mod fences;
mod random;
mod windows;

use super::{LockKind, Spot, lock_info, record, session};
use crate::house::tests::World;
use crate::journal;
use crate::limits::{
    BARRIER_IDLE_MS, LOCK_VALUE_BYTES_MAX, SESSION_PLACES_MAX, SESSION_TTL_MS_MAX,
};
use crate::refusal::{Code, Refusal};
use keiko_proto::v1::coordination_op::Op;
use keiko_proto::v1::coordination_reply::Reply;
use keiko_proto::v1::{
    AcquireLock, Actor, ArriveAtBarrier, CloseSession, CoordinationOp, DueSession, ExpireSessions,
    KeepSession, LeaveBarrier, LockGrant, OpenSession, ReleaseLock, SocketPeer, WithdrawWaiter,
    actor::Who, entry::Room, reply,
};

/// Ids that sort as their numbers do.
fn id(number: usize) -> String {
    format!("0190b1f0-0000-7000-8000-{number:012x}")
}

fn room(op: Op) -> Room {
    Room::Coordination(CoordinationOp { op: Some(op) })
}

fn open(number: usize, ttl_ms: u64) -> Room {
    room(Op::OpenSession(OpenSession { id: id(number), name: format!("host/{number}"), ttl_ms }))
}

fn keep(number: usize) -> Room {
    room(Op::KeepSession(KeepSession { id: id(number), as_admin: false }))
}

fn close(number: usize) -> Room {
    room(Op::CloseSession(CloseSession { id: id(number), as_admin: false }))
}

/// Those of the sessions whose time is over, as the driver finds them.
fn expire(world: &World) -> Room {
    let due = super::sessions(&world.store, World::GROUP);
    let due = due.into_iter().filter(|session| session.expires_ms <= world.now_ms);
    let items = due.map(|session| DueSession { id: session.id, expires_ms: session.expires_ms });
    room(Op::ExpireSessions(ExpireSessions { items: items.collect() }))
}

fn acquiring(number: usize, name: &str, wait: bool) -> AcquireLock {
    AcquireLock {
        session: id(number),
        name: name.to_owned(),
        kind: "lock".to_owned(),
        limit: 1,
        wait,
        ..Default::default()
    }
}

fn acquire(number: usize, name: &str, wait: bool) -> Room {
    room(Op::AcquireLock(acquiring(number, name, wait)))
}

fn permit(number: usize, name: &str, limit: u32, wait: bool) -> Room {
    let kind = "semaphore".to_owned();
    room(Op::AcquireLock(AcquireLock { kind, limit, ..acquiring(number, name, wait) }))
}

fn release(number: usize, name: &str) -> Room {
    let (session, name) = (id(number), name.to_owned());
    room(Op::ReleaseLock(ReleaseLock { session, name, ..Default::default() }))
}

fn withdraw(number: usize, name: &str, ticket: u64) -> Room {
    let (session, name) = (id(number), name.to_owned());
    room(Op::WithdrawWaiter(WithdrawWaiter { session, name, ticket, ..Default::default() }))
}

fn arrive(number: usize, name: &str, parties: u32) -> Room {
    let (session, name) = (id(number), name.to_owned());
    room(Op::ArriveAtBarrier(ArriveAtBarrier { session, name, parties, ..Default::default() }))
}

fn spot(name: &str) -> Spot {
    Spot::parse("lock", "", name).unwrap()
}

fn answer(world: &mut World, room: Room) -> Reply {
    let reply::Result::Coordination(reply) = world.accept(room) else { panic!("another room") };
    reply.reply.unwrap()
}

fn granted(world: &mut World, room: Room) -> LockGrant {
    let Reply::Granted(grant) = answer(world, room) else { panic!("not granted") };
    grant
}

fn queued(world: &mut World, room: Room) -> u64 {
    let Reply::Queued(waiter) = answer(world, room) else { panic!("not queued") };
    waiter.ticket
}

/// Holders with their tokens, then the queue, by the numbers of their sessions.
fn shown(world: &World, name: &str) -> (Vec<(usize, u64)>, Vec<usize>) {
    let info = lock_info(&world.store, World::GROUP, &spot(name), usize::MAX).unwrap_or_default();
    let number = |id: &str| usize::from_str_radix(&id[24..], 16).unwrap();
    let holders = info.holders.iter().map(|holder| (number(&holder.session), holder.token));
    (holders.collect(), info.queue.iter().map(|waiter| number(&waiter.session)).collect())
}

fn holders(world: &World, name: &str) -> Vec<usize> {
    shown(world, name).0.into_iter().map(|(number, _)| number).collect()
}

fn events(world: &World, after: u64) -> Vec<String> {
    let events = journal::after(&world.store, World::GROUP, after);
    let kind = |text: String| text.strip_prefix("keiko.coordination.").map(str::to_owned);
    events.filter_map(|event| kind(event.r#type)).collect()
}

fn revision(world: &World) -> u64 {
    crate::house::revision(&world.store, World::GROUP)
}

/// A world with so many sessions of 10 s, from 1 on.
fn with_sessions(count: usize) -> World {
    let mut world = World::default();
    for number in 1..=count {
        world.accept(open(number, 0));
    }
    world
}

#[test]
fn a_session_lives_as_long_as_it_is_kept() {
    let mut world = with_sessions(1);
    let expires = |world: &World| session(&world.store, World::GROUP, &id(1)).unwrap().expires_ms;
    assert_eq!(expires(&world), world.now_ms + 10_000);
    world.now_ms += 9_000;
    world.accept(keep(1));
    world.now_ms += 9_000;
    world.accept(expire(&world));
    assert_eq!(expires(&world), world.now_ms + 1_000, "it was kept");
    world.now_ms += 1_000;
    // The driver saw it before it was kept once more.
    let late = expire(&world);
    world.accept(keep(1));
    world.accept(late);
    world.now_ms += 10_000;
    world.accept(expire(&world));
    assert_eq!(session(&world.store, World::GROUP, &id(1)), None);
    for gone in [keep(1), close(1), acquire(1, "a", false), arrive(1, "b", 2), release(1, "a")] {
        assert_eq!(world.refuse(gone), Code::SessionEnded);
    }
    assert_eq!(events(&world, 0), ["session.opened", "session.expired"]);
    assert_eq!(record(&world.store, World::GROUP).sessions, 0);
}

#[test]
fn a_session_is_its_owners() {
    let mut world = with_sessions(1);
    world.accept(acquire(1, "a", false));
    let mine = world.actor.clone();
    let peer = SocketPeer { node: "one".to_owned(), uid: Some(1000) };
    world.actor = Actor { who: Some(Who::Socket(peer)) };
    let by_token =
        |token| Op::ReleaseLock(ReleaseLock { name: "a".to_owned(), token, ..Default::default() });
    let token = shown(&world, "a").0[0].1;
    for theirs in [keep(1), close(1), acquire(1, "b", false), release(1, "a"), arrive(1, "b", 2)] {
        assert_eq!(world.refuse(theirs), Code::PermissionDenied);
    }
    assert_eq!(world.refuse(room(by_token(token))), Code::PermissionDenied);
    assert_eq!(world.refuse(room(by_token(token + 1))), Code::LockNotHeld);
    // An admin may, and it stays its owner's.
    world.accept(room(Op::KeepSession(KeepSession { id: id(1), as_admin: true })));
    let Op::ReleaseLock(by_admin) = by_token(token) else { unreachable!() };
    world.accept(room(Op::ReleaseLock(ReleaseLock { as_admin: true, ..by_admin })));
    assert_eq!(session(&world.store, World::GROUP, &id(1)).unwrap().owner, Some(mine));
}

#[test]
fn a_lock_is_granted_in_turn_with_growing_tokens() {
    let mut world = with_sessions(3);
    let first = granted(&mut world, acquire(1, "a", false));
    assert_eq!(granted(&mut world, acquire(1, "a", false)), first, "the same grant");
    assert_eq!(world.refuse(acquire(2, "a", false)), Code::LockHeld);
    let ticket = queued(&mut world, acquire(2, "a", true));
    assert_eq!(queued(&mut world, acquire(2, "a", true)), ticket, "the same place");
    assert_eq!(world.refuse(acquire(2, "a", false)), Code::LockHeld, "and it stays there");
    queued(&mut world, acquire(3, "a", true));
    assert_eq!(shown(&world, "a"), (vec![(1, first.token)], vec![2, 3]));
    let before = revision(&world);
    let Reply::Released(given) = answer(&mut world, release(1, "a")) else { panic!("kept") };
    assert_eq!(given, first);
    assert_eq!(events(&world, before), ["lock.released", "lock.granted"]);
    assert_eq!(world.refuse(release(1, "a")), Code::LockNotHeld);
    let (holding, waiting) = shown(&world, "a");
    assert!(holding[0].0 == 2 && holding[0].1 > first.token);
    assert_eq!(waiting, [3]);
    // Another lock goes on from there.
    assert!(granted(&mut world, acquire(1, "b", false)).token > holding[0].1);
    world.accept(release(2, "a"));
    world.accept(release(3, "a"));
    assert_eq!(lock_info(&world.store, World::GROUP, &spot("a"), 9), None, "nobody holds it");
    assert_eq!(record(&world.store, World::GROUP).places, 1);
}

#[test]
fn a_refusal_names_the_holder() {
    let mut world = with_sessions(2);
    let election = |number, value: &str| {
        let (kind, value) = ("election".to_owned(), value.to_owned());
        room(Op::AcquireLock(AcquireLock { kind, value, ..acquiring(number, "lead", false) }))
    };
    let token = granted(&mut world, election(1, "10.0.0.1:80")).token;
    let entry = world.entry(election(2, ""));
    let reply::Result::Refusal(refusal) = world.propose(&entry).result.unwrap() else {
        panic!("granted twice")
    };
    let refusal = Refusal::from_wire(refusal);
    assert_eq!(refusal.code, Code::LockHeld);
    let expect = format!("host/1, session {}: token {token}, 10.0.0.1:80", id(1));
    assert_eq!(refusal.causes, [expect]);
}

#[test]
fn a_queue_may_be_left() {
    let mut world = with_sessions(3);
    world.accept(acquire(1, "a", false));
    let second = queued(&mut world, acquire(2, "a", true));
    let third = queued(&mut world, acquire(3, "a", true));
    let left = |world: &mut World, number, ticket| {
        let Reply::Withdrawn(left) = answer(world, withdraw(number, "a", ticket)) else {
            panic!("another reply")
        };
        (left.withdrawn, left.granted.is_some())
    };
    assert_eq!(left(&mut world, 2, second + 1), (false, false), "another place");
    assert_eq!(left(&mut world, 2, second), (true, false));
    assert_eq!(left(&mut world, 2, second), (false, false));
    world.accept(release(1, "a"));
    assert_eq!(left(&mut world, 3, third), (false, true), "it was granted meanwhile");
    assert_eq!(holders(&world, "a"), [3]);
}

#[test]
fn the_end_of_a_session_frees_what_it_has() {
    let mut world = with_sessions(3);
    for name in ["a", "b"] {
        world.accept(acquire(1, name, false));
        world.accept(acquire(2, name, true));
        world.accept(acquire(3, name, true));
    }
    world.accept(acquire(2, "c", false));
    world.accept(acquire(1, "c", true));
    world.accept(arrive(1, "meet", 3));
    let before = revision(&world);
    world.accept(close(1));
    let expect = [
        "lock.withdrawn",
        "barrier.left",
        "lock.released",
        "lock.granted",
        "lock.released",
        "lock.granted",
        "session.closed",
    ];
    assert_eq!(events(&world, before), expect);
    assert_eq!((holders(&world, "a"), holders(&world, "b")), (vec![2], vec![2]));
    assert_eq!(super::barrier(&world.store, World::GROUP, &spot("meet")), None);
    // Of two that end at once, neither is granted what the other one had.
    world.now_ms += 9_000;
    world.accept(keep(3));
    world.now_ms += 1_000;
    let before = revision(&world);
    world.accept(expire(&world));
    assert_eq!((holders(&world, "a"), holders(&world, "b")), (vec![3], vec![3]));
    assert_eq!(holders(&world, "c"), [0_usize; 0]);
    let ended = events(&world, before);
    assert_eq!(ended.iter().filter(|kind| *kind == "lock.expired").count(), 3, "{ended:?}");
    assert_eq!(record(&world.store, World::GROUP).places, 2);
}

#[test]
fn a_semaphore_has_its_limit_while_it_is_held() {
    let mut world = with_sessions(4);
    for number in [1, 2] {
        granted(&mut world, permit(number, "s", 2, false));
    }
    assert_eq!(world.refuse(permit(3, "s", 2, false)), Code::LockHeld);
    assert_eq!(world.refuse(permit(3, "s", 3, true)), Code::LockMismatch);
    assert_eq!(world.refuse(acquire(3, "s", true)), Code::LockMismatch);
    queued(&mut world, permit(3, "s", 2, true));
    queued(&mut world, permit(4, "s", 2, true));
    world.accept(close(2));
    assert_eq!(holders(&world, "s"), [1, 3]);
    for number in [1, 3, 4] {
        world.accept(release(number, "s"));
    }
    granted(&mut world, acquire(1, "s", false));
}

#[test]
fn a_barrier_opens_for_all_at_once() {
    let mut world = with_sessions(4);
    let arrived = |world: &mut World, number| {
        let Reply::Arrived(arrived) = answer(world, arrive(number, "b", 3)) else {
            panic!("another reply")
        };
        (arrived.generation, arrived.opened, arrived.barrier.unwrap().arrived)
    };
    assert_eq!(arrived(&mut world, 1), (1, false, 1));
    assert_eq!(arrived(&mut world, 1), (1, false, 1), "one is one");
    assert_eq!(world.refuse(arrive(2, "b", 2)), Code::LockMismatch);
    assert_eq!(arrived(&mut world, 2), (1, false, 2));
    world.accept(close(2));
    assert_eq!(arrived(&mut world, 3), (1, false, 2));
    assert_eq!(arrived(&mut world, 4), (1, true, 0));
    assert_eq!(record(&world.store, World::GROUP).places, 0);
    // The next round; another number may be asked for, and an arrival taken back.
    let leave = |generation| {
        let (session, name) = (id(1), "b".to_owned());
        room(Op::LeaveBarrier(LeaveBarrier { session, name, generation, ..Default::default() }))
    };
    world.accept(arrive(1, "b", 2));
    for (generation, expect) in [(1, false), (2, true), (2, false)] {
        let Reply::Left(left) = answer(&mut world, leave(generation)) else { panic!("another") };
        assert_eq!(left.left, expect);
    }
    world.accept(arrive(3, "b", 1));
    let kept = super::barrier(&world.store, World::GROUP, &spot("b")).unwrap();
    assert_eq!((kept.generation, kept.arrived), (2, 0));
    world.now_ms += BARRIER_IDLE_MS;
    assert_eq!(super::barriers(&world.store, World::GROUP, None), [kept], "nobody needs its room");
}

#[test]
fn malformed_words_are_refused() {
    let mut world = with_sessions(1);
    world.accept(acquire(1, "held", false));
    let base = acquiring(1, "a", false);
    let with = |change: fn(&mut AcquireLock)| {
        let mut acquire = base.clone();
        change(&mut acquire);
        room(Op::AcquireLock(acquire))
    };
    let opened = |id: &str, name: &str, ttl_ms| {
        let (id, name) = (id.to_owned(), name.to_owned());
        room(Op::OpenSession(OpenSession { id, name, ttl_ms }))
    };
    for (op, code) in [
        (with(|acquire| acquire.kind.clear()), Code::InvalidArgument),
        (with(|acquire| acquire.limit = 0), Code::InvalidArgument),
        (with(|acquire| acquire.limit = 2), Code::InvalidArgument),
        (with(|acquire| acquire.name = "A".to_owned()), Code::InvalidArgument),
        (
            with(|acquire| acquire.value = "v".repeat(LOCK_VALUE_BYTES_MAX + 1)),
            Code::InvalidArgument,
        ),
        (with(|acquire| acquire.value = "a\nb".to_owned()), Code::InvalidArgument),
        (with(|acquire| acquire.session.make_ascii_uppercase()), Code::InvalidArgument),
        (with(|acquire| acquire.session = id(9)), Code::SessionEnded),
        (opened(&id(1), "", 0), Code::NameTaken),
        (opened("1", "", 0), Code::InvalidArgument),
        (opened(&id(2), "a\u{7f}", 0), Code::InvalidArgument),
        (opened(&id(2), "", 999), Code::InvalidArgument),
        (opened(&id(2), "", SESSION_TTL_MS_MAX + 1), Code::InvalidArgument),
        (arrive(1, "b", 0), Code::InvalidArgument),
        (arrive(1, "b", 1025), Code::InvalidArgument),
        (
            room(Op::ReleaseLock(ReleaseLock { name: "held".to_owned(), ..Default::default() })),
            Code::InvalidArgument,
        ),
        (Room::Coordination(CoordinationOp { op: None }), Code::MalformedEntry),
    ] {
        assert_eq!(world.refuse(op.clone()), code, "{op:?}");
    }
    for kind in LockKind::ALL {
        assert_eq!(LockKind::parse(kind.as_str()), Ok(*kind));
    }
}

#[test]
fn a_session_has_so_many_places() {
    let mut world = with_sessions(2);
    for number in 0..SESSION_PLACES_MAX {
        world.accept(acquire(1, &format!("l{number}"), false));
    }
    assert_eq!(world.refuse(acquire(1, "more", false)), Code::LimitExceeded);
    assert_eq!(world.refuse(arrive(1, "more", 2)), Code::LimitExceeded);
    assert_eq!(super::lock(&world.store, World::GROUP, &spot("more")), None);
    world.accept(release(1, "l0"));
    world.accept(arrive(1, "more", 2));
    world.accept(close(1));
    assert_eq!(record(&world.store, World::GROUP).places, 0);
}

#[test]
fn locks_are_listed_page_by_page() {
    let mut world = with_sessions(1);
    for (namespace, name) in [("a", "x"), ("a", "y"), ("b", "x"), ("ab", "z")] {
        let (namespace, base) = (namespace.to_owned(), acquiring(1, name, false));
        world.accept(room(Op::AcquireLock(AcquireLock { namespace, ..base })));
    }
    let page = |namespace, after: Option<(&str, &str)>, limit| {
        let after = after.map(|(namespace, name)| Spot::parse("lock", namespace, name).unwrap());
        let store = &world.store;
        let (items, more) = super::locks(store, World::GROUP, namespace, after.as_ref(), limit, 1);
        let spot = |info: keiko_proto::v1::LockInfo| {
            info.lock.map(|lock| lock.namespace + "/" + &lock.name)
        };
        (items.into_iter().filter_map(spot).collect::<Vec<_>>(), more)
    };
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(page(None, None, 9), (owned(&["a/x", "a/y", "ab/z", "b/x"]), false));
    assert_eq!(page(None, None, 2), (owned(&["a/x", "a/y"]), true));
    assert_eq!(page(None, Some(("a", "y")), 2), (owned(&["ab/z", "b/x"]), false));
    assert_eq!(page(Some("a"), None, 9), (owned(&["a/x", "a/y"]), false));
    assert_eq!(page(Some("c"), None, 9), (owned(&[]), false));
}
