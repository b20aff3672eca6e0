//! Behind a restore, or a quorum that was given up: who may still come in.
//!
//! A restored state is a cluster of its own, with an authority of its own: every certificate of the
//! old one is refused at the first handshake, and every token carries the old one's hash. So tokens
//! and people are worth nothing any more, and stay only as events. They are not told one by one: of
//! thousands, that would be as many events for one fact.

use super::query;
use super::rotation::ROTATION;
use super::state::{AUTHORITY, PEOPLE, TOKENS, body};
use crate::cluster::{self, Reopening};
use crate::house::{Emit, Emitted};
use crate::refusal::Result;
use crate::stamp::Stamp;
use crate::txn::Txn;
use keiko_proto::v1::{AuthorityForgotten, Node, security_event};

pub(super) fn apply(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    asked: Reopening,
    forget: bool,
    emit: Emit<'_>,
) -> Result<Node> {
    let node = cluster::reopen(txn, stamp, asked, emit)?;
    if forget {
        forget_all(txn, stamp, emit);
    }
    Ok(node)
}

fn forget_all(txn: &mut Txn<'_>, stamp: &Stamp, emit: Emit<'_>) {
    let (tokens, people) = (query::tokens(txn, stamp.group), query::people(txn, stamp.group));
    AUTHORITY.delete(txn, AUTHORITY.key(stamp.group));
    if query::rotation(txn, stamp.group).is_some() {
        ROTATION.delete(txn, ROTATION.key(stamp.group));
    }
    for token in &tokens {
        TOKENS.delete(txn, TOKENS.key(stamp.group).text(&token.id));
    }
    for person in &people {
        PEOPLE.delete(txn, PEOPLE.key(stamp.group).text(&person.name));
    }
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let forgotten = AuthorityForgotten { tokens: count(tokens.len()), people: count(people.len()) };
    emit(Emitted {
        kind: "keiko.security.authority.forgotten".to_owned(),
        subject: "authority".to_owned(),
        body: body(security_event::Event::AuthorityForgotten(forgotten)),
    });
}

#[cfg(test)]
mod tests {
    use crate::cluster::tests::found;
    use crate::house::tests::World;
    use crate::house::{self, Head};
    use crate::limits::{REOPEN_NODE_IDS, REOPEN_REVISIONS};
    use crate::refusal::Code;
    use crate::security::tests::{admit, enroll_admin, invite};
    use crate::{cluster, journal, security};
    use keiko_proto::v1::{
        Authority, Node, Reopen, SealedValue, SecurityOp, StoreAuthority, entry::Room,
        security_op::Op,
    };

    const OTHER: &str = "0190b1f0-0000-7000-8000-000000000001";

    fn room(op: Op) -> Room {
        Room::Security(SecurityOp { op: Some(op) })
    }

    fn authority() -> Room {
        let key = SealedValue { ciphertext: vec![1], ..Default::default() };
        let authority =
            Authority { certificate: "PEM".to_owned(), key: Some(key), ..Default::default() };
        room(Op::StoreAuthority(StoreAuthority { authority: Some(authority) }))
    }

    /// One, two and three, an admin and a token.
    fn world() -> (World, String) {
        let mut world = World::default();
        world.accept(found("one"));
        world.accept(authority());
        admit(&mut world, "two");
        admit(&mut world, "three");
        enroll_admin(&mut world, "ada");
        invite(&mut world, "four");
        let record = cluster::record(&world.store, World::GROUP).unwrap();
        (world, record.cluster_id)
    }

    fn reopen(from: &str, to: &str, node: (u64, &str), forget_authority: bool) -> Room {
        let node = Node { id: node.0, name: node.1.to_owned(), ..Default::default() };
        room(Op::Reopen(Reopen {
            from_cluster_id: from.to_owned(),
            cluster_id: to.to_owned(),
            node: Some(node),
            forget_authority,
            reason: "a test".to_owned(),
        }))
    }

    fn kinds(world: &World, after: u64) -> Vec<String> {
        journal::after(&world.store, World::GROUP, after).map(|event| event.r#type).collect()
    }

    #[test]
    fn a_restored_state_is_a_cluster_of_its_own() {
        let (mut world, from) = world();
        let before = house::revision(&world.store, World::GROUP);
        world.accept(reopen(&from, OTHER, (4, "four"), true));
        let group = World::GROUP;
        let store = &world.store;
        assert_eq!(house::revision(store, group), before + REOPEN_REVISIONS);
        assert_eq!(cluster::record(store, group).unwrap().cluster_id, OTHER);
        let nodes = cluster::nodes(store, group);
        assert_eq!(nodes.len(), 1);
        assert_eq!((nodes[0].id, nodes[0].name.as_str()), (4, "four"));
        assert_eq!(cluster::next_id(store, group), Some(5));
        assert_eq!(security::authority(store, group), None);
        assert!(security::tokens(store, group).is_empty());
        assert!(security::people(store, group).is_empty());
        let expect = [
            "keiko.cluster.node.removed",
            "keiko.cluster.node.removed",
            "keiko.cluster.node.removed",
            "keiko.cluster.restored",
            "keiko.security.authority.forgotten",
        ];
        assert_eq!(kinds(&world, before), expect);
        // And its authority is stored as that of any new cluster is.
        world.accept(authority());
        let head = Head::read(&world.store, group);
        assert_eq!(head.revision, before + REOPEN_REVISIONS + 1);
        assert_eq!(journal::revision_at(&world.store, group, head.unix_ms), head.revision);
    }

    #[test]
    fn who_is_left_keeps_its_cluster_and_its_people() {
        let (mut world, id) = world();
        let group = World::GROUP;
        let two = cluster::member(&world.store, group, "two").unwrap();
        world.accept(crate::cluster::tests::reach(two.id, true));
        let before = house::revision(&world.store, group);
        world.accept(reopen(&id, &id, (two.id, "two"), false));
        let nodes = cluster::nodes(&world.store, group);
        assert_eq!(nodes, [Node { down_since_ms: 0, ..two }]);
        // Four is whom the lost may let in, if they live.
        assert_eq!(cluster::next_id(&world.store, group), Some(4 + REOPEN_NODE_IDS));
        assert!(security::authority(&world.store, group).is_some());
        assert!(security::person(&world.store, group, "ada").is_some());
        assert_eq!(kinds(&world, before).last().unwrap(), "keiko.cluster.recovered");
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let (mut world, id) = world();
        for (op, code) in [
            (reopen(OTHER, OTHER, (4, "four"), true), Code::WrongCluster),
            (reopen(&id, OTHER, (4, "four"), false), Code::InvalidArgument),
            (reopen(&id, "short", (4, "four"), true), Code::InvalidArgument),
            (reopen(&id, OTHER, (0, "four"), true), Code::InvalidArgument),
            (reopen(&id, OTHER, (9, "No"), true), Code::InvalidArgument),
        ] {
            assert_eq!(world.refuse(op), code);
        }
        // An id that another node had.
        world.accept(crate::cluster::tests::remove(3));
        assert_eq!(world.refuse(reopen(&id, OTHER, (3, "x"), true)), Code::InvalidArgument);
        assert_eq!(World::default().refuse(reopen(&id, OTHER, (4, "x"), true)), Code::NotFounded);
    }
}
