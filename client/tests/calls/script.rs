//! A server that answers what it was told to, and keeps what it was asked.

use crate::authority::Authority;
use keiko_client::Refusal;
use keiko_client::proto::v1 as wire;
use std::sync::{Arc, Mutex};
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic::{Request, Response, Status};
use wire::cluster_server::{Cluster, ClusterServer};
use wire::journal_server::{Journal, JournalServer};
use wire::security_server::{Security, SecurityServer};

/// What is answered next, and what was asked so far.
#[derive(Clone, Default)]
pub(crate) struct Script(pub(crate) Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    /// Taken one by one; when it is empty, calls succeed.
    pub(crate) refusals: Vec<Status>,
    /// What each stream of events holds before it breaks.
    pub(crate) streams: Vec<Vec<wire::Event>>,
    pub(crate) server_unix_ms: u64,
    pub(crate) request_ids: Vec<Vec<u8>>,
    pub(crate) tails: Vec<wire::TailRequest>,
    pub(crate) bearers: Vec<String>,
    pub(crate) fences: Vec<String>,
    pub(crate) calls: usize,
    /// What a backup consists of.
    pub(crate) backup: Vec<wire::backup_response::Item>,
    /// Signs what is asked for.
    pub(crate) ca: Option<Arc<Authority>>,
}

impl Script {
    /// What it offers.
    pub(crate) fn server(&self) -> Router {
        Server::builder()
            .add_service(ClusterServer::new(self.clone()))
            .add_service(SecurityServer::new(self.clone()))
            .add_service(JournalServer::new(self.clone()))
    }

    /// Refuses what comes next, one by one, and forgets what came.
    pub(crate) fn refuse(&self, refusals: Vec<Status>) {
        *self.0.lock().unwrap() = State { refusals, ..State::default() };
    }

    /// Those of the writes that came.
    pub(crate) fn request_ids(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().request_ids.clone()
    }

    /// How often it was asked.
    pub(crate) fn calls(&self) -> usize {
        self.0.lock().unwrap().calls
    }

    fn next<M>(&self, request: &Request<M>) -> Result<(), Status> {
        let mut state = self.0.lock().unwrap();
        state.calls += 1;
        let header =
            |name: &str| request.metadata().get(name).map(|v| v.to_str().unwrap().to_owned());
        state.bearers.extend(header("authorization"));
        state.fences.extend(header("keiko-fence"));
        assert!(header("traceparent").is_some_and(|trace| trace.len() == 55));
        if state.refusals.is_empty() { Ok(()) } else { Err(state.refusals.remove(0)) }
    }
}

pub(crate) fn coded(number: u32, retryable: bool) -> Status {
    let refusal = Refusal { code: number, retryable, ..Refusal::default() };
    let details = prost::Message::encode_to_vec(&refusal);
    Status::with_details(tonic::Code::Unavailable, "refused", details.into())
}

#[tonic::async_trait]
impl Cluster for Script {
    type BackupStream =
        tokio_stream::Iter<std::vec::IntoIter<Result<wire::BackupResponse, Status>>>;

    async fn backup(
        &self,
        request: Request<wire::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        self.next(&request)?;
        let parts = std::mem::take(&mut self.0.lock().unwrap().backup);
        let items = parts.into_iter().map(|item| Ok(wire::BackupResponse { item: Some(item) }));
        Ok(Response::new(tokio_stream::iter(items.collect::<Vec<_>>())))
    }

    async fn list_backups(
        &self,
        request: Request<wire::ListBackupsRequest>,
    ) -> Result<Response<wire::ListBackupsResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn make_backup(
        &self,
        request: Request<wire::MakeBackupRequest>,
    ) -> Result<Response<wire::BackupNote>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn rehearse_restore(
        &self,
        request: Request<wire::RehearseRestoreRequest>,
    ) -> Result<Response<wire::BackupNote>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn status(
        &self,
        request: Request<wire::StatusRequest>,
    ) -> Result<Response<wire::StatusResponse>, Status> {
        self.next(&request)?;
        let server_unix_ms = self.0.lock().unwrap().server_unix_ms;
        Ok(Response::new(wire::StatusResponse { server_unix_ms, ..Default::default() }))
    }

    async fn diagnose(
        &self,
        request: Request<wire::DiagnoseRequest>,
    ) -> Result<Response<wire::DiagnoseResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn init(
        &self,
        request: Request<wire::InitRequest>,
    ) -> Result<Response<wire::InitResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn join(
        &self,
        request: Request<wire::JoinRequest>,
    ) -> Result<Response<wire::JoinResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn transfer_leader(
        &self,
        request: Request<wire::TransferLeaderRequest>,
    ) -> Result<Response<wire::TransferLeaderResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn list_nodes(
        &self,
        request: Request<wire::ListNodesRequest>,
    ) -> Result<Response<wire::ListNodesResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn get_node(
        &self,
        request: Request<wire::GetNodeRequest>,
    ) -> Result<Response<wire::NodeInfo>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn drain_node(
        &self,
        request: Request<wire::DrainNodeRequest>,
    ) -> Result<Response<wire::DrainNodeResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn list_authorities(
        &self,
        request: Request<wire::ListAuthoritiesRequest>,
    ) -> Result<Response<wire::ListAuthoritiesResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn rotate_authority(
        &self,
        request: Request<wire::RotateAuthorityRequest>,
    ) -> Result<Response<wire::RotateAuthorityResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn remove_node(
        &self,
        request: Request<wire::RemoveNodeRequest>,
    ) -> Result<Response<wire::RemoveNodeResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl Security for Script {
    async fn create_agent_token(
        &self,
        request: Request<wire::CreateAgentTokenRequest>,
    ) -> Result<Response<wire::CreateAgentTokenResponse>, Status> {
        self.0.lock().unwrap().request_ids.push(request.get_ref().request_id.clone());
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn list_tokens(
        &self,
        request: Request<wire::ListTokensRequest>,
    ) -> Result<Response<wire::ListTokensResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn revoke_token(
        &self,
        request: Request<wire::RevokeTokenRequest>,
    ) -> Result<Response<wire::RevokeTokenResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn list_people(
        &self,
        request: Request<wire::ListPeopleRequest>,
    ) -> Result<Response<wire::ListPeopleResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn remove_person(
        &self,
        request: Request<wire::RemovePersonRequest>,
    ) -> Result<Response<wire::RemovePersonResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn put_role(
        &self,
        request: Request<wire::PutRoleRequest>,
    ) -> Result<Response<wire::PutRoleResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn get_role(
        &self,
        request: Request<wire::GetRoleRequest>,
    ) -> Result<Response<wire::GetRoleResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn list_roles(
        &self,
        request: Request<wire::ListRolesRequest>,
    ) -> Result<Response<wire::ListRolesResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn delete_role(
        &self,
        request: Request<wire::DeleteRoleRequest>,
    ) -> Result<Response<wire::DeleteRoleResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn put_binding(
        &self,
        request: Request<wire::PutBindingRequest>,
    ) -> Result<Response<wire::PutBindingResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn get_binding(
        &self,
        request: Request<wire::GetBindingRequest>,
    ) -> Result<Response<wire::GetBindingResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn list_bindings(
        &self,
        request: Request<wire::ListBindingsRequest>,
    ) -> Result<Response<wire::ListBindingsResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn delete_binding(
        &self,
        request: Request<wire::DeleteBindingRequest>,
    ) -> Result<Response<wire::DeleteBindingResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn can_i(
        &self,
        request: Request<wire::CanIRequest>,
    ) -> Result<Response<wire::CanIResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn list_unused(
        &self,
        request: Request<wire::ListUnusedRequest>,
    ) -> Result<Response<wire::ListUnusedResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn create_token(
        &self,
        request: Request<wire::CreateTokenRequest>,
    ) -> Result<Response<wire::CreateTokenResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn admit_node(
        &self,
        request: Request<wire::AdmitNodeRequest>,
    ) -> Result<Response<wire::AdmitNodeResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }

    async fn enroll(
        &self,
        request: Request<wire::EnrollRequest>,
    ) -> Result<Response<wire::EnrollResponse>, Status> {
        self.next(&request)?;
        let ca = self.0.lock().unwrap().ca.clone().unwrap();
        let csr = request.into_inner().csr.into();
        let asked = rcgen::CertificateSigningRequestParams::from_der(&csr).unwrap();
        let leaf = ca.person("ann").signed_by(&asked.public_key, &ca.issuer).unwrap();
        Ok(Response::new(wire::EnrollResponse {
            certificate: format!("{}{}", leaf.pem(), ca.pem),
            ca: ca.pem.clone(),
            name: "ann".into(),
            role: "viewer".into(),
            ..Default::default()
        }))
    }

    async fn who_am_i(
        &self,
        request: Request<wire::WhoAmIRequest>,
    ) -> Result<Response<wire::WhoAmIResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }
}

type Events = tokio_stream::Iter<std::vec::IntoIter<Result<wire::TailResponse, Status>>>;

#[tonic::async_trait]
impl Journal for Script {
    type TailStream = Events;

    async fn tail(&self, request: Request<wire::TailRequest>) -> Result<Response<Events>, Status> {
        self.next(&request)?;
        let mut state = self.0.lock().unwrap();
        state.tails.push(request.into_inner());
        let events = if state.streams.is_empty() { Vec::new() } else { state.streams.remove(0) };
        let item = |event| wire::tail_response::Item::Event(event);
        let mut items: Vec<_> = events
            .into_iter()
            .map(|event| Ok(wire::TailResponse { item: Some(item(event)) }))
            .collect();
        items.push(Err(Status::unavailable("the connection broke")));
        Ok(Response::new(tokio_stream::iter(items)))
    }

    async fn get_events(
        &self,
        request: Request<wire::GetEventsRequest>,
    ) -> Result<Response<wire::GetEventsResponse>, Status> {
        self.next(&request)?;
        Ok(Response::new(Default::default()))
    }
}
