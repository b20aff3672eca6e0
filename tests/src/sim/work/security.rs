use super::{once_in, pick};
use crate::report::Dice;
use crate::sim::world::World;
use keiko_core::limits::TOKEN_TTL_MS_MAX;
use keiko_proto::v1::{
    Authority, CreateToken, PruneTokens, RevokeToken, SealedValue, SecurityOp, StoreAuthority,
    Token, security_op::Op,
};

const IDS: &[&str] = &["t1", "t2", "t3", "t\0x", "t1", "t2", "t3", ""];

pub(super) fn op(dice: &mut Dice, world: &World) -> SecurityOp {
    let op = match dice.below(8) {
        0 => Some(Op::StoreAuthority(StoreAuthority { authority: authority(dice) })),
        1 | 2 => Some(Op::RevokeToken(RevokeToken { id: pick(dice, IDS).to_owned() })),
        3 => Some(Op::PruneTokens(PruneTokens {})),
        4 if once_in(dice, 4) => None,
        _ => Some(Op::CreateToken(CreateToken { token: Some(token(dice, world)) })),
    };
    SecurityOp { op }
}

fn authority(dice: &mut Dice) -> Option<Authority> {
    let ciphertext = vec![1; dice.below(3) as usize];
    let key = SealedValue { key_id: "k1".to_owned(), ciphertext, ..Default::default() };
    let authority = Authority { certificate: "PEM".to_owned(), key: Some(key) };
    (!once_in(dice, 4)).then_some(authority)
}

fn token(dice: &mut Dice, world: &World) -> Token {
    let now_ms = world.oracle.head().unix_ms;
    let expires_ms = match dice.below(8) {
        0 => 0,
        1 => now_ms + 2 * TOKEN_TTL_MS_MAX,
        2 => now_ms + 1,
        _ => now_ms + dice.below(20 * 60_000),
    };
    let scopes = ["agent/default/a", "agent/red/b", "agent/default/*", "mcp/default/a", "agent/a"];
    Token {
        id: pick(dice, IDS).to_owned(),
        hash_algorithm: if once_in(dice, 24) { "md5" } else { "blake3" }.to_owned(),
        hash: vec![7; if once_in(dice, 24) { 31 } else { 32 }],
        role: if once_in(dice, 24) { "admin" } else { "agent" }.to_owned(),
        scope: scopes[dice.below(20).saturating_sub(15) as usize].to_owned(),
        expires_ms,
        created_ms: dice.below(3),
    }
}
