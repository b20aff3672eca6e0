//! A server with a registry, one token, and whoever a test makes known.

use super::clients::Badge;
use super::registry::{Room, Seen};
use super::stubs::{Desk, Members, Shelf};
use crate::net::*;
use keiko_proto::v1 as wire;
use keiko_proto::v1::cluster_server::ClusterServer;
use keiko_proto::v1::registry_server::RegistryServer;
use keiko_proto::v1::security_server::SecurityServer;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(super) const CLUSTER: &str = "c-1";

/// What the node says of itself, as a test sets it.
pub(super) struct Node {
    pub(super) phase: Mutex<Phase>,
}

impl State for Node {
    fn phase(&self) -> Phase {
        *self.phase.lock().unwrap()
    }

    fn missing(&self) -> Vec<Missing> {
        if self.phase() == Phase::Serving {
            return Vec::new();
        }
        vec![Missing { what: "cluster".into(), remedy: "keikoctl cluster init".into() }]
    }
}

/// The tokens and people as they are stored now.
#[derive(Clone, Default)]
pub(super) struct Known {
    tokens: Arc<Mutex<Vec<wire::Token>>>,
    people: Arc<Mutex<Vec<wire::PersonEntry>>>,
    /// What bindings hand to everybody.
    bound: Arc<Mutex<Bound>>,
}

impl Known {
    pub(super) fn change(&self, change: impl FnOnce(&mut Vec<wire::Token>)) {
        change(&mut self.tokens.lock().unwrap());
    }

    pub(super) fn change_people(&self, change: impl FnOnce(&mut Vec<wire::PersonEntry>)) {
        change(&mut self.people.lock().unwrap());
    }

    /// Hands these permissions on these resources to everybody.
    pub(super) fn bind(&self, permissions: &[&str], resources: &[&str]) {
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let rule = wire::Rule { permissions: texts(permissions), resources: texts(resources) };
        let role = wire::Role { name: "custom".into(), rules: vec![rule], ..Default::default() };
        let grants = keiko_core::security::Grants::of_role("a-binding", &role).unwrap();
        *self.bound.lock().unwrap() = Arc::new(grants);
    }

    /// Takes it back.
    pub(super) fn unbind(&self) {
        *self.bound.lock().unwrap() = Bound::default();
    }
}

#[tonic::async_trait]
impl Tokens for Known {
    async fn find(&self, id: &str) -> Option<(wire::Token, Bound)> {
        let token = self.tokens.lock().unwrap().iter().find(|token| token.id == id).cloned()?;
        Some((token, self.bound.lock().unwrap().clone()))
    }

    async fn person(&self, name: &str, _key_hash: &str) -> Option<(wire::PersonEntry, Bound)> {
        let person =
            self.people.lock().unwrap().iter().find(|person| person.name == name).cloned()?;
        Some((person, self.bound.lock().unwrap().clone()))
    }

    async fn is_former(&self, _ca_hash: &str) -> bool {
        false
    }
}

/// A running server and what is needed to call it.
pub(super) struct World {
    pub(super) handle: Handle,
    pub(super) node: Arc<Node>,
    pub(super) shutdown: CancellationToken,
    pub(super) certificates: Arc<Certificates>,
    pub(super) authority: Arc<Authority>,
    pub(super) renewal: Renewal,
    /// Of agent default/hello.
    pub(super) token: String,
    pub(super) expired: String,
    pub(super) known: Known,
    pub(super) seen: Seen,
    pub(super) admitted: Arc<AtomicBool>,
    /// Told when a call has begun that takes a while.
    pub(super) paused: Arc<Notify>,
    folder: tempfile::TempDir,
}

pub(super) fn start() -> World {
    start_with(Limits::default())
}

/// The cluster's authority, and what this node shows.
fn found(folder: &std::path::Path) -> (Arc<Authority>, Renewal) {
    let keys = Keys::open(&folder.join("keys")).unwrap();
    let (stored, _) = Authority::create(CLUSTER, &keys).unwrap();
    let authority = Arc::new(Authority::open(&stored, &keys).unwrap());
    let names = Names::new("n1", []);
    let certificates = Certificates::new(NodeCertificate::ephemeral(&names).unwrap()).unwrap();
    let key = Arc::new(NodeKey::open_or_create(&folder.join("keys")).unwrap());
    let signer = Signer::of(Arc::clone(&authority));
    (authority, Renewal { signer, certificates, names, key, keep: None })
}

/// Of agent default/hello.
fn stored(token: &NewToken, expires_ms: u64) -> wire::Token {
    wire::Token {
        id: token.id.clone(),
        hash_algorithm: token::HASH_ALGORITHM.into(),
        hash: token.hash.to_vec(),
        role: "agent".into(),
        scope: "agent/default/hello".into(),
        expires_ms,
        ..Default::default()
    }
}

pub(super) fn start_with(limits: Limits) -> World {
    let folder = tempfile::tempdir().unwrap();
    let (authority, renewal) = found(folder.path());
    let certificates = Arc::clone(&renewal.certificates);
    let token = || new_token(authority.ca_hash()).unwrap();
    let (good, expired) = (token(), token());
    let known = Known::default();
    known.change(|all| all.extend([stored(&good, u64::MAX), stored(&expired, 1)]));
    let bind = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = socket::Settings { path: folder.path().join("s"), group: None, links: vec![] };
    let (seen, admitted) = (Seen::default(), Arc::new(AtomicBool::new(true)));
    let paused = Arc::new(Notify::new());
    let node = Arc::new(Node { phase: Mutex::new(Phase::Serving) });
    let shutdown = CancellationToken::new();
    let is_admitted = Arc::clone(&admitted);
    let server = Server {
        settings: Settings {
            node: "n1".into(),
            uids: Arc::new(move |_| is_admitted.load(Ordering::Relaxed)),
            limits,
        },
        listeners: Listeners {
            api: bind(),
            metrics: bind(),
            socket: socket::Bound::bind(&at).unwrap(),
        },
        routes: tonic::service::Routes::new(RegistryServer::new(Room {
            seen: seen.clone(),
            paused: Arc::clone(&paused),
        }))
        .add_service(ClusterServer::new(Members))
        .add_service(SecurityServer::new(Desk)),
        pages: Arc::new(Shelf),
        state: Arc::clone(&node) as Arc<dyn State>,
        tokens: Arc::new(known.clone()),
        certificates: Arc::clone(&certificates),
        metrics: Arc::new(|| "# EOF\n".to_owned()),
    };
    let handle = server.run(&shutdown).unwrap();
    certificates.show(authority.issue_node(&renewal.names, &renewal.key).unwrap()).unwrap();
    World {
        handle,
        node,
        shutdown,
        certificates,
        authority,
        renewal,
        token: good.text.to_string(),
        expired: expired.text.to_string(),
        known,
        seen,
        admitted,
        paused,
        folder,
    }
}

impl World {
    pub(super) fn set(&self, phase: Phase) {
        *self.node.phase.lock().unwrap() = phase;
    }

    pub(super) fn socket_exists(&self) -> bool {
        self.folder.path().join("s").exists()
    }

    /// Makes somebody known, with a certificate.
    pub(super) fn enroll(&self, name: &str, role: &str) -> Badge {
        self.enroll_then(name, role, SystemTime::now())
    }

    /// The same, at another time.
    pub(super) fn enroll_then(&self, name: &str, role: &str, then: SystemTime) -> Badge {
        let badge = Badge::of(&self.authority, name, then);
        let entry = wire::PersonEntry {
            name: name.into(),
            role: role.into(),
            key_hash: badge.key.key_hash().into(),
            ..Default::default()
        };
        self.known.change_people(|people| {
            people.retain(|person| person.name != name);
            people.push(entry);
        });
        badge
    }

    /// A token that is traded once.
    pub(super) fn one_use(&self, change: impl FnOnce(&mut wire::Token)) -> String {
        let new = new_token(self.authority.ca_hash()).unwrap();
        let (role, scope) = ("viewer".into(), String::new());
        let mut token = wire::Token { role, scope, one_use: true, ..stored(&new, u64::MAX) };
        change(&mut token);
        self.known.change(|all| all.push(token));
        new.text.to_string()
    }
}
