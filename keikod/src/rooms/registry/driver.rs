//! One supervisor for each entry, none for those that are gone.
//!
//! Follows the journal of this node: what is there at the start gets its supervisor, and every
//! later change is met by starting, restarting or stopping one.

use super::super::Control;
use super::super::follow::{Followed, follow};
use super::agents::AgentProbe;
use super::link::Link;
use super::supervise::{Supervised, Supervisor};
use super::{Metrics, Reach};
use crate::store::View;
use keiko_core::house;
use keiko_core::id::GroupId;
use keiko_core::refusal::Result;
use keiko_core::registry::{self, Filter, Kind, ObjectKey};
use keiko_core::selector::Selector;
use keiko_proto::v1::{McpServer, McpServerSpec, Object, object::Object as Inner};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const GROUP: GroupId = GroupId::CONTROL;
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a stopped link may take to end its process.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// The live links of this node; a cheap clone.
#[derive(Clone)]
pub struct Fleet {
    pub(super) control: Control,
    pub(super) reach: Reach,
    pub(super) metrics: Metrics,
    servers: Arc<Mutex<BTreeMap<ObjectKey, Supervised>>>,
    /// Links that registration opened, until their entry is met.
    offered: Arc<Mutex<BTreeMap<ObjectKey, Link>>>,
    agents: Arc<Mutex<BTreeMap<ObjectKey, (String, CancellationToken)>>>,
    stop: CancellationToken,
}

impl Fleet {
    /// Ends with `stop`.
    pub fn new(control: Control, reach: Reach, metrics: Metrics, stop: CancellationToken) -> Self {
        let (servers, offered, agents) = (Arc::default(), Arc::default(), Arc::default());
        Self { control, reach, metrics, servers, offered, agents, stop }
    }

    /// The supervised link of a server, if this node has one.
    pub(super) fn server(&self, key: &ObjectKey) -> Option<Supervised> {
        self.lock().get(key).cloned()
    }

    /// Leaves a link for the entry that is about to be proposed: the journal may show the entry
    /// here before the proposal returns, and a command must not be started twice.
    pub(super) fn offer(&self, key: &ObjectKey, link: Link) {
        self.offers().insert(key.clone(), link);
    }

    /// Takes back a link whose entry was refused.
    pub(super) fn take_back(&self, key: &ObjectKey) -> Option<Link> {
        self.offers().remove(key)
    }

    /// Starts the supervisor of a registered server, unless the journal was faster.
    pub(super) fn adopt(&self, key: &ObjectKey, uid: &str, server: McpServer) {
        let mut servers = self.lock();
        if servers.get(key).is_some_and(|supervised| supervised.uid == uid) {
            drop(servers);
            // The same entry was renewed: its own link lives.
            if let Some(link) = self.take_back(key) {
                tokio::spawn(async move { link.close().await });
            }
            return;
        }
        let supervised = self.supervise(key, uid, server);
        if let Some(old) = servers.insert(key.clone(), supervised) {
            old.stop.cancel();
        }
    }

    /// Brings the supervisors in line with one object.
    fn meet(&self, object: Object) {
        let Some(metadata) = registry::metadata(&object).cloned() else { return };
        let key = |kind| ObjectKey::parse(kind, &metadata.namespace, &metadata.name);
        match object.object {
            Some(Inner::McpServer(server)) => {
                if let Ok(key) = key(Kind::McpServer) {
                    self.meet_server(key, &metadata.uid, server);
                }
            }
            Some(Inner::Agent(agent)) => {
                if let Ok(key) = key(Kind::Agent) {
                    let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
                    if agents.get(&key).is_some_and(|(uid, _)| *uid == metadata.uid) {
                        return;
                    }
                    let stop = self.stop.child_token();
                    AgentProbe::new(self, key.clone(), metadata.uid.clone(), agent)
                        .start(stop.clone());
                    if let Some((_, old)) = agents.insert(key, (metadata.uid, stop)) {
                        old.cancel();
                    }
                }
            }
            Some(Inner::Tool(_) | Inner::Skill(_)) | None => {}
        }
    }

    fn meet_server(&self, key: ObjectKey, uid: &str, server: McpServer) {
        let mut servers = self.lock();
        let spec = server.spec.clone().unwrap_or_default();
        let known = servers.get(&key);
        if known.is_some_and(|known| known.uid == uid && given(&known.spec) == given(&spec)) {
            return;
        }
        let before = known.cloned();
        if let Some(before) = &before {
            before.stop.cancel();
        }
        let supervised = match before {
            // One child of a name at a time: the old link ends before the new one begins.
            Some(before) => {
                let (fleet, key, uid) = (self.clone(), key.clone(), uid.to_owned());
                tokio::spawn(async move {
                    let _ended =
                        tokio::time::timeout(STOP_DEADLINE, before.stopped.cancelled()).await;
                    let supervised = fleet.supervise(&key, &uid, server);
                    fleet.lock().insert(key, supervised);
                });
                return;
            }
            None => self.supervise(&key, uid, server),
        };
        servers.insert(key, supervised);
    }

    fn supervise(&self, key: &ObjectKey, uid: &str, server: McpServer) -> Supervised {
        let link = self.take_back(key);
        let (control, reach) = (self.control.clone(), self.reach.clone());
        let metrics = self.metrics.clone();
        Supervisor { control, reach, metrics, key: key.clone(), uid: uid.to_owned(), server }
            .start(link, self.stop.child_token())
    }

    /// Stops what a deleted object had.
    fn part(&self, object: &Object) {
        let Some(metadata) = registry::metadata(object) else { return };
        let key = |kind| ObjectKey::parse(kind, &metadata.namespace, &metadata.name).ok();
        match &object.object {
            Some(Inner::McpServer(_)) => {
                let Some(key) = key(Kind::McpServer) else { return };
                let mut servers = self.lock();
                if servers.get(&key).is_some_and(|known| known.uid == metadata.uid)
                    && let Some(old) = servers.remove(&key)
                {
                    old.stop.cancel();
                    let reach = self.reach.clone();
                    tokio::spawn(async move {
                        old.stopped.cancelled().await;
                        if let Err(refusal) = reach.forget(&key) {
                            tracing::warn!(code = %refusal.code, "{refusal}");
                        }
                    });
                }
            }
            Some(Inner::Agent(_)) => {
                let Some(key) = key(Kind::Agent) else { return };
                let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
                if agents.get(&key).is_some_and(|(uid, _)| *uid == metadata.uid)
                    && let Some((_, stop)) = agents.remove(&key)
                {
                    stop.cancel();
                }
            }
            Some(Inner::Tool(_) | Inner::Skill(_)) | None => {}
        }
    }

    /// Waits until every link is closed and every process gone.
    pub async fn stopped(&self) {
        let all: Vec<_> = self.lock().values().cloned().collect();
        for supervised in all {
            let ended = supervised.stopped.cancelled();
            if tokio::time::timeout(STOP_DEADLINE, ended).await.is_err() {
                tracing::warn!("a server did not end in {} s", STOP_DEADLINE.as_secs());
            }
        }
    }

    fn offers(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Link>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Supervised>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A spec without what the server says of itself.
fn given(spec: &McpServerSpec) -> McpServerSpec {
    McpServerSpec {
        transport: spec.transport.clone(),
        url: spec.url.clone(),
        command: spec.command.clone(),
        headers: spec.headers.clone(),
        env: spec.env.clone(),
        grant: spec.grant.clone(),
        ..Default::default()
    }
}

/// The loop.
pub struct Driver {
    /// What it keeps in line.
    pub fleet: Fleet,
}

impl Driver {
    /// Runs until shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                result = self.follow() => if let Err(refusal) = result {
                    tracing::warn!(code = %refusal.code, "entries are not followed: {refusal}");
                },
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    async fn follow(&self) -> Result<()> {
        let (objects, after) = self.fleet.control.read_local(present).await??;
        for object in objects {
            self.fleet.meet(object);
        }
        let mut followed = follow(self.fleet.control.clone(), after, true);
        while let Some(item) = followed.recv().await {
            let events = match item? {
                Followed::Events(events) => events,
                Followed::CaughtUp(_) => continue,
                Followed::Lost { .. } => return Ok(()),
            };
            for event in events {
                use keiko_proto::v1::event::Body;
                use keiko_proto::v1::registry_event::Event;
                let Some(Body::Registry(body)) = event.body else { continue };
                match body.event {
                    Some(Event::Changed(changed)) => {
                        if let Some(object) = changed.object {
                            self.fleet.meet(object);
                        }
                    }
                    Some(Event::Deleted(object)) => self.fleet.part(&object),
                    None => {}
                }
            }
        }
        Ok(())
    }
}

/// Every agent and server, and the revision at which they were read.
fn present(view: &View<'_>) -> Result<(Vec<Object>, u64)> {
    let mut objects = Vec::new();
    for kind in [Kind::Agent, Kind::McpServer] {
        let filter = Filter { kind, namespace: None, selector: Selector::default() };
        let mut token = String::new();
        loop {
            let page = registry::list(view, GROUP, &filter, None, 0, &token)?;
            objects.extend(page.items);
            match page.next {
                Some(next) => token = next,
                None => break,
            }
        }
    }
    Ok((objects, house::revision(view, GROUP)))
}
