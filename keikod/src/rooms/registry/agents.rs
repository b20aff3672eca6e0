//! Agents: ask one for its card, and go on asking.
//!
//! The card is fetched again by its ETag; only what changed is proposed, and nothing of a card
//! with a bad signature. An agent is ready while its card can be had. One with a lease has its
//! heartbeat for a pulse: once its card is known, the probe keeps what it offers up to date, and
//! leaves its health alone. One node asks ([`super::teller`]); the others go by what is declared.

use super::super::Control;
use super::convert;
use super::driver::Fleet;
use super::home::Home;
use super::prober::{Look, Prober, seldom};
use super::put::refresh;
use super::reach::Reach;
use super::ready::{failed, is_gone, offered, unkept};
use super::restless::Restless;
use crate::outbound::a2a::{self, Card, Fetched};
use crate::outbound::http::{parse_url, shown};
use crate::outbound::{cut, detect};
use keiko_core::refusal::{Class, Code, Refusal, Result};
use keiko_core::registry::ObjectKey;
use keiko_core::registry::health::{FailureClass, Seen};
use keiko_proto::v1::{
    Agent, AgentSpec, Health, Metadata, ObjectStatus, PutAgent, PutMode, Skill, registry_op,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

/// What one probe may take.
const PROBE_DEADLINE: Duration = Duration::from_secs(5);

/// As much of its name as its spec keeps.
const TITLE_CHARS_MAX: usize = 256;

/// What an agent says of itself.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) title: String,
    pub(super) spec: AgentSpec,
    pub(super) skills: Vec<Skill>,
    left_out: usize,
    pub(super) reasons: Vec<String>,
}

/// Asks an agent for its card. `given` is what was declared of it; `card_only`: if there is no
/// card, do not find out what is there instead.
pub(super) async fn ask(
    reach: &Reach,
    given: AgentSpec,
    card_only: bool,
    deadline: Duration,
) -> Result<Found> {
    let place = parse_url(&given.url)?;
    let values = reach.headers(&given.url, &given.headers, given.grant.as_ref())?;
    let deadline = Instant::now() + deadline;
    let (http, keys) = (reach.http(), reach.card_keys());
    let card = match card_only {
        true => a2a::find(http, &place, &values, keys, deadline).await?,
        false => detect::agent(http, &place, &values, keys, deadline).await?,
    };
    Found::new(&given, &card)
}

/// A spec without what the agent says of itself, and without what no probe needs.
pub(super) fn given_agent(spec: &AgentSpec) -> AgentSpec {
    AgentSpec {
        url: spec.url.clone(),
        headers: spec.headers.clone(),
        grant: spec.grant.clone(),
        lease: spec.lease,
        ..Default::default()
    }
}

impl Found {
    fn new(given: &AgentSpec, card: &Card) -> Result<Self> {
        let (skills, left_out, reasons) = convert::skills(card);
        let spec = convert::agent(given, card)?;
        let title = cut(&card.name, TITLE_CHARS_MAX);
        Ok(Self { title, spec, skills, left_out, reasons })
    }

    /// What that says of its health.
    pub(super) fn seen(&self) -> Seen {
        if self.is_forged() {
            let message = "its card claims a key that is trusted, and the signature does not fit";
            return Seen::Failed { class: FailureClass::BadSignature, message: message.to_owned() };
        }
        offered("skills", self.left_out, &self.reasons)
    }

    fn is_forged(&self) -> bool {
        self.spec.signature == "bad"
    }

    /// Refuses a card that claims a trusted key, with a signature that does not fit.
    pub(super) fn check_signature(&self) -> Result<()> {
        if !self.is_forged() {
            return Ok(());
        }
        let place = parse_url(&self.spec.card_url)?;
        let message = format!("the agent card at {}{} is not valid", shown(&place), place.path());
        Err(Refusal::new(Code::CardInvalid, message)
            .cause("its signature does not fit its content"))
    }

    /// True if the other says the same: some servers give a card another ETag each time.
    fn says_the_same(&self, other: &Self) -> bool {
        let Self { title, spec, skills, left_out, reasons } = other;
        let spec = AgentSpec { card_etag: self.spec.card_etag.clone(), ..spec.clone() };
        (&self.title, &self.skills, self.left_out, &self.reasons)
            == (title, skills, *left_out, reasons)
            && self.spec == spec
    }

    /// The op that keeps it. Without a health, the entry keeps the one that it has.
    pub(super) fn put(
        self,
        metadata: Metadata,
        health: Option<Health>,
        mode: PutMode,
        uid: &str,
    ) -> PutAgent {
        let agent = Agent {
            metadata: Some(metadata),
            spec: Some(self.spec),
            status: Some(ObjectStatus { health, ..Default::default() }),
            ..Default::default()
        };
        let (mode, uid) = (mode.into(), uid.to_owned());
        PutAgent { mode, uid, agent: Some(agent), skills: self.skills }
    }
}

/// Asks one agent again and again.
pub(super) struct AgentProbe {
    control: Control,
    reach: Reach,
    prober: Arc<Prober>,
    key: ObjectKey,
    uid: String,
    given: AgentSpec,
    /// Where the card is, and its ETag.
    card: Option<(Url, String)>,
    /// What the entry says, as far as this probe knows, and what that says of its health.
    told: Option<(Found, Seen)>,
    /// By what right this node told that.
    right: Option<u64>,
    /// The entry has a card, whoever fetched it.
    has_card: Arc<AtomicBool>,
    restless: Restless,
}

impl AgentProbe {
    pub(super) fn new(
        fleet: &Fleet,
        prober: Arc<Prober>,
        key: ObjectKey,
        uid: String,
        agent: Agent,
    ) -> Self {
        let (control, reach) = (fleet.control.clone(), fleet.reach.clone());
        let spec = agent.spec.unwrap_or_default();
        let has_card = Arc::new(AtomicBool::new(!spec.card.is_empty()));
        let given = given_agent(&spec);
        let (card, told, right, restless) = (None, None, None, Restless::default());
        Self { control, reach, prober, key, uid, given, card, told, right, has_card, restless }
    }

    /// To be set when another node kept a card.
    pub(super) fn has_card(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.has_card)
    }

    pub(super) fn start(mut self, stop: CancellationToken) {
        tokio::spawn(async move {
            let _at_work = self.prober.at_work();
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.prober.due() => {}
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    stays = self.look() => if !stays { return },
                }
            }
        });
    }

    /// Looks once, and tells what is news. False if the entry is gone.
    async fn look(&mut self) -> bool {
        let right = self.prober.right();
        if right.is_none() || right != self.right {
            // Another node told meanwhile: the entry may say something else by now.
            self.told = None;
        }
        self.right = right;
        let begun = Instant::now();
        let found = match self.fetch().await {
            Ok(Some(found)) => match found.check_signature() {
                Ok(()) => Ok(Some(found)),
                Err(refusal) => Err((found.seen(), refusal)),
            },
            Ok(None) => Ok(None),
            Err(refusal) => Err((failed(&refusal), refusal)),
        };
        let took = begun.elapsed();
        let found = match found {
            Ok(found) => found,
            Err((seen, refusal)) => {
                self.saw(seen, Look { took, refusal: Some(refusal), ..Look::default() });
                return self.tell().await;
            }
        };
        let told = self.told.as_ref();
        let known = told.map(|(known, _)| known);
        let news = found.filter(|found| known.is_none_or(|known| !known.says_the_same(found)));
        self.restless.saw(known.is_some() && news.is_some(), Instant::now());
        let (seen, left_out) = match (&news, told) {
            (Some(found), _) => (found.seen(), found.reasons.clone()),
            (None, Some((known, seen))) => (seen.clone(), known.reasons.clone()),
            (None, None) => (Seen::Well, Vec::new()),
        };
        let said = match self.restless.is_calmed() {
            true => Seen::Incomplete {
                class: FailureClass::Schema,
                message: "its card keeps changing: looked at once a minute".to_owned(),
            },
            false => seen.clone(),
        };
        self.saw(said, Look { took, left_out, ..Look::default() });
        match news {
            Some(found) => self.keep(found, seen).await,
            None => self.tell().await,
        }
    }

    /// The card, unless it is the one that is known.
    async fn fetch(&mut self) -> Result<Option<Found>> {
        let grant = self.given.grant.as_ref();
        let values = self.reach.headers(&self.given.url, &self.given.headers, grant)?;
        let deadline = Instant::now() + PROBE_DEADLINE;
        let (http, keys) = (self.reach.http(), self.reach.card_keys());
        // Only a card with an ETag can be asked for cheaply. If it is not to be had where it was,
        // the next look searches anew: it may have moved.
        let card = match self.card.take().filter(|_| self.told.is_some()) {
            Some((place, etag)) => {
                match a2a::fetch(http, &place, Some(&etag), &values, keys, deadline).await? {
                    Fetched::Card(card) => *card,
                    Fetched::Unchanged => {
                        self.card = Some((place, etag));
                        return Ok(None);
                    }
                }
            }
            None => {
                let url = parse_url(&self.given.url)?;
                a2a::find(http, &url, &values, keys, deadline).await?
            }
        };
        let found = Found::new(&self.given, &card)?;
        // A card that is not kept must not be taken for the one that is.
        let etag = card.etag.filter(|_| !found.is_forged());
        self.card = etag.map(|etag| (card.url, etag));
        Ok(Some(found))
    }

    fn saw(&self, seen: Seen, look: Look) {
        self.prober.saw(seen, look, self.pause());
    }

    async fn keep(&mut self, found: Found, seen: Seen) -> bool {
        if self.right.is_none() {
            return self.tell().await;
        }
        let health = (!self.beats()).then(|| self.prober.health());
        let metadata = Metadata {
            name: self.key.name.clone(),
            namespace: self.key.namespace.to_string(),
            ..Default::default()
        };
        let put = found.clone().put(metadata, health, PutMode::Refresh, &self.uid);
        match refresh(&self.control, registry_op::Op::PutAgent(put)).await {
            Ok(()) => {
                self.prober.done();
                self.told = Some((found, seen));
                self.has_card.store(true, Ordering::Relaxed);
                true
            }
            // Deleted, or made anew: another probe is there for it.
            Err(refusal) if is_gone(&refusal) => false,
            Err(refusal) => {
                self.unkept(&refusal, found);
                self.tell().await
            }
        }
    }

    /// A fault of the cluster passes: the next look says it again. A limit does not.
    fn unkept(&mut self, refusal: &Refusal, found: Found) {
        let (agent, code) = (self.key.subject(), refusal.code);
        tracing::warn!(%agent, %code, "what the agent says is not kept: {refusal}");
        if matches!(code.class(), Class::Usage | Class::Exhausted) && !code.retryable() {
            let seen = unkept(refusal);
            self.saw(seen.clone(), Look::default());
            self.told = Some((found, seen));
        } else {
            self.told = None;
        }
    }

    async fn tell(&self) -> bool {
        if self.beats() {
            self.prober.done();
            return true;
        }
        self.prober.tell().await
    }

    /// True if its heartbeats say how it is.
    fn beats(&self) -> bool {
        self.given.lease.is_some() && self.has_card.load(Ordering::Relaxed)
    }

    fn pause(&self) -> Duration {
        pause(self.beats()).max(self.restless.pause())
    }
}

/// How long to leave an agent alone that sends heartbeats, or does not.
fn pause(beats: bool) -> Duration {
    if beats { seldom() } else { Duration::ZERO }
}

/// The prober of an agent as its entry is.
pub(super) fn prober(fleet: &Fleet, key: &ObjectKey, uid: &str, agent: &Agent) -> Arc<Prober> {
    let spec = agent.spec.as_ref();
    let beats = spec.is_some_and(|spec| spec.lease.is_some() && !spec.card.is_empty());
    let known = agent.status.as_ref().and_then(|status| status.health.as_ref());
    let home = spec.map(Home::of_agent).unwrap_or_default();
    Prober::new(fleet, key.clone(), uid.to_owned(), home, known, pause(beats))
}
