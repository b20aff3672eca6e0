//! Maintenance windows.

use super::room;
use crate::coordination;
use crate::house::tests::World;
use crate::limits::WINDOW_MS_MAX;
use crate::refusal::Code;
use keiko_proto::v1::coordination_op::Op;
use keiko_proto::v1::{DeclareWindow, DeleteWindow, MaintenanceWindow};

#[test]
fn windows_say_what_will_be_down() {
    let mut world = World::default();
    let now = world.now_ms;
    let declare = |name: &str, scope: &str, starts_ms, ends_ms| {
        let (name, scope) = (name.to_owned(), scope.to_owned());
        let window = MaintenanceWindow { name, scope, starts_ms, ends_ms, ..Default::default() };
        room(Op::DeclareWindow(DeclareWindow { window: Some(window) }))
    };
    world.accept(declare("disk", "node/n1", 0, now + 60_000));
    world.accept(declare("team", "agent/red", now + 1_000, now + 60_000));
    world.accept(declare("move", "*", now + 30_000, now + 60_000));
    let active = |subject: &str, at| {
        let found = coordination::active_windows(&world.store, World::GROUP, subject, at);
        found.into_iter().map(|window| window.name).collect::<Vec<_>>()
    };
    for (subject, after, expect) in [
        ("node/n1", 0, &["disk"][..]),
        ("node/n10", 0, &[]),
        ("agent/red/hello", 0, &[]),
        ("agent/red/hello", 1_000, &["team"]),
        ("agent/redder/hello", 1_000, &[]),
        ("node/n2", 30_000, &["move"]),
        ("node/n1", 30_000, &["disk", "move"]),
        ("node/n1", 60_000, &[]),
    ] {
        assert_eq!(active(subject, now + after), expect, "{subject} after {after} ms");
    }
    for (name, scope, starts_ms, ends_ms, code) in [
        ("No", "*", 0, now + 1, Code::InvalidArgument),
        ("a", "n1", 0, now + 1, Code::InvalidArgument),
        ("a", "node", 0, now + 1, Code::InvalidArgument),
        ("a", "node/n1/x", 0, now + 1, Code::InvalidArgument),
        ("a", "*/x", 0, now + 1, Code::InvalidArgument),
        ("a", "agent/a/b/c", 0, now + 1, Code::InvalidArgument),
        ("a", "*", 0, now, Code::InvalidArgument),
        ("a", "*", now + 5, now + 5, Code::InvalidArgument),
        ("a", "*", now, now + WINDOW_MS_MAX + 1, Code::LimitExceeded),
    ] {
        assert_eq!(world.refuse(declare(name, scope, starts_ms, ends_ms)), code, "{scope}");
    }
    world.accept(declare("disk", "node/n2", 0, now + 1));
    assert_eq!(
        coordination::windows(&world.store, World::GROUP).len(),
        3,
        "in place of the one before"
    );
    let delete = || room(Op::DeleteWindow(DeleteWindow { name: "disk".to_owned() }));
    world.accept(delete());
    assert_eq!(world.refuse(delete()), Code::NotFound);
}
