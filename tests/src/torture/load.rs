//! Clients that write, compare and read a few keys through every node, and note what they asked,
//! what they were told, and when.
//!
//! A key is an agent, its value a label. A client has a node of its own. Most are one person with a
//! certificate: where a node does not answer they send the same operation, under the same request
//! id, to the next one. Some are processes on a node's socket: those are somebody else on each node,
//! and send it again where they are. What none of the tries answered is in doubt. Never: takes a
//! refusal for proof that nothing happened, but for that of a swap whose revision is an old one.

use super::history::{Call, Key, Nanos, Op, Outcome, Seen};
use super::{KEYS, NAMESPACE, Settings};
use crate::cluster::Cluster;
use crate::declaration;
use crate::report::Dice;
use keiko_client::proto::v1 as wire;
use keiko_client::{Client, Endpoint, Enrolled, Identity, Trust};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// What one try may take.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Tries of one operation.
const TRIES_MAX: u32 = 3;
/// Each so many-th client is a process on a socket.
const BY_SOCKET: u32 = 3;
/// Between two operations of a client: enough load that something is always under way, and little
/// enough that a history can be checked.
const PAUSE_MS: std::ops::RangeInclusive<u64> = 2..=12;
/// Of so many operations, one is sent to the client's own node again.
const HOME: u64 = 40;
/// What getting a certificate may take.
const ENROLL: Duration = Duration::from_secs(20);
/// Before the next look where nobody takes a connection.
const AGAIN: Duration = Duration::from_millis(50);

/// `KEIKO-0032`: the object changed since it was read.
const REVISION_CONFLICT: u32 = 32;
/// `KEIKO-0030`: no such object.
const NOT_FOUND: u32 = 30;
/// What a client may be told while nodes are killed and cut off: in doubt, too late, nobody there,
/// not ready, somebody else there, no leader, shutting down, alone.
const EXPLAINED: [u32; 8] = [4, 5, 10, 13, 15, 40, 43, 46];

/// Clients at work.
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Vec<Op>>>,
    /// The writes that made the keys.
    first: Vec<Op>,
}

/// What they noted.
pub(super) struct Noted {
    /// Every operation, but for reads that were not answered.
    pub(super) ops: Vec<Op>,
    /// How often each code was met.
    pub(super) codes: BTreeMap<u32, u64>,
}

struct Shared {
    sockets: Vec<PathBuf>,
    apis: Vec<Endpoint>,
    person: Enrolled,
    trust: Trust,
    begun: Instant,
    stop: AtomicBool,
    acknowledged: AtomicU64,
    next_value: AtomicU64,
    codes: Mutex<BTreeMap<u32, u64>>,
}

/// Refusals that no fault explains.
pub(super) fn unexplained(codes: &BTreeMap<u32, u64>) -> Vec<String> {
    let odd = codes.iter().filter(|(code, _)| !EXPLAINED.contains(code));
    odd.map(|(code, count)| format!("KEIKO-{code:04} was answered {count} times")).collect()
}

impl Shared {
    fn now(&self) -> Nanos {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn value(&self) -> u64 {
        self.next_value.fetch_add(1, Ordering::Relaxed)
    }
}

impl Load {
    /// Makes the keys, and lets the clients begin.
    pub(super) async fn start(cluster: &Cluster, settings: &Settings, begun: Instant) -> Self {
        let apis = cluster.all().map(|number| api(cluster.node(number).api()));
        let shared = Arc::new(Shared {
            sockets: cluster.sockets(),
            apis: apis.collect(),
            person: person(cluster).await,
            trust: Trust::from_pem(&cluster.node(0).ca_pem()).expect("a certificate"),
            begun,
            stop: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            next_value: AtomicU64::new(1),
            codes: Mutex::default(),
        });
        let mut founder = Asking::new(0, &shared, Dice(settings.seed));
        for key in 0..KEYS {
            founder.ask(key, Call::Write { value: shared.value() }).await;
        }
        let first = founder.ops;
        let all = first.iter().all(|op| op.acknowledged().is_some());
        assert!(all && first.len() == KEYS as usize, "the keys are not made: {first:?}");
        let mut dice = Dice(settings.seed);
        let clients = (1..=settings.clients).map(|number| {
            let asking = Asking::new(number, &shared, Dice(dice.below(u64::MAX)));
            tokio::spawn(asking.run())
        });
        Self { clients: clients.collect(), shared, first }
    }

    /// Behind which everything is noted.
    pub(super) fn first_revision(&self) -> u64 {
        self.first.iter().filter_map(Op::acknowledged).max().unwrap_or_default()
    }

    /// Writes that were acknowledged so far.
    pub(super) fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Ends the clients; what they noted.
    pub(super) async fn end(self) -> Noted {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut ops = self.first;
        for client in self.clients {
            let ended = tokio::time::timeout(crate::DEADLINE, client).await;
            ops.extend(ended.expect("a client ends").expect("a client ends"));
        }
        let codes = self.shared.codes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Noted { ops, codes }
    }
}

/// One client.
struct Asking {
    number: u32,
    shared: Arc<Shared>,
    dice: Dice,
    /// The node that it asks.
    node: usize,
    client: Option<Client>,
    /// What it was told last: the value, and the revision that put it there.
    known: HashMap<Key, (u64, u64)>,
    ops: Vec<Op>,
}

impl Asking {
    fn new(number: u32, shared: &Arc<Shared>, dice: Dice) -> Self {
        let shared = Arc::clone(shared);
        let node = number as usize % shared.sockets.len();
        Self { number, shared, dice, node, client: None, known: HashMap::new(), ops: Vec::new() }
    }

    async fn run(mut self) -> Vec<Op> {
        while !self.shared.stop.load(Ordering::Relaxed) {
            if self.dice.below(HOME) == 0 {
                self.move_to(self.number as usize % self.shared.sockets.len());
            }
            let key = u32::try_from(self.dice.below(u64::from(KEYS))).unwrap_or_default();
            let call = self.choose(key);
            self.ask(key, call).await;
            let pause = PAUSE_MS.start() + self.dice.below(PAUSE_MS.end() - PAUSE_MS.start() + 1);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self.ops
    }

    fn choose(&mut self, key: Key) -> Call {
        match (self.dice.below(20), self.known.get(&key)) {
            (0..6, _) | (6..12, None) => Call::Write { value: self.shared.value() },
            (6..12, Some((expected, _))) => {
                Call::Swap { expected: *expected, value: self.shared.value() }
            }
            (12..18, _) => Call::Read { lease: false },
            _ => Call::Read { lease: true },
        }
    }

    /// One operation with all its tries.
    async fn ask(&mut self, key: Key, call: Call) {
        let Some(client) = self.connected().await else { return };
        let is_write = !matches!(call, Call::Read { .. });
        let request_id = is_write.then(|| client.request_id());
        let invoked = self.shared.now();
        let (mut outcome, mut tries) = (Outcome::Unknown, 0);
        while tries < TRIES_MAX {
            tries += 1;
            let Some(client) = self.connected_for(tries).await else { continue };
            match self.send(&client, key, call, request_id).await {
                Ok(told) => {
                    outcome = told;
                    break;
                }
                Err(code) => {
                    self.count(code);
                    // Over a socket the same request of another node is somebody else's.
                    let step = usize::from(!self.is_by_socket() || tries == TRIES_MAX);
                    self.move_to(self.node + step);
                }
            }
        }
        let returned = self.shared.now();
        self.learn(key, call, outcome);
        // A read that nobody answered says nothing.
        if is_write || outcome != Outcome::Unknown {
            let (client, node) = (self.number, u32::try_from(self.node).unwrap_or_default());
            let op = Op { client, node, key, call, invoked, returned, outcome, request_id, tries };
            self.ops.push(op);
        }
    }

    fn learn(&mut self, key: Key, call: Call, outcome: Outcome) {
        match (outcome, call) {
            (Outcome::Written { revision }, Call::Write { value } | Call::Swap { value, .. }) => {
                self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                self.known.insert(key, (value, revision));
            }
            (Outcome::Seen(Seen { value: Some(value), generation, .. }), _) => {
                self.known.insert(key, (value, generation));
            }
            // What it expected is not there any more.
            (Outcome::Refused, _) => {
                self.known.remove(&key);
            }
            (Outcome::Written { .. } | Outcome::Seen(_) | Outcome::Unknown, _) => {}
        }
    }

    fn is_by_socket(&self) -> bool {
        self.number.is_multiple_of(BY_SOCKET)
    }

    /// For the first try any node will do; after that, a process on a socket stays where it is.
    async fn connected_for(&mut self, tries: u32) -> Option<Client> {
        if tries == 1 || !self.is_by_socket() {
            return self.connected().await;
        }
        if self.client.is_none() {
            self.connect().await;
        }
        if self.client.is_none() {
            tokio::time::sleep(AGAIN).await;
        }
        self.client.clone()
    }

    /// A connection to its node, or to the next that takes one; none if nobody does.
    async fn connected(&mut self) -> Option<Client> {
        for _ in 0..self.shared.sockets.len() {
            if self.client.is_none() {
                self.connect().await;
            }
            match &self.client {
                Some(client) => return Some(client.clone()),
                None => self.move_to(self.node + 1),
            }
        }
        tokio::time::sleep(AGAIN).await;
        None
    }

    async fn connect(&mut self) {
        let Shared { sockets, apis, person, trust, .. } = &*self.shared;
        let (endpoint, identity, trust) = match self.is_by_socket() {
            true => (Endpoint::Unix(sockets[self.node].clone()), Identity::Process, None),
            false => (apis[self.node].clone(), person.identity(), Some(trust.clone())),
        };
        let settings =
            keiko_client::Settings { endpoint, identity, trust, timeout: PATIENCE, fence: None };
        let connecting = tokio::time::timeout(PATIENCE, Client::with(settings));
        self.client = connecting.await.ok().and_then(Result::ok);
    }

    fn move_to(&mut self, node: usize) {
        self.node = node % self.shared.sockets.len();
        self.client = None;
    }

    fn count(&self, code: u32) {
        let mut codes = self.shared.codes.lock().unwrap_or_else(PoisonError::into_inner);
        *codes.entry(code).or_default() += 1;
    }

    /// One try; the code of what it was refused with.
    async fn send(
        &self,
        client: &Client,
        key: Key,
        call: Call,
        request_id: Option<Uuid>,
    ) -> Result<Outcome, u32> {
        match call {
            Call::Write { value } => write(client, request_id, declared(key, value, 0)).await,
            Call::Swap { value, .. } => {
                let (_, generation) = self.known.get(&key).copied().unwrap_or_default();
                write(client, request_id, declared(key, value, generation)).await
            }
            Call::Read { lease } => read(client, key, lease).await,
        }
    }
}

/// Somebody with a certificate.
async fn person(cluster: &Cluster) -> Enrolled {
    let token = cluster.token("--for operator --name torture");
    let identity = Identity::Token(token);
    let endpoint = api(cluster.node(0).api());
    let settings =
        keiko_client::Settings { endpoint, identity, trust: None, timeout: ENROLL, fence: None };
    keiko_client::enroll(settings).await.expect("a certificate")
}

fn api(address: SocketAddr) -> Endpoint {
    Endpoint::Tls { host: address.ip().to_string(), port: address.port() }
}

async fn write(
    client: &Client,
    request_id: Option<Uuid>,
    message: wire::ApplyRequest,
) -> Result<Outcome, u32> {
    let is_swap = message.revision > 0;
    let call = |client: Client, request| async move { client.registry().apply(request).await };
    match client.write(request_id, message, call).await {
        Ok(made) => Ok(Outcome::Written { revision: made.write.unwrap_or_default().revision }),
        Err(error) if is_swap && error.refusal.code == REVISION_CONFLICT => Ok(Outcome::Refused),
        Err(error) => Err(error.refusal.code),
    }
}

async fn read(client: &Client, key: Key, lease: bool) -> Result<Outcome, u32> {
    let consistency =
        if lease { wire::Consistency::Lease } else { wire::Consistency::Linearizable };
    let request = wire::GetRequest {
        kind: wire::Kind::Agent.into(),
        namespace: NAMESPACE.to_owned(),
        name: name(key),
        consistency: consistency.into(),
        ..Default::default()
    };
    let call = |client: Client, request| async move { client.registry().get(request).await };
    match client.read(request, call).await {
        Ok(got) => {
            let revision = got.read.unwrap_or_default().revision;
            let (value, generation) = got.object.as_ref().and_then(shown).unwrap_or_default();
            Ok(Outcome::Seen(Seen { value, generation, revision }))
        }
        // Every key is made before anybody reads: this is news, and told as such.
        Err(error) if error.refusal.code == NOT_FOUND => Ok(Outcome::Seen(Seen::default())),
        Err(error) => Err(error.refusal.code),
    }
}

/// The agent of this key with this value, if nothing was declared since the revision.
fn declared(key: Key, value: u64, revision: u64) -> wire::ApplyRequest {
    let metadata = wire::Metadata {
        name: name(key),
        namespace: NAMESPACE.to_owned(),
        labels: [("value".to_owned(), value.to_string())].into(),
        ..Default::default()
    };
    wire::ApplyRequest { revision, brief: true, ..declaration::apply(metadata) }
}

fn name(key: Key) -> String {
    format!("k-{key}")
}

/// The key of an agent of ours.
pub(super) fn key(object: &wire::Object) -> Option<Key> {
    metadata(object)?.name.strip_prefix("k-")?.parse().ok()
}

/// What is there, and the revision that put it there.
pub(super) fn shown(object: &wire::Object) -> Option<(Option<u64>, u64)> {
    let metadata = metadata(object)?;
    let value = metadata.labels.get("value").and_then(|text| text.parse().ok());
    Some((value, metadata.generation))
}

fn metadata(object: &wire::Object) -> Option<&wire::Metadata> {
    match object.object.as_ref()? {
        wire::object::Object::Agent(agent) => agent.metadata.as_ref(),
        _ => None,
    }
}
