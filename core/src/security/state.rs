//! What the ops do to the room's tables.

use super::model::Op;
use super::{query, reopen, roles, rotation, trade, uses, wire};
use crate::house::{Emit, Emitted};
use crate::limits::{PRUNE_TOKENS_MAX, TOKENS_MAX};
use crate::refusal::{Code, Refusal, Result, refuse};
use crate::stamp::Stamp;
use crate::table::{RoomByte, Table};
use crate::txn::Txn;
use keiko_proto::v1::{
    Authority, AuthorityStored, NoteRefusals, NoteRefusalsReply, NoteUsesReply, PersonEntry,
    PruneTokensReply, SecurityEvent, SecurityOp, SecurityReply, StoreAuthorityReply, Token,
    TokenChanged, event::Body, security_event, security_reply,
};
use std::collections::BTreeSet;

pub(super) const AUTHORITY: Table<Authority> = Table::new(RoomByte::Security, 1, 1);
pub(super) const TOKENS: Table<Token> = Table::new(RoomByte::Security, 2, 1);
pub(super) const PEOPLE: Table<PersonEntry> = Table::new(RoomByte::Security, 3, 1);

/// Applies one op.
pub fn apply(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    op: SecurityOp,
    emit: Emit<'_>,
) -> Result<SecurityReply> {
    let reply = match wire::parse(op, stamp.unix_ms)? {
        Op::StoreAuthority(authority) => {
            store_authority(txn, stamp, &authority, emit)?;
            security_reply::Reply::StoreAuthority(StoreAuthorityReply {})
        }
        Op::CreateToken(token) => {
            security_reply::Reply::Token(create_token(txn, stamp, token, emit)?)
        }
        Op::RevokeToken(id) => security_reply::Reply::Token(revoke_token(txn, stamp, &id, emit)?),
        Op::PruneTokens => {
            let removed = prune_tokens(txn, stamp, emit);
            security_reply::Reply::PruneTokens(PruneTokensReply { removed })
        }
        Op::AdmitNode { token, node } => {
            security_reply::Reply::Node(trade::admit(txn, stamp, &token, node, emit)?)
        }
        Op::EnrollPerson { token, key_hash } => {
            security_reply::Reply::Person(trade::enroll(txn, stamp, &token, key_hash, emit)?)
        }
        Op::NoteRefusals(refusals) => {
            note_refusals(refusals, emit);
            security_reply::Reply::NoteRefusals(NoteRefusalsReply {})
        }
        Op::SetRole(role) => security_reply::Reply::Role(roles::set_role(txn, stamp, role, emit)?),
        Op::DeleteRole(name) => {
            security_reply::Reply::Role(roles::delete_role(txn, stamp, &name, emit)?)
        }
        Op::SetBinding(binding) => {
            security_reply::Reply::Binding(roles::set_binding(txn, stamp, binding, emit)?)
        }
        Op::DeleteBinding(name) => {
            security_reply::Reply::Binding(roles::delete_binding(txn, stamp, &name, emit)?)
        }
        Op::RemovePerson(name) => {
            security_reply::Reply::Person(roles::remove_person(txn, stamp, &name, emit)?)
        }
        Op::NoteUses(note) => {
            uses::note(txn, stamp, note, emit);
            security_reply::Reply::NoteUses(NoteUsesReply {})
        }
        Op::Turn(turn) => rotation::apply(txn, stamp, turn, emit)?,
        Op::Reopen { asked, forget } => {
            security_reply::Reply::Node(reopen::apply(txn, stamp, *asked, forget, emit)?)
        }
    };
    Ok(SecurityReply { reply: Some(reply) })
}

fn store_authority(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    authority: &Authority,
    emit: Emit<'_>,
) -> Result<()> {
    if query::authority(txn, stamp.group).is_some() {
        return refuse(Code::AlreadyFounded, "this cluster already has its authority");
    }
    AUTHORITY.put(txn, AUTHORITY.key(stamp.group), authority);
    let key_id = authority.key.as_ref().map(|key| key.key_id.clone()).unwrap_or_default();
    emit(Emitted {
        kind: "keiko.security.authority.stored".to_owned(),
        subject: "authority".to_owned(),
        body: body(security_event::Event::AuthorityStored(AuthorityStored { key_id })),
    });
    Ok(())
}

fn create_token(txn: &mut Txn<'_>, stamp: &Stamp, token: Token, emit: Emit<'_>) -> Result<Token> {
    if query::token(txn, stamp.group, &token.id).is_some() {
        return refuse(Code::NameTaken, format!("a token {} exists", token.id));
    }
    if query::tokens(txn, stamp.group).len() >= TOKENS_MAX {
        return Err(Refusal::new(Code::LimitExceeded, format!("there are {TOKENS_MAX} tokens"))
            .hint("tokens that expired are removed by themselves; take a shorter --ttl"));
    }
    roles::check_token(txn, stamp, &token)?;
    let made_by = Some(stamp.actor.clone());
    let token = Token { created_ms: stamp.unix_ms, made_by, ..token };
    put_token(txn, stamp, &token);
    tell(&token, "created", security_event::Event::TokenCreated, emit);
    Ok(token)
}

fn revoke_token(txn: &mut Txn<'_>, stamp: &Stamp, id: &str, emit: Emit<'_>) -> Result<Token> {
    let Some(token) = query::token(txn, stamp.group, id) else {
        return refuse(Code::NotFound, format!("no token {id:?}"));
    };
    TOKENS.delete(txn, TOKENS.key(stamp.group).text(id));
    tell(&token, "revoked", security_event::Event::TokenRevoked, emit);
    forget_uses(txn, stamp, std::slice::from_ref(&token), emit);
    Ok(token)
}

fn prune_tokens(txn: &mut Txn<'_>, stamp: &Stamp, emit: Emit<'_>) -> u32 {
    let mut expired = query::tokens(txn, stamp.group);
    expired.retain(|token| token.expires_ms <= stamp.unix_ms);
    expired.truncate(PRUNE_TOKENS_MAX);
    for token in &expired {
        TOKENS.delete(txn, TOKENS.key(stamp.group).text(&token.id));
        tell(token, "expired", security_event::Event::TokenExpired, emit);
    }
    forget_uses(txn, stamp, &expired, emit);
    u32::try_from(expired.len()).unwrap_or(u32::MAX)
}

/// Nothing is kept of tokens that are gone, and no binding names them.
fn forget_uses(txn: &mut Txn<'_>, stamp: &Stamp, gone: &[Token], emit: Emit<'_>) {
    let gone: BTreeSet<String> = gone.iter().map(|token| format!("token/{}", token.id)).collect();
    for subject in &gone {
        uses::forget(txn, stamp, subject);
    }
    if !gone.is_empty() {
        roles::forget_subjects(txn, stamp, &gone, emit);
    }
}

/// Kept in the journal alone.
fn note_refusals(refusals: NoteRefusals, emit: Emit<'_>) {
    emit(Emitted {
        kind: "keiko.security.refused".to_owned(),
        subject: "refusals".to_owned(),
        body: body(security_event::Event::Refused(refusals)),
    });
}

pub(super) fn put_token(txn: &mut Txn<'_>, stamp: &Stamp, token: &Token) {
    TOKENS.put(txn, TOKENS.key(stamp.group).text(&token.id), token);
}

pub(super) fn tell(
    token: &Token,
    verb: &str,
    event: fn(TokenChanged) -> security_event::Event,
    emit: Emit<'_>,
) {
    let Token { id, role, scope, .. } = token.clone();
    emit(Emitted {
        kind: format!("keiko.security.token.{verb}"),
        subject: format!("token/{id}"),
        body: body(event(TokenChanged { id, role, scope })),
    });
}

pub(super) fn body(event: security_event::Event) -> Body {
    Body::Security(SecurityEvent { event: Some(event) })
}
