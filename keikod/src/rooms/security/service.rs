//! Parse, authorise, propose or query, answer. What makes and trades tokens is longer, and stands in
//! files of its own.

use super::super::{Caller, Control};
use super::{create, declare, grants, people, trade};
use crate::net::{Authority, Identity, Permission, Resource, status::to_status};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::security;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::security_server::Security;
use keiko_proto::v1::{
    AdmitNodeRequest, AdmitNodeResponse, CanIRequest, CanIResponse, CreateAgentTokenRequest,
    CreateAgentTokenResponse, CreateTokenRequest, CreateTokenResponse, DeleteBindingRequest,
    DeleteBindingResponse, DeleteRoleRequest, DeleteRoleResponse, EnrollRequest, EnrollResponse,
    GetBindingRequest, GetBindingResponse, GetRoleRequest, GetRoleResponse, ListBindingsRequest,
    ListBindingsResponse, ListPeopleRequest, ListPeopleResponse, ListRolesRequest,
    ListRolesResponse, ListTokensRequest, ListTokensResponse, ListUnusedRequest,
    ListUnusedResponse, PutBindingRequest, PutBindingResponse, PutRoleRequest, PutRoleResponse,
    RemovePersonRequest, RemovePersonResponse, RevokeToken, RevokeTokenRequest,
    RevokeTokenResponse, SecurityOp, Token, TokenInfo, WhoAmIRequest, WhoAmIResponse, security_op,
};
use std::collections::BTreeSet;
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

    async fn list_people(
        &self,
        request: Request<ListPeopleRequest>,
    ) -> Result<Response<ListPeopleResponse>, Status> {
        answer(people::list(self, request).await)
    }

    async fn remove_person(
        &self,
        request: Request<RemovePersonRequest>,
    ) -> Result<Response<RemovePersonResponse>, Status> {
        answer(people::remove(self, request).await)
    }

    async fn put_role(
        &self,
        request: Request<PutRoleRequest>,
    ) -> Result<Response<PutRoleResponse>, Status> {
        answer(declare::put_role(self, request).await)
    }

    async fn get_role(
        &self,
        request: Request<GetRoleRequest>,
    ) -> Result<Response<GetRoleResponse>, Status> {
        answer(declare::get_role(self, request).await)
    }

    async fn list_roles(
        &self,
        request: Request<ListRolesRequest>,
    ) -> Result<Response<ListRolesResponse>, Status> {
        answer(declare::list_roles(self, request).await)
    }

    async fn delete_role(
        &self,
        request: Request<DeleteRoleRequest>,
    ) -> Result<Response<DeleteRoleResponse>, Status> {
        answer(declare::delete_role(self, request).await)
    }

    async fn put_binding(
        &self,
        request: Request<PutBindingRequest>,
    ) -> Result<Response<PutBindingResponse>, Status> {
        answer(declare::put_binding(self, request).await)
    }

    async fn get_binding(
        &self,
        request: Request<GetBindingRequest>,
    ) -> Result<Response<GetBindingResponse>, Status> {
        answer(declare::get_binding(self, request).await)
    }

    async fn list_bindings(
        &self,
        request: Request<ListBindingsRequest>,
    ) -> Result<Response<ListBindingsResponse>, Status> {
        answer(declare::list_bindings(self, request).await)
    }

    async fn delete_binding(
        &self,
        request: Request<DeleteBindingRequest>,
    ) -> Result<Response<DeleteBindingResponse>, Status> {
        answer(declare::delete_binding(self, request).await)
    }

    async fn can_i(&self, request: Request<CanIRequest>) -> Result<Response<CanIResponse>, Status> {
        answer(grants::can_i(self, request).await)
    }

    async fn list_unused(
        &self,
        request: Request<ListUnusedRequest>,
    ) -> Result<Response<ListUnusedResponse>, Status> {
        answer(grants::unused(self, request).await)
    }
}

fn answer<T>(result: Result<T>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|refusal| to_status(&refusal))
}

fn who(caller: &Identity) -> WhoAmIResponse {
    let permissions = caller.permissions().into_iter();
    let bound = caller.bound().into_iter().flat_map(|bound| bound.iter());
    let bindings: BTreeSet<&str> = bound.map(|grant| grant.by().binding()).collect();
    let bindings = bindings.into_iter();
    WhoAmIResponse {
        actor: Some(caller.actor()),
        role: caller.role().to_owned(),
        scope: caller.scope().to_owned(),
        permissions: permissions.map(|permission| permission.name().to_owned()).collect(),
        expires_ms: caller.expires_ms(),
        subject: grants::subject_of(caller),
        bindings: bindings.map(str::to_owned).collect(),
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
