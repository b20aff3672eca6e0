//! One supervisor for each entry, none for those that are gone, and none for a command that another
//! node runs.
//!
//! Follows the journal of this node: what is there at the start gets its supervisor, and every
//! later change is met by starting, restarting or stopping one.

use super::super::follow::{Followed, Follower};
use super::super::{Control, Peers};
use super::agents::{self, AgentProbe, given_agent};
use super::home::Home;
use super::link::Link;
use super::live::Soft;
use super::orphans::Orphans;
use super::present::each;
use super::prober::Prober;
use super::strays::Strays;
use super::supervise::{Supervised, Supervisor};
use super::teller::Teller;
use super::{Metrics, Reach};
use crate::store::View;
use keiko_core::refusal::Result;
use keiko_core::registry::{self, AdminState, Kind, ObjectKey};
use keiko_proto::v1::event::Body;
use keiko_proto::v1::registry_event::Event;
use keiko_proto::v1::{
    self as wire, Agent, AgentSpec, McpServer, McpServerSpec, Object, object::Object as Inner,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What all links together may take to end: a server's session 8 s, its process 9 s.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// The live links of this node; a cheap clone.
#[derive(Clone)]
pub struct Fleet {
    pub(super) control: Control,
    pub(super) reach: Reach,
    pub(super) teller: Teller,
    peers: Arc<dyn Peers>,
    soft: Soft,
    metrics: Metrics,
    strays: Strays,
    servers: Arc<Mutex<BTreeMap<ObjectKey, Supervised>>>,
    /// Links that registration opened, with what for, until their entry is met.
    offered: Arc<Mutex<BTreeMap<ObjectKey, (McpServerSpec, Link)>>>,
    agents: Arc<Mutex<BTreeMap<ObjectKey, Probed>>>,
    stop: CancellationToken,
}

struct Probed {
    uid: String,
    given: AgentSpec,
    prober: Arc<Prober>,
    has_card: Arc<AtomicBool>,
    stop: CancellationToken,
}

impl Fleet {
    /// Ends with `stop`.
    pub fn new(
        control: Control,
        reach: Reach,
        metrics: Metrics,
        peers: Arc<dyn Peers>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            teller: Teller::new(control.node(), Arc::clone(&peers)),
            soft: Soft::new(control.node(), Arc::clone(&peers)),
            control,
            reach,
            peers,
            metrics,
            strays: Strays::default(),
            servers: Arc::default(),
            offered: Arc::default(),
            agents: Arc::default(),
            stop,
        }
    }

    /// The other nodes.
    pub(super) fn peers(&self) -> &dyn Peers {
        &*self.peers
    }

    /// Servers whose command does not run here.
    pub(super) fn strays(&self) -> &Strays {
        &self.strays
    }

    /// What this node knows at this moment, and never keeps.
    pub fn soft(&self) -> &Soft {
        &self.soft
    }

    /// The prober of an agent or a server, if this node has one.
    pub(super) fn prober(&self, key: &ObjectKey) -> Option<Arc<Prober>> {
        match key.kind {
            Kind::McpServer => self.lock().get(key).map(|known| Arc::clone(&known.prober)),
            Kind::Agent => self.agents().get(key).map(|known| Arc::clone(&known.prober)),
            Kind::Tool | Kind::Skill => None,
        }
    }

    /// The supervised link of a server, if this node has one.
    pub(super) fn server(&self, key: &ObjectKey) -> Option<Supervised> {
        self.lock().get(key).cloned()
    }

    /// What may run, and what may be sent where, is another now: who does not answer is looked at
    /// again.
    pub fn look_again(&self) {
        let servers: Vec<_> = self.lock().values().map(|known| Arc::clone(&known.prober)).collect();
        let agents: Vec<_> =
            self.agents().values().map(|known| Arc::clone(&known.prober)).collect();
        for prober in servers.into_iter().chain(agents).filter(|prober| !prober.is_up()) {
            prober.nudge();
        }
    }

    /// Leaves a link for the entry that is about to be proposed: the journal may show the entry
    /// here before the proposal returns, and a command must not be started twice. A link that was
    /// left before by another registration of the name comes back, to be closed.
    pub(super) fn offer(&self, key: &ObjectKey, spec: &McpServerSpec, link: Link) -> Option<Link> {
        let displaced = self.offers().insert(key.clone(), (given(spec), link));
        displaced.map(|(_, link)| link)
    }

    /// Takes back a link that nobody took.
    pub(super) fn take_back(&self, key: &ObjectKey, spec: &McpServerSpec) -> Option<Link> {
        let mut offers = self.offers();
        let fits = offers.get(key).is_some_and(|(offered, _)| leads_alike(offered, spec));
        if fits { offers.remove(key).map(|(_, link)| link) } else { None }
    }

    /// Brings the supervisors in line with one object.
    pub(super) fn meet(&self, object: &Object) {
        let Some(metadata) = registry::metadata(object) else { return };
        let key = |kind| ObjectKey::parse(kind, &metadata.namespace, &metadata.name).ok();
        match &object.object {
            Some(Inner::McpServer(server)) => {
                if let Some(key) = key(Kind::McpServer) {
                    self.meet_server(key, &metadata.uid, server, Home::of(object));
                }
            }
            Some(Inner::Agent(agent)) => {
                if let Some(key) = key(Kind::Agent) {
                    self.meet_agent(key, &metadata.uid, agent);
                }
            }
            Some(Inner::Tool(_) | Inner::Skill(_)) | None => {}
        }
    }

    fn meet_server(&self, key: ObjectKey, uid: &str, server: &McpServer, home: Home) {
        let spec = server.spec.clone().unwrap_or_default();
        let status = server.status.clone().unwrap_or_default();
        self.strays.meet(&key, uid, &home, server, self.control.node());
        let mut servers = self.lock();
        if !self.is_ours(&home, &spec) {
            // Its home and its log stay: it may come back.
            if let Some(old) = servers.remove(&key) {
                old.stop.cancel();
                self.soft.unprobed(&key);
            }
            return;
        }
        let known = servers.get(&key);
        if let Some(known) = known
            && known.uid == uid
            && given(&known.spec) == given(&spec)
        {
            let admin = AdminState::parse(&status.admin_state).unwrap_or(AdminState::Active);
            known.admin.send_if_modified(|state| std::mem::replace(state, admin) != admin);
            known.prober.moved(&home);
            status.health.iter().for_each(|health| known.prober.told(health));
            return;
        }
        let after = known.map(|known| {
            known.stop.cancel();
            known.stopped.clone()
        });
        let link = self.take_back(&key, &spec);
        let (control, reach) = (self.control.clone(), self.reach.clone());
        let (metrics, uid) = (self.metrics.clone(), uid.to_owned());
        let health = status.health.as_ref();
        let prober = Prober::new(self, key.clone(), uid.clone(), home, health, Duration::ZERO);
        let (key_of, server) = (key.clone(), server.clone());
        let supervisor = Supervisor { control, reach, metrics, key: key_of, uid, server, prober };
        servers.insert(key, supervisor.start(link, self.stop.child_token(), after));
    }

    /// True if this node links it. A command that no node runs yet is not started by all that may:
    /// who can, takes it over first ([`super::place`]), and who can't tries and says why.
    fn is_ours(&self, home: &Home, spec: &McpServerSpec) -> bool {
        match home {
            Home::Everywhere | Home::Bound(_) => true,
            Home::Hosted(_) => home.elsewhere(self.control.node()).is_none(),
            Home::Nowhere => !self.reach.can_take(spec),
        }
    }

    fn meet_agent(&self, key: ObjectKey, uid: &str, agent: &Agent) {
        let spec = agent.spec.clone().unwrap_or_default();
        let given = given_agent(&spec);
        let mut agents = self.agents();
        if let Some(known) = agents.get(&key)
            && known.uid == uid
            && known.given == given
        {
            let health = agent.status.as_ref().and_then(|status| status.health.as_ref());
            health.iter().for_each(|health| known.prober.told(health));
            if !spec.card.is_empty() {
                known.has_card.store(true, Ordering::Relaxed);
            }
            return;
        }
        let (uid, stop) = (uid.to_owned(), self.stop.child_token());
        let prober = agents::prober(self, &key, &uid, agent);
        let probe =
            AgentProbe::new(self, Arc::clone(&prober), key.clone(), uid.clone(), agent.clone());
        let has_card = probe.has_card();
        probe.start(stop.clone());
        if let Some(old) = agents.insert(key, Probed { uid, given, prober, has_card, stop }) {
            old.stop.cancel();
        }
    }

    /// Stops what a deleted object had.
    fn part(&self, object: &Object) {
        let Some(metadata) = registry::metadata(object) else { return };
        let key = |kind| ObjectKey::parse(kind, &metadata.namespace, &metadata.name).ok();
        match &object.object {
            Some(Inner::McpServer(_)) => {
                let Some(key) = key(Kind::McpServer) else { return };
                let strayed = self.strays.part(&key, &metadata.uid);
                let mut servers = self.lock();
                if servers.get(&key).is_some_and(|known| known.uid == metadata.uid)
                    && let Some(old) = servers.remove(&key)
                {
                    self.forget(key, old);
                } else if strayed {
                    self.forget_remains(key);
                }
            }
            Some(Inner::Agent(_)) => {
                let Some(key) = key(Kind::Agent) else { return };
                let mut agents = self.agents();
                if agents.get(&key).is_some_and(|known| known.uid == metadata.uid)
                    && let Some(old) = agents.remove(&key)
                {
                    old.stop.cancel();
                }
            }
            Some(Inner::Tool(_) | Inner::Skill(_)) | None => {}
        }
    }

    /// Stops a supervisor and then forgets the home and the log of its command, unless the name
    /// lives again by then.
    fn forget(&self, key: ObjectKey, old: Supervised) {
        old.stop.cancel();
        let fleet = self.clone();
        tokio::spawn(async move {
            old.stopped.cancelled().await;
            if fleet.server(&key).is_none()
                && let Err(refusal) = fleet.reach.forget(&key)
            {
                tracing::warn!(code = %refusal.code, "{refusal}");
            }
        });
    }

    /// Forgets what a command left here that ran here once.
    fn forget_remains(&self, key: ObjectKey) {
        let fleet = self.clone();
        tokio::spawn(async move {
            fleet.reach.vacated(&key).await;
            if fleet.server(&key).is_none()
                && let Err(refusal) = fleet.reach.forget(&key)
            {
                tracing::warn!(code = %refusal.code, "{refusal}");
            }
        });
    }

    /// Stops everything that is not among the present.
    fn keep_only(&self, present: &[Object]) {
        let uids: BTreeSet<_> =
            present.iter().filter_map(registry::metadata).map(|data| data.uid.as_str()).collect();
        let is_gone = |uid: &str| !uids.contains(uid);
        for key in self.strays.keep_only(is_gone) {
            self.forget_remains(key);
        }
        let gone: Vec<_> = self.lock().extract_if(.., |_, known| is_gone(&known.uid)).collect();
        for (key, old) in gone {
            self.forget(key, old);
        }
        for (_, old) in self.agents().extract_if(.., |_, known| is_gone(&known.uid)) {
            old.stop.cancel();
        }
    }

    /// Waits until every link is closed and every process gone.
    pub async fn stopped(&self) {
        let all: Vec<_> = self.lock().values().map(|known| known.stopped.clone()).collect();
        let ended = futures::future::join_all(all.iter().map(CancellationToken::cancelled));
        if tokio::time::timeout(STOP_DEADLINE, ended).await.is_err() {
            tracing::warn!("some servers did not end in {} s", STOP_DEADLINE.as_secs());
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Supervised>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offers(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, (McpServerSpec, Link)>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn agents(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Probed>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A spec without what the server says of itself.
pub(super) fn given(spec: &McpServerSpec) -> McpServerSpec {
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

/// True if a link for one is a link for the other: all but the grant, which the law decides.
pub(super) fn leads_alike(one: &McpServerSpec, other: &McpServerSpec) -> bool {
    let bare = |spec: &McpServerSpec| McpServerSpec { grant: None, ..given(spec) };
    bare(one) == bare(other)
}

/// The loop.
pub struct Driver {
    /// What it keeps in line.
    pub fleet: Fleet,
}

impl Driver {
    /// Runs until shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let (teller, control) = (self.fleet.teller.clone(), self.fleet.control.clone());
        // Who leads already tells from the first look on.
        teller.look(&control);
        tokio::spawn(teller.run(control, shutdown.clone()));
        tokio::spawn(Orphans { fleet: self.fleet.clone() }.run(shutdown.clone()));
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
        self.fleet.keep_only(&objects);
        objects.iter().for_each(|object| self.fleet.meet(object));
        let mut follower = Follower::near(&self.fleet.control, after)?;
        while let Some(followed) = follower.next().await? {
            match followed {
                Followed::Events(events) => events.iter().for_each(|event| self.take_in(event)),
                Followed::CaughtUp(_) => {}
                Followed::Lost { .. } => return Ok(()),
            }
        }
        Ok(())
    }

    fn take_in(&self, event: &wire::Event) {
        let Some(Body::Registry(body)) = &event.body else { return };
        match &body.event {
            Some(Event::Changed(changed)) => {
                changed.object.iter().for_each(|object| self.fleet.meet(object));
            }
            Some(Event::Deleted(object)) => self.fleet.part(object),
            Some(Event::OfferChanged(_)) | None => {}
        }
    }
}

/// Every agent and server, and the revision at which they were read.
fn present(view: &View<'_>) -> Result<(Vec<Object>, u64)> {
    let mut objects = Vec::new();
    let revision = each(view, &[Kind::Agent, Kind::McpServer], |object| objects.push(object))?;
    Ok((objects, revision))
}
