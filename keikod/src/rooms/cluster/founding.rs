//! How a node comes to its cluster: it founds one, joins one, or goes on with the one that it has.
//!
//! Each step looks first whether it was already done, so that the next start completes what a crash
//! left: the log of the control group, the cluster's record, its sealed authority, the note of this
//! node's place, and then its own certificate. A node with others opens the way to them first, since
//! without them it may have no leader; it serves what it has meanwhile. Who this node is it shows
//! before it serves at all.

use super::super::{Caller, Control};
use super::host::Hosting;
use super::joining::{Joining, ca_hash_of};
use super::neighbours::Neighbours;
use crate::consensus::Group;
use crate::consensus::peer::{Host, Introduction};
use crate::lifecycle::{Membership, Readiness};
use crate::net::peer::PeerTls;
use crate::net::{Authority, Certificates, Keys, Names, NodeCertificate, NodeKey, Renewal, Signer};
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
const KEY_EVERY: Duration = Duration::from_millis(250);
const KEY_DEADLINE: Duration = Duration::from_secs(5);

/// Where a node that does not sign keeps its own certificate.
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
    settled: watch::Sender<bool>,
}

/// What the local state has of the cluster.
struct Local {
    record: Option<wire::ClusterRecord>,
    authority: Option<wire::Authority>,
}

/// What a node knows of its cluster by itself.
struct Known {
    cluster_id: String,
    ca_pem: String,
    authority: Option<Arc<Authority>>,
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
        Self { parts, listener, turn: Mutex::new(()), opened, settled }
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
        let authority = self.take_place()?;
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
        if authority.is_none() {
            self.open_later();
        }
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
        let own = self.ca_pem()?.and_then(|pem| crate::net::ca_hash_of_pem(&pem));
        match own {
            Some(own) if own != of_token => {
                Err(Refusal::new(Code::WrongCluster, "this data folder is of another cluster")
                    .cause(format!("its CA is {own}, that of the token is {of_token}"))
                    .hint("to join another cluster a node needs an empty data folder"))
            }
            _ => Ok(()),
        }
    }

    fn ca_pem(&self) -> Result<Option<String>> {
        if let Some(authority) = self.local()?.authority {
            return Ok(Some(authority.certificate));
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

    /// Which cluster it is of, with the authority if it may sign; `None` if it can't tell.
    fn show_known(&self) -> Result<Option<Known>> {
        let FoundingParts { key, names, certificates, data_dir, .. } = &self.parts;
        let Local { record, authority: stored } = self.local()?;
        let cluster_id = match record {
            Some(record) => Some(record.cluster_id),
            None => Membership::read(data_dir)?.map(|noted| noted.cluster_id),
        };
        let authority = match stored.map(|stored| Authority::open(&stored, &self.parts.keys)) {
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
        let authority = authority.map(Arc::new);
        if let Some(authority) = &authority {
            self.opened.send_replace(Some(Arc::clone(authority)));
        }
        Ok(Some(Known { cluster_id, ca_pem, authority }))
    }

    /// Shows who this node is, and opens the way to the others, with what is at hand.
    fn take_place(&self) -> Result<Option<Arc<Authority>>> {
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
        let Some(Known { cluster_id, ca_pem, authority }) = self.show_known()? else {
            return Err(unknown_place(
                "its certificate, that of the CA, or the cluster is missing",
            ));
        };
        self.meet(&ca_pem, &cluster_id)?;
        tracing::info!(
            cluster = cluster_id,
            id = control.consensus().node_id(),
            "peers can be met"
        );
        Ok(authority)
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
    fn meet(&self, ca_pem: &str, cluster_id: &str) -> Result<()> {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(listener) = listener else { return Ok(()) };
        let FoundingParts { control, names, certificates, hosting, shutdown, .. } = &self.parts;
        let tls = PeerTls::new(ca_pem, cluster_id, certificates)?;
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
        Ok(())
    }

    fn renewal(&self) -> Renewal {
        let FoundingParts { key, names, certificates, data_dir, neighbours, .. } = &self.parts;
        Renewal {
            signer: Signer { own: self.opened(), voters: Arc::new(neighbours.clone()) },
            certificates: Arc::clone(certificates),
            names: names.clone(),
            key: Arc::clone(key),
            keep: Some(data_dir.join(CERTIFICATE)),
        }
    }

    /// Opens the authority as soon as this node may: a voter gets the cluster key from another one.
    fn open_later(&self) {
        let FoundingParts { control, keys, key, names, certificates, shutdown, .. } = &self.parts;
        let (control, keys, names) = (control.clone(), keys.clone(), names.clone());
        let (key, certificates) = (Arc::clone(key), Arc::clone(certificates));
        let (opened, shutdown) = (self.opened.clone(), shutdown.clone());
        let neighbours = self.parts.neighbours.clone();
        tokio::spawn(async move {
            loop {
                let attempt = open_with_others(&control, &neighbours, &keys);
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    attempt = attempt => match attempt {
                        Ok(Some(authority)) => {
                            let shown = authority.issue_node(&names, &key);
                            if let Err(refusal) = shown.and_then(|shown| certificates.show(shown)) {
                                tracing::warn!(code = %refusal.code, "{refusal}");
                            }
                            tracing::info!("this node can sign from now on");
                            opened.send_replace(Some(authority));
                            return;
                        }
                        Ok(None) => {}
                        Err(refusal) => {
                            tracing::debug!(code = %refusal.code, "no cluster key yet: {refusal}");
                        }
                    },
                }
                tokio::time::sleep(KEY_EVERY).await;
            }
        });
    }

    async fn complete(&self, caller: Caller) -> Result<Arc<Authority>> {
        let FoundingParts { control, keys, key, names, certificates, data_dir, .. } = &self.parts;
        let Local { record, authority } = self.confirmed().await?;
        let cluster_id = match record {
            Some(record) => record.cluster_id,
            None => self.write_record(caller.clone()).await?,
        };
        let stored = match authority {
            Some(stored) => stored,
            None => self.write_authority(&cluster_id, caller).await?,
        };
        let authority = Arc::new(Authority::open(&stored, keys)?);
        // Who is alone may have another name from now on. Beside others it is held to the note.
        if Membership::read(data_dir)?.is_none_or(|noted| noted.name != names.node()) {
            let node_id = control.consensus().node_id();
            let name = names.node().to_owned();
            Membership::new(cluster_id.clone(), node_id, name).write(data_dir)?;
        }
        Membership::note_state(data_dir)?;
        authority.write_ca(&data_dir.join("ca.pem"))?;
        certificates.show(authority.issue_node(names, key)?)?;
        self.meet(authority.ca_pem(), &cluster_id)?;
        self.opened.send_replace(Some(Arc::clone(&authority)));
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
    fn read(view: &crate::store::View<'_>) -> Self {
        let group = GroupId::CONTROL;
        Self { record: cluster::record(view, group), authority: security::authority(view, group) }
    }
}

/// `None` while this node has no vote, or the state no authority.
async fn open_with_others(
    control: &Control,
    neighbours: &Neighbours,
    keys: &Keys,
) -> Result<Option<Arc<Authority>>> {
    let group = control.group()?;
    let Some(stored) = group.read_now(Local::read)?.authority else { return Ok(None) };
    if let Ok(authority) = Authority::open(&stored, keys) {
        return Ok(Some(Arc::new(authority)));
    }
    let own = control.consensus().node_id();
    let members = group.members();
    if !members.iter().any(|member| member.votes && member.id == own) {
        return Ok(None);
    }
    let key_id = stored.key.as_ref().map(|key| key.key_id.clone()).unwrap_or_default();
    let mut last = Ok(None);
    for voter in members.iter().filter(|member| member.votes && member.id != own) {
        match neighbours.cluster_key(voter, &key_id, KEY_DEADLINE).await {
            Ok(key) => {
                keys.keep(&key_id, &key)?;
                return Ok(Some(Arc::new(Authority::open(&stored, keys)?)));
            }
            Err(refusal) => last = Err(refusal),
        }
    }
    last
}

fn unknown_place(why: &str) -> Refusal {
    Refusal::new(Code::KeyMaterial, "this node can't show its peers who it is")
        .cause(why)
        .hint("restore D/node.pem, D/node.json and D/keys")
        .hint("or, on a member that serves: keikoctl node repair NAME")
}
