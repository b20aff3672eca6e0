//! This node's place among others: who it is, what it shows, and how it comes to its cluster.

use super::{
    CancellationToken, Certificates, Consensus, Current, Keys, NodeCertificate, cluster, security,
};
use crate::consensus;
use crate::consensus::peer::faults;
use crate::lifecycle::{Addresses, Membership, Readiness};
use crate::net::{Authority, Names, NodeKey};
use crate::rooms::Control;
use crate::settings::Settings;
use crate::store::View;
use keiko_core::refusal::Result;
use keiko_proto::v1 as wire;
use std::net::TcpListener;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// The id of a cluster's founder. Who joins gets its id from the cluster.
const FOUNDER_ID: u64 = 1;

/// What may differ from node to node: it is no part of what is compared.
const OWN_KEYS: &[&str] = &["data-dir", "node.", "listen.", "socket.", "credentials.dir"];

/// What a node is to others.
pub(super) struct Place {
    pub(super) control: Control,
    pub(super) certificates: Arc<Certificates>,
    pub(super) key: Arc<NodeKey>,
    pub(super) names: Names,
    /// Without an id: the cluster gives it.
    pub(super) node: wire::Node,
    pub(super) neighbours: cluster::Neighbours,
    pub(super) hosting: Arc<cluster::Hosting>,
    keys: Keys,
    data_dir: std::path::PathBuf,
    opened: watch::Sender<Option<Arc<Authority>>>,
    readiness: Readiness,
    closing: CancellationToken,
}

impl Place {
    pub(super) fn build(
        current: Arc<Current>,
        consensus: Arc<Consensus>,
        addresses: &Addresses,
        readiness: Readiness,
        closing: CancellationToken,
    ) -> Result<Self> {
        let settings = current.settings();
        let data_dir = settings.data_dir.value.clone();
        let name = settings.node_name.value.clone();
        let control = Control::new(consensus, name.clone(), closing.clone());
        let key = Arc::new(NodeKey::open_or_create(&data_dir.join("keys"))?);
        let (names, node) = introduction(settings, addresses, &key);
        let certificates = Certificates::new(NodeCertificate::ephemeral(&names)?)?;
        certificates.set_key_exchange(current.live().tls.value);
        let keys = Keys::open(&data_dir.join("keys"))?;
        let opened = watch::Sender::new(None);
        let authority: watch::Receiver<Option<Arc<Authority>>> = opened.subscribe();
        let about = cluster::About {
            name,
            version: node.version.clone(),
            peer_address: node.peer_address.clone(),
            certificates: Arc::clone(&certificates),
            signs_with: Box::new(move || {
                authority.borrow().as_ref().map(|opened| opened.signs_with()).unwrap_or_default()
            }),
            settings_hash: settings_hash(settings),
        };
        let neighbours = cluster::Neighbours::new(control.clone(), about);
        let bindings = security::Bindings::default();
        let hosting = Arc::new(cluster::Hosting {
            neighbours: neighbours.clone(),
            routes: OnceLock::new(),
            runtime: tokio::runtime::Handle::current(),
            keys: keys.clone(),
            authority: opened.subscribe(),
            bound: Arc::new(move |view: &View<'_>, actor: &wire::Actor| {
                bindings.of_actor(view, actor)
            }),
        });
        Ok(Self {
            control,
            certificates,
            key,
            names,
            node,
            neighbours,
            hosting,
            keys,
            data_dir,
            opened,
            readiness,
            closing,
        })
    }

    /// How it comes to its cluster; `peers` is the port for other nodes.
    pub(super) fn founding(self, peers: TcpListener) -> cluster::Founding {
        let parts = cluster::FoundingParts {
            control: self.control,
            keys: self.keys,
            key: self.key,
            names: self.names,
            certificates: self.certificates,
            data_dir: self.data_dir,
            node: self.node,
            neighbours: self.neighbours,
            hosting: self.hosting,
            readiness: self.readiness,
            shutdown: self.closing,
        };
        cluster::Founding::new(parts, peers, self.opened)
    }
}

/// By which names a node is reached, and what it tells of itself: all but the id, which the cluster
/// gives.
pub(crate) fn introduction(
    settings: &Settings,
    addresses: &Addresses,
    key: &NodeKey,
) -> (Names, wire::Node) {
    let (name, host) = (settings.node_name.value.clone(), &settings.advertise.value);
    let names = Names::new(name.clone(), [addresses.api.ip(), addresses.peer.ip()]).also(host);
    let names = settings.names.iter().fold(names, |names, also| names.also(also));
    let node = wire::Node {
        name,
        api_address: advertised(host, addresses.api.port()),
        peer_address: advertised(host, addresses.peer.port()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        feature_level: faults::level(),
        key_hash: key.key_hash().to_owned(),
        ..Default::default()
    };
    (names, node)
}

/// Opens the store and starts the groups that it holds.
pub(super) fn open_consensus(settings: &Settings, addresses: &Addresses) -> Result<Consensus> {
    let membership = Membership::read(&settings.data_dir.value)?;
    let node_id = membership.as_ref().map_or(FOUNDER_ID, |membership| membership.node_id);
    Consensus::open(consensus::Settings {
        is_member: membership.is_some(),
        had_state: membership.is_some_and(|membership| membership.had_state),
        node_addr: advertised(&settings.advertise.value, addresses.peer.port()),
        heartbeat_ms: *settings.heartbeat_ms,
        election_ms_min: *settings.election_ms_min,
        election_ms_max: *settings.election_ms_max,
        snapshot_entries: *settings.snapshot_entries,
        ..consensus::Settings::new(
            settings.data_dir.value.clone(),
            node_id,
            settings.node_name.value.clone(),
        )
    })
}

/// host:port as others write it.
fn advertised(host: &str, port: u16) -> String {
    match host.parse::<std::net::Ipv6Addr>() {
        Ok(address) => format!("[{address}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    }
}

/// BLAKE3, hex, of all that should be the same on every node, as it was at the start.
fn settings_hash(settings: &Settings) -> String {
    let mut hasher = blake3::Hasher::new();
    for row in settings.rows() {
        if !OWN_KEYS.iter().any(|own| row.key.starts_with(own)) {
            hasher.update(format!("{}={}\n", row.key, row.value).as_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}
