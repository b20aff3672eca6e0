//! Feeds the directory and the soft state from this node's journal, and knows how far it is.
//!
//! What is there is read once; then every change is taken in as it is applied here. Who asks waits
//! until the directory holds all that this node has applied, so that everybody reads their own
//! writes. Soft state meets a change first: when the directory says that somebody is suspended,
//! the calls that run are stopped already.

use super::super::Control;
use super::super::follow::{Followed, Follower};
use super::home::Home;
use super::leases::is_news;
use super::live::{Met, Readiness, Soft, owner_key};
use super::present::each;
use super::tools::Tools;
use crate::store::View;
use keiko_core::refusal::Result;
use keiko_core::registry::directory::{Directory, Standing};
use keiko_core::registry::{self, Kind, ObjectKey};
use keiko_proto::peer::AgentBeat;
use keiko_proto::v1::event::Body;
use keiko_proto::v1::object::Object as Inner;
use keiko_proto::v1::registry_event::Event as Change;
use keiko_proto::v1::{Event, Object};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long somebody waits for the directory to hold what is applied here: it is behind by less
/// than a millisecond, unless it is being read anew.
const LAG_MAX: Duration = Duration::from_secs(1);

/// The directory of this node with its soft state; a cheap clone.
#[derive(Clone)]
pub struct Feed {
    control: Control,
    soft: Soft,
    tools: Tools,
    shared: Arc<Shared>,
}

struct Shared {
    directory: RwLock<Directory>,
    /// What the directory holds everything up to; `None` until it was read.
    seen: watch::Sender<Option<u64>>,
}

/// What was read at once.
struct Present {
    directory: Directory,
    owners: Vec<(ObjectKey, Met)>,
    revision: u64,
}

impl Feed {
    /// Empty until it runs.
    pub fn new(control: Control, soft: Soft) -> Self {
        let shared = Shared { directory: RwLock::default(), seen: watch::Sender::new(None) };
        Self { control, soft, tools: Tools::default(), shared: Arc::new(shared) }
    }

    /// The clock that requests are judged by.
    pub(super) fn now_ms(&self) -> u64 {
        self.control.now_ms()
    }

    /// What only this node knows.
    pub fn soft(&self) -> &Soft {
        &self.soft
    }

    /// Heartbeats of agents that came to another node: they count as if they had come here, from
    /// when they came there.
    pub fn take_beats(&self, from: &str, beats: Vec<AgentBeat>) {
        for beat in beats {
            if let Err(refusal) = self.take_beat(&beat) {
                tracing::debug!(from, code = %refusal.code, "a heartbeat is of no use: {refusal}");
            }
        }
    }

    fn take_beat(&self, beat: &AgentBeat) -> Result<()> {
        let key = ObjectKey::parse(Kind::Agent, &beat.namespace, &beat.name)?;
        let readiness = Readiness::parse(&beat.readiness)?;
        let directory = self.directory();
        // It may be unknown here for a moment, or be gone already.
        let owner = directory.owner(Kind::Agent, key.namespace.as_str(), &key.name);
        let Some(owner) = owner else { return Ok(()) };
        let age = Duration::from_millis(beat.age_ms);
        self.soft.late_beat(&key, readiness, &beat.reason, beat.load, age);
        if is_news(owner, readiness) {
            self.soft.mark(key);
        }
        Ok(())
    }

    /// Tools that are called, as they are kept.
    pub(super) fn tools(&self) -> &Tools {
        &self.tools
    }

    /// The directory; not to be held across a wait.
    pub(super) fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.shared.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, but not for long, until the directory holds all that is applied here.
    pub(super) async fn caught_up(&self) {
        let Ok(group) = self.control.group() else { return };
        let applied = *group.revisions().borrow();
        let holds = |seen: &Option<u64>| seen.is_some_and(|seen| seen >= applied);
        if holds(&self.shared.seen.borrow()) {
            return;
        }
        let mut seen = self.shared.seen.subscribe();
        // Who waited in vain gets what is there: older is better than nothing.
        let _waited = tokio::time::timeout(LAG_MAX, seen.wait_for(holds)).await;
    }

    /// Tells of every revision that was taken in.
    pub(super) fn changes(&self) -> watch::Receiver<Option<u64>> {
        self.shared.seen.subscribe()
    }

    /// Runs until shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                result = self.follow() => if let Err(refusal) = result {
                    tracing::warn!(code = %refusal.code, "the directory is not fed: {refusal}");
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = tokio::time::sleep(RETRY_AFTER) => {}
                    }
                },
            }
        }
    }

    async fn follow(&self) -> Result<()> {
        let after = self.begin(self.control.read_local(present).await??);
        let mut follower = Follower::near(&self.control, after)?;
        while let Some(followed) = follower.next().await? {
            let reached = match followed {
                Followed::Events(events) => {
                    events.iter().for_each(|event| self.take_in(event));
                    events.last().map(|event| event.revision)
                }
                Followed::CaughtUp(revision) => Some(revision),
                Followed::Lost { .. } => return Ok(()),
            };
            self.shared.seen.send_if_modified(|seen| std::mem::replace(seen, reached) != reached);
        }
        Ok(())
    }

    fn begin(&self, present: Present) -> u64 {
        let Present { directory, owners, revision } = present;
        for (key, met) in &owners {
            self.soft.meet(key, met, true);
        }
        self.soft.keep_only(&owners.into_iter().map(|(key, _)| key).collect::<BTreeSet<_>>());
        *self.write() = directory;
        self.shared.seen.send_replace(Some(revision));
        revision
    }

    fn take_in(&self, event: &Event) {
        let Some(Body::Registry(body)) = &event.body else { return };
        match &body.event {
            Some(Change::Changed(changed)) => {
                if let Some(object) = &changed.object {
                    if let Some((key, met)) = met(object) {
                        self.soft.meet(&key, &met, false);
                    }
                    self.write().put(object);
                }
            }
            Some(Change::Deleted(object)) => {
                self.write().remove(object);
                if let Some(key) = owner_key(object) {
                    self.soft.forget(&key);
                }
            }
            Some(Change::OfferChanged(_)) | None => {}
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Directory> {
        self.shared.directory.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What soft state needs of an agent or a server; `None` for parts.
fn met(object: &Object) -> Option<(ObjectKey, Met)> {
    let key = owner_key(object)?;
    let lease = match &object.object {
        Some(Inner::Agent(agent)) => agent.spec.as_ref().and_then(|spec| spec.lease),
        Some(Inner::McpServer(_) | Inner::Tool(_) | Inner::Skill(_)) | None => None,
    };
    let metadata = registry::metadata(object)?;
    let suspended = Standing::of(registry::status(object)) == Standing::Suspended;
    let (uid, generation) = (metadata.uid.as_str().into(), metadata.generation);
    Some((key, Met { uid, generation, lease, suspended, home: Home::of(object) }))
}

/// Everything, and the revision at which it was read.
fn present(view: &View<'_>) -> Result<Present> {
    let (mut directory, mut owners) = (Directory::default(), Vec::new());
    let kinds = [Kind::Agent, Kind::McpServer, Kind::Tool, Kind::Skill];
    let revision = each(view, &kinds, |object| {
        owners.extend(met(&object));
        directory.put(&object);
    })?;
    Ok(Present { directory, owners, revision })
}
