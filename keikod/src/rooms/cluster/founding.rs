//! How a node becomes a cluster of one: once, in steps that a crash may cut anywhere.
//!
//! Each step looks first whether it was already done, so that the next start completes what a
//! crash left: the log of the control group, the cluster's record, its sealed authority, and then
//! this node's own certificate.

use super::super::{Caller, Control};
use crate::net::{Authority, Certificates, Keys, Names};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::{cluster, security};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    self as wire, ClusterOp, Consistency, FoundCluster, SecurityOp, StoreAuthority, cluster_op,
    security_op,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

/// What the group may take after a start until it has a leader that applied what was committed.
const READY_DEADLINE: Duration = Duration::from_secs(20);

/// Founds, and opens what was founded.
pub struct Founding {
    control: Control,
    keys: Keys,
    names: Names,
    certificates: Arc<Certificates>,
    ca_file: PathBuf,
    node: wire::Node,
    /// One at a time.
    turn: Mutex<()>,
    opened: watch::Sender<Option<Arc<Authority>>>,
}

impl Founding {
    /// `node` is what this node tells of itself; `ca_file` is where people look for the CA.
    pub fn new(
        control: Control,
        keys: Keys,
        names: Names,
        certificates: Arc<Certificates>,
        ca_file: PathBuf,
        node: wire::Node,
    ) -> Self {
        let turn = Mutex::new(());
        let opened = watch::Sender::new(None);
        Self { control, keys, names, certificates, ca_file, node, turn, opened }
    }

    /// The open authority, once there is one.
    pub fn opened(&self) -> watch::Receiver<Option<Arc<Authority>>> {
        self.opened.subscribe()
    }

    /// Makes this node a cluster, or completes what a cut founding left. Refused if it is one.
    pub async fn found(&self, caller: Caller) -> Result<Arc<Authority>> {
        let _turn = self.turn.lock().await;
        let consensus = self.control.consensus();
        if !consensus.is_founded() {
            consensus.found().await?;
        }
        self.control.group()?.ready(READY_DEADLINE).await?;
        if let (Some(record), Some(_)) = self.record().await? {
            return Err(Refusal::new(
                Code::AlreadyFounded,
                format!("this node already belongs to cluster {}", record.cluster_id),
            )
            .hint("start it without --init: keikod run --data-dir D"));
        }
        self.complete(caller).await
    }

    /// Completes and opens what this node's log holds.
    pub async fn open(&self) -> Result<Arc<Authority>> {
        let _turn = self.turn.lock().await;
        self.control.group()?.ready(READY_DEADLINE).await?;
        self.complete(self.control.as_node()).await
    }

    async fn complete(&self, caller: Caller) -> Result<Arc<Authority>> {
        let (record, authority) = self.record().await?;
        let cluster_id = match record {
            Some(record) => record.cluster_id,
            None => self.write_record(caller.clone()).await?,
        };
        let stored = match authority {
            Some(stored) => stored,
            None => self.write_authority(&cluster_id, caller).await?,
        };
        let authority = Arc::new(Authority::open(&stored, &self.keys)?);
        authority.write_ca(&self.ca_file)?;
        self.certificates.show(authority.issue_node(&self.names)?)?;
        self.opened.send_replace(Some(Arc::clone(&authority)));
        Ok(authority)
    }

    async fn record(&self) -> Result<(Option<wire::ClusterRecord>, Option<wire::Authority>)> {
        let query = |view: &crate::store::View<'_>| {
            let group = GroupId::CONTROL;
            (cluster::record(view, group), security::authority(view, group))
        };
        Ok(self.control.read(Consistency::Linearizable.into(), query).await?.value)
    }

    async fn write_record(&self, caller: Caller) -> Result<String> {
        let cluster_id = Uuid::now_v7().to_string();
        let founder = Some(self.node.clone());
        let op = cluster_op::Op::Found(FoundCluster { cluster_id: cluster_id.clone(), founder });
        // The retry of an init would carry the same id as this entry and the next one.
        let caller = Caller { request_id: Vec::new(), ..caller };
        self.control.write(caller, Room::Cluster(ClusterOp { op: Some(op) })).await?;
        Ok(cluster_id)
    }

    async fn write_authority(&self, cluster_id: &str, caller: Caller) -> Result<wire::Authority> {
        let (authority, _) = Authority::create(cluster_id, &self.keys)?;
        let op =
            security_op::Op::StoreAuthority(StoreAuthority { authority: Some(authority.clone()) });
        let caller = Caller { request_id: Vec::new(), ..caller };
        self.control.write(caller, Room::Security(SecurityOp { op: Some(op) })).await?;
        Ok(authority)
    }
}
