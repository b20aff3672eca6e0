//! From the log's words to the room's own.

use super::model::{Op, ROLE_ADMIN, ROLE_AGENT, ROLE_GUEST, ROLE_NODE, ROLE_OPERATOR, ROLE_VIEWER};
use super::rotation::Turn;
use super::{declared, uses};
use crate::cluster::{Reopening, check_cluster_id, check_key_hash, check_node};
use crate::id::Name;
use crate::limits::{
    REFUSAL_TEXT_BYTES_MAX, REFUSALS_NOTED_MAX, REOPEN_REASON_BYTES_MAX, TOKEN_TTL_MS_MAX,
};
use crate::refusal::{Code, Refusal, Result, refuse};
use keiko_proto::v1::{
    AdvanceAuthority, NoteRefusals, RefusedAttempt, Reopen, SecurityOp, Token, actor::Who,
    security_op,
};

const TOKEN_ID_CHARS_MAX: usize = 32;

pub(super) fn parse(op: SecurityOp, unix_ms: u64) -> Result<Op> {
    match op.op {
        Some(security_op::Op::StoreAuthority(store)) => {
            let authority = store.authority.unwrap_or_default();
            let sealed = authority.key.as_ref().is_some_and(|key| !key.ciphertext.is_empty());
            if authority.certificate.is_empty() || !sealed {
                return refuse(
                    Code::InvalidArgument,
                    "an authority has a certificate and a sealed key",
                );
            }
            Ok(Op::StoreAuthority(authority))
        }
        Some(security_op::Op::CreateToken(create)) => {
            Ok(Op::CreateToken(parse_token(create.token.unwrap_or_default(), unix_ms)?))
        }
        Some(security_op::Op::RevokeToken(revoke)) => Ok(Op::RevokeToken(revoke.id)),
        Some(security_op::Op::PruneTokens(_)) => Ok(Op::PruneTokens),
        Some(security_op::Op::AdmitNode(admit)) => {
            let node = admit.node.unwrap_or_default();
            check_node(&node)?;
            check_key_hash(&node.key_hash)?;
            Ok(Op::AdmitNode { token: admit.token_id, node })
        }
        Some(security_op::Op::EnrollPerson(enroll)) => {
            check_key_hash(&enroll.key_hash)?;
            Ok(Op::EnrollPerson { token: enroll.token_id, key_hash: enroll.key_hash })
        }
        Some(security_op::Op::NoteRefusals(note)) => {
            check_refusals(&note)?;
            Ok(Op::NoteRefusals(note))
        }
        Some(security_op::Op::SetRole(set)) => {
            Ok(Op::SetRole(declared::role(set.role.unwrap_or_default())?))
        }
        Some(security_op::Op::DeleteRole(delete)) => {
            declared::check_role_name(&delete.name)?;
            Ok(Op::DeleteRole(delete.name))
        }
        Some(security_op::Op::SetBinding(set)) => {
            let binding = declared::binding(set.binding.unwrap_or_default(), unix_ms)?;
            Ok(Op::SetBinding(binding))
        }
        Some(security_op::Op::DeleteBinding(delete)) => Ok(Op::DeleteBinding(delete.name)),
        Some(security_op::Op::RemovePerson(remove)) => Ok(Op::RemovePerson(remove.name)),
        Some(security_op::Op::NoteUses(note)) => {
            uses::check(&note, unix_ms)?;
            Ok(Op::NoteUses(note))
        }
        Some(security_op::Op::RotateAuthority(asked)) => Ok(Op::Turn(Turn::asked(asked)?)),
        Some(security_op::Op::StoreNext(store)) => Ok(Op::Turn(Turn::next(store)?)),
        Some(security_op::Op::AdvanceAuthority(AdvanceAuthority { step, hash })) => {
            Ok(Op::Turn(Turn::Advance { step, hash }))
        }
        Some(security_op::Op::DropAuthority(drop)) => Ok(Op::Turn(Turn::Drop(drop.hash))),
        Some(security_op::Op::FinishRotation(_)) => Ok(Op::Turn(Turn::Finish)),
        Some(security_op::Op::ExpelNode(expel)) => Ok(Op::Turn(Turn::expelled(expel)?)),
        Some(security_op::Op::Reopen(reopen)) => parse_reopen(reopen),
        None => Err(Refusal::new(Code::MalformedEntry, "the security entry names no op")),
    }
}

fn parse_reopen(reopen: Reopen) -> Result<Op> {
    let Reopen { from_cluster_id, cluster_id, node, forget_authority, reason } = reopen;
    check_cluster_id(&cluster_id)?;
    let node = node.unwrap_or_default();
    check_node(&node)?;
    if node.id == 0 {
        return refuse(Code::InvalidArgument, "a node's id is never 0");
    }
    if reason.len() > REOPEN_REASON_BYTES_MAX || reason.contains(char::is_control) {
        return refuse(
            Code::LimitExceeded,
            format!("a reason is a line of at most {REOPEN_REASON_BYTES_MAX} bytes"),
        );
    }
    if cluster_id != from_cluster_id && !forget_authority {
        // Its certificate says of which cluster it is.
        return refuse(Code::InvalidArgument, "another cluster has another authority");
    }
    let asked = Box::new(Reopening { from: from_cluster_id, cluster_id, node, reason });
    Ok(Op::Reopen { asked, forget: forget_authority })
}

fn parse_token(token: Token, unix_ms: u64) -> Result<Token> {
    if token.id.is_empty() || token.id.len() > TOKEN_ID_CHARS_MAX {
        return refuse(Code::InvalidArgument, "a token's id has 1 to 32 characters");
    }
    if token.hash_algorithm != "blake3" || token.hash.len() != blake3::OUT_LEN {
        return refuse(Code::InvalidArgument, "a token is kept as its BLAKE3 hash");
    }
    check_role(&token)?;
    if token.expires_ms > unix_ms.saturating_add(TOKEN_TTL_MS_MAX) {
        return Err(Refusal::new(Code::LimitExceeded, "a token lives at most 90 days")
            .hint("take a shorter --ttl and make a new token before it ends"));
    }
    // Nobody makes one that was traded before, or on somebody else's account.
    Ok(Token { used_ms: 0, used_for: String::new(), made_by: None, ..token })
}

/// What a token of a role is for, whom it names, and whether it is traded.
fn check_role(token: &Token) -> Result<()> {
    let Token { role, scope, who, one_use, .. } = token;
    let (names_person, may_be_bearer) = match role.as_str() {
        ROLE_NODE => (false, false),
        ROLE_ADMIN | ROLE_OPERATOR => (true, false),
        ROLE_VIEWER | ROLE_GUEST => (true, true),
        ROLE_AGENT => (false, true),
        role => {
            return Err(Refusal::new(
                Code::InvalidArgument,
                format!("no token has the role {role:?}"),
            )
            .hint("one of node, admin, operator, viewer, guest, agent"));
        }
    };
    if !one_use && !may_be_bearer {
        return Err(Refusal::new(
            Code::InvalidArgument,
            format!("no bearer token has the role {role}"),
        )
        .hint("leave --bearer out: the token is traded once for a certificate")
        .hint("only a viewer's, a guest's and an agent's token can be shown at each call"));
    }
    match names_person {
        true => drop(Name::parse("person's name", who)?),
        false if !who.is_empty() => {
            return refuse(
                Code::InvalidArgument,
                format!("a token of the role {role} names nobody"),
            );
        }
        false => {}
    }
    if role == ROLE_AGENT {
        return check_scope(scope);
    }
    if scope.is_empty() {
        return Ok(());
    }
    if let (ROLE_NODE, Some(name)) = (role.as_str(), scope.strip_prefix("node/")) {
        return Name::parse("node name", name).map(drop);
    }
    refuse(Code::InvalidArgument, format!("a token of the role {role} has no scope"))
}

fn check_scope(scope: &str) -> Result<()> {
    let parts: Vec<_> = scope.split('/').collect();
    let ["agent", namespace, name] = parts[..] else {
        return refuse(
            Code::InvalidArgument,
            "an agent's token has the scope agent/NAMESPACE/NAME",
        );
    };
    Name::parse("namespace", namespace)?;
    Name::parse("agent name", name)?;
    Ok(())
}

/// A node cuts what it tells; what is longer is not from one.
fn check_refusals(note: &NoteRefusals) -> Result<()> {
    if note.items.is_empty() {
        return refuse(Code::InvalidArgument, "no refused attempt is told");
    }
    if note.items.len() > REFUSALS_NOTED_MAX {
        return refuse(
            Code::LimitExceeded,
            format!("{} refused attempts, at most {REFUSALS_NOTED_MAX}", note.items.len()),
        );
    }
    for attempt in &note.items {
        let RefusedAttempt { code: _, actor, permission, resource, peer, count: _ } = attempt;
        let who = match actor.as_ref().and_then(|actor| actor.who.as_ref()) {
            Some(Who::Socket(peer)) => peer.node.as_str(),
            Some(Who::Token(bearer)) => bearer.id.as_str(),
            Some(Who::Node(node)) => node.as_str(),
            Some(Who::Person(person)) => person.name.as_str(),
            None => "",
        };
        let texts = [who, permission.as_str(), resource.as_str(), peer.as_str()];
        if texts.iter().any(|text| text.len() > REFUSAL_TEXT_BYTES_MAX) {
            return refuse(
                Code::LimitExceeded,
                format!("a text of a refused attempt has over {REFUSAL_TEXT_BYTES_MAX} bytes"),
            );
        }
    }
    Ok(())
}
