//! How a node comes to its cluster: it founds one, joins one, or goes on with the one that it has.
//!
//! Each step looks first whether it was already done, so that the next start completes what a crash
//! left: the log of the control group, the cluster's record, its sealed authority, the note of this
//! node's place, and then its own certificate. A node with others opens the way to them first, since
//! without them it may have no leader; it serves what it has meanwhile. Who this node is it shows
//! before it serves at all.

use super::super::{Caller, Control};
use super::authority::Keeper;
use super::host::Hosting;
use super::joining::{Joining, ca_hash_of};
use super::neighbours::Neighbours;
use crate::consensus::Group;
use crate::consensus::peer::{Host, Introduction};
use crate::lifecycle::{Membership, Readiness};
use crate::net::peer::PeerTls;
use crate::net::{
    Authority, Bundle, Certificates, Keys, Names, NodeCertificate, NodeKey, Renewal, Signer,
};
use crate::settings::Join;
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::{cluster, security};
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    self as wire, ClusterOp, Consistency, FoundCluster, SecurityOp, StoreAuthority, cluster_op,
    security_op,
};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What a node alone may take after a start until it leads and has applied what was committed.
const READY_DEADLINE: Duration = Duration::from_secs(20);
/// What a node with others waits for a leader before it serves what it has.
const SETTLE: Duration = Duration::from_secs(3);
/// Between two looks for what others must bring.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where a node keeps its own certificate, for a start at which it can't sign one.
const CERTIFICATE: &str = "node.pem";

/// What it is made of.
pub struct FoundingParts {
    /// Where it proposes.
    pub control: Control,
    /// The cluster keys.
    pub keys: Keys,
    /// This node's own key.
    pub key: Arc<NodeKey>,
    /// By which names it is reached.
    pub names: Names,
    /// What it shows.
    pub certificates: Arc<Certificates>,
    /// Where its notes lie.
    pub data_dir: PathBuf,
    /// What it tells of itself; the id is the cluster's to give.
    pub node: wire::Node,
    /// The other nodes.
    pub neighbours: Neighbours,
    /// What they ask of this one.
    pub hosting: Arc<Hosting>,
    /// What is missing.
    pub readiness: Readiness,
    /// Ends what runs for peers.
    pub shutdown: CancellationToken,
}

/// Founds, joins, and opens what there is.
pub struct Founding {
    parts: FoundingParts,
    listener: std::sync::Mutex<Option<TcpListener>>,
    /// One at a time.
    turn: Mutex<()>,
    opened: watch::Sender<Option<Arc<Authority>>>,
    /// Which CAs are to stand behind this node's certificate, hex; empty: not known yet.
    wanted: watch::Sender<Vec<String>>,
    settled: watch::Sender<bool>,
}

/// What the local state has of the cluster.
pub(super) struct Local {
    record: Option<wire::ClusterRecord>,
    pub(super) authority: Option<wire::Authority>,
    pub(super) rotation: Option<wire::Rotation>,
}

impl Founding {
    /// `peers` is the port for other nodes; `opened` is where the authority is shown once it is open.
    pub fn new(
        parts: FoundingParts,
        peers: TcpListener,
        opened: watch::Sender<Option<Arc<Authority>>>,
    ) -> Self {
        let settled = watch::Sender::new(false);
        let listener = std::sync::Mutex::new(Some(peers));
        let wanted = watch::Sender::new(Vec::new());
        Self { parts, listener, turn: Mutex::new(()), opened, wanted, settled }
    }

    /// The open authority, once there is one; a learner has none.
    pub fn opened(&self) -> watch::Receiver<Option<Arc<Authority>>> {
        self.opened.subscribe()
    }

    /// True once this node serves a cluster.
    pub fn settled(&self) -> watch::Receiver<bool> {
        self.settled.subscribe()
    }

    /// Makes this node a cluster, or completes what a cut founding left. Refused if it is one.
    pub async fn found(&self, caller: Caller) -> Result<Arc<Authority>> {
        let _turn = self.turn.lock().await;
        let consensus = self.parts.control.consensus();
        if !consensus.is_founded() {
            consensus.found().await?;
        }
        self.parts.control.group()?.ready(READY_DEADLINE).await?;
        let local = self.confirmed().await?;
        if let (Some(record), Some(_)) = (local.record, local.authority) {
            return Err(Refusal::new(
                Code::AlreadyFounded,
                format!("this node already belongs to cluster {}", record.cluster_id),
            )
            .hint("start it without --init: keikod run --data-dir D"));
        }
        self.complete(caller).await
    }

    /// Makes this empty node a member of a cluster.
    pub async fn join(&self, join: &Join) -> Result<wire::JoinResponse> {
        let turn = self.turn.lock().await;
        let FoundingParts { control, key, names, data_dir, node, .. } = &self.parts;
        if control.consensus().is_founded() {
            return Err(Refusal::new(
                Code::AlreadyFounded,
                "this node already belongs to a cluster",
            )
            .hint("a node joins with an empty data folder"));
        }
        let (node, names) = (node.clone(), names.subjects());
        let joining = Joining { join, node, names, key, data_dir };
        let membership = joining.trade().await?;
        tracing::info!(cluster = membership.cluster_id, id = membership.node_id, "joined");
        control.consensus().join(membership.node_id).await?;
        drop(turn);
        self.open(None).await?;
        let ca_hash = ca_hash_of(&join.token)?.to_owned();
        let Membership { cluster_id, node_id, .. } = membership;
        Ok(wire::JoinResponse { cluster_id, node_id, ca_hash })
    }

    /// Goes on with the cluster that this node is of. `join` names the one that is meant.
    pub async fn open(&self, join: Option<&Join>) -> Result<()> {
        let _turn = self.turn.lock().await;
        let group = self.parts.control.group()?;
        self.check_meant(join)?;
        if self.is_alone(&group) {
            group.ready(READY_DEADLINE).await?;
            return self.complete(self.parts.control.as_node()).await.map(drop);
        }
        self.take_place()?;
        let _led = group.ready(SETTLE).await;
        if !self.has_state()? {
            let waiting = "the cluster's state is not here yet: the leader sends it";
            let task = self.parts.readiness.task("state", waiting);
            while !self.has_state()? {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            task.done();
        }
        Membership::note_state(&self.parts.data_dir)?;
        self.settled.send_replace(true);
        Ok(())
    }

    /// The only member needs nobody.
    fn is_alone(&self, group: &Group) -> bool {
        let members = group.members();
        let own = self.parts.control.consensus().node_id();
        members.len() == 1 && members.iter().all(|member| member.id == own)
    }

    fn check_meant(&self, join: Option<&Join>) -> Result<()> {
        let Some(join) = join.filter(|join| !join.token.is_empty()) else { return Ok(()) };
        let of_token = ca_hash_of(&join.token)?;
        let own = self.ca_hashes()?;
        if own.is_empty() || own.iter().any(|own| own == of_token) {
            return Ok(());
        }
        let own = own.join(", ");
        Err(Refusal::new(Code::WrongCluster, "this data folder is of another cluster")
            .cause(format!("its CA is {own}, that of the token is {of_token}"))
            .hint("to join another cluster a node needs an empty data folder"))
    }

    /// Of every CA that is or was the cluster's, as far as this node knows: the token that it joined
    /// with may be older than the one that is.
    fn ca_hashes(&self) -> Result<Vec<String>> {
        let former = self.local()?.authority.map(|stored| stored.former).unwrap_or_default();
        let pem = self.ca_pem()?.unwrap_or_default();
        Ok(crate::net::ca_hashes_of_pem(&pem).into_iter().chain(former).collect())
    }

    /// Of those that count, the one first that signs people.
    fn ca_pem(&self) -> Result<Option<String>> {
        let Local { authority, rotation, .. } = self.local()?;
        if let Some(stored) = authority {
            return Ok(Some(Bundle::trusted_pem(&stored, rotation.as_ref())));
        }
        Ok(std::fs::read_to_string(self.parts.data_dir.join("ca.pem")).ok())
    }

    /// Shows who this node is with what is at hand, so that whoever calls it meets no stranger. One
    /// that has no cluster yet, or whose founding was cut, has nothing to show.
    pub async fn show(&self) -> Result<()> {
        if !self.parts.control.consensus().is_founded() {
            return Ok(());
        }
        let group = self.parts.control.group()?;
        if self.is_alone(&group) {
            // Behind a restore the state still has the old authority, which nobody can open here:
            // what forgets it is the log's next entry.
            group.ready(READY_DEADLINE).await?;
        }
        self.show_known().map(drop)
    }

    /// Which cluster it is of; `None` if it can't tell.
    fn show_known(&self) -> Result<Option<String>> {
        let FoundingParts { key, names, certificates, data_dir, .. } = &self.parts;
        let Local { record, authority: stored, rotation } = self.local()?;
        let cluster_id = match record {
            Some(record) => Some(record.cluster_id),
            None => Membership::read(data_dir)?.map(|noted| noted.cluster_id),
        };
        let open = |stored: wire::Authority| {
            Authority::open_within(&stored, rotation.as_ref(), &self.parts.keys)
        };
        let authority = match stored.map(open) {
            Some(Ok(authority)) => Some(authority),
            Some(Err(refusal)) if self.is_alone(&self.parts.control.group()?) => {
                return Err(refusal);
            }
            // Another voter has the key.
            Some(Err(refusal)) => {
                tracing::warn!(code = %refusal.code, "{refusal}");
                None
            }
            None => None,
        };
        let certificate = match &authority {
            Some(authority) => authority.issue_node(names, key)?,
            None => match std::fs::read_to_string(data_dir.join(CERTIFICATE)) {
                Ok(pem) => NodeCertificate::from_stored(&pem, key)?,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(unknown_place(&format!("{CERTIFICATE}: {error}"))),
            },
        };
        let (Some(cluster_id), Some(ca_pem)) = (cluster_id, self.ca_pem()?) else {
            return Ok(None);
        };
        certificates.show(certificate)?;
        crate::net::write_public(&data_dir.join("ca.pem"), ca_pem.as_bytes())?;
        if let Some(authority) = authority {
            self.opened.send_replace(Some(Arc::new(authority)));
        }
        Ok(Some(cluster_id))
    }

    /// Shows who this node is, and opens the way to the others, with what is at hand.
    fn take_place(&self) -> Result<()> {
        let FoundingParts { names, data_dir, control, .. } = &self.parts;
        let noted = Membership::read(data_dir)?;
        if noted.is_none() {
            self.check_founder()?;
        }
        if let Some(noted) = noted.filter(|noted| noted.name != names.node()) {
            return Err(Refusal::new(
                Code::ConfigInvalid,
                format!("this is node {}, and it was told to be {}", noted.name, names.node()),
            )
            .hint(format!("start it with --node-name {}", noted.name)));
        }
        let Some(cluster_id) = self.show_known()? else {
            return Err(unknown_place(
                "its certificate, that of the CA, or the cluster is missing",
            ));
        };
        self.meet(&cluster_id)?;
        tracing::info!(
            cluster = cluster_id,
            id = control.consensus().node_id(),
            "peers can be met"
        );
        Ok(())
    }

    /// Without a note this is the founder, or a node that lost its note: that one must not vote as
    /// somebody else.
    fn check_founder(&self) -> Result<()> {
        let (id, name) = (self.parts.control.consensus().node_id(), self.parts.names.node());
        let known = self.parts.neighbours.read_nodes()?;
        match known.into_iter().find(|node| node.id == id) {
            Some(node) if node.name != name => Err(unknown_place("node.json is missing")
                .cause(format!("without it this would be node {id}, and that is {}", node.name))),
            Some(_) | None => Ok(()),
        }
    }

    /// Opens the way to the other nodes, once.
    fn meet(&self, cluster_id: &str) -> Result<()> {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(listener) = listener else { return Ok(()) };
        let FoundingParts { control, names, certificates, hosting, shutdown, .. } = &self.parts;
        let pins = Arc::new(self.parts.neighbours.clone());
        let tls = PeerTls::new(cluster_id, certificates, pins)?;
        let own = Introduction {
            cluster_id: cluster_id.to_owned(),
            name: names.node().to_owned(),
            id: control.consensus().node_id(),
            dialer: tls.dialer(),
        };
        let host: Arc<dyn Host> = hosting.clone();
        control.consensus().meet(own, &tls, listener, host, shutdown.clone())?;
        let readiness = self.parts.readiness.clone();
        tokio::spawn(self.parts.neighbours.clone().run(readiness, shutdown.clone()));
        // At once: nobody hears a node whose certificate expired while it was away.
        tokio::spawn(self.renewal().run(shutdown.clone()));
        tokio::spawn(self.keeper().run(shutdown.clone()));
        Ok(())
    }

    fn renewal(&self) -> Renewal {
        let FoundingParts { key, names, certificates, data_dir, neighbours, .. } = &self.parts;
        Renewal {
            signer: Signer {
                own: self.opened(),
                wanted: self.wanted.subscribe(),
                voters: Arc::new(neighbours.clone()),
            },
            certificates: Arc::clone(certificates),
            names: names.clone(),
            key: Arc::clone(key),
            keep: Some(data_dir.join(CERTIFICATE)),
        }
    }

    fn keeper(&self) -> Keeper {
        let FoundingParts { control, keys, data_dir, neighbours, .. } = &self.parts;
        Keeper {
            control: control.clone(),
            neighbours: neighbours.clone(),
            keys: keys.clone(),
            ca_path: data_dir.join("ca.pem"),
            opened: self.opened.clone(),
            wanted: self.wanted.clone(),
        }
    }

    async fn complete(&self, caller: Caller) -> Result<Arc<Authority>> {
        let FoundingParts { control, keys, key, names, certificates, data_dir, .. } = &self.parts;
        let Local { record, authority, rotation } = self.confirmed().await?;
        let cluster_id = match record {
            Some(record) => record.cluster_id,
            None => self.write_record(caller.clone()).await?,
        };
        let stored = match authority {
            Some(stored) => stored,
            None => self.write_authority(&cluster_id, caller).await?,
        };
        let authority = Arc::new(Authority::open_within(&stored, rotation.as_ref(), keys)?);
        // Who is alone may have another name from now on. Beside others it is held to the note.
        if Membership::read(data_dir)?.is_none_or(|noted| noted.name != names.node()) {
            let node_id = control.consensus().node_id();
            let name = names.node().to_owned();
            Membership::new(cluster_id.clone(), node_id, name).write(data_dir)?;
        }
        Membership::note_state(data_dir)?;
        authority.write_ca(&data_dir.join("ca.pem"))?;
        let certificate = authority.issue_node(names, key)?;
        crate::net::write_public(&data_dir.join(CERTIFICATE), certificate.pem().as_bytes())?;
        certificates.show(certificate)?;
        self.opened.send_replace(Some(Arc::clone(&authority)));
        self.meet(&cluster_id)?;
        self.settled.send_replace(true);
        Ok(authority)
    }

    /// False too while a snapshot replaces what there is.
    fn has_state(&self) -> Result<bool> {
        match self.local() {
            Ok(local) => Ok(local.record.is_some()),
            Err(refusal) if refusal.code == Code::NotReady => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// As this node has it now.
    fn local(&self) -> Result<Local> {
        self.parts.control.group()?.read_now(Local::read)
    }

    /// As a quorum has it.
    async fn confirmed(&self) -> Result<Local> {
        let consistency = Consistency::Linearizable.into();
        Ok(self.parts.control.read(consistency, Local::read).await?.value)
    }

    async fn write_record(&self, caller: Caller) -> Result<String> {
        let cluster_id = Uuid::now_v7().to_string();
        let id = self.parts.control.consensus().node_id();
        let founder = Some(wire::Node { id, ..self.parts.node.clone() });
        let op = cluster_op::Op::Found(FoundCluster { cluster_id: cluster_id.clone(), founder });
        // The retry of an init would carry the same id as this entry and the next one.
        let caller = Caller { request_id: Vec::new(), ..caller };
        self.parts.control.write(caller, Room::Cluster(ClusterOp { op: Some(op) })).await?;
        Ok(cluster_id)
    }

    async fn write_authority(&self, cluster_id: &str, caller: Caller) -> Result<wire::Authority> {
        let (authority, _) = Authority::create(cluster_id, &self.parts.keys)?;
        let op =
            security_op::Op::StoreAuthority(StoreAuthority { authority: Some(authority.clone()) });
        let caller = Caller { request_id: Vec::new(), ..caller };
        self.parts.control.write(caller, Room::Security(SecurityOp { op: Some(op) })).await?;
        Ok(authority)
    }
}

impl Local {
    pub(super) fn read(view: &crate::store::View<'_>) -> Self {
        let group = GroupId::CONTROL;
        Self {
            record: cluster::record(view, group),
            authority: security::authority(view, group),
            rotation: security::rotation(view, group),
        }
    }
}

fn unknown_place(why: &str) -> Refusal {
    Refusal::new(Code::KeyMaterial, "this node can't show its peers who it is")
        .cause(why)
        .hint("restore D/node.pem, D/node.json and D/keys")
        .hint("or, on a member that serves: keikoctl node repair NAME")
}
