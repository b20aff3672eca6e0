use crate::house::tests::World;
use crate::limits::TOKEN_TTL_MS_MAX;
use crate::refusal::Code;
use keiko_proto::v1::{
    CreateToken, PruneTokens, RevokeToken, SecurityOp, Token, entry::Room, security_op::Op,
};

fn room(op: Op) -> Room {
    Room::Security(SecurityOp { op: Some(op) })
}

fn token(id: &str, scope: &str, expires_ms: u64) -> Room {
    room(Op::CreateToken(CreateToken {
        token: Some(Token {
            id: id.to_owned(),
            hash_algorithm: "blake3".to_owned(),
            hash: vec![7; 32],
            role: "agent".to_owned(),
            scope: scope.to_owned(),
            expires_ms,
            created_ms: 0,
        }),
    }))
}

#[test]
fn tokens_come_and_go() {
    let mut world = World::default();
    let now = world.now_ms;
    world.accept(token("a", "agent/default/hello", now + 1000));
    world.accept(token("b", "agent/default/hello", now + 9000));
    assert_eq!(world.refuse(token("a", "agent/default/hello", now)), Code::NameTaken);
    world.now_ms += 2000;
    world.accept(room(Op::PruneTokens(PruneTokens {})));
    assert!(super::token(&world.store, World::GROUP, "a").is_none());
    world.accept(room(Op::RevokeToken(RevokeToken { id: "b".to_owned() })));
    assert!(super::tokens(&world.store, World::GROUP).is_empty());
    let again = room(Op::RevokeToken(RevokeToken { id: "b".to_owned() }));
    assert_eq!(world.refuse(again), Code::NotFound);
}

#[test]
fn a_token_says_what_it_may_touch() {
    let mut world = World::default();
    let now = world.now_ms;
    for scope in ["", "agent/hello", "agent/default/*", "tool/default/x", "agent/default/a/b"] {
        assert_eq!(world.refuse(token("a", scope, now)), Code::InvalidArgument, "{scope:?}");
    }
    let long = token("a", "agent/default/a", now + 2 * TOKEN_TTL_MS_MAX);
    assert_eq!(world.refuse(long), Code::LimitExceeded);
}
