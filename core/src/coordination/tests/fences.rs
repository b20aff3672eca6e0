//! Entries that count only while a lock is held.

use super::{
    acquire, close, expire, granted, keep, open, queued, release, shown, spot, with_sessions,
};
use crate::coordination::{fenced, session};
use crate::house::tests::World;
use crate::refusal::{Code, Refusal};
use keiko_proto::v1::{Entry, Fence, reply};

#[test]
fn a_fence_lets_through_who_holds() {
    let mut world = with_sessions(2);
    let token = granted(&mut world, acquire(1, "a", false)).token;
    queued(&mut world, acquire(2, "a", true));
    let fence =
        |lock: &str, token| Some(Fence { lock: lock.to_owned(), token, ..Fence::default() });
    let asked = |world: &mut World, fence: Option<Fence>| {
        let entry = Entry { fence, ..world.entry(open(7, 0)) };
        let code = match world.propose(&entry).result.unwrap() {
            reply::Result::Refusal(refusal) => Some(Refusal::from_wire(refusal).code),
            _ => {
                world.accept(close(7));
                None
            }
        };
        assert_eq!(session(&world.store, World::GROUP, &super::id(7)), None);
        code
    };
    assert_eq!(asked(&mut world, fence("a", token)), None);
    for stale in [fence("a", token - 1), fence("a", token + 1), fence("b", token), fence("a", 0)] {
        assert_eq!(asked(&mut world, stale), Some(Code::FenceStale));
    }
    assert_eq!(asked(&mut world, fence("No", 1)), Some(Code::InvalidArgument));
    world.now_ms += 9_999;
    assert_eq!(asked(&mut world, fence("a", token)), None);
    world.accept(keep(2));
    // Nobody told that its time is over, and yet it is.
    world.now_ms += 1;
    assert_eq!(asked(&mut world, fence("a", token)), Some(Code::FenceStale));
    world.accept(expire(&world));
    assert_eq!(asked(&mut world, fence("a", token)), Some(Code::FenceStale));
    let next = shown(&world, "a").0[0].1;
    assert_eq!(asked(&mut world, fence("a", next)), None);
    let now = fenced(&world.store, World::GROUP, &spot("a"), token, world.now_ms);
    assert_eq!((now.held, now.newest), (false, next));
}

#[test]
fn a_fence_is_part_of_what_an_id_stands_for() {
    let mut world = with_sessions(1);
    let token = granted(&mut world, acquire(1, "a", false)).token;
    let fence = |token| Some(Fence { lock: "a".to_owned(), token, ..Fence::default() });
    let mut request_id = world.now_ms.to_be_bytes()[2..].to_vec();
    request_id.extend([0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1]);
    let entry = Entry { request_id, fence: fence(token), ..world.entry(open(7, 0)) };
    let first = world.propose(&entry);
    world.accept(release(1, "a"));
    assert_eq!(world.propose(&entry), first, "a retry is told what happened");
    let other = world.propose(&Entry { fence: fence(token + 1), ..entry });
    let reply::Result::Refusal(refusal) = other.result.unwrap() else { panic!("a retry") };
    assert_eq!(Refusal::from_wire(refusal).code, Code::InvalidArgument);
}
