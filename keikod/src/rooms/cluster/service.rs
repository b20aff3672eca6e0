//! Parse, authorise, propose or query, answer.

use super::super::{Caller, Control};
use super::{Diagnosis, Founding, diagnose};
use crate::lifecycle::Readiness;
use crate::net::{Identity, Permission, Resource, status::to_status};
use keiko_core::cluster;
use keiko_core::hash::hex;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::cluster_server::Cluster;
use keiko_proto::v1::{
    ClusterInfo, DiagnoseRequest, DiagnoseResponse, InitRequest, InitResponse, NodeInfo, Quorum,
    StatusRequest, StatusResponse,
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
}

#[tonic::async_trait]
impl Cluster for Service {
    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        let allowed = Identity::of(&request)
            .and_then(|caller| caller.require(Permission::ClusterRead, &Resource::All("cluster")));
        allowed.map_err(|refusal| to_status(&refusal))?;
        let status = self.describe().await.map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(status))
    }

    async fn diagnose(
        &self,
        request: Request<DiagnoseRequest>,
    ) -> Result<Response<DiagnoseResponse>, Status> {
        let allowed = Identity::of(&request)
            .and_then(|caller| caller.require(Permission::ClusterRead, &Resource::All("cluster")));
        allowed.map_err(|refusal| to_status(&refusal))?;
        let items = self.diagnosis.run().await;
        Ok(Response::new(DiagnoseResponse { items, server_unix_ms: diagnose::now_ms() }))
    }

    async fn init(&self, request: Request<InitRequest>) -> Result<Response<InitResponse>, Status> {
        let caller = Identity::of(&request)
            .and_then(|caller| caller.require(Permission::ClusterInit, &Resource::All("cluster")))
            .and_then(|()| Caller::of(&request, &[]))
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
}

impl Service {
    /// Answers whatever the state of the group is, even before there is one.
    async fn describe(&self) -> Result<StatusResponse> {
        let missing = self.readiness.missing();
        let mut response = StatusResponse {
            server_unix_ms: self.control.now_ms(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            missing: missing.into_iter().map(|missing| missing.remedy).collect(),
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
        let (record, nodes) = self
            .control
            .read_local(|view| {
                (cluster::record(view, GroupId::CONTROL), cluster::nodes(view, GroupId::CONTROL))
            })
            .await?;
        let status = group.status();
        let ca_hash = self.founding.opened().borrow().as_ref().map(|ca| ca.ca_hash().to_owned());
        response.cluster = Some(ClusterInfo {
            id: record.map(|record| record.cluster_id).unwrap_or_default(),
            ca_hash: ca_hash.unwrap_or_default(),
        });
        let leader = nodes.iter().find(|node| Some(node.id) == status.leader);
        response.leader = leader.map(|node| node.name.clone()).unwrap_or_default();
        (response.term, response.revision) = (status.term, status.revision);
        response.quorum = Some(quorum(&status));
        if let Some(step_ms) = group.clock_alarm() {
            response
                .alarms
                .push(format!("the wall clock is {step_ms} ms away from the clock of the log"));
        }
        response.nodes =
            nodes.into_iter().map(|node| info(node, self.control.node(), &status)).collect();
        Ok(response)
    }
}

fn quorum(status: &crate::consensus::Status) -> Quorum {
    let voters = u32::try_from(status.voters.len()).unwrap_or(u32::MAX);
    let needed = voters / 2 + 1;
    let reachable = if status.leader.is_some() { needed } else { 0 };
    Quorum { voters, needed, reachable, ok: status.leader.is_some() }
}

fn info(node: keiko_proto::v1::Node, name: &str, status: &crate::consensus::Status) -> NodeInfo {
    let own = node.name == name;
    let state = if own { status.state } else { "follower" };
    NodeInfo {
        id: node.id,
        name: node.name,
        state: state.to_owned(),
        api_address: node.api_address,
        version: node.version,
        applied_index: if own { status.applied_index.unwrap_or_default() } else { 0 },
        state_hash: if own { hex(&status.state_hash) } else { String::new() },
    }
}
