use super::super::tests::admit;
use super::*;
use crate::cluster::tests::found;
use crate::house::tests::World;
use crate::limits::CA_OVERLAP_MS;
use crate::security;
use keiko_proto::v1::{
    AdvanceAuthority, DropAuthority, ExpelNode, FinishRotation, SealedValue, SecurityOp,
    StoreAuthority, StoreNext, entry::Room, security_op::Op,
};

fn room(op: Op) -> Room {
    Room::Security(SecurityOp { op: Some(op) })
}

fn hash(name: char) -> String {
    name.to_string().repeat(64)
}

fn made(name: char) -> Authority {
    let key = SealedValue { ciphertext: vec![1], ..Default::default() };
    Authority {
        certificate: format!("PEM {name}"),
        key: Some(key),
        cross: format!("cross {name}"),
        hash: hash(name),
        ..Default::default()
    }
}

/// One, two and three, with an authority.
fn world() -> World {
    let mut world = World::default();
    world.accept(found("one"));
    let first = Authority { cross: String::new(), ..made('a') };
    world.accept(room(Op::StoreAuthority(StoreAuthority { authority: Some(first) })));
    admit(&mut world, "two");
    admit(&mut world, "three");
    world
}

fn asks(overlap_ms: u64, hurry: bool) -> Room {
    room(Op::RotateAuthority(RotateAuthority { overlap_ms, hurry, reason: "a test".to_owned() }))
}

fn next(name: char, before: char) -> Room {
    let (authority, before_hash) = (Some(made(name)), hash(before));
    room(Op::StoreNext(StoreNext { authority, before_hash }))
}

fn over(step: &str, name: char) -> Room {
    room(Op::AdvanceAuthority(AdvanceAuthority { step: step.to_owned(), hash: hash(name) }))
}

fn drops(name: char) -> Room {
    room(Op::DropAuthority(DropAuthority { hash: hash(name) }))
}

fn expels(id: u64, revoke: bool) -> Room {
    room(Op::ExpelNode(ExpelNode { id, revoke, overlap_ms: CA_OVERLAP_MS }))
}

fn step(world: &World) -> Option<String> {
    security::rotation(&world.store, World::GROUP).map(|rotation| rotation.step)
}

fn authority(world: &World) -> Authority {
    security::authority(&world.store, World::GROUP).unwrap()
}

fn turn(world: &mut World, name: char, before: char) {
    world.accept(next(name, before));
    world.accept(over(STEP_TRUST, name));
    world.accept(over(STEP_RENEW, name));
}

#[test]
fn no_step_is_left_out() {
    let mut world = world();
    assert_eq!(world.refuse(next('b', 'a')), Code::RevisionConflict);
    world.accept(asks(CA_OVERLAP_MS, false));
    assert_eq!(world.refuse(over(STEP_WANTED, 'b')), Code::RevisionConflict);
    assert_eq!(world.refuse(next('b', 'c')), Code::RevisionConflict, "it follows another one");
    world.accept(next('b', 'a'));
    assert_eq!(world.refuse(over(STEP_RENEW, 'b')), Code::RevisionConflict);
    assert_eq!(world.refuse(over(STEP_TRUST, 'c')), Code::RevisionConflict);
    world.accept(over(STEP_TRUST, 'b'));
    assert_eq!(authority(&world).hash, hash('a'), "it signs until everybody shows the next one");
    assert_eq!(world.refuse(asks(1, false)), Code::RotationRefused);
    world.accept(over(STEP_RENEW, 'b'));
    assert_eq!(step(&world), None);
    let signs = authority(&world);
    assert_eq!((signs.hash, signs.retiring.len()), (hash('b'), 1));
    assert_eq!(signs.retiring[0].until_ms, world.now_ms + CA_OVERLAP_MS);
    assert_eq!(signs.retiring[0].certificate, "PEM a");
    assert_eq!(world.refuse(drops('a')), Code::RotationRefused, "the overlap is not over");
    world.now_ms += CA_OVERLAP_MS;
    world.accept(drops('a'));
    assert_eq!(world.refuse(drops('a')), Code::NotFound);
    let signs = authority(&world);
    assert_eq!((signs.retiring.len(), signs.former), (0, vec![hash('a')]));
}

#[test]
fn one_that_nobody_trusts_yet_may_be_replaced() {
    let mut world = world();
    world.accept(asks(1, false));
    world.accept(next('b', 'a'));
    world.accept(asks(1, false));
    assert_eq!(step(&world).as_deref(), Some(STEP_WANTED));
    assert_eq!(world.refuse(over(STEP_TRUST, 'b')), Code::RevisionConflict);
    turn(&mut world, 'c', 'a');
    assert_eq!(authority(&world).hash, hash('c'));
}

#[test]
fn an_end_waits_for_no_overlap() {
    let mut world = world();
    assert_eq!(world.refuse(room(Op::FinishRotation(FinishRotation {}))), Code::RotationRefused);
    world.accept(asks(CA_OVERLAP_MS, false));
    turn(&mut world, 'b', 'a');
    world.accept(asks(CA_OVERLAP_MS, false));
    world.accept(room(Op::FinishRotation(FinishRotation {})));
    world.accept(drops('a'));
    turn(&mut world, 'c', 'b');
    let signs = authority(&world);
    assert!(signs.retiring[0].hurry && signs.retiring[0].until_ms == world.now_ms);
}

#[test]
fn who_knew_the_key_takes_it_along() {
    let mut world = world();
    world.accept(expels(3, false));
    assert_eq!(step(&world).as_deref(), Some(STEP_WANTED));
    world.accept(next('b', 'a'));
    // It may know the key of the one that comes, too.
    world.accept(expels(2, true));
    assert_eq!(step(&world).as_deref(), Some(STEP_WANTED));
    turn(&mut world, 'c', 'a');
    assert_eq!(authority(&world).retiring[0].until_ms, world.now_ms, "without an overlap");
    assert_eq!(world.refuse(expels(1, false)), Code::MembershipRefused);
}

#[test]
fn a_removal_in_the_middle_is_followed_by_another_one() {
    let mut world = world();
    world.accept(asks(CA_OVERLAP_MS, false));
    world.accept(next('b', 'a'));
    world.accept(over(STEP_TRUST, 'b'));
    world.accept(expels(3, true));
    assert_eq!(step(&world).as_deref(), Some(STEP_RENEW));
    world.accept(over(STEP_RENEW, 'b'));
    assert_eq!(step(&world).as_deref(), Some(STEP_WANTED));
    turn(&mut world, 'c', 'b');
    world.accept(drops('a'));
    world.accept(drops('b'));
    assert_eq!(authority(&world).hash, hash('c'));
}

#[test]
fn what_retires_is_bounded() {
    let mut world = world();
    let names = ['a', 'b', 'c', 'd', 'e', 'f'];
    for pair in names.windows(2) {
        world.accept(asks(CA_OVERLAP_MS, false));
        turn(&mut world, pair[1], pair[0]);
    }
    let signs = authority(&world);
    assert_eq!((signs.retiring.len(), signs.former), (RETIRING_AUTHORITIES_MAX, vec![hash('a')]));
    let long = "x".repeat(ROTATION_REASON_BYTES_MAX + 1);
    let asked = RotateAuthority { overlap_ms: 1, hurry: false, reason: long };
    assert_eq!(world.refuse(room(Op::RotateAuthority(asked))), Code::LimitExceeded);
    assert_eq!(world.refuse(asks(CA_OVERLAP_MS_MAX + 1, false)), Code::LimitExceeded);
}
