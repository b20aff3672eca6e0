//! Parse, authorise, propose or query, answer.

use super::super::{Caller, Control};
use super::backup::BackupStream;
use super::backups::{Keeper, Standing};
use super::nodes::allowed;
use super::{Diagnosis, Founding, Neighbours, diagnose};
use crate::lifecycle::Readiness;
use crate::net::{Identity, Permission, status::to_status};
use crate::settings::Join;
use crate::store::View;
use keiko_core::cluster;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::cluster_server::Cluster;
use keiko_proto::v1::{
    BackupNote, BackupRequest, ClusterInfo, DiagnoseRequest, DiagnoseResponse, DrainNodeRequest,
    DrainNodeResponse, Finding, GetNodeRequest, InitRequest, InitResponse, JoinRequest,
    JoinResponse, ListAuthoritiesRequest, ListAuthoritiesResponse, ListBackupsRequest,
    ListBackupsResponse, ListNodesRequest, ListNodesResponse, MakeBackupRequest, NodeInfo, Quorum,
    RehearseRestoreRequest, RemoveNodeRequest, RemoveNodeResponse, RotateAuthorityRequest,
    RotateAuthorityResponse, StatusRequest, StatusResponse, TransferLeaderRequest,
    TransferLeaderResponse,
};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Serves `keiko.v1.Cluster`.
#[derive(Clone)]
pub struct Service {
    /// Where it reads.
    pub control: Control,
    /// How a cluster is made.
    pub founding: Arc<Founding>,
    /// What this node lacks.
    pub readiness: Readiness,
    /// host:port of this node's API.
    pub api_address: String,
    /// What looks around.
    pub diagnosis: Diagnosis,
    /// The other nodes.
    pub neighbours: Neighbours,
    /// Which servers a node runs, by name.
    pub hosted: Hosted,
    /// The backups by schedule.
    pub keeper: Keeper,
}

/// Which servers a node runs, as the room that knows says.
pub type Hosted = Arc<dyn Fn(&View<'_>, &str) -> Vec<String> + Send + Sync>;

#[tonic::async_trait]
impl Cluster for Service {
    type BackupStream = BackupStream;

    async fn backup(
        &self,
        request: Request<BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        self.back_up(request).await.map(Response::new).map_err(|refusal| to_status(&refusal))
    }

    async fn list_backups(
        &self,
        request: Request<ListBackupsRequest>,
    ) -> Result<Response<ListBackupsResponse>, Status> {
        allowed(&request, Permission::ClusterRead).map_err(|refusal| to_status(&refusal))?;
        self.keeper.list().await.map(Response::new).map_err(|refusal| to_status(&refusal))
    }

    async fn make_backup(
        &self,
        request: Request<MakeBackupRequest>,
    ) -> Result<Response<BackupNote>, Status> {
        allowed(&request, Permission::ClusterAdmin).map_err(|refusal| to_status(&refusal))?;
        self.keeper.make_now().await.map(Response::new).map_err(|refusal| to_status(&refusal))
    }

    async fn rehearse_restore(
        &self,
        request: Request<RehearseRestoreRequest>,
    ) -> Result<Response<BackupNote>, Status> {
        allowed(&request, Permission::ClusterAdmin).map_err(|refusal| to_status(&refusal))?;
        self.keeper.rehearse_now().await.map(Response::new).map_err(|refusal| to_status(&refusal))
    }

    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        let described =
            allowed(&request, Permission::ClusterRead).and_then(|_caller| self.describe());
        described.map(Response::new).map_err(|refusal| to_status(&refusal))
    }

    async fn diagnose(
        &self,
        request: Request<DiagnoseRequest>,
    ) -> Result<Response<DiagnoseResponse>, Status> {
        let identity = allowed(&request, Permission::ClusterRead);
        let identity = identity.map_err(|refusal| to_status(&refusal))?;
        let all = request.get_ref().all_nodes;
        let mut items = self.diagnosis.run().await;
        for item in &mut items {
            self.control.node().clone_into(&mut item.node);
        }
        if all && !identity.is_remote() {
            items.extend(self.diagnose_others(&identity).await);
        }
        Ok(Response::new(DiagnoseResponse { items, server_unix_ms: diagnose::now_ms() }))
    }

    async fn init(&self, request: Request<InitRequest>) -> Result<Response<InitResponse>, Status> {
        let caller = allowed(&request, Permission::ClusterInit)
            .and_then(|_identity| Caller::of(&request, &[]))
            .map_err(|refusal| to_status(&refusal))?;
        // To its end even if the caller goes away: a half founded cluster would wait for a restart.
        let founding = Arc::clone(&self.founding);
        let founded = tokio::spawn(async move { founding.found(caller).await }).await;
        let authority = founded
            .unwrap_or_else(|error| {
                Err(Refusal::new(Code::Internal, "the founding broke off").cause(error))
            })
            .map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(InitResponse {
            cluster_id: authority.cluster_id().to_owned(),
            ca_hash: authority.ca_hash().to_owned(),
        }))
    }

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        allowed(&request, Permission::ClusterInit).map_err(|refusal| to_status(&refusal))?;
        let JoinRequest { address, token } = request.into_inner();
        // To its end even if the caller goes away: the token is used up by then.
        let founding = Arc::clone(&self.founding);
        let join = Join { address, token };
        let joined = tokio::spawn(async move { founding.join(&join).await }).await;
        let joined = joined.unwrap_or_else(|error| {
            Err(Refusal::new(Code::Internal, "the joining broke off").cause(error))
        });
        joined.map(Response::new).map_err(|refusal| to_status(&refusal))
    }

    async fn transfer_leader(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderResponse>, Status> {
        self.transfer(request).await.map(Response::new).map_err(|refusal| to_status(&refusal))
    }

    async fn list_nodes(
        &self,
        request: Request<ListNodesRequest>,
    ) -> Result<Response<ListNodesResponse>, Status> {
        self.list(&request).map(Response::new).map_err(|refusal| to_status(&refusal))
    }

    async fn get_node(
        &self,
        request: Request<GetNodeRequest>,
    ) -> Result<Response<NodeInfo>, Status> {
        self.get(&request).map(Response::new).map_err(|refusal| to_status(&refusal))
    }

    async fn drain_node(
        &self,
        request: Request<DrainNodeRequest>,
    ) -> Result<Response<DrainNodeResponse>, Status> {
        self.drain(request).await.map(Response::new).map_err(|refusal| to_status(&refusal))
    }

    async fn list_authorities(
        &self,
        request: Request<ListAuthoritiesRequest>,
    ) -> Result<Response<ListAuthoritiesResponse>, Status> {
        self.authorities(&request).map(Response::new).map_err(|refusal| to_status(&refusal))
    }

    async fn rotate_authority(
        &self,
        request: Request<RotateAuthorityRequest>,
    ) -> Result<Response<RotateAuthorityResponse>, Status> {
        self.rotate(request).await.map(Response::new).map_err(|refusal| to_status(&refusal))
    }

    async fn remove_node(
        &self,
        request: Request<RemoveNodeRequest>,
    ) -> Result<Response<RemoveNodeResponse>, Status> {
        self.remove(request).await.map(Response::new).map_err(|refusal| to_status(&refusal))
    }
}

const DIAGNOSE: &str = "/keiko.v1.Cluster/Diagnose";
/// Its own checks take six seconds at most.
const DIAGNOSE_DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);

impl Service {
    /// What every other member finds; one that does not answer is a finding itself.
    async fn diagnose_others(&self, identity: &Identity) -> Vec<Finding> {
        let nodes = self.neighbours.read_nodes().unwrap_or_default();
        let own = self.control.node();
        let asked = nodes.into_iter().filter(|node| node.name != own).map(|node| async move {
            let request = DiagnoseRequest::default();
            let answer: Result<DiagnoseResponse> = self
                .neighbours
                .ask(&node.name, DIAGNOSE, identity, &request, DIAGNOSE_DEADLINE)
                .await;
            match answer {
                Ok(answer) => answer.items,
                Err(refusal) => vec![Finding {
                    check: "answers".to_owned(),
                    status: "failed".to_owned(),
                    message: format!("it does not answer: {refusal}"),
                    remedy: "see whether it runs, and whether its port for peers is reached"
                        .to_owned(),
                    node: node.name,
                }],
            }
        });
        futures::future::join_all(asked).await.into_iter().flatten().collect()
    }

    /// Answers whatever the state of the group is, even before there is one.
    fn describe(&self) -> Result<StatusResponse> {
        let missing = self.readiness.missing();
        let mut response = StatusResponse {
            server_unix_ms: self.control.now_ms(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            missing: missing.into_iter().map(|missing| missing.remedy).collect(),
            node: self.control.node().to_owned(),
            ..Default::default()
        };
        let Ok(group) = self.control.group() else {
            response.nodes = vec![NodeInfo {
                name: self.control.node().to_owned(),
                state: "waiting".to_owned(),
                api_address: self.api_address.clone(),
                version: response.version.clone(),
                ..Default::default()
            }];
            response.quorum = Some(Quorum::default());
            response.cluster = Some(ClusterInfo::default());
            return Ok(response);
        };
        let (record, nodes, notes) = group.read_now(|view| {
            let id = GroupId::CONTROL;
            (cluster::record(view, id), cluster::nodes(view, id), cluster::backup_notes(view, id))
        })?;
        let scene = self.scene(&group);
        let status = &scene.status;
        let (ca_hash, rotation) = self.standing(&group)?;
        response.cluster = Some(ClusterInfo {
            id: record.map(|record| record.cluster_id).unwrap_or_default(),
            ca_hash,
            rotation,
        });
        let leader = status.leader.filter(|_| status.quorum);
        let leader = nodes.iter().find(|node| Some(node.id) == leader);
        response.leader = leader.map(|node| node.name.clone()).unwrap_or_default();
        (response.term, response.revision) = (status.term, status.revision);
        response.feature_level = status.level;
        let reachable = self.reachable(&group.members());
        response.quorum = Some(quorum(status, reachable));
        if let Some(step_ms) = group.clock_alarm() {
            response
                .alarms
                .push(format!("the wall clock is {step_ms} ms away from the clock of the log"));
        }
        response.alarms.extend(self.neighbours.alarms());
        let every_ms = self.keeper.every_ms();
        let alarm = |every_ms| Standing::of(notes).alarm(response.server_unix_ms, every_ms);
        let alarm = every_ms.and_then(alarm);
        response.alarms.extend(alarm);
        let last = nodes.iter().find(|node| Some(node.id) == status.last_leader);
        response.last_leader = last.map(|node| node.name.clone()).unwrap_or_default();
        response.nodes = nodes.into_iter().map(|node| self.info(node, &group, &scene)).collect();
        Ok(response)
    }
}

fn quorum(status: &crate::consensus::Status, reachable: usize) -> Quorum {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let voters = status.voters.len();
    Quorum {
        voters: count(voters),
        needed: count(voters / 2 + 1),
        reachable: count(reachable),
        ok: status.quorum,
    }
}
