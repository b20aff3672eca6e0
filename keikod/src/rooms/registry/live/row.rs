//! The soft state of one agent or server.

use super::super::home::Home;
use super::super::millis;
use super::{Met, ProbeReport};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::registry::directory::Standing;
use keiko_proto::v1::{Lease, Live, Load};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a report of load counts: six of the default heartbeats.
const LOAD_AGE_MAX: Duration = Duration::from_secs(60);

/// After so long half of what a slow call taught is forgotten.
const LATENCY_HALF_LIFE_MS: u64 = 10_000;

/// Below this calls are equally fast, above it equally slow, when somebody is chosen. Who was never
/// called is as fast as can be, and so is soon known.
const LATENCY_US_MIN: u64 = 50_000;
const LATENCY_US_MAX: u64 = 10_000_000;

/// How long a row waits for the entry that it is for.
const UNMET_MAX: Duration = Duration::from_secs(60);

/// One row, behind its own lock.
#[derive(Default)]
pub(super) struct Row(pub(super) Mutex<State>);

/// What an agent says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Calls are welcome.
    Ready,
    /// It can't work now.
    NotReady,
    /// It finishes what it has.
    Draining,
}

impl Readiness {
    /// As in a heartbeat.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotReady => "not-ready",
            Self::Draining => "draining",
        }
    }

    /// From a heartbeat.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match text {
            "" | "ready" => Ok(Self::Ready),
            "not-ready" => Ok(Self::NotReady),
            "draining" => Ok(Self::Draining),
            other => Err(Refusal::new(
                Code::InvalidArgument,
                format!("no readiness is called {other:?}"),
            )
            .hint("one of ready, not-ready, draining")),
        }
    }
}

/// Why somebody gets no calls although its declared state would allow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// No heartbeat came in time.
    LeaseEnded,
    /// It said so, and why.
    NotReady(Box<str>),
    /// It said so.
    Draining,
    /// The node that runs it is down.
    NodeDown(Arc<str>),
    /// Another node runs it, and this one hears none.
    Isolated,
}

impl Block {
    /// True if this is why somebody of that standing gets no calls. That a node is away says more
    /// than the health that follows from it; what an operator said is the reason whatever else is.
    pub(crate) fn explains(&self, standing: Standing) -> bool {
        match standing {
            Standing::Ready | Standing::Degraded => true,
            Standing::Recovering | Standing::CoolingDown | Standing::Dead => match self {
                Self::NodeDown(_) | Self::Isolated => true,
                Self::LeaseEnded | Self::NotReady(_) | Self::Draining => false,
            },
            Standing::Draining | Standing::Suspended => false,
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaseEnded => f.write_str("its lease ended: it sends no heartbeats"),
            Self::NotReady(reason) if reason.is_empty() => {
                f.write_str("it says that it is not ready")
            }
            Self::NotReady(reason) => write!(f, "it says that it is not ready: {reason}"),
            Self::Draining => f.write_str("it says that it is draining"),
            Self::NodeDown(node) => write!(f, "node {node} is down"),
            Self::Isolated => f.write_str("another node runs it, and this node hears no other"),
        }
    }
}

/// Where a lease and its heartbeats stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pulse {
    /// The end of the lease, and of the grace behind it.
    pub(crate) lease: Option<(Instant, Instant)>,
    /// As it last said, and why.
    pub(crate) told: Option<(Readiness, Box<str>)>,
}

#[derive(Default)]
pub(super) struct State {
    /// Set once the entry was met.
    met: bool,
    made: Option<Instant>,
    suspended: bool,
    pub(super) home: Home,
    lease: Option<Granted>,
    /// When the lease is looked at next, as far as somebody planned it.
    pub(super) due: Option<Instant>,
    beat: Option<Box<Beat>>,
    stop: Option<CancellationToken>,
    pub(super) probe: Option<ProbeReport>,
    pub(super) in_flight: u32,
    pub(super) latency: Latency,
}

/// A lease that was granted.
struct Granted {
    uid: Arc<str>,
    generation: u64,
    lease: Lease,
    until: Instant,
}

#[derive(Clone)]
pub(super) struct Beat {
    pub(super) at: Instant,
    pub(super) readiness: Readiness,
    pub(super) reason: Box<str>,
    pub(super) load: Option<Load>,
}

impl State {
    /// When the lease is to be looked at, if it is a new one, or one that nobody would look at in
    /// time.
    pub(super) fn meet(&mut self, now: Instant, met: &Met, kept: bool) -> Option<Instant> {
        self.met = true;
        self.suspended = met.suspended;
        self.home = met.home.clone();
        match &self.stop {
            Some(stop) if met.suspended => stop.cancel(),
            Some(stop) if stop.is_cancelled() => self.stop = None,
            Some(_) | None => {}
        }
        let Some(lease) = met.lease else {
            self.lease = None;
            return None;
        };
        if let Some(granted) = self.lease.as_mut().filter(|granted| granted.uid == met.uid) {
            let (shorter, ended) = (lease.ttl_ms < granted.lease.ttl_ms, granted.until <= now);
            granted.lease = lease;
            if granted.generation == met.generation {
                return None;
            }
            // Registered again: as good as a heartbeat, and a shorter lease holds at once.
            granted.generation = met.generation;
            let until = now + ttl(&lease);
            granted.until = if shorter { until } else { granted.until.max(until) };
            return (shorter || ended).then_some(granted.until);
        }
        let until = now + ttl(&lease) + if kept { grace(&lease) } else { Duration::ZERO };
        let (uid, generation) = (Arc::clone(&met.uid), met.generation);
        self.lease = Some(Granted { uid, generation, lease, until });
        Some(until)
    }

    pub(super) fn grant_again(&mut self, now: Instant) {
        if let Some(granted) = &mut self.lease {
            let lease = granted.lease;
            granted.until = granted.until.max(now + ttl(&lease) + grace(&lease));
        }
    }

    pub(super) fn is_wanted(&mut self) -> bool {
        let now = Instant::now();
        self.met || now - *self.made.get_or_insert(now) < UNMET_MAX
    }

    pub(super) fn begin(&mut self) -> CancellationToken {
        self.in_flight += 1;
        let stop = self.stop.get_or_insert_default();
        if self.suspended {
            stop.cancel();
        }
        stop.clone()
    }

    /// How long the lease lasts from now on. Also when it is to be looked at, if it had ended: its
    /// next look would be the one at the end of the grace.
    pub(super) fn beat(&mut self, beat: Beat) -> (u64, Option<Instant>) {
        self.late_beat(beat.at, beat)
    }

    /// The same of one that came to another node before: what was heard since stands.
    pub(super) fn late_beat(&mut self, now: Instant, beat: Beat) -> (u64, Option<Instant>) {
        let renewed = self.lease.as_mut().map(|granted| {
            let ended = granted.until <= now;
            granted.until = granted.until.max(beat.at + ttl(&granted.lease));
            let left = granted.until.saturating_duration_since(now);
            (millis(left), (ended && !left.is_zero()).then_some(granted.until))
        });
        if self.beat.as_ref().is_none_or(|known| known.at <= beat.at) {
            self.beat = Some(Box::new(beat));
        }
        renewed.unwrap_or_default()
    }

    pub(super) fn block(&self, now: Instant) -> Option<Block> {
        if self.lease.as_ref().is_some_and(|granted| granted.until <= now) {
            return Some(Block::LeaseEnded);
        }
        let beat = self.beat.as_ref()?;
        match beat.readiness {
            Readiness::Ready => None,
            Readiness::NotReady => Some(Block::NotReady(beat.reason.clone())),
            Readiness::Draining => Some(Block::Draining),
        }
    }

    pub(super) fn pulse(&self) -> Pulse {
        let lease = self.lease.as_ref();
        Pulse {
            lease: lease.map(|granted| (granted.until, granted.until + grace(&granted.lease))),
            told: self.beat.as_ref().map(|beat| (beat.readiness, beat.reason.clone())),
        }
    }

    fn load(&self, now: Instant) -> Load {
        let beat = self.beat.as_ref().filter(|beat| now - beat.at <= LOAD_AGE_MAX);
        beat.and_then(|beat| beat.load).unwrap_or_default()
    }

    pub(super) fn pressure(&self, now: Instant) -> u64 {
        let load = self.load(now);
        let told = u64::from(load.queue_length) + u64::from(load.in_flight);
        let tasks = told.max(self.in_flight.into()) * 1000 / u64::from(load.concurrency.max(1));
        let context = match load.context_limit {
            0 => 0,
            limit => u128::from(load.context_used) * 1000 / u128::from(limit),
        };
        tasks.max(u64::try_from(context.min(1000)).unwrap_or(1000))
    }

    pub(super) fn cost(&self, now: Instant) -> u64 {
        let latency = self.latency.aged(now).clamp(LATENCY_US_MIN, LATENCY_US_MAX);
        (1000 + self.pressure(now)).saturating_mul(latency)
    }

    pub(super) fn show(&self, live: &mut Live, now: Instant, now_ms: u64) {
        if let Some(probe) = &self.probe {
            (live.last_probe_ms, live.next_probe_ms) = (probe.at_ms, probe.next_ms);
            // Rounded up: zero is what nobody measured.
            live.probe_latency_ms = millis(probe.took + Duration::from_micros(999));
            (live.failures, live.flap_penalty) = (probe.failures, probe.penalty);
        }
        if let Some(granted) = &self.lease {
            live.lease_expires_ms = match granted.until.checked_duration_since(now) {
                Some(left) => now_ms.saturating_add(millis(left)),
                None => now_ms.saturating_sub(millis(now - granted.until)),
            };
        }
        live.calls_in_flight = self.in_flight;
        live.call_latency_us = self.latency.micros();
        live.load = self.beat.as_ref().and_then(|beat| beat.load);
    }
}

/// A moving average that believes a slow call at once and forgets it slowly (peak-EWMA).
#[derive(Default)]
pub(super) struct Latency {
    micros: u64,
    at: Option<Instant>,
}

impl Latency {
    pub(super) fn observe(&mut self, now: Instant, took: Duration) {
        let sample = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let above = self.micros.saturating_sub(sample);
        self.micros = sample + decay(above, self.age(now));
        self.at = Some(now);
    }

    /// As it was when the last call ended.
    pub(super) fn micros(&self) -> u64 {
        self.micros
    }

    /// Who was not called for long is tried again.
    fn aged(&self, now: Instant) -> u64 {
        decay(self.micros, self.age(now))
    }

    fn age(&self, now: Instant) -> Duration {
        self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at))
    }
}

/// Halves every half-life, and goes straight between.
fn decay(value: u64, age: Duration) -> u64 {
    let age_ms = millis(age);
    let halvings = u32::try_from(age_ms / LATENCY_HALF_LIFE_MS).unwrap_or(u32::MAX);
    let value = value.checked_shr(halvings).unwrap_or(0);
    let part = u128::from(value) * u128::from(age_ms % LATENCY_HALF_LIFE_MS);
    let lost = part / u128::from(2 * LATENCY_HALF_LIFE_MS);
    value.saturating_sub(u64::try_from(lost).unwrap_or(value))
}

fn ttl(lease: &Lease) -> Duration {
    Duration::from_millis(lease.ttl_ms)
}

fn grace(lease: &Lease) -> Duration {
    Duration::from_millis(lease.grace_ms)
}
