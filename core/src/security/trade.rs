//! Trades a one-use token: for membership, or for a person's entry.
//!
//! Entries stand in one order, so of two that race with one token the first wins. Who lost the
//! answer and asks again with the same key gets it again.

use super::model::{ROLE_NODE, person_name};
use super::state::{PEOPLE, body, put_token, tell};
use super::{query, roles};
use crate::cluster;
use crate::house::{Emit, Emitted};
use crate::limits::PEOPLE_MAX;
use crate::refusal::{Code, Refusal, Result, refuse};
use crate::stamp::Stamp;
use crate::store::Store;
use crate::txn::Txn;
use keiko_proto::v1::{Node, PersonEntry, Token, security_event};

/// Makes a node a member; with a token that names one, in the place of the member of that name.
pub(super) fn admit(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    id: &str,
    node: Node,
    emit: Emit<'_>,
) -> Result<Node> {
    let token = find(txn, stamp, id)?;
    if token.role != ROLE_NODE {
        return Err(Refusal::new(
            Code::PermissionDenied,
            format!("cluster.join is not permitted with a token of the role {}", token.role),
        )
        .hint("keikoctl cluster token create --for node"));
    }
    let traded_for = format!("node/{}", node.name);
    if !token.used_for.is_empty() {
        let same = |member: &Node| token.used_for == traded_for && member.key_hash == node.key_hash;
        let member = cluster::member(txn, stamp.group, &node.name).filter(same);
        return member.ok_or_else(|| used(&token));
    }
    roles::check_traded(txn, stamp, &token)?;
    let replaces = match token.scope.as_str() {
        "" => false,
        scope if scope == traded_for => true,
        scope => {
            let message = format!("the token is for {scope}, and not for {traded_for}");
            return Err(Refusal::new(Code::PermissionDenied, message)
                .hint("start the node with the name that the token is for: --node-name"));
        }
    };
    use_up(txn, stamp, token, traded_for, emit);
    match replaces {
        true => cluster::readmit(txn, stamp, node, emit),
        false => cluster::admit(txn, stamp, node, emit),
    }
}

/// Makes somebody known by a key. A name that is known gets the token's role and the new key.
pub(super) fn enroll(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    id: &str,
    key_hash: String,
    emit: Emit<'_>,
) -> Result<PersonEntry> {
    let token = find(txn, stamp, id)?;
    check_enrolls(&token.role, token.one_use)?;
    let name = person_name(&token);
    let traded_for = format!("person/{name}");
    let known = query::person(txn, stamp.group, &name);
    if !token.used_for.is_empty() {
        let same =
            |person: &PersonEntry| token.used_for == traded_for && person.key_hash == key_hash;
        return known.filter(same).ok_or_else(|| used(&token));
    }
    roles::check_traded(txn, stamp, &token)?;
    if known.is_none() && query::people(txn, stamp.group).len() >= PEOPLE_MAX {
        return refuse(Code::LimitExceeded, format!("{PEOPLE_MAX} people have a certificate"));
    }
    let (role, scope) = (token.role.clone(), token.scope.clone());
    let person = PersonEntry { name, role, scope, key_hash, enrolled_ms: stamp.unix_ms };
    use_up(txn, stamp, token, traded_for, emit);
    if known.as_ref() != Some(&person) {
        PEOPLE.put(txn, PEOPLE.key(stamp.group).text(&person.name), &person);
        emit(Emitted {
            kind: "keiko.security.person.enrolled".to_owned(),
            subject: format!("person/{}", person.name),
            body: body(security_event::Event::PersonEnrolled(person.clone())),
        });
    }
    Ok(person)
}

/// Refuses a token of a sort that is not traded for a person's entry.
pub fn check_enrolls(role: &str, one_use: bool) -> Result<()> {
    if role == ROLE_NODE {
        return Err(Refusal::new(
            Code::PermissionDenied,
            "a node's token is good for cluster.join only, not for a person's certificate",
        )
        .hint("keikoctl cluster token create --for viewer --name WHO"));
    }
    if !one_use {
        return Err(Refusal::new(
            Code::InvalidArgument,
            "a bearer token is not traded for a certificate",
        )
        .hint("show it at each call, or make one that is traded: leave --bearer out"));
    }
    Ok(())
}

/// A token that is there and did not expire.
fn find(store: &dyn Store, stamp: &Stamp, id: &str) -> Result<Token> {
    let hint = "make a new one: keikoctl cluster token create";
    let Some(token) = query::token(store, stamp.group, id) else {
        return Err(Refusal::new(Code::TokenInvalid, "the token is unknown or revoked").hint(hint));
    };
    if token.expires_ms <= stamp.unix_ms {
        return Err(Refusal::new(Code::TokenExpired, format!("the token {id} expired"))
            .cause(format!("it ended at {} ms, it is {} ms", token.expires_ms, stamp.unix_ms))
            .hint(hint));
    }
    Ok(token)
}

/// It stays as a mark until it expires.
fn use_up(txn: &mut Txn<'_>, stamp: &Stamp, token: Token, used_for: String, emit: Emit<'_>) {
    let token = Token { used_ms: stamp.unix_ms, used_for, ..token };
    put_token(txn, stamp, &token);
    tell(&token, "used", security_event::Event::TokenUsed, emit);
}

fn used(token: &Token) -> Refusal {
    Refusal::new(Code::TokenUsed, format!("the token {} was traded already", token.id))
        .cause(format!("for {}, with another key, at {} ms", token.used_for, token.used_ms))
        .hint("make a new one: keikoctl cluster token create")
        .hint("if nobody you know used it, revoke what it was traded for")
}
