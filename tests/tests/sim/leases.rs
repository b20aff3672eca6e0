//! No lease ends early, on the law's side: a removal for an expired lease hits only the life that
//! was meant, and only while it has a lease.
//!
//! When a lease ends is the leader's soft state (`keikod/src/rooms/registry/live`), which is tested
//! there, in its own time.

use super::{Law, agent, delete, holds, registry};
use keiko_core::id::Name;
use keiko_core::refusal::Code;
use keiko_core::registry::{Kind, ObjectKey, get, metadata};
use keiko_proto::v1 as wire;
use keiko_tests::sim::{Invariant, Settings, Weather};

const LEASE: Option<wire::Lease> = Some(wire::Lease { ttl_ms: 5000, grace_ms: 0 });

#[test]
fn only_the_life_that_was_meant_is_removed() {
    // Late and repeated proposals are what this is about.
    let weather = Weather { request: 40, commit: 24, retry: 16, ..Weather::default() };
    let settings = Settings { weather, nodes: 1, actions: 80, ..Settings::default() };
    holds("sim::leases", Invariant::Leases, settings);
}

fn uid(law: &Law) -> String {
    let namespace = Name::parse_namespace("").expect("the default is a name");
    let key = ObjectKey { kind: Kind::Agent, namespace, name: "a".to_owned() };
    let agent = get(&law.store, Law::GROUP, &key, None).expect("it is there");
    metadata(&agent).expect("it has metadata").uid.clone()
}

#[test]
fn a_late_removal_hits_nobody_else() {
    let mut law = Law::default();
    assert_eq!(law.ask(agent("a", LEASE)), None);
    let first = uid(&law);
    let conflict = Some(Code::RevisionConflict as u32);
    assert_eq!(law.ask(delete("a", "", true)), Some(Code::MalformedEntry as u32), "whose?");
    assert_eq!(law.ask(delete("a", &first, true)), None);
    // Made anew meanwhile, under the same name.
    assert_eq!(law.ask(agent("a", LEASE)), None);
    assert_eq!(law.ask(delete("a", &first, true)), conflict, "that was another life");
    // Registered without a lease meanwhile: the same life, and it is to stay.
    let second = uid(&law);
    assert_eq!(law.ask(agent("a", None)), None);
    assert_eq!(uid(&law), second);
    assert_eq!(law.ask(delete("a", &second, true)), conflict, "it has no lease any more");
    assert_eq!(law.ask(delete("a", &second, false)), None);
}

#[test]
fn news_of_a_lease_reaches_only_the_life_that_was_meant() {
    let mut law = Law::default();
    assert_eq!(law.ask(agent("a", LEASE)), None);
    let first = uid(&law);
    let expired = |uid: &str| {
        let kind = wire::Kind::Agent.into();
        let object = wire::ObjectRef { kind, name: "a".to_owned(), ..Default::default() };
        let health = wire::Health {
            state: "cooling-down".to_owned(),
            failure_class: "lease-expired".to_owned(),
            ..Default::default()
        };
        registry(wire::registry_op::Op::SetHealth(wire::SetHealth {
            object: Some(object),
            uid: uid.to_owned(),
            health: Some(health),
        }))
    };
    assert_eq!(law.ask(expired(&first)), None);
    assert_eq!(law.ask(delete("a", &first, true)), None);
    assert_eq!(law.ask(agent("a", LEASE)), None);
    assert_eq!(law.ask(expired(&first)), Some(Code::RevisionConflict as u32));
}
