//! Clients that write, compare and read a few keys through every node, and note what they asked,
//! what they were told, and when.
//!
//! A key is an agent, its value a label. A client has a node of its own; where that does not answer
//! it sends the same operation, under the same request id, to the next one. What none of its tries
//! answered is in doubt. Never: takes a refusal for proof that nothing happened, but for that of a
//! swap whose revision is an old one.

use super::history::{Call, Key, Nanos, Op, Outcome, Seen};
use super::{KEYS, NAMESPACE, Settings};
use crate::cluster::Cluster;
use crate::report::Dice;
use keiko_client::proto::v1 as wire;
use keiko_client::{Client, Endpoint, Identity};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// What one try may take.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Tries of one operation, each at another node.
const TRIES_MAX: u32 = 3;
/// Between two operations of a client: enough load that something is always under way, and little
/// enough that a history can be checked.
const PAUSE_MS: std::ops::RangeInclusive<u64> = 2..=12;
/// Of so many operations, one is sent to the client's own node again.
const HOME: u64 = 40;
/// Nobody is there.
const URL: &str = "http://127.0.0.1:9/";

/// `KEIKO-0032`: the object changed since it was read.
const REVISION_CONFLICT: u32 = 32;
/// `KEIKO-0030`: no such object.
const NOT_FOUND: u32 = 30;

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
    begun: Instant,
    stop: AtomicBool,
    acknowledged: AtomicU64,
    next_value: AtomicU64,
    codes: Mutex<BTreeMap<u32, u64>>,
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
        let shared = Arc::new(Shared {
            sockets: cluster.sockets(),
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
            let Some(client) = self.connected().await else { continue };
            match self.send(&client, key, call, request_id).await {
                Ok(told) => {
                    outcome = told;
                    break;
                }
                Err(code) => {
                    self.count(code);
                    self.move_to(self.node + 1);
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

    /// A connection to its node, or to the next that takes one; none if nobody does.
    async fn connected(&mut self) -> Option<Client> {
        for _ in 0..self.shared.sockets.len() {
            if let Some(client) = &self.client {
                return Some(client.clone());
            }
            let endpoint = Endpoint::Unix(self.shared.sockets[self.node].clone());
            let connecting = Client::connect(endpoint, Identity::Process);
            match tokio::time::timeout(PATIENCE, connecting).await {
                Ok(Ok(client)) => self.client = Some(client.within(PATIENCE)),
                Ok(Err(_)) | Err(_) => self.move_to(self.node + 1),
            }
        }
        if self.client.is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.client.clone()
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
    let agent = wire::Agent {
        api_version: "keiko/v1".to_owned(),
        kind: "Agent".to_owned(),
        metadata: Some(wire::Metadata {
            name: name(key),
            namespace: NAMESPACE.to_owned(),
            labels: [("value".to_owned(), value.to_string())].into(),
            ..Default::default()
        }),
        spec: Some(wire::AgentSpec { url: URL.to_owned(), ..Default::default() }),
        status: None,
    };
    let object = Some(wire::Object { object: Some(wire::object::Object::Agent(agent)) });
    wire::ApplyRequest { object, revision, brief: true, ..Default::default() }
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
