//! Makes tokens: for whom, traded or shown at each call, and for how long.

use super::super::control::unexpected;
use super::super::{Caller, clock};
use super::service::Service;
use crate::net::token::HASH_ALGORITHM;
use crate::net::{Identity, NewToken, Permission, Resource, ca_hash_of_pem, new_token};
use keiko_core::house;
use keiko_core::id::{GroupId, Name};
use keiko_core::limits::TOKEN_TTL_MS_MAX;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::{Kind, ObjectKey};
use keiko_core::security::{
    self, ROLE_ADMIN, ROLE_AGENT, ROLE_GUEST, ROLE_NODE, ROLE_OPERATOR, ROLE_VIEWER, person_name,
};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    CreateAgentTokenRequest, CreateAgentTokenResponse, CreateToken, CreateTokenRequest,
    CreateTokenResponse, SecurityOp, Token, WriteInfo, reply, security_op, security_reply,
};
use tonic::Request;

/// Of a token that is shown at each call.
const BEARER_TTL_MS: u64 = 24 * 3600 * 1000;
/// Of one that is traded: long enough to carry it to where it is used.
const ONE_USE_TTL_MS: u64 = 3600 * 1000;

pub(super) async fn any(
    service: &Service,
    request: Request<CreateTokenRequest>,
) -> Result<CreateTokenResponse> {
    let identity = Identity::of(&request)?.clone();
    identity.require(Permission::SecurityWrite, &Resource::All("token"))?;
    let caller = Caller::of(&request, &request.get_ref().request_id)?;
    let CreateTokenRequest { r#for: whom, name, ttl_ms, bearer, request_id: _ } =
        request.into_inner();
    let (role, scope) = parse_for(&whom)?;
    let who = parse_name(role, name, bearer)?;
    let token = Token { role: role.to_owned(), scope, who, one_use: !bearer, ..Token::default() };
    let made = make(service, caller, token, ttl_ms).await;
    let (new, stored, write) = made.inspect_err(|refusal| identity.note(refusal))?;
    let name = if stored.one_use { person_name(&stored) } else { stored.who };
    Ok(CreateTokenResponse {
        id: new.id,
        token: new.text.to_string(),
        role: stored.role,
        scope: stored.scope,
        name,
        expires_ms: stored.expires_ms,
        one_use: stored.one_use,
        write: Some(write),
    })
}

pub(super) async fn of_agent(
    service: &Service,
    request: Request<CreateAgentTokenRequest>,
) -> Result<CreateAgentTokenResponse> {
    let identity = Identity::of(&request)?.clone();
    identity.require(Permission::SecurityWrite, &Resource::All("token"))?;
    let caller = Caller::of(&request, &request.get_ref().request_id)?;
    let asked = request.into_inner();
    // A token may come before its agent, which then registers itself with it.
    let scope = ObjectKey::parse(Kind::Agent, &asked.namespace, &asked.name)?.subject();
    let token = Token { role: ROLE_AGENT.to_owned(), scope, ..Token::default() };
    let made = make(service, caller, token, asked.ttl_ms).await;
    let (new, stored, write) = made.inspect_err(|refusal| identity.note(refusal))?;
    Ok(CreateAgentTokenResponse {
        id: new.id,
        token: new.text.to_string(),
        scope: stored.scope,
        expires_ms: stored.expires_ms,
        write: Some(write),
    })
}

/// The role, and of an agent what it may touch.
fn parse_for(whom: &str) -> Result<(&'static str, String)> {
    let roles = [ROLE_NODE, ROLE_ADMIN, ROLE_OPERATOR, ROLE_VIEWER, ROLE_GUEST];
    if let Some(role) = roles.into_iter().find(|role| *role == whom) {
        return Ok((role, String::new()));
    }
    let parts: Vec<&str> = whom.split('/').collect();
    let (namespace, name) = match parts[..] {
        // In the place of the member of that name.
        ["node", name] => {
            let name = Name::parse("node name", name)?;
            return Ok((ROLE_NODE, format!("node/{name}")));
        }
        ["agent", name] => ("", name),
        ["agent", namespace, name] => (namespace, name),
        _ => {
            return Err(Refusal::new(
                Code::InvalidArgument,
                format!("there is no token for {whom:?}"),
            )
            .hint(
                "one of node, admin, operator, viewer, guest, agent/NAME, agent/NAMESPACE/NAME",
            ));
        }
    };
    Ok((ROLE_AGENT, ObjectKey::parse(Kind::Agent, namespace, name)?.subject()))
}

/// Who will be known by the certificate. Nodes and agents have names of their own.
fn parse_name(role: &str, name: String, bearer: bool) -> Result<String> {
    match (role, name.is_empty()) {
        // Nobody is known by a token that is shown: events name it by its id.
        (ROLE_VIEWER | ROLE_GUEST, true) if bearer => Ok(role.to_owned()),
        (ROLE_NODE | ROLE_AGENT, true) => Ok(name),
        (ROLE_NODE | ROLE_AGENT, false) => Err(Refusal::new(
            Code::InvalidArgument,
            format!("a token for {role} names nobody else"),
        )
        .cause("a node has its own name, and an agent that of its entry")
        .hint("leave --name out")),
        (_, true) => Err(Refusal::new(
            Code::InvalidArgument,
            format!("a token for {role} says for whom it is"),
        )
        .cause("events name who did it")
        .hint(format!("keikoctl cluster token create --for {role} --name WHO"))),
        (_, false) => {
            Name::parse("person's name", &name)?;
            Ok(name)
        }
    }
}

async fn make(
    service: &Service,
    caller: Caller,
    token: Token,
    ttl_ms: u64,
) -> Result<(NewToken, Token, WriteInfo)> {
    let ttl_ms = match ttl_ms {
        0 if token.one_use => ONE_USE_TTL_MS,
        0 => BEARER_TTL_MS,
        ttl_ms if ttl_ms <= TOKEN_TTL_MS_MAX => ttl_ms,
        _ => {
            return Err(Refusal::new(Code::LimitExceeded, "a token lives at most 90 days")
                .hint("take a shorter --ttl and make a new token before it ends"));
        }
    };
    let now_ms = now_ms(service).await?;
    let new = new_token(&ca_hash(service).await?)?;
    let token = Token {
        id: new.id.clone(),
        hash_algorithm: HASH_ALGORITHM.to_owned(),
        hash: new.hash.to_vec(),
        expires_ms: now_ms.saturating_add(ttl_ms),
        ..token
    };
    let op = security_op::Op::CreateToken(CreateToken { token: Some(token) });
    let room = Room::Security(SecurityOp { op: Some(op) });
    let (result, write) = service.control.write(caller, room).await?;
    let stored = token_of(result)?;
    if stored.id != new.id {
        return Err(Refusal::new(
            Code::RevisionConflict,
            format!("this request already made token {}, whose text was shown then", stored.id),
        )
        .hint(format!("revoke it and ask again: DELETE /v1/tokens/{}", stored.id)));
    }
    Ok((new, stored, write))
}

/// The later of this node's clock and the stamp clock, so that no token is born expired.
async fn now_ms(service: &Service) -> Result<u64> {
    let query = |view: &crate::store::View<'_>| house::last_stamp_ms(view, GroupId::CONTROL);
    let stamp_ms = service.control.read_local(query).await?;
    Ok(stamp_ms.max(clock::unix_ms()))
}

/// Of the CA that the token is of: every node knows it, also one that can't sign.
async fn ca_hash(service: &Service) -> Result<String> {
    if let Some(authority) = service.authority.borrow().as_ref() {
        return Ok(authority.ca_hash().to_owned());
    }
    let query = |view: &crate::store::View<'_>| security::authority(view, GroupId::CONTROL);
    let stored = service.control.read_local(query).await?;
    stored.and_then(|stored| ca_hash_of_pem(&stored.certificate)).ok_or_else(|| {
        Refusal::new(Code::NotReady, "this node does not know the cluster's authority yet")
    })
}

fn token_of(result: reply::Result) -> Result<Token> {
    match result {
        reply::Result::Security(reply) => match reply.reply {
            Some(security_reply::Reply::Token(token)) => Ok(token),
            _ => Err(unexpected()),
        },
        _ => Err(unexpected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_whom() {
        for (whom, expect) in [
            ("node", Some((ROLE_NODE, ""))),
            ("admin", Some((ROLE_ADMIN, ""))),
            ("operator", Some((ROLE_OPERATOR, ""))),
            ("viewer", Some((ROLE_VIEWER, ""))),
            ("guest", Some((ROLE_GUEST, ""))),
            ("agent/hello", Some((ROLE_AGENT, "agent/default/hello"))),
            ("agent/team-a/hello", Some((ROLE_AGENT, "agent/team-a/hello"))),
            ("", None),
            ("agent", None),
            ("agent/", None),
            ("agent/a/b/c", None),
            ("agent/A", None),
            ("node/n3", Some((ROLE_NODE, "node/n3"))),
            ("node/", None),
            ("node/N3", None),
            ("node/a/b", None),
            ("root", None),
            ("tool/x", None),
        ] {
            let got = parse_for(whom).ok();
            let got = got.as_ref().map(|(role, scope)| (*role, scope.as_str()));
            assert_eq!(got, expect, "{whom:?}");
        }
    }

    #[test]
    fn who_is_named() {
        for (role, name, bearer, expect) in [
            (ROLE_NODE, "", false, true),
            (ROLE_NODE, "n4", false, false),
            (ROLE_AGENT, "", false, true),
            (ROLE_AGENT, "", true, true),
            (ROLE_AGENT, "ann", false, false),
            (ROLE_ADMIN, "ann", false, true),
            (ROLE_ADMIN, "", false, false),
            (ROLE_ADMIN, "", true, false),
            (ROLE_VIEWER, "", false, false),
            (ROLE_VIEWER, "", true, true),
            (ROLE_VIEWER, "a.b", false, false),
            (ROLE_OPERATOR, "Ann", false, false),
        ] {
            let got = parse_name(role, name.to_owned(), bearer).is_ok();
            assert_eq!(got, expect, "{role} {name:?} {bearer}");
        }
    }
}
