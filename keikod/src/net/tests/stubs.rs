//! The services behind the server that matter little: one document, the members, and a desk that
//! says who calls.

use super::harness::CLUSTER;
use crate::net::{Asked, Document, Identity, Pages, status};
use keiko_core::refusal::Refusal;
use keiko_proto::v1 as wire;
use keiko_proto::v1::cluster_server::Cluster;
use keiko_proto::v1::security_server::Security;
use tonic::{Response, Status};

type Reply<T> = Result<Response<T>, Status>;

/// One document.
pub(super) struct Shelf;

#[tonic::async_trait]
impl Pages for Shelf {
    fn has(&self, path: &str) -> bool {
        path == "/shelf"
    }

    async fn read(&self, asked: Asked) -> Result<Document, Refusal> {
        let body = format!("for {}", asked.authority.unwrap_or_default());
        Ok(Document { content_type: "text/plain", body: body.into() })
    }
}

pub(super) struct Members;

#[tonic::async_trait]
impl Cluster for Members {
    type BackupStream = tokio_stream::Empty<Result<wire::BackupResponse, Status>>;

    async fn backup(&self, _: tonic::Request<wire::BackupRequest>) -> Reply<Self::BackupStream> {
        Err(Status::unimplemented(""))
    }

    async fn list_backups(
        &self,
        _: tonic::Request<wire::ListBackupsRequest>,
    ) -> Reply<wire::ListBackupsResponse> {
        Err(Status::unimplemented(""))
    }

    async fn make_backup(
        &self,
        _: tonic::Request<wire::MakeBackupRequest>,
    ) -> Reply<wire::BackupNote> {
        Err(Status::unimplemented(""))
    }

    async fn rehearse_restore(
        &self,
        _: tonic::Request<wire::RehearseRestoreRequest>,
    ) -> Reply<wire::BackupNote> {
        Err(Status::unimplemented(""))
    }

    async fn status(&self, _: tonic::Request<wire::StatusRequest>) -> Reply<wire::StatusResponse> {
        Ok(Response::new(wire::StatusResponse { version: "1".into(), ..Default::default() }))
    }

    async fn diagnose(
        &self,
        _: tonic::Request<wire::DiagnoseRequest>,
    ) -> Reply<wire::DiagnoseResponse> {
        Err(Status::unimplemented(""))
    }

    async fn init(&self, _: tonic::Request<wire::InitRequest>) -> Reply<wire::InitResponse> {
        Ok(Response::new(wire::InitResponse { cluster_id: CLUSTER.into(), ..Default::default() }))
    }

    async fn join(&self, _: tonic::Request<wire::JoinRequest>) -> Reply<wire::JoinResponse> {
        Err(Status::unimplemented(""))
    }

    async fn transfer_leader(
        &self,
        _: tonic::Request<wire::TransferLeaderRequest>,
    ) -> Reply<wire::TransferLeaderResponse> {
        Err(Status::unimplemented(""))
    }

    async fn list_nodes(
        &self,
        _: tonic::Request<wire::ListNodesRequest>,
    ) -> Reply<wire::ListNodesResponse> {
        Err(Status::unimplemented(""))
    }

    async fn get_node(&self, _: tonic::Request<wire::GetNodeRequest>) -> Reply<wire::NodeInfo> {
        Err(Status::unimplemented(""))
    }

    async fn drain_node(
        &self,
        _: tonic::Request<wire::DrainNodeRequest>,
    ) -> Reply<wire::DrainNodeResponse> {
        Err(Status::unimplemented(""))
    }

    async fn list_authorities(
        &self,
        _: tonic::Request<wire::ListAuthoritiesRequest>,
    ) -> Reply<wire::ListAuthoritiesResponse> {
        Err(Status::unimplemented(""))
    }

    async fn rotate_authority(
        &self,
        _: tonic::Request<wire::RotateAuthorityRequest>,
    ) -> Reply<wire::RotateAuthorityResponse> {
        Err(Status::unimplemented(""))
    }

    async fn remove_node(
        &self,
        _: tonic::Request<wire::RemoveNodeRequest>,
    ) -> Reply<wire::RemoveNodeResponse> {
        Err(Status::unimplemented(""))
    }
}

/// Says who calls, and whether a token may be traded.
pub(super) struct Desk;

#[tonic::async_trait]
impl Security for Desk {
    async fn who_am_i(
        &self,
        request: tonic::Request<wire::WhoAmIRequest>,
    ) -> Reply<wire::WhoAmIResponse> {
        let who = Identity::of(&request).map_err(|refusal| status::to_status(&refusal))?;
        Ok(Response::new(wire::WhoAmIResponse {
            actor: Some(who.actor()),
            role: who.role().into(),
            ..Default::default()
        }))
    }

    async fn enroll(&self, _: tonic::Request<wire::EnrollRequest>) -> Reply<wire::EnrollResponse> {
        Ok(Response::new(wire::EnrollResponse::default()))
    }

    async fn admit_node(
        &self,
        _: tonic::Request<wire::AdmitNodeRequest>,
    ) -> Reply<wire::AdmitNodeResponse> {
        Err(Status::unimplemented(""))
    }

    async fn create_token(
        &self,
        _: tonic::Request<wire::CreateTokenRequest>,
    ) -> Reply<wire::CreateTokenResponse> {
        Err(Status::unimplemented(""))
    }

    async fn create_agent_token(
        &self,
        _: tonic::Request<wire::CreateAgentTokenRequest>,
    ) -> Reply<wire::CreateAgentTokenResponse> {
        Err(Status::unimplemented(""))
    }

    async fn list_tokens(
        &self,
        _: tonic::Request<wire::ListTokensRequest>,
    ) -> Reply<wire::ListTokensResponse> {
        Err(Status::unimplemented(""))
    }

    async fn revoke_token(
        &self,
        _: tonic::Request<wire::RevokeTokenRequest>,
    ) -> Reply<wire::RevokeTokenResponse> {
        Err(Status::unimplemented(""))
    }

    async fn list_people(
        &self,
        _: tonic::Request<wire::ListPeopleRequest>,
    ) -> Reply<wire::ListPeopleResponse> {
        Err(Status::unimplemented(""))
    }

    async fn remove_person(
        &self,
        _: tonic::Request<wire::RemovePersonRequest>,
    ) -> Reply<wire::RemovePersonResponse> {
        Err(Status::unimplemented(""))
    }

    async fn put_role(
        &self,
        _: tonic::Request<wire::PutRoleRequest>,
    ) -> Reply<wire::PutRoleResponse> {
        Err(Status::unimplemented(""))
    }

    async fn get_role(
        &self,
        _: tonic::Request<wire::GetRoleRequest>,
    ) -> Reply<wire::GetRoleResponse> {
        Err(Status::unimplemented(""))
    }

    async fn list_roles(
        &self,
        _: tonic::Request<wire::ListRolesRequest>,
    ) -> Reply<wire::ListRolesResponse> {
        Err(Status::unimplemented(""))
    }

    async fn delete_role(
        &self,
        _: tonic::Request<wire::DeleteRoleRequest>,
    ) -> Reply<wire::DeleteRoleResponse> {
        Err(Status::unimplemented(""))
    }

    async fn put_binding(
        &self,
        _: tonic::Request<wire::PutBindingRequest>,
    ) -> Reply<wire::PutBindingResponse> {
        Err(Status::unimplemented(""))
    }

    async fn get_binding(
        &self,
        _: tonic::Request<wire::GetBindingRequest>,
    ) -> Reply<wire::GetBindingResponse> {
        Err(Status::unimplemented(""))
    }

    async fn list_bindings(
        &self,
        _: tonic::Request<wire::ListBindingsRequest>,
    ) -> Reply<wire::ListBindingsResponse> {
        Err(Status::unimplemented(""))
    }

    async fn delete_binding(
        &self,
        _: tonic::Request<wire::DeleteBindingRequest>,
    ) -> Reply<wire::DeleteBindingResponse> {
        Err(Status::unimplemented(""))
    }

    async fn can_i(&self, _: tonic::Request<wire::CanIRequest>) -> Reply<wire::CanIResponse> {
        Err(Status::unimplemented(""))
    }

    async fn list_unused(
        &self,
        _: tonic::Request<wire::ListUnusedRequest>,
    ) -> Reply<wire::ListUnusedResponse> {
        Err(Status::unimplemented(""))
    }
}
