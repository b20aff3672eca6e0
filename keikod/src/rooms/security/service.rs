//! Parse, authorise, propose or query, answer.

use super::super::control::unexpected;
use super::super::{Caller, Control, clock};
use crate::net::{Authority, Identity, Permission, Resource, new_token, status::to_status};
use keiko_core::id::GroupId;
use keiko_core::limits::TOKEN_TTL_MS_MAX;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::{Kind, ObjectKey};
use keiko_core::security::ROLE_AGENT;
use keiko_core::{house, security};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::security_server::Security;
use keiko_proto::v1::{
    CreateAgentTokenRequest, CreateAgentTokenResponse, CreateToken, ListTokensRequest,
    ListTokensResponse, RevokeToken, RevokeTokenRequest, RevokeTokenResponse, SecurityOp, Token,
    TokenInfo, reply, security_op, security_reply,
};
use std::sync::Arc;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

const TTL_MS_DEFAULT: u64 = 24 * 3600 * 1000;

/// Serves `keiko.v1.Security`.
#[derive(Clone)]
pub struct Service {
    /// Where it reads and proposes.
    pub control: Control,
    /// Its hash is part of every token's text.
    pub authority: watch::Receiver<Option<Arc<Authority>>>,
}

#[tonic::async_trait]
impl Security for Service {
    async fn create_agent_token(
        &self,
        request: Request<CreateAgentTokenRequest>,
    ) -> Result<Response<CreateAgentTokenResponse>, Status> {
        self.create(request).await.map(Response::new).map_err(|refusal| to_status(&refusal))
    }

    async fn list_tokens(
        &self,
        request: Request<ListTokensRequest>,
    ) -> Result<Response<ListTokensResponse>, Status> {
        self.list(request).await.map(Response::new).map_err(|refusal| to_status(&refusal))
    }

    async fn revoke_token(
        &self,
        request: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenResponse>, Status> {
        self.revoke(request).await.map(Response::new).map_err(|refusal| to_status(&refusal))
    }
}

impl Service {
    async fn create(
        &self,
        request: Request<CreateAgentTokenRequest>,
    ) -> Result<CreateAgentTokenResponse> {
        Identity::of(&request)?.require(Permission::SecurityWrite, &Resource::All("token"))?;
        let caller = Caller::of(&request, &request.get_ref().request_id)?;
        let asked = request.into_inner();
        let key = ObjectKey::parse(Kind::Agent, &asked.namespace, &asked.name)?;
        // A token may come before its agent, which then registers itself with it.
        let scope = key.subject();
        let now_ms = self.now_ms().await?;
        let ttl_ms = match asked.ttl_ms {
            0 => TTL_MS_DEFAULT,
            ttl_ms if ttl_ms <= TOKEN_TTL_MS_MAX => ttl_ms,
            _ => {
                return Err(Refusal::new(Code::LimitExceeded, "a token lives at most 90 days")
                    .hint("take a shorter --ttl and make a new token before it ends"));
            }
        };
        let ca_hash = self.authority.borrow().as_ref().map(|ca| ca.ca_hash().to_owned());
        let ca_hash = ca_hash.ok_or_else(|| {
            Refusal::new(Code::NotReady, "this node has not opened the cluster's authority yet")
        })?;
        let new = new_token(&ca_hash)?;
        let token = Token {
            id: new.id.clone(),
            hash_algorithm: "blake3".to_owned(),
            hash: new.hash.to_vec(),
            role: ROLE_AGENT.to_owned(),
            scope,
            expires_ms: now_ms.saturating_add(ttl_ms),
            created_ms: 0,
        };
        let op = security_op::Op::CreateToken(CreateToken { token: Some(token) });
        let room = Room::Security(SecurityOp { op: Some(op) });
        let (result, write) = self.control.write(caller, room).await?;
        let stored = token_of(result)?;
        if stored.id != new.id {
            return Err(Refusal::new(
                Code::RevisionConflict,
                format!("this request already made token {}, whose text was shown then", stored.id),
            )
            .hint(format!("revoke it and ask again: DELETE /v1/tokens/{}", stored.id)));
        }
        Ok(CreateAgentTokenResponse {
            id: new.id,
            token: new.text.to_string(),
            scope: stored.scope,
            expires_ms: stored.expires_ms,
            write: Some(write),
        })
    }

    /// The later of this node's clock and the stamp clock, so that no token is born expired.
    async fn now_ms(&self) -> Result<u64> {
        let query = |view: &crate::store::View<'_>| house::last_stamp_ms(view, GroupId::CONTROL);
        let stamp_ms = self.control.read_local(query).await?;
        Ok(stamp_ms.max(clock::unix_ms()))
    }

    async fn list(&self, request: Request<ListTokensRequest>) -> Result<ListTokensResponse> {
        Identity::of(&request)?.require(Permission::SecurityWrite, &Resource::All("token"))?;
        let consistency = request.get_ref().consistency;
        let query = |view: &crate::store::View<'_>| security::tokens(view, GroupId::CONTROL);
        let read = self.control.read(consistency, query).await?;
        let info = |token: Token| TokenInfo {
            id: token.id,
            role: token.role,
            scope: token.scope,
            expires_ms: token.expires_ms,
            created_ms: token.created_ms,
        };
        let items = read.value.into_iter().map(info).collect();
        Ok(ListTokensResponse { items, revision: read.revision })
    }

    async fn revoke(&self, request: Request<RevokeTokenRequest>) -> Result<RevokeTokenResponse> {
        Identity::of(&request)?.require(Permission::SecurityWrite, &Resource::All("token"))?;
        let caller = Caller::of(&request, &request.get_ref().request_id)?;
        let op = security_op::Op::RevokeToken(RevokeToken { id: request.into_inner().id });
        let room = Room::Security(SecurityOp { op: Some(op) });
        let (_, write) = self.control.write(caller, room).await?;
        Ok(RevokeTokenResponse { write: Some(write) })
    }
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
