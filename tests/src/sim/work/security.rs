use super::{once_in, pick};
use crate::report::Dice;
use crate::sim::world::World;
use keiko_core::limits::{REFUSAL_TEXT_BYTES_MAX, REFUSALS_NOTED_MAX, TOKEN_TTL_MS_MAX};
use keiko_core::security;
use keiko_proto::v1::{
    AdmitNode, Authority, Binding, CreateToken, DeleteBinding, DeleteRole, EnrollPerson, Node,
    NoteRefusals, NoteUses, PruneTokens, RefusedAttempt, RemovePerson, RevokeToken, Role, Rule,
    SealedValue, SecurityOp, SetBinding, SetRole, StoreAuthority, Token, Uses, security_op::Op,
};

const PEOPLE: &[&str] = &["ada", "bob", "agent.default.a", "nobody"];
const ROLES: &[&str] = &["reader", "writer", "admin"];
const BINDINGS: &[&str] = &["b1", "b2", "No"];
const IDS: &[&str] = &["t1", "t2", "t3", "t\0x", "t1", "t2", "t3", ""];

pub(super) fn op(dice: &mut Dice, world: &World) -> SecurityOp {
    let op = match dice.below(22) {
        0 => Some(Op::StoreAuthority(StoreAuthority { authority: authority(dice) })),
        1 | 2 => Some(Op::RevokeToken(RevokeToken { id: pick(dice, IDS).to_owned() })),
        3 => Some(Op::PruneTokens(PruneTokens {})),
        4 if once_in(dice, 2) => None,
        5..=7 => {
            let node = (!once_in(dice, 24)).then(|| node(dice));
            let token_id = traded(dice, world, |token| token.role == security::ROLE_NODE);
            Some(Op::AdmitNode(AdmitNode { token_id, node }))
        }
        8..=10 => {
            let token_id = traded(dice, world, |token| token.role != security::ROLE_NODE);
            Some(Op::EnrollPerson(EnrollPerson { token_id, key_hash: key_hash(dice) }))
        }
        11 => Some(Op::NoteRefusals(refusals(dice))),
        12 => Some(Op::SetRole(SetRole { role: Some(role(dice)) })),
        13 => Some(Op::DeleteRole(DeleteRole { name: pick(dice, ROLES).to_owned() })),
        14 | 15 => Some(Op::SetBinding(SetBinding { binding: Some(binding(dice, world)) })),
        16 => Some(Op::DeleteBinding(DeleteBinding { name: pick(dice, BINDINGS).to_owned() })),
        17 => match dice.below(3) {
            0 => Some(Op::RemovePerson(RemovePerson { name: pick(dice, PEOPLE).to_owned() })),
            _ => Some(Op::NoteUses(uses(dice, world))),
        },
        _ => Some(Op::CreateToken(CreateToken { token: Some(token(dice, world)) })),
    };
    SecurityOp { op }
}

fn authority(dice: &mut Dice) -> Option<Authority> {
    let ciphertext = vec![1; dice.below(3) as usize];
    let key = SealedValue { key_id: "k1".to_owned(), ciphertext, ..Default::default() };
    let authority =
        Authority { certificate: "PEM".to_owned(), key: Some(key), ..Default::default() };
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
    let roles = ["agent", "agent", "node", "node", "admin", "viewer", "operator"];
    let role = if once_in(dice, 24) { "king" } else { pick(dice, &roles) };
    let scope = match role == "agent" || once_in(dice, 24) {
        true => scopes[dice.below(20).saturating_sub(15) as usize],
        false => "",
    };
    let names_person = ["admin", "operator", "viewer"].contains(&role) != once_in(dice, 24);
    Token {
        id: pick(dice, IDS).to_owned(),
        hash_algorithm: if once_in(dice, 24) { "md5" } else { "blake3" }.to_owned(),
        hash: vec![7; if once_in(dice, 24) { 31 } else { 32 }],
        role: role.to_owned(),
        scope: scope.to_owned(),
        expires_ms,
        created_ms: dice.below(3),
        one_use: role != "agent" || once_in(dice, 2),
        who: if names_person { pick(dice, &["ada", "ada", "bob"]) } else { "" }.to_owned(),
        used_ms: dice.below(2),
        used_for: pick(dice, &["", "person/ada"]).to_owned(),
        made_by: None,
    }
}

/// A token that is good for it, or any.
fn traded(dice: &mut Dice, world: &World, is_good: fn(&Token) -> bool) -> String {
    let mut tokens = security::tokens(&world.oracle.store, world.group);
    tokens.retain(is_good);
    let some = tokens.get(dice.below(tokens.len().max(1) as u64) as usize);
    let good = some.filter(|_| !once_in(dice, 6)).map(|token| token.id.clone());
    good.unwrap_or_else(|| pick(dice, IDS).to_owned())
}

/// Two keys, so that both the same one and another one come again.
fn key_hash(dice: &mut Dice) -> String {
    if once_in(dice, 24) { "no hash".to_owned() } else { pick(dice, &["a", "b"]).repeat(64) }
}

fn node(dice: &mut Dice) -> Node {
    Node {
        id: dice.below(4),
        name: pick(dice, &["two", "three", "four", "two", "three", "No"]).to_owned(),
        key_hash: key_hash(dice),
        down_since_ms: 7,
        ..Default::default()
    }
}

/// Sometimes more than who asks may hand on.
fn role(dice: &mut Dice) -> Role {
    let permissions = ["registry.read", "registry.*", "*", "security.write", "fly"];
    let resources = ["*", "agent/*", "agent/default/a", "*/red/*", "agent"];
    let permission = permissions[dice.below(16).saturating_sub(11) as usize];
    let resource = resources[dice.below(16).saturating_sub(11) as usize];
    let rule =
        Rule { permissions: vec![permission.to_owned()], resources: vec![resource.to_owned()] };
    let name = pick(dice, ROLES).to_owned();
    Role { name, rules: vec![rule; dice.below(3) as usize], ..Default::default() }
}

fn binding(dice: &mut Dice, world: &World) -> Binding {
    let now_ms = world.oracle.head().unix_ms;
    let subjects = ["person/ada", "person/bob", "token/t1", "agent/default/a", "node/one"];
    let subjects = (0..1 + dice.below(2)).map(|_| pick(dice, &subjects).to_owned()).collect();
    Binding {
        name: pick(dice, BINDINGS).to_owned(),
        role: pick(dice, &["reader", "writer", "admin", "viewer", "agent"]).to_owned(),
        subjects,
        namespace: pick(dice, &["", "red", "No"]).to_owned(),
        expires_ms: if once_in(dice, 2) { 0 } else { now_ms + dice.below(60_000) },
        ..Default::default()
    }
}

fn uses(dice: &mut Dice, world: &World) -> NoteUses {
    let today = security::day_of(world.oracle.head().unix_ms);
    let subject = pick(dice, &["person/ada", "person/nobody", "token/t1", "node/one"]).to_owned();
    let permissions = vec![pick(dice, &["registry.read", "tool.call", "fly"]).to_owned()];
    let items = vec![Uses { subject, permissions }; dice.below(4) as usize];
    NoteUses { items, day: today + dice.below(4) as u32 }
}

fn refusals(dice: &mut Dice) -> NoteRefusals {
    let attempt = |bytes| RefusedAttempt {
        code: 22,
        resource: "x".repeat(bytes),
        count: 1,
        ..Default::default()
    };
    let items = match dice.below(8) {
        0 => Vec::new(),
        1 => vec![attempt(1); REFUSALS_NOTED_MAX + 1],
        2 => vec![attempt(REFUSAL_TEXT_BYTES_MAX + 1)],
        _ => vec![attempt(REFUSAL_TEXT_BYTES_MAX); 1 + dice.below(2) as usize],
    };
    NoteRefusals { items, left_out: dice.below(2) as u32 }
}
