//! From the log's words to the room's own.

use super::model::{Op, ROLE_AGENT};
use crate::id::Name;
use crate::limits::TOKEN_TTL_MS_MAX;
use crate::refusal::{Code, Refusal, Result, refuse};
use keiko_proto::v1::{SecurityOp, Token, security_op};

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
        None => Err(Refusal::new(Code::MalformedEntry, "the security entry names no op")),
    }
}

fn parse_token(token: Token, unix_ms: u64) -> Result<Token> {
    if token.id.is_empty() || token.id.len() > TOKEN_ID_CHARS_MAX {
        return refuse(Code::InvalidArgument, "a token's id has 1 to 32 characters");
    }
    if token.hash_algorithm != "blake3" || token.hash.len() != blake3::OUT_LEN {
        return refuse(Code::InvalidArgument, "a token is kept as its BLAKE3 hash");
    }
    if token.role != ROLE_AGENT {
        return refuse(Code::InvalidArgument, format!("no token has the role {:?}", token.role));
    }
    let scope: Vec<_> = token.scope.split('/').collect();
    let ["agent", namespace, name] = scope[..] else {
        return refuse(
            Code::InvalidArgument,
            "an agent's token has the scope agent/NAMESPACE/NAME",
        );
    };
    Name::parse("namespace", namespace)?;
    Name::parse("agent name", name)?;
    if token.expires_ms > unix_ms.saturating_add(TOKEN_TTL_MS_MAX) {
        return Err(Refusal::new(Code::LimitExceeded, "a token lives at most 90 days")
            .hint("take a shorter --ttl and make a new token before it ends"));
    }
    Ok(token)
}
