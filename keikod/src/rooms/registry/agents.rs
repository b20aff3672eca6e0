//! Agents: ask one for its card, and go on asking.
//!
//! The card is fetched again by its ETag; only what changed is proposed. An agent is Ready while
//! its card can be had.

use super::super::Control;
use super::convert;
use super::driver::Fleet;
use super::reach::Reach;
use super::ready::{card_fetched, is_gone, is_ready, not_ready, tell};
use crate::outbound::a2a::{self, Card, Fetched};
use crate::outbound::detect;
use crate::outbound::http::parse_url;
use http::HeaderMap;
use keiko_core::refusal::{Refusal, Result};
use keiko_core::registry::ObjectKey;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{
    Agent, AgentSpec, CredentialRef, Grant, Metadata, ObjectStatus, PutAgent, PutMode, RegistryOp,
    Skill, registry_op,
};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

/// How often a card is asked for again.
const PROBE_EVERY: Duration = Duration::from_secs(15);

/// What one probe may take.
const PROBE_DEADLINE: Duration = Duration::from_secs(5);

/// Probes that fail in a row before an agent counts as not ready.
const PROBE_FAILURES: u32 = 2;

/// What an agent says of itself.
#[derive(Clone, PartialEq)]
pub(super) struct Found {
    pub(super) title: String,
    spec: AgentSpec,
    skills: Vec<Skill>,
}

/// Where an agent is asked, and with what.
pub(super) struct Question {
    pub(super) url: String,
    pub(super) headers: Vec<CredentialRef>,
    pub(super) grant: Option<Grant>,
    /// If there is no card, do not find out what is there instead.
    pub(super) card_only: bool,
}

/// Asks an agent for its card.
pub(super) async fn ask(reach: &Reach, question: Question, deadline: Duration) -> Result<Found> {
    let Question { url, headers, grant, card_only } = question;
    let values = reach.headers(&url, &headers, grant.as_ref())?;
    let (deadline, place) = (Instant::now() + deadline, parse_url(&url)?);
    let (http, keys) = (reach.http(), reach.card_keys());
    let card = match card_only {
        true => a2a::find(http, &place, &values, keys, deadline).await?,
        false => detect::agent(http, &place, &values, keys, deadline).await?,
    };
    let spec = AgentSpec { url, headers, grant, ..Default::default() };
    Found::new(&spec, &card)
}

/// A spec without what the agent says of itself.
pub(super) fn given_agent(spec: &AgentSpec) -> AgentSpec {
    AgentSpec {
        url: spec.url.clone(),
        headers: spec.headers.clone(),
        grant: spec.grant.clone(),
        ..Default::default()
    }
}

impl Found {
    fn new(spec: &AgentSpec, card: &Card) -> Result<Self> {
        Ok(Self {
            title: card.name.clone(),
            spec: convert::agent(spec, card)?,
            skills: convert::skills(card),
        })
    }

    /// The op that keeps it.
    pub(super) fn put(
        self,
        key: &ObjectKey,
        labels: BTreeMap<String, String>,
        mode: PutMode,
        uid: &str,
    ) -> PutAgent {
        let metadata = Metadata {
            name: key.name.clone(),
            namespace: key.namespace.to_string(),
            labels,
            ..Default::default()
        };
        let agent = Agent {
            metadata: Some(metadata),
            spec: Some(self.spec),
            status: Some(ObjectStatus { conditions: vec![card_fetched()] }),
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
    key: ObjectKey,
    uid: String,
    given: AgentSpec,
    /// Where the card is, and its ETag.
    seen: Option<(Url, String)>,
    /// What the entry says, as far as this probe knows.
    told: Option<Found>,
    was_ready: bool,
}

impl AgentProbe {
    pub(super) fn new(fleet: &Fleet, key: ObjectKey, uid: String, agent: Agent) -> Self {
        let was_ready = is_ready(&agent.status.unwrap_or_default().conditions);
        let (control, reach) = (fleet.control.clone(), fleet.reach.clone());
        let given = given_agent(&agent.spec.unwrap_or_default());
        Self { control, reach, key, uid, given, seen: None, told: None, was_ready }
    }

    pub(super) fn start(mut self, stop: CancellationToken) {
        tokio::spawn(async move {
            let mut failures = 0;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(PROBE_EVERY) => {}
                }
                match self.probe().await {
                    Ok(()) => failures = 0,
                    // Deleted, or made anew: another probe is there for it.
                    Err(refusal) if is_gone(&refusal) => return,
                    Err(refusal) => {
                        failures += 1;
                        if failures >= PROBE_FAILURES && self.was_ready {
                            self.tell(&refusal).await;
                        }
                    }
                }
            }
        });
    }

    async fn probe(&mut self) -> Result<()> {
        let grant = self.given.grant.as_ref();
        let values = self.reach.headers(&self.given.url, &self.given.headers, grant)?;
        let deadline = Instant::now() + PROBE_DEADLINE;
        if self.was_ready && self.is_unchanged(&values, deadline).await? {
            return Ok(());
        }
        let url = parse_url(&self.given.url)?;
        let keys = self.reach.card_keys();
        let card = a2a::find(self.reach.http(), &url, &values, keys, deadline).await?;
        let found = Found::new(&self.given, &card)?;
        if self.was_ready && self.told.as_ref() == Some(&found) {
            return Ok(());
        }
        let put = found.clone().put(&self.key, BTreeMap::new(), PutMode::Refresh, &self.uid);
        let op = RegistryOp { op: Some(registry_op::Op::PutAgent(put)) };
        self.control.write(self.control.as_node(), Room::Registry(op)).await?;
        self.told = Some(found);
        self.seen = card.etag.map(|etag| (card.url, etag));
        self.was_ready = true;
        Ok(())
    }

    /// Only a card with an ETag can be asked for cheaply.
    async fn is_unchanged(&self, values: &HeaderMap, deadline: Instant) -> Result<bool> {
        let Some((url, etag)) = &self.seen else { return Ok(false) };
        let keys = self.reach.card_keys();
        let fetched =
            a2a::fetch(self.reach.http(), url, Some(etag), values, keys, deadline).await?;
        Ok(matches!(fetched, Fetched::Unchanged))
    }

    async fn tell(&mut self, refusal: &Refusal) {
        match tell(&self.control, &self.key, &self.uid, not_ready(refusal)).await {
            Ok(()) => self.was_ready = false,
            Err(refusal) => {
                tracing::debug!(agent = %self.key.subject(), "condition not kept: {refusal}");
            }
        }
    }
}
