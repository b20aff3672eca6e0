//! Ten thousand agents that register themselves and beat every ten seconds.
//!
//! A hundred connections carry a hundred agents each: every second one sends one call with all of
//! its beats, the others one call for each beat, evenly over the ten seconds. An agent begins to
//! beat as soon as its connection has registered its share, so no lease runs out meanwhile.

use super::cards::Cards;
use super::commands::{LISTED, NAMESPACE};
use super::figures::{Goal, Point, Times};
use super::{Node, machine};
use anyhow::{Context as _, Result};
use keiko_client::{Client, rooms};
use keiko_core::registry::directory::Directory;
use keiko_proto::v1 as wire;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

/// Connections that the fleet shares, if it is large enough.
const CONNECTIONS: usize = 100;
/// As agents do by default.
const PERIOD: Duration = Duration::from_secs(10);
const LEASE_TTL_MS: u64 = 30_000;
/// Long: an agent whose lease ended is counted, not removed.
const LEASE_GRACE_MS: u64 = 600_000;
/// What registering all of them may take: a hundred a second, with room.
const JOIN_MAX: Duration = Duration::from_secs(300);

/// Where the agent with this number is.
pub(super) fn namespace(number: usize) -> &'static str {
    if number < LISTED { NAMESPACE } else { "fleet" }
}

/// What the agent with this number is called.
pub(super) fn name(number: usize) -> String {
    format!("agent-{number:05}")
}

/// The agents, until they leave.
pub(super) struct Fleet {
    counts: Arc<Counts>,
    connections: JoinSet<Result<()>>,
    memory: Vec<Point>,
    /// Dropped last: probes go on for as long as the agents are there.
    _cards: Arc<Cards>,
}

/// What the beats met.
#[derive(Default)]
struct Counts {
    beats: AtomicU64,
    refused: AtomicU64,
    calls: Mutex<Times>,
    first_refusal: Mutex<Option<String>>,
}

impl Fleet {
    /// Registers all of them; from here on they beat.
    pub(super) async fn join(node: &Node<'_>) -> Result<Self> {
        let agents = node.settings.agents;
        let cards = Arc::new(Cards::start().await?);
        let before = machine::resident_kib(node.settings.pid)?;
        let counts = Arc::new(Counts::default());
        let count = CONNECTIONS.min(agents.div_ceil(10)).max(1);
        let (joined, mut ready) = tokio::sync::mpsc::channel(count);
        let (mut connections, start) = (JoinSet::new(), Instant::now());
        for connection in 0..count {
            let member = Member {
                client: node.connect().await?,
                numbers: (connection..agents).step_by(count).collect(),
                phase: PERIOD * u32::try_from(connection)? / u32::try_from(count)?,
                is_batched: connection % 2 == 0,
                cards: Arc::clone(&cards),
                counts: Arc::clone(&counts),
            };
            connections.spawn(member.live(joined.clone()));
        }
        drop(joined);
        for _ in 0..count {
            let left = JOIN_MAX.saturating_sub(start.elapsed());
            let one = tokio::time::timeout(left, ready.recv()).await;
            if !matches!(one, Ok(Some(()))) {
                // The reason is with the one that ended.
                while let Some(ended) = connections.try_join_next() {
                    ended.context("a connection of the fleet")??;
                }
                anyhow::bail!("not all agents are registered after {:?}", start.elapsed());
            }
        }
        let took = start.elapsed().as_secs_f64();
        let grown = machine::resident_kib(node.settings.pid)? - before;
        let mut memory = vec![
            Point::new("memory", format!("{agents} agents registered"), agents as f64 / took, "/s"),
            Point::new("memory", "node: resident growth", grown / agents as f64, "KiB each"),
        ];
        memory.extend(index(node).await?);
        Ok(Self { counts, connections, memory, _cards: cards })
    }

    pub(super) fn memory(&self) -> Result<Vec<Point>> {
        Ok(self.memory.clone())
    }

    /// Watches the beats for a while, with nothing else going on.
    pub(super) async fn beat_for(&self, node: &Node<'_>) -> Result<Vec<Point>> {
        let (pid, time) = (node.settings.pid, node.settings.heartbeat_time);
        self.counts.take_calls();
        let (beats, cpu) = (self.counts.beats.load(Relaxed), machine::cpu_time(pid)?);
        let start = Instant::now();
        sleep(time).await;
        let seconds = start.elapsed().as_secs_f64();
        let cpu = machine::cpu_time(pid)?.saturating_sub(cpu).as_secs_f64();
        let beats = self.counts.beats.load(Relaxed) - beats;
        let mut calls = self.counts.take_calls();
        let refused = self.counts.refused.load(Relaxed);
        if let Some(first) = self.counts.first_refusal() {
            super::complain(&format!("heartbeats: {first}"));
        }
        let unroutable = unroutable(node).await?;
        let point = |what: &str, value, unit: &str| Point::new("heartbeats", what, value, unit);
        Ok(vec![
            point("heartbeats", beats as f64 / seconds, "/s"),
            point("heartbeats: CPU of the node", 100.0 * cpu / seconds, "% core"),
            point("heartbeats: call p99", calls.percentile_ms(99.0), "ms"),
            point("heartbeats: refused, since all joined", refused as f64, "")
                .goal(Goal::AtMost(0.0)),
            point("heartbeats: agents expired", unroutable as f64, "").goal(Goal::AtMost(0.0)),
        ])
    }

    /// Ends the beats.
    pub(super) async fn leave(mut self) {
        self.connections.shutdown().await;
    }
}

impl Counts {
    fn take_calls(&self) -> Times {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn first_refusal(&self) -> Option<String> {
        self.first_refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refused(&self, why: &str) {
        self.refused.fetch_add(1, Relaxed);
        let mut first = self.first_refusal.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| why.to_owned());
    }
}

/// One connection with its agents.
struct Member {
    client: Client,
    numbers: Vec<usize>,
    /// When in the period it begins, so that not all of them beat at once.
    phase: Duration,
    is_batched: bool,
    cards: Arc<Cards>,
    counts: Arc<Counts>,
}

impl Member {
    async fn live(self, joined: tokio::sync::mpsc::Sender<()>) -> Result<()> {
        for number in &self.numbers {
            self.register(*number).await.with_context(|| name(*number))?;
        }
        joined.send(()).await?;
        let beats: Vec<wire::Beat> = self.numbers.iter().map(|number| beat(*number)).collect();
        let mut registry = self.client.registry();
        let calls = if self.is_batched { 1 } else { beats.len().max(1) };
        let mut due = interval_at(Instant::now() + self.phase, PERIOD / u32::try_from(calls)?);
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for round in 0.. {
            due.tick().await;
            match self.is_batched {
                true => self.send(&mut registry, beats.clone()).await,
                false => self.send(&mut registry, vec![beats[round % calls].clone()]).await,
            }
        }
        Ok(())
    }

    async fn register(&self, number: usize) -> Result<()> {
        let request = wire::RegisterAgentRequest {
            namespace: namespace(number).to_owned(),
            name: name(number),
            url: self.cards.url(number),
            lease_ttl_ms: LEASE_TTL_MS,
            lease_grace_ms: LEASE_GRACE_MS,
            ..Default::default()
        };
        let call = |client: Client, request| async move {
            client.registry().register_agent(request).await
        };
        self.client.write(None, request, call).await?;
        Ok(())
    }

    async fn send(&self, registry: &mut rooms::Registry, beats: Vec<wire::Beat>) {
        let (count, start) = (beats.len() as u64, Instant::now());
        let answer = registry.heartbeat(wire::HeartbeatRequest { beats }).await;
        self.counts.calls.lock().unwrap_or_else(PoisonError::into_inner).push(start.elapsed());
        match answer {
            Err(status) => self.counts.refused(status.message()),
            Ok(answer) => {
                let answers = answer.into_inner().answers;
                for refusal in answers.into_iter().filter_map(|answer| answer.refusal) {
                    self.counts.refused(&refusal.message);
                }
            }
        }
        self.counts.beats.fetch_add(count, Relaxed);
    }
}

fn beat(number: usize) -> wire::Beat {
    let load = wire::Load { concurrency: 8, in_flight: 1, ..Default::default() };
    wire::Beat {
        namespace: namespace(number).to_owned(),
        name: name(number),
        load: Some(load),
        ..Default::default()
    }
}

/// Every object of a kind, page by page.
async fn all(client: &Client, kind: wire::Kind) -> Result<Vec<wire::Object>> {
    let (mut items, mut registry) = (Vec::new(), client.registry());
    let mut page_token = String::new();
    loop {
        let request = wire::ListRequest { kind: kind.into(), page_token, ..Default::default() };
        let page = registry.list(request).await?.into_inner();
        items.extend(page.items);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(items);
        }
    }
}

/// Agents of the fleet that no call would be sent to.
async fn unroutable(node: &Node<'_>) -> Result<usize> {
    let agents = all(&node.client, wire::Kind::Agent).await?;
    let routable = agents.iter().filter(|object| is_routable(object)).count();
    Ok(node.settings.agents.saturating_sub(routable))
}

fn is_routable(object: &wire::Object) -> bool {
    let Some(wire::object::Object::Agent(agent)) = &object.object else { return false };
    let metadata = agent.metadata.as_ref();
    let is_ours = metadata.is_some_and(|metadata| metadata.name.starts_with("agent-"));
    let live = agent.status.as_ref().and_then(|status| status.live.as_ref());
    is_ours && live.is_some_and(|live| live.routable)
}

/// The same index as the node's, over the same objects, by its own account.
async fn index(node: &Node<'_>) -> Result<Vec<Point>> {
    let mut directory = Directory::default();
    for kind in [wire::Kind::Agent, wire::Kind::Skill] {
        for object in all(&node.client, kind).await? {
            directory.put(&object);
        }
    }
    let bytes = directory.memory() as f64 / node.settings.agents as f64;
    Ok(vec![Point::new("memory", "index", bytes, "B each").goal(Goal::AtMost(1024.0))])
}
