//! Parse, authorise, propose or query, answer. What makes and trades tokens is longer, and stands in
//! files of its own.

use super::super::{Caller, Control};
use super::{create, trade};
use crate::net::{Authority, Identity, Permission, Resource, status::to_status};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::security;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::security_server::Security;
use keiko_proto::v1::{
    AdmitNodeRequest, AdmitNodeResponse, CreateAgentTokenRequest, CreateAgentTokenResponse,
    CreateTokenRequest, CreateTokenResponse, EnrollRequest, EnrollResponse, ListTokensRequest,
    ListTokensResponse, RevokeToken, RevokeTokenRequest, RevokeTokenResponse, SecurityOp, Token,
    TokenInfo, WhoAmIRequest, WhoAmIResponse, security_op,
};
use std::sync::Arc;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

/// Serves `keiko.v1.Security`.
#[derive(Clone)]
pub struct Service {
    /// Where it reads and proposes.
    pub control: Control,
    /// Who signs, and whose hash is part of every token's text; none on a learner.
    pub authority: watch::Receiver<Option<Arc<Authority>>>,
}

#[tonic::async_trait]
impl Security for Service {
    async fn create_token(
        &self,
        request: Request<CreateTokenRequest>,
    ) -> Result<Response<CreateTokenResponse>, Status> {
        answer(create::any(self, request).await)
    }

    async fn create_agent_token(
        &self,
        request: Request<CreateAgentTokenRequest>,
    ) -> Result<Response<CreateAgentTokenResponse>, Status> {
        answer(create::of_agent(self, request).await)
    }

    async fn admit_node(
        &self,
        request: Request<AdmitNodeRequest>,
    ) -> Result<Response<AdmitNodeResponse>, Status> {
        answer(trade::admit(self, request).await)
    }

    async fn enroll(
        &self,
        request: Request<EnrollRequest>,
    ) -> Result<Response<EnrollResponse>, Status> {
        answer(trade::enroll(self, request).await)
    }

    async fn who_am_i(
        &self,
        request: Request<WhoAmIRequest>,
    ) -> Result<Response<WhoAmIResponse>, Status> {
        answer(Identity::of(&request).map(who))
    }

    async fn list_tokens(
        &self,
        request: Request<ListTokensRequest>,
    ) -> Result<Response<ListTokensResponse>, Status> {
        answer(self.list(request).await)
    }

    async fn revoke_token(
        &self,
        request: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenResponse>, Status> {
        answer(self.revoke(request).await)
    }
}

fn answer<T>(result: Result<T>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|refusal| to_status(&refusal))
}

fn who(caller: &Identity) -> WhoAmIResponse {
    let permissions = caller.permissions().into_iter();
    WhoAmIResponse {
        actor: Some(caller.actor()),
        role: caller.role().to_owned(),
        scope: caller.scope().to_owned(),
        permissions: permissions.map(|permission| permission.name().to_owned()).collect(),
        expires_ms: caller.expires_ms(),
    }
}

impl Service {
    /// The authority that signs.
    pub(super) fn signing(&self) -> Result<Arc<Authority>> {
        self.authority.borrow().clone().ok_or_else(|| {
            Refusal::new(Code::NotReady, "this node can't sign: it holds no authority yet")
                .cause("a node has it once it votes")
                .hint("ask another member: keikoctl node list")
        })
    }

    async fn list(&self, request: Request<ListTokensRequest>) -> Result<ListTokensResponse> {
        Identity::of(&request)?.require(Permission::SecurityWrite, &Resource::All("token"))?;
        let consistency = request.get_ref().consistency;
        let query = |view: &crate::store::View<'_>| security::tokens(view, GroupId::CONTROL);
        let read = self.control.read(consistency, query).await?;
        let info = |token: Token| TokenInfo {
            name: if token.one_use { security::person_name(&token) } else { token.who },
            id: token.id,
            role: token.role,
            scope: token.scope,
            expires_ms: token.expires_ms,
            created_ms: token.created_ms,
            one_use: token.one_use,
            used_ms: token.used_ms,
            used_for: token.used_for,
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
